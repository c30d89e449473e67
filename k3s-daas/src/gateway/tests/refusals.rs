//! Who hears no, how, and what of it is recorded.

use std::time::Duration;

use http::Request;

use super::fixture::{AUDIENCE, Got, PODS, World, editor};
use crate::contract::Call;
use crate::crypto::Ed25519Signer;
use crate::ledger::LedgerExt as _;
use crate::types::{ByteString, HexBytes, TokenId};
use crate::wire::Event;

async fn with_authorization(world: &World, values: &[&str]) -> Got {
    let mut request = Request::builder().uri(PODS);
    for value in values {
        request = request.header("authorization", *value);
    }
    world.send(request, "").await
}

#[tokio::test]
async fn without_a_credential_nobody_asked() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.bearer());
    for values in [
        &[][..],
        &[""],
        &["Bearer"],
        &["Bearer "],
        &["Basic YTpi"],
        &["Bearer eyJhbGciOi"],
        &["seal_AAAA"],
        &[bearer.as_str(), bearer.as_str()],
        &["Bearer seal_a b"],
    ] {
        let got = with_authorization(&world, values).await;
        let message = got.refused(401, "Unauthorized");
        assert!(
            message.starts_with("Missing or invalid Seal token"),
            "{message}"
        );
        assert!(message.contains("daas "), "says what to do: {message}");
        assert!(
            got.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer")
        );
        assert!(!got.headers.contains_key("server-timing"));
    }
    assert!(world.recorded(0).await.is_empty());
    assert!(world.admitted().is_empty());
    assert_eq!(world.gateway.counts().unauthenticated, 9);
    world.answer_json(200, "{}");
    let lower = bearer.replacen("Bearer", "bearer", 1);
    assert_eq!(with_authorization(&world, &[&lower]).await.status, 200);
}

#[tokio::test]
async fn a_credential_that_is_not_good_here_says_why() {
    let world = World::new().await;
    let stranger = Ed25519Signer::from_seed([7; 32]);
    let now_ms = world.ledger.now_ms();
    let mut cases = Vec::new();
    let mut case = |text: String, expected: &'static str| cases.push((text, expected));
    let with = |change: &dyn Fn(&mut crate::wire::Credential)| {
        let mut credential = world.credential(world.token);
        change(&mut credential);
        world.sign(&world.owner, credential)
    };
    case(
        with(&|c| c.audience = ByteString::from("other.gateway:6443")),
        "another gateway",
    );
    case(with(&|c| c.cluster = [9; 32].into()), "another cluster");
    case(with(&|c| c.token = [9; 32].into()), "does not know");
    case(with(&|c| c.not_after_ms = now_ms - 1), "malformed");
    case(
        with(&|c| {
            c.not_before_ms = now_ms - 2_000;
            c.not_after_ms = now_ms - 1_000;
        }),
        "has expired",
    );
    case(
        with(&|c| c.not_before_ms = now_ms + 60_000),
        "not valid yet",
    );
    case(with(&|c| c.not_after_ms = u64::MAX), "more than 24 hours");
    case(
        world.sign(&stranger, world.credential(world.token)),
        "neither the owner's",
    );
    let mut forged = world.bearer();
    forged.truncate(forged.len() - 20);
    forged.push_str("AAAAAAAAAAAAAAAAAAAA");
    case(forged, "");
    case(format!("seal_{}", "A".repeat(1 << 20)), "malformed");
    for (text, expected) in cases {
        let got = with_authorization(&world, &[&format!("Bearer {text}")]).await;
        let message = got.refused(401, "Unauthorized");
        assert!(message.contains(expected), "{expected}: {message}");
        let shown = String::from_utf8_lossy(&got.body).into_owned();
        assert!(!shown.contains(&text[5..25]), "{shown}");
    }
    assert!(world.recorded(0).await.is_empty());
    assert_eq!(AUDIENCE, world.gateway.config().audience);
}

#[tokio::test]
async fn a_token_that_is_not_good_any_more_is_recorded() {
    let world = World::new().await;
    let revoke = Call::RevokeToken {
        cap: world.cap,
        cluster: world.cluster,
        token: world.token,
    };
    world.apply(revoke);
    let message = world.get(PODS).await.refused(401, "Unauthorized");
    assert!(message.contains("the seal token is revoked"), "{message}");
    // Also discovery, which every valid token has.
    world.get("/api").await.refused(401, "Unauthorized");
    assert_eq!(world.recorded(2).await, [2, 2]);
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_no_delegate_says_so() {
    let world = World::new().await;
    world.apply(Call::RemoveDelegate {
        token: world.token,
        delegate: world.gateway.inner.ledger.account(),
    });
    let message = world.get(PODS).await.refused(401, "Unauthorized");
    assert!(message.contains("this gateway is no delegate"), "{message}");
    assert!(
        message.contains(&format!(
            "`daas token delegate {} --token {}`",
            world.gateway.inner.ledger.account(),
            world.token
        )),
        "{message}"
    );
    assert_eq!(world.recorded(1).await, [3]);
}

#[tokio::test]
async fn methods_outside_the_five_are_405() {
    let world = World::new().await;
    let head = world.send(world.request("HEAD", PODS), "").await;
    assert_eq!((head.status.as_u16(), &head.body[..]), (405, &b""[..]));
    for method in ["OPTIONS", "TRACE", "get", "Get", "BREW"] {
        let got = world.send(world.request(method, PODS), "").await;
        got.refused(405, "MethodNotAllowed");
    }
    assert_eq!(world.recorded(6).await, [4; 6]);
}

#[tokio::test]
async fn what_could_be_read_twice_is_400() {
    let world = World::new().await;
    let long = format!("/{}", "x".repeat(1_100));
    let long_query = format!("{PODS}?x={}", "y".repeat(8_200));
    let targets = [
        "/api/v1/namespaces/a/../b/secrets",
        "/api/v1/namespaces/a/./pods",
        "/api/v1//pods",
        "/api/v1/namespaces/a%2Fpods/x",
        "/api/v1/namespaces/%2e%2e/pods",
        "/api/v1/namespaces/a%252fb/pods",
        "/api/v1/namespaces/a%00/pods",
        "/api/v1/namespaces/%c0%af/pods",
        "/api/v1/namespaces/a/pods?x=%zz",
        "/api/v1/namespaces/a/pods?a;b",
        "/api/v1/namespaces/a/pods?watch=1&watch=0",
        "/api/v1/watch",
        "/api/v1/proxy/namespaces/a/pods/x",
        &long,
        &long_query,
    ];
    for target in targets {
        let message = world.get(target).await.refused(400, "BadRequest");
        assert!(!message.is_empty());
    }
    assert_eq!(world.recorded(targets.len()).await, vec![5; targets.len()]);
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn malformed_exec_arguments_are_not_recorded() {
    let world = World::new().await;
    let target = format!("{PODS}/web/exec?command=hunter2&command=%zz");
    world.get(&target).await.refused(400, "BadRequest");
    assert_eq!(world.recorded(1).await, [5]);
}

#[tokio::test]
async fn what_no_rule_allows_is_403_and_names_the_nearest() {
    let world = World::new().await;
    let message = world
        .get("/api/v1/namespaces/b/pods/web")
        .await
        .refused(403, "Forbidden");
    let token = world.token;
    assert_eq!(
        message,
        format!(
            "pods \"web\" is forbidden: User \"seal:{token}\" cannot get resource \"pods\" in API group \"\" in \
             the namespace \"b\": rule 1 allows * on pods, pods/log, pods/proxy, configmaps, deployments in \
             namespace a; it lacks namespace b. `daas token rules --token {token}` shows what it allows"
        )
    );
    let got = world.get("/api/v1/namespaces/a/secrets/x").await;
    got.refused(403, "Forbidden");
    let details = &got.json()["details"];
    assert_eq!(details["kind"], "secrets");
    assert_eq!(details["name"], "x");
    assert_eq!(details["causes"][0]["reason"], "ENoPermission");
    world.get("/metrics").await.refused(403, "Forbidden");
    world.get("/api/v1/pods").await.refused(403, "Forbidden");
    // The resource comes from the path and not from anything a client says of it.
    world
        .get(&format!("{PODS}/web/exec"))
        .await
        .refused(403, "Forbidden");
    assert_eq!(world.recorded(5).await, [6; 5]);
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn a_write_without_stake_is_403_and_says_how_much() {
    let world = World::new().await;
    let token = world.issue(editor());
    let bearer = world.sign(&world.owner, world.credential(token));
    let request = |method: &str| {
        Request::builder()
            .method(method)
            .uri(format!("{PODS}/web"))
            .header("authorization", format!("Bearer {bearer}"))
    };
    for method in ["DELETE", "PUT", "PATCH"] {
        let message = world
            .send(request(method), "")
            .await
            .refused(403, "Forbidden");
        let wanted = format!(
            "the seal token has 0 SUI of stake and needs 1 SUI to change anything: \
             `daas token stake 1SUI --token {token}` adds what is missing"
        );
        assert!(message.contains(&wanted), "{message}");
    }
    assert_eq!(world.recorded(3).await, [7; 3]);
    // A read needs none.
    world.answer_json(200, "{}");
    assert_eq!(world.send(request("GET"), "").await.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let world = World::with(|config| config.max_body_bytes = 1_000).await;
    world.answer_json(201, "{}");
    let message = world
        .post(PODS, vec![b'x'; 1_001])
        .await
        .refused(413, "RequestEntityTooLarge");
    assert!(message.contains("1000 bytes"), "{message}");
    assert_eq!(world.recorded(1).await, [9]);
    assert_eq!(world.post(PODS, vec![b'x'; 1_000]).await.status, 201);
}

#[tokio::test]
async fn bodies_that_do_not_end_or_break_off_begin_nothing() {
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};

    let world = World::with(|config| config.body_timeout = Duration::from_millis(100)).await;
    let request = || world.request("POST", PODS);
    let begun =
        futures_util::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from("{")))]);
    let endless = BodyExt::boxed(StreamBody::new(
        begun.chain(futures_util::stream::pending()),
    ));
    let response = world.gateway.handle(request().body(endless).unwrap()).await;
    assert_eq!(response.status(), 408);
    let broken = futures_util::stream::iter([
        Ok(Frame::data(Bytes::from("{"))),
        Err(std::io::Error::other("reset")),
    ]);
    let broken = BodyExt::boxed(StreamBody::new(broken));
    let response = world.gateway.handle(request().body(broken).unwrap()).await;
    assert_eq!(response.status(), 400);
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn large_bodies_at_once_are_bounded() {
    let world = World::with(|config| {
        config.max_body_bytes = 64 << 10;
        config.max_buffered_bytes = 100 << 10;
    })
    .await;
    world.answer(|_| super::fixture::Act::Silent);
    let target = format!("{PODS}?timeout=500ms");
    let (first, second) = tokio::join!(world.post(&target, vec![b'x'; 60_000]), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.post(&target, vec![b'x'; 60_000]).await
    });
    first.refused(504, "Timeout");
    let message = second.refused(429, "TooManyRequests");
    assert!(message.contains("large bodies"), "{message}");
}

#[tokio::test]
async fn bodies_take_room_as_they_come_and_no_token_takes_all() {
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};

    let world = World::with(|config| {
        config.max_body_bytes = 64 << 10;
        config.max_buffered_bytes = 192 << 10;
        config.max_buffered_bytes_per_token = 64 << 10;
        config.body_timeout = Duration::from_secs(1);
    })
    .await;
    world.answer_json(201, "{}");
    // Nobody says how long they are, and little of them has come.
    let slow = || {
        let begun = Bytes::from(vec![b'x'; 100]);
        let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(Frame::data(begun))]);
        let body = StreamBody::new(begun.chain(futures_util::stream::pending()));
        let request = world.request("POST", PODS).body(BodyExt::boxed(body));
        world.gateway.handle(request.unwrap())
    };
    let slow = futures_util::future::join_all((0..20).map(|_| slow()));
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(world.post(PODS, vec![b'x'; 30_000]).await.status, 201);
        let message = world.post(PODS, vec![b'x'; 60_000]).await;
        let message = message.refused(429, "TooManyRequests");
        assert!(message.contains("large bodies"), "{message}");
        // There is room for others all the same.
        let other = world.issue(editor());
        world.stake(other, 2 * crate::types::MIST_PER_SUI);
        let bearer = world.sign(&world.owner, world.credential(other));
        let request = Request::builder()
            .method("POST")
            .uri(PODS)
            .header("authorization", format!("Bearer {bearer}"));
        assert_eq!(world.send(request, vec![b'x'; 60_000]).await.status, 201);
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert!(slow.iter().all(|response| response.status() == 408));
    assert_eq!(world.post(PODS, vec![b'x'; 60_000]).await.status, 201);
}

#[tokio::test]
async fn impersonation_is_refused_and_never_passed_on() {
    let world = World::new().await;
    for name in [
        "Impersonate-User",
        "Impersonate-Group",
        "Impersonate-Extra-Scopes",
        "impersonate-uid",
    ] {
        let request = world.request("GET", PODS).header(name, "system:admin");
        let message = world.send(request, "").await.refused(403, "Forbidden");
        assert!(message.contains("--as"), "{message}");
    }
    assert!(world.admitted().is_empty());
    assert!(
        world.recorded(0).await.is_empty(),
        "the contract has no code for it"
    );
}

#[tokio::test]
async fn both_length_headers_are_refused() {
    let world = World::new().await;
    let request = world
        .request("POST", PODS)
        .header("content-length", "2")
        .header("transfer-encoding", "chunked");
    world.send(request, "{}").await.refused(400, "BadRequest");
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn streams_are_501_but_only_for_who_may() {
    let world = World::new().await;
    let rules = vec![
        crate::types::PolicyRule::builder()
            .with_verbs(["*"])
            .with_api_groups([""])
            .with_resources([
                "pods",
                "pods/exec",
                "pods/attach",
                "pods/portforward",
                "pods/log",
            ])
            .with_namespaces(["a"])
            .build()
            .unwrap(),
    ];
    world.apply(Call::SetRules {
        cap: world.cap,
        cluster: world.cluster,
        token: world.token,
        rules,
    });
    for target in [
        "/web/exec?command=sh&stdin=true",
        "/web/attach",
        "/web/portforward?ports=80",
        "/web/log?follow=true",
        "/web/log?follow",
        "/web/log?follow=1&tailLines=5",
    ] {
        for method in ["GET", "POST"] {
            if method == "POST" && target.contains("log") {
                continue;
            }
            let request = world.request(method, &format!("{PODS}{target}"));
            let message = world.send(request, "").await.refused(501, "NotImplemented");
            let begins = if target.contains("log") {
                "a followed log is not served yet: it needs the link"
            } else {
                "exec, attach and port-forward are not served yet: they need the link"
            };
            assert!(message.starts_with(begins), "{message}");
        }
    }
    let request = world
        .request("GET", &format!("{PODS}/web"))
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket");
    world.send(request, "").await.refused(501, "NotImplemented");
    assert!(world.recorded(0).await.is_empty());
    let request = world.request("POST", "/api/v1/namespaces/b/pods/web/exec");
    world.send(request, "").await.refused(403, "Forbidden");
    assert_eq!(world.recorded(1).await, [6]);
    // A log that ends is an ordinary read.
    world.answer_json(200, "{}");
    assert_eq!(
        world
            .get(&format!("{PODS}/web/log?follow=false"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn without_an_executor_nothing_can_be_done() {
    let world = World::new().await;
    world.apply(Call::DeactivateExecutor {
        cap: world.cap,
        cluster: world.cluster,
        executor: world.executor,
    });
    let got = world.get(PODS).await;
    let message = got.refused(503, "ServiceUnavailable");
    assert!(message.contains("no executor is eligible"), "{message}");
    assert_eq!(world.recorded(1).await, [12]);
}

#[tokio::test]
async fn a_malformed_request_id_is_refused() {
    let world = World::new().await;
    for id in [
        "",
        "1",
        "0192D8F0-1111-7abc-8def-0123456789ab",
        "0192d8f0-1111-4abc-8def-0123456789ab",
    ] {
        let request = world.request("GET", PODS).header("daas-request-id", id);
        world.send(request, "").await.refused(400, "BadRequest");
    }
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn a_flood_of_refusals_is_recorded_as_a_count() {
    let world = World::with(|config| {
        config.refusal_burst = 3;
        config.refusals_per_second = 1;
        config.refusal_report = Duration::from_millis(300);
    })
    .await;
    for _ in 0..20 {
        world.get("/api/v1/secrets").await.refused(403, "Forbidden");
    }
    world
        .post("/api/v1/namespaces/b/pods", "{}")
        .await
        .refused(403, "Forbidden");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let singly = world.rejected().len() as u64;
    assert!((3..6).contains(&singly), "{singly}");
    let counted: u64 = world
        .ledger
        .all_events()
        .into_iter()
        .filter_map(|event| match event.event {
            Event::K8sRequestsRejected(counted) => {
                assert_eq!((counted.code, counted.token), (6, world.token));
                assert!(counted.from_ms <= counted.to_ms);
                Some(counted.count)
            }
            _ => None,
        })
        .sum();
    assert_eq!(singly + counted, 21);
    let counts = world.gateway.counts();
    assert_eq!(
        (counts.refusals_recorded, counts.refusals_counted),
        (singly, counted)
    );
    assert_eq!(counts.refusals_lost, 0);
}

#[tokio::test]
async fn a_removed_session_key_ends_its_credentials() {
    let world = World::new().await;
    world.answer_json(200, "{}");
    let session = Ed25519Signer::from_seed([8; 32]);
    let key = HexBytes(session.public_key().as_bytes().to_vec());
    let token: TokenId = world.token;
    world.apply(Call::RegisterSessionKey {
        token,
        key: key.clone(),
        expires_at_ms: world.ledger.now_ms() + 60_000,
    });
    let bearer = world.sign(&session, world.credential(token));
    let request = || {
        Request::builder()
            .uri(PODS)
            .header("authorization", format!("Bearer {bearer}"))
    };
    assert_eq!(world.send(request(), "").await.status, 200);
    world.apply(Call::RemoveSessionKey { token, key });
    let message = world.send(request(), "").await.refused(401, "Unauthorized");
    assert!(message.contains("daas login"), "{message}");
}

#[tokio::test]
async fn headers_that_cannot_stand_on_the_ledger_are_400() {
    let world = World::new().await;
    let long = "x".repeat(2_100);
    for headers in [
        &[("user-agent", "kubectl/é")][..],
        &[("accept", "a\tb")],
        &[("user-agent", long.as_str())],
        &[
            ("content-type", "application/json"),
            ("content-type", "application/yaml"),
        ],
        &[("user-agent", "a"), ("user-agent", "b")],
    ] {
        let mut request = world.request("GET", PODS);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world.send(request, "").await.refused(400, "BadRequest");
    }
    assert_eq!(world.recorded(5).await, [5; 5]);
    assert!(world.admitted().is_empty());
}
