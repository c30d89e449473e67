//! What admits a request and what refuses it.

use k3s_daas::contract::{
    Asker, Call, Code, Object, assign, check_request, derive_target, request_digest,
};
use k3s_daas::crypto::blake2b256;
use k3s_daas::types::{Address, ByteString, Digest, HexBytes, MIST_PER_SUI, RequestId};
use k3s_daas::wire::{Content, Deployment, Event, K8sApiRequest, RequestMessage};

use super::order::{Break, Case, assert_order};
use super::world::{EXPIRY, START, World, pods_rule, request_id};

fn message(call: &mut Call) -> &mut RequestMessage {
    match call {
        Call::ExecuteKubectlCommandWithId { request, .. }
        | Call::TryExecuteKubectlCommandWithId { request, .. }
        | Call::ExecuteSignedCommand { request, .. }
        | Call::TryExecuteSignedCommand { request, .. }
        | Call::OpenSession { request, .. }
        | Call::OpenSignedSession { request, .. }
        | Call::RecordRefusal { request, .. } => request,
        other => panic!("{other:?}"),
    }
}

/// One break for every check of a request, in order.
const BREAKS: &[Break] = &[
    (Code::WrongVersion, |c| {
        c.world.edit_token(|t| t.version = 0)
    }),
    (Code::InvalidSealToken, |c| {
        c.world.edit_token(|t| t.revoked = true);
    }),
    (Code::NotTokenHolder, |c| {
        c.sender = c.world.stranger;
        c.forged = true;
    }),
    (Code::MethodNotAllowed, |c| {
        message(&mut c.call).method = "HEAD".into();
    }),
    (Code::MalformedRequest, |c| {
        message(&mut c.call).reply_key = HexBytes(vec![1; 31]);
    }),
    (Code::NoPermission, |c| {
        message(&mut c.call).path = "/api/v1/namespaces/default/secrets".into();
    }),
    (Code::InsufficientStake, |c| {
        c.world.edit_token(|t| t.bonded = MIST_PER_SUI - 1);
    }),
    (Code::DeadlinePassed, |c| {
        message(&mut c.call).deadline_ms = c.world.now;
    }),
    (Code::PayloadTooLarge, |c| {
        message(&mut c.call).payload = Content::sealed(vec![0; 16_001]);
    }),
    (Code::InvalidPriority, |c| {
        message(&mut c.call).priority = 5;
    }),
    (Code::DuplicateRequest, |c| {
        let (token, executor) = (c.world.token, c.world.executors[0]);
        let held = c.world.create_pod(99);
        let mut donor = World::new();
        donor.admit(held);
        let mut request = donor.request(&request_id(99)).unwrap().clone();
        request.executor = executor;
        let id = RequestId::from_bytes(&message(&mut c.call).request_id).unwrap();
        c.world.state.load(Object::Request(token, id, request));
    }),
    (Code::NoExecutor, |c| {
        for executor in c.world.executors.clone() {
            c.world.set_active(executor, false);
        }
    }),
    (Code::TooManyRequests, |c| {
        c.world.edit_token(|t| t.unanswered = 1_024);
    }),
];

fn by_sender(make: fn(&World, RequestMessage) -> Call) -> Case {
    let world = World::new();
    let call = make(&world, world.create_pod(1));
    let gateway = world.gateway;
    Case::new(world, gateway, call)
}

#[test]
fn the_order_of_checks_of_a_holder() {
    assert_order(|| by_sender(World::execute), BREAKS);
}

#[test]
fn the_order_of_checks_of_a_session_key() {
    assert_order(
        || {
            by_sender(|w, request| Call::ExecuteSignedCommand {
                cluster: w.cluster,
                token: w.token,
                request,
                public_key: HexBytes::default(),
                signature: HexBytes::default(),
            })
        },
        BREAKS,
    );
}

#[test]
fn the_order_of_checks_of_sessions() {
    assert_order(
        || {
            by_sender(|w, request| Call::OpenSession {
                cluster: w.cluster,
                token: w.token,
                request,
            })
        },
        BREAKS,
    );
    assert_order(
        || {
            by_sender(|w, request| Call::OpenSignedSession {
                cluster: w.cluster,
                token: w.token,
                request,
                public_key: HexBytes::default(),
                signature: HexBytes::default(),
            })
        },
        BREAKS,
    );
}

/// The twins emit what the others abort with, and the state stays as it is.
#[test]
fn twins_refuse_by_event() {
    let twins: [fn(&World, RequestMessage) -> Call; 3] = [
        World::try_execute,
        |w, request| Call::TryExecuteSignedCommand {
            cluster: w.cluster,
            token: w.token,
            request,
            public_key: HexBytes::default(),
            signature: HexBytes::default(),
        },
        |w, request| Call::RecordRefusal {
            cluster: w.cluster,
            token: w.token,
            request,
        },
    ];
    for twin in twins {
        for (code, break_it) in BREAKS {
            let mut case = by_sender(twin);
            break_it(&mut case);
            let (sender, token, cluster) = (case.sender, case.world.token, case.world.cluster);
            let deployment = Deployment {
                chain: case.world.chain,
                package: case.world.package,
            };
            let request = message(&mut case.call).clone();
            let before = case.world.state.clone();
            let emitted = case.world.events.len();
            let (world, outcome) = case.run();
            assert_eq!(outcome, None, "{code}");
            assert_eq!(world.state, before, "{code}");
            let [Event::K8sRequestRejected(e)] = &world.events[emitted..] else {
                panic!("{code}: {:?}", &world.events[emitted..]);
            };
            assert_eq!(e.code, code.number());
            assert_eq!(
                (e.cluster, e.token, e.submitted_by),
                (cluster, token, sender)
            );
            assert_eq!(e.request_id, request.request_id);
            assert_eq!(
                e.digest,
                request_digest(&deployment, cluster, token, &request)
            );
        }
    }
}

#[test]
fn a_twin_admits_like_the_other() {
    let mut plain = World::new();
    let mut twin = World::new();
    plain.ok(plain.gateway, plain.execute(plain.create_pod(1)));
    twin.ok(twin.gateway, twin.try_execute(twin.create_pod(1)));
    assert_eq!(plain.events, twin.events);
    assert_eq!(plain.state, twin.state);
}

#[test]
fn recording_a_refusal_never_admits() {
    let mut w = World::new();
    let call = Call::RecordRefusal {
        cluster: w.cluster,
        token: w.token,
        request: w.create_pod(1),
    };
    let before = w.state.clone();
    let effects = w.ok(w.gateway, call);
    assert!(effects.events.is_empty());
    assert_eq!(w.state, before);
    assert!(w.request(&request_id(1)).is_none());
}

#[test]
fn a_refusal_repeats_64_bytes_of_the_id_and_no_more() {
    let mut w = World::new();
    for length in [0, 63, 64, 65, 5_000] {
        let mut request = w.create_pod(1);
        request.request_id = ByteString(vec![b'x'; length]);
        let effects = w.ok(w.gateway, w.try_execute(request));
        let [Event::K8sRequestRejected(e)] = &effects.events[..] else {
            panic!()
        };
        assert_eq!(e.request_id.len(), length.min(64));
        assert_eq!(e.code, 5);
    }
}

#[test]
fn what_an_admitted_request_says() {
    let mut w = World::new();
    let mut request = w.create_pod(1);
    request.path = "/api/v1/namespaces/default/pods/web/exec".into();
    request.query = Content::hashed([4; 32], 8_192);
    let effects = w.ok(w.gateway, w.execute(request.clone()));
    let [Event::K8sApiRequest(e)] = &effects.events[..] else {
        panic!()
    };
    let executor = e.nautilus_endpoint;
    assert!(w.executors.contains(&executor));
    let deployment = Deployment {
        chain: w.chain,
        package: w.package,
    };
    let expected = K8sApiRequest {
        cluster: w.cluster,
        request_id: request_id(1),
        method: "POST".into(),
        path: request.path.clone(),
        query: request.query.clone(),
        header_names: request.header_names.clone(),
        header_values: request.header_values.clone(),
        payload: request.payload.clone(),
        reply_key: request.reply_key.clone(),
        priority: 2,
        deadline_ms: START + 60_000,
        credential_id: request.credential_id.clone(),
        digest: request_digest(&deployment, w.cluster, w.token, &request),
        session: false,
        api_group: "".into(),
        api_version: "v1".into(),
        namespace: "default".into(),
        resource_type: "pods".into(),
        subresource: "exec".into(),
        name: "web".into(),
        verb: "create".into(),
        is_read: false,
        seal_token_id: w.token,
        sequence: 1,
        requester: w.owner,
        submitted_by: w.gateway,
        nautilus_endpoint: executor,
        epoch: 0,
        lease_ends_ms: START + 60_000,
        prunable_at_ms: START + 60_000 + 24 * 3_600_000,
        timestamp_ms: START,
    };
    assert_eq!(*e, expected);
    assert_eq!((effects.debit, effects.credits.len()), (0, 0));
    let held = w.request(&request_id(1)).unwrap().clone();
    assert_eq!(held.digest, e.digest);
    assert_eq!((held.epoch, held.claims, held.outcome), (0, 0, None));
    assert!(held.has_reply_key && !held.is_read && !held.session);
    assert_eq!((w.token().sequence, w.token().unanswered), (1, 1));

    // A read's lease is the policy's.
    let effects = w.ok(w.owner, w.execute(w.list_pods(2)));
    let [Event::K8sApiRequest(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.sequence, e.lease_ends_ms), (2, START + 10_000));
    assert!(e.is_read);
    assert_eq!(e.verb, "list".into());
}

/// The digest covers the message and all of the intent, and nothing else.
#[test]
fn the_digest_is_of_the_signed_bytes() {
    let w = World::new();
    let deployment = Deployment {
        chain: w.chain,
        package: w.package,
    };
    let request = w.create_pod(1);
    let digest = request_digest(&deployment, w.cluster, w.token, &request);
    let mut bytes = vec![8];
    bytes.extend(b"k3s_daas");
    bytes.extend([1, 1]);
    bytes.extend(w.chain.as_bytes());
    bytes.extend(w.package.as_bytes());
    bytes.extend(w.cluster.as_bytes());
    bytes.extend(w.token.as_bytes());
    bytes.extend(bcs::to_bytes(&request).unwrap());
    assert_eq!(digest, blake2b256(&[&bytes]));
    let mut other = request.clone();
    other.credential_id = HexBytes::default();
    assert_ne!(
        digest,
        request_digest(&deployment, w.cluster, w.token, &other)
    );
}

#[test]
fn the_time_of_a_token() {
    for (now, valid) in [
        (START - 1, false),
        (START, true),
        (EXPIRY - 1, true),
        (EXPIRY, false),
        (u64::MAX, false),
        (0, false),
    ] {
        let mut w = World::new();
        w.now = now;
        let mut request = w.list_pods(1);
        request.deadline_ms = now.saturating_add(1_000);
        let code = w.code(w.owner, &w.execute(request));
        let expected = if valid {
            None
        } else {
            Some(Code::InvalidSealToken)
        };
        assert_eq!(code, expected, "{now}");
    }
}

#[test]
fn the_other_version_and_the_other_cluster() {
    let mut w = World::new();
    for version in [0, 2, u64::MAX] {
        let mut w = World::new();
        w.edit_cluster(|c| c.version = version);
        let call = w.execute(w.list_pods(1));
        w.refused(w.owner, call, Code::WrongVersion);
        let mut w = World::new();
        w.edit_token(|t| t.version = version);
        let call = w.execute(w.list_pods(1));
        w.refused(w.owner, call, Code::WrongVersion);
    }
    let (cluster, token) = (w.cluster, w.token);
    w.create_cluster(k3s_daas::types::ClusterPolicy::default());
    assert_ne!(w.cluster, cluster);
    w.token = token;
    let call = w.execute(w.list_pods(1));
    w.refused(w.owner, call, Code::InvalidSealToken);
}

#[test]
fn who_may_ask() {
    let mut w = World::new();
    let call = w.execute(w.list_pods(1));
    w.refused(w.stranger, call.clone(), Code::NotTokenHolder);
    w.refused(w.admin, call.clone(), Code::NotTokenHolder);
    w.refused(w.operator, call, Code::NotTokenHolder);
    // A delegate until its expiry, and not at it.
    w.edit_token(|t| {
        t.delegates.insert(t.owner, 0);
        t.delegates
            .insert(super::world::address("short"), START + 1_000);
    });
    let short = super::world::address("short");
    w.now = START + 999;
    w.ok(short, w.execute(w.list_pods(1)));
    w.now = START + 1_000;
    let call = w.execute(w.list_pods(2));
    w.refused(short, call.clone(), Code::NotTokenHolder);
    // The owner is one, whatever the delegates say.
    w.ok(w.owner, call);
    // The token's address, the prototype's way in, is worth nothing.
    let call = w.execute(w.list_pods(3));
    w.refused(w.token.into(), call, Code::NotTokenHolder);
}

pub(super) fn signed(w: &World, request: RequestMessage) -> Call {
    let mut call = Call::ExecuteSignedCommand {
        cluster: w.cluster,
        token: w.token,
        request,
        public_key: HexBytes::default(),
        signature: HexBytes::default(),
    };
    w.sign(&mut call);
    call
}

#[test]
fn a_signed_command_is_anyones_to_relay_and_nobodys_to_alter() {
    let mut w = World::new();
    let call = signed(&w, w.create_pod(1));
    let alter: [fn(&mut RequestMessage); 14] = [
        |r| r.request_id = request_id(2),
        |r| r.method = "PUT".into(),
        |r| r.path = "/api/v1/namespaces/default/pods/a".into(),
        |r| r.query = Content::plain("dryRun=All"),
        |r| r.query = Content::hashed([1; 32], 1),
        |r| r.header_names = vec!["accept".into()],
        |r| r.header_values = vec!["text/plain".into()],
        |r| r.payload.hash = HexBytes(vec![2; 32]),
        |r| r.payload.length += 1,
        |r| r.payload = Content::none(),
        |r| r.reply_key = HexBytes(vec![9; 32]),
        |r| r.priority = 4,
        |r| r.deadline_ms += 1,
        |r| r.credential_id = HexBytes::default(),
    ];
    for alter in alter {
        let mut call = call.clone();
        alter(message(&mut call));
        w.refused(w.stranger, call, Code::NotTokenHolder);
    }
    // Under another token, cluster, chain or package, or as another kind, it is not signed.
    let mut other = World::new();
    other.chain = k3s_daas::types::ChainId::new([1; 32]);
    let foreign = signed(&other, w.create_pod(1));
    w.refused(w.stranger, foreign, Code::NotTokenHolder);
    other.chain = w.chain;
    other.package = Address::new([1; 32]);
    let foreign = signed(&other, w.create_pod(1));
    w.refused(w.stranger, foreign, Code::NotTokenHolder);
    let Call::ExecuteSignedCommand {
        cluster,
        token,
        request,
        public_key,
        signature,
    } = call.clone()
    else {
        panic!()
    };
    let as_session = Call::OpenSignedSession {
        cluster,
        token,
        request,
        public_key,
        signature,
    };
    w.refused(w.stranger, as_session, Code::NotTokenHolder);

    let effects = w.ok(w.stranger, call.clone());
    let [Event::K8sApiRequest(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.requester, e.submitted_by), (w.owner, w.stranger));
    w.refused(w.stranger, call.clone(), Code::DuplicateRequest);

    // Also not again when it was answered and pruned: by then its deadline has passed.
    w.signed_ok(w.answer(1, 200));
    let expires = w
        .request(&request_id(1))
        .unwrap()
        .record()
        .unwrap()
        .expires_at_ms;
    w.now = expires - 1;
    w.refused(w.stranger, call.clone(), Code::DeadlinePassed);
    w.now = expires;
    let prune = Call::PruneResponses {
        token: w.token,
        request_ids: vec![request_id(1)],
    };
    w.ok(w.stranger, prune);
    assert!(w.request(&request_id(1)).is_none());
    w.refused(w.stranger, call, Code::DeadlinePassed);
}

/// With no time to live at all, the ID is forgotten at the deadline, which no longer passes.
#[test]
fn nothing_replays_at_the_moment_it_is_pruned() {
    let mut w = World::new();
    w.edit_cluster(|c| c.policy.response_ttl_ms = vec![0; 4]);
    let call = signed(&w, w.create_pod(1));
    w.ok(w.stranger, call.clone());
    w.signed_ok(w.answer(1, 201));
    let prune = Call::PruneResponses {
        token: w.token,
        request_ids: vec![request_id(1)],
    };
    w.now = START + 59_999;
    w.refused(w.stranger, prune.clone(), Code::NotPrunable);
    w.refused(w.stranger, call.clone(), Code::DuplicateRequest);
    w.now = START + 60_000;
    w.ok(w.stranger, prune);
    w.refused(w.stranger, call, Code::DeadlinePassed);
}

/// The prototype took the caller's word for the resource; here the path alone decides.
#[test]
fn an_id_is_taken_once_per_token() {
    let mut w = World::new();
    w.admit(w.create_pod(1));
    // The same again, another with its ID, and a session with its ID.
    let call = w.execute(w.create_pod(1));
    w.refused(w.owner, call, Code::DuplicateRequest);
    let call = w.execute(w.list_pods(1));
    w.refused(w.owner, call, Code::DuplicateRequest);
    let call = Call::OpenSession {
        cluster: w.cluster,
        token: w.token,
        request: w.list_pods(1),
    };
    w.refused(w.owner, call, Code::DuplicateRequest);
    // Answered is held as well.
    w.signed_ok(w.answer(1, 201));
    let call = w.execute(w.create_pod(1));
    w.refused(w.owner, call, Code::DuplicateRequest);
    // Another token knows nothing of it.
    w.issue(vec![pods_rule()]);
    w.ok(w.owner, w.execute(w.list_pods(1)));
}

#[test]
fn the_highest_hash_of_the_eligible_is_assigned() {
    let mut w = World::new();
    for n in 2..8 {
        w.register(&format!("executor {n}"));
    }
    let naive = |w: &World, n: u64, epoch: u64, not: &[k3s_daas::types::ExecutorId]| {
        let mut best: Option<(Vec<u8>, k3s_daas::types::ExecutorId)> = None;
        for id in &w.executors {
            if not.contains(id) {
                continue;
            }
            let mut bytes = id.as_bytes().to_vec();
            bytes.extend(w.token.as_bytes());
            bytes.extend(&request_id(n).0);
            bytes.extend(epoch.to_le_bytes());
            let hash = blake2b256(&[&bytes]).as_bytes().to_vec();
            if best.as_ref().is_none_or(|(highest, _)| hash > *highest) {
                best = Some((hash, *id));
            }
        }
        best.unwrap().1
    };
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..64 {
        let expected = naive(&w, n, 0, &[]);
        assert_eq!(w.admit(w.list_pods(n)), expected);
        seen.insert(expected);
        // A release goes to the next, and never to who released.
        w.signed_ok(w.release(n));
        let held = w.request(&request_id(n)).unwrap();
        assert_eq!(held.executor, naive(&w, n, 1, &[expected]));
        assert_eq!(held.epoch, 1);
    }
    assert_eq!(seen.len(), 8, "all get some");
    // The inactive, the unstaked and the unattested get nothing.
    let inactive = w.executors[0];
    w.set_active(inactive, false);
    for n in 100..150 {
        assert_eq!(w.admit(w.list_pods(n)), naive(&w, n, 0, &[inactive]));
    }
    w.edit_cluster(|c| c.policy.min_executor_stake = 5 * MIST_PER_SUI);
    let staked = w.executors[1];
    for n in 200..210 {
        assert_eq!(w.admit(w.list_pods(n)), staked);
    }
    w.edit_cluster(|c| c.policy.min_executor_stake = 5 * MIST_PER_SUI + 1);
    let call = w.execute(w.list_pods(300));
    w.refused(w.owner, call, Code::NoExecutor);
    // A tie goes to the lower ID: no two hashes are equal, but two entries of one ID are.
    let entry = w.cluster().executor(staked).unwrap().clone();
    let twins = [entry.clone(), entry];
    let chosen = assign(twins.iter(), w.token, b"x", 0).unwrap();
    assert_eq!(chosen.id, staked);
    assert!(assign([].iter(), w.token, b"x", 0).is_none());
}

#[test]
fn a_thousand_and_twenty_four_unanswered() {
    let mut w = World::new();
    for n in 0..1_024 {
        w.admit(w.list_pods(n));
    }
    let call = w.execute(w.list_pods(2_000));
    w.refused(w.owner, call.clone(), Code::TooManyRequests);
    w.signed_ok(w.answer(7, 200));
    w.ok(w.owner, call);
    let call = w.execute(w.list_pods(2_001));
    w.refused(w.owner, call.clone(), Code::TooManyRequests);
    // What is pruned unanswered makes room as well.
    w.now = START + 60_000 + 24 * 3_600_000;
    w.ok(
        w.stranger,
        Call::PruneResponses {
            token: w.token,
            request_ids: (0..512).map(request_id).collect(),
        },
    );
    // 1,025 were admitted, one was answered and pruned with 511 that were not.
    assert_eq!(w.token().unanswered, 1_024 - 511);
    let mut request = w.list_pods(2_001);
    request.deadline_ms = w.now + 1;
    w.ok(w.owner, w.execute(request));
}

#[test]
fn the_gateways_check_is_the_ledgers() {
    for (code, break_it) in BREAKS {
        let mut case = by_sender(World::execute);
        break_it(&mut case);
        let w = &case.world;
        let request = message(&mut case.call).clone();
        let outcome = check_request(
            &w.state,
            w.cluster(),
            w.token(),
            &request,
            Asker::Sender(case.sender),
            w.package,
            w.now,
        );
        assert_eq!(outcome.unwrap_err(), *code);
    }
    let w = World::new();
    let target = check_request(
        &w.state,
        w.cluster(),
        w.token(),
        &w.create_pod(1),
        Asker::Sender(w.owner),
        w.package,
        w.now,
    );
    assert_eq!(target.unwrap().path.resource, "pods");
    let derived = derive_target(&w.create_pod(1)).unwrap().unwrap();
    assert!(!derived.is_read);
}

#[test]
fn counted_refusals() {
    let make = |w: &World| Call::RecordRefusals {
        cluster: w.cluster,
        token: w.token,
        code: 6,
        count: 1,
        from_ms: START - 1_000,
        to_ms: START,
    };
    assert_order(
        || {
            let w = World::new();
            let call = Call::RecordRefusals {
                cluster: w.cluster,
                token: w.token,
                code: 6,
                count: 1,
                from_ms: START,
                to_ms: START,
            };
            let gateway = w.gateway;
            Case::new(w, gateway, call)
        },
        &[
            (Code::WrongVersion, |c| {
                c.world.edit_token(|t| t.version = 2)
            }),
            (Code::InvalidSealToken, |c| {
                let token = c.world.token;
                c.world
                    .edit_token(|t| t.cluster = k3s_daas::types::ClusterId::ZERO);
                assert_eq!(c.world.token, token);
            }),
            (Code::NotTokenHolder, |c| c.sender = c.world.stranger),
            (Code::ZeroAmount, |c| {
                if let Call::RecordRefusals { count, .. } = &mut c.call {
                    *count = 0;
                }
            }),
            (Code::MalformedRequest, |c| {
                if let Call::RecordRefusals { to_ms, .. } = &mut c.call {
                    *to_ms += 1;
                }
            }),
        ],
    );
    let mut w = World::new();
    let before = w.state.clone();
    let effects = w.ok(w.gateway, make(&w));
    assert_eq!(effects.events.len(), 1);
    assert_eq!(w.state, before);
    for bad in [0, 14, 20, 255] {
        let mut call = make(&w);
        if let Call::RecordRefusals { code, .. } = &mut call {
            *code = bad;
        }
        w.refused(w.gateway, call, Code::MalformedRequest);
    }
    let mut call = make(&w);
    if let Call::RecordRefusals { from_ms, .. } = &mut call {
        *from_ms = START + 1;
    }
    w.refused(w.gateway, call, Code::MalformedRequest);
}

#[test]
fn digests_are_of_32_bytes() {
    assert_eq!(bcs::to_bytes(&Digest::ZERO).unwrap().len(), 33);
}
