/// A small world that tests begin in: a cluster, its admin, a token with stake, an executor, and a clock.
#[test_only]
module k3s_daas::world;

use k3s_daas::cluster::{Self, Cluster, ClusterAdminCap};
use k3s_daas::cluster_policy::{Self, ClusterPolicy};
use k3s_daas::delegate;
use k3s_daas::executor::{Self, ExecutorState};
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::seal_token::{Self, SealToken};
use std::unit_test::{Self, assert_eq};
use sui::balance::{Self, Balance};
use sui::clock::{Self, Clock};
use sui::event;
use sui::sui::SUI;

// === How much, how long ===

public fun sui(amount: u64): u64 { amount * 1_000_000_000 }

public fun day_ms(): u64 { 86_400_000 }

public fun hour_ms(): u64 { 3_600_000 }

public fun max(): u64 { std::u64::max_value!() }

// === The world ===

/// Makes a world and ends it, whatever `$f` does in between. The token allows everything on pods, deployments and their
/// subresources in the namespace `default`, has 2 SUI bonded, a delegate and a session key for an hour, and is valid for
/// a day. The executor `alpha` is the only one. It is `fixtures::now_ms()`.
public macro fun in_world(
    $f: |&mut Cluster, &ClusterAdminCap, &mut SealToken, &mut ExecutorState, &mut Clock|,
) {
    let (mut cluster, cap, mut token, mut executor, mut clock) = new();
    $f(&mut cluster, &cap, &mut token, &mut executor, &mut clock);
    end(cluster, cap, token, executor, clock);
}

/// The same, for what concerns the cluster alone.
public macro fun with_cluster($f: |&mut Cluster, &ClusterAdminCap|) {
    in_world!(|cluster, cap, _, _, _| $f(cluster, cap))
}

/// The same, with the capability of another cluster.
public macro fun with_other_cap($f: |&mut Cluster, &ClusterAdminCap|) {
    in_world!(|cluster, _, _, _, _| {
        let (other, cap) = another_cluster();
        $f(cluster, &cap);
        drop(other);
        drop(cap);
    })
}

/// The same, for what concerns a token and its admin.
public macro fun with_token($f: |&mut Cluster, &ClusterAdminCap, &mut SealToken, &mut Clock|) {
    in_world!(|cluster, cap, token, _, clock| $f(cluster, cap, token, clock))
}

/// The same, for what holders and executors do.
public macro fun with_requests($f: |&mut Cluster, &mut SealToken, &mut Clock|) {
    in_world!(|cluster, _, token, _, clock| $f(cluster, token, clock))
}

public fun new(): (Cluster, ClusterAdminCap, SealToken, ExecutorState, Clock) {
    let mut clock = clock::create_for_testing(&mut people::ctx_of(people::admin(), 90));
    clock.set_for_testing(fixtures::now_ms());
    let (mut cluster, cap) = cluster::create_cluster(
        b"production",
        fixtures::chain(),
        cluster_policy::default(),
        &mut people::ctx_of(people::admin(), 1),
    );
    let mut token = seal_token::issue_token(
        &cluster,
        &cap,
        people::owner(),
        rules(),
        vector[b"developers"],
        fixtures::now_ms(),
        fixtures::now_ms() + day_ms(),
        vector[delegate::new(people::delegate(), fixtures::now_ms() + hour_ms())],
        &clock,
        &mut people::ctx_of(people::admin(), 2),
    );
    token.deposit_stake(money(sui(2)), &mut people::ctx(people::owner()));
    token.register_session_key(
        fixtures::session_key(),
        fixtures::now_ms() + hour_ms(),
        &clock,
        &mut people::ctx(people::owner()),
    );
    let executor = executor::register_executor(
        &mut cluster,
        &cap,
        people::operator(),
        fixtures::alpha_key(),
        vector::tabulate!(32, |_| 0x25),
        &mut people::ctx_of(people::admin(), 3),
    );
    // What the signatures of the fixtures were made for.
    assert!(cluster.id() == fixtures::cluster());
    assert!(object::id(&cap).to_address() == fixtures::cap());
    assert!(token.id() == fixtures::token());
    assert!(executor.id() == fixtures::alpha());
    (cluster, cap, token, executor, clock)
}

/// A second executor, `beta`.
public fun add_beta(cluster: &mut Cluster, cap: &ClusterAdminCap): ExecutorState {
    let beta = executor::register_executor(
        cluster,
        cap,
        people::operator(),
        fixtures::beta_key(),
        vector::tabulate!(32, |_| 0x26),
        &mut people::ctx_of(people::admin(), 4),
    );
    assert!(beta.id() == fixtures::beta());
    beta
}

/// Another cluster with its own capability, of the same admin.
public fun another_cluster(): (Cluster, ClusterAdminCap) {
    cluster::create_cluster(
        b"staging",
        fixtures::chain(),
        cluster_policy::default(),
        &mut people::ctx_of(people::admin(), 5),
    )
}

/// A token of a cluster, of its owner alone, without stake, valid for a day.
public fun another_token(
    cluster: &Cluster,
    cap: &ClusterAdminCap,
    hint: u64,
    clock: &Clock,
): SealToken {
    let now_ms = clock.timestamp_ms();
    let ctx = &mut people::ctx_of(people::admin(), hint);
    let until_ms = now_ms + day_ms();
    seal_token::issue_token(
        cluster,
        cap,
        people::owner(),
        rules(),
        vector[],
        now_ms,
        until_ms,
        vector[],
        clock,
        ctx,
    )
}

public fun rules(): vector<PolicyRule> {
    vector[
        policy::new_rule(
            vector[b"*".to_string()],
            vector[b"".to_string(), b"apps".to_string()],
            vector[b"pods".to_string(), b"pods/exec".to_string(), b"deployments".to_string()],
            vector[],
            vector[],
            vector[b"default".to_string()],
        ),
    ]
}

/// The default policy, but for the stakes.
public fun policy_of_stakes(min_write_stake: u64, min_executor_stake: u64): ClusterPolicy {
    cluster_policy::new(
        min_write_stake,
        min_executor_stake,
        7 * day_ms(),
        10_000,
        ttls(),
        false,
        vector[],
        vector[],
    )
}

/// The default policy, but for its times.
public fun policy_of_times(
    unbonding_ms: u64,
    lease_ms: u64,
    response_ttl_ms: vector<u64>,
): ClusterPolicy {
    cluster_policy::new(
        sui(1),
        0,
        unbonding_ms,
        lease_ms,
        response_ttl_ms,
        false,
        vector[],
        vector[],
    )
}

/// The default policy with PCRs.
public fun policy_of_pcrs(require_attestation: bool): ClusterPolicy {
    let ca_hash = vector::tabulate!(32, |_| 0xca);
    cluster_policy::new(
        sui(1),
        0,
        7 * day_ms(),
        10_000,
        ttls(),
        require_attestation,
        pcrs(),
        ca_hash,
    )
}

public fun ttls(): vector<u64> { vector[600_000, 3_600_000, 21_600_000, 86_400_000] }

public fun pcrs(): vector<vector<u8>> {
    vector[1, 2, 3].map!(|byte| vector::tabulate!(48, |_| byte))
}

public fun end(
    cluster: Cluster,
    cap: ClusterAdminCap,
    token: SealToken,
    executor: ExecutorState,
    clock: Clock,
) {
    unit_test::destroy(cluster);
    unit_test::destroy(cap);
    unit_test::destroy(token);
    unit_test::destroy(executor);
    clock.destroy_for_testing();
}

// === What tests need ===

/// Lets go of an object.
public fun drop<T>(object: T) { unit_test::destroy(object) }

/// The test has just emitted by hand what the call before should have: both must be the same, and alone of their kind.
public fun check_told<T: copy + drop>() {
    let told = event::events_by_type<T>();
    assert_eq!(told.length(), 2);
    assert_eq!(told[0], told[1]);
}

/// How often such an event was emitted.
public fun count_told<T: copy + drop>(): u64 { event::events_by_type<T>().length() }

public fun money(amount: u64): Balance<SUI> { balance::create_for_testing(amount) }

/// Spends it and says how much it was.
public fun spend(money: Balance<SUI>): u64 { money.destroy_for_testing() }

/// The clock, so much later.
public fun wait(clock: &mut Clock, ms: u64) { clock.increment_for_testing(ms) }
