//! Every command that a refusal advises works as it is printed, and mends what was refused.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::path::Path;

use support::{DAAS, Run, command, daas, dev};

#[test]
fn advised_commands_work_as_they_are_printed() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let _running = dev(&dir);
    // Not the token of the settings file, which none of what is advised may touch.
    let own = daas(&dir, &["token", "show", "-o", "json"]).ok();
    let token = daas(
        &dir,
        &[
            "token", "issue", "--role", "edit", "-n", "default", "-o", "name",
        ],
    )
    .ok();
    let token = token.trim().strip_prefix("token/").unwrap();
    let body = dir.join("body.json");
    let request = |method: &str, path: &str, json: &str| {
        std::fs::write(&body, json).unwrap();
        let mut request = command(DAAS);
        request
            .env("HOME", &dir)
            .env("DAAS_DIR", &dir)
            .env("DAAS_TOKEN", token)
            .args(["request", method, path]);
        if !json.is_empty() {
            request.arg("-f").arg(&body);
        }
        Run::of(&mut request)
    };
    let pods = "/api/v1/namespaces/default/pods";
    let stranger = request("GET", pods, "");
    assert!(said(&stranger).contains("no delegate"), "{stranger:?}");
    let advice = run_advised(&dir, &said(&stranger));
    assert!(
        advice[0].starts_with("daas token delegate 0x"),
        "{advice:?}"
    );
    let lacks = request("GET", "/api/v1/namespaces/kube-system/pods", "");
    assert!(
        said(&lacks).contains("it lacks namespace kube-system"),
        "{lacks:?}"
    );
    let advice = run_advised(&dir, &said(&lacks));
    assert_eq!(advice[0], format!("daas token rules --token {token}"));

    // What `kubectl auth can-i` shows says the same, layer by layer.
    let can_i = |verb: &str, resource: &str| {
        let attributes =
            format!(r#"{{"namespace":"default","verb":"{verb}","resource":"{resource}"}}"#);
        let review = format!(
            r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{{"resourceAttributes":{attributes}}}}}"#
        );
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer: serde_json::Value =
            serde_json::from_str(&request("POST", path, &review).ok()).unwrap();
        assert_eq!(answer["status"]["allowed"], false, "{answer}");
        answer["status"]["reason"].as_str().unwrap().to_owned()
    };
    let lacks = can_i("get", "nodes");
    assert!(lacks.contains("it lacks resource nodes"), "{lacks}");
    run_advised(&dir, &lacks);
    let config_map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    let config_maps = "/api/v1/namespaces/default/configmaps";
    let poor = request("POST", config_maps, config_map);
    assert!(said(&poor).contains("needs 1 SUI"), "{poor:?}");
    daas(&dir, &["token", "stake", "0.25 SUI", "--token", token]).ok();
    let poor = can_i("create", "configmaps");
    assert!(poor.contains("has 0.25 SUI of stake"), "{poor}");
    let advice = run_advised(&dir, &poor);
    assert_eq!(
        advice,
        [format!("daas token stake 0.75SUI --token {token}")]
    );
    let unbound = can_i("create", "configmaps");
    assert!(
        unbound.contains("the cluster's own RBAC") && unbound.contains(&format!("seal:{token}")),
        "{unbound}"
    );

    daas(&dir, &["token", "revoke", "--token", token]).ok();
    let revoked = request("GET", pods, "");
    assert!(said(&revoked).contains("is revoked"), "{revoked:?}");
    run_advised(&dir, &said(&revoked));
    let after: serde_json::Value =
        serde_json::from_str(&daas(&dir, &["token", "show", "-o", "json"]).ok()).unwrap();
    let before: serde_json::Value = serde_json::from_str(&own).unwrap();
    for field in ["delegates", "bonded_mist", "rules", "status"] {
        assert_eq!(after[field], before[field], "{field}");
    }
}

#[test]
fn a_token_is_named_the_same_way_everywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    daas(dir, &["dev", "--provision-only"]).ok();
    let id = |words: &[&str]| {
        let named = daas(dir, words).ok();
        named.trim().split_once('/').unwrap().1.to_owned()
    };
    let token = id(&["token", "issue", "--role", "view", "-o", "name"]);
    for verb in ["show", "rules", "withdraw"] {
        let by_name = daas(dir, &["token", verb, &token]);
        let by_flag = daas(dir, &["token", verb, "--token", &token]);
        assert_eq!(by_name.code, by_flag.code, "{verb}: {by_flag:?}");
        assert_eq!(by_name.out, by_flag.out, "{verb}");
        let both = daas(dir, &["token", verb, &token, "--token", &token]);
        assert_eq!(both.code, 2, "{verb}: {both:?}");
    }
    let executor = id(&["executor", "list", "-o", "name"]);
    let cluster = id(&["cluster", "show", "-o", "name"]);
    for (no_key, kind) in [
        (&token, "a seal token"),
        (&executor, "an executor"),
        (&cluster, "a cluster"),
    ] {
        for words in [
            &["token", "delegate", no_key][..],
            &["token", "issue", "--role", "view", "--delegate", no_key],
        ] {
            let run = daas(dir, words);
            assert_eq!(run.code, 2, "{words:?}: {run:?}");
            let says = format!("is the ID of {kind}");
            assert!(run.err.contains(&says), "{words:?}: {}", run.err);
        }
    }
    // None is revoked by leaving it out.
    let none = daas(dir, &["token", "revoke"]);
    assert_eq!(none.code, 2, "{none:?}");
    daas(dir, &["token", "revoke", &token]).ok();
    assert!(
        daas(dir, &["token", "show", &token])
            .ok()
            .contains("revoked")
    );
}

/// The text of a refusal, which is the body that `daas request` prints.
fn said(refused: &Run) -> String {
    let status: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    status["message"].as_str().unwrap().to_owned()
}

/// Runs the commands of `daas` between backticks, word by word as a shell would; there is at least one.
#[track_caller]
fn run_advised(dir: &Path, text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let advised: Vec<String> = quoted
        .filter(|command| command.starts_with("daas "))
        .map(str::to_owned)
        .collect();
    assert!(!advised.is_empty(), "nothing is advised: {text}");
    for command in &advised {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let mut run = daas(dir, &words);
        // A refusal is recorded a moment after it was said.
        for _ in 0..50 {
            if run.code != 4 || !command.starts_with("daas request show ") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            run = daas(dir, &words);
        }
        assert_eq!(run.code, 0, "{command}: {run:?}");
    }
    advised
}
