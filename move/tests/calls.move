/// The calls that tests make, each as one value that knows how to make itself.
#[test_only]
module k3s_daas::calls;

use k3s_daas::audit;
use k3s_daas::cluster::Cluster;
use k3s_daas::executor::ExecutorState;
use k3s_daas::k8s_gateway;
use k3s_daas::message::{Self, RequestMessage, SignedAnswer};
use k3s_daas::people;
use k3s_daas::seal_token::SealToken;
use k3s_daas::session;
use sui::clock::Clock;

/// A request, with the signatures of the session key as a request and as the opening of a session.
public struct Command has copy, drop {
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
    digest: vector<u8>,
    public_key: vector<u8>,
    signature: vector<u8>,
    session_signature: vector<u8>,
}

public fun command(
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
    digest: vector<u8>,
    public_key: vector<u8>,
    signature: vector<u8>,
    session_signature: vector<u8>,
): Command {
    Command {
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
        digest,
        public_key,
        signature,
        session_signature,
    }
}

/// An answer.
public struct Answer has copy, drop {
    request_id: vector<u8>,
    digest: vector<u8>,
    executor: address,
    epoch: u64,
    status: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed: vector<u8>,
    time_ms: u64,
    signature: vector<u8>,
}

public fun answer(
    request_id: vector<u8>,
    digest: vector<u8>,
    executor: address,
    epoch: u64,
    status: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed: vector<u8>,
    time_ms: u64,
    signature: vector<u8>,
): Answer {
    Answer {
        request_id,
        digest,
        executor,
        epoch,
        status,
        envelope_hash,
        envelope_len,
        sealed,
        time_ms,
        signature,
    }
}

/// A claim or a release.
public struct Assignment has copy, drop {
    request_id: vector<u8>,
    executor: address,
    epoch: u64,
    signature: vector<u8>,
}

public fun assignment(
    request_id: vector<u8>,
    executor: address,
    epoch: u64,
    signature: vector<u8>,
): Assignment {
    Assignment { request_id, executor, epoch, signature }
}

/// A session's end.
public struct End has copy, drop {
    executor: address,
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    bytes_in: u64,
    bytes_out: u64,
    reason: u8,
    transcript_hash: vector<u8>,
    signature: vector<u8>,
}

public fun end(
    executor: address,
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    bytes_in: u64,
    bytes_out: u64,
    reason: u8,
    transcript_hash: vector<u8>,
    signature: vector<u8>,
): End {
    End {
        executor,
        request_id,
        digest,
        epoch,
        bytes_in,
        bytes_out,
        reason,
        transcript_hash,
        signature,
    }
}

/// An anchor.
public struct Anchor has copy, drop {
    previous_root: vector<u8>,
    root: vector<u8>,
    first: u64,
    last: u64,
    count: u64,
    signature: vector<u8>,
}

public fun anchor(
    previous_root: vector<u8>,
    root: vector<u8>,
    first: u64,
    last: u64,
    count: u64,
    signature: vector<u8>,
): Anchor {
    Anchor { previous_root, root, first, last, count, signature }
}

public fun execute(self: Command, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    self.execute_as(people::owner(), cluster, token, clock)
}

public fun execute_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    k8s_gateway::execute_kubectl_command_with_id(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        clock,
        &mut people::ctx(sender),
    )
}

public fun try_execute(self: Command, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    self.try_execute_as(people::owner(), cluster, token, clock)
}

public fun try_execute_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    k8s_gateway::try_execute_kubectl_command_with_id(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        clock,
        &mut people::ctx(sender),
    )
}

public fun execute_signed(self: Command, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    self.execute_signed_as(people::stranger(), cluster, token, clock)
}

public fun execute_signed_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    k8s_gateway::execute_signed_command(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        self.public_key,
        self.signature,
        clock,
        &mut people::ctx(sender),
    )
}

public fun try_execute_signed(
    self: Command,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    self.try_execute_signed_as(people::stranger(), cluster, token, clock)
}

public fun try_execute_signed_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    k8s_gateway::try_execute_signed_command(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        self.public_key,
        self.signature,
        clock,
        &mut people::ctx(sender),
    )
}

public fun record_refusal(self: Command, cluster: &Cluster, token: &SealToken, clock: &Clock) {
    self.record_refusal_as(people::owner(), cluster, token, clock)
}

public fun record_refusal_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &SealToken,
    clock: &Clock,
) {
    k8s_gateway::record_refusal(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        clock,
        &mut people::ctx(sender),
    )
}

public fun open(self: Command, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    self.open_as(people::owner(), cluster, token, clock)
}

public fun open_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    session::open_session(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        clock,
        &mut people::ctx(sender),
    )
}

public fun open_signed(self: Command, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    self.open_signed_as(people::stranger(), cluster, token, clock)
}

public fun open_signed_as(
    self: Command,
    sender: address,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    session::open_signed_session(
        cluster,
        token,
        self.request_id,
        self.method,
        self.path,
        self.query_kind,
        self.query_bytes,
        self.query_hash,
        self.query_length,
        self.header_names,
        self.header_values,
        self.payload_kind,
        self.payload_bytes,
        self.payload_hash,
        self.payload_length,
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
        self.public_key,
        self.session_signature,
        clock,
        &mut people::ctx(sender),
    )
}

/// With an ID of its own for each number.
public fun with_number(mut self: Command, number: u64): Command {
    let mut left = number;
    4u64.do!(|at| {
        let digit = ((left % 16) as u8);
        *(&mut self.request_id[35 - at]) = if (digit < 10) 0x30 + digit else 0x57 + digit;
        left = left / 16;
    });
    self
}

/// Its message, as the contract makes it.
public fun message(self: &Command): RequestMessage {
    message::request(
        self.request_id,
        self.method,
        self.path,
        message::content(self.query_kind, self.query_bytes, self.query_hash, self.query_length),
        self.header_names,
        self.header_values,
        message::content(
            self.payload_kind,
            self.payload_bytes,
            self.payload_hash,
            self.payload_length,
        ),
        self.reply_key,
        self.priority,
        self.deadline_ms,
        self.credential_id,
    )
}

public fun digest(self: &Command): vector<u8> { self.digest }

public fun signature(self: &Command): vector<u8> { self.signature }

public fun session_signature(self: &Command): vector<u8> { self.session_signature }

public fun id(self: &Command): vector<u8> { self.request_id }

public fun with_request_id(mut self: Command, request_id: vector<u8>): Command {
    self.request_id = request_id;
    self
}

public fun with_method(mut self: Command, method: vector<u8>): Command {
    self.method = method;
    self
}

public fun with_path(mut self: Command, path: vector<u8>): Command {
    self.path = path;
    self
}

public fun with_priority(mut self: Command, priority: u8): Command {
    self.priority = priority;
    self
}

public fun with_deadline_ms(mut self: Command, deadline_ms: u64): Command {
    self.deadline_ms = deadline_ms;
    self
}

public fun with_public_key(mut self: Command, public_key: vector<u8>): Command {
    self.public_key = public_key;
    self
}

public fun with_signature(mut self: Command, signature: vector<u8>): Command {
    self.signature = signature;
    self.session_signature = signature;
    self
}

public fun store(self: Answer, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    k8s_gateway::store_k8s_response(
        cluster,
        token,
        self.request_id,
        self.executor,
        self.epoch,
        self.status,
        self.envelope_hash,
        self.envelope_len,
        self.sealed,
        self.time_ms,
        self.signature,
        clock,
    )
}

/// As evidence.
public fun signed(self: Answer): SignedAnswer {
    let sealed_hash = if (self.sealed.is_empty()) vector[] else std::hash::sha2_256(self.sealed);
    message::signed_answer(
        self.request_id,
        self.digest,
        self.epoch,
        self.status,
        self.envelope_hash,
        self.envelope_len,
        sealed_hash,
        self.time_ms,
        self.signature,
    )
}

public fun with_answer_signature(mut self: Answer, signature: vector<u8>): Answer {
    self.signature = signature;
    self
}

public fun with_status(mut self: Answer, status: u16): Answer {
    self.status = status;
    self
}

public fun with_sealed(mut self: Answer, sealed: vector<u8>): Answer {
    self.sealed = sealed;
    self
}

public fun with_executor(mut self: Answer, executor: address): Answer {
    self.executor = executor;
    self
}

public fun answer_signature(self: &Answer): vector<u8> { self.signature }

public fun answer_digest(self: &Answer): vector<u8> { self.digest }

public fun claim(self: Assignment, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    k8s_gateway::claim_request(
        cluster,
        token,
        self.request_id,
        self.executor,
        self.signature,
        clock,
    )
}

public fun release(self: Assignment, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    k8s_gateway::release_request(
        cluster,
        token,
        self.request_id,
        self.executor,
        self.epoch,
        self.signature,
        clock,
    )
}

public fun with_epoch(mut self: Assignment, epoch: u64): Assignment {
    self.epoch = epoch;
    self
}

public fun with_assignee(mut self: Assignment, executor: address): Assignment {
    self.executor = executor;
    self
}

public fun with_assignment_signature(mut self: Assignment, signature: vector<u8>): Assignment {
    self.signature = signature;
    self
}

public fun close(self: End, cluster: &Cluster, token: &mut SealToken, clock: &Clock) {
    session::close_session(
        cluster,
        token,
        self.executor,
        self.request_id,
        self.digest,
        self.epoch,
        self.bytes_in,
        self.bytes_out,
        self.reason,
        self.transcript_hash,
        self.signature,
        clock,
    )
}

public fun with_bytes_in(mut self: End, bytes_in: u64): End {
    self.bytes_in = bytes_in;
    self
}

public fun anchor_reads(
    self: Anchor,
    cluster: &Cluster,
    executor: &mut ExecutorState,
    clock: &Clock,
) {
    audit::anchor_reads(
        cluster,
        executor,
        self.previous_root,
        self.root,
        self.first,
        self.last,
        self.count,
        self.signature,
        clock,
    )
}

public fun with_root(mut self: Anchor, root: vector<u8>): Anchor {
    self.root = root;
    self
}
