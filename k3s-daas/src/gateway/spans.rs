//! The spans of a request in the gateway.

use std::time::{Duration, Instant, SystemTime};

use super::trail::Trail;
use crate::spans::{Clock, Kind, Span, attribute, of_execution};
use crate::types::{SpanId, TraceId};

/// Gives away what a request spent its time on, now that it is over here.
pub(super) fn record(trail: &Trail, status: Option<u16>, bytes_out: Option<u64>) {
    let Some(sink) = &trail.spans else { return };
    let own = trail.id.map(TraceId::of_request);
    // What was refused before it had an ID, and is of no trace, is only counted.
    let Some(deciding) = own.or(trail.parent.map(|(trace, _)| trace)) else {
        return;
    };
    if !sink.samples(deciding) {
        return;
    }
    let clock = Clock::now();
    let trace = trail.parent.map_or(deciding, |(trace, _)| trace);
    let name = match trail.resource.as_str() {
        "" => trail.method.to_owned(),
        resource => format!("{} {resource}", trail.method),
    };
    let times = (clock.at(trail.begun), clock.wall());
    let mut server = Span::new(trace, SpanId::random(), name, times);
    server.parent = trail.parent.map(|(_, span)| span);
    server.kind = Kind::Server;
    server.is_error = status.is_some_and(|status| status >= 500);
    server.tell(attribute::METHOD, Some(trail.method));
    server.tell(PATH, Some(trail.path.as_str()));
    server.tell(attribute::STATUS, status.map(u64::from));
    server.tell(REQUEST_BYTES, Some(trail.bytes_in as u64));
    server.tell(attribute::RESPONSE_BYTES, bytes_out);
    server.tell(attribute::ERROR, trail.refusal);
    server.tell(attribute::NAMESPACE, Some(trail.namespace.as_str()));
    server.tell(attribute::REQUEST, trail.id.map(|id| id.to_string()));
    server.tell(attribute::TOKEN, trail.token.map(|token| token.to_string()));
    server.tell(attribute::VERB, Some(trail.verb));
    server.tell(attribute::RESOURCE, Some(trail.resource.as_str()));
    server.tell(attribute::OUTCOME, Some(trail.outcome.name()));

    let timing = &trail.timing;
    let mut spans = Vec::with_capacity(6);
    let part = |name: &'static str, began: Option<Instant>, took: Duration| {
        let began = began.filter(|_| !took.is_zero() || name != AUTHORIZE)?;
        let times = over(&clock, began, took);
        let mut span = Span::new(trace, SpanId::random(), name, times);
        span.parent = Some(server.id);
        Some(span)
    };
    spans.extend(part(AUTHORIZE, Some(trail.begun), timing.authorize));
    spans.extend(part("submit", timing.submit_at, timing.submit));
    if let Some(mut execute) = part("execute", timing.execute_at, timing.execute) {
        // What Nautilus does is a part of it, as far as this gateway had it admitted.
        let admitted = trail.token.zip(trail.id).filter(|_| timing.is_admitted);
        execute.kind = Kind::Producer;
        if let Some(((token, id), own)) = admitted.zip(own) {
            let known = of_execution(token, id);
            if own == trace {
                execute.id = known;
            } else {
                let mut root = execute.clone();
                (root.trace, root.id, root.parent) = (own, known, None);
                root.links.push((trace, execute.id));
                root.tell(attribute::REQUEST, Some(id.to_string()));
                execute.links.push((own, known));
                server.links.push((own, known));
                spans.push(root);
            }
        }
        spans.push(execute);
    }
    spans.extend(part("fetch", timing.fetch_at, timing.fetch));
    spans.push(server);
    sink.record(spans);
}

/// From its beginning until it was over, or until now if it never was.
fn over(clock: &Clock, began: Instant, took: Duration) -> (SystemTime, SystemTime) {
    let start = clock.at(began);
    match took {
        Duration::ZERO => (start, clock.wall()),
        took => (start, start + took),
    }
}

const AUTHORIZE: &str = "authorize";
const PATH: &str = "url.path";
const REQUEST_BYTES: &str = "http.request.body.size";
