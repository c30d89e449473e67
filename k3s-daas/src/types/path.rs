//! The form of a path: its bytes, its segments, and how a gateway brings one into it.

use super::malformed::{ByteName, MAX_PATH_BYTES, Malformed};

/// The canonical form of a path as a client sent it: every `%XX` decoded once and what may not
/// stand as it is escaped again, in upper-case hex.
///
/// `raw` is the path of an HTTP request target, without `?` and query. One trailing slash stays.
/// The result is at most [`MAX_PATH_BYTES`] long, maps to itself, and has the same segments as
/// `raw`; whether it names a target is [`Target::derive`](super::Target::derive)'s to say.
///
/// Where the contract is silent: `%2E` is refused everywhere, not only where it would make a dot
/// segment; a raw `?` or `#` is refused, since it would end the path; other bytes that a client
/// should have escaped (space, quotes, brackets, everything above ASCII) are escaped for it.
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
