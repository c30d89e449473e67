//! The form of a query, and the two parameters that decide what a request is.

use super::malformed::{ByteName, MAX_QUERY_BYTES, Malformed};
use super::path::{
    decode_escape, hex_value_any_case, hex_value_upper, is_control, is_pchar, push_escaped,
};

/// The contract's form of a query as a client sent it: what RFC 3986 does not allow in a query is
/// escaped, hex digits become upper case, everything else stays as it is.
///
/// `raw` is what stands after the `?` of an HTTP request target. The result is at most
/// [`MAX_QUERY_BYTES`] long, maps to itself and means the same parameters in the same order. Whether a
/// parameter that may not repeat does is [`Target::derive`](super::Target::derive)'s to say.
///
/// # Errors
/// The `Query…` variants of [`Malformed`]: `;` or `#` (some servers split there, some do not), a
/// control byte, a bad escape, too long.
pub fn canonical_query(raw: &str) -> Result<String, Malformed> {
    let raw = raw.as_bytes();
    if raw.len() > MAX_QUERY_BYTES {
        return Err(Malformed::QueryTooLong { len: raw.len() });
    }
    let mut canonical = String::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        if byte == b'%' {
            let decoded =
                decode_escape(raw, at, hex_value_any_case).ok_or(Malformed::QueryEscape { at })?;
            push_escaped(&mut canonical, decoded);
            at += 3;
        } else {
            if is_control(byte) || byte == b';' || byte == b'#' {
                return Err(Malformed::QueryByte {
                    at,
                    byte: ByteName(byte),
                });
            }
            if is_query_byte(byte) {
                canonical.push(char::from(byte));
            } else {
                push_escaped(&mut canonical, byte);
            }
            at += 1;
        }
    }
    if canonical.len() > MAX_QUERY_BYTES {
        return Err(Malformed::QueryTooLong {
            len: canonical.len(),
        });
    }
    Ok(canonical)
}

/// What a query says that matters to deriving: the decoded values, absent if the parameter is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) watch: Option<Vec<u8>>,
    pub(super) field_selector: Option<Vec<u8>>,
}

impl Parameters {
    /// Checks the form of the whole query and takes out the two parameters.
    pub(super) fn parse(raw: &[u8]) -> Result<Self, Malformed> {
        if raw.len() > MAX_QUERY_BYTES {
            return Err(Malformed::QueryTooLong { len: raw.len() });
        }
        let mut parameters = Self::default();
        let mut key = Vec::new();
        let mut value = Vec::new();
        let mut in_value = false;
        let mut at = 0;
        while at < raw.len() {
            let byte = raw[at];
            let decoded = if byte == b'&' {
                parameters.keep(&key, value)?;
                key.clear();
                value = Vec::new();
                in_value = false;
                at += 1;
                continue;
            } else if byte == b'=' && !in_value {
                in_value = true;
                at += 1;
                continue;
            } else if byte == b'%' {
                let decoded =
                    decode_escape(raw, at, hex_value_upper).ok_or(Malformed::QueryEscape { at })?;
                at += 3;
                decoded
            } else if byte == b'+' {
                at += 1;
                b' '
            } else if is_query_byte(byte) {
                at += 1;
                byte
            } else {
                return Err(Malformed::QueryByte {
                    at,
                    byte: ByteName(byte),
                });
            };
            if in_value {
                value.push(decoded);
            } else {
                key.push(decoded);
            }
        }
        parameters.keep(&key, value)?;
        Ok(parameters)
    }

    fn keep(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), Malformed> {
        let (slot, parameter) = match key {
            b"watch" => (&mut self.watch, "watch"),
            b"fieldSelector" => (&mut self.field_selector, "fieldSelector"),
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() {
            return Err(Malformed::QueryRepeated { parameter });
        }
        Ok(())
    }

    /// Whether the request asks for a watch: present and neither `0` nor `false` in any case.
    pub(super) fn is_watch(&self) -> bool {
        match &self.watch {
            None => false,
            Some(value) => value != b"0" && !value.eq_ignore_ascii_case(b"false"),
        }
    }

    /// The name that a field selector asks for, if it is exactly `metadata.name=N` with N of 1 to
    /// 253 bytes of `a-z`, `0-9`, `.` and `-`.
    pub(super) fn selected_name(&self) -> Option<String> {
        let selector = self.field_selector.as_deref()?;
        let name = selector.strip_prefix(b"metadata.name=")?;
        let is_name = (1..=253).contains(&name.len())
            && name
                .iter()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        // Always UTF-8, being ASCII.
        is_name.then(|| name.iter().copied().map(char::from).collect())
    }
}

/// What RFC 3986 allows in a query as it is, but `;`.
const fn is_query_byte(byte: u8) -> bool {
    byte != b';' && (is_pchar(byte) || byte == b'/' || byte == b'?')
}
