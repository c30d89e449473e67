//! Versions of what is kept, and of what was written by another program than this one.

/// Something is of another version than this program knows; it was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is of version {found}, and this program knows {known}")]
#[non_exhaustive]
pub struct OtherVersion {
    /// What it is: `ledger`, `journal`, `blob store`, `cluster`, …
    pub what: &'static str,
    /// Its version.
    pub found: u64,
    /// The one that this program reads and writes.
    pub known: u64,
}

impl OtherVersion {
    /// Nothing if `found` is `known`.
    ///
    /// # Errors
    /// [`OtherVersion`] if it is not.
    pub fn check(what: &'static str, found: u64, known: u64) -> Result<(), Self> {
        match found == known {
            true => Ok(()),
            false => Err(Self { what, found, known }),
        }
    }

    /// Whether a newer program wrote it, so that this one is to be replaced.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        self.found > self.known
    }
}
