//! Clients that write all the while, and a count of what came of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use k3s_daas::types::RequestId;
use k3s_daas_cli::client::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::daas;

/// Four clients that create objects one after another until they are told to stop.
pub struct Load {
    runtime: Runtime,
    tasks: Vec<JoinHandle<Vec<String>>>,
    shared: Arc<Shared>,
    run: String,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    created: AtomicUsize,
    again: AtomicUsize,
}

/// What is done about a gateway that does not answer at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Nothing: it always answers.
    None,
    /// It is restarted: the same request is sent again.
    Restarts,
}

impl Load {
    /// Begins with clients that this makes, in the runtime that they live in.
    pub fn begin(run: &str, patience: Patience, client: impl Fn() -> Client) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared::default());
        let tasks = (0..CLIENTS).map(|_| {
            let client = runtime.block_on(async { client() });
            runtime.spawn(work(client, run.to_owned(), patience, shared.clone()))
        });
        Self {
            tasks: tasks.collect(),
            shared,
            run: run.to_owned(),
            runtime,
        }
    }

    /// Waits until so many more objects were created.
    #[track_caller]
    pub fn wait_for_more(&self, more: usize) {
        let (begun, before) = (Instant::now(), self.created());
        while self.created() < before + more {
            assert!(begun.elapsed() < PATIENCE, "{} created", self.created());
            let failed = self.tasks.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a client has failed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn created(&self) -> usize {
        self.shared.created.load(Ordering::Relaxed)
    }

    /// Stops; every acknowledged object exists once, with its UID, and no other does. How often a client asked
    /// again.
    #[track_caller]
    pub fn finish(self, dir: &Path) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut told: Vec<String> = Vec::new();
        for task in self.tasks {
            told.extend(self.runtime.block_on(task).unwrap());
        }
        self.runtime.shutdown_background();
        told.sort();
        let path = format!("{CONFIGMAPS}?labelSelector=run%3D{}", self.run);
        let list: Value =
            serde_json::from_str(&daas(dir, &["request", "GET", &path]).ok()).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        let mut found: Vec<String> = items
            .map(|item| item["metadata"]["uid"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert!(!told.is_empty());
        assert_eq!(told, found);
        let verified = daas(dir, &["audit", "verify", "-o", "json"]).ok();
        assert!(verified.contains("\"verified\": true"), "{verified}");
        self.shared.again.load(Ordering::Relaxed)
    }
}

async fn work(client: Client, run: String, patience: Patience, shared: Arc<Shared>) -> Vec<String> {
    let mut told = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let id = RequestId::new().to_string();
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"generateName": "rotation-", "labels": {"run": run}},
        });
        let headers = [
            ("content-type", "application/json"),
            ("daas-request-id", &*id),
        ];
        let begun = Instant::now();
        let reply = loop {
            let body = Bytes::from(object.to_string());
            match client.send(Method::POST, CONFIGMAPS, &headers, body).await {
                Ok(reply) => break reply,
                Err(error) => {
                    let is_patient = patience == Patience::Restarts && begun.elapsed() < PATIENCE;
                    assert!(is_patient, "{id}: {error:#}");
                    shared.again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let said: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status.as_u16(), 201, "{id}: {said}");
        told.push(said["metadata"]["uid"].as_str().unwrap().to_owned());
        shared.created.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    told
}

/// A client of a gateway that trusts `authority` alone.
pub fn client(server: &str, authority: &[u8], bearer: &str) -> Client {
    let client = Client::new(server, Some(authority)).unwrap();
    client.with_bearer(bearer)
}

/// A credential of the directory's user, with these settings over its own.
#[track_caller]
pub fn bearer(dir: &Path, server: &str, settings: &[(&str, String)]) -> String {
    let mut command = crate::support::command(crate::support::DAAS);
    command.env("HOME", dir).env("DAAS_DIR", dir);
    command.envs(settings.iter().cloned());
    let audience = server.strip_prefix("https://").unwrap();
    command.args(["credential", "--bearer", "--audience", audience]);
    let bearer = crate::support::Run::of(&mut command).ok();
    bearer.trim().to_owned()
}

/// Status and message of a request.
pub fn ask(
    client: impl FnOnce() -> Client,
    method: Method,
    path: &str,
) -> Result<(u16, Value), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let reply = client().send(method, path, &[], Bytes::new()).await;
        let reply = reply.map_err(|error| format!("{error:#}"))?;
        let said = serde_json::from_slice(&reply.body).unwrap_or_default();
        Ok((reply.status.as_u16(), said))
    })
}

pub const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
const CLIENTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
