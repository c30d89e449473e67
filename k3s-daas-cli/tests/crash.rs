//! kill -9 of each process while 200 creates run: what was acknowledged exists once, and the trail is clean.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use k3s_daas_cli::client::Client;
use serde_json::{Value, json};
use support::{Separate, daas, dev};

#[test]
fn everything_in_one_process() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Some(dev(&dir));
    let acknowledged = creates(&dir, || {
        running.take().unwrap().kill();
        running = Some(dev(&dir));
    });
    check(&dir, &acknowledged);
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
    let acknowledged = creates(&dir, || crash(&mut running));
    check(&dir, &acknowledged);
    drop(running);
    clean(&dir);
}

/// Makes 200 objects, sixteen at a time, and crashes something in the middle; those that were acknowledged.
fn creates(dir: &Path, crash: impl FnOnce()) -> Vec<usize> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (begun, acknowledged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // A client lives in the runtime that it was made in.
    let client = runtime.block_on(async { client(dir) });
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (client, begun, acknowledged) =
                (client.clone(), begun.clone(), acknowledged.clone());
            runtime.spawn(async move {
                let mut done = Vec::new();
                loop {
                    let index = begun.fetch_add(1, Ordering::Relaxed);
                    if index >= CREATES {
                        return done;
                    }
                    if create(&client, index).await {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        done.push(index);
                    }
                }
            })
        })
        .collect();
    let patience = Instant::now();
    while acknowledged.load(Ordering::Relaxed) < CREATES / 4 {
        assert!(
            patience.elapsed() < Duration::from_secs(60),
            "nothing is acknowledged"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    crash();
    let before = acknowledged.load(Ordering::Relaxed);
    let mut all: Vec<usize> = runtime.block_on(async {
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all
    });
    all.sort_unstable();
    assert!(
        all.len() > before,
        "none of {CREATES} was acknowledged after the restart"
    );
    all
}

/// Whether a create was acknowledged. If nobody answers, the next one waits for the restart.
async fn create(client: &Client, index: usize) -> bool {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"generateName": "crash-", "labels": {"index": index.to_string()}},
    });
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let body = Bytes::from(object.to_string());
    match client.send(Method::POST, CONFIGMAPS, &headers, body).await {
        Ok(reply) => reply.status == 201,
        Err(_) => {
            // Whether it was executed is not known, so it is not sent again.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(60) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if client
                    .send(Method::GET, "/livez", &[], Bytes::new())
                    .await
                    .is_ok()
                {
                    break;
                }
            }
            false
        }
    }
}

/// Each acknowledged object exists once, each other one at most once.
fn check(dir: &Path, acknowledged: &[usize]) {
    let begun = Instant::now();
    // What was begun when something died is finished or given up by then.
    let list = loop {
        let run = daas(dir, &["request", "GET", CONFIGMAPS]);
        if run.code == 0 {
            break run.out;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{run:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    for item in list["items"].as_array().unwrap() {
        if let Some(index) = item["metadata"]["labels"]["index"].as_str() {
            *found.entry(index.parse().unwrap()).or_default() += 1;
        }
    }
    for index in acknowledged {
        assert_eq!(found.get(index), Some(&1), "acknowledged object {index}");
    }
    for (index, count) in &found {
        assert_eq!(*count, 1, "object {index} exists {count} times");
    }
}

fn client(dir: &Path) -> Client {
    let bearer = daas(dir, &["credential", "--bearer"]).ok();
    let text = std::fs::read_to_string(dir.join("kubeconfig")).unwrap();
    let server = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: "))
        .unwrap();
    let ca = std::fs::read(dir.join("gateway/ca.crt")).unwrap();
    Client::new(server, Some(&ca))
        .unwrap()
        .with_bearer(bearer.trim())
}

fn clean(dir: &Path) {
    let verified = daas(dir, &["audit", "verify", "-o", "json"]).ok();
    assert!(verified.contains("\"verified\": true"), "{verified}");
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
const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
