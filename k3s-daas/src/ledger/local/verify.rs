//! Signatures, verified before the engine sees a call, so that it writes one batch while the next is verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

use super::engine::{Command, Submission};
use super::follow::ended;
use super::message::LocalCall;
use super::published::{Published, View};
use super::signatures::{Answered, Deferred, Question};
use super::{Commands, Reply, SignedCall, spawn};
use crate::contract::{Call, Context, NoAttestation};
use crate::crypto::{BadSignatures, BatchVerifier};
use crate::ledger::{Error, Receipt, Result};
use crate::types::Address;
use crate::wire::Deployment;

/// Who verifies: whoever submits, while the engine has nothing to do, which is soonest. Otherwise a thread, many at
/// once, at half the cost of each.
#[derive(Debug)]
pub(super) struct Verification {
    /// Ends the thread when dropped.
    waiting: SyncSender<Unverified>,
    /// How many are waiting or being verified.
    pending: Arc<AtomicUsize>,
    engine: Arc<Commands>,
    deployment: Deployment,
}

#[derive(Debug)]
struct Unverified {
    signed: SignedCall,
    reply: Reply<Receipt>,
}

impl Verification {
    /// Before `engine`, with at most `queue` calls that wait.
    pub(super) fn before(
        engine: Arc<Commands>,
        queue: usize,
        deployment: Deployment,
        published: Arc<Published>,
    ) -> Result<Self> {
        let (waiting, calls) = mpsc::sync_channel(queue);
        let pending = Arc::<AtomicUsize>::default();
        let thread = Thread {
            engine: engine.clone(),
            pending: pending.clone(),
            deployment,
            published,
        };
        spawn("ledger-verify", move || thread.run(&calls))?;
        Ok(Self {
            waiting,
            pending,
            engine,
            deployment,
        })
    }

    /// Hands a call on to the engine once it is known whether its signature is genuine.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(super) fn submit(&self, signed: SignedCall, reply: Reply<Receipt>) -> Result<()> {
        let is_first = self.pending.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first && self.engine.is_idle() {
            let is_genuine = signed.key.verify(&signed.bytes, &signed.signature);
            self.pending.fetch_sub(1, Ordering::Relaxed);
            return self.engine.send(Command::Call(Box::new(Submission {
                message: signed.message(&self.deployment),
                digest: signed.digest(),
                signed,
                is_genuine,
                answered: Answered::default(),
                reply,
            })));
        }
        let queued = self.waiting.try_send(Unverified { signed, reply });
        queued.map_err(|error| {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Error::Busy,
                TrySendError::Disconnected(_) => ended(),
            }
        })
    }
}

#[cfg(test)]
impl Verification {
    /// All that is submitted from now on goes to the thread.
    pub(super) fn pretend_to_be_busy(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }
}

struct Thread {
    engine: Arc<Commands>,
    pending: Arc<AtomicUsize>,
    deployment: Deployment,
    published: Arc<Published>,
}

impl Thread {
    /// Works until nobody can submit any more.
    fn run(&self, calls: &Receiver<Unverified>) {
        while let Ok(first) = calls.recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = calls.try_recv()
            {
                batch.push(next);
            }
            let count = batch.len();
            for submission in self.verify(batch) {
                // Waits while the engine has too much, and then so do those who submit.
                self.engine
                    .send_waiting(Command::Call(Box::new(submission)));
            }
            // Only now, so that nobody overtakes those who waited.
            self.pending.fetch_sub(count, Ordering::Relaxed);
        }
    }

    fn verify(&self, batch: Vec<Unverified>) -> Vec<Submission> {
        let mut signatures = BatchVerifier::new();
        let mut parts = Vec::with_capacity(batch.len());
        for Unverified { signed, .. } in &batch {
            let message = signed.message(&self.deployment);
            signatures.push(&signed.key, &signed.bytes, &signed.signature);
            let questions = message.as_ref().map_or_else(
                |_| Vec::new(),
                |message| questions(&self.published.read(), &self.deployment, message),
            );
            for question in &questions {
                question.put_to(&mut signatures);
            }
            parts.push((message, questions));
        }
        let bad = signatures.verify().err();
        let mut index = 0;
        let mut next_is_genuine = || {
            index += 1;
            let is_bad = |bad: &BadSignatures| bad.indices().binary_search(&(index - 1)).is_ok();
            !bad.as_ref().is_some_and(is_bad)
        };
        let submission =
            |(Unverified { signed, reply }, (message, questions)): (_, (_, Vec<_>))| {
                let is_genuine = next_is_genuine();
                let mut answered = Answered::default();
                for question in questions {
                    answered.add(question, next_is_genuine());
                }
                Submission {
                    digest: signed.digest(),
                    signed,
                    is_genuine,
                    message,
                    answered,
                    reply,
                }
            };
        batch.into_iter().zip(parts).map(submission).collect()
    }
}

/// What the contract would ask about signatures of executors, as far as that can be told now. What it asks in the
/// end may be something else; then the engine verifies that.
pub(super) fn questions(
    view: &View,
    deployment: &Deployment,
    message: &LocalCall,
) -> Vec<Question> {
    let has_signature = matches!(
        message.call,
        Call::StoreK8sResponse { .. }
            | Call::ClaimRequest { .. }
            | Call::ReleaseRequest { .. }
            | Call::CloseSession { .. }
            | Call::AnchorReads { .. }
    );
    if !has_signature {
        return Vec::new();
    }
    let deferred = Deferred::default();
    let mut context = Context {
        package: deployment.package,
        sender: message.sender,
        now_ms: view.tip.time_ms,
        fresh_id: &mut || Address::ZERO,
        attestation: &NoAttestation,
        signatures: &deferred,
    };
    // Whether it is refused is the engine's to say.
    let _ = view.state.decide(&message.call, &mut context);
    deferred.take()
}

/// More at once are hardly cheaper each, and the engine would wait for them.
const MAX_BATCH: usize = 128;
