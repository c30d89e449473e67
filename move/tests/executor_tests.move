#[test_only]
module k3s_daas::executor_tests;

use k3s_daas::calls::Answer;
use k3s_daas::cluster::{Cluster, ClusterAdminCap};
use k3s_daas::events;
use k3s_daas::executor::{Self, ExecutorState};
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;

use fun world::wait as Clock.wait;

const UNBONDING_MS: u64 = 604_800_000;
const SMALLEST: u64 = 10_000_000;

// === register_executor ===

#[test]
fun an_executor_is_told() {
    let (cluster, cap, token, executor, clock) = world::new();
    events::executor_registered(
        cluster.id(),
        fixtures::alpha(),
        people::operator(),
        fixtures::alpha_key(),
        vector::tabulate!(32, |_| 0x25),
        vector[],
        1,
    );
    world::check_told<events::ExecutorRegistered>();
    assert_eq!(cluster.registrations(), 1);
    assert!(cluster.entry_for_testing(fixtures::alpha()).destroy_some().is_active_for_testing());
    assert_eq!(executor.anchored_last(), 0);
    assert_eq!(*executor.anchored_root(), vector::tabulate!(32, |_| 0));
    executor.share();
    world::drop(cluster);
    world::drop(cap);
    world::drop(token);
    clock.destroy_for_testing();
}

#[test]
fun a_cluster_has_64_executors() {
    world::with_cluster!(|cluster, cap| register_many(cluster, cap, 63))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun a_cluster_has_no_65th_executor() {
    world::with_cluster!(|cluster, cap| register_many(cluster, cap, 64))
}

#[test]
fun a_removed_executor_makes_room_and_its_key_may_come_again() {
    world::with_cluster!(|cluster, cap| {
        register_many(cluster, cap, 63);
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.remove_executor(cap, fixtures::alpha());
        register(cluster, cap, fixtures::alpha_key(), encryption_key());
        assert_eq!(cluster.registrations(), 65);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun register_executor_wants_this_version() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_version_for_testing(0);
        register(cluster, cap, fixtures::beta_key(), encryption_key());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun register_executor_wants_its_own_cap() {
    world::with_other_cap!(|cluster, cap| {
        register(cluster, cap, fixtures::beta_key(), encryption_key());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun a_signing_key_is_not_of_small_order() {
    world::with_cluster!(|cluster, cap| {
        register(cluster, cap, vector::tabulate!(32, |_| 0), encryption_key());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun an_encryption_key_has_32_bytes() {
    world::with_cluster!(|cluster, cap| {
        register(cluster, cap, fixtures::beta_key(), vector::tabulate!(31, |_| 1));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun two_executors_have_two_keys() {
    world::with_cluster!(|cluster, cap| {
        register(cluster, cap, fixtures::alpha_key(), encryption_key());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun a_slashed_key_never_comes_again() {
    world::in_world!(|cluster, cap, _, executor, _| {
        slash(cluster, executor);
        cluster.remove_executor(cap, fixtures::alpha());
        register(cluster, cap, fixtures::alpha_key(), encryption_key());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationMissing)]
fun attestation_is_missing_where_it_is_required() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        register(cluster, cap, fixtures::beta_key(), encryption_key());
    })
}

#[test]
fun attestation_is_not_missing_where_it_is_not_required() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_policy(cap, world::policy_of_pcrs(false));
        register(cluster, cap, fixtures::beta_key(), encryption_key());
    })
}

// === deposit_executor_stake ===

#[test]
fun a_deposit_is_mirrored_and_told() {
    world::in_world!(|cluster, _, _, executor, _| {
        deposit(cluster, executor, 5);
        assert_eq!(executor.stake_for_testing().bonded(), 5);
        assert_eq!(mirrored(cluster), 5);
        let stranger = people::stranger();
        events::executor_stake_deposited(cluster.id(), fixtures::alpha(), stranger, 5, 5);
        world::check_told<events::ExecutorStakeDeposited>();
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun deposit_executor_stake_wants_this_version() {
    world::in_world!(|cluster, _, _, executor, _| {
        cluster.set_version_for_testing(0);
        deposit(cluster, executor, 5);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun deposit_executor_stake_wants_its_own_cluster() {
    world::in_world!(|_, _, _, executor, _| {
        let (mut other, cap) = world::another_cluster();
        deposit(&mut other, executor, 5);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun a_slashed_executor_takes_no_stake() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash(cluster, executor);
        deposit(cluster, executor, 5);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun deposit_executor_stake_wants_an_amount() {
    world::in_world!(|cluster, _, _, executor, _| deposit(cluster, executor, 0))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun deposit_executor_stake_takes_what_64_bits_hold() {
    world::in_world!(|cluster, _, _, executor, _| {
        deposit(cluster, executor, world::max());
        deposit(cluster, executor, 1);
    })
}

// === unstake_executor, withdraw_executor_stake ===

#[test]
fun an_operator_gets_its_stake_back() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, world::sui(1), clock, ctx);
        assert_eq!(mirrored(cluster), world::sui(2));
        let unlock_ms = fixtures::now_ms() + UNBONDING_MS;
        let alpha = fixtures::alpha();
        events::executor_stake_unbonding(cluster.id(), alpha, world::sui(1), unlock_ms);
        world::check_told<events::ExecutorStakeUnbonding>();
        clock.wait(UNBONDING_MS);
        assert_eq!(world::spend(executor.withdraw_executor_stake(clock, ctx)), world::sui(1));
        let operator = people::operator();
        events::executor_stake_withdrawn(
            cluster.id(),
            alpha,
            world::sui(1),
            operator,
            unlock_ms,
        );
        world::check_told<events::ExecutorStakeWithdrawn>();
    })
}

#[test]
fun a_removed_executor_gets_its_stake_back_from_a_cluster_of_any_version() {
    world::in_world!(|cluster, cap, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.remove_executor(cap, fixtures::alpha());
        deposit(cluster, executor, world::sui(1));
        cluster.set_version_for_testing(2);
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, world::sui(4), clock, ctx);
        clock.wait(UNBONDING_MS);
        assert_eq!(world::spend(executor.withdraw_executor_stake(clock, ctx)), world::sui(4));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun the_admin_does_not_unstake_an_executor() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::admin());
        executor::unstake_executor(cluster, executor, world::sui(1), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun unstake_executor_wants_its_own_cluster() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let (mut other, cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(&mut other, executor, world::sui(1), clock, ctx);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun unstake_executor_wants_an_amount() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, 0, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun unstake_executor_takes_no_more_than_is_bonded() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, world::sui(3) + 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun an_executors_unbonding_is_not_too_small() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, SMALLEST - 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun an_executor_has_no_33rd_unbonding() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        33u64.do!(|_| executor::unstake_executor(cluster, executor, SMALLEST, clock, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun executor_stake_is_paid_to_nobody_else() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, world::sui(1), clock, ctx);
        clock.wait(UNBONDING_MS);
        let ctx = &mut people::ctx(people::stranger());
        world::spend(executor.withdraw_executor_stake(clock, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EStillUnbonding)]
fun executor_stake_is_not_paid_a_millisecond_too_early() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3));
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, world::sui(1), clock, ctx);
        clock.wait(UNBONDING_MS - 1);
        world::spend(executor.withdraw_executor_stake(clock, ctx));
    })
}

// === slash_equivocation ===

#[test]
fun an_equivocation_costs_all_stake_bonded_or_not() {
    world::in_world!(|cluster, _, _, executor, clock| {
        deposit(cluster, executor, world::sui(3) + 9);
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(cluster, executor, world::sui(1), clock, ctx);
        let reward = slash(cluster, executor);
        // A tenth, rounded down.
        assert_eq!(reward, 300_000_000);
        assert_eq!(cluster.insurance(), 2_700_000_009);
        assert_eq!(executor.stake_for_testing().total(), 0);
        assert!(executor.is_slashed_for_testing());
        assert_eq!(mirrored(cluster), 0);
        let entry = cluster.entry_for_testing(fixtures::alpha()).destroy_some();
        assert!(!entry.is_active_for_testing());
        events::executor_slashed(
            cluster.id(),
            fixtures::alpha(),
            people::stranger(),
            fixtures::token(),
            fixtures::read().id(),
            0,
            300_000_000,
            2_700_000_009,
        );
        world::check_told<events::ExecutorSlashed>();
    })
}

#[test]
fun an_executor_without_stake_is_slashed_too() {
    world::in_world!(|cluster, _, _, executor, _| {
        assert_eq!(slash(cluster, executor), 0);
        assert!(executor.is_slashed_for_testing());
    })
}

#[test]
fun a_hash_makes_two_answers_differ() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::other_hash());
    })
}

#[test]
fun a_length_makes_two_answers_differ() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::other_length(), fixtures::ok());
    })
}

#[test]
fun a_key_that_came_again_is_no_better_there() {
    world::in_world!(|cluster, cap, _, executor, _| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.remove_executor(cap, fixtures::alpha());
        let again = register_unshared(cluster, cap, fixtures::alpha_key(), encryption_key());
        slash(cluster, executor);
        let entry = cluster.entry_for_testing(again.id()).destroy_some();
        assert!(!entry.is_active_for_testing());
        world::drop(again);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun a_slashed_key_that_came_again_is_not_activated() {
    world::in_world!(|cluster, cap, _, executor, _| {
        slash(cluster, executor);
        cluster.activate_executor(cap, fixtures::alpha());
    })
}

#[test]
fun one_key_may_be_slashed_as_two_executors() {
    world::in_world!(|cluster, cap, _, executor, _| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.remove_executor(cap, fixtures::alpha());
        let mut again = register_unshared(cluster, cap, fixtures::alpha_key(), encryption_key());
        deposit(cluster, &mut again, 100);
        slash(cluster, executor);
        assert_eq!(slash(cluster, &mut again), 10);
        assert_eq!(cluster.insurance(), 90);
        world::drop(again);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun slash_equivocation_wants_this_version() {
    world::in_world!(|cluster, _, _, executor, _| {
        cluster.set_version_for_testing(0);
        slash(cluster, executor);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun slash_equivocation_wants_its_own_cluster() {
    world::in_world!(|_, _, _, executor, _| {
        let (mut other, cap) = world::another_cluster();
        slash(&mut other, executor);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun an_executor_is_slashed_once() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash(cluster, executor);
        slash(cluster, executor);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun answers_to_two_requests_may_differ() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::other_request());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun answers_at_two_epochs_may_differ() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::next_epoch());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun answers_to_two_digests_may_differ() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::other_digest());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun answers_to_two_ids_of_one_digest_may_differ() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::other_id());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun the_same_answer_twice_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::ok());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun the_same_answer_at_another_time_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::later());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun the_same_answer_sealed_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::sealed_without_key());
    })
}

#[test]
fun the_furthest_outcomes_contradict_each_other() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::lowest_status(), fixtures::highest_status());
        assert!(executor.is_slashed_for_testing());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_first_answer_below_200_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::low_status(), fixtures::not_found());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_second_answer_below_200_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::not_found(), fixtures::low_status());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_first_answer_above_599_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::high_status(), fixtures::not_found());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_second_answer_above_599_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::not_found(), fixtures::high_status());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_first_answer_of_short_hash_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::short_hash(), fixtures::not_found());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_second_answer_of_short_hash_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::not_found(), fixtures::short_hash());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_first_answer_of_no_length_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::no_length(), fixtures::not_found());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_second_answer_of_no_length_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::not_found(), fixtures::no_length());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_first_answer_too_long_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::too_long(), fixtures::not_found());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun a_second_answer_too_long_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::not_found(), fixtures::too_long());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun the_first_answer_is_signed() {
    world::in_world!(|cluster, _, _, executor, _| {
        let unsigned = fixtures::ok().with_status(201);
        slash_by(cluster, executor, unsigned, fixtures::not_found());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun the_second_answer_is_signed() {
    world::in_world!(|cluster, _, _, executor, _| {
        slash_by(cluster, executor, fixtures::ok(), fixtures::by_beta());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun an_answer_for_another_token_is_none() {
    world::in_world!(|cluster, _, _, executor, _| {
        let (first, second) = (fixtures::ok().signed(), fixtures::not_found().signed());
        let ctx = &mut people::ctx(people::stranger());
        world::spend(executor::slash_equivocation(cluster, executor, @0x7, first, second, ctx));
    })
}

#[test]
fun insurance_takes_as_much_as_64_bits_hold() {
    world::in_world!(|cluster, _, _, executor, _| {
        deposit(cluster, executor, 10);
        cluster.insure_for_testing(world::max() - 9);
        assert_eq!(slash(cluster, executor), 1);
        assert_eq!(cluster.insurance(), world::max());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun insurance_takes_no_more_than_64_bits_hold() {
    world::in_world!(|cluster, _, _, executor, _| {
        deposit(cluster, executor, 10);
        cluster.insure_for_testing(world::max() - 8);
        slash(cluster, executor);
    })
}

// === Helpers ===

fun register(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
) {
    world::drop(register_unshared(cluster, cap, signing_key, encryption_key));
}

fun register_unshared(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
): ExecutorState {
    // Each in a transaction of its own.
    let ctx = &mut people::ctx_of(people::admin(), 1_000 + cluster.registrations());
    let operator = people::operator();
    executor::register_executor(cluster, cap, operator, signing_key, encryption_key, ctx)
}

fun register_many(cluster: &mut Cluster, cap: &ClusterAdminCap, count: u64) {
    count.do!(|n| {
        let key = vector::tabulate!(32, |_| 0x40 + (n as u8));
        register(cluster, cap, key, encryption_key());
    });
}

fun encryption_key(): vector<u8> { vector::tabulate!(32, |_| 0x26) }

fun deposit(cluster: &mut Cluster, executor: &mut ExecutorState, amount: u64) {
    let ctx = &mut people::ctx(people::stranger());
    executor::deposit_executor_stake(cluster, executor, world::money(amount), ctx);
}

fun mirrored(cluster: &Cluster): u64 {
    cluster.entry_for_testing(fixtures::alpha()).destroy_some().stake_for_testing()
}

fun slash(cluster: &mut Cluster, executor: &mut ExecutorState): u64 {
    slash_by(cluster, executor, fixtures::ok(), fixtures::not_found())
}

fun slash_by(
    cluster: &mut Cluster,
    executor: &mut ExecutorState,
    first: Answer,
    second: Answer,
): u64 {
    let ctx = &mut people::ctx(people::stranger());
    let (first, second) = (first.signed(), second.signed());
    let token = fixtures::token();
    world::spend(executor::slash_equivocation(cluster, executor, token, first, second, ctx))
}
