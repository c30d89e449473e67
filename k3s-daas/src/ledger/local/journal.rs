//! The tables: every call, its events, and what they amount to.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, ToSql, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::archive::SignedCheckpoint;
use super::disk::Layout;
use super::failure::{BrokenLink, Failure};
use super::message::{Genesis, SignedHead};
use super::objects::{Fingerprint, Table};
use super::replica::{Applied, Tip};
use crate::crypto::{PublicKey, Signature};
use crate::ledger::Error;
use crate::types::{Address, Digest, OtherVersion};
use crate::wire::to_bcs;

/// A connection to the tables.
#[derive(Debug)]
pub(crate) struct Journal {
    connection: Connection,
}

/// The row `tip` of the table `meta`: what the rest must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTip {
    pub(crate) calls: u64,
    pub(crate) events: u64,
    pub(crate) time_ms: u64,
    pub(crate) link: Digest,
    /// How many signed heads there are.
    pub(crate) heads: u64,
    /// BLAKE2b-256 of the last of them.
    pub(crate) last_head: Digest,
    /// Over the rows of the state's tables.
    pub(crate) fingerprint: Fingerprint,
}

impl StoredTip {
    pub(crate) fn tip(&self) -> Tip {
        Tip {
            calls: self.calls,
            events: self.events,
            time_ms: self.time_ms,
            link: self.link,
        }
    }
}

/// A row of the table `calls`.
#[derive(Clone, Debug)]
pub(crate) struct CallRow {
    pub(crate) sequence: i64,
    pub(crate) time_ms: u64,
    pub(crate) sender: Address,
    pub(crate) key: PublicKey,
    pub(crate) signature: Signature,
    pub(crate) digest: Digest,
    pub(crate) first_event: u64,
    pub(crate) event_count: u64,
    pub(crate) link: Digest,
    pub(crate) signed: Vec<u8>,
}

/// A row of the table `events`.
#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    pub(crate) sequence: i64,
    pub(crate) call: i64,
    pub(crate) event: Vec<u8>,
    pub(crate) link: Digest,
}

impl Journal {
    /// Makes a new database of what a genesis amounts to.
    pub(super) fn create(
        path: &Path,
        genesis: &Genesis,
        head: &SignedHead,
        tip: &StoredTip,
    ) -> Result<(), Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let journal = Self::connect(path, flags)?;
        let connection = &journal.connection;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", USER_VERSION)?;
        journal.use_wal()?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for statement in SCHEMA {
            connection.execute_batch(statement)?;
        }
        connection.execute(
            "INSERT INTO meta (name, value) VALUES ('genesis', ?1)",
            [to_bcs(genesis)],
        )?;
        journal.insert_head(head)?;
        for (account, mist) in &genesis.funds {
            journal.put_balance(*account, *mist)?;
        }
        connection.execute(
            "INSERT INTO meta (name, value) VALUES ('tip', ?1)",
            [to_bcs(tip)],
        )?;
        connection.execute_batch("COMMIT")?;
        journal
            .connection
            .close()
            .map_err(|(_, error)| error.into())
    }

    /// Opens the database of a ledger after looking whether it is one.
    pub(crate) fn open(layout: &Layout) -> Result<Self, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let journal = Self::open_with(layout, flags)?;
        journal.use_wal()?;
        Ok(journal)
    }

    /// The same, but nothing can be written.
    pub(crate) fn open_read_only(layout: &Layout) -> Result<Self, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::open_with(layout, flags)
    }

    fn open_with(layout: &Layout, flags: OpenFlags) -> Result<Self, Failure> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            let why = format!(
                "SQLite {} is older than 3.51.3, which repaired the write-ahead log",
                rusqlite::version()
            );
            return Err(BrokenLink::database(why).into());
        }
        let journal = Self::connect(&layout.database(), flags)?;
        journal.check_identity()?;
        Ok(journal)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, Failure> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // Or a statement is planned anew whenever what is bound to it changes.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        Ok(Self { connection })
    }

    fn use_wal(&self) -> Result<(), Failure> {
        let mode: String =
            self.connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode == "wal" {
            Ok(())
        } else {
            let why = format!("its journal mode is `{mode}` and cannot become `wal`");
            Err(BrokenLink::database(why).into())
        }
    }

    /// Whose database it is, of which version, and whether its tables are ours and nothing else.
    fn check_identity(&self) -> Result<(), Failure> {
        let pragma = |name| {
            self.connection
                .pragma_query_value(None, name, |row| row.get(0))
        };
        let application_id: i32 = pragma("application_id")?;
        if application_id != APPLICATION_ID {
            let why = format!("application ID {application_id:#x} is not that of a local ledger");
            return Err(BrokenLink::database(why).into());
        }
        self.check_version()?;
        let fresh = Connection::open_in_memory()?;
        for statement in SCHEMA {
            fresh.execute_batch(statement)?;
        }
        let (expected, found) = (schema_of(&fresh)?, schema_of(&self.connection)?);
        if expected == found {
            let version: i32 = pragma("user_version")?;
            if version == ARCHIVED_VERSION || self.meta_bytes(CHECKPOINT)?.is_none() {
                return Ok(());
            }
            let why = format!("it has version {version}, and a checkpoint");
            return Err(BrokenLink::database(why).into());
        }
        let name = found
            .iter()
            .find(|entry| !expected.contains(entry))
            .or_else(|| expected.iter().find(|entry| !found.contains(entry)))
            .map_or("", |entry| entry.1.as_str());
        let why = format!("its schema was changed at `{name}`");
        Err(BrokenLink::database(why).into())
    }

    /// Looks for torn pages and for indexes that disagree with their tables, in the whole file.
    pub(crate) fn check_pages(&self) -> Result<(), Failure> {
        self.check("PRAGMA integrity_check(1)")
    }

    /// Looks for torn pages in what is read at the start: all of a small file, the state's tables of
    /// a large one.
    pub(super) fn check_pages_at_start(&self) -> Result<(), Failure> {
        let pages: i64 = self
            .connection
            .pragma_query_value(None, "page_count", |row| row.get(0))?;
        if pages <= SMALL_PAGES {
            return self.check("PRAGMA quick_check(1)");
        }
        [
            "PRAGMA quick_check(meta)",
            "PRAGMA quick_check(heads)",
            "PRAGMA quick_check(balances)",
            "PRAGMA quick_check(clusters)",
            "PRAGMA quick_check(tokens)",
            "PRAGMA quick_check(executors)",
            "PRAGMA quick_check(requests)",
        ]
        .into_iter()
        .try_for_each(|pragma| self.check(pragma))
    }

    fn check(&self, pragma: &str) -> Result<(), Failure> {
        let said: String = self.connection.query_row(pragma, [], |row| row.get(0))?;
        if said == "ok" {
            Ok(())
        } else {
            Err(BrokenLink::database(said.replace('\n', "; ")).into())
        }
    }

    /// Begins a read transaction, so that all that is read is of one moment.
    pub(crate) fn begin_reading(&self) -> Result<(), Failure> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        Ok(())
    }

    /// Begins the transaction of a batch.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        Ok(())
    }

    /// Makes it durable.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Ends it as if it had not begun; nothing if it has ended already.
    pub(crate) fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // A transaction that cannot be rolled back ends with its connection.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    pub(crate) fn genesis(&self) -> Result<Genesis, Failure> {
        self.meta("genesis")
    }

    /// How far it goes. Every batch and every look at what others wrote begins with it, so this is where a
    /// program that is running learns that a newer one has been at its database.
    pub(crate) fn tip(&self) -> Result<StoredTip, Failure> {
        self.check_version()?;
        self.meta("tip").or_else(|error| {
            // Not everywhere are the two read at one moment.
            self.check_version()?;
            Err(error)
        })
    }

    fn check_version(&self) -> Result<(), Failure> {
        let mut statement = self.connection.prepare_cached("PRAGMA user_version")?;
        let found: i32 = statement.query_row([], |row| row.get(0))?;
        // Without a checkpoint it is not what this program makes of one.
        if found == ARCHIVED_VERSION && self.has_meta(CHECKPOINT)? {
            return Ok(());
        }
        let number = |version| u64::try_from(version).unwrap_or_default();
        let checked = OtherVersion::check("ledger", number(found), number(USER_VERSION));
        checked.map_err(|other| Error::Version(other).into())
    }

    /// Whether there is one of this name, however long it is.
    fn has_meta(&self, name: &str) -> Result<bool, Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM meta WHERE name = ?1")?;
        Ok(statement.exists([name])?)
    }

    /// Names in the table `meta`.
    pub(crate) fn meta_names(&self) -> Result<Vec<String>, Failure> {
        let mut statement = self
            .connection
            .prepare("SELECT name FROM meta ORDER BY name")?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    fn meta<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Failure> {
        let value = self.find_meta(name)?;
        value.ok_or_else(|| BrokenLink::new("meta", name, "is missing").into())
    }

    fn find_meta<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Failure> {
        let Some(bytes) = self.meta_bytes(name)? else {
            return Ok(None);
        };
        let value = bcs::from_bytes(&bytes)
            .map_err(|_| BrokenLink::new("meta", name, "is not what it should be"))?;
        Ok(Some(value))
    }

    fn meta_bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Where the log begins, if its beginning was archived.
    pub(crate) fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, Failure> {
        self.find_meta(CHECKPOINT)
    }

    /// The state at the checkpoint, compressed.
    pub(crate) fn checkpoint_state(&self) -> Result<Vec<u8>, Failure> {
        let bytes = self.meta_bytes(CHECKPOINT_STATE)?;
        bytes.ok_or_else(|| BrokenLink::new("meta", CHECKPOINT_STATE, "is missing").into())
    }

    /// Lets the log begin at a checkpoint.
    pub(super) fn put_checkpoint(
        &self,
        checkpoint: &SignedCheckpoint,
        state: &[u8],
    ) -> Result<(), Failure> {
        for (name, value) in [
            (CHECKPOINT, &to_bcs(checkpoint)[..]),
            (CHECKPOINT_STATE, state),
        ] {
            self.connection
                .prepare_cached(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )?
                .execute(params![name, value])?;
        }
        // Programs that know of no archive would look for the first call.
        self.connection
            .pragma_update(None, "user_version", ARCHIVED_VERSION)?;
        Ok(())
    }

    /// The first rows of calls and events, if there are any.
    pub(crate) fn first_rows(&self) -> Result<(Option<i64>, Option<i64>), Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT (SELECT min(sequence) FROM calls), (SELECT min(sequence) FROM events)",
        )?;
        Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Removes what lies before a place of the log, at most `limit` calls of it; whether any was left.
    pub(super) fn remove_before(
        &self,
        calls: u64,
        events: u64,
        heads: u64,
        limit: i64,
    ) -> Result<bool, Failure> {
        let (calls, events) = (signed(calls), signed(events));
        let (first_call, first_event) = self.first_rows()?;
        let to_call = first_call.map(|first| calls.min(first.saturating_add(limit - 1)));
        let to_event = match to_call {
            // The events of a call go with it.
            Some(to) if to < calls => {
                let row = self.call(to)?;
                events.min(signed(row.first_event + row.event_count) - 1)
            }
            _ => events,
        };
        let mut removed = 0;
        if let Some(to) = to_call {
            removed += self
                .connection
                .prepare_cached("DELETE FROM calls WHERE sequence <= ?1")?
                .execute([to])?;
        }
        if first_event.is_some_and(|first| first <= to_event) {
            removed += self
                .connection
                .prepare_cached("DELETE FROM events WHERE sequence <= ?1")?
                .execute([to_event])?;
        }
        removed += self
            .connection
            .prepare_cached(
                "DELETE FROM heads WHERE sequence IN
                 (SELECT sequence FROM heads WHERE sequence < ?1 ORDER BY sequence LIMIT ?2)",
            )?
            .execute([signed(heads), limit])?;
        Ok(removed > 0)
    }

    /// The first signed head that stands for so many calls at least.
    pub(super) fn head_covering(&self, calls: u64) -> Result<Option<SignedHead>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, calls, head FROM heads WHERE calls >= ?1 ORDER BY sequence LIMIT 1",
        )?;
        let found = statement
            .query_row([signed(calls)], |row| {
                let bytes: Vec<u8> = row.get(2)?;
                Ok(signed_head(row.get(0)?, row.get(1)?, &bytes))
            })
            .optional()?;
        Ok(found.transpose()?)
    }

    /// Time of a call.
    pub(super) fn time_of(&self, call: u64) -> Result<u64, Failure> {
        Ok(self.call(signed(call))?.time_ms)
    }

    pub(super) fn put_tip(&self, tip: &StoredTip) -> Result<(), Failure> {
        self.connection
            .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'tip'")?
            .execute([to_bcs(tip)])?;
        Ok(())
    }

    /// Rows of `calls` after one sequence number, at most `limit`; those that are no calls say why.
    pub(crate) fn calls_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<CallRow, BrokenLink>>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, time_ms, sender, key, signature, not_after_ms, digest, first_event,
                    event_count, link, signed
             FROM calls WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![sequence, limit])?;
        let mut calls = Vec::new();
        while let Some(row) = rows.next()? {
            calls.push(call_row(row)?);
        }
        Ok(calls)
    }

    /// The call of that digest, if it is one that is taken until then.
    pub(super) fn call_until(
        &self,
        not_after_ms: u64,
        digest: Digest,
    ) -> Result<Option<CallRow>, Failure> {
        self.find_call(
            "SELECT sequence, time_ms, sender, key, signature, not_after_ms, digest, first_event,
                    event_count, link, signed
             FROM calls WHERE not_after_ms = ?1 AND digest = ?2",
            params![signed(not_after_ms), digest.as_bytes()],
        )
    }

    /// The call of that digest, looked for from the newest on: the index is read up to it.
    pub(super) fn call_by_digest(&self, digest: Digest) -> Result<Option<CallRow>, Failure> {
        self.find_call(
            "SELECT sequence, time_ms, sender, key, signature, not_after_ms, digest, first_event,
                    event_count, link, signed
             FROM calls WHERE digest = ?1 ORDER BY not_after_ms DESC, digest DESC LIMIT 1",
            params![digest.as_bytes()],
        )
    }

    /// How many events there were before the first call of `time_ms` or later, or before the last call if that was
    /// earlier; 0 if there are no calls.
    pub(super) fn events_before(&self, time_ms: u64) -> Result<u64, Failure> {
        let mut bounds = self.connection.prepare_cached(
            "SELECT (SELECT min(sequence) FROM calls), (SELECT max(sequence) FROM calls)",
        )?;
        let bounds: (Option<i64>, Option<i64>) =
            bounds.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(mut low), Some(mut high)) = bounds else {
            return Ok(0);
        };
        let mut find = self
            .connection
            .prepare_cached("SELECT time_ms, first_event FROM calls WHERE sequence = ?1")?;
        let mut at = |sequence: i64| -> Result<(i64, i64), Failure> {
            let row = find.query_row([sequence], |row| Ok((row.get(0)?, row.get(1)?)));
            let missing = || BrokenLink::new("call", sequence, "is missing");
            Ok(row.optional()?.ok_or_else(missing)?)
        };
        // Times never go back.
        while low < high {
            let middle = low + (high - low) / 2;
            if u64::try_from(at(middle)?.0).unwrap_or_default() < time_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (_, first_event) = at(low)?;
        Ok(u64::try_from(first_event)
            .unwrap_or_default()
            .saturating_sub(1))
    }

    fn find_call(&self, sql: &str, key: &[&dyn ToSql]) -> Result<Option<CallRow>, Failure> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(key)?;
        match rows.next()? {
            Some(row) => Ok(Some(call_row(row)??)),
            None => Ok(None),
        }
    }

    /// The call of that sequence number.
    pub(crate) fn call(&self, sequence: i64) -> Result<CallRow, Failure> {
        let row = self.calls_after(sequence - 1, 1)?.pop().transpose()?;
        row.filter(|row| row.sequence == sequence)
            .ok_or_else(|| BrokenLink::new("call", sequence, "is missing").into())
    }

    /// The link after a call and its events.
    pub(crate) fn link_after(&self, call: u64) -> Result<Digest, Failure> {
        if call == 0 {
            return Ok(self.genesis()?.link());
        }
        let row = match self.call(signed(call)) {
            Ok(row) => row,
            // What lies before a call that was archived stands in the checkpoint.
            Err(missing) => {
                let checkpoint = self.checkpoint()?.map(|checkpoint| checkpoint.message);
                return match checkpoint.filter(|checkpoint| checkpoint.head.calls == call) {
                    Some(checkpoint) => Ok(checkpoint.head.link),
                    None => Err(missing),
                };
            }
        };
        if row.event_count == 0 {
            return Ok(row.link);
        }
        let last = signed(row.first_event + row.event_count - 1);
        let event = self.events_after(last - 1, 1)?.pop().transpose()?;
        event
            .filter(|event| event.sequence == last)
            .map(|event| event.link)
            .ok_or_else(|| BrokenLink::new("event", last, "is missing").into())
    }

    /// Sequence numbers of the last call and the last event.
    pub(crate) fn last_rows(&self) -> Result<(i64, i64), Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT (SELECT coalesce(max(sequence), 0) FROM calls),
                    (SELECT coalesce(max(sequence), 0) FROM events)",
        )?;
        Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Rows of `events` after one sequence number.
    pub(crate) fn events_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<EventRow, BrokenLink>>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, call, event, link FROM events
             WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![sequence, limit])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let sequence: i64 = row.get(0)?;
            let link: Vec<u8> = row.get(3)?;
            events.push(
                Digest::from_slice(&link)
                    .ok_or_else(|| BrokenLink::new("event", sequence, "its link is no hash"))
                    .and_then(|link| {
                        Ok(EventRow {
                            sequence,
                            call: row
                                .get(1)
                                .map_err(|error| malformed("event", sequence, &error))?,
                            event: row
                                .get(2)
                                .map_err(|error| malformed("event", sequence, &error))?,
                            link,
                        })
                    }),
            );
        }
        Ok(events)
    }

    pub(super) fn insert_call(&self, row: &CallRow) -> Result<(), Failure> {
        self.connection
            .prepare_cached(
                "INSERT INTO calls (sequence, time_ms, sender, key, signature, not_after_ms, digest,
                                    first_event, event_count, link, signed)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                row.sequence,
                signed(row.time_ms),
                row.sender.as_bytes(),
                row.key.as_bytes(),
                row.signature.as_bytes(),
                not_after_ms(&row.signed).map(signed),
                row.digest.as_bytes(),
                signed(row.first_event),
                signed(row.event_count),
                row.link.as_bytes(),
                row.signed,
            ])?;
        Ok(())
    }

    pub(super) fn insert_events(&self, applied: &Applied) -> Result<(), Failure> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO events (sequence, call, event, link) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (sequence, event) in (applied.first_event..).zip(&applied.events) {
            statement.execute(params![
                signed(sequence),
                signed(applied.sequence),
                event.bytes,
                event.link.as_bytes(),
            ])?;
        }
        Ok(())
    }

    /// Writes or removes an object.
    pub(super) fn put_object(
        &self,
        table: Table,
        id: &[u8],
        object: Option<&[u8]>,
    ) -> Result<(), Failure> {
        match object {
            Some(object) => self
                .connection
                .prepare_cached(table.put_sql())?
                .execute(params![id, object])?,
            None => self
                .connection
                .prepare_cached(table.delete_sql())?
                .execute(params![id])?,
        };
        Ok(())
    }

    /// A row of a table of objects.
    pub(super) fn object(&self, table: Table, id: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let mut select = self.connection.prepare_cached(table.find_sql())?;
        Ok(select.query_row([id], |row| row.get(0)).optional()?)
    }

    /// Writes a balance, or removes it if there is nothing in it.
    pub(super) fn put_balance(&self, account: Address, mist: u64) -> Result<(), Failure> {
        if mist == 0 {
            self.connection
                .prepare_cached("DELETE FROM balances WHERE account = ?1")?
                .execute([account.as_bytes()])?;
        } else {
            self.connection
                .prepare_cached(
                    "INSERT INTO balances (account, mist) VALUES (?1, ?2)
                     ON CONFLICT (account) DO UPDATE SET mist = excluded.mist",
                )?
                .execute(params![account.as_bytes(), signed(mist)])?;
        }
        Ok(())
    }

    /// Shows every row of a table of objects, by ID.
    pub(crate) fn each_object(
        &self,
        table: Table,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut statement = self.connection.prepare_cached(table.select_sql())?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(
                row.get_ref(0)?.as_blob().map_err(sql)?,
                row.get_ref(1)?.as_blob().map_err(sql)?,
            )?;
        }
        Ok(())
    }

    /// Shows every balance, by account.
    pub(crate) fn each_balance(
        &self,
        mut visit: impl FnMut(&[u8], i64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT account, mist FROM balances ORDER BY account")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(row.get_ref(0)?.as_blob().map_err(sql)?, row.get(1)?)?;
        }
        Ok(())
    }

    pub(super) fn insert_head(&self, head: &SignedHead) -> Result<(), Failure> {
        self.connection
            .prepare_cached("INSERT INTO heads (sequence, calls, head) VALUES (?1, ?2, ?3)")?
            .execute(params![
                signed(head.message.sequence),
                signed(head.message.head.calls),
                to_bcs(head)
            ])?;
        Ok(())
    }

    /// The last signed head of the first `heads`.
    pub(crate) fn head_before(&self, heads: u64) -> Result<SignedHead, Failure> {
        let sequence = heads.saturating_sub(1);
        let mut statement = self
            .connection
            .prepare_cached("SELECT sequence, calls, head FROM heads WHERE sequence = ?1")?;
        let found = statement
            .query_row(params![signed(sequence)], |row| {
                let bytes: Vec<u8> = row.get(2)?;
                Ok(signed_head(row.get(0)?, row.get(1)?, &bytes))
            })
            .optional()?;
        match found {
            Some(head) => Ok(head?),
            None => Err(BrokenLink::new("head", sequence, "is missing").into()),
        }
    }

    /// Signed heads after one sequence number.
    pub(crate) fn heads_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<SignedHead, BrokenLink>>, Failure> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, calls, head FROM heads WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![sequence, limit])?;
        let mut heads = Vec::new();
        while let Some(row) = rows.next()? {
            let (sequence, calls): (i64, i64) = (row.get(0)?, row.get(1)?);
            let bytes: Vec<u8> = row.get(2)?;
            heads.push(signed_head(sequence, calls, &bytes));
        }
        Ok(heads)
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A copy of all of it as one file, of one moment.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), Failure> {
        let path = path.to_str().ok_or_else(|| {
            crate::ledger::Error::Invalid("the path of the copy is no UTF-8".to_owned())
        })?;
        self.connection.execute("VACUUM INTO ?1", [path])?;
        Ok(())
    }
}

fn signed_head(sequence: i64, calls: i64, bytes: &[u8]) -> Result<SignedHead, BrokenLink> {
    let broken = |why: &str| BrokenLink::new("head", sequence, why);
    let head: SignedHead =
        bcs::from_bytes(bytes).map_err(|_| broken("its bytes are no signed head"))?;
    let message = &head.message;
    if signed(message.sequence) == sequence && signed(message.head.calls) == calls {
        Ok(head)
    } else {
        Err(broken("its columns are not those of what was signed"))
    }
}

fn call_row(row: &Row<'_>) -> Result<Result<CallRow, BrokenLink>, Failure> {
    let sequence: i64 = row.get(0)?;
    let read = || -> rusqlite::Result<Result<CallRow, &'static str>> {
        let bytes32 = |index| -> rusqlite::Result<Option<[u8; 32]>> {
            Ok(row.get_ref(index)?.as_blob().map_err(sql)?.try_into().ok())
        };
        let number = |index| -> rusqlite::Result<Option<u64>> {
            Ok(u64::try_from(row.get::<_, i64>(index)?).ok())
        };
        let Some(time_ms) = number(1)? else {
            return Ok(Err("its time is negative"));
        };
        let Some(sender) = bytes32(2)? else {
            return Ok(Err("its sender is not 32 bytes"));
        };
        let Some(key) = bytes32(3)? else {
            return Ok(Err("its key is not 32 bytes"));
        };
        let Ok(signature) = <[u8; 64]>::try_from(row.get_ref(4)?.as_blob().map_err(sql)?) else {
            return Ok(Err("its signature is not 64 bytes"));
        };
        let Some(digest) = bytes32(6)? else {
            return Ok(Err("its digest is not 32 bytes"));
        };
        let (Some(first_event), Some(event_count)) = (number(7)?, number(8)?) else {
            return Ok(Err("its events are negative"));
        };
        let Some(link) = bytes32(9)? else {
            return Ok(Err("its link is not 32 bytes"));
        };
        let signed: Vec<u8> = row.get(10)?;
        if number(5)? != not_after_ms(&signed) {
            return Ok(Err(
                "it is not indexed under the time that it was taken until",
            ));
        }
        Ok(Ok(CallRow {
            sequence,
            time_ms,
            sender: Address::new(sender),
            key: PublicKey::new(key),
            signature: Signature::new(signature),
            digest: Digest::new(digest),
            first_event,
            event_count,
            link: Digest::new(link),
            signed,
        }))
    };
    Ok(match read() {
        Ok(read) => read.map_err(|why| BrokenLink::new("call", sequence, why)),
        Err(error) => Err(malformed("call", sequence, &error)),
    })
}

/// Until when a call is taken, which is the last of what was signed.
fn not_after_ms(signed_call: &[u8]) -> Option<u64> {
    let bytes = signed_call.last_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

fn malformed(table: &'static str, sequence: i64, error: &rusqlite::Error) -> BrokenLink {
    BrokenLink::new(
        table,
        sequence,
        format!("a column is not of its type: {error}"),
    )
}

fn sql(error: rusqlite::types::FromSqlError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
}

/// Numbers here never reach 2^63: sequences count rows, times are of this age, MIST are bounded by
/// the genesis. One that did could not be read back, and is not hidden.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

type SchemaEntry = (String, String, Option<String>);

fn schema_of(connection: &Connection) -> Result<Vec<SchemaEntry>, Failure> {
    let mut statement =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let entries = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// `k3sd`.
const APPLICATION_ID: i32 = 0x6b33_7364;
/// Pages of 4 KiB: what one process wrote is no use to another, which reads it anew.
const CACHE_PAGES: i32 = 256;
/// 16 MiB: what many batches change again and again, as the ends of tables, is copied into the database once.
const LOG_PAGES: i32 = 4_096;

/// The version of the ledger: counts every change of what processes over one ledger must agree on, which are the
/// tables, what stands in their rows, the contract's rules, and what gateway and Nautilus seal for each other.
const USER_VERSION: i32 = 4;
/// The same tables, whose beginning was archived.
const ARCHIVED_VERSION: i32 = 6;

/// Rows of `meta` that an archived ledger has.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Long, so it comes after all others: SQLite reads a long row whole when it compares with it on its way to another,
/// and `tip` is looked for at each commit.
pub(crate) const CHECKPOINT_STATE: &str = "zlib-state";

/// The first with the repair of the write-ahead log's reset.
const OLDEST_SQLITE: i32 = 3_051_003;

/// 16 MiB: looked through in some 20 ms.
const SMALL_PAGES: i64 = 4_096;

/// Only a checkpoint of another process can be in the way: writers queue on the lock file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Digests come in no order: indexed by themselves, each call would change a page of its own. Together with the time
/// they are taken until they lie where the calls of the same moment lie.
const SCHEMA: [&str; 9] = [
    "CREATE TABLE meta (
        name TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE calls (
        sequence INTEGER NOT NULL PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        sender BLOB NOT NULL,
        key BLOB NOT NULL,
        signature BLOB NOT NULL,
        not_after_ms INTEGER NOT NULL,
        digest BLOB NOT NULL,
        first_event INTEGER NOT NULL,
        event_count INTEGER NOT NULL,
        link BLOB NOT NULL,
        signed BLOB NOT NULL,
        UNIQUE (not_after_ms, digest)
    ) STRICT",
    "CREATE TABLE events (
        sequence INTEGER NOT NULL PRIMARY KEY,
        call INTEGER NOT NULL,
        event BLOB NOT NULL,
        link BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE heads (
        sequence INTEGER NOT NULL PRIMARY KEY,
        calls INTEGER NOT NULL,
        head BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE balances (
        account BLOB NOT NULL PRIMARY KEY,
        mist INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE clusters (id BLOB NOT NULL PRIMARY KEY, object BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE tokens (id BLOB NOT NULL PRIMARY KEY, object BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE executors (id BLOB NOT NULL PRIMARY KEY, object BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE requests (id BLOB NOT NULL PRIMARY KEY, object BLOB NOT NULL) STRICT, WITHOUT ROWID",
];
