//! An executor's key, and the key of bodies at rest.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use k3s_daas::contract::{Call, Code};
use k3s_daas::crypto::keystore::{load_development, load_or_create_development};
use k3s_daas::ledger::Ledger as _;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::types::{ExecutorId, HexBytes, RequestId};
use k3s_daas::wire::AnchorMessage;

use crate::load::{CONFIGMAPS, Load, Patience, bearer, client};
use crate::support::{DAAS, Run, Separate, command, daas};
use crate::{json, refused, setting};

#[test]
fn an_executor_takes_the_place_of_another_under_load() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::start(&dir);
    let server = services.server();
    let old = setting(&dir, "executor");
    let authority = fs::read(dir.join("gateway/ca.crt")).unwrap();
    let bearer = bearer(&dir, &server, &[]);
    // Whatever is not 201 ends the test: nothing is asked again.
    let load = Load::begin("executor", Patience::None, || {
        client(&server, &authority, &bearer)
    });
    load.wait_for_more(50);

    refused(
        &dir,
        &["executor", "retire", &old],
        7,
        "is the one that this directory runs",
    );
    refused(&dir, &["executor", "retire", "0x1"], 4, "has no executor");
    let mut elsewhere = command(DAAS);
    elsewhere.env("DAAS_DIR", &dir).env("HOME", &dir);
    elsewhere
        .env("DAAS_EXECUTOR", &old)
        .args(["executor", "rotate"]);
    let elsewhere = Run::of(&mut elsewhere);
    assert_eq!(elsewhere.code, 7, "{elsewhere:?}");
    assert!(
        elsewhere.err.contains("unset DAAS_EXECUTOR"),
        "{elsewhere:?}"
    );

    let rotated = json(&dir, &["executor", "rotate", "--stake", "2SUI"]);
    let new = rotated["executor"].as_str().unwrap().to_owned();
    assert_eq!(rotated["replaces"], *old);
    assert_eq!(rotated["stake_mist"], 2_000_000_000_u64);
    assert_eq!(setting(&dir, "executor"), new);
    assert!(setting(&dir, "keys.executor").ends_with("keys/executor-2.key"));
    // It is assigned requests already, which wait for it, and the old one goes on.
    refused(
        &dir,
        &["executor", "retire", &old],
        5,
        "the daas-nautilus of executor",
    );
    let before = services.nautilus.take().unwrap();
    services.start_nautilus();
    load.wait_for_more(50);
    assert_eq!(before.stop(), 0);
    // What is assigned to the old one now waits: all clients do, soon.
    std::thread::sleep(Duration::from_millis(500));

    // Too short a time leaves it as it was, and loses nothing.
    refused(
        &dir,
        &["executor", "retire", &old, "--for", "0s"],
        5,
        "to give back; it is active",
    );
    std::thread::sleep(Duration::from_millis(500));
    let retired = json(&dir, &["executor", "retire", &old]);
    assert_eq!(retired["active"], false);
    assert!(retired["given_back"].as_u64().unwrap() > 0, "{retired}");
    load.wait_for_more(100);
    let again = load.finish(&dir);
    assert_eq!(again, 0);

    // The old key is refused, before anybody looks at the signature; the new one's signature is looked at.
    assert_eq!(anchor(&dir, &old), Some(Code::ExecutorNotEligible));
    assert_eq!(anchor(&dir, &new), Some(Code::InvalidSignature));
    let listed = json(&dir, &["executor", "list"]);
    for entry in listed.as_array().unwrap() {
        assert_eq!(entry["active"], entry["id"] == *new, "{listed}");
    }
    // Once more changes nothing; the only one cannot go; and the next rotation has the next number.
    assert_eq!(json(&dir, &["executor", "retire", &old])["given_back"], 0);
    daas(&dir, &["executor", "remove", &old]).ok();
    refused(&dir, &["executor", "retire", &old], 4, "has no executor");
    let next = json(&dir, &["executor", "rotate"]);
    assert!(
        next["key_file"]
            .as_str()
            .unwrap()
            .ends_with("executor-3.key")
    );
    daas(&dir, &["executor", "unstake", "1SUI", "--executor", &new]).ok();
    let list = daas(&dir, &["executor", "list"]).ok();
    assert!(list.contains("1 SUI from 20"), "{list}");
    daas(
        &dir,
        &["executor", "deactivate", next["executor"].as_str().unwrap()],
    )
    .ok();
    let mut alone = command(DAAS);
    alone.env("DAAS_DIR", &dir).env("HOME", &dir);
    alone.args(["executor", "retire", &new]);
    let alone = Run::of(&mut alone);
    assert_eq!(alone.code, 3, "{alone:?}");
    assert!(
        alone.err.contains("no other executor is eligible"),
        "{alone:?}"
    );
    let again = daas(
        &dir,
        &["executor", "activate", next["executor"].as_str().unwrap()],
    );
    assert!(again.ok().contains("eligible"));
}

#[test]
fn a_rotation_that_was_killed_is_finished_by_the_next_one() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    drop(Separate::provision(&dir));
    let settings = fs::read(dir.join("daas.toml")).unwrap();
    let first = json(&dir, &["executor", "rotate"]);
    // As if it had ended before it wrote the settings, and before the journal.
    fs::write(dir.join("daas.toml"), settings).unwrap();
    fs::remove_file(first["journal"].as_str().unwrap()).unwrap();
    let second = json(&dir, &["executor", "rotate"]);
    assert_eq!(first, second);
    assert_eq!(
        json(&dir, &["executor", "list"]).as_array().unwrap().len(),
        2
    );
    // `daas dev` goes on with the new one.
    daas(&dir, &["dev", "--provision-only"]).ok();
    assert_eq!(
        setting(&dir, "executor"),
        second["executor"].as_str().unwrap()
    );
    // And one that was replaced never comes back, retired or not.
    for number in 3..=5 {
        let next = json(&dir, &["executor", "rotate"]);
        let file = next["key_file"].as_str().unwrap();
        assert!(file.ends_with(&format!("executor-{number}.key")), "{next}");
    }
    assert_eq!(
        json(&dir, &["executor", "list"]).as_array().unwrap().len(),
        5
    );
}

#[test]
fn another_operator_has_its_stake_from_who_has_any() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    drop(Separate::provision(&dir));
    daas(&dir, &["cluster", "set", "--min-executor-stake", "1SUI"]).ok();
    let operator = load_or_create_development(&dir.join("keys/operator-2.key"), "").unwrap();
    daas(
        &dir,
        &["config", "set", "keys.operator", "keys/operator-2.key"],
    )
    .ok();
    let settings = fs::read(dir.join("daas.toml")).unwrap();
    let poor = daas(&dir, &["executor", "rotate"]);
    assert_ne!(poor.code, 0, "{poor:?}");
    assert_eq!(fs::read(dir.join("daas.toml")).unwrap(), settings);
    let advised = poor
        .err
        .split('`')
        .nth(1)
        .unwrap()
        .replace("AMOUNT", "1SUI");
    let mut rich = command(DAAS);
    rich.env("DAAS_DIR", &dir).env("HOME", &dir);
    rich.env("DAAS_OPERATOR_KEY", dir.join("keys/operator.key"));
    Run::of(rich.args(advised.split(' ').skip(1))).ok();
    let rotated = json(&dir, &["executor", "rotate"]);
    assert_eq!(rotated["stake_mist"], 1_000_000_000_u64);
    let listed = json(&dir, &["executor", "list"]);
    let mut listed = listed.as_array().unwrap().iter();
    let new = listed
        .find(|entry| entry["id"] == rotated["executor"])
        .unwrap();
    assert_eq!(new["operator"], operator.address().to_string());
    assert_eq!(new["eligible"], true);
}

#[test]
fn bodies_end_with_their_key_and_no_request_does() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::start(&dir);
    let server = services.server();
    let listen = server.strip_prefix("https://").unwrap().to_owned();
    let authority = fs::read(dir.join("gateway/ca.crt")).unwrap();
    let bearer = bearer(&dir, &server, &[]);
    let create = |id: &str| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = client(&server, &authority, &bearer);
            let headers = [
                ("content-type", "application/json"),
                ("daas-request-id", id),
            ];
            let object =
                r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"a-"}}"#;
            let reply = client.send(Method::POST, CONFIGMAPS, &headers, Bytes::from(object));
            reply.await.map(|reply| reply.status.as_u16())
        })
    };
    let id = RequestId::new().to_string();
    assert_eq!(create(&id).unwrap(), 201);
    let key = fs::read(dir.join("blob.key")).unwrap();

    let rotate = || {
        let mut rotate = command(DAAS);
        rotate.env("HOME", &dir).env("DAAS_DIR", &dir);
        rotate.env("DAAS_GATEWAY_LISTEN", &listen);
        Run::of(rotate.args(["key", "rotate-blob", "-o", "json"]))
    };
    let says = |says: &str, code: i32| {
        let run = rotate();
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.err.contains(says), "{run:?}");
        assert_eq!(fs::read(dir.join("blob.key")).unwrap(), key);
    };
    says("the gateway runs", 5);
    // A request that nobody answers while its gateway dies.
    assert_eq!(services.nautilus.take().unwrap().stop(), 0);
    let waiting = RequestId::new().to_string();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| create(&waiting));
        let begun = std::time::Instant::now();
        while daas(&dir, &["request", "show", &waiting]).code != 0 {
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
        services.gateway.take().unwrap().kill();
        assert!(asked.join().unwrap().is_err());
    });
    says("1 requests wait for their answer", 3);
    services.start_nautilus();
    says("daas-nautilus runs", 5);
    let begun = std::time::Instant::now();
    while !daas(&dir, &["request", "show", &waiting])
        .ok()
        .contains("201")
    {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(services.nautilus.take().unwrap().stop(), 0);

    rotate().ok();
    let new = fs::read(dir.join("blob.key")).unwrap();
    assert_ne!(new, key);
    assert!(!dir.join("blobs.old").exists());
    services.start_nautilus();
    services.start_gateway();
    // Nothing is done twice; what was answered can be told no more.
    assert_eq!(create(&id).unwrap(), 410);
    assert_eq!(create(&RequestId::new().to_string()).unwrap(), 201);
    let list = daas(&dir, &["request", "GET", CONFIGMAPS]).ok();
    assert_eq!(list.matches("\"generateName\"").count(), 3, "{list}");

    // The old key opens nothing any more.
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    fs::write(dir.join("blob.key"), key).unwrap();
    let mut gateway = command(crate::support::GATEWAY);
    gateway.env("HOME", &dir).arg("--dir").arg(&dir);
    let gateway = Run::of(gateway.args(["--listen", "127.0.0.1:0"]));
    assert_eq!(gateway.code, 8, "{gateway:?}");
}

/// What the contract says of something that this executor has not signed.
fn anchor(dir: &Path, executor: &str) -> Option<Code> {
    let executor: ExecutorId = executor.parse().unwrap();
    let operator = load_development(&dir.join("keys/operator.key")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = LocalLedger::open(dir.join("ledger"), Arc::new(operator)).unwrap();
        ledger.sync().await.unwrap();
        let call = Call::AnchorReads {
            cluster: setting(dir, "cluster").parse().unwrap(),
            executor,
            message: AnchorMessage {
                executor,
                previous_root: Default::default(),
                root: Default::default(),
                first: 1,
                last: 1,
                count: 1,
            },
            signature: HexBytes(vec![0; 64]),
        };
        ledger.call(call).await.unwrap_err().code()
    })
}
