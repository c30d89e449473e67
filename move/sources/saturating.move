/// Sums that stop at the largest number instead of aborting: a clock at the edge of 64 bits refuses nothing by accident.
module k3s_daas::saturating;

/// `a + b`, or the largest number if that is more.
public(package) fun add(a: u64, b: u64): u64 {
    if (a > std::u64::max_value!() - b) std::u64::max_value!() else a + b
}
