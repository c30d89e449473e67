//! What is logged, and what never is.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::fixture::{Act, PODS, World};

/// Keeps every event as text.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<String>>>);

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
    let capture = Capture::default();
    let _guard = tracing::subscriber::set_default(capture.clone());
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
async fn the_unknown_do_not_fill_the_log() {
    let capture = Capture::default();
    let _guard = tracing::subscriber::set_default(capture.clone());
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
