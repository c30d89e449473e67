//! `daas config`.

use anyhow::Context as _;
use k3s_daas::crypto::{read_private, write_private};

use crate::app::App;
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::settings::{self, Flags, Key, Settings};
use crate::small_file;

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
    /// Set something in the settings file.
    #[command(after_help = "\
The file is changed only if the value has the form of its setting; its comments are not kept. Services read it when \
they start and upon SIGHUP, which says of each setting whether it counts at once (`change` in `daas config show -o \
json`). What flags or variables say counts more.

Examples:
  daas config set keys.gateway keys/gateway-2.key
  daas config set gateway.max_connections 4096")]
    Set {
        /// Its name, as `daas config show` has it.
        #[arg(value_parser = key)]
        key: Key,
        /// Its value; a path is relative to the file.
        value: String,
    },
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the settings.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::Show(output) => {
            let app = App::new(global, *output, Flags::new())?;
            Ok(app.printer.list(&app.settings.entries())?)
        }
        Command::Set { key, value } => {
            let app = App::new(global, Output::default(), Flags::new())?;
            set(&app, *key, value)
        }
    }
}

fn set(app: &App, key: Key, value: &str) -> anyhow::Result<()> {
    let file = app.settings.file();
    let beside = file.parent().context("a settings file is in a directory")?;
    // Tried beside it first, where paths mean the same.
    let trial = tempfile::Builder::new()
        .prefix(".daas-")
        .tempfile_in(beside)
        .with_context(|| format!("cannot write in {}", beside.display()))?;
    match small_file::read(file) {
        Ok(text) => write_private(trial.path(), &text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", file.display()));
        }
    }
    let typed = match (value.parse::<i64>(), value.parse::<bool>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(is)) => is.into(),
        _ => value.into(),
    };
    settings::update(trial.path(), &[(key, typed)])?;
    if let Err(error) = Settings::load_from(Some(trial.path()), Flags::new(), |_| None) {
        let text = error
            .to_string()
            .replace(&*trial.path().to_string_lossy(), &file.to_string_lossy());
        return Err(Failure::new(Exit::Settings, text)
            .with_next("give a value of its form; nothing was changed")
            .into());
    }
    write_private(file, &read_private(trial.path())?)?;
    app.printer
        .note(&format!("`{}` in {} is set", key.name(), file.display()));
    Ok(())
}

/// A setting by its name.
fn key(name: &str) -> Result<Key, String> {
    if let Some(key) = Key::ALL.iter().find(|key| key.name() == name) {
        return Ok(*key);
    }
    let score = |key: &&Key| strsim::jaro_winkler(key.name(), name);
    let nearest = Key::ALL
        .iter()
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .filter(|key| score(key) > 0.8);
    let hint = nearest.map_or_else(String::new, |key| {
        format!("; did you mean `{}`?", key.name())
    });
    Err(format!("there is no such setting{hint}"))
}
