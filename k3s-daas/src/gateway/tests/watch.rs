//! One long watch from many short ones.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::fixture::{Act, Got, PODS, Seen, World};
use crate::contract::Call;
use crate::gateway::Body;
use crate::wire::K8sApiRequest;

fn query(request: &K8sApiRequest) -> String {
    request.query.bytes.to_string()
}

fn event(kind: &str, name: &str, version: u32) -> String {
    let version = version.to_string();
    let object = json!({"kind": "Pod", "metadata": {"name": name, "resourceVersion": version}});
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn frames(got: &[u8]) -> Vec<Value> {
    let lines = got
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn short(frames: &[Value]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| {
            let name = frame["object"]["metadata"]["name"].as_str().unwrap_or("-");
            format!("{} {name}", frame["type"].as_str().unwrap())
        })
        .collect()
}

/// Reads until there are `count` frames.
async fn read(body: &mut Body, count: usize) -> Vec<Value> {
    let mut read = Vec::new();
    while frames(&read).len() < count {
        let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await;
        let frame = frame.expect("in time").expect("not the end").unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    frames(&read)
}

async fn open(world: &World, target: &str) -> http::Response<Body> {
    let request = world
        .request("GET", target)
        .header("accept", "application/json");
    let body = http_body_util::Empty::<bytes::Bytes>::new();
    world.gateway.handle(request.body(body).unwrap()).await
}

#[tokio::test]
async fn each_short_watch_begins_where_the_last_one_ended() {
    let world = World::new().await;
    let seen = Seen::default();
    let queries = seen.clone();
    world.answer(move |request| {
        let body = match queries.push(query(request)) {
            1 => event("ADDED", "web", 7) + &event("MODIFIED", "web", 9),
            2 => String::new(),
            3 => event("BOOKMARK", "-", 20),
            4 => event("DELETED", "web", 23),
            _ => return Act::Silent,
        };
        Act::json(200, body)
    });
    let target =
        format!("{PODS}?watch=true&resourceVersion=5&timeoutSeconds=60&labelSelector=a%3Db");
    let mut response = open(&world, &target).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(!response.headers().contains_key("content-length"));
    let frames = read(response.body_mut(), 3).await;
    assert_eq!(short(&frames), ["ADDED web", "MODIFIED web", "DELETED web"]);
    let rest = "allowWatchBookmarks=true&timeoutSeconds=5";
    assert_eq!(
        seen.all()[..4],
        [
            // The head of the response waits for the first.
            "watch=true&resourceVersion=5&labelSelector=a%3Db&allowWatchBookmarks=true&timeoutSeconds=1"
                .to_owned(),
            format!("watch=true&labelSelector=a%3Db&resourceVersion=9&{rest}"),
            format!("watch=true&labelSelector=a%3Db&resourceVersion=9&{rest}"),
            format!("watch=true&labelSelector=a%3Db&resourceVersion=20&{rest}"),
        ]
    );
    for request in world.admitted() {
        assert_eq!(request.verb.to_string(), "watch");
    }
    assert_eq!(world.gateway.counts().watches, 1);
    // The first is the client's own request.
    let id = response.headers()["daas-request-id"].to_str().unwrap();
    assert_eq!(world.admitted()[0].request_id.to_string(), id);
    drop(response);
    assert_eq!(world.gateway.counts().watches, 0);
}

#[tokio::test]
async fn bookmarks_are_for_who_asked() {
    let world = World::new().await;
    world.answer(|request| {
        if query(request).contains("resourceVersion=20") {
            Act::json(200, event("ADDED", "b", 21))
        } else if query(request).contains("resourceVersion=21") {
            Act::Silent
        } else {
            Act::json(200, event("ADDED", "a", 3) + &event("BOOKMARK", "-", 20))
        }
    });
    let mut without = open(&world, &format!("{PODS}?watch=1&resourceVersion=5")).await;
    assert_eq!(
        short(&read(without.body_mut(), 2).await),
        ["ADDED a", "ADDED b"]
    );
    let mut with = open(
        &world,
        &format!("{PODS}?watch=1&resourceVersion=5&allowWatchBookmarks=true"),
    )
    .await;
    let frames = read(with.body_mut(), 3).await;
    assert_eq!(short(&frames), ["ADDED a", "BOOKMARK -", "ADDED b"]);
}

#[tokio::test]
async fn initial_events_are_asked_for_until_they_have_ended() {
    let world = World::new().await;
    let seen = Seen::default();
    let queries = seen.clone();
    world.answer(move |request| match queries.push(query(request)) {
        1 => Act::json(200, event("ADDED", "a", 30)),
        2 => {
            let metadata = json!({
                "resourceVersion": "40",
                "annotations": {"k8s.io/initial-events-end": "true"},
            });
            let end = json!({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}});
            Act::json(200, event("ADDED", "a", 30) + &end.to_string())
        }
        3 => Act::json(200, event("ADDED", "b", 41)),
        _ => Act::Silent,
    });
    let target = format!(
        "{PODS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut response = open(&world, &target).await;
    read(response.body_mut(), 4).await;
    let asked = seen.all();
    assert!(asked[0].contains("sendInitialEvents=true"));
    assert!(asked[1].contains("sendInitialEvents=true") && !asked[1].contains("resourceVersion="));
    assert!(!asked[2].contains("sendInitialEvents"), "{}", asked[2]);
    assert!(asked[2].contains("resourceVersion=40"), "{}", asked[2]);
}

#[tokio::test]
async fn tables_are_chained_by_their_rows() {
    let world = World::new().await;
    world.answer(|request| {
        if query(request).contains("resourceVersion=9") {
            return Act::Silent;
        }
        let row = json!({"cells": ["web"], "object": {"metadata": {"resourceVersion": "9"}}});
        let table =
            json!({"kind": "Table", "metadata": {}, "columnDefinitions": [], "rows": [row]});
        Act::json(200, json!({"type": "ADDED", "object": table}).to_string())
    });
    let mut response = open(&world, &format!("{PODS}?watch=1&resourceVersion=5")).await;
    let frames = read(response.body_mut(), 1).await;
    assert_eq!(frames[0]["object"]["kind"], "Table");
    let body = response.body_mut();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), body.frame())
            .await
            .is_err(),
        "nothing comes twice"
    );
}

#[tokio::test]
async fn it_ends_when_the_client_said() {
    let world = World::new().await;
    world.answer(|_| Act::json(200, ""));
    let begun = std::time::Instant::now();
    let got: Got = world
        .get(&format!(
            "{PODS}?watch=1&resourceVersion=5&timeoutSeconds=1"
        ))
        .await;
    assert_eq!(got.status, 200);
    assert!(got.body.is_empty());
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(3),
        "{took:?}"
    );
    assert!(world.admitted().len() < 12, "not in a tight loop");
}

#[tokio::test]
async fn it_ends_when_the_credential_does() {
    let world = World::new().await;
    world.answer(|_| Act::json(200, ""));
    let mut credential = world.credential(world.token);
    credential.not_after_ms = credential.not_before_ms + 1_000;
    let bearer = world.sign(&world.owner, credential);
    let request = http::Request::builder()
        .uri(format!(
            "{PODS}?watch=1&resourceVersion=5&timeoutSeconds=60"
        ))
        .header("authorization", format!("Bearer {bearer}"));
    let watch = tokio::time::timeout(Duration::from_secs(4), world.send(request, ""));
    let got = watch.await.expect("it ends with its credential");
    assert_eq!(got.status, 200);
    assert!(
        frames(&got.body)
            .iter()
            .all(|frame| frame["object"]["code"] == 401)
    );
}

#[tokio::test]
async fn what_is_no_stream_is_the_answer_itself() {
    let world = World::new().await;
    world.answer_json(
        410,
        "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}",
    );
    let got = world
        .get(&format!("{PODS}?watch=1&resourceVersion=1"))
        .await;
    assert_eq!(got.status, 410);
    assert_eq!(got.json()["reason"], "Expired");
    assert_eq!(world.admitted().len(), 1);
}

#[tokio::test]
async fn an_error_ends_it_with_a_frame() {
    // In the stream, as the status of a later short watch, and as something else altogether.
    let gone = json!({"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired"});
    let in_stream = Act::json(200, json!({"type": "ERROR", "object": gone}).to_string());
    let as_status = Act::json(410, gone.to_string());
    for (act, code) in [
        (in_stream, 410),
        (as_status, 410),
        (Act::json(500, "oh dear"), 502),
        (Act::json(200, "oh dear"), 502),
        (Act::OtherBytes, 502),
    ] {
        let world = World::new().await;
        let seen = Seen::default();
        world.answer(move |request| match seen.push(query(request)) {
            1 => Act::json(200, event("ADDED", "a", 1)),
            _ => act.clone(),
        });
        let got = world
            .get(&format!("{PODS}?watch=1&resourceVersion=5"))
            .await;
        let frames = frames(&got.body);
        assert_eq!(short(&frames), ["ADDED a", "ERROR -"]);
        assert_eq!(frames[1]["object"]["kind"], "Status");
        assert_eq!(frames[1]["object"]["code"], code, "{}", frames[1]);
        assert_eq!(world.admitted().len(), 2);
    }
}

#[tokio::test]
async fn a_refusal_on_the_way_ends_it_and_is_recorded() {
    let world = World::new().await;
    let acting = (world.ledger.clone(), world.cap, world.cluster, world.token);
    world.answer(move |_| {
        let (ledger, cap, cluster, token) = &acting;
        let revoke = Call::RevokeToken {
            cap: *cap,
            cluster: *cluster,
            token: *token,
        };
        ledger.apply(&revoke).unwrap();
        Act::json(200, event("ADDED", "a", 1))
    });
    let got = world
        .get(&format!("{PODS}?watch=1&resourceVersion=5"))
        .await;
    let frames = frames(&got.body);
    assert_eq!(short(&frames), ["ADDED a", "ERROR -"]);
    assert_eq!(frames[1]["object"]["code"], 401);
    assert_eq!(world.admitted().len(), 1);
    assert_eq!(world.recorded(1).await, [2]);
}

#[tokio::test]
async fn what_may_not_be_watched_is_refused_at_once() {
    let world = World::new().await;
    world
        .get("/api/v1/namespaces/b/pods?watch=1")
        .await
        .refused(403, "Forbidden");
    assert_eq!(world.recorded(1).await, [6]);
    assert_eq!(world.gateway.counts().watches, 0);
}

#[tokio::test]
async fn frames_are_json_or_nothing() {
    let world = World::new().await;
    let seen = Seen::default();
    let accepts = seen.clone();
    world.answer(move |request| {
        accepts.push(request.header_values[0].to_string());
        Act::json(410, "{}")
    });
    let with = |accept: &'static str| {
        let target = format!("{PODS}?watch=1&resourceVersion=5");
        world.send(world.request("GET", &target).header("accept", accept), "")
    };
    with("application/vnd.kubernetes.protobuf;stream=watch")
        .await
        .refused(406, "NotAcceptable");
    with("application/json;as=Table;v=v1;g=meta.k8s.io,application/vnd.kubernetes.protobuf, application/json")
        .await;
    with("application/vnd.kubernetes.protobuf, */*").await;
    assert_eq!(
        seen.all(),
        [
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            "*/*"
        ]
    );
}

#[tokio::test]
async fn watches_are_bounded() {
    let world = World::with(|config| config.max_watches_per_token = 1).await;
    world.answer(|request| {
        if query(request).contains("resourceVersion=1") {
            Act::Silent
        } else {
            Act::json(200, event("ADDED", "a", 1))
        }
    });
    let first = open(&world, &format!("{PODS}?watch=1&resourceVersion=5")).await;
    assert_eq!(first.status(), 200);
    let second = open(&world, &format!("{PODS}?watch=1&resourceVersion=5")).await;
    assert_eq!(second.status(), 429);
    drop(first);
    assert_eq!(
        open(&world, &format!("{PODS}?watch=1&resourceVersion=5"))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn a_watch_from_the_beginning_starts_with_a_list() {
    let plain = json!({
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "30"},
        "items": [
            {"metadata": {"name": "late", "resourceVersion": "29"}},
            {"metadata": {"name": "early", "resourceVersion": "3"}},
        ],
    });
    for version in ["", "&resourceVersion=0", "&resourceVersion="] {
        let world = World::new().await;
        let seen = Seen::default();
        let (queries, list) = (seen.clone(), plain.to_string());
        world.answer(move |request| {
            match queries.push(format!("{} {}", request.verb, query(request))) {
                1 => Act::json(200, list.clone()),
                2 => Act::json(200, event("DELETED", "early", 31)),
                _ => Act::Silent,
            }
        });
        let target =
            format!("{PODS}?watch=1{version}&timeoutSeconds=60&limit=1&labelSelector=a%3Db");
        let mut response = open(&world, &target).await;
        assert_eq!(response.status(), 200);
        let frames = read(response.body_mut(), 3).await;
        assert_eq!(
            short(&frames),
            ["ADDED late", "ADDED early", "DELETED early"]
        );
        for frame in &frames[..2] {
            assert_eq!(frame["object"]["kind"], "Pod");
            assert_eq!(frame["object"]["apiVersion"], "v1");
        }
        let asked = seen.all();
        assert_eq!(asked[0], "list labelSelector=a%3Db");
        assert!(asked[1].starts_with("watch ") && asked[1].contains("resourceVersion=30&"));
    }
}

#[tokio::test]
async fn a_list_as_a_table_is_one_event_a_row() {
    let world = World::new().await;
    world.answer(|request| {
        if query(request).contains("watch") {
            return Act::Silent;
        }
        let row = |name: &str, version: &str| {
            json!({"cells": [name], "object": {"metadata": {"name": name, "resourceVersion": version}}})
        };
        let table = json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": "30"},
            "columnDefinitions": [{"name": "Name"}],
            "rows": [row("b", "29"), row("a", "3")],
        });
        Act::json(200, table.to_string())
    });
    let mut response = open(&world, &format!("{PODS}?watch=1")).await;
    let frames = read(response.body_mut(), 2).await;
    for (frame, name) in frames.iter().zip(["b", "a"]) {
        let table = &frame["object"];
        assert_eq!(table["kind"], "Table");
        assert_eq!(table["apiVersion"], "meta.k8s.io/v1");
        assert_eq!(table["rows"].as_array().unwrap().len(), 1);
        assert_eq!(table["rows"][0]["cells"][0], name);
    }
    assert_eq!(frames[0]["object"]["columnDefinitions"][0]["name"], "Name");
    assert!(frames[1]["object"]["columnDefinitions"].is_null());
}

#[tokio::test]
async fn who_may_not_list_watches_from_a_version_only() {
    let world = World::new().await;
    let rule = crate::types::PolicyRule::builder()
        .with_verbs(["watch"])
        .with_api_groups([""])
        .with_resources(["pods"])
        .with_namespaces(["a"]);
    world.apply(Call::SetRules {
        cap: world.cap,
        cluster: world.cluster,
        token: world.token,
        rules: vec![rule.build().unwrap()],
    });
    let got = world.get(&format!("{PODS}?watch=1")).await;
    let message = got.refused(403, "Forbidden");
    assert!(message.contains("needs the verb \"list\""), "{message}");
    assert!(world.admitted().is_empty());
    assert_eq!(world.gateway.counts().watches, 0);
    world.answer_json(410, "{}");
    let from = world
        .get(&format!("{PODS}?watch=1&resourceVersion=5"))
        .await;
    assert_eq!(from.status, 410);
}

#[tokio::test]
async fn what_is_no_list_is_no_beginning() {
    for body in [
        "{}",
        "oh dear",
        "{\"kind\":\"PodList\",\"metadata\":{},\"items\":[]}",
    ] {
        let world = World::new().await;
        world.answer_json(200, body);
        let got = world.get(&format!("{PODS}?watch=1")).await;
        got.refused(502, "BadGateway");
    }
}

#[tokio::test]
async fn what_is_no_object_ends_a_beginning() {
    let world = World::new().await;
    world.answer_json(
        200,
        "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{},1]}",
    );
    let mut response = open(&world, &format!("{PODS}?watch=1")).await;
    assert_eq!(response.status(), 200);
    let frames = read(response.body_mut(), 2).await;
    assert_eq!(short(&frames), ["ADDED -", "ERROR -"]);
}
