//! What executors sign, and the envelope of a response.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::crypto::{Signature, sha256};
use crate::types::{Address, ByteString, ClusterId, Digest, ExecutorId, HexBytes};

/// The message of an answer (kind 2).
///
/// The time and the sealed bytes are signed but do not make two answers differ
/// ([`AnswerMessage::outcome`] does).
///
/// BCS, in this order: `request_id`, `digest` (`vector<u8>` each), `epoch` u64, `status` u16,
/// `envelope_hash` (`vector<u8>`), `envelope_len` u64, `sealed_hash` (`vector<u8>`, empty or 32),
/// `time_ms` u64. Every field stands in [`super::K8sRequestProcessed`] too, so whoever has the event
/// can verify the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerMessage {
    /// Which request.
    pub request_id: ByteString,
    /// The digest of that request.
    pub digest: Digest,
    /// The assignment under which it was executed.
    pub epoch: u64,
    /// HTTP status, 200–599.
    pub status: u16,
    /// Salted SHA-256 of the BCS of the [`ResponseEnvelope`].
    pub envelope_hash: HexBytes,
    /// Length of that BCS in bytes, without the salt.
    pub envelope_len: u64,
    /// SHA-256 of the salt and envelope sealed to the request's `reply_key`, or empty
    /// ([`AnswerMessage::hash_of_sealed`]). Signed, so that whoever relays the answer cannot swap
    /// them for something unreadable; by hash, so that the event proves the answer without them.
    pub sealed_hash: HexBytes,
    /// When the executor made it, Unix milliseconds.
    pub time_ms: u64,
}

impl AnswerMessage {
    /// What two answers to one request must not differ in.
    #[must_use]
    pub fn outcome(&self) -> (u16, &[u8], u64) {
        (self.status, &self.envelope_hash, self.envelope_len)
    }

    /// What stands for the bytes sealed inline: their SHA-256, or nothing if there are none.
    #[must_use]
    pub fn hash_of_sealed(sealed: &[u8]) -> HexBytes {
        if sealed.is_empty() {
            HexBytes::default()
        } else {
            HexBytes(sha256(&[sealed]).to_vec())
        }
    }
}

/// An answer and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAnswer {
    /// What was signed.
    pub message: AnswerMessage,
    /// By the executor's signing key.
    pub signature: Signature,
}

/// The message of a claim (kind 3, with the new epoch) and of a release (kind 4, with the current one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentMessage {
    /// Which request.
    pub request_id: ByteString,
    /// The digest of that request.
    pub digest: Digest,
    /// The epoch that a claim begins or a release ends.
    pub epoch: u64,
}

/// The message of an anchor (kind 5).
///
/// It names the executor: a signing key may be registered again after its executor was removed, and the
/// anchors of the first must not count for the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorMessage {
    /// Whose reads.
    pub executor: ExecutorId,
    /// The root anchored before; zero for the first.
    pub previous_root: Digest,
    /// Merkle root over the commands since then.
    pub root: Digest,
    /// Sequence number of the first of them; the first ever is 1.
    pub first: u64,
    /// Sequence number of the last of them.
    pub last: u64,
    /// How many there are: `last − first + 1`.
    pub count: u64,
}

/// What an attestation document's nonce is the BLAKE2b-256 of: this registration and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationNonce {
    /// The cluster that is registered with.
    pub cluster: ClusterId,
    /// How many executors were ever registered with it before.
    pub registrations: u64,
}

/// What an attestation document's `user_data` is the BLAKE2b-256 of: all that an enclave is bound to.
///
/// BCS as of a Move struct: the keys are `vector<u8>`, behind their length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationUserData {
    /// Who owns the stake.
    pub operator: Address,
    /// Ed25519 key of its answers.
    pub signing_key: HexBytes,
    /// X25519 key that payloads are sealed to.
    pub encryption_key: HexBytes,
    /// The API server's CA, as in the cluster's policy.
    pub kube_ca_hash: HexBytes,
}

/// The message of a session's end (kind 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCloseMessage {
    /// Which request opened it.
    pub request_id: ByteString,
    /// The digest of that request.
    pub digest: Digest,
    /// The assignment under which it ran.
    pub epoch: u64,
    /// Bytes from the client to the cluster.
    pub bytes_in: u64,
    /// Bytes from the cluster to the client.
    pub bytes_out: u64,
    /// Why it ended: 0 by the client, 1 by the cluster, 2 by its limits, 3 by an error.
    pub reason: u8,
    /// Hash over the transcript.
    pub transcript_hash: HexBytes,
}

/// What Kubernetes answered, as it is hashed.
///
/// BCS: headers as a vector of (name, value), sorted; the body as Kubernetes sent it, uncompressed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseEnvelope {
    /// The response headers that matter, lower-case names, sorted.
    pub headers: Vec<(ByteString, ByteString)>,
    /// The body.
    pub body: ByteString,
}

impl ResponseEnvelope {
    /// Headers that travel back to the client.
    pub const HEADERS: [&'static str; 8] = [
        "audit-id",
        "content-type",
        "etag",
        "location",
        "retry-after",
        "warning",
        "x-kubernetes-pf-flowschema-uid",
        "x-kubernetes-pf-prioritylevel-uid",
    ];

    /// Reads an envelope's bytes, of which the body stays where it is: headers and body.
    ///
    /// # Errors
    /// If they are no envelope, or something follows it.
    pub fn split(bytes: &Bytes) -> Result<(Vec<(ByteString, ByteString)>, Bytes), bcs::Error> {
        /// The same fields.
        #[derive(Deserialize)]
        struct Borrowed<'a> {
            headers: Vec<(ByteString, ByteString)>,
            #[serde(borrow)]
            body: &'a [u8],
        }

        let Borrowed { headers, body } = bcs::from_bytes(bytes)?;
        Ok((headers, bytes.slice_ref(body)))
    }

    /// Keeps the headers that matter, lower-cased and sorted; a repeated one (`Warning`) stays repeated
    /// in the order it came.
    pub fn new<N, V>(headers: impl IntoIterator<Item = (N, V)>, body: Vec<u8>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut kept: Vec<(ByteString, ByteString)> = headers
            .into_iter()
            .map(|(name, value)| (name.as_ref().to_ascii_lowercase(), value))
            .filter(|(name, _)| Self::HEADERS.contains(&name.as_str()))
            .map(|(name, value)| (ByteString::from(name), ByteString::from(value.as_ref())))
            .collect();
        kept.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            headers: kept,
            body: ByteString(body),
        }
    }
}
