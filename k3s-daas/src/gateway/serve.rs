//! Connections: accepting, TLS, HTTP/1.1 and HTTP/2, and an end to each of them.

use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::Limit;
use super::tls::Tls;
use super::{Body, Gateway, extract};

/// Accepts until `shutdown`, then lets what is under way end.
pub(super) async fn run(
    gateway: Gateway,
    tls: Tls,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let config = &gateway.inner.config;
    let connections =
        Limit::<IpAddr>::new(config.max_connections, config.max_connections_per_address);
    let tasks = TaskTracker::new();
    let kill = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the peer is gone already: neither gets better at once.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let metrics = &gateway.inner.metrics;
        let Some(held) = connections.one(peer.ip()) else {
            metrics.connections_refused.add(1);
            continue;
        };
        metrics.connections.add(1);
        let connection = Connection {
            gateway: gateway.clone(),
            peer,
            shutdown: shutdown.clone(),
        };
        let acceptor = TlsAcceptor::from(tls.server_config());
        let kill = kill.clone();
        tasks.spawn(async move {
            let _held = held;
            tokio::select! {
                () = kill.cancelled() => {}
                () = connection.serve(acceptor, stream) => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    gateway.inner.stop_streams.cancel();
    if tokio::time::timeout(config.drain_timeout, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(left = tasks.len(), "connections did not end in time");
        kill.cancel();
        tasks.wait().await;
    }
}

struct Connection {
    gateway: Gateway,
    peer: SocketAddr,
    shutdown: CancellationToken,
}

/// Whether anything goes on on a connection.
struct Activity {
    under_way: AtomicUsize,
    last_ms: AtomicU64,
    begun: Instant,
    /// Responses on their way.
    responses: Mutex<Vec<Weak<Sending>>>,
}

impl Connection {
    async fn serve(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let config = &self.gateway.inner.config;
        // Small frames of a watch must not wait for more.
        stream.set_nodelay(true).ok();
        let handshake = tokio::time::timeout(config.handshake_timeout, acceptor.accept(stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.gateway.inner.metrics.handshakes_failed.add(1);
                tracing::debug!(%error, peer = %self.peer, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                self.gateway.inner.metrics.handshakes_failed.add(1);
                return;
            }
        };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .max_buf_size(config.max_header_bytes)
            .max_headers(config.max_headers);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_RESETS)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        // What TLS agreed on is what is spoken: no guessing, which has no time limit.
        let http = if is_http2 {
            http.http2_only()
        } else {
            http.http1_only()
        };

        let activity = Arc::new(Activity::new());
        let service = service_fn(|request: http::Request<Incoming>| {
            let gateway = self.gateway.clone();
            let activity = activity.clone();
            async move {
                let active = activity.begin();
                let (parts, body) = request.into_parts();
                let must_close = extract::is_framing_doubtful(&parts);
                let request = http::Request::from_parts(parts, body);
                let mut response = gateway.handle(request).await;
                if must_close {
                    let close = http::HeaderValue::from_static("close");
                    response
                        .headers_mut()
                        .insert(http::header::CONNECTION, close);
                }
                let response = response.map(|body| activity.send(body, active));
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut is_ending = false;
        let tick = config.idle_timeout.min(config.write_timeout).min(TICK);
        let mut ticks = tokio::time::interval(tick);
        loop {
            tokio::select! {
                outcome = &mut served => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, peer = %self.peer, "a connection ended early");
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !is_ending => {
                    is_ending = true;
                    served.as_mut().graceful_shutdown();
                }
                _ = ticks.tick() => {
                    let unread = activity.take_unread(config.write_timeout);
                    self.gateway.inner.metrics.unread.add(unread.taken);
                    if unread.is_hopeless {
                        return;
                    }
                    let idle = activity.idle();
                    if idle > config.idle_timeout + tick * 2 {
                        // It did not even take notice of being asked to end.
                        return;
                    }
                    if idle > config.idle_timeout && !is_ending {
                        is_ending = true;
                        served.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            begun: Instant::now(),
            responses: Mutex::default(),
        }
    }

    /// A response's body, which counts as activity until it is sent.
    fn send(&self, body: Body, active: Active) -> Paced {
        let sending = Arc::new(Sending {
            turn: Mutex::new(Turn {
                body: Some(body),
                waits_since: Some(Instant::now()),
            }),
            _active: active,
        });
        let mut responses = lock(&self.responses);
        if responses.len() >= MAX_STREAMS as usize {
            responses.retain(|sending| sending.strong_count() > 0);
        }
        responses.push(Arc::downgrade(&sending));
        Paced(sending)
    }

    /// Takes away the responses of which their client has read nothing for so long.
    fn take_unread(&self, timeout: Duration) -> Unread {
        let mut responses = lock(&self.responses);
        responses.retain(|sending| sending.strong_count() > 0);
        let responses: Vec<_> = responses.iter().filter_map(Weak::upgrade).collect();
        let before = responses.iter().filter(|sending| sending.is_gone()).count();
        for sending in &responses {
            sending.take_unread(timeout);
        }
        let gone = responses.iter().filter(|sending| sending.is_gone()).count();
        let is_all = gone > 0 && gone >= self.under_way.load(Relaxed);
        Unread {
            taken: (gone.saturating_sub(before)) as u64,
            is_hopeless: is_all || gone > MAX_UNREAD,
        }
    }

    fn begin(self: &Arc<Self>) -> Active {
        self.under_way.fetch_add(1, Relaxed);
        Active(self.clone())
    }

    /// How long nothing has been going on.
    fn idle(&self) -> Duration {
        if self.under_way.load(Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_ms.load(Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }
}

struct Active(Arc<Activity>);

impl Drop for Active {
    fn drop(&mut self) {
        let now_ms = self.0.begun.elapsed().as_millis();
        self.0
            .last_ms
            .store(u64::try_from(now_ms).unwrap_or(u64::MAX), Relaxed);
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// What came of looking for clients that do not read.
struct Unread {
    taken: u64,
    /// Nothing else goes on there, or too much of that.
    is_hopeless: bool,
}

/// A response's body, which is taken away from a client that does not read it: what it holds is bounded
/// for all.
///
/// HTTP/2 has a window for each stream, so a connection that is well may have streams that are stuck.
struct Paced(Arc<Sending>);

struct Sending {
    turn: Mutex<Turn>,
    _active: Active,
}

struct Turn {
    /// Until it is taken away.
    body: Option<Body>,
    /// Since when it is the client's turn: hyper asks for more as soon as that can be sent.
    waits_since: Option<Instant>,
}

impl Sending {
    fn is_gone(&self) -> bool {
        lock(&self.turn).body.is_none()
    }

    fn take_unread(&self, timeout: Duration) {
        let mut turn = lock(&self.turn);
        let is_unread = turn
            .waits_since
            .is_some_and(|since| since.elapsed() > timeout);
        let body = if is_unread { turn.body.take() } else { None };
        drop(turn);
        // Not while it is locked: it may be a watch, which has much to end.
        drop(body);
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = NotRead;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotRead>>> {
        let mut turn = lock(&self.0.turn);
        let Some(body) = &mut turn.body else {
            return Poll::Ready(Some(Err(NotRead)));
        };
        let polled = Pin::new(body).poll_frame(context);
        turn.waits_since = matches!(polled, Poll::Ready(Some(_))).then(Instant::now);
        polled.map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        let turn = lock(&self.0.turn);
        turn.body
            .as_ref()
            .is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let turn = lock(&self.0.turn);
        turn.body
            .as_ref()
            .map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the client did not read the response")]
struct NotRead;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Streams of one HTTP/2 connection; kube-apiserver's own bound is of this size.
const MAX_STREAMS: u32 = 250;
/// Resets that a client may run ahead by before the connection is closed.
const MAX_RESETS: usize = 64;
/// Responses that were taken away and that their client keeps open all the same.
const MAX_UNREAD: usize = 8;
/// A dead peer is found out in twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How exactly idle time is kept.
const TICK: Duration = Duration::from_secs(5);
