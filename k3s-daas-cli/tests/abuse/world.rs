//! A gateway in a process of its own, with the ledger, Nautilus and cluster behind it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{self, DAAS, GATEWAY, NAUTILUS, Process, command, daas, free_address};
use crate::wire::Client;

pub struct World {
    scratch: tempfile::TempDir,
    listen: String,
    gateway_id: u32,
    _cluster: Option<Process>,
    _nautilus: Process,
    _gateway: Process,
}

impl World {
    /// On a memory cluster; `settings` are lines of `[gateway]`.
    pub fn on_memory_cluster(settings: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let mut command = command(DAAS);
        command.env("HOME", scratch.path()).args([
            "memory-cluster",
            "--no-authorization",
            "--listen",
            "127.0.0.1:0",
            "--kubeconfig",
        ]);
        let kubeconfig = scratch.path().join("cluster.kubeconfig");
        command.arg(&kubeconfig);
        let log = scratch.path().join("cluster.log");
        let cluster = Process::start(command, &log, "export KUBECONFIG=");
        Self::start(scratch, &dir, &kubeconfig, Some(cluster), settings)
    }

    /// On the API server at this address, which speaks plain HTTP.
    pub fn on(upstream: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let kubeconfig = scratch.path().join("cluster.kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters: [{{name: a, cluster: {{server: 'http://{upstream}'}}}}]\n\
             users: [{{name: a, user: {{}}}}]\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
        );
        support::certificate::write(kubeconfig.clone(), &text);
        Self::start(scratch, &dir, &kubeconfig, None, "")
    }

    fn start(
        scratch: tempfile::TempDir,
        dir: &Path,
        kubeconfig: &Path,
        cluster: Option<Process>,
        settings: &str,
    ) -> Self {
        daas(dir, &["dev", "--provision-only"]).ok();
        let file = dir.join("daas.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        // The table is there already if it has anything in it.
        let text = match text.contains("[gateway]\n") {
            true => text.replace("[gateway]\n", &format!("[gateway]\n{settings}")),
            false => format!("{text}\n[gateway]\n{settings}"),
        };
        std::fs::write(&file, text).unwrap();
        let log = |name: &str| scratch.path().join(name).with_extension("log");
        let service = |program: &str| {
            let mut command = command(program);
            command.env("HOME", scratch.path()).arg("--dir").arg(dir);
            command
        };
        let mut nautilus = service(NAUTILUS);
        nautilus.arg("--kubeconfig").arg(kubeconfig);
        let nautilus = Process::start(nautilus, &log("nautilus"), "executing on ");
        let listen = free_address();
        let mut gateway = service(GATEWAY);
        gateway.args(["--listen", &listen]);
        let gateway = Process::start(gateway, &log("gateway"), "serving ");
        Self {
            gateway_id: gateway.id(),
            scratch,
            listen,
            _cluster: cluster,
            _nautilus: nautilus,
            _gateway: gateway,
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.scratch.path().join("daas")
    }

    /// What the gateway has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("gateway.log")).unwrap()
    }

    /// The credential of a new token that may do everything in a namespace.
    pub fn bearer(&self, namespace: &str) -> String {
        self.bearer_for(&self.listen, namespace)
    }

    /// The same for another gateway.
    pub fn bearer_for(&self, audience: &str, namespace: &str) -> String {
        let dir = self.dir();
        let rules = self.scratch.path().join("rules.yaml");
        std::fs::write(&rules, support::kubernetes::everything_in(namespace)).unwrap();
        let key = dir.join("keys/gateway.key");
        let gateway = daas(&dir, &["key", "show", &key.to_string_lossy(), "-o", "name"]);
        let gateway = gateway.ok();
        let rules = rules.to_string_lossy();
        let issued = daas(
            &dir,
            &[
                "token",
                "issue",
                "--rules",
                &rules,
                "--stake",
                "1SUI",
                "-o",
                "name",
                "--delegate",
                gateway.trim(),
            ],
        );
        let issued = issued.ok();
        let id = issued.trim().strip_prefix("token/").unwrap();
        let credential = [
            "credential",
            "--bearer",
            "--audience",
            audience,
            "--token",
            id,
        ];
        daas(&dir, &credential).ok().trim().to_owned()
    }

    pub fn client(&self) -> Client {
        let ca = std::fs::read(self.dir().join("gateway/ca.crt")).unwrap();
        Client::new(self.listen.parse().unwrap(), &ca)
    }

    /// Everything that happened on the ledger, oldest first.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let events = daas(&self.dir(), &["events", "-o", "json"]).ok();
        let events = events
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        events.collect()
    }

    /// Bytes of memory that the gateway has.
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway_id)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() << 10
    }

    /// How long the gateway has been running on a processor.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.gateway_id)).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Descriptors that the gateway has open.
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.gateway_id));
        open.unwrap().count()
    }

    /// Sets how many it may have open; how many it might before.
    pub fn limit_descriptors(&self, current: Option<u64>) -> Option<u64> {
        let process = Pid::from_raw(self.gateway_id as i32);
        let before = prlimit(
            process,
            Resource::Nofile,
            Rlimit {
                current,
                maximum: getrlimit(Resource::Nofile).maximum,
            },
        );
        before.unwrap().current
    }
}
