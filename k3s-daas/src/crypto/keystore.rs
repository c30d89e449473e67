//! Keys in encrypted files.
