//! What the contract knows: clusters, tokens, executors, requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::crypto::PublicKey;
use crate::types::{
    Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId,
    HexBytes, PolicyRule, RequestId, ResponseRecord, TokenId,
};

/// The contract version that this crate implements.
pub const VERSION: u64 = 1;

/// All objects of the contract.
///
/// Changes only by [`State::evolve`], one event at a time, so replaying the events gives it again.
///
/// Two states are equal if their objects are; what was touched does not count.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) clusters: BTreeMap<ClusterId, Cluster>,
    pub(super) caps: BTreeMap<AdminCapId, AdminCap>,
    pub(super) tokens: BTreeMap<TokenId, SealToken>,
    pub(super) executors: BTreeMap<ExecutorId, ExecutorState>,
    pub(super) requests: BTreeMap<(TokenId, RequestId), Request>,
    touched: Touched,
    is_untracked: bool,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.clusters == other.clusters
            && self.caps == other.caps
            && self.tokens == other.tokens
            && self.executors == other.executors
            && self.requests == other.requests
    }
}

impl Eq for State {}

/// Which objects changed since they were last taken, for those who keep them elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Clusters, with their capabilities.
    pub clusters: BTreeSet<ClusterId>,
    /// Seal tokens.
    pub tokens: BTreeSet<TokenId>,
    /// Executors.
    pub executors: BTreeSet<ExecutorId>,
    /// Requests; one that is no longer in the state was pruned.
    pub requests: BTreeSet<(TokenId, RequestId)>,
}

/// The shared object that every request reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its ID.
    pub id: ClusterId,
    /// Contract version.
    pub version: u64,
    /// Its name.
    pub name: ByteString,
    /// The chain it believes to be on.
    pub chain: ChainId,
    /// The capability that governs it.
    pub admin_cap: AdminCapId,
    /// How many executors were ever registered.
    pub registrations: u64,
    /// Its policy.
    pub policy: ClusterPolicy,
    /// Its executors, oldest first.
    pub executors: Vec<ExecutorEntry>,
    /// Signing keys that were slashed, never admitted again.
    pub slashed_keys: BTreeSet<PublicKey>,
    /// MIST taken from slashed executors.
    pub insurance: u64,
}

/// A `ClusterAdminCap` and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminCap {
    /// Its ID.
    pub id: AdminCapId,
    /// The cluster it governs.
    pub cluster: ClusterId,
    /// Who holds it.
    pub owner: Address,
}

/// What the cluster knows of an executor, so that assigning needs no other object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorEntry {
    /// The executor.
    pub id: ExecutorId,
    /// Who owns its stake.
    pub operator: Address,
    /// Ed25519 key of its answers.
    pub signing_key: PublicKey,
    /// X25519 key that payloads are sealed to.
    pub encryption_key: HexBytes,
    /// PCR0–2 if attested, else nothing.
    pub pcrs: Vec<HexBytes>,
    /// MIST bonded, a mirror of [`ExecutorState::bonded`].
    pub stake: u64,
    /// Whether it is assigned requests.
    pub active: bool,
}

/// The shared object of one executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorState {
    /// Its ID.
    pub id: ExecutorId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Who owns its stake.
    pub operator: Address,
    /// Ed25519 key of its answers.
    pub signing_key: PublicKey,
    /// MIST bonded.
    pub bonded: u64,
    /// MIST on its way out.
    pub unbondings: Vec<Unbonding>,
    /// The last root it anchored; zero if none.
    pub anchored_root: Digest,
    /// Sequence number of the last read it anchored.
    pub anchored_last: u64,
    /// Whether it was caught equivocating.
    pub slashed: bool,
}

/// Stake on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbonding {
    /// MIST.
    pub amount: u64,
    /// Unix milliseconds from which it can be withdrawn.
    pub unlock_ms: u64,
}

/// The shared object of one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealToken {
    /// Its ID.
    pub id: TokenId,
    /// Contract version.
    pub version: u64,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Who owns it and its stake.
    pub owner: Address,
    /// What it allows.
    pub rules: Vec<PolicyRule>,
    /// Kubernetes groups to impersonate.
    pub groups: Vec<ByteString>,
    /// MIST bonded.
    pub bonded: u64,
    /// MIST on its way out.
    pub unbondings: Vec<Unbonding>,
    /// Addresses that may submit for it, and until when.
    pub delegates: BTreeMap<Address, u64>,
    /// Keys that may sign for it, and until when.
    pub session_keys: BTreeMap<PublicKey, u64>,
    /// Unix milliseconds from which it is valid.
    pub not_before_ms: u64,
    /// Unix milliseconds at which it is no longer valid.
    pub expires_at_ms: u64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// How many requests it ever had admitted.
    pub sequence: u64,
    /// How many of its requests have no answer.
    pub unanswered: u64,
}

/// A request as its token holds it, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// BLAKE2b-256 of its signed bytes.
    pub digest: Digest,
    /// 1 to 4.
    pub priority: u8,
    /// Unix milliseconds by which it must be answered.
    pub deadline_ms: u64,
    /// Whether it is a read.
    pub is_read: bool,
    /// Whether it opened a session.
    pub session: bool,
    /// Whether its answer may be sealed inline.
    pub has_reply_key: bool,
    /// Who is assigned.
    pub executor: ExecutorId,
    /// How often it was assigned anew.
    pub epoch: u64,
    /// When it was assigned, Unix milliseconds.
    pub assigned_at_ms: u64,
    /// End of that lease, Unix milliseconds.
    pub lease_ends_ms: u64,
    /// How often it was claimed; a claimed write is never executed.
    pub claims: u8,
    /// From when it may be pruned as it stands, Unix milliseconds.
    pub prunable_at_ms: u64,
    /// The answer.
    pub outcome: Option<Outcome>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// With a response.
    Answered(ResponseRecord),
    /// A session, by closing.
    Closed,
}

impl State {
    /// An empty state that does not note what changes, for those who follow a ledger and keep nothing
    /// elsewhere. (Whoever tracks and never calls [`State::take_touched`] keeps the ID of every request
    /// there ever was.)
    #[must_use]
    pub fn untracked() -> Self {
        Self {
            is_untracked: true,
            ..Self::default()
        }
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(&self, id: ClusterId) -> Option<&Cluster> {
        self.clusters.get(&id)
    }

    /// All clusters.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values()
    }

    /// A capability.
    #[must_use]
    pub fn admin_cap(&self, id: AdminCapId) -> Option<&AdminCap> {
        self.caps.get(&id)
    }

    /// A seal token.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<&SealToken> {
        self.tokens.get(&id)
    }

    /// All seal tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &SealToken> {
        self.tokens.values()
    }

    /// An executor.
    #[must_use]
    pub fn executor(&self, id: ExecutorId) -> Option<&ExecutorState> {
        self.executors.get(&id)
    }

    /// All executors.
    pub fn executors(&self) -> impl Iterator<Item = &ExecutorState> {
        self.executors.values()
    }

    /// A request of a token.
    #[must_use]
    pub fn request(&self, token: TokenId, id: RequestId) -> Option<&Request> {
        self.requests.get(&(token, id))
    }

    /// All requests of a token, by ID (so roughly by age).
    pub fn requests(&self, token: TokenId) -> impl Iterator<Item = (RequestId, &Request)> {
        let last = RequestId::from_bytes(b"ffffffff-ffff-7fff-bfff-ffffffffffff");
        let first = RequestId::from_bytes(b"00000000-0000-7000-8000-000000000000");
        let range = (token, first.expect("a valid ID"))..=(token, last.expect("a valid ID"));
        self.requests
            .range(range)
            .map(|((_, id), request)| (*id, request))
    }

    /// All requests of all tokens.
    pub fn all_requests(&self) -> impl Iterator<Item = (TokenId, RequestId, &Request)> {
        self.requests
            .iter()
            .map(|((token, id), request)| (*token, *id, request))
    }

    /// The requests that may be pruned at a time.
    pub fn prunable(&self, now_ms: u64) -> impl Iterator<Item = (TokenId, RequestId)> {
        let prunable = self
            .requests
            .iter()
            .filter(move |(_, request)| now_ms >= request.prunable_at_ms);
        prunable.map(|(key, _)| *key)
    }

    /// Takes the set of what changed since the last time; nothing if the state is
    /// [untracked](State::untracked).
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn touch(&mut self, note: impl FnOnce(&mut Touched)) {
        if !self.is_untracked {
            note(&mut self.touched);
        }
    }

    /// Puts an object back that was kept elsewhere, when a state is loaded rather than replayed.
    pub fn load(&mut self, object: Object) {
        match object {
            Object::Cluster(cluster, cap) => {
                self.caps.insert(cap.id, cap);
                self.clusters.insert(cluster.id, cluster);
            }
            Object::Token(token) => {
                self.tokens.insert(token.id, token);
            }
            Object::Executor(executor) => {
                self.executors.insert(executor.id, executor);
            }
            Object::Request(token, id, request) => {
                self.requests.insert((token, id), request);
            }
        }
    }

    /// Takes a request out that is kept elsewhere; until it is [loaded](State::load) again, no call may be
    /// applied that [names](super::Call::requests) it.
    pub fn unload_request(&mut self, token: TokenId, id: RequestId) -> Option<Request> {
        self.requests.remove(&(token, id))
    }
}

/// An object as [`State::load`] takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_enums)] // whoever stores objects must store all of them
pub enum Object {
    /// A cluster and its capability.
    Cluster(Cluster, AdminCap),
    /// A seal token without its requests.
    Token(SealToken),
    /// An executor.
    Executor(ExecutorState),
    /// A request of a token.
    Request(TokenId, RequestId, Request),
}

impl Cluster {
    /// The entry of an executor.
    #[must_use]
    pub fn executor(&self, id: ExecutorId) -> Option<&ExecutorEntry> {
        self.executors.iter().find(|entry| entry.id == id)
    }

    /// Whether an executor may be assigned requests, claim, answer and anchor now.
    #[must_use]
    pub fn is_eligible(&self, entry: &ExecutorEntry) -> bool {
        entry.active
            && entry.stake >= self.policy.min_executor_stake
            && (!self.policy.require_attestation
                || (!entry.pcrs.is_empty() && entry.pcrs == self.policy.pcrs))
    }

    /// The executors that are eligible now.
    pub fn eligible(&self) -> impl Iterator<Item = &ExecutorEntry> {
        self.executors
            .iter()
            .filter(|entry| self.is_eligible(entry))
    }

    /// Milliseconds for which an answer of this priority is kept.
    #[must_use]
    pub fn response_ttl_ms(&self, priority: u8) -> u64 {
        let index = usize::from(priority).wrapping_sub(1);
        self.policy
            .response_ttl_ms
            .get(index)
            .copied()
            .unwrap_or_default()
    }

    /// The longest time for which an answer is kept.
    #[must_use]
    pub fn longest_ttl_ms(&self) -> u64 {
        self.policy
            .response_ttl_ms
            .iter()
            .copied()
            .max()
            .unwrap_or_default()
    }
}

impl SealToken {
    /// Whether it is neither revoked nor outside its time.
    #[must_use]
    pub fn is_valid(&self, now_ms: u64) -> bool {
        !self.revoked && self.not_before_ms <= now_ms && now_ms < self.expires_at_ms
    }

    /// Whether `sender` may submit for it.
    #[must_use]
    pub fn is_holder(&self, sender: Address, now_ms: u64) -> bool {
        sender == self.owner
            || self
                .delegates
                .get(&sender)
                .is_some_and(|expiry| now_ms < *expiry)
    }

    /// Whether `key` is a live session key of it.
    #[must_use]
    pub fn has_session_key(&self, key: &PublicKey, now_ms: u64) -> bool {
        self.session_keys
            .get(key)
            .is_some_and(|expiry| now_ms < *expiry)
    }

    /// MIST bonded and unbonding together.
    #[must_use]
    pub fn stake_total(&self) -> u64 {
        total(self.bonded, &self.unbondings)
    }
}

impl ExecutorState {
    /// MIST bonded and unbonding together: what an equivocation costs.
    #[must_use]
    pub fn stake_total(&self) -> u64 {
        total(self.bonded, &self.unbondings)
    }
}

/// Bonded and unbonding stake together. Deposits are refused that would make it more than 64 bits hold.
pub(super) fn total(bonded: u64, unbondings: &[Unbonding]) -> u64 {
    unbondings.iter().fold(bonded, |sum, unbonding| {
        sum.saturating_add(unbonding.amount)
    })
}

impl Request {
    /// The answer, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&ResponseRecord> {
        match &self.outcome {
            Some(Outcome::Answered(record)) => Some(record),
            _ => None,
        }
    }

    /// Whether it is a write that was claimed: its outcome can only be unknown.
    #[must_use]
    pub fn is_claimed_write(&self) -> bool {
        !self.is_read && self.claims > 0
    }
}
