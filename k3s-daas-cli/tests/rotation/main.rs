//! Keys and authorities that are replaced while services run and clients write.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod authority;
mod document;
mod executor;
mod load;
mod tokens;

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use serde_json::Value;
use support::daas;

/// What a command prints as JSON.
#[track_caller]
fn json(dir: &Path, args: &[&str]) -> Value {
    let printed = daas(dir, &[args, &["-o", "json"]].concat()).ok();
    serde_json::from_str(&printed).unwrap()
}

/// A setting's value.
#[track_caller]
fn setting(dir: &Path, key: &str) -> String {
    let all = json(dir, &["config", "show"]);
    let mut all = all.as_array().unwrap().iter();
    let found = all.find(|entry| entry["key"] == key).unwrap();
    found["value"].as_str().unwrap().to_owned()
}

/// That a command is refused with this code, these words, and advice on what to do.
#[track_caller]
fn refused(dir: &Path, args: &[&str], code: i32, says: &str) {
    let run = daas(dir, args);
    assert_eq!(run.code, code, "{args:?}: {run:?}");
    assert!(run.err.contains(says), "{args:?}: {run:?}");
    // An error, and what to do about it.
    assert!(run.err.trim().lines().count() >= 2, "{args:?}: {run:?}");
}
