//! What a gateway counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use super::trail::Outcome;
use crate::metrics::{Histogram, Page};

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident)+) => {
        /// Counters of a gateway, since it was built.
        #[derive(Debug, Default)]
        pub(super) struct Metrics {
            $(pub(super) $name: Counter,)+
            pub(super) stages: Stages,
            pub(super) bytes_in: Counter,
            pub(super) bytes_out: Counter,
            outcomes: [Counter; Outcome::ALL.len()],
            statuses: [Counter; CLASSES.len()],
            refusals: Mutex<BTreeMap<&'static str, u64>>,
        }

        /// What a gateway has counted since it was built.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $(#[doc = $doc] pub $name: u64,)+
            /// Requests that wait for their answer now.
            pub pending: u64,
            /// Requests under way now.
            pub in_flight: u64,
            /// Watches open now.
            pub watches: u64,
        }

        impl Metrics {
            pub(super) fn counts(&self) -> Counts {
                Counts {
                    $($name: self.$name.0.load(Relaxed),)+
                    ..Counts::default()
                }
            }
        }

        impl Counts {
            fn write(&self, page: &mut Page) {
                $(page.counter(
                    concat!("daas_gateway_", stringify!($name), "_total"),
                    $doc.trim_ascii(),
                    self.$name,
                );)+
            }

            /// Names and values, in a fixed order; `pending`, `in_flight` and `watches` go down again.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![
                    $((stringify!($name), self.$name),)+
                    ("pending", self.pending),
                    ("in_flight", self.in_flight),
                    ("watches", self.watches),
                ]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections
    /// Connections turned away by a limit.
    connections_refused
    /// Times that nothing could be accepted, for want of descriptors or memory.
    accepts_failed
    /// Connections closed because too many of their requests were given up.
    resets
    /// TLS handshakes that failed or took too long.
    handshakes_failed
    /// Requests begun.
    requests
    /// Requests without a credential that is good here.
    unauthenticated
    /// Requests refused after their credential was verified.
    refused
    /// Requests turned away by a limit.
    overflowed
    /// Requests submitted to the ledger, short watches and the gateway's own among them.
    submitted
    /// Answers fetched and verified.
    answered
    /// Deadlines that passed without an answer.
    unanswered
    /// Repetitions that joined the first.
    joined
    /// Answers whose bytes were missing or wrong.
    wrong_bytes
    /// Refusals recorded one by one.
    refusals_recorded
    /// Refusals recorded as part of a count.
    refusals_counted
    /// Refusals that could not be recorded.
    refusals_lost
    /// Discovery served from memory.
    discovery_hits
    /// Discovery fetched.
    discovery_misses
    /// Self-reviews answered.
    reviews
    /// Short watches that fed long ones.
    watch_slices
    /// Questions of the gateway's own, whether anybody answers.
    questions
    /// Responses whose client did not read them, so that they were taken away.
    unread
    /// Answers to reads that stay in the blob store longer than need be.
    holds_kept
}

/// How long the parts of a request took.
#[derive(Debug, Default)]
pub(super) struct Stages {
    pub(super) authorize: Histogram,
    pub(super) submit: Histogram,
    pub(super) execute: Histogram,
    pub(super) fetch: Histogram,
    pub(super) deliver: Histogram,
    pub(super) total: Histogram,
}

impl Metrics {
    pub(super) fn respond(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        self.statuses[class.min(CLASSES.len() - 1)].add(1);
    }

    pub(super) fn end(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].add(1);
    }

    pub(super) fn refuse(&self, name: &'static str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals.entry(name).or_default() += 1;
    }

    /// Everything, with `counts` as they are now.
    pub(super) fn write(&self, counts: &Counts, page: &mut Page) {
        counts.write(page);
        page.gauge(
            "daas_gateway_pending",
            "Requests that wait for their answer now.",
            counts.pending,
        );
        page.gauge(
            "daas_gateway_in_flight",
            "Requests under way now.",
            counts.in_flight,
        );
        page.gauge("daas_gateway_watches", "Watches open now.", counts.watches);
        page.counter(
            "daas_gateway_request_bytes_total",
            "Bytes of bodies that clients sent.",
            self.bytes_in.0.load(Relaxed),
        );
        page.counter(
            "daas_gateway_response_bytes_total",
            "Bytes of bodies of responses, watches not counted.",
            self.bytes_out.0.load(Relaxed),
        );
        let outcomes = Outcome::ALL.iter();
        page.counters(
            "daas_gateway_outcomes_total",
            "Requests with a good credential by what became of them, as in the log.",
            "outcome",
            outcomes.map(|&outcome| {
                let count = self.outcomes[outcome as usize].0.load(Relaxed);
                (outcome.name(), count)
            }),
        );
        let statuses = self.statuses.iter().map(|count| count.0.load(Relaxed));
        page.counters(
            "daas_gateway_responses_total",
            "Responses by the class of their status.",
            "class",
            CLASSES.into_iter().zip(statuses),
        );
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let refusals = refusals.clone();
        page.counters(
            "daas_gateway_refusals_by_reason_total",
            "Requests that were not answered by the cluster, by the reason that the log has.",
            "reason",
            refusals,
        );
        let Stages {
            authorize,
            submit,
            execute,
            fetch,
            deliver,
            total,
        } = &self.stages;
        page.histograms(
            "daas_gateway_stage_seconds",
            "Where the time of requests with a good credential went, watches not counted: authorize (credential, \
             body, check), submit (body stored, ledger), execute (until the answer is on the ledger), fetch (its \
             bytes), deliver (until the client has it), total (all but deliver).",
            "stage",
            [
                ("authorize", authorize),
                ("submit", submit),
                ("execute", execute),
                ("fetch", fetch),
                ("deliver", deliver),
                ("total", total),
            ],
        );
    }
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}

/// Of statuses, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
