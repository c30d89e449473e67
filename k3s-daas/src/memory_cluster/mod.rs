//! A small Kubernetes API server, for demos and tests.
//!
//! [`MemoryCluster`] keeps objects and answers as kube-apiserver does: discovery, OpenAPI,
//! the verbs and patch types, watches, tables, server-side apply, RBAC. Nothing runs in it:
//! there is no scheduler, no controller and no kubelet, so a Pod stays Pending and a
//! Deployment has no ready replica, and both say so. With a directory every acknowledged
//! write survives kill -9.
//!
//! What it refuses it refuses with the code, the reason and mostly the words of kube-apiserver 1.35; a test holds both
//! next to each other. It differs in this:
//!
//! - There is no admission, neither plugins (quota, limits, Pod security, service accounts) nor webhooks and policies,
//!   although their objects are kept.
//! - There is no audit log, and nobody but the administrator can authenticate; all others are impersonated.
//! - It reads protobuf, and answers in JSON and YAML alone.
//! - Of a Deployment without a Pod template it finds fewer and other causes.
//! - A body that is no JSON, a continue token that is none, a body of another kind, and media types that it does not know
//!   are told in words of its own.
//!
//! Kinds and schemas are cut from Kubernetes' published API (`data/generate.py`).

mod clock;
mod cluster;
mod convert;
mod crd;
mod defaults;
mod discovery;
mod journal;
mod kinds;
mod openapi;
mod patch;
mod protobuf;
mod rbac;
mod read;
mod request;
mod reviews;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod table;
mod tls;
mod validation;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use cluster::Cluster;

/// A Kubernetes API server in this process; clones share it.
#[derive(Clone)]
pub struct MemoryCluster {
    cluster: Arc<Cluster>,
}

impl MemoryCluster {
    /// A cluster in memory, named `localhost`, with authorization.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Serves HTTPS (HTTP/1.1 and h2) on `listener` until `shutdown`, then lets requests in
    /// flight finish. Several listeners may be served at once.
    ///
    /// # Errors
    /// [`Error::Accept`] if the listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        server::serve(self.cluster, listener, shutdown).await
    }

    /// A kubeconfig (YAML) of the administrator for the cluster at `server`, such as
    /// `https://127.0.0.1:6443`. It contains the admin token.
    pub fn kubeconfig(&self, server: &str) -> String {
        let ca = base64::engine::general_purpose::STANDARD.encode(self.ca_pem());
        let server = serde_json::Value::from(server);
        let token = self.admin_token();
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: memory\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: admin\n  user:\n    token: {token}\ncontexts:\n\
             - name: memory\n  context:\n    cluster: memory\n    user: admin\ncurrent-context: memory\n"
        )
    }

    /// The certificate authority clients must trust.
    pub fn ca_pem(&self) -> &str {
        &self.cluster.identity.ca_pem
    }

    /// The bearer token of `system:masters`, who may also impersonate. Secret.
    pub fn admin_token(&self) -> &str {
        &self.cluster.identity.admin_token
    }
}

impl fmt::Debug for MemoryCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCluster").finish_non_exhaustive()
    }
}

/// Builds a [`MemoryCluster`].
#[derive(Debug, Clone)]
pub struct Builder {
    directory: Option<PathBuf>,
    server_names: Vec<String>,
    authorization: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let server_names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        Self {
            directory: None,
            server_names,
            authorization: true,
        }
    }
}

impl Builder {
    /// Keeps objects, certificates and the admin token in `directory`, which one process
    /// holds at a time. Secrets lie there unencrypted, readable for the owner alone.
    #[must_use]
    pub fn with_directory(mut self, directory: PathBuf) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Further DNS names and IP addresses for the server certificate.
    #[must_use]
    pub fn with_server_names(mut self, names: Vec<String>) -> Self {
        for name in names {
            if !self.server_names.contains(&name) {
                self.server_names.push(name);
            }
        }
        self
    }

    /// Whether RBAC decides about impersonated users (the default); without it everyone
    /// who is authenticated may do everything.
    #[must_use]
    pub fn with_authorization(mut self, authorization: bool) -> Self {
        self.authorization = authorization;
        self
    }

    /// Opens or creates the cluster.
    ///
    /// # Errors
    /// - [`Error::Foreign`], [`Error::Damaged`]: the directory holds something else, or was edited.
    /// - [`Error::Journal`], [`Error::File`]: it cannot be used, or another process holds it.
    /// - [`Error::Identity`]: a server name is no name, or a key is unreadable.
    pub fn build(self) -> Result<MemoryCluster, Error> {
        Ok(MemoryCluster {
            cluster: Arc::new(Cluster::open(self)?),
        })
    }
}

/// Why a cluster cannot be opened or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the directory cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory's database belongs to something else.
    #[error("{} is not usable: {why}", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An object in the database is not JSON.
    #[error("object {key} in the database is damaged")]
    Damaged {
        /// Collection and key.
        key: String,
        /// How it fails to parse.
        source: serde_json::Error,
    },
    /// SQLite refused.
    #[error("the database of the memory cluster failed")]
    Journal(#[from] rusqlite::Error),
    /// Keys or certificates are unusable.
    #[error("the cluster's keys and certificates: {0}")]
    Identity(String),
    /// The listener broke.
    #[error("cannot accept connections")]
    Accept(#[source] std::io::Error),
    /// The commit thread could not be started.
    #[error("cannot start the commit thread")]
    Thread(#[source] std::io::Error),
}
