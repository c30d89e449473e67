//! Names of things: 32-byte addresses, object IDs and digests, request IDs, text on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text that is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// Not `0x` and 64 hexadecimal digits (fewer are left-padded with zeros).
    #[error("`{0}` is not 0x and up to 64 hexadecimal digits")]
    Hex(String),
    /// Not a lower-case UUID of version 7.
    #[error("`{0}` is not a lower-case UUID of version 7")]
    RequestId(String),
}

/// The 32-byte types: hex text for people, plain bytes in BCS.
macro_rules! id32 {
    ($($(#[$doc:meta])* $name:ident, $bcs:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; 32]);

        impl $name {
            /// All bytes zero.
            pub const ZERO: Self = Self([0; 32]);

            /// From the 32 bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From a slice of exactly 32 bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex32(text).map(Self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    $bcs::serialize(&self.0, serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    $bcs::deserialize(deserializer).map(Self)
                }
            }
        }
    )+ };
}

id32! {
    /// A Sui account or object: BLAKE2b-256 of 0x00 and an Ed25519 key, or a derived object ID.
    Address, fixed;
    /// The `Cluster` object.
    ClusterId, fixed;
    /// The `SealToken` object.
    TokenId, fixed;
    /// The `ExecutorState` object; the same ID names the executor and stands in `nautilus_endpoint`.
    ExecutorId, fixed;
    /// The `ClusterAdminCap` object.
    AdminCapId, fixed;
    /// Which chain: Sui's genesis checkpoint digest, or a local ledger's genesis hash.
    ChainId, fixed;
    /// A BLAKE2b-256 hash; on the wire a Move `vector<u8>` of 32 bytes.
    Digest, prefixed;
}

macro_rules! object_ids {
    ($($name:ident)+) => { $(
        impl From<$name> for Address {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        }

        impl From<Address> for $name {
            fn from(address: Address) -> Self {
                Self(address.0)
            }
        }
    )+ };
}

object_ids! { ClusterId TokenId ExecutorId AdminCapId }

/// The caller's idempotency key: a UUID of version 7, in lower case, 36 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(uuid::Uuid);

impl RequestId {
    /// A fresh one: the time in milliseconds, then random bits.
    #[must_use]
    #[allow(clippy::new_without_default)] // two defaults would not be equal
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// From the contract's spelling, and no other.
    ///
    /// # Errors
    /// [`InvalidId::RequestId`] for anything but 36 lower-case characters of version 7.
    pub fn from_bytes(text: &[u8]) -> Result<Self, InvalidId> {
        let invalid = || {
            let shown = &text[..text.len().min(64)];
            InvalidId::RequestId(String::from_utf8_lossy(shown).into_owned())
        };
        // The same byte-wise test as the contract's: `uuid` alone also takes upper case, braces and URNs.
        if !is_request_id(text) {
            return Err(invalid());
        }
        let uuid = uuid::Uuid::try_parse_ascii(text).map_err(|_| invalid())?;
        Ok(Self(uuid))
    }

    /// The spelling on the wire.
    #[must_use]
    pub fn to_wire(self) -> Vec<u8> {
        let mut text = [0; 36];
        self.0.hyphenated().encode_lower(&mut text);
        text.to_vec()
    }

    /// The ID as a number, the time first.
    pub(super) fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The ID in 16 bytes, in the order of IDs.
    #[cfg(feature = "local")]
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From the 16 bytes that [`RequestId::as_bytes`] gave.
    #[cfg(feature = "local")]
    pub(crate) fn from_own_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// Milliseconds since 1970 that the ID claims to be made at.
    #[must_use]
    pub fn timestamp_ms(&self) -> u64 {
        let bytes = self.0.as_bytes();
        bytes[..6]
            .iter()
            .fold(0, |ms, byte| ms << 8 | u64::from(*byte))
    }
}

/// Whether `text` is a request ID as the contract spells it: `8-4-4-4-12` lower-case hexadecimal
/// digits, version 7, RFC 9562 variant.
#[must_use]
pub fn is_request_id(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'7',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_bytes(text.as_bytes())
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Bytes that should be text, before anyone has looked (Move: `vector<u8>`).
///
/// People see the text; bytes that are no UTF-8 are shown as `U+FFFD`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteString(pub Vec<u8>);

/// Bytes that are no text (Move: `vector<u8>`). People see hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HexBytes(pub Vec<u8>);

macro_rules! byte_vectors {
    ($($name:ident, $show:expr, $parse:expr;)+) => { $(
        impl std::ops::Deref for $name {
            type Target = [u8];

            fn deref(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<Vec<u8>> for $name {
            fn from(bytes: Vec<u8>) -> Self {
                Self(bytes)
            }
        }

        impl From<&[u8]> for $name {
            fn from(bytes: &[u8]) -> Self {
                Self(bytes.to_vec())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$show(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", $show(&self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    $parse(text).map(Self).map_err(de::Error::custom)
                } else {
                    deserializer.deserialize_byte_buf(BytesVisitor).map(Self)
                }
            }
        }
    )+ };
}

byte_vectors! {
    ByteString,
        |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned(),
        |text: String| Ok::<_, InvalidId>(text.into_bytes());
    HexBytes,
        |bytes: &[u8]| hex::encode(bytes),
        |text: String| hex::decode(text.trim_start_matches("0x"));
}

impl From<&str> for ByteString {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for ByteString {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

/// 32 bytes without a length (Move: `address`).
mod fixed {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        bytes.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        <[u8; 32]>::deserialize(from)
    }
}

/// 32 bytes behind their length (Move: `vector<u8>`).
mod prefixed {
    use super::{BytesVisitor, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let bytes = from.deserialize_byte_buf(BytesVisitor)?;
        let length = bytes.len();
        bytes
            .try_into()
            .map_err(|_| de::Error::invalid_length(length, &"32 bytes"))
    }
}

struct BytesVisitor;

impl de::Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

fn parse_hex32(text: &str) -> Result<[u8; 32], InvalidId> {
    let invalid = || InvalidId::Hex(text.chars().take(80).collect());
    let digits = text.strip_prefix("0x").ok_or_else(invalid)?;
    if digits.is_empty() || digits.len() > 64 {
        return Err(invalid());
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes).map_err(|_| invalid())?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_print() {
        let id = TokenId::new([7; 32]);
        assert_eq!(id.to_string().parse::<TokenId>().unwrap(), id);
        assert_eq!("0x6".parse::<Address>().unwrap().as_bytes()[31], 6);
        for bad in ["", "6", "0x", "0xg", &format!("0x{}", "0".repeat(65))] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_bare_and_digests_prefixed_in_bcs() {
        assert_eq!(bcs::to_bytes(&Address::new([1; 32])).unwrap(), [1; 32]);
        let digest = bcs::to_bytes(&Digest::new([1; 32])).unwrap();
        assert_eq!(digest, [&[32][..], &[1; 32]].concat());
        assert_eq!(
            bcs::from_bytes::<Digest>(&digest).unwrap(),
            Digest::new([1; 32])
        );
        assert!(bcs::from_bytes::<Digest>(&[1, 1]).is_err());
    }

    #[test]
    fn byte_strings_are_vectors_in_bcs_and_text_in_json() {
        let text = ByteString::from("pods");
        assert_eq!(
            bcs::to_bytes(&text).unwrap(),
            bcs::to_bytes(&b"pods".to_vec()).unwrap()
        );
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"pods\"");
        assert_eq!(
            serde_json::to_string(&HexBytes(vec![0xab])).unwrap(),
            "\"ab\""
        );
    }

    #[test]
    fn request_ids_have_one_spelling() {
        let id = RequestId::new();
        assert_eq!(RequestId::from_bytes(&id.to_wire()).unwrap(), id);
        assert!(is_request_id(&id.to_wire()));
        let good = "0192d8f0-1111-7abc-8def-0123456789ab";
        assert_eq!(
            good.parse::<RequestId>().unwrap().timestamp_ms(),
            0x0192_d8f0_1111
        );
        for bad in [
            "0192D8F0-1111-7abc-8def-0123456789ab",
            "0192d8f0-1111-4abc-8def-0123456789ab",
            "0192d8f0-1111-7abc-cdef-0123456789ab",
            "0192d8f011117abc8def0123456789ab",
            "{0192d8f0-1111-7abc-8def-0123456789ab}",
            "0192d8f0-1111-7abc-8def-0123456789a",
            "",
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}
