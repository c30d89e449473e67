//! When the cluster, the ledger or the blob store is not there.

use super::*;
use crate::ledger::memory::Outage;

#[tokio::test]
async fn what_did_not_reach_the_cluster_is_503_and_says_where_it_should_be() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.failing(|| Upstream::NotSent {
        reason: "kube:6443: connection refused".into(),
    }));
    let write = world
        .request(Method::Delete, "/api/v1/nodes/a")
        .build()
        .unwrap();
    let id = world.submit(&write);
    let (code, status) = world.status(id).await;
    assert_eq!(
        (code, &status["reason"]),
        (503, &"ServiceUnavailable".into())
    );
    // The gateway knows it by this.
    let causes = &status["details"]["causes"];
    assert_eq!(causes[0]["reason"], "ClusterUnreachable");
    assert_eq!(causes[0]["message"], "kube:6443: connection refused");
    assert_eq!(causes[1]["reason"], "DaasRequestId");
    // A client that tries again by itself would wait in silence.
    assert!(status["details"]["retryAfterSeconds"].is_null());
    let (_, envelope) = world.answer(id).await;
    let mut headers = envelope.headers.iter();
    assert!(headers.all(|(name, _)| name[..] != *b"retry-after"));
    assert_eq!(calls.of(id), 1);
    assert_eq!(
        running.status.cluster_error().as_deref(),
        Some("kube:6443: connection refused")
    );
    assert!(!running.status.is_ready());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_did_not_reach_the_cluster_goes_to_another_executor() {
    let world = World::with(2, &ClusterPolicy::default());
    let (bad, good) = (Calls::default(), Calls::default());
    let unreachable = bad.failing(|| Upstream::NotSent {
        reason: "connection refused".into(),
    });
    let first = Running::start(world.nautilus(0, unreachable).build().unwrap());
    let second = Running::start(world.nautilus(1, good.ok()).build().unwrap());
    let ids: Vec<_> = (0..10)
        .map(|n| {
            let path = format!("/api/v1/nodes/n{n}");
            world.submit(&world.request(Method::Delete, &path).build().unwrap())
        })
        .collect();
    for id in ids {
        assert_eq!(world.answered(id).await.status_code, 200);
        assert_eq!(good.of(id), 1);
    }
    assert_eq!(first.status.released(), bad.count() as u64);
    assert!(bad.count() > 0);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn executors_that_all_fail_do_not_hand_a_request_round_for_ever() {
    let world = World::with(2, &ClusterPolicy::default());
    let calls = Calls::default();
    let unreachable = || {
        calls.failing(|| Upstream::NotSent {
            reason: "connection refused".into(),
        })
    };
    let first = Running::start(world.nautilus(0, unreachable()).build().unwrap());
    let second = Running::start(world.nautilus(1, unreachable()).build().unwrap());
    let write = world
        .request(Method::Delete, "/api/v1/nodes/a")
        .build()
        .unwrap();
    let id = world.submit(&write);
    assert_eq!(world.status(id).await.0, 503);
    assert_eq!(calls.of(id), 3);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_leaves_a_write_unknown() {
    let world = World::with(2, &ClusterPolicy::default());
    let calls = Calls::default();
    let broken = || {
        calls.failing(|| Upstream::Interrupted {
            reason: "reset".into(),
        })
    };
    let first = Running::start(world.nautilus(0, broken()).build().unwrap());
    let second = Running::start(world.nautilus(1, broken()).build().unwrap());
    let write = world
        .request(Method::Delete, "/api/v1/nodes/a")
        .build()
        .unwrap();
    let id = world.submit(&write);
    let (code, envelope) = world.answer(id).await;
    assert_eq!(code, 504);
    assert!(
        envelope
            .headers
            .iter()
            .all(|(name, _)| name[..] != *b"retry-after")
    );
    let read = world.get("/api/v1/nodes");
    assert_eq!(world.status(read).await.0, 503);
    a_while().await;
    // Nobody else gets it.
    assert_eq!((calls.of(id), calls.of(read)), (1, 1));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_a_write_unknown() {
    let world = World::new();
    let running = world.run(FnExecutor::new(|_| async {
        let pieces = [
            Ok(bytes::Bytes::from_static(b"{\"kind\":")),
            Err(Upstream::Interrupted {
                reason: "reset".into(),
            }),
        ];
        Ok(Response {
            status: 201,
            headers: Vec::new(),
            body: Box::pin(futures_util::stream::iter(pieces)),
        })
    }));
    let write = world
        .request(Method::Delete, "/api/v1/nodes/a")
        .build()
        .unwrap();
    let (code, status) = world.status(world.submit(&write)).await;
    assert_eq!(code, 504);
    assert!(status["message"].as_str().unwrap().contains("answered 201"));
    assert_eq!(world.status(world.get("/api/v1/nodes")).await.0, 503);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_executor_cannot_do_is_501() {
    let world = World::new();
    let running = world.run(Calls::default().failing(|| Upstream::Unsupported {
        reason: "not this".into(),
    }));
    let (code, status) = world.status(world.get("/api/v1/nodes")).await;
    assert_eq!(code, 501);
    assert!(status["message"].as_str().unwrap().ends_with("not this"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_answer_is_stored_when_the_ledger_is_back() {
    for outage in [
        Outage::Unavailable,
        Outage::Busy,
        Outage::DiskReserve,
        Outage::LostReceipts,
    ] {
        let world = World::new();
        let calls = Calls::default();
        let (noted, ledger) = (calls.clone(), world.ledger.clone());
        let running = world.run(FnExecutor::new(move |request| {
            noted.note(&request);
            ledger.set_outage(Some(outage));
            async { Ok(json(200, "{}")) }
        }));
        let write = world
            .request(Method::Delete, "/api/v1/nodes/a")
            .build()
            .unwrap();
        let id = world.submit(&write);
        eventually(|| (calls.count() == 1).then_some(())).await;
        a_while().await;
        world.ledger.set_outage(None);
        assert_eq!(world.answered(id).await.status_code, 200, "{outage:?}");
        eventually(|| (running.status.held() == 0).then_some(())).await;
        assert_eq!((calls.of(id), world.answers(id)), (1, 1), "{outage:?}");
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_envelope_that_the_store_will_never_take_is_said_to_be_too_large() {
    let mut world = World::new();
    let limits = crate::blob::Limits::new(1 << 20, 100, 2_000);
    world.blobs = MemoryBlobStore::new().with_limits(limits);
    let running = world.run(FnExecutor::new(|_| async {
        Ok(Response::full(200, Vec::new(), vec![b'x'; 3_000]))
    }));
    let (code, status) = world.status(world.get("/api/v1/nodes")).await;
    assert_eq!(code, 507);
    assert!(status["message"].as_str().unwrap().contains("2000"));
    running.stop().await.unwrap();
}

/// A ledger that never takes an answer.
#[derive(Debug)]
struct Refusing {
    inner: MemoryLedger,
    code: crate::contract::Code,
    asked: Arc<std::sync::atomic::AtomicU64>,
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refusing ledger")
    }
}

#[async_trait::async_trait]
impl Ledger for Refusing {
    async fn call(&self, call: Call) -> ledger::Result<Receipt> {
        if matches!(call, Call::StoreK8sResponse { .. }) {
            self.asked
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Err(ledger::Error::Refused(self.code));
        }
        self.inner.call(call).await
    }

    fn events(&self, cursor: Cursor) -> BoxStream<'static, ledger::Result<SequencedEvent>> {
        self.inner.events(cursor)
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

/// Deadline and what is kept after it pass: that the write began is known as long as the ledger has it.
#[tokio::test]
async fn an_answer_that_is_refused_for_good_is_sent_once_and_not_forgotten() {
    let world = World::new();
    let calls = Calls::default();
    let asked = Arc::default();
    let refusing = || {
        let (id, signer) = world.executors[0].clone();
        let ledger = Refusing {
            inner: world.ledger.clone(),
            code: crate::contract::Code::MalformedResponse,
            asked: Arc::clone(&asked),
        };
        let builder = Nautilus::builder(
            Arc::new(ledger),
            Arc::new(calls.ok()),
            Arc::new(world.blobs.clone()),
            Arc::new(signer),
            id,
        );
        builder.with_config(world.config()).build()
    };
    let running = Running::start(refusing().unwrap());
    let id = world.delete(20_000);
    eventually(|| (calls.count() == 1 && running.status.held() == 0).then_some(())).await;
    let sent = || asked.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(sent(), 1);
    running.stop().await.unwrap();
    // Long after the deadline, before the ledger may forget it.
    world.ledger.set_skew_ms(20 * 60_000);
    let nautilus = eventually(|| refusing().ok()).await;
    let running = Running::start(nautilus);
    a_while().await;
    running.stop().await.unwrap();
    let nautilus = eventually(|| world.nautilus(0, calls.ok()).build().ok()).await;
    let running = Running::start(nautilus);
    // The one that was signed, and no other.
    assert_eq!(world.answered(id).await.status_code, 200);
    assert_eq!((calls.of(id), world.answers(id)), (1, 1));
    running.stop().await.unwrap();
}

/// A token that fills its share of the store: its next answer is named, others are not disturbed.
#[tokio::test]
async fn an_answer_without_room_is_507_at_once_and_others_have_theirs() {
    let mut world = World::new();
    let limits = crate::blob::Limits::new(1 << 20, 1_000, 200_000);
    world.blobs = MemoryBlobStore::new().with_limits(limits);
    let calls = Calls::default();
    let noted = calls.clone();
    let running = world.run(FnExecutor::new(move |request| {
        noted.note(&request);
        async { Ok(Response::full(200, Vec::new(), vec![b'x'; 100_000])) }
    }));
    // A quarter of a megabyte has room for two.
    for _ in 0..2 {
        let id = world.get("/api/v1/nodes");
        assert_eq!(world.answer(id).await.0, 200);
    }
    let started = std::time::Instant::now();
    let (code, status) = world.status(world.get("/api/v1/nodes")).await;
    assert_eq!(
        (code, &status["reason"]),
        (507, &"InsufficientStorage".into())
    );
    let write = world.delete(20_000);
    let (code, status) = world.status(write).await;
    assert_eq!(code, 507);
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("was executed and the cluster answered 200"),
        "{message}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((calls.of(write), world.answers(write)), (1, 1));
    let other = Holder::for_request(TokenId::new([9; 32]), RequestId::new());
    let keep = Duration::from_secs(60);
    let blob = Blob::seal(vec![b'y'; 100_000]);
    world.blobs.put(&blob, &other, keep).await.unwrap();
    running.stop().await.unwrap();
}

/// A store that is full of others' blobs: named after a little patience, not held until the deadline.
#[tokio::test]
async fn an_answer_that_finds_the_store_full_does_not_wait_for_its_deadline() {
    let mut world = World::new();
    let limits = crate::blob::Limits::new(1 << 20, 1_000, 1 << 20).with_answer_percent(10);
    world.blobs = MemoryBlobStore::new().with_limits(limits);
    let keep = Duration::from_secs(60);
    let filler = Blob::seal(vec![0; 940_000]);
    let somebody = Holder::new("somebody").unwrap();
    world.blobs.put(&filler, &somebody, keep).await.unwrap();
    let running = world.run(FnExecutor::new(|_| async {
        Ok(Response::full(200, Vec::new(), vec![b'x'; 100_000]))
    }));
    let started = std::time::Instant::now();
    let (code, _) = world.status(world.get("/api/v1/nodes")).await;
    assert_eq!(code, 507);
    assert!(started.elapsed() < Duration::from_secs(10));
    // It goes on as soon as there is room.
    world
        .blobs
        .release(&filler.hash(), &somebody)
        .await
        .unwrap();
    assert_eq!(world.answer(world.get("/api/v1/nodes")).await.0, 200);
    running.stop().await.unwrap();
}

/// A read's answer is of no use for longer than its deadline and a minute; a write's is kept with its record.
#[tokio::test]
async fn answers_are_held_as_long_as_they_are_of_use() {
    #[derive(Debug)]
    struct Noting(MemoryBlobStore, Mutex<Vec<(Duration, Duration)>>);

    #[async_trait::async_trait]
    impl BlobStore for Noting {
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
            keep: crate::blob::AnswerKeep,
        ) -> crate::blob::Result<BlobHash> {
            self.1.lock().unwrap().push((keep.least, keep.wanted));
            self.0.put_answer(blob, holder, keep).await
        }
        async fn fetch(&self, hash: &BlobHash) -> crate::blob::Result<Blob> {
            self.0.fetch(hash).await
        }
        async fn fetch_held(&self, hash: &BlobHash, holder: &Holder) -> crate::blob::Result<Blob> {
            self.0.fetch_held(hash, holder).await
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

    let world = World::new();
    let store = Arc::new(Noting(world.blobs.clone(), Mutex::default()));
    let (id, signer) = world.executors[0].clone();
    let nautilus = Nautilus::builder(
        Arc::new(world.ledger.clone()),
        Arc::new(Calls::default().ok()),
        Arc::clone(&store) as Arc<dyn BlobStore>,
        Arc::new(signer),
        id,
    );
    let running = Running::start(nautilus.with_config(world.config()).build().unwrap());
    for id in [world.get("/api/v1/nodes"), world.delete(20_000)] {
        world.answered(id).await;
    }
    let noted = store.1.lock().unwrap().clone();
    let [(read, read_wanted), (write, write_wanted)] = noted[..] else {
        panic!("{noted:?}")
    };
    let deadline = Duration::from_secs(60)..=Duration::from_secs(81);
    assert!(
        deadline.contains(&read) && deadline.contains(&write),
        "{noted:?}"
    );
    assert_eq!(read, read_wanted);
    // Priority 2 by the default policy.
    assert_eq!(write_wanted - write, Duration::from_secs(3600));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_archived_is_passed_over_and_what_came_later_is_executed() {
    let world = World::new();
    let request = |name: &str| {
        let path = format!("/api/v1/nodes/{name}");
        world.request(Method::Delete, &path).build().unwrap()
    };
    // Nobody runs yet; this one's events are gone when somebody does.
    let before = world.submit(&request("before"));
    let archived = world.ledger.sync().await.unwrap();
    let after = world.submit(&request("after"));
    let ledger = Tampered {
        inner: world.ledger.clone(),
        tamper: Arc::new(|_| ()),
        archived,
    };
    let (id, signer) = world.executors[0].clone();
    let calls = Calls::default();
    let nautilus = Nautilus::builder(
        Arc::new(ledger),
        Arc::new(calls.ok()),
        Arc::new(world.blobs.clone()),
        Arc::new(signer),
        id,
    )
    .with_config(world.config())
    .build()
    .unwrap();
    let running = Running::start(nautilus);
    assert_eq!(world.answered(after).await.status_code, 200);
    assert_eq!((calls.of(after), calls.of(before)), (1, 0));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_whose_requests_hang_leaves_others_their_places() {
    let mut world = World::new();
    let calls = Calls::default();
    let noting = calls.clone();
    let upstream = FnExecutor::new(move |request: Authorized<K8sApiRequest>| {
        noting.note(&request);
        let hangs = request.request().path().starts_with("/api/v1/configmaps");
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(json(200, "{}"))
        }
    });
    let config = Config {
        concurrency: 8,
        ..world.config()
    };
    let nautilus = world.nautilus(0, upstream).with_config(config);
    let running = Running::start(nautilus.build().unwrap());
    for _ in 0..100 {
        world.get("/api/v1/configmaps");
    }
    eventually(|| (calls.count() >= 6).then_some(())).await;
    world.token = world.issue_token();
    for _ in 0..20 {
        let id = world.get("/api/v1/nodes");
        assert_eq!(world.answered(id).await.status_code, 200);
    }
    assert_eq!(calls.count(), 26, "six hang, and twenty were answered");
    running.crash().await;
}
