//! Leases, deadlines, claims, releases, pruning.

use super::*;
use crate::ledger::memory::Outage;

fn short_leases() -> ClusterPolicy {
    ClusterPolicy {
        lease_ms: 1_000,
        ..ClusterPolicy::default()
    }
}

/// Requests until one is assigned to this executor.
fn until_assigned(world: &World, index: usize, mut submit: impl FnMut() -> RequestId) -> RequestId {
    for _ in 0..100 {
        let id = submit();
        if world.assigned(id) == index {
            return id;
        }
    }
    panic!("never assigned")
}

#[tokio::test]
async fn at_the_deadline_the_upstream_request_is_dropped() {
    let world = World::new();
    let dropped = Arc::new(());
    let held = dropped.clone();
    let running = world.run(FnExecutor::new(move |_| {
        let held = held.clone();
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(json(200, "{}"))
        }
    }));
    let write = world.delete(300);
    let read = world.request(Method::Get, "/api/v1/nodes");
    let read = read.with_deadline_ms(world.ledger.now_ms() + 300);
    let read = world.submit(&read.build().unwrap());
    let (code, status) = world.status(write).await;
    assert_eq!(code, 504);
    assert!(status["message"].as_str().unwrap().contains("unknown"));
    assert!(status["details"].get("retryAfterSeconds").is_none());
    let (code, status) = world.status(read).await;
    assert_eq!(code, 504);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("may be repeated")
    );
    // Ours, and the executor's own.
    assert_eq!(Arc::strong_count(&dropped), 2);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_body_ends_at_the_deadline_too() {
    let world = World::new();
    let running = world.run(FnExecutor::new(|_| async {
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body: Box::pin(futures_util::stream::pending()),
        })
    }));
    assert_eq!(world.status(world.delete(300)).await.0, 504);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_too_late_is_not_begun_and_says_so() {
    let world = World::new();
    let id = world.delete(100);
    tokio::time::sleep(Duration::from_millis(150)).await;
    let calls = Calls::default();
    let running = world.run(calls.ok());
    let (code, status) = world.status(id).await;
    assert_eq!(code, 504);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("was not executed")
    );
    assert_eq!(calls.count(), 0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_read_of_its_own_whose_lease_is_over_is_claimed_first() {
    let world = World::with(1, &short_leases());
    let id = world.get("/api/v1/nodes");
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let calls = Calls::default();
    let running = world.run(calls.ok());
    let record = world.answered(id).await;
    assert_eq!((record.status_code, record.epoch), (200, 1));
    assert_eq!(calls.count(), 1);
    assert_eq!(running.status.claimed(), 1);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_reads_of_an_absent_executor_are_claimed_after_their_lease() {
    let world = World::with(3, &short_leases());
    let (one, two) = (Calls::default(), Calls::default());
    let first = Running::start(world.nautilus(1, one.ok()).build().unwrap());
    let second = Running::start(world.nautilus(2, two.ok()).build().unwrap());
    let id = until_assigned(&world, 0, || world.get("/api/v1/nodes"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(one.of(id) + two.of(id), 0);
    let record = world.answered(id).await;
    assert_eq!((record.status_code, record.epoch), (200, 1));
    assert_eq!(one.of(id) + two.of(id), 1);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn the_writes_of_an_absent_executor_end_unknown_and_are_never_executed() {
    let world = World::with(2, &ClusterPolicy::default());
    let calls = Calls::default();
    let running = Running::start(world.nautilus(1, calls.ok()).build().unwrap());
    let id = until_assigned(&world, 0, || world.delete(400));
    let (code, status) = world.status(id).await;
    assert_eq!(code, 504);
    assert!(status["message"].as_str().unwrap().contains("unknown"));
    assert_eq!(calls.of(id), 0);
    let record = world.record(id).unwrap();
    assert_eq!((record.executor, record.epoch), (world.executors[1].0, 1));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn at_shutdown_what_waits_goes_to_others_and_what_runs_is_finished() {
    let world = World::with(2, &ClusterPolicy::default());
    let (slow, other) = (Calls::default(), Calls::default());
    let noted = slow.clone();
    let executor = FnExecutor::new(move |request| {
        noted.note(&request);
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(json(200, "{}"))
        }
    });
    let nautilus = world.nautilus(0, executor).with_config(Config {
        concurrency: 1,
        ..world.config()
    });
    let first = Running::start(nautilus.build().unwrap());
    let ids: Vec<_> = (0..4)
        .map(|_| until_assigned(&world, 0, || world.delete(20_000)))
        .collect();
    eventually(|| (slow.count() == 1).then_some(())).await;
    eventually(|| (first.status.held() >= 4).then_some(())).await;
    let status = first.status.clone();
    first.stop().await.unwrap();
    assert_eq!(slow.count(), 1);
    assert!(status.released() >= 3);
    let second = Running::start(world.nautilus(1, other.ok()).build().unwrap());
    for id in ids {
        assert_eq!(world.answered(id).await.status_code, 200);
        assert_eq!(slow.of(id) + other.of(id), 1);
    }
    second.stop().await.unwrap();
}

#[tokio::test]
async fn what_it_may_have_given_back_is_not_begun() {
    let world = World::with(2, &ClusterPolicy::default());
    let (first, other) = (Calls::default(), Calls::default());
    let (noted, ledger) = (first.clone(), world.ledger.clone());
    let executor = FnExecutor::new(move |request| {
        noted.note(&request);
        // From here on nobody can say what becomes of a call.
        ledger.set_outage(Some(Outage::Unavailable));
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok(json(200, "{}"))
        }
    });
    let nautilus = world.nautilus(0, executor).with_config(Config {
        concurrency: 1,
        drain: Duration::from_millis(500),
        ..world.config()
    });
    let (begun, queued) = (
        until_assigned(&world, 0, || world.delete(20_000)),
        until_assigned(&world, 0, || world.delete(20_000)),
    );
    let running = Running::start(nautilus.build().unwrap());
    eventually(|| (first.count() == 1).then_some(())).await;
    running.stop().await.unwrap();
    let queued = if first.of(queued) == 0 { queued } else { begun };
    world.ledger.set_outage(None);
    // Its release may arrive now; here it does not, so it is told again.
    let nautilus = eventually(|| world.nautilus(0, first.ok()).build().ok()).await;
    let again = Running::start(nautilus);
    eventually(|| (again.status.released() == 1).then_some(())).await;
    let second = Running::start(world.nautilus(1, other.ok()).build().unwrap());
    assert_eq!(world.answered(queued).await.status_code, 200);
    assert_eq!((first.of(queued), other.of(queued)), (0, 1));
    again.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn alone_it_keeps_what_it_did_not_begin_for_its_next_run() {
    let world = World::new();
    let calls = Calls::default();
    let noted = calls.clone();
    let executor = FnExecutor::new(move |request| {
        noted.note(&request);
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(json(200, "{}"))
        }
    });
    let journal = world.directory.path().join("0.sqlite");
    let nautilus = world.nautilus(0, executor).with_config(Config {
        concurrency: 1,
        journal,
        ..world.config()
    });
    let running = Running::start(nautilus.build().unwrap());
    let (first, second) = (world.delete(20_000), world.delete(20_000));
    eventually(|| (calls.count() == 1).then_some(())).await;
    let status = running.status.clone();
    running.stop().await.unwrap();
    assert_eq!(status.released(), 0);
    assert_eq!(world.record(first).unwrap().status_code, 200);
    assert_eq!(world.record(second), None);
    let nautilus = eventually(|| world.nautilus(0, calls.ok()).build().ok()).await;
    let running = Running::start(nautilus);
    assert_eq!(world.answered(second).await.status_code, 200);
    assert_eq!(calls.of(second), 1);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_over_is_pruned() {
    let world = World::new();
    let nautilus = world
        .nautilus(0, Calls::default().ok())
        .with_config(Config {
            prune_interval: Duration::from_millis(50),
            ..world.config()
        });
    let running = Running::start(nautilus.build().unwrap());
    let ids: Vec<_> = (0..3).map(|_| world.get("/api/v1/nodes")).collect();
    for id in &ids {
        world.answered(*id).await;
    }
    a_while().await;
    assert!(ids.iter().all(|id| world.record(*id).is_some()));
    world.ledger.set_skew_ms(2 * 3_600_000);
    eventually(|| {
        ids.iter()
            .all(|id| world.record(*id).is_none())
            .then_some(())
    })
    .await;
    assert_eq!(running.status.pruned(), 3);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn all_that_is_over_is_pruned_in_one_interval() {
    let mut world = World::new();
    let never = world.config();
    let often = Config {
        prune_interval: Duration::from_millis(200),
        ..world.config()
    };
    let nautilus = world.nautilus(0, Calls::default().ok());
    let nautilus = nautilus.with_config(never.clone()).build().unwrap();
    let controls = nautilus.controls();
    let running = Running::start(nautilus);
    // More than go at once.
    for _ in 0..3 {
        world.token = world.issue_token();
        let ids: Vec<_> = (0..1_000).map(|_| world.get("/api/v1/nodes")).collect();
        for id in ids {
            world.answered(id).await;
        }
    }
    world.ledger.set_skew_ms(2 * 3_600_000);
    controls.reload(often).unwrap();
    eventually(|| (running.status.pruned() > 0).then_some(())).await;
    controls.reload(never).unwrap();
    eventually(|| (running.status.pruned() == 3_000).then_some(())).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_executor_that_was_deactivated_executes_nothing() {
    let world = World::with(2, &ClusterPolicy::default());
    let calls = Calls::default();
    let id = until_assigned(&world, 0, || world.delete(20_000));
    let cap = world
        .ledger
        .view(|snapshot| snapshot.state.cluster(world.cluster).unwrap().admin_cap);
    let deactivate = Call::DeactivateExecutor {
        cap,
        cluster: world.cluster,
        executor: world.executors[0].0,
    };
    world.ledger.apply(&deactivate).unwrap();
    let running = world.run(calls.ok());
    a_while().await;
    assert_eq!(calls.count(), 0);
    assert_eq!(world.record(id), None);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_it_cannot_give_back_now_it_gives_back_later_and_does_not_refuse() {
    let world = World::with(2, &ClusterPolicy::default());
    let id = until_assigned(&world, 0, || world.delete(20_000));
    let read = until_assigned(&world, 0, || world.get("/api/v1/nodes"));
    let cap = world
        .ledger
        .view(|snapshot| snapshot.state.cluster(world.cluster).unwrap().admin_cap);
    let (cluster, executor) = (world.cluster, world.executors[0].0);
    let deactivate = Call::DeactivateExecutor {
        cap,
        cluster,
        executor,
    };
    let (calls, ledger) = (Calls::default(), world.ledger.clone());
    let noted = calls.clone();
    let unreachable = FnExecutor::new(move |request| {
        noted.note(&request);
        // Once; the read comes here again.
        if noted.count() == 1 {
            ledger.apply(&deactivate).unwrap();
        }
        async {
            Err(Upstream::NotSent {
                reason: "nothing was sent".to_owned(),
            })
        }
    });
    let first = world.run(unreachable);
    eventually(|| (calls.count() >= 1).then_some(())).await;
    a_while().await;
    assert_eq!((world.record(id), world.record(read)), (None, None));
    let activate = Call::ActivateExecutor {
        cap,
        cluster,
        executor,
    };
    world.ledger.apply(&activate).unwrap();
    let other = Calls::default();
    let second = Running::start(world.nautilus(1, other.ok()).build().unwrap());
    for id in [id, read] {
        assert_eq!(world.answered(id).await.status_code, 200);
        assert_eq!(other.of(id), 1);
    }
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}
