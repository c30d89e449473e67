//! Bearer credentials, byte for byte.

use serde::{Deserialize, Serialize};

use crate::crypto::{PublicKey, Signature};
use crate::types::{ByteString, ClusterId, TokenId};

/// The message of a bearer credential (kind 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The token it speaks for.
    pub token: TokenId,
    /// The cluster of that token.
    pub cluster: ClusterId,
    /// The gateway it is for: text of at most 253 bytes.
    pub audience: ByteString,
    /// Unix milliseconds from which it is good.
    pub not_before_ms: u64,
    /// Unix milliseconds at which it is no longer good.
    pub not_after_ms: u64,
    /// Random; names the credential in the record of what was done with it.
    pub id: [u8; 16],
}

/// What the bearer sends: `seal_` and base64url (no padding) of the BCS of this.
///
/// Whoever holds it can use it, so `Debug` shows only what it is for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCredential {
    /// What was signed.
    pub credential: Credential,
    /// The owner's key, or a live session key.
    pub public_key: PublicKey,
    /// By that key.
    pub signature: Signature,
}

impl std::fmt::Debug for SignedCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedCredential")
            .field("credential", &self.credential)
            .field("public_key", &self.public_key)
            .field("signature", &"…")
            .finish()
    }
}
