//! Seal tokens: issuing, holders, stake.

use super::apply::{Abort, Context, Effects};
use super::check::{self, Bound, require};
use super::state::{SealToken, State, VERSION};
use super::{Call, Code};
use crate::types::{Address, AdminCapId, ByteString, ClusterId, PolicyRule, TokenId};
use crate::wire::{
    DelegateAdded, DelegateRemoved, SealTokenIssued, SealTokenMigrated, SealTokenRevoked,
    SealTokenRulesSet, SessionKeyRegistered, SessionKeyRemoved, StakeDeposited, StakeUnbonding,
    StakeWithdrawn,
};

/// 1, 30, 33 (rules, groups, delegates), 38 (a group), 34 (expiries), 35 (owner as delegate), 36 (a delegate twice).
pub(super) fn issue(
    state: &State,
    context: &mut Context<'_>,
    call: &Call,
) -> Result<Effects, Abort> {
    let Call::IssueToken {
        cap,
        cluster,
        owner,
        rules,
        groups,
        not_before_ms,
        expires_at_ms,
        delegates,
    } = call
    else {
        unreachable!("dispatched by variant")
    };
    let cluster = state.administered(context, *cap, *cluster)?;
    check::rules(rules)?;
    let fits = groups.len() <= Bound::GROUPS && delegates.len() <= Bound::DELEGATES;
    require(fits, Code::LimitExceeded)?;
    require(groups.iter().all(is_group), Code::InvalidPolicy)?;
    let begins = not_before_ms < expires_at_ms && context.now_ms < *expires_at_ms;
    let live = delegates
        .iter()
        .all(|delegate| context.now_ms < delegate.expires_at_ms);
    require(begins && live, Code::InvalidExpiry)?;
    require(
        delegates.iter().all(|entry| entry.delegate != *owner),
        Code::InvalidKey,
    )?;
    let twice = |(index, entry): (usize, &crate::wire::Delegate)| {
        delegates[..index]
            .iter()
            .any(|earlier| earlier.delegate == entry.delegate)
    };
    require(!delegates.iter().enumerate().any(twice), Code::DuplicateKey)?;
    Ok(Effects::of(SealTokenIssued {
        cluster: cluster.id,
        token: (context.fresh_id)().into(),
        version: VERSION,
        owner: *owner,
        rules: rules.clone(),
        groups: groups.clone(),
        not_before_ms: *not_before_ms,
        expires_at_ms: *expires_at_ms,
        delegates: delegates.clone(),
    }))
}

/// 1, 30, 2 (of another cluster, or revoked already). A token of an older version can be revoked.
pub(super) fn revoke(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    token: TokenId,
) -> Result<Effects, Abort> {
    let token = state.token_object(token)?;
    let cluster = state.administered(context, cap, cluster)?;
    require(
        token.cluster == cluster.id && !token.revoked,
        Code::InvalidSealToken,
    )?;
    Ok(Effects::of(SealTokenRevoked {
        cluster: cluster.id,
        token: token.id,
    }))
}

/// 1, 30, 2 (of another cluster, or revoked), 33.
pub(super) fn set_rules(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    token: TokenId,
    rules: &[PolicyRule],
) -> Result<Effects, Abort> {
    let token = state.token_object(token)?;
    let cluster = state.administered_with(context, cap, cluster, token.version)?;
    require(
        token.cluster == cluster.id && !token.revoked,
        Code::InvalidSealToken,
    )?;
    check::rules(rules)?;
    let event = SealTokenRulesSet {
        cluster: cluster.id,
        token: token.id,
        rules: rules.to_vec(),
    };
    Ok(Effects::of(event))
}

/// 1 (the cluster is not current, or the token already is), 2.
pub(super) fn migrate(state: &State, cluster: ClusterId, token: TokenId) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let token = state.token_object(token)?;
    require(
        cluster.version == VERSION && token.version < VERSION,
        Code::WrongVersion,
    )?;
    require(token.cluster == cluster.id, Code::InvalidSealToken)?;
    let event = SealTokenMigrated {
        cluster: cluster.id,
        token: token.id,
        version: VERSION,
    };
    Ok(Effects::of(event))
}

/// 1, 31, 2 (revoked or expired), 34, 35 (the owner itself), 33. An address that is one already gets the new expiry.
pub(super) fn add_delegate(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
    delegate: Address,
    expires_at_ms: u64,
) -> Result<Effects, Abort> {
    let token = owned(state, context, token)?;
    require(is_live(token, context.now_ms), Code::InvalidSealToken)?;
    require(context.now_ms < expires_at_ms, Code::InvalidExpiry)?;
    require(delegate != token.owner, Code::InvalidKey)?;
    let fits = token.delegates.contains_key(&delegate) || token.delegates.len() < Bound::DELEGATES;
    require(fits, Code::LimitExceeded)?;
    Ok(Effects::of(DelegateAdded {
        cluster: token.cluster,
        token: token.id,
        delegate,
        expires_at_ms,
    }))
}

/// 1, 31, 35 (no delegate).
pub(super) fn remove_delegate(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
    delegate: Address,
) -> Result<Effects, Abort> {
    let token = owned(state, context, token)?;
    require(token.delegates.contains_key(&delegate), Code::InvalidKey)?;
    Ok(Effects::of(DelegateRemoved {
        cluster: token.cluster,
        token: token.id,
        delegate,
    }))
}

/// 1, 31, 2 (revoked or expired), 34, 35, 36, 33.
pub(super) fn register_session_key(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
    key: &[u8],
    expires_at_ms: u64,
) -> Result<Effects, Abort> {
    let token = owned(state, context, token)?;
    require(is_live(token, context.now_ms), Code::InvalidSealToken)?;
    require(context.now_ms < expires_at_ms, Code::InvalidExpiry)?;
    let key = check::public_key(key)?;
    require(!token.session_keys.contains_key(&key), Code::DuplicateKey)?;
    require(
        token.session_keys.len() < Bound::SESSION_KEYS,
        Code::LimitExceeded,
    )?;
    Ok(Effects::of(SessionKeyRegistered {
        cluster: token.cluster,
        token: token.id,
        key,
        expires_at_ms,
    }))
}

/// 1, 31, 35 (no session key).
pub(super) fn remove_session_key(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
    key: &[u8],
) -> Result<Effects, Abort> {
    let token = owned(state, context, token)?;
    let key = check::public_key(key)?;
    require(token.session_keys.contains_key(&key), Code::InvalidKey)?;
    Ok(Effects::of(SessionKeyRemoved {
        cluster: token.cluster,
        token: token.id,
        key,
    }))
}

/// 1, 32, 33 (more MIST than there can be). Any time: the owner can unstake from a revoked or expired token too.
pub(super) fn deposit(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
    amount: u64,
) -> Result<Effects, Abort> {
    let token = state.token_object(token)?;
    require(token.version == VERSION, Code::WrongVersion)?;
    let bonded = check::deposit(amount, token.bonded, &token.unbondings)?;
    Ok(Effects::of(StakeDeposited {
        cluster: token.cluster,
        token: token.id,
        depositor: context.sender,
        amount,
        bonded,
    })
    .taking(amount))
}

/// 31, 2 (of another cluster), 32, 7 (more than is bonded), 33. Works on tokens of any version, revoked and expired ones too.
pub(super) fn unstake(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    token: TokenId,
    amount: u64,
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let token = state.token_object(token)?;
    require(token.owner == context.sender, Code::NotOwner)?;
    require(token.cluster == cluster.id, Code::InvalidSealToken)?;
    check::unbonding(amount, token.bonded, token.unbondings.len())?;
    Ok(Effects::of(StakeUnbonding {
        cluster: cluster.id,
        token: token.id,
        amount,
        unlock_ms: context.now_ms.saturating_add(cluster.policy.unbonding_ms),
    }))
}

/// 31, 37. Works on tokens of any version, revoked and expired ones too.
pub(super) fn withdraw(
    state: &State,
    context: &Context<'_>,
    token: TokenId,
) -> Result<Effects, Abort> {
    let token = state.token_object(token)?;
    require(token.owner == context.sender, Code::NotOwner)?;
    let amount = check::unlocked(&token.unbondings, context.now_ms)?;
    Ok(Effects::of(StakeWithdrawn {
        cluster: token.cluster,
        token: token.id,
        amount,
        recipient: token.owner,
        timestamp_ms: context.now_ms,
    })
    .paying(token.owner, amount))
}

/// The token, if it is of the current version and the sender's: 1, 31.
fn owned<'a>(
    state: &'a State,
    context: &Context<'_>,
    token: TokenId,
) -> Result<&'a SealToken, Abort> {
    let token = state.token_object(token)?;
    require(token.version == VERSION, Code::WrongVersion)?;
    require(token.owner == context.sender, Code::NotOwner)?;
    Ok(token)
}

/// Neither revoked nor expired; it may begin later.
fn is_live(token: &SealToken, now_ms: u64) -> bool {
    !token.revoked && now_ms < token.expires_at_ms
}

/// A group that may be impersonated: visible ASCII, as it travels in a header, and none of Kubernetes' own.
fn is_group(group: &ByteString) -> bool {
    (1..=Bound::NAME_BYTES).contains(&group.len())
        && group.iter().all(u8::is_ascii_graphic)
        && !group.starts_with(b"system:")
}
