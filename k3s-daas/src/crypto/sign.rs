//! Ed25519 keys, signatures and the `Signer` trait.
