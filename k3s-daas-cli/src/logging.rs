//! The subscriber: what the services log, on standard error.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload;

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
    let filter = prepare(filter)?;
    let builder = tracing_subscriber::fmt()
        // It would say so where it could not write either, and panic if that fails too.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // Only the first subscriber of a process counts; tests in one process may start several.
    if json {
        let builder = builder
            .json()
            .with_env_filter(filter)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        if builder.try_init().is_ok() {
            let _ = FILTER.set(Box::new(move |filter| handle.reload(filter)));
        }
    } else {
        let builder = builder
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .with_env_filter(filter)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        if builder.try_init().is_ok() {
            let _ = FILTER.set(Box::new(move |filter| handle.reload(filter)));
        }
    }
    Ok(())
}

/// A filter that can take the place of the one in force.
///
/// # Errors
/// If it is none.
pub fn prepare(filter: &str) -> anyhow::Result<EnvFilter> {
    // What it says of a failed request is in that request's error, which is told once.
    let whole = match filter.contains("kube") {
        true => filter.to_owned(),
        false => format!("{filter},kube_client::client::builder=off"),
    };
    EnvFilter::try_new(whole)
        .with_context(|| format!("`{filter}` is no log filter, such as `info` or `k3s_daas=debug`"))
}

/// Logs what `filter` lets through from now on.
pub fn change(filter: EnvFilter) {
    if let Some(change) = FILTER.get()
        && let Err(error) = change(filter)
    {
        tracing::warn!(%error, "the log's filter was not changed");
    }
}

type Change = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

static FILTER: OnceLock<Box<Change>> = OnceLock::new();
