//! One state, whichever way a process came by it: writing, following, reading tables, or replaying.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;

use super::*;
use crate::audit;
use crate::contract::State;
use crate::crypto::random_array;
use crate::ledger::Cursor;
use crate::ledger::conformance::Fixture;
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
    let sealed = |state: &State| {
        let request = state.request(fixture.token, first).unwrap();
        request.record().unwrap().sealed.len()
    };
    follower.sync().await.unwrap();
    assert_eq!(fixture.owner.view(|snapshot| sealed(snapshot.state)), 500);
    assert_eq!(follower.view(|snapshot| sealed(snapshot.state)), 500);
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
    let of = |ledger: &dyn Ledger| {
        let mut state = None;
        ledger.read(&mut |snapshot| state = Some((snapshot.state.clone(), snapshot.cursor)));
        state.unwrap()
    };
    let written = of(&*fixture.owner);
    assert_eq!(written, of(follower));
    assert_eq!(written, of(&timed.open()));
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
