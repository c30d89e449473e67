//! Flows and properties over the public API, in one binary.

#![allow(clippy::unwrap_used)]
#![allow(missing_docs)]

mod contract;

mod wire;
