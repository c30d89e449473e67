//! The session key of `daas login`, and the credential that it signs.
//!
//! Both lie in `DIR/sessions`, mode 0600, named by the token: `TOKEN.json` is the session,
//! `TOKEN.credential.json` the credential in use, `TOKEN.lock` what its writers queue on.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use k3s_daas::crypto::keystore::{KeystoreError, load_development};
use k3s_daas::crypto::{Ed25519Signer, PublicKey, read_private, write_private};
use k3s_daas::ledger::local::PACKAGE;
use k3s_daas::types::{ChainId, ClusterId, TokenId};
use k3s_daas::wire::{Deployment, SignedCredential};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::app::{App, Role, check_directory_of, no_key};
use crate::exit::{Advise as _, Exit, Failure};
use crate::layout::{Layout, create_private_dir};
use crate::settings::{Key, Origin, Settings};
use crate::small_file;
use crate::units::{Moment, Span};

/// A session key and what it may sign for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    version: u32,
    /// The token.
    pub token: TokenId,
    /// Unix milliseconds at which the ledger forgets the key.
    pub expires_at_ms: u64,
    /// Its public key.
    pub public_key: PublicKey,
    #[serde(with = "secret")]
    seed: Zeroizing<String>,
}

impl Session {
    /// A new one for `token`, kept nowhere yet.
    #[must_use]
    pub fn generate(token: TokenId, expires_at_ms: u64) -> Self {
        let key = Ed25519Signer::generate();
        Self {
            version: VERSION,
            token,
            expires_at_ms,
            public_key: key.public_key(),
            seed: Zeroizing::new(hex::encode(*key.seed())),
        }
    }

    /// The session of `token`, if there is one.
    ///
    /// # Errors
    /// If its file is not private, or no session.
    pub fn load(layout: &Layout, token: TokenId) -> anyhow::Result<Option<Self>> {
        let path = file(layout, token, "json");
        let text = match read_private(&path) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || {
            Failure::new(
                Exit::Key,
                format!("{} is no session of this program", path.display()),
            )
            .with_next("run `daas logout --local` and `daas login`")
        };
        let session: Self = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if session.version != VERSION || session.token != token {
            return Err(damaged().into());
        }
        Ok(Some(session))
    }

    /// Keeps it, readable for its owner alone.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, layout: &Layout) -> anyhow::Result<()> {
        create_private_dir(&layout.sessions())?;
        let text = Zeroizing::new(serde_json::to_vec(self)?);
        Ok(write_private(&file(layout, self.token, "json"), &text)?)
    }

    /// Forgets the session of `token` and its credential; whether there was one.
    ///
    /// # Errors
    /// If the files cannot be removed.
    pub fn forget(layout: &Layout, token: TokenId) -> anyhow::Result<bool> {
        let is_there = remove(&file(layout, token, "json"))?;
        remove(&file(layout, token, "credential.json"))?;
        Ok(is_there)
    }

    /// The key itself.
    ///
    /// # Errors
    /// If the file was edited.
    pub fn signer(&self) -> anyhow::Result<Ed25519Signer> {
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(self.seed.as_bytes(), &mut *seed).context("the session has no key")?;
        let signer = Ed25519Signer::from_seed(*seed);
        anyhow::ensure!(
            signer.public_key() == self.public_key,
            "the session has another key"
        );
        Ok(signer)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("token", &self.token)
            .field("public_key", &self.public_key)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

/// A credential in use.
#[derive(Clone, Serialize, Deserialize)]
pub struct Bearer {
    /// What is sent. Secret.
    #[serde(with = "secret")]
    pub text: Zeroizing<String>,
    /// Unix milliseconds at which it is no longer good.
    pub not_after_ms: u64,
    cluster: ClusterId,
    chain: ChainId,
    audience: String,
    signed_by: PublicKey,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer")
            .field("audience", &self.audience)
            .field("not_after_ms", &self.not_after_ms)
            .finish_non_exhaustive()
    }
}

/// Who signs credentials here, and until when.
#[derive(Debug)]
pub struct Holder {
    /// The key.
    pub signer: Ed25519Signer,
    /// `session key`, or `development key`.
    pub kind: &'static str,
    /// Unix milliseconds at which the session ends.
    pub expires_at_ms: Option<u64>,
}

/// The live session key, or in a development directory the owner's.
///
/// # Errors
/// [`Exit::Key`] if there is neither. Never asks.
pub fn holder(app: &App, token: TokenId) -> anyhow::Result<Holder> {
    let session = Session::load(&app.layout(), token)?;
    let is_over = session.is_some();
    if let Some(session) = session.filter(|session| Moment::now().0 < session.expires_at_ms) {
        return Ok(Holder {
            signer: session.signer()?,
            kind: "session key",
            expires_at_ms: Some(session.expires_at_ms),
        });
    }
    if app.settings.is_development() {
        let path: PathBuf = app.settings.required(Key::OwnerKey)?;
        check_directory_of(&path)?;
        // Not `signer`, which would ask for a passphrase if the key were an encrypted one.
        match load_development(&path) {
            Ok(signer) => {
                return Ok(Holder {
                    signer,
                    kind: "development key",
                    expires_at_ms: None,
                });
            }
            // Its owner logs in, then.
            Err(KeystoreError::NotDevelopmentKey { .. }) => {}
            Err(error) => return Err(no_key(error, &path, Role::Owner.name())),
        }
    }
    let message = if is_over {
        format!("the session for token {token} is over")
    } else {
        format!("nobody is logged in for token {token}")
    };
    // Without a name it is the settings' own.
    let is_named = matches!(app.settings.origin(Key::Token), Some(Origin::Flag));
    let named = if is_named {
        format!(" --token {token}")
    } else {
        String::new()
    };
    let next =
        format!("run `daas login{named}`, which unlocks the owner's key once for the next hours");
    Err(Failure::new(Exit::Key, message).with_next(next).into())
}

/// A credential that is good for a minute at least: the one in use, or a new one.
///
/// # Errors
/// If nobody is logged in, or a setting is missing.
pub fn bearer(app: &App) -> anyhow::Result<Bearer> {
    let settings = &app.settings;
    let token: TokenId = settings.required(Key::Token)?;
    let cluster: ClusterId = settings.required(Key::Cluster)?;
    let chain: ChainId = settings.required(Key::Chain)?;
    let audience = audience(settings);
    let layout = app.layout();
    create_private_dir(&layout.sessions())?;
    let holder = holder(app, token)?;
    let is_good = |bearer: &Bearer| {
        bearer.cluster == cluster
            && bearer.chain == chain
            && bearer.audience == audience
            && bearer.signed_by == holder.signer.public_key()
            && Moment::now().after(REFRESH).0 < bearer.not_after_ms
    };
    let path = file(&layout, token, "credential.json");
    if let Some(bearer) = cached(&path).filter(is_good) {
        return Ok(bearer);
    }
    // Of forty processes that come at once one signs, the others read what it wrote.
    let _lock = lock(&file(&layout, token, "lock"))?;
    if let Some(bearer) = cached(&path).filter(is_good) {
        return Ok(bearer);
    }
    let deployment = Deployment {
        chain,
        package: PACKAGE,
    };
    let not_before_ms = Moment::now().0.saturating_sub(SKEW_MS);
    let mut lifetime = LIFETIME;
    if let Some(expires_at_ms) = holder.expires_at_ms {
        // Nothing outlives the session, so that whoever watches the expiry asks again in time.
        lifetime = lifetime.min(Duration::from_millis(
            expires_at_ms.saturating_sub(not_before_ms),
        ));
    }
    let issued = SignedCredential::issue(
        &holder.signer,
        &deployment,
        token,
        cluster,
        &audience,
        not_before_ms,
        lifetime,
    );
    let signed = issued
        .now_or_never()
        .context("a key in memory signs at once")??;
    let bearer = Bearer {
        text: Zeroizing::new(signed.to_bearer()),
        not_after_ms: signed.credential.not_after_ms,
        cluster,
        chain,
        audience,
        signed_by: signed.public_key,
    };
    write_private(&path, &Zeroizing::new(serde_json::to_vec(&bearer)?))?;
    Ok(bearer)
}

/// What credentials for the gateway name: the setting, else host and port of its URL.
#[must_use]
pub fn audience(settings: &Settings) -> String {
    match settings.text(Key::GatewayAudience) {
        Some(audience) => audience.to_owned(),
        None => {
            let server = server(settings);
            let rest = server.strip_prefix("https://").unwrap_or(&server);
            rest.split('/').next().unwrap_or_default().to_owned()
        }
    }
}

/// The gateway's URL: the setting, else that of the address it listens on.
#[must_use]
pub fn server(settings: &Settings) -> String {
    if let Some(server) = settings.text(Key::GatewayServer) {
        return server.trim_end_matches('/').to_owned();
    }
    match settings.value(Key::GatewayListen) {
        Some(address) => format!("https://{}", crate::services::reachable(address)),
        None => String::new(),
    }
}

/// A client of the gateway with a credential.
///
/// # Errors
/// If nobody is logged in, or the gateway's authority is not there.
pub fn gateway_client(app: &App) -> anyhow::Result<crate::client::Client> {
    let authority = authority(app)?;
    let bearer = bearer(app)?;
    let client = crate::client::Client::new(&server(&app.settings), authority.as_deref())?;
    Ok(client
        .with_bearer(bearer.text.as_str())
        .with_advice(no_gateway(app)))
}

/// What to do if no gateway answers: it may not run, or listen elsewhere than the settings say.
fn no_gateway(app: &App) -> String {
    if app.settings.is_development() {
        return "start it with `daas dev`, or check `gateway.listen` and `gateway.server` in `daas config show`"
            .to_owned();
    }
    format!(
        "start `daas-gateway`; if it runs elsewhere (--listen holds for that process alone), set \
         `gateway.listen` or `gateway.server` in {}",
        app.settings.file().display()
    )
}

/// The authority that the gateway's clients trust, PEM; `None` stands for those of the system, which are
/// trusted if the gateway shows a certificate that was given to it and no authority is named.
///
/// # Errors
/// [`Exit::NotFound`] if there is none yet.
pub fn authority(app: &App) -> anyhow::Result<Option<Vec<u8>>> {
    let is_named = app.settings.origin(Key::GatewayCa) != Some(&Origin::Default);
    if !is_named && app.settings.path(Key::GatewayCertificate).is_some() {
        return Ok(None);
    }
    let path: PathBuf = app.settings.required(Key::GatewayCa)?;
    small_file::read(&path)
        .map(Some)
        .map_err(|error| {
            Failure::new(
                Exit::NotFound,
                format!(
                    "cannot read the gateway's authority in {}: {error}",
                    path.display()
                ),
            )
        })
        .advise(
            "there is no gateway to talk to",
            match app.settings.text(Key::Chain).is_some() && !app.settings.is_development() {
                true => "start `daas-gateway` first, or set `gateway.ca`",
                false => "start it first with `daas dev` or `daas-gateway`, or set `gateway.ca`",
            },
        )
}

/// What `whoami` prints of the key without making a credential.
///
/// # Errors
/// As [`holder`].
pub fn describe(app: &App) -> anyhow::Result<Holder> {
    holder(app, app.settings.required(Key::Token)?)
}

/// Of the owner that the settings name, if its key file can be read.
#[must_use]
pub fn owner(app: &App) -> Option<k3s_daas::types::Address> {
    app.address(Role::Owner).ok()
}

fn cached(path: &Path) -> Option<Bearer> {
    // Whatever is wrong with the cache, a new one replaces it.
    serde_json::from_slice(&read_private(path).ok()?).ok()
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn file(layout: &Layout, token: TokenId, suffix: &str) -> PathBuf {
    layout.sessions().join(format!("{token}.{suffix}"))
}

fn remove(path: &Path) -> anyhow::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// Text that is wiped when dropped.
mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        text: &Zeroizing<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

const VERSION: u32 = 1;

/// How long a credential is good: the contract's default.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long before its end it is replaced.
const REFRESH: Span = Span(Duration::from_secs(60));
/// How far the gateway's clock may be behind.
const SKEW_MS: u64 = 30_000;
