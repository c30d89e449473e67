//! The way of a request that nothing is wrong with.

use super::*;

#[tokio::test]
async fn a_read_is_executed_and_its_answer_stored() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(None));
    let noted = seen.clone();
    let running = world.run(FnExecutor::new(move |request| {
        *noted.lock().unwrap() = Some((
            request.path_and_query(),
            request.grant().identity.clone(),
            request.request().headers().to_vec(),
        ));
        async { Ok(json(200, r#"{"kind":"PodList"}"#)) }
    }));
    let request = world.request(Method::Get, "/api/v1/namespaces/default/pods");
    let id = world.submit(&request.with_query("limit=500").build().unwrap());
    let (status, envelope) = world.answer(id).await;
    assert_eq!(status, 200);
    assert_eq!(envelope.body[..], *br#"{"kind":"PodList"}"#);
    let headers = [("content-type".into(), "application/json".into())];
    assert_eq!(envelope.headers, headers);
    let (path, identity, headers) = seen.lock().unwrap().take().unwrap();
    assert_eq!(path, "/api/v1/namespaces/default/pods?limit=500");
    assert_eq!(identity.user, format!("seal:{}", world.token));
    assert_eq!(identity.groups, ["developers"]);
    assert_eq!(
        headers,
        [("accept".to_owned(), "application/json".to_owned())]
    );
    eventually(|| (running.status.held() == 0).then_some(())).await;
    assert_eq!(running.status.executed(), 1);
    assert_eq!(running.status.stored(), 1);
    assert_eq!(running.status.unanswered(), 0);
    assert!(running.status.is_ready());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_write_goes_with_its_body() {
    let world = World::new();
    let running = world.run(FnExecutor::new(|request| async move {
        assert_eq!(request.body()[..], *b"{\"kind\":\"Pod\"}");
        Ok(json(201, "created"))
    }));
    let builder = world.request(Method::Post, "/api/v1/namespaces/default/pods");
    let request = world.with_body(builder, b"{\"kind\":\"Pod\"}").await;
    let (status, envelope) = world.answer(world.submit(&request)).await;
    assert_eq!((status, &envelope.body[..]), (201, &b"created"[..]));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_kubernetes_refuses_goes_back_as_it_is() {
    let world = World::new();
    let running = world.run(FnExecutor::new(|_| async { Ok(json(409, "conflict")) }));
    let (status, envelope) = world.answer(world.get("/api/v1/nodes")).await;
    assert_eq!((status, &envelope.body[..]), (409, &b"conflict"[..]));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn many_are_executed_once_each_within_the_bound() {
    let world = World::new();
    let calls = Calls::default();
    let (now, most) = (Arc::new(Mutex::new(0_usize)), Arc::new(Mutex::new(0_usize)));
    let (noted, running_now, running_most) = (calls.clone(), now.clone(), most.clone());
    let executor = FnExecutor::new(move |request| {
        noted.note(&request);
        let (now, most) = (running_now.clone(), running_most.clone());
        async move {
            {
                let mut now = now.lock().unwrap();
                *now += 1;
                let mut most = most.lock().unwrap();
                *most = (*most).max(*now);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            *now.lock().unwrap() -= 1;
            Ok(json(200, "{}"))
        }
    });
    let nautilus = world.nautilus(0, executor).with_config(Config {
        concurrency: 4,
        ..world.config()
    });
    let running = Running::start(nautilus.build().unwrap());
    let ids: Vec<_> = (0..100).map(|_| world.get("/api/v1/nodes")).collect();
    for id in ids {
        assert_eq!(world.answered(id).await.status_code, 200);
        assert_eq!(calls.of(id), 1);
        assert_eq!(world.answers(id), 1);
    }
    // All are one token's, and the last place is for another.
    assert_eq!(*most.lock().unwrap(), 3);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_came_before_it_started_is_done_too() {
    let world = World::new();
    let ids: Vec<_> = (0..5).map(|_| world.get("/api/v1/nodes")).collect();
    let calls = Calls::default();
    let running = world.run(calls.ok());
    for id in ids {
        assert_eq!(world.answered(id).await.status_code, 200);
    }
    running.stop().await.unwrap();
    // The next run has nothing to do with them.
    let running = world.run(calls.ok());
    let id = world.get("/api/v1/nodes");
    world.answered(id).await;
    assert_eq!(calls.count(), 6);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_key_or_an_unknown_executor_does_not_run() {
    let world = World::with(2, &ClusterPolicy::default());
    let builder = |id, signer: &Ed25519Signer| {
        let journal = world.directory.path().join(format!("{id}.sqlite"));
        let chain = world.ledger.deployment().chain;
        super::super::journal::create(&journal, chain, id, Cursor::default()).unwrap();
        let nautilus = Nautilus::builder(
            Arc::new(world.ledger.clone()),
            Arc::new(Calls::default().ok()),
            Arc::new(world.blobs.clone()),
            Arc::new(signer.clone()),
            id,
        );
        let config = Config::new(journal);
        Running::start(nautilus.with_config(config).build().unwrap())
    };
    let [(first, _), (_, signer)] = &world.executors[..] else {
        panic!("two")
    };
    let error = builder(*first, signer).failed().await;
    assert!(matches!(error, Error::WrongKey), "{error}");
    let stranger = ExecutorId::new([9; 32]);
    let error = builder(stranger, signer).failed().await;
    assert!(matches!(error, Error::UnknownExecutor(id) if id == stranger));
}

#[tokio::test]
async fn one_journal_serves_one_process_and_one_executor() {
    let world = World::with(2, &ClusterPolicy::default());
    let first = world.nautilus(0, Calls::default().ok()).build().unwrap();
    let again = world.nautilus(0, Calls::default().ok()).build();
    assert!(
        matches!(again, Err(Error::Journal(JournalError::InUse))),
        "{again:?}"
    );
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = world
        .nautilus(1, Calls::default().ok())
        .with_config(Config {
            journal: world.directory.path().join("0.sqlite"),
            ..world.config()
        });
    let other = other.build();
    assert!(
        matches!(other, Err(Error::Journal(JournalError::Foreign))),
        "{other:?}"
    );
}
