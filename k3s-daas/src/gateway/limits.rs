//! How much at once: all together, and of one token.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound on all and one on each, counted by who holds what.
#[derive(Debug)]
pub(super) struct Limit<K> {
    all: Arc<Semaphore>,
    each: usize,
    held: Arc<Mutex<HashMap<K, usize>>>,
}

/// One of those that there may be so many of; dropping it makes room.
#[derive(Debug)]
pub(super) struct Held<K: Copy + Eq + Hash> {
    key: K,
    held: Arc<Mutex<HashMap<K, usize>>>,
    _all: Option<OwnedSemaphorePermit>,
}

impl<K: Copy + Eq + Hash> Limit<K> {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            each,
            held: Arc::default(),
        }
    }

    /// One of all, before it is known whose.
    pub(super) fn any(&self) -> Option<OwnedSemaphorePermit> {
        self.all.clone().try_acquire_owned().ok()
    }

    /// One of all and of `key`'s; at once or not at all.
    pub(super) fn one(&self, key: K) -> Option<Held<K>> {
        let permit = self.any()?;
        self.of(key, Some(permit))
    }

    /// One of `key`'s, for who holds one of all already.
    pub(super) fn of(&self, key: K, permit: Option<OwnedSemaphorePermit>) -> Option<Held<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(key).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Held {
            key,
            held: self.held.clone(),
            _all: permit,
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().sum()
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
    }
}

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
}
