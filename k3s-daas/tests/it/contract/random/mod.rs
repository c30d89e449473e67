//! Random calls: plausible ones of objects that are there, with keys that fit, at moments where something
//! happens; some are then damaged.

mod damage;
mod generate;

use std::collections::BTreeMap;

use k3s_daas::contract::{Abort, Call, Code, Unbonding};
use k3s_daas::types::{
    Address, AdminCapId, ClusterId, ExecutorId, HexBytes, MIST_PER_SUI, TokenId,
};
use k3s_daas::wire::Event;

use super::world::{World, signer};

/// Whoever applies what is generated: the model that knows what must hold, the twin check.
pub(super) trait Player {
    fn generator(&mut self) -> &mut Generator;

    fn apply(&mut self, sender: Address, call: Call);

    /// Clusters with executors and staked tokens, so that what comes next is not all refused.
    fn open(&mut self, opening: &Opening) {
        for _ in 0..opening.clusters {
            let g = self.generator();
            let call = Call::CreateCluster {
                name: "random".into(),
                chain: g.w.chain,
                policy: g.policy(false),
            };
            let admin = g.w.admin;
            self.apply(admin, call);
        }
        for index in 0..opening.clusters {
            let g = self.generator();
            g.focus(index);
            let (admin, owner) = (g.w.admin, g.w.owner);
            let key = HexBytes::from(g.w.session.public_key().as_ref());
            for n in 0..opening.executors {
                let call = self
                    .generator()
                    .w
                    .registration(&signer(&format!("{index} {n}")));
                self.apply(admin, call);
            }
            for executor in self.generator().clusters[index].executors.clone() {
                let g = self.generator();
                let call = Call::DepositExecutorStake {
                    cluster: g.w.cluster,
                    executor,
                    amount: 2 * MIST_PER_SUI,
                };
                let operator = g.w.operator;
                self.apply(operator, call);
            }
            for _ in 0..opening.tokens {
                let call = self.generator().issue();
                self.apply(admin, call);
            }
            for token in self.generator().clusters[index].tokens.clone() {
                let deposit = Call::DepositStake {
                    token,
                    amount: 5 * MIST_PER_SUI,
                };
                self.apply(owner, deposit);
                let expires_at_ms = self.generator().w.now.saturating_add(100 * DAY);
                let register = Call::RegisterSessionKey {
                    token,
                    key: key.clone(),
                    expires_at_ms,
                };
                self.apply(owner, register);
            }
        }
    }

    /// One call at some moment.
    fn step(&mut self) {
        let (sender, call) = self.generator().next();
        self.apply(sender, call);
    }
}

/// What there is at the beginning: so many clusters, and so many of each cluster.
pub(super) struct Opening {
    pub(super) clusters: usize,
    pub(super) executors: usize,
    pub(super) tokens: usize,
}

/// A cluster and what belongs to it.
#[derive(Clone)]
pub(super) struct Focus {
    pub(super) cluster: ClusterId,
    pub(super) cap: AdminCapId,
    pub(super) tokens: Vec<TokenId>,
    pub(super) executors: Vec<ExecutorId>,
}

/// Makes up calls for the world as it stands.
pub(super) struct Generator {
    pub(super) rng: Rng,
    pub(super) w: World,
    pub(super) clusters: Vec<Focus>,
    pub(super) next_id: u64,
    /// Damaged calls in a hundred.
    pub(super) hostility: u64,
    /// The kinds of calls that most of them are, if any are preferred; see `plausible`.
    pub(super) theme: Option<std::ops::Range<u64>>,
    /// How far ahead the next moment may be at which something happens.
    pub(super) horizon_ms: u64,
    old_calls: Vec<(Address, Call)>,
}

impl Generator {
    pub(super) fn new(seed: u64, w: World) -> Self {
        Self {
            rng: Rng(seed),
            w,
            clusters: Vec::new(),
            next_id: 1,
            hostility: 22,
            theme: None,
            horizon_ms: 2 * 3_600_000,
            old_calls: Vec::new(),
        }
    }

    /// Notes the objects that an event made, so that calls can name them.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::ClusterCreated(e) => self.clusters.push(Focus {
                cluster: e.cluster,
                cap: e.admin_cap,
                tokens: vec![],
                executors: vec![],
            }),
            Event::SealTokenIssued(e) => self.of(e.cluster).tokens.push(e.token),
            Event::ExecutorRegistered(e) => {
                let executor = e.executor;
                let mut names: Vec<String> =
                    (0..40).map(|n| format!("{} {n}", e.cluster)).collect();
                names.extend((0..2).flat_map(|i| (0..3).map(move |n| format!("{i} {n}"))));
                let known = names
                    .iter()
                    .map(|name| signer(name))
                    .find(|signer| signer.public_key() == e.signing_key)
                    .unwrap_or_else(|| signer("off the curve"));
                self.w.signers.insert(executor, known);
                self.of(e.cluster).executors.push(executor);
            }
            _ => {}
        }
    }

    fn of(&mut self, cluster: ClusterId) -> &mut Focus {
        self.clusters
            .iter_mut()
            .find(|focus| focus.cluster == cluster)
            .unwrap()
    }

    fn next(&mut self) -> (Address, Call) {
        self.pass_time();
        let index = usize::try_from(self.rng.below(self.clusters.len() as u64)).unwrap();
        self.focus(index);
        let admin = self.w.admin_of(self.w.cluster);
        if self.clusters[index].executors.is_empty() {
            let key = signer(&format!("{} 0", self.w.cluster));
            return (admin, self.w.registration(&key));
        }
        if self.clusters[index].tokens.is_empty() {
            return (admin, self.issue());
        }
        if let Some(call) = self.tend() {
            return call;
        }
        if self.rng.chance(2) && !self.old_calls.is_empty() {
            // What was sent once is sent again, by anyone.
            let (sender, call) = self.rng.pick(&self.old_calls).clone();
            let sender = if self.rng.chance(50) {
                sender
            } else {
                self.anyone()
            };
            return (sender, call);
        }
        let (mut sender, mut call) = self.plausible();
        self.w.sign(&mut call);
        if self.rng.chance(self.hostility) {
            self.damage(&mut sender, &mut call);
            // Two things wrong at once show which check comes first.
            if self.rng.chance(30) {
                self.damage(&mut sender, &mut call);
            }
        }
        if self.old_calls.len() < 512 || self.rng.chance(5) {
            let at = usize::try_from(self.rng.below(512)).unwrap();
            if at < self.old_calls.len() {
                self.old_calls[at] = (sender, call.clone());
            } else {
                self.old_calls.push((sender, call.clone()));
            }
        }
        (sender, call)
    }

    /// Now and then what an owner and an admin would do, so that not all that follows is refused.
    fn tend(&mut self) -> Option<(Address, Call)> {
        let (token, now) = (self.w.token().clone(), self.w.now);
        let key = self.w.session.public_key();
        if token.is_valid(now) && self.rng.chance(20) {
            if !token.has_session_key(&key, now) {
                let bytes = HexBytes::from(key.as_ref());
                let call = if token.session_keys.contains_key(&key) {
                    Call::RemoveSessionKey {
                        token: token.id,
                        key: bytes,
                    }
                } else {
                    Call::RegisterSessionKey {
                        token: token.id,
                        key: bytes,
                        expires_at_ms: self.later(5 * DAY),
                    }
                };
                return Some((self.w.owner, call));
            }
            if !token.is_holder(self.w.gateway, now) {
                let call = Call::AddDelegate {
                    token: token.id,
                    delegate: self.w.gateway,
                    expires_at_ms: self.later(5 * DAY),
                };
                return Some((self.w.owner, call));
            }
        }
        if self.w.cluster().eligible().next().is_none() && self.rng.chance(20) {
            let call = if self.rng.chance(50) {
                Call::SetPolicy {
                    cap: self.w.cap,
                    cluster: self.w.cluster,
                    policy: self.policy(false),
                }
            } else {
                self.registration()
            };
            return Some((self.w.admin_of(self.w.cluster), call));
        }
        None
    }

    /// A moment less than `ms` ahead.
    fn later(&mut self, ms: u64) -> u64 {
        self.w.now.saturating_add(self.rng.below(ms))
    }

    fn pass_time(&mut self) {
        let roll = self.rng.below(100);
        let now = self.w.now;
        let to = match roll {
            0..60 => self.later(500),
            60..75 => self.later(10_000),
            // Where something happens, and right before and after.
            75..90 => {
                let requests = self.w.state.all_requests();
                let mut moments: Vec<u64> = requests
                    .flat_map(|(_, _, r)| [r.lease_ends_ms, r.deadline_ms, r.prunable_at_ms])
                    .chain(self.unbondings().map(|u| u.unlock_ms))
                    .chain(self.expiries())
                    .filter(|at| *at > now && *at < now.saturating_add(self.horizon_ms))
                    .collect();
                moments.sort_unstable();
                moments.dedup();
                moments.truncate(8);
                if moments.is_empty() {
                    now
                } else {
                    *self.rng.pick(&moments) - self.rng.below(2)
                }
            }
            90..97 => self.later(120_000),
            97..99 => self.later(3_600_000),
            _ if self.rng.chance(20) => self.later(2 * DAY),
            _ => now,
        };
        self.w.now = to.max(now);
    }

    /// When tokens begin, and when they, their delegates and their keys end.
    fn expiries(&self) -> impl Iterator<Item = u64> {
        self.w.state.tokens().flat_map(|token| {
            let held = token.delegates.values().chain(token.session_keys.values());
            let own = [token.not_before_ms, token.expires_at_ms];
            held.copied().chain(own).collect::<Vec<_>>()
        })
    }

    fn unbondings(&self) -> impl Iterator<Item = Unbonding> {
        let tokens = self.w.state.tokens().flat_map(|t| t.unbondings.clone());
        let executors = self.w.state.executors().flat_map(|e| e.unbondings.clone());
        tokens.chain(executors)
    }
}

/// Which calls happened and which codes, so that the generator cannot go blind unnoticed.
#[derive(Default)]
pub(super) struct Seen {
    calls: BTreeMap<&'static str, (u64, u64)>,
    codes: BTreeMap<u8, u64>,
}

impl Seen {
    pub(super) fn note(&mut self, call: &Call, outcome: Result<&[Event], Abort>) {
        let entry = self.calls.entry(call.name()).or_default();
        match outcome {
            Ok(events) => {
                entry.0 += 1;
                for event in events {
                    if let Event::K8sRequestRejected(e) = event {
                        *self.codes.entry(e.code).or_default() += 1;
                    }
                }
            }
            Err(abort) => {
                entry.1 += 1;
                if let Some(code) = abort.code() {
                    *self.codes.entry(code.number()).or_default() += 1;
                }
            }
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (name, (ok, refused)) in &other.calls {
            let entry = self.calls.entry(name).or_default();
            entry.0 += ok;
            entry.1 += refused;
        }
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
    }

    /// Which calls never went through or were never refused, and which codes were never given.
    pub(super) fn gaps(&self) -> Vec<String> {
        assert_eq!(self.calls.len(), 37, "{:?}", self.calls.keys());
        let mut gaps = Vec::new();
        for (name, (ok, refused)) in &self.calls {
            let refuses_by_event = name.starts_with("try_") || *name == "record_refusal";
            if *ok == 0 {
                gaps.push(format!("{name} went through"));
            }
            if *refused == 0 && !refuses_by_event {
                gaps.push(format!("{name} was refused"));
            }
        }
        let missing = |code: &&Code| !self.codes.contains_key(&code.number());
        gaps.extend(
            Code::ALL
                .iter()
                .filter(missing)
                .map(|code| code.name().to_owned()),
        );
        gaps
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

/// A number from the environment.
pub(super) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seed of `DAAS_TEST_SEED`, or one that nobody had before.
pub(super) fn seed() -> u64 {
    number("DAAS_TEST_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap()
    })
}

/// Shown when the test fails, or with `--nocapture`.
#[allow(clippy::print_stderr)]
pub(super) fn report(text: &str) {
    eprintln!("{text}");
}

/// A day in milliseconds.
pub(super) const DAY: u64 = 24 * 3_600_000;
