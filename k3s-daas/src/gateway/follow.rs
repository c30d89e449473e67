//! The one task that follows the ledger's events for all who wait.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::discovery::Discovery;
use super::executors::Executors;
use super::holds::Holds;
use super::known::Known;
use super::pending::Pending;
use crate::crypto::BlobHash;
use crate::ledger::{self, Cursor, Ledger, LedgerExt as _, SequencedEvent};
use crate::types::{ClusterId, OtherVersion, RequestId, TokenId};
use crate::wire::{Event, K8sApiRequest};

/// Follows events from where the ledger stands now, and tells who waits for an answer.
pub(super) struct Follower {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) cluster: ClusterId,
    pub(super) pending: Arc<Pending>,
    pub(super) discovery: Arc<Discovery>,
    pub(super) progress: Arc<Progress>,
    pub(super) known: Arc<Known>,
    pub(super) executors: Arc<Executors>,
    pub(super) holds: Arc<Holds>,
}

/// What was admitted and is not answered yet, as far as something is to be done then.
#[derive(Default)]
struct Unanswered {
    /// Writes that change what discovery says.
    changes: HashSet<(TokenId, RequestId)>,
    /// Reads that this gateway submitted.
    reads: HashSet<(TokenId, RequestId)>,
}

/// How far the follower has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<Followed>,
    /// Cancelled when following is over for good.
    lost: CancellationToken,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Followed {
    /// The last event that was handled.
    pub(super) cursor: Cursor,
    /// Why following does not go on now.
    pub(super) trouble: Option<String>,
    /// Why it never will, in this process.
    pub(super) other: Option<OtherVersion>,
}

impl Follower {
    /// Follows until `stop`; the stream resumes from its cursor, so nothing is missed on the way.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut wait = FIRST_WAIT;
        let mut unanswered = Unanswered::default();
        loop {
            let mut events = self.ledger.events(self.progress.followed().cursor);
            loop {
                let next = tokio::select! {
                    () = stop.cancelled() => return,
                    next = events.next() => next,
                };
                match next {
                    Some(Ok(event)) => {
                        self.handle(&event, &mut unanswered);
                        self.progress.advance(&event);
                        wait = FIRST_WAIT;
                    }
                    Some(Err(ledger::Error::Archived { through })) => {
                        // Whoever waited for one of them has gone long ago.
                        tracing::warn!(%through, "what was not followed yet is archived");
                        self.progress.pass_over(through);
                        break;
                    }
                    Some(Err(ledger::Error::Version(other))) => {
                        self.progress.lose(other);
                        return;
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "following the ledger was interrupted");
                        self.progress.interrupt(error.to_string());
                        break;
                    }
                    None => {
                        self.progress.interrupt("the event stream ended".into());
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    fn handle(&self, event: &SequencedEvent, unanswered: &mut Unanswered) {
        if event.event.cluster() != self.cluster {
            return;
        }
        match &event.event {
            Event::K8sRequestProcessed(processed) => {
                let is_awaited = self.pending.answer(processed);
                self.executors.heard(processed);
                let Ok(id) = RequestId::from_bytes(&processed.request_id) else {
                    return;
                };
                let key = (processed.token, id);
                if unanswered.changes.remove(&key) {
                    self.discovery.invalidate();
                }
                // Whoever waits shortens it once it is fetched.
                if unanswered.reads.remove(&key)
                    && !is_awaited
                    && let Ok(hash) = processed.envelope_hash[..].try_into()
                {
                    self.holds.abandon(processed.token, id, BlobHash(hash));
                }
            }
            Event::K8sApiRequest(request) => {
                let Ok(id) = RequestId::from_bytes(&request.request_id) else {
                    return;
                };
                let key = (request.seal_token_id, id);
                if changes_discovery(request) {
                    if unanswered.changes.len() >= MAX_CHANGES {
                        // Answers that never came: rather forget all than grow.
                        unanswered.changes.clear();
                        self.discovery.invalidate();
                    }
                    unanswered.changes.insert(key);
                }
                if request.is_read && request.submitted_by == self.ledger.account() {
                    if unanswered.reads.len() >= MAX_READS {
                        // Their answers only stay longer.
                        unanswered.reads.clear();
                    }
                    unanswered.reads.insert(key);
                }
            }
            // Also one that another has replaced since, which no request may have seen.
            Event::ClusterPolicySet(set) => {
                self.known
                    .see(set.policy.shortest_ttl_ms(), self.ledger.now_ms());
            }
            _ => {}
        }
    }
}

impl Progress {
    /// Begins at `cursor`.
    pub(super) fn starting_at(cursor: Cursor) -> Self {
        let progress = Self::default();
        progress.lock().cursor = cursor;
        progress
    }

    pub(super) fn followed(&self) -> Followed {
        self.lock().clone()
    }

    fn advance(&self, event: &SequencedEvent) {
        let mut state = self.lock();
        state.cursor = event.cursor;
        state.trouble = None;
    }

    fn pass_over(&self, through: Cursor) {
        let mut state = self.lock();
        state.cursor = state.cursor.max(through);
    }

    fn interrupt(&self, trouble: String) {
        self.lock().trouble = Some(trouble);
    }

    fn lose(&self, other: OtherVersion) {
        let mut state = self.lock();
        state.trouble = Some(other.to_string());
        state.other = Some(other);
        drop(state);
        self.lost.cancel();
    }

    /// Waits until following is over for good.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Followed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it may change what discovery says.
fn changes_discovery(request: &K8sApiRequest) -> bool {
    !request.is_read
        && matches!(
            (&request.api_group[..], &request.resource_type[..]),
            (b"apiextensions.k8s.io", b"customresourcedefinitions")
                | (b"apiregistration.k8s.io", b"apiservices")
        )
}

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(5);
const MAX_CHANGES: usize = 1_024;
const MAX_READS: usize = 16_384;
