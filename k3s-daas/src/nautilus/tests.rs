//! A Nautilus on the contract in memory, against executors that are functions.

mod admission;
mod leases;
mod outages;
mod path;
mod restart;
mod watches;
#[cfg(all(feature = "local", feature = "kube", feature = "memory-cluster"))]
mod whole;

use std::sync::Mutex;
use std::time::Duration;

use futures_core::stream::BoxStream;
use tokio::task::JoinHandle;

use super::*;
use crate::blob::{Holder, MemoryBlobStore};
use crate::contract::Call;
use crate::crypto::{Blob, BlobHash, Ed25519Signer};
use crate::executor::{Error as Upstream, FnExecutor, Response};
use crate::ledger::memory::MemoryLedger;
use crate::ledger::{Cursor, Receipt, SequencedEvent, Snapshot};
use crate::token::Authorized;
use crate::types::{
    Address, AdminCapId, ClusterId, ClusterPolicy, Digest, HexBytes, K8sApiRequest,
    K8sApiRequestBuilder, MIST_PER_SUI, Method, Payload, PolicyRule, RequestId, ResponseRecord,
    TokenId,
};
use crate::wire::{Deployment, Event, RequestMessage, ResponseEnvelope};

/// A ledger with a cluster, a token that may do everything, and some executors.
pub(super) struct World {
    pub(super) ledger: MemoryLedger,
    pub(super) blobs: MemoryBlobStore,
    pub(super) cluster: ClusterId,
    cap: AdminCapId,
    pub(super) token: TokenId,
    pub(super) executors: Vec<(ExecutorId, Ed25519Signer)>,
    pub(super) directory: tempfile::TempDir,
}

/// A running Nautilus.
pub(super) struct Running {
    pub(super) status: Arc<Status>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(1, &ClusterPolicy::default())
    }

    pub(super) fn with(executors: usize, policy: &ClusterPolicy) -> Self {
        let owner = Ed25519Signer::generate().address();
        let ledger = MemoryLedger::new(owner);
        ledger.fund(owner, 100 * MIST_PER_SUI);
        let chain = ledger.deployment().chain;
        let created = ledger.apply(&Call::CreateCluster {
            name: "test".into(),
            chain,
            policy: policy.clone(),
        });
        let Event::ClusterCreated(created) = only(created) else {
            panic!("no cluster")
        };
        let (cluster, cap) = (created.cluster, created.admin_cap);
        let executors = (0..executors).map(|_| {
            let signer = Ed25519Signer::generate();
            let registered = ledger.apply(&Call::RegisterExecutor {
                cap,
                cluster,
                operator: owner,
                signing_key: HexBytes(signer.public_key().as_bytes().to_vec()),
                encryption_key: HexBytes(vec![7; 32]),
                attestation: HexBytes::default(),
            });
            match only(registered) {
                Event::ExecutorRegistered(event) => (event.executor, signer),
                other => panic!("{other:?}"),
            }
        });
        let executors = executors.collect();
        let mut world = Self {
            ledger,
            blobs: MemoryBlobStore::new(),
            cluster,
            cap,
            token: TokenId::ZERO,
            executors,
            directory: tempfile::tempdir().unwrap(),
        };
        world.token = world.issue_token();
        for index in 0..world.executors.len() {
            world.create_journal(index).unwrap();
        }
        world
    }

    /// A token with stake that may do everything.
    pub(super) fn issue_token(&self) -> TokenId {
        let all = || vec!["*".into()];
        let issued = self.ledger.apply(&Call::IssueToken {
            cap: self.cap,
            cluster: self.cluster,
            owner: self.ledger.account(),
            rules: vec![PolicyRule {
                verbs: all(),
                api_groups: all(),
                resources: [
                    "*",
                    "*/log",
                    "*/exec",
                    "*/attach",
                    "*/portforward",
                    "*/proxy",
                ]
                .map(Into::into)
                .to_vec(),
                namespaces: all(),
                ..PolicyRule::default()
            }],
            groups: vec!["developers".into()],
            not_before_ms: 0,
            expires_at_ms: u64::MAX,
            delegates: Vec::new(),
        });
        let Event::SealTokenIssued(issued) = only(issued) else {
            panic!("no token")
        };
        let token = issued.token;
        let amount = 10 * MIST_PER_SUI;
        self.ledger
            .apply(&Call::DepositStake { token, amount })
            .unwrap();
        token
    }

    /// The journal of an executor, born now.
    pub(super) fn create_journal(&self, index: usize) -> Result<(), JournalError> {
        let birth = self.ledger.view(|snapshot| snapshot.cursor);
        let chain = self.ledger.deployment().chain;
        let executor = self.executors[index].0;
        journal::create(&self.journal(index), chain, executor, birth)
    }

    pub(super) fn journal(&self, index: usize) -> std::path::PathBuf {
        self.directory.path().join(format!("{index}.sqlite"))
    }

    /// Quick where the defaults are patient.
    pub(super) fn config(&self) -> Config {
        Config {
            clock_tolerance: Duration::from_millis(20),
            blob_patience: Duration::from_millis(400),
            scan_interval: Duration::from_millis(25),
            claim_delay: Duration::from_millis(50),
            upkeep_interval: Duration::from_millis(200),
            prune_interval: Duration::ZERO,
            drain: Duration::from_secs(5),
            ..Config::new(self.journal(0))
        }
    }

    pub(super) fn request(&self, method: Method, path: &str) -> K8sApiRequestBuilder {
        K8sApiRequest::builder(method, path)
            .with_deadline_ms(self.ledger.now_ms() + 20_000)
            .with_header("accept", "application/json")
    }

    /// A request with a body, which is put where the executor finds it.
    pub(super) async fn with_body(
        &self,
        builder: K8sApiRequestBuilder,
        body: &[u8],
    ) -> K8sApiRequest {
        let blob = Blob::seal(body);
        let request = builder
            .with_payload(Payload::Hashed {
                hash: *blob.hash().as_bytes(),
                length: body.len() as u64,
            })
            .with_header("content-type", "application/json")
            .build()
            .unwrap();
        let holder = Holder::for_request(self.token, request.id());
        let keep = Duration::from_secs(60);
        self.blobs.put(&blob, &holder, keep).await.unwrap();
        request
    }

    pub(super) fn submit(&self, request: &K8sApiRequest) -> RequestId {
        let call = Call::ExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.token,
            request: RequestMessage::from(request),
        };
        self.ledger.apply(&call).unwrap();
        request.id()
    }

    pub(super) fn get(&self, path: &str) -> RequestId {
        self.submit(&self.request(Method::Get, path).build().unwrap())
    }

    pub(super) fn nautilus(&self, index: usize, executor: impl Executor) -> NautilusBuilder {
        let journal = self.journal(index);
        let (id, signer) = self.executors[index].clone();
        Nautilus::builder(
            Arc::new(self.ledger.clone()),
            Arc::new(executor),
            Arc::new(self.blobs.clone()),
            Arc::new(signer),
            id,
        )
        .with_config(Config {
            journal,
            ..self.config()
        })
    }

    pub(super) fn run(&self, executor: impl Executor) -> Running {
        Running::start(self.nautilus(0, executor).build().unwrap())
    }

    /// The index of the executor that a request is assigned to.
    pub(super) fn assigned(&self, id: RequestId) -> usize {
        let executor = self.held(id).executor;
        let mut executors = self.executors.iter();
        executors.position(|(known, _)| *known == executor).unwrap()
    }

    pub(super) fn held(&self, id: RequestId) -> crate::contract::Request {
        let token = self.token;
        self.ledger
            .view(|snapshot| snapshot.state.request(token, id).unwrap().clone())
    }

    /// A request that changes something and has no body, with a deadline in so many milliseconds.
    pub(super) fn delete(&self, deadline_ms: u64) -> RequestId {
        let request = self.request(Method::Delete, "/api/v1/nodes/a");
        let request = request.with_deadline_ms(self.ledger.now_ms() + deadline_ms);
        self.submit(&request.build().unwrap())
    }

    pub(super) fn record(&self, id: RequestId) -> Option<ResponseRecord> {
        let token = self.token;
        self.ledger.view(|snapshot| {
            let request = snapshot.state.request(token, id)?;
            request.record().cloned()
        })
    }

    /// The record, once there is one.
    pub(super) async fn answered(&self, id: RequestId) -> ResponseRecord {
        eventually(|| self.record(id)).await
    }

    /// Status and envelope, once there is an answer.
    pub(super) async fn answer(&self, id: RequestId) -> (u16, ResponseEnvelope) {
        let record = self.answered(id).await;
        let hash = BlobHash(record.envelope_hash[..].try_into().unwrap());
        let blob = self.blobs.fetch(&hash).await.unwrap();
        assert_eq!(blob.body_len() as u64, record.envelope_len);
        (record.status_code, bcs::from_bytes(&blob.body()).unwrap())
    }

    /// Status and the `Status` object, once there is an answer.
    pub(super) async fn status(&self, id: RequestId) -> (u16, serde_json::Value) {
        let (code, envelope) = self.answer(id).await;
        let status: serde_json::Value = serde_json::from_slice(&envelope.body).unwrap();
        assert_eq!(status["kind"], "Status", "{status}");
        assert_eq!(status["code"], code);
        let message = status["message"].as_str().unwrap();
        assert!(message.contains(&id.to_string()), "{message}");
        (code, status)
    }

    /// How many answers the ledger has for a request.
    pub(super) fn answers(&self, id: RequestId) -> usize {
        let events = self.ledger.all_events();
        let answers = events.iter().filter(|event| {
            matches!(&event.event, Event::K8sRequestProcessed(event)
                if event.request_id[..] == *id.to_wire())
        });
        answers.count()
    }
}

impl Running {
    pub(super) fn start(nautilus: Nautilus) -> Self {
        let status = nautilus.status();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(nautilus.run(shutdown.clone()));
        Self {
            status,
            shutdown,
            task,
        }
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }

    /// Whatever it is doing, it does no more.
    pub(super) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        // What it had spawned goes as soon as it is looked at, the journal's thread after that.
        while self.status.held() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }

    pub(super) async fn failed(self) -> Error {
        self.task.await.unwrap().unwrap_err()
    }
}

/// What an executor was asked, in order.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<RequestId>>>);

impl Calls {
    pub(super) fn note(&self, request: &Authorized<K8sApiRequest>) {
        self.0.lock().unwrap().push(request.request().id());
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(super) fn of(&self, id: RequestId) -> usize {
        let calls = self.0.lock().unwrap();
        calls.iter().filter(|call| **call == id).count()
    }

    /// An executor that notes what it is asked and says 200.
    pub(super) fn ok(&self) -> FnExecutor {
        let calls = self.clone();
        FnExecutor::new(move |request| {
            calls.note(&request);
            async { Ok(json(200, "{}")) }
        })
    }

    /// An executor that notes what it is asked and never answers.
    pub(super) fn hanging(&self) -> FnExecutor {
        let calls = self.clone();
        FnExecutor::new(move |request| {
            calls.note(&request);
            std::future::pending()
        })
    }

    /// An executor that notes what it is asked and fails.
    pub(super) fn failing(&self, error: fn() -> Upstream) -> FnExecutor {
        let calls = self.clone();
        FnExecutor::new(move |request| {
            calls.note(&request);
            async move { Err(error()) }
        })
    }
}

pub(super) fn json(status: u16, body: &'static str) -> Response {
    let headers = vec![
        ("Content-Type".to_owned(), b"application/json".to_vec()),
        ("Date".to_owned(), b"today".to_vec()),
    ];
    Response::full(status, headers, body)
}

pub(super) async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_500 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited for 15 s in vain")
}

/// Long enough for what must not happen to happen.
pub(super) async fn a_while() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

fn only(receipt: crate::ledger::Result<Receipt>) -> Event {
    let mut events = receipt.unwrap().events;
    assert_eq!(events.len(), 1);
    events.remove(0).event
}

/// A ledger whose events are not what they were, as a lying node would have it.
pub(super) struct Tampered {
    pub(super) inner: MemoryLedger,
    pub(super) tamper: Arc<dyn Fn(&mut Event) + Send + Sync>,
    /// The events up to here were archived.
    pub(super) archived: Cursor,
}

impl fmt::Debug for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tampered")
    }
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tampered ledger")
    }
}

#[async_trait::async_trait]
impl Ledger for Tampered {
    async fn call(&self, call: Call) -> ledger::Result<Receipt> {
        self.inner.call(call).await
    }

    fn events(&self, cursor: Cursor) -> BoxStream<'static, ledger::Result<SequencedEvent>> {
        use futures_util::StreamExt as _;
        if cursor < self.archived {
            let through = self.archived;
            let refused = Err(ledger::Error::Archived { through });
            return Box::pin(futures_util::stream::iter([refused]));
        }
        let tamper = Arc::clone(&self.tamper);
        let events = self.inner.events(cursor).map(move |event| {
            event.map(|mut event| {
                tamper(&mut event.event);
                event
            })
        });
        Box::pin(events)
    }

    fn read(&self, reader: &mut dyn FnMut(&Snapshot<'_>)) {
        self.inner.read(reader);
    }

    async fn sync(&self) -> ledger::Result<Cursor> {
        self.inner.sync().await
    }

    async fn receipt(&self, call: Digest) -> ledger::Result<Option<Receipt>> {
        self.inner.receipt(call).await
    }

    async fn balance(&self, account: Address) -> ledger::Result<u64> {
        self.inner.balance(account).await
    }

    fn deployment(&self) -> Deployment {
        self.inner.deployment()
    }

    fn account(&self) -> Address {
        self.inner.account()
    }
}
