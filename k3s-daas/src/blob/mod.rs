//! Bodies too big or too secret for the ledger.

#[cfg(feature = "directory")]
mod directory;
mod memory;

#[cfg(feature = "directory")]
pub use directory::*;
pub use memory::*;
