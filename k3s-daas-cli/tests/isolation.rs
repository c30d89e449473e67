//! A token for namespace `a` cannot reach `b` of a real cluster by any spelling, although the cluster's own RBAC would let
//! it: what keeps it out is what the ledger admits.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::kubernetes::{Token, World, everything_in};

#[test]
fn a_token_for_one_namespace_of_a_real_cluster_reaches_no_other() {
    let world = World::start();
    world.apply(NAMESPACES);
    let begin = world.log_end();
    let token = world.token(&everything_in("a"), &[]);
    world
        .admin(&[
            "create",
            "clusterrolebinding",
            "all",
            "--clusterrole=cluster-admin",
            "--user",
            &token.user(),
        ])
        .ok();
    let before = contents(&world);

    let control = token.send("GET", "/api/v1/namespaces/a/configmaps/own", "");
    assert_eq!(control.status, 200, "{}", control.text());
    paths(&token);
    writes(&token);
    bodies(&world, &token);
    reviews(&token);
    headers(&token);
    clients(&token);
    groups_of_the_system(&world);

    assert_eq!(contents(&world), before, "nothing in `b` has changed");
    let log = world.log_since(begin);
    nothing_of_b_arrived(&log, &token);
    let (code, result) = world.reconcile(&log, &[]);
    assert_eq!(code, 0, "{result:#}");
    assert!(
        result["counts"]["matched"].as_u64().unwrap() >= 10,
        "{result:#}"
    );
}

/// Everything in `b` that a test could have changed.
fn contents(world: &World) -> String {
    let kinds = "configmaps,secrets,serviceaccounts,pods,deployments,rolebindings,services";
    let all = world.admin(&["get", kinds, "-n", "b", "-o", "json"]).ok();
    let namespace = world.admin(&["get", "namespace", "b", "-o", "json"]).ok();
    all + &namespace
}

fn paths(token: &Token<'_>) {
    // Whatever the answer is, it is a refusal and has nothing of `b`.
    let not_allowed = [
        "/api/v1/namespaces/b/configmaps",
        "/api/v1/namespaces/b/configmaps/own",
        "/api/v1/namespaces/b/configmaps/",
        "/api/v1/namespaces/b/secrets?limit=1",
        "/api/v1/namespaces/b",
        "/api/v1/namespaces/b/",
        "/api/v1/namespaces/b/status",
        // Lists across namespaces, whatever they select.
        "/api/v1/configmaps",
        "/api/v1/configmaps?fieldSelector=metadata.namespace%3Da",
        "/api/v1/configmaps?fieldSelector=metadata.namespace%3Db",
        "/api/v1/configmaps?fieldSelector=metadata.namespace=b,metadata.name=own",
        "/api/v1/configmaps?fieldSelector=metadata.name%3Down",
        "/api/v1/configmaps?namespace=a",
        "/api/v1/namespaces",
        "/api/v1/namespaces?fieldSelector=metadata.name%3Db",
        // Watches, also by the old prefix.
        "/api/v1/configmaps?watch=1",
        "/api/v1/namespaces/b/configmaps?watch=true",
        "/api/v1/watch/configmaps",
        "/api/v1/watch/namespaces/b/configmaps",
        "/api/v1/watch/namespaces/b/configmaps/own",
        "/api/v1/watch/namespaces/b",
        // Subresources.
        "/api/v1/namespaces/b/pods/web/log",
        "/api/v1/namespaces/b/pods/web/status",
        "/api/v1/namespaces/b/pods/web/ephemeralcontainers",
        "/apis/apps/v1/namespaces/b/deployments/web/scale",
        "/apis/apps/v1/namespaces/b/deployments/web/status",
        // Other groups and versions.
        "/apis/apps/v1/namespaces/b/deployments",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/b/rolebindings",
        "/apis/events.k8s.io/v1/namespaces/b/events",
        "/apis/nosuch.example/v1/namespaces/b/things",
        "/apis/apps/v1/watch/namespaces/b/deployments",
        // Escapes of what needs none mean the same.
        "/api/v1/namespaces/%62/configmaps",
        "/%61pi/v1/namespaces/b/configmaps",
        "/api/v1/%6eamespaces/b/configmaps",
        // Another spelling of a namespace that is none.
        "/api/v1/namespaces/B/configmaps",
        "/api/v1/namespaces/b./configmaps",
        "/api/v1/namespaces/*/configmaps",
        "/api/v1/namespaces/a,b/configmaps",
        "/api/v1/Namespaces/a/configmaps",
        // Proxies to everywhere.
        "/api/v1/nodes/node-0/proxy/pods",
        "/api/v1/namespaces/b/services/web/proxy/",
        "/api/v1/namespaces/b/pods/web/proxy/x",
        "/api/v1/namespaces/b/pods/web/exec?command=id",
        "/api/v1/namespaces/b/pods/web/attach",
        "/api/v1/namespaces/b/pods/web/portforward",
    ];
    for target in not_allowed {
        let answer = token.send("GET", target, "");
        assert_eq!(answer.status, 403, "{target}: {}", answer.text());
        assert_eq!(answer.json()["reason"], "Forbidden", "{target}");
        assert!(!answer.text().contains(MARK), "{target}: {}", answer.text());
    }
    let malformed = [
        "/api/v1/namespaces/a/../b/configmaps",
        "/api/v1/namespaces/a/configmaps/../../b/configmaps",
        "/apis/../api/v1/namespaces/b/configmaps",
        "/api/v1/namespaces/a/./configmaps",
        "/api/v1/namespaces/a/%2e%2e/b/configmaps",
        "/api/v1/namespaces/a/%2E%2E/b/configmaps",
        "/api/v1/namespaces/a/.%2e/b/configmaps",
        "/api/v1/namespaces/a/%2e/configmaps",
        "/api/v1/namespaces/a%2f..%2fb/configmaps",
        "/api/v1/namespaces/a%2Fconfigmaps",
        "/api/v1/namespaces/b%2Fconfigmaps",
        "/api/v1/namespaces/a/configmaps%2f..%2f..%2fb%2fconfigmaps",
        // Twice encoded.
        "/api/v1/namespaces/a/%252e%252e/b/configmaps",
        "/api/v1/namespaces/%2562/configmaps",
        "/api/v1/namespaces/a%252f..%252fb/configmaps",
        // Empty segments.
        "//api/v1/namespaces/b/configmaps",
        "/api//v1/namespaces/b/configmaps",
        "/api/v1/namespaces//b/configmaps",
        "/api/v1/namespaces/a//configmaps",
        // What some servers cut at, or take for another byte.
        "/api/v1/namespaces/a%00/configmaps",
        "/api/v1/namespaces/b%00a/configmaps",
        "/api/v1/namespaces/a%0d%0a/configmaps",
        "/api/v1/namespaces/a/%c0%ae%c0%ae/b/configmaps",
        "/api/v1/namespaces/a/%u002e%u002e/b/configmaps",
        "/api/v1/namespaces/%zz/configmaps",
        "/api/v1/namespaces/a/configmaps?watch=0&watch=1",
        "/api/v1/configmaps?fieldSelector=metadata.name%3Down&fieldSelector=metadata.namespace%3Db",
        "/api/v1/namespaces/a/configmaps?limit=1;namespace=b",
        "/api/v1/namespaces/a\\..\\b/configmaps",
        "/api/v1/proxy/namespaces/b/services/web",
        "/api/v1/watch",
        "api/v1/namespaces/b/configmaps",
        "*",
    ];
    for target in malformed {
        let answer = token.send("GET", target, "");
        assert!(
            matches!(answer.status, 400 | 403 | 404),
            "{target}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().contains(MARK), "{target}: {}", answer.text());
    }
    // A fragment is no part of what is asked for, nor recorded.
    let answer = token.send(
        "GET",
        "/api/v1/namespaces/a/configmaps#/../../b/configmaps",
        "",
    );
    assert!(!answer.text().contains(MARK), "{}", answer.text());
    // The server in the target is not where it goes; a selector of another namespace selects nothing.
    let target = "https://kubernetes.default.svc/api/v1/namespaces/b/configmaps";
    assert!(token.send("GET", target, "").status >= 400);
    for selector in ["metadata.namespace%3Db", "metadata.namespace%21%3Da"] {
        let target = format!("/api/v1/namespaces/a/configmaps?fieldSelector={selector}");
        let answer = token.send("GET", &target, "");
        assert!(!answer.text().contains(MARK), "{target}: {}", answer.text());
        assert!(
            answer.status == 400 || answer.json()["items"] == json!([]),
            "{}",
            answer.text()
        );
    }
}

fn writes(token: &Token<'_>) {
    let config_map = config_map("b", "new");
    for (method, target, body) in [
        (
            "POST",
            "/api/v1/namespaces/b/configmaps",
            config_map.as_str(),
        ),
        ("PUT", "/api/v1/namespaces/b/configmaps/own", &config_map),
        (
            "PATCH",
            "/api/v1/namespaces/b/configmaps/own",
            "{\"data\":{\"a\":\"changed\"}}",
        ),
        ("DELETE", "/api/v1/namespaces/b/configmaps/own", ""),
        ("DELETE", "/api/v1/namespaces/b/configmaps", ""),
        ("DELETE", "/api/v1/configmaps", ""),
        ("POST", "/api/v1/configmaps", &config_map),
        ("PUT", "/api/v1/namespaces/b", "{}"),
        ("PUT", "/api/v1/namespaces/b/finalize", "{}"),
        ("DELETE", "/api/v1/namespaces/b", ""),
        (
            "POST",
            "/api/v1/namespaces",
            "{\"metadata\":{\"name\":\"c\"}}",
        ),
        ("POST", "/api/v1/namespaces/b/pods/web/eviction", "{}"),
        ("POST", "/api/v1/namespaces/b/pods/web/binding", "{}"),
        ("POST", "/api/v1/namespaces/b/pods/web/exec?command=id", ""),
        ("POST", "/api/v1/namespaces/b/bindings", "{}"),
        (
            "POST",
            "/api/v1/namespaces/b/serviceaccounts/default/token",
            "{}",
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/b/deployments/web/scale",
            "{}",
        ),
        (
            "PUT",
            "/api/v1/namespaces/b/pods/web/ephemeralcontainers",
            "{}",
        ),
        ("POST", "/api/v1/namespaces/%62/configmaps", &config_map),
    ] {
        let answer = token.send(method, target, body);
        assert_eq!(answer.status, 403, "{method} {target}: {}", answer.text());
    }
    for target in [
        "/api/v1/watch/namespaces/b/configmaps",
        "/api/v1/namespaces/a/../b/configmaps",
    ] {
        let answer = token.send("POST", target, &config_map);
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
    }
    for method in ["HEAD", "OPTIONS", "TRACE", "get", "LIST"] {
        let answer = token.send(method, "/api/v1/namespaces/b/configmaps", "");
        assert!(answer.status >= 400, "{method}: {}", answer.status);
    }
}

/// What names `b` only in a body reaches the cluster, which has its own rules for it.
fn bodies(world: &World, token: &Token<'_>) {
    let path = "/api/v1/namespaces/a/configmaps";
    let refused = token.send("POST", path, &config_map("b", "new"));
    assert_eq!(refused.status, 400, "{}", refused.text());
    let message = refused.json()["message"].to_string();
    assert!(
        message.contains("namespace of the provided object does not match"),
        "{message}"
    );
    let own = format!("{path}/own");
    let replaced = token.send("PUT", &own, &config_map("b", "own"));
    assert_eq!(replaced.status, 400, "{}", replaced.text());
    for (content_type, body) in [
        (
            "application/merge-patch+json",
            "{\"metadata\":{\"namespace\":\"b\"}}".to_owned(),
        ),
        (
            "application/json-patch+json",
            "[{\"op\":\"replace\",\"path\":\"/metadata/namespace\",\"value\":\"b\"}]".to_owned(),
        ),
        (
            "application/strategic-merge-patch+json",
            "{\"metadata\":{\"namespace\":\"b\"}}".to_owned(),
        ),
        ("application/apply-patch+yaml", config_map("b", "own")),
    ] {
        let target = format!("{own}?fieldManager=test&force=true");
        let target = if content_type.contains("apply") {
            &target
        } else {
            &own
        };
        let patched = token.send_with("PATCH", target, &[("content-type", content_type)], &body);
        assert!(
            matches!(patched.status, 400 | 409 | 422),
            "{content_type}: {} {}",
            patched.status,
            patched.text()
        );
    }
    // The cluster's own bodies of deletion name no namespace; what they select is in this one.
    let deleted = token.send(
        "DELETE",
        &format!("{path}?fieldSelector=metadata.namespace%3Db"),
        "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"namespace\":\"b\"}",
    );
    assert!(
        deleted.status == 200 || deleted.status == 400,
        "{}",
        deleted.text()
    );

    // An owner in another namespace is none: the cluster collects what it was said to own, and leaves the owner alone.
    let owner = world
        .admin(&[
            "get",
            "configmap",
            "own",
            "-n",
            "b",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .ok();
    let owned = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "own", "uid": owner, "controller": true, "blockOwnerDeletion": true},
    ]}});
    let made = token.send("POST", path, &owned.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let deleted = token.send(
        "DELETE",
        &format!("{path}/owned"),
        "{\"propagationPolicy\":\"Foreground\"}",
    );
    assert!(matches!(deleted.status, 200 | 404), "{}", deleted.text());

    // Rights that are given away in `a` are of `a`, and a subject of `b` gets none in `b`.
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "b"}]});
    let made = token.send(
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings",
        &binding.to_string(),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let may = [
        "auth",
        "can-i",
        "list",
        "configmaps",
        "-n",
        "b",
        "--as",
        "system:serviceaccount:b:default",
    ];
    assert_eq!(world.admin(&may).out, "no\n");
}

fn reviews(token: &Token<'_>) {
    let access = |namespace: &str, resource: &str| {
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
            "resourceAttributes": {"namespace": namespace, "verb": "list", "resource": resource}}});
        let answer = token.send(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            &body.to_string(),
        );
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["status"]["allowed"].clone()
    };
    assert_eq!(access("a", "configmaps"), true);
    for namespace in ["b", "", "*", "B", "a/../b", "%62"] {
        assert_eq!(access(namespace, "configmaps"), false, "{namespace:?}");
    }
    let rules = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "b"}});
    let answer = token.send(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        &rules.to_string(),
    );
    assert_eq!(answer.status, 201, "{}", answer.text());
    let rules = answer.json()["status"]["resourceRules"].clone();
    let rules = rules.as_array().unwrap();
    let gives = |rule: &&Value| {
        rule["resources"].to_string().contains("configmaps") || rule["resources"] == json!(["*"])
    };
    assert_eq!(rules.iter().find(gives), None, "{}", answer.text());
    // What asks for others, or in another namespace, is no self-review.
    let other = json!({"spec": {"user": "kubernetes-admin", "resourceAttributes": {"namespace": "b", "verb": "get", "resource": "pods"}}});
    for target in [
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        "/apis/authorization.k8s.io/v1/namespaces/b/localsubjectaccessreviews",
        "/apis/authorization.k8s.io/v1/namespaces/b/selfsubjectaccessreviews",
        "/apis/authentication.k8s.io/v1/tokenreviews",
    ] {
        let answer = token.send("POST", target, &other.to_string());
        assert_eq!(answer.status, 403, "{target}: {}", answer.text());
    }
}

/// Headers that would make the cluster see somebody else.
fn headers(token: &Token<'_>) {
    let target = "/api/v1/namespaces/b/configmaps";
    for header in [
        ("impersonate-user", "kubernetes-admin"),
        ("Impersonate-User", "system:admin"),
        ("impersonate-group", "system:masters"),
        ("impersonate-uid", "1"),
        ("impersonate-extra-daas.dev%2frequest-id", "x"),
        ("x-remote-user", "kubernetes-admin"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-a", "b"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-uri", "/api/v1/namespaces/b/configmaps"),
        ("x-original-url", "/api/v1/namespaces/b/configmaps"),
        ("x-rewrite-url", "/api/v1/namespaces/b/configmaps"),
        ("x-http-method-override", "DELETE"),
        ("forwarded", "for=127.0.0.1"),
    ] {
        let answer = token.send_with("GET", target, &[header], "");
        assert!(
            matches!(answer.status, 400 | 403),
            "{header:?}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().contains(MARK), "{header:?}");
        // Where the token may go, they change nothing or are refused.
        let own = token.send_with("GET", "/api/v1/namespaces/a/configmaps/own", &[header], "");
        assert!(
            matches!(own.status, 200 | 400 | 403),
            "{header:?}: {}",
            own.text()
        );
        assert!(!own.text().contains(MARK), "{header:?}");
    }
}

fn clients(token: &Token<'_>) {
    for args in [
        &["get", "configmaps", "-n", "b"][..],
        &["get", "configmaps", "-A"],
        &[
            "get",
            "configmaps",
            "-A",
            "--field-selector",
            "metadata.namespace=b",
        ],
        &["get", "namespace", "b"],
        &["delete", "namespace", "b"],
        &["create", "configmap", "x", "-n", "b"],
        &["create", "token", "default", "-n", "b"],
        &["create", "namespace", "c"],
        &["get", "configmaps", "-n", "b", "--as", "kubernetes-admin"],
        &[
            "get",
            "configmaps",
            "-n",
            "a",
            "--as-group",
            "system:masters",
            "--as",
            "x",
        ],
        &["get", "--raw", "/api/v1/namespaces/b/configmaps"],
        &["get", "--raw", "/api/v1/namespaces/a/%2e%2e/b/configmaps"],
        &["logs", "web", "-n", "b"],
        &["scale", "deployment", "web", "-n", "b", "--replicas=0"],
        &["auth", "can-i", "list", "configmaps", "-n", "b"],
    ] {
        let run = token.kubectl(args);
        assert_ne!(run.code, 0, "{args:?}: {run:?}");
        assert!(!run.out.contains(MARK), "{args:?}: {}", run.out);
    }
    let listed = token.kubectl(&["get", "configmap", "own", "-n", "a", "-o", "name"]);
    assert_eq!(listed.ok(), "configmap/own\n");
}

/// No token has them, and Nautilus's account could not use them.
fn groups_of_the_system(world: &World) {
    for group in [
        "system:masters",
        "system:authenticated",
        "system:",
        "system:serviceaccounts:kube-system",
    ] {
        let issued = world.daas(&["token", "issue", "--role", "view", "--group", group]);
        assert_ne!(issued.code, 0, "{group}: {issued:?}");
    }
    // Kubernetes would take these for other names, so they are no way around; the account may not have them either.
    for group in ["SYSTEM:masters", "System:masters", "others"] {
        let rules = everything_in("a");
        let file = world.path("issue.yaml");
        std::fs::write(&file, rules).unwrap();
        let issued = world.daas(&[
            "token",
            "issue",
            "--rules",
            &file.to_string_lossy(),
            "--group",
            group,
            "-o",
            "name",
        ]);
        if issued.code != 0 {
            continue;
        }
        let token = world.token(&everything_in("a"), &["--group", group]);
        let answer = token.send("GET", "/api/v1/namespaces/a/configmaps", "");
        assert!(answer.status >= 400, "{group}: {}", answer.text());
    }
}

/// By the cluster's own word.
fn nothing_of_b_arrived(log: &str, token: &Token<'_>) {
    let mut arrived = 0;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let groups = event["impersonatedUser"]["groups"].as_array();
        if event["user"]["username"] == "system:serviceaccount:daas:nautilus" {
            let foreign = groups.into_iter().flatten().find(|group| {
                let group = group.as_str().unwrap().to_lowercase();
                group.starts_with("system:") && group != "system:authenticated"
            });
            assert_eq!(foreign, None, "{event:#}");
        }
        if event["impersonatedUser"]["username"] != token.user() {
            continue;
        }
        arrived += 1;
        let object = &event["objectRef"];
        let is_review = object["resource"]
            .as_str()
            .unwrap_or_default()
            .starts_with("selfsubject");
        assert!(
            object["namespace"] == "a" || is_review || object == &Value::Null,
            "{event:#}"
        );
        let uri = event["requestURI"].as_str().unwrap();
        let path = uri.split('?').next().unwrap();
        assert!(!path.contains("/b") && !path.contains(".."), "{uri}");
    }
    assert!(arrived > 10, "what was allowed did arrive");
}

fn config_map(namespace: &str, name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"a": "new"}}).to_string()
}

/// What only `b` has.
const MARK: &str = "only-b-has-this";

const NAMESPACES: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: Namespace
metadata: {name: b, labels: {mark: only-b-has-this}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: own, namespace: a}
data: {a: '1'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: own, namespace: b}
data: {a: only-b-has-this}
---
apiVersion: v1
kind: Secret
metadata: {name: own, namespace: b, labels: {mark: only-b-has-this}}
stringData: {a: only-b-has-this}
";
