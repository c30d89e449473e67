//! Gateway and Nautilus over a real control plane, Nautilus with the account of `deploy/kubernetes/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::{self, ControlPlane};
use super::https::{Answer, Https};
use super::{DAAS, GATEWAY, NAUTILUS, Process, Run, command, daas, free_address, kubectls};

/// All of it, over a directory of its own.
pub struct World {
    scratch: tempfile::TempDir,
    pub cluster: ControlPlane,
    pub gateway: Option<Process>,
    pub nautilus: Option<Process>,
    pub second_nautilus: Option<Process>,
    listen: String,
}

impl World {
    /// A control plane with the manifests, and both services; the audit log is all that the policy of
    /// `deploy/kubernetes/` gives.
    pub fn start() -> Self {
        Self::start_with(&[], "")
    }

    /// The same with further arguments of kube-apiserver, and lines of the settings file's section `[gateway]`.
    pub fn start_with(arguments: &[&str], gateway: &str) -> Self {
        let policy = deploy("examples/audit-policy.yaml");
        let policy = format!("--audit-policy-file={}", policy.display());
        let all = std::iter::once(policy.as_str()).chain(arguments.iter().copied());
        let all: Vec<String> = all.map(|one| format!("--apiserver-arg={one}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut world = Self {
            scratch: tempfile::tempdir().unwrap(),
            cluster: ControlPlane::start(&all),
            gateway: None,
            nautilus: None,
            second_nautilus: None,
            listen: free_address(),
        };
        let manifests = deploy("");
        world
            .admin(&["apply", "-k", &manifests.to_string_lossy()])
            .ok();
        world.make_account();
        daas(&world.dir(), &["dev", "--provision-only"]).ok();
        let settings = world.dir().join("daas.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        assert!(text.contains("[gateway]\n"), "{text}");
        let text = text.replace("[gateway]\n", &format!("[gateway]\n{gateway}\n"));
        std::fs::write(&settings, text).unwrap();
        world.start_nautilus();
        world.start_gateway();
        world
    }

    /// The directory of ledger and keys.
    pub fn dir(&self) -> PathBuf {
        self.scratch.path().join("daas")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The kubeconfig of Nautilus's account.
    pub fn account(&self) -> PathBuf {
        self.path("nautilus.kubeconfig")
    }

    fn make_account(&self) {
        let script = deploy("kubeconfig.sh");
        let kubeconfig = Run::of(
            command(script)
                .env("PATH", self.path_with_kubectl())
                .arg(self.cluster.kubeconfig()),
        );
        super::certificate::write(self.account(), &kubeconfig.ok());
    }

    /// `PATH` with the kubectl of the tests as `kubectl`.
    fn path_with_kubectl(&self) -> std::ffi::OsString {
        let bin = self.path("bin");
        if !bin.exists() {
            std::fs::create_dir(&bin).unwrap();
            std::os::unix::fs::symlink(kubectl(), bin.join("kubectl")).unwrap();
        }
        let system = std::env::var_os("PATH").unwrap();
        let all = std::iter::once(bin).chain(std::env::split_paths(&system));
        std::env::join_paths(all).unwrap()
    }

    pub fn start_nautilus(&mut self) {
        let command = self.nautilus_of(&self.dir());
        let process = Process::start(command, &self.path("nautilus.log"), "executing on ");
        self.nautilus = Some(process);
    }

    /// Registers and starts another executor over the same ledger and bodies.
    pub fn start_second_nautilus(&mut self) {
        let (first, second) = (self.dir(), self.path("second"));
        std::fs::create_dir(&second).unwrap();
        std::fs::create_dir(second.join("keys")).unwrap();
        for shared in [
            "ledger",
            "blobs",
            "blob.key",
            "keys/admin.key",
            "keys/operator.key",
        ] {
            std::os::unix::fs::symlink(first.join(shared), second.join(shared)).unwrap();
        }
        let settings = std::fs::read_to_string(first.join("daas.toml")).unwrap();
        let settings: String = settings
            .lines()
            .filter(|line| !line.starts_with("executor"))
            .map(|line| format!("{line}\n"))
            .collect();
        super::certificate::write(second.join("daas.toml"), &settings);
        let passphrase = self.path("passphrase");
        super::certificate::write(passphrase.clone(), "correct horse battery staple\n");
        let passphrase = ["--passphrase-file", &passphrase.to_string_lossy()];
        for role in ["executor", "encryption"] {
            let key = second.join("keys").join(role).with_extension("key");
            let mut args = passphrase.to_vec();
            let key = key.to_string_lossy();
            args.extend(["key", "new", &key]);
            daas(&second, &args).ok();
        }
        let mut args = passphrase.to_vec();
        args.extend(["executor", "register"]);
        daas(&second, &args).ok();
        let mut command = self.nautilus_of(&second);
        command.args(passphrase);
        let process = Process::start(command, &self.path("second.log"), "executing on ");
        self.second_nautilus = Some(process);
    }

    fn nautilus_of(&self, dir: &Path) -> Command {
        let mut command = command(NAUTILUS);
        command
            .env("HOME", self.scratch.path())
            .args(["--dir".as_ref(), dir.as_os_str()])
            .args(["--kubeconfig".as_ref(), self.account().as_os_str()]);
        command
    }

    pub fn start_gateway(&mut self) {
        let mut command = command(GATEWAY);
        command
            .env("HOME", self.scratch.path())
            .args(["--dir".as_ref(), self.dir().as_os_str()])
            .args(["--listen", &self.listen, "--kubeconfig"])
            .arg(self.dir().join("kubeconfig"));
        self.gateway = Some(Process::start(
            command,
            &self.path("gateway.log"),
            "serving ",
        ));
    }

    /// `daas` over the directory.
    pub fn daas(&self, args: &[&str]) -> Run {
        daas(&self.dir(), args)
    }

    /// kubectl as the cluster's administrator.
    pub fn admin(&self, args: &[&str]) -> Run {
        self.cluster.kubectl(args, "")
    }

    /// What the administrator applies.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        self.cluster.kubectl(&["apply", "-f", "-"], manifest).ok();
    }

    /// A token with these rules (YAML) and further arguments of `daas token issue`; it has stake.
    #[track_caller]
    pub fn token(&self, rules: &str, args: &[&str]) -> Token<'_> {
        let file = self.path("rules.yaml");
        std::fs::write(&file, rules).unwrap();
        let key = self.dir().join("keys/gateway.key");
        let gateway = self
            .daas(&["key", "show", &key.to_string_lossy(), "-o", "name"])
            .ok();
        let file = file.to_string_lossy();
        let mut all = vec![
            "token", "issue", "--rules", &file, "--stake", "1SUI", "-o", "name",
        ];
        all.extend(["--delegate", gateway.trim()]);
        all.extend(args);
        let issued = self.daas(&all).ok();
        let id = issued.trim().strip_prefix("token/").unwrap().to_owned();
        let kubeconfig = self.path(&format!("{id}.kubeconfig"));
        let text = self.daas(&["kubeconfig", "--token", &id]).ok();
        std::fs::write(&kubeconfig, text).unwrap();
        let audience = [
            "credential",
            "--bearer",
            "--audience",
            &self.listen,
            "--token",
            &id,
        ];
        let bearer = self.daas(&audience).ok().trim().to_owned();
        Token {
            world: self,
            https: Https::of_kubeconfig(&kubeconfig),
            id,
            kubeconfig,
            bearer,
        }
    }

    /// Where the cluster's audit log ends, for [`World::log_since`]; what follows begins with an event of now.
    pub fn log_end(&self) -> usize {
        let length = std::fs::read(self.cluster.audit_log()).unwrap().len();
        self.admin(&["get", "--raw", "/version"]).ok();
        length
    }

    /// What the cluster has logged since, once it has logged everything up to now.
    #[track_caller]
    pub fn log_since(&self, begin: usize) -> String {
        let mark = format!("/version?mark={}", k3s_daas::types::RequestId::new());
        self.admin(&["get", "--raw", &mark]).ok();
        let begun = Instant::now();
        loop {
            let bytes = std::fs::read(self.cluster.audit_log()).unwrap();
            let text = String::from_utf8(bytes[begin..].to_vec()).unwrap();
            if let Some(at) = text.rfind(&mark)
                && let Some(length) = text[at..].find('\n')
            {
                return text[..=at + length].to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "the log does not go on");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `daas audit reconcile` against this part of the log; one clock, so there is no difference.
    pub fn reconcile(&self, log: &str, args: &[&str]) -> (i32, Value) {
        let mut command = command(DAAS);
        command
            .env("DAAS_DIR", self.dir())
            .env("HOME", self.scratch.path());
        command.args([
            "audit",
            "reconcile",
            "--cluster-audit",
            "-",
            "--clock-skew",
            "0s",
            "-o",
            "json",
        ]);
        // What was before this part of the log is not held against it.
        let first: Value =
            serde_json::from_str(log.lines().next().unwrap_or_default()).unwrap_or_default();
        if let Some(since) = first["stageTimestamp"].as_str() {
            command.args(["--since", since]);
        }
        let run = Run::with_input(command.args(args), log);
        let json = serde_json::from_str(&run.out);
        (run.code, json.unwrap_or_else(|_| panic!("{run:?}")))
    }
}

/// A seal token, and ways to use it.
pub struct Token<'a> {
    world: &'a World,
    pub https: Https,
    pub id: String,
    pub kubeconfig: PathBuf,
    pub bearer: String,
}

impl Token<'_> {
    /// Whom the cluster sees.
    pub fn user(&self) -> String {
        format!("seal:{}", self.id)
    }

    pub fn kubectl(&self, args: &[&str]) -> Run {
        cluster::kubectl(&self.kubeconfig, args, "")
    }

    /// A request through the gateway, its target as it stands.
    pub fn send(&self, method: &str, target: &str, body: &str) -> Answer {
        self.send_with(method, target, &[], body)
    }

    /// The same with further headers, which come first.
    pub fn send_with(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.https
            .send_as(&self.bearer, method, target, headers, body)
    }
}

/// A file of `deploy/kubernetes/`.
pub fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/kubernetes")
        .join(name)
}

/// The newest kubectl of the tests.
pub fn kubectl() -> PathBuf {
    kubectls().pop().unwrap().1
}

/// Rules that allow everything in one namespace.
pub fn everything_in(namespace: &str) -> String {
    let subresources = [
        "*",
        "*/status",
        "*/scale",
        "*/log",
        "*/exec",
        "*/attach",
        "*/portforward",
        "*/proxy",
        "*/eviction",
        "*/binding",
        "*/token",
        "*/finalize",
        "*/ephemeralcontainers",
    ];
    format!(
        "- verbs: ['*']\n  apiGroups: ['*']\n  resources: ['{}']\n  namespaces: ['{namespace}']\n",
        subresources.join("', '")
    )
}

const PATIENCE: Duration = Duration::from_secs(30);
