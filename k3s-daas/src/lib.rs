//! Kubernetes whose every command is authorised, ordered and recorded on a public ledger.
//!
//! The modules stand in the order in which a command passes through them; each uses only
//! those before it.
//!
//! ```text
//! types → crypto → wire → contract → token → blob → ledger | executor → audit → gateway | nautilus
//! ```

pub mod types;

pub mod crypto;

pub mod wire;

pub mod contract;

pub mod token;

pub mod blob;

pub mod ledger;

pub mod executor;

#[cfg(feature = "memory-cluster")]
pub mod memory_cluster;

#[cfg(feature = "local")]
pub mod audit;

#[cfg(feature = "gateway")]
pub mod gateway;

#[cfg(feature = "nautilus")]
pub mod nautilus;
