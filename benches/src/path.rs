//! The whole path beside others to the same API server: processes, clients, what they do and how it is measured.

#![allow(clippy::print_stdout)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::target_directory;

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// One ConfigMap with 1 KiB of data.
    Get,
    /// A new one of the same size.
    Post,
    /// 1,000 pods, about 3 MB.
    List,
}

/// A way to an API server.
pub struct Way {
    /// What it is called in results.
    pub name: &'static str,
    /// What its client is made of.
    pub config: kube::Config,
    /// Processes between client and API server.
    pub processes: Vec<u32>,
}

/// Ways to the same API server.
pub struct Ways {
    /// The last one is through the ledger.
    pub ways: Vec<Way>,
    /// The process that all of them end at.
    pub api_server: u32,
    names: AtomicUsize,
}

impl Ways {
    /// Ways to the API server of that process.
    #[must_use]
    pub fn new(ways: Vec<Way>, api_server: u32) -> Self {
        let names = AtomicUsize::new(0);
        Self {
            ways,
            api_server,
            names,
        }
    }

    /// The same work by each way, in turns.
    ///
    /// # Errors
    /// If any request fails.
    pub async fn measure(
        &self,
        work: Work,
        connections: usize,
        count: usize,
    ) -> Result<Vec<Measured>> {
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

    /// What gateway and Nautilus hold of memory after so many requests, with a credential that `fresh` gives ever anew: one is
    /// good for ten minutes.
    ///
    /// # Errors
    /// If any request fails.
    pub async fn endure(
        &self,
        count: usize,
        fresh: impl AsyncFn() -> Result<kube::Config>,
    ) -> Result<Value> {
        let way = self.ways.last().context("no way")?;
        let before = resident_bytes(&way.processes)?;
        let mut elapsed = Duration::ZERO;
        let mut done = 0;
        while done < count {
            let part = (count - done).min(PART);
            let way = Way {
                name: way.name,
                config: fresh().await?,
                processes: way.processes.clone(),
            };
            elapsed += self.turn(&way, Work::Get, 32, part).await?.elapsed;
            done += part;
        }
        let after = resident_bytes(&way.processes)?;
        // What is freed may be given back a moment later, and old answers are pruned.
        Ok(json!({
            "requests": count,
            "seconds": elapsed.as_secs_f64(),
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

/// What was measured of one way.
pub struct Measured {
    /// Which way.
    pub way: &'static str,
    /// What was done.
    pub work: Work,
    /// How many at once.
    pub connections: usize,
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

    /// A quantile of the latencies, in thousandths of them.
    #[must_use]
    pub fn quantile_ms(&self, of_thousand: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = self.latencies.get(last * of_thousand / 1_000);
        at.map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
    }

    #[allow(clippy::cast_precision_loss)]
    /// Requests a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
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

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> Value {
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
    /// Where it is done.
    #[must_use]
    pub fn path(self) -> String {
        match self {
            Self::Get => format!("/api/v1/namespaces/{NAMESPACE}/configmaps/read"),
            Self::Post => format!("/api/v1/namespaces/{NAMESPACE}/configmaps"),
            Self::List => format!("/api/v1/namespaces/{NAMESPACE}/pods"),
        }
    }
}

/// A process that ends with this.
pub struct Ended(pub Child);

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

/// One of 1 KiB.
#[must_use]
pub fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"value": "x".repeat(1_024)}})
}

/// A client that asks once.
///
/// # Errors
/// If the configuration is not good.
pub fn client(config: &kube::Config) -> Result<kube::Client> {
    let mut config = config.clone();
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

/// The body of what is answered.
///
/// # Errors
/// If it is no success.
pub async fn send(
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

/// One of our programs, which lies beside the benchmarks, over the directory `daas` in that one.
///
/// # Errors
/// If nobody knows where the benchmarks lie.
pub fn ours(name: &str, scratch: &Path) -> Result<Command> {
    let mut command = Command::new(target_directory()?.join("release").join(name));
    command
        .env("HOME", scratch)
        .env("DAAS_DIR", scratch.join("daas"));
    for (name, _) in std::env::vars_os() {
        // Meant for this, and nothing that they know.
        if name.to_string_lossy().starts_with("DAAS_BENCH_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// A kubeconfig with its credential.
///
/// # Errors
/// If it is none.
pub async fn config(kubeconfig: &Path) -> Result<kube::Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// The kubeconfig of a gateway, with the credential that its plugin gives, once.
///
/// # Errors
/// If the plugin gives none.
pub async fn bearer(kubeconfig: &Path, mut plugin: Command) -> Result<kube::Config> {
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

/// Starts a process and returns what follows `ready` in the line that has it, wherever it is written.
///
/// # Errors
/// If it is not ready within a minute.
pub fn start(command: &mut Command, ready: &'static str) -> Result<(Ended, String)> {
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

/// A member of an object.
///
/// # Errors
/// If it is not there.
pub fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("no {name} in {value}"))
}

/// User and system time of processes, in seconds.
///
/// # Errors
/// If one is gone.
pub fn cpu_seconds(processes: &[u32]) -> Result<f64> {
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

/// What each process has in memory.
///
/// # Errors
/// If one is gone.
pub fn resident_bytes(processes: &[u32]) -> Result<Vec<u64>> {
    let of = |process| -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kib.parse::<u64>()? * 1_024)
    };
    processes.iter().map(of).collect()
}

/// A number from the environment.
#[must_use]
pub fn setting(name: &str, default: usize) -> usize {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// The namespace of all that is measured.
pub const NAMESPACE: &str = "bench";
/// Each way is measured so often, one after the other.
const TURNS: usize = 3;
/// Requests with one credential.
const PART: usize = 50_000;
