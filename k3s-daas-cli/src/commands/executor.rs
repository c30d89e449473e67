//! `daas executor`.

mod rotation;
mod stake;

use std::path::PathBuf;

use anyhow::Context as _;
use k3s_daas::contract::{Call, Unbonding};
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Cursor, Ledger as _, LedgerExt as _};
use k3s_daas::types::{Address, ClusterId, ExecutorId, HexBytes, TokenId};
use k3s_daas::wire::{Event, SignedAnswer};
use serde::{Deserialize, Serialize};

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::journal;
use crate::keys;
use crate::names;
use crate::printer::Show;
use crate::settings::{self, Flags, Key};
use crate::units::{self, Amount};

/// What to do with executors.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// List the cluster's executors.
    #[command(after_help = "Examples:\n  daas executor list\n  daas executor list -o name")]
    List {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Admit an executor; its ID goes to the settings file.
    #[command(after_help = "\
Keys that are not given are those of the key files in the settings.

Examples:
  daas executor register
  daas executor register --operator 0x0b5e… --signing-key 9b3f…64 --encryption-key 41d0…64")]
    Register {
        /// Who owns its stake.
        #[arg(long, value_name = "ADDRESS", value_parser = names::parse::<Address>)]
        operator: Option<Address>,
        /// Ed25519 key of its answers, 64 hexadecimal digits.
        #[arg(long, value_name = "KEY")]
        signing_key: Option<Key32>,
        /// X25519 key that is sealed to, 64 hexadecimal digits.
        #[arg(long, value_name = "KEY")]
        encryption_key: Option<Key32>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Make a new journal for this directory's executor in the place of a lost one.
    #[command(after_help = "\
The journal is what keeps a write from being executed twice across a crash. `daas executor register` and \
`daas dev` make it; this is for one that was lost. Writes that wait for an answer now may have begun under the \
lost one, so they are answered 504, outcome unknown; reads are executed.

Examples:
  daas executor journal")]
    Journal,
    /// Have an executor with new keys take the place of this directory's.
    Rotate(rotation::Rotate),
    /// End an executor that another one took the place of: it gives back what it has, and is deactivated.
    Retire(rotation::Retire),
    /// Add to an executor's stake, from the operator's balance.
    #[command(
        after_help = "Examples:\n  daas executor stake 1.5SUI\n  daas executor stake 1SUI --executor 0xe8ec…"
    )]
    Stake(stake::Change),
    /// Begin to take some of an executor's stake back; it is paid out after the unbonding time.
    #[command(after_help = "Examples:\n  daas executor unstake 0.5SUI --executor 0xe8ec…")]
    Unstake(stake::Change),
    /// Pay out what has unbonded, to the operator.
    #[command(after_help = "Examples:\n  daas executor withdraw 0xe8ec…")]
    Withdraw(stake::Which),
    /// Let an executor be assigned requests again.
    #[command(after_help = "Examples:\n  daas executor activate 0xe8ec…")]
    Activate(stake::Which),
    /// Take an inactive executor from the cluster's list; its stake can still be withdrawn.
    #[command(after_help = "Examples:\n  daas executor remove 0xe8ec…")]
    Remove(stake::Which),
    /// Assign an executor nothing any more, at once.
    #[command(after_help = "\
What is assigned to it now, it can neither answer nor give back: reads wait for others until its lease is over, writes \
until their deadline. `daas executor retire` has it end first.

Examples:
  daas executor deactivate 0xe8ec…")]
    Deactivate {
        /// Which.
        #[arg(value_parser = names::parse::<ExecutorId>)]
        executor: ExecutorId,
    },
    /// Take the stake of an executor that answered one request in two ways.
    #[command(after_help = "\
The evidence is JSON: {\"executor\": ID, \"token\": ID, \"first\": ANSWER, \"second\": ANSWER}, each answer \
{\"message\": {…}, \"signature\": HEX} as in docs/message-formats.md. A tenth goes to whoever presents it.

Examples:
  daas executor slash --evidence answers.json")]
    Slash {
        /// The two signed answers.
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
    },
}

/// 32 bytes in hexadecimal.
#[derive(Clone, Debug)]
pub struct Key32([u8; 32]);

impl std::str::FromStr for Key32 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim_start_matches("0x"), &mut bytes)
            .map_err(|_| "a key is 64 hexadecimal digits".to_owned())?;
        Ok(Self(bytes))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    executor: ExecutorId,
    token: TokenId,
    first: SignedAnswer,
    second: SignedAnswer,
}

/// Runs the command.
///
/// # Errors
/// What the ledger or the settings say.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::List { output } => {
            let app = App::new(global, *output, Flags::new())?;
            app.block_on(list(&app))
        }
        Command::Register {
            operator,
            signing_key,
            encryption_key,
            output,
        } => {
            let app = App::new(global, *output, Flags::new())?;
            app.block_on(async {
                let operator = match operator {
                    Some(operator) => *operator,
                    None => app.address(Role::Operator)?,
                };
                let is_ours = signing_key.is_none();
                let signing_key = match signing_key {
                    Some(Key32(key)) => *key,
                    None => {
                        let path: PathBuf = app.settings.required(Key::ExecutorKey)?;
                        *app.public_key_in(&path, Role::Executor.name())?.as_bytes()
                    }
                };
                // One whose key is elsewhere runs elsewhere, and has its journal there.
                let is_ours = is_ours && encryption_key.is_none();
                let encryption_key = match encryption_key {
                    Some(Key32(key)) => *key,
                    None => keys::encryption_public_key(&app.signer(Role::Encryption)?),
                };
                let ledger = app.ledger(Role::Admin).await?;
                let (executor, registered) = register_call(
                    &ledger,
                    Call::RegisterExecutor {
                        cap: app.settings.required(Key::AdminCap)?,
                        cluster: app.settings.required(Key::Cluster)?,
                        operator,
                        signing_key: HexBytes(signing_key.to_vec()),
                        encryption_key: HexBytes(encryption_key.to_vec()),
                        attestation: HexBytes::default(),
                    },
                )
                .await?;
                settings::update(
                    app.settings.file(),
                    &[(Key::Executor, executor.to_string().into())],
                )?;
                let layout = app.layout();
                if is_ours {
                    // That of another executor stays: what began under it ends under it.
                    let file = match layout.journal().exists() {
                        true => layout.own_journal_of(executor),
                        false => layout.journal(),
                    };
                    journal::create_first(&file, &ledger, executor, registered)?;
                }
                let shown = all(&app, &ledger)?
                    .into_iter()
                    .find(|shown| shown.id == executor);
                Ok(app
                    .printer
                    .object(&shown.context("the ledger does not show the executor")?)?)
            })
        }
        Command::Rotate(args) => rotation::rotate(args, global),
        Command::Retire(args) => rotation::retire(args, global),
        Command::Stake(args) => args.run(global, stake::Done::Stake),
        Command::Unstake(args) => args.run(global, stake::Done::Unstake),
        Command::Withdraw(args) => args.run(global, stake::Done::Withdraw),
        Command::Activate(args) => args.run(global, stake::Done::Activate),
        Command::Remove(args) => args.run(global, stake::Done::Remove),
        Command::Journal => {
            let app = App::new(global, Output::default(), Flags::new())?;
            app.block_on(async {
                let executor: ExecutorId = app.settings.required(Key::Executor)?;
                let ledger = app.reader().await?;
                let layout = app.layout();
                journal::create(&layout, &ledger, executor).await?;
                let pending = journal::pending(&ledger, executor).unwrap_or_default();
                app.printer.note(&format!(
                    "{} is new; writes that are answered 504, outcome unknown: {pending}",
                    layout.journal_of(executor).display()
                ));
                Ok(())
            })
        }
        Command::Deactivate { executor } => {
            let app = App::new(global, Output::default(), Flags::new())?;
            app.block_on(async {
                let ledger = app.ledger(Role::Admin).await?;
                let call = Call::DeactivateExecutor {
                    cap: app.settings.required(Key::AdminCap)?,
                    cluster: app.settings.required(Key::Cluster)?,
                    executor: *executor,
                };
                ledger.call(call).await?;
                app.printer
                    .note(&format!("executor {executor} is assigned nothing any more"));
                Ok(())
            })
        }
        Command::Slash { evidence } => {
            let app = App::new(global, Output::default(), Flags::new())?;
            let text = super::read_input(evidence)?;
            let evidence: Evidence = serde_json::from_slice(&text)
                .with_context(|| format!("{} is no evidence", evidence.display()))?;
            app.block_on(slash(&app, evidence))
        }
    }
}

/// Admits an executor; where the ledger says so.
///
/// # Errors
/// What the ledger says.
pub(crate) async fn register_call(
    ledger: &LocalLedger,
    call: Call,
) -> anyhow::Result<(ExecutorId, Cursor)> {
    let receipt = ledger.call(call).await?;
    let registered = receipt.events.iter().find_map(|event| match &event.event {
        Event::ExecutorRegistered(registered) => Some((registered.executor, event.cursor)),
        _ => None,
    });
    registered.context("the ledger registered no executor")
}

async fn list(app: &App) -> anyhow::Result<()> {
    let ledger = app.reader().await?;
    Ok(app.printer.list(&all(app, &ledger)?)?)
}

fn all(app: &App, ledger: &LocalLedger) -> anyhow::Result<Vec<Shown>> {
    let id: ClusterId = app.settings.required(Key::Cluster)?;
    let executors = ledger.view(|now| {
        let cluster = now.state.cluster(id)?;
        let shown = cluster.executors.iter().map(|entry| {
            let state = now.state.executor(entry.id);
            Shown {
                id: entry.id,
                operator: entry.operator,
                signing_key: entry.signing_key.to_string(),
                encryption_key: entry.encryption_key.clone(),
                stake_mist: entry.stake,
                active: entry.active,
                eligible: cluster.is_eligible(entry),
                attested: !entry.pcrs.is_empty(),
                slashed: state.is_some_and(|executor| executor.slashed),
                unbondings: state
                    .map(|executor| executor.unbondings.clone())
                    .unwrap_or_default(),
            }
        });
        Some(shown.collect())
    });
    executors.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("there is no cluster {id} on this ledger"),
        )
        .into()
    })
}

async fn slash(app: &App, evidence: Evidence) -> anyhow::Result<()> {
    let ledger = app.ledger(Role::Owner).await?;
    let call = Call::SlashEquivocation {
        cluster: app.settings.required(Key::Cluster)?,
        executor: evidence.executor,
        token: evidence.token,
        first: evidence.first,
        second: evidence.second,
    };
    let receipt = ledger.call(call).await?;
    for event in &receipt.events {
        if let Event::ExecutorSlashed(event) = &event.event {
            app.printer.note(&format!(
                "executor {} is slashed: {} to {}, {} to the insurance",
                event.executor,
                Amount(event.reward),
                event.presenter,
                Amount(event.insured)
            ));
        }
    }
    Ok(())
}

/// An executor as it is shown.
#[derive(Serialize)]
struct Shown {
    id: ExecutorId,
    operator: Address,
    signing_key: String,
    encryption_key: HexBytes,
    stake_mist: u64,
    unbondings: Vec<Unbonding>,
    active: bool,
    eligible: bool,
    attested: bool,
    slashed: bool,
}

impl Show for Shown {
    const KIND: &'static str = "executor";
    const COLUMNS: &'static [&'static str] =
        &["ID", "OPERATOR", "STATUS", "STAKE", "UNBONDING", "ATTESTED"];

    fn cells(&self) -> Vec<String> {
        let status = match (self.slashed, self.active, self.eligible) {
            (true, _, _) => "slashed",
            (_, false, _) => "inactive",
            (_, _, false) => "not eligible",
            _ => "eligible",
        };
        vec![
            self.id.to_string(),
            self.operator.to_string(),
            status.to_owned(),
            Amount(self.stake_mist).to_string(),
            units::unbondings(&self.unbondings).join(", "),
            if self.attested { "yes" } else { "no" }.to_owned(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
