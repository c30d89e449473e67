//! The ledger's side of the model: the contract itself, on a state with one cluster, two executors and one token.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use k3s_daas::contract::{
    Abort, Call, Code, Context, NoAttestation, Object, OneByOne, Request, State, assign,
};
use k3s_daas::crypto::{Ed25519Signer, blake2b256};
use k3s_daas::token::{Authorized, NotAuthorized};
use k3s_daas::types::{
    Address, ByteString, ClusterId, ClusterPolicy, ExecutorId, HexBytes, MIST_PER_SUI, RequestId,
    TokenId,
};
use k3s_daas::wire::{
    AnswerMessage, AssignmentMessage, Deployment, Event, IntentKind, K8sApiRequest, RequestMessage,
    to_bcs,
};

use super::super::world::{START, World, pods_rule, request_id};
use super::Mutant;

/// A tick of the model's clock. Leases, deadlines and what clocks may differ by are so many of them.
pub(super) const TICK_MS: u64 = 5_000;

/// A state of the contract, known by what its requests are: nothing else changes in the model.
#[derive(Clone)]
pub(super) struct Book {
    state: Arc<State>,
    print: u64,
}

/// What executors sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Signed {
    Claim(Claim),
    Release(Claim),
    Answer(Answer),
}

/// A claim or a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Claim {
    pub(super) node: usize,
    pub(super) request: usize,
    pub(super) epoch: u64,
}

/// An answer. Two of another `nonce` are two answers: their envelopes have other salts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Answer {
    pub(super) node: usize,
    pub(super) request: usize,
    pub(super) epoch: u64,
    pub(super) status: u16,
    pub(super) nonce: u8,
}

/// Questions and their answers.
type Known<Q, A> = Mutex<HashMap<Q, A>>;

/// The contract with its keys. What it says to the same question is computed once.
pub(super) struct Ledger {
    deployment: Deployment,
    cluster: ClusterId,
    token: TokenId,
    executors: Vec<ExecutorId>,
    signers: Vec<Ed25519Signer>,
    relayer: Address,
    pub(super) admitted: Vec<K8sApiRequest>,
    pub(super) genesis: Book,
    /// Ticks of a lease that is no write's first.
    pub(super) lease: u64,
    /// Ticks until the deadline of every request.
    pub(super) deadline: u64,
    mutant: Option<Mutant>,
    judged: Known<(u64, u64, Signed), Result<Book, Code>>,
    allowed: Known<(u64, u64, usize, usize), Result<u64, NotAuthorized>>,
}

impl Ledger {
    /// Admits a write or a read for each of `is_read`, all at the beginning and all assigned to the first
    /// executor, as node 0.
    pub(super) fn new(is_read: &[bool], mutant: Option<Mutant>) -> Self {
        // A read's lease ends before its deadline; a claimed write's is only the time to say so.
        let (lease, deadline) = if is_read.contains(&true) {
            (2, 3)
        } else {
            (1, 2)
        };
        let mut w = World::unrecorded();
        w.create_cluster(ClusterPolicy {
            lease_ms: lease * TICK_MS,
            ..ClusterPolicy::default()
        });
        w.register("executor 0");
        w.register("executor 1");
        w.issue(vec![pods_rule()]);
        let (owner, token) = (w.owner, w.token);
        let amount = MIST_PER_SUI;
        w.ok(owner, Call::DepositStake { token, amount });
        let assigned = |n| {
            let executor = assign(w.cluster().eligible(), token, &request_id(n), 0);
            executor.expect("both are eligible").id
        };
        let first = assigned(1);
        let mut ids = (1..).filter(|n| assigned(*n) == first).map(request_id);
        let requests: Vec<_> = is_read
            .iter()
            .map(|is_read| RequestMessage {
                request_id: ids.next().expect("there are more"),
                method: if *is_read { "GET" } else { "DELETE" }.into(),
                path: "/api/v1/namespaces/default/pods/web".into(),
                priority: 2,
                deadline_ms: START + deadline * TICK_MS,
                ..RequestMessage::default()
            })
            .collect();
        drop(ids);
        let mut admitted = Vec::new();
        for request in requests {
            let (call, gateway) = (w.execute(request), w.gateway);
            let effects = w.ok(gateway, call);
            let [Event::K8sApiRequest(event)] = &effects.events[..] else {
                panic!("{effects:?}")
            };
            admitted.push(event.clone());
        }
        let mut executors = w.executors.clone();
        executors.sort_by_key(|executor| *executor != first);
        let signers = executors.iter().map(|id| w.signers[id].clone()).collect();
        Self {
            deployment: Deployment {
                chain: w.chain,
                package: w.package,
            },
            cluster: w.cluster,
            token: w.token,
            executors,
            signers,
            relayer: w.stranger,
            admitted,
            genesis: Book::new(w.state),
            lease,
            deadline,
            mutant,
            judged: Mutex::default(),
            allowed: Mutex::default(),
        }
    }

    /// Milliseconds of a tick.
    pub(super) fn moment(tick: u64) -> u64 {
        START + tick * TICK_MS
    }

    /// A request as a state has it.
    pub(super) fn request<'a>(&self, book: &'a Book, request: usize) -> &'a Request {
        let held = book.state.request(self.token, self.id(request));
        held.expect("the model does not prune")
    }

    /// Which node an executor is.
    pub(super) fn node(&self, executor: ExecutorId) -> usize {
        let found = self.executors.iter().position(|known| *known == executor);
        found.expect("one of the two")
    }

    /// What the contract makes of a signed call at `now_ms`, whoever relays it.
    pub(super) fn judge(&self, book: &Book, now_ms: u64, signed: Signed) -> Result<Book, Code> {
        let question = (book.print, now_ms, signed);
        if let Some(known) = self.judged.lock().unwrap().get(&question) {
            return known.clone();
        }
        let call = self.call(signed);
        let judged = match self.apply(&book.state, now_ms, &call) {
            Err(code) => match self.doctored(book, now_ms, signed, code) {
                Some(state) => self.apply(&state, now_ms, &call),
                None => Err(code),
            },
            applied => applied,
        };
        let judged = judged.map(Book::new);
        self.judged.lock().unwrap().insert(question, judged.clone());
        judged
    }

    /// What the executor's own check says at `latest_ms` by the state that it followed: the epoch under
    /// which it may begin.
    pub(super) fn admit(
        &self,
        book: &Book,
        latest_ms: u64,
        node: usize,
        request: usize,
    ) -> Result<u64, NotAuthorized> {
        let question = (book.print, latest_ms, node, request);
        if let Some(known) = self.allowed.lock().unwrap().get(&question) {
            return known.clone();
        }
        let event = &self.admitted[request];
        let executor = self.executors[node];
        let allowed = Authorized::admit(
            event,
            &book.state,
            &self.deployment,
            executor,
            None,
            None,
            latest_ms,
        );
        let allowed = allowed.map(|authorized| authorized.grant().epoch);
        self.allowed
            .lock()
            .unwrap()
            .insert(question, allowed.clone());
        allowed
    }

    fn id(&self, request: usize) -> RequestId {
        RequestId::from_bytes(&self.admitted[request].request_id).expect("it was admitted")
    }

    fn apply(&self, state: &State, now_ms: u64, call: &Call) -> Result<State, Code> {
        let mut state = state.clone();
        let mut context = Context {
            package: self.deployment.package,
            sender: self.relayer,
            now_ms,
            fresh_id: &mut || panic!("none of these calls makes an object"),
            attestation: &NoAttestation,
            signatures: &OneByOne,
        };
        match state.apply(call, &mut context) {
            Ok(_) => Ok(state),
            Err(Abort::Refused(code)) => Err(code),
            Err(other) => panic!("{call:?}: {other}"),
        }
    }

    /// A ledger without the rule that refuses: the same state, made up so that the rule has nothing to say.
    fn doctored(&self, book: &Book, now_ms: u64, signed: Signed, code: Code) -> Option<State> {
        let (Signed::Claim(Claim { request, .. })
        | Signed::Release(Claim { request, .. })
        | Signed::Answer(Answer { request, .. })) = signed;
        let mut held = self.request(book, request).clone();
        match (self.mutant?, code, signed) {
            (Mutant::LedgerForgetsAnswers, Code::AlreadyAnswered, Signed::Answer(_)) => {
                held.outcome = None;
            }
            (Mutant::LedgerIgnoresEpochs, Code::NotAssigned, Signed::Answer(answer)) => {
                held.executor = self.executors[answer.node];
                held.epoch = answer.epoch;
            }
            (Mutant::LedgerIgnoresLeases, Code::LeaseRunning, Signed::Claim(_)) => {
                held.lease_ends_ms = now_ms;
            }
            (Mutant::LedgerBelievesClaimers, Code::ClaimedWrite, Signed::Answer(_)) => {
                held.claims = 0;
            }
            _ => return None,
        }
        let mut state = (*book.state).clone();
        state.load(Object::Request(self.token, self.id(request), held));
        Some(state)
    }

    fn call(&self, signed: Signed) -> Call {
        let (cluster, token) = (self.cluster, self.token);
        let of = |request: usize| {
            let event = &self.admitted[request];
            (event.request_id.clone(), event.digest)
        };
        match signed {
            Signed::Claim(claim) => {
                let (request_id, signature) = self.assignment(IntentKind::Claim, claim);
                Call::ClaimRequest {
                    cluster,
                    token,
                    request_id,
                    executor: self.executors[claim.node],
                    signature,
                }
            }
            Signed::Release(claim) => {
                let (request_id, signature) = self.assignment(IntentKind::Release, claim);
                Call::ReleaseRequest {
                    cluster,
                    token,
                    request_id,
                    executor: self.executors[claim.node],
                    epoch: claim.epoch,
                    signature,
                }
            }
            Signed::Answer(answer) => {
                let (request_id, digest) = of(answer.request);
                let salted = format!("{answer:?}");
                let message = AnswerMessage {
                    request_id: request_id.clone(),
                    digest,
                    epoch: answer.epoch,
                    status: answer.status,
                    envelope_hash: HexBytes(blake2b256(&[salted.as_bytes()]).as_bytes().to_vec()),
                    envelope_len: 100,
                    sealed_hash: AnswerMessage::hash_of_sealed(&[]),
                    time_ms: START,
                };
                Call::StoreK8sResponse {
                    cluster,
                    token,
                    request_id,
                    executor: self.executors[answer.node],
                    epoch: answer.epoch,
                    status: answer.status,
                    envelope_hash: message.envelope_hash.clone(),
                    envelope_len: message.envelope_len,
                    sealed: ByteString::default(),
                    time_ms: message.time_ms,
                    signature: self.sign(IntentKind::Answer, answer.node, &message),
                }
            }
        }
    }

    fn assignment(&self, kind: IntentKind, claim: Claim) -> (ByteString, HexBytes) {
        let event = &self.admitted[claim.request];
        let message = AssignmentMessage {
            request_id: event.request_id.clone(),
            digest: event.digest,
            epoch: claim.epoch,
        };
        (
            event.request_id.clone(),
            self.sign(kind, claim.node, &message),
        )
    }

    fn sign<M: serde::Serialize>(&self, kind: IntentKind, node: usize, message: &M) -> HexBytes {
        let intent = self.deployment.intent(kind, self.cluster, self.token);
        let signature = self.signers[node].sign_now(&intent.signed_bytes(message));
        HexBytes::from(signature.as_ref())
    }
}

impl Book {
    fn new(mut state: State) -> Self {
        state.take_touched();
        let mut hasher = DefaultHasher::new();
        for (_, _, request) in state.all_requests() {
            to_bcs(request).hash(&mut hasher);
        }
        Self {
            print: hasher.finish(),
            state: Arc::new(state),
        }
    }
}

impl PartialEq for Book {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Hash for Book {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.print);
    }
}

/// Its requests, as far as the protocol is concerned.
impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, _, request) in self.state.all_requests() {
            let lease = request.lease_ends_ms.saturating_sub(START) / TICK_MS;
            let answer = request.record().map(|record| record.status_code);
            write!(
                f,
                "[{} epoch {} claims {} until {lease} answer {answer:?}]",
                if request.is_read { "read" } else { "write" },
                request.epoch,
                request.claims,
            )?;
        }
        Ok(())
    }
}
