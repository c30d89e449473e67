#[test_only]
module k3s_daas::resource_path_tests;

use k3s_daas::resource_path::{Self, Target};
use std::unit_test::assert_eq;

// === What the corpus asks ===

/// Aborts with `row` unless the request derives to `flags` (resource, read, connect, discovery,
/// self-review) and `texts` (verb, group, version, namespace, resource, subresource, name).
public fun derives(
    method: vector<u8>,
    path: vector<u8>,
    query: vector<u8>,
    is_query_known: bool,
    flags: vector<bool>,
    texts: vector<vector<u8>>,
    row: u64,
) {
    let derived = resource_path::derive(&method, &path, &query, is_query_known);
    assert!(derived.is_some(), row);
    let target = derived.destroy_some();
    assert!(flags_of(&target) == flags, row);
    assert!(texts_of(&target) == texts, row);
}

/// Aborts with `row` unless the request is malformed.
public fun is_malformed(
    method: vector<u8>,
    path: vector<u8>,
    query: vector<u8>,
    is_query_known: bool,
    row: u64,
) {
    assert!(resource_path::derive(&method, &path, &query, is_query_known).is_none(), row);
}

fun flags_of(target: &Target): vector<bool> {
    vector[
        target.is_resource(),
        target.is_read(),
        target.is_connect(),
        target.is_discovery(),
        target.is_self_review(),
    ]
}

fun texts_of(target: &Target): vector<vector<u8>> {
    vector[
        *target.verb(),
        *target.api_group(),
        *target.api_version(),
        *target.namespace(),
        *target.resource(),
        *target.subresource(),
        *target.name(),
    ].map!(|text| text.into_bytes())
}

// === What is malformed, and what is close to it ===

#[test]
fun five_methods_in_upper_case() {
    vector[b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"].do!(|method| {
        assert!(resource_path::is_method(&method));
        assert!(resource_path::derive(&method, &b"/api/v1/pods", &b"", true).is_some());
    });
    vector[
        b"",
        b"get",
        b"Get",
        b"HEAD",
        b"OPTIONS",
        b"CONNECT",
        b"TRACE",
        b"GET ",
        b" GET",
        b"GE",
    ].do!(|method| {
        assert!(!resource_path::is_method(&method));
        assert!(resource_path::derive(&method, &b"/api/v1/pods", &b"", true).is_none());
    });
}

#[test]
fun paths_that_could_be_read_twice_are_malformed() {
    vector[
        b"",
        b"x",
        b"api/v1",
        b"//",
        b"//x",
        b"/x//",
        b"/x//y",
        b"/.",
        b"/..",
        b"/x/./y",
        b"/x/../y",
        b"/x/..",
        b"/%2E",
        b"/%2E%2E/x",
        b"/.%2E",
        b"/a%2Fb",
        b"/a%25",
        b"/a%00",
        b"/a%1F",
        b"/a%7F",
        b"/a%20b%2",
        b"/a%20b%",
        b"/a%ZZ",
        b"/a%2g",
        b"/a%c3%a9",
        b"/a%41",
        b"/a%7E",
        b"/a b",
        b"/a?b",
        b"/a#b",
        b"/a[b",
        b"/a\"b",
        b"/%FF",
        b"/%C3/%A9",
        b"/%C0%AF",
        b"/%ED%A0%80",
        x"2f00",
        x"2f0a",
        x"2f7f",
        x"2fc3a9",
        x"2fff",
    ].do!(|path| assert!(is_malformed_get(path, b"")));

    vector[b"/", b"/x", b"/x/", b"/...", b"/.x", b"/a%20b", b"/%C3%A9", b"/a~!$&'()*+,;=:@b"].do!(
        |path| assert!(!is_malformed_get(path, b"")),
    );
}

#[test]
fun queries_of_another_form_are_malformed() {
    vector[
        b"a b",
        b"a;b",
        b"a#b",
        b"a<b",
        b"a\"b",
        b"a\\b",
        b"a|b",
        b"a{b",
        b"%",
        b"a=%4",
        b"a=%zz",
        b"a=%4g",
        b"a=%c3",
        b"watch&watch",
        b"watch=1&watch=1",
        b"watch=1&%77atch=0",
        b"fieldSelector=a&x&fieldSelector=a",
        x"00",
        x"80",
        x"7f",
    ].do!(|query| {
        assert!(is_malformed_get(b"/api/v1/pods", query));
        // Also where it says nothing.
        assert!(is_malformed_get(b"/api/v1/namespaces/a/pods/x/exec", query));
        assert!(is_malformed_get(b"/metrics", query));
    });
    vector[
        b"",
        b"&",
        b"&&",
        b"=",
        b"a",
        b"a=",
        b"a==b",
        b"a=b=c&",
        b"+",
        b"%00",
        b"%FF",
        b"a=/?:@",
    ].do!(|query| assert!(!is_malformed_get(b"/api/v1/pods", query)));
}

#[test]
fun the_bounds_of_path_and_query() {
    assert!(!is_malformed_get(path_of(1_024), b""));
    assert!(is_malformed_get(path_of(1_025), b""));
    assert!(!is_malformed_get(b"/x", vector::tabulate!(8_192, |_| 0x61)));
    assert!(is_malformed_get(b"/x", vector::tabulate!(8_193, |_| 0x61)));
}

/// Whatever a query consists of, its last byte counts: a `;` there is malformed, nothing there is not.
#[test]
fun the_last_byte_of_a_long_query() {
    vector[b"a", b"&", b"=", b"a=&", b"%26", b"watcx&", b"fieldSelectox&", b"%77%61%74%63x&"].do!(
        |part| {
            let mut query = b"";
            while (query.length() + part.length() < 1_024) query.append(part);
            assert!(!is_malformed_get(b"/x", query));
            query.push_back(0x3b);
            assert!(is_malformed_get(b"/x", query));
        },
    )
}

#[test]
fun legacy_prefixes() {
    vector[
        b"/api/v1/proxy",
        b"/api/v1/proxy/namespaces/a/pods/x",
        b"/apis/g/v1/proxy/x",
        b"/api/v1/watch",
        b"/api/v1/watch/",
    ].do!(|path| assert!(is_malformed_get(path, b"")));
    vector[b"POST", b"PUT", b"PATCH", b"DELETE"].do!(|method| {
        assert!(resource_path::derive(&method, &b"/api/v1/watch/pods", &b"", true).is_none());
    });
    assert_eq!(*get(b"/api/v1/watch/pods", b"").verb(), b"watch".to_string());
    // A name by field selector is not taken there.
    let query = b"fieldSelector=metadata.name%3Dweb";
    assert_eq!(*get(b"/api/v1/watch/pods", query).name(), b"".to_string());
    assert_eq!(*get(b"/api/v1/pods", query).name(), b"web".to_string());
}

#[test]
fun what_asks_for_a_watch() {
    vector[
        b"watch",
        b"watch=",
        b"watch=1",
        b"watch=true",
        b"watch=00",
        b"watch=falsy",
        b"watch=false0",
        b"watch=%00",
        b"x&watch",
        b"%77atch=1",
        b"watch=0=",
        b"watch=+0",
    ].do!(|query| assert_eq!(*get(b"/api/v1/pods", query).verb(), b"watch".to_string()));
    vector[
        b"",
        b"Watch=1",
        b"watch=0",
        b"watch=%30",
        b"watch=false",
        b"watch=FALSE",
        b"watch=fAlSe",
        b"watch=fal%C5%BFe",
        b"watch=FAL%C5%BFE",
        b"watc=1",
        b"watch+=1",
        b"=watch",
    ].do!(|query| assert_eq!(*get(b"/api/v1/pods", query).verb(), b"list".to_string()));
}

#[test]
fun which_names_a_field_selector_gives() {
    let long = vector::tabulate!(253, |_| 0x61);
    let mut query = b"fieldSelector=metadata.name%3D";
    query.append(long);
    assert_eq!(*get(b"/api/v1/pods", query).name(), long.to_string());
    query.push_back(0x61);
    assert_eq!(*get(b"/api/v1/pods", query).name(), b"".to_string());

    vector[
        b"fieldSelector=metadata.name%3D",
        b"fieldSelector=metadata.name",
        b"fieldSelector=metadata.name!%3Dweb",
        b"fieldSelector=metadata.name%3D%3Dweb",
        b"fieldSelector=metadata.name%3DWeb",
        b"fieldSelector=metadata.name%3Dwe_b",
        b"fieldSelector=metadata.name%3Dweb,x%3Dy",
        b"fieldSelector=+metadata.name%3Dweb",
        b"fieldSelector=metadata.namespace%3Dweb",
        b"fieldselector=metadata.name%3Dweb",
    ].do!(|query| assert_eq!(*get(b"/api/v1/pods", query).name(), b"".to_string()));
    // Nor where the path names an object, or nothing is listed.
    let query = b"fieldSelector=metadata.name%3Dweb";
    assert_eq!(*get(b"/api/v1/pods/x", query).name(), b"x".to_string());
    let delete = resource_path::derive(&b"DELETE", &b"/api/v1/pods", &query, true).destroy_some();
    assert_eq!(*delete.name(), b"".to_string());
}

#[test]
fun only_connecting_may_hide_its_query() {
    vector[b"exec", b"attach", b"portforward", b"proxy"].do!(|subresource| {
        let mut path = b"/api/v1/namespaces/a/pods/x/";
        path.append(subresource);
        // What stands there is not looked at.
        let target = resource_path::derive(&b"GET", &path, &b"#", false).destroy_some();
        assert!(target.is_connect() && !target.is_read());
        assert_eq!(*target.verb(), b"create".to_string());
    });
    vector[
        b"/",
        b"/metrics",
        b"/exec",
        b"/api/v1/pods",
        b"/api/v1/exec",
        b"/api/v1/namespaces/a/exec",
        b"/api/v1/namespaces/a/pods/x",
        b"/api/v1/namespaces/a/pods/x/log",
        b"/api/v1/namespaces/a/pods/x/EXEC",
        b"/api/v1/namespaces/a/pods/x/log/exec",
    ].do!(|path| assert!(resource_path::derive(&b"GET", &path, &b"", false).is_none()));
}

#[test]
fun what_changes_nothing_is_a_read() {
    let self_review = b"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    vector[b"/api/v1/pods", b"/api/v1/pods/x", b"/api/v1/watch/pods", b"/metrics", b"/"].do!(
        |path| {
            assert!(get(path, b"").is_read());
        },
    );
    vector[b"POST", b"PUT", b"PATCH", b"DELETE"].do!(|method| {
        vector[b"/api/v1/pods", b"/api/v1/pods/x", b"/metrics"].do!(|path| {
            assert!(!resource_path::derive(&method, &path, &b"", true).destroy_some().is_read());
        });
        let target = resource_path::derive(&method, &self_review, &b"", true).destroy_some();
        assert_eq!(target.is_read(), method == b"POST");
        assert_eq!(target.is_self_review(), method == b"POST");
    });
}

// === Any bytes ===

#[random_test]
fun arbitrary_bytes_do_not_abort(path: vector<u8>, query: vector<u8>, is_query_known: bool) {
    vector[b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b""].do!(|method| {
        let mut below = b"/api/v1/";
        below.append(path);
        let mut escaped = b"/apis/%";
        escaped.append(path);
        resource_path::derive(&method, &path, &query, is_query_known);
        resource_path::derive(&method, &below, &query, is_query_known);
        resource_path::derive(&method, &escaped, &query, is_query_known);
    });
}

/// Most bytes make a path malformed, so these choose among pieces that matter.
#[random_test]
fun any_pieces_do_not_abort(choices: vector<u8>, others: vector<u8>) {
    let segments = vector[
        b"api",
        b"apis",
        b"v1",
        b"watch",
        b"proxy",
        b"namespaces",
        b"pods",
        b"exec",
        b"status",
        b"%C3%A9",
        b"%C3",
        b".",
        b"",
    ];
    let parts = vector[
        b"watch",
        b"fieldSelector",
        b"=",
        b"&",
        b"metadata.name",
        b"%3D",
        b"%",
        b"+",
        b"0",
    ];
    let mut path = b"";
    choices.do!(|choice| {
        path.append(b"/");
        path.append(segments[(choice as u64) % segments.length()]);
    });
    let mut query = b"";
    others.do!(|choice| query.append(parts[(choice as u64) % parts.length()]));
    let derived = resource_path::derive(&b"GET", &path, &query, true);
    derived.do!(|target| {
        assert!(!(target.is_read() && target.is_connect()));
        assert!(!(target.is_resource() && target.is_discovery()));
        assert_eq!(target.is_resource(), !target.resource().is_empty());
    });
}

// === Helpers ===

fun get(path: vector<u8>, query: vector<u8>): Target {
    resource_path::derive(&b"GET", &path, &query, true).destroy_some()
}

fun is_malformed_get(path: vector<u8>, query: vector<u8>): bool {
    resource_path::derive(&b"GET", &path, &query, true).is_none()
}

fun path_of(length: u64): vector<u8> {
    let mut path = b"/";
    path.append(vector::tabulate!(length - 1, |_| 0x61));
    path
}
