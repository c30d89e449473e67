//! When the cluster, the ledger or the blob store is not there.

use super::*;
use crate::ledger::memory::Outage;

#[tokio::test]
async fn what_did_not_reach_the_cluster_is_503_and_may_be_repeated() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.failing(|| Upstream::NotSent {
        reason: "connection refused".into(),
    }));
    let write = world
        .request(Method::Delete, "/api/v1/nodes/a")
        .build()
        .unwrap();
    let id = world.submit(&write);
    let (code, envelope) = world.answer(id).await;
    assert_eq!(code, 503);
    assert!(
        envelope
            .headers
            .contains(&("retry-after".into(), "1".into()))
    );
    assert_eq!(calls.of(id), 1);
    assert_eq!(
        running.status.cluster_error().as_deref(),
        Some("connection refused")
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
