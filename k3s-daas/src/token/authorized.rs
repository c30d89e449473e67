//! The proof that the ledger admitted a request, and that this is exactly it.

use std::fmt;

use bytes::Bytes;

use crate::contract::State;
use crate::crypto::Blob;
use crate::types::{
    ByteString, ClusterId, Digest, ExecutorId, K8sApiRequest, Payload, Query, Target, TokenId,
};
use crate::wire::{self, Deployment, IntentKind, RequestMessage};

/// What the names of the users begin with that Kubernetes sees: `seal:0x…` is that token.
pub const USER_PREFIX: &str = "seal:";

/// Something that the ledger admitted, for this executor, now.
///
/// There is one way to make one, [`Authorized::admit`], and it checks all of it. So an executor that
/// takes an `Authorized<K8sApiRequest>` cannot be handed anything else.
pub struct Authorized<T> {
    inner: T,
    grant: Grant,
    query: String,
    body: Bytes,
}

/// Under what a request was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The cluster.
    pub cluster: ClusterId,
    /// The token.
    pub token: TokenId,
    /// The executor it is assigned to.
    pub executor: ExecutorId,
    /// The assignment.
    pub epoch: u64,
    /// BLAKE2b-256 of the request's signed bytes.
    pub digest: Digest,
    /// The executor must begin before this, Unix milliseconds of the ledger.
    pub lease_ends_ms: u64,
    /// Whom Kubernetes shall see.
    pub identity: Identity,
}

/// Whom Kubernetes shall see: the user and groups to impersonate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// `seal:` and the token.
    pub user: String,
    /// The token's groups, none of them `system:…`.
    pub groups: Vec<String>,
}

impl Authorized<K8sApiRequest> {
    /// Checks that `admitted` is a request that this executor may begin at `now_ms`, and that
    /// `payload` and `query` are the bytes it speaks of.
    ///
    /// `state` must have followed the ledger at least to `admitted`.
    ///
    /// # Errors
    /// [`NotAuthorized`], the first check that fails; nothing of it may be executed then.
    pub fn admit(
        admitted: &wire::K8sApiRequest,
        state: &State,
        deployment: &Deployment,
        executor: ExecutorId,
        payload: Option<&Blob>,
        query: Option<&Blob>,
        now_ms: u64,
    ) -> Result<Self, NotAuthorized> {
        let message = RequestMessage::from(admitted);
        let request = K8sApiRequest::try_from(&message).map_err(NotAuthorized::Malformed)?;
        let (cluster_id, token_id) = (admitted.cluster, admitted.seal_token_id);

        let cluster = state
            .cluster(cluster_id)
            .ok_or(NotAuthorized::Unknown("cluster"))?;
        let token = state
            .token(token_id)
            .ok_or(NotAuthorized::Unknown("token"))?;
        let held = state.request(token_id, request.id());
        let held = held.ok_or(NotAuthorized::Unknown("request"))?;
        if cluster.chain != deployment.chain || token.cluster != cluster_id {
            return Err(NotAuthorized::Foreign);
        }
        let kind = if admitted.session {
            IntentKind::SessionOpen
        } else {
            IntentKind::Request
        };
        let digest = deployment
            .intent(kind, cluster_id, token_id)
            .digest(&message);
        if digest != held.digest || digest != admitted.digest || held.session != admitted.session {
            return Err(NotAuthorized::Digest);
        }
        if held.outcome.is_some() {
            return Err(NotAuthorized::AlreadyAnswered);
        }
        let entry = cluster
            .executor(executor)
            .filter(|entry| cluster.is_eligible(entry));
        if held.executor != executor || entry.is_none() {
            return Err(NotAuthorized::NotAssigned);
        }
        if held.is_claimed_write() {
            return Err(NotAuthorized::ClaimedWrite);
        }
        if now_ms >= held.lease_ends_ms || now_ms >= held.deadline_ms {
            return Err(NotAuthorized::LeaseOver);
        }
        if !is_derived(admitted, request.target()) || held.is_read != request.target().is_read {
            return Err(NotAuthorized::Target);
        }
        let query = match request.query() {
            Query::None => String::new(),
            Query::Plain(query) => query.clone(),
            Query::Hashed { hash, length } => {
                let bytes = matching(query, hash, *length, "query")?;
                String::from_utf8(bytes.to_vec()).map_err(|_| NotAuthorized::Blob("query"))?
            }
        };
        let body = match request.payload() {
            Payload::None => Bytes::new(),
            Payload::Hashed { hash, length } => matching(payload, hash, *length, "payload")?,
            Payload::Sealed(_) => return Err(NotAuthorized::Sealed),
        };
        // The contract refuses such groups already; should it ever not, they still go no further.
        let groups = token
            .groups
            .iter()
            .filter(|group| !group.starts_with(b"system:"))
            .filter_map(|group| String::from_utf8(group.to_vec()).ok())
            .collect();
        let identity = Identity {
            user: format!("{USER_PREFIX}{token_id}"),
            groups,
        };
        let grant = Grant {
            cluster: cluster_id,
            token: token_id,
            executor,
            epoch: held.epoch,
            digest,
            lease_ends_ms: held.lease_ends_ms,
            identity,
        };
        Ok(Self {
            inner: request,
            grant,
            query,
            body,
        })
    }

    /// The query to send, opened if the ledger has only its hash; without the `?`.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The body to send; empty if there is none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Path and query to send: what the ledger recorded and nothing else.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match self.query.as_str() {
            "" => self.inner.path().to_owned(),
            query => format!("{}?{query}", self.inner.path()),
        }
    }
}

impl<T> Authorized<T> {
    /// What was admitted.
    #[must_use]
    pub fn request(&self) -> &T {
        &self.inner
    }

    /// Under what.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// Shows the request; its body and query may be secrets.
impl<T: fmt::Debug> fmt::Debug for Authorized<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("request", &self.inner)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

/// Why a request may not be executed here and now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAuthorized {
    /// The event's own fields are no request.
    #[error("the admitted request is malformed")]
    Malformed(#[source] crate::types::InvalidRequest),
    /// The followed state does not know it: not followed far enough, or not there.
    #[error("the ledger's state has no such {0}")]
    Unknown(&'static str),
    /// It is of another chain or cluster.
    #[error("the request is of another chain or cluster")]
    Foreign,
    /// Its fields are not those that the ledger admitted.
    #[error("the request is not the one that the ledger admitted")]
    Digest,
    /// It has its answer.
    #[error("the request is answered already")]
    AlreadyAnswered,
    /// It is for another executor, or this one is not eligible any more.
    #[error("the request is not assigned to this executor")]
    NotAssigned,
    /// A write that was claimed may have happened already.
    #[error("the write was claimed, so it may have been executed already")]
    ClaimedWrite,
    /// The time to begin is over.
    #[error("the lease is over")]
    LeaseOver,
    /// What its path means here is not what the ledger derived.
    #[error("the request means something else here than on the ledger")]
    Target,
    /// Bytes beside the ledger are missing, or are not those that it speaks of.
    #[error("the {0} is not the bytes that the ledger has the hash of")]
    Blob(&'static str),
    /// This executor cannot open sealed payloads.
    #[error("the payload is sealed, which this executor cannot open")]
    Sealed,
}

fn is_derived(admitted: &wire::K8sApiRequest, target: &Target) -> bool {
    let path = &target.path;
    let same = |text: &ByteString, derived: &str| text[..] == *derived.as_bytes();
    same(&admitted.api_group, &path.api_group)
        && same(&admitted.api_version, &path.api_version)
        && same(&admitted.namespace, &path.namespace)
        && same(&admitted.resource_type, &path.resource)
        && same(&admitted.subresource, &path.subresource)
        && same(&admitted.name, &path.name)
        && same(&admitted.verb, target.verb.as_str())
        && admitted.is_read == target.is_read
}

fn matching(
    blob: Option<&Blob>,
    hash: &[u8; 32],
    length: u64,
    what: &'static str,
) -> Result<Bytes, NotAuthorized> {
    let matches = |blob: &&Blob| blob.hash().as_bytes() == hash && blob.body_len() as u64 == length;
    blob.filter(matches)
        .map(Blob::body)
        .ok_or(NotAuthorized::Blob(what))
}
