//! `daas config`.

use crate::app::App;
use crate::args::{Global, Output};
use crate::settings::Flags;

/// What to do with the settings.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Show every setting, its value, and where that is from.
    #[command(after_help = "\
The names are those in the settings file (TOML), tables joined by dots; -o json also shows the \
variable of each, what it is for, and whether a change of it counts upon a reload (SIGHUP), a restart, or for \
the next command.

Examples:
  daas config show
  daas --config ./daas.toml config show -o json")]
    Show(#[command(flatten)] Output),
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the settings.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    let Command::Show(output) = command;
    let app = App::new(global, *output, Flags::new())?;
    Ok(app.printer.list(&app.settings.entries())?)
}
