/// Stake of tokens: what goes in comes out, no sooner and no later, and to nobody but its owner.
#[test_only]
module k3s_daas::stake_tests;

use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::seal_token;
use k3s_daas::stake;
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;

use fun world::wait as Clock.wait;

/// The default policy's.
const UNBONDING_MS: u64 = 604_800_000;
const SMALLEST: u64 = 10_000_000;

// === deposit_stake ===

#[test]
fun a_deposit_is_told() {
    world::with_token!(|cluster, _, token, _| {
        // The one that the world began with.
        let amount = world::sui(2);
        events::stake_deposited(cluster.id(), token.id(), people::owner(), amount, amount);
        world::check_told<events::StakeDeposited>();
    })
}

#[test]
fun anyone_may_deposit_into_a_revoked_token_too() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::revoke_token(cluster, cap, token);
        token.deposit_stake(world::money(1), &mut people::ctx(people::stranger()));
        assert_eq!(token.bonded(), world::sui(2) + 1);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun deposit_stake_wants_this_version() {
    world::with_token!(|_, _, token, _| {
        token.set_version_for_testing(0);
        token.deposit_stake(world::money(1), &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun deposit_stake_wants_an_amount() {
    world::with_token!(|_, _, token, _| {
        token.deposit_stake(world::money(0), &mut people::ctx(people::owner()));
    })
}

#[test]
fun as_much_as_64_bits_hold_is_taken() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, world::sui(1), clock, ctx);
        token.deposit_stake(world::money(world::max() - world::sui(2)), ctx);
        assert_eq!(token.stake_for_testing().total(), world::max());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun more_than_64_bits_hold_is_refused() {
    world::with_token!(|cluster, _, token, clock| {
        // What unbonds counts.
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, world::sui(1), clock, ctx);
        token.deposit_stake(world::money(world::max() - world::sui(2) + 1), ctx);
    })
}

// === unstake ===

#[test]
fun an_unbonding_is_told() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        assert_eq!(token.bonded(), world::sui(2) - SMALLEST);
        assert_eq!(token.stake_for_testing().total(), world::sui(2));
        let unlock_ms = fixtures::now_ms() + UNBONDING_MS;
        events::stake_unbonding(cluster.id(), token.id(), SMALLEST, unlock_ms);
        world::check_told<events::StakeUnbonding>();
    })
}

#[test]
fun all_that_is_left_may_be_little() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, world::sui(2) - 1, clock, ctx);
        seal_token::unstake(cluster, token, 1, clock, ctx);
        assert_eq!(token.bonded(), 0);
    })
}

#[test]
fun stake_leaves_revoked_expired_and_older_tokens_and_clusters() {
    world::with_token!(|cluster, cap, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::revoke_token(cluster, cap, token);
        clock.wait(world::day_ms());
        cluster.set_version_for_testing(2);
        token.set_version_for_testing(0);
        seal_token::unstake(cluster, token, world::sui(2), clock, ctx);
        clock.wait(UNBONDING_MS);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), world::sui(2));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun a_delegate_does_not_unstake() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::delegate());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun unstake_wants_its_own_cluster() {
    world::with_token!(|_, _, token, clock| {
        let (other, cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(&other, token, SMALLEST, clock, ctx);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun unstake_wants_an_amount() {
    world::with_token!(|cluster, _, token, clock| {
        seal_token::unstake(cluster, token, 0, clock, &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun nothing_of_nothing_is_an_amount_of_zero() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, world::sui(2), clock, ctx);
        seal_token::unstake(cluster, token, 0, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun unstake_takes_no_more_than_is_bonded() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, world::sui(2) + 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun an_unbonding_is_not_too_small() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST - 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun there_is_no_33rd_unbonding() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        33u64.do!(|_| seal_token::unstake(cluster, token, SMALLEST, clock, ctx));
    })
}

#[test]
fun a_paid_unbonding_makes_room_for_another() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        32u64.do!(|_| seal_token::unstake(cluster, token, SMALLEST, clock, ctx));
        clock.wait(UNBONDING_MS);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), 32 * SMALLEST);
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
    })
}

// === withdraw_stake ===

#[test]
fun stake_is_paid_when_it_is_unlocked_and_not_before() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        clock.wait(1);
        seal_token::unstake(cluster, token, 2 * SMALLEST, clock, ctx);
        clock.wait(UNBONDING_MS - 1);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), SMALLEST);
        let now_ms = fixtures::now_ms() + UNBONDING_MS;
        events::stake_withdrawn(cluster.id(), token.id(), SMALLEST, people::owner(), now_ms);
        world::check_told<events::StakeWithdrawn>();
        clock.wait(1);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), 2 * SMALLEST);
        assert_eq!(token.stake_for_testing().total(), world::sui(2) - 3 * SMALLEST);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EStillUnbonding)]
fun stake_is_not_paid_a_millisecond_too_early() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        clock.wait(UNBONDING_MS - 1);
        world::spend(token.withdraw_stake(clock, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EStillUnbonding)]
fun bonded_stake_is_not_paid() {
    world::with_token!(|_, _, token, clock| {
        clock.wait(UNBONDING_MS);
        world::spend(token.withdraw_stake(clock, &mut people::ctx(people::owner())));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EStillUnbonding)]
fun stake_is_paid_once() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        clock.wait(UNBONDING_MS);
        world::spend(token.withdraw_stake(clock, ctx));
        world::spend(token.withdraw_stake(clock, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun stake_is_paid_to_nobody_else() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        clock.wait(UNBONDING_MS);
        world::spend(token.withdraw_stake(clock, &mut people::ctx(people::admin())));
    })
}

#[test]
fun a_new_policy_moves_no_unlock_time() {
    world::with_token!(|cluster, cap, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        cluster.set_policy(cap, world::policy_of_times(2_592_000_000, 10_000, world::ttls()));
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        clock.wait(UNBONDING_MS);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), SMALLEST);
        clock.set_for_testing(fixtures::now_ms() + 2_592_000_000);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), SMALLEST);
    })
}

#[test]
fun no_unbonding_time_pays_at_once() {
    world::with_token!(|cluster, cap, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        cluster.set_policy(cap, world::policy_of_times(0, 10_000, world::ttls()));
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), SMALLEST);
    })
}

#[test]
fun at_the_end_of_time_stake_still_leaves() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        clock.set_for_testing(world::max() - 1);
        seal_token::unstake(cluster, token, SMALLEST, clock, ctx);
        clock.set_for_testing(world::max());
        assert_eq!(world::spend(token.withdraw_stake(clock, ctx)), SMALLEST);
    })
}

// === Conservation ===

/// Whatever is deposited, unbonded, withdrawn and taken: nothing is made and nothing lost.
#[random_test]
fun what_goes_in_comes_out(seed: vector<u8>) {
    let mut stake = stake::new();
    let (mut given, mut received, mut now_ms) = (0u64, 0u64, 0u64);
    seed.do!(|byte| {
        let amount = SMALLEST + (byte as u64);
        let unlocked = stake.unlocked_for_testing(now_ms);
        match (byte % 5) {
            0 | 1 => {
                given = given + amount;
                stake.deposit(world::money(amount));
            },
            2 => if (amount <= stake.bonded() && stake.unbondings_for_testing() < 32) {
                let unlock_ms = stake.unbond(amount, now_ms, 100);
                assert_eq!(unlock_ms, now_ms + 100);
            },
            3 => if (unlocked > 0) {
                let paid = world::spend(stake.withdraw(now_ms));
                assert_eq!(paid, unlocked);
                received = received + paid;
            },
            _ => now_ms = now_ms + (byte as u64),
        };
        assert_eq!(given, received + stake.total());
        assert!(stake.bonded() <= stake.total());
        assert_eq!(stake.total() - stake.bonded(), stake.unbonding_sum_for_testing());
    });
    received = received + world::spend(stake.take_all());
    assert_eq!(given, received);
    assert_eq!(stake.total(), 0);
    assert_eq!(stake.unbondings_for_testing(), 0);
    world::drop(stake);
}
