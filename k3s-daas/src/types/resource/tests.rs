use proptest::prelude::*;

use super::super::{canonical_path, canonical_query};
use super::*;

fn derive(method: Method, url: &str) -> Result<Target, Malformed> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    Target::derive(method, path.as_bytes(), Some(query.as_bytes()))
}

/// kube-apiserver's `TestGetAPIRequestInfo`: method, URL, `RequestInfo`'s verb, the contract's verb,
/// group, version, namespace, resource, subresource, name. `HEAD` is no method of ours; the legacy
/// `/proxy/` prefix is malformed here and stands below.
#[rustfmt::skip]
const API_REQUESTS: &[(Method, &str, &str, &str, [&str; 6])] = &[
    // Resource paths.
    (Method::Get, "/api/v1/namespaces", "list", "list", ["", "v1", "", "namespaces", "", ""]),
    (Method::Get, "/api/v1/namespaces/other", "get", "get", ["", "v1", "other", "namespaces", "", "other"]),
    (Method::Get, "/api/v1/namespaces/other/pods", "list", "list", ["", "v1", "other", "pods", "", ""]),
    (Method::Get, "/api/v1/namespaces/other/pods/foo", "get", "get", ["", "v1", "other", "pods", "", "foo"]),
    (Method::Get, "/api/v1/pods", "list", "list", ["", "v1", "", "pods", "", ""]),
    // Special verbs.
    (Method::Get, "/api/v1/watch/pods", "watch", "watch", ["", "v1", "", "pods", "", ""]),
    (Method::Get, "/api/v1/pods?watch=true", "watch", "watch", ["", "v1", "", "pods", "", ""]),
    (Method::Get, "/api/v1/pods?watch=false", "list", "list", ["", "v1", "", "pods", "", ""]),
    (Method::Get, "/api/v1/watch/namespaces/other/pods", "watch", "watch", ["", "v1", "other", "pods", "", ""]),
    (Method::Get, "/api/v1/namespaces/other/pods?watch=1", "watch", "watch", ["", "v1", "other", "pods", "", ""]),
    (Method::Get, "/api/v1/namespaces/other/pods?watch=0", "list", "list", ["", "v1", "other", "pods", "", ""]),
    // Subresources.
    (Method::Get, "/api/v1/namespaces/other/pods/foo/status", "get", "get", ["", "v1", "other", "pods", "status", "foo"]),
    (Method::Get, "/api/v1/namespaces/other/pods/foo/proxy/subpath", "get", "create", ["", "v1", "other", "pods", "proxy", "foo"]),
    (Method::Put, "/api/v1/namespaces/other/finalize", "update", "update", ["", "v1", "other", "namespaces", "finalize", "other"]),
    (Method::Put, "/api/v1/namespaces/other/status", "update", "update", ["", "v1", "other", "namespaces", "status", "other"]),
    // Verbs.
    (Method::Patch, "/api/v1/namespaces/other/pods/foo", "patch", "patch", ["", "v1", "other", "pods", "", "foo"]),
    (Method::Delete, "/api/v1/namespaces/other/pods/foo", "delete", "delete", ["", "v1", "other", "pods", "", "foo"]),
    (Method::Post, "/api/v1/namespaces/other/pods", "create", "create", ["", "v1", "other", "pods", "", ""]),
    (Method::Delete, "/api/v1/nodes", "deletecollection", "deletecollection", ["", "v1", "", "nodes", "", ""]),
    (Method::Delete, "/api/v1/namespaces", "deletecollection", "deletecollection", ["", "v1", "", "namespaces", "", ""]),
    (Method::Delete, "/api/v1/namespaces/other/pods", "deletecollection", "deletecollection", ["", "v1", "other", "pods", "", ""]),
    (Method::Delete, "/apis/extensions/v1/namespaces/other/pods", "deletecollection", "deletecollection", ["extensions", "v1", "other", "pods", "", ""]),
    // Groups and versions.
    (Method::Post, "/apis/extensions/v1/namespaces/other/pods", "create", "create", ["extensions", "v1", "other", "pods", "", ""]),
    (Method::Post, "/apis/extensions/v1beta3/namespaces/other/pods", "create", "create", ["extensions", "v1beta3", "other", "pods", "", ""]),
    // Selectors (`TestSelectorParsing`).
    (Method::Get, "/apis/group/version/resource", "list", "list", ["group", "version", "", "resource", "", ""]),
    (Method::Get, "/apis/group/version/resource?fieldSelector=metadata.name=name1", "list", "list", ["group", "version", "", "resource", "", "name1"]),
    (Method::Get, "/apis/group/version/resource?watch=true&fieldSelector=metadata.name=name1", "watch", "watch", ["group", "version", "", "resource", "", "name1"]),
    (Method::Get, "/apis/group/version/resource?fieldSelector=foo=bar&labelSelector=baz=qux", "list", "list", ["group", "version", "", "resource", "", ""]),
    (Method::Get, "/apis/group/version/resource?fieldSelector=metadata.name=name1,foo", "list", "list", ["group", "version", "", "resource", "", ""]),
    (Method::Get, "/apis/group/version/resource?fieldSelector=metadata.name=name1,foo&watch=true", "watch", "watch", ["group", "version", "", "resource", "", ""]),
    (Method::Get, "/apis/group/version/resource?fieldSelector=metadata.name=name1,foo&watch=false", "list", "list", ["group", "version", "", "resource", "", ""]),
    (Method::Delete, "/apis/group/version/resource?fieldSelector=foo=bar&labelSelector=baz=qux", "deletecollection", "deletecollection", ["group", "version", "", "resource", "", ""]),
    (Method::Get, "/apis/group/version/resource/name?fieldSelector=foo=bar&labelSelector=foo=bar", "get", "get", ["group", "version", "", "resource", "", "name"]),
    (Method::Get, "/apis/group/version/watch/resource?fieldSelector=metadata.name=foo&labelSelector=foo=bar", "watch", "watch", ["group", "version", "", "resource", "", ""]),
    (Method::Get, "/apis/group/version/watch/resource/name?fieldSelector=metadata.name=foo&labelSelector=foo=bar", "watch", "watch", ["group", "version", "", "resource", "", "name"]),
];

#[test]
fn kube_apiservers_table_holds() {
    for &(method, url, info_verb, verb, place) in API_REQUESTS {
        let target = derive(method, url).unwrap();
        let path = &target.path;
        assert!(path.is_resource, "{method} {url}");
        assert_eq!(target.request_info_verb, info_verb, "{method} {url}");
        assert_eq!(target.verb.as_str(), verb, "{method} {url}");
        let derived = [
            &path.api_group,
            &path.api_version,
            &path.namespace,
            &path.resource,
            &path.subresource,
            &path.name,
        ];
        assert_eq!(derived, place.each_ref(), "{method} {url}");
    }
}

#[test]
fn kube_apiservers_table_of_other_paths_holds() {
    for (url, is_resource) in [
        ("/api/version/resource", true),
        ("/apis/group/version/resource/name/subresource", true),
        ("/api/version/resource/name/subresource", true),
        ("/apis/batch/v1/job", true),
        ("/apis/batch/v1/job/foo", true),
        ("/apis/batch/v1/job/foo/scale", true),
        ("/not-api/version/resource", false),
        ("/apis/extensions/v1beta1", false),
        ("/apis/extensions/v1beta1/", false),
        ("/api/version", false),
        ("/api", false),
        ("/", false),
        ("/api/version/", false),
        ("/apis/group/version/", false),
        ("/badprefix/version/resource", false),
        ("/apis/version/resource", false),
    ] {
        let target = derive(Method::Get, url).unwrap();
        assert_eq!(target.path.is_resource, is_resource, "{url}");
        if !is_resource {
            assert_eq!(target.path, ResourcePath::default(), "{url}");
            assert_eq!(target.verb, Verb::Get, "{url}");
        }
    }
}

#[test]
fn kube_apiservers_cases_that_the_contract_refuses() {
    // The empty path, both of the legacy prefix, and a selector that stands twice.
    assert_eq!(derive(Method::Get, ""), Err(Malformed::PathStart));
    for url in [
        "/api/v1/proxy/namespaces/other/pods/foo",
        "/api/v1/proxy/namespaces/other/pods/foo/subpath/not/a/subresource",
    ] {
        assert_eq!(derive(Method::Get, url), Err(Malformed::LegacyProxy));
    }
    assert_eq!(
        derive(
            Method::Get,
            "/apis/group/version/resource?fieldSelector=metadata.name=foo&fieldSelector=metadata.name=bar"
        ),
        Err(Malformed::QueryRepeated {
            parameter: "fieldSelector"
        })
    );
}

#[test]
fn connecting_is_never_a_read() {
    for subresource in ["exec", "attach", "portforward", "proxy"] {
        for method in Method::ALL {
            for path in [
                format!("/api/v1/namespaces/a/pods/x/{subresource}"),
                format!("/api/v1/namespaces/a/pods/x/{subresource}/"),
                format!("/api/v1/namespaces/a/pods/x/{subresource}/y/z"),
                format!("/api/v1/nodes/n/{subresource}"),
                format!("/apis/g/v1/things/x/{subresource}"),
            ] {
                for query in [None, Some(&b"command=sh&watch=1"[..])] {
                    let target = Target::derive(method, path.as_bytes(), query).unwrap();
                    assert_eq!(target.verb, Verb::Create, "{method} {path}");
                    assert!(target.is_connect && !target.is_read, "{method} {path}");
                    assert_eq!(target.path.subresource, subresource);
                }
            }
        }
        let legacy = format!("/api/v1/watch/namespaces/a/pods/x/{subresource}");
        let target = derive(Method::Get, &legacy).unwrap();
        assert!(target.is_connect && !target.is_read);
        assert_eq!(
            (target.verb, target.request_info_verb.as_str()),
            (Verb::Create, "watch")
        );
    }
}

#[test]
fn only_connecting_may_hide_its_query() {
    for path in [
        "/",
        "/api",
        "/metrics",
        "/exec",
        "/api/v1/pods",
        "/api/v1/exec",
        "/api/v1/namespaces/a/exec",
        "/api/v1/namespaces/a/pods/x",
        "/api/v1/namespaces/a/pods/x/log",
        "/api/v1/namespaces/a/pods/x/EXEC",
        "/api/v1/namespaces/a/pods/x/log/exec",
    ] {
        for method in Method::ALL {
            assert_eq!(
                Target::derive(method, path.as_bytes(), None),
                Err(Malformed::QueryHashed),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn a_target_says_what_it_is() {
    for (url, text) in [
        ("/version", "a path that is no resource"),
        ("/api/v1/nodes", "nodes"),
        (
            "/apis/apps/v1/namespaces/default/deployments/web/scale",
            "deployments.apps/scale \"web\" in namespace \"default\"",
        ),
    ] {
        assert_eq!(derive(Method::Get, url).unwrap().path.to_string(), text);
    }
}

/// A row of the corpus, which `tests/fixtures/derivation/generate.py` wrote.
struct Row {
    method: Method,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    /// `ok`, or the class of what is malformed.
    outcome: String,
    /// What is derived, if well-formed: verb, `RequestInfo`'s verb, flags, and the place.
    derived: Vec<String>,
}

fn corpus() -> Vec<Row> {
    include_str!("../../../tests/fixtures/derivation.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split('\t');
            let method = fields.next().unwrap().parse().unwrap();
            let path = unescape(fields.next().unwrap());
            let query = fields.next().unwrap();
            let query = match query.strip_prefix('=') {
                Some(query) => Some(unescape(query)),
                None => {
                    assert_eq!(query, "#");
                    None
                }
            };
            let outcome = fields.next().unwrap().to_owned();
            let derived = fields
                .map(|field| String::from_utf8(unescape(field)).unwrap())
                .collect();
            Row {
                method,
                path,
                query,
                outcome,
                derived,
            }
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        assert_eq!(&rest[at..at + 2], "\\x");
        bytes.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn every_row_derives_as_written() {
    let corpus = corpus();
    assert!(corpus.len() > 5_000, "{} rows", corpus.len());
    for row in corpus {
        let shown = (
            row.method,
            String::from_utf8_lossy(&row.path).into_owned(),
            row.query.as_deref().map(String::from_utf8_lossy),
        );
        let (outcome, derived) = match Target::derive(row.method, &row.path, row.query.as_deref()) {
            Ok(target) => ("ok".to_owned(), columns(&target)),
            Err(malformed) => (class(&malformed), Vec::new()),
        };
        assert_eq!(outcome, row.outcome, "{shown:?}");
        let mut expected = row.derived;
        expected.resize(derived.len().max(expected.len()), String::new());
        assert_eq!(derived, expected, "{shown:?}");
    }
}

fn class(malformed: &Malformed) -> String {
    let debug = format!("{malformed:?}");
    let end = debug
        .find(|character: char| !character.is_alphanumeric())
        .unwrap_or(debug.len());
    debug[..end].to_owned()
}

fn columns(target: &Target) -> Vec<String> {
    let flags = [
        ("resource", target.path.is_resource),
        ("read", target.is_read),
        ("connect", target.is_connect),
        ("discovery", target.is_discovery),
        ("self-review", target.is_self_review),
    ];
    let flags: Vec<_> = flags
        .into_iter()
        .filter_map(|(flag, set)| set.then_some(flag))
        .collect();
    vec![
        target.verb.to_string(),
        target.request_info_verb.clone(),
        flags.join(","),
        target.path.api_group.clone(),
        target.path.api_version.clone(),
        target.path.namespace.clone(),
        target.path.resource.clone(),
        target.path.subresource.clone(),
        target.path.name.clone(),
    ]
}

#[test]
fn the_corpus_has_every_outcome() {
    let corpus = corpus();
    let has = |outcome: &str| corpus.iter().any(|row| row.outcome == outcome);
    for outcome in [
        "ok",
        "PathTooLong",
        "PathStart",
        "PathByte",
        "PathEscape",
        "PathEscapedByte",
        "PathSegment",
        "PathUtf8",
        "LegacyWatchMethod",
        "LegacyProxy",
        "LegacyPrefixAlone",
        "QueryTooLong",
        "QueryByte",
        "QueryEscape",
        "QueryRepeated",
        "QueryHashed",
    ] {
        assert!(has(outcome), "{outcome}");
    }
    for verb in Verb::ALL {
        assert!(
            corpus
                .iter()
                .any(|row| row.derived.first().is_some_and(|own| own == verb.as_str()))
        );
    }
}

/// Paths from the pieces that matter, most of them well-formed.
fn paths() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "api", "apis", "v1", "apps", "watch", "proxy", "namespaces", "pods", "exec", "status", "x", "a",
        ]).prop_map(str::to_owned),
        2 => "([a-z:é ]|%[2-7][0-9A-Fa-f]|%C3%A9|\\.){0,3}",
    ];
    (prop::collection::vec(piece, 0..8), any::<bool>()).prop_map(|(pieces, slash)| {
        let tail = if slash { "/" } else { "" };
        format!("/{}{tail}", pieces.join("/"))
    })
}

fn methods() -> impl Strategy<Value = Method> {
    prop::sample::select(Method::ALL.to_vec())
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(
        method in methods(),
        path: Vec<u8>,
        query: Option<Vec<u8>>,
    ) {
        let _ = Target::derive(method, &path, query.as_deref());
        let slashed: Vec<u8> = [b"/api/v1/".as_slice(), path.as_slice()].concat();
        let _ = Target::derive(method, &slashed, query.as_deref());
    }

    #[test]
    fn what_a_gateway_makes_derives_or_is_legacy(
        method in methods(),
        raw in paths(),
        raw_query in "(watch|fieldSelector|=|&|metadata\\.name|%3d|%3D|1|\"|x){0,8}",
    ) {
        if let (Ok(path), Ok(query)) = (canonical_path(&raw), canonical_query(&raw_query)) {
            match Target::derive(method, path.as_bytes(), Some(query.as_bytes())) {
                Ok(target) => {
                    prop_assert!(!(target.is_read && target.is_connect));
                    prop_assert!(!(target.path.is_resource && target.is_discovery));
                    prop_assert_eq!(target.path.is_resource, !target.path.resource.is_empty());
                    // What derives as it came is what the gateway makes of it.
                    if let Ok(direct) = Target::derive(method, raw.as_bytes(), Some(raw_query.as_bytes())) {
                        prop_assert_eq!(direct, target);
                        prop_assert_eq!((path, query), (raw, raw_query));
                    }
                }
                Err(
                    Malformed::LegacyWatchMethod
                    | Malformed::LegacyProxy
                    | Malformed::LegacyPrefixAlone
                    | Malformed::QueryRepeated { .. },
                ) => {}
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn a_trailing_slash_changes_nothing_but_discovery(method in methods(), path in paths()) {
        let path = path.trim_end_matches('/');
        let slashed = format!("{path}/");
        let target = |path: &str| Target::derive(method, path.as_bytes(), Some(b""));
        if let Ok(plain) = target(path) {
            let slashed = target(&slashed).unwrap();
            prop_assert_eq!(Target { is_discovery: false, ..plain }, Target { is_discovery: false, ..slashed });
        }
    }
}
