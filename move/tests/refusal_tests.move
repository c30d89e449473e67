/// Every function that checks a request refuses for every reason, by its name.
#[test_only]
module k3s_daas::refusal_tests;

use k3s_daas::cases;
use k3s_daas::events;
use std::unit_test::assert_eq;
use sui::bcs;
use sui::event;

// === execute ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun execute_refuses_wrong_cluster_version() { cases::wrong_cluster_version(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun execute_refuses_wrong_token_version() { cases::wrong_token_version(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_refuses_other_cluster() { cases::other_cluster(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_refuses_revoked() { cases::revoked(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_refuses_not_yet_valid() { cases::not_yet_valid(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_refuses_expired() { cases::expired(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun execute_refuses_not_holder() { cases::not_holder(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMethodNotAllowed)]
fun execute_refuses_bad_method() { cases::bad_method(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun execute_refuses_malformed() { cases::malformed(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoPermission)]
fun execute_refuses_no_permission() { cases::no_permission(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun execute_refuses_insufficient_stake() { cases::insufficient_stake(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun execute_refuses_past_deadline() { cases::past_deadline(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun execute_refuses_far_deadline() { cases::far_deadline(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EPayloadTooLarge)]
fun execute_refuses_payload_too_large() { cases::payload_too_large(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPriority)]
fun execute_refuses_invalid_priority() { cases::invalid_priority(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateRequest)]
fun execute_refuses_duplicate() { cases::duplicate(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoExecutor)]
fun execute_refuses_no_executor() { cases::no_executor(cases::execute!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ETooManyRequests)]
fun execute_refuses_too_many() { cases::too_many(cases::execute!()) }

// === execute_signed ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun execute_signed_refuses_wrong_cluster_version() {
    cases::wrong_cluster_version(cases::execute_signed!())
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun execute_signed_refuses_wrong_token_version() {
    cases::wrong_token_version(cases::execute_signed!())
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_signed_refuses_other_cluster() { cases::other_cluster(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_signed_refuses_revoked() { cases::revoked(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_signed_refuses_not_yet_valid() { cases::not_yet_valid(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun execute_signed_refuses_expired() { cases::expired(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun execute_signed_refuses_not_holder() { cases::not_holder(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMethodNotAllowed)]
fun execute_signed_refuses_bad_method() { cases::bad_method(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun execute_signed_refuses_malformed() { cases::malformed(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoPermission)]
fun execute_signed_refuses_no_permission() { cases::no_permission(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun execute_signed_refuses_insufficient_stake() {
    cases::insufficient_stake(cases::execute_signed!())
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun execute_signed_refuses_past_deadline() { cases::past_deadline(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun execute_signed_refuses_far_deadline() { cases::far_deadline(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EPayloadTooLarge)]
fun execute_signed_refuses_payload_too_large() {
    cases::payload_too_large(cases::execute_signed!())
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPriority)]
fun execute_signed_refuses_invalid_priority() { cases::invalid_priority(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateRequest)]
fun execute_signed_refuses_duplicate() { cases::duplicate(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoExecutor)]
fun execute_signed_refuses_no_executor() { cases::no_executor(cases::execute_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ETooManyRequests)]
fun execute_signed_refuses_too_many() { cases::too_many(cases::execute_signed!()) }

// === open ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun open_refuses_wrong_cluster_version() { cases::wrong_cluster_version(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun open_refuses_wrong_token_version() { cases::wrong_token_version(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_refuses_other_cluster() { cases::other_cluster(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_refuses_revoked() { cases::revoked(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_refuses_not_yet_valid() { cases::not_yet_valid(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_refuses_expired() { cases::expired(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun open_refuses_not_holder() { cases::not_holder(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMethodNotAllowed)]
fun open_refuses_bad_method() { cases::bad_method(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun open_refuses_malformed() { cases::malformed(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoPermission)]
fun open_refuses_no_permission() { cases::no_permission(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun open_refuses_insufficient_stake() { cases::insufficient_stake(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun open_refuses_past_deadline() { cases::past_deadline(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun open_refuses_far_deadline() { cases::far_deadline(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EPayloadTooLarge)]
fun open_refuses_payload_too_large() { cases::payload_too_large(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPriority)]
fun open_refuses_invalid_priority() { cases::invalid_priority(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateRequest)]
fun open_refuses_duplicate() { cases::duplicate(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoExecutor)]
fun open_refuses_no_executor() { cases::no_executor(cases::open!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ETooManyRequests)]
fun open_refuses_too_many() { cases::too_many(cases::open!()) }

// === open_signed ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun open_signed_refuses_wrong_cluster_version() {
    cases::wrong_cluster_version(cases::open_signed!())
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun open_signed_refuses_wrong_token_version() { cases::wrong_token_version(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_signed_refuses_other_cluster() { cases::other_cluster(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_signed_refuses_revoked() { cases::revoked(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_signed_refuses_not_yet_valid() { cases::not_yet_valid(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSealToken)]
fun open_signed_refuses_expired() { cases::expired(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotTokenHolder)]
fun open_signed_refuses_not_holder() { cases::not_holder(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMethodNotAllowed)]
fun open_signed_refuses_bad_method() { cases::bad_method(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EMalformedRequest)]
fun open_signed_refuses_malformed() { cases::malformed(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoPermission)]
fun open_signed_refuses_no_permission() { cases::no_permission(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInsufficientStake)]
fun open_signed_refuses_insufficient_stake() { cases::insufficient_stake(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun open_signed_refuses_past_deadline() { cases::past_deadline(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDeadlinePassed)]
fun open_signed_refuses_far_deadline() { cases::far_deadline(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EPayloadTooLarge)]
fun open_signed_refuses_payload_too_large() { cases::payload_too_large(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPriority)]
fun open_signed_refuses_invalid_priority() { cases::invalid_priority(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateRequest)]
fun open_signed_refuses_duplicate() { cases::duplicate(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENoExecutor)]
fun open_signed_refuses_no_executor() { cases::no_executor(cases::open_signed!()) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::ETooManyRequests)]
fun open_signed_refuses_too_many() { cases::too_many(cases::open_signed!()) }

// === try_execute ===

#[test]
fun try_execute_records_wrong_cluster_version() {
    cases::wrong_cluster_version(cases::try_execute!());
    check_recorded(1);
}

#[test]
fun try_execute_records_wrong_token_version() {
    cases::wrong_token_version(cases::try_execute!());
    check_recorded(1);
}

#[test]
fun try_execute_records_other_cluster() {
    cases::other_cluster(cases::try_execute!());
    check_recorded(2);
}

#[test]
fun try_execute_records_revoked() {
    cases::revoked(cases::try_execute!());
    check_recorded(2);
}

#[test]
fun try_execute_records_not_yet_valid() {
    cases::not_yet_valid(cases::try_execute!());
    check_recorded(2);
}

#[test]
fun try_execute_records_expired() {
    cases::expired(cases::try_execute!());
    check_recorded(2);
}

#[test]
fun try_execute_records_not_holder() {
    cases::not_holder(cases::try_execute!());
    check_recorded(3);
}

#[test]
fun try_execute_records_bad_method() {
    cases::bad_method(cases::try_execute!());
    check_recorded(4);
}

#[test]
fun try_execute_records_malformed() {
    cases::malformed(cases::try_execute!());
    check_recorded(5);
}

#[test]
fun try_execute_records_no_permission() {
    cases::no_permission(cases::try_execute!());
    check_recorded(6);
}

#[test]
fun try_execute_records_insufficient_stake() {
    cases::insufficient_stake(cases::try_execute!());
    check_recorded(7);
}

#[test]
fun try_execute_records_past_deadline() {
    cases::past_deadline(cases::try_execute!());
    check_recorded(8);
}

#[test]
fun try_execute_records_far_deadline() {
    cases::far_deadline(cases::try_execute!());
    check_recorded(8);
}

#[test]
fun try_execute_records_payload_too_large() {
    cases::payload_too_large(cases::try_execute!());
    check_recorded(9);
}

#[test]
fun try_execute_records_invalid_priority() {
    cases::invalid_priority(cases::try_execute!());
    check_recorded(10);
}

#[test]
fun try_execute_records_duplicate() {
    cases::duplicate(cases::try_execute!());
    check_recorded(11);
}

#[test]
fun try_execute_records_no_executor() {
    cases::no_executor(cases::try_execute!());
    check_recorded(12);
}

#[test]
fun try_execute_records_too_many() {
    cases::too_many(cases::try_execute!());
    check_recorded(13);
}

// === try_execute_signed ===

#[test]
fun try_execute_signed_records_wrong_cluster_version() {
    cases::wrong_cluster_version(cases::try_execute_signed!());
    check_recorded(1);
}

#[test]
fun try_execute_signed_records_wrong_token_version() {
    cases::wrong_token_version(cases::try_execute_signed!());
    check_recorded(1);
}

#[test]
fun try_execute_signed_records_other_cluster() {
    cases::other_cluster(cases::try_execute_signed!());
    check_recorded(2);
}

#[test]
fun try_execute_signed_records_revoked() {
    cases::revoked(cases::try_execute_signed!());
    check_recorded(2);
}

#[test]
fun try_execute_signed_records_not_yet_valid() {
    cases::not_yet_valid(cases::try_execute_signed!());
    check_recorded(2);
}

#[test]
fun try_execute_signed_records_expired() {
    cases::expired(cases::try_execute_signed!());
    check_recorded(2);
}

#[test]
fun try_execute_signed_records_not_holder() {
    cases::not_holder(cases::try_execute_signed!());
    check_recorded(3);
}

#[test]
fun try_execute_signed_records_bad_method() {
    cases::bad_method(cases::try_execute_signed!());
    check_recorded(4);
}

#[test]
fun try_execute_signed_records_malformed() {
    cases::malformed(cases::try_execute_signed!());
    check_recorded(5);
}

#[test]
fun try_execute_signed_records_no_permission() {
    cases::no_permission(cases::try_execute_signed!());
    check_recorded(6);
}

#[test]
fun try_execute_signed_records_insufficient_stake() {
    cases::insufficient_stake(cases::try_execute_signed!());
    check_recorded(7);
}

#[test]
fun try_execute_signed_records_past_deadline() {
    cases::past_deadline(cases::try_execute_signed!());
    check_recorded(8);
}

#[test]
fun try_execute_signed_records_far_deadline() {
    cases::far_deadline(cases::try_execute_signed!());
    check_recorded(8);
}

#[test]
fun try_execute_signed_records_payload_too_large() {
    cases::payload_too_large(cases::try_execute_signed!());
    check_recorded(9);
}

#[test]
fun try_execute_signed_records_invalid_priority() {
    cases::invalid_priority(cases::try_execute_signed!());
    check_recorded(10);
}

#[test]
fun try_execute_signed_records_duplicate() {
    cases::duplicate(cases::try_execute_signed!());
    check_recorded(11);
}

#[test]
fun try_execute_signed_records_no_executor() {
    cases::no_executor(cases::try_execute_signed!());
    check_recorded(12);
}

#[test]
fun try_execute_signed_records_too_many() {
    cases::too_many(cases::try_execute_signed!());
    check_recorded(13);
}

// === record_refusal ===

#[test]
fun record_refusal_records_wrong_cluster_version() {
    cases::wrong_cluster_version(cases::record_refusal!());
    check_recorded(1);
}

#[test]
fun record_refusal_records_wrong_token_version() {
    cases::wrong_token_version(cases::record_refusal!());
    check_recorded(1);
}

#[test]
fun record_refusal_records_other_cluster() {
    cases::other_cluster(cases::record_refusal!());
    check_recorded(2);
}

#[test]
fun record_refusal_records_revoked() {
    cases::revoked(cases::record_refusal!());
    check_recorded(2);
}

#[test]
fun record_refusal_records_not_yet_valid() {
    cases::not_yet_valid(cases::record_refusal!());
    check_recorded(2);
}

#[test]
fun record_refusal_records_expired() {
    cases::expired(cases::record_refusal!());
    check_recorded(2);
}

#[test]
fun record_refusal_records_not_holder() {
    cases::not_holder(cases::record_refusal!());
    check_recorded(3);
}

#[test]
fun record_refusal_records_bad_method() {
    cases::bad_method(cases::record_refusal!());
    check_recorded(4);
}

#[test]
fun record_refusal_records_malformed() {
    cases::malformed(cases::record_refusal!());
    check_recorded(5);
}

#[test]
fun record_refusal_records_no_permission() {
    cases::no_permission(cases::record_refusal!());
    check_recorded(6);
}

#[test]
fun record_refusal_records_insufficient_stake() {
    cases::insufficient_stake(cases::record_refusal!());
    check_recorded(7);
}

#[test]
fun record_refusal_records_past_deadline() {
    cases::past_deadline(cases::record_refusal!());
    check_recorded(8);
}

#[test]
fun record_refusal_records_far_deadline() {
    cases::far_deadline(cases::record_refusal!());
    check_recorded(8);
}

#[test]
fun record_refusal_records_payload_too_large() {
    cases::payload_too_large(cases::record_refusal!());
    check_recorded(9);
}

#[test]
fun record_refusal_records_invalid_priority() {
    cases::invalid_priority(cases::record_refusal!());
    check_recorded(10);
}

#[test]
fun record_refusal_records_duplicate() {
    cases::duplicate(cases::record_refusal!());
    check_recorded(11);
}

#[test]
fun record_refusal_records_no_executor() {
    cases::no_executor(cases::record_refusal!());
    check_recorded(12);
}

#[test]
fun record_refusal_records_too_many() {
    cases::too_many(cases::record_refusal!());
    check_recorded(13);
}

/// One refusal was told, with this code, and nothing was admitted but what may have been before.
fun check_recorded(code: u8) {
    let told = event::events_by_type<events::K8sRequestRejected>();
    assert_eq!(told.length(), 1);
    let bytes = bcs::to_bytes(&told[0]);
    assert_eq!(bytes[bytes.length() - 1], code);
    let admitted = event::events_by_type<events::K8sAPIRequest>().length();
    assert_eq!(admitted, if (code == 11) 1 else 0);
}
