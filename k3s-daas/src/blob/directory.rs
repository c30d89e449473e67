//! Blobs in a directory, encrypted at rest, shared by the processes of one machine.
//!
//! ```text
//! DIR/format                      version, and which key the blobs are sealed with
//! DIR/lock                        file lock of every change; holds the counts of bytes and blobs
//! DIR/blobs/<hash>/body           the sealed blob
//! DIR/blobs/<hash>/share-<number> empty: which share it counts to
//! DIR/blobs/<hash>/<holder>~<ms>  empty: a hold, and when it ends (Unix milliseconds)
//! DIR/tmp/<random>                on the way in or out
//! ```
//!
//! A blob enters as one rename of a directory that has its body and its first hold in it, and
//! leaves as one rename, both under the lock. So a process that dies, whenever it dies, leaves a
//! complete blob with a hold or something in `tmp` that the next sweep removes. Reading takes no
//! lock: a body, once in place, never changes.

mod lock;
mod seal;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use self::lock::{Lock, Locked, Share};
use self::seal::{Sealer, key_id, load_or_create_key};
use super::{
    AnswerKeep, BlobStore, Durability, Error, Holder, Limits, MAX_HOLDERS, Occupied, Purpose,
    Result, Swept, Usage,
};
use crate::crypto::{
    Blob, BlobHash, create_new_private, create_private, random_array, sync_directory,
};

/// A store in a directory of a local file system.
///
/// Several processes may use the directory at once, each with its own `DirectoryBlobStore` and
/// the same key file. Cloning shares the store. Blocking work runs on Tokio's blocking threads.
///
/// Blobs are sealed with XChaCha20-Poly1305, their hash as associated data: a file that was
/// altered, cut or put in another's place is [`Error::Corrupt`]. File names show hashes, holders
/// (hashes of token and request ID) and ends, sizes show lengths; the ledger shows all of these too.
///
/// A share ([`Holder::share`]) is counted by a number of 16 bits made of its name, so two of many tokens
/// may have one share together.
///
/// Holds end by the wall clock, which the processes share: one that is set forward by hours ends
/// holds early.
#[derive(Clone)]
pub struct DirectoryBlobStore {
    inner: Arc<Inner>,
}

impl DirectoryBlobStore {
    /// 1 GiB in at most 262,144 blobs of at most 64 MiB.
    pub const DEFAULT_LIMITS: Limits = Limits::new(1 << 30, 1 << 18, 64 << 20);

    /// A store in `directory`, sealed with the key in `key_file`.
    ///
    /// Both are made if they do not exist; the key file must be outside the directory.
    #[must_use]
    pub fn builder(
        directory: impl Into<PathBuf>,
        key_file: impl Into<PathBuf>,
    ) -> DirectoryBlobStoreBuilder {
        DirectoryBlobStoreBuilder {
            directory: directory.into(),
            key_file: key_file.into(),
            limits: Self::DEFAULT_LIMITS,
            durability: Durability::Synced,
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(unavailable)?
    }
}

impl fmt::Debug for DirectoryBlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryBlobStore")
            .field("directory", &self.inner.root)
            .field("limits", &self.inner.limits)
            .field("durability", &self.inner.durability)
            .finish_non_exhaustive()
    }
}

/// Builds a [`DirectoryBlobStore`].
#[derive(Debug, Clone)]
pub struct DirectoryBlobStoreBuilder {
    directory: PathBuf,
    key_file: PathBuf,
    limits: Limits,
    durability: Durability,
}

impl DirectoryBlobStoreBuilder {
    /// Other limits than [`DirectoryBlobStore::DEFAULT_LIMITS`]; each process applies its own.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The most that a put survives; [`Durability::Synced`] unless set, less for tests and demos.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens the store, making directory and key file if need be, and counts what is in it.
    ///
    /// Blocks for the time that takes: milliseconds for thousands of blobs.
    ///
    /// # Errors
    /// - [`Error::Key`]: the key file is readable by others, or not to be read at all.
    /// - [`Error::WrongKey`]: it is gone, is no key file, or has another key than the blobs.
    /// - [`Error::Unusable`]: the directory is not a blob store, is one of a newer version, holds its
    ///   key, or lets others in.
    /// - [`Error::Unavailable`].
    pub fn open(self) -> Result<DirectoryBlobStore> {
        let root = self.directory;
        make_directory(&root)?;
        check_directory(&root)?;
        let format = root.join(FORMAT_FILE);
        let fresh = !exists(&format)?;
        let key = load_or_create_key(&root, &self.key_file, fresh)?;
        if fresh {
            let text = format!("{FORMAT_LINE}\nkey {}\n", key_id(&key));
            create_private(&format, text.as_bytes()).map_err(unavailable)?;
        }
        check_format(&root, &self.key_file, &key_id(&key))?;
        make_directory(&root.join(BLOBS))?;
        make_directory(&root.join(TEMPORARY))?;
        let inner = Inner {
            lock: Lock::open(&root.join(LOCK_FILE), LOCK_PATIENCE).map_err(unavailable)?,
            root,
            sealer: Sealer::new(&key),
            limits: self.limits,
            durability: self.durability,
            swept_when_full: Mutex::new(None),
        };
        // Not trusted across a power failure, and this is the moment to look.
        let mut locked = inner.lock()?;
        inner.recount(&mut locked)?;
        drop(locked);
        Ok(DirectoryBlobStore {
            inner: Arc::new(inner),
        })
    }
}

#[async_trait]
impl BlobStore for DirectoryBlobStore {
    async fn put(&self, blob: &Blob, holder: &Holder, keep: Duration) -> Result<BlobHash> {
        let (blob, holder) = (blob.clone(), holder.clone());
        let durability = Durability::Synced;
        self.blocking(move |inner| {
            inner.put(&blob, &holder, Purpose::Payload, durability, |_| keep)
        })
        .await
    }

    async fn put_answer(&self, blob: &Blob, holder: &Holder, keep: AnswerKeep) -> Result<BlobHash> {
        let (blob, holder) = (blob.clone(), holder.clone());
        self.blocking(move |inner| {
            let purpose = Purpose::answer(&blob);
            inner.put(&blob, &holder, purpose, keep.durability, |now| {
                inner.limits.answer_keep(now, keep)
            })
        })
        .await
    }

    async fn fetch(&self, hash: &BlobHash) -> Result<Blob> {
        let hash = *hash;
        self.blocking(move |inner| inner.fetch(&hash)).await
    }

    async fn fetch_held(&self, hash: &BlobHash, holder: &Holder) -> Result<Blob> {
        let (hash, holder) = (*hash, holder.clone());
        self.blocking(move |inner| {
            let locked = inner.lock()?;
            let holds = read_holds(&inner.blob_directory(&hash))?.unwrap_or_default();
            drop(locked);
            let now = now_ms();
            let is_held = |hold: &&Hold| hold.holder == holder.as_str() && hold.end_ms > now;
            if !holds.iter().any(|hold| is_held(&hold)) {
                return Err(inner.not_found(&hash));
            }
            inner.fetch(&hash)
        })
        .await
    }

    async fn retain(&self, hash: &BlobHash, holder: &Holder, keep: Duration) -> Result<()> {
        let (hash, holder, end) = (*hash, holder.clone(), end_ms(keep));
        self.blocking(move |inner| {
            let locked = inner.lock()?;
            let mut is_longer = false;
            let held = inner.hold(&locked, &hash, &holder, |old| {
                is_longer = end > old;
                end
            })?;
            drop(locked);
            if !held {
                return Err(inner.not_found(&hash));
            }
            // An earlier end that the machine takes with it keeps the blob longer, and nothing is lost.
            if is_longer {
                inner.sync(&inner.blob_directory(&hash), Durability::Synced)?;
            }
            Ok(())
        })
        .await
    }

    async fn release(&self, hash: &BlobHash, holder: &Holder) -> Result<()> {
        let (hash, holder) = (*hash, holder.clone());
        self.blocking(move |inner| inner.release(&hash, &holder))
            .await
    }

    async fn sweep(&self) -> Result<Swept> {
        self.blocking(Inner::sweep).await
    }

    async fn usage(&self) -> Result<Usage> {
        self.blocking(|inner| Ok(inner.lock()?.usage())).await
    }
}

struct Inner {
    root: PathBuf,
    lock: Lock,
    sealer: Sealer,
    limits: Limits,
    durability: Durability,
    swept_when_full: Mutex<Option<Instant>>,
}

impl Inner {
    fn put(
        &self,
        blob: &Blob,
        holder: &Holder,
        purpose: Purpose,
        durability: Durability,
        keep: impl FnOnce(&Occupied) -> Duration,
    ) -> Result<BlobHash> {
        self.limits.check_blob(blob)?;
        let durability = durability.min(self.durability);
        let hash = blob.hash();
        let sealed_len = Sealer::sealed_len(blob.as_bytes().len() as u64);
        let share = Share::of(holder);
        let end;
        if self.is_intact(&hash)? {
            let now = self.occupied(&mut self.lock()?, share)?;
            end = end_ms(keep(&now));
            if self.hold_intact(&hash, holder, end, durability)? {
                return Ok(hash);
            }
            self.make_room(purpose, share, sealed_len)?;
        } else {
            let now = self.make_room(purpose, share, sealed_len)?;
            end = end_ms(keep(&now));
        }

        // The slow part, outside the lock.
        let incoming = self.temporary();
        create_directory(&incoming.path).map_err(write_error)?;
        let body = incoming.path.join(BODY);
        let names = [Some(hold_name(holder, end)), share.map(Share::file_name)];
        for name in names.into_iter().flatten() {
            create_new_private(&incoming.path.join(name)).map_err(write_error)?;
        }
        // Last, since syncing it brings the names along on most file systems.
        self.write_body(&body, &hash, blob, durability)
            .map_err(write_error)?;
        if durability == Durability::Synced {
            sync_directory(&incoming.path).map_err(write_error)?;
        }

        let mut locked = self.lock()?;
        let place = self.blob_directory(&hash);
        if self.hold(&locked, &hash, holder, |old| old.max(end))? {
            // Somebody else was faster, or what is there is corrupt and ours takes its place.
            let there = place.join(BODY);
            let old_len = fs::metadata(&there).map_or(0, |metadata| metadata.len());
            let share = read_share(&place)?;
            let now = self.occupied(&mut locked, share)?;
            let replaced = |mut usage: Usage| {
                usage.bytes = usage.bytes.saturating_sub(old_len) + sealed_len;
                usage
            };
            let counted = share.zip(now.share.map(replaced));
            locked
                .change(replaced(now.all), counted, || fs::rename(&body, &there))
                .map_err(write_error)?;
            drop(locked);
            self.sync(&place, durability)?;
        } else {
            let now = self.occupied(&mut locked, share)?;
            self.limits.check_room(purpose, &now, sealed_len)?;
            let counted = share.zip(now.share.map(|used| used.plus(sealed_len)));
            locked
                .change(now.all.plus(sealed_len), counted, || {
                    fs::rename(&incoming.path, &place)
                })
                .map_err(write_error)?;
            drop(locked);
            self.sync(&self.root.join(BLOBS), durability)?;
        }
        Ok(hash)
    }

    /// What is used, as it counts for a share.
    fn occupied(&self, locked: &mut Locked<'_>, share: Option<Share>) -> Result<Occupied> {
        let used = share.map(|share| locked.share(share)).transpose();
        Ok(Occupied {
            all: locked.usage(),
            share: used.map_err(unavailable)?,
        })
    }

    /// Whether a blob is there and can be read.
    fn is_intact(&self, hash: &BlobHash) -> Result<bool> {
        match self.fetch(hash) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::Corrupt { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Adds a hold to a blob that could be read just now; whether it is still there.
    fn hold_intact(
        &self,
        hash: &BlobHash,
        holder: &Holder,
        end: u64,
        durability: Durability,
    ) -> Result<bool> {
        let locked = self.lock()?;
        let held = self.hold(&locked, hash, holder, |old| old.max(end))?;
        drop(locked);
        if held {
            let directory = self.blob_directory(hash);
            // It may have been put before as what survives less.
            if durability == Durability::Synced
                && let Ok(body) = File::open(directory.join(BODY))
            {
                body.sync_all().map_err(write_error)?;
            }
            self.sync(&directory, durability)?;
        }
        Ok(held)
    }

    /// What is used, if `len` more bytes fit. Sweeps if they do not, but not again and again.
    fn make_room(&self, purpose: Purpose, share: Option<Share>, len: u64) -> Result<Occupied> {
        let fitting = |inner: &Self| {
            let now = inner.occupied(&mut inner.lock()?, share)?;
            inner.limits.check_room(purpose, &now, len)?;
            Ok(now)
        };
        let error = match fitting(self) {
            Ok(now) => return Ok(now),
            Err(error) => error,
        };
        {
            let mut last = self
                .swept_when_full
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < SWEEP_WHEN_FULL_EVERY) {
                return Err(error);
            }
            *last = Some(Instant::now());
        }
        self.sweep()?;
        fitting(self)
    }

    fn fetch(&self, hash: &BlobHash) -> Result<Blob> {
        let mut file = match File::open(self.blob_directory(hash).join(BODY)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.not_found(hash));
            }
            Err(error) => return Err(unavailable(error)),
        };
        let corrupt = |reason| Error::Corrupt {
            hash: *hash,
            reason,
        };
        let metadata = file.metadata().map_err(unavailable)?;
        if !metadata.is_file() {
            return Err(corrupt("it is not a file"));
        }
        let limit = self.limits.max_blob_bytes;
        let Some(len) = Sealer::opened_len(metadata.len()) else {
            return Err(corrupt("its file is cut short"));
        };
        if len > limit {
            return Err(Error::TooLarge { len, limit });
        }
        let mut sealed = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // A file that grows while it is read is not read for ever.
        (&mut file)
            .take(metadata.len())
            .read_to_end(&mut sealed)
            .map_err(unavailable)?;
        let bytes = self.sealer.open(hash, sealed).map_err(corrupt)?;
        let blob = Blob::from_bytes(bytes).map_err(|_| corrupt("it has no salt"))?;
        if blob.hash() != *hash {
            return Err(corrupt("its hash is another"));
        }
        Ok(blob)
    }

    /// “Not there” only if the store itself is: an unmounted disk has no blobs either.
    fn not_found(&self, hash: &BlobHash) -> Error {
        match fs::metadata(self.root.join(FORMAT_FILE)) {
            Ok(_) => Error::NotFound { hash: *hash },
            Err(error) => unavailable(error),
        }
    }

    /// Sets the hold of `holder` to the end that `end` makes of the present one (0 if none);
    /// whether the blob is there.
    fn hold(
        &self,
        _locked: &Locked<'_>,
        hash: &BlobHash,
        holder: &Holder,
        end: impl FnOnce(u64) -> u64,
    ) -> Result<bool> {
        let directory = self.blob_directory(hash);
        let Some(holds) = read_holds(&directory)? else {
            return Ok(false);
        };
        let now = now_ms();
        let old = holds.iter().find(|hold| hold.holder == holder.as_str());
        let end = end(old.map_or(0, |old| old.end_ms));
        let new = directory.join(hold_name(holder, end));
        match old {
            Some(old) if old.end_ms == end => {}
            Some(old) => fs::rename(old.path(&directory), new).map_err(unavailable)?,
            None => {
                let live = holds.iter().filter(|hold| hold.end_ms > now).count();
                if live >= MAX_HOLDERS {
                    return Err(Error::TooManyHolders { hash: *hash });
                }
                create_new_private(&new).map_err(write_error)?;
            }
        }
        Ok(true)
    }

    fn release(&self, hash: &BlobHash, holder: &Holder) -> Result<()> {
        let mut locked = self.lock()?;
        let directory = self.blob_directory(hash);
        let Some(holds) = read_holds(&directory)? else {
            return match self.not_found(hash) {
                Error::NotFound { .. } => Ok(()),
                other => Err(other),
            };
        };
        let now = now_ms();
        let (released, others): (Vec<_>, Vec<_>) = holds
            .iter()
            .partition(|hold| hold.holder == holder.as_str());
        if released.is_empty() {
            return Ok(());
        }
        if others.iter().any(|hold| hold.end_ms > now) {
            for hold in released {
                fs::remove_file(hold.path(&directory)).map_err(unavailable)?;
            }
            return Ok(());
        }
        // The last one: the directory goes as a whole, or not at all.
        let removed = self.take_out(&mut locked, &directory)?;
        drop(locked);
        drop(removed);
        Ok(())
    }

    fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        let now = now_ms();
        for directory in self.blob_directories()? {
            let directory = directory?;
            let over =
                |holds: &[Hold]| holds.is_empty() || holds.iter().any(|hold| hold.end_ms <= now);
            // Looked at without the lock first, so that a sweep with nothing to do disturbs nobody.
            match read_holds(&directory)? {
                Some(holds) if over(&holds) => {}
                _ => continue,
            }
            let mut locked = self.lock()?;
            let Some(holds) = read_holds(&directory)? else {
                continue;
            };
            let (ended, live): (Vec<_>, Vec<_>) = holds.iter().partition(|hold| hold.end_ms <= now);
            swept.holds += ended.len() as u64;
            if live.is_empty() {
                let removed = self.take_out(&mut locked, &directory)?;
                drop(locked);
                drop(removed);
                swept.blobs += 1;
            } else {
                for hold in ended {
                    fs::remove_file(hold.path(&directory)).map_err(unavailable)?;
                }
            }
        }
        swept.orphans = self.sweep_temporaries()?;
        Ok(swept)
    }

    /// Removes what crashes left in `tmp`; what is younger may still be in use.
    fn sweep_temporaries(&self) -> Result<u64> {
        let mut orphans = 0;
        for entry in fs::read_dir(self.root.join(TEMPORARY)).map_err(unavailable)? {
            let entry = entry.map_err(unavailable)?;
            let modified = match entry.metadata().and_then(|metadata| metadata.modified()) {
                Ok(modified) => modified,
                // Its owner has finished with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unavailable(error)),
            };
            let age = SystemTime::now().duration_since(modified);
            if age.is_ok_and(|age| age >= ORPHANED_AFTER) {
                drop(Temporary { path: entry.path() });
                orphans += 1;
            }
        }
        Ok(orphans)
    }

    /// Moves a blob out of the store. What is returned deletes it, which needs no lock.
    fn take_out(&self, locked: &mut Locked<'_>, directory: &Path) -> Result<Temporary> {
        let outgoing = self.temporary();
        let len = fs::metadata(directory.join(BODY)).map_or(0, |metadata| metadata.len());
        let share = read_share(directory)?;
        let now = self.occupied(locked, share)?;
        let counted = share.zip(now.share.map(|used| used.minus(len)));
        locked
            .change(now.all.minus(len), counted, || {
                fs::rename(directory, &outgoing.path)
            })
            .map_err(unavailable)?;
        Ok(outgoing)
    }

    fn lock(&self) -> Result<Locked<'_>> {
        let mut locked = self.lock.lock().map_err(unavailable)?;
        if locked.is_doubtful() {
            self.recount(&mut locked)?;
        }
        Ok(locked)
    }

    fn recount(&self, locked: &mut Locked<'_>) -> Result<()> {
        let mut usage = Usage::default();
        let mut shares = HashMap::<Share, Usage>::new();
        for directory in self.blob_directories()? {
            let directory = directory?;
            let len = fs::metadata(directory.join(BODY)).map_or(0, |metadata| metadata.len());
            usage = usage.plus(len);
            if let Some(share) = read_share(&directory)? {
                let used = shares.entry(share).or_default();
                *used = used.plus(len);
            }
        }
        locked.set(usage, &shares).map_err(unavailable)
    }

    fn write_body(
        &self,
        path: &Path,
        hash: &BlobHash,
        blob: &Blob,
        durability: Durability,
    ) -> io::Result<()> {
        let (header, sealed) = self.sealer.seal(hash, blob.as_bytes());
        let mut file = create_new_private(path)?;
        file.write_all(&header)?;
        file.write_all(&sealed)?;
        if durability == Durability::Synced {
            file.sync_all()?;
        }
        Ok(())
    }

    fn sync(&self, directory: &Path, durability: Durability) -> Result<()> {
        if durability.min(self.durability) == Durability::Cached {
            return Ok(());
        }
        match sync_directory(directory) {
            // Removed meanwhile by somebody who may.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(unavailable),
        }
    }

    fn temporary(&self) -> Temporary {
        let name = hex::encode(random_array::<16>());
        Temporary {
            path: self.root.join(TEMPORARY).join(name),
        }
    }

    /// Those of all blobs; other things that somebody put there are passed over.
    fn blob_directories(&self) -> Result<impl Iterator<Item = Result<PathBuf>>> {
        let entries = fs::read_dir(self.root.join(BLOBS)).map_err(unavailable)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) => {
                let name = entry.file_name();
                let is_hash = name
                    .to_str()
                    .is_some_and(|name| name.parse::<BlobHash>().is_ok());
                is_hash.then(|| Ok(entry.path()))
            }
            Err(error) => Some(Err(unavailable(error))),
        }))
    }

    fn blob_directory(&self, hash: &BlobHash) -> PathBuf {
        self.root.join(BLOBS).join(hash.to_string())
    }
}

/// A path in `tmp`, removed with all that is in it when dropped.
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is an orphan for a later sweep.
        let _ = fs::remove_dir_all(&self.path).or_else(|_| fs::remove_file(&self.path));
    }
}

/// A hold as its file name says it.
struct Hold {
    holder: String,
    end_ms: u64,
}

impl Hold {
    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}~{}", self.holder, self.end_ms))
    }
}

fn hold_name(holder: &Holder, end_ms: u64) -> String {
    format!("{holder}~{end_ms}")
}

/// The holds in a blob's directory; none if there is no such directory.
fn read_holds(directory: &Path) -> Result<Option<Vec<Hold>>> {
    read_names(directory, |name| {
        let (holder, end_ms) = name.split_once('~')?;
        Some(Hold {
            holder: holder.to_owned(),
            end_ms: end_ms.parse().ok()?,
        })
    })
}

/// The share that a blob counts to.
fn read_share(directory: &Path) -> Result<Option<Share>> {
    let shares = read_names(directory, Share::from_file_name)?;
    Ok(shares.and_then(|shares| shares.first().copied()))
}

/// What the names in a blob's directory say; none if there is no such directory.
fn read_names<T>(directory: &Path, say: impl Fn(&str) -> Option<T>) -> Result<Option<Vec<T>>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable(error)),
    };
    let mut said = Vec::new();
    for entry in entries {
        let name = entry.map_err(unavailable)?.file_name();
        said.extend(name.to_str().and_then(&say));
    }
    Ok(Some(said))
}

fn make_directory(path: &Path) -> Result<()> {
    match create_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(path).map_err(unavailable)
        }
        done => done.map_err(unavailable),
    }
}

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Refuses a directory that others can use, or that has other things in it.
fn check_directory(root: &Path) -> Result<()> {
    let shown = root.display();
    let metadata = fs::metadata(root).map_err(unavailable)?;
    if !metadata.is_dir() {
        return unusable(format!("{shown} is not a directory"));
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
        if mode & 0o077 != 0 {
            return unusable(format!(
                "{shown} has mode {mode:04o}, so others can use it; run: chmod 700 {shown}"
            ));
        }
    }
    if exists(&root.join(FORMAT_FILE))? {
        return Ok(());
    }
    for entry in fs::read_dir(root).map_err(unavailable)? {
        let name = entry.map_err(unavailable)?.file_name();
        // What another process that starts at this moment makes.
        let known = [BLOBS, TEMPORARY, LOCK_FILE, FORMAT_FILE]
            .iter()
            .any(|known| name == *known)
            || name.to_string_lossy().starts_with(".format.");
        if !known {
            let name = name.display();
            return unusable(format!("{shown} is not a blob store: it has {name} in it"));
        }
    }
    Ok(())
}

fn check_format(root: &Path, key_file: &Path, key_id: &str) -> Result<()> {
    let path = root.join(FORMAT_FILE);
    let text = fs::read(&path).map_err(unavailable)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    if lines.next() != Some(FORMAT_LINE) {
        return unusable(format!(
            "{} is not of a format this version knows",
            path.display()
        ));
    }
    if lines.next().and_then(|line| line.strip_prefix("key ")) != Some(key_id) {
        return wrong_key(format!(
            "the blobs in {} are sealed with another key than that in {}",
            root.display(),
            key_file.display()
        ));
    }
    Ok(())
}

fn exists(path: &Path) -> Result<bool> {
    fs::exists(path).map_err(unavailable)
}

fn unusable<T>(reason: String) -> Result<T> {
    Err(Error::Unusable { reason })
}

fn wrong_key<T>(reason: String) -> Result<T> {
    Err(Error::WrongKey { reason })
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unavailable {
        store: "directory",
        source: Box::new(source),
    }
}

fn write_error(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { source },
        _ => unavailable(source),
    }
}

fn end_ms(keep: Duration) -> u64 {
    now_ms().saturating_add(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX))
}

/// Unix milliseconds of the wall clock, which all processes share.
fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const FORMAT_LINE: &str = "k3s-daas blobs 1";
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
const BLOBS: &str = "blobs";
const TEMPORARY: &str = "tmp";
const BODY: &str = "body";

/// The lock is held for microseconds; a recount of a full store takes a second at the very most.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Far longer than any write takes, so that no live one is taken for an orphan.
const ORPHANED_AFTER: Duration = Duration::from_secs(3600);

/// A sweep lists every blob; a store that stays full must not do that for every put.
const SWEEP_WHEN_FULL_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
