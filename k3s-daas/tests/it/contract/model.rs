//! The five invariants over random calls.
//!
//! Calls are mostly plausible: they name objects that are there, with keys that fit, at moments where
//! something happens; some are then damaged. `DAAS_TEST_SEED` repeats a run, `DAAS_TEST_STEPS` makes it
//! longer or shorter.

use std::collections::{BTreeMap, BTreeSet};

use k3s_daas::contract::{
    Abort, Call, Cluster, Code, Effects, ExecutorState, Object, Outcome, Request, SealToken, State,
    Unbonding,
};
use k3s_daas::crypto::{Signature, sha256};
use k3s_daas::types::{
    Address, AdminCapId, ByteString, ClusterId, ClusterPolicy, Digest, ExecutorId, HexBytes,
    MIST_PER_SUI, PolicyRule, RequestId, TokenId,
};
use k3s_daas::wire::{
    AnchorMessage, AnswerMessage, Content, Delegate, Event, IntentKind, RequestMessage,
    SessionCloseMessage, SignedAnswer,
};

use super::oracle::{self, Asker, Verdict};
use super::world::{START, World, address, request_id, signature_of, signer};

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
    eprintln!("DAAS_TEST_SEED={seed} DAAS_TEST_STEPS={steps}");
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
    eprintln!("{seen}");
    if steps >= STEPS {
        seen.assert_wide();
    }
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

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        // SplitMix64: any seed will do, also 0.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
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

    // Calls.

    fn focus(&mut self, index: usize) {
        let focus = self.clusters[index].clone();
        self.w.cluster = focus.cluster;
        self.w.cap = focus.cap;
        if !focus.tokens.is_empty() {
            // Mostly one that is valid.
            let now = self.w.now;
            let valid: Vec<TokenId> = focus
                .tokens
                .iter()
                .copied()
                .filter(|id| self.w.state.token(*id).unwrap().is_valid(now))
                .collect();
            let from = if valid.is_empty() || self.rng.chance(7) {
                &focus.tokens
            } else {
                &valid
            };
            self.w.token = *self.rng.pick(from);
        }
        self.w.executors = focus.executors;
    }

    fn anyone(&mut self) -> Address {
        *self.rng.pick(&[
            self.w.admin,
            self.w.owner,
            self.w.gateway,
            self.w.operator,
            self.w.stranger,
        ])
    }

    fn executor(&mut self) -> ExecutorId {
        *self.rng.pick(&self.w.executors)
    }

    /// A request that the token holds, mostly one that is not answered.
    fn held(&mut self) -> Option<RequestId> {
        let wanted = self.rng.chance(80);
        let ids: Vec<RequestId> = self
            .w
            .state
            .requests(self.w.token)
            .filter(|(_, request)| !wanted || request.outcome.is_none())
            .map(|(id, _)| id)
            .collect();
        (!ids.is_empty()).then(|| *self.rng.pick(&ids))
    }

    fn plausible(&mut self) -> (Address, Call) {
        let (cluster, token, cap) = (self.w.cluster, self.w.token, self.w.cap);
        let admin = self.w.admin_of(cluster);
        let (owner, operator) = (self.w.owner, self.w.operator);
        let anyone = self.anyone();
        let executor = self.executor();
        let sui = self.rng.below(4) * MIST_PER_SUI + self.rng.below(MIST_PER_SUI);
        match self.rng.below(1_000) {
            0..330 => return self.request_call(),
            330..480 => {
                if let Some(call) = self.answer() {
                    return (anyone, call);
                }
            }
            480..570 => {
                if let Some(id) = self.held() {
                    let request_id = ByteString(id.to_wire());
                    let call = Call::ClaimRequest {
                        cluster,
                        token,
                        request_id,
                        executor,
                        signature: HexBytes::default(),
                    };
                    return (anyone, call);
                }
            }
            570..620 => {
                if let Some(id) = self.held() {
                    let held = self.w.state.request(token, id).unwrap();
                    let call = Call::ReleaseRequest {
                        cluster,
                        token,
                        request_id: ByteString(id.to_wire()),
                        executor: held.executor,
                        epoch: held.epoch,
                        signature: HexBytes::default(),
                    };
                    return (anyone, call);
                }
            }
            620..650 => {
                if let Some(call) = self.close() {
                    return (anyone, call);
                }
            }
            650..710 => return (anyone, self.prune()),
            710..730 => {
                return (anyone, Call::DepositStake { token, amount: sui });
            }
            730..750 => {
                let bonded = self.w.token().bonded;
                let amount = match self.rng.below(4) {
                    0 => bonded,
                    1 => MIST_PER_SUI / 100,
                    _ => sui,
                };
                let call = Call::Unstake {
                    cluster,
                    token,
                    amount,
                };
                return (owner, call);
            }
            750..770 => return (owner, Call::WithdrawStake { token }),
            770..785 => {
                let call = Call::DepositExecutorStake {
                    cluster,
                    executor,
                    amount: sui,
                };
                return (anyone, call);
            }
            785..795 => {
                let bonded = self.w.state.executor(executor).unwrap().bonded;
                let amount = if self.rng.chance(30) { bonded } else { sui };
                let call = Call::UnstakeExecutor {
                    cluster,
                    executor,
                    amount,
                };
                return (operator, call);
            }
            795..805 => return (operator, Call::WithdrawExecutorStake { executor }),
            805..820 => {
                let delegate = self.anyone();
                let expires_at_ms = self.w.now + self.rng.below(2 * DAY);
                let call = Call::AddDelegate {
                    token,
                    delegate,
                    expires_at_ms,
                };
                return (owner, call);
            }
            820..825 => {
                let delegate = self.anyone();
                return (owner, Call::RemoveDelegate { token, delegate });
            }
            825..840 => {
                let key = self.session_key();
                let expires_at_ms = self.w.now + self.rng.below(5 * DAY);
                let call = Call::RegisterSessionKey {
                    token,
                    key,
                    expires_at_ms,
                };
                return (owner, call);
            }
            840..843 => {
                let key = self.session_key();
                return (owner, Call::RemoveSessionKey { token, key });
            }
            843..853 => return (admin, self.issue()),
            853..858 => {
                let call = Call::RevokeToken {
                    cap,
                    cluster,
                    token,
                };
                return (admin, call);
            }
            858..868 => {
                let rules = self.rules();
                let call = Call::SetRules {
                    cap,
                    cluster,
                    token,
                    rules,
                };
                return (admin, call);
            }
            868..878 => {
                let policy = self.policy(true);
                let call = Call::SetPolicy {
                    cap,
                    cluster,
                    policy,
                };
                return (admin, call);
            }
            878..880 => return (admin, Call::MigrateCluster { cap, cluster }),
            880..882 => return (anyone, Call::MigrateToken { cluster, token }),
            882..894 => return (admin, self.registration()),
            894..904 => {
                let call = Call::DeactivateExecutor {
                    cap,
                    cluster,
                    executor,
                };
                return (admin, call);
            }
            904..919 => {
                let call = Call::ActivateExecutor {
                    cap,
                    cluster,
                    executor,
                };
                return (admin, call);
            }
            919..923 => {
                let call = Call::RemoveExecutor {
                    cap,
                    cluster,
                    executor,
                };
                return (admin, call);
            }
            923..935 => return (anyone, self.slash(executor)),
            935..955 => return (anyone, self.anchor(executor)),
            955..965 => {
                let insurance = self.w.cluster().insurance;
                let amount = if self.rng.chance(50) {
                    self.rng.below(insurance.saturating_add(1))
                } else {
                    insurance
                };
                let call = Call::WithdrawInsurance {
                    cap,
                    cluster,
                    amount,
                };
                return (admin, call);
            }
            965..968 if self.clusters.len() < 4 => {
                let policy = self.policy(false);
                let chain = self.w.chain;
                let call = Call::CreateCluster {
                    name: "another".into(),
                    chain,
                    policy,
                };
                return (anyone, call);
            }
            _ => {
                let now = self.w.now;
                let call = Call::RecordRefusals {
                    cluster,
                    token,
                    code: u8::try_from(self.rng.below(15)).unwrap(),
                    count: self.rng.below(5),
                    from_ms: now - self.rng.below(1_000),
                    to_ms: now - self.rng.below(1_000),
                };
                let sender = if self.rng.chance(70) { owner } else { anyone };
                return (sender, call);
            }
        }
        self.request_call()
    }

    fn request_call(&mut self) -> (Address, Call) {
        let request = self.request();
        let (cluster, token) = (self.w.cluster, self.w.token);
        let (public_key, signature) = (HexBytes::default(), HexBytes::default());
        let sender = match self.rng.below(10) {
            0..5 => self.w.owner,
            5..9 => self.w.gateway,
            _ => self.anyone(),
        };
        let call = match self.rng.below(100) {
            0..30 => Call::ExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            },
            30..45 => Call::TryExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            },
            45..65 => Call::ExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            },
            65..75 => Call::TryExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            },
            75..83 => Call::OpenSession {
                cluster,
                token,
                request,
            },
            83..90 => Call::OpenSignedSession {
                cluster,
                token,
                request,
                public_key,
                signature,
            },
            _ => Call::RecordRefusal {
                cluster,
                token,
                request,
            },
        };
        (sender, call)
    }

    fn request(&mut self) -> RequestMessage {
        const GOOD: [(&str, &str, &str); 22] = [
            ("GET", "/api/v1/namespaces/default/pods", ""),
            ("GET", "/api/v1/namespaces/default/pods", "watch=true"),
            (
                "GET",
                "/api/v1/namespaces/default/pods",
                "limit=500&watch=0",
            ),
            ("GET", "/api/v1/namespaces/default/pods/web", ""),
            (
                "GET",
                "/api/v1/namespaces/default/pods",
                "fieldSelector=metadata.name%3Dweb&watch=",
            ),
            ("GET", "/api/v1/pods", ""),
            ("GET", "/api/v1/watch/namespaces/default/pods", ""),
            ("POST", "/api/v1/namespaces/default/pods", "dryRun=All"),
            ("PUT", "/api/v1/namespaces/default/pods/web", ""),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/default/deployments/web",
                "fieldManager=kubectl+edit",
            ),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/default/deployments/web/scale",
                "",
            ),
            ("DELETE", "/api/v1/namespaces/default/pods/web", ""),
            ("DELETE", "/api/v1/namespaces/default/pods", ""),
            ("GET", "/api/v1/namespaces/default/secrets/key", ""),
            ("GET", "/api/v1/namespaces/default", ""),
            ("PUT", "/api/v1/namespaces/default/finalize", ""),
            ("GET", "/api/v1/nodes/a/proxy/metrics", ""),
            (
                "GET",
                "/api/v1/namespaces/default/pods/web/log",
                "follow=true",
            ),
            ("GET", "/apis", ""),
            ("GET", "/openapi/v3/apis/apps/v1", "hash=A%2FB"),
            ("GET", "/metrics", ""),
            (
                "POST",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                "",
            ),
        ];
        const BAD: [(&str, &str, &str); 12] = [
            ("HEAD", "/api/v1/namespaces/default/pods", ""),
            ("get", "/api/v1/namespaces/default/pods", ""),
            ("GET", "/api/v1/namespaces/default//pods", ""),
            ("GET", "/api/v1/namespaces/../default/pods", ""),
            ("GET", "/api/v1/namespaces/default%2Fpods", ""),
            ("GET", "/api/v1/namespaces/default/%70ods", ""),
            ("POST", "/api/v1/watch/pods", ""),
            ("GET", "/api/v1/proxy/nodes/a", ""),
            ("GET", "/api/v1/namespaces/default/pods", "watch=0&watch=1"),
            ("GET", "/api/v1/namespaces/default/pods", "a;b"),
            ("GET", "/api/v1/namespaces/default/pods", "a=%zz"),
            ("GET", "api", ""),
        ];
        let (method, path, query) = if self.rng.chance(92) {
            *self.rng.pick(&GOOD)
        } else {
            *self.rng.pick(&BAD)
        };
        let mut request = RequestMessage {
            request_id: request_id(self.next_id),
            method: method.into(),
            path: path.into(),
            query: Content::plain(query),
            priority: 1 + u8::try_from(self.rng.below(4)).unwrap(),
            deadline_ms: self.w.now + 1 + self.rng.below(120_000),
            ..RequestMessage::default()
        };
        self.next_id += 1;
        if self.rng.chance(20) {
            request.path = "/api/v1/namespaces/default/pods/web/exec".into();
            request.query = Content::hashed([1; 32], 1 + self.rng.below(8_192));
        }
        if self.rng.chance(40) {
            request.payload = match self.rng.below(3) {
                0 => Content::sealed(vec![1; 1 + usize::try_from(self.rng.below(64)).unwrap()]),
                _ => Content::hashed([2; 32], 1 + self.rng.below(3 * 1_048_576)),
            };
        }
        if self.rng.chance(40) {
            request.reply_key = HexBytes(vec![3; 32]);
        }
        if self.rng.chance(30) {
            request.credential_id = HexBytes(vec![4; 16]);
            request.header_names = vec!["accept".into(), "user-agent".into()];
            request.header_values = vec!["application/json".into(), "kubectl".into()];
        }
        if self.rng.chance(4) {
            self.bend(&mut request);
        }
        if self.rng.chance(6) && self.next_id > 10 {
            // An ID of before: held, answered or pruned.
            if let (true, Some(id)) = (self.rng.chance(50), self.held()) {
                request.request_id = ByteString(id.to_wire());
                return request;
            }
            request.request_id =
                request_id(self.next_id - 1 - self.rng.below(60.min(self.next_id - 1)));
        }
        request
    }

    /// A field to one of its bounds or over it.
    fn bend(&mut self, request: &mut RequestMessage) {
        let now = self.w.now;
        match self.rng.below(14) {
            0 => request.deadline_ms = now,
            1 => request.deadline_ms = now + 3_600_000,
            2 => request.deadline_ms = now + 3_600_001,
            3 => request.deadline_ms = u64::MAX,
            4 => request.priority = *self.rng.pick(&[0, 1, 4, 5, 255]),
            5 => request.payload = Content::sealed(vec![0; 16_000]),
            6 => request.payload = Content::sealed(vec![0; 16_001]),
            7 => request.payload = Content::hashed([0; 32], 3 * 1_048_576 + self.rng.below(2)),
            8 => request.payload = Content::plain("secret"),
            9 => request.reply_key = HexBytes(vec![0; 31]),
            10 => request.credential_id = HexBytes(vec![0; 17]),
            11 => request.header_names.reverse(),
            12 => request.request_id.0[14] = b'4',
            _ => request.query.length += 1,
        }
    }

    fn answer(&mut self) -> Option<Call> {
        let id = self.held()?;
        let held = self.w.state.request(self.w.token, id).unwrap().clone();
        let sealed = if held.has_reply_key && self.rng.chance(50) {
            vec![u8::try_from(self.rng.below(256)).unwrap(); 40]
        } else {
            Vec::new()
        };
        let status = match self.rng.below(10) {
            _ if held.is_claimed_write() && self.rng.chance(80) => 504,
            0 => 504,
            1 => *self.rng.pick(&[199, 600, 101, 0]),
            _ => *self.rng.pick(&[200, 201, 404, 409, 500, 599]),
        };
        Some(Call::StoreK8sResponse {
            cluster: self.w.cluster,
            token: self.w.token,
            request_id: ByteString(id.to_wire()),
            executor: held.executor,
            epoch: held.epoch,
            status,
            envelope_hash: HexBytes(vec![u8::try_from(self.rng.below(256)).unwrap(); 32]),
            envelope_len: 1 + self.rng.below(100_000),
            sealed: ByteString(sealed),
            time_ms: self.w.now,
            signature: HexBytes::default(),
        })
    }

    fn close(&mut self) -> Option<Call> {
        let sessions: Vec<RequestId> = self
            .w
            .state
            .requests(self.w.token)
            .filter(|(_, request)| request.session)
            .map(|(id, _)| id)
            .collect();
        let id = if sessions.is_empty() || self.rng.chance(10) {
            self.held()?
        } else {
            *self.rng.pick(&sessions)
        };
        let held = self.w.state.request(self.w.token, id).unwrap();
        let (executor, digest, epoch) = (held.executor, held.digest, held.epoch);
        Some(Call::CloseSession {
            cluster: self.w.cluster,
            token: self.w.token,
            executor,
            message: SessionCloseMessage {
                request_id: ByteString(id.to_wire()),
                digest,
                epoch,
                bytes_in: self.rng.next(),
                bytes_out: self.rng.next(),
                reason: u8::try_from(self.rng.below(5)).unwrap(),
                transcript_hash: HexBytes(vec![5; 32]),
            },
            signature: HexBytes::default(),
        })
    }

    fn prune(&mut self) -> Call {
        let token = self.w.token;
        let now = self.w.now;
        let strict = self.rng.chance(70);
        let mut request_ids: Vec<ByteString> = self
            .w
            .state
            .requests(token)
            .filter(|(_, request)| !strict || request.prunable_at_ms <= now)
            .map(|(id, _)| ByteString(id.to_wire()))
            .take(20)
            .collect();
        if self.rng.chance(10) {
            request_ids.push(request_id(self.rng.below(self.next_id)));
        }
        if self.rng.chance(3) {
            request_ids.resize(513, "nothing".into());
        }
        Call::PruneResponses { token, request_ids }
    }

    fn session_key(&mut self) -> HexBytes {
        let key = match self.rng.below(4) {
            0 => self.w.session.clone(),
            n => signer(&format!("session {n} {}", self.rng.below(20))),
        };
        HexBytes::from(key.public_key().as_ref())
    }

    fn rules(&mut self) -> Vec<PolicyRule> {
        let rule = |verbs: &[&str], resources: &[&str], namespace: &str| PolicyRule {
            verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
            api_groups: vec!["*".into()],
            resources: resources.iter().map(|r| (*r).to_owned()).collect(),
            namespaces: vec![namespace.into()],
            ..PolicyRule::default()
        };
        let mut rules = vec![
            rule(&["*"], &["pods", "pods/exec", "pods/log"], "default"),
            rule(&["get", "list", "watch"], &["*"], "default"),
            rule(&["*"], &["*"], "*"),
            rule(&["patch", "update"], &["*/scale", "deployments"], "default"),
            PolicyRule {
                resource_names: vec!["web".into()],
                ..rule(&["*"], &["pods"], "*")
            },
            PolicyRule {
                verbs: vec!["get".into()],
                non_resource_urls: vec!["/met*".into()],
                ..PolicyRule::default()
            },
        ];
        let keep = 1 + self.rng.below(3);
        while rules.len() as u64 > keep {
            let index = usize::try_from(self.rng.below(rules.len() as u64)).unwrap();
            rules.remove(index);
        }
        if self.rng.chance(3) {
            rules[0].resource_names = vec!["x".repeat(32_768)];
        }
        rules
    }

    fn issue(&mut self) -> Call {
        let rules = self.rules();
        let now = self.w.now;
        let not_before_ms = now.saturating_sub(self.rng.below(10_000)) + self.rng.below(10_000);
        let group = *self
            .rng
            .pick(&["team", "team", "team", "team", "system:masters"]);
        Call::IssueToken {
            cap: self.w.cap,
            cluster: self.w.cluster,
            owner: self.w.owner,
            rules,
            groups: vec![group.into()],
            not_before_ms,
            expires_at_ms: now + self.rng.below(40 * DAY),
            delegates: vec![Delegate {
                delegate: self.w.gateway,
                expires_at_ms: now + 1 + self.rng.below(20 * DAY),
            }],
        }
    }

    fn policy(&mut self, wild: bool) -> ClusterPolicy {
        let mut policy = ClusterPolicy {
            min_write_stake: *self
                .rng
                .pick(&[0, MIST_PER_SUI, MIST_PER_SUI, 3 * MIST_PER_SUI]),
            min_executor_stake: *self.rng.pick(&[0, 0, 0, MIST_PER_SUI]),
            unbonding_ms: *self.rng.pick(&[0, 3_600_000, DAY, 7 * DAY, 30 * DAY]),
            lease_ms: *self.rng.pick(&[1_000, 10_000, 600_000]),
            response_ttl_ms: (0..4).map(|_| self.rng.below(3_600_000)).collect(),
            ..ClusterPolicy::default()
        };
        if self.rng.chance(20) {
            policy.response_ttl_ms = vec![0; 4];
        }
        if wild && self.rng.chance(25) {
            policy.pcrs = vec![HexBytes(vec![1; 48]); 3];
            policy.require_attestation = self.rng.chance(70);
        }
        if wild && self.rng.chance(10) {
            policy.lease_ms = *self.rng.pick(&[0, 999, 600_001, u64::MAX]);
        }
        policy
    }

    fn registration(&mut self) -> Call {
        let n = self.rng.below(40);
        let key = signer(&format!("{} {n}", self.w.cluster));
        let mut call = self.w.registration(&key);
        if self.rng.chance(40) {
            let cluster = self.w.cluster();
            let mut nonce = cluster.id.as_bytes().to_vec();
            nonce.extend(cluster.registrations.to_le_bytes());
            let mut bound = self.w.operator.as_bytes().to_vec();
            bound.push(32);
            bound.extend(key.public_key().as_ref());
            bound.push(32);
            bound.extend([7; 32]);
            bound.push(0);
            let hash = |bytes: &[u8]| k3s_daas::crypto::blake2b256(&[bytes]).as_bytes().to_vec();
            let mut facts = k3s_daas::contract::AttestedFacts {
                timestamp_ms: self.w.now,
                pcrs: [vec![1; 48], vec![1; 48], vec![1; 48]],
                nonce: hash(&nonce),
                user_data: hash(&bound),
            };
            match self.rng.below(10) {
                0 => facts.pcrs[0] = vec![0; 48],
                1 | 2 => facts.pcrs[0] = vec![2; 48],
                3 => facts.timestamp_ms += 60_001,
                4 => facts.nonce[0] ^= 1,
                5 => facts.user_data[0] ^= 1,
                _ => {}
            }
            self.w.attested = Some(facts);
            if let Call::RegisterExecutor { attestation, .. } = &mut call {
                *attestation = HexBytes(b"genuine".to_vec());
            }
        }
        call
    }

    fn slash(&mut self, executor: ExecutorId) -> Call {
        let mut first = AnswerMessage {
            request_id: request_id(self.rng.below(self.next_id)),
            digest: Digest::new([1; 32]),
            epoch: 0,
            status: 200,
            envelope_hash: HexBytes(vec![1; 32]),
            envelope_len: 5,
            sealed_hash: HexBytes::default(),
            time_ms: self.w.now,
        };
        let mut second = first.clone();
        match self.rng.below(6) {
            0 => second.status = 201,
            1 => second.envelope_len = 6,
            2 => second.time_ms += 1,
            3 => second.sealed_hash = HexBytes(vec![2; 32]),
            4 => second.epoch = 1,
            _ => first.digest = Digest::ZERO,
        }
        let sign = |message: AnswerMessage| {
            let intent = self.w.intent(IntentKind::Answer, self.w.token);
            let signer = &self.w.signers[&executor];
            let signature = signer.sign_now(&intent.signed_bytes(&message));
            SignedAnswer { message, signature }
        };
        Call::SlashEquivocation {
            cluster: self.w.cluster,
            executor,
            token: self.w.token,
            first: sign(first),
            second: sign(second),
        }
    }

    fn anchor(&mut self, executor: ExecutorId) -> Call {
        let state = self.w.state.executor(executor).unwrap();
        let first = state.anchored_last + 1;
        let previous_root = state.anchored_root;
        let count = 1 + self.rng.below(50);
        let mut message = AnchorMessage {
            executor,
            previous_root,
            root: Digest::new([u8::try_from(self.rng.below(256)).unwrap(); 32]),
            first,
            last: first + count - 1,
            count,
        };
        match self.rng.below(10) {
            0 => message.first += 1,
            1 => message.count = 0,
            _ => {}
        }
        Call::AnchorReads {
            cluster: self.w.cluster,
            executor,
            message,
            signature: HexBytes::default(),
        }
    }

    /// Something that an attacker, or a bug, would do to a call. Half of them are signed again.
    fn damage(&mut self, sender: &mut Address, call: &mut Call) {
        match self.rng.below(10) {
            0..3 => {
                *sender = self.anyone();
                return;
            }
            3 => {
                if let Some(signature) = signature_of(call) {
                    match self.rng.below(3) {
                        0 => signature.0.truncate(63),
                        1 => *signature = HexBytes(vec![0; 64]),
                        _ => {
                            let at = self.rng.below(signature.len().max(1) as u64);
                            if let Some(byte) = signature.0.get_mut(usize::try_from(at).unwrap()) {
                                *byte ^= 1;
                            }
                        }
                    }
                    return;
                }
            }
            4 => {
                // The other cluster's or token's call.
                let other = usize::try_from(self.rng.below(self.clusters.len() as u64)).unwrap();
                let focus = self.clusters[other].clone();
                retarget(call, &focus, self.rng.below(2) == 0, self.rng.next());
            }
            _ => self.alter(call),
        }
        if self.rng.chance(50) {
            self.w.sign(call);
        }
    }

    fn alter(&mut self, call: &mut Call) {
        let executor = self.executor();
        let amount = *self.rng.pick(&[
            0,
            1,
            MIST_PER_SUI / 100 - 1,
            u64::MAX,
            u64::MAX - 10 * MIST_PER_SUI,
        ]);
        let moment = *self
            .rng
            .pick(&[0, self.w.now, self.w.now.saturating_sub(1), u64::MAX]);
        let key = match self.rng.below(3) {
            0 => HexBytes(vec![0; 32]),
            1 => HexBytes(vec![7; 31]),
            _ => HexBytes(super::world::off_curve_key().to_vec()),
        };
        let roll = self.rng.next();
        match call {
            Call::ExecuteKubectlCommandWithId { request, .. }
            | Call::TryExecuteKubectlCommandWithId { request, .. }
            | Call::OpenSession { request, .. }
            | Call::RecordRefusal { request, .. }
            | Call::ExecuteSignedCommand { request, .. }
            | Call::TryExecuteSignedCommand { request, .. }
            | Call::OpenSignedSession { request, .. } => self.bend(request),
            Call::ClaimRequest { executor: e, .. } => *e = executor,
            Call::ReleaseRequest {
                executor: e, epoch, ..
            } => {
                if roll % 2 == 0 {
                    *e = executor;
                } else {
                    *epoch = epoch.wrapping_add(1);
                }
            }
            Call::StoreK8sResponse {
                executor: e,
                epoch,
                status,
                envelope_hash,
                envelope_len,
                sealed,
                ..
            } => match roll % 6 {
                0 => *e = executor,
                1 => *epoch = epoch.wrapping_sub(1),
                2 => *status = 200,
                3 => envelope_hash.0.push(0),
                4 => *envelope_len = 0,
                _ => sealed.0 = vec![1; 16_001],
            },
            Call::CloseSession {
                executor: e,
                message,
                ..
            } => match roll % 3 {
                0 => *e = executor,
                1 => message.epoch = message.epoch.wrapping_add(1),
                _ => message.digest = Digest::ZERO,
            },
            Call::DepositStake { amount: a, .. }
            | Call::Unstake { amount: a, .. }
            | Call::DepositExecutorStake { amount: a, .. }
            | Call::UnstakeExecutor { amount: a, .. }
            | Call::WithdrawInsurance { amount: a, .. } => *a = amount,
            Call::AddDelegate {
                delegate,
                expires_at_ms,
                ..
            } => match roll % 3 {
                0 => *delegate = address("owner"),
                1 => *delegate = Address::new([u8::try_from(roll % 251).unwrap(); 32]),
                _ => *expires_at_ms = moment,
            },
            Call::RegisterSessionKey {
                key: k,
                expires_at_ms,
                ..
            } => {
                if roll % 2 == 0 {
                    *k = key;
                } else {
                    *expires_at_ms = moment;
                }
            }
            Call::RemoveSessionKey { key: k, .. } => *k = key,
            Call::RegisterExecutor {
                signing_key,
                encryption_key,
                attestation,
                ..
            } => match roll % 3 {
                0 => *signing_key = key,
                1 => *encryption_key = key,
                _ => *attestation = HexBytes(b"forged".to_vec()),
            },
            Call::IssueToken {
                expires_at_ms,
                delegates,
                owner,
                groups,
                ..
            } => match roll % 5 {
                0 => *expires_at_ms = moment,
                1 => delegates.push(delegates[0]),
                2 => *owner = delegates[0].delegate,
                3 => groups.resize(33, "team".into()),
                _ => delegates[0].expires_at_ms = moment,
            },
            Call::AnchorReads { message, .. } => match roll % 3 {
                0 => message.last = u64::MAX,
                1 => message.previous_root = Digest::new([1; 32]),
                _ => message.executor = executor,
            },
            Call::SlashEquivocation { first, .. } => first.signature = Signature::new([0; 64]),
            Call::CreateCluster { name, .. } => name.0.clear(),
            _ => {}
        }
    }

    // Applying, and what must hold.

    fn apply(&mut self, sender: Address, call: Call) {
        let verdict = self.judged(sender, &call);
        let sampled = self.rng.chance(12) || verdict.is_some() && self.rng.chance(20);
        let before = sampled.then(|| self.w.state.clone());
        let policies: BTreeMap<ClusterId, ClusterPolicy> = self
            .w
            .state
            .clusters()
            .map(|c| (c.id, c.policy.clone()))
            .collect();
        let clusters: Vec<Cluster> = self.w.state.clusters().cloned().collect();
        let emitted = self.w.events.len();
        let outcome = self.w.call(sender, &call);
        self.kept.keep(&mut self.w.state);
        let entry = self.seen.calls.entry(call.name()).or_default();
        match &outcome {
            Ok(effects) => {
                entry.0 += 1;
                self.expect_verdict(&call, verdict.as_ref(), effects);
                for event in &effects.events {
                    let cluster = clusters.iter().find(|c| c.id == event.cluster());
                    self.expect_event(event, &call, cluster, &policies);
                }
                self.expect_money(&call, sender, effects);
                let changes = effects.events.iter().any(|event| {
                    !matches!(
                        event,
                        Event::K8sRequestRejected(_) | Event::K8sRequestsRejected(_)
                    )
                });
                if let (false, Some(before)) = (changes, &before) {
                    assert_eq!(self.w.state, *before, "{call:?}");
                }
            }
            Err(abort) => {
                entry.1 += 1;
                if let Abort::Refused(code) = abort {
                    *self.seen.codes.entry(code.number()).or_default() += 1;
                }
                assert_eq!(self.w.events.len(), emitted);
                if let Some(before) = &before {
                    assert_eq!(self.w.state, *before, "refused, and yet: {call:?}");
                }
                if let Some(verdict) = &verdict {
                    let code = abort.code().map(Code::number);
                    assert_eq!(code, Some(verdict.code), "{call:?}");
                }
            }
        }
        if self.w.events.len() % 64 == 0 {
            self.expect_conservation();
        }
        if self.rng.below(400) == 0 {
            self.expect_follower();
            self.expect_exits();
        }
    }

    /// What the oracle says of a request; nothing for other calls and where an object is missing.
    fn judged(&self, sender: Address, call: &Call) -> Option<Verdict> {
        let none: &[u8] = &[];
        let (cluster, token, request, key, signature, kind) = match call {
            Call::ExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            }
            | Call::TryExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            }
            | Call::RecordRefusal {
                cluster,
                token,
                request,
            } => (cluster, token, request, none, none, 1),
            Call::OpenSession {
                cluster,
                token,
                request,
            } => (cluster, token, request, none, none, 6),
            Call::ExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            }
            | Call::TryExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => (cluster, token, request, &public_key[..], &signature[..], 1),
            Call::OpenSignedSession {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => (cluster, token, request, &public_key[..], &signature[..], 6),
            _ => return None,
        };
        let asker = match call {
            Call::ExecuteSignedCommand { .. }
            | Call::TryExecuteSignedCommand { .. }
            | Call::OpenSignedSession { .. } => Asker::Key(key, signature),
            _ => Asker::Sender(sender),
        };
        Some(oracle::judge(
            &self.w.state,
            self.w.state.cluster(*cluster)?,
            self.w.state.token(*token)?,
            request,
            &asker,
            kind,
            self.w.package,
            self.w.now,
        ))
    }

    /// Invariant 1, first half: what was admitted or rejected is what the oracle says.
    fn expect_verdict(&mut self, call: &Call, verdict: Option<&Verdict>, effects: &Effects) {
        let Some(verdict) = verdict else {
            return;
        };
        let twin = matches!(
            call,
            Call::TryExecuteKubectlCommandWithId { .. } | Call::TryExecuteSignedCommand { .. }
        );
        let records = matches!(call, Call::RecordRefusal { .. });
        match &effects.events[..] {
            [] => assert!(records && verdict.code == 0, "{call:?}"),
            [Event::K8sRequestRejected(e)] => {
                assert!(twin || records);
                assert_eq!(e.code, verdict.code, "{call:?}");
                assert_eq!(e.digest, verdict.digest);
                *self.seen.codes.entry(e.code).or_default() += 1;
            }
            [Event::K8sApiRequest(e)] => {
                assert!(!records, "{call:?}");
                assert_eq!(verdict.code, 0, "{call:?}");
                assert_eq!(e.digest, verdict.digest);
                let derived = verdict.derived.as_ref().unwrap();
                let said = (
                    e.api_group.to_string(),
                    e.api_version.to_string(),
                    e.namespace.to_string(),
                    e.resource_type.to_string(),
                    e.subresource.to_string(),
                    e.name.to_string(),
                    e.verb.to_string(),
                    e.is_read,
                );
                let d = derived.clone();
                let expected = (
                    d.group,
                    d.version,
                    d.namespace,
                    d.resource,
                    d.subresource,
                    d.name,
                    d.verb,
                    d.is_read,
                );
                assert_eq!(said, expected, "{call:?}");
                assert_eq!(Some(e.nautilus_endpoint), verdict.executor);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Invariants 1 and 2 and the rules of leases, from the events and what was noted of earlier ones.
    fn expect_event(
        &mut self,
        event: &Event,
        call: &Call,
        cluster: Option<&Cluster>,
        policies: &BTreeMap<ClusterId, ClusterPolicy>,
    ) {
        let now = self.w.now;
        let key = |token: TokenId, id: &ByteString| (token, RequestId::from_bytes(id).unwrap());
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
            Event::K8sApiRequest(e) => {
                assert!(self.admitted.insert(e.digest), "admitted twice: {call:?}");
                let policy = &policies[&e.cluster];
                let lease_ends = if e.is_read {
                    now + policy.lease_ms
                } else {
                    e.deadline_ms
                };
                assert_eq!((e.epoch, e.timestamp_ms), (0, now));
                assert_eq!(
                    e.requester,
                    self.w.state.token(e.seal_token_id).unwrap().owner
                );
                let track = Track {
                    digest: e.digest,
                    is_read: e.is_read,
                    session: e.session,
                    priority: e.priority,
                    deadline: e.deadline_ms,
                    executor: e.nautilus_endpoint,
                    epoch: 0,
                    lease_ends,
                    claims: 0,
                    prunable: e.deadline_ms + policy.response_ttl_ms.iter().max().unwrap(),
                    ended: false,
                };
                let held = self
                    .tracks
                    .insert(key(e.seal_token_id, &e.request_id), track);
                assert!(held.is_none(), "an ID that is held: {call:?}");
            }
            Event::K8sRequestClaimed(e) => {
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended && !track.session && track.claims < 2);
                assert!(now >= track.lease_ends, "claimed during a lease: {call:?}");
                assert!(!track.is_read || now < track.deadline);
                assert_eq!(e.epoch, track.epoch + 1);
                assert!(oracle::eligible(cluster.unwrap(), e.executor));
                track.claims += 1;
                track.epoch = e.epoch;
                track.executor = e.executor;
                track.lease_ends = now + policies[&e.cluster].lease_ms;
            }
            Event::K8sRequestReleased(e) => {
                let token = self.w.state.token(e.token).unwrap();
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended);
                assert!(
                    track.is_read || track.claims == 0,
                    "a claimed write released"
                );
                assert_eq!(e.released_by, track.executor);
                assert_eq!(e.epoch, track.epoch + 1);
                let cluster = cluster.unwrap();
                let next =
                    oracle::best_but(cluster, token, &e.request_id, e.epoch, Some(track.executor));
                assert_eq!(e.executor, next.unwrap_or(track.executor));
                track.epoch = e.epoch;
                track.executor = e.executor;
                track.lease_ends = if track.is_read {
                    now + policies[&e.cluster].lease_ms
                } else {
                    track.deadline
                };
            }
            Event::K8sRequestProcessed(e) => {
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended, "answered twice: {call:?}");
                assert_eq!((e.executor, e.epoch), (track.executor, track.epoch));
                assert_eq!(e.digest, track.digest);
                assert!(oracle::eligible(cluster.unwrap(), e.executor));
                assert!(
                    track.is_read || track.claims == 0 || e.status_code == 504,
                    "a claimed write with an outcome: {call:?}"
                );
                assert!(self.answered.insert((e.token, e.digest)));
                self.sealed
                    .insert(key(e.token, &e.request_id), e.sealed_hash.clone());
                track.ended = true;
                let ttl = policies[&e.cluster].response_ttl_ms[usize::from(track.priority) - 1];
                track.prunable = now.max(track.deadline) + ttl;
                assert_eq!(e.expires_at_ms, track.prunable);
            }
            Event::SessionClosed(e) => {
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended && track.session);
                assert_eq!((e.executor, e.epoch), (track.executor, track.epoch));
                track.ended = true;
                let ttl = policies[&e.cluster].response_ttl_ms[usize::from(track.priority) - 1];
                track.prunable = now.max(track.deadline) + ttl;
            }
            Event::ResponsesPruned(e) => {
                assert!(!e.request_ids.is_empty());
                for id in &e.request_ids {
                    let track = self.tracks.remove(&key(e.token, id)).unwrap();
                    assert!(now >= track.prunable, "pruned too early: {call:?}");
                    assert!(
                        now >= track.deadline,
                        "its bytes could pass again: {call:?}"
                    );
                    self.sealed.remove(&key(e.token, id));
                }
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

    /// Who pays and who is paid.
    fn expect_money(&mut self, call: &Call, sender: Address, effects: &Effects) {
        assert_eq!(effects.debit, call.deposit());
        let credits = &effects.credits;
        match (&effects.events[..], call) {
            ([Event::StakeDeposited(e)], _) => {
                assert_eq!(effects.debit, e.amount);
                *self.balance.entry(e.token).or_default() += i128::from(e.amount);
            }
            ([Event::StakeWithdrawn(e)], _) => {
                let owner = self.w.state.token(e.token).unwrap().owner;
                assert_eq!(sender, owner);
                assert_eq!(*credits, vec![(owner, e.amount)]);
                assert!(e.amount > 0);
                *self.balance.entry(e.token).or_default() -= i128::from(e.amount);
            }
            ([Event::ExecutorStakeWithdrawn(e)], _) => {
                let operator = self.w.state.executor(e.executor).unwrap().operator;
                assert_eq!(sender, operator);
                assert_eq!(*credits, vec![(operator, e.amount)]);
            }
            ([Event::ExecutorSlashed(e)], _) => {
                let total = e.reward + e.insured;
                assert_eq!(e.reward, total / 10);
                let paid: u64 = credits.iter().map(|(_, amount)| amount).sum();
                assert_eq!(paid, e.reward);
                assert!(credits.iter().all(|(to, _)| *to == sender));
            }
            ([Event::InsuranceWithdrawn(e)], _) => {
                assert_eq!(*credits, vec![(self.w.admin_of(e.cluster), e.amount)]);
            }
            (_, Call::DepositExecutorStake { .. }) => {}
            _ => assert!(effects.debit == 0 && credits.is_empty(), "{call:?}"),
        }
    }

    /// Invariant 3: MIST in = MIST out.
    fn expect_conservation(&self) {
        let sum = |bonded: u64, unbondings: &[Unbonding]| {
            unbondings
                .iter()
                .map(|u| u128::from(u.amount))
                .sum::<u128>()
                + u128::from(bonded)
        };
        let state = &self.w.state;
        let tokens: u128 = state.tokens().map(|t| sum(t.bonded, &t.unbondings)).sum();
        let executors: u128 = state
            .executors()
            .map(|e| sum(e.bonded, &e.unbondings))
            .sum();
        let insurance: u128 = state.clusters().map(|c| u128::from(c.insurance)).sum();
        assert_eq!(
            self.w.debits,
            self.w.credits + tokens + executors + insurance
        );
        // Nobody's stake but an equivocating executor's ever goes to anyone else.
        for token in state.tokens() {
            let balance = self.balance.get(&token.id).copied().unwrap_or_default();
            let held = sum(token.bonded, &token.unbondings);
            assert_eq!(balance, i128::try_from(held).unwrap());
        }
        for cluster in state.clusters() {
            for entry in &cluster.executors {
                let executor = state.executor(entry.id).unwrap();
                assert_eq!(entry.stake, executor.bonded, "the mirror shows the bond");
            }
        }
        // The count of the unanswered is theirs.
        for token in state.tokens() {
            let open = state
                .requests(token.id)
                .filter(|(_, r)| r.outcome.is_none());
            assert_eq!(token.unanswered, open.count() as u64);
        }
    }

    /// Invariant 4: the events, as the chain has them, give the state but for the sealed bytes.
    fn expect_follower(&mut self) {
        for event in &self.w.events[self.followed..] {
            let bytes = event.to_move_bcs();
            let read = Event::from_move_bcs(event.name(), &bytes).unwrap().unwrap();
            assert_eq!(read, *event);
            self.follower.evolve(&read);
        }
        self.followed = self.w.events.len();
        let mut state = self.w.state.clone();
        for ((token, id), hash) in &self.sealed {
            let mut request = state.request(*token, *id).unwrap().clone();
            let Some(Outcome::Answered(record)) = &mut request.outcome else {
                panic!()
            };
            let stored = if record.sealed.is_empty() {
                Vec::new()
            } else {
                sha256(&[&record.sealed]).to_vec()
            };
            assert_eq!(stored, hash[..]);
            record.sealed = ByteString::default();
            state.load(Object::Request(*token, *id, request));
        }
        assert_eq!(state, self.follower);
        assert_eq!(
            self.kept,
            Kept::all(&self.w.state),
            "something was not touched"
        );
    }

    /// Invariant 5, second half: from here, the owner gets all stake out.
    fn expect_exits(&self) {
        for token in self.w.state.tokens() {
            super::exit::expect_exit(&self.w, token.id);
        }
    }

    fn end(&mut self) {
        self.expect_conservation();
        self.expect_follower();
        self.expect_exits();
        // All at once, from nothing, as well as bit by bit.
        let mut again = State::untracked();
        for event in &self.w.events {
            again.evolve(event);
        }
        assert_eq!(again, self.follower);
    }
}

fn retarget(call: &mut Call, focus: &Focus, whole: bool, roll: u64) {
    let Some(other) = focus.tokens.first() else {
        return;
    };
    match call {
        Call::ExecuteKubectlCommandWithId { cluster, token, .. }
        | Call::TryExecuteKubectlCommandWithId { cluster, token, .. }
        | Call::ExecuteSignedCommand { cluster, token, .. }
        | Call::TryExecuteSignedCommand { cluster, token, .. }
        | Call::OpenSession { cluster, token, .. }
        | Call::OpenSignedSession { cluster, token, .. }
        | Call::RecordRefusal { cluster, token, .. }
        | Call::RecordRefusals { cluster, token, .. }
        | Call::ClaimRequest { cluster, token, .. }
        | Call::ReleaseRequest { cluster, token, .. }
        | Call::StoreK8sResponse { cluster, token, .. }
        | Call::CloseSession { cluster, token, .. }
        | Call::Unstake { cluster, token, .. }
        | Call::RevokeToken { cluster, token, .. }
        | Call::SetRules { cluster, token, .. }
        | Call::MigrateToken { cluster, token } => {
            *cluster = focus.cluster;
            if whole {
                *token = *other;
            }
        }
        Call::UnstakeExecutor {
            cluster, executor, ..
        }
        | Call::DepositExecutorStake {
            cluster, executor, ..
        }
        | Call::SlashEquivocation {
            cluster, executor, ..
        }
        | Call::AnchorReads {
            cluster, executor, ..
        }
        | Call::ActivateExecutor {
            cluster, executor, ..
        }
        | Call::DeactivateExecutor {
            cluster, executor, ..
        }
        | Call::RemoveExecutor {
            cluster, executor, ..
        } => {
            if roll % 2 == 0 || focus.executors.is_empty() {
                *cluster = focus.cluster;
            } else {
                *executor = focus.executors[0];
            }
        }
        Call::SetPolicy { cluster, .. }
        | Call::WithdrawInsurance { cluster, .. }
        | Call::IssueToken { cluster, .. }
        | Call::RegisterExecutor { cluster, .. }
        | Call::MigrateCluster { cluster, .. } => *cluster = focus.cluster,
        Call::PruneResponses { token, .. }
        | Call::DepositStake { token, .. }
        | Call::WithdrawStake { token } => *token = *other,
        _ => {}
    }
}

const DAY: u64 = 24 * 3_600_000;
