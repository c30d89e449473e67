/// A Kubernetes cluster: its policy, its executors, and who governs it.
///
/// Every request reads the cluster and none writes it, so requests of different tokens run in parallel, but for those that wait
/// for somebody who names the cluster as mutable: on Sui anybody can, of any shared object, at the cost of gas. Whoever holds
/// its capability governs it; there is nothing else to govern it by.
module k3s_daas::cluster;

use k3s_daas::cluster_policy::ClusterPolicy;
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::request_form;
use k3s_daas::version;
use std::string::{Self, String};
use sui::address;
use sui::balance::{Self, Balance};
use sui::bcs;
use sui::hash;
use sui::sui::SUI;
use sui::table::{Self, Table};

// === Constants ===

/// Executors of a cluster.
const MAX_EXECUTORS: u64 = 64;

// === Structs ===

/// One Kubernetes cluster, shared.
public struct Cluster has key {
    id: UID,
    version: u64,
    name: String,
    /// The chain it believes to be on; its clients check it, Move cannot.
    chain: address,
    /// The capability that governs it.
    admin_cap: ID,
    /// How many executors were ever registered.
    registrations: u64,
    policy: ClusterPolicy,
    /// Its executors, oldest first.
    executors: vector<ExecutorEntry>,
    /// Signing keys that were slashed, never admitted again.
    slashed_keys: Table<vector<u8>, bool>,
    /// Taken from slashed executors.
    insurance: Balance<SUI>,
}

/// Governs one cluster. Whoever owns it may; it can be handed on, for example to a multisig.
public struct ClusterAdminCap has key, store {
    id: UID,
    cluster: ID,
}

/// What a cluster knows of an executor, so that assigning needs no other object.
public struct ExecutorEntry has copy, drop, store {
    /// The executor: the ID of its `ExecutorState`.
    id: address,
    /// Who owns its stake.
    operator: address,
    /// Ed25519 key of its answers.
    signing_key: vector<u8>,
    /// X25519 key that payloads are sealed to.
    encryption_key: vector<u8>,
    /// PCR0–2 if attested, else nothing.
    pcrs: vector<vector<u8>>,
    /// MIST bonded, a mirror of the executor's own.
    stake: u64,
    /// Whether it is assigned requests.
    active: bool,
}

/// What an executor's weight for a request is the BLAKE2b-256 of. Its BCS are these bytes and nothing between them; the
/// VM writes it far cheaper than vectors are joined.
public struct Ballot has drop {
    executor: address,
    token: address,
    /// The request's ID, 36 bytes.
    id_head: address,
    id_tail: u32,
    epoch: u64,
}

// === Public functions ===

/// Creates a cluster and the capability that governs it. Share the one with `share`, keep the other.
///
/// Aborts:
/// - `ELimitExceeded`: the name is empty, longer than 253 bytes, no UTF-8 or has control characters;
/// - `EInvalidPolicy`: a value of the policy is out of its bounds.
public fun create_cluster(
    name: vector<u8>,
    chain: address,
    policy: ClusterPolicy,
    ctx: &mut TxContext,
): (Cluster, ClusterAdminCap) {
    errors::require(request_form::is_cluster_name(&name), errors::limit_exceeded!());
    policy.check();
    let id = object::new(ctx);
    let cap = ClusterAdminCap { id: object::new(ctx), cluster: id.to_inner() };
    let cluster = Cluster {
        id,
        version: version::current(),
        name: string::utf8(name),
        chain,
        admin_cap: object::id(&cap),
        registrations: 0,
        policy,
        executors: vector[],
        slashed_keys: table::new(ctx),
        insurance: balance::zero(),
    };
    events::cluster_created(
        cluster.id(),
        cluster.version,
        name,
        chain,
        cluster.admin_cap.to_address(),
        ctx.sender(),
        policy,
    );
    (cluster, cap)
}

/// Shares a cluster that was just created. Never aborts on one.
#[allow(lint(share_owned))]
public fun share(cluster: Cluster) {
    transfer::share_object(cluster)
}

/// Pays insurance to the admin, who sends the transaction.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EZeroAmount`;
/// - `EInsufficientStake`: there is less.
public fun withdraw_insurance(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    amount: u64,
    ctx: &mut TxContext,
): Balance<SUI> {
    cluster.check_admin(cap);
    errors::require(amount > 0, errors::zero_amount!());
    errors::require(amount <= cluster.insurance.value(), errors::insufficient_stake!());
    events::insurance_withdrawn(cluster.id(), amount, ctx.sender());
    cluster.insurance.split(amount)
}

// === Admin functions ===

/// Replaces the policy. Unlock times and expiries that are set stay as they are.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EInvalidPolicy`: a value is out of its bounds.
public fun set_policy(cluster: &mut Cluster, cap: &ClusterAdminCap, policy: ClusterPolicy) {
    cluster.check_admin(cap);
    policy.check();
    cluster.policy = policy;
    events::cluster_policy_set(cluster.id(), policy);
}

/// Brings a cluster to the version of this package.
///
/// Aborts:
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EWrongVersion`: the cluster is of this version or a later one.
public fun migrate_cluster(cluster: &mut Cluster, cap: &ClusterAdminCap) {
    errors::require(cluster.admin_cap == object::id(cap), errors::not_admin!());
    errors::require(cluster.version < version::current(), errors::wrong_version!());
    cluster.version = version::current();
    events::cluster_migrated(cluster.id(), cluster.version);
}

/// Lets an executor be assigned requests again.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EExecutorNotEligible`: the executor is unknown, slashed, or active already.
public fun activate_executor(cluster: &mut Cluster, cap: &ClusterAdminCap, executor: address) {
    cluster.check_admin(cap);
    let index = cluster.index_of(executor);
    let entry = &mut cluster.executors[index];
    let is_slashed = cluster.slashed_keys.contains(entry.signing_key);
    errors::require(!is_slashed, errors::executor_not_eligible!());
    errors::require(!entry.active, errors::executor_not_eligible!());
    entry.active = true;
    events::executor_activated(cluster.id(), executor);
}

/// Assigns an executor nothing any more; it may not claim, answer or anchor either.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EExecutorNotEligible`: the executor is unknown, or inactive already.
public fun deactivate_executor(cluster: &mut Cluster, cap: &ClusterAdminCap, executor: address) {
    cluster.check_admin(cap);
    let index = cluster.index_of(executor);
    let entry = &mut cluster.executors[index];
    errors::require(entry.active, errors::executor_not_eligible!());
    entry.active = false;
    events::executor_deactivated(cluster.id(), executor);
}

/// Takes an inactive executor from the cluster's list. Its stake stays its operator's.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EExecutorNotEligible`: the executor is unknown, or active.
public fun remove_executor(cluster: &mut Cluster, cap: &ClusterAdminCap, executor: address) {
    cluster.check_admin(cap);
    let index = cluster.index_of(executor);
    errors::require(!cluster.executors[index].active, errors::executor_not_eligible!());
    cluster.executors.remove(index);
    events::executor_removed(cluster.id(), executor);
}

// === Package functions ===

public(package) fun id(cluster: &Cluster): address { cluster.id.to_address() }

public(package) fun policy(cluster: &Cluster): &ClusterPolicy { &cluster.policy }

/// How many executors were ever registered: what the nonce of the next attestation is made of.
public(package) fun registrations(cluster: &Cluster): u64 { cluster.registrations }

public(package) fun chain(cluster: &Cluster): address { cluster.chain }

public(package) fun is_current(cluster: &Cluster): bool { cluster.version == version::current() }

/// Aborts with `EWrongVersion` if the cluster is of another version.
public(package) fun check_version(cluster: &Cluster) {
    errors::require(cluster.is_current(), errors::wrong_version!());
}

/// Aborts with `EWrongVersion` or, if the capability is another cluster's, `ENotAdmin`.
public(package) fun check_admin(cluster: &Cluster, cap: &ClusterAdminCap) {
    cluster.check_version();
    errors::require(cluster.admin_cap == object::id(cap), errors::not_admin!());
}

/// The executor that gets a request: of all eligible ones the highest
/// BLAKE2b-256(executor ID ‖ token ID ‖ request ID ‖ epoch as u64 little-endian), compared as bytes, a tie to the lower ID.
/// Nobody if none is eligible but `except`.
public(package) fun assign(
    cluster: &Cluster,
    token: address,
    request_id: &vector<u8>,
    epoch: u64,
    except: Option<address>,
): Option<address> {
    let mut id = bcs::new(*request_id);
    let (id_head, id_tail) = (id.peel_address(), id.peel_u32());
    let mut chosen = option::none();
    let mut highest = 0;
    cluster.executors.do_ref!(|entry| {
        if (cluster.is_eligible(entry) && !except.is_some_and!(|id| *id == entry.id)) {
            let ballot = Ballot { executor: entry.id, token, id_head, id_tail, epoch };
            let hash = hash::blake2b256(&bcs::to_bytes(&ballot));
            let weight = address::from_bytes(hash).to_u256();
            if (chosen.is_none() || is_before(weight, entry.id, highest, *chosen.borrow())) {
                chosen = option::some(entry.id);
                highest = weight;
            }
        }
    });
    chosen
}

/// The entry of an executor that may claim, answer and anchor now. Aborts with `EExecutorNotEligible` if it may not.
public(package) fun eligible(cluster: &Cluster, executor: address): &ExecutorEntry {
    let entry = &cluster.executors[cluster.index_of(executor)];
    errors::require(cluster.is_eligible(entry), errors::executor_not_eligible!());
    entry
}

public(package) fun signing_key(entry: &ExecutorEntry): &vector<u8> { &entry.signing_key }

/// Aborts with `ELimitExceeded` if there is no room for another executor.
public(package) fun check_room(cluster: &Cluster) {
    errors::require(cluster.executors.length() < MAX_EXECUTORS, errors::limit_exceeded!());
}

/// Aborts with `EDuplicateKey` if the key is some executor's or was slashed.
public(package) fun check_new_key(cluster: &Cluster, signing_key: &vector<u8>) {
    let is_slashed = cluster.slashed_keys.contains(*signing_key);
    errors::require(!is_slashed, errors::duplicate_key!());
    let is_known = cluster.executors.any!(|entry| entry.signing_key == signing_key);
    errors::require(!is_known, errors::duplicate_key!());
}

/// Puts an executor on the list, active and without stake.
public(package) fun add_executor(
    cluster: &mut Cluster,
    id: address,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    pcrs: vector<vector<u8>>,
) {
    cluster.registrations = cluster.registrations + 1;
    let entry = ExecutorEntry {
        id,
        operator,
        signing_key,
        encryption_key,
        pcrs,
        stake: 0,
        active: true,
    };
    cluster.executors.push_back(entry);
    events::executor_registered(
        cluster.id(),
        id,
        operator,
        signing_key,
        encryption_key,
        pcrs,
        cluster.registrations,
    );
}

/// Mirrors an executor's stake, if it is still on the list.
public(package) fun set_executor_stake(cluster: &mut Cluster, executor: address, stake: u64) {
    cluster.find(executor).do!(|index| {
        let entry = &mut cluster.executors[index];
        entry.stake = stake;
    });
}

/// Aborts with `ELimitExceeded` if there were more MIST than 64 bits hold.
public(package) fun check_insurable(cluster: &Cluster, amount: u64) {
    let room = std::u64::max_value!() - cluster.insurance.value();
    errors::require(amount <= room, errors::limit_exceeded!());
}

/// Takes in what a slashed executor lost. Its key is never admitted again, and whoever has it on the list is inactive: a
/// removed executor's key may have been registered again.
public(package) fun insure(cluster: &mut Cluster, signing_key: vector<u8>, insured: Balance<SUI>) {
    cluster.insurance.join(insured);
    if (!cluster.slashed_keys.contains(signing_key)) {
        cluster.slashed_keys.add(signing_key, true);
    };
    cluster.executors.do_mut!(|entry| {
        if (entry.signing_key == signing_key) entry.active = false;
    });
}

// === Private functions ===

fun is_eligible(cluster: &Cluster, entry: &ExecutorEntry): bool {
    entry.active
        && entry.stake >= cluster.policy.min_executor_stake()
        && (!cluster.policy.require_attestation() || entry.pcrs == cluster.policy.pcrs())
}

/// Whether the one weighs more, or as much with a lower ID.
fun is_before(weight: u256, id: address, other_weight: u256, other_id: address): bool {
    weight > other_weight || (weight == other_weight && id.to_u256() < other_id.to_u256())
}

fun find(cluster: &Cluster, executor: address): Option<u64> {
    cluster.executors.find_index!(|entry| entry.id == executor)
}

/// Aborts with `EExecutorNotEligible` if the executor is unknown.
fun index_of(cluster: &Cluster, executor: address): u64 {
    let index = cluster.find(executor);
    errors::require(index.is_some(), errors::executor_not_eligible!());
    index.destroy_some()
}

// === Test-only functions ===

#[test_only]
public fun set_version_for_testing(cluster: &mut Cluster, version: u64) {
    cluster.version = version;
}

#[test_only]
public fun insurance(cluster: &Cluster): u64 { cluster.insurance.value() }

#[test_only]
public fun insure_for_testing(cluster: &mut Cluster, amount: u64) {
    cluster.insurance.join(balance::create_for_testing(amount));
}

#[test_only]
public fun is_before_for_testing(
    weight: u256,
    id: address,
    other_weight: u256,
    other_id: address,
): bool {
    is_before(weight, id, other_weight, other_id)
}

#[test_only]
public fun entry_for_testing(cluster: &Cluster, executor: address): Option<ExecutorEntry> {
    cluster.find(executor).map!(|index| cluster.executors[index])
}

#[test_only]
public fun stake_for_testing(entry: &ExecutorEntry): u64 { entry.stake }

#[test_only]
public fun is_active_for_testing(entry: &ExecutorEntry): bool { entry.active }

/// The BCS of this object as the Rust twin has it. A table cannot be walked, so `keys` are all that may have been slashed.
#[test_only]
public fun as_twin_for_testing(cluster: &Cluster, keys: vector<vector<u8>>): vector<u8> {
    let mut bytes = bcs::to_bytes(&cluster.id());
    bytes.append(bcs::to_bytes(&cluster.version));
    bytes.append(bcs::to_bytes(&cluster.name));
    bytes.append(bcs::to_bytes(&cluster.chain));
    bytes.append(bcs::to_bytes(&cluster.admin_cap));
    bytes.append(bcs::to_bytes(&cluster.registrations));
    bytes.append(bcs::to_bytes(&cluster.policy));
    bytes.push_back(cluster.executors.length() as u8);
    cluster.executors.do_ref!(|entry| {
        bytes.append(bcs::to_bytes(&entry.id));
        bytes.append(bcs::to_bytes(&entry.operator));
        bytes.append(entry.signing_key);
        bytes.append(bcs::to_bytes(&entry.encryption_key));
        bytes.append(bcs::to_bytes(&entry.pcrs));
        bytes.append(bcs::to_bytes(&entry.stake));
        bytes.append(bcs::to_bytes(&entry.active));
    });
    let mut slashed = vector[];
    keys.do!(|key| if (cluster.slashed_keys.contains(key)) {
        slashed.push_back(address::from_bytes(key).to_u256());
    });
    assert!(slashed.length() == cluster.slashed_keys.length());
    slashed.insertion_sort_by!(|a, b| *a <= *b);
    bytes.push_back(slashed.length() as u8);
    slashed.do!(|key| bytes.append(bcs::to_bytes(&address::from_u256(key))));
    bytes.append(bcs::to_bytes(&cluster.insurance.value()));
    bytes
}
