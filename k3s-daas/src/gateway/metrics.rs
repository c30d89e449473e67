//! What a gateway counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident)+) => {
        /// Counters of a gateway, since it was built.
        #[derive(Debug, Default)]
        pub(super) struct Metrics {
            $(pub(super) $name: Counter,)+
        }

        /// What a gateway has counted since it was built.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
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

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}
