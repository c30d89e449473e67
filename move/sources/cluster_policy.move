/// What governs a cluster's requests, each value bounded.
module k3s_daas::cluster_policy;

use k3s_daas::errors;

// === Constants ===

const MIST_PER_SUI: u64 = 1_000_000_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// MIST of a policy's stakes: a million SUI.
const MAX_STAKE_MIST: u64 = 1_000_000_000_000_000;
/// Milliseconds of unbonding and of keeping answers: 30 days.
const MAX_MS: u64 = 2_592_000_000;
const MIN_LEASE_MS: u64 = 1_000;
const MAX_LEASE_MS: u64 = 600_000;
/// Bytes of a PCR (SHA-384).
const PCR_BYTES: u64 = 48;

// === Structs ===

/// The policy of a cluster.
public struct ClusterPolicy has copy, drop, store {
    /// Stake in MIST that a token needs for everything that is not a read.
    min_write_stake: u64,
    /// Stake in MIST that an executor needs.
    min_executor_stake: u64,
    /// Milliseconds between unstaking and withdrawing.
    unbonding_ms: u64,
    /// Milliseconds after which a read that is not answered may be claimed.
    lease_ms: u64,
    /// Milliseconds for which answers are kept, by priority 1 to 4.
    response_ttl_ms: vector<u64>,
    /// Whether executors must be attested.
    require_attestation: bool,
    /// PCR0, PCR1 and PCR2, or nothing.
    pcrs: vector<vector<u8>>,
    /// BLAKE2b-256 of the API server's CA certificate in DER that an attested executor is bound to, or nothing.
    kube_ca_hash: vector<u8>,
}

// === Public functions ===

/// A policy, for `cluster::create_cluster` and `cluster::set_policy` in the same transaction. Never aborts; those judge it.
public fun new(
    min_write_stake: u64,
    min_executor_stake: u64,
    unbonding_ms: u64,
    lease_ms: u64,
    response_ttl_ms: vector<u64>,
    require_attestation: bool,
    pcrs: vector<vector<u8>>,
    kube_ca_hash: vector<u8>,
): ClusterPolicy {
    ClusterPolicy {
        min_write_stake,
        min_executor_stake,
        unbonding_ms,
        lease_ms,
        response_ttl_ms,
        require_attestation,
        pcrs,
        kube_ca_hash,
    }
}

/// The defaults: 1 SUI to write, no executor stake, 7 days of unbonding, leases of 10 s, answers kept for 10 min, 1 h, 6 h and
/// 24 h, no attestation. Never aborts.
public fun default(): ClusterPolicy {
    new(
        MIST_PER_SUI,
        0,
        7 * 24 * HOUR_MS,
        10_000,
        vector[10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS],
        false,
        vector[],
        vector[],
    )
}

// === Package functions ===

/// Aborts with `EInvalidPolicy` if a value is out of its bounds.
public(package) fun check(self: &ClusterPolicy) {
    let invalid = errors::invalid_policy!();
    errors::require(self.min_write_stake <= MAX_STAKE_MIST, invalid);
    errors::require(self.min_executor_stake <= MAX_STAKE_MIST, invalid);
    errors::require(self.unbonding_ms <= MAX_MS, invalid);
    errors::require(self.lease_ms >= MIN_LEASE_MS, invalid);
    errors::require(self.lease_ms <= MAX_LEASE_MS, invalid);
    errors::require(self.response_ttl_ms.length() == 4, invalid);
    errors::require(self.response_ttl_ms.all!(|ttl_ms| *ttl_ms <= MAX_MS), invalid);
    if (self.pcrs.is_empty()) {
        errors::require(!self.require_attestation, invalid);
    } else {
        errors::require(self.pcrs.length() == 3, invalid);
        errors::require(self.pcrs.all!(|pcr| pcr.length() == PCR_BYTES), invalid);
        errors::require(self.pcrs.all!(|pcr| !is_zero(pcr)), invalid);
    };
    let ca_bytes = self.kube_ca_hash.length();
    errors::require(ca_bytes == 0 || ca_bytes == 32, invalid);
}

/// Whether there are only zeros: a PCR of an enclave in debug mode.
public(package) fun is_zero(pcr: &vector<u8>): bool { pcr.all!(|byte| *byte == 0) }

public(package) fun min_write_stake(self: &ClusterPolicy): u64 { self.min_write_stake }

public(package) fun min_executor_stake(self: &ClusterPolicy): u64 { self.min_executor_stake }

public(package) fun unbonding_ms(self: &ClusterPolicy): u64 { self.unbonding_ms }

public(package) fun lease_ms(self: &ClusterPolicy): u64 { self.lease_ms }

public(package) fun require_attestation(self: &ClusterPolicy): bool { self.require_attestation }

public(package) fun pcrs(self: &ClusterPolicy): &vector<vector<u8>> { &self.pcrs }

public(package) fun kube_ca_hash(self: &ClusterPolicy): &vector<u8> { &self.kube_ca_hash }

/// Milliseconds for which an answer of this priority, 1 to 4, is kept.
public(package) fun response_ttl_ms(self: &ClusterPolicy, priority: u8): u64 {
    self.response_ttl_ms[priority as u64 - 1]
}

/// The longest time for which an answer is kept.
public(package) fun longest_ttl_ms(self: &ClusterPolicy): u64 {
    self.response_ttl_ms.fold!(0u64, |longest, ttl_ms| longest.max(ttl_ms))
}
