//! The executor's journal lost, emptied or another's: nothing is executed twice, and nothing is made in silence.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{NAUTILUS, Process, Run, Separate, command, daas};

/// kill -9 while a write is at the cluster, and the journal is gone.
#[test]
fn a_write_under_a_lost_journal_is_not_executed_again() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Separate::provision(&dir);
    let cluster = Silent::start(&dir);
    running.start_nautilus();
    running.start_gateway();
    let object = dir.join("configmap.json");
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"once"}}"#;
    std::fs::write(&object, text).unwrap();
    let asking = {
        let (dir, object) = (dir.clone(), object.to_string_lossy().into_owned());
        std::thread::spawn(move || daas(&dir, &["request", "POST", CONFIGMAPS, "-f", &object]))
    };
    cluster.wait_for_a_write();
    running.nautilus.take().unwrap().kill();
    let journal = dir.join("nautilus/journal.db");
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", journal.display())).ok();
    }

    refused_without_a_journal(&[NAUTILUS], &dir);
    let made = daas(&dir, &["executor", "journal"]);
    assert!(made.err.contains("outcome unknown: 1"), "{made:?}");
    made.ok();
    let again = daas(&dir, &["executor", "journal"]);
    assert_eq!(again.code, 3, "{again:?}");

    running.start_nautilus();
    let answer = asking.join().unwrap();
    assert_ne!(answer.code, 0, "{answer:?}");
    assert!(answer.out.contains("unknown"), "{answer:?}");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(cluster.writes.load(Ordering::Relaxed), 1);
}

/// Whoever waits for one cluster and is asked to stop does not go on to another one.
#[test]
fn who_waits_for_a_cluster_ends_when_asked_to() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    daas(&dir, &["dev", "--provision-only"]).ok();
    std::fs::create_dir_all(dir.join("cluster")).unwrap();
    let mut nautilus = command(NAUTILUS);
    nautilus.arg("--dir").arg(&dir);
    // There is no other one, which it would say.
    nautilus.env("HOME", &dir);
    let log = scratch.path().join("log");
    let waiting = Process::start(nautilus, &log, "waiting for");
    assert_eq!(waiting.stop(), 0);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn a_journal_that_is_not_whole_or_not_ours_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, other] = ["daas", "other"].map(|name| scratch.path().join(name));
    for dir in [&dir, &other] {
        daas(dir, &["dev", "--provision-only"]).ok();
        kubeconfig(dir, "127.0.0.1:1");
    }
    let journal = dir.join("nautilus/journal.db");
    let good = std::fs::read(&journal).unwrap();
    let foreign = std::fs::read(other.join("nautilus/journal.db")).unwrap();
    for (bytes, says) in [
        (&b""[..], "it is empty"),
        (b"# my notes", "not a database"),
        (&good[..4096], "malformed"),
        (&foreign, "of another executor or ledger"),
    ] {
        std::fs::write(&journal, bytes).unwrap();
        let run = start(&[NAUTILUS], &dir);
        assert_eq!(run.code, 6, "{run:?}");
        assert!(run.err.contains(says), "{}", run.err);
        assert_eq!(std::fs::read(&journal).unwrap(), bytes, "{says}");
    }
}

#[test]
fn an_executor_that_never_ran_has_a_journal_before_its_first_request() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Separate::provision(&dir);
    running.start_cluster();
    running.start_gateway();
    let asking = {
        let dir = dir.clone();
        std::thread::spawn(move || {
            let file = dir.join("configmap.json");
            let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"early"}}"#;
            std::fs::write(&file, text).unwrap();
            let file = file.to_string_lossy().into_owned();
            daas(&dir, &["request", "POST", CONFIGMAPS, "-f", &file])
        })
    };
    // It waits on the ledger for an executor's first start.
    let begun = Instant::now();
    while !daas(&dir, &["events"]).out.contains("K8sAPIRequest") {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    running.start_nautilus();
    asking.join().unwrap().ok();

    // Once it was assigned something, a missing journal is a lost one.
    running.nautilus.take().unwrap().kill();
    running.gateway.take().unwrap().kill();
    running.cluster.take().unwrap().kill();
    std::fs::remove_dir_all(dir.join("nautilus")).unwrap();
    let dev = [support::DAAS, "dev", "--listen", "127.0.0.1:0"];
    refused_without_a_journal(&dev, &dir);
}

#[test]
fn what_is_wrong_with_the_key_of_bodies_is_a_matter_of_keys() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    daas(&dir, &["dev", "--provision-only"]).ok();
    kubeconfig(&dir, "127.0.0.1:1");
    // The first start makes it, and fails then for want of a cluster or is killed.
    let key = dir.join("blob.key");
    std::fs::write(&key, format!("k3s-daas blob key 1\n{}\n", "7".repeat(64))).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = start(&[NAUTILUS], &dir);
    assert_eq!(open.code, 8, "{open:?}");
    assert!(open.err.contains("chmod"), "{}", open.err);
    std::fs::write(&key, "no key").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let garbled = start(&[NAUTILUS], &dir);
    assert_eq!(garbled.code, 8, "{garbled:?}");
    assert!(
        garbled.err.contains("is not a blob key file"),
        "{}",
        garbled.err
    );
}

#[track_caller]
fn refused_without_a_journal(program: &[&str], dir: &Path) {
    let run = start(program, dir);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(run.err.contains("there is no journal in"), "{}", run.err);
    assert!(run.err.contains("`daas executor journal`"), "{}", run.err);
    let journal = dir.join("nautilus/journal.db");
    assert!(!journal.exists(), "running makes none");
}

/// A cluster that takes requests and never answers.
struct Silent {
    writes: Arc<AtomicUsize>,
}

impl Silent {
    fn start(dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        kubeconfig(dir, &listener.local_addr().unwrap().to_string());
        let writes = Arc::new(AtomicUsize::new(0));
        let noted = writes.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, noted) = (stream.unwrap(), noted.clone());
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        if buffer[..read].starts_with(b"POST ") {
                            noted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        Self { writes }
    }

    #[track_caller]
    fn wait_for_a_write(&self) {
        let begun = Instant::now();
        while self.writes.load(Ordering::Relaxed) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing came");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Has Nautilus execute on a server without TLS.
fn kubeconfig(dir: &Path, address: &str) -> PathBuf {
    let file = dir.join("silent.kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], \
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    std::fs::write(&file, text).unwrap();
    let settings = dir.join("daas.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let text = format!("{text}\n[nautilus]\nkubeconfig = \"silent.kubeconfig\"\n");
    std::fs::write(&settings, text).unwrap();
    file
}

fn start(program: &[&str], dir: &Path) -> Run {
    let mut command = command(program[0]);
    command
        .env("HOME", dir)
        .args(&program[1..])
        .arg("--dir")
        .arg(dir);
    Run::of(&mut command)
}

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
