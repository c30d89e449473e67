//! Sequences of calls of the contract: its books balance, its bounds hold, and its events give its state.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use k3s_daas::contract::{Abort, Bound, Call, Context, Effects, NoAttestation, OneByOne, State};
use k3s_daas::crypto::{Ed25519Signer, blake2b256};
use k3s_daas::types::{
    Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId,
    HexBytes, MIST_PER_SUI, PolicyRule, RequestId, TokenId,
};
use k3s_daas::wire::{
    AnchorMessage, AnswerMessage, AssignmentMessage, Content, Delegate, Deployment, Event,
    IntentKind, RequestMessage, SessionCloseMessage, SignedAnswer,
};

use super::PLANTED;

/// Each call is a byte for its kind and some for its arguments.
pub fn run(data: &[u8]) {
    let mut chain = OPENING.with(|opening| opening.get_or_init(Chain::open).clone());
    let mut input = Input(data);
    for _ in 0..MAX_CALLS {
        let Some(kind) = input.next() else {
            break;
        };
        chain.step(kind, &mut input);
        chain.check();
    }
    chain.replay();
}

thread_local! {
    static OPENING: OnceCell<Chain> = const { OnceCell::new() };
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let byte = self.next().unwrap_or_default();
        from[usize::from(byte) % from.len()]
    }

    fn is_set(&mut self) -> bool {
        self.pick(&[false, true])
    }
}

/// A cluster with two executors and two tokens, and what its events said.
#[derive(Clone)]
struct Chain {
    state: State,
    events: Vec<Event>,
    now_ms: u64,
    calls: u64,
    paid_in: u128,
    paid_out: u128,
    cluster: ClusterId,
    cap: AdminCapId,
    tokens: Vec<TokenId>,
    executors: Vec<ExecutorId>,
    assigned: BTreeMap<(TokenId, ByteString), Assigned>,
    seen: BTreeSet<(TokenId, ByteString)>,
}

/// A request as the events have it.
#[derive(Clone)]
struct Assigned {
    executor: ExecutorId,
    epoch: u64,
    claims: u8,
    lease_ends_ms: u64,
    is_read: bool,
    is_over: bool,
}

impl Chain {
    fn open() -> Self {
        let mut chain = Self {
            state: State::untracked(),
            events: Vec::new(),
            now_ms: START_MS,
            calls: 0,
            paid_in: 0,
            paid_out: 0,
            cluster: ClusterId::ZERO,
            cap: AdminCapId::ZERO,
            tokens: Vec::new(),
            executors: Vec::new(),
            assigned: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        let policy = ClusterPolicy::default();
        let (name, chain_id) = ("fuzz".into(), CHAIN);
        chain.apply(
            ADMIN,
            &Call::CreateCluster {
                name,
                chain: chain_id,
                policy,
            },
        );
        for key in 0..2 {
            let call = chain.registration(key);
            chain.apply(ADMIN, &call);
        }
        for executor in chain.executors.clone() {
            let (cluster, amount) = (chain.cluster, MIST_PER_SUI);
            let call = Call::DepositExecutorStake {
                cluster,
                executor,
                amount,
            };
            chain.apply(OPERATOR, &call);
        }
        for _ in 0..2 {
            let call = chain.issue(START_MS + 3_600_000 * 24 * 60);
            chain.apply(ADMIN, &call);
        }
        for token in chain.tokens.clone() {
            let amount = 2 * MIST_PER_SUI;
            chain.apply(OWNER, &Call::DepositStake { token, amount });
        }
        assert_eq!((chain.tokens.len(), chain.executors.len()), (2, 2));
        chain
    }

    fn step(&mut self, kind: u8, input: &mut Input<'_>) {
        let sender = input.pick(&[OWNER, ADMIN, GATEWAY, OPERATOR, STRANGER]);
        let (cluster, cap) = (self.cluster, self.cap);
        let token = input.pick(&self.tokens.clone());
        let executor = input.pick(&self.executors.clone());
        let amount = AMOUNTS;
        let call = match kind % 32 {
            0 => return self.pass_time(input),
            1 => Call::DepositStake {
                token,
                amount: input.pick(&amount),
            },
            2 => Call::Unstake {
                cluster,
                token,
                amount: input.pick(&amount),
            },
            3 => Call::WithdrawStake { token },
            4 => Call::DepositExecutorStake {
                cluster,
                executor,
                amount: input.pick(&amount),
            },
            5 => Call::UnstakeExecutor {
                cluster,
                executor,
                amount: input.pick(&amount),
            },
            6 => Call::WithdrawExecutorStake { executor },
            7 => Call::WithdrawInsurance {
                cap,
                cluster,
                amount: input.pick(&amount),
            },
            8 | 9 => self.request(token, input),
            10 => self.claim(token, executor, input),
            11 => self.release(token, input),
            12 | 13 => self.answer(token, input),
            14 => {
                let request_ids = vec![request_id(input), request_id(input)];
                Call::PruneResponses { token, request_ids }
            }
            15 => Call::SetPolicy {
                cap,
                cluster,
                policy: policy(input),
            },
            16 => self.issue(self.now_ms + input.pick(&TIMES)),
            17 => Call::RevokeToken {
                cap,
                cluster,
                token,
            },
            18 => Call::AddDelegate {
                token,
                delegate: input.pick(&[GATEWAY, STRANGER]),
                expires_at_ms: self.now_ms + input.pick(&TIMES),
            },
            19 => Call::RemoveDelegate {
                token,
                delegate: input.pick(&[GATEWAY, STRANGER]),
            },
            20 => Call::RegisterSessionKey {
                token,
                key: session_key(),
                expires_at_ms: self.now_ms + input.pick(&TIMES),
            },
            21 => Call::RemoveSessionKey {
                token,
                key: session_key(),
            },
            22 => Call::SetRules {
                cap,
                cluster,
                token,
                rules: rules(input),
            },
            23 => self.registration(input.pick(&[0, 1, 2, 3])),
            24 => Call::ActivateExecutor {
                cap,
                cluster,
                executor,
            },
            25 => Call::DeactivateExecutor {
                cap,
                cluster,
                executor,
            },
            26 => Call::RemoveExecutor {
                cap,
                cluster,
                executor,
            },
            27 => self.equivocation(token, executor, input),
            28 => self.anchor(executor, input),
            29 => self.close_session(token, input),
            30 => self.record_refusals(token, input),
            _ => match bcs::from_bytes(input.0) {
                Ok(call) => call,
                Err(_) => return,
            },
        };
        self.apply(sender, &call);
    }

    fn pass_time(&mut self, input: &mut Input<'_>) {
        self.now_ms = self.now_ms.saturating_add(input.pick(&TIMES));
    }

    // Calls.

    fn issue(&self, expires_at_ms: u64) -> Call {
        Call::IssueToken {
            cap: self.cap,
            cluster: self.cluster,
            owner: OWNER,
            rules: rules(&mut Input(&[])),
            groups: Vec::new(),
            not_before_ms: START_MS,
            expires_at_ms,
            delegates: vec![Delegate {
                delegate: GATEWAY,
                expires_at_ms,
            }],
        }
    }

    fn registration(&self, key: u8) -> Call {
        Call::RegisterExecutor {
            cap: self.cap,
            cluster: self.cluster,
            operator: OPERATOR,
            signing_key: HexBytes(signer(key).public_key().as_bytes().to_vec()),
            encryption_key: HexBytes(vec![7; 32]),
            attestation: HexBytes::default(),
        }
    }

    fn request(&self, token: TokenId, input: &mut Input<'_>) -> Call {
        let request = RequestMessage {
            request_id: request_id(input),
            method: input
                .pick(&["GET", "POST", "DELETE", "PATCH", "HEAD"])
                .into(),
            path: input.pick(&PATHS).into(),
            query: if input.is_set() {
                Content::plain("watch=1")
            } else {
                Content::none()
            },
            payload: if input.is_set() {
                Content::hashed([3; 32], 100)
            } else {
                Content::none()
            },
            priority: input.pick(&[2, 1, 4, 0]),
            deadline_ms: self.now_ms.saturating_add(input.pick(&TIMES)),
            ..RequestMessage::default()
        };
        let cluster = self.cluster;
        let signed = |kind| {
            let bytes = self.intent(kind, token).signed_bytes(&request);
            HexBytes(session_signer().sign_now(&bytes).as_bytes().to_vec())
        };
        let public_key = session_key();
        match input.next().unwrap_or_default() % 6 {
            0 => Call::ExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            },
            1 => Call::TryExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            },
            2 => Call::ExecuteSignedCommand {
                cluster,
                token,
                signature: signed(IntentKind::Request),
                request,
                public_key,
            },
            3 => Call::OpenSession {
                cluster,
                token,
                request,
            },
            4 => Call::OpenSignedSession {
                cluster,
                token,
                signature: signed(IntentKind::SessionOpen),
                request,
                public_key,
            },
            _ => Call::RecordRefusal {
                cluster,
                token,
                request,
            },
        }
    }

    fn claim(&self, token: TokenId, executor: ExecutorId, input: &mut Input<'_>) -> Call {
        let request_id = request_id(input);
        let message = self.assignment(token, &request_id, 1);
        Call::ClaimRequest {
            cluster: self.cluster,
            token,
            signature: self.sign(IntentKind::Claim, token, executor, &message),
            request_id,
            executor,
        }
    }

    fn release(&self, token: TokenId, input: &mut Input<'_>) -> Call {
        let request_id = request_id(input);
        let executor = self.executor_of(token, &request_id, input);
        let message = self.assignment(token, &request_id, 0);
        Call::ReleaseRequest {
            cluster: self.cluster,
            token,
            signature: self.sign(IntentKind::Release, token, executor, &message),
            request_id,
            executor,
            epoch: message.epoch,
        }
    }

    fn answer(&self, token: TokenId, input: &mut Input<'_>) -> Call {
        let request_id = request_id(input);
        let executor = self.executor_of(token, &request_id, input);
        let SignedAnswer { message, signature } =
            self.signed_answer(token, executor, request_id, input);
        Call::StoreK8sResponse {
            cluster: self.cluster,
            token,
            request_id: message.request_id,
            executor,
            epoch: message.epoch,
            status: message.status,
            envelope_hash: message.envelope_hash,
            envelope_len: message.envelope_len,
            sealed: ByteString::default(),
            time_ms: message.time_ms,
            signature: HexBytes(signature.as_bytes().to_vec()),
        }
    }

    fn equivocation(&self, token: TokenId, executor: ExecutorId, input: &mut Input<'_>) -> Call {
        let id = request_id(input);
        Call::SlashEquivocation {
            cluster: self.cluster,
            executor,
            token,
            first: self.signed_answer(token, executor, id.clone(), input),
            second: self.signed_answer(token, executor, id, input),
        }
    }

    fn anchor(&self, executor: ExecutorId, input: &mut Input<'_>) -> Call {
        let known = self.state.executor(executor);
        let first = known.map_or(1, |known| known.anchored_last.saturating_add(1));
        let count = input.pick(&[1, 5, 0, u64::MAX]);
        let message = AnchorMessage {
            executor,
            previous_root: known.map_or(Digest::ZERO, |known| known.anchored_root),
            root: blake2b256(&[&first.to_le_bytes()]),
            first,
            last: first.wrapping_add(count).wrapping_sub(1),
            count,
        };
        Call::AnchorReads {
            cluster: self.cluster,
            executor,
            signature: self.sign(IntentKind::Anchor, TokenId::ZERO, executor, &message),
            message,
        }
    }

    fn close_session(&self, token: TokenId, input: &mut Input<'_>) -> Call {
        let request_id = request_id(input);
        let executor = self.executor_of(token, &request_id, input);
        let AssignmentMessage {
            request_id,
            digest,
            epoch,
        } = self.assignment(token, &request_id, 0);
        let message = SessionCloseMessage {
            request_id,
            digest,
            epoch,
            bytes_in: 1,
            bytes_out: 2,
            reason: input.pick(&[0, 3, 4]),
            transcript_hash: HexBytes::default(),
        };
        Call::CloseSession {
            cluster: self.cluster,
            token,
            executor,
            signature: self.sign(IntentKind::SessionClose, token, executor, &message),
            message,
        }
    }

    fn record_refusals(&self, token: TokenId, input: &mut Input<'_>) -> Call {
        Call::RecordRefusals {
            cluster: self.cluster,
            token,
            code: input.pick(&[6, 0, 13, 14]),
            count: input.pick(&[1, 0]),
            from_ms: self.now_ms.saturating_sub(input.pick(&TIMES)),
            to_ms: self.now_ms,
        }
    }

    fn signed_answer(
        &self,
        token: TokenId,
        executor: ExecutorId,
        request_id: ByteString,
        input: &mut Input<'_>,
    ) -> SignedAnswer {
        let assignment = self.assignment(token, &request_id, 0);
        let message = AnswerMessage {
            request_id,
            digest: assignment.digest,
            epoch: assignment.epoch,
            status: input.pick(&[200, 504, 409, 199, 600]),
            envelope_hash: HexBytes(vec![input.pick(&[8, 9]); 32]),
            envelope_len: input.pick(&[100, 0, u64::MAX]),
            sealed_hash: AnswerMessage::hash_of_sealed(&[]),
            time_ms: self.now_ms,
        };
        let bytes = self
            .intent(IntentKind::Answer, token)
            .signed_bytes(&message);
        let signature = self.signer_of(executor).sign_now(&bytes);
        SignedAnswer { message, signature }
    }

    fn assignment(&self, token: TokenId, request_id: &ByteString, later: u64) -> AssignmentMessage {
        let held = RequestId::from_bytes(request_id)
            .ok()
            .and_then(|id| self.state.request(token, id));
        AssignmentMessage {
            request_id: request_id.clone(),
            digest: held.map_or(Digest::ZERO, |held| held.digest),
            epoch: held.map_or(0, |held| held.epoch.saturating_add(later)),
        }
    }

    /// Who has a request, most of the time.
    fn executor_of(&self, token: TokenId, id: &ByteString, input: &mut Input<'_>) -> ExecutorId {
        let held = self.assigned.get(&(token, id.clone()));
        match held {
            Some(held) if !input.is_set() => held.executor,
            _ => input.pick(&self.executors),
        }
    }

    fn intent(&self, kind: IntentKind, token: TokenId) -> k3s_daas::wire::Intent {
        let deployment = Deployment {
            chain: CHAIN,
            package: PACKAGE,
        };
        deployment.intent(kind, self.cluster, token)
    }

    fn sign<M: serde::Serialize>(
        &self,
        kind: IntentKind,
        token: TokenId,
        executor: ExecutorId,
        message: &M,
    ) -> HexBytes {
        let bytes = self.intent(kind, token).signed_bytes(message);
        HexBytes(
            self.signer_of(executor)
                .sign_now(&bytes)
                .as_bytes()
                .to_vec(),
        )
    }

    fn signer_of(&self, executor: ExecutorId) -> Ed25519Signer {
        let key = self.state.executor(executor).map(|known| known.signing_key);
        let found = (0..4)
            .map(signer)
            .find(|signer| Some(signer.public_key()) == key);
        found.unwrap_or_else(|| signer(9))
    }

    // The contract, and what must hold of it.

    fn apply(&mut self, sender: Address, call: &Call) {
        self.calls += 1;
        let (calls, mut objects) = (self.calls, 0_u64);
        let mut fresh_id = || {
            objects += 1;
            Address::new(*blake2b256(&[&calls.to_le_bytes(), &objects.to_le_bytes()]).as_bytes())
        };
        let mut context = Context {
            package: PACKAGE,
            sender,
            now_ms: self.now_ms,
            fresh_id: &mut fresh_id,
            attestation: &NoAttestation,
            signatures: &OneByOne,
        };
        let Ok(effects) = execute(&mut self.state, call, &mut context) else {
            return;
        };
        assert_eq!(effects.debit, call.deposit(), "{call:?}");
        self.paid_in += u128::from(effects.debit);
        let credits = effects
            .credits
            .iter()
            .map(|(_, amount)| u128::from(*amount));
        self.paid_out += credits.sum::<u128>();
        for event in &effects.events {
            self.note(sender, event);
        }
        self.events.extend(effects.events);
    }

    fn note(&mut self, sender: Address, event: &Event) {
        let now_ms = self.now_ms;
        match event {
            Event::ClusterCreated(e) if self.cluster == ClusterId::ZERO => {
                (self.cluster, self.cap) = (e.cluster, e.admin_cap);
            }
            Event::SealTokenIssued(e) => self.tokens.push(e.token),
            Event::ExecutorRegistered(e) => self.executors.push(e.executor),
            Event::K8sApiRequest(e) => {
                let token = self.state.token(e.seal_token_id).expect("it was admitted");
                assert!(token.is_valid(now_ms) && now_ms < e.deadline_ms, "{e:?}");
                let may = token.is_holder(sender, now_ms) || !token.session_keys.is_empty();
                assert!(may, "{e:?}");
                let cluster = self.state.cluster(e.cluster).expect("it was admitted");
                let is_staked = e.is_read || token.bonded >= cluster.policy.min_write_stake;
                assert!(is_staked, "{e:?}");
                let key = (e.seal_token_id, e.request_id.clone());
                assert!(self.seen.insert(key.clone()), "twice: {e:?}");
                let assigned = Assigned {
                    executor: e.nautilus_endpoint,
                    epoch: 0,
                    claims: 0,
                    lease_ends_ms: e.lease_ends_ms,
                    is_read: e.is_read,
                    is_over: false,
                };
                self.assigned.insert(key, assigned);
            }
            Event::K8sRequestClaimed(e) => {
                let held = self.held(e.token, &e.request_id);
                assert!(
                    now_ms >= held.lease_ends_ms && held.claims < Bound::CLAIMS,
                    "{e:?}"
                );
                assert!(e.epoch == held.epoch + 1 && !held.is_over, "{e:?}");
                held.claims += 1;
                (held.executor, held.epoch) = (e.executor, e.epoch);
                held.lease_ends_ms = e.lease_ends_ms;
            }
            Event::K8sRequestReleased(e) => {
                let held = self.held(e.token, &e.request_id);
                assert!(held.is_read || held.claims == 0, "{e:?}");
                assert!(held.executor == e.released_by && !held.is_over, "{e:?}");
                (held.executor, held.epoch) = (e.executor, e.epoch);
                held.lease_ends_ms = e.lease_ends_ms;
            }
            Event::K8sRequestProcessed(e) => {
                let held = self.held(e.token, &e.request_id);
                assert!(!held.is_over, "answered twice: {e:?}");
                assert!(
                    (held.executor, held.epoch) == (e.executor, e.epoch),
                    "{e:?}"
                );
                let is_unknown = e.status_code == 504;
                assert!(held.is_read || held.claims == 0 || is_unknown, "{e:?}");
                held.is_over = true;
            }
            Event::SessionClosed(e) => self.held(e.token, &e.request_id).is_over = true,
            Event::ResponsesPruned(e) => {
                for id in &e.request_ids {
                    let key = (e.token, id.clone());
                    assert!(self.assigned.remove(&key).is_some(), "{e:?}");
                    // From here on its ID is new again.
                    self.seen.remove(&key);
                }
            }
            _ => {}
        }
    }

    fn held(&mut self, token: TokenId, id: &ByteString) -> &mut Assigned {
        let held = self.assigned.get_mut(&(token, id.clone()));
        held.expect("it was admitted and not pruned")
    }

    /// What must hold after every call.
    fn check(&self) {
        let mut held = 0_u128;
        for cluster in self.state.clusters() {
            held += u128::from(cluster.insurance);
            assert!(cluster.executors.len() <= Bound::EXECUTORS);
            for entry in &cluster.executors {
                let known = self.state.executor(entry.id).expect("it is listed");
                assert_eq!(entry.stake, known.bonded);
                assert!(!(known.slashed && entry.active));
            }
        }
        for executor in self.state.executors() {
            held += u128::from(executor.stake_total());
            assert!(executor.unbondings.len() <= Bound::UNBONDINGS);
        }
        for token in self.state.tokens() {
            held += u128::from(token.stake_total());
            assert!(token.unbondings.len() <= Bound::UNBONDINGS);
            assert!(token.delegates.len() <= Bound::DELEGATES);
            assert!(token.session_keys.len() <= Bound::SESSION_KEYS);
            let open = self.state.requests(token.id);
            let open = open
                .filter(|(_, request)| request.outcome.is_none())
                .count();
            assert_eq!(token.unanswered, open as u64);
            assert!(token.unanswered <= Bound::UNANSWERED);
        }
        assert_eq!(self.paid_in, held + self.paid_out, "MIST in, MIST out");
    }

    /// The events alone give the state.
    fn replay(&self) {
        let mut state = State::untracked();
        for event in &self.events {
            state.evolve(event);
        }
        assert!(state == self.state, "another state by its events");
    }
}

fn execute(state: &mut State, call: &Call, context: &mut Context<'_>) -> Result<Effects, Abort> {
    let mut effects = state.apply(call, context)?;
    let is_much = |(_, amount): &(Address, u64)| *amount >= MIST_PER_SUI;
    if PLANTED && matches!(call, Call::WithdrawStake { .. }) && effects.credits.iter().any(is_much)
    {
        // Paid twice.
        effects.credits.extend(effects.credits.clone());
    }
    Ok(effects)
}

fn rules(input: &mut Input<'_>) -> Vec<PolicyRule> {
    let rule = PolicyRule::builder()
        .with_verbs([input.pick(&["*", "get"])])
        .with_api_groups([""])
        .with_resources([input.pick(&["pods", "secrets", "pods/exec"])])
        .with_namespaces([input.pick(&["a", "*"])])
        .build();
    vec![rule.expect("a rule")]
}

fn policy(input: &mut Input<'_>) -> ClusterPolicy {
    ClusterPolicy {
        min_write_stake: input.pick(&AMOUNTS),
        min_executor_stake: input.pick(&AMOUNTS),
        unbonding_ms: input.pick(&TIMES),
        lease_ms: input.pick(&TIMES),
        ..ClusterPolicy::default()
    }
}

fn request_id(input: &mut Input<'_>) -> ByteString {
    let number = input.next().unwrap_or_default() % 8;
    format!("01a0b1c2-d3e4-7f05-8000-{number:012x}").into()
}

fn signer(key: u8) -> Ed25519Signer {
    thread_local! {
        static KNOWN: Vec<Ed25519Signer> =
            (0..10).map(|key| Ed25519Signer::from_seed([key; 32])).collect();
    }
    KNOWN.with(|known| known[usize::from(key)].clone())
}

fn session_signer() -> Ed25519Signer {
    signer(8)
}

fn session_key() -> HexBytes {
    HexBytes(session_signer().public_key().as_bytes().to_vec())
}

const ADMIN: Address = Address::new([1; 32]);
const OWNER: Address = Address::new([2; 32]);
const GATEWAY: Address = Address::new([3; 32]);
const OPERATOR: Address = Address::new([4; 32]);
const STRANGER: Address = Address::new([5; 32]);
const PACKAGE: Address = Address::new([6; 32]);
const CHAIN: ChainId = ChainId::new([9; 32]);
const START_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 3_600_000;
const TIMES: [u64; 10] = [
    1_000,
    0,
    1,
    10_000,
    60_000,
    3_600_000,
    DAY_MS,
    7 * DAY_MS,
    31 * DAY_MS,
    u64::MAX / 4,
];
const AMOUNTS: [u64; 9] = [
    MIST_PER_SUI,
    0,
    1,
    MIST_PER_SUI / 100,
    MIST_PER_SUI / 100 - 1,
    2 * MIST_PER_SUI,
    1_000_000_000_000_000,
    u64::MAX / 2,
    u64::MAX,
];
const PATHS: [&str; 6] = [
    "/api/v1/namespaces/a/pods",
    "/api/v1/namespaces/a/pods/web",
    "/api/v1/namespaces/b/secrets/key",
    "/api/v1/namespaces/a/pods/web/exec",
    "/version",
    "/api/v1/../pods",
];
/// Calls of one input.
const MAX_CALLS: usize = 48;
