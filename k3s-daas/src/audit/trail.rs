//! The trail of one request: admitted, executed by, answered.

use serde::Serialize;

use crate::contract::Code;
use crate::crypto::PublicKey;
use crate::ledger::Cursor;
use crate::ledger::local::replay::Replayed;
use crate::ledger::local::replica::Replica;
use crate::types::{Address, ByteString, Digest, ExecutorId, HexBytes, RequestId, TokenId};
use crate::wire::{AnswerMessage, Deployment, Event, IntentKind, K8sRequestProcessed};

/// What became of one request of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestTrail {
    /// The request.
    pub request_id: RequestId,
    /// The token it was asked with.
    pub token: TokenId,
    /// What was asked, if it was admitted: `POST /api/v1/namespaces/default/pods`.
    pub command: Option<String>,
    /// BLAKE2b-256 of what was asked, as it was signed or would have been.
    pub digest: Option<Digest>,
    /// The token's owner, if it was admitted.
    pub requester: Option<Address>,
    /// What happened, oldest first.
    pub steps: Vec<Step>,
}

/// One thing that happened to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// What.
    pub kind: StepKind,
    /// Where its event stands.
    pub cursor: Cursor,
    /// Ledger time, Unix milliseconds.
    pub time_ms: u64,
    /// Sequence number of the call.
    pub call: u64,
    /// Its digest.
    pub call_digest: Digest,
    /// Who made it, and signed it.
    pub sender: Address,
    /// The chain's link at this event.
    pub link: Digest,
    /// Who has the request from then on, or answered it.
    pub executor: Option<ExecutorId>,
    /// Under which assignment.
    pub epoch: Option<u64>,
    /// Why it was refused.
    pub code: Option<Code>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Salted SHA-256 of the response envelope.
    pub envelope_hash: Option<HexBytes>,
    /// The executor's key, by which the answer was verified.
    pub executor_key: Option<PublicKey>,
}

/// What happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepKind {
    /// The contract admitted it and assigned an executor.
    Admitted,
    /// The contract refused it.
    Rejected,
    /// An executor took it on after a lease was over.
    Claimed,
    /// An executor gave it back before it began.
    Released,
    /// An executor answered it.
    Answered,
    /// Its session ended.
    Closed,
    /// It and its answer were removed from the state; this trail stays.
    Pruned,
}

/// Whether the answer in an event is signed by the key of the executor that it names.
pub(super) fn is_answer_genuine(replica: &Replica, event: &K8sRequestProcessed) -> bool {
    let Some(key) = executor_key(replica, event.executor) else {
        return false;
    };
    let message = AnswerMessage {
        request_id: event.request_id.clone(),
        digest: event.digest,
        epoch: event.epoch,
        status: event.status_code,
        envelope_hash: event.envelope_hash.clone(),
        envelope_len: event.envelope_len,
        sealed_hash: event.sealed_hash.clone(),
        time_ms: event.time_ms,
    };
    // The contract signs for the chain that the cluster was created with.
    let Some(cluster) = replica.state.cluster(event.cluster) else {
        return false;
    };
    let deployment = Deployment {
        chain: cluster.chain,
        package: replica.deployment.package,
    };
    deployment
        .intent(IntentKind::Answer, event.cluster, event.token)
        .verify(&message, &key, &event.signature)
}

/// Adds an event to the trails if it is about `request`.
pub(super) fn add(
    trails: &mut Vec<RequestTrail>,
    request: RequestId,
    replayed: &Replayed,
    index: usize,
    replica: &Replica,
) {
    let event = &replayed.applied.events[index];
    let is_it = |id: &ByteString| RequestId::from_bytes(id) == Ok(request);
    let mut step = Step {
        kind: StepKind::Admitted,
        cursor: Cursor {
            major: replayed.applied.first_event + index as u64,
            minor: 0,
        },
        time_ms: replayed.row.time_ms,
        call: replayed.applied.sequence,
        call_digest: replayed.row.digest,
        sender: replayed.row.sender,
        link: event.link,
        executor: None,
        epoch: None,
        code: None,
        status: None,
        envelope_hash: None,
        executor_key: None,
    };
    let token = match &event.event {
        Event::K8sApiRequest(e) if is_it(&e.request_id) => {
            step.executor = Some(e.nautilus_endpoint);
            step.epoch = Some(e.epoch);
            e.seal_token_id
        }
        Event::K8sRequestRejected(e) if is_it(&e.request_id) => {
            step.kind = StepKind::Rejected;
            step.code = Code::from_number(e.code);
            e.token
        }
        Event::K8sRequestClaimed(e) if is_it(&e.request_id) => {
            step.kind = StepKind::Claimed;
            step.executor = Some(e.executor);
            step.epoch = Some(e.epoch);
            e.token
        }
        Event::K8sRequestReleased(e) if is_it(&e.request_id) => {
            step.kind = StepKind::Released;
            step.executor = Some(e.executor);
            step.epoch = Some(e.epoch);
            e.token
        }
        Event::K8sRequestProcessed(e) if is_it(&e.request_id) => {
            step.kind = StepKind::Answered;
            step.executor = Some(e.executor);
            step.epoch = Some(e.epoch);
            step.status = Some(e.status_code);
            step.envelope_hash = Some(e.envelope_hash.clone());
            step.executor_key = executor_key(replica, e.executor);
            e.token
        }
        Event::SessionClosed(e) if is_it(&e.request_id) => {
            step.kind = StepKind::Closed;
            step.executor = Some(e.executor);
            step.epoch = Some(e.epoch);
            e.token
        }
        Event::ResponsesPruned(e) if e.request_ids.iter().any(is_it) => {
            step.kind = StepKind::Pruned;
            e.token
        }
        _ => return,
    };
    let trail = trail_of(trails, request, token);
    match &event.event {
        Event::K8sApiRequest(e) => {
            let query = if e.query.kind == crate::wire::Content::PLAIN {
                format!("?{}", e.query.bytes)
            } else {
                String::new()
            };
            trail.command = Some(format!("{} {}{query}", e.method, e.path));
            trail.digest = Some(e.digest);
            trail.requester = Some(e.requester);
        }
        Event::K8sRequestRejected(e) if trail.digest.is_none() => trail.digest = Some(e.digest),
        _ => {}
    }
    trail.steps.push(step);
}

fn trail_of(
    trails: &mut Vec<RequestTrail>,
    request_id: RequestId,
    token: TokenId,
) -> &mut RequestTrail {
    let index = trails.iter().position(|trail| trail.token == token);
    let index = index.unwrap_or_else(|| {
        trails.push(RequestTrail {
            request_id,
            token,
            command: None,
            digest: None,
            requester: None,
            steps: Vec::new(),
        });
        trails.len() - 1
    });
    &mut trails[index]
}

fn executor_key(replica: &Replica, executor: ExecutorId) -> Option<PublicKey> {
    let executor = replica.state.executor(executor)?;
    Some(executor.signing_key)
}
