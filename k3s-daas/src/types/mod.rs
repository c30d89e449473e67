//! The vocabulary: no I/O, no async.

mod policy;
mod resource;
mod role;
mod verb;

pub use policy::*;
pub use resource::*;
pub use role::*;
pub use verb::*;
