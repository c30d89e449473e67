//! Processes, directories and kubectl binaries for the tests of the binaries.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(dead_code)] // each test binary compiles this for itself and uses a part of it

pub mod certificate;
pub mod cluster;
pub mod https;
pub mod kubernetes;
pub mod webhook;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `daas`, built with the tests.
pub const DAAS: &str = env!("CARGO_BIN_EXE_daas");
/// `daas-gateway`, built with the tests.
pub const GATEWAY: &str = env!("CARGO_BIN_EXE_daas-gateway");
/// `daas-nautilus`, built with the tests.
pub const NAUTILUS: &str = env!("CARGO_BIN_EXE_daas-nautilus");

/// A command that knows nothing of the user's own settings.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("DAAS_") || name_text.starts_with("KUBE") {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// `daas` with these arguments over a directory of its own.
pub fn daas(dir: &Path, args: &[&str]) -> Run {
    Run::of(
        command(DAAS)
            .env("DAAS_DIR", dir)
            .env("HOME", dir)
            .args(args),
    )
}

/// What a command that ended has said.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// The same with something on standard input.
    pub fn with_input(command: &mut Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read all of it is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Self::from(child.wait_with_output().unwrap())
    }

    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A process that is killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts one and waits until a line of its standard error contains `ready`.
    #[track_caller]
    pub fn start(mut command: Command, log: &Path, ready: &str) -> Self {
        let file = File::create(log).unwrap();
        let child = command
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut process = Self {
            child,
            log: log.to_owned(),
        };
        let begun = Instant::now();
        while !process.said().contains(ready) {
            if let Some(status) = process.child.try_wait().unwrap() {
                panic!("{command:?} ended with {status}:\n{}", process.said());
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{command:?} is not ready:\n{}",
                process.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What no process can do anything about.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits; its exit code.
    #[track_caller]
    pub fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it does not stop:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it writes to a pipe until it is killed, at least until `enough` says so.
    pub fn read_until(command: &mut Command, enough: impl Fn(&str) -> bool) -> String {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let (begun, mut text) = (Instant::now(), String::new());
        while !enough(&text) && begun.elapsed() < PATIENCE {
            if let Ok(bytes) = receiver.recv_timeout(Duration::from_millis(100)) {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `daas dev` over `dir`.
#[track_caller]
pub fn dev(dir: &Path) -> Process {
    // The first start takes a free port, later ones the same again.
    match dir.join("daas.toml").exists() {
        true => dev_with(dir, &[]),
        false => dev_with(dir, &["--listen", "127.0.0.1:0"]),
    }
}

/// `daas dev` over `dir` with further arguments.
#[track_caller]
pub fn dev_with(dir: &Path, args: &[&str]) -> Process {
    let mut command = command(DAAS);
    command.env("HOME", dir).arg("dev").arg("--dir").arg(dir);
    command.args(args);
    Process::start(
        command,
        &dir.with_extension("dev.log"),
        "export KUBECONFIG=",
    )
}

/// The three processes of a directory that was made by `daas dev --provision-only`.
pub struct Separate {
    dir: PathBuf,
    cluster_listen: String,
    gateway_listen: String,
    pub cluster: Option<Process>,
    pub nautilus: Option<Process>,
    pub gateway: Option<Process>,
}

impl Separate {
    /// Makes the directory and starts all three.
    #[track_caller]
    pub fn start(dir: &Path) -> Self {
        let mut all = Self::provision(dir);
        all.start_cluster();
        all.start_nautilus();
        all.start_gateway();
        all
    }

    /// Makes the directory and starts nothing.
    #[track_caller]
    pub fn provision(dir: &Path) -> Self {
        daas(dir, &["dev", "--provision-only"]).ok();
        Self {
            dir: dir.to_owned(),
            cluster_listen: free_address(),
            gateway_listen: free_address(),
            cluster: None,
            nautilus: None,
            gateway: None,
        }
    }

    #[track_caller]
    pub fn start_cluster(&mut self) {
        let mut command = self.command(DAAS);
        command
            .args(["memory-cluster", "--listen", &self.cluster_listen, "--dir"])
            .arg(self.dir.join("cluster"));
        let log = self.dir.with_extension("cluster.log");
        self.cluster = Some(Process::start(command, &log, "export KUBECONFIG="));
    }

    #[track_caller]
    pub fn start_nautilus(&mut self) {
        self.start_nautilus_until("executing on ");
    }

    /// Starts Nautilus and waits until it says `ready`.
    #[track_caller]
    pub fn start_nautilus_until(&mut self, ready: &str) {
        let mut command = self.command(NAUTILUS);
        command.arg("--dir").arg(&self.dir);
        let log = self.dir.with_extension("nautilus.log");
        self.nautilus = Some(Process::start(command, &log, ready));
    }

    #[track_caller]
    pub fn start_gateway(&mut self) {
        let mut command = self.command(GATEWAY);
        command
            .arg("--dir")
            .arg(&self.dir)
            .args(["--listen", &self.gateway_listen, "--kubeconfig"])
            .arg(self.dir.join("kubeconfig"));
        let log = self.dir.with_extension("gateway.log");
        self.gateway = Some(Process::start(command, &log, "serving "));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command.env("HOME", &self.dir);
        command
    }
}

/// An address that was free a moment ago.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The kubectl binaries to test with, by version.
///
/// They are in `$DAAS_TEST_KUBECTL_DIR`, where `make kubectl` puts them.
pub fn kubectls() -> Vec<(String, PathBuf)> {
    let dir = std::env::var_os("DAAS_TEST_KUBECTL_DIR");
    let dir =
        dir.expect("DAAS_TEST_KUBECTL_DIR is set: run `make test`, or `make kubectl` and set it");
    let found = ["1.32", "1.35"].map(|version| {
        let path = Path::new(&dir).join(format!("kubectl-{version}"));
        assert!(
            path.exists(),
            "{} is missing: run `make kubectl`",
            path.display()
        );
        (version.to_owned(), path)
    });
    found.to_vec()
}

const PATIENCE: Duration = Duration::from_secs(90);
