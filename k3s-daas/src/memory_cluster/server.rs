//! Connections: TLS, HTTP/1.1 and h2, one task each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::cluster::Cluster;
use super::status::Refusal;

/// What is sent back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) payload: Payload,
    /// Texts for `Warning` headers.
    pub(super) warnings: Vec<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of a [`Reply`].
pub(super) enum Payload {
    Whole(Bytes),
    /// A response without end: a watch.
    Frames(BoxStream<'static, Bytes>),
}

impl Reply {
    pub(super) fn bytes(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            payload: Payload::Whole(body.into()),
            warnings: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(super) fn json(status: StatusCode, value: &Value) -> Self {
        let mut body = value.to_string().into_bytes();
        body.push(b'\n');
        Self::bytes(status, "application/json", body)
    }

    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", text.into())
    }

    /// JSON bytes, as YAML if that was asked for.
    pub(super) fn encoded(status: StatusCode, yaml: bool, json: Vec<u8>) -> Self {
        if yaml {
            let value: Value = serde_json::from_slice(&json).unwrap_or_default();
            return Self::bytes(
                status,
                "application/yaml",
                serde_yaml_ng::to_string(&value).unwrap_or_default(),
            );
        }
        Self::bytes(status, "application/json", json)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.code, &refusal.to_value())
    }
}

/// Accepts connections until `shutdown`.
pub(super) async fn serve(
    cluster: Arc<Cluster>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let (place, stream) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        let Ok(place) = place else { break };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) if is_about_one_connection(&error) => continue,
            Err(error) => {
                // Out of file descriptors, mostly: it passes.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (cluster, shutdown) = (Arc::clone(&cluster), shutdown.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(cluster, stream, shutdown, watcher).await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(DRAIN) => {}
    }
    Ok(())
}

async fn connection(
    cluster: Arc<Cluster>,
    stream: TcpStream,
    shutdown: CancellationToken,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(Arc::clone(&cluster.identity.server));
    let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let service = service_fn(move |request| {
        let (cluster, shutdown) = (Arc::clone(&cluster), shutdown.clone());
        async move { Ok::<_, Infallible>(answer(cluster, request, shutdown).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250);
    let serving = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    watcher.watch(serving).await
}

async fn answer(
    cluster: Arc<Cluster>,
    request: http::Request<Incoming>,
    shutdown: CancellationToken,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let reply = match read_body(body).await {
        Ok(body) => cluster.answer(head, body, shutdown).await,
        Err(refusal) => refusal.into(),
    };
    let mut response = Response::new(match reply.payload {
        Payload::Whole(bytes) => Full::new(bytes).boxed_unsync(),
        Payload::Frames(frames) => {
            use futures_util::StreamExt as _;
            StreamBody::new(frames.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync()
        }
    });
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(
        "cache-control",
        HeaderValue::from_static("no-cache, private"),
    );
    let audit = uuid::Builder::from_random_bytes(super::write::random_bytes())
        .into_uuid()
        .to_string();
    if let Ok(audit) = HeaderValue::from_str(&audit) {
        headers.insert("audit-id", audit);
    }
    for warning in reply.warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            headers.append("warning", value);
        }
    }
    for (name, value) in reply.headers {
        headers.insert(name, value);
    }
    response
}

async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::too_large(MAX_BODY)),
        Err(error) => Err(Refusal::bad_request(format!(
            "unable to read the request body: {error}"
        ))),
    }
}

fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// kube-apiserver's limit.
const MAX_BODY: usize = 3 << 20;
const MAX_CONNECTIONS: usize = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests in flight may go on after shutdown; watches end at once.
const DRAIN: Duration = Duration::from_secs(5);
