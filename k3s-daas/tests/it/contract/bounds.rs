//! Everything that is bounded, at its bound and over it.

use k3s_daas::contract::{Call, Code};
use k3s_daas::types::{Address, ByteString, ClusterPolicy, HexBytes, PolicyRule};
use k3s_daas::wire::Delegate;

use super::admin::{issuing, rules_of};
use super::world::{EXPIRY, START, World, address, off_curve_key, signer, small_order_keys};

#[test]
fn policies_within_their_bounds() {
    const DAY: u64 = 24 * 3_600_000;
    const MOST: u64 = 1_000_000_000_000_000;
    type Edit = fn(&mut ClusterPolicy);
    let pcrs = || vec![HexBytes(vec![1; 48]); 3];
    let cases: Vec<(bool, Edit)> = vec![
        (true, |p| p.min_write_stake = 0),
        (true, |p| p.min_write_stake = MOST),
        (false, |p| p.min_write_stake = MOST + 1),
        (true, |p| p.min_executor_stake = MOST),
        (false, |p| p.min_executor_stake = MOST + 1),
        (false, |p| p.min_executor_stake = u64::MAX),
        (true, |p| p.unbonding_ms = 0),
        (true, |p| p.unbonding_ms = 30 * DAY),
        (false, |p| p.unbonding_ms = 30 * DAY + 1),
        (false, |p| p.lease_ms = 999),
        (true, |p| p.lease_ms = 1_000),
        (true, |p| p.lease_ms = 600_000),
        (false, |p| p.lease_ms = 600_001),
        (true, |p| p.response_ttl_ms = vec![0, 0, 0, 30 * DAY]),
        (false, |p| p.response_ttl_ms = vec![0, 0, 0, 30 * DAY + 1]),
        (false, |p| p.response_ttl_ms = vec![u64::MAX, 0, 0, 0]),
        (false, |p| p.response_ttl_ms = vec![0; 3]),
        (false, |p| p.response_ttl_ms = vec![0; 5]),
        (false, |p| p.response_ttl_ms = vec![]),
        (false, |p| p.require_attestation = true),
        (false, |p| p.pcrs = vec![HexBytes(vec![1; 48]); 2]),
        (false, |p| p.pcrs = vec![HexBytes(vec![1; 48]); 4]),
        (false, |p| p.pcrs = vec![HexBytes(vec![1; 32]); 3]),
        (false, |p| p.pcrs = vec![HexBytes(vec![0; 48]); 3]),
        (true, |p| p.kube_ca_hash = HexBytes(vec![0; 32])),
        (false, |p| p.kube_ca_hash = HexBytes(vec![0; 31])),
        (false, |p| p.kube_ca_hash = HexBytes(vec![0; 33])),
    ];
    for (n, (passes, edit)) in cases.into_iter().enumerate() {
        let mut w = World::new();
        let mut policy = ClusterPolicy::default();
        edit(&mut policy);
        let expected = (!passes).then_some(Code::InvalidPolicy);
        let set = Call::SetPolicy {
            cap: w.cap,
            cluster: w.cluster,
            policy: policy.clone(),
        };
        assert_eq!(w.code(w.admin, &set), expected, "{n}");
        let create = Call::CreateCluster {
            name: "c".into(),
            chain: w.chain,
            policy: policy.clone(),
        };
        assert_eq!(w.code(w.admin, &create), expected, "{n}");
        if passes {
            assert_eq!(w.cluster().policy, policy);
        }
    }
    let mut w = World::new();
    let mut policy = ClusterPolicy {
        pcrs: pcrs(),
        require_attestation: true,
        ..ClusterPolicy::default()
    };
    let set = |w: &World, policy: &ClusterPolicy| Call::SetPolicy {
        cap: w.cap,
        cluster: w.cluster,
        policy: policy.clone(),
    };
    w.ok(w.admin, set(&w, &policy));
    policy.require_attestation = false;
    w.ok(w.admin, set(&w, &policy));
    policy.pcrs[1] = HexBytes(vec![0; 48]);
    w.refused(w.admin, set(&w, &policy), Code::InvalidPolicy);
}

#[test]
fn names_of_clusters() {
    let mut w = World::empty();
    let mut check = |name: &[u8], passes: bool| {
        let call = Call::CreateCluster {
            name: ByteString::from(name),
            chain: w.chain,
            policy: ClusterPolicy::default(),
        };
        let expected = (!passes).then_some(Code::LimitExceeded);
        assert_eq!(w.code(w.admin, &call), expected, "{name:?}");
    };
    check(b"a", true);
    check("größe 1".as_bytes(), true);
    check(&[b'a'; 253], true);
    check(&[b'a'; 254], false);
    check(b"", false);
    check(b"a\nb", false);
    check(b"\x1b[2J", false);
    check(b"\x7f", false);
    check("\u{9b}2J".as_bytes(), false);
    check(b"\xff", false);
}

#[test]
fn rules_up_to_32_768_bytes() {
    let mut w = World::new();
    for (total, passes) in [(32_768, true), (32_769, false)] {
        let expected = (!passes).then_some(Code::LimitExceeded);
        let mut call = issuing(&w);
        if let Call::IssueToken { rules, .. } = &mut call {
            *rules = rules_of(total);
        }
        assert_eq!(w.code(w.admin, &call), expected);
        let call = Call::SetRules {
            cap: w.cap,
            cluster: w.cluster,
            token: w.token,
            rules: rules_of(total),
        };
        assert_eq!(w.code(w.admin, &call), expected);
    }
    assert_eq!(w.token().rules, rules_of(32_768));
}

/// Each entry counts for one, a rule itself for two, a URL for eight.
#[test]
fn rules_up_to_2_048_entries() {
    type Lists = [usize; 6];
    let rule = |[verbs, groups, resources, names, urls, namespaces]: Lists| PolicyRule {
        verbs: vec![String::new(); verbs],
        api_groups: vec![String::new(); groups],
        resources: vec![String::new(); resources],
        resource_names: vec![String::new(); names],
        non_resource_urls: vec![String::new(); urls],
        namespaces: vec![String::new(); namespaces],
    };
    let cases: Vec<(bool, Vec<PolicyRule>)> = vec![
        (true, vec![rule([2_046, 0, 0, 0, 0, 0])]),
        (false, vec![rule([2_047, 0, 0, 0, 0, 0])]),
        (true, vec![rule([0, 2_046, 0, 0, 0, 0])]),
        (false, vec![rule([0, 2_047, 0, 0, 0, 0])]),
        (true, vec![rule([0, 0, 2_046, 0, 0, 0])]),
        (false, vec![rule([0, 0, 2_047, 0, 0, 0])]),
        (true, vec![rule([0, 0, 0, 2_046, 0, 0])]),
        (false, vec![rule([0, 0, 0, 2_047, 0, 0])]),
        (true, vec![rule([0, 0, 0, 0, 0, 2_046])]),
        (false, vec![rule([0, 0, 0, 0, 0, 2_047])]),
        (true, vec![rule([0, 0, 0, 0, 255, 6])]),
        (false, vec![rule([0, 0, 0, 0, 255, 7])]),
        (false, vec![rule([0, 0, 0, 0, 256, 0])]),
        (true, vec![rule([0; 6]); 1_024]),
        (false, vec![rule([0; 6]); 1_025]),
        (true, vec![rule([1; 6]); 136]),
        (false, vec![rule([1; 6]); 137]),
    ];
    for (n, (passes, rules)) in cases.into_iter().enumerate() {
        let mut w = World::new();
        let expected = (!passes).then_some(Code::LimitExceeded);
        let mut issue = issuing(&w);
        if let Call::IssueToken { rules: r, .. } = &mut issue {
            r.clone_from(&rules);
        }
        assert_eq!(w.code(w.admin, &issue), expected, "{n}");
        let set = Call::SetRules {
            cap: w.cap,
            cluster: w.cluster,
            token: w.token,
            rules,
        };
        assert_eq!(w.code(w.admin, &set), expected, "{n}");
    }
}

#[test]
fn groups_that_may_be_impersonated() {
    let mut w = World::new();
    let mut check = |groups: Vec<ByteString>, code: Option<Code>| {
        let mut call = issuing(&w);
        if let Call::IssueToken { groups: g, .. } = &mut call {
            g.clone_from(&groups);
        }
        assert_eq!(w.code(w.admin, &call), code, "{groups:?}");
    };
    check(vec!["a".into(); 32], None);
    check(vec!["a".into(); 33], Some(Code::LimitExceeded));
    check(vec![ByteString(vec![b'a'; 253])], None);
    check(vec!["oidc:team/a".into()], None);
    for bad in [
        &b"system:masters"[..],
        b"system:",
        b"system:authenticated",
        b"",
        b"a b",
        b"a\r\nImpersonate-User: root",
        b"\xff",
        "größe".as_bytes(),
        &[b'a'; 254],
    ] {
        check(vec!["fine".into(), bad.into()], Some(Code::InvalidPolicy));
    }
}

#[test]
fn times_and_delegates_of_a_new_token() {
    let mut w = World::new();
    let other = address("other");
    let mut check = |not_before: u64, expires: u64, delegate: u64, code: Option<Code>| {
        let mut call = issuing(&w);
        if let Call::IssueToken {
            not_before_ms,
            expires_at_ms,
            delegates,
            ..
        } = &mut call
        {
            (*not_before_ms, *expires_at_ms) = (not_before, expires);
            delegates[0] = Delegate {
                delegate: other,
                expires_at_ms: delegate,
            };
        }
        assert_eq!(
            w.code(w.admin, &call),
            code,
            "{not_before} {expires} {delegate}"
        );
    };
    let bad = Some(Code::InvalidExpiry);
    check(START, START + 1, START + 1, None);
    check(0, u64::MAX, u64::MAX, None);
    check(START + 5, START + 6, START + 1, None);
    check(START, START, START + 1, bad);
    check(START + 5, START + 5, START + 1, bad);
    check(START + 6, START + 5, START + 1, bad);
    check(0, START, START + 1, bad);
    check(START, START + 1, START, bad);
    let mut delegates: Vec<Delegate> = (0..33_u8)
        .map(|n| Delegate {
            delegate: Address::new([n; 32]),
            expires_at_ms: EXPIRY,
        })
        .collect();
    let mut call = issuing(&w);
    if let Call::IssueToken { delegates: d, .. } = &mut call {
        d.clone_from(&delegates);
    }
    w.refused(w.admin, call.clone(), Code::LimitExceeded);
    delegates.pop();
    if let Call::IssueToken { delegates: d, .. } = &mut call {
        *d = delegates;
    }
    w.ok(w.admin, call);
}

#[test]
fn thirty_two_delegates() {
    let mut w = World::new();
    let add = |w: &World, n: u8, expires: u64| Call::AddDelegate {
        token: w.token,
        delegate: Address::new([n; 32]),
        expires_at_ms: expires,
    };
    // The gateway is the first.
    for n in 1..32 {
        w.ok(w.owner, add(&w, n, START + 10));
    }
    w.refused(w.owner, add(&w, 32, EXPIRY), Code::LimitExceeded);
    // One that is there gets a new expiry, also an earlier one.
    w.ok(w.owner, add(&w, 31, START + 5));
    assert_eq!(w.token().delegates[&Address::new([31; 32])], START + 5);
    // Expired ones count until they are removed.
    w.now = START + 10;
    w.refused(w.owner, add(&w, 32, EXPIRY), Code::LimitExceeded);
    let call = Call::RemoveDelegate {
        token: w.token,
        delegate: Address::new([1; 32]),
    };
    w.ok(w.owner, call.clone());
    w.refused(w.owner, call, Code::InvalidKey);
    w.ok(w.owner, add(&w, 32, EXPIRY));
}

#[test]
fn sixty_four_session_keys() {
    let mut w = World::new();
    let add = |w: &World, n: u8, expires: u64| Call::RegisterSessionKey {
        token: w.token,
        key: HexBytes::from(signer(&n.to_string()).public_key().as_ref()),
        expires_at_ms: expires,
    };
    // One is there.
    for n in 1..64 {
        w.ok(w.owner, add(&w, n, START + 10));
    }
    w.refused(w.owner, add(&w, 64, EXPIRY), Code::LimitExceeded);
    w.refused(w.owner, add(&w, 63, EXPIRY), Code::DuplicateKey);
    w.now = START + 10;
    w.refused(w.owner, add(&w, 63, EXPIRY), Code::DuplicateKey);
    let remove = Call::RemoveSessionKey {
        token: w.token,
        key: HexBytes::from(signer("63").public_key().as_ref()),
    };
    w.ok(w.owner, remove.clone());
    w.refused(w.owner, remove, Code::InvalidKey);
    w.ok(w.owner, add(&w, 63, EXPIRY));
    w.refused(w.gateway, add(&w, 64, EXPIRY), Code::NotOwner);
}

#[test]
fn keys_that_are_refused_everywhere() {
    let mut w = World::new();
    let register = |w: &World, key: &[u8]| Call::RegisterSessionKey {
        token: w.token,
        key: HexBytes::from(key),
        expires_at_ms: EXPIRY,
    };
    let admit = |w: &World, key: &[u8]| {
        let mut call = w.registration(&signer("new"));
        if let Call::RegisterExecutor { signing_key, .. } = &mut call {
            *signing_key = HexBytes::from(key);
        }
        call
    };
    let small = small_order_keys();
    assert_eq!(small.len(), 14);
    for key in &small {
        w.refused(w.owner, register(&w, key), Code::InvalidKey);
        w.refused(w.admin, admit(&w, key), Code::InvalidKey);
    }
    for length in [0, 1, 31, 33, 64] {
        let key = vec![7; length];
        w.refused(w.owner, register(&w, &key), Code::InvalidKey);
        w.refused(w.admin, admit(&w, &key), Code::InvalidKey);
        let mut call = w.registration(&signer("new"));
        if let Call::RegisterExecutor { encryption_key, .. } = &mut call {
            *encryption_key = HexBytes(key);
        }
        w.refused(w.admin, call, Code::InvalidKey);
    }
    // Off the curve is taken, as the other twin takes it, and verifies nothing.
    let off = off_curve_key();
    let parsed =
        <fastcrypto::ed25519::Ed25519PublicKey as fastcrypto::traits::ToFromBytes>::from_bytes(
            &off,
        );
    assert!(parsed.is_err(), "it is off the curve");
    w.ok(w.owner, register(&w, &off));
    w.ok(w.admin, admit(&w, &off));
    let trivial = super::world::trivial_signature();
    assert!(!k3s_daas::crypto::PublicKey::from(off).verify(b"anything", &trivial));
    assert!(
        k3s_daas::crypto::PublicKey::from(small[0]).verify(b"anything", &trivial),
        "which is why small orders are refused"
    );
}

#[test]
fn sixty_four_executors() {
    let mut w = World::new();
    for n in 2..64 {
        w.register(&format!("executor {n}"));
    }
    let another = w.registration(&signer("one more"));
    w.refused(w.admin, another.clone(), Code::LimitExceeded);
    let (cap, cluster, executor) = (w.cap, w.cluster, w.executors[5]);
    let remove = Call::RemoveExecutor {
        cap,
        cluster,
        executor,
    };
    w.refused(w.admin, remove.clone(), Code::ExecutorNotEligible);
    w.ok(
        w.admin,
        Call::DeactivateExecutor {
            cap,
            cluster,
            executor,
        },
    );
    w.ok(w.admin, remove);
    assert!(w.cluster().executor(executor).is_none());
    w.ok(w.admin, another);
    assert_eq!(w.cluster().registrations, 65);
    assert_eq!(w.cluster().executors.len(), 64);
    // What was removed may come back under its key, as another executor.
    w.edit_cluster(|c| c.executors.truncate(63));
    let again = w.register("executor 5");
    assert!(!w.executors[..64].contains(&again));
}
