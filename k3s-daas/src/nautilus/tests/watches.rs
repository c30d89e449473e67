//! Watches in their short form: cut after whole events.

use super::*;
use tokio::sync::mpsc;

type Pieces = mpsc::UnboundedSender<Result<bytes::Bytes, Upstream>>;

/// An executor whose answers are fed by the test, one feed for each request.
fn fed(content_type: &'static str) -> (FnExecutor, mpsc::UnboundedReceiver<Pieces>) {
    let (announce, announced) = mpsc::unbounded_channel();
    let executor = FnExecutor::new(move |_| {
        let (pieces, body) = mpsc::unbounded_channel();
        announce.send(pieces).unwrap();
        async move {
            let body = futures_util::stream::unfold(body, |mut body| async {
                Some((body.recv().await?, body))
            });
            Ok(Response {
                status: 200,
                headers: vec![("content-type".into(), content_type.into())],
                body: Box::pin(body),
            })
        }
    });
    (executor, announced)
}

fn watch(world: &World) -> RequestId {
    watch_with(world, "watch=true&resourceVersion=5")
}

fn watch_with(world: &World, query: &str) -> RequestId {
    let request = world.request(Method::Get, "/api/v1/namespaces/default/pods");
    world.submit(&request.with_query(query).build().unwrap())
}

fn start(world: &World, executor: FnExecutor, window: Duration) -> Running {
    let nautilus = world.nautilus(0, executor).with_config(Config {
        watch_window: window,
        ..world.config()
    });
    Running::start(nautilus.build().unwrap())
}

const LONG: Duration = Duration::from_secs(5);
const EVENT: &str = "{\"type\":\"ADDED\",\"object\":{}}\n";

#[tokio::test]
async fn the_first_events_and_a_moment_more_come_back_whole() {
    let world = World::new();
    let (executor, mut feeds) = fed("application/json");
    let running = start(&world, executor, LONG);
    let began = std::time::Instant::now();
    let id = watch(&world);
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok(EVENT.into())).unwrap();
    feed.send(Ok(format!("{EVENT}{{\"type\":\"MODIF").into()))
        .unwrap();
    let (status, envelope) = world.answer(id).await;
    assert_eq!(status, 200);
    assert_eq!(
        String::from_utf8_lossy(&envelope.body),
        format!("{EVENT}{EVENT}")
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    // The upstream watch is gone.
    eventually(|| feed.is_closed().then_some(())).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn initial_events_are_not_cut_before_their_end() {
    const END: &str = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n";
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let world = World::new();
    let (executor, mut feeds) = fed("application/json");
    let running = start(&world, executor, LONG);
    let id = watch_with(&world, query);
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok(EVENT.into())).unwrap();
    let (first, rest) = END.split_at(END.len() - 9);
    feed.send(Ok(first.into())).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(world.record(id), None);
    feed.send(Ok(rest.into())).unwrap();
    let (_, envelope) = world.answer(id).await;
    assert_eq!(
        String::from_utf8_lossy(&envelope.body),
        format!("{EVENT}{END}")
    );
    running.stop().await.unwrap();

    // If it never comes, the window closes all the same.
    let (executor, mut feeds) = fed("application/json");
    let running = start(&world, executor, Duration::from_millis(300));
    let id = watch_with(&world, query);
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok(EVENT.into())).unwrap();
    assert_eq!(world.answer(id).await.1.body[..], *EVENT.as_bytes());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn without_events_it_ends_empty_when_the_window_closes() {
    let world = World::new();
    let (executor, mut feeds) = fed("application/json");
    let running = start(&world, executor, Duration::from_millis(100));
    let id = watch(&world);
    let feed = feeds.recv().await.unwrap();
    let (status, envelope) = world.answer(id).await;
    assert_eq!((status, &envelope.body[..]), (200, &b""[..]));
    assert!(feed.is_closed());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_that_has_begun_is_waited_for() {
    let world = World::new();
    let (executor, mut feeds) = fed("application/json");
    let running = start(&world, executor, Duration::from_millis(100));
    let id = watch(&world);
    let feed = feeds.recv().await.unwrap();
    let (first, rest) = EVENT.split_at(9);
    feed.send(Ok(first.into())).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(world.record(id), None);
    feed.send(Ok(rest.into())).unwrap();
    let (_, envelope) = world.answer(id).await;
    assert_eq!(envelope.body[..], *EVENT.as_bytes());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn protobuf_is_cut_too_and_other_forms_are_refused() {
    let world = World::new();
    let (executor, mut feeds) = fed("application/vnd.kubernetes.protobuf;stream=watch");
    let running = start(&world, executor, LONG);
    let id = watch(&world);
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok(b"\0\0\0\x03abc\0\0\0\x05de"[..].into()))
        .unwrap();
    let (_, envelope) = world.answer(id).await;
    assert_eq!(envelope.body[..], *b"\0\0\0\x03abc");
    running.stop().await.unwrap();

    let (executor, _feeds) = fed("application/cbor-seq");
    let running = start(&world, executor, LONG);
    let (code, _) = world.status(watch(&world)).await;
    assert_eq!(code, 406);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_watch_that_breaks_off_keeps_what_was_whole() {
    let world = World::new();
    let (executor, mut feeds) = fed("application/json");
    let running = start(&world, executor, LONG);
    let broken = || {
        Err(Upstream::Interrupted {
            reason: "reset".into(),
        })
    };
    let id = watch(&world);
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok(format!("{EVENT}{{").into())).unwrap();
    feed.send(broken()).unwrap();
    assert_eq!(world.answer(id).await.1.body[..], *EVENT.as_bytes());
    let id = watch(&world);
    let feed = feeds.recv().await.unwrap();
    feed.send(Ok("{".into())).unwrap();
    feed.send(broken()).unwrap();
    assert_eq!(world.status(id).await.0, 503);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_expired_watch_is_a_whole_answer() {
    let world = World::new();
    let running = world.run(FnExecutor::new(|_| async {
        Ok(json(410, "{\"kind\":\"Status\"}"))
    }));
    let (code, envelope) = world.answer(watch(&world)).await;
    assert_eq!(
        (code, &envelope.body[..]),
        (410, &b"{\"kind\":\"Status\"}"[..])
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn watches_do_not_take_the_places_of_others() {
    let mut world = World::new();
    let executor = FnExecutor::new(|request| async move {
        if request.query().contains("watch") {
            return std::future::pending().await;
        }
        Ok(json(200, "{}"))
    });
    let nautilus = world.nautilus(0, executor).with_config(Config {
        concurrency: 1,
        watch_concurrency: 2,
        ..world.config()
    });
    let running = Running::start(nautilus.build().unwrap());
    for _ in 0..5 {
        watch(&world);
    }
    let id = world.get("/api/v1/nodes");
    assert_eq!(world.answered(id).await.status_code, 200);
    // As many as a token may have; another one's requests do not wait behind them.
    for _ in 5..1_024 {
        watch(&world);
    }
    world.token = world.issue_token();
    let id = world.get("/api/v1/nodes");
    assert_eq!(world.answered(id).await.status_code, 200);
    assert_eq!(running.status.at_cluster(), 2);
    running.crash().await;
}
