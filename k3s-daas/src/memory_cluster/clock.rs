//! Times as Kubernetes writes them, and ages as kubectl prints them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::{format_timestamp, parse_timestamp_us};

/// Seconds since 1970.
pub(super) fn now_seconds() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Now as `metav1.Time`: RFC 3339 in whole seconds.
pub(super) fn now() -> String {
    format_seconds(now_seconds())
}

/// `seconds` since 1970 as `metav1.Time`.
pub(super) fn format_seconds(seconds: i64) -> String {
    format_timestamp(seconds)
}

/// Reads RFC 3339 with `Z` or a numeric offset; fractions of seconds are dropped.
pub(super) fn parse(text: &str) -> Option<i64> {
    parse_timestamp_us(text).map(|us| us.div_euclid(1_000_000))
}

/// The age of a timestamp field as kubectl prints it, `<unknown>` without one.
pub(super) fn age(timestamp: Option<&str>) -> String {
    match timestamp.and_then(parse) {
        Some(then) => human_duration(now_seconds() - then),
        None => "<unknown>".into(),
    }
}

/// `duration.HumanDuration` of `k8s.io/apimachinery`.
pub(super) fn human_duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".into();
    }
    let seconds = seconds.max(0);
    if seconds < 120 {
        return format!("{seconds}s");
    }
    let minutes = seconds / 60;
    if minutes < 10 {
        return with_rest(minutes, 'm', seconds % 60, 's');
    }
    if minutes < 180 {
        return format!("{minutes}m");
    }
    let hours = minutes / 60;
    if hours < 8 {
        return with_rest(hours, 'h', minutes % 60, 'm');
    }
    if hours < 48 {
        return format!("{hours}h");
    }
    if hours < 192 {
        return with_rest(hours / 24, 'd', hours % 24, 'h');
    }
    if hours < 24 * 365 * 2 {
        return format!("{}d", hours / 24);
    }
    if hours < 24 * 365 * 8 {
        return with_rest(hours / 24 / 365, 'y', hours / 24 % 365, 'd');
    }
    format!("{}y", hours / 24 / 365)
}

fn with_rest(whole: i64, unit: char, rest: i64, rest_unit: char) -> String {
    match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{rest_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_763_806_245, "2025-11-22T10:10:45Z"),
        ] {
            assert_eq!(format_seconds(seconds), text);
            assert_eq!(parse(text), Some(seconds));
        }
        assert_eq!(
            parse("2025-11-22T12:10:45.123456+02:00"),
            Some(1_763_806_245)
        );
        for garbled in [
            "",
            "2025-11-22",
            "2025-13-22T10:10:45Z",
            "2025-11-22T10:10:45",
            "2025-11-22T10:10:45.Z",
        ] {
            assert_eq!(parse(garbled), None, "{garbled}");
        }
    }

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (660, "11m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (900_000, "10d"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(human_duration(seconds), text);
        }
    }
}
