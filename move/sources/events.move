/// What the contract emits: enough to rebuild all state but sealed bytes from events alone.
///
/// Every change of a cluster, token, delegate, session key, stake, request, executor, anchor or session is one of these, in the
/// past tense. All are authenticated: a light client can verify that each happened and that none was left out. The
/// stream is one per original package, so each event names its cluster. No event carries a secret. Layouts are
/// append-only; their bytes stand in `docs/message-formats.md`.
module k3s_daas::events;

use k3s_daas::cluster_policy::ClusterPolicy;
use k3s_daas::delegate::Delegate;
use k3s_daas::message::{Content, RequestMessage};
use k3s_daas::policy::PolicyRule;
use k3s_daas::resource_path::Target;
use sui::event;

// === Events ===

/// A cluster was created.
public struct ClusterCreated has copy, drop {
    /// The cluster.
    cluster: address,
    /// Contract version of the object.
    version: u64,
    /// Its name.
    name: vector<u8>,
    /// The chain it believes to be on.
    chain: address,
    /// The capability that governs it.
    admin_cap: address,
    /// Who created it. That the capability was handed on is no event.
    admin: address,
    /// Its policy.
    policy: ClusterPolicy,
}

/// A cluster's policy was replaced.
public struct ClusterPolicySet has copy, drop {
    /// The cluster.
    cluster: address,
    /// The new policy.
    policy: ClusterPolicy,
}

/// A cluster was brought to the current version.
public struct ClusterMigrated has copy, drop {
    /// The cluster.
    cluster: address,
    /// The version now.
    version: u64,
}

/// Insurance was paid out.
public struct InsuranceWithdrawn has copy, drop {
    /// The cluster.
    cluster: address,
    /// MIST.
    amount: u64,
    /// Who received it.
    recipient: address,
}

/// A seal token was issued.
public struct SealTokenIssued has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Contract version of the object.
    version: u64,
    /// Who owns it and its stake.
    owner: address,
    /// What it allows.
    rules: vector<PolicyRule>,
    /// Kubernetes groups to impersonate.
    groups: vector<vector<u8>>,
    /// Unix milliseconds from which it is valid.
    not_before_ms: u64,
    /// Unix milliseconds at which it is no longer valid.
    expires_at_ms: u64,
    /// Addresses that may submit for it.
    delegates: vector<Delegate>,
}

/// A seal token was revoked, for good.
public struct SealTokenRevoked has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
}

/// A seal token's rules were replaced.
public struct SealTokenRulesSet has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// What it allows now.
    rules: vector<PolicyRule>,
}

/// A seal token was brought to the current version.
public struct SealTokenMigrated has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The version now.
    version: u64,
}

/// An address may submit for a token, or may longer.
public struct DelegateAdded has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Who.
    delegate: address,
    /// Until when.
    expires_at_ms: u64,
}

/// An address may no longer submit for a token.
public struct DelegateRemoved has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Who.
    delegate: address,
}

/// A key may sign for a token.
public struct SessionKeyRegistered has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The key.
    key: vector<u8>,
    /// Until when.
    expires_at_ms: u64,
}

/// A key may no longer sign for a token.
public struct SessionKeyRemoved has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The key.
    key: vector<u8>,
}

/// A token's stake grew.
public struct StakeDeposited has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Who paid.
    depositor: address,
    /// MIST added.
    amount: u64,
    /// MIST bonded now.
    bonded: u64,
}

/// Some of a token's stake will be paid out.
public struct StakeUnbonding has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// MIST that left the bond.
    amount: u64,
    /// Unix milliseconds from which it can be withdrawn.
    unlock_ms: u64,
}

/// All of a token's unbonded stake that was due was paid to its owner.
public struct StakeWithdrawn has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// MIST.
    amount: u64,
    /// The owner.
    recipient: address,
    /// When; unbondings unlocked by then are gone.
    timestamp_ms: u64,
}

/// A request was admitted.
public struct K8sAPIRequest has copy, drop {
    /// The cluster.
    cluster: address,
    /// The caller's idempotency key.
    request_id: vector<u8>,
    /// HTTP method.
    method: vector<u8>,
    /// Path as submitted.
    path: vector<u8>,
    /// Query as submitted.
    query: Content,
    /// Header names as submitted.
    header_names: vector<vector<u8>>,
    /// Header values as submitted.
    header_values: vector<vector<u8>>,
    /// Payload as submitted.
    payload: Content,
    /// Key to seal the answer to, or empty.
    reply_key: vector<u8>,
    /// 1 to 4.
    priority: u8,
    /// Unix milliseconds by which it must be answered.
    deadline_ms: u64,
    /// Credential that a gateway checked, or empty.
    credential_id: vector<u8>,
    /// BLAKE2b-256 of the signed bytes.
    digest: vector<u8>,
    /// Whether it opens a session.
    session: bool,
    /// Derived: API group; empty for the core group and for non-resource paths.
    api_group: vector<u8>,
    /// Derived: API version.
    api_version: vector<u8>,
    /// Derived: namespace.
    namespace: vector<u8>,
    /// Derived: resource.
    resource_type: vector<u8>,
    /// Derived: subresource.
    subresource: vector<u8>,
    /// Derived: name.
    name: vector<u8>,
    /// Derived: the contract's verb.
    verb: vector<u8>,
    /// Derived: whether it is a read, which needs no stake.
    is_read: bool,
    /// The token.
    seal_token_id: address,
    /// Grows by one with each request of the token; the first is 1.
    sequence: u64,
    /// The token's owner.
    requester: address,
    /// Who sent the transaction.
    submitted_by: address,
    /// The executor assigned.
    nautilus_endpoint: address,
    /// The assignment: 0.
    epoch: u64,
    /// End of that executor's lease, Unix milliseconds.
    lease_ends_ms: u64,
    /// From when it may be pruned if it is never answered, Unix milliseconds.
    prunable_at_ms: u64,
    /// When it was admitted, Unix milliseconds.
    timestamp_ms: u64,
}

/// A request was refused.
public struct K8sRequestRejected has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Who sent the transaction.
    submitted_by: address,
    /// The first 64 bytes of what was given as request ID.
    request_id: vector<u8>,
    /// BLAKE2b-256 of the signed bytes.
    digest: vector<u8>,
    /// Why.
    code: u8,
}

/// Requests were refused that were too many to record one by one.
public struct K8sRequestsRejected has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Who counted them.
    submitted_by: address,
    /// Why.
    code: u8,
    /// How many.
    count: u64,
    /// Since when, Unix milliseconds.
    from_ms: u64,
    /// Until when, Unix milliseconds.
    to_ms: u64,
}

/// A request whose lease was over was taken on by an executor.
public struct K8sRequestClaimed has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The request.
    request_id: vector<u8>,
    /// Who took it.
    executor: address,
    /// The new assignment.
    epoch: u64,
    /// End of the new lease, Unix milliseconds.
    lease_ends_ms: u64,
    /// When, Unix milliseconds.
    timestamp_ms: u64,
}

/// A request that had not begun was given back and assigned anew.
public struct K8sRequestReleased has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The request.
    request_id: vector<u8>,
    /// Who gave it back.
    released_by: address,
    /// Who has it now.
    executor: address,
    /// The new assignment.
    epoch: u64,
    /// End of the new lease, Unix milliseconds.
    lease_ends_ms: u64,
    /// When, Unix milliseconds.
    timestamp_ms: u64,
}

/// A request was answered.
public struct K8sRequestProcessed has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The request.
    request_id: vector<u8>,
    /// The digest of the request.
    digest: vector<u8>,
    /// The token's owner.
    requester: address,
    /// Who answered.
    executor: address,
    /// Under which assignment.
    epoch: u64,
    /// HTTP status.
    status_code: u16,
    /// Salted SHA-256 of the response envelope.
    envelope_hash: vector<u8>,
    /// Its length in bytes.
    envelope_len: u64,
    /// SHA-256 of the bytes sealed inline, or empty.
    sealed_hash: vector<u8>,
    /// The executor's own time, Unix milliseconds.
    time_ms: u64,
    /// The executor's signature over the answer.
    signature: vector<u8>,
    /// When it was recorded, Unix milliseconds.
    processed_at_ms: u64,
    /// From when it may be pruned, Unix milliseconds.
    expires_at_ms: u64,
}

/// Requests and their answers were removed from a token.
public struct ResponsesPruned has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// Which.
    request_ids: vector<vector<u8>>,
    /// Who sent the transaction.
    pruned_by: address,
}

/// A session ended.
public struct SessionClosed has copy, drop {
    /// The cluster.
    cluster: address,
    /// The token.
    token: address,
    /// The request that opened it.
    request_id: vector<u8>,
    /// Who ran it.
    executor: address,
    /// Under which assignment.
    epoch: u64,
    /// Bytes from the client to the cluster.
    bytes_in: u64,
    /// Bytes from the cluster to the client.
    bytes_out: u64,
    /// Why it ended.
    reason: u8,
    /// Hash over the transcript.
    transcript_hash: vector<u8>,
    /// When, Unix milliseconds.
    timestamp_ms: u64,
    /// From when it may be pruned, Unix milliseconds.
    expires_at_ms: u64,
}

/// An executor was admitted.
public struct ExecutorRegistered has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
    /// Who owns its stake.
    operator: address,
    /// Ed25519 key of its answers.
    signing_key: vector<u8>,
    /// X25519 key that payloads are sealed to.
    encryption_key: vector<u8>,
    /// PCR0–2 if attested.
    pcrs: vector<vector<u8>>,
    /// The cluster's registration counter after it.
    registrations: u64,
}

/// An executor may be assigned requests again.
public struct ExecutorActivated has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
}

/// An executor is assigned nothing any more.
public struct ExecutorDeactivated has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
}

/// An inactive executor left the cluster's list.
public struct ExecutorRemoved has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
}

/// An executor's stake grew.
public struct ExecutorStakeDeposited has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
    /// Who paid.
    depositor: address,
    /// MIST added.
    amount: u64,
    /// MIST bonded now.
    bonded: u64,
}

/// Some of an executor's stake will be paid out.
public struct ExecutorStakeUnbonding has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
    /// MIST that left the bond.
    amount: u64,
    /// Unix milliseconds from which it can be withdrawn.
    unlock_ms: u64,
}

/// All of an executor's unbonded stake that was due was paid to its operator.
public struct ExecutorStakeWithdrawn has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
    /// MIST.
    amount: u64,
    /// The operator.
    recipient: address,
    /// When; unbondings unlocked by then are gone.
    timestamp_ms: u64,
}

/// An executor answered one request in two ways and lost all its stake.
public struct ExecutorSlashed has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
    /// Who proved it.
    presenter: address,
    /// The token of the request.
    token: address,
    /// The request.
    request_id: vector<u8>,
    /// The assignment.
    epoch: u64,
    /// MIST paid to the presenter.
    reward: u64,
    /// MIST that went to the cluster's insurance.
    insured: u64,
}

/// An executor anchored the reads it served beside the ledger.
public struct ReadsAnchored has copy, drop {
    /// The cluster.
    cluster: address,
    /// The executor.
    executor: address,
    /// The root before.
    previous_root: vector<u8>,
    /// The new root.
    root: vector<u8>,
    /// First sequence number.
    first: u64,
    /// Last sequence number.
    last: u64,
    /// How many.
    count: u64,
    /// When, Unix milliseconds.
    timestamp_ms: u64,
}

// === Package functions ===

public(package) fun cluster_created(
    cluster: address,
    version: u64,
    name: vector<u8>,
    chain: address,
    admin_cap: address,
    admin: address,
    policy: ClusterPolicy,
) {
    event::emit_authenticated(ClusterCreated {
        cluster,
        version,
        name,
        chain,
        admin_cap,
        admin,
        policy,
    })
}

public(package) fun cluster_policy_set(cluster: address, policy: ClusterPolicy) {
    event::emit_authenticated(ClusterPolicySet {
        cluster,
        policy,
    })
}

public(package) fun cluster_migrated(cluster: address, version: u64) {
    event::emit_authenticated(ClusterMigrated {
        cluster,
        version,
    })
}

public(package) fun insurance_withdrawn(cluster: address, amount: u64, recipient: address) {
    event::emit_authenticated(InsuranceWithdrawn {
        cluster,
        amount,
        recipient,
    })
}

public(package) fun seal_token_issued(
    cluster: address,
    token: address,
    version: u64,
    owner: address,
    rules: vector<PolicyRule>,
    groups: vector<vector<u8>>,
    not_before_ms: u64,
    expires_at_ms: u64,
    delegates: vector<Delegate>,
) {
    event::emit_authenticated(SealTokenIssued {
        cluster,
        token,
        version,
        owner,
        rules,
        groups,
        not_before_ms,
        expires_at_ms,
        delegates,
    })
}

public(package) fun seal_token_revoked(cluster: address, token: address) {
    event::emit_authenticated(SealTokenRevoked {
        cluster,
        token,
    })
}

public(package) fun seal_token_rules_set(
    cluster: address,
    token: address,
    rules: vector<PolicyRule>,
) {
    event::emit_authenticated(SealTokenRulesSet {
        cluster,
        token,
        rules,
    })
}

public(package) fun seal_token_migrated(cluster: address, token: address, version: u64) {
    event::emit_authenticated(SealTokenMigrated {
        cluster,
        token,
        version,
    })
}

public(package) fun delegate_added(
    cluster: address,
    token: address,
    delegate: address,
    expires_at_ms: u64,
) {
    event::emit_authenticated(DelegateAdded {
        cluster,
        token,
        delegate,
        expires_at_ms,
    })
}

public(package) fun delegate_removed(cluster: address, token: address, delegate: address) {
    event::emit_authenticated(DelegateRemoved {
        cluster,
        token,
        delegate,
    })
}

public(package) fun session_key_registered(
    cluster: address,
    token: address,
    key: vector<u8>,
    expires_at_ms: u64,
) {
    event::emit_authenticated(SessionKeyRegistered {
        cluster,
        token,
        key,
        expires_at_ms,
    })
}

public(package) fun session_key_removed(cluster: address, token: address, key: vector<u8>) {
    event::emit_authenticated(SessionKeyRemoved {
        cluster,
        token,
        key,
    })
}

public(package) fun stake_deposited(
    cluster: address,
    token: address,
    depositor: address,
    amount: u64,
    bonded: u64,
) {
    event::emit_authenticated(StakeDeposited {
        cluster,
        token,
        depositor,
        amount,
        bonded,
    })
}

public(package) fun stake_unbonding(cluster: address, token: address, amount: u64, unlock_ms: u64) {
    event::emit_authenticated(StakeUnbonding {
        cluster,
        token,
        amount,
        unlock_ms,
    })
}

public(package) fun stake_withdrawn(
    cluster: address,
    token: address,
    amount: u64,
    recipient: address,
    timestamp_ms: u64,
) {
    event::emit_authenticated(StakeWithdrawn {
        cluster,
        token,
        amount,
        recipient,
        timestamp_ms,
    })
}

public(package) fun k8s_api_request(
    cluster: address,
    request: &RequestMessage,
    digest: vector<u8>,
    session: bool,
    target: &Target,
    seal_token_id: address,
    sequence: u64,
    requester: address,
    submitted_by: address,
    nautilus_endpoint: address,
    epoch: u64,
    lease_ends_ms: u64,
    prunable_at_ms: u64,
    timestamp_ms: u64,
) {
    event::emit_authenticated(K8sAPIRequest {
        cluster,
        request_id: *request.request_id(),
        method: *request.method(),
        path: *request.path(),
        query: *request.query(),
        header_names: *request.header_names(),
        header_values: *request.header_values(),
        payload: *request.payload(),
        reply_key: *request.reply_key(),
        priority: request.priority(),
        deadline_ms: request.deadline_ms(),
        credential_id: *request.credential_id(),
        digest,
        session,
        api_group: *target.api_group().as_bytes(),
        api_version: *target.api_version().as_bytes(),
        namespace: *target.namespace().as_bytes(),
        resource_type: *target.resource().as_bytes(),
        subresource: *target.subresource().as_bytes(),
        name: *target.name().as_bytes(),
        verb: *target.verb().as_bytes(),
        is_read: target.is_read(),
        seal_token_id,
        sequence,
        requester,
        submitted_by,
        nautilus_endpoint,
        epoch,
        lease_ends_ms,
        prunable_at_ms,
        timestamp_ms,
    })
}

public(package) fun k8s_request_rejected(
    cluster: address,
    token: address,
    submitted_by: address,
    request_id: vector<u8>,
    digest: vector<u8>,
    code: u8,
) {
    event::emit_authenticated(K8sRequestRejected {
        cluster,
        token,
        submitted_by,
        request_id,
        digest,
        code,
    })
}

public(package) fun k8s_requests_rejected(
    cluster: address,
    token: address,
    submitted_by: address,
    code: u8,
    count: u64,
    from_ms: u64,
    to_ms: u64,
) {
    event::emit_authenticated(K8sRequestsRejected {
        cluster,
        token,
        submitted_by,
        code,
        count,
        from_ms,
        to_ms,
    })
}

public(package) fun k8s_request_claimed(
    cluster: address,
    token: address,
    request_id: vector<u8>,
    executor: address,
    epoch: u64,
    lease_ends_ms: u64,
    timestamp_ms: u64,
) {
    event::emit_authenticated(K8sRequestClaimed {
        cluster,
        token,
        request_id,
        executor,
        epoch,
        lease_ends_ms,
        timestamp_ms,
    })
}

public(package) fun k8s_request_released(
    cluster: address,
    token: address,
    request_id: vector<u8>,
    released_by: address,
    executor: address,
    epoch: u64,
    lease_ends_ms: u64,
    timestamp_ms: u64,
) {
    event::emit_authenticated(K8sRequestReleased {
        cluster,
        token,
        request_id,
        released_by,
        executor,
        epoch,
        lease_ends_ms,
        timestamp_ms,
    })
}

public(package) fun k8s_request_processed(
    cluster: address,
    token: address,
    request_id: vector<u8>,
    digest: vector<u8>,
    requester: address,
    executor: address,
    epoch: u64,
    status_code: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed_hash: vector<u8>,
    time_ms: u64,
    signature: vector<u8>,
    processed_at_ms: u64,
    expires_at_ms: u64,
) {
    event::emit_authenticated(K8sRequestProcessed {
        cluster,
        token,
        request_id,
        digest,
        requester,
        executor,
        epoch,
        status_code,
        envelope_hash,
        envelope_len,
        sealed_hash,
        time_ms,
        signature,
        processed_at_ms,
        expires_at_ms,
    })
}

public(package) fun responses_pruned(
    cluster: address,
    token: address,
    request_ids: vector<vector<u8>>,
    pruned_by: address,
) {
    event::emit_authenticated(ResponsesPruned {
        cluster,
        token,
        request_ids,
        pruned_by,
    })
}

public(package) fun session_closed(
    cluster: address,
    token: address,
    request_id: vector<u8>,
    executor: address,
    epoch: u64,
    bytes_in: u64,
    bytes_out: u64,
    reason: u8,
    transcript_hash: vector<u8>,
    timestamp_ms: u64,
    expires_at_ms: u64,
) {
    event::emit_authenticated(SessionClosed {
        cluster,
        token,
        request_id,
        executor,
        epoch,
        bytes_in,
        bytes_out,
        reason,
        transcript_hash,
        timestamp_ms,
        expires_at_ms,
    })
}

public(package) fun executor_registered(
    cluster: address,
    executor: address,
    operator: address,
    signing_key: vector<u8>,
    encryption_key: vector<u8>,
    pcrs: vector<vector<u8>>,
    registrations: u64,
) {
    event::emit_authenticated(ExecutorRegistered {
        cluster,
        executor,
        operator,
        signing_key,
        encryption_key,
        pcrs,
        registrations,
    })
}

public(package) fun executor_activated(cluster: address, executor: address) {
    event::emit_authenticated(ExecutorActivated {
        cluster,
        executor,
    })
}

public(package) fun executor_deactivated(cluster: address, executor: address) {
    event::emit_authenticated(ExecutorDeactivated {
        cluster,
        executor,
    })
}

public(package) fun executor_removed(cluster: address, executor: address) {
    event::emit_authenticated(ExecutorRemoved {
        cluster,
        executor,
    })
}

public(package) fun executor_stake_deposited(
    cluster: address,
    executor: address,
    depositor: address,
    amount: u64,
    bonded: u64,
) {
    event::emit_authenticated(ExecutorStakeDeposited {
        cluster,
        executor,
        depositor,
        amount,
        bonded,
    })
}

public(package) fun executor_stake_unbonding(
    cluster: address,
    executor: address,
    amount: u64,
    unlock_ms: u64,
) {
    event::emit_authenticated(ExecutorStakeUnbonding {
        cluster,
        executor,
        amount,
        unlock_ms,
    })
}

public(package) fun executor_stake_withdrawn(
    cluster: address,
    executor: address,
    amount: u64,
    recipient: address,
    timestamp_ms: u64,
) {
    event::emit_authenticated(ExecutorStakeWithdrawn {
        cluster,
        executor,
        amount,
        recipient,
        timestamp_ms,
    })
}

public(package) fun executor_slashed(
    cluster: address,
    executor: address,
    presenter: address,
    token: address,
    request_id: vector<u8>,
    epoch: u64,
    reward: u64,
    insured: u64,
) {
    event::emit_authenticated(ExecutorSlashed {
        cluster,
        executor,
        presenter,
        token,
        request_id,
        epoch,
        reward,
        insured,
    })
}

public(package) fun reads_anchored(
    cluster: address,
    executor: address,
    previous_root: vector<u8>,
    root: vector<u8>,
    first: u64,
    last: u64,
    count: u64,
    timestamp_ms: u64,
) {
    event::emit_authenticated(ReadsAnchored {
        cluster,
        executor,
        previous_root,
        root,
        first,
        last,
        count,
        timestamp_ms,
    })
}
