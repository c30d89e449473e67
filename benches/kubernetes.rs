//! The whole path against a real Kubernetes API: directly, through `kubectl proxy`, and through the gateway.
//!
//! All three speak to the same kube-apiserver in turns of the same run, with the same client; so their ratios
//! mean something wherever it runs. `make bench-kubernetes` builds what it needs.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Method;
use k3s_daas_benches::path::{
    Ended, Measured, NAMESPACE, Way, Ways, Work, bearer, client, config, config_map, ours, send,
    setting, start, text,
};
use k3s_daas_benches::{machine, save};
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
    let mut results = Vec::new();
    for connections in [1, 8, 32] {
        for work in [Work::Get, Work::Post] {
            let count = requests(connections);
            results.extend(stage.ways.measure(work, connections, count).await?);
        }
    }
    results.extend(stage.ways.measure(Work::List, 1, 20).await?);
    let fresh = async || {
        let kubeconfig = scratch.path().join("daas/kubeconfig");
        bearer(&kubeconfig, ours("daas", scratch.path())?).await
    };
    let count = setting("DAAS_BENCH_REQUESTS", 100_000);
    let endurance = stage.ways.endure(count, fresh).await?;
    print(&results);
    let report = json!({
        "kubernetes": stage.version,
        "machine": machine(),
        "results": results.iter().map(Measured::to_json).collect::<Vec<_>>(),
        "resident": endurance,
    });
    println!("\nresident after {}: {endurance}", endurance["requests"]);
    println!("raw results: {}", save("kubernetes-bench.json", &report)?);
    Ok(())
}

/// Everything that runs, and what was put into the cluster.
struct Stage {
    ways: Ways,
    version: String,
    // They end when this does, the cluster last.
    _children: Vec<Ended>,
}

impl Stage {
    async fn start(scratch: &Path) -> Result<Self> {
        let (cluster, mut facts) = control_plane(&scratch.join("cluster"))?;
        let admin = PathBuf::from(text(&facts, "kubeconfig")?);
        let direct = config(&admin).await?;
        let api_server = facts["pids"]["kube-apiserver"].take();
        let api_server = u32::try_from(api_server.as_u64().context("no pid")?)?;

        let kubectl = tool("DAAS_TEST_KUBECTL_DIR")?.join("kubectl-1.35");
        let mut proxy = Command::new(kubectl);
        proxy
            .args(["proxy", "--port=0", "--kubeconfig"])
            .arg(&admin);
        let (proxy, said) = start(&mut proxy, "Starting to serve on ")?;
        let proxy_uri = format!("http://{}", said.trim()).parse()?;

        let dir = scratch.join("daas");
        let ours = |name: &str| -> Result<Command> {
            let mut command = ours(name, scratch)?;
            command.env("KUBECONFIG", &admin);
            Ok(command)
        };
        let mut provision = ours("daas")?;
        provision.args(["dev", "--provision-only", "--cluster", "current"]);
        ensure!(provision.status()?.success(), "cannot provision");
        let settings = fs::read_to_string(dir.join("daas.toml"))?;
        let token = settings
            .lines()
            .find_map(|line| line.strip_prefix("token = "))
            .context("no token in daas.toml")?
            .trim_matches('"');
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("seal:{token}")}],
        });
        let client = client(&direct)?;
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        send(&client, Method::POST, path, Some(&binding)).await?;
        let version = send(&client, Method::GET, "/version", None).await?;
        let version = serde_json::from_slice::<Value>(&version)?;
        let (nautilus, _) = start(&mut ours("daas-nautilus")?, "executing on ")?;
        let mut gateway = ours("daas-gateway")?;
        let kubeconfig = dir.join("kubeconfig");
        gateway.args(["--listen", "127.0.0.1:0", "--kubeconfig"]);
        let (gateway, _) = start(gateway.arg(&kubeconfig), "serving ")?;
        let (nautilus_pid, gateway_pid) = (nautilus.0.id(), gateway.0.id());
        let through = bearer(&kubeconfig, ours("daas")?).await?;

        let proxied = vec![proxy.0.id()];
        let stage = Self {
            ways: Ways::new(
                vec![
                    Way {
                        name: "direct",
                        config: direct,
                        processes: Vec::new(),
                    },
                    Way {
                        name: "kubectl proxy",
                        config: kube::Config::new(proxy_uri),
                        processes: proxied,
                    },
                    Way {
                        name: "daas",
                        config: through,
                        processes: vec![gateway_pid, nautilus_pid],
                    },
                ],
                api_server,
            ),
            version: text(&version, "gitVersion")?.to_owned(),
            _children: vec![gateway, nautilus, proxy, cluster],
        };
        stage.fill(&client).await?;
        Ok(stage)
    }

    /// The object that is read, and the pods that are listed.
    async fn fill(&self, client: &kube::Client) -> Result<()> {
        let path = "/api/v1/namespaces";
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        send(client, Method::POST, path, Some(&namespace)).await?;
        let ready = Instant::now();
        loop {
            let account = format!("{path}/{NAMESPACE}/serviceaccounts/default");
            if send(client, Method::GET, &account, None).await.is_ok() {
                break;
            }
            ensure!(
                ready.elapsed() < Duration::from_secs(30),
                "no service account"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let path = Work::Post.path();
        send(client, Method::POST, &path, Some(&config_map("read"))).await?;
        for number in 0..PODS {
            let pod = json!({
                "metadata": {
                    "name": format!("pod-{number}"),
                    "annotations": {"filler": "x".repeat(1_500)},
                },
                // Nothing schedules it, so it stays as it is.
                "spec": {
                    "schedulerName": "none",
                    "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
                },
            });
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
            send(client, Method::POST, &path, Some(&pod)).await?;
        }
        Ok(())
    }
}

/// What is aimed at, beside what was measured.
fn print(results: &[Measured]) {
    let mut by_work = BTreeMap::<_, BTreeMap<&str, &Measured>>::new();
    for measured in results {
        let key = (format!("{:?}", measured.work), measured.connections);
        by_work
            .entry(key)
            .or_default()
            .insert(measured.way, measured);
    }
    println!();
    for ((work, connections), ways) in by_work {
        let [direct, proxy, daas] = ["direct", "kubectl proxy", "daas"].map(|way| ways[way]);
        println!(
            "{work:4} at {connections:2}: p50 direct + {:.2} ms ({:.2} x), rate {:.2} x direct, {:.2} x kubectl proxy",
            daas.quantile_ms(500) - direct.quantile_ms(500),
            daas.quantile_ms(500) / direct.quantile_ms(500),
            daas.rate() / direct.rate(),
            daas.rate() / proxy.rate(),
        );
    }
}

/// A Kubernetes control plane of its own, and what it says of itself.
fn control_plane(dir: &Path) -> Result<(Ended, Value)> {
    let program = tool("DAAS_TEST_CLUSTER_DIR")?.join("control-plane");
    let mut child = Command::new(&program)
        .arg("--dir")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    Ok((
        Ended(child),
        serde_json::from_str(&line).context("the control plane does not start")?,
    ))
}

fn tool(variable: &str) -> Result<PathBuf> {
    let dir = std::env::var_os(variable);
    Ok(dir
        .with_context(|| format!("{variable} is not set: run `make bench-kubernetes`"))?
        .into())
}

/// Where the binaries are that were built beside this.
fn requests(connections: usize) -> usize {
    setting(
        "DAAS_BENCH_ROUND",
        if connections == 1 { 600 } else { 3_000 },
    )
}

const PODS: usize = 1_000;
