//! Times as Kubernetes writes them.

/// Reads RFC 3339 with `Z` or a numeric offset, as microseconds since 1970; finer fractions are dropped.
pub(crate) fn parse_timestamp_us(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (year, month, day) = (
        number(&text[0..4])?,
        number(&text[5..7])?,
        number(&text[8..10])?,
    );
    let (hour, minute, second) = (
        number(&text[11..13])?,
        number(&text[14..16])?,
        number(&text[17..19])?,
    );
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut rest = &text[19..];
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let taken = digits.min(6);
        let scale = (taken..6).fold(1, |scale, _| scale * 10);
        micros = number(&fraction[..taken])? * scale;
        rest = &fraction[digits..];
    }
    let offset = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let seconds = number(&rest[1..3])? * 3600 + number(&rest[4..6])? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * 1_000_000 + micros)
}

/// `seconds` since 1970 as RFC 3339 in whole seconds, in UTC.
#[cfg(any(test, feature = "memory-cluster"))]
pub(crate) fn format_timestamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

fn number(digits: &str) -> Option<i64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Year, month and day of the proleptic Gregorian calendar, by Howard Hinnant's algorithm.
#[cfg(any(test, feature = "memory-cluster"))]
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The other way.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_read() {
        for (text, us) in [
            ("1970-01-01T00:00:00.000001Z", 1),
            ("1970-01-01T00:00:00.5Z", 500_000),
            ("1970-01-01T00:00:01.1234569Z", 1_123_456),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2025-11-22T10:10:45.123456Z", 1_763_806_245_123_456),
        ] {
            assert_eq!(parse_timestamp_us(text), Some(us), "{text}");
        }
        for garbled in [
            "",
            "2025-11-22",
            "2025-13-22T10:10:45Z",
            "2025-11-22T10:10:45",
            "2025-11-22T10:10:45.Z",
            "2025-11-22T10:10:45.-1Z",
            "2025-11-22T10:10:+5Z",
            "2025-11-22T10:10:45+1:00",
            "2025-11-22T10:10:45+-1:00",
        ] {
            assert_eq!(parse_timestamp_us(garbled), None, "{garbled}");
        }
    }
}
