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

/// Removes the journal while nobody has it open, and makes another.
async fn lose_the_journal(world: &World) {
    let path = world.journal(0);
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", path.display())).ok();
    }
    let missing = world.nautilus(0, Calls::default().ok()).build();
    assert!(
        matches!(&missing, Err(Error::Journal(JournalError::Missing(_)))),
        "{missing:?}"
    );
    assert!(!path.exists(), "running makes none");
    create_journal(&path, &world.ledger, world.executors[0].0)
        .await
        .unwrap();
}

#[tokio::test]
async fn under_a_new_journal_a_write_from_before_is_not_executed() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.hanging());
    let begun = world.delete(20_000);
    let read = world.get("/api/v1/nodes");
    eventually(|| (calls.count() == 2).then_some(())).await;
    running.crash().await;
    // This one never began. Nobody can tell.
    let waiting = world.delete(20_000);
    lose_the_journal(&world).await;
    let after = world.delete(20_000);
    let running = run_again(&world, &calls).await;
    for id in [begun, waiting] {
        let (code, status) = world.status(id).await;
        assert_eq!((code, &status["reason"]), (504, &"Timeout".into()));
        let message = status["message"].as_str().unwrap();
        assert!(
            message.contains("unknown") && message.contains("earlier one"),
            "{message}"
        );
        assert!(status["details"]["retryAfterSeconds"].is_null(), "{status}");
    }
    assert_eq!(world.answered(read).await.status_code, 200);
    assert_eq!(world.answered(after).await.status_code, 200);
    a_while().await;
    assert_eq!((calls.of(begun), calls.of(waiting)), (1, 0));
    assert_eq!((calls.of(read), calls.of(after)), (2, 1));
    // The earlier journal may have had an answer to the read: there is none beside it in its epoch.
    assert_eq!(world.held(read).epoch, 1);
    assert_eq!(running.status.unknown(), 2);
    running.stop().await.unwrap();
}

/// Leaves the journal as a machine does that went down: open, and of another boot.
fn another_boot(world: &World, copy: &tempfile::TempDir) {
    let [to, from] = [world.journal(0), copy.path().join("0.sqlite")];
    let connection = rusqlite::Connection::open(&from).unwrap();
    let changed = connection.execute("UPDATE journal SET boot = 'another'", []);
    assert_eq!(changed.unwrap(), 1);
    for suffix in ["", "-wal"] {
        let name = |path: &std::path::Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&from), name(&to)).unwrap();
    }
}

#[tokio::test]
async fn after_the_machine_went_down_a_read_is_answered_in_its_next_epoch() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.hanging());
    let (read, write) = (world.get("/api/v1/nodes"), world.delete(20_000));
    eventually(|| (calls.count() == 2).then_some(())).await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["0.sqlite", "0.sqlite-wal"] {
        std::fs::copy(world.directory.path().join(name), copy.path().join(name)).unwrap();
    }
    running.crash().await;
    // The journal has not heard of this one.
    let unheard_of = world.get("/api/v1/pods");
    // Closed once nothing is beside it.
    let wal = world.directory.path().join("0.sqlite-wal");
    eventually(|| (!wal.exists()).then_some(())).await;
    another_boot(&world, &copy);
    let running = run_again(&world, &calls).await;
    eventually(|| running.status.is_following().then_some(())).await;
    let after = world.get("/api/v1/services");
    assert_eq!(world.answered(after).await.status_code, 200);
    assert_eq!(world.answered(write).await.status_code, 504);
    for id in [read, unheard_of] {
        assert_eq!(world.answered(id).await.status_code, 200);
        assert_eq!(world.held(id).epoch, 1);
    }
    assert_eq!(world.held(after).epoch, 0);
    assert_eq!((calls.of(read), calls.of(unheard_of)), (2, 1));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_new_journal_never_begins_stays_so_over_restarts() {
    let world = World::new();
    let calls = Calls::default();
    let before = world.delete(20_000);
    lose_the_journal(&world).await;
    // Followed, and down before it could answer.
    world.ledger.set_outage(Some(Outage::Busy));
    let running = world.run(calls.ok());
    eventually(|| (running.status.held() == 1).then_some(())).await;
    a_while().await;
    running.crash().await;
    world.ledger.set_outage(None);
    let running = run_again(&world, &calls).await;
    assert_eq!(world.answered(before).await.status_code, 504);
    let after = world.delete(20_000);
    assert_eq!(world.answered(after).await.status_code, 200);
    assert_eq!((calls.of(before), calls.of(after)), (0, 1));
    assert_eq!(world.answers(before), 1);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn another_executor_may_execute_what_was_lost_to_nobody() {
    let world = World::with(2, &ClusterPolicy::default());
    let calls = Calls::default();
    let ids: Vec<_> = (0..12).map(|_| world.delete(20_000)).collect();
    lose_the_journal(&world).await;
    let first = Running::start(world.nautilus(0, calls.ok()).build().unwrap());
    let second = Running::start(world.nautilus(1, calls.ok()).build().unwrap());
    let mine: Vec<_> = ids.iter().map(|id| world.assigned(*id) == 0).collect();
    assert!(mine.contains(&true) && mine.contains(&false));
    for (id, is_mine) in ids.into_iter().zip(mine) {
        // The second's journal is older than all of them.
        let expected = if is_mine { (504, 0) } else { (200, 1) };
        let code = world.answered(id).await.status_code;
        assert_eq!((code, calls.of(id)), expected);
    }
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_executed_once_the_journal_is_removed() {
    let world = World::new();
    let calls = Calls::default();
    let running = world.run(calls.ok());
    let id = world.delete(20_000);
    world.answered(id).await;
    std::fs::remove_file(world.journal(0)).unwrap();
    let id = world.delete(20_000);
    let error = running.failed().await;
    assert!(
        matches!(error, Error::Journal(JournalError::Stopped)),
        "{error:?}"
    );
    assert_eq!((calls.of(id), world.record(id)), (0, None));
}

#[tokio::test]
async fn a_ledger_that_is_older_than_the_journal_is_refused() {
    let world = World::new();
    let calls = Calls::default();
    std::fs::remove_file(world.journal(0)).unwrap();
    let chain = world.ledger.deployment().chain;
    let mut birth = world.ledger.view(|snapshot| snapshot.cursor);
    birth.major += 1;
    super::super::journal::create(&world.journal(0), chain, world.executors[0].0, birth).unwrap();
    let error = world.run(calls.ok()).failed().await;
    assert!(
        matches!(&error, Error::Journal(JournalError::Ahead { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn under_its_first_journal_it_executes_what_it_was_assigned_before_that_was_made() {
    let world = World::new();
    let (calls, path, me) = (Calls::default(), world.journal(0), world.executors[0].0);
    std::fs::remove_file(&path).unwrap();
    let registered = world.ledger.all_events().into_iter().find(
        |event| matches!(&event.event, Event::ExecutorRegistered(event) if event.executor == me),
    );
    let waiting = world.delete(20_000);
    create_first_journal(&path, &world.ledger, me, registered.unwrap().cursor).unwrap();
    let running = world.run(calls.ok());
    assert_eq!(world.answered(waiting).await.status_code, 200);
    assert_eq!(calls.of(waiting), 1);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_journal_is_for_an_executor_of_this_ledger_and_made_once() {
    let world = World::new();
    let path = world.directory.path().join("new");
    let stranger = ExecutorId::new([9; 32]);
    let error = create_journal(&path, &world.ledger, stranger).await;
    assert!(matches!(error, Err(Error::UnknownExecutor(id)) if id == stranger));
    assert!(!path.exists());
    let error = create_journal(&world.journal(0), &world.ledger, world.executors[0].0).await;
    assert!(
        matches!(&error, Err(Error::Journal(JournalError::Exists(_)))),
        "{error:?}"
    );
}
