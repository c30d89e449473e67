//! Signatures verified together are judged one by one.

use super::*;
use crate::audit;
use crate::contract::Code;
use crate::ledger::conformance::Fixture;
use crate::ledger::local::engine::{Command, Submission};
use crate::ledger::local::signatures::{Answered, Deferred};
use crate::ledger::local::verify::questions;
use crate::ledger::local::{LocalCall, SignedCall};
use crate::ledger::{Error, Receipt};
use crate::types::{Digest, HexBytes};
use crate::wire::RequestMessage;
use tokio::sync::oneshot;

struct Stage {
    fixture: Fixture,
    ledger: LocalLedger,
    admitted: Vec<(RequestMessage, Digest)>,
    _instance: Box<dyn Instance>,
}

/// A ledger with so many requests that wait for their answers.
async fn stage(requests: usize) -> Stage {
    let backend = Shared::default();
    let (fixture, instance) = Fixture::new(&backend).await;
    let stake = fixture.deposit(MIST_PER_SUI);
    fixture.owner.call(stake).await.unwrap();
    let mut admitted = Vec::new();
    for _ in 0..requests {
        let request = fixture.request("GET");
        let receipt = fixture.gateway.call(fixture.execute(&request)).await;
        let Event::K8sApiRequest(event) = &receipt.unwrap().events[0].event else {
            unreachable!()
        };
        admitted.push((request, event.digest));
    }
    let ledger = backend.ledger.lock().unwrap().clone().unwrap();
    Stage {
        fixture,
        ledger,
        admitted,
        _instance: instance,
    }
}

impl Stage {
    fn answer(&self, index: usize) -> Call {
        let (request, digest) = &self.admitted[index];
        self.fixture.answer(request, *digest, 200)
    }
}

/// With one bit of the executor's signature another.
fn spoiled(mut call: Call) -> Call {
    let Call::StoreK8sResponse { signature, .. } = &mut call else {
        unreachable!()
    };
    signature.0[40] ^= 1;
    call
}

#[tokio::test]
async fn a_bad_one_among_many_spoils_nothing_but_itself() {
    let stage = stage(80).await;
    stage.ledger.inner.verification.pretend_to_be_busy();
    let mut calls = Vec::new();
    for index in 0..80 {
        let call = match index % 4 {
            0 => spoiled(stage.answer(index)),
            _ => stage.answer(index),
        };
        let mut signed = stage.ledger.sign(call).await.unwrap();
        match index % 4 {
            1 => {
                signed.signature = stage
                    .ledger
                    .sign(stage.answer(index))
                    .await
                    .unwrap()
                    .signature
            }
            2 => signed.bytes.truncate(signed.bytes.len() - 1),
            _ => {}
        }
        calls.push(signed);
    }
    let submitted = calls.into_iter().map(|call| stage.ledger.submit(call));
    let outcomes = futures_util::future::join_all(submitted).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match (index % 4, outcome) {
            (0, Err(Error::Refused(Code::InvalidSignature))) | (3, Ok(_)) => {}
            (1, Err(Error::Invalid(why))) if why.contains("not its sender's") => {}
            (2, Err(Error::Invalid(why))) if why.contains("no call") => {}
            (_, outcome) => panic!("{index}: {outcome:?}"),
        }
    }
    let answered = stage.ledger.view(|snapshot| {
        let requests = snapshot.state.all_requests();
        requests
            .filter(|(.., request)| request.record().is_some())
            .count()
    });
    assert_eq!(answered + stage.ledger.requests_at_rest(), 20);
}

#[tokio::test]
async fn what_the_contract_will_ask_is_asked_before() {
    let stage = stage(1).await;
    let ask = |call: Call| {
        let message = LocalCall {
            sender: stage.ledger.account(),
            call,
            nonce: [0; 16],
            not_after_ms: u64::MAX,
        };
        let view = stage.ledger.inner.published.read();
        questions(&view, &stage.ledger.inner.deployment, &message).len()
    };
    assert_eq!(ask(stage.answer(0)), 1);
    assert_eq!(ask(spoiled(stage.answer(0))), 1);
    let (request, digest) = &stage.admitted[0];
    assert_eq!(ask(stage.fixture.release(request, *digest)), 1);
    // Of what is refused before, and of what has no signature of an executor's, there is nothing to ask.
    let mut unknown = request.clone();
    unknown.request_id = crate::types::RequestId::new().to_wire().into();
    assert_eq!(ask(stage.fixture.answer(&unknown, *digest, 200)), 0);
    assert_eq!(ask(stage.fixture.deposit(1)), 0);
    let mut short = stage.answer(0);
    let Call::StoreK8sResponse { signature, .. } = &mut short else {
        unreachable!()
    };
    *signature = HexBytes(vec![1; 63]);
    assert_eq!(ask(short), 0);
}

/// A process that writes what it should not cannot make others believe it.
#[tokio::test]
async fn followers_verify_what_a_writer_let_through() {
    let stage = stage(4).await;
    let follower = LocalLedger::open(stage.ledger.dir(), Arc::new(Ed25519Signer::generate()));
    let follower = follower.unwrap();
    for index in 0..2 {
        write_unverified(&stage.ledger, stage.answer(index))
            .await
            .unwrap();
    }
    follower.sync().await.unwrap();
    let before = follower.head();

    let spoiled = write_unverified(&stage.ledger, spoiled(stage.answer(2))).await;
    spoiled.unwrap();
    write_unverified(&stage.ledger, stage.answer(3))
        .await
        .unwrap();
    let refused = follower.sync().await;
    let Err(Error::Corrupt(why)) = &refused else {
        panic!("{refused:?}")
    };
    let call = before.calls + 1;
    assert!(why.contains(&format!("call {call}")), "{why}");
    assert_eq!(follower.head(), before, "nothing of it is shown");
    let report = audit::verify(stage.ledger.dir(), &audit::Options::default()).unwrap();
    let broken = report.broken.unwrap().to_string();
    assert!(broken.contains(&format!("call {call}")), "{broken}");
}

/// As if the signature within had been verified and was genuine.
async fn write_unverified(ledger: &LocalLedger, call: Call) -> crate::ledger::Result<Receipt> {
    let signed: SignedCall = ledger.sign(call).await.unwrap();
    let message = signed.message(&ledger.inner.deployment);
    let mut answered = Answered::default();
    let asked = questions(
        &ledger.inner.published.read(),
        &ledger.inner.deployment,
        message.as_ref().unwrap(),
    );
    for question in asked {
        answered.add(question, true);
    }
    let (reply, answer) = oneshot::channel();
    let command = Command::Call(Box::new(Submission {
        digest: signed.digest(),
        signed,
        is_genuine: true,
        message,
        answered,
        reply,
    }));
    ledger.inner.commands.send(command).unwrap();
    answer.await.unwrap()
}

#[test]
fn only_what_was_asked_is_answered_from_memory() {
    use crate::contract::Signatures as _;
    let [signer, other] = [(); 2].map(|()| Ed25519Signer::generate());
    let (key, signature) = (signer.public_key(), signer.sign_now(b"message"));
    let deferred = Deferred::default();
    assert!(deferred.verify(&key, b"message", &signature));
    assert!(deferred.verify(&key, b"another", &signature));
    let questions = deferred.take();
    assert!(deferred.take().is_empty());

    // The answers are false on purpose: only so can one see where they come from.
    let mut answered = Answered::default();
    for (question, is_genuine) in questions.into_iter().zip([false, true]) {
        answered.add(question, is_genuine);
    }
    assert!(!answered.verify(&key, b"message", &signature));
    assert!(answered.verify(&key, b"another", &signature));
    // All else is verified.
    assert!(!answered.verify(&key, b"a third", &signature));
    assert!(!answered.verify(&other.public_key(), b"another", &signature));
    assert!(!answered.verify(&key, b"another", &other.sign_now(b"message")));
    assert!(answered.verify(&other.public_key(), b"x", &other.sign_now(b"x")));
}
