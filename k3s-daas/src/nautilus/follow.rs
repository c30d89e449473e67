//! Follows the ledger's events: what is new goes to the journal, then to those who execute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::core::{Core, InMemory, Pause};
use super::journal::{Key, Lost, Progress};
use super::{Error, Result};
use crate::ledger::{self, Cursor, SequencedEvent};
use crate::types::{ByteString, RequestId, TokenId};
use crate::wire::Event;

/// Follows from `cursor` until something fails for good.
pub(super) async fn run(core: &Arc<Core>, mut cursor: Cursor) -> Result<()> {
    let mut pause = Pause::default();
    let mut unsaved = Unsaved::new(cursor);
    core.status.set_cursor(cursor);
    // What was assigned before and not begun.
    for key in core.idle() {
        if core
            .look(key)
            .is_some_and(|held| held.request.executor == core.me)
        {
            core.enqueue(key);
        }
    }
    loop {
        let mut chunks = core.ledger.events(cursor).ready_chunks(CHUNK);
        core.status.set_following(true);
        while let Some(chunk) = chunks.next().await {
            let mut events = Vec::with_capacity(chunk.len());
            let mut failure = None;
            for item in chunk {
                match item {
                    // A stream that repeats itself is not believed twice.
                    Ok(event) if event.cursor <= cursor => {}
                    Ok(event) => {
                        cursor = event.cursor;
                        events.push(event);
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            if !events.is_empty() {
                pause = Pause::default();
                take(core, &events, &mut unsaved).await?;
            }
            match failure {
                None => {}
                Some(error @ (ledger::Error::Corrupt(_) | ledger::Error::Version(_))) => {
                    return Err(error.into());
                }
                Some(ledger::Error::Archived { through }) if through > cursor => {
                    tracing::warn!(%cursor, %through, "what was not followed yet is archived");
                    cursor = through;
                    pass_over(core, cursor, &mut unsaved).await?;
                    break;
                }
                Some(error) => {
                    tracing::warn!(%error, %cursor, "cannot follow the ledger; trying again");
                    break;
                }
            }
        }
        core.status.set_following(false);
        pause.wait().await;
    }
}

/// What was followed and is not in the journal yet.
struct Unsaved {
    progress: Progress,
    since: Instant,
}

impl Unsaved {
    fn new(cursor: Cursor) -> Self {
        Self {
            progress: Progress {
                cursor,
                ..Progress::default()
            },
            since: Instant::now(),
        }
    }
}

async fn take(core: &Arc<Core>, events: &[SequencedEvent], unsaved: &mut Unsaved) -> Result<()> {
    let Some(last) = events.last() else {
        return Ok(());
    };
    let mut pause = Pause::default();
    while core.view(|snapshot| snapshot.cursor) < last.cursor {
        match core.ledger.sync().await {
            Ok(_) => {}
            Err(error @ (ledger::Error::Corrupt(_) | ledger::Error::Version(_))) => {
                return Err(Error::Ledger(error));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot bring the ledger's state up to its events")
            }
        }
        pause.wait().await;
    }
    let mut assigned = Vec::new();
    let mut lost = Vec::new();
    let mut admitted = Vec::new();
    let mut ended = Vec::new();
    let ours = events
        .iter()
        .filter(|event| event.event.cluster() == core.cluster);
    for SequencedEvent { cursor, event, .. } in ours {
        let mut assign = |key: Option<Key>, epoch: u64| {
            let Some(key) = key else { return };
            assigned.push(key);
            if *cursor <= core.fence {
                lost.extend(from_before(core, key, epoch, *cursor <= core.birth));
            }
        };
        match event {
            Event::K8sApiRequest(event) => {
                let Some(key) = key(event.seal_token_id, &event.request_id) else {
                    continue;
                };
                if core
                    .look(key)
                    .is_some_and(|held| held.request.outcome.is_none())
                {
                    admitted.push(Arc::new(event.clone()));
                    if event.nautilus_endpoint == core.me {
                        assign(Some(key), 0);
                    }
                }
            }
            Event::K8sRequestClaimed(event) if event.executor == core.me => {
                assign(key(event.token, &event.request_id), event.epoch);
            }
            Event::K8sRequestReleased(event) if event.executor == core.me => {
                assign(key(event.token, &event.request_id), event.epoch);
            }
            Event::K8sRequestProcessed(event) => ended.extend(key(event.token, &event.request_id)),
            Event::SessionClosed(event) => ended.extend(key(event.token, &event.request_id)),
            Event::ResponsesPruned(event) => {
                ended.extend(
                    event
                        .request_ids
                        .iter()
                        .filter_map(|id| key(event.token, id)),
                );
            }
            _ => {}
        }
    }
    core.keep(admitted.iter().cloned(), InMemory::New);
    // The journal has something of these.
    for lost in &lost {
        core.touch(lost.key);
    }
    core.drop_ended(&ended);
    unsaved.progress.cursor = last.cursor;
    unsaved.progress.ended.extend(ended);
    let is_due = unsaved.since.elapsed() >= SAVE_INTERVAL || unsaved.progress.ended.len() >= CHUNK;
    if !admitted.is_empty() || !lost.is_empty() || is_due {
        unsaved.progress.admitted = admitted;
        unsaved.progress.lost = lost;
        let progress = std::mem::replace(unsaved, Unsaved::new(last.cursor)).progress;
        crash_point!(NautilusFollowed);
        core.journal.advance(progress).await?;
        crash_point!(NautilusAdvanced);
    }
    core.status.set_cursor(last.cursor);
    core.status
        .lag_ms
        .set(core.now_ms().saturating_sub(last.timestamp_ms));
    for key in assigned {
        core.enqueue(key);
    }
    Ok(())
}

/// Goes on after events that were archived: all requests that they are about are pruned, and so have ended.
async fn pass_over(core: &Arc<Core>, cursor: Cursor, unsaved: &mut Unsaved) -> Result<()> {
    let ended = core.idle().into_iter();
    let ended: Vec<Key> = ended.filter(|key| core.look(*key).is_none()).collect();
    core.drop_ended(&ended);
    let mut progress = std::mem::replace(unsaved, Unsaved::new(cursor)).progress;
    progress.cursor = cursor;
    progress.ended.extend(ended);
    core.journal.advance(progress).await?;
    core.status.set_cursor(cursor);
    Ok(())
}

/// An assignment to this executor that an earlier run may have taken up without a trace in the journal, if it
/// is the present one: from an earlier one it was released, which nothing is that began.
fn from_before(core: &Core, key: Key, epoch: u64, is_before_birth: bool) -> Option<Lost> {
    let request = core.look(key)?.request;
    let is_present = request.executor == core.me && request.epoch == epoch;
    let is_open = is_present && request.outcome.is_none();
    let is_lost = is_open && (request.is_read || is_before_birth);
    is_lost.then(|| {
        tracing::warn!(token = %key.0, request_id = %key.1, epoch,
            is_read = request.is_read, "an assignment from before is not executed, since it may have been");
        Lost {
            key,
            epoch,
            forget_at_ms: request.prunable_at_ms,
        }
    })
}

fn key(token: TokenId, request_id: &ByteString) -> Option<Key> {
    RequestId::from_bytes(request_id).ok().map(|id| (token, id))
}

/// Events that are taken at a time, so that a long history does not cost a commit each.
const CHUNK: usize = 512;
/// How long progress that nobody waits for may be unsaved; it is only read again then.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
