//! All of Kubernetes' API that ends, on a real cluster: the same bytes directly and through the gateway.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use k3s_daas_cli::client::{Client, Reply};
use serde_json::{Value, json};
use support::cluster::ControlPlane;
use support::{Process, daas};
use tokio::runtime::Runtime;

#[test]
fn real_cluster_api_is_the_same_through_the_gateway() {
    let world = World::start();
    // One after the other, since what one writes another would read.
    reads_are_the_same_bytes(&world);
    discovery_is_the_same(&world);
    pages_and_versions_are_the_same(&world);
    writes_are_the_same(&world);
    large_bodies_are_whole(&world);
}

fn reads_are_the_same_bytes(world: &World) {
    let mut kinds = 0;
    for group in world.groups() {
        for resource in world.resources(&group) {
            kinds += 1;
            let path = format!("{group}/{resource}");
            for accept in ENCODINGS {
                let list = world.alike(&path, &[("accept", accept)]);
                // Not all speak protobuf.
                assert!(matches!(list.status.as_u16(), 200 | 406), "{path} {accept}");
            }
            let list: Value = serde_json::from_slice(&world.alike(&path, &JSON).body).unwrap();
            let Some(item) = list["items"].get(0) else {
                continue;
            };
            let name = item["metadata"]["name"].as_str().unwrap();
            let path = match item["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("{group}/namespaces/{namespace}/{resource}/{name}"),
                None => format!("{path}/{name}"),
            };
            for accept in ENCODINGS {
                world.alike(&path, &[("accept", accept)]);
            }
        }
    }
    assert!(kinds > 60, "{kinds} kinds");
}

fn discovery_is_the_same(world: &World) {
    for path in ["/version", "/api", "/apis", "/openapi/v3"] {
        world.alike(path, &JSON);
    }
    for path in ["/api", "/apis"] {
        let answer = world.alike(path, &[("accept", AGGREGATED)]);
        let etag = answer.headers["etag"].to_str().unwrap().to_owned();
        let again = [("accept", AGGREGATED), ("if-none-match", etag.as_str())];
        assert_eq!(world.through.get(path, &again).status, 304, "{path}");
    }
    for accept in [
        "application/json",
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    ] {
        world.alike("/openapi/v2", &[("accept", accept)]);
    }
    let documents = world.direct.json("/openapi/v3");
    let documents = documents["paths"].as_object().unwrap();
    for document in ["api/v1", "apis/apps/v1", "apis/wardle.example.com/v1beta1"] {
        let url = documents[document]["serverRelativeURL"].as_str().unwrap();
        let answer = world.alike(url, &JSON);
        let etag = answer.headers["etag"].to_str().unwrap().to_owned();
        let again = [JSON[0], ("if-none-match", etag.as_str())];
        assert_eq!(world.through.get(url, &again).status, 304, "{url}");
    }
}

fn pages_and_versions_are_the_same(world: &World) {
    let namespace = world.namespace("pages", &world.direct);
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    for number in 0..7 {
        let name = format!("page-{number}");
        let created = world
            .direct
            .post(&path, &config_map(&name, &json!({"n": "1"})));
        assert_eq!(created.status, 201);
    }
    let all = world.direct.json(&path);
    let version = all["metadata"]["resourceVersion"].as_str().unwrap();
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let query = format!("{path}?limit=3&continue={token}");
        let page = world.through.json(&query);
        let found = names(&page);
        assert!(found.len() <= 3);
        paged.extend(found);
        token = match page["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => next.to_owned(),
            _ => break,
        };
    }
    assert_eq!(paged, names(&all));
    for query in [
        "resourceVersion=0".to_owned(),
        format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan"),
        format!("resourceVersion={version}&resourceVersionMatch=Exact"),
        "labelSelector=a%3Db&fieldSelector=metadata.name%3Dpage-3".to_owned(),
        "fieldSelector=metadata.name%3Dpage-3".to_owned(),
        "resourceVersionMatch=Exact".to_owned(),
        "limit=-1".to_owned(),
        "continue=bogus".to_owned(),
        "fieldSelector=status.none%3Da".to_owned(),
        // Long before anything that is kept.
        "resourceVersion=1&resourceVersionMatch=Exact".to_owned(),
        "resourceVersion=x".to_owned(),
    ] {
        world.alike(&format!("{path}?{query}"), &JSON);
    }
}

fn writes_are_the_same(world: &World) {
    let here = [&world.direct, &world.through];
    let namespaces = here.map(|way| world.namespace("writes", way));
    let uid = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    for step in writes() {
        let [direct, through] = [0, 1].map(|at| {
            let path = step.path.replace("NS", &namespaces[at]);
            let body = step.body.replace("NS", &namespaces[at]);
            let headers = [("accept", step.accept), ("content-type", step.content_type)];
            let headers = if body.is_empty() {
                &headers[..1]
            } else {
                &headers[..]
            };
            let reply = here[at].ask(step.method.clone(), &path, headers, body);
            let text = String::from_utf8_lossy(&reply.body).replace(&namespaces[at], "NS");
            let text = uid.replace_all(&text, "UID").into_owned();
            let body = serde_json::from_str(&text)
                .map(timeless)
                .unwrap_or(Value::String(text));
            (reply.status, told(&reply), body)
        });
        let what = format!("{} {}", step.method, step.path);
        assert_eq!(direct.0, step.status, "{what}: {:#}", direct.2);
        assert_eq!(through, direct, "{what}");
    }
}

fn large_bodies_are_whole(world: &World) {
    let namespace = world.namespace("large", &world.direct);
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let next = AtomicUsize::new(0);
    world.runtime.block_on(async {
        let each = (0..32).map(|_| async {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= PODS {
                    return;
                }
                let name = format!("pod-{number}");
                let pod = json!({
                    "metadata": {"name": name},
                    // Nothing schedules it, so it stays as it is.
                    "spec": {"schedulerName": "none", "containers": [{"name": "a", "image": "a"}]},
                });
                let body = Bytes::from(pod.to_string());
                let client = &world.direct.client;
                let reply = client
                    .send(Method::POST, &path, &WRITE, body)
                    .await
                    .unwrap();
                assert_eq!(reply.status, 201, "{reply:?}");
            }
        });
        futures_util::future::join_all(each).await;
    });
    let list = world.alike(&path, &JSON);
    assert!(list.body.len() > 3_000_000, "{} bytes", list.body.len());

    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let value = "x".repeat(1_048_000);
    let created = world
        .through
        .post(&path, &config_map("large", &json!({"value": value})));
    assert_eq!(created.status, 201);
    let found = world.alike(&format!("{path}/large"), &JSON);
    assert!(found.body.len() > value.len());
    // Neither we nor Kubernetes take more than 3 MiB.
    let body = config_map("larger", &json!({"value": "x".repeat(3 << 20)}));
    for way in [&world.direct, &world.through] {
        let refused = way.post(&path, &body);
        assert_eq!(refused.status, 413);
        let status: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(status["reason"], "RequestEntityTooLarge");
    }
    let larger = world.direct.get(&format!("{path}/larger"), &JSON);
    assert_eq!(larger.status, 404);
    // The ledger has none of it, only hashes.
    let size = std::fs::metadata(world.dir.path().join("daas/ledger/ledger.db"));
    let events = daas(&world.dir.path().join("daas"), &["events", "-o", "json"]).ok();
    assert!(
        !events.contains(&"x".repeat(1_000)),
        "{:?}",
        size.map(|size| size.len())
    );
}

/// One request, with the status that it has.
struct Write {
    method: Method,
    path: &'static str,
    accept: &'static str,
    content_type: &'static str,
    body: String,
    status: u16,
}

fn write(method: Method, status: u16, path: &'static str, body: &Value) -> Write {
    Write {
        method,
        path,
        accept: "application/json",
        content_type: "application/json",
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        status,
    }
}

fn patch(kind: &'static str, status: u16, path: &'static str, body: &Value) -> Write {
    Write {
        content_type: kind,
        ..write(Method::PATCH, status, path, body)
    }
}

/// What a client may write, in order.
fn writes() -> Vec<Write> {
    let maps = "/api/v1/namespaces/NS/configmaps";
    let map = "/api/v1/namespaces/NS/configmaps/a";
    let pods = "/api/v1/namespaces/NS/pods";
    let pod = "/api/v1/namespaces/NS/pods/a";
    let deployments = "/apis/apps/v1/namespaces/NS/deployments";
    let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
    let object = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let container = json!({"name": "a", "image": "a"});
    let labels = json!({"app": "a"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {
            "replicas": 0, "paused": true, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let unscheduled = json!({
        "metadata": {"name": "a"},
        "spec": {"schedulerName": "none", "automountServiceAccountToken": false, "containers": [container]},
    });
    let none = Value::Null;
    vec![
        // Dry run, field validation, warnings.
        write(
            post.clone(),
            201,
            "/api/v1/namespaces/NS/configmaps?dryRun=All",
            &object(json!({"a": "1"})),
        ),
        write(Method::GET, 404, map, &none),
        write(
            post.clone(),
            400,
            "/api/v1/namespaces/NS/configmaps?fieldValidation=Strict",
            &json!({"metadata": {"name": "a"}, "dta": {}}),
        ),
        write(
            post.clone(),
            201,
            "/api/v1/namespaces/NS/configmaps?fieldValidation=Warn",
            &json!({"metadata": {"name": "a"}, "dta": {}}),
        ),
        write(post.clone(), 409, maps, &object(json!({}))),
        write(
            post.clone(),
            422,
            maps,
            &json!({"metadata": {"name": "A_"}}),
        ),
        write(
            post.clone(),
            400,
            maps,
            &json!({"metadata": {"name": "b", "namespace": "other"}}),
        ),
        write(post.clone(), 400, maps, &json!({"metadata": 7})),
        // Updates and their conflicts.
        write(put.clone(), 200, map, &object(json!({"a": "1"}))),
        write(
            put.clone(),
            409,
            map,
            &json!({"metadata": {"name": "a", "resourceVersion": "1"}}),
        ),
        write(put.clone(), 400, map, &json!({"metadata": {"name": "b"}})),
        // Each kind of patch.
        patch(
            "application/json-patch+json",
            200,
            map,
            &json!([{"op": "add", "path": "/data/b", "value": "2"}]),
        ),
        patch(
            "application/json-patch+json",
            422,
            map,
            &json!([{"op": "test", "path": "/data/b", "value": "3"}]),
        ),
        patch(
            "application/merge-patch+json",
            200,
            map,
            &json!({"data": {"b": null, "c": "3"}}),
        ),
        patch(
            "application/strategic-merge-patch+json",
            200,
            map,
            &json!({"data": {"d": "4"}}),
        ),
        patch("application/json", 415, map, &json!({})),
        // Server-side apply, its conflicts, by force.
        patch(
            "application/apply-patch+yaml",
            200,
            "/api/v1/namespaces/NS/configmaps/a?fieldManager=one",
            &object(json!({"e": "5"})),
        ),
        patch(
            "application/apply-patch+yaml",
            409,
            "/api/v1/namespaces/NS/configmaps/a?fieldManager=two",
            &object(json!({"e": "6"})),
        ),
        patch(
            "application/apply-patch+yaml",
            200,
            "/api/v1/namespaces/NS/configmaps/a?fieldManager=two&force=true",
            &object(json!({"e": "6"})),
        ),
        patch("application/apply-patch+yaml", 422, map, &object(json!({}))),
        // Subresources.
        write(post.clone(), 201, pods, &unscheduled),
        patch(
            "application/merge-patch+json",
            200,
            "/api/v1/namespaces/NS/pods/a/status",
            &json!({"status": {"phase": "Running"}}),
        ),
        write(
            Method::GET,
            200,
            "/api/v1/namespaces/NS/pods/a/status",
            &none,
        ),
        patch(
            "application/strategic-merge-patch+json",
            200,
            "/api/v1/namespaces/NS/pods/a/ephemeralcontainers",
            &json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "b", "terminationMessagePolicy": "File", "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log"}]}}),
        ),
        write(
            post.clone(),
            201,
            "/api/v1/namespaces/NS/pods/a/binding",
            &json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "none"}}),
        ),
        write(
            post.clone(),
            409,
            "/api/v1/namespaces/NS/pods/a/binding",
            &json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "none"}}),
        ),
        write(
            post.clone(),
            201,
            "/api/v1/namespaces/NS/pods/a/eviction?dryRun=All",
            &json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}),
        ),
        write(
            Method::GET,
            404,
            "/api/v1/namespaces/NS/pods/none/log",
            &none,
        ),
        write(post.clone(), 201, deployments, &deployment),
        write(
            Method::GET,
            200,
            "/apis/apps/v1/namespaces/NS/deployments/a/scale",
            &none,
        ),
        patch(
            "application/merge-patch+json",
            200,
            "/apis/apps/v1/namespaces/NS/deployments/a/scale",
            &json!({"spec": {"replicas": 3}}),
        ),
        write(
            post.clone(),
            422,
            "/api/v1/namespaces/NS/serviceaccounts/default/token",
            &json!({"spec": {"expirationSeconds": 1}}),
        ),
        // An aggregated API.
        write(
            post.clone(),
            201,
            "/apis/wardle.example.com/v1alpha1/namespaces/NS/flunders",
            &json!({"apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder", "metadata": {"name": "a"}}),
        ),
        write(
            Method::GET,
            200,
            "/apis/wardle.example.com/v1beta1/namespaces/NS/flunders/a",
            &none,
        ),
        // Options of deletion, in the body and in the query.
        write(
            delete.clone(),
            409,
            map,
            &json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}),
        ),
        write(
            delete.clone(),
            200,
            "/api/v1/namespaces/NS/configmaps/a?dryRun=All",
            &none,
        ),
        write(
            delete.clone(),
            200,
            map,
            &json!({"propagationPolicy": "Background"}),
        ),
        write(delete.clone(), 404, map, &none),
        write(
            delete.clone(),
            200,
            "/apis/apps/v1/namespaces/NS/deployments?labelSelector=none",
            &none,
        ),
        write(delete, 200, pod, &json!({"gracePeriodSeconds": 0})),
        // What there is not.
        write(Method::GET, 404, "/apis/none.example.com/v1/things", &none),
        write(
            Method::GET,
            405,
            "/api/v1/namespaces/NS/pods/a/binding",
            &none,
        ),
        write(put, 405, pods, &json!({})),
        write(Method::GET, 406, map, &none).accepting("text/html"),
    ]
}

impl Write {
    fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }
}

/// The cluster, `daas dev` over it, and two ways to the same API.
struct World {
    runtime: Runtime,
    direct: Way,
    through: Way,
    dir: tempfile::TempDir,
    _dev: Process,
    _cluster: ControlPlane,
}

struct Way {
    client: Client,
    runtime: tokio::runtime::Handle,
    name: &'static str,
}

impl World {
    fn start() -> Self {
        let cluster = ControlPlane::start(&["--sample-apiserver"]);
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let dev = cluster.dev(&dir);
        for command in [
            "create serviceaccount direct",
            "create clusterrolebinding direct --clusterrole=cluster-admin --serviceaccount=default:direct",
        ] {
            let words: Vec<_> = command.split(' ').collect();
            cluster.kubectl(&words, "").ok();
        }
        let bearer = cluster.kubectl(&["create", "token", "direct"], "").ok();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let ca = std::fs::read(cluster.dir().join("pki/ca.crt")).unwrap();
        let direct = Client::new(cluster.server(), Some(&ca)).unwrap();
        let text = std::fs::read_to_string(dir.join("kubeconfig")).unwrap();
        let mut lines = text.lines();
        let server = lines.find_map(|line| line.trim().strip_prefix("server: "));
        let ca = std::fs::read(dir.join("gateway/ca.crt")).unwrap();
        let through = Client::new(server.unwrap(), Some(&ca)).unwrap();
        let way = |name, client: Client, bearer: &str| Way {
            client: client.with_bearer(bearer.trim()),
            runtime: runtime.handle().clone(),
            name,
        };
        let direct = way("direct", direct, &bearer);
        let through = way("through", through, &credential(&dir));
        drop(_inside);
        Self {
            direct,
            through,
            runtime,
            dir: scratch,
            _dev: dev,
            _cluster: cluster,
        }
    }

    /// What both ways answer, byte for byte. Something may change in between, and the gateway may know what a
    /// cluster says of itself a little longer than that; so it is asked again.
    #[track_caller]
    fn alike(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let begun = Instant::now();
        loop {
            let direct = self.direct.get(path, headers);
            let through = self.through.get(path, headers);
            let is_alike = through.status == direct.status
                && told(&through) == told(&direct)
                && through.body == direct.body;
            if is_alike {
                return through;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{path} {headers:?}: {} {:?}\n{}\n{} {:?}\n{}",
                through.status,
                told(&through),
                String::from_utf8_lossy(&through.body),
                direct.status,
                told(&direct),
                String::from_utf8_lossy(&direct.body)
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// `/api/v1` and the like, all of them.
    fn groups(&self) -> Vec<String> {
        let found = self.direct.json("/apis");
        let groups = found["groups"].as_array().unwrap().iter();
        let versions = groups.flat_map(|group| group["versions"].as_array().unwrap());
        let versions =
            versions.map(|version| format!("/apis/{}", version["groupVersion"].as_str().unwrap()));
        std::iter::once("/api/v1".to_owned())
            .chain(versions)
            .collect()
    }

    /// What of a group version can be listed.
    fn resources(&self, group: &str) -> BTreeSet<String> {
        let found = self.alike(group, &JSON);
        let found: Value = serde_json::from_slice(&found.body).unwrap();
        let resources = found["resources"].as_array().unwrap().iter();
        let listed = resources.filter(|resource| {
            let verbs = resource["verbs"].as_array().unwrap();
            verbs.contains(&json!("list"))
        });
        listed
            .map(|resource| resource["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A new namespace with its service account.
    fn namespace(&self, name: &str, way: &Way) -> String {
        let name = format!("{name}-{}", way.name);
        let created = way.post(
            "/api/v1/namespaces",
            &json!({"metadata": {"name": name}}).to_string(),
        );
        assert_eq!(created.status, 201, "{created:?}");
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        for _ in 0..200 {
            if self.direct.get(&account, &JSON).status == 200 {
                return name;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} has no service account");
    }
}

impl Way {
    #[track_caller]
    fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let sent = self.client.send(method, path, headers, body.into());
        self.runtime.block_on(sent).unwrap()
    }

    #[track_caller]
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask(Method::GET, path, headers, Bytes::new())
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path, &JSON).body).unwrap()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &str) -> Reply {
        self.ask(Method::POST, path, &WRITE, body.to_owned())
    }
}

fn credential(dir: &Path) -> String {
    daas(dir, &["credential", "--bearer"]).ok()
}

fn config_map(name: &str, data: &Value) -> String {
    json!({"metadata": {"name": name}, "data": data}).to_string()
}

/// The headers that clients go by.
fn told(reply: &Reply) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    for name in ["content-type", "etag", "warning", "retry-after", "location"] {
        for value in reply.headers.get_all(name) {
            told.push((name, value.to_str().unwrap().to_owned()));
        }
    }
    told
}

/// An object without what is never the same twice.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for name in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "time",
                "deletionTimestamp",
            ] {
                fields.remove(name);
            }
            for (name, field) in fields.iter_mut() {
                *field = match name.as_str() {
                    "lastTransitionTime" | "lastUpdateTime" => Value::Null,
                    _ => timeless(field.take()),
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = timeless(item.take());
            }
        }
        _ => {}
    }
    value
}

const JSON: [(&str, &str); 1] = [("accept", "application/json")];
const WRITE: [(&str, &str); 2] = [
    ("accept", "application/json"),
    ("content-type", "application/json"),
];
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const ENCODINGS: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
];
const PODS: usize = 5_000;
/// Longer than discovery is kept.
const PATIENCE: Duration = Duration::from_secs(60);
