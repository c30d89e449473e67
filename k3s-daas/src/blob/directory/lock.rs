//! The lock of a blob directory, and the count that it guards.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::blob::Usage;

/// A file lock for other processes and a mutex for other threads of this one.
pub(super) struct Lock {
    file: Mutex<File>,
    patience: Duration,
}

impl Lock {
    pub(super) fn open(path: &Path, patience: Duration) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = Mutex::new(options.open(path)?);
        Ok(Self { file, patience })
    }

    /// Waits for the lock, but not for ever: a stopped process may hold it.
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

    /// Makes a change that leads to `usage`. A process that dies in it leaves the count doubtful;
    /// one that fails leaves the count as it was.
    pub(super) fn change(
        &mut self,
        usage: Usage,
        change: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.write(UNDER_WAY, self.usage)?;
        let changed = change();
        let after = if changed.is_ok() { usage } else { self.usage };
        self.write(SETTLED, after)?;
        self.usage = after;
        self.doubtful = false;
        changed
    }

    fn read(&mut self) -> io::Result<()> {
        let mut record = [0; RECORD];
        self.file.seek(SeekFrom::Start(0))?;
        let complete = match self.file.read_exact(&mut record) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&record[8 * index..8 * (index + 1)]);
            u64::from_le_bytes(bytes)
        };
        self.doubtful = !complete || number(0) != SETTLED;
        self.usage = Usage {
            bytes: number(1),
            blobs: number(2),
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
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Fails only for a file that is not locked.
        let _ = self.file.unlock();
    }
}

/// Three little-endian u64: state, bytes, blobs.
const RECORD: usize = 24;
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
        locked.change(usage, || Ok(())).unwrap();
        drop(locked);
        let mut locked = lock.lock().unwrap();
        assert!(!locked.is_doubtful());
        assert_eq!(locked.usage(), usage);
        // One that fails changes nothing.
        let failed = locked.change(Usage::default(), || Err(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(locked.usage(), usage);
        locked.write(UNDER_WAY, usage).unwrap();
        drop(locked);
        assert!(lock.lock().unwrap().is_doubtful());
        locked_bytes(&lock, &[0xff; 10]);
        assert!(lock.lock().unwrap().is_doubtful(), "cut short");
    }

    fn locked_bytes(lock: &Lock, bytes: &[u8]) {
        let mut file = lock.file.lock().unwrap();
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(bytes).unwrap();
    }
}
