/// What an enclave proves when it is registered: what runs in it, and which keys, operator and API server it is bound to.
///
/// A Nitro document is verified by the chain and cannot be made in a unit test, so all that is checked of it is a function
/// over plain values, under a thin one that takes it apart.
module k3s_daas::attestation;

use k3s_daas::cluster::Cluster;
use k3s_daas::cluster_policy;
use k3s_daas::errors;
use k3s_daas::saturating;
use std::bcs;
use sui::hash;
use sui::nitro_attestation::NitroAttestationDocument;

// === Constants ===

/// Milliseconds that a document may be from the future.
const MAX_AHEAD_MS: u64 = 60_000;
/// Milliseconds that a document may be old.
const MAX_AGE_MS: u64 = 300_000;

// === Structs ===

/// What a genuine document says.
public struct AttestedFacts has copy, drop {
    timestamp_ms: u64,
    /// PCR0, PCR1, PCR2; empty where the document has none.
    pcrs: vector<vector<u8>>,
    nonce: vector<u8>,
    user_data: vector<u8>,
}

/// What the nonce is the BLAKE2b-256 of: this registration and no other.
public struct AttestationNonce has copy, drop {
    cluster: address,
    registrations: u64,
}

/// What the user data is the BLAKE2b-256 of: all that an enclave is bound to.
public struct AttestationUserData has copy, drop {
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    kube_ca_hash: vector<u8>,
}

// === Package functions ===

/// What a document says, in plain values.
public(package) fun facts(document: &NitroAttestationDocument): AttestedFacts {
    new_facts(
        *document.timestamp(),
        vector::tabulate!(3, |index| pcr(document, index as u8)),
        (*document.nonce()).destroy_with_default(vector[]),
        (*document.user_data()).destroy_with_default(vector[]),
    )
}

public(package) fun new_facts(
    timestamp_ms: u64,
    pcrs: vector<vector<u8>>,
    nonce: vector<u8>,
    user_data: vector<u8>,
): AttestedFacts {
    AttestedFacts { timestamp_ms, pcrs, nonce, user_data }
}

/// The PCRs of facts that may be believed. Aborts, in this order, with `EAttestationDebug`, `EAttestationPcr`,
/// `EAttestationStale`, `EAttestationNonce`, `EAttestationUserData`.
public(package) fun check(
    facts: AttestedFacts,
    cluster: &Cluster,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    now_ms: u64,
): vector<vector<u8>> {
    let AttestedFacts { timestamp_ms, pcrs, nonce, user_data } = facts;
    let policy = cluster.policy();
    let is_debug = pcrs.any!(|pcr| cluster_policy::is_zero(pcr));
    errors::require(!is_debug, errors::attestation_debug!());
    let is_measured = policy.pcrs().is_empty() || policy.pcrs() == pcrs;
    errors::require(is_measured, errors::attestation_pcr!());
    let is_past = timestamp_ms <= saturating::add(now_ms, MAX_AHEAD_MS);
    errors::require(is_past, errors::attestation_stale!());
    let is_recent = now_ms <= saturating::add(timestamp_ms, MAX_AGE_MS);
    errors::require(is_recent, errors::attestation_stale!());
    let expected = expected_nonce(cluster.id(), cluster.registrations());
    errors::require(nonce == expected, errors::attestation_nonce!());
    let expected = expected_user_data(
        operator,
        signing_key,
        encryption_key,
        *policy.kube_ca_hash(),
    );
    errors::require(user_data == expected, errors::attestation_user_data!());
    pcrs
}

/// The nonce that the next document registered with a cluster must have.
public(package) fun expected_nonce(cluster: address, registrations: u64): vector<u8> {
    hash::blake2b256(&bcs::to_bytes(&AttestationNonce { cluster, registrations }))
}

/// The user data that binds an enclave.
public(package) fun expected_user_data(
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    kube_ca_hash: vector<u8>,
): vector<u8> {
    let user_data = AttestationUserData { operator, signing_key, encryption_key, kube_ca_hash };
    hash::blake2b256(&bcs::to_bytes(&user_data))
}

// === Private functions ===

fun pcr(document: &NitroAttestationDocument, index: u8): vector<u8> {
    let pcrs = document.pcrs();
    let at = pcrs.find_index!(|entry| entry.index() == index);
    if (at.is_some()) *pcrs[at.destroy_some()].value()
    else vector[]
}
