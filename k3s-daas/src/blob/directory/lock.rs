//! The lock of a blob directory, and the counts that it guards.
//!
//! Three little-endian u64, state, bytes and blobs of the whole store; then for each number of a share two,
//! bytes and blobs. Most shares are nobody's, and their place in the file takes no room on the disk.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::blob::{Holder, Usage};
use crate::crypto::blake2b256;
use crate::crypto::open_file::OpenFile;

/// A file lock for other processes and a mutex for other threads of this one.
pub(super) struct Lock {
    file: Mutex<File>,
    place: OpenFile,
    patience: Duration,
}

impl Lock {
    pub(super) fn open(path: &Path, patience: Duration) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self {
            file: Mutex::new(options.open(path)?),
            place: OpenFile::at(path)?,
            patience,
        })
    }

    /// Waits for the lock, but not for ever: a stopped process may hold it. Fails once the directory is another one.
    pub(super) fn lock(&self) -> io::Result<Locked<'_>> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if started.elapsed() > self.patience => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds the lock",
                    ));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
        if self.place.len()?.is_none() {
            let why = "its directory was removed or replaced while it was open";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let mut locked = Locked {
            file,
            usage: Usage::default(),
            doubtful: false,
        };
        locked.read()?;
        Ok(locked)
    }
}

/// The held lock: whoever has it may change what is in the directory.
pub(super) struct Locked<'a> {
    file: MutexGuard<'a, File>,
    usage: Usage,
    doubtful: bool,
}

impl Locked<'_> {
    /// What the directory holds.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether a change was begun and never finished, so that the count may be wrong.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// What counts to a share.
    pub(super) fn share(&mut self, share: Share) -> io::Result<Usage> {
        let mut record = [0; SHARE_RECORD];
        self.file.seek(SeekFrom::Start(share.offset()))?;
        match self.file.read_exact(&mut record) {
            Ok(()) => {}
            // Nobody this far behind has anything yet.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                record = [0; SHARE_RECORD]
            }
            Err(error) => return Err(error),
        }
        Ok(Usage {
            bytes: number(&record, 0),
            blobs: number(&record, 1),
        })
    }

    /// Makes a change that leads to `usage`, and to that of a share. A process that dies in it leaves the
    /// counts doubtful; one that fails leaves the counts as they were.
    pub(super) fn change(
        &mut self,
        usage: Usage,
        share: Option<(Share, Usage)>,
        change: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let before = match share {
            Some((share, _)) => Some((share, self.share(share)?)),
            None => None,
        };
        self.write(UNDER_WAY, self.usage)?;
        // First what may need room on the disk.
        let changed = self.write_share(share).and_then(|()| change());
        let after = if changed.is_ok() {
            usage
        } else {
            self.write_share(before)?;
            self.usage
        };
        self.write(SETTLED, after)?;
        self.usage = after;
        self.doubtful = false;
        changed
    }

    /// Replaces all counts by what was counted.
    pub(super) fn set(&mut self, usage: Usage, shares: &HashMap<Share, Usage>) -> io::Result<()> {
        // Counted it is, also when the disk is too full to write it down.
        self.usage = usage;
        self.doubtful = true;
        self.write(UNDER_WAY, usage)?;
        self.file.set_len(RECORD as u64)?;
        for (share, used) in shares {
            self.write_share(Some((*share, *used)))?;
        }
        self.write(SETTLED, usage)?;
        self.doubtful = false;
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut record = [0; RECORD];
        self.file.seek(SeekFrom::Start(0))?;
        let complete = match self.file.read_exact(&mut record) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        self.doubtful = !complete || number(&record, 0) != SETTLED;
        self.usage = Usage {
            bytes: number(&record, 1),
            blobs: number(&record, 2),
        };
        Ok(())
    }

    fn write(&mut self, state: u64, usage: Usage) -> io::Result<()> {
        let mut record = [0; RECORD];
        for (index, number) in [state, usage.bytes, usage.blobs].into_iter().enumerate() {
            record[8 * index..8 * (index + 1)].copy_from_slice(&number.to_le_bytes());
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&record)
    }

    fn write_share(&mut self, share: Option<(Share, Usage)>) -> io::Result<()> {
        let Some((share, used)) = share else {
            return Ok(());
        };
        let mut record = [0; SHARE_RECORD];
        record[..8].copy_from_slice(&used.bytes.to_le_bytes());
        record[8..].copy_from_slice(&used.blobs.to_le_bytes());
        self.file.seek(SeekFrom::Start(share.offset()))?;
        self.file.write_all(&record)
    }
}

/// Number of a share. Two names rarely have the same one; they have one share together then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Share(u16);

impl Share {
    pub(super) fn of(holder: &Holder) -> Option<Self> {
        let hash = blake2b256(&[holder.share()?.as_bytes()]);
        let bytes = hash.as_bytes();
        Some(Self(u16::from_le_bytes([bytes[0], bytes[1]])))
    }

    pub(super) fn new(number: u16) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u16 {
        self.0
    }

    fn offset(self) -> u64 {
        RECORD as u64 + u64::from(self.0) * SHARE_RECORD as u64
    }
}

fn number(record: &[u8], index: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&record[8 * index..8 * (index + 1)]);
    u64::from_le_bytes(bytes)
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Fails only for a file that is not locked.
        let _ = self.file.unlock();
    }
}

const RECORD: usize = 24;
const SHARE_RECORD: usize = 16;
const SETTLED: u64 = 1;
const UNDER_WAY: u64 = 2;

/// The lock is held for some ten microseconds at a time; a recount of a full store takes longer.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LAST_PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_others_but_not_for_ever() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("lock");
        let one = Lock::open(&path, Duration::from_secs(60)).unwrap();
        let other = Lock::open(&path, Duration::from_millis(50)).unwrap();
        let held = one.lock().unwrap();
        let error = other.lock().err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(held);
        drop(other.lock().unwrap());
        let held = other.lock().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| drop(one.lock().unwrap()));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiter.is_finished());
            drop(held);
        });
    }

    #[test]
    fn an_unfinished_change_is_doubtful() {
        let dir = tempfile::TempDir::new().unwrap();
        let lock = Lock::open(&dir.path().join("lock"), Duration::from_secs(1)).unwrap();
        let usage = Usage { bytes: 7, blobs: 1 };
        let mut locked = lock.lock().unwrap();
        assert!(locked.is_doubtful(), "nothing was ever counted");
        locked.change(usage, None, || Ok(())).unwrap();
        drop(locked);
        let mut locked = lock.lock().unwrap();
        assert!(!locked.is_doubtful());
        assert_eq!(locked.usage(), usage);
        // One that fails changes nothing.
        let share = Share(0xffff);
        let failed = locked.change(Usage::default(), Some((share, usage)), || {
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(locked.usage(), usage);
        assert_eq!(locked.share(share).unwrap(), Usage::default());
        locked.write(UNDER_WAY, usage).unwrap();
        drop(locked);
        assert!(lock.lock().unwrap().is_doubtful());
        locked_bytes(&lock, &[0xff; 10]);
        assert!(lock.lock().unwrap().is_doubtful(), "cut short");
    }

    #[test]
    fn shares_are_counted_each_by_itself() {
        let dir = tempfile::TempDir::new().unwrap();
        let lock = Lock::open(&dir.path().join("lock"), Duration::from_secs(1)).unwrap();
        let used = |bytes| Usage { bytes, blobs: 1 };
        let mut locked = lock.lock().unwrap();
        for (share, bytes) in [(Share(0), 5), (Share(7), 6), (Share(0xffff), 7)] {
            locked
                .change(used(bytes), Some((share, used(bytes))), || Ok(()))
                .unwrap();
        }
        drop(locked);
        let mut locked = lock.lock().unwrap();
        assert_eq!(locked.share(Share(0)).unwrap(), used(5));
        assert_eq!(locked.share(Share(7)).unwrap(), used(6));
        assert_eq!(locked.share(Share(8)).unwrap(), Usage::default());
        assert_eq!(locked.share(Share(0xffff)).unwrap(), used(7));
        assert_eq!(locked.usage(), used(7));
        let counted = HashMap::from([(Share(7), used(9))]);
        locked.set(used(9), &counted).unwrap();
        drop(locked);
        let mut locked = lock.lock().unwrap();
        assert_eq!(locked.share(Share(7)).unwrap(), used(9));
        assert_eq!(locked.share(Share(0)).unwrap(), Usage::default());
        assert_eq!(locked.share(Share(0xffff)).unwrap(), Usage::default());
    }

    fn locked_bytes(lock: &Lock, bytes: &[u8]) {
        let mut file = lock.file.lock().unwrap();
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(bytes).unwrap();
    }
}
