//! What the fuzz targets do with their input. `k3s-daas/tests/it/corpus` does the same with what was found.

pub mod targets;

/// Whether each target's code has a mistake put in front of it.
const PLANTED: bool = cfg!(feature = "planted");
