//! Answered requests, which lie in the database and not in memory.
//!
//! A token's request is looked at until it is answered, and for a moment after; then it waits to be pruned.
//! Of those in between only this is kept: that they are there, from when they may go, and what their row adds
//! to the fingerprint.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};

use super::disk;
use super::failure::{BrokenLink, Failure};
use super::journal::Journal;
use super::objects::{Sum, Table, object, request_row};
use super::published::Published;
use super::replica::Replica;
use crate::contract::{Call, Object, Outcome, Request, State};
use crate::crypto::{create_new_private, random_array};
use crate::ledger::Error;
use crate::types::{Digest, ExecutorId, RequestId, TokenId};

/// The answered requests that no state holds.
///
/// What is kept of each, 60 bytes or so, lies in a file of this process that nobody else sees and that goes with it. Not in the
/// ledger's tables: those are as new as the last commit, but who follows needs what was there at the call it is at.
#[derive(Debug)]
pub(super) struct Cold {
    dir: PathBuf,
    index: Mutex<Index>,
}

/// What is kept of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) prunable_at_ms: u64,
    pub(super) sum: Sum,
}

impl Cold {
    /// None yet; what they need is made in this directory once there are some.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            index: Mutex::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index().len
    }

    /// Whether something went wrong, after which nothing here counts any more.
    pub(super) fn is_broken(&self) -> bool {
        self.index().is_broken
    }

    pub(super) fn get(&self, token: TokenId, id: RequestId) -> Result<Option<Row>, Failure> {
        self.ask(|table, tokens| {
            let Some(known) = tokens.get(&token).filter(|known| id <= known.newest) else {
                // As with nearly all that is new.
                return Ok(None);
            };
            let mut find = table.prepare_cached(FIND)?;
            let row = find.query_row((known.number, id.as_bytes()), |row| {
                Ok(Row {
                    prunable_at_ms: time_of(row.get(0)?),
                    sum: Sum::from_bytes(row.get(1)?),
                })
            });
            row.optional()
        })
    }

    /// Adds some, or says anew what is kept of them.
    pub(super) fn insert(&self, rows: &[(TokenId, RequestId, Row)]) -> Result<(), Failure> {
        let mut index = self.index();
        if index.table.is_none() && !rows.is_empty() {
            index.table = Some(table_in(&self.dir).map_err(unusable)?);
        }
        drop(index);
        self.change(|table, tokens| {
            let mut insert = table.prepare_cached(INSERT)?;
            let mut update = table.prepare_cached(UPDATE)?;
            let mut added = 0;
            for (token, id, row) in rows {
                let next = tokens.len();
                let known = tokens.entry(*token).or_insert_with(|| Known {
                    number: i64::try_from(next).unwrap_or(i64::MAX),
                    newest: *id,
                });
                known.newest = known.newest.max(*id);
                let (time, sum) = (stored_time(row.prunable_at_ms), row.sum.as_bytes());
                let values = (known.number, id.as_bytes(), time, sum);
                match insert.execute(values)? {
                    0 => drop(update.execute(values)?),
                    _ => added += 1,
                }
            }
            Ok(added)
        })
    }

    pub(super) fn remove(&self, requests: &[(TokenId, RequestId)]) -> Result<(), Failure> {
        self.change(|table, tokens| {
            let mut remove = table.prepare_cached(REMOVE)?;
            let mut removed = 0;
            for (token, id) in requests {
                if let Some(known) = tokens.get(token) {
                    let rows = remove.execute((known.number, id.as_bytes()))?;
                    removed -= isize::try_from(rows).unwrap_or(isize::MAX);
                }
            }
            Ok(removed)
        })
    }

    /// All of them.
    pub(super) fn all(&self) -> Result<Vec<(TokenId, RequestId)>, Failure> {
        self.prunable(u64::MAX, usize::MAX)
    }

    /// Those that may be pruned at a time, the oldest first.
    pub(super) fn prunable(
        &self,
        now_ms: u64,
        limit: usize,
    ) -> Result<Vec<(TokenId, RequestId)>, Failure> {
        self.ask(|table, tokens| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut find = table.prepare_cached(FIND_PRUNABLE)?;
            let numbers: HashMap<i64, TokenId> = tokens
                .iter()
                .map(|(token, known)| (known.number, *token))
                .collect();
            let rows = find.query_map((stored_time(now_ms), limit), |row| {
                let number: i64 = row.get(0)?;
                let token = numbers.get(&number);
                let token = token.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?;
                Ok((*token, RequestId::from_own_bytes(row.get(1)?)))
            });
            rows?.collect()
        })
    }

    /// Nothing of nothing, if there is no table.
    fn ask<T: Default>(
        &self,
        ask: impl FnOnce(&Connection, &HashMap<TokenId, Known>) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let mut index = self.index();
        if index.is_broken {
            return Err(unusable("it failed before"));
        }
        let Some(table) = &index.table else {
            return Ok(T::default());
        };
        let asked = ask(table, &index.tokens);
        index.is_broken = asked.is_err();
        asked.map_err(unusable)
    }

    /// `change` says by how many there are more or fewer.
    fn change(
        &self,
        change: impl FnOnce(&Connection, &mut HashMap<TokenId, Known>) -> rusqlite::Result<isize>,
    ) -> Result<(), Failure> {
        let mut index = self.index();
        let Index {
            table,
            tokens,
            len,
            is_broken,
        } = &mut *index;
        if *is_broken {
            return Err(unusable("it failed before"));
        }
        let Some(table) = table else {
            return Ok(());
        };
        // Without a journal nobody knows what a failure leaves.
        let changed = change(table, tokens);
        *is_broken = changed.is_err();
        *len = len.saturating_add_signed(changed.map_err(unusable)?);
        Ok(())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Index {
    /// Rows of `cold`; none before the first.
    table: Option<Connection>,
    tokens: HashMap<TokenId, Known>,
    len: usize,
    is_broken: bool,
}

/// What stands for a token in the table, and the highest ID that it ever had there.
#[derive(Debug)]
struct Known {
    number: i64,
    newest: RequestId,
}

/// An empty table in a file of this directory without a name, or in memory where that cannot be.
fn table_in(dir: &Path) -> rusqlite::Result<Connection> {
    match file_in(dir) {
        Ok(connection) => Ok(connection),
        Err(why) => {
            tracing::info!(%why, "what is kept of each answered request stays in memory");
            make_table(Connection::open_in_memory()?)
        }
    }
}

fn file_in(dir: &Path) -> Result<Connection, Box<dyn std::error::Error>> {
    if disk::free_bytes(dir)? < NEEDED_BYTES {
        return Err("too little is left on the disk".into());
    }
    let name: String = hex::encode(random_array::<8>());
    let path = dir.join(format!(".answered-{name}"));
    create_new_private(&path)?;
    let connection = open(&path);
    // Nobody else is to see it, and it goes with this process, however that ends.
    std::fs::remove_file(&path)?;
    Ok(connection?)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    let _: String =
        connection.pragma_update_and_check(None, "journal_mode", "OFF", |row| row.get(0))?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
    make_table(connection)
}

fn make_table(connection: Connection) -> rusqlite::Result<Connection> {
    // Or a statement is planned anew whenever what is bound to it changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(TABLE)?;
    Ok(connection)
}

fn unusable(why: impl fmt::Display) -> Failure {
    Error::Unavailable(format!("the index of answered requests: {why}")).into()
}

/// Times in the order that they have.
fn stored_time(time_ms: u64) -> i64 {
    time_ms.wrapping_add(1 << 63).cast_signed()
}

fn time_of(stored: i64) -> u64 {
    stored.cast_unsigned().wrapping_sub(1 << 63)
}

/// Whether a request is of those that need not be in memory.
pub(super) fn is_cold(request: &Request) -> bool {
    request.outcome.is_some()
}

/// Puts the cold requests that a call names into the replica for the length of a batch.
pub(super) fn warm(
    journal: &Journal,
    published: &Published,
    warmed: &mut HashMap<(TokenId, RequestId), Row>,
    call: &Call,
    replica: &mut Replica,
) -> Result<(), Failure> {
    let is_pruning = matches!(call, Call::PruneResponses { .. });
    for (token, id) in call.requests() {
        if warmed.contains_key(&(token, id)) || replica.state.request(token, id).is_some() {
            continue;
        }
        let cold = published.read().cold.clone();
        let Some(row) = cold.get(token, id)? else {
            continue;
        };
        let request = if is_pruning {
            None
        } else {
            load(journal, token, id, row)?
        };
        match request {
            Some(request) => replica.state.load(Object::Request(token, id, request)),
            // Another process may have pruned it since the call that is followed now.
            None => put_prunable(&mut replica.state, token, id, row),
        }
        warmed.insert((token, id), row);
    }
    Ok(())
}

/// The request of a row, from the database; `None` if it is gone from there.
pub(super) fn load(
    journal: &Journal,
    token: TokenId,
    id: RequestId,
    row: Row,
) -> Result<Option<Request>, Failure> {
    let row_id = request_row(token, id);
    let Some(bytes) = journal.object(Table::Requests, &row_id)? else {
        return Ok(None);
    };
    let broken = |why| {
        let shown = Table::Requests.show_id(&row_id);
        BrokenLink::new(Table::Requests.singular(), shown, why)
    };
    if Sum::of(Table::Requests.singular(), &row_id, &bytes) != row.sum {
        return Err(broken("it was changed while the ledger was open").into());
    }
    match object(Table::Requests, &row_id, &bytes) {
        Some(Object::Request(_, _, request)) => Ok(Some(request)),
        _ => Err(broken("its bytes are no such object").into()),
    }
}

/// Puts into `state` what pruning looks at of a request whose row may be gone: that it is answered, and
/// from when it may go.
fn put_prunable(state: &mut State, token: TokenId, id: RequestId, row: Row) {
    let request = Request {
        digest: Digest::ZERO,
        priority: 0,
        deadline_ms: 0,
        is_read: false,
        session: false,
        has_reply_key: false,
        executor: ExecutorId::ZERO,
        epoch: 0,
        assigned_at_ms: 0,
        lease_ends_ms: 0,
        claims: 0,
        prunable_at_ms: row.prunable_at_ms,
        outcome: Some(Outcome::Closed),
    };
    state.load(Object::Request(token, id, request));
}

/// Never committed, so nothing is ever synced.
const TABLE: &str = "
    CREATE TABLE cold (
        token INTEGER NOT NULL,
        id BLOB NOT NULL,
        prunable_at INTEGER NOT NULL,
        sum BLOB NOT NULL,
        PRIMARY KEY (token, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX prunable ON cold (prunable_at);
    BEGIN";
const FIND: &str = "SELECT prunable_at, sum FROM cold WHERE token = ?1 AND id = ?2";
const INSERT: &str =
    "INSERT OR IGNORE INTO cold (token, id, prunable_at, sum) VALUES (?1, ?2, ?3, ?4)";
const UPDATE: &str = "UPDATE cold SET prunable_at = ?3, sum = ?4 WHERE token = ?1 AND id = ?2";
const REMOVE: &str = "DELETE FROM cold WHERE token = ?1 AND id = ?2";
const FIND_PRUNABLE: &str =
    "SELECT token, id FROM cold WHERE prunable_at <= ?1 ORDER BY prunable_at LIMIT ?2";

/// 1 MiB.
const CACHE_PAGES: i64 = 256;

/// Where less is free, the disk is left to what must be written.
const NEEDED_BYTES: u64 = 256 << 20;

#[cfg(test)]
impl Cold {
    /// As when its file could not be read or written.
    pub(super) fn break_it(&self) {
        self.index().is_broken = true;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(prunable_at_ms: u64) -> Row {
        let sum = Sum::of("request", &prunable_at_ms.to_le_bytes(), b"");
        Row {
            prunable_at_ms,
            sum,
        }
    }

    #[test]
    fn what_is_kept_is_found_at_every_time_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cold = Cold::new(dir.path());
        let tokens = [3, 1, 2].map(|byte| TokenId::new([byte; 32]));
        let times = [u64::MAX, 1 << 63, (1 << 63) - 1, 7, 0];
        let mut rows = Vec::new();
        for token in tokens {
            rows.extend(times.map(|time| (token, RequestId::new(), row(time))));
        }
        let (first, id, kept) = rows[0];
        assert_eq!(cold.get(first, id).unwrap(), None);
        assert_eq!((cold.all().unwrap(), cold.len()), (Vec::new(), 0));
        cold.remove(&[(first, id)]).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        // Not in the order of their IDs.
        rows.reverse();
        cold.insert(&rows).unwrap();
        cold.insert(&rows).unwrap();
        assert_eq!(cold.len(), rows.len());
        for (token, id, row) in &rows {
            assert_eq!(cold.get(*token, *id).unwrap(), Some(*row));
            let other = tokens.into_iter().find(|other| other != token).unwrap();
            assert_eq!(cold.get(other, *id).unwrap(), None);
        }
        assert_eq!(cold.get(first, RequestId::new()).unwrap(), None);
        let mut all = cold.all().unwrap();
        all.sort_unstable();
        let mut expected: Vec<_> = rows.iter().map(|(token, id, _)| (*token, *id)).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
        for (index, time) in times.iter().rev().enumerate() {
            let prunable = cold.prunable(*time, usize::MAX).unwrap();
            assert_eq!(prunable.len(), (index + 1) * tokens.len(), "{time}");
            let early = cold.prunable(time.saturating_sub(1), 9).unwrap();
            assert!(*time == 0 || early.len() == (index * tokens.len()).min(9));
        }
        let oldest = cold.prunable(u64::MAX, 3).unwrap();
        assert!(oldest.iter().all(|found| {
            let (_, _, row) = rows.iter().find(|row| (row.0, row.1) == *found).unwrap();
            row.prunable_at_ms == 0
        }));

        let other = row(9);
        cold.insert(&[(first, id, other)]).unwrap();
        assert_eq!(cold.get(first, id).unwrap(), Some(other));
        assert_ne!(kept, other);
        cold.remove(&[(first, id), (first, id), (tokens[1], id)])
            .unwrap();
        assert_eq!(cold.get(first, id).unwrap(), None);
        assert_eq!(cold.len(), rows.len() - 1);
    }

    #[test]
    fn many_lie_in_a_file_that_nobody_sees() {
        let dir = tempfile::tempdir().unwrap();
        let cold = Cold::new(dir.path());
        let rows: Vec<_> = (0..60_000)
            .map(|index| (TokenId::new([1; 32]), RequestId::new(), row(index)))
            .collect();
        for part in rows.chunks(500) {
            cold.insert(part).unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut written = 0;
        for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = std::fs::read_link(&path).unwrap_or_default();
            if name.starts_with(dir.path()) {
                written += std::fs::metadata(&path).unwrap().len();
            }
        }
        assert!(written > 2 << 20 || !cfg!(target_os = "linux"), "{written}");
        for (token, id, row) in rows.iter().step_by(997) {
            assert_eq!(cold.get(*token, *id).unwrap(), Some(*row));
        }
    }

    #[test]
    fn nothing_is_believed_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let cold = Cold::new(dir.path());
        let (token, id) = (TokenId::new([1; 32]), RequestId::new());
        cold.insert(&[(token, id, row(5))]).unwrap();
        assert!(!cold.is_broken());
        // What a full disk or a damaged file leads to is a statement that fails.
        let dropped = cold.change(|table, _| table.execute_batch("DROP TABLE cold").map(|()| 0));
        dropped.unwrap();
        let error = Error::from(cold.get(token, id).unwrap_err());
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(cold.is_broken());
        for failed in [
            cold.insert(&[(token, id, row(5))]),
            cold.remove(&[(token, id)]),
            cold.all().map(drop),
            cold.get(token, id).map(drop),
        ] {
            failed.unwrap_err();
        }
    }

    #[test]
    fn without_a_file_they_are_kept_in_memory() {
        let cold = Cold::new(Path::new("/proc/self/nowhere"));
        let (token, id) = (TokenId::new([1; 32]), RequestId::new());
        cold.insert(&[(token, id, row(5))]).unwrap();
        assert_eq!(cold.get(token, id).unwrap(), Some(row(5)));
    }
}
