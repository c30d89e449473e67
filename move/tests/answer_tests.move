/// What executors do with a request: claim it, release it, answer it; and what is left of it: prune.
#[test_only]
module k3s_daas::answer_tests;

use k3s_daas::calls::Answer;
use k3s_daas::cluster::Cluster;
use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::k8s_gateway;
use k3s_daas::people;
use k3s_daas::request;
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;

use fun world::wait as Clock.wait;

const LEASE_MS: u64 = 10_000;
const DEADLINE_MS: u64 = 60_000;
/// How long an answer of normal priority is kept.
const TTL_MS: u64 = 3_600_000;
const LONGEST_TTL_MS: u64 = 86_400_000;

// === store_k8s_response ===

#[test]
fun an_answer_is_recorded_and_told() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let id = fixtures::read().id();
        assert!(k8s_gateway::get_k8s_response(token, id).is_none());
        clock.wait(5);
        fixtures::ok().store(cluster, token, clock);
        let now_ms = fixtures::now_ms() + 5;
        // It is kept from its deadline on: the later of the two.
        let expires_at_ms = fixtures::now_ms() + DEADLINE_MS + TTL_MS;
        let envelope_hash = vector::tabulate!(32, |_| 0xe5);
        let record = request::new_record(
            id,
            200,
            envelope_hash,
            60,
            b"",
            fixtures::alpha(),
            0,
            now_ms,
            expires_at_ms,
            people::owner(),
        );
        assert_eq!(k8s_gateway::get_k8s_response(token, id).destroy_some(), record);
        // What is held has the bytes that the Rust twin's has.
        let mut held = sui::bcs::to_bytes(&fixtures::read().digest());
        held.append(x"02");
        held.append(sui::bcs::to_bytes(&(fixtures::now_ms() + DEADLINE_MS)));
        held.append(x"010000");
        held.append(sui::bcs::to_bytes(&fixtures::alpha()));
        held.append(sui::bcs::to_bytes(&0u64));
        held.append(sui::bcs::to_bytes(&fixtures::now_ms()));
        held.append(sui::bcs::to_bytes(&(fixtures::now_ms() + LEASE_MS)));
        held.append(x"00");
        held.append(sui::bcs::to_bytes(&expires_at_ms));
        // There is an outcome, and it is the first kind: answered.
        held.append(x"0100");
        held.append(sui::bcs::to_bytes(&record));
        assert_eq!(sui::bcs::to_bytes(token.request(id)), held);
        assert_eq!(record.status_code(), 200);
        assert_eq!(*record.envelope_hash(), envelope_hash);
        assert_eq!(record.envelope_len(), 60);
        assert!(record.sealed().is_empty());
        assert_eq!(token.unanswered(), 0);
        events::k8s_request_processed(
            cluster.id(),
            token.id(),
            id,
            fixtures::read().digest(),
            people::owner(),
            fixtures::alpha(),
            0,
            200,
            envelope_hash,
            60,
            b"",
            fixtures::now_ms(),
            fixtures::ok().answer_signature(),
            now_ms,
            expires_at_ms,
        );
        world::check_told<events::K8sRequestProcessed>();
    })
}

#[test]
fun a_sealed_answer_is_kept_and_told_by_its_hash() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::write().execute(cluster, token, clock);
        fixtures::of_write().store(cluster, token, clock);
        let id = fixtures::write().id();
        let record = k8s_gateway::get_k8s_response(token, id).destroy_some();
        let sealed = vector::tabulate!(16_000, |_| 0x77);
        assert_eq!(*record.sealed(), sealed);
        let told = sui::event::events_by_type<events::K8sRequestProcessed>();
        let bytes = sui::bcs::to_bytes(&told[0]);
        assert!(bytes.length() < 400);
        assert!(contains(&bytes, &std::hash::sha2_256(sealed)));
    })
}

#[test]
fun an_answer_after_the_deadline_is_kept_from_then_on() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(DEADLINE_MS + 7);
        fixtures::ok().store(cluster, token, clock);
        let prunable_at_ms = token.request(fixtures::read().id()).prunable_at_ms();
        assert_eq!(prunable_at_ms, fixtures::now_ms() + DEADLINE_MS + 7 + TTL_MS);
    })
}

#[test]
fun answers_are_kept_by_priority() {
    world::with_requests!(|cluster, token, clock| {
        // A critical one.
        fixtures::exec().open(cluster, token, clock);
        fixtures::of_session().store(cluster, token, clock);
        let prunable_at_ms = token.request(fixtures::exec().id()).prunable_at_ms();
        assert_eq!(prunable_at_ms, fixtures::now_ms() + DEADLINE_MS + LONGEST_TTL_MS);
    })
}

#[test]
fun the_lowest_status_and_length_are_good() { stored(fixtures::lowest_status()) }

#[test]
fun the_highest_status_and_length_are_good() { stored(fixtures::highest_status()) }

#[test]
fun a_token_that_was_revoked_or_expired_is_still_answered() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        seal_token::revoke_token(cluster, cap, token);
        clock.wait(world::day_ms() * 2);
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun store_wants_a_cluster_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.set_version_for_testing(0);
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun store_wants_a_token_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        token.set_version_for_testing(0);
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun store_wants_its_own_cluster() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let (other, cap) = world::another_cluster();
        fixtures::ok().store(&other, token, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun store_wants_a_known_request() { stored_without_request(fixtures::ok()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun a_request_is_answered_once() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        fixtures::not_found().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun another_executor_does_not_answer() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let beta = world::add_beta(cluster, cap);
        fixtures::by_beta().store(cluster, token, clock);
        world::drop(beta);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun an_answer_is_of_this_epoch() { stored(fixtures::next_epoch()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun after_a_claim_the_epoch_before_does_not_count() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(LEASE_MS);
        fixtures::claim_read().claim(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_inactive_executor_does_not_answer() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun a_removed_executor_does_not_answer() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        cluster.remove_executor(cap, fixtures::alpha());
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_executor_with_too_little_stake_does_not_answer() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.set_policy(cap, world::policy_of_stakes(0, 1));
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_unattested_executor_does_not_answer() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_answer_is_not_altered() { stored(fixtures::ok().with_status(201)) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun sealed_bytes_are_not_swapped() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::write().execute(cluster, token, clock);
        fixtures::of_write().with_sealed(b"x").store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_answer_has_a_signature() { stored(fixtures::ok().with_answer_signature(b"")) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_answer_is_signed_by_the_assigned_executor() {
    // As beta would, in alpha's name.
    stored(fixtures::by_beta().with_executor(fixtures::alpha()))
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun a_request_is_not_answered_with_anothers_answer() {
    world::with_requests!(|cluster, token, clock| {
        // The same ID and another digest.
        fixtures::read().with_priority(3).execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun a_status_of_199_is_malformed() { stored(fixtures::low_status()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun a_status_of_600_is_malformed() { stored(fixtures::high_status()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun a_short_hash_is_malformed() { stored(fixtures::short_hash()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun an_empty_envelope_is_malformed() { stored(fixtures::no_length()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun a_huge_envelope_is_malformed() { stored(fixtures::too_long()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun an_answer_that_nobody_can_open_is_malformed() { stored(fixtures::sealed_without_key()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedResponse)]
fun a_long_sealed_answer_is_malformed() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::write().execute(cluster, token, clock);
        fixtures::of_write_sealed_too_long().store(cluster, token, clock);
    })
}

#[test]
fun a_claimed_write_is_answered_unknown() {
    world::with_requests!(|cluster, token, clock| {
        claimed_write(cluster, token, clock);
        fixtures::of_claimed_write().store(cluster, token, clock);
        let id = fixtures::write().id();
        let record = k8s_gateway::get_k8s_response(token, id).destroy_some();
        assert_eq!(record.status_code(), 504);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EClaimedWrite)]
fun a_claimed_write_has_no_other_outcome() {
    world::with_requests!(|cluster, token, clock| {
        claimed_write(cluster, token, clock);
        fixtures::of_claimed_write_done().store(cluster, token, clock);
    })
}

#[test]
fun a_claimed_read_has_any_outcome() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(LEASE_MS);
        fixtures::claim_read().claim(cluster, token, clock);
        fixtures::of_claimed_read().store(cluster, token, clock);
    })
}

#[test]
fun a_released_write_has_any_outcome() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::write().execute(cluster, token, clock);
        fixtures::release_write().release(cluster, token, clock);
        fixtures::of_write_released().store(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun there_is_no_answer_to_an_unknown_request() {
    world::with_requests!(|_, token, _| {
        k8s_gateway::get_k8s_response(token, fixtures::read().id());
    })
}

// === claim_request ===

#[test]
fun a_read_is_claimed_when_its_lease_is_over() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let beta = world::add_beta(cluster, cap);
        clock.wait(LEASE_MS);
        fixtures::claim_read_by_beta().claim(cluster, token, clock);
        let now_ms = fixtures::now_ms() + LEASE_MS;
        let request = token.request(fixtures::read().id());
        assert!(request.is_assigned(fixtures::beta(), 1));
        assert_eq!(request.claims(), 1);
        assert_eq!(request.lease_ends_ms(), now_ms + LEASE_MS);
        assert!(request.is_open());
        events::k8s_request_claimed(
            cluster.id(),
            token.id(),
            fixtures::read().id(),
            fixtures::beta(),
            1,
            now_ms + LEASE_MS,
            now_ms,
        );
        world::check_told<events::K8sRequestClaimed>();
        world::drop(beta);
    })
}

#[test]
fun the_same_executor_may_claim_until_the_deadline() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(DEADLINE_MS - 1);
        fixtures::claim_read().claim(cluster, token, clock);
        assert!(token.request(fixtures::read().id()).is_assigned(fixtures::alpha(), 1));
    })
}

#[test]
fun a_write_is_claimed_from_its_deadline_on() {
    world::with_requests!(|cluster, token, clock| {
        claimed_write(cluster, token, clock);
        let request = token.request(fixtures::write().id());
        assert!(request.is_claimed_write());
        let lease_ends_ms = fixtures::now_ms() + DEADLINE_MS + LEASE_MS;
        assert_eq!(request.lease_ends_ms(), lease_ends_ms);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun claim_wants_a_cluster_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        cluster.set_version_for_testing(0);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun claim_wants_a_token_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        token.set_version_for_testing(0);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun claim_wants_its_own_cluster() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        let (other, cap) = world::another_cluster();
        fixtures::claim_read().claim(&other, token, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun claim_wants_a_known_request() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun a_session_is_not_claimed() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        clock.wait(DEADLINE_MS);
        fixtures::claim_session().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun an_answered_request_is_not_claimed() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        // Before the lease.
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_unknown_executor_claims_nothing() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        fixtures::claim_read_by_beta().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_inactive_executor_claims_nothing() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        // Before the lease.
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELeaseRunning)]
fun a_read_is_not_claimed_a_millisecond_too_early() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(LEASE_MS - 1);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELeaseRunning)]
fun a_write_is_not_claimed_before_its_deadline() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::write().execute(cluster, token, clock);
        clock.wait(DEADLINE_MS - 1);
        fixtures::claim_write().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELeaseRunning)]
fun a_claim_has_a_lease_of_its_own() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        fixtures::claim_read().claim(cluster, token, clock);
        clock.wait(LEASE_MS - 1);
        fixtures::claim_read_again().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlineOver)]
fun a_read_is_not_claimed_at_its_deadline() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(DEADLINE_MS);
        fixtures::claim_read().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ETooManyClaims)]
fun a_request_is_claimed_twice_and_no_more() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        fixtures::claim_read().claim(cluster, token, clock);
        clock.wait(LEASE_MS);
        fixtures::claim_read_again().claim(cluster, token, clock);
        assert_eq!(token.request(fixtures::read().id()).claims(), 2);
        clock.wait(LEASE_MS);
        fixtures::claim_read_a_third_time().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun a_claim_is_signed_over_the_new_epoch() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        fixtures::claim_read_at_this_epoch().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun a_release_is_no_claim() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        fixtures::release_read_at_next_epoch().claim(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun a_claim_is_signed_by_who_claims() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        let alpha = fixtures::alpha();
        fixtures::claim_read_by_beta().with_assignee(alpha).claim(cluster, token, clock);
    })
}

// === release_request ===

#[test]
fun a_released_request_goes_to_another() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let beta = world::add_beta(cluster, cap);
        clock.wait(5);
        fixtures::release_read().release(cluster, token, clock);
        let now_ms = fixtures::now_ms() + 5;
        let request = token.request(fixtures::read().id());
        assert!(request.is_assigned(fixtures::beta(), 1));
        assert_eq!(request.claims(), 0);
        assert_eq!(request.lease_ends_ms(), now_ms + LEASE_MS);
        events::k8s_request_released(
            cluster.id(),
            token.id(),
            fixtures::read().id(),
            fixtures::alpha(),
            fixtures::beta(),
            1,
            now_ms + LEASE_MS,
            now_ms,
        );
        world::check_told<events::K8sRequestReleased>();
        world::drop(beta);
    })
}

#[test]
fun a_released_write_keeps_its_lease_to_the_deadline() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::write().execute(cluster, token, clock);
        clock.wait(5);
        fixtures::release_write().release(cluster, token, clock);
        let request = token.request(fixtures::write().id());
        // It was alone.
        assert!(request.is_assigned(fixtures::alpha(), 1));
        assert_eq!(request.lease_ends_ms(), fixtures::now_ms() + DEADLINE_MS);
        assert!(!request.is_claimed_write());
    })
}

#[test]
fun a_claimed_read_may_be_released() {
    world::with_requests!(|cluster, token, clock| {
        over(cluster, token, clock);
        fixtures::claim_read().claim(cluster, token, clock);
        fixtures::release_claimed_read().release(cluster, token, clock);
        assert!(token.request(fixtures::read().id()).is_assigned(fixtures::alpha(), 2));
    })
}

#[test]
fun a_session_that_did_not_begin_may_be_released() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::exec().open(cluster, token, clock);
        fixtures::release_session().release(cluster, token, clock);
        assert!(token.request(fixtures::exec().id()).is_assigned(fixtures::alpha(), 1));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun release_wants_a_cluster_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.set_version_for_testing(0);
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun release_wants_a_token_of_this_version() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        token.set_version_for_testing(0);
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun release_wants_its_own_cluster() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let (other, cap) = world::another_cluster();
        fixtures::release_read().release(&other, token, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EUnknownRequest)]
fun release_wants_a_known_request() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAlreadyAnswered)]
fun an_answered_request_is_not_released() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun a_request_is_released_by_whom_it_was_assigned() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let beta = world::add_beta(cluster, cap);
        fixtures::release_read_by_beta().release(cluster, token, clock);
        world::drop(beta);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun a_request_is_released_at_its_epoch() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::release_read_at_next_epoch().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAssigned)]
fun a_request_is_released_once() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::release_read().release(cluster, token, clock);
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_inactive_executor_releases_nothing() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::release_read().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun a_release_is_signed() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        let unsigned = fixtures::release_read().with_assignment_signature(b"");
        unsigned.release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun a_claim_is_no_release() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::claim_read_at_this_epoch().release(cluster, token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EClaimedWrite)]
fun a_claimed_write_is_not_released() {
    world::with_requests!(|cluster, token, clock| {
        claimed_write(cluster, token, clock);
        fixtures::release_claimed_write().release(cluster, token, clock);
    })
}

// === prune_responses ===

#[test]
fun anyone_prunes_what_is_over() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::write().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        clock.wait(DEADLINE_MS + TTL_MS);
        // Unknown ones, doubled ones and what is no ID are passed over.
        let read = fixtures::read().id();
        let ids = vector[b"", fixtures::exec().id(), read, read];
        let ctx = &mut people::ctx(people::stranger());
        k8s_gateway::prune_responses(token, ids, clock, ctx);
        assert!(!token.holds(read));
        assert!(token.holds(fixtures::write().id()));
        assert_eq!(token.unanswered(), 1);
        events::responses_pruned(cluster.id(), token.id(), vector[read], people::stranger());
        world::check_told<events::ResponsesPruned>();
        // Nothing left of them is nothing told.
        k8s_gateway::prune_responses(token, ids, clock, ctx);
        k8s_gateway::prune_responses(token, vector[], clock, ctx);
        assert_eq!(world::count_told<events::ResponsesPruned>(), 2);
    })
}

#[test]
fun an_unanswered_request_is_pruned_after_the_longest_time() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        // As the policy was when it was submitted.
        cluster.set_policy(cap, world::policy_of_times(0, 10_000, vector[0, 0, 0, 2_592_000_000]));
        clock.wait(DEADLINE_MS + LONGEST_TTL_MS);
        prune(fixtures::read().id(), token, clock);
        assert_eq!(token.unanswered(), 0);
    })
}

#[test]
fun revoked_expired_and_older_tokens_are_pruned() {
    world::with_token!(|cluster, cap, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        seal_token::revoke_token(cluster, cap, token);
        token.set_version_for_testing(0);
        clock.wait(world::day_ms() * 3);
        prune(fixtures::read().id(), token, clock);
        assert!(!token.holds(fixtures::read().id()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotPrunable)]
fun an_answer_is_not_pruned_a_millisecond_too_early() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        clock.wait(DEADLINE_MS + TTL_MS - 1);
        prune(fixtures::read().id(), token, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotPrunable)]
fun an_unanswered_request_is_not_pruned_a_millisecond_too_early() {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        clock.wait(DEADLINE_MS + LONGEST_TTL_MS - 1);
        prune(fixtures::read().id(), token, clock);
    })
}

#[test]
fun five_hundred_and_twelve_are_pruned_at_once() {
    world::with_requests!(|_, token, clock| {
        let ids = vector::tabulate!(512, |_| b"");
        k8s_gateway::prune_responses(token, ids, clock, &mut people::ctx(people::stranger()));
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ELimitExceeded)]
fun no_more_are_pruned_at_once() {
    world::with_requests!(|_, token, clock| {
        let ids = vector::tabulate!(513, |_| b"");
        k8s_gateway::prune_responses(token, ids, clock, &mut people::ctx(people::stranger()));
    })
}

// === Helpers ===

/// Stores an answer to the read.
fun stored(answer: Answer) {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        answer.store(cluster, token, clock);
    })
}

fun stored_without_request(answer: Answer) {
    world::with_requests!(|cluster, token, clock| answer.store(cluster, token, clock))
}

/// The read is submitted, and its lease is over.
fun over(cluster: &Cluster, token: &mut SealToken, clock: &mut Clock) {
    fixtures::read().execute(cluster, token, clock);
    clock.wait(LEASE_MS);
}

/// The write is submitted, and claimed at its deadline.
fun claimed_write(cluster: &Cluster, token: &mut SealToken, clock: &mut Clock) {
    fixtures::write().execute(cluster, token, clock);
    clock.wait(DEADLINE_MS);
    fixtures::claim_write().claim(cluster, token, clock);
}

fun prune(id: vector<u8>, token: &mut SealToken, clock: &Clock) {
    k8s_gateway::prune_responses(token, vector[id], clock, &mut people::ctx(people::stranger()));
}

fun contains(bytes: &vector<u8>, part: &vector<u8>): bool {
    let last = bytes.length() - part.length();
    let mut at = 0;
    while (at <= last) {
        let found = vector::tabulate!(part.length(), |offset| bytes[at + offset]) == part;
        if (found) return true;
        at = at + 1;
    };
    false
}
