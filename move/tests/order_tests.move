/// The order of checks: of two that fail, the first decides. What is refused, by which code, before which other one.
#[test_only]
module k3s_daas::order_tests;

use k3s_daas::calls::Answer;
use k3s_daas::cluster::{Self, Cluster, ClusterAdminCap};
use k3s_daas::cluster_policy;
use k3s_daas::delegate::{Self, Delegate};
use k3s_daas::events;
use k3s_daas::executor::{Self, ExecutorState};
use k3s_daas::fixtures;
use k3s_daas::k8s_gateway;
use k3s_daas::people;
use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::bcs;
use sui::clock::Clock;
use sui::event;

use fun world::wait as Clock.wait;

const LEASE_MS: u64 = 10_000;
const DEADLINE_MS: u64 = 60_000;

// === A request: 1 to 13 ===

/// One fault more with each step, always before the others.
#[test]
fun of_a_request_the_first_fault_decides() {
    world::with_token!(|cluster, cap, token, clock| {
        let mut command = fixtures::write();
        command.execute(cluster, token, clock);

        token.set_unanswered_for_testing(1_024);
        command.with_number(7).record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 13);
        cluster.deactivate_executor(cap, fixtures::alpha());
        command.with_number(7).record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 12);
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 11);
        command = command.with_priority(0);
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 10);
        command = fixtures::of_large_payload().with_priority(0);
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 9);
        command = command.with_deadline_ms(0);
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 8);
        cluster.set_policy(cap, world::policy_of_stakes(world::sui(3), 0));
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 7);
        seal_token::set_rules(cluster, cap, token, vector[]);
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 6);
        command = command.with_path(b"/api//v1");
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 5);
        command = command.with_method(b"HEAD");
        command.record_refusal(cluster, token, clock);
        assert_eq!(last_recorded(), 4);
        let stranger = people::stranger();
        command.record_refusal_as(stranger, cluster, token, clock);
        assert_eq!(last_recorded(), 3);
        seal_token::revoke_token(cluster, cap, token);
        command.record_refusal_as(stranger, cluster, token, clock);
        assert_eq!(last_recorded(), 2);
        token.set_version_for_testing(0);
        command.record_refusal_as(stranger, cluster, token, clock);
        assert_eq!(last_recorded(), 1);
    })
}

// === store_k8s_response: 1, 20, 21, 22, 23, 24, 25, 28 ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun store_1_before_20() {
    world::with_requests!(|cluster, token, clock| {
        cluster.set_version_for_testing(0);
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun store_20_before_21() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        let (other, other_cap) = world::another_cluster();
        fixtures::ok().store(&other, token, clock);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun store_21_before_22() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        fixtures::next_epoch().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun store_22_before_23() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::next_epoch().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun store_23_before_24() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::ok().with_answer_signature(b"").store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun store_24_before_25() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().with_status(199).store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun store_25_before_28() {
    world::with_requests!(|cluster, token, clock| {
        claimed_write(cluster, token, clock);
        fixtures::of_claimed_write_malformed().store(cluster, token, clock);
    })
}

// === claim_request: 1, 20, 21, 23, 26, 27, 29, 24 ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun claim_1_before_20() {
    world::with_requests!(|cluster, token, clock| {
        token.set_version_for_testing(0);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun claim_20_before_21() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
        fixtures::claim_session().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun claim_21_before_23() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun claim_23_before_26() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELeaseRunning)]
fun claim_26_before_27() {
    world::with_requests!(|cluster, token, clock| {
        // Its deadline is sooner than the end of its lease.
        let deadline_ms = fixtures::now_ms() + 1;
        fixtures::read().with_deadline_ms(deadline_ms).execute(cluster, token, clock);
        clock.wait(1);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlineOver)]
fun claim_27_before_29() {
    world::with_requests!(|cluster, token, clock| {
        claimed_twice(cluster, token, clock);
        clock.wait(DEADLINE_MS);
        fixtures::claim_read_a_third_time().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ETooManyClaims)]
fun claim_29_before_24() {
    world::with_requests!(|cluster, token, clock| {
        claimed_twice(cluster, token, clock);
        clock.wait(LEASE_MS);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

// === release_request: 1, 20, 21, 22, 23, 24, 28 ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun release_1_before_20() {
    world::with_requests!(|cluster, token, clock| {
        cluster.set_version_for_testing(0);
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun release_20_before_21() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        let (other, other_cap) = world::another_cluster();
        fixtures::release_read().release(&other, token, clock);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun release_21_before_22() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        fixtures::release_read_at_next_epoch().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun release_22_before_23() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::release_read_at_next_epoch().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun release_23_before_24() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::claim_read_at_this_epoch().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun release_24_before_28() {
    world::with_requests!(|cluster, token, clock| {
        claimed_write(cluster, token, clock);
        let unsigned = fixtures::release_claimed_write().with_assignment_signature(b"");
        unsigned.release(cluster, token, clock);
    })
}

// === close_session: 1, 20, 48, 22, 23, 24, 25 ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun close_1_before_20() {
    world::with_requests!(|cluster, token, clock| {
        token.set_version_for_testing(2);
        fixtures::ended().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun close_20_before_48() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        fixtures::ended_no_session().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ESessionClosed)]
fun close_48_before_22() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
        fixtures::ended_at_next_epoch().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun close_22_before_23() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::ended_with_other_digest().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun close_23_before_24() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::ended().with_bytes_in(13).close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun close_24_before_25() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended_for_no_reason().with_bytes_in(13).close(cluster, token, clock);
    })
}

// === anchor_reads: 1, 23, 24, 47 ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun anchor_1_before_23() {
    world::in_world!(|cluster, cap, _, executor, clock| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.set_version_for_testing(0);
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun anchor_23_before_24() {
    world::in_world!(|cluster, cap, _, executor, clock| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::anchor_by_beta().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun anchor_24_before_47() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::first_anchor().with_root(b"").anchor_reads(cluster, executor, clock);
    })
}

// === Clusters ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun create_cluster_33_before_38() {
    world::with_requests!(|cluster, _, _| {
        let policy = world::policy_of_times(0, 0, vector[]);
        let ctx = &mut people::ctx_of(people::admin(), 6);
        let (other, cap) = cluster::create_cluster(b"", fixtures::chain(), policy, ctx);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun set_policy_1_before_30() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        cluster.set_policy(&other_cap, cluster_policy::default());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun set_policy_30_before_38() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_policy(&other_cap, world::policy_of_times(0, 0, vector[]));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun withdraw_insurance_1_before_30() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        let ctx = &mut people::ctx(people::admin());
        world::spend(cluster.withdraw_insurance(&other_cap, 1, ctx));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun withdraw_insurance_30_before_32() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::admin());
        world::spend(cluster.withdraw_insurance(&other_cap, 0, ctx));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun activate_executor_1_before_30() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        cluster.activate_executor(&other_cap, fixtures::alpha());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun activate_executor_30_before_23() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.activate_executor(&other_cap, fixtures::beta());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun deactivate_executor_1_before_30() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        cluster.deactivate_executor(&other_cap, fixtures::alpha());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun deactivate_executor_30_before_23() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.deactivate_executor(&other_cap, fixtures::beta());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun remove_executor_1_before_30() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        cluster.remove_executor(&other_cap, fixtures::alpha());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun remove_executor_30_before_23() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.remove_executor(&other_cap, fixtures::beta());
        world::drop(other);
        world::drop(other_cap);
    })
}

// === Tokens ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun issue_token_1_before_30() {
    world::in_world!(|cluster, _, _, _, clock| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        issue(cluster, &other_cap, vector[], vector[], world::max(), vector[], clock);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun issue_token_30_before_33() {
    world::in_world!(|cluster, _, _, _, clock| {
        let (other, other_cap) = world::another_cluster();
        issue(cluster, &other_cap, long_rules(), vector[], world::max(), vector[], clock);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun issue_token_33_before_38() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(
            cluster,
            cap,
            vector[],
            vector::tabulate!(33, |_| b"system:masters"),
            world::max(),
            vector[],
            clock,
        );
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun issue_token_38_before_34() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(cluster, cap, vector[], vector[b"system:masters"], 0, vector[], clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun issue_token_34_before_35() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(
            cluster,
            cap,
            vector[],
            vector[],
            world::max(),
            vector[delegate::new(people::owner(), 0)],
            clock,
        );
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun issue_token_35_before_36() {
    world::with_token!(|cluster, cap, _, clock| {
        issue(
            cluster,
            cap,
            vector[],
            vector[],
            world::max(),
            vector::tabulate!(2, |_| delegate::new(people::owner(), world::max())),
            clock,
        );
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun revoke_token_1_before_30() {
    world::in_world!(|cluster, _, token, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        seal_token::revoke_token(cluster, &other_cap, token);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun revoke_token_30_before_2() {
    world::in_world!(|cluster, cap, token, _, _| {
        let (other, other_cap) = world::another_cluster();
        seal_token::revoke_token(cluster, cap, token);
        seal_token::revoke_token(cluster, &other_cap, token);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun set_rules_30_before_2() {
    world::in_world!(|cluster, cap, token, _, _| {
        let (other, other_cap) = world::another_cluster();
        seal_token::revoke_token(cluster, cap, token);
        seal_token::set_rules(cluster, &other_cap, token, vector[]);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun set_rules_2_before_33() {
    world::with_token!(|cluster, cap, token, _| {
        seal_token::revoke_token(cluster, cap, token);
        seal_token::set_rules(cluster, cap, token, long_rules());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun migrate_token_1_before_2() {
    world::in_world!(|_, _, token, _, _| {
        let (other, other_cap) = world::another_cluster();
        seal_token::migrate_token(&other, token);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun add_delegate_31_before_2() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        token.add_delegate(@0xd1, world::max(), clock, &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun add_delegate_2_before_34() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        token.add_delegate(@0xd1, 0, clock, &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun add_delegate_34_before_35() {
    world::with_requests!(|_, token, clock| {
        token.add_delegate(people::owner(), 0, clock, &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun add_delegate_35_before_33() {
    world::with_requests!(|_, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        31u64.do!(|n| token.add_delegate(nth(n), world::max(), clock, ctx));
        token.add_delegate(people::owner(), world::max(), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun remove_delegate_1_before_31() {
    world::with_requests!(|_, token, _| {
        token.set_version_for_testing(0);
        token.remove_delegate(people::delegate(), &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun remove_delegate_31_before_35() {
    world::with_requests!(|_, token, _| {
        token.remove_delegate(@0xd1, &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun register_session_key_1_before_31() {
    world::with_requests!(|_, token, clock| {
        token.set_version_for_testing(0);
        register_key(token, fixtures::other_key(), world::max(), people::stranger(), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun register_session_key_31_before_2() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        register_key(token, fixtures::other_key(), world::max(), people::stranger(), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun register_session_key_2_before_34() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        register_key(token, fixtures::other_key(), 0, people::owner(), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidExpiry)]
fun register_session_key_34_before_35() {
    world::with_requests!(|_, token, clock| {
        register_key(token, b"", 0, people::owner(), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun register_session_key_36_before_33() {
    world::with_requests!(|_, token, clock| {
        63u64.do!(|n| {
            let key = vector::tabulate!(32, |_| 0x40 + (n as u8));
            register_key(token, key, world::max(), people::owner(), clock);
        });
        register_key(token, fixtures::session_key(), world::max(), people::owner(), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun remove_session_key_1_before_31() {
    world::with_requests!(|_, token, _| {
        token.set_version_for_testing(0);
        token.remove_session_key(b"", &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun remove_session_key_31_before_35() {
    world::with_requests!(|_, token, _| {
        token.remove_session_key(b"", &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun deposit_stake_1_before_32() {
    world::with_requests!(|_, token, _| {
        token.set_version_for_testing(0);
        token.deposit_stake(world::money(0), &mut people::ctx(people::owner()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun unstake_31_before_2() {
    world::in_world!(|_, _, token, _, clock| {
        let (other, other_cap) = world::another_cluster();
        seal_token::unstake(&other, token, 1, clock, &mut people::ctx(people::stranger()));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun unstake_2_before_32() {
    world::in_world!(|_, _, token, _, clock| {
        let (other, other_cap) = world::another_cluster();
        seal_token::unstake(&other, token, 0, clock, &mut people::ctx(people::owner()));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun unstake_7_before_33() {
    world::with_requests!(|cluster, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        32u64.do!(|_| seal_token::unstake(cluster, token, 10_000_000, clock, ctx));
        seal_token::unstake(cluster, token, world::sui(2), clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun withdraw_stake_31_before_37() {
    world::with_requests!(|_, token, clock| {
        world::spend(token.withdraw_stake(clock, &mut people::ctx(people::stranger())));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun record_refusals_1_before_2() {
    world::in_world!(|_, _, token, _, clock| {
        let (other, other_cap) = world::another_cluster();
        token.set_version_for_testing(0);
        let ctx = &mut people::ctx(people::owner());
        k8s_gateway::record_refusals(&other, token, 2, 1, 2, 1, clock, ctx);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun record_refusals_2_before_3() {
    world::in_world!(|_, _, token, _, clock| {
        let (other, other_cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::stranger());
        k8s_gateway::record_refusals(&other, token, 2, 1, 2, 1, clock, ctx);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun record_refusals_3_before_32() {
    world::with_requests!(|cluster, token, clock| {
        let ctx = &mut people::ctx(people::stranger());
        k8s_gateway::record_refusals(cluster, token, 2, 0, 2, 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun record_refusals_32_before_5() {
    world::with_requests!(|cluster, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        k8s_gateway::record_refusals(cluster, token, 0, 0, 2, 1, clock, ctx);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun prune_responses_33_before_39() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let ids = vector::tabulate!(513, |_| fixtures::read().id());
        k8s_gateway::prune_responses(token, ids, clock, &mut people::ctx(people::owner()));
    })
}

// === Executors ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun register_executor_1_before_30() {
    world::in_world!(|cluster, _, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        cluster.set_version_for_testing(0);
        register(cluster, &other_cap, fixtures::beta_key(), key_of(0x26));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun register_executor_30_before_33() {
    world::in_world!(|cluster, cap, _, _, _| {
        let (other, other_cap) = world::another_cluster();
        63u64.do!(|n| register(cluster, cap, key_of(0x40 + (n as u8)), key_of(0x26)));
        register(cluster, &other_cap, fixtures::beta_key(), key_of(0x26));
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun register_executor_33_before_35() {
    world::with_token!(|cluster, cap, _, _| {
        63u64.do!(|n| register(cluster, cap, key_of(0x40 + (n as u8)), key_of(0x26)));
        register(cluster, cap, b"", key_of(0x26));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun register_executor_35_before_36() {
    world::with_token!(|cluster, cap, _, _| {
        register(cluster, cap, fixtures::alpha_key(), b"");
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun register_executor_36_before_40() {
    world::with_token!(|cluster, cap, _, _| {
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        register(cluster, cap, fixtures::alpha_key(), key_of(0x26));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun deposit_executor_stake_1_before_23() {
    world::in_world!(|_, _, _, executor, _| {
        let (mut other, other_cap) = world::another_cluster();
        other.set_version_for_testing(0);
        let ctx = &mut people::ctx(people::operator());
        executor::deposit_executor_stake(&mut other, executor, world::money(0), ctx);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun deposit_executor_stake_23_before_32() {
    world::in_world!(|_, _, _, executor, _| {
        let (mut other, other_cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::operator());
        executor::deposit_executor_stake(&mut other, executor, world::money(0), ctx);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun unstake_executor_31_before_23() {
    world::in_world!(|_, _, _, executor, clock| {
        let (mut other, other_cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::stranger());
        executor::unstake_executor(&mut other, executor, 0, clock, ctx);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun unstake_executor_23_before_32() {
    world::in_world!(|_, _, _, executor, clock| {
        let (mut other, other_cap) = world::another_cluster();
        let ctx = &mut people::ctx(people::operator());
        executor::unstake_executor(&mut other, executor, 0, clock, ctx);
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotOwner)]
fun withdraw_executor_stake_31_before_37() {
    world::in_world!(|_, _, _, executor, clock| {
        let ctx = &mut people::ctx(people::stranger());
        world::spend(executor.withdraw_executor_stake(clock, ctx));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun slash_equivocation_1_before_23() {
    world::in_world!(|_, _, _, executor, _| {
        let (mut other, other_cap) = world::another_cluster();
        other.set_version_for_testing(0);
        slash(&mut other, executor, fixtures::ok());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun slash_equivocation_23_before_46() {
    world::in_world!(|_, _, _, executor, _| {
        let (mut other, other_cap) = world::another_cluster();
        slash(&mut other, executor, fixtures::not_found());
        world::drop(other);
        world::drop(other_cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotEquivocation)]
fun slash_equivocation_46_before_33() {
    world::in_world!(|cluster, _, _, executor, _| {
        let ctx = &mut people::ctx(people::operator());
        executor::deposit_executor_stake(cluster, executor, world::money(10), ctx);
        cluster.insure_for_testing(world::max());
        slash(cluster, executor, fixtures::not_found());
    })
}

// === Helpers ===

/// The code of the last refusal that was told.
fun last_recorded(): u8 {
    let told = event::events_by_type<events::K8sRequestRejected>();
    let bytes = bcs::to_bytes(&told[told.length() - 1]);
    bytes[bytes.length() - 1]
}

fun claimed_write(cluster: &Cluster, token: &mut SealToken, clock: &mut Clock) {
    fixtures::write().execute(cluster, token, clock);
    clock.wait(DEADLINE_MS);
    fixtures::claim_write().claim(cluster, token, clock);
}

fun claimed_twice(cluster: &Cluster, token: &mut SealToken, clock: &mut Clock) {
    fixtures::read().execute(cluster, token, clock);
    clock.wait(LEASE_MS);
    fixtures::claim_read().claim(cluster, token, clock);
    clock.wait(LEASE_MS);
    fixtures::claim_read_again().claim(cluster, token, clock);
}

fun issue(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    rules: vector<PolicyRule>,
    groups: vector<vector<u8>>,
    until_ms: u64,
    delegates: vector<Delegate>,
    clock: &Clock,
) {
    let ctx = &mut people::ctx_of(people::admin(), 50);
    let owner = people::owner();
    let token = seal_token::issue_token(
        cluster,
        cap,
        owner,
        rules,
        groups,
        0,
        until_ms,
        delegates,
        clock,
        ctx,
    );
    world::drop(token);
}

fun long_rules(): vector<PolicyRule> {
    let verb = vector::tabulate!(32_768, |_| 0x61).to_string();
    vector[policy::new_rule(vector[verb], vector[], vector[], vector[], vector[], vector[])]
}

fun register_key(
    token: &mut SealToken,
    key: vector<u8>,
    until_ms: u64,
    sender: address,
    clock: &Clock,
) {
    token.register_session_key(key, until_ms, clock, &mut people::ctx(sender));
}

fun register(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    key: vector<u8>,
    encryption_key: vector<u8>,
) {
    let ctx = &mut people::ctx_of(people::admin(), 1_000 + cluster.registrations());
    let operator = people::operator();
    let executor = executor::register_executor(cluster, cap, operator, key, encryption_key, ctx);
    world::drop(executor);
}

fun slash(cluster: &mut Cluster, executor: &mut ExecutorState, first: Answer) {
    let ctx = &mut people::ctx(people::stranger());
    let (first, second) = (first.signed(), fixtures::not_found().signed());
    let token = fixtures::token();
    let paid = executor::slash_equivocation(cluster, executor, token, first, second, ctx);
    world::spend(paid);
}

fun key_of(byte: u8): vector<u8> { vector::tabulate!(32, |_| byte) }

fun nth(n: u64): address { sui::address::from_u256(0xd000 + (n as u256)) }
