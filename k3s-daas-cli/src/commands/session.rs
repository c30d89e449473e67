//! `daas login`, `daas logout`, `daas whoami`.

use anyhow::Context as _;
use k3s_daas::contract::Call;
use k3s_daas::crypto::PublicKey;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{Address, ClusterId, HexBytes, TokenId};
use serde::Serialize;

use crate::app::{App, Role};
use crate::args::{Global, OfToken, Output};
use crate::exit::{Exit, Failure};
use crate::printer::Show;
use crate::session::{self, Holder, Session};
use crate::settings::Key;
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
    /// To what.
    #[command(flatten)]
    token: OfToken,
}

/// How to end it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Removing the key from the ledger needs the owner's key; if that cannot be had, nothing changes. With --local \
the key only goes from this machine, and on the ledger it stays good until it expires or is removed with \
`daas token session KEY --remove`.

Examples:
  daas logout
  daas logout --local")]
pub struct Logout {
    /// Only forget the key here.
    #[arg(long)]
    local: bool,
    /// Of what.
    #[command(flatten)]
    token: OfToken,
}

/// What to show.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The status is that of token and key on the ledger in the directory: valid, revoked, expired, not yet valid, \
unknown token, unknown key, or `not known here` where there is no ledger to look at.

Examples:
  daas whoami
  daas whoami --token $TOKEN -o json")]
pub struct Whoami {
    /// Whose view.
    #[command(flatten)]
    token: OfToken,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Begins a session.
///
/// # Errors
/// If the key cannot be unlocked, or the ledger refuses it.
pub fn login(args: &Login, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, Output::default(), args.token.flags())?;
    let token: TokenId = app.settings.required(Key::Token)?;
    app.block_on(async {
        let ledger = app.ledger(Role::Owner).await?;
        // A session does nothing after its token's end.
        let end_ms = ledger.view(|now| Some(now.state.token(token)?.expires_at_ms));
        let expires_at_ms = Moment(ledger.now_ms()).after(args.span).0;
        let expires_at_ms = expires_at_ms.min(end_ms.unwrap_or(u64::MAX));
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
/// If the ledger cannot be told; nothing changes then.
pub fn logout(args: &Logout, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, Output::default(), args.token.flags())?;
    let token: TokenId = app.settings.required(Key::Token)?;
    let session = match Session::load(&app.layout(), token) {
        // It says nothing that could be removed from the ledger.
        Err(_) if args.local => None,
        session => session?,
    };
    // The ledger first: a key that is gone from here and still good there could not be named any more.
    if let Some(session) = session
        .as_ref()
        .filter(|session| is_live(session) && !args.local)
    {
        let told = app.block_on(async {
            let ledger = app.ledger(Role::Owner).await?;
            remove(&ledger, token, session.public_key).await
        });
        told.with_context(|| {
            format!(
                "still logged in until {}, nothing was changed (with --local only the key here goes)",
                Moment(session.expires_at_ms)
            )
        })?;
    }
    if !Session::forget(&app.layout(), token)? {
        app.printer.note("nobody was logged in");
        return Ok(());
    }
    app.printer.note(&format!("logged out of token {token}"));
    if let Some(session) = session.filter(|session| is_live(session) && args.local) {
        app.printer.note(&format!(
            "the ledger knows the key until {}; to end it there: daas token session {} --remove --token {token}",
            Moment(session.expires_at_ms),
            session.public_key
        ));
    }
    Ok(())
}

fn is_live(session: &Session) -> bool {
    Moment::now().0 < session.expires_at_ms
}

/// Shows as whom requests are made.
///
/// # Errors
/// If nobody is logged in.
pub fn whoami(args: &Whoami, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, args.token.flags())?;
    let token: TokenId = app.settings.required(Key::Token)?;
    let holder = session::describe(&app)?;
    let standing = app.block_on(standing(&app, token, &holder))?;
    let shown = Identity {
        token,
        cluster: app.settings.required(Key::Cluster)?,
        user: format!("seal:{token}"),
        status: standing.status,
        owner: standing.owner.or_else(|| session::owner(&app)),
        signs_with: holder.kind,
        public_key: holder.signer.public_key(),
        expires_at_ms: holder.expires_at_ms,
        gateway: session::server(&app.settings),
        audience: session::audience(&app.settings),
    };
    app.printer.object(&shown)?;
    if let Some(gateway) = standing.stranger {
        app.printer.note(&format!(
            "warning: the gateway's account {gateway} may not submit for this token; allow it with \
             `daas token delegate {gateway} --token {token}`"
        ));
    }
    Ok(())
}

/// How a token and a key of it stand on the ledger.
struct Standing {
    status: &'static str,
    owner: Option<Address>,
    /// The gateway's account, if it is known here and is no delegate of the token.
    stranger: Option<Address>,
}

/// Looks at the ledger in the directory; who only has a session has none, and is no worse off.
async fn standing(app: &App, token: TokenId, holder: &Holder) -> anyhow::Result<Standing> {
    if !LocalLedger::exists(app.layout().ledger()) {
        return Ok(Standing {
            status: "not known here",
            owner: None,
            stranger: None,
        });
    }
    let ledger = app.reader().await?;
    let key = holder.signer.public_key();
    let gateway = app.address(Role::Gateway).ok();
    Ok(ledger.view(|now| {
        let Some(token) = now.state.token(token) else {
            return Standing {
                status: "unknown token",
                owner: None,
                stranger: None,
            };
        };
        let is_known = key.address() == token.owner || token.has_session_key(&key, now.now_ms);
        let status = if token.revoked {
            "revoked"
        } else if now.now_ms < token.not_before_ms {
            "not yet valid"
        } else if now.now_ms >= token.expires_at_ms {
            "expired"
        } else if !is_known {
            "unknown key"
        } else {
            "valid"
        };
        Standing {
            status,
            owner: Some(token.owner),
            stranger: gateway.filter(|gateway| !token.is_holder(*gateway, now.now_ms)),
        }
    }))
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
    status: &'static str,
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
        "STATUS",
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
            self.status.to_owned(),
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
