//! The real parts together: the local ledger, two executors, `kube`, the memory cluster.

use super::*;
use crate::executor::kube::KubeExecutor;
use crate::ledger::local::{Genesis, LocalLedger};
use crate::memory_cluster::MemoryCluster;

struct Whole {
    ledger: Arc<dyn Ledger>,
    blobs: MemoryBlobStore,
    cluster: ClusterId,
    token: TokenId,
}

impl Whole {
    async fn made(&self, call: Call) -> Event {
        let mut events = self.ledger.call(call).await.unwrap().events;
        events.remove(0).event
    }

    async fn submit(&self, builder: K8sApiRequestBuilder, body: &[u8]) -> RequestId {
        let deadline_ms = self.ledger.now_ms() + 20_000;
        let mut builder = builder
            .with_deadline_ms(deadline_ms)
            .with_header("accept", "application/json");
        let blob = (!body.is_empty()).then(|| Blob::seal(body));
        if let Some(blob) = &blob {
            let hash = *blob.hash().as_bytes();
            let length = body.len() as u64;
            builder = builder
                .with_payload(Payload::Hashed { hash, length })
                .with_header("content-type", "application/json");
        }
        let request = builder.build().unwrap();
        if let Some(blob) = &blob {
            let holder = Holder::for_request(self.token, request.id());
            let keep = Duration::from_secs(60);
            self.blobs.put(blob, &holder, keep).await.unwrap();
        }
        let call = Call::ExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.token,
            request: RequestMessage::from(&request),
        };
        self.made(call).await;
        request.id()
    }

    async fn answer(&self, id: RequestId) -> (u16, ResponseEnvelope) {
        let token = self.token;
        let record = loop {
            let request = self.ledger.request(token, id).await.unwrap();
            if let Some(record) = request.and_then(|request| request.record().cloned()) {
                break record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let hash = BlobHash(record.envelope_hash[..].try_into().unwrap());
        let blob = self.blobs.fetch(&hash).await.unwrap();
        (record.status_code, bcs::from_bytes(&blob.body()).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubernetes_requests_travel_from_the_ledger_to_a_cluster_and_back() {
    let kubernetes = MemoryCluster::builder()
        .with_authorization(false)
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let kubeconfig = kubernetes.kubeconfig(&server);
    let stop_cluster = CancellationToken::new();
    let serving = tokio::spawn(kubernetes.serve(listener, stop_cluster.clone()));

    let directory = tempfile::tempdir().unwrap();
    let owner = Ed25519Signer::generate();
    let genesis = Genesis::new(vec![(owner.address(), 10 * MIST_PER_SUI)]);
    let ledger = LocalLedger::create(directory.path().join("ledger"), genesis, Arc::new(owner))
        .await
        .unwrap();
    let relay = ledger.with_signer(Arc::new(Ed25519Signer::generate()));
    let mut whole = Whole {
        ledger: Arc::new(ledger),
        blobs: MemoryBlobStore::new(),
        cluster: ClusterId::ZERO,
        token: TokenId::ZERO,
    };
    let chain = whole.ledger.deployment().chain;
    let create = Call::CreateCluster {
        name: "whole".into(),
        chain,
        policy: ClusterPolicy::default(),
    };
    let Event::ClusterCreated(created) = whole.made(create).await else {
        panic!("no cluster")
    };
    let (cluster, cap) = (created.cluster, created.admin_cap);
    let mut running = Vec::new();
    for n in 0..2 {
        let signer = Ed25519Signer::generate();
        let register = Call::RegisterExecutor {
            cap,
            cluster,
            operator: whole.ledger.account(),
            signing_key: HexBytes(signer.public_key().as_bytes().to_vec()),
            encryption_key: HexBytes(vec![n; 32]),
            attestation: HexBytes::default(),
        };
        let Event::ExecutorRegistered(registered) = whole.made(register).await else {
            panic!("no executor")
        };
        let executor = KubeExecutor::from_kubeconfig_text(&kubeconfig, None).await;
        let nautilus = Nautilus::builder(
            Arc::new(relay.clone()),
            Arc::new(executor.unwrap()),
            Arc::new(whole.blobs.clone()),
            Arc::new(signer),
            registered.executor,
        );
        let config = Config::new(directory.path().join(format!("{n}.sqlite")));
        create_journal(&config.journal, &*whole.ledger, registered.executor)
            .await
            .unwrap();
        running.push(Running::start(
            nautilus.with_config(config).build().unwrap(),
        ));
    }
    let all = || vec!["*".into()];
    let issue = Call::IssueToken {
        cap,
        cluster,
        owner: whole.ledger.account(),
        rules: vec![PolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            namespaces: all(),
            ..PolicyRule::default()
        }],
        groups: Vec::new(),
        not_before_ms: 0,
        expires_at_ms: u64::MAX,
        delegates: Vec::new(),
    };
    let Event::SealTokenIssued(issued) = whole.made(issue).await else {
        panic!("no token")
    };
    (whole.cluster, whole.token) = (cluster, issued.token);
    let amount = 2 * MIST_PER_SUI;
    let token = whole.token;
    whole.made(Call::DepositStake { token, amount }).await;

    let maps = "/api/v1/namespaces/default/configmaps";
    let post = || K8sApiRequest::builder(Method::Post, maps);
    let body = |n: usize| {
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"map-{n}"}}}}"#)
    };
    let list = || K8sApiRequest::builder(Method::Get, maps);
    let (status, envelope) = whole.answer(whole.submit(list(), b"").await).await;
    assert_eq!(status, 200);
    let before: serde_json::Value = serde_json::from_slice(&envelope.body).unwrap();
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();
    let watch = list().with_query(format!("watch=true&resourceVersion={version}"));
    let watch = whole.submit(watch, b"").await;
    let mut created = Vec::new();
    for n in 0..20 {
        created.push(whole.submit(post(), body(n).as_bytes()).await);
    }
    for id in created {
        assert_eq!(whole.answer(id).await.0, 201);
    }
    // Each was made once: made again it is there already.
    let again = whole.submit(post(), body(0).as_bytes()).await;
    assert_eq!(whole.answer(again).await.0, 409);
    let (status, envelope) = whole.answer(watch).await;
    assert_eq!(status, 200);
    let events = std::str::from_utf8(&envelope.body).unwrap().lines();
    let events: Vec<serde_json::Value> = events
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    assert!(!events.is_empty());
    assert!(events.iter().all(|event| event["type"] == "ADDED"));
    let executed: Vec<_> = running.iter().map(|one| one.status.executed()).collect();
    assert_eq!(executed.iter().sum::<u64>(), 23, "{executed:?}");
    assert!(executed.iter().all(|count| *count > 0), "{executed:?}");
    for one in running {
        one.stop().await.unwrap();
    }
    stop_cluster.cancel();
    serving.await.unwrap().unwrap();
}
