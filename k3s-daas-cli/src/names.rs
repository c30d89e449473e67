//! What `-o name` prints, `token/0x70ce…`, taken back wherever an ID is.

use std::fmt::Display;
use std::str::FromStr;

use k3s_daas::ledger::Cursor;
use k3s_daas::types::{Address, ClusterId, ExecutorId, RequestId, TokenId};

/// Something whose ID is also written as `kind/ID`.
pub trait Named: FromStr<Err: Display> {
    /// What [`crate::printer::Show::KIND`] says of it.
    const KIND: &'static str;
}

impl Named for TokenId {
    const KIND: &'static str = "token";
}

impl Named for ClusterId {
    const KIND: &'static str = "cluster";
}

impl Named for ExecutorId {
    const KIND: &'static str = "executor";
}

impl Named for RequestId {
    const KIND: &'static str = "request";
}

impl Named for Cursor {
    const KIND: &'static str = "event";
}

/// An address is named by the key that it is of.
impl Named for Address {
    const KIND: &'static str = "key";
}

/// The ID in `text`, with or without its kind before it; for clap's `value_parser`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse<T: Named>(text: &str) -> Result<T, String> {
    strip(T::KIND, text)?
        .parse()
        .map_err(|error: T::Err| error.to_string())
}

/// `text` without `kind/`.
///
/// # Errors
/// If it names something of another kind.
pub fn strip<'a>(kind: &str, text: &'a str) -> Result<&'a str, String> {
    match text.split_once('/') {
        Some((given, id)) if given == kind => Ok(id),
        // Anything else with a slash is for the parser to complain of.
        Some((given, _)) if KINDS.contains(&given) => {
            Err(format!("`{text}` is neither {kind}/ID nor an ID alone"))
        }
        _ => Ok(text),
    }
}

const KINDS: [&str; 6] = [
    TokenId::KIND,
    ClusterId::KIND,
    ExecutorId::KIND,
    RequestId::KIND,
    Cursor::KIND,
    Address::KIND,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bare_ids_are_the_same() {
        let id = parse::<TokenId>("0x7");
        assert!(id.is_ok());
        assert_eq!(parse::<TokenId>("token/0x7"), id);
    }

    #[test]
    fn what_names_something_else_is_refused() {
        for (text, says) in [
            ("executor/0x7", "neither token/ID nor"),
            ("token/token/0x7", "0x"),
            ("token/", "0x"),
            ("tokens/0x7", "0x"),
            ("token", "0x"),
        ] {
            let said = parse::<TokenId>(text).err().unwrap_or_default();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
