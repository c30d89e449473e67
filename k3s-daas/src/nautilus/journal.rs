//! What a Nautilus must still know after a crash: how far it has followed, which requests have no
//! answer, and what it began and answered itself.
//!
//! One SQLite file, written by one thread that commits what many wait for at once. Response bodies are
//! not in it: they are in the blob store, encrypted, before the answer that names them is written here.
//!
//! A journal is made once, on purpose, and never by running. It knows how far the ledger was when it was
//! made, its birth: a write that was assigned to this executor before may have begun under an earlier
//! journal that is lost, so it is never begun under this one.

mod file;
mod queue;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::contract::Call;
use crate::crypto::PrivateFileError;
use crate::ledger::Cursor;
use crate::types::{ChainId, ExecutorId, OtherVersion, RequestId, TokenId};
use crate::wire::{self, to_bcs};

use self::queue::{Queue, Urgency};
pub(super) use file::{create, look};

/// A request, wherever it is assigned.
pub(super) type Key = (TokenId, RequestId);

/// The open journal. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    writer: Arc<Writer>,
    answer_of_read: Urgency,
}

/// Ends the thread with the last clone of the journal.
#[derive(Debug)]
struct Writer(Arc<Queue>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What an opened journal has from before.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Where the ledger was when the journal was made.
    pub(super) birth: Cursor,
    /// Every event up to here is in it.
    pub(super) cursor: Cursor,
    /// Requests of the cluster without an answer, as they were admitted.
    pub(super) unanswered: Vec<wire::K8sApiRequest>,
    /// Answers that are signed and perhaps not stored.
    pub(super) answers: Vec<Unstored>,
    /// Whether every answer is in it that was ever signed: if not, reads were answered by a run that the
    /// machine took with it.
    pub(super) is_synced: bool,
}

/// A signed answer, as the very call that stores it.
#[derive(Clone, Debug)]
pub(super) struct Unstored {
    pub(super) key: Key,
    pub(super) epoch: u64,
    pub(super) call: Call,
}

/// What following some events changes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) cursor: Cursor,
    pub(super) admitted: Vec<std::sync::Arc<wire::K8sApiRequest>>,
    pub(super) ended: Vec<Key>,
    /// Assignments to this executor that an earlier run may have taken up without a trace here.
    pub(super) lost: Vec<Lost>,
}

/// An assignment that may have begun under an earlier journal, or whose answer may be lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) key: Key,
    pub(super) epoch: u64,
    pub(super) forget_at_ms: u64,
}

/// Whether a request may have reached the cluster earlier, in whatever assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Past {
    /// Certainly not.
    #[default]
    Fresh,
    /// It began.
    Begun,
    /// It may have begun under a journal that is lost.
    Lost,
}

/// What the journal knows of a request.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    /// What was before.
    pub(super) past: Past,
    /// Whether this assignment was given back, as far as is known here.
    pub(super) is_given_back: bool,
    /// The answer that was signed for this assignment, stored or not.
    pub(super) signed: Option<Unstored>,
    /// Whether one may have been signed for this assignment that is lost.
    pub(super) is_lost: bool,
}

/// What the journal says to a request that is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It may begin, and the journal has it: whoever is told this is the only one ever.
    Now,
    /// It began before, and may have reached the cluster.
    Before,
}

/// How an answer that was sent to the ledger ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The ledger asks for no answer any more; what is known of it may be forgotten from this time on.
    Settled { forget_at_ms: u64 },
    /// The ledger never takes this one, and may hold the request still.
    Refused,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process has it open.
    #[error("the journal is in use by another process")]
    InUse,
    /// There is none. It was never made, or it is lost: see [`super::create_journal`].
    #[error("there is no journal in {0}")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a journal in {0} already")]
    Exists(PathBuf),
    /// It belongs to another executor or ledger.
    #[error("the journal is of another executor or ledger")]
    Foreign,
    /// It has followed further than the ledger goes: one of the two is an older copy.
    #[error("the journal has followed the ledger to {followed}, and the ledger ends at {ledger}")]
    Ahead {
        /// How far it was followed.
        followed: Cursor,
        /// How far it goes.
        ledger: Cursor,
    },
    /// It is of another version; it was left as it is.
    #[error(transparent)]
    Version(#[from] OtherVersion),
    /// Others could have changed it, or put another one in its place.
    #[error(transparent)]
    Exposed(PrivateFileError),
    /// It is no journal, or it is damaged.
    #[error("the journal cannot be read: {0}")]
    Unreadable(String),
    /// Its file was removed or replaced while it was open.
    #[error("the journal's file was removed or replaced")]
    Gone,
    /// SQLite failed.
    #[error("the journal failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file could not be made or opened.
    #[error("the journal's file cannot be used")]
    File(#[source] std::io::Error),
    /// It failed earlier, and nothing is begun without it.
    #[error("the journal has stopped")]
    Stopped,
}

impl Journal {
    /// Opens the journal of one executor on one chain.
    pub(super) fn open(
        path: &Path,
        chain: ChainId,
        executor: ExecutorId,
    ) -> Result<(Self, Recovered), JournalError> {
        let opened = file::open(path, chain, executor)?;
        let recovered = Recovered {
            is_synced: opened.is_synced,
            ..recover(&opened.connection)?
        };
        let answer_of_read = if opened.knows_boots {
            Urgency::Written
        } else {
            Urgency::Synced
        };
        let queue = Arc::new(Queue::new());
        thread::start(opened, Arc::clone(&queue)).map_err(JournalError::File)?;
        let journal = Self {
            writer: Arc::new(Writer(queue)),
            answer_of_read,
        };
        Ok((journal, recovered))
    }

    /// Records how far was followed, and what that brought: before anything that is ordered later, so
    /// nobody need wait for it. What the machine takes with it is followed again.
    pub(super) async fn advance(&self, progress: Progress) -> Result<(), JournalError> {
        self.note(thread::Order::Advance(progress)).await
    }

    /// Asks to begin a write, and records that it did; returns when it is on disk.
    ///
    /// A write begins once, whatever the epoch. A read may begin again, and nothing of it is recorded
    /// before its answer.
    pub(super) async fn begin(
        &self,
        key: Key,
        epoch: u64,
        forget_at_ms: u64,
    ) -> Result<Begun, JournalError> {
        self.ask(|reply| thread::Order::Begin {
            key,
            epoch,
            forget_at_ms,
            reply,
        })
        .await
    }

    /// What it knows of a request and of this assignment of it.
    pub(super) async fn recall(&self, key: Key, epoch: u64) -> Result<Recalled, JournalError> {
        let order = |reply| thread::Order::Recall { key, epoch, reply };
        // Nothing of it is written, so it makes nobody else wait for the disk.
        let (past, assignment) = self.ask_for(Urgency::Written, order).await?;
        let signed = assignment.call.map(|bytes| {
            let call = decode(&bytes)?;
            Ok::<_, JournalError>(Unstored { key, epoch, call })
        });
        Ok(Recalled {
            past,
            is_given_back: assignment.is_given_back,
            signed: signed.transpose()?,
            is_lost: assignment.is_lost,
        })
    }

    /// Asks to give a write back, and records that it never begins in this assignment; returns when it is on
    /// disk. Only then may the ledger be told: what it is told may arrive at any time later.
    ///
    /// Says no to what may have reached the cluster or has its answer.
    pub(super) async fn give_back(
        &self,
        key: Key,
        epoch: u64,
        forget_at_ms: u64,
    ) -> Result<bool, JournalError> {
        self.ask(|reply| thread::Order::GiveBack {
            key,
            epoch,
            forget_at_ms,
            reply,
        })
        .await
    }

    /// Takes a beginning back: certainly nothing reached the cluster.
    pub(super) async fn not_sent(&self, key: Key, epoch: u64) -> Result<(), JournalError> {
        self.ask(|reply| thread::Order::NotSent { key, epoch, reply })
            .await
    }

    /// Records the answer, before it is sent; the first one stays, and is returned.
    ///
    /// That to a read survives the process but not the machine, see [`Recovered::is_synced`].
    pub(super) async fn answer(
        &self,
        unstored: Unstored,
        is_read: bool,
        forget_at_ms: u64,
    ) -> Result<Unstored, JournalError> {
        let urgency = if is_read {
            self.answer_of_read
        } else {
            Urgency::Synced
        };
        let (key, epoch) = (unstored.key, unstored.epoch);
        let call = to_bcs(&unstored.call);
        let order = |reply| thread::Order::Answer {
            key,
            epoch,
            call,
            forget_at_ms,
            reply,
        };
        let kept = self.ask_for(urgency, order).await?;
        match kept {
            None => Ok(unstored),
            Some(bytes) => Ok(Unstored {
                call: decode(&bytes)?,
                ..unstored
            }),
        }
    }

    /// Records how an answer ended that was sent to the ledger; nobody need wait for it, since an answer
    /// without an end is sent again.
    pub(super) async fn ended(&self, key: Key, epoch: u64, end: End) -> Result<(), JournalError> {
        self.note(thread::Order::Ended { key, epoch, end }).await
    }

    /// Forgets what is of no use after `now_ms`.
    ///
    /// What began and has no settled answer is not forgotten but returned: it is to be abandoned once the
    /// ledger does not hold the request any more, and not before.
    pub(super) async fn forget(&self, now_ms: u64) -> Result<Vec<Key>, JournalError> {
        let overdue = self
            .ask(|reply| thread::Order::Forget { now_ms, reply })
            .await?;
        let key = |(token, request): (Vec<u8>, String)| {
            let unreadable = |what: String| JournalError::Unreadable(what);
            let token: [u8; 32] = token
                .try_into()
                .map_err(|_| unreadable("a token of another length".to_owned()))?;
            let request = RequestId::from_bytes(request.as_bytes())
                .map_err(|error| unreadable(error.to_string()))?;
            Ok((TokenId::new(token), request))
        };
        overdue.into_iter().map(key).collect()
    }

    /// Forgets requests whose time is over at `now_ms`, in whatever state they are.
    pub(super) async fn abandon(&self, keys: Vec<Key>, now_ms: u64) -> Result<(), JournalError> {
        self.ask(|reply| thread::Order::Abandon {
            keys,
            now_ms,
            reply,
        })
        .await
    }

    /// Waits until nothing is written any more, because writing failed.
    pub(super) async fn stopped(&self) {
        self.writer.0.aborted().await;
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> thread::Order,
    ) -> Result<T, JournalError> {
        self.ask_for(Urgency::Synced, order).await
    }

    async fn ask_for<T>(
        &self,
        urgency: Urgency,
        order: impl FnOnce(oneshot::Sender<T>) -> thread::Order,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        let pushed = self.writer.0.push(order(reply), urgency).await;
        pushed.map_err(|queue::Closed| JournalError::Stopped)?;
        answer.await.map_err(|_| JournalError::Stopped)
    }

    async fn note(&self, order: thread::Order) -> Result<(), JournalError> {
        let pushed = self.writer.0.push(order, Urgency::None).await;
        pushed.map_err(|queue::Closed| JournalError::Stopped)
    }
}

fn recover(connection: &Connection) -> Result<Recovered, JournalError> {
    let select = "SELECT born_major, born_minor, major, minor FROM journal";
    let (birth, cursor) = connection.query_row(select, [], |row| {
        let cursor = |major: usize| -> rusqlite::Result<Cursor> {
            Ok(Cursor {
                major: unsigned(row.get(major)?),
                minor: unsigned(row.get(major + 1)?),
            })
        };
        Ok((cursor(0)?, cursor(2)?))
    })?;
    let mut unanswered = Vec::new();
    let mut statement = connection.prepare("SELECT event FROM unanswered")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        unanswered.push(decode(row.get_ref(0)?.as_blob().unwrap_or_default())?);
    }
    let mut answers = Vec::new();
    let mut statement = connection
        .prepare("SELECT token, request, epoch, call FROM assignment WHERE phase = ?1")?;
    let mut rows = statement.query([thread::ANSWERED])?;
    while let Some(row) = rows.next()? {
        let token: [u8; 32] = row.get(0)?;
        let request: String = row.get(1)?;
        let request = RequestId::from_bytes(request.as_bytes())
            .map_err(|error| JournalError::Unreadable(error.to_string()))?;
        answers.push(Unstored {
            key: (TokenId::new(token), request),
            epoch: unsigned(row.get(2)?),
            call: decode(row.get_ref(3)?.as_blob().unwrap_or_default())?,
        });
    }
    Ok(Recovered {
        birth,
        cursor,
        unanswered,
        answers,
        is_synced: false,
    })
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, JournalError> {
    bcs::from_bytes(bytes).map_err(|error| JournalError::Unreadable(error.to_string()))
}

/// SQLite has signed numbers; every bit is kept.
fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

fn unsigned(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

/// For comparisons in SQL: no time is that late.
fn time(time_ms: u64) -> i64 {
    i64::try_from(time_ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
