//! What the parts of the service share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::journal::{Journal, JournalError, Key, Lost, Progress, Recovered};
use super::queue::{FairQueue, Waiting};
use super::room::Room;
use super::spans::Spans;
use super::status::Stage;
use super::{Controls, Error, Parts, Result, Status, answer, duties, follow, worker};
use crate::blob::BlobStore;
use crate::contract::{Call, Code, Request};
use crate::crypto::{Signature, Signer};
use crate::executor::Executor;
use crate::ledger::{Cursor, Ledger, LedgerExt as _, Snapshot};
use crate::limits::Limit;
use crate::types::{ByteString, ClusterId, ExecutorId, HexBytes, TokenId};
use crate::wire::{self, AssignmentMessage, Deployment, IntentKind};

/// Everything a task needs.
pub(super) struct Core {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) me: ExecutorId,
    pub(super) cluster: ClusterId,
    pub(super) deployment: Deployment,
    controls: Arc<Controls>,
    pub(super) status: Arc<Status>,
    pub(super) spans: Spans,
    pub(super) journal: Journal,
    /// Where the ledger was when the journal was made.
    pub(super) birth: Cursor,
    /// Where it was when an answer to a read may last have been lost; not before the birth.
    pub(super) fence: Cursor,
    /// No more is begun.
    pub(super) shutdown: CancellationToken,
    /// Whatever still runs is dropped; the journal has it.
    pub(super) abandon: CancellationToken,
    pub(super) tasks: TaskTracker,
    lanes: [Lane; 2],
    pub(super) room: Room,
    clock_ms: AtomicU64,
    requests: Mutex<Requests>,
    failure: Mutex<Option<Error>>,
}

/// Ends everything that runs, however the service ends.
struct End(Arc<Core>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.abandon.cancel();
        self.0.shutdown.cancel();
    }
}

/// What runs side by side, up to a bound.
struct Lane {
    queue: Arc<FairQueue>,
    places: Arc<Limit<TokenId>>,
}

#[derive(Default)]
struct Requests {
    unanswered: HashMap<Key, Unanswered>,
    /// Held by a task, or waiting for one.
    held: HashSet<Key>,
    /// Never to be looked at again, up to this epoch.
    ignored: HashMap<Key, u64>,
}

/// A request as it was admitted.
struct Unanswered {
    event: Arc<wire::K8sApiRequest>,
    past: InMemory,
}

/// What is known without the journal of what became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InMemory {
    /// It was admitted in this run and nobody has touched it: the journal has nothing of it.
    New,
    /// It was taken up in this run: the journal has what may not happen twice.
    Touched,
    /// It is from an earlier run.
    Recovered,
}

/// A request as the followed state has it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) request: Request,
    /// Whether another executor could take it.
    pub(super) has_others: bool,
    /// For how long an answer is kept.
    pub(super) ttl_ms: u64,
}

impl Core {
    pub(super) fn new(
        parts: Parts,
        controls: Arc<Controls>,
        cluster: ClusterId,
        journal: Journal,
        (birth, fence): (Cursor, Cursor),
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let lane = |places: &Arc<Limit<TokenId>>| Lane {
            queue: Arc::default(),
            places: places.clone(),
        };
        Arc::new(Self {
            deployment: parts.ledger.deployment(),
            ledger: parts.ledger,
            executor: parts.executor,
            blobs: parts.blobs,
            signer: parts.signer,
            me: parts.me,
            cluster,
            status: parts.status,
            spans: Spans::new(parts.spans),
            journal,
            birth,
            fence,
            // A failure of ours must not cancel the caller's token.
            shutdown: shutdown.child_token(),
            abandon: CancellationToken::new(),
            tasks: TaskTracker::new(),
            room: Room::new(),
            lanes: controls.places.each_ref().map(lane),
            controls,
            clock_ms: AtomicU64::new(0),
            requests: Mutex::default(),
            failure: Mutex::new(None),
        })
    }

    /// How it behaves now.
    pub(super) fn config(&self) -> Arc<super::Config> {
        self.controls.config()
    }

    pub(super) async fn run(self: Arc<Self>, recovered: Recovered) -> Result<()> {
        let _end = End(Arc::clone(&self));
        let cursor = recovered.cursor;
        let earlier = recovered.unanswered.into_iter().map(Arc::new);
        self.keep(earlier, InMemory::Recovered);
        if !recovered.is_synced {
            let failed = self.fence_recovered(cursor).await;
            failed?;
        }
        for unstored in recovered.answers {
            if self.hold(unstored.key) {
                let core = Arc::clone(&self);
                self.tasks.spawn(async move {
                    let key = unstored.key;
                    let delivered = core
                        .unless_abandoned(answer::deliver(&core, unstored))
                        .await;
                    core.done(key, delivered.unwrap_or(Ok(())));
                });
            }
        }
        for lane in 0..self.lanes.len() {
            self.tasks.spawn(Arc::clone(&self).serve(lane));
        }
        self.tasks.spawn(duties::run(Arc::clone(&self)));
        let followed = tokio::select! {
            () = self.shutdown.cancelled() => Ok(()),
            followed = follow::run(&self, cursor) => followed,
            // Whoever runs it must know, even if there is nothing to do.
            () = self.journal.stopped() => Err(JournalError::Stopped.into()),
        };
        self.status.set_following(false);
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.config().drain, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                held = self.status.held(),
                "not everything ended in time; the journal has what is left"
            );
        }
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        followed.and(failure.map_or(Ok(()), Err))
    }

    /// Leaves recovered reads to their next epoch: an answer to them may have gone down with the machine, and
    /// nobody signs two for one epoch.
    async fn fence_recovered(&self, cursor: Cursor) -> Result<()> {
        let lost: Vec<_> = self
            .idle()
            .into_iter()
            .filter_map(|key| {
                let request = self.look(key)?.request;
                let is_mine = request.executor == self.me && request.is_read;
                is_mine.then_some(Lost {
                    key,
                    epoch: request.epoch,
                    forget_at_ms: request.prunable_at_ms,
                })
            })
            .collect();
        tracing::warn!(
            reads = lost.len(),
            "the machine went down with the journal open; reads under way are claimed again once their leases are over"
        );
        let progress = Progress {
            cursor,
            lost,
            ..Progress::default()
        };
        Ok(self.journal.advance(progress).await?)
    }

    /// Runs what waits in one lane, and at the end gives back what still does.
    async fn serve(self: Arc<Self>, lane: usize) {
        let Lane { queue, places } = &self.lanes[lane];
        loop {
            let next = async {
                let permit = places.any_soon().await?;
                Some(queue.pop(places, permit).await)
            };
            let (waiting, slot) = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                next = next => match next {
                    Some(next) => next,
                    None => break,
                },
            };
            let key = waiting.key;
            self.note_queued(lane);
            self.spans.begin(key, waiting.since);
            self.took(key, Stage::Queue, waiting.since);
            let core = Arc::clone(&self);
            self.tasks.spawn(async move {
                let handled = core
                    .unless_abandoned(worker::handle(&core, key, slot))
                    .await;
                core.done(key, handled.unwrap_or(Ok(())));
            });
        }
        while let Some(Waiting { key, .. }) = queue.try_pop() {
            let core = Arc::clone(&self);
            self.tasks.spawn(async move {
                let given_back = core.unless_abandoned(worker::give_back(&core, key)).await;
                core.done(key, given_back.unwrap_or(Ok(())));
            });
        }
    }

    /// Ledger time, which never goes back here.
    pub(super) fn now_ms(&self) -> u64 {
        self.note_time(self.ledger.now_ms())
    }

    fn note_time(&self, now_ms: u64) -> u64 {
        self.clock_ms
            .fetch_max(now_ms, Ordering::Relaxed)
            .max(now_ms)
    }

    /// Ledger time as the fastest clock may have it: nothing is begun at or after a lease's end by it.
    pub(super) fn latest_ms(&self) -> u64 {
        self.latest_of(self.now_ms())
    }

    /// The same for a time that was read just now.
    pub(super) fn latest_of(&self, now_ms: u64) -> u64 {
        let tolerance = self.config().clock_tolerance.as_millis();
        self.note_time(now_ms)
            .saturating_add(u64::try_from(tolerance).unwrap_or(u64::MAX))
    }

    /// How long until a moment of ledger time.
    pub(super) fn until(&self, moment_ms: u64) -> Duration {
        Duration::from_millis(moment_ms.saturating_sub(self.now_ms()))
    }

    /// A request in the followed state.
    pub(super) fn look(&self, (token, id): Key) -> Option<Held> {
        self.view(|snapshot| {
            let request = snapshot.state.request(token, id)?.clone();
            let cluster = snapshot.state.cluster(self.cluster)?;
            Some(Held {
                has_others: cluster.eligible().any(|entry| entry.id != self.me),
                ttl_ms: cluster.response_ttl_ms(request.priority),
                request,
            })
        })
    }

    pub(super) fn view<T>(&self, reader: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        self.ledger.view(|snapshot| {
            self.note_time(snapshot.now_ms);
            reader(snapshot)
        })
    }

    /// Remembers unanswered requests.
    pub(super) fn keep(
        &self,
        events: impl Iterator<Item = Arc<wire::K8sApiRequest>>,
        past: InMemory,
    ) {
        let mut requests = self.requests();
        for event in events {
            if let Ok(id) = crate::types::RequestId::from_bytes(&event.request_id) {
                let key = (event.seal_token_id, id);
                // One that is followed once more is no newer for it.
                let known = requests.unanswered.entry(key);
                known.or_insert(Unanswered { event, past });
            }
        }
        self.status.unanswered.set(requests.unanswered.len() as u64);
    }

    /// Forgets requests that ended.
    pub(super) fn drop_ended(&self, keys: &[Key]) {
        let mut requests = self.requests();
        for key in keys {
            requests.unanswered.remove(key);
            requests.ignored.remove(key);
        }
        self.status.unanswered.set(requests.unanswered.len() as u64);
    }

    /// A request as it was admitted.
    pub(super) fn admitted(&self, key: Key) -> Option<Arc<wire::K8sApiRequest>> {
        let requests = self.requests();
        requests
            .unanswered
            .get(&key)
            .map(|known| known.event.clone())
    }

    /// What is known of an unanswered request without the journal; from now on it is touched.
    pub(super) fn touch(&self, key: Key) -> InMemory {
        let mut requests = self.requests();
        let Some(known) = requests.unanswered.get_mut(&key) else {
            return InMemory::Recovered;
        };
        let past = known.past;
        if past == InMemory::New {
            known.past = InMemory::Touched;
        }
        past
    }

    /// All requests that are unanswered as far as was followed, and that no task has.
    pub(super) fn idle(&self) -> Vec<Key> {
        let requests = self.requests();
        let keys = requests.unanswered.keys();
        keys.filter(|key| !requests.held.contains(*key))
            .copied()
            .collect()
    }

    /// Never looks at this assignment again.
    pub(super) fn ignore(&self, key: Key, epoch: u64) {
        self.requests().ignored.insert(key, epoch);
    }

    pub(super) fn is_ignored(&self, key: Key, epoch: u64) -> bool {
        let requests = self.requests();
        requests
            .ignored
            .get(&key)
            .is_some_and(|last| epoch <= *last)
    }

    /// Queues a request for execution. Never waits: a token whose requests take long would hold up those of others.
    pub(super) fn enqueue(&self, key: Key) {
        let is_watch = self
            .admitted(key)
            .is_some_and(|event| event.verb[..] == *b"watch");
        if self.hold(key) {
            let lane = usize::from(is_watch);
            self.lanes[lane].queue.push(key);
            self.note_queued(lane);
        }
    }

    fn note_queued(&self, lane: usize) {
        self.status.queued[lane].set(self.lanes[lane].queue.len() as u64);
    }

    /// Whether the caller has the request to itself now.
    fn hold(&self, key: Key) -> bool {
        let mut requests = self.requests();
        let is_new = requests.held.insert(key);
        self.status.held.set(requests.held.len() as u64);
        is_new
    }

    /// Measures a part of what is done about a request, which is over now.
    pub(super) fn took(&self, key: Key, stage: Stage, began: std::time::Instant) {
        self.status.stages.of(stage).observe(began.elapsed());
        self.spans.stage(key, stage, began);
    }

    fn done(&self, key: Key, result: Result<(), JournalError>) {
        self.spans.end(key);
        let mut requests = self.requests();
        requests.held.remove(&key);
        self.status.held.set(requests.held.len() as u64);
        drop(requests);
        if let Err(error) = result {
            self.fail(error.into());
        }
    }

    /// Stops everything: nothing may be begun any more.
    pub(super) fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.shutdown.cancel();
    }

    pub(super) async fn unless_abandoned<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.abandon.run_until_cancelled(work).await
    }

    /// Signs; tries again while the key is out of reach.
    pub(super) async fn sign<M: Serialize>(
        &self,
        kind: IntentKind,
        token: TokenId,
        message: &M,
    ) -> Option<Signature> {
        let intent = self.deployment.intent(kind, self.cluster, token);
        let bytes = intent.signed_bytes(message);
        let mut pause = Pause::default();
        loop {
            match self.signer.sign(&bytes).await {
                Ok(signature) => return Some(signature),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "cannot sign; trying again");
                    pause.wait().await;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot sign");
                    return None;
                }
            }
        }
    }

    /// Gives a request back that certainly did not reach the cluster; whether nothing more is to be done about
    /// it now: the ledger has taken it, or takes nothing from this executor, no answer either.
    ///
    /// # Errors
    /// Only those of the journal.
    pub(super) async fn release(&self, key: Key, held: &Held) -> Result<bool, JournalError> {
        let (token, id) = key;
        let request = &held.request;
        if !request.is_read {
            let keep_until_ms = request.prunable_at_ms;
            let given_back = self.journal.give_back(key, request.epoch, keep_until_ms);
            if !given_back.await? {
                return Ok(false);
            }
        }
        let request_id = ByteString(id.to_wire());
        let epoch = held.request.epoch;
        let message = AssignmentMessage {
            request_id: request_id.clone(),
            digest: held.request.digest,
            epoch,
        };
        let Some(signature) = self.sign(IntentKind::Release, token, &message).await else {
            return Ok(false);
        };
        let call = Call::ReleaseRequest {
            cluster: self.cluster,
            token,
            request_id,
            executor: self.me,
            epoch,
            signature: HexBytes(signature.as_bytes().to_vec()),
        };
        crash_point!(NautilusBeforeRelease);
        match self.ledger.call(call).await {
            Ok(_) => {
                crash_point!(NautilusReleased);
                self.status.released.add(1);
                tracing::info!(%token, request_id = %id, epoch, "released");
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(%token, request_id = %id, epoch, %error, "not released");
                // Once it is eligible again, the scan comes back to it.
                Ok(error.code() == Some(Code::ExecutorNotEligible))
            }
        }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits longer each time, by chance up to half as long again.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self::up_to(Duration::from_secs(5))
    }
}

impl Pause {
    pub(super) fn up_to(longest: Duration) -> Self {
        Self {
            next: Duration::from_millis(20),
            longest,
        }
    }

    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.next + chance(self.next / 2)).await;
        self.next = (self.next * 2).min(self.longest);
    }
}

/// Anything from nothing to `most`.
pub(super) fn chance(most: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness all wait the same: slower, not wrong.
    let _ = getrandom::fill(&mut byte);
    most * u32::from(byte[0]) / 255
}
