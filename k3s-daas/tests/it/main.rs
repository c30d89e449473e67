//! Flows through several modules, on local backends.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[cfg(feature = "memory-cluster")]
mod memory_cluster;
