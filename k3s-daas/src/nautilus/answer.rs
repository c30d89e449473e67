//! The answer to a request: sealed, signed, written down, then stored until the ledger has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::core::{Core, Held, Pause};
use super::journal::{End, JournalError, Key, Unstored};
use super::queue::Slot;
use super::reply::{Refusal, Reply};
use super::room::Place;
use super::spans::Done;
use super::status::Stage;
use super::worker::holder;
use crate::blob::{self, AnswerKeep, Durability};
use crate::contract::{Call, Code};
use crate::crypto::Blob;
use crate::ledger;
use crate::types::{ByteString, HexBytes, Target, TraceId};
use crate::wire::{AnswerMessage, IntentKind};

/// Answers with what the cluster said, or with why it was not asked.
///
/// Slot and place are kept until the blob store has the body, so that no more bodies are in memory than those.
///
/// # Errors
/// Only those of the journal.
pub(super) async fn answer(
    core: &Arc<Core>,
    key: Key,
    held: &Held,
    reply: Result<Reply, Refusal>,
    target: Option<&Target>,
    kept: (Slot, Place),
) -> Result<(), JournalError> {
    let (token, id) = key;
    let request = &held.request;
    let limit = core.config().max_response_bytes;
    let reply = reply.and_then(|reply| {
        let status = reply.status;
        let sealed = reply.seal();
        if sealed.body_len() > limit {
            return Err(too_large(held, status, limit));
        }
        Ok((status, sealed))
    });
    let (status, sealed) = match reply {
        Ok((status, sealed)) => match timed_put(core, key, held, &sealed).await {
            Put::Done => (status, sealed),
            Put::TooLarge(limit) => {
                refuse(core, key, held, &too_large(held, status, limit), target).await
            }
            Put::NoRoom => {
                let is_read = request.is_read;
                let refusal = Refusal::NoRoom { status, is_read };
                refuse(core, key, held, &refusal, target).await
            }
        },
        Err(refusal) => refuse(core, key, held, &refusal, target).await,
    };
    crash_point!(NautilusEnvelopeStored);
    let (envelope_hash, envelope_len) = (sealed.hash(), sealed.body_len() as u64);
    drop(sealed);
    drop(kept);
    let message = AnswerMessage {
        request_id: ByteString(id.to_wire()),
        digest: request.digest,
        epoch: request.epoch,
        status,
        envelope_hash: HexBytes(envelope_hash.as_bytes().to_vec()),
        envelope_len,
        sealed_hash: AnswerMessage::hash_of_sealed(&[]),
        time_ms: core.now_ms(),
    };
    let Some(signature) = core.sign(IntentKind::Answer, token, &message).await else {
        core.ignore(key, request.epoch);
        return Ok(());
    };
    crash_point!(NautilusSigned);
    let call = Call::StoreK8sResponse {
        cluster: core.cluster,
        token,
        request_id: message.request_id,
        executor: core.me,
        epoch: message.epoch,
        status,
        envelope_hash: message.envelope_hash,
        envelope_len: message.envelope_len,
        sealed: ByteString::default(),
        time_ms: message.time_ms,
        signature: HexBytes(signature.as_bytes().to_vec()),
    };
    let unstored = Unstored {
        key,
        epoch: request.epoch,
        call,
    };
    // Whichever answer was written down first is the only one that ever leaves.
    let started = Instant::now();
    let unstored = core
        .journal
        .answer(unstored, request.is_read, request.prunable_at_ms)
        .await?;
    core.took(key, Stage::Write, started.into_std());
    crash_point!(NautilusAnswerWritten);
    deliver(core, unstored).await
}

/// Stores an answer that is written down, as the identical bytes, until the ledger has it or never can.
///
/// # Errors
/// Only those of the journal.
pub(super) async fn deliver(core: &Arc<Core>, unstored: Unstored) -> Result<(), JournalError> {
    let Unstored { key, epoch, call } = unstored;
    let (token, id) = key;
    let mut pause = Pause::default();
    let started = Instant::now();
    let is_wanted = loop {
        match core.ledger.call(call.clone()).await {
            Ok(_) => {
                crash_point!(NautilusStored);
                core.status.stored.add(1);
                core.took(key, Stage::Submit, started.into_std());
                tracing::debug!(%token, request_id = %id, epoch, "answer stored");
                break false;
            }
            Err(error) if is_final(&error) => {
                core.ignore(key, epoch);
                let is_answered = error.code() == Some(Code::AlreadyAnswered);
                if !is_answered {
                    tracing::warn!(%token, request_id = %id, epoch, %error, "the ledger does not take the answer");
                }
                break !is_answered && core.look(key).is_some();
            }
            Err(error) => {
                tracing::warn!(%token, request_id = %id, epoch, %error, "answer not stored; trying again");
                let is_held = core.look(key).is_some();
                if !is_held && !error.is_retryable() {
                    break false;
                }
            }
        }
        pause.wait().await;
    };
    let end = if is_wanted {
        End::Refused
    } else {
        let deadline_ms = core.look(key).map_or(0, |held| held.request.deadline_ms);
        let over_ms = deadline_ms.max(core.now_ms());
        End::Settled {
            forget_at_ms: over_ms.saturating_add(KEEP_SETTLED_MS),
        }
    };
    core.journal.ended(key, epoch, end).await?;
    crash_point!(NautilusSettled);
    Ok(())
}

/// Whether the ledger will never take this answer.
fn is_final(error: &ledger::Error) -> bool {
    matches!(
        error.code(),
        Some(
            Code::UnknownRequest
                | Code::AlreadyAnswered
                | Code::NotAssigned
                | Code::InvalidSignature
                | Code::MalformedResponse
                | Code::ClaimedWrite
        )
    )
}

fn too_large(held: &Held, status: u16, limit: usize) -> Refusal {
    Refusal::TooLarge {
        status,
        limit,
        is_read: held.request.is_read,
    }
}

/// The `Status` of a refusal, sealed and in the blob store.
async fn refuse(
    core: &Core,
    key: Key,
    held: &Held,
    refusal: &Refusal,
    target: Option<&Target>,
) -> (u16, Blob) {
    let (token, id) = key;
    let reply = refusal.reply(id, target);
    let outcome = if matches!(refusal, Refusal::Unknown(_)) {
        core.status.unknown.add(1);
        "unknown"
    } else {
        core.status.refused.add(1);
        "refused"
    };
    let (resource, namespace) = target.map_or((String::new(), ""), |target| {
        (target.path.full_resource(), target.path.namespace.as_str())
    });
    tracing::warn!(request_id = %id, trace_id = %TraceId::of_request(id), %token, epoch = held.request.epoch,
        verb = target.map_or("", |target| target.verb.as_str()), resource, namespace, status = reply.status, outcome,
        ?refusal, "request");
    let status = reply.status;
    core.spans.done(key, || {
        Done::new(held.request.epoch, status, outcome, target)
    });
    let sealed = reply.seal();
    // A store that cannot take even this leaves the client with the status on the ledger.
    if !matches!(put(core, key, held, &sealed).await, Put::Done) {
        tracing::error!(%token, request_id = %id, "the refusal's text is lost: the blob store has no room");
    }
    (status, sealed)
}

/// The same, and how long it took.
async fn timed_put(core: &Core, key: Key, held: &Held, sealed: &Blob) -> Put {
    let started = Instant::now();
    let put = put(core, key, held, sealed).await;
    core.took(key, Stage::Store, started.into_std());
    put
}

enum Put {
    /// It is there, or the store does not answer until the deadline: the outcome is recorded either way.
    Done,
    /// It will never be.
    TooLarge(usize),
    /// It is not, and what takes the room may stay for long.
    NoRoom,
}

/// Puts an envelope where the gateway can fetch it.
async fn put(core: &Core, key: Key, held: &Held, sealed: &Blob) -> Put {
    let (token, id) = key;
    let request = &held.request;
    let remaining = core.until(request.deadline_ms);
    let keep = remaining + KEEP_LONGER;
    // Nobody comes back for a read's answer, and whoever does may ask the cluster again; for a write's
    // somebody may as long as its record is there.
    let keep = if request.is_read {
        AnswerKeep {
            least: keep,
            wanted: keep,
            durability: Durability::Cached,
        }
    } else {
        AnswerKeep {
            least: keep,
            wanted: keep + Duration::from_millis(held.ttl_ms),
            durability: Durability::Synced,
        }
    };
    let started = Instant::now();
    crash_point!(NautilusBeforeEnvelope);
    let attempts = async {
        let mut pause = Pause::up_to(Duration::from_secs(1));
        loop {
            match core.blobs.put_answer(sealed, &holder(key), keep).await {
                Ok(_) => return Put::Done,
                Err(blob::Error::TooLarge { limit, .. }) => {
                    return Put::TooLarge(usize::try_from(limit).unwrap_or(usize::MAX));
                }
                // Its own earlier answers stay for a while: to wait would only hold up others.
                Err(blob::Error::ShareFull { .. }) => return Put::NoRoom,
                Err(blob::Error::Full { .. })
                    if started.elapsed() >= core.config().blob_patience =>
                {
                    return Put::NoRoom;
                }
                Err(error) => {
                    tracing::warn!(%token, request_id = %id, %error, "answer not in the blob store; trying again");
                }
            }
            pause.wait().await;
        }
    };
    let patience = remaining.max(PUT_AT_LEAST);
    match tokio::time::timeout(patience, attempts).await {
        Ok(put) => put,
        Err(_elapsed) => {
            tracing::error!(%token, request_id = %id, "the answer's body is lost: the blob store did not take it");
            // Its hash would stand for bytes that nobody has.
            Put::NoRoom
        }
    }
}

/// Settled answers stay in the journal a while longer, so that nobody signs another one.
const KEEP_SETTLED_MS: u64 = 10 * 60_000;
/// Beyond the deadline, for whoever asks again; and beyond the record's own life, since clocks differ.
const KEEP_LONGER: Duration = Duration::from_secs(60);
/// Answers at the deadline are put too.
const PUT_AT_LEAST: Duration = Duration::from_secs(5);
