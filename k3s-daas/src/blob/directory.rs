//! Blobs in a directory, encrypted at rest.
