//! Spans as OTLP has them.

use std::time::{SystemTime, UNIX_EPOCH};

use k3s_daas::spans::{Kind, Span, Value};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

/// The request that has a batch of one service.
pub(super) fn encode(service: &str, spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource {
        attributes: vec![
            attribute("service.name", service.into()),
            attribute("service.version", version.into()),
            attribute("process.pid", Value::from(u64::from(std::process::id()))),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "k3s-daas".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![otlp::ScopeSpans {
                scope: Some(scope),
                spans: spans.iter().map(span).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    };
    request.encode_to_vec()
}

/// How many spans an answer says were not taken; none if it cannot be read.
pub(super) fn rejected(body: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    let rejected = answer.partial_success.map(|said| said.rejected_spans);
    u64::try_from(rejected.unwrap_or_default()).unwrap_or_default()
}

fn span(span: &Span) -> otlp::Span {
    let kind = match span.kind {
        Kind::Server => otlp::span::SpanKind::Server,
        Kind::Client => otlp::span::SpanKind::Client,
        Kind::Producer => otlp::span::SpanKind::Producer,
        Kind::Consumer => otlp::span::SpanKind::Consumer,
        _ => otlp::span::SpanKind::Internal,
    };
    let status = span.is_error.then(|| otlp::Status {
        code: otlp::status::StatusCode::Error.into(),
        message: String::new(),
    });
    let link =
        |(trace, id): &(k3s_daas::types::TraceId, k3s_daas::types::SpanId)| otlp::span::Link {
            trace_id: trace.to_bytes().to_vec(),
            span_id: id.to_bytes().to_vec(),
            flags: SAMPLED,
            ..otlp::span::Link::default()
        };
    let attributes = span.attributes.iter();
    otlp::Span {
        trace_id: span.trace.to_bytes().to_vec(),
        span_id: span.id.to_bytes().to_vec(),
        parent_span_id: span
            .parent
            .map_or_else(Vec::new, |parent| parent.to_bytes().to_vec()),
        flags: SAMPLED,
        name: span.name.clone().into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(span.end),
        attributes: attributes
            .map(|(name, value)| attribute(name, value.clone()))
            .collect(),
        links: span.links.iter().map(link).collect(),
        status,
        ..otlp::Span::default()
    }
}

fn attribute(name: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Number(number) => any_value::Value::IntValue(number),
        Value::Text(text) => any_value::Value::StringValue(text),
        _ => any_value::Value::StringValue(String::new()),
    };
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The flag of W3C's Trace Context.
const SAMPLED: u32 = 1;
