//! Bytes in, bytes out: hashes, signatures, keys.

mod hash;
#[cfg(feature = "keystore")]
pub mod keystore;
mod sign;

pub use hash::*;
pub use sign::*;
