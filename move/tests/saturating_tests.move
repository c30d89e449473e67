#[test_only]
module k3s_daas::saturating_tests;

use k3s_daas::saturating;
use k3s_daas::world;
use std::unit_test::assert_eq;

#[test]
fun sums_stop_at_the_largest_number() {
    let max = world::max();
    assert_eq!(saturating::add(0, 0), 0);
    assert_eq!(saturating::add(1, 2), 3);
    assert_eq!(saturating::add(max - 1, 1), max);
    assert_eq!(saturating::add(max, 0), max);
    assert_eq!(saturating::add(0, max), max);
    assert_eq!(saturating::add(max, 1), max);
    assert_eq!(saturating::add(2, max - 1), max);
    assert_eq!(saturating::add(max, max), max);
}

#[random_test]
fun a_sum_is_exact_or_the_largest_number(a: u64, b: u64) {
    let exact = (a as u128) + (b as u128);
    let expected = if (exact > (world::max() as u128)) world::max() else exact as u64;
    assert_eq!(saturating::add(a, b), expected);
}
