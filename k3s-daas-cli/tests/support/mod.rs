//! Processes, directories and kubectl binaries for the tests of the binaries.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(dead_code)] // each test binary compiles this for itself and uses a part of it

pub mod certificate;
pub mod cluster;
pub mod collector;
pub mod https;
pub mod kubernetes;
pub mod webhook;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
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
    pub fn start(command: Command, log: &Path, ready: &str) -> Self {
        let mut process = Self::start_perhaps(command, log, ready);
        if let Some(status) = process.ended() {
            panic!("it ended with {status}:\n{}", process.said());
        }
        process
    }

    /// The same of one that may end before it is ready.
    #[track_caller]
    pub fn start_perhaps(mut command: Command, log: &Path, ready: &str) -> Self {
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
        while !process.said().contains(ready) && process.ended().is_none() {
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

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended, for as long as `patience`.
    pub fn ends_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < patience && self.ended().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.ended()
    }

    /// Sends it a signal, such as `STOP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let mut kill = Command::new("kill");
        let status = kill.args(["-s", name, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Whether it stands still, as after `STOP`.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // The name before the state may have blanks and parentheses of its own.
        let state = stat
            .ok()
            .and_then(|stat| Some(stat.rsplit_once(") ")?.1.chars().next()));
        state.flatten() == Some('T')
    }

    /// What no process can do anything about.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits; its exit code.
    #[track_caller]
    pub fn stop(mut self) -> i32 {
        self.signal("TERM");
        match self.ends_within(PATIENCE) {
            Some(status) => status.code().unwrap_or(-1),
            None => panic!("it does not stop:\n{}", self.said()),
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
    /// Kubeconfig of another cluster than that of the directory.
    kubeconfig: Option<PathBuf>,
    /// Variables of the programs, by program.
    environment: Vec<(&'static str, &'static str, PathBuf)>,
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
        Self::over(dir)
    }

    /// Those of a directory that is there, none of which is started.
    pub fn over(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            cluster_listen: free_address(),
            gateway_listen: free_address(),
            kubeconfig: None,
            environment: Vec::new(),
            cluster: None,
            nautilus: None,
            gateway: None,
        }
    }

    /// Nautilus is to execute on this cluster when it is started next.
    pub fn use_cluster(&mut self, kubeconfig: &Path) {
        self.kubeconfig = Some(kubeconfig.to_owned());
    }

    /// One of the programs is to have these variables when it is started next.
    pub fn set_environment(
        &mut self,
        program: &'static str,
        variables: &[(&'static str, PathBuf)],
    ) {
        let variables = variables.iter().cloned();
        self.environment
            .extend(variables.map(|(name, value)| (program, name, value)));
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
        self.start_nautilus_until(EXECUTING);
    }

    /// Starts Nautilus and waits until it says `ready`.
    #[track_caller]
    pub fn start_nautilus_until(&mut self, ready: &str) {
        let (command, log) = self.nautilus_command();
        self.nautilus = Some(Process::start(command, &log, ready));
    }

    /// Starts Nautilus with these crash points, one of which may end it before it is ready.
    #[track_caller]
    pub fn start_nautilus_armed(&mut self, points: &str) {
        let (mut command, log) = self.nautilus_command();
        command.env("FAILPOINTS", points);
        self.nautilus = Some(Process::start_perhaps(command, &log, EXECUTING));
    }

    fn nautilus_command(&self) -> (Command, PathBuf) {
        let mut command = self.command(NAUTILUS);
        command.arg("--dir").arg(&self.dir);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        (command, self.dir.with_extension("nautilus.log"))
    }

    #[track_caller]
    pub fn start_gateway(&mut self) {
        let (command, log) = self.gateway_command();
        self.gateway = Some(Process::start(command, &log, SERVING));
    }

    /// Starts the gateway with these crash points, one of which may end it before it is ready.
    #[track_caller]
    pub fn start_gateway_armed(&mut self, points: &str) {
        let (mut command, log) = self.gateway_command();
        command.env("FAILPOINTS", points);
        self.gateway = Some(Process::start_perhaps(command, &log, SERVING));
    }

    /// Where everything is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// URL of the gateway.
    pub fn server(&self) -> String {
        format!("https://{}", self.gateway_listen)
    }

    fn gateway_command(&self) -> (Command, PathBuf) {
        let mut command = self.command(GATEWAY);
        command
            .arg("--dir")
            .arg(&self.dir)
            .args(["--listen", &self.gateway_listen, "--kubeconfig"])
            .arg(self.dir.join("kubeconfig"));
        (command, self.dir.with_extension("gateway.log"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command.env("HOME", &self.dir);
        let environment = self.environment.iter();
        for (_, name, value) in environment.filter(|(known, ..)| *known == program) {
            command.env(name, value);
        }
        command
    }
}

/// An address that was free a moment ago.
///
/// Its port is none that outgoing connections get: one of those, perhaps of the test's own client that looks for the
/// server, would keep it from being listened on again.
pub fn free_address() -> String {
    use std::hash::BuildHasher as _;
    // Random, for there are other tests.
    let random = std::hash::RandomState::new().hash_one(std::process::id());
    let first = u16::try_from(random % 20_000).unwrap();
    let mut ports = (0..20_000).map(|next| 10_000 + (first + next) % 20_000);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = ports.find(is_free).expect("a free port");
    format!("127.0.0.1:{port}")
}

/// What is answered to a GET over plain HTTP, head and all; nothing if nobody listens.
pub fn http(address: &str, path: &str) -> String {
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return String::new();
    };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
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

/// What Nautilus says when it is ready.
const EXECUTING: &str = "executing on ";
/// What the gateway says when it is ready.
const SERVING: &str = "serving ";
const PATIENCE: Duration = Duration::from_secs(90);
