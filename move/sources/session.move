/// Sessions: streams (`watch`, followed `log`, `exec`, `attach`, `portforward`) that are recorded before a byte flows.
///
/// Opening one is a request like any other, with an intent of its own; its bytes flow beside the ledger, and closing it
/// records how many, why it ended, and a hash over them.
module k3s_daas::session;

use k3s_daas::admission::{Self, Asker};
use k3s_daas::cluster::Cluster;
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::held;
use k3s_daas::intent;
use k3s_daas::message::{Self, RequestMessage};
use k3s_daas::seal_token::SealToken;
use sui::clock::Clock;

// === Constants ===

/// Why a session ended: 0 by the client, 1 by the cluster, 2 by its limits, 3 by an error.
const LAST_REASON: u8 = 3;

// === Public functions ===

/// Opens a session of the token's owner or a delegate, who sends the transaction.
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
public fun open_session(
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
    open(cluster, token, request, admission::sender(ctx), clock, ctx);
}

/// Opens a session signed by a session key. Anyone may relay it and pay; nobody can alter it.
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
public fun open_signed_session(
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
    open(cluster, token, request, asker, clock, ctx);
}

/// Records the end of a session. Signed by the executor that ran it, relayed by anyone.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `EUnknownRequest`: the token is of another cluster or does not hold it, or it is no session;
/// - `ESessionClosed`: it is closed, or was answered before it began;
/// - `ENotAssigned`: to another executor, at another epoch, or another digest;
/// - `EExecutorNotEligible`: unknown, inactive, too little stake, or not attested as the policy wants;
/// - `EInvalidSignature`;
/// - `EMalformedResponse`: the reason is not 0 to 3, or the transcript's hash is neither empty nor 32 bytes.
public fun close_session(
    cluster: &Cluster,
    token: &mut SealToken,
    executor: address,
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    bytes_in: u64,
    bytes_out: u64,
    reason: u8,
    transcript_hash: vector<u8>,
    signature: vector<u8>,
    clock: &Clock,
) {
    let request = held::find(cluster, token, request_id);
    errors::require(request.is_session(), errors::unknown_request!());
    errors::require(request.is_open(), errors::session_closed!());
    errors::require(request.is_assigned(executor, epoch), errors::not_assigned!());
    errors::require(request.digest() == digest, errors::not_assigned!());
    let entry = cluster.eligible(executor);
    let message = message::session_close(
        request_id,
        digest,
        epoch,
        bytes_in,
        bytes_out,
        reason,
        transcript_hash,
    );
    held::verify(cluster, token, intent::session_close!(), message, entry, &signature);
    errors::require(reason <= LAST_REASON, errors::malformed_response!());
    let hash_bytes = transcript_hash.length();
    errors::require(hash_bytes == 0 || hash_bytes == 32, errors::malformed_response!());
    let now_ms = clock.timestamp_ms();
    let expires_at_ms = held::expires_at_ms(cluster, request, now_ms);
    token.close(request_id, expires_at_ms);
    events::session_closed(
        cluster.id(),
        token.id(),
        request_id,
        executor,
        epoch,
        bytes_in,
        bytes_out,
        reason,
        transcript_hash,
        now_ms,
        expires_at_ms,
    );
}

// === Private functions ===

fun open(
    cluster: &Cluster,
    token: &mut SealToken,
    request: RequestMessage,
    asker: Asker,
    clock: &Clock,
    ctx: &TxContext,
) {
    let now_ms = clock.timestamp_ms();
    let verdict = admission::judge(cluster, token, &request, asker, true, now_ms);
    verdict.check_admitted();
    verdict.admit(cluster, token, &request, true, now_ms, ctx);
}
