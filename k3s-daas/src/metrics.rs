//! What is measured, as Prometheus reads it: histograms, and the page that has everything.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often something took how long; two atomic additions for each time.
#[derive(Default)]
pub struct Histogram {
    /// Not cumulative; the last is for what took longer than every bound.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts one that took so long.
    pub fn observe(&self, duration: Duration) {
        let bucket = BOUNDS_US.partition_point(|bound| u128::from(*bound) < duration.as_micros());
        self.buckets[bucket].fetch_add(1, Relaxed);
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// Milliseconds, to the microsecond; more would be noise in a log.
pub(crate) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A page of metrics in Prometheus' text format, 0.0.4.
///
/// Names and labels are constants of the caller's; only the values of labels are escaped.
///
/// # Examples
/// ```
/// let mut page = k3s_daas::metrics::Page::default();
/// page.counter("cats_total", "Cats seen.", 3);
/// assert_eq!(page.to_string(), "# HELP cats_total Cats seen.\n# TYPE cats_total counter\ncats_total 3\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// What the `Content-Type` of such a page is.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// A number that only grows; its name ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// Such numbers, told apart by a label.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        self.head(name, help, "counter");
        self.labelled(name, label, values);
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// Such numbers, told apart by a label.
    pub fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.head(name, help, "gauge");
        self.labelled(name, label, values);
    }

    /// A time in seconds that goes up and down.
    pub fn seconds(&mut self, name: &str, help: &str, value: Duration) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.text, "{name} {}", value.as_secs_f64());
    }

    /// What is always 1 and has its worth in its labels.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head(name, help, "gauge");
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", Escaped(value)))
            .collect();
        let _ = writeln!(self.text, "{name}{{{}}} 1", labels.join(","));
    }

    /// Histograms in seconds, told apart by a label.
    pub fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, &'a Histogram)>,
    ) {
        self.head(name, help, "histogram");
        for (value, histogram) in values {
            let mut count = 0;
            for (index, bucket) in histogram.buckets.iter().enumerate() {
                count += bucket.load(Relaxed);
                let bound = match BOUNDS_US.get(index) {
                    Some(bound) => Duration::from_micros(*bound).as_secs_f64().to_string(),
                    None => "+Inf".to_owned(),
                };
                let _ = writeln!(
                    self.text,
                    "{name}_bucket{{{label}=\"{value}\",le=\"{bound}\"}} {count}"
                );
            }
            let sum = Duration::from_nanos(histogram.sum_ns.load(Relaxed)).as_secs_f64();
            let _ = writeln!(self.text, "{name}_sum{{{label}=\"{value}\"}} {sum}");
            let _ = writeln!(self.text, "{name}_count{{{label}=\"{value}\"}} {count}");
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn labelled<'a>(
        &mut self,
        name: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        for (value, number) in values {
            let _ = writeln!(
                self.text,
                "{name}{{{label}=\"{}\"}} {number}",
                Escaped(value)
            );
        }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The value of a label as it stands between quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            char => f.write_char(char),
        })
    }
}

/// Upper bounds of the buckets, microseconds: from a check in memory to the longest deadline.
const BOUNDS_US: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 15_000_000, 60_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let histogram = Histogram::default();
        for us in [1, 100, 101, 1_000, 59_000_000, 61_000_000, 90_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let mut page = Page::default();
        page.histograms("t_seconds", "Times.", "stage", [("a", &histogram)]);
        let text = page.to_string();
        for line in [
            "# TYPE t_seconds histogram",
            "t_seconds_bucket{stage=\"a\",le=\"0.0001\"} 2",
            "t_seconds_bucket{stage=\"a\",le=\"0.00025\"} 3",
            "t_seconds_bucket{stage=\"a\",le=\"0.0005\"} 3",
            "t_seconds_bucket{stage=\"a\",le=\"0.001\"} 4",
            "t_seconds_bucket{stage=\"a\",le=\"15\"} 4",
            "t_seconds_bucket{stage=\"a\",le=\"60\"} 5",
            "t_seconds_bucket{stage=\"a\",le=\"+Inf\"} 7",
            "t_seconds_sum{stage=\"a\"} 210.001202",
            "t_seconds_count{stage=\"a\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn the_value_of_a_label_stays_in_its_quotes() {
        let mut page = Page::default();
        page.info("i", "Info.", &[("a", "\"} 2\n\\"), ("b", "é")]);
        let line = page.to_string();
        assert_eq!(line.lines().nth(2), Some(r#"i{a="\"} 2\n\\",b="é"} 1"#));
    }
}
