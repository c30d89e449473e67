/// Values as the Rust tests write them for the VM, which is slow at reading bytes one by one: as BCS, but every vector of bytes,
/// every text and every address stands by itself, in order, behind one first part that has all the rest.
#[test_only]
module k3s_daas::parts;

use sui::address;
use sui::bcs::{Self, BCS};

/// What is left of a value.
public struct Parts has drop {
    numbers: BCS,
    /// The next one last.
    bytes: vector<vector<u8>>,
}

public fun read(mut parts: vector<vector<u8>>): Parts {
    parts.reverse();
    let numbers = bcs::new(parts.pop_back());
    Parts { numbers, bytes: parts }
}

/// Whether nothing is left.
public fun is_read(self: Parts): bool {
    let Parts { numbers, bytes } = self;
    bytes.is_empty() && numbers.into_remainder_bytes().is_empty()
}

public fun peel_bool(self: &mut Parts): bool { self.numbers.peel_bool() }

public fun peel_u8(self: &mut Parts): u8 { self.numbers.peel_u8() }

public fun peel_u16(self: &mut Parts): u16 { self.numbers.peel_u16() }

public fun peel_u64(self: &mut Parts): u64 { self.numbers.peel_u64() }

public fun peel_vec_u64(self: &mut Parts): vector<u64> { self.numbers.peel_vec_u64() }

public fun peel_enum_tag(self: &mut Parts): u32 { self.numbers.peel_enum_tag() }

public fun peel_vec_length(self: &mut Parts): u64 { self.numbers.peel_vec_length() }

public fun peel_vec_u8(self: &mut Parts): vector<u8> { self.bytes.pop_back() }

public fun peel_vec_vec_u8(self: &mut Parts): vector<vector<u8>> {
    vector::tabulate!(self.peel_vec_length(), |_| self.peel_vec_u8())
}

public fun peel_address(self: &mut Parts): address { address::from_bytes(self.peel_vec_u8()) }
