//! Check, submit, wait, fetch: from what is asked to what the ledger says was answered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::StatusCode;

use super::Inner;
use super::extract::Asked;
use super::pending::{Answered, Waiter};
use super::refusal::{Denial, Refusal, Why};
use super::room::Taken;
use crate::blob::{self, Holder};
use crate::contract::{
    Asker, Call, Code, Request, SealToken, State, check_request, derive_target, request_digest,
};
use crate::crypto::{Blob, BlobHash};
use crate::ledger::{self, LedgerExt as _, Snapshot};
use crate::token::Verified;
use crate::types::{
    Address, ByteString, ClusterId, Digest, K8sApiRequest, Payload, RequestId, Target, TokenId,
    nearest_rule,
};
use crate::wire::{self, Content, Event, RequestMessage, ResponseEnvelope};

/// For whom a request is submitted.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) token: TokenId,
    /// The credential that was checked; the gateway needs none for its own token.
    pub(super) credential: Option<Verified>,
}

/// An answer as the ledger has its hash.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Of an envelope, with the body.
    pub(super) headers: Vec<(ByteString, ByteString)>,
    pub(super) body: Bytes,
    /// What it takes of the room for answers, for as long as it is there.
    pub(super) room: Option<Taken>,
}

/// Where the time of a request went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    pub(super) authorize: Duration,
    pub(super) submit: Duration,
    pub(super) execute: Duration,
    pub(super) fetch: Duration,
    /// When the later ones began, of those it came to.
    pub(super) submit_at: Option<Instant>,
    pub(super) execute_at: Option<Instant>,
    pub(super) fetch_at: Option<Instant>,
    /// Whether it was this very call that the ledger admitted.
    pub(super) is_admitted: bool,
}

/// A request ready to be submitted, with the bytes that travel beside it.
struct Prepared {
    message: RequestMessage,
    blobs: Vec<Blob>,
    is_read: bool,
}

impl Inner {
    /// Has the ledger admit what is asked, waits for its answer and fetches it.
    ///
    /// A refusal of the contract is recorded behind this.
    pub(super) async fn execute(
        &self,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Result<Answer, Refusal> {
        if asked.id_given {
            // Made before, perhaps a moment ago by another gateway.
            self.sync(asked).await?;
            if self.held(caller.token, asked).await?.is_some() {
                return self.join(caller, asked, timing).await;
            }
            self.last_ms(asked)?;
        }
        if self.answers.is_full(caller.token) {
            // Before anything is begun, which may be a write.
            return Err(Refusal::TooMany("large answers"));
        }
        self.is_anybody_there().await?;
        self.carry_out(caller, asked, timing).await
    }

    /// The same for what is surely new, whether anybody is known to answer or not.
    pub(super) async fn carry_out(
        &self,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Result<Answer, Refusal> {
        let started = Instant::now();
        let prepared = self.prepare(caller, asked)?;
        self.check(caller, &prepared.message, asked)?;
        timing.authorize += started.elapsed();

        let started = Instant::now();
        timing.submit_at = Some(started);
        let deadline_ms = prepared.message.deadline_ms;
        self.store_blobs(caller.token, asked.id, &prepared, deadline_ms)
            .await?;
        let mut waiter = self.pending.wait(caller.token, asked.id);
        let submitted = self.submit(caller, asked, &prepared).await;
        timing.submit += started.elapsed();
        match submitted? {
            Submitted::Admitted => timing.is_admitted = true,
            Submitted::Held => {
                drop(waiter);
                return self.join(caller, asked, timing).await;
            }
        }

        let started = Instant::now();
        timing.execute_at = Some(started);
        let is_read = prepared.is_read;
        let answered = self
            .wait(&mut waiter, caller.token, asked, deadline_ms, is_read)
            .await;
        timing.execute += started.elapsed();
        crash_point!(GatewayAnswerSeen);
        drop(waiter);
        let started = Instant::now();
        timing.fetch_at = Some(started);
        let answer = self
            .fetch(caller.token, asked.id, &answered?, is_read, false)
            .await;
        timing.fetch += started.elapsed();
        if answer.is_ok() {
            for blob in &prepared.blobs {
                self.holds.settle(caller.token, asked.id, blob.hash());
            }
        }
        answer
    }

    /// Runs the contract's checks on the followed state.
    ///
    /// # Errors
    /// [`Refusal::Contract`], recorded behind the answer; code 11 is left for the ledger to say.
    pub(super) fn check(
        &self,
        caller: &Caller,
        message: &RequestMessage,
        asked: &Asked,
    ) -> Result<(), Refusal> {
        let denial = self.ledger.view(|snapshot| {
            self.denial(snapshot, caller.token, message, Some(&asked.target))
                .map(|denial| (denial, snapshot.now_ms))
        });
        match denial {
            None => Ok(()),
            Some((denial, _)) if denial.code == Code::DuplicateRequest => Ok(()),
            Some((denial, now_ms)) => {
                self.record(caller, denial.code, message, now_ms);
                Err(Refusal::Contract(Box::new(denial)))
            }
        }
    }

    /// Records a refusal behind the answer; not those of the gateway's own requests.
    pub(super) fn record(
        &self,
        caller: &Caller,
        code: Code,
        message: &RequestMessage,
        now_ms: u64,
    ) {
        if caller.credential.is_some() && (1..=13).contains(&code.number()) {
            self.recorder
                .record(caller.token, code, message.clone(), now_ms);
        }
    }

    /// Ledger time by which the request must be answered.
    pub(super) fn deadline_ms(&self, asked: &Asked) -> u64 {
        let now_ms = self.ledger.now_ms();
        now_ms.saturating_add(self.patience_ms(asked))
    }

    /// The same for a request that is to be admitted: nothing is admitted under an ID of the client's own
    /// once what that was used for may be pruned.
    ///
    /// # Errors
    /// [`Refusal::ExpiredId`]
    fn last_ms(&self, asked: &Asked) -> Result<u64, Refusal> {
        let now_ms = self.ledger.now_ms();
        let patience_ms = self.patience_ms(asked);
        let wanted_ms = now_ms.saturating_add(patience_ms);
        if !asked.id_given {
            return Ok(wanted_ms);
        }
        let id_ms = asked.id.timestamp_ms();
        let behind_ms = self.known.behind_ms(id_ms, self.kept_ms(), now_ms);
        let end_ms = id_ms.saturating_add(behind_ms);
        // Time for an answer must be left, too.
        let least_ms = patience_ms
            .min(in_ms(self.config().deadline))
            .min(behind_ms / 4)
            .max(1);
        if end_ms < now_ms.saturating_add(least_ms) {
            return Err(Refusal::ExpiredId(asked.id));
        }
        Ok(wanted_ms.min(end_ms))
    }

    fn patience_ms(&self, asked: &Asked) -> u64 {
        let patience = match self.clients_timeout(asked) {
            Some(timeout) => timeout.saturating_sub(lead(timeout)),
            None if asked.deadline.is_some_and(|given| !given.is_zero()) => {
                self.config().max_deadline
            }
            None => self.config().deadline.min(self.config().max_deadline),
        };
        in_ms(patience).max(1)
    }

    /// How long after the deadline an answer may still come.
    fn grace(&self, asked: &Asked) -> Duration {
        let grace = self.config().answer_grace;
        match self.clients_timeout(asked) {
            Some(timeout) => grace.min(lead(timeout) / 2),
            None => grace,
        }
    }

    /// After what time the client is gone, if it is before the gateway would give up by itself.
    fn clients_timeout(&self, asked: &Asked) -> Option<Duration> {
        let timeout = asked.deadline.filter(|timeout| !timeout.is_zero())?;
        (timeout <= self.config().max_deadline).then_some(timeout)
    }

    /// The shortest time for which the policy has an answer kept, milliseconds.
    pub(super) fn kept_ms(&self) -> u64 {
        self.ledger.view(|snapshot| {
            let cluster = snapshot.state.cluster(self.cluster);
            cluster.map_or(0, |cluster| cluster.policy.shortest_ttl_ms())
        })
    }

    fn prepare(&self, caller: &Caller, asked: &Asked) -> Result<Prepared, Refusal> {
        let body = (!asked.body.is_empty()).then(|| Blob::seal(&asked.body));
        let is_hashed = asked.target.is_connect && !asked.query.is_empty();
        let query = is_hashed.then(|| Blob::seal(asked.query.as_bytes()));
        let deadline_ms = self.last_ms(asked)?;
        let credential_id = caller
            .credential
            .as_ref()
            .map(|verified| verified.credential_id);
        let request = build(
            asked,
            deadline_ms,
            credential_id,
            content(&body),
            content(&query),
        )?;
        Ok(Prepared {
            message: RequestMessage::from(&request),
            is_read: request.target().is_read,
            blobs: body.into_iter().chain(query).collect(),
        })
    }

    async fn store_blobs(
        &self,
        token: TokenId,
        id: RequestId,
        prepared: &Prepared,
        deadline_ms: u64,
    ) -> Result<(), Refusal> {
        let until = Duration::from_millis(deadline_ms.saturating_sub(self.ledger.now_ms()));
        let keep = until + self.config().payload_retention;
        let holder = Holder::for_request(token, id);
        for blob in &prepared.blobs {
            crash_point!(GatewayBeforePayload);
            self.blobs.put(blob, &holder, keep).await.map_err(|error| {
                tracing::warn!(%error, "a request's body could not be stored");
                match error {
                    blob::Error::Full { .. }
                    | blob::Error::ShareFull { .. }
                    | blob::Error::DiskFull { .. }
                    | blob::Error::TooLarge { .. } => Refusal::BlobsFull,
                    _ => Refusal::BlobsDown,
                }
            })?;
            crash_point!(GatewayPayloadStored);
        }
        Ok(())
    }

    /// Submits, until the ledger has said yes or no or the deadline comes.
    async fn submit(
        &self,
        caller: &Caller,
        asked: &Asked,
        prepared: &Prepared,
    ) -> Result<Submitted, Refusal> {
        let call = Call::TryExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: caller.token,
            request: prepared.message.clone(),
        };
        let digest = request_digest(
            &self.ledger.deployment(),
            self.cluster,
            caller.token,
            &prepared.message,
        );
        let mut wait = Duration::from_millis(50);
        let mut is_uncertain = false;
        self.metrics.submitted.add(1);
        loop {
            let left = prepared
                .message
                .deadline_ms
                .saturating_sub(self.ledger.now_ms());
            // Once it is too late to be in time, it is better to know.
            let grace = match left {
                0 => self.config().answer_grace,
                _ => self.grace(asked),
            };
            let limit = Duration::from_millis(left) + grace;
            crash_point!(GatewayBeforeSubmit);
            let outcome = tokio::time::timeout(limit, self.ledger.call(call.clone())).await;
            match outcome.unwrap_or_else(|_| Err(ledger::Error::Unavailable("no answer".into()))) {
                Ok(receipt) => {
                    crash_point!(GatewaySubmitted);
                    for event in &receipt.events {
                        match &event.event {
                            Event::K8sApiRequest(admitted) if admitted.digest == digest => {
                                return Ok(Submitted::Admitted);
                            }
                            Event::K8sRequestRejected(rejected) if rejected.digest == digest => {
                                let is_duplicate = rejected.code == Code::DuplicateRequest.number();
                                // An earlier try may have been admitted, and the token, its rules or
                                // its stake may have changed since: most checks come before that of
                                // the ID.
                                if (is_duplicate || is_uncertain)
                                    && self.is_admitted(caller.token, asked, digest).await?
                                {
                                    return Ok(Submitted::Admitted);
                                }
                                if is_duplicate {
                                    return Ok(Submitted::Held);
                                }
                                return Err(self.rejected(caller, prepared, asked, rejected.code));
                            }
                            _ => {}
                        }
                    }
                    tracing::error!(id = %asked.id, "the ledger's receipt says nothing of the request");
                    return Err(unknown(asked));
                }
                Err(ledger::Error::Unavailable(reason)) => {
                    is_uncertain = true;
                    tracing::warn!(%reason, id = %asked.id, "the ledger did not answer a submission");
                    if self.ledger.now_ms() >= prepared.message.deadline_ms {
                        return Err(unknown(asked));
                    }
                    // The same ID again: the contract admits it once, whatever became of this call.
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
                Err(error) if is_uncertain => {
                    tracing::error!(%error, id = %asked.id, "a submission failed after an uncertain one");
                    return Err(unknown(asked));
                }
                Err(ledger::Error::Refused(code)) => {
                    return Err(self.rejected(caller, prepared, asked, code.number()));
                }
                Err(error) => return Err(self.not_begun(&error)),
            }
        }
    }

    /// Whether the ledger admitted this very request: a submission of ours whose receipt was lost.
    async fn is_admitted(
        &self,
        token: TokenId,
        asked: &Asked,
        digest: Digest,
    ) -> Result<bool, Refusal> {
        self.sync(asked).await?;
        let held = self.held(token, asked).await?;
        Ok(held.is_some_and(|request| request.digest == digest))
    }

    /// Follows the ledger to its end, on the way of a request that it may hold already; no longer than a client
    /// waits for an answer.
    async fn sync(&self, asked: &Asked) -> Result<(), Refusal> {
        let limit = Duration::from_millis(self.patience_ms(asked)) + self.grace(asked);
        let synced = tokio::time::timeout(limit, self.ledger.sync()).await;
        match synced.unwrap_or_else(|_| Err(ledger::Error::Unavailable("no answer".into()))) {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, id = %asked.id, "what became of a request cannot be looked up");
                Err(unknown(asked))
            }
        }
    }

    /// The refusal of a call that certainly did nothing.
    pub(super) fn not_begun(&self, error: &ledger::Error) -> Refusal {
        match error {
            ledger::Error::Busy => Refusal::LedgerBusy,
            ledger::Error::DiskReserve => Refusal::LedgerFull,
            ledger::Error::Unavailable(_) => Refusal::LedgerDown,
            ledger::Error::Signer(signer) if signer.is_retryable() => Refusal::LedgerDown,
            _ => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the ledger refused a call"
                );
                Refusal::LedgerFault
            }
        }
    }

    /// The refusal that the ledger itself gave and recorded.
    fn rejected(&self, caller: &Caller, prepared: &Prepared, asked: &Asked, code: u8) -> Refusal {
        let Some(code) = Code::from_number(code) else {
            return Refusal::LedgerFault;
        };
        let denial = self.ledger.view(|snapshot| {
            let message = &prepared.message;
            let mut denial = describe(
                snapshot,
                self.cluster,
                caller.token,
                message,
                Some(&asked.target),
                code,
                self.ledger.account(),
            );
            denial.code = code;
            denial
        });
        Refusal::Contract(Box::new(denial))
    }

    /// Waits for the answer, until a little after the deadline.
    async fn wait(
        &self,
        waiter: &mut Waiter,
        token: TokenId,
        asked: &Asked,
        deadline_ms: u64,
        is_read: bool,
    ) -> Result<Answered, Refusal> {
        let id = asked.id;
        let until = Duration::from_millis(deadline_ms.saturating_sub(self.ledger.now_ms()));
        let limit = until + self.grace(asked);
        let begun = Instant::now();
        let answered = async {
            tokio::select! {
                answered = waiter.answered() => Ok(answered),
                trouble = self.nobody_answers(is_read) => Err(trouble),
            }
        };
        let outcome = tokio::time::timeout(limit, answered).await;
        if let Ok(Ok(answered)) = outcome {
            return Ok(answered);
        }
        // Following may be interrupted while the state is current.
        if let Some(answered) = self.recorded_answer(token, id).await {
            return Ok(answered);
        }
        self.metrics.unanswered.add(1);
        if let Ok(Err(trouble)) = outcome {
            // A read changes nothing, so there is nothing to wait for.
            return Err(Refusal::NobodyAnswers(trouble.to_string()));
        }
        let why = match self.trouble() {
            Some(trouble) => Some(trouble.to_string()),
            None if self.executors.is_heard_since(begun) => None,
            None => Some(
                "no executor has answered anything meanwhile: is daas-nautilus running?".into(),
            ),
        };
        Err(Refusal::Unanswered {
            id,
            is_read,
            why: Why::Deadline(why),
        })
    }

    /// Fetches an answer's bytes, which count because the ledger has their hash and length.
    async fn fetch(
        &self,
        token: TokenId,
        id: RequestId,
        answered: &Answered,
        is_read: bool,
        is_repetition: bool,
    ) -> Result<Answer, Refusal> {
        let wrong = |what: &'static str| {
            self.metrics.wrong_bytes.add(1);
            tracing::error!(%id, executor = %answered.executor, what, "an answer's bytes are no good");
            Refusal::WrongBytes { id, what }
        };
        let length = usize::try_from(answered.length).unwrap_or(usize::MAX);
        // Also when the client goes while it waits here.
        let _delivery = is_read.then(|| self.holds.deliver(token, id, answered.hash));
        let room = self
            .answers
            .take(token, length, self.config().answer_patience)
            .await
            .ok_or(Refusal::NoRoom { id, is_read })?;
        let blob = match self.fetch_blob(&answered.hash).await {
            Ok(blob) => blob,
            Err(blob::Error::NotFound { .. }) if is_repetition => {
                return Err(Refusal::BodyGone(id));
            }
            // The executor's own word, for which there was no room either.
            Err(blob::Error::NotFound { .. })
                if answered.status == StatusCode::INSUFFICIENT_STORAGE.as_u16() =>
            {
                return Err(Refusal::AnswerLost { id, is_read });
            }
            Err(blob::Error::NotFound { .. }) => return Err(wrong("its bytes are missing")),
            Err(blob::Error::Corrupt { .. }) => {
                return Err(wrong("its bytes are not those that were recorded"));
            }
            Err(error) => {
                tracing::warn!(%error, %id, "an answer could not be fetched");
                return Err(wrong("its bytes cannot be reached now"));
            }
        };
        // A store's word is worth nothing.
        if blob.hash() != answered.hash || blob.body_len() as u64 != answered.length {
            return Err(wrong("its bytes are not those that were recorded"));
        }
        let (headers, body) = ResponseEnvelope::split(&blob.body())
            .map_err(|_| wrong("its bytes are no response"))?;
        self.metrics.answered.add(1);
        let answer = Answer {
            status: answered.status,
            headers,
            body,
            room: Some(room),
        };
        self.notice_unreachable(&answer);
        Ok(answer)
    }

    /// A blob, with a few tries while the store cannot be reached.
    async fn fetch_blob(&self, hash: &BlobHash) -> blob::Result<Blob> {
        let mut wait = Duration::from_millis(50);
        for _ in 0..FETCHES {
            match self.blobs.fetch(hash).await {
                Err(blob::Error::Unavailable { .. }) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                outcome => return outcome,
            }
        }
        self.blobs.fetch(hash).await
    }

    /// Joins a request that the token holds already, if this is it once more.
    async fn join(
        &self,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Result<Answer, Refusal> {
        let (token, id) = (caller.token, asked.id);
        let started = Instant::now();
        // Whoever asks must be allowed to ask now, too.
        let mut message = asked.message_without_body(self.deadline_ms(asked));
        message.credential_id = caller
            .credential
            .as_ref()
            .map(|verified| verified.credential_id.to_vec().into())
            .unwrap_or_default();
        self.check(caller, &message, asked)?;
        let held = self.held(token, asked).await?;
        let held = held.ok_or(Refusal::BodyGone(id))?;
        if held.session {
            return Err(Refusal::IsSession(id));
        }
        let admitted = self
            .admitted(token, id, held.epoch, held.assigned_at_ms, held.deadline_ms)
            .await
            .ok_or_else(|| unknown(asked))?;
        self.is_repetition(&admitted, asked).await?;
        self.metrics.joined.add(1);
        timing.authorize += started.elapsed();

        let started = Instant::now();
        timing.execute_at = Some(started);
        let mut waiter = self.pending.wait(token, id);
        let answered = match self.recorded_answer(token, id).await {
            Some(answered) => answered,
            None => {
                self.wait(&mut waiter, token, asked, held.deadline_ms, held.is_read)
                    .await?
            }
        };
        drop(waiter);
        timing.execute += started.elapsed();
        let started = Instant::now();
        timing.fetch_at = Some(started);
        let answer = self.fetch(token, id, &answered, held.is_read, true).await;
        timing.fetch += started.elapsed();
        answer
    }

    /// The event with which a request was admitted, found by its time; `None` if it was not found in time.
    async fn admitted(
        &self,
        token: TokenId,
        id: RequestId,
        epoch: u64,
        assigned_at_ms: u64,
        deadline_ms: u64,
    ) -> Option<Box<wire::K8sApiRequest>> {
        let admitted_ms = match epoch {
            0 => assigned_at_ms,
            _ => deadline_ms.saturating_sub(crate::contract::Bound::DEADLINE_AHEAD_MS),
        };
        let wire_id = id.to_wire();
        let interrupted = |error: ledger::Error| {
            tracing::warn!(%error, "a search for an earlier request was interrupted");
        };
        let search = async {
            // One search at a time: it may read a long way.
            let _turn = self.searches.acquire().await;
            let mut from = self
                .ledger
                .before(admitted_ms)
                .await
                .map_err(interrupted)
                .ok()?;
            let mut events = self.ledger.events(from);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        if let Event::K8sApiRequest(request) = event.event
                            && request.seal_token_id == token
                            && request.request_id[..] == wire_id[..]
                        {
                            return Some(Box::new(request));
                        }
                    }
                    // What is not pruned was admitted later.
                    Err(ledger::Error::Archived { through }) if through > from => {
                        from = through;
                        events = self.ledger.events(from);
                    }
                    Err(error) => {
                        interrupted(error);
                        return None;
                    }
                }
            }
            None
        };
        let found = tokio::time::timeout(SEARCH_TIME, search).await;
        found.ok().flatten()
    }

    /// Whether what is asked is what was admitted, byte for byte: rebuilt with the recorded deadline, salts
    /// and credential, it has the same digest.
    async fn is_repetition(
        &self,
        admitted: &wire::K8sApiRequest,
        asked: &Asked,
    ) -> Result<(), Refusal> {
        let other = || Refusal::OtherRequest(asked.id);
        let is_hashed = asked.target.is_connect && !asked.query.is_empty();
        let body = self
            .rehash(asked.id, &admitted.payload, &asked.body)
            .await?;
        let query: &[u8] = if is_hashed {
            asked.query.as_bytes()
        } else {
            b""
        };
        let recorded = match admitted.query.kind {
            Content::HASHED => admitted.query.clone(),
            _ => Content::none(),
        };
        let query = self.rehash(asked.id, &recorded, query).await?;
        // Another credential of the same bearer makes no other request.
        let credential_id = admitted.credential_id[..].try_into().ok();
        let request = build(asked, admitted.deadline_ms, credential_id, body, query);
        let request = request.map_err(|_| other())?;
        let digest = request_digest(
            &self.ledger.deployment(),
            self.cluster,
            admitted.seal_token_id,
            &RequestMessage::from(&request),
        );
        if digest == admitted.digest {
            Ok(())
        } else {
            Err(other())
        }
    }

    /// What `bytes` are by hash under the salt that was used the first time.
    async fn rehash(
        &self,
        id: RequestId,
        recorded: &Content,
        bytes: &[u8],
    ) -> Result<Option<([u8; 32], u64)>, Refusal> {
        let Some(hash) = recorded.hash32() else {
            // Nothing was there the first time: the digest will differ if something is now.
            return Ok((!bytes.is_empty()).then_some(([0; 32], bytes.len() as u64)));
        };
        if recorded.length != bytes.len() as u64 {
            return Err(Refusal::OtherRequest(id));
        }
        match self.fetch_blob(&BlobHash(hash)).await {
            Ok(first) => {
                let blob = Blob::new(first.salt(), bytes);
                Ok(Some((blob.hash().0, bytes.len() as u64)))
            }
            Err(blob::Error::NotFound { .. } | blob::Error::Corrupt { .. }) => {
                Err(Refusal::BodyGone(id))
            }
            Err(_) => Err(Refusal::BlobsDown),
        }
    }

    /// A request as the ledger has it, answered long ago or not.
    async fn held(&self, token: TokenId, asked: &Asked) -> Result<Option<Request>, Refusal> {
        self.ledger.request(token, asked.id).await.map_err(|error| {
            tracing::warn!(%error, id = %asked.id, "a request cannot be looked up");
            unknown(asked)
        })
    }

    async fn recorded_answer(&self, token: TokenId, id: RequestId) -> Option<Answered> {
        match self.ledger.request(token, id).await {
            Ok(request) => Answered::from_record(request?.record()?),
            Err(error) => {
                tracing::warn!(%error, %id, "an answer cannot be looked up");
                None
            }
        }
    }

    /// Why the contract would refuse `message` now, if it would.
    pub(super) fn denial(
        &self,
        snapshot: &Snapshot<'_>,
        token: TokenId,
        message: &RequestMessage,
        target: Option<&Target>,
    ) -> Option<Denial> {
        let account = self.ledger.account();
        let code = code_now(
            snapshot.state,
            self,
            token,
            message,
            account,
            snapshot.now_ms,
        )?;
        Some(describe(
            snapshot,
            self.cluster,
            token,
            message,
            target,
            code,
            account,
        ))
    }
}

/// What became of a submission.
#[derive(Debug)]
enum Submitted {
    /// It is pending now.
    Admitted,
    /// The token holds the ID already.
    Held,
}

/// The ledger does not say whether it holds the request.
fn unknown(asked: &Asked) -> Refusal {
    Refusal::Unanswered {
        id: asked.id,
        is_read: asked.target.is_read,
        why: Why::Ledger,
    }
}

fn code_now(
    state: &State,
    gateway: &Inner,
    token: TokenId,
    message: &RequestMessage,
    account: Address,
    now_ms: u64,
) -> Option<Code> {
    let Some(cluster) = state.cluster(gateway.cluster) else {
        return Some(Code::NoExecutor);
    };
    let Some(token) = state.token(token) else {
        return Some(Code::InvalidSealToken);
    };
    let package = gateway.ledger.deployment().package;
    let asker = Asker::Sender(account);
    check_request(state, cluster, token, message, asker, package, now_ms).err()
}

fn describe(
    snapshot: &Snapshot<'_>,
    cluster: ClusterId,
    token: TokenId,
    message: &RequestMessage,
    target: Option<&Target>,
    code: Code,
    account: Address,
) -> Denial {
    let state = snapshot.state;
    let held = state.token(token);
    let standing = match code {
        Code::InvalidSealToken => Some(standing(held, cluster, snapshot.now_ms)),
        Code::NotTokenHolder => Some(
            if held.is_some_and(|held| held.delegates.contains_key(&account)) {
                "this gateway's standing as a delegate of the seal token has expired"
            } else {
                "this gateway is no delegate of the seal token"
            },
        ),
        _ => None,
    };
    let malformed = match (code, derive_target(message)) {
        (Code::MalformedRequest, Ok(Err(malformed))) => Some(malformed.to_string()),
        _ => None,
    };
    Denial {
        code,
        token,
        nearest: held
            .zip(target)
            .and_then(|(held, target)| nearest_rule(&held.rules, target, &message.path)),
        target: target.cloned(),
        path: String::from_utf8_lossy(&message.path).into_owned(),
        bonded: held.map_or(0, |held| held.bonded),
        min_stake: state
            .cluster(cluster)
            .map_or(0, |cluster| cluster.policy.min_write_stake),
        standing,
        gateway: account,
        malformed,
    }
}

fn standing(token: Option<&SealToken>, cluster: ClusterId, now_ms: u64) -> &'static str {
    match token {
        None => "the ledger does not know the seal token",
        Some(token) if token.cluster != cluster => "the seal token is of another cluster",
        Some(token) if token.revoked => "the seal token is revoked",
        Some(token) if now_ms < token.not_before_ms => "the seal token is not valid yet",
        Some(_) => "the seal token has expired",
    }
}

/// How long before a client gives up it is to have its answer, so that it hears what it must look for.
fn lead(timeout: Duration) -> Duration {
    (timeout / 5).min(Duration::from_secs(1))
}

fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

type Hashed = Option<([u8; 32], u64)>;

fn content(blob: &Option<Blob>) -> Hashed {
    blob.as_ref()
        .map(|blob| (blob.hash().0, blob.body_len() as u64))
}

fn build(
    asked: &Asked,
    deadline_ms: u64,
    credential_id: Option<[u8; 16]>,
    body: Hashed,
    query: Hashed,
) -> Result<K8sApiRequest, Refusal> {
    let mut builder = K8sApiRequest::builder(asked.method, asked.path.as_str())
        .with_id(asked.id)
        .with_deadline_ms(deadline_ms);
    builder = match query {
        Some((hash, length)) => builder.with_hashed_query(hash, length),
        None => builder.with_query(asked.query.as_str()),
    };
    for (name, value) in &asked.headers {
        builder = builder.with_header(name, value.as_str());
    }
    if let Some((hash, length)) = body {
        builder = builder.with_payload(Payload::Hashed { hash, length });
    }
    if let Some(id) = credential_id {
        builder = builder.with_credential_id(id);
    }
    Ok(builder.build()?)
}

/// Tries to fetch a blob from a store that cannot be reached.
const FETCHES: usize = 4;
/// Time to look for an earlier request.
const SEARCH_TIME: Duration = Duration::from_secs(5);
