//! Blobs in memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{
    AnswerKeep, BlobStore, Error, Holder, Limits, MAX_HOLDERS, Occupied, Purpose, Result, Swept,
    Usage,
};
use crate::crypto::{Blob, BlobHash};

/// A store in this process's memory, for tests, demos and services of one process.
///
/// Cloning shares the blobs. They are gone with the process.
#[derive(Clone)]
pub struct MemoryBlobStore {
    limits: Limits,
    state: Arc<Mutex<State>>,
}

impl MemoryBlobStore {
    /// 256 MiB in at most 262,144 blobs of at most 64 MiB.
    pub const DEFAULT_LIMITS: Limits = Limits::new(256 << 20, 1 << 18, 64 << 20);

    /// An empty store with [`MemoryBlobStore::DEFAULT_LIMITS`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            limits: Self::DEFAULT_LIMITS,
            state: Arc::default(),
        }
    }

    /// The same store with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn store(
        &self,
        blob: &Blob,
        holder: &Holder,
        purpose: Purpose,
        keep: impl FnOnce(&Occupied) -> Duration,
    ) -> Result<BlobHash> {
        self.limits.check_blob(blob)?;
        let hash = blob.hash();
        let mut state = self.state();
        let end = End::after(keep(&state.occupied(holder)));
        if let Some(entry) = state.entries.get_mut(&hash) {
            let end = entry.holds.get(holder).map_or(end, |old| end.max(*old));
            entry.hold(&hash, holder, end)?;
            return Ok(hash);
        }
        let len = blob.as_bytes().len() as u64;
        let check = |state: &State| {
            let now = state.occupied(holder);
            self.limits.check_room(purpose, &now, len)
        };
        if check(&state).is_err() {
            state.sweep();
            check(&state)?;
        }
        state.usage = state.usage.plus(len);
        let share = holder.share().map(Box::from);
        if let Some(share) = &share {
            let used = state.shares.entry(Box::clone(share)).or_default();
            *used = used.plus(len);
        }
        let holds = BTreeMap::from([(holder.clone(), end)]);
        let blob = blob.clone();
        state.entries.insert(hash, Entry { blob, share, holds });
        Ok(hash)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBlobStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBlobStore")
            .field("limits", &self.limits)
            .field("usage", &self.state().usage)
            .finish()
    }
}

#[async_trait]
impl BlobStore for MemoryBlobStore {
    async fn put(&self, blob: &Blob, holder: &Holder, keep: Duration) -> Result<BlobHash> {
        self.store(blob, holder, Purpose::Payload, |_| keep)
    }

    async fn put_answer(&self, blob: &Blob, holder: &Holder, keep: AnswerKeep) -> Result<BlobHash> {
        self.store(blob, holder, Purpose::answer(blob), |now| {
            self.limits.answer_time(now, keep.least, keep.wanted)
        })
    }

    async fn fetch(&self, hash: &BlobHash) -> Result<Blob> {
        // Hashed when it was put and immutable since.
        match self.state().entries.get(hash) {
            Some(entry) => Ok(entry.blob.clone()),
            None => Err(Error::NotFound { hash: *hash }),
        }
    }

    async fn fetch_held(&self, hash: &BlobHash, holder: &Holder) -> Result<Blob> {
        let now = Instant::now();
        let state = self.state();
        let entry = state.entries.get(hash).filter(|entry| {
            let end = entry.holds.get(holder);
            end.is_some_and(|end| !end.is_over(now))
        });
        match entry {
            Some(entry) => Ok(entry.blob.clone()),
            None => Err(Error::NotFound { hash: *hash }),
        }
    }

    async fn retain(&self, hash: &BlobHash, holder: &Holder, keep: Duration) -> Result<()> {
        match self.state().entries.get_mut(hash) {
            Some(entry) => entry.hold(hash, holder, End::after(keep)),
            None => Err(Error::NotFound { hash: *hash }),
        }
    }

    async fn retain_answer(
        &self,
        hash: &BlobHash,
        holder: &Holder,
        least: Duration,
        wanted: Duration,
    ) -> Result<()> {
        let now = self.state().occupied(holder);
        match self.limits.answer_time(&now, least, wanted) {
            Duration::ZERO => self.release(hash, holder).await,
            keep => self.retain(hash, holder, keep).await,
        }
    }

    async fn release(&self, hash: &BlobHash, holder: &Holder) -> Result<()> {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(hash)
            && entry.holds.remove(holder).is_some()
            && entry.live() == 0
        {
            state.remove(hash);
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Swept> {
        Ok(self.state().sweep())
    }

    async fn usage(&self) -> Result<Usage> {
        Ok(self.state().usage)
    }
}

#[derive(Default)]
struct State {
    entries: HashMap<BlobHash, Entry>,
    usage: Usage,
    shares: HashMap<Box<str>, Usage>,
}

impl State {
    /// What is used, as it counts for a holder.
    fn occupied(&self, holder: &Holder) -> Occupied {
        let share = holder.share();
        Occupied {
            all: self.usage,
            share: share.map(|share| self.shares.get(share).copied().unwrap_or_default()),
        }
    }

    fn remove(&mut self, hash: &BlobHash) {
        let Some(entry) = self.entries.remove(hash) else {
            return;
        };
        let len = entry.blob.as_bytes().len() as u64;
        self.usage = self.usage.minus(len);
        let Some(share) = entry.share else { return };
        if let Some(used) = self.shares.get_mut(&share) {
            *used = used.minus(len);
            if used.blobs == 0 {
                self.shares.remove(&share);
            }
        }
    }

    fn sweep(&mut self) -> Swept {
        let now = Instant::now();
        let mut swept = Swept::default();
        let mut unheld = Vec::new();
        for (hash, entry) in &mut self.entries {
            let before = entry.holds.len();
            entry.holds.retain(|_, end| !end.is_over(now));
            swept.holds += (before - entry.holds.len()) as u64;
            if entry.holds.is_empty() {
                unheld.push(*hash);
            }
        }
        swept.blobs = unheld.len() as u64;
        for hash in unheld {
            self.remove(&hash);
        }
        swept
    }
}

struct Entry {
    blob: Blob,
    /// The share of who put it first.
    share: Option<Box<str>>,
    holds: BTreeMap<Holder, End>,
}

impl Entry {
    /// How many hold it now.
    fn live(&self) -> usize {
        let now = Instant::now();
        self.holds.values().filter(|end| !end.is_over(now)).count()
    }

    fn hold(&mut self, hash: &BlobHash, holder: &Holder, end: End) -> Result<()> {
        if !self.holds.contains_key(holder) && self.live() >= MAX_HOLDERS {
            return Err(Error::TooManyHolders { hash: *hash });
        }
        self.holds.insert(holder.clone(), end);
        Ok(())
    }
}

/// When a hold ends: at an instant, or never if that lies beyond what the clock can count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    At(Instant),
    Never,
}

impl End {
    fn after(keep: Duration) -> Self {
        Instant::now()
            .checked_add(keep)
            .map_or(Self::Never, Self::At)
    }

    fn is_over(self, now: Instant) -> bool {
        matches!(self, Self::At(end) if end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::conformance;

    #[tokio::test]
    async fn passes_the_suite() {
        conformance::run(|limits| async move { MemoryBlobStore::new().with_limits(limits) }).await;
    }

    #[tokio::test]
    async fn debug_shows_no_bodies() {
        let store = MemoryBlobStore::new();
        let holder = Holder::new("h").expect("well-formed");
        let blob = Blob::seal(b"hunter2");
        store
            .put(&blob, &holder, Duration::MAX)
            .await
            .expect("room");
        let text = format!("{store:?} {blob:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("104, 117"),
            "{text}"
        );
    }
}
