//! What `daas` says: help, errors, exit codes, output formats.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use support::{DAAS, GATEWAY, NAUTILUS, Process, Run, command, daas, dev, dev_with};

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
            &["token", "show", "executor/0x7"],
            2,
            "neither token/ID nor an ID",
        ),
        (
            &["executor", "deactivate", "token/0x7"],
            2,
            "neither executor/ID nor an ID",
        ),
        (
            &["request", "show", "token/0x7"],
            2,
            "neither request/ID nor an ID",
        ),
        (
            &["events", "--from", "request/1"],
            2,
            "neither event/ID nor",
        ),
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
        (&["dev", "--listen", "7443"], 2, "such as 127.0.0.1:7443"),
        (&["events", "--from", "yesterday"], 2, "no cursor"),
        (&["audit", "verify", "--head", "17"], 2, "no head"),
        (&["audit", "reconcile"], 2, "--cluster-audit"),
        (
            &["audit", "reconcile", "--cluster-audit", "-", "-"],
            2,
            "standard input can be read once",
        ),
        (
            &["audit", "reconcile", "--cluster-audit", "nowhere.log"],
            4,
            "nowhere.log cannot be read",
        ),
        (
            &["audit", "reconcile", "--cluster-audit", "-"],
            1,
            "--audit-policy-file",
        ),
        (
            &[
                "audit",
                "reconcile",
                "--cluster-audit",
                "-",
                "--clock-skew",
                "5",
            ],
            2,
            "no span of time",
        ),
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
        (
            &["key", "show", "nowhere.key"],
            8,
            "there is no file nowhere.key",
        ),
        (&["--log", "bogus", "config", "show"], 2, "is no level"),
        (&["--log", "a=b=c", "config", "show"], 2, "is no log filter"),
        (&["request", "GET", "version"], 2, "a path begins with `/`"),
        (&["request", "DELETE", "namespaces"], 2, "a path begins"),
        (&["request", "GET", "api/v1/pods"], 2, ": /api/v1/pods"),
        (
            &["request", "GET", "https://evil/x"],
            2,
            "give only the path: /x",
        ),
        (&["request", "GET", "/x#frag"], 2, "never sent"),
        (
            &["request", "POST", "/x", "-f", "nowhere.yaml"],
            4,
            "cannot read nowhere.yaml",
        ),
        (
            &["executor", "slash", "--evidence", "nowhere.json"],
            4,
            "cannot read nowhere.json",
        ),
        (
            &["token", "issue", "--dry-run", "--rules", "nowhere.yaml"],
            4,
            "cannot read nowhere.yaml",
        ),
        (&["kubeconfig", "--overwrite"], 2, "--merge"),
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
    let shown = &shown[0];
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

    // One block for each token that used the ID, and names are taken back.
    let token = daas(&dir, &["token", "issue", "--role", "view", "-o", "name"]).ok();
    let token = token.trim();
    let gateway = daas(
        &dir,
        &["key", "show", &key_of(&dir, "gateway"), "-o", "name"],
    )
    .ok();
    let delegate = ["token", "delegate", gateway.trim(), "--token", token];
    daas(&dir, &delegate).ok();
    let mut other = command(DAAS);
    other.env("HOME", &dir).env("DAAS_DIR", &dir);
    other.env("DAAS_TOKEN", token);
    let refused = Run::of(other.args([
        "request",
        "DELETE",
        &format!("{path}/a"),
        "--request-id",
        id,
    ]));
    assert_eq!(refused.code, 3, "{refused:?}");
    let name = format!("request/{id}");
    // A refusal is recorded behind its answer.
    let begun = std::time::Instant::now();
    let both = loop {
        let shown = daas(&dir, &["request", "show", &name, "-o", "json"]).ok();
        let both: Value = serde_json::from_str(&shown).unwrap();
        if both.as_array().unwrap().len() == 2 || begun.elapsed().as_secs() > 20 {
            break both;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let told: Vec<_> = both
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["outcome"].as_str().unwrap(),
                one["token"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told.len(), 2, "{both}");
    assert_eq!((told[0].0, told[1].0), ("answered", "refused"));
    assert_eq!(format!("token/{}", told[1].1), token);
    let table = daas(&dir, &["request", "show", id]).ok();
    let blocks: Vec<&str> = table.split("\n\n").collect();
    assert_eq!(blocks.len(), 2, "{table}");
    assert!(blocks[1].contains("did not admit it") && blocks[1].contains("nothing was executed"));
    let yaml = daas(&dir, &["request", "show", id, "-o", "yaml"]).ok();
    let read: Value = serde_yaml_ng::from_str(&yaml).unwrap();
    assert_eq!(read, both);

    let twice = daas(&dir, &["request", "POST", path, "-f", &file]);
    assert_eq!(twice.code, 1, "{twice:?}");
    assert!(
        twice.err.contains("409") && twice.err.contains("daas request show"),
        "{}",
        twice.err
    );
    let missing = daas(&dir, &["request", "GET", &format!("{path}/b")]);
    assert_eq!(missing.code, 4, "{missing:?}");
    // The body says it, once.
    assert!(missing.out.contains("not found") && missing.out.ends_with("}\n"));
    assert!(
        missing.err.contains("404") && !missing.err.contains("not found"),
        "{}",
        missing.err
    );
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
    for (kind, text, says) in [
        ("merge", "data: {z: '3'}\n", "\"z\""),
        ("strategic", "data: {w: '4'}\n", "\"w\""),
        ("json", "- {op: add, path: /data/v, value: '5'}\n", "\"v\""),
    ] {
        let file = dir.join("patch.yaml");
        std::fs::write(&file, text).unwrap();
        let file = file.to_string_lossy().into_owned();
        let object = format!("{path}/a");
        let patched = daas(
            &dir,
            &["request", "PATCH", &object, "--type", kind, "-f", &file],
        )
        .ok();
        assert!(patched.contains(says), "{kind}: {patched}");
    }
    // A watch never ends, so what it prints is there before it does.
    let mut watch = command(DAAS);
    watch.env("HOME", &dir).env("DAAS_DIR", &dir);
    watch.args(["request", "GET", &format!("{path}?watch=true")]);
    let watched = Process::read_until(&mut watch, |said| said.contains("ADDED"));
    assert!(watched.contains("ADDED"), "{watched}");
    let malformed = daas(&dir, &["request", "GET", "/api/v1/../secrets"]);
    assert_ne!(malformed.code, 0, "{malformed:?}");

    assert_eq!(running.stop(), 0);
    let down = daas(&dir, &["request", "GET", path]);
    assert_eq!(down.code, 5, "{down:?}");
    assert!(down.err.contains("does not answer"), "{}", down.err);
    assert!(
        !down.err.contains("ERROR") && !down.err.contains("WARN"),
        "no log lines: {}",
        down.err
    );
    daas(&dir, &["request", "show", id]).ok();
}

fn key_of(dir: &std::path::Path, role: &str) -> String {
    dir.join(format!("keys/{role}.key"))
        .to_string_lossy()
        .into_owned()
}

#[test]
fn names_and_trees_of_every_command() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    daas(&dir, &["dev", "--provision-only"]).ok();
    for (list, show) in [
        (&["token", "list", "-o", "name"][..], &["token", "show"][..]),
        (&["cluster", "show", "-o", "name"], &["cluster", "show"]),
        (&["events", "-o", "name"], &["events", "--from"]),
    ] {
        let names = daas(&dir, list).ok();
        let name = names.lines().next().unwrap();
        assert!(name.contains('/'), "{name}");
        daas(&dir, &[show, &[name]].concat()).ok();
    }
    let executor = daas(&dir, &["executor", "list", "-o", "name"]).ok();
    daas(&dir, &["executor", "deactivate", executor.trim()]).ok();
    // Also in a variable.
    for (variable, value, code) in [
        ("DAAS_EXECUTOR", executor.trim(), 0),
        ("DAAS_TOKEN", executor.trim(), 7),
        ("DAAS_CLUSTER", "token/0x1", 7),
    ] {
        let mut command = command(DAAS);
        command.env("HOME", &dir).env("DAAS_DIR", &dir);
        let run = Run::of(command.env(variable, value).args(["config", "show"]));
        assert_eq!(run.code, code, "{variable}={value}: {run:?}");
    }
    // YAML is the tree that JSON is, event by event, and kinds have the names of the Move structs.
    let json = daas(&dir, &["events", "-o", "json"]).ok();
    let yaml = daas(&dir, &["events", "-o", "yaml"]).ok();
    assert!(!yaml.contains('!'), "{yaml}");
    let documents = yaml.split("---\n").filter(|text| !text.is_empty());
    let from_yaml: Vec<Value> = documents
        .map(|text| serde_yaml_ng::from_str(text).unwrap())
        .collect();
    let from_json: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(from_yaml, from_json);
    assert!(
        from_json[0]["event"]["ClusterCreated"].is_object(),
        "{json}"
    );
    // No line of rules is wider than a terminal.
    let rules = daas(
        &dir,
        &[
            "token",
            "issue",
            "--role",
            "edit",
            "-n",
            "shop",
            "--dry-run",
        ],
    )
    .ok();
    let widest = rules.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(120), "{rules}");
    assert!(rules.contains("\ndeployments.apps/scale "), "{rules}");
}

#[test]
fn help_is_in_order_and_wrapped_once() {
    for (program, args) in [
        (DAAS, &["token", "issue", "--help"][..]),
        (DAAS, &["dev", "--help"]),
        (DAAS, &["events", "--help"]),
        (DAAS, &["request", "--help"]),
        (GATEWAY, &["--help"]),
        (NAUTILUS, &["--help"]),
    ] {
        let help = Run::of(command(program).args(args)).ok();
        let (own, global) = help.split_once("Global Options:\n").unwrap();
        for option in [
            "--config",
            "--dir <DIR>",
            "--log",
            "--passphrase-file",
            "--passphrase-fd",
        ] {
            assert!(!own.contains(&format!("  {option}")), "{option}: {help}");
            assert!(global.contains(option), "{option}: {help}");
        }
        // A paragraph that was wrapped twice has a short line in its middle.
        let (_, footer) = global
            .rsplit_once("is the passphrase of encrypted keys")
            .unwrap();
        let (footer, _) = footer.split_once("Examples:").unwrap();
        for paragraph in footer.split("\n\n") {
            let lines: Vec<&str> = paragraph.trim().lines().collect();
            for line in lines.iter().take(lines.len().saturating_sub(1)) {
                assert!(line.chars().count() > 75, "{line}\n{help}");
            }
        }
    }
    let help = Run::of(command(DAAS).args(["events", "--help"])).ok();
    assert!(!help.contains("indented"), "{help}");
}

#[test]
fn lost_and_foreign_keys_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, other) = (scratch.path().join("daas"), scratch.path().join("other"));
    for dir in [&dir, &other] {
        daas(dir, &["dev", "--provision-only"]).ok();
    }
    let refused = |what: &str, file: &std::path::Path, says: &str| {
        let run = daas(&dir, &["dev", "--provision-only"]);
        assert_eq!(run.code, 8, "{what} {}: {run:?}", file.display());
        for says in [says, &file.to_string_lossy(), "another --dir"] {
            assert!(run.err.contains(says), "{what}, {says}: {}", run.err);
        }
    };
    for role in [
        "admin",
        "owner",
        "gateway",
        "operator",
        "executor",
        "encryption",
    ] {
        let file = dir.join(format!("keys/{role}.key"));
        let whole = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        refused("lost", &file, "is gone");
        assert!(!file.exists(), "no other one is made");
        for (what, text, says) in [
            (
                "foreign",
                std::fs::read(other.join(format!("keys/{role}.key"))).unwrap(),
                "is not the one",
            ),
            ("garbled", b"hello".to_vec(), "cannot be used"),
            (
                "truncated",
                whole[..whole.len() / 2].to_vec(),
                "cannot be used",
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            refused(what, &file, says);
        }
        std::fs::write(&file, whole).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        refused("exposed", &file, "chmod 600");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    for mode in [0o777, 0o770, 0o702] {
        let keys = dir.join("keys");
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(mode)).unwrap();
        for args in [
            &["dev", "--provision-only"][..],
            &["token", "stake", "1SUI"],
            &["whoami"],
        ] {
            let run = daas(&dir, args);
            assert_eq!(run.code, 8, "{mode:o} {args:?}: {run:?}");
            assert!(run.err.contains("chmod go-w"), "{}", run.err);
        }
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    daas(&dir, &["dev", "--provision-only"]).ok();
    // The ledger itself is not made again either.
    std::fs::rename(dir.join("ledger"), dir.join("elsewhere")).unwrap();
    let run = daas(&dir, &["dev", "--provision-only"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(
        !dir.join("ledger").exists() && run.err.contains("is gone"),
        "{}",
        run.err
    );
}

#[test]
fn a_running_dev_is_told_of_and_remembers() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let running = dev_with(&dir, &["--listen", "127.0.0.1:0", "--bind", "view"]);
    let second = daas(&dir, &["dev"]);
    assert_eq!(second.code, 5, "{second:?}");
    for says in [
        "is running over",
        "as process ",
        "export KUBECONFIG=",
        "`kill ",
        "--dir",
    ] {
        assert!(second.err.contains(says), "{says}: {}", second.err);
    }
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let pods = "/api/v1/namespaces/default/pods";
    let may = || {
        let code = |path| daas(&dir, &["request", "GET", path]).code;
        (code(pods), code(roles))
    };
    assert_eq!(may(), (0, 3), "view sees no roles");
    assert_eq!(running.stop(), 0);
    let running = dev(&dir);
    assert_eq!(may(), (0, 3), "as before");
    assert_eq!(running.stop(), 0);
    let running = dev_with(&dir, &["--bind", "cluster-admin"]);
    assert_eq!(may(), (0, 0));
    assert_eq!(running.stop(), 0);
    for file in ["gateway/ca.key", "blob.key"] {
        let file = dir.join(file);
        let away = file.with_extension("away");
        std::fs::rename(&file, &away).unwrap();
        let run = daas(&dir, &["dev"]);
        assert_eq!(run.code, 8, "{run:?}");
        for says in ["is gone", &file.to_string_lossy()] {
            assert!(run.err.contains(says), "{says}: {}", run.err);
        }
        assert!(!file.exists(), "no other one is made");
        std::fs::rename(&away, &file).unwrap();
    }
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
    // Never into what daas itself writes anew at the next start.
    let ours = dir.join("kubeconfig");
    let before = std::fs::read_to_string(&ours).unwrap();
    let into = |kubeconfig: &std::ffi::OsStr, name: &str| {
        let mut merge = command(DAAS);
        merge
            .env("DAAS_DIR", &dir)
            .env("HOME", scratch.path())
            .env("KUBECONFIG", kubeconfig);
        Run::of(merge.args(["kubeconfig", "--merge", "--name", name]))
    };
    let nothing = into(ours.as_os_str(), "daas");
    assert_eq!(nothing.code, 0, "{nothing:?}");
    assert!(nothing.err.contains("nothing to merge"), "{}", nothing.err);
    let lost = into(ours.as_os_str(), "shop");
    assert_eq!(lost.code, 7, "{lost:?}");
    assert!(lost.err.contains("KUBECONFIG= daas"), "{}", lost.err);
    let second = std::env::join_paths([&ours, &theirs]).unwrap();
    let passed = into(&second, "other");
    assert_eq!(passed.code, 0, "{passed:?}");
    assert!(
        std::fs::read_to_string(&theirs)
            .unwrap()
            .contains("name: other")
    );
    assert_eq!(std::fs::read_to_string(&ours).unwrap(), before);

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
