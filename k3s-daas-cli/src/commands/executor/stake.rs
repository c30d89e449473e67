//! `daas executor stake|unstake|withdraw|activate|remove`.

use k3s_daas::contract::Call;
use k3s_daas::ledger::Ledger as _;
use k3s_daas::types::{AdminCapId, ClusterId, ExecutorId};

use super::all;
use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::settings::{Flags, Key};
use crate::units::Amount;

/// How much, of which executor.
#[derive(clap::Args, Debug)]
pub struct Change {
    /// How much: 1.5SUI, or MIST.
    amount: Amount,
    /// Which executor; that of the settings otherwise.
    #[arg(long, value_name = "EXECUTOR", value_parser = names::parse::<ExecutorId>)]
    executor: Option<ExecutorId>,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Which executor.
#[derive(clap::Args, Debug)]
pub struct Which {
    /// Which.
    #[arg(value_parser = names::parse::<ExecutorId>)]
    executor: ExecutorId,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// What is done with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    Stake(u64),
    Unstake(u64),
    Withdraw,
    Activate,
    Remove,
}

impl Change {
    /// # Errors
    /// What the ledger says.
    pub(super) fn run(&self, global: &Global, done: fn(u64) -> Done) -> anyhow::Result<()> {
        run(global, self.output, self.executor, done(self.amount.0))
    }
}

impl Which {
    /// # Errors
    /// What the ledger says.
    pub(super) fn run(&self, global: &Global, done: Done) -> anyhow::Result<()> {
        run(global, self.output, Some(self.executor), done)
    }
}

fn run(
    global: &Global,
    output: Output,
    executor: Option<ExecutorId>,
    done: Done,
) -> anyhow::Result<()> {
    let named = executor.map(|executor| (Key::Executor, executor.to_string()));
    let app = App::new(global, output, named.into_iter().collect::<Flags>())?;
    app.block_on(async {
        let executor: ExecutorId = app.settings.required(Key::Executor)?;
        let cluster: ClusterId = app.settings.required(Key::Cluster)?;
        let cap = || app.settings.required::<AdminCapId>(Key::AdminCap);
        let (role, call) = match done {
            Done::Stake(amount) => (
                Role::Operator,
                Call::DepositExecutorStake {
                    cluster,
                    executor,
                    amount,
                },
            ),
            Done::Unstake(amount) => (
                Role::Operator,
                Call::UnstakeExecutor {
                    cluster,
                    executor,
                    amount,
                },
            ),
            Done::Withdraw => (Role::Operator, Call::WithdrawExecutorStake { executor }),
            Done::Activate => (
                Role::Admin,
                Call::ActivateExecutor {
                    cap: cap()?,
                    cluster,
                    executor,
                },
            ),
            Done::Remove => (
                Role::Admin,
                Call::RemoveExecutor {
                    cap: cap()?,
                    cluster,
                    executor,
                },
            ),
        };
        let ledger = app.ledger(role).await?;
        ledger.call(call).await?;
        let shown = all(&app, &ledger)?.into_iter();
        match shown.into_iter().find(|shown| shown.id == executor) {
            Some(shown) => Ok(app.printer.object(&shown)?),
            None if matches!(done, Done::Remove | Done::Withdraw) => {
                app.printer
                    .note(&format!("executor {executor} is not on the cluster's list"));
                Ok(())
            }
            None => Err(Failure::new(
                Exit::NotFound,
                format!("the cluster has no executor {executor}"),
            )
            .into()),
        }
    })
}
