//! One module for each target: `run` takes any bytes, and panics if something is not as it must be.

pub mod contract;
pub mod credential;
pub mod http;
pub mod path;
pub mod wire;

use super::PLANTED;
