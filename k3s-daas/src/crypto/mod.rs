//! Bytes in, bytes out: hashes, signatures, keys.

mod hash;
#[cfg(feature = "keystore")]
pub mod keystore;
#[cfg(any(feature = "directory", feature = "local", feature = "nautilus"))]
pub(crate) mod open_file;
mod private_file;
mod sign;

pub use hash::*;
pub use private_file::*;
pub use sign::*;

/// Bytes or text that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not the expected number of hex digits.
    #[error("a {what} is {digits} hex digits")]
    MalformedHex {
        /// What was to be read.
        what: &'static str,
        /// How many digits it has.
        digits: usize,
    },
    /// Not the CID of a blob.
    #[error("not a base32 CIDv1 of a raw block hashed with sha2-256")]
    MalformedCid,
    /// A blob begins with its salt.
    #[error("a blob of {len} bytes has no room for its salt")]
    BlobTooShort {
        /// Length of what was given, in bytes.
        len: usize,
    },
}
