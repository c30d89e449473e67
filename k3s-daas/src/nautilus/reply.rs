//! What goes back to the client: what the cluster said, or why nothing did.

use bytes::Bytes;
use serde_json::json;

use crate::crypto::Blob;
use crate::token::NotAuthorized;
use crate::types::{RequestId, Target};
use crate::wire::ResponseEnvelope;

/// A status, headers and a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Bytes,
}

/// Why the cluster's own answer does not go back. Each becomes a Kubernetes `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// What the ledger admitted must not be executed.
    NotAuthorized(NotAuthorized),
    /// Nothing that is asked for by streams is executed through the ledger.
    Stream,
    /// The bytes beside the ledger could not be fetched in time.
    BlobMissing(&'static str),
    /// What was fetched is not what the ledger has the hash of.
    BlobCorrupt(&'static str),
    /// The blob store did not answer.
    BlobStore(&'static str),
    /// The deadline came before it could begin, so it was not executed.
    TooLate,
    /// The deadline came while it was at the cluster, or the executor restarted; a read changes nothing.
    ReadTimeout,
    /// A write that may or may not have happened.
    Unknown(Doubt),
    /// Nothing reached the cluster; where it is said to be, and why not.
    ClusterUnreachable(String),
    /// A read whose answer broke off.
    Interrupted,
    /// The executor has no way to send such a request.
    Unsupported(String),
    /// The cluster's answer is over the bound.
    TooLarge {
        status: u16,
        limit: usize,
        is_read: bool,
    },
    /// The cluster's answer has no room in the blob store, or not in the token's share of it.
    NoRoom { status: u16, is_read: bool },
    /// The cluster's watch is in a form that cannot be cut.
    Uncuttable(String),
    /// The cluster answered 401. The credential that it means is the executor's own, and it looks at that first.
    Unauthenticated,
    /// The cluster's status is no final one.
    NoFinalStatus(u16),
    /// The cluster's answer is compressed although that was not asked for.
    Encoded { status: u16, encoding: String },
}

/// Why nobody knows what became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The deadline came first.
    Deadline,
    /// The executor stopped meanwhile.
    Restart,
    /// It was assigned before the executor's journal was made.
    NoJournal,
    /// The executor it was assigned to never answered.
    Claimed,
    /// The connection broke off before there was a status.
    Interrupted,
    /// The cluster gave this status, then broke off.
    Truncated(u16),
}

impl Reply {
    /// Whether the API server refused this executor to act as the token, which it does before anything else.
    pub(super) fn is_refused_impersonation(&self) -> bool {
        let says = |text: &[u8]| self.body.windows(text.len()).any(|part| part == text);
        self.status == 403 && self.body.len() < 4_096 && says(b"cannot impersonate resource")
    }

    /// The envelope that is hashed and stored. The body is copied once.
    pub(super) fn seal(self) -> Blob {
        let headers = self.headers.iter().map(|(name, value)| (name, value));
        Blob::seal_bcs(&ResponseEnvelope::new(headers, self.body.into()))
    }
}

impl Refusal {
    /// The `Status` for the client; `target` is what the request names, if it could be read.
    pub(super) fn reply(&self, id: RequestId, target: Option<&Target>) -> Reply {
        let (code, reason) = self.code_and_reason();
        let mut details = serde_json::Map::new();
        if let Some(path) = target
            .map(|target| &target.path)
            .filter(|path| path.is_resource)
        {
            let fields = [
                ("name", &path.name),
                ("group", &path.api_group),
                ("kind", &path.resource),
            ];
            for (field, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
                details.insert(field.into(), json!(value));
            }
        }
        let cause = |reason: &str, message: &str| json!({"reason": reason, "message": message, "field": ""});
        let mut causes = Vec::new();
        // First, where the gateway looks for it.
        if let Self::ClusterUnreachable(why) = self {
            causes.push(cause(CLUSTER_UNREACHABLE, why));
        }
        causes.push(cause("DaasRequestId", &id.to_string()));
        details.insert("causes".into(), json!(causes));
        let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        if let Some(seconds) = self.retry_after_seconds() {
            details.insert("retryAfterSeconds".into(), json!(seconds));
            headers.push(("retry-after".to_owned(), seconds.to_string().into_bytes()));
        }
        let body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message(id),
            "reason": reason,
            "details": details,
            "code": code,
        });
        Reply {
            status: code,
            headers,
            body: Bytes::from(body.to_string()),
        }
    }

    fn code_and_reason(&self) -> (u16, &'static str) {
        match self {
            Self::NotAuthorized(NotAuthorized::Malformed(_)) => (400, "BadRequest"),
            Self::NotAuthorized(NotAuthorized::Target) => (422, "Invalid"),
            Self::NotAuthorized(NotAuthorized::Sealed) | Self::Stream | Self::Unsupported(_) => {
                (501, "NotImplemented")
            }
            Self::NotAuthorized(_) => (500, "InternalError"),
            Self::BlobMissing(_) | Self::BlobStore(_) => (503, "ServiceUnavailable"),
            Self::BlobCorrupt(_)
            | Self::Unauthenticated
            | Self::NoFinalStatus(_)
            | Self::Encoded { .. } => (502, "BadGateway"),
            Self::TooLate | Self::ReadTimeout | Self::Unknown(_) => (504, "Timeout"),
            Self::ClusterUnreachable(_) | Self::Interrupted => (503, "ServiceUnavailable"),
            Self::TooLarge { .. } => (507, "ResponseTooLarge"),
            Self::NoRoom { .. } => (507, "InsufficientStorage"),
            Self::Uncuttable(_) => (406, "NotAcceptable"),
        }
    }

    /// Only where certainly nothing was executed and a little later may help. A cluster that is away is
    /// not back in a second, and clients that try again by themselves would hide it from their users.
    fn retry_after_seconds(&self) -> Option<u32> {
        matches!(self, Self::BlobStore(_)).then_some(1)
    }

    fn message(&self, id: RequestId) -> String {
        match self {
            Self::NotAuthorized(why) => format!("request {id} was not executed: {why}"),
            Self::Stream => format!(
                "request {id} was not executed: exec, attach, port-forward, proxy and followed logs need a \
                 stream between client and cluster, which does not exist yet"
            ),
            Self::BlobMissing(what) => format!(
                "request {id} was not executed: its {what} is not in the blob store; the gateway and its \
                 executor must share one"
            ),
            Self::BlobCorrupt(what) => format!(
                "request {id} was not executed: the {what} in the blob store is not the one that the ledger \
                 has the hash of"
            ),
            Self::BlobStore(what) => format!(
                "request {id} was not executed: the blob store that has its {what} does not answer"
            ),
            Self::TooLate => {
                format!("request {id} was not executed: its deadline came before it could begin")
            }
            Self::ReadTimeout => format!(
                "the cluster did not answer request {id} before its deadline; it is a read and may be \
                 repeated"
            ),
            Self::Unknown(doubt) => format!(
                "the outcome of request {id} is unknown: {doubt}; look before repeating it, \
                 `daas request show {id}` tells what the ledger knows"
            ),
            Self::ClusterUnreachable(why) => {
                format!(
                    "request {id} was not executed: the Kubernetes API cannot be reached: {why}"
                )
            }
            Self::Interrupted => format!(
                "the cluster's answer to request {id} broke off; it is a read and may be repeated"
            ),
            Self::Unsupported(reason) => format!("request {id} was not executed: {reason}"),
            Self::TooLarge {
                status,
                limit,
                is_read: true,
            } => format!(
                "the cluster answered request {id} with {status} and more than {limit} bytes; ask for less \
                 at a time with `limit` or a selector"
            ),
            Self::TooLarge { status, limit, .. } => format!(
                "request {id} was executed and the cluster answered {status}, but with more than {limit} \
                 bytes, which are lost"
            ),
            Self::NoRoom {
                status,
                is_read: true,
            } => format!(
                "the cluster answered request {id} with {status}, but the token's earlier answers leave no room \
                 for it; ask for less at a time, or again in a minute or two"
            ),
            Self::NoRoom { status, .. } => format!(
                "request {id} was executed and the cluster answered {status}, but the token's earlier answers \
                 leave no room for the rest of it, which is lost"
            ),
            Self::Uncuttable(media_type) => format!(
                "request {id} watches as {media_type:?}, which cannot be cut into whole events; ask for \
                 application/json"
            ),
            Self::Encoded { status, encoding } => format!(
                "the cluster answered request {id} with {status}, but encoded as {encoding:?}, which was \
                 not asked for"
            ),
            Self::Unauthenticated => format!(
                "request {id} was not executed: the cluster does not take the executor's own credential \
                 (401 Unauthorized); whoever runs the executor has to renew it in its kubeconfig"
            ),
            Self::NoFinalStatus(status) => {
                format!("the cluster answered request {id} with {status}, which is no final status")
            }
        }
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deadline => f.write_str("the cluster did not answer before the deadline"),
            Self::Restart => f.write_str("the executor was restarted while it was at the cluster"),
            Self::NoJournal => f.write_str(
                "it was assigned before the executor's journal was made, and may have begun under an earlier one",
            ),
            Self::Claimed => f.write_str("the executor it was assigned to did not answer in time"),
            Self::Interrupted => f.write_str("the connection to the cluster broke off"),
            Self::Truncated(status) => write!(
                f,
                "the cluster answered {status}, but the connection broke off before the whole answer was there"
            ),
        }
    }
}

/// How the gateway knows that the cluster was not reached: `details.causes[0].reason`.
const CLUSTER_UNREACHABLE: &str = "ClusterUnreachable";
