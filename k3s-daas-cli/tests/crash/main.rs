//! What dies under load, anywhere and by every means: what clients were told is true, nothing is executed or
//! answered twice, and the trail is clean.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(clippy::print_stdout)] // how each round of deaths went

mod load;
mod pair;
#[cfg(feature = "crash-points")]
mod points;
mod random;
mod restarts;
#[cfg(feature = "crash-points")]
mod several;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod trail;

use std::path::Path;

use load::{Load, Outcome, Plan, clean};
use serde_json::Value;
use support::{Separate, daas, dev};

#[test]
fn everything_in_one_process() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Some(dev(&dir));
    let kubeconfig = std::fs::read_to_string(dir.join("kubeconfig")).unwrap();
    let mut lines = kubeconfig.lines().map(str::trim);
    let server = lines.find_map(|line| line.strip_prefix("server: "));
    let servers = [server.unwrap().to_owned()];
    let outcome = creates(&dir, &servers, || {
        running.take().unwrap().kill();
        running = Some(dev(&dir));
    });
    assert!(outcome.created > CREATES / 2, "{outcome:?}");
    assert_eq!(running.unwrap().stop(), 0);
    clean(&dir);
}

#[test]
fn the_gateway() {
    separate(|running| {
        running.gateway.take().unwrap().kill();
        running.start_gateway();
    });
}

#[test]
fn nautilus() {
    separate(|running| {
        running.nautilus.take().unwrap().kill();
        running.start_nautilus();
    });
}

#[test]
fn the_cluster() {
    separate(|running| {
        running.cluster.take().unwrap().kill();
        running.start_cluster();
    });
}

#[test]
fn a_row_that_was_changed_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let running = dev(&dir);
    daas(&dir, &["request", "GET", "/api/v1/namespaces"]).ok();
    let head = daas(&dir, &["audit", "verify", "-o", "json"]).ok();
    let head: Value = serde_json::from_str(&head).unwrap();
    let head = head["head"].as_str().unwrap().to_owned();
    daas(&dir, &["audit", "verify", "--head", &head]).ok();
    assert_eq!(running.stop(), 0);
    let last: i64 = database(&dir, |database| {
        database.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))
    });
    for (name, statement, row) in [
        (
            "changed",
            "UPDATE calls SET time_ms = time_ms + 1 WHERE sequence = 3".to_owned(),
            "call 3",
        ),
        (
            "event",
            "UPDATE events SET event = zeroblob(8) WHERE sequence = 2".to_owned(),
            "event 2",
        ),
        (
            "deleted",
            "DELETE FROM calls WHERE sequence = 4".to_owned(),
            "call 4",
        ),
        (
            "added",
            format!(
                "INSERT INTO events SELECT {} , call, event, link FROM events WHERE sequence = {last}",
                last + 1
            ),
            &*format!("event {}", last + 1),
        ),
        (
            "balance",
            "UPDATE balances SET mist = mist + 1".to_owned(),
            "balance",
        ),
        (
            "token",
            "UPDATE tokens SET object = zeroblob(9)".to_owned(),
            "token",
        ),
    ] {
        let copy = scratch.path().join(name);
        copy_dir(&dir, &copy);
        database(&copy, |database| database.execute(&statement, []));
        let run = daas(&copy, &["audit", "verify"]);
        assert_eq!(run.code, 6, "{name}: {run:?}");
        assert!(
            run.err.contains(row),
            "{name} should name {row}: {}",
            run.err
        );
    }
    // What is damaged is not worked with either.
    let damaged = daas(&scratch.path().join("token"), &["token", "list"]);
    assert_eq!(damaged.code, 6, "{damaged:?}");
    assert!(damaged.err.contains("daas audit verify"), "{}", damaged.err);
    // A whole ledger in the place of another verifies by itself, and not against a head of the other.
    let other = scratch.path().join("other");
    let running = support::dev(&other);
    assert_eq!(running.stop(), 0);
    daas(&other, &["audit", "verify"]).ok();
    let run = daas(&other, &["audit", "verify", "--head", &head]);
    assert_eq!(run.code, 6, "{run:?}");
}

fn separate(crash: impl Fn(&mut Separate)) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Separate::start(&dir);
    let servers = [running.server()];
    let outcome = creates(&dir, &servers, || crash(&mut running));
    drop(running);
    assert!(outcome.created > CREATES / 2, "{outcome:?}");
    clean(&dir);
}

/// Makes 200 objects, sixteen at a time, and crashes something in the middle.
fn creates(dir: &Path, servers: &[String], crash: impl FnOnce()) -> Outcome {
    let load = Load::begin(dir, servers, Plan::new("crash", CREATES, 16));
    load.wait_for(CREATES / 4);
    crash();
    load.finish(dir)
}

fn database<T>(dir: &Path, work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>) -> T {
    let database = rusqlite::Connection::open(dir.join("ledger/ledger.db")).unwrap();
    work(&database).unwrap()
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_dir(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

const CREATES: usize = 200;
