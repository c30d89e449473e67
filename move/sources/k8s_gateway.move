/// Requests and their answers: what holders ask for, what executors do with it, and what is left of it.
///
/// The arguments of a request are its fields in wire order, a query and a payload each as kind (0 nothing, 1 plain, 2 hashed,
/// 3 sealed), bytes, hash and length: a struct is no pure argument. Text arrives as bytes and is text only once it was checked.
module k3s_daas::k8s_gateway;

use k3s_daas::admission::{Self, Asker};
use k3s_daas::cluster::Cluster;
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::held;
use k3s_daas::intent;
use k3s_daas::message::{Self, RequestMessage};
use k3s_daas::request::{Self, ResponseRecord};
use k3s_daas::saturating;
use k3s_daas::seal_token::SealToken;
use sui::clock::Clock;

// === Constants ===

/// Claims of a request.
const MAX_CLAIMS: u8 = 2;
/// Bytes sealed inline.
const MAX_SEALED_BYTES: u64 = 16_000;
/// Requests pruned in one call.
const MAX_PRUNED: u64 = 512;
/// The only answer to a write that may or may not have happened.
const OUTCOME_UNKNOWN: u16 = 504;
/// The codes of a request's checks.
const FIRST_CODE: u8 = 1;
const LAST_CODE: u8 = 13;

// === Public functions ===

/// A request of the token's owner or a delegate, who sends the transaction. If it passes every check it is held, assigned to an
/// executor, and told by `K8sAPIRequest`; else nothing happens.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EInvalidSealToken`: the token is of another cluster, revoked, expired or not yet valid;
/// - `ENotTokenHolder`: the sender is neither the owner nor a live delegate;
/// - `EMethodNotAllowed`: not GET, POST, PUT, PATCH or DELETE;
/// - `EMalformedRequest`: a field is not of its form;
/// - `ENoPermission`: no rule allows it;
/// - `EInsufficientStake`: it is no read, and less is bonded than the policy wants;
/// - `EDeadlinePassed`: the deadline is not after now, or more than an hour ahead;
/// - `EPayloadTooLarge`: more than 16,000 bytes sealed inline, or more than 3 MiB;
/// - `EInvalidPriority`: not 1 to 4;
/// - `EDuplicateRequest`: the token holds this ID;
/// - `ENoExecutor`: none is eligible;
/// - `ETooManyRequests`: 1,024 of the token's requests are unanswered.
public fun execute_kubectl_command_with_id(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query_kind: u8,
    query_bytes: vector<u8>,
    query_hash: vector<u8>,
    query_length: u64,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload_kind: u8,
    payload_bytes: vector<u8>,
    payload_hash: vector<u8>,
    payload_length: u64,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let request = message::request(
        request_id,
        method,
        path,
        message::content(query_kind, query_bytes, query_hash, query_length),
        header_names,
        header_values,
        message::content(payload_kind, payload_bytes, payload_hash, payload_length),
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    );
    execute(cluster, token, request, admission::sender(ctx), clock, ctx);
}

/// The same for a batch, which does not die with one of its requests: a refusal is told by `K8sRequestRejected` with the code that
/// the other function aborts with. Never aborts.
public fun try_execute_kubectl_command_with_id(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query_kind: u8,
    query_bytes: vector<u8>,
    query_hash: vector<u8>,
    query_length: u64,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload_kind: u8,
    payload_bytes: vector<u8>,
    payload_hash: vector<u8>,
    payload_length: u64,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let request = message::request(
        request_id,
        method,
        path,
        message::content(query_kind, query_bytes, query_hash, query_length),
        header_names,
        header_values,
        message::content(payload_kind, payload_bytes, payload_hash, payload_length),
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    );
    try_execute(cluster, token, request, admission::sender(ctx), clock, ctx);
}

/// A request signed by a session key. Anyone may relay it and pay; nobody can alter it.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EInvalidSealToken`: the token is of another cluster, revoked, expired or not yet valid;
/// - `ENotTokenHolder`: no live session key, or not its signature;
/// - `EMethodNotAllowed`: not GET, POST, PUT, PATCH or DELETE;
/// - `EMalformedRequest`: a field is not of its form;
/// - `ENoPermission`: no rule allows it;
/// - `EInsufficientStake`: it is no read, and less is bonded than the policy wants;
/// - `EDeadlinePassed`: the deadline is not after now, or more than an hour ahead;
/// - `EPayloadTooLarge`: more than 16,000 bytes sealed inline, or more than 3 MiB;
/// - `EInvalidPriority`: not 1 to 4;
/// - `EDuplicateRequest`: the token holds this ID;
/// - `ENoExecutor`: none is eligible;
/// - `ETooManyRequests`: 1,024 of the token's requests are unanswered.
public fun execute_signed_command(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query_kind: u8,
    query_bytes: vector<u8>,
    query_hash: vector<u8>,
    query_length: u64,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload_kind: u8,
    payload_bytes: vector<u8>,
    payload_hash: vector<u8>,
    payload_length: u64,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
    public_key: vector<u8>,
    signature: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let request = message::request(
        request_id,
        method,
        path,
        message::content(query_kind, query_bytes, query_hash, query_length),
        header_names,
        header_values,
        message::content(payload_kind, payload_bytes, payload_hash, payload_length),
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    );
    let asker = admission::session_key(public_key, signature);
    execute(cluster, token, request, asker, clock, ctx);
}

/// The same for a batch: a refusal is told by `K8sRequestRejected`. Never aborts.
public fun try_execute_signed_command(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query_kind: u8,
    query_bytes: vector<u8>,
    query_hash: vector<u8>,
    query_length: u64,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload_kind: u8,
    payload_bytes: vector<u8>,
    payload_hash: vector<u8>,
    payload_length: u64,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
    public_key: vector<u8>,
    signature: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let request = message::request(
        request_id,
        method,
        path,
        message::content(query_kind, query_bytes, query_hash, query_length),
        header_names,
        header_values,
        message::content(payload_kind, payload_bytes, payload_hash, payload_length),
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    );
    let asker = admission::session_key(public_key, signature);
    try_execute(cluster, token, request, asker, clock, ctx);
}

/// Tells by `K8sRequestRejected` that a request of the sender would be refused now, or nothing if it would pass: it never admits.
/// Never aborts.
public fun record_refusal(
    cluster: &Cluster,
    token: &SealToken,
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query_kind: u8,
    query_bytes: vector<u8>,
    query_hash: vector<u8>,
    query_length: u64,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload_kind: u8,
    payload_bytes: vector<u8>,
    payload_hash: vector<u8>,
    payload_length: u64,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let request = message::request(
        request_id,
        method,
        path,
        message::content(query_kind, query_bytes, query_hash, query_length),
        header_names,
        header_values,
        message::content(payload_kind, payload_bytes, payload_hash, payload_length),
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    );
    let asker = admission::sender(ctx);
    let verdict = admission::judge(cluster, token, &request, asker, false, clock.timestamp_ms());
    if (!verdict.is_admitted()) verdict.reject(cluster, token, &request, ctx);
}

/// Records a count of refusals that were too many to record one by one. Nobody can check it, so only holders may.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EInvalidSealToken`: the token is of another cluster;
/// - `ENotTokenHolder`: the sender is neither the owner nor a live delegate;
/// - `EZeroAmount`: there were none;
/// - `EMalformedRequest`: no code of a request, or times that are no span of the past.
public fun record_refusals(
    cluster: &Cluster,
    token: &SealToken,
    code: u8,
    count: u64,
    from_ms: u64,
    to_ms: u64,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    cluster.check_version();
    token.check_version();
    errors::require(token.cluster() == cluster.id(), errors::invalid_seal_token!());
    let now_ms = clock.timestamp_ms();
    let is_holder = token.is_holder(ctx.sender(), now_ms);
    errors::require(is_holder, errors::not_token_holder!());
    errors::require(count > 0, errors::zero_amount!());
    errors::require(code >= FIRST_CODE, errors::malformed_request!());
    errors::require(code <= LAST_CODE, errors::malformed_request!());
    errors::require(from_ms <= to_ms, errors::malformed_request!());
    errors::require(to_ms <= now_ms, errors::malformed_request!());
    events::k8s_requests_rejected(
        cluster.id(),
        token.id(),
        ctx.sender(),
        code,
        count,
        from_ms,
        to_ms,
    );
}

/// Takes on a request whose lease is over, at the next epoch; the same executor may, after a restart. Signed by the executor
/// over the new epoch, relayed by anyone. A claimed write can only be answered “outcome unknown”.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EUnknownRequest`: the token is of another cluster or does not hold it, or it is a session;
/// - `EAlreadyAnswered`;
/// - `EExecutorNotEligible`: unknown, inactive, too little stake, or not attested as the policy wants;
/// - `ELeaseRunning`: the lease is not over;
/// - `EDeadlineOver`: it is a read, and its deadline is;
/// - `ETooManyClaims`: it was claimed twice;
/// - `EInvalidSignature`.
public fun claim_request(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    executor: address,
    signature: vector<u8>,
    clock: &Clock,
) {
    let request = held::find(cluster, token, request_id);
    let now_ms = clock.timestamp_ms();
    errors::require(!request.is_session(), errors::unknown_request!());
    errors::require(request.is_open(), errors::already_answered!());
    let entry = cluster.eligible(executor);
    errors::require(now_ms >= request.lease_ends_ms(), errors::lease_running!());
    let is_in_time = !request.is_read() || now_ms < request.deadline_ms();
    errors::require(is_in_time, errors::deadline_over!());
    errors::require(request.claims() < MAX_CLAIMS, errors::too_many_claims!());
    let epoch = saturating::add(request.epoch(), 1);
    let message = message::assignment(request_id, *request.digest(), epoch);
    held::verify(cluster, token, intent::claim!(), message, entry, &signature);
    // A claimed write is not executed, so its lease too is only the time to say so.
    let lease_ends_ms = saturating::add(now_ms, cluster.policy().lease_ms());
    let request = token.request_mut(request_id);
    request.assign(executor, epoch, now_ms, lease_ends_ms);
    request.count_claim();
    events::k8s_request_claimed(
        cluster.id(),
        token.id(),
        request_id,
        executor,
        epoch,
        lease_ends_ms,
        now_ms,
    );
}

/// Gives a request back that the assigned executor did not begin; another one is assigned at the next epoch, or the same if it is
/// alone. Signed by the executor over the epoch that ends, relayed by anyone. A session that has not begun may be released too.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EUnknownRequest`: the token is of another cluster or does not hold it;
/// - `EAlreadyAnswered`;
/// - `ENotAssigned`: to another executor, or at another epoch;
/// - `EExecutorNotEligible`;
/// - `EInvalidSignature`;
/// - `EClaimedWrite`: a claimed write may have happened.
public fun release_request(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    executor: address,
    epoch: u64,
    signature: vector<u8>,
    clock: &Clock,
) {
    let request = held::find(cluster, token, request_id);
    errors::require(request.is_open(), errors::already_answered!());
    errors::require(request.is_assigned(executor, epoch), errors::not_assigned!());
    let entry = cluster.eligible(executor);
    let message = message::assignment(request_id, *request.digest(), epoch);
    held::verify(cluster, token, intent::release!(), message, entry, &signature);
    errors::require(!request.is_claimed_write(), errors::claimed_write!());
    let now_ms = clock.timestamp_ms();
    let next = saturating::add(epoch, 1);
    let others = cluster.assign(token.id(), &request_id, next, option::some(executor));
    let chosen = others.destroy_with_default(executor);
    let lease_ends_ms = admission::lease_ends_ms(
        cluster,
        request.is_read(),
        request.deadline_ms(),
        now_ms,
    );
    token.request_mut(request_id).assign(chosen, next, now_ms, lease_ends_ms);
    events::k8s_request_released(
        cluster.id(),
        token.id(),
        request_id,
        executor,
        chosen,
        next,
        lease_ends_ms,
        now_ms,
    );
}

/// Records the answer to a request. Signed by the assigned executor, relayed by anyone; a late one is accepted until the request
/// is pruned. A session may be answered too: that is how an executor says that Kubernetes refused it, before a byte flowed.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EUnknownRequest`: the token is of another cluster or does not hold it;
/// - `EAlreadyAnswered`;
/// - `ENotAssigned`: to another executor, or at another epoch;
/// - `EExecutorNotEligible`;
/// - `EInvalidSignature`;
/// - `EMalformedResponse`: the status is not 200 to 599, the hash not 32 bytes, the length not 1 byte to 256 MiB, more than 16,000
///   bytes sealed inline, or any without a `reply_key`;
/// - `EClaimedWrite`: a claimed write has no other status than 504.
public fun store_k8s_response(
    cluster: &Cluster,
    token: &mut SealToken,
    request_id: vector<u8>,
    executor: address,
    epoch: u64,
    status: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed: vector<u8>,
    time_ms: u64,
    signature: vector<u8>,
    clock: &Clock,
) {
    let request = held::find(cluster, token, request_id);
    errors::require(request.is_open(), errors::already_answered!());
    errors::require(request.is_assigned(executor, epoch), errors::not_assigned!());
    let entry = cluster.eligible(executor);
    let digest = *request.digest();
    let message = message::answer(
        request_id,
        digest,
        epoch,
        status,
        envelope_hash,
        envelope_len,
        &sealed,
        time_ms,
    );
    held::verify(cluster, token, intent::answer!(), message, entry, &signature);
    errors::require(message.is_outcome(), errors::malformed_response!());
    errors::require(sealed.length() <= MAX_SEALED_BYTES, errors::malformed_response!());
    let may_seal = sealed.is_empty() || request.has_reply_key();
    errors::require(may_seal, errors::malformed_response!());
    let is_unknown = status == OUTCOME_UNKNOWN;
    errors::require(is_unknown || !request.is_claimed_write(), errors::claimed_write!());
    let now_ms = clock.timestamp_ms();
    let expires_at_ms = held::expires_at_ms(cluster, request, now_ms);
    let requester = token.owner();
    let record = request::new_record(
        request_id,
        status,
        envelope_hash,
        envelope_len,
        sealed,
        executor,
        epoch,
        now_ms,
        expires_at_ms,
        requester,
    );
    token.answer(request_id, record);
    events::k8s_request_processed(
        cluster.id(),
        token.id(),
        request_id,
        digest,
        requester,
        executor,
        epoch,
        status,
        envelope_hash,
        envelope_len,
        *message.sealed_hash(),
        time_ms,
        signature,
        now_ms,
        expires_at_ms,
    );
}

/// Removes requests and answers whose time is over; anyone may, and keeps the storage rebate. IDs that the token does not hold are
/// passed over, so that two services may prune the same ones. Works on tokens of any version, revoked and expired ones too.
///
/// Aborts:
/// - `ELimitExceeded`: more than 512 at once;
/// - `ENotPrunable`: one may not be removed yet.
public fun prune_responses(
    token: &mut SealToken,
    request_ids: vector<vector<u8>>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    errors::require(request_ids.length() <= MAX_PRUNED, errors::limit_exceeded!());
    let now_ms = clock.timestamp_ms();
    let mut pruned = vector[];
    request_ids.do!(|request_id| {
        if (token.holds(request_id)) {
            let prunable_at_ms = token.request(request_id).prunable_at_ms();
            errors::require(now_ms >= prunable_at_ms, errors::not_prunable!());
            token.prune(request_id);
            pruned.push_back(request_id);
        }
    });
    if (!pruned.is_empty()) {
        events::responses_pruned(token.cluster(), token.id(), pruned, ctx.sender());
    }
}

// === View functions ===

/// The answer to a request; none if there is none yet, or if it is a session that was closed.
///
/// Aborts:
/// - `EUnknownRequest`: the token does not hold it.
public fun get_k8s_response(token: &SealToken, request_id: vector<u8>): Option<ResponseRecord> {
    token.request(request_id).record()
}

// === Private functions ===

fun execute(
    cluster: &Cluster,
    token: &mut SealToken,
    request: RequestMessage,
    asker: Asker,
    clock: &Clock,
    ctx: &TxContext,
) {
    let now_ms = clock.timestamp_ms();
    let verdict = admission::judge(cluster, token, &request, asker, false, now_ms);
    verdict.check_admitted();
    verdict.admit(cluster, token, &request, false, now_ms, ctx);
}

fun try_execute(
    cluster: &Cluster,
    token: &mut SealToken,
    request: RequestMessage,
    asker: Asker,
    clock: &Clock,
    ctx: &TxContext,
) {
    let now_ms = clock.timestamp_ms();
    let verdict = admission::judge(cluster, token, &request, asker, false, now_ms);
    if (verdict.is_admitted()) {
        verdict.admit(cluster, token, &request, false, now_ms, ctx);
    } else {
        verdict.reject(cluster, token, &request, ctx);
    }
}
