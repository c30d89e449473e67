//! How a Nautilus is doing, for readiness and metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::ledger::Cursor;

/// How a [`super::Nautilus`] is doing; counts since it was built.
#[derive(Debug, Default)]
pub struct Status {
    pub(super) executed: Counter,
    pub(super) refused: Counter,
    pub(super) unknown: Counter,
    pub(super) stored: Counter,
    pub(super) released: Counter,
    pub(super) claimed: Counter,
    pub(super) distrusted: Counter,
    pub(super) pruned: Counter,
    pub(super) held: Counter,
    pub(super) at_cluster: Counter,
    pub(super) unanswered: Counter,
    pub(super) lag_ms: Counter,
    following: AtomicBool,
    cursor: Mutex<Cursor>,
    cluster: Mutex<Option<String>>,
}

/// A number that services change and others read.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Status {
    /// Requests that the cluster answered.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.executed.value()
    }

    /// Requests that were answered without asking the cluster, or instead of what it said.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.value()
    }

    /// Writes that were answered 504, outcome unknown.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.value()
    }

    /// Answers that the ledger has.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.stored.value()
    }

    /// Requests given back to another executor.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released.value()
    }

    /// Requests taken over from another executor.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed.value()
    }

    /// Events that are not what the ledger's state says; never executed, never answered. Anything but 0
    /// is a reason to look.
    #[must_use]
    pub fn distrusted(&self) -> u64 {
        self.distrusted.value()
    }

    /// Requests pruned from the ledger.
    #[must_use]
    pub fn pruned(&self) -> u64 {
        self.pruned.value()
    }

    /// Assigned requests between their event and their stored answer.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.value()
    }

    /// Requests that are at the cluster.
    #[must_use]
    pub fn at_cluster(&self) -> u64 {
        self.at_cluster.value()
    }

    /// Unanswered requests of the whole cluster, whoever is assigned.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unanswered.value()
    }

    /// Milliseconds from the ledger's time of the last event to its being handled.
    #[must_use]
    pub fn lag_ms(&self) -> u64 {
        self.lag_ms.value()
    }

    /// The last event that was handled.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the ledger's events come in.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.following.load(Ordering::Relaxed)
    }

    /// Why the cluster does not answer, if it was asked and did not.
    #[must_use]
    pub fn cluster_error(&self) -> Option<String> {
        let cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.clone()
    }

    /// Whether it follows the ledger and the cluster answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_following() && self.cluster_error().is_none()
    }

    pub(super) fn set_following(&self, following: bool) {
        self.following.store(following, Ordering::Relaxed);
    }

    pub(super) fn set_cursor(&self, cursor: Cursor) {
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = cursor;
    }

    pub(super) fn set_cluster(&self, error: Option<String>) {
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}
