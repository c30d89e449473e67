//! Hashes and content addresses.
//!
//! Two functions, each where its counterpart on the ledger wants it: BLAKE2b-256 for digests
//! and addresses (Sui's hash), SHA-256 for bodies (so that a body's hash is also its IPFS CID).

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use super::Error;
use crate::types::Digest;

/// BLAKE2b with 32 bytes of output over the concatenation of `parts`.
#[must_use]
pub fn blake2b256(parts: &[&[u8]]) -> Digest {
    let mut hasher = blake2b_simd::Params::new().hash_length(32).to_state();
    for part in parts {
        hasher.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hasher.finalize().as_bytes());
    Digest::new(digest)
}

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Salted hash of a body: SHA-256 over the 32 bytes of its salt, then the body.
///
/// It stands on the ledger in the body's place and names the [`Blob`] in a store. The same 32
/// bytes are the multihash of an IPFS CID, see [`BlobHash::to_cid`].
///
/// In BCS 32 bytes without a length; in human-readable formats 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The IPFS spelling: CIDv1, codec `raw`, multihash `sha2-256`, multibase base32 lower case.
    #[must_use]
    pub fn to_cid(&self) -> String {
        let mut cid = [0; CID_BYTES];
        cid[..CID_PREFIX.len()].copy_from_slice(&CID_PREFIX);
        cid[CID_PREFIX.len()..].copy_from_slice(&self.0);
        format!("b{}", base32_encode(&cid))
    }

    /// Reads what [`BlobHash::to_cid`] writes, and nothing else.
    ///
    /// # Errors
    /// [`Error::MalformedCid`] for another version, codec, hash function or base, and for
    /// base32 that is not the one spelling of its bytes.
    pub fn from_cid(cid: &str) -> Result<Self, Error> {
        let bytes = cid
            .strip_prefix('b')
            .and_then(base32_decode)
            .ok_or(Error::MalformedCid)?;
        let hash = bytes.strip_prefix(&CID_PREFIX).ok_or(Error::MalformedCid)?;
        Ok(Self(hash.try_into().map_err(|_| Error::MalformedCid)?))
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

impl FromStr for BlobHash {
    type Err = Error;

    /// Reads 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        hex_array("blob hash", text).map(Self)
    }
}

impl From<[u8; 32]> for BlobHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Serialize for BlobHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for BlobHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes("blob hash", deserializer).map(Self)
    }
}

/// What stands before a body under its hash, so that a guess of the body cannot be checked
/// against the ledger.
///
/// Not a secret once its blob is shown to somebody; a fresh one for every body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; Salt::LEN]);

impl Salt {
    /// Length of a salt in bytes.
    pub const LEN: usize = 32;

    /// A fresh salt from the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn random() -> Self {
        Self(random_array())
    }

    /// The salt with these bytes, e.g. one that was journalled.
    #[must_use]
    pub const fn new(bytes: [u8; Salt::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the salt.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Salt::LEN] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({})", hex::encode(self.0))
    }
}

impl From<[u8; Salt::LEN]> for Salt {
    fn from(bytes: [u8; Salt::LEN]) -> Self {
        Self(bytes)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes("salt", deserializer).map(Self)
    }
}

/// A body with its salt in front, as it travels and is stored: `salt (32 bytes) ‖ body`.
///
/// Cloning shares the bytes. `Debug` shows the length only: bodies are secrets.
#[derive(Clone)]
pub struct Blob {
    bytes: Bytes,
    /// Of large bodies it costs milliseconds, and several ask for it.
    hash: OnceLock<BlobHash>,
}

impl Blob {
    /// Joins a salt and a body. Copies the body once.
    #[must_use]
    pub fn new(salt: Salt, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut joined = BytesMut::with_capacity(Salt::LEN + body.len());
        joined.put_slice(&salt.0);
        joined.put_slice(body);
        Self::of(joined.freeze())
    }

    /// Joins a body and a fresh random salt.
    #[must_use]
    pub fn seal(body: impl AsRef<[u8]>) -> Self {
        Self::new(Salt::random(), body)
    }

    /// Joins the BCS of `value` and a fresh random salt, without a copy in between.
    #[cfg(feature = "nautilus")]
    pub(crate) fn seal_bcs<T: Serialize>(value: &T) -> Self {
        let no_error = "types of the wire have no floats and bounded depth";
        let len = bcs::serialized_size(value).expect(no_error);
        let mut joined = Vec::with_capacity(Salt::LEN + len);
        joined.extend_from_slice(&Salt::random().0);
        bcs::serialize_into(&mut joined, value).expect(no_error);
        Self::of(joined.into())
    }

    /// Takes bytes that already are `salt ‖ body`. The hash is the caller's to compare.
    ///
    /// # Errors
    /// [`Error::BlobTooShort`] if there is no room for a salt.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.len() < Salt::LEN {
            return Err(Error::BlobTooShort { len: bytes.len() });
        }
        Ok(Self::of(bytes))
    }

    fn of(bytes: Bytes) -> Self {
        Self {
            bytes,
            hash: OnceLock::new(),
        }
    }

    /// The hash that stands on the ledger. Computed from the bytes, on the first call.
    #[must_use]
    pub fn hash(&self) -> BlobHash {
        *self.hash.get_or_init(|| BlobHash(sha256(&[&self.bytes])))
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> Salt {
        let mut salt = [0; Salt::LEN];
        salt.copy_from_slice(&self.bytes[..Salt::LEN]);
        Salt(salt)
    }

    /// The body without its salt. Shares the bytes.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.bytes.slice(Salt::LEN..)
    }

    /// Length of the body in bytes, without the salt.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.bytes.len() - Salt::LEN
    }

    /// `salt ‖ body`.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// `salt ‖ body`.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("body_len", &self.body_len())
            .finish_non_exhaustive()
    }
}

/// `N` bytes from the operating system.
pub(crate) fn random_array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// Reads exactly `2 * N` hex digits; `what` names the thing in the error.
pub(crate) fn hex_array<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Error::MalformedHex {
        what,
        digits: 2 * N,
    })?;
    Ok(bytes)
}

/// Bytes of a fixed length: a tuple in binary formats (so BCS writes no length), hex in others.
pub(crate) fn serialize_bytes<S: Serializer, const N: usize>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeTuple as _;

    if serializer.is_human_readable() {
        return serializer.serialize_str(&hex::encode(bytes));
    }
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// Counterpart of [`serialize_bytes`].
pub(crate) fn deserialize_bytes<'de, D: Deserializer<'de>, const N: usize>(
    what: &'static str,
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    struct Visitor<const N: usize>(&'static str);

    impl<'de, const N: usize> serde::de::Visitor<'de> for Visitor<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a {} of {N} bytes", self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<[u8; N], E> {
            hex_array(self.0, text).map_err(E::custom)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
            let mut bytes = [0; N];
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = seq
                    .next_element()?
                    .ok_or_else(|| serde::de::Error::invalid_length(index, &self))?;
            }
            Ok(bytes)
        }
    }

    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Visitor(what))
    } else {
        deserializer.deserialize_tuple(N, Visitor(what))
    }
}

/// RFC 4648 base32, lower case, without padding.
fn base32_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut bits, mut held) = (0u32, 0u32);
    for &byte in bytes {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(BASE32[(bits >> held) as usize & 31]));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        text.push(char::from(BASE32[(bits << (5 - held)) as usize & 31]));
    }
    text
}

/// The bytes of `text`, unless another text would give the same bytes.
fn base32_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for digit in text.bytes() {
        let value = match digit {
            b'a'..=b'z' => digit - b'a',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_le_bytes()[0]);
            bits &= (1 << held) - 1;
        }
    }
    (held < 5 && bits == 0).then_some(bytes)
}

/// CID version 1, codec `raw`, multihash `sha2-256`, 32 bytes long.
const CID_PREFIX: [u8; 4] = [0x01, 0x55, 0x12, 0x20];
const CID_BYTES: usize = CID_PREFIX.len() + 32;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        // From Python's hashlib.
        let blake = |parts: &[&[u8]]| hex::encode(blake2b256(parts).as_bytes());
        assert_eq!(
            blake(&[]),
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"
        );
        assert_eq!(
            blake(&[b"abc"]),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
        );
        assert_eq!(blake(&[b"a", b"", b"bc"]), blake(&[b"abc"]));
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            hex::encode(sha256(&[b"ab", b"c"])),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    /// The CID that IPFS gives a raw block of these bytes.
    #[test]
    fn cid_known_answer() {
        let hash = BlobHash(sha256(&[b"hello world"]));
        let cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
        assert_eq!(hash.to_cid(), cid);
        assert_eq!(BlobHash::from_cid(cid).unwrap(), hash);
    }

    #[test]
    fn other_cids_are_refused() {
        let cid = BlobHash([0xab; 32]).to_cid();
        // The same bytes in a text that nobody writes: a bit set behind the last byte.
        let sloppy = format!("{}7", &cid[..cid.len() - 1]);
        for (why, text) in [
            ("empty", String::new()),
            ("no multibase", cid[1..].to_owned()),
            ("upper case", cid.to_uppercase()),
            ("base58", format!("z{}", &cid[1..])),
            ("a digit more", format!("{cid}a")),
            ("a digit less", cid[..cid.len() - 1].to_owned()),
            ("padding", format!("{cid}======")),
            ("loose bits", sloppy),
            ("not base32", cid.replacen('f', "1", 1)),
            (
                "dag-pb",
                "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".into(),
            ),
            (
                "version 0",
                "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".into(),
            ),
        ] {
            assert!(BlobHash::from_cid(&text).is_err(), "{why}: {text}");
        }
    }

    #[test]
    fn a_blob_is_salt_and_body() {
        let salt = Salt::new([9; 32]);
        let blob = Blob::new(salt, b"body");
        assert_eq!(blob.hash(), BlobHash(sha256(&[&[9; 32], b"body"])));
        assert_eq!(blob.salt(), salt);
        assert_eq!(&blob.body()[..], b"body");
        assert_eq!((blob.body_len(), blob.as_bytes().len()), (4, 36));
        assert_eq!(Blob::from_bytes(blob.as_bytes().clone()).unwrap(), blob);
    }

    #[test]
    fn salts_hide_bodies() {
        let (one, other) = (Blob::seal(b"body"), Blob::seal(b"body"));
        assert_ne!(one.hash(), other.hash());
        assert_ne!(one.hash().0, sha256(&[b"body"]));
    }

    #[test]
    fn a_blob_needs_its_salt() {
        assert!(matches!(
            Blob::from_bytes(vec![0; 31]),
            Err(Error::BlobTooShort { len: 31 })
        ));
        assert_eq!(Blob::from_bytes(vec![0; 32]).unwrap().body_len(), 0);
    }

    #[test]
    fn debug_shows_no_body() {
        let text = format!("{:?}", Blob::new(Salt::new([1; 32]), b"hunter2"));
        assert_eq!(text, "Blob { body_len: 7, .. }");
    }

    #[test]
    fn hex_is_exact() {
        let text = "0a".repeat(32);
        assert_eq!(text.parse::<BlobHash>().unwrap(), BlobHash([10; 32]));
        for wrong in [
            "",
            "0a",
            &text[1..],
            &format!("{text}0a"),
            &format!("0x{text}"),
            &"zz".repeat(32),
        ] {
            assert!(wrong.parse::<BlobHash>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bcs_writes_no_length() {
        let hash = BlobHash([7; 32]);
        assert_eq!(bcs::to_bytes(&hash).unwrap(), [7; 32]);
        assert!(bcs::from_bytes::<BlobHash>(&[7; 31]).is_err());
        assert!(bcs::from_bytes::<BlobHash>(&[7; 33]).is_err());
        assert_eq!(serde_json::to_value(hash).unwrap(), "07".repeat(32));
        assert!(serde_json::from_str::<BlobHash>("[7]").is_err());
    }

    proptest! {
        #[test]
        fn hashes_round_trip(bytes: [u8; 32]) {
            let hash = BlobHash(bytes);
            prop_assert_eq!(hash.to_string().parse::<BlobHash>().unwrap(), hash);
            prop_assert_eq!(BlobHash::from_cid(&hash.to_cid()).unwrap(), hash);
            let json = serde_json::to_string(&hash).unwrap();
            prop_assert_eq!(serde_json::from_str::<BlobHash>(&json).unwrap(), hash);
            let wire = bcs::to_bytes(&hash).unwrap();
            prop_assert_eq!(bcs::from_bytes::<BlobHash>(&wire).unwrap(), hash);
        }

        #[test]
        fn what_is_a_cid_is_spelled_one_way(text in "b[a-z2-7]{50,62}|bafkrei[a-z2-7]{52}|\\PC*") {
            if let Ok(hash) = BlobHash::from_cid(&text) {
                prop_assert_eq!(hash.to_cid(), text);
            }
        }

        #[test]
        fn base32_round_trips(bytes: Vec<u8>) {
            prop_assert_eq!(base32_decode(&base32_encode(&bytes)).unwrap(), bytes);
        }
    }
}
