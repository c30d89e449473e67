//! Discovery from memory.

use std::time::Duration;

use super::fixture::{Act, Seen, World};
use crate::contract::Call;
use crate::types::{MIST_PER_SUI, PolicyRule, TokenId};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A world whose gateway has a token of its own.
async fn world(ttl: Duration) -> (World, TokenId) {
    World::with_own_token(|config| config.discovery_ttl = ttl).await
}

fn answering(world: &World) -> Seen {
    let seen = Seen::default();
    let asked = seen.clone();
    world.answer(move |request| {
        let count = asked.push(request.path.to_string());
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("etag", "\"abc\"".to_owned()),
        ];
        let answer = Act::Answer(200, headers, format!("{{\"n\":{count}}}").into_bytes());
        Act::After(Duration::from_millis(50), Box::new(answer))
    });
    seen
}

#[tokio::test]
async fn it_is_fetched_once_for_all() {
    let (world, own) = world(Duration::from_secs(30)).await;
    let seen = answering(&world);
    let (a, b, c) = tokio::join!(world.get("/api"), world.get("/api"), world.get("/api"));
    for got in [a, b, c, world.get("/api").await] {
        assert_eq!(
            (got.status.as_u16(), &got.body[..]),
            (200, &b"{\"n\":1}"[..])
        );
        assert!(got.headers.contains_key("daas-request-id"));
    }
    assert_eq!(seen.all(), ["/api"]);
    let admitted = world.admitted();
    // Whoever gets it is told of the request that it is from.
    let id = world.get("/api").await.headers["daas-request-id"].clone();
    assert_eq!(id, admitted[0].request_id.to_string().as_str());
    assert_eq!(admitted[0].seal_token_id, own);
    assert!(admitted[0].credential_id.is_empty());
    let counts = world.gateway.counts();
    assert_eq!((counts.discovery_hits, counts.discovery_misses), (4, 1));
    // By path and encoding.
    world.get("/apis").await;
    let aggregated = world.request("GET", "/api").header("accept", AGGREGATED);
    world.send(aggregated, "").await;
    world.get("/version").await;
    assert_eq!(seen.all().len(), 4);
}

#[tokio::test]
async fn what_has_a_query_is_the_callers_own_request() {
    let (world, own) = world(Duration::from_secs(30)).await;
    let seen = answering(&world);
    for target in ["/api", "/api?timeout=32s", "/api?timeout=5s"] {
        assert_eq!(&world.get(target).await.body[..], b"{\"n\":1}", "{target}");
    }
    for target in ["/api?a=1", "/api?a=1", "/api?timeout=32s&a=2", "/api?b"] {
        assert_eq!(world.get(target).await.status, 200, "{target}");
    }
    assert_eq!(seen.all().len(), 5);
    let admitted = world.admitted();
    assert_eq!(admitted[0].seal_token_id, own);
    assert!(admitted[0].query.bytes.is_empty());
    for request in &admitted[1..] {
        assert_eq!(request.seal_token_id, world.token);
        assert!(!request.query.bytes.is_empty());
    }
}

#[tokio::test]
async fn a_document_of_a_hash_that_the_cluster_names_is_kept() {
    let (world, own) = world(Duration::from_secs(30)).await;
    let seen = Seen::default();
    let asked = seen.clone();
    world.answer(move |request| {
        let path = request.path.to_string();
        asked.push(format!("{path}?{}", request.query.bytes));
        if path == "/openapi/v3" {
            let url = "/openapi/v3/apis/apps/v1?hash=0AbC";
            let paths = serde_json::json!({"apis/apps/v1": {"serverRelativeURL": url}});
            return Act::json(200, serde_json::json!({ "paths": paths }).to_string());
        }
        Act::json(200, "{\"openapi\":\"3.0.0\"}")
    });
    let document = "/openapi/v3/apis/apps/v1?hash=0AbC";
    for target in [document, &format!("{document}&timeout=32s"), document] {
        assert_eq!(
            &world.get(target).await.body[..],
            b"{\"openapi\":\"3.0.0\"}"
        );
    }
    assert_eq!(seen.all(), ["/openapi/v3?", document]);
    let is_own = |request: &crate::wire::K8sApiRequest| request.seal_token_id == own;
    assert!(world.admitted().iter().all(is_own));
    // What it does not name could be anything: these are the caller's own requests.
    for target in [
        "/openapi/v3/apis/apps/v1?hash=1",
        "/openapi/v3/apis/apps/v1?hash=0abc",
        "/openapi/v3/apis/apps/v1?hash=0AbC&a=1",
        "/openapi/v3/apis/batch/v1?hash=0AbC",
        "/apis?hash=0AbC",
        "/openapi/v3/apis/apps/v1?hash=",
    ] {
        world.get(target).await;
        assert!(!is_own(world.admitted().last().unwrap()), "{target}");
    }
}

#[tokio::test]
async fn only_what_clients_ask_of_what_is_there_is_kept() {
    let (world, own) = world(Duration::from_secs(30)).await;
    world.answer(|request| {
        let is_root = request.path.to_string() == "/apis";
        let versions = serde_json::json!([{"groupVersion": "apps/v1", "version": "v1"}]);
        let groups = serde_json::json!({"groups": [{"name": "apps", "versions": versions}]});
        Act::json(
            200,
            if is_root {
                groups.to_string()
            } else {
                "{}".into()
            },
        )
    });
    let is_own = |request: &crate::wire::K8sApiRequest| request.seal_token_id == own;
    for path in ["/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/apps/v1"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    let admitted = world.admitted();
    assert_eq!(admitted.len(), 4, "one of them is the list of groups");
    assert!(admitted.iter().all(is_own));
    // Whoever asks in words of their own, or of what is not there, asks for themselves, each time.
    for accept in [
        "application/json;a=1",
        "text/plain",
        "application/json, a/b",
    ] {
        for _ in 0..2 {
            let request = world.request("GET", "/api").header("accept", accept);
            assert_eq!(world.send(request, "").await.status, 200);
            assert!(!is_own(world.admitted().last().unwrap()), "{accept}");
        }
    }
    for path in ["/apis/other", "/apis/apps/v2", "/api/v2", "/openapi/v4"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
        assert!(!is_own(world.admitted().last().unwrap()), "{path}");
    }
}

#[tokio::test]
async fn who_has_it_is_told_so() {
    let (world, _) = world(Duration::from_secs(30)).await;
    let seen = answering(&world);
    world.get("/openapi/v3").await;
    for (known, status) in [
        ("\"abc\"", 304),
        ("W/\"abc\"", 304),
        ("\"x\", \"abc\"", 304),
        ("\"x\"", 200),
    ] {
        let request = world
            .request("GET", "/openapi/v3")
            .header("if-none-match", known);
        let got = world.send(request, "").await;
        assert_eq!(got.status.as_u16(), status, "{known}");
        assert_eq!(got.body.is_empty(), status == 304);
        assert_eq!(got.headers["etag"], "\"abc\"");
    }
    assert_eq!(seen.all().len(), 1);
}

#[tokio::test]
async fn it_is_not_kept_for_long() {
    let (world, _) = world(Duration::from_millis(200)).await;
    let seen = answering(&world);
    world.get("/api").await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    world.get("/api").await;
    assert_eq!(seen.all().len(), 2);
}

#[tokio::test]
async fn a_new_kind_is_seen_at_once() {
    let (world, _) = world(Duration::from_secs(30)).await;
    let rule = PolicyRule::builder()
        .with_verbs(["*"])
        .with_api_groups(["*"])
        .with_resources(["*"])
        .with_namespaces(["*"]);
    let token = world.issue(vec![rule.build().unwrap()]);
    world.stake(token, MIST_PER_SUI);
    let world = World { token, ..world };
    let seen = answering(&world);
    world.get("/apis").await;
    world
        .get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        .await;
    world.get("/apis").await;
    assert_eq!(seen.all().len(), 2, "a read changes nothing");
    for path in [
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/apiregistration.k8s.io/v1/apiservices",
    ] {
        let before = seen.all().len();
        assert_eq!(world.post(path, "{}").await.status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.get("/apis").await;
        assert_eq!(seen.all().len(), before + 2, "{path}");
    }
    // Established only a moment later: nothing is kept for long just now.
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let before = seen.all().len();
    world.get("/apis").await;
    assert_eq!(seen.all().len(), before + 1);
}

#[tokio::test]
async fn it_is_for_valid_tokens_only() {
    let (world, _) = world(Duration::from_secs(30)).await;
    answering(&world);
    assert_eq!(world.get("/api").await.status, 200);
    let anonymous = http::Request::builder().uri("/api");
    world.send(anonymous, "").await.refused(401, "Unauthorized");
    world.apply(Call::RevokeToken {
        cap: world.cap,
        cluster: world.cluster,
        token: world.token,
    });
    world.get("/api").await.refused(401, "Unauthorized");
    assert_eq!(world.recorded(1).await, [2]);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let (world, _) = world(Duration::from_secs(30)).await;
    let seen = Seen::default();
    let asked = seen.clone();
    world.answer(move |_| match asked.push("") {
        1 => Act::json(503, "{}"),
        2 => Act::OtherBytes,
        _ => Act::json(200, "{}"),
    });
    assert_eq!(world.get("/api").await.status, 503);
    world.get("/api").await.refused(502, "BadGateway");
    assert_eq!(world.get("/api").await.status, 200);
    assert_eq!(world.get("/api").await.status, 200);
    assert_eq!(seen.all().len(), 3);
}

#[tokio::test]
async fn without_a_token_of_its_own_discovery_is_a_request_like_any_other() {
    let world = World::new().await;
    let seen = answering(&world);
    world.get("/api").await;
    world.get("/api").await;
    assert_eq!(seen.all().len(), 2);
    assert_eq!(world.admitted()[0].seal_token_id, world.token);
}
