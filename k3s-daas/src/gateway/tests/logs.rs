//! What is logged, and what never is.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tracing::dispatcher::DefaultGuard;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

use super::fixture::{Act, PODS, World};

/// Keeps every event as text.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<String>>>);

/// With a single subscriber in the process, a place in the code that another thread comes to first is taken to
/// interest nobody, since that thread has none. So there are always two.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Capture::default()));

impl Capture {
    /// Takes what this thread logs from now on.
    fn begin() -> (Self, DefaultGuard) {
        LazyLock::force(&ANOTHER);
        let capture = Self::default();
        let guard = tracing::subscriber::set_default(capture.clone());
        (capture, guard)
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(String::new());
        span.record(&mut line);
        self.0.lock().unwrap().push(line.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let (capture, _guard) = Capture::begin();
    let world = World::new().await;
    world.answer(|request| match request.name.to_string().as_str() {
        "broken" => Act::OtherBytes,
        _ => Act::json(200, "{\"answer\":\"swordfish\"}"),
    });
    let bearer = world.bearer();
    world.get(PODS).await;
    world.get(&format!("{PODS}/broken")).await;
    world.post(PODS, "{\"secret\":\"hunter2\"}").await;
    world
        .get(&format!("{PODS}/web/proxy?command=hunter2"))
        .await;
    world.get(&format!("{PODS}/web/exec?command=hunter2")).await;
    world
        .get(&format!("{PODS}/web/exec?command=hunter2%zz"))
        .await;
    world.get("/api/v1/secrets?x=hunter2").await;
    let garbled = format!("Bearer {bearer}x");
    let request = http::Request::builder()
        .uri(PODS)
        .header("authorization", garbled);
    world.send(request, "hunter2").await;
    world.recorded(2).await;

    let lines = capture.0.lock().unwrap().clone();
    let of_gateway: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("gateway"))
        .collect();
    assert!(
        of_gateway.iter().any(|line| line.contains("verb=\"list\"")
            && line.contains("resource=\"pods\"")
            && line.contains("status=200")
            && line.contains(&world.token.to_string())),
        "{of_gateway:?}"
    );
    assert!(
        of_gateway
            .iter()
            .any(|line| line.contains("refusal=\"ENoPermission\""))
    );
    assert!(
        of_gateway
            .iter()
            .any(|line| line.contains("refusal=\"bad_credential\""))
    );
    let marks = ["hunter2", "swordfish", &bearer[5..60]];
    for line in &lines {
        for mark in marks {
            assert!(!line.contains(mark), "{line}");
        }
    }
    for shown in [
        format!("{:?}", world.gateway),
        format!("{:?}", world.gateway.counts()),
    ] {
        assert!(!shown.contains("hunter2") && !shown.contains(&bearer[5..60]));
    }
}

#[tokio::test]
async fn a_request_has_one_line_with_what_became_of_it() {
    let (capture, _guard) = Capture::begin();
    let world = World::new().await;
    world.answer(|request| match request.name.to_string().as_str() {
        "silent" => Act::Silent,
        "broken" => Act::OtherBytes,
        "lost" => Act::Lost(507),
        _ => Act::json(200, "{\"answer\":1}"),
    });
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let get = |target: &str, parents: &[&str]| {
        let mut request = world.request("GET", target);
        for parent in parents {
            request = request.header("traceparent", *parent);
        }
        world.send(request, "")
    };
    let id =
        |got: &super::fixture::Got| got.headers["daas-request-id"].to_str().unwrap().to_owned();
    let one = id(&get(&format!("{PODS}/web?pretty=hunter2"), &[&parent]).await);
    // What is malformed, or said twice, is replaced by the request's own.
    let none = id(&get(PODS, &[]).await);
    let bad = id(&get(PODS, &["hunter2"]).await);
    let two = id(&get(PODS, &[&parent, &parent]).await);
    let wrong = id(&get(&format!("{PODS}/broken"), &[]).await);
    let lost = id(&get(&format!("{PODS}/lost"), &[]).await);
    let silent = get(&format!("{PODS}/silent?timeout=1s"), &[]);
    let (silent, denied) = tokio::join!(silent, get("/api/v1/secrets", &[]));
    let (silent, denied) = (id(&silent), id(&denied));

    let lines = capture.0.lock().unwrap().clone();
    let line = |id: &str| {
        let found = lines.iter().filter(|line| {
            line.contains("message=request ") && line.contains(&format!("request_id={id} "))
        });
        let found: Vec<&String> = found.collect();
        assert_eq!(found.len(), 1, "{id}: {found:?}");
        found[0].clone()
    };
    let own = |id: &str| format!("trace_id={} ", id.replace('-', ""));
    for (id, trace, what) in [
        (&one, format!("trace_id={trace} "), "outcome=\"answered\""),
        (&none, own(&none), "bytes_out=12 "),
        (&bad, own(&bad), "bytes_in=0 "),
        (&two, own(&two), "verb=\"list\""),
        (&wrong, own(&wrong), "outcome=\"undelivered\""),
        (
            &lost,
            own(&lost),
            "outcome=\"undelivered\" refusal=\"answer_lost\"",
        ),
        (&silent, own(&silent), "outcome=\"unanswered\""),
        (
            &denied,
            own(&denied),
            "outcome=\"refused\" refusal=\"ENoPermission\"",
        ),
    ] {
        let line = line(id);
        assert!(
            line.contains(&trace) && line.contains(what),
            "{trace} {what}: {line}"
        );
        assert!(!line.contains("hunter2"), "{line}");
    }
    assert!(line(&one).contains(&format!("path=\"{PODS}/web\"")));
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_logged() {
    let (capture, _guard) = Capture::begin();
    let world = World::new().await;
    world.answer(|_| Act::Silent);
    let request = world.request("POST", PODS);
    let request = request.header("content-type", "application/json");
    let mut waiting = Box::pin(world.send(request, "{\"secret\":\"hunter2\"}"));
    // It goes when its request is on the ledger, however long that takes.
    while world.admitted().is_empty() {
        let gone = tokio::time::timeout(Duration::from_millis(10), &mut waiting).await;
        assert!(gone.is_err());
    }
    drop(waiting);
    let lines = capture.0.lock().unwrap().clone();
    let line = lines
        .iter()
        .find(|line| line.contains("outcome=\"abandoned\""));
    let line = line.unwrap_or_else(|| panic!("{lines:?}"));
    assert!(
        line.contains("verb=\"create\"") && line.contains("bytes_in=20 "),
        "{line}"
    );
    assert!(
        !line.contains("status=") && !line.contains("hunter2"),
        "{line}"
    );
}

#[tokio::test]
async fn what_is_measured_is_what_happened() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    for _ in 0..3 {
        world.get(PODS).await;
    }
    world.get("/api/v1/secrets").await.refused(403, "Forbidden");
    let request = http::Request::builder().uri(PODS);
    world.send(request, "").await.refused(401, "Unauthorized");
    let mut page = crate::metrics::Page::default();
    world.gateway.write_metrics(&mut page).await;
    let text = page.to_string();
    for line in [
        "daas_gateway_requests_total 5",
        "daas_gateway_unauthenticated_total 1",
        "daas_gateway_outcomes_total{outcome=\"answered\"} 3",
        "daas_gateway_outcomes_total{outcome=\"refused\"} 1",
        "daas_gateway_outcomes_total{outcome=\"unknown\"} 0",
        "daas_gateway_responses_total{class=\"2xx\"} 3",
        "daas_gateway_responses_total{class=\"4xx\"} 2",
        "daas_gateway_refusals_by_reason_total{reason=\"ENoPermission\"} 1",
        "daas_gateway_refusals_by_reason_total{reason=\"no_credential\"} 1",
        "daas_gateway_response_bytes_total ",
        "daas_gateway_stage_seconds_count{stage=\"total\"} 4",
        "daas_gateway_stage_seconds_count{stage=\"execute\"} 3",
        "daas_gateway_stage_seconds_count{stage=\"deliver\"} 3",
        "daas_gateway_in_flight 0",
        "daas_gateway_eligible_executors 1",
        "daas_gateway_ready{check=\"ledger\"} 1",
    ] {
        assert!(
            text.lines().any(|found| found.starts_with(line)),
            "{line}\n{text}"
        );
    }
}

#[tokio::test]
async fn the_unknown_do_not_fill_the_log() {
    let (capture, _guard) = Capture::begin();
    let world = World::new().await;
    for _ in 0..50 {
        let request = http::Request::builder().uri(PODS);
        world.send(request, "").await.refused(401, "Unauthorized");
    }
    let lines = capture.0.lock().unwrap().clone();
    let said = lines
        .iter()
        .filter(|line| line.contains("unauthenticated"))
        .count();
    assert!((1..4).contains(&said), "{said}");
    assert_eq!(world.gateway.counts().unauthenticated, 50);
}
