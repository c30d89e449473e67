//! The vocabulary: no I/O, no async.

mod cluster;
#[cfg(any(feature = "gateway", feature = "nautilus"))]
mod duration;
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
#[cfg(any(feature = "local", feature = "memory-cluster"))]
mod timestamp;
mod trace;
mod verb;
mod version;

pub use cluster::*;
#[cfg(any(feature = "gateway", feature = "nautilus"))]
pub(crate) use duration::duration_text;
#[cfg(feature = "gateway")]
pub(crate) use duration::parse_duration;
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
#[cfg(any(all(test, feature = "local"), feature = "memory-cluster"))]
pub(crate) use timestamp::format_timestamp;
#[cfg(any(feature = "local", feature = "memory-cluster"))]
pub(crate) use timestamp::parse_timestamp_us;
pub use trace::{SpanId, TraceId};
pub use verb::*;
pub use version::OtherVersion;
