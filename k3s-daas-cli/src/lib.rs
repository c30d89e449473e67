//! What the binaries `daas`, `daas-gateway` and `daas-nautilus` do.

pub mod app;
pub mod args;
pub mod binding;
pub mod client;
pub mod commands;
pub mod descriptors;
pub mod env_vars;
pub mod exit;
pub mod journal;
pub mod keys;
pub mod layout;
pub mod logging;
pub mod measures;
pub mod names;
pub mod otlp;
pub mod printer;
pub mod provision;
pub mod reload;
pub mod running;
pub mod services;
pub mod session;
pub mod settings;
pub mod small_file;
pub mod units;
pub mod versions;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use exit::Exit;
use printer::{Format, Printer};

/// Gives back what large answers took, which glibc's allocator keeps for as long as the process lives.
/// How is in `.cargo/config.toml`.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs `daas`.
#[must_use]
pub fn daas() -> ExitCode {
    let cli = Cli::parse();
    finish(begin().and_then(|()| run(&cli)))
}

/// Runs `daas-gateway`.
#[must_use]
pub fn gateway() -> ExitCode {
    let cli = commands::gateway::Cli::parse();
    finish(begin().and_then(|()| commands::gateway::run(&cli)))
}

/// Runs `daas-nautilus`.
#[must_use]
pub fn nautilus() -> ExitCode {
    let cli = commands::nautilus::Cli::parse();
    finish(begin().and_then(|()| commands::nautilus::run(&cli)))
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
        Command::Ledger(command) => commands::ledger::run(command, global),
        Command::Doctor(args) => commands::doctor::run(args, global),
        Command::Top(args) => commands::top::run(args, global),
        Command::Backup(args) => commands::backup::backup(args, global),
        Command::Restore(args) => commands::backup::restore(args, global),
        Command::Authority(command) => commands::authority::run(command, global),
        Command::Kubeconfig(args) => commands::kubeconfig::run(args, global),
        Command::Config(command) => commands::config::run(command, global),
        Command::Key(command) => commands::key::run(command, global),
        Command::Login(args) => commands::session::login(args, global),
        Command::Logout(args) => commands::session::logout(args, global),
        Command::Whoami(args) => commands::session::whoami(args, global),
        Command::Credential(args) => commands::credential::run(args, global),
        Command::MemoryCluster(args) => commands::memory_cluster::run(args, global),
        Command::Completion(args) => commands::completion::run(args),
        Command::Man(args) => commands::man::run(args),
    }
}

/// What comes before every command.
fn begin() -> anyhow::Result<()> {
    warn_of_variables();
    #[cfg(feature = "crash-points")]
    k3s_daas::crash::arm()?;
    Ok(())
}

/// A mistyped variable would silently leave the default in force.
fn warn_of_variables() {
    // kubectl would show it anew for each of its connections.
    if std::env::var_os(env_vars::KUBERNETES_EXEC_INFO).is_some() {
        return;
    }
    for (name, nearest) in env_vars::unknown() {
        let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
        Printer::new(Format::Table).note(&format!(
            "warning: the variable {name} is none of ours and counts for nothing{hint}"
        ));
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
