//! A crash at any point ends in at most one execution and exactly one answer.

use super::super::journal::Journal;
use super::*;
use crate::ledger::memory::Outage;

/// What the journal has, read as a new run would.
fn journal(world: &World) -> Recovered {
    let path = world.directory.path().join("0.sqlite");
    let chain = world.ledger.deployment().chain;
    let (_, recovered) = Journal::open(&path, chain, world.executors[0].0).unwrap();
    recovered
}

/// Opens again, as soon as the last run is gone.
async fn run_again(world: &World, calls: &Calls) -> Running {
    let nautilus = eventually(|| world.nautilus(0, calls.ok()).build().ok()).await;
    Running::start(nautilus)
}

#[tokio::test]
async fn a_write_that_had_begun_is_not_executed_again() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.hanging());
    let id = world.delete(20_000);
    eventually(|| (calls.count() == 1).then_some(())).await;
    running.crash().await;
    assert_eq!(world.record(id), None);
    let running = run_again(&world, &calls).await;
    let (code, status) = world.status(id).await;
    assert_eq!((code, &status["reason"]), (504, &"Timeout".into()));
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("unknown") && message.contains("restarted"),
        "{message}"
    );
    a_while().await;
    assert_eq!((calls.of(id), world.answers(id)), (1, 1));
    assert_eq!(running.status.unknown(), 1);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_read_that_had_begun_may_be_executed_again() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.hanging());
    let id = world.get("/api/v1/nodes");
    eventually(|| (calls.count() == 1).then_some(())).await;
    running.crash().await;
    let running = run_again(&world, &calls).await;
    assert_eq!(world.answered(id).await.status_code, 200);
    assert_eq!((calls.of(id), world.answers(id)), (2, 1));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_had_not_begun_is_executed() {
    let world = World::new();
    let calls = Calls::default();
    let hanging = world.nautilus(0, calls.hanging()).with_config(Config {
        journal: world.directory.path().join("0.sqlite"),
        concurrency: 1,
        ..world.config()
    });
    let running = Running::start(hanging.build().unwrap());
    let first = world.delete(20_000);
    eventually(|| (calls.count() == 1).then_some(())).await;
    let second = world.delete(20_000);
    eventually(|| (running.status.held() == 2).then_some(())).await;
    running.crash().await;
    let recovered = journal(&world);
    assert_eq!(recovered.unanswered.len(), 2);
    let running = run_again(&world, &calls).await;
    assert_eq!(world.answered(second).await.status_code, 200);
    assert_eq!(world.answered(first).await.status_code, 504);
    assert_eq!((calls.of(first), calls.of(second)), (1, 1));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_signed_answer_is_stored_as_the_identical_bytes() {
    let world = World::new();
    let calls = Calls::default();
    let (noted, ledger) = (calls.clone(), world.ledger.clone());
    let running = world.run(FnExecutor::new(move |request| {
        noted.note(&request);
        ledger.set_outage(Some(Outage::Unavailable));
        async { Ok(json(201, "made")) }
    }));
    let id = world.delete(20_000);
    eventually(|| (calls.count() == 1).then_some(())).await;
    a_while().await;
    running.crash().await;
    let recovered = journal(&world);
    let [unstored] = &recovered.answers[..] else {
        panic!("{recovered:?}")
    };
    let Call::StoreK8sResponse {
        signature, time_ms, ..
    } = &unstored.call
    else {
        panic!("{unstored:?}")
    };
    world.ledger.set_outage(None);
    let running = run_again(&world, &calls).await;
    let (code, envelope) = world.answer(id).await;
    assert_eq!((code, &envelope.body[..]), (201, &b"made"[..]));
    let stored = world
        .ledger
        .all_events()
        .into_iter()
        .find_map(|event| match event.event {
            Event::K8sRequestProcessed(event) => Some(event),
            _ => None,
        });
    let stored = stored.unwrap();
    assert_eq!(stored.signature.as_bytes()[..], signature[..]);
    assert_eq!(stored.time_ms, *time_ms);
    assert_eq!((calls.of(id), world.answers(id)), (1, 1));
    running.stop().await.unwrap();
    assert!(journal(&world).answers.is_empty());
}

#[tokio::test]
async fn an_answer_whose_receipt_was_lost_is_not_given_twice() {
    let world = World::new();
    let calls = Calls::default();
    let (noted, ledger) = (calls.clone(), world.ledger.clone());
    let running = world.run(FnExecutor::new(move |request| {
        noted.note(&request);
        ledger.set_outage(Some(Outage::LostReceipts));
        async { Ok(json(200, "{}")) }
    }));
    let id = world.delete(20_000);
    world.answered(id).await;
    running.crash().await;
    world.ledger.set_outage(None);
    let running = run_again(&world, &calls).await;
    a_while().await;
    assert_eq!((calls.of(id), world.answers(id)), (1, 1));
    running.stop().await.unwrap();
    assert!(journal(&world).answers.is_empty());
}

/// Crashes at whatever moment it happens to be, many times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_at_any_moment_execute_at_most_once_and_answer_exactly_once() {
    let world = World::new();
    let calls = Calls::default();
    let executor = |calls: &Calls| {
        let calls = calls.clone();
        FnExecutor::new(move |request| {
            calls.note(&request);
            async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok(json(200, "{}"))
            }
        })
    };
    let mut writes = Vec::new();
    for round in 0..40_u64 {
        let nautilus = eventually(|| world.nautilus(0, executor(&calls)).build().ok()).await;
        let running = Running::start(nautilus);
        for _ in 0..4 {
            writes.push(world.delete(60_000));
            tokio::time::sleep(Duration::from_micros(300 * (round % 7))).await;
        }
        tokio::time::sleep(Duration::from_micros(700 * (round % 11))).await;
        running.crash().await;
    }
    let nautilus = eventually(|| world.nautilus(0, executor(&calls)).build().ok()).await;
    let running = Running::start(nautilus);
    let (mut known, mut unknown) = (0, 0);
    for id in writes {
        let record = world.answered(id).await;
        match (record.status_code, calls.of(id)) {
            (200, 1) => known += 1,
            // Written down as begun and crashed before or after it left.
            (504, 0 | 1) => unknown += 1,
            other => panic!("{id}: {other:?}"),
        }
        assert_eq!(world.answers(id), 1);
    }
    assert!(known > 0 && unknown > 0, "{known} {unknown}");
    running.stop().await.unwrap();
}
