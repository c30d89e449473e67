//! How often: so many at once, and so many a second after that.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much there is in a full one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
        }
    }
}

/// What is left of a burst. A new one is full.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    left: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            left: rate.burst,
            filled: Instant::now(),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one; at most a day.
    pub(super) fn take(&mut self) -> Result<(), Duration> {
        self.fill();
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.left) / self.rate.per_second;
        Err(Duration::try_from_secs_f64(wait).unwrap_or(DAY).min(DAY))
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let since = now.duration_since(self.filled).as_secs_f64();
        self.left = (self.left + since * self.rate.per_second).min(self.rate.burst);
        self.filled = now;
    }

    fn is_full(&mut self) -> bool {
        self.fill();
        self.left >= self.rate.burst
    }
}

/// A bucket for each; full ones are forgotten.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Mutex<Rate>,
    each: Mutex<HashMap<K, Bucket>>,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate: Mutex::new(rate),
            each: Mutex::default(),
        }
    }

    /// Fills all of them at another rate from now on.
    pub(super) fn change(&self, rate: Rate) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = rate;
        for bucket in each.values_mut() {
            bucket.fill();
            bucket.rate = rate;
        }
    }

    /// Takes one of `key`'s.
    ///
    /// # Errors
    /// How long until there is one; at most a day.
    pub(super) fn take(&self, key: K) -> Result<(), Duration> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        // Only now and then, so that it costs next to nothing each time.
        if each.len() >= FEW && each.len().is_power_of_two() && !each.contains_key(&key) {
            each.retain(|_, bucket| !bucket.is_full());
        }
        let new = || Bucket::new(*self.rate.lock().unwrap_or_else(PoisonError::into_inner));
        each.entry(key).or_insert_with(new).take()
    }
}

/// So many full ones are not worth looking for.
const FEW: usize = 64;
const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_it_is_so_many_a_second() {
        let mut bucket = Bucket::new(Rate::new(20, 3));
        for _ in 0..3 {
            bucket.take().unwrap();
        }
        let wait = bucket.take().unwrap_err();
        assert!(wait <= Duration::from_millis(50), "{wait:?}");
        std::thread::sleep(wait);
        bucket.take().unwrap();
        assert!(bucket.take().is_err());
        // What is never filled up again says so without a panic.
        let mut bucket = Bucket::new(Rate::new(0, 1));
        bucket.take().unwrap();
        assert_eq!(bucket.take(), Err(DAY));
    }

    #[test]
    fn a_rate_that_changes_holds_for_those_there_are() {
        let buckets = Buckets::new(Rate::new(1, 100));
        buckets.take('a').unwrap();
        buckets.change(Rate::new(1, 2));
        for key in ['a', 'b'] {
            buckets.take(key).unwrap();
            buckets.take(key).unwrap();
            assert!(buckets.take(key).is_err(), "{key}");
        }
        buckets.change(Rate::new(1_000_000, 2));
        std::thread::sleep(Duration::from_millis(1));
        buckets.take('a').unwrap();
    }

    #[test]
    fn each_has_its_own_and_full_ones_are_forgotten() {
        let buckets = Buckets::new(Rate::new(1, 1));
        buckets.take('a').unwrap();
        assert!(buckets.take('a').is_err());
        buckets.take('b').unwrap();
        let quick = Buckets::new(Rate::new(1_000_000, 1));
        for key in 0..10_000 {
            quick.take(key).unwrap();
            if key % 16 == 0 {
                std::thread::sleep(Duration::from_micros(5));
            }
        }
        assert!(quick.each.lock().unwrap().len() < 1_000);
    }
}
