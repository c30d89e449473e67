#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use fastcrypto::traits::{ToFromBytes as _, VerifyingKey as _};
use proptest::prelude::*;

use super::*;

/// RFC 8032, section 7.1: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

/// “Taming the many EdDSAs” (eprint 2020/1244), table 6: message, key, signature, and what
/// ZIP 215 says. A strict verifier differs on most of the first half and the last three.
const EDGE_CASES: [(&str, &str, &str, bool); 12] = [
    (
        "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
        true,
    ),
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        true,
    ),
    (
        "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        true,
    ),
    (
        "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
        true,
    ),
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        true,
    ),
    (
        "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
        true,
    ),
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        false,
    ),
    (
        "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        false,
    ),
    (
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
        false,
    ),
    (
        "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
        true,
    ),
    (
        "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        true,
    ),
    (
        "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        true,
    ),
];

#[test]
fn rfc_8032() {
    for [seed, key, message, signature] in RFC_8032 {
        let signer = Ed25519Signer::from_seed(hex_array("seed", seed).unwrap());
        let message = hex::decode(message).unwrap();
        assert_eq!(signer.public_key().to_string(), key);
        assert_eq!(*signer.seed(), hex_array("seed", seed).unwrap());
        let made = signer.sign_now(&message);
        assert_eq!(made.to_string(), signature);
        assert!(agreed(&signer.public_key(), &message, &made));
    }
}

#[test]
fn edge_cases_of_zip_215() {
    for (index, (message, key, signature, valid)) in EDGE_CASES.into_iter().enumerate() {
        let message = hex::decode(message).unwrap();
        let (key, signature) = (key.parse().unwrap(), signature.parse().unwrap());
        assert_eq!(agreed(&key, &message, &signature), valid, "case {index}");
    }
}

/// All pairs of small-order keys and small-order R: ZIP 215 accepts every one, for any message.
#[test]
fn small_order_points_verify_anything() {
    for key in SMALL_ORDER {
        let key = PublicKey(key);
        assert!(key.is_small_order());
        for commitment in SMALL_ORDER {
            let signature = trivial_signature(commitment);
            for message in [&b""[..], b"pay the attacker"] {
                assert!(agreed(&key, message, &signature), "{key} {signature}");
            }
        }
    }
}

/// The table is complete: among all encodings that are not canonical, and those of honest keys,
/// exactly the listed ones verify what was never signed. (The canonical ones are the eight
/// torsion points, and there are no more: the curve's cofactor is 8.)
#[test]
fn small_order_is_exactly_what_verifies_anything() {
    let distinct: HashSet<_> = SMALL_ORDER.into_iter().collect();
    assert_eq!(distinct.len(), 14);
    let mut non_canonical = Vec::new();
    for above_p in 0..19 {
        non_canonical.push(encoding(0xed + above_p, 0xff, 0x7f));
        non_canonical.push(encoding(0xed + above_p, 0xff, 0xff));
    }
    let identity = encoding(1, 0, 0);
    let found: HashSet<_> = (0..64)
        .map(|_| *Ed25519Signer::generate().public_key().as_bytes())
        .chain(non_canonical)
        .chain(SMALL_ORDER)
        .filter(|key| PublicKey(*key).verify(b"never signed", &trivial_signature(identity)))
        .collect();
    assert_eq!(found, distinct);
}

#[test]
fn tampering_is_found() {
    let signer = Ed25519Signer::generate();
    let message = b"apply".to_vec();
    let signature = signer.sign_now(&message);
    let key = signer.public_key();
    assert!(agreed(&key, &message, &signature));
    for bit in 0..512 {
        let mut other = signature;
        other.0[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !agreed(&key, &message, &other),
            "bit {bit} of the signature"
        );
    }
    for bit in 0..256 {
        let mut other = key;
        other.0[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !agreed(&other, &message, &signature),
            "bit {bit} of the key"
        );
    }
    for bit in 0..message.len() * 8 {
        let mut other = message.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !agreed(&key, &other, &signature),
            "bit {bit} of the message"
        );
    }
    assert!(!agreed(&key, b"apply ", &signature));
    assert!(!agreed(
        &Ed25519Signer::generate().public_key(),
        &message,
        &signature
    ));
}

/// s and s + ℓ satisfy the same equation; only the first is a signature.
#[test]
fn malleated_signatures_are_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let signer = Ed25519Signer::generate();
    let mut signature = signer.sign_now(b"m");
    // As often as it fits into 32 bytes.
    for times in 1..15 {
        let mut carry = 0;
        for (byte, order) in signature.0[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert!(!agreed(&signer.public_key(), b"m", &signature), "{times}");
    }
}

#[test]
fn keys_off_the_curve_verify_nothing() {
    // y = 2 has no x.
    let off = PublicKey(encoding(2, 0, 0));
    assert!(VerificationKey::try_from(off.0).is_err());
    assert!(!off.is_small_order());
    for commitment in SMALL_ORDER {
        assert!(!agreed(&off, b"", &trivial_signature(commitment)));
    }
    let signature = Ed25519Signer::generate().sign_now(b"m");
    assert!(!agreed(&off, b"m", &signature));
}

#[test]
fn addresses_are_those_of_sui() {
    // BLAKE2b-256 of a zero byte and the first key of RFC 8032, from Python's hashlib.
    let key: PublicKey = RFC_8032[0][1].parse().unwrap();
    assert_eq!(
        key.address().to_string(),
        "0x304af458e90e97c841685b8cbbc59b909f3e2cf150df590ada4c81452c29737d"
    );
    // The first key pair in the tests of Sui's TypeScript SDK, its bech32 undone.
    let seed = "dd09307a43ba6dc186b5709e4ca51f4fc71911c143f7ceffcf8c60e6b03bc8fa";
    let signer = Ed25519Signer::from_seed(hex_array("seed", seed).unwrap());
    assert_eq!(
        signer.address().to_string(),
        "0xa2d14fad60c56049ecf75246a481934691214ce413e6a8ae2fe6834c173a6133"
    );
}

#[test]
fn batches_find_the_bad_ones() {
    let signers: Vec<_> = (0..5).map(|_| Ed25519Signer::generate()).collect();
    for bad in [vec![], vec![0], vec![19], vec![3, 7, 8], (0..20).collect()] {
        let mut batch = BatchVerifier::new();
        for index in 0..20usize {
            let message = index.to_le_bytes();
            let signer = &signers[index % signers.len()];
            let signature = signer.sign_now(&message);
            if bad.contains(&index) {
                batch.push(&signer.public_key(), b"another message", &signature);
            } else {
                batch.push(&signer.public_key(), &message, &signature);
            }
        }
        assert_eq!(batch.len(), 20);
        match batch.verify() {
            Ok(()) => assert!(bad.is_empty()),
            Err(found) => assert_eq!(found.indices(), bad),
        }
    }
    assert!(BatchVerifier::new().is_empty());
    assert_eq!(BatchVerifier::new().verify(), Ok(()));
}

/// A bad signature under one key must not be outweighed by others under the same key.
#[test]
fn batches_are_not_fooled_by_sums() {
    let signer = Ed25519Signer::generate();
    let (one, two) = (signer.sign_now(b"1"), signer.sign_now(b"2"));
    // Swap the s of two signatures: the unweighted sum of both equations still holds.
    let mut swapped_one = one;
    swapped_one.0[32..].copy_from_slice(&two.0[32..]);
    let mut swapped_two = two;
    swapped_two.0[32..].copy_from_slice(&one.0[32..]);
    let mut batch = BatchVerifier::new();
    batch.push(&signer.public_key(), b"1", &swapped_one);
    batch.push(&signer.public_key(), b"2", &swapped_two);
    assert_eq!(batch.verify().unwrap_err().indices(), [0, 1]);
}

#[test]
fn batches_agree_with_single_verification_on_edge_cases() {
    let mut batch = BatchVerifier::new();
    let mut bad = Vec::new();
    for (index, (message, key, signature, valid)) in EDGE_CASES.into_iter().enumerate() {
        let message = hex::decode(message).unwrap();
        batch.push(&key.parse().unwrap(), &message, &signature.parse().unwrap());
        if !valid {
            bad.push(index);
        }
    }
    // A key off the curve spoils nobody else's signature.
    batch.push(
        &PublicKey(encoding(2, 0, 0)),
        b"",
        &trivial_signature(encoding(1, 0, 0)),
    );
    bad.push(EDGE_CASES.len());
    assert_eq!(batch.verify().unwrap_err().indices(), bad);

    let mut good = BatchVerifier::new();
    for (message, key, signature, valid) in EDGE_CASES {
        if valid {
            let message = hex::decode(message).unwrap();
            good.push(&key.parse().unwrap(), &message, &signature.parse().unwrap());
        }
    }
    assert_eq!(good.verify(), Ok(()));
}

#[test]
fn debug_shows_no_key() {
    let seed = [0x5a; 32];
    let signer = Ed25519Signer::from_seed(seed);
    let text = format!("{signer:?} {signer:#?}");
    assert!(!text.contains("5a5a") && !text.contains("90, 90"), "{text}");
    let expanded = format!("{:?}", signer.key.0);
    let scalar = expanded.split("bytes: ").nth(1).unwrap();
    assert!(!text.contains(&scalar[..20]));
    assert!(text.contains(&signer.public_key().to_string()));
}

#[tokio::test]
async fn signers_are_objects() {
    let signer = Ed25519Signer::generate();
    let shared: Arc<dyn Signer> = Arc::new(Arc::new(signer.clone()));
    assert_eq!(shared.public_key(), signer.public_key());
    assert_eq!(shared.address(), signer.public_key().address());
    let signature = shared.sign(b"m").await.unwrap();
    assert!(signer.public_key().verify(b"m", &signature));
}

#[test]
fn generated_keys_differ() {
    let keys: HashSet<_> = (0..32)
        .map(|_| Ed25519Signer::generate().public_key())
        .collect();
    assert_eq!(keys.len(), 32);
}

#[test]
fn bcs_writes_no_length() {
    let (key, signature) = (PublicKey([3; 32]), Signature([4; 64]));
    assert_eq!(bcs::to_bytes(&key).unwrap(), [3; 32]);
    assert_eq!(bcs::to_bytes(&signature).unwrap(), [4; 64]);
    for len in [0, 63, 65] {
        assert!(
            bcs::from_bytes::<Signature>(&vec![4; len]).is_err(),
            "{len}"
        );
    }
    for text in ["\"04\"", "\"0x04\"", "[4]", "4", "null"] {
        assert!(serde_json::from_str::<Signature>(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn signatures_verify(seed: [u8; 32], message: Vec<u8>) {
        let signer = Ed25519Signer::from_seed(seed);
        let signature = signer.sign_now(&message);
        prop_assert!(agreed(&signer.public_key(), &message, &signature));
    }

    #[test]
    fn arbitrary_bytes_are_judged_alike(key: [u8; 32], r: [u8; 32], s: [u8; 32], message: Vec<u8>) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        prop_assert!(!agreed(&PublicKey(key), &message, &Signature(signature)));
    }

    #[test]
    fn keys_and_signatures_round_trip(key: [u8; 32], r: [u8; 32], s: [u8; 32]) {
        let key = PublicKey(key);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        let signature = Signature(signature);
        prop_assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        prop_assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
        let both = (key, signature);
        let json = serde_json::to_string(&both).unwrap();
        prop_assert_eq!(serde_json::from_str::<(PublicKey, Signature)>(&json).unwrap(), both);
        let wire = bcs::to_bytes(&both).unwrap();
        prop_assert_eq!(bcs::from_bytes::<(PublicKey, Signature)>(&wire).unwrap(), both);
    }
}

/// What we say, once fastcrypto and a batch of one have said the same.
fn agreed(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let ours = key.verify(message, signature);
    let theirs = fastcrypto::ed25519::Ed25519PublicKey::from_bytes(&key.0).is_ok_and(|key| {
        let signature = fastcrypto::ed25519::Ed25519Signature::from_bytes(&signature.0).unwrap();
        key.verify(message, &signature).is_ok()
    });
    assert_eq!(ours, theirs, "fastcrypto on {key} {signature}");
    let mut batch = BatchVerifier::new();
    batch.push(key, message, signature);
    assert_eq!(ours, batch.verify().is_ok(), "a batch of {key} {signature}");
    ours
}

/// What anybody can write without a key: a small-order R, and s = 0.
fn trivial_signature(commitment: [u8; 32]) -> Signature {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    Signature(signature)
}
