//! Whether anybody answers: what the ledger shows of each executor, and, when it shows nothing, a question
//! of the gateway's own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::extract::Asked;
use super::refusal::Refusal;
use super::submit::{Answer, Caller, Timing};
use crate::ledger::LedgerExt as _;
use crate::types::ExecutorId;
use crate::wire::K8sRequestProcessed;

/// What is known of the executors.
#[derive(Debug)]
pub(super) struct Executors {
    state: Mutex<State>,
    asked: Notify,
    /// The same by somebody whose request is refused, which waits less.
    refused: Notify,
    /// Grows with each question that has its answer, or has none in time.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<ExecutorId, Standing>,
    /// When the cluster itself last answered anything.
    reached: Option<Instant>,
    /// Why the gateway's own question could not even be asked.
    unasked: Option<String>,
    pause: Pause,
}

/// Who may have a question asked, by how long ago the last one was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Pause {
    /// Everybody.
    #[default]
    Over,
    /// Who would be refused a request otherwise, and not who only looks whether all is well.
    ForOnlookers,
    /// Nobody: it was asked a moment ago.
    ForAll,
}

#[derive(Debug, Default)]
struct Standing {
    /// When it last answered anything.
    heard: Option<Instant>,
    trouble: Option<Trouble>,
}

/// Why an executor is no good now. Only the gateway's own question finds it out; any answer ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not answer.
    Silent {
        executor: ExecutorId,
        since: Instant,
    },
    /// It answers that the cluster does not.
    Unreachable { executor: ExecutorId, said: String },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { executor, since } => write!(
                f,
                "executor {executor} has not answered for {} s: is daas-nautilus running?",
                since.elapsed().as_secs()
            ),
            Self::Unreachable { executor, said } => {
                write!(f, "cluster unreachable from executor {executor}: {said}")
            }
        }
    }
}

impl Executors {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            asked: Notify::new(),
            refused: Notify::new(),
            ended: watch::Sender::new(0),
        }
    }

    /// Takes note of an answer on the ledger.
    pub(super) fn heard(&self, event: &K8sRequestProcessed) {
        // What is 500 or more may be the executor's own word.
        let is_the_clusters = event.status_code < 500;
        let now = Instant::now();
        let mut state = self.lock();
        if is_the_clusters {
            state.reached = Some(now);
        }
        if state.known.len() >= MAX_KNOWN && !state.known.contains_key(&event.executor) {
            state.known.clear();
        }
        let standing = state.known.entry(event.executor).or_default();
        standing.heard = Some(now);
        let is_over = match &standing.trouble {
            Some(Trouble::Silent { .. }) => true,
            Some(Trouble::Unreachable { .. }) => is_the_clusters,
            None => false,
        };
        if is_over {
            standing.trouble = None;
        }
    }

    /// Asks, soon, unless that was done a moment ago.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Whether the cluster answered anything in this last while.
    fn is_reached_within(&self, while_: Duration) -> bool {
        let reached = self.lock().reached;
        reached.is_some_and(|reached| reached.elapsed() < while_)
    }

    /// Whether anybody answered anything since `begun`.
    pub(super) fn is_heard_since(&self, begun: Instant) -> bool {
        let state = self.lock();
        let mut heard = state.known.values().filter_map(|standing| standing.heard);
        heard.any(|heard| heard >= begun)
    }

    fn trouble_of(&self, executor: ExecutorId) -> Option<Trouble> {
        let state = self.lock();
        state.known.get(&executor)?.trouble.clone()
    }

    /// What the question showed.
    fn learn(&self, executor: ExecutorId, begun: Instant, found: Found) {
        let mut state = self.lock();
        state.unasked = None;
        if matches!(found, Found::Reached) {
            state.reached = Some(Instant::now());
        }
        let standing = state.known.entry(executor).or_default();
        standing.trouble = match found {
            Found::Reached => None,
            Found::Unreachable(said) => Some(Trouble::Unreachable { executor, said }),
            // It answers others.
            Found::Nothing if standing.heard.is_some_and(|heard| heard > begun) => None,
            Found::Nothing => match standing.trouble.take() {
                Some(silent @ Trouble::Silent { .. }) => Some(silent),
                // Not since it was last heard: nobody may have asked it anything for hours.
                _ => Some(Trouble::Silent {
                    executor,
                    since: begun,
                }),
            },
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum Found {
    Reached,
    Unreachable(String),
    Nothing,
}

/// Asks whenever somebody wants to know, one question at a time, until `stop`.
pub(super) async fn keep_asking(
    inner: Weak<Inner>,
    executors: Arc<Executors>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = executors.asked.notified() => {}
            () = executors.refused.notified() => {}
        }
        // Whoever else asked until now is answered by the same question.
        executors.asked.notified().now_or_never();
        executors.refused.notified().now_or_never();
        let Some(inner) = inner.upgrade() else { return };
        tokio::select! {
            () = stop.cancelled() => return,
            () = inner.question() => {}
        }
        let is_well = inner.trouble().is_none();
        let longest = inner.config().probe_interval;
        drop(inner);
        executors.lock().pause = Pause::ForAll;
        executors.ended.send_modify(|ended| *ended += 1);
        pause = if is_well { FIRST_PAUSE } else { pause * 2 };
        pause = pause.min(longest);
        let shortest = pause.min(REFUSED_PAUSE);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(shortest) => {}
        }
        executors.lock().pause = Pause::ForOnlookers;
        tokio::select! {
            () = stop.cancelled() => return,
            // The permit is left for the question itself.
            () = executors.refused.notified() => executors.refused.notify_one(),
            () = tokio::time::sleep(pause - shortest) => {}
        }
        executors.lock().pause = Pause::Over;
    }
}

impl Inner {
    /// Why no executor that could be assigned a request is any good; `None` as long as one may be.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let eligible: Vec<ExecutorId> = self.ledger.view(|snapshot| {
            let cluster = snapshot.state.cluster(self.cluster)?;
            Some(cluster.eligible().map(|entry| entry.id).collect())
        })?;
        let troubles: Option<Vec<Trouble>> = eligible
            .into_iter()
            .map(|executor| self.executors.trouble_of(executor))
            .collect();
        // A cluster that cannot be reached says more than an executor that is silent.
        troubles?
            .into_iter()
            .max_by_key(|trouble| matches!(trouble, Trouble::Unreachable { .. }))
    }

    /// Refuses what nobody would answer, unless asking once more shows that somebody does now.
    pub(super) async fn is_anybody_there(&self) -> Result<(), Refusal> {
        let Some(trouble) = self.trouble() else {
            return Ok(());
        };
        self.wait_for_question(Pause::ForOnlookers).await;
        match self.trouble() {
            None => Ok(()),
            Some(_) => Err(Refusal::NobodyAnswers(trouble.to_string())),
        }
    }

    /// Waits until what the executors are known for is not older than the interval between questions, but
    /// not for long; what is still missing then.
    pub(super) async fn examine_executors(&self) -> Option<String> {
        let interval = self.config().probe_interval;
        if self.config().discovery_token.is_none() || self.executors.is_reached_within(interval) {
            return None;
        }
        self.wait_for_question(Pause::Over).await;
        if self.executors.is_reached_within(interval) {
            return None;
        }
        let unasked = self.executors.lock().unasked.clone();
        Some(unasked.unwrap_or_else(|| {
            "no answer yet to the gateway's own question: is daas-nautilus running?".to_owned()
        }))
    }

    /// Asks, and waits for what comes of it, unless it is not to be asked yet: it is in a pause up to `during`.
    async fn wait_for_question(&self, during: Pause) {
        let mut ended = self.executors.ended.subscribe();
        match during {
            Pause::Over => self.executors.asked.notify_one(),
            _ => self.executors.refused.notify_one(),
        }
        let pause = self.executors.lock().pause;
        if pause <= during {
            tokio::time::timeout(PATIENCE, ended.changed()).await.ok();
        }
    }

    /// Resolves, for one who waits for the answer to a read, once it is known that nobody gives one.
    pub(super) async fn nobody_answers(&self, is_read: bool) -> Trouble {
        let quiet = self.config().probe_interval / 2;
        let mut ended = self.executors.ended.subscribe();
        loop {
            tokio::time::timeout(quiet, ended.changed()).await.ok();
            if !self.executors.is_reached_within(quiet) {
                self.executors.ask();
            }
            // What a write came to stays open until its deadline.
            if is_read && let Some(trouble) = self.trouble() {
                return trouble;
            }
        }
    }

    /// Whether an answer is the executor's own word that the cluster does not answer.
    pub(super) fn notice_unreachable(&self, answer: &Answer) {
        if unreachable_said(answer).is_some() {
            self.executors.ask();
        }
    }

    /// Asks for the cluster's version with the gateway's own token.
    async fn question(&self) {
        let (Some(token), Some(mut asked)) =
            (self.config().discovery_token, Asked::get("/version"))
        else {
            return;
        };
        asked.deadline = Some(self.config().probe_timeout);
        asked.set_header("user-agent", super::discovery::USER_AGENT.to_owned());
        let own = Caller {
            token,
            credential: None,
        };
        let begun = Instant::now();
        self.metrics.questions.add(1);
        let outcome = self.carry_out(&own, &asked, &mut Timing::default()).await;
        let assigned = self.ledger.view(|snapshot| {
            let request = snapshot.state.request(token, asked.id)?;
            Some(request.executor)
        });
        match (outcome, assigned) {
            (Ok(answer), Some(executor)) => {
                let found = unreachable_said(&answer).map_or(Found::Reached, Found::Unreachable);
                self.executors.learn(executor, begun, found);
            }
            (Err(Refusal::Unanswered { .. } | Refusal::NobodyAnswers(_)), Some(executor)) => {
                self.executors.learn(executor, begun, Found::Nothing);
            }
            (Ok(_), None) => {}
            (Err(refusal), _) => {
                let unasked = format!(
                    "the gateway's own question was not answered: {}",
                    refusal.name()
                );
                self.executors.lock().unasked = Some(unasked);
            }
        }
        if let Some(trouble) = self.trouble() {
            tracing::warn!(%trouble, "nobody answers");
        }
    }
}

/// What an executor says when the cluster did not answer it; `None` for what the cluster itself said.
fn unreachable_said(answer: &Answer) -> Option<String> {
    if !matches!(answer.status, 503 | 504) {
        return None;
    }
    let status: Value = serde_json::from_slice(&answer.body).ok()?;
    let causes = status["details"]["causes"].as_array()?;
    let cause = |reason| causes.iter().find(|cause| cause["reason"] == reason);
    let message = match cause(UNREACHABLE) {
        Some(cause) => cause["message"].as_str()?,
        None => {
            cause(EXECUTORS_OWN)?;
            let said = status["message"].as_str()?;
            // What follows is advice to whoever asked: the gateway, and not whoever is told this.
            said.split("; ").next().unwrap_or(said)
        }
    };
    Some(message.chars().take(MAX_SAID).collect())
}

/// The cause that says why the cluster was not reached.
const UNREACHABLE: &str = "ClusterUnreachable";
/// The cause in each `Status` that an executor makes itself.
const EXECUTORS_OWN: &str = "DaasRequestId";
/// Characters of what an executor said.
const MAX_SAID: usize = 300;
/// A cluster has 64 executors at most; some come and go.
const MAX_KNOWN: usize = 256;
/// Between questions, and doubled while there is trouble.
const FIRST_PAUSE: Duration = Duration::from_millis(2_500);
/// The same while requests are refused: soon after the trouble is over they are let through again.
const REFUSED_PAUSE: Duration = Duration::from_millis(1_500);
/// How long somebody waits for a question's answer.
const PATIENCE: Duration = Duration::from_secs(2);
