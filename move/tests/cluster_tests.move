#[test_only]
module k3s_daas::cluster_tests;

use k3s_daas::cluster;
use k3s_daas::cluster_policy;
use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::world;
use std::unit_test::assert_eq;

// === create_cluster ===

#[test]
fun a_cluster_is_told_with_its_capability() {
    let policy = world::policy_of_pcrs(true);
    let ctx = &mut people::ctx_of(people::admin(), 1);
    let (cluster, cap) = cluster::create_cluster(b"production", fixtures::chain(), policy, ctx);
    events::cluster_created(
        fixtures::cluster(),
        1,
        b"production",
        fixtures::chain(),
        fixtures::cap(),
        people::admin(),
        policy,
    );
    world::check_told<events::ClusterCreated>();
    assert_eq!(*cluster.policy(), policy);
    assert_eq!(cluster.registrations(), 0);
    assert_eq!(cluster.insurance(), 0);
    cluster.share();
    world::drop(cap);
}

#[test]
fun a_name_of_253_bytes_fits() {
    create_named(vector::tabulate!(253, |_| 0x61));
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun a_name_of_254_bytes_does_not() {
    create_named(vector::tabulate!(254, |_| 0x61));
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun a_cluster_needs_a_name() {
    create_named(b"");
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun a_cluster_needs_a_good_policy() {
    create_with(world::policy_of_times(0, 0, world::ttls()));
}

// === set_policy ===

#[test]
fun a_policy_is_replaced() {
    world::with_cluster!(|cluster, cap| {
        let policy = world::policy_of_stakes(5, 7);
        cluster.set_policy(cap, policy);
        assert_eq!(*cluster.policy(), policy);
        events::cluster_policy_set(cluster.id(), policy);
        world::check_told<events::ClusterPolicySet>();
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun set_policy_wants_this_version() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_version_for_testing(2);
        cluster.set_policy(cap, cluster_policy::default());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun set_policy_wants_its_own_cap() {
    world::with_other_cap!(|cluster, cap| cluster.set_policy(cap, cluster_policy::default()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun set_policy_wants_a_good_one() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_policy(cap, world::policy_of_stakes(1_000_000_000_000_001, 0));
    })
}

// === migrate_cluster ===

#[test]
fun a_cluster_of_an_older_version_is_migrated() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_version_for_testing(0);
        cluster.migrate_cluster(cap);
        assert!(cluster.is_current());
        events::cluster_migrated(cluster.id(), 1);
        world::check_told<events::ClusterMigrated>();
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun migrate_cluster_wants_its_own_cap() {
    // Before the version, which would refuse it too.
    world::with_other_cap!(|cluster, cap| cluster.migrate_cluster(cap))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun a_current_cluster_is_not_migrated() {
    world::with_cluster!(|cluster, cap| cluster.migrate_cluster(cap))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun a_later_cluster_is_not_migrated_back() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_version_for_testing(2);
        cluster.migrate_cluster(cap);
    })
}

// === withdraw_insurance ===

#[test]
fun insurance_is_paid_to_the_admin() {
    world::with_cluster!(|cluster, cap| {
        cluster.insure_for_testing(10);
        let ctx = &mut people::ctx(people::admin());
        assert_eq!(world::spend(cluster.withdraw_insurance(cap, 4, ctx)), 4);
        events::insurance_withdrawn(cluster.id(), 4, people::admin());
        world::check_told<events::InsuranceWithdrawn>();
        // To the last MIST.
        assert_eq!(world::spend(cluster.withdraw_insurance(cap, 6, ctx)), 6);
        assert_eq!(cluster.insurance(), 0);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun withdraw_insurance_wants_this_version() {
    world::with_cluster!(|cluster, cap| {
        cluster.insure_for_testing(10);
        cluster.set_version_for_testing(0);
        let ctx = &mut people::ctx(people::admin());
        world::spend(cluster.withdraw_insurance(cap, 4, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun withdraw_insurance_wants_its_own_cap() {
    world::with_other_cap!(|cluster, cap| {
        cluster.insure_for_testing(10);
        let ctx = &mut people::ctx(people::admin());
        world::spend(cluster.withdraw_insurance(cap, 4, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun withdraw_insurance_wants_an_amount() {
    world::with_cluster!(|cluster, cap| {
        cluster.insure_for_testing(10);
        let ctx = &mut people::ctx(people::admin());
        world::spend(cluster.withdraw_insurance(cap, 0, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun withdraw_insurance_pays_no_more_than_there_is() {
    world::with_cluster!(|cluster, cap| {
        cluster.insure_for_testing(10);
        let ctx = &mut people::ctx(people::admin());
        world::spend(cluster.withdraw_insurance(cap, 11, ctx));
    })
}

// === activate_executor, deactivate_executor, remove_executor ===

#[test]
fun an_executor_is_deactivated_and_activated() {
    world::with_cluster!(|cluster, cap| {
        let alpha = fixtures::alpha();
        cluster.deactivate_executor(cap, alpha);
        assert!(!cluster.entry_for_testing(alpha).destroy_some().is_active_for_testing());
        cluster.activate_executor(cap, alpha);
        assert!(cluster.entry_for_testing(alpha).destroy_some().is_active_for_testing());
        events::executor_deactivated(cluster.id(), alpha);
        world::check_told<events::ExecutorDeactivated>();
        events::executor_activated(cluster.id(), alpha);
        world::check_told<events::ExecutorActivated>();
    })
}

#[test]
fun an_inactive_executor_is_removed() {
    world::with_cluster!(|cluster, cap| {
        let alpha = fixtures::alpha();
        cluster.deactivate_executor(cap, alpha);
        cluster.remove_executor(cap, alpha);
        assert!(cluster.entry_for_testing(alpha).is_none());
        events::executor_removed(cluster.id(), alpha);
        world::check_told<events::ExecutorRemoved>();
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun activate_executor_wants_this_version() {
    world::with_cluster!(|cluster, cap| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.set_version_for_testing(0);
        cluster.activate_executor(cap, fixtures::alpha());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun activate_executor_wants_its_own_cap() {
    world::in_world!(|cluster, cap, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.activate_executor(&other_cap, fixtures::alpha());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun activate_executor_wants_a_known_one() {
    world::with_cluster!(|cluster, cap| cluster.activate_executor(cap, fixtures::beta()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun activate_executor_wants_an_inactive_one() {
    world::with_cluster!(|cluster, cap| cluster.activate_executor(cap, fixtures::alpha()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun deactivate_executor_wants_this_version() {
    world::with_cluster!(|cluster, cap| {
        cluster.set_version_for_testing(0);
        cluster.deactivate_executor(cap, fixtures::alpha());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun deactivate_executor_wants_its_own_cap() {
    world::with_other_cap!(|cluster, cap| cluster.deactivate_executor(cap, fixtures::alpha()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun deactivate_executor_wants_a_known_one() {
    world::with_cluster!(|cluster, cap| cluster.deactivate_executor(cap, fixtures::beta()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun deactivate_executor_wants_an_active_one() {
    world::with_cluster!(|cluster, cap| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.deactivate_executor(cap, fixtures::alpha());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun remove_executor_wants_this_version() {
    world::with_cluster!(|cluster, cap| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.set_version_for_testing(0);
        cluster.remove_executor(cap, fixtures::alpha());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun remove_executor_wants_its_own_cap() {
    world::in_world!(|cluster, cap, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.remove_executor(&other_cap, fixtures::alpha());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun remove_executor_wants_a_known_one() {
    world::with_cluster!(|cluster, cap| cluster.remove_executor(cap, fixtures::beta()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun remove_executor_wants_an_inactive_one() {
    world::with_cluster!(|cluster, cap| cluster.remove_executor(cap, fixtures::alpha()))
}

// === Assigning ===

#[test]
fun the_heavier_wins_and_a_tie_goes_to_the_lower_id() {
    assert!(cluster::is_before_for_testing(2, @0x9, 1, @0x1));
    assert!(!cluster::is_before_for_testing(1, @0x1, 2, @0x9));
    assert!(cluster::is_before_for_testing(1, @0x1, 1, @0x2));
    assert!(!cluster::is_before_for_testing(1, @0x2, 1, @0x1));
    assert!(!cluster::is_before_for_testing(1, @0x1, 1, @0x1));
}

#[test]
fun requests_spread_over_the_executors_and_epochs_change_who() {
    world::in_world!(|cluster, cap, _, _, _| {
        let beta = world::add_beta(cluster, cap);
        let mut of_alpha = 0;
        200u64.do!(|n| {
            let mut id = sui::bcs::to_bytes(&(n as u256));
            id.append(b"tail");
            let chosen = cluster.assign(fixtures::token(), &id, 0, option::none()).destroy_some();
            if (chosen == fixtures::alpha()) of_alpha = of_alpha + 1;
            // Without it, it is the other one; and always the same.
            let other = cluster.assign(fixtures::token(), &id, 0, option::some(chosen));
            assert!(other.destroy_some() != chosen);
            let again = cluster.assign(fixtures::token(), &id, 0, option::none());
            assert_eq!(again.destroy_some(), chosen);
        });
        assert!(of_alpha > 60 && of_alpha < 140);
        let id = fixtures::read().id();
        let chosen = vector::tabulate!(32, |epoch| {
            cluster.assign(fixtures::token(), &id, epoch, option::none()).destroy_some()
        });
        assert!(chosen.contains(&fixtures::alpha()) && chosen.contains(&fixtures::beta()));
        world::drop(beta);
    })
}

#[test]
fun the_weight_is_a_hash_over_executor_token_id_and_epoch() {
    // By hand, as any client computes it.
    world::in_world!(|cluster, cap, _, _, _| {
        let beta = world::add_beta(cluster, cap);
        20u64.do!(|epoch| {
            let alphas = weight(fixtures::alpha(), epoch);
            let betas = weight(fixtures::beta(), epoch);
            let expected = if (alphas > betas) fixtures::alpha() else fixtures::beta();
            let id = fixtures::read().id();
            let chosen = cluster.assign(fixtures::token(), &id, epoch, option::none());
            assert_eq!(chosen.destroy_some(), expected);
        });
        world::drop(beta);
    })
}

#[test]
fun nobody_is_assigned_where_nobody_is_eligible() {
    world::with_cluster!(|cluster, cap| {
        let id = fixtures::read().id();
        let alone = option::some(fixtures::alpha());
        assert!(cluster.assign(fixtures::token(), &id, 0, alone).is_none());
        cluster.deactivate_executor(cap, fixtures::alpha());
        assert!(cluster.assign(fixtures::token(), &id, 0, option::none()).is_none());
    })
}

#[test]
fun eligible_is_who_has_the_stake() {
    world::in_world!(|cluster, cap, _, executor, _| {
        let id = fixtures::read().id();
        cluster.set_policy(cap, world::policy_of_stakes(0, 5));
        let ctx = &mut people::ctx(people::operator());
        k3s_daas::executor::deposit_executor_stake(cluster, executor, world::money(4), ctx);
        assert!(cluster.assign(fixtures::token(), &id, 0, option::none()).is_none());
        k3s_daas::executor::deposit_executor_stake(cluster, executor, world::money(1), ctx);
        assert!(cluster.assign(fixtures::token(), &id, 0, option::none()).is_some());
    })
}

#[test]
fun eligible_is_who_is_attested_as_the_policy_wants() {
    world::with_cluster!(|cluster, cap| {
        let id = fixtures::read().id();
        // PCRs that are not required keep nobody out.
        cluster.set_policy(cap, world::policy_of_pcrs(false));
        assert!(cluster.assign(fixtures::token(), &id, 0, option::none()).is_some());
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        assert!(cluster.assign(fixtures::token(), &id, 0, option::none()).is_none());
    })
}

// === Helpers ===

fun create_named(name: vector<u8>) {
    let ctx = &mut people::ctx(people::admin());
    let policy = cluster_policy::default();
    let (cluster, cap) = cluster::create_cluster(name, fixtures::chain(), policy, ctx);
    world::drop(cluster);
    world::drop(cap);
}

fun create_with(policy: cluster_policy::ClusterPolicy) {
    let ctx = &mut people::ctx(people::admin());
    let (cluster, cap) = cluster::create_cluster(b"production", fixtures::chain(), policy, ctx);
    world::drop(cluster);
    world::drop(cap);
}

fun weight(executor: address, epoch: u64): u256 {
    let mut bytes = sui::bcs::to_bytes(&executor);
    bytes.append(sui::bcs::to_bytes(&fixtures::token()));
    bytes.append(fixtures::read().id());
    bytes.append(sui::bcs::to_bytes(&epoch));
    let hash = sui::hash::blake2b256(&bytes);
    hash.fold!(0u256, |sum, byte| (sum << 8) | (byte as u256))
}
