//! `daas cluster`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use k3s_daas::contract::{Call, Cluster};
use k3s_daas::ledger::local::{Genesis, LocalLedger};
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy};
use k3s_daas::wire::Event;
use serde::Serialize;

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::layout::create_private_dir;
use crate::names;
use crate::printer::Show;
use crate::settings::{self, Flags, Key};
use crate::units::{Amount, Span};

/// What to do with clusters.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Make a ledger, if there is none, and a cluster on it.
    #[command(after_help = "\
The administrator's key signs the genesis and receives the cluster's capability. That key is DIR/keys/admin.key unless the \
settings say otherwise. Chain, cluster and capability go to the settings file. Balances exist only through the \
genesis: --fund gives the accounts that are to have some, by address or by key file, whose path is relative to \
the working directory.

Examples:
  daas key new ./shop/keys/admin.key
  daas key new ./shop/keys/owner.key
  daas cluster create --dir ./shop --name shop --fund ./shop/keys/owner.key=100SUI
  daas cluster create --dir ./shop --name test --min-write-stake 0SUI --replace")]
    Create {
        /// Its name.
        #[arg(long, default_value = "cluster")]
        name: String,
        /// Whom the genesis funds: ADDRESS=AMOUNT or KEYFILE=AMOUNT.
        #[arg(long = "fund", value_name = "WHO=AMOUNT")]
        funds: Vec<Fund>,
        /// Take it into the settings in place of the cluster there, which stays on the ledger.
        #[arg(long)]
        replace: bool,
        /// What differs from the default policy.
        #[command(flatten)]
        policy: PolicyArgs,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show the cluster and its policy.
    #[command(after_help = "Examples:\n  daas cluster show\n  daas cluster show 0xc105… -o json")]
    Show {
        /// Which; that of the settings otherwise.
        #[arg(value_parser = names::parse::<ClusterId>)]
        cluster: Option<ClusterId>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Change the cluster's policy; what is not given stays.
    #[command(after_help = "Examples:\n  daas cluster set --min-write-stake 2SUI --lease 5s")]
    Set {
        /// What to change.
        #[command(flatten)]
        policy: PolicyArgs,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// Values of the policy.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct PolicyArgs {
    /// Stake that a token needs to write, at most 1,000,000 SUI.
    #[arg(long, value_name = "AMOUNT")]
    min_write_stake: Option<Amount>,
    /// Stake that an executor needs, at most 1,000,000 SUI.
    #[arg(long, value_name = "AMOUNT")]
    min_executor_stake: Option<Amount>,
    /// Time between unstaking and withdrawing, at most 30 d.
    #[arg(long, value_name = "TIME")]
    unbonding: Option<Span>,
    /// Time after which an unanswered read may be claimed, 1 s to 10 min.
    #[arg(long, value_name = "TIME")]
    lease: Option<Span>,
    /// How long answers are kept, by priority from low to critical: four times, at most 30 d each.
    #[arg(long, value_name = "TIME", value_delimiter = ',', num_args = 4)]
    response_ttl: Option<Vec<Span>>,
}

impl PolicyArgs {
    fn is_given(&self) -> bool {
        self.min_write_stake.is_some()
            || self.min_executor_stake.is_some()
            || self.unbonding.is_some()
            || self.lease.is_some()
            || self.response_ttl.is_some()
    }

    fn apply(&self, policy: &mut ClusterPolicy) {
        if let Some(Amount(mist)) = self.min_write_stake {
            policy.min_write_stake = mist;
        }
        if let Some(Amount(mist)) = self.min_executor_stake {
            policy.min_executor_stake = mist;
        }
        if let Some(span) = self.unbonding {
            policy.unbonding_ms = span.as_ms();
        }
        if let Some(span) = self.lease {
            policy.lease_ms = span.as_ms();
        }
        if let Some(spans) = &self.response_ttl {
            policy.response_ttl_ms = spans.iter().map(|span| span.as_ms()).collect();
        }
    }
}

/// Whom the genesis funds, and with how much.
#[derive(Clone, Debug)]
pub struct Fund {
    who: Who,
    amount: Amount,
}

#[derive(Clone, Debug)]
enum Who {
    Address(Address),
    KeyFile(PathBuf),
}

impl FromStr for Fund {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (who, amount) = text
            .rsplit_once('=')
            .ok_or("it is written ADDRESS=AMOUNT or KEYFILE=AMOUNT")?;
        let amount = amount.parse().map_err(|error| format!("{error}"))?;
        let who = match names::parse(who) {
            Ok(address) => Who::Address(address),
            Err(_) => Who::KeyFile(who.into()),
        };
        Ok(Self { who, amount })
    }
}

/// Runs the command.
///
/// # Errors
/// What the ledger or the settings say.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::Create {
            name,
            funds,
            replace,
            policy,
            output,
        } => {
            let app = App::new(global, *output, Flags::new())?;
            if !replace {
                check_is_first(&app)?;
            }
            app.block_on(create(&app, name, funds, policy))
        }
        Command::Show { cluster, output } => {
            let named = cluster.map(|cluster| (Key::Cluster, cluster.to_string()));
            let app = App::new(global, *output, named.into_iter().collect())?;
            app.block_on(async {
                let ledger = app.reader().await?;
                Ok(app.printer.object(&cluster_of(&app, &ledger)?)?)
            })
        }
        Command::Set { policy, output } => {
            let app = App::new(global, *output, Flags::new())?;
            if !policy.is_given() {
                return Err(Failure::new(Exit::Usage, "nothing to change is given")
                    .with_next("`daas cluster set --help` lists what can be")
                    .into());
            }
            app.block_on(set(&app, policy))
        }
    }
}

/// Makes a cluster as the ledger's account.
///
/// # Errors
/// What the ledger says.
pub(crate) async fn create_call(
    ledger: &LocalLedger,
    name: &str,
    policy: ClusterPolicy,
) -> anyhow::Result<(ClusterId, AdminCapId)> {
    let call = Call::CreateCluster {
        name: ByteString::from(name),
        chain: ledger.deployment().chain,
        policy,
    };
    let receipt = ledger.call(call).await?;
    let created = receipt.events.iter().find_map(|event| match &event.event {
        Event::ClusterCreated(event) => Some((event.cluster, event.admin_cap)),
        _ => None,
    });
    created.context("the ledger created no cluster")
}

/// A second cluster would take the place of the first in the settings, and services would be without their tokens.
fn check_is_first(app: &App) -> anyhow::Result<()> {
    let Some(cluster) = app.settings.text(Key::Cluster) else {
        return Ok(());
    };
    let message = format!("the settings have cluster {cluster} already; nothing was created");
    Err(Failure::new(Exit::Settings, message)
        .with_next(
            "use it; or `--replace` makes another, whose executors and tokens are its own (write down \
             `cluster` and `admin_cap` of `daas config show` first)",
        )
        .into())
}

async fn create(app: &App, name: &str, funds: &[Fund], policy: &PolicyArgs) -> anyhow::Result<()> {
    let dir = app.layout().ledger();
    let mut funded = Vec::new();
    for fund in funds {
        let address = match &fund.who {
            Who::Address(address) => *address,
            Who::KeyFile(path) => app.public_key_in(path, "funded")?.address(),
        };
        funded.push((address, fund.amount.0));
    }
    let ledger = if LocalLedger::exists(&dir) {
        if !funded.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                "the ledger exists, and only a genesis can fund accounts",
            )
            .with_next("leave --fund out, or choose another --dir")
            .into());
        }
        app.ledger(Role::Admin).await?
    } else {
        let signer = app.signer(Role::Admin)?;
        create_private_dir(&app.settings.dir())?;
        LocalLedger::create(&dir, Genesis::new(funded), Arc::new(signer)).await?
    };
    let mut values = ClusterPolicy::default();
    policy.apply(&mut values);
    let (cluster, cap) = create_call(&ledger, name, values).await?;
    remember(app.settings.file(), ledger.deployment().chain, cluster, cap)?;
    let shown = ledger.view(|now| now.state.cluster(cluster).map(Shown::of));
    let shown = shown.context("the ledger does not show the cluster that it created")?;
    Ok(app.printer.object(&shown)?)
}

/// Makes a cluster that of the settings file.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn remember(
    file: &Path,
    chain: ChainId,
    cluster: ClusterId,
    cap: AdminCapId,
) -> Result<(), settings::Error> {
    let changes = [
        (Key::Chain, chain.to_string().into()),
        (Key::Cluster, cluster.to_string().into()),
        (Key::AdminCap, cap.to_string().into()),
    ];
    settings::update(file, &changes)
}

async fn set(app: &App, policy: &PolicyArgs) -> anyhow::Result<()> {
    let ledger = app.ledger(Role::Admin).await?;
    let mut values = cluster_of(app, &ledger)?.policy;
    policy.apply(&mut values);
    let call = Call::SetPolicy {
        cap: app.settings.required(Key::AdminCap)?,
        cluster: app.settings.required(Key::Cluster)?,
        policy: values,
    };
    ledger.call(call).await?;
    Ok(app.printer.object(&cluster_of(app, &ledger)?)?)
}

fn cluster_of(app: &App, ledger: &LocalLedger) -> anyhow::Result<Shown> {
    let id: ClusterId = app.settings.required(Key::Cluster)?;
    let shown = ledger.view(|now| now.state.cluster(id).map(Shown::of));
    shown.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("there is no cluster {id} on this ledger"),
        )
        .with_next("set `cluster` to one that there is, or make one with `daas cluster create`")
        .into()
    })
}

/// A cluster as it is shown.
#[derive(Serialize)]
struct Shown {
    id: ClusterId,
    name: ByteString,
    version: u64,
    chain: ChainId,
    admin_cap: AdminCapId,
    executors: usize,
    insurance_mist: u64,
    policy: ClusterPolicy,
}

impl Shown {
    fn of(cluster: &Cluster) -> Self {
        Self {
            id: cluster.id,
            name: cluster.name.clone(),
            version: cluster.version,
            chain: cluster.chain,
            admin_cap: cluster.admin_cap,
            executors: cluster.executors.len(),
            insurance_mist: cluster.insurance,
            policy: cluster.policy.clone(),
        }
    }
}

impl Show for Shown {
    const KIND: &'static str = "cluster";
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "VERSION",
        "CHAIN",
        "ADMIN CAP",
        "EXECUTORS",
        "INSURANCE",
        "MIN WRITE STAKE",
        "MIN EXECUTOR STAKE",
        "UNBONDING",
        "LEASE",
        "ANSWERS KEPT",
        "ATTESTATION",
    ];

    fn cells(&self) -> Vec<String> {
        let span = |ms: u64| Span(std::time::Duration::from_millis(ms)).to_string();
        let ttl = self.policy.response_ttl_ms.iter().map(|&ms| span(ms));
        let attestation = if self.policy.require_attestation {
            "required"
        } else {
            "not required"
        };
        vec![
            self.id.to_string(),
            self.name.to_string(),
            self.version.to_string(),
            self.chain.to_string(),
            self.admin_cap.to_string(),
            self.executors.to_string(),
            Amount(self.insurance_mist).to_string(),
            Amount(self.policy.min_write_stake).to_string(),
            Amount(self.policy.min_executor_stake).to_string(),
            span(self.policy.unbonding_ms),
            span(self.policy.lease_ms),
            ttl.collect::<Vec<_>>().join(" "),
            attestation.to_owned(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
