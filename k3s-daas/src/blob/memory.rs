//! Blobs in memory.
