//! `daas-gateway`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use k3s_daas::crypto::write_private;
use k3s_daas::gateway::{Gateway, Tls};
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{ClusterId, TokenId};

use super::kubeconfig;
use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::descriptors;
use crate::exit::{self, Exit, Failure};
use crate::logging;
use crate::measures::{Measures, Own};
use crate::otlp;
use crate::reload::{Hangups, Program};
use crate::services::{self, GatewayParts, Services};
use crate::session;
use crate::settings::{self, Flags, Key, Settings};
use crate::units;
use crate::versions;

/// The service that kubectl talks to: HTTPS in, requests on the ledger out, and the answers back.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "daas-gateway",
    version,
    after_help = format!("{EXAMPLES}\n\n{}", exit::HELP)
)]
pub struct Cli {
    /// What holds for every program.
    #[command(flatten)]
    global: Global,
    /// Address and port to listen on; port 0 takes a free one [env: DAAS_GATEWAY_LISTEN].
    #[arg(long, value_name = "ADDRESS", value_parser = units::socket)]
    listen: Option<SocketAddr>,
    /// URL under which clients reach it [env: DAAS_GATEWAY_SERVER] [default: that of the address].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// What credentials must name [env: DAAS_GATEWAY_AUDIENCE] [default: host and port of the URL].
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// Certificate chain, PEM, instead of one of its own CA [env: DAAS_GATEWAY_CERTIFICATE].
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// Private key of that certificate, PEM [env: DAAS_GATEWAY_PRIVATE_KEY].
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// Authority of that certificate, PEM, for kubeconfigs [env: DAAS_GATEWAY_CA] [default: those of the system].
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_authority: Option<PathBuf>,
    /// Address to serve /metrics on, over plain HTTP [env: DAAS_GATEWAY_METRICS_LISTEN] [default: nowhere].
    #[arg(long, value_name = "ADDRESS", value_parser = units::socket)]
    metrics_listen: Option<SocketAddr>,
    /// Write a kubeconfig for kubectl to this file when it is ready.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl Cli {
    fn flags(&self) -> Flags {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let values = [
            (
                Key::GatewayListen,
                self.listen.map(|listen| listen.to_string()),
            ),
            (
                Key::GatewayMetricsListen,
                self.metrics_listen.map(|listen| listen.to_string()),
            ),
            (Key::GatewayServer, self.server.clone()),
            (Key::GatewayAudience, self.audience.clone()),
            (Key::GatewayCertificate, self.certificate.as_ref().map(path)),
            (Key::GatewayPrivateKey, self.private_key.as_ref().map(path)),
            (
                Key::GatewayCa,
                self.certificate_authority.as_ref().map(path),
            ),
        ];
        let values = values
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        values.collect()
    }
}

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// If something is missing, or it cannot listen.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let app = App::new(&cli.global, Output::default(), cli.flags())?;
    app.start_logging(LOG)?;
    app.block_on(serve(cli, &app))
}

async fn serve(cli: &Cli, app: &App) -> anyhow::Result<()> {
    let shutdown = services::shutdown_on_signal()?;
    let hangups = Hangups::listen()?;
    let layout = app.layout();
    let cluster: ClusterId = app.settings.required(Key::Cluster)?;
    let ledger = app.ledger(Role::Gateway).await?;
    versions::check_contract(
        &ledger,
        Some(cluster),
        app.settings.value(Key::GatewayToken),
    )?;
    check_key(app, &ledger)?;
    let wanted: SocketAddr = app.settings.required(Key::GatewayListen)?;
    let (listener, address) = services::listen(wanted).await?;
    let mut flags = cli.flags();
    // Port 0 is a port now.
    if wanted.port() == 0 {
        flags.retain(|(key, _)| *key != Key::GatewayListen);
        flags.push((Key::GatewayListen, address.to_string()));
    }
    let settled = App::new(&cli.global, Output::default(), flags.clone())?;
    if app.settings.is_development() {
        // So that `daas request` and `daas credential` find it.
        settings::update(
            app.settings.file(),
            &[(Key::GatewayListen, address.to_string().into())],
        )?;
    }
    let tls = certificate(app, &layout, address)?;
    let mut services = Services::default();
    let own = Own::default();
    let gateway = GatewayParts {
        ledger,
        blobs: services::blobs(&layout)?,
        cluster,
        discovery: settled.settings.value(Key::GatewayToken),
        audience: session::audience(&settled.settings),
        config: settled.settings.gateway()?,
        tls,
        spans: otlp::begin(&mut services, app, "daas-gateway", &own.spans)?,
    };
    let gateway = gateway.build()?;
    if let Some(measures) = Measures::listen(app, Key::GatewayMetricsListen, &own).await? {
        measures.begin_gateway(&mut services, gateway.clone());
    }
    services::begin_gateway(&mut services, gateway.clone(), listener);
    let again = {
        let (global, gateway) = (cli.global.clone(), gateway.clone());
        move || {
            let (global, flags, gateway) = (global.clone(), flags.clone(), gateway.clone());
            async move { reload(&global, flags, &gateway, address) }
        }
    };
    let running = settled.settings.clone();
    hangups.begin(&mut services, Program::Gateway, running, own.reloads, again);
    if let Some(file) = &cli.kubeconfig {
        let ca = match gateway.ca_pem() {
            Some(pem) => Some(pem.into_bytes()),
            None => session::authority(&settled)?,
        };
        let kubeconfig = kubeconfig::of_app(&settled, kubeconfig::NAME, ca.as_deref())?;
        write_private(file, serde_yaml_ng::to_string(&kubeconfig)?.as_bytes())?;
        app.printer
            .line(&services::export_line(&std::path::absolute(file)?))?;
    }
    app.printer
        .note(&format!("serving {}", session::server(&settled.settings)));
    services.run(shutdown).await
}

/// Reads everything that can change again, and applies it if nothing of it is wrong.
fn reload(
    global: &Global,
    flags: Flags,
    gateway: &Gateway,
    address: SocketAddr,
) -> anyhow::Result<Settings> {
    let app = App::new(global, Output::default(), flags)?;
    let filter = logging::prepare(app.log_filter(LOG))?;
    let tls = certificate(&app, &app.layout(), address)?;
    let mut config = app.settings.gateway()?;
    config.audience = gateway.config().audience;
    config.discovery_token = app.settings.value(Key::GatewayToken);
    descriptors::bound_connections(&mut config);
    gateway.reload(config)?;
    gateway.replace_tls(tls);
    logging::change(filter);
    Ok(app.settings)
}

/// Refuses a key with which nothing would be accepted, as far as the gateway's own token shows that.
fn check_key(app: &App, ledger: &LocalLedger) -> anyhow::Result<()> {
    let Some(token) = app.settings.value::<TokenId>(Key::GatewayToken) else {
        return Ok(());
    };
    let account = ledger.account();
    let is_holder = ledger.view(|now| {
        let token = now.state.token(token)?;
        Some(token.is_holder(account, now.now_ms))
    });
    if is_holder != Some(false) {
        return Ok(());
    }
    let file: PathBuf = app.settings.required(Key::GatewayKey)?;
    Err(Failure::new(
        Exit::Key,
        format!(
            "the gateway key in {} may not submit for the gateway's own token {token}",
            file.display()
        ),
    )
    .with_next("restore the right key, or set `gateway.token` to a token of this one")
    .into())
}

/// What the gateway shows who it is with: the certificate that is set, else one of its own authority for the
/// names of `address`.
///
/// # Errors
/// If it cannot be used, or has no key.
pub(super) fn certificate(
    app: &App,
    layout: &crate::layout::Layout,
    address: SocketAddr,
) -> anyhow::Result<Tls> {
    let given = (
        app.settings.path(Key::GatewayCertificate),
        app.settings.path(Key::GatewayPrivateKey),
    );
    match given {
        (Some(certificate), Some(key)) => {
            Tls::from_files(&certificate, &key).context("cannot use the gateway's certificate")
        }
        (None, None) => services::own_certificate(layout, address),
        _ => Err(Failure::new(
            Exit::Settings,
            "a certificate needs its private key, and a key its certificate",
        )
        .with_next("set both `gateway.certificate` and `gateway.private_key`, or neither")
        .into()),
    }
}

/// What it logs unless told otherwise.
const LOG: &str = "info";

const EXAMPLES: &str = "\
The gateway's account (that of its key) must be a delegate of the tokens that it serves: see `daas token \
delegate`. SIGINT and SIGTERM let what is under way finish; SIGHUP has settings and certificate read again.

--listen and --server hold for this process alone: for `daas request`, `daas whoami` and `daas kubeconfig` over \
the same directory, set `gateway.listen` or `gateway.server` in its settings file (or DAAS_GATEWAY_LISTEN or \
DAAS_GATEWAY_SERVER for all of them). The kubeconfig of --kubeconfig has the right address anyway.

Examples:
  daas-gateway --dir /srv/daas --listen 0.0.0.0:7443 --server https://gateway.example:7443
  daas-gateway --dir ./daas --listen 127.0.0.1:0 --kubeconfig ./kubeconfig";
