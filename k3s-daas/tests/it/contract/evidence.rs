//! What the chain can verify by itself: equivocations and anchors.

use k3s_daas::contract::{Abort, Call, Code};
use k3s_daas::crypto::Signature;
use k3s_daas::types::{Address, Digest, ExecutorId, HexBytes, MIST_PER_SUI, TokenId};
use k3s_daas::wire::{AnchorMessage, AnswerMessage, Event, SignedAnswer};

use super::order::{Case, assert_order};
use super::world::{START, World, request_id};

const SUI: u64 = MIST_PER_SUI;

fn answer(status: u16) -> AnswerMessage {
    AnswerMessage {
        request_id: request_id(1),
        digest: Digest::new([1; 32]),
        epoch: 0,
        status,
        envelope_hash: HexBytes(vec![2; 32]),
        envelope_len: 10,
        sealed_hash: HexBytes::default(),
        time_ms: START,
    }
}

fn with(edit: fn(&mut AnswerMessage)) -> AnswerMessage {
    let mut message = answer(200);
    edit(&mut message);
    message
}

fn slash(w: &World, first: SignedAnswer, second: SignedAnswer) -> Call {
    Call::SlashEquivocation {
        cluster: w.cluster,
        executor: w.executors[0],
        token: w.token,
        first,
        second,
    }
}

fn equivocation(w: &World) -> Call {
    slash(
        w,
        w.signed_answer(0, answer(200)),
        w.signed_answer(0, answer(201)),
    )
}

#[test]
fn the_order_of_checks_of_slashing() {
    assert_order(
        || {
            let w = World::new();
            let (call, stranger) = (equivocation(&w), w.stranger);
            Case::new(w, stranger, call)
        },
        &[
            (Code::WrongVersion, |c| {
                c.world.edit_cluster(|cluster| cluster.version = 0);
            }),
            (Code::ExecutorNotEligible, |c| {
                c.world
                    .edit_executor(0, |e| e.cluster = k3s_daas::types::ClusterId::ZERO);
            }),
            (Code::NotEquivocation, |c| {
                if let Call::SlashEquivocation { first, .. } = &mut c.call {
                    first.signature = Signature::new([0; 64]);
                }
            }),
            (Code::LimitExceeded, |c| {
                c.world.edit_cluster(|cluster| cluster.insurance = u64::MAX);
            }),
        ],
    );
}

/// Bonded and unbonding stake go; a tenth, rounded down, to who proved it.
#[test]
fn all_stake_is_taken() {
    let mut w = World::new();
    let unstake = Call::UnstakeExecutor {
        cluster: w.cluster,
        executor: w.executors[0],
        amount: 2 * SUI,
    };
    w.ok(w.operator, unstake);
    w.ok(
        w.operator,
        Call::DepositExecutorStake {
            cluster: w.cluster,
            executor: w.executors[0],
            amount: 19,
        },
    );
    let call = equivocation(&w);
    let effects = w.ok(w.stranger, call.clone());
    let (all, tenth) = (5 * SUI + 19, SUI / 2 + 1);
    assert_eq!(effects.credits, vec![(w.stranger, tenth)]);
    let [Event::ExecutorSlashed(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.reward, e.insured), (tenth, all - tenth));
    assert_eq!((e.presenter, e.token), (w.stranger, w.token));
    assert_eq!((e.request_id.clone(), e.epoch), (request_id(1), 0));
    let executor = w.executor(0);
    assert!(executor.slashed && executor.unbondings.is_empty());
    assert_eq!(executor.stake_total(), 0);
    let entry = w.cluster().executor(executor.id).unwrap();
    assert!(!entry.active && entry.stake == 0);
    assert_eq!(w.cluster().insurance, all - tenth);

    // Once. It gets no stake any more, no assignment, and its key never comes back.
    w.refused(w.stranger, call, Code::NotEquivocation);
    let (cap, cluster, executor) = (w.cap, w.cluster, w.executors[0]);
    let deposit = Call::DepositExecutorStake {
        cluster,
        executor,
        amount: SUI,
    };
    w.refused(w.operator, deposit, Code::ExecutorNotEligible);
    let activate = Call::ActivateExecutor {
        cap,
        cluster,
        executor,
    };
    w.refused(w.admin, activate, Code::ExecutorNotEligible);
    let key = super::world::signer("executor 0");
    let again = w.registration(&key);
    w.refused(w.admin, again.clone(), Code::DuplicateKey);
    w.ok(
        w.admin,
        Call::RemoveExecutor {
            cap,
            cluster,
            executor,
        },
    );
    w.refused(w.admin, again, Code::DuplicateKey);
    w.now += 30 * 24 * 3_600_000;
    let withdraw = Call::WithdrawExecutorStake { executor };
    w.refused(w.operator, withdraw, Code::StillUnbonding);

    // The insurance is the admin's to withdraw, once.
    let take = |amount| Call::WithdrawInsurance {
        cap,
        cluster,
        amount,
    };
    w.refused(w.admin, take(all - tenth + 1), Code::InsufficientStake);
    let effects = w.ok(w.admin, take(all - tenth));
    assert_eq!(effects.credits, vec![(w.admin, all - tenth)]);
    w.refused(w.admin, take(1), Code::InsufficientStake);
}

#[test]
fn a_slashed_executor_without_stake_pays_nothing() {
    for (stake, reward) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2)] {
        let mut w = World::new();
        w.edit_executor(0, |e| e.bonded = stake);
        let effects = w.ok(w.stranger, equivocation(&w));
        let credits = effects
            .credits
            .iter()
            .map(|(_, amount)| amount)
            .sum::<u64>();
        assert_eq!(credits, reward);
        assert_eq!(w.cluster().insurance, stake - reward);
    }
}

/// Registered again under its key after it was removed, it is no more honest there.
#[test]
fn a_slashed_key_is_inactive_wherever_it_stands() {
    let mut w = World::new();
    let (cap, cluster, executor) = (w.cap, w.cluster, w.executors[0]);
    for call in [
        Call::DeactivateExecutor {
            cap,
            cluster,
            executor,
        },
        Call::RemoveExecutor {
            cap,
            cluster,
            executor,
        },
    ] {
        w.ok(w.admin, call);
    }
    let again = w.register("executor 0");
    assert_ne!(again, executor);
    w.ok(w.stranger, equivocation(&w));
    assert!(!w.cluster().executor(again).unwrap().active);
    assert!(w.cluster().executor(w.executors[1]).unwrap().active);
}

#[test]
fn what_is_no_equivocation() {
    let mut w = World::new();
    w.edit_executor(1, |_| {});
    let base = answer(200);
    let same: [fn(&mut AnswerMessage); 4] = [
        |_| {},
        // Time, sealed bytes and with them the signature may differ.
        |m| m.time_ms += 1,
        |m| m.sealed_hash = HexBytes(vec![1; 32]),
        |m| (m.time_ms, m.sealed_hash) = (0, HexBytes(vec![2; 32])),
    ];
    for edit in same {
        let mut other = base.clone();
        edit(&mut other);
        let call = slash(
            &w,
            w.signed_answer(0, base.clone()),
            w.signed_answer(0, other),
        );
        w.refused(w.stranger, call, Code::NotEquivocation);
    }
    // Another request, digest or epoch is another answer.
    let others: [fn(&mut AnswerMessage); 3] = [
        |m| m.request_id = request_id(2),
        |m| m.digest = Digest::new([9; 32]),
        |m| m.epoch = 1,
    ];
    for edit in others {
        let mut other = answer(500);
        edit(&mut other);
        let call = slash(
            &w,
            w.signed_answer(0, base.clone()),
            w.signed_answer(0, other),
        );
        w.refused(w.stranger, call, Code::NotEquivocation);
    }
    // Two executors that disagree, and the wrong one accused.
    let call = slash(
        &w,
        w.signed_answer(0, answer(200)),
        w.signed_answer(1, answer(201)),
    );
    w.refused(w.stranger, call, Code::NotEquivocation);
    let call = slash(
        &w,
        w.signed_answer(1, answer(200)),
        w.signed_answer(1, answer(201)),
    );
    w.refused(w.stranger, call, Code::NotEquivocation);
    // Signed for another token.
    let mut call = equivocation(&w);
    if let Call::SlashEquivocation { token, .. } = &mut call {
        *token = TokenId::ZERO;
    }
    w.refused(w.stranger, call, Code::NotEquivocation);
    // One signature twice.
    let mut call = equivocation(&w);
    if let Call::SlashEquivocation { first, second, .. } = &mut call {
        second.signature = first.signature;
    }
    w.refused(w.stranger, call, Code::NotEquivocation);
    let call = equivocation(&w);
    let Call::SlashEquivocation {
        cluster,
        token,
        first,
        second,
        ..
    } = call
    else {
        panic!()
    };
    let call = Call::SlashEquivocation {
        cluster,
        executor: ExecutorId::ZERO,
        token,
        first,
        second,
    };
    assert_eq!(
        w.call(w.stranger, &call),
        Err(Abort::MissingObject(Address::ZERO))
    );
}

#[test]
fn each_part_of_an_outcome_makes_a_difference() {
    let edits: [fn(&mut AnswerMessage); 3] = [
        |m| m.status = 201,
        |m| m.envelope_hash.0[31] ^= 1,
        |m| m.envelope_len += 1,
    ];
    for edit in edits {
        let mut w = World::new();
        let mut other = answer(200);
        edit(&mut other);
        let call = slash(
            &w,
            w.signed_answer(0, answer(200)),
            w.signed_answer(0, other),
        );
        w.ok(w.stranger, call);
    }
}

/// What no ledger would record is no answer, so whoever signed it contradicts nothing.
#[test]
fn an_answer_that_is_never_recorded_is_no_evidence() {
    const MOST: u64 = 256 * 1_024 * 1_024;
    let cases: [(bool, AnswerMessage); 10] = [
        (false, with(|m| m.status = 199)),
        (true, with(|m| m.status = 201)),
        (true, with(|m| m.status = 599)),
        (false, with(|m| m.status = 600)),
        (false, with(|m| m.envelope_hash.0.truncate(31))),
        (false, with(|m| m.envelope_hash.0.push(2))),
        (false, with(|m| m.envelope_len = 0)),
        (true, with(|m| m.envelope_len = 1)),
        (true, with(|m| m.envelope_len = MOST)),
        (false, with(|m| m.envelope_len = MOST + 1)),
    ];
    for (is_answer, other) in cases {
        for is_first in [true, false] {
            let mut w = World::new();
            let (mut first, mut second) = (answer(200), other.clone());
            if is_first {
                std::mem::swap(&mut first, &mut second);
            }
            let call = slash(&w, w.signed_answer(0, first), w.signed_answer(0, second));
            let code = (!is_answer).then_some(Code::NotEquivocation);
            assert_eq!(w.code(w.stranger, &call), code, "{other:?} {is_first}");
            assert_eq!(w.executor(0).slashed, is_answer);
        }
    }
}

/// An answer that the ledger took, and another that it did not.
#[test]
fn a_recorded_answer_is_evidence() {
    let mut w = World::new();
    let executor = w.admit(w.create_pod(1));
    let index = w.executors.iter().position(|id| *id == executor).unwrap();
    w.signed_ok(w.answer(1, 201));
    let Some(Event::K8sRequestProcessed(e)) = w.events.last().cloned() else {
        panic!()
    };
    let recorded = AnswerMessage {
        request_id: e.request_id,
        digest: e.digest,
        epoch: e.epoch,
        status: e.status_code,
        envelope_hash: e.envelope_hash,
        envelope_len: e.envelope_len,
        sealed_hash: e.sealed_hash,
        time_ms: e.time_ms,
    };
    let mut shown = recorded.clone();
    shown.status = 403;
    let call = Call::SlashEquivocation {
        cluster: w.cluster,
        executor,
        token: w.token,
        first: SignedAnswer {
            message: recorded,
            signature: e.signature,
        },
        second: w.signed_answer(index, shown),
    };
    w.ok(w.owner, call);
}

fn anchor(w: &World, executor: usize, first: u64, last: u64) -> Call {
    let state = w.executor(executor);
    Call::AnchorReads {
        cluster: w.cluster,
        executor: state.id,
        message: AnchorMessage {
            executor: state.id,
            previous_root: state.anchored_root,
            root: Digest::new([u8::try_from(last % 251).unwrap() + 1; 32]),
            first,
            last,
            count: last.wrapping_sub(first).wrapping_add(1),
        },
        signature: HexBytes::default(),
    }
}

fn message(call: &mut Call) -> &mut AnchorMessage {
    match call {
        Call::AnchorReads { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_order_of_checks_of_an_anchor() {
    assert_order(
        || {
            let w = World::new();
            let (call, stranger) = (anchor(&w, 0, 1, 5), w.stranger);
            Case::new(w, stranger, call)
        },
        &[
            (Code::WrongVersion, |c| {
                c.world.edit_cluster(|cluster| cluster.version = 0);
            }),
            (Code::ExecutorNotEligible, |c| {
                let id = c.world.executors[0];
                c.world.set_active(id, false);
            }),
            (Code::InvalidSignature, |c| c.forged = true),
            (Code::AnchorGap, |c| message(&mut c.call).first += 1),
        ],
    );
}

#[test]
fn anchors_follow_each_other() {
    let mut w = World::new();
    w.signed_refused(anchor(&w, 0, 0, 5), Code::AnchorGap);
    w.signed_refused(anchor(&w, 0, 2, 5), Code::AnchorGap);
    let first = anchor(&w, 0, 1, 5);
    let effects = w.signed_ok(first.clone());
    let [Event::ReadsAnchored(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.first, e.last, e.count), (1, 5, 5));
    assert_eq!(
        (e.previous_root, e.root),
        (Digest::ZERO, Digest::new([6; 32]))
    );
    w.signed_refused(first, Code::AnchorGap);
    w.signed_refused(anchor(&w, 0, 5, 6), Code::AnchorGap);
    w.signed_refused(anchor(&w, 0, 7, 8), Code::AnchorGap);
    // Not backwards, not of nothing, not with another count or root before.
    w.signed_refused(anchor(&w, 0, 6, 5), Code::AnchorGap);
    for edit in [
        (|m| m.count += 1) as fn(&mut AnchorMessage),
        |m| m.count = 0,
        |m| m.previous_root = Digest::ZERO,
    ] {
        let mut call = anchor(&w, 0, 6, 6);
        edit(message(&mut call));
        w.signed_refused(call, Code::AnchorGap);
    }
    // Signed as another's: the contract builds the message of the executor at hand.
    let mut call = anchor(&w, 0, 6, 6);
    message(&mut call).executor = ExecutorId::ZERO;
    w.signed_refused(call, Code::InvalidSignature);
    w.signed_ok(anchor(&w, 0, 6, 6));
    // The other executor has a row of its own.
    w.signed_ok(anchor(&w, 1, 1, 1));
    // At the end of 64 bits it is over, without a panic.
    w.signed_ok(anchor(&w, 0, 7, u64::MAX));
    w.signed_refused(anchor(&w, 0, 0, 0), Code::AnchorGap);
    w.signed_refused(anchor(&w, 0, 0, u64::MAX), Code::AnchorGap);
}

/// The whole range of 64 bits has one number more than 64 bits count.
#[test]
fn an_anchor_of_everything() {
    let mut w = World::new();
    let mut call = anchor(&w, 0, 0, u64::MAX);
    message(&mut call).count = 0;
    w.signed_refused(call, Code::AnchorGap);
    w.signed_ok(anchor(&w, 0, 1, u64::MAX));
}

/// A key that was registered again does not inherit what it anchored before.
#[test]
fn anchors_do_not_replay_for_the_next_of_the_same_key() {
    let mut w = World::new();
    let mut old = anchor(&w, 0, 1, 5);
    w.sign(&mut old);
    w.ok(w.stranger, old.clone());
    let (cap, cluster, executor) = (w.cap, w.cluster, w.executors[0]);
    for call in [
        Call::DeactivateExecutor {
            cap,
            cluster,
            executor,
        },
        Call::RemoveExecutor {
            cap,
            cluster,
            executor,
        },
    ] {
        w.ok(w.admin, call);
    }
    w.refused(w.stranger, old.clone(), Code::ExecutorNotEligible);
    let again = w.register("executor 0");
    if let Call::AnchorReads { executor, .. } = &mut old {
        *executor = again;
    }
    w.refused(w.stranger, old, Code::InvalidSignature);
}
