//! Clients that create objects, each under a request ID of its own, and ask again under it until they are told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use k3s_daas::ledger::Cursor;
use k3s_daas::types::RequestId;
use k3s_daas_cli::client::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::daas;
use crate::trail::{self, Trail};

/// What is created, and by how many at a time.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A label of these objects alone.
    pub run: String,
    pub creates: usize,
    pub clients: usize,
    /// The `timeout` parameter, if any.
    pub timeout: Option<&'static str>,
}

/// Clients at work.
pub struct Load {
    plan: Plan,
    runtime: Runtime,
    tasks: Vec<JoinHandle<Vec<Asked>>>,
    counts: Arc<Counts>,
    begin: Cursor,
}

/// One object that was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub index: usize,
    pub id: RequestId,
    pub told: Told,
}

/// What a client was told in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It exists, and has this UID.
    Created(String),
    /// Nobody knows.
    Unknown,
    /// It was not executed, and never will be under this ID.
    NotExecuted,
}

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    told: AtomicUsize,
    retried: AtomicUsize,
}

impl Plan {
    pub fn new(run: impl Into<String>, creates: usize, clients: usize) -> Self {
        Self {
            run: run.into(),
            creates,
            clients,
            timeout: None,
        }
    }

    pub fn with_timeout(self, timeout: &'static str) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    /// To which more parameters can be added.
    fn path(&self) -> String {
        match self.timeout {
            Some(timeout) => format!("{CONFIGMAPS}?timeout={timeout}&"),
            None => format!("{CONFIGMAPS}?"),
        }
    }
}

impl Load {
    /// Begins at these gateways; a client that hears nothing of one asks the next.
    pub fn begin(dir: &Path, servers: &[String], plan: Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let begin = trail::end(dir);
        // A client lives in the runtime that it was made in.
        let gateways: Vec<Client> = runtime.block_on(async {
            let gateways = servers.iter().map(|server| client(dir, server));
            gateways.collect()
        });
        let counts = Arc::new(Counts::default());
        let tasks = (0..plan.clients).map(|number| {
            let mut gateways = gateways.clone();
            let others = number % gateways.len();
            gateways.rotate_left(others);
            runtime.spawn(work(gateways, plan.clone(), counts.clone()))
        });
        Self {
            tasks: tasks.collect(),
            plan,
            runtime,
            counts,
            begin,
        }
    }

    /// Where the ledger ended before.
    pub fn began_at(&self) -> Cursor {
        self.begin
    }

    /// How many are told.
    pub fn told(&self) -> usize {
        self.counts.told.load(Ordering::Relaxed)
    }

    /// Whether nothing is left to be begun, or a client has failed.
    pub fn is_over(&self) -> bool {
        self.tasks.iter().any(JoinHandle::is_finished)
    }

    #[track_caller]
    pub fn wait_for(&self, told: usize) {
        let begun = Instant::now();
        while self.told() < told {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} of {told} are told",
                self.told()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until everybody is told and everything is answered, and holds all of it against each other: what was
    /// told, what the ledger has, and what exists.
    #[track_caller]
    pub fn finish(self, dir: &Path) -> Outcome {
        let Self {
            plan,
            runtime,
            tasks,
            counts,
            begin,
        } = self;
        let asked: Vec<Asked> = runtime.block_on(async {
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all
        });
        runtime.shutdown_background();
        assert_eq!(asked.len(), plan.creates);
        let trail = trail::settled(dir, begin);
        trail.check(&asked);
        let found = objects(dir, &plan.run);
        check_objects(&asked, &found, &trail);
        let count = |is: fn(&Told) -> bool| asked.iter().filter(|asked| is(&asked.told)).count();
        Outcome {
            created: count(|told| matches!(told, Told::Created(_))),
            unknown: count(|told| *told == Told::Unknown),
            not_executed: count(|told| *told == Told::NotExecuted),
            retried: counts.retried.load(Ordering::Relaxed),
            trail,
        }
    }
}

/// How it went, all of which holds together.
#[derive(Debug)]
pub struct Outcome {
    pub created: usize,
    pub unknown: usize,
    pub not_executed: usize,
    /// How often a client asked again.
    pub retried: usize,
    pub trail: Trail,
}

/// A client of a gateway with a credential of the directory's user.
pub fn client(dir: &Path, server: &str) -> Client {
    let audience = server.strip_prefix("https://").unwrap();
    let bearer = daas(dir, &["credential", "--bearer", "--audience", audience]).ok();
    let ca = std::fs::read(dir.join("gateway/ca.crt")).unwrap();
    Client::new(server, Some(&ca))
        .unwrap()
        .with_bearer(bearer.trim())
}

async fn work(mut gateways: Vec<Client>, plan: Plan, counts: Arc<Counts>) -> Vec<Asked> {
    let mut all = Vec::new();
    loop {
        let index = counts.begun.fetch_add(1, Ordering::Relaxed);
        if index >= plan.creates {
            return all;
        }
        let id = RequestId::new();
        let told = create(&mut gateways, &plan, index, id, &counts).await;
        counts.told.fetch_add(1, Ordering::Relaxed);
        all.push(Asked { index, id, told });
        if index.is_multiple_of(READ_EVERY) {
            read(&mut gateways, &plan, RequestId::new(), &counts).await;
        }
        if index.is_multiple_of(REFUSED_EVERY) {
            // Something to refuse, and to record; what becomes of it is nobody's concern.
            let refused = gateways[0].send(Method::OPTIONS, CONFIGMAPS, &[], Bytes::new());
            let _ = refused.await;
        }
    }
}

/// Asks for an object until it is known what became of it, always under the same ID.
async fn create(
    gateways: &mut [Client],
    plan: &Plan,
    index: usize,
    id: RequestId,
    counts: &Counts,
) -> Told {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "generateName": "crash-",
            "labels": {"run": plan.run, "index": index.to_string()},
        },
    });
    let path = plan.path();
    let id = id.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("daas-request-id", &*id),
    ];
    let begun = Instant::now();
    loop {
        let body = Bytes::from(object.to_string());
        let reply = gateways[0].send(Method::POST, &path, &headers, body).await;
        let last = match reply {
            Err(error) => error.to_string(),
            Ok(reply) => {
                let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                let message = said["message"].as_str().unwrap_or_default();
                match reply.status.as_u16() {
                    201 => {
                        let uid = said["metadata"]["uid"].as_str().unwrap();
                        return Told::Created(uid.to_owned());
                    }
                    503 | 504 if message.contains("was not executed") => return Told::NotExecuted,
                    504 if message.contains("unknown") && message.contains(&*id) => {
                        return Told::Unknown;
                    }
                    429 | 503 => assert_eq!(said["kind"], "Status", "{said}"),
                    other => panic!("object {index}: {other}: {said}"),
                }
                said.to_string()
            }
        };
        assert!(
            begun.elapsed() < PATIENCE,
            "object {index}, request {id}: {last}"
        );
        counts.retried.fetch_add(1, Ordering::Relaxed);
        gateways.rotate_left(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads something until there is an answer, always under the same ID.
async fn read(gateways: &mut [Client], plan: &Plan, id: RequestId, counts: &Counts) {
    let id = id.to_string();
    let headers = [("accept", "application/json"), ("daas-request-id", &*id)];
    let path = format!("{}limit=1", plan.path());
    let begun = Instant::now();
    loop {
        let reply = gateways[0].send(Method::GET, &path, &headers, Bytes::new());
        let last = match reply.await {
            Err(error) => error.to_string(),
            Ok(reply) => {
                let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                match reply.status.as_u16() {
                    200 => return assert_eq!(said["kind"], "ConfigMapList", "{said}"),
                    // Its answer may be that nobody could execute it.
                    503 | 504 if said.to_string().contains(&*id) => return,
                    429 | 503 => assert_eq!(said["kind"], "Status", "{said}"),
                    other => panic!("read {id}: {other}: {said}"),
                }
                said.to_string()
            }
        };
        assert!(begun.elapsed() < PATIENCE, "read {id}: {last}");
        counts.retried.fetch_add(1, Ordering::Relaxed);
        gateways.rotate_left(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The UIDs of the objects of a run, by index.
#[track_caller]
pub fn objects(dir: &Path, run: &str) -> BTreeMap<usize, Vec<String>> {
    let begun = Instant::now();
    let path = format!("{CONFIGMAPS}?labelSelector=run%3D{run}");
    let list = loop {
        let run = daas(dir, &["request", "GET", &path]);
        if run.code == 0 {
            break run.out;
        }
        assert!(begun.elapsed() < PATIENCE, "{run:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut found = BTreeMap::<usize, Vec<String>>::new();
    for item in list["items"].as_array().unwrap() {
        let metadata = &item["metadata"];
        let index = metadata["labels"]["index"].as_str().unwrap();
        let uid = metadata["uid"].as_str().unwrap().to_owned();
        found.entry(index.parse().unwrap()).or_default().push(uid);
    }
    found
}

/// Each object exists as often as its client was told, and none that the ledger did not admit.
#[track_caller]
fn check_objects(asked: &[Asked], found: &BTreeMap<usize, Vec<String>>, trail: &Trail) {
    for Asked { index, id, told } in asked {
        let found = found.get(index).map(Vec::as_slice).unwrap_or_default();
        assert!(
            found.is_empty() || trail.is_admitted(*id),
            "object {index}, request {id}"
        );
        match told {
            Told::Created(uid) => assert_eq!(
                found,
                std::slice::from_ref(uid),
                "object {index}, request {id}"
            ),
            Told::Unknown => assert!(found.len() <= 1, "object {index}, request {id}: {found:?}"),
            Told::NotExecuted => assert!(found.is_empty(), "object {index}, request {id}"),
        }
    }
    let strange: Vec<_> = found
        .keys()
        .filter(|index| **index >= asked.len())
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// Nothing on the ledger is other than it should be.
#[track_caller]
pub fn clean(dir: &Path) {
    let verified = daas(dir, &["audit", "verify", "-o", "json"]).ok();
    assert!(verified.contains("\"verified\": true"), "{verified}");
}

pub const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
const READ_EVERY: usize = 3;
const REFUSED_EVERY: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
