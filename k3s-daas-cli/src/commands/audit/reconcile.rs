//! `daas audit reconcile`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use k3s_daas::audit::{
    self, ClusterLog, Finding, FindingKind, NAUTILUS_ACCOUNT, ReconcileError, ReconcileOptions,
    Reconciliation,
};
use k3s_daas::ledger::local::Head;
use k3s_daas::types::ClusterId;
use serde::Serialize;

use crate::app::{App, check_archives};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::printer::{Format, Show};
use crate::settings::{Flags, Key};
use crate::units::{Moment, Span};

/// What to hold the ledger against.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Lists what reached the cluster without the ledger, or otherwise than it was admitted, and what the ledger has an \
answer of that the cluster never saw. The ledger is verified first, and nothing is changed.

Give all files of all API servers of the cluster. They must reach from the beginning of the ledger to a minute ago, \
or from --since to --until: of what the ledger has beyond the first and last line of the log nothing can be said, so \
a log that does not reach so far is not clean (exit code 6). The cluster's audit policy must log the requests of Nautilus's account at level Metadata at least and \
keep the stage RequestReceived; one that leaves reads out needs --writes-only.

Findings (exit code 6):
  unrecorded  Nautilus's account asked the cluster for what the ledger did not admit
  foreign     another account asked the cluster as a token
  altered     another method, path or query than was admitted
  groups      other groups than the token's
  repeated    a write more than once, or a read more often than it was given to an executor
  untimely    before it was admitted, after it was answered, or after its deadline
  missing     the ledger has an answer of the cluster's, and the cluster never saw the request
  status      the cluster gave another status than the ledger has

No findings, but counted: answers 504 (outcome unknown), whatever the cluster did; reads executed again after a \
claim; answers that the cluster gave and Nautilus could not pass on; Nautilus's own question whether the cluster is \
ready; what the cluster refused before it knew whom Nautilus acts as, and what was under way when an API server died, \
both told by time and URI since the log has no name of them.

Examples:
  daas audit reconcile --cluster-audit /var/log/kubernetes/audit.log
  daas audit reconcile --cluster-audit audit-2026-*.log audit.log -o json
  zcat audit-*.log.gz | daas audit reconcile --cluster-audit -
  daas audit reconcile --cluster-audit audit.log --since 2026-11-01T00:00:00Z --until 2026-11-02T00:00:00Z
  daas audit reconcile --cluster-audit audit.log --account nautilus --clock-skew 30s")]
pub struct Args {
    /// A file of the cluster's audit log, JSON lines; `-` is standard input. Several, in any order, are one log.
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., value_hint = ValueHint::FilePath)]
    cluster_audit: Vec<PathBuf>,
    /// The name by which the cluster knows Nautilus; may be given more than once.
    #[arg(long, value_name = "USER", default_value = NAUTILUS_ACCOUNT)]
    account: Vec<String>,
    /// By how much the clocks of ledger and cluster may differ.
    #[arg(long, value_name = "SPAN", default_value = "5s")]
    clock_skew: Span,
    /// From when on the log is whole; from the beginning of the ledger otherwise.
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Up to when the log is whole; up to a minute ago otherwise.
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Pass over reads that the cluster's log does not have.
    #[arg(long)]
    writes_only: bool,
    /// How many findings to print; all are counted.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// A head of the ledger that was kept elsewhere: the ledger must go through it.
    #[arg(long, value_name = "HEAD")]
    head: Option<Head>,
    /// Where segments of `daas ledger archive` lie; may be given more than once.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    archive: Vec<PathBuf>,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// [`Exit::Unverified`] if the ledger does not hold, or anything is found.
pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    app.printer
        .progress("reading the cluster's log, then the ledger…");
    check_archives(&args.archive)?;
    let logs = logs(&args.cluster_audit)?;
    let result = audit::reconcile(app.layout().ledger(), logs, &options(args, &app))
        .map_err(|error| explain(&app, error))?;
    let broken = result.ledger.broken.clone();
    let chain = result.ledger.chain;
    let found: u64 = result.found.values().sum();
    let is_other_account = result.counts.requests == 0 && found > 0;
    let (uncovered, admitted) = (result.counts.uncovered, result.counts.admitted);
    let has_audit_ids = result
        .findings
        .iter()
        .any(|finding| finding.audit_id.is_some());
    let shown = Shown(result);
    app.printer.object(&shown)?;
    if app.printer.format() == Format::Table && !shown.0.findings.is_empty() {
        let rows: Vec<Row<'_>> = shown.0.findings.iter().map(Row).collect();
        app.printer.line("")?;
        app.printer.list(&rows)?;
    }
    if let Some(broken) = broken {
        return Err(super::is_broken(&broken));
    }
    if let Some(chain) = chain {
        app.expect_chain(chain)?;
    }
    if found == 0 && uncovered == 0 {
        return Ok(());
    }
    if found == 0 {
        let what =
            format!("the log does not reach to {uncovered} of {admitted} requests of the ledger");
        let next =
            "give all files of the log, or say with --since and --until for which time it is whole";
        return Err(Failure::new(Exit::Unverified, what).with_next(next).into());
    }
    let next = if is_other_account {
        "the log has no request of Nautilus: name its account with --account, give all files of the log, and see \
         that the cluster's audit policy logs it"
    } else if !has_audit_ids {
        "see that all files of all API servers are given, and that the audit policy logs what Nautilus asks for"
    } else {
        "look each up in the cluster's log by its audit ID; what Nautilus's account did alone, somebody else has its \
         credential for"
    };
    let what = match found {
        1 => "ledger and cluster differ in one request".to_owned(),
        found => format!("ledger and cluster differ in {found} places"),
    };
    Err(Failure::new(Exit::Unverified, what).with_next(next).into())
}

fn logs(paths: &[PathBuf]) -> anyhow::Result<Vec<ClusterLog>> {
    let is_input = |path: &&PathBuf| path.as_os_str() == "-";
    if paths.iter().filter(is_input).count() > 1 {
        return Err(Failure::new(Exit::Usage, "standard input can be read once").into());
    }
    let log = |path| match is_input(&path) {
        true => ClusterLog::new("standard input", io::BufReader::new(io::stdin())),
        false => ClusterLog::file(path),
    };
    Ok(paths.iter().map(log).collect())
}

fn options(args: &Args, app: &App) -> ReconcileOptions {
    let mut options = ReconcileOptions::default();
    options.ledger.head = args.head;
    options.ledger.archive.clone_from(&args.archive);
    options.accounts = args.account.clone();
    options.cluster = app.settings.value::<ClusterId>(Key::Cluster);
    options.clock_skew = Duration::from_millis(args.clock_skew.as_ms());
    options.writes_only = args.writes_only;
    options.since_ms = args.since.map(|since| since.0);
    options.until_ms = args.until.map(|until| until.0);
    options.max_findings = args.limit;
    options
}

fn explain(app: &App, error: ReconcileError) -> anyhow::Error {
    let (exit, next) = match &error {
        ReconcileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => (
            Exit::NotFound,
            "name the file that kube-apiserver's --audit-log-path says",
        ),
        ReconcileError::Line { .. } => (
            Exit::Failure,
            "give the file as kube-apiserver wrote it (--audit-log-format=json)",
        ),
        ReconcileError::Archived => (
            Exit::Failure,
            "name the archive with --archive, or give files of the log that begin later",
        ),
        ReconcileError::Empty => (
            Exit::Failure,
            "kube-apiserver logs with --audit-policy-file and --audit-log-path",
        ),
        _ => match error {
            ReconcileError::Ledger(error) => return app.no_ledger(error),
            error => return error.into(),
        },
    };
    let message = crate::exit::chain(&error);
    Failure::new(exit, message).with_next(next).into()
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(Reconciliation);

impl Show for Shown {
    const KIND: &'static str = "reconciliation";
    const COLUMNS: &'static [&'static str] = &[
        "CLEAN",
        "FOUND",
        "LEDGER",
        "CLUSTER LOG",
        "IN THE LOG",
        "ON THE LEDGER",
        "THE SAME IN BOTH",
        "IN BOTH, ALLOWED",
        "ON THE LEDGER ALONE, ALLOWED",
    ];

    fn cells(&self) -> Vec<String> {
        let Reconciliation {
            ledger,
            window,
            counts,
            ..
        } = &self.0;
        let found: Vec<String> = self.0.found.iter().map(found).collect();
        let verified = if ledger.verified {
            "verifies"
        } else {
            "is broken"
        };
        let head = ledger.head.as_deref().unwrap_or("-");
        let truncated: Vec<String> = self.0.truncated.iter().map(cut_off).collect();
        vec![
            if self.0.clean { "yes" } else { "no" }.to_owned(),
            if found.is_empty() {
                "-".to_owned()
            } else {
                found.join(", ")
            },
            format!("{verified}, up to {}, head {head}", Moment(ledger.time_ms)),
            format!(
                "{} to {}{}",
                Moment(window.from_ms),
                Moment(window.to_ms),
                truncated.concat()
            ),
            format!(
                "{} events, {} requests of Nautilus, {} of them whether the cluster is ready",
                counts.events, counts.requests, counts.probes
            ),
            format!(
                "{} requests admitted, {} where the log does not reach",
                counts.admitted, counts.uncovered
            ),
            counts.matched.to_string(),
            format!(
                "{} answered 504 unknown, {} not answered yet, {} not passed on, {} reads again after a claim",
                counts.unknown, counts.unanswered, counts.not_passed_on, counts.repeated_reads
            ),
            format!(
                "{} without the cluster, {} by time and URI, {} of another time, {} reads left out",
                counts.without_cluster, counts.by_likeness, counts.outside, counts.reads_left_out
            ),
        ]
    }

    fn name(&self) -> String {
        let chain = self.0.ledger.chain;
        chain.map(|chain| chain.to_string()).unwrap_or_default()
    }
}

fn found((kind, count): (&FindingKind, &u64)) -> String {
    format!("{count} {}", kind_text(*kind))
}

fn cut_off(name: &String) -> String {
    format!("\nthe last line of {name} is not whole")
}

fn kind_text(kind: FindingKind) -> String {
    let text = serde_json::to_value(kind).ok();
    let text = text.as_ref().and_then(|text| text.as_str());
    text.unwrap_or("?").to_owned()
}

#[derive(Serialize)]
#[serde(transparent)]
struct Row<'a>(&'a Finding);

impl Show for Row<'_> {
    const KIND: &'static str = "finding";
    const COLUMNS: &'static [&'static str] = &[
        "TIME", "FINDING", "COMMAND", "REQUEST", "ACCOUNT", "CLUSTER", "LEDGER", "AUDIT ID",
        "DETAIL",
    ];

    fn cells(&self) -> Vec<String> {
        let finding = self.0;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let status = |status: Option<u16>| or_dash(status.map(|status| status.to_string()));
        vec![
            Moment(finding.time_ms).to_string(),
            kind_text(finding.kind),
            finding.command.clone(),
            or_dash(finding.request_id.map(|id| id.to_string())),
            or_dash(finding.account.clone()),
            status(finding.status),
            status(finding.recorded),
            or_dash(finding.audit_id.clone()),
            finding.detail.clone(),
        ]
    }

    fn name(&self) -> String {
        let id = self.0.request_id.map(|id| id.to_string());
        id.or_else(|| self.0.audit_id.clone()).unwrap_or_default()
    }
}
