//! What executors do with a request: claim it, release it, answer it; and what is left of it: prune.

use super::apply::{Abort, Context, Effects};
use super::check::{Bound, assign, is_outcome, require};
use super::request::lease_ends_ms;
use super::state::{Cluster, ExecutorEntry, Request, SealToken, State, VERSION};
use super::{Code, Outcome};
use crate::crypto::Signature;
use crate::types::{ByteString, ClusterId, ExecutorId, HexBytes, RequestId, TokenId};
use crate::wire::{
    AnswerMessage, AssignmentMessage, Deployment, IntentKind, K8sRequestClaimed,
    K8sRequestProcessed, K8sRequestReleased, ResponsesPruned, SessionCloseMessage, SessionClosed,
};

/// A request that a token holds.
pub(super) struct Held<'a> {
    cluster: &'a Cluster,
    token: &'a SealToken,
    id: RequestId,
    request: &'a Request,
}

/// The arguments of an answer.
pub(super) struct Answer<'a> {
    pub(super) executor: ExecutorId,
    pub(super) epoch: u64,
    pub(super) status: u16,
    pub(super) envelope_hash: &'a HexBytes,
    pub(super) envelope_len: u64,
    pub(super) sealed: &'a ByteString,
    pub(super) time_ms: u64,
    pub(super) signature: &'a [u8],
}

/// The checks that every one of these begins with: 1, 20 (also for a token of another cluster).
pub(super) fn find<'a>(
    state: &'a State,
    cluster: ClusterId,
    token: TokenId,
    request_id: &[u8],
) -> Result<Held<'a>, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let token = state.token_object(token)?;
    require(
        cluster.version == VERSION && token.version == VERSION,
        Code::WrongVersion,
    )?;
    require(token.cluster == cluster.id, Code::UnknownRequest)?;
    let id = RequestId::from_bytes(request_id).map_err(|_| Code::UnknownRequest)?;
    let request = state.request(token.id, id).ok_or(Code::UnknownRequest)?;
    Ok(Held {
        cluster,
        token,
        id,
        request,
    })
}

/// 20 (a session), 21, 23, 26, 27, 29, 24.
pub(super) fn claim(
    context: &Context<'_>,
    held: &Held<'_>,
    executor: ExecutorId,
    signature: &[u8],
) -> Result<Effects, Abort> {
    let request = held.request;
    let now_ms = context.now_ms;
    require(!request.session, Code::UnknownRequest)?;
    require(request.outcome.is_none(), Code::AlreadyAnswered)?;
    let entry = held.eligible(executor)?;
    require(now_ms >= request.lease_ends_ms, Code::LeaseRunning)?;
    require(
        !request.is_read || now_ms < request.deadline_ms,
        Code::DeadlineOver,
    )?;
    require(request.claims < Bound::CLAIMS, Code::TooManyClaims)?;
    let epoch = request.epoch.saturating_add(1);
    let message = held.assignment(epoch);
    held.verify(context, IntentKind::Claim, &message, entry, signature)?;
    Ok(Effects::of(K8sRequestClaimed {
        cluster: held.cluster.id,
        token: held.token.id,
        request_id: message.request_id,
        executor,
        epoch,
        // A claimed write is not executed, so its lease too is only the time to say so.
        lease_ends_ms: now_ms.saturating_add(held.cluster.policy.lease_ms),
        timestamp_ms: now_ms,
    }))
}

/// 21, 22, 23, 24, 28. A session that has not begun may be released too.
pub(super) fn release(
    context: &Context<'_>,
    held: &Held<'_>,
    executor: ExecutorId,
    epoch: u64,
    signature: &[u8],
) -> Result<Effects, Abort> {
    let request = held.request;
    require(request.outcome.is_none(), Code::AlreadyAnswered)?;
    require(
        request.executor == executor && request.epoch == epoch,
        Code::NotAssigned,
    )?;
    let entry = held.eligible(executor)?;
    let message = held.assignment(epoch);
    held.verify(context, IntentKind::Release, &message, entry, signature)?;
    require(!request.is_claimed_write(), Code::ClaimedWrite)?;
    let next = epoch.saturating_add(1);
    let others = held.cluster.eligible().filter(|other| other.id != executor);
    let chosen = assign(others, held.token.id, &message.request_id, next);
    Ok(Effects::of(K8sRequestReleased {
        cluster: held.cluster.id,
        token: held.token.id,
        request_id: message.request_id,
        released_by: executor,
        executor: chosen.map_or(executor, |entry| entry.id),
        epoch: next,
        lease_ends_ms: lease_ends_ms(
            held.cluster,
            request.is_read,
            request.deadline_ms,
            context.now_ms,
        ),
        timestamp_ms: context.now_ms,
    }))
}

/// 21, 22, 23, 24, 25, 28.
///
/// A request that opened a session may be answered as well: that is how an executor says that
/// Kubernetes refused it, before a byte flowed.
pub(super) fn store(
    context: &Context<'_>,
    held: &Held<'_>,
    answer: &Answer<'_>,
) -> Result<Effects, Abort> {
    let request = held.request;
    require(request.outcome.is_none(), Code::AlreadyAnswered)?;
    let is_assigned = request.executor == answer.executor && request.epoch == answer.epoch;
    require(is_assigned, Code::NotAssigned)?;
    let entry = held.eligible(answer.executor)?;
    let message = AnswerMessage {
        request_id: ByteString(held.id.to_wire()),
        digest: request.digest,
        epoch: answer.epoch,
        status: answer.status,
        envelope_hash: answer.envelope_hash.clone(),
        envelope_len: answer.envelope_len,
        sealed_hash: AnswerMessage::hash_of_sealed(answer.sealed),
        time_ms: answer.time_ms,
    };
    let signature = held.verify(
        context,
        IntentKind::Answer,
        &message,
        entry,
        answer.signature,
    )?;
    let is_formed = is_outcome(&message)
        && answer.sealed.len() <= Bound::SEALED_BYTES
        && (answer.sealed.is_empty() || request.has_reply_key);
    require(is_formed, Code::MalformedResponse)?;
    require(
        !request.is_claimed_write() || answer.status == OUTCOME_UNKNOWN,
        Code::ClaimedWrite,
    )?;
    let mut effects = Effects::of(K8sRequestProcessed {
        cluster: held.cluster.id,
        token: held.token.id,
        request_id: message.request_id,
        digest: request.digest,
        requester: held.token.owner,
        executor: answer.executor,
        epoch: answer.epoch,
        status_code: answer.status,
        envelope_hash: message.envelope_hash,
        envelope_len: answer.envelope_len,
        sealed_hash: message.sealed_hash,
        time_ms: answer.time_ms,
        signature,
        processed_at_ms: context.now_ms,
        expires_at_ms: held.expires_at_ms(context.now_ms),
    });
    effects.sealed = answer.sealed.clone();
    Ok(effects)
}

/// 20 (no session), 48, 22, 23, 24, 25.
pub(super) fn close_session(
    context: &Context<'_>,
    held: &Held<'_>,
    executor: ExecutorId,
    message: &SessionCloseMessage,
    signature: &[u8],
) -> Result<Effects, Abort> {
    let request = held.request;
    require(request.session, Code::UnknownRequest)?;
    require(request.outcome.is_none(), Code::SessionClosed)?;
    let is_assigned = request.executor == executor
        && request.epoch == message.epoch
        && request.digest == message.digest;
    require(is_assigned, Code::NotAssigned)?;
    let entry = held.eligible(executor)?;
    held.verify(context, IntentKind::SessionClose, message, entry, signature)?;
    let is_formed = message.reason <= 3 && matches!(message.transcript_hash.len(), 0 | 32);
    require(is_formed, Code::MalformedResponse)?;
    Ok(Effects::of(SessionClosed {
        cluster: held.cluster.id,
        token: held.token.id,
        request_id: message.request_id.clone(),
        executor,
        epoch: message.epoch,
        bytes_in: message.bytes_in,
        bytes_out: message.bytes_out,
        reason: message.reason,
        transcript_hash: message.transcript_hash.clone(),
        timestamp_ms: context.now_ms,
        expires_at_ms: held.expires_at_ms(context.now_ms),
    }))
}

/// 33 (too many at once), 39. Works on tokens of any version, revoked and expired ones too.
///
/// IDs that the token does not hold are passed over, so that two services may prune the same ones.
pub(super) fn prune(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
    request_ids: &[ByteString],
) -> Result<Effects, Abort> {
    let token = state.token_object(token)?;
    require(request_ids.len() <= Bound::PRUNED, Code::LimitExceeded)?;
    let mut pruned = Vec::new();
    for text in request_ids {
        let Ok(id) = RequestId::from_bytes(text) else {
            continue;
        };
        let Some(request) = state.request(token.id, id) else {
            continue;
        };
        require(context.now_ms >= request.prunable_at_ms, Code::NotPrunable)?;
        if !pruned.contains(text) {
            pruned.push(text.clone());
        }
    }
    if pruned.is_empty() {
        return Ok(Effects::default());
    }
    Ok(Effects::of(ResponsesPruned {
        cluster: token.cluster,
        token: token.id,
        request_ids: pruned,
        pruned_by: context.sender,
    }))
}

impl Held<'_> {
    fn eligible(&self, executor: ExecutorId) -> Result<&ExecutorEntry, Code> {
        let entry = self
            .cluster
            .executor(executor)
            .ok_or(Code::ExecutorNotEligible)?;
        require(self.cluster.is_eligible(entry), Code::ExecutorNotEligible)?;
        Ok(entry)
    }

    fn assignment(&self, epoch: u64) -> AssignmentMessage {
        AssignmentMessage {
            request_id: ByteString(self.id.to_wire()),
            digest: self.request.digest,
            epoch,
        }
    }

    fn verify<M: serde::Serialize>(
        &self,
        context: &Context<'_>,
        kind: IntentKind,
        message: &M,
        entry: &ExecutorEntry,
        signature: &[u8],
    ) -> Result<Signature, Code> {
        let deployment = Deployment {
            chain: self.cluster.chain,
            package: context.package,
        };
        let intent = deployment.intent(kind, self.cluster.id, self.token.id);
        let signature = <[u8; 64]>::try_from(signature).map_err(|_| Code::InvalidSignature)?;
        let signature = Signature::from(signature);
        let is_valid = context.signatures.verify(
            &entry.signing_key,
            &intent.signed_bytes(message),
            &signature,
        );
        require(is_valid, Code::InvalidSignature)?;
        Ok(signature)
    }

    fn expires_at_ms(&self, now_ms: u64) -> u64 {
        let ttl_ms = self.cluster.response_ttl_ms(self.request.priority);
        now_ms.max(self.request.deadline_ms).saturating_add(ttl_ms)
    }
}

impl Request {
    /// Records how it ended, from `expires_at_ms` on prunable.
    pub(super) fn end(&mut self, outcome: Outcome, expires_at_ms: u64) {
        self.outcome = Some(outcome);
        self.prunable_at_ms = expires_at_ms;
    }
}

/// The only answer to a write that may or may not have happened.
const OUTCOME_UNKNOWN: u16 = 504;
