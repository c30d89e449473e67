//! One connection: TLS, then HTTP/1.1 or HTTP/2 as agreed there, and an end to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Paced};
use super::bucket::Rate;
use super::config::Config;
use super::socket::{Allowance, Socket};
use super::{Gateway, extract};

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) gateway: Gateway,
    pub(super) peer: SocketAddr,
    pub(super) shutdown: CancellationToken,
}

impl Connection {
    /// Speaks with the client until one of both ends it.
    ///
    /// There are many of these: what is large in it is on the heap, each only for as long as it is needed.
    pub(super) async fn serve(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let config = self.gateway.inner.config();
        // Small frames of a watch must not wait for more.
        stream.set_nodelay(true).ok();
        let (socket, remains) = Socket::new(stream);
        let Some(mut stream) = Box::pin(self.shake_hands(acceptor, socket)).await else {
            return;
        };
        // What TLS agreed on is what is spoken: no guessing, which has no time limit.
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let resets = Rate::new(config.resets_per_second, config.reset_burst);
        let allowance = config.max_control_bytes + CONNECTION_WINDOW as usize;
        let allowance = Arc::new(Allowance::new(allowance));
        if is_http2 {
            stream.get_mut().0.restrict(allowance.clone());
        }
        let io = TokioIo::new(stream);
        let activity = Arc::new(Activity::new(resets, allowance));
        let service = service_fn(|request| {
            let (gateway, activity) = (self.gateway.clone(), activity.clone());
            async move { Ok::<_, Infallible>(answer(&gateway, &activity, request).await) }
        });
        if is_http2 {
            let served = Box::pin(http2(&config).serve_connection(io, service));
            // A stream ends by itself; a connection that does not end well has nothing to be told.
            self.drive(served, &activity).await;
            return;
        }
        let served = Box::pin(http1(&config).serve_connection(io, service));
        if self.drive(served, &activity).await {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = remains.linger(config.linger_timeout) => {}
            }
        }
    }

    async fn shake_hands(
        &self,
        acceptor: TlsAcceptor,
        socket: Socket,
    ) -> Option<TlsStream<Socket>> {
        let timeout = self.gateway.inner.config().handshake_timeout;
        let shaken = tokio::time::timeout(timeout, acceptor.accept(socket)).await;
        if let Ok(Ok(stream)) = shaken {
            return Some(stream);
        }
        self.gateway.inner.metrics.handshakes_failed.add(1);
        if let Ok(Err(error)) = shaken {
            tracing::debug!(%error, peer = %self.peer, "a TLS handshake failed");
        }
        None
    }

    /// Until it ends; whether it ended for a reason that its client should still hear of.
    async fn drive(&self, mut served: Pin<Box<impl Served>>, activity: &Activity) -> bool {
        let config = self.gateway.inner.config();
        let metrics = &self.gateway.inner.metrics;
        let mut is_ending = false;
        let tick = config.idle_timeout.min(config.write_timeout).min(TICK);
        let mut ticks = tokio::time::interval(tick);
        loop {
            tokio::select! {
                outcome = &mut served => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, peer = %self.peer, "a connection ended early");
                    }
                    return !is_ending;
                }
                () = self.shutdown.cancelled(), if !is_ending => {
                    is_ending = true;
                    served.as_mut().end();
                }
                () = activity.too_many_resets() => {
                    metrics.resets.add(1);
                    return false;
                }
                _ = ticks.tick() => {
                    let unread = activity.take_unread(config.write_timeout);
                    metrics.unread.add(unread.taken);
                    if unread.is_hopeless {
                        return false;
                    }
                    let idle = activity.idle();
                    if idle > config.idle_timeout + tick * 2 {
                        // It did not even take notice of being asked to end.
                        return false;
                    }
                    if idle > config.idle_timeout && !is_ending {
                        is_ending = true;
                        served.as_mut().end();
                    }
                }
            }
        }
    }
}

/// A connection that is spoken over.
trait Served: Future<Output = hyper::Result<()>> {
    /// Has it end as soon as what is under way is done.
    fn end(self: Pin<&mut Self>);
}

impl<S> Served for http1::Connection<TokioIo<TlsStream<Socket>>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Paced>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Served for http2::Connection<TokioIo<TlsStream<Socket>>, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = Paced>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

fn http1(config: &Config) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(config.max_header_bytes)
        .max_headers(config.max_headers);
    http
}

fn http2(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_EARLY_RESETS)
        .max_local_error_reset_streams(MAX_EARLY_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_UNSENT)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    http
}

async fn answer(
    gateway: &Gateway,
    activity: &Arc<Activity>,
    request: http::Request<Incoming>,
) -> http::Response<Paced> {
    let active = activity.begin();
    let (parts, body) = request.into_parts();
    let must_close = extract::is_framing_doubtful(&parts);
    let request = http::Request::from_parts(parts, activity.receive(body));
    let mut response = gateway.handle(request).await;
    if must_close {
        let close = http::HeaderValue::from_static("close");
        response
            .headers_mut()
            .insert(http::header::CONNECTION, close);
    }
    response.map(|body| activity.send(body, active))
}

/// Streams that were reset before the gateway saw them, which a client may run ahead by.
const MAX_EARLY_RESETS: usize = 64;
/// Bytes of a request's body that may come before they are asked for; those of kube-apiserver.
const STREAM_WINDOW: u32 = 256 << 10;
/// Those of all of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of a response that may wait to be sent.
const MAX_UNSENT: usize = 64 << 10;
/// A dead peer is found out in twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How exactly idle time is kept.
const TICK: Duration = Duration::from_secs(5);
