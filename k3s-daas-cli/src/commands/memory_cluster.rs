//! `daas memory-cluster`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k3s_daas::crypto::write_private;
use k3s_daas::memory_cluster::{self, MemoryCluster};

use crate::app::App;
use crate::args::{Global, Output};
use crate::exit::{self, Exit, Failure};
use crate::layout::create_private_dir;
use crate::services;
use crate::settings::Flags;
use crate::units;

/// How to run it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Objects are kept and served as kube-apiserver does; nothing is scheduled, so Pods stay Pending. The \
kubeconfig it writes holds the administrator's token, so it is readable for you alone. In the \
background, wait for that file: it is written when the server answers.

Examples:
  daas memory-cluster --listen 127.0.0.1:6443 --dir ./cluster
  daas memory-cluster --listen 127.0.0.1:0 --kubeconfig ./memory.kubeconfig")]
pub struct Args {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDRESS", value_parser = units::socket)]
    listen: SocketAddr,
    /// Keep everything in this directory; without it nothing is kept.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where to write the administrator's kubeconfig [default: kubeconfig in the directory].
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    kubeconfig: Option<PathBuf>,
    /// Further names and addresses for the certificate.
    #[arg(long = "server-name", value_name = "NAME")]
    server_names: Vec<String>,
    /// Let everybody with a valid token do everything, without RBAC.
    #[arg(long)]
    no_authorization: bool,
}

/// Serves until it is told to stop.
///
/// # Errors
/// If it cannot listen, or the directory cannot be used.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut global = global.clone();
    // Here the directory is the cluster's own.
    global.dir = None;
    let app = App::new(&global, Output::default(), Flags::new())?;
    app.start_logging("warn")?;
    app.block_on(async {
        let (listener, address) = services::listen(args.listen).await?;
        let cluster = build(args)?;
        let server = format!("https://{}", services::reachable(address));
        let kubeconfig = match (&args.kubeconfig, &args.dir) {
            (Some(file), _) => file.clone(),
            (None, Some(dir)) => dir.join("kubeconfig"),
            (None, None) => {
                return Err(
                    Failure::new(Exit::Usage, "neither --dir nor --kubeconfig is given").into(),
                );
            }
        };
        let shutdown = services::shutdown_on_signal()?;
        let serving = tokio::spawn(cluster.clone().serve(listener, shutdown));
        write_private(&kubeconfig, cluster.kubeconfig(&server).as_bytes())?;
        app.printer.note(&format!("serving {server}"));
        app.printer.line(&services::export_line(&kubeconfig))?;
        serving.await?.context("the memory cluster stopped")
    })
}

fn build(args: &Args) -> anyhow::Result<MemoryCluster> {
    let mut builder = MemoryCluster::builder()
        .with_server_names(names(args))
        .with_authorization(!args.no_authorization);
    if let Some(dir) = &args.dir {
        create_private_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        builder = builder.with_directory(absolute(dir)?);
    }
    builder.build().map_err(not_opened)
}

/// The error of a memory cluster that cannot be opened, with advice.
pub(crate) fn not_opened(error: memory_cluster::Error) -> anyhow::Error {
    let next = if exit::is_in_use(&error) {
        "another process runs over its directory: stop that one, or choose another --dir"
    } else {
        "restore its directory from a copy, or choose another --dir"
    };
    exit::advised(error, "cannot open the memory cluster", next)
}

fn names(args: &Args) -> Vec<String> {
    let mut names = args.server_names.clone();
    let ip = args.listen.ip();
    if !ip.is_loopback() && !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    names
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
}
