//! One example of everything that is signed or emitted, the same in every run.

use k3s_daas::crypto::{BlobHash, Ed25519Signer, PublicKey, Signature, blake2b256, sha256};
use k3s_daas::types::{
    Address, AdminCapId, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId, HexBytes,
    MIST_PER_SUI, PolicyRule, TokenId,
};
use k3s_daas::wire::*;

pub(super) const NOW: u64 = 1_800_000_000_000;

pub(super) fn owner_key() -> Ed25519Signer {
    Ed25519Signer::from_seed([1; 32])
}

pub(super) fn session_key() -> Ed25519Signer {
    Ed25519Signer::from_seed([2; 32])
}

pub(super) fn executor_key() -> Ed25519Signer {
    Ed25519Signer::from_seed([3; 32])
}

pub(super) fn deployment() -> Deployment {
    Deployment {
        chain: ChainId::new([0xc1; 32]),
        package: Address::new([0xda; 32]),
    }
}

pub(super) fn cluster() -> ClusterId {
    ClusterId::new([0xc0; 32])
}

pub(super) fn token() -> TokenId {
    TokenId::new([0x70; 32])
}

fn executor() -> ExecutorId {
    ExecutorId::new([0xe0; 32])
}

fn gateway() -> Address {
    Ed25519Signer::from_seed([4; 32]).address()
}

fn operator() -> Address {
    Ed25519Signer::from_seed([5; 32]).address()
}

fn owner() -> Address {
    owner_key().address()
}

pub(super) fn request() -> RequestMessage {
    RequestMessage {
        request_id: "01a0b1c2-d3e4-7f05-8617-28394a5b6c7d".into(),
        method: "POST".into(),
        path: "/api/v1/namespaces/default/pods".into(),
        query: Content::plain("fieldManager=kubectl-create"),
        header_names: vec!["accept".into(), "content-type".into()],
        header_values: vec!["application/json".into(), "application/json".into()],
        payload: Content::hashed(*payload_hash().as_bytes(), 2),
        reply_key: HexBytes(vec![0x25; 32]),
        priority: 2,
        deadline_ms: NOW + 65_000,
        credential_id: HexBytes(vec![0x1d; 16]),
    }
}

/// The hash of the body `{}` under a salt of 32 bytes 0x5a.
pub(super) fn payload_hash() -> BlobHash {
    BlobHash(sha256(&[&[0x5a; 32], b"{}"]))
}

pub(super) fn envelope() -> ResponseEnvelope {
    ResponseEnvelope::new(
        [
            ("Content-Type", "application/json"),
            ("Audit-Id", "f1c4"),
            ("Date", "left out"),
        ],
        b"{\"kind\":\"Pod\"}".to_vec(),
    )
}

/// The hash of the envelope under a salt of 32 bytes 0xa5.
pub(super) fn envelope_hash() -> [u8; 32] {
    sha256(&[&[0xa5; 32], &to_bcs(&envelope())])
}

pub(super) fn request_digest() -> Digest {
    deployment()
        .intent(IntentKind::Request, cluster(), token())
        .digest(&request())
}

pub(super) fn answer() -> AnswerMessage {
    AnswerMessage {
        request_id: request().request_id,
        digest: request_digest(),
        epoch: 1,
        status: 201,
        envelope_hash: HexBytes(envelope_hash().to_vec()),
        envelope_len: to_bcs(&envelope()).len() as u64,
        sealed_hash: AnswerMessage::hash_of_sealed(b"sealed"),
        time_ms: NOW + 250,
    }
}

pub(super) fn assignment(epoch: u64) -> AssignmentMessage {
    AssignmentMessage {
        request_id: request().request_id,
        digest: request_digest(),
        epoch,
    }
}

pub(super) fn anchor() -> AnchorMessage {
    AnchorMessage {
        executor: executor(),
        previous_root: Digest::ZERO,
        root: Digest::new([0xa0; 32]),
        first: 1,
        last: 300,
        count: 300,
    }
}

pub(super) fn session_close() -> SessionCloseMessage {
    SessionCloseMessage {
        request_id: request().request_id,
        digest: deployment()
            .intent(IntentKind::SessionOpen, cluster(), token())
            .digest(&request()),
        epoch: 0,
        bytes_in: 12,
        bytes_out: 3_456,
        reason: 1,
        transcript_hash: HexBytes(vec![0x7a; 32]),
    }
}

pub(super) fn credential() -> Credential {
    Credential {
        token: token(),
        cluster: cluster(),
        audience: "https://127.0.0.1:6443".into(),
        not_before_ms: NOW,
        not_after_ms: NOW + 600_000,
        id: [0x1d; 16],
    }
}

pub(super) fn signed_credential() -> SignedCredential {
    let intent = deployment().intent(IntentKind::Credential, cluster(), token());
    SignedCredential {
        credential: credential(),
        public_key: session_key().public_key(),
        signature: session_key().sign_now(&intent.signed_bytes(&credential())),
    }
}

pub(super) fn rule() -> PolicyRule {
    PolicyRule {
        verbs: vec!["get".into(), "create".into()],
        api_groups: vec![String::new(), "apps".into()],
        resources: vec!["pods".into(), "*/scale".into()],
        resource_names: vec!["web".into()],
        non_resource_urls: vec!["/metrics".into()],
        namespaces: vec!["default".into()],
    }
}

pub(super) fn policy() -> ClusterPolicy {
    ClusterPolicy {
        require_attestation: true,
        pcrs: (1..=3).map(|n| HexBytes(vec![n; 48])).collect(),
        kube_ca_hash: HexBytes(vec![0xca; 32]),
        ..ClusterPolicy::default()
    }
}

pub(super) fn nonce() -> AttestationNonce {
    AttestationNonce {
        cluster: cluster(),
        registrations: 7,
    }
}

pub(super) fn user_data() -> AttestationUserData {
    AttestationUserData {
        operator: operator(),
        signing_key: HexBytes::from(executor_key().public_key().as_ref()),
        encryption_key: HexBytes(vec![0x25; 32]),
        kube_ca_hash: HexBytes(vec![0xca; 32]),
    }
}

pub(super) fn weight() -> Digest {
    blake2b256(&[
        executor().as_bytes(),
        token().as_bytes(),
        &request().request_id,
        &1_u64.to_le_bytes(),
    ])
}

fn key() -> PublicKey {
    session_key().public_key()
}

fn answer_signature() -> Signature {
    let intent = deployment().intent(IntentKind::Answer, cluster(), token());
    executor_key().sign_now(&intent.signed_bytes(&answer()))
}

/// Every event once.
pub(super) fn events() -> Vec<Event> {
    let (cluster, token, executor) = (cluster(), token(), executor());
    let request = request();
    let request_id = request.request_id.clone();
    let delegate = Delegate {
        delegate: gateway(),
        expires_at_ms: NOW + 1,
    };
    vec![
        ClusterCreated {
            cluster,
            version: 1,
            name: "production".into(),
            chain: deployment().chain,
            admin_cap: AdminCapId::new([0xac; 32]),
            admin: owner(),
            policy: policy(),
        }
        .into(),
        ClusterPolicySet {
            cluster,
            policy: ClusterPolicy::default(),
        }
        .into(),
        ClusterMigrated {
            cluster,
            version: 2,
        }
        .into(),
        InsuranceWithdrawn {
            cluster,
            amount: MIST_PER_SUI,
            recipient: owner(),
        }
        .into(),
        SealTokenIssued {
            cluster,
            token,
            version: 1,
            owner: owner(),
            rules: vec![rule()],
            groups: vec!["developers".into()],
            not_before_ms: NOW,
            expires_at_ms: NOW + 1,
            delegates: vec![delegate],
        }
        .into(),
        SealTokenRevoked { cluster, token }.into(),
        SealTokenRulesSet {
            cluster,
            token,
            rules: vec![rule(), PolicyRule::default()],
        }
        .into(),
        SealTokenMigrated {
            cluster,
            token,
            version: 2,
        }
        .into(),
        DelegateAdded {
            cluster,
            token,
            delegate: gateway(),
            expires_at_ms: NOW + 1,
        }
        .into(),
        DelegateRemoved {
            cluster,
            token,
            delegate: gateway(),
        }
        .into(),
        SessionKeyRegistered {
            cluster,
            token,
            key: key(),
            expires_at_ms: NOW + 28_800_000,
        }
        .into(),
        SessionKeyRemoved {
            cluster,
            token,
            key: key(),
        }
        .into(),
        StakeDeposited {
            cluster,
            token,
            depositor: gateway(),
            amount: 1,
            bonded: MIST_PER_SUI,
        }
        .into(),
        StakeUnbonding {
            cluster,
            token,
            amount: 10_000_000,
            unlock_ms: NOW + 604_800_000,
        }
        .into(),
        StakeWithdrawn {
            cluster,
            token,
            amount: 10_000_000,
            recipient: owner(),
            timestamp_ms: NOW,
        }
        .into(),
        K8sApiRequest {
            cluster,
            request_id: request_id.clone(),
            method: request.method,
            path: request.path,
            query: request.query,
            header_names: request.header_names,
            header_values: request.header_values,
            payload: request.payload,
            reply_key: request.reply_key,
            priority: request.priority,
            deadline_ms: request.deadline_ms,
            credential_id: request.credential_id,
            digest: request_digest(),
            session: false,
            api_group: "".into(),
            api_version: "v1".into(),
            namespace: "default".into(),
            resource_type: "pods".into(),
            subresource: "".into(),
            name: "".into(),
            verb: "create".into(),
            is_read: false,
            seal_token_id: token,
            sequence: 42,
            requester: owner(),
            submitted_by: gateway(),
            nautilus_endpoint: executor,
            epoch: 0,
            lease_ends_ms: NOW + 65_000,
            prunable_at_ms: NOW + 65_000 + 86_400_000,
            timestamp_ms: NOW,
        }
        .into(),
        K8sRequestRejected {
            cluster,
            token,
            submitted_by: gateway(),
            request_id: request_id.clone(),
            digest: request_digest(),
            code: 6,
        }
        .into(),
        K8sRequestsRejected {
            cluster,
            token,
            submitted_by: gateway(),
            code: 13,
            count: 1_000,
            from_ms: NOW - 60_000,
            to_ms: NOW,
        }
        .into(),
        K8sRequestClaimed {
            cluster,
            token,
            request_id: request_id.clone(),
            executor,
            epoch: 1,
            lease_ends_ms: NOW + 10_000,
            timestamp_ms: NOW,
        }
        .into(),
        K8sRequestReleased {
            cluster,
            token,
            request_id: request_id.clone(),
            released_by: ExecutorId::new([0xe1; 32]),
            executor,
            epoch: 1,
            lease_ends_ms: NOW + 65_000,
            timestamp_ms: NOW,
        }
        .into(),
        K8sRequestProcessed {
            cluster,
            token,
            request_id: request_id.clone(),
            digest: request_digest(),
            requester: owner(),
            executor,
            epoch: 1,
            status_code: 201,
            envelope_hash: answer().envelope_hash,
            envelope_len: answer().envelope_len,
            sealed_hash: answer().sealed_hash,
            time_ms: answer().time_ms,
            signature: answer_signature(),
            processed_at_ms: NOW + 600,
            expires_at_ms: NOW + 65_000 + 3_600_000,
        }
        .into(),
        ResponsesPruned {
            cluster,
            token,
            request_ids: vec![request_id.clone()],
            pruned_by: gateway(),
        }
        .into(),
        SessionClosed {
            cluster,
            token,
            request_id: request_id.clone(),
            executor,
            epoch: 0,
            bytes_in: 12,
            bytes_out: 3_456,
            reason: 1,
            transcript_hash: HexBytes(vec![0x7a; 32]),
            timestamp_ms: NOW,
            expires_at_ms: NOW + 3_600_000,
        }
        .into(),
        ExecutorRegistered {
            cluster,
            executor,
            operator: operator(),
            signing_key: executor_key().public_key(),
            encryption_key: HexBytes(vec![0x25; 32]),
            pcrs: policy().pcrs,
            registrations: 8,
        }
        .into(),
        ExecutorActivated { cluster, executor }.into(),
        ExecutorDeactivated { cluster, executor }.into(),
        ExecutorRemoved { cluster, executor }.into(),
        ExecutorStakeDeposited {
            cluster,
            executor,
            depositor: operator(),
            amount: 2,
            bonded: 3,
        }
        .into(),
        ExecutorStakeUnbonding {
            cluster,
            executor,
            amount: 2,
            unlock_ms: NOW,
        }
        .into(),
        ExecutorStakeWithdrawn {
            cluster,
            executor,
            amount: 2,
            recipient: operator(),
            timestamp_ms: NOW,
        }
        .into(),
        ExecutorSlashed {
            cluster,
            executor,
            presenter: gateway(),
            token,
            request_id,
            epoch: 1,
            reward: 1,
            insured: 18,
        }
        .into(),
        ReadsAnchored {
            cluster,
            executor,
            previous_root: anchor().previous_root,
            root: anchor().root,
            first: 1,
            last: 300,
            count: 300,
            timestamp_ms: NOW,
        }
        .into(),
    ]
}
