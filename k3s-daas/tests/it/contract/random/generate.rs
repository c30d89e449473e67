//! Plausible calls: of objects that are there, with keys that fit.

use k3s_daas::contract::Call;
use k3s_daas::types::{
    Address, ByteString, ClusterPolicy, Digest, ExecutorId, HexBytes, MIST_PER_SUI, PolicyRule,
    RequestId, TokenId,
};
use k3s_daas::wire::{
    AnchorMessage, AnswerMessage, Content, Delegate, IntentKind, RequestMessage,
    SessionCloseMessage, SignedAnswer,
};

use super::super::world::{request_id, signer};
use super::{DAY, Generator};

/// `plausible` chooses among so many.
pub(in super::super) const KINDS: u64 = 1_000;

impl Generator {
    pub(super) fn focus(&mut self, index: usize) {
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

    pub(super) fn anyone(&mut self) -> Address {
        *self.rng.pick(&[
            self.w.admin,
            self.w.owner,
            self.w.gateway,
            self.w.operator,
            self.w.stranger,
        ])
    }

    pub(super) fn executor(&mut self) -> ExecutorId {
        *self.rng.pick(&self.w.executors)
    }

    /// Mostly one that is not active, if there is one.
    fn inactive(&mut self) -> ExecutorId {
        let inactive: Vec<ExecutorId> = self
            .w
            .cluster()
            .executors
            .iter()
            .filter(|entry| !entry.active)
            .map(|entry| entry.id)
            .collect();
        if inactive.is_empty() || self.rng.chance(20) {
            self.executor()
        } else {
            *self.rng.pick(&inactive)
        }
    }

    /// A request that the token holds, mostly one that is not answered.
    pub(super) fn held(&mut self) -> Option<RequestId> {
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

    pub(super) fn plausible(&mut self) -> (Address, Call) {
        let (cluster, token, cap) = (self.w.cluster, self.w.token, self.w.cap);
        let admin = self.w.admin_of(cluster);
        let (owner, operator) = (self.w.owner, self.w.operator);
        let anyone = self.anyone();
        let executor = self.executor();
        let sui = self.rng.below(4) * MIST_PER_SUI + self.rng.below(MIST_PER_SUI);
        let kind = match self.theme.clone() {
            Some(theme) if self.rng.chance(60) => {
                theme.start + self.rng.below(theme.end - theme.start)
            }
            _ => self.rng.below(KINDS),
        };
        match kind {
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
            750..770 => {
                if !self.w.token().unbondings.is_empty() || self.rng.chance(20) {
                    return (owner, Call::WithdrawStake { token });
                }
            }
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
            795..805 => {
                let unbondings = &self.w.state.executor(executor).unwrap().unbondings;
                if !unbondings.is_empty() || self.rng.chance(20) {
                    return (operator, Call::WithdrawExecutorStake { executor });
                }
            }
            805..820 => {
                let delegate = self.anyone();
                let expires_at_ms = self.later(2 * DAY);
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
                let expires_at_ms = self.later(5 * DAY);
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
                    executor: self.inactive(),
                };
                return (admin, call);
            }
            919..923 => {
                let call = Call::RemoveExecutor {
                    cap,
                    cluster,
                    executor: self.inactive(),
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
                    from_ms: now.saturating_sub(self.rng.below(1_000)),
                    to_ms: now.saturating_sub(self.rng.below(1_000)),
                };
                let sender = if self.rng.chance(70) { owner } else { anyone };
                return (sender, call);
            }
        }
        self.request_call()
    }

    pub(super) fn request_call(&mut self) -> (Address, Call) {
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

    pub(super) fn request(&mut self) -> RequestMessage {
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
            deadline_ms: self.later(120_000).saturating_add(1),
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
    pub(super) fn bend(&mut self, request: &mut RequestMessage) {
        let now = self.w.now;
        match self.rng.below(14) {
            0 => request.deadline_ms = now,
            1 => request.deadline_ms = now.saturating_add(3_600_000),
            2 => request.deadline_ms = now.saturating_add(3_600_001),
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

    pub(super) fn answer(&mut self) -> Option<Call> {
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

    pub(super) fn close(&mut self) -> Option<Call> {
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

    pub(super) fn prune(&mut self) -> Call {
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

    pub(super) fn session_key(&mut self) -> HexBytes {
        let key = match self.rng.below(4) {
            0 => self.w.session.clone(),
            n => signer(&format!("session {n} {}", self.rng.below(20))),
        };
        HexBytes::from(key.public_key().as_ref())
    }

    pub(super) fn rules(&mut self) -> Vec<PolicyRule> {
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
            // Too long, or too much to look at.
            if self.rng.chance(50) {
                rules[0].resource_names = vec!["x".repeat(32_768)];
            } else {
                rules[0].non_resource_urls = vec![String::new(); 256];
            }
        }
        rules
    }

    pub(super) fn issue(&mut self) -> Call {
        let rules = self.rules();
        let now = self.w.now;
        let not_before_ms = now
            .saturating_sub(self.rng.below(10_000))
            .saturating_add(self.rng.below(10_000));
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
            expires_at_ms: self.later(40 * DAY),
            delegates: vec![Delegate {
                delegate: self.w.gateway,
                expires_at_ms: self.later(20 * DAY).saturating_add(1),
            }],
        }
    }

    pub(super) fn policy(&mut self, wild: bool) -> ClusterPolicy {
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

    pub(super) fn registration(&mut self) -> Call {
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
                3 => facts.timestamp_ms = facts.timestamp_ms.saturating_add(60_001),
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

    pub(super) fn slash(&mut self, executor: ExecutorId) -> Call {
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
        match self.rng.below(10) {
            0 => second.status = 201,
            1 => second.envelope_len = 6,
            2 => second.time_ms = second.time_ms.wrapping_add(1),
            3 => second.sealed_hash = HexBytes(vec![2; 32]),
            4 => second.epoch = 1,
            5 => second.status = 600,
            6 => first.status = 199,
            7 => second.envelope_len = 0,
            8 => drop(first.envelope_hash.0.pop()),
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

    pub(super) fn anchor(&mut self, executor: ExecutorId) -> Call {
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
            0 => {
                message.first += 1;
                message.last += 1;
            }
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
}
