//! The journal's file: made once, opened by one process, and watched while it is open.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior, params};

use super::{JournalError, signed};
use crate::crypto::check_not_writable;
use crate::crypto::open_file::OpenFile;
use crate::ledger::Cursor;
use crate::types::{ChainId, ExecutorId, OtherVersion};

/// Makes the journal of one executor on one chain; `birth` is where the ledger was after somebody saw that
/// there is none: a process that still has a removed one open begins nothing that was assigned later.
///
/// It appears as a whole or not at all.
pub(in crate::nautilus) fn create(
    path: &Path,
    chain: ChainId,
    executor: ExecutorId,
    birth: Cursor,
) -> Result<(), JournalError> {
    let exists = || JournalError::Exists(path.to_owned());
    if fs::symlink_metadata(path).is_ok() {
        return Err(exists());
    }
    let new = beside(path, &format!(".{}.new", std::process::id()));
    let _remove = Remove(new.clone());
    // That of a start that was killed.
    remove(&new)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&new).map_err(JournalError::File)?;
    let mut connection = Connection::open(&new)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO journal (chain, executor, born_major, born_minor, major, minor, is_open, boot)
         VALUES (?1, ?2, ?3, ?4, 0, 0, 0, '')",
        params![
            chain.as_bytes(),
            executor.as_bytes(),
            signed(birth.major),
            signed(birth.minor)
        ],
    )?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    // What a journal left that was here would be taken for a part of this one.
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&beside(path, suffix))?;
    }
    // Unlike a rename it replaces nothing.
    fs::hard_link(&new, path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(),
        _ => JournalError::File(error),
    })?;
    remove(&new)?;
    sync_parent(path).map_err(JournalError::File)
}

/// Opens a journal for this process alone.
pub(super) fn open(
    path: &Path,
    chain: ChainId,
    executor: ExecutorId,
) -> Result<Opened, JournalError> {
    check_path(path)?;
    let wal = fs::metadata(beside(path, "-wal"));
    let has_wal = wal.is_ok_and(|wal| wal.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    let boot = boot();
    let is_synced =
        prepare(&mut connection, chain, executor, has_wal, &boot).map_err(|error| match error {
            JournalError::Sqlite(error) => explain(error),
            other => other,
        })?;
    let file = OpenFile::at(path).map_err(JournalError::File)?;
    Ok(Opened {
        connection,
        file,
        is_synced,
        knows_boots: !boot.is_empty(),
    })
}

/// Looks whether a file can be the journal of an executor on a chain, without a lock and without changing
/// anything: whoever runs it goes on.
pub(in crate::nautilus) fn look(
    path: &Path,
    chain: ChainId,
    executor: ExecutorId,
) -> Result<(), JournalError> {
    check_path(path)?;
    let mut head = [0; 100];
    let read = fs::File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut head));
    if read.is_err() || !head.starts_with(b"SQLite format 3\0") {
        return Err(unreadable("it is no SQLite database"));
    }
    // Where the file format has it: <https://sqlite.org/fileformat2.html#user_version_number>.
    let version = u64::from(u32::from_be_bytes([head[60], head[61], head[62], head[63]]));
    check_version(version)?;
    // Read as it lies there, so a page that is being written may be half a one: then it says nothing.
    let uri = format!(
        "file:{}?immutable=1",
        percent_encode(path.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC)
    );
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let owner = Connection::open_with_flags(uri, flags).and_then(|connection| {
        let select = "SELECT chain, executor FROM journal";
        connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))
    });
    match owner {
        Ok(owner) if owner != (*chain.as_bytes(), *executor.as_bytes()) => {
            Err(JournalError::Foreign)
        }
        _ => Ok(()),
    }
}

/// What must be so of the file before SQLite opens it.
fn check_path(path: &Path) -> Result<(), JournalError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(JournalError::Missing(path.to_owned()));
        }
        Err(error) => return Err(JournalError::File(error)),
    };
    if !metadata.is_file() {
        return Err(unreadable("it is not a regular file"));
    }
    // Who can write it can make a write begin twice.
    check_not_writable(path).map_err(JournalError::Exposed)?;
    // SQLite takes an empty file for a new database.
    if metadata.len() == 0 {
        return Err(unreadable("it is empty"));
    }
    Ok(())
}

/// One without a version is no journal at all.
fn check_version(version: u64) -> Result<(), JournalError> {
    if version == 0 {
        return Err(unreadable("it has no version"));
    }
    OtherVersion::check("journal", version, SCHEMA_VERSION.unsigned_abs())?;
    Ok(())
}

fn unreadable(why: &str) -> JournalError {
    JournalError::Unreadable(why.to_owned())
}

/// A journal that this process has open.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) file: OpenFile,
    /// Whether all is in it that was ever written: the machine has not gone down with it open.
    pub(super) is_synced: bool,
    /// Whether the next to open it will know that of this run.
    pub(super) knows_boots: bool,
}

/// Another one each time the machine starts; empty if there is no telling.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Whoever has another file in its place does not know what this one has: nothing may go on.
pub(super) fn check(file: &OpenFile) -> Result<(), JournalError> {
    match file.len() {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(JournalError::Gone),
        Err(error) => Err(JournalError::File(error)),
    }
}

/// Says that nothing is missing once the connection is closed.
pub(super) fn mark_closed(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE journal SET is_open = 0", [])?;
    Ok(())
}

fn prepare(
    connection: &mut Connection,
    chain: ChainId,
    executor: ExecutorId,
    has_wal: bool,
    boot: &str,
) -> Result<bool, JournalError> {
    connection.busy_timeout(Duration::from_millis(500))?;
    // Exclusive before anything else is read: then no other process gets in at all.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    check_version(u64::try_from(version).unwrap_or_default())?;
    // Nothing is changed in what is not this executor's journal, and whole.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let sound: String = transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(JournalError::Unreadable(sound));
    }
    let select = "SELECT chain, executor, is_open, boot FROM journal";
    let found: Option<([u8; 32], [u8; 32], bool, String)> = transaction
        .query_row(select, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((known_chain, known_executor, was_open, last_boot)) = found else {
        return Err(JournalError::Unreadable("it is of nobody".to_owned()));
    };
    if (known_chain, known_executor) != (*chain.as_bytes(), *executor.as_bytes()) {
        return Err(JournalError::Foreign);
    }
    // Whoever did not close it left its last commits in a file beside it.
    if was_open && !has_wal {
        return Err(JournalError::Unreadable(
            "what was written last is gone with the file beside it, whose name ends in -wal"
                .to_owned(),
        ));
    }
    transaction.commit()?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
    // Or a statement is planned anew whenever what is bound to it changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let update = "UPDATE journal SET is_open = 1, boot = ?1";
    connection.execute(update, [boot])?;
    // Into the file itself; the one beside it stays, and is not empty, until this process closes both.
    connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))?;
    Ok(!was_open || last_boot == boot)
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

/// Removes a file when dropped, if it is there.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        // The next one that is made removes what this leaves.
        let _ = remove(&self.0);
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(JournalError::File(error)),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Pages of 4 KiB.
const CACHE_PAGES: i32 = 256;

const SCHEMA_VERSION: i64 = 3;

const SCHEMA: &str = "
CREATE TABLE journal (chain BLOB NOT NULL, executor BLOB NOT NULL, born_major INTEGER NOT NULL, born_minor INTEGER NOT NULL, major INTEGER NOT NULL, minor INTEGER NOT NULL, is_open INTEGER NOT NULL, boot TEXT NOT NULL);
CREATE TABLE unanswered (token BLOB NOT NULL, request TEXT NOT NULL, event BLOB NOT NULL, prunable_at_ms INTEGER NOT NULL, PRIMARY KEY (token, request)) WITHOUT ROWID;
CREATE TABLE assignment (token BLOB NOT NULL, request TEXT NOT NULL, epoch INTEGER NOT NULL, phase INTEGER NOT NULL, call BLOB, forget_at_ms INTEGER NOT NULL, PRIMARY KEY (token, request, epoch)) WITHOUT ROWID;
";
