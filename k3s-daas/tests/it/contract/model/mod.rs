//! The five invariants over random calls. `DAAS_TEST_SEED` repeats a run, `DAAS_TEST_STEPS` makes it longer
//! or shorter.

mod expect;

use std::collections::{BTreeMap, BTreeSet};

use k3s_daas::contract::{Call, Cluster, Code, ExecutorState, Request, SealToken, State};
use k3s_daas::types::{Address, ClusterId, Digest, ExecutorId, HexBytes, RequestId, TokenId};

use super::random::{Generator, Opening, Player, Seen, number, report, seed};
use super::world::World;

const STEPS: u64 = 120_000;
/// Steps in one world, after which a new one begins.
const WORLD: u64 = 2_000;

#[test]
fn the_invariants_hold_over_random_calls() {
    let seed = seed();
    let steps = number("DAAS_TEST_STEPS").unwrap_or(STEPS);
    report(&format!("DAAS_TEST_SEED={seed} DAAS_TEST_STEPS={steps}"));
    let mut seen = Seen::default();
    let mut taken = 0;
    let mut world = 0;
    while taken < steps {
        let mut model = Model::new(seed.wrapping_add(world));
        for _ in 0..WORLD.min(steps - taken) {
            model.step();
            taken += 1;
        }
        model.end();
        seen.add(&model.seen);
        world += 1;
    }
    report(&seen.to_string());
    if steps >= STEPS {
        // There is but one version to migrate to, and 1,024 unanswered are more than a random world has.
        let unreachable = [
            "migrate_cluster went through",
            "migrate_token went through",
            Code::TooManyRequests.name(),
        ];
        assert_eq!(seen.gaps(), unreachable);
    }
}

/// What the events say of a request, noted without looking at the state.
struct Track {
    digest: Digest,
    is_read: bool,
    session: bool,
    priority: u8,
    deadline: u64,
    executor: ExecutorId,
    epoch: u64,
    lease_ends: u64,
    claims: u8,
    prunable: u64,
    ended: bool,
}

/// The objects as a store would keep them that is told only what was touched.
#[derive(Default, PartialEq, Debug)]
struct Kept {
    clusters: BTreeMap<ClusterId, Cluster>,
    tokens: BTreeMap<TokenId, SealToken>,
    executors: BTreeMap<ExecutorId, ExecutorState>,
    requests: BTreeMap<(TokenId, RequestId), Request>,
}

impl Kept {
    fn keep(&mut self, state: &mut State) {
        let touched = state.take_touched();
        for id in touched.clusters {
            self.clusters.insert(id, state.cluster(id).unwrap().clone());
        }
        for id in touched.tokens {
            self.tokens.insert(id, state.token(id).unwrap().clone());
        }
        for id in touched.executors {
            self.executors
                .insert(id, state.executor(id).unwrap().clone());
        }
        for (token, id) in touched.requests {
            match state.request(token, id) {
                Some(request) => self.requests.insert((token, id), request.clone()),
                None => self.requests.remove(&(token, id)),
            };
        }
    }

    fn all(state: &State) -> Self {
        Self {
            clusters: state.clusters().map(|c| (c.id, c.clone())).collect(),
            tokens: state.tokens().map(|t| (t.id, t.clone())).collect(),
            executors: state.executors().map(|e| (e.id, e.clone())).collect(),
            requests: state
                .all_requests()
                .map(|(token, id, request)| ((token, id), request.clone()))
                .collect(),
        }
    }
}

struct Model {
    g: Generator,
    follower: State,
    followed: usize,
    kept: Kept,
    tracks: BTreeMap<(TokenId, RequestId), Track>,
    admitted: BTreeSet<Digest>,
    answered: BTreeSet<(TokenId, Digest)>,
    sealed: BTreeMap<(TokenId, RequestId), HexBytes>,
    anchors: BTreeMap<ExecutorId, (Digest, u64)>,
    /// Deposits by everyone, per token, less what came out to its owner.
    balance: BTreeMap<TokenId, i128>,
    seen: Seen,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            g: Generator::new(seed, World::unrecorded()),
            follower: State::untracked(),
            kept: Kept::default(),
            followed: 0,
            tracks: BTreeMap::new(),
            admitted: BTreeSet::new(),
            answered: BTreeSet::new(),
            sealed: BTreeMap::new(),
            anchors: BTreeMap::new(),
            balance: BTreeMap::new(),
            seen: Seen::default(),
        };
        model.open(&Opening {
            clusters: 2,
            executors: 3,
            tokens: 2,
        });
        model
    }
}

impl Player for Model {
    fn generator(&mut self) -> &mut Generator {
        &mut self.g
    }

    fn apply(&mut self, sender: Address, call: Call) {
        self.apply_and_expect(sender, &call);
    }
}
