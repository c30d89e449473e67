//! The thread that writes the journal: many orders, one commit.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tokio::sync::oneshot;

use super::file::{self, Opened, mark_closed};
use super::queue::{Batch, Queue, Urgency};
use super::{Begun, End, JournalError, Key, Past, Progress, signed, time};
use crate::wire::to_bcs;

/// Something for the journal, and where to say that it is on disk if somebody waits for that.
#[derive(Debug)]
pub(super) enum Order {
    Advance(Progress),
    Begin {
        key: Key,
        epoch: u64,
        forget_at_ms: u64,
        reply: oneshot::Sender<Begun>,
    },
    Recall {
        key: Key,
        epoch: u64,
        reply: oneshot::Sender<(Past, Assignment)>,
    },
    GiveBack {
        key: Key,
        epoch: u64,
        forget_at_ms: u64,
        reply: oneshot::Sender<bool>,
    },
    NotSent {
        key: Key,
        epoch: u64,
        reply: oneshot::Sender<()>,
    },
    Answer {
        key: Key,
        epoch: u64,
        call: Vec<u8>,
        forget_at_ms: u64,
        reply: oneshot::Sender<Option<Vec<u8>>>,
    },
    Ended {
        key: Key,
        epoch: u64,
        end: End,
    },
    Forget {
        now_ms: u64,
        reply: oneshot::Sender<Vec<(Vec<u8>, String)>>,
    },
    Abandon {
        keys: Vec<Key>,
        now_ms: u64,
        reply: oneshot::Sender<()>,
    },
}

/// What is known of one assignment of a request.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// The call that stores its answer.
    pub(super) call: Option<Vec<u8>>,
    pub(super) is_lost: bool,
    pub(super) is_given_back: bool,
}

/// It began, and may have reached the cluster.
pub(super) const BEGUN: i64 = 1;
/// Its answer is signed.
pub(super) const ANSWERED: i64 = 2;
/// The ledger asks for no answer any more.
pub(super) const SETTLED: i64 = 3;
/// It began, and certainly did not reach the cluster.
pub(super) const NOT_SENT: i64 = 4;
/// It may have begun under an earlier journal.
pub(super) const LOST: i64 = 5;
/// Its answer is signed, and the ledger never takes it.
pub(super) const REFUSED: i64 = 6;
/// It did not begin and never will: the ledger is, or was, asked to give it to another.
pub(super) const GIVEN_BACK: i64 = 7;

/// Starts the thread; it ends when the queue is closed, or with the first error.
pub(super) fn start(opened: Opened, queue: Arc<Queue>) -> std::io::Result<()> {
    let Opened {
        mut connection,
        file,
        ..
    } = opened;
    let work = move || {
        let _closed = CloseOnDrop(&queue);
        // As the file was opened.
        let mut synced = true;
        while let Some(batch) = queue.take() {
            // Looked at after the commit and before anybody acts on it.
            let done = commit(&mut connection, &mut synced, batch)
                .map_err(JournalError::from)
                .and_then(|replies| file::check(&file).map(|()| replies));
            match done {
                Ok(replies) => replies.into_iter().for_each(|reply| reply()),
                // Closing the queue tells everyone who waits or comes later.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "the journal failed; nothing is begun any more");
                    return;
                }
            }
        }
        if let Err(error) = mark_closed(&connection) {
            tracing::warn!(%error, "the journal was not closed as it should be");
        }
    };
    std::thread::Builder::new()
        .name("nautilus-journal".into())
        .spawn(work)?;
    Ok(())
}

/// Says what was ordered, once it is written.
type Reply = Box<dyn FnOnce() + Send>;

struct CloseOnDrop<'a>(&'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn commit(
    connection: &mut Connection,
    synced: &mut bool,
    batch: Batch,
) -> rusqlite::Result<Vec<Reply>> {
    // What nobody waits for may be lost with the machine: it is followed, or settled, once more then.
    let to_sync = batch.urgency == Urgency::Synced;
    // Only when it changes: each time, every statement is prepared anew.
    if to_sync != *synced {
        let synchronous = if to_sync { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        *synced = to_sync;
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let replies = batch
        .orders
        .into_iter()
        .map(|order| carry_out(&transaction, order))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    crash_point!(NautilusBeforeJournalCommit);
    transaction.commit()?;
    crash_point!(NautilusJournalCommitted);
    Ok(replies)
}

fn carry_out(transaction: &Transaction<'_>, order: Order) -> rusqlite::Result<Reply> {
    Ok(match order {
        Order::Advance(progress) => {
            advance(transaction, &progress)?;
            Box::new(|| ())
        }
        Order::Begin {
            key,
            epoch,
            forget_at_ms,
            reply,
        } => later(reply, begin(transaction, key, epoch, forget_at_ms)?),
        Order::Recall { key, epoch, reply } => {
            let past = past(transaction, key)?;
            later(reply, (past, assignment(transaction, key, epoch)?))
        }
        Order::GiveBack {
            key,
            epoch,
            forget_at_ms,
            reply,
        } => later(reply, give_back(transaction, key, epoch, forget_at_ms)?),
        Order::NotSent { key, epoch, reply } => later(reply, not_sent(transaction, key, epoch)?),
        Order::Answer {
            key,
            epoch,
            call,
            forget_at_ms,
            reply,
        } => later(reply, answer(transaction, key, epoch, &call, forget_at_ms)?),
        Order::Ended { key, epoch, end } => {
            ended(transaction, key, epoch, end)?;
            Box::new(|| ())
        }
        Order::Forget { now_ms, reply } => later(reply, forget(transaction, now_ms)?),
        Order::Abandon {
            keys,
            now_ms,
            reply,
        } => later(reply, abandon(transaction, &keys, now_ms)?),
    })
}

fn later<T: Send + 'static>(reply: oneshot::Sender<T>, value: T) -> Reply {
    // Whoever does not wait any more does not mind.
    Box::new(move || drop(reply.send(value)))
}

fn advance(transaction: &Transaction<'_>, progress: &Progress) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO unanswered (token, request, event, prunable_at_ms) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for event in &progress.admitted {
        insert.execute(params![
            event.seal_token_id.as_bytes(),
            event.request_id.to_string(),
            to_bcs(&**event),
            time(event.prunable_at_ms)
        ])?;
    }
    let mut lose = transaction.prepare_cached(
        "INSERT OR IGNORE INTO assignment (token, request, epoch, phase, forget_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for lost in &progress.lost {
        lose.execute(params![
            lost.key.0.as_bytes(),
            lost.key.1.to_string(),
            signed(lost.epoch),
            LOST,
            time(lost.forget_at_ms)
        ])?;
    }
    let mut delete =
        transaction.prepare_cached("DELETE FROM unanswered WHERE token = ?1 AND request = ?2")?;
    // Whoever answered it. A signed answer is settled by whoever delivers it.
    let mut settle = transaction.prepare_cached(
        "UPDATE assignment SET phase = ?3 WHERE token = ?1 AND request = ?2 AND phase IN (?4, ?5, ?6)",
    )?;
    for (token, request) in &progress.ended {
        let (token, request) = (token.as_bytes(), request.to_string());
        delete.execute(params![token, request])?;
        settle.execute(params![token, request, SETTLED, BEGUN, LOST, REFUSED])?;
    }
    let mut cursor = transaction.prepare_cached("UPDATE journal SET major = ?1, minor = ?2")?;
    cursor.execute([signed(progress.cursor.major), signed(progress.cursor.minor)])?;
    Ok(())
}

fn begin(
    transaction: &Transaction<'_>,
    key: Key,
    epoch: u64,
    forget_at_ms: u64,
) -> rusqlite::Result<Begun> {
    let (token, request) = (key.0.as_bytes(), key.1.to_string());
    if past(transaction, key)? != Past::Fresh {
        return Ok(Begun::Before);
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO assignment (token, request, epoch, phase, forget_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (token, request, epoch) DO UPDATE SET phase = excluded.phase
         WHERE phase = ?6",
    )?;
    let changed = insert.execute(params![
        token,
        request,
        signed(epoch),
        BEGUN,
        time(forget_at_ms),
        NOT_SENT
    ])?;
    Ok(if changed == 1 {
        Begun::Now
    } else {
        Begun::Before
    })
}

fn past(transaction: &Transaction<'_>, key: Key) -> rusqlite::Result<Past> {
    let mut select = transaction.prepare_cached(
        "SELECT max(phase != ?5) FROM assignment WHERE token = ?1 AND request = ?2 AND phase NOT IN (?3, ?4)",
    )?;
    let (token, request) = (key.0.as_bytes(), key.1.to_string());
    let has_begun: Option<bool> = select
        .query_row(params![token, request, NOT_SENT, GIVEN_BACK, LOST], |row| {
            row.get(0)
        })?;
    Ok(match has_begun {
        None => Past::Fresh,
        Some(true) => Past::Begun,
        Some(false) => Past::Lost,
    })
}

/// Whether it may be given back: never what began, unless it certainly did not reach the cluster.
fn give_back(
    transaction: &Transaction<'_>,
    key: Key,
    epoch: u64,
    forget_at_ms: u64,
) -> rusqlite::Result<bool> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO assignment (token, request, epoch, phase, forget_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (token, request, epoch) DO UPDATE SET phase = excluded.phase
         WHERE phase IN (?4, ?6)",
    )?;
    let changed = insert.execute(params![
        key.0.as_bytes(),
        key.1.to_string(),
        signed(epoch),
        GIVEN_BACK,
        time(forget_at_ms),
        NOT_SENT
    ])?;
    Ok(changed == 1)
}

fn not_sent(transaction: &Transaction<'_>, key: Key, epoch: u64) -> rusqlite::Result<()> {
    let mut update = transaction.prepare_cached(
        "UPDATE assignment SET phase = ?4 WHERE token = ?1 AND request = ?2 AND epoch = ?3 AND phase = ?5",
    )?;
    update.execute(params![
        key.0.as_bytes(),
        key.1.to_string(),
        signed(epoch),
        NOT_SENT,
        BEGUN
    ])?;
    Ok(())
}

/// The call stays: whoever comes to this assignment again must not sign another answer.
fn ended(transaction: &Transaction<'_>, key: Key, epoch: u64, end: End) -> rusqlite::Result<()> {
    let (phase, forget_at) = match end {
        End::Settled { forget_at_ms } => (SETTLED, Some(time(forget_at_ms))),
        // As long as the ledger holds it, this executor must know that it began.
        End::Refused => (REFUSED, None),
    };
    let mut update = transaction.prepare_cached(
        "UPDATE assignment SET phase = ?4, forget_at_ms = coalesce(?5, forget_at_ms)
         WHERE token = ?1 AND request = ?2 AND epoch = ?3",
    )?;
    update.execute(params![
        key.0.as_bytes(),
        key.1.to_string(),
        signed(epoch),
        phase,
        forget_at
    ])?;
    Ok(())
}

/// The answer that was there before, if one was.
fn answer(
    transaction: &Transaction<'_>,
    key: Key,
    epoch: u64,
    call: &[u8],
    forget_at_ms: u64,
) -> rusqlite::Result<Option<Vec<u8>>> {
    if let Some(earlier) = assignment(transaction, key, epoch)?.call {
        return Ok(Some(earlier));
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO assignment (token, request, epoch, phase, call, forget_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (token, request, epoch) DO UPDATE SET phase = excluded.phase, call = excluded.call",
    )?;
    insert.execute(params![
        key.0.as_bytes(),
        key.1.to_string(),
        signed(epoch),
        ANSWERED,
        call,
        time(forget_at_ms)
    ])?;
    Ok(None)
}

fn assignment(transaction: &Transaction<'_>, key: Key, epoch: u64) -> rusqlite::Result<Assignment> {
    let mut select = transaction.prepare_cached(
        "SELECT call, phase = ?4, phase = ?5 FROM assignment WHERE token = ?1 AND request = ?2 AND epoch = ?3",
    )?;
    let (token, request) = (key.0.as_bytes(), key.1.to_string());
    let epoch = signed(epoch);
    let found = select.query_row(params![token, request, epoch, LOST, GIVEN_BACK], |row| {
        Ok(Assignment {
            call: row.get(0)?,
            is_lost: row.get(1)?,
            is_given_back: row.get(2)?,
        })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Forgets what is over, and says which requests' time is over too but have no settled answer: as long
/// as the ledger asks for one, that they began must be known.
fn forget(transaction: &Transaction<'_>, now_ms: u64) -> rusqlite::Result<Vec<(Vec<u8>, String)>> {
    transaction.execute(
        "DELETE FROM assignment WHERE forget_at_ms <= ?1 AND phase IN (?2, ?3, ?4)",
        [time(now_ms), SETTLED, NOT_SENT, GIVEN_BACK],
    )?;
    transaction.execute(
        "DELETE FROM unanswered WHERE prunable_at_ms <= ?1",
        [time(now_ms)],
    )?;
    let mut select = transaction.prepare_cached(
        "SELECT DISTINCT token, request FROM assignment WHERE forget_at_ms <= ?1",
    )?;
    let rows = select.query_map([time(now_ms)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn abandon(transaction: &Transaction<'_>, keys: &[Key], now_ms: u64) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM assignment WHERE token = ?1 AND request = ?2 AND forget_at_ms <= ?3",
    )?;
    for (token, request) in keys {
        delete.execute(params![token.as_bytes(), request.to_string(), time(now_ms)])?;
    }
    Ok(())
}
