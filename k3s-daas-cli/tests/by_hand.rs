//! Directories made by hand: encrypted keys, sessions, the services alone.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{DAAS, GATEWAY, NAUTILUS, Process, Run, command, daas, free_address};

#[test]
fn by_hand_with_encrypted_keys() {
    let hand = ByHand::new();
    let again = hand.run(&["key", "new", &hand.key("owner")]);
    assert_eq!(again.code, 8, "{again:?}");
    let issued = hand.run(&[
        "token", "issue", "--role", "edit", "-n", "shop", "--stake", "1.5SUI", "--save", "-o",
        "json",
    ]);
    let token: Value = serde_json::from_str(&issued.ok()).unwrap();
    assert_eq!(
        (&token["bonded_mist"], &token["status"]),
        (&1_500_000_000_u64.into(), &"valid".into())
    );
    let shown: Value =
        serde_json::from_str(&hand.run(&["token", "show", "-o", "json"]).ok()).unwrap();
    assert_eq!(shown["id"], token["id"]);

    let poor = hand.run(&["token", "stake", "1000SUI"]);
    assert_eq!(poor.code, 1, "{poor:?}");
    let zero = hand.run(&["token", "stake", "0SUI"]);
    assert_eq!(zero.code, 3, "{zero:?}");
    assert!(zero.err.contains("EZeroAmount (32)"), "{}", zero.err);
    hand.run(&["token", "unstake", "0.5SUI"]).ok();
    let early = hand.run(&["token", "withdraw"]);
    assert_eq!(early.code, 3, "{early:?}");
    assert!(early.err.contains("EStillUnbonding"), "{}", early.err);

    let delegate = "0x5ea1";
    let delegated = hand
        .run(&["token", "delegate", delegate, "--for", "7d"])
        .ok();
    assert!(delegated.contains("5ea1"), "{delegated}");
    hand.run(&["token", "delegate", delegate, "--remove"]).ok();
    assert_eq!(
        hand.run(&["token", "delegate", delegate, "--remove"]).code,
        3
    );
    assert_eq!(hand.run(&["token", "show", "0x1"]).code, 4);

    hand.run(&[
        "cluster",
        "set",
        "--min-write-stake",
        "2SUI",
        "--lease",
        "5s",
    ])
    .ok();
    let cluster: Value =
        serde_json::from_str(&hand.run(&["cluster", "show", "-o", "json"]).ok()).unwrap();
    assert_eq!(cluster["policy"]["lease_ms"], 5000);
    let bad = hand.run(&["cluster", "set", "--lease", "1ms"]);
    assert_eq!(bad.code, 3, "{bad:?}");
    let executor = hand.run(&["executor", "list", "-o", "name"]).ok();
    let executor = executor
        .trim()
        .strip_prefix("executor/")
        .unwrap()
        .to_owned();
    hand.run(&["executor", "deactivate", &executor]).ok();
    assert!(hand.run(&["executor", "list"]).ok().contains("inactive"));

    let evidence = hand.path().join("evidence.json");
    std::fs::write(&evidence, "{}").unwrap();
    let slashed = hand.run(&[
        "executor",
        "slash",
        "--evidence",
        &evidence.to_string_lossy(),
    ]);
    assert_eq!(slashed.code, 1, "{slashed:?}");
    assert!(slashed.err.contains("is no evidence"), "{}", slashed.err);

    let id = token["id"].as_str().unwrap();
    hand.run(&["token", "revoke", id]).ok();
    assert_eq!(hand.run(&["token", "revoke", id]).code, 3);
    let events = hand.run(&["events", "-o", "json"]).ok();
    assert!(
        events
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
    assert!(events.contains("SealTokenRevoked") && events.contains("StakeUnbonding"));
    let cursor =
        serde_json::from_str::<Value>(events.lines().last().unwrap()).unwrap()["cursor"]["major"]
            .to_string();
    assert_eq!(hand.run(&["events", "--from", &cursor]).ok(), "");
    hand.run(&["audit", "verify"]).ok();

    std::fs::write(&hand.passphrase, "wrong\n").unwrap();
    let wrong = hand.run(&["token", "stake", "1SUI"]);
    assert_eq!(wrong.code, 8, "{wrong:?}");
    assert!(wrong.err.contains("passphrase"), "{}", wrong.err);
    assert!(
        !wrong.err.contains("wrong\n"),
        "the passphrase is not repeated"
    );
}

#[test]
fn the_services_by_hand_with_encrypted_keys() {
    let hand = ByHand::new();
    let kubeconfig = hand.path().join("theirs");
    let log = |name: &str| hand.path().join(format!("{name}.log"));
    let mut cluster = command(DAAS);
    cluster.args([
        "memory-cluster",
        "--no-authorization",
        "--listen",
        "127.0.0.1:0",
        "--kubeconfig",
    ]);
    cluster.arg(&kubeconfig);
    let cluster = Process::start(cluster, &log("cluster"), "export KUBECONFIG=");
    let listen = free_address();
    let service = |program: &str, args: &[&str], ready: &str| {
        let mut command = command(program);
        command
            .env("HOME", hand.path())
            .env("DAAS_DIR", hand.path());
        command
            .env("DAAS_PASSPHRASE_FILE", &hand.passphrase)
            .env("DAAS_GATEWAY_LISTEN", &listen);
        command.args(args);
        Process::start(command, &log(ready), ready)
    };
    let nautilus = service(
        NAUTILUS,
        &["--kubeconfig", &kubeconfig.to_string_lossy()],
        "executing on ",
    );
    let gateway = service(GATEWAY, &[], "serving ");
    let delegate = hand
        .run(&["key", "show", &hand.key("gateway"), "-o", "name"])
        .ok();
    let delegate = delegate.trim().strip_prefix("key/").unwrap();
    hand.run(&[
        "token", "issue", "--role", "edit", "-n", "default", "--stake", "1SUI", "--save",
    ])
    .ok();
    hand.run(&["login"]).ok();
    let request = |method: &str, path: &str, file: Option<&str>| {
        let mut command = command(DAAS);
        command
            .env("HOME", hand.path())
            .env("DAAS_DIR", hand.path())
            .env("DAAS_GATEWAY_LISTEN", &listen);
        command.args(["request", method, path]);
        if let Some(file) = file {
            command.args(["-f", file]);
        }
        Run::of(&mut command)
    };
    let pods = "/api/v1/namespaces/default/pods";
    let stranger = request("GET", pods, None);
    assert_eq!(
        stranger.code, 3,
        "the gateway is no delegate yet: {stranger:?}"
    );
    hand.run(&["token", "delegate", delegate]).ok();
    request("GET", pods, None).ok();
    let elsewhere = request("GET", "/api/v1/namespaces/kube-system/pods", None);
    assert_eq!(elsewhere.code, 3, "{elsewhere:?}");
    let file = hand.path().join("configmap.json");
    std::fs::write(
        &file,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#,
    )
    .unwrap();
    request(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        Some(&file.to_string_lossy()),
    )
    .ok();
    hand.run(&["token", "unstake", "0.5SUI"]).ok();
    let poor = request(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        Some(&file.to_string_lossy()),
    );
    assert_eq!(poor.code, 3, "{poor:?}");
    assert!(poor.out.contains("needs 1 SUI"), "{poor:?}");
    // The key is removed on the ledger, so a credential that somebody kept is worth nothing at once.
    let session = std::fs::read_dir(hand.path().join("sessions")).unwrap();
    let kept: Vec<(PathBuf, Vec<u8>)> = session
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    hand.run(&["logout"]).ok();
    assert_eq!(request("GET", pods, None).code, 8, "nobody is logged in");
    for (path, bytes) in kept {
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let late = request("GET", pods, None);
    assert_eq!(late.code, 3, "{late:?}");
    assert!(late.err.contains("401"), "{}", late.err);
    assert_eq!(gateway.stop(), 0);
    assert_eq!(nautilus.stop(), 0);
    assert_eq!(cluster.stop(), 0);
    hand.run(&["audit", "verify"]).ok();
}

#[test]
fn a_session_signs_until_it_ends() {
    let hand = ByHand::new();
    hand.run(&["token", "issue", "--role", "view", "--save"])
        .ok();
    let nobody = hand.run(&["credential"]);
    assert_eq!(nobody.code, 8, "{nobody:?}");
    assert!(nobody.err.contains("`daas login`"), "{}", nobody.err);
    assert_eq!(hand.run(&["whoami"]).code, 8);
    // Of another than the settings' token the advice is for that one.
    let issue = ["token", "issue", "--role", "view", "-o", "name"];
    let second = hand.run(&issue).ok();
    let second = second.trim().trim_start_matches("token/");
    let nobody = hand.run(&["credential", "--token", second]);
    assert_eq!(nobody.code, 8, "{nobody:?}");
    let advice = format!("`daas login --token {second}`");
    assert!(nobody.err.contains(&advice), "{}", nobody.err);
    // What changes a token prints it as asked for.
    for change in [
        &["token", "stake", "1MIST"][..],
        &["token", "unstake", "1MIST"],
        &["token", "delegate", &format!("0x{}", "5e".repeat(32))],
    ] {
        let named = [change, &["--token", second, "-o", "name"]].concat();
        assert_eq!(hand.run(&named).ok().trim(), format!("token/{second}"));
    }
    let revoked = hand.run(&["token", "revoke", second, "-o", "json"]).ok();
    let revoked: Value = serde_json::from_str(&revoked).unwrap();
    assert_eq!(revoked["id"], second);

    hand.run(&["login"]).ok();
    let who: Value = serde_json::from_str(&hand.run(&["whoami", "-o", "json"]).ok()).unwrap();
    assert_eq!(who["signs_with"], "session key");
    let first: Value = serde_json::from_str(&hand.run(&["credential"]).ok()).unwrap();
    assert_eq!(first["apiVersion"], "client.authentication.k8s.io/v1");
    assert!(
        first["status"]["token"]
            .as_str()
            .unwrap()
            .starts_with("seal_")
    );
    assert!(
        first["status"]["expirationTimestamp"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let second: Value = serde_json::from_str(&hand.run(&["credential"]).ok()).unwrap();
    assert_eq!(first, second, "it is kept until shortly before its end");
    let other: Value =
        serde_json::from_str(&hand.run(&["credential", "--audience", "b:1"]).ok()).unwrap();
    assert_ne!(first["status"]["token"], other["status"]["token"]);
    for entry in std::fs::read_dir(hand.path().join("sessions")).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
    let mut old = command(DAAS);
    old.env("DAAS_DIR", hand.path())
        .env(
            "KUBERNETES_EXEC_INFO",
            r#"{"apiVersion":"client.authentication.k8s.io/v1beta1"}"#,
        )
        .arg("credential");
    assert_eq!(Run::of(&mut old).code, 2);

    // Another login replaces the first key on the ledger too.
    hand.run(&["login", "--for", "1h"]).ok();
    let shown: Value =
        serde_json::from_str(&hand.run(&["token", "show", "-o", "json"]).ok()).unwrap();
    assert_eq!(shown["session_keys"].as_object().unwrap().len(), 1);
    hand.run(&["logout"]).ok();
    let shown: Value =
        serde_json::from_str(&hand.run(&["token", "show", "-o", "json"]).ok()).unwrap();
    assert_eq!(shown["session_keys"].as_object().unwrap().len(), 0);
    assert_eq!(hand.run(&["credential"]).code, 8);
    assert_eq!(
        hand.run(&["logout"]).code,
        0,
        "nobody to log out is no error"
    );
}

#[test]
fn a_logout_that_cannot_be_done_changes_nothing() {
    let hand = ByHand::new();
    hand.run(&["token", "issue", "--role", "view", "--save"])
        .ok();
    hand.run(&["login"]).ok();
    let keys = || {
        let shown = hand.run(&["token", "show", "-o", "json"]).ok();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown["session_keys"].as_object().unwrap().len()
    };
    let without = || {
        let mut command = command(DAAS);
        command
            .env("HOME", hand.path())
            .env("DAAS_DIR", hand.path());
        Run::of(command.arg("logout"))
    };
    let wrong = hand.path().join("wrong");
    std::fs::write(&wrong, "incorrect horse\n").unwrap();
    std::fs::set_permissions(&wrong, std::fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = wrong.to_string_lossy().into_owned();
    for run in [
        without(),
        hand.run(&["logout", "--passphrase-file", &wrong]),
        without(),
    ] {
        assert_eq!(run.code, 8, "{run:?}");
        assert!(run.err.contains("nothing was changed"), "{}", run.err);
        hand.run(&["credential"]).ok();
        assert_eq!(keys(), 1);
    }
    // Only here, and how to end it there.
    let local = hand.run(&["logout", "--local"]);
    assert_eq!((local.code, keys()), (0, 1), "{local:?}");
    assert_eq!(hand.run(&["credential"]).code, 8);
    let (_, next) = local.err.split_once("to end it there: daas ").unwrap();
    hand.run(&next.split_whitespace().collect::<Vec<_>>()).ok();
    assert_eq!(keys(), 0);

    // A session that the ledger does not know any more is seen without a request.
    hand.run(&["login"]).ok();
    let status = || {
        let who = hand.run(&["whoami", "-o", "json"]).ok();
        serde_json::from_str::<Value>(&who).unwrap()["status"].clone()
    };
    assert_eq!(status(), "valid");
    let shown: Value =
        serde_json::from_str(&hand.run(&["token", "show", "-o", "json"]).ok()).unwrap();
    let keys = shown["session_keys"].as_object().unwrap();
    let key = keys.keys().next().unwrap();
    hand.run(&["token", "session", key, "--remove"]).ok();
    assert_eq!(status(), "unknown key");
    hand.run(&["logout"]).ok();
}

#[test]
fn forty_credentials_at_once_are_one() {
    let hand = ByHand::new();
    hand.run(&["token", "issue", "--role", "view", "--save"])
        .ok();
    hand.run(&["login"]).ok();
    let outputs: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| hand.run(&["credential"]).ok()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}

#[test]
fn development_keys_are_refused_elsewhere() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("dev");
    daas(&dir, &["dev", "--provision-only"]).ok();
    let hand = ByHand::new();
    let key = dir.join("keys/owner.key").to_string_lossy().into_owned();
    let run = hand.run(&["key", "show", &key]);
    assert_eq!(run.code, 8, "{run:?}");
    assert!(run.err.contains("development key"), "{}", run.err);
    // And a directory that is somebody's own is not taken over.
    let run = hand.run(&["dev", "--provision-only"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.err.contains("no development directory"), "{}", run.err);
    for entry in ["keys", "ledger", "gateway", "sessions"] {
        if let Ok(metadata) = std::fs::metadata(dir.join(entry)) {
            assert_eq!(metadata.permissions().mode() & 0o077, 0, "{entry}");
        }
    }
}

#[test]
fn a_credential_takes_less_than_ten_milliseconds() {
    let hand = ByHand::new();
    hand.run(&["token", "issue", "--role", "view", "--save"])
        .ok();
    hand.run(&["login"]).ok();
    // Neither the ledger nor the owner's key is touched, so both may be gone.
    std::fs::remove_dir_all(hand.path().join("ledger")).unwrap();
    std::fs::remove_dir_all(hand.path().join("keys")).unwrap();
    hand.run(&["credential"]).ok();
    let fastest = (0..50)
        .map(|_| {
            let begun = std::time::Instant::now();
            hand.run(&["credential"]).ok();
            begun.elapsed()
        })
        .min();
    // The fastest, since other tests run beside this one.
    assert!(
        fastest < Some(std::time::Duration::from_millis(10)),
        "{fastest:?}"
    );
}

/// A directory made by hand, with encrypted keys.
struct ByHand {
    dir: tempfile::TempDir,
    passphrase: PathBuf,
}

impl ByHand {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let passphrase = dir.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse\n").unwrap();
        std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
        let hand = Self { dir, passphrase };
        for role in [
            "admin",
            "owner",
            "gateway",
            "operator",
            "executor",
            "encryption",
        ] {
            hand.run(&["key", "new", &hand.key(role)]).ok();
        }
        let owner = format!("{}=100SUI", hand.key("owner"));
        hand.run(&["cluster", "create", "--name", "shop", "--fund", &owner])
            .ok();
        hand.run(&["executor", "register"]).ok();
        hand
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn key(&self, role: &str) -> String {
        self.path()
            .join(format!("keys/{role}.key"))
            .to_string_lossy()
            .into_owned()
    }

    fn run(&self, args: &[&str]) -> Run {
        let mut command = command(DAAS);
        command
            .env("HOME", self.path())
            .env("DAAS_DIR", self.path())
            .env("DAAS_PASSPHRASE_FILE", &self.passphrase)
            .args(args);
        Run::of(&mut command)
    }
}

/// Pasted from the README, all of them start at once.
#[test]
fn nautilus_waits_for_the_memory_cluster_beside_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut all = support::Separate::provision(&scratch.path().join("daas"));
    all.start_nautilus_until("waiting for ");
    all.start_cluster();
    let nautilus = all.nautilus.as_ref().unwrap();
    let begun = std::time::Instant::now();
    while !nautilus.said().contains("executing on ") {
        assert!(begun.elapsed().as_secs() < 30, "{}", nautilus.said());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn another_ledger_in_the_place_of_this_one_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    let [mine, other] = ["mine", "other"].map(|name| scratch.path().join(name));
    daas(&mine, &["dev", "--provision-only"]).ok();
    daas(&other, &["dev", "--provision-only"]).ok();
    daas(&mine, &["audit", "verify"]).ok();
    std::fs::remove_dir_all(mine.join("ledger")).unwrap();
    std::fs::rename(other.join("ledger"), mine.join("ledger")).unwrap();
    for words in [&["audit", "verify"][..], &["token", "list"]] {
        let run = daas(&mine, words);
        assert_eq!(run.code, 6, "{run:?}");
        assert!(run.err.contains("the settings speak of"), "{}", run.err);
    }
}
