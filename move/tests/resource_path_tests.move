#[test_only]
module k3s_daas::resource_path_tests;

use k3s_daas::resource_path::{Self, Target};

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
