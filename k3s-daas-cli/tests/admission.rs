//! Admission webhooks of a real cluster that take longer than a request may, with two executors.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::https::Answer;
use support::kubernetes::{Token, World, everything_in};
use support::webhook::Webhook;

/// Twelve seconds are a long time, and in time: it succeeds, once. Seventy are more than the deadline and more than the cluster
/// itself allows (34 s): nobody knows then, and that is what is said. An executor dies meanwhile, and the other one
/// repeats nothing.
#[test]
fn slow_webhooks_of_a_real_cluster_repeat_no_write() {
    let mut world = World::start_with(&[], "deadline = \"20s\"");
    world.start_second_nautilus();
    let webhook = Webhook::start();
    world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");
    world.apply(&webhook.manifest("12", &[12]));
    // One webhook may take 30 seconds at most.
    world.apply(&webhook.manifest("70", &[25, 25, 20]));
    let begin = world.log_end();
    let second = world.second_nautilus.take().unwrap();
    let world = &world;
    let token = &world.token(&everything_in("shop"), &[]);
    let bind = "create rolebinding t --clusterrole=edit -n shop --user";
    let user = token.user();
    let bind: Vec<&str> = bind.split(' ').chain([user.as_str()]).collect();
    world.admin(&bind).ok();
    both_execute(world, token);

    let started = Instant::now();
    let (quick, given_up, slow) = std::thread::scope(|scope| {
        let quick = scope.spawn(|| create_four(token, "12", ""));
        let given_up = scope.spawn(|| create_four(token, "70", ""));
        // Later than the cluster gives up by itself.
        let slow = scope.spawn(|| create_four(token, "70", "?timeout=50s"));
        let quick = quick.join().unwrap();
        let elapsed = started.elapsed();
        assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
        // What it has begun is at the cluster now.
        second.kill();
        (quick, given_up.join().unwrap(), slow.join().unwrap())
    });
    for answer in &quick {
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    for (index, answer) in given_up.iter().chain(&slow).enumerate() {
        assert_eq!(answer.status, 504, "{}", answer.text());
        let status = answer.json();
        let message = status["message"].as_str().unwrap();
        let id = answer.header("daas-request-id").unwrap();
        let is_ours = message.contains("unknown") && message.contains(id);
        // The cluster's own word for the same goes back as it is.
        let is_theirs = message.starts_with("Timeout: request did not complete");
        let is_told = is_ours || index >= given_up.len() && is_theirs;
        assert!(is_told, "{index}: {message}");
        assert_eq!(status["reason"], "Timeout");
        let retry = answer.header("retry-after");
        assert_eq!(retry, None, "nobody repeats it unasked");
        let shown = world.daas(&["request", "show", id, "-o", "json"]).ok();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let outcome = (&shown[0]["outcome"], &shown[0]["http_status"]);
        assert_eq!(outcome, (&json!("unknown"), &json!(504)), "{shown:#}");
    }

    // The cluster ends what it had begun, one way or the other; then it is counted.
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(made(world, "12"), quick.len(), "each once");
    assert_eq!(webhook.calls("12"), quick.len());
    let unknown = given_up.len() + slow.len();
    assert!(made(world, "70") <= unknown, "none twice");
    assert!(webhook.calls("70") <= 3 * unknown, "three for each");
    let log = world.log_since(begin);
    for answer in quick.iter().chain(&given_up).chain(&slow) {
        let id = answer.header("daas-request-id").unwrap();
        let seen = seen(&log, id);
        assert_eq!(seen.len(), 1, "{id} was executed once: {seen:?}");
    }
    let (code, result) = world.reconcile(&log, &[]);
    assert_eq!(code, 0, "{result:#}");
    world.daas(&["audit", "verify"]).ok();
}

fn create_four(token: &Token<'_>, delay: &str, query: &str) -> Vec<Answer> {
    // The cluster gives each execution a name of its own.
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "generateName": "made-", "labels": {"delay": delay}}})
    .to_string();
    let target = format!("/api/v1/namespaces/shop/configmaps{query}");
    std::thread::scope(|scope| {
        let all = (0..4).map(|_| scope.spawn(|| token.send("POST", &target, &body)));
        let all: Vec<_> = all.collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Reads until both executors have answered some.
fn both_execute(world: &World, token: &Token<'_>) {
    let mut executors = BTreeSet::new();
    let begun = Instant::now();
    while executors.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{executors:?}");
        token.send("GET", "/api/v1/namespaces/shop/configmaps", "");
        let events = world.daas(&["events", "-o", "json"]).ok();
        let events = events
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let answers = events.filter_map(|event| {
            event["event"]["K8sRequestProcessed"]["executor"]
                .as_str()
                .map(str::to_owned)
        });
        executors.extend(answers);
    }
}

fn made(world: &World, delay: &str) -> usize {
    let selector = format!("delay={delay}");
    let listed = world.admin(&[
        "get",
        "configmaps",
        "-n",
        "shop",
        "-l",
        &selector,
        "-o",
        "name",
    ]);
    listed.ok().lines().count()
}

/// The audit IDs of what the cluster has seen with this request ID.
fn seen(log: &str, id: &str) -> BTreeSet<String> {
    let events = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let named = events
        .filter(|event| event["impersonatedUser"]["extra"]["daas.dev/request-id"] == json!([id]));
    named
        .map(|event| event["auditID"].as_str().unwrap().to_owned())
        .collect()
}
