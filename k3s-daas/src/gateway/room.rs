//! Room for bytes: of all together, and of one token.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::changing::resize;

/// How many bytes may be held, all together and for each. Counted in KiB, rounded up.
#[derive(Debug)]
pub(super) struct Room<K> {
    all: Arc<Semaphore>,
    bounds: Mutex<Bounds>,
    /// What is left to each that holds something.
    shares: Mutex<HashMap<K, Weak<Semaphore>>>,
}

/// In KiB.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    all: usize,
    each: u32,
}

/// Room that is taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Taken {
    all: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
}

impl<K: Copy + Eq + Hash> Room<K> {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.div_ceil(KIB))),
            bounds: Mutex::new(Bounds::of(all, each)),
            shares: Mutex::default(),
        }
    }

    /// Makes it larger or smaller; what is taken stays so.
    pub(super) fn resize(&self, all: usize, each: usize) {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Bounds::of(all, each);
        resize(&self.all, bounds.all, new.all);
        for share in shares.values().filter_map(Weak::upgrade) {
            resize(&share, bounds.each as usize, new.each as usize);
        }
        *bounds = new;
    }

    /// Room for `bytes` of `key`'s, at once or not at all. What could never fit takes all there is.
    pub(super) fn try_take(&self, key: K, bytes: usize) -> Option<Taken> {
        let kib = kib(bytes).min(self.each_kib());
        let own = self.share(key).try_acquire_many_owned(kib).ok()?;
        let all = self.all.clone().try_acquire_many_owned(kib).ok()?;
        Some(Taken { all, own })
    }

    /// The same, waiting for it for a while.
    pub(super) async fn take(&self, key: K, bytes: usize, patience: Duration) -> Option<Taken> {
        let kib = kib(bytes).min(self.each_kib());
        let share = self.share(key);
        let both = async {
            // The token's own first: who waits for itself keeps nothing from others.
            let own = share.acquire_many_owned(kib).await.ok()?;
            let all = self.all.clone().acquire_many_owned(kib).await.ok()?;
            Some(Taken { all, own })
        };
        tokio::time::timeout(patience, both).await.ok().flatten()
    }

    /// Makes `taken` so much that it is room for `bytes` of `key`'s; `false` if there is none.
    pub(super) fn grow(&self, key: K, taken: &mut Option<Taken>, bytes: usize) -> bool {
        let have = taken.as_ref().map_or(0, |taken| taken.own.num_permits());
        let missing = bytes.saturating_sub(have * KIB);
        if missing == 0 {
            return true;
        }
        let Some(more) = self.try_take(key, missing) else {
            return false;
        };
        match taken {
            Some(taken) => {
                taken.all.merge(more.all);
                taken.own.merge(more.own);
            }
            None => *taken = Some(more),
        }
        true
    }

    /// Whether nothing at all is left for `key`.
    pub(super) fn is_full(&self, key: K) -> bool {
        self.all.available_permits() == 0 || self.share(key).available_permits() == 0
    }

    fn each_kib(&self) -> u32 {
        self.bounds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .each
    }

    fn share(&self, key: K) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&key).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= FEW && shares.len().is_power_of_two() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.each_kib() as usize));
        shares.insert(key, Arc::downgrade(&share));
        share
    }
}

impl Bounds {
    fn of(all: usize, each: usize) -> Self {
        Self {
            all: all.div_ceil(KIB),
            each: kib(each.min(all)),
        }
    }
}

impl Taken {
    /// The part of it that `bytes` need; less if there is less.
    pub(super) fn split(&mut self, bytes: usize) -> Option<Self> {
        let kib = bytes.div_ceil(KIB).min(self.own.num_permits());
        Some(Self {
            all: self.all.split(kib)?,
            own: self.own.split(kib)?,
        })
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX)
}

const KIB: usize = 1_024;
/// So many that hold nothing any more are not worth looking for.
const FEW: usize = 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn both_bounds_hold_and_room_comes_back() {
        let room = Room::new(8 * KIB, 4 * KIB);
        let mut first = room.try_take('a', 3 * KIB + 1).unwrap();
        assert!(room.is_full('a') && !room.is_full('b'));
        assert!(room.try_take('a', 1).is_none(), "all of one");
        assert!(room.take('a', 1, SOON).await.is_none());
        let _second = room.try_take('b', 3 * KIB).unwrap();
        assert!(
            room.try_take('c', 2 * KIB).is_none(),
            "one KiB of all is left"
        );
        // A part goes its own way.
        let part = first.split(KIB).unwrap();
        drop(first);
        let third = room.take('a', 3 * KIB, SOON).await.unwrap();
        assert!(room.is_full('a'));
        drop((part, third));
        // Who wants more than there ever is gets all there is for one.
        let huge = room.try_take('d', usize::MAX).unwrap();
        assert!(room.is_full('d'));
        drop(huge);
        let waits = room.take('b', 2 * KIB, Duration::from_secs(5));
        let (taken, ()) = tokio::join!(waits, async {
            tokio::time::sleep(SOON).await;
            drop(_second);
        });
        assert!(taken.is_some());
    }

    #[test]
    fn it_grows_with_what_comes() {
        let room = Room::new(4 * KIB, 2 * KIB);
        let mut taken = None;
        assert!(room.grow('a', &mut taken, 0) && taken.is_none());
        for bytes in [1, 500, 1_024, 1_025, 2_048] {
            assert!(room.grow('a', &mut taken, bytes), "{bytes}");
        }
        assert!(!room.grow('a', &mut taken, 2_049));
        assert!(room.is_full('a'));
        assert_eq!(room.all.available_permits(), 2);
        drop(taken);
        assert_eq!(room.all.available_permits(), 4);
    }

    #[test]
    fn who_holds_nothing_is_forgotten() {
        let room = Room::new(KIB, KIB);
        for key in 0..10_000 {
            drop(room.try_take(key, 1).unwrap());
            assert!(room.shares.lock().unwrap().len() <= FEW);
        }
    }
}
