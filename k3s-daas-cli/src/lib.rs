//! What the binaries `daas`, `daas-gateway` and `daas-nautilus` do.

pub mod app;
pub mod args;
pub mod binding;
pub mod client;
pub mod commands;
pub mod env_vars;
pub mod exit;
pub mod journal;
pub mod keys;
pub mod layout;
pub mod logging;
pub mod names;
pub mod printer;
pub mod provision;
pub mod running;
pub mod services;
pub mod session;
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

/// Runs `daas-gateway`.
#[must_use]
pub fn gateway() -> ExitCode {
    finish(commands::gateway::run(&commands::gateway::Cli::parse()))
}

/// Runs `daas-nautilus`.
#[must_use]
pub fn nautilus() -> ExitCode {
    finish(commands::nautilus::run(&commands::nautilus::Cli::parse()))
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo(args) => commands::demo::run(args, global),
        Command::Dev(args) => commands::dev::run(args, global),
        Command::Token(command) => commands::token::run(command, global),
        Command::Cluster(command) => commands::cluster::run(command, global),
        Command::Executor(command) => commands::executor::run(command, global),
        Command::Request(args) => commands::request::run(args, global),
        Command::Events(args) => commands::events::run(args, global),
        Command::Audit(command) => commands::audit::run(command, global),
        Command::Kubeconfig(args) => commands::kubeconfig::run(args, global),
        Command::Config(command) => commands::config::run(command, global),
        Command::Key(command) => commands::key::run(command, global),
        Command::Login(args) => commands::session::login(args, global),
        Command::Logout(args) => commands::session::logout(args, global),
        Command::Whoami(args) => commands::session::whoami(args, global),
        Command::Credential(args) => commands::credential::run(args, global),
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
