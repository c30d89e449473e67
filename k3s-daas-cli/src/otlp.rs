//! Traces for a collector: OTLP over HTTP, in batches, beside everything that matters.
//!
//! Whatever becomes of the collector, no request waits for it: what does not fit into the queue is dropped and
//! counted.

mod message;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use k3s_daas::crypto::{blake2b256, read_private};
use k3s_daas::metrics::Page;
use k3s_daas::spans::{Span, SpanSink};
use k3s_daas::types::TraceId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::services::Services;
use crate::settings::{Key, Settings};
use crate::small_file;

/// What became of spans, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    exported: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Writes them.
    pub fn write_metrics(&self, page: &mut Page) {
        let value = |number: &AtomicU64| number.load(Ordering::Relaxed);
        page.counters(
            "daas_spans_total",
            "Spans for the collector of `otlp.endpoint`: taken by it (exported) or not (rejected), lost because it \
             could not be reached in time (failed), or never queued since too many waited (dropped).",
            "result",
            [
                ("exported", value(&self.exported)),
                ("rejected", value(&self.rejected)),
                ("failed", value(&self.failed)),
                ("dropped", value(&self.dropped)),
            ],
        );
    }
}

/// Begins to send spans, if the settings name a collector. Begun before the services whose spans it takes, so that it
/// ends after them.
///
/// # Errors
/// If a setting or a file that one names cannot be used. That nobody answers there is no error.
pub fn begin(
    services: &mut Services,
    app: &App,
    program: &'static str,
    counts: &Arc<Counts>,
) -> anyhow::Result<Option<Arc<dyn SpanSink>>> {
    let settings = &app.settings;
    let Some(endpoint) = settings.text(Key::OtlpEndpoint) else {
        return Ok(None);
    };
    let headers = match settings.path(Key::OtlpHeadersFile) {
        Some(path) => headers_in(&path)?,
        None => HeaderMap::new(),
    };
    let authority = match settings.path(Key::OtlpCa) {
        Some(path) => {
            let read = small_file::read(&path);
            Some(read.with_context(|| format!("cannot read `otlp.ca` in {}", path.display()))?)
        }
        None => None,
    };
    let client = Client::new(endpoint, authority.as_deref())?.with_headers(headers);
    let (sender, queue) = mpsc::channel(QUEUE);
    let exporter = Exporter {
        queue,
        batch: Vec::new(),
        client,
        service: settings
            .text(Key::OtlpServiceName)
            .unwrap_or(program)
            .to_owned(),
        counts: counts.clone(),
        pause: FIRST_PAUSE,
        lost: None,
    };
    services.begin("export of traces", |shutdown| async move {
        exporter.run(shutdown).await;
        Ok(())
    });
    Ok(Some(Arc::new(Queue {
        sender,
        threshold: threshold(settings),
        counts: counts.clone(),
        is_told: AtomicBool::new(false),
    })))
}

/// So many of 2^56 that are wanted.
fn threshold(settings: &Settings) -> u64 {
    let ratio: f64 = settings.value(Key::OtlpSampleRatio).unwrap_or(1.0);
    // Between 0 and 2^56, as the ratio was checked.
    #[allow(clippy::cast_possible_truncation)]
    let threshold = (ratio * (1_u64 << 56) as f64) as u64;
    threshold
}

/// What goes with every batch, of a file that is its owner's alone.
///
/// # Errors
/// If it cannot be read, is open to others or has anything but headers.
pub fn headers_in(path: &Path) -> anyhow::Result<HeaderMap> {
    let headers = headers(&read_private(path)?).map_err(|why| {
        let message = format!("`otlp.headers_file`: {} {why}", path.display());
        Failure::new(Exit::Settings, message).with_next("write one `Name: value` a line")
    })?;
    Ok(headers)
}

/// Names and values, one a line; every value is kept out of logs.
fn headers(bytes: &[u8]) -> Result<HeaderMap, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is no text".to_owned())?;
    let mut headers = HeaderMap::new();
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        // Not a word of what is there: it is a secret.
        let wrong = || format!("has no header in line {}", number + 1);
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Where requests leave their spans.
#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<Vec<Span>>,
    threshold: u64,
    counts: Arc<Counts>,
    is_told: AtomicBool,
}

impl SpanSink for Queue {
    fn samples(&self, trace: TraceId) -> bool {
        // Of its hash: request IDs of one process are neighbours in all their bytes.
        let hash = blake2b256(&[&trace.to_bytes()]);
        let mut number = [0; 8];
        number[1..].copy_from_slice(&hash.as_bytes()[..7]);
        u64::from_be_bytes(number) < self.threshold
    }

    fn record(&self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        if self.sender.try_send(spans).is_err() {
            self.counts.dropped.fetch_add(count, Ordering::Relaxed);
            if !self.is_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "more spans come than the collector takes; those that are too many are dropped, and counted in \
                     daas_spans_total"
                );
            }
        }
    }
}

/// Sends what is queued.
struct Exporter {
    queue: mpsc::Receiver<Vec<Span>>,
    /// What is sent next.
    batch: Vec<Span>,
    client: Client,
    service: String,
    counts: Arc<Counts>,
    /// Before the next attempt after one that failed.
    pause: Duration,
    /// Spans lost since the collector last took some; `None` while it does.
    lost: Option<u64>,
}

enum Failed {
    /// It may be otherwise the next time.
    Again(String),
    /// It would be the same.
    Never(String),
}

impl Exporter {
    async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let has_some = tokio::select! {
                () = shutdown.cancelled() => break,
                has_some = self.gather() => has_some,
            };
            if !has_some {
                return;
            }
            tokio::select! {
                () = self.deliver() => {}
                () = ends(&shutdown) => {
                    self.lose("it did not in time before the end");
                    return;
                }
            }
        }
        // What was recorded last, if that is quickly done.
        let last = async {
            loop {
                self.fill();
                if self.batch.is_empty() {
                    return;
                }
                if let Err(Failed::Again(why) | Failed::Never(why)) = self.send().await {
                    self.lose(&why);
                }
            }
        };
        if tokio::time::timeout(LAST_PATIENCE, last).await.is_err() {
            self.lose("it did not in time before the end");
        }
    }

    /// Waits for spans, and then a moment for more; `false` once nobody records any. Nothing is lost if the future is
    /// dropped.
    async fn gather(&mut self) -> bool {
        if self.batch.is_empty() {
            match self.queue.recv().await {
                Some(spans) => self.batch = spans,
                None => return false,
            }
        }
        let end = Instant::now() + DELAY;
        while self.batch.len() < BATCH {
            match tokio::time::timeout_at(end, self.queue.recv()).await {
                Ok(Some(more)) => self.batch.extend(more),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    fn fill(&mut self) {
        while self.batch.len() < BATCH {
            match self.queue.try_recv() {
                Ok(more) => self.batch.extend(more),
                Err(_) => return,
            }
        }
    }

    /// Until the collector has it, or it is not worth more attempts.
    async fn deliver(&mut self) {
        for attempt in 1..=ATTEMPTS {
            match self.send().await {
                Ok(()) => return,
                Err(Failed::Never(why)) => {
                    self.lose(&why);
                    return;
                }
                Err(Failed::Again(why)) if attempt == ATTEMPTS => self.lose(&why),
                Err(Failed::Again(why)) => self.tell(&why),
            }
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
    }

    async fn send(&mut self) -> Result<(), Failed> {
        let body = Bytes::from(message::encode(&self.service, &self.batch));
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("accept", "application/x-protobuf"),
            ("user-agent", concat!("daas/", env!("CARGO_PKG_VERSION"))),
        ];
        let sent = self.client.send(Method::POST, PATH, &headers, body);
        let reply = match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(Failed::Again(error.to_string())),
            Err(_) => return Err(Failed::Again("it does not answer in time".to_owned())),
        };
        // Whatever it says besides, it may be anybody's words.
        let why = || format!("it answers {}", reply.status.as_u16());
        match reply.status {
            status if status.is_success() => {}
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => return Err(Failed::Again(why())),
            _ => return Err(Failed::Never(why())),
        }
        let count = self.batch.len() as u64;
        self.batch.clear();
        let rejected = message::rejected(&reply.body).min(count);
        self.counts.rejected.fetch_add(rejected, Ordering::Relaxed);
        let exported = count - rejected;
        self.counts.exported.fetch_add(exported, Ordering::Relaxed);
        self.pause = FIRST_PAUSE;
        if let Some(lost) = self.lost.take() {
            tracing::info!(lost, "the collector takes spans again");
        }
        Ok(())
    }

    /// Gives up what was to be sent.
    fn lose(&mut self, why: &str) {
        self.tell(why);
        let spans = self.batch.len() as u64;
        self.batch.clear();
        self.counts.failed.fetch_add(spans, Ordering::Relaxed);
        if let Some(lost) = &mut self.lost {
            *lost += spans;
        }
    }

    /// Says once that the collector does not do its part.
    fn tell(&mut self, why: &str) {
        if self.lost.is_none() {
            self.lost = Some(0);
            tracing::warn!(
                why,
                "the collector of `otlp.endpoint` takes no spans; they are lost until it does, and counted in \
                 daas_spans_total"
            );
        }
    }
}

/// A while after the shutdown, in which what is on its way may arrive.
async fn ends(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST_PATIENCE).await;
}

/// Below the endpoint, by the specification.
const PATH: &str = "/v1/traces";
/// Requests whose spans wait; each has a few KiB at most.
const QUEUE: usize = 1_024;
/// Spans that are sent at once, give or take those of one request.
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
const LAST_PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn queue(ratio: f64) -> (Queue, mpsc::Receiver<Vec<Span>>) {
        let settings = Settings::load_from(
            None,
            vec![
                (Key::Dir, "/nowhere".to_owned()),
                (Key::OtlpSampleRatio, ratio.to_string()),
            ],
            |_| None,
        );
        let (sender, receiver) = mpsc::channel(2);
        let queue = Queue {
            sender,
            threshold: threshold(&settings.unwrap()),
            counts: Arc::default(),
            is_told: AtomicBool::new(false),
        };
        (queue, receiver)
    }

    #[test]
    fn so_many_of_all_traces_are_wanted_and_everywhere_the_same() {
        let traces: Vec<_> = (0..4_000)
            .map(|_| TraceId::of_request(k3s_daas::types::RequestId::new()))
            .collect();
        for (ratio, least, most) in [(0.0, 0, 0), (0.25, 800, 1_200), (1.0, 4_000, 4_000)] {
            let ((one, _a), (other, _b)) = (queue(ratio), queue(ratio));
            let wanted = traces.iter().filter(|trace| one.samples(**trace)).count();
            assert!((least..=most).contains(&wanted), "{ratio}: {wanted}");
            let is_same = |trace: &&TraceId| one.samples(**trace) == other.samples(**trace);
            assert_eq!(traces.iter().filter(is_same).count(), traces.len());
        }
    }

    #[test]
    fn what_is_too_much_is_dropped_at_once() {
        let (queue, _receiver) = queue(1.0);
        for _ in 0..5 {
            queue.record(Vec::new());
            let now = std::time::SystemTime::now();
            let id = k3s_daas::types::SpanId::random();
            let trace = TraceId::of_request(k3s_daas::types::RequestId::new());
            queue.record(vec![Span::new(trace, id, "x", (now, now))]);
        }
        assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_header_that_is_none_is_named_by_its_line_alone() {
        let all = headers(b"Authorization: Bearer hunter2\n\n x-tenant : one:two \n").unwrap();
        assert_eq!(all["authorization"], "Bearer hunter2");
        assert_eq!(all["x-tenant"], "one:two");
        assert!(all.values().all(HeaderValue::is_sensitive));
        for bad in [
            "hunter2",
            "a b: hunter2",
            "x: hunter2\u{7}",
            "a: b\nhunter2",
        ] {
            let why = headers(bad.as_bytes()).unwrap_err();
            assert!(!why.contains("hunter2") && why.contains("line"), "{why}");
        }
    }
}
