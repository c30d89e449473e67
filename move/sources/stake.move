/// Bonded SUI and what of it is on its way out, of a seal token or an executor.
module k3s_daas::stake;

use k3s_daas::errors;
use k3s_daas::saturating;
use sui::balance::{Self, Balance};
use sui::sui::SUI;

// === Constants ===

/// Unbondings at a time.
const MAX_UNBONDINGS: u64 = 32;
/// MIST of one unbonding, unless it is all that is left: 0.01 SUI.
const MIN_UNBONDING_MIST: u64 = 10_000_000;

// === Structs ===

/// Stake. All of it can be slashed, bonded or not, until it is paid out.
public struct Stake has store {
    bonded: Balance<SUI>,
    /// The sum of `unbondings`.
    unbonding: Balance<SUI>,
    unbondings: vector<Unbonding>,
}

/// Stake on its way out.
public struct Unbonding has copy, drop, store {
    amount: u64,
    /// Unix milliseconds from which it can be withdrawn.
    unlock_ms: u64,
}

// === Package functions ===

public(package) fun new(): Stake {
    Stake { bonded: balance::zero(), unbonding: balance::zero(), unbondings: vector[] }
}

public(package) fun bonded(self: &Stake): u64 { self.bonded.value() }

/// MIST bonded and unbonding together.
public(package) fun total(self: &Stake): u64 { self.bonded.value() + self.unbonding.value() }

/// Adds to the bond. Aborts with `EZeroAmount` or, if there were more MIST than 64 bits hold, `ELimitExceeded`.
public(package) fun deposit(self: &mut Stake, deposit: Balance<SUI>) {
    errors::require(deposit.value() > 0, errors::zero_amount!());
    let room = std::u64::max_value!() - self.total();
    errors::require(deposit.value() <= room, errors::limit_exceeded!());
    self.bonded.join(deposit);
}

/// Moves an amount from the bond to an unbonding and returns when that unlocks. Aborts with `EZeroAmount`, `EInsufficientStake`
/// or `ELimitExceeded`.
public(package) fun unbond(self: &mut Stake, amount: u64, now_ms: u64, unbonding_ms: u64): u64 {
    errors::require(amount > 0, errors::zero_amount!());
    errors::require(amount <= self.bonded.value(), errors::insufficient_stake!());
    errors::require(self.unbondings.length() < MAX_UNBONDINGS, errors::limit_exceeded!());
    let is_enough = amount >= MIN_UNBONDING_MIST || amount == self.bonded.value();
    errors::require(is_enough, errors::limit_exceeded!());
    let unlock_ms = saturating::add(now_ms, unbonding_ms);
    self.unbonding.join(self.bonded.split(amount));
    self.unbondings.push_back(Unbonding { amount, unlock_ms });
    unlock_ms
}

/// Takes out all that is unlocked. Aborts with `EStillUnbonding` if nothing is.
public(package) fun withdraw(self: &mut Stake, now_ms: u64): Balance<SUI> {
    let (due, left) = self.unbondings.partition!(|unbonding| now_ms >= unbonding.unlock_ms);
    errors::require(!due.is_empty(), errors::still_unbonding!());
    self.unbondings = left;
    self.unbonding.split(due.fold!(0, |sum, unbonding| sum + unbonding.amount))
}

/// Takes everything, bonded and unbonding.
public(package) fun take_all(self: &mut Stake): Balance<SUI> {
    self.unbondings = vector[];
    let mut all = self.bonded.withdraw_all();
    all.join(self.unbonding.withdraw_all());
    all
}

// === Test-only functions ===

#[test_only]
public fun unlocked_for_testing(self: &Stake, now_ms: u64): u64 {
    let mut sum = 0;
    self.unbondings.do_ref!(|unbonding| {
        if (now_ms >= unbonding.unlock_ms) sum = sum + unbonding.amount;
    });
    sum
}

#[test_only]
public fun unbondings_for_testing(self: &Stake): u64 { self.unbondings.length() }

#[test_only]
public fun unbonding_sum_for_testing(self: &Stake): u64 {
    let mut sum = 0;
    self.unbondings.do_ref!(|unbonding| sum = sum + unbonding.amount);
    assert!(sum == self.unbonding.value());
    sum
}

/// As the Rust twin has it: what is bonded, then the unbondings.
#[test_only]
public fun as_twin_for_testing(self: &Stake): vector<u8> {
    let mut bytes = sui::bcs::to_bytes(&self.bonded());
    bytes.append(sui::bcs::to_bytes(&self.unbondings));
    bytes
}
