//! Clients and clusters that mean no good, and the separate processes that must withstand them.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(clippy::print_stdout)] // what was measured
#![allow(clippy::cast_possible_truncation)]

mod floods;
mod limits;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod upstream;
mod wire;
mod world;
