//! What the archived part of a log amounts to, so that what is left can be followed and verified.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::crypto::{PublicKey, Signature, Signer, SignerError, blake2b256};
use crate::ledger::local::failure::{BrokenLink, Failure};
use crate::ledger::local::message::{Genesis, Head, SignedHead};
use crate::ledger::local::objects::{Table, all_ids, object, object_bytes};
use crate::ledger::local::replica::{Replica, Tip};
use crate::types::{Address, ClusterId, Digest, TokenId};
use crate::wire::{Deployment, IntentKind, to_bcs};

/// The message of a checkpoint (kind 12; cluster and token of the intent are zero).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointMessage {
    /// The first signed head of the ledger, which signs its genesis.
    pub genesis: SignedHead,
    /// The last call that was archived, and the link after it and its events.
    pub head: Head,
    /// Sequence number of the last event that was archived.
    pub events: u64,
    /// Time of the last call that was archived, Unix milliseconds.
    pub time_ms: u64,
    /// How many signed heads were archived.
    pub heads: u64,
    /// BLAKE2b-256 of the last of them.
    pub last_head: Digest,
    /// Its time, Unix milliseconds.
    pub last_head_time_ms: u64,
    /// BLAKE2b-256 of the state after the last call that was archived.
    pub state: Digest,
}

/// Where a log begins whose first part was archived, signed by who signed the genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub message: CheckpointMessage,
    /// Whose signature it is.
    pub key: PublicKey,
    /// By that key.
    pub signature: Signature,
}

impl SignedCheckpoint {
    pub(super) async fn sign(
        deployment: &Deployment,
        message: CheckpointMessage,
        signer: &dyn Signer,
    ) -> Result<Self, SignerError> {
        let intent = deployment.intent(IntentKind::LocalCheckpoint, ClusterId::ZERO, TokenId::ZERO);
        let signature = signer.sign(&intent.signed_bytes(&message)).await?;
        Ok(Self {
            message,
            key: signer.public_key(),
            signature,
        })
    }

    /// That it is of the ledger of this genesis, and that who signed the one signed the other.
    pub(crate) fn check(&self, genesis: &Genesis) -> Result<(), BrokenLink> {
        let broken = |why: &str| {
            let row = crate::ledger::local::journal::CHECKPOINT;
            Err(BrokenLink::new("meta", row, why))
        };
        let deployment = genesis.deployment();
        let intent = deployment.intent(IntentKind::LocalCheckpoint, ClusterId::ZERO, TokenId::ZERO);
        if !intent.verify(&self.message, &self.key, &self.signature) {
            return broken("its signature is not its key's");
        }
        let first = &self.message.genesis;
        let begin = Head {
            calls: 0,
            link: genesis.link(),
        };
        if first.message.sequence != 0
            || first.message.head != begin
            || !first.is_genuine(&deployment)
        {
            return broken("its signed genesis is not that of this ledger");
        }
        if first.key != self.key {
            return broken("its key is not the one that signed the genesis");
        }
        Ok(())
    }

    /// How far the log is at the checkpoint.
    pub(crate) fn tip(&self) -> Tip {
        let message = &self.message;
        Tip {
            calls: message.head.calls,
            events: message.events,
            time_ms: message.time_ms,
            link: message.head.link,
        }
    }
}

/// All rows of the state, in the order of their tables and IDs, and all balances.
#[derive(Serialize, Deserialize)]
struct Rows {
    objects: Vec<(u8, Vec<u8>, Vec<u8>)>,
    balances: Vec<(Address, u64)>,
}

/// The bytes that [`CheckpointMessage::state`] is the hash of.
pub(crate) fn state_bytes(replica: &Replica) -> Vec<u8> {
    let mut ids = all_ids(&replica.state);
    ids.sort();
    let objects = ids.into_iter().map(|(table, id)| {
        let bytes = object_bytes(&replica.state, table, &id).unwrap_or_default();
        (number_of(table), id, bytes)
    });
    let balances = replica.balances.iter();
    to_bcs(&Rows {
        objects: objects.collect(),
        balances: balances.map(|(account, mist)| (*account, *mist)).collect(),
    })
}

/// The state that was stored with a checkpoint, if it is the one that the checkpoint says.
pub(crate) fn restore(
    genesis: &Genesis,
    checkpoint: &SignedCheckpoint,
    stored: &[u8],
) -> Result<Replica, Failure> {
    let broken = |why: &str| {
        let row = crate::ledger::local::journal::CHECKPOINT_STATE;
        Failure::from(BrokenLink::new("meta", row, why))
    };
    let bytes = inflate_state(stored).ok_or_else(|| broken("it cannot be decompressed"))?;
    if blake2b256(&[&bytes]) != checkpoint.message.state {
        return Err(broken(
            "it is not the state that the checkpoint is signed for",
        ));
    }
    let rows: Rows = bcs::from_bytes(&bytes).map_err(|_| broken("its bytes are no state"))?;
    let tip = checkpoint.tip();
    let mut replica =
        Replica::at_genesis(genesis, tip.time_ms).map_err(|why| broken(why.as_str()))?;
    replica.balances = rows.balances.into_iter().collect();
    for (table, id, bytes) in rows.objects {
        let table = Table::ALL.get(usize::from(table));
        let object = table.and_then(|table| object(*table, &id, &bytes));
        replica
            .state
            .load(object.ok_or_else(|| broken("a row of it is no object"))?);
    }
    drop(replica.state.take_touched());
    replica.tip = tip;
    Ok(replica)
}

/// The bytes of a state that was stored with a checkpoint.
pub(crate) fn inflate_state(stored: &[u8]) -> Option<Vec<u8>> {
    inflate(stored, MAX_STATE)
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Into memory nothing fails.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// What was compressed, if it is whole, nothing follows, and it has no more than so many bytes.
pub(super) fn inflate(bytes: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(bytes);
    let mut inflated = Vec::new();
    (&mut decoder)
        .take(limit.saturating_add(1))
        .read_to_end(&mut inflated)
        .ok()?;
    let is_whole = inflated.len() as u64 <= limit && decoder.total_in() == bytes.len() as u64;
    is_whole.then_some(inflated)
}

fn number_of(table: Table) -> u8 {
    match table {
        Table::Clusters => 0,
        Table::Tokens => 1,
        Table::Executors => 2,
        Table::Requests => 3,
    }
}

/// More than what SQLite keeps in a row.
const MAX_STATE: u64 = 4 << 30;
