//! The subscriber: what the services log, on standard error.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Whether `filter` is one.
///
/// # Errors
/// What is wrong with it.
pub fn check(filter: &str) -> Result<(), String> {
    // The parser takes any single word for a crate, and a mistyped level would silence everything.
    let words = filter.split(',').map(str::trim);
    let mut bare = words.filter(|word| !word.is_empty() && !word.contains(['=', '[', ':', '_']));
    if let Some(word) = bare.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!(
            "`{word}` is no level (off, error, warn, info, debug, trace); of one crate it is {word}=debug"
        ));
    }
    EnvFilter::try_new(filter).map(drop).map_err(|error| {
        format!("`{filter}` is no log filter, such as `info` or `k3s_daas=debug`: {error}")
    })
}

/// What commands log unless told otherwise: their own warnings. What a client library has to say of a failed
/// request is in the error already.
pub const OF_COMMANDS: &str = "warn,kube=off,tower=off,hyper=off";

/// Begins to log what `filter` lets through; `json` for machines.
///
/// # Errors
/// If the filter is none.
pub fn start(filter: &str, json: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("`{filter}` is no log filter, such as `info` or `k3s_daas=debug`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would say so where it could not write either, and panic if that fails too.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // Only the first subscriber of a process counts; tests in one process may start several.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .try_init()
    };
    Ok(())
}
