//! How much at once: all together, and of one token.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::changing::resize;

/// A bound on all and one on each, counted by who holds what.
///
/// The last quarter of all is for those who hold few, so that some who take all they may leave others
/// room.
#[derive(Debug)]
pub(crate) struct Limit<K> {
    all: Arc<Semaphore>,
    bounds: Mutex<Bounds>,
    /// Who holds fewer holds few, of so many that there are.
    few: fn(usize) -> usize,
    held: Arc<Mutex<HashMap<K, usize>>>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    all: usize,
    each: usize,
}

/// One of those that there may be so many of; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Held<K: Copy + Eq + Hash> {
    key: K,
    held: Arc<Mutex<HashMap<K, usize>>>,
    all: Option<OwnedSemaphorePermit>,
}

impl<K: Copy + Eq + Hash> Limit<K> {
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            bounds: Mutex::new(Bounds { all, each }),
            few: |_| FEW,
            held: Arc::default(),
        }
    }

    /// What is few is another number.
    #[cfg(feature = "nautilus")]
    pub(crate) fn with_few(self, few: fn(usize) -> usize) -> Self {
        Self { few, ..self }
    }

    /// Bounds them otherwise; who holds more than that now keeps it.
    pub(crate) fn resize(&self, all: usize, each: usize) {
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        resize(&self.all, bounds.all, all);
        *bounds = Bounds { all, each };
    }

    /// One of all, before it is known whose.
    #[cfg(any(feature = "gateway", test))]
    pub(crate) fn any(&self) -> Option<OwnedSemaphorePermit> {
        self.all.clone().try_acquire_owned().ok()
    }

    /// The same, once there is one.
    #[cfg(feature = "nautilus")]
    pub(crate) async fn any_soon(&self) -> Option<OwnedSemaphorePermit> {
        self.all.clone().acquire_owned().await.ok()
    }

    /// One of all and of `key`'s; at once or not at all.
    #[cfg(any(feature = "gateway", test))]
    pub(crate) fn one(&self, key: K) -> Option<Held<K>> {
        let permit = self.any()?;
        self.of(key, Some(permit))
    }

    /// One of `key`'s, for who holds one of all already.
    pub(crate) fn of(&self, key: K, permit: Option<OwnedSemaphorePermit>) -> Option<Held<K>> {
        let bounds = *self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&key).copied().unwrap_or_default();
        // What is left of all when only those who hold few get one.
        let is_for_few = self.all.available_permits() < bounds.all / 4;
        if count >= bounds.each || (is_for_few && count >= (self.few)(bounds.all)) {
            return None;
        }
        held.insert(key, count + 1);
        Some(Held {
            key,
            held: self.held.clone(),
            all: permit,
        })
    }

    /// How many there are.
    #[cfg(any(feature = "gateway", test))]
    pub(crate) fn len(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().sum()
    }
}

impl<K: Copy + Eq + Hash> Held<K> {
    /// Counts no more among all, but still among its key's own.
    pub(crate) fn leave_all(&mut self) {
        self.all = None;
    }
}

impl<K: Copy + Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
        drop(held);
        self.leave_all();
    }
}

/// Who holds fewer holds few, unless it is said otherwise.
const FEW: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_room_comes_back() {
        let limit = Limit::new(3, 2);
        let first = limit.one('a').unwrap();
        let _second = limit.one('a').unwrap();
        assert!(limit.one('a').is_none(), "two of one");
        let third = limit.one('b').unwrap();
        assert!(limit.one('c').is_none(), "three of all");
        assert_eq!(limit.len(), 3);
        drop(first);
        assert!(limit.one('a').is_some());
        drop(third);
        assert_eq!(limit.len(), 1);
        assert!(!limit.held.lock().unwrap().contains_key(&'b'));
    }
    #[test]
    fn the_last_quarter_is_for_those_who_hold_few() {
        let limit = Limit::new(100, 60);
        let all_of = |key| std::iter::from_fn(|| limit.one(key)).collect::<Vec<_>>();
        let mut first = all_of('a');
        let second = all_of('b');
        assert_eq!((first.len(), second.len()), (60, 16));
        let third = all_of('c');
        assert_eq!(third.len(), 16, "there is room for somebody else");
        drop((second, third));
        // Who is answered and has yet to read keeps nothing from others.
        first.iter_mut().for_each(Held::leave_all);
        assert!(limit.one('a').is_none(), "sixty are its own all the same");
        assert_eq!(all_of('b').len(), 60);
    }
}
