//! The executor that reaches a Kubernetes API through the `kube` crate.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use http::header::{ACCEPT_ENCODING, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service as _, ServiceBuilder, ServiceExt as _};

pub use super::REQUEST_ID_KEY;
use super::{Error, Executor, Response};
use crate::token::Authorized;
use crate::types::K8sApiRequest;

/// `kube`'s configuration of a cluster and its credentials, for [`KubeExecutor::from_config`].
pub use ::kube::Config as KubeConfig;
use ::kube::client::{Body, ConfigExt as _};
use ::kube::config::{KubeConfigOptions, Kubeconfig};

/// Sends requests to a Kubernetes API exactly as they were admitted, once each, with the executor's
/// own credentials, impersonating the token.
///
/// Connections are pooled; cloning shares them. There is a timeout for connecting and none for the
/// answer: whoever asks has a deadline. The following headers are added to those of the request:
///
/// | header | value |
/// |---|---|
/// | `Accept-Encoding` | `identity`: bodies are hashed as Kubernetes sends them |
/// | `Impersonate-User` | `seal:` and the token |
/// | `Impersonate-Group` | each group of the token, never `system:…` |
/// | `Impersonate-Extra-Daas.dev%2Frequest-Id` | the request ID: extra key [`REQUEST_ID_KEY`] in the cluster's audit log |
#[derive(Clone)]
pub struct KubeExecutor {
    service: Arc<RwLock<Service>>,
    server: String,
    /// Host and port of the server.
    address: String,
    impersonates: bool,
}

impl KubeExecutor {
    /// From `kube`'s own configuration; its retries, its compression and its read timeout are not used.
    ///
    /// Must be called in a tokio runtime. May run an exec plugin.
    ///
    /// # Errors
    /// [`ConfigError::Unusable`], [`ConfigError::Impersonates`].
    pub fn from_config(config: KubeConfig) -> Result<Self, ConfigError> {
        let has_impersonation = |(name, _): &(HeaderName, HeaderValue)| is_impersonation(name);
        let auth = &config.auth_info;
        if auth.impersonate.is_some()
            || auth.impersonate_groups.is_some()
            || config.headers.iter().any(has_impersonation)
        {
            return Err(ConfigError::Impersonates);
        }
        let url = &config.cluster_url;
        let default_port = if url.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        let port = url.port_u16().unwrap_or(default_port);
        Ok(Self {
            address: format!("{}:{port}", url.host().unwrap_or_default()),
            server: url.to_string(),
            service: Arc::new(RwLock::new(service(&config)?)),
            impersonates: true,
        })
    }

    /// From a kubeconfig file (`$KUBECONFIG`, then `~/.kube/config` if none is given) and one of its
    /// contexts (the current one if none is given).
    ///
    /// # Errors
    /// As [`KubeExecutor::from_config`], and [`ConfigError::Kubeconfig`].
    pub async fn from_kubeconfig(
        path: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let kubeconfig = match path {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        Self::from_read(kubeconfig.map_err(ConfigError::Kubeconfig)?, context).await
    }

    /// From the text of a kubeconfig (YAML) and one of its contexts.
    ///
    /// # Errors
    /// As [`KubeExecutor::from_kubeconfig`].
    pub async fn from_kubeconfig_text(
        yaml: &str,
        context: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let kubeconfig = Kubeconfig::from_yaml(yaml).map_err(ConfigError::Kubeconfig)?;
        Self::from_read(kubeconfig, context).await
    }

    /// From the service account of the pod that this runs in.
    ///
    /// # Errors
    /// As [`KubeExecutor::from_config`], and [`ConfigError::InCluster`].
    pub fn in_cluster() -> Result<Self, ConfigError> {
        Self::from_config(KubeConfig::incluster().map_err(ConfigError::InCluster)?)
    }

    /// Whether the cluster shall see the token (the default) or the executor's own account.
    ///
    /// Without it the cluster's RBAC and audit log know nothing of tokens.
    #[must_use]
    pub fn with_impersonation(mut self, impersonates: bool) -> Self {
        self.impersonates = impersonates;
        self
    }

    /// The URL of the Kubernetes API.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Has this executor and its clones go to their server with the credentials and authorities of `fresh`, which is of
    /// the same server. What was begun goes on as it was.
    pub fn adopt_credentials(&self, fresh: &Self) {
        let fresh = fresh.service();
        *self.service.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    fn service(&self) -> Service {
        let service = self.service.read();
        service.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn from_read(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Self, ConfigError> {
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let config = KubeConfig::from_custom_kubeconfig(kubeconfig, &options).await;
        Self::from_config(config.map_err(ConfigError::Kubeconfig)?)
    }

    async fn send(&self, request: http::Request<Body>) -> Result<Response, Error> {
        let mut service = self.service();
        let answered = match service.ready().await {
            Ok(service) => service.call(request).await,
            Err(error) => return Err(self.not_sent(&*error)),
        };
        let (parts, body) = answered
            .map_err(|error| self.classify(&*error))?
            .into_parts();
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        let body = body.into_data_stream().map_err(|error| interrupted(&error));
        Ok(Response {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: Box::pin(body),
        })
    }

    /// Only what certainly wrote nothing is [`Error::NotSent`].
    fn classify(&self, error: &(dyn StdError + 'static)) -> Error {
        let mut cause = Some(error);
        while let Some(inner) = cause {
            let is_connect = inner
                .downcast_ref::<legacy::Error>()
                .is_some_and(legacy::Error::is_connect);
            // Credentials that cannot be had: the request never left the layer before the connection.
            if is_connect || inner.is::<::kube::client::AuthError>() {
                return self.not_sent(error);
            }
            cause = inner.source();
        }
        interrupted(error)
    }

    /// Says where the cluster should be: whoever reads it may not have the kubeconfig.
    fn not_sent(&self, error: &(dyn StdError + 'static)) -> Error {
        Error::NotSent {
            reason: format!("{}: {}", self.address, innermost(error)),
        }
    }

    fn request(
        &self,
        authorized: &Authorized<K8sApiRequest>,
    ) -> Result<http::Request<Body>, Error> {
        let request = authorized.request();
        let target = authorized.path_and_query();
        let uri: http::Uri = target
            .parse()
            .map_err(|_| unsupported("its path is no URI"))?;
        if uri.path_and_query().map(http::uri::PathAndQuery::as_str) != Some(&*target) {
            return Err(unsupported("its path would be sent otherwise"));
        }
        let body = authorized.body().clone();
        let body = if body.is_empty() {
            Body::empty()
        } else {
            Body::from(body)
        };
        let mut sent = http::Request::new(body);
        *sent.method_mut() = http::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|_| unsupported("its method is none of HTTP"))?;
        *sent.uri_mut() = uri;
        let headers = sent.headers_mut();
        for (name, value) in request.headers() {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| unsupported("a header has no name"))?;
            if is_impersonation(&name) {
                return Err(unsupported("it brings its own impersonation"));
            }
            headers.append(name, header_value(value)?);
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.impersonates {
            let identity = &authorized.grant().identity;
            headers.insert(IMPERSONATE_USER, header_value(&identity.user)?);
            for group in &identity.groups {
                if !is_group(group) {
                    return Err(unsupported("a group of the token cannot be impersonated"));
                }
                headers.append(IMPERSONATE_GROUP, header_value(group)?);
            }
            headers.insert(
                IMPERSONATE_REQUEST_ID,
                header_value(&request.id().to_string())?,
            );
        }
        Ok(sent)
    }
}

#[async_trait]
impl Executor for KubeExecutor {
    async fn execute(&self, authorized: Authorized<K8sApiRequest>) -> Result<Response, Error> {
        let subresource = authorized.request().target().path.subresource.as_str();
        if matches!(subresource, "exec" | "attach" | "portforward" | "proxy") {
            return Err(unsupported(
                "a stream between client and cluster is not carried here",
            ));
        }
        self.send(self.request(&authorized)?).await
    }

    async fn probe(&self) -> Result<(), Error> {
        let mut request = http::Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/readyz");
        let response = self.send(request).await?;
        if (200..300).contains(&response.status) {
            return Ok(());
        }
        Err(Error::Interrupted {
            reason: format!(
                "the Kubernetes API is not ready and answered {}",
                response.status
            ),
        })
    }
}

impl fmt::Debug for KubeExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeExecutor")
            .field("server", &self.server)
            .field("impersonates", &self.impersonates)
            .finish_non_exhaustive()
    }
}

/// Why there is no executor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The kubeconfig cannot be read, or has no such context.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] ::kube::config::KubeconfigError),
    /// This is no pod with a service account.
    #[error("this is not a pod with a service account")]
    InCluster(#[source] ::kube::config::InClusterError),
    /// Certificates or credentials cannot be used.
    #[error("the cluster's certificates or credentials cannot be used")]
    Unusable(#[source] Box<::kube::Error>),
    /// The configuration impersonates somebody already, who would mix with the tokens.
    #[error("the kubeconfig impersonates somebody already")]
    Impersonates,
}

type Service =
    BoxCloneSyncService<http::Request<Body>, http::Response<hyper::body::Incoming>, BoxError>;

/// `kube`'s own layers around a client that repeats nothing.
///
/// Not [`::kube::Client`]: its stack retries by default and logs URLs, in which exec arguments stand.
fn service(config: &KubeConfig) -> Result<Service, ConfigError> {
    let unusable = |error| ConfigError::Unusable(Box::new(error));
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Whoever was faster chose well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    let tls = config
        .rustls_https_connector_with_connector(tcp)
        .map_err(unusable)?;
    let patience = config.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let connector = tower::service_fn(move |uri: http::Uri| {
        let mut tls = tls.clone();
        Box::pin(async move {
            // TLS included: a server that accepts and says nothing must not hold a request.
            tokio::time::timeout(patience, async { tls.ready().await?.call(uri).await })
                .await
                .map_err(|_| BoxError::from("connecting took too long"))?
        })
    });
    // A request of which hyper hands every byte back, because its pooled connection closed first, goes
    // out on another connection. That is no repetition: none of it was written.
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build::<_, Body>(connector);
    let layers = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(unusable)?)
        .layer(config.extra_headers_layer().map_err(unusable)?)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(layers))
}

fn interrupted(error: &(dyn StdError + 'static)) -> Error {
    Error::Interrupted {
        reason: innermost(error),
    }
}

/// The outer errors say only that something failed.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn unsupported(reason: &str) -> Error {
    Error::Unsupported {
        reason: reason.to_owned(),
    }
}

fn header_value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| unsupported("a header has a value that is none"))
}

fn is_impersonation(name: &HeaderName) -> bool {
    name.as_str().starts_with("impersonate-")
}

/// The last check before the cluster. Blanks around a name would go on the way, and what is left might
/// be a name of the system.
fn is_group(group: &str) -> bool {
    let is_system = group
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("system:"));
    !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_graphic()) && !is_system
}

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");
/// [`REQUEST_ID_KEY`] as Kubernetes wants it in a header's name: percent-encoded, case does not matter.
const IMPERSONATE_REQUEST_ID: HeaderName =
    HeaderName::from_static("impersonate-extra-daas.dev%2frequest-id");
/// When the configuration names none; also `kube`'s own default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that is dead notices it before the usual deadline.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);
/// Shorter than servers and load balancers keep idle connections, since a request that meets the closing
/// of one has an unknown outcome.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
