//! `daas ledger`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueHint;
use k3s_daas::ledger::local::{ArchiveOptions, Archived};
use k3s_daas::ledger::{self, LedgerExt as _};
use serde::Serialize;

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::printer::Show;
use crate::settings::Flags;
use crate::units::{Moment, Span};

/// What to do with the ledger's log.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Move the oldest part of the log into files of their own.
    #[command(after_help = "\
Services may go on. What goes is verified once more, written to DIR as segments, and removed from the ledger when \
these are safe on the disk; who is killed in between runs the command again. In its place a checkpoint stays: what all of \
that amounts to, signed with the admin's key, which signed the ledger's genesis too.

The last ten minutes always stay, and all since the admission of a request that is not pruned. Keep the segments: \
with them `daas audit verify --archive DIR` verifies everything since the genesis; without them it verifies what came \
after the checkpoint and believes the admin's key for the rest. They may lie anywhere, on slow disks too, and several \
directories may have them.

The room that becomes free is used for what comes next; the database does not get shorter.

Examples:
  daas ledger archive /mnt/archive
  daas ledger archive /mnt/archive --keep 30d --dry-run
  daas ledger archive /mnt/archive --before 2026-11-01T00:00:00Z -o json
  daas audit verify --archive /mnt/archive")]
    Archive {
        /// Directory of the segments; those of earlier runs may be in it.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        to: PathBuf,
        /// What is younger stays, by ledger time.
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "7d",
            conflicts_with = "before"
        )]
        keep: Span,
        /// What happened at this time or later stays.
        #[arg(long, value_name = "TIME")]
        before: Option<Moment>,
        /// Only say what would be archived.
        #[arg(long)]
        dry_run: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// Runs the command.
///
/// # Errors
/// [`Exit::Refused`] if the key may not, or something else lies in the directory; [`Exit::Unverified`] if the log does not
/// hold.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    let Command::Archive {
        to,
        keep,
        before,
        dry_run,
        output,
    } = command;
    let app = App::new(global, *output, Flags::new())?;
    let archived = app.block_on(async {
        // A rehearsal needs no key.
        let ledger = match dry_run {
            true => app.reader().await?,
            false => app.ledger(Role::Admin).await?,
        };
        let moment = before.map_or_else(
            || ledger.now_ms().saturating_sub(keep.as_ms()),
            |before| before.0,
        );
        let mut options = ArchiveOptions::before(moment);
        options.dry_run = *dry_run;
        let printer = app.printer;
        options.progress = Arc::new(move |done, all| {
            printer.progress(&format!("archived {done} of {all} calls…"));
        });
        app.printer.progress("looking what can be archived…");
        ledger.archive(to, options).await.map_err(explain)
    })?;
    app.printer.object(&Shown {
        dry_run: *dry_run,
        archived: &archived,
    })?;
    if let Some(request) = archived.held_by {
        app.printer.note(&format!(
            "what came after request {request} stays, since that is not pruned yet"
        ));
    } else if archived.calls == 0 {
        app.printer
            .note("nothing is old enough: the last 10 minutes of the ledger's time always stay");
    }
    Ok(())
}

fn explain(error: ledger::Error) -> anyhow::Error {
    match error {
        ledger::Error::Busy => Failure::new(
            Exit::Unavailable,
            "another `daas ledger archive` of this ledger or into this directory runs",
        )
        .with_next("wait until it has ended")
        .into(),
        ledger::Error::Invalid(why) => Failure::new(Exit::Refused, format!("not archived: {why}"))
            .with_next(
                "use the admin key that the ledger was made with, and a directory with segments of this ledger or none",
            )
            .into(),
        error => error.into(),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    dry_run: bool,
    #[serde(flatten)]
    archived: &'a Archived,
}

impl Show for Shown<'_> {
    const KIND: &'static str = "archive";
    const COLUMNS: &'static [&'static str] = &[
        "ARCHIVED NOW",
        "LOG BEGINS AFTER",
        "OF",
        "SEGMENTS",
        "BYTES",
    ];

    fn cells(&self) -> Vec<String> {
        let archived = self.archived;
        let calls = match (archived.calls, self.dry_run) {
            (0, _) => "nothing".to_owned(),
            (_, true) => format!(
                "nothing; would be calls {} to {}",
                archived.first_call, archived.last_call
            ),
            _ => format!("calls {} to {}", archived.first_call, archived.last_call),
        };
        let is_any = archived.last_call > 0;
        let or_dash = |text: String| if is_any { text } else { "-".to_owned() };
        vec![
            calls,
            or_dash(format!(
                "call {}, event {}",
                archived.last_call, archived.last_event
            )),
            or_dash(Moment(archived.to_ms).to_string()),
            archived.segments.len().to_string(),
            archived.bytes.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.archived.last_call.to_string()
    }
}
