//! A ledger in memory, a gateway, and somebody who answers as an executor would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use crate::blob::{AnswerKeep, BlobStore, Holder, Limits, MemoryBlobStore};
use crate::contract::Call;
use crate::crypto::{Blob, BlobHash, Ed25519Signer};
use crate::gateway::{Config, Gateway};
use crate::ledger::memory::MemoryLedger;
use crate::ledger::{Ledger as _, LedgerExt as _};
use crate::types::{
    AdminCapId, ByteString, ClusterId, ClusterPolicy, ExecutorId, HexBytes, MIST_PER_SUI,
    PolicyRule, RequestId, TokenId,
};
use crate::wire::{
    self, AnswerMessage, Credential, Delegate, Event, IntentKind, K8sRequestRejected,
    ResponseEnvelope, SignedCredential, to_bcs,
};

pub(super) const AUDIENCE: &str = "gateway.test:6443";
pub(super) const PODS: &str = "/api/v1/namespaces/a/pods";
const HOUR_MS: u64 = 3_600_000;

pub(super) struct World {
    pub(super) ledger: MemoryLedger,
    pub(super) blobs: MemoryBlobStore,
    pub(super) gateway: Gateway,
    pub(super) owner: Ed25519Signer,
    pub(super) cluster: ClusterId,
    pub(super) cap: AdminCapId,
    pub(super) token: TokenId,
    pub(super) executor: ExecutorId,
}

/// What the cluster would do with a request.
#[derive(Clone)]
pub(super) enum Act {
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Never answers.
    Silent,
    /// Answers after a while.
    After(Duration, Box<Act>),
    /// The bytes in the store are other ones.
    OtherBytes,
    /// There are no bytes in the store for an answer of this status.
    Lost(u16),
    /// The length on the ledger is another one.
    OtherLength,
    /// The bytes are no envelope.
    NoEnvelope,
}

impl Act {
    pub(super) fn json(status: u16, body: impl Into<String>) -> Self {
        let content_type = ("content-type", "application/json".to_owned());
        Self::Answer(status, vec![content_type], body.into().into_bytes())
    }
}

type Acting = dyn Fn(&wire::K8sApiRequest) -> Act + Send + Sync;

/// What a client got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(super) fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// It is a `Status` of this code and reason; its message.
    #[track_caller]
    pub(super) fn refused(&self, code: u16, reason: &str) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), code, "{text}");
        let status = self.json();
        assert_eq!(status["kind"], "Status", "{text}");
        assert_eq!(status["apiVersion"], "v1");
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["code"], code);
        assert_eq!(status["reason"], reason, "{text}");
        assert_eq!(self.headers["content-type"], "application/json");
        self.message()
    }
}

/// A token that may do what an editor of namespace `a` may, with 2 SUI of stake.
pub(super) fn editor() -> Vec<PolicyRule> {
    let rule = PolicyRule::builder()
        .with_verbs(["*"])
        .with_api_groups(["", "apps"])
        .with_resources([
            "pods",
            "pods/log",
            "pods/proxy",
            "configmaps",
            "deployments",
        ])
        .with_namespaces(["a"]);
    vec![rule.build().unwrap()]
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world whose gateway has other settings. Its executor answers `{}` until [`World::answer`] says otherwise.
    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_store(change, |blobs| Arc::new(blobs)).await
    }

    /// A world whose gateway sees another store than its executor.
    pub(super) async fn with_store(
        change: impl FnOnce(&mut Config),
        store: impl FnOnce(MemoryBlobStore) -> Arc<dyn BlobStore>,
    ) -> Self {
        let blobs = MemoryBlobStore::new();
        Self::with_both(change, blobs.clone(), store(blobs)).await
    }

    /// A world whose store has other limits.
    pub(super) async fn with_limits(limits: Limits) -> Self {
        let blobs = MemoryBlobStore::new().with_limits(limits);
        Self::with_both(|_| {}, blobs.clone(), Arc::new(blobs)).await
    }

    async fn with_both(
        change: impl FnOnce(&mut Config),
        blobs: MemoryBlobStore,
        store: Arc<dyn BlobStore>,
    ) -> Self {
        let owner = Ed25519Signer::from_seed([1; 32]);
        let account = Ed25519Signer::from_seed([2; 32]).address();
        let ledger = MemoryLedger::new(owner.address());
        ledger.fund(owner.address(), 100 * MIST_PER_SUI);
        let created = ledger.apply(&Call::CreateCluster {
            name: ByteString::from("test"),
            chain: ledger.deployment().chain,
            policy: ClusterPolicy::default(),
        });
        let (cluster, cap) = match &created.unwrap().events[0].event {
            Event::ClusterCreated(event) => (event.cluster, event.admin_cap),
            other => panic!("{other:?}"),
        };
        let signing = Ed25519Signer::from_seed([3; 32]);
        let registered = ledger.apply(&Call::RegisterExecutor {
            cap,
            cluster,
            operator: owner.address(),
            signing_key: HexBytes(signing.public_key().as_bytes().to_vec()),
            encryption_key: HexBytes(vec![9; 32]),
            attestation: HexBytes::default(),
        });
        let executor = match &registered.unwrap().events[0].event {
            Event::ExecutorRegistered(event) => event.executor,
            other => panic!("{other:?}"),
        };
        let mut config = Config::new(AUDIENCE);
        config.answer_grace = Duration::from_millis(200);
        change(&mut config);
        let gateway = Gateway::builder(Arc::new(ledger.as_account(account)), store, cluster);
        let gateway = gateway.with_config(config).build().unwrap();
        let mut world = Self {
            ledger,
            blobs,
            gateway,
            owner,
            cluster,
            cap,
            token: TokenId::ZERO,
            executor,
        };
        world.token = world.issue(editor());
        world.stake(world.token, 2 * MIST_PER_SUI);
        world
    }

    /// A world whose gateway has other settings, and a token of its own.
    pub(super) async fn with_own_token(change: impl FnOnce(&mut Config)) -> (Self, TokenId) {
        let world = Self::new().await;
        let own = world.issue(Vec::new());
        let mut config = world.gateway.config().clone();
        config.discovery_token = Some(own);
        change(&mut config);
        let gateway = Gateway::builder(
            world.gateway.inner.ledger.clone(),
            world.gateway.inner.blobs.clone(),
            world.cluster,
        );
        let gateway = gateway.with_config(config).build().unwrap();
        (Self { gateway, ..world }, own)
    }

    /// Another token of the same owner, without stake.
    pub(super) fn issue(&self, rules: Vec<PolicyRule>) -> TokenId {
        let now_ms = self.ledger.now_ms();
        let issued = self.ledger.apply(&Call::IssueToken {
            cap: self.cap,
            cluster: self.cluster,
            owner: self.owner.address(),
            rules,
            groups: Vec::new(),
            not_before_ms: now_ms,
            expires_at_ms: now_ms + 24 * HOUR_MS,
            delegates: vec![Delegate {
                delegate: self.gateway.inner.ledger.account(),
                expires_at_ms: now_ms + 24 * HOUR_MS,
            }],
        });
        match &issued.unwrap().events[0].event {
            Event::SealTokenIssued(event) => event.token,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn stake(&self, token: TokenId, amount: u64) {
        self.apply(Call::DepositStake { token, amount });
    }

    pub(super) fn apply(&self, call: Call) {
        self.ledger.apply(&call).unwrap();
    }

    /// Begins to answer, from the next event on; until the world's runtime ends.
    pub(super) fn answer(&self, act: impl Fn(&wire::K8sApiRequest) -> Act + Send + Sync + 'static) {
        let act: Arc<Acting> = Arc::new(act);
        let (ledger, blobs) = (self.ledger.clone(), self.blobs.clone());
        let from = ledger.view(|snapshot| snapshot.cursor);
        tokio::spawn(async move {
            let mut events = ledger.events(from);
            while let Some(Ok(event)) = events.next().await {
                if let Event::K8sApiRequest(request) = event.event {
                    let act = act(&request);
                    let (ledger, blobs) = (ledger.clone(), blobs.clone());
                    tokio::spawn(async move { respond(&ledger, &blobs, &request, act).await });
                }
            }
        });
    }

    /// Answers everything with this.
    pub(super) fn answer_json(&self, status: u16, body: &'static str) {
        self.answer(move |_| Act::json(status, body));
    }

    pub(super) fn credential(&self, token: TokenId) -> Credential {
        let now_ms = self.ledger.now_ms();
        Credential {
            token,
            cluster: self.cluster,
            audience: ByteString::from(AUDIENCE),
            not_before_ms: now_ms,
            not_after_ms: now_ms + 600_000,
            id: *b"0123456789abcdef",
        }
    }

    pub(super) fn sign(&self, signer: &Ed25519Signer, credential: Credential) -> String {
        let (cluster, token) = (credential.cluster, credential.token);
        let intent = self
            .ledger
            .deployment()
            .intent(IntentKind::Credential, cluster, token);
        let signed = SignedCredential {
            signature: signer.sign_now(&intent.signed_bytes(&credential)),
            credential,
            public_key: signer.public_key(),
        };
        signed.to_bearer()
    }

    pub(super) fn bearer(&self) -> String {
        self.sign(&self.owner, self.credential(self.token))
    }

    /// A request with the owner's credential.
    pub(super) fn request(&self, method: &str, target: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(target)
            .header("authorization", format!("Bearer {}", self.bearer()))
    }

    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Got {
        let request = request.body(Full::new(body.into())).unwrap();
        let (parts, body) = self.gateway.handle(request).await.into_parts();
        Got {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(super) async fn get(&self, target: &str) -> Got {
        self.send(self.request("GET", target), "").await
    }

    pub(super) async fn post(&self, target: &str, body: impl Into<Bytes>) -> Got {
        let request = self.request("POST", target);
        self.send(request.header("content-type", "application/json"), body)
            .await
    }

    /// What the ledger's state says of the world's token.
    pub(super) fn ledger_view<T>(
        &self,
        look: impl FnOnce(&crate::contract::State, TokenId) -> T,
    ) -> T {
        self.ledger
            .view(|snapshot| look(snapshot.state, self.token))
    }

    /// The requests that were admitted, oldest first.
    pub(super) fn admitted(&self) -> Vec<wire::K8sApiRequest> {
        let events = self.ledger.all_events().into_iter();
        events
            .filter_map(|event| match event.event {
                Event::K8sApiRequest(request) => Some(request),
                _ => None,
            })
            .collect()
    }

    /// The refusals that were recorded one by one.
    pub(super) fn rejected(&self) -> Vec<K8sRequestRejected> {
        let events = self.ledger.all_events().into_iter();
        events
            .filter_map(|event| match event.event {
                Event::K8sRequestRejected(rejected) => Some(rejected),
                _ => None,
            })
            .collect()
    }

    /// Waits until `count` refusals are recorded, and a little longer in case there are more; their codes.
    pub(super) async fn recorded(&self, count: usize) -> Vec<u8> {
        for _ in 0..100 {
            if self.rejected().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.rejected()
            .iter()
            .map(|rejected| rejected.code)
            .collect()
    }
}

async fn respond(
    ledger: &MemoryLedger,
    blobs: &MemoryBlobStore,
    request: &wire::K8sApiRequest,
    act: Act,
) {
    let mut act = act;
    while let Act::After(wait, then) = act {
        tokio::time::sleep(wait).await;
        act = *then;
    }
    let (status, envelope) = match &act {
        Act::Silent => return,
        Act::Answer(status, headers, body) => {
            let headers = headers.iter().map(|(name, value)| (*name, value));
            (
                *status,
                to_bcs(&ResponseEnvelope::new(headers, body.clone())),
            )
        }
        Act::NoEnvelope => (200, vec![0xff; 40]),
        Act::Lost(status) => (*status, to_bcs(&ResponseEnvelope::default())),
        _ => (200, to_bcs(&ResponseEnvelope::default())),
    };
    let blob = Blob::seal(&envelope);
    let mut length = envelope.len() as u64;
    let mut hash = blob.hash();
    let id = RequestId::from_bytes(&request.request_id).unwrap();
    match act {
        Act::Lost(_) => {}
        Act::OtherLength => {
            length += 1;
            put(blobs, &blob, request.seal_token_id, id).await;
        }
        // What is stored is fine by itself, but not what was signed.
        Act::OtherBytes => hash = BlobHash([0xee; 32]),
        _ => put(blobs, &blob, request.seal_token_id, id).await,
    }
    let signer = Ed25519Signer::from_seed([3; 32]);
    let message = AnswerMessage {
        request_id: request.request_id.clone(),
        digest: request.digest,
        epoch: request.epoch,
        status,
        envelope_hash: HexBytes(hash.0.to_vec()),
        envelope_len: length,
        sealed_hash: HexBytes::default(),
        time_ms: ledger.now_ms(),
    };
    let (cluster, token) = (request.cluster, request.seal_token_id);
    let intent = ledger
        .deployment()
        .intent(IntentKind::Answer, cluster, token);
    let signature = signer.sign_now(&intent.signed_bytes(&message));
    let stored = ledger.apply(&Call::StoreK8sResponse {
        cluster,
        token,
        request_id: message.request_id,
        executor: request.nautilus_endpoint,
        epoch: message.epoch,
        status,
        envelope_hash: message.envelope_hash,
        envelope_len: length,
        sealed: ByteString::default(),
        time_ms: message.time_ms,
        signature: HexBytes(signature.as_bytes().to_vec()),
    });
    // An outage that a test made: what was lost on the way back has happened.
    assert!(
        matches!(stored, Ok(_) | Err(crate::ledger::Error::Unavailable(_))),
        "{stored:?}"
    );
}

async fn put(blobs: &MemoryBlobStore, blob: &Blob, token: TokenId, id: RequestId) {
    let keep = Duration::from_secs(600);
    blobs
        .put(blob, &Holder::for_request(token, id), keep)
        .await
        .unwrap();
}

/// A store that gives other bytes than it was asked for.
#[derive(Debug)]
pub(super) struct LyingStore(pub(super) MemoryBlobStore);

#[async_trait::async_trait]
impl BlobStore for LyingStore {
    async fn put(
        &self,
        blob: &Blob,
        holder: &Holder,
        keep: Duration,
    ) -> crate::blob::Result<BlobHash> {
        self.0.put(blob, holder, keep).await
    }

    async fn put_answer(
        &self,
        blob: &Blob,
        holder: &Holder,
        keep: AnswerKeep,
    ) -> crate::blob::Result<BlobHash> {
        self.0.put_answer(blob, holder, keep).await
    }

    async fn fetch(&self, _hash: &BlobHash) -> crate::blob::Result<Blob> {
        let invented =
            ResponseEnvelope::new([("content-type", "text/plain")], b"invented".to_vec());
        Ok(Blob::seal(to_bcs(&invented)))
    }

    async fn fetch_held(&self, hash: &BlobHash, _holder: &Holder) -> crate::blob::Result<Blob> {
        self.fetch(hash).await
    }

    async fn retain(
        &self,
        hash: &BlobHash,
        holder: &Holder,
        keep: Duration,
    ) -> crate::blob::Result<()> {
        self.0.retain(hash, holder, keep).await
    }

    async fn retain_answer(
        &self,
        hash: &BlobHash,
        holder: &Holder,
        least: Duration,
        wanted: Duration,
    ) -> crate::blob::Result<()> {
        self.0.retain_answer(hash, holder, least, wanted).await
    }

    async fn release(&self, hash: &BlobHash, holder: &Holder) -> crate::blob::Result<()> {
        self.0.release(hash, holder).await
    }

    async fn sweep(&self) -> crate::blob::Result<crate::blob::Swept> {
        self.0.sweep().await
    }

    async fn usage(&self) -> crate::blob::Result<crate::blob::Usage> {
        self.0.usage().await
    }
}

/// What happens one after the other, for asserting on from two sides.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(super) fn push(&self, text: impl Into<String>) -> usize {
        let mut seen = self.0.lock().unwrap();
        seen.push(text.into());
        seen.len()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
