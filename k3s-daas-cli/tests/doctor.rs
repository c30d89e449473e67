//! `daas doctor`: what is well is not complained of, and what is broken is named with what to do.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use k3s_daas_cli::settings::{self, Key};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use support::{Separate, daas};

#[test]
fn what_is_broken_is_named_and_nothing_is_changed() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::start(&dir);
    let before = contents(&dir);
    let (code, well) = examine(&dir);
    let troubles: Vec<&Value> = well
        .values()
        .filter(|found| found["state"] == "failed")
        .collect();
    assert!(code == 0 && troubles.is_empty(), "{troubles:?}");
    for check in [
        "settings",
        "key admin",
        "key gateway",
        "key executor",
        "authority",
        "certificate's key",
        "disk ledger",
        "blobs",
        "ledger",
        "clock",
        "cluster on the ledger",
        "executor",
        "journal",
        "gateway's token",
        "token",
        "kubernetes",
        "impersonation",
    ] {
        assert_ne!(
            well.get(check).unwrap_or(&Value::Null)["state"],
            Value::Null,
            "{check}: {well:?}"
        );
    }
    assert_eq!(well["kubernetes"]["state"], "ok");
    assert_eq!(well["impersonation"]["state"], "ok");
    assert_eq!(contents(&dir), before, "it changed something");
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    assert_eq!(services.nautilus.take().unwrap().stop(), 0);

    let failed = |check: &str, text: &str| {
        let (code, found) = examine(&dir);
        assert_eq!(code, 1, "{check}: {found:?}");
        let found = &found[check];
        assert_eq!(found["state"], "failed", "{check}: {found}");
        assert!(
            found["finding"].as_str().unwrap().contains(text),
            "{check}: {found}"
        );
        assert!(
            found["toDo"]
                .as_str()
                .is_some_and(|to_do| !to_do.is_empty()),
            "{found}"
        );
    };
    let at = |name: &str| dir.join(name);
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let moved = |name: &str, check: &str, text: &str| {
        fs::rename(at(name), at("moved")).unwrap();
        failed(check, text);
        fs::rename(at("moved"), at(name)).unwrap();
    };
    let set = |key, value: &str, check: &str, text: &str| {
        let kept = fs::read(at("daas.toml")).unwrap();
        settings::update(&at("daas.toml"), &[(key, value.into())]).unwrap();
        failed(check, text);
        fs::write(at("daas.toml"), kept).unwrap();
    };

    mode(&at("keys/gateway.key"), 0o644);
    failed("key gateway", "keys/gateway.key");
    mode(&at("keys/gateway.key"), 0o600);
    fs::copy(at("keys/executor.key"), at("kept")).unwrap();
    fs::copy(at("keys/owner.key"), at("keys/executor.key")).unwrap();
    failed("executor's key", "another signing key");
    fs::rename(at("kept"), at("keys/executor.key")).unwrap();
    let passphrase = scratch.path().join("passphrase");
    fs::write(&passphrase, "hunter2\n").unwrap();
    mode(&passphrase, 0o644);
    set(
        Key::PassphraseFile,
        passphrase.to_str().unwrap(),
        "passphrase file",
        "passphrase",
    );

    settings::update(
        &at("daas.toml"),
        &[(Key::OtlpEndpoint, "http://127.0.0.1:1/".into())],
    )
    .unwrap();
    let headers = passphrase.to_str().unwrap();
    set(Key::OtlpHeadersFile, headers, "headers file", "0644");
    mode(&passphrase, 0o600);
    set(Key::OtlpHeadersFile, headers, "headers file", "line 1");
    let advised = |check: &str, to_do: &str| {
        let said = examine(&dir).1[check]["toDo"].clone();
        assert!(said.as_str().unwrap().contains(to_do), "{check}: {said}");
    };
    for (name, exposed, private, check) in [
        ("nautilus/journal.db", 0o666, 0o600, "journal"),
        ("blobs", 0o755, 0o700, "blobs"),
    ] {
        mode(&at(name), exposed);
        advised(check, "`chmod ");
        mode(&at(name), private);
    }

    moved("nautilus/journal.db", "journal", "there is none");
    moved("blob.key", "blobs", "is gone");
    moved("gateway/ca.key", "certificate's key", "is gone");
    fs::copy(at("gateway/ca.key"), at("kept")).unwrap();
    fs::write(
        at("gateway/ca.key"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    failed("certificate's key", "ca.crt");
    fs::rename(at("kept"), at("gateway/ca.key")).unwrap();
    let changed = |name: &str, byte: usize, check: &str, text: &str| {
        let kept = fs::read(at(name)).unwrap();
        let mut bytes = kept.clone();
        bytes[byte] ^= 0x40;
        fs::write(at(name), bytes).unwrap();
        failed(check, text);
        fs::write(at(name), kept).unwrap();
    };
    changed("blobs/format", 0, "blobs", "names no format");
    changed("nautilus/journal.db", 0, "journal", "no SQLite database");
    // Its version, at 60 to 63.
    changed("nautilus/journal.db", 63, "journal", "version 67");
    fs::copy(at("nautilus/journal.db"), at("kept")).unwrap();
    rusqlite::Connection::open(at("nautilus/journal.db"))
        .unwrap()
        .execute("UPDATE journal SET executor = zeroblob(32)", [])
        .unwrap();
    failed("journal", "another executor or ledger");
    fs::rename(at("kept"), at("nautilus/journal.db")).unwrap();
    fs::copy(at("keys/owner.key"), at("kept")).unwrap();
    fs::copy(at("keys/executor.key"), at("keys/owner.key")).unwrap();
    let (code, found) = examine(&dir);
    assert_eq!((code, &found["token"]["state"]), (0, &"warning".into()));
    let own = found["token"]["finding"].as_str().unwrap();
    assert!(own.contains("may not submit for it"), "{own}");
    fs::rename(at("kept"), at("keys/owner.key")).unwrap();
    assert_eq!(examine(&dir).0, 0);
    moved("ledger", "disk ledger", "there is no");
    moved("ledger", "ledger", "no ledger");
    let stranger = format!("0x{}", "1".repeat(64));
    set(Key::Executor, &stranger, "executor", "no executor");
    set(
        Key::Cluster,
        &stranger,
        "cluster on the ledger",
        "no cluster",
    );
    set(Key::GatewayToken, &stranger, "gateway's token", "no token");
    set(Key::Chain, &stranger, "ledger", "settings speak of");

    let ended = certificate(scratch.path(), 2020);
    let two = [(Key::GatewayCertificate, ended.to_str().unwrap().into())];
    let kept = fs::read(at("daas.toml")).unwrap();
    settings::update(&at("daas.toml"), &two).unwrap();
    failed("certificate", "it ended 2020-");
    fs::write(&ended, "no certificate").unwrap();
    failed("certificate", "it has no certificate");
    certificate(scratch.path(), 2090);
    assert_eq!(examine(&dir).1["certificate"]["state"], "ok");
    fs::write(at("daas.toml"), kept).unwrap();

    services.cluster.take().unwrap().kill();
    failed("kubernetes", "does not answer");
    // For people it is a table, with what to do below.
    let table = daas(&dir, &["doctor"]);
    assert_eq!(table.code, 1);
    assert!(
        table.out.contains("FAILED") && table.out.contains("to do: "),
        "{table:?}"
    );
    assert!(table.err.contains("one check failed"), "{table:?}");
    let broken = dir.join("daas.toml");
    fs::write(&broken, "clutser = 1\n").unwrap();
    assert_eq!(daas(&dir, &["doctor"]).code, 7);
}

/// Exit code, and what was found of each check; of several the worst.
fn examine(dir: &Path) -> (i32, BTreeMap<String, Value>) {
    let run = daas(dir, &["doctor", "-o", "json"]);
    let list: Vec<Value> = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
    let mut found = BTreeMap::<String, Value>::new();
    for finding in list {
        let check = finding["check"].as_str().unwrap().to_owned();
        if found
            .get(&check)
            .is_none_or(|other| other["state"] != "failed")
        {
            found.insert(check, finding);
        }
    }
    (run.code, found)
}

/// A certificate that ends in a year.
fn certificate(dir: &Path, year: i32) -> PathBuf {
    let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(year, 6, 1);
    let key = KeyPair::generate().unwrap();
    let path = dir.join("gateway.crt");
    fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
    path
}

/// Every file that is no database of a running service, with its time.
fn contents(dir: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if !path.to_string_lossy().contains(".db")
            && !path.to_string_lossy().contains("followers")
        {
            let changed = path.symlink_metadata().unwrap().modified().unwrap();
            found.insert(path, changed);
        }
    }
    found
}
