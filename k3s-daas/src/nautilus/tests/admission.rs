//! What must not be executed is not.

use super::*;

/// Runs a Nautilus on a ledger whose events are changed, and submits a request.
async fn tampered(
    tamper: impl Fn(&mut crate::wire::K8sApiRequest) + Send + Sync + 'static,
) -> (World, Running, Calls, RequestId) {
    let world = World::new();
    let calls = Calls::default();
    let ledger = Tampered {
        inner: world.ledger.clone(),
        tamper: Arc::new(move |event| {
            if let Event::K8sApiRequest(event) = event {
                tamper(event);
            }
        }),
        archived: Cursor::START,
    };
    let (id, signer) = world.executors[0].clone();
    let nautilus = Nautilus::builder(
        Arc::new(ledger),
        Arc::new(calls.ok()),
        Arc::new(world.blobs.clone()),
        Arc::new(signer),
        id,
    );
    let running = Running::start(nautilus.with_config(world.config()).build().unwrap());
    let builder = world.request(Method::Post, "/api/v1/namespaces/default/pods");
    let request = world
        .with_body(builder.with_query("dryRun=All"), b"{}")
        .await;
    let id = world.submit(&request);
    (world, running, calls, id)
}

#[tokio::test]
async fn what_was_changed_on_its_way_is_neither_executed_nor_answered() {
    type Tamper = fn(&mut crate::wire::K8sApiRequest);
    let changes: [(&str, Tamper); 11] = [
        ("method", |event| event.method = "PUT".into()),
        ("path", |event| {
            event.path = "/api/v1/namespaces/kube-system/pods".into();
        }),
        ("path that is none", |event| event.path = "/../etc".into()),
        ("query", |event| event.query.bytes = "dryRun=None".into()),
        ("header", |event| {
            event.header_values[0] = "text/plain".into();
        }),
        ("payload", |event| event.payload.hash.0[0] ^= 1),
        ("payload length", |event| event.payload.length += 1),
        ("deadline", |event| event.deadline_ms += 1),
        ("priority", |event| event.priority = 4),
        ("digest", |event| event.digest = Digest::new([1; 32])),
        ("session", |event| event.session = true),
    ];
    for (what, change) in changes {
        let (world, running, calls, id) = tampered(change).await;
        eventually(|| (running.status.distrusted() == 1).then_some(())).await;
        a_while().await;
        assert_eq!(calls.count(), 0, "{what}");
        assert_eq!(world.record(id), None, "{what}");
        // Seen once, not again and again.
        assert_eq!(running.status.distrusted(), 1, "{what}");
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_derives_to_something_else_is_refused() {
    type Tamper = fn(&mut crate::wire::K8sApiRequest);
    let changes: [(&str, Tamper); 7] = [
        ("group", |event| event.api_group = "apps".into()),
        ("namespace", |event| event.namespace = "other".into()),
        ("resource", |event| event.resource_type = "secrets".into()),
        ("subresource", |event| event.subresource = "status".into()),
        ("name", |event| event.name = "x".into()),
        ("verb", |event| event.verb = "update".into()),
        ("read", |event| event.is_read = true),
    ];
    for (what, change) in changes {
        let (world, running, calls, id) = tampered(change).await;
        let (code, status) = world.status(id).await;
        assert_eq!(
            (code, &status["reason"]),
            (422, &"Invalid".into()),
            "{what}"
        );
        assert_eq!(calls.count(), 0, "{what}");
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_event_that_claims_a_request_for_this_executor_changes_nothing() {
    let world = World::with(2, &ClusterPolicy::default());
    let me = world.executors[0].0;
    let ledger = Tampered {
        inner: world.ledger.clone(),
        tamper: Arc::new(move |event| {
            if let Event::K8sApiRequest(event) = event {
                event.nautilus_endpoint = me;
            }
        }),
        archived: Cursor::START,
    };
    let calls = Calls::default();
    let nautilus = Nautilus::builder(
        Arc::new(ledger),
        Arc::new(calls.ok()),
        Arc::new(world.blobs.clone()),
        Arc::new(world.executors[0].1.clone()),
        me,
    );
    let running = Running::start(nautilus.with_config(world.config()).build().unwrap());
    let ids: Vec<_> = (0..20).map(|_| world.get("/api/v1/nodes")).collect();
    let assigned = |id| {
        world.ledger.view(|snapshot| {
            let request = snapshot.state.request(world.token, id).unwrap();
            request.executor == me
        })
    };
    let (mine, others): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| assigned(*id));
    assert!(!others.is_empty());
    for id in &mine {
        world.answered(*id).await;
    }
    a_while().await;
    assert_eq!(calls.count(), mine.len());
    assert!(others.iter().all(|id| world.record(*id).is_none()));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn without_its_body_a_write_is_not_executed() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.ok());
    let builder = world.request(Method::Post, "/api/v1/namespaces/default/pods");
    let request = world.with_body(builder, b"{}").await;
    let Payload::Hashed { hash, .. } = request.payload() else {
        panic!("a hash")
    };
    let holder = Holder::for_request(world.token, request.id());
    world
        .blobs
        .release(&BlobHash(*hash), &holder)
        .await
        .unwrap();
    let id = world.submit(&request);
    let (code, status) = world.status(id).await;
    assert_eq!(
        (code, &status["reason"]),
        (503, &"ServiceUnavailable".into())
    );
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("not in the blob store")
    );
    assert_eq!(calls.count(), 0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_body_of_another_request_is_not_executed() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.ok());
    let path = "/api/v1/namespaces/default/pods";
    let theirs = world
        .with_body(world.request(Method::Post, path), b"{}")
        .await;
    let mine = world.request(Method::Post, path);
    let mine = mine.with_payload(theirs.payload().clone()).build().unwrap();
    let (code, _) = world.status(world.submit(&mine)).await;
    assert_eq!((code, calls.count()), (503, 0));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_comes_a_little_late_is_waited_for() {
    let world = World::new();
    let running = world.run(Calls::default().ok());
    let blob = Blob::seal("{}");
    let builder = world.request(Method::Post, "/api/v1/namespaces/default/pods");
    let hash = *blob.hash().as_bytes();
    let request = builder.with_payload(Payload::Hashed { hash, length: 2 });
    let request = request.build().unwrap();
    let id = world.submit(&request);
    tokio::time::sleep(Duration::from_millis(40)).await;
    let keep = Duration::from_secs(60);
    world
        .blobs
        .put(&blob, &Holder::for_request(world.token, id), keep)
        .await
        .unwrap();
    assert_eq!(world.answered(id).await.status_code, 200);
    running.stop().await.unwrap();
}

/// A store that hands out another blob than was asked for.
#[derive(Debug)]
struct Swapping(MemoryBlobStore);

#[async_trait::async_trait]
impl BlobStore for Swapping {
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
        self.0.put_answer(blob, holder, keep).await
    }

    async fn fetch(&self, _hash: &BlobHash) -> crate::blob::Result<Blob> {
        Ok(Blob::seal("[]"))
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

#[tokio::test]
async fn a_swapped_body_is_not_executed() {
    let world = World::new();
    let calls = Calls::default();
    let (id, signer) = world.executors[0].clone();
    let nautilus = Nautilus::builder(
        Arc::new(world.ledger.clone()),
        Arc::new(calls.ok()),
        Arc::new(Swapping(world.blobs.clone())),
        Arc::new(signer),
        id,
    );
    let running = Running::start(nautilus.with_config(world.config()).build().unwrap());
    let builder = world.request(Method::Post, "/api/v1/namespaces/default/pods");
    let request = world.with_body(builder, b"{}").await;
    let (code, _) = world.status(world.submit(&request)).await;
    assert_eq!(code, 502);
    assert_eq!(calls.count(), 0);
    running.stop().await.unwrap();
}

/// A store that takes nothing until it may.
#[derive(Debug)]
struct Slow(MemoryBlobStore, Arc<tokio::sync::Semaphore>);

#[async_trait::async_trait]
impl BlobStore for Slow {
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
        let _permit = self.1.acquire().await.unwrap();
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

#[tokio::test]
async fn no_more_bodies_wait_for_the_store_than_there_are_slots() {
    let world = World::new();
    let calls = Calls::default();
    let (id, signer) = world.executors[0].clone();
    let may_put = Arc::new(tokio::sync::Semaphore::new(0));
    let nautilus = Nautilus::builder(
        Arc::new(world.ledger.clone()),
        Arc::new(calls.ok()),
        Arc::new(Slow(world.blobs.clone(), may_put.clone())),
        Arc::new(signer),
        id,
    );
    let config = Config {
        concurrency: 2,
        ..world.config()
    };
    let running = Running::start(nautilus.with_config(config).build().unwrap());
    let ids: Vec<_> = (0..6).map(|_| world.get("/api/v1/nodes")).collect();
    a_while().await;
    assert_eq!(calls.count(), 2);
    may_put.add_permits(1);
    for id in ids {
        assert_eq!(world.answered(id).await.status_code, 200);
    }
    assert_eq!(calls.count(), 6);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn streams_are_refused_clearly() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.ok());
    let pod = "/api/v1/namespaces/default/pods/web";
    let hashed = |subresource: &str, method| {
        let request = world.request(method, &format!("{pod}/{subresource}"));
        request.with_hashed_query([5; 32], 10).build().unwrap()
    };
    let plain = |query: &str| {
        let request = world.request(Method::Get, &format!("{pod}/log"));
        request.with_query(query).build().unwrap()
    };
    for request in [
        hashed("exec", Method::Get),
        hashed("exec", Method::Post),
        hashed("attach", Method::Post),
        hashed("portforward", Method::Get),
        hashed("proxy", Method::Get),
        plain("follow=true"),
        plain("container=a&follow=1"),
        plain("follow"),
        plain("foll%6Fw=true"),
    ] {
        let (code, status) = world.status(world.submit(&request)).await;
        assert_eq!(code, 501, "{request:?}");
        assert_eq!(status["details"]["kind"], "pods");
    }
    assert_eq!(calls.count(), 0);
    for query in ["follow=false", "tailLines=5", "follow=0"] {
        let record = world.answered(world.submit(&plain(query))).await;
        assert_eq!(record.status_code, 200, "{query}");
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn too_much_is_not_sent_on_and_says_so() {
    let world = World::new();
    let executor =
        FnExecutor::new(|_| async { Ok(Response::full(200, Vec::new(), vec![b'x'; 5_000])) });
    let nautilus = world.nautilus(0, executor).with_config(Config {
        max_response_bytes: 4_096,
        ..world.config()
    });
    let running = Running::start(nautilus.build().unwrap());
    let (code, status) = world.status(world.get("/api/v1/nodes")).await;
    assert_eq!(code, 507);
    assert!(status["message"].as_str().unwrap().contains("ask for less"));
    let write = world
        .request(Method::Delete, "/api/v1/nodes/a")
        .build()
        .unwrap();
    let (code, status) = world.status(world.submit(&write)).await;
    assert_eq!(code, 507);
    assert!(status["message"].as_str().unwrap().contains("was executed"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_no_client_could_read_is_not_sent_on() {
    let world = World::new();
    let running = world.run(FnExecutor::new(|request| async move {
        let headers = vec![("Content-Encoding".to_owned(), b"gzip".to_vec())];
        Ok(match request.request().path() {
            "/api/v1/nodes/a" => Response::full(200, headers, "zipped"),
            _ => Response::full(101, Vec::new(), ""),
        })
    }));
    assert_eq!(world.status(world.get("/api/v1/nodes/a")).await.0, 502);
    assert_eq!(world.status(world.get("/api/v1/nodes/b")).await.0, 502);
    running.stop().await.unwrap();
}
