//! `daas token replace`: a token of another owner in the place of one.

use anyhow::Context as _;
use k3s_daas::contract::Call;
use k3s_daas::ledger::LedgerExt as _;
use k3s_daas::types::{Address, TokenId};
use k3s_daas::wire::Delegate;

use super::{Named, Shown, issue_call};
use crate::app::{App, Role};
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::names;
use crate::settings::{self, Key};
use crate::units::{Moment, Span};

/// Which token, and whose the new one is.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
A token's owner stays its owner: the contract knows no transfer. So an owner's new key gets a token of its own, with \
the same rules, groups and delegates, which ends when the old one does unless --for is given. Stake does not move: \
add it to the new one, and take back that of the old one. In Kubernetes the new token is another user, `seal:TOKEN`, \
with bindings of its own. The old token stays as it is until `daas token revoke`.

Examples:
  daas token replace 0x70ce… --owner 0xa11ce…
  daas token replace --owner 0xa11ce… --for 30d --save -o name")]
pub struct Replace {
    /// Which token.
    #[command(flatten)]
    token: Named,
    /// Who owns the new one; the owner key of the settings otherwise.
    #[arg(long, value_name = "ADDRESS", value_parser = names::parse::<Address>)]
    owner: Option<Address>,
    /// For how long it is valid; until the old one ends otherwise.
    #[arg(long = "for", value_name = "TIME")]
    span: Option<Span>,
    /// Make it the token of the settings file.
    #[arg(long)]
    save: bool,
    /// How to print.
    #[command(flatten)]
    output: Output,
}

/// Issues it.
///
/// # Errors
/// [`Exit::Refused`] if the old one has ended and --for is not given, else what the ledger says.
pub(super) fn run(args: &Replace, global: &Global) -> anyhow::Result<()> {
    let app = App::new(global, args.output, args.token.flags())?;
    app.block_on(async {
        let ledger = app.ledger(Role::Admin).await?;
        let old: TokenId = app.settings.required(Key::Token)?;
        let owner = match args.owner {
            Some(owner) => owner,
            None => app.address(Role::Owner)?,
        };
        let found = ledger.view(|now| Some((now.state.token(old)?.clone(), now.now_ms)));
        let Some((token, now_ms)) = found else {
            let message = format!("there is no token {old} on this ledger");
            return Err(Failure::new(Exit::NotFound, message)
                .with_next("`daas token list` shows those that there are")
                .into());
        };
        let ends_at_ms = match args.span {
            Some(span) => Moment(now_ms).after(span).0,
            None => token.expires_at_ms,
        };
        if ends_at_ms <= now_ms {
            let message = format!("token {old} has ended, and the new one would too");
            return Err(Failure::new(Exit::Refused, message)
                .with_next("say with --for for how long the new one is valid")
                .into());
        }
        let live = token.delegates.iter().filter(|(_, ends)| now_ms < **ends);
        let delegates = live.map(|(&delegate, &ends)| Delegate {
            delegate,
            // One for as long as the token is one for as long as the new one.
            expires_at_ms: match ends >= token.expires_at_ms {
                true => ends_at_ms,
                false => ends.min(ends_at_ms),
            },
        });
        let call = Call::IssueToken {
            cap: app.settings.required(Key::AdminCap)?,
            cluster: token.cluster,
            owner,
            rules: token.rules.clone(),
            groups: token.groups.clone(),
            not_before_ms: token.not_before_ms.max(now_ms),
            expires_at_ms: ends_at_ms,
            delegates: delegates.collect(),
        };
        let new = issue_call(&ledger, call).await?;
        if args.save {
            settings::update(
                app.settings.file(),
                &[(Key::Token, new.to_string().into())],
            )?;
        }
        let shown = ledger.view(|now| {
            let token = now.state.token(new)?;
            Some(Shown::of(token, now.now_ms))
        });
        let shown = shown.context("the ledger does not show the token that it issued")?;
        app.printer.object(&shown)?;
        app.printer.note(&format!(
            "in Kubernetes bind user seal:{new} as seal:{old} is; stake: `daas token stake AMOUNT --token {new}`; \
             at the end `daas token revoke {old}`"
        ));
        Ok(())
    })
}
