//! A real control plane, and `daas dev` over it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::support::{DAAS, Process, command};

/// Both ways to one cluster; everything ends when it is dropped.
pub struct Ground {
    /// The kubeconfig that reaches the cluster directly.
    pub direct: PathBuf,
    /// The one that reaches it through the gateway.
    pub through: PathBuf,
    dev: Option<Process>,
    cluster: Child,
}

impl Ground {
    pub fn start(scratch: &Path) -> Self {
        let program =
            Path::new(&std::env::var_os("DAAS_TEST_CLUSTER_DIR").unwrap()).join("control-plane");
        let mut cluster = command(program)
            .arg("--dir")
            .arg(scratch.join("cluster"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(cluster.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let direct = PathBuf::from(ready["kubeconfig"].as_str().unwrap());
        let dir = scratch.join("daas");
        let mut dev = command(DAAS);
        dev.env("HOME", &dir)
            .env("KUBECONFIG", &direct)
            .args(["dev", "--cluster", "current", "--bind", "cluster-admin"])
            .args(["--listen", "127.0.0.1:0", "--dir"])
            .arg(&dir);
        let dev = Process::start(dev, &scratch.join("dev.log"), "export KUBECONFIG=");
        Self {
            direct,
            through: dir.join("kubeconfig"),
            dev: Some(dev),
            cluster,
        }
    }

    /// Ends the gateway; its exit code.
    pub fn stop(mut self) -> i32 {
        self.dev.take().unwrap().stop()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // It ends when its standard input does.
        drop(self.cluster.stdin.take());
        let _ = self.cluster.wait();
    }
}
