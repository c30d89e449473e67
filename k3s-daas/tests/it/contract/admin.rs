//! Clusters, tokens, delegates and session keys: who may change them, and to what.

use k3s_daas::contract::{Abort, Call, Code};
use k3s_daas::types::{
    Address, AdminCapId, ByteString, ClusterPolicy, HexBytes, MIST_PER_SUI, PolicyRule,
};
use k3s_daas::wire::{Delegate, Event};

use super::order::{Break, Case, assert_order};
use super::world::{
    EXPIRY, START, World, address, off_curve_key, pods_rule, signer, small_order_keys,
};

const CLUSTER_OLD: Break = (Code::WrongVersion, |c| {
    c.world.edit_cluster(|cluster| cluster.version = 2);
});
const TOKEN_OLD: Break = (Code::WrongVersion, |c| {
    c.world.edit_token(|t| t.version = 0)
});
const NO_ADMIN: Break = (Code::NotAdmin, |c| c.sender = c.world.owner);
const NO_OWNER: Break = (Code::NotOwner, |c| c.sender = c.world.gateway);
const REVOKED: Break = (Code::InvalidSealToken, |c| {
    c.world.edit_token(|t| t.revoked = true);
});
const EXPIRED: Break = (Code::InvalidSealToken, |c| {
    c.world.edit_token(|t| t.expires_at_ms = START);
});

fn issuing(w: &World) -> Call {
    Call::IssueToken {
        cap: w.cap,
        cluster: w.cluster,
        owner: w.owner,
        rules: vec![pods_rule()],
        groups: vec!["developers".into()],
        not_before_ms: START,
        expires_at_ms: EXPIRY,
        delegates: vec![Delegate {
            delegate: w.gateway,
            expires_at_ms: EXPIRY,
        }],
    }
}

fn by_admin(make: fn(&World) -> Call) -> Case {
    let w = World::new();
    let (call, admin) = (make(&w), w.admin);
    Case::new(w, admin, call)
}

fn by_owner(make: fn(&World) -> Call) -> Case {
    let w = World::new();
    let (call, owner) = (make(&w), w.owner);
    Case::new(w, owner, call)
}

/// A rule whose BCS, alone in its list, is `total` bytes long.
fn rules_of(total: usize) -> Vec<PolicyRule> {
    let mut rule = pods_rule();
    let mut length = 0;
    loop {
        rule.resource_names = vec!["x".repeat(length)];
        let size = bcs::to_bytes(&vec![rule.clone()]).unwrap().len();
        if size == total {
            return vec![rule];
        }
        length = length + total - size;
    }
}

#[test]
fn the_order_of_checks_of_issuing() {
    assert_order(
        || by_admin(issuing),
        &[
            CLUSTER_OLD,
            NO_ADMIN,
            (Code::LimitExceeded, |c| {
                if let Call::IssueToken { rules, .. } = &mut c.call {
                    *rules = rules_of(32_769);
                }
            }),
            (Code::InvalidPolicy, |c| {
                if let Call::IssueToken { groups, .. } = &mut c.call {
                    *groups = vec!["system:masters".into()];
                }
            }),
            (Code::InvalidExpiry, |c| {
                if let Call::IssueToken { expires_at_ms, .. } = &mut c.call {
                    *expires_at_ms = START;
                }
            }),
            (Code::InvalidKey, |c| {
                if let Call::IssueToken {
                    owner, delegates, ..
                } = &mut c.call
                {
                    *owner = delegates[0].delegate;
                }
            }),
            (Code::DuplicateKey, |c| {
                if let Call::IssueToken { delegates, .. } = &mut c.call {
                    delegates.push(delegates[0]);
                }
            }),
        ],
    );
}

#[test]
fn the_order_of_checks_of_changing_a_token() {
    assert_order(
        || {
            by_admin(|w| Call::RevokeToken {
                cap: w.cap,
                cluster: w.cluster,
                token: w.token,
            })
        },
        &[CLUSTER_OLD, NO_ADMIN, REVOKED],
    );
    assert_order(
        || {
            by_admin(|w| Call::SetRules {
                cap: w.cap,
                cluster: w.cluster,
                token: w.token,
                rules: vec![],
            })
        },
        &[
            TOKEN_OLD,
            CLUSTER_OLD,
            NO_ADMIN,
            REVOKED,
            (Code::LimitExceeded, |c| {
                if let Call::SetRules { rules, .. } = &mut c.call {
                    *rules = rules_of(32_769);
                }
            }),
        ],
    );
    assert_order(
        || {
            let mut case = by_owner(|w| Call::MigrateToken {
                cluster: w.cluster,
                token: w.token,
            });
            case.world.edit_token(|t| t.version = 0);
            case.sender = case.world.stranger;
            case
        },
        &[
            (Code::WrongVersion, |c| {
                c.world.edit_token(|t| t.version = 1)
            }),
            (Code::InvalidSealToken, |c| {
                c.world
                    .edit_token(|t| t.cluster = k3s_daas::types::ClusterId::ZERO);
            }),
        ],
    );
}

#[test]
fn the_order_of_checks_of_delegates() {
    for stale in [REVOKED, EXPIRED] {
        assert_order(
            || {
                by_owner(|w| Call::AddDelegate {
                    token: w.token,
                    delegate: w.stranger,
                    expires_at_ms: START + 1,
                })
            },
            &[
                TOKEN_OLD,
                NO_OWNER,
                stale,
                (Code::InvalidExpiry, |c| {
                    if let Call::AddDelegate { expires_at_ms, .. } = &mut c.call {
                        *expires_at_ms = START;
                    }
                }),
                (Code::InvalidKey, |c| {
                    if let Call::AddDelegate { delegate, .. } = &mut c.call {
                        *delegate = c.world.owner;
                    }
                }),
                (Code::LimitExceeded, |c| {
                    c.world.edit_token(|t| {
                        for n in 0..32_u8 {
                            t.delegates.insert(Address::new([n; 32]), 1);
                        }
                    });
                }),
            ],
        );
    }
    assert_order(
        || {
            by_owner(|w| Call::RemoveDelegate {
                token: w.token,
                delegate: w.gateway,
            })
        },
        &[
            TOKEN_OLD,
            NO_OWNER,
            (Code::InvalidKey, |c| {
                if let Call::RemoveDelegate { delegate, .. } = &mut c.call {
                    *delegate = c.world.stranger;
                }
            }),
        ],
    );
}

#[test]
fn the_order_of_checks_of_session_keys() {
    for stale in [REVOKED, EXPIRED] {
        assert_order(
            || {
                by_owner(|w| Call::RegisterSessionKey {
                    token: w.token,
                    key: HexBytes::from(signer("new").public_key().as_ref()),
                    expires_at_ms: START + 1,
                })
            },
            &[
                TOKEN_OLD,
                NO_OWNER,
                stale,
                (Code::InvalidExpiry, |c| {
                    if let Call::RegisterSessionKey { expires_at_ms, .. } = &mut c.call {
                        *expires_at_ms = START;
                    }
                }),
                (Code::InvalidKey, |c| {
                    if let Call::RegisterSessionKey { key, .. } = &mut c.call {
                        *key = HexBytes(vec![0; 32]);
                    }
                }),
                (Code::DuplicateKey, |c| {
                    if let Call::RegisterSessionKey { key, .. } = &mut c.call {
                        *key = HexBytes::from(c.world.session.public_key().as_ref());
                    }
                }),
                (Code::LimitExceeded, |c| {
                    c.world.edit_token(|t| {
                        for n in 0..63_u8 {
                            t.session_keys.insert([n; 32].into(), 1);
                        }
                    });
                }),
            ],
        );
    }
    assert_order(
        || {
            by_owner(|w| Call::RemoveSessionKey {
                token: w.token,
                key: HexBytes::from(w.session.public_key().as_ref()),
            })
        },
        &[
            TOKEN_OLD,
            NO_OWNER,
            (Code::InvalidKey, |c| {
                if let Call::RemoveSessionKey { key, .. } = &mut c.call {
                    *key = HexBytes::from(signer("new").public_key().as_ref());
                }
            }),
        ],
    );
}

#[test]
fn the_order_of_checks_of_a_cluster() {
    const BAD_POLICY: Break = (Code::InvalidPolicy, |c| match &mut c.call {
        Call::CreateCluster { policy, .. } | Call::SetPolicy { policy, .. } => policy.lease_ms = 0,
        other => panic!("{other:?}"),
    });
    assert_order(
        || {
            by_admin(|w| Call::CreateCluster {
                name: "c".into(),
                chain: w.chain,
                policy: ClusterPolicy::default(),
            })
        },
        &[
            (Code::LimitExceeded, |c| {
                if let Call::CreateCluster { name, .. } = &mut c.call {
                    name.0.clear();
                }
            }),
            BAD_POLICY,
        ],
    );
    assert_order(
        || {
            by_admin(|w| Call::SetPolicy {
                cap: w.cap,
                cluster: w.cluster,
                policy: ClusterPolicy::default(),
            })
        },
        &[CLUSTER_OLD, NO_ADMIN, BAD_POLICY],
    );
    assert_order(
        || {
            let mut case = by_admin(|w| Call::MigrateCluster {
                cap: w.cap,
                cluster: w.cluster,
            });
            case.world.edit_cluster(|cluster| cluster.version = 0);
            case
        },
        &[
            NO_ADMIN,
            (Code::WrongVersion, |c| {
                c.world.edit_cluster(|cluster| cluster.version = 1);
            }),
        ],
    );
    assert_order(
        || {
            let mut case = by_admin(|w| Call::WithdrawInsurance {
                cap: w.cap,
                cluster: w.cluster,
                amount: 5,
            });
            case.world.edit_cluster(|cluster| cluster.insurance = 5);
            case
        },
        &[
            CLUSTER_OLD,
            NO_ADMIN,
            (Code::ZeroAmount, |c| {
                if let Call::WithdrawInsurance { amount, .. } = &mut c.call {
                    *amount = 0;
                }
            }),
            (Code::InsufficientStake, |c| {
                c.world.edit_cluster(|cluster| cluster.insurance = 4);
            }),
        ],
    );
}

#[test]
fn the_order_of_checks_of_an_executors_standing() {
    const UNKNOWN: Break = (Code::ExecutorNotEligible, |c| match &mut c.call {
        Call::ActivateExecutor { executor, .. }
        | Call::DeactivateExecutor { executor, .. }
        | Call::RemoveExecutor { executor, .. } => *executor = k3s_daas::types::ExecutorId::ZERO,
        other => panic!("{other:?}"),
    });
    fn toggled(c: &mut Case) {
        let id = c.world.executors[0];
        let active = c.world.cluster().executor(id).unwrap().active;
        c.world.set_active(id, !active);
    }
    const AS_IT_IS: Break = (Code::ExecutorNotEligible, toggled);
    for last in [UNKNOWN, AS_IT_IS] {
        let breaks = [CLUSTER_OLD, NO_ADMIN, last];
        assert_order(
            || {
                by_admin(|w| Call::DeactivateExecutor {
                    cap: w.cap,
                    cluster: w.cluster,
                    executor: w.executors[0],
                })
            },
            &breaks,
        );
        assert_order(
            || {
                let mut case = by_admin(|w| Call::ActivateExecutor {
                    cap: w.cap,
                    cluster: w.cluster,
                    executor: w.executors[0],
                });
                toggled(&mut case);
                case
            },
            &breaks,
        );
        assert_order(
            || {
                let mut case = by_admin(|w| Call::RemoveExecutor {
                    cap: w.cap,
                    cluster: w.cluster,
                    executor: w.executors[0],
                });
                toggled(&mut case);
                case
            },
            &breaks,
        );
    }
    const NEW_KEY: fn(&World) -> Call = |w| w.registration(&signer("new"));
    assert_order(
        || by_admin(NEW_KEY),
        &[
            CLUSTER_OLD,
            NO_ADMIN,
            (Code::LimitExceeded, |c| {
                c.world.edit_cluster(|cluster| {
                    let entry = cluster.executors[0].clone();
                    cluster.executors.resize(64, entry);
                });
            }),
            (Code::InvalidKey, |c| {
                if let Call::RegisterExecutor { encryption_key, .. } = &mut c.call {
                    encryption_key.0.pop();
                }
            }),
            (Code::DuplicateKey, |c| {
                let key = signer("executor 0").public_key();
                if let Call::RegisterExecutor { signing_key, .. } = &mut c.call {
                    *signing_key = HexBytes::from(key.as_ref());
                }
            }),
            (Code::AttestationMissing, |c| {
                c.world
                    .edit_cluster(|cluster| cluster.policy.require_attestation = true);
            }),
        ],
    );
}

/// Another cluster's capability, and one held by somebody else.
#[test]
fn a_capability_governs_one_cluster() {
    let mut w = World::new();
    let (cap, cluster, token) = (w.cap, w.cluster, w.token);
    w.create_cluster(ClusterPolicy::default());
    let revoke = |cap: AdminCapId| Call::RevokeToken {
        cap,
        cluster,
        token,
    };
    w.refused(w.admin, revoke(w.cap), Code::NotAdmin);
    w.refused(w.stranger, revoke(cap), Code::NotAdmin);
    assert_eq!(
        w.call(w.admin, &revoke(AdminCapId::ZERO)),
        Err(Abort::MissingObject(Address::ZERO))
    );
    // A token of the other cluster is not this one's to revoke.
    let call = Call::RevokeToken {
        cap: w.cap,
        cluster: w.cluster,
        token,
    };
    w.refused(w.admin, call, Code::InvalidSealToken);
    let effects = w.ok(w.admin, revoke(cap));
    assert!(matches!(&effects.events[..], [Event::SealTokenRevoked(_)]));
    // For good: not again, not by new rules, not by new keys.
    w.refused(w.admin, revoke(cap), Code::InvalidSealToken);
    let call = Call::SetRules {
        cap,
        cluster,
        token,
        rules: vec![pods_rule()],
    };
    w.refused(w.admin, call, Code::InvalidSealToken);
    let call = Call::AddDelegate {
        token,
        delegate: w.stranger,
        expires_at_ms: EXPIRY,
    };
    w.refused(w.owner, call, Code::InvalidSealToken);
    // What is in it can still be taken out of it.
    let call = Call::RemoveDelegate {
        token,
        delegate: w.gateway,
    };
    w.ok(w.owner, call);
}

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
fn what_creating_a_cluster_gives() {
    let mut w = World::empty();
    w.create_cluster(ClusterPolicy::default());
    let cluster = w.cluster();
    assert_eq!((cluster.version, cluster.registrations), (1, 0));
    assert_eq!((cluster.chain, cluster.admin_cap), (w.chain, w.cap));
    assert_eq!(cluster.policy.min_write_stake, MIST_PER_SUI);
    assert_eq!(
        cluster.policy.response_ttl_ms,
        [600_000, 3_600_000, 21_600_000, 86_400_000]
    );
    assert_eq!(cluster.policy.unbonding_ms, 7 * 24 * 3_600_000);
    assert_eq!(
        (cluster.policy.lease_ms, cluster.policy.min_executor_stake),
        (10_000, 0)
    );
    let cap = w.state.admin_cap(w.cap).unwrap();
    assert_eq!((cap.owner, cap.cluster), (w.admin, w.cluster));
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
fn migrating() {
    let mut w = World::new();
    let cluster = Call::MigrateCluster {
        cap: w.cap,
        cluster: w.cluster,
    };
    let token = Call::MigrateToken {
        cluster: w.cluster,
        token: w.token,
    };
    w.refused(w.admin, cluster.clone(), Code::WrongVersion);
    w.refused(w.stranger, token.clone(), Code::WrongVersion);
    w.edit_cluster(|c| c.version = 0);
    w.edit_token(|t| t.version = 0);
    w.refused(w.stranger, token.clone(), Code::WrongVersion);
    w.refused(w.stranger, cluster.clone(), Code::NotAdmin);
    w.ok(w.admin, cluster);
    assert_eq!(w.cluster().version, 1);
    w.ok(w.stranger, token);
    assert_eq!(w.token().version, 1);
    w.edit_token(|t| t.version = 2);
    let token = Call::MigrateToken {
        cluster: w.cluster,
        token: w.token,
    };
    w.refused(w.stranger, token, Code::WrongVersion);
}

/// A token of an older version can be revoked: that must never wait for a migration.
#[test]
fn an_old_token_can_be_revoked() {
    let mut w = World::new();
    w.edit_token(|t| t.version = 0);
    let call = Call::RevokeToken {
        cap: w.cap,
        cluster: w.cluster,
        token: w.token,
    };
    w.ok(w.admin, call);
    assert!(w.token().revoked);
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

#[test]
fn an_executor_comes_and_goes() {
    let mut w = World::new();
    let (cap, cluster, executor) = (w.cap, w.cluster, w.executors[0]);
    let deactivate = Call::DeactivateExecutor {
        cap,
        cluster,
        executor,
    };
    let activate = Call::ActivateExecutor {
        cap,
        cluster,
        executor,
    };
    w.refused(w.operator, deactivate.clone(), Code::NotAdmin);
    w.refused(w.admin, activate.clone(), Code::ExecutorNotEligible);
    w.ok(w.admin, deactivate.clone());
    w.refused(w.admin, deactivate, Code::ExecutorNotEligible);
    assert_eq!(w.cluster().eligible().count(), 1);
    w.ok(w.admin, activate);
    assert_eq!(w.cluster().eligible().count(), 2);
    // A key that is there, active or not, is there.
    let again = w.registration(&signer("executor 0"));
    w.refused(w.admin, again, Code::DuplicateKey);
}
