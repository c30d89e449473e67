/// What holders ask for: the boundaries of every check, and what follows from passing them.
#[test_only]
module k3s_daas::k8s_gateway_tests;

use k3s_daas::calls::Command;
use k3s_daas::cluster::Cluster;
use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::k8s_gateway;
use k3s_daas::people;
use k3s_daas::resource_path;
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::bcs;
use sui::clock::Clock;
use sui::event;

use fun world::wait as Clock.wait;

// === What passes ===

#[test]
fun a_write_is_held_and_told_whole() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::create().execute(cluster, token, clock);
        assert!(token.holds(fixtures::create().id()));
        assert_eq!(token.unanswered(), 1);
        assert_eq!(token.sequence_for_testing(), 1);
        let deadline_ms = fixtures::now_ms() + 60_000;
        let request = token.request(fixtures::create().id());
        let target = resource_path::derive(
            &b"POST",
            &b"/api/v1/namespaces/default/pods",
            &b"fieldManager=kubectl",
            true,
        );
        events::k8s_api_request(
            cluster.id(),
            &fixtures::create().message(),
            *request.digest(),
            false,
            &target.destroy_some(),
            token.id(),
            1,
            people::owner(),
            people::owner(),
            fixtures::alpha(),
            0,
            deadline_ms,
            // The longest that an answer is kept.
            deadline_ms + 86_400_000,
            fixtures::now_ms(),
        );
        world::check_told<events::K8sAPIRequest>();
        // A write's lease ends at its deadline.
        assert_eq!(request.lease_ends_ms(), deadline_ms);
        assert_eq!(request.deadline_ms(), deadline_ms);
        assert_eq!(request.prunable_at_ms(), deadline_ms + 86_400_000);
        assert_eq!(request.priority(), 2);
        assert_eq!(request.epoch(), 0);
        assert_eq!(request.claims(), 0);
        assert!(request.has_reply_key());
        assert!(!request.is_read() && !request.is_session() && request.is_open());
        assert!(request.is_assigned(fixtures::alpha(), 0));
    })
}

#[test]
fun a_read_has_a_short_lease() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let request = token.request(fixtures::read().id());
        assert!(request.is_read() && !request.has_reply_key());
        assert_eq!(request.lease_ends_ms(), fixtures::now_ms() + 10_000);
        assert_eq!(*request.digest(), fixtures::ok().answer_digest());
    })
}

#[test]
fun whatever_is_at_its_bound_passes() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::write().execute(cluster, token, clock);
        fixtures::create().execute(cluster, token, clock);
        fixtures::exec().execute(cluster, token, clock);
        fixtures::discovery().execute(cluster, token, clock);
        fixtures::sealed_inline().execute(cluster, token, clock);
        fixtures::largest().execute(cluster, token, clock);
        fixtures::soonest().execute(cluster, token, clock);
        fixtures::latest().execute(cluster, token, clock);
        assert_eq!(token.sequence_for_testing(), 9);
        assert_eq!(token.unanswered(), 9);
        assert_eq!(world::count_told<events::K8sAPIRequest>(), 9);
    })
}

#[test]
fun whatever_is_at_its_bound_passes_signed() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute_signed(cluster, token, clock);
        fixtures::write().try_execute_signed(cluster, token, clock);
        fixtures::create().execute_signed(cluster, token, clock);
        fixtures::exec().try_execute_signed(cluster, token, clock);
        fixtures::discovery().execute_signed(cluster, token, clock);
        fixtures::sealed_inline().try_execute_signed(cluster, token, clock);
        fixtures::largest().execute_signed(cluster, token, clock);
        fixtures::soonest().try_execute_signed(cluster, token, clock);
        fixtures::latest().execute_signed(cluster, token, clock);
        assert_eq!(token.sequence_for_testing(), 9);
        assert_eq!(world::count_told<events::K8sRequestRejected>(), 0);
    })
}

#[test]
fun a_batch_goes_on_after_a_refusal() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().try_execute(cluster, token, clock);
        fixtures::of_other_namespace().try_execute(cluster, token, clock);
        fixtures::read().try_execute(cluster, token, clock);
        fixtures::write().try_execute(cluster, token, clock);
        assert_eq!(token.sequence_for_testing(), 2);
        assert_eq!(recorded(), vector[6, 11]);
    })
}

#[test]
fun a_delegate_submits_in_the_owners_name() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute_as(people::delegate(), cluster, token, clock);
        assert!(token.holds(fixtures::read().id()));
    })
}

#[test]
fun a_read_needs_no_stake() {
    world::with_requests!(|cluster, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, world::sui(2), clock, ctx);
        fixtures::read().execute(cluster, token, clock);
        fixtures::discovery().execute(cluster, token, clock);
        // But exec does, though it is a GET.
        refused(fixtures::exec(), 7, cluster, token, clock);
        refused(fixtures::write(), 7, cluster, token, clock);
    })
}

#[test]
fun the_least_stake_is_enough() {
    world::with_token!(|cluster, cap, token, clock| {
        cluster.set_policy(cap, world::policy_of_stakes(world::sui(2), 0));
        fixtures::write().execute(cluster, token, clock);
        // What unbonds does not count.
        let ctx = &mut people::ctx(people::owner());
        seal_token::unstake(cluster, token, 10_000_000, clock, ctx);
        refused(fixtures::create(), 7, cluster, token, clock);
    })
}

#[test]
fun one_request_more_than_1023_passes() {
    world::with_requests!(|cluster, token, clock| {
        token.set_unanswered_for_testing(1_023);
        fixtures::read().execute(cluster, token, clock);
        refused(fixtures::write(), 13, cluster, token, clock);
    })
}

#[test]
fun rules_that_change_count_at_once() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::set_rules(cluster, cap, token, vector[]);
        refused(fixtures::read(), 6, cluster, token, clock);
        // What everybody may is left.
        fixtures::discovery().execute(cluster, token, clock);
    })
}

#[test]
fun two_tokens_have_their_own_requests() {
    world::with_token!(|cluster, cap, token, clock| {
        let mut other = world::another_token(cluster, cap, 77, clock);
        fixtures::read().execute(cluster, token, clock);
        fixtures::read().execute(cluster, &mut other, clock);
        assert_eq!(other.sequence_for_testing(), 1);
        world::drop(other);
    })
}

// === Times ===

#[test]
fun a_token_is_used_from_its_first_to_its_last_millisecond() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(world::day_ms() - 1);
        let deadline_ms = clock.timestamp_ms() + 1;
        fixtures::write().with_deadline_ms(deadline_ms).execute(cluster, token, clock);
        clock.wait(1);
        let late = fixtures::create().with_deadline_ms(deadline_ms + 1);
        refused(late, 2, cluster, token, clock);
    })
}

#[test]
fun a_delegate_is_none_from_its_expiry_on() {
    world::with_requests!(|cluster, token, clock| {
        clock.wait(world::hour_ms() - 1);
        let deadline_ms = clock.timestamp_ms() + 2;
        let delegate = people::delegate();
        let command = fixtures::read().with_deadline_ms(deadline_ms);
        command.try_execute_as(delegate, cluster, token, clock);
        clock.wait(1);
        let command = fixtures::write().with_deadline_ms(deadline_ms);
        command.try_execute_as(delegate, cluster, token, clock);
        assert_eq!(recorded(), vector[3]);
        assert_eq!(token.sequence_for_testing(), 1);
    })
}

#[test]
fun a_session_key_is_none_from_its_expiry_on() {
    world::with_requests!(|cluster, token, clock| {
        // The signature holds, only the deadline is past then: the check after the key's.
        clock.wait(world::hour_ms() - 1);
        fixtures::read().try_execute_signed(cluster, token, clock);
        clock.wait(1);
        fixtures::read().try_execute_signed(cluster, token, clock);
        assert_eq!(recorded(), vector[8, 3]);
    })
}

#[test]
fun a_deadline_lies_a_millisecond_to_an_hour_ahead() {
    world::with_requests!(|cluster, token, clock| {
        let now_ms = fixtures::now_ms();
        refused(fixtures::read().with_deadline_ms(0), 8, cluster, token, clock);
        refused(fixtures::read().with_deadline_ms(now_ms), 8, cluster, token, clock);
        refused(fixtures::read().with_deadline_ms(now_ms + 3_600_001), 8, cluster, token, clock);
        refused(fixtures::read().with_deadline_ms(world::max()), 8, cluster, token, clock);
        fixtures::read().with_deadline_ms(now_ms + 1).execute(cluster, token, clock);
        fixtures::write().with_deadline_ms(now_ms + 3_600_000).execute(cluster, token, clock);
    })
}

#[test]
fun at_the_end_of_time_nothing_overflows() {
    world::with_token!(|cluster, cap, _, clock| {
        clock.set_for_testing(world::max() - 1);
        let mut token = seal_token::issue_token(
            cluster,
            cap,
            people::owner(),
            world::rules(),
            vector[],
            0,
            world::max(),
            vector[],
            clock,
            &mut people::ctx_of(people::admin(), 77),
        );
        fixtures::read().with_deadline_ms(world::max()).execute(cluster, &mut token, clock);
        let request = token.request(fixtures::read().id());
        assert_eq!(request.lease_ends_ms(), world::max());
        assert_eq!(request.prunable_at_ms(), world::max());
        clock.set_for_testing(world::max());
        refused(fixtures::write().with_deadline_ms(world::max()), 2, cluster, &mut token, clock);
        world::drop(token);
    })
}

// === Who asks ===

#[test]
fun nobody_else_asks() {
    world::with_requests!(|cluster, token, clock| {
        let command = fixtures::read();
        command.try_execute_as(people::stranger(), cluster, token, clock);
        // Whoever governs the cluster holds none of its tokens.
        command.try_execute_as(people::admin(), cluster, token, clock);
        command.try_execute_as(@0x0, cluster, token, clock);
        token.remove_delegate(people::delegate(), &mut people::ctx(people::owner()));
        command.try_execute_as(people::delegate(), cluster, token, clock);
        assert_eq!(recorded(), vector[3, 3, 3, 3]);
    })
}

#[test]
fun a_signature_is_of_a_registered_key_over_this_request() {
    world::with_requests!(|cluster, token, clock| {
        let command = fixtures::read();
        // An unregistered key, keys and signatures of other lengths.
        command.with_public_key(fixtures::other_key()).try_execute_signed(cluster, token, clock);
        command.with_public_key(b"").try_execute_signed(cluster, token, clock);
        command.with_signature(b"").try_execute_signed(cluster, token, clock);
        let long = vector::tabulate!(65, |_| 1);
        command.with_signature(long).try_execute_signed(cluster, token, clock);
        // Another's signature, and this one on an altered request.
        let other = fixtures::write().signature();
        command.with_signature(other).try_execute_signed(cluster, token, clock);
        command.with_priority(4).try_execute_signed(cluster, token, clock);
        command.with_method(b"PUT").try_execute_signed(cluster, token, clock);
        // One for a session.
        let session = command.session_signature();
        command.with_signature(session).try_execute_signed(cluster, token, clock);
        assert_eq!(recorded(), vector[3, 3, 3, 3, 3, 3, 3, 3]);
        // The right one, relayed by a stranger.
        command.try_execute_signed(cluster, token, clock);
        assert_eq!(token.sequence_for_testing(), 1);
    })
}

#[test]
fun a_signature_is_for_one_token() {
    world::with_token!(|cluster, cap, _, clock| {
        let mut other = world::another_token(cluster, cap, 77, clock);
        let ctx = &mut people::ctx(people::owner());
        other.register_session_key(fixtures::session_key(), world::max(), clock, ctx);
        fixtures::read().try_execute_signed(cluster, &mut other, clock);
        assert_eq!(recorded(), vector[3]);
        world::drop(other);
    })
}

#[test]
fun a_signed_request_is_admitted_once() {
    world::with_token!(|cluster, cap, token, clock| {
        // Nothing is kept beyond its deadline.
        let ttls = vector[0, 0, 0, 0];
        cluster.set_policy(cap, world::policy_of_times(0, 10_000, ttls));
        fixtures::soonest().execute_signed(cluster, token, clock);
        fixtures::soonest().try_execute_signed(cluster, token, clock);
        clock.wait(1);
        let id = fixtures::soonest().id();
        let ctx = &mut people::ctx(people::stranger());
        k8s_gateway::prune_responses(token, vector[id], clock, ctx);
        assert!(!token.holds(id));
        // Pruned at the first moment, and too late at that moment.
        fixtures::soonest().try_execute_signed(cluster, token, clock);
        assert_eq!(recorded(), vector[11, 8]);
    })
}

// === Forms ===

#[test]
fun fields_of_another_form_are_malformed() {
    world::with_requests!(|cluster, token, clock| {
        let commands = vector[
            fixtures::of_no_text(),
            fixtures::of_bad_path(),
            fixtures::of_bad_query(),
            fixtures::of_bad_id(),
            fixtures::of_long_id(),
            fixtures::of_no_header_value(),
            fixtures::of_bad_header(),
            fixtures::of_bad_query_kind(),
            fixtures::of_empty_plain_query(),
            fixtures::of_bytes_without_kind(),
            fixtures::of_query_with_hash(),
            fixtures::of_query_with_length(),
            fixtures::of_hidden_query(),
            fixtures::of_long_hidden_query(),
            fixtures::of_short_query_hash(),
            fixtures::of_empty_hidden_query(),
            fixtures::of_hidden_query_with_bytes(),
            fixtures::of_plain_payload(),
            fixtures::of_unknown_payload_kind(),
            fixtures::of_empty_sealed_payload(),
            fixtures::of_payload_with_hash(),
            fixtures::of_short_payload_hash(),
            fixtures::of_empty_payload(),
            fixtures::of_short_reply_key(),
            fixtures::of_long_reply_key(),
            fixtures::of_short_credential_id(),
            fixtures::of_long_credential_id(),
        ];
        commands.do!(|command| {
            refused(command, 5, cluster, token, clock);
            command.try_execute_signed(cluster, token, clock);
        });
        assert_eq!(recorded(), vector::tabulate!(54, |_| 5));
        assert_eq!(token.sequence_for_testing(), 0);
    })
}

#[test]
fun other_refusals_by_code() {
    world::with_requests!(|cluster, token, clock| {
        refused(fixtures::of_bad_method(), 4, cluster, token, clock);
        refused(fixtures::of_lower_method(), 4, cluster, token, clock);
        refused(fixtures::of_other_namespace(), 6, cluster, token, clock);
        refused(fixtures::of_past_deadline(), 8, cluster, token, clock);
        refused(fixtures::of_far_deadline(), 8, cluster, token, clock);
        refused(fixtures::of_long_sealed_payload(), 9, cluster, token, clock);
        refused(fixtures::of_large_payload(), 9, cluster, token, clock);
        refused(fixtures::of_priority_0(), 10, cluster, token, clock);
        refused(fixtures::of_priority_5(), 10, cluster, token, clock);
    })
}

#[test]
fun of_a_refused_request_64_bytes_of_its_id_are_told() {
    world::with_requests!(|cluster, token, clock| {
        let command = fixtures::of_long_id();
        let id = command.id();
        assert_eq!(id.length(), 100);
        command.try_execute(cluster, token, clock);
        events::k8s_request_rejected(
            cluster.id(),
            token.id(),
            people::owner(),
            vector::tabulate!(64, |at| id[at]),
            command.digest(),
            5,
        );
        world::check_told<events::K8sRequestRejected>();
    })
}

#[test]
fun arbitrary_requests_never_abort_a_batch() {
    world::with_requests!(|cluster, token, clock| {
        let bytes = vector::tabulate!(300, |at| (at % 256) as u8);
        fixtures::read().with_request_id(bytes).try_execute(cluster, token, clock);
        fixtures::read().with_path(bytes).try_execute(cluster, token, clock);
        fixtures::read().with_method(bytes).try_execute(cluster, token, clock);
        fixtures::read().with_request_id(b"").try_execute(cluster, token, clock);
        fixtures::read().with_path(b"").try_execute(cluster, token, clock);
        fixtures::read().with_method(b"").try_execute(cluster, token, clock);
        fixtures::read().with_priority(255).try_execute(cluster, token, clock);
        assert_eq!(recorded(), vector[5, 5, 4, 5, 5, 4, 10]);
    })
}

// === record_refusal, record_refusals ===

#[test]
fun what_would_pass_is_not_recorded_and_not_admitted() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().record_refusal(cluster, token, clock);
        assert_eq!(world::count_told<events::K8sRequestRejected>(), 0);
        assert_eq!(world::count_told<events::K8sAPIRequest>(), 0);
        assert!(!token.holds(fixtures::read().id()));
    })
}

#[test]
fun a_count_of_refusals_is_told() {
    world::with_requests!(|cluster, token, clock| {
        let now_ms = fixtures::now_ms();
        record(1, 1, now_ms, now_ms, people::delegate(), cluster, token, clock);
        events::k8s_requests_rejected(
            cluster.id(),
            token.id(),
            people::delegate(),
            1,
            1,
            now_ms,
            now_ms,
        );
        world::check_told<events::K8sRequestsRejected>();
        record(13, world::max(), 0, 0, people::owner(), cluster, token, clock);
    })
}

#[test]
fun refusals_of_a_revoked_token_are_counted() {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        record(2, 1, 0, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun record_refusals_wants_a_cluster_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        cluster.set_version_for_testing(0);
        record(2, 1, 0, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun record_refusals_wants_a_token_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        token.set_version_for_testing(0);
        record(2, 1, 0, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun record_refusals_wants_its_own_cluster() {
    world::with_requests!(|_, token, clock| {
        let (other, cap) = world::another_cluster();
        record(2, 1, 0, 1, people::owner(), &other, token, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun record_refusals_wants_a_holder() {
    world::with_requests!(|cluster, token, clock| {
        record(2, 1, 0, 1, people::stranger(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun record_refusals_wants_a_live_delegate() {
    world::with_requests!(|cluster, token, clock| {
        clock.wait(world::hour_ms());
        record(2, 1, 0, 1, people::delegate(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EZeroAmount)]
fun no_refusals_are_not_counted() {
    world::with_requests!(|cluster, token, clock| {
        record(2, 0, 0, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun code_0_is_none_of_a_request() {
    world::with_requests!(|cluster, token, clock| {
        record(0, 1, 0, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun code_14_is_none_of_a_request() {
    world::with_requests!(|cluster, token, clock| {
        record(14, 1, 0, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun refusals_are_not_counted_backwards() {
    world::with_requests!(|cluster, token, clock| {
        record(2, 1, 2, 1, people::owner(), cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun refusals_are_not_counted_ahead() {
    world::with_requests!(|cluster, token, clock| {
        let later_ms = fixtures::now_ms() + 1;
        record(2, 1, 0, later_ms, people::owner(), cluster, token, clock);
    })
}

// === Helpers ===

/// It is refused with this code.
fun refused(command: Command, code: u8, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    command.try_execute(cluster, token, clock);
    let recorded = recorded();
    assert_eq!(recorded[recorded.length() - 1], code);
    assert!(code == 11 || !token.holds(command.id()));
}

/// The codes of all refusals that were told.
fun recorded(): vector<u8> {
    event::events_by_type<events::K8sRequestRejected>().map!(|event| {
        let bytes = bcs::to_bytes(&event);
        bytes[bytes.length() - 1]
    })
}

fun record(
    code: u8,
    count: u64,
    from_ms: u64,
    to_ms: u64,
    sender: address,
    cluster: &Cluster,
    token: &SealToken,
    clock: &Clock,
) {
    let ctx = &mut people::ctx(sender);
    k8s_gateway::record_refusals(cluster, token, code, count, from_ms, to_ms, clock, ctx);
}
