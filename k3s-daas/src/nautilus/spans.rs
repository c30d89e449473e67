//! The spans of a request in Nautilus.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::journal::Key;
use super::status::Stage;
use crate::spans::{Clock, Kind, Span, SpanSink, attribute, of_execution};
use crate::types::{Method, SpanId, Target, TraceId, Verb};

/// Those of the requests that are under way, if anybody wants them; at most one of each that is held.
#[derive(Debug, Default)]
pub(super) struct Spans {
    sink: Option<Arc<dyn SpanSink>>,
    open: Mutex<HashMap<Key, Open>>,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    stages: Vec<(Stage, SystemTime, SystemTime)>,
    done: Option<Done>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) epoch: u64,
    pub(super) status: u16,
    pub(super) outcome: &'static str,
    pub(super) method: Option<Method>,
    pub(super) verb: Option<Verb>,
    pub(super) resource: String,
    pub(super) namespace: String,
    /// Bytes of the answer's body, if it is the cluster's.
    pub(super) bytes_out: Option<u64>,
}

impl Done {
    pub(super) fn new(
        epoch: u64,
        status: u16,
        outcome: &'static str,
        target: Option<&Target>,
    ) -> Self {
        Self {
            epoch,
            status,
            outcome,
            method: None,
            verb: target.map(|target| target.verb),
            resource: target.map_or_else(String::new, |target| target.path.full_resource()),
            namespace: target.map_or_else(String::new, |target| target.path.namespace.clone()),
            bytes_out: None,
        }
    }
}

impl Spans {
    pub(super) fn new(sink: Option<Arc<dyn SpanSink>>) -> Self {
        Self {
            sink,
            open: Mutex::default(),
        }
    }

    /// Begins that of a request which waited since then.
    pub(super) fn begin(&self, key: Key, since: Instant) {
        let Some(sink) = &self.sink else { return };
        if sink.samples(TraceId::of_request(key.1)) {
            let open = Open {
                since,
                stages: Vec::with_capacity(6),
                done: None,
            };
            self.open().insert(key, open);
        }
    }

    /// Notes that a part of it is over now.
    pub(super) fn stage(&self, key: Key, stage: Stage, began: Instant) {
        if self.sink.is_none() {
            return;
        }
        let clock = Clock::now();
        if let Some(open) = self.open().get_mut(&key) {
            open.stages.push((stage, clock.at(began), clock.wall()));
        }
    }

    /// Notes what became of it; the last word counts.
    pub(super) fn done(&self, key: Key, done: impl FnOnce() -> Done) {
        if self.sink.is_none() {
            return;
        }
        if let Some(open) = self.open().get_mut(&key) {
            open.done = Some(done());
        }
    }

    /// Gives it away, unless nothing became of it here.
    pub(super) fn end(&self, key: Key) {
        let Some(sink) = &self.sink else { return };
        let open = self.open().remove(&key);
        let Some((open, done)) = open.and_then(|mut open| {
            let done = open.done.take()?;
            Some((open, done))
        }) else {
            return;
        };
        sink.record(spans(key, open, done));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spans(key: Key, open: Open, done: Done) -> Vec<Span> {
    let (token, id) = key;
    let trace = TraceId::of_request(id);
    let clock = Clock::now();
    let verb = done.verb.map_or("", Verb::as_str);
    let name = match (verb, done.resource.as_str()) {
        ("", _) => "execute".to_owned(),
        (verb, "") => format!("execute {verb}"),
        (verb, resource) => format!("execute {verb} {resource}"),
    };
    let times = (clock.at(open.since), clock.wall());
    let mut whole = Span::new(trace, SpanId::random(), name, times);
    whole.parent = Some(of_execution(token, id));
    whole.kind = Kind::Consumer;
    whole.is_error = done.outcome != EXECUTED;
    whole.tell(attribute::NAMESPACE, Some(done.namespace));
    whole.tell(attribute::REQUEST, Some(id.to_string()));
    whole.tell(attribute::TOKEN, Some(token.to_string()));
    whole.tell(attribute::VERB, Some(verb));
    whole.tell(attribute::RESOURCE, Some(done.resource));
    whole.tell(EPOCH, Some(done.epoch));
    whole.tell(attribute::OUTCOME, Some(done.outcome));
    let error = whole.is_error.then_some(done.outcome);
    whole.tell(attribute::ERROR, error);
    let parts = open.stages.into_iter().map(|(stage, start, end)| {
        let mut span = Span::new(trace, SpanId::random(), stage.name(), (start, end));
        span.parent = Some(whole.id);
        if stage == Stage::Cluster {
            span.kind = Kind::Client;
            span.tell(attribute::METHOD, done.method.map(Method::as_str));
            let status = (done.outcome == EXECUTED).then_some(u64::from(done.status));
            span.tell(attribute::STATUS, status);
            span.tell(attribute::RESPONSE_BYTES, done.bytes_out);
            span.is_error = status.is_none_or(|status| status >= 400);
        }
        span
    });
    let mut all: Vec<_> = parts.collect();
    all.push(whole);
    all
}

/// How often the request was assigned.
const EPOCH: &str = "daas.epoch";
/// The outcome of what the cluster answered.
pub(super) const EXECUTED: &str = "executed";
