//! Flows and properties over the public API, in one binary.

#![allow(clippy::unwrap_used, clippy::print_stdout)]
#![allow(missing_docs)]

mod contract;
#[cfg(all(feature = "gateway", feature = "conformance"))]
mod corpus;
#[cfg(feature = "memory-cluster")]
mod memory_cluster;
mod wire;
