//! `daas dev`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k3s_daas::crypto::write_private;
use k3s_daas::executor::kube::KubeExecutor;
use k3s_daas::memory_cluster::MemoryCluster;
use k3s_daas::types::TokenId;
use tokio::net::TcpListener;

use super::kubeconfig;
use super::memory_cluster::not_opened;
use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::binding;
use crate::exit::{Advise as _, Exit, Failure};
use crate::layout::{Layout, create_private_dir};
use crate::measures::{Measures, Own};
use crate::otlp;
use crate::provision::{self, Ground};
use crate::running::Running;
use crate::services::{self, GatewayParts, NautilusParts, Services};
use crate::session;
use crate::settings::{self, Flags, Key, Origin};
use crate::units;

/// How to run it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The first start makes everything in the directory: a ledger, development keys, a cluster with its executor, \
and a token that may do everything, with stake; later starts go on with it. DIR/kubeconfig is for kubectl. \
Ctrl-C lets what is under way finish.

In the memory cluster the token is bound to ClusterRole cluster-admin unless --bind says otherwise, so that \
what the token allows is all that counts. A real cluster knows nothing of the token yet: give --bind ROLE, or \
use the line printed. What is bound stays so at later starts, until another --bind.

Examples:
  daas dev
  daas dev --dir ./daas --listen 127.0.0.1:0
  daas dev --cluster current --bind edit
  daas dev --dir ./apart --provision-only

That directory is served by three processes, each in a terminal of its own:
  daas memory-cluster --listen 127.0.0.1:0 --dir ./apart/cluster
  daas-nautilus --dir ./apart
  daas-gateway --dir ./apart --kubeconfig ./apart/kubeconfig")]
pub struct Args {
    /// Which cluster: one of its own, or that of the current kubeconfig [default: as before, else memory].
    #[arg(long, value_enum, value_name = "CLUSTER")]
    cluster: Option<Cluster>,
    /// ClusterRole that the token is bound to on the cluster [default: as before, else cluster-admin in
    /// the memory cluster and none in another].
    #[arg(long, value_name = "ROLE")]
    bind: Option<String>,
    /// Address and port for the gateway; port 0 takes a free one [env: DAAS_GATEWAY_LISTEN] [default: as
    /// before, else 127.0.0.1:7443 or a free port].
    #[arg(long, value_name = "ADDRESS", value_parser = units::socket)]
    listen: Option<SocketAddr>,
    /// Only make the directory, for `daas-gateway` and `daas-nautilus` to run over.
    #[arg(long)]
    provision_only: bool,
}

/// Which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Cluster {
    /// A small API server in the same process.
    Memory,
    /// That of the current context of kubectl.
    Current,
}

/// Runs until it is told to stop.
///
/// # Errors
/// If something cannot be made, or a service fails.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let listen = args
        .listen
        .map(|listen| (Key::GatewayListen, listen.to_string()));
    let app = App::new(
        global,
        Output::default(),
        listen.into_iter().collect::<Flags>(),
    )?;
    app.start_logging("warn")?;
    app.block_on(serve(args, global, &app))
}

async fn serve(args: &Args, global: &Global, app: &App) -> anyhow::Result<()> {
    let layout = app.layout();
    if app.settings.file() != layout.settings() {
        return Err(Failure::new(
            Exit::Usage,
            "a development directory has its settings inside",
        )
        .with_next("give --dir alone, or a --config in that directory")
        .into());
    }
    let shutdown = services::shutdown_on_signal()?;
    provision::check_is_ours(&layout)?;
    create_private_dir(layout.root())
        .with_context(|| format!("cannot make {}", layout.root().display()))?;
    let _running = Running::begin(&layout)?;
    // Before anything is made that a busy port would leave behind.
    let listening = match args.provision_only {
        true => None,
        false => Some(listen(app).await?),
    };
    let ground = Ground::prepare(&layout).await?;
    let token = ground.ensure_user_token(&layout).await?;
    let target = Target::choose(args.cluster, app, &layout)?;
    let mut services = Services::default();
    let kube = target.start(&mut services, &layout).await?;
    let result = async {
        target.bind(app, args.bind.as_deref(), token).await?;
        let Some(listening) = listening else {
            target.forget_address()?;
            app.printer.note(&format!(
                "{} is ready for {}daas-nautilus and daas-gateway",
                layout.root().display(),
                match target {
                    Target::Memory { .. } => "daas memory-cluster, ",
                    Target::Kubeconfig { .. } => "",
                }
            ));
            return Ok(None);
        };
        start(global, &layout, &ground, kube, listening, &mut services)
            .await
            .map(Some)
    };
    // Ctrl-C while it starts is no failure.
    let started = tokio::select! {
        started = result => started,
        () = shutdown.cancelled() => Ok(None),
    };
    match started {
        Ok(Some(kubeconfig)) => {
            app.printer.line(&services::export_line(&kubeconfig))?;
            services.run(shutdown.clone()).await?;
            app.printer
                .note("stopped; the next `daas dev` goes on from here");
            Ok(())
        }
        Ok(None) => services.stop().await,
        Err(error) => {
            services.stop().await.ok();
            Err(error)
        }
    }
}

/// Starts Nautilus and the gateway; the kubeconfig for kubectl.
async fn start(
    global: &Global,
    layout: &Layout,
    ground: &Ground,
    kube: KubeExecutor,
    (listener, address): (TcpListener, SocketAddr),
    services: &mut Services,
) -> anyhow::Result<PathBuf> {
    settings::update(
        &layout.settings(),
        &[(Key::GatewayListen, address.to_string().into())],
    )?;
    // Read again: what was made is in the file now, and counts from here on.
    let flags = vec![(Key::GatewayListen, address.to_string())];
    let app = App::new(global, Output::default(), flags)?;
    let blobs = services::blobs(layout)?;
    // It reads its settings at the start alone.
    let own = Own::default();
    let nautilus = NautilusParts {
        ledger: ground.ledger_as(Role::Operator),
        blobs: blobs.clone(),
        signer: ground.signer(Role::Executor),
        executor: ground.executor,
        kube,
        config: app.settings.nautilus(layout)?,
        measures: Measures::listen(&app, Key::NautilusMetricsListen, &own).await?,
        spans: otlp::begin(services, &app, "daas-nautilus", &own.spans)?,
    };
    nautilus.begin(services)?;
    let tls = services::own_certificate(layout, address)?;
    let ca = tls
        .ca_pem()
        .context("the gateway's own authority has a certificate")?
        .to_owned();
    let gateway = GatewayParts {
        ledger: ground.ledger_as(Role::Gateway),
        blobs,
        cluster: ground.cluster,
        discovery: Some(ground.gateway_token),
        audience: session::audience(&app.settings),
        config: app.settings.gateway()?,
        tls,
        spans: otlp::begin(services, &app, "daas-gateway", &own.spans)?,
    };
    let gateway = gateway.build()?;
    if let Some(measures) = Measures::listen(&app, Key::GatewayMetricsListen, &own).await? {
        measures.begin_gateway(services, gateway.clone());
    }
    services::begin_gateway(services, gateway.clone(), listener);
    services::wait_until_ready(&gateway).await?;
    let kubeconfig = kubeconfig::of_app(&app, kubeconfig::NAME, Some(ca.as_bytes()))?;
    write_private(
        &layout.kubeconfig(),
        serde_yaml_ng::to_string(&kubeconfig)?.as_bytes(),
    )?;
    app.printer.note(&format!(
        "ready: {} over the ledger in {}",
        session::server(&app.settings),
        layout.ledger().display()
    ));
    if !address.ip().is_loopback() {
        app.printer.note("warning: others on the network can reach this gateway, and its keys are development keys");
    }
    Ok(layout.kubeconfig())
}

async fn listen(app: &App) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let wanted: SocketAddr = app.settings.required(Key::GatewayListen)?;
    let listening = services::listen(wanted).await;
    // Nobody asked for this very port, so another one is as good.
    if listening.is_err() && app.settings.origin(Key::GatewayListen) == Some(&Origin::Default) {
        return services::listen(SocketAddr::new(wanted.ip(), 0)).await;
    }
    listening
}

/// The cluster that is executed on.
#[derive(Debug)]
enum Target {
    Memory {
        kubeconfig: PathBuf,
    },
    Kubeconfig {
        file: PathBuf,
        context: Option<String>,
    },
}

impl Target {
    fn choose(wanted: Option<Cluster>, app: &App, layout: &Layout) -> anyhow::Result<Self> {
        let memory = Self::Memory {
            kubeconfig: layout.cluster_kubeconfig(),
        };
        let kept = app.settings.path(Key::NautilusKubeconfig);
        match (wanted, kept) {
            (Some(Cluster::Memory), _) | (None, None) => Ok(memory),
            (None, Some(file)) => Ok(Self::Kubeconfig {
                file,
                context: app.settings.text(Key::NautilusContext).map(str::to_owned),
            }),
            (Some(Cluster::Current), _) => {
                let (file, context) = current(layout)?;
                let path = file.to_string_lossy().into_owned();
                let mut changes = vec![(Key::NautilusKubeconfig, path.into())];
                changes.extend(
                    context
                        .clone()
                        .map(|context| (Key::NautilusContext, context.into())),
                );
                settings::update(&layout.settings(), &changes)?;
                Ok(Self::Kubeconfig { file, context })
            }
        }
    }

    async fn start(
        &self,
        services: &mut Services,
        layout: &Layout,
    ) -> anyhow::Result<KubeExecutor> {
        match self {
            Self::Memory { kubeconfig } => {
                begin_memory(services, &layout.cluster(), kubeconfig).await?;
                services::kube(Some(kubeconfig), None).await
            }
            Self::Kubeconfig { file, context } => {
                services::kube(Some(file), context.as_deref()).await
            }
        }
    }

    /// Removes the memory cluster's kubeconfig, whose port was for this start alone: `daas-nautilus` would
    /// take it for that of the memory cluster to come.
    fn forget_address(&self) -> anyhow::Result<()> {
        match self {
            Self::Memory { kubeconfig } => Ok(std::fs::remove_file(kubeconfig)?),
            Self::Kubeconfig { .. } => Ok(()),
        }
    }

    async fn bind(&self, app: &App, role: Option<&str>, token: TokenId) -> anyhow::Result<()> {
        let (file, context, fallback) = match self {
            Self::Memory { kubeconfig } => (kubeconfig, None, Some(MEMORY_ROLE)),
            Self::Kubeconfig { file, context } => (file, context.as_deref(), None),
        };
        let role = match role {
            Some(role) => Some(role),
            // What was said at an earlier start is in the cluster itself. Who may not look there is told
            // how to go on all the same.
            None => match binding::role_of(file, context, token).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => fallback,
                Err(error) if fallback.is_none() => {
                    if Exit::of(&error) == Exit::Unavailable {
                        app.printer.note(&format!("warning: {error:#}"));
                    }
                    None
                }
                Err(error) => return Err(error),
            },
        };
        match role {
            Some(role) => binding::bind(Some(file), context, token, role).await,
            None => {
                app.printer.note("the cluster knows nothing of this token; what it may do there is for you to say:");
                app.printer
                    .note(&format!("  {}", binding::command(token, "edit")));
                Ok(())
            }
        }
    }
}

/// Serves a durable memory cluster on a free port and writes its administrator's kubeconfig.
///
/// # Errors
/// If the directory cannot be used.
pub(crate) async fn begin_memory(
    services: &mut Services,
    dir: &Path,
    kubeconfig: &Path,
) -> anyhow::Result<()> {
    create_private_dir(dir)?;
    let cluster = MemoryCluster::builder()
        .with_directory(dir.to_owned())
        .build()
        .map_err(not_opened)?;
    let (listener, address) = services::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let text = cluster.kubeconfig(&format!("https://{address}"));
    write_private(kubeconfig, text.as_bytes())?;
    services.begin("memory cluster", |shutdown| async move {
        Ok(cluster.serve(listener, shutdown).await?)
    });
    Ok(())
}

/// The kubeconfig that kubectl uses now, and its context.
fn current(layout: &Layout) -> anyhow::Result<(PathBuf, Option<String>)> {
    let files: Vec<PathBuf> = match std::env::var_os(crate::env_vars::KUBECONFIG) {
        Some(files) => std::env::split_paths(&files)
            .filter(|file| !file.as_os_str().is_empty())
            .collect(),
        None => Vec::new(),
    };
    let file = match files.as_slice() {
        [] => {
            let home = std::env::var_os(crate::env_vars::HOME).context("HOME is not set")?;
            Path::new(&home).join(".kube/config")
        }
        [file] => file.clone(),
        _ => {
            return Err(
                Failure::new(Exit::Settings, "KUBECONFIG names several files")
                    .with_next("name one of them in KUBECONFIG, or in `nautilus.kubeconfig`")
                    .into(),
            );
        }
    };
    let file = std::path::absolute(file)?;
    if file == layout.kubeconfig() {
        return Err(Failure::new(
            Exit::Settings,
            "the current kubeconfig is this gateway's own",
        )
        .with_next("unset KUBECONFIG, or point it at the cluster itself")
        .into());
    }
    let read = kube::config::Kubeconfig::read_from(&file).advise(
        format!("cannot read {}", file.display()),
        "point KUBECONFIG at the cluster's kubeconfig",
    )?;
    let is_ours = |auth: &kube::config::NamedAuthInfo| {
        let exec = auth.auth_info.as_ref().and_then(|info| info.exec.as_ref());
        exec.and_then(|exec| exec.args.as_ref())
            .is_some_and(|args| args.first().is_some_and(|arg| arg == "credential"))
    };
    let context = read.current_context.clone();
    let user = read
        .contexts
        .iter()
        .find(|named| Some(&named.name) == context.as_ref())
        .and_then(|named| named.context.as_ref()?.user.clone());
    if read
        .auth_infos
        .iter()
        .any(|auth| Some(&auth.name) == user.as_ref() && is_ours(auth))
    {
        return Err(Failure::new(
            Exit::Settings,
            "the current context is that of a gateway, not of a cluster",
        )
        .with_next("choose the cluster's own context with `kubectl config use-context`")
        .into());
    }
    Ok((file, context))
}

/// In the memory cluster nothing but the token decides.
const MEMORY_ROLE: &str = "cluster-admin";
