//! The form of a path: its bytes, its segments, and how a gateway brings one into it.

use super::malformed::{ByteName, MAX_PATH_BYTES, Malformed};

/// The canonical form of a path as a client sent it: every `%XX` decoded once and what may not
/// stand as it is escaped again, in upper-case hex.
///
/// `raw` is the path of an HTTP request target, without `?` and query. One trailing slash stays.
/// The result is at most [`MAX_PATH_BYTES`] long, maps to itself, and has the same segments as
/// `raw`; whether it names a target is [`Target::derive`](super::Target::derive)'s to say.
///
/// The form stands in `docs/message-formats.md`, under “What is derived”. `%2E` is refused everywhere,
/// not only where it would make a dot segment; a raw `?` or `#` is refused, since it would end the path;
/// other bytes that a client should have escaped (space, quotes, brackets, everything above ASCII) are
/// escaped for it.
///
/// # Errors
/// The `Path…` variants of [`Malformed`]: no leading slash, an empty or dot segment, a bad escape, an
/// escape for `/`, `%`, `.` or a control byte, a raw control byte, invalid UTF-8 after decoding,
/// too long.
pub fn canonical_path(raw: &str) -> Result<String, Malformed> {
    let raw = raw.as_bytes();
    // An escape shrinks to a third at most, so nothing longer can come to fit.
    if raw.len() > 3 * MAX_PATH_BYTES {
        return Err(Malformed::PathTooLong { len: raw.len() });
    }
    let mut canonical = String::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        if byte == b'%' {
            let decoded =
                decode_escape(raw, at, hex_value_any_case).ok_or(Malformed::PathEscape { at })?;
            if is_never_escaped(decoded) {
                return Err(Malformed::PathEscapedByte {
                    at,
                    byte: ByteName(decoded),
                });
            }
            push_canonical(&mut canonical, decoded);
            at += 3;
        } else {
            if is_control(byte) || byte == b'?' || byte == b'#' {
                return Err(Malformed::PathByte {
                    at,
                    byte: ByteName(byte),
                });
            }
            if byte == b'/' {
                canonical.push('/');
            } else {
                push_canonical(&mut canonical, byte);
            }
            at += 1;
        }
    }
    // Lengths, segments and UTF-8 are checked where the ledger checks them.
    segments(canonical.as_bytes())?;
    Ok(canonical)
}

/// The decoded segments of a path in canonical form; one trailing slash counts for nothing, `/`
/// has none.
pub(super) fn segments(raw: &[u8]) -> Result<Vec<String>, Malformed> {
    if raw.len() > MAX_PATH_BYTES {
        return Err(Malformed::PathTooLong { len: raw.len() });
    }
    if raw.first() != Some(&b'/') {
        return Err(Malformed::PathStart);
    }
    let mut segments = Vec::new();
    let mut segment = Vec::new();
    let mut begin = 1;
    let mut at = 1;
    while at < raw.len() {
        let byte = raw[at];
        if byte == b'/' {
            segments.push(finish_segment(segment, begin)?);
            segment = Vec::new();
            at += 1;
            begin = at;
        } else if byte == b'%' {
            let decoded =
                decode_escape(raw, at, hex_value_upper).ok_or(Malformed::PathEscape { at })?;
            if is_never_escaped(decoded) || is_pchar(decoded) {
                return Err(Malformed::PathEscapedByte {
                    at,
                    byte: ByteName(decoded),
                });
            }
            segment.push(decoded);
            at += 3;
        } else if is_pchar(byte) {
            segment.push(byte);
            at += 1;
        } else {
            return Err(Malformed::PathByte {
                at,
                byte: ByteName(byte),
            });
        }
    }
    // Nothing after the last slash: `/` itself, or the one trailing slash.
    if begin < raw.len() {
        segments.push(finish_segment(segment, begin)?);
    }
    Ok(segments)
}

fn finish_segment(segment: Vec<u8>, at: usize) -> Result<String, Malformed> {
    if segment.is_empty() || segment == b"." || segment == b".." {
        return Err(Malformed::PathSegment { at });
    }
    String::from_utf8(segment).map_err(|_| Malformed::PathUtf8 { at })
}

/// The byte that the escape at `at` stands for.
pub(super) fn decode_escape(raw: &[u8], at: usize, hex: fn(u8) -> Option<u8>) -> Option<u8> {
    let high = hex(*raw.get(at + 1)?)?;
    let low = hex(*raw.get(at + 2)?)?;
    Some(high * 16 + low)
}

pub(super) fn hex_value_upper(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

pub(super) fn hex_value_any_case(byte: u8) -> Option<u8> {
    hex_value_upper(byte.to_ascii_uppercase())
}

/// Appends `byte` as `%XX`.
pub(super) fn push_escaped(text: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(HEX[usize::from(byte >> 4)]));
    text.push(char::from(HEX[usize::from(byte & 15)]));
}

fn push_canonical(text: &mut String, byte: u8) {
    if is_pchar(byte) {
        text.push(char::from(byte));
    } else {
        push_escaped(text, byte);
    }
}

/// RFC 3986 `pchar` without escapes: unreserved, sub-delims, `:`, `@`.
pub(super) const fn is_pchar(byte: u8) -> bool {
    matches!(byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9'
        | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        | b':' | b'@')
}

pub(super) const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// What an escape could smuggle past one of two readers.
const fn is_never_escaped(byte: u8) -> bool {
    is_control(byte) || matches!(byte, b'/' | b'%' | b'.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_send_becomes_canonical() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/api/v1/pods", "/api/v1/pods"),
            ("/api/v1/pods/", "/api/v1/pods/"),
            // Python clients quote what need not be.
            ("/x/system%3Anode", "/x/system:node"),
            ("/x/%41%7e%2A%3b", "/x/A~*;"),
            ("/%61pi", "/api"),
            (
                "/x/a b\"<>[]{}|\\^`",
                "/x/a%20b%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60",
            ),
            ("/x/%5b%3f%23", "/x/%5B%3F%23"),
            ("/x/é", "/x/%C3%A9"),
            ("/x/%c3%a9", "/x/%C3%A9"),
            ("/x/\u{80}", "/x/%C2%80"),
            ("/x/...", "/x/..."),
        ] {
            assert_eq!(canonical_path(raw).as_deref(), Ok(canonical), "{raw:?}");
        }
    }

    #[test]
    fn what_could_be_read_twice_is_refused() {
        for raw in [
            "",
            "x",
            "api/v1",
            "//",
            "//x",
            "/x//",
            "/x//y",
            "/.",
            "/..",
            "/x/./y",
            "/x/../y",
            "/x/..",
            "/%2e",
            "/%2e%2e/x",
            "/.%2e",
            "/a%2eb",
            "/a%2Eb",
            "/a%2fb",
            "/a%2Fb",
            "/a%25",
            "/a%252f",
            "/a%00",
            "/a%0a",
            "/a%1F",
            "/a%7f",
            "/a\0",
            "/a\n",
            "/a\r\nHost: b",
            "/a\u{7f}",
            "/a?b",
            "/a#b",
            "/?",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/a%u0041",
            "/%ff",
            "/%c3/%a9",
            "/%c0%af",
            "/%ed%a0%80",
            "/é/%80",
        ] {
            assert!(canonical_path(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        for (raw, message) in [
            ("x", "the path does not start with \"/\""),
            (
                "/a%2fb",
                "the path escapes \"/\" at byte 2, which is never escaped",
            ),
            (
                "/a%00b",
                "the path escapes byte 0x00 at byte 2, which is never escaped",
            ),
            (
                "/a//b",
                "the path has an empty, \".\" or \"..\" segment at byte 3",
            ),
            (
                "/a/%FF",
                "the segment at byte 3 of the path does not decode to UTF-8",
            ),
            (
                "/a?",
                "the path has \"?\" at byte 2, which may not stand there as it is",
            ),
        ] {
            assert_eq!(canonical_path(raw).unwrap_err().to_string(), message);
        }
        // A long path is not repeated.
        let message = canonical_path(&format!("/{}", "x".repeat(5_000)))
            .unwrap_err()
            .to_string();
        assert_eq!(message, "the path has 5001 bytes, at most 1024 are allowed");
    }

    #[test]
    fn the_bound_is_on_the_canonical_form() {
        let escaped = format!("/{}", "%41".repeat(1_023));
        assert_eq!(canonical_path(&escaped).unwrap().len(), 1_024);
        assert!(canonical_path(&format!("{escaped}%41")).is_err());
        assert!(canonical_path(&format!("/{}", " ".repeat(341))).is_ok());
        assert!(canonical_path(&format!("/{}", " ".repeat(342))).is_err());
    }

    /// Decodes without looking at anything.
    fn decode(raw: &str) -> Vec<u8> {
        let mut rest = raw.as_bytes();
        let mut decoded = Vec::new();
        while let Some((&byte, tail)) = rest.split_first() {
            if byte == b'%' {
                let hex = std::str::from_utf8(&tail[..2]).unwrap();
                decoded.push(u8::from_str_radix(hex, 16).unwrap());
                rest = &tail[2..];
            } else {
                decoded.push(byte);
                rest = tail;
            }
        }
        decoded
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(raw: Vec<u8>) {
            let _ = segments(&raw);
            let _ = canonical_path(&String::from_utf8_lossy(&raw));
        }

        #[test]
        fn the_canonical_form_keeps_what_is_meant_and_itself(
            raw in "(/(([a-zA-Z0-9:;@ \"é.~-]|%[2-7cC][0-9a-fA-F]|%[cC]3%[89aAbB][0-9a-fA-F]){0,8})){1,5}/?",
        ) {
            if let Ok(canonical) = canonical_path(&raw) {
                prop_assert_eq!(decode(&raw), decode(&canonical));
                prop_assert_eq!(canonical_path(&canonical), Ok(canonical.clone()));
                let joined = segments(canonical.as_bytes()).unwrap().join("/");
                let trimmed = decode(&raw);
                let trimmed = trimmed[1..].strip_suffix(b"/").unwrap_or(&trimmed[1..]);
                prop_assert_eq!(joined.as_bytes(), trimmed);
            }
        }

        #[test]
        fn what_derives_is_canonical(path in "(/([a-z:]|%(20|3F|C3%A9|2F|41)){0,4}){1,4}/?") {
            if segments(path.as_bytes()).is_ok() {
                prop_assert_eq!(canonical_path(&path), Ok(path));
            }
        }
    }
}
