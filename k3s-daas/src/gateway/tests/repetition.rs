//! The same request once more, and another one under its ID.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::fixture::{Act, Got, PODS, World};
use crate::blob::{BlobStore as _, Holder};
use crate::contract::Call;
use crate::crypto::BlobHash;
use crate::ledger;
use crate::ledger::memory::{MemoryLedger, Outage};
use crate::types::{Address, ClusterPolicy, Digest, RequestId};
use crate::wire::Deployment;

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

/// An ID of so long ago, or ahead.
fn id_of(world: &World, seconds: i64) -> RequestId {
    use crate::ledger::LedgerExt as _;
    let time_ms = world.ledger.now_ms().saturating_add_signed(seconds * 1_000);
    let time = format!("{time_ms:012x}");
    let rest = &RequestId::new().to_string()[14..];
    format!("{}-{}-{rest}", &time[..8], &time[8..])
        .parse()
        .unwrap()
}

#[tokio::test]
async fn an_id_that_may_be_forgotten_is_never_used_again() {
    // Policy keeps answers for 10 min at least.
    let world = World::new().await;
    world.answer_json(201, "{}");
    for seconds in [-86_400, -3_600, -600, -540, -500] {
        let id = id_of(&world, seconds);
        let message = post(&world, id, PODS, "{}").await.refused(410, "Expired");
        assert!(message.contains(&id.to_string()), "{message}");
    }
    for seconds in [61 + 5, 3_600, 86_400 * 365] {
        let id = id_of(&world, seconds);
        let message = post(&world, id, PODS, "{}")
            .await
            .refused(400, "BadRequest");
        assert!(message.contains("Daas-Request-Id"), "{message}");
    }
    assert!(world.admitted().is_empty());
    for seconds in [-400, -60, 0, 50] {
        let id = id_of(&world, seconds);
        assert_eq!(post(&world, id, PODS, "{}").await.status, 201, "{seconds}");
    }
    // Nor is anything admitted under it later than that.
    let id = id_of(&world, -300);
    assert_eq!(
        post(&world, id, &format!("{PODS}?timeout=9m"), "{}")
            .await
            .status,
        201
    );
    let admitted = world.admitted();
    assert_eq!(admitted.len(), 5);
    assert_eq!(admitted[4].deadline_ms, id.timestamp_ms() + 9 * 60_000);
}

#[tokio::test]
async fn what_was_pruned_is_not_done_again_and_what_is_held_is_told() {
    let world = World::new().await;
    world.answer_json(201, "{\"n\":1}");
    let id = RequestId::new();
    assert_eq!(post(&world, id, PODS, "{}").await.status, 201);
    world.ledger.set_skew_ms(9 * 60_000);
    let again = post(&world, id, PODS, "{}").await;
    assert_eq!(
        (again.status.as_u16(), &again.body[..]),
        (201, &b"{\"n\":1}"[..])
    );
    world.ledger.set_skew_ms(2 * 3_600_000);
    world.apply(Call::PruneResponses {
        token: world.token,
        request_ids: vec![crate::types::ByteString(id.to_wire())],
    });
    world.ledger_view(|state, token| assert!(state.request(token, id).is_none()));
    post(&world, id, PODS, "{}").await.refused(410, "Expired");
    assert_eq!(world.admitted().len(), 1);
}

#[tokio::test]
async fn longer_times_do_not_make_what_was_pruned_new() {
    let world = World::new().await;
    world.answer_json(201, "{}");
    let policy = |ttl_ms| ClusterPolicy {
        response_ttl_ms: vec![ttl_ms; 4],
        ..ClusterPolicy::default()
    };
    let set = |world: &World, ttl_ms| {
        world.apply(Call::SetPolicy {
            cap: world.cap,
            cluster: world.cluster,
            policy: policy(ttl_ms),
        });
    };
    set(&world, 4_000);
    let id = RequestId::new();
    assert_eq!(
        post(&world, id, &format!("{PODS}?timeout=1s"), "{}")
            .await
            .status,
        201
    );
    world.ledger.set_skew_ms(10_000);
    world.apply(Call::PruneResponses {
        token: world.token,
        request_ids: vec![crate::types::ByteString(id.to_wire())],
    });
    // Nobody asks between these two.
    set(&world, 600_000);
    for skew_ms in [11_000, 60_000, 500_000] {
        world.ledger.set_skew_ms(skew_ms);
        post(&world, id, PODS, "{}").await.refused(410, "Expired");
    }
    assert_eq!(world.admitted().len(), 1);
    // What is of after the change is as old as the new times let it be.
    let later = id_of(&world, -400);
    assert_eq!(post(&world, later, PODS, "{}").await.status, 201);
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
    world.apply(Call::SetRules {
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

#[tokio::test]
async fn a_later_refusal_does_not_undo_what_was_admitted() {
    let world = World::new().await;
    let ledger = world.ledger.clone();
    let (cap, cluster, token) = (world.cap, world.cluster, world.token);
    world.ledger.set_outage(Some(Outage::LostReceipts));
    world.answer(move |_| {
        // Between the lost receipt and the next try the rules go, which is checked before the ID.
        ledger.set_outage(None);
        let rules = Call::SetRules {
            cap,
            cluster,
            token,
            rules: Vec::new(),
        };
        ledger.apply(&rules).unwrap();
        Act::After(Duration::from_millis(300), Box::new(Act::json(201, "{}")))
    });
    let got = post(&world, RequestId::new(), PODS, "{}").await;
    assert_eq!(got.status, 201, "{}", String::from_utf8_lossy(&got.body));
    assert_eq!(world.admitted().len(), 1);
    assert_eq!(world.recorded(1).await, [6]);
}

#[tokio::test]
async fn a_refusal_after_an_outage_that_lost_nothing_is_true() {
    let world = World::new().await;
    let ledger = world.ledger.clone();
    let (cap, cluster, token) = (world.cap, world.cluster, world.token);
    world.ledger.set_outage(Some(Outage::Unavailable));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        ledger.set_outage(None);
        let rules = Call::SetRules {
            cap,
            cluster,
            token,
            rules: Vec::new(),
        };
        ledger.apply(&rules).unwrap();
    });
    world.post(PODS, "{}").await.refused(403, "Forbidden");
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_unknown_and_not_undone() {
    let world = World::new().await;
    world.answer_json(201, "{}");
    let deaf = Deaf {
        ledger: world
            .ledger
            .as_account(world.gateway.inner.ledger.account()),
        no_sync: Arc::default(),
        no_events: Arc::default(),
        lost_calls: Arc::default(),
    };
    let (no_sync, no_events) = (deaf.no_sync.clone(), deaf.no_events.clone());
    let lost_calls = deaf.lost_calls.clone();
    let gateway = crate::gateway::Gateway::builder(
        Arc::new(deaf),
        world.gateway.inner.blobs.clone(),
        world.cluster,
    );
    let gateway = gateway.with_config(world.gateway.config().clone());
    let world = World {
        gateway: gateway.build().unwrap(),
        ..world
    };
    let id = RequestId::new();
    assert_eq!(post(&world, id, PODS, "{}").await.status, 201);
    let unknown = |got: Got| {
        let message = got.refused(504, "Timeout");
        assert!(message.contains("outcome unknown"), "{message}");
        assert!(!message.contains("nothing was begun"), "{message}");
    };

    // Its first admission is not found.
    no_events.store(true, Ordering::Relaxed);
    unknown(post(&world, id, PODS, "{}").await);
    no_events.store(false, Ordering::Relaxed);
    assert_eq!(post(&world, id, PODS, "{}").await.status, 201);

    // Whether the ID is known is not to be learned.
    no_sync.store(true, Ordering::Relaxed);
    unknown(post(&world, id, PODS, "{}").await);
    unknown(post(&world, RequestId::new(), PODS, "{}").await);
    assert_eq!(world.admitted().len(), 1);

    // A lost receipt; then that it is there already, or a refusal.
    lost_calls.store(1, Ordering::Relaxed);
    unknown(world.post(PODS, "{}").await);
    assert_eq!(world.admitted().len(), 2);
    assert_eq!(world.recorded(1).await, [11]);
}

/// A ledger that can be called but not always asked.
#[derive(Debug)]
struct Deaf {
    ledger: MemoryLedger,
    no_sync: Arc<AtomicBool>,
    no_events: Arc<AtomicBool>,
    /// How many of the next calls happen and are not answered.
    lost_calls: Arc<AtomicUsize>,
}

impl std::fmt::Display for Deaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a deaf ledger")
    }
}

fn deaf<T>() -> ledger::Result<T> {
    Err(ledger::Error::Unavailable("it is deaf".into()))
}

#[async_trait::async_trait]
impl ledger::Ledger for Deaf {
    async fn call(&self, call: Call) -> ledger::Result<ledger::Receipt> {
        let receipt = self.ledger.call(call).await?;
        let less = |count: usize| count.checked_sub(1);
        match self
            .lost_calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        {
            Ok(_) => deaf(),
            Err(_) => Ok(receipt),
        }
    }

    fn events(
        &self,
        cursor: ledger::Cursor,
    ) -> BoxStream<'static, ledger::Result<ledger::SequencedEvent>> {
        if self.no_events.load(Ordering::Relaxed) {
            return futures_util::stream::iter([deaf()]).boxed();
        }
        self.ledger.events(cursor)
    }

    fn read(&self, reader: &mut dyn FnMut(&ledger::Snapshot<'_>)) {
        self.ledger.read(reader);
    }

    async fn sync(&self) -> ledger::Result<ledger::Cursor> {
        if self.no_sync.load(Ordering::Relaxed) {
            return deaf();
        }
        self.ledger.sync().await
    }

    async fn receipt(&self, call: Digest) -> ledger::Result<Option<ledger::Receipt>> {
        self.ledger.receipt(call).await
    }

    async fn balance(&self, account: Address) -> ledger::Result<u64> {
        self.ledger.balance(account).await
    }

    fn deployment(&self) -> Deployment {
        self.ledger.deployment()
    }

    fn account(&self) -> Address {
        self.ledger.account()
    }
}
