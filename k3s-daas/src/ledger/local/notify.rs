//! Tells the other processes that there is something new, and wakes the engine when they tell it.
//!
//! Each has a datagram socket in one directory; whoever commits sends a byte to all of them. A byte
//! that is lost costs at most the interval of the re-check. The engine waits on its socket alone, so
//! who has something for it in its own process sends a byte as well, if it sleeps.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::RecvFlags;

use crate::crypto::random_array;

/// This process's socket among those of its neighbours.
#[derive(Debug)]
pub(super) struct Neighbours {
    socket: UnixDatagram,
    /// Sends without ever waiting.
    sender: UnixDatagram,
    is_asleep: Arc<AtomicBool>,
    dir: PathBuf,
    /// Held so that paths too long for a socket can be reached through it.
    handle: File,
    name: String,
}

/// Why [`Neighbours::wait`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Another process has written something, or nobody said anything for a while.
    Notice,
    /// Somebody in this process has something.
    Here,
}

impl Neighbours {
    /// Puts a socket into `dir`, which exists; [`Neighbours::wait`] waits `patience` at most.
    pub(super) fn join(dir: &Path, patience: Duration) -> io::Result<Self> {
        let handle = File::open(dir)?;
        let name = format!(
            "{}-{}",
            std::process::id(),
            hex::encode(random_array::<8>())
        );
        let path = reachable(dir, &handle, OsStr::new(&name));
        let socket = UnixDatagram::bind(&path)?;
        // Who can write to it can wake this process; the directory is closed to others, this is too.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        socket.set_read_timeout(Some(patience))?;
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        Ok(Self {
            socket,
            sender,
            is_asleep: Arc::default(),
            dir: dir.to_owned(),
            handle,
            name,
        })
    }

    /// What wakes the one who waits.
    pub(super) fn waker(&self) -> io::Result<Waker> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(reachable(&self.dir, &self.handle, OsStr::new(&self.name)))?;
        let is_asleep = Arc::clone(&self.is_asleep);
        Ok(Waker { socket, is_asleep })
    }

    /// Waits for a notice, unless `found` finds something to do once [`Waker::wake`] would wake it.
    pub(super) fn wait<T>(&self, found: impl FnOnce() -> Option<T>) -> Result<T, Woken> {
        self.is_asleep.store(true, Ordering::SeqCst);
        if let Some(found) = found() {
            self.is_asleep.store(false, Ordering::SeqCst);
            return Ok(found);
        }
        let mut byte = [0; 1];
        let received = self.socket.recv(&mut byte);
        self.is_asleep.store(false, Ordering::SeqCst);
        match received {
            Ok(_) => {}
            Err(error) => {
                let is_timeout = matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                );
                if !is_timeout {
                    std::thread::sleep(AFTER_ERROR);
                }
                return Err(Woken::Notice);
            }
        }
        // What was sent meanwhile is answered by one look.
        let mut is_notice = byte == NOTICE;
        for _ in 0..NEIGHBOURS {
            match rustix::net::recv(&self.socket, &mut byte, RecvFlags::DONTWAIT) {
                Ok(_) => is_notice |= byte == NOTICE,
                Err(_) => break,
            }
        }
        Err(if is_notice {
            Woken::Notice
        } else {
            Woken::Here
        })
    }

    /// Tells every neighbour, at most [`NEIGHBOURS`] of them; sockets whose process is gone are removed.
    pub(super) fn notify(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten().take(NEIGHBOURS) {
            let name = entry.file_name();
            if name == OsStr::new(&self.name) {
                continue;
            }
            let path = reachable(&self.dir, &self.handle, &name);
            let sent = self.sender.send_to(&NOTICE, path);
            // A full buffer means that it is awake already, or has its re-check.
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.dir.join(&self.name));
    }
}

/// Wakes the thread that waits in [`Neighbours::wait`].
#[derive(Debug)]
pub(super) struct Waker {
    socket: UnixDatagram,
    is_asleep: Arc<AtomicBool>,
}

impl Waker {
    pub(super) fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::Relaxed)
    }

    /// Costs nothing if it does not sleep.
    pub(super) fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            // A full buffer wakes it too.
            let _ = self.socket.send(&WAKE);
        }
    }
}

/// A path of at most 107 bytes, which is what a socket's address can hold.
fn reachable(dir: &Path, handle: &File, name: &OsStr) -> PathBuf {
    let path = dir.join(name);
    if path.as_os_str().len() <= 100 || !cfg!(target_os = "linux") {
        return path;
    }
    Path::new("/proc/self/fd")
        .join(handle.as_raw_fd().to_string())
        .join(name)
}

/// More processes than ever use one ledger; the rest have their re-check.
const NEIGHBOURS: usize = 256;

/// Says that something was written.
const NOTICE: [u8; 1] = [1];
/// Says that the engine is asked for something by its own process.
const WAKE: [u8; 1] = [0];

/// A socket that fails is not asked again at once.
const AFTER_ERROR: Duration = Duration::from_millis(100);
