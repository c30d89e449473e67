//! The vocabulary: no I/O, no async.

mod cluster;
mod header;
mod id;
mod malformed;
mod path;
mod policy;
mod query;
mod request;
mod resource;
mod response;
mod role;
mod verb;

pub use cluster::*;
pub use header::*;
pub use id::*;
pub use malformed::{ByteName, MAX_HEADER_BYTES, MAX_PATH_BYTES, MAX_QUERY_BYTES, Malformed};
pub use path::canonical_path;
pub use policy::*;
pub use query::canonical_query;
pub use request::*;
pub use resource::*;
pub use response::*;
pub use role::*;
pub use verb::*;
