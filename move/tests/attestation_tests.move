#[test_only]
module k3s_daas::attestation_tests;

use k3s_daas::attestation::{Self, AttestedFacts};
use k3s_daas::cluster::{Cluster, ClusterAdminCap};
use k3s_daas::events;
use k3s_daas::executor;
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;

use fun world::wait as Clock.wait;

const AHEAD_MS: u64 = 60_000;
const AGE_MS: u64 = 300_000;

// === What may be believed ===

#[test]
fun an_attested_executor_is_registered_with_its_pcrs() {
    world::in_world!(|cluster, cap, _, _, clock| {
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        let facts = good(cluster);
        register(cluster, cap, facts, clock);
        // Alpha is not attested, so it is beta that is assigned.
        let id = fixtures::read().id();
        let chosen = cluster.assign(fixtures::token(), &id, 0, option::none());
        assert_eq!(chosen.destroy_some(), fixtures::beta());
        assert_eq!(cluster.registrations(), 2);
        assert_eq!(world::count_told<events::ExecutorRegistered>(), 2);
    })
}

#[test]
fun attestation_is_checked_where_it_is_not_required() {
    world::in_world!(|cluster, cap, _, _, clock| {
        // Without PCRs in the policy any will do, but for zeros.
        let facts = good(cluster);
        register(cluster, cap, facts, clock);
    })
}

#[test]
fun a_document_may_be_a_minute_from_the_future() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = facts(cluster, fixtures::now_ms() + AHEAD_MS, world::pcrs());
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationStale)]
fun a_document_is_not_further_from_the_future() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = facts(cluster, fixtures::now_ms() + AHEAD_MS + 1, world::pcrs());
        register(cluster, cap, facts, clock);
    })
}

#[test]
fun a_document_may_be_five_minutes_old() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = good(cluster);
        clock.wait(AGE_MS);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationStale)]
fun a_document_is_not_older() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = good(cluster);
        clock.wait(AGE_MS + 1);
        register(cluster, cap, facts, clock);
    })
}

#[test]
fun documents_at_the_edges_of_time_do_not_overflow() {
    world::in_world!(|cluster, cap, _, _, clock| {
        clock.set_for_testing(world::max());
        let facts = facts(cluster, world::max(), world::pcrs());
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationStale)]
fun a_document_from_the_end_of_time_is_from_the_future() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = facts(cluster, world::max(), world::pcrs());
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationDebug)]
fun zeros_in_any_pcr_are_debug_mode() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let mut pcrs = world::pcrs();
        *(&mut pcrs[2]) = vector::tabulate!(48, |_| 0);
        let facts = facts(cluster, fixtures::now_ms(), pcrs);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationDebug)]
fun a_missing_pcr_is_debug_mode() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let mut pcrs = world::pcrs();
        *(&mut pcrs[0]) = vector[];
        let facts = facts(cluster, fixtures::now_ms(), pcrs);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationPcr)]
fun other_pcrs_than_the_policys_are_refused() {
    world::in_world!(|cluster, cap, _, _, clock| {
        cluster.set_policy(cap, world::policy_of_pcrs(false));
        let mut pcrs = world::pcrs();
        *(&mut pcrs[1][47]) = 9;
        let facts = facts(cluster, fixtures::now_ms(), pcrs);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationNonce)]
fun a_document_is_for_one_registration() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = attestation::new_facts(
            fixtures::now_ms(),
            world::pcrs(),
            attestation::expected_nonce(cluster.id(), 0),
            bound(people::operator(), fixtures::beta_key(), encryption_key(), cluster),
        );
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationNonce)]
fun a_document_is_for_one_cluster() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = attestation::new_facts(
            fixtures::now_ms(),
            world::pcrs(),
            attestation::expected_nonce(@0xc1, 1),
            bound(people::operator(), fixtures::beta_key(), encryption_key(), cluster),
        );
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationNonce)]
fun a_document_has_a_nonce() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let user_data = bound(people::operator(), fixtures::beta_key(), encryption_key(), cluster);
        let now_ms = fixtures::now_ms();
        let facts = attestation::new_facts(now_ms, world::pcrs(), vector[], user_data);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationUserData)]
fun a_document_binds_the_operator() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let user_data = bound(people::stranger(), fixtures::beta_key(), encryption_key(), cluster);
        let facts = of_user_data(cluster, user_data);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationUserData)]
fun a_document_binds_the_signing_key() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let user_data = bound(people::operator(), fixtures::alpha_key(), encryption_key(), cluster);
        let facts = of_user_data(cluster, user_data);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationUserData)]
fun a_document_binds_the_encryption_key() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let other = vector::tabulate!(32, |_| 0x27);
        let user_data = bound(people::operator(), fixtures::beta_key(), other, cluster);
        let facts = of_user_data(cluster, user_data);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationUserData)]
fun a_document_binds_the_api_server() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let user_data = bound(people::operator(), fixtures::beta_key(), encryption_key(), cluster);
        let facts = of_user_data(cluster, user_data);
        // Made for the policy before, which named no CA.
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationUserData)]
fun a_document_has_user_data() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = of_user_data(cluster, vector[]);
        register(cluster, cap, facts, clock);
    })
}

// === In which order ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationDebug)]
fun debug_mode_comes_before_the_pcrs() {
    world::in_world!(|cluster, cap, _, _, clock| {
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        let zeros = vector::tabulate!(3, |_| vector::tabulate!(48, |_| 0));
        register(cluster, cap, attestation::new_facts(0, zeros, vector[], vector[]), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationPcr)]
fun the_pcrs_come_before_the_time() {
    world::in_world!(|cluster, cap, _, _, clock| {
        cluster.set_policy(cap, world::policy_of_pcrs(true));
        let ones = vector::tabulate!(3, |_| vector::tabulate!(48, |_| 1));
        register(cluster, cap, attestation::new_facts(0, ones, vector[], vector[]), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationStale)]
fun the_time_comes_before_the_nonce() {
    world::in_world!(|cluster, cap, _, _, clock| {
        register(cluster, cap, attestation::new_facts(0, world::pcrs(), vector[], vector[]), clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAttestationNonce)]
fun the_nonce_comes_before_the_user_data() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let now_ms = fixtures::now_ms();
        let facts = attestation::new_facts(now_ms, world::pcrs(), vector[], vector[]);
        register(cluster, cap, facts, clock);
    })
}

// === What comes before ===

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun registering_wants_this_version() {
    world::in_world!(|cluster, cap, _, _, clock| {
        cluster.set_version_for_testing(0);
        let facts = good(cluster);
        register(cluster, cap, facts, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::ENotAdmin)]
fun registering_wants_its_own_cap() {
    world::in_world!(|cluster, _, _, _, clock| {
        let (other, cap) = world::another_cluster();
        let facts = good(cluster);
        register(cluster, &cap, facts, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EDuplicateKey)]
fun registering_wants_a_new_key() {
    world::in_world!(|cluster, cap, _, _, clock| {
        let facts = good(cluster);
        register(cluster, cap, facts, clock);
        let facts = good(cluster);
        register(cluster, cap, facts, clock);
    })
}

// === Helpers ===

fun register(cluster: &mut Cluster, cap: &ClusterAdminCap, facts: AttestedFacts, clock: &Clock) {
    let executor = executor::register_with_facts(
        cluster,
        cap,
        people::operator(),
        fixtures::beta_key(),
        encryption_key(),
        facts,
        clock,
        &mut people::ctx_of(people::admin(), 4),
    );
    world::drop(executor);
}

fun good(cluster: &Cluster): AttestedFacts {
    facts(cluster, fixtures::now_ms(), world::pcrs())
}

fun facts(cluster: &Cluster, timestamp_ms: u64, pcrs: vector<vector<u8>>): AttestedFacts {
    attestation::new_facts(
        timestamp_ms,
        pcrs,
        attestation::expected_nonce(cluster.id(), cluster.registrations()),
        bound(people::operator(), fixtures::beta_key(), encryption_key(), cluster),
    )
}

fun of_user_data(cluster: &Cluster, user_data: vector<u8>): AttestedFacts {
    let nonce = attestation::expected_nonce(cluster.id(), cluster.registrations());
    attestation::new_facts(fixtures::now_ms(), world::pcrs(), nonce, user_data)
}

fun bound(
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    cluster: &Cluster,
): vector<u8> {
    let kube_ca_hash = *cluster.policy().kube_ca_hash();
    attestation::expected_user_data(operator, signing_key, encryption_key, kube_ca_hash)
}

fun encryption_key(): vector<u8> { vector::tabulate!(32, |_| 0x26) }
