//! The vocabulary: no I/O, no async.

mod cluster;
mod id;
mod policy;
mod resource;
mod role;
mod verb;

pub use cluster::*;
pub use id::*;
pub use policy::*;
pub use resource::*;
pub use role::*;
pub use verb::*;
