//! Blobs in a directory, encrypted at rest, shared by the processes of one machine.
//!
//! ```text
//! DIR/format         version, and which key the blobs are sealed with
//! DIR/lock           file lock of every change; holds the counts of bytes and blobs
//! DIR/sealed/<hash>  a blob: its share, its holds, the sealed body (`file.rs`)
//! DIR/tmp/<random>   on the way in
//! ```
//!
//! A blob is one file, which enters by one rename with its first hold in it and leaves by one removal,
//! both under the lock. So a process that dies, whenever it dies, leaves a complete blob with a hold or
//! something in `tmp` that a later sweep removes. A machine that dies may leave a file without its bytes in
//! the place of a blob that nobody was told of: it is held by nobody, and the next sweep removes it.
//! Reading takes no lock: a body, once in place, never changes.

mod file;
mod lock;
mod seal;
mod upgrade;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use self::file::{BlobFile, Found, Head, Hold};
use self::lock::{Lock, Locked, Share};
use self::seal::{Sealer, key_id, load_key, load_or_create_key};
use self::upgrade::{remove_old, upgrade};
use super::{
    AnswerKeep, BlobStore, Durability, Error, Holder, Limits, MAX_HOLDERS, Occupied, Purpose,
    Result, Swept, Usage,
};
use crate::crypto::open_file::OpenFile;
use crate::crypto::{
    Blob, BlobHash, PrivateFileError, create_new_private, create_private, random_array,
    read_private, sync_directory, write_private,
};
use crate::types::OtherVersion;

/// A store in a directory of a local file system.
///
/// Several processes may use the directory at once, each with its own `DirectoryBlobStore` and
/// the same key file. Cloning shares the store. Blocking work runs on Tokio's blocking threads.
///
/// Blobs are sealed with AES-256-GCM, their hash as associated data: a file that was
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

    /// Looks whether [`Self::open`] takes what is there, and makes and changes nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn check(&self) -> Result<()> {
        let root = &self.directory;
        let mut is_fresh = true;
        if exists(root)? {
            check_directory(root)?;
            is_fresh = !exists(&root.join(FORMAT_FILE))?;
        }
        match load_key(root, &self.key_file, is_fresh)? {
            Some(key) if !is_fresh => {
                check_format(root, &self.key_file, &key_id(&key)).map(|_is_old| ())
            }
            _ => Ok(()),
        }
    }

    /// Opens the store, making directory and key file if need be, and counts what is in it.
    ///
    /// Blocks for the time that takes: milliseconds for thousands of blobs.
    ///
    /// # Errors
    /// - [`Error::Key`]: the key file is readable by others, or not to be read at all.
    /// - [`Error::WrongKey`]: it is gone, is no key file, or has another key than the blobs.
    /// - [`Error::Version`]: it is of a newer version.
    /// - [`Error::Unusable`]: the directory is not a blob store, holds its key, or lets others in.
    /// - [`Error::Unavailable`].
    pub fn open(self) -> Result<DirectoryBlobStore> {
        let root = self.directory;
        make_directory(&root)?;
        check_directory(&root)?;
        let format = root.join(FORMAT_FILE);
        let fresh = !exists(&format)?;
        let key = load_or_create_key(&root, &self.key_file, fresh)?;
        if fresh {
            let text = format_text(&key_id(&key));
            create_private(&format, text.as_bytes()).map_err(unavailable)?;
        }
        let is_old = check_format(&root, &self.key_file, &key_id(&key))?;
        make_directory(&root.join(SEALED))?;
        make_directory(&root.join(TEMPORARY))?;
        let mut inner = Inner {
            lock: Lock::open(&root.join(LOCK_FILE), LOCK_PATIENCE).map_err(unavailable)?,
            format: OpenFile::at(&format).map_err(unavailable)?,
            root,
            sealer: Sealer::new(&key),
            limits: self.limits,
            durability: self.durability,
            swept_when_full: Mutex::new(None),
        };
        // Not trusted across a power failure, and this is the moment to look.
        let mut locked = inner.lock.lock().map_err(unavailable)?;
        // Another process may have done it by now.
        if is_old && check_format(&inner.root, &self.key_file, &key_id(&key))? {
            upgrade(&inner.root)?;
            let text = format_text(&key_id(&key));
            write_private(&format, text.as_bytes()).map_err(unavailable)?;
        }
        inner.format = OpenFile::at(&format).map_err(unavailable)?;
        remove_old(&inner.root);
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
        let (blob, holder) = (hashed(blob), holder.clone());
        let durability = Durability::Synced;
        self.blocking(move |inner| {
            inner.put(&blob, &holder, Purpose::Payload, durability, |_| keep)
        })
        .await
    }

    async fn put_answer(&self, blob: &Blob, holder: &Holder, keep: AnswerKeep) -> Result<BlobHash> {
        let (blob, holder) = (hashed(blob), holder.clone());
        self.blocking(move |inner| {
            let purpose = Purpose::answer(&blob);
            inner.put(&blob, &holder, purpose, keep.durability, |now| {
                inner.limits.answer_time(now, keep.least, keep.wanted)
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
            let mut file = inner.open(&hash)?;
            let holds = file.holds().map_err(unavailable)?;
            drop(locked);
            let now = now_ms();
            let is_held = |hold: &Hold| *hold.holder == *holder.as_str() && hold.end_ms > now;
            if !holds.iter().any(is_held) {
                return Err(inner.not_found(&hash));
            }
            inner.read(&hash, file)
        })
        .await
    }

    async fn retain(&self, hash: &BlobHash, holder: &Holder, keep: Duration) -> Result<()> {
        let (hash, holder) = (*hash, holder.clone());
        self.blocking(move |inner| inner.retain(inner.lock()?, &hash, &holder, keep))
            .await
    }

    async fn retain_answer(
        &self,
        hash: &BlobHash,
        holder: &Holder,
        least: Duration,
        wanted: Duration,
    ) -> Result<()> {
        let (hash, holder) = (*hash, holder.clone());
        self.blocking(move |inner| {
            let mut locked = inner.lock()?;
            let now = inner.occupied(&mut locked, Share::of(&holder))?;
            match inner.limits.answer_time(&now, least, wanted) {
                Duration::ZERO => inner.release(locked, &hash, &holder),
                keep => inner.retain(locked, &hash, &holder, keep),
            }
        })
        .await
    }

    async fn release(&self, hash: &BlobHash, holder: &Holder) -> Result<()> {
        let (hash, holder) = (*hash, holder.clone());
        self.blocking(move |inner| inner.release(inner.lock()?, &hash, &holder))
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
    /// Replaced by whoever brings the store to another version.
    format: OpenFile,
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
        let incoming = self.incoming(blob, share, holder, end)?;
        let mut locked = self.lock()?;
        let place = self.place(&hash);
        let now = self.occupied(&mut locked, share)?;
        match BlobFile::open(&place, false).map_err(unavailable)? {
            Found::Nothing => {
                self.limits.check_room(purpose, &now, sealed_len)?;
                let counted = share.zip(now.share.map(|used| used.plus(sealed_len)));
                locked
                    .change(now.all.plus(sealed_len), counted, || {
                        fs::rename(&incoming.path, &place)
                    })
                    .map_err(write_error)?;
            }
            // Somebody else was faster, or what is there is corrupt: ours takes its place, and its holders.
            Found::File(mut there) => {
                let mut holds = there.holds().map_err(unavailable)?;
                holds.retain(|hold| hold.end_ms > now_ms());
                let is_other = |hold: &&Hold| *hold.holder != *holder.as_str();
                if holds.iter().filter(is_other).count() >= MAX_HOLDERS {
                    return Err(Error::TooManyHolders { hash });
                }
                incoming.inherit(&holds, holder).map_err(write_error)?;
                fs::rename(&incoming.path, &place).map_err(write_error)?;
                if there.head() != incoming.head {
                    self.recount(&mut locked)?;
                }
            }
            Found::Damaged(_) | Found::Unreadable(_) => {
                self.set_aside(&place)?;
                fs::rename(&incoming.path, &place).map_err(write_error)?;
                self.recount(&mut locked)?;
            }
        }
        drop(locked);
        // Now that it has its name: one commit of the file system holds the bytes and the name. Nobody was
        // told of it yet.
        if durability == Durability::Synced {
            let synced = incoming.file.sync_all().map_err(write_error);
            if let Err(error) = synced.and_then(|()| self.sync_names()) {
                // As if it had never been there.
                let _ = self
                    .lock()
                    .and_then(|locked| self.release(locked, &hash, holder));
                return Err(error);
            }
        }
        Ok(hash)
    }

    /// A blob in a file of its own, with its first hold.
    fn incoming(
        &self,
        blob: &Blob,
        share: Option<Share>,
        holder: &Holder,
        end: u64,
    ) -> Result<Incoming> {
        let sealed_len = Sealer::sealed_len(blob.as_bytes().len() as u64);
        let head = Head { sealed_len, share };
        let len = usize::try_from(sealed_len).unwrap_or(0) + Head::LEN;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&head.bytes(holder.as_str(), end));
        self.sealer.seal(&blob.hash(), blob.as_bytes(), &mut bytes);
        let path = self.temporary();
        let file = create_new_private(&path).map_err(write_error)?;
        let mut incoming = Incoming { path, file, head };
        incoming.file.write_all(&bytes).map_err(write_error)?;
        Ok(incoming)
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
            // That it is too large is what the file says, and no blob of that hash is.
            Err(Error::NotFound { .. } | Error::Corrupt { .. } | Error::TooLarge { .. }) => {
                Ok(false)
            }
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
        let Some(file) = held else { return Ok(false) };
        // It may have been put before as what survives less.
        if durability == Durability::Synced {
            file.sync().map_err(write_error)?;
            self.sync_names()?;
        }
        Ok(true)
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
        self.read(hash, self.open(hash)?)
    }

    /// The file of a blob, to read it.
    fn open(&self, hash: &BlobHash) -> Result<BlobFile> {
        match self.look(hash, false)? {
            Found::File(file) => Ok(file),
            Found::Nothing => Err(self.not_found(hash)),
            Found::Damaged(reason) => Err(Error::Corrupt {
                hash: *hash,
                reason,
            }),
            Found::Unreadable(error) => Err(unavailable(error)),
        }
    }

    /// What a blob's file has in it; also once it was removed.
    fn read(&self, hash: &BlobHash, mut file: BlobFile) -> Result<Blob> {
        let corrupt = |reason| Error::Corrupt {
            hash: *hash,
            reason,
        };
        let limit = self.limits.max_blob_bytes;
        let Some(len) = Sealer::opened_len(file.head().sealed_len) else {
            return Err(corrupt("its body is cut short"));
        };
        if len > limit {
            return Err(Error::TooLarge { len, limit });
        }
        let mut header = [0; seal::HEADER];
        let sealed = file.body(&mut header).map_err(unavailable)?;
        let bytes = self.sealer.open(hash, &header, sealed).map_err(corrupt)?;
        let blob = Blob::from_bytes(bytes).map_err(|_| corrupt("it has no salt"))?;
        if blob.hash() != *hash {
            return Err(corrupt("its hash is another"));
        }
        Ok(blob)
    }

    /// The file of a blob, to change its holds, if it is there.
    fn find(&self, hash: &BlobHash) -> Result<Option<BlobFile>> {
        match self.look(hash, true)? {
            Found::File(file) => Ok(Some(file)),
            Found::Nothing | Found::Damaged(_) => Ok(None),
            Found::Unreadable(error) => Err(unavailable(error)),
        }
    }

    /// What is in the place of a blob.
    fn look(&self, hash: &BlobHash, to_change: bool) -> Result<Found> {
        BlobFile::open(&self.place(hash), to_change).map_err(unavailable)
    }

    /// “Not there” only if the store itself is: an unmounted disk has no blobs either.
    fn not_found(&self, hash: &BlobHash) -> Error {
        match fs::metadata(self.root.join(FORMAT_FILE)) {
            Ok(_) => Error::NotFound { hash: *hash },
            Err(error) => unavailable(error),
        }
    }

    /// Sets the hold of `holder` to the end that `end` makes of the present one (0 if none);
    /// the blob's file, if it is there.
    fn hold(
        &self,
        _locked: &Locked<'_>,
        hash: &BlobHash,
        holder: &Holder,
        end: impl FnOnce(u64) -> u64,
    ) -> Result<Option<BlobFile>> {
        let Some(mut file) = self.find(hash)? else {
            return Ok(None);
        };
        let holds = file.holds().map_err(unavailable)?;
        let old = holds.iter().find(|hold| *hold.holder == *holder.as_str());
        let end = end(old.map_or(0, |old| old.end_ms));
        match old {
            Some(old) if old.end_ms == end => {}
            Some(old) => file.set_end(old, end).map_err(write_error)?,
            None => {
                let now = now_ms();
                let live = holds.iter().filter(|hold| hold.end_ms > now).count();
                if live >= MAX_HOLDERS {
                    return Err(Error::TooManyHolders { hash: *hash });
                }
                // There is no place for more than that, and who is gone has one.
                if holds.len() >= MAX_HOLDERS
                    && let Some(ended) = holds.iter().find(|hold| hold.end_ms <= now)
                {
                    file.set_end(ended, 0).map_err(write_error)?;
                }
                file.add(holder.as_str(), end).map_err(write_error)?;
            }
        }
        Ok(Some(file))
    }

    fn retain(
        &self,
        locked: Locked<'_>,
        hash: &BlobHash,
        holder: &Holder,
        keep: Duration,
    ) -> Result<()> {
        let end = end_ms(keep);
        let mut is_longer = false;
        let held = self.hold(&locked, hash, holder, |old| {
            is_longer = end > old;
            end
        })?;
        drop(locked);
        let file = held.ok_or_else(|| self.not_found(hash))?;
        // An earlier end that the machine takes with it keeps the blob longer, and nothing is lost.
        if is_longer && self.durability == Durability::Synced {
            file.sync().map_err(unavailable)?;
        }
        Ok(())
    }

    fn release(&self, mut locked: Locked<'_>, hash: &BlobHash, holder: &Holder) -> Result<()> {
        let Some(mut file) = self.find(hash)? else {
            return match self.not_found(hash) {
                Error::NotFound { .. } => Ok(()),
                other => Err(other),
            };
        };
        let holds = file.holds().map_err(unavailable)?;
        let is_released = |hold: &&Hold| *hold.holder == *holder.as_str();
        let Some(released) = holds.iter().find(is_released) else {
            return Ok(());
        };
        let now = now_ms();
        let is_other = |hold: &Hold| hold != released && hold.end_ms > now;
        if holds.iter().any(is_other) {
            return file.set_end(released, 0).map_err(unavailable);
        }
        self.remove(&mut locked, hash, file.head())?;
        drop(locked);
        // Its blocks are freed here, when nobody waits for the lock.
        drop(file);
        Ok(())
    }

    fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        let now = now_ms();
        let is_over =
            |holds: &[Hold]| holds.is_empty() || holds.iter().any(|hold| hold.end_ms <= now);
        for hash in self.hashes()? {
            let hash = hash?;
            // Looked at without the lock first, so that a sweep with nothing to do disturbs nobody.
            match self.look(&hash, false)? {
                Found::File(mut file) => {
                    if !is_over(&file.holds().map_err(unavailable)?) {
                        continue;
                    }
                }
                // What one file is guilty of keeps no other.
                Found::Nothing | Found::Unreadable(_) => continue,
                Found::Damaged(_) => {}
            }
            let mut locked = self.lock()?;
            let mut file = match self.look(&hash, true)? {
                Found::File(file) => file,
                Found::Nothing | Found::Unreadable(_) => continue,
                // Nobody can hold it or read it; what it counted for is not known.
                Found::Damaged(_) => {
                    self.set_aside(&self.place(&hash))?;
                    self.recount(&mut locked)?;
                    swept.blobs += 1;
                    continue;
                }
            };
            let holds = file.holds().map_err(unavailable)?;
            let (ended, live): (Vec<_>, Vec<_>) =
                holds.into_iter().partition(|hold| hold.end_ms <= now);
            swept.holds += ended.len() as u64;
            if live.is_empty() {
                self.remove(&mut locked, &hash, file.head())?;
                drop(locked);
                drop(file);
                swept.blobs += 1;
            } else {
                for hold in ended {
                    file.set_end(&hold, 0).map_err(unavailable)?;
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
                remove(&entry.path());
                orphans += 1;
            }
        }
        Ok(orphans)
    }

    /// Takes a blob out of the store; who has its file open may still read it.
    fn remove(&self, locked: &mut Locked<'_>, hash: &BlobHash, head: Head) -> Result<()> {
        let now = self.occupied(locked, head.share)?;
        let less = |used: Usage| used.minus(head.sealed_len);
        let counted = head.share.zip(now.share.map(less));
        let place = self.place(hash);
        let removed = match locked.change(less(now.all), counted, || fs::remove_file(&place)) {
            // On a full disk what is counted wrong anyway may stay so: this makes room.
            Err(error) if is_full(&error) && locked.is_doubtful() => {
                match fs::remove_file(&place) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    done => done,
                }
            }
            done => done,
        };
        removed.map_err(unavailable)
    }

    /// Takes away what should not be in a blob's place.
    fn set_aside(&self, place: &Path) -> Result<()> {
        let aside = self.temporary();
        fs::rename(place, &aside).map_err(unavailable)?;
        remove(&aside);
        Ok(())
    }

    fn lock(&self) -> Result<Locked<'_>> {
        let mut locked = self.lock.lock().map_err(unavailable)?;
        if self.format.len().map_err(unavailable)?.is_none() {
            OtherVersion::check("blob store", read_format(&self.root)?.0, FORMAT)?;
        }
        if locked.is_doubtful() {
            match self.recount(&mut locked) {
                // It is counted, but not written down: what makes room must go on.
                Ok(()) | Err(Error::DiskFull { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(locked)
    }

    fn recount(&self, locked: &mut Locked<'_>) -> Result<()> {
        let mut usage = Usage::default();
        let mut shares = HashMap::<Share, Usage>::new();
        for hash in self.hashes()? {
            let Found::File(file) = self.look(&hash?, false)? else {
                continue;
            };
            let head = file.head();
            usage = usage.plus(head.sealed_len);
            if let Some(share) = head.share {
                let used = shares.entry(share).or_default();
                *used = used.plus(head.sealed_len);
            }
        }
        locked.set(usage, &shares).map_err(write_error)
    }

    /// Makes sure that the names of all blobs survive the machine.
    fn sync_names(&self) -> Result<()> {
        sync_directory(&self.root.join(SEALED)).map_err(write_error)
    }

    /// Those of all blobs; other things that somebody put there are passed over.
    fn hashes(&self) -> Result<impl Iterator<Item = Result<BlobHash>>> {
        let entries = fs::read_dir(self.root.join(SEALED)).map_err(unavailable)?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().to_str()?.parse().ok().map(Ok),
            Err(error) => Some(Err(unavailable(error))),
        }))
    }

    fn place(&self, hash: &BlobHash) -> PathBuf {
        self.root.join(SEALED).join(hash.to_string())
    }

    fn temporary(&self) -> PathBuf {
        let name = hex::encode(random_array::<16>());
        self.root.join(TEMPORARY).join(name)
    }
}

/// A file in `tmp`. Dropping it removes what is still there.
struct Incoming {
    path: PathBuf,
    file: File,
    head: Head,
}

impl Incoming {
    /// Takes over the holds in the file that it takes the place of.
    fn inherit(&self, holds: &[Hold], own: &Holder) -> io::Result<()> {
        let Found::File(mut file) = BlobFile::open(&self.path, true)? else {
            return Err(io::Error::other("what was written is not there"));
        };
        let first = file.holds()?;
        for hold in holds {
            if *hold.holder != *own.as_str() {
                file.add(&hold.holder, hold.end_ms)?;
            } else if let Some(first) = first.first()
                && hold.end_ms > first.end_ms
            {
                file.set_end(first, hold.end_ms)?;
            }
        }
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Not there any more once it has its place in the store.
        remove(&self.path);
    }
}

/// Removes a file or a directory. What cannot be removed now is an orphan for a later sweep.
fn remove(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}

/// The same blob, which knows its hash: it is asked for here and there.
fn hashed(blob: &Blob) -> Blob {
    let _ = blob.hash();
    blob.clone()
}

fn make_directory(path: &Path) -> Result<()> {
    let make = |recursive| {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(recursive).create(path)
    };
    match make(false) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(true).map_err(unavailable),
        done => done.map_err(unavailable),
    }
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
        let known = [SEALED, TEMPORARY, LOCK_FILE, FORMAT_FILE]
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

/// Whether the directory is of the format before this one.
fn check_format(root: &Path, key_file: &Path, key_id: &str) -> Result<bool> {
    let (version, key) = read_format(root)?;
    if version != OLD_FORMAT {
        OtherVersion::check("blob store", version, FORMAT)?;
    }
    if key.as_deref() != Some(key_id) {
        return wrong_key(format!(
            "the blobs in {} are sealed with another key than that in {}",
            root.display(),
            key_file.display()
        ));
    }
    Ok(version == OLD_FORMAT)
}

/// The version of a store, and which key it is sealed with.
fn read_format(root: &Path) -> Result<(u64, Option<String>)> {
    let path = root.join(FORMAT_FILE);
    let text = match read_private(&path) {
        Err(error @ PrivateFileError::Io { .. }) => return Err(unavailable(error)),
        Err(error) => return unusable(error.to_string()),
        Ok(text) => text,
    };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix(FORMAT_NAME));
    let Some(version) = version.and_then(|version| version.parse().ok()) else {
        return unusable(format!("{} names no format", path.display()));
    };
    let key = lines.next().and_then(|line| line.strip_prefix("key "));
    Ok((version, key.map(str::to_owned)))
}

fn format_text(key_id: &str) -> String {
    format!("{FORMAT_NAME}{FORMAT}\nkey {key_id}\n")
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
    if is_full(&source) {
        Error::DiskFull { source }
    } else {
        unavailable(source)
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};

    matches!(error.kind(), StorageFull | QuotaExceeded)
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

const FORMAT_NAME: &str = "k3s-daas blobs ";
const FORMAT: u64 = 2;
/// The one that is brought up to date when it is opened.
const OLD_FORMAT: u64 = 1;
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
const SEALED: &str = "sealed";
const TEMPORARY: &str = "tmp";

/// The lock is held for microseconds; a recount of a full store takes a second at the very most.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Far longer than any write takes, so that no live one is taken for an orphan.
const ORPHANED_AFTER: Duration = Duration::from_secs(3600);

/// A sweep lists every blob; a store that stays full must not do that for every put.
const SWEEP_WHEN_FULL_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
