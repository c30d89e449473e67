//! Makes a development directory: keys, ledger, cluster, executor, tokens.
//!
//! Every step looks first whether it was done, so a start that was killed is finished by the next one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k3s_daas::contract::{Call, ExecutorEntry};
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::crypto::keystore::{KeystoreError, load_development, load_or_create_development};
use k3s_daas::ledger::local::{Genesis, LocalLedger};
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{
    Address, AdminCapId, ClusterId, ClusterPolicy, ExecutorId, HexBytes, MIST_PER_SUI, PolicyRule,
    TokenId,
};
use k3s_daas::wire::Delegate;

use crate::app::{Role, check_directory_of};
use crate::commands::{cluster, executor, token};
use crate::exit::{self, Exit, Failure};
use crate::journal;
use crate::keys::encryption_public_key;
use crate::layout::{Layout, create_private_dir};
use crate::settings::{self, Key, Settings};
use crate::units::{Moment, Span};

/// A development directory that has all but its users' tokens.
#[derive(Debug)]
pub struct Ground {
    /// The ledger as the administrator's account.
    pub ledger: LocalLedger,
    /// The cluster.
    pub cluster: ClusterId,
    /// Its executor.
    pub executor: ExecutorId,
    /// The gateway's own token, for discovery.
    pub gateway_token: TokenId,
    cap: AdminCapId,
    keys: Vec<(Role, Ed25519Signer)>,
}

impl Ground {
    /// Makes what is not there yet in the directory of `layout`, and its settings file.
    ///
    /// # Errors
    /// If the directory is something else, or damaged.
    pub async fn prepare(layout: &Layout) -> anyhow::Result<Self> {
        check_is_ours(layout)?;
        for dir in [layout.root().to_owned(), layout.keys(), layout.nautilus()] {
            create_private_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        // First of all, so that a start that is killed leaves a directory that is marked as what it is.
        settings::update(&layout.settings(), &[(Key::Development, true.into())])?;
        let mut keys = Vec::new();
        let is_new = !LocalLedger::exists(layout.ledger());
        for role in Role::ALL {
            keys.push((role, key_of(layout, role, is_new)?));
        }
        let key = |wanted: Role| signer_of(&keys, wanted);
        let admin = Arc::new(key(Role::Admin));
        let ledger = if is_new {
            let funds = [Role::Owner, Role::Operator].map(|role| (key(role).address(), FUNDS));
            LocalLedger::create(layout.ledger(), Genesis::new(funds.to_vec()), admin).await?
        } else {
            LocalLedger::open(layout.ledger(), admin)?
        };
        ledger.sync().await?;
        if let Some(role) = foreign_key(&ledger, layout, &keys)? {
            return Err(foreign(layout, role).into());
        }
        let (cluster, cap) = ensure_cluster(&ledger).await?;
        cluster::remember(&layout.settings(), ledger.deployment().chain, cluster, cap)?;
        let executor = ensure_executor(&ledger, cluster, cap, &key).await?;
        journal::ensure(layout, &ledger, executor).await?;
        let mut ground = Self {
            gateway_token: TokenId::ZERO,
            ledger,
            cluster,
            executor,
            cap,
            keys,
        };
        ground.gateway_token = ground.ensure_gateway_token().await?;
        let changes = [
            (Key::Executor, ground.executor.to_string().into()),
            (Key::GatewayToken, ground.gateway_token.to_string().into()),
        ];
        settings::update(&layout.settings(), &changes)?;
        Ok(ground)
    }

    /// The key of a role.
    #[must_use]
    pub fn signer(&self, role: Role) -> Ed25519Signer {
        signer_of(&self.keys, role)
    }

    /// The ledger as the account of a role.
    #[must_use]
    pub fn ledger_as(&self, role: Role) -> LocalLedger {
        self.ledger.with_signer(Arc::new(self.signer(role)))
    }

    /// Issues a token to the owner that the gateway may submit for until it expires.
    ///
    /// # Errors
    /// What the ledger says.
    pub async fn grant(&self, rules: Vec<PolicyRule>, stake: u64) -> anyhow::Result<TokenId> {
        let owner = self.signer(Role::Owner).address();
        let delegate = self.signer(Role::Gateway).address();
        let token = self.issue(owner, rules, Some(delegate)).await?;
        if stake > 0 {
            let call = Call::DepositStake {
                token,
                amount: stake,
            };
            self.ledger_as(Role::Owner).call(call).await?;
        }
        self.ledger.sync().await?;
        Ok(token)
    }

    /// The directory's user token: may do everything, has stake. That of the settings if it is still good.
    ///
    /// # Errors
    /// What the ledger says.
    pub async fn ensure_user_token(&self, layout: &Layout) -> anyhow::Result<TokenId> {
        let settings = Settings::load_from(Some(&layout.settings()), Vec::new(), |_| None)?;
        let owner = self.signer(Role::Owner).address();
        let named: Option<TokenId> = settings.value(Key::Token);
        // A start that was killed may have issued it without noting it down.
        let found = self.ledger.view(|now| {
            let mut good = now.state.tokens().filter(|token| {
                token.cluster == self.cluster
                    && token.owner == owner
                    && !token.revoked
                    && now.now_ms.saturating_add(RENEW_MS) < token.expires_at_ms
            });
            let found = match named {
                Some(named) => good.find(|token| token.id == named),
                None => good.find(|token| token.rules == everything()),
            };
            found.map(|token| (token.id, token.bonded))
        });
        let (token, bonded) = match found {
            Some(found) => found,
            None => (self.grant(everything(), 0).await?, 0),
        };
        // Before it is noted down, after which its stake is its owner's own affair.
        if named != Some(token) && bonded < STAKE {
            let call = Call::DepositStake {
                token,
                amount: STAKE - bonded,
            };
            self.ledger_as(Role::Owner).call(call).await?;
            self.ledger.sync().await?;
        }
        settings::update(
            &layout.settings(),
            &[(Key::Token, token.to_string().into())],
        )?;
        Ok(token)
    }

    async fn ensure_gateway_token(&self) -> anyhow::Result<TokenId> {
        let owner = self.signer(Role::Gateway).address();
        let found = self.ledger.view(|now| {
            let mut tokens = now.state.tokens();
            let found = tokens.find(|token| {
                token.cluster == self.cluster
                    && token.owner == owner
                    && !token.revoked
                    && now.now_ms.saturating_add(RENEW_MS) < token.expires_at_ms
            });
            found.map(|token| token.id)
        });
        match found {
            Some(token) => Ok(token),
            // Discovery is what every valid token may read, so it needs no rule.
            None => self.issue(owner, Vec::new(), None).await,
        }
    }

    async fn issue(
        &self,
        owner: Address,
        rules: Vec<PolicyRule>,
        delegate: Option<Address>,
    ) -> anyhow::Result<TokenId> {
        let now = Moment(self.ledger.now_ms());
        let expires_at_ms = now.after(LIFETIME).0;
        let call = Call::IssueToken {
            cap: self.cap,
            cluster: self.cluster,
            owner,
            rules,
            groups: Vec::new(),
            not_before_ms: now.0,
            expires_at_ms,
            delegates: delegate
                .map(|delegate| Delegate {
                    delegate,
                    expires_at_ms,
                })
                .into_iter()
                .collect(),
        };
        token::issue_call(&self.ledger, call).await
    }
}

fn signer_of(keys: &[(Role, Ed25519Signer)], wanted: Role) -> Ed25519Signer {
    let found = keys.iter().find(|(role, _)| *role == wanted);
    found
        .map(|(_, key)| key.clone())
        .expect("there is a key for every role")
}

/// Rules that allow everything.
#[must_use]
pub fn everything() -> Vec<PolicyRule> {
    let any = || vec!["*".to_owned()];
    vec![
        PolicyRule {
            verbs: any(),
            api_groups: any(),
            resources: any(),
            namespaces: any(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: any(),
            non_resource_urls: any(),
            ..PolicyRule::default()
        },
    ]
}

/// The key of a role, which is made only as long as there is no ledger that knows another one.
fn key_of(layout: &Layout, role: Role, may_create: bool) -> anyhow::Result<Ed25519Signer> {
    let path = key_file(layout, role);
    check_directory_of(&path)?;
    let key = if may_create {
        let comment = format!("{} of a development directory", role.name());
        load_or_create_development(&path, &comment)
    } else {
        load_development(&path)
    };
    let name = role.name();
    key.map_err(|error| match error {
        KeystoreError::File(error) if error.is_not_found() => Failure::new(
            Exit::Key,
            format!(
                "the {name} key in {} is gone, and the ledger knows no other",
                path.display()
            ),
        )
        .with_next(RESTORE)
        .into(),
        error => exit::advised(
            error,
            format!("the {name} key in {} cannot be used", path.display()),
            "make the file private and whole again, or begin anew with another --dir",
        ),
    })
}

/// The key file of a role: that of the settings if it is another one of this directory, as after a rotation.
fn key_file(layout: &Layout, role: Role) -> PathBuf {
    let settings = Settings::load_from(Some(&layout.settings()), Vec::new(), |_| None);
    let named = settings.ok().and_then(|settings| settings.path(role.key()));
    named
        .filter(|file| file.parent() == Some(&layout.keys()))
        .unwrap_or_else(|| layout.keys().join(format!("{}.key", role.name())))
}

/// The first role whose key is not the one that the ledger was made with, as far as that can be seen.
fn foreign_key(
    ledger: &LocalLedger,
    layout: &Layout,
    keys: &[(Role, Ed25519Signer)],
) -> anyhow::Result<Option<Role>> {
    let settings = Settings::load_from(Some(&layout.settings()), Vec::new(), |_| None)?;
    let gateway_token: Option<TokenId> = settings.value(Key::GatewayToken);
    let key = |role| signer_of(keys, role);
    let address = |role| key(role).address();
    Ok(ledger.view(|now| {
        let mut clusters = now.state.clusters().peekable();
        // What a start that was killed has not made yet, nobody else's key can be in.
        clusters.peek()?;
        let governed = clusters.find(|cluster| {
            let cap = now.state.admin_cap(cluster.admin_cap);
            cap.is_some_and(|cap| cap.owner == address(Role::Admin))
        });
        let Some(cluster) = governed else {
            return Some(Role::Admin);
        };
        let signing_key = key(Role::Executor).public_key();
        let mut executors = cluster.executors.iter();
        let is_ours = |entry: &&ExecutorEntry| entry.signing_key == signing_key;
        match executors.find(is_ours) {
            None if !cluster.executors.is_empty() => return Some(Role::Executor),
            None => {}
            Some(entry) if entry.operator != address(Role::Operator) => {
                return Some(Role::Operator);
            }
            Some(entry) => {
                let encryption_key = encryption_public_key(&key(Role::Encryption));
                if entry.encryption_key[..] != encryption_key[..] {
                    return Some(Role::Encryption);
                }
            }
        }
        let gateway = address(Role::Gateway);
        let gateway_token = gateway_token.and_then(|token| now.state.token(token));
        if gateway_token.is_some_and(|token| token.owner != gateway) {
            return Some(Role::Gateway);
        }
        let mut owners = now.state.tokens().map(|token| token.owner);
        let mut users = owners.by_ref().filter(|owner| *owner != gateway).peekable();
        users.peek()?;
        let has_token = users.any(|owner| owner == address(Role::Owner));
        (!has_token).then_some(Role::Owner)
    }))
}

fn foreign(layout: &Layout, role: Role) -> Failure {
    Failure::new(
        Exit::Key,
        format!(
            "the {} key in {} is not the one that the ledger in {} was made with",
            role.name(),
            key_file(layout, role).display(),
            layout.ledger().display()
        ),
    )
    .with_next(RESTORE)
}

/// Refuses a directory whose keys and tokens are somebody's real ones, or whose ledger is gone.
///
/// # Errors
/// What is wrong with it.
pub fn check_is_ours(layout: &Layout) -> anyhow::Result<()> {
    let is_marked = match Settings::load_from(Some(&layout.settings()), Vec::new(), |_| None) {
        Ok(settings) => {
            // One that says nothing of any ledger, say where to listen, is nobody's yet.
            let has_ledger = LocalLedger::exists(layout.ledger());
            if settings.is_development()
                && !has_ledger
                && let Some(chain) = settings.text(Key::Chain)
            {
                let message = format!(
                    "the ledger in {} is gone, and {} knows it as {chain}",
                    layout.ledger().display(),
                    layout.settings().display()
                );
                return Err(Failure::new(Exit::Unverified, message)
                    .with_next("restore it from a copy, or begin anew with another --dir")
                    .into());
            }
            let is_new = settings.text(Key::Chain).is_none() && !has_ledger;
            settings.is_development() || is_new
        }
        Err(settings::Error::Read { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            !LocalLedger::exists(layout.ledger())
        }
        Err(error) => return Err(error.into()),
    };
    if is_marked {
        return Ok(());
    }
    let message = format!("{} is no development directory", layout.root().display());
    Err(Failure::new(Exit::Settings, message)
        .with_next("choose another --dir; `daas-gateway` and `daas-nautilus` run the services over this one")
        .into())
}

async fn ensure_cluster(ledger: &LocalLedger) -> anyhow::Result<(ClusterId, AdminCapId)> {
    let admin = ledger.account();
    let found = ledger.view(|now| {
        let mut clusters = now.state.clusters();
        let found = clusters.find(|cluster| {
            let cap = now.state.admin_cap(cluster.admin_cap);
            cap.is_some_and(|cap| cap.owner == admin)
        });
        found.map(|cluster| (cluster.id, cluster.admin_cap))
    });
    match found {
        Some(found) => Ok(found),
        None => cluster::create_call(ledger, "dev", ClusterPolicy::default()).await,
    }
}

async fn ensure_executor(
    ledger: &LocalLedger,
    cluster: ClusterId,
    cap: AdminCapId,
    key: &impl Fn(Role) -> Ed25519Signer,
) -> anyhow::Result<ExecutorId> {
    let signing_key = key(Role::Executor).public_key();
    let found = ledger.view(|now| {
        let entry = now.state.cluster(cluster)?.executors.iter();
        entry
            .clone()
            .find(|entry| entry.signing_key == signing_key)
            .map(|entry| entry.id)
    });
    if let Some(executor) = found {
        return Ok(executor);
    }
    let call = Call::RegisterExecutor {
        cap,
        cluster,
        operator: key(Role::Operator).address(),
        signing_key: HexBytes::from(signing_key.as_ref()),
        encryption_key: HexBytes::from(&encryption_public_key(&key(Role::Encryption))[..]),
        attestation: HexBytes::default(),
    };
    let (executor, _) = executor::register_call(ledger, call).await?;
    Ok(executor)
}

const RESTORE: &str = "restore the file from a copy, or begin anew with another --dir";
/// What the genesis gives to owner and operator each, MIST.
const FUNDS: u64 = 1_000_000 * MIST_PER_SUI;
/// What the user token has bonded: ten times what the default policy asks for.
const STAKE: u64 = 10 * MIST_PER_SUI;
/// How long tokens of a development directory are valid.
const LIFETIME: Span = Span(Duration::from_secs(365 * 24 * 3600));
/// Less than this before its end a token is replaced at the next start.
const RENEW_MS: u64 = 24 * 3600 * 1000;
