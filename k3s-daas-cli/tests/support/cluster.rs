//! A real Kubernetes control plane with kwok as the kubelet: the programs of `tests/cluster`.
//!
//! Tests that use it have `real_cluster` in their names, so that they can be left out where Go is missing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

use super::{DAAS, Process, Run, command, kubectls};

/// One that runs. It ends when dropped, or else with this process.
pub struct ControlPlane {
    program: Child,
    pipes: Mutex<Pipes>,
    ready: Value,
}

impl ControlPlane {
    /// The one that all tests of a binary share, started by the first to ask.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Starts one of its own with these arguments, such as `--nodes=3` or `--apiserver-arg=--max-requests-inflight=2`.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("main");
        assert!(
            test == "main" || test.contains("real_cluster"),
            "{test} needs `real_cluster` in its name, to be left out where Go is missing"
        );
        let mut program = command(binaries().join("control-plane"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipes = Pipes {
            commands: program.stdin.take(),
            answers: BufReader::new(program.stdout.take().unwrap()),
        };
        let ready = pipes.answer();
        Self {
            program,
            pipes: Mutex::new(pipes),
            ready,
        }
    }

    /// Kubeconfig of a user in group `system:masters`.
    pub fn kubeconfig(&self) -> &Path {
        self.path("kubeconfig")
    }

    /// What kube-apiserver saw: one JSON event a line, of level Metadata.
    pub fn audit_log(&self) -> &Path {
        self.path("auditLog")
    }

    /// Where its certificates (`pki`), logs (`logs`) and data are.
    pub fn dir(&self) -> &Path {
        self.path("dir")
    }

    /// URL of kube-apiserver.
    pub fn server(&self) -> &str {
        self.ready["server"].as_str().unwrap()
    }

    /// The process of a component, or of the program itself (`control-plane`), as it was at the start.
    pub fn pid(&self, component: &str) -> u64 {
        self.ready["pids"][component].as_u64().unwrap()
    }

    /// URL of the admission webhook, with `--webhook`; see `control-plane --help`.
    pub fn webhook(&self) -> &str {
        self.ready["webhook"].as_str().unwrap()
    }

    /// What a component has said.
    pub fn log(&self, component: &str) -> String {
        std::fs::read_to_string(self.dir().join("logs").join(format!("{component}.log"))).unwrap()
    }

    /// All of these processes.
    pub fn pids(&self) -> Vec<u64> {
        let pids = self.ready["pids"].as_object().unwrap();
        pids.values().map(|pid| pid.as_u64().unwrap()).collect()
    }

    /// `restart`, `stop`, `kill`, `start` or `replace` (kill and start) a component such as `kube-apiserver`;
    /// returns when that is done.
    ///
    /// Whoever does this to a shared one does it to all tests.
    #[track_caller]
    pub fn tell(&self, what: &str, component: &str) {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.commands.as_mut().unwrap(), "{what} {component}").unwrap();
        let answer = pipes.answer();
        assert!(answer.get("error").is_none(), "{answer}");
    }

    /// The newest kubectl as the administrator, with standard input.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Run {
        kubectl(self.kubeconfig(), arguments, input)
    }

    /// `daas dev` over `dir` with this cluster; its token may do everything, `dir/kubeconfig` is for kubectl.
    #[track_caller]
    pub fn dev(&self, dir: &Path) -> Process {
        let mut command = command(DAAS);
        command
            .env("HOME", dir)
            .env("KUBECONFIG", self.kubeconfig())
            .args(["dev", "--cluster", "current", "--bind", "cluster-admin"])
            .args(["--listen", "127.0.0.1:0", "--dir"])
            .arg(dir);
        let log = dir.with_extension("dev.log");
        Process::start(command, &log, "export KUBECONFIG=")
    }

    fn path(&self, name: &str) -> &Path {
        Path::new(self.ready[name].as_str().unwrap())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let pipes = self.pipes.get_mut();
        drop(
            pipes
                .unwrap_or_else(PoisonError::into_inner)
                .commands
                .take(),
        );
        let _ = self.program.wait();
    }
}

/// The newest kubectl with a kubeconfig, and standard input.
pub fn kubectl(kubeconfig: &Path, arguments: &[&str], input: &str) -> Run {
    Run::with_input(&mut kubectl_command(kubeconfig, arguments), input)
}

/// The newest kubectl with a kubeconfig, not started yet.
pub fn kubectl_command(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let (_, program) = kubectls().pop().unwrap();
    let mut command = command(program);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", kubeconfig.parent().unwrap())
        .args(arguments);
    command
}

/// Where `make cluster` puts the programs.
fn binaries() -> PathBuf {
    let dir = std::env::var_os("DAAS_TEST_CLUSTER_DIR").map(PathBuf::from);
    let dir = dir.expect(
        "DAAS_TEST_CLUSTER_DIR is set: run `make test`, or `make cluster` and set it to what that prints",
    );
    assert!(
        dir.join("control-plane").exists() && dir.join("kwok").exists(),
        "{} lacks control-plane or kwok: run `make cluster`",
        dir.display()
    );
    dir
}

struct Pipes {
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Pipes {
    #[track_caller]
    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(
            !line.is_empty(),
            "the control plane ended; it says why above"
        );
        serde_json::from_str(&line).unwrap()
    }
}
