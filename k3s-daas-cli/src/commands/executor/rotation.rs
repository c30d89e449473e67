//! `daas executor rotate` and `daas executor retire`: one executor takes the place of another.
//!
//! The contract knows no new key for an executor, and takes no answer from one that is not active. So the new key
//! is a new executor's; and the old one gives back what it has not begun, until it has nothing, before it is
//! deactivated.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k3s_daas::contract::{Call, ExecutorEntry};
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::crypto::PublicKey;
use k3s_daas::crypto::keystore::{KdfCost, KeyFile, Passphrase, load_or_create_development};
use k3s_daas::executor::{Error as Upstream, FnExecutor};
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::nautilus::{self, Nautilus};
use k3s_daas::types::{AdminCapId, ClusterId, ExecutorId, HexBytes};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::register_call;
use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::journal;
use crate::keys::encryption_public_key;
use crate::layout::create_private_dir;
use crate::names;
use crate::printer::Show;
use crate::services;
use crate::settings::{self, Flags, Key, Origin};
use crate::units::{Amount, Span};

/// How the executor gets new keys.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Makes a signing and an encryption key in keys/, registers a new executor with them, with the stake that the policy \
asks for and a journal of its own, and puts all of that into the settings file. The old executor goes on until its \
daas-nautilus stops. Then restart daas-nautilus, which comes up as the new one, and run `daas executor retire` for \
the old one. What was killed half way is finished by running it again. The operator stays; for another one set \
`keys.operator` first.

Examples:
  daas executor rotate
  daas executor rotate --stake 2SUI -o name")]
pub struct Rotate {
    /// Stake of the new executor, from the operator's balance; what the policy asks for otherwise.
    #[arg(long, value_name = "AMOUNT")]
    stake: Option<Amount>,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Which executor ends, and how.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The daas-nautilus of this executor must have stopped, and another executor must answer. What the old one was \
assigned and has not begun is given back under its key, to the others; what it has signed is delivered; a write that \
it began and did not end is answered 504, outcome unknown. When it has nothing left it is deactivated: its key is \
refused from then on. Its stake is its operator's: `daas executor unstake`, and after the unbonding time \
`daas executor withdraw`.

A key that others may have is not to sign anything more: `daas executor deactivate` at once, and what was assigned to \
it waits for its lease or deadline.

Examples:
  daas executor retire 0xe8ec…
  daas executor retire 0xe8ec… --for 10m -o json")]
pub struct Retire {
    /// Which.
    #[arg(value_parser = names::parse::<ExecutorId>)]
    executor: ExecutorId,
    /// Its key file; otherwise the one in keys/ that has its key.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// For how long it is tried.
    #[arg(long = "for", value_name = "TIME", default_value = "2m")]
    span: Span,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Registers a new executor in the place of the settings' own.
///
/// # Errors
/// [`Exit::Settings`] if variables or flags say which executor it is, else what ledger and files say.
pub(super) fn rotate(args: &Rotate, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    for key in [Key::Executor, Key::ExecutorKey, Key::EncryptionKey] {
        if let Some(origin @ (Origin::Env(_) | Origin::Flag)) = app.settings.origin(key) {
            let (name, file) = (key.name(), app.settings.file().display());
            let message = format!("`{name}` is from {origin}, and what is changed is {file}");
            return Err(Failure::new(Exit::Settings, message)
                .with_next(format!(
                    "set `{name}` in that file, unset {origin}, and run it again"
                ))
                .into());
        }
    }
    app.block_on(async {
        let old: ExecutorId = app.settings.required(Key::Executor)?;
        let admin = app.ledger(Role::Admin).await?;
        let executors = entries(&app, &admin)?;
        let keys = NewKeys::find_or_make(&app, old, &executors)?;
        let (executor, registered) = match executors
            .iter()
            .find(|entry| entry.signing_key == keys.signing)
        {
            // Of an earlier run that did not come to its end.
            Some(entry) => (entry.id, None),
            None => {
                let call = Call::RegisterExecutor {
                    cap: app.settings.required(Key::AdminCap)?,
                    cluster: app.settings.required(Key::Cluster)?,
                    operator: app.address(Role::Operator)?,
                    signing_key: HexBytes::from(keys.signing.as_ref()),
                    encryption_key: HexBytes::from(&keys.encryption[..]),
                    attestation: HexBytes::default(),
                };
                let (executor, registered) = register_call(&admin, call).await?;
                (executor, Some(registered))
            }
        };
        let layout = app.layout();
        let file = layout.own_journal_of(executor);
        match registered {
            // Under load it is assigned requests already.
            Some(registered) => journal::create_first(&file, &admin, executor, registered)?,
            None if file.exists() => {}
            None => journal::create_at(&file, &admin, executor).await?,
        }
        let stake = deposit(&app, &admin, executor, args.stake).await;
        let stake = stake.map_err(|error| {
            let message = format!("executor {executor} is registered, has no stake and is not used yet: {error:#}");
            let next = format!(
                "add stake from an account that has it, `daas executor stake AMOUNT --executor {executor}` with that \
                 one's key in DAAS_OPERATOR_KEY, and run it again"
            );
            Failure::new(Exit::of(&error), message).with_next(next)
        })?;
        let path = |file: &Path| {
            // As short as the settings file can have it.
            let beside = app.settings.file().parent().unwrap_or(file);
            let file = file.strip_prefix(beside).unwrap_or(file);
            file.to_string_lossy().into_owned().into()
        };
        settings::update(
            app.settings.file(),
            &[
                (Key::Executor, executor.to_string().into()),
                (Key::ExecutorKey, path(&keys.signing_file)),
                (Key::EncryptionKey, path(&keys.encryption_file)),
            ],
        )?;
        app.printer.object(&Rotated {
            executor,
            replaces: old,
            signing_key: keys.signing,
            key_file: keys.signing_file,
            journal: file,
            stake_mist: stake,
        })?;
        app.printer.note(&format!(
            "restart daas-nautilus, then run `daas executor retire {old}`"
        ));
        Ok(())
    })
}

/// Has an executor give back what it has, and deactivates it.
///
/// # Errors
/// [`Exit::Settings`] if it is the settings' own, [`Exit::Refused`] if there is no other, [`Exit::Unavailable`] if
/// its Nautilus runs or it did not come to an end in time; it is active then.
pub(super) fn retire(args: &Retire, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    // What is given back says so of itself, and is many.
    app.start_logging("error")?;
    app.block_on(async {
        let id = args.executor;
        let admin = app.ledger(Role::Admin).await?;
        let executors = entries(&app, &admin)?;
        let Some(entry) = executors.iter().find(|entry| entry.id == id) else {
            let message = format!("the cluster has no executor {id}");
            return Err(Failure::new(Exit::NotFound, message)
                .with_next("`daas executor list` shows those that there are")
                .into());
        };
        if !entry.active && waiting(&admin, id) == 0 {
            return Ok(app.printer.object(&Retired::of(id, 0))?);
        }
        check_may_go(&app, &admin, id)?;
        let signer = signer_of(&app, entry, args.signing_key.as_deref())?;
        let mut config = app.settings.nautilus(&app.layout())?;
        config.journal = app.layout().journal_of(id);
        config.scan_interval = SCAN;
        config.prune_interval = Duration::ZERO;
        // Nothing is taken on, and everything may be given away.
        config.claim_delay = Duration::from_secs(24 * 3600);
        config.max_releases = u64::MAX;
        let nowhere = FnExecutor::new(|_| async {
            Err(Upstream::NotSent {
                reason: "this executor gives back what it has".to_owned(),
            })
        });
        let service = Nautilus::builder(
            Arc::new(admin.clone()),
            Arc::new(nowhere),
            services::blobs(&app.layout())?,
            Arc::new(signer),
            id,
        );
        let service = service.with_config(config).build();
        let service = service.map_err(|error| not_alone(error, id))?;
        let status = service.status();
        let shutdown = CancellationToken::new();
        let mut running = tokio::spawn(service.run(shutdown.clone()));
        let ended = tokio::select! {
            ended = deactivate(&app, &admin, id, args.span) => ended,
            stopped = &mut running => {
                stopped?.map_err(journal::explained)?;
                anyhow::bail!("giving back stopped by itself")
            }
        };
        shutdown.cancel();
        running.await?.map_err(journal::explained)?;
        ended?;
        Ok(app.printer.object(&Retired::of(id, status.released()))?)
    })
}

/// Deactivates it once it has nothing to answer for; activates it again if something came in between.
async fn deactivate(
    app: &App,
    ledger: &LocalLedger,
    executor: ExecutorId,
    span: Span,
) -> anyhow::Result<()> {
    let (cap, cluster): (AdminCapId, ClusterId) = (
        app.settings.required(Key::AdminCap)?,
        app.settings.required(Key::Cluster)?,
    );
    let call = |active: bool| match active {
        true => Call::ActivateExecutor {
            cap,
            cluster,
            executor,
        },
        false => Call::DeactivateExecutor {
            cap,
            cluster,
            executor,
        },
    };
    let begun = Instant::now();
    let is_active = || {
        let entry = ledger.view(|now| Some(now.state.cluster(cluster)?.executor(executor)?.active));
        entry == Some(true)
    };
    loop {
        ledger.sync().await?;
        if waiting(ledger, executor) == 0 {
            if is_active() {
                ledger.call(call(false)).await?;
                ledger.sync().await?;
            }
            // Nothing is assigned to it any more, so this stays so.
            if waiting(ledger, executor) == 0 {
                return Ok(());
            }
        }
        // Only an active one may give back and answer.
        if !is_active() {
            ledger.call(call(true)).await?;
        }
        if begun.elapsed() >= span.0 {
            let left = waiting(ledger, executor);
            let message =
                format!("executor {executor} still has {left} requests to give back; it is active");
            return Err(Failure::new(Exit::Unavailable, message)
                .with_next("run it again when less is asked, or for longer with --for")
                .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How many requests the executor has to answer.
fn waiting(ledger: &LocalLedger, executor: ExecutorId) -> usize {
    ledger.view(|now| {
        let requests = now.state.all_requests();
        let waiting = requests
            .filter(|(_, _, request)| request.executor == executor && request.outcome.is_none());
        waiting.count()
    })
}

fn entries(app: &App, ledger: &LocalLedger) -> anyhow::Result<Vec<ExecutorEntry>> {
    let id: ClusterId = app.settings.required(Key::Cluster)?;
    let entries = ledger.view(|now| Some(now.state.cluster(id)?.executors.clone()));
    entries.ok_or_else(|| {
        let message = format!("there is no cluster {id} on this ledger");
        Failure::new(Exit::NotFound, message).into()
    })
}

/// Refuses to end the one that this directory runs, or the only one.
fn check_may_go(app: &App, ledger: &LocalLedger, executor: ExecutorId) -> anyhow::Result<()> {
    if app.settings.value(Key::Executor) == Some(executor) {
        let message = format!("executor {executor} is the one that this directory runs");
        return Err(Failure::new(Exit::Settings, message)
            .with_next(
                "have another one take its place with `daas executor rotate`, or set `executor`",
            )
            .into());
    }
    let id: ClusterId = app.settings.required(Key::Cluster)?;
    let has_others = ledger.view(|now| {
        let cluster = now.state.cluster(id)?;
        let mut others = cluster.eligible().filter(|entry| entry.id != executor);
        Some(others.next().is_some())
    });
    if has_others == Some(true) {
        return Ok(());
    }
    let message = format!("no other executor is eligible, so {executor} can give nothing back");
    Err(Failure::new(Exit::Refused, message)
        .with_next("`daas executor list` shows them; `daas executor rotate` registers one, `daas executor stake` adds stake")
        .into())
}

/// The key of an executor: of this file, or of the one that has it.
fn signer_of(
    app: &App,
    entry: &ExecutorEntry,
    named: Option<&Path>,
) -> anyhow::Result<Ed25519Signer> {
    let what = Role::Executor.name();
    let file = match named {
        Some(file) => Some(file.to_owned()),
        None => key_files(app)?.into_iter().find(|file| {
            let key = app.public_key_in(file, what);
            key.is_ok_and(|key| key == entry.signing_key)
        }),
    };
    let Some(file) = file else {
        let message = format!(
            "no key file in {} has the signing key of executor {}",
            app.layout().keys().display(),
            entry.id
        );
        return Err(Failure::new(Exit::Key, message)
            .with_next(
                "name it with --signing-key FILE; if it is lost, `daas executor deactivate`, and what is assigned \
                 to it waits for its lease or deadline",
            )
            .into());
    };
    let signer = app.signer_in(&file, what)?;
    if signer.public_key() != entry.signing_key {
        let message = format!("{} is not the key of executor {}", file.display(), entry.id);
        return Err(Failure::new(Exit::Key, message)
            .with_next("`daas executor list -o json` shows the key that the ledger has")
            .into());
    }
    Ok(signer)
}

fn key_files(app: &App) -> anyhow::Result<Vec<PathBuf>> {
    let directory = app.layout().keys();
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", directory.display()));
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "key") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn not_alone(error: nautilus::Error, executor: ExecutorId) -> anyhow::Error {
    match error {
        nautilus::Error::Journal(nautilus::JournalError::InUse) => Failure::new(
            Exit::Unavailable,
            format!("the daas-nautilus of executor {executor} runs"),
        )
        .with_next("stop or restart it, and run this again")
        .into(),
        error => journal::explained(error),
    }
}

/// The stake that the executor has in the end, MIST.
async fn deposit(
    app: &App,
    ledger: &LocalLedger,
    executor: ExecutorId,
    wanted: Option<Amount>,
) -> anyhow::Result<u64> {
    let cluster: ClusterId = app.settings.required(Key::Cluster)?;
    let stand = ledger.view(|now| {
        let found = now.state.cluster(cluster)?;
        let entry = found.executor(executor)?;
        Some((entry.stake, found.policy.min_executor_stake))
    });
    let (has, needs) = stand.context("the ledger does not show the executor")?;
    let wanted = wanted.map_or(needs, |Amount(amount)| amount);
    if has >= wanted {
        return Ok(has);
    }
    let call = Call::DepositExecutorStake {
        cluster,
        executor,
        amount: wanted - has,
    };
    let operator = ledger.with_signer(Arc::new(app.signer(Role::Operator)?));
    operator.call(call).await?;
    Ok(wanted)
}

/// The keys of the executor that comes.
struct NewKeys {
    signing: PublicKey,
    signing_file: PathBuf,
    encryption: [u8; 32],
    encryption_file: PathBuf,
}

impl NewKeys {
    /// Those of an earlier run that did not come to its end, else new ones under the next number.
    fn find_or_make(
        app: &App,
        old: ExecutorId,
        executors: &[ExecutorEntry],
    ) -> anyhow::Result<Self> {
        let directory = app.layout().keys();
        create_private_dir(&directory)?;
        let named =
            |role: Role, number: usize| directory.join(format!("{}-{number}.key", role.name()));
        let is_over = |number: usize| {
            let file = named(Role::Executor, number);
            // One that cannot be read is nobody's to use or to replace.
            let Ok(key) = app.public_key_in(&file, Role::Executor.name()) else {
                return true;
            };
            let mut registered = executors.iter().filter(|entry| entry.signing_key == key);
            registered.any(|entry| entry.id == old || !entry.active)
        };
        // Only the last can be of a run that did not come to its end: all before it were replaced.
        let number = match last_number(&directory)? {
            Some(last) if is_over(last) => last + 1,
            Some(last) => last,
            None => 2,
        };
        let [signing_file, encryption_file] =
            [Role::Executor, Role::Encryption].map(|role| named(role, number));
        let comment = format!("takes the place of executor {old}");
        let mut passphrase = None;
        let signing = key_in(app, &signing_file, &comment, &mut passphrase)?;
        let encryption = key_in(app, &encryption_file, &comment, &mut passphrase)?;
        Ok(Self {
            signing: signing.public_key(),
            signing_file,
            encryption: encryption_public_key(&encryption),
            encryption_file,
        })
    }
}

/// The number of the last of an executor's keys in a directory, if any has one.
fn last_number(directory: &Path) -> anyhow::Result<Option<usize>> {
    let mut last = None;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix(Role::Executor.name());
        let number = number.and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".key"));
        last = last.max(
            number
                .and_then(|number| number.parse().ok())
                .filter(|number| *number >= 2),
        );
    }
    Ok(last)
}

/// The key in a file, which is made if it is not there; its passphrase is asked for once.
fn key_in(
    app: &App,
    file: &Path,
    comment: &str,
    passphrase: &mut Option<Passphrase>,
) -> anyhow::Result<Ed25519Signer> {
    if file.exists() {
        return app.signer_in(file, "new");
    }
    if app.settings.is_development() {
        return Ok(load_or_create_development(file, comment)?);
    }
    let passphrase = match passphrase {
        Some(passphrase) => passphrase,
        None => passphrase.insert(app.new_passphrase()?),
    };
    let signer = Ed25519Signer::generate();
    KeyFile::encrypt(&signer, comment, passphrase, KdfCost::DEFAULT)?.create(file)?;
    Ok(signer)
}

/// An executor that took the place of another one.
#[derive(Serialize)]
struct Rotated {
    executor: ExecutorId,
    replaces: ExecutorId,
    signing_key: PublicKey,
    key_file: PathBuf,
    journal: PathBuf,
    stake_mist: u64,
}

impl Show for Rotated {
    const KIND: &'static str = "executor";
    const COLUMNS: &'static [&'static str] = &[
        "EXECUTOR",
        "REPLACES",
        "SIGNING KEY",
        "KEY FILE",
        "JOURNAL",
        "STAKE",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.executor.to_string(),
            self.replaces.to_string(),
            self.signing_key.to_string(),
            self.key_file.display().to_string(),
            self.journal.display().to_string(),
            Amount(self.stake_mist).to_string(),
        ]
    }

    fn name(&self) -> String {
        self.executor.to_string()
    }
}

/// An executor that ended.
#[derive(Serialize)]
struct Retired {
    executor: ExecutorId,
    active: bool,
    given_back: u64,
}

impl Retired {
    fn of(executor: ExecutorId, given_back: u64) -> Self {
        Self {
            executor,
            active: false,
            given_back,
        }
    }
}

impl Show for Retired {
    const KIND: &'static str = "executor";
    const COLUMNS: &'static [&'static str] = &["EXECUTOR", "ACTIVE", "GIVEN BACK"];

    fn cells(&self) -> Vec<String> {
        let active = if self.active { "yes" } else { "no" };
        vec![
            self.executor.to_string(),
            active.to_owned(),
            self.given_back.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.executor.to_string()
    }
}

/// How often what it has is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often what could not be given back is tried again.
const SCAN: Duration = Duration::from_millis(100);
