//! What a request spent its time on, for tracing systems: spans, as OpenTelemetry has them, and who takes them.
//!
//! Each request has a trace of its own, whose ID is that of the request ([`TraceId::of_request`]): all that gateway and
//! Nautilus both know of it is that ID, since the ledger has no place for a client's trace. Nautilus's span is a child
//! of the gateway's span `execute`, whose ID both make of token and request ([`of_execution`]). A client that
//! began a trace has the gateway's span in that one, and a link from it to the request's own.
//!
//! A span has names, numbers and IDs, never a query, a header, a body, a credential or a key.

use std::borrow::Cow;
use std::fmt;
use std::time::{Instant, SystemTime};

use crate::crypto::blake2b256;
use crate::types::{RequestId, SpanId, TokenId, TraceId};

/// Takes spans: at once, whatever becomes of them. It must neither block nor panic.
pub trait SpanSink: fmt::Debug + Send + Sync + 'static {
    /// Whether the spans of this trace are wanted. Gateway and Nautilus ask with a request's own trace, so that two
    /// that decide by its ID alone decide the same.
    fn samples(&self, trace: TraceId) -> bool;

    /// Takes the spans of one service of one request, which are over.
    fn record(&self, spans: Vec<Span>);
}

/// What something took of a request's time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// The trace that it is of.
    pub trace: TraceId,
    /// Its own ID.
    pub id: SpanId,
    /// The span that caused it, of the same trace.
    pub parent: Option<SpanId>,
    /// Spans of other traces that it belongs with.
    pub links: Vec<(TraceId, SpanId)>,
    /// What it is; one of few.
    pub name: Cow<'static, str>,
    /// Which side of what it is.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it was over, not before.
    pub end: SystemTime,
    /// What is known of it, by OpenTelemetry's names where it has some.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub is_error: bool,
}

/// Which side of what a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A part of its parent.
    Internal,
    /// The answering of a request from another program.
    Server,
    /// A request to another program.
    Client,
    /// What is left for another program to do.
    Producer,
    /// The doing of that.
    Consumer,
}

/// Of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl Span {
    /// One without a parent, links and attributes.
    #[must_use]
    pub fn new(
        trace: TraceId,
        id: SpanId,
        name: impl Into<Cow<'static, str>>,
        (start, end): (SystemTime, SystemTime),
    ) -> Self {
        Self {
            trace,
            id,
            parent: None,
            links: Vec::new(),
            name: name.into(),
            kind: Kind::Internal,
            start,
            end: end.max(start),
            attributes: Vec::new(),
            is_error: false,
        }
    }

    /// Adds what is known, if it is.
    pub(crate) fn tell(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        let value = value.map(Into::into);
        let value = value.filter(|value| *value != Value::Text(String::new()));
        self.attributes.extend(value.map(|value| (name, value)));
    }
}

/// What the wall clock was at moments of the other one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    now: Instant,
    wall: SystemTime,
}

impl Clock {
    pub(crate) fn now() -> Self {
        Self {
            now: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    pub(crate) fn at(&self, moment: Instant) -> SystemTime {
        let ago = self.now.saturating_duration_since(moment);
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }

    /// When it was read.
    pub(crate) fn wall(&self) -> SystemTime {
        self.wall
    }
}

/// The gateway's span of the execution of a request, which Nautilus's is a child of: the first 8 bytes of the
/// BLAKE2b-256 of `k3s-daas execute`, token and request ID. The ledger admits a request once, so both make the same of
/// it without a word.
#[must_use]
pub fn of_execution(token: TokenId, id: RequestId) -> SpanId {
    let id = TraceId::of_request(id).to_bytes();
    let hash = blake2b256(&[b"k3s-daas execute", token.as_bytes(), &id]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    SpanId::from_bytes(bytes)
}

/// By OpenTelemetry's conventions; those of ours begin with `daas.`.
pub(crate) mod attribute {
    pub(crate) const METHOD: &str = "http.request.method";
    pub(crate) const STATUS: &str = "http.response.status_code";
    pub(crate) const RESPONSE_BYTES: &str = "http.response.body.size";
    pub(crate) const ERROR: &str = "error.type";
    pub(crate) const NAMESPACE: &str = "k8s.namespace.name";
    pub(crate) const REQUEST: &str = "daas.request.id";
    pub(crate) const TOKEN: &str = "daas.token";
    pub(crate) const VERB: &str = "daas.verb";
    pub(crate) const RESOURCE: &str = "daas.resource";
    pub(crate) const OUTCOME: &str = "daas.outcome";
}
