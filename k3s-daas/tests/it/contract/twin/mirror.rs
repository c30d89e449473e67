//! The objects of the Rust twin in the bytes of their Move counterparts.

use std::collections::BTreeMap;

use serde::Serialize;

use k3s_daas::contract::{Cluster, ExecutorEntry, ExecutorState, SealToken, State, Unbonding};
use k3s_daas::crypto::PublicKey;
use k3s_daas::types::{
    Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId,
    HexBytes, TokenId,
};
use k3s_daas::wire::Event;

use super::super::world::derive_id;

/// What Move's objects have and the Rust twin does not need: the order in which entries came, the IDs of
/// tables.
#[derive(Default)]
pub(super) struct Mirror {
    slashed_keys: BTreeMap<ClusterId, Address>,
    requests: BTreeMap<TokenId, Address>,
    delegates: BTreeMap<TokenId, Vec<Address>>,
    session_keys: BTreeMap<TokenId, Vec<PublicKey>>,
}

impl Mirror {
    pub(super) fn note(&mut self, event: &Event, digest: Digest) {
        match event {
            // After the cluster and its capability.
            Event::ClusterCreated(e) => {
                self.slashed_keys.insert(e.cluster, derive_id(digest, 2));
            }
            // After the token.
            Event::SealTokenIssued(e) => {
                self.requests.insert(e.token, derive_id(digest, 1));
                let delegates = e.delegates.iter().map(|entry| entry.delegate);
                self.delegates.insert(e.token, delegates.collect());
            }
            Event::DelegateAdded(e) => {
                let delegates = self.delegates.entry(e.token).or_default();
                delegates.retain(|delegate| *delegate != e.delegate);
                delegates.push(e.delegate);
            }
            Event::DelegateRemoved(e) => {
                let delegates = self.delegates.entry(e.token).or_default();
                delegates.retain(|delegate| *delegate != e.delegate);
            }
            Event::SessionKeyRegistered(e) => {
                self.session_keys.entry(e.token).or_default().push(e.key);
            }
            Event::SessionKeyRemoved(e) => {
                let keys = self.session_keys.entry(e.token).or_default();
                keys.retain(|key| *key != e.key);
            }
            _ => {}
        }
    }

    /// Everything there is, each as the Move tests read it: kind, ID, key, bytes.
    pub(super) fn objects(&self, state: &State) -> Vec<Vec<u8>> {
        let mut objects = Vec::new();
        let mut add = |kind: u8, id: Address, key: &[u8], bytes: Vec<u8>| {
            let object = (kind, id, ByteString(key.to_vec()), ByteString(bytes));
            objects.push(bcs::to_bytes(&object).unwrap());
        };
        for cluster in state.clusters() {
            let id = Address::from(cluster.id);
            add(CLUSTER, id, &[], to_bcs(&self.cluster(cluster)));
            for key in &cluster.slashed_keys {
                add(SLASHED_KEY, id, key.as_ref(), Vec::new());
            }
        }
        for token in state.tokens() {
            let id = Address::from(token.id);
            let requests = state.requests(token.id).count() as u64;
            add(TOKEN, id, &[], to_bcs(&self.token(token, requests)));
            add(RULES, id, &[], to_bcs(&token.rules));
            for (request_id, request) in state.requests(token.id) {
                add(REQUEST, id, &request_id.to_wire(), to_bcs(request));
            }
        }
        for executor in state.executors() {
            let bytes = to_bcs(&ExecutorObject::from(executor));
            add(EXECUTOR, executor.id.into(), &[], bytes);
        }
        objects
    }

    fn cluster(&self, cluster: &Cluster) -> ClusterObject {
        ClusterObject {
            id: cluster.id,
            version: cluster.version,
            name: cluster.name.clone(),
            chain: cluster.chain,
            admin_cap: cluster.admin_cap,
            registrations: cluster.registrations,
            policy: cluster.policy.clone(),
            executors: cluster.executors.iter().map(EntryValue::from).collect(),
            slashed_keys: Table {
                id: self.slashed_keys[&cluster.id],
                size: cluster.slashed_keys.len() as u64,
            },
            insurance: cluster.insurance,
        }
    }

    fn token(&self, token: &SealToken, requests: u64) -> TokenObject {
        let delegates = self.delegates.get(&token.id).into_iter().flatten();
        let keys = self.session_keys.get(&token.id).into_iter().flatten();
        TokenObject {
            id: token.id,
            version: token.version,
            cluster: token.cluster,
            owner: token.owner,
            groups: token.groups.clone(),
            stake: Stake::new(token.bonded, &token.unbondings),
            delegates: delegates
                .map(|delegate| (*delegate, token.delegates[delegate]))
                .collect(),
            session_keys: keys
                .map(|key| (HexBytes::from(key.as_ref()), token.session_keys[key]))
                .collect(),
            not_before_ms: token.not_before_ms,
            expires_at_ms: token.expires_at_ms,
            revoked: token.revoked,
            sequence: token.sequence,
            unanswered: token.unanswered,
            requests: Table {
                id: self.requests[&token.id],
                size: requests,
            },
        }
    }
}

fn to_bcs(value: &impl Serialize) -> Vec<u8> {
    bcs::to_bytes(value).unwrap()
}

// Kinds, as `twin.move` numbers them.
const CLUSTER: u8 = 0;
const SLASHED_KEY: u8 = 1;
const TOKEN: u8 = 2;
const RULES: u8 = 3;
const REQUEST: u8 = 4;
const EXECUTOR: u8 = 5;

#[derive(Serialize)]
struct Table {
    id: Address,
    size: u64,
}

#[derive(Serialize)]
struct Stake {
    bonded: u64,
    unbonding: u64,
    unbondings: Vec<Unbonding>,
}

impl Stake {
    fn new(bonded: u64, unbondings: &[Unbonding]) -> Self {
        Self {
            bonded,
            unbonding: unbondings.iter().map(|unbonding| unbonding.amount).sum(),
            unbondings: unbondings.to_vec(),
        }
    }
}

#[derive(Serialize)]
struct ClusterObject {
    id: ClusterId,
    version: u64,
    name: ByteString,
    chain: ChainId,
    admin_cap: AdminCapId,
    registrations: u64,
    policy: ClusterPolicy,
    executors: Vec<EntryValue>,
    slashed_keys: Table,
    insurance: u64,
}

#[derive(Serialize)]
struct EntryValue {
    id: ExecutorId,
    operator: Address,
    signing_key: HexBytes,
    encryption_key: HexBytes,
    pcrs: Vec<HexBytes>,
    stake: u64,
    active: bool,
}

impl From<&ExecutorEntry> for EntryValue {
    fn from(entry: &ExecutorEntry) -> Self {
        Self {
            id: entry.id,
            operator: entry.operator,
            signing_key: HexBytes::from(entry.signing_key.as_ref()),
            encryption_key: entry.encryption_key.clone(),
            pcrs: entry.pcrs.clone(),
            stake: entry.stake,
            active: entry.active,
        }
    }
}

#[derive(Serialize)]
struct TokenObject {
    id: TokenId,
    version: u64,
    cluster: ClusterId,
    owner: Address,
    groups: Vec<ByteString>,
    stake: Stake,
    delegates: Vec<(Address, u64)>,
    session_keys: Vec<(HexBytes, u64)>,
    not_before_ms: u64,
    expires_at_ms: u64,
    revoked: bool,
    sequence: u64,
    unanswered: u64,
    requests: Table,
}

#[derive(Serialize)]
struct ExecutorObject {
    id: ExecutorId,
    cluster: ClusterId,
    operator: Address,
    signing_key: HexBytes,
    stake: Stake,
    anchored_root: Digest,
    anchored_last: u64,
    slashed: bool,
}

impl From<&ExecutorState> for ExecutorObject {
    fn from(executor: &ExecutorState) -> Self {
        Self {
            id: executor.id,
            cluster: executor.cluster,
            operator: executor.operator,
            signing_key: HexBytes::from(executor.signing_key.as_ref()),
            stake: Stake::new(executor.bonded, &executor.unbondings),
            anchored_root: executor.anchored_root,
            anchored_last: executor.anchored_last,
            slashed: executor.slashed,
        }
    }
}
