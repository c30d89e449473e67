//! The commands, a file each.

use std::io::ErrorKind;
use std::path::Path;

use crate::exit::{Exit, Failure};
use crate::small_file;

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
    let read = if file == Path::new("-") {
        small_file::read_from(std::io::stdin().lock())
    } else {
        small_file::read(file)
    };
    read.map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        match error.kind() {
            ErrorKind::NotFound => Failure::new(Exit::NotFound, message).into(),
            // It names what can never be read.
            ErrorKind::IsADirectory => Failure::new(Exit::Usage, message).into(),
            _ => anyhow::Error::msg(message),
        }
    })
}
