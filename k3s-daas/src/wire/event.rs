//! What the contract emits: enough to rebuild all state but sealed bytes from events alone.

use serde::{Deserialize, Serialize};

use super::{Content, RequestMessage, to_bcs};
use crate::crypto::{PublicKey, Signature};
use crate::types::{
    Address, AdminCapId, ByteString, ChainId, ClusterId, ClusterPolicy, Digest, ExecutorId,
    HexBytes, PolicyRule, TokenId,
};

/// Declares the event structs and the enum over them, in one order.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $move_name:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {
        /// One event of the contract. BCS: the variant's index in this order (append-only), then the
        /// struct, whose bytes are those of the Move event.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        #[allow(clippy::large_enum_variant)] // the large one, a request, is by far the most frequent
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $move_name)] $name($name),)+
        }

        impl Event {
            /// The name of the Move struct.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $move_name,)+ }
            }

            /// BCS of the Move struct alone.
            #[must_use]
            pub fn to_move_bcs(&self) -> Vec<u8> {
                match self { $(Self::$name(event) => to_bcs(event),)+ }
            }

            /// From the name and the BCS of a Move struct; `None` for an unknown name.
            ///
            /// # Errors
            /// When the bytes are not that struct.
            pub fn from_move_bcs(name: &str, bytes: &[u8]) -> Option<Result<Self, bcs::Error>> {
                match name {
                    $($move_name => Some(bcs::from_bytes(bytes).map(Self::$name)),)+
                    _ => None,
                }
            }

            /// The cluster it belongs to.
            #[must_use]
            pub fn cluster(&self) -> ClusterId {
                match self { $(Self::$name(event) => event.cluster,)+ }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $name {
                /// The cluster.
                pub cluster: ClusterId,
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )+
    };
}

events! {
    /// A cluster was created.
    ClusterCreated = "ClusterCreated" {
        /// Contract version of the object.
        version: u64,
        /// Its name.
        name: ByteString,
        /// The chain it believes to be on.
        chain: ChainId,
        /// The capability that governs it.
        admin_cap: AdminCapId,
        /// Who created it. That the capability was handed on is no event.
        admin: Address,
        /// Its policy.
        policy: ClusterPolicy,
    }

    /// A cluster's policy was replaced.
    ClusterPolicySet = "ClusterPolicySet" {
        /// The new policy.
        policy: ClusterPolicy,
    }

    /// A cluster was brought to the current version.
    ClusterMigrated = "ClusterMigrated" {
        /// The version now.
        version: u64,
    }

    /// Insurance was paid out.
    InsuranceWithdrawn = "InsuranceWithdrawn" {
        /// MIST.
        amount: u64,
        /// Who received it.
        recipient: Address,
    }

    /// A seal token was issued.
    SealTokenIssued = "SealTokenIssued" {
        /// The token.
        token: TokenId,
        /// Contract version of the object.
        version: u64,
        /// Who owns it and its stake.
        owner: Address,
        /// What it allows.
        rules: Vec<PolicyRule>,
        /// Kubernetes groups to impersonate.
        groups: Vec<ByteString>,
        /// Unix milliseconds from which it is valid.
        not_before_ms: u64,
        /// Unix milliseconds at which it is no longer valid.
        expires_at_ms: u64,
        /// Addresses that may submit for it.
        delegates: Vec<Delegate>,
    }

    /// A seal token was revoked, for good.
    SealTokenRevoked = "SealTokenRevoked" {
        /// The token.
        token: TokenId,
    }

    /// A seal token's rules were replaced.
    SealTokenRulesSet = "SealTokenRulesSet" {
        /// The token.
        token: TokenId,
        /// What it allows now.
        rules: Vec<PolicyRule>,
    }

    /// A seal token was brought to the current version.
    SealTokenMigrated = "SealTokenMigrated" {
        /// The token.
        token: TokenId,
        /// The version now.
        version: u64,
    }

    /// An address may submit for a token, or may longer.
    DelegateAdded = "DelegateAdded" {
        /// The token.
        token: TokenId,
        /// Who.
        delegate: Address,
        /// Until when.
        expires_at_ms: u64,
    }

    /// An address may no longer submit for a token.
    DelegateRemoved = "DelegateRemoved" {
        /// The token.
        token: TokenId,
        /// Who.
        delegate: Address,
    }

    /// A key may sign for a token.
    SessionKeyRegistered = "SessionKeyRegistered" {
        /// The token.
        token: TokenId,
        /// The key.
        #[serde(with = "vector")]
        key: PublicKey,
        /// Until when.
        expires_at_ms: u64,
    }

    /// A key may no longer sign for a token.
    SessionKeyRemoved = "SessionKeyRemoved" {
        /// The token.
        token: TokenId,
        /// The key.
        #[serde(with = "vector")]
        key: PublicKey,
    }

    /// A token's stake grew.
    StakeDeposited = "StakeDeposited" {
        /// The token.
        token: TokenId,
        /// Who paid.
        depositor: Address,
        /// MIST added.
        amount: u64,
        /// MIST bonded now.
        bonded: u64,
    }

    /// Some of a token's stake will be paid out.
    StakeUnbonding = "StakeUnbonding" {
        /// The token.
        token: TokenId,
        /// MIST that left the bond.
        amount: u64,
        /// Unix milliseconds from which it can be withdrawn.
        unlock_ms: u64,
    }

    /// All of a token's unbonded stake that was due was paid to its owner.
    StakeWithdrawn = "StakeWithdrawn" {
        /// The token.
        token: TokenId,
        /// MIST.
        amount: u64,
        /// The owner.
        recipient: Address,
        /// When; unbondings unlocked by then are gone.
        timestamp_ms: u64,
    }

    /// A request was admitted.
    K8sApiRequest = "K8sAPIRequest" {
        /// The caller's idempotency key.
        request_id: ByteString,
        /// HTTP method.
        method: ByteString,
        /// Path as submitted.
        path: ByteString,
        /// Query as submitted.
        query: Content,
        /// Header names as submitted.
        header_names: Vec<ByteString>,
        /// Header values as submitted.
        header_values: Vec<ByteString>,
        /// Payload as submitted.
        payload: Content,
        /// Key to seal the answer to, or empty.
        reply_key: HexBytes,
        /// 1 to 4.
        priority: u8,
        /// Unix milliseconds by which it must be answered.
        deadline_ms: u64,
        /// Credential that a gateway checked, or empty.
        credential_id: HexBytes,
        /// BLAKE2b-256 of the signed bytes.
        digest: Digest,
        /// Whether it opens a session.
        session: bool,
        /// Derived: API group; empty for the core group and for non-resource paths.
        api_group: ByteString,
        /// Derived: API version.
        api_version: ByteString,
        /// Derived: namespace.
        namespace: ByteString,
        /// Derived: resource.
        resource_type: ByteString,
        /// Derived: subresource.
        subresource: ByteString,
        /// Derived: name.
        name: ByteString,
        /// Derived: the contract's verb.
        verb: ByteString,
        /// Derived: whether it is a read, which needs no stake.
        is_read: bool,
        /// The token.
        seal_token_id: TokenId,
        /// Grows by one with each request of the token; the first is 1.
        sequence: u64,
        /// The token's owner.
        requester: Address,
        /// Who sent the transaction.
        submitted_by: Address,
        /// The executor assigned.
        nautilus_endpoint: ExecutorId,
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
    K8sRequestRejected = "K8sRequestRejected" {
        /// The token.
        token: TokenId,
        /// Who sent the transaction.
        submitted_by: Address,
        /// The first 64 bytes of what was given as request ID.
        request_id: ByteString,
        /// BLAKE2b-256 of the signed bytes.
        digest: Digest,
        /// Why.
        code: u8,
    }

    /// Requests were refused that were too many to record one by one.
    K8sRequestsRejected = "K8sRequestsRejected" {
        /// The token.
        token: TokenId,
        /// Who counted them.
        submitted_by: Address,
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
    K8sRequestClaimed = "K8sRequestClaimed" {
        /// The token.
        token: TokenId,
        /// The request.
        request_id: ByteString,
        /// Who took it.
        executor: ExecutorId,
        /// The new assignment.
        epoch: u64,
        /// End of the new lease, Unix milliseconds.
        lease_ends_ms: u64,
        /// When, Unix milliseconds.
        timestamp_ms: u64,
    }

    /// A request that had not begun was given back and assigned anew.
    K8sRequestReleased = "K8sRequestReleased" {
        /// The token.
        token: TokenId,
        /// The request.
        request_id: ByteString,
        /// Who gave it back.
        released_by: ExecutorId,
        /// Who has it now.
        executor: ExecutorId,
        /// The new assignment.
        epoch: u64,
        /// End of the new lease, Unix milliseconds.
        lease_ends_ms: u64,
        /// When, Unix milliseconds.
        timestamp_ms: u64,
    }

    /// A request was answered.
    K8sRequestProcessed = "K8sRequestProcessed" {
        /// The token.
        token: TokenId,
        /// The request.
        request_id: ByteString,
        /// The digest of the request.
        digest: Digest,
        /// The token's owner.
        requester: Address,
        /// Who answered.
        executor: ExecutorId,
        /// Under which assignment.
        epoch: u64,
        /// HTTP status.
        status_code: u16,
        /// Salted SHA-256 of the response envelope.
        envelope_hash: HexBytes,
        /// Its length in bytes.
        envelope_len: u64,
        /// SHA-256 of the bytes sealed inline, or empty.
        sealed_hash: HexBytes,
        /// The executor's own time, Unix milliseconds.
        time_ms: u64,
        /// The executor's signature over the answer.
        #[serde(with = "vector")]
        signature: Signature,
        /// When it was recorded, Unix milliseconds.
        processed_at_ms: u64,
        /// From when it may be pruned, Unix milliseconds.
        expires_at_ms: u64,
    }

    /// Requests and their answers were removed from a token.
    ResponsesPruned = "ResponsesPruned" {
        /// The token.
        token: TokenId,
        /// Which.
        request_ids: Vec<ByteString>,
        /// Who sent the transaction.
        pruned_by: Address,
    }

    /// A session ended.
    SessionClosed = "SessionClosed" {
        /// The token.
        token: TokenId,
        /// The request that opened it.
        request_id: ByteString,
        /// Who ran it.
        executor: ExecutorId,
        /// Under which assignment.
        epoch: u64,
        /// Bytes from the client to the cluster.
        bytes_in: u64,
        /// Bytes from the cluster to the client.
        bytes_out: u64,
        /// Why it ended.
        reason: u8,
        /// Hash over the transcript.
        transcript_hash: HexBytes,
        /// When, Unix milliseconds.
        timestamp_ms: u64,
        /// From when it may be pruned, Unix milliseconds.
        expires_at_ms: u64,
    }

    /// An executor was admitted.
    ExecutorRegistered = "ExecutorRegistered" {
        /// The executor.
        executor: ExecutorId,
        /// Who owns its stake.
        operator: Address,
        /// Ed25519 key of its answers.
        #[serde(with = "vector")]
        signing_key: PublicKey,
        /// X25519 key that payloads are sealed to.
        encryption_key: HexBytes,
        /// PCR0–2 if attested.
        pcrs: Vec<HexBytes>,
        /// The cluster's registration counter after it.
        registrations: u64,
    }

    /// An executor may be assigned requests again.
    ExecutorActivated = "ExecutorActivated" {
        /// The executor.
        executor: ExecutorId,
    }

    /// An executor is assigned nothing any more.
    ExecutorDeactivated = "ExecutorDeactivated" {
        /// The executor.
        executor: ExecutorId,
    }

    /// An inactive executor left the cluster's list.
    ExecutorRemoved = "ExecutorRemoved" {
        /// The executor.
        executor: ExecutorId,
    }

    /// An executor's stake grew.
    ExecutorStakeDeposited = "ExecutorStakeDeposited" {
        /// The executor.
        executor: ExecutorId,
        /// Who paid.
        depositor: Address,
        /// MIST added.
        amount: u64,
        /// MIST bonded now.
        bonded: u64,
    }

    /// Some of an executor's stake will be paid out.
    ExecutorStakeUnbonding = "ExecutorStakeUnbonding" {
        /// The executor.
        executor: ExecutorId,
        /// MIST that left the bond.
        amount: u64,
        /// Unix milliseconds from which it can be withdrawn.
        unlock_ms: u64,
    }

    /// All of an executor's unbonded stake that was due was paid to its operator.
    ExecutorStakeWithdrawn = "ExecutorStakeWithdrawn" {
        /// The executor.
        executor: ExecutorId,
        /// MIST.
        amount: u64,
        /// The operator.
        recipient: Address,
        /// When; unbondings unlocked by then are gone.
        timestamp_ms: u64,
    }

    /// An executor answered one request in two ways and lost all its stake.
    ExecutorSlashed = "ExecutorSlashed" {
        /// The executor.
        executor: ExecutorId,
        /// Who proved it.
        presenter: Address,
        /// The token of the request.
        token: TokenId,
        /// The request.
        request_id: ByteString,
        /// The assignment.
        epoch: u64,
        /// MIST paid to the presenter.
        reward: u64,
        /// MIST that went to the cluster's insurance.
        insured: u64,
    }

    /// An executor anchored the reads it served beside the ledger.
    ReadsAnchored = "ReadsAnchored" {
        /// The executor.
        executor: ExecutorId,
        /// The root before.
        previous_root: Digest,
        /// The new root.
        root: Digest,
        /// First sequence number.
        first: u64,
        /// Last sequence number.
        last: u64,
        /// How many.
        count: u64,
        /// When, Unix milliseconds.
        timestamp_ms: u64,
    }
}

impl From<&K8sApiRequest> for RequestMessage {
    /// The request as it was submitted.
    fn from(event: &K8sApiRequest) -> Self {
        Self {
            request_id: event.request_id.clone(),
            method: event.method.clone(),
            path: event.path.clone(),
            query: event.query.clone(),
            header_names: event.header_names.clone(),
            header_values: event.header_values.clone(),
            payload: event.payload.clone(),
            reply_key: event.reply_key.clone(),
            priority: event.priority,
            deadline_ms: event.deadline_ms,
            credential_id: event.credential_id.clone(),
        }
    }
}

/// An address that may submit for a token until `expires_at_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegate {
    /// Who.
    pub delegate: Address,
    /// Until when.
    pub expires_at_ms: u64,
}

/// Keys and signatures as Move has them: `vector<u8>`, so behind their length.
mod vector {
    use serde::{Deserialize as _, Deserializer, Serialize, Serializer, de};

    use crate::crypto::{PublicKey, Signature};
    use crate::types::HexBytes;

    pub(super) trait Fixed: AsRef<[u8]> + Serialize + Sized {
        fn read(bytes: &[u8]) -> Option<Self>;
    }

    impl Fixed for PublicKey {
        fn read(bytes: &[u8]) -> Option<Self> {
            bytes.try_into().ok().map(Self::new)
        }
    }

    impl Fixed for Signature {
        fn read(bytes: &[u8]) -> Option<Self> {
            bytes.try_into().ok().map(Self::new)
        }
    }

    pub(super) fn serialize<T: Fixed, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            value.serialize(to)
        } else {
            to.serialize_bytes(value.as_ref())
        }
    }

    pub(super) fn deserialize<'de, T: Fixed, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let bytes = HexBytes::deserialize(from)?;
        T::read(&bytes)
            .ok_or_else(|| de::Error::invalid_length(bytes.len(), &"a key or a signature"))
    }
}
