//! Answers on their way to clients, and the room that they take.

use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt as _, Empty, Full};

use super::fixture::{Act, PODS, World, editor};
use crate::blob::{BlobStore as _, Limits};
use crate::gateway::Body;

const MIB: usize = 1 << 20;

/// A world with room for 1 MiB of each token's answers, which answers with so many bytes.
async fn world(bytes: usize) -> World {
    let world = World::with(|config| {
        config.max_answer_bytes = 2 * MIB;
        config.max_answer_bytes_per_token = MIB;
        config.answer_patience = Duration::from_millis(100);
    })
    .await;
    let body = "x".repeat(bytes);
    world.answer(move |request| match &request.method[..] {
        b"GET" => Act::json(200, body.clone()),
        _ => Act::json(201, body.clone()),
    });
    world
}

/// A response that nobody reads yet.
async fn open(world: &World) -> Response<Body> {
    let request = world.request("GET", PODS);
    let body = Empty::<bytes::Bytes>::new();
    world.gateway.handle(request.body(body).unwrap()).await
}

#[tokio::test]
async fn an_answer_that_finds_no_room_is_429_and_room_comes_back() {
    let world = world(700 << 10).await;
    let first = open(&world).await;
    assert_eq!(first.status(), 200);
    assert_eq!(world.gateway.counts().in_flight, 1, "until it is read");
    let got = world.get(PODS).await;
    let message = got.refused(429, "TooManyRequests");
    assert!(message.contains("found no room"), "{message}");
    assert_eq!(got.headers["retry-after"], "1");
    // Another token has its own.
    let other = world.issue(editor());
    let bearer = world.sign(&world.owner, world.credential(other));
    let request = http::Request::builder()
        .uri(PODS)
        .header("authorization", format!("Bearer {bearer}"));
    assert_eq!(world.send(request, "").await.status, 200);
    let whole = first.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 700 << 10);
    assert_eq!(world.get(PODS).await.body.len(), 700 << 10);
    drop(open(&world).await);
    assert_eq!(world.get(PODS).await.status, 200);
    assert_eq!(world.gateway.counts().in_flight, 0);
}

#[tokio::test]
async fn room_comes_back_as_it_is_read() {
    let world = world(700 << 10).await;
    let mut first = open(&world).await.into_body();
    for _ in 0..30 {
        let piece = first.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(piece.len() <= 16 << 10, "a connection holds little of each");
    }
    assert_eq!(world.get(PODS).await.status, 200);
}

#[tokio::test]
async fn a_write_that_was_answered_is_not_to_be_repeated_for_want_of_room() {
    let world = world(700 << 10).await;
    let held = open(&world).await;
    let got = world.post(PODS, "{}").await;
    let message = got.refused(503, "ServiceUnavailable");
    assert!(
        !got.headers.contains_key("retry-after"),
        "it would be done twice"
    );
    let id = got.headers["daas-request-id"].to_str().unwrap();
    assert!(
        message.contains(id) && message.contains("is recorded"),
        "{message}"
    );
    drop(held);
    let again = world
        .request("POST", PODS)
        .header("content-type", "application/json")
        .header("daas-request-id", id);
    assert_eq!(world.send(again, "{}").await.status, 201);
    let writes = world.admitted();
    let writes = writes
        .iter()
        .filter(|request| &request.method[..] == b"POST");
    assert_eq!(writes.count(), 1);
}

#[tokio::test]
async fn without_any_room_nothing_is_begun() {
    let world = world(3 * MIB).await;
    let held = open(&world).await;
    assert_eq!(
        held.status(),
        200,
        "what could never fit takes all there is"
    );
    for _ in 0..3 {
        let got = world.post(PODS, "{}").await;
        got.refused(429, "TooManyRequests");
        assert_eq!(got.headers["retry-after"], "1");
    }
    assert_eq!(world.admitted().len(), 1);
    drop(held);
    assert_eq!(world.post(PODS, "{}").await.status, 201);
}

#[tokio::test]
async fn a_watch_holds_room_for_what_it_brought() {
    let world = World::with(|config| {
        config.max_answer_bytes = 2 * MIB;
        config.max_answer_bytes_per_token = MIB;
        config.answer_patience = Duration::from_millis(100);
    })
    .await;
    world.answer(|request| {
        let query = request.query.bytes.to_string();
        if query.contains("resourceVersion=7") {
            return Act::Silent;
        }
        let metadata = serde_json::json!({"resourceVersion": "7", "name": "x".repeat(700 << 10)});
        let event = serde_json::json!({"type": "ADDED", "object": {"metadata": metadata}});
        Act::json(200, event.to_string())
    });
    let target = format!("{PODS}?watch=1&resourceVersion=5");
    let request = world.request("GET", &target);
    let body = Full::new(bytes::Bytes::new());
    let mut watch = world.gateway.handle(request.body(body).unwrap()).await;
    assert_eq!(watch.status(), 200);
    world.get(&target).await.refused(429, "TooManyRequests");
    let mut read = 0;
    while read < 700 << 10 {
        let frame = watch.body_mut().frame().await.unwrap().unwrap();
        read += frame.into_data().unwrap().len();
    }
    let request = world.request("GET", &target);
    let body = Full::new(bytes::Bytes::new());
    let second = world.gateway.handle(request.body(body).unwrap()).await;
    assert_eq!(second.status(), 200);
}

#[tokio::test]
async fn the_answer_to_a_read_goes_soon_although_its_caller_has_gone() {
    let world = World::with(|config| config.read_retention = Duration::from_millis(50)).await;
    world.answer(|_| {
        let answer = Act::json(200, "{}");
        Act::After(Duration::from_millis(300), Box::new(answer))
    });
    let gone = tokio::time::timeout(Duration::from_millis(100), world.get(PODS)).await;
    assert!(gone.is_err());
    assert_eq!(world.admitted().len(), 1);
    tokio::time::sleep(Duration::from_millis(600)).await;
    world.blobs.sweep().await.unwrap();
    assert_eq!(world.blobs.usage().await.unwrap().blobs, 0);
    // That to a write stays: it may be asked for again.
    assert_eq!(world.post(PODS, "").await.status, 200);
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.blobs.sweep().await.unwrap();
    assert_eq!(world.blobs.usage().await.unwrap().blobs, 1);
}

#[tokio::test]
async fn the_answers_to_others_are_not_the_gateways_to_drop() {
    let world = World::with(|config| config.read_retention = Duration::from_millis(50)).await;
    world.answer_json(200, "{}");
    // Submitted beside the gateway, by the owner.
    let asked = crate::types::K8sApiRequest::builder(crate::types::Method::Get, PODS)
        .with_deadline_ms(crate::ledger::LedgerExt::now_ms(&world.ledger) + 60_000)
        .build()
        .unwrap();
    world.apply(crate::contract::Call::TryExecuteKubectlCommandWithId {
        cluster: world.cluster,
        token: world.token,
        request: crate::wire::RequestMessage::from(&asked),
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.admitted().len(), 1);
    world.blobs.sweep().await.unwrap();
    assert_eq!(world.blobs.usage().await.unwrap().blobs, 1);
}

/// Each stays for a minute while there is room, and 200 come in less.
#[tokio::test]
async fn what_was_delivered_leaves_room_for_what_comes() {
    // Of 40, a token has 10, and what the executor of this world puts may use 7 of them.
    let world = World::with_limits(Limits::new(1 << 20, 40, 1000)).await;
    world.answer_json(200, "{}");
    for _ in 0..200 {
        let got = world.get(PODS).await;
        assert_eq!(got.status, 200, "{:?}", got.body);
    }
    let kept = world.blobs.usage().await.unwrap().blobs;
    assert!((1..=5).contains(&kept), "{kept} while half of it is free");
}

#[tokio::test]
async fn an_answer_for_which_the_executor_had_no_room_is_507() {
    let world = World::new().await;
    world.answer(|_| Act::Lost(507));
    let got = world.get(PODS).await;
    let message = got.refused(507, "InsufficientStorage");
    assert!(
        message.contains("no room for the answer; ask again"),
        "{message}"
    );
    let got = world.post(PODS, "").await;
    let message = got.refused(507, "InsufficientStorage");
    assert!(message.contains("was executed"), "{message}");
    // Of any other status there should be bytes.
    world.answer(|_| Act::Lost(200));
    world.get(PODS).await.refused(502, "BadGateway");
}
