//! Clusters and their executors: policy, admission, stake, slashing, anchors.

use super::apply::{Abort, AttestedFacts, Context, Effects};
use super::check::{self, Bound, require};
use super::state::{Cluster, State, VERSION};
use super::{Call, Code};
use crate::crypto::blake2b256;
use crate::types::{
    AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId, HexBytes,
    TokenId,
};
use crate::wire::{
    AnchorMessage, AttestationNonce, AttestationUserData, ClusterCreated, ClusterMigrated,
    ClusterPolicySet, Deployment, ExecutorActivated, ExecutorDeactivated, ExecutorRegistered,
    ExecutorRemoved, ExecutorSlashed, ExecutorStakeDeposited, ExecutorStakeUnbonding,
    ExecutorStakeWithdrawn, InsuranceWithdrawn, IntentKind, ReadsAnchored, SignedAnswer, to_bcs,
};

/// 33 (name), 38.
pub(super) fn create_cluster(
    context: &mut Context<'_>,
    name: &ByteString,
    chain: ChainId,
    policy: &ClusterPolicy,
) -> Result<Effects, Abort> {
    let is_name = (1..=Bound::NAME_BYTES).contains(&name.len())
        && std::str::from_utf8(name).is_ok_and(|name| !name.chars().any(char::is_control));
    require(is_name, Code::LimitExceeded)?;
    check::policy(policy)?;
    Ok(Effects::of(ClusterCreated {
        cluster: (context.fresh_id)().into(),
        version: VERSION,
        name: name.clone(),
        chain,
        admin_cap: (context.fresh_id)().into(),
        admin: context.sender,
        policy: policy.clone(),
    }))
}

/// 1, 30, 38.
pub(super) fn set_policy(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    policy: &ClusterPolicy,
) -> Result<Effects, Abort> {
    let cluster = state.administered(context, cap, cluster)?;
    check::policy(policy)?;
    Ok(Effects::of(ClusterPolicySet {
        cluster: cluster.id,
        policy: policy.clone(),
    }))
}

/// 30, 1 (is current already).
pub(super) fn migrate_cluster(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
) -> Result<Effects, Abort> {
    let held = state
        .caps
        .get(&cap)
        .ok_or(Abort::MissingObject(cap.into()))?;
    let cluster = state.cluster_object(cluster)?;
    let is_admin = held.owner == context.sender && cluster.admin_cap == cap;
    require(is_admin, Code::NotAdmin)?;
    require(cluster.version < VERSION, Code::WrongVersion)?;
    Ok(Effects::of(ClusterMigrated {
        cluster: cluster.id,
        version: VERSION,
    }))
}

/// 1, 30, 32, 7.
pub(super) fn withdraw_insurance(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    amount: u64,
) -> Result<Effects, Abort> {
    let cluster = state.administered(context, cap, cluster)?;
    require(amount > 0, Code::ZeroAmount)?;
    require(amount <= cluster.insurance, Code::InsufficientStake)?;
    let recipient = context.sender;
    let event = InsuranceWithdrawn {
        cluster: cluster.id,
        amount,
        recipient,
    };
    Ok(Effects::of(event).paying(recipient, amount))
}

/// 1, 30, 33, 35, 36, then 40, 42, 41, 43, 44, 45 of an attestation that is required or given.
pub(super) fn register(
    state: &State,
    context: &mut Context<'_>,
    call: &Call,
) -> Result<Effects, Abort> {
    let Call::RegisterExecutor {
        cap,
        cluster,
        operator,
        signing_key,
        encryption_key,
        attestation,
    } = call
    else {
        unreachable!("dispatched by variant")
    };
    let cluster = state.administered(context, *cap, *cluster)?;
    require(
        cluster.executors.len() < Bound::EXECUTORS,
        Code::LimitExceeded,
    )?;
    let signing_key = check::public_key(signing_key)?;
    require(encryption_key.len() == 32, Code::InvalidKey)?;
    let is_known = cluster.slashed_keys.contains(&signing_key)
        || cluster
            .executors
            .iter()
            .any(|entry| entry.signing_key == signing_key);
    require(!is_known, Code::DuplicateKey)?;
    let pcrs = if attestation.is_empty() {
        require(
            !cluster.policy.require_attestation,
            Code::AttestationMissing,
        )?;
        Vec::new()
    } else {
        let facts = context.attestation.verify(attestation, context.now_ms);
        let facts = facts.ok_or(Code::AttestationMissing)?;
        let binds = AttestationUserData {
            operator: *operator,
            signing_key: HexBytes::from(signing_key.as_ref()),
            encryption_key: encryption_key.clone(),
            kube_ca_hash: cluster.policy.kube_ca_hash.clone(),
        };
        let binds = blake2b256(&[&to_bcs(&binds)]);
        check_attestation(cluster, &facts, binds, context.now_ms)?
    };
    Ok(Effects::of(ExecutorRegistered {
        cluster: cluster.id,
        executor: (context.fresh_id)().into(),
        operator: *operator,
        signing_key,
        encryption_key: encryption_key.clone(),
        pcrs,
        registrations: cluster.registrations.saturating_add(1),
    }))
}

/// 1, 30, 23 (unknown, or slashed).
pub(super) fn activate(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    executor: ExecutorId,
) -> Result<Effects, Abort> {
    let cluster = state.administered(context, cap, cluster)?;
    let entry = cluster
        .executor(executor)
        .ok_or(Code::ExecutorNotEligible)?;
    let is_slashed = cluster.slashed_keys.contains(&entry.signing_key);
    require(!is_slashed && !entry.active, Code::ExecutorNotEligible)?;
    Ok(Effects::of(ExecutorActivated {
        cluster: cluster.id,
        executor,
    }))
}

/// 1, 30, 23 (unknown, or inactive already).
pub(super) fn deactivate(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    executor: ExecutorId,
) -> Result<Effects, Abort> {
    let cluster = state.administered(context, cap, cluster)?;
    let entry = cluster
        .executor(executor)
        .ok_or(Code::ExecutorNotEligible)?;
    require(entry.active, Code::ExecutorNotEligible)?;
    Ok(Effects::of(ExecutorDeactivated {
        cluster: cluster.id,
        executor,
    }))
}

/// 1, 30, 23 (unknown, or active).
pub(super) fn remove(
    state: &State,
    context: &Context<'_>,
    cap: AdminCapId,
    cluster: ClusterId,
    executor: ExecutorId,
) -> Result<Effects, Abort> {
    let cluster = state.administered(context, cap, cluster)?;
    let entry = cluster
        .executor(executor)
        .ok_or(Code::ExecutorNotEligible)?;
    require(!entry.active, Code::ExecutorNotEligible)?;
    Ok(Effects::of(ExecutorRemoved {
        cluster: cluster.id,
        executor,
    }))
}

/// 1, 23 (of another cluster, or slashed: it would be lost), 32, 33 (more MIST than there can be).
pub(super) fn deposit(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    executor: ExecutorId,
    amount: u64,
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let executor = state.executor_object(executor)?;
    require(cluster.version == VERSION, Code::WrongVersion)?;
    let fits = executor.cluster == cluster.id && !executor.slashed;
    require(fits, Code::ExecutorNotEligible)?;
    let bonded = check::deposit(amount, executor.bonded, &executor.unbondings)?;
    Ok(Effects::of(ExecutorStakeDeposited {
        cluster: cluster.id,
        executor: executor.id,
        depositor: context.sender,
        amount,
        bonded,
    })
    .taking(amount))
}

/// 31, 23 (of another cluster), 32, 7, 33. Works on clusters of any version.
pub(super) fn unstake(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    executor: ExecutorId,
    amount: u64,
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let executor = state.executor_object(executor)?;
    require(executor.operator == context.sender, Code::NotOwner)?;
    require(executor.cluster == cluster.id, Code::ExecutorNotEligible)?;
    check::unbonding(amount, executor.bonded, executor.unbondings.len())?;
    Ok(Effects::of(ExecutorStakeUnbonding {
        cluster: cluster.id,
        executor: executor.id,
        amount,
        unlock_ms: context.now_ms.saturating_add(cluster.policy.unbonding_ms),
    }))
}

/// 31, 37. Works on clusters of any version.
pub(super) fn withdraw(
    state: &State,
    context: &Context<'_>,
    executor: ExecutorId,
) -> Result<Effects, Abort> {
    let executor = state.executor_object(executor)?;
    require(executor.operator == context.sender, Code::NotOwner)?;
    let amount = check::unlocked(&executor.unbondings, context.now_ms)?;
    Ok(Effects::of(ExecutorStakeWithdrawn {
        cluster: executor.cluster,
        executor: executor.id,
        amount,
        recipient: executor.operator,
        timestamp_ms: context.now_ms,
    })
    .paying(executor.operator, amount))
}

/// 1, 23 (of another cluster), 46 (slashed already; not one request, digest and epoch; the same outcome, or one that is never
/// recorded; a bad signature), 33 (more MIST than there can be).
///
/// The request itself need not be known any more.
pub(super) fn slash(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    executor: ExecutorId,
    token: TokenId,
    answers: [&SignedAnswer; 2],
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let executor = state.executor_object(executor)?;
    require(cluster.version == VERSION, Code::WrongVersion)?;
    require(executor.cluster == cluster.id, Code::ExecutorNotEligible)?;
    let [first, second] = answers.map(|answer| &answer.message);
    let is_one = first.request_id == second.request_id
        && first.digest == second.digest
        && first.epoch == second.epoch;
    let differs = first.outcome() != second.outcome();
    // What `store` would never take is no answer, so it contradicts none.
    let are_answers = check::is_outcome(first) && check::is_outcome(second);
    require(
        !executor.slashed && is_one && differs && are_answers,
        Code::NotEquivocation,
    )?;
    let deployment = Deployment {
        chain: cluster.chain,
        package: context.package,
    };
    let intent = deployment.intent(IntentKind::Answer, cluster.id, token);
    let are_signed = answers.iter().all(|answer| {
        let bytes = intent.signed_bytes(&answer.message);
        context
            .signatures
            .verify(&executor.signing_key, &bytes, &answer.signature)
    });
    require(are_signed, Code::NotEquivocation)?;
    let taken = executor.stake_total();
    let reward = taken / PRESENTERS_SHARE;
    let insured = taken - reward;
    require(
        cluster.insurance.checked_add(insured).is_some(),
        Code::LimitExceeded,
    )?;
    let presenter = context.sender;
    let effects = Effects::of(ExecutorSlashed {
        cluster: cluster.id,
        executor: executor.id,
        presenter,
        token,
        request_id: first.request_id.clone(),
        epoch: first.epoch,
        reward,
        insured,
    });
    Ok(if reward > 0 {
        effects.paying(presenter, reward)
    } else {
        effects
    })
}

/// 1, 23, 24, 47 (not right after the last).
///
/// Move builds the message from the executor's object: one that names another was not signed.
pub(super) fn anchor(
    state: &State,
    context: &Context<'_>,
    cluster: ClusterId,
    executor: ExecutorId,
    message: &AnchorMessage,
    signature: &[u8],
) -> Result<Effects, Abort> {
    let cluster = state.cluster_object(cluster)?;
    let executor = state.executor_object(executor)?;
    require(cluster.version == VERSION, Code::WrongVersion)?;
    let entry = cluster
        .executor(executor.id)
        .ok_or(Code::ExecutorNotEligible)?;
    require(cluster.is_eligible(entry), Code::ExecutorNotEligible)?;
    let deployment = Deployment {
        chain: cluster.chain,
        package: context.package,
    };
    let intent = deployment.intent(IntentKind::Anchor, cluster.id, TokenId::ZERO);
    let signature = <[u8; 64]>::try_from(signature).map_err(|_| Code::InvalidSignature)?;
    let message = &AnchorMessage {
        executor: executor.id,
        ..message.clone()
    };
    let is_valid = context.signatures.verify(
        &executor.signing_key,
        &intent.signed_bytes(message),
        &signature.into(),
    );
    require(is_valid, Code::InvalidSignature)?;
    let continues = message.previous_root == executor.anchored_root
        && executor.anchored_last.checked_add(1) == Some(message.first)
        && message
            .last
            .checked_sub(message.first)
            .is_some_and(|span| span.checked_add(1) == Some(message.count));
    require(continues, Code::AnchorGap)?;
    Ok(Effects::of(ReadsAnchored {
        cluster: cluster.id,
        executor: executor.id,
        previous_root: message.previous_root,
        root: message.root,
        first: message.first,
        last: message.last,
        count: message.count,
        timestamp_ms: context.now_ms,
    }))
}

/// The PCRs of an attestation that may be believed: 42, 41, 43, 44, 45.
fn check_attestation(
    cluster: &Cluster,
    facts: &AttestedFacts,
    binds: Digest,
    now_ms: u64,
) -> Result<Vec<HexBytes>, Code> {
    let is_debug = facts
        .pcrs
        .iter()
        .any(|pcr| pcr.iter().all(|byte| *byte == 0));
    require(!is_debug, Code::AttestationDebug)?;
    let pcrs: Vec<HexBytes> = facts.pcrs.iter().map(|pcr| HexBytes(pcr.clone())).collect();
    let policy = &cluster.policy;
    require(
        policy.pcrs.is_empty() || policy.pcrs == pcrs,
        Code::AttestationPcr,
    )?;
    let is_fresh = facts.timestamp_ms <= now_ms.saturating_add(Bound::ATTESTATION_AHEAD_MS)
        && now_ms <= facts.timestamp_ms.saturating_add(Bound::ATTESTATION_AGE_MS);
    require(is_fresh, Code::AttestationStale)?;
    let nonce = AttestationNonce {
        cluster: cluster.id,
        registrations: cluster.registrations,
    };
    let nonce = blake2b256(&[&to_bcs(&nonce)]);
    require(facts.nonce == nonce.as_bytes(), Code::AttestationNonce)?;
    require(
        facts.user_data == binds.as_bytes(),
        Code::AttestationUserData,
    )?;
    Ok(pcrs)
}

/// Who proves an equivocation gets one part in so many, rounded down.
const PRESENTERS_SHARE: u64 = 10;
