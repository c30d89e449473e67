/// A small world to measure calls in; `gas.mjs` adds a function for each row of its table.
module k3s_daas::gas_probe;

use k3s_daas::attestation;
use k3s_daas::audit;
use k3s_daas::cluster::{Self, Cluster, ClusterAdminCap};
use k3s_daas::cluster_policy;
use k3s_daas::executor::{Self, ExecutorState};
use k3s_daas::gas_natives;
use k3s_daas::k8s_gateway;
use k3s_daas::message;
use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::session;
use std::bcs;
use sui::balance::Balance;
use sui::clock::Clock;
use sui::coin::Coin;
use sui::sui::SUI;

const ONE_SUI: u64 = 1_000_000_000;
const ID: vector<u8> = b"0192d8f0-1111-7abc-8def-0123456789ab";
const HASH: vector<u8> = x"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const KEY: vector<u8> = x"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const SIGNATURE: vector<u8> =
    x"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// How many rules there may be besides the one that allows: of a namespace's, without entries, and such as miss by the resource.
const MANY_RULES: u64 = 185;
const EMPTY_RULES: u64 = 1_018;
const MISSING_RULES: u64 = 339;
/// Entries of one rule besides those that allow, and URLs.
const MANY_ENTRIES: u64 = 2_037;
const MANY_URLS: u64 = 254;
/// What Sui counts for an object besides its contents and its type.
const OBJECT_BYTES: u64 = 89;
/// BCS of the types: 34 bytes, the names of module and type, their lengths; for a field those of its parameters too.
const CLUSTER_TAG_BYTES: u64 = 34 + 8 + 8;
const CAP_TAG_BYTES: u64 = 34 + 8 + 16;
const TOKEN_TAG_BYTES: u64 = 34 + 11 + 10;
const EXECUTOR_TAG_BYTES: u64 = 34 + 9 + 14;
const REQUEST_TAG_BYTES: u64 = 54 + 2 + 50;
const RULES_TAG_BYTES: u64 = 54 + 54 + 53;
/// 60 bytes, as a typical `kubectl apply` has.
const PATH: vector<u8> = b"/apis/apps/v1/namespaces/production/deployments/web-frontend";
const PODS: vector<u8> = b"/api/v1/namespaces/production/pods";
/// No resource.
const URL: vector<u8> = b"/metrics/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const QUERY: vector<u8> = b"fieldManager=kubectl-client-side-apply";

// === The measure ===

/// The loop alone.
public fun spin(
    coin: Coin<SUI>,
    _: &Clock,
    _: &Clock,
    turns: u64,
    _: bool,
    ctx: &mut TxContext,
): u64 {
    transfer::public_transfer(coin, ctx.sender());
    let mut left = turns;
    while (left > 0) left = left - 1;
    left
}

fun empty() {}

/// Bytes that Sui stores for the world, as far as a call changes it.
fun stored(world: &World): u64 {
    let mut bytes = object_bytes(&world.cluster, CLUSTER_TAG_BYTES);
    bytes = bytes + object_bytes(&world.token, TOKEN_TAG_BYTES);
    bytes = bytes + object_bytes(&world.executor, EXECUTOR_TAG_BYTES);
    if (world.token.holds(ID)) {
        // A dynamic field: its own ID, its name, its value.
        let value = bcs::to_bytes(world.token.request(ID)).length();
        bytes = bytes + OBJECT_BYTES + REQUEST_TAG_BYTES + 32 + 37 + value;
    };
    bytes
}

/// What Sui charges for an object: its bytes, its type, its owner, version, rebate and last transaction.
fun object_bytes<T>(object: &T, tag_bytes: u64): u64 {
    bcs::to_bytes(object).length() + tag_bytes + OBJECT_BYTES
}

// === The world ===

public struct World {
    cluster: Cluster,
    cap: ClusterAdminCap,
    token: SealToken,
    executor: ExecutorState,
    purse: Balance<SUI>,
}

/// A cluster with `executors` executors; a token with `rules`, of which the last one allows, and 2 SUI.
fun begin(
    executors: u64,
    rules: vector<PolicyRule>,
    coin: Coin<SUI>,
    clock: &Clock,
    ctx: &mut TxContext,
): World {
    let (mut cluster, cap) = cluster::create_cluster(
        b"production",
        @0xc1,
        cluster_policy::default(),
        ctx,
    );
    let mut token = issue(&cluster, &cap, rules, clock, ctx);
    let mut purse = coin.into_balance();
    token.deposit_stake(purse.split(2 * ONE_SUI), ctx);
    let mut executor = register(&mut cluster, &cap, KEY, ctx);
    executor::deposit_executor_stake(&mut cluster, &mut executor, purse.split(ONE_SUI), ctx);
    let mut more = 1;
    while (more < executors) {
        let mut key = KEY;
        *(&mut key[0]) = (more as u8);
        let another = register(&mut cluster, &cap, key, ctx);
        executor::share(another);
        more = more + 1;
    };
    World { cluster, cap, token, executor, purse }
}

fun issue(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    rules: vector<PolicyRule>,
    clock: &Clock,
    ctx: &mut TxContext,
): SealToken {
    let owner = ctx.sender();
    seal_token::issue_token(
        cluster,
        cap,
        owner,
        rules,
        vector[],
        0,
        1_000_000_000_000,
        vector[],
        clock,
        ctx,
    )
}

fun register(
    cluster: &mut Cluster,
    cap: &ClusterAdminCap,
    key: vector<u8>,
    ctx: &mut TxContext,
): ExecutorState {
    let operator = ctx.sender();
    executor::register_executor(cluster, cap, operator, key, KEY, ctx)
}

fun end(world: World, ctx: &mut TxContext) {
    let World { cluster, cap, token, executor, purse } = world;
    cluster::share(cluster);
    seal_token::share(token);
    executor::share(executor);
    transfer::public_transfer(cap, ctx.sender());
    transfer::public_transfer(purse.into_coin(ctx), ctx.sender());
}

// === What is called ===

fun apply(world: &mut World, path: vector<u8>, sealed: vector<u8>, clock: &Clock, ctx: &mut TxContext) {
    submit(world, ID, b"PATCH", path, QUERY, sealed, clock, ctx);
}

fun ask(world: &mut World, query: vector<u8>, clock: &Clock, ctx: &mut TxContext) {
    submit(world, ID, b"PATCH", PATH, query, b"", clock, ctx);
}

/// So many requests in one transaction.
fun batch(world: &mut World, count: u64, clock: &Clock, ctx: &mut TxContext) {
    count.do!(|index| submit(world, nth(index), b"PATCH", PATH, QUERY, b"", clock, ctx));
}

/// Has so many that are pending, of the cheapest kind.
fun pend(world: &mut World, count: u64, clock: &Clock, ctx: &mut TxContext) {
    count.do!(|index| {
        k8s_gateway::execute_kubectl_command_with_id(
            &world.cluster,
            &mut world.token,
            nth(index + 1),
            b"GET",
            b"/version",
            0,
            b"",
            b"",
            0,
            vector[],
            vector[],
            0,
            b"",
            b"",
            0,
            b"",
            2,
            2_000_000,
            b"",
            clock,
            ctx,
        )
    });
}

fun nth(index: u64): vector<u8> {
    let mut id = ID;
    *(&mut id[33]) = 0x30 + ((index / 100) as u8);
    *(&mut id[34]) = 0x30 + (((index / 10) % 10) as u8);
    *(&mut id[35]) = 0x30 + ((index % 10) as u8);
    id
}

fun submit(
    world: &mut World,
    id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query: vector<u8>,
    sealed: vector<u8>,
    clock: &Clock,
    ctx: &mut TxContext,
) {
    let is_hashed = sealed.is_empty();
    k8s_gateway::execute_kubectl_command_with_id(
        &world.cluster,
        &mut world.token,
        id,
        method,
        path,
        1,
        query,
        b"",
        0,
        vector[b"accept", b"content-type"],
        vector[b"application/json", b"application/strategic-merge-patch+json"],
        if (is_hashed) 2 else 3,
        sealed,
        if (is_hashed) HASH else b"",
        if (is_hashed) 1_000 else 0,
        KEY,
        2,
        2_000_000,
        b"",
        clock,
        ctx,
    );
}

fun list(world: &mut World, clock: &Clock, ctx: &mut TxContext) {
    k8s_gateway::execute_kubectl_command_with_id(
        &world.cluster,
        &mut world.token,
        ID,
        b"GET",
        PODS,
        1,
        b"limit=500",
        b"",
        0,
        vector[b"accept"],
        vector[b"application/json"],
        0,
        b"",
        b"",
        0,
        KEY,
        2,
        2_000_000,
        b"",
        clock,
        ctx,
    );
}

fun watch(world: &mut World, clock: &Clock, ctx: &mut TxContext) {
    session::open_session(
        &world.cluster,
        &mut world.token,
        ID,
        b"GET",
        PODS,
        1,
        b"watch=true",
        b"",
        0,
        vector[b"accept"],
        vector[b"application/json"],
        0,
        b"",
        b"",
        0,
        KEY,
        2,
        2_000_000,
        b"",
        clock,
        ctx,
    );
}

fun answer(world: &mut World, sealed: vector<u8>, clock: &Clock) {
    let executor = world.executor.id();
    k8s_gateway::store_k8s_response(
        &world.cluster,
        &mut world.token,
        ID,
        executor,
        0,
        201,
        HASH,
        900,
        sealed,
        1_000_000,
        SIGNATURE,
        clock,
    );
}

fun long_path(): vector<u8> {
    let mut path = PATH;
    while (path.length() < 1_024) path.push_back(0x61);
    path
}

/// `part` again and again, up to `length` bytes.
fun repeated(part: vector<u8>, length: u64): vector<u8> {
    let mut bytes = vector[];
    while (bytes.length() + part.length() <= length) bytes.append(part);
    bytes
}

/// One parameter of `length` bytes.
fun parameter(length: u64): vector<u8> {
    let mut bytes = b"a=";
    while (bytes.length() < length) bytes.push_back(0x62);
    bytes
}

/// What an enclave with this key says of itself for the next registration.
fun document(world: &World, key: vector<u8>, operator: address): gas_natives::NitroAttestationDocument {
    let nonce = attestation::expected_nonce(world.cluster.id(), world.cluster.registrations());
    let hash = *world.cluster.policy().kube_ca_hash();
    let user_data = attestation::expected_user_data(operator, key, KEY, hash);
    let pcr = vector::tabulate!(48, |_| 0x11);
    gas_natives::document(1_000_000, vector[pcr, pcr, pcr], nonce, user_data)
}

fun kib(): vector<u8> { vector::tabulate!(1_024, |_| 0x5a) }

// === Rules ===

/// One rule, which allows.
fun narrow(): vector<PolicyRule> { vector[rule(b"production")] }

/// As many as fit that miss by the namespace, which is looked at after the verb, and the one that allows.
fun many(): vector<PolicyRule> {
    let other = rule(b"elsewhere0");
    let mut rules = vector::tabulate!(MANY_RULES, |_| other);
    rules.push_back(rule(b"production"));
    rules
}

/// Rules without entries, each of which is looked at.
fun empty_ones(): vector<PolicyRule> {
    let empty = policy::new_rule(vector[], vector[], vector[], vector[], vector[], vector[]);
    let mut rules = vector::tabulate!(EMPTY_RULES, |_| empty);
    rules.push_back(rule(b"production"));
    rules
}

/// Rules that allow all but the resource, which is looked at last.
fun missing(): vector<PolicyRule> {
    let any = vector[b"*".to_string()];
    let none = vector[b"none".to_string()];
    let miss = policy::new_rule(any, any, none, vector[], vector[], any);
    let mut rules = vector::tabulate!(MISSING_RULES, |_| miss);
    rules.push_back(rule(b"production"));
    rules
}

fun long(): vector<PolicyRule> {
    let entry = b"deployments/x".to_string();
    // Lists are searched from their end.
    let mut all = vector[b"deployments".to_string(), b"pods".to_string()];
    all.append(vector::tabulate!(MANY_ENTRIES, |_| entry));
    vector[
        policy::new_rule(
            vector[
                b"patch".to_string(),
                b"get".to_string(),
                b"list".to_string(),
                b"watch".to_string(),
            ],
            vector[b"apps".to_string(), b"".to_string()],
            all,
            vector[],
            vector[],
            vector[b"production".to_string()],
        ),
    ]
}

/// One rule with the URL and, before it, so many that differ from it in the last byte of a prefix.
fun urls(count: u64): vector<PolicyRule> {
    let mut other = URL;
    let last = other.length() - 1;
    *(&mut other[last]) = 0x62;
    other.push_back(0x2a);
    let other = other.to_string();
    let mut urls = vector::tabulate!(count, |_| other);
    urls.push_back(b"/metrics/*".to_string());
    let any = vector[b"*".to_string()];
    vector[policy::new_rule(any, vector[], vector[], vector[], urls, vector[])]
}

fun rule(namespace: vector<u8>): PolicyRule {
    policy::new_rule(
        vector[b"patch".to_string(), b"get".to_string(), b"list".to_string(), b"watch".to_string()],
        vector[b"apps".to_string(), b"".to_string()],
        vector[b"deployments".to_string(), b"pods".to_string()],
        vector[],
        vector[],
        vector[namespace.to_string()],
    )
}
