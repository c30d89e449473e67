//! What a signature is for: the header before every signed message.

use serde::{Deserialize, Serialize};

use super::to_bcs;
use crate::crypto::{PublicKey, Signature, blake2b256};
use crate::types::{Address, ByteString, ChainId, ClusterId, Digest, TokenId};

/// The header of everything signed: no signature for one purpose, chain, package, cluster or token
/// is valid for another.
///
/// BCS: `vector<u8> "k3s_daas"`, kind u8, version u8, chain 32 bytes, package 32 bytes, cluster 32
/// bytes, token 32 bytes (zero where no token is meant).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    domain: ByteString,
    kind: u8,
    version: u8,
    chain: ChainId,
    package: Address,
    cluster: ClusterId,
    token: TokenId,
}

/// The kinds of signed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum IntentKind {
    /// A request ([`super::RequestMessage`]).
    Request = 1,
    /// An executor's answer ([`super::AnswerMessage`]).
    Answer = 2,
    /// A claim of a request whose lease is over ([`super::AssignmentMessage`]).
    Claim = 3,
    /// A request given back before it began ([`super::AssignmentMessage`]).
    Release = 4,
    /// The root over reads served beside the ledger ([`super::AnchorMessage`]).
    Anchor = 5,
    /// The opening of a session ([`super::RequestMessage`]).
    SessionOpen = 6,
    /// The end of a session ([`super::SessionCloseMessage`]).
    SessionClose = 7,
    /// A bearer credential ([`super::Credential`]).
    Credential = 8,
    /// The handshake of the link.
    Link = 9,
    /// A call to a local ledger.
    LocalCall = 10,
    /// The head of a local ledger.
    LocalHead = 11,
    /// What the archived beginning of a local ledger amounts to.
    LocalCheckpoint = 12,
}

/// Which deployment of the contract: the part of an intent that is the same for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// The chain.
    pub chain: ChainId,
    /// The original ID of the package.
    pub package: Address,
}

impl Deployment {
    /// The intent of `kind` for `cluster` and `token` (zero where none is meant).
    #[must_use]
    pub fn intent(&self, kind: IntentKind, cluster: ClusterId, token: TokenId) -> Intent {
        Intent {
            domain: ByteString::from(DOMAIN),
            kind: kind as u8,
            version: INTENT_VERSION,
            chain: self.chain,
            package: self.package,
            cluster,
            token,
        }
    }
}

impl Intent {
    /// What is signed: BCS of the intent, then BCS of the message.
    #[must_use]
    pub fn signed_bytes<M: Serialize>(&self, message: &M) -> Vec<u8> {
        let mut bytes = to_bcs(self);
        bcs::serialize_into(&mut bytes, message)
            .expect("messages have no floats and bounded depth");
        bytes
    }

    /// BLAKE2b-256 of the signed bytes.
    #[must_use]
    pub fn digest<M: Serialize>(&self, message: &M) -> Digest {
        blake2b256(&[&self.signed_bytes(message)])
    }

    /// Whether `signature` over `message` under this intent is `key`'s.
    #[must_use]
    pub fn verify<M: Serialize>(
        &self,
        message: &M,
        key: &PublicKey,
        signature: &Signature,
    ) -> bool {
        key.verify(&self.signed_bytes(message), signature)
    }
}

const DOMAIN: &str = "k3s_daas";
const INTENT_VERSION: u8 = 1;
