//! How a Nautilus behaves.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::duration_text;

/// How a [`super::Nautilus`] behaves. Every field has a default; durations are text such as `250ms`,
/// `5s`, `10m`, `1h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The journal's file, made by [`super::create_first_journal`]; `nautilus.sqlite` in the working directory.
    /// One process at a time.
    pub journal: PathBuf,
    /// How many requests are at the cluster at a time, watches not counted; 64. The last quarter is for tokens that
    /// have less than a sixteenth there, so that one whose requests hang leaves others room.
    pub concurrency: usize,
    /// How many watches are at the cluster at a time; 256, with a last quarter as above.
    pub watch_concurrency: usize,
    /// Nothing is begun this close to the end of a lease, since clocks differ; 250 ms.
    #[serde(with = "duration_text")]
    pub clock_tolerance: Duration,
    /// Longest response, headers and body as BCS; 32 MiB.
    pub max_response_bytes: usize,
    /// How long a watch goes on after its first event; 50 ms.
    #[serde(with = "duration_text")]
    pub watch_settle: Duration,
    /// How long a watch waits for its first event; 5 s, and never beyond its lease.
    #[serde(with = "duration_text")]
    pub watch_window: Duration,
    /// How long a blob that is not there (yet) is asked for again, and room for an answer; 2 s.
    #[serde(with = "duration_text")]
    pub blob_patience: Duration,
    /// How often unanswered requests are looked through; 1 s.
    #[serde(with = "duration_text")]
    pub scan_interval: Duration,
    /// How long after another executor's lease its request is claimed, and up to as much again by
    /// chance; 1 s.
    #[serde(with = "duration_text")]
    pub claim_delay: Duration,
    /// How often a request is given back to another executor before it is answered 503; 2.
    pub max_releases: u64,
    /// How often requests whose time is over are pruned from the ledger; 1 min. Zero: never.
    #[serde(with = "duration_text")]
    pub prune_interval: Duration,
    /// How often the blob store is swept and the cluster probed; 15 s.
    #[serde(with = "duration_text")]
    pub upkeep_interval: Duration,
    /// How long what has begun may take after a shutdown was asked for; 30 s.
    #[serde(with = "duration_text")]
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            journal: PathBuf::from("nautilus.sqlite"),
            concurrency: 64,
            watch_concurrency: 256,
            clock_tolerance: Duration::from_millis(250),
            max_response_bytes: 32 << 20,
            watch_settle: Duration::from_millis(50),
            watch_window: Duration::from_secs(5),
            blob_patience: Duration::from_secs(2),
            scan_interval: Duration::from_secs(1),
            claim_delay: Duration::from_secs(1),
            max_releases: 2,
            prune_interval: Duration::from_secs(60),
            upkeep_interval: Duration::from_secs(15),
            drain: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// The defaults with the journal in this file.
    #[must_use]
    pub fn new(journal: impl Into<PathBuf>) -> Self {
        Self {
            journal: journal.into(),
            ..Self::default()
        }
    }

    /// What is out of its bounds, if anything.
    pub(super) fn invalid(&self) -> Option<&'static str> {
        let checks = [
            (self.concurrency > 0, "concurrency must not be 0"),
            (
                self.watch_concurrency > 0,
                "watch_concurrency must not be 0",
            ),
            (
                (MIN_RESPONSE_BYTES..=MAX_RESPONSE_BYTES).contains(&self.max_response_bytes),
                "max_response_bytes must be between 4 KiB and 256 MiB",
            ),
            (!self.scan_interval.is_zero(), "scan_interval must not be 0"),
            (
                !self.upkeep_interval.is_zero(),
                "upkeep_interval must not be 0",
            ),
        ];
        checks
            .into_iter()
            .find_map(|(holds, text)| (!holds).then_some(text))
    }
}

/// A refusal must fit.
const MIN_RESPONSE_BYTES: usize = 4 << 10;
/// The contract's bound of an envelope.
const MAX_RESPONSE_BYTES: usize = 256 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        let config = Config {
            watch_settle: Duration::from_millis(75),
            prune_interval: Duration::ZERO,
            drain: Duration::from_secs(7_200),
            ..Config::new("/tmp/j")
        };
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains("\"75ms\"") && text.contains("\"2h\"") && text.contains("\"15s\""));
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        assert_eq!(
            serde_json::from_str::<Config>("{}").unwrap(),
            Config::default()
        );
    }

    #[test]
    fn what_is_no_duration_or_no_field_is_refused() {
        for bad in [
            "5",
            "s",
            "",
            "5 s",
            "s5",
            "-5s",
            "5d",
            "99999999999999999999h",
        ] {
            let text = format!(r#"{{"drain": "{bad}"}}"#);
            assert!(serde_json::from_str::<Config>(&text).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Config>(r#"{"concurency": 1}"#).is_err());
    }

    #[test]
    fn bounds_hold() {
        assert_eq!(Config::default().invalid(), None);
        let config = Config {
            max_response_bytes: 512 << 20,
            ..Config::default()
        };
        assert!(config.invalid().is_some());
    }
}
