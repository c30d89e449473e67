//! The service that executes what the ledger admitted: ledger in, cluster out.
//!
//! For each request that is assigned to its executor it fetches the bytes beside the ledger, checks all
//! of it again ([`crate::token::Authorized`]), writes down that it begins, sends it once, signs the
//! answer, writes that down too, and stores it on the ledger until the ledger has it. A crash at any
//! point ends in at most one execution and exactly one answer.
//!
//! It writes that down in a journal, which [`create_first_journal`] makes once, when its executor is registered.

mod answer;
mod config;
mod controls;
mod core;
mod duties;
mod follow;
mod journal;
mod queue;
mod reply;
mod room;
mod spans;
mod status;
mod watch;
mod worker;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::blob::BlobStore;
use crate::crypto::Signer;
use crate::executor::Executor;
use crate::ledger::{self, Cursor, Ledger, LedgerExt as _};
use crate::spans::SpanSink;
use crate::types::ExecutorId;

pub use config::Config;
pub use controls::Controls;
pub use journal::JournalError;
pub use status::Status;

use self::core::Core;
use self::journal::{Journal, Recovered};

/// Makes the journal of an executor whom the caller has just registered, in a file whose directory exists;
/// `registered` is where the ledger says so. No other journal of it may ever have been made.
///
/// All that is assigned to it from then on is executed under this journal, also what is assigned already.
///
/// # Errors
/// [`Error::Journal`]: there is one already, or its file cannot be made.
pub fn create_first_journal(
    path: &Path,
    ledger: &dyn Ledger,
    executor: ExecutorId,
    registered: Cursor,
) -> Result<()> {
    journal::create(path, ledger.deployment().chain, executor, registered)?;
    Ok(())
}

/// Makes the journal of an executor in a file whose directory exists, in the place of one that is lost.
///
/// Writes that the ledger assigned to the executor before this moment are never executed under this
/// journal: they may have begun under an earlier one, so they are answered 504, outcome unknown.
///
/// # Errors
/// - [`Error::Journal`]: there is one already, or its file cannot be made.
/// - [`Error::UnknownExecutor`]: the ledger has no such executor.
/// - [`Error::Ledger`]: it does not say where it is.
pub async fn create_journal(path: &Path, ledger: &dyn Ledger, executor: ExecutorId) -> Result<()> {
    // Said before the ledger is asked, and looked at again after: see `journal::create`.
    if path.symlink_metadata().is_ok() {
        return Err(JournalError::Exists(path.to_owned()).into());
    }
    ledger.sync().await?;
    let found = ledger.view(|now| now.state.executor(executor).map(|_| now.cursor));
    let birth = found.ok_or(Error::UnknownExecutor(executor))?;
    journal::create(path, ledger.deployment().chain, executor, birth)?;
    Ok(())
}

/// Looks whether a file can be the journal of an executor, without a lock and without changing anything.
///
/// What only opening it finds is not looked for: damage inside, or that the file beside it is gone.
///
/// # Errors
/// [`Error::Journal`]: there is none, it is another's, of another version, or no journal.
pub fn check_journal(path: &Path, ledger: &dyn Ledger, executor: ExecutorId) -> Result<()> {
    journal::look(path, ledger.deployment().chain, executor)?;
    Ok(())
}

/// An executor's service: follows the ledger, executes, answers.
pub struct Nautilus {
    parts: Parts,
    controls: Arc<Controls>,
    journal: Journal,
    recovered: Recovered,
}

/// Puts a [`Nautilus`] together.
#[must_use]
pub struct NautilusBuilder {
    parts: Parts,
}

struct Parts {
    ledger: Arc<dyn Ledger>,
    executor: Arc<dyn Executor>,
    blobs: Arc<dyn BlobStore>,
    signer: Arc<dyn Signer>,
    me: ExecutorId,
    config: Config,
    status: Arc<Status>,
    spans: Option<Arc<dyn SpanSink>>,
}

impl Nautilus {
    /// Begins one: `signer` holds the signing key that the ledger has for `executor_id`; `ledger`'s
    /// account pays for the answers and need not be anything else.
    pub fn builder(
        ledger: Arc<dyn Ledger>,
        executor: Arc<dyn Executor>,
        blobs: Arc<dyn BlobStore>,
        signer: Arc<dyn Signer>,
        executor_id: ExecutorId,
    ) -> NautilusBuilder {
        NautilusBuilder {
            parts: Parts {
                ledger,
                executor,
                blobs,
                signer,
                me: executor_id,
                config: Config::default(),
                status: Arc::default(),
                spans: None,
            },
        }
    }

    /// How it is doing; stays valid while it runs.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.parts.status)
    }

    /// Changes how it behaves while it runs.
    #[must_use]
    pub fn controls(&self) -> Arc<Controls> {
        Arc::clone(&self.controls)
    }

    /// Runs until `shutdown`, then gives back what it did not begin and finishes what it did.
    ///
    /// Dropping the future is a crash: the next run finishes what was begun.
    ///
    /// # Errors
    /// - [`Error::UnknownExecutor`], [`Error::WrongKey`]: it is not what the ledger has.
    /// - [`Error::Ledger`]: the ledger is damaged, or does not answer at the start.
    /// - [`Error::Journal`]: nothing may be begun without it.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let Self {
            parts,
            controls,
            journal,
            recovered,
        } = self;
        parts.ledger.sync().await?;
        let me = parts.me;
        let found = parts.ledger.view(|snapshot| {
            let executor = snapshot.state.executor(me)?;
            Some((executor.cluster, executor.signing_key))
        });
        let (cluster, key) = found.ok_or(Error::UnknownExecutor(me))?;
        if key != parts.signer.public_key() {
            return Err(Error::WrongKey);
        }
        let (followed, ledger) = (
            recovered.cursor.max(recovered.birth),
            parts.ledger.view(|snapshot| snapshot.cursor),
        );
        if ledger < followed {
            return Err(JournalError::Ahead { followed, ledger }.into());
        }
        let fence = if recovered.is_synced {
            recovered.birth
        } else {
            ledger
        };
        let bounds = (recovered.birth, fence);
        Core::new(parts, controls, cluster, journal, bounds, shutdown)
            .run(recovered)
            .await
    }
}

impl NautilusBuilder {
    /// Sets how it behaves.
    pub fn with_config(mut self, config: Config) -> Self {
        self.parts.config = config;
        self
    }

    /// Sets who takes the spans of what it executes; nobody unless set.
    pub fn with_spans(mut self, spans: Arc<dyn SpanSink>) -> Self {
        self.parts.spans = Some(spans);
        self
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// - [`Error::Config`]: a value is out of its bounds.
    /// - [`Error::Journal`]: there is none, it is in use, of another executor or version, or damaged.
    pub fn build(self) -> Result<Nautilus> {
        let parts = self.parts;
        if let Some(text) = parts.config.invalid() {
            return Err(Error::Config(text));
        }
        let chain = parts.ledger.deployment().chain;
        let (journal, recovered) = Journal::open(&parts.config.journal, chain, parts.me)?;
        Ok(Nautilus {
            controls: Arc::new(Controls::new(parts.config.clone())),
            parts,
            journal,
            recovered,
        })
    }
}

impl fmt::Debug for Nautilus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nautilus")
            .field("ledger", &self.parts.ledger)
            .field("executor", &self.parts.me)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NautilusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NautilusBuilder")
            .field("executor", &self.parts.me)
            .field("config", &self.parts.config)
            .finish_non_exhaustive()
    }
}

/// Result of what a [`Nautilus`] does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a [`Nautilus`] does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the configuration is out of its bounds.
    #[error("the configuration is not valid: {0}")]
    Config(&'static str),
    /// The ledger has no such executor.
    #[error("the ledger has no executor {0}")]
    UnknownExecutor(ExecutorId),
    /// The ledger has another signing key for it.
    #[error("the ledger has another signing key for this executor")]
    WrongKey,
    /// The ledger cannot be followed.
    #[error("the ledger cannot be followed")]
    Ledger(#[from] ledger::Error),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
