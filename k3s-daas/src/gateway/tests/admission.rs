//! The whole way there and back, and what may go wrong on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fixture::{Act, LyingStore, PODS, World};
use crate::blob::{BlobStore as _, Limits, MemoryBlobStore};
use crate::contract::{Bound, Call};
use crate::crypto::BlobHash;
use crate::ledger::LedgerExt as _;
use crate::ledger::memory::Outage;
use crate::types::RequestId;
use crate::wire::{Content, to_bcs};

#[tokio::test]
async fn a_request_comes_back_as_it_was_answered() {
    let world = World::new().await;
    world.answer(|_| {
        let headers = vec![
            ("content-type", "application/json;as=Table".to_owned()),
            ("audit-id", "abc".to_owned()),
            ("etag", "\"1\"".to_owned()),
            ("set-cookie", "not-for-clients".to_owned()),
        ];
        Act::Answer(200, headers, b"{\"kind\":\"PodList\"}\n".to_vec())
    });
    let before_ms = world.ledger.now_ms();
    let request = world
        .request("GET", &format!("{PODS}?limit=500"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .header("accept", "application/json")
        .header("user-agent", "kubectl/v1.35.2");
    let got = world.send(request, "").await;
    assert_eq!(got.status, 200);
    assert_eq!(&got.body[..], b"{\"kind\":\"PodList\"}\n");
    assert_eq!(got.headers["content-type"], "application/json;as=Table");
    assert_eq!(got.headers["audit-id"], "abc");
    assert!(!got.headers.contains_key("set-cookie"));
    let timing = got.headers["server-timing"].to_str().unwrap();
    assert!(timing.contains("execute;dur="), "{timing}");

    let [admitted] = &world.admitted()[..] else {
        panic!("not exactly one request");
    };
    let id = RequestId::from_bytes(&admitted.request_id).unwrap();
    assert_eq!(got.headers["daas-request-id"], id.to_string().as_str());
    assert_eq!(admitted.path.to_string(), PODS);
    assert_eq!(admitted.query, Content::plain("limit=500"));
    assert_eq!(admitted.verb.to_string(), "list");
    assert_eq!(admitted.seal_token_id, world.token);
    assert_eq!(&admitted.credential_id[..], b"0123456789abcdef");
    let headers: Vec<String> = admitted
        .header_names
        .iter()
        .zip(&admitted.header_values)
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(
        headers,
        [
            "accept: application/json;as=Table;v=v1;g=meta.k8s.io, application/json",
            "user-agent: kubectl/v1.35.2"
        ]
    );
    let ahead_ms = admitted.deadline_ms - before_ms;
    assert!((65_000..66_000).contains(&ahead_ms), "{ahead_ms}");
    assert_eq!(world.gateway.counts().pending, 0);
    assert_eq!(world.gateway.counts().answered, 1);
}

#[tokio::test]
async fn a_body_travels_beside_the_ledger() {
    let world = World::new().await;
    world.answer_json(201, "{\"kind\":\"Pod\"}");
    let got = world
        .post(PODS, "{\"kind\":\"Pod\",\"secret\":\"hunter2\"}")
        .await;
    assert_eq!(got.status, 201);
    let admitted = world.admitted().remove(0);
    let hash = admitted.payload.hash32().unwrap();
    let blob = world.blobs.fetch(&BlobHash(hash)).await.unwrap();
    assert_eq!(
        &blob.body()[..],
        b"{\"kind\":\"Pod\",\"secret\":\"hunter2\"}"
    );
    assert_eq!(admitted.payload.length, blob.body_len() as u64);
    for event in world.ledger.all_events() {
        let bytes = to_bcs(&event.event);
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[tokio::test]
async fn statuses_of_kubernetes_pass_unchanged() {
    let world = World::new().await;
    world.answer(|request| {
        let status = request.name.to_string().parse().unwrap();
        Act::json(status, "{\"kind\":\"Status\",\"unchanged\":true}")
    });
    for status in [200, 202, 404, 409, 410, 422, 429, 500, 503, 504] {
        let got = world.get(&format!("{PODS}/{status}")).await;
        assert_eq!(got.status.as_u16(), status);
        assert_eq!(got.json()["unchanged"], true, "{status}");
    }
    for status in [204, 304] {
        let got = world.get(&format!("{PODS}/{status}")).await;
        assert_eq!(got.status.as_u16(), status);
        assert!(got.body.is_empty());
    }
}

#[tokio::test]
async fn paths_and_queries_become_canonical_once() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    let target = format!("{PODS}/system%3anode?labelSelector=a%3db&x=[1]");
    assert_eq!(world.get(&target).await.status, 200);
    let admitted = world.admitted().remove(0);
    assert_eq!(admitted.path.to_string(), format!("{PODS}/system:node"));
    assert_eq!(admitted.name.to_string(), "system:node");
    assert_eq!(
        admitted.query.bytes.to_string(),
        "labelSelector=a%3Db&x=%5B1%5D"
    );
}

#[tokio::test]
async fn headers_that_are_nobodys_business_stay_here() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    let mut request = world.request("GET", &format!("{PODS}/web"));
    for name in [
        "x-remote-user",
        "x-remote-group",
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "cookie",
        "te",
        "keep-alive",
        "proxy-authorization",
        "x-http-method-override",
        "x-method-override",
        "accept-encoding",
        "traceparent",
    ] {
        request = request.header(name, "DELETE");
    }
    assert_eq!(world.send(request, "").await.status, 200);
    let admitted = world.admitted().remove(0);
    assert!(
        admitted.header_names.is_empty(),
        "{:?}",
        admitted.header_names
    );
    assert_eq!(admitted.method.to_string(), "GET");
}

#[tokio::test]
async fn no_answer_is_an_unknown_outcome() {
    let world = World::new().await;
    world.answer(|_| Act::Silent);
    let got = world.post(&format!("{PODS}?timeout=300ms"), "{}").await;
    let message = got.refused(504, "Timeout");
    let id = got.headers["daas-request-id"].to_str().unwrap();
    assert!(message.contains("outcome unknown"), "{message}");
    assert!(
        message.contains(&format!("daas request show {id}")),
        "{message}"
    );
    assert!(!got.headers.contains_key("retry-after"));
    assert_eq!(world.admitted().len(), 1, "it was submitted once");
    let counts = world.gateway.counts();
    assert_eq!((counts.pending, counts.unanswered), (0, 1));
}

#[tokio::test]
async fn a_clients_timeout_is_the_deadline_within_bounds() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    for (timeout, least, most) in [
        ("10s", 8_900, 9_500),
        ("1s", 700, 900),
        ("0s", 64_000, 66_000),
        ("nonsense", 64_000, 66_000),
        ("-5s", 64_000, 66_000),
        ("50h", 599_000, 601_000),
    ] {
        let before_ms = world.ledger.now_ms();
        world.get(&format!("{PODS}?timeout={timeout}")).await;
        let admitted = world.admitted().pop().unwrap();
        let ahead_ms = admitted.deadline_ms - before_ms;
        assert!((least..most).contains(&ahead_ms), "{timeout}: {ahead_ms}");
        assert!(admitted.query.bytes.to_string().contains(timeout));
    }
}

/// Whoever has gone away does not hear of the ID to look for.
#[tokio::test]
async fn a_client_hears_what_is_unknown_before_its_own_timeout() {
    let world = World::new().await;
    world.answer(|_| Act::Silent);
    let begun = Instant::now();
    let write = format!("{PODS}?timeout=5s");
    let got = world.post(&write, "{}").await;
    let message = got.refused(504, "Timeout");
    assert!(message.contains("outcome unknown"), "{message}");
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    assert!(
        taken > Duration::from_secs(4),
        "its executor has time: {taken:?}"
    );
}

#[tokio::test]
async fn bytes_that_are_not_those_recorded_are_no_answer() {
    for act in [
        Act::OtherBytes,
        Act::Lost(200),
        Act::OtherLength,
        Act::NoEnvelope,
    ] {
        let world = World::new().await;
        world.answer(move |_| act.clone());
        let got = world.get(PODS).await;
        got.refused(502, "BadGateway");
        assert_eq!(world.gateway.counts().wrong_bytes, 1);
    }
    let world = World::with_store(|_| {}, |blobs| Arc::new(LyingStore(blobs))).await;
    world.answer_json(200, "{}");
    let got = world.get(PODS).await;
    let message = got.refused(502, "BadGateway");
    assert!(
        message.contains("not those that were recorded"),
        "{message}"
    );
    assert!(!String::from_utf8_lossy(&got.body).contains("invented"));
}

#[tokio::test]
async fn a_lost_receipt_is_no_second_request() {
    let world = World::new().await;
    world.answer_json(201, "{\"kind\":\"Pod\"}");
    world.ledger.set_outage(Some(Outage::LostReceipts));
    let ledger = world.ledger.clone();
    tokio::spawn(async move {
        // Two submissions are lost on their way back, the executor's answer in between is not.
        tokio::time::sleep(Duration::from_millis(120)).await;
        ledger.set_outage(None);
    });
    let got = world.post(PODS, "{}").await;
    assert_eq!(got.status, 201);
    assert_eq!(world.admitted().len(), 1);
    assert!(world.rejected().iter().all(|rejected| rejected.code == 11));
}

#[tokio::test]
async fn an_outage_of_the_ledger_is_named() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    world.ledger.set_outage(Some(Outage::Busy));
    let got = world.get(PODS).await;
    got.refused(429, "TooManyRequests");
    assert_eq!(got.headers["retry-after"], "1");
    world.ledger.set_outage(Some(Outage::DiskReserve));
    let message = world.get(PODS).await.refused(503, "ServiceUnavailable");
    assert!(message.contains("reserve of disk"), "{message}");
    world.ledger.set_outage(Some(Outage::Unavailable));
    let got = world.get(&format!("{PODS}?timeout=200ms")).await;
    let message = got.refused(504, "Timeout");
    assert!(message.contains("the ledger did not say"), "{message}");
    assert!(world.admitted().is_empty());
    // It comes back while a request waits.
    let ledger = world.ledger.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        ledger.set_outage(None);
    });
    assert_eq!(world.get(PODS).await.status, 200);
}

#[tokio::test]
async fn a_full_blob_store_takes_no_request() {
    let small = |blobs: MemoryBlobStore| -> Arc<dyn crate::blob::BlobStore> {
        Arc::new(blobs.with_limits(Limits::new(64, 10, 64)))
    };
    let world = World::with_store(|_| {}, small).await;
    let got = world.post(PODS, vec![b'x'; 100]).await;
    let message = got.refused(503, "ServiceUnavailable");
    assert!(message.contains("no room for the body"), "{message}");
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_again() {
    let world = World::with(|config| {
        config.max_in_flight = 3;
        config.max_in_flight_per_token = 2;
    })
    .await;
    world.answer(|_| Act::Silent);
    let other = world.issue(super::fixture::editor());
    let slow = format!("{PODS}?timeout=700ms");
    let of_other = || {
        let bearer = world.sign(&world.owner, world.credential(other));
        http::Request::builder()
            .uri(slow.as_str())
            .header("authorization", format!("Bearer {bearer}"))
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let of_token = world.get(PODS).await;
        let (third, fourth) = tokio::join!(world.send(of_other(), ""), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.send(of_other(), "").await
        });
        (of_token, third, fourth)
    };
    let (first, second, (of_token, third, fourth)) =
        tokio::join!(world.get(&slow), world.get(&slow), late);
    for got in [&first, &second, &third] {
        got.refused(504, "Timeout");
    }
    let message = of_token.refused(429, "TooManyRequests");
    assert!(message.contains("of this seal token"), "{message}");
    assert_eq!(of_token.headers["retry-after"], "1");
    fourth.refused(429, "TooManyRequests");
    assert_eq!(world.gateway.counts().overflowed, 2);
    assert_eq!(world.gateway.counts().in_flight, 0, "room comes back");
}

#[tokio::test]
async fn the_contracts_own_bound_of_unanswered_requests_is_a_429() {
    let world = World::new().await;
    let own = world.gateway.inner.ledger.clone();
    for _ in 0..Bound::UNANSWERED {
        let mut asked = crate::gateway::extract::Asked::get(PODS).unwrap();
        asked.id = RequestId::new();
        let deadline_ms = world.ledger.now_ms() + 60_000;
        let request = asked.message_without_body(deadline_ms);
        let call = Call::ExecuteKubectlCommandWithId {
            cluster: world.cluster,
            token: world.token,
            request,
        };
        own.call(call).await.unwrap();
    }
    let got = world.get(PODS).await;
    got.refused(429, "TooManyRequests");
    assert_eq!(got.headers["retry-after"], "1");
    assert_eq!(world.recorded(1).await, [13]);
}

#[tokio::test]
async fn a_query_of_secrets_is_kept_beside_the_ledger() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    let got = world
        .get(&format!("{PODS}/web/proxy?password=hunter2"))
        .await;
    assert_eq!(got.status, 200);
    let admitted = world.admitted().remove(0);
    assert_eq!(admitted.verb.to_string(), "create");
    let hash = admitted.query.hash32().unwrap();
    let blob = world.blobs.fetch(&BlobHash(hash)).await.unwrap();
    assert_eq!(&blob.body()[..], b"password=hunter2");
}
