//! The vocabulary: no I/O, no async.

mod id;
mod policy;
mod resource;
mod role;
mod verb;

pub use id::*;
pub use policy::*;
pub use resource::*;
pub use role::*;
pub use verb::*;
