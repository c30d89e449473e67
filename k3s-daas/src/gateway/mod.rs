//! The service that kubectl talks to: HTTPS in, requests on the ledger out, and the answers back.
//!
//! ```text
//! connection (serve, connection, tls) → what is asked (extract) → check, submit, wait, fetch (submit) → answer (reply) or refusal (refusal)
//!                                   ├ watch      fed from short watches (watch)
//!                                   ├ discovery  from memory (discovery)
//!                                   └ self-review, by the rules that hold here (review)
//! ```
//!
//! It cannot reach a cluster: all it can do is ask the ledger.

mod activity;
mod authenticate;
mod body;
mod bucket;
mod config;
mod connection;
mod discovery;
mod executors;
mod extract;
mod follow;
mod health;
mod holds;
mod intake;
mod known;
mod listed;
mod metrics;
mod pending;
mod record;
mod refusal;
mod reply;
mod review;
mod review_body;
mod room;
mod serve;
mod socket;
mod spans;
mod submit;
#[cfg(test)]
mod tests;
mod tls;
mod trail;
mod watch;

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use config::{AnswerMode, Config, InvalidConfig, ReadMode};
pub use health::Check;
pub use metrics::Counts;
pub use tls::{Tls, TlsError};

use crate::blob::BlobStore;
use crate::changing::Changing;
use crate::contract::Code;
use crate::ledger::{Ledger, LedgerExt as _};
use crate::limits::Limit;
use crate::metrics::Page;
use crate::spans::SpanSink;
use crate::types::{ClusterId, RequestId, TokenId};
use authenticate::Signatures;
use body::Keeping;
use bucket::{Buckets, Rate};
use discovery::Discovery;
use executors::Executors;
use extract::Asked;
use follow::{Follower, Progress};
use holds::Holds;
use known::{Known, KnownFor};
use metrics::Metrics;
use pending::Pending;
use record::Recorder;
use refusal::Refusal;
use room::Room;
use submit::Caller;
use trail::{Outcome, Quiet, Trail};

/// The body of a response; never fails, but a watch's may end early.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A gateway of one cluster, over a ledger and a blob store.
///
/// Cloning shares it. It follows the ledger from when it is built until the last clone is dropped.
///
/// # Examples
/// ```no_run
/// # async fn example(
/// #     ledger: std::sync::Arc<dyn k3s_daas::ledger::Ledger>,
/// #     blobs: std::sync::Arc<dyn k3s_daas::blob::BlobStore>,
/// #     cluster: k3s_daas::types::ClusterId,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use k3s_daas::gateway::{Config, Gateway, Tls};
///
/// let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
/// let gateway = Gateway::builder(ledger, blobs, cluster)
///     .with_config(Config::new("localhost:6443"))
///     .with_tls(Tls::own_ca("tls".as_ref(), &names)?)
///     .build()?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:6443").await?;
/// let shutdown = tokio_util::sync::CancellationToken::new();
/// gateway.run(listener, shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
    tls: Option<Arc<Changing<Tls>>>,
    _follower: Arc<DropGuard>,
}

/// What all requests share.
struct Inner {
    ledger: Arc<dyn Ledger>,
    blobs: Arc<dyn BlobStore>,
    cluster: ClusterId,
    config: Changing<Config>,
    metrics: Arc<Metrics>,
    spans: Option<Arc<dyn SpanSink>>,
    pending: Arc<Pending>,
    progress: Arc<Progress>,
    known: Arc<Known>,
    discovery: Arc<Discovery>,
    recorder: Recorder,
    signatures: Signatures,
    connections: Limit<IpAddr>,
    connection_rates: Buckets<IpAddr>,
    in_flight: Limit<TokenId>,
    rates: Buckets<TokenId>,
    watches: Limit<TokenId>,
    executors: Arc<Executors>,
    holds: Arc<Holds>,
    /// Room for bodies from clients.
    buffers: Room<TokenId>,
    /// Room for answers, until they are sent.
    answers: Room<TokenId>,
    searches: Semaphore,
    readiness: AsyncMutex<Option<(Instant, Vec<Check>)>>,
    quiet: Quiet,
    /// Ends watches when the gateway shuts down.
    stop_streams: CancellationToken,
}

impl Gateway {
    /// Begins a gateway of `cluster`; its account on `ledger` must be a delegate of the tokens it serves.
    pub fn builder(
        ledger: Arc<dyn Ledger>,
        blobs: Arc<dyn BlobStore>,
        cluster: ClusterId,
    ) -> GatewayBuilder {
        GatewayBuilder {
            ledger,
            blobs,
            cluster,
            config: Config::default(),
            tls: None,
            spans: None,
        }
    }

    /// Serves HTTPS on `listener` until `shutdown`, then lets requests under way end
    /// ([`Config::drain_timeout`]).
    ///
    /// # Errors
    /// - [`Error::NoTls`]: kubectl sends no credential over plain HTTP, so nothing is served so.
    /// - [`Error::Ledger`]: a program of another version has been at the ledger, and this one does nothing more with it.
    pub async fn run(
        &self,
        listener: tokio::net::TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let tls = self.tls.clone().ok_or(Error::NoTls)?;
        let stop = shutdown.child_token();
        let progress = &self.inner.progress;
        let serving = serve::run(self.clone(), tls, listener, stop.clone());
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => {}
            () = progress.lost() => {
                stop.cancel();
                serving.await;
            }
        }
        match progress.followed().other {
            Some(other) => Err(Error::Ledger(other.into())),
            None => Ok(()),
        }
    }

    /// Answers one request, for a host that brings its own server (which must speak TLS to its clients).
    ///
    /// Dropping the future gives up waiting; what was submitted goes on. A `HEAD` is answered without a body.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let is_head = parts.method == http::Method::HEAD;
        let response = self.answered(parts, body).await;
        if is_head {
            // HTTP/2 clients take a body there for a broken connection.
            return response.map(|_| reply::full(Bytes::new()));
        }
        response
    }

    async fn answered<B>(&self, parts: http::request::Parts, body: B) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = parts.uri.path();
        if matches!(parts.method, http::Method::GET | http::Method::HEAD) {
            let query = parts.uri.query().unwrap_or_default();
            if let Some(response) = self.inner.health(path, query).await {
                return response;
            }
        }
        self.inner.metrics.requests.add(1);
        let mut trail = Trail::begin(&parts, &self.inner.metrics, self.inner.spans.as_ref());
        let served = self.inner.serve(&parts, body, &mut trail).await;
        let mut response = match served {
            Ok(response) => response,
            Err(refusal) => {
                trail.refuse(&refusal);
                self.inner.count(&refusal);
                refusal.response()
            }
        };
        let is_timed = self.inner.config().server_timing;
        trail.end(&mut response, is_timed, &self.inner.quiet);
        response
    }

    /// What it has counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let inner = &self.inner;
        Counts {
            pending: inner.pending.len() as u64,
            in_flight: inner.in_flight.len() as u64,
            watches: inner.watches.len() as u64,
            ..inner.metrics.counts()
        }
    }

    /// Writes what is measured here, under names that begin with `daas_gateway_`; asks each dependency, as
    /// `/readyz` does.
    pub async fn write_metrics(&self, page: &mut Page) {
        let checks = self.readiness().await;
        let inner = &self.inner;
        let (cursor, eligible) = inner.ledger.view(|snapshot| {
            let cluster = snapshot.state.cluster(inner.cluster);
            let eligible = cluster.map_or(0, |cluster| cluster.eligible().count());
            (snapshot.cursor, eligible as u64)
        });
        let followed = inner.progress.followed().cursor;
        inner.metrics.write(&self.counts(), page);
        page.gauge(
            "daas_gateway_ledger_behind_events",
            "Events of the ledger that this process knows of and the gateway has not handled.",
            cursor.major.saturating_sub(followed.major),
        );
        page.gauge(
            "daas_gateway_eligible_executors",
            "Executors of the cluster that may be assigned requests.",
            eligible,
        );
        page.gauges(
            "daas_gateway_ready",
            "Whether a dependency is as it should be, 1 or 0, as /readyz has it.",
            "check",
            checks
                .iter()
                .map(|check| (check.name, u64::from(check.trouble.is_none()))),
        );
    }

    /// Whether it could serve: each dependency, as `/readyz` has it.
    pub async fn readiness(&self) -> Vec<Check> {
        self.inner.readiness().await
    }

    /// The CA's certificate that clients trust, PEM, if it is the gateway's own.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.tls.as_ref()?.now().ca_pem().map(str::to_owned)
    }

    /// Its settings, as they hold now.
    #[must_use]
    pub fn config(&self) -> Config {
        (*self.inner.config()).clone()
    }

    /// Has other settings hold from now on, all of them or none: what has begun goes on by those it began with, and
    /// [`Config::FIXED`] stay as they are. Fewer connections, requests or bytes at once hold as soon as enough of those
    /// there are have ended.
    ///
    /// # Errors
    /// [`InvalidConfig`], and nothing changes.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn reload(&self, config: Config) -> Result<(), InvalidConfig> {
        config.validate()?;
        self.inner.reload(config);
        Ok(())
    }

    /// Shows another certificate from the next handshake on; connections there are go on with theirs.
    pub fn replace_tls(&self, tls: Tls) {
        if let Some(current) = &self.tls {
            current.set(tls);
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("cluster", &self.inner.cluster)
            .field("ledger", &self.inner.ledger)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Gateway`].
#[derive(Debug)]
#[must_use]
pub struct GatewayBuilder {
    ledger: Arc<dyn Ledger>,
    blobs: Arc<dyn BlobStore>,
    cluster: ClusterId,
    config: Config,
    tls: Option<Tls>,
    spans: Option<Arc<dyn SpanSink>>,
}

impl GatewayBuilder {
    /// Sets its settings; without, it lacks an audience and is not built.
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets its certificate; only [`Gateway::handle`] does without.
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets who takes the spans of its requests; nobody unless set.
    pub fn with_spans(mut self, spans: Arc<dyn SpanSink>) -> Self {
        self.spans = Some(spans);
        self
    }

    /// The gateway, which begins to follow the ledger.
    ///
    /// # Errors
    /// [`Error::Config`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn build(self) -> Result<Gateway, Error> {
        let Self {
            ledger,
            blobs,
            cluster,
            config,
            tls,
            spans,
        } = self;
        config.validate()?;
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let pending = Arc::new(Pending::default());
        let discovery = Arc::new(Discovery::new(config.discovery_ttl));
        let start = ledger.view(|snapshot| snapshot.cursor);
        let progress = Arc::new(Progress::starting_at(start));
        let known = Arc::new(Known::default());
        let executors = Arc::new(Executors::new());
        let holds = Arc::new(Holds::spawn(
            blobs.clone(),
            &config,
            metrics.clone(),
            stop.clone(),
        ));
        let follower = Follower {
            ledger: ledger.clone(),
            cluster,
            pending: pending.clone(),
            discovery: discovery.clone(),
            progress: progress.clone(),
            known: known.clone(),
            executors: executors.clone(),
            holds: holds.clone(),
        };
        tokio::spawn(follower.run(stop.clone()));
        let recorder = Recorder::spawn(
            ledger.clone(),
            cluster,
            &config,
            metrics.clone(),
            stop.clone(),
        );
        let inner = Inner {
            connections: Limit::new(config.max_connections, config.max_connections_per_address),
            connection_rates: Buckets::new(connection_rate(&config)),
            in_flight: Limit::new(config.max_in_flight, config.max_in_flight_per_token),
            rates: Buckets::new(request_rate(&config)),
            watches: Limit::new(config.max_watches, config.max_watches_per_token),
            executors: executors.clone(),
            holds,
            buffers: Room::new(
                config.max_buffered_bytes,
                config.max_buffered_bytes_per_token,
            ),
            answers: Room::new(config.max_answer_bytes, config.max_answer_bytes_per_token),
            searches: Semaphore::new(1),
            signatures: Signatures::default(),
            readiness: AsyncMutex::default(),
            quiet: Quiet::default(),
            stop_streams: stop.child_token(),
            ledger,
            blobs,
            cluster,
            config: Changing::new(config),
            metrics,
            spans,
            pending,
            progress,
            known,
            discovery,
            recorder,
        };
        inner.known.see(inner.kept_ms(), inner.ledger.now_ms());
        let inner = Arc::new(inner);
        let asking = executors::keep_asking(Arc::downgrade(&inner), executors, stop.clone());
        tokio::spawn(asking);
        Ok(Gateway {
            inner,
            tls: tls.map(|tls| Arc::new(Changing::new(tls))),
            _follower: Arc::new(stop.drop_guard()),
        })
    }
}

/// Why there is no gateway, or it does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its bounds.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The ledger can be followed no more.
    #[error("the ledger cannot be followed")]
    Ledger(#[source] crate::ledger::Error),
    /// It has no certificate.
    #[error("the gateway has no TLS certificate, and kubectl sends no credential without TLS")]
    NoTls,
}

impl Inner {
    /// The settings that hold now.
    fn config(&self) -> Arc<Config> {
        self.config.now()
    }

    fn reload(&self, new: Config) {
        let new = self.config().reloaded(new);
        self.connections
            .resize(new.max_connections, new.max_connections_per_address);
        self.connection_rates.change(connection_rate(&new));
        self.in_flight
            .resize(new.max_in_flight, new.max_in_flight_per_token);
        self.rates.change(request_rate(&new));
        self.watches
            .resize(new.max_watches, new.max_watches_per_token);
        self.buffers
            .resize(new.max_buffered_bytes, new.max_buffered_bytes_per_token);
        self.answers
            .resize(new.max_answer_bytes, new.max_answer_bytes_per_token);
        self.recorder.change_rate(&new);
        self.config.set(new);
    }

    async fn serve<B>(
        self: &Arc<Self>,
        parts: &http::request::Parts,
        body: B,
        trail: &mut Trail,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if parts.headers.len() > self.config().max_headers {
            return Err(Refusal::TooManyHeaders(self.config().max_headers));
        }
        let permit = self.in_flight.any();
        let permit = permit.ok_or(Refusal::TooMany("requests"))?;
        let verified = self.authenticate(parts)?;
        trail.token = Some(verified.token);
        self.rates.take(verified.token).map_err(Refusal::TooFast)?;
        let held = self.in_flight.of(verified.token, Some(permit));
        let mut held = held.ok_or(Refusal::TooMany("requests of this seal token"))?;
        let given = extract::request_id(&parts.headers)?;
        trail.id = given;
        if given.is_some_and(|id| self.is_ahead(id)) {
            return Err(Refusal::BadRequest(
                "Daas-Request-Id is of a time to come: the clocks of the two machines differ, or it is no \
                 UUIDv7 of the time it was made at",
            ));
        }
        let caller = Caller {
            token: verified.token,
            credential: Some(verified),
        };
        let mut asked = match extract::asked(parts, given) {
            Ok(asked) => asked,
            Err(unformed) => return Err(self.refuse_unformed(&caller, unformed)),
        };
        trail.asks(&asked);
        let _room = self.read_body(&caller, &mut asked, parts, body).await?;
        trail.has_body(asked.body.len());

        let response = self.dispatch(&caller, &asked, trail).await?;
        if asked.is_watch() {
            // These are counted by themselves.
            trail.outcome = Outcome::Watching;
            return Ok(response);
        }
        // What is left is its client's to do, who may never do it: that is nothing to keep others waiting for.
        held.leave_all();
        let kept = (held, trail.delivery());
        Ok(response.map(|body| Keeping::new(body, kept).boxed_unsync()))
    }

    /// Whether an ID is of a time further ahead than clocks may be apart.
    fn is_ahead(&self, id: RequestId) -> bool {
        let latest_ms = self
            .ledger
            .now_ms()
            .saturating_add(KnownFor::of(self.kept_ms()).ahead_ms);
        id.timestamp_ms() > latest_ms
    }

    async fn dispatch(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &Asked,
        trail: &mut Trail,
    ) -> Result<Response<Body>, Refusal> {
        let timing = &mut trail.timing;
        if let Some(what) = asked.stream() {
            // Whoever may not is told that, and not that it would not work either.
            let message = asked.message_without_body(self.deadline_ms(asked));
            self.check(caller, &message, asked)?;
            return Err(Refusal::Stream(what));
        }
        if asked.is_watch() {
            return self.watch(caller, asked, timing).await;
        }
        if asked.target.is_discovery
            && !asked.id_given
            && let Some(response) = self.discover(caller, asked, timing).await
        {
            let (id, response) = response?;
            // The request on the ledger that the answer is from.
            trail.id = Some(id);
            return Ok(response);
        }
        if asked.target.is_self_review && review::is_about_access(asked) {
            return self.review(caller, asked, timing).await;
        }
        let answer = self.execute(caller, asked, timing).await?;
        crash_point!(GatewayBeforeReply);
        reply::answer(answer).ok_or(Refusal::WrongBytes {
            id: asked.id,
            what: "its status is none",
        })
    }

    /// Records a request that is not of its form, if the contract has a code for that.
    fn refuse_unformed(&self, caller: &Caller, unformed: extract::Unformed) -> Refusal {
        let Some(mut message) = unformed.message else {
            return unformed.refusal;
        };
        let now_ms = self.ledger.now_ms();
        message.deadline_ms = now_ms.saturating_add(1_000);
        let denial = self
            .ledger
            .view(|snapshot| self.denial(snapshot, caller.token, &message, None));
        match denial {
            // The token's own trouble comes first, as in the contract.
            Some(denial) if denial.code < Code::MethodNotAllowed => {
                self.record(caller, denial.code, &message, now_ms);
                Refusal::Contract(Box::new(denial))
            }
            Some(denial) => {
                self.record(caller, denial.code, &message, now_ms);
                unformed.refusal
            }
            None => unformed.refusal,
        }
    }

    fn count(&self, refusal: &Refusal) {
        if refusal.is_unauthenticated() {
            self.metrics.unauthenticated.add(1);
        } else if matches!(refusal, Refusal::TooMany(_) | Refusal::TooFast(_)) {
            self.metrics.overflowed.add(1);
        } else {
            self.metrics.refused.add(1);
        }
    }
}

fn connection_rate(config: &Config) -> Rate {
    Rate::new(
        config.connections_per_second_per_address,
        config.connection_burst_per_address,
    )
}

fn request_rate(config: &Config) -> Rate {
    Rate::new(
        config.requests_per_second_per_token,
        config.request_burst_per_token,
    )
}
