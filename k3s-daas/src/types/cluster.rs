//! What governs a cluster's requests.

use serde::{Deserialize, Serialize};

use super::HexBytes;

/// One SUI in MIST, the unit of every amount here.
pub const MIST_PER_SUI: u64 = 1_000_000_000;

/// The policy of a `Cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterPolicy {
    /// Stake in MIST that a token needs for everything that is not a read.
    pub min_write_stake: u64,
    /// Stake in MIST that an executor needs.
    pub min_executor_stake: u64,
    /// Milliseconds between unstaking and withdrawing.
    pub unbonding_ms: u64,
    /// Milliseconds after which a read that is not answered may be claimed.
    pub lease_ms: u64,
    /// Milliseconds for which answers are kept, by priority 1 to 4.
    pub response_ttl_ms: Vec<u64>,
    /// Whether executors must be attested.
    pub require_attestation: bool,
    /// PCR0, PCR1 and PCR2 (48 bytes each), or nothing.
    pub pcrs: Vec<HexBytes>,
    /// BLAKE2b-256 of the API server's CA certificate in DER that an attested executor is bound to, or nothing.
    pub kube_ca_hash: HexBytes,
}

impl Default for ClusterPolicy {
    fn default() -> Self {
        const MINUTE_MS: u64 = 60_000;
        const HOUR_MS: u64 = 60 * MINUTE_MS;
        Self {
            min_write_stake: MIST_PER_SUI,
            min_executor_stake: 0,
            unbonding_ms: 7 * 24 * HOUR_MS,
            lease_ms: 10_000,
            response_ttl_ms: vec![10 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS],
            require_attestation: false,
            pcrs: Vec::new(),
            kube_ca_hash: HexBytes::default(),
        }
    }
}

impl ClusterPolicy {
    /// The shortest time for which an answer is kept, milliseconds; 0 if the policy names none.
    #[must_use]
    pub fn shortest_ttl_ms(&self) -> u64 {
        self.response_ttl_ms.iter().min().copied().unwrap_or(0)
    }
}
