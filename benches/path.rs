//! The whole path against the memory cluster: what the ledger adds where the cluster itself takes no time.
//!
//! Reads of 1 KiB at 1 and 32 connections beside the memory cluster itself, in turns of the same run; forty kubectl
//! at once by both ways, with the same exec plugin; memory and disk after many requests. `make bench` builds what it
//! needs.

#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use k3s_daas_benches::path::{
    Ended, Measured, NAMESPACE, Way, Ways, Work, bearer, client, config, config_map, ours, send,
    setting, start,
};
use k3s_daas_benches::{durable_commit, machine, median, millis, save, target_directory};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let stage = Stage::start(scratch.path()).await?;
    let before = durable_commit(&scratch.path().join("before.db"))?;
    let one = stage
        .ways
        .measure(Work::Get, 1, setting("DAAS_BENCH_ROUND", 900))
        .await?;
    let many = stage
        .ways
        .measure(Work::Get, 32, setting("DAAS_BENCH_MANY", 9_000))
        .await?;
    let after = durable_commit(&scratch.path().join("after.db"))?;
    let commit_ms = f64::midpoint(millis(before), millis(after));
    let kubectl = stage.kubectl()?;
    let (bytes, endurance) = stage.endure().await?;

    let [direct, through] = [&one[0], &one[1]];
    let beyond = through.quantile_ms(500) - direct.quantile_ms(500);
    let bound = 6.0 * commit_ms + 1.0;
    println!();
    println!(
        "GET at 1: direct + {beyond:.2} ms (6 commits of {commit_ms:.2} ms + 1 ms: {bound:.2} ms)"
    );
    println!("GET at 32: {:.0}/s (2,000)", many[1].rate());
    if let Some(kubectl) = &kubectl {
        println!(
            "{KUBECTL} kubectl at once: {:.2} times direct (1.3)",
            kubectl["ratio"]
        );
    }
    println!("resident after {}: {endurance}", endurance["requests"]);
    println!("disk for each request: {bytes}");
    let results = one.iter().chain(&many).map(Measured::to_json);
    let report = json!({
        "machine": machine(),
        "results": results.collect::<Vec<_>>(),
        "durable_commit_ms": commit_ms,
        "kubectl": kubectl,
        "resident": endurance,
        "disk_bytes_per_request": bytes,
    });
    println!("raw results: {}", save("path-bench.json", &report)?);
    Ok(())
}

/// Everything that runs.
struct Stage {
    ways: Ways,
    dir: PathBuf,
    scratch: PathBuf,
    /// The memory cluster's own kubeconfig, and the gateway's.
    kubeconfigs: [PathBuf; 2],
    // They end when this does, the cluster last.
    _children: [Ended; 3],
}

impl Stage {
    async fn start(scratch: &Path) -> Result<Self> {
        let dir = scratch.join("daas");
        let mut provision = ours("daas", scratch)?;
        provision
            .args(["dev", "--provision-only"])
            .stdout(Stdio::null());
        ensure!(provision.status()?.success(), "cannot provision");
        let admin = dir.join("cluster/kubeconfig");
        let mut cluster = ours("daas", scratch)?;
        cluster.args(["memory-cluster", "--listen", "127.0.0.1:0", "--dir"]);
        cluster.arg(dir.join("cluster"));
        let (cluster, _) = start(&mut cluster, "https://")?;
        let (nautilus, _) = start(&mut ours("daas-nautilus", scratch)?, "executing on ")?;
        let gateway_config = dir.join("kubeconfig");
        let mut gateway = ours("daas-gateway", scratch)?;
        gateway.args(["--listen", "127.0.0.1:0", "--kubeconfig"]);
        let (gateway, _) = start(gateway.arg(&gateway_config), "serving ")?;

        let direct = config(&admin).await?;
        let through = bearer(&gateway_config, ours("daas", scratch)?).await?;
        fill(&client(&direct)?, &dir).await?;
        let processes = vec![gateway.0.id(), nautilus.0.id()];
        let ways = vec![
            Way {
                name: "direct",
                config: direct,
                processes: Vec::new(),
            },
            Way {
                name: "daas",
                config: through,
                processes,
            },
        ];
        Ok(Self {
            ways: Ways::new(ways, cluster.0.id()),
            kubeconfigs: [admin, gateway_config],
            scratch: scratch.to_owned(),
            dir,
            _children: [gateway, nautilus, cluster],
        })
    }

    /// How long it takes until so many kubectl that begin at once have all ended, by both ways; nothing without one.
    fn kubectl(&self) -> Result<Option<Value>> {
        let Some(tools) = std::env::var_os("DAAS_TEST_KUBECTL_DIR") else {
            println!("no kubectl: DAAS_TEST_KUBECTL_DIR is not set");
            return Ok(None);
        };
        let kubectl = Path::new(&tools).join("kubectl-1.35");
        // Both ask the same plugin; the answer of one is replaced by the administrator's token.
        let admin = fs::read_to_string(&self.kubeconfigs[0])?;
        let token = admin
            .lines()
            .find_map(|line| line.trim().strip_prefix("token: "));
        let token = token
            .context("no token in the administrator's kubeconfig")?
            .trim_matches('"');
        let credential = self.scratch.join("credential.json");
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": token},
        });
        fs::write(&credential, exec.to_string())?;
        let daas = target_directory()?.join("release/daas");
        let (daas, credential) = (daas.display(), credential.display());
        let plugins = [
            format!("{daas} credential >/dev/null && cat {credential}"),
            format!("{daas} credential | cat"),
        ];
        let mut configs = Vec::new();
        for (index, (from, plugin)) in self.kubeconfigs.iter().zip(plugins).enumerate() {
            let mut config: Value =
                serde_json::to_value(kube::config::Kubeconfig::read_from(from)?)?;
            config["users"][0]["user"] = json!({"exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "sh",
                "args": ["-c", plugin],
                "interactiveMode": "Never",
            }});
            let file = self.scratch.join(format!("kubectl-{index}.kubeconfig"));
            fs::write(&file, config.to_string())?;
            configs.push(file);
        }
        let mut times = [Vec::new(), Vec::new()];
        // The first turn is for kubectl's cache of discovery to be there.
        for turn in 0..=KUBECTL_TURNS {
            for (config, times) in configs.iter().zip(&mut times) {
                let begun = Instant::now();
                let children: Vec<_> = (0..KUBECTL)
                    .map(|_| self.get(&kubectl, config).spawn())
                    .collect::<std::io::Result<_>>()?;
                for mut child in children {
                    ensure!(child.wait()?.success(), "kubectl fails");
                }
                if turn > 0 {
                    times.push(begun.elapsed());
                }
            }
        }
        let [direct, through] = times.map(median);
        let (direct, through) = (direct?, through?);
        Ok(Some(json!({
            "at_once": KUBECTL,
            "direct_ms": millis(direct),
            "daas_ms": millis(through),
            "ratio": through.as_secs_f64() / direct.as_secs_f64(),
        })))
    }

    fn get(&self, kubectl: &Path, kubeconfig: &Path) -> Command {
        let mut command = Command::new(kubectl);
        command
            .args(["get", "configmap", "read", "-n", NAMESPACE, "--kubeconfig"])
            .arg(kubeconfig)
            .env("HOME", &self.scratch)
            .env("DAAS_DIR", &self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Bytes on disk for each request, by part, and memory after many.
    async fn endure(&self) -> Result<(Value, Value)> {
        let count = setting("DAAS_BENCH_REQUESTS", 100_000);
        let before = self.disk()?;
        let fresh = async || bearer(&self.kubeconfigs[1], ours("daas", &self.scratch)?).await;
        let resident = self.ways.endure(count, fresh).await?;
        let after = self.disk()?;
        #[allow(clippy::cast_precision_loss)]
        let each =
            |part: usize| ((after[part] as f64 - before[part] as f64) / count as f64).round();
        let parts = PARTS.iter().enumerate();
        let bytes = parts.map(|(index, name)| ((*name).to_owned(), json!(each(index))));
        Ok((Value::Object(bytes.collect()), resident))
    }

    fn disk(&self) -> Result<Vec<u64>> {
        PARTS
            .iter()
            .map(|part| size(&self.dir.join(part)))
            .collect()
    }
}

async fn fill(client: &kube::Client, dir: &Path) -> Result<()> {
    let settings = fs::read_to_string(dir.join("daas.toml"))?;
    let token = settings
        .lines()
        .find_map(|line| line.strip_prefix("token = "));
    let token = token.context("no token in daas.toml")?.trim_matches('"');
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("seal:{token}")}],
    });
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    send(client, Method::POST, path, Some(&binding)).await?;
    let namespace = json!({"metadata": {"name": NAMESPACE}});
    send(client, Method::POST, "/api/v1/namespaces", Some(&namespace)).await?;
    send(
        client,
        Method::POST,
        &Work::Post.path(),
        Some(&config_map("read")),
    )
    .await?;
    Ok(())
}

/// Of all files in it.
fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Some go while one looks.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

/// What grows by requests.
const PARTS: [&str; 3] = ["ledger", "blobs", "nautilus"];
const KUBECTL: usize = 40;
const KUBECTL_TURNS: usize = 3;
