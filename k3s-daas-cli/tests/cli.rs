//! What `daas` says: help, errors, exit codes, output formats.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use support::{DAAS, GATEWAY, NAUTILUS, Process, Run, command, daas, dev};

#[test]
fn every_command_has_help_with_examples() {
    for program in [DAAS, GATEWAY, NAUTILUS] {
        let help = Run::of(command(program).arg("--help")).ok();
        assert!(
            help.contains("Examples:\n") && help.contains("Exit codes:\n  0  done"),
            "{help}"
        );
        assert!(
            help.contains("--config") && help.contains("--dir"),
            "{help}"
        );
    }
    let mut leaves = 0;
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let help = Run::of(command(DAAS).args(&path).arg("--help")).ok();
        let commands = subcommands(&help);
        if commands.is_empty() {
            assert!(
                help.contains("Examples:"),
                "daas {}:\n{help}",
                path.join(" ")
            );
            leaves += 1;
        }
        for name in commands {
            waiting.push([path.clone(), vec![name]].concat());
        }
    }
    assert!(leaves >= 30, "only {leaves} commands");
}

fn subcommands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    for (args, code, says) in [
        (&["nonsense"][..], 2, "unrecognized subcommand"),
        (
            &["token", "issue", "--role", "owner"],
            2,
            "one of view, edit, admin",
        ),
        (&["token", "stake", "1.5"], 2, "written 1.5SUI"),
        (
            &["token", "delegate", "0x1", "--for", "1w"],
            2,
            "written 90s, 10m, 8h, 7d",
        ),
        (&["token", "show", "me"], 2, "0x and up to 64"),
        (
            &["token", "issue", "--dry-run"],
            2,
            "--role view, edit or admin",
        ),
        (
            &["token", "issue", "--dry-run", "--namespace", "a"],
            2,
            "--role",
        ),
        (&["request", "FETCH", "/api"], 2, "GET"),
        (&["events", "--from", "yesterday"], 2, "no cursor"),
        (&["audit", "verify", "--head", "17"], 2, "no head"),
        (&["token", "list"], 4, "there is no ledger"),
        (
            &["audit", "verify"],
            4,
            "`daas dev` or `daas cluster create`",
        ),
        (&["token", "show"], 4, "there is no ledger"),
        (&["whoami"], 7, "`token` is not set"),
        (&["login"], 7, "DAAS_TOKEN"),
        (&["credential"], 7, "`token` is not set"),
        (&["kubeconfig"], 4, "there is no gateway to talk to"),
        (&["cluster", "create"], 8, "daas key new"),
        (&["key", "show", "nowhere.key"], 8, "there is no named key"),
        (
            &["key", "new", "new.key"],
            8,
            "--passphrase-file or --passphrase-fd",
        ),
        (
            &["--config", "nowhere.toml", "config", "show"],
            7,
            "cannot read the settings",
        ),
    ] {
        let run = daas(dir, args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert!(
            run.err.contains(says),
            "{args:?} should say `{says}`: {}",
            run.err
        );
        assert!(
            run.out.is_empty(),
            "{args:?} prints errors to standard error: {}",
            run.out
        );
    }
}

#[test]
fn settings_come_from_where_they_say() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    std::fs::write(
        dir.join("daas.toml"),
        "cluster = \"0x1\"\n[gateway]\nserver = \"https://a:1\"\n",
    )
    .unwrap();
    let show = |extra: &[(&str, &str)], args: &[&str]| {
        let mut command = command(DAAS);
        command.env("HOME", dir).env("DAAS_DIR", dir).args(args);
        for (name, value) in extra {
            command.env(name, value);
        }
        let entries: Value = serde_json::from_str(&Run::of(&mut command).ok()).unwrap();
        let find = |key: &str| {
            let entry = entries
                .as_array()
                .unwrap()
                .iter()
                .find(|entry| entry["key"] == key);
            entry.unwrap().clone()
        };
        (find("cluster"), find("dir"), find("gateway.listen"))
    };
    let (cluster, place, listen) = show(&[], &["config", "show", "-o", "json"]);
    assert_eq!(cluster["value"], "0x1");
    assert_eq!(
        cluster["origin"],
        dir.join("daas.toml").to_string_lossy().as_ref()
    );
    assert_eq!(place["origin"], "DAAS_DIR");
    assert_eq!(listen["origin"], "default");
    let (cluster, _, _) = show(
        &[("DAAS_CLUSTER", "0x2")],
        &["config", "show", "-o", "json"],
    );
    assert_eq!(
        (&cluster["value"], &cluster["origin"]),
        (&"0x2".into(), &"DAAS_CLUSTER".into())
    );
    let (_, place, _) = show(
        &[],
        &[
            "--dir",
            &dir.to_string_lossy(),
            "config",
            "show",
            "-o",
            "json",
        ],
    );
    assert_eq!(place["origin"], "flag");

    std::fs::write(dir.join("daas.toml"), "clutser = \"0x1\"\n").unwrap();
    let run = daas(dir, &["config", "show"]);
    assert_eq!(run.code, 7);
    assert!(run.err.contains("did you mean `cluster`?"), "{}", run.err);
}

#[test]
fn roles_are_shown_before_they_are_granted() {
    let scratch = tempfile::tempdir().unwrap();
    let run = daas(
        scratch.path(),
        &[
            "token",
            "issue",
            "--role",
            "edit",
            "-n",
            "shop",
            "--dry-run",
            "-o",
            "json",
        ],
    );
    let rules: Value = serde_json::from_str(&run.ok()).unwrap();
    let rules = rules.as_array().unwrap();
    assert!(rules.len() > 10);
    assert!(
        rules
            .iter()
            .all(|rule| rule["namespaces"] == serde_json::json!(["shop"]))
    );
    let file = scratch.path().join("rules.yaml");
    std::fs::write(
        &file,
        "- verbs: [fly]\n  apiGroups: ['']\n  resources: [pods]\n  namespaces: ['*']\n",
    )
    .unwrap();
    let run = daas(
        scratch.path(),
        &[
            "token",
            "issue",
            "--rules",
            &file.to_string_lossy(),
            "--dry-run",
        ],
    );
    assert_eq!(run.code, 1);
    assert!(
        run.err.contains("rule 1 is not valid") && run.err.contains("no verb"),
        "{}",
        run.err
    );
}

#[test]
fn passphrases_come_through_descriptors() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let sh = |script: &str| {
        let mut command = command("sh");
        Run::of(
            command
                .env("HOME", dir)
                .env("DAAS", DAAS)
                .current_dir(dir)
                .args(["-c", script]),
        )
    };
    sh("printf 'open sesame\\n' | \"$DAAS\" key new a.key --passphrase-fd 0").ok();
    let key = sh("\"$DAAS\" key show a.key -o name").ok();
    assert!(key.starts_with("key/0x"), "{key}");
    let mode = std::fs::metadata(dir.join("a.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(dir.join("a.key")).unwrap();
    assert!(text.contains("argon2id") && !text.contains("sesame"));
    for (script, says) in [
        (
            "printf '' | \"$DAAS\" key new b.key --passphrase-fd 0",
            "passphrase",
        ),
        ("\"$DAAS\" key new b.key --passphrase-fd 77", "/dev/fd/77"),
        (
            "printf 'x' > open && chmod 644 open && \"$DAAS\" key new b.key --passphrase-file open",
            "chmod 600",
        ),
    ] {
        let run = sh(script);
        assert_eq!(run.code, 8, "{script}: {run:?}");
        assert!(run.err.contains(says), "{script}: {}", run.err);
    }
    std::fs::set_permissions(dir.join("a.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = sh("\"$DAAS\" key show a.key");
    assert_eq!(exposed.code, 8, "{exposed:?}");
}

#[test]
fn shells_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Run::of(command(DAAS).args(["completion", shell])).ok();
        assert!(script.contains("memory-cluster"), "{shell}");
    }
}

#[test]
fn the_cluster_of_the_current_kubeconfig() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, theirs) = (scratch.path().join("daas"), scratch.path().join("theirs"));
    let mut cluster = command(DAAS);
    cluster
        .args(["memory-cluster", "--listen", "127.0.0.1:0", "--kubeconfig"])
        .arg(&theirs);
    let cluster = Process::start(
        cluster,
        &scratch.path().join("cluster.log"),
        "export KUBECONFIG=",
    );
    let start = |extra: &[&str]| {
        let mut command = command(DAAS);
        command
            .env("HOME", scratch.path())
            .env("KUBECONFIG", &theirs)
            .arg("dev")
            .arg("--dir")
            .arg(&dir);
        command.args(["--listen", "127.0.0.1:0"]).args(extra);
        Process::start(
            command,
            &scratch.path().join("dev.log"),
            "export KUBECONFIG=",
        )
    };
    let running = start(&["--cluster", "current"]);
    assert!(
        running
            .said()
            .contains("kubectl create clusterrolebinding daas-seal-0x"),
        "{}",
        running.said()
    );
    // The token allows everything; the cluster knows nothing of it yet.
    let pods = "/api/v1/namespaces/default/pods";
    let unbound = daas(&dir, &["request", "GET", pods]);
    assert_eq!(unbound.code, 3, "{unbound:?}");
    assert_eq!(running.stop(), 0);
    // Which cluster it is was noted down.
    let running = start(&["--bind", "edit"]);
    daas(&dir, &["request", "GET", pods]).ok();
    let roles = daas(
        &dir,
        &[
            "request",
            "GET",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        ],
    );
    assert_eq!(roles.code, 3, "edit may not see roles: {roles:?}");
    assert_eq!(running.stop(), 0);
    let mut itself = command(DAAS);
    itself
        .env("HOME", scratch.path())
        .env("KUBECONFIG", dir.join("kubeconfig"))
        .arg("dev")
        .arg("--dir")
        .arg(&dir);
    let itself = Run::of(itself.args(["--cluster", "current"]));
    assert_eq!(itself.code, 7, "{itself:?}");
    assert!(itself.err.contains("this gateway's own"), "{}", itself.err);
    assert_eq!(cluster.stop(), 0);
}

#[test]
fn requests_without_kubectl() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let running = dev(&dir);
    let file = dir.join("configmap.yaml");
    std::fs::write(
        &file,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n",
    )
    .unwrap();
    let file = file.to_string_lossy().into_owned();
    let path = "/api/v1/namespaces/default/configmaps";
    let made = daas(&dir, &["request", "POST", path, "-f", &file, "-o", "json"]).ok();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["status"], 201);
    let id = made["request_id"].as_str().unwrap();
    let shown: Value =
        serde_json::from_str(&daas(&dir, &["request", "show", id, "-o", "json"]).ok()).unwrap();
    assert_eq!(
        (&shown["outcome"], &shown["http_status"]),
        (&"answered".into(), &201.into())
    );
    assert_eq!(shown["command"], format!("POST {path}"));
    let trail = daas(&dir, &["audit", "verify", "--request", id]).ok();
    assert!(
        trail.contains("admitted") && trail.contains("answered 201"),
        "{trail}"
    );

    let twice = daas(&dir, &["request", "POST", path, "-f", &file]);
    assert_eq!(twice.code, 1, "{twice:?}");
    assert!(
        twice.err.contains("409") && twice.err.contains("daas request show"),
        "{}",
        twice.err
    );
    let missing = daas(&dir, &["request", "GET", &format!("{path}/b")]);
    assert_eq!(missing.code, 4, "{missing:?}");
    let unknown = daas(
        &dir,
        &["request", "show", "0192d8f0-1111-7abc-8def-0123456789ab"],
    );
    assert_eq!(unknown.code, 4, "{unknown:?}");
    let patch = dir.join("patch.json");
    std::fs::write(&patch, r#"{"data":{"y":"2"}}"#).unwrap();
    let patch = patch.to_string_lossy().into_owned();
    let patched = daas(
        &dir,
        &[
            "request",
            "patch",
            &format!("{path}/a"),
            "--type",
            "merge",
            "-f",
            &patch,
        ],
    )
    .ok();
    assert!(patched.contains("\"y\""), "{patched}");
    let malformed = daas(&dir, &["request", "GET", "/api/v1/../secrets"]);
    assert_ne!(malformed.code, 0, "{malformed:?}");

    assert_eq!(running.stop(), 0);
    let down = daas(&dir, &["request", "GET", path]);
    assert_eq!(down.code, 5, "{down:?}");
    assert!(down.err.contains("does not answer"), "{}", down.err);
    daas(&dir, &["request", "show", id]).ok();
}

#[test]
fn kubeconfigs_are_merged() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let running = dev(&dir);
    assert_eq!(running.stop(), 0);
    let theirs = scratch.path().join("config");
    std::fs::write(
        &theirs,
        "apiVersion: v1\nkind: Config\ncontexts:\n- name: mine\n  context: {cluster: c}\n",
    )
    .unwrap();
    let mut merge = command(DAAS);
    merge
        .env("DAAS_DIR", &dir)
        .env("HOME", scratch.path())
        .env("KUBECONFIG", &theirs);
    merge.args(["kubeconfig", "--merge", "--name", "shop"]);
    Run::of(&mut merge).ok();
    let merged = std::fs::read_to_string(&theirs).unwrap();
    assert!(
        merged.contains("name: mine") && merged.contains("current-context: shop"),
        "{merged}"
    );
    let printed = daas(&dir, &["kubeconfig"]).ok();
    assert_eq!(
        printed,
        std::fs::read_to_string(dir.join("kubeconfig")).unwrap()
    );
    assert!(
        !printed.contains("seal_") && !printed.contains("token:"),
        "{printed}"
    );
}

#[test]
fn the_demo_as_json() {
    let run = Run::of(command(DAAS).args(["demo", "-o", "json"]));
    let told: Value = serde_json::from_str(&run.ok()).unwrap();
    assert_eq!(told["verified"], true);
    assert_eq!(
        (&told["requests"], &told["rejected"]),
        (&8.into(), &5.into())
    );
    let steps = told["steps"].as_array().unwrap();
    let statuses: Vec<_> = steps
        .iter()
        .filter_map(|step| step["status"].as_u64())
        .collect();
    assert_eq!(statuses, [201, 200, 200, 403, 403, 403, 401, 401]);
    assert!(steps.iter().all(|step| step["ok"] == true));
    assert!(
        steps.last().unwrap()["what"]
            .as_str()
            .unwrap()
            .starts_with("found: call ")
    );
}

#[test]
fn the_demo_as_a_story() {
    let run = Run::of(command(DAAS).arg("demo"));
    assert!(run.err.is_empty(), "{}", run.err);
    let story = run.ok();
    for says in [
        "create Pod demo → 201",
        "it lacks resource secrets",
        "needs 1 SUI",
        "has expired",
        "All is as it should be",
    ] {
        assert!(story.contains(says), "{says}: {story}");
    }
    assert!(!story.contains("seal_"), "no credential is shown");
}
