//! Keys that are not signers.

use k3s_daas::crypto::Ed25519Signer;
use x25519_dalek::{PublicKey, StaticSecret};

/// The X25519 public key whose secret is the seed in a key file: what an executor is sealed to.
///
/// The file is one of its own, so the seed is never used for signatures too.
#[must_use]
pub fn encryption_public_key(key: &Ed25519Signer) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*key.seed())).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_openssl_makes_of_the_seed() {
        // openssl pkey -pubout of the X25519 private key whose 32 bytes are all 7.
        let key = encryption_public_key(&Ed25519Signer::from_seed([7; 32]));
        let expected = "13be4feaeaf204c7fd3358fc9c00721881d174278128227ec674f37f7fe97b6d";
        assert_eq!(hex::encode(key), expected);
    }
}
