//! The same request once more, and another one under its ID.

use std::time::Duration;

use super::fixture::{Act, Got, PODS, World};
use crate::blob::{BlobStore as _, Holder};
use crate::crypto::BlobHash;
use crate::types::RequestId;

async fn post(world: &World, id: RequestId, target: &str, body: &'static str) -> Got {
    let request = world
        .request("POST", target)
        .header("content-type", "application/json")
        .header("daas-request-id", id.to_string());
    world.send(request, body).await
}

#[tokio::test]
async fn a_repetition_joins_the_first() {
    let world = World::new().await;
    world.answer_json(201, "{\"kind\":\"Pod\",\"metadata\":{\"uid\":\"first\"}}");
    let id = RequestId::new();
    let first = post(&world, id, PODS, "{\"a\":1}").await;
    assert_eq!(first.status, 201);
    assert_eq!(first.headers["daas-request-id"], id.to_string().as_str());
    for _ in 0..2 {
        let again = post(&world, id, PODS, "{\"a\":1}").await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
    }
    assert_eq!(world.admitted().len(), 1);
    assert_eq!(world.gateway.counts().joined, 2);
    assert!(world.rejected().is_empty());
}

#[tokio::test]
async fn another_credential_of_the_bearer_joins_too() {
    let world = World::new().await;
    world.answer_json(201, "{}");
    let id = RequestId::new();
    assert_eq!(post(&world, id, PODS, "{}").await.status, 201);
    let mut credential = world.credential(world.token);
    credential.id = [0xab; 16];
    let bearer = world.sign(&world.owner, credential);
    let request = http::Request::builder()
        .method("POST")
        .uri(PODS)
        .header("authorization", format!("Bearer {bearer}"))
        .header("content-type", "application/json")
        .header("daas-request-id", id.to_string());
    assert_eq!(world.send(request, "{}").await.status, 201);
    assert_eq!(world.admitted().len(), 1);
}

#[tokio::test]
async fn another_request_under_the_id_is_409() {
    let world = World::new().await;
    world.answer_json(201, "{}");
    let id = RequestId::new();
    assert_eq!(post(&world, id, PODS, "{\"a\":1}").await.status, 201);
    for (target, body) in [
        (PODS, "{\"a\":2}"),
        (PODS, "{\"a\":10}"),
        (PODS, ""),
        ("/api/v1/namespaces/a/configmaps", "{\"a\":1}"),
        ("/api/v1/namespaces/a/pods?dryRun=All", "{\"a\":1}"),
    ] {
        let message = post(&world, id, target, body)
            .await
            .refused(409, "Conflict");
        assert!(message.contains(&id.to_string()), "{message}");
    }
    let other_type = world
        .request("POST", PODS)
        .header("content-type", "application/yaml")
        .header("daas-request-id", id.to_string());
    world
        .send(other_type, "{\"a\":1}")
        .await
        .refused(409, "Conflict");
    assert_eq!(world.admitted().len(), 1);
    // The ID is the token's own: nobody else is told of it.
    let stranger = world.issue(Vec::new());
    let bearer = world.sign(&world.owner, world.credential(stranger));
    let request = http::Request::builder()
        .method("POST")
        .uri(PODS)
        .header("authorization", format!("Bearer {bearer}"))
        .header("daas-request-id", id.to_string());
    world
        .send(request, "{\"a\":1}")
        .await
        .refused(403, "Forbidden");
}

#[tokio::test]
async fn who_comes_while_it_is_under_way_waits_for_the_same_answer() {
    let world = World::new().await;
    let answer = Act::After(
        Duration::from_millis(200),
        Box::new(Act::json(201, "{\"n\":1}")),
    );
    world.answer(move |_| answer.clone());
    let id = RequestId::new();
    let later = |ms| {
        let world = &world;
        async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            post(world, id, PODS, "{}").await
        }
    };
    let (a, b, c, d) = tokio::join!(later(0), later(0), later(50), later(100));
    for got in [a, b, c, d] {
        assert_eq!(
            (got.status.as_u16(), &got.body[..]),
            (201, &b"{\"n\":1}"[..])
        );
    }
    assert_eq!(world.admitted().len(), 1);
    assert_eq!(world.gateway.counts().pending, 0);
}

#[tokio::test]
async fn without_the_bytes_it_is_gone() {
    let world = World::new().await;
    world.answer_json(201, "{}");
    let (answer_gone, body_gone) = (RequestId::new(), RequestId::new());
    for id in [answer_gone, body_gone] {
        assert_eq!(post(&world, id, PODS, "{}").await.status, 201);
    }
    let held = |id| {
        world.ledger_view(move |state, token| {
            state.request(token, id).unwrap().record().unwrap().clone()
        })
    };
    let envelope = held(answer_gone).envelope_hash;
    let hash = BlobHash(envelope[..].try_into().unwrap());
    world
        .blobs
        .release(&hash, &Holder::for_request(world.token, answer_gone))
        .await
        .unwrap();
    let body = world.admitted()[1].payload.hash32().unwrap();
    world
        .blobs
        .release(
            &BlobHash(body),
            &Holder::for_request(world.token, body_gone),
        )
        .await
        .unwrap();
    for id in [answer_gone, body_gone] {
        let message = post(&world, id, PODS, "{}").await.refused(410, "Expired");
        assert!(
            message.contains(&format!("daas request show {id}")),
            "{message}"
        );
    }
    // Of another length it is another one, whatever is gone.
    post(&world, body_gone, PODS, "{ }")
        .await
        .refused(409, "Conflict");
    assert_eq!(world.admitted().len(), 2);
}

#[tokio::test]
async fn a_repetition_of_what_is_not_answered_waits_until_its_deadline() {
    let world = World::new().await;
    world.answer(|_| Act::Silent);
    let id = RequestId::new();
    let target = format!("{PODS}?timeout=400ms");
    post(&world, id, &target, "{}")
        .await
        .refused(504, "Timeout");
    let begun = std::time::Instant::now();
    post(&world, id, &target, "{}")
        .await
        .refused(504, "Timeout");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(world.admitted().len(), 1);
}

#[tokio::test]
async fn whoever_may_not_ask_any_more_is_not_told_the_answer() {
    let world = World::new().await;
    world.answer_json(201, "{}");
    let id = RequestId::new();
    assert_eq!(post(&world, id, PODS, "{}").await.status, 201);
    world.apply(crate::contract::Call::SetRules {
        cap: world.cap,
        cluster: world.cluster,
        token: world.token,
        rules: Vec::new(),
    });
    post(&world, id, PODS, "{}").await.refused(403, "Forbidden");
}

#[tokio::test]
async fn another_gateway_knows_it_too() {
    let world = World::new().await;
    world.answer_json(201, "{\"n\":1}");
    let id = RequestId::new();
    assert_eq!(post(&world, id, PODS, "{}").await.status, 201);
    // It followed nothing of the first one's time.
    let other = crate::gateway::Gateway::builder(
        world.gateway.inner.ledger.clone(),
        world.gateway.inner.blobs.clone(),
        world.cluster,
    );
    let other = other
        .with_config(world.gateway.config().clone())
        .build()
        .unwrap();
    let world = World {
        gateway: other,
        ..world
    };
    let again = post(&world, id, PODS, "{}").await;
    assert_eq!(
        (again.status.as_u16(), &again.body[..]),
        (201, &b"{\"n\":1}"[..])
    );
    assert_eq!(world.admitted().len(), 1);
}
