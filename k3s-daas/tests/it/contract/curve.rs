//! Keys and signatures that strict verifiers refuse and ZIP 215 takes, as the Move VM does.

use curve25519_dalek_ng::constants::ED25519_BASEPOINT_POINT as BASE;
use curve25519_dalek_ng::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek_ng::scalar::Scalar;
use k3s_daas::contract::{Call, Code};
use k3s_daas::crypto::blake2b256;
use k3s_daas::types::HexBytes;
use k3s_daas::wire::{IntentKind, RequestMessage};
use sha2::{Digest as _, Sha512};

use super::world::{EXPIRY, World, small_order_keys};

/// Its public key has a part of small order, its signatures another.
struct MixedKey {
    secret: Scalar,
    key: [u8; 32],
    nonce_torsion: EdwardsPoint,
}

impl MixedKey {
    fn new(key_torsion: EdwardsPoint, nonce_torsion: EdwardsPoint) -> Self {
        let secret = scalar(b"a secret of mixed order");
        let key = (BASE * secret + key_torsion).compress().to_bytes();
        Self {
            secret,
            key,
            nonce_torsion,
        }
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let nonce = scalar(message);
        let point = (BASE * nonce + self.nonce_torsion).compress().to_bytes();
        let mut hash = Sha512::new();
        hash.update(point);
        hash.update(self.key);
        hash.update(message);
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&point);
        signature[32..].copy_from_slice((nonce + challenge * self.secret).as_bytes());
        signature
    }

    fn signed(&self, w: &World, request: RequestMessage) -> Call {
        let intent = w.intent(IntentKind::Request, w.token);
        let signature = self.sign(&intent.signed_bytes(&request));
        Call::ExecuteSignedCommand {
            cluster: w.cluster,
            token: w.token,
            request,
            public_key: HexBytes(self.key.to_vec()),
            signature: HexBytes(signature.to_vec()),
        }
    }
}

#[test]
fn keys_and_nonces_of_mixed_order_sign() {
    let mut w = World::new();
    let torsions: Vec<EdwardsPoint> = small_order_keys()
        .iter()
        .filter_map(|key| CompressedEdwardsY(*key).decompress())
        .collect();
    assert!(torsions.len() >= 8, "{}", torsions.len());
    let mut n = 0;
    for (at, key_torsion) in torsions.iter().enumerate() {
        let nonce_torsion = torsions[torsions.len() - 1 - at];
        let signer = MixedKey::new(*key_torsion, nonce_torsion);
        if !w.token().session_keys.contains_key(&signer.key.into()) {
            let register = Call::RegisterSessionKey {
                token: w.token,
                key: HexBytes(signer.key.to_vec()),
                expires_at_ms: EXPIRY,
            };
            w.ok(w.owner, register);
        }
        n += 1;
        let call = signer.signed(&w, w.list_pods(n));
        w.ok(w.stranger, call.clone());

        // Not what is signed, nor under another spelling of the same number.
        n += 1;
        let mut other = signer.signed(&w, w.list_pods(n));
        if let Call::ExecuteSignedCommand { request, .. } = &mut other {
            request.priority = 1;
        }
        w.refused(w.stranger, other, Code::NotTokenHolder);
        let mut beyond = signer.signed(&w, w.list_pods(n));
        if let Call::ExecuteSignedCommand { signature, .. } = &mut beyond {
            add_group_order(&mut signature.0[32..]);
        }
        w.refused(w.stranger, beyond, Code::NotTokenHolder);
    }
}

fn scalar(from: &[u8]) -> Scalar {
    Scalar::from_bytes_mod_order(*blake2b256(&[from]).as_bytes())
}

/// Another number that is the same scalar.
fn add_group_order(bytes: &mut [u8]) {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, more) in bytes.iter_mut().zip(order.unwrap()) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}
