//! A stand-in until the fixture is merged.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::command;

pub struct ControlPlane {
    pub kubeconfig: PathBuf,
    pub audit_log: PathBuf,
    child: Child,
    _dir: tempfile::TempDir,
}

impl ControlPlane {
    pub fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binaries = std::env::var("DAAS_TEST_CLUSTER_DIR").unwrap();
        let mut command = command(Path::new(&binaries).join("control-plane"));
        command.arg("--dir").arg(dir.path().join("cp"));
        for argument in arguments {
            command.arg(format!("--apiserver-arg={argument}"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self {
            kubeconfig: ready["kubeconfig"].as_str().unwrap().into(),
            audit_log: ready["auditLog"].as_str().unwrap().into(),
            child,
            _dir: dir,
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
