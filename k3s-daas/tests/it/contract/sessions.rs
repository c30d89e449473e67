//! Sessions: recorded before a byte flows, and when they end.

use k3s_daas::contract::{Call, Code, Outcome};
use k3s_daas::types::{Digest, HexBytes};
use k3s_daas::wire::{Event, IntentKind, SessionCloseMessage};

use super::order::{Case, assert_order};
use super::world::{START, World, request_id};

/// A world with a watch open, as request 1.
fn open() -> World {
    let mut w = World::new();
    let mut request = w.list_pods(1);
    request.query = k3s_daas::wire::Content::plain("watch=true");
    let call = Call::OpenSession {
        cluster: w.cluster,
        token: w.token,
        request,
    };
    let effects = w.ok(w.gateway, call);
    let [Event::K8sApiRequest(e)] = &effects.events[..] else {
        panic!()
    };
    assert!(e.session && e.is_read);
    assert_eq!(e.verb, "watch".into());
    w
}

fn close(w: &World) -> Call {
    let held = w.request(&request_id(1)).unwrap();
    Call::CloseSession {
        cluster: w.cluster,
        token: w.token,
        executor: held.executor,
        message: SessionCloseMessage {
            request_id: request_id(1),
            digest: held.digest,
            epoch: held.epoch,
            bytes_in: u64::MAX,
            bytes_out: 7,
            reason: 3,
            transcript_hash: HexBytes(vec![2; 32]),
        },
        signature: HexBytes::default(),
    }
}

fn message(call: &mut Call) -> &mut SessionCloseMessage {
    match call {
        Call::CloseSession { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_order_of_checks_of_closing() {
    assert_order(
        || {
            let w = open();
            let (call, stranger) = (close(&w), w.stranger);
            Case::new(w, stranger, call)
        },
        &[
            (Code::WrongVersion, |c| {
                c.world.edit_token(|t| t.version = 0)
            }),
            (Code::UnknownRequest, |c| {
                c.world
                    .edit_request(&request_id(1), |request| request.session = false);
            }),
            (Code::SessionClosed, |c| {
                c.world.edit_request(&request_id(1), |request| {
                    request.outcome = Some(Outcome::Closed);
                });
            }),
            (Code::NotAssigned, |c| message(&mut c.call).epoch += 1),
            (Code::ExecutorNotEligible, |c| {
                for executor in c.world.executors.clone() {
                    c.world.set_active(executor, false);
                }
            }),
            (Code::InvalidSignature, |c| c.forged = true),
            (Code::MalformedResponse, |c| message(&mut c.call).reason = 4),
        ],
    );
}

#[test]
fn what_a_closed_session_says() {
    let mut w = open();
    w.now = START + 99;
    let effects = w.signed_ok(close(&w));
    let [Event::SessionClosed(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.bytes_in, e.bytes_out, e.reason), (u64::MAX, 7, 3));
    assert_eq!((e.token, e.epoch, e.timestamp_ms), (w.token, 0, w.now));
    assert_eq!(e.expires_at_ms, START + 60_000 + 3_600_000);
    assert_eq!(w.token().unanswered, 0);
    let held = w.request(&request_id(1)).unwrap();
    assert_eq!(held.outcome, Some(Outcome::Closed));
    assert!(held.record().is_none());
    // For good.
    w.signed_refused(close(&w), Code::SessionClosed);
    w.signed_refused(w.answer(1, 200), Code::AlreadyAnswered);
    w.signed_refused(w.release(1), Code::AlreadyAnswered);
    let prune = Call::PruneResponses {
        token: w.token,
        request_ids: vec![request_id(1)],
    };
    w.now = START + 60_000 + 3_600_000 - 1;
    w.refused(w.stranger, prune.clone(), Code::NotPrunable);
    w.now += 1;
    w.ok(w.stranger, prune);
    w.signed_refused(
        {
            let mut call = close(&open());
            if let Call::CloseSession { cluster, token, .. } = &mut call {
                (*cluster, *token) = (w.cluster, w.token);
            }
            call
        },
        Code::UnknownRequest,
    );
}

#[test]
fn sessions_are_not_claimable() {
    let mut w = open();
    for at in [START, START + 10_000, START + 60_000] {
        w.now = at;
        w.signed_refused(w.claim(1, w.executors[0]), Code::UnknownRequest);
    }
}

/// Released before it began, it goes to the other; answered, Kubernetes refused it.
#[test]
fn a_session_that_never_began() {
    let mut w = open();
    let first = w.request(&request_id(1)).unwrap().executor;
    w.signed_ok(w.release(1));
    let held = w.request(&request_id(1)).unwrap();
    assert_ne!(held.executor, first);
    assert_eq!(held.epoch, 1);
    w.signed_ok(w.answer(1, 403));
    w.signed_refused(close(&w), Code::SessionClosed);
}

#[test]
fn forms_of_closing() {
    let mut w = open();
    for edit in [
        (|m| m.reason = 4) as fn(&mut SessionCloseMessage),
        |m| m.reason = 255,
        |m| m.transcript_hash = HexBytes(vec![0; 31]),
        |m| m.transcript_hash = HexBytes(vec![0; 33]),
    ] {
        let mut call = close(&w);
        edit(message(&mut call));
        w.signed_refused(call, Code::MalformedResponse);
    }
    // Signed as something else, by somebody else, about something else.
    let mut call = close(&w);
    message(&mut call).digest = Digest::ZERO;
    w.signed_refused(call, Code::NotAssigned);
    let mut call = close(&w);
    let held = w.request(&request_id(1)).unwrap().executor;
    let other = *w.executors.iter().find(|id| **id != held).unwrap();
    if let Call::CloseSession { executor, .. } = &mut call {
        *executor = other;
    }
    w.signed_refused(call, Code::NotAssigned);
    let mut call = close(&w);
    let bytes = w
        .intent(IntentKind::Answer, w.token)
        .signed_bytes(message(&mut call));
    if let Call::CloseSession { signature, .. } = &mut call {
        *signature = HexBytes::from(w.signers[&held].sign_now(&bytes).as_ref());
    }
    w.refused(w.stranger, call, Code::InvalidSignature);
    // Without a transcript, by the client.
    let mut call = close(&w);
    message(&mut call).transcript_hash = HexBytes::default();
    message(&mut call).reason = 0;
    w.signed_ok(call);
}

/// A request that is no session cannot be closed.
#[test]
fn an_ordinary_request_is_not_closed() {
    let mut w = World::new();
    w.admit(w.list_pods(1));
    w.signed_refused(close(&w), Code::UnknownRequest);
}
