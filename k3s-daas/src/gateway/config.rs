//! What a gateway can be told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::Bound;
use crate::token::MAX_AUDIENCE_BYTES;
use crate::types::{TokenId, duration_text};

/// Settings of a [`Gateway`](super::Gateway); the defaults are those of kube-apiserver where it has them.
///
/// In configuration files durations are text such as `500ms`, `65s`, `10m`, `2h`; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What credentials must name to be good here: the gateway's address as its users know it. Required.
    pub audience: String,
    /// A seal token that the gateway's account owns, for discovery; without one discovery is not cached.
    pub discovery_token: Option<TokenId>,
    /// When the caller gets the answer.
    pub answer: AnswerMode,
    /// How commands that change nothing are answered.
    pub reads: ReadMode,

    /// Time to answer a request that has no `timeout` parameter: longer than kube-apiserver's own 60 s. One that has is
    /// answered a fifth of it, at most a second, before.
    #[serde(with = "duration_text")]
    pub deadline: Duration,
    /// The longest deadline a client may ask for; the contract has one hour.
    #[serde(with = "duration_text")]
    pub max_deadline: Duration,
    /// How long past the deadline the recorded answer (also one of 504) is waited for.
    #[serde(with = "duration_text")]
    pub answer_grace: Duration,
    /// Bytes of a body; the contract has 3 MiB.
    pub max_body_bytes: usize,
    /// Bytes of all bodies from clients that are held at once.
    pub max_buffered_bytes: usize,
    /// Bytes of them of one token.
    pub max_buffered_bytes_per_token: usize,
    /// Bytes of all answers that are held at once until their clients have read them; while one is taken
    /// apart it is there twice.
    pub max_answer_bytes: usize,
    /// Bytes of them of one token.
    pub max_answer_bytes_per_token: usize,
    /// How long an answer waits for room.
    #[serde(with = "duration_text")]
    pub answer_patience: Duration,
    /// How long a client may not read of a response before it is taken away.
    #[serde(with = "duration_text")]
    pub write_timeout: Duration,
    /// Time for a client to send its body.
    #[serde(with = "duration_text")]
    pub body_timeout: Duration,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// Time for a client to send a request's head; also how long an HTTP/1.1 connection may idle.
    #[serde(with = "duration_text")]
    pub header_timeout: Duration,
    /// Time for a TLS handshake.
    #[serde(with = "duration_text")]
    pub handshake_timeout: Duration,
    /// How long a connection may stay without a request.
    #[serde(with = "duration_text")]
    pub idle_timeout: Duration,
    /// How long what a client still sends is read and forgotten once its connection is over, so that it
    /// hears why.
    #[serde(with = "duration_text")]
    pub linger_timeout: Duration,
    /// Time for what is under way when the gateway shuts down.
    #[serde(with = "duration_text")]
    pub drain_timeout: Duration,
    /// Connections at once. Each takes a file descriptor.
    pub max_connections: usize,
    /// Connections at once from one address, or one /64 of IPv6.
    pub max_connections_per_address: usize,
    /// New connections per second from one address.
    pub connections_per_second_per_address: u32,
    /// How many of them may come at once.
    pub connection_burst_per_address: u32,
    /// Streams at once of one HTTP/2 connection.
    pub max_streams: u32,
    /// Requests that the client of a connection may give up before they are answered, per second; one that
    /// gives up more is disconnected.
    pub resets_per_second: u32,
    /// How many of them may come at once.
    pub reset_burst: u32,
    /// Bytes that may come over an HTTP/2 connection although they are no part of a request, such as pings;
    /// requests make up for them.
    pub max_control_bytes: usize,
    /// Requests per second of one token.
    pub requests_per_second_per_token: u32,
    /// How many of them may come at once.
    pub request_burst_per_token: u32,
    /// Requests at once.
    pub max_in_flight: usize,
    /// Requests at once of one token.
    pub max_in_flight_per_token: usize,
    /// Watches at once.
    pub max_watches: usize,
    /// Watches at once of one token.
    pub max_watches_per_token: usize,

    /// How long an executor may take for the gateway's own question before it counts as silent.
    #[serde(with = "duration_text")]
    pub probe_timeout: Duration,
    /// How old what is known of the executors may be when `/readyz` is asked; half of that when a request
    /// waits. It is also the longest time between questions while nobody answers and no request is refused for
    /// it; 1.5 s, unless this is less, while requests are. Each is a request on the ledger, made with
    /// [`Config::discovery_token`].
    #[serde(with = "duration_text")]
    pub probe_interval: Duration,
    /// How long discovery is served from memory; at most 30 s.
    #[serde(with = "duration_text")]
    pub discovery_ttl: Duration,
    /// Length of each of the short watches that a client's watch is fed from.
    #[serde(with = "duration_text")]
    pub watch_slice: Duration,
    /// When a watch that asks for no end is ended all the same, as kube-apiserver does.
    #[serde(with = "duration_text")]
    pub watch_lifetime: Duration,
    /// How long the answer to a read stays in the blob store once it was delivered.
    #[serde(with = "duration_text")]
    pub read_retention: Duration,
    /// How long a request's body stays in the blob store past its deadline, to know a repetition by; once it is answered,
    /// only a tenth of that if half of the store or of its token's share is taken.
    #[serde(with = "duration_text")]
    pub payload_retention: Duration,
    /// Refusals of one token that are recorded one by one, per second.
    pub refusals_per_second: u32,
    /// How many of them may come at once.
    pub refusal_burst: u32,
    /// How often those over it are recorded as a count.
    #[serde(with = "duration_text")]
    pub refusal_report: Duration,
    /// Whether responses say in `Server-Timing` where their time went.
    pub server_timing: bool,
}

/// When the caller gets the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AnswerMode {
    /// When request and response are both final on the ledger.
    #[default]
    Settled,
}

/// How commands that change nothing are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReadMode {
    /// As requests like any other.
    #[default]
    Ledger,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            audience: String::new(),
            discovery_token: None,
            answer: AnswerMode::Settled,
            reads: ReadMode::Ledger,
            deadline: Duration::from_secs(65),
            max_deadline: Duration::from_mins(10),
            answer_grace: Duration::from_secs(2),
            max_body_bytes: 3 << 20,
            max_buffered_bytes: 128 << 20,
            max_buffered_bytes_per_token: 32 << 20,
            max_answer_bytes: 256 << 20,
            max_answer_bytes_per_token: 64 << 20,
            answer_patience: Duration::from_secs(5),
            write_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(30),
            max_header_bytes: 32 << 10,
            max_headers: 100,
            header_timeout: Duration::from_secs(32),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            linger_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            max_connections: 8_192,
            max_connections_per_address: 2_048,
            connections_per_second_per_address: 500,
            connection_burst_per_address: 2_048,
            max_streams: 250,
            resets_per_second: 20,
            reset_burst: 100,
            max_control_bytes: 1 << 20,
            requests_per_second_per_token: 4_000,
            request_burst_per_token: 8_000,
            max_in_flight: 600,
            max_in_flight_per_token: 256,
            max_watches: 2_048,
            max_watches_per_token: 256,
            probe_timeout: Duration::from_secs(6),
            probe_interval: Duration::from_secs(15),
            discovery_ttl: MAX_DISCOVERY_TTL,
            watch_slice: Duration::from_secs(5),
            watch_lifetime: Duration::from_mins(45),
            read_retention: Duration::from_mins(1),
            payload_retention: Duration::from_mins(10),
            refusals_per_second: 5,
            refusal_burst: 20,
            refusal_report: Duration::from_secs(10),
            server_timing: true,
        }
    }
}

impl Config {
    /// The defaults, for credentials that name `audience`.
    #[must_use]
    pub fn new(audience: impl Into<String>) -> Self {
        Self {
            audience: audience.into(),
            ..Self::default()
        }
    }

    /// What a gateway keeps while it runs, whatever it is told later: fields of this.
    pub const FIXED: &[&str] = &[
        "audience",
        "discovery_ttl",
        "read_retention",
        "refusal_report",
    ];

    /// What comes into force of `new` where this holds.
    pub(super) fn reloaded(&self, new: Self) -> Self {
        Self {
            audience: self.audience.clone(),
            discovery_ttl: self.discovery_ttl,
            read_retention: self.read_retention,
            refusal_report: self.refusal_report,
            ..new
        }
    }

    /// Checks what no gateway could work with.
    ///
    /// # Errors
    /// [`InvalidConfig`] for the first setting out of its bounds.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let bound = |holds: bool, setting: &'static str, bound: &'static str| {
            if holds {
                Ok(())
            } else {
                Err(InvalidConfig { setting, bound })
            }
        };
        let is_audience = (1..=MAX_AUDIENCE_BYTES).contains(&self.audience.len())
            && self.audience.bytes().all(|byte| byte.is_ascii_graphic());
        bound(is_audience, "audience", "1 to 253 visible ASCII characters")?;
        let body = self.max_body_bytes as u64;
        bound(
            body <= Bound::PAYLOAD_BYTES,
            "max_body_bytes",
            "at most 3 MiB",
        )?;
        for (setting, value) in [
            ("max_buffered_bytes", self.max_buffered_bytes),
            (
                "max_buffered_bytes_per_token",
                self.max_buffered_bytes_per_token,
            ),
        ] {
            bound(
                (self.max_body_bytes..=MAX_ROOM).contains(&value),
                setting,
                "at least max_body_bytes and at most 1 TiB",
            )?;
        }
        for (setting, value) in [
            ("max_answer_bytes", self.max_answer_bytes),
            (
                "max_answer_bytes_per_token",
                self.max_answer_bytes_per_token,
            ),
        ] {
            bound(
                (1 << 20..=MAX_ROOM).contains(&value),
                setting,
                "1 MiB to 1 TiB",
            )?;
        }
        bound(
            (1 << 13..=1 << 20).contains(&self.max_header_bytes),
            "max_header_bytes",
            "8 KiB to 1 MiB",
        )?;
        bound(
            (1 << 16..=1 << 30).contains(&self.max_control_bytes),
            "max_control_bytes",
            "64 KiB to 1 GiB",
        )?;
        let second = Duration::from_secs(1);
        let hour = Duration::from_hours(1);
        for (setting, value) in [
            ("deadline", self.deadline),
            ("max_deadline", self.max_deadline),
        ] {
            // A little under the contract's hour, which counts from a clock that has moved on.
            bound(
                value >= second && value < hour,
                setting,
                "at least 1s and under 1h",
            )?;
        }
        bound(
            self.discovery_ttl <= MAX_DISCOVERY_TTL,
            "discovery_ttl",
            "at most 30s",
        )?;
        let is_slice = (second..=Duration::from_mins(5)).contains(&self.watch_slice);
        bound(is_slice, "watch_slice", "1s to 5m")?;
        for (setting, value) in [
            ("body_timeout", self.body_timeout),
            ("header_timeout", self.header_timeout),
            ("handshake_timeout", self.handshake_timeout),
            ("idle_timeout", self.idle_timeout),
            ("watch_lifetime", self.watch_lifetime),
            ("write_timeout", self.write_timeout),
            ("probe_timeout", self.probe_timeout),
            ("probe_interval", self.probe_interval),
            ("refusal_report", self.refusal_report),
        ] {
            bound(!value.is_zero(), setting, "more than nothing")?;
        }
        for (setting, value) in [
            ("max_connections", self.max_connections),
            (
                "max_connections_per_address",
                self.max_connections_per_address,
            ),
            ("max_in_flight", self.max_in_flight),
            ("max_in_flight_per_token", self.max_in_flight_per_token),
            ("max_watches", self.max_watches),
            ("max_watches_per_token", self.max_watches_per_token),
            ("max_headers", self.max_headers),
            (
                "connections_per_second_per_address",
                self.connections_per_second_per_address as usize,
            ),
            (
                "connection_burst_per_address",
                self.connection_burst_per_address as usize,
            ),
            ("max_streams", self.max_streams as usize),
            ("resets_per_second", self.resets_per_second as usize),
            ("reset_burst", self.reset_burst as usize),
            (
                "requests_per_second_per_token",
                self.requests_per_second_per_token as usize,
            ),
            (
                "request_burst_per_token",
                self.request_burst_per_token as usize,
            ),
        ] {
            bound((1..=1 << 20).contains(&value), setting, "1 to 1048576")?;
        }
        Ok(())
    }
}

/// A setting that no gateway could work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} must be {bound}")]
pub struct InvalidConfig {
    setting: &'static str,
    bound: &'static str,
}

const MAX_DISCOVERY_TTL: Duration = Duration::from_secs(30);
const MAX_ROOM: usize = 1 << 40;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_lack_only_an_audience() {
        assert!(Config::new("localhost:6443").validate().is_ok());
        let missing = Config::default().validate().unwrap_err().to_string();
        assert_eq!(
            missing,
            "audience must be 1 to 253 visible ASCII characters"
        );
    }

    #[test]
    fn settings_out_of_bounds_are_refused_by_name() {
        let with = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::new("a");
            change(&mut config);
            config.validate().map_err(|error| error.setting)
        };
        assert_eq!(with(&|_| {}), Ok(()));
        assert_eq!(
            with(&|c| c.discovery_ttl = Duration::from_secs(31)),
            Err("discovery_ttl")
        );
        assert_eq!(
            with(&|c| c.max_body_bytes = (3 << 20) + 1),
            Err("max_body_bytes")
        );
        assert_eq!(
            with(&|c| c.max_buffered_bytes_per_token = 1),
            Err("max_buffered_bytes_per_token")
        );
        assert_eq!(with(&|c| c.max_answer_bytes = 0), Err("max_answer_bytes"));
        assert_eq!(
            with(&|c| c.write_timeout = Duration::ZERO),
            Err("write_timeout")
        );
        assert_eq!(
            with(&|c| c.deadline = Duration::from_hours(1)),
            Err("deadline")
        );
        assert_eq!(with(&|c| c.max_in_flight = 0), Err("max_in_flight"));
        assert_eq!(
            with(&|c| c.watch_slice = Duration::ZERO),
            Err("watch_slice")
        );
        assert_eq!(with(&|c| c.audience = "a b".into()), Err("audience"));
    }

    #[test]
    fn what_is_fixed_stays_and_all_else_is_taken() {
        let old = Config::new("a");
        let fields = serde_json::to_value(&old).unwrap();
        for (field, value) in fields.as_object().unwrap() {
            let other: serde_json::Value = match value {
                serde_json::Value::Bool(is) => (!is).into(),
                serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                serde_json::Value::Null => format!("0x{}", "7".repeat(64)).into(),
                // There is one way of each of the modes yet.
                serde_json::Value::String(text) if text == "settled" || text == "ledger" => {
                    continue;
                }
                serde_json::Value::String(text) if text == "a" => "b".into(),
                serde_json::Value::String(_) => "7s".into(),
                other => panic!("{other}"),
            };
            let mut fields = fields.clone();
            fields[field] = other;
            let new: Config = serde_json::from_value(fields).unwrap();
            assert_ne!(new, old, "{field}");
            let is_fixed = Config::FIXED.contains(&field.as_str());
            let expected = if is_fixed { old.clone() } else { new.clone() };
            assert_eq!(old.reloaded(new), expected, "{field}");
        }
    }

    #[test]
    fn files_read_back_and_refuse_what_they_do_not_know() {
        let config = Config::new("a");
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains("\"deadline\":\"65s\""), "{text}");
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        let partial: Config = serde_json::from_str(r#"{"deadline":"1m5s"}"#).unwrap();
        assert_eq!(partial, Config::default());
        for bad in [
            r#"{"deadlines":"65s"}"#,
            r#"{"deadline":"65"}"#,
            r#"{"deadline":65}"#,
        ] {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
