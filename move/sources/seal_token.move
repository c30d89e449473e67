/// A seal token: a grant on a cluster, who may use it, its stake, and all of its requests.
///
/// Everything that a request writes hangs off its own token. A token is shared, so what a call may do depends on who sends
/// it: the owner and its stake, the holders (owner, delegates, session keys) and their requests.
module k3s_daas::seal_token;

use k3s_daas::cluster::{Cluster, ClusterAdminCap};
use k3s_daas::delegate::Delegate;
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::public_key;
use k3s_daas::request::{Request, ResponseRecord};
use k3s_daas::request_form;
use k3s_daas::saturating;
use k3s_daas::stake::{Self, Stake};
use k3s_daas::version;
use sui::balance::Balance;
use sui::clock::Clock;
use sui::dynamic_field;
use sui::sui::SUI;
use sui::table::{Self, Table};
use sui::vec_map::{Self, VecMap};

#[test_only]
use sui::address;
#[test_only]
use sui::bcs;
// === Constants ===

/// Bytes of BCS of all rules together.
const MAX_RULES_BYTES: u64 = 32_768;
/// Rules and the entries of their lists, as `policy::entries` counts them.
const MAX_RULE_ENTRIES: u64 = 2_048;
const MAX_GROUPS: u64 = 32;
const MAX_DELEGATES: u64 = 32;
const MAX_SESSION_KEYS: u64 = 64;

// === Structs ===

/// One grant, shared. Its rules are a child of it, so that a request does not write them again.
public struct SealToken has key {
    id: UID,
    version: u64,
    cluster: address,
    /// Who owns it and its stake.
    owner: address,
    /// Kubernetes groups to impersonate.
    groups: vector<vector<u8>>,
    stake: Stake,
    /// Addresses that may submit for it, and until when.
    delegates: VecMap<address, u64>,
    /// Keys that may sign for it, and until when.
    session_keys: VecMap<vector<u8>, u64>,
    /// Unix milliseconds from which it is valid.
    not_before_ms: u64,
    /// Unix milliseconds at which it is no longer valid.
    expires_at_ms: u64,
    revoked: bool,
    /// How many requests it ever had admitted.
    sequence: u64,
    /// How many of its requests have no answer.
    unanswered: u64,
    /// Its requests and their answers, by request ID.
    requests: Table<vector<u8>, Request>,
}

/// Where a token's rules hang: a `vector<PolicyRule>`.
public struct RulesKey() has copy, drop, store;

// === Public functions ===

/// Shares a token that was just issued. Never aborts on one.
#[allow(lint(share_owned))]
public fun share(token: SealToken) {
    transfer::share_object(token)
}

/// Brings a token to the version of this package; anyone may.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version, or the token of this one or a later one;
/// - `EInvalidSealToken`: the token is of another cluster.
public fun migrate_token(cluster: &Cluster, token: &mut SealToken) {
    cluster.check_version();
    errors::require(token.version < version::current(), errors::wrong_version!());
    errors::require(token.cluster == cluster.id(), errors::invalid_seal_token!());
    token.version = version::current();
    events::seal_token_migrated(token.cluster, token.id(), token.version);
}

/// Lets an address submit for the token while `now < expires_at_ms`, or changes until when. The owner sends it.
///
/// Aborts:
/// - `EWrongVersion`: the token is of another version;
/// - `ENotOwner`: the sender is not the owner;
/// - `EInvalidSealToken`: the token is revoked or expired;
/// - `EInvalidExpiry`: the expiry is not after now;
/// - `EInvalidKey`: the owner needs no delegate of itself;
/// - `ELimitExceeded`: there are 32 delegates; expired ones count until they are removed.
public fun add_delegate(
    token: &mut SealToken,
    delegate: address,
    expires_at_ms: u64,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    token.check_owned(ctx);
    let now_ms = clock.timestamp_ms();
    token.check_live(now_ms);
    errors::require(now_ms < expires_at_ms, errors::invalid_expiry!());
    errors::require(delegate != token.owner, errors::invalid_key!());
    if (token.delegates.contains(&delegate)) {
        token.delegates.remove(&delegate);
    };
    let fits = token.delegates.length() < MAX_DELEGATES;
    errors::require(fits, errors::limit_exceeded!());
    token.delegates.insert(delegate, expires_at_ms);
    events::delegate_added(token.cluster, token.id(), delegate, expires_at_ms);
}

/// Takes that back. The owner sends it.
///
/// Aborts:
/// - `EWrongVersion`: the token is of another version;
/// - `ENotOwner`: the sender is not the owner;
/// - `EInvalidKey`: the address is no delegate.
public fun remove_delegate(token: &mut SealToken, delegate: address, ctx: &mut TxContext) {
    token.check_owned(ctx);
    errors::require(token.delegates.contains(&delegate), errors::invalid_key!());
    token.delegates.remove(&delegate);
    events::delegate_removed(token.cluster, token.id(), delegate);
}

/// Lets an Ed25519 key sign for the token while `now < expires_at_ms`. The owner sends it.
///
/// Aborts:
/// - `EWrongVersion`: the token is of another version;
/// - `ENotOwner`: the sender is not the owner;
/// - `EInvalidSealToken`: the token is revoked or expired;
/// - `EInvalidExpiry`: the expiry is not after now;
/// - `EInvalidKey`: the key is not 32 bytes, or of small order;
/// - `EDuplicateKey`: it is registered already, even if expired;
/// - `ELimitExceeded`: there are 64 session keys; expired ones count until they are removed.
public fun register_session_key(
    token: &mut SealToken,
    key: vector<u8>,
    expires_at_ms: u64,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    token.check_owned(ctx);
    let now_ms = clock.timestamp_ms();
    token.check_live(now_ms);
    errors::require(now_ms < expires_at_ms, errors::invalid_expiry!());
    public_key::check(&key);
    errors::require(!token.session_keys.contains(&key), errors::duplicate_key!());
    let fits = token.session_keys.length() < MAX_SESSION_KEYS;
    errors::require(fits, errors::limit_exceeded!());
    token.session_keys.insert(key, expires_at_ms);
    events::session_key_registered(token.cluster, token.id(), key, expires_at_ms);
}

/// Takes that back. The owner sends it.
///
/// Aborts:
/// - `EWrongVersion`: the token is of another version;
/// - `ENotOwner`: the sender is not the owner;
/// - `EInvalidKey`: the key is no session key.
public fun remove_session_key(token: &mut SealToken, key: vector<u8>, ctx: &mut TxContext) {
    token.check_owned(ctx);
    errors::require(token.session_keys.contains(&key), errors::invalid_key!());
    token.session_keys.remove(&key);
    events::session_key_removed(token.cluster, token.id(), key);
}

/// Adds to the token's stake; anyone may, any time. It is the owner's from then on.
///
/// Aborts:
/// - `EWrongVersion`: the token is of another version;
/// - `EZeroAmount`;
/// - `ELimitExceeded`: more MIST than 64 bits hold.
public fun deposit_stake(token: &mut SealToken, deposit: Balance<SUI>, ctx: &mut TxContext) {
    token.check_version();
    let amount = deposit.value();
    token.stake.deposit(deposit);
    let bonded = token.stake.bonded();
    events::stake_deposited(token.cluster, token.id(), ctx.sender(), amount, bonded);
}

/// Begins to unbond some of the token's stake. The owner sends it. Works on tokens and clusters of any version, and on revoked
/// and expired tokens.
///
/// Aborts:
/// - `ENotOwner`: the sender is not the owner;
/// - `EInvalidSealToken`: the token is of another cluster;
/// - `EZeroAmount`;
/// - `EInsufficientStake`: less is bonded;
/// - `ELimitExceeded`: 32 unbondings are under way, or it is less than 0.01 SUI and not all that is left.
public fun unstake(
    cluster: &Cluster,
    token: &mut SealToken,
    amount: u64,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    token.check_owner(ctx);
    errors::require(token.cluster == cluster.id(), errors::invalid_seal_token!());
    let unbonding_ms = cluster.policy().unbonding_ms();
    let unlock_ms = token.stake.unbond(amount, clock.timestamp_ms(), unbonding_ms);
    events::stake_unbonding(token.cluster, token.id(), amount, unlock_ms);
}

/// Pays all of the token's stake that is unlocked to its owner, who sends the transaction. Works on tokens of any version,
/// revoked and expired ones too.
///
/// Aborts:
/// - `ENotOwner`: the sender is not the owner;
/// - `EStillUnbonding`: nothing is unlocked.
public fun withdraw_stake(token: &mut SealToken, clock: &Clock, ctx: &mut TxContext): Balance<SUI> {
    token.check_owner(ctx);
    let now_ms = clock.timestamp_ms();
    let paid = token.stake.withdraw(now_ms);
    events::stake_withdrawn(token.cluster, token.id(), paid.value(), token.owner, now_ms);
    paid
}

// === Admin functions ===

/// Issues a token. Share it with `share`. Rules and delegates are built earlier in the same transaction.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `ELimitExceeded`: rules of more than 32,768 bytes or 2,048 entries, more than 32 groups or 32 delegates;
/// - `EInvalidPolicy`: a group is empty, longer than 253 bytes, not visible ASCII, or `system:*`;
/// - `EInvalidExpiry`: the token expires before it begins or is expired already, or a delegate is expired already;
/// - `EInvalidKey`: the owner needs no delegate of itself;
/// - `EDuplicateKey`: a delegate is named twice.
public fun issue_token(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    owner: address,
    rules: vector<PolicyRule>,
    groups: vector<vector<u8>>,
    not_before_ms: u64,
    expires_at_ms: u64,
    delegates: vector<Delegate>,
    clock: &Clock,
    ctx: &mut TxContext,
): SealToken {
    cluster.check_admin(cap);
    check_rules(&rules);
    errors::require(groups.length() <= MAX_GROUPS, errors::limit_exceeded!());
    errors::require(delegates.length() <= MAX_DELEGATES, errors::limit_exceeded!());
    let are_groups = groups.all!(|group| request_form::is_group(group));
    errors::require(are_groups, errors::invalid_policy!());
    let now_ms = clock.timestamp_ms();
    errors::require(not_before_ms < expires_at_ms, errors::invalid_expiry!());
    errors::require(now_ms < expires_at_ms, errors::invalid_expiry!());
    let are_live = delegates.all!(|delegate| now_ms < delegate.expires_at_ms());
    errors::require(are_live, errors::invalid_expiry!());
    let is_own = delegates.any!(|delegate| delegate.delegate() == owner);
    errors::require(!is_own, errors::invalid_key!());
    let mut held_by = vec_map::empty();
    delegates.do_ref!(|delegate| {
        let is_twice = held_by.contains(&delegate.delegate());
        errors::require(!is_twice, errors::duplicate_key!());
        held_by.insert(delegate.delegate(), delegate.expires_at_ms());
    });
    let mut token = SealToken {
        id: object::new(ctx),
        version: version::current(),
        cluster: cluster.id(),
        owner,
        groups,
        stake: stake::new(),
        delegates: held_by,
        session_keys: vec_map::empty(),
        not_before_ms,
        expires_at_ms,
        revoked: false,
        sequence: 0,
        unanswered: 0,
        requests: table::new(ctx),
    };
    dynamic_field::add(&mut token.id, RulesKey(), rules);
    events::seal_token_issued(
        token.cluster,
        token.id(),
        token.version,
        owner,
        rules,
        groups,
        not_before_ms,
        expires_at_ms,
        delegates,
    );
    token
}

/// Revokes a token, for good; its stake stays its owner's. Works on tokens of any version.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EInvalidSealToken`: the token is of another cluster, or revoked already.
public fun revoke_token(cluster: &Cluster, cap: &ClusterAdminCap, token: &mut SealToken) {
    cluster.check_admin(cap);
    token.check_of(cluster);
    token.revoked = true;
    events::seal_token_revoked(token.cluster, token.id());
}

/// Replaces a token's rules.
///
/// Aborts:
/// - `EWrongVersion`: the cluster or the token is of another version;
/// - `ENotAdmin`: the capability is another cluster's;
/// - `EInvalidSealToken`: the token is of another cluster, or revoked;
/// - `ELimitExceeded`: the rules have more than 32,768 bytes or 2,048 entries.
public fun set_rules(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    token: &mut SealToken,
    rules: vector<PolicyRule>,
) {
    token.check_version();
    cluster.check_admin(cap);
    token.check_of(cluster);
    check_rules(&rules);
    *dynamic_field::borrow_mut(&mut token.id, RulesKey()) = rules;
    events::seal_token_rules_set(token.cluster, token.id(), rules);
}

// === Package functions ===

public(package) fun id(token: &SealToken): address { token.id.to_address() }

public(package) fun cluster(token: &SealToken): address { token.cluster }

public(package) fun owner(token: &SealToken): address { token.owner }

public(package) fun rules(token: &SealToken): &vector<PolicyRule> {
    dynamic_field::borrow(&token.id, RulesKey())
}

public(package) fun bonded(token: &SealToken): u64 { token.stake.bonded() }

public(package) fun unanswered(token: &SealToken): u64 { token.unanswered }

public(package) fun is_current(token: &SealToken): bool { token.version == version::current() }

/// Aborts with `EWrongVersion` if the token is of another version.
public(package) fun check_version(token: &SealToken) {
    errors::require(token.is_current(), errors::wrong_version!());
}

/// Whether it is neither revoked nor outside its time.
public(package) fun is_valid(token: &SealToken, now_ms: u64): bool {
    !token.revoked && token.not_before_ms <= now_ms && now_ms < token.expires_at_ms
}

/// Whether `sender` may submit for it.
public(package) fun is_holder(token: &SealToken, sender: address, now_ms: u64): bool {
    sender == token.owner || token.delegates.try_get(&sender).is_some_and!(|expiry| now_ms < *expiry)
}

/// Whether `key` is a live session key of it.
public(package) fun has_session_key(token: &SealToken, key: &vector<u8>, now_ms: u64): bool {
    token.session_keys.try_get(key).is_some_and!(|expiry| now_ms < *expiry)
}

/// Whether it holds a request of this ID.
public(package) fun holds(token: &SealToken, request_id: vector<u8>): bool {
    token.requests.contains(request_id)
}

/// A request. Aborts with `EUnknownRequest` if the token does not hold it.
public(package) fun request(token: &SealToken, request_id: vector<u8>): &Request {
    errors::require(token.holds(request_id), errors::unknown_request!());
    &token.requests[request_id]
}

/// Changes a request that the token holds.
public(package) fun request_mut(token: &mut SealToken, request_id: vector<u8>): &mut Request {
    &mut token.requests[request_id]
}

/// Holds a request from now on and returns its number among the token's.
public(package) fun admit(token: &mut SealToken, request_id: vector<u8>, request: Request): u64 {
    token.sequence = saturating::add(token.sequence, 1);
    token.unanswered = token.unanswered + 1;
    token.requests.add(request_id, request);
    token.sequence
}

/// Records the answer to an open request.
public(package) fun answer(token: &mut SealToken, request_id: vector<u8>, record: ResponseRecord) {
    token.unanswered = token.unanswered - 1;
    token.request_mut(request_id).answer(record);
}

/// Records the end of an open session.
public(package) fun close(token: &mut SealToken, request_id: vector<u8>, expires_at_ms: u64) {
    token.unanswered = token.unanswered - 1;
    token.request_mut(request_id).close(expires_at_ms);
}

/// Lets go of a request that the token holds.
public(package) fun prune(token: &mut SealToken, request_id: vector<u8>) {
    let request = token.requests.remove(request_id);
    if (request.is_open()) {
        token.unanswered = token.unanswered - 1;
    }
}

// === Private functions ===

/// Aborts with `ELimitExceeded` if the rules are too long or too many.
fun check_rules(rules: &vector<PolicyRule>) {
    errors::require(policy::bcs_length(rules) <= MAX_RULES_BYTES, errors::limit_exceeded!());
    errors::require(policy::entries(rules) <= MAX_RULE_ENTRIES, errors::limit_exceeded!());
}

/// Aborts with `ENotOwner` if the sender does not own the token.
fun check_owner(token: &SealToken, ctx: &TxContext) {
    errors::require(token.owner == ctx.sender(), errors::not_owner!());
}

/// Aborts with `EWrongVersion` or `ENotOwner`.
fun check_owned(token: &SealToken, ctx: &TxContext) {
    token.check_version();
    token.check_owner(ctx);
}

/// Aborts with `EInvalidSealToken` if the token is revoked or expired; it may begin later.
fun check_live(token: &SealToken, now_ms: u64) {
    errors::require(!token.revoked, errors::invalid_seal_token!());
    errors::require(now_ms < token.expires_at_ms, errors::invalid_seal_token!());
}

/// Aborts with `EInvalidSealToken` if the token is of another cluster or revoked.
fun check_of(token: &SealToken, cluster: &Cluster) {
    errors::require(token.cluster == cluster.id(), errors::invalid_seal_token!());
    errors::require(!token.revoked, errors::invalid_seal_token!());
}

// === Test-only functions ===

#[test_only]
public fun set_version_for_testing(token: &mut SealToken, version: u64) {
    token.version = version;
}

#[test_only]
public fun set_unanswered_for_testing(token: &mut SealToken, unanswered: u64) {
    token.unanswered = unanswered;
}

#[test_only]
public fun stake_for_testing(token: &SealToken): &Stake { &token.stake }

#[test_only]
public fun sequence_for_testing(token: &SealToken): u64 { token.sequence }

#[test_only]
public fun is_revoked_for_testing(token: &SealToken): bool { token.revoked }

/// The BCS of this object, without its requests, as the Rust twin has it.
#[test_only]
public fun as_twin_for_testing(token: &SealToken): vector<u8> {
    let mut bytes = bcs::to_bytes(&token.id());
    bytes.append(bcs::to_bytes(&token.version));
    bytes.append(bcs::to_bytes(&token.cluster));
    bytes.append(bcs::to_bytes(&token.owner));
    bytes.append(bcs::to_bytes(token.rules()));
    bytes.append(bcs::to_bytes(&token.groups));
    bytes.append(token.stake.as_twin_for_testing());
    let (keys, expiries) = token.delegates.into_keys_values();
    bytes.append(sorted(keys.map!(|delegate| delegate.to_u256()), expiries));
    let (keys, expiries) = token.session_keys.into_keys_values();
    bytes.append(sorted(keys.map!(|key| address::from_bytes(key).to_u256()), expiries));
    bytes.append(bcs::to_bytes(&token.not_before_ms));
    bytes.append(bcs::to_bytes(&token.expires_at_ms));
    bytes.append(bcs::to_bytes(&token.revoked));
    bytes.append(bcs::to_bytes(&token.sequence));
    bytes.append(bcs::to_bytes(&token.unanswered));
    bytes
}

/// A map as BCS has it: by its keys, which are 32 bytes each.
#[test_only]
fun sorted(keys: vector<u256>, expiries: vector<u64>): vector<u8> {
    let mut order = vector::tabulate!(keys.length(), |at| at);
    order.insertion_sort_by!(|a, b| keys[*a] <= keys[*b]);
    let mut bytes = vector[order.length() as u8];
    order.do!(|at| {
        bytes.append(bcs::to_bytes(&address::from_u256(keys[at])));
        bytes.append(bcs::to_bytes(&expiries[at]));
    });
    bytes
}

#[test_only]
public fun count_requests_for_testing(token: &SealToken): u64 { token.requests.length() }
