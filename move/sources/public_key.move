/// Ed25519 keys that may be registered.
module k3s_daas::public_key;

use k3s_daas::errors;

// === Constants ===

/// The encodings of the points whose order divides 8 that ZIP 215 accepts, each without the sign of x in its top bit:
/// y = 1 and p + 1 (order 1), p − 1 (order 2), 0 and p (order 4), and the two of order 8. With either sign, 14 encodings.
///
/// Under such a key one signature, which anybody can write down, is valid for every message.
const SMALL_ORDER: vector<vector<u8>> = vector[
    x"0100000000000000000000000000000000000000000000000000000000000000",
    x"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    x"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    x"0000000000000000000000000000000000000000000000000000000000000000",
    x"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    x"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    x"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];

// === Package functions ===

/// Aborts with `EInvalidKey` unless the key may be registered: 32 bytes, not of small order. A key off the curve may, and
/// verifies nothing.
public(package) fun check(key: &vector<u8>) {
    errors::require(key.length() == 32, errors::invalid_key!());
    errors::require(!is_small_order(*key), errors::invalid_key!());
}

// === Private functions ===

fun is_small_order(mut key: vector<u8>): bool {
    let last = &mut key[31];
    *last = *last & 0x7f;
    let small_order = SMALL_ORDER;
    small_order.contains(&key)
}
