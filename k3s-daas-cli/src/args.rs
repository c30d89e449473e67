//! The command line of `daas`, and what its commands have in common.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use k3s_daas::types::TokenId;

use crate::commands;
use crate::exit;
use crate::names;
use crate::printer::Format;
use crate::settings::{Flags, Key};

/// Kubernetes whose every command is authorised, ordered and recorded on a ledger.
#[derive(Debug, Parser)]
#[command(
    name = "daas",
    version,
    propagate_version = true,
    infer_long_args = false,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = exit::HELP,
    after_long_help = LONG_HELP
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Settings file [env: DAAS_CONFIG] [default: daas.toml in the directory].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of ledger, keys and everything else [env: DAAS_DIR] [default: that of the settings
    /// file, else ~/.local/share/k3s-daas].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What is logged on standard error, such as `info` or `k3s_daas=debug` [env: DAAS_LOG]
    /// [default: info by daas-gateway and daas-nautilus, else warn].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILTER")]
    pub log: Option<String>,
    /// File whose first line is the passphrase of encrypted keys [env: DAAS_PASSPHRASE_FILE].
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// File descriptor whose first line is the passphrase of encrypted keys.
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "N",
        conflicts_with = "passphrase_file"
    )]
    pub passphrase_fd: Option<u32>,
}

impl Global {
    /// The settings that these flags set.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut flags = Flags::new();
        flags.extend(self.dir.as_ref().map(|dir| (Key::Dir, text(dir))));
        flags.extend(self.log.clone().map(|log| (Key::Log, log)));
        let file = self.passphrase_file.as_ref();
        flags.extend(file.map(|file| (Key::PassphraseFile, text(file))));
        flags
    }
}

/// How objects are printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

/// Which token a command is for.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct OfToken {
    /// Which token; that of the settings otherwise [env: DAAS_TOKEN].
    #[arg(long, value_name = "TOKEN", value_parser = names::parse::<TokenId>)]
    token: Option<TokenId>,
}

impl OfToken {
    /// The setting that the flag sets.
    #[must_use]
    pub fn flags(self) -> Flags {
        let token = self.token.map(|token| (Key::Token, token.to_string()));
        token.into_iter().collect()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Show the whole path in one process: granted, refused, recorded, verified.
    Demo(commands::demo::Args),
    /// Run everything on this machine and stay up, for kubectl.
    Dev(commands::dev::Args),
    /// Issue, inspect and change seal tokens.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas token list\n  daas token issue --role edit --namespace shop --for 30d --dry-run\n  daas token stake 1.5SUI"
    )]
    Token(commands::token::Command),
    /// Create a ledger with a cluster, or change the cluster's policy.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas cluster show\n  daas cluster set --help"
    )]
    Cluster(commands::cluster::Command),
    /// Register and inspect executors.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas executor list\n  daas executor rotate --help"
    )]
    Executor(commands::executor::Command),
    /// Make one request through the gateway, or see what became of one.
    Request(commands::request::Args),
    /// Print what the ledger recorded.
    Events(commands::events::Args),
    /// Verify what the ledger recorded.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas audit verify\n  daas audit reconcile --help"
    )]
    Audit(commands::audit::Command),
    /// Archive what the ledger recorded long ago.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas ledger archive ./archive --keep 30d --dry-run"
    )]
    Ledger(commands::ledger::Command),
    /// Look at everything that the services need, and say what to do about what is wrong.
    Doctor(commands::doctor::Args),
    /// Watch gateway, Nautilus and ledger at work.
    Top(commands::top::Args),
    /// Copy the ledger and what belongs to it, while services run.
    Backup(commands::backup::Backup),
    /// Make a directory of such a copy.
    Restore(commands::backup::Restore),
    /// Replace the gateway's own certificate authority, with a time in which both are trusted.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas authority show\n  daas authority begin"
    )]
    Authority(commands::authority::Command),
    /// Print a kubeconfig for the gateway, or merge it into kubectl's.
    Kubeconfig(commands::kubeconfig::Args),
    /// Show the settings and where each is from.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas config show\n  daas config set gateway.max_in_flight 512"
    )]
    Config(commands::config::Command),
    /// Make key files and show their addresses.
    #[command(
        subcommand,
        after_help = "Examples:\n  daas key new keys/owner.key\n  daas key show keys/owner.key"
    )]
    Key(commands::key::Command),
    /// Unlock the owner's key once and begin a session.
    Login(commands::session::Login),
    /// End the session, here and on the ledger.
    Logout(commands::session::Logout),
    /// Show as whom requests are made.
    Whoami(commands::session::Whoami),
    /// Print a credential for kubectl (client.authentication.k8s.io/v1).
    Credential(commands::credential::Args),
    /// Run a small Kubernetes API server.
    MemoryCluster(commands::memory_cluster::Args),
    /// Print the completion script of a shell.
    Completion(commands::completion::Args),
    /// Print the manual page, or write those of all commands.
    Man(commands::man::Args),
}

/// Where help shows what every command has, after what the command itself has.
const GLOBAL: &str = "Global Options";

const LONG_HELP: &str = "\
Settings come from flags, else from DAAS_* variables (DAAS_GATEWAY_DEADLINE for gateway.deadline), else from \
the settings file, else from defaults; \
`daas config show` tells which is from where.

Examples:
  daas demo                          see the whole path, from grant to verified trail
  daas dev                           run it and point kubectl at it
  daas token issue --role edit --namespace shop --dry-run
  daas audit verify

Exit codes:
  0  done
  1  something else went wrong
  2  the command line is not understood
  3  refused by the contract or by Kubernetes
  4  what was asked for is not there
  5  ledger, gateway or cluster cannot be reached or is in use now; try again
  6  the trail or the ledger is not what it should be
  7  the settings are wrong or incomplete
  8  a key is missing, locked, or not allowed here
  9  a directory or the contract is of another version than this program; nothing was changed";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn both_helps_have_the_same_exit_codes() {
        assert!(LONG_HELP.ends_with(exit::HELP));
    }
}
