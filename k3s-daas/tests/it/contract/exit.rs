//! Nobody and nothing keeps a token's stake from its owner for longer than unbonding takes.

use k3s_daas::contract::{Call, Object};
use k3s_daas::types::TokenId;

use super::world::World;

/// Takes everything out of a token, in a copy of the world, and says how that went.
pub(super) fn expect_exit(world: &World, token: TokenId) {
    let held = world.state.token(token).unwrap();
    let total = held.stake_total();
    if total == 0 {
        return;
    }
    let unbonding_ms = world
        .state
        .cluster(held.cluster)
        .unwrap()
        .policy
        .unbonding_ms;
    let owner = held.owner;
    let last = held
        .unbondings
        .iter()
        .map(|u| u.unlock_ms)
        .max()
        .unwrap_or(0);
    let mut w = world.probe();
    // The worst that others can do to it: revoke it, and leave its version behind.
    let mut worst = w.state.token(token).unwrap().clone();
    (worst.revoked, worst.version) = (true, 0);
    w.state.load(Object::Token(worst));
    let mut out = 0;
    let mut withdraw = |w: &mut World| {
        if let Ok(effects) = w.call(owner, &Call::WithdrawStake { token }) {
            assert!(effects.credits.iter().all(|(to, _)| *to == owner));
            out += effects.credits.iter().map(|(_, mist)| mist).sum::<u64>();
        }
    };
    withdraw(&mut w);
    let rest = w.state.token(token).unwrap();
    if rest.unbondings.len() == 32 {
        // Whoever took all 32 places waits for the first to be free.
        w.now = rest.unbondings.iter().map(|u| u.unlock_ms).min().unwrap();
        withdraw(&mut w);
    }
    let rest = w.state.token(token).unwrap().clone();
    let begun = w.now;
    if rest.bonded > 0 {
        w.ok(
            owner,
            Call::Unstake {
                cluster: rest.cluster,
                token,
                amount: rest.bonded,
            },
        );
    }
    w.now = last.max(begun + unbonding_ms);
    withdraw(&mut w);
    assert_eq!(w.state.token(token).unwrap().stake_total(), 0);
    assert_eq!(out, total);
}
