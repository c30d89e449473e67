//! A closure as an executor, for tests of library users.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;
use futures_core::future::BoxFuture;

use super::{Error, Executor, Response};
use crate::token::Authorized;
use crate::types::K8sApiRequest;

/// An [`Executor`] that calls a function.
///
/// # Examples
/// ```
/// use k3s_daas::executor::{FnExecutor, Response};
///
/// let teapot = FnExecutor::new(|_request| async { Ok(Response::full(418, Vec::new(), "short and stout")) });
/// ```
pub struct FnExecutor {
    function: Box<Function>,
}

type Function =
    dyn Fn(Authorized<K8sApiRequest>) -> BoxFuture<'static, Result<Response, Error>> + Send + Sync;

impl FnExecutor {
    /// Calls `function` for each request.
    pub fn new<F, R>(function: F) -> Self
    where
        F: Fn(Authorized<K8sApiRequest>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response, Error>> + Send + 'static,
    {
        Self {
            function: Box::new(move |request| Box::pin(function(request))),
        }
    }
}

impl fmt::Debug for FnExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnExecutor")
    }
}

#[async_trait]
impl Executor for FnExecutor {
    async fn execute(&self, request: Authorized<K8sApiRequest>) -> Result<Response, Error> {
        (self.function)(request).await
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}
