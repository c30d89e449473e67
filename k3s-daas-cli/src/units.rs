//! Amounts and durations as people write them.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k3s_daas::contract::Unbonding;
use k3s_daas::types::MIST_PER_SUI;
use k8s_openapi::jiff::Timestamp;

/// MIST, written `1.5SUI`, `1.5 SUI`, `1500000000MIST` or `1500000000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u64);

impl FromStr for Amount {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit::Amount(shorten(text));
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
        let (number, unit) = trimmed.split_at(split.unwrap_or(trimmed.len()));
        let number = number.replace('_', "");
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => (whole, fraction),
            None => (number.as_str(), ""),
        };
        let unit = unit.trim();
        let is_sui = unit.eq_ignore_ascii_case("sui");
        let is_mist = unit.is_empty() || unit.eq_ignore_ascii_case("mist");
        if !(is_sui || is_mist && !number.contains('.')) || whole.is_empty() {
            return Err(invalid());
        }
        if is_mist {
            return whole.parse().map(Self).map_err(|_| invalid());
        }
        let is_fraction = fraction.len() <= 9 && (!number.contains('.') || !fraction.is_empty());
        if !is_fraction || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        let fraction: u64 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
        whole
            .checked_mul(MIST_PER_SUI)
            .and_then(|mist| mist.checked_add(fraction))
            .map(Self)
            .ok_or_else(invalid)
    }
}

impl fmt::Display for Amount {
    /// In SUI, exactly, as the gateway's messages have it: `1.5 SUI`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / MIST_PER_SUI, self.0 % MIST_PER_SUI);
        if fraction == 0 {
            return write!(f, "{whole} SUI");
        }
        let fraction = format!("{fraction:09}");
        write!(f, "{whole}.{} SUI", fraction.trim_end_matches('0'))
    }
}

/// A span of time, written `500ms`, `90s`, `10m`, `8h`, `7d` or a sum such as `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Milliseconds.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit::Span(shorten(text));
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total_ms = 0_u64;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .ok_or_else(invalid)?;
            let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
            rest = &rest[digits..];
            let end = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let unit_ms = UNITS_MS
                .iter()
                .find(|(name, _)| *name == &rest[..end])
                .map(|(_, ms)| *ms)
                .ok_or_else(invalid)?;
            rest = &rest[end..];
            total_ms = number
                .checked_mul(unit_ms)
                .and_then(|ms| total_ms.checked_add(ms))
                .ok_or_else(invalid)?;
        }
        Ok(Self(Duration::from_millis(total_ms)))
    }
}

impl fmt::Display for Span {
    /// The two greatest units that matter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_ms();
        if rest == 0 {
            return f.write_str("0s");
        }
        let mut parts = 0;
        for (name, ms) in UNITS_MS {
            let count = rest / ms;
            if count > 0 && parts < 2 {
                write!(f, "{count}{name}")?;
                rest -= count * ms;
                parts += 1;
            }
        }
        Ok(())
    }
}

/// A number of bytes, for people.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1e6 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

/// An amount of MIST, for people.
#[must_use]
pub fn sui(mist: f64) -> String {
    format!("{:.2} SUI", mist / 1e9)
}

/// An address and port to listen on, `127.0.0.1:7443`; for clap's `value_parser`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "it is no address and port, such as 127.0.0.1:7443 or [::1]:0".to_owned())
}

/// A moment of the ledger, Unix milliseconds, shown in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Now, by this machine's clock.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| Span(since).as_ms()))
    }

    /// This moment and `span`, or the last moment there is.
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_ms()))
    }
}

impl FromStr for Moment {
    type Err = String;

    /// From RFC 3339, in any time zone.
    fn from_str(text: &str) -> Result<Self, String> {
        let time = text.parse::<Timestamp>();
        let ms = time.ok().map(|time| time.as_millisecond());
        ms.and_then(|ms| u64::try_from(ms).ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no time such as 2026-11-22T18:00:00Z"))
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 with milliseconds. It has no years after 9999, so that is said of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0).ok();
        match ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
            Some(time) => write!(f, "{time:.3}"),
            None => f.write_str("after the year 9999"),
        }
    }
}

/// What is on its way out, and from when it can be withdrawn.
#[must_use]
pub fn unbondings(unbondings: &[Unbonding]) -> Vec<String> {
    let shown = unbondings.iter().map(|unbonding| {
        let (amount, from) = (Amount(unbonding.amount), Moment(unbonding.unlock_ms));
        format!("{amount} from {from}")
    });
    shown.collect()
}

/// Text that is no amount or span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUnit {
    /// Not an [`Amount`].
    #[error("`{0}` is no amount, which is written 1.5SUI or 1500000000 (MIST)")]
    Amount(String),
    /// Not a [`Span`].
    #[error("`{0}` is no span of time, which is written 90s, 10m, 8h, 7d or 1h30m")]
    Span(String),
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Greatest first.
const UNITS_MS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, mist) in [
            ("1SUI", 1_000_000_000),
            ("1.5SUI", 1_500_000_000),
            ("1.5 SUI", 1_500_000_000),
            ("0.000000001 sui", 1),
            ("1500000000", 1_500_000_000),
            ("7MIST", 7),
            ("1_000", 1000),
            ("18446744073.709551615SUI", u64::MAX),
        ] {
            assert_eq!(text.parse::<Amount>().unwrap().0, mist, "{text}");
        }
        for bad in [
            "",
            "SUI",
            "-1",
            "1.5",
            "1.5MIST",
            ".5SUI",
            "1.SUI",
            "1.2.3SUI",
            "0.0000000001SUI",
            "18446744073.709551616SUI",
            "1e9",
            "1 BTC",
            "1,5SUI",
            "0x10",
        ] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
        for mist in [0, 1, 1_000_000_000, 1_500_000_000, u64::MAX] {
            let text = Amount(mist).to_string();
            assert!(text.ends_with(" SUI"), "{text}");
            assert_eq!(text.parse(), Ok(Amount(mist)));
        }
    }

    #[test]
    fn spans_are_read_exactly() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("90s", 90_000),
            ("10m", 600_000),
            ("8h", 28_800_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().as_ms(), ms, "{text}");
        }
        for bad in [
            "",
            "10",
            "h",
            "-1h",
            "1.5h",
            "1w",
            "1 h",
            "99999999999999999999s",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "1m30s");
        assert_eq!("7d".parse::<Span>().unwrap().to_string(), "7d");
    }

    #[test]
    fn moments_are_shown_as_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "after the year 9999"),
            (u64::MAX, "after the year 9999"),
        ] {
            assert_eq!(Moment(ms).to_string(), text);
        }
    }
}
