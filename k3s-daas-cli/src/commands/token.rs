//! `daas token`.

mod replace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k3s_daas::contract::{Call, SealToken};
use k3s_daas::crypto::PublicKey;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{
    Address, AdminCapId, ByteString, ClusterId, HexBytes, PolicyRule, Role as NamedRole, Scope,
    TokenId,
};
use k3s_daas::wire::{Delegate, Event};
use serde::Serialize;

use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::printer::{Format, Show, wrap};
use crate::settings::{self, Flags, Key};
use crate::units::{self, Amount, Moment, Span};

/// What to do with seal tokens.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Issue a token.
    #[command(after_help = "\
A role has the rules of Kubernetes' default ClusterRole of that name, in the namespaces given or, with \
none, in the whole cluster. A file of rules is YAML or JSON: a list with the fields of a Kubernetes \
PolicyRule and `namespaces`. Nothing is issued by --dry-run, which prints the rules.

Examples:
  daas token issue --role edit --namespace shop --dry-run
  daas token issue --role edit --namespace shop --for 30d --delegate 0x5ea1… --stake 1SUI
  daas token issue --rules rules.yaml --owner 0xa11ce… -o name")]
    Issue(Issue),
    /// Show a token.
    #[command(after_help = "Examples:\n  daas token show\n  daas token show 0x70ce… -o yaml")]
    Show {
        /// Which token.
        #[command(flatten)]
        token: Named,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// List the tokens of the cluster.
    #[command(
        after_help = "Examples:\n  daas token list\n  daas token list --owner 0xa11ce… -o name"
    )]
    List {
        /// Only those of this owner.
        #[arg(long, value_name = "ADDRESS", value_parser = names::parse::<Address>)]
        owner: Option<Address>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show a token's rules, or replace them.
    #[command(after_help = "\
Examples:
  daas token rules -o yaml > rules.yaml
  daas token rules 0x70ce… --rules rules.yaml
  daas token rules --role view --namespace shop")]
    Rules {
        /// Which token.
        #[command(flatten)]
        token: Named,
        /// The new rules.
        #[command(flatten)]
        rules: RulesArgs,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Add to a token's stake, from the balance of the signing key.
    #[command(
        after_help = "Examples:\n  daas token stake 1.5SUI\n  daas token stake 1500000000 --token 0x70ce…"
    )]
    Stake {
        /// How much: 1.5SUI, or MIST.
        amount: Amount,
        /// Which token.
        #[command(flatten)]
        token: Which,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Begin to take some of the stake back; it is paid out after the unbonding time.
    #[command(after_help = "Examples:\n  daas token unstake 0.5SUI")]
    Unstake {
        /// How much: 1.5SUI, or MIST.
        amount: Amount,
        /// Which token.
        #[command(flatten)]
        token: Which,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Pay out what has unbonded.
    #[command(after_help = "Examples:\n  daas token withdraw\n  daas token withdraw 0x70ce…")]
    Withdraw {
        /// Which token.
        #[command(flatten)]
        token: Named,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Let an address, such as a gateway's, submit for the token.
    #[command(after_help = "\
Examples:
  daas token delegate 0x5ea1… --for 7d
  daas token delegate 0x5ea1… --token 0x70ce…
  daas token delegate 0x5ea1… --remove")]
    Delegate {
        /// The address of the delegate's key; not a token's ID, for which there is --token.
        #[arg(value_parser = names::parse::<Address>)]
        address: Address,
        /// For how long; until the token expires otherwise.
        #[arg(long = "for", value_name = "TIME", conflicts_with = "remove")]
        span: Option<Span>,
        /// Take it back.
        #[arg(long)]
        remove: bool,
        /// Which token.
        #[command(flatten)]
        token: Which,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Let a key sign for the token; `daas login` does it for you.
    #[command(after_help = "\
Examples:
  daas token session 9b3f…64 --for 8h
  daas token session 9b3f…64 --remove")]
    Session {
        /// The public key, 64 hexadecimal digits.
        key: PublicKey,
        /// For how long.
        #[arg(
            long = "for",
            value_name = "TIME",
            default_value = "8h",
            conflicts_with = "remove"
        )]
        span: Span,
        /// Take it back.
        #[arg(long)]
        remove: bool,
        /// Which token.
        #[command(flatten)]
        token: Which,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Issue a token to another owner, or to an owner's new key, with what an old one allows.
    Replace(replace::Replace),
    /// Revoke a token, for good; its stake remains its owner's.
    #[command(
        after_help = "Examples:\n  daas token revoke 0x70ce…",
        group = clap::ArgGroup::new("which").required(true).args(["token", "token_flag"])
    )]
    Revoke {
        /// Which token; never that of the settings.
        #[command(flatten)]
        token: Named,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// How to issue.
#[derive(clap::Args, Debug)]
pub struct Issue {
    /// What the token allows.
    #[command(flatten)]
    rules: RulesArgs,
    /// A Kubernetes group to impersonate; never `system:…`.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Who owns it; the owner key of the settings otherwise.
    #[arg(long, value_name = "ADDRESS", value_parser = names::parse::<Address>)]
    owner: Option<Address>,
    /// For how long it is valid.
    #[arg(long = "for", value_name = "TIME", default_value = "30d")]
    span: Span,
    /// When it begins to be valid, from now on.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    begins_in: Span,
    /// An address that may submit for it until it expires, such as a gateway's.
    #[arg(long = "delegate", value_name = "ADDRESS", value_parser = names::parse::<Address>)]
    delegates: Vec<Address>,
    /// Stake to bond at once, from the owner's balance.
    #[arg(long, value_name = "AMOUNT")]
    stake: Option<Amount>,
    /// Make it the token of the settings file.
    #[arg(long)]
    save: bool,
    /// Only print the rules.
    #[arg(long)]
    dry_run: bool,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Rules by role or by file.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct RulesArgs {
    /// A named role: view, edit or admin.
    #[arg(long, value_name = "ROLE", conflicts_with = "rules")]
    role: Option<NamedRole>,
    /// A namespace that the role holds in; the whole cluster otherwise.
    #[arg(long = "namespace", short, value_name = "NAMESPACE", requires = "role")]
    namespaces: Vec<String>,
    /// A file of rules, YAML or JSON; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

impl RulesArgs {
    fn is_given(&self) -> bool {
        self.role.is_some() || self.rules.is_some()
    }

    fn read(&self) -> anyhow::Result<Vec<PolicyRule>> {
        let rules = match (&self.role, &self.rules) {
            (Some(role), _) if self.namespaces.is_empty() => role.rules(&Scope::Cluster),
            (Some(role), _) => role.rules(&Scope::Namespaces(self.namespaces.clone())),
            (None, Some(file)) => read_rules(file)?,
            (None, None) => {
                return Err(
                    Failure::new(Exit::Usage, "what the token allows is not given")
                        .with_next("give --role view, edit or admin, or --rules FILE")
                        .into(),
                );
            }
        };
        for (index, rule) in rules.iter().enumerate() {
            rule.validate()
                .with_context(|| format!("rule {} is not valid", index + 1))?;
        }
        Ok(rules)
    }
}

fn read_rules(file: &Path) -> anyhow::Result<Vec<PolicyRule>> {
    let text = crate::commands::read_input(file)?;
    // JSON is YAML too.
    let rules = serde_yaml_ng::from_slice(&text);
    rules.with_context(|| format!("{} is no list of rules", file.display()))
}

/// A token by flag.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Which {
    /// Which token; that of the settings otherwise.
    #[arg(long, value_name = "TOKEN", value_parser = names::parse::<TokenId>)]
    token: Option<TokenId>,
}

impl Which {
    fn flags(&self) -> Flags {
        flags_of(self.token)
    }
}

/// A token by its ID alone, or by flag as the other commands have it.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Named {
    /// Which token; that of the settings otherwise.
    #[arg(value_parser = names::parse::<TokenId>)]
    token: Option<TokenId>,
    /// The same.
    #[arg(
        long = "token",
        value_name = "TOKEN",
        conflicts_with = "token",
        value_parser = names::parse::<TokenId>
    )]
    token_flag: Option<TokenId>,
}

impl Named {
    fn flags(&self) -> Flags {
        flags_of(self.token.or(self.token_flag))
    }
}

fn flags_of(token: Option<TokenId>) -> Flags {
    token
        .map(|token| (Key::Token, token.to_string()))
        .into_iter()
        .collect()
}

/// Runs the command.
///
/// # Errors
/// What the ledger or the settings say.
pub fn run(command: &Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::Issue(args) => {
            let app = App::new(global, args.output, Flags::new())?;
            if args.dry_run {
                return print_rules(&app, &args.rules.read()?);
            }
            app.block_on(issue(&app, args))
        }
        Command::Show { token, output } => {
            let app = App::new(global, *output, token.flags())?;
            app.block_on(async {
                let ledger = app.reader().await?;
                Ok(app.printer.object(&token_of(&app, &ledger)?)?)
            })
        }
        Command::List { owner, output } => {
            let app = App::new(global, *output, Flags::new())?;
            app.block_on(list(&app, *owner))
        }
        Command::Rules {
            token,
            rules,
            output,
        } => {
            let app = App::new(global, *output, token.flags())?;
            if rules.is_given() {
                return app.block_on(set_rules(&app, rules.read()?));
            }
            app.block_on(async {
                let ledger = app.reader().await?;
                print_rules(&app, &token_of(&app, &ledger)?.rules)
            })
        }
        Command::Stake {
            amount,
            token,
            output,
        } => {
            let app = App::new(global, *output, token.flags())?;
            let amount = amount.0;
            call_as_owner(&app, |_, token| Call::DepositStake { token, amount })
        }
        Command::Unstake {
            amount,
            token,
            output,
        } => {
            let app = App::new(global, *output, token.flags())?;
            call_as_owner(&app, |cluster, token| Call::Unstake {
                cluster,
                token,
                amount: amount.0,
            })
        }
        Command::Withdraw { token, output } => {
            let app = App::new(global, *output, token.flags())?;
            call_as_owner(&app, |_, token| Call::WithdrawStake { token })
        }
        Command::Delegate {
            address,
            span,
            remove,
            token,
            output,
        } => {
            let app = App::new(global, *output, token.flags())?;
            app.block_on(delegate(&app, *address, *span, *remove))
        }
        Command::Session {
            key,
            span,
            remove,
            token,
            output,
        } => {
            let app = App::new(global, *output, token.flags())?;
            let key = HexBytes::from(key.as_ref());
            let expires_at_ms = Moment::now().after(*span).0;
            call_as_owner(&app, |_, token| match remove {
                true => Call::RemoveSessionKey { token, key },
                false => Call::RegisterSessionKey {
                    token,
                    key,
                    expires_at_ms,
                },
            })
        }
        Command::Replace(args) => replace::run(args, global),
        Command::Revoke { token, output } => {
            let app = App::new(global, *output, token.flags())?;
            app.block_on(async {
                let ledger = app.ledger(Role::Admin).await?;
                let token: TokenId = app.settings.required(Key::Token)?;
                let call = Call::RevokeToken {
                    cap: app.settings.required(Key::AdminCap)?,
                    cluster: app.settings.required(Key::Cluster)?,
                    token,
                };
                ledger.call(call).await?;
                if app.printer.format() == Format::Table {
                    app.printer.note(&format!("token {token} is revoked"));
                    return Ok(());
                }
                Ok(app.printer.object(&token_of(&app, &ledger)?)?)
            })
        }
    }
}

/// Issues a token with `call`, as the administrator.
///
/// # Errors
/// What the ledger says.
pub(crate) async fn issue_call(
    ledger: &k3s_daas::ledger::local::LocalLedger,
    call: Call,
) -> anyhow::Result<TokenId> {
    let receipt = ledger.call(call).await?;
    let issued = receipt.events.iter().find_map(|event| match &event.event {
        Event::SealTokenIssued(event) => Some(event.token),
        _ => None,
    });
    issued.context("the ledger issued no token")
}

async fn issue(app: &App, args: &Issue) -> anyhow::Result<()> {
    let rules = args.rules.read()?;
    let owner = match args.owner {
        Some(owner) => owner,
        None => app.address(Role::Owner)?,
    };
    let ledger = app.ledger(Role::Admin).await?;
    for &delegate in &args.delegates {
        check_delegate(&ledger, delegate)?;
    }
    let not_before = Moment(ledger.now_ms()).after(args.begins_in);
    let expires_at_ms = not_before.after(args.span).0;
    let delegates = args.delegates.iter().map(|&delegate| Delegate {
        delegate,
        expires_at_ms,
    });
    let call = Call::IssueToken {
        cap: app.settings.required(Key::AdminCap)?,
        cluster: app.settings.required(Key::Cluster)?,
        owner,
        rules,
        groups: args
            .groups
            .iter()
            .map(|group| ByteString::from(group.as_str()))
            .collect(),
        not_before_ms: not_before.0,
        expires_at_ms,
        delegates: delegates.collect(),
    };
    let token = issue_call(&ledger, call).await?;
    if args.save {
        settings::update(
            app.settings.file(),
            &[(Key::Token, token.to_string().into())],
        )?;
    }
    if let Some(Amount(amount)) = args.stake {
        let signer = app.signer(Role::Owner)?;
        let ledger = ledger.with_signer(std::sync::Arc::new(signer));
        ledger
            .call(Call::DepositStake { token, amount })
            .await
            .with_context(|| format!("token {token} is issued, but has no stake"))?;
    }
    let shown = ledger.view(|now| {
        now.state
            .token(token)
            .map(|token| Shown::of(token, now.now_ms))
    });
    let shown = shown.context("the ledger does not show the token that it issued")?;
    Ok(app.printer.object(&shown)?)
}

async fn list(app: &App, owner: Option<Address>) -> anyhow::Result<()> {
    let ledger = app.reader().await?;
    let cluster: Option<ClusterId> = app.settings.value(Key::Cluster);
    let tokens = ledger.view(|now| {
        let tokens = now.state.tokens().filter(|token| {
            owner.is_none_or(|owner| token.owner == owner)
                && cluster.is_none_or(|cluster| token.cluster == cluster)
        });
        tokens
            .map(|token| Row(Shown::of(token, now.now_ms)))
            .collect::<Vec<_>>()
    });
    Ok(app.printer.list(&tokens)?)
}

async fn set_rules(app: &App, rules: Vec<PolicyRule>) -> anyhow::Result<()> {
    let ledger = app.ledger(Role::Admin).await?;
    let cap: AdminCapId = app.settings.required(Key::AdminCap)?;
    let call = Call::SetRules {
        cap,
        cluster: app.settings.required(Key::Cluster)?,
        token: app.settings.required(Key::Token)?,
        rules,
    };
    ledger.call(call).await?;
    print_rules(app, &token_of(app, &ledger)?.rules)
}

async fn delegate(
    app: &App,
    delegate: Address,
    span: Option<Span>,
    remove: bool,
) -> anyhow::Result<()> {
    let ledger = app.ledger(Role::Owner).await?;
    let shown = token_of(app, &ledger)?;
    let token = shown.id;
    let call = if remove {
        Call::RemoveDelegate { token, delegate }
    } else {
        check_delegate(&ledger, delegate)?;
        let now = Moment(ledger.now_ms());
        let expires_at_ms = span.map_or(shown.expires_at_ms, |span| now.after(span).0);
        Call::AddDelegate {
            token,
            delegate,
            expires_at_ms,
        }
    };
    ledger.call(call).await?;
    Ok(app.printer.object(&token_of(app, &ledger)?)?)
}

/// Refuses as a delegate what is an object on the ledger, and so no account that could ever sign.
///
/// # Errors
/// What it is.
fn check_delegate(
    ledger: &k3s_daas::ledger::local::LocalLedger,
    delegate: Address,
) -> anyhow::Result<()> {
    let kind = ledger.view(|now| {
        let kinds = [
            ("a seal token", now.state.token(delegate.into()).is_some()),
            ("an executor", now.state.executor(delegate.into()).is_some()),
            ("a cluster", now.state.cluster(delegate.into()).is_some()),
            (
                "an administrator's capability",
                now.state.admin_cap(delegate.into()).is_some(),
            ),
        ];
        kinds.into_iter().find(|(_, is)| *is).map(|(kind, _)| kind)
    });
    let Some(kind) = kind else { return Ok(()) };
    Err(Failure::new(
        Exit::Usage,
        format!("{delegate} is the ID of {kind}, and a delegate is the address of a key"),
    )
    .with_next(
        "a gateway's refusal names its address, `daas key show` that of a key file; the token is \
         given by --token",
    )
    .into())
}

/// Makes a call as the owner and shows the token after it.
fn call_as_owner(app: &App, call: impl FnOnce(ClusterId, TokenId) -> Call) -> anyhow::Result<()> {
    app.block_on(async {
        let ledger = app.ledger(Role::Owner).await?;
        let shown = token_of(app, &ledger)?;
        ledger.call(call(shown.cluster, shown.id)).await?;
        Ok(app.printer.object(&token_of(app, &ledger)?)?)
    })
}

fn token_of(app: &App, ledger: &k3s_daas::ledger::local::LocalLedger) -> anyhow::Result<Shown> {
    let id: TokenId = app.settings.required(Key::Token)?;
    let shown = ledger.view(|now| {
        now.state
            .token(id)
            .map(|token| Shown::of(token, now.now_ms))
    });
    shown.ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("there is no token {id} on this ledger"),
        )
        .with_next("`daas token list` shows those that there are")
        .into()
    })
}

fn print_rules(app: &App, rules: &[PolicyRule]) -> anyhow::Result<()> {
    if app.printer.format() == Format::Table {
        let lines: Vec<Line> = rules.iter().flat_map(Line::of).collect();
        return Ok(app.printer.list(&lines)?);
    }
    let rules: Vec<Rule> = rules.iter().cloned().map(Rule).collect();
    Ok(app.printer.list(&rules)?)
}

/// A rule in a list of rules.
#[derive(Serialize)]
#[serde(transparent)]
struct Rule(PolicyRule);

impl Show for Rule {
    const KIND: &'static str = "rule";
    const COLUMNS: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        Vec::new()
    }

    fn name(&self) -> String {
        let rule = &self.0;
        let what = [&rule.resources, &rule.non_resource_urls].map(|list| list.join(","));
        format!("{} {}", rule.verbs.join(","), what.concat())
    }
}

/// A resource or URL of a rule, as `kubectl describe clusterrole` has them.
#[derive(Serialize)]
struct Line {
    what: String,
    names: Vec<String>,
    namespaces: Vec<String>,
    verbs: Vec<String>,
}

impl Line {
    fn of(rule: &PolicyRule) -> Vec<Self> {
        let qualified = rule.resources.iter().flat_map(|resource| {
            rule.api_groups
                .iter()
                .map(move |group| match group.as_str() {
                    "" => resource.clone(),
                    group => match resource.split_once('/') {
                        Some((resource, subresource)) => {
                            format!("{resource}.{group}/{subresource}")
                        }
                        None => format!("{resource}.{group}"),
                    },
                })
        });
        let what = qualified.chain(rule.non_resource_urls.iter().cloned());
        what.map(|what| Self {
            what,
            names: rule.resource_names.clone(),
            namespaces: rule.namespaces.clone(),
            verbs: rule.verbs.clone(),
        })
        .collect()
    }
}

impl Show for Line {
    const KIND: &'static str = "rule";
    const COLUMNS: &'static [&'static str] = &["RESOURCE OR URL", "NAMES", "NAMESPACES", "VERBS"];

    fn cells(&self) -> Vec<String> {
        let wrapped = |words| wrap(words, ",", 24);
        vec![
            self.what.clone(),
            wrapped(&self.names),
            wrapped(&self.namespaces),
            wrap(&self.verbs, ",", 36),
        ]
    }

    fn name(&self) -> String {
        self.what.clone()
    }
}

/// A token as it is shown.
#[derive(Clone, Debug, Serialize)]
struct Shown {
    id: TokenId,
    cluster: ClusterId,
    owner: Address,
    status: &'static str,
    bonded_mist: u64,
    unbondings: Vec<k3s_daas::contract::Unbonding>,
    delegates: BTreeMap<Address, u64>,
    session_keys: BTreeMap<PublicKey, u64>,
    groups: Vec<ByteString>,
    not_before_ms: u64,
    expires_at_ms: u64,
    sequence: u64,
    unanswered: u64,
    rules: Vec<PolicyRule>,
}

impl Shown {
    fn of(token: &SealToken, now_ms: u64) -> Self {
        let status = if token.revoked {
            "revoked"
        } else if now_ms < token.not_before_ms {
            "not yet valid"
        } else if now_ms >= token.expires_at_ms {
            "expired"
        } else {
            "valid"
        };
        Self {
            id: token.id,
            cluster: token.cluster,
            owner: token.owner,
            status,
            bonded_mist: token.bonded,
            unbondings: token.unbondings.clone(),
            delegates: token.delegates.clone(),
            session_keys: token.session_keys.clone(),
            groups: token.groups.clone(),
            not_before_ms: token.not_before_ms,
            expires_at_ms: token.expires_at_ms,
            sequence: token.sequence,
            unanswered: token.unanswered,
            rules: token.rules.clone(),
        }
    }
}

impl Show for Shown {
    const KIND: &'static str = "token";
    const COLUMNS: &'static [&'static str] = &[
        "ID",
        "CLUSTER",
        "OWNER",
        "STATUS",
        "STAKE",
        "UNBONDING",
        "DELEGATES",
        "SESSION KEYS",
        "GROUPS",
        "VALID FROM",
        "EXPIRES",
        "REQUESTS",
        "UNANSWERED",
        "RULES",
    ];

    fn cells(&self) -> Vec<String> {
        let until = |what: String, ms: u64| format!("{what} until {}", Moment(ms));
        let delegates = self
            .delegates
            .iter()
            .map(|(who, ms)| until(who.to_string(), *ms));
        let keys = self
            .session_keys
            .iter()
            .map(|(key, ms)| until(key.to_string(), *ms));
        let groups = self.groups.iter().map(ToString::to_string);
        vec![
            self.id.to_string(),
            self.cluster.to_string(),
            self.owner.to_string(),
            self.status.to_owned(),
            Amount(self.bonded_mist).to_string(),
            units::unbondings(&self.unbondings).join("\n"),
            delegates.collect::<Vec<_>>().join("\n"),
            keys.collect::<Vec<_>>().join("\n"),
            groups.collect::<Vec<_>>().join("\n"),
            Moment(self.not_before_ms).to_string(),
            Moment(self.expires_at_ms).to_string(),
            self.sequence.to_string(),
            self.unanswered.to_string(),
            self.rules.len().to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// A token in a list of tokens.
#[derive(Serialize)]
#[serde(transparent)]
struct Row(Shown);

impl Show for Row {
    const KIND: &'static str = "token";
    const COLUMNS: &'static [&'static str] =
        &["ID", "OWNER", "STATUS", "STAKE", "REQUESTS", "EXPIRES"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.0.id.to_string(),
            self.0.owner.to_string(),
            self.0.status.to_owned(),
            Amount(self.0.bonded_mist).to_string(),
            self.0.sequence.to_string(),
            Moment(self.0.expires_at_ms).to_string(),
        ]
    }

    fn name(&self) -> String {
        self.0.id.to_string()
    }
}
