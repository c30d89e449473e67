//! The directory of a durable cluster: objects in SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::Error;
use super::store::{Change, Stored};

/// Objects on disk; a commit that returned is safe from kill -9 and power loss.
#[derive(Debug)]
pub(super) struct Journal {
    connection: Connection,
}

/// Collection, key, object.
pub(super) type Row = (String, String, Stored);

impl Journal {
    /// Opens or creates `cluster.db` in `directory`, held by one process at a time.
    ///
    /// # Errors
    /// - [`Error::Journal`]: SQLite refused; also when another process holds the file.
    /// - [`Error::Foreign`]: the file is no cluster, or of a newer version.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("cluster.db");
        super::tls::create_private(&path).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
        let connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let (application, version): (i32, i32) = connection.query_row(
            "SELECT (SELECT * FROM pragma_application_id), (SELECT * FROM pragma_user_version)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (application, version, tables) {
            (0, 0, 0) => connection.execute_batch(&format!(
                "BEGIN EXCLUSIVE; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};
                 CREATE TABLE object (storage TEXT NOT NULL, key TEXT NOT NULL, resource_version INTEGER NOT NULL,
                    body BLOB NOT NULL, PRIMARY KEY (storage, key)) WITHOUT ROWID, STRICT;
                 CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 0), resource_version INTEGER NOT NULL) STRICT;
                 COMMIT;"
            ))?,
            (APPLICATION_ID, VERSION, _) => {}
            (APPLICATION_ID, newer, _) => {
                return Err(Error::Foreign { path, why: format!("it is of version {newer}, this program knows {VERSION}") });
            }
            _ => return Err(Error::Foreign { path, why: "it is not the database of a memory cluster".into() }),
        }
        // Takes the lock now, not with the first write.
        connection.execute_batch("BEGIN IMMEDIATE; COMMIT;")?;
        Ok(Self { connection })
    }

    /// The newest resource version and every object.
    pub(super) fn load(&mut self) -> Result<(u64, Vec<Row>), Error> {
        let resource_version: Option<i64> = self
            .connection
            .query_row("SELECT resource_version FROM clock", [], |row| row.get(0))
            .optional()?;
        let mut statement = self.connection.prepare(
            "SELECT storage, key, resource_version, body FROM object ORDER BY storage, key",
        )?;
        let mut rows = statement.query([])?;
        let mut objects = Vec::new();
        while let Some(row) = rows.next()? {
            let (storage, key, version): (String, String, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let value: Value = serde_json::from_slice(
                row.get_ref(3)?.as_blob().unwrap_or_default(),
            )
            .map_err(|source| Error::Damaged {
                key: format!("{storage}/{key}"),
                source,
            })?;
            objects.push((
                storage,
                key,
                Stored::new(value, version.try_into().unwrap_or_default()),
            ));
        }
        Ok((
            resource_version.unwrap_or(0).try_into().unwrap_or_default(),
            objects,
        ))
    }

    /// Writes a batch; all of it or nothing.
    pub(super) fn commit(
        &mut self,
        resource_version: u64,
        changes: &[(Arc<str>, Change)],
    ) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT OR REPLACE INTO object (storage, key, resource_version, body) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut remove =
                transaction.prepare_cached("DELETE FROM object WHERE storage = ?1 AND key = ?2")?;
            for (storage, change) in changes {
                if change.deleted {
                    remove.execute(params![&**storage, change.key])?;
                } else {
                    let body = serde_json::to_vec(&change.after.value).unwrap_or_default();
                    let version = i64::try_from(change.resource_version()).unwrap_or(i64::MAX);
                    put.execute(params![&**storage, change.key, version, body])?;
                }
            }
            transaction.execute(
                "INSERT OR REPLACE INTO clock (id, resource_version) VALUES (0, ?1)",
                params![i64::try_from(resource_version).unwrap_or(i64::MAX)],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// "k3sm"
const APPLICATION_ID: i32 = 0x6b33_736d;
const VERSION: i32 = 1;
