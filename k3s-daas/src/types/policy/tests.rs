use proptest::prelude::*;

use super::super::verb::Method;
use super::*;

/// A rule as in `get,list / "" / pods / default`, lists separated by commas, `""` being the core group.
fn rule(verbs: &str, groups: &str, resources: &str, namespaces: &str) -> PolicyRule {
    PolicyRule {
        verbs: list(verbs),
        api_groups: list(groups),
        resources: list(resources),
        namespaces: list(namespaces),
        ..PolicyRule::default()
    }
}

fn url_rule(verbs: &str, urls: &str) -> PolicyRule {
    PolicyRule {
        verbs: list(verbs),
        non_resource_urls: list(urls),
        ..PolicyRule::default()
    }
}

fn list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .map(|item| if item == "\"\"" { "" } else { item }.to_owned())
        .collect()
}

/// Whether `rule` allows a request written as in `GET /api/v1/pods?watch=1`.
fn allows(rule: &PolicyRule, request: &str) -> bool {
    let (target, path) = target(request);
    rule.allows(&target, path.as_bytes())
}

fn target(request: &str) -> (Target, String) {
    let (method, url) = request.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let method: Method = method.parse().unwrap();
    let target = Target::derive(method, path.as_bytes(), Some(query.as_bytes())).unwrap();
    (target, path.to_owned())
}

fn check(rule: &PolicyRule, allowed: &[&str], refused: &[&str]) {
    for request in allowed {
        assert!(allows(rule, request), "{request} is refused by {rule:?}");
    }
    for request in refused {
        assert!(!allows(rule, request), "{request} is allowed by {rule:?}");
    }
}

#[test]
fn every_dimension_has_to_match() {
    check(
        &rule("get,list", "\"\"", "pods", "default"),
        &[
            "GET /api/v1/namespaces/default/pods",
            "GET /api/v1/namespaces/default/pods/x",
            "GET /api/v9/namespaces/default/pods/x",
        ],
        &[
            "GET /api/v1/namespaces/default/pods?watch=1",
            "DELETE /api/v1/namespaces/default/pods/x",
            "POST /api/v1/namespaces/default/pods",
            "GET /api/v1/namespaces/other/pods",
            "GET /api/v1/namespaces/default/secrets",
            "GET /api/v1/namespaces/default/secrets/pods",
            "GET /api/v1/namespaces/pods/default",
            "GET /apis/apps/v1/namespaces/default/pods",
            "GET /api/v1/namespaces/default/pods/x/log",
            "GET /api/v1/namespaces/default/pods/x/exec",
            "GET /api/v1/pods",
            "GET /pods",
        ],
    );
}

#[test]
fn an_empty_list_matches_nothing() {
    let full = rule("*", "*", "*", "*");
    check(
        &full,
        &["GET /api/v1/pods", "DELETE /api/v1/nodes/n"],
        &["GET /metrics", "GET /version"],
    );
    for broken in [
        rule("", "*", "*", "*"),
        rule("*", "", "*", "*"),
        rule("*", "*", "", "*"),
        rule("*", "*", "*", ""),
        PolicyRule::default(),
    ] {
        check(
            &broken,
            &[],
            &[
                "GET /api/v1/pods",
                "GET /api/v1/namespaces/a/pods/x",
                "GET /metrics",
            ],
        );
    }
    check(&url_rule("", "*"), &[], &["GET /metrics"]);
    check(&url_rule("*", ""), &[], &["GET /metrics"]);
}

#[test]
fn a_star_is_any_only_alone() {
    check(
        &rule("*", "*", "*", "*"),
        &[
            "GET /apis/apps/v1/deployments",
            "POST /api/v1/namespaces/a/pods/x/exec",
            "DELETE /apis/g/v1/clusterthings",
            "PATCH /apis/apps/v1/namespaces/a/deployments/x/scale",
        ],
        &[],
    );
    for broken in [
        rule("g*", "*", "*", "*"),
        rule("**", "*", "*", "*"),
        rule("*", "\"\"*", "*", "*"),
        rule("*", "*", "po*", "*"),
        rule("*", "*", "*s", "*"),
        rule("*", "*", "*", "de*"),
        rule("*", "*", "**", "*"),
        rule("*", "*", "*/*", "*"),
    ] {
        check(
            &broken,
            &[],
            &[
                "GET /api/v1/namespaces/default/pods",
                "GET /api/v1/namespaces/default/pods/x/log",
            ],
        );
    }
}

#[test]
fn subresources_are_named_one_by_one() {
    check(
        &rule("*", "*", "*/scale", "*"),
        &[
            "GET /apis/apps/v1/namespaces/a/deployments/x/scale",
            "PUT /api/v1/namespaces/a/replicationcontrollers/x/scale",
        ],
        &[
            "GET /apis/apps/v1/namespaces/a/deployments/x",
            "GET /apis/apps/v1/namespaces/a/deployments/x/status",
            "GET /apis/apps/v1/namespaces/a/deployments/x/Scale",
            "GET /apis/apps/v1/namespaces/a/scale/x",
            "GET /apis/apps/v1/namespaces/a/scale",
        ],
    );
    check(
        &rule("*", "*", "pods/*", "*"),
        &["GET /api/v1/namespaces/a/pods/x/*"],
        &[
            "GET /api/v1/namespaces/a/pods",
            "GET /api/v1/namespaces/a/pods/x",
            "GET /api/v1/namespaces/a/pods/x/exec",
            "GET /api/v1/namespaces/a/pods/x/log",
        ],
    );
    check(
        &rule("*", "*", "pods/log,pods/exec/x,/status,*/", "*"),
        &["GET /api/v1/namespaces/a/pods/x/log"],
        &[
            "GET /api/v1/namespaces/a/pods/x",
            "GET /api/v1/namespaces/a/pods/x/exec",
            "GET /api/v1/namespaces/a/pods/x/exec/x",
            "GET /api/v1/namespaces/a/services/x/log",
            "GET /api/v1/namespaces/a/services/x/status",
            "GET /api/v1/namespaces/a/status",
        ],
    );
}

#[test]
fn exec_needs_create_whatever_the_method() {
    let request = "GET /api/v1/namespaces/a/pods/x/exec?command=sh";
    check(&rule("get,list,watch", "*", "*", "*"), &[], &[request]);
    check(&rule("create", "\"\"", "pods/exec", "a"), &[request], &[]);
    check(&rule("create", "\"\"", "pods", "a"), &[], &[request]);
}

#[test]
fn the_whole_cluster_needs_the_star() {
    let one = rule("*", "*", "*", "default");
    check(
        &one,
        &[
            "GET /api/v1/namespaces/default",
            "PUT /api/v1/namespaces/default/finalize",
            "GET /api/v1/namespaces/default/pods",
        ],
        &[
            "GET /api/v1/pods",
            "DELETE /api/v1/pods",
            "GET /api/v1/pods?watch=1",
            "GET /api/v1/nodes/default",
            "GET /api/v1/nodes",
            "GET /api/v1/namespaces",
            "POST /api/v1/namespaces",
            "GET /api/v1/namespaces/other",
            "GET /api/v1/namespaces?fieldSelector=metadata.name%3Ddefault",
            "GET /apis/rbac.authorization.k8s.io/v1/clusterroles/default",
        ],
    );
    // An empty entry is no way around it.
    check(
        &rule("*", "*", "*", "\"\""),
        &[],
        &[
            "GET /api/v1/pods",
            "GET /api/v1/nodes/n",
            "GET /api/v1/namespaces/default/pods",
        ],
    );
    // Nor is a namespace that is called like the star; only the rule's star counts.
    check(&one, &[], &["GET /api/v1/namespaces/*/pods"]);
}

#[test]
fn names_limit_requests_that_have_one() {
    let named = PolicyRule {
        resource_names: list("web,db"),
        ..rule("*", "*", "*", "*")
    };
    check(
        &named,
        &[
            "GET /api/v1/namespaces/a/pods/web",
            "DELETE /api/v1/namespaces/a/pods/db",
            "GET /api/v1/namespaces/a/pods/web/log",
            "GET /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb",
            "GET /api/v1/namespaces/a/pods?watch=1&fieldSelector=metadata.name=web",
        ],
        &[
            "GET /api/v1/namespaces/a/pods/other",
            "GET /api/v1/namespaces/a/pods/Web",
            "GET /api/v1/namespaces/a/pods/webb",
            "GET /api/v1/namespaces/a/pods",
            "GET /api/v1/namespaces/a/pods?watch=1",
            "POST /api/v1/namespaces/a/pods",
            "DELETE /api/v1/namespaces/a/pods",
            "DELETE /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb",
            "GET /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dother",
            "GET /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb,spec.nodeName%3Dn",
            "GET /api/v1/watch/namespaces/a/pods?fieldSelector=metadata.name%3Dweb",
        ],
    );
    for names in ["\"\"", "*"] {
        let odd = PolicyRule {
            resource_names: list(names),
            ..rule("*", "*", "*", "*")
        };
        check(
            &odd,
            &[],
            &[
                "GET /api/v1/namespaces/a/pods",
                "GET /api/v1/namespaces/a/pods/web",
            ],
        );
    }
}

#[test]
fn comparing_is_byte_by_byte() {
    check(
        &rule("Get,get ", "\"\"", "pods", "a"),
        &[],
        &["GET /api/v1/namespaces/a/pods/x"],
    );
    let exact = rule("get", "\"\"", "Pods", "A");
    check(
        &exact,
        &["GET /api/v1/namespaces/A/Pods/x"],
        &[
            "GET /api/v1/namespaces/a/Pods/x",
            "GET /api/v1/namespaces/A/pods/x",
        ],
    );
    // Composed and decomposed are two names.
    check(
        &rule("get", "\"\"", "pods", "é"),
        &["GET /api/v1/namespaces/%C3%A9/pods/x"],
        &["GET /api/v1/namespaces/e%CC%81/pods/x"],
    );
}

#[test]
fn other_paths_match_as_they_stand() {
    check(
        &url_rule("get", "/metrics,/logs/*,/x/"),
        &["GET /metrics", "GET /logs/", "GET /logs/a/b", "GET /x/"],
        &[
            "GET /metrics/",
            "GET /metrics/a",
            "GET /metric",
            "GET /logs",
            "GET /logsx",
            "GET /x",
            "GET /x/y",
            "POST /metrics",
            "GET /Metrics",
            "GET /api/v1/pods",
        ],
    );
    check(
        &url_rule("*", "*"),
        &["GET /", "DELETE /x"],
        &["GET /api/v1/pods"],
    );
    check(
        &url_rule("put,post", "/x"),
        &["PUT /x", "POST /x"],
        &["PATCH /x", "GET /x"],
    );
    // A star elsewhere is a star.
    check(
        &url_rule("*", "/a*/b,/c**"),
        &["GET /a*/b", "GET /c*", "GET /c*d"],
        &["GET /ax/b", "GET /c", "GET /cd"],
    );
    // Paths stay escaped, and namespaces do not count.
    let escaped = PolicyRule {
        namespaces: list("a"),
        ..url_rule("get", "/a%20b")
    };
    check(&escaped, &["GET /a%20b"], &["GET /a"]);
    // Resource fields say nothing of other paths, and the other way around.
    check(
        &url_rule("*", "/api/v1/*"),
        &["GET /api/v1/"],
        &["GET /api/v1/pods"],
    );
}

#[test]
fn every_valid_token_has_discovery_and_self_reviews() {
    let allow = |rules: &[PolicyRule], request: &str| {
        let (target, path) = target(request);
        rules_allow(rules, &target, path.as_bytes())
    };
    for request in [
        "GET /api",
        "GET /api/",
        "GET /api/v1",
        "GET /apis",
        "GET /apis/apps/v1",
        "GET /openapi/v3/apis/apps/v1",
        "GET /version",
        "GET /livez",
        "GET /readyz",
        "GET /healthz",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
    ] {
        assert!(allow(&[], request), "{request}");
    }
    for request in [
        "POST /api",
        "DELETE /version",
        "GET /",
        "GET /openapi",
        "GET /version/",
        "GET /livez/etcd",
        "GET /healthz/",
        "GET /metrics",
        "GET /apiserver",
        "GET /api/v1/pods",
        "GET /apis/apps/v1/deployments",
        "GET /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "PUT /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x",
        "POST /apis/authorization.k8s.io/v1/namespaces/a/selfsubjectaccessreviews",
        "POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        "POST /apis/authentication.k8s.io/v1/tokenreviews",
        "POST /api/v1/selfsubjectreviews",
    ] {
        assert!(!allow(&[], request), "{request}");
    }
    // One rule that allows is enough, wherever it stands.
    let rules = [
        rule("get", "\"\"", "secrets", "a"),
        url_rule("get", "/metrics"),
        rule("list", "\"\"", "pods", "a"),
    ];
    assert!(allow(&rules, "GET /api/v1/namespaces/a/pods"));
    assert!(allow(&rules, "GET /metrics"));
    // But its parts do not add up over rules.
    assert!(!allow(&rules, "GET /api/v1/namespaces/a/pods/x"));
    assert!(!allow(&rules, "GET /api/v1/namespaces/a/secrets"));
}

#[test]
fn the_nearest_rule_is_named_with_what_it_lacks() {
    let rules = [
        rule("*", "apps", "deployments", "prod"),
        rule("get,list", "\"\"", "pods", "default"),
        url_rule("get", "/metrics"),
        PolicyRule {
            resource_names: list("web"),
            ..rule("get", "\"\"", "services", "a,b")
        },
    ];
    let nearest = |request: &str| {
        let (target, path) = target(request);
        nearest_rule(&rules, &target, path.as_bytes())
    };
    for (request, message) in [
        (
            "DELETE /api/v1/namespaces/default/pods/x",
            "rule 2 allows get, list on pods in namespace default; it lacks verb delete",
        ),
        (
            "GET /api/v1/namespaces/kube-system/pods/x",
            "rule 2 allows get, list on pods in namespace default; it lacks namespace kube-system",
        ),
        (
            "DELETE /api/v1/pods",
            "rule 2 allows get, list on pods in namespace default; it lacks verb deletecollection \
             and namespace \"*\" (needed for cluster-scoped resources, and for all namespaces at once)",
        ),
        (
            "GET /api/v1/namespaces/default/secrets/x",
            "rule 2 allows get, list on pods in namespace default; it lacks resource secrets",
        ),
        (
            "GET /api/v1/namespaces/default/pods/x/exec",
            "rule 2 allows get, list on pods in namespace default; it lacks verb create and resource pods/exec",
        ),
        (
            "GET /apis/apps/v1/namespaces/prod/statefulsets/x",
            "rule 1 allows * on deployments in namespace prod; it lacks resource statefulsets",
        ),
        (
            "GET /apis/batch/v1/namespaces/default/pods/x",
            "rule 2 allows get, list on pods in namespace default; it lacks API group batch",
        ),
        (
            "GET /api/v1/namespaces/prod/deployments/x",
            "rule 1 allows * on deployments in namespace prod; it lacks the core API group (\"\")",
        ),
        (
            "GET /api/v1/namespaces/a/services/db",
            "rule 4 allows get on services named web in namespaces a, b; it lacks name db",
        ),
        (
            "POST /api/v1/namespaces/a/services",
            "rule 4 allows get on services named web in namespaces a, b; it lacks verb create and \
             requests without an object's name",
        ),
        (
            "GET /logs",
            "rule 3 allows get on /metrics; it lacks path /logs",
        ),
        (
            "POST /metrics",
            "rule 3 allows get on /metrics; it lacks verb post",
        ),
    ] {
        assert_eq!(nearest(request).as_deref(), Some(message), "{request}");
    }
    for allowed in [
        "GET /metrics",
        "GET /api",
        "GET /api/v1/namespaces/default/pods",
    ] {
        assert_eq!(nearest(allowed), None);
    }
    let (target, path) = target("GET /logs");
    assert_eq!(nearest_rule(&rules[..2], &target, path.as_bytes()), None);
    assert_eq!(nearest_rule(&[], &target, path.as_bytes()), None);
}

#[test]
fn messages_stay_short() {
    let long = vec!["é".repeat(4_000); 50];
    let huge = PolicyRule {
        verbs: long.clone(),
        api_groups: long.clone(),
        resources: long.clone(),
        resource_names: long.clone(),
        namespaces: long,
        ..PolicyRule::default()
    };
    let name = "n".repeat(450);
    let (target, path) = target(&format!("GET /apis/{name}/v1/namespaces/a/{name}/x"));
    let message = nearest_rule(&[huge], &target, path.as_bytes()).unwrap();
    assert!(message.len() < 2_500, "{}", message.len());
    assert!(message.contains("and 44 more"));
}

#[test]
fn rules_that_match_nothing_are_not_built() {
    let built = |change: fn(PolicyRuleBuilder) -> PolicyRuleBuilder| {
        let builder = PolicyRule::builder()
            .with_verbs(["get"])
            .with_api_groups(["", "apps"])
            .with_resources(["pods", "pods/log", "*/scale", "*"])
            .with_resource_names(["web"])
            .with_namespaces(["default", "*"]);
        change(builder).build()
    };
    assert_eq!(
        built(|builder| builder),
        Ok(PolicyRule {
            resource_names: list("web"),
            ..rule("get", "\"\",apps", "pods,pods/log,*/scale,*", "default,*")
        })
    );
    let none: [&str; 0] = [];
    for (field, broken) in [
        ("verbs", built(|b| b.with_verbs([""; 0]))),
        ("apiGroups", built(|b| b.with_api_groups([""; 0]))),
        ("resources", built(|b| b.with_resources([""; 0]))),
        ("namespaces", built(|b| b.with_namespaces([""; 0]))),
        ("verbs", PolicyRule::builder().with_verbs(none).build()),
    ] {
        assert_eq!(broken, Err(InvalidRule::Empty { field }));
    }
    assert!(built(|b| b.with_resource_names([""; 0])).is_ok());
    for broken in [
        built(|b| b.with_verbs(["Get"])),
        built(|b| b.with_verbs(["use"])),
        built(|b| b.with_verbs(["get", ""])),
        built(|b| b.with_api_groups(["a/b"])),
        built(|b| b.with_api_groups(["*.k8s.io"])),
        built(|b| b.with_resources(["pods/*"])),
        built(|b| b.with_resources(["*/*"])),
        built(|b| b.with_resources(["pods/"])),
        built(|b| b.with_resources(["/log"])),
        built(|b| b.with_resources(["pods/exec/x"])),
        built(|b| b.with_resources(["po*"])),
        built(|b| b.with_resources([""])),
        built(|b| b.with_resource_names([""])),
        built(|b| b.with_resource_names(["*"])),
        built(|b| b.with_resource_names(["a/b"])),
        built(|b| b.with_namespaces([""])),
        built(|b| b.with_namespaces(["team-*"])),
        built(|b| b.with_namespaces(["."])),
        built(|b| b.with_namespaces(["a\nb"])),
        built(|b| b.with_namespaces(["n".repeat(254)])),
    ] {
        assert!(
            matches!(broken, Err(InvalidRule::Entry { .. })),
            "{broken:?}"
        );
    }
    assert_eq!(
        built(|b| b.with_resources(["pods/*"]))
            .unwrap_err()
            .to_string(),
        "resources has \"pods/*\", which is no wildcard, name each subresource"
    );
    assert_eq!(
        built(|b| b.with_non_resource_urls(["/metrics"])),
        Err(InvalidRule::Mixed)
    );
}

#[test]
fn url_rules_that_match_nothing_are_not_built() {
    let built = |url: &str| {
        PolicyRule::builder()
            .with_verbs(["get", "post"])
            .with_non_resource_urls([url])
            .build()
    };
    for url in [
        "*",
        "/",
        "/*",
        "/metrics",
        "/metrics/",
        "/logs/*",
        "/logs*",
        "/a%20b",
        "/a:b",
    ] {
        assert!(built(url).is_ok(), "{url}");
    }
    for url in [
        "", "metrics", "//", "/a//b", "/../x", "/a*/b", "/a**", "**", "/a b", "/a%2Fb", "/a%41",
        "/a?b", "a*",
    ] {
        assert!(built(url).is_err(), "{url}");
    }
}

#[test]
fn rules_are_read_as_kubernetes_writes_them() {
    let json = r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":[],"nonResourceURLs":[],"namespaces":["a"]}"#;
    let rule = rule("get", "\"\"", "pods", "a");
    assert_eq!(serde_json::to_string(&rule).unwrap(), json);
    assert_eq!(serde_json::from_str::<PolicyRule>(json).unwrap(), rule);
    let short = r#"{"verbs":["get"],"nonResourceURLs":["/metrics"]}"#;
    assert_eq!(
        serde_json::from_str::<PolicyRule>(short).unwrap(),
        url_rule("get", "/metrics")
    );
    // A misspelt limit must not go unnoticed.
    for unknown in [
        r#"{"verbs":["get"],"apiGroups":["*"],"resources":["*"],"namespaces":["*"],"resourceName":["a"]}"#,
        r#"{"verbs":["get"],"nonResourceUrls":["/metrics"]}"#,
        r#"{"verbs":["get"],"api_groups":[""]}"#,
    ] {
        assert!(
            serde_json::from_str::<PolicyRule>(unknown).is_err(),
            "{unknown}"
        );
    }
}

#[test]
fn bcs_is_the_fields_in_order() {
    let rule = PolicyRule {
        verbs: list("v"),
        api_groups: list("g,\"\""),
        resources: list("r"),
        resource_names: Vec::new(),
        non_resource_urls: list("/u"),
        namespaces: list("n"),
    };
    let bytes = bcs::to_bytes(&rule).unwrap();
    assert_eq!(
        hex::encode(&bytes),
        "0101760201670001017200010".to_owned() + "22f7501016e"
    );
    assert_eq!(bcs::from_bytes::<PolicyRule>(&bytes).unwrap(), rule);
    assert!(bcs::from_bytes::<PolicyRule>(&bytes[..bytes.len() - 1]).is_err());
    assert!(bcs::from_bytes::<PolicyRule>(&bytes[..4]).is_err());
}

fn entries() -> impl Strategy<Value = Vec<String>> {
    let entry = prop::sample::select(vec![
        "*", "", "a", "b", "a/b", "*/b", "a/*", "get", "list", "create", "/a", "/a*", "/",
    ]);
    prop::collection::vec(entry.prop_map(str::to_owned), 0..3)
}

fn rules() -> impl Strategy<Value = PolicyRule> {
    (
        entries(),
        entries(),
        entries(),
        entries(),
        entries(),
        entries(),
    )
        .prop_map(
            |(verbs, api_groups, resources, resource_names, non_resource_urls, namespaces)| {
                PolicyRule {
                    verbs,
                    api_groups,
                    resources,
                    resource_names,
                    non_resource_urls,
                    namespaces,
                }
            },
        )
}

fn requests() -> impl Strategy<Value = String> {
    let url = prop::sample::select(vec![
        "/",
        "/a",
        "/a/",
        "/ab",
        "/api/v1/a",
        "/api/v1/a/a",
        "/api/v1/a/a/b",
        "/apis/a/v1/a",
        "/apis/b/v1/a/b",
        "/api/v1/namespaces/a/a",
        "/api/v1/namespaces/b/a/a",
        "/api/v1/namespaces/a/a/a/b",
        "/apis/a/v1/namespaces/a/b/b/b",
        "/api/v1/namespaces/a",
        "/api/v1/a/a/exec",
        "/api/v1/a?watch=1",
        "/api/v1/a?fieldSelector=metadata.name=a",
    ]);
    (prop::sample::select(Method::ALL.to_vec()), url)
        .prop_map(|(method, url)| format!("{method} {url}"))
}

/// The same rule, spelled out slowly.
fn slowly_allows(rule: &PolicyRule, target: &Target, path: &str) -> bool {
    let has = |list: &[String], entry: &str| list.contains(&entry.to_owned());
    if !has(&rule.verbs, "*") && !has(&rule.verbs, target.verb.as_str()) {
        return false;
    }
    let wanted = &target.path;
    if !wanted.is_resource {
        return rule.non_resource_urls.iter().any(|url| {
            url == path || (url.ends_with('*') && path.starts_with(&url[..url.len() - 1]))
        });
    }
    let mut resources = vec!["*".to_owned()];
    if wanted.subresource.is_empty() {
        resources.push(wanted.resource.clone());
    } else {
        resources.push(format!("{}/{}", wanted.resource, wanted.subresource));
        resources.push(format!("*/{}", wanted.subresource));
    }
    (has(&rule.api_groups, "*") || has(&rule.api_groups, &wanted.api_group))
        && resources
            .iter()
            .any(|resource| has(&rule.resources, resource))
        && (has(&rule.namespaces, "*")
            || (!wanted.namespace.is_empty() && has(&rule.namespaces, &wanted.namespace)))
        && (rule.resource_names.is_empty()
            || (!wanted.name.is_empty() && has(&rule.resource_names, &wanted.name)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn rules_match_as_spelled_out(rule in rules(), request in requests()) {
        let (target, path) = target(&request);
        prop_assert_eq!(
            rule.allows(&target, path.as_bytes()),
            slowly_allows(&rule, &target, &path),
            "{} {:?}", request, rule
        );
    }

    #[test]
    fn whoever_is_refused_learns_of_a_rule_only_if_there_is_one(
        rules in prop::collection::vec(rules(), 0..4),
        request in requests(),
    ) {
        let (target, path) = target(&request);
        let nearest = nearest_rule(&rules, &target, path.as_bytes());
        if rules_allow(&rules, &target, path.as_bytes()) {
            prop_assert_eq!(nearest, None);
        } else if let Some(message) = nearest {
            prop_assert!(message.starts_with("rule ") && message.contains("; it lacks "));
            prop_assert!(!message.ends_with("; it lacks "), "{}", message);
        }
    }
}
