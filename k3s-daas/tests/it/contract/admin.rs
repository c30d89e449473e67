//! Clusters, tokens, delegates and session keys: who may change them, and to what.

use k3s_daas::contract::{Abort, Call, Code};
use k3s_daas::types::{Address, AdminCapId, ClusterPolicy, HexBytes, MIST_PER_SUI, PolicyRule};
use k3s_daas::wire::{Delegate, Event};

use super::order::{Break, Case, assert_order};
use super::world::{EXPIRY, START, World, pods_rule, signer};

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

pub(super) fn issuing(w: &World) -> Call {
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
pub(super) fn rules_of(total: usize) -> Vec<PolicyRule> {
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
