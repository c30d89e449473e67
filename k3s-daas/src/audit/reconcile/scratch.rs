//! Where both sides wait for each other: a database in a temporary file that goes with this process, so
//! that memory stays small however long the logs are.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::event::{ClusterEvent, Stage};
use super::judge::{Admission, Key, Seen};
use crate::types::{RequestId, TokenId};

/// Both sides.
pub(super) struct Scratch {
    connection: Connection,
}

/// Who made a request of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Another account as a token, or a token by itself.
    Foreign = 0,
    /// An account of Nautilus.
    Nautilus = 1,
    /// Nobody who authenticated.
    Nobody = 2,
}

/// A request of the cluster that names no token and no request ID that could be read.
#[derive(Clone, Debug)]
pub(super) struct Stray {
    pub(super) seen: Seen,
    /// Whom it impersonated, if anybody.
    pub(super) user: Option<String>,
    pub(super) has_ended: bool,
}

impl Scratch {
    pub(super) fn new() -> rusqlite::Result<Self> {
        // The empty name is SQLite's for a private file that is deleted as soon as it is open.
        let connection = Connection::open("")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection })
    }

    /// Adds what an event knows to what the earlier ones of the same request did.
    ///
    /// A client may choose its audit ID, so that alone makes no two events one request; the microsecond at
    /// which it came is not the client's to choose.
    pub(super) fn add_event(&self, event: &ClusterEvent, who: Who) -> rusqlite::Result<()> {
        let impersonated = event.impersonated.as_ref();
        let user = impersonated.map(|user| user.user.as_str());
        let key = impersonated.and_then(|user| {
            let token = user.user.strip_prefix(crate::token::USER_PREFIX)?;
            let request = user.request_id.as_deref()?;
            let request = RequestId::from_bytes(request.as_bytes()).ok()?;
            // One spelling alone: the executor sends no other.
            let token = token
                .parse::<TokenId>()
                .ok()
                .filter(|id| id.to_string() == token)?;
            Some((token, request))
        });
        let groups = impersonated.map(|user| user.groups.join("\n"));
        self.connection
            .prepare_cached(
                "INSERT INTO seen(audit_id, received, account, method, uri, who, user, groups, token, request, code, stage)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT(audit_id, received, account, method, uri) DO UPDATE SET
                   user = coalesce(user, excluded.user),
                   groups = coalesce(groups, excluded.groups),
                   token = coalesce(token, excluded.token),
                   request = coalesce(request, excluded.request),
                   code = CASE WHEN excluded.stage >= stage THEN coalesce(excluded.code, code) ELSE coalesce(code, excluded.code) END,
                   stage = max(stage, excluded.stage)",
            )?
            .execute(params![
                event.audit_id,
                event.received_us,
                event.account,
                event.method,
                event.uri,
                who as i64,
                user,
                groups,
                key.map(|(token, _)| *token.as_bytes()),
                key.map(|(_, request)| request.to_wire()),
                event.code,
                event.stage as i64,
            ])?;
        Ok(())
    }

    /// To be called once all events are there.
    pub(super) fn index(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(INDEXES)
    }

    /// Notes that the ledger admitted a request; `event` is its place there, which grows.
    pub(super) fn add_admission(
        &self,
        key: Key,
        event: u64,
        admission: &Admission,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO admitted(token, request, event, method, uri, is_query_hidden, is_read, admitted, deadline, assignments)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1)",
            )?
            .execute(params![
                key.0.as_bytes(),
                key.1.to_wire(),
                signed(event),
                admission.method,
                admission.uri,
                admission.is_query_hidden,
                admission.is_read,
                signed(admission.admitted_ms),
                signed(admission.deadline_ms),
            ])?;
        Ok(())
    }

    /// Notes that somebody has the latest request of this ID from then on.
    pub(super) fn add_assignment(&self, key: Key) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE admitted SET assignments = assignments + 1 WHERE token = ?1 AND request = ?2
                 AND event = (SELECT max(event) FROM admitted WHERE token = ?1 AND request = ?2)",
            )?
            .execute(params![key.0.as_bytes(), key.1.to_wire()])?;
        Ok(())
    }

    /// Notes the answer to the latest request of this ID.
    pub(super) fn add_answer(&self, key: Key, status: u16, time_ms: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE admitted SET status = ?3, answered = ?4 WHERE token = ?1 AND request = ?2
                 AND event = (SELECT max(event) FROM admitted WHERE token = ?1 AND request = ?2)",
            )?
            .execute(params![
                key.0.as_bytes(),
                key.1.to_wire(),
                status,
                signed(time_ms)
            ])?;
        Ok(())
    }

    /// Distinct requests of Nautilus's accounts.
    pub(super) fn count_requests(&self) -> rusqlite::Result<u64> {
        let count = "SELECT count(*) FROM seen WHERE who = 1";
        self.connection.query_row(count, [], |row| unsigned(row, 0))
    }

    /// All that was admitted, those of one ID together and in order, with what the cluster saw of that ID.
    pub(super) fn each_admitted<E: From<rusqlite::Error>>(
        &self,
        mut then: impl FnMut(Key, &[Admission], &[Seen]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(
            "SELECT token, request, method, uri, is_query_hidden, is_read, admitted, assignments, status, answered, deadline
             FROM admitted ORDER BY token, request, event",
        )?;
        let mut rows = statement.query([])?;
        let mut group: Option<(Key, Vec<Admission>)> = None;
        while let Some(row) = rows.next()? {
            let (key, admission) = (key(row)?, admission(row, 2)?);
            match &mut group {
                Some((same, admissions)) if *same == key => admissions.push(admission),
                _ => {
                    if let Some((key, admissions)) = group.replace((key, vec![admission])) {
                        then(key, &admissions, &self.seen_of(key)?)?;
                    }
                }
            }
        }
        if let Some((key, admissions)) = group {
            then(key, &admissions, &self.seen_of(key)?)?;
        }
        Ok(())
    }

    fn seen_of(&self, key: Key) -> rusqlite::Result<Vec<Seen>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {SEEN} FROM seen WHERE token = ?1 AND request = ?2 AND who = 1 ORDER BY received"
        ))?;
        let rows = statement.query_map(params![key.0.as_bytes(), key.1.to_wire()], |row| {
            seen(row, 0)
        })?;
        rows.collect()
    }

    /// Requests of Nautilus's accounts as a token and with an ID that was never admitted for it.
    pub(super) fn each_unadmitted<E: From<rusqlite::Error>>(
        &self,
        mut then: impl FnMut(Key, Seen) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT token, request, {SEEN} FROM seen WHERE who = 1 AND token IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM admitted WHERE admitted.token = seen.token AND admitted.request = seen.request)
             ORDER BY received"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            then(key(row)?, seen(row, 2)?)?;
        }
        Ok(())
    }

    /// Keeps an admission that nothing in the log names, for [`Scratch::each_unmatched`].
    pub(super) fn add_unmatched(
        &self,
        key: Key,
        admission: &Admission,
        claims: bool,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO unmatched(token, request, method, uri, is_query_hidden, is_read, admitted, assignments, status, answered, deadline, claims)
                 VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                key.0.as_bytes(),
                key.1.to_wire(),
                admission.method,
                admission.uri,
                admission.is_query_hidden,
                admission.is_read,
                signed(admission.admitted_ms),
                signed(admission.assignments),
                admission.answer.map(|answer| answer.status),
                admission.answer.map(|answer| signed(answer.time_ms)),
                signed(admission.deadline_ms),
                claims,
            ])?;
        Ok(())
    }

    /// What [`Scratch::add_unmatched`] kept, those first that claim something of the cluster.
    pub(super) fn each_unmatched<E: From<rusqlite::Error>>(
        &self,
        mut then: impl FnMut(Key, &Admission, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(
            "SELECT token, request, method, uri, is_query_hidden, is_read, admitted, assignments, status, answered, deadline, claims
             FROM unmatched ORDER BY claims DESC, admitted, request",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            then(key(row)?, &admission(row, 2)?, row.get(11)?)?;
        }
        Ok(())
    }

    /// Takes a stray that may be what the log has of this admission, so that none stands for two.
    ///
    /// The log names neither token nor ID of what was refused before the cluster knew whom Nautilus acts
    /// as, nor of what was going on when the API server died.
    pub(super) fn take_stray(
        &self,
        admission: &Admission,
        from_us: i64,
        to_us: i64,
    ) -> rusqlite::Result<bool> {
        let status = admission.answer.map(|answer| answer.status);
        let row: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT row FROM seen WHERE token IS NULL AND uri = ?1 AND received BETWEEN ?2 AND ?3
                   AND method = ?4 AND user IS NULL AND is_used = 0
                   AND (who = 1 AND stage = 0 OR who = 1 AND code = 403 AND ?5 = 403 OR who = 2 AND code = ?5)
                 ORDER BY received LIMIT 1",
            )?
            .query_row(
                params![admission.uri, from_us, to_us, admission.method, status],
                |row| row.get(0),
            )
            .optional()?;
        let Some(row) = row else { return Ok(false) };
        self.connection
            .prepare_cached("UPDATE seen SET is_used = 1 WHERE row = ?1")?
            .execute([row])?;
        Ok(true)
    }

    /// Requests of Nautilus's accounts that name no token and ID and stand for no admission.
    pub(super) fn each_stray<E: From<rusqlite::Error>>(
        &self,
        mut then: impl FnMut(Stray) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT user, stage, {SEEN} FROM seen WHERE token IS NULL AND who = 1 AND is_used = 0 ORDER BY received"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            then(Stray {
                user: row.get(0)?,
                has_ended: row.get::<_, i64>(1)? == Stage::Ended as i64,
                seen: seen(row, 2)?,
            })?;
        }
        Ok(())
    }

    /// Whether a read that may have been executed more than once was under way at this time.
    pub(super) fn is_repeated_read(&self, stray: &Seen, skew_ms: i64) -> rusqlite::Result<bool> {
        let at_ms = stray.received_us.div_euclid(1000);
        self.connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM admitted WHERE uri = ?1 AND method = ?2 AND is_read AND assignments > 1
                   AND admitted <= ?3 AND (answered IS NULL OR answered >= ?4))",
            )?
            .query_row(
                params![stray.uri, stray.method, at_ms + skew_ms, at_ms - skew_ms],
                |row| row.get(0),
            )
    }

    /// Requests as a token that no account of Nautilus made.
    pub(super) fn each_foreign<E: From<rusqlite::Error>>(
        &self,
        mut then: impl FnMut(Option<String>, Seen) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT user, {SEEN} FROM seen WHERE who = 0 ORDER BY received"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            then(row.get(0)?, seen(row, 1)?)?;
        }
        Ok(())
    }
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let token: [u8; 32] = row.get(0)?;
    let request: Vec<u8> = row.get(1)?;
    let request = RequestId::from_bytes(&request).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error))
    })?;
    Ok((TokenId::new(token), request))
}

fn admission(row: &Row<'_>, at: usize) -> rusqlite::Result<Admission> {
    let status: Option<u16> = row.get(at + 6)?;
    let time_ms: Option<i64> = row.get(at + 7)?;
    Ok(Admission {
        method: row.get(at)?,
        uri: row.get(at + 1)?,
        is_query_hidden: row.get(at + 2)?,
        is_read: row.get(at + 3)?,
        admitted_ms: unsigned(row, at + 4)?,
        assignments: unsigned(row, at + 5)?,
        deadline_ms: unsigned(row, at + 8)?,
        answer: status
            .zip(time_ms)
            .map(|(status, time_ms)| super::judge::Answer {
                status,
                time_ms: u64::try_from(time_ms).unwrap_or_default(),
            }),
    })
}

fn seen(row: &Row<'_>, at: usize) -> rusqlite::Result<Seen> {
    let groups: Option<String> = row.get(at + 6)?;
    let groups = groups.unwrap_or_default();
    let groups = groups.split('\n').filter(|group| !group.is_empty());
    Ok(Seen {
        audit_id: row.get(at)?,
        account: row.get(at + 1)?,
        method: row.get(at + 2)?,
        uri: row.get(at + 3)?,
        received_us: row.get(at + 4)?,
        code: row.get(at + 5)?,
        groups: groups.map(str::to_owned).collect(),
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(at)?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// The columns of [`seen`].
const SEEN: &str = "audit_id, account, method, uri, received, code, groups";

/// One transaction that is never committed, in a file that nobody else has.
const SCHEMA: &str = "
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768;
CREATE TABLE seen(
  row INTEGER PRIMARY KEY, audit_id TEXT NOT NULL, received INTEGER NOT NULL, account TEXT NOT NULL,
  method TEXT NOT NULL, uri TEXT NOT NULL, who INTEGER NOT NULL, user TEXT, groups TEXT, token BLOB,
  request BLOB, code INTEGER, stage INTEGER NOT NULL, is_used INTEGER NOT NULL DEFAULT 0,
  UNIQUE(audit_id, received, account, method, uri));
CREATE TABLE admitted(
  token BLOB NOT NULL, request BLOB NOT NULL, event INTEGER NOT NULL, method TEXT NOT NULL, uri TEXT NOT NULL,
  is_query_hidden INTEGER NOT NULL, is_read INTEGER NOT NULL, admitted INTEGER NOT NULL,
  deadline INTEGER NOT NULL, assignments INTEGER NOT NULL, status INTEGER, answered INTEGER,
  PRIMARY KEY(token, request, event)) WITHOUT ROWID;
CREATE TABLE unmatched(
  token BLOB, request BLOB, method TEXT, uri TEXT, is_query_hidden INTEGER, is_read INTEGER,
  admitted INTEGER, assignments INTEGER, status INTEGER, answered INTEGER, deadline INTEGER, claims INTEGER);
BEGIN;";

const INDEXES: &str = "
CREATE INDEX seen_by_key ON seen(token, request) WHERE token IS NOT NULL;
CREATE INDEX strays ON seen(uri, received) WHERE token IS NULL;
CREATE INDEX repeated_reads ON admitted(uri) WHERE is_read AND assignments > 1;";
