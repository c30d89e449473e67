//! The whole path against a real Kubernetes API: directly, through `kubectl proxy`, and through the gateway.
//!
//! All three speak to the same kube-apiserver in turns of the same run, with the same client; so their ratios
//! mean something wherever it runs. `make bench-kubernetes` builds what it needs.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use k3s_daas_benches::{machine, save, target_directory};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
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
            results.extend(stage.measure(work, connections, count).await?);
        }
    }
    results.extend(stage.measure(Work::List, 1, 20).await?);
    let endurance = stage
        .endure(setting("DAAS_BENCH_REQUESTS", 100_000))
        .await?;
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

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// One ConfigMap with 1 KiB of data.
    Get,
    /// A new one of the same size.
    Post,
    /// 1,000 pods, about 3 MB.
    List,
}

/// Ways to the same API server.
struct Way {
    name: &'static str,
    config: kube::Config,
    /// Processes between client and API server.
    processes: Vec<u32>,
}

/// Everything that runs, and what was put into the cluster.
struct Stage {
    ways: Vec<Way>,
    api_server: u32,
    version: String,
    names: AtomicUsize,
    // They end when this does, the cluster last.
    _children: Vec<Ended>,
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Asked first, so that what it started ends too.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        for _ in 0..200 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
            let mut command = Command::new(binaries()?.join(name));
            command
                .env("KUBECONFIG", &admin)
                .env("HOME", scratch)
                .env("DAAS_DIR", &dir);
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
            ways: vec![
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
            version: text(&version, "gitVersion")?.to_owned(),
            names: AtomicUsize::new(0),
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

    /// The same work by each way, in turns.
    async fn measure(&self, work: Work, connections: usize, count: usize) -> Result<Vec<Measured>> {
        let mut found: Vec<_> = self
            .ways
            .iter()
            .map(|way| Measured::new(way.name, work, connections))
            .collect();
        // The first turn is for connections and caches to be there.
        for turn in 0..=TURNS {
            for (way, measured) in self.ways.iter().zip(&mut found) {
                let count = if turn == 0 {
                    connections * 5
                } else {
                    count / TURNS
                };
                let run = self.turn(way, work, connections, count).await?;
                if turn > 0 {
                    measured.add(run);
                }
            }
        }
        for measured in &found {
            println!("{}", measured.line());
        }
        Ok(found)
    }

    async fn turn(&self, way: &Way, work: Work, connections: usize, count: usize) -> Result<Turn> {
        let left = Arc::new(AtomicUsize::new(count));
        let cpu = cpu_seconds(&way.processes)?;
        let api_cpu = cpu_seconds(&[self.api_server])?;
        let first = self.names.fetch_add(count, Ordering::Relaxed);
        let began = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (left, config) = (left.clone(), way.config.clone());
                tokio::spawn(async move {
                    // A client for each, so a connection for each.
                    let client = client(&config)?;
                    let mut latencies = Vec::new();
                    while let Ok(number) =
                        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                            left.checked_sub(1)
                        })
                    {
                        let began = Instant::now();
                        let (method, body) = match work {
                            Work::Get | Work::List => (Method::GET, None),
                            Work::Post => {
                                let name = format!("bench-{}", first + number);
                                (Method::POST, Some(config_map(&name)))
                            }
                        };
                        let got = send(&client, method, &work.path(), body.as_ref()).await?;
                        ensure!(
                            work != Work::List || got.len() > 2_000_000,
                            "{} bytes",
                            got.len()
                        );
                        latencies.push(began.elapsed());
                    }
                    Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Vec::with_capacity(count);
        for task in tasks {
            latencies.extend(task.await??);
        }
        Ok(Turn {
            latencies,
            elapsed: began.elapsed(),
            cpu: cpu_seconds(&way.processes)? - cpu,
            api_cpu: cpu_seconds(&[self.api_server])? - api_cpu,
        })
    }

    /// What gateway and Nautilus hold of memory after so many requests.
    async fn endure(&self, count: usize) -> Result<Value> {
        let way = self.ways.last().context("no way")?;
        let before = resident_bytes(&way.processes)?;
        let turn = self.turn(way, Work::Get, 32, count).await?;
        let after = resident_bytes(&way.processes)?;
        // What is freed may be given back a moment later, and old answers are pruned.
        Ok(json!({
            "requests": count,
            "seconds": turn.elapsed.as_secs_f64(),
            "before_bytes": {"gateway": before[0], "nautilus": before[1]},
            "after_bytes": {"gateway": after[0], "nautilus": after[1]},
        }))
    }
}

/// Requests by one way.
struct Turn {
    latencies: Vec<Duration>,
    elapsed: Duration,
    cpu: f64,
    api_cpu: f64,
}

struct Measured {
    way: &'static str,
    work: Work,
    connections: usize,
    latencies: Vec<Duration>,
    elapsed: Duration,
    cpu: f64,
    api_cpu: f64,
}

impl Measured {
    fn new(way: &'static str, work: Work, connections: usize) -> Self {
        Self {
            way,
            work,
            connections,
            latencies: Vec::new(),
            elapsed: Duration::ZERO,
            cpu: 0.0,
            api_cpu: 0.0,
        }
    }

    fn add(&mut self, turn: Turn) {
        self.latencies.extend(turn.latencies);
        self.latencies.sort_unstable();
        self.elapsed += turn.elapsed;
        self.cpu += turn.cpu;
        self.api_cpu += turn.api_cpu;
    }

    fn quantile_ms(&self, of_thousand: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = self.latencies.get(last * of_thousand / 1_000);
        at.map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }

    #[allow(clippy::cast_precision_loss)]
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    #[allow(clippy::cast_precision_loss)]
    fn per_thousand(&self, cpu: f64) -> f64 {
        cpu * 1_000.0 / self.latencies.len() as f64
    }

    fn line(&self) -> String {
        format!(
            "{:4?} at {:2}: {:13}  p50 {:7.2} ms  p99 {:7.2} ms  {:7.0}/s  CPU {:6.2} s/1000, apiserver {:6.2}",
            self.work,
            self.connections,
            self.way,
            self.quantile_ms(500),
            self.quantile_ms(990),
            self.rate(),
            self.per_thousand(self.cpu),
            self.per_thousand(self.api_cpu),
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "work": format!("{:?}", self.work),
            "connections": self.connections,
            "way": self.way,
            "requests": self.latencies.len(),
            "p50_ms": self.quantile_ms(500),
            "p90_ms": self.quantile_ms(900),
            "p99_ms": self.quantile_ms(990),
            "per_second": self.rate(),
            "cpu_seconds_per_1000": self.per_thousand(self.cpu),
            "apiserver_cpu_seconds_per_1000": self.per_thousand(self.api_cpu),
        })
    }
}

impl Work {
    fn path(self) -> String {
        match self {
            Self::Get => format!("/api/v1/namespaces/{NAMESPACE}/configmaps/read"),
            Self::Post => format!("/api/v1/namespaces/{NAMESPACE}/configmaps"),
            Self::List => format!("/api/v1/namespaces/{NAMESPACE}/pods"),
        }
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

fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"value": "x".repeat(1_024)}})
}

fn client(config: &kube::Config) -> Result<kube::Client> {
    let mut config = config.clone();
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

async fn send(
    client: &kube::Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Vec<u8>> {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("accept", "application/json");
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(serde_json::to_vec(body)?)
        }
        None => Body::empty(),
    };
    let response = client.send(request.body(body)?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{path}: {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(body.to_vec())
}

async fn config(kubeconfig: &Path) -> Result<kube::Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// The kubeconfig of a gateway, with the credential that its plugin gives, once.
async fn bearer(kubeconfig: &Path, mut plugin: Command) -> Result<kube::Config> {
    let out = plugin.arg("credential").output()?;
    let error = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "no credential: {error}");
    let credential: Value = serde_json::from_slice(&out.stdout)?;
    let mut kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let user = kubeconfig.auth_infos.first_mut().context("no user")?;
    let user = user.auth_info.as_mut().context("no user")?;
    user.exec = None;
    let token = text(&credential["status"], "token")?;
    user.token = Some(token.to_owned().into());
    Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
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

/// Starts a process and returns what follows `ready` in the line that has it, wherever it is written.
fn start(command: &mut Command, ready: &'static str) -> Result<(Ended, String)> {
    let (reader, writer) = std::io::pipe()?;
    let child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    // The writer's ends belong to the child alone.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut is_ready = false;
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once(ready) {
                is_ready = true;
                let _ = sender.send(rest.to_owned());
            } else if !is_ready {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    });
    let child = Ended(child);
    let said = receiver.recv_timeout(Duration::from_secs(60));
    Ok((
        child,
        said.with_context(|| format!("{command:?} is not ready"))?,
    ))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("no {name} in {value}"))
}

fn tool(variable: &str) -> Result<PathBuf> {
    let dir = std::env::var_os(variable);
    Ok(dir
        .with_context(|| format!("{variable} is not set: run `make bench-kubernetes`"))?
        .into())
}

/// Where the binaries are that were built beside this.
fn binaries() -> Result<PathBuf> {
    Ok(target_directory()?.join("release"))
}

/// User and system time of processes, in seconds.
fn cpu_seconds(processes: &[u32]) -> Result<f64> {
    let mut ticks = 0_u32;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let fields = stat.rsplit_once(')').context("no stat")?.1;
        let mut fields = fields.split_whitespace().skip(11);
        for _ in 0..2 {
            ticks += fields.next().context("no time")?.parse::<u32>()?;
        }
    }
    // USER_HZ is 100 wherever Linux runs.
    Ok(f64::from(ticks) / 100.0)
}

fn resident_bytes(processes: &[u32]) -> Result<Vec<u64>> {
    let of = |process| -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kib.parse::<u64>()? * 1_024)
    };
    processes.iter().map(of).collect()
}

fn requests(connections: usize) -> usize {
    setting(
        "DAAS_BENCH_ROUND",
        if connections == 1 { 600 } else { 3_000 },
    )
}

fn setting(name: &str, default: usize) -> usize {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

const NAMESPACE: &str = "bench";
const PODS: usize = 1_000;
/// Each way is measured so often, one after the other.
const TURNS: usize = 3;
