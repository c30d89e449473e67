//! Following a ledger: what the state does with events, whoever's they are.

use k3s_daas::contract::{Call, State};
use k3s_daas::types::{MIST_PER_SUI, RequestId, TokenId};
use k3s_daas::wire::{Event, K8sApiRequest, SealTokenIssued};

use super::world::{START, World, request_id};

/// A world in which most things happened once.
fn eventful() -> World {
    let mut w = World::new();
    let (cluster, token, executor) = (w.cluster, w.token, w.executors[0]);
    w.admit(w.create_pod(1));
    w.admit(w.list_pods(2));
    w.signed_ok(w.release(1));
    w.signed_ok(w.answer(1, 201));
    w.now = START + 10_000;
    w.signed_ok(w.claim(2, executor));
    w.signed_ok(w.answer(2, 200));
    let (owner, operator) = (w.owner, w.operator);
    for (sender, call) in [
        (
            owner,
            Call::Unstake {
                cluster,
                token,
                amount: MIST_PER_SUI,
            },
        ),
        (
            operator,
            Call::UnstakeExecutor {
                cluster,
                executor,
                amount: MIST_PER_SUI,
            },
        ),
    ] {
        w.ok(sender, call);
    }
    w.now = START + 100 * 24 * 3_600_000 - 1;
    w.ok(owner, Call::WithdrawStake { token });
    w.ok(operator, Call::WithdrawExecutorStake { executor });
    w.ok(
        owner,
        Call::PruneResponses {
            token,
            request_ids: vec![request_id(1)],
        },
    );
    w
}

#[test]
fn events_alone_give_the_state() {
    let w = eventful();
    let mut follower = State::untracked();
    for event in &w.events {
        follower.evolve(event);
    }
    assert_eq!(follower, w.state);
    assert_ne!(follower, State::default());
    // Who follows later, from a state that is kept elsewhere, ends up the same.
    for cut in 0..w.events.len() {
        let mut first = State::default();
        for event in &w.events[..cut] {
            first.evolve(event);
        }
        let mut second = first.clone();
        for event in &w.events[cut..] {
            second.evolve(event);
        }
        assert_eq!(second, w.state);
    }
}

/// In any order, any number of times: nonsense, but no panic.
#[test]
fn events_that_no_contract_emits_do_not_panic() {
    let w = eventful();
    let mut state = State::default();
    let mut next = 1_u64;
    for _ in 0..20_000 {
        next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let index = usize::try_from((next >> 33) % w.events.len() as u64).unwrap();
        state.evolve(&w.events[index]);
    }
    for event in &w.events {
        for _ in 0..300 {
            state.evolve(event);
        }
    }
    for token in state.tokens() {
        let _ = token.stake_total();
    }
}

/// A follower of one cluster may be given everybody's events.
#[test]
fn events_about_unknown_objects_change_nothing() {
    let w = eventful();
    let mut state = State::default();
    for event in &w.events {
        if !matches!(event, Event::ClusterCreated(_)) {
            state.evolve(event);
        }
    }
    assert_eq!(state, State::default());
    let mut state = w.state.clone();
    let issued = w.events.iter().find_map(|event| match event {
        Event::SealTokenIssued(e) => Some(e.clone()),
        _ => None,
    });
    state.evolve(
        &SealTokenIssued {
            cluster: k3s_daas::types::ClusterId::ZERO,
            token: TokenId::ZERO,
            ..issued.unwrap()
        }
        .into(),
    );
    let admitted = w.events.iter().find_map(|event| match event {
        Event::K8sApiRequest(e) => Some(e.clone()),
        _ => None,
    });
    let admitted = admitted.unwrap();
    state.evolve(
        &K8sApiRequest {
            seal_token_id: TokenId::ZERO,
            ..admitted.clone()
        }
        .into(),
    );
    state.evolve(
        &K8sApiRequest {
            request_id: "no ID".into(),
            ..admitted
        }
        .into(),
    );
    assert_eq!(state, w.state);
}

#[test]
fn what_changed_is_noted_or_not() {
    let mut w = World::new();
    w.state.take_touched();
    let nothing = w.state.take_touched();
    assert_eq!(nothing, k3s_daas::contract::Touched::default());
    w.admit(w.list_pods(1));
    let touched = w.state.take_touched();
    let id = RequestId::from_bytes(&request_id(1)).unwrap();
    assert_eq!(
        touched.requests.iter().collect::<Vec<_>>(),
        [&(w.token, id)]
    );
    assert_eq!(touched.tokens.iter().collect::<Vec<_>>(), [&w.token]);
    assert!(touched.clusters.is_empty() && touched.executors.is_empty());
    // A refusal touches nothing.
    let call = w.try_execute(w.list_pods(1));
    w.ok(w.owner, call);
    assert_eq!(w.state.take_touched(), nothing);

    let mut follower = State::untracked();
    for event in &w.events {
        follower.evolve(event);
    }
    assert_eq!(follower.take_touched(), nothing);
    assert_eq!(follower, w.state, "and it makes no difference");
}

#[test]
fn requests_of_a_token_are_all_of_its_requests() {
    let mut w = World::new();
    let ends = [
        "00000000-0000-7000-8000-000000000000",
        "ffffffff-ffff-7fff-bfff-ffffffffffff",
    ];
    for id in ends {
        let mut request = w.list_pods(0);
        request.request_id = id.into();
        w.admit(request);
    }
    let mine: Vec<String> = w
        .state
        .requests(w.token)
        .map(|(id, _)| id.to_string())
        .collect();
    assert_eq!(mine, ends);
    let first = w.token;
    w.issue(vec![super::world::pods_rule()]);
    w.admit(w.list_pods(1));
    assert_eq!(w.state.requests(w.token).count(), 1);
    assert_eq!(w.state.requests(first).count(), 2);
    assert_eq!(w.state.all_requests().count(), 3);
}
