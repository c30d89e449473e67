//! The commands, a file each.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::exit::{Exit, Failure};

pub mod audit;
pub mod authority;
pub mod backup;
pub mod cluster;
pub mod completion;
pub mod config;
pub mod credential;
pub mod demo;
pub mod dev;
pub mod doctor;
pub mod events;
pub mod executor;
pub mod gateway;
pub mod key;
pub mod kubeconfig;
pub mod ledger;
pub mod man;
pub mod memory_cluster;
pub mod nautilus;
pub mod request;
pub mod session;
pub mod token;
pub mod top;

/// What a file holds, or standard input if it is `-`; at most 16 MiB.
fn read_input(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_INPUT + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file)
            .and_then(|opened| opened.take(MAX_INPUT + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        match error.kind() {
            ErrorKind::NotFound => Failure::new(Exit::NotFound, message).into(),
            // It names what can never be read.
            ErrorKind::IsADirectory => Failure::new(Exit::Usage, message).into(),
            _ => anyhow::Error::msg(message),
        }
    })?;
    anyhow::ensure!(
        bytes.len() as u64 <= MAX_INPUT,
        "{} is longer than 16 MiB",
        file.display()
    );
    Ok(bytes)
}

const MAX_INPUT: u64 = 16 << 20;
