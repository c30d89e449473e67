//! `daas events`.

use std::path::PathBuf;

use clap::ValueHint;
use futures_util::StreamExt as _;
use k3s_daas::contract::Code;
use k3s_daas::ledger::{self, Cursor, Ledger as _, SequencedEvent};
use k3s_daas::wire::Event;
use serde::Serialize;

use crate::app::App;
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::printer::{Format, Show};
use crate::settings::Flags;
use crate::units::{Amount, Moment};

/// Which events.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
As events come one by one, -o json prints one object a line here, and -o yaml a document each. Whoever \
keeps the cursor of the last event goes on after it with --from and misses none.

Examples:
  daas events
  daas events --follow --from 4711 -o json
  daas events --archive /mnt/archive")]
pub struct Args {
    /// Go on printing what comes.
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only what came after this cursor.
    #[arg(long, value_name = "CURSOR", default_value_t = Cursor::START, value_parser = names::parse::<Cursor>)]
    from: Cursor,
    /// Where segments of `daas ledger archive` lie, for events that were archived; may be given more than once.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    archive: Vec<PathBuf>,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Prints events.
///
/// # Errors
/// What the ledger says.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    app.block_on(async {
        let ledger = app.reader().await?;
        let last = ledger.sync().await?;
        let (mut seen, mut is_headed) = (args.from, false);
        for event in app.archived_events(&args.archive, args.from)? {
            let event = event?;
            seen = event.cursor;
            if !is_headed {
                heading(&app)?;
                is_headed = true;
            }
            app.printer.follow(&Row(event))?;
        }
        let mut events = ledger.events(seen);
        while args.follow || seen < last {
            let Some(event) = events.next().await else {
                break;
            };
            let event = event.map_err(archived)?;
            seen = event.cursor;
            if !is_headed {
                heading(&app)?;
                is_headed = true;
            }
            app.printer.follow(&Row(event))?;
        }
        Ok(())
    })
}

/// What to do about events that are not in the ledger any more.
pub(crate) fn archived(error: ledger::Error) -> anyhow::Error {
    match error {
        ledger::Error::Archived { through } => Failure::new(
            Exit::NotFound,
            format!("the events up to {through} were archived"),
        )
        .with_next("name the directory that `daas ledger archive` moved them to with --archive")
        .into(),
        error => error.into(),
    }
}

/// The first line of a table, before the first event.
fn heading(app: &App) -> anyhow::Result<()> {
    let [cursor, time, event, what] = Row::COLUMNS else {
        return Ok(());
    };
    match app.printer.format() {
        Format::Table => Ok(app.printer.row(&columns(cursor, time, event, what))?),
        _ => Ok(()),
    }
}

/// The cells of a line, as wide as what can stand in them: lines come one by one.
fn columns(cursor: &str, time: &str, event: &str, what: &str) -> Vec<String> {
    vec![
        format!("{cursor:>6}"),
        format!("{time:<24}"),
        format!("{event:<22}"),
        what.to_owned(),
    ]
}

/// An event as it is shown.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Row(pub(crate) SequencedEvent);

impl Show for Row {
    const KIND: &'static str = "event";
    const COLUMNS: &'static [&'static str] = &["CURSOR", "TIME", "EVENT", "WHAT"];

    fn cells(&self) -> Vec<String> {
        columns(
            &self.0.cursor.to_string(),
            &Moment(self.0.timestamp_ms).to_string(),
            self.0.event.name(),
            &summary(&self.0.event),
        )
    }

    fn name(&self) -> String {
        self.0.cursor.to_string()
    }
}

/// What happened, in few words.
pub(crate) fn summary(event: &Event) -> String {
    match event {
        Event::K8sApiRequest(event) => {
            format!("{} {} {}", event.request_id, event.method, event.path)
        }
        Event::K8sRequestProcessed(event) => format!("{} {}", event.request_id, event.status_code),
        Event::K8sRequestRejected(event) => {
            format!(
                "{} {} for {}",
                event.request_id,
                code(event.code),
                event.token
            )
        }
        Event::K8sRequestsRejected(event) => format!(
            "{} times {} for {}",
            event.count,
            code(event.code),
            event.token
        ),
        Event::K8sRequestClaimed(event) => format!("{} by {}", event.request_id, event.executor),
        Event::K8sRequestReleased(event) => {
            format!("{} by {}", event.request_id, event.released_by)
        }
        Event::ResponsesPruned(event) => format!("{} requests", event.request_ids.len()),
        Event::ClusterCreated(event) => event.name.to_string(),
        Event::SealTokenIssued(event) => format!("{} to {}", event.token, event.owner),
        Event::SealTokenRevoked(event) => event.token.to_string(),
        Event::SealTokenRulesSet(event) => event.token.to_string(),
        Event::DelegateAdded(event) => format!("{} for {}", event.delegate, event.token),
        Event::DelegateRemoved(event) => format!("{} for {}", event.delegate, event.token),
        Event::SessionKeyRegistered(event) => format!("{} for {}", event.key, event.token),
        Event::SessionKeyRemoved(event) => format!("{} for {}", event.key, event.token),
        Event::StakeDeposited(event) => format!("{} to {}", Amount(event.amount), event.token),
        Event::StakeUnbonding(event) => format!("{} of {}", Amount(event.amount), event.token),
        Event::StakeWithdrawn(event) => format!("{} of {}", Amount(event.amount), event.token),
        Event::ExecutorRegistered(event) => event.executor.to_string(),
        Event::ExecutorActivated(event) => event.executor.to_string(),
        Event::ExecutorDeactivated(event) => event.executor.to_string(),
        Event::ExecutorSlashed(event) => format!("{} by {}", event.executor, event.presenter),
        _ => String::new(),
    }
}

fn code(number: u8) -> String {
    Code::from_number(number).map_or_else(
        || format!("code {number}"),
        |code| format!("{} ({number})", code.name()),
    )
}
