//! What goes wrong at first: two tokens in one directory, names that are taken, examples that are copied.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use support::{DAAS, Run, command, daas, dev, kubectls};

#[test]
fn a_kubeconfig_is_of_the_token_that_was_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let running = dev(&dir);
    let first = daas(&dir, &["token", "list", "-o", "json"]).ok();
    let first: Value = serde_json::from_str(&first).unwrap();
    let who = json(&daas(&dir, &["whoami", "-o", "json"]).ok());
    let first = first
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["id"] == who["token"])
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = daas(&dir, &["token", "issue", "--role", "view", "-o", "name"]).ok();
    let second = second.trim().strip_prefix("token/").unwrap();
    assert_ne!(first, second);

    // The gateway may not submit for the second one yet.
    let stranger = daas(&dir, &["whoami", "--token", second]);
    assert!(
        stranger.err.contains("daas token delegate 0x"),
        "{stranger:?}"
    );
    assert!(stranger.ok().contains("STATUS"));
    assert!(!daas(&dir, &["whoami"]).err.contains("warning"));
    let gateway = dir.join("keys/gateway.key").to_string_lossy().into_owned();
    let gateway = daas(&dir, &["key", "show", &gateway, "-o", "name"]).ok();
    daas(
        &dir,
        &["token", "delegate", gateway.trim(), "--token", second],
    )
    .ok();
    let who = daas(&dir, &["whoami", "--token", second, "-o", "json"]);
    assert!(!who.err.contains("warning"), "{}", who.err);
    let who = json(&who.ok());
    assert_eq!(
        (&who["token"], &who["status"]),
        (&second.into(), &"valid".into())
    );

    let with_variable = |args: &[&str]| {
        let mut command = command(DAAS);
        command.env("HOME", &dir).env("DAAS_DIR", &dir);
        Run::of(command.env("DAAS_TOKEN", second).args(args)).ok()
    };
    let by_flag = daas(&dir, &["kubeconfig", "--token", second]).ok();
    assert_eq!(with_variable(&["kubeconfig"]), by_flag);
    assert!(
        by_flag.contains(&format!("- --token={second}\n")),
        "{by_flag}"
    );
    let (_, kubectl) = kubectls().pop().unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    let as_user = |kubeconfig: &Path, token: Option<&str>| {
        let mut command = command(&kubectl);
        command.env("HOME", &dir).env("KUBECONFIG", kubeconfig);
        // Whatever is in the environment of whoever uses it.
        command.envs(token.map(|token| ("DAAS_TOKEN", token)));
        command.env("DAAS_DIR", &elsewhere);
        Run::of(command.args(["get", "pods", "-n", "default"]))
    };
    let file = scratch.path().join("second.kc");
    std::fs::write(&file, by_flag).unwrap();
    for variable in [None, Some(first.as_str())] {
        let refused = as_user(&file, variable);
        assert!(
            refused.err.contains(&format!("seal:{second}")),
            "{variable:?}: {refused:?}"
        );
        as_user(&dir.join("kubeconfig"), Some(second)).ok();
    }
    assert!(!elsewhere.exists());
    let pods = "/api/v1/namespaces/default/pods";
    daas(&dir, &["request", "GET", pods]).ok();
    let refused = daas(&dir, &["request", "GET", pods, "--token", second]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused.out.contains(&format!("seal:{second}")),
        "{refused:?}"
    );

    daas(&dir, &["token", "revoke", second]).ok();
    let who = json(&daas(&dir, &["whoami", "--token", second, "-o", "json"]).ok());
    assert_eq!(who["status"], "revoked");

    // Events: a heading, and each line as wide.
    let events = daas(&dir, &["events"]).ok();
    let (heading, rest) = events.split_once('\n').unwrap();
    assert_eq!(
        heading.split_whitespace().collect::<Vec<_>>(),
        ["CURSOR", "TIME", "EVENT", "WHAT"]
    );
    let at = heading.find("EVENT").unwrap();
    for line in rest.lines() {
        assert_eq!(&line[at - 2..at], "  ", "{line}");
        assert!(line.as_bytes()[at].is_ascii_uppercase(), "{line}");
    }
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_merge_replaces_nothing_of_others() {
    let scratch = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| scratch.path().join(name));
    for dir in [&here, &there] {
        assert_eq!(dev(dir).stop(), 0);
    }
    let file = scratch.path().join("config");
    let merge = |dir: &Path, extra: &[&str]| {
        let mut command = command(DAAS);
        command
            .env("HOME", scratch.path())
            .env("DAAS_DIR", dir)
            .env("KUBECONFIG", &file);
        command.args(["kubeconfig", "--merge"]).args(extra);
        Run::of(&mut command)
    };
    let text = || std::fs::read_to_string(&file).unwrap();
    merge(&here, &["--name", "shop"]).ok();
    let first = text();
    // The same again is what a newer version of it is.
    merge(&here, &["--name", "shop"]).ok();
    assert_eq!(text(), first);
    let taken = merge(&there, &["--name", "shop"]);
    assert_eq!(taken.code, 7, "{taken:?}");
    for says in ["cluster named `shop`", "--name OTHER", "--overwrite"] {
        assert!(taken.err.contains(says), "{says}: {}", taken.err);
    }
    assert_eq!(text(), first);
    merge(&there, &["--name", "other"]).ok();
    assert!(text().contains("name: shop") && text().contains("name: other"));
    merge(&there, &["--name", "shop", "--overwrite"]).ok();
    assert_eq!(text().matches("name: shop").count(), 3);
    let taken = merge(&here, &["--name", "shop"]);
    assert_eq!(taken.code, 7, "{taken:?}");
}

/// Pasted from the help into a shell, in an empty directory.
#[test]
fn the_examples_of_cluster_create_work_as_they_stand() {
    let scratch = tempfile::tempdir().unwrap();
    let help = Run::of(command(DAAS).args(["cluster", "create", "--help"])).ok();
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let lines: Vec<&str> = examples
        .lines()
        .take_while(|line| line.starts_with("  daas "))
        .collect();
    assert!(lines.len() >= 3, "{help}");
    let passphrase = scratch.path().join("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    std::fs::set_permissions(&passphrase, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut path = vec![Path::new(DAAS).parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(path).unwrap();
    for line in lines {
        let mut shell = command("sh");
        shell
            .current_dir(scratch.path())
            .env("HOME", scratch.path())
            .env("PATH", &path)
            .env("DAAS_PASSPHRASE_FILE", &passphrase);
        let run = Run::of(shell.args(["-c", line]));
        assert_eq!(run.code, 0, "{line}: {run:?}");
    }
    // What is in the settings is not lost by accident.
    let create = "daas cluster create --dir ./shop --name again";
    let mut shell = command("sh");
    shell
        .current_dir(scratch.path())
        .env("HOME", scratch.path())
        .env("PATH", &path)
        .env("DAAS_PASSPHRASE_FILE", &passphrase);
    let again = Run::of(shell.args(["-c", create]));
    assert_eq!(again.code, 7, "{again:?}");
    assert!(
        again.err.contains("already; nothing was created"),
        "{again:?}"
    );
    assert!(again.err.contains("`--replace` makes another"), "{again:?}");
    let dir = scratch.path().join("shop");
    let token = ["token", "issue", "--role", "edit", "-n", "shop"];
    let mut issue = command(DAAS);
    issue
        .env("HOME", scratch.path())
        .env("DAAS_DIR", &dir)
        .env("DAAS_PASSPHRASE_FILE", &passphrase);
    // The owner was funded.
    Run::of(issue.args(token).args(["--stake", "1SUI"])).ok();
}

#[test]
fn dev_says_at_once_what_cannot_work() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let busy = daas(&dir, &["dev", "--listen", &address]);
    assert_eq!(busy.code, 5, "{busy:?}");
    assert!(busy.err.contains("cannot listen on"), "{}", busy.err);
    assert!(!dir.join("ledger").exists() && !dir.join("keys").exists());

    for role in ["nosuchrole", "a/b", "a b", ""] {
        let run = daas(&dir, &["dev", "--provision-only", "--bind", role]);
        assert_eq!(run.code, 4, "`{role}`: {run:?}");
        for says in ["no ClusterRole", "view", "edit", "admin", "cluster-admin"] {
            assert!(run.err.contains(says), "{says}: {}", run.err);
        }
    }
    daas(&dir, &["dev", "--provision-only", "--bind", "view"]).ok();

    // A cluster that accepts and never answers.
    let theirs = scratch.path().join("theirs");
    std::fs::write(
        &theirs,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: \
             'https://{address}', insecure-skip-tls-verify: true}}\nusers:\n- name: u\n  user: {{token: t}}\n\
             contexts:\n- name: c\n  context: {{cluster: c, user: u}}\n"
        ),
    )
    .unwrap();
    let mut silent = command(DAAS);
    silent
        .env("HOME", scratch.path())
        .env("KUBECONFIG", &theirs)
        .env("DAAS_DIR", scratch.path().join("silent"));
    silent.args(["dev", "--provision-only", "--cluster", "current"]);
    let begun = std::time::Instant::now();
    let run = Run::of(silent.args(["--bind", "edit"]));
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("gives no answer in 10 s"), "{}", run.err);
    assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
}

#[test]
fn a_mistyped_variable_is_told_of() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let mut command = command(DAAS);
        command.env("HOME", scratch.path()).env(name, "1");
        Run::of(command.args(["config", "show"]))
    };
    let bogus = run("DAAS_GATEWAY_BOGUS");
    assert_eq!(bogus.code, 0, "{bogus:?}");
    assert!(
        bogus.err.contains("DAAS_GATEWAY_BOGUS is none of ours"),
        "{}",
        bogus.err
    );
    let near = run("DAAS_GATEWAY_LISTN");
    assert!(near.err.contains("DAAS_GATEWAY_LISTEN?"), "{}", near.err);
    assert_eq!(run("DAASX").err, "");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
