//! The executor's journal: when it is made, and what its troubles mean.
//!
//! It is made with the executor's registration, before anything can be assigned to it. Later it is made only on
//! purpose, by `daas executor journal`: what may have begun under one that is lost is not executed again.

use std::path::Path;

use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Cursor, LedgerExt as _};
use k3s_daas::nautilus::{self, JournalError};
use k3s_daas::types::ExecutorId;

use crate::exit::{Exit, Failure};
use crate::layout::{Layout, create_private_dir};

/// Makes the journal of an executor.
///
/// # Errors
/// If there is one already.
pub async fn create(
    layout: &Layout,
    ledger: &LocalLedger,
    executor: ExecutorId,
) -> anyhow::Result<()> {
    create_at(&layout.journal_of(executor), ledger, executor).await
}

/// Makes it in this file.
///
/// # Errors
/// If there is something already.
pub async fn create_at(
    file: &Path,
    ledger: &LocalLedger,
    executor: ExecutorId,
) -> anyhow::Result<()> {
    create_private_dir(file.parent().unwrap_or(file))?;
    let created = nautilus::create_journal(file, ledger, executor).await;
    created.map_err(explained)
}

/// Makes that of an executor that was just registered, `registered` being where the ledger says so: what it was
/// assigned meanwhile has begun nowhere.
///
/// # Errors
/// If there is something already.
pub fn create_first(
    file: &Path,
    ledger: &LocalLedger,
    executor: ExecutorId,
    registered: Cursor,
) -> anyhow::Result<()> {
    create_private_dir(file.parent().unwrap_or(file))?;
    let created = nautilus::create_first_journal(file, ledger, executor, registered);
    created.map_err(explained)
}

/// Makes the journal of an executor that was never assigned anything, unless there is one.
///
/// If it was assigned something a missing journal is a lost one, which running will say.
///
/// # Errors
/// If it cannot be made.
pub async fn ensure(
    layout: &Layout,
    ledger: &LocalLedger,
    executor: ExecutorId,
) -> anyhow::Result<()> {
    if layout.journal_of(executor).exists() || pending(ledger, executor).is_some() {
        return Ok(());
    }
    create(layout, ledger, executor).await
}

/// How many writes the ledger assigns to the executor now; `None` if it was never assigned anything that the
/// ledger still knows of.
#[must_use]
pub fn pending(ledger: &LocalLedger, executor: ExecutorId) -> Option<usize> {
    ledger.view(|now| {
        let mut requests = now.state.all_requests().map(|(_, _, request)| request);
        let Some(first) = requests.find(|request| request.executor == executor) else {
            // One at rest may have been its own.
            return (ledger.requests_at_rest() > 0).then_some(0);
        };
        let all = std::iter::once(first).chain(requests);
        let is_pending = |request: &&k3s_daas::contract::Request| {
            request.executor == executor && !request.is_read && request.outcome.is_none()
        };
        Some(all.filter(is_pending).count())
    })
}

/// What is wrong, and what to do about it.
#[must_use]
pub fn explained(error: nautilus::Error) -> anyhow::Error {
    let (exit, next) = match &error {
        nautilus::Error::Config(_) => (
            Exit::Settings,
            "`daas config show` lists the settings of [nautilus]",
        ),
        nautilus::Error::UnknownExecutor(_) => (
            Exit::Settings,
            "name an executor of this ledger in the settings as `executor`; `daas executor list` shows them",
        ),
        nautilus::Error::WrongKey => (
            Exit::Key,
            "restore the right key file, or name it in the settings as `keys.executor`",
        ),
        nautilus::Error::Journal(JournalError::InUse) => (
            Exit::Unavailable,
            "another process runs it over this directory; stop that one",
        ),
        nautilus::Error::Journal(JournalError::Missing(_)) => (
            Exit::Unverified,
            "put it back if it was moved; if it is lost, `daas executor journal` makes a new one, and writes that \
             wait for an answer are answered 504, outcome unknown",
        ),
        nautilus::Error::Journal(JournalError::Exists(_)) => (
            Exit::Refused,
            "use it; or move it away first, if it is damaged or another executor's",
        ),
        nautilus::Error::Journal(JournalError::Foreign) => (
            Exit::Unverified,
            "move it away, put that of this executor in its place, or make one with `daas executor journal`",
        ),
        nautilus::Error::Journal(JournalError::Ahead { .. }) => (
            Exit::Unverified,
            "restore the newer copy of the ledger, or move the journal away and run `daas executor journal`",
        ),
        nautilus::Error::Journal(JournalError::Exposed(_)) => (
            Exit::Unverified,
            "have it be its owner's alone again, once it is known that nobody has changed it",
        ),
        nautilus::Error::Journal(JournalError::Unreadable(_)) => (
            Exit::Unverified,
            "move it away and run `daas executor journal`; writes that wait for an answer are answered 504, outcome \
             unknown",
        ),
        _ => return anyhow::Error::from(error).context("cannot run Nautilus"),
    };
    Failure::new(exit, format!("cannot run Nautilus: {error}"))
        .with_next(next)
        .into()
}
