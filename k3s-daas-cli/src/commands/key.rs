//! `daas key`.

mod blob;

use std::path::{Path, PathBuf};

use k3s_daas::crypto::keystore::{KdfCost, KeyFile};
use k3s_daas::crypto::{Ed25519Signer, PublicKey};
use k3s_daas::types::Address;
use serde::Serialize;

use crate::app::App;
use crate::args::{Global, Output};
use crate::exit::{Advise as _, Exit, Failure};
use crate::layout::create_private_dir;
use crate::printer::Show;
use crate::settings::Flags;

/// What to do with key files.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Make a key, encrypted under a passphrase.
    #[command(after_help = "\
The passphrase is asked for on the terminal, or comes from --passphrase-file or --passphrase-fd. Keys \
are Ed25519, files have mode 0600; an existing file is never replaced.

Examples:
  daas key new ~/.local/share/k3s-daas/keys/owner.key --comment 'owner of the shop token'
  daas key new owner.key --passphrase-fd 3 3<<<\"$PASSPHRASE\"")]
    New {
        /// Where to.
        file: PathBuf,
        /// What the key is for; anybody who has the file can read it.
        #[arg(long, default_value = "")]
        comment: String,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Replace the key of bodies at rest, which end with it; gateway and Nautilus must have stopped.
    RotateBlob(blob::RotateBlob),
    /// Show public key and address of a key file, without unlocking it.
    #[command(
        after_help = "Examples:\n  daas key show owner.key\n  daas key show owner.key -o name"
    )]
    Show {
        /// Which.
        file: PathBuf,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the file.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::New {
            file,
            comment,
            output,
        } => {
            let app = App::new(global, *output, Flags::new())?;
            if let Some(parent) = file
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                create_private_dir(parent)?;
            }
            let passphrase = app.new_passphrase()?;
            let signer = Ed25519Signer::generate();
            KeyFile::encrypt(&signer, comment, &passphrase, KdfCost::DEFAULT)?
                .create(file)
                .advise("no key was made", "name another file")?;
            Ok(app.printer.object(&Shown::of(file, signer.public_key()))?)
        }
        Command::RotateBlob(args) => blob::run(args, global),
        Command::Show { file, output } => {
            let app = App::new(global, *output, Flags::new())?;
            if !file.exists() {
                let file = file.display();
                return Err(Failure::new(Exit::Key, format!("there is no file {file}"))
                    .with_next(format!(
                        "look for it elsewhere, or make a key with `daas key new {file}`"
                    ))
                    .into());
            }
            let key = app.public_key_in(file, "named")?;
            Ok(app.printer.object(&Shown::of(file, key))?)
        }
    }
}

#[derive(Serialize)]
struct Shown {
    file: PathBuf,
    address: Address,
    public_key: PublicKey,
}

impl Shown {
    fn of(file: &Path, public_key: PublicKey) -> Self {
        Self {
            file: file.to_owned(),
            address: public_key.address(),
            public_key,
        }
    }
}

impl Show for Shown {
    const KIND: &'static str = "key";
    const COLUMNS: &'static [&'static str] = &["FILE", "ADDRESS", "PUBLIC KEY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.file.display().to_string(),
            self.address.to_string(),
            self.public_key.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}
