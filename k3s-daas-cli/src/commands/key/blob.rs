//! `daas key rotate-blob`: another key for bodies at rest.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k3s_daas::blob::MemoryBlobStore;
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::executor::{Error as Upstream, FnExecutor};
use k3s_daas::ledger::LedgerExt as _;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::nautilus::{self, Nautilus};
use k3s_daas::types::ExecutorId;
use serde::Serialize;

use crate::app::App;
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::journal;
use crate::printer::Show;
use crate::services;
use crate::settings::{Flags, Key};

/// How to print.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Bodies under the old key end with it: they are removed. So gateway and Nautilus must have stopped, and no request may \
wait for its answer; stop the gateway first, and Nautilus when it has answered. What is lost are answers for those \
who ask again under the same request ID: they get 410, and nothing is executed twice. What was killed half way is \
finished by running it again.

Examples:
  daas key rotate-blob
  daas key rotate-blob -o json")]
pub struct RotateBlob {
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Removes bodies and key, and makes a new key.
///
/// # Errors
/// [`Exit::Unavailable`] if a service runs, [`Exit::Refused`] if a request waits; nothing is changed then.
pub(super) fn run(args: &RotateBlob, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    app.block_on(async {
        let ledger = app.reader().await?;
        check_gateway(&app)?;
        check_nautilus(&app, &ledger)?;
        check_answered(&ledger)?;
        let layout = app.layout();
        let old = layout.root().join("blobs.old");
        if layout.blobs().exists() {
            remove(&old)?;
            fs::rename(layout.blobs(), &old)
                .with_context(|| format!("cannot move {}", layout.blobs().display()))?;
        }
        match fs::remove_file(layout.blob_key()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove {}", layout.blob_key().display()));
            }
            _ => {}
        }
        // The first to open it makes the key.
        drop(services::blobs(&layout)?);
        remove(&old)?;
        Ok(app.printer.object(&Rotated {
            key_file: layout.blob_key(),
            blobs: layout.blobs(),
        })?)
    })
}

/// Refuses while something listens where the gateway would: it would go on sealing under the old key.
fn check_gateway(app: &App) -> anyhow::Result<()> {
    let Some(listen) = app.settings.value(Key::GatewayListen) else {
        return Ok(());
    };
    let address = services::reachable(listen);
    if TcpStream::connect_timeout(&address, PATIENCE).is_err() {
        return Ok(());
    }
    let message = format!("the gateway runs: something answers at {address}");
    Err(Failure::new(Exit::Unavailable, message)
        .with_next("stop daas-gateway, then daas-nautilus, and run it again")
        .into())
}

/// Refuses while a Nautilus has its journal open.
fn check_nautilus(app: &App, ledger: &LocalLedger) -> anyhow::Result<()> {
    let Some(executor) = app.settings.value::<ExecutorId>(Key::Executor) else {
        return Ok(());
    };
    let config = app.settings.nautilus(&app.layout())?;
    if !config.journal.exists() {
        return Ok(());
    }
    let nowhere = FnExecutor::new(|_| async {
        Err(Upstream::NotSent {
            reason: "nothing is executed".to_owned(),
        })
    });
    // Only opened, which one process at a time can.
    let opened = Nautilus::builder(
        Arc::new(ledger.clone()),
        Arc::new(nowhere),
        Arc::new(MemoryBlobStore::default()),
        Arc::new(Ed25519Signer::generate()),
        executor,
    );
    match opened.with_config(config).build() {
        Ok(_) => Ok(()),
        Err(nautilus::Error::Journal(nautilus::JournalError::InUse)) => {
            Err(Failure::new(Exit::Unavailable, "daas-nautilus runs")
                .with_next("stop it when it has answered what waits, and run it again")
                .into())
        }
        Err(error) => Err(journal::explained(error)),
    }
}

/// Refuses while a body may still be asked for.
fn check_answered(ledger: &LocalLedger) -> anyhow::Result<()> {
    let waiting = ledger.view(|now| {
        let requests = now.state.all_requests();
        let waiting = requests.filter(|(_, _, request)| {
            request.outcome.is_none() && now.now_ms < request.deadline_ms
        });
        waiting.count()
    });
    if waiting == 0 {
        return Ok(());
    }
    let message =
        format!("{waiting} requests wait for their answer, and their bodies are under the old key");
    Err(Failure::new(Exit::Refused, message)
        .with_next("start daas-nautilus, which answers them, stop it again, and run it again")
        .into())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// What is new.
#[derive(Serialize)]
struct Rotated {
    key_file: PathBuf,
    blobs: PathBuf,
}

impl Show for Rotated {
    const KIND: &'static str = "key";
    const COLUMNS: &'static [&'static str] = &["KEY FILE", "BLOBS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.key_file.display().to_string(),
            self.blobs.display().to_string(),
        ]
    }

    fn name(&self) -> String {
        self.key_file.display().to_string()
    }
}

const PATIENCE: Duration = Duration::from_secs(2);
