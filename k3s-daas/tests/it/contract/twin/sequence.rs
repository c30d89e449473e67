//! Calls with what the Rust twin says becomes of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use k3s_daas::contract::{
    Abort, AttestedFacts, Call, Cluster, Code, Effects, Object, SealToken, State,
};
use k3s_daas::types::{Address, ByteString, ClusterId, Digest, HexBytes, TokenId};
use k3s_daas::wire::Event;

use super::super::world::World;
use super::parts::parts;

/// Something done at some moment, and what became of it.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) input: Input,
    pub(super) outcome: Outcome,
}

/// What is done: enough to do it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Input {
    /// Of the transaction: what the IDs of new objects are made of.
    pub(in super::super) digest: Digest,
    pub(in super::super) sender: Address,
    pub(in super::super) now_ms: u64,
    /// What the attestation document says that the call may have.
    pub(in super::super) facts: Option<Facts>,
    pub(in super::super) deed: Deed,
}

/// [`AttestedFacts`] as the Move tests take them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Facts {
    timestamp_ms: u64,
    pcrs: Vec<HexBytes>,
    nonce: HexBytes,
    user_data: HexBytes,
}

/// A call, or what no call can bring about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in super::super) enum Deed {
    Call(Box<Call>),
    ClusterVersion(ClusterId, u64),
    TokenVersion(TokenId, u64),
    Unanswered(TokenId, u64),
    /// Not the sum: what is added to it.
    Insurance(ClusterId, u64),
}

#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // one at a time
pub(super) enum Outcome {
    /// Admitted: what it emits, the MIST that it pays out.
    Done {
        event: Option<Box<Event>>,
        paid: u64,
    },
    Refused(Code),
}

/// Steps from nothing, and the objects after them.
#[derive(Clone, Default)]
pub(super) struct Sequence {
    pub(super) steps: Vec<Step>,
    pub(super) objects: Vec<Vec<Vec<u8>>>,
}

impl Sequence {
    /// Does it all again, up to what cannot be done.
    pub(super) fn replayed(inputs: &[Input]) -> Self {
        let mut sequence = Self::default();
        let mut w = World::unrecorded();
        w.package = Address::ZERO;
        w.now = 0;
        for input in inputs {
            // The clock of a chain does not go back.
            if input.now_ms < w.now {
                break;
            }
            w.now = input.now_ms;
            w.digest = input.digest;
            w.attested = input.facts.as_ref().map(AttestedFacts::from);
            match &input.deed {
                Deed::Call(call) => {
                    sequence.call(&mut w, input.sender, call);
                }
                edit => sequence.edit(&mut w, edit.clone()),
            }
        }
        sequence.end(&w.state);
        sequence
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.steps.iter().map(|step| &step.input)
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Makes a call and records it; nothing if a transaction could not say it.
    pub(super) fn call(
        &mut self,
        w: &mut World,
        sender: Address,
        call: &Call,
    ) -> Option<Result<Effects, Abort>> {
        if !is_expressible(w, sender, call) {
            return None;
        }
        let input = Input {
            digest: w.digest,
            sender,
            now_ms: w.now,
            facts: w.attested.as_ref().map(Facts::from),
            deed: Deed::Call(Box::new(call.clone())),
        };
        let result = w.call(sender, call);
        let outcome = match &result {
            Ok(effects) => {
                assert!(effects.events.len() <= 1, "{effects:?}");
                let event = effects.events.first().cloned().map(Box::new);
                let paid = effects.credits.iter().map(|(_, amount)| amount).sum();
                Outcome::Done { event, paid }
            }
            Err(Abort::Refused(code)) => Outcome::Refused(*code),
            // On Sui that is not even a transaction.
            Err(_) => return None,
        };
        self.steps.push(Step { input, outcome });
        Some(result)
    }

    /// Changes what no call can change.
    pub(super) fn edit(&mut self, w: &mut World, deed: Deed) {
        match &deed {
            Deed::ClusterVersion(id, version) => {
                edit_cluster(&mut w.state, *id, |cluster| cluster.version = *version);
            }
            Deed::Insurance(id, more) => {
                let have = w.state.cluster(*id).unwrap().insurance;
                let Some(sum) = have.checked_add(*more) else {
                    return;
                };
                edit_cluster(&mut w.state, *id, |cluster| cluster.insurance = sum);
            }
            Deed::TokenVersion(id, version) => {
                edit_token(&mut w.state, *id, |token| token.version = *version);
            }
            Deed::Unanswered(id, count) => {
                edit_token(&mut w.state, *id, |token| token.unanswered = *count);
            }
            Deed::Call(_) => panic!("a call is no edit"),
        }
        let input = Input {
            digest: w.digest,
            sender: w.stranger,
            now_ms: w.now,
            facts: None,
            deed,
        };
        let outcome = Outcome::Done {
            event: None,
            paid: 0,
        };
        self.steps.push(Step { input, outcome });
    }

    /// Notes how the objects are in the end.
    pub(super) fn end(&mut self, state: &State) {
        self.objects = objects(state);
    }
}

/// Everything there is, as `twin.move` reads it: kind, ID, keys, then bytes in the order of the fields here.
fn objects(state: &State) -> Vec<Vec<Vec<u8>>> {
    let mut objects = Vec::new();
    let mut add = |kind: u8, id: Address, keys: Vec<ByteString>, bytes: Vec<u8>| {
        objects.push(parts(&(kind, id, keys, ByteString(bytes))));
    };
    for cluster in state.clusters() {
        // Move's table of slashed keys cannot be walked: these are all that may be in it.
        let executors = state
            .executors()
            .filter(|entry| entry.cluster == cluster.id);
        let keys: BTreeSet<_> = executors.map(|executor| executor.signing_key).collect();
        let keys = keys.iter().map(|key| ByteString(key.as_ref().to_vec()));
        add(0, cluster.id.into(), keys.collect(), to_bcs(cluster));
    }
    for token in state.tokens() {
        let id = Address::from(token.id);
        add(1, id, Vec::new(), to_bcs(token));
        let requests = state.requests(token.id);
        let (ids, bytes): (Vec<_>, Vec<_>) = requests
            .map(|(id, request)| (ByteString(id.to_wire()), to_bcs(request)))
            .unzip();
        add(3, id, ids, bytes.concat());
    }
    for executor in state.executors() {
        add(2, executor.id.into(), Vec::new(), to_bcs(executor));
    }
    objects
}

fn to_bcs(value: &impl Serialize) -> Vec<u8> {
    bcs::to_bytes(value).unwrap()
}

impl Deed {
    /// What makes the one cluster the other, if that can be said.
    pub(in super::super) fn of_cluster(before: &Cluster, after: &Cluster) -> Option<Self> {
        let edits = [
            Self::ClusterVersion(before.id, after.version),
            Self::Insurance(before.id, after.insurance.saturating_sub(before.insurance)),
        ];
        let applied = |edit: &Self| {
            let mut cluster = before.clone();
            match edit {
                Self::ClusterVersion(_, version) => cluster.version = *version,
                Self::Insurance(_, more) => cluster.insurance += more,
                _ => {}
            }
            cluster == *after
        };
        edits.into_iter().find(applied)
    }

    /// What makes the one token the other, if that can be said.
    pub(in super::super) fn of_token(before: &SealToken, after: &SealToken) -> Option<Self> {
        let edits = [
            Self::TokenVersion(before.id, after.version),
            Self::Unanswered(before.id, after.unanswered),
        ];
        let applied = |edit: &Self| {
            let mut token = before.clone();
            match edit {
                Self::TokenVersion(_, version) => token.version = *version,
                Self::Unanswered(_, count) => token.unanswered = *count,
                _ => {}
            }
            token == *after
        };
        edits.into_iter().find(applied)
    }
}

impl From<&AttestedFacts> for Facts {
    fn from(facts: &AttestedFacts) -> Self {
        Self {
            timestamp_ms: facts.timestamp_ms,
            pcrs: facts.pcrs.iter().cloned().map(HexBytes).collect(),
            nonce: HexBytes(facts.nonce.clone()),
            user_data: HexBytes(facts.user_data.clone()),
        }
    }
}

impl From<&Facts> for AttestedFacts {
    fn from(facts: &Facts) -> Self {
        let pcrs = facts.pcrs.iter().map(|pcr| pcr.0.clone());
        Self {
            timestamp_ms: facts.timestamp_ms,
            pcrs: pcrs.collect::<Vec<_>>().try_into().unwrap(),
            nonce: facts.nonce.0.clone(),
            user_data: facts.user_data.0.clone(),
        }
    }
}

/// Whether a transaction can say it: it takes no capability but its sender's own, and no document but a
/// genuine one.
fn is_expressible(w: &World, sender: Address, call: &Call) -> bool {
    let cap = match call {
        Call::SetPolicy { cap, .. }
        | Call::MigrateCluster { cap, .. }
        | Call::WithdrawInsurance { cap, .. }
        | Call::IssueToken { cap, .. }
        | Call::RevokeToken { cap, .. }
        | Call::SetRules { cap, .. }
        | Call::RegisterExecutor { cap, .. }
        | Call::ActivateExecutor { cap, .. }
        | Call::DeactivateExecutor { cap, .. }
        | Call::RemoveExecutor { cap, .. } => w.state.admin_cap(*cap),
        _ => return true,
    };
    let is_genuine = match call {
        Call::RegisterExecutor { attestation, .. } => {
            attestation.is_empty() || attestation[..] == *b"genuine" && w.attested.is_some()
        }
        _ => true,
    };
    is_genuine && cap.is_some_and(|cap| cap.owner == sender)
}

fn edit_cluster(state: &mut State, id: ClusterId, edit: impl FnOnce(&mut Cluster)) {
    let mut cluster = state.cluster(id).unwrap().clone();
    let cap = state.admin_cap(cluster.admin_cap).unwrap().clone();
    edit(&mut cluster);
    state.load(Object::Cluster(cluster, cap));
}

fn edit_token(state: &mut State, id: TokenId, edit: impl FnOnce(&mut SealToken)) {
    let mut token = state.token(id).unwrap().clone();
    edit(&mut token);
    state.load(Object::Token(token));
}
