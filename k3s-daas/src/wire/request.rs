//! A request as it is signed and submitted.

use serde::{Deserialize, Serialize};

use crate::types::{ByteString, HexBytes};

/// The message of a request (kind 1) and of a session's opening (kind 6), exactly as submitted.
///
/// BCS, in this order: `request_id`, `method`, `path` (`vector<u8>` each), `query` ([`Content`]),
/// `header_names`, `header_values` (`vector<vector<u8>>` each), `payload` ([`Content`]), `reply_key`
/// (`vector<u8>`, empty or 32), `priority` (u8), `deadline_ms` (u64), `credential_id` (`vector<u8>`,
/// empty or 16).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestMessage {
    /// A lower-case UUID of version 7; the caller's idempotency key.
    pub request_id: ByteString,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: ByteString,
    /// The path in the contract's form, without the query.
    pub path: ByteString,
    /// Nothing, plain, or (for `exec`, `attach`, `portforward`, `proxy`) a salted hash.
    pub query: Content,
    /// Names of the headers that reach Kubernetes, lower-case and sorted.
    pub header_names: Vec<ByteString>,
    /// Their values, in the same order.
    pub header_values: Vec<ByteString>,
    /// Nothing, a salted hash with its length, or sealed inline.
    pub payload: Content,
    /// Empty, or the X25519 key to seal the answer to.
    pub reply_key: HexBytes,
    /// 1 low, 2 normal, 3 high, 4 critical.
    pub priority: u8,
    /// Unix milliseconds by which it must be answered.
    pub deadline_ms: u64,
    /// Empty, or the 16 bytes that name the bearer credential which a gateway checked.
    pub credential_id: HexBytes,
}

impl RequestMessage {
    /// Headers as pairs; those without a partner are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.header_names
            .iter()
            .zip(&self.header_values)
            .map(|(name, value)| (&name[..], &value[..]))
    }
}

/// Bytes that stand on the ledger or beside it.
///
/// BCS: kind u8, bytes `vector<u8>`, hash `vector<u8>`, length u64. What a kind does not use is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Content {
    /// One of [`Content::NONE`], [`Content::PLAIN`], [`Content::HASHED`], [`Content::SEALED`].
    pub kind: u8,
    /// The bytes themselves, plain or sealed.
    pub bytes: ByteString,
    /// SHA-256 of salt and bytes; the blob travels beside the ledger.
    pub hash: HexBytes,
    /// How many bytes the hash is over, without the salt.
    pub length: u64,
}

impl Content {
    /// Nothing.
    pub const NONE: u8 = 0;
    /// The bytes in the clear; queries only.
    pub const PLAIN: u8 = 1;
    /// A salted hash and the length.
    pub const HASHED: u8 = 2;
    /// Sealed to the executor's encryption key; payloads only.
    pub const SEALED: u8 = 3;

    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// In the clear; nothing if empty.
    #[must_use]
    pub fn plain(bytes: impl Into<ByteString>) -> Self {
        let bytes = bytes.into();
        let kind = if bytes.is_empty() {
            Self::NONE
        } else {
            Self::PLAIN
        };
        Self {
            kind,
            bytes,
            ..Self::default()
        }
    }

    /// By salted hash.
    #[must_use]
    pub fn hashed(hash: [u8; 32], length: u64) -> Self {
        Self {
            kind: Self::HASHED,
            hash: HexBytes(hash.to_vec()),
            length,
            ..Self::default()
        }
    }

    /// Sealed inline.
    #[must_use]
    pub fn sealed(bytes: Vec<u8>) -> Self {
        Self {
            kind: Self::SEALED,
            bytes: ByteString(bytes),
            ..Self::default()
        }
    }

    /// The hash, if this is one and of the right size.
    #[must_use]
    pub fn hash32(&self) -> Option<[u8; 32]> {
        (self.kind == Self::HASHED)
            .then(|| self.hash[..].try_into().ok())
            .flatten()
    }
}
