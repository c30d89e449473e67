//! The trace that a request belongs to, by the W3C's Trace Context.

use std::fmt;

use super::RequestId;

/// ID of a trace: 16 bytes, not all zero.
///
/// Traces are how log lines of several programs are found together, and nothing else: no decision hangs on one.
///
/// # Examples
/// ```
/// use k3s_daas::types::TraceId;
///
/// let header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceId::from_traceparent(header).expect("it is of its form");
/// assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// That of a `traceparent` header; `None` if it is not of its form, in which case the specification has the
    /// receiver begin a trace of its own.
    ///
    /// What comes after the flags is only read over in versions to come, as the specification says.
    #[must_use]
    pub fn from_traceparent(value: &[u8]) -> Option<Self> {
        Self::with_parent(value).map(|(trace, _)| trace)
    }

    /// The same with the span of the client's that the request is a part of.
    #[must_use]
    pub fn with_parent(value: &[u8]) -> Option<(Self, SpanId)> {
        let (head, rest) = value.split_at_checked(LENGTH)?;
        let is_parted = [2, 35, 52].iter().all(|&at| head[at] == b'-');
        let (version, trace) = (hex(&head[..2])?, hex(&head[3..35])?);
        let (parent, _flags) = (hex(&head[36..52])?, hex(&head[53..])?);
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let parent = u64::try_from(parent).ok()?;
        (is_parted && is_whole && parent != 0 && trace != 0)
            .then_some((Self(trace), SpanId(parent)))
    }

    /// That of a request whose client began none: its ID without hyphens, so that whoever knows one knows the
    /// other.
    #[must_use]
    pub fn of_request(id: RequestId) -> Self {
        Self(id.as_u128())
    }

    /// Big-endian, as on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// ID of a span within a trace: 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl SpanId {
    /// One that nothing else has.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        // Without randomness traces are of no use, and nothing else depends on it.
        let _ = getrandom::fill(&mut bytes);
        Self::from_bytes(bytes)
    }

    /// That of these bytes, big-endian; the last of them set if none is.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes).max(1))
    }

    /// Big-endian, as on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A number in lower-case hexadecimal digits and nothing else.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Of a header of version 0: `00-`, trace, `-`, parent, `-`, flags.
const LENGTH: usize = 55;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_its_form_is_taken_over() {
        let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let good = format!("00-{trace}-{parent}-01");
        for good in [
            good.clone(),
            format!("00-{trace}-{parent}-00"),
            format!("00-{trace}-{parent}-ff"),
            // Versions to come may say more, and less than this never.
            format!("01-{trace}-{parent}-01"),
            format!("cc-{trace}-{parent}-01-what-the-future-will-be-like"),
        ] {
            let found = TraceId::from_traceparent(good.as_bytes()).map(|trace| trace.to_string());
            assert_eq!(found.as_deref(), Some(trace), "{good}");
        }
        let upper = trace.to_uppercase();
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            trace.to_owned(),
            format!("00-{trace}-{parent}"),
            format!("00-{trace}-{parent}-"),
            format!("00-{trace}-{parent}-1"),
            format!("00-{trace}-{parent}-01-"),
            format!("00-{trace}-{parent}-01-more"),
            format!("00-{trace}-{parent}-01 "),
            format!(" 00-{trace}-{parent}-01"),
            format!("ff-{trace}-{parent}-01"),
            format!("01-{trace}-{parent}-01more"),
            format!("0-{trace}-{parent}-001"),
            format!("0x-{trace}-{parent}-01"),
            format!("00-{upper}-{parent}-01"),
            format!("00-{zeros}-{parent}-01"),
            format!("00-{trace}-{}-01", &zeros[..16]),
            format!("00_{trace}-{parent}-01"),
            format!("00-{trace}_{parent}-01"),
            format!("00-{trace}-{parent}_01"),
            format!("00-{}-{parent}-01", trace.replace('a', "g")),
            format!("00-{trace}-{parent}-0g"),
            format!("00-{trace}-{parent}-01,00-{trace}-{parent}-01"),
        ] {
            assert_eq!(TraceId::from_traceparent(bad.as_bytes()), None, "{bad}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = 0x80;
            assert_eq!(TraceId::from_traceparent(&bytes), None);
        }
    }

    #[test]
    fn the_trace_of_a_request_is_its_id() {
        let id = RequestId::new();
        let trace = TraceId::of_request(id).to_string();
        assert_eq!(trace, id.to_string().replace('-', ""));
    }
}
