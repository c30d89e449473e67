#[test_only]
module k3s_daas::policy_tests;

use k3s_daas::policy::{Self, PolicyRule};
use k3s_daas::resource_path;
use std::string::String;
use std::unit_test::assert_eq;

// === What the corpus asks ===

/// Aborts with `row` unless `rules` allow the request exactly if `allowed`.
public fun decides(
    rules: vector<PolicyRule>,
    method: vector<u8>,
    path: vector<u8>,
    query: vector<u8>,
    allowed: bool,
    row: u64,
) {
    let target = resource_path::derive(&method, &path, &query, true).destroy_some();
    assert!(policy::allows(&rules, &target, &path) == allowed, row);
}

/// A rule of lists of bytes.
public fun rule_of(lists: vector<vector<vector<u8>>>): PolicyRule {
    let lists = lists.map!(|list| list.map!(|text| text.to_string()));
    policy::new_rule(lists[0], lists[1], lists[2], lists[3], lists[4], lists[5])
}

// === One rule ===

#[test]
fun every_dimension_has_to_match() {
    check(
        rule(b"get,list", b"-", b"pods", b"default"),
        vector[
            b"GET /api/v1/namespaces/default/pods",
            b"GET /api/v1/namespaces/default/pods/x",
            b"GET /api/v9/namespaces/default/pods/x",
        ],
        vector[
            b"GET /api/v1/namespaces/default/pods?watch=1",
            b"DELETE /api/v1/namespaces/default/pods/x",
            b"POST /api/v1/namespaces/default/pods",
            b"GET /api/v1/namespaces/other/pods",
            b"GET /api/v1/namespaces/default/secrets",
            b"GET /api/v1/namespaces/default/secrets/pods",
            b"GET /api/v1/namespaces/pods/default",
            b"GET /apis/apps/v1/namespaces/default/pods",
            b"GET /api/v1/namespaces/default/pods/x/log",
            b"GET /api/v1/namespaces/default/pods/x/exec",
            b"GET /api/v1/pods",
            b"GET /pods",
        ],
    );
}

#[test]
fun an_empty_list_matches_nothing() {
    let full = rule(b"*", b"*", b"*", b"*");
    check(
        full,
        vector[b"GET /api/v1/pods", b"DELETE /api/v1/nodes/n"],
        vector[b"GET /metrics", b"GET /versions"],
    );
    vector[
        rule(b"", b"*", b"*", b"*"),
        rule(b"*", b"", b"*", b"*"),
        rule(b"*", b"*", b"", b"*"),
        rule(b"*", b"*", b"*", b""),
        rule(b"", b"", b"", b""),
    ].do!(|broken| {
        check(
            broken,
            vector[],
            vector[b"GET /api/v1/pods", b"GET /api/v1/namespaces/a/pods/x", b"GET /metrics"],
        );
    });
    check(url_rule(b"", b"*"), vector[], vector[b"GET /metrics"]);
    check(url_rule(b"*", b""), vector[], vector[b"GET /metrics"]);
}

#[test]
fun a_star_is_any_only_alone() {
    check(
        rule(b"*", b"*", b"*", b"*"),
        vector[
            b"GET /apis/apps/v1/deployments",
            b"POST /api/v1/namespaces/a/pods/x/exec",
            b"DELETE /apis/g/v1/clusterthings",
            b"PATCH /apis/apps/v1/namespaces/a/deployments/x/scale",
        ],
        vector[],
    );
    vector[
        rule(b"g*", b"*", b"*", b"*"),
        rule(b"**", b"*", b"*", b"*"),
        rule(b"*", b"-*", b"*", b"*"),
        rule(b"*", b"*", b"po*", b"*"),
        rule(b"*", b"*", b"*s", b"*"),
        rule(b"*", b"*", b"*", b"de*"),
        rule(b"*", b"*", b"**", b"*"),
        rule(b"*", b"*", b"*/*", b"*"),
    ].do!(|broken| {
        check(
            broken,
            vector[],
            vector[
                b"GET /api/v1/namespaces/default/pods",
                b"GET /api/v1/namespaces/default/pods/x/log",
            ],
        );
    });
}

#[test]
fun subresources_are_named_one_by_one() {
    check(
        rule(b"*", b"*", b"*/scale", b"*"),
        vector[
            b"GET /apis/apps/v1/namespaces/a/deployments/x/scale",
            b"PUT /api/v1/namespaces/a/replicationcontrollers/x/scale",
        ],
        vector[
            b"GET /apis/apps/v1/namespaces/a/deployments/x",
            b"GET /apis/apps/v1/namespaces/a/deployments/x/status",
            b"GET /apis/apps/v1/namespaces/a/deployments/x/Scale",
            b"GET /apis/apps/v1/namespaces/a/scale/x",
            b"GET /apis/apps/v1/namespaces/a/scale",
        ],
    );
    check(
        rule(b"*", b"*", b"pods/*", b"*"),
        vector[b"GET /api/v1/namespaces/a/pods/x/*"],
        vector[
            b"GET /api/v1/namespaces/a/pods",
            b"GET /api/v1/namespaces/a/pods/x",
            b"GET /api/v1/namespaces/a/pods/x/exec",
            b"GET /api/v1/namespaces/a/pods/x/log",
        ],
    );
    check(
        rule(b"*", b"*", b"pods/log,pods/exec/x,/status,*/", b"*"),
        vector[b"GET /api/v1/namespaces/a/pods/x/log"],
        vector[
            b"GET /api/v1/namespaces/a/pods/x",
            b"GET /api/v1/namespaces/a/pods/x/exec",
            b"GET /api/v1/namespaces/a/pods/x/exec/x",
            b"GET /api/v1/namespaces/a/services/x/log",
            b"GET /api/v1/namespaces/a/services/x/status",
            b"GET /api/v1/namespaces/a/status",
        ],
    );
}

#[test]
fun exec_needs_create_whatever_the_method() {
    let request = b"GET /api/v1/namespaces/a/pods/x/exec?command=sh";
    check(rule(b"get,list,watch", b"*", b"*", b"*"), vector[], vector[request]);
    check(rule(b"create", b"-", b"pods/exec", b"a"), vector[request], vector[]);
    check(rule(b"create", b"-", b"pods", b"a"), vector[], vector[request]);
}

#[test]
fun the_whole_cluster_needs_the_star() {
    let one = rule(b"*", b"*", b"*", b"default");
    check(
        one,
        vector[
            b"GET /api/v1/namespaces/default",
            b"PUT /api/v1/namespaces/default/finalize",
            b"GET /api/v1/namespaces/default/pods",
        ],
        vector[
            b"GET /api/v1/pods",
            b"DELETE /api/v1/pods",
            b"GET /api/v1/pods?watch=1",
            b"GET /api/v1/nodes/default",
            b"GET /api/v1/nodes",
            b"GET /api/v1/namespaces",
            b"POST /api/v1/namespaces",
            b"GET /api/v1/namespaces/other",
            b"GET /api/v1/namespaces?fieldSelector=metadata.name%3Ddefault",
            b"GET /apis/rbac.authorization.k8s.io/v1/clusterroles/default",
        ],
    );
    // An empty entry is no way around it.
    check(
        rule(b"*", b"*", b"*", b"-"),
        vector[],
        vector[b"GET /api/v1/pods", b"GET /api/v1/nodes/n", b"GET /api/v1/namespaces/default/pods"],
    );
    // Nor is a namespace that is called like the star; only the rule's star counts.
    check(one, vector[], vector[b"GET /api/v1/namespaces/*/pods"]);
}

#[test]
fun names_limit_requests_that_have_one() {
    let named = named_rule(b"web,db", b"*", b"*", b"*", b"*");
    check(
        named,
        vector[
            b"GET /api/v1/namespaces/a/pods/web",
            b"DELETE /api/v1/namespaces/a/pods/db",
            b"GET /api/v1/namespaces/a/pods/web/log",
            b"GET /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb",
            b"GET /api/v1/namespaces/a/pods?watch=1&fieldSelector=metadata.name=web",
        ],
        vector[
            b"GET /api/v1/namespaces/a/pods/other",
            b"GET /api/v1/namespaces/a/pods/Web",
            b"GET /api/v1/namespaces/a/pods/webb",
            b"GET /api/v1/namespaces/a/pods",
            b"GET /api/v1/namespaces/a/pods?watch=1",
            b"POST /api/v1/namespaces/a/pods",
            b"DELETE /api/v1/namespaces/a/pods",
            b"DELETE /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb",
            b"GET /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dother",
            b"GET /api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb,spec.nodeName%3Dn",
            b"GET /api/v1/watch/namespaces/a/pods?fieldSelector=metadata.name%3Dweb",
        ],
    );
    vector[b"-", b"*"].do!(|names| {
        let odd = named_rule(names, b"*", b"*", b"*", b"*");
        check(
            odd,
            vector[],
            vector[b"GET /api/v1/namespaces/a/pods", b"GET /api/v1/namespaces/a/pods/web"],
        );
    });
}

#[test]
fun comparing_is_byte_by_byte() {
    check(
        rule(b"Get,get ", b"-", b"pods", b"a"),
        vector[],
        vector[b"GET /api/v1/namespaces/a/pods/x"],
    );
    let exact = rule(b"get", b"-", b"Pods", b"A");
    check(
        exact,
        vector[b"GET /api/v1/namespaces/A/Pods/x"],
        vector[b"GET /api/v1/namespaces/a/Pods/x", b"GET /api/v1/namespaces/A/pods/x"],
    );
    // Composed and decomposed are two names.
    check(
        rule(b"get", b"-", b"pods", x"c3a9"),
        vector[b"GET /api/v1/namespaces/%C3%A9/pods/x"],
        vector[b"GET /api/v1/namespaces/e%CC%81/pods/x"],
    );
}

#[test]
fun other_paths_match_as_they_stand() {
    check(
        url_rule(b"get", b"/metrics,/logs/*,/x/"),
        vector[b"GET /metrics", b"GET /logs/", b"GET /logs/a/b", b"GET /x/"],
        vector[
            b"GET /metrics/",
            b"GET /metrics/a",
            b"GET /metric",
            b"GET /logs",
            b"GET /logsx",
            b"GET /x",
            b"GET /x/y",
            b"POST /metrics",
            b"GET /Metrics",
            b"GET /api/v1/pods",
        ],
    );
    check(
        url_rule(b"*", b"*"),
        vector[b"GET /", b"DELETE /x"],
        vector[b"GET /api/v1/pods"],
    );
    check(
        url_rule(b"put,post", b"/x"),
        vector[b"PUT /x", b"POST /x"],
        vector[b"PATCH /x", b"GET /x"],
    );
    // A star elsewhere is a star.
    check(
        url_rule(b"*", b"/a*/b,/c**"),
        vector[b"GET /a*/b", b"GET /c*", b"GET /c*d"],
        vector[b"GET /ax/b", b"GET /c", b"GET /cd"],
    );
    // Paths stay escaped, and namespaces do not count.
    let escaped = policy::new_rule(
        list(b"get"),
        vector[],
        vector[],
        vector[],
        list(b"/a%20b"),
        list(b"a"),
    );
    check(escaped, vector[b"GET /a%20b"], vector[b"GET /a"]);
    // Resource fields say nothing of other paths, and the other way around.
    check(
        url_rule(b"*", b"/api/v1/*"),
        vector[b"GET /api/v1/"],
        vector[b"GET /api/v1/pods"],
    );
}

// === All rules ===

#[test]
fun every_valid_token_has_discovery_and_self_reviews() {
    vector[
        b"GET /api",
        b"GET /api/",
        b"GET /api/v1",
        b"GET /apis",
        b"GET /apis/apps/v1",
        b"GET /openapi/v3/apis/apps/v1",
        b"GET /version",
        b"GET /livez",
        b"GET /readyz",
        b"GET /healthz",
        b"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        b"POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        b"POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
    ].do!(|request| assert!(allows(vector[], request)));

    vector[
        b"POST /api",
        b"DELETE /version",
        b"GET /",
        b"GET /openapi",
        b"GET /version/",
        b"GET /livez/etcd",
        b"GET /healthz/",
        b"GET /metrics",
        b"GET /apiserver",
        b"GET /api/v1/pods",
        b"GET /apis/apps/v1/deployments",
        b"GET /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        b"PUT /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        b"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x",
        b"POST /apis/authorization.k8s.io/v1/namespaces/a/selfsubjectaccessreviews",
        b"POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
        b"POST /apis/authentication.k8s.io/v1/tokenreviews",
        b"POST /api/v1/selfsubjectreviews",
    ].do!(|request| assert!(!allows(vector[], request)));
}

#[test]
fun one_rule_is_enough_but_parts_do_not_add_up() {
    let rules = vector[
        rule(b"get", b"-", b"secrets", b"a"),
        url_rule(b"get", b"/metrics"),
        rule(b"list", b"-", b"pods", b"a"),
    ];
    assert!(allows(rules, b"GET /api/v1/namespaces/a/pods"));
    assert!(allows(rules, b"GET /metrics"));
    assert!(!allows(rules, b"GET /api/v1/namespaces/a/pods/x"));
    assert!(!allows(rules, b"GET /api/v1/namespaces/a/secrets"));
}

#[test]
fun rules_are_measured_in_bcs() {
    assert_eq!(policy::bcs_length(&vector[]), 1);
    assert_eq!(policy::bcs_length(&vector[rule(b"", b"", b"", b"")]), 7);
    // Six lengths of lists, a length for each text.
    let rule = rule(b"get,list", b"-", b"pods", b"default");
    assert_eq!(policy::bcs_length(&vector[rule]), 1 + 6 + 4 + 5 + 1 + 5 + 8);
    assert_eq!(policy::bcs_length(&vector[rule, rule]), 1 + 2 * 29);
}

#[test]
fun what_the_bound_of_entries_counts() {
    assert_eq!(policy::entries(&vector[]), 0);
    let none = vector[];
    let one = vector[b"".to_string()];
    let empty = policy::new_rule(none, none, none, none, none, none);
    assert_eq!(policy::entries(&vector[empty]), 2);
    assert_eq!(policy::entries(&vector[empty, empty, empty]), 6);
    vector[
        policy::new_rule(one, none, none, none, none, none),
        policy::new_rule(none, one, none, none, none, none),
        policy::new_rule(none, none, one, none, none, none),
        policy::new_rule(none, none, none, one, none, none),
        policy::new_rule(none, none, none, none, none, one),
    ].do!(|rule| assert_eq!(policy::entries(&vector[empty, rule]), 5));
    let url = policy::new_rule(none, none, none, none, one, none);
    assert_eq!(policy::entries(&vector[empty, url]), 12);
    let full = policy::new_rule(one, one, one, one, one, one);
    assert_eq!(policy::entries(&vector[full, full]), 30);
}

// === Helpers ===

fun check(rule: PolicyRule, allowed: vector<vector<u8>>, refused: vector<vector<u8>>) {
    allowed.do!(|request| assert!(allows(vector[rule], request)));
    refused.do!(|request| assert!(!allows(vector[rule], request)));
}

/// Whether `rules` allow a request written as in `GET /api/v1/pods?watch=1`.
fun allows(rules: vector<PolicyRule>, request: vector<u8>): bool {
    let request = request.to_string();
    let length = request.length();
    let space = request.index_of(&b" ".to_string());
    let method = request.substring(0, space);
    let mark = request.index_of(&b"?".to_string());
    let path = request.substring(space + 1, mark);
    let query = if (mark == length) b"".to_string() else request.substring(mark + 1, length);
    let target = resource_path::derive(method.as_bytes(), path.as_bytes(), query.as_bytes(), true);
    policy::allows(&rules, &target.destroy_some(), path.as_bytes())
}

/// A rule of lists separated by commas, `-` being the empty text of the core group.
fun rule(
    verbs: vector<u8>,
    groups: vector<u8>,
    resources: vector<u8>,
    namespaces: vector<u8>,
): PolicyRule {
    named_rule(b"", verbs, groups, resources, namespaces)
}

fun named_rule(
    names: vector<u8>,
    verbs: vector<u8>,
    groups: vector<u8>,
    resources: vector<u8>,
    namespaces: vector<u8>,
): PolicyRule {
    policy::new_rule(
        list(verbs),
        list(groups),
        list(resources),
        list(names),
        vector[],
        list(namespaces),
    )
}

fun url_rule(verbs: vector<u8>, urls: vector<u8>): PolicyRule {
    policy::new_rule(list(verbs), vector[], vector[], vector[], list(urls), vector[])
}

fun list(text: vector<u8>): vector<String> {
    let mut rest = text.to_string();
    let mut items = vector[];
    while (!rest.is_empty()) {
        let end = rest.index_of(&b",".to_string());
        let item = rest.substring(0, end);
        items.push_back(if (item == b"-".to_string()) b"".to_string() else item);
        if (end == rest.length()) break;
        rest = rest.substring(end + 1, rest.length());
    };
    items
}
