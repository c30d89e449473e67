//! What a command has to work with: settings, printer, keys, ledger, runtime.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use k3s_daas::crypto::keystore::{KeyFile, KeystoreError, Passphrase, load_development};
use k3s_daas::crypto::{Ed25519Signer, check_parent_of_private};
use k3s_daas::ledger::local::{ArchivedEvents, LocalLedger, Options};
use k3s_daas::ledger::{self, Cursor, Ledger as _, SequencedEvent};
use k3s_daas::types::{Address, ChainId};
use zeroize::Zeroizing;

use crate::args::{Global, Output};
use crate::exit::{self, Advise as _, Exit, Failure};
use crate::layout::Layout;
use crate::logging;
use crate::printer::Printer;
use crate::settings::{Flags, Key, Origin, Settings};

/// What a command has to work with.
#[derive(Debug)]
pub struct App {
    /// All settings.
    pub settings: Settings,
    /// Where results go.
    pub printer: Printer,
    passphrase_fd: Option<u32>,
    passphrase: OnceLock<Passphrase>,
}

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Holds the cluster's capability.
    Admin,
    /// Owns a seal token.
    Owner,
    /// Submits for bearers of credentials.
    Gateway,
    /// Owns an executor's stake.
    Operator,
    /// Signs answers.
    Executor,
    /// Opens what is sealed to an executor.
    Encryption,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Admin,
        Self::Owner,
        Self::Gateway,
        Self::Operator,
        Self::Executor,
        Self::Encryption,
    ];

    /// Its name, that of the key file too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
            Self::Executor => "executor",
            Self::Encryption => "encryption",
        }
    }

    /// The setting with its key file.
    #[must_use]
    pub fn key(self) -> Key {
        match self {
            Self::Admin => Key::AdminKey,
            Self::Owner => Key::OwnerKey,
            Self::Gateway => Key::GatewayKey,
            Self::Operator => Key::OperatorKey,
            Self::Executor => Key::ExecutorKey,
            Self::Encryption => Key::EncryptionKey,
        }
    }
}

impl App {
    /// Loads the settings; `flags` are those of the command itself.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(global: &Global, output: Output, flags: Flags) -> anyhow::Result<Self> {
        let mut all = global.flags();
        all.extend(flags);
        let settings = Settings::load(global.config.as_deref(), all)?;
        check_log(&settings)?;
        Ok(Self {
            settings,
            printer: Printer::new(output.output),
            passphrase_fd: global.passphrase_fd,
            passphrase: OnceLock::new(),
        })
    }

    /// The paths of the directory.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout::new(self.settings.dir())
    }

    /// Begins to log, as the settings say or with `default` if they say nothing; once in a process.
    ///
    /// # Errors
    /// If the filter is none.
    pub fn start_logging(&self, default: &str) -> anyhow::Result<()> {
        logging::start(
            self.log_filter(default),
            self.settings.text(Key::LogFormat) == Some("json"),
        )
    }

    /// What is logged, or `default` if the settings do not say.
    #[must_use]
    pub fn log_filter<'a>(&'a self, default: &'a str) -> &'a str {
        self.settings.text(Key::Log).unwrap_or(default)
    }

    /// Runs a command that talks to a ledger or a network.
    ///
    /// # Errors
    /// Those of the command.
    pub fn block_on<T>(
        &self,
        future: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        // The services have begun to by themselves.
        self.start_logging(logging::OF_COMMANDS)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let result = runtime.block_on(future);
        // What is left are idle connections and followers.
        runtime.shutdown_background();
        result
    }

    /// The ledger of the directory, up to date, as the account of this role.
    ///
    /// # Errors
    /// If there is no ledger or no such key.
    pub async fn ledger(&self, role: Role) -> anyhow::Result<LocalLedger> {
        self.open(Arc::new(self.signer(role)?)).await
    }

    /// The ledger of the directory, up to date, as an account that has and owns nothing.
    ///
    /// # Errors
    /// If there is no ledger.
    pub async fn reader(&self) -> anyhow::Result<LocalLedger> {
        self.open(Arc::new(Ed25519Signer::generate())).await
    }

    /// Events after a cursor that were archived in some directories; none if no directory is named.
    ///
    /// # Errors
    /// If the archive cannot be read, or is not of this ledger.
    pub fn archived_events(
        &self,
        directories: &[PathBuf],
        after: Cursor,
    ) -> anyhow::Result<impl Iterator<Item = ledger::Result<SequencedEvent>>> {
        check_archives(directories)?;
        let events = (!directories.is_empty())
            .then(|| ArchivedEvents::open(self.layout().ledger(), directories, after))
            .transpose()?;
        Ok(events.into_iter().flatten())
    }

    async fn open(&self, signer: Arc<Ed25519Signer>) -> anyhow::Result<LocalLedger> {
        let dir = self.layout().ledger();
        let ledger = LocalLedger::open_with(dir, signer, self.ledger_options());
        let ledger = ledger.map_err(|error| self.no_ledger(error))?;
        self.expect_chain(ledger.deployment().chain)?;
        ledger.sync().await?;
        Ok(ledger)
    }

    /// How the ledger of the directory is used.
    #[must_use]
    pub fn ledger_options(&self) -> Options {
        let mut options = Options::default();
        if let Some(bytes) = self.settings.value(Key::LedgerReserveBytes) {
            options.reserve_bytes = bytes;
        }
        options
    }

    /// Holds a ledger's chain against that of the settings, if they have one: a ledger that was put in the
    /// place of another holds in itself.
    ///
    /// # Errors
    /// [`Exit::Unverified`] if it is another.
    pub fn expect_chain(&self, chain: ChainId) -> anyhow::Result<()> {
        match self.settings.value::<ChainId>(Key::Chain) {
            Some(expected) if expected != chain => Err(Failure::new(
                Exit::Unverified,
                format!("the ledger is of chain {chain}, and the settings speak of {expected}"),
            )
            .with_next("put the right ledger back, or correct `chain` (`daas config show` says where it is from)")
            .into()),
            _ => Ok(()),
        }
    }

    /// The error of a ledger that cannot be opened, with advice.
    #[must_use]
    pub fn no_ledger(&self, error: ledger::Error) -> anyhow::Error {
        match error {
            ledger::Error::NotFound(_) => Failure::new(
                Exit::NotFound,
                format!("there is no ledger in {}", self.layout().ledger().display()),
            )
            .with_next("name the directory with --dir, or make one with `daas dev` or `daas cluster create`")
            .into(),
            error => error.into(),
        }
    }

    /// The key of this role, unlocked: a development key in a development directory, else an
    /// encrypted one with the passphrase.
    ///
    /// # Errors
    /// If there is none, or it is not for here, or the passphrase is wrong.
    pub fn signer(&self, role: Role) -> anyhow::Result<Ed25519Signer> {
        let path: std::path::PathBuf = self.settings.required(role.key())?;
        self.signer_in(&path, role.name())
    }

    /// The key in a file, unlocked.
    ///
    /// # Errors
    /// As [`App::signer`].
    pub fn signer_in(&self, path: &Path, what: &str) -> anyhow::Result<Ed25519Signer> {
        check_directory_of(path)?;
        match KeyFile::read(path) {
            Ok(file) => {
                let passphrase = self.passphrase(&format!("Passphrase of the {what} key: "))?;
                file.unlock(&passphrase).advise(
                    format!("cannot unlock the {what} key in {}", path.display()),
                    "check the passphrase; it comes from --passphrase-fd, --passphrase-file, or the terminal",
                )
            }
            Err(KeystoreError::DevelopmentKey { .. }) if self.settings.is_development() => {
                load_development(path).map_err(|error| no_key(error, path, what))
            }
            Err(error) => Err(no_key(error, path, what)),
        }
    }

    /// The address of this role's key, without unlocking it.
    ///
    /// # Errors
    /// If there is none, or it is not for here.
    pub fn address(&self, role: Role) -> anyhow::Result<Address> {
        let path: std::path::PathBuf = self.settings.required(role.key())?;
        Ok(self.public_key_in(&path, role.name())?.address())
    }

    /// The public key in a key file, without unlocking it.
    ///
    /// # Errors
    /// If there is none, or it is not for here.
    pub fn public_key_in(
        &self,
        path: &Path,
        what: &str,
    ) -> anyhow::Result<k3s_daas::crypto::PublicKey> {
        check_directory_of(path)?;
        match KeyFile::read(path) {
            Ok(file) => Ok(file.public_key()),
            Err(KeystoreError::DevelopmentKey { .. }) if self.settings.is_development() => {
                let signer = load_development(path);
                Ok(signer
                    .map_err(|error| no_key(error, path, what))?
                    .public_key())
            }
            Err(error) => Err(no_key(error, path, what)),
        }
    }

    /// The passphrase: from the descriptor, the file or the terminal; asked for once.
    ///
    /// # Errors
    /// If there is none to be had.
    pub fn passphrase(&self, prompt: &str) -> anyhow::Result<Passphrase> {
        if let Some(passphrase) = self.passphrase.get() {
            return Ok(passphrase.clone());
        }
        let passphrase = self.read_passphrase(prompt, false)?;
        Ok(self.passphrase.get_or_init(|| passphrase).clone())
    }

    /// A passphrase for a new key; on a terminal it is asked for twice.
    ///
    /// # Errors
    /// If there is none to be had, or the two differ.
    pub fn new_passphrase(&self) -> anyhow::Result<Passphrase> {
        self.read_passphrase("Passphrase for the new key: ", true)
    }

    fn read_passphrase(&self, prompt: &str, twice: bool) -> anyhow::Result<Passphrase> {
        if let Some(fd) = self.passphrase_fd {
            // On Linux and the BSDs these are the process's own open files.
            let path = format!("/dev/fd/{fd}");
            let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
            return first_line(file).map_err(|error| unreadable(&path, &error));
        }
        if let Some(path) = self.settings.path(Key::PassphraseFile) {
            let bytes = k3s_daas::crypto::read_private(&path)?;
            return first_line(&bytes[..])
                .map_err(|error| unreadable(&path.to_string_lossy(), &error));
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Key,
                "the key needs its passphrase, and there is no terminal to ask on",
            )
            .with_next("give it with --passphrase-file or --passphrase-fd")
            .into());
        }
        let ask = |prompt: &str| {
            rpassword::prompt_password(prompt)
                .map(Zeroizing::new)
                .context("cannot ask for the passphrase")
        };
        let passphrase = ask(prompt)?;
        if twice && ask("The same again: ")? != passphrase {
            return Err(Failure::new(Exit::Key, "the two passphrases differ").into());
        }
        Ok(Passphrase::from(passphrase))
    }
}

/// Whether each is a directory. A ledger that was never archived needs none, and would not say so.
///
/// # Errors
/// [`Exit::NotFound`] for the first that is not.
pub fn check_archives(directories: &[PathBuf]) -> anyhow::Result<()> {
    let Some(missing) = directories.iter().find(|directory| !directory.is_dir()) else {
        return Ok(());
    };
    let message = format!("there is no archive in {}", missing.display());
    Err(Failure::new(Exit::NotFound, message)
        .with_next("name the directory that `daas ledger archive` moved to with --archive")
        .into())
}

fn check_log(settings: &Settings) -> anyhow::Result<()> {
    let Some(Err(wrong)) = settings.text(Key::Log).map(logging::check) else {
        return Ok(());
    };
    Err(match settings.origin(Key::Log) {
        Some(Origin::Flag) => Failure::new(Exit::Usage, format!("--log: {wrong}")),
        Some(origin) => Failure::new(Exit::Settings, format!("`log` from {origin}: {wrong}")),
        None => Failure::new(Exit::Settings, wrong),
    }
    .into())
}

/// A directory in which others can replace a key is as good as a key that they have, says ssh too.
///
/// # Errors
/// [`Exit::Key`], with the command that closes it.
pub(crate) fn check_directory_of(key: &Path) -> anyhow::Result<()> {
    let checked = match check_parent_of_private(key) {
        // Then the key is missing, which has words of its own.
        Err(error) if error.is_not_found() => Ok(()),
        checked => checked,
    };
    checked.advise(
        "the directory of the key is open to others",
        "close it, and look whether the keys in it are still yours",
    )
}

/// The error of a key that cannot be loaded, with advice.
pub(crate) fn no_key(error: KeystoreError, path: &Path, what: &str) -> anyhow::Error {
    if matches!(&error, KeystoreError::File(error) if error.is_not_found()) {
        let path = path.display();
        return Failure::new(Exit::Key, format!("there is no {what} key in {path}"))
            .with_next(format!(
                "restore the file if there was one; else make one with `daas key new {path}`, or start with \
                 `daas dev`"
            ))
            .into();
    }
    let (message, next) = if matches!(error, KeystoreError::DevelopmentKey { .. }) {
        (
            format!(
                "the {what} key is a development key, which nothing but a development directory accepts"
            ),
            "make a key of your own with `daas key new FILE`",
        )
    } else {
        (
            format!("the {what} key in {} cannot be used", path.display()),
            "make the file private and whole again, or name another one in the settings",
        )
    };
    exit::advised(error, message, next)
}

fn first_line(from: impl io::Read) -> io::Result<Passphrase> {
    // Room enough that the vector does not grow and leave copies behind.
    let mut line = Zeroizing::new(String::with_capacity(MAX_PASSPHRASE + 2));
    BufReader::with_capacity(1, from.take(MAX_PASSPHRASE as u64 + 1)).read_line(&mut line)?;
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(Passphrase::from(line))
}

fn unreadable(path: &str, error: &io::Error) -> anyhow::Error {
    Failure::new(
        Exit::Key,
        format!("cannot read the passphrase from {path}: {error}"),
    )
    .into()
}

/// Bytes; longer ones are cut, and then do not fit.
const MAX_PASSPHRASE: usize = 1024;
