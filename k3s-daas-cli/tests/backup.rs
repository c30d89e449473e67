//! Copies of a ledger made under load, restored elsewhere, and gone on with.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k3s_daas::types::RequestId;
use k3s_daas_cli::settings::{self, Key};
use serde_json::Value;
use support::{DAAS, Run, Separate, command, daas};

#[test]
fn what_was_acknowledged_before_a_copy_is_in_it_and_services_go_on_from_it() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let mut old = Separate::start(&at("old"));
    let told = Load::begin(old.dir());
    told.wait_for(200);
    let before = told.all();
    let made = daas(old.dir(), &["backup", text(&at("copy")), "-o", "json"]);
    let made: Value = serde_json::from_str(&made.ok()).unwrap();
    // It was made while others wrote, and they went on.
    told.wait_for(before.len() + 30);
    let all = told.end();
    assert!(before.len() >= 200 && all.len() > before.len());

    let head = made["head"].as_str().unwrap();
    let new = at("deep/new");
    let restored = daas(
        &new,
        &["restore", text(&at("copy")), "--head", head, "-o", "json"],
    );
    let restored: Value = serde_json::from_str(&restored.ok()).unwrap();
    assert_eq!(restored["head"], head);
    let verified = daas(&new, &["audit", "verify", "--head", head, "-o", "json"]);
    let verified: Value = serde_json::from_str(&verified.ok()).unwrap();
    assert_eq!(verified["verified"], true);
    // The old one goes through it, and further.
    let passed = daas(
        old.dir(),
        &["audit", "verify", "--head", head, "-o", "json"],
    );
    let passed: Value = serde_json::from_str(&passed.ok()).unwrap();
    assert!(passed["calls"].as_u64() > verified["calls"].as_u64());

    let answered = answered(&new);
    let missing: Vec<_> = before.iter().filter(|id| !answered.contains(*id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(
        all.iter().any(|id| !answered.contains(id)),
        "nothing was written after the copy"
    );
    let directories = [new.clone(), at("copy")].into_iter();
    for path in directories.flat_map(|all| everything_in(&all).chain([all])) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", path.display());
    }
    for absent in ["nautilus", "sessions", "blobs", "backup.json"] {
        assert!(!new.join(absent).exists(), "{absent}");
    }

    // The old services end, the new ones go on with the same cluster.
    assert_eq!(old.gateway.take().unwrap().stop(), 0);
    assert_eq!(old.nautilus.take().unwrap().stop(), 0);
    let kubeconfig = at("old/cluster/kubeconfig");
    let set = [(Key::NautilusKubeconfig, text(&kubeconfig).into())];
    settings::update(&new.join("daas.toml"), &set).unwrap();
    daas(&new, &["executor", "journal"]).ok();
    let mut services = Separate::over(&new);
    services.start_nautilus();
    services.start_gateway();
    let id = RequestId::new();
    create(&new, id).ok();
    let shown = daas(&new, &["request", "show", &id.to_string(), "-o", "json"]).ok();
    assert!(shown.contains("201"), "{shown}");
    let list = daas(&new, &["request", "GET", CONFIGMAPS]).ok();
    // The cluster has what came after the copy too: that is what the ledger has lost.
    for id in all.iter().chain([&id.to_string()]) {
        assert!(list.contains(&format!("\"{}\"", name(id))), "{id}");
    }
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    assert_eq!(services.nautilus.take().unwrap().stop(), 0);
    daas(&new, &["audit", "verify", "--head", head]).ok();
}

#[test]
fn what_killed_commands_left_is_removed_or_told() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    daas(&at("old"), &["dev", "--provision-only"]).ok();
    let copy = at("copy");
    daas(&at("old"), &["backup", text(&copy)]).ok();

    // Of two places where a directory was put together, one belongs to somebody who still works there.
    let (left, busy) = (at(".daas-restore-left"), at(".daas-restore-busy"));
    for place in [&left, &busy] {
        std::fs::create_dir_all(place.join("keys")).unwrap();
        std::fs::write(place.join("keys/admin.key"), "of a killed restore").unwrap();
    }
    let working = std::fs::File::open(&busy).unwrap();
    working.lock().unwrap();
    daas(&at("new"), &["restore", text(&copy)]).ok();
    assert!(!left.exists());
    assert!(busy.join("keys/admin.key").exists());
    let places = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(places, 4, "old, copy, new and the one that is busy");

    // What nobody ever writes to, in a file's place.
    for file in ["keys/admin.key", "ledger/ledger.db", "backup.json"] {
        let (file, kept) = (copy.join(file), at("kept"));
        std::fs::rename(&file, &kept).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        let restored = daas(&at("half"), &["restore", text(&copy)]);
        assert_ne!(restored.code, 0, "{restored:?}");
        assert!(
            restored.err.contains("it is no regular file"),
            "{restored:?}"
        );
        assert!(!at("half").exists());
        std::fs::rename(&kept, &file).unwrap();
    }

    // A copy that did not come to its end, as a kill leaves it.
    std::fs::remove_file(copy.join("backup.json")).unwrap();
    std::fs::write(copy.join(".daas-backup-unfinished"), "").unwrap();
    let again = daas(&at("old"), &["backup", text(&copy)]);
    assert_eq!(again.code, 3, "{again:?}");
    assert!(again.err.contains("has begun"), "{again:?}");
    assert!(again.err.contains("remove that directory"), "{again:?}");
    assert!(copy.join("ledger/ledger.db").exists());
    let restored = daas(&at("half"), &["restore", text(&copy)]);
    assert_eq!(restored.code, 4, "{restored:?}");
    assert!(!at("half").exists());
}

#[test]
fn a_directory_that_was_moved_goes_on_where_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let mut old = Separate::start(&at("old"));
    let (first, second) = (RequestId::new(), RequestId::new());
    create(old.dir(), first).ok();
    assert_eq!(old.gateway.take().unwrap().stop(), 0);
    // One way to stop is as good as another.
    old.nautilus.take().unwrap().kill();
    copy_all(old.dir(), &at("new"));
    // Another machine was never up as this one was: what the journal has of it is of no boot here.
    let journal = rusqlite::Connection::open(at("new/nautilus/journal.db")).unwrap();
    // A clean close would take the file beside it away, which only a journal that is no copy may lack.
    let keep = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    journal.set_db_config(keep, true).unwrap();
    let other = "UPDATE journal SET boot = 'of another machine'";
    assert_eq!(journal.execute(other, []).unwrap(), 1);
    drop(journal);

    let mut new = Separate::over(&at("new"));
    let set = [(
        Key::NautilusKubeconfig,
        text(&at("old/cluster/kubeconfig")).into(),
    )];
    settings::update(&at("new/daas.toml"), &set).unwrap();
    new.start_nautilus();
    new.start_gateway();
    let said = new.nautilus.as_ref().unwrap().said();
    assert!(
        said.contains("the machine went down with the journal open"),
        "{said}"
    );
    create(new.dir(), second).ok();
    // What was answered there is known here, and not done twice.
    create(new.dir(), first).ok();
    let answered = answered(new.dir());
    assert!(answered.contains(&first.to_string()) && answered.contains(&second.to_string()));
    assert_eq!(new.gateway.take().unwrap().stop(), 0);
    assert_eq!(new.nautilus.take().unwrap().stop(), 0);
    daas(new.dir(), &["audit", "verify"]).ok();
}

#[test]
fn what_is_no_whole_copy_is_not_restored() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let (dir, copy) = (at("daas"), at("copy"));
    daas(&dir, &["dev", "--provision-only"]).ok();
    daas(&dir, &["backup", text(&copy)]).ok();

    // Nothing is replaced.
    let again = daas(&dir, &["backup", text(&copy)]);
    assert_eq!(again.code, 3, "{again:?}");
    let over = daas(&dir, &["restore", text(&copy)]);
    assert_eq!(over.code, 3, "{over:?}");
    std::fs::create_dir(at("used")).unwrap();
    std::fs::write(at("used/.hidden"), "").unwrap();
    assert_eq!(daas(&at("used"), &["restore", text(&copy)]).code, 3);
    assert_eq!(
        daas(&at("used/none"), &["backup", text(&at("other"))]).code,
        4
    );
    assert!(!at("other/backup.json").exists());

    let bad = |what: &str, code: i32, harm: &dyn Fn(&Path)| {
        let (harmed, new) = (at("harmed"), at("new"));
        copy_all(&copy, &harmed);
        harm(&harmed);
        let run = daas(&new, &["restore", text(&harmed)]);
        assert_eq!(run.code, code, "{what}: {run:?}");
        assert!(!new.exists(), "{what}");
        let left: Vec<PathBuf> = everything_in(scratch.path())
            .filter(|path| path.to_string_lossy().contains(".daas-restore-"))
            .collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        std::fs::remove_dir_all(&harmed).unwrap();
    };
    let edit = |path: PathBuf, from: &str, to: &str| {
        let old = std::fs::read_to_string(&path).unwrap();
        assert!(old.contains(from), "{old}");
        std::fs::write(path, old.replacen(from, to, 1)).unwrap();
    };
    let manifest = "backup.json";
    bad("no manifest, as when it was killed", 4, &|at| {
        std::fs::remove_file(at.join(manifest)).unwrap();
    });
    bad("half a manifest", 6, &|at| {
        let text = std::fs::read(at.join(manifest)).unwrap();
        std::fs::write(at.join(manifest), &text[..text.len() / 2]).unwrap();
    });
    bad("another format", 9, &|at| {
        edit(at.join(manifest), "\"format\": 1", "\"format\": 2")
    });
    bad("a file that lies elsewhere", 6, &|at| {
        edit(
            at.join(manifest),
            "\"keys/gateway.key\"",
            "\"../gateway.key\"",
        );
    });
    bad("an absolute one", 6, &|at| {
        edit(
            at.join(manifest),
            "\"keys/gateway.key\"",
            "\"/gateway.key\"",
        )
    });
    bad("a key that is gone", 6, &|at| {
        std::fs::remove_file(at.join("keys/gateway.key")).unwrap();
    });
    bad("other settings", 6, &|at| {
        edit(at.join("daas.toml"), "development", "# development")
    });
    bad("no ledger", 6, &|at| {
        std::fs::remove_file(at.join("ledger/ledger.db")).unwrap()
    });
    bad("another chain", 6, &|at| {
        let text = std::fs::read_to_string(at.join(manifest)).unwrap();
        let begin = text.find("\"chain\": \"0x").unwrap() + 12;
        let digit = if text.as_bytes()[begin] == b'0' {
            "1"
        } else {
            "0"
        };
        let text = [&text[..begin], digit, &text[begin + 1..]].concat();
        std::fs::write(at.join(manifest), text).unwrap();
    });
    // No more than 8 KiB of a file: the keys have room, and the ledger has none.
    let mut full = command("sh");
    full.args([
        "-c",
        r#"trap "" XFSZ; ulimit -f 16; exec "$0" --dir "$1" restore "$2""#,
    ])
    .args([Path::new(DAAS), &at("new"), &copy])
    .env("HOME", scratch.path());
    let full = Run::of(&mut full);
    assert_eq!(full.code, 1, "{full:?}");
    assert!(
        full.err.contains("cannot write in") && full.err.contains("make room there"),
        "{full:?}"
    );
    assert!(!at("new").exists());
    bad("half a ledger", 6, &|at| {
        let text = std::fs::read(at.join("ledger/ledger.db")).unwrap();
        std::fs::write(at.join("ledger/ledger.db"), &text[..text.len() / 2]).unwrap();
    });
    bad("a row less", 6, &|at| {
        let database = rusqlite::Connection::open(at.join("ledger/ledger.db")).unwrap();
        let last = "DELETE FROM calls WHERE sequence = (SELECT max(sequence) FROM calls)";
        assert_eq!(database.execute(last, []).unwrap(), 1);
    });

    let other = at("third");
    daas(&other, &["dev", "--provision-only"]).ok();
    daas(&other, &["backup", text(&at("other-copy"))]).ok();
    bad("another ledger", 6, &|at| {
        let from = scratch.path().join("other-copy/ledger/ledger.db");
        std::fs::copy(from, at.join("ledger/ledger.db")).unwrap();
    });
    let head = format!("1:{}", "0".repeat(64));
    let through = daas(&at("new"), &["restore", text(&copy), "--head", &head]);
    assert_eq!(through.code, 6, "{through:?}");
    assert!(!at("new").exists());
    let later = format!("1000000:{}", "0".repeat(64));
    let later = daas(&at("new"), &["restore", text(&copy), "--head", &later]);
    assert_eq!(later.code, 6, "{later:?}");
    assert!(
        later.err.contains("before the head that was given"),
        "{later:?}"
    );
    assert!(!at("new").exists());

    // And what was not harmed is, also into an empty directory.
    std::fs::create_dir(at("new")).unwrap();
    daas(&at("new"), &["restore", text(&copy)]).ok();
    daas(&at("new"), &["audit", "verify"]).ok();
}

/// Clients that create objects until they are told to end.
struct Load {
    told: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn begin(dir: &Path) -> Self {
        let (told, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let threads = (0..3).map(|_| {
            let (told, is_over): (Arc<Mutex<Vec<String>>>, _) =
                (Arc::clone(&told), Arc::clone(&is_over));
            let dir = dir.to_owned();
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let id = RequestId::new();
                    create(&dir, id).ok();
                    told.lock().unwrap().push(id.to_string());
                }
            })
        });
        let threads = threads.collect();
        Self {
            told,
            is_over,
            threads,
        }
    }

    fn all(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait_for(&self, count: usize) {
        let begun = Instant::now();
        while self.all().len() < count {
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{}",
                self.all().len()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.told.lock().unwrap().clone()
    }
}

fn create(dir: &Path, id: RequestId) -> Run {
    let id = id.to_string();
    let object = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}"}}}}"#,
        name(&id)
    );
    let mut command = support::command(support::DAAS);
    command.env("DAAS_DIR", dir).env("HOME", dir);
    command.args([
        "request",
        "POST",
        CONFIGMAPS,
        "-f",
        "-",
        "--request-id",
        &id,
    ]);
    Run::with_input(&mut command, &object)
}

fn name(id: &str) -> String {
    format!("c-{id}")
}

/// The requests that a ledger has an answer to.
fn answered(dir: &Path) -> BTreeSet<String> {
    let events = daas(dir, &["events", "-o", "json"]).ok();
    let id = regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}");
    let id = id.unwrap();
    let answers = events
        .lines()
        .filter(|line| line.contains("K8sRequestProcessed"));
    let found = answers.filter_map(|line| Some(id.find(line)?.as_str().to_owned()));
    found.collect()
}

fn everything_in(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            let entries = std::fs::read_dir(&found[at]).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found.into_iter().skip(1)
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for path in everything_in(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            std::fs::create_dir(&target).unwrap();
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(target, private).unwrap();
        } else if path.is_file() {
            std::fs::copy(path, target).unwrap();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
