//! Leases, claims, releases, answers, pruning.

use k3s_daas::contract::{Abort, Call, Code};
use k3s_daas::types::{ByteString, ClusterId, ExecutorId, HexBytes, MIST_PER_SUI};
use k3s_daas::wire::{AnswerMessage, Content, Event, IntentKind};

use super::order::{Break, Case, assert_order};
use super::world::{START, World, request_id};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// The executor of a world that does not have request `n`.
fn other_executor(w: &World, n: u64) -> ExecutorId {
    let assigned = w.request(&request_id(n)).unwrap().executor;
    *w.executors.iter().find(|id| **id != assigned).unwrap()
}

fn named(call: &mut Call) -> &mut ByteString {
    match call {
        Call::ClaimRequest { request_id, .. }
        | Call::ReleaseRequest { request_id, .. }
        | Call::StoreK8sResponse { request_id, .. } => request_id,
        other => panic!("{other:?}"),
    }
}

fn answer_it(c: &mut Case) {
    let donor = {
        let mut w = World::new();
        w.admit(w.create_pod(1));
        w.signed_ok(w.answer(1, 201));
        w.request(&request_id(1)).unwrap().outcome.clone()
    };
    c.world
        .edit_request(&request_id(1), |request| request.outcome = donor);
}

fn deactivate_all(c: &mut Case) {
    for executor in c.world.executors.clone() {
        c.world.set_active(executor, false);
    }
}

const WRONG_VERSION: Break = (Code::WrongVersion, |c| {
    c.world.edit_cluster(|cluster| cluster.version = 0);
});
const UNKNOWN: Break = (Code::UnknownRequest, |c| {
    *named(&mut c.call) = request_id(77);
});
const ANSWERED: Break = (Code::AlreadyAnswered, answer_it);
const INELIGIBLE: Break = (Code::ExecutorNotEligible, deactivate_all);
const FORGED: Break = (Code::InvalidSignature, |c| c.forged = true);
const CLAIMED_WRITE: Break = (Code::ClaimedWrite, |c| {
    c.world
        .edit_request(&request_id(1), |request| request.claims = 1);
});

fn admitted() -> World {
    let mut w = World::new();
    w.admit(w.create_pod(1));
    w
}

#[test]
fn the_order_of_checks_of_an_answer() {
    let fresh = || {
        let w = admitted();
        let (call, stranger) = (w.answer(1, 201), w.stranger);
        Case::new(w, stranger, call)
    };
    let other_epoch: Break = (Code::NotAssigned, |c| {
        if let Call::StoreK8sResponse { epoch, .. } = &mut c.call {
            *epoch += 1;
        }
    });
    let other_executor: Break = (Code::NotAssigned, |c| {
        let other = other_executor(&c.world, 1);
        if let Call::StoreK8sResponse { executor, .. } = &mut c.call {
            *executor = other;
        }
    });
    let malformed: Break = (Code::MalformedResponse, |c| {
        if let Call::StoreK8sResponse { status, .. } = &mut c.call {
            *status = 199;
        }
    });
    for not_assigned in [other_epoch, other_executor] {
        assert_order(
            fresh,
            &[
                WRONG_VERSION,
                UNKNOWN,
                ANSWERED,
                not_assigned,
                INELIGIBLE,
                FORGED,
                malformed,
                CLAIMED_WRITE,
            ],
        );
    }
}

#[test]
fn the_order_of_checks_of_a_claim() {
    assert_order(
        || {
            let mut w = World::new();
            w.admit(w.list_pods(1));
            w.now = START + 10_000;
            let call = w.claim(1, w.executors[0]);
            let stranger = w.stranger;
            Case::new(w, stranger, call)
        },
        &[
            WRONG_VERSION,
            UNKNOWN,
            ANSWERED,
            INELIGIBLE,
            (Code::LeaseRunning, |c| {
                let now = c.world.now;
                c.world
                    .edit_request(&request_id(1), |r| r.lease_ends_ms = now + 1);
            }),
            (Code::DeadlineOver, |c| {
                let now = c.world.now;
                c.world
                    .edit_request(&request_id(1), |r| r.deadline_ms = now);
            }),
            (Code::TooManyClaims, |c| {
                c.world.edit_request(&request_id(1), |r| r.claims = 2);
            }),
            FORGED,
        ],
    );
}

#[test]
fn the_order_of_checks_of_a_release() {
    assert_order(
        || {
            let w = admitted();
            let (call, stranger) = (w.release(1), w.stranger);
            Case::new(w, stranger, call)
        },
        &[
            WRONG_VERSION,
            UNKNOWN,
            ANSWERED,
            (Code::NotAssigned, |c| {
                if let Call::ReleaseRequest { epoch, .. } = &mut c.call {
                    *epoch += 1;
                }
            }),
            INELIGIBLE,
            FORGED,
            CLAIMED_WRITE,
        ],
    );
}

#[test]
fn what_an_answer_says() {
    let mut w = admitted();
    let executor = w.request(&request_id(1)).unwrap().executor;
    let digest = w.request(&request_id(1)).unwrap().digest;
    let mut call = w.answer(1, 201);
    let sealed_bytes = vec![4; 16_000];
    if let Call::StoreK8sResponse {
        sealed, time_ms, ..
    } = &mut call
    {
        sealed.0.clone_from(&sealed_bytes);
        *time_ms = 5;
    }
    w.now = START + 1_234;
    w.sign(&mut call);
    let effects = w.ok(w.stranger, call);
    let [Event::K8sRequestProcessed(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!(e.request_id, request_id(1));
    assert_eq!(e.digest, digest);
    assert_eq!((e.token, e.requester), (w.token, w.owner));
    assert_eq!((e.executor, e.epoch), (executor, 0));
    assert_eq!((e.status_code, e.envelope_len), (201, 1_000));
    assert_eq!((e.time_ms, e.processed_at_ms), (5, START + 1_234));
    assert_eq!(e.expires_at_ms, START + MINUTE + HOUR);
    assert_eq!(
        e.sealed_hash[..],
        k3s_daas::crypto::sha256(&[&sealed_bytes])[..]
    );

    // The event alone proves the answer, sealed bytes included.
    let message = AnswerMessage {
        request_id: e.request_id.clone(),
        digest: e.digest,
        epoch: e.epoch,
        status: e.status_code,
        envelope_hash: e.envelope_hash.clone(),
        envelope_len: e.envelope_len,
        sealed_hash: e.sealed_hash.clone(),
        time_ms: e.time_ms,
    };
    let key = w.signers[&executor].public_key();
    let intent = w.intent(IntentKind::Answer, w.token);
    assert!(intent.verify(&message, &key, &e.signature));

    let record = w.request(&request_id(1)).unwrap().record().unwrap().clone();
    assert_eq!(record.request_id.to_wire(), request_id(1).0);
    assert_eq!((record.status_code, record.envelope_len), (201, 1_000));
    assert_eq!((record.executor, record.epoch), (executor, 0));
    assert_eq!(record.sealed.0, sealed_bytes);
    assert_eq!(record.envelope_hash, HexBytes(vec![8; 32]));
    assert_eq!(record.processed_at_ms, START + 1_234);
    assert_eq!(record.expires_at_ms, e.expires_at_ms);
    assert_eq!(record.requester, w.owner);
    assert_eq!(w.token().unanswered, 0);

    // A second one, the same or another, comes too late.
    w.signed_refused(w.answer(1, 201), Code::AlreadyAnswered);
    w.signed_refused(w.answer(1, 500), Code::AlreadyAnswered);
    assert_eq!(w.token().unanswered, 0);
}

#[test]
fn forms_of_an_answer() {
    type Edit = fn(&mut Call);
    fn edit(call: &mut Call, status_: u16, hash: usize, length: u64, sealed_: usize) {
        if let Call::StoreK8sResponse {
            status,
            envelope_hash,
            envelope_len,
            sealed,
            ..
        } = call
        {
            *status = status_;
            *envelope_hash = HexBytes(vec![1; hash]);
            *envelope_len = length;
            *sealed = ByteString(vec![1; sealed_]);
        }
    }
    const LONGEST: u64 = 256 * 1_024 * 1_024;
    let cases: [(Edit, bool); 15] = [
        (|c| edit(c, 200, 32, 1, 0), true),
        (|c| edit(c, 599, 32, LONGEST, 16_000), true),
        (|c| edit(c, 504, 32, 2, 1), true),
        (|c| edit(c, 199, 32, 2, 0), false),
        (|c| edit(c, 0, 32, 2, 0), false),
        (|c| edit(c, 101, 32, 2, 0), false),
        (|c| edit(c, 600, 32, 2, 0), false),
        (|c| edit(c, u16::MAX, 32, 2, 0), false),
        (|c| edit(c, 200, 31, 2, 0), false),
        (|c| edit(c, 200, 33, 2, 0), false),
        (|c| edit(c, 200, 0, 2, 0), false),
        (|c| edit(c, 200, 32, 0, 0), false),
        (|c| edit(c, 200, 32, LONGEST + 1, 0), false),
        (|c| edit(c, 200, 32, u64::MAX, 0), false),
        (|c| edit(c, 200, 32, 2, 16_001), false),
    ];
    for (n, (edit, passes)) in cases.into_iter().enumerate() {
        let mut w = admitted();
        let mut call = w.answer(1, 200);
        edit(&mut call);
        w.sign(&mut call);
        let code = w.code(w.stranger, &call);
        let expected = (!passes).then_some(Code::MalformedResponse);
        assert_eq!(code, expected, "{n}");
    }
    // Sealed inline only if there is a key to seal to: else it would stand there in the clear.
    let mut w = World::new();
    w.admit(w.list_pods(1));
    let mut call = w.answer(1, 200);
    edit(&mut call, 200, 32, 2, 1);
    w.signed_refused(call, Code::MalformedResponse);
}

#[test]
fn who_may_answer() {
    let mut w = admitted();
    let assigned = w.request(&request_id(1)).unwrap().executor;
    let other = other_executor(&w, 1);
    // The other executor with its own signature, and with the assigned one's name.
    let mut call = w.answer(1, 200);
    if let Call::StoreK8sResponse { executor, .. } = &mut call {
        *executor = other;
    }
    w.signed_refused(call.clone(), Code::NotAssigned);
    w.sign(&mut call);
    if let Call::StoreK8sResponse { executor, .. } = &mut call {
        *executor = assigned;
    }
    w.refused(w.stranger, call, Code::InvalidSignature);
    // Signatures of every length.
    for length in [0, 63, 64, 65] {
        let mut call = w.answer(1, 200);
        if let Call::StoreK8sResponse { signature, .. } = &mut call {
            *signature = HexBytes(vec![0; length]);
        }
        w.refused(w.stranger, call, Code::InvalidSignature);
    }
    // A signature over any other field is none.
    let mut signed = w.answer(1, 200);
    w.sign(&mut signed);
    let alter: [fn(&mut Call); 5] = [
        |c| {
            if let Call::StoreK8sResponse { status, .. } = c {
                *status = 201;
            }
        },
        |c| {
            if let Call::StoreK8sResponse { envelope_hash, .. } = c {
                envelope_hash.0[0] ^= 1;
            }
        },
        |c| {
            if let Call::StoreK8sResponse { envelope_len, .. } = c {
                *envelope_len += 1;
            }
        },
        |c| {
            if let Call::StoreK8sResponse { sealed, .. } = c {
                sealed.0.push(1);
            }
        },
        |c| {
            if let Call::StoreK8sResponse { time_ms, .. } = c {
                *time_ms += 1;
            }
        },
    ];
    for alter in alter {
        let mut call = signed.clone();
        alter(&mut call);
        w.refused(w.stranger, call, Code::InvalidSignature);
    }
    // Eligible when it answers, not only when it was assigned.
    w.edit_cluster(|c| c.policy.min_executor_stake = 5 * MIST_PER_SUI + 1);
    w.refused(w.stranger, signed.clone(), Code::ExecutorNotEligible);
    w.edit_cluster(|c| c.policy.min_executor_stake = 0);
    w.set_active(assigned, false);
    w.refused(w.stranger, signed.clone(), Code::ExecutorNotEligible);
    w.set_active(assigned, true);
    // Under another cluster's name it is nobody's.
    let mut call = signed.clone();
    if let Call::StoreK8sResponse { cluster, .. } = &mut call {
        *cluster = ClusterId::ZERO;
    }
    assert_eq!(
        w.call(w.stranger, &call),
        Err(Abort::MissingObject(ClusterId::ZERO.into()))
    );
    w.ok(w.stranger, signed);
}

#[test]
fn a_token_of_another_cluster_holds_nothing() {
    let mut w = admitted();
    let mut call = w.answer(1, 200);
    w.create_cluster(k3s_daas::types::ClusterPolicy::default());
    if let Call::StoreK8sResponse { cluster, .. } = &mut call {
        *cluster = w.cluster;
    }
    w.signed_refused(call, Code::UnknownRequest);
}

#[test]
fn ids_that_are_none_are_unknown() {
    let mut w = admitted();
    for id in [
        ByteString::default(),
        ByteString(vec![0xff; 36]),
        ByteString::from(request_id(1).to_string().to_uppercase()),
        request_id(2),
    ] {
        for mut call in [w.answer(1, 200), w.release(1), w.claim(1, w.executors[0])] {
            *named(&mut call) = id.clone();
            w.signed_refused(call, Code::UnknownRequest);
        }
    }
}

#[test]
fn late_answers_are_accepted_until_pruned() {
    let mut w = admitted();
    // Never answered: the longest TTL after the deadline.
    let prunable = START + MINUTE + 24 * HOUR;
    let prune = Call::PruneResponses {
        token: w.token,
        request_ids: vec![request_id(1)],
    };
    w.now = prunable - 1;
    w.refused(w.stranger, prune.clone(), Code::NotPrunable);
    w.signed_ok(w.answer(1, 201));
    let record = w.request(&request_id(1)).unwrap().record().unwrap().clone();
    // From when it was answered, by its own priority.
    assert_eq!(record.expires_at_ms, prunable - 1 + HOUR);
    w.now = record.expires_at_ms - 1;
    w.refused(w.stranger, prune.clone(), Code::NotPrunable);
    w.now += 1;
    w.ok(w.stranger, prune);

    let mut w = admitted();
    w.now = prunable;
    let call = w.answer(1, 201);
    w.ok(
        w.stranger,
        Call::PruneResponses {
            token: w.token,
            request_ids: vec![request_id(1)],
        },
    );
    assert_eq!(w.token().unanswered, 0);
    w.signed_refused(call, Code::UnknownRequest);
}

/// What was fixed when the request came does not move with the policy.
#[test]
fn the_time_of_pruning_is_fixed_when_submitted() {
    let mut w = admitted();
    w.edit_cluster(|c| c.policy.response_ttl_ms = vec![0; 4]);
    w.now = START + MINUTE + 24 * HOUR - 1;
    w.refused(
        w.stranger,
        Call::PruneResponses {
            token: w.token,
            request_ids: vec![request_id(1)],
        },
        Code::NotPrunable,
    );
}

#[test]
fn answers_are_kept_by_priority() {
    for (priority, ttl) in [(1, 10 * MINUTE), (2, HOUR), (3, 6 * HOUR), (4, 24 * HOUR)] {
        let mut w = World::new();
        let mut request = w.list_pods(1);
        request.priority = priority;
        w.admit(request);
        w.now = START + 5;
        w.signed_ok(w.answer(1, 200));
        let record = w.request(&request_id(1)).unwrap().record().unwrap().clone();
        // From the deadline, which is later than the answer.
        assert_eq!(record.expires_at_ms, START + MINUTE + ttl);
    }
}

#[test]
fn pruning() {
    let mut w = admitted();
    w.admit(w.list_pods(2));
    w.signed_ok(w.answer(2, 200));
    w.now = START + MINUTE + HOUR;
    // One of two may not be pruned yet: neither is.
    let both = Call::PruneResponses {
        token: w.token,
        request_ids: vec![request_id(2), request_id(1)],
    };
    w.refused(w.stranger, both, Code::NotPrunable);
    // Unknown, malformed and repeated ones are passed over.
    let call = Call::PruneResponses {
        token: w.token,
        request_ids: vec![
            request_id(9),
            "garbage".into(),
            request_id(2),
            request_id(2),
        ],
    };
    let effects = w.ok(w.stranger, call.clone());
    let [Event::ResponsesPruned(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!(e.request_ids, [request_id(2)]);
    assert_eq!(e.pruned_by, w.stranger);
    assert_eq!(w.token().unanswered, 1, "only the unanswered one counts");
    assert!(w.ok(w.stranger, call).events.is_empty());
    // 512 at once.
    let many = |n: u64, w: &World| Call::PruneResponses {
        token: w.token,
        request_ids: (100..100 + n).map(request_id).collect(),
    };
    w.ok(w.stranger, many(512, &w));
    w.refused(w.stranger, many(513, &w), Code::LimitExceeded);
    // On a revoked, expired token of an older version too.
    w.edit_token(|t| (t.revoked, t.version, t.expires_at_ms) = (true, 0, 0));
    w.edit_cluster(|c| c.version = 0);
    w.now = START + MINUTE + 24 * HOUR;
    let effects = w.ok(
        w.stranger,
        Call::PruneResponses {
            token: w.token,
            request_ids: vec![request_id(1)],
        },
    );
    assert_eq!(effects.events.len(), 1);
}

#[test]
fn a_read_is_claimed_after_its_lease() {
    let mut w = World::new();
    let first = w.admit(w.list_pods(1));
    let other = other_executor(&w, 1);
    w.now = START + 9_999;
    w.signed_refused(w.claim(1, other), Code::LeaseRunning);
    w.signed_refused(w.claim(1, first), Code::LeaseRunning);
    w.now = START + 10_000;
    let effects = w.signed_ok(w.claim(1, other));
    let [Event::K8sRequestClaimed(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.executor, e.epoch), (other, 1));
    assert_eq!((e.lease_ends_ms, e.timestamp_ms), (START + 20_000, w.now));
    // Who had it before can no longer answer.
    let mut late = w.answer(1, 200);
    if let Call::StoreK8sResponse {
        executor, epoch, ..
    } = &mut late
    {
        (*executor, *epoch) = (first, 0);
    }
    w.signed_refused(late, Code::NotAssigned);
    // Again after its lease, by the same one; not a third time.
    w.signed_refused(w.claim(1, other), Code::LeaseRunning);
    w.now = START + 20_000;
    w.signed_ok(w.claim(1, other));
    w.now = START + 30_000;
    w.signed_refused(w.claim(1, first), Code::TooManyClaims);
    // A claimed read may be answered with anything, and be released.
    w.signed_ok(w.release(1));
    assert_eq!(w.request(&request_id(1)).unwrap().executor, first);
    w.signed_ok(w.answer(1, 200));
}

#[test]
fn a_read_is_not_claimed_after_its_deadline() {
    let mut w = World::new();
    w.admit(w.list_pods(1));
    w.now = START + MINUTE;
    w.signed_refused(w.claim(1, w.executors[0]), Code::DeadlineOver);
    w.now -= 1;
    w.signed_ok(w.claim(1, w.executors[0]));
}

#[test]
fn a_write_is_claimed_to_say_that_nobody_knows() {
    let mut w = admitted();
    let first = w.request(&request_id(1)).unwrap().executor;
    let other = other_executor(&w, 1);
    // The policy's lease is over, the deadline is not.
    w.now = START + MINUTE - 1;
    w.signed_refused(w.claim(1, other), Code::LeaseRunning);
    w.now = START + MINUTE;
    w.signed_ok(w.claim(1, other));
    assert_eq!(
        w.request(&request_id(1)).unwrap().lease_ends_ms,
        START + MINUTE + 10_000
    );
    for status in [200, 201, 409, 500, 503, 505] {
        w.signed_refused(w.answer(1, status), Code::ClaimedWrite);
    }
    w.signed_refused(w.release(1), Code::ClaimedWrite);
    // Not even by the one that first had it, after claiming it back.
    w.now += 10_000;
    w.signed_ok(w.claim(1, first));
    w.signed_refused(w.answer(1, 201), Code::ClaimedWrite);
    w.now += 10_000;
    w.signed_refused(w.claim(1, first), Code::TooManyClaims);
    w.signed_ok(w.answer(1, 504));
    assert_eq!(
        w.request(&request_id(1))
            .unwrap()
            .record()
            .unwrap()
            .status_code,
        504
    );
}

/// The signature of a claim is over the new epoch: it counts once.
#[test]
fn a_claim_does_not_replay() {
    let mut w = World::new();
    w.admit(w.list_pods(1));
    w.now = START + 10_000;
    let mut claim = w.claim(1, w.executors[0]);
    w.sign(&mut claim);
    w.ok(w.stranger, claim.clone());
    w.now = START + 20_000;
    w.refused(w.stranger, claim, Code::InvalidSignature);
    // Nor is a release a claim.
    let mut release = w.release(1);
    w.sign(&mut release);
    let Call::ReleaseRequest { signature, .. } = release else {
        panic!()
    };
    let mut claim = w.claim(1, w.executors[0]);
    if let Call::ClaimRequest { signature: s, .. } = &mut claim {
        *s = signature;
    }
    w.refused(w.stranger, claim, Code::InvalidSignature);
}

#[test]
fn a_released_write_may_be_executed_by_the_next() {
    let mut w = admitted();
    let first = w.request(&request_id(1)).unwrap().executor;
    let other = other_executor(&w, 1);
    let mut release = w.release(1);
    w.sign(&mut release);
    w.now = START + 7;
    let effects = w.ok(w.stranger, release.clone());
    let [Event::K8sRequestReleased(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.released_by, e.executor, e.epoch), (first, other, 1));
    assert_eq!((e.lease_ends_ms, e.timestamp_ms), (START + MINUTE, w.now));
    w.refused(w.stranger, release, Code::NotAssigned);
    w.signed_ok(w.answer(1, 201));

    // Alone, it gets the request back.
    let mut w = admitted();
    let first = w.request(&request_id(1)).unwrap().executor;
    w.set_active(other_executor(&w, 1), false);
    w.signed_ok(w.release(1));
    let held = w.request(&request_id(1)).unwrap();
    assert_eq!((held.executor, held.epoch), (first, 1));
    w.signed_ok(w.release(1));
    assert_eq!(w.request(&request_id(1)).unwrap().epoch, 2);
}

/// A released read has a new lease, and it is the policy's of that moment.
#[test]
fn leases_follow_the_policy_of_the_moment() {
    let mut w = World::new();
    w.admit(w.list_pods(1));
    w.edit_cluster(|c| c.policy.lease_ms = 2_000);
    assert_eq!(
        w.request(&request_id(1)).unwrap().lease_ends_ms,
        START + 10_000,
        "one that runs stays"
    );
    w.now = START + 500;
    w.signed_ok(w.release(1));
    let held = w.request(&request_id(1)).unwrap();
    assert_eq!(held.lease_ends_ms, START + 2_500);
    assert_eq!(held.assigned_at_ms, START + 500);
}

/// The way into a container is no read, whatever its method: no lease but its deadline.
#[test]
fn an_exec_is_leased_like_a_write() {
    let mut w = World::new();
    let mut request = w.list_pods(1);
    request.path = "/api/v1/namespaces/default/pods/web/exec".into();
    request.query = Content::hashed([1; 32], 10);
    w.admit(request);
    let held = w.request(&request_id(1)).unwrap();
    assert!(!held.is_read);
    assert_eq!(held.lease_ends_ms, START + MINUTE);
}
