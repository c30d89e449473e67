/// Runs what the Rust twin decided: sequences of calls that the Rust tests made up or read from their corpus.
///
/// A step is who sends what and when; what it pays and emits stands in a list beside the steps. Objects stand in lists of their
/// own rather than in a `test_scenario`, and each step has a transaction's context of its own, so that both twins derive the
/// same IDs.
#[test_only]
module k3s_daas::twin;

use k3s_daas::attestation::{Self, AttestedFacts};
use k3s_daas::audit;
use k3s_daas::cluster::{Self, Cluster, ClusterAdminCap};
use k3s_daas::cluster_policy::{Self, ClusterPolicy};
use k3s_daas::delegate::{Self, Delegate};
use k3s_daas::executor::{Self, ExecutorState};
use k3s_daas::k8s_gateway;
use k3s_daas::message::{Self, SignedAnswer};
use k3s_daas::parts::{Self, Parts};
use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::session;
use k3s_daas::told;
use std::string::String;
use std::unit_test;
use sui::balance::{Self, Balance};
use sui::bcs;
use sui::clock::{Self, Clock};
use sui::event;
use sui::sui::SUI;

// === Errors ===

// What differs, told by the abort code: ten times the number of the step, and one of these.

/// Another number of events than the Rust twin emits.
const EVENTS_DIFFER: u64 = 1;
/// Other bytes of the event.
const EVENT_DIFFERS: u64 = 2;
/// Another amount paid out.
const PAYMENT_DIFFERS: u64 = 3;
/// At the end, the step being the number of the object: other bytes of it.
const OBJECT_DIFFERS: u64 = 4;
/// A step was not read to its end: the reader below is not what the writer is.
const STEP_IS_MISREAD: u64 = 5;
/// The step names an object that is not there.
const NO_OBJECT: u64 = 6;
/// A call or an object of a kind that nobody knows.
const NO_KIND: u64 = 7;

/// The tag of a step that emits nothing.
const NO_EVENT: u8 = 255;

// === Structs ===

/// All objects there are.
public struct World {
    clusters: vector<Cluster>,
    caps: vector<ClusterAdminCap>,
    tokens: vector<SealToken>,
    executors: vector<ExecutorState>,
    clock: Clock,
}

/// The arguments of a request.
public struct Arguments has copy, drop {
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query_kind: u8,
    query_bytes: vector<u8>,
    query_hash: vector<u8>,
    query_length: u64,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload_kind: u8,
    payload_bytes: vector<u8>,
    payload_hash: vector<u8>,
    payload_length: u64,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
}

// === What the written tests call ===

/// Performs every step, all of which the Rust twin admits, compares events and payments, and at the end all objects.
public fun run(
    steps: vector<vector<vector<u8>>>,
    effects: vector<vector<vector<u8>>>,
    objects: vector<vector<vector<u8>>>,
) {
    let mut world = begin();
    steps.length().do!(|at| {
        let mut step = parts::read(steps[at]);
        let before = event::num_events();
        let paid = world.perform(&mut step);
        assert!(step.is_read(), at * 10 + STEP_IS_MISREAD);
        let mut effect = parts::read(effects[at]);
        assert!(paid == effect.peel_u64(), at * 10 + PAYMENT_DIFFERS);
        let kind = effect.peel_u8();
        let count = if (kind == NO_EVENT) 0 else 1;
        assert!(event::num_events() - before == count, at * 10 + EVENTS_DIFFER);
        if (kind != NO_EVENT) {
            let mut emitted = told::of(kind);
            assert!(!emitted.is_empty(), at * 10 + EVENT_DIFFERS);
            let expected = effect.peel_vec_u8();
            assert!(emitted.pop_back() == expected, at * 10 + EVENT_DIFFERS);
        };
    });
    objects.length().do!(|at| {
        assert!(world.has(objects[at]), at * 10 + OBJECT_DIFFERS);
    });
    unit_test::destroy(world);
}

/// Performs the first `before` steps, then one that the Rust twin refuses after those: the test expects the abort.
public fun refuse(steps: vector<vector<vector<u8>>>, before: u64, refused: vector<vector<u8>>) {
    let mut world = begin();
    before.do!(|at| {
        world.perform(&mut parts::read(steps[at]));
    });
    world.perform(&mut parts::read(refused));
    unit_test::destroy(world);
}

// === Steps ===

fun begin(): World {
    let ctx = &mut tx_context::dummy();
    World {
        clusters: vector[],
        caps: vector[],
        tokens: vector[],
        executors: vector[],
        clock: clock::create_for_testing(ctx),
    }
}

/// Does what a step says and returns the MIST that it pays out.
fun perform(self: &mut World, step: &mut Parts): u64 {
    let digest = step.peel_vec_u8();
    let sender = step.peel_address();
    self.clock.set_for_testing(step.peel_u64());
    let ctx = &mut tx_context::new(sender, digest, 0, 0, 0);
    let facts = if (step.peel_bool()) option::some(peel_facts(step)) else option::none();
    let deed = step.peel_enum_tag();
    if (deed == 0) return self.call(step, facts, ctx);
    // What no call can bring about.
    let id = step.peel_address();
    let number = step.peel_u64();
    if (deed == 1) {
        let at = self.cluster_at(id);
        self.clusters[at].set_version_for_testing(number);
    } else if (deed == 2) {
        let at = self.token_at(id);
        self.tokens[at].set_version_for_testing(number);
    } else if (deed == 3) {
        let at = self.token_at(id);
        self.tokens[at].set_unanswered_for_testing(number);
    } else if (deed == 4) {
        let at = self.cluster_at(id);
        self.clusters[at].insure_for_testing(number);
    } else {
        abort NO_KIND
    };
    0
}

/// The Rust `Call`, its variants in its order.
fun call(
    self: &mut World,
    step: &mut Parts,
    facts: Option<AttestedFacts>,
    ctx: &mut TxContext,
): u64 {
    let kind = step.peel_enum_tag();
    if (kind == 0) {
        let name = step.peel_vec_u8();
        let chain = step.peel_address();
        let policy = peel_policy(step);
        let (cluster, cap) = cluster::create_cluster(name, chain, policy, ctx);
        self.clusters.push_back(cluster);
        self.caps.push_back(cap);
    } else if (kind >= 1 && kind <= 3) {
        let cap_at = self.peel_cap(step);
        let at = self.peel_cluster(step);
        let cap = &self.caps[cap_at];
        let cluster = &mut self.clusters[at];
        if (kind == 1) cluster.set_policy(cap, peel_policy(step))
        else if (kind == 2) cluster.migrate_cluster(cap)
        else return value(cluster.withdraw_insurance(cap, step.peel_u64(), ctx));
    } else if (kind == 4) {
        let cap_at = self.peel_cap(step);
        let at = self.peel_cluster(step);
        let owner = step.peel_address();
        let rules = peel_rules(step);
        let groups = step.peel_vec_vec_u8();
        let not_before_ms = step.peel_u64();
        let expires_at_ms = step.peel_u64();
        let delegates = vector::tabulate!(step.peel_vec_length(), |_| peel_delegate(step));
        let token = seal_token::issue_token(
            &self.clusters[at],
            &self.caps[cap_at],
            owner,
            rules,
            groups,
            not_before_ms,
            expires_at_ms,
            delegates,
            &self.clock,
            ctx,
        );
        self.tokens.push_back(token);
    } else if (kind <= 6) {
        let cap_at = self.peel_cap(step);
        let at = self.peel_cluster(step);
        let token_at = self.peel_token(step);
        let token = &mut self.tokens[token_at];
        if (kind == 5) seal_token::revoke_token(&self.clusters[at], &self.caps[cap_at], token)
        else
            seal_token::set_rules(
                &self.clusters[at],
                &self.caps[cap_at],
                token,
                peel_rules(step),
            );
    } else if (kind == 7) {
        let at = self.peel_cluster(step);
        let token_at = self.peel_token(step);
        seal_token::migrate_token(&self.clusters[at], &mut self.tokens[token_at]);
    } else if (kind <= 12 || kind == 14) {
        return self.call_of_owner(kind, step, ctx)
    } else if (kind == 13) {
        let at = self.peel_cluster(step);
        let token_at = self.peel_token(step);
        let amount = step.peel_u64();
        let cluster = &self.clusters[at];
        seal_token::unstake(cluster, &mut self.tokens[token_at], amount, &self.clock, ctx);
    } else if (kind <= 19 || kind == 25 || kind == 26) {
        self.call_of_holder(kind, step, ctx);
    } else if (kind == 20) {
        let at = self.peel_cluster(step);
        let token_at = self.peel_token(step);
        let code = step.peel_u8();
        let count = step.peel_u64();
        let from_ms = step.peel_u64();
        let to_ms = step.peel_u64();
        k8s_gateway::record_refusals(
            &self.clusters[at],
            &self.tokens[token_at],
            code,
            count,
            from_ms,
            to_ms,
            &self.clock,
            ctx,
        );
    } else if (kind <= 23 || kind == 27) {
        self.call_of_executor(kind, step);
    } else if (kind == 24) {
        let token_at = self.peel_token(step);
        let request_ids = step.peel_vec_vec_u8();
        k8s_gateway::prune_responses(
            &mut self.tokens[token_at],
            request_ids,
            &self.clock,
            ctx,
        );
    } else if (kind == 28) {
        self.register(step, facts, ctx);
    } else if (kind <= 31) {
        let cap_at = self.peel_cap(step);
        let at = self.peel_cluster(step);
        let executor = step.peel_address();
        let cap = &self.caps[cap_at];
        let cluster = &mut self.clusters[at];
        if (kind == 29) cluster.activate_executor(cap, executor)
        else if (kind == 30) cluster.deactivate_executor(cap, executor)
        else cluster.remove_executor(cap, executor);
    } else {
        return self.call_about_executor(kind, step, ctx)
    };
    0
}

fun call_of_owner(self: &mut World, kind: u32, step: &mut Parts, ctx: &mut TxContext): u64 {
    let at = self.peel_token(step);
    let token = &mut self.tokens[at];
    let clock = &self.clock;
    if (kind == 8) {
        let delegate = step.peel_address();
        token.add_delegate(delegate, step.peel_u64(), clock, ctx);
    } else if (kind == 9) {
        token.remove_delegate(step.peel_address(), ctx);
    } else if (kind == 10) {
        let key = step.peel_vec_u8();
        token.register_session_key(key, step.peel_u64(), clock, ctx);
    } else if (kind == 11) {
        token.remove_session_key(step.peel_vec_u8(), ctx);
    } else if (kind == 12) {
        token.deposit_stake(balance::create_for_testing(step.peel_u64()), ctx);
    } else {
        return value(token.withdraw_stake(clock, ctx))
    };
    0
}

fun call_of_holder(self: &mut World, kind: u32, step: &mut Parts, ctx: &mut TxContext) {
    let at = self.peel_cluster(step);
    let token_at = self.peel_token(step);
    let cluster = &self.clusters[at];
    let token = &mut self.tokens[token_at];
    let clock = &self.clock;
    let request = peel_request(step);
    if (kind == 15) {
        k8s_gateway::execute_kubectl_command_with_id(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            clock,
            ctx,
        );
    } else if (kind == 16) {
        k8s_gateway::try_execute_kubectl_command_with_id(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            clock,
            ctx,
        );
    } else if (kind == 17) {
        let public_key = step.peel_vec_u8();
        let signature = step.peel_vec_u8();
        k8s_gateway::execute_signed_command(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            public_key,
            signature,
            clock,
            ctx,
        );
    } else if (kind == 18) {
        let public_key = step.peel_vec_u8();
        let signature = step.peel_vec_u8();
        k8s_gateway::try_execute_signed_command(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            public_key,
            signature,
            clock,
            ctx,
        );
    } else if (kind == 19) {
        k8s_gateway::record_refusal(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            clock,
            ctx,
        );
    } else if (kind == 25) {
        session::open_session(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            clock,
            ctx,
        );
    } else {
        let public_key = step.peel_vec_u8();
        let signature = step.peel_vec_u8();
        session::open_signed_session(
            cluster,
            token,
            request.request_id,
            request.method,
            request.path,
            request.query_kind,
            request.query_bytes,
            request.query_hash,
            request.query_length,
            request.header_names,
            request.header_values,
            request.payload_kind,
            request.payload_bytes,
            request.payload_hash,
            request.payload_length,
            request.reply_key,
            request.priority,
            request.deadline_ms,
            request.credential_id,
            public_key,
            signature,
            clock,
            ctx,
        );
    }
}

fun call_of_executor(self: &mut World, kind: u32, step: &mut Parts) {
    let at = self.peel_cluster(step);
    let token_at = self.peel_token(step);
    let cluster = &self.clusters[at];
    let token = &mut self.tokens[token_at];
    let clock = &self.clock;
    if (kind == 27) {
        let executor = step.peel_address();
        let request_id = step.peel_vec_u8();
        let digest = step.peel_vec_u8();
        let epoch = step.peel_u64();
        let bytes_in = step.peel_u64();
        let bytes_out = step.peel_u64();
        let reason = step.peel_u8();
        let transcript_hash = step.peel_vec_u8();
        let signature = step.peel_vec_u8();
        session::close_session(
            cluster,
            token,
            executor,
            request_id,
            digest,
            epoch,
            bytes_in,
            bytes_out,
            reason,
            transcript_hash,
            signature,
            clock,
        );
        return
    };
    let request_id = step.peel_vec_u8();
    let executor = step.peel_address();
    if (kind == 21) {
        let signature = step.peel_vec_u8();
        k8s_gateway::claim_request(cluster, token, request_id, executor, signature, clock);
    } else if (kind == 22) {
        let epoch = step.peel_u64();
        let signature = step.peel_vec_u8();
        k8s_gateway::release_request(cluster, token, request_id, executor, epoch, signature, clock);
    } else {
        let epoch = step.peel_u64();
        let status = step.peel_u16();
        let envelope_hash = step.peel_vec_u8();
        let envelope_len = step.peel_u64();
        let sealed = step.peel_vec_u8();
        let time_ms = step.peel_u64();
        let signature = step.peel_vec_u8();
        k8s_gateway::store_k8s_response(
            cluster,
            token,
            request_id,
            executor,
            epoch,
            status,
            envelope_hash,
            envelope_len,
            sealed,
            time_ms,
            signature,
            clock,
        );
    };
}

/// A document cannot be made here: what it says stands for it.
fun register(
    self: &mut World,
    step: &mut Parts,
    facts: Option<AttestedFacts>,
    ctx: &mut TxContext,
) {
    let cap_at = self.peel_cap(step);
    let at = self.peel_cluster(step);
    let operator = step.peel_address();
    let signing_key = step.peel_vec_u8();
    let encryption_key = step.peel_vec_u8();
    let is_attested = !step.peel_vec_u8().is_empty();
    let cluster = &mut self.clusters[at];
    let cap = &self.caps[cap_at];
    let executor = if (is_attested) {
        let facts = facts.destroy_some();
        executor::register_with_facts(
            cluster,
            cap,
            operator,
            signing_key,
            encryption_key,
            facts,
            &self.clock,
            ctx,
        )
    } else {
        executor::register_executor(cluster, cap, operator, signing_key, encryption_key, ctx)
    };
    self.executors.push_back(executor);
}

fun call_about_executor(self: &mut World, kind: u32, step: &mut Parts, ctx: &mut TxContext): u64 {
    if (kind == 34) {
        let at = self.peel_executor(step);
        return value(self.executors[at].withdraw_executor_stake(&self.clock, ctx))
    };
    let at = self.peel_cluster(step);
    let executor_at = self.peel_executor(step);
    let cluster = &mut self.clusters[at];
    let executor = &mut self.executors[executor_at];
    if (kind == 32) {
        let deposit = balance::create_for_testing(step.peel_u64());
        executor::deposit_executor_stake(cluster, executor, deposit, ctx);
    } else if (kind == 33) {
        executor::unstake_executor(cluster, executor, step.peel_u64(), &self.clock, ctx);
    } else if (kind == 35) {
        let token = step.peel_address();
        let first = peel_answer(step);
        let second = peel_answer(step);
        return value(executor::slash_equivocation(cluster, executor, token, first, second, ctx))
    } else if (kind == 36) {
        // The executor of the message: Move takes it from the object.
        step.peel_address();
        let previous_root = step.peel_vec_u8();
        let root = step.peel_vec_u8();
        let first = step.peel_u64();
        let last = step.peel_u64();
        let count = step.peel_u64();
        let signature = step.peel_vec_u8();
        audit::anchor_reads(
            cluster,
            executor,
            previous_root,
            root,
            first,
            last,
            count,
            signature,
            &self.clock,
        );
    } else {
        abort NO_KIND
    };
    0
}

// === Reading ===

fun peel_facts(step: &mut Parts): AttestedFacts {
    let timestamp_ms = step.peel_u64();
    let pcrs = step.peel_vec_vec_u8();
    let nonce = step.peel_vec_u8();
    attestation::new_facts(timestamp_ms, pcrs, nonce, step.peel_vec_u8())
}

fun peel_policy(step: &mut Parts): ClusterPolicy {
    let min_write_stake = step.peel_u64();
    let min_executor_stake = step.peel_u64();
    let unbonding_ms = step.peel_u64();
    let lease_ms = step.peel_u64();
    let response_ttl_ms = step.peel_vec_u64();
    let require_attestation = step.peel_bool();
    let pcrs = step.peel_vec_vec_u8();
    let kube_ca_hash = step.peel_vec_u8();
    cluster_policy::new(
        min_write_stake,
        min_executor_stake,
        unbonding_ms,
        lease_ms,
        response_ttl_ms,
        require_attestation,
        pcrs,
        kube_ca_hash,
    )
}

fun peel_rules(step: &mut Parts): vector<PolicyRule> {
    vector::tabulate!(step.peel_vec_length(), |_| {
        let verbs = peel_texts(step);
        let api_groups = peel_texts(step);
        let resources = peel_texts(step);
        let resource_names = peel_texts(step);
        let non_resource_urls = peel_texts(step);
        let namespaces = peel_texts(step);
        policy::new_rule(
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls,
            namespaces,
        )
    })
}

fun peel_texts(step: &mut Parts): vector<String> {
    step.peel_vec_vec_u8().map!(|text| text.to_string())
}

fun peel_delegate(step: &mut Parts): Delegate {
    let delegate = step.peel_address();
    delegate::new(delegate, step.peel_u64())
}

fun peel_answer(step: &mut Parts): SignedAnswer {
    let request_id = step.peel_vec_u8();
    let digest = step.peel_vec_u8();
    let epoch = step.peel_u64();
    let status = step.peel_u16();
    let envelope_hash = step.peel_vec_u8();
    let envelope_len = step.peel_u64();
    let sealed_hash = step.peel_vec_u8();
    let time_ms = step.peel_u64();
    let signature = step.peel_vec_u8();
    message::signed_answer(
        request_id,
        digest,
        epoch,
        status,
        envelope_hash,
        envelope_len,
        sealed_hash,
        time_ms,
        signature,
    )
}

fun peel_request(step: &mut Parts): Arguments {
    let request_id = step.peel_vec_u8();
    let method = step.peel_vec_u8();
    let path = step.peel_vec_u8();
    let query_kind = step.peel_u8();
    let query_bytes = step.peel_vec_u8();
    let query_hash = step.peel_vec_u8();
    let query_length = step.peel_u64();
    let header_names = step.peel_vec_vec_u8();
    let header_values = step.peel_vec_vec_u8();
    let payload_kind = step.peel_u8();
    let payload_bytes = step.peel_vec_u8();
    let payload_hash = step.peel_vec_u8();
    let payload_length = step.peel_u64();
    let reply_key = step.peel_vec_u8();
    let priority = step.peel_u8();
    let deadline_ms = step.peel_u64();
    let credential_id = step.peel_vec_u8();
    Arguments {
        request_id,
        method,
        path,
        query_kind,
        query_bytes,
        query_hash,
        query_length,
        header_names,
        header_values,
        payload_kind,
        payload_bytes,
        payload_hash,
        payload_length,
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    }
}

fun value(paid: Balance<SUI>): u64 { paid.destroy_for_testing() }

// === Finding ===

fun peel_cap(self: &World, step: &mut Parts): u64 {
    let id = step.peel_address();
    let at = self.caps.find_index!(|cap| object::id_address(cap) == id);
    assert!(at.is_some(), NO_OBJECT);
    at.destroy_some()
}

fun peel_cluster(self: &World, step: &mut Parts): u64 { self.cluster_at(step.peel_address()) }

fun peel_token(self: &World, step: &mut Parts): u64 { self.token_at(step.peel_address()) }

fun peel_executor(self: &World, step: &mut Parts): u64 { self.executor_at(step.peel_address()) }

fun cluster_at(self: &World, id: address): u64 {
    let at = self.clusters.find_index!(|cluster| cluster.id() == id);
    assert!(at.is_some(), NO_OBJECT);
    at.destroy_some()
}

fun token_at(self: &World, id: address): u64 {
    let at = self.tokens.find_index!(|token| token.id() == id);
    assert!(at.is_some(), NO_OBJECT);
    at.destroy_some()
}

fun executor_at(self: &World, id: address): u64 {
    let at = self.executors.find_index!(|executor| executor.id() == id);
    assert!(at.is_some(), NO_OBJECT);
    at.destroy_some()
}

// === Comparing ===

/// Whether an object, or what hangs off it, has the bytes that the Rust twin says.
fun has(self: &World, expected: vector<vector<u8>>): bool {
    let mut expected = parts::read(expected);
    let kind = expected.peel_u8();
    let id = expected.peel_address();
    let keys = expected.peel_vec_vec_u8();
    let held = if (kind == 0) self.clusters[self.cluster_at(id)].as_twin_for_testing(keys)
    else if (kind == 1) self.tokens[self.token_at(id)].as_twin_for_testing()
    else if (kind == 2) self.executors[self.executor_at(id)].as_twin_for_testing()
    else if (kind == 3) self.requests_of(id, keys)
    else abort NO_KIND;
    held == expected.peel_vec_u8()
}

/// The requests that a token holds, which are these and no others.
fun requests_of(self: &World, token: address, request_ids: vector<vector<u8>>): vector<u8> {
    let token = &self.tokens[self.token_at(token)];
    assert!(token.count_requests_for_testing() == request_ids.length(), NO_OBJECT);
    let mut bytes = vector[];
    request_ids.do!(|request_id| bytes.append(bcs::to_bytes(token.request(request_id))));
    bytes
}
