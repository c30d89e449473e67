//! A corpus of rules and requests for every implementation to agree on: `fixtures/policy.tsv`.
//!
//! Seeded, from few words, so that rules and requests meet often and miss by little.
//! `DAAS_UPDATE_GOLDEN=1` writes it anew; `ci/move.mjs corpus` holds the Move package against it.

use std::collections::HashSet;
use std::fmt::Write as _;

use k3s_daas::types::{Method, PolicyRule, Target, rules_allow};
use k3s_daas::wire::{Content, RequestMessage};

use super::oracle;
use super::random::Rng;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/policy.tsv");

const HEADER: &str = "# Written by tests/it/contract/policy.rs, which says how to write it again.
# Columns: rules as JSON, method, path, query, whether the rules allow it.
";

/// Rows of each outcome.
const ROWS: usize = 700;

#[test]
fn the_corpus_is_decided_as_written() {
    let text = corpus();
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        std::fs::write(FIXTURE, &text).unwrap();
    }
    let fixture = std::fs::read_to_string(FIXTURE).unwrap();
    for (line, (ours, written)) in text.lines().zip(fixture.lines()).enumerate() {
        assert_eq!(ours, written, "line {}", line + 1);
    }
    assert_eq!(text.len(), fixture.len());
}

/// A second opinion on the same rows.
#[test]
fn the_oracle_decides_the_corpus_alike() {
    let mut counts = [0; 2];
    for line in corpus().lines() {
        if line.starts_with('#') {
            continue;
        }
        let [rules, method, path, query, allowed] = line
            .split('\t')
            .collect::<Vec<_>>()
            .try_into()
            .expect("five columns");
        let rules: Vec<PolicyRule> = serde_json::from_str(rules).unwrap();
        let allowed: bool = allowed.parse().unwrap();
        counts[usize::from(allowed)] += 1;
        let request = RequestMessage {
            method: method.into(),
            path: path.into(),
            query: Content::plain(query),
            ..RequestMessage::default()
        };
        assert_eq!(oracle::allows(&rules, &request), allowed, "{line}");
    }
    assert_eq!(counts, [ROWS; 2]);
}

fn corpus() -> String {
    let mut rng = Rng(20_261_122);
    let mut rows = [0; 2];
    let mut seen = HashSet::new();
    let mut text = HEADER.to_owned();
    while rows != [ROWS; 2] {
        let rules: Vec<PolicyRule> = (0..rng.below(4)).map(|_| rule(&mut rng)).collect();
        let method = *rng.pick(&Method::ALL);
        let path = path(&mut rng);
        let query = *rng.pick(&QUERIES);
        let Ok(target) = Target::derive(method, path.as_bytes(), Some(query.as_bytes())) else {
            continue;
        };
        let allowed = rules_allow(&rules, &target, path.as_bytes());
        let rules = serde_json::to_string(&rules).unwrap();
        let row = format!("{rules}\t{method}\t{path}\t{query}\t{allowed}");
        if rows[usize::from(allowed)] < ROWS && seen.insert(row.clone()) {
            rows[usize::from(allowed)] += 1;
            writeln!(text, "{row}").unwrap();
        }
    }
    text
}

fn rule(rng: &mut Rng) -> PolicyRule {
    // Wide and narrow lists of each kind, so that often one of them alone decides.
    let mut list = |words: &[&str], wide: u64| -> Vec<String> {
        let mut list: Vec<String> = (0..rng.below(4))
            .map(|_| word(rng, words).to_owned())
            .collect();
        if rng.chance(wide) {
            list.push("*".to_owned());
        }
        list
    };
    PolicyRule {
        verbs: list(&VERBS, 70),
        api_groups: list(&GROUPS, 50),
        resources: list(&RESOURCES, 50),
        resource_names: if rng.chance(70) {
            Vec::new()
        } else {
            (0..=rng.below(3))
                .map(|_| word(rng, &NAMES).to_owned())
                .collect()
        },
        non_resource_urls: if rng.chance(60) {
            Vec::new()
        } else {
            (0..=rng.below(3))
                .map(|_| word(rng, &URLS).to_owned())
                .collect()
        },
        namespaces: (0..=rng.below(3))
            .map(|_| word(rng, &NAMESPACES).to_owned())
            .collect(),
    }
}

fn path(rng: &mut Rng) -> String {
    if rng.chance(20) {
        return word(rng, &PATHS).to_owned();
    }
    let mut path = word(rng, &["/api/v1", "/apis/apps/v1", "/apis/a%20b/v1"]).to_owned();
    if rng.chance(10) {
        path.push_str("/watch");
    }
    if rng.chance(70) {
        path.push_str("/namespaces/");
        path.push_str(word(rng, &["a", "b", "*", "default", "%C3%A9", "status"]));
    }
    if rng.chance(90) {
        path.push('/');
        path.push_str(word(
            rng,
            &["pods", "deployments", "scale", "exec", "*", "nodes", "Pods"],
        ));
        if rng.chance(70) {
            path.push('/');
            path.push_str(word(rng, &["web", "db", "*", "web.1", "%C3%A9"]));
            if rng.chance(50) {
                path.push('/');
                path.push_str(word(
                    rng,
                    &["exec", "log", "scale", "status", "*", "proxy/x/y"],
                ));
            }
        }
    }
    if rng.chance(10) {
        path.push('/');
    }
    path
}

fn word<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    let index = usize::try_from(rng.below(words.len() as u64)).unwrap();
    words[index]
}

const VERBS: [&str; 12] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "post",
    "put",
    "Get",
    "",
];
const GROUPS: [&str; 6] = ["", "apps", "a b", "Apps", "ap*", "batch"];
const RESOURCES: [&str; 20] = [
    "pods",
    "pods/exec",
    "pods/log",
    "pods/*",
    "*/scale",
    "*/exec",
    "*/*",
    "*/",
    "/exec",
    "deployments",
    "deployments/scale",
    "scale",
    "exec",
    "nodes",
    "namespaces",
    "namespaces/status",
    "Pods",
    "po*",
    "pods/proxy",
    "pods/exec/x",
];
const NAMES: [&str; 7] = ["web", "db", "web.1", "*", "", "é", "a"];
const NAMESPACES: [&str; 8] = ["a", "b", "default", "*", "", "é", "*a", "status"];
const URLS: [&str; 12] = [
    "/metrics",
    "/metrics/",
    "/logs/*",
    "/logs",
    "*",
    "/*",
    "",
    "/a*/b",
    "/a%20b",
    "/a b",
    "/api/v1/*",
    "/metric*",
];
const PATHS: [&str; 18] = [
    "/",
    "/metrics",
    "/metrics/",
    "/metrics/a",
    "/logs",
    "/logs/",
    "/logs/a",
    "/a*/b",
    "/ax/b",
    "/a%20b",
    "/version",
    "/version/",
    "/api",
    "/apis/apps",
    "/openapi/v3",
    "/livez/etcd",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/authentication.k8s.io/v1/tokenreviews",
];
const QUERIES: [&str; 6] = [
    "",
    "",
    "watch=1",
    "watch=false",
    "fieldSelector=metadata.name%3Dweb",
    "fieldSelector=metadata.name=db&watch",
];
