//! `daas audit`.

mod reconcile;

use std::path::PathBuf;

use clap::ValueHint;
use k3s_daas::audit::{self, BrokenLink, Options, Report, RequestTrail};
use k3s_daas::crypto::PublicKey;
use k3s_daas::ledger::local::Head;
use k3s_daas::types::RequestId;
use serde::Serialize;

use crate::app::{App, Role, check_archives};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::printer::{Format, Show};
use crate::settings::Flags;
use crate::units::Moment;

/// What to verify.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Verify the ledger from its genesis or checkpoint on: calls, signatures, rules, chain, heads, balances, state.
    #[command(after_help = "\
Nothing but the ledger's directory is read, and nothing in it is changed; services may go on. The head \
that is printed, kept elsewhere and given another time with --head, also finds that the whole ledger was \
replaced. What does not hold is named by its first place, with exit code 6.

Examples:
  daas audit verify
  daas audit verify --head 1204:9f2c…  -o json
  daas audit verify --archive /mnt/archive
  daas audit verify --request 0192d8f0-1111-7abc-8def-0123456789ab")]
    Verify {
        /// Also print the trail of this request.
        #[arg(long, value_name = "ID", value_parser = names::parse::<RequestId>)]
        request: Option<RequestId>,
        /// A head that was kept elsewhere: the ledger must go through it.
        #[arg(long, value_name = "HEAD")]
        head: Option<Head>,
        /// Where segments of `daas ledger archive` lie; may be given more than once. Without it what was archived is not
        /// verified.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        archive: Vec<PathBuf>,
        /// Who must have signed the genesis, and with it the checkpoint: 64 hexadecimal digits.
        #[arg(long, value_name = "KEY")]
        genesis_key: Option<PublicKey>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Hold the ledger against the Kubernetes cluster's own audit log.
    Reconcile(reconcile::Args),
}

/// Runs the command.
///
/// # Errors
/// [`Exit::Unverified`] if anything does not hold.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::Verify {
            request,
            head,
            archive,
            genesis_key,
            output,
        } => {
            let mut options = Options::default();
            options.head = *head;
            options.request = *request;
            options.archive.clone_from(archive);
            options.genesis_key = *genesis_key;
            verify(options, *output, global)
        }
        Command::Reconcile(args) => reconcile::run(args, global),
    }
}

fn verify(mut options: Options, output: Output, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, output, Flags::new())?;
    check_archives(&options.archive)?;
    app.printer.progress("verifying…");
    if options.genesis_key.is_none() {
        options.genesis_key = genesis_key(&app);
    }
    let report =
        audit::verify(app.layout().ledger(), &options).map_err(|error| app.no_ledger(error))?;
    let broken = report.broken.clone();
    let trails = report.trails.clone();
    let chain = report.chain;
    let archived = report.archived.clone();
    app.printer.object(&Shown(report))?;
    if app.printer.format() == Format::Table {
        for trail in &trails {
            app.printer.line("")?;
            app.printer.object(&Trail(trail.clone()))?;
        }
    }
    // First, as another ledger is signed by another key.
    if let Some(chain) = chain {
        app.expect_chain(chain)?;
    }
    if let Some(broken) = broken {
        return Err(is_broken(&broken));
    }
    if let Some(part) = archived.as_ref().filter(|part| !part.verified) {
        app.printer.note(&format!(
            "not verified: calls 1 to {}, which were archived. What they led to was taken from the checkpoint that {} \
             signed; name the archive with --archive to verify all of it",
            part.last_call, part.key
        ));
    }
    if options.request.is_some() && trails.is_empty() {
        let failure = Failure::new(
            Exit::NotFound,
            "the ledger verifies, and knows no such request",
        );
        return Err(match archived.is_some_and(|part| !part.verified) {
            true => failure
                .with_next("it may be of the part that was archived: name that with --archive")
                .into(),
            false => failure.into(),
        });
    }
    Ok(())
}

/// The key that the settings know as the admin's, if the genesis must be signed by it.
fn genesis_key(app: &App) -> Option<PublicKey> {
    let path = app.settings.path(Role::Admin.key())?;
    app.public_key_in(&path, Role::Admin.name()).ok()
}

fn is_broken(broken: &BrokenLink) -> anyhow::Error {
    let what = format!("the ledger is not what it was: {broken}");
    Failure::new(Exit::Unverified, what)
        .with_next("keep the directory as evidence, and go on from a copy that verifies")
        .into()
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(Report);

impl Show for Shown {
    const KIND: &'static str = "ledger";
    const COLUMNS: &'static [&'static str] = &[
        "VERIFIED",
        "BROKEN AT",
        "CHAIN",
        "HEAD",
        "CALLS",
        "EVENTS",
        "SIGNED HEADS",
        "ADMITTED",
        "ANSWERED",
        "REFUSED",
        "UP TO",
        "ARCHIVED",
    ];

    fn cells(&self) -> Vec<String> {
        let report = &self.0;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            if report.verified { "yes" } else { "no" }.to_owned(),
            or_dash(report.broken.as_ref().map(ToString::to_string)),
            or_dash(report.chain.map(|chain| chain.to_string())),
            or_dash(report.head.clone()),
            report.calls.to_string(),
            report.events.to_string(),
            report.heads.to_string(),
            report.admitted.to_string(),
            report.answered.to_string(),
            report.rejected.to_string(),
            Moment(report.time_ms).to_string(),
            or_dash(report.archived.as_ref().map(|part| {
                let calls = format!("calls 1 to {}", part.last_call);
                match part.verified {
                    true => format!("{calls}, verified in {} segments", part.segments),
                    false => format!("{calls}, not verified"),
                }
            })),
        ]
    }

    fn name(&self) -> String {
        self.0
            .chain
            .map(|chain| chain.to_string())
            .unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Trail(RequestTrail);

impl Show for Trail {
    const KIND: &'static str = "request";
    const COLUMNS: &'static [&'static str] = &["REQUEST", "TOKEN", "COMMAND", "STEPS"];

    fn cells(&self) -> Vec<String> {
        let steps = self.0.steps.iter().map(|step| {
            let kind = serde_json::to_value(step.kind).ok();
            let kind = kind
                .as_ref()
                .and_then(|kind| kind.as_str())
                .unwrap_or("?")
                .to_owned();
            let status = step
                .status
                .map(|status| format!(" {status}"))
                .unwrap_or_default();
            let code = step
                .code
                .map(|code| format!(" {}", code.name()))
                .unwrap_or_default();
            format!(
                "{} {kind}{status}{code} (event {})",
                Moment(step.time_ms),
                step.cursor
            )
        });
        vec![
            self.0.request_id.to_string(),
            self.0.token.to_string(),
            self.0.command.clone().unwrap_or_else(|| "-".to_owned()),
            steps.collect::<Vec<_>>().join("\n"),
        ]
    }

    fn name(&self) -> String {
        self.0.request_id.to_string()
    }
}
