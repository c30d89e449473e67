//! The subscriber: what the services log, on standard error.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

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
