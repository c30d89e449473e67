//! A collector of traces, by OTLP over HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

/// How it does its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Takes,
    /// Says this status.
    Refuses(u16),
    /// Reads and says nothing.
    Hangs,
    /// Answers what is no HTTP.
    Garbage,
    /// Says yes, and then sends without end.
    Floods,
}

/// A span and whose it is.
#[derive(Clone, Debug)]
pub struct Got {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub kind: i32,
    pub start_ns: u64,
    pub end_ns: u64,
    pub attributes: BTreeMap<String, String>,
    /// Trace and span.
    pub links: Vec<(String, String)>,
    pub is_error: bool,
}

#[derive(Clone)]
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    manner: Manner,
    heads: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

impl Collector {
    pub fn start(address: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let collector = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                manner,
                heads: Vec::new(),
                bodies: Vec::new(),
            })),
        };
        let serving = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        collector
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    pub fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    /// What was sent, as it came.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().bodies.clone()
    }

    /// All spans, each batch of one service.
    pub fn spans(&self) -> Vec<Got> {
        let decode = |body: Vec<u8>| ExportTraceServiceRequest::decode(&*body).unwrap();
        let batches = self.bodies().into_iter().map(decode);
        let mut all = Vec::new();
        for resource in batches.flat_map(|batch| batch.resource_spans) {
            let attributes = texts(&resource.resource.unwrap().attributes);
            let service = attributes["service.name"].clone();
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            all.extend(spans.map(|span| Got::of(&service, span)));
        }
        all
    }

    /// The spans once these are there.
    #[track_caller]
    pub fn spans_until(&self, enough: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let begun = Instant::now();
        loop {
            let spans = self.spans();
            if enough(&spans) {
                return spans;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{spans:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        loop {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if !matches!(reader.read_line(&mut line), Ok(1..)) {
                    return;
                }
                if line == "\r\n" {
                    break;
                }
                let lower = line.to_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let manner = {
                let mut state = self.state.lock().unwrap();
                if state.manner == Manner::Takes {
                    state.heads.push(head);
                    state.bodies.push(body);
                }
                state.manner
            };
            let said = match manner {
                Manner::Takes => writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
                Manner::Refuses(status) => writer.write_all(
                    format!("HTTP/1.1 {status} No\r\ncontent-length: 7\r\n\r\nhunter2").as_bytes(),
                ),
                Manner::Hangs => {
                    std::thread::sleep(Duration::from_secs(60));
                    return;
                }
                Manner::Garbage => writer.write_all(&[0x16, 3, 1, 0, 255, b'\n', 0, 7, 7, 7]),
                Manner::Floods => {
                    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
                    let mut said = writer.write_all(head);
                    while said.is_ok() {
                        said = writer.write_all(&[7; 65_536]);
                    }
                    return;
                }
            };
            if said.is_err() {
                return;
            }
        }
    }
}

impl Got {
    fn of(service: &str, span: otlp::Span) -> Self {
        let link =
            |link: &otlp::span::Link| (hex::encode(&link.trace_id), hex::encode(&link.span_id));
        Self {
            service: service.to_owned(),
            trace: hex::encode(&span.trace_id),
            id: hex::encode(&span.span_id),
            parent: hex::encode(&span.parent_span_id),
            kind: span.kind,
            start_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            attributes: texts(&span.attributes),
            links: span.links.iter().map(link).collect(),
            is_error: span.status.is_some_and(|status| status.code == 2),
            name: span.name,
        }
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let text = match value.unwrap() {
            any_value::Value::StringValue(text) => text,
            any_value::Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        (attribute.key.clone(), text)
    };
    attributes.iter().map(text).collect()
}
