//! How a Nautilus is doing, for readiness and metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ledger::{Cursor, Ledger, LedgerExt as _};
use crate::metrics::{Histogram, Page};
use crate::types::ExecutorId;

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
    /// Requests and watches that wait for a place.
    pub(super) queued: [Counter; 2],
    pub(super) stages: Stages,
    following: AtomicBool,
    cursor: Mutex<Cursor>,
    cluster: Mutex<Option<String>>,
}

/// How long the parts of executing took.
#[derive(Debug, Default)]
pub(super) struct Stages {
    pub(super) queue: Histogram,
    pub(super) begin: Histogram,
    pub(super) cluster: Histogram,
    pub(super) store: Histogram,
    pub(super) write: Histogram,
    pub(super) submit: Histogram,
}

/// A part of executing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queue,
    Begin,
    Cluster,
    Store,
    Write,
    Submit,
}

impl Stage {
    /// As metrics and spans have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Begin => "begin",
            Self::Cluster => "cluster",
            Self::Store => "store",
            Self::Write => "write",
            Self::Submit => "submit",
        }
    }
}

impl Stages {
    pub(super) fn of(&self, stage: Stage) -> &Histogram {
        match stage {
            Stage::Queue => &self.queue,
            Stage::Begin => &self.begin,
            Stage::Cluster => &self.cluster,
            Stage::Store => &self.store,
            Stage::Write => &self.write,
            Stage::Submit => &self.submit,
        }
    }
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

    /// Writes what is measured of a service of `executor`, under names that begin with `daas_nautilus_`.
    pub fn write_metrics(&self, ledger: &dyn Ledger, executor: ExecutorId, page: &mut Page) {
        for (name, help, counter) in self.counters() {
            page.counter(name, help, counter.value());
        }
        for (name, help, gauge) in self.gauges() {
            page.gauge(name, help, gauge);
        }
        page.seconds(
            "daas_nautilus_ledger_lag_seconds",
            "From the ledger's time of the last event to its being handled.",
            Duration::from_millis(self.lag_ms()),
        );
        page.gauges(
            "daas_nautilus_queued",
            "Assigned requests that wait for a place at the cluster.",
            "lane",
            [
                ("requests", self.queued[0].value()),
                ("watches", self.queued[1].value()),
            ],
        );
        let Stages {
            queue,
            begin,
            cluster,
            store,
            write,
            submit,
        } = &self.stages;
        page.histograms(
            "daas_nautilus_stage_seconds",
            "Where the time of requests went: queue (for a place at the cluster), begin (a write noted in the \
             journal), cluster (its answer read), store (the answer in the blob store), write (the signed answer \
             in the journal), submit (until the ledger has it).",
            "stage",
            [
                ("queue", queue),
                ("begin", begin),
                ("cluster", cluster),
                ("store", store),
                ("write", write),
                ("submit", submit),
            ],
        );
        let (last, standing) = ledger.view(|snapshot| {
            let cluster = snapshot.state.executor(executor);
            let cluster = cluster.and_then(|known| snapshot.state.cluster(known.cluster));
            let standing = cluster.and_then(|cluster| {
                let entry = cluster.executor(executor)?;
                let required = cluster.policy.min_executor_stake;
                Some((entry.stake, required, cluster.is_eligible(entry)))
            });
            (snapshot.cursor, standing)
        });
        let (stake, required, is_eligible) = standing.unwrap_or_default();
        page.gauge(
            "daas_nautilus_ledger_behind_events",
            "Events of the ledger that this process knows of and Nautilus has not handled.",
            last.major.saturating_sub(self.cursor().major),
        );
        page.gauge(
            "daas_nautilus_executor_stake_mist",
            "What the executor has bonded.",
            stake,
        );
        page.gauge(
            "daas_nautilus_executor_stake_required_mist",
            "What it needs to be assigned requests.",
            required,
        );
        page.gauge(
            "daas_nautilus_executor_eligible",
            "Whether it is assigned requests, 1 or 0.",
            u64::from(is_eligible),
        );
    }

    fn counters(&self) -> [(&'static str, &'static str, &Counter); 8] {
        [
            (
                "daas_nautilus_executed_total",
                "Requests that the cluster answered.",
                &self.executed,
            ),
            (
                "daas_nautilus_refused_total",
                "Requests that were answered without asking the cluster, or instead of what it said.",
                &self.refused,
            ),
            (
                "daas_nautilus_unknown_total",
                "Writes that were answered 504, outcome unknown.",
                &self.unknown,
            ),
            (
                "daas_nautilus_stored_total",
                "Answers that the ledger has.",
                &self.stored,
            ),
            (
                "daas_nautilus_released_total",
                "Requests given back to another executor.",
                &self.released,
            ),
            (
                "daas_nautilus_claimed_total",
                "Requests taken over from another executor.",
                &self.claimed,
            ),
            (
                "daas_nautilus_distrusted_total",
                "Events that are not what the ledger's state says; never executed, never answered.",
                &self.distrusted,
            ),
            (
                "daas_nautilus_pruned_total",
                "Requests pruned from the ledger.",
                &self.pruned,
            ),
        ]
    }

    fn gauges(&self) -> [(&'static str, &'static str, u64); 5] {
        [
            (
                "daas_nautilus_held",
                "Assigned requests between their event and their stored answer.",
                self.held(),
            ),
            (
                "daas_nautilus_at_cluster",
                "Requests that are at the cluster.",
                self.at_cluster(),
            ),
            (
                "daas_nautilus_unanswered",
                "Unanswered requests of the whole cluster, whoever is assigned.",
                self.unanswered(),
            ),
            (
                "daas_nautilus_following",
                "Whether the ledger's events come in, 1 or 0.",
                u64::from(self.is_following()),
            ),
            (
                "daas_nautilus_cluster_reachable",
                "Whether the cluster answered when it was last asked, 1 or 0.",
                u64::from(self.cluster_error().is_none()),
            ),
        ]
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
