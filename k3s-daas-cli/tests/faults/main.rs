//! What breaks while everything goes on: clusters, bodies, databases, disks, clocks. Each fault has a behaviour of its
//! own, and its client is told of it in words that the table in `docs/faults.md` has.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod bodies;
mod clock;
mod cluster;
mod descriptors;
mod disk;
mod ledger;
mod machine;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod upstream;
mod world;
