//! Tells the other processes that there is something new.
//!
//! Each has a datagram socket in one directory; whoever commits sends a byte to all of them. A byte
//! that is lost costs at most the interval of the re-check.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::crypto::random_array;

/// This process's socket among those of its neighbours.
#[derive(Debug)]
pub(super) struct Neighbours {
    socket: UnixDatagram,
    dir: PathBuf,
    /// Held so that paths too long for a socket can be reached through it.
    handle: File,
    name: String,
}

impl Neighbours {
    /// Puts a socket into `dir`, which exists.
    pub(super) fn join(dir: &Path) -> io::Result<Self> {
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
        Ok(Self {
            socket,
            dir: dir.to_owned(),
            handle,
            name,
        })
    }

    /// The receiving end, for a thread of its own.
    pub(super) fn listener(&self) -> io::Result<Listener> {
        let socket = self.socket.try_clone()?;
        socket.set_read_timeout(Some(LISTEN_TIMEOUT))?;
        Ok(Listener { socket })
    }

    /// Tells every neighbour, at most [`NEIGHBOURS`] of them; sockets whose process is gone are removed.
    pub(super) fn notify(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let Ok(sender) = UnixDatagram::unbound() else {
            return;
        };
        if sender.set_nonblocking(true).is_err() {
            return;
        }
        for entry in entries.flatten().take(NEIGHBOURS) {
            let name = entry.file_name();
            if name == OsStr::new(&self.name) {
                continue;
            }
            let sent = sender.send_to(&[1], reachable(&self.dir, &self.handle, &name));
            // A full buffer means that it is awake already, or has its re-check.
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        let path = reachable(&self.dir, &self.handle, OsStr::new(&self.name));
        // Wakes the listener, which then finds that nobody is left to tell.
        if let Ok(sender) = UnixDatagram::unbound() {
            let _ = sender.send_to(&[0], &path);
        }
        let _ = fs::remove_file(self.dir.join(&self.name));
    }
}

/// The receiving end of a process's socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixDatagram,
}

impl Listener {
    /// Waits for a notice; `false` if there was none for a while.
    pub(super) fn wait(&self) -> bool {
        let mut byte = [0; 1];
        match self.socket.recv(&mut byte) {
            Ok(_) => true,
            Err(error) => {
                let is_timeout = matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                );
                if !is_timeout {
                    std::thread::sleep(LISTEN_TIMEOUT);
                }
                false
            }
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

/// How long a listener waits before it looks whether it is still needed.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(1);
