//! `daas login`, `daas logout`, `daas whoami`.

use anyhow::Context as _;
use k3s_daas::contract::Call;
use k3s_daas::crypto::PublicKey;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{Address, ClusterId, HexBytes, TokenId};
use serde::Serialize;

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::printer::Show;
use crate::session::{self, Session};
use crate::settings::{Flags, Key};
use crate::units::{Moment, Span};

/// How to begin a session.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The owner's key is unlocked once, with the passphrase from the terminal, --passphrase-file or \
--passphrase-fd, to register a session key on the ledger; that key lies in the directory, mode 0600, and \
signs kubectl's credentials until it expires.

Examples:
  daas login
  daas login --for 1h --passphrase-file ~/.daas-passphrase")]
pub struct Login {
    /// For how long.
    #[arg(long = "for", value_name = "TIME", default_value = "8h")]
    span: Span,
    /// Which token; that of the settings otherwise.
    #[arg(long, value_name = "TOKEN", value_parser = names::parse::<TokenId>)]
    token: Option<TokenId>,
}

/// How to end it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Removing the key from the ledger needs the owner's key; with --local it only goes from this machine and \
ends by itself on the ledger.

Examples:
  daas logout
  daas logout --local")]
pub struct Logout {
    /// Only forget the key here.
    #[arg(long)]
    local: bool,
    /// Which token; that of the settings otherwise.
    #[arg(long, value_name = "TOKEN", value_parser = names::parse::<TokenId>)]
    token: Option<TokenId>,
}

/// What to show.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  daas whoami\n  daas whoami -o json")]
pub struct Whoami {
    /// How to print.
    #[command(flatten)]
    output: Output,
}

fn flags(token: Option<TokenId>) -> Flags {
    token
        .map(|token| (Key::Token, token.to_string()))
        .into_iter()
        .collect()
}

/// Begins a session.
///
/// # Errors
/// If the key cannot be unlocked, or the ledger refuses it.
pub fn login(args: &Login, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, Output::default(), flags(args.token))?;
    let token: TokenId = app.settings.required(Key::Token)?;
    app.block_on(async {
        let ledger = app.ledger(Role::Owner).await?;
        let expires_at_ms = Moment(ledger.now_ms()).after(args.span).0;
        make_room(&ledger, token).await?;
        let old = Session::load(&app.layout(), token).ok().flatten();
        let session = Session::generate(token, expires_at_ms);
        let call = Call::RegisterSessionKey {
            token,
            key: HexBytes::from(session.public_key.as_ref()),
            expires_at_ms,
        };
        // Registered first: a key that lies here and nobody knows would only make refusals.
        ledger.call(call).await?;
        session
            .save(&app.layout())
            .context("the key is registered, but cannot be kept")?;
        if let Some(old) = old {
            remove(&ledger, token, old.public_key).await?;
        }
        app.printer.note(&format!(
            "logged in to token {token} until {}",
            Moment(expires_at_ms)
        ));
        Ok(())
    })
}

/// Ends it.
///
/// # Errors
/// If the ledger cannot be told; the key is gone from here all the same.
pub fn logout(args: &Logout, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, Output::default(), flags(args.token))?;
    let token: TokenId = app.settings.required(Key::Token)?;
    let session = Session::load(&app.layout(), token);
    let was_there = Session::forget(&app.layout(), token)?;
    let Some(session) = session? else {
        app.printer.note("nobody was logged in");
        return Ok(());
    };
    debug_assert!(was_there, "a session was loaded from its file");
    if !args.local && Moment::now().0 < session.expires_at_ms {
        let told = app.block_on(async {
            let ledger = app.ledger(Role::Owner).await?;
            remove(&ledger, token, session.public_key).await
        });
        told.with_context(|| {
            format!(
                "the key is gone from here, but the ledger knows it until {}",
                Moment(session.expires_at_ms)
            )
        })?;
    }
    app.printer.note(&format!("logged out of token {token}"));
    Ok(())
}

/// Shows as whom requests are made.
///
/// # Errors
/// If nobody is logged in.
pub fn whoami(args: &Whoami, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, Flags::new())?;
    let token: TokenId = app.settings.required(Key::Token)?;
    let holder = session::describe(&app)?;
    let shown = Identity {
        token,
        cluster: app.settings.required(Key::Cluster)?,
        user: format!("seal:{token}"),
        owner: session::owner(&app),
        signs_with: holder.kind,
        public_key: holder.signer.public_key(),
        expires_at_ms: holder.expires_at_ms,
        gateway: session::server(&app.settings),
        audience: session::audience(&app.settings),
    };
    Ok(app.printer.object(&shown)?)
}

/// Removes a session key from the ledger, if it is there.
async fn remove(ledger: &LocalLedger, token: TokenId, key: PublicKey) -> anyhow::Result<()> {
    let is_known = ledger.view(|now| {
        let token = now.state.token(token)?;
        Some(token.session_keys.contains_key(&key))
    });
    if is_known == Some(true) {
        let key = HexBytes::from(key.as_ref());
        ledger.call(Call::RemoveSessionKey { token, key }).await?;
    }
    Ok(())
}

/// Removes keys that expired when there are many, since a token has room for 64.
async fn make_room(ledger: &LocalLedger, token: TokenId) -> anyhow::Result<()> {
    let expired = ledger.view(|now| {
        let found = now.state.token(token)?;
        let expired = found
            .session_keys
            .iter()
            .filter(|(_, ms)| **ms <= now.now_ms);
        let expired: Vec<PublicKey> = expired.map(|(key, _)| *key).collect();
        Some((found.session_keys.len(), expired))
    });
    let Some((count, expired)) = expired else {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no token {token} on this ledger"),
        )
        .with_next("`daas token list` shows those that there are")
        .into());
    };
    if count >= CROWDED {
        for key in expired {
            remove(ledger, token, key).await?;
        }
    }
    Ok(())
}

/// Well under the contract's 64.
const CROWDED: usize = 32;

/// As whom requests are made.
#[derive(Serialize)]
struct Identity {
    token: TokenId,
    cluster: ClusterId,
    user: String,
    owner: Option<Address>,
    signs_with: &'static str,
    public_key: PublicKey,
    expires_at_ms: Option<u64>,
    gateway: String,
    audience: String,
}

impl Show for Identity {
    const KIND: &'static str = "token";
    const COLUMNS: &'static [&'static str] = &[
        "TOKEN",
        "CLUSTER",
        "USER IN KUBERNETES",
        "OWNER",
        "SIGNS WITH",
        "PUBLIC KEY",
        "UNTIL",
        "GATEWAY",
        "AUDIENCE",
    ];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.token.to_string(),
            self.cluster.to_string(),
            self.user.clone(),
            or_dash(self.owner.map(|owner| owner.to_string())),
            self.signs_with.to_owned(),
            self.public_key.to_string(),
            or_dash(self.expires_at_ms.map(|ms| Moment(ms).to_string())),
            self.gateway.clone(),
            self.audience.clone(),
        ]
    }

    fn name(&self) -> String {
        self.token.to_string()
    }
}
