#[test_only]
module k3s_daas::session_tests;

use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::k8s_gateway;
use k3s_daas::people;
use k3s_daas::seal_token;
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;

use fun world::wait as Clock.wait;

const DEADLINE_MS: u64 = 60_000;
const LONGEST_TTL_MS: u64 = 86_400_000;

#[test]
fun a_session_is_opened_with_an_intent_of_its_own() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open_signed(cluster, token, clock);
        let request = token.request(fixtures::exec().id());
        assert!(request.is_session() && !request.is_read());
        assert_eq!(*request.digest(), fixtures::of_session().answer_digest());
        assert!(*request.digest() != fixtures::exec().digest());
        assert_eq!(request.lease_ends_ms(), fixtures::now_ms() + DEADLINE_MS);
        assert_eq!(token.unanswered(), 1);
    })
}

#[test]
fun a_delegate_opens_sessions() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open_as(people::delegate(), cluster, token, clock);
        assert!(token.request(fixtures::exec().id()).is_session());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun a_signature_of_a_request_opens_no_session() {
    world::with_requests!(|cluster, token, clock| {
        let command = fixtures::exec();
        let signature = command.signature();
        command.with_signature(signature).open_signed(cluster, token, clock);
    })
}

#[test]
fun a_session_is_closed_and_told() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        clock.wait(5);
        fixtures::ended().close(cluster, token, clock);
        let now_ms = fixtures::now_ms() + 5;
        let expires_at_ms = fixtures::now_ms() + DEADLINE_MS + LONGEST_TTL_MS;
        let request = token.request(fixtures::exec().id());
        assert!(!request.is_open());
        assert_eq!(request.prunable_at_ms(), expires_at_ms);
        assert_eq!(token.unanswered(), 0);
        assert!(k8s_gateway::get_k8s_response(token, fixtures::exec().id()).is_none());
        events::session_closed(
            cluster.id(),
            token.id(),
            fixtures::exec().id(),
            fixtures::alpha(),
            0,
            12,
            3_456,
            0,
            vector::tabulate!(32, |_| 0x7a),
            now_ms,
            expires_at_ms,
        );
        world::check_told<events::SessionClosed>();
    })
}

#[test]
fun a_session_is_closed_long_after_its_deadline() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        seal_token::revoke_token(cluster, cap, token);
        clock.wait(world::day_ms());
        fixtures::ended_by_error().close(cluster, token, clock);
        let request = token.request(fixtures::exec().id());
        let expires_at_ms = fixtures::now_ms() + world::day_ms() + LONGEST_TTL_MS;
        assert_eq!(request.prunable_at_ms(), expires_at_ms);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun close_wants_a_cluster_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        cluster.set_version_for_testing(0);
        fixtures::ended().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun close_wants_a_token_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        token.set_version_for_testing(0);
        fixtures::ended().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun close_wants_its_own_cluster() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        let (other, cap) = world::another_cluster();
        fixtures::ended().close(&other, token, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun close_wants_a_known_session() {
    world::with_requests!(|cluster, token, clock| fixtures::ended().close(cluster, token, clock))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun a_request_is_no_session() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ended_no_session().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ESessionClosed)]
fun a_session_is_closed_once() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ESessionClosed)]
fun a_session_that_was_answered_is_closed() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::of_session().store(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun a_closed_session_is_not_answered() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
        fixtures::of_session().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun a_session_is_closed_by_whom_it_was_assigned() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        let beta = world::add_beta(cluster, cap);
        fixtures::ended_by_beta().close(cluster, token, clock);
        world::drop(beta);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun a_session_is_closed_at_its_epoch() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended_at_next_epoch().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun a_session_is_closed_by_its_digest() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended_with_other_digest().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_inactive_executor_closes_nothing() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::ended().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_end_is_not_altered() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended().with_bytes_in(13).close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun there_are_four_reasons() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended_for_no_reason().close(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun a_transcript_has_a_hash_of_32_bytes_or_none() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::ended_with_short_hash().close(cluster, token, clock);
    })
}
