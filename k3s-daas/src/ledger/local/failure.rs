//! What goes wrong inside, before it becomes the ledger's error.

use std::fmt;
use std::io;

use serde::Serialize;

use crate::ledger::Error;

/// The first place at which a log does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenLink {
    /// Which table, in the singular: `call`, `event`, `token`, …; `database` if it is no row.
    pub table: &'static str,
    /// Which row of it: a sequence number or an ID; empty if it is no row.
    pub row: String,
    /// What is wrong with it.
    pub what: String,
}

impl BrokenLink {
    pub(crate) fn new(
        table: &'static str,
        row: impl fmt::Display,
        what: impl Into<String>,
    ) -> Self {
        Self {
            table,
            row: row.to_string(),
            what: what.into(),
        }
    }

    pub(crate) fn database(what: impl Into<String>) -> Self {
        Self::new("database", "", what)
    }
}

impl fmt::Display for BrokenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.row.is_empty() {
            write!(f, "{}: {}", self.table, self.what)
        } else {
            write!(f, "{} {}: {}", self.table, self.row, self.what)
        }
    }
}

/// Any failure of the journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Broken(BrokenLink),
    #[error("cannot {what}")]
    Io {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Ledger(#[from] Error),
}

impl Failure {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

impl From<BrokenLink> for Failure {
    fn from(broken: BrokenLink) -> Self {
        Self::Broken(broken)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(broken) => Self::Corrupt(broken.to_string()),
            Failure::Io { ref source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::DiskReserve
            }
            Failure::Sqlite(error) => of_sqlite(error),
            Failure::Io { .. } => Self::Backend {
                backend: BACKEND,
                source: Box::new(failure),
            },
            Failure::Ledger(error) => error,
        }
    }
}

fn of_sqlite(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{
        CannotOpen, ConstraintViolation, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull,
        NotADatabase, SystemIoFailure,
    };
    match error.sqlite_error_code() {
        Some(NotADatabase) => Error::Corrupt("its file is no database".to_owned()),
        Some(DatabaseCorrupt) => Error::Corrupt(format!("its database is torn: {error}")),
        // Only who writes past the lock can be the first to a sequence number.
        Some(ConstraintViolation) => {
            Error::Corrupt(format!("a row is there that no call wrote: {error}"))
        }
        Some(DiskFull) => Error::DiskReserve,
        Some(DatabaseBusy | DatabaseLocked | SystemIoFailure | CannotOpen) => {
            Error::Unavailable(error.to_string())
        }
        _ => Error::Backend {
            backend: BACKEND,
            source: Box::new(error),
        },
    }
}

const BACKEND: &str = "local ledger";
