//! Alive and ready, each dependency by its name.

use std::time::Duration;

use super::fixture::{Got, World};
use crate::contract::Call;
use crate::ledger::memory::Outage;

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
        "[+]ledger ok\n[+]follower ok\n[+]blobs ok\n[+]executor ok\n[+]clock ok\nreadyz check passed\n"
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
