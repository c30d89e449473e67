#[test_only]
module k3s_daas::request_form_tests;

use k3s_daas::request_form::{are_headers, is_cluster_name, is_group, is_request_id};

#[test]
fun request_ids_have_one_spelling() {
    vector[
        b"0192d8f0-1111-7abc-8def-0123456789ab",
        b"00000000-0000-7000-8000-000000000000",
        b"ffffffff-ffff-7fff-bfff-ffffffffffff",
        b"0192d8f0-1111-7abc-9def-0123456789ab",
        b"0192d8f0-1111-7abc-adef-0123456789ab",
    ].do!(|text| assert!(is_request_id(&text)));
    vector[
        b"",
        b"0192D8F0-1111-7abc-8def-0123456789ab",
        b"0192d8f0-1111-4abc-8def-0123456789ab",
        b"0192d8f0-1111-8abc-8def-0123456789ab",
        b"0192d8f0-1111-7abc-7def-0123456789ab",
        b"0192d8f0-1111-7abc-cdef-0123456789ab",
        b"0192d8f011117abc8def0123456789ab",
        b"{0192d8f0-1111-7abc-8def-0123456789ab}",
        b"0192d8f0-1111-7abc-8def-0123456789a",
        b"0192d8f0-1111-7abc-8def-0123456789abc",
        b"0192d8f01-111-7abc-8def-0123456789ab",
        b"0192d8f0-1111-7abc-8def00123456789ab",
        b"0192d8f0--111-7abc-8def-0123456789ab",
        b"0192d8g0-1111-7abc-8def-0123456789ab",
        b"0192d8f0-1111-7abc-8def-0123456789a ",
        b"0192d8f0/1111-7abc-8def-0123456789ab",
    ].do!(|text| assert!(!is_request_id(&text)));
}

#[test]
fun headers_are_the_five_in_order() {
    let all = vector[b"accept", b"content-type", b"if-match", b"if-none-match", b"user-agent"];
    assert!(are_headers(&vector[], &vector[]));
    assert!(are_headers(&all, &vector[b"", b"", b"", b"", b""]));
    assert!(are_headers(&vector[b"content-type", b"user-agent"], &vector[b"a", b" ~"]));
    vector[
        b"",
        b"Accept",
        b"accept ",
        b"accept-encoding",
        b"authorization",
        b"cookie",
        b"host",
        b"impersonate-user",
        b"x-remote-user",
        b"zzz",
    ].do!(|name| {
        assert!(!are_headers(&vector[name], &vector[b"x"]));
        assert!(!are_headers(&vector[b"accept", name], &vector[b"x", b"x"]));
    });
    vector[
        vector[b"accept", b"accept"],
        vector[b"user-agent", b"accept"],
        vector[b"if-none-match", b"if-match"],
        vector[b"content-type", b"accept"],
    ].do!(|names| assert!(!are_headers(&names, &vector[b"x", b"x"])));
    // A value for each name.
    assert!(!are_headers(&vector[b"accept"], &vector[]));
    assert!(!are_headers(&vector[], &vector[b"x"]));
}

#[test]
fun header_values_are_visible_ascii_and_space() {
    256u64.do!(|byte| {
        let byte = byte as u8;
        let is_allowed = byte >= 0x20 && byte <= 0x7e;
        assert!(are_headers(&vector[b"accept"], &vector[vector[0x61, byte]]) == is_allowed);
    });
}

#[test]
fun headers_are_bounded_together() {
    let names = vector[b"accept", b"user-agent"];
    let half = vector::tabulate!(1_000, |_| 0x78);
    let fits = vector::tabulate!(2_048 - 16 - 1_000, |_| 0x78);
    assert!(are_headers(&names, &vector[half, fits]));
    let mut over = fits;
    over.push_back(0x78);
    assert!(!are_headers(&names, &vector[half, over]));
}

#[test]
fun groups_are_visible_and_not_kubernetes_own() {
    vector[b"a", b"developers", b"system", b"System:masters", b"x:system:y", long(253)].do!(|text| {
        assert!(is_group(&text));
    });
    vector[
        b"",
        b"system:",
        b"system:masters",
        b"system:authenticated",
        b"a b",
        x"610a",
        x"c3a9",
        x"7f",
        long(254),
    ].do!(|text| assert!(!is_group(&text)));
}

#[test]
fun cluster_names_are_text_without_controls() {
    vector[
        b"a",
        b"production",
        b"two words",
        x"c3a9",
        x"c2a0",
        x"e282ac",
        x"f09f9880",
        long(253),
    ].do!(|text| assert!(is_cluster_name(&text)));
    vector[
        b"",
        x"00",
        x"611f",
        x"0a",
        x"7f",
        x"c280",
        x"61c29f",
        x"ff",
        x"c3",
        x"eda080",
        x"c080",
        long(254),
    ].do!(|text| assert!(!is_cluster_name(&text)));
}

#[random_test]
fun arbitrary_bytes_do_not_abort(text: vector<u8>, other: vector<u8>) {
    is_request_id(&text);
    is_group(&text);
    is_cluster_name(&text);
    are_headers(&vector[text, other], &vector[other, text]);
    are_headers(&vector[b"accept", text], &vector[other]);
    let mut id = text;
    while (id.length() > 36) { id.pop_back(); };
    while (id.length() < 36) id.push_back(0x30);
    is_request_id(&id);
}

fun long(length: u64): vector<u8> { vector::tabulate!(length, |_| 0x61) }
