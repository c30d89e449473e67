//! The real control plane of the tests, and kubectl on it through the gateway.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use support::cluster::{ControlPlane, kubectl};
use support::{Run, daas};

#[test]
fn real_cluster_serves_kubectl_through_the_gateway() {
    let cluster = ControlPlane::shared();
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let dev = cluster.dev(&dir);
    let through = |args: &[&str]| kubectl(&dir.join("kubeconfig"), args, "");

    let version = through(&["get", "--raw", "/version"]).ok();
    assert!(version.contains("\"gitVersion\": \"v1.35."), "{version}");

    through(&["create", "namespace", "path"]).ok();
    let in_path = |args: &[&str]| {
        let mut all = vec!["--namespace", "path"];
        all.extend(args);
        through(&all)
    };
    let said = in_path(&["create", "configmap", "first", "--from-literal=a=b"]).ok();
    assert_eq!(said, "configmap/first created\n");
    let patch = r#"{"data":{"a":"c"}}"#;
    in_path(&["patch", "configmap", "first", "--patch", patch]).ok();
    let value = ["get", "configmap", "first", "-o", "jsonpath={.data.a}"];
    assert_eq!(in_path(&value).ok(), "c");
    in_path(&["delete", "configmap", "first"]).ok();
    refused(&in_path(&["get", "configmap", "first"]), "(NotFound)");

    // The scheduler places the pods, kwok plays the kubelet.
    in_path(&[
        "create",
        "deployment",
        "web",
        "--image=none",
        "--replicas=3",
    ])
    .ok();
    in_path(&["rollout", "status", "deployment/web", "--timeout=60s"]).ok();
    let phases = ["get", "pods", "-o", "jsonpath={.items[*].status.phase}"];
    assert_eq!(in_path(&phases).ok(), "Running Running Running");
    let logs = in_path(&["logs", "deployment/web", "--tail=1"]).ok();
    assert_eq!(logs, "line 20 of the log\n");

    // What the cluster refuses, by validation and by its own rules.
    refused(
        &in_path(&["create", "configmap", "No_Name"]),
        "Invalid value: \"No_Name\": a lowercase RFC 1123 subdomain",
    );
    let stranger = stranger(&dir);
    let says = format!("User \"seal:{stranger}\" cannot list resource \"configmaps\"");
    let kubeconfig = daas(&dir, &["kubeconfig", "--token", &stranger]).ok();
    let file = dir.join("stranger.kubeconfig");
    std::fs::write(&file, kubeconfig).unwrap();
    refused(&kubectl(&file, &["get", "configmaps"], ""), &says);

    // It waits until the controllers have emptied the namespace.
    through(&["delete", "namespace", "path", "--timeout=60s"]).ok();
    refused(&through(&["get", "namespace", "path"]), "(NotFound)");

    assert_eq!(dev.stop(), 0);
    impersonated(cluster.audit_log(), &stranger);
    let verified = daas(&dir, &["audit", "verify", "-o", "json"]).ok();
    assert!(verified.contains("\"verified\": true"), "{verified}");
}

#[test]
fn real_cluster_has_an_aggregated_api_and_slow_admission() {
    let cluster = ControlPlane::start(&["--sample-apiserver", "--webhook", "--nodes=0"]);
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let dev = cluster.dev(&dir);
    let through = |args: &[&str], input: &str| kubectl(&dir.join("kubeconfig"), args, input);
    let apply = |manifest: &str| through(&["apply", "-f", "-"], manifest);

    // Another server's API, its refusals and its warnings.
    let flunder = |version: &str, spec: &str| {
        let kind = "kind: Flunder\nmetadata: {name: one}";
        format!("apiVersion: wardle.example.com/{version}\n{kind}\nspec: {spec}\n")
    };
    refused(
        &apply(&flunder("v1beta1", "{referenceType: Flunder}")),
        "spec.flunderReference: Invalid value: \"\": cannot be empty",
    );
    let old = apply(&flunder(
        "v1alpha1",
        "{referenceType: Flunder, reference: two}",
    ));
    assert!(old.err.contains("Flunder is deprecated"), "{old:?}");
    assert_eq!(old.ok(), "flunder.wardle.example.com/one created\n");
    let get = [
        "get",
        "flunders",
        "-o",
        "jsonpath={.items[*].spec.flunderReference}",
    ];
    assert_eq!(through(&get, "").ok(), "two");

    // Whatever admission takes, it is asked once for each write.
    let authority = std::fs::read(cluster.dir().join("pki/ca.crt")).unwrap();
    let authority = base64::engine::general_purpose::STANDARD.encode(authority);
    for path in ["deny", "delay/12s"] {
        let name = path.split('/').next().unwrap();
        let hook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": format!("{name}.example.com"),
                "clientConfig": {"url": format!("{}/{path}", cluster.webhook()), "caBundle": authority},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
                "objectSelector": {"matchLabels": {"admission": name}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 30,
            }],
        });
        apply(&hook.to_string()).ok();
    }
    let map = |name: &str| {
        let labels = json!({"admission": name});
        let metadata = json!({"name": name, "labels": labels});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}).to_string()
    };
    // The cluster learns of its webhooks in a moment.
    let begun = Instant::now();
    let mut denied = through(&["create", "--dry-run=server", "-f", "-"], &map("deny"));
    while denied.code == 0 && begun.elapsed() < Duration::from_secs(20) {
        denied = through(&["create", "--dry-run=server", "-f", "-"], &map("deny"));
    }
    refused(
        &denied,
        "admission webhook \"deny.example.com\" denied the request: the webhook denies everything",
    );
    let begun = Instant::now();
    let said = through(&["create", "-f", "-"], &map("delay")).ok();
    assert_eq!(said, "configmap/delay created\n");
    assert!(begun.elapsed() > Duration::from_secs(12));
    let log = cluster.log("webhook");
    let asked = log
        .lines()
        .filter(|line| line.contains("\"name\":\"delay\""));
    assert_eq!(asked.count(), 1, "{log}");
    assert_eq!(dev.stop(), 0);
}

#[test]
fn real_cluster_restarts_a_component_and_keeps_its_data() {
    let cluster = ControlPlane::start(&[]);
    let get = [
        "get",
        "configmap",
        "kept",
        "-o",
        "name",
        "--request-timeout=20s",
    ];
    let make = ["create", "configmap", "kept", "--from-literal=a=b"];
    cluster.kubectl(&make, "").ok();
    cluster.tell("kill", "kube-apiserver");
    refused(&cluster.kubectl(&get, ""), "was refused");
    cluster.tell("start", "kube-apiserver");
    assert_eq!(cluster.kubectl(&get, "").ok(), "configmap/kept\n");
    for (what, component) in [("restart", "kube-apiserver"), ("replace", "etcd")] {
        cluster.tell(what, component);
        assert_eq!(cluster.kubectl(&get, "").ok(), "configmap/kept\n");
    }
    // The new kubelet does not wait until the old one's leases have ended.
    cluster.tell("replace", "kwok");
    cluster.kubectl(&["run", "kept", "--image=none"], "").ok();
    let wait = ["wait", "--for=condition=Ready", "pod/kept", "--timeout=20s"];
    cluster.kubectl(&wait, "").ok();
}

#[test]
fn real_cluster_leaves_nothing_behind() {
    // Ended in order.
    let cluster = ControlPlane::start(&[]);
    let (pids, dir) = (cluster.pids(), cluster.dir().to_owned());
    assert_eq!(pids.len(), 6, "{pids:?}");
    assert!(dir.exists());
    drop(cluster);
    assert_eq!(gone(&pids), Vec::<u64>::new());
    assert!(!dir.exists());

    // Killed.
    let scratch = tempfile::tempdir().unwrap();
    let dir = format!("--dir={}", scratch.path().display());
    let cluster = ControlPlane::start(&[&dir]);
    let pids = cluster.pids();
    let killed = cluster.pid("control-plane").to_string();
    Run::of(std::process::Command::new("kill").args(["-KILL", &killed])).ok();
    drop(cluster);
    assert_eq!(gone(&pids), Vec::<u64>::new());
}

/// A token whose rules allow what the cluster knows nothing of.
fn stranger(dir: &Path) -> String {
    let key = dir.join("keys/gateway.key");
    let key = ["key", "show", &key.to_string_lossy(), "-o", "name"].map(str::to_owned);
    let key = daas(dir, &key.each_ref().map(String::as_str)).ok();
    let delegate = key.trim().strip_prefix("key/").unwrap();
    let issue = ["token", "issue", "--role", "edit", "-o", "name"];
    let mut issue = issue.to_vec();
    issue.extend(["--delegate", delegate]);
    let token = daas(dir, &issue).ok();
    token.trim().strip_prefix("token/").unwrap().to_owned()
}

#[track_caller]
fn refused(run: &Run, says: &str) {
    assert_ne!(run.code, 0, "{run:?}");
    assert!(run.err.contains(says), "it should say {says}: {}", run.err);
}

/// The cluster has seen the token's request and refused it, under the token's name and the request's ID.
#[track_caller]
fn impersonated(log: &Path, token: &str) {
    let log = std::fs::read_to_string(log).unwrap();
    let user = format!("seal:{token}");
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["impersonatedUser"]["username"] == *user)
        .collect();
    assert!(!events.is_empty(), "{user} is not in the audit log");
    for event in events {
        assert_eq!(event["stage"], "ResponseComplete");
        assert_eq!(event["responseStatus"]["code"], 403, "{event}");
        let extra = &event["impersonatedUser"]["extra"]["daas.dev/request-id"];
        assert!(extra[0].is_string(), "{event}");
    }
}

/// Those of the processes that are still there after some seconds.
fn gone(pids: &[u64]) -> Vec<u64> {
    let begun = Instant::now();
    loop {
        let mut left = pids.to_vec();
        left.retain(|pid| runs(*pid));
        if left.is_empty() || begun.elapsed() > Duration::from_secs(10) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process is there that is no zombie.
fn runs(pid: u64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}
