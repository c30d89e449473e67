//! Two gateways and two Nautilus over one ledger and one cluster.

use std::path::Path;

use k3s_daas::crypto::keystore::load_or_create_development;
use k3s_daas_cli::layout::create_private_dir;

use crate::support::{Separate, daas};

/// All of them; the first has the directory and the cluster.
pub struct Pair {
    _scratch: tempfile::TempDir,
    pub first: Separate,
    pub second: Separate,
}

impl Pair {
    /// Makes and starts them, after `policy` (arguments of `daas cluster set`) and these lines of settings.
    #[track_caller]
    pub fn start(policy: &[&str], settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), policy, settings)
    }

    /// The same in a directory of the caller's.
    #[track_caller]
    pub fn start_in(scratch: tempfile::TempDir, policy: &[&str], settings: &str) -> Self {
        let dir = scratch.path().join("daas");
        let first = alone(&dir, policy, settings);

        let beside = scratch.path().join("second");
        directory_beside(&dir, &beside);
        let mut second = Separate::over(&beside);
        second.start_nautilus();
        second.start_gateway();
        Self {
            _scratch: scratch,
            first,
            second,
        }
    }

    pub fn dir(&self) -> &Path {
        self.first.dir()
    }

    pub fn servers(&self) -> [String; 2] {
        [self.first.server(), self.second.server()]
    }

    /// One of the two by number.
    pub fn half(&mut self, number: usize) -> &mut Separate {
        match number % 2 {
            0 => &mut self.first,
            _ => &mut self.second,
        }
    }
}

/// A cluster, a Nautilus and a gateway with this policy and these lines of settings.
#[track_caller]
pub fn alone(dir: &Path, policy: &[&str], settings: &str) -> Separate {
    let mut running = Separate::provision(dir);
    if !policy.is_empty() {
        daas(dir, &[&["cluster", "set"], policy].concat()).ok();
    }
    let file = dir.join("daas.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{text}\n{settings}\n")).unwrap();
    running.start_cluster();
    running.start_nautilus();
    running.start_gateway();
    running
}

/// Makes a directory that shares ledger, bodies, cluster and authority with `dir`, and has an executor of its own.
fn directory_beside(dir: &Path, beside: &Path) {
    create_private_dir(beside).unwrap();
    create_private_dir(&beside.join("keys")).unwrap();
    for shared in ["ledger", "blobs", "cluster", "gateway"] {
        std::os::unix::fs::symlink(dir.join(shared), beside.join(shared)).unwrap();
    }
    let settings = std::fs::read_to_string(dir.join("daas.toml")).unwrap();
    let own = |line: &&str| !line.starts_with("executor") && !line.starts_with("listen");
    let settings: Vec<&str> = settings.lines().filter(own).collect();
    std::fs::write(beside.join("daas.toml"), settings.join("\n")).unwrap();
    for file in [
        "blob.key",
        "keys/admin.key",
        "keys/owner.key",
        "keys/gateway.key",
        "keys/operator.key",
    ] {
        std::fs::copy(dir.join(file), beside.join(file)).unwrap();
    }
    for role in ["executor", "encryption"] {
        let file = beside.join(format!("keys/{role}.key"));
        load_or_create_development(&file, role).unwrap();
    }
    daas(beside, &["executor", "register"]).ok();
}
