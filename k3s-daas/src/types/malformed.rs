//! Why a path, a query or a header is refused.

use std::fmt;

/// Why a path, query or header is not of its form (code 5, `EMalformedRequest`).
///
/// Positions are byte offsets, counted from 0, into what was given. At most 64 bytes of the input
/// are ever repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The path has more than [`MAX_PATH_BYTES`] bytes.
    #[error("the path has {len} bytes, at most {MAX_PATH_BYTES} are allowed")]
    PathTooLong {
        /// Its length.
        len: usize,
    },
    /// The path is empty or does not begin with a slash.
    #[error("the path does not start with \"/\"")]
    PathStart,
    /// A byte stands in the path that has to be escaped, or may not occur at all.
    #[error("the path has {byte} at byte {at}, which may not stand there as it is")]
    PathByte {
        /// Where it stands.
        at: usize,
        /// Which it is.
        byte: ByteName,
    },
    /// A `%` in the path is not followed by two hex digits (upper-case ones in the canonical form).
    #[error("the path has a \"%\" at byte {at} that is not followed by two upper-case hex digits")]
    PathEscape {
        /// Where its `%` stands.
        at: usize,
    },
    /// An escape in the path stands for a byte that is never escaped.
    #[error("the path escapes {byte} at byte {at}, which is never escaped")]
    PathEscapedByte {
        /// Where its `%` stands.
        at: usize,
        /// The byte it stands for.
        byte: ByteName,
    },
    /// A segment of the path is empty, `.` or `..`.
    #[error("the path has an empty, \".\" or \"..\" segment at byte {at}")]
    PathSegment {
        /// Where the segment begins.
        at: usize,
    },
    /// A segment of the path does not decode to UTF-8.
    #[error("the segment at byte {at} of the path does not decode to UTF-8")]
    PathUtf8 {
        /// Where the segment begins.
        at: usize,
    },
    /// The legacy `/watch/` prefix with another method than `GET`.
    #[error("the path has the legacy \"watch\" prefix, which takes GET only")]
    LegacyWatchMethod,
    /// The legacy `/proxy/` prefix, which Kubernetes no longer serves.
    #[error("the path has the legacy \"proxy\" prefix, use the proxy subresource")]
    LegacyProxy,
    /// The legacy `/watch/` or `/proxy/` prefix with nothing after it.
    #[error("the path ends after a legacy \"watch\" or \"proxy\" prefix")]
    LegacyPrefixAlone,
    /// The query has more than [`MAX_QUERY_BYTES`] bytes.
    #[error("the query has {len} bytes, at most {MAX_QUERY_BYTES} are allowed")]
    QueryTooLong {
        /// Its length.
        len: usize,
    },
    /// A byte stands in the query that has to be escaped.
    #[error("the query has {byte} at byte {at}, which has to be escaped")]
    QueryByte {
        /// Where it stands.
        at: usize,
        /// Which it is.
        byte: ByteName,
    },
    /// A `%` in the query is not followed by two hex digits (upper-case ones in the canonical form).
    #[error("the query has a \"%\" at byte {at} that is not followed by two upper-case hex digits")]
    QueryEscape {
        /// Where its `%` stands.
        at: usize,
    },
    /// `watch` or `fieldSelector` stands in the query more than once.
    #[error("the query has {parameter:?} more than once")]
    QueryRepeated {
        /// Which of them.
        parameter: &'static str,
    },
    /// The query is given by its hash, but the target is none of `exec`, `attach`, `portforward`
    /// and `proxy`.
    #[error("only exec, attach, portforward and proxy may keep their query as a hash")]
    QueryHashed,
    /// A header that is not passed on.
    #[error(
        "header {name:?} is none of accept, content-type, if-match, if-none-match, user-agent (in lower case)"
    )]
    HeaderName {
        /// The first 64 bytes of its name.
        name: String,
    },
    /// A header that repeats or should stand before the one before it.
    #[error("header {name:?} repeats or is not in order of names")]
    HeaderOrder {
        /// Its name.
        name: &'static str,
    },
    /// A header's value has a byte other than space and visible ASCII.
    #[error("the value of header {name:?} has {byte} at byte {at}")]
    HeaderValue {
        /// The header's name.
        name: &'static str,
        /// Where the byte stands in the value.
        at: usize,
        /// Which it is.
        byte: ByteName,
    },
    /// Names and values of all headers have more than [`MAX_HEADER_BYTES`] bytes together.
    #[error("the headers have more than {MAX_HEADER_BYTES} bytes together")]
    HeadersTooLong,
}

/// A byte as error messages name it: visible ASCII in quotes, everything else in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteName(
    /// The byte.
    pub u8,
);

impl fmt::Display for ByteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'"' => f.write_str("'\"'"),
            byte @ 0x21..=0x7e => write!(f, "\"{}\"", char::from(byte)),
            byte => write!(f, "byte 0x{byte:02X}"),
        }
    }
}

/// The longest path, in bytes: what a Kubernetes path of three 253-byte names needs, with room.
pub const MAX_PATH_BYTES: usize = 1_024;

/// The longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 8_192;

/// The most bytes that names and values of all headers have together.
pub const MAX_HEADER_BYTES: usize = 2_048;

/// The most bytes of input that an error repeats.
pub(super) const MAX_ECHO_BYTES: usize = 64;
