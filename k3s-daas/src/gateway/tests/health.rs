//! Alive and ready, each dependency by its name.

use std::time::Duration;

use super::fixture::{Act, Got, PODS, World};
use crate::contract::Call;
use crate::ledger::memory::Outage;
use crate::types::TokenId;

/// A gateway that asks soon and often.
async fn asking() -> (World, TokenId) {
    World::with_own_token(|config| {
        config.probe_timeout = Duration::from_millis(200);
        config.probe_interval = Duration::from_millis(600);
    })
    .await
}

/// What an executor says when it cannot reach the cluster.
fn unreachable() -> Act {
    let causes = serde_json::json!([
        {"reason": "ClusterUnreachable", "message": "connection refused", "field": ""},
        {"reason": "DaasRequestId", "message": "x", "field": ""},
    ]);
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503,
        "reason": "ServiceUnavailable", "details": {"causes": causes},
        "message": "request x was not executed: the Kubernetes API cannot be reached",
    });
    Act::json(503, status.to_string())
}

async fn text(world: &World) -> String {
    String::from_utf8_lossy(&get(world, "/readyz?verbose").await.body).into_owned()
}

async fn get(world: &World, path: &str) -> Got {
    // Whatever was found a moment ago is forgotten.
    *world.gateway.inner.readiness.lock().await = None;
    world.send(http::Request::builder().uri(path), "").await
}

#[tokio::test]
async fn a_ready_gateway_says_so_to_everybody() {
    let world = World::new().await;
    for path in ["/livez", "/readyz", "/healthz"] {
        let got = get(&world, path).await;
        assert_eq!(
            (got.status.as_u16(), &got.body[..]),
            (200, &b"ok"[..]),
            "{path}"
        );
    }
    let got = get(&world, "/readyz?verbose").await;
    assert_eq!(
        String::from_utf8_lossy(&got.body),
        "[+]ledger ok\n[+]follower ok\n[+]blobs ok\n[+]executor ok\n[+]cluster ok\n[+]clock ok\nreadyz check passed\n"
    );
    assert_eq!(world.gateway.counts().requests, 0);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let world = World::new().await;
    world.ledger.set_outage(Some(Outage::Unavailable));
    let got = get(&world, "/readyz").await;
    assert_eq!(got.status, 503);
    let text = String::from_utf8_lossy(&got.body).into_owned();
    assert!(
        text.contains("[-]ledger failed: the ledger is unavailable"),
        "{text}"
    );
    assert!(text.contains("[+]blobs ok"), "{text}");
    assert_eq!(
        get(&world, "/livez").await.status,
        200,
        "it lives all the same"
    );
    world.ledger.set_outage(None);

    world.ledger.set_skew_ms(60_000);
    let text = String::from_utf8_lossy(&get(&world, "/readyz").await.body).into_owned();
    assert!(
        text.contains("[-]clock failed: 60 s off ledger time")
            || text.contains("[-]clock failed: 59 s"),
        "{text}"
    );
    world.ledger.set_skew_ms(0);
    assert_eq!(get(&world, "/readyz").await.status, 200);

    world.apply(Call::DeactivateExecutor {
        cap: world.cap,
        cluster: world.cluster,
        executor: world.executor,
    });
    let got = get(&world, "/readyz").await;
    assert_eq!(got.status, 503);
    let text = String::from_utf8_lossy(&got.body).into_owned();
    assert!(
        text.contains("[-]executor failed: no executor is eligible"),
        "{text}"
    );
}

#[tokio::test]
async fn asking_often_costs_little() {
    let world = World::new().await;
    assert_eq!(get(&world, "/readyz").await.status, 200);
    world.ledger.set_outage(Some(Outage::Unavailable));
    let ask = || world.send(http::Request::builder().uri("/readyz"), "");
    assert_eq!(ask().await.status, 200, "found a moment ago");
    tokio::time::sleep(Duration::from_millis(550)).await;
    assert_eq!(ask().await.status, 503);
}

#[tokio::test]
async fn an_executor_that_is_silent_is_named_and_nobody_waits_for_it() {
    let (world, own) = asking().await;
    world.answer(|_| Act::Silent);
    let text_now = text(&world).await;
    let silent = format!(
        "[-]executor failed: executor {} has not answered",
        world.executor
    );
    assert!(text_now.contains(&silent), "{text_now}");
    assert!(text_now.contains("is daas-nautilus running?"), "{text_now}");
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        let got = world.get(PODS).await;
        let message = got.refused(503, "ServiceUnavailable");
        assert!(message.contains("is daas-nautilus running?"), "{message}");
        assert!(
            !got.headers.contains_key("retry-after"),
            "kubectl would wait"
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // Only questions of the gateway's own reach the ledger meanwhile.
    let admitted = world.admitted();
    assert!(admitted.iter().all(|request| request.seal_token_id == own));
    assert!(admitted.len() <= 8, "{}", admitted.len());
    // The first question that is answered ends it.
    world.answer_json(200, "{}");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(world.get(PODS).await.status, 200);
    assert_eq!(get(&world, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_cluster_that_its_executor_cannot_reach_is_named() {
    let (world, own) = asking().await;
    world.answer(|_| unreachable());
    let text_now = text(&world).await;
    let named = format!(
        "[-]cluster failed: cluster unreachable from executor {}: connection refused",
        world.executor
    );
    assert!(text_now.contains(&named), "{text_now}");
    assert!(text_now.contains("[+]executor ok"), "{text_now}");
    let got = world.get(PODS).await;
    let message = got.refused(503, "ServiceUnavailable");
    assert!(
        message.starts_with("cluster unreachable from executor"),
        "{message}"
    );
    assert!(
        !got.headers.contains_key("retry-after"),
        "kubectl would wait"
    );
    assert!(
        world
            .admitted()
            .iter()
            .all(|request| request.seal_token_id == own)
    );
}

#[tokio::test]
async fn what_is_advised_to_the_gateway_is_not_said_to_others() {
    let (world, _) = asking().await;
    let causes = [serde_json::json!({"reason": "DaasRequestId", "message": "x", "field": ""})];
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 504,
        "reason": "Timeout", "details": {"causes": causes},
        "message": "the cluster did not answer request x before its deadline; it is a read and may be repeated",
    });
    world.answer(move |_| Act::json(504, status.to_string()));
    text(&world).await;
    let message = world.get(PODS).await.refused(503, "ServiceUnavailable");
    assert!(
        message.ends_with("request x before its deadline") && !message.contains("repeated"),
        "{message}"
    );
}

#[tokio::test]
async fn a_cluster_that_is_back_is_noticed_soon() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    let (world, _) =
        World::with_own_token(|config| config.probe_timeout = Duration::from_millis(200)).await;
    let is_back = std::sync::Arc::new(AtomicBool::new(false));
    let now = is_back.clone();
    world.answer(move |_| match now.load(Relaxed) {
        true => Act::json(200, "{}"),
        false => unreachable(),
    });
    let questions = || world.gateway.counts().questions;
    text(&world).await;
    assert_eq!(questions(), 1);
    // Who only looks has nothing asked so soon.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert!(text(&world).await.contains("[-]cluster failed"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(questions(), 1);
    // Who is refused has.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        world.get(PODS).await.refused(503, "ServiceUnavailable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!((3..=4).contains(&questions()), "{}", questions());
    is_back.store(true, Relaxed);
    let begun = std::time::Instant::now();
    while world.get(PODS).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_is_known_of_executors_is_found_out_by_requests_too() {
    let (world, _) = asking().await;
    world.answer(|_| unreachable());
    // Nothing is known yet: it is the executor's own answer.
    assert_eq!(world.get(PODS).await.status, 503);
    assert_eq!(world.admitted().len(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let message = world.get(PODS).await.refused(503, "ServiceUnavailable");
    assert!(
        message.starts_with("cluster unreachable from executor"),
        "{message}"
    );
    assert_eq!(
        world.gateway.counts().submitted - world.gateway.counts().questions,
        1
    );
}

#[tokio::test]
async fn who_waits_for_a_read_is_told_and_a_write_stays_open() {
    let (world, _) = asking().await;
    world.answer(|_| Act::Silent);
    let begun = std::time::Instant::now();
    let write = format!("{PODS}?timeout=3s");
    let (read, write) = tokio::join!(world.get(PODS), world.post(&write, "{}"));
    let message = read.refused(503, "ServiceUnavailable");
    assert!(message.contains("is daas-nautilus running?"), "{message}");
    let message = write.refused(504, "Timeout");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(message.contains("is daas-nautilus running?"), "{message}");
    assert!(message.contains("outcome unknown"), "{message}");
}

#[tokio::test]
async fn nothing_is_asked_while_answers_come_and_seldom_without() {
    let (world, _) = asking().await;
    world.answer_json(200, "{}");
    for _ in 0..10 {
        assert_eq!(world.get(PODS).await.status, 200);
        assert_eq!(get(&world, "/readyz").await.status, 200);
    }
    assert_eq!(world.gateway.counts().questions, 0);
    for _ in 0..40 {
        assert_eq!(get(&world, "/readyz").await.status, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = world.gateway.counts().questions;
    assert!((1..=3).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_slow_answer_is_no_silence() {
    let (world, _) = asking().await;
    world.answer(|request| {
        let answer = Act::json(200, "{}");
        if request.path.to_string() == PODS {
            Act::After(Duration::from_millis(1_500), Box::new(answer))
        } else {
            answer
        }
    });
    assert_eq!(world.get(PODS).await.status, 200);
    assert!(world.gateway.counts().questions >= 1);
}
