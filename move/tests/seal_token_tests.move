#[test_only]
module k3s_daas::seal_token_tests;

use k3s_daas::cluster::{Cluster, ClusterAdminCap};
use k3s_daas::delegate::{Self, Delegate};
use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;

// === issue_token ===

#[test]
fun a_token_is_told_whole() {
    let (cluster, cap, token, executor, clock) = world::new();
    let delegates = vector[
        delegate::new(people::delegate(), fixtures::now_ms() + world::hour_ms()),
    ];
    events::seal_token_issued(
        fixtures::cluster(),
        fixtures::token(),
        1,
        people::owner(),
        world::rules(),
        vector[b"developers"],
        fixtures::now_ms(),
        fixtures::now_ms() + world::day_ms(),
        delegates,
    );
    world::check_told<events::SealTokenIssued>();
    assert_eq!(token.owner(), people::owner());
    assert_eq!(token.cluster(), cluster.id());
    assert_eq!(*token.rules(), world::rules());
    assert_eq!(token.sequence_for_testing(), 0);
    assert_eq!(token.unanswered(), 0);
    token.share();
    world::drop(cluster);
    world::drop(cap);
    world::drop(executor);
    clock.destroy_for_testing();
}

#[test]
fun a_token_at_every_bound_is_issued() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(cluster, cap, rules_of(32_768), groups(32), delegates(32), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun issue_token_wants_this_version() {
    world::with_token!(|cluster, cap, _, clock| {
        cluster.set_version_for_testing(0);
        issue(cluster, cap, vector[], vector[], vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun issue_token_wants_its_own_cap() {
    world::with_token!(|cluster, _, _, clock| {
        let (other, cap) = world::another_cluster();
        issue(cluster, &cap, vector[], vector[], vector[], clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun rules_are_bounded() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(cluster, cap, rules_of(32_769), vector[], vector[], clock);
    })
}

#[test]
fun rules_of_as_many_entries_as_there_may_be() {
    world::with_token!(|cluster, cap, token, clock| {
        issue(cluster, cap, rules_counting(2_048), vector[], vector[], clock);
        seal_token::set_rules(cluster, cap, token, rules_counting(2_048));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun entries_of_rules_are_bounded() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(cluster, cap, rules_counting(2_049), vector[], vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun rules_without_entries_are_bounded() {
    world::with_token!(|cluster, cap, _, clock| {
        let empty = policy::new_rule(vector[], vector[], vector[], vector[], vector[], vector[]);
        issue(cluster, cap, vector::tabulate!(1_025, |_| empty), vector[], vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun groups_are_bounded() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(cluster, cap, vector[], groups(33), vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun first_delegates_are_bounded() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(cluster, cap, vector[], vector[], delegates(33), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun groups_of_kubernetes_itself_are_refused() {
    world::with_token!(|cluster, cap, _, clock| {
        let groups = vector[b"developers", b"system:masters"];
        issue(cluster, cap, vector[], groups, vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun a_token_ends_after_it_begins() {
    world::with_token!(|cluster, cap, _, clock| {
        let later_ms = fixtures::now_ms() + 5;
        issue_for(cluster, cap, later_ms, later_ms, vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun a_token_is_not_issued_expired() {
    world::with_token!(|cluster, cap, _, clock| {
        issue_for(cluster, cap, 0, fixtures::now_ms(), vector[], clock);
    })
}

#[test]
fun a_token_may_begin_later_or_end_at_once() {
    world::with_token!(|cluster, cap, _, clock| {
        let now_ms = fixtures::now_ms();
        issue_for(cluster, cap, now_ms + 1, now_ms + 2, vector[], clock);
        issue_for(cluster, cap, 0, now_ms + 1, vector[], clock);
        issue_for(cluster, cap, 0, world::max(), vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun a_first_delegate_is_not_expired() {
    world::with_token!(|cluster, cap, _, clock| {
        let delegates = vector[delegate::new(@0xd1, fixtures::now_ms())];
        issue(cluster, cap, vector[], vector[], delegates, clock);
    })
}

#[test]
fun a_first_delegate_may_end_at_once() {
    world::with_token!(|cluster, cap, _, clock| {
        let delegates = vector[delegate::new(@0xd1, fixtures::now_ms() + 1)];
        issue(cluster, cap, vector[], vector[], delegates, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun an_owner_is_not_issued_as_its_delegate() {
    world::with_token!(|cluster, cap, _, clock| {
        let delegates = vector[delegate::new(people::owner(), world::max())];
        issue(cluster, cap, vector[], vector[], delegates, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun a_first_delegate_is_named_once() {
    world::with_token!(|cluster, cap, _, clock| {
        let delegates = vector[
            delegate::new(@0xd1, world::max()),
            delegate::new(@0xd2, world::max()),
            delegate::new(@0xd1, world::max() - 1),
        ];
        issue(cluster, cap, vector[], vector[], delegates, clock);
    })
}

// === revoke_token ===

#[test]
fun a_token_is_revoked() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::revoke_token(cluster, cap, token);
        assert!(token.is_revoked_for_testing());
        assert!(!token.is_valid(fixtures::now_ms()));
        events::seal_token_revoked(cluster.id(), token.id());
        world::check_told<events::SealTokenRevoked>();
    })
}

#[test]
fun a_token_of_an_older_version_can_be_revoked() {
    world::with_token!(|cluster, cap, token, _| {
        token.set_version_for_testing(0);
        seal_token::revoke_token(cluster, cap, token);
        assert!(token.is_revoked_for_testing());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun revoke_token_wants_this_version() {
    world::with_token!(|cluster, cap, token, _| {
        cluster.set_version_for_testing(2);
        seal_token::revoke_token(cluster, cap, token);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun revoke_token_wants_its_own_cap() {
    world::with_token!(|cluster, _, token, _| {
        let (other, cap) = world::another_cluster();
        seal_token::revoke_token(cluster, &cap, token);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun another_clusters_token_is_not_revoked() {
    world::with_token!(|_, _, token, _| {
        let (other, cap) = world::another_cluster();
        seal_token::revoke_token(&other, &cap, token);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun a_token_is_revoked_once() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::revoke_token(cluster, cap, token);
        seal_token::revoke_token(cluster, cap, token);
    })
}

// === set_rules ===

#[test]
fun rules_are_replaced() {
    world::with_token!(|cluster, cap, token, _| {
        let rules = rules_of(32_768);
        seal_token::set_rules(cluster, cap, token, rules);
        assert_eq!(*token.rules(), rules);
        events::seal_token_rules_set(cluster.id(), token.id(), rules);
        world::check_told<events::SealTokenRulesSet>();
        // Also by none.
        seal_token::set_rules(cluster, cap, token, vector[]);
        assert!(token.rules().is_empty());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun set_rules_wants_a_cluster_of_this_version() {
    world::with_token!(|cluster, cap, token, _| {
        cluster.set_version_for_testing(0);
        seal_token::set_rules(cluster, cap, token, vector[]);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun set_rules_wants_a_token_of_this_version() {
    world::with_token!(|cluster, _, token, _| {
        // Before the capability, which is another cluster's.
        let (other, cap) = world::another_cluster();
        token.set_version_for_testing(0);
        seal_token::set_rules(cluster, &cap, token, vector[]);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun set_rules_wants_its_own_cap() {
    world::with_token!(|cluster, _, token, _| {
        let (other, cap) = world::another_cluster();
        seal_token::set_rules(cluster, &cap, token, vector[]);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun set_rules_wants_a_token_of_the_cluster() {
    world::with_token!(|_, _, token, _| {
        let (other, cap) = world::another_cluster();
        seal_token::set_rules(&other, &cap, token, vector[]);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun rules_of_a_revoked_token_stay() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::revoke_token(cluster, cap, token);
        seal_token::set_rules(cluster, cap, token, vector[]);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun set_rules_is_bounded() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::set_rules(cluster, cap, token, rules_of(32_769));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun set_rules_bounds_their_entries() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::set_rules(cluster, cap, token, rules_counting(2_049));
    })
}

// === migrate_token ===

#[test]
fun a_token_of_an_older_version_is_migrated_by_anyone() {
    world::with_token!(|cluster, _, token, _| {
        token.set_version_for_testing(0);
        seal_token::migrate_token(cluster, token);
        assert!(token.is_current());
        events::seal_token_migrated(cluster.id(), token.id(), 1);
        world::check_told<events::SealTokenMigrated>();
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun migrate_token_wants_a_cluster_of_this_version() {
    world::with_token!(|cluster, _, token, _| {
        token.set_version_for_testing(0);
        cluster.set_version_for_testing(0);
        seal_token::migrate_token(cluster, token);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun a_current_token_is_not_migrated() {
    world::with_token!(|cluster, _, token, _| seal_token::migrate_token(cluster, token))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun migrate_token_wants_its_own_cluster() {
    world::with_token!(|_, _, token, _| {
        let (other, cap) = world::another_cluster();
        token.set_version_for_testing(0);
        seal_token::migrate_token(&other, token);
        world::drop(other);
        world::drop(cap);
    })
}

// === add_delegate ===

#[test]
fun a_delegate_may_submit_until_its_expiry() {
    world::with_token!(|cluster, _, token, clock| {
        let until_ms = fixtures::now_ms() + 1;
        let ctx = &mut people::ctx(people::owner());
        assert!(!token.is_holder(@0xd1, fixtures::now_ms()));
        token.add_delegate(@0xd1, until_ms, clock, ctx);
        assert!(token.is_holder(@0xd1, until_ms - 1));
        assert!(!token.is_holder(@0xd1, until_ms));
        events::delegate_added(cluster.id(), token.id(), @0xd1, until_ms);
        world::check_told<events::DelegateAdded>();
        // The same again moves the expiry, either way.
        token.add_delegate(@0xd1, until_ms + 5, clock, ctx);
        assert!(token.is_holder(@0xd1, until_ms + 4));
        token.add_delegate(@0xd1, until_ms, clock, ctx);
        assert!(!token.is_holder(@0xd1, until_ms));
    })
}

#[test]
fun a_token_has_32_delegates_and_moves_their_expiries() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        // One there is.
        31u64.do!(|n| token.add_delegate(nth(n), world::max(), clock, ctx));
        token.add_delegate(nth(7), world::max() - 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun a_token_has_no_33rd_delegate() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        32u64.do!(|n| token.add_delegate(nth(n), world::max(), clock, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun add_delegate_wants_this_version() {
    world::with_token!(|_, _, token, clock| {
        token.set_version_for_testing(0);
        token.add_delegate(@0xd1, world::max(), clock, &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun a_delegate_adds_no_delegate() {
    world::with_token!(|_, _, token, clock| {
        token.add_delegate(@0xd1, world::max(), clock, &mut people::ctx(people::delegate()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun a_revoked_token_gets_no_delegate() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        token.add_delegate(@0xd1, world::max(), clock, &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun an_expired_token_gets_no_delegate() {
    world::with_token!(|_, _, token, clock| {
        clock.wait(world::day_ms());
        token.add_delegate(@0xd1, world::max(), clock, &mut people::ctx(people::owner()));
    })
}

#[test]
fun a_token_gets_delegates_and_keys_to_its_last_millisecond() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        clock.set_for_testing(fixtures::now_ms() + world::day_ms() - 1);
        token.add_delegate(@0xd1, world::max(), clock, ctx);
        token.register_session_key(fixtures::other_key(), world::max(), clock, ctx);
    })
}

#[test]
fun a_token_gets_delegates_and_keys_before_its_first_millisecond() {
    world::with_token!(|cluster, cap, _, clock| {
        let later_ms = fixtures::now_ms() + 5;
        let mut token = issue_unshared(cluster, cap, later_ms, later_ms + 5, vector[], clock);
        let ctx = &mut people::ctx(people::owner());
        token.add_delegate(@0xd1, world::max(), clock, ctx);
        token.register_session_key(fixtures::other_key(), world::max(), clock, ctx);
        world::drop(token);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun a_delegate_is_not_added_expired() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        token.add_delegate(@0xd1, fixtures::now_ms(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun an_owner_is_not_its_delegate() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        token.add_delegate(people::owner(), world::max(), clock, ctx);
    })
}

// === remove_delegate ===

#[test]
fun a_delegate_is_removed() {
    world::with_token!(|cluster, _, token, _| {
        assert!(token.is_holder(people::delegate(), fixtures::now_ms()));
        token.remove_delegate(people::delegate(), &mut people::ctx(people::owner()));
        assert!(!token.is_holder(people::delegate(), fixtures::now_ms()));
        events::delegate_removed(cluster.id(), token.id(), people::delegate());
        world::check_told<events::DelegateRemoved>();
    })
}

#[test]
fun a_revoked_or_expired_token_loses_delegates_and_keys_too() {
    world::with_token!(|cluster, cap, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::revoke_token(cluster, cap, token);
        token.remove_delegate(people::delegate(), ctx);
        clock.wait(world::day_ms());
        token.remove_session_key(fixtures::session_key(), ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun remove_delegate_wants_this_version() {
    world::with_token!(|_, _, token, _| {
        token.set_version_for_testing(0);
        token.remove_delegate(people::delegate(), &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun a_delegate_does_not_remove_itself() {
    world::with_token!(|_, _, token, _| {
        token.remove_delegate(people::delegate(), &mut people::ctx(people::delegate()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun remove_delegate_wants_one() {
    world::with_token!(|_, _, token, _| {
        token.remove_delegate(people::stranger(), &mut people::ctx(people::owner()));
    })
}

// === register_session_key ===

#[test]
fun a_session_key_may_sign_until_its_expiry() {
    world::with_token!(|_, _, token, clock| {
        let key = fixtures::other_key();
        let until_ms = fixtures::now_ms() + 1;
        let ctx = &mut people::ctx(people::owner());
        assert!(!token.has_session_key(&key, fixtures::now_ms()));
        token.register_session_key(key, until_ms, clock, ctx);
        assert!(token.has_session_key(&key, until_ms - 1));
        assert!(!token.has_session_key(&key, until_ms));
    })
}

#[test]
fun a_session_key_is_told() {
    world::with_token!(|cluster, _, token, _| {
        // The one that the world began with.
        let until_ms = fixtures::now_ms() + world::hour_ms();
        let key = fixtures::session_key();
        events::session_key_registered(cluster.id(), token.id(), key, until_ms);
        world::check_told<events::SessionKeyRegistered>();
    })
}

#[test]
fun a_token_has_64_session_keys() {
    world::with_token!(|_, _, token, clock| register_keys(token, 63, clock))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun a_token_has_no_65th_session_key() {
    world::with_token!(|_, _, token, clock| register_keys(token, 64, clock))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun register_session_key_wants_this_version() {
    world::with_token!(|_, _, token, clock| {
        token.set_version_for_testing(0);
        let ctx = &mut people::ctx(people::owner());
        token.register_session_key(fixtures::other_key(), world::max(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun a_delegate_registers_no_session_key() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::delegate());
        token.register_session_key(fixtures::other_key(), world::max(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun a_revoked_token_gets_no_session_key() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        let ctx = &mut people::ctx(people::owner());
        token.register_session_key(fixtures::other_key(), world::max(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun an_expired_token_gets_no_session_key() {
    world::with_token!(|_, _, token, clock| {
        clock.wait(world::day_ms());
        let ctx = &mut people::ctx(people::owner());
        token.register_session_key(fixtures::other_key(), world::max(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun a_session_key_is_not_registered_expired() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        token.register_session_key(fixtures::other_key(), fixtures::now_ms(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun a_session_key_is_not_of_small_order() {
    world::with_token!(|_, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        token.register_session_key(vector::tabulate!(32, |_| 0), world::max(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun a_session_key_is_registered_once() {
    world::with_token!(|_, _, token, clock| {
        // Even if it has expired.
        clock.wait(world::hour_ms());
        let ctx = &mut people::ctx(people::owner());
        token.register_session_key(fixtures::session_key(), world::max(), clock, ctx);
    })
}

// === remove_session_key ===

#[test]
fun a_session_key_is_removed_and_may_come_again() {
    world::with_token!(|cluster, _, token, clock| {
        let key = fixtures::session_key();
        let ctx = &mut people::ctx(people::owner());
        token.remove_session_key(key, ctx);
        assert!(!token.has_session_key(&key, fixtures::now_ms()));
        events::session_key_removed(cluster.id(), token.id(), key);
        world::check_told<events::SessionKeyRemoved>();
        token.register_session_key(key, world::max(), clock, ctx);
        assert!(token.has_session_key(&key, fixtures::now_ms()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun remove_session_key_wants_this_version() {
    world::with_token!(|_, _, token, _| {
        token.set_version_for_testing(0);
        token.remove_session_key(fixtures::session_key(), &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun a_delegate_removes_no_session_key() {
    world::with_token!(|_, _, token, _| {
        token.remove_session_key(fixtures::session_key(), &mut people::ctx(people::delegate()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun remove_session_key_wants_one() {
    world::with_token!(|_, _, token, _| {
        token.remove_session_key(fixtures::other_key(), &mut people::ctx(people::owner()));
    })
}

// === Validity ===

#[test]
fun a_token_is_valid_from_its_beginning_to_before_its_end() {
    world::with_token!(|_, _, token, _| {
        let now_ms = fixtures::now_ms();
        assert!(!token.is_valid(now_ms - 1));
        assert!(token.is_valid(now_ms));
        assert!(token.is_valid(now_ms + world::day_ms() - 1));
        assert!(!token.is_valid(now_ms + world::day_ms()));
    })
}

#[test]
fun an_owner_always_holds_its_token() {
    world::with_token!(|_, _, token, _| {
        assert!(token.is_holder(people::owner(), 0));
        assert!(token.is_holder(people::owner(), world::max()));
        assert!(!token.is_holder(people::stranger(), 0));
        assert!(!token.is_holder(@0x0, 0));
    })
}

// === Helpers ===

fun issue(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    rules: vector<PolicyRule>,
    groups: vector<vector<u8>>,
    delegates: vector<Delegate>,
    clock: &Clock,
) {
    let now_ms = clock.timestamp_ms();
    let token = seal_token::issue_token(
        cluster,
        cap,
        people::owner(),
        rules,
        groups,
        now_ms,
        now_ms + 1,
        delegates,
        clock,
        &mut people::ctx_of(people::admin(), 50),
    );
    world::drop(token);
}

fun issue_for(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    not_before_ms: u64,
    expires_at_ms: u64,
    delegates: vector<Delegate>,
    clock: &Clock,
) {
    let token = issue_unshared(cluster, cap, not_before_ms, expires_at_ms, delegates, clock);
    world::drop(token);
}

fun issue_unshared(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    not_before_ms: u64,
    expires_at_ms: u64,
    delegates: vector<Delegate>,
    clock: &Clock,
): SealToken {
    seal_token::issue_token(
        cluster,
        cap,
        people::owner(),
        vector[],
        vector[],
        not_before_ms,
        expires_at_ms,
        delegates,
        clock,
        &mut people::ctx_of(people::admin(), fixtures::now_ms() ^ expires_at_ms ^ not_before_ms),
    )
}

/// One rule of which the list has this many bytes of BCS.
fun rules_of(bytes: u64): vector<PolicyRule> {
    // The list's length, those of five empty lists and of one with one verb, and the verb's own in three bytes.
    let verb = vector::tabulate!(bytes - 1 - 5 - 1 - 3, |_| 0x61).to_string();
    let rule = policy::new_rule(vector[verb], vector[], vector[], vector[], vector[], vector[]);
    assert_eq!(sui::bcs::to_bytes(&vector[rule]).length(), bytes);
    vector[rule]
}

/// A rule that counts for `entries`, itself for two.
fun rules_counting(entries: u64): vector<PolicyRule> {
    let names = vector::tabulate!(entries - 2, |_| b"".to_string());
    vector[policy::new_rule(vector[], vector[], vector[], names, vector[], vector[])]
}

fun groups(count: u64): vector<vector<u8>> {
    vector::tabulate!(count, |n| vector::tabulate!(253, |_| 0x61 + ((n % 26) as u8)))
}

fun delegates(count: u64): vector<Delegate> {
    vector::tabulate!(count, |n| delegate::new(nth(n), world::max()))
}

fun nth(n: u64): address { sui::address::from_u256(0xd000 + (n as u256)) }

fun register_keys(token: &mut SealToken, count: u64, clock: &Clock) {
    let ctx = &mut people::ctx(people::owner());
    count.do!(|n| {
        let key = vector::tabulate!(32, |_| 0x40 + (n as u8));
        token.register_session_key(key, world::max(), clock, ctx);
    });
}

use fun world::wait as Clock.wait;
