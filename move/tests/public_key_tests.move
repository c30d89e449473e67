#[test_only]
module k3s_daas::public_key_tests;

use k3s_daas::fixtures;
use k3s_daas::intent;
use k3s_daas::public_key;

/// Aborts with `EInvalidKey` for the encoding of this number, among the 14 of small order.
fun check(number: u64) {
    let encodings = vector[
        x"0100000000000000000000000000000000000000000000000000000000000000",
        x"0100000000000000000000000000000000000000000000000000000000000080",
        x"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        x"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        x"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        x"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        x"0000000000000000000000000000000000000000000000000000000000000000",
        x"0000000000000000000000000000000000000000000000000000000000000080",
        x"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        x"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        x"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        x"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        x"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        x"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    let key = encodings[number];
    // The reason: R = identity and s = 0 is a signature over everything.
    let mut signature = x"0100000000000000000000000000000000000000000000000000000000000000";
    signature.append(vector::tabulate!(32, |_| 0));
    assert!(intent::verify(&b"anything", &key, &signature));
    public_key::check(&key);
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_0_is_refused() { check(0) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_1_is_refused() { check(1) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_2_is_refused() { check(2) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_3_is_refused() { check(3) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_4_is_refused() { check(4) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_5_is_refused() { check(5) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_6_is_refused() { check(6) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_7_is_refused() { check(7) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_8_is_refused() { check(8) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_9_is_refused() { check(9) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_10_is_refused() { check(10) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_11_is_refused() { check(11) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_12_is_refused() { check(12) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun small_order_encoding_13_is_refused() { check(13) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun a_short_key_is_refused() { public_key::check(&vector::tabulate!(31, |_| 7)) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun a_long_key_is_refused() { public_key::check(&vector::tabulate!(33, |_| 7)) }

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidKey)]
fun no_key_is_refused() { public_key::check(&vector[]) }

#[test]
fun a_key_off_the_curve_is_taken_and_verifies_nothing() {
    // y = 2 has no x.
    let mut key = vector::tabulate!(32, |_| 0);
    *(&mut key[0]) = 2;
    public_key::check(&key);
    let mut signature = x"0100000000000000000000000000000000000000000000000000000000000000";
    signature.append(vector::tabulate!(32, |_| 0));
    assert!(!intent::verify(&b"anything", &key, &signature));
}

#[test]
fun neighbours_of_small_order_are_taken() {
    public_key::check(&fixtures::alpha_key());
    let mut key = x"0100000000000000000000000000000000000000000000000000000000000000";
    *(&mut key[30]) = 1;
    public_key::check(&key);
}
