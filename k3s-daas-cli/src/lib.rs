//! What the binaries `daas`, `daas-gateway` and `daas-nautilus` do.

pub mod app;
pub mod args;
pub mod commands;
pub mod env_vars;
pub mod exit;
pub mod layout;
pub mod logging;
pub mod printer;
pub mod services;
pub mod settings;
pub mod units;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use exit::Exit;
use printer::{Format, Printer};

/// Runs `daas`.
#[must_use]
pub fn daas() -> ExitCode {
    let cli = Cli::parse();
    finish(run(&cli))
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let global = &cli.global;
    match &cli.command {
        Command::Config(command) => commands::config::run(command, global),
        Command::Key(command) => commands::key::run(command, global),
        Command::MemoryCluster(args) => commands::memory_cluster::run(args, global),
        Command::Completion(args) => commands::completion::run(args),
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            if exit != Exit::Ok {
                Printer::new(Format::Table).failure(&error);
            }
            exit.into()
        }
    }
}
