/// Whether a request is admitted: thirteen checks, in the order of their codes, and what follows from passing them.
///
/// The checks are one function that changes nothing and gives a code, so that the functions that abort, those that record a
/// refusal and those that only ask cannot differ.
module k3s_daas::admission;

use k3s_daas::cluster::Cluster;
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::intent;
use k3s_daas::message::RequestMessage;
use k3s_daas::policy;
use k3s_daas::request;
use k3s_daas::request_form;
use k3s_daas::resource_path::{Self, Target};
use k3s_daas::saturating;
use k3s_daas::seal_token::SealToken;

// === Constants ===

/// Milliseconds between now and a deadline.
const MAX_AHEAD_MS: u64 = 3_600_000;
/// Bytes sealed inline.
const MAX_SEALED_BYTES: u64 = 16_000;
/// Bytes of a payload, as kube-apiserver's own limit.
const MAX_PAYLOAD_BYTES: u64 = 3_145_728;
/// Unanswered requests of a token.
const MAX_UNANSWERED: u64 = 1_024;
/// So much of a refused request's ID is recorded: nothing else of it can be trusted to be short.
const REJECTED_ID_BYTES: u64 = 64;

// === Structs ===

/// Who asks.
public enum Asker has copy, drop {
    /// The sender of the transaction: the token's owner or a delegate.
    Sender(address),
    /// A session key with its signature, whoever relays it.
    SessionKey { public_key: vector<u8>, signature: vector<u8> },
}

/// A request that was judged: `code` 0 if it passed every check.
public struct Verdict has drop {
    code: u8,
    digest: vector<u8>,
    /// What it means, if it passed.
    target: Option<Target>,
    /// Who gets it, if it passed.
    executor: Option<address>,
}

// === Package functions ===

/// The sender of the transaction asks.
public(package) fun sender(ctx: &TxContext): Asker { Asker::Sender(ctx.sender()) }

/// A session key asks.
public(package) fun session_key(public_key: vector<u8>, signature: vector<u8>): Asker {
    Asker::SessionKey { public_key, signature }
}

/// Judges a request, or the opening of a session, and changes nothing.
public(package) fun judge(
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    asker: Asker,
    session: bool,
    now_ms: u64,
): Verdict {
    let kind = if (session) intent::session_open!() else intent::request!();
    let chain = cluster.chain();
    let signed = intent::signed_bytes(kind, chain, cluster.id(), token.id(), *request);
    let (code, target, executor) = check(cluster, token, request, &signed, asker, now_ms);
    Verdict { code, digest: intent::digest(&signed), target, executor }
}

/// Whether it passed every check.
public(package) fun is_admitted(self: &Verdict): bool { self.code == 0 }

/// Aborts with the code of the check that it failed, if it failed one.
public(package) fun check_admitted(self: &Verdict) {
    errors::require(self.is_admitted(), self.code);
}

/// Holds a request that passed, assigns it, and tells.
public(package) fun admit(
    self: Verdict,
    cluster: &Cluster,
    token: &mut SealToken,
    request: &RequestMessage,
    session: bool,
    now_ms: u64,
    ctx: &TxContext,
) {
    let Verdict { digest, target, executor, .. } = self;
    let target = target.destroy_some();
    let executor = executor.destroy_some();
    let deadline_ms = request.deadline_ms();
    let lease_ends_ms = lease_ends_ms(cluster, target.is_read(), deadline_ms, now_ms);
    let prunable_at_ms = saturating::add(deadline_ms, cluster.policy().longest_ttl_ms());
    let held = request::new(
        digest,
        request.priority(),
        deadline_ms,
        target.is_read(),
        session,
        !request.reply_key().is_empty(),
        executor,
        now_ms,
        lease_ends_ms,
        prunable_at_ms,
    );
    let sequence = token.admit(*request.request_id(), held);
    events::k8s_api_request(
        cluster.id(),
        request,
        digest,
        session,
        &target,
        token.id(),
        sequence,
        token.owner(),
        ctx.sender(),
        executor,
        0,
        lease_ends_ms,
        prunable_at_ms,
        now_ms,
    );
}

/// Tells that a request was refused; of the caller's own words only the first bytes of its ID.
public(package) fun reject(
    self: Verdict,
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    ctx: &TxContext,
) {
    let Verdict { code, digest, .. } = self;
    let request_id = shown(request.request_id());
    events::k8s_request_rejected(
        cluster.id(),
        token.id(),
        ctx.sender(),
        request_id,
        digest,
        code,
    );
}

/// End of a lease that begins now: a read's by time, everything else's at its deadline.
public(package) fun lease_ends_ms(
    cluster: &Cluster,
    is_read: bool,
    deadline_ms: u64,
    now_ms: u64,
): u64 {
    if (is_read) saturating::add(now_ms, cluster.policy().lease_ms()) else deadline_ms
}

// === Private functions ===

/// The first check that fails decides: its code, or 0 with what the request means and who gets it.
fun check(
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    signed: &vector<u8>,
    asker: Asker,
    now_ms: u64,
): (u8, Option<Target>, Option<address>) {
    if (!cluster.is_current()) return refused(errors::wrong_version!());
    if (!token.is_current()) return refused(errors::wrong_version!());
    if (token.cluster() != cluster.id()) return refused(errors::invalid_seal_token!());
    if (!token.is_valid(now_ms)) return refused(errors::invalid_seal_token!());
    if (!may_ask(token, signed, asker, now_ms)) return refused(errors::not_token_holder!());

    let method = request.method();
    if (!resource_path::is_method(method)) return refused(errors::method_not_allowed!());
    let (path, query) = (request.path(), request.query());
    let derived = resource_path::derive(method, path, query.bytes(), query.is_known());
    if (derived.is_none()) return refused(errors::malformed_request!());
    let target = derived.destroy_some();
    if (!is_well_formed(request)) return refused(errors::malformed_request!());

    let is_allowed = policy::allows(token.rules(), &target, path);
    if (!is_allowed) return refused(errors::no_permission!());
    let has_stake = target.is_read() || token.bonded() >= cluster.policy().min_write_stake();
    if (!has_stake) return refused(errors::insufficient_stake!());

    let deadline_ms = request.deadline_ms();
    if (deadline_ms <= now_ms) return refused(errors::deadline_passed!());
    if (deadline_ms - now_ms > MAX_AHEAD_MS) return refused(errors::deadline_passed!());
    let payload = request.payload();
    let sealed_bytes = payload.bytes().length();
    if (sealed_bytes > MAX_SEALED_BYTES) return refused(errors::payload_too_large!());
    if (payload.length() > MAX_PAYLOAD_BYTES) return refused(errors::payload_too_large!());
    let priority = request.priority();
    if (priority < 1 || priority > 4) return refused(errors::invalid_priority!());

    let request_id = request.request_id();
    if (token.holds(*request_id)) return refused(errors::duplicate_request!());
    let executor = cluster.assign(token.id(), request_id, 0, option::none());
    if (executor.is_none()) return refused(errors::no_executor!());
    if (token.unanswered() >= MAX_UNANSWERED) return refused(errors::too_many_requests!());
    (0, option::some(target), executor)
}

fun refused(code: u8): (u8, Option<Target>, Option<address>) {
    (code, option::none(), option::none())
}

fun may_ask(token: &SealToken, signed: &vector<u8>, asker: Asker, now_ms: u64): bool {
    match (asker) {
        Asker::Sender(sender) => token.is_holder(sender, now_ms),
        Asker::SessionKey { public_key, signature } => {
            token.has_session_key(&public_key, now_ms)
                && intent::verify(signed, &public_key, &signature)
        },
    }
}

/// The form of every field but method, path and plain query, which deriving has judged.
fun is_well_formed(request: &RequestMessage): bool {
    let reply_key_bytes = request.reply_key().length();
    let credential_id_bytes = request.credential_id().length();
    request_form::is_request_id(request.request_id())
        && request_form::are_headers(request.header_names(), request.header_values())
        && request.query().is_query()
        && request.payload().is_payload()
        && (reply_key_bytes == 0 || reply_key_bytes == 32)
        && (credential_id_bytes == 0 || credential_id_bytes == 16)
}

/// The first bytes of what was given as a request's ID.
fun shown(request_id: &vector<u8>): vector<u8> {
    let length = request_id.length().min(REJECTED_ID_BYTES);
    vector::tabulate!(length, |at| request_id[at])
}
