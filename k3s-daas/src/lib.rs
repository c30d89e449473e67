//! Kubernetes whose every command is authorised, ordered and recorded on a public ledger.
//!
//! The modules stand in the order in which a command passes through them; each uses only
//! those before it.
//!
//! ```text
//! types → crypto → wire → contract → token → blob → ledger | executor → audit → metrics → gateway | nautilus
//! ```

/// Where a process dies if a test armed it; nothing at all without the feature `crash-points`.
#[cfg(feature = "crash-points")]
#[allow(unused_macros)] // without a service there is nothing that could die
macro_rules! crash_point {
    ($point:ident) => {
        $crate::crash::Point::$point.reach()
    };
}
#[cfg(not(feature = "crash-points"))]
#[allow(unused_macros)]
macro_rules! crash_point {
    ($point:ident) => {};
}

#[cfg(feature = "crash-points")]
pub mod crash;

#[cfg(any(feature = "gateway", feature = "nautilus"))]
mod changing;

#[cfg(any(feature = "gateway", feature = "nautilus"))]
mod limits;

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

#[cfg(any(feature = "gateway", feature = "nautilus"))]
pub mod metrics;

#[cfg(any(feature = "gateway", feature = "nautilus"))]
pub mod spans;

#[cfg(feature = "gateway")]
pub mod gateway;

#[cfg(feature = "nautilus")]
pub mod nautilus;
