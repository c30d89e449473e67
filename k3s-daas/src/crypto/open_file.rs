//! Whether an open file is still the one that its path leads to.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that some process has open, by the path that others find it under.
///
/// Whoever goes on with a file that was removed, or with one that another was put in the place of, works on what
/// nobody else will ever see.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: PathBuf,
    identity: Identity,
    /// Bytes that it had at most when it was looked at.
    longest: AtomicU64,
}

impl OpenFile {
    /// The file that `path` leads to now.
    ///
    /// # Errors
    /// If it is not there, or cannot be asked.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&metadata),
            longest: AtomicU64::new(metadata.len()),
        })
    }

    /// Whether the path still leads to that file.
    ///
    /// # Errors
    /// If that cannot be told.
    pub(crate) fn is_there(&self) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(identity(&metadata) == self.identity),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it is shorter than it was when this was asked before, or when it was opened.
    ///
    /// # Errors
    /// If that cannot be told.
    pub(crate) fn is_cut(&self) -> io::Result<bool> {
        let length = fs::metadata(&self.path)?.len();
        Ok(length < self.longest.fetch_max(length, Ordering::Relaxed))
    }
}

#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Elsewhere an open file can be neither removed nor replaced.
#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Identity {}
