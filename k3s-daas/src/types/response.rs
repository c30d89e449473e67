//! The record of an answer.

use serde::{Deserialize, Serialize};

use super::{Address, ByteString, ExecutorId, HexBytes, RequestId};

/// The answer to a request, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseRecord {
    /// Which request.
    pub request_id: RequestId,
    /// HTTP status.
    pub status_code: u16,
    /// Salted SHA-256 of the envelope.
    pub envelope_hash: HexBytes,
    /// Its length in bytes.
    pub envelope_len: u64,
    /// Salt and envelope sealed to the request's `reply_key`, or empty. Events carry only its hash.
    pub sealed: ByteString,
    /// Who answered.
    pub executor: ExecutorId,
    /// Under which assignment.
    pub epoch: u64,
    /// When it was recorded, Unix milliseconds.
    pub processed_at_ms: u64,
    /// From when it may be pruned, Unix milliseconds.
    pub expires_at_ms: u64,
    /// The token's owner.
    pub requester: Address,
}

impl ResponseRecord {
    /// Begins the record of an answer of `executor` with an envelope of `envelope_len` bytes.
    pub fn builder(
        request_id: RequestId,
        executor: ExecutorId,
        envelope_hash: [u8; 32],
        envelope_len: u64,
    ) -> ResponseRecordBuilder {
        ResponseRecordBuilder {
            record: Self {
                request_id,
                status_code: 200,
                envelope_hash: HexBytes(envelope_hash.to_vec()),
                envelope_len,
                sealed: ByteString::default(),
                executor,
                epoch: 0,
                processed_at_ms: 0,
                expires_at_ms: 0,
                requester: Address::ZERO,
            },
        }
    }
}

/// Builds a [`ResponseRecord`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ResponseRecordBuilder {
    record: ResponseRecord,
}

impl ResponseRecordBuilder {
    /// Sets the HTTP status; 200 otherwise.
    pub fn with_status(mut self, status_code: u16) -> Self {
        self.record.status_code = status_code;
        self
    }

    /// Sets the assignment; the first otherwise.
    pub fn with_epoch(mut self, epoch: u64) -> Self {
        self.record.epoch = epoch;
        self
    }

    /// Sets the sealed envelope.
    pub fn with_sealed(mut self, sealed: Vec<u8>) -> Self {
        self.record.sealed = ByteString(sealed);
        self
    }

    /// Sets when it was recorded and until when it is kept, Unix milliseconds.
    pub fn with_times_ms(mut self, processed_at_ms: u64, expires_at_ms: u64) -> Self {
        self.record.processed_at_ms = processed_at_ms;
        self.record.expires_at_ms = expires_at_ms;
        self
    }

    /// Sets the token's owner.
    pub fn with_requester(mut self, requester: Address) -> Self {
        self.record.requester = requester;
        self
    }

    /// The record.
    ///
    /// # Errors
    /// [`InvalidResponse`] for the first part that is not of its form.
    pub fn build(self) -> Result<ResponseRecord, InvalidResponse> {
        let record = self.record;
        if !(200..=599).contains(&record.status_code) {
            return Err(InvalidResponse::Status(record.status_code));
        }
        if record.envelope_len == 0 {
            return Err(InvalidResponse::EmptyEnvelope);
        }
        if record.sealed.len() > super::MAX_SEALED_BYTES {
            return Err(InvalidResponse::SealedTooLarge);
        }
        if record.expires_at_ms < record.processed_at_ms {
            return Err(InvalidResponse::Expiry);
        }
        Ok(record)
    }
}

/// Why a response is not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidResponse {
    /// Not 200 to 599: an answer is final.
    #[error("{0} is not a final HTTP status")]
    Status(u16),
    /// Even an envelope of nothing has two bytes.
    #[error("the envelope is empty")]
    EmptyEnvelope,
    /// Over 16,000 bytes.
    #[error("the sealed envelope is over {} bytes", super::MAX_SEALED_BYTES)]
    SealedTooLarge,
    /// Gone before it came.
    #[error("the record expires before it was made")]
    Expiry,
}
