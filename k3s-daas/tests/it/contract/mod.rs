//! The contract's rules, call by call, and its invariants over random calls.

mod admin;
mod answers;
mod attestation;
mod bounds;
mod curve;
mod edges;
mod evidence;
mod exit;
mod fields;
mod model;
mod oracle;
mod order;
mod policy;
mod protocol;
mod random;
mod replay;
mod requests;
mod sessions;
mod stake;
mod twin;
mod world;
