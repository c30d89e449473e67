//! `daas doctor`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use http::Method;
use k3s_daas::ledger::LedgerExt as _;
use k3s_daas::ledger::local::{LocalLedger, SignedCheckpoint};
use k3s_daas::nautilus;
use k3s_daas::types::{ClusterId, ExecutorId, TokenId};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::gateway;
use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::binding;
use crate::exit::{self, Exit, Failure};
use crate::journal;
use crate::otlp;
use crate::printer::Show;
use crate::services;
use crate::settings::{Flags, Key};
use crate::small_file;
use crate::units::{self, Moment};
use crate::versions;

/// How to print.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Run it as the user and with the settings of the services; no key is unlocked and nothing is changed. A warning is \
something to look after, or that the machine may do without; a failure keeps a service from working, and ends this with \
exit code 1. What is wrong with the settings themselves ends every command, with exit code 7.

Examples:
  daas --dir /srv/daas doctor
  daas doctor -o json")]
pub struct Args {
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Looks at everything.
///
/// # Errors
/// [`Exit::Failure`] if anything keeps a service from working.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    let findings = app.block_on(async { Ok(examine(&app).await) })?;
    app.printer.list(&findings)?;
    let failed = findings.iter().filter(|found| found.state == State::Failed);
    match failed.count() {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failure, "one check failed").into()),
        count => Err(Failure::new(Exit::Failure, format!("{count} checks failed")).into()),
    }
}

/// What was looked at, how it is, and what to do.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    state: State,
    finding: String,
    #[serde(rename = "toDo")]
    to_do: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Failed,
}

impl Finding {
    fn ok(check: impl Into<String>, finding: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state: State::Ok,
            finding: finding.into(),
            to_do: None,
        }
    }

    fn warning(
        check: impl Into<String>,
        finding: impl Into<String>,
        to_do: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            to_do: Some(to_do.into()),
            ..Self::ok(check, finding)
        }
    }

    fn failed(
        check: impl Into<String>,
        finding: impl Into<String>,
        to_do: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Failed,
            ..Self::warning(check, finding, to_do)
        }
    }

    fn of_error(check: impl Into<String>, error: &anyhow::Error, otherwise: &str) -> Self {
        let text = format!("{error:#}");
        // Of a wrong mode the error itself says what to run.
        if let Some((finding, run)) = text.split_once("; run: ") {
            return Self::failed(check, finding, format!("`{run}`"));
        }
        let to_do = exit::advice(error).unwrap_or_else(|| otherwise.to_owned());
        Self::failed(check, text, to_do)
    }
}

impl Show for Finding {
    const KIND: &'static str = "check";
    const COLUMNS: &'static [&'static str] = &["CHECK", "STATE", "FINDING"];

    fn cells(&self) -> Vec<String> {
        let state = match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "FAILED",
        };
        let mut finding = self.finding.clone();
        if let Some(to_do) = &self.to_do {
            finding += &format!("\nto do: {to_do}");
        }
        vec![self.check.clone(), state.to_owned(), finding]
    }

    fn name(&self) -> String {
        self.check.replace(' ', "-")
    }
}

async fn examine(app: &App) -> Vec<Finding> {
    let version = env!("CARGO_PKG_VERSION");
    let settings = match app.settings.file().exists() {
        true => format!(
            "daas {version}, settings in {}",
            app.settings.file().display()
        ),
        false => format!("daas {version}, no settings file, so all defaults"),
    };
    let mut findings = vec![Finding::ok("settings", settings)];
    findings.extend(Role::ALL.map(|role| key(app, role)));
    findings.extend(passphrase(app));
    findings.extend(headers(app));
    findings.extend(certificates(app));
    let reserve = app.ledger_options().reserve_bytes;
    findings.push(disk("ledger", &app.layout().ledger(), reserve));
    findings.push(disk("blobs", &app.layout().blobs(), reserve));
    findings.push(blobs(app));
    let mut groups = Vec::new();
    match app.reader().await {
        Ok(ledger) => {
            // Whoever cannot read it says so below.
            let archived = ledger.checkpoint().await.ok().flatten();
            findings.extend(of_ledger(app, &ledger, archived));
            let tokens = ledger.view(|now| {
                let tokens =
                    [Key::Token, Key::GatewayToken].map(|key| app.settings.value::<TokenId>(key));
                let tokens = tokens.into_iter().flatten();
                let groups =
                    tokens.filter_map(|token| Some(now.state.token(token)?.groups.clone()));
                groups
                    .flatten()
                    .map(|group| group.to_string())
                    .collect::<Vec<_>>()
            });
            groups = tokens;
        }
        Err(error) => findings.push(Finding::of_error(
            "ledger",
            &error,
            "look at the directory and its modes; `daas audit verify` tells whether it is damaged",
        )),
    }
    findings.extend(cluster(app, groups).await);
    findings
}

/// Whether a role's key is there, private and whole; it stays locked.
fn key(app: &App, role: Role) -> Finding {
    let check = format!("key {}", role.name());
    let Some(path) = app.settings.path(role.key()) else {
        return Finding::failed(check, "no file is named", "set it in the settings file");
    };
    if !path.exists() {
        let finding = format!("there is none in {}", path.display());
        let to_do = match role {
            Role::Admin | Role::Owner => "nothing, if whoever holds it keeps it elsewhere",
            Role::Gateway => "nothing, if no gateway runs here; else restore it",
            _ => "nothing, if no Nautilus runs here; else restore it",
        };
        return Finding::warning(check, finding, to_do);
    }
    match app.public_key_in(&path, role.name()) {
        Ok(key) => Finding::ok(check, format!("{} in {}", key.address(), path.display())),
        Err(error) => Finding::of_error(check, &error, "restore the file from a copy"),
    }
}

fn passphrase(app: &App) -> Option<Finding> {
    let path = app.settings.path(Key::PassphraseFile)?;
    let check = "passphrase file";
    Some(match k3s_daas::crypto::read_private(&path) {
        Ok(_) => Finding::ok(check, path.display().to_string()),
        Err(error) => Finding::of_error(
            check,
            &error.into(),
            "put it there, or correct `passphrase_file`",
        ),
    })
}

/// What services send to the collector of traces beside them.
fn headers(app: &App) -> Option<Finding> {
    app.settings.text(Key::OtlpEndpoint)?;
    let path = app.settings.path(Key::OtlpHeadersFile)?;
    let check = "headers file";
    Some(match otlp::headers_in(&path) {
        Ok(_) => Finding::ok(check, path.display().to_string()),
        Err(error) => Finding::of_error(
            check,
            &error,
            "put it there, or correct `otlp.headers_file`",
        ),
    })
}

/// Whether the bodies on their way can be read, with the key to them.
fn blobs(app: &App) -> Finding {
    let directory = app.layout().blobs();
    match services::check_blobs(&app.layout()) {
        Ok(()) => Finding::ok("blobs", directory.display().to_string()),
        Err(error) => Finding::of_error(
            "blobs",
            &error,
            "put back what `daas backup` kept; or stop all services and remove it, with the bodies in it",
        ),
    }
}

/// When certificates end: that which is shown, and the authority that clients trust. And whether the gateway
/// has the key to it.
fn certificates(app: &App) -> Vec<Finding> {
    let given = app.settings.path(Key::GatewayCertificate);
    let authority = app.layout().gateway().join("ca.crt");
    // Without both of its files the authority is one that the gateway makes.
    let is_there = given.is_some() || authority.exists();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let tls = is_there.then(|| gateway::certificate(app, &app.layout(), address));
    let shown = tls.map(|tls| match tls {
        Ok(_) => Finding::ok("certificate's key", "it goes with the certificate"),
        Err(error) => Finding::of_error(
            "certificate's key",
            &error,
            "put certificate and key back as they belong together, PEM",
        ),
    });
    let own = app
        .settings
        .path(Key::GatewayCa)
        .filter(|_| given.is_none());
    let all = [("certificate", given), ("authority", own)];
    let all = all
        .into_iter()
        .filter_map(|(check, path)| Some((check, path?)));
    all.map(|(check, path)| certificate(check, &path))
        .chain(shown)
        .collect()
}

fn certificate(check: &str, path: &Path) -> Finding {
    let renew = match check {
        "certificate" => "have it renewed, and reload the gateway (SIGHUP)",
        _ => "`daas authority begin`, and what docs/operating.md says of it",
    };
    if !path.exists() && check == "authority" {
        return Finding::warning(
            check,
            format!("there is none in {}", path.display()),
            "nothing, if no gateway has run here: it makes one",
        );
    }
    let ends_ms = small_file::read(path).map_err(|error| error.to_string());
    let ends_ms = ends_ms.and_then(|pem| ends_ms_of(&pem));
    let now_ms = Moment::now().0;
    match ends_ms {
        Err(why) => Finding::failed(
            check,
            format!("{} cannot be read: {why}", path.display()),
            "put the certificate back, PEM",
        ),
        Ok(end) if end <= now_ms => {
            Finding::failed(check, format!("it ended {}", Moment(end)), renew)
        }
        Ok(end) if end - now_ms < SOON_MS => {
            Finding::warning(check, format!("it ends {}", Moment(end)), renew)
        }
        Ok(end) => Finding::ok(check, format!("until {}", Moment(end))),
    }
}

/// When the first certificate of a chain to end ends, Unix milliseconds.
fn ends_ms_of(pem: &[u8]) -> Result<u64, String> {
    let mut first: Option<u64> = None;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|error| error.to_string())?;
        let end = parsed.validity().not_after.timestamp();
        let end = u64::try_from(end).unwrap_or_default().saturating_mul(1_000);
        first = Some(first.map_or(end, |first| first.min(end)));
    }
    first.ok_or_else(|| "it has no certificate".to_owned())
}

fn disk(what: &str, directory: &Path, reserve: u64) -> Finding {
    let check = format!("disk {what}");
    let mut at = directory.to_owned();
    while !at.exists() && at.pop() {}
    if !directory.exists() && what == "ledger" {
        return Finding::failed(
            check,
            format!("there is no {}", directory.display()),
            "name the directory with --dir, or make a ledger with `daas dev` or `daas cluster create`",
        );
    }
    let stat = match rustix::fs::statvfs(&at) {
        Ok(stat) => stat,
        Err(error) => return Finding::failed(check, error.to_string(), "look at the disk"),
    };
    // It has no name, so nothing of it is left whatever happens.
    if let Err(error) = tempfile::tempfile_in(&at) {
        return Finding::failed(
            check,
            format!("{} cannot be written: {error}", at.display()),
            "run this as the services' user; make the disk writable",
        );
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    #[allow(clippy::cast_precision_loss)] // For people.
    let bytes = |bytes: u64| units::bytes(bytes as f64);
    let finding = format!("{} are free", bytes(free));
    let to_do = format!("make room: below {} nothing new is taken", bytes(reserve));
    match free {
        free if free < reserve => Finding::failed(check, finding, to_do),
        free if free < reserve.saturating_mul(16) => Finding::warning(check, finding, to_do),
        _ => Finding::ok(check, finding),
    }
}

fn of_ledger(app: &App, ledger: &LocalLedger, archived: Option<SignedCheckpoint>) -> Vec<Finding> {
    let archived = archived.map(|checkpoint| {
        let calls = checkpoint.message.head.calls;
        format!(", calls 1 to {calls} archived")
    });
    let at = format!("at {}{}", ledger.head(), archived.unwrap_or_default());
    let mut findings = vec![Finding::ok("ledger", at)];
    let behind_ms = ledger.clock_behind_ms();
    findings.push(if behind_ms > MAX_CLOCK_MS {
        Finding::failed(
            "clock",
            format!(
                "this machine's clock is {} s behind the ledger's time",
                behind_ms / 1_000
            ),
            "set the clock, with NTP; until it has caught up nothing is admitted",
        )
    } else {
        Finding::ok("clock", "not behind the ledger's time")
    });
    findings.push(of_cluster(app, ledger));
    findings.extend(of_executor(app, ledger));
    findings.extend(of_gateway_token(app, ledger));
    findings.extend(of_own_token(app, ledger));
    findings
}

fn of_cluster(app: &App, ledger: &LocalLedger) -> Finding {
    let check = "cluster on the ledger";
    let Some(cluster) = app.settings.value::<ClusterId>(Key::Cluster) else {
        return Finding::failed(
            check,
            "`cluster` is not set",
            "set it to what `daas cluster create` printed",
        );
    };
    if let Err(other) = versions::check_contract(ledger, Some(cluster), None) {
        return Finding::of_error(check, &other.into(), "");
    }
    let eligible = ledger.view(|now| Some(now.state.cluster(cluster)?.eligible().count()));
    match eligible {
        None => Finding::failed(
            check,
            format!("the ledger has no cluster {cluster}"),
            "correct `cluster`, or put the right ledger back",
        ),
        Some(0) => Finding::failed(
            check,
            "no executor is eligible, so nothing is admitted",
            "`daas executor list` shows why",
        ),
        Some(count) => Finding::ok(check, format!("eligible executors: {count}")),
    }
}

fn of_executor(app: &App, ledger: &LocalLedger) -> Vec<Finding> {
    let Some(executor) = app.settings.value::<ExecutorId>(Key::Executor) else {
        return vec![Finding::warning(
            "executor",
            "`executor` is not set",
            "nothing, if no Nautilus runs here; else `daas executor register`",
        )];
    };
    let standing = ledger.view(|now| {
        let cluster = now.state.cluster(now.state.executor(executor)?.cluster)?;
        let entry = cluster.executor(executor)?;
        let is_eligible = cluster.is_eligible(entry);
        Some((
            entry.stake,
            cluster.policy.min_executor_stake,
            entry.active,
            entry.signing_key,
            is_eligible,
        ))
    });
    let Some((stake, needed, is_active, signing_key, is_eligible)) = standing else {
        return vec![Finding::failed(
            "executor",
            format!("the ledger has no executor {executor}"),
            "correct `executor`, or `daas executor register`",
        )];
    };
    #[allow(clippy::cast_precision_loss)] // For people.
    let sui = |mist: u64| units::sui(mist as f64);
    let finding = format!("{} of stake, {} needed", sui(stake), sui(needed));
    let mut findings = vec![if !is_active {
        Finding::failed(
            "executor",
            "it is not active",
            "`daas executor list`, and have it activated",
        )
    } else if !is_eligible {
        Finding::failed(
            "executor",
            finding,
            "add stake, or have it attested as the policy wants",
        )
    } else if stake < needed + needed / 2 {
        Finding::warning(
            "executor",
            finding,
            "add stake before a slashing takes it out",
        )
    } else {
        Finding::ok("executor", finding)
    }];
    if let Some(path) = app
        .settings
        .path(Key::ExecutorKey)
        .filter(|path| path.exists())
        && let Ok(key) = app.public_key_in(&path, "executor")
        && key != signing_key
    {
        findings.push(Finding::failed(
            "executor's key",
            "the ledger has another signing key for this executor",
            "restore the right key file, or correct `executor`",
        ));
    }
    let journal = app.layout().journal_of(executor);
    let looked = nautilus::check_journal(&journal, ledger, executor);
    findings.push(match looked.map_err(journal::explained) {
        Ok(()) => Finding::ok("journal", journal.display().to_string()),
        Err(_) if !journal.exists() => Finding::failed(
            "journal",
            format!("there is none in {}", journal.display()),
            "`daas executor journal` makes a new one, if no Nautilus of this executor runs anywhere",
        ),
        Err(error) => Finding::of_error("journal", &error, "look at the file and its mode"),
    });
    findings
}

fn of_gateway_token(app: &App, ledger: &LocalLedger) -> Option<Finding> {
    let check = "gateway's token";
    let Some(token) = app.settings.value::<TokenId>(Key::GatewayToken) else {
        return Some(Finding::warning(
            check,
            "`gateway.token` is not set, so discovery is not served from memory and nobody is asked whether they answer",
            "issue one and set it, as docs/production.md does",
        ));
    };
    let renew = "issue another one and set `gateway.token`, as docs/production.md does";
    let finding = of_token(app, ledger, token, Role::Gateway);
    Some(match finding {
        Ok((end_ms, left_ms)) if left_ms < SOON_MS / 4 => {
            Finding::warning(check, format!("it ends {}", Moment(end_ms)), renew)
        }
        Ok((end_ms, _)) => Finding::ok(check, format!("until {}", Moment(end_ms))),
        Err(why) => Finding::failed(check, why, renew),
    })
}

/// The token that commands use; no service needs it.
fn of_own_token(app: &App, ledger: &LocalLedger) -> Option<Finding> {
    let token = app.settings.value::<TokenId>(Key::Token)?;
    Some(match of_token(app, ledger, token, Role::Owner) {
        Ok((end_ms, _)) => Finding::ok("token", format!("until {}", Moment(end_ms))),
        Err(why) => Finding::warning(
            "token",
            why,
            "set `token` to one of `daas token list`, and `keys.owner` to the key that holds it",
        ),
    })
}

/// When a token ends and how long that is from now, milliseconds; or why the key of `role` can do nothing
/// with it.
fn of_token(
    app: &App,
    ledger: &LocalLedger,
    token: TokenId,
    role: Role,
) -> Result<(u64, u64), String> {
    let key = app.settings.path(role.key());
    let key = key.filter(|path| path.exists());
    // What is wrong with the key itself is said where keys are.
    let key = key.and_then(|path| app.public_key_in(&path, role.name()).ok());
    ledger.view(|now| {
        let Some(found) = now.state.token(token) else {
            return Err(format!("the ledger has no token {token}"));
        };
        let (end_ms, now_ms) = (found.expires_at_ms, now.now_ms);
        if found.revoked {
            Err("it is revoked".to_owned())
        } else if end_ms <= now_ms {
            Err(format!("it ended {}", Moment(end_ms)))
        } else if let Some(account) = key.map(|key| key.address())
            && !found.is_holder(account, now_ms)
        {
            Err(format!(
                "the {} key, {account}, may not submit for it: it is {}'s",
                role.name(),
                found.owner
            ))
        } else {
            Ok((end_ms, end_ms - now_ms))
        }
    })
}

/// Whether Kubernetes answers, and lets Nautilus act as tokens.
async fn cluster(app: &App, groups: Vec<String>) -> Vec<Finding> {
    let memory = app.layout().cluster_kubeconfig();
    let named = app.settings.path(Key::NautilusKubeconfig);
    let file: Option<PathBuf> = named.or(Some(memory).filter(|path| path.exists()));
    let Some(file) = file else {
        return vec![Finding::warning(
            "kubernetes",
            "no kubeconfig is set, so it was not asked",
            "set `nautilus.kubeconfig`, unless Nautilus runs elsewhere or in a pod",
        )];
    };
    let context = app.settings.text(Key::NautilusContext);
    let look = "look at the kubeconfig and at the API server, with `kubectl version`";
    let client = match binding::client(Some(&file), context).await {
        Ok(client) => client,
        Err(error) => return vec![Finding::of_error("kubernetes", &error, look)],
    };
    let mut findings = Vec::new();
    match binding::send(&client, Method::GET, "/version", None).await {
        Ok((status, answer)) if status.is_success() => {
            let version = answer["gitVersion"]
                .as_str()
                .unwrap_or("of no version")
                .to_owned();
            findings.push(Finding::ok("kubernetes", version));
        }
        Ok((status, _)) => {
            let finding = format!("it answers {status} to {}", file.display());
            return vec![Finding::failed("kubernetes", finding, look)];
        }
        Err(error) => return vec![Finding::of_error("kubernetes", &error, look)],
    }
    let mut wanted = vec![
        ("users".to_owned(), String::new(), None),
        (
            "userextras".to_owned(),
            "authentication.k8s.io".to_owned(),
            Some(k3s_daas::executor::kube::REQUEST_ID_KEY.to_owned()),
        ),
    ];
    wanted.extend(
        groups
            .into_iter()
            .map(|group| ("groups".to_owned(), String::new(), Some(group))),
    );
    for (resource, api_group, name) in wanted {
        // The name of an extra is a subresource.
        let (subresource, name) = match resource.as_str() {
            "userextras" => (name, None),
            _ => (None, name),
        };
        let what = [Some(resource.clone()), subresource.clone(), name.clone()];
        let what = what.into_iter().flatten().collect::<Vec<_>>().join("/");
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": "impersonate", "group": api_group, "resource": resource,
                "subresource": subresource.unwrap_or_default(), "name": name.unwrap_or_default(),
            }},
        });
        findings.push(
            match binding::send(&client, Method::POST, REVIEWS, Some(&review)).await {
                Ok((status, answer)) if status.is_success() => {
                    let is_allowed = answer["status"]["allowed"] == Value::Bool(true);
                    may_impersonate(&what, is_allowed)
                }
                Ok((status, _)) => Finding::warning(
                    "impersonation",
                    format!("whether {what} may be impersonated is not told: {status}"),
                    "`kubectl auth can-i impersonate` with that kubeconfig",
                ),
                Err(error) => Finding::of_error("impersonation", &error, look),
            },
        );
    }
    findings
}

fn may_impersonate(what: &str, is_allowed: bool) -> Finding {
    if is_allowed {
        return Finding::ok("impersonation", format!("of {what} is allowed"));
    }
    Finding::failed(
        "impersonation",
        format!("of {what} is not allowed, so the cluster refuses what tokens ask"),
        "give Nautilus's account that right: deploy/kubernetes/rights.yaml has all of them",
    )
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// A month: certificates are renewed by people.
const SOON_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// As `/readyz` has it.
const MAX_CLOCK_MS: u64 = 5_000;
