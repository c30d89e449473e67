//! One state, whichever way a process came by it: writing, following, reading tables, or replaying.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;

use super::*;
use crate::audit;
use crate::contract::{Code, Object};
use crate::crypto::random_array;
use crate::ledger::conformance::Fixture;
use crate::ledger::local::disk::Layout;
use crate::ledger::local::engine::Engine;
use crate::ledger::{Cursor, Error};
use crate::types::{ByteString, HexBytes, RequestId};
use crate::wire::{AnswerMessage, IntentKind};

/// Opens every view anew, by a clock that the test sets.
struct Timed {
    clock: Arc<AtomicU64>,
    dir: tempfile::TempDir,
}

impl Timed {
    fn options(&self) -> Options {
        let clock = self.clock.clone();
        Options {
            clock: Arc::new(move || clock.load(Ordering::SeqCst)),
            ..Options::default()
        }
    }

    /// An engine that follows only when it is told to.
    fn engine(&self) -> Engine {
        let layout = Layout::new(self.dir.path());
        Engine::open(layout, self.options()).unwrap().0
    }

    fn open(&self) -> LocalLedger {
        let key = Arc::new(Ed25519Signer::generate());
        LocalLedger::open_with(self.dir.path(), key, self.options()).unwrap()
    }
}

#[async_trait]
impl Backend for Timed {
    async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance> {
        let signer = Arc::new(Ed25519Signer::generate());
        let genesis = Genesis::new(funds.to_vec());
        let ledger = LocalLedger::create_with(self.dir.path(), genesis, signer, self.options())
            .await
            .unwrap();
        Box::new(TimedInstance { ledger })
    }
}

struct TimedInstance {
    ledger: LocalLedger,
}

#[async_trait]
impl Instance for TimedInstance {
    async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.with_signer(signer))
    }
}

#[tokio::test]
async fn all_ways_lead_to_one_state() {
    let timed = Timed {
        clock: Arc::new(AtomicU64::new(1_700_000_000_000)),
        dir: tempfile::tempdir().unwrap(),
    };
    let (fixture, _instance) = Fixture::new(&timed).await;
    let follower = timed.open();
    fixture
        .owner
        .call(fixture.deposit(MIST_PER_SUI))
        .await
        .unwrap();
    let mut ids = Vec::new();
    for index in 0..12 {
        let mut request = fixture.request(["GET", "POST"][index % 2]);
        request.reply_key = HexBytes(vec![1; 32]);
        let receipt = fixture
            .gateway
            .call(fixture.execute(&request))
            .await
            .unwrap();
        let Event::K8sApiRequest(admitted) = &receipt.events[0].event else {
            unreachable!()
        };
        let answer = match index % 4 {
            0 => sealed_answer(&fixture, &request.request_id, admitted.digest, vec![9; 500]),
            1 => fixture.answer(&request, admitted.digest, 201),
            2 => fixture.release(&request, admitted.digest),
            _ => continue,
        };
        fixture.operator.call(answer).await.unwrap();
        ids.push(request.request_id);
    }
    let first = RequestId::from_bytes(&ids[0]).unwrap();
    let sealed = async |ledger: &dyn Ledger| {
        let request = ledger.request(fixture.token, first).await.unwrap();
        request.unwrap().record().unwrap().sealed.len()
    };
    follower.sync().await.unwrap();
    assert_eq!(sealed(&*fixture.owner).await, 500);
    assert_eq!(sealed(&follower).await, 500);
    agree(&timed, &fixture, &follower).await;

    // Two answers and a pruning in one batch: what is pruned must not come back.
    timed.clock.fetch_add(50 * 3_600_000, Ordering::SeqCst);
    let prune = Call::PruneResponses {
        token: fixture.token,
        request_ids: vec![ids[0].clone(), ids[1].clone()],
    };
    let (pruned, deposited) = tokio::join!(
        fixture.stranger.call(prune),
        fixture.owner.call(fixture.deposit(5))
    );
    pruned.unwrap();
    deposited.unwrap();
    follower.sync().await.unwrap();
    let held = |snapshot: &crate::ledger::Snapshot<'_>| {
        snapshot.state.request(fixture.token, first).is_some()
    };
    assert!(!follower.view(held) && !fixture.owner.view(held));
    agree(&timed, &fixture, &follower).await;
}

/// Admits and answers so many requests; their messages.
async fn answered(fixture: &Fixture, count: usize) -> Vec<crate::wire::RequestMessage> {
    let mut requests = Vec::new();
    for _ in 0..count {
        let request = fixture.request("GET");
        let admitted = fixture.gateway.call(fixture.execute(&request)).await;
        let Event::K8sApiRequest(admitted) = &admitted.unwrap().events[0].event else {
            unreachable!()
        };
        let answer = fixture.answer(&request, admitted.digest, 200);
        fixture.operator.call(answer).await.unwrap();
        requests.push(request);
    }
    requests
}

#[tokio::test]
async fn requests_at_rest_are_found_refused_and_pruned_like_others() {
    let timed = Timed {
        clock: Arc::new(AtomicU64::new(1_700_000_000_000)),
        dir: tempfile::tempdir().unwrap(),
    };
    let (fixture, _instance) = Fixture::new(&timed).await;
    let follower = timed.open();
    let owner = fixture.owner.call(fixture.deposit(MIST_PER_SUI)).await;
    owner.unwrap();
    let requests = answered(&fixture, 20).await;
    follower.sync().await.unwrap();
    let id = |index: usize| RequestId::from_bytes(&requests[index].request_id).unwrap();
    let in_memory = |snapshot: &crate::ledger::Snapshot<'_>| snapshot.state.all_requests().count();
    let again = timed.open();
    assert_eq!((again.view(in_memory), again.requests_at_rest()), (0, 20));
    for ledger in [
        &fixture.owner,
        &(Arc::new(follower.clone()) as Arc<dyn Ledger>),
    ] {
        assert!(ledger.view(in_memory) < 8, "{}", ledger.view(in_memory));
        for index in 0..20 {
            let held = ledger.request(fixture.token, id(index)).await.unwrap();
            let record = held.as_ref().and_then(|held| held.record()).unwrap();
            assert_eq!(record.status_code, 200);
        }
        let unknown = ledger.request(fixture.token, RequestId::new()).await;
        assert_eq!(unknown.unwrap(), None);
        // Everything that names one finds it as it is.
        let twice = ledger.request(fixture.token, id(0)).await.unwrap().unwrap();
        let answer = fixture.answer(&requests[0], twice.digest, 200);
        let refused = fixture.operator.call(answer).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::AlreadyAnswered));
        let refused = fixture.gateway.call(fixture.execute(&requests[0])).await;
        assert_eq!(refused.unwrap_err().code(), Some(Code::DuplicateRequest));
        let early = Call::PruneResponses {
            token: fixture.token,
            request_ids: vec![requests[0].request_id.clone()],
        };
        let refused = fixture.stranger.call(early).await.unwrap_err();
        assert_eq!(refused.code(), Some(Code::NotPrunable));
        assert_eq!(ledger.prunable(9), []);
    }
    agree(&timed, &fixture, &follower).await;

    // One process prunes and admits anew while another is behind.
    let mut late = timed.engine();
    let try_again = Call::TryExecuteKubectlCommandWithId {
        cluster: fixture.cluster,
        token: fixture.token,
        request: requests[2].clone(),
    };
    fixture.gateway.call(try_again).await.unwrap();
    timed.clock.fetch_add(2 * 3_600_000, Ordering::SeqCst);
    let prunable = fixture.owner.prunable(100);
    assert_eq!(prunable.len(), 20);
    let prune = Call::PruneResponses {
        token: fixture.token,
        request_ids: (0..19)
            .map(|index| requests[index].request_id.clone())
            .collect(),
    };
    fixture.stranger.call(prune).await.unwrap();
    answered(&fixture, 3).await;
    late.follow().unwrap();
    late.follow().unwrap();
    follower.sync().await.unwrap();
    for index in 0..19 {
        for ledger in [
            &fixture.owner,
            &(Arc::new(follower.clone()) as Arc<dyn Ledger>),
        ] {
            assert_eq!(
                ledger.request(fixture.token, id(index)).await.unwrap(),
                None
            );
        }
    }
    let last = follower.request(fixture.token, id(19)).await.unwrap();
    assert!(last.is_some());
    assert_eq!(timed.open().requests_at_rest(), 4);
    agree(&timed, &fixture, &follower).await;
}

#[tokio::test]
async fn an_index_of_requests_at_rest_that_fails_is_made_anew() {
    let timed = Timed {
        clock: Arc::new(AtomicU64::new(1_700_000_000_000)),
        dir: tempfile::tempdir().unwrap(),
    };
    let (fixture, _instance) = Fixture::new(&timed).await;
    let follower = timed.open();
    let owner = fixture.owner.call(fixture.deposit(MIST_PER_SUI)).await;
    owner.unwrap();
    let writer = timed.open();
    let requests = answered(&fixture, 10).await;
    for ledger in [&follower, &writer] {
        ledger.sync().await.unwrap();
        assert!(ledger.requests_at_rest() > 0);
        let cold = ledger.inner.published.read().cold.clone();
        cold.break_it();
        let first = RequestId::from_bytes(&requests[0].request_id).unwrap();
        ledger.request(fixture.token, first).await.unwrap_err();
        assert_eq!(ledger.prunable(100), []);
        // Though nothing new is to be followed.
        ledger.sync().await.unwrap();
        let found = ledger.request(fixture.token, first).await.unwrap();
        assert!(found.is_some());
        let cold = ledger.inner.published.read().cold.clone();
        cold.break_it();
    }
    // One goes on by following, the other one by writing.
    answered(&fixture, 2).await;
    follower.sync().await.unwrap();
    timed.clock.fetch_add(2 * 3_600_000, Ordering::SeqCst);
    let prune = Call::PruneResponses {
        token: fixture.token,
        request_ids: vec![requests[0].request_id.clone()],
    };
    writer.call(prune).await.unwrap();
    for ledger in [&follower, &writer] {
        ledger.sync().await.unwrap();
        assert_eq!(ledger.prunable(100).len(), 11);
    }
    agree(&timed, &fixture, &follower).await;
    agree(&timed, &fixture, &writer).await;
}

#[tokio::test]
async fn a_request_at_rest_that_is_edited_is_named() {
    let timed = Timed {
        clock: Arc::new(AtomicU64::new(1_700_000_000_000)),
        dir: tempfile::tempdir().unwrap(),
    };
    let (fixture, _instance) = Fixture::new(&timed).await;
    fixture
        .owner
        .call(fixture.deposit(MIST_PER_SUI))
        .await
        .unwrap();
    let requests = answered(&fixture, 8).await;
    let connection = rusqlite::Connection::open(timed.dir.path().join("ledger.db")).unwrap();
    let first = RequestId::from_bytes(&requests[0].request_id).unwrap();
    let row = [fixture.token.as_bytes().to_vec(), first.to_wire()].concat();
    let edit = "UPDATE requests SET object = (SELECT max(object) FROM requests WHERE id != ?1) WHERE id = ?1";
    assert_eq!(connection.execute(edit, [row]).unwrap(), 1);
    let error = fixture
        .owner
        .request(fixture.token, first)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt(why) if why.contains("changed")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_answered_and_pruned_at_once_stays_pruned() {
    let timed = Timed {
        clock: Arc::new(AtomicU64::new(1_700_000_000_000)),
        dir: tempfile::tempdir().unwrap(),
    };
    let (fixture, _instance) = Fixture::new(&timed).await;
    let follower = timed.open();
    let mut request = fixture.request("GET");
    request.reply_key = HexBytes(vec![1; 32]);
    let admitted = fixture
        .gateway
        .call(fixture.execute(&request))
        .await
        .unwrap();
    let Event::K8sApiRequest(admitted) = &admitted.events[0].event else {
        unreachable!()
    };
    // So late that the answer may be pruned as soon as it is there, if its time to live is nothing.
    let policy = ClusterPolicy {
        response_ttl_ms: vec![0; 4],
        ..ClusterPolicy::default()
    };
    let set = Call::SetPolicy {
        cap: fixture.cap,
        cluster: fixture.cluster,
        policy,
    };
    fixture.admin.call(set).await.unwrap();
    timed.clock.fetch_add(61_000, Ordering::SeqCst);
    let lock = std::fs::File::open(timed.dir.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let answer = sealed_answer(&fixture, &request.request_id, admitted.digest, vec![7; 100]);
    let prune = Call::PruneResponses {
        token: fixture.token,
        request_ids: vec![request.request_id.clone()],
    };
    let unlock = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        lock.unlock().unwrap();
    };
    let (answered, pruned, ()) = tokio::join!(
        fixture.operator.call(answer),
        fixture.operator.call(prune),
        unlock
    );
    answered.unwrap();
    assert_eq!(pruned.unwrap().events.len(), 1);
    follower.sync().await.unwrap();
    let id = RequestId::from_bytes(&request.request_id).unwrap();
    let held = follower.view(|snapshot| snapshot.state.request(fixture.token, id).cloned());
    assert_eq!(held, None);
    agree(&timed, &fixture, &follower).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_far_behind_reads_from_disk() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let behind = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    let mut waiting = behind.events(Cursor::START);
    waiting.next().await.unwrap().unwrap();
    for _ in 0..10 {
        let calls = (0..500).map(|_| ledger.call(deposit(token)));
        for call in futures_util::future::join_all(calls).await {
            call.unwrap();
        }
    }
    let later = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    let mut fresh = later.events(Cursor::START);
    fresh.next().await.unwrap().unwrap();
    for expected in 2..=5_002 {
        let of_waiting = waiting.next().await.unwrap().unwrap();
        assert_eq!(of_waiting.cursor.major, expected);
        assert_eq!(fresh.next().await.unwrap().unwrap(), of_waiting);
    }
    let report = audit::verify(dir.path(), &audit::Options::default()).unwrap();
    assert_eq!((report.broken, report.calls), (None, 5_002));
}

/// The state of who wrote, who followed, who opens now, and who replays.
async fn agree(timed: &Timed, fixture: &Fixture, follower: &LocalLedger) {
    let opened = timed.open();
    let mut ids: Vec<_> = {
        let view = opened.inner.published.read();
        view.cold.all().unwrap()
    };
    ids.extend(opened.view(|snapshot| snapshot.state.prunable(u64::MAX).collect::<Vec<_>>()));
    // Wherever a process has them.
    let of = async |ledger: &dyn Ledger| {
        let mut state = None;
        ledger.read(&mut |snapshot| state = Some((snapshot.state.clone(), snapshot.cursor)));
        let (mut state, cursor) = state.unwrap();
        for (token, id) in &ids {
            let request = ledger.request(*token, *id).await.unwrap().unwrap();
            state.load(Object::Request(*token, *id, request));
        }
        (state, cursor)
    };
    // The last call need not be its own.
    fixture.owner.sync().await.unwrap();
    let written = of(&*fixture.owner).await;
    assert_eq!(written, of(follower).await);
    assert_eq!(written, of(&opened).await);
    let report = audit::verify(timed.dir.path(), &audit::Options::default()).unwrap();
    assert_eq!(report.broken, None);
    assert_eq!(report.events, written.1.major);
    assert_eq!(report.head, Some(follower.head().to_string()));
}

fn sealed_answer(
    fixture: &Fixture,
    request_id: &ByteString,
    digest: crate::types::Digest,
    sealed: Vec<u8>,
) -> Call {
    let message = AnswerMessage {
        request_id: request_id.clone(),
        digest,
        epoch: 0,
        status: 200,
        envelope_hash: HexBytes(random_array::<32>().to_vec()),
        envelope_len: 468,
        sealed_hash: AnswerMessage::hash_of_sealed(&sealed),
        time_ms: 1,
    };
    let deployment = fixture.operator.deployment();
    let intent = deployment.intent(IntentKind::Answer, fixture.cluster, fixture.token);
    let signature = fixture
        .executor_key
        .sign_now(&intent.signed_bytes(&message));
    Call::StoreK8sResponse {
        cluster: fixture.cluster,
        token: fixture.token,
        request_id: message.request_id,
        executor: fixture.executor,
        epoch: 0,
        status: 200,
        envelope_hash: message.envelope_hash,
        envelope_len: 468,
        sealed: sealed.into(),
        time_ms: 1,
        signature: HexBytes(signature.as_bytes().to_vec()),
    }
}
