//! `daas top`, printed and on a real terminal.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k3s_daas_cli::settings::{self, Key};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use support::{DAAS, Run, Separate, command, daas, free_address};

#[test]
fn what_the_services_do_is_seen_and_what_is_missing_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = measured(&dir);
    let server = services.server();
    let mut top = top(&dir);
    top.args(["--once", "--every", "3s", "-o", "json"]);
    let looking = top.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(800));
    for _ in 0..6 {
        ask(&dir, &server);
    }
    let said = looking.wait_with_output().unwrap();
    let seen: Value = serde_json::from_slice(&said.stdout).unwrap();
    let (gateway, nautilus, ledger) = (&seen["gateway"], &seen["nautilus"], &seen["ledger"]);
    for part in [gateway, nautilus, ledger] {
        assert!(part["missing"].is_null(), "{seen}");
    }
    assert!(gateway["requests_per_s"].as_f64().unwrap() > 0.5, "{seen}");
    assert!(
        gateway["outcomes_per_s"]["answered"].as_f64().unwrap() > 0.5,
        "{seen}"
    );
    assert_eq!(gateway["not_ready"].as_array().unwrap().len(), 0, "{seen}");
    assert!(nautilus["executed_per_s"].as_f64().unwrap() > 0.5, "{seen}");
    assert_eq!(nautilus["cluster_reachable"], true);
    let stage = |part: &Value, name: &str| {
        let mut stages = part["stages"].as_array().unwrap().iter();
        stages.find(|stage| stage["stage"] == name).unwrap().clone()
    };
    for stage in [stage(gateway, "total"), stage(nautilus, "cluster")] {
        let (p50, p99) = (&stage["p50_ms"], &stage["p99_ms"]);
        assert!(
            p50.as_f64().unwrap() > 0.0 && p50.as_f64() <= p99.as_f64(),
            "{stage}"
        );
        assert!(stage["per_s"].as_f64().unwrap() > 0.5, "{stage}");
    }
    let executor = &ledger["executors"][0];
    assert_eq!(executor["status"], "eligible");
    assert!(executor["silent_ms"].as_u64().unwrap() < 10_000, "{seen}");
    // The user's is used most, and comes first.
    assert!(
        ledger["tokens"][0]["requests_per_s"].as_f64().unwrap() > 0.5,
        "{seen}"
    );
    assert_eq!(ledger["tokens"][0]["stake_mist"], 10_000_000_000_u64);
    assert!(
        seen["disk"][0]["free_bytes"].as_f64().unwrap() > 0.0,
        "{seen}"
    );

    services.nautilus.take().unwrap().kill();
    let text = once(&dir, &[]).ok();
    for says in [
        "requests/s",
        "STAGE",
        "refused",
        "EXECUTOR",
        "TOKEN",
        "10 SUI",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // Nothing but the ledger.
    let alone = scratch.path().join("alone");
    daas(&alone, &["dev", "--provision-only"]).ok();
    let text = once(&alone, &[]).ok();
    for says in [
        "`gateway.metrics_listen` is not set",
        "`nautilus.metrics_listen` is not set",
        "eligible",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // Nothing but a service.
    let nowhere = scratch.path().join("nowhere");
    std::fs::create_dir(&nowhere).unwrap();
    let address = metrics(&dir, "gateway.metrics_listen");
    let text = once(&nowhere, &["--gateway", &address]).ok();
    assert!(
        text.contains("requests/s") && text.contains("there is no ledger"),
        "{text}"
    );
    let nothing = once(&nowhere, &[]);
    assert_eq!(nothing.code, 5, "{nothing:?}");
    for (arguments, says) in [
        (&["top"][..], "no terminal"),
        (&["top", "-o", "json"], "add --once"),
    ] {
        let refused = daas(&dir, arguments);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains(says), "{refused:?}");
    }
}

#[test]
fn what_a_stranger_says_does_nothing_to_the_terminal() {
    let scratch = tempfile::tempdir().unwrap();
    let sample = "daas_gateway_requests_total 1\n";
    let hostile = format!(
        "{sample}daas_gateway_in_flight NaN\ndaas_gateway_pending 1e308\ndaas_gateway_watches -5\n\
         daas_gateway_ready{{check=\"\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\"}} 0\n\
         daas_disk_free_bytes{{at=\"a\\nb\u{1b}c\"}} 1e300\n\
         daas_gateway_stage_seconds_bucket{{stage=\"{}\",le=\"-Inf\"}} 5\n\
         daas_gateway_stage_seconds_bucket{{stage=\"x\",le=\"1\"}} -7\n",
        "s".repeat(100_000)
    );
    let begun = Instant::now();
    let address = stranger(move |out| {
        let length = hostile.len();
        let _ = write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{hostile}"
        );
    });
    let run = once(scratch.path(), &["--gateway", &address]);
    for control in run.ok().chars().filter(|char| char.is_control()) {
        assert_eq!(control, '\n');
    }
    let json = once(scratch.path(), &["--gateway", &address, "-o", "json"]).ok();
    let seen: Value = serde_json::from_str(&json).unwrap();
    assert!(seen["gateway"]["in_flight"].is_null(), "{seen}");
    assert!(
        !json.contains('\u{1b}') && !json.contains("u001b"),
        "{json}"
    );

    let endless = stranger(|out| {
        let _ = write!(out, "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n");
        while out.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let silent = stranger(|_| std::thread::sleep(Duration::from_secs(30)));
    let no_http = stranger(|out| {
        let _ = out.write_all(b"SSH-2.0-\x1b[2J\r\n\r\n");
    });
    let refuses = stranger(|out| {
        let _ = out.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    });
    for (address, says) in [
        (&endless, "longer than 4 MiB"),
        (&silent, "no answer within 4 s"),
        (&refuses, "it answers 503"),
        (&no_http, "invalid"),
    ] {
        let run = once(scratch.path(), &["--gateway", address]);
        assert_eq!(run.code, 5, "{run:?}");
        assert!(run.out.contains(says), "{says}: {run:?}");
        assert!(!run.out.contains('\u{1b}'), "{run:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn on_a_terminal_it_draws_and_gives_it_back_however_it_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    daas(&dir, &["dev", "--provision-only"]).ok();
    for end in ["q", "\u{3}", "TERM", "HUP"] {
        let mut terminal = Terminal::start(&dir);
        terminal.shows("EXECUTOR");
        terminal.shows("eligible");
        assert!(!terminal.echoes(), "{end:?}");
        // It looks once a minute, so all that comes now is for the new size, key after key.
        let before = terminal.said().len();
        terminal.resize(60, 20);
        terminal.shows_after(before, "EXECUTOR");
        terminal.press("\u{1b}[B");
        for (columns, rows) in [(1, 1), (3, 200), (400, 2), (80, 24)] {
            terminal.resize(columns, rows);
            std::thread::sleep(Duration::from_millis(50));
        }
        match end.len() {
            1 => terminal.press(end),
            _ => terminal.signal(end),
        }
        assert_eq!(terminal.ends(), Some(0), "{end:?}: {:?}", terminal.said());
        let said = terminal.said();
        assert!(said.starts_with("\u{1b}[?1049h"), "{end:?}: {said:?}");
        assert!(
            said.contains("\u{1b}[?1049l") && said.contains("\u{1b}[?25h"),
            "{end:?}: {said:?}"
        );
        assert!(terminal.echoes(), "{end:?}");
    }
}

/// The services with their metrics.
fn measured(dir: &Path) -> Separate {
    let mut services = Separate::provision(dir);
    let (gateway, nautilus) = (free_address(), free_address());
    let set = [
        (Key::GatewayMetricsListen, gateway.as_str()),
        (Key::NautilusMetricsListen, nautilus.as_str()),
    ];
    let set = set.map(|(key, value)| (key, value.into()));
    settings::update(&dir.join("daas.toml"), &set).unwrap();
    services.start_cluster();
    services.start_nautilus();
    services.start_gateway();
    services
}

fn metrics(dir: &Path, key: &str) -> String {
    let all = daas(dir, &["config", "show", "-o", "json"]).ok();
    let all: Value = serde_json::from_str(&all).unwrap();
    let mut all = all.as_array().unwrap().iter();
    let found = all.find(|entry| entry["key"] == key).unwrap();
    found["value"].as_str().unwrap().to_owned()
}

fn top(dir: &Path) -> Command {
    let mut top = command(DAAS);
    top.env("HOME", dir).env("DAAS_DIR", dir).arg("top");
    top
}

fn once(dir: &Path, arguments: &[&str]) -> Run {
    Run::of(
        top(dir)
            .args(["--once", "--every", "200ms"])
            .args(arguments),
    )
}

fn ask(dir: &Path, server: &str) {
    let mut ask = command(DAAS);
    ask.env("HOME", dir).env("DAAS_DIR", dir);
    ask.env("DAAS_GATEWAY_SERVER", server);
    ask.args(["request", "GET", "/api/v1/namespaces/default/pods"]);
    Run::of(&mut ask).ok();
}

/// Something else that listens where metrics should be.
fn stranger(answer: impl Fn(&mut dyn std::io::Write) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            answer(&mut stream);
        }
    });
    address
}

/// `daas top` on a terminal of its own.
struct Terminal {
    master: File,
    slave: File,
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(dir: &Path) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let mut options = File::options();
        let noctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        options.read(true).write(true).custom_flags(noctty);
        let slave = options.open(path.to_str().unwrap()).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        // Of a session of its own, so that it is told of other sizes.
        let mut top = command("setsid");
        top.args(["-c", DAAS, "top", "--every", "1m"]);
        top.env("HOME", dir)
            .env("DAAS_DIR", dir)
            .env("TERM", "xterm");
        top.stdin(end()).stdout(end()).stderr(end());
        let mut terminal = Self {
            said: Arc::default(),
            child: {
                resize(&master, 100, 30);
                top.spawn().unwrap()
            },
            master: File::from(master),
            slave,
        };
        let (mut master, said) = (terminal.master.try_clone().unwrap(), terminal.said.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = master.read(&mut buffer) {
                said.lock().unwrap().extend(&buffer[..read]);
            }
        });
        assert_eq!(terminal.child.try_wait().unwrap(), None);
        terminal
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn shows(&self, what: &str) {
        self.shows_after(0, what);
    }

    #[track_caller]
    fn shows_after(&self, begin: usize, what: &str) {
        let begun = Instant::now();
        while !self.said().get(begin..).unwrap_or_default().contains(what) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &self.child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    fn resize(&self, columns: u16, rows: u16) {
        resize(&self.master, columns, rows);
    }

    /// Whether what is typed is shown, a line at a time: not while something draws.
    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    fn ends(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it said last is on its way.
                std::thread::sleep(Duration::from_millis(100));
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(master: impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).unwrap();
}

const PATIENCE: Duration = Duration::from_secs(30);
