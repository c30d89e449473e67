//! Exit codes, and the errors that choose them.

use std::fmt;
use std::io;

use k3s_daas::blob;
use k3s_daas::contract::Code;
use k3s_daas::crypto::PrivateFileError;
use k3s_daas::crypto::keystore::KeystoreError;
use k3s_daas::gateway::TlsError;
use k3s_daas::{ledger, memory_cluster, nautilus};

use crate::settings;
use crate::versions;

/// What a program's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something else went wrong.
    Failure = 1,
    /// The command line is not understood.
    Usage = 2,
    /// The contract, or Kubernetes' own rules, said no.
    Refused = 3,
    /// What was asked for is not there.
    NotFound = 4,
    /// Ledger, gateway or cluster cannot be reached or is in use now; try again.
    Unavailable = 5,
    /// The trail or the ledger is not what it should be.
    Unverified = 6,
    /// The settings are wrong or incomplete.
    Settings = 7,
    /// A key is missing, locked, or not allowed here.
    Key = 8,
    /// A directory or the contract is of another version than this program; nothing was changed.
    Version = 9,
}

impl Exit {
    /// The code of `error`: the first in its chain that stands for one.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(Self::of_cause)
            .unwrap_or(Self::Failure)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if versions::of_cause(cause).is_some() {
            return Some(Self::Version);
        }
        if let Some(error) = cause.downcast_ref::<ledger::Error>() {
            return Some(match error {
                ledger::Error::Refused(_) => Self::Refused,
                ledger::Error::Corrupt(_) => Self::Unverified,
                error if error.is_retryable() => Self::Unavailable,
                _ => Self::Failure,
            });
        }
        if cause.is::<settings::Error>() {
            return Some(Self::Settings);
        }
        if cause.is::<KeystoreError>() || cause.is::<PrivateFileError>() {
            return Some(Self::Key);
        }
        if let Some(error) = cause.downcast_ref::<TlsError>() {
            return matches!(
                error,
                TlsError::File(_)
                    | TlsError::Unusable { .. }
                    | TlsError::Pem(_)
                    | TlsError::Config(_)
            )
            .then_some(Self::Key);
        }
        if let Some(error) = cause.downcast_ref::<nautilus::Error>() {
            return match error {
                nautilus::Error::WrongKey => Some(Self::Key),
                nautilus::Error::Journal(nautilus::JournalError::InUse) => Some(Self::Unavailable),
                _ => None,
            };
        }
        if let Some(error) = cause.downcast_ref::<memory_cluster::Error>() {
            return match error {
                memory_cluster::Error::Identity(_) => Some(Self::Key),
                error if is_in_use(error) => Some(Self::Unavailable),
                _ => None,
            };
        }
        if let Some(error) = cause.downcast_ref::<blob::Error>() {
            return matches!(error, blob::Error::Key { .. }).then_some(Self::Key);
        }
        // Whoever reads our output has seen enough.
        let broken = cause.downcast_ref::<io::Error>()?.kind() == io::ErrorKind::BrokenPipe;
        broken.then_some(Self::Ok)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that says what to do next, and which exit code it is.
#[derive(Debug)]
pub struct Failure {
    exit: Option<Exit>,
    message: String,
    next: Option<String>,
}

impl Failure {
    /// A failure of this kind; lower-case, no full stop.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit: Some(exit),
            message: message.into(),
            next: None,
        }
    }

    /// Says what the user can do about it.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// What the user can do about it.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// `error` with what was attempted and what the user can do, without changing its exit code.
pub fn advised(
    error: impl Into<anyhow::Error>,
    message: impl Into<String>,
    next: impl Into<String>,
) -> anyhow::Error {
    let advice = Failure {
        exit: None,
        message: message.into(),
        next: Some(next.into()),
    };
    error.into().context(advice)
}

/// Adds advice to an error without changing its exit code.
pub trait Advise<T> {
    /// Says what was attempted, and what the user can do about its failure.
    ///
    /// # Errors
    /// The same as before.
    fn advise(
        self,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Result<T, anyhow::Error>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn advise(
        self,
        message: impl Into<String>,
        next: impl Into<String>,
    ) -> Result<T, anyhow::Error> {
        self.map_err(|error| advised(error, message, next))
    }
}

/// Whether another process runs over the memory cluster's directory.
#[must_use]
pub fn is_in_use(error: &memory_cluster::Error) -> bool {
    let memory_cluster::Error::Journal(error) = error else {
        return false;
    };
    let code = error.sqlite_error_code();
    code == Some(rusqlite::ErrorCode::DatabaseBusy)
        || code == Some(rusqlite::ErrorCode::DatabaseLocked)
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What to do about `error`: the advice nearest to the user.
#[must_use]
pub fn advice(error: &anyhow::Error) -> Option<String> {
    // A context is not in `chain` as itself but as a wrapper that `downcast_ref` sees through.
    if let Some(next) = error.downcast_ref::<Failure>().and_then(Failure::next) {
        return Some(next.to_owned());
    }
    if let Some(other) = error.chain().find_map(versions::of_cause) {
        return Some(versions::advice(other));
    }
    let mut causes = error.chain();
    causes.find_map(|cause| match cause.downcast_ref::<ledger::Error>() {
        Some(ledger::Error::Corrupt(_)) => Some(
            "run `daas audit verify` to see the first broken link, and restore the directory from a copy".to_owned(),
        ),
        Some(ledger::Error::Refused(code)) => refused(*code).map(str::to_owned),
        Some(error) if error.is_retryable() => Some("try again in a moment".to_owned()),
        _ => cause.downcast_ref::<Failure>()?.next().map(str::to_owned),
    })
}

/// What to look at when the contract refuses a change; none where its text says it all.
fn refused(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::InvalidSealToken => {
            "`daas token show` tells whether it is revoked, ended or not yet valid, and of which cluster it is"
        }
        Code::NotTokenHolder => {
            "use the owner's key (`keys.owner`); or have the owner run `daas token delegate` with this account"
        }
        Code::InsufficientStake | Code::StillUnbonding => {
            "`daas token show` and `daas executor list` say what is staked, and what is paid out when"
        }
        Code::NotAdmin => {
            "use the key that made the cluster (`keys.admin`) and its `admin_cap`; `daas cluster show` has that"
        }
        Code::NotOwner => {
            "use the key of whoever owns it: `keys.owner` for a token, `keys.operator` for an executor"
        }
        Code::InvalidPolicy => {
            "`daas cluster set --help` lists what there is to set, `daas cluster show` what is set"
        }
        Code::DuplicateKey => "each key is registered once: make another one with `daas key new`",
        Code::LimitExceeded => {
            "docs/message-formats.md has all bounds, such as how many session keys, delegates and rules a token has"
        }
        Code::InvalidExpiry => "name a later end; `daas token show` has the token's own",
        _ => return None,
    })
}

/// The table of exit codes, for `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  something else went wrong
  2  the command line is not understood
  3  refused by the contract or by Kubernetes
  4  what was asked for is not there
  5  ledger, gateway or cluster cannot be reached or is in use now; try again
  6  the trail or the ledger is not what it should be
  7  the settings are wrong or incomplete
  8  a key is missing, locked, or not allowed here
  9  a directory or the contract is of another version than this program; nothing was changed";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_a_refusal_advises_is_there() {
        for code in Code::ALL {
            let advice = advice(&ledger::Error::Refused(*code).into()).unwrap_or_default();
            for (at, run) in advice.split('`').enumerate() {
                let Some(words) = run.strip_prefix("daas ").filter(|_| at % 2 == 1) else {
                    continue;
                };
                let mut command = &Cli::command();
                for word in words.split(' ').filter(|word| !word.starts_with('-')) {
                    let found = command.find_subcommand(word);
                    command = found.unwrap_or_else(|| panic!("{code:?} advises `{run}`"));
                }
            }
        }
    }

    #[test]
    fn the_readme_has_the_same_exit_codes() {
        let readme = include_str!("../../README.md");
        for line in HELP.lines().skip(1) {
            let (code, meaning) = line.trim().split_once("  ").unwrap_or_default();
            assert!(
                readme.contains(&format!("| {code} | {meaning} |")),
                "{line}"
            );
        }
    }
}
