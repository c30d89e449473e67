//! The long-running services: made of the directory's parts, run together, stopped in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use k3s_daas::blob::{self, BlobStore, DirectoryBlobStore};
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::executor::Executor;
use k3s_daas::executor::kube::KubeExecutor;
use k3s_daas::gateway::{self, Gateway, Tls};
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::nautilus::{self, Controls, Nautilus};
use k3s_daas::spans::SpanSink;
use k3s_daas::types::{ClusterId, ExecutorId, TokenId};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::descriptors;
use crate::env_vars as env;
use crate::exit::{self, Advise as _, Exit, Failure};
use crate::journal;
use crate::layout::{Layout, create_private_dir};
use crate::measures::Measures;

/// Services that run in this process, in the order in which they were begun.
#[derive(Debug, Default)]
pub struct Services {
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: &'static str,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Services {
    /// Begins one; it must end when its token is cancelled.
    pub fn begin<F>(&mut self, name: &'static str, service: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(service(shutdown.clone()));
        self.running.push(Running {
            name,
            shutdown,
            task,
        });
    }

    /// Runs until `shutdown`, or until one of them ends by itself; then stops them all, the last one begun
    /// first, each when the one before is done with what was under way.
    ///
    /// # Errors
    /// That of the first service that failed.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failure = None;
        {
            let mut ends: FuturesUnordered<_> = self
                .running
                .iter_mut()
                .enumerate()
                .map(|(index, running)| async move { (index, (&mut running.task).await) })
                .collect();
            let ended = tokio::select! {
                () = shutdown.cancelled() => None,
                ended = ends.next() => ended,
            };
            drop(ends);
            if let Some((index, result)) = ended {
                let name = self.running.remove(index).name;
                failure = Some(match result {
                    Ok(Ok(())) => anyhow::anyhow!("the {name} stopped by itself"),
                    Ok(Err(error)) => error.context(format!("the {name} failed")),
                    Err(error) => anyhow::Error::from(error).context(format!("the {name} failed")),
                });
            }
        }
        let stopped = self.stop().await;
        match failure {
            Some(failure) => Err(failure),
            None => stopped,
        }
    }

    /// Stops them all, as [`Services::run`] does.
    ///
    /// # Errors
    /// That of the first service that failed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some(running) = self.running.pop() {
            running.shutdown.cancel();
            let ended = running.task.await;
            let ended = ended.map_err(anyhow::Error::from).and_then(|ended| ended);
            if result.is_ok() {
                result = ended.with_context(|| format!("the {} failed", running.name));
            }
        }
        result
    }
}

/// The blob store of a directory, shared by both services.
///
/// # Errors
/// If it cannot be opened.
pub fn blobs(layout: &Layout) -> anyhow::Result<Arc<dyn BlobStore>> {
    create_private_dir(layout.root())?;
    let store = DirectoryBlobStore::builder(layout.blobs(), layout.blob_key()).open();
    Ok(Arc::new(store.map_err(|error| no_blobs(error, layout))?))
}

/// Looks whether [`blobs`] takes what is there, and makes and changes nothing.
///
/// # Errors
/// As [`blobs`].
pub fn check_blobs(layout: &Layout) -> anyhow::Result<()> {
    let store = DirectoryBlobStore::builder(layout.blobs(), layout.blob_key());
    store.check().map_err(|error| no_blobs(error, layout))
}

fn no_blobs(error: blob::Error, layout: &Layout) -> anyhow::Error {
    let (key, blobs) = (layout.blob_key(), layout.blobs());
    let is_key = matches!(
        &error,
        blob::Error::Key { .. } | blob::Error::WrongKey { .. }
    );
    if !is_key {
        return anyhow::Error::from(error).context("cannot open the blob store");
    }
    let next = format!(
        "make {} private and whole again; or, if no copy is left, remove {} with the bodies in it",
        key.display(),
        blobs.display()
    );
    Failure::new(
        Exit::Key,
        format!("cannot open the blob store: {}", exit::chain(&error)),
    )
    .with_next(next)
    .into()
}

/// What a gateway is made of.
#[derive(Debug)]
pub struct GatewayParts {
    /// The ledger as the gateway's account.
    pub ledger: LocalLedger,
    /// Bodies on their way.
    pub blobs: Arc<dyn BlobStore>,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its own token, for discovery.
    pub discovery: Option<TokenId>,
    /// What credentials must name.
    pub audience: String,
    /// Limits and times.
    pub config: gateway::Config,
    /// Its certificate.
    pub tls: Tls,
    /// Who takes its spans.
    pub spans: Option<Arc<dyn SpanSink>>,
}

impl GatewayParts {
    /// The gateway; in a runtime.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn build(self) -> anyhow::Result<Gateway> {
        let mut config = self.config;
        config.audience = self.audience;
        config.discovery_token = self.discovery;
        descriptors::bound_connections(&mut config);
        let mut gateway = Gateway::builder(Arc::new(self.ledger), self.blobs, self.cluster)
            .with_config(config)
            .with_tls(self.tls);
        if let Some(spans) = self.spans {
            gateway = gateway.with_spans(spans);
        }
        gateway.build().context("cannot make the gateway")
    }
}

/// A certificate of the directory's own authority for the names of `address`.
///
/// # Errors
/// If the authority cannot be used.
pub fn own_certificate(layout: &Layout, address: SocketAddr) -> anyhow::Result<Tls> {
    create_private_dir(&layout.gateway())?;
    let (key, certificate) = (
        layout.gateway().join("ca.key"),
        layout.gateway().join("ca.crt"),
    );
    // A new key would go with no kubeconfig that anybody has.
    if certificate.exists() && !key.exists() {
        let message = format!(
            "the key of the gateway's authority in {} is gone",
            key.display()
        );
        return Err(Failure::new(Exit::Key, message)
            .with_next(format!(
                "restore it from a copy; or remove {} too to have a new authority, for which every kubeconfig \
                 must be written anew",
                certificate.display()
            ))
            .into());
    }
    let mut names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let ip = reachable(address).ip();
    if !ip.is_loopback() {
        names.push(ip.to_string());
    }
    let tls = Tls::own_ca(&layout.gateway(), &names);
    tls.context("cannot make the gateway's certificate")
}

/// Runs a gateway.
pub fn begin_gateway(services: &mut Services, gateway: Gateway, listener: TcpListener) {
    services.begin("gateway", |shutdown| async move {
        Ok(gateway.run(listener, shutdown).await?)
    });
}

/// Waits until everything that the gateway needs answers.
///
/// # Errors
/// [`Exit::Unavailable`] with what is missing, after half a minute.
pub async fn wait_until_ready(gateway: &Gateway) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    loop {
        let checks = gateway.readiness().await;
        let mut troubles = checks.into_iter().filter_map(|check| {
            let trouble = check.trouble?;
            Some(format!("{}: {trouble}", check.name))
        });
        let Some(first) = troubles.next() else {
            return Ok(());
        };
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(Exit::Unavailable, format!("not ready: {first}")).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a Nautilus is made of.
#[derive(Debug)]
pub struct NautilusParts {
    /// The ledger, as whatever account relays the answers.
    pub ledger: LocalLedger,
    /// Bodies on their way.
    pub blobs: Arc<dyn BlobStore>,
    /// Signs the answers.
    pub signer: Ed25519Signer,
    /// The executor that it is.
    pub executor: ExecutorId,
    /// The cluster.
    pub kube: KubeExecutor,
    /// How it behaves.
    pub config: nautilus::Config,
    /// Where its metrics are served.
    pub measures: Option<Measures>,
    /// Who takes its spans.
    pub spans: Option<Arc<dyn SpanSink>>,
}

impl NautilusParts {
    /// Runs it, and signs heads of the ledger as the executor; how to change it while it runs.
    ///
    /// # Errors
    /// If its journal cannot be opened.
    pub fn begin(self, services: &mut Services) -> anyhow::Result<Arc<Controls>> {
        let signer = Arc::new(self.signer);
        let heads = self.ledger.with_signer(signer.clone());
        let executor: Arc<dyn Executor> = Arc::new(self.kube);
        let mut service = Nautilus::builder(
            Arc::new(self.ledger),
            executor,
            self.blobs,
            signer,
            self.executor,
        )
        .with_config(self.config);
        if let Some(spans) = self.spans {
            service = service.with_spans(spans);
        }
        let service = service.build().map_err(journal::explained)?;
        let controls = service.controls();
        if let Some(measures) = self.measures {
            // Begun before it, so that it still answers while Nautilus ends.
            measures.begin_nautilus(services, service.status(), heads.clone(), self.executor);
        }
        services.begin("nautilus", |shutdown| async move {
            let signing = tokio::spawn(heads.clone().keep_signing_heads(HEAD_INTERVAL));
            let result = service.run(shutdown).await;
            signing.abort();
            // What was answered last stands under a signed head too.
            if let Err(error) = heads.sign_head().await {
                tracing::warn!(%error, "the last head was not signed");
            }
            result.map_err(journal::explained)
        });
        Ok(controls)
    }
}

/// The executor of a kubeconfig: that file; without one the service account of the pod that this runs in,
/// or kubectl's own file.
///
/// # Errors
/// If it cannot be used.
pub async fn kube(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> anyhow::Result<KubeExecutor> {
    if kubeconfig.is_none() && context.is_none() && is_in_pod() {
        return KubeExecutor::in_cluster().advise(
            "cannot use the pod's service account",
            "mount its token (`automountServiceAccountToken`), or name a kubeconfig with --kubeconfig",
        );
    }
    let executor = KubeExecutor::from_kubeconfig(kubeconfig, context).await;
    executor.advise(
        "cannot use the cluster's kubeconfig",
        "name another one with --kubeconfig and --context, or in `nautilus.kubeconfig` and `nautilus.context`",
    )
}

/// Whether Kubernetes runs this process, and nobody named a kubeconfig in `$KUBECONFIG`.
fn is_in_pod() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set(env::KUBERNETES_SERVICE_HOST) && !is_set(env::KUBECONFIG)
}

/// Listens, and tells where.
///
/// # Errors
/// If the address is taken or not this machine's.
pub async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(
            Exit::Unavailable,
            format!("cannot listen on {address}: {error}"),
        )
        .with_next("choose another address with --listen, or with --metrics-listen if it is that one; port 0 takes a free port")
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// An address under which a client of this machine reaches a listener.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Cancelled at SIGINT and SIGTERM; a second signal ends the process at once.
///
/// # Errors
/// If signals cannot be handled.
pub fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let mut is_second = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_second {
                std::process::exit(130);
            }
            is_second = true;
            token.cancel();
        }
    });
    Ok(shutdown)
}

/// What to type so that kubectl uses a file.
#[must_use]
pub fn export_line(kubeconfig: &Path) -> String {
    let text = kubeconfig.to_string_lossy();
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte));
    if is_plain {
        format!("export KUBECONFIG={text}")
    } else {
        format!("export KUBECONFIG='{}'", text.replace('\'', r"'\''"))
    }
}

/// How often a head is signed while something is written.
const HEAD_INTERVAL: Duration = Duration::from_secs(5);
/// How long everything may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_export_line_is_safe_to_paste() {
        let line = |path: &str| export_line(Path::new(path));
        assert_eq!(
            line("/tmp/d/kubeconfig"),
            "export KUBECONFIG=/tmp/d/kubeconfig"
        );
        assert_eq!(line("/tmp/a b"), "export KUBECONFIG='/tmp/a b'");
        assert_eq!(line("/tmp/it's"), r"export KUBECONFIG='/tmp/it'\''s'");
    }

    #[tokio::test]
    async fn services_stop_in_the_reverse_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut services = Services::default();
        for name in ["first", "second", "third"] {
            let order = order.clone();
            services.begin(name, |shutdown| async move {
                shutdown.cancelled().await;
                order.lock().unwrap().push(name);
                Ok(())
            });
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        services.run(shutdown).await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["third", "second", "first"]);
    }

    #[tokio::test]
    async fn one_that_fails_stops_the_others() {
        let mut services = Services::default();
        services.begin("patient", |shutdown| async move {
            shutdown.cancelled().await;
            Ok(())
        });
        services.begin("weak", |_| async { anyhow::bail!("too weak") });
        let error = services.run(CancellationToken::new()).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "the weak failed: too weak");
    }
}
