//! What is known of a request as it goes: its log line, its headers, what is counted of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Response;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http_body::Body as _;

use super::Body;
use super::extract::{Asked, REQUEST_ID_HEADER};
use super::metrics::Metrics;
use super::refusal::Refusal;
use super::spans;
use super::submit::Timing;
use crate::metrics::ms;
use crate::spans::SpanSink;
use crate::types::{RequestId, SpanId, TokenId, TraceId};

/// One request of a client, until it has its response or is given up.
///
/// Nothing secret is in here: neither query nor headers nor bodies.
pub(super) struct Trail {
    pub(super) begun: Instant,
    pub(super) id: Option<RequestId>,
    pub(super) token: Option<TokenId>,
    pub(super) timing: Timing,
    pub(super) outcome: Outcome,
    /// The client's trace, and its span that this is a part of.
    pub(super) parent: Option<(TraceId, SpanId)>,
    pub(super) method: &'static str,
    pub(super) verb: &'static str,
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) path: String,
    pub(super) bytes_in: usize,
    pub(super) refusal: Option<&'static str>,
    pub(super) spans: Option<Arc<dyn SpanSink>>,
    is_head: bool,
    metrics: Arc<Metrics>,
}

/// What became of a request, as far as its gateway knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its answer is from the cluster, or from what the gateway keeps of that.
    Answered,
    /// The response has begun, and goes on.
    Watching,
    /// Nothing was changed.
    Refused,
    /// It may have changed something.
    Unknown,
    /// A read without an answer in time.
    Unanswered,
    /// It was answered, and its answer could not be brought.
    Undelivered,
    /// Its client did not wait; what the ledger has of it goes on.
    Abandoned,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Answered,
        Self::Watching,
        Self::Refused,
        Self::Unknown,
        Self::Unanswered,
        Self::Undelivered,
        Self::Abandoned,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Watching => "watching",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Unanswered => "unanswered",
            Self::Undelivered => "undelivered",
            Self::Abandoned => "abandoned",
        }
    }

    fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Unanswered { is_read: false, .. } => Self::Unknown,
            Refusal::Unanswered { is_read: true, .. } => Self::Unanswered,
            Refusal::WrongBytes { .. }
            | Refusal::BodyGone(_)
            | Refusal::NoRoom { .. }
            | Refusal::AnswerLost { .. } => Self::Undelivered,
            _ => Self::Refused,
        }
    }
}

impl Trail {
    pub(super) fn begin(
        parts: &Parts,
        metrics: &Arc<Metrics>,
        spans: Option<&Arc<dyn SpanSink>>,
    ) -> Self {
        Self {
            begun: Instant::now(),
            id: None,
            token: None,
            timing: Timing::default(),
            // Until there is a response.
            outcome: Outcome::Abandoned,
            parent: parent(&parts.headers),
            method: method(&parts.method),
            verb: "",
            resource: String::new(),
            namespace: String::new(),
            path: String::new(),
            bytes_in: 0,
            refusal: None,
            is_head: parts.method == http::Method::HEAD,
            metrics: metrics.clone(),
            spans: spans.cloned(),
        }
    }

    pub(super) fn asks(&mut self, asked: &Asked) {
        self.id = Some(asked.id);
        self.verb = asked.target.verb.as_str();
        self.path.clone_from(&asked.path);
        if asked.target.path.is_resource {
            self.resource = asked.target.path.full_resource();
            self.namespace.clone_from(&asked.target.path.namespace);
        }
    }

    pub(super) fn has_body(&mut self, length: usize) {
        self.bytes_in = length;
        self.timing.authorize = self.begun.elapsed();
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.refusal = Some(refusal.name());
        self.outcome = Outcome::of(refusal);
        self.metrics.refuse(refusal.name());
    }

    /// Measures how long the response is on its way, when it is dropped.
    pub(super) fn delivery(&self) -> Delivery {
        Delivery {
            begun: Instant::now(),
            metrics: self.metrics.clone(),
        }
    }

    /// The last that is done with a response: its ID, its timing, its log line.
    pub(super) fn end(mut self, response: &mut Response<Body>, is_timed: bool, quiet: &Quiet) {
        if self.outcome == Outcome::Abandoned {
            self.outcome = Outcome::Answered;
        }
        let status = response.status();
        self.metrics.respond(status);
        let total = self.begun.elapsed();
        let bytes_out = match self.is_head {
            true => Some(0),
            false => response.body().size_hint().exact(),
        };
        let headers = response.headers_mut();
        if let Some(id) = self.id
            && let Ok(value) = HeaderValue::from_str(&id.to_string())
        {
            headers.insert(HeaderName::from_static(REQUEST_ID_HEADER), value);
        }
        if is_timed && self.token.is_some() {
            headers.extend(self.server_timing(total));
        }
        if self.token.is_none() {
            // Nobody is known to have asked, so anybody can ask very often.
            if let Some(more) = quiet.may_speak() {
                let (status, refusal) = (status.as_u16(), self.refusal);
                tracing::info!(status, refusal, more, "unauthenticated");
            }
            return;
        }
        self.metrics.bytes_in.add(self.bytes_in as u64);
        self.metrics.bytes_out.add(bytes_out.unwrap_or_default());
        self.observe(total);
        self.log(Some(status.as_u16()), bytes_out, total);
        // What is dropped with a token was abandoned.
        self.token = None;
    }

    fn server_timing(&self, total: Duration) -> Option<(HeaderName, HeaderValue)> {
        let Timing {
            authorize,
            submit,
            execute,
            fetch,
            ..
        } = self.timing;
        let text = format!(
            "authorize;dur={:.3}, submit;dur={:.3}, execute;dur={:.3}, fetch;dur={:.3}, total;dur={:.3}",
            ms(authorize),
            ms(submit),
            ms(execute),
            ms(fetch),
            ms(total)
        );
        let value = HeaderValue::from_str(&text).ok()?;
        Some((HeaderName::from_static("server-timing"), value))
    }

    /// Stages that a request did not come to are not counted.
    fn observe(&self, total: Duration) {
        if self.outcome == Outcome::Watching {
            return;
        }
        let (stages, timing) = (&self.metrics.stages, &self.timing);
        for (stage, duration) in [
            (&stages.authorize, timing.authorize),
            (&stages.submit, timing.submit),
            (&stages.execute, timing.execute),
            (&stages.fetch, timing.fetch),
            (&stages.total, total),
        ] {
            if !duration.is_zero() {
                stage.observe(duration);
            }
        }
    }

    fn log(&self, status: Option<u16>, bytes_out: Option<u64>, total: Duration) {
        self.metrics.end(self.outcome);
        spans::record(self, status, bytes_out);
        let trace = self.parent.map(|(trace, _)| trace);
        let trace = trace.or(self.id.map(TraceId::of_request));
        let Timing {
            authorize,
            submit,
            execute,
            fetch,
            ..
        } = self.timing;
        tracing::info!(
            request_id = self.id.map(tracing::field::display),
            trace_id = trace.map(tracing::field::display),
            token = self.token.map(tracing::field::display),
            verb = self.verb,
            resource = self.resource,
            namespace = self.namespace,
            path = self.path,
            status,
            outcome = self.outcome.name(),
            refusal = self.refusal,
            bytes_in = self.bytes_in,
            bytes_out,
            authorize_ms = ms(authorize),
            submit_ms = ms(submit),
            execute_ms = ms(execute),
            fetch_ms = ms(fetch),
            total_ms = ms(total),
            "request"
        );
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.token.is_some() {
            self.log(None, None, self.begun.elapsed());
        }
    }
}

/// A response on its way to its client.
#[derive(Debug)]
pub(super) struct Delivery {
    begun: Instant,
    metrics: Arc<Metrics>,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.metrics.stages.deliver.observe(self.begun.elapsed());
    }
}

/// The trace that a client says its request belongs to; none if it says several.
fn parent(headers: &HeaderMap) -> Option<(TraceId, SpanId)> {
    let mut values = headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => TraceId::with_parent(value.as_bytes()),
        _ => None,
    }
}

/// By OpenTelemetry's convention, which has names for those that everybody knows.
fn method(method: &http::Method) -> &'static str {
    [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    ]
    .into_iter()
    .find(|known| method.as_str() == *known)
    .unwrap_or("_OTHER")
}

/// Keeps a line that anybody can cause from filling the log.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<(Option<Instant>, u64)>);

impl Quiet {
    /// How many were silent since, if it is time to speak again.
    pub(super) fn may_speak(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = state.0.is_none_or(|last| last.elapsed() >= QUIET);
        if is_time {
            let silent = state.1;
            *state = (Some(Instant::now()), 0);
            Some(silent)
        } else {
            state.1 += 1;
            None
        }
    }
}

const QUIET: Duration = Duration::from_secs(1);
