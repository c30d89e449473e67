//! A request as it is signed and submitted.

use serde::{Deserialize, Serialize};

use crate::types::{
    ByteString, HexBytes, InvalidRequest, K8sApiRequest, Method, Payload, Priority, Query,
    RequestId,
};

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
    /// The path in canonical form, without the query.
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

impl From<&K8sApiRequest> for RequestMessage {
    fn from(request: &K8sApiRequest) -> Self {
        let (header_names, header_values) = request
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    ByteString::from(name.as_str()),
                    ByteString::from(value.as_str()),
                )
            })
            .unzip();
        Self {
            request_id: ByteString(request.id().to_wire()),
            method: ByteString::from(request.method().as_str()),
            path: ByteString::from(request.path()),
            query: match request.query() {
                Query::None => Content::none(),
                Query::Plain(query) => Content::plain(query.as_str()),
                Query::Hashed { hash, length } => Content::hashed(*hash, *length),
            },
            header_names,
            header_values,
            payload: match request.payload() {
                Payload::None => Content::none(),
                Payload::Hashed { hash, length } => Content::hashed(*hash, *length),
                Payload::Sealed(bytes) => Content::sealed(bytes.clone()),
            },
            reply_key: request
                .reply_key()
                .map(|key| HexBytes(key.to_vec()))
                .unwrap_or_default(),
            priority: request.priority().number(),
            deadline_ms: request.deadline_ms(),
            credential_id: request
                .credential_id()
                .map(|id| HexBytes(id.to_vec()))
                .unwrap_or_default(),
        }
    }
}

impl TryFrom<&RequestMessage> for K8sApiRequest {
    type Error = InvalidRequest;

    /// Reads a message that may have come from anywhere; what it yields has that very message again.
    fn try_from(message: &RequestMessage) -> Result<Self, InvalidRequest> {
        let text = |field: &'static str, bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| InvalidRequest::Field(field))
        };
        let method = Method::from_bytes(&message.method).ok_or(InvalidRequest::Field("method"))?;
        let id = RequestId::from_bytes(&message.request_id);
        let priority = Priority::from_number(message.priority);
        let mut builder = Self::builder(method, text("path", &message.path)?)
            .with_id(id.map_err(|_| InvalidRequest::Field("request_id"))?)
            .with_priority(priority.ok_or(InvalidRequest::Field("priority"))?)
            .with_deadline_ms(message.deadline_ms);
        builder = match message.query.kind {
            Content::NONE => builder,
            Content::PLAIN => builder.with_query(text("query", &message.query.bytes)?),
            _ => {
                let hash = message
                    .query
                    .hash32()
                    .ok_or(InvalidRequest::Field("query"))?;
                builder.with_hashed_query(hash, message.query.length)
            }
        };
        for (name, value) in message.headers() {
            builder = builder.with_header(text("headers", name)?, text("headers", value)?);
        }
        builder = match message.payload.kind {
            Content::NONE => builder,
            Content::SEALED => {
                builder.with_payload(Payload::Sealed(message.payload.bytes.to_vec()))
            }
            _ => {
                let hash = message
                    .payload
                    .hash32()
                    .ok_or(InvalidRequest::Field("payload"))?;
                builder.with_payload(Payload::Hashed {
                    hash,
                    length: message.payload.length,
                })
            }
        };
        if !message.reply_key.is_empty() {
            let key = message.reply_key[..].try_into();
            builder = builder.with_reply_key(key.map_err(|_| InvalidRequest::Field("reply_key"))?);
        }
        if !message.credential_id.is_empty() {
            let id = message.credential_id[..].try_into();
            builder =
                builder.with_credential_id(id.map_err(|_| InvalidRequest::Field("credential_id"))?);
        }
        let request = builder.build()?;
        // Unsorted headers or unused fields with something in them would be lost.
        if RequestMessage::from(&request) != *message {
            return Err(InvalidRequest::Field("spelling"));
        }
        Ok(request)
    }
}
