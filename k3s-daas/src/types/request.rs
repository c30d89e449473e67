//! A request to Kubernetes as its asker means it.

use std::fmt;

use super::{Malformed, Method, RequestId, Target, validate_headers};

/// A request to a Kubernetes API, complete and of its form: its path and query are the contract's
/// own spelling, and what they mean is derived from them.
///
/// Whether anyone may make it is for the ledger to say.
#[derive(Clone, PartialEq, Eq)]
pub struct K8sApiRequest {
    id: RequestId,
    method: Method,
    path: String,
    query: Query,
    headers: Vec<(String, String)>,
    payload: Payload,
    reply_key: Option<[u8; 32]>,
    priority: Priority,
    deadline_ms: u64,
    credential_id: Option<[u8; 16]>,
    target: Target,
}

/// The query of a request.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Query {
    /// There is none.
    #[default]
    None,
    /// In the clear, without the `?`.
    Plain(String),
    /// Kept beside the ledger, because the arguments of `exec` are secrets.
    Hashed {
        /// Salted SHA-256.
        hash: [u8; 32],
        /// Bytes without the salt.
        length: u64,
    },
}

/// The body of a request, which never stands on the ledger in the clear.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Payload {
    /// There is none.
    #[default]
    None,
    /// Kept beside the ledger.
    Hashed {
        /// Salted SHA-256.
        hash: [u8; 32],
        /// Bytes without the salt.
        length: u64,
    },
    /// Sealed to the executor's encryption key.
    Sealed(Vec<u8>),
}

/// How long the answer is kept; more important ones are kept longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum Priority {
    /// 10 minutes, unless the cluster's policy says otherwise.
    Low = 1,
    /// 1 hour.
    #[default]
    Normal = 2,
    /// 6 hours.
    High = 3,
    /// 24 hours.
    Critical = 4,
}

impl Priority {
    /// From the number on the ledger.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High, Self::Critical]
            .into_iter()
            .find(|p| p.number() == number)
    }

    /// The number on the ledger.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl K8sApiRequest {
    /// Begins a request; `path` is in canonical form ([`super::canonical_path`] makes it so).
    ///
    /// # Examples
    /// ```
    /// use k3s_daas::types::{K8sApiRequest, Method, Verb};
    ///
    /// let request = K8sApiRequest::builder(Method::Get, "/api/v1/namespaces/default/pods")
    ///     .with_query("limit=500")
    ///     .with_header("accept", "application/json")
    ///     .with_deadline_ms(1_767_225_600_000)
    ///     .build()?;
    /// assert_eq!(request.target().verb, Verb::List);
    /// # Ok::<(), k3s_daas::types::InvalidRequest>(())
    /// ```
    pub fn builder(method: Method, path: impl Into<String>) -> K8sApiRequestBuilder {
        K8sApiRequestBuilder {
            id: None,
            method,
            path: path.into(),
            query: Query::None,
            headers: Vec::new(),
            payload: Payload::None,
            reply_key: None,
            priority: Priority::Normal,
            deadline_ms: None,
            credential_id: None,
        }
    }

    /// The caller's idempotency key.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// HTTP method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Query.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Headers that reach Kubernetes: lower-case names, sorted.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Body.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// X25519 key to seal the answer to.
    #[must_use]
    pub fn reply_key(&self) -> Option<&[u8; 32]> {
        self.reply_key.as_ref()
    }

    /// How long the answer is kept.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Unix milliseconds by which it must be answered.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// The bearer credential that a gateway checked.
    #[must_use]
    pub fn credential_id(&self) -> Option<&[u8; 16]> {
        self.credential_id.as_ref()
    }

    /// What it means.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }
}

impl fmt::Debug for K8sApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("K8sApiRequest")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("payload", &self.payload)
            .field("deadline_ms", &self.deadline_ms)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Plain(query) => write!(f, "{query:?}"),
            Self::Hashed { length, .. } => write!(f, "{length} bytes by hash"),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Hashed { length, .. } => write!(f, "{length} bytes by hash"),
            Self::Sealed(bytes) => write!(f, "{} bytes sealed", bytes.len()),
        }
    }
}

/// Builds a [`K8sApiRequest`].
#[derive(Clone, Debug)]
#[must_use]
pub struct K8sApiRequestBuilder {
    id: Option<RequestId>,
    method: Method,
    path: String,
    query: Query,
    headers: Vec<(String, String)>,
    payload: Payload,
    reply_key: Option<[u8; 32]>,
    priority: Priority,
    deadline_ms: Option<u64>,
    credential_id: Option<[u8; 16]>,
}

impl K8sApiRequestBuilder {
    /// Sets the idempotency key; a fresh one otherwise.
    pub fn with_id(mut self, id: RequestId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the query in canonical form ([`super::canonical_query`] makes it so); none if empty.
    pub fn with_query(mut self, query: impl Into<String>) -> Self {
        let query = query.into();
        self.query = if query.is_empty() {
            Query::None
        } else {
            Query::Plain(query)
        };
        self
    }

    /// Keeps the query beside the ledger.
    pub fn with_hashed_query(mut self, hash: [u8; 32], length: u64) -> Self {
        self.query = Query::Hashed { hash, length };
        self
    }

    /// Adds a header; its name is lower-cased and the headers are sorted.
    pub fn with_header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers
            .push((name.as_ref().to_ascii_lowercase(), value.into()));
        self
    }

    /// Sets the body.
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Has the answer sealed to an X25519 key.
    pub fn with_reply_key(mut self, key: [u8; 32]) -> Self {
        self.reply_key = Some(key);
        self
    }

    /// Sets how long the answer is kept.
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the time by which it must be answered, in Unix milliseconds of the ledger; required.
    pub fn with_deadline_ms(mut self, deadline_ms: u64) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Names the bearer credential that a gateway checked.
    pub fn with_credential_id(mut self, id: [u8; 16]) -> Self {
        self.credential_id = Some(id);
        self
    }

    /// The request.
    ///
    /// # Errors
    /// [`InvalidRequest`] for the first part that is not of its form.
    pub fn build(mut self) -> Result<K8sApiRequest, InvalidRequest> {
        let query = match &self.query {
            Query::None => Some(&b""[..]),
            Query::Plain(query) => Some(query.as_bytes()),
            Query::Hashed { .. } => None,
        };
        let target = Target::derive(self.method, self.path.as_bytes(), query)?;
        self.headers.sort();
        validate_headers(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        )?;
        match &self.payload {
            Payload::None => {}
            Payload::Hashed {
                length: 1..=MAX_PAYLOAD_BYTES,
                ..
            } => {}
            Payload::Hashed { length: 0, .. } => return Err(InvalidRequest::EmptyPayload),
            Payload::Sealed(bytes) if bytes.is_empty() => return Err(InvalidRequest::EmptyPayload),
            Payload::Sealed(bytes) if bytes.len() <= MAX_SEALED_BYTES => {}
            Payload::Hashed { .. } | Payload::Sealed(_) => {
                return Err(InvalidRequest::PayloadTooLarge);
            }
        }
        if matches!(self.query, Query::Hashed { length: 0, .. }) {
            return Err(InvalidRequest::EmptyQuery);
        }
        Ok(K8sApiRequest {
            id: self.id.unwrap_or_else(RequestId::new),
            method: self.method,
            path: self.path,
            query: self.query,
            headers: self.headers,
            payload: self.payload,
            reply_key: self.reply_key,
            priority: self.priority,
            deadline_ms: self.deadline_ms.ok_or(InvalidRequest::NoDeadline)?,
            credential_id: self.credential_id,
            target,
        })
    }
}

/// Why a request is not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// Path, query or header is not of its form.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It says nothing of when it must be answered.
    #[error("the request has no deadline")]
    NoDeadline,
    /// A payload of no bytes is none at all.
    #[error("the payload is empty, leave it out")]
    EmptyPayload,
    /// A hashed query of no bytes is none at all.
    #[error("the hashed query is empty, leave it out")]
    EmptyQuery,
    /// Over 3 MiB, or over 16,000 bytes sealed.
    #[error("the payload is over {MAX_PAYLOAD_BYTES} bytes, or over {MAX_SEALED_BYTES} sealed")]
    PayloadTooLarge,
    /// A message from the wire has a field that cannot be one.
    #[error("the field {0} is not of its form")]
    Field(&'static str),
}

/// Bytes of a payload by hash: kube-apiserver's own limit.
pub const MAX_PAYLOAD_BYTES: u64 = 3 * 1_024 * 1_024;
/// Bytes of a payload sealed inline: under Sui's limit for a pure argument.
pub const MAX_SEALED_BYTES: usize = 16_000;
