//! The form of the headers that a request carries.

use super::malformed::{ByteName, MAX_ECHO_BYTES, MAX_HEADER_BYTES, Malformed};

/// The headers that a request may carry, in the order in which they stand: the ones that change what
/// Kubernetes answers or records.
pub const REQUEST_HEADERS: [&str; 5] = [
    "accept",
    "content-type",
    "if-match",
    "if-none-match",
    "user-agent",
];

/// Checks the headers of a request, given as (name, value) in their order.
///
/// Names are of [`REQUEST_HEADERS`], in lower case, each at most once, sorted; values are space and
/// visible ASCII (0x20–0x7E, may be empty); names and values have at most [`MAX_HEADER_BYTES`]
/// bytes together.
///
/// # Errors
/// [`Malformed::HeaderName`], [`Malformed::HeaderOrder`], [`Malformed::HeaderValue`] and
/// [`Malformed::HeadersTooLong`]; the first header that breaks a rule decides.
pub fn validate_headers<'a>(
    headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), Malformed> {
    // Names before this index have passed or been left out: what is not found from here on
    // repeats or is out of order.
    let mut next = 0;
    let mut total = 0_usize;
    for (name, value) in headers {
        let index = REQUEST_HEADERS
            .iter()
            .position(|known| known.as_bytes() == name)
            .ok_or_else(|| Malformed::HeaderName { name: echo(name) })?;
        let name = REQUEST_HEADERS[index];
        if index < next {
            return Err(Malformed::HeaderOrder { name });
        }
        next = index + 1;
        if let Some(at) = value.iter().position(|byte| !matches!(byte, 0x20..=0x7e)) {
            return Err(Malformed::HeaderValue {
                name,
                at,
                byte: ByteName(value[at]),
            });
        }
        total = total.saturating_add(name.len()).saturating_add(value.len());
        if total > MAX_HEADER_BYTES {
            return Err(Malformed::HeadersTooLong);
        }
    }
    Ok(())
}

fn echo(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(MAX_ECHO_BYTES)
        .map(|&byte| match byte {
            0x20..=0x7e => char::from(byte),
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn validate(headers: &[(&str, &str)]) -> Result<(), Malformed> {
        validate_headers(
            headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        )
    }

    #[test]
    fn sorted_known_headers_pass() {
        assert_eq!(validate(&[]), Ok(()));
        assert_eq!(validate(&[("accept", "")]), Ok(()));
        assert_eq!(
            validate(&[
                (
                    "accept",
                    "application/json;as=Table;v=v1;g=meta.k8s.io, */*"
                ),
                ("content-type", "application/apply-patch+yaml"),
                ("if-match", "\"a\""),
                ("if-none-match", "\"a\""),
                ("user-agent", "kubectl/v1.35.2 (linux/amd64) ~!"),
            ]),
            Ok(())
        );
        assert_eq!(
            validate(&[("content-type", "a"), ("user-agent", "b")]),
            Ok(())
        );
        assert!(REQUEST_HEADERS.is_sorted());
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "Accept",
            "ACCEPT",
            "accept ",
            " accept",
            "accept\0",
            "accept-encoding",
            "authorization",
            "impersonate-user",
            "x-remote-user",
            "cookie",
            "host",
            "connection",
            "if-match:",
            "zzz",
        ] {
            let refused = validate(&[(name, "x")]).unwrap_err();
            assert!(matches!(refused, Malformed::HeaderName { .. }), "{name:?}");
            let refused = validate(&[("accept", "x"), (name, "x")]).unwrap_err();
            assert!(matches!(refused, Malformed::HeaderName { .. }), "{name:?}");
        }
        let message = validate(&[(&"\r\n".repeat(500), "x")])
            .unwrap_err()
            .to_string();
        assert!(
            message.len() < 200 && message.contains(&"?".repeat(64)),
            "{message}"
        );
    }

    #[test]
    fn repeated_and_unsorted_names_are_refused() {
        for names in [
            ["accept", "accept"],
            ["user-agent", "accept"],
            ["if-none-match", "if-match"],
            ["content-type", "accept"],
        ] {
            assert_eq!(
                validate(&[(names[0], "x"), (names[1], "x")]),
                Err(Malformed::HeaderOrder {
                    name: match names[1] {
                        "accept" => "accept",
                        _ => "if-match",
                    }
                })
            );
        }
    }

    #[test]
    fn values_are_visible_ascii_and_space() {
        for byte in 0..=255_u8 {
            let value = [b'a', byte];
            let valid = validate_headers([(&b"accept"[..], &value[..])].into_iter());
            if (0x20..=0x7e).contains(&byte) {
                assert_eq!(valid, Ok(()), "{byte:#x}");
            } else {
                assert_eq!(
                    valid,
                    Err(Malformed::HeaderValue {
                        name: "accept",
                        at: 1,
                        byte: ByteName(byte)
                    })
                );
            }
        }
    }

    #[test]
    fn names_and_values_are_bounded_together() {
        let fits = "x".repeat(2_048 - "accept".len() - "user-agent".len() - 10);
        let (ten, eleven) = ("y".repeat(10), "y".repeat(11));
        assert_eq!(validate(&[("accept", &fits), ("user-agent", &ten)]), Ok(()));
        assert_eq!(
            validate(&[("accept", &fits), ("user-agent", &eleven)]),
            Err(Malformed::HeadersTooLong)
        );
        assert_eq!(
            validate(&[("accept", &"x".repeat(2_043))]),
            Err(Malformed::HeadersTooLong)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(headers: Vec<(Vec<u8>, Vec<u8>)>) {
            let _ = validate_headers(
                headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())),
            );
        }
    }
}
