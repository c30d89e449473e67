//! A small deployment to test calls in: one cluster, two executors, one staked token.

use std::cell::RefCell;
use std::collections::BTreeMap;

use k3s_daas::contract::{
    Abort, Attestation, AttestedFacts, Call, Cluster, Code, Context, Effects, ExecutorState,
    Object, OneByOne, Request, SealToken, State,
};
use k3s_daas::crypto::{Ed25519Signer, Signature, blake2b256};
use k3s_daas::types::{
    Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId,
    HexBytes, MIST_PER_SUI, PolicyRule, RequestId, TokenId,
};
use k3s_daas::wire::{
    AnswerMessage, AssignmentMessage, Delegate, Deployment, Event, Intent, IntentKind,
    RequestMessage, SignedAnswer,
};

use super::twin::{Deed, Facts, Input, Recording};

/// When every world begins.
pub(super) const START: u64 = 1_800_000_000_000;
/// When the token of a world expires.
pub(super) const EXPIRY: u64 = START + 100 * 24 * 3_600_000;

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: u64,
    pub(super) package: Address,
    pub(super) chain: ChainId,
    pub(super) admin: Address,
    pub(super) owner: Address,
    pub(super) gateway: Address,
    pub(super) operator: Address,
    pub(super) stranger: Address,
    pub(super) session: Ed25519Signer,
    pub(super) cluster: ClusterId,
    pub(super) cap: AdminCapId,
    pub(super) token: TokenId,
    pub(super) executors: Vec<ExecutorId>,
    pub(super) signers: BTreeMap<ExecutorId, Ed25519Signer>,
    pub(super) attested: Option<AttestedFacts>,
    pub(super) events: Vec<Event>,
    pub(super) debits: u128,
    pub(super) credits: u128,
    /// Of the next transaction: what the IDs of new objects are made of.
    pub(super) digest: Digest,
    recording: Recording,
}

/// Believes every document, and says of it what the test says.
struct Fake<'a>(&'a Option<AttestedFacts>);

impl Attestation for Fake<'_> {
    fn verify(&self, document: &[u8], _now_ms: u64) -> Option<AttestedFacts> {
        (document == b"genuine").then(|| self.0.clone()).flatten()
    }
}

impl World {
    /// A chain with nothing on it.
    pub(super) fn empty() -> Self {
        Self::with(Recording::begin())
    }

    /// The same, but nobody notes what happens in it for the Move VM.
    pub(super) fn unrecorded() -> Self {
        Self::with(Recording::off())
    }

    fn with(recording: Recording) -> Self {
        Self {
            state: State::default(),
            now: START,
            // What a package has that was not published, as in the unit tests of Move.
            package: if recording.is_on() {
                Address::ZERO
            } else {
                address("package")
            },
            chain: ChainId::new([9; 32]),
            admin: address("admin"),
            owner: address("owner"),
            gateway: address("gateway"),
            operator: address("operator"),
            stranger: address("stranger"),
            session: signer("session"),
            cluster: ClusterId::ZERO,
            cap: AdminCapId::ZERO,
            token: TokenId::ZERO,
            executors: Vec::new(),
            signers: BTreeMap::new(),
            attested: None,
            events: Vec::new(),
            debits: 0,
            credits: 0,
            digest: blake2b256(&[b"call"]),
            recording,
        }
    }

    /// One cluster, two executors with stake, one token with 10 SUI, a delegate and a session key.
    pub(super) fn new() -> Self {
        let mut w = Self::empty();
        w.create_cluster(ClusterPolicy::default());
        w.register("executor 0");
        w.register("executor 1");
        for executor in w.executors.clone() {
            let call = Call::DepositExecutorStake {
                cluster: w.cluster,
                executor,
                amount: 5 * MIST_PER_SUI,
            };
            w.ok(w.operator, call);
        }
        w.issue(vec![pods_rule()]);
        w.ok(
            w.owner,
            Call::DepositStake {
                token: w.token,
                amount: 10 * MIST_PER_SUI,
            },
        );
        let key = HexBytes::from(w.session.public_key().as_ref());
        w.ok(
            w.owner,
            Call::RegisterSessionKey {
                token: w.token,
                key,
                expires_at_ms: EXPIRY,
            },
        );
        w
    }

    pub(super) fn create_cluster(&mut self, policy: ClusterPolicy) {
        let call = Call::CreateCluster {
            name: "test".into(),
            chain: self.chain,
            policy,
        };
        let effects = self.ok(self.admin, call);
        let [Event::ClusterCreated(e)] = &effects.events[..] else {
            panic!("{effects:?}")
        };
        (self.cluster, self.cap) = (e.cluster, e.admin_cap);
    }

    pub(super) fn register(&mut self, name: &str) -> ExecutorId {
        let key = signer(name);
        let call = self.registration(&key);
        let effects = self.ok(self.admin, call);
        let [Event::ExecutorRegistered(e)] = &effects.events[..] else {
            panic!("{effects:?}")
        };
        self.executors.push(e.executor);
        self.signers.insert(e.executor, key);
        e.executor
    }

    pub(super) fn registration(&self, key: &Ed25519Signer) -> Call {
        Call::RegisterExecutor {
            cap: self.cap,
            cluster: self.cluster,
            operator: self.operator,
            signing_key: HexBytes::from(key.public_key().as_ref()),
            encryption_key: HexBytes(vec![7; 32]),
            attestation: HexBytes::default(),
        }
    }

    /// Issues a token to the owner, with the gateway as delegate.
    pub(super) fn issue(&mut self, rules: Vec<PolicyRule>) -> TokenId {
        let call = Call::IssueToken {
            cap: self.cap,
            cluster: self.cluster,
            owner: self.owner,
            rules,
            groups: vec!["developers".into()],
            not_before_ms: START,
            expires_at_ms: EXPIRY,
            delegates: vec![Delegate {
                delegate: self.gateway,
                expires_at_ms: EXPIRY,
            }],
        };
        let effects = self.ok(self.admin, call);
        let [Event::SealTokenIssued(e)] = &effects.events[..] else {
            panic!("{effects:?}")
        };
        self.token = e.token;
        e.token
    }

    /// Applies a call and keeps the books.
    pub(super) fn call(&mut self, sender: Address, call: &Call) -> Result<Effects, Abort> {
        self.recording.push(Input {
            digest: self.digest,
            sender,
            now_ms: self.now,
            facts: self.attested.as_ref().map(Facts::from),
            deed: Deed::Call(Box::new(call.clone())),
        });
        let digest = self.digest;
        self.digest = blake2b256(&[digest.as_bytes()]);
        let mut fresh = 0;
        let mut fresh_id = || {
            fresh += 1;
            derive_id(digest, fresh - 1)
        };
        let mut context = Context {
            package: self.package,
            sender,
            now_ms: self.now,
            fresh_id: &mut fresh_id,
            attestation: &Fake(&self.attested),
            signatures: &OneByOne,
        };
        let effects = self.state.apply(call, &mut context)?;
        assert_eq!(effects.debit, call.deposit(), "{call:?}");
        self.debits += u128::from(effects.debit);
        self.credits += effects
            .credits
            .iter()
            .map(|(_, amount)| u128::from(*amount))
            .sum::<u128>();
        self.events.extend(effects.events.iter().cloned());
        Ok(effects)
    }

    /// Applies a call that must not be refused.
    #[track_caller]
    pub(super) fn ok(&mut self, sender: Address, call: Call) -> Effects {
        match self.call(sender, &call) {
            Ok(effects) => effects,
            Err(abort) => panic!("{}: {abort}", call.name()),
        }
    }

    /// Applies a call that must be refused with `code` and change nothing.
    #[track_caller]
    pub(super) fn refused(&mut self, sender: Address, call: Call, code: Code) {
        let (before, events) = (self.state.clone(), self.events.len());
        let outcome = self.call(sender, &call);
        assert_eq!(
            outcome.map(|effects| effects.events),
            Err(Abort::Refused(code)),
            "{}",
            call.name()
        );
        assert_eq!(self.state, before, "{} changed something", call.name());
        assert_eq!(self.events.len(), events);
    }

    /// The code of a call that is refused, or nothing; applies it.
    pub(super) fn code(&mut self, sender: Address, call: &Call) -> Option<Code> {
        match self.call(sender, call) {
            Ok(_) => None,
            Err(Abort::Refused(code)) => Some(code),
            Err(other) => panic!("{}: {other}", call.name()),
        }
    }

    // What stands in the state, and what a test puts there that no call could.

    pub(super) fn token(&self) -> &SealToken {
        self.state.token(self.token).unwrap()
    }

    pub(super) fn cluster(&self) -> &Cluster {
        self.state.cluster(self.cluster).unwrap()
    }

    pub(super) fn executor(&self, index: usize) -> &ExecutorState {
        self.state.executor(self.executors[index]).unwrap()
    }

    pub(super) fn request(&self, id: &[u8]) -> Option<&Request> {
        let id = RequestId::from_bytes(id).ok()?;
        self.state.request(self.token, id)
    }

    pub(super) fn edit_token(&mut self, edit: impl FnOnce(&mut SealToken)) {
        let mut token = self.token().clone();
        edit(&mut token);
        let deed = Deed::of_token(self.token(), &token);
        self.note_edit(deed);
        self.state.load(Object::Token(token));
    }

    pub(super) fn edit_cluster(&mut self, edit: impl FnOnce(&mut Cluster)) {
        let mut cluster = self.cluster().clone();
        let cap = self.state.admin_cap(self.cap).unwrap().clone();
        edit(&mut cluster);
        let deed = Deed::of_cluster(self.cluster(), &cluster);
        self.note_edit(deed);
        self.state.load(Object::Cluster(cluster, cap));
    }

    pub(super) fn edit_executor(&mut self, index: usize, edit: impl FnOnce(&mut ExecutorState)) {
        let mut executor = self.executor(index).clone();
        edit(&mut executor);
        self.recording.stop();
        self.state.load(Object::Executor(executor));
    }

    pub(super) fn edit_request(&mut self, id: &[u8], edit: impl FnOnce(&mut Request)) {
        let mut request = self.request(id).unwrap().clone();
        edit(&mut request);
        self.recording.stop();
        let id = RequestId::from_bytes(id).unwrap();
        self.state.load(Object::Request(self.token, id, request));
    }

    fn note_edit(&mut self, deed: Option<Deed>) {
        match deed {
            Some(deed) => self.recording.push(Input {
                digest: self.digest,
                sender: self.stranger,
                now_ms: self.now,
                facts: None,
                deed,
            }),
            None => self.recording.stop(),
        }
    }

    pub(super) fn set_active(&mut self, executor: ExecutorId, active: bool) {
        self.edit_cluster(|cluster| {
            for entry in &mut cluster.executors {
                if entry.id == executor {
                    entry.active = active;
                }
            }
        });
    }

    // Requests.

    /// `POST` of a pod, a write that the token allows.
    pub(super) fn create_pod(&self, n: u64) -> RequestMessage {
        RequestMessage {
            request_id: request_id(n),
            method: "POST".into(),
            path: "/api/v1/namespaces/default/pods".into(),
            header_names: vec!["content-type".into()],
            header_values: vec!["application/json".into()],
            payload: k3s_daas::wire::Content::hashed([3; 32], 100),
            reply_key: HexBytes(vec![5; 32]),
            priority: 2,
            deadline_ms: self.now.saturating_add(60_000),
            credential_id: HexBytes(vec![6; 16]),
            ..RequestMessage::default()
        }
    }

    /// `GET` of all pods, a read that the token allows.
    pub(super) fn list_pods(&self, n: u64) -> RequestMessage {
        RequestMessage {
            request_id: request_id(n),
            method: "GET".into(),
            path: "/api/v1/namespaces/default/pods".into(),
            priority: 2,
            deadline_ms: self.now.saturating_add(60_000),
            ..RequestMessage::default()
        }
    }

    pub(super) fn execute(&self, request: RequestMessage) -> Call {
        Call::ExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.token,
            request,
        }
    }

    pub(super) fn try_execute(&self, request: RequestMessage) -> Call {
        Call::TryExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.token,
            request,
        }
    }

    /// Admits a request and says who got it.
    #[track_caller]
    pub(super) fn admit(&mut self, request: RequestMessage) -> ExecutorId {
        let call = self.execute(request);
        let effects = self.ok(self.gateway, call);
        let [Event::K8sApiRequest(e)] = &effects.events[..] else {
            panic!("{effects:?}")
        };
        e.nautilus_endpoint
    }

    // Calls of executors, not yet signed.

    pub(super) fn claim(&self, n: u64, executor: ExecutorId) -> Call {
        Call::ClaimRequest {
            cluster: self.cluster,
            token: self.token,
            request_id: request_id(n),
            executor,
            signature: HexBytes::default(),
        }
    }

    pub(super) fn release(&self, n: u64) -> Call {
        let request = self.request(&request_id(n)).unwrap();
        Call::ReleaseRequest {
            cluster: self.cluster,
            token: self.token,
            request_id: request_id(n),
            executor: request.executor,
            epoch: request.epoch,
            signature: HexBytes::default(),
        }
    }

    pub(super) fn answer(&self, n: u64, status: u16) -> Call {
        let request = self.request(&request_id(n)).unwrap();
        Call::StoreK8sResponse {
            cluster: self.cluster,
            token: self.token,
            request_id: request_id(n),
            executor: request.executor,
            epoch: request.epoch,
            status,
            envelope_hash: HexBytes(vec![8; 32]),
            envelope_len: 1_000,
            sealed: ByteString::default(),
            time_ms: self.now,
            signature: HexBytes::default(),
        }
    }

    pub(super) fn intent(&self, kind: IntentKind, token: TokenId) -> Intent {
        let deployment = Deployment {
            chain: self.chain,
            package: self.package,
        };
        deployment.intent(kind, self.cluster, token)
    }

    pub(super) fn signed_answer(&self, executor: usize, message: AnswerMessage) -> SignedAnswer {
        let bytes = self
            .intent(IntentKind::Answer, self.token)
            .signed_bytes(&message);
        let signature = self.signers[&self.executors[executor]].sign_now(&bytes);
        SignedAnswer { message, signature }
    }

    /// Puts the right signature into a call that has one: the session key's or the named executor's.
    pub(super) fn sign(&self, call: &mut Call) {
        let unknown = signer("unknown");
        let by = |executor: &ExecutorId| self.signers.get(executor).unwrap_or(&unknown);
        let digest = |token: &TokenId, id: &[u8]| {
            RequestId::from_bytes(id)
                .ok()
                .and_then(|id| self.state.request(*token, id))
                .map_or(Digest::ZERO, |request| request.digest)
        };
        match call {
            Call::ExecuteSignedCommand {
                token,
                request,
                public_key,
                signature,
                ..
            }
            | Call::TryExecuteSignedCommand {
                token,
                request,
                public_key,
                signature,
                ..
            } => {
                let intent = self.intent(IntentKind::Request, *token);
                *public_key = HexBytes::from(self.session.public_key().as_ref());
                *signature = seal(&self.session, &intent.signed_bytes(request));
            }
            Call::OpenSignedSession {
                token,
                request,
                public_key,
                signature,
                ..
            } => {
                let intent = self.intent(IntentKind::SessionOpen, *token);
                *public_key = HexBytes::from(self.session.public_key().as_ref());
                *signature = seal(&self.session, &intent.signed_bytes(request));
            }
            Call::ClaimRequest {
                token,
                request_id,
                executor,
                signature,
                ..
            } => {
                let held = RequestId::from_bytes(request_id)
                    .ok()
                    .and_then(|id| self.state.request(*token, id));
                let message = AssignmentMessage {
                    request_id: request_id.clone(),
                    digest: digest(token, request_id),
                    epoch: held.map_or(1, |held| held.epoch.saturating_add(1)),
                };
                let intent = self.intent(IntentKind::Claim, *token);
                *signature = seal(by(executor), &intent.signed_bytes(&message));
            }
            Call::ReleaseRequest {
                token,
                request_id,
                executor,
                epoch,
                signature,
                ..
            } => {
                let message = AssignmentMessage {
                    request_id: request_id.clone(),
                    digest: digest(token, request_id),
                    epoch: *epoch,
                };
                let intent = self.intent(IntentKind::Release, *token);
                *signature = seal(by(executor), &intent.signed_bytes(&message));
            }
            Call::StoreK8sResponse {
                token,
                request_id,
                executor,
                epoch,
                status,
                envelope_hash,
                envelope_len,
                sealed,
                time_ms,
                signature,
                ..
            } => {
                let message = AnswerMessage {
                    request_id: request_id.clone(),
                    digest: digest(token, request_id),
                    epoch: *epoch,
                    status: *status,
                    envelope_hash: envelope_hash.clone(),
                    envelope_len: *envelope_len,
                    sealed_hash: AnswerMessage::hash_of_sealed(sealed),
                    time_ms: *time_ms,
                };
                let intent = self.intent(IntentKind::Answer, *token);
                *signature = seal(by(executor), &intent.signed_bytes(&message));
            }
            Call::CloseSession {
                token,
                executor,
                message,
                signature,
                ..
            } => {
                let intent = self.intent(IntentKind::SessionClose, *token);
                *signature = seal(by(executor), &intent.signed_bytes(message));
            }
            Call::AnchorReads {
                executor,
                message,
                signature,
                ..
            } => {
                let intent = self.intent(IntentKind::Anchor, TokenId::ZERO);
                *signature = seal(by(executor), &intent.signed_bytes(message));
            }
            _ => {}
        }
    }

    /// Signs and applies, must succeed.
    #[track_caller]
    pub(super) fn signed_ok(&mut self, mut call: Call) -> Effects {
        self.sign(&mut call);
        self.ok(self.stranger, call)
    }

    /// Signs and applies, must be refused.
    #[track_caller]
    pub(super) fn signed_refused(&mut self, mut call: Call, code: Code) {
        self.sign(&mut call);
        self.refused(self.stranger, call, code);
    }
}

fn seal(signer: &Ed25519Signer, bytes: &[u8]) -> HexBytes {
    HexBytes::from(signer.sign_now(bytes).as_ref())
}

/// The ID of the `nth` object that a transaction makes, as Sui derives it.
pub(super) fn derive_id(digest: Digest, nth: u64) -> Address {
    Address::new(*blake2b256(&[&[0xf1], digest.as_bytes(), &nth.to_le_bytes()]).as_bytes())
}

/// The signature field of a call that has one.
pub(super) fn signature_of(call: &mut Call) -> Option<&mut HexBytes> {
    match call {
        Call::ExecuteSignedCommand { signature, .. }
        | Call::TryExecuteSignedCommand { signature, .. }
        | Call::OpenSignedSession { signature, .. }
        | Call::ClaimRequest { signature, .. }
        | Call::ReleaseRequest { signature, .. }
        | Call::StoreK8sResponse { signature, .. }
        | Call::CloseSession { signature, .. }
        | Call::AnchorReads { signature, .. } => Some(signature),
        _ => None,
    }
}

pub(super) fn address(name: &str) -> Address {
    signer(name).address()
}

/// The key of that name. Deriving one costs as much as signing, so each is derived once.
pub(super) fn signer(name: &str) -> Ed25519Signer {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<String, Ed25519Signer>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some(signer) = known.get(name) {
            return signer.clone();
        }
        let signer = Ed25519Signer::from_seed(*blake2b256(&[name.as_bytes()]).as_bytes());
        known.insert(name.to_owned(), signer.clone());
        signer
    })
}

/// The `n`th request ID.
pub(super) fn request_id(n: u64) -> ByteString {
    format!(
        "01a0b1c2-d3e4-7f05-8{:03x}-{:012x}",
        n >> 48,
        n & 0xffff_ffff_ffff
    )
    .into()
}

/// Everything with pods of the namespace `default`.
pub(super) fn pods_rule() -> PolicyRule {
    PolicyRule {
        verbs: vec!["*".into()],
        api_groups: vec![String::new()],
        resources: vec!["pods".into(), "pods/exec".into(), "pods/log".into()],
        namespaces: vec!["default".into()],
        ..PolicyRule::default()
    }
}

/// The 14 encodings of small order, from the literature and not from the crate.
pub(super) fn small_order_keys() -> Vec<[u8; 32]> {
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ]
    .iter()
    .map(|text| hex::decode(text).unwrap().try_into().unwrap())
    .collect()
}

/// A key that is no point of the curve.
pub(super) fn off_curve_key() -> [u8; 32] {
    let mut key = [0; 32];
    key[0] = 2;
    key
}

/// A signature that verifies under every small-order key whose order divides what it is multiplied by:
/// R the neutral element, s zero.
pub(super) fn trivial_signature() -> Signature {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    Signature::new(bytes)
}

impl World {
    /// A copy to try things in: the same state and moment, without the history.
    pub(super) fn probe(&self) -> Self {
        Self {
            state: self.state.clone(),
            now: self.now,
            digest: self.digest,
            ..Self::unrecorded()
        }
    }

    /// Who holds the capability of a cluster.
    pub(super) fn admin_of(&self, cluster: ClusterId) -> Address {
        let cap = self.state.cluster(cluster).unwrap().admin_cap;
        self.state.admin_cap(cap).unwrap().owner
    }
}
