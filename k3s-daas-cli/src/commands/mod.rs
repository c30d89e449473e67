//! The commands, a file each.

pub mod completion;
pub mod config;
pub mod key;
pub mod memory_cluster;
