//! The contract's rules, call by call, and its invariants over random calls.

mod admin;
mod answers;
mod attestation;
mod evidence;
mod order;
mod requests;
mod sessions;
mod stake;
mod world;
