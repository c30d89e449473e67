//! What is signed and what is chained, byte for byte.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::contract::Call;
use crate::crypto::{PublicKey, Signature, Signer, SignerError, blake2b256, random_array};
use crate::types::{Address, ChainId, ClusterId, Digest, TokenId};
use crate::wire::{Deployment, IntentKind, to_bcs};

/// The package of every local ledger: the text `k3s_daas`, left-padded with zeros.
pub const PACKAGE: Address = {
    let text = b"k3s_daas";
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < text.len() {
        bytes[32 - text.len() + i] = text[i];
        i += 1;
    }
    Address::new(bytes)
};

/// Where a local ledger begins: nothing but balances.
///
/// Its signer signs the ledger's first [head](SignedHead), which commits to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    seed: [u8; 32],
    /// MIST that accounts hold at the start; each account once, together at most 2^63 − 1.
    pub funds: Vec<(Address, u64)>,
}

impl Genesis {
    /// A beginning of its own: 32 random bytes make its chain unlike any other.
    #[must_use]
    pub fn new(funds: Vec<(Address, u64)>) -> Self {
        let seed = random_array();
        Self { seed, funds }
    }

    /// BLAKE2b-256 of `k3s_daas local` and the 32 random bytes.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        let digest = blake2b256(&[b"k3s_daas local", &self.seed]);
        ChainId::new(*digest.as_bytes())
    }

    /// The deployment that everything on this ledger is signed for.
    #[must_use]
    pub fn deployment(&self) -> Deployment {
        Deployment {
            chain: self.chain(),
            package: PACKAGE,
        }
    }

    /// The link before the first call: BLAKE2b-256 of 0x00 and the BCS of this.
    pub(crate) fn link(&self) -> Digest {
        blake2b256(&[&[GENESIS_LINK], &to_bcs(self)])
    }
}

/// The message of a call (kind 10; cluster and token of the intent are zero).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCall {
    /// Who calls: the address of the key that signs, so that nobody else can submit these bytes.
    pub sender: Address,
    /// What is called.
    pub call: Call,
    /// Random, so that two equal calls differ.
    pub nonce: [u8; 16],
    /// Ledger time in Unix milliseconds at which it is no longer taken, at most
    /// [`MAX_VALIDITY_MS`] ahead.
    pub not_after_ms: u64,
}

/// A call as it is submitted: what a transaction is on Sui.
///
/// The sender is the address of the key. The same bytes are applied at most once, however often
/// they are submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCall {
    /// BCS of the intent, then of the [`LocalCall`].
    pub bytes: Vec<u8>,
    /// Whose call it is.
    pub key: PublicKey,
    /// By that key, over the bytes.
    pub signature: Signature,
}

impl SignedCall {
    /// Signs `call` for the ledger of `deployment`.
    ///
    /// # Errors
    /// Those of the signer.
    pub async fn sign(
        deployment: &Deployment,
        call: Call,
        not_after_ms: u64,
        signer: &dyn Signer,
    ) -> Result<Self, SignerError> {
        let message = LocalCall {
            sender: signer.address(),
            call,
            nonce: random_array(),
            not_after_ms,
        };
        let intent = deployment.intent(IntentKind::LocalCall, ClusterId::ZERO, TokenId::ZERO);
        let bytes = intent.signed_bytes(&message);
        let signature = signer.sign(&bytes).await?;
        Ok(Self {
            bytes,
            key: signer.public_key(),
            signature,
        })
    }

    /// BLAKE2b-256 of the bytes: the call's name on the ledger.
    #[must_use]
    pub fn digest(&self) -> Digest {
        blake2b256(&[&self.bytes])
    }

    /// What was signed, if it was signed for `deployment` and for this key. Does not look at the signature.
    ///
    /// # Errors
    /// In words, when the bytes are something else.
    pub(crate) fn message(&self, deployment: &Deployment) -> Result<LocalCall, &'static str> {
        if self.bytes.len() > MAX_CALL_BYTES {
            return Err("it is longer than 131,072 bytes");
        }
        let intent = deployment.intent(IntentKind::LocalCall, ClusterId::ZERO, TokenId::ZERO);
        let message = self
            .bytes
            .strip_prefix(&to_bcs(&intent)[..])
            .ok_or("it is not signed as a call for this ledger")?;
        let message: LocalCall = bcs::from_bytes(message).map_err(|_| "its bytes are no call")?;
        if message.sender == self.key.address() {
            Ok(message)
        } else {
            Err("its sender is not the address of its key")
        }
    }
}

/// How far a local ledger is: whoever knows this knows all that came before.
///
/// Text: number of calls, `:`, the link in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// How many calls there are.
    pub calls: u64,
    /// The link after the last of them and its events.
    pub link: Digest,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.calls, hex::encode(self.link.as_bytes()))
    }
}

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let invalid = || InvalidHead(text.chars().take(96).collect());
        let (calls, link) = text.split_once(':').ok_or_else(invalid)?;
        let link = link.strip_prefix("0x").unwrap_or(link);
        if link.len() != 64 {
            return Err(invalid());
        }
        Ok(Self {
            calls: calls.parse().map_err(|_| invalid())?,
            link: format!("0x{link}").parse().map_err(|_| invalid())?,
        })
    }
}

/// Text that is no [`Head`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no head, which is a number of calls, a colon and 64 hexadecimal digits")]
pub struct InvalidHead(String);

/// The message of a head (kind 11; cluster and token of the intent are zero).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadMessage {
    /// Position among the signed heads; the genesis' is 0.
    pub sequence: u64,
    /// Ledger time, Unix milliseconds.
    pub time_ms: u64,
    /// What is signed for.
    pub head: Head,
    /// BLAKE2b-256 of the BCS of the [`SignedHead`] before; zero for the first.
    pub previous: Digest,
}

/// A head and who stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What was signed.
    pub message: HeadMessage,
    /// Whose signature it is.
    pub key: PublicKey,
    /// By that key.
    pub signature: Signature,
}

impl SignedHead {
    pub(crate) async fn sign(
        deployment: &Deployment,
        message: HeadMessage,
        signer: &dyn Signer,
    ) -> Result<Self, SignerError> {
        let intent = deployment.intent(IntentKind::LocalHead, ClusterId::ZERO, TokenId::ZERO);
        let signature = signer.sign(&intent.signed_bytes(&message)).await?;
        Ok(Self {
            message,
            key: signer.public_key(),
            signature,
        })
    }

    /// Whether its key signed it for `deployment`.
    #[must_use]
    pub fn is_genuine(&self, deployment: &Deployment) -> bool {
        deployment
            .intent(IntentKind::LocalHead, ClusterId::ZERO, TokenId::ZERO)
            .verify(&self.message, &self.key, &self.signature)
    }

    pub(crate) fn digest(&self) -> Digest {
        blake2b256(&[&to_bcs(self)])
    }
}

/// What a call adds to the chain.
pub(crate) struct CallLink<'a> {
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) sender: Address,
    pub(crate) digest: Digest,
    pub(crate) key: &'a PublicKey,
    pub(crate) signature: &'a Signature,
}

impl CallLink<'_> {
    /// BLAKE2b-256 of 0x01, the link before, and the fields in their order, integers as u64
    /// little-endian, everything else its plain bytes.
    pub(crate) fn after(&self, previous: Digest) -> Digest {
        blake2b256(&[
            &[CALL_LINK],
            previous.as_bytes(),
            &self.sequence.to_le_bytes(),
            &self.time_ms.to_le_bytes(),
            self.sender.as_bytes(),
            self.digest.as_bytes(),
            self.key.as_bytes(),
            self.signature.as_bytes(),
        ])
    }
}

/// What an event adds to the chain: BLAKE2b-256 of 0x02, the link before (the previous event's of
/// the call, or the call's own, which names time and sender), the event's sequence number and its
/// call's as u64 little-endian, and the BCS of the event.
pub(crate) fn event_link(previous: Digest, sequence: u64, call: u64, event: &[u8]) -> Digest {
    blake2b256(&[
        &[EVENT_LINK],
        previous.as_bytes(),
        &sequence.to_le_bytes(),
        &call.to_le_bytes(),
        event,
    ])
}

/// Sui's `derive_id`: BLAKE2b-256 of 0xF1, the digest of the call, and a counter from 0.
pub(crate) fn derive_id(call: Digest, counter: u64) -> Address {
    let digest = blake2b256(&[&[0xF1], call.as_bytes(), &counter.to_le_bytes()]);
    Address::new(*digest.as_bytes())
}

/// Longest time between a call and its `not_after_ms`: 10 minutes, so that a call that was lost is
/// lost for good soon.
pub const MAX_VALIDITY_MS: u64 = 600_000;

/// Longest signed call in bytes: that of a transaction on Sui.
pub const MAX_CALL_BYTES: usize = 131_072;

const GENESIS_LINK: u8 = 0;
const CALL_LINK: u8 = 1;
const EVENT_LINK: u8 = 2;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_nothing_else_does() {
        let head = Head {
            calls: 17,
            link: Digest::new([0xab; 32]),
        };
        assert_eq!(head.to_string().parse(), Ok(head));
        let hex = "ab".repeat(32);
        assert_eq!(format!("17:0x{hex}").parse(), Ok(head));
        for wrong in ["", "17", "17:", "17:ab", ":ab", &format!("-1:{hex}")] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn derived_ids_are_suis() {
        // BLAKE2b-256(0xF1 ‖ 32 zero bytes ‖ 0u64), as Sui's `derive_id` of the zero digest.
        let id = derive_id(Digest::ZERO, 0);
        assert_ne!(id, derive_id(Digest::ZERO, 1));
        let mut input = vec![0xF1];
        input.extend([0; 40]);
        assert_eq!(id.as_bytes(), blake2b256(&[&input]).as_bytes());
    }

    /// The bytes of everything that is signed or chained, as they must stay.
    #[test]
    fn golden_bytes() {
        let key = crate::crypto::Ed25519Signer::from_seed([1; 32]);
        let genesis = Genesis {
            seed: [2; 32],
            funds: vec![(Address::new([3; 32]), 4)],
        };
        let deployment = genesis.deployment();
        let intent = |kind| deployment.intent(kind, ClusterId::ZERO, TokenId::ZERO);
        let call = intent(IntentKind::LocalCall).signed_bytes(&LocalCall {
            sender: key.address(),
            call: Call::DepositStake {
                token: TokenId::new([5; 32]),
                amount: 6,
            },
            nonce: [7; 16],
            not_after_ms: 8,
        });
        let digest = blake2b256(&[&call]);
        let signature = key.sign_now(&call);
        let call_link = CallLink {
            sequence: 1,
            time_ms: 9,
            sender: key.address(),
            digest,
            key: &key.public_key(),
            signature: &signature,
        }
        .after(genesis.link());
        let link = event_link(call_link, 1, 1, b"event");
        let head = intent(IntentKind::LocalHead).signed_bytes(&HeadMessage {
            sequence: 1,
            time_ms: 10,
            head: Head { calls: 1, link },
            previous: Digest::new([11; 32]),
        });
        let found = [
            hex::encode(deployment.chain.as_bytes()),
            hex::encode(to_bcs(&genesis)),
            hex::encode(&call),
            hex::encode(genesis.link().as_bytes()),
            hex::encode(call_link.as_bytes()),
            hex::encode(link.as_bytes()),
            hex::encode(&head),
            hex::encode(derive_id(digest, 1).as_bytes()),
        ];
        for (found, expected) in found.iter().zip(GOLDEN) {
            assert_eq!(found, expected);
        }
    }

    /// Chain, genesis, call, the links after genesis, call and event, head, the second object ID. Those that
    /// are hashes alone were computed by other means too.
    const GOLDEN: [&str; 8] = [
        "4a3485873c415106d4da5069d2c0369bafc2f8d7f03f2cd23037d314b70431f4",
        "02020202020202020202020202020202020202020202020202020202020202020103030303030303030303030303030303030303030303030303030303030303030400000000000000",
        "086b33735f646161730a014a3485873c415106d4da5069d2c0369bafc2f8d7f03f2cd23037d314b70431f40000000000000000000000000000000000000000000000006b33735f646161730000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000029dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f0c05050505050505050505050505050505050505050505050505050505050505050600000000000000070707070707070707070707070707070800000000000000",
        "42ec9626aa14002357535c28eebac22fd8409479a4e4b7648a7205bc6ce1f0bc",
        "67042aef757df7ad906f656eacab02e5f909cdfb2b48b84c7e82c8ad4304dd6f",
        "1364061c0845ec28b8f693ec4c65b6dddaa5e3506671cf0fc12553b8ded352f2",
        "086b33735f646161730b014a3485873c415106d4da5069d2c0369bafc2f8d7f03f2cd23037d314b70431f40000000000000000000000000000000000000000000000006b33735f646161730000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001000000000000000a000000000000000100000000000000201364061c0845ec28b8f693ec4c65b6dddaa5e3506671cf0fc12553b8ded352f2200b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "ca01784bf085bd97eb7779c85e44af654a26afb03f0238fb0ef260863485d0d9",
    ];

    #[test]
    fn the_package_is_a_text() {
        assert!(PACKAGE.to_string().ends_with("6b33735f64616173"));
    }
}
