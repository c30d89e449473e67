//! Bounds, lookups and the choice of an executor: what the calls share.

use super::Code;
use super::apply::{Abort, Context};
use super::state::{Cluster, ExecutorEntry, ExecutorState, SealToken, State, VERSION};
use crate::crypto::{PublicKey, blake2b256};
use crate::types::{
    Address, AdminCapId, ClusterId, ClusterPolicy, Digest, ExecutorId, HexBytes, MIST_PER_SUI,
    PolicyRule, TokenId,
};
use crate::wire::{AnswerMessage, to_bcs};

/// The bounds of the contract.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Bound;

impl Bound {
    /// Bytes of BCS of all rules of a token together.
    pub const RULES_BYTES: usize = 32_768;
    /// What a check of a token's rules may have to look at: each entry of a list counts for one, a rule itself for two, one of its
    /// URLs for eight, about as they cost on chain.
    pub const RULE_ENTRIES: usize = 2_048;
    /// Delegates of a token.
    pub const DELEGATES: usize = 32;
    /// Session keys of a token.
    pub const SESSION_KEYS: usize = 64;
    /// Groups of a token.
    pub const GROUPS: usize = 32;
    /// Bytes of a group's or cluster's name, as of a Kubernetes name.
    pub const NAME_BYTES: usize = 253;
    /// Unbondings of a token or executor.
    pub const UNBONDINGS: usize = 32;
    /// MIST of one unbonding, unless it is all that is left: 0.01 SUI.
    pub const UNBONDING_MIST: u64 = MIST_PER_SUI / 100;
    /// Unanswered requests of a token.
    pub const UNANSWERED: u64 = 1_024;
    /// Executors of a cluster.
    pub const EXECUTORS: usize = 64;
    /// Bytes sealed inline.
    pub const SEALED_BYTES: usize = 16_000;
    /// Bytes of a payload, as kube-apiserver's own limit.
    pub const PAYLOAD_BYTES: u64 = 3 * 1_024 * 1_024;
    /// Bytes of a response envelope.
    pub const ENVELOPE_BYTES: u64 = 256 * 1_024 * 1_024;
    /// Milliseconds between now and a deadline.
    pub const DEADLINE_AHEAD_MS: u64 = 3_600_000;
    /// Claims of a request.
    pub const CLAIMS: u8 = 2;
    /// Requests pruned in one call.
    pub const PRUNED: usize = 512;
    /// MIST of a policy's stakes.
    pub const POLICY_MIST: u64 = 1_000_000_000_000_000;
    /// Milliseconds of unbonding and of keeping answers: 30 days.
    pub const POLICY_MS: u64 = 30 * 24 * 3_600_000;
    /// Milliseconds of a lease: 1 second to 10 minutes.
    pub const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;
    /// Milliseconds that an attestation document may be from the future.
    pub const ATTESTATION_AHEAD_MS: u64 = 60_000;
    /// Milliseconds that an attestation document may be old.
    pub const ATTESTATION_AGE_MS: u64 = 300_000;
    /// Bytes of a PCR (SHA-384).
    pub const PCR_BYTES: usize = 48;
}

/// The executor that gets a request: of all eligible ones the highest
/// BLAKE2b-256(executor ID ‖ token ID ‖ request ID ‖ epoch as u64 little-endian), a tie to the lower ID.
#[must_use]
pub fn assign<'a>(
    eligible: impl Iterator<Item = &'a ExecutorEntry>,
    token: TokenId,
    request_id: &[u8],
    epoch: u64,
) -> Option<&'a ExecutorEntry> {
    let weight = |entry: &ExecutorEntry| -> Digest {
        blake2b256(&[
            entry.id.as_bytes(),
            token.as_bytes(),
            request_id,
            &epoch.to_le_bytes(),
        ])
    };
    eligible.max_by_key(|entry| (weight(entry), std::cmp::Reverse(entry.id)))
}

/// `Ok` if the check holds, else the code.
pub(super) fn require(holds: bool, code: Code) -> Result<(), Code> {
    if holds { Ok(()) } else { Err(code) }
}

impl State {
    pub(super) fn cluster_object(&self, id: ClusterId) -> Result<&Cluster, Abort> {
        self.clusters
            .get(&id)
            .ok_or(Abort::MissingObject(id.into()))
    }

    pub(super) fn token_object(&self, id: TokenId) -> Result<&SealToken, Abort> {
        self.tokens.get(&id).ok_or(Abort::MissingObject(id.into()))
    }

    pub(super) fn executor_object(&self, id: ExecutorId) -> Result<&ExecutorState, Abort> {
        self.executors
            .get(&id)
            .ok_or(Abort::MissingObject(id.into()))
    }

    /// The cluster, if its version is current and the sender holds its capability: 1, 30.
    ///
    /// That a capability is somebody else's is a missing object on Sui; here it has the same code as one
    /// of another cluster.
    pub(super) fn administered(
        &self,
        context: &Context<'_>,
        cap: AdminCapId,
        cluster: ClusterId,
    ) -> Result<&Cluster, Abort> {
        self.administered_with(context, cap, cluster, VERSION)
    }

    /// The same of a call that also needs another object, of version `version`, to be current.
    pub(super) fn administered_with(
        &self,
        context: &Context<'_>,
        cap: AdminCapId,
        cluster: ClusterId,
        version: u64,
    ) -> Result<&Cluster, Abort> {
        let held = self
            .caps
            .get(&cap)
            .ok_or(Abort::MissingObject(cap.into()))?;
        let cluster = self.cluster_object(cluster)?;
        let is_current = cluster.version == VERSION && version == VERSION;
        require(is_current, Code::WrongVersion)?;
        require(
            is_admin(held.owner, held.cluster, cluster, cap, context),
            Code::NotAdmin,
        )?;
        Ok(cluster)
    }
}

fn is_admin(
    holder: Address,
    governed: ClusterId,
    cluster: &Cluster,
    cap: AdminCapId,
    context: &Context<'_>,
) -> bool {
    holder == context.sender && governed == cluster.id && cluster.admin_cap == cap
}

/// A public key that may be registered: 32 bytes, not of small order.
pub(super) fn public_key(bytes: &[u8]) -> Result<PublicKey, Code> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Code::InvalidKey)?;
    let key = PublicKey::from(bytes);
    require(!key.is_small_order(), Code::InvalidKey)?;
    Ok(key)
}

/// What is bonded after a deposit: 32, 33.
///
/// All MIST there is fits into 64 bits, so no deposit on a chain can exceed them; where it could, this
/// refuses what every later sum would overflow by.
pub(super) fn deposit(
    amount: u64,
    bonded: u64,
    unbondings: &[super::Unbonding],
) -> Result<u64, Code> {
    require(amount > 0, Code::ZeroAmount)?;
    super::state::total(bonded, unbondings)
        .checked_add(amount)
        .ok_or(Code::LimitExceeded)?;
    Ok(bonded.saturating_add(amount))
}

/// Whether an answer says what may be recorded: a status of 200 to 599, a hash of 32 bytes, a length of 1 byte to 256 MiB.
pub(super) fn is_outcome(answer: &AnswerMessage) -> bool {
    (200..=599).contains(&answer.status)
        && answer.envelope_hash.len() == 32
        && (1..=Bound::ENVELOPE_BYTES).contains(&answer.envelope_len)
}

/// Stake that leaves the bond: 32, 7, 33.
pub(super) fn unbonding(amount: u64, bonded: u64, unbondings: usize) -> Result<(), Code> {
    require(amount > 0, Code::ZeroAmount)?;
    require(amount <= bonded, Code::InsufficientStake)?;
    require(
        unbondings < Bound::UNBONDINGS && (amount >= Bound::UNBONDING_MIST || amount == bonded),
        Code::LimitExceeded,
    )
}

/// Stake that can be paid out now: 37.
pub(super) fn unlocked(unbondings: &[super::Unbonding], now_ms: u64) -> Result<u64, Code> {
    let due = |unbonding: &&super::Unbonding| now_ms >= unbonding.unlock_ms;
    let amount = unbondings
        .iter()
        .filter(due)
        .fold(0_u64, |sum, unbonding| sum.saturating_add(unbonding.amount));
    require(amount > 0, Code::StillUnbonding)?;
    Ok(amount)
}

/// The bounds of a policy: 38.
pub(super) fn policy(policy: &ClusterPolicy) -> Result<(), Code> {
    let pcr = |pcr: &HexBytes| pcr.len() == Bound::PCR_BYTES && pcr.iter().any(|byte| *byte != 0);
    let pcrs = policy.pcrs.len() == 3 && policy.pcrs.iter().all(pcr);
    let holds = policy.min_write_stake <= Bound::POLICY_MIST
        && policy.min_executor_stake <= Bound::POLICY_MIST
        && policy.unbonding_ms <= Bound::POLICY_MS
        && Bound::LEASE_MS.contains(&policy.lease_ms)
        && policy.response_ttl_ms.len() == 4
        && policy
            .response_ttl_ms
            .iter()
            .all(|ttl_ms| *ttl_ms <= Bound::POLICY_MS)
        && (pcrs || (policy.pcrs.is_empty() && !policy.require_attestation))
        && matches!(policy.kube_ca_hash.len(), 0 | 32);
    require(holds, Code::InvalidPolicy)
}

/// The bounds of a token's rules: 33.
pub(super) fn rules(rules: &[PolicyRule]) -> Result<(), Code> {
    let entries: usize = rules.iter().map(entries).sum();
    require(
        to_bcs(rules).len() <= Bound::RULES_BYTES && entries <= Bound::RULE_ENTRIES,
        Code::LimitExceeded,
    )
}

/// What a rule counts for.
fn entries(rule: &PolicyRule) -> usize {
    2 + rule.verbs.len()
        + rule.api_groups.len()
        + rule.resources.len()
        + rule.resource_names.len()
        + rule.namespaces.len()
        + 8 * rule.non_resource_urls.len()
}
