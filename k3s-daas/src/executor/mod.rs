//! Authorised request in, response out.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;

use crate::token::Authorized;
use crate::types::K8sApiRequest;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod function;
#[cfg(feature = "kube")]
pub mod kube;

pub use function::FnExecutor;

/// Key of the user's extra information that carries the request ID to the cluster's audit log.
///
/// The executor's account needs the verb `impersonate` on `userextras/daas.dev/request-id` in
/// `authentication.k8s.io`.
pub const REQUEST_ID_KEY: &str = "daas.dev/request-id";

/// Carries out what the ledger admitted.
///
/// An implementation sends exactly what it is given, once, and never retries by itself. Dropping the
/// future or the body's stream abandons the upstream request.
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Sends the request and returns when status and headers are there.
    ///
    /// # Errors
    /// [`Error::NotSent`] only if certainly nothing reached the cluster; [`Error::Interrupted`] else.
    async fn execute(&self, request: Authorized<K8sApiRequest>) -> Result<Response, Error>;

    /// Whether the cluster answers; for readiness.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    async fn probe(&self) -> Result<(), Error>;
}

/// What the cluster answered.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers as the cluster sent them, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body as the cluster sent it, uncompressed, as it comes.
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

impl Response {
    /// A response that is all there already.
    pub fn full(status: u16, headers: Vec<(String, Vec<u8>)>, body: impl Into<Bytes>) -> Self {
        let body = Once(Some(body.into()));
        Self {
            status,
            headers,
            body: Box::pin(body),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why there is no response, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing reached the cluster.
    #[error("nothing was sent to the cluster: {reason}")]
    NotSent {
        /// In words, without secrets.
        reason: String,
    },
    /// The request may have reached the cluster, and its outcome is unknown.
    #[error("the cluster did not answer in full: {reason}")]
    Interrupted {
        /// In words, without secrets.
        reason: String,
    },
    /// This executor cannot carry out such a request; nothing was sent.
    #[error("cannot be executed here: {reason}")]
    Unsupported {
        /// In words, without secrets.
        reason: String,
    },
}

impl Error {
    /// Whether certainly nothing reached the cluster.
    #[must_use]
    pub fn is_not_sent(&self) -> bool {
        matches!(self, Self::NotSent { .. } | Self::Unsupported { .. })
    }
}

struct Once(Option<Bytes>);

impl futures_core::Stream for Once {
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let bytes = self.0.take().filter(|bytes| !bytes.is_empty());
        std::task::Poll::Ready(bytes.map(Ok))
    }
}
