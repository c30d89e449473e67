//! Both sides of what time ends, reached by calls alone, so that the Move VM reaches them as well.

use k3s_daas::contract::{Call, Code};
use k3s_daas::types::HexBytes;

use super::world::{EXPIRY, START, World, request_id, signer};

const HOUR: u64 = 3_600_000;

#[test]
fn a_delegate_submits_until_its_expiry() {
    let mut w = World::new();
    let (token, stranger) = (w.token, w.stranger);
    let add = |expires_at_ms| Call::AddDelegate {
        token,
        delegate: stranger,
        expires_at_ms,
    };
    w.refused(w.owner, add(START), Code::InvalidExpiry);
    w.ok(w.owner, add(START + HOUR));
    w.now = START + HOUR - 1;
    let call = w.execute(w.list_pods(1));
    w.ok(stranger, call);
    let count = Call::RecordRefusals {
        cluster: w.cluster,
        token,
        code: 13,
        count: 1,
        from_ms: START,
        to_ms: w.now,
    };
    w.ok(stranger, count.clone());
    w.now += 1;
    let call = w.execute(w.list_pods(2));
    w.refused(stranger, call, Code::NotTokenHolder);
    w.refused(stranger, count, Code::NotTokenHolder);
    // With another expiry it is one again, until the token's own.
    w.ok(w.owner, add(u64::MAX));
    w.now = EXPIRY - 1;
    let call = w.execute(w.list_pods(2));
    w.ok(stranger, call);
    w.now = EXPIRY;
    let call = w.execute(w.list_pods(3));
    w.refused(stranger, call, Code::InvalidSealToken);
    w.refused(w.owner, add(u64::MAX), Code::InvalidSealToken);
}

#[test]
fn a_session_key_signs_until_its_expiry() {
    let mut w = World::new();
    w.session = signer("for an hour");
    let register = |w: &World, expires_at_ms| Call::RegisterSessionKey {
        token: w.token,
        key: HexBytes::from(w.session.public_key().as_ref()),
        expires_at_ms,
    };
    let call = register(&w, START);
    w.refused(w.owner, call, Code::InvalidExpiry);
    let call = register(&w, START + HOUR);
    w.ok(w.owner, call);
    w.now = START + HOUR - 1;
    let signed = |w: &World, n| Call::ExecuteSignedCommand {
        cluster: w.cluster,
        token: w.token,
        request: w.list_pods(n),
        public_key: HexBytes::default(),
        signature: HexBytes::default(),
    };
    let call = signed(&w, 1);
    w.signed_ok(call);
    w.now += 1;
    let call = signed(&w, 2);
    w.signed_refused(call, Code::NotTokenHolder);
    // Expired, it is still known.
    let call = register(&w, u64::MAX);
    w.refused(w.owner, call, Code::DuplicateKey);
}

#[test]
fn a_read_is_claimed_between_its_lease_and_its_deadline() {
    let mut w = World::new();
    let executor = w.admit(w.list_pods(1));
    let lease_ends = w.request(&request_id(1)).unwrap().lease_ends_ms;
    w.now = lease_ends - 1;
    let claim = w.claim(1, executor);
    w.signed_refused(claim.clone(), Code::LeaseRunning);
    w.now = lease_ends;
    w.signed_ok(claim.clone());
    w.now = w.request(&request_id(1)).unwrap().lease_ends_ms;
    w.signed_ok(claim.clone());
    w.now = w.request(&request_id(1)).unwrap().lease_ends_ms;
    w.signed_refused(claim, Code::TooManyClaims);

    let executor = w.admit(w.list_pods(2));
    let deadline = w.request(&request_id(2)).unwrap().deadline_ms;
    let claim = w.claim(2, executor);
    w.now = deadline;
    w.signed_refused(claim.clone(), Code::DeadlineOver);
    let executor = w.admit(w.list_pods(3));
    let deadline = w.request(&request_id(3)).unwrap().deadline_ms;
    w.now = deadline - 1;
    let claim = w.claim(3, executor);
    w.signed_ok(claim);
}
