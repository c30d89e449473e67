//! The form of a query, and the two parameters that decide what a request is.

use super::malformed::{ByteName, MAX_QUERY_BYTES, Malformed};
use super::path::{
    decode_escape, hex_value_any_case, hex_value_upper, is_control, is_pchar, push_escaped,
};

/// The canonical form of a query as a client sent it: what RFC 3986 does not allow in a query is
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
    ///
    /// Kubernetes folds case as Go's `strings.EqualFold`, for which U+017F (`ſ`) is an `s`: it lists
    /// what spells `falſe`, so that is no watch here either.
    pub(super) fn is_watch(&self) -> bool {
        match &self.watch {
            None => false,
            Some(value) => {
                value != b"0"
                    && !value.eq_ignore_ascii_case(b"false")
                    && !value.eq_ignore_ascii_case("falſe".as_bytes())
            }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_send_becomes_the_contracts_form() {
        for (raw, canonical) in [
            ("", ""),
            ("watch=true&limit=500", "watch=true&limit=500"),
            ("a=/?:@!$'()*,~", "a=/?:@!$'()*,~"),
            ("a=\"<>[]{}|\\^` ", "a=%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60%20"),
            ("a=%3d%3D%c3%a9", "a=%3D%3D%C3%A9"),
            ("a=é", "a=%C3%A9"),
            // Meaning stays: neither `+` nor an escape is touched that could be spelled otherwise.
            ("a=b+c%2B%41%3B%23%00", "a=b+c%2B%41%3B%23%00"),
            ("&&=&x", "&&=&x"),
        ] {
            assert_eq!(canonical_query(raw).as_deref(), Ok(canonical), "{raw:?}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for raw in [
            "a;b",
            ";",
            "a=1;watch=1",
            "a#b",
            "#",
            "%",
            "%2",
            "a=%",
            "a=%2",
            "a=%2&b",
            "a=%zz",
            "a=%%41",
            "a=%+1",
            "a=%u0041",
            "a\0",
            "a\n",
            "a\r\nb",
            "a\t",
            "a\u{7f}",
        ] {
            assert!(canonical_query(raw).is_err(), "{raw:?}");
            assert!(Parameters::parse(raw.as_bytes()).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn the_bound_is_on_the_contracts_form() {
        let longest = "a".repeat(8_192);
        assert_eq!(canonical_query(&longest).as_deref(), Ok(longest.as_str()));
        assert!(canonical_query(&format!("{longest}a")).is_err());
        assert!(canonical_query(&" ".repeat(2_730)).is_ok());
        assert_eq!(
            canonical_query(&" ".repeat(2_731)),
            Err(Malformed::QueryTooLong { len: 8_193 })
        );
    }

    #[test]
    fn errors_say_what_and_where() {
        for (raw, message) in [
            (
                "a;b",
                "the query has \";\" at byte 1, which has to be escaped",
            ),
            (
                "a=\"",
                "the query has '\"' at byte 2, which has to be escaped",
            ),
            (
                "a=%3d",
                "the query has a \"%\" at byte 2 that is not followed by two upper-case hex digits",
            ),
            ("watch&watch=", "the query has \"watch\" more than once"),
        ] {
            assert_eq!(
                Parameters::parse(raw.as_bytes()).unwrap_err().to_string(),
                message
            );
        }
    }

    /// Decoded keys and values, as a browser's form would mean them.
    fn decode(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let decode = |text: &str| {
            let mut decoded = Vec::new();
            let mut bytes = text.bytes();
            while let Some(byte) = bytes.next() {
                decoded.push(match byte {
                    b'+' => b' ',
                    b'%' => {
                        let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                        u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                    }
                    byte => byte,
                });
            }
            decoded
        };
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect()
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(raw: Vec<u8>) {
            let _ = Parameters::parse(&raw);
            let _ = canonical_query(&String::from_utf8_lossy(&raw));
        }

        #[test]
        fn the_contracts_form_keeps_what_is_meant_and_itself(
            raw in "([a-c \"é+=&/?]|%[0-9a-fA-F]{2}|watch|fieldSelector|metadata\\.name=){0,20}",
        ) {
            let canonical = canonical_query(&raw).unwrap();
            prop_assert_eq!(decode(&raw), decode(&canonical));
            prop_assert_eq!(canonical_query(&canonical), Ok(canonical.clone()));
            let values = |name: &[u8]| -> Vec<Vec<u8>> {
                let pairs = decode(&raw).into_iter();
                pairs.filter(|(key, _)| key == name).map(|(_, value)| value).collect()
            };
            let (watch, selector) = (values(b"watch"), values(b"fieldSelector"));
            match Parameters::parse(canonical.as_bytes()) {
                Ok(parameters) => {
                    prop_assert_eq!(Vec::from_iter(parameters.watch), watch);
                    prop_assert_eq!(Vec::from_iter(parameters.field_selector), selector);
                }
                Err(Malformed::QueryRepeated { .. }) => {
                    prop_assert!(watch.len() > 1 || selector.len() > 1);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
