//! Files that only their owner may read: keys, credentials, tokens.
//!
//! Written whole or not at all: a temporary file in the same directory, mode 0600 from the moment
//! it exists, synced, then moved into place, then the directory synced. Read only if nobody else
//! could have. On systems without Unix modes the mode is neither set nor checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::hash::random_array;

/// Writes `bytes` to `path`, replacing what is there (a symbolic link itself, not its target).
///
/// A crash leaves the old file or the new one, never a mixture. The directory must exist.
///
/// # Errors
/// [`PrivateFileError::Io`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let temporary = Temporary::write(path, bytes)?;
    fs::rename(&temporary.path, path).map_err(|source| io_error(path, source))?;
    sync_directory_of(path)
}

/// Writes `bytes` to `path` unless something is there already; whether it did.
///
/// Of several processes that try at once exactly one gets `true`, and the others then read its
/// complete file. Needs a file system with hard links.
///
/// # Errors
/// [`PrivateFileError::Io`].
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<bool, PrivateFileError> {
    let temporary = Temporary::write(path, bytes)?;
    // Unlike a rename, a hard link never replaces.
    match fs::hard_link(&temporary.path, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(source) => return Err(io_error(path, source)),
    }
    drop(temporary);
    sync_directory_of(path)?;
    Ok(true)
}

/// Reads a file that is nobody else's to read, at most 1 MiB; wiped when dropped.
///
/// Follows symbolic links (Kubernetes mounts secrets as such); what counts is the file's mode.
///
/// # Errors
/// - [`PrivateFileError::Exposed`]: its group or others may read, write or execute it.
/// - [`PrivateFileError::NotAFile`], [`PrivateFileError::TooLarge`].
/// - [`PrivateFileError::Io`], also when there is no such file.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let fail = |source| io_error(path, source);
    // Asked first, since opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(fail)?.is_file() {
        return Err(PrivateFileError::NotAFile { path: path.into() });
    }
    let mut file = File::open(path).map_err(fail)?;
    // Asked again of the open file: the path may lead elsewhere by now.
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NotAFile { path: path.into() });
    }
    check_mode(path, &metadata)?;
    let len = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if len > MAX_BYTES {
        return Err(PrivateFileError::TooLarge { path: path.into() });
    }
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; len]);
    let mut filled = 0;
    while filled < len {
        match file.read(&mut bytes[filled..]).map_err(fail)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Refuses a private file in whose directory others can put another one in its place, whatever its own
/// mode is. Where the sticky bit is set (`/tmp`, mounted Kubernetes secrets) they cannot.
///
/// # Errors
/// - [`PrivateFileError::ExposedDirectory`]: group or others may write there.
/// - [`PrivateFileError::Io`], also when there is no such directory.
pub fn check_parent_of_private(path: &Path) -> Result<(), PrivateFileError> {
    let directory = directory_of(path);
    let metadata = fs::metadata(directory).map_err(|source| io_error(path, source))?;
    check_directory_mode(directory, &metadata)
}

/// Refuses a file that others may write, or put another one in the place of.
///
/// # Errors
/// - [`PrivateFileError::Exposed`]: group or others may write it.
/// - [`PrivateFileError::ExposedDirectory`]: group or others may write in its directory.
/// - [`PrivateFileError::Io`], also when there is no such file.
pub fn check_not_writable(path: &Path) -> Result<(), PrivateFileError> {
    let metadata = fs::metadata(path).map_err(|source| io_error(path, source))?;
    #[cfg(unix)]
    if mode_of(&metadata) & 0o022 != 0 {
        return Err(PrivateFileError::Exposed {
            path: path.into(),
            mode: mode_of(&metadata),
        });
    }
    #[cfg(not(unix))]
    let _ = metadata;
    check_parent_of_private(path)
}

/// Why a private file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// Others than the owner have access.
    #[error(
        "{} has mode {mode:04o}, so others can reach what must be private; run: chmod 600 {}",
        .path.display(), .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than the owner can replace files in the directory.
    #[error(
        "{} has mode {mode:04o}, so others can replace what is in it; run: chmod go-w {}",
        .path.display(), .path.display()
    )]
    ExposedDirectory {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a device, a pipe.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// No key or credential is that long.
    #[error("{} is larger than 1 MiB, which no private file is", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot use {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl PrivateFileError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A written and synced file beside its destination, removed when dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(destination: &Path, bytes: &[u8]) -> Result<Self, PrivateFileError> {
        let Some(name) = destination.file_name() else {
            return Err(PrivateFileError::NotAFile {
                path: destination.into(),
            });
        };
        let directory = directory_of(destination);
        let name = name.to_string_lossy();
        remove_left(directory, &name);
        let random = hex::encode(random_array::<8>());
        let path = directory.join(format!(".{name}.{random}{TEMPORARY}"));
        let mut file = create_new_private(&path).map_err(|source| io_error(&path, source))?;
        let temporary = Self { path };
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|source| io_error(&temporary.path, source))?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename it is gone already; otherwise leaving it behind is all that can happen.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what writers of a file have left who were killed: it may hold a key that is replaced since.
fn remove_left(directory: &Path, name: &str) {
    let is_old = |metadata: fs::Metadata| {
        let age = metadata
            .modified()
            .ok()
            .and_then(|time| time.elapsed().ok());
        metadata.is_file() && age.is_some_and(|age| age > LEFT_AFTER)
    };
    // What cannot be looked at or removed keeps nobody from writing.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let random = found
            .to_str()
            .and_then(|found| {
                found
                    .strip_prefix('.')?
                    .strip_prefix(name)?
                    .strip_prefix('.')
            })
            .and_then(|found| found.strip_suffix(TEMPORARY));
        let is_ours =
            random.is_some_and(|random| random.len() == 16 && hex::decode(random).is_ok());
        if is_ours && entry.metadata().is_ok_and(is_old) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn sync_directory_of(path: &Path) -> Result<(), PrivateFileError> {
    let directory = directory_of(path);
    sync_directory(directory).map_err(|source| io_error(directory, source))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes creations, renames and removals in `directory` durable.
#[cfg(unix)]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file that does not exist yet for writing, mode 0600.
pub(crate) fn create_new_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let mode = mode_of(metadata);
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Exposed {
            path: path.into(),
            mode,
        });
    }
    Ok(())
}

#[cfg(unix)]
fn check_directory_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    let mode = mode_of(metadata);
    let is_sticky = mode & 0o1000 != 0;
    if mode & 0o022 != 0 && !is_sticky {
        return Err(PrivateFileError::ExposedDirectory {
            path: path.into(),
            mode,
        });
    }
    Ok(())
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777
}

#[cfg(not(unix))]
fn check_directory_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &fs::Metadata) -> Result<(), PrivateFileError> {
    Ok(())
}

fn io_error(path: &Path, source: io::Error) -> PrivateFileError {
    PrivateFileError::Io {
        path: path.into(),
        source,
    }
}

const TEMPORARY: &str = ".tmp";
/// Writing takes moments.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// The largest file that is read: bounds what a wrong path can cost.
const MAX_BYTES: usize = 1024 * 1024;

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names(dir: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(dir.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        for bytes in [&b"first"[..], b"", b"third and longer", &[7; MAX_BYTES]] {
            write_private(&path, bytes).unwrap();
            assert_eq!(&**read_private(&path).unwrap(), bytes);
            assert_eq!(mode(&path), 0o600);
        }
        assert_eq!(names(&dir), ["key"], "nothing is left behind");
    }

    #[test]
    fn what_killed_writers_left_is_removed() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        let left = |name: &str, is_old: bool| {
            let file = File::create(dir.path().join(name)).unwrap();
            if is_old {
                let long_ago = std::time::SystemTime::now() - 2 * LEFT_AFTER;
                file.set_modified(long_ago).unwrap();
            }
        };
        left(".key.0123456789abcdef.tmp", true);
        let kept = [
            // Somebody may be writing it.
            (".key.fedcba9876543210.tmp", false),
            // These are not ours.
            (".key.0123456789abcde.tmp", true),
            (".key.0123456789abcdeg.tmp", true),
            (".key2.0123456789abcdef.tmp", true),
            ("key.0123456789abcdef.tmp", true),
        ];
        for (name, is_old) in kept {
            left(name, is_old);
        }
        write_private(&path, b"new").unwrap();
        let mut names = names(&dir);
        names.sort_unstable();
        let mut expected = kept.map(|(name, _)| name).to_vec();
        expected.push("key");
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn replacing_closes_what_was_open() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "open").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        write_private(&path, b"closed").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(&**read_private(&path).unwrap(), b"closed");
    }

    #[test]
    fn a_link_is_replaced_and_its_target_kept() {
        let dir = TempDir::new().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("key"));
        write_private(&target, b"target").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert_eq!(&**read_private(&path).unwrap(), b"target");
        assert!(!create_private(&path, b"new").unwrap());
        write_private(&path, b"new").unwrap();
        assert_eq!(&**read_private(&target).unwrap(), b"target");
        assert_eq!(&**read_private(&path).unwrap(), b"new");
    }

    #[test]
    fn creating_never_replaces() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        assert!(create_private(&path, b"first").unwrap());
        assert!(!create_private(&path, b"second").unwrap());
        assert_eq!(&**read_private(&path).unwrap(), b"first");
        assert_eq!(names(&dir), ["key"], "nothing is left behind");
    }

    #[test]
    fn of_many_that_create_one_does() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        let results: Vec<_> = std::thread::scope(|scope| {
            let create = |n: u8| {
                let path = &path;
                scope.spawn(move || {
                    let created = create_private(path, &[n; 1000]).unwrap();
                    (n, created, read_private(path).unwrap().to_vec())
                })
            };
            let threads: Vec<_> = (0..16).map(create).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let creators: Vec<_> = results.iter().filter(|(_, created, _)| *created).collect();
        assert_eq!(creators.len(), 1);
        for (_, _, seen) in &results {
            assert_eq!(*seen, [creators[0].0; 1000]);
        }
    }

    #[test]
    fn what_others_can_reach_is_refused() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        write_private(&path, b"secret").unwrap();
        for exposed in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(exposed)).unwrap();
            let error = read_private(&path).unwrap_err();
            assert!(
                matches!(error, PrivateFileError::Exposed { mode, .. } if mode == exposed),
                "{error:?}"
            );
            let text = error.to_string();
            assert!(
                text.contains(&format!("chmod 600 {}", path.display())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        for (mode, is_open) in [
            (0o700, false),
            (0o755, false),
            (0o1777, false),
            (0o3775, false),
            (0o777, true),
            (0o770, true),
            (0o720, true),
            (0o702, true),
            (0o2775, true),
        ] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            let checked = check_parent_of_private(&path);
            assert_eq!(checked.is_err(), is_open, "{mode:o}: {checked:?}");
            if let Err(error) = checked {
                let text = error.to_string();
                let command = format!("chmod go-w {}", dir.path().display());
                assert!(text.contains(&command), "{text}");
            }
        }
        let missing = check_parent_of_private(&dir.path().join("no/key")).unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
        // A bare name lies in the working directory.
        assert!(!matches!(
            check_parent_of_private(Path::new("key")),
            Err(PrivateFileError::Io { .. })
        ));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = TempDir::new().unwrap();
        assert!(matches!(
            read_private(dir.path()),
            Err(PrivateFileError::NotAFile { .. })
        ));
        assert!(matches!(
            read_private(Path::new("/dev/zero")),
            Err(PrivateFileError::NotAFile { .. })
        ));
        let missing = read_private(&dir.path().join("missing")).unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
        let nowhere = write_private(&dir.path().join("no/where"), b"").unwrap_err();
        assert!(nowhere.is_not_found(), "{nowhere:?}");
        assert!(write_private(Path::new("/"), b"").is_err());
        let path = dir.path().join("key");
        write_private(&path, &[0; MAX_BYTES + 1]).unwrap();
        assert!(matches!(
            read_private(&path),
            Err(PrivateFileError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("key");
        // A directory cannot be replaced by a file.
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "kept").unwrap();
        assert!(write_private(&path, b"new").is_err());
        assert_eq!(fs::read_to_string(path.join("inside")).unwrap(), "kept");
        assert_eq!(names(&dir), ["key"], "nothing is left behind");
    }
}
