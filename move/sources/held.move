/// What answers, claims, releases and the ends of sessions begin with: the request that a token holds, and who may speak of it.
module k3s_daas::held;

use k3s_daas::cluster::{Cluster, ExecutorEntry};
use k3s_daas::errors;
use k3s_daas::intent;
use k3s_daas::request::Request;
use k3s_daas::saturating;
use k3s_daas::seal_token::SealToken;

// === Package functions ===

/// The request of this ID. Aborts with `EWrongVersion` or, also for a token of another cluster, `EUnknownRequest`.
public(package) fun find(cluster: &Cluster, token: &SealToken, request_id: vector<u8>): &Request {
    cluster.check_version();
    token.check_version();
    errors::require(token.cluster() == cluster.id(), errors::unknown_request!());
    token.request(request_id)
}

/// Aborts with `EInvalidSignature` unless the executor signed the message.
public(package) fun verify<M: copy + drop>(
    cluster: &Cluster,
    token: &SealToken,
    kind: u8,
    message: M,
    entry: &ExecutorEntry,
    signature: &vector<u8>,
) {
    let chain = cluster.chain();
    let signed = intent::signed_bytes(kind, chain, cluster.id(), token.id(), message);
    let is_valid = intent::verify(&signed, entry.signing_key(), signature);
    errors::require(is_valid, errors::invalid_signature!());
}

/// Until when an answer that is recorded now is kept.
public(package) fun expires_at_ms(cluster: &Cluster, request: &Request, now_ms: u64): u64 {
    let ttl_ms = cluster.policy().response_ttl_ms(request.priority());
    saturating::add(now_ms.max(request.deadline_ms()), ttl_ms)
}
