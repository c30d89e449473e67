//! Deposits, unbonding, withdrawing: of tokens and of executors.

use k3s_daas::contract::{Abort, Call, Code, Unbonding};
use k3s_daas::types::{Address, MIST_PER_SUI, TokenId};
use k3s_daas::wire::Event;

use super::order::{Break, Case, assert_order};
use super::world::{START, World, address};

const DAY: u64 = 24 * 3_600_000;
const SUI: u64 = MIST_PER_SUI;

/// The same calls on a token and on an executor.
#[derive(Clone, Copy)]
enum Kind {
    Token,
    Executor,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Token, Self::Executor];

    fn deposit(self, w: &World, amount: u64) -> Call {
        match self {
            Self::Token => Call::DepositStake {
                token: w.token,
                amount,
            },
            Self::Executor => Call::DepositExecutorStake {
                cluster: w.cluster,
                executor: w.executors[0],
                amount,
            },
        }
    }

    fn unstake(self, w: &World, amount: u64) -> Call {
        match self {
            Self::Token => Call::Unstake {
                cluster: w.cluster,
                token: w.token,
                amount,
            },
            Self::Executor => Call::UnstakeExecutor {
                cluster: w.cluster,
                executor: w.executors[0],
                amount,
            },
        }
    }

    fn withdraw(self, w: &World) -> Call {
        match self {
            Self::Token => Call::WithdrawStake { token: w.token },
            Self::Executor => Call::WithdrawExecutorStake {
                executor: w.executors[0],
            },
        }
    }

    fn owner(self, w: &World) -> Address {
        match self {
            Self::Token => w.owner,
            Self::Executor => w.operator,
        }
    }

    fn stake(self, w: &World) -> (u64, Vec<Unbonding>) {
        match self {
            Self::Token => (w.token().bonded, w.token().unbondings.clone()),
            Self::Executor => {
                let executor = w.executor(0);
                let entry = w.cluster().executor(executor.id).unwrap();
                assert_eq!(entry.stake, executor.bonded, "the mirror shows the bond");
                (executor.bonded, executor.unbondings.clone())
            }
        }
    }

    fn set(self, w: &mut World, bonded: u64, unbondings: Vec<Unbonding>) {
        match self {
            Self::Token => w.edit_token(|t| (t.bonded, t.unbondings) = (bonded, unbondings)),
            Self::Executor => {
                w.edit_executor(0, |e| (e.bonded, e.unbondings) = (bonded, unbondings));
                let id = w.executors[0];
                w.edit_cluster(|c| {
                    for entry in &mut c.executors {
                        if entry.id == id {
                            entry.stake = bonded;
                        }
                    }
                });
            }
        }
    }
}

#[test]
fn in_and_out_again() {
    for kind in Kind::BOTH {
        let mut w = World::new();
        kind.set(&mut w, 0, Vec::new());
        let effects = w.ok(w.stranger, kind.deposit(&w, 3 * SUI));
        assert_eq!((effects.debit, effects.credits), (3 * SUI, vec![]));
        w.ok(w.stranger, kind.deposit(&w, 1));
        assert_eq!(kind.stake(&w).0, 3 * SUI + 1);

        let owner = kind.owner(&w);
        w.ok(owner, kind.unstake(&w, SUI));
        w.now = START + 5;
        w.ok(owner, kind.unstake(&w, 2 * SUI));
        assert_eq!(kind.stake(&w).0, 1);
        w.now = START + 7 * DAY - 1;
        w.refused(owner, kind.withdraw(&w), Code::StillUnbonding);
        w.now = START + 7 * DAY;
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!((effects.debit, effects.credits), (0, vec![(owner, SUI)]));
        assert_eq!(kind.stake(&w).1.len(), 1, "the other is not due");
        w.refused(owner, kind.withdraw(&w), Code::StillUnbonding);
        // All that is left may be less than 0.01 SUI.
        w.ok(owner, kind.unstake(&w, 1));
        w.now += 30 * DAY;
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!(effects.credits, vec![(owner, 2 * SUI + 1)]);
        assert_eq!(kind.stake(&w), (0, vec![]));
        w.refused(owner, kind.withdraw(&w), Code::StillUnbonding);
    }
}

#[test]
fn nobody_else_takes_it() {
    for kind in Kind::BOTH {
        let mut w = World::new();
        let owner = kind.owner(&w);
        w.ok(owner, kind.unstake(&w, SUI));
        w.now += 7 * DAY;
        for thief in [w.stranger, w.admin, w.gateway, w.owner, w.operator] {
            if thief != owner {
                w.refused(thief, kind.unstake(&w, SUI), Code::NotOwner);
                w.refused(thief, kind.withdraw(&w), Code::NotOwner);
            }
        }
        w.ok(owner, kind.withdraw(&w));
    }
}

#[test]
fn thirty_two_unbondings_of_a_hundredth() {
    const LEAST: u64 = SUI / 100;
    for kind in Kind::BOTH {
        let mut w = World::new();
        kind.set(&mut w, 40 * LEAST, Vec::new());
        let owner = kind.owner(&w);
        w.refused(owner, kind.unstake(&w, LEAST - 1), Code::LimitExceeded);
        for _ in 0..32 {
            w.ok(owner, kind.unstake(&w, LEAST));
        }
        w.refused(owner, kind.unstake(&w, LEAST), Code::LimitExceeded);
        w.refused(owner, kind.unstake(&w, 8 * LEAST), Code::LimitExceeded);
        w.now += 7 * DAY;
        w.ok(owner, kind.withdraw(&w));
        w.ok(owner, kind.unstake(&w, 8 * LEAST));
        // More than there is, and nothing at all.
        let mut w = World::new();
        kind.set(&mut w, LEAST, Vec::new());
        w.refused(owner, kind.unstake(&w, LEAST + 1), Code::InsufficientStake);
        w.refused(owner, kind.unstake(&w, u64::MAX), Code::InsufficientStake);
        w.refused(owner, kind.unstake(&w, 0), Code::ZeroAmount);
        w.refused(owner, kind.deposit(&w, 0), Code::ZeroAmount);
    }
}

/// Sums of 64 bits are refused before they overflow, and what is bonded comes out whole.
#[test]
fn amounts_at_the_edge_of_64_bits() {
    for kind in Kind::BOTH {
        let mut w = World::new();
        let owner = kind.owner(&w);
        kind.set(&mut w, 0, Vec::new());
        w.ok(w.stranger, kind.deposit(&w, u64::MAX));
        w.refused(w.stranger, kind.deposit(&w, 1), Code::LimitExceeded);
        w.ok(owner, kind.unstake(&w, u64::MAX));
        // Nothing is bonded, but with what unbonds one more would be too much.
        w.refused(w.stranger, kind.deposit(&w, 1), Code::LimitExceeded);
        w.refused(w.stranger, kind.deposit(&w, u64::MAX), Code::LimitExceeded);
        w.now += 7 * DAY;
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!(effects.credits, vec![(owner, u64::MAX)]);

        // Should a ledger be loaded with more than there can be, it still does not panic.
        let much = Unbonding {
            amount: u64::MAX,
            unlock_ms: 0,
        };
        kind.set(&mut w, u64::MAX, vec![much, much]);
        let _ = w.token().stake_total();
        let _ = w.executor(0).stake_total();
        w.refused(w.stranger, kind.deposit(&w, 1), Code::LimitExceeded);
        w.ok(owner, kind.withdraw(&w));
    }
}

#[test]
fn clocks_at_the_edge_of_64_bits() {
    for kind in Kind::BOTH {
        let mut w = World::new();
        let owner = kind.owner(&w);
        w.now = u64::MAX - 1;
        w.ok(owner, kind.unstake(&w, SUI));
        assert_eq!(kind.stake(&w).1[0].unlock_ms, u64::MAX);
        w.refused(owner, kind.withdraw(&w), Code::StillUnbonding);
        w.now = u64::MAX;
        w.ok(owner, kind.withdraw(&w));
        w.now = 0;
        w.ok(owner, kind.unstake(&w, SUI));
        assert_eq!(kind.stake(&w).1[0].unlock_ms, 7 * DAY);
    }
    // A request admitted at the end of time can be answered and pruned there.
    let mut w = World::new();
    w.edit_token(|t| {
        t.expires_at_ms = u64::MAX;
        t.delegates.insert(address("gateway"), u64::MAX);
    });
    w.now = u64::MAX - 2;
    let mut request = w.list_pods(1);
    request.deadline_ms = u64::MAX;
    w.admit(request);
    let mut request = w.create_pod(2);
    request.deadline_ms = u64::MAX - 1;
    w.admit(request);
    w.now = u64::MAX;
    w.signed_ok(w.answer(1, 200));
    w.signed_ok(w.claim(2, w.executors[0]));
    w.signed_ok(w.answer(2, 504));
    w.ok(
        w.stranger,
        Call::PruneResponses {
            token: w.token,
            request_ids: vec![super::world::request_id(1), super::world::request_id(2)],
        },
    );
    assert_eq!(w.token().unanswered, 0);
}

/// A policy that changes moves no unlock time that is set.
#[test]
fn unlock_times_stay() {
    for kind in Kind::BOTH {
        let mut w = World::new();
        let owner = kind.owner(&w);
        w.ok(owner, kind.unstake(&w, SUI));
        w.edit_cluster(|c| c.policy.unbonding_ms = 30 * DAY);
        w.ok(owner, kind.unstake(&w, 2 * SUI));
        w.now = START + 7 * DAY;
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!(effects.credits, vec![(owner, SUI)]);
        w.edit_cluster(|c| c.policy.unbonding_ms = 0);
        w.refused(owner, kind.withdraw(&w), Code::StillUnbonding);
        w.ok(owner, kind.unstake(&w, SUI));
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!(effects.credits, vec![(owner, SUI)]);
        w.now = START + 30 * DAY;
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!(effects.credits, vec![(owner, 2 * SUI)]);
    }
}

/// Revoked, expired, of an older version: the owner gets it out all the same.
#[test]
fn stake_is_never_stranded() {
    for kind in Kind::BOTH {
        let mut w = World::new();
        let owner = kind.owner(&w);
        w.edit_token(|t| (t.revoked, t.version, t.expires_at_ms) = (true, 0, 1));
        w.edit_cluster(|c| c.version = 0);
        let all = kind.stake(&w).0;
        w.ok(owner, kind.unstake(&w, all));
        w.now += 7 * DAY;
        let effects = w.ok(owner, kind.withdraw(&w));
        assert_eq!(effects.credits, vec![(owner, all)]);
        // More is not put there, unless the token is merely revoked or expired.
        w.refused(owner, kind.deposit(&w, 1), Code::WrongVersion);
    }
    let mut w = World::new();
    w.edit_token(|t| (t.revoked, t.expires_at_ms) = (true, 1));
    w.ok(w.owner, Kind::Token.deposit(&w, 1));

    // Of an executor that was removed, too.
    let mut w = World::new();
    let (cap, cluster, executor) = (w.cap, w.cluster, w.executors[0]);
    w.ok(
        w.admin,
        Call::DeactivateExecutor {
            cap,
            cluster,
            executor,
        },
    );
    w.ok(
        w.admin,
        Call::RemoveExecutor {
            cap,
            cluster,
            executor,
        },
    );
    let all = w.executor(0).bonded;
    w.ok(w.operator, Kind::Executor.unstake(&w, all));
    w.now += 7 * DAY;
    w.ok(w.operator, Kind::Executor.withdraw(&w));
    assert_eq!(w.executor(0).stake_total(), 0);
}

const TOKEN_OLD: Break = (Code::WrongVersion, |c| {
    c.world.edit_token(|t| t.version = 0)
});
const CLUSTER_OLD: Break = (Code::WrongVersion, |c| {
    c.world.edit_cluster(|cluster| cluster.version = 0);
});
const STRANGER: Break = (Code::NotOwner, |c| c.sender = c.world.stranger);

fn set_amount(call: &mut Call, to: u64) {
    match call {
        Call::DepositStake { amount, .. }
        | Call::DepositExecutorStake { amount, .. }
        | Call::Unstake { amount, .. }
        | Call::UnstakeExecutor { amount, .. } => *amount = to,
        other => panic!("{other:?}"),
    }
}

const ZERO: Break = (Code::ZeroAmount, |c| set_amount(&mut c.call, 0));

#[test]
fn the_order_of_checks_of_a_tokens_stake() {
    assert_order(
        || {
            let w = World::new();
            let (call, stranger) = (Kind::Token.deposit(&w, 1), w.stranger);
            Case::new(w, stranger, call)
        },
        &[
            TOKEN_OLD,
            ZERO,
            (Code::LimitExceeded, |c| {
                c.world.edit_token(|t| t.bonded = u64::MAX)
            }),
        ],
    );
    assert_order(
        || {
            let w = World::new();
            let (call, owner) = (Kind::Token.unstake(&w, SUI), w.owner);
            Case::new(w, owner, call)
        },
        &[
            STRANGER,
            (Code::InvalidSealToken, |c| {
                c.world
                    .edit_token(|t| t.cluster = k3s_daas::types::ClusterId::ZERO);
            }),
            ZERO,
            (Code::InsufficientStake, |c| {
                c.world.edit_token(|t| t.bonded = SUI - 1)
            }),
            (Code::LimitExceeded, |c| {
                c.world.edit_token(|t| {
                    t.unbondings = vec![
                        Unbonding {
                            amount: 1,
                            unlock_ms: 0
                        };
                        32
                    ];
                });
            }),
        ],
    );
    assert_order(
        || {
            let mut w = World::new();
            w.edit_token(|t| {
                t.unbondings = vec![Unbonding {
                    amount: 1,
                    unlock_ms: START,
                }];
            });
            let (call, owner) = (Kind::Token.withdraw(&w), w.owner);
            Case::new(w, owner, call)
        },
        &[
            STRANGER,
            (Code::StillUnbonding, |c| {
                c.world.edit_token(|t| t.unbondings[0].unlock_ms += 1);
            }),
        ],
    );
}

#[test]
fn the_order_of_checks_of_an_executors_stake() {
    assert_order(
        || {
            let w = World::new();
            let (call, stranger) = (Kind::Executor.deposit(&w, 1), w.stranger);
            Case::new(w, stranger, call)
        },
        &[
            CLUSTER_OLD,
            (Code::ExecutorNotEligible, |c| {
                c.world.edit_executor(0, |e| e.slashed = true);
            }),
            ZERO,
            (Code::LimitExceeded, |c| {
                c.world.edit_executor(0, |e| e.bonded = u64::MAX)
            }),
        ],
    );
    assert_order(
        || {
            let w = World::new();
            let (call, operator) = (Kind::Executor.unstake(&w, SUI), w.operator);
            Case::new(w, operator, call)
        },
        &[
            STRANGER,
            (Code::ExecutorNotEligible, |c| {
                c.world
                    .edit_executor(0, |e| e.cluster = k3s_daas::types::ClusterId::ZERO);
            }),
            ZERO,
            (Code::InsufficientStake, |c| {
                c.world.edit_executor(0, |e| e.bonded = SUI - 1)
            }),
            (Code::LimitExceeded, |c| {
                c.world.edit_executor(0, |e| {
                    e.unbondings = vec![
                        Unbonding {
                            amount: 1,
                            unlock_ms: 0
                        };
                        32
                    ];
                });
            }),
        ],
    );
    assert_order(
        || {
            let mut w = World::new();
            w.edit_executor(0, |e| {
                e.unbondings = vec![Unbonding {
                    amount: 1,
                    unlock_ms: START,
                }];
            });
            let (call, operator) = (Kind::Executor.withdraw(&w), w.operator);
            Case::new(w, operator, call)
        },
        &[
            STRANGER,
            (Code::StillUnbonding, |c| {
                c.world.edit_executor(0, |e| e.unbondings[0].unlock_ms += 1);
            }),
        ],
    );
}

#[test]
fn objects_that_are_not_there() {
    let mut w = World::new();
    let call = Call::DepositStake {
        token: TokenId::ZERO,
        amount: 1,
    };
    assert_eq!(
        w.call(w.owner, &call),
        Err(Abort::MissingObject(Address::ZERO))
    );
    assert_eq!(Abort::MissingObject(Address::ZERO).code(), None);
}

#[test]
fn what_the_events_of_stake_say() {
    let mut w = World::new();
    let effects = w.ok(w.stranger, Kind::Token.deposit(&w, 5));
    let [Event::StakeDeposited(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.amount, e.bonded), (5, 10 * SUI + 5));
    assert_eq!(e.depositor, w.stranger);
    let effects = w.ok(w.owner, Kind::Token.unstake(&w, SUI));
    let [Event::StakeUnbonding(e)] = &effects.events[..] else {
        panic!()
    };
    assert_eq!((e.amount, e.unlock_ms), (SUI, START + 7 * DAY));
}
