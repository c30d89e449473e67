//! Programs over what another version of them made: refused at the start, and noticed while they run.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use k3s_daas_cli::exit::Exit;
use rusqlite::Connection;
use support::{GATEWAY, NAUTILUS, Run, Separate, command, daas};

#[test]
fn what_another_version_made_is_refused_by_name_and_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut world = Separate::provision(&dir);
    world.start_cluster();
    // The blob store is made by whoever needs it first.
    world.start_gateway();
    assert_eq!(world.gateway.take().unwrap().stop(), 0);

    let ledger = dir.join("ledger/ledger.db");
    for (version, to_do) in [
        (2, "an earlier one made"),
        (3, "an earlier one made"),
        (5, "the newer version"),
    ] {
        set_version(&ledger, version);
        let says = format!("the ledger is of version {version}, and this program knows 4");
        for refused in [
            service(GATEWAY, &dir),
            service(NAUTILUS, &dir),
            daas(&dir, &["token", "list"]),
            daas(&dir, &["audit", "verify"]),
        ] {
            expect(&refused, &says, to_do);
        }
        let doctor = daas(&dir, &["doctor"]);
        assert_eq!(doctor.code, 1, "{doctor:?}");
        assert!(doctor.out.contains(&says), "{doctor:?}");
    }
    set_version(&ledger, 4);

    let journal = dir.join("nautilus/journal.db");
    for (version, to_do) in [(2, "daas executor journal"), (4, "the newer version")] {
        set_version(&journal, version);
        let says = format!("the journal is of version {version}, and this program knows 3");
        expect(&service(NAUTILUS, &dir), &says, to_do);
    }
    set_version(&journal, 3);

    let format = dir.join("blobs/format");
    let text = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, text.replace("blobs 2", "blobs 3")).unwrap();
    for program in [GATEWAY, NAUTILUS] {
        let says = "the blob store is of version 3, and this program knows 2";
        expect(&service(program, &dir), says, "the newer version");
    }
    // One of the version before is brought up to date.
    std::fs::write(&format, text.replace("blobs 2", "blobs 1")).unwrap();
    std::fs::create_dir_all(dir.join("blobs/blobs")).unwrap();
    world.start_nautilus();
    world.start_gateway();
    daas(&dir, &["request", "GET", "/api/v1/namespaces"]).ok();
    assert_eq!(std::fs::read_to_string(&format).unwrap(), text);
    assert!(!dir.join("blobs/blobs").exists());
    assert_eq!(world.gateway.take().unwrap().stop(), 0);
    assert_eq!(world.nautilus.take().unwrap().stop(), 0);
}

#[test]
fn who_runs_stops_when_a_newer_program_has_been_at_the_ledger() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut world = Separate::start(&dir);
    daas(&dir, &["request", "GET", "/api/v1/namespaces"]).ok();
    let ledger = dir.join("ledger/ledger.db");
    let before = calls(&ledger);
    set_version(&ledger, 5);

    let refused = daas(&dir, &["request", "GET", "/api/v1/nodes"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    // It cannot go on, and a supervisor finds the newer program in its place.
    let nautilus = world.nautilus.as_mut().unwrap();
    let ended = nautilus.ends_within(Duration::from_secs(20));
    let code = ended.and_then(|status| status.code());
    assert_eq!(code, Some(Exit::Version as i32), "{}", nautilus.said());
    let gateway = world.gateway.as_mut().unwrap();
    let begun = Instant::now();
    while gateway.ended().is_none() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let code = gateway.ended().and_then(|status| status.code());
    assert_eq!(code, Some(Exit::Version as i32), "{}", gateway.said());
    assert!(
        gateway.said().contains("the newer version"),
        "{}",
        gateway.said()
    );
    set_version(&ledger, 4);
    assert_eq!(calls(&ledger), before, "something was written");
    daas(&dir, &["audit", "verify"]).ok();
}

#[track_caller]
fn expect(refused: &Run, says: &str, to_do: &str) {
    assert_eq!(refused.code, Exit::Version as i32, "{refused:?}");
    for words in [says, to_do] {
        assert!(refused.err.contains(words), "no `{words}`: {refused:?}");
    }
}

fn service(program: &str, dir: &Path) -> Run {
    let mut command = command(program);
    command.env("HOME", dir).arg("--dir").arg(dir);
    if program == GATEWAY {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    Run::of(&mut command)
}

fn set_version(database: &Path, version: u32) {
    let connection = Connection::open(database).unwrap();
    connection
        .pragma_update(None, "user_version", version)
        .unwrap();
}

fn calls(ledger: &Path) -> i64 {
    let connection = Connection::open(ledger).unwrap();
    let count = "SELECT count(*) FROM calls";
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}
