//! `daas completion`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::printer::Printer;

/// What to complete for.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  daas completion bash > /etc/bash_completion.d/daas
  source <(daas completion zsh)")]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "daas", &mut script);
    Ok(Printer::new(crate::printer::Format::Table).raw(&script)?)
}
