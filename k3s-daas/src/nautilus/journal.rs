//! What a Nautilus must still know after a crash: how far it has followed, which requests have no
//! answer, and what it began and answered itself.
//!
//! One SQLite file, written by one thread that commits what many wait for at once. Response bodies are
//! not in it: they are in the blob store, encrypted, before the answer that names them is written here.

mod thread;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::{mpsc, oneshot};

use crate::contract::Call;
use crate::ledger::Cursor;
use crate::types::{ChainId, ExecutorId, RequestId, TokenId};
use crate::wire::{self, to_bcs};

/// A request, wherever it is assigned.
pub(super) type Key = (TokenId, RequestId);

/// The open journal. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    sender: mpsc::Sender<thread::Order>,
}

/// What an opened journal has from before.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Every event up to here is in it.
    pub(super) cursor: Cursor,
    /// Requests of the cluster without an answer, as they were admitted.
    pub(super) unanswered: Vec<wire::K8sApiRequest>,
    /// Answers that are signed and perhaps not stored.
    pub(super) answers: Vec<Unstored>,
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
}

/// What the journal knows of a request.
#[derive(Debug)]
pub(super) struct Recalled {
    /// It began, in whatever assignment, and may have reached the cluster.
    pub(super) has_begun: bool,
    /// The answer that was signed for this assignment, stored or not.
    pub(super) signed: Option<Unstored>,
}

/// What the journal says to a request that is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It may begin, and the journal has it: whoever is told this is the only one ever.
    Now,
    /// It began before, and may have reached the cluster.
    Before,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process has it open.
    #[error("the journal is in use by another process")]
    InUse,
    /// It belongs to another executor or ledger.
    #[error("the journal is of another executor or ledger")]
    Foreign,
    /// It is no journal of this version, or it is damaged.
    #[error("the journal cannot be read: {0}")]
    Unreadable(String),
    /// SQLite failed.
    #[error("the journal failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file could not be made.
    #[error("the journal's file cannot be used")]
    File(#[source] std::io::Error),
    /// It failed earlier, and nothing is begun without it.
    #[error("the journal has stopped")]
    Stopped,
}

impl Journal {
    /// Opens or creates the journal of one executor on one chain.
    pub(super) fn open(
        path: &Path,
        chain: ChainId,
        executor: ExecutorId,
    ) -> Result<(Self, Recovered), JournalError> {
        create_private(path).map_err(JournalError::File)?;
        let mut connection = Connection::open(path)?;
        prepare(&mut connection, chain, executor).map_err(|error| match error {
            JournalError::Sqlite(error) => explain(error),
            other => other,
        })?;
        let recovered = recover(&connection)?;
        let sender = thread::start(connection).map_err(JournalError::File)?;
        Ok((Self { sender }, recovered))
    }

    /// Records how far was followed, and what that brought; returns when it is on disk.
    pub(super) async fn advance(&self, progress: Progress) -> Result<(), JournalError> {
        self.ask(|reply| thread::Order::Advance { progress, reply })
            .await
    }

    /// Asks to begin, and records that it did; returns when it is on disk.
    ///
    /// A write begins once, whatever the epoch. A read may begin again in a later run of the process.
    pub(super) async fn begin(
        &self,
        key: Key,
        epoch: u64,
        is_read: bool,
        forget_at_ms: u64,
    ) -> Result<Begun, JournalError> {
        self.ask(|reply| thread::Order::Begin {
            key,
            epoch,
            is_read,
            forget_at_ms,
            reply,
        })
        .await
    }

    /// What it knows of a request and of this assignment of it.
    pub(super) async fn recall(&self, key: Key, epoch: u64) -> Result<Recalled, JournalError> {
        let (has_begun, signed) = self
            .ask(|reply| thread::Order::Recall { key, epoch, reply })
            .await?;
        let signed = signed.map(|bytes| {
            let call = decode(&bytes)?;
            Ok::<_, JournalError>(Unstored { key, epoch, call })
        });
        Ok(Recalled {
            has_begun,
            signed: signed.transpose()?,
        })
    }

    /// Takes a beginning back: certainly nothing reached the cluster.
    pub(super) async fn not_sent(&self, key: Key, epoch: u64) -> Result<(), JournalError> {
        self.ask(|reply| thread::Order::NotSent { key, epoch, reply })
            .await
    }

    /// Records the answer, before it is sent; the first one stays, and is returned.
    pub(super) async fn answer(
        &self,
        unstored: Unstored,
        forget_at_ms: u64,
    ) -> Result<Unstored, JournalError> {
        let (key, epoch) = (unstored.key, unstored.epoch);
        let call = to_bcs(&unstored.call);
        let kept = self
            .ask(|reply| thread::Order::Answer {
                key,
                epoch,
                call,
                forget_at_ms,
                reply,
            })
            .await?;
        match kept {
            None => Ok(unstored),
            Some(bytes) => Ok(Unstored {
                call: decode(&bytes)?,
                ..unstored
            }),
        }
    }

    /// Records that an answer is stored, or never can be.
    pub(super) async fn settled(
        &self,
        key: Key,
        epoch: u64,
        forget_at_ms: u64,
    ) -> Result<(), JournalError> {
        self.ask(|reply| thread::Order::Settled {
            key,
            epoch,
            forget_at_ms,
            reply,
        })
        .await
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

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> thread::Order,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(order(reply)).await;
        sent.map_err(|_| JournalError::Stopped)?;
        answer.await.map_err(|_| JournalError::Stopped)
    }
}

/// The file holds what is on the ledger anyway, but nobody else has business in it.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn prepare(
    connection: &mut Connection,
    chain: ChainId,
    executor: ExecutorId,
) -> Result<(), JournalError> {
    connection.busy_timeout(std::time::Duration::from_millis(500))?;
    // Exclusive before anything else is read: then no other process gets in at all.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version > SCHEMA_VERSION || (version != SCHEMA_VERSION && tables > 0) {
        return Err(JournalError::Unreadable(format!(
            "it has version {version}, this program knows {SCHEMA_VERSION}"
        )));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    if version != SCHEMA_VERSION {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute(
            "INSERT INTO journal (chain, executor, major, minor, run) VALUES (?1, ?2, 0, 0, 0)",
            params![chain.as_bytes(), executor.as_bytes()],
        )?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    let sound: String = transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(JournalError::Unreadable(sound));
    }
    let owner: Option<([u8; 32], [u8; 32])> = transaction
        .query_row("SELECT chain, executor FROM journal", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if owner != Some((*chain.as_bytes(), *executor.as_bytes())) {
        return Err(JournalError::Foreign);
    }
    transaction.execute("UPDATE journal SET run = run + 1", [])?;
    transaction.commit()?;
    Ok(())
}

fn explain(error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            JournalError::InUse
        }
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            JournalError::Unreadable(error.to_string())
        }
        _ => JournalError::Sqlite(error),
    }
}

fn recover(connection: &Connection) -> Result<Recovered, JournalError> {
    let cursor = connection.query_row("SELECT major, minor FROM journal", [], |row| {
        Ok(Cursor {
            major: unsigned(row.get(0)?),
            minor: unsigned(row.get(1)?),
        })
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
        cursor,
        unanswered,
        answers,
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

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE journal (chain BLOB NOT NULL, executor BLOB NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL, run INTEGER NOT NULL);
CREATE TABLE unanswered (token BLOB NOT NULL, request TEXT NOT NULL, event BLOB NOT NULL, prunable_at_ms INTEGER NOT NULL, PRIMARY KEY (token, request)) WITHOUT ROWID;
CREATE TABLE assignment (token BLOB NOT NULL, request TEXT NOT NULL, epoch INTEGER NOT NULL, phase INTEGER NOT NULL, run INTEGER NOT NULL, call BLOB, forget_at_ms INTEGER NOT NULL, PRIMARY KEY (token, request, epoch)) WITHOUT ROWID;
";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
