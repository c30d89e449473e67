//! The entry functions, one variant each.

use serde::{Deserialize, Serialize};

use crate::types::{
    Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId,
    HexBytes, PolicyRule, RequestId, TokenId,
};
use crate::wire::{AnchorMessage, Delegate, RequestMessage, SessionCloseMessage, SignedAnswer};

/// A call of an entry function of the contract.
///
/// BCS: the variant's index in this order (append-only), then its fields. Keys and signatures are
/// bytes of any length here: the contract says what is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are the arguments of the functions that the variants document
pub enum Call {
    /// Creates a cluster; its capability goes to the sender.
    CreateCluster {
        name: ByteString,
        chain: ChainId,
        policy: ClusterPolicy,
    },
    /// Replaces a cluster's policy.
    SetPolicy {
        cap: AdminCapId,
        cluster: ClusterId,
        policy: ClusterPolicy,
    },
    /// Brings a cluster to the current version.
    MigrateCluster { cap: AdminCapId, cluster: ClusterId },
    /// Pays insurance to the sender.
    WithdrawInsurance {
        cap: AdminCapId,
        cluster: ClusterId,
        amount: u64,
    },

    /// Issues a seal token.
    IssueToken {
        cap: AdminCapId,
        cluster: ClusterId,
        owner: Address,
        rules: Vec<PolicyRule>,
        groups: Vec<ByteString>,
        not_before_ms: u64,
        expires_at_ms: u64,
        delegates: Vec<Delegate>,
    },
    /// Revokes a seal token, for good.
    RevokeToken {
        cap: AdminCapId,
        cluster: ClusterId,
        token: TokenId,
    },
    /// Replaces a seal token's rules.
    SetRules {
        cap: AdminCapId,
        cluster: ClusterId,
        token: TokenId,
        rules: Vec<PolicyRule>,
    },
    /// Brings a seal token to the current version; anyone may.
    MigrateToken { cluster: ClusterId, token: TokenId },
    /// Lets an address submit for a token, or changes until when.
    AddDelegate {
        token: TokenId,
        delegate: Address,
        expires_at_ms: u64,
    },
    /// Takes that back.
    RemoveDelegate { token: TokenId, delegate: Address },
    /// Lets a key sign for a token.
    RegisterSessionKey {
        token: TokenId,
        key: HexBytes,
        expires_at_ms: u64,
    },
    /// Takes that back.
    RemoveSessionKey { token: TokenId, key: HexBytes },
    /// Adds to a token's stake; anyone may.
    DepositStake { token: TokenId, amount: u64 },
    /// Begins to unbond some of a token's stake.
    Unstake {
        cluster: ClusterId,
        token: TokenId,
        amount: u64,
    },
    /// Pays a token's unlocked stake to its owner.
    WithdrawStake { token: TokenId },

    /// A request of the token's owner or a delegate.
    ExecuteKubectlCommandWithId {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
    },
    /// The same, but a refusal is an event.
    TryExecuteKubectlCommandWithId {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
    },
    /// A request signed by a session key; anyone may relay it.
    ExecuteSignedCommand {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
        public_key: HexBytes,
        signature: HexBytes,
    },
    /// The same, but a refusal is an event.
    TryExecuteSignedCommand {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
        public_key: HexBytes,
        signature: HexBytes,
    },
    /// Records that a request is refused, or nothing if it would pass. Never admits.
    RecordRefusal {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
    },
    /// Records a count of refusals.
    RecordRefusals {
        cluster: ClusterId,
        token: TokenId,
        code: u8,
        count: u64,
        from_ms: u64,
        to_ms: u64,
    },
    /// Takes on a request whose lease is over.
    ClaimRequest {
        cluster: ClusterId,
        token: TokenId,
        request_id: ByteString,
        executor: ExecutorId,
        signature: HexBytes,
    },
    /// Gives a request back that has not begun.
    ReleaseRequest {
        cluster: ClusterId,
        token: TokenId,
        request_id: ByteString,
        executor: ExecutorId,
        epoch: u64,
        signature: HexBytes,
    },
    /// Records the answer to a request; anyone may relay it.
    StoreK8sResponse {
        cluster: ClusterId,
        token: TokenId,
        request_id: ByteString,
        executor: ExecutorId,
        epoch: u64,
        status: u16,
        envelope_hash: HexBytes,
        envelope_len: u64,
        sealed: ByteString,
        time_ms: u64,
        signature: HexBytes,
    },
    /// Removes requests whose time is over; anyone may. Unknown ones are passed over.
    PruneResponses {
        token: TokenId,
        request_ids: Vec<ByteString>,
    },
    /// A stream of the token's owner or a delegate.
    OpenSession {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
    },
    /// A stream signed by a session key; anyone may relay it.
    OpenSignedSession {
        cluster: ClusterId,
        token: TokenId,
        request: RequestMessage,
        public_key: HexBytes,
        signature: HexBytes,
    },
    /// Records the end of a stream.
    CloseSession {
        cluster: ClusterId,
        token: TokenId,
        executor: ExecutorId,
        message: SessionCloseMessage,
        signature: HexBytes,
    },

    /// Admits an executor.
    RegisterExecutor {
        cap: AdminCapId,
        cluster: ClusterId,
        operator: Address,
        signing_key: HexBytes,
        encryption_key: HexBytes,
        attestation: HexBytes,
    },
    /// Lets an executor be assigned requests again.
    ActivateExecutor {
        cap: AdminCapId,
        cluster: ClusterId,
        executor: ExecutorId,
    },
    /// Assigns an executor nothing any more.
    DeactivateExecutor {
        cap: AdminCapId,
        cluster: ClusterId,
        executor: ExecutorId,
    },
    /// Takes an inactive executor from the cluster's list.
    RemoveExecutor {
        cap: AdminCapId,
        cluster: ClusterId,
        executor: ExecutorId,
    },
    /// Adds to an executor's stake; anyone may.
    DepositExecutorStake {
        cluster: ClusterId,
        executor: ExecutorId,
        amount: u64,
    },
    /// Begins to unbond some of an executor's stake.
    UnstakeExecutor {
        cluster: ClusterId,
        executor: ExecutorId,
        amount: u64,
    },
    /// Pays an executor's unlocked stake to its operator.
    WithdrawExecutorStake { executor: ExecutorId },
    /// Proves that an executor answered one request in two ways.
    SlashEquivocation {
        cluster: ClusterId,
        executor: ExecutorId,
        token: TokenId,
        first: SignedAnswer,
        second: SignedAnswer,
    },
    /// Anchors the reads that an executor served beside the ledger.
    AnchorReads {
        cluster: ClusterId,
        executor: ExecutorId,
        message: AnchorMessage,
        signature: HexBytes,
    },
}

impl Call {
    /// The requests that it names, so all that it may look at or change.
    #[must_use]
    pub fn requests(&self) -> Vec<(TokenId, RequestId)> {
        let (token, texts) = match self {
            Self::ExecuteKubectlCommandWithId { token, request, .. }
            | Self::TryExecuteKubectlCommandWithId { token, request, .. }
            | Self::ExecuteSignedCommand { token, request, .. }
            | Self::TryExecuteSignedCommand { token, request, .. }
            | Self::RecordRefusal { token, request, .. }
            | Self::OpenSession { token, request, .. }
            | Self::OpenSignedSession { token, request, .. } => {
                (token, std::slice::from_ref(&request.request_id))
            }
            Self::ClaimRequest {
                token, request_id, ..
            }
            | Self::ReleaseRequest {
                token, request_id, ..
            }
            | Self::StoreK8sResponse {
                token, request_id, ..
            } => (token, std::slice::from_ref(request_id)),
            Self::PruneResponses { token, request_ids } => (token, &request_ids[..]),
            Self::CloseSession { token, message, .. } => {
                (token, std::slice::from_ref(&message.request_id))
            }
            _ => return Vec::new(),
        };
        let ids = texts
            .iter()
            .filter_map(|text| RequestId::from_bytes(text).ok());
        ids.map(|id| (*token, id)).collect()
    }

    /// The name of the Move function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateCluster { .. } => "create_cluster",
            Self::SetPolicy { .. } => "set_policy",
            Self::MigrateCluster { .. } => "migrate_cluster",
            Self::WithdrawInsurance { .. } => "withdraw_insurance",
            Self::IssueToken { .. } => "issue_token",
            Self::RevokeToken { .. } => "revoke_token",
            Self::SetRules { .. } => "set_rules",
            Self::MigrateToken { .. } => "migrate_token",
            Self::AddDelegate { .. } => "add_delegate",
            Self::RemoveDelegate { .. } => "remove_delegate",
            Self::RegisterSessionKey { .. } => "register_session_key",
            Self::RemoveSessionKey { .. } => "remove_session_key",
            Self::DepositStake { .. } => "deposit_stake",
            Self::Unstake { .. } => "unstake",
            Self::WithdrawStake { .. } => "withdraw_stake",
            Self::ExecuteKubectlCommandWithId { .. } => "execute_kubectl_command_with_id",
            Self::TryExecuteKubectlCommandWithId { .. } => "try_execute_kubectl_command_with_id",
            Self::ExecuteSignedCommand { .. } => "execute_signed_command",
            Self::TryExecuteSignedCommand { .. } => "try_execute_signed_command",
            Self::RecordRefusal { .. } => "record_refusal",
            Self::RecordRefusals { .. } => "record_refusals",
            Self::ClaimRequest { .. } => "claim_request",
            Self::ReleaseRequest { .. } => "release_request",
            Self::StoreK8sResponse { .. } => "store_k8s_response",
            Self::PruneResponses { .. } => "prune_responses",
            Self::OpenSession { .. } => "open_session",
            Self::OpenSignedSession { .. } => "open_signed_session",
            Self::CloseSession { .. } => "close_session",
            Self::RegisterExecutor { .. } => "register_executor",
            Self::ActivateExecutor { .. } => "activate_executor",
            Self::DeactivateExecutor { .. } => "deactivate_executor",
            Self::RemoveExecutor { .. } => "remove_executor",
            Self::DepositExecutorStake { .. } => "deposit_executor_stake",
            Self::UnstakeExecutor { .. } => "unstake_executor",
            Self::WithdrawExecutorStake { .. } => "withdraw_executor_stake",
            Self::SlashEquivocation { .. } => "slash_equivocation",
            Self::AnchorReads { .. } => "anchor_reads",
        }
    }

    /// MIST that the sender must have and gives away with it.
    #[must_use]
    pub fn deposit(&self) -> u64 {
        match self {
            Self::DepositStake { amount, .. } | Self::DepositExecutorStake { amount, .. } => {
                *amount
            }
            _ => 0,
        }
    }

    /// BLAKE2b-256 of a call's BCS; not its identity on a ledger, which signs more than this.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::crypto::blake2b256(&[&crate::wire::to_bcs(self)])
    }
}
