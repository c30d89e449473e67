//! The directory under a ledger: whether it is one, who may read it, how much room is left.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::crypto::open_file::OpenFile;

/// Where the parts of a ledger lie in its directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(super) dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// The database; SQLite adds `-wal` and `-shm` beside it.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("ledger.db")
    }

    /// SQLite's write-ahead log, which is there as long as anybody has the database open.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("ledger.db-wal")
    }

    /// Writers queue on this file.
    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Held by who archives.
    pub(super) fn archive_lock(&self) -> PathBuf {
        self.dir.join("archive-lock")
    }

    /// The sockets of those who want to know of every commit.
    pub(super) fn followers(&self) -> PathBuf {
        self.dir.join("followers")
    }

    /// Whether anything of a ledger is here, be it whole or not.
    pub(super) fn has_traces(&self) -> bool {
        [self.database(), self.lock(), self.followers()]
            .iter()
            .any(|path| fs::symlink_metadata(path).is_ok())
    }
}

/// A file that is open, and never gets shorter meanwhile unless somebody else cuts it.
#[derive(Debug)]
pub(super) struct Growing {
    file: OpenFile,
    /// Bytes that it had at most when it was looked at.
    longest: u64,
}

impl Growing {
    /// The file under this path, as it is now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let file = OpenFile::at(path)?;
        let longest = file.len()?.unwrap_or_default();
        Ok(Self { file, longest })
    }

    /// What somebody else did to it, if anything.
    pub(super) fn trouble(&mut self) -> io::Result<Option<&'static str>> {
        let Some(length) = self.file.len()? else {
            return Ok(Some("its file was removed or replaced while it was open"));
        };
        self.longest = self.longest.max(length);
        Ok((length < self.longest).then_some("its file was cut short while it was open"))
    }
}

/// Creates a directory for its owner alone; one that is there already is left as it is.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file that writers lock, creating it for its owner alone.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Bytes that this user may still write there.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The network file system that a directory lies on, if it does: locks and shared memory of SQLite
/// do not work there.
#[cfg(target_os = "linux")]
pub(super) fn network_file_system(dir: &Path) -> io::Result<Option<&'static str>> {
    let stat = rustix::fs::statfs(dir)?;
    // The type is signed or not, wide or not, as the architecture likes it; magics are 32 bits.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast
    )]
    let magic = stat.f_type as u32;
    Ok(NETWORK_FILE_SYSTEMS
        .iter()
        .find_map(|(known, name)| (*known == magic).then_some(*name)))
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn network_file_system(_dir: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// `statfs(2)` and the kernel's `magic.h`.
#[cfg(target_os = "linux")]
const NETWORK_FILE_SYSTEMS: [(u32, &str); 9] = [
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
];
