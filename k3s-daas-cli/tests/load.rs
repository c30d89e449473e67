//! 5,000 objects made by 32 clients on a real cluster, while its API server and Nautilus die twice each.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use k3s_daas_cli::client::Client;
use serde_json::{Value, json};
use support::kubernetes::{World, everything_in};

/// What a client was told of the object that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Created,
    /// That nobody knows; so it is not asked for again.
    Unknown,
}

#[test]
fn real_cluster_and_nautilus_die_under_load_and_nothing_is_lost_or_twice() {
    let mut world = World::start();
    world.admin(&["create", "namespace", NAMESPACE]).ok();
    let begin = world.log_end();
    let token = world.token(&everything_in(NAMESPACE), &[]);
    let user = token.user();
    let kubeconfig = std::fs::read_to_string(&token.kubeconfig).unwrap();
    let mut lines = kubeconfig.lines();
    let server = lines.find_map(|line| line.trim().strip_prefix("server: "));
    let server = server.unwrap().to_owned();
    let bearer = token.bearer.clone();
    world
        .admin(&[
            "create",
            "rolebinding",
            "load",
            "--clusterrole=edit",
            &format!("--user={user}"),
            &format!("--namespace={NAMESPACE}"),
        ])
        .ok();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let ca = std::fs::read(world.dir().join("gateway/ca.crt")).unwrap();
    let counts = Arc::new(Counts::default());
    // A client lives in the runtime that it was made in.
    let client = runtime.block_on(async {
        let client = Client::new(&server, Some(&ca)).unwrap();
        client.with_bearer(bearer)
    });
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, counts) = (client.clone(), counts.clone());
            runtime.spawn(async move {
                let mut told = Vec::new();
                loop {
                    let index = counts.begun.fetch_add(1, Ordering::Relaxed);
                    if index >= OBJECTS {
                        return told;
                    }
                    told.push((index, create(&client, index, &counts).await));
                    counts.ended.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    // Every sixth something dies: in turn as it is asked to, and as nobody can do anything about.
    for (sixth, death) in [
        (1, Death::ApiServer("restart")),
        (2, Death::Nautilus),
        (3, Death::ApiServer("replace")),
        (4, Death::Nautilus),
    ] {
        counts.wait_for(OBJECTS * sixth / 6);
        match death {
            Death::ApiServer(how) => world.cluster.tell(how, "kube-apiserver"),
            Death::Nautilus => {
                world.nautilus.take().unwrap().kill();
                world.start_nautilus();
            }
        }
    }
    let told: BTreeMap<usize, Told> = runtime.block_on(async {
        let mut all = BTreeMap::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all
    });

    let list = world.admin(&["get", "configmaps", "-n", NAMESPACE, "-o", "json"]);
    let list: Value = serde_json::from_str(&list.ok()).unwrap();
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    for item in list["items"].as_array().unwrap() {
        if let Some(index) = item["metadata"]["labels"]["index"].as_str() {
            *found.entry(index.parse().unwrap()).or_default() += 1;
        }
    }
    for (index, told) in &told {
        let times = found.get(index).copied().unwrap_or_default();
        match told {
            Told::Created => assert_eq!(times, 1, "object {index} was acknowledged"),
            Told::Unknown => assert!(times <= 1, "object {index} exists {times} times"),
        }
    }
    let unknown = told.values().filter(|told| **told == Told::Unknown).count();
    let retried = counts.retried.load(Ordering::Relaxed);
    assert!(unknown < OBJECTS / 10, "{unknown} of {OBJECTS} are unknown");
    assert!(retried > 0, "something was down");

    let verified = world.daas(&["audit", "verify", "-o", "json"]).ok();
    assert!(verified.contains("\"verified\": true"), "{verified}");
    let (code, reconciled) = world.reconcile(&world.log_since(begin), &[]);
    assert_eq!(code, 0, "{reconciled:#}");
    let matched = reconciled["counts"]["matched"].as_u64().unwrap();
    assert!(
        matched >= (OBJECTS - unknown) as u64,
        "{matched}: {reconciled:#}"
    );
}

enum Death {
    ApiServer(&'static str),
    Nautilus,
}

#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
    retried: AtomicUsize,
}

impl Counts {
    #[track_caller]
    fn wait_for(&self, ended: usize) {
        let begun = Instant::now();
        while self.ended.load(Ordering::Relaxed) < ended {
            assert!(begun.elapsed() < PATIENCE, "no {ended} after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Asks for an object until it is there or nobody knows: whatever else is said means that nothing was done.
async fn create(client: &Client, index: usize, counts: &Counts) -> Told {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"generateName": "load-", "labels": {"index": index.to_string()}},
    });
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let begun = Instant::now();
    loop {
        let body = Bytes::from(object.to_string());
        let reply = client.send(Method::POST, &path, &headers, body).await;
        let reply = reply.expect("the gateway answers");
        let status: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let message = status["message"].as_str().unwrap_or_default();
        match reply.status.as_u16() {
            201 => return Told::Created,
            504 if message.contains("unknown") => return Told::Unknown,
            // An API server that has only begun does not know its roles yet, and refuses whoever asks.
            403 if message.contains("cannot impersonate") => {}
            429 | 503 | 504 => assert_eq!(status["kind"], "Status", "{status}"),
            other => panic!("{other}: {status}"),
        }
        assert!(begun.elapsed() < PATIENCE, "object {index}: {status}");
        counts.retried.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const NAMESPACE: &str = "load";
const OBJECTS: usize = 5_000;
const CLIENTS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(240);
