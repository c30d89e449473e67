//! The five invariants over random calls.
//!
//! Calls are mostly plausible: they name objects that are there, with keys that fit, at moments where
//! something happens; some are then damaged. `DAAS_TEST_SEED` repeats a run, `DAAS_TEST_STEPS` makes it
//! longer or shorter.

mod damage;
mod expect;
mod generate;

use std::collections::{BTreeMap, BTreeSet};

use k3s_daas::contract::{
    Call, Cluster, Code, ExecutorState, Request, SealToken, State, Unbonding,
};
use k3s_daas::types::{
    Address, AdminCapId, ClusterId, Digest, ExecutorId, HexBytes, MIST_PER_SUI, RequestId, TokenId,
};

use super::world::{START, World, signer};

const STEPS: u64 = 120_000;
/// Steps in one world, after which a new one begins.
const WORLD: u64 = 2_000;

#[test]
fn the_invariants_hold_over_random_calls() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("DAAS_TEST_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap()
    });
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
        seen.assert_wide();
    }
}

/// Shown when the test fails, or with `--nocapture`.
#[allow(clippy::print_stderr)]
fn report(text: &str) {
    eprintln!("{text}");
}

/// Which calls happened and which codes, so that the generator cannot go blind unnoticed.
#[derive(Default)]
struct Seen {
    calls: BTreeMap<&'static str, (u64, u64)>,
    codes: BTreeMap<u8, u64>,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        for (name, (ok, refused)) in &other.calls {
            let entry = self.calls.entry(name).or_default();
            entry.0 += ok;
            entry.1 += refused;
        }
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
    }

    /// Every call went through and was refused, every code was given that calls alone can provoke.
    fn assert_wide(&self) {
        for (name, (ok, refused)) in &self.calls {
            let refuses_by_event = name.starts_with("try_") || *name == "record_refusal";
            // There is but one version to migrate to.
            let never_made = ["migrate_cluster", "migrate_token"];
            assert!(
                *ok > 0 || never_made.contains(name),
                "{name} never went through"
            );
            assert!(*refused > 0 || refuses_by_event, "{name} was never refused");
        }
        assert_eq!(self.calls.len(), 37, "{:?}", self.calls.keys());
        // 1,024 unanswered are more than a random world has.
        let beyond = [Code::TooManyRequests];
        for code in Code::ALL {
            assert!(
                self.codes.contains_key(&code.number()) || beyond.contains(code),
                "{code} was never given"
            );
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, (ok, refused)) in &self.calls {
            writeln!(f, "{name:36} {ok:7} {refused:7}")?;
        }
        for (code, count) in &self.codes {
            write!(f, "{code}: {count}  ")?;
        }
        Ok(())
    }
}

pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        // SplitMix64: any seed will do, also 0.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap();
        &from[index]
    }
}

/// A cluster and what belongs to it.
#[derive(Clone)]
struct Focus {
    cluster: ClusterId,
    cap: AdminCapId,
    tokens: Vec<TokenId>,
    executors: Vec<ExecutorId>,
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
    rng: Rng,
    w: World,
    clusters: Vec<Focus>,
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
    old_calls: Vec<(Address, Call)>,
    next_id: u64,
    seen: Seen,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            rng: Rng(seed),
            w: World::empty(),
            clusters: Vec::new(),
            follower: State::untracked(),
            kept: Kept::default(),
            followed: 0,
            tracks: BTreeMap::new(),
            admitted: BTreeSet::new(),
            answered: BTreeSet::new(),
            sealed: BTreeMap::new(),
            anchors: BTreeMap::new(),
            balance: BTreeMap::new(),
            old_calls: Vec::new(),
            next_id: 1,
            seen: Seen::default(),
        };
        for _ in 0..2 {
            let policy = model.policy(false);
            let (admin, chain) = (model.w.admin, model.w.chain);
            model.apply(
                admin,
                Call::CreateCluster {
                    name: "random".into(),
                    chain,
                    policy,
                },
            );
        }
        for index in 0..2 {
            model.focus(index);
            for n in 0..3 {
                let call = model.w.registration(&signer(&format!("{index} {n}")));
                model.apply(model.w.admin, call);
            }
            for _ in 0..2 {
                let call = model.issue();
                model.apply(model.w.admin, call);
            }
            for token in model.clusters[index].tokens.clone() {
                let owner = model.w.owner;
                let key = HexBytes::from(model.w.session.public_key().as_ref());
                model.apply(
                    owner,
                    Call::DepositStake {
                        token,
                        amount: 5 * MIST_PER_SUI,
                    },
                );
                model.apply(
                    owner,
                    Call::RegisterSessionKey {
                        token,
                        key,
                        expires_at_ms: START + 100 * DAY,
                    },
                );
            }
        }
        model
    }

    /// One call at some moment.
    fn step(&mut self) {
        self.pass_time();
        let index = usize::try_from(self.rng.below(self.clusters.len() as u64)).unwrap();
        self.focus(index);
        let admin = self.w.admin_of(self.w.cluster);
        if self.clusters[index].executors.is_empty() {
            let call = self
                .w
                .registration(&signer(&format!("{} 0", self.w.cluster)));
            self.apply(admin, call);
            return;
        }
        if self.clusters[index].tokens.is_empty() {
            let call = self.issue();
            self.apply(admin, call);
            return;
        }
        self.tend();
        if self.rng.chance(2) && !self.old_calls.is_empty() {
            // What was sent once is sent again, by anyone.
            let (sender, call) = self.rng.pick(&self.old_calls).clone();
            let sender = if self.rng.chance(50) {
                sender
            } else {
                self.anyone()
            };
            self.apply(sender, call);
            return;
        }
        let (mut sender, mut call) = self.plausible();
        self.w.sign(&mut call);
        if self.rng.chance(22) {
            self.damage(&mut sender, &mut call);
        }
        if self.old_calls.len() < 512 || self.rng.chance(5) {
            let at = usize::try_from(self.rng.below(512)).unwrap();
            if at < self.old_calls.len() {
                self.old_calls[at] = (sender, call.clone());
            } else {
                self.old_calls.push((sender, call.clone()));
            }
        }
        self.apply(sender, call);
    }

    /// Now and then does what an owner and an admin would, so that not all that follows is refused.
    fn tend(&mut self) {
        let (token, now) = (self.w.token().clone(), self.w.now);
        let key = self.w.session.public_key();
        if token.is_valid(now) && self.rng.chance(20) {
            let call = if !token.has_session_key(&key, now) {
                let key = HexBytes::from(key.as_ref());
                if token
                    .session_keys
                    .contains_key(&self.w.session.public_key())
                {
                    Call::RemoveSessionKey {
                        token: token.id,
                        key,
                    }
                } else {
                    Call::RegisterSessionKey {
                        token: token.id,
                        key,
                        expires_at_ms: now + self.rng.below(5 * DAY),
                    }
                }
            } else if !token.is_holder(self.w.gateway, now) {
                Call::AddDelegate {
                    token: token.id,
                    delegate: self.w.gateway,
                    expires_at_ms: now + self.rng.below(5 * DAY),
                }
            } else {
                return;
            };
            self.apply(self.w.owner, call);
        }
        let admin = self.w.admin_of(self.w.cluster);
        if self.w.cluster().eligible().next().is_none() && self.rng.chance(10) {
            let call = Call::SetPolicy {
                cap: self.w.cap,
                cluster: self.w.cluster,
                policy: self.policy(false),
            };
            self.apply(admin, call);
            let call = self.registration();
            self.apply(admin, call);
        }
    }

    // Time.

    fn pass_time(&mut self) {
        let roll = self.rng.below(100);
        let now = self.w.now;
        let to = match roll {
            0..60 => now + self.rng.below(500),
            60..75 => now + self.rng.below(10_000),
            // Where something happens, and right before and after.
            75..90 => {
                let mut moments: Vec<u64> = self
                    .tracks
                    .values()
                    .flat_map(|t| [t.lease_ends, t.deadline, t.prunable])
                    .chain(self.unbondings().map(|u| u.unlock_ms))
                    .filter(|at| *at > now && *at < now + 2 * 3_600_000)
                    .collect();
                moments.sort_unstable();
                moments.truncate(8);
                if moments.is_empty() {
                    now
                } else {
                    *self.rng.pick(&moments) - self.rng.below(2)
                }
            }
            90..97 => now + self.rng.below(120_000),
            97..99 => now + self.rng.below(3_600_000),
            _ if self.rng.chance(20) => now + self.rng.below(2 * DAY),
            _ => now,
        };
        self.w.now = to.max(now);
    }

    fn unbondings(&self) -> impl Iterator<Item = Unbonding> {
        let tokens = self.w.state.tokens().flat_map(|t| t.unbondings.clone());
        let executors = self.w.state.executors().flat_map(|e| e.unbondings.clone());
        tokens.chain(executors)
    }
}

const DAY: u64 = 24 * 3_600_000;
