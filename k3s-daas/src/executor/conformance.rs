//! The suites that every executor of a real cluster passes, for those who bring their own.
//!
//! [`run`] asks a Kubernetes API; [`run_http`] asks a server of its own that looks at every byte, for what
//! no well-behaved API server would show: that nothing is sent twice, and that nothing is sent otherwise.

mod admission;
mod server;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

pub use admission::Admission;
pub use server::{RecordingServer, Reply};

use super::{Error, Executor, Response};
use crate::types::{K8sApiRequest, Method};

/// Runs the suite against the Kubernetes API that `executor` reaches.
///
/// `groups` are what the token impersonates; the cluster must allow them to get, list, watch, create, update, patch
/// and delete config maps in the namespace `default`, and the executor's account to impersonate users, groups
/// and `userextras/daas.dev/request-id`. What is created has names of its own and is deleted.
///
/// # Panics
/// Where the executor does not do what [`Executor`] says.
pub async fn run(executor: &dyn Executor, groups: &[&str]) {
    let admission = Admission::new(groups);
    executor.probe().await.expect("the cluster is ready");
    status_headers_and_body_come_back(executor, &admission).await;
    bodies_are_not_compressed(executor, &admission).await;
    queries_arrive_as_admitted(executor, &admission).await;
    media_types_and_pages_come_back(executor, &admission).await;
    patches_and_deletions_arrive_with_their_bodies(executor, &admission).await;
    refusals_and_warnings_come_back(executor, &admission).await;
    a_watch_streams(executor, &admission).await;
    the_cluster_sees_the_token(executor, &admission, groups).await;
    upgrades_are_unsupported(executor, &admission).await;
}

/// Runs the suite against a server of its own, over plain HTTP; `connect` makes an executor for the
/// address of an API server, which may be one that nobody listens at.
///
/// # Panics
/// Where the executor does not do what [`Executor`] says.
pub async fn run_http<F, R>(connect: F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    what_is_sent_is_what_was_admitted(&connect).await;
    nothing_is_repeated(&connect).await;
    redirects_are_not_followed(&connect).await;
    a_broken_connection_is_interrupted(&connect).await;
    an_unreachable_server_gets_nothing(&connect).await;
    a_dropped_request_is_abandoned(&connect).await;
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn get(path: &str) -> crate::types::K8sApiRequestBuilder {
    K8sApiRequest::builder(Method::Get, path).with_header("accept", "application/json")
}

fn create(body: &str) -> (crate::types::K8sApiRequestBuilder, &[u8]) {
    let builder = K8sApiRequest::builder(Method::Post, CONFIG_MAPS)
        .with_header("accept", "application/json")
        .with_header("content-type", "application/json");
    (builder, body.as_bytes())
}

fn config_map(name: &str, label: &str, value: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","labels":{{"daas-conformance":"{label}"}}}},"data":{{"value":"{value}"}}}}"#
    )
}

/// A name that nobody has.
fn fresh_name() -> String {
    format!("daas-conformance-{}", crate::types::RequestId::new())
}

async fn execute(
    executor: &dyn Executor,
    admission: &Admission,
    builder: crate::types::K8sApiRequestBuilder,
    body: &[u8],
) -> Response {
    let authorized = admission.admit(builder, body);
    executor
        .execute(authorized)
        .await
        .expect("the cluster answers")
}

async fn whole(response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut body = response.body;
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.expect("the body does not break off"));
    }
    bytes
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a [u8]> {
    let mut headers = response.headers.iter();
    let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(&found.1)
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

async fn delete(executor: &dyn Executor, admission: &Admission, name: &str) {
    let path = format!("{CONFIG_MAPS}/{name}");
    let builder = K8sApiRequest::builder(Method::Delete, path);
    let deleted = execute(executor, admission, builder, b"").await;
    assert_eq!(deleted.status, 200, "what was created is deleted");
}

async fn status_headers_and_body_come_back(executor: &dyn Executor, admission: &Admission) {
    let version = execute(executor, admission, get("/version"), b"").await;
    assert_eq!(version.status, 200);
    let content_type = header(&version, "content-type").expect("a content type");
    assert!(content_type.starts_with(b"application/json"));
    assert!(contains(&whole(version).await, "\"gitVersion\""));
    let path = format!("{CONFIG_MAPS}/{}", fresh_name());
    let missing = execute(executor, admission, get(&path), b"").await;
    assert_eq!(
        missing.status, 404,
        "the cluster's own refusals come back as they are"
    );
    assert!(contains(&whole(missing).await, "NotFound"));
}

async fn bodies_are_not_compressed(executor: &dyn Executor, admission: &Admission) {
    let name = fresh_name();
    // Over 128 KiB kube-apiserver compresses for whoever lets it.
    let value = "x".repeat(200 << 10);
    let body = config_map(&name, "large", &value);
    let (builder, body) = create(&body);
    let created = execute(executor, admission, builder, body).await;
    assert_eq!(created.status, 201);
    let read = execute(
        executor,
        admission,
        get(&format!("{CONFIG_MAPS}/{name}")),
        b"",
    )
    .await;
    assert_eq!(header(&read, "content-encoding"), None);
    let bytes = whole(read).await;
    assert!(contains(&bytes, &value), "the body is there in the clear");
    delete(executor, admission, &name).await;
}

async fn queries_arrive_as_admitted(executor: &dyn Executor, admission: &Admission) {
    let (name, label) = (fresh_name(), fresh_name());
    let body = config_map(&name, &label, "small");
    let (builder, body) = create(&body);
    assert_eq!(
        execute(executor, admission, builder, body).await.status,
        201
    );
    let list = |selector: &str| get(CONFIG_MAPS).with_query(format!("labelSelector={selector}"));
    let found = execute(
        executor,
        admission,
        list(&format!("daas-conformance%20in%20%28{label}%29")),
        b"",
    );
    assert!(contains(&whole(found.await).await, &name));
    let others = execute(
        executor,
        admission,
        list(&format!("daas-conformance%20notin%20%28{label}%29")),
        b"",
    );
    assert!(!contains(&whole(others.await).await, &name));
    delete(executor, admission, &name).await;
}

async fn media_types_and_pages_come_back(executor: &dyn Executor, admission: &Admission) {
    let (first, second, label) = (fresh_name(), fresh_name(), fresh_name());
    for name in [&first, &second] {
        let body = config_map(name, &label, "small");
        let (builder, body) = create(&body);
        let created = execute(executor, admission, builder, body).await;
        assert_eq!(created.status, 201);
    }
    let list = |accept: &str, more: &str| {
        K8sApiRequest::builder(Method::Get, CONFIG_MAPS)
            .with_header("accept", accept)
            .with_query(format!("labelSelector=daas-conformance%3D{label}{more}"))
    };
    for (accept, content_type, part) in [
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io",
            "application/json",
            "\"kind\":\"Table\"",
        ),
        (
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
            "application/json",
            "\"kind\":\"PartialObjectMetadataList\"",
        ),
        (
            "application/vnd.kubernetes.protobuf",
            "application/vnd.kubernetes.protobuf",
            "k8s\0",
        ),
    ] {
        let listed = execute(executor, admission, list(accept, ""), b"").await;
        if listed.status == 406 && accept.ends_with("protobuf") {
            // Not every server speaks it.
            continue;
        }
        assert_eq!(listed.status, 200, "{accept}");
        let found = header(&listed, "content-type").expect("a content type");
        assert_eq!(found, content_type.as_bytes(), "{accept}");
        let bytes = whole(listed).await;
        assert!(contains(&bytes, part), "{accept}");
        assert!(contains(&bytes, &first) && contains(&bytes, &second));
    }
    let page = execute(
        executor,
        admission,
        list("application/json", "&limit=1"),
        b"",
    )
    .await;
    let page = String::from_utf8(whole(page).await).expect("JSON");
    let token = page.split("\"continue\":\"").nth(1).expect("there is more");
    let token = token.split('"').next().expect("its end");
    let more = format!("&limit=1&continue={token}");
    let rest = execute(executor, admission, list("application/json", &more), b"").await;
    let rest = whole(rest).await;
    for name in [&first, &second] {
        let times = u8::from(contains(page.as_bytes(), name)) + u8::from(contains(&rest, name));
        assert_eq!(times, 1, "{name} is on one page");
        delete(executor, admission, name).await;
    }
}

async fn patches_and_deletions_arrive_with_their_bodies(
    executor: &dyn Executor,
    admission: &Admission,
) {
    let name = fresh_name();
    let path = format!("{CONFIG_MAPS}/{name}");
    let body = config_map(&name, "patched", "0");
    let (builder, body) = create(&body);
    let created = execute(executor, admission, builder, body).await;
    assert_eq!(created.status, 201);
    let patch = |media_type: &str, query: &str| {
        K8sApiRequest::builder(Method::Patch, path.clone())
            .with_header("accept", "application/json")
            .with_header("content-type", media_type)
            .with_query(query)
    };
    let apply = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '4'}}\n"
    );
    let applying = "fieldManager=daas-conformance";
    for (media_type, query, body, status, value) in [
        (
            "application/merge-patch+json",
            "",
            r#"{"data":{"value":"1"}}"#,
            200,
            "1",
        ),
        (
            "application/strategic-merge-patch+json",
            "",
            r#"{"data":{"value":"2"}}"#,
            200,
            "2",
        ),
        (
            "application/json-patch+json",
            "",
            r#"[{"op":"replace","path":"/data/value","value":"3"}]"#,
            200,
            "3",
        ),
        // Another manager has the field.
        ("application/apply-patch+yaml", applying, &apply, 409, "3"),
        (
            "application/apply-patch+yaml",
            "fieldManager=daas-conformance&force=true",
            &apply,
            200,
            "4",
        ),
        (
            "application/merge-patch+json",
            "dryRun=All",
            r#"{"data":{"value":"5"}}"#,
            200,
            "4",
        ),
    ] {
        let patched = execute(
            executor,
            admission,
            patch(media_type, query),
            body.as_bytes(),
        )
        .await;
        assert_eq!(patched.status, status, "{media_type} {query}");
        let read = execute(executor, admission, get(&path), b"").await;
        let value = format!("\"value\":\"{value}\"");
        assert!(contains(&whole(read).await, &value), "{media_type} {query}");
    }
    let builder = K8sApiRequest::builder(Method::Delete, path.clone())
        .with_header("content-type", "application/json");
    let other = br#"{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"other"}}"#;
    let kept = execute(executor, admission, builder, other).await;
    assert_eq!(kept.status, 409, "the body of a deletion counts");
    delete(executor, admission, &name).await;
}

async fn refusals_and_warnings_come_back(executor: &dyn Executor, admission: &Admission) {
    let name = fresh_name();
    let body = config_map(&name, "refused", "small");
    let post = |query: &str| create("").0.with_query(query);
    let wrong = config_map("Not_A_Name", "refused", "small");
    let unknown = body.replace("\"data\"", "\"dta\"");
    for (builder, body, status, reason) in [
        (post(""), &*body, 201, ""),
        (post(""), &body, 409, "AlreadyExists"),
        (post(""), &wrong, 422, "Invalid"),
        (post(""), "{", 400, "BadRequest"),
        (post("fieldValidation=Strict"), &unknown, 400, "BadRequest"),
    ] {
        let response = execute(executor, admission, builder, body.as_bytes()).await;
        assert_eq!(response.status, status, "{body}");
        let reason = format!("\"reason\":\"{reason}\"");
        assert!(
            status == 201 || contains(&whole(response).await, &reason),
            "{reason}"
        );
    }
    let query = "fieldValidation=Warn&dryRun=All";
    let unknown = unknown.replace(&name, &fresh_name());
    let warned = execute(executor, admission, post(query), unknown.as_bytes()).await;
    assert_eq!(warned.status, 201);
    let warning = header(&warned, "warning").expect("a warning");
    assert!(contains(warning, "unknown field"), "{warning:?}");
    delete(executor, admission, &name).await;
}

async fn a_watch_streams(executor: &dyn Executor, admission: &Admission) {
    let name = fresh_name();
    let query = format!("watch=true&fieldSelector=metadata.name%3D{name}");
    let watch = get(CONFIG_MAPS).with_query(query);
    // Its headers come before any event does.
    let watched = execute(executor, admission, watch, b"");
    let watched = tokio::time::timeout(Duration::from_secs(10), watched).await;
    let mut watched = watched.expect("a watch answers at once");
    assert_eq!(watched.status, 200);
    let body = config_map(&name, "watched", "small");
    let (builder, body) = create(&body);
    assert_eq!(
        execute(executor, admission, builder, body).await.status,
        201
    );
    let mut seen = Vec::new();
    while !contains(&seen, &name) || !seen.ends_with(b"\n") {
        let piece = tokio::time::timeout(Duration::from_secs(10), watched.body.next()).await;
        let piece = piece
            .expect("events come as they happen")
            .expect("a watch does not end");
        seen.extend_from_slice(&piece.expect("a watch does not break off"));
    }
    drop(watched);
    delete(executor, admission, &name).await;
}

async fn the_cluster_sees_the_token(
    executor: &dyn Executor,
    admission: &Admission,
    groups: &[&str],
) {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let builder = K8sApiRequest::builder(Method::Post, path)
        .with_header("accept", "application/json")
        .with_header("content-type", "application/json");
    let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let authorized = admission.admit(builder, body);
    let id = authorized.request().id().to_string();
    let review = executor
        .execute(authorized)
        .await
        .expect("the cluster answers");
    assert_eq!(review.status, 201);
    let bytes = whole(review).await;
    assert!(contains(&bytes, &admission.user()), "the user is the token");
    for group in groups {
        assert!(contains(&bytes, &format!("\"{group}\"")), "group {group}");
    }
    assert!(contains(&bytes, "daas.dev/request-id") && contains(&bytes, &id));
}

async fn upgrades_are_unsupported(executor: &dyn Executor, admission: &Admission) {
    for subresource in ["exec", "attach", "portforward"] {
        let path = format!("/api/v1/namespaces/default/pods/none/{subresource}");
        let authorized = admission.admit(K8sApiRequest::builder(Method::Get, path), b"");
        let refused = executor.execute(authorized).await;
        assert!(
            matches!(refused, Err(Error::Unsupported { .. })),
            "{subresource}: {refused:?}"
        );
    }
}

async fn what_is_sent_is_what_was_admitted<F, R>(connect: &F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    let server = RecordingServer::start(Reply::ok("{}")).await;
    let executor = connect(server.url()).await;
    let admission = Admission::new(&["developers", "team:a"]);
    let path = "/api/v1/namespaces/default/configmaps/a:b@c!$&'()*+,;=~%C3%A4%20%5B";
    let query = "a=%2F&b=c+d&&=&e=%25&pretty=/?:@!$'()*,~&a=%C3%A4";
    let builder = K8sApiRequest::builder(Method::Put, path)
        .with_query(query)
        .with_header(
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io, */*;q=0.5",
        )
        .with_header("content-type", "application/apply-patch+yaml")
        .with_header("if-match", "\"5\"")
        .with_header("user-agent", "kubectl/v1.35.2 (linux/amd64)");
    let authorized = admission.admit(builder, b"\x00\xff{}\r\n");
    let id = authorized.request().id().to_string();
    let response = executor.execute(authorized).await.expect("it answers");
    assert_eq!(response.status, 200);
    assert_eq!(header(&response, "audit-id"), Some(&b"1"[..]));
    assert_eq!(whole(response).await, b"{}");
    let requests = server.requests();
    let [request] = &requests[..] else {
        panic!("sent {} times", requests.len())
    };
    assert_eq!(request.line, format!("PUT {path}?{query} HTTP/1.1"));
    assert_eq!(request.body, b"\x00\xff{}\r\n");
    let expected = [
        (
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io, */*;q=0.5",
        ),
        ("content-type", "application/apply-patch+yaml"),
        ("if-match", "\"5\""),
        ("user-agent", "kubectl/v1.35.2 (linux/amd64)"),
        ("accept-encoding", "identity"),
        ("impersonate-user", &admission.user()),
        ("impersonate-extra-daas.dev%2frequest-id", &id),
    ];
    for (name, value) in expected {
        assert_eq!(request.header(name), [value], "{name}");
    }
    assert_eq!(
        request.header("impersonate-group"),
        ["developers", "team:a"]
    );
    let others = request.headers.iter().map(|(name, _)| name.as_str());
    let others: Vec<_> = others
        .filter(|name| {
            !expected.iter().any(|(known, _)| known == name)
                && !["impersonate-group", "host", "content-length"].contains(name)
        })
        .collect();
    assert!(others.is_empty(), "nothing else is sent: {others:?}");
}

async fn nothing_is_repeated<F, R>(connect: &F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let reply = Reply::ok("later")
            .with_status(status)
            .with_header("retry-after", "0");
        let server = RecordingServer::start(reply).await;
        let executor = connect(server.url()).await;
        let admission = Admission::new(&[]);
        for method in [Method::Get, Method::Post] {
            let before = server.requests().len();
            let builder = K8sApiRequest::builder(method, CONFIG_MAPS);
            let response = execute(&*executor, &admission, builder, b"").await;
            assert_eq!(response.status, status);
            assert_eq!(header(&response, "retry-after"), Some(&b"0"[..]));
            assert_eq!(whole(response).await, b"later");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(server.requests().len(), before + 1, "{method} {status}");
        }
    }
}

async fn redirects_are_not_followed<F, R>(connect: &F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    let elsewhere = RecordingServer::start(Reply::ok("{}")).await;
    let reply = Reply::ok("")
        .with_status(307)
        .with_header("location", &elsewhere.url());
    let server = RecordingServer::start(reply).await;
    let executor = connect(server.url()).await;
    let response = execute(&*executor, &Admission::new(&[]), get(CONFIG_MAPS), b"").await;
    assert_eq!(response.status, 307);
    assert!(elsewhere.requests().is_empty());
}

async fn a_broken_connection_is_interrupted<F, R>(connect: &F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    let admission = Admission::new(&[]);
    for reply in [Reply::hang_up(), Reply::garbage()] {
        let server = RecordingServer::start(reply).await;
        let executor = connect(server.url()).await;
        let (builder, body) = create("{}");
        let failed = executor.execute(admission.admit(builder, body)).await;
        assert!(
            matches!(failed, Err(Error::Interrupted { .. })),
            "{failed:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.requests().len(), 1);
    }
    let server = RecordingServer::start(Reply::ok("not all of it").truncated()).await;
    let executor = connect(server.url()).await;
    let mut response = execute(&*executor, &admission, get(CONFIG_MAPS), b"").await;
    let mut broken = false;
    while let Some(piece) = response.body.next().await {
        broken |= matches!(piece, Err(Error::Interrupted { .. }));
        if broken {
            break;
        }
    }
    assert!(broken, "a body that ends too early is no body");
}

async fn an_unreachable_server_gets_nothing<F, R>(connect: &F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    let admission = Admission::new(&[]);
    let gone = RecordingServer::start(Reply::ok("")).await;
    let url = gone.url();
    drop(gone);
    for url in [url.as_str(), "http://no-such-host.invalid:6443"] {
        let executor = connect(url.to_owned()).await;
        let failed = executor
            .execute(admission.admit(get(CONFIG_MAPS), b""))
            .await;
        assert!(
            matches!(failed, Err(Error::NotSent { .. })),
            "{url}: {failed:?}"
        );
        assert!(executor.probe().await.is_err());
    }
}

async fn a_dropped_request_is_abandoned<F, R>(connect: &F)
where
    F: Fn(String) -> R,
    R: Future<Output = Arc<dyn Executor>>,
{
    let server = RecordingServer::start(Reply::never()).await;
    let executor = connect(server.url()).await;
    let authorized = Admission::new(&[]).admit(get(CONFIG_MAPS), b"");
    let waited = tokio::time::timeout(Duration::from_millis(200), executor.execute(authorized));
    assert!(waited.await.is_err(), "it waits as long as it is asked to");
    for _ in 0..100 {
        if server.closed() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the connection of a dropped request stays open");
}
