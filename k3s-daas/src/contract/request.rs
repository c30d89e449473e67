//! A request: who asks, for what, and whether it is admitted.

use super::Code;
use super::apply::{Abort, Context, Effects};
use super::check::{Bound, assign, require};
use super::state::{Cluster, ExecutorEntry, SealToken, State, VERSION};
use crate::crypto::{PublicKey, Signature};
use crate::types::{
    Address, ByteString, ClusterId, Digest, Malformed, Method, RequestId, Target, TokenId,
    is_request_id, rules_allow, validate_headers,
};
use crate::wire::{
    Content, Deployment, Event, IntentKind, K8sApiRequest, K8sRequestRejected, K8sRequestsRejected,
    RequestMessage,
};

/// Who asks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Asker<'a> {
    /// The sender of the transaction: the token's owner or a delegate.
    Sender(Address),
    /// A session key with its signature, whoever relays it.
    SessionKey {
        /// Ed25519, 32 bytes if well-formed.
        public_key: &'a [u8],
        /// 64 bytes if well-formed.
        signature: &'a [u8],
    },
}

/// What becomes of a request that is admitted or refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    session: bool,
    refusal_is_event: bool,
}

impl Mode {
    pub(super) const REQUEST: Self = Self {
        session: false,
        refusal_is_event: false,
    };
    pub(super) const TRY: Self = Self {
        session: false,
        refusal_is_event: true,
    };
    pub(super) const SESSION: Self = Self {
        session: true,
        refusal_is_event: false,
    };

    fn intent(self) -> IntentKind {
        if self.session {
            IntentKind::SessionOpen
        } else {
            IntentKind::Request
        }
    }
}

/// The digest of a request: BLAKE2b-256 of its signed bytes.
///
/// Sender, key, signature and clock are not in it.
#[must_use]
pub fn request_digest(
    deployment: &Deployment,
    cluster: ClusterId,
    token: TokenId,
    request: &RequestMessage,
) -> Digest {
    deployment
        .intent(IntentKind::Request, cluster, token)
        .digest(request)
}

/// What a request's method, path and query mean.
///
/// # Errors
/// [`Code::MethodNotAllowed`], or [`Malformed`] for the path or query.
pub fn derive_target(request: &RequestMessage) -> Result<Result<Target, Malformed>, Code> {
    let method = Method::from_bytes(&request.method).ok_or(Code::MethodNotAllowed)?;
    let query = (request.query.kind != Content::HASHED).then_some(&request.query.bytes[..]);
    Ok(Target::derive(method, &request.path, query))
}

/// A request that passed every check.
#[derive(Clone, Debug)]
pub(super) struct Admission<'a> {
    target: Target,
    executor: &'a ExecutorEntry,
}

/// Runs the checks of a request in the order of their codes, 1 to 13, and changes nothing.
///
/// This is what the gateway runs before it pays, and what the ledger runs for truth.
///
/// # Errors
/// The first code whose check fails.
pub fn check_request(
    state: &State,
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    asker: Asker<'_>,
    package: Address,
    now_ms: u64,
) -> Result<Target, Code> {
    let bytes = signed_bytes(cluster, token, request, package, IntentKind::Request);
    let admission = check(state, cluster, token, request, &bytes, asker, now_ms)?;
    Ok(admission.target)
}

pub(super) fn execute(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    token: TokenId,
    request: &RequestMessage,
    asker: Asker<'_>,
    mode: Mode,
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let token = state.token_object(token)?;
    let bytes = signed_bytes(cluster, token, request, context.package, mode.intent());
    let digest = crate::crypto::blake2b256(&[&bytes]);
    match check(
        state,
        cluster,
        token,
        request,
        &bytes,
        asker,
        context.now_ms,
    ) {
        Ok(admission) => {
            let event = admitted(context, cluster, token, request, digest, &admission, mode);
            Ok(Effects::of(event))
        }
        Err(code) if mode.refusal_is_event => Ok(Effects::of(rejected(
            context, cluster, token, request, digest, code,
        ))),
        Err(code) => Err(code.into()),
    }
}

pub(super) fn record_refusal(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    token: TokenId,
    request: &RequestMessage,
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let token = state.token_object(token)?;
    let asker = Asker::Sender(context.sender);
    let bytes = signed_bytes(
        cluster,
        token,
        request,
        context.package,
        IntentKind::Request,
    );
    let digest = crate::crypto::blake2b256(&[&bytes]);
    Ok(
        match check(
            state,
            cluster,
            token,
            request,
            &bytes,
            asker,
            context.now_ms,
        ) {
            Ok(_) => Effects::default(),
            Err(code) => Effects::of(rejected(context, cluster, token, request, digest, code)),
        },
    )
}

/// A count of refusals, which nobody can check: only holders may write it. 1, 2 (of another cluster), 3,
/// 32, 5 (no code of a request, or times that are no span of the past).
pub(super) fn record_refusals(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    token: TokenId,
    code: u8,
    count: u64,
    (from_ms, to_ms): (u64, u64),
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let token = state.token_object(token)?;
    let is_version = cluster.version == VERSION && token.version == VERSION;
    require(is_version, Code::WrongVersion)?;
    require(token.cluster == cluster.id, Code::InvalidSealToken)?;
    require(
        token.is_holder(context.sender, context.now_ms),
        Code::NotTokenHolder,
    )?;
    require(count > 0, Code::ZeroAmount)?;
    let is_span = from_ms <= to_ms && to_ms <= context.now_ms;
    require((1..=13).contains(&code) && is_span, Code::MalformedRequest)?;
    Ok(Effects::of(K8sRequestsRejected {
        cluster: cluster.id,
        token: token.id,
        submitted_by: context.sender,
        code,
        count,
        from_ms,
        to_ms,
    }))
}

fn signed_bytes(
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    package: Address,
    kind: IntentKind,
) -> Vec<u8> {
    let deployment = Deployment {
        chain: cluster.chain,
        package,
    };
    deployment
        .intent(kind, cluster.id, token.id)
        .signed_bytes(request)
}

fn check<'a>(
    state: &State,
    cluster: &'a Cluster,
    token: &SealToken,
    request: &RequestMessage,
    signed_bytes: &[u8],
    asker: Asker<'_>,
    now_ms: u64,
) -> Result<Admission<'a>, Code> {
    require(
        cluster.version == VERSION && token.version == VERSION,
        Code::WrongVersion,
    )?;
    require(
        token.cluster == cluster.id && token.is_valid(now_ms),
        Code::InvalidSealToken,
    )?;
    require(
        may_ask(token, signed_bytes, asker, now_ms),
        Code::NotTokenHolder,
    )?;
    let derived = derive_target(request)?;
    let target = derived.map_err(|_| Code::MalformedRequest)?;
    require(is_well_formed(request), Code::MalformedRequest)?;
    require(
        rules_allow(&token.rules, &target, &request.path),
        Code::NoPermission,
    )?;
    let has_stake = target.is_read || token.bonded >= cluster.policy.min_write_stake;
    require(has_stake, Code::InsufficientStake)?;
    let ahead_ms = request.deadline_ms.checked_sub(now_ms);
    let in_time = ahead_ms.is_some_and(|ms| ms > 0 && ms <= Bound::DEADLINE_AHEAD_MS);
    require(in_time, Code::DeadlinePassed)?;
    let payload = &request.payload;
    let fits = payload.bytes.len() <= Bound::SEALED_BYTES && payload.length <= Bound::PAYLOAD_BYTES;
    require(fits, Code::PayloadTooLarge)?;
    require((1..=4).contains(&request.priority), Code::InvalidPriority)?;
    let id = RequestId::from_bytes(&request.request_id).map_err(|_| Code::MalformedRequest)?;
    require(
        state.request(token.id, id).is_none(),
        Code::DuplicateRequest,
    )?;
    let executor = assign(cluster.eligible(), token.id, &request.request_id, 0);
    let executor = executor.ok_or(Code::NoExecutor)?;
    require(token.unanswered < Bound::UNANSWERED, Code::TooManyRequests)?;
    Ok(Admission { target, executor })
}

fn may_ask(token: &SealToken, signed_bytes: &[u8], asker: Asker<'_>, now_ms: u64) -> bool {
    match asker {
        Asker::Sender(sender) => token.is_holder(sender, now_ms),
        Asker::SessionKey {
            public_key,
            signature,
        } => {
            let key = <[u8; 32]>::try_from(public_key).map(PublicKey::from);
            let signature = <[u8; 64]>::try_from(signature).map(Signature::from);
            let (Ok(key), Ok(signature)) = (key, signature) else {
                return false;
            };
            token.has_session_key(&key, now_ms) && key.verify(signed_bytes, &signature)
        }
    }
}

/// The form of every field but method, path and plain query, which deriving has judged.
fn is_well_formed(request: &RequestMessage) -> bool {
    is_request_id(&request.request_id)
        && request.header_names.len() == request.header_values.len()
        && validate_headers(request.headers()).is_ok()
        && is_query(&request.query)
        && is_payload(&request.payload)
        && matches!(request.reply_key.len(), 0 | 32)
        && matches!(request.credential_id.len(), 0 | 16)
}

fn is_query(query: &Content) -> bool {
    match query.kind {
        Content::NONE | Content::PLAIN => is_inline(query),
        // A query in the clear is at most 8,192 bytes, so a hashed one is too.
        Content::HASHED => is_hash(query) && query.length <= crate::types::MAX_QUERY_BYTES as u64,
        _ => false,
    }
}

fn is_payload(payload: &Content) -> bool {
    match payload.kind {
        Content::NONE | Content::SEALED => is_inline(payload),
        Content::HASHED => is_hash(payload),
        _ => false,
    }
}

/// Nothing but bytes, and those exactly if the kind is not "none": one spelling for one meaning.
fn is_inline(content: &Content) -> bool {
    content.bytes.is_empty() == (content.kind == Content::NONE)
        && content.hash.is_empty()
        && content.length == 0
}

fn is_hash(content: &Content) -> bool {
    content.bytes.is_empty() && content.hash.len() == 32 && content.length > 0
}

fn admitted(
    context: &Context<'_>,
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    digest: Digest,
    admission: &Admission<'_>,
    mode: Mode,
) -> Event {
    let Admission { target, executor } = admission;
    let lease_ends_ms = lease_ends_ms(cluster, target.is_read, request.deadline_ms, context.now_ms);
    let request = request.clone();
    K8sApiRequest {
        cluster: cluster.id,
        request_id: request.request_id,
        method: request.method,
        path: request.path,
        query: request.query,
        header_names: request.header_names,
        header_values: request.header_values,
        payload: request.payload,
        reply_key: request.reply_key,
        priority: request.priority,
        deadline_ms: request.deadline_ms,
        credential_id: request.credential_id,
        digest,
        session: mode.session,
        api_group: ByteString::from(target.path.api_group.as_str()),
        api_version: ByteString::from(target.path.api_version.as_str()),
        namespace: ByteString::from(target.path.namespace.as_str()),
        resource_type: ByteString::from(target.path.resource.as_str()),
        subresource: ByteString::from(target.path.subresource.as_str()),
        name: ByteString::from(target.path.name.as_str()),
        verb: ByteString::from(target.verb.as_str()),
        is_read: target.is_read,
        seal_token_id: token.id,
        sequence: token.sequence.saturating_add(1),
        requester: token.owner,
        submitted_by: context.sender,
        nautilus_endpoint: executor.id,
        epoch: 0,
        lease_ends_ms,
        prunable_at_ms: request.deadline_ms.saturating_add(cluster.longest_ttl_ms()),
        timestamp_ms: context.now_ms,
    }
    .into()
}

fn rejected(
    context: &Context<'_>,
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    digest: Digest,
    code: Code,
) -> Event {
    let id = &request.request_id;
    K8sRequestRejected {
        cluster: cluster.id,
        token: token.id,
        submitted_by: context.sender,
        request_id: ByteString::from(&id[..id.len().min(REJECTED_ID_BYTES)]),
        digest,
        code: code.number(),
    }
    .into()
}

/// End of a lease that begins now: a read's by time, everything else's at its deadline.
pub(super) fn lease_ends_ms(
    cluster: &Cluster,
    is_read: bool,
    deadline_ms: u64,
    now_ms: u64,
) -> u64 {
    if is_read {
        now_ms.saturating_add(cluster.policy.lease_ms)
    } else {
        deadline_ms
    }
}

/// So much of a refused request's ID is recorded: nothing else of it can be trusted to be short.
const REJECTED_ID_BYTES: usize = 64;
