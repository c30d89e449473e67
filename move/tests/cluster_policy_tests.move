#[test_only]
module k3s_daas::cluster_policy_tests;

use k3s_daas::cluster_policy::{Self, ClusterPolicy};
use k3s_daas::world;
use std::unit_test::assert_eq;

const MONTH_MS: u64 = 2_592_000_000;
const MILLION_SUI: u64 = 1_000_000_000_000_000;

#[test]
fun the_default_is_what_the_contract_says() {
    let policy = cluster_policy::default();
    policy.check();
    assert_eq!(policy.min_write_stake(), 1_000_000_000);
    assert_eq!(policy.min_executor_stake(), 0);
    assert_eq!(policy.unbonding_ms(), 7 * 24 * 3_600_000);
    assert_eq!(policy.lease_ms(), 10_000);
    assert_eq!(policy.response_ttl_ms(1), 600_000);
    assert_eq!(policy.response_ttl_ms(2), 3_600_000);
    assert_eq!(policy.response_ttl_ms(3), 21_600_000);
    assert_eq!(policy.response_ttl_ms(4), 86_400_000);
    assert_eq!(policy.longest_ttl_ms(), 86_400_000);
    assert!(!policy.require_attestation());
}

#[test]
fun the_longest_time_is_not_always_the_last() {
    let policy = world::policy_of_times(0, 1_000, vector[1, 9, 3, 4]);
    assert_eq!(policy.longest_ttl_ms(), 9);
}

#[test]
fun bounds_are_within() {
    world::policy_of_stakes(MILLION_SUI, MILLION_SUI).check();
    world::policy_of_times(
        MONTH_MS,
        600_000,
        vector[MONTH_MS, MONTH_MS, MONTH_MS, MONTH_MS],
    ).check();
    world::policy_of_times(0, 1_000, vector[0, 0, 0, 0]).check();
    world::policy_of_pcrs(true).check();
    world::policy_of_pcrs(false).check();
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun write_stake_is_bounded() { world::policy_of_stakes(MILLION_SUI + 1, 0).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun executor_stake_is_bounded() { world::policy_of_stakes(0, MILLION_SUI + 1).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun unbonding_is_bounded() { world::policy_of_times(MONTH_MS + 1, 10_000, world::ttls()).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun leases_are_not_too_short() { world::policy_of_times(0, 999, world::ttls()).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun leases_are_not_too_long() { world::policy_of_times(0, 600_001, world::ttls()).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun three_times_are_too_few() { world::policy_of_times(0, 10_000, vector[1, 2, 3]).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun five_times_are_too_many() { world::policy_of_times(0, 10_000, vector[1, 2, 3, 4, 5]).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun times_are_bounded() {
    world::policy_of_times(0, 10_000, vector[1, 2, MONTH_MS + 1, 4]).check()
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun attestation_needs_pcrs() { of_pcrs(true, vector[], vector[]).check() }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun two_pcrs_are_too_few() {
    let mut pcrs = world::pcrs();
    pcrs.pop_back();
    of_pcrs(false, pcrs, vector[]).check()
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun a_pcr_has_48_bytes() {
    let mut pcrs = world::pcrs();
    pcrs[1].pop_back();
    of_pcrs(false, pcrs, vector[]).check()
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun a_pcr_of_zeros_is_debug_mode() {
    let mut pcrs = world::pcrs();
    *(&mut pcrs[2]) = vector::tabulate!(48, |_| 0);
    of_pcrs(false, pcrs, vector[]).check()
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidPolicy)]
fun a_ca_hash_has_32_bytes() { of_pcrs(false, vector[], vector::tabulate!(31, |_| 1)).check() }

fun of_pcrs(is_required: bool, pcrs: vector<vector<u8>>, kube_ca_hash: vector<u8>): ClusterPolicy {
    cluster_policy::new(0, 0, 0, 10_000, world::ttls(), is_required, pcrs, kube_ca_hash)
}
