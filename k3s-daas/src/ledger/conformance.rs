//! The suite that every [`Ledger`] passes, for those who bring their own.
//!
//! ```no_run
//! use k3s_daas::ledger::conformance::{Backend, run};
//!
//! async fn conforms(mine: &dyn Backend) {
//!     run(mine).await;
//! }
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;

use super::{Cursor, Error, Ledger, LedgerExt as _, Receipt, SequencedEvent};
use crate::contract::{Call, Code};
use crate::crypto::{Ed25519Signer, Signer, random_array};
use crate::types::{
    Address, AdminCapId, ClusterId, ClusterPolicy, Digest, ExecutorId, HexBytes, MIST_PER_SUI,
    PolicyRule, RequestId, TokenId,
};
use crate::wire::{
    AnswerMessage, AssignmentMessage, Content, Delegate, Event, IntentKind, RequestMessage,
};

/// A backend that the suite is run against.
#[async_trait]
pub trait Backend: Send + Sync {
    /// A new, empty ledger on which these accounts hold MIST.
    async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance>;
}

/// One ledger of a backend.
#[async_trait]
pub trait Instance: Send + Sync {
    /// That ledger as another process would open it, as the account of `signer`.
    async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger>;
}

/// Runs the whole suite.
///
/// # Panics
/// Where the backend does not do what [`Ledger`] says.
pub async fn run(backend: &dyn Backend) {
    a_request_is_admitted_and_answered(backend).await;
    refusals_change_nothing(backend).await;
    what_cannot_be_called_is_invalid(backend).await;
    mist_is_conserved(backend).await;
    followers_miss_repeat_and_reorder_nothing(backend).await;
    a_cursor_resumes(backend).await;
    what_happened_then_is_found(backend).await;
    calls_of_many_are_ordered(backend).await;
    one_of_two_wins(backend).await;
}

/// A cluster with an executor and a token, and the accounts that have a part in it.
#[derive(Debug)]
pub struct Fixture {
    /// Holds the capability.
    pub admin: Arc<dyn Ledger>,
    /// Owns the token.
    pub owner: Arc<dyn Ledger>,
    /// Is a delegate on it.
    pub gateway: Arc<dyn Ledger>,
    /// Relays answers and owns the executor's stake.
    pub operator: Arc<dyn Ledger>,
    /// Has nothing to do with any of it, and no MIST.
    pub stranger: Arc<dyn Ledger>,
    /// The executor's key.
    pub executor_key: Ed25519Signer,
    /// The cluster.
    pub cluster: ClusterId,
    /// Its capability.
    pub cap: AdminCapId,
    /// Its executor.
    pub executor: ExecutorId,
    /// The token: `pods` with every verb in the namespace `default`.
    pub token: TokenId,
}

impl Fixture {
    /// Sets everything up on a fresh ledger.
    ///
    /// # Panics
    /// If a call fails that cannot.
    pub async fn new(backend: &dyn Backend) -> (Self, Box<dyn Instance>) {
        let keys: [Ed25519Signer; 5] = std::array::from_fn(|_| Ed25519Signer::generate());
        let [admin, owner, gateway, operator, stranger] = &keys;
        let funds = [
            (owner.address(), OWNER_MIST),
            (operator.address(), OWNER_MIST),
        ];
        let instance = backend.fresh(&funds).await;
        let open = |key: &Ed25519Signer| instance.open(Arc::new(key.clone()));
        let (admin, owner) = (open(admin).await, open(owner).await);
        let (gateway, operator) = (open(gateway).await, open(operator).await);
        let stranger = open(stranger).await;

        let created = made(
            &*admin,
            Call::CreateCluster {
                name: "conformance".into(),
                chain: admin.deployment().chain,
                policy: ClusterPolicy::default(),
            },
        )
        .await;
        let Event::ClusterCreated(created) = only(created) else {
            panic!("a cluster is created by one event");
        };
        let (cluster, cap) = (created.cluster, created.admin_cap);
        let executor_key = Ed25519Signer::generate();
        let registered = made(
            &*admin,
            Call::RegisterExecutor {
                cap,
                cluster,
                operator: operator.account(),
                signing_key: HexBytes(executor_key.public_key().as_bytes().to_vec()),
                encryption_key: HexBytes(random_array::<32>().to_vec()),
                attestation: HexBytes::default(),
            },
        )
        .await;
        let Event::ExecutorRegistered(registered) = only(registered) else {
            panic!("an executor is registered by one event");
        };
        let expires_at_ms = admin.now_ms() + DAY_MS;
        let issued = made(
            &*admin,
            Call::IssueToken {
                cap,
                cluster,
                owner: owner.account(),
                rules: vec![pods_in_default()],
                groups: Vec::new(),
                not_before_ms: 0,
                expires_at_ms,
                delegates: vec![Delegate {
                    delegate: gateway.account(),
                    expires_at_ms,
                }],
            },
        )
        .await;
        let Event::SealTokenIssued(issued) = only(issued) else {
            panic!("a token is issued by one event");
        };
        let fixture = Self {
            admin,
            owner,
            gateway,
            operator,
            stranger,
            executor_key,
            cluster,
            cap,
            executor: registered.executor,
            token: issued.token,
        };
        (fixture, instance)
    }

    /// A request for pods in `default`.
    #[must_use]
    pub fn request(&self, method: &str) -> RequestMessage {
        let payload = match method {
            "GET" | "DELETE" => Content::none(),
            _ => Content::hashed(random_array(), 2),
        };
        RequestMessage {
            request_id: RequestId::new().to_wire().into(),
            method: method.into(),
            path: "/api/v1/namespaces/default/pods".into(),
            payload,
            priority: 2,
            deadline_ms: self.gateway.now_ms() + 60_000,
            ..RequestMessage::default()
        }
    }

    /// The call that submits it by the gateway's account.
    #[must_use]
    pub fn execute(&self, request: &RequestMessage) -> Call {
        Call::ExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.token,
            request: request.clone(),
        }
    }

    /// The call that answers it.
    #[must_use]
    pub fn answer(&self, request: &RequestMessage, digest: Digest, status: u16) -> Call {
        let message = AnswerMessage {
            request_id: request.request_id.clone(),
            digest,
            epoch: 0,
            status,
            envelope_hash: HexBytes(random_array::<32>().to_vec()),
            envelope_len: 2,
            sealed_hash: HexBytes::default(),
            time_ms: self.operator.now_ms(),
        };
        let intent =
            self.operator
                .deployment()
                .intent(IntentKind::Answer, self.cluster, self.token);
        let signature = self.executor_key.sign_now(&intent.signed_bytes(&message));
        Call::StoreK8sResponse {
            cluster: self.cluster,
            token: self.token,
            request_id: message.request_id,
            executor: self.executor,
            epoch: 0,
            status,
            envelope_hash: message.envelope_hash,
            envelope_len: message.envelope_len,
            sealed: Vec::new().into(),
            time_ms: message.time_ms,
            signature: HexBytes(signature.as_bytes().to_vec()),
        }
    }

    /// The call that gives it back, signed by the executor.
    #[must_use]
    pub fn release(&self, request: &RequestMessage, digest: Digest) -> Call {
        let message = AssignmentMessage {
            request_id: request.request_id.clone(),
            digest,
            epoch: 0,
        };
        let deployment = self.operator.deployment();
        let intent = deployment.intent(IntentKind::Release, self.cluster, self.token);
        let signature = self.executor_key.sign_now(&intent.signed_bytes(&message));
        Call::ReleaseRequest {
            cluster: self.cluster,
            token: self.token,
            request_id: message.request_id,
            executor: self.executor,
            epoch: 0,
            signature: HexBytes(signature.as_bytes().to_vec()),
        }
    }

    /// The call that adds stake to the token.
    #[must_use]
    pub fn deposit(&self, amount: u64) -> Call {
        Call::DepositStake {
            token: self.token,
            amount,
        }
    }
}

async fn a_request_is_admitted_and_answered(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    let request = fixture.request("GET");
    let receipt = made(&*fixture.gateway, fixture.execute(&request)).await;
    let Event::K8sApiRequest(admitted) = only(receipt.clone()) else {
        panic!("a request is admitted by one event");
    };
    assert_eq!(admitted.request_id, request.request_id);
    assert_eq!(admitted.submitted_by, fixture.gateway.account());
    assert_eq!(admitted.nautilus_endpoint, fixture.executor);
    assert_eq!(admitted.timestamp_ms, receipt.timestamp_ms);
    let id = RequestId::from_bytes(&request.request_id).expect("our own ID");
    let held = |ledger: &Arc<dyn Ledger>| {
        ledger.view(|snapshot| snapshot.state.request(fixture.token, id).cloned())
    };
    assert!(held(&fixture.gateway).is_some(), "its own state has it");

    let found = fixture.owner.receipt(receipt.call).await;
    assert_eq!(
        found.expect("it can be read"),
        Some(receipt),
        "others find it"
    );
    let unknown = fixture.owner.receipt(Digest::new([7; 32])).await;
    assert_eq!(unknown.expect("it can be read"), None);

    let answer = fixture.answer(&request, admitted.digest, 200);
    let receipt = made(&*fixture.operator, answer.clone()).await;
    let Event::K8sRequestProcessed(processed) = only(receipt) else {
        panic!("a request is answered by one event");
    };
    assert_eq!(processed.status_code, 200);
    fixture.gateway.sync().await.expect("it can be read");
    let record = held(&fixture.gateway).and_then(|request| request.record().cloned());
    assert_eq!(record.expect("it is answered").status_code, 200);

    let again = fixture.operator.call(answer).await;
    refused(again, Code::AlreadyAnswered);
    let again = fixture.gateway.call(fixture.execute(&request)).await;
    refused(again, Code::DuplicateRequest);
}

async fn refusals_change_nothing(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    let before = fixture.owner.sync().await.expect("it can be read");
    let write = fixture.request("POST");
    refused(
        fixture.gateway.call(fixture.execute(&write)).await,
        Code::InsufficientStake,
    );
    let read = fixture.request("GET");
    refused(
        fixture.stranger.call(fixture.execute(&read)).await,
        Code::NotTokenHolder,
    );
    let late = RequestMessage {
        deadline_ms: fixture.gateway.now_ms() - 1,
        ..read.clone()
    };
    refused(
        fixture.gateway.call(fixture.execute(&late)).await,
        Code::DeadlinePassed,
    );
    let secret = RequestMessage {
        path: "/api/v1/namespaces/default/secrets".into(),
        ..read.clone()
    };
    refused(
        fixture.gateway.call(fixture.execute(&secret)).await,
        Code::NoPermission,
    );
    let revoke = Call::RevokeToken {
        cap: fixture.cap,
        cluster: fixture.cluster,
        token: fixture.token,
    };
    refused(fixture.owner.call(revoke).await, Code::NotAdmin);
    refused(
        fixture
            .operator
            .call(fixture.answer(&read, Digest::new([1; 32]), 200))
            .await,
        Code::UnknownRequest,
    );
    let after = fixture.owner.sync().await.expect("it can be read");
    assert_eq!(before, after, "a refused call leaves no event");
    let sequence = fixture.owner.view(|snapshot| {
        snapshot
            .state
            .token(fixture.token)
            .map(|token| token.sequence)
    });
    assert_eq!(sequence, Some(0));

    made(&*fixture.gateway, fixture.execute(&read)).await;
}

async fn what_cannot_be_called_is_invalid(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    let missing = Call::DepositStake {
        token: TokenId::new([9; 32]),
        amount: 1,
    };
    invalid(fixture.owner.call(missing).await);
    invalid(fixture.owner.call(fixture.deposit(OWNER_MIST + 1)).await);
    invalid(fixture.stranger.call(fixture.deposit(1)).await);
    let balance = fixture.owner.balance(fixture.owner.account()).await;
    assert_eq!(balance.expect("it can be read"), OWNER_MIST);
}

async fn mist_is_conserved(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    let (owner, other) = (fixture.owner.account(), fixture.operator.account());
    let balance = async |account| {
        fixture.stranger.sync().await.expect("it can be read");
        let balance = fixture.stranger.balance(account).await;
        balance.expect("it can be read")
    };
    made(&*fixture.owner, fixture.deposit(2 * MIST_PER_SUI)).await;
    made(&*fixture.operator, fixture.deposit(MIST_PER_SUI)).await;
    assert_eq!(balance(owner).await, OWNER_MIST - 2 * MIST_PER_SUI);
    assert_eq!(balance(other).await, OWNER_MIST - MIST_PER_SUI);

    let policy = ClusterPolicy {
        unbonding_ms: 0,
        ..ClusterPolicy::default()
    };
    made(
        &*fixture.admin,
        Call::SetPolicy {
            cap: fixture.cap,
            cluster: fixture.cluster,
            policy,
        },
    )
    .await;
    made(
        &*fixture.owner,
        Call::Unstake {
            cluster: fixture.cluster,
            token: fixture.token,
            amount: 3 * MIST_PER_SUI,
        },
    )
    .await;
    assert_eq!(balance(owner).await, OWNER_MIST - 2 * MIST_PER_SUI);
    let withdraw = Call::WithdrawStake {
        token: fixture.token,
    };
    refused(
        fixture.operator.call(withdraw.clone()).await,
        Code::NotOwner,
    );
    made(&*fixture.owner, withdraw).await;
    assert_eq!(balance(owner).await, OWNER_MIST + MIST_PER_SUI);
    assert_eq!(balance(other).await, OWNER_MIST - MIST_PER_SUI);
}

async fn followers_miss_repeat_and_reorder_nothing(backend: &dyn Backend) {
    let (fixture, instance) = Fixture::new(backend).await;
    let mut early = fixture.owner.events(Cursor::START);
    let mut calls = Vec::new();
    for _ in 0..20 {
        let request = fixture.request("GET");
        calls.push(made(&*fixture.gateway, fixture.execute(&request)).await);
    }
    let late = instance.open(Arc::new(Ed25519Signer::generate())).await;
    let mut late = late.events(Cursor::START);
    let (mut of_early, mut of_late) = (Vec::new(), Vec::new());
    for _ in 0..23 {
        of_early.push(next(&mut early).await);
        of_late.push(next(&mut late).await);
    }
    assert_eq!(of_early, of_late, "whoever comes later sees the same");
    let cursors = of_early.iter().map(|event| event.cursor);
    assert!(cursors.is_sorted_by(|a, b| a < b), "cursors grow");
    let emitted = calls.into_iter().flat_map(|receipt| receipt.events);
    assert!(emitted.eq(of_early.into_iter().skip(3)));
    let silence = tokio::time::timeout(Duration::from_millis(100), early.next()).await;
    assert!(silence.is_err(), "a stream waits at its end");
}

async fn a_cursor_resumes(backend: &dyn Backend) {
    let (fixture, instance) = Fixture::new(backend).await;
    let mut events = fixture.owner.events(Cursor::START);
    let first = next(&mut events).await;
    let second = next(&mut events).await;
    drop(events);
    let mut resumed = fixture.owner.events(first.cursor);
    assert_eq!(next(&mut resumed).await, second);

    let end = fixture.owner.sync().await.expect("it can be read");
    let mut waiting = instance
        .open(Arc::new(Ed25519Signer::generate()))
        .await
        .events(end);
    let request = fixture.request("GET");
    let receipt = made(&*fixture.gateway, fixture.execute(&request)).await;
    assert_eq!(next(&mut waiting).await, receipt.events[0]);
}

async fn what_happened_then_is_found(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    for _ in 0..10 {
        let request = fixture.request("GET");
        made(&*fixture.gateway, fixture.execute(&request)).await;
        // Not all of one moment.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let end = fixture.owner.sync().await.expect("it can be read");
    let mut events = fixture.owner.events(Cursor::START);
    loop {
        let event = next(&mut events).await;
        let before = fixture.owner.before(event.timestamp_ms).await;
        let before = before.expect("it can be read");
        assert!(
            before < event.cursor,
            "an event lies after its time's place"
        );
        if event.cursor == end {
            break;
        }
    }
    let before = fixture.owner.before(0).await.expect("it can be read");
    assert_eq!(before, Cursor::START);
    let before = fixture
        .owner
        .before(u64::MAX)
        .await
        .expect("it can be read");
    assert!(before <= end);
}

async fn calls_of_many_are_ordered(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    made(&*fixture.owner, fixture.deposit(2 * MIST_PER_SUI)).await;
    let start = fixture.owner.sync().await.expect("it can be read");
    let submitted = (0..60).map(|index| {
        let ledger = match index % 2 {
            0 => fixture.gateway.clone(),
            _ => fixture.owner.clone(),
        };
        let call = fixture.execute(&fixture.request(["GET", "POST"][index / 2 % 2]));
        async move { ledger.call(call).await.expect("it is admitted") }
    });
    let receipts = futures_util::future::join_all(submitted).await;
    let mut events = fixture.stranger.events(start);
    let mut seen = Vec::new();
    for expected_sequence in 1..=60 {
        let event = next(&mut events).await;
        let Event::K8sApiRequest(admitted) = &event.event else {
            panic!("only requests were submitted");
        };
        assert_eq!(admitted.sequence, expected_sequence, "one order for all");
        seen.push(event);
    }
    assert!(seen.is_sorted_by(|a, b| a.timestamp_ms <= b.timestamp_ms));
    for receipt in receipts {
        assert!(seen.contains(&receipt.events[0]), "each is there");
    }
}

async fn one_of_two_wins(backend: &dyn Backend) {
    let (fixture, _instance) = Fixture::new(backend).await;
    let request = fixture.request("GET");
    let (first, second) = tokio::join!(
        fixture.gateway.call(fixture.execute(&request)),
        fixture.owner.call(fixture.execute(&request)),
    );
    let winners = usize::from(first.is_ok()) + usize::from(second.is_ok());
    assert_eq!(
        winners, 1,
        "a request ID is admitted once: {first:?} {second:?}"
    );
    let lost = if first.is_ok() { second } else { first };
    refused(lost, Code::DuplicateRequest);
}

/// The token's rule in a [`Fixture`].
fn pods_in_default() -> PolicyRule {
    let only = |text: &str| vec![text.into()];
    PolicyRule {
        verbs: only("*"),
        api_groups: only(""),
        resources: only("pods"),
        resource_names: Vec::new(),
        non_resource_urls: Vec::new(),
        namespaces: only("default"),
    }
}

async fn made(ledger: &dyn Ledger, call: Call) -> Receipt {
    let name = call.name();
    match ledger.call(call).await {
        Ok(receipt) => receipt,
        Err(error) => panic!("{name} on {ledger}: {error}"),
    }
}

fn only(receipt: Receipt) -> Event {
    let [event] = <[SequencedEvent; 1]>::try_from(receipt.events).expect("one event");
    event.event
}

async fn next(
    events: &mut (impl futures_util::Stream<Item = super::Result<SequencedEvent>> + Unpin),
) -> SequencedEvent {
    let next = tokio::time::timeout(PATIENCE, events.next()).await;
    let next = next.expect("an event comes soon");
    let next = next.expect("a stream does not end");
    next.expect("events can be read")
}

fn refused(result: super::Result<Receipt>, expected: Code) {
    match result {
        Err(Error::Refused(code)) if code == expected => {}
        other => panic!("expected {expected}, got {other:?}"),
    }
}

fn invalid(result: super::Result<Receipt>) {
    assert!(
        matches!(result, Err(Error::Invalid(_))),
        "expected `Invalid`, got {result:?}"
    );
}

const OWNER_MIST: u64 = 10 * MIST_PER_SUI;
const DAY_MS: u64 = 24 * 3_600_000;

/// Sui finalises within two seconds; everything else is faster.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::memory::MemoryLedger;

    struct Memory;

    #[async_trait]
    impl Backend for Memory {
        async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance> {
            let ledger = MemoryLedger::new(Address::ZERO);
            for (account, mist) in funds {
                ledger.fund(*account, *mist);
            }
            Box::new(ledger)
        }
    }

    #[async_trait]
    impl Instance for MemoryLedger {
        async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger> {
            Arc::new(self.as_account(signer.address()))
        }
    }

    /// Two backends that have nothing in common but the contract.
    #[tokio::test]
    async fn the_ledger_in_memory_conforms() {
        run(&Memory).await;
    }
}
