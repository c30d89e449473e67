//! Ordered, durable home of every call and its events.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::contract::{Call, Code, Request, State};
use crate::types::{Address, Digest, OtherVersion, RequestId, TokenId};
use crate::wire::{Deployment, Event};

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "local")]
pub mod local;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;

/// Result of what a ledger does.
pub type Result<T> = std::result::Result<T, Error>;

/// Ordered, durable home of every call and its events, seen from one account.
///
/// Cloning a backend shares its state. Every method may be retried.
#[async_trait]
pub trait Ledger: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Applies `call` as this backend's account and returns when it is final.
    ///
    /// # Errors
    /// - [`Error::Refused`]: the contract said no; carries its [`Code`]. Nothing changed.
    /// - [`Error::Invalid`]: it names what is not there, or costs what the account does not have.
    /// - [`Error::Busy`]: the queue is full; nothing was begun.
    /// - [`Error::Unavailable`]: nothing is known of the outcome yet; ask by digest.
    async fn call(&self, call: Call) -> Result<Receipt>;

    /// Events after `cursor`, oldest first, none left out; never ends by itself.
    fn events(&self, cursor: Cursor) -> BoxStream<'static, Result<SequencedEvent>>;

    /// A cursor before everything that happened at `time_ms` or later: where to look for an event of which the time
    /// is known. The nearer it is, the less is read.
    async fn before(&self, time_ms: u64) -> Result<Cursor> {
        let _ = time_ms;
        Ok(Cursor::START)
    }

    /// Shows the followed state to `reader`, which must not block: others wait meanwhile. Requests that were
    /// answered a while ago may be missing, see [`Ledger::request`].
    fn read(&self, reader: &mut dyn FnMut(&Snapshot<'_>));

    /// Brings the followed state to at least what was final when this was called.
    async fn sync(&self) -> Result<Cursor>;

    /// A request as the followed state has it, also one that was answered a while ago and that [`Ledger::read`]
    /// does not show any more. `None` if it was never admitted or is pruned.
    async fn request(&self, token: TokenId, id: RequestId) -> Result<Option<Request>> {
        let found = self.view(|snapshot| snapshot.state.request(token, id).cloned());
        Ok(found)
    }

    /// Requests that may be pruned now, at most `limit`.
    fn prunable(&self, limit: usize) -> Vec<(TokenId, RequestId)> {
        let all = |snapshot: &Snapshot<'_>| {
            snapshot
                .state
                .prunable(snapshot.now_ms)
                .take(limit)
                .collect()
        };
        self.view(all)
    }

    /// What became of a call; `None` if the ledger does not hold it (yet).
    async fn receipt(&self, call: Digest) -> Result<Option<Receipt>>;

    /// MIST that an account holds outside the contract.
    async fn balance(&self, account: Address) -> Result<u64>;

    /// Which deployment of the contract this is.
    fn deployment(&self) -> Deployment;

    /// The account that calls are made as.
    fn account(&self) -> Address;
}

/// The followed state at one moment.
#[derive(Debug)]
pub struct Snapshot<'a> {
    /// All objects, but for requests that were answered a while ago.
    pub state: &'a State,
    /// The last event that is in it.
    pub cursor: Cursor,
    /// Ledger time, Unix milliseconds: the last event's time or the wall clock, whichever is later.
    pub now_ms: u64,
}

/// What every [`Ledger`] can do because of what it must do.
#[async_trait]
pub trait LedgerExt: Ledger {
    /// What `reader` makes of the followed state.
    fn view<T>(&self, reader: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        let mut reader = Some(reader);
        let mut result = None;
        self.read(&mut |snapshot| {
            if let Some(reader) = reader.take() {
                result = Some(reader(snapshot));
            }
        });
        result.expect("a ledger shows its state once whenever it is asked")
    }

    /// Ledger time, Unix milliseconds.
    fn now_ms(&self) -> u64 {
        self.view(|snapshot| snapshot.now_ms)
    }
}

impl<L: Ledger + ?Sized> LedgerExt for L {}

/// Where an event stands in its ledger: whatever is later is greater. Text: `major.minor`, or `major` alone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Cursor {
    /// Sequence number of the event on a local ledger; checkpoint on Sui.
    pub major: u64,
    /// Position within it; 0 on a local ledger.
    pub minor: u64,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { major: 0, minor: 0 };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "{}", self.major),
            minor => write!(f, "{}.{minor}", self.major),
        }
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidCursor> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        let number = |digits: &str| {
            digits
                .parse()
                .map_err(|_| InvalidCursor(text.chars().take(64).collect()))
        };
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

/// Text that is no [`Cursor`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cursor, which is a number or two joined by a dot")]
pub struct InvalidCursor(String);

/// An event and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequencedEvent {
    /// Its place; pass it to [`Ledger::events`] to go on after it.
    pub cursor: Cursor,
    /// Ledger time of the call, Unix milliseconds.
    pub timestamp_ms: u64,
    /// The call that emitted it.
    pub call: Digest,
    /// Who made that call.
    pub sender: Address,
    /// What happened.
    pub event: Event,
}

/// A call that is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The call.
    pub call: Digest,
    /// Ledger time, Unix milliseconds.
    pub timestamp_ms: u64,
    /// What it emitted, in order; may be nothing.
    pub events: Vec<SequencedEvent>,
}

/// Why a ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The contract said no. Nothing changed.
    #[error("the contract refused the call: {0}")]
    Refused(Code),
    /// The call names what is not there, or costs what the account does not have. Nothing changed.
    #[error("the call cannot be made: {0}")]
    Invalid(String),
    /// Too much is waiting already. Nothing was begun.
    #[error("the ledger has too much to do")]
    Busy,
    /// Less disk is left than the reserve; answers are still stored, new work is not. Nothing changed.
    #[error("the ledger is below its reserve of disk")]
    DiskReserve,
    /// The ledger cannot be reached; what became of the call is not known.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// What is there is not what it should be: torn, foreign or edited.
    #[error("the ledger is damaged: {0}")]
    Corrupt(String),
    /// The events after the cursor were archived, up to this one. All that they were about is pruned.
    #[error(
        "the events up to {through} were archived: read them from the archive, or go on after {through}"
    )]
    Archived {
        /// The last that was.
        through: Cursor,
    },
    /// It is kept in another version than this program's, which may have happened while it was open. Nothing changed.
    #[error(transparent)]
    Version(#[from] OtherVersion),
    /// There is none, and none is made silently.
    #[error("there is no ledger in {0}")]
    NotFound(String),
    /// There is one already, or a part of one.
    #[error("there is a ledger in {0} already")]
    AlreadyExists(String),
    /// The account's key could not sign.
    #[error("the account cannot sign")]
    Signer(#[source] crate::crypto::SignerError),
    /// Something else, in words of the backend.
    #[error("{backend} failed")]
    Backend {
        /// Which backend.
        backend: &'static str,
        /// Its own error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether the same call may succeed later, unchanged.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::DiskReserve | Self::Unavailable(_) => true,
            Self::Signer(error) => error.is_retryable(),
            Self::Refused(_)
            | Self::Invalid(_)
            | Self::Corrupt(_)
            | Self::Archived { .. }
            | Self::Version(_)
            | Self::NotFound(_)
            | Self::AlreadyExists(_)
            | Self::Backend { .. } => false,
        }
    }

    /// The contract's code, if it was the contract that refused.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(code) => Some(*code),
            _ => None,
        }
    }
}
