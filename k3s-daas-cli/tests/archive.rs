//! The oldest part of a ledger leaves it while services run, and every command copes with that.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k3s_daas::contract::Call;
use k3s_daas::crypto::keystore::load_development;
use k3s_daas::ledger::local::{LocalLedger, Options};
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::types::{ClusterPolicy, RequestId};
use serde_json::Value;
use support::{Run, Separate, daas};

#[test]
fn a_ledger_is_archived_under_running_services_and_every_command_copes() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let mut services = Separate::start(&at("daas"));
    let dir = services.dir().to_owned();
    let archive = at("archive");
    let segments = text(&archive);
    let json = |args: &[&str]| -> Value {
        let all = [args, &["-o", "json"]].concat();
        serde_json::from_str(&daas(&dir, &all).ok()).unwrap()
    };
    let first = RequestId::new();
    create(&dir, first).ok();
    for _ in 0..3 {
        create(&dir, RequestId::new()).ok();
    }
    // Nothing is old enough.
    let none = json(&["ledger", "archive", segments, "--keep", "0s"]);
    assert_eq!((&none["calls"], &none["last_call"]), (&0.into(), &0.into()));
    assert!(!archive.exists());

    let before = json(&["audit", "verify"]);
    let all_events = daas(&dir, &["events", "-o", "json"]).ok();
    let pruned = two_days_later(&dir);
    assert!(pruned >= 4, "{pruned}");
    let rehearsed = json(&["ledger", "archive", segments, "--keep", "1h", "--dry-run"]);
    assert!(!archive.exists());
    let archived = json(&["ledger", "archive", segments, "--keep", "1h"]);
    for field in ["first_call", "last_call", "last_event", "calls"] {
        assert_eq!(rehearsed[field], archived[field], "{field}");
    }
    let last = archived["last_call"].as_u64().unwrap();
    assert!(last >= before["calls"].as_u64().unwrap(), "{archived}");
    assert_eq!(archived["segments"].as_array().unwrap().len(), 1);

    // What is left verifies, and it is said what is not.
    let run = daas(&dir, &["audit", "verify"]);
    assert!(
        run.err
            .contains(&format!("not verified: calls 1 to {last}")),
        "{run:?}"
    );
    run.ok();
    let rest = json(&["audit", "verify"]);
    assert_eq!(rest["archived"]["verified"], false);
    let whole = json(&["audit", "verify", "--archive", segments]);
    assert_eq!(whole["archived"]["verified"], true);
    assert_eq!(whole["head"], rest["head"]);
    let calls = |report: &Value| report["calls"].as_u64().unwrap();
    assert_eq!(calls(&rest) + last, calls(&whole));
    let head = before["head"].as_str().unwrap();
    let refused = daas(&dir, &["audit", "verify", "--head", head]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("name the archive"), "{refused:?}");
    let through = json(&["audit", "verify", "--head", head, "--archive", segments]);
    assert_eq!(through["through"], *head);
    let wrong = "00".repeat(32);
    let refused = daas(&dir, &["audit", "verify", "--genesis-key", &wrong]);
    assert_eq!(refused.code, 6, "{refused:?}");

    // Events and requests that were archived are told with the archive, and without it that they were.
    let refused = daas(&dir, &["events"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("--archive"), "{refused:?}");
    let joined = daas(&dir, &["events", "--archive", segments, "-o", "json"]).ok();
    assert!(
        joined.starts_with(&all_events),
        "all that was, and then more"
    );
    let first = first.to_string();
    let refused = daas(&dir, &["request", "show", &first]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("was archived"), "{refused:?}");
    let shown = json(&["request", "show", &first, "--archive", segments]);
    assert_eq!(shown[0]["outcome"], "answered");
    let refused = daas(&dir, &["audit", "verify", "--request", &first]);
    assert_eq!(refused.code, 4, "{refused:?}");
    json(&[
        "audit",
        "verify",
        "--request",
        &first,
        "--archive",
        segments,
    ]);
    let doctor = daas(&dir, &["doctor"]);
    assert!(
        doctor.out.contains(&format!("calls 1 to {last} archived")),
        "{doctor:?}"
    );

    // A copy has what the ledger has.
    daas(&dir, &["backup", text(&at("copy"))]).ok();
    daas(&at("restored"), &["restore", text(&at("copy"))]).ok();
    daas(&at("restored"), &["audit", "verify", "--archive", segments]).ok();

    // A segment that is gone is named; another ledger takes no part in this archive.
    let path = archived["segments"][0].as_str().unwrap();
    std::fs::rename(path, at("aside")).unwrap();
    for command in [&["audit", "verify"][..], &["events"]] {
        let nowhere = daas(&dir, &[command, &["--archive", "/nowhere"]].concat());
        assert_eq!(nowhere.code, 4, "{nowhere:?}");
        assert!(
            nowhere.err.contains("no archive in /nowhere"),
            "{nowhere:?}"
        );
    }
    let refused = daas(&dir, &["audit", "verify", "--archive", segments]);
    assert_eq!(refused.code, 6, "{refused:?}");
    let missing = format!("calls 1 to {last} are in no segment");
    assert!(refused.err.contains(&missing), "{refused:?}");
    std::fs::rename(at("aside"), path).unwrap();
    daas(&at("other"), &["dev", "--provision-only"]).ok();
    two_days_later(&at("other"));
    let refused = daas(
        &at("other"),
        &["ledger", "archive", segments, "--keep", "1h"],
    );
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("another ledger"), "{refused:?}");

    // The services have lived through it, and have nothing against being started again.
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    assert_eq!(services.nautilus.take().unwrap().stop(), 0);
    services.start_nautilus();
    services.start_gateway();
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    assert_eq!(services.nautilus.take().unwrap().stop(), 0);
    daas(&dir, &["audit", "verify", "--archive", segments]).ok();
}

/// What a request takes on the disk; `docs/operating.md` has the figures that it prints.
#[test]
fn disk_per_request_is_what_the_documentation_says() {
    let scratch = tempfile::tempdir().unwrap();
    let mut services = Separate::start(&scratch.path().join("daas"));
    let dir = services.dir().to_owned();
    let object = |name: &str| {
        let data = "x".repeat(900);
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"k":"{data}"}}}}"#
        )
    };
    let stop = |services: &mut Separate| {
        assert_eq!(services.gateway.take().unwrap().stop(), 0);
        assert_eq!(services.nautilus.take().unwrap().stop(), 0);
    };
    let mut figures = Vec::new();
    // Of databases what is in use: a write-ahead log has up to 4 MiB at any time.
    let ledger = dir.join("ledger/ledger.db");
    let measure = || {
        let journals = std::fs::read_dir(dir.join("nautilus")).unwrap();
        let journals = journals.map(|entry| entry.unwrap().path());
        let journals = journals.filter(|path| path.extension().is_some_and(|it| it == "db"));
        let journal = journals.map(|path| in_use(&path)).sum();
        [in_use(&ledger), size_of(&dir.join("blobs")), journal]
    };
    post(&dir, RequestId::new(), &object("first")).ok();
    stop(&mut services);
    for kind in ["GET", "POST"] {
        let before = measure();
        services.start_nautilus();
        services.start_gateway();
        for index in 0..MEASURED {
            match kind {
                "GET" => daas(&dir, &["request", "GET", &format!("{CONFIGMAPS}/first")]).ok(),
                _ => post(&dir, RequestId::new(), &object(&format!("c{index}"))).ok(),
            };
        }
        stop(&mut services);
        let after = measure();
        let each = [0, 1, 2].map(|part| (after[part].saturating_sub(before[part])) / MEASURED);
        figures.push((kind, each));
    }
    two_days_later(&dir);
    let archive = scratch.path().join("archive");
    let archived = daas(
        &dir,
        &[
            "ledger",
            "archive",
            text(&archive),
            "--keep",
            "1h",
            "-o",
            "json",
        ],
    );
    let archived: Value = serde_json::from_str(&archived.ok()).unwrap();
    let segments = archived["bytes"].as_u64().unwrap() / (2 * MEASURED);
    let used = in_use(&ledger);
    for (kind, [ledger, blobs, journal]) in &figures {
        println!("{kind}: ledger {ledger}, blobs {blobs}, journal {journal} bytes a request");
        assert!(
            *ledger < 8_192 && *journal < 4_096,
            "{kind}: {ledger}, {journal}"
        );
    }
    println!("archived: {segments} bytes of segments a request; {used} bytes of the ledger in use");
    assert!(segments < 2_048, "{segments}");
    assert!(used < 512 << 10, "{used}");
}

/// Lets the ledger's time go two days ahead, and prunes what may be; how many requests.
fn two_days_later(dir: &Path) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let admin = load_development(&dir.join("keys/admin.key")).unwrap();
        let ahead = Arc::new(AtomicU64::new(0));
        let mut options = Options::default();
        let now = options.clock.clone();
        let by = ahead.clone();
        options.clock = Arc::new(move || now() + by.load(Ordering::Relaxed));
        let ledger = LocalLedger::open_with(dir.join("ledger"), Arc::new(admin), options).unwrap();
        ahead.fetch_add(30 * HOUR_MS, Ordering::Relaxed);
        let prunable = ledger.prunable(usize::MAX);
        let token = prunable.first().map(|(token, _)| *token);
        let ids: Vec<_> = prunable.iter().map(|(_, id)| id.to_wire().into()).collect();
        for ids in ids.chunks(512) {
            let call = Call::PruneResponses {
                token: token.unwrap(),
                request_ids: ids.to_vec(),
            };
            ledger.call(call).await.unwrap();
        }
        ahead.fetch_add(18 * HOUR_MS, Ordering::Relaxed);
        let last = Call::CreateCluster {
            name: "later".into(),
            chain: ledger.deployment().chain,
            policy: ClusterPolicy::default(),
        };
        ledger.call(last).await.unwrap();
        assert!(ledger.view(|now| now.state.all_requests().next().is_none()));
        prunable.len()
    })
}

/// Bytes of a database's pages that have something.
fn in_use(database: &Path) -> u64 {
    let database = rusqlite::Connection::open(database).unwrap();
    let pragma = |name| -> u64 {
        let value: i64 = database
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap();
        u64::try_from(value).unwrap()
    };
    (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
}

fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap();
    let sizes = entries.map(|entry| {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        match metadata.is_dir() {
            true => size_of(&entry.path()),
            false => metadata.len(),
        }
    });
    sizes.sum()
}

fn create(dir: &Path, id: RequestId) -> Run {
    let object =
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c-{id}"}}}}"#);
    post(dir, id, &object)
}

fn post(dir: &Path, id: RequestId, object: &str) -> Run {
    let mut command = support::command(support::DAAS);
    command.env("DAAS_DIR", dir).env("HOME", dir);
    let id = id.to_string();
    command.args([
        "request",
        "POST",
        CONFIGMAPS,
        "-f",
        "-",
        "--request-id",
        &id,
    ]);
    Run::with_input(&mut command, object)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
const HOUR_MS: u64 = 3_600_000;
const MEASURED: u64 = 150;
