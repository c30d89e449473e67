//! What lies where in a directory of ours.
//!
//! ```text
//! DIR/daas.toml            settings: which cluster, token and executor
//! DIR/ledger/              the local ledger
//! DIR/keys/ROLE.key        keys of admin, owner, gateway, operator, executor, encryption
//! DIR/blobs/  DIR/blob.key bodies on their way, encrypted, and the key to them
//! DIR/gateway/             the gateway's certificate authority and certificate
//! DIR/nautilus/            the executor's journal, and those of executors that took its place
//! DIR/cluster/             the memory cluster and its administrator's kubeconfig
//! DIR/sessions/            session keys of `daas login`, credentials in use
//! DIR/kubeconfig           for kubectl
//! DIR/dev.lock             held by `daas dev` while it runs
//! ```
//!
//! All of it is readable for its owner alone.

use std::io;
use std::path::{Path, PathBuf};

use k3s_daas::types::ExecutorId;

/// The paths below one directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of this directory, which need not exist.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The settings file.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.root.join(crate::settings::FILE_NAME)
    }

    /// The local ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Key files.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Bodies on their way.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The key that those are encrypted with.
    #[must_use]
    pub fn blob_key(&self) -> PathBuf {
        self.root.join("blob.key")
    }

    /// The gateway's certificates.
    #[must_use]
    pub fn gateway(&self) -> PathBuf {
        self.root.join("gateway")
    }

    /// Where the executor's journal is.
    #[must_use]
    pub fn nautilus(&self) -> PathBuf {
        self.root.join("nautilus")
    }

    /// The journal of the directory's first executor.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.nautilus().join("journal.db")
    }

    /// The journal of an executor: one of its own name, if there is one, else the first's.
    #[must_use]
    pub fn journal_of(&self, executor: ExecutorId) -> PathBuf {
        let own = self.own_journal_of(executor);
        match own.exists() {
            true => own,
            false => self.journal(),
        }
    }

    /// Where the journal of an executor is that took the place of another one.
    #[must_use]
    pub fn own_journal_of(&self, executor: ExecutorId) -> PathBuf {
        self.nautilus().join(format!("{executor}.db"))
    }

    /// The memory cluster.
    #[must_use]
    pub fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// The memory cluster's administrator.
    #[must_use]
    pub fn cluster_kubeconfig(&self) -> PathBuf {
        self.cluster().join("kubeconfig")
    }

    /// Session keys and credentials in use.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    /// What `daas dev` holds while it runs.
    #[must_use]
    pub fn running(&self) -> PathBuf {
        self.root.join("dev.lock")
    }

    /// What kubectl is to use.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }
}

/// Makes a directory, and those above it, that only its owner can look into.
///
/// # Errors
/// Those of the system.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
