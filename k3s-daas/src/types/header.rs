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
