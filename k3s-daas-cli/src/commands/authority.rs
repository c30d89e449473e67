//! `daas authority`: another certificate authority for the gateway, with a time in which both are trusted.
//!
//! `gateway/ca.crt` is what clients are given to trust. Its first certificate goes with `gateway/ca.key` and signs;
//! the others are trusted beside it. The authority that comes waits in `gateway/next/`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use k3s_daas::crypto::{read_private, sha256, write_private};
use k3s_daas::gateway::Tls;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;

use crate::app::App;
use crate::args::{Global, Output};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::printer::Show;
use crate::session;
use crate::settings::{Flags, Key, Origin};
use crate::units::Moment;

/// What to do with the gateway's own authority.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Show which authorities clients are given to trust, and which one signs.
    #[command(after_help = "Examples:\n  daas authority show\n  daas authority show -o json")]
    Show {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Make the next authority, which is trusted beside the one that signs.
    #[command(after_help = "\
The first of three steps. `daas kubeconfig` gives both from now on; the gateway still shows certificates of the old \
one. When every client has its kubeconfig anew, `daas authority switch`.

Examples:
  daas authority begin")]
    Begin {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Have the next authority sign; the one before is still trusted.
    #[command(after_help = "\
The second step: restart the gateway, which then shows a certificate of the new authority. Clients whose kubeconfig \
is older than `daas authority begin` refuse it. The old authority's key is removed.

Examples:
  daas authority switch")]
    Switch {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Trust the old authority no more.
    #[command(after_help = "\
The last step: `daas kubeconfig` gives the new one alone. The gateway is asked first whether it shows a certificate of \
that.

Examples:
  daas authority end
  daas authority end --force")]
    End {
        /// Do not ask the gateway.
        #[arg(long)]
        force: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// Runs the command.
///
/// # Errors
/// [`Exit::Refused`] if it is another step's turn, [`Exit::Unavailable`] if the gateway does not show the new
/// authority's certificate, [`Exit::Settings`] if its certificate was given to it.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    let (Command::Show { output }
    | Command::Begin { output }
    | Command::Switch { output }
    | Command::End { output, .. }) = command;
    let app = App::new(global, *output, Flags::new())?;
    let files = Files::of(&app)?;
    match command {
        Command::Show { .. } => {}
        Command::Begin { .. } => files.begin()?,
        Command::Switch { .. } => files.switch()?,
        Command::End { force, .. } => {
            let new = files.ended()?;
            if !force {
                app.block_on(check_shown(&app, &new))?;
            }
            write_private(&files.trusted, new.as_bytes())?;
        }
    }
    app.printer.list(&files.shown()?)?;
    let next = match command {
        Command::Show { .. } => return Ok(()),
        Command::Begin { .. } => {
            "have every client write its kubeconfig anew (`daas kubeconfig`), then run `daas authority switch`"
        }
        Command::Switch { .. } => {
            "restart daas-gateway; when no client is left that trusts the old one alone, run `daas authority end`"
        }
        Command::End { .. } => "`daas kubeconfig` gives the new authority alone from now on",
    };
    app.printer.note(next);
    Ok(())
}

/// Where the authority is, and the next one.
struct Files {
    trusted: PathBuf,
    key: PathBuf,
    next: PathBuf,
}

impl Files {
    fn of(app: &App) -> anyhow::Result<Self> {
        if let Some(given) = app.settings.path(Key::GatewayCertificate) {
            let message = format!(
                "the gateway's certificate is given to it in {}, by an authority that is not the gateway's own",
                given.display()
            );
            return Err(Failure::new(Exit::Settings, message)
                .with_next(
                    "put the new authority's certificate into the file of `gateway.ca` beside the old one, as \
                     docs/operating.md does",
                )
                .into());
        }
        let directory = app.layout().gateway();
        let trusted = directory.join("ca.crt");
        let named = app.settings.path(Key::GatewayCa);
        if app.settings.origin(Key::GatewayCa) != Some(&Origin::Default)
            && named.as_ref() != Some(&trusted)
        {
            let named = named.unwrap_or_default();
            let message = format!(
                "`gateway.ca` names {}, so clients are not given {}",
                named.display(),
                trusted.display()
            );
            return Err(Failure::new(Exit::Settings, message)
                .with_next("take `gateway.ca` out of the settings, and run it again")
                .into());
        }
        if !trusted.exists() {
            let message = format!("there is no authority in {}", directory.display());
            return Err(Failure::new(Exit::NotFound, message)
                .with_next("start daas-gateway, which makes one, or name the directory with --dir")
                .into());
        }
        Ok(Self {
            trusted,
            key: directory.join("ca.key"),
            next: directory.join("next"),
        })
    }

    fn begin(&self) -> anyhow::Result<()> {
        let now = blocks_in(&self.trusted)?;
        let is_new = !self.next.exists();
        if is_new && now.len() > 1 {
            return Err(turn(
                "an earlier rotation has not ended: two authorities are trusted",
                "`daas authority end` ends it",
            ));
        }
        // A key and a certificate, by the same code that makes the first ones.
        Tls::own_ca(&self.next, &["localhost".to_owned()])
            .context("cannot make the next authority")?;
        let next = self.next_block()?;
        if now.contains(&next) {
            return Err(turn(
                "the next authority is made and trusted already",
                "`daas authority switch` has it sign",
            ));
        }
        Ok(write_private(
            &self.trusted,
            (now.concat() + &next).as_bytes(),
        )?)
    }

    fn switch(&self) -> anyhow::Result<()> {
        if !self.next.exists() {
            return Err(turn(
                "there is no next authority",
                "`daas authority begin` makes one",
            ));
        }
        let (now, next) = (blocks_in(&self.trusted)?, self.next_block()?);
        if !now.contains(&next) {
            return Err(turn(
                "the next authority is not trusted yet",
                "run `daas authority begin` again, to its end",
            ));
        }
        let key = read_private(&self.next.join("ca.key"))?;
        let others = now.into_iter().filter(|block| *block != next);
        let text: String = std::iter::once(next.clone()).chain(others).collect();
        // Between the two a gateway that starts says that they do not go together; doing it again ends it.
        write_private(&self.trusted, text.as_bytes())?;
        write_private(&self.key, &key)?;
        std::fs::remove_dir_all(&self.next)
            .with_context(|| format!("cannot remove {}", self.next.display()))
    }

    /// What is trusted in the end.
    fn ended(&self) -> anyhow::Result<String> {
        if self.next.exists() {
            return Err(turn(
                "the next authority does not sign yet",
                "`daas authority switch` has it do so",
            ));
        }
        let mut now = blocks_in(&self.trusted)?;
        if now.len() == 1 {
            return Err(turn(
                "only one authority is trusted",
                "nothing is left to do; `daas authority begin` begins another rotation",
            ));
        }
        Ok(now.swap_remove(0))
    }

    fn next_block(&self) -> anyhow::Result<String> {
        Ok(blocks_in(&self.next.join("ca.crt"))?.swap_remove(0))
    }

    fn shown(&self) -> anyhow::Result<Vec<Shown>> {
        let next = match self.next.exists() {
            true => Some(self.next_block()?),
            false => None,
        };
        let blocks = blocks_in(&self.trusted)?;
        let shown = blocks.iter().enumerate().map(|(index, block)| {
            let state = match index {
                0 => "signs",
                _ if next.as_ref() == Some(block) => "next",
                _ => "trusted",
            };
            Shown::of(block, state)
        });
        shown.collect()
    }
}

/// Asks the gateway for anything, trusting this authority alone.
async fn check_shown(app: &App, authority: &str) -> anyhow::Result<()> {
    let server = session::server(&app.settings);
    let client = Client::new(&server, Some(authority.as_bytes()))?;
    let begun = Instant::now();
    let error = loop {
        let answer = client.send(Method::GET, "/livez", &[], Bytes::new()).await;
        let Err(error) = answer else { return Ok(()) };
        // Of one that was restarted just now nobody knows yet which it shows.
        let is_shown = format!("{error:#}").contains("certificate");
        if is_shown || begun.elapsed() >= PATIENCE {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let message = format!("the gateway shows no certificate of the new authority: {error:#}");
    Err(Failure::new(Exit::Unavailable, message)
        .with_next(
            "restart daas-gateway and run it again; or give --force if it is known to show one",
        )
        .into())
}

/// The certificates of a file, PEM, one by one; at least one.
fn blocks_in(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = read_private(file)?;
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let mut blocks = Vec::new();
    for part in text.split_inclusive(END) {
        if let Some(begin) = part.find(BEGIN) {
            blocks.push(format!("{}\n", &part[begin..]));
        }
    }
    if blocks.is_empty() {
        let message = format!("{} has no certificate", file.display());
        return Err(Failure::new(Exit::Key, message)
            .with_next("restore it from a copy")
            .into());
    }
    Ok(blocks)
}

fn turn(message: &str, next: &str) -> anyhow::Error {
    Failure::new(Exit::Refused, message).with_next(next).into()
}

/// An authority that clients are given to trust.
#[derive(Serialize)]
struct Shown {
    state: &'static str,
    subject: String,
    ends_at_ms: u64,
    sha256: String,
}

impl Shown {
    fn of(block: &str, state: &'static str) -> anyhow::Result<Self> {
        let der = CertificateDer::from_pem_slice(block.as_bytes())
            .context("the authority's certificate is no PEM")?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der)
            .context("the authority's certificate cannot be read")?;
        let ends = parsed.validity().not_after.timestamp();
        Ok(Self {
            state,
            subject: parsed.subject().to_string(),
            ends_at_ms: u64::try_from(ends)
                .unwrap_or_default()
                .saturating_mul(1_000),
            sha256: hex::encode(sha256(&[&der])),
        })
    }
}

impl Show for Shown {
    const KIND: &'static str = "authority";
    const COLUMNS: &'static [&'static str] = &["STATE", "SUBJECT", "ENDS", "SHA-256"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.state.to_owned(),
            self.subject.clone(),
            Moment(self.ends_at_ms).to_string(),
            self.sha256.clone(),
        ]
    }

    fn name(&self) -> String {
        self.sha256.clone()
    }
}

/// How long a gateway may take to start.
const PATIENCE: Duration = Duration::from_secs(10);
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
