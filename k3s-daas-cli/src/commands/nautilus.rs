//! `daas-nautilus`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use k3s_daas::executor::kube::KubeExecutor;
use k3s_daas::nautilus::Controls;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{self, Exit, Failure};
use crate::layout::Layout;
use crate::logging;
use crate::measures::{Measures, Own};
use crate::otlp;
use crate::reload::{Hangups, Program};
use crate::services::{self, NautilusParts, Services};
use crate::settings::{Flags, Key, Settings};
use crate::units;
use crate::versions;

/// The service that executes what the ledger admitted: follows it, executes, signs the answers.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "daas-nautilus",
    version,
    after_help = format!("{EXAMPLES}\n\n{}", exit::HELP)
)]
pub struct Cli {
    /// What holds for every program.
    #[command(flatten)]
    global: Global,
    /// Kubeconfig of the cluster [env: DAAS_NAUTILUS_KUBECONFIG].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of that kubeconfig [env: DAAS_NAUTILUS_CONTEXT] [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Address to serve /metrics, /livez and /readyz on, over plain HTTP [env: DAAS_NAUTILUS_METRICS_LISTEN]
    /// [default: nowhere].
    #[arg(long, value_name = "ADDRESS", value_parser = units::socket)]
    metrics_listen: Option<SocketAddr>,
}

/// Runs Nautilus until it is told to stop.
///
/// # Errors
/// If something is missing, or the cluster's kubeconfig cannot be used.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let mut flags = Flags::new();
    let kubeconfig = cli
        .kubeconfig
        .as_ref()
        .map(|path| path.to_string_lossy().into_owned());
    flags.extend(kubeconfig.map(|path| (Key::NautilusKubeconfig, path)));
    flags.extend(
        cli.context
            .clone()
            .map(|context| (Key::NautilusContext, context)),
    );
    let metrics = cli.metrics_listen.map(|address| address.to_string());
    flags.extend(metrics.map(|address| (Key::NautilusMetricsListen, address)));
    let app = App::new(&cli.global, Output::default(), flags.clone())?;
    app.start_logging(LOG)?;
    app.block_on(serve(cli, flags, &app))
}

async fn serve(cli: &Cli, flags: Flags, app: &App) -> anyhow::Result<()> {
    let shutdown = services::shutdown_on_signal()?;
    let hangups = Hangups::listen()?;
    let layout = app.layout();
    let kubeconfig = match app.settings.path(Key::NautilusKubeconfig) {
        Some(kubeconfig) => Some(kubeconfig),
        None => memory_kubeconfig(app, &layout, &shutdown).await?,
    };
    if shutdown.is_cancelled() {
        // Not on to another cluster, because this one did not come.
        return Ok(());
    }
    let kube = services::kube(
        kubeconfig.as_deref(),
        app.settings.text(Key::NautilusContext),
    )
    .await?;
    let server = kube.server().to_owned();
    let ledger = app.ledger(Role::Operator).await?;
    let executor = app.settings.required(Key::Executor)?;
    versions::check_contract_of(&ledger, executor)?;
    let own = Own::default();
    let mut services = Services::default();
    let current = kube.clone();
    let parts = NautilusParts {
        ledger,
        blobs: services::blobs(&layout)?,
        signer: app.signer(Role::Executor)?,
        executor,
        kube,
        config: app.settings.nautilus(&layout)?,
        measures: Measures::listen(app, Key::NautilusMetricsListen, &own).await?,
        spans: otlp::begin(&mut services, app, "daas-nautilus", &own.spans)?,
    };
    let controls = parts.begin(&mut services)?;
    let global = cli.global.clone();
    let again = move || {
        let (global, flags) = (global.clone(), flags.clone());
        let (kube, controls) = (current.clone(), controls.clone());
        async move { reload(&global, flags, &kube, &controls).await }
    };
    let running = app.settings.clone();
    hangups.begin(
        &mut services,
        Program::Nautilus,
        running,
        own.reloads,
        again,
    );
    app.printer.note(&format!("executing on {server}"));
    services.run(shutdown).await
}

/// Reads everything that can change again, and applies it if nothing of it is wrong.
async fn reload(
    global: &Global,
    flags: Flags,
    kube: &KubeExecutor,
    controls: &Controls,
) -> anyhow::Result<Settings> {
    let app = App::new(global, Output::default(), flags)?;
    let layout = app.layout();
    let filter = logging::prepare(app.log_filter(LOG))?;
    let of_memory = Some(layout.cluster_kubeconfig()).filter(|path| path.exists());
    let kubeconfig = app.settings.path(Key::NautilusKubeconfig).or(of_memory);
    let context = app.settings.text(Key::NautilusContext);
    let fresh = services::kube(kubeconfig.as_deref(), context).await?;
    if fresh.server() != kube.server() {
        let message = format!(
            "the kubeconfig is of {}, and this executes on {}",
            fresh.server(),
            kube.server()
        );
        return Err(Failure::new(Exit::Settings, message)
            .with_next("restart it to execute on another server")
            .into());
    }
    controls.reload(app.settings.nautilus(&layout)?)?;
    kube.adopt_credentials(&fresh);
    logging::change(filter);
    Ok(app.settings)
}

/// The kubeconfig of the memory cluster in the directory, which may just be starting; `None` if the directory
/// has no memory cluster.
async fn memory_kubeconfig(
    app: &App,
    layout: &Layout,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<PathBuf>> {
    let kubeconfig = layout.cluster_kubeconfig();
    if !layout.cluster().exists() || kubeconfig.exists() {
        return Ok(Some(kubeconfig).filter(|path| path.exists()));
    }
    app.printer.note(&format!(
        "waiting for `daas memory-cluster --dir {}`",
        layout.cluster().display()
    ));
    let appears = async {
        while !kubeconfig.exists() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = appears => Ok(Some(kubeconfig.clone())),
        () = tokio::time::sleep(PATIENCE) => Err(Failure::new(
            Exit::Unavailable,
            "the memory cluster of the directory does not run",
        )
        .with_next("start `daas memory-cluster`, or name another cluster with --kubeconfig")
        .into()),
        () = shutdown.cancelled() => Ok(None),
    }
}

/// How long a memory cluster that is started beside it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it logs unless told otherwise.
const LOG: &str = "info";

const EXAMPLES: &str = "\
The cluster's account in the kubeconfig needs the verb `impersonate` on users, groups and \
userextras/daas.dev/request-id. Without a kubeconfig that of the memory cluster in the directory is used, \
if there is one, else the service account of the pod it runs in, else kubectl's own. SIGINT and SIGTERM let \
what has begun finish; SIGHUP has settings and kubeconfig read again.

Examples:
  daas-nautilus --dir /srv/daas --kubeconfig /etc/daas/kubeconfig --context production
  daas memory-cluster --dir ./daas/cluster & daas-nautilus --dir ./daas";
