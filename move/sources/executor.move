/// A Nautilus instance: its registration, its stake, and what it costs to answer one request in two ways.
///
/// The cluster's list knows of an executor what assigning needs; the executor's own object has its stake and its anchors. It
/// carries no version: every call that checks one takes its cluster too.
module k3s_daas::executor;

use k3s_daas::attestation::{Self, AttestedFacts};
use k3s_daas::cluster::{Cluster, ClusterAdminCap};
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::intent;
use k3s_daas::message::SignedAnswer;
use k3s_daas::public_key;
use k3s_daas::stake::{Self, Stake};
use sui::balance::Balance;
use sui::clock::Clock;
use sui::nitro_attestation::NitroAttestationDocument;
use sui::sui::SUI;

// === Constants ===

/// Who proves an equivocation gets one part in so many, rounded down.
const PRESENTERS_SHARE: u64 = 10;
/// The root before the first anchor.
const NO_ROOT: vector<u8> = x"0000000000000000000000000000000000000000000000000000000000000000";

// === Structs ===

/// One executor, shared. Its ID is the executor's ID.
public struct ExecutorState has key {
    id: UID,
    cluster: address,
    /// Who owns its stake.
    operator: address,
    /// Ed25519 key of its answers.
    signing_key: vector<u8>,
    stake: Stake,
    /// The last root it anchored; zero if none.
    anchored_root: vector<u8>,
    /// Sequence number of the last read it anchored.
    anchored_last: u64,
    /// Whether it was caught equivocating.
    slashed: bool,
}

// === Public functions ===

/// Shares an executor that was just registered. Never aborts on one.
#[allow(lint(share_owned))]
public fun share(executor: ExecutorState) {
    transfer::share_object(executor)
}

/// Adds to an executor's stake; anyone may.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `EExecutorNotEligible`: the executor is of another cluster, or slashed, and the stake would be lost;
/// - `EZeroAmount`;
/// - `ELimitExceeded`: more MIST than 64 bits hold.
public fun deposit_executor_stake(
    cluster: &mut Cluster,
    executor: &mut ExecutorState,
    deposit: Balance<SUI>,
    ctx: &mut TxContext,
) {
    cluster.check_version();
    executor.check_cluster(cluster);
    errors::require(!executor.slashed, errors::executor_not_eligible!());
    let amount = deposit.value();
    executor.stake.deposit(deposit);
    let bonded = executor.stake.bonded();
    cluster.set_executor_stake(executor.id(), bonded);
    events::executor_stake_deposited(cluster.id(), executor.id(), ctx.sender(), amount, bonded);
}

/// Begins to unbond some of an executor's stake. Works on clusters of any version.
///
/// Aborts:
/// - `ENotOwner`: the sender is not the operator;
/// - `EExecutorNotEligible`: the executor is of another cluster;
/// - `EZeroAmount`;
/// - `EInsufficientStake`: less is bonded;
/// - `ELimitExceeded`: 32 unbondings are under way, or it is less than 0.01 SUI and not all that is left.
public fun unstake_executor(
    cluster: &mut Cluster,
    executor: &mut ExecutorState,
    amount: u64,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    executor.check_operator(ctx);
    executor.check_cluster(cluster);
    let unbonding_ms = cluster.policy().unbonding_ms();
    let unlock_ms = executor.stake.unbond(amount, clock.timestamp_ms(), unbonding_ms);
    cluster.set_executor_stake(executor.id(), executor.stake.bonded());
    events::executor_stake_unbonding(cluster.id(), executor.id(), amount, unlock_ms);
}

/// Pays all of an executor's stake that is unlocked to its operator, who sends the transaction.
///
/// Aborts:
/// - `ENotOwner`: the sender is not the operator;
/// - `EStillUnbonding`: nothing is unlocked.
public fun withdraw_executor_stake(
    executor: &mut ExecutorState,
    clock: &Clock,
    ctx: &mut TxContext,
): Balance<SUI> {
    executor.check_operator(ctx);
    let now_ms = clock.timestamp_ms();
    let paid = executor.stake.withdraw(now_ms);
    events::executor_stake_withdrawn(
        executor.cluster,
        executor.id(),
        paid.value(),
        executor.operator,
        now_ms,
    );
    paid
}

/// Takes all stake of an executor that answered one request of `token` in two ways: a tenth, rounded down, is returned to
/// whoever proves it, the rest goes to the cluster's insurance. The executor is deactivated, its key never admitted again. The
/// request itself need not be known any more.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `EExecutorNotEligible`: the executor is of another cluster;
/// - `ENotEquivocation`: the executor is slashed already; the answers are not to one request, digest and epoch, or have the same
///   outcome, or one that no ledger records (`EMalformedResponse`); a signature is not valid;
/// - `ELimitExceeded`: more MIST than 64 bits hold.
public fun slash_equivocation(
    cluster: &mut Cluster,
    executor: &mut ExecutorState,
    token: address,
    first: SignedAnswer,
    second: SignedAnswer,
    ctx: &mut TxContext,
): Balance<SUI> {
    cluster.check_version();
    executor.check_cluster(cluster);
    errors::require(!executor.slashed, errors::not_equivocation!());
    errors::require(first.is_same_assignment(&second), errors::not_equivocation!());
    errors::require(!first.is_same_outcome(&second), errors::not_equivocation!());
    // What `store_k8s_response` would never take is no answer, so it contradicts none.
    errors::require(first.answer_message().is_outcome(), errors::not_equivocation!());
    errors::require(second.answer_message().is_outcome(), errors::not_equivocation!());
    errors::require(executor.has_signed(cluster, token, &first), errors::not_equivocation!());
    errors::require(executor.has_signed(cluster, token, &second), errors::not_equivocation!());
    let taken = executor.stake.total();
    let reward = taken / PRESENTERS_SHARE;
    cluster.check_insurable(taken - reward);
    let mut insured = executor.stake.take_all();
    let paid = insured.split(reward);
    executor.slashed = true;
    cluster.set_executor_stake(executor.id(), 0);
    cluster.insure(executor.signing_key, insured);
    events::executor_slashed(
        cluster.id(),
        executor.id(),
        ctx.sender(),
        token,
        *first.answered_request_id(),
        first.answered_epoch(),
        reward,
        taken - reward,
    );
    paid
}

// === Admin functions ===

/// Admits an executor without attestation. Share it with `share`.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `ELimitExceeded`: the cluster has 64 executors;
/// - `EInvalidKey`: a key is not 32 bytes, or the signing key is of small order;
/// - `EDuplicateKey`: the signing key is another executor's, or was slashed;
/// - `EAttestationMissing`: the policy requires attestation.
public fun register_executor(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    ctx: &mut TxContext,
): ExecutorState {
    check_registration(cluster, cap, &signing_key, &encryption_key);
    let is_required = cluster.policy().require_attestation();
    errors::require(!is_required, errors::attestation_missing!());
    new(cluster, operator, signing_key, encryption_key, vector[], ctx)
}

/// Admits an executor in an enclave. The document is what `sui::nitro_attestation::load_nitro_attestation` gave earlier in the
/// same transaction. Share the executor with `share`.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `ELimitExceeded`: the cluster has 64 executors;
/// - `EInvalidKey`: a key is not 32 bytes, or the signing key is of small order;
/// - `EDuplicateKey`: the signing key is another executor's, or was slashed;
/// - `EAttestationDebug`: one of PCR0–2 is zero or missing;
/// - `EAttestationPcr`: they are not those of the policy, if it has any;
/// - `EAttestationStale`: the document is more than 60 s from the future or more than 300 s old;
/// - `EAttestationNonce`: it is for another registration;
/// - `EAttestationUserData`: it binds another operator, other keys or another API server.
public fun register_attested_executor(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    document: NitroAttestationDocument,
    clock: &Clock,
    ctx: &mut TxContext,
): ExecutorState {
    let facts = attestation::facts(&document);
    register_with_facts(cluster, cap, operator, signing_key, encryption_key, facts, clock, ctx)
}

// === Package functions ===

public(package) fun id(executor: &ExecutorState): address { executor.id.to_address() }

public(package) fun signing_key(executor: &ExecutorState): &vector<u8> { &executor.signing_key }

public(package) fun anchored_root(executor: &ExecutorState): &vector<u8> { &executor.anchored_root }

public(package) fun anchored_last(executor: &ExecutorState): u64 { executor.anchored_last }

public(package) fun set_anchored(executor: &mut ExecutorState, root: vector<u8>, last: u64) {
    executor.anchored_root = root;
    executor.anchored_last = last;
}

/// Admits an executor whose document says this.
public(package) fun register_with_facts(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    facts: AttestedFacts,
    clock: &Clock,
    ctx: &mut TxContext,
): ExecutorState {
    check_registration(cluster, cap, &signing_key, &encryption_key);
    let now_ms = clock.timestamp_ms();
    let pcrs = facts.check(cluster, operator, signing_key, encryption_key, now_ms);
    new(cluster, operator, signing_key, encryption_key, pcrs, ctx)
}

// === Private functions ===

fun check_registration(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    signing_key: &vector<u8>,
    encryption_key: &vector<u8>,
) {
    cluster.check_admin(cap);
    cluster.check_room();
    public_key::check(signing_key);
    errors::require(encryption_key.length() == 32, errors::invalid_key!());
    cluster.check_new_key(signing_key);
}

fun new(
    cluster: &mut Cluster,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    pcrs: vector<vector<u8>>,
    ctx: &mut TxContext,
): ExecutorState {
    let executor = ExecutorState {
        id: object::new(ctx),
        cluster: cluster.id(),
        operator,
        signing_key,
        stake: stake::new(),
        anchored_root: NO_ROOT,
        anchored_last: 0,
        slashed: false,
    };
    cluster.add_executor(executor.id(), operator, signing_key, encryption_key, pcrs);
    executor
}

fun check_operator(executor: &ExecutorState, ctx: &TxContext) {
    errors::require(executor.operator == ctx.sender(), errors::not_owner!());
}

fun check_cluster(executor: &ExecutorState, cluster: &Cluster) {
    errors::require(executor.cluster == cluster.id(), errors::executor_not_eligible!());
}

fun has_signed(
    executor: &ExecutorState,
    cluster: &Cluster,
    token: address,
    answer: &SignedAnswer,
): bool {
    let signed = intent::signed_bytes(
        intent::answer!(),
        cluster.chain(),
        cluster.id(),
        token,
        *answer.answer_message(),
    );
    intent::verify(&signed, &executor.signing_key, answer.signature())
}

// === Test-only functions ===

#[test_only]
public fun stake_for_testing(executor: &ExecutorState): &Stake { &executor.stake }

#[test_only]
public fun is_slashed_for_testing(executor: &ExecutorState): bool { executor.slashed }

/// The BCS of this object as the Rust twin has it.
#[test_only]
public fun as_twin_for_testing(executor: &ExecutorState): vector<u8> {
    let mut bytes = sui::bcs::to_bytes(&executor.id());
    bytes.append(sui::bcs::to_bytes(&executor.cluster));
    bytes.append(sui::bcs::to_bytes(&executor.operator));
    bytes.append(executor.signing_key);
    bytes.append(executor.stake.as_twin_for_testing());
    bytes.append(sui::bcs::to_bytes(&executor.anchored_root));
    bytes.append(sui::bcs::to_bytes(&executor.anchored_last));
    bytes.append(sui::bcs::to_bytes(&executor.slashed));
    bytes
}
