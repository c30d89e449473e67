//! What an attestation document must say, through a fake that says it.

use k3s_daas::contract::{AttestedFacts, Call, Code};
use k3s_daas::crypto::blake2b256;
use k3s_daas::types::{ClusterPolicy, HexBytes};
use k3s_daas::wire::Event;

use super::world::{START, World, signer};

/// A cluster that requires attestation, and what a good document says of the executor `new`.
fn attested() -> (World, Call) {
    let mut w = World::empty();
    w.create_cluster(ClusterPolicy {
        require_attestation: true,
        pcrs: (1..=3).map(|n| HexBytes(vec![n; 48])).collect(),
        kube_ca_hash: HexBytes(vec![9; 32]),
        ..ClusterPolicy::default()
    });
    let key = signer("new");
    let mut call = w.registration(&key);
    if let Call::RegisterExecutor { attestation, .. } = &mut call {
        *attestation = HexBytes(b"genuine".to_vec());
    }
    w.attested = Some(facts(&w, key.public_key().as_ref(), 0));
    (w, call)
}

fn facts(w: &World, key: &[u8], registrations: u64) -> AttestedFacts {
    // BCS by hand: addresses bare, vectors behind their length.
    let mut nonce = w.cluster.as_bytes().to_vec();
    nonce.extend(registrations.to_le_bytes());
    let mut user_data = w.operator.as_bytes().to_vec();
    user_data.push(32);
    user_data.extend(key);
    user_data.push(32);
    user_data.extend([7; 32]);
    user_data.push(32);
    user_data.extend([9; 32]);
    AttestedFacts {
        timestamp_ms: w.now,
        pcrs: [vec![1; 48], vec![2; 48], vec![3; 48]],
        nonce: blake2b256(&[&nonce]).as_bytes().to_vec(),
        user_data: blake2b256(&[&user_data]).as_bytes().to_vec(),
    }
}

#[test]
fn a_good_document_registers_and_counts() {
    let (mut w, call) = attested();
    let effects = w.ok(w.admin, call);
    let [Event::ExecutorRegistered(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!(
        e.pcrs,
        (1..=3).map(|n| HexBytes(vec![n; 48])).collect::<Vec<_>>()
    );
    assert_eq!(e.registrations, 1);
    assert_eq!(w.cluster().eligible().count(), 1);
    // With the next counter, the same document is one for another registration.
    let other = signer("other");
    let mut call = w.registration(&other);
    if let Call::RegisterExecutor { attestation, .. } = &mut call {
        *attestation = HexBytes(b"genuine".to_vec());
    }
    w.attested = Some(facts(&w, other.public_key().as_ref(), 0));
    w.refused(w.admin, call.clone(), Code::AttestationNonce);
    w.attested = Some(facts(&w, other.public_key().as_ref(), 1));
    w.ok(w.admin, call);
    // Other measurements in the policy, and the attested ones are no longer eligible.
    w.edit_cluster(|c| c.policy.pcrs[2] = HexBytes(vec![4; 48]));
    assert_eq!(w.cluster().eligible().count(), 0);
    // Without the requirement they are.
    w.edit_cluster(|c| c.policy.require_attestation = false);
    assert_eq!(w.cluster().eligible().count(), 2);
}

#[test]
fn each_fact_alone_and_the_order_of_facts() {
    type Edit = fn(&mut AttestedFacts);
    let breaks: [(Code, Edit); 5] = [
        (Code::AttestationDebug, |f| f.pcrs[1] = vec![0; 48]),
        (Code::AttestationPcr, |f| f.pcrs[2][47] ^= 1),
        (Code::AttestationStale, |f| f.timestamp_ms -= 300_001),
        (Code::AttestationNonce, |f| f.nonce[0] ^= 1),
        (Code::AttestationUserData, |f| f.user_data[31] ^= 1),
    ];
    for (i, (code, edit)) in breaks.iter().enumerate() {
        let (mut w, call) = attested();
        edit(w.attested.as_mut().unwrap());
        w.refused(w.admin, call, *code);
        for (_, second) in &breaks[i + 1..] {
            let (mut w, call) = attested();
            edit(w.attested.as_mut().unwrap());
            second(w.attested.as_mut().unwrap());
            w.refused(w.admin, call, *code);
        }
    }
}

#[test]
fn missing_or_not_genuine() {
    let (mut w, mut call) = attested();
    if let Call::RegisterExecutor { attestation, .. } = &mut call {
        *attestation = HexBytes::default();
    }
    w.refused(w.admin, call.clone(), Code::AttestationMissing);
    if let Call::RegisterExecutor { attestation, .. } = &mut call {
        *attestation = HexBytes(b"forged".to_vec());
    }
    w.refused(w.admin, call.clone(), Code::AttestationMissing);
    // Given where none is required, it is judged all the same.
    w.edit_cluster(|c| c.policy.require_attestation = false);
    w.refused(w.admin, call.clone(), Code::AttestationMissing);
    if let Call::RegisterExecutor { attestation, .. } = &mut call {
        *attestation = HexBytes(b"genuine".to_vec());
    }
    w.attested.as_mut().unwrap().nonce = Vec::new();
    w.refused(w.admin, call.clone(), Code::AttestationNonce);
    if let Call::RegisterExecutor { attestation, .. } = &mut call {
        *attestation = HexBytes::default();
    }
    let effects = w.ok(w.admin, call);
    let [Event::ExecutorRegistered(e)] = &effects.events[..] else {
        panic!()
    };
    assert!(e.pcrs.is_empty());
    // It is eligible until attestation is required.
    assert_eq!(w.cluster().eligible().count(), 1);
    w.edit_cluster(|c| c.policy.require_attestation = true);
    assert_eq!(w.cluster().eligible().count(), 0);
}

#[test]
fn the_time_of_a_document() {
    for (timestamp, fresh) in [
        (START + 60_000, true),
        (START + 60_001, false),
        (START - 300_000, true),
        (START - 300_001, false),
        (0, false),
        (u64::MAX, false),
    ] {
        let (mut w, call) = attested();
        w.attested.as_mut().unwrap().timestamp_ms = timestamp;
        let code = w.code(w.admin, &call);
        let expected = (!fresh).then_some(Code::AttestationStale);
        assert_eq!(code, expected, "{timestamp}");
    }
    // At the edges of the clock nothing overflows.
    for now in [0, u64::MAX] {
        let (mut w, call) = attested();
        w.now = now;
        w.attested.as_mut().unwrap().timestamp_ms = now;
        w.ok(w.admin, call);
    }
}

/// Keys, operator and CA are all bound.
#[test]
fn a_document_binds_everything() {
    type Edit = fn(&mut World, &mut Call);
    let edits: [Edit; 4] = [
        |_, c| {
            if let Call::RegisterExecutor { signing_key, .. } = c {
                *signing_key = HexBytes::from(signer("other").public_key().as_ref());
            }
        },
        |_, c| {
            if let Call::RegisterExecutor { encryption_key, .. } = c {
                encryption_key.0[0] ^= 1;
            }
        },
        |w, c| {
            if let Call::RegisterExecutor { operator, .. } = c {
                *operator = w.stranger;
            }
        },
        |w, _| w.edit_cluster(|c| c.policy.kube_ca_hash = HexBytes::default()),
    ];
    for edit in edits {
        let (mut w, mut call) = attested();
        edit(&mut w, &mut call);
        w.refused(w.admin, call, Code::AttestationUserData);
    }
}

/// Debug mode is refused by that name, even where the policy measures nothing.
#[test]
fn debug_enclaves() {
    let (mut w, call) = attested();
    w.edit_cluster(|c| {
        c.policy.require_attestation = false;
        c.policy.pcrs.clear();
    });
    for pcrs in [
        [vec![0; 48], vec![0; 48], vec![0; 48]],
        [vec![1; 48], vec![0; 48], vec![1; 48]],
        [vec![], vec![1; 48], vec![1; 48]],
    ] {
        w.attested.as_mut().unwrap().pcrs = pcrs;
        w.refused(w.admin, call.clone(), Code::AttestationDebug);
    }
    w.attested.as_mut().unwrap().pcrs = [vec![5; 48], vec![6; 48], vec![7; 48]];
    w.ok(w.admin, call);
}

/// An enclave with the wrong measurements is not assigned, does not claim, answer or anchor.
#[test]
fn eligibility_is_judged_each_time() {
    let (mut w, call) = attested();
    w.ok(w.admin, call);
    let executor = w.cluster().executors[0].id;
    w.executors.push(executor);
    w.signers.insert(executor, signer("new"));
    w.issue(vec![super::world::pods_rule()]);
    w.admit(w.list_pods(1));
    w.edit_cluster(|c| c.policy.pcrs[0] = HexBytes(vec![8; 48]));
    let next = w.execute(w.list_pods(2));
    w.refused(w.owner, next, Code::NoExecutor);
    w.signed_refused(w.answer(1, 200), Code::ExecutorNotEligible);
    w.signed_refused(w.release(1), Code::ExecutorNotEligible);
    w.now += 10_000;
    w.signed_refused(w.claim(1, executor), Code::ExecutorNotEligible);
}
