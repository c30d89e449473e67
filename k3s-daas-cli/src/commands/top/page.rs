//! A page of metrics, as far as it can be believed: Prometheus' text, of bounded length and number.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a service measured at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    samples: HashMap<String, Vec<Sample>>,
}

#[derive(Clone, Debug)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Page {
    /// Fetches it.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) async fn fetch(address: SocketAddr) -> Result<Self, String> {
        match tokio::time::timeout(PATIENCE, fetch(address)).await {
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Err(clean(&crate::exit::chain(&*error))),
            Ok(Ok(text)) => Ok(Self::parse(&String::from_utf8_lossy(&text))),
        }
    }

    /// Reads it; what is not of its form is passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for line in lines.take(MAX_SAMPLES) {
            if let Some((name, sample)) = Sample::parse(line) {
                page.samples.entry(name).or_default().push(sample);
            }
        }
        page
    }

    /// The value of a sample without labels.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.samples.get(name)?.first().map(|sample| sample.value)
    }

    /// A sample's values by what this label says.
    pub(super) fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let samples = self.samples.get(name).into_iter().flatten();
        let named = samples.filter_map(|sample| {
            let label = sample.labels.get(label)?;
            Some((label.clone(), sample.value))
        });
        named.take(MAX_LABELS).collect()
    }

    /// The cumulative counts of a histogram by what this label says, and by their upper bounds.
    pub(super) fn buckets(&self, name: &str, label: &str) -> BTreeMap<String, Buckets> {
        let mut all = BTreeMap::<String, Buckets>::new();
        let samples = self.samples.get(&format!("{name}_bucket"));
        for sample in samples.into_iter().flatten() {
            let (Some(label), Some(bound)) = (sample.labels.get(label), sample.labels.get("le"))
            else {
                continue;
            };
            let Ok(bound) = bound.parse::<f64>() else {
                continue;
            };
            if bound.is_nan() || all.len() >= MAX_LABELS && !all.contains_key(label) {
                continue;
            }
            all.entry(label.clone())
                .or_default()
                .0
                .push((bound, sample.value));
        }
        for buckets in all.values_mut() {
            buckets.0.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        all
    }
}

impl Sample {
    /// `name{label="value",…} 1.5`, of ours.
    fn parse(line: &str) -> Option<(String, Self)> {
        let end = line.find(|char: char| !char.is_ascii_alphanumeric() && char != '_')?;
        let (name, rest) = line.split_at(end);
        if !(name.starts_with("daas_") || name.starts_with("process_")) || name.len() > MAX_NAME {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (BTreeMap::new(), rest),
        };
        let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
        // Whatever is no number tells nothing.
        value
            .is_finite()
            .then(|| (name.to_owned(), Self { labels, value }))
    }
}

/// What stands between braces, and what comes after it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        if labels.len() < MAX_LABELS && name.len() <= MAX_NAME {
            labels.insert(name.to_owned(), clean(&value));
        }
        rest = &after[end + 1..];
    }
}

/// Cumulative counts by upper bounds, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// What came since an earlier page; all of it after a restart.
    pub(super) fn since(&self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else {
            return self.clone();
        };
        let before = |bound: f64| {
            let mut found = earlier.0.iter();
            let found = found.find(|(other, _)| other.total_cmp(&bound).is_eq());
            found.map_or(0.0, |(_, count)| *count)
        };
        if self.count() < earlier.count() {
            return self.clone();
        }
        let counts = self.0.iter().map(|&(bound, count)| {
            let since = (count - before(bound)).max(0.0);
            (bound, since)
        });
        Self(counts.collect())
    }

    /// How many there are.
    pub(super) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value that this part of them does not exceed, by interpolation within its bucket as Prometheus has it;
    /// none if there are none.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = self.count() * part;
        if wanted <= 0.0 {
            return None;
        }
        let (mut low, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= wanted {
                // In the last bucket nothing is known but that it is more than this.
                if bound.is_infinite() {
                    return Some(low);
                }
                let share = (wanted - below) / (count - below).max(f64::MIN_POSITIVE);
                return Some(low + (bound - low) * share.clamp(0.0, 1.0));
            }
            (low, below) = (bound, count);
        }
        Some(low)
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn fetch(address: SocketAddr) -> Result<Bytes, Failed> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/metrics")
        .header("host", address.to_string())
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES)
        .collect()
        .await;
    connection.abort();
    if !status.is_success() {
        return Err(format!("it answers {status}").into());
    }
    let body = body.map_err(
        |error| match error.downcast::<http_body_util::LengthLimitError>() {
            Ok(_) => "its page is longer than 4 MiB".into(),
            Err(error) => error,
        },
    );
    Ok(body?.to_bytes())
}

/// A text from elsewhere, as short as a label and without anything that a terminal would do.
pub(super) fn clean(text: &str) -> String {
    let chars = text.chars().map(|char| match char {
        char if crate::printer::acts(char) => '\u{b7}',
        char => char,
    });
    chars.take(MAX_TEXT).collect()
}

/// A gateway whose executors do not answer says so after two seconds.
const PATIENCE: Duration = Duration::from_secs(4);
const MAX_BYTES: usize = 4 << 20;
const MAX_SAMPLES: usize = 20_000;
const MAX_LABELS: usize = 64;
const MAX_NAME: usize = 128;
const MAX_TEXT: usize = 160;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_its_form_counts_for_nothing() {
        let page = Page::parse(
            "# HELP daas_a b\ndaas_a 1.5\ndaas_nan NaN\ndaas_inf +Inf\ndaas_less -Inf\ndaas_none\ndaas_text x\n\
             other_a 1\ndaas_open{a=\"b 1\ndaas_esc{a=\"x\\\"},\\\\ y\",b=\"\u{1b}[2J\u{202e}\"} 2 1700000000\n{ 3\n\
             daas_many{a=\"1\"} 1\ndaas_many{a=\"2\"} 2\n",
        );
        assert_eq!(page.value("daas_a"), Some(1.5));
        for name in [
            "daas_nan",
            "daas_inf",
            "daas_less",
            "daas_none",
            "daas_text",
            "other_a",
            "daas_open",
        ] {
            assert_eq!(page.value(name), None, "{name}");
        }
        assert_eq!(
            page.by("daas_esc", "a").keys().collect::<Vec<_>>(),
            ["x\"},\\ y"]
        );
        assert_eq!(
            page.by("daas_esc", "b").keys().collect::<Vec<_>>(),
            ["\u{b7}[2J\u{b7}"]
        );
        assert_eq!(page.by("daas_many", "a").len(), 2);
    }

    #[test]
    fn a_page_of_any_length_takes_bounded_room() {
        let mut text = String::new();
        for number in 0..50_000 {
            text += &format!("daas_x{{a=\"{number}\"}} {number}\n");
        }
        text += &format!("daas_{} 1\n", "y".repeat(1 << 20));
        let page = Page::parse(&text);
        assert_eq!(page.samples["daas_x"].len(), MAX_SAMPLES);
        assert_eq!(page.by("daas_x", "a").len(), MAX_LABELS);
        let long = Page::parse(&format!("daas_x{{a=\"{}\"}} 1", "é".repeat(1 << 20)));
        assert_eq!(
            long.by("daas_x", "a")
                .keys()
                .next()
                .unwrap()
                .chars()
                .count(),
            MAX_TEXT
        );
    }

    #[test]
    fn quantiles_are_interpolated_as_prometheus_does() {
        let text = |counts: [u32; 3]| {
            let [a, b, c] = counts;
            let page = Page::parse(&format!(
                "daas_s_bucket{{stage=\"x\",le=\"+Inf\"}} {c}\ndaas_s_bucket{{stage=\"x\",le=\"0.1\"}} {a}\n\
                 daas_s_bucket{{stage=\"x\",le=\"0.2\"}} {b}\ndaas_s_bucket{{stage=\"x\",le=\"NaN\"}} 7\n"
            ));
            page.buckets("daas_s", "stage").remove("x").unwrap()
        };
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-9;
        let first = text([50, 100, 100]);
        assert!(near(first.quantile(0.5), 0.1));
        assert!(near(first.quantile(0.75), 0.15));
        // More than the last bound is said to be the last bound.
        assert!(near(text([0, 0, 10]).quantile(0.5), 0.2));
        assert_eq!(text([0, 0, 0]).quantile(0.5), None);
        let second = text([50, 104, 104]);
        assert!(near(second.since(Some(&first)).quantile(0.5), 0.15));
        // A service that was restarted counts from 0.
        assert_eq!(text([1, 1, 1]).since(Some(&first)).count(), 1.0);
        assert_eq!(Buckets::default().quantile(0.5), None);
    }
}
