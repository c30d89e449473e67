//! Hashes and content addresses.
