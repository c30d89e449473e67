//! Where Prometheus reads what the services measure: plain HTTP, on an address of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k3s_daas::gateway::Gateway;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::metrics::Page;
use k3s_daas::nautilus::Status;
use k3s_daas::types::ExecutorId;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::layout::Layout;
use crate::otlp;
use crate::reload::Reloads;
use crate::services::{self, Services};
use crate::settings::Key;

/// An address on which the metrics of one service are served, and what every process measures of itself.
#[derive(Debug)]
pub struct Measures {
    listener: TcpListener,
    layout: Layout,
    /// `ledger.reserve_bytes`.
    reserve_bytes: u64,
    own: Own,
}

/// What the process around a service counts.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// How often its settings were read again.
    pub reloads: Arc<Reloads>,
    /// What became of its spans.
    pub spans: Arc<otlp::Counts>,
}

impl Own {
    fn write(&self, page: &mut Page) {
        self.reloads.write_metrics(page);
        self.spans.write_metrics(page);
    }
}

impl Measures {
    /// Listens where the setting says; `None` if it is not set.
    ///
    /// # Errors
    /// If the address is taken or not this machine's.
    pub async fn listen(app: &App, setting: Key, own: &Own) -> anyhow::Result<Option<Self>> {
        let Some(address) = app.settings.value::<SocketAddr>(setting) else {
            return Ok(None);
        };
        let (listener, address) = services::listen(address).await?;
        app.printer
            .note(&format!("metrics on http://{address}/metrics"));
        Ok(Some(Self {
            listener,
            layout: app.layout(),
            reserve_bytes: app.ledger_options().reserve_bytes,
            own: own.clone(),
        }))
    }

    /// Serves those of a gateway, whose `/livez` and `/readyz` are on its own port.
    pub fn begin_gateway(self, services: &mut Services, gateway: Gateway) {
        let (layout, reserve_bytes) = (self.layout, self.reserve_bytes);
        let own = self.own;
        let source = move |path: String| -> BoxFuture<'static, Option<Reply>> {
            let (gateway, layout, own) = (gateway.clone(), layout.clone(), own.clone());
            Box::pin(async move {
                if path != "/metrics" {
                    return None;
                }
                let mut page = Page::default();
                gateway.write_metrics(&mut page).await;
                write_process(&layout, "daas-gateway", reserve_bytes, &mut page);
                own.write(&mut page);
                Some(Reply::page(&page))
            })
        };
        begin(services, self.listener, Arc::new(source));
    }

    /// Serves those of a Nautilus, with its `/livez` and `/readyz`.
    pub fn begin_nautilus(
        self,
        services: &mut Services,
        status: Arc<Status>,
        ledger: LocalLedger,
        executor: ExecutorId,
    ) {
        let (layout, reserve_bytes) = (self.layout, self.reserve_bytes);
        let own = self.own;
        let source = move |path: String| -> BoxFuture<'static, Option<Reply>> {
            let reply = match path.as_str() {
                "/livez" => Some(Reply::ready(Vec::new())),
                "/readyz" => Some(Reply::ready(troubles(&status))),
                "/metrics" => {
                    let mut page = Page::default();
                    status.write_metrics(&ledger, executor, &mut page);
                    write_process(&layout, "daas-nautilus", reserve_bytes, &mut page);
                    own.write(&mut page);
                    Some(Reply::page(&page))
                }
                _ => None,
            };
            Box::pin(std::future::ready(reply))
        };
        begin(services, self.listener, Arc::new(source));
    }
}

/// What is served under a path.
struct Reply {
    status: StatusCode,
    content_type: &'static str,
    text: String,
}

impl Reply {
    fn page(page: &Page) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Page::CONTENT_TYPE,
            text: page.to_string(),
        }
    }

    fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            text: text.into(),
        }
    }

    fn ready(troubles: Vec<String>) -> Self {
        if troubles.is_empty() {
            return Self::text(StatusCode::OK, "ok");
        }
        Self::text(StatusCode::SERVICE_UNAVAILABLE, troubles.join("\n") + "\n")
    }
}

fn troubles(status: &Status) -> Vec<String> {
    let ledger = (!status.is_following()).then(|| "[-]ledger failed: no events".to_owned());
    let cluster = status.cluster_error();
    let cluster = cluster.map(|error| format!("[-]cluster failed: {error}"));
    ledger.into_iter().chain(cluster).collect()
}

type Source = dyn Fn(String) -> BoxFuture<'static, Option<Reply>> + Send + Sync;

fn begin(services: &mut Services, listener: TcpListener, source: Arc<Source>) {
    services.begin("metrics", |shutdown| async move {
        serve(listener, source, shutdown).await;
        Ok(())
    });
}

async fn serve(listener: TcpListener, source: Arc<Source>, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Whoever comes over the limit is turned away, and scrapes again.
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let (source, shutdown) = (source.clone(), shutdown.clone());
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request: Request<Incoming>| {
                let source = source.clone();
                async move { Ok::<_, Infallible>(answer(&request, &*source).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_headers(64)
                .max_buf_size(16 << 10);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = tokio::time::timeout(CONNECTION_LIFETIME, connection) => {}
            }
        });
    }
}

async fn answer(request: &Request<Incoming>, source: &Source) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let reply = if is_read {
        source(request.uri().path().to_owned())
            .await
            .unwrap_or_else(|| Reply::text(StatusCode::NOT_FOUND, "nothing is served here\n"))
    } else {
        Reply::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
    };
    let mut response = Response::new(Full::from(reply.text));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if !is_read {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// What a process measures of itself and of the directory; what the system does not say is 0.
fn write_process(layout: &Layout, program: &str, reserve_bytes: u64, page: &mut Page) {
    page.info(
        "daas_build_info",
        "Which program of which version this is.",
        &[("program", program), ("version", env!("CARGO_PKG_VERSION"))],
    );
    page.gauge(
        "process_resident_memory_bytes",
        "Memory of this process that is in RAM.",
        resident_bytes().unwrap_or_default(),
    );
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    page.gauge(
        "process_open_fds",
        "File descriptors that are open.",
        open as u64,
    );
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    page.gauge(
        "process_max_fds",
        "File descriptors that may be open; 0: any number.",
        limit.unwrap_or_default(),
    );
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    page.seconds(
        "daas_clock_seconds",
        "Unix time of this machine, to hold against others.",
        since.unwrap_or_default(),
    );
    page.gauges(
        "daas_disk_free_bytes",
        "Bytes that may still be written where something is kept.",
        "at",
        [
            ("ledger", free_bytes(&layout.ledger())),
            ("blobs", free_bytes(&layout.blobs())),
        ],
    );
    page.gauge(
        "daas_disk_reserve_bytes",
        "Bytes free on the ledger's disk below which only answers and revocations are taken.",
        reserve_bytes,
    );
    let size = |name| file_bytes(&layout.ledger().join(name));
    page.gauges(
        "daas_ledger_file_bytes",
        "Size of the ledger's database and of SQLite's log beside it.",
        "file",
        [
            ("database", size("ledger.db")),
            ("log", size("ledger.db-wal")),
        ],
    );
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Scrapers at once; there are one or two.
const CONNECTIONS: usize = 16;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Long enough for a scrape every minute over one connection, and over for who sends nothing more.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(10 * 60);
