//! Ed25519 keys, signatures and the [`Signer`] trait.
//!
//! Verification follows [ZIP 215], as the Move VM does: strict verifiers (RFC 8032 read
//! narrowly) refuse signatures that it accepts, and then two ledgers would disagree.
//!
//! [ZIP 215]: https://zips.z.cash/zip-0215

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use ed25519_consensus::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use super::Error;
use super::hash::{blake2b256, deserialize_bytes, hex_array, random_array, serialize_bytes};
use crate::types::Address;

/// An Ed25519 public key as its 32 bytes, on the curve or not.
///
/// Any 32 bytes are a `PublicKey`; one that is off the curve verifies nothing. Whoever registers
/// a key must refuse [small-order](PublicKey::is_small_order) ones, as the contract does.
///
/// In BCS 32 bytes without a length; in human-readable formats 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Sui's address of this key: BLAKE2b-256 of the scheme's flag (0x00, Ed25519) and the key.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new(*blake2b256(&[&[ED25519_FLAG], &self.0]).as_bytes())
    }

    /// Whether the key is one of the 14 encodings of a point whose order divides 8.
    ///
    /// Under such a key one signature, which anybody can write down, is valid for every message.
    #[must_use]
    pub fn is_small_order(&self) -> bool {
        SMALL_ORDER.contains(&self.0)
    }

    /// Whether `signature` is this key's over `message`, by ZIP 215.
    ///
    /// Never for a key off the curve; for a small-order key, too easily.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        VerificationKey::try_from(self.0)
            .and_then(|key| key.verify(&signature.0.into(), message))
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        hex_array("public key", text).map(Self)
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes("public key", deserializer).map(Self)
    }
}

/// An Ed25519 signature: R, then s, 32 bytes each.
///
/// In BCS 64 bytes without a length; in human-readable formats 128 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes of the signature.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = Error;

    /// Reads 128 hex digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        hex_array("signature", text).map(Self)
    }
}

impl From<[u8; 64]> for Signature {
    fn from(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes("signature", deserializer).map(Self)
    }
}

/// Verifies many signatures at about a quarter of the cost of one each.
///
/// Agrees with [`PublicKey::verify`] on every signature; that is what ZIP 215 is for. Bounded
/// by its caller: it holds about 200 bytes for each signature, and no messages.
#[derive(Default)]
pub struct BatchVerifier {
    items: Vec<batch::Item>,
}

impl BatchVerifier {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a signature; its index is the number of those added before. Hashes the message.
    pub fn push(&mut self, key: &PublicKey, message: &[u8], signature: &Signature) {
        let key = VerificationKeyBytes::from(key.0);
        self.items.push((key, signature.0.into(), message).into());
    }

    /// How many signatures were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no signature was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Verifies all that was added.
    ///
    /// # Errors
    /// [`BadSignatures`] names the invalid ones; finding them costs a single verification of each.
    pub fn verify(self) -> Result<(), BadSignatures> {
        // One by itself is half as dear without the batch's blinding.
        if self.items.len() > 1 {
            let mut verifier = batch::Verifier::new();
            for item in &self.items {
                verifier.queue(item.clone());
            }
            if verifier.verify(SystemRandom::new()).is_ok() {
                return Ok(());
            }
        }
        let indices: Vec<usize> = self
            .items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| item.verify_single().is_err().then_some(index))
            .collect();
        if indices.is_empty() {
            // Batch and single verification agree; should they ever not, the single one counts.
            return Ok(());
        }
        Err(BadSignatures { indices })
    }
}

impl fmt::Debug for BatchVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchVerifier")
            .field("len", &self.items.len())
            .finish()
    }
}

/// The signatures of a batch that are not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of the batch's signatures are not valid, the first at index {}", .indices.len(), .indices[0])]
pub struct BadSignatures {
    indices: Vec<usize>,
}

impl BadSignatures {
    /// Their indices in the order of [`BatchVerifier::push`], ascending, at least one.
    #[must_use]
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

/// Someone who signs with one Ed25519 key.
///
/// Asynchronous because keys live elsewhere: in a file, a PKCS#11 token, a cloud's key service,
/// an enclave's memory. A signature may be asked for again after any error.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// The key that verifies what this signer signs. Never changes.
    fn public_key(&self) -> PublicKey;

    /// Signs `message` as it is, without hashing it first.
    ///
    /// # Errors
    /// - [`SignerError::Unavailable`]: where the key lives cannot be reached; try again.
    /// - [`SignerError::Refused`]: it will not sign; asking again does not help.
    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError>;

    /// The Sui address of the key.
    fn address(&self) -> Address {
        self.public_key().address()
    }
}

#[async_trait]
impl<S: Signer + ?Sized> Signer for Arc<S> {
    fn public_key(&self) -> PublicKey {
        (**self).public_key()
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        (**self).sign(message).await
    }

    fn address(&self) -> Address {
        (**self).address()
    }
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// Where the key lives cannot be reached now.
    #[error("signer {signer} is unavailable")]
    Unavailable {
        /// Which kind of signer, e.g. `pkcs11`.
        signer: &'static str,
        /// What its client says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The key's home will not sign: locked, no permission, key gone.
    #[error("signer {signer} refused to sign: {reason}")]
    Refused {
        /// Which kind of signer, e.g. `pkcs11`.
        signer: &'static str,
        /// Its reason, in its own words.
        reason: String,
    },
}

impl SignerError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A signer whose key is in this process's memory.
///
/// Cloning shares the one copy of the key, which is wiped when the last clone goes.
#[derive(Clone)]
pub struct Ed25519Signer {
    key: Arc<SecretKey>,
    public_key: PublicKey,
}

impl Ed25519Signer {
    /// A signer with a fresh key from the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        let seed = Zeroizing::new(random_array());
        Self::from_zeroizing(&seed)
    }

    /// The signer with this RFC 8032 private key. The caller's copy remains the caller's to wipe.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::from_zeroizing(&seed)
    }

    /// The RFC 8032 private key, to be stored. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.key.0.as_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The Sui address of the key.
    #[must_use]
    pub fn address(&self) -> Address {
        self.public_key.address()
    }

    /// Signs `message`, at once: about 22 µs.
    #[must_use]
    pub fn sign_now(&self, message: &[u8]) -> Signature {
        Signature(self.key.0.sign(message).to_bytes())
    }

    fn from_zeroizing(seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = Arc::new(SecretKey(SigningKey::from(**seed)));
        let public_key = PublicKey(key.0.verification_key().to_bytes());
        Self { key, public_key }
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for Ed25519Signer {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, SignerError> {
        Ok(self.sign_now(message))
    }
}

/// The expanded key, wiped when dropped.
struct SecretKey(SigningKey);

impl Drop for SecretKey {
    fn drop(&mut self) {
        // `zeroize` wipes seed and scalar but leaves the nonce prefix, and who has the prefix and
        // one signature can compute the scalar. So the whole key is overwritten by another one.
        self.0.zeroize();
        self.0 = SigningKey::from([0; 32]);
        std::hint::black_box(&self.0);
    }
}

/// The operating system's randomness, for `rand_core` 0.6 as `ed25519-consensus` wants it; asked for in larger parts, as
/// each time is a system call.
struct SystemRandom {
    bytes: [u8; 256],
    used: usize,
}

impl SystemRandom {
    fn new() -> Self {
        let bytes = [0; 256];
        let used = bytes.len();
        Self { bytes, used }
    }
}

impl rand_core::RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for byte in dest {
            if self.used == self.bytes.len() {
                self.bytes = random_array();
                self.used = 0;
            }
            *byte = self.bytes[self.used];
            self.used += 1;
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl rand_core::CryptoRng for SystemRandom {}

/// Sui's flag of the Ed25519 scheme.
const ED25519_FLAG: u8 = 0x00;

/// Every encoding of a point whose order divides 8 that ZIP 215 accepts: y, little-endian, with
/// the sign of x in the top bit.
///
/// The eight torsion points of Curve25519 (`EIGHT_TORSION` in `curve25519-dalek`), and the
/// encodings of the same points that are not canonical: y + p where that fits in 255 bits, and a
/// sign on an x that is 0. Section 2 of “Taming the many EdDSAs” (Chalkias, Garillot,
/// Nikolaenko, 2020) lists them in its table 1; a test here finds them again by search.
const SMALL_ORDER: [[u8; 32]; 14] = [
    // Order 1: y = 1.
    encoding(0x01, 0x00, 0x00),
    // Order 1: y = 1, a sign on x = 0.
    encoding(0x01, 0x00, 0x80),
    // Order 1: y = p + 1.
    encoding(0xee, 0xff, 0x7f),
    // Order 1: y = p + 1, a sign on x = 0.
    encoding(0xee, 0xff, 0xff),
    // Order 2: y = p - 1.
    encoding(0xec, 0xff, 0x7f),
    // Order 2: y = p - 1, a sign on x = 0.
    encoding(0xec, 0xff, 0xff),
    // Order 4: y = 0, both x.
    encoding(0x00, 0x00, 0x00),
    encoding(0x00, 0x00, 0x80),
    // Order 4: y = p, both x.
    encoding(0xed, 0xff, 0x7f),
    encoding(0xed, 0xff, 0xff),
    // Order 8: two y, both x.
    ORDER_8_A,
    with_sign(ORDER_8_A),
    ORDER_8_B,
    with_sign(ORDER_8_B),
];

const ORDER_8_A: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const ORDER_8_B: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

const fn encoding(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

const fn with_sign(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

#[cfg(test)]
mod tests;
