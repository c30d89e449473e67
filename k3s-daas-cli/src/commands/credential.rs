//! `daas credential`.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{Global, OfToken, Output};
use crate::env_vars;
use crate::exit::{Exit, Failure};
use crate::session;
use crate::settings::{Flags, Key};
use crate::units::Moment;

/// What for.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
This is what kubectl runs: it prints an ExecCredential that is good for ten minutes, from the session \
key of `daas login`, and never asks anything. `daas kubeconfig` writes the lines that run it.

Examples:
  daas credential
  curl --cacert gateway/ca.crt -H \"Authorization: Bearer $(daas credential --bearer)\" https://127.0.0.1:7443/version")]
pub struct Args {
    /// The gateway it is for; host and port of its URL otherwise.
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// Whose credential it is.
    #[command(flatten)]
    token: OfToken,
    /// Print only what is sent as bearer.
    #[arg(long)]
    bearer: bool,
}

/// Prints a credential.
///
/// # Errors
/// If nobody is logged in, or kubectl wants another version.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    if let Some(info) = std::env::var_os(env_vars::KUBERNETES_EXEC_INFO) {
        check_version(&info.to_string_lossy())?;
    }
    let audience = args
        .audience
        .clone()
        .map(|audience| (Key::GatewayAudience, audience));
    let mut flags: Flags = args.token.flags();
    flags.extend(audience);
    let app = App::new(global, Output::default(), flags)?;
    let bearer = session::bearer(&app)?;
    if args.bearer {
        return Ok(app.printer.line(&bearer.text)?);
    }
    let expires = Moment(bearer.not_after_ms).to_string();
    // kubectl reads RFC 3339 in whole seconds; rounding down asks again in time.
    let (seconds, _) = expires
        .split_once('.')
        .context("a moment has milliseconds")?;
    let credential = json!({
        "kind": "ExecCredential",
        "apiVersion": VERSION,
        "spec": {"interactive": false},
        "status": {"expirationTimestamp": format!("{seconds}Z"), "token": bearer.text.as_str()},
    });
    Ok(app.printer.line(&credential.to_string())?)
}

fn check_version(info: &str) -> anyhow::Result<()> {
    let version = serde_json::from_str::<Value>(info)
        .ok()
        .and_then(|info| Some(info.get("apiVersion")?.as_str()?.to_owned()));
    match version {
        Some(version) if version == VERSION => Ok(()),
        _ => Err(
            Failure::new(Exit::Usage, format!("only {VERSION} is spoken here"))
                .with_next("write the kubeconfig anew with `daas kubeconfig`")
                .into(),
        ),
    }
}

const VERSION: &str = "client.authentication.k8s.io/v1";
