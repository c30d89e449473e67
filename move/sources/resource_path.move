/// What a request names and what it wants, derived from its method, path and query as
/// kube-apiserver's `RequestInfo` does. Nothing here aborts, whatever the bytes.
module k3s_daas::resource_path;

use std::string::{Self, String};

// === Constants ===

/// The longest path, in bytes.
const MAX_PATH_BYTES: u64 = 1_024;
/// The longest query, in bytes.
const MAX_QUERY_BYTES: u64 = 8_192;
/// The longest name of a Kubernetes object, in bytes.
const MAX_NAME_BYTES: u64 = 253;

const SLASH: u8 = 0x2f;
const PERCENT: u8 = 0x25;
const AMPERSAND: u8 = 0x26;
const EQUALS: u8 = 0x3d;
const PLUS: u8 = 0x2b;
const SPACE: u8 = 0x20;

/// `watch`: no parameter with a shorter key matters.
const MIN_PARAMETER_BYTES: u64 = 5;
/// `=` and the longest value that matters, `metadata.name=` and a name, all of it in escapes.
const MAX_VALUE_BYTES: u64 = 1 + 3 * (14 + MAX_NAME_BYTES);

/// Of each byte what it is in a query: a hex digit of an escape; else plain, standing as it is within a parameter (`pchar`, `/`
/// and `?`, but not `;` and `&`); or neither.
const QUERY_KINDS: vector<u8> =
    x"02020202020202020202020202020202020202020202020202020202020202020201020201020201010101010101010100000000000000000000010202010201010000000000000101010101010101010101010101010101010101020202020102010101010101010101010101010101010101010101010101010102020201020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202";
const HEX_DIGIT: u8 = 0;
const PLAIN: u8 = 1;

// Sets of bytes, as bits: one shift asks for a byte where ranges would take ten comparisons.

/// RFC 3986 `pchar` without escapes: what may stand in a segment of a path as it is.
const PCHARS: u256 = 0x47fffffe87ffffff2fff7fd200000000;
/// What stands escaped in no path: `pchar`, `/`, `%`, `.` and control bytes.
const NEVER_ESCAPED: u256 = 0xc7fffffe87ffffff2ffffff2ffffffff;
/// What a name of a Kubernetes object has: `a-z`, `0-9`, `.` and `-`.
const NAME_CHARS: u256 = 0x7fffffe0000000003ff600000000000;

// === Structs ===

/// Everything derived from method, path and query; empty texts mean absent, all are decoded.
public struct Target has copy, drop {
    is_resource: bool,
    api_group: String,
    api_version: String,
    namespace: String,
    resource: String,
    subresource: String,
    name: String,
    /// The verb that rules are asked for.
    verb: String,
    /// Whether it changes nothing and so needs no stake.
    is_read: bool,
    /// Whether it is `exec`, `attach`, `portforward` or `proxy`.
    is_connect: bool,
    /// Whether it is a `GET` of discovery, version or health, which every valid token has.
    is_discovery: bool,
    /// Whether it asks what the asker itself may do, which every valid token has.
    is_self_review: bool,
}

// === Package functions ===

/// Whether `method` is one of `GET`, `POST`, `PUT`, `PATCH` and `DELETE`, in upper case.
public(package) fun is_method(method: &vector<u8>): bool {
    method == &b"GET" || method == &b"POST" || method == &b"PUT" || method == &b"PATCH" ||
        method == &b"DELETE"
}

/// What a request names and wants; none if its method, path or query is malformed.
///
/// `is_query_known` is false for a query kept as a hash: `query` is not looked at then, and only `exec`,
/// `attach`, `portforward` and `proxy` may have it.
public(package) fun derive(
    method: &vector<u8>,
    path: &vector<u8>,
    query: &vector<u8>,
    is_query_known: bool,
): Option<Target> {
    let mut segments = vector[];
    if (!is_method(method) || !read_path(path, &mut segments)) return option::none();
    let is_get = method == &b"GET";

    // `/api/{version}/…` or `/apis/{group}/{version}/…`
    let version_at = if (segments.is_empty()) {
        0
    } else if (segments[0].as_bytes() == &b"api") {
        1
    } else if (segments[0].as_bytes() == &b"apis") {
        2
    } else {
        0
    };
    let count = segments.length();
    if (version_at == 0 || count < version_at + 2) {
        // The query of what is no resource says nothing, but has its form all the same.
        let is_malformed =
            !is_query_known || !read_query(query, &mut option::none(), &mut option::none());
        if (is_malformed) return option::none();
        return option::some(non_resource(method, path, is_get))
    };

    let mut at = version_at + 1;
    let is_legacy_proxy = segments[at].as_bytes() == &b"proxy";
    let is_legacy_watch = segments[at].as_bytes() == &b"watch";
    if (is_legacy_proxy) return option::none();
    if (is_legacy_watch) {
        at = at + 1;
        if (at == count || !is_get) return option::none();
    };
    let mut namespace = b"".to_string();
    if (segments[at].as_bytes() == &b"namespaces" && at + 1 < count) {
        namespace = segments[at + 1];
        // `status` and `finalize` are subresources of the namespace, anything else lies in it.
        let lies_within =
            at + 2 < count && segments[at + 2].as_bytes() != &b"status" &&
            segments[at + 2].as_bytes() != &b"finalize";
        if (lies_within) at = at + 2;
    };
    let resource = segments[at];
    let mut name = part(&segments, at + 1);
    let subresource = part(&segments, at + 2);

    let is_connect = is_connecting(subresource.as_bytes());
    let mut watch = option::none();
    let mut field_selector = option::none();
    let is_malformed = if (is_query_known) {
        !read_query(query, &mut watch, &mut field_selector)
    } else {
        !is_connect
    };
    if (is_malformed) return option::none();

    let is_named = !name.is_empty();
    let verb = resource_verb(method, is_connect, is_legacy_watch, is_named, &watch);
    let is_plain_get = is_get && !is_connect;
    if (is_plain_get && !is_named && !is_legacy_watch) name = selected_name(field_selector);

    let api_group = if (version_at == 2) segments[1] else b"".to_string();
    let is_self_review =
        method == &b"POST" && !is_named && namespace.is_empty() && subresource.is_empty() &&
        is_review_of_self(api_group.as_bytes(), resource.as_bytes());
    option::some(Target {
        is_resource: true,
        api_group,
        api_version: segments[version_at],
        namespace,
        resource,
        subresource,
        name,
        verb: verb.to_string(),
        is_read: is_plain_get || is_self_review,
        is_connect,
        is_discovery: false,
        is_self_review,
    })
}

/// Whether the path names a resource.
public(package) fun is_resource(self: &Target): bool { self.is_resource }

/// The API group, empty for the core group.
public(package) fun api_group(self: &Target): &String { &self.api_group }

/// The version of the API group.
public(package) fun api_version(self: &Target): &String { &self.api_version }

/// The namespace; that of `namespaces/{name}` is `{name}`.
public(package) fun namespace(self: &Target): &String { &self.namespace }

/// The resource in plural.
public(package) fun resource(self: &Target): &String { &self.resource }

/// The subresource; what follows it in the path is not part of it.
public(package) fun subresource(self: &Target): &String { &self.subresource }

/// The object's name; for `list` and `watch` the one that a field selector asks for.
public(package) fun name(self: &Target): &String { &self.name }

/// The verb that rules are asked for.
public(package) fun verb(self: &Target): &String { &self.verb }

/// Whether it changes nothing and so needs no stake.
public(package) fun is_read(self: &Target): bool { self.is_read }

/// Whether it is `exec`, `attach`, `portforward` or `proxy`.
public(package) fun is_connect(self: &Target): bool { self.is_connect }

/// Whether it is a `GET` of discovery, version or health.
public(package) fun is_discovery(self: &Target): bool { self.is_discovery }

/// Whether it asks what the asker itself may do.
public(package) fun is_self_review(self: &Target): bool { self.is_self_review }

// === Private functions ===

/// The verb of a request that names a resource.
fun resource_verb(
    method: &vector<u8>,
    is_connect: bool,
    is_legacy_watch: bool,
    is_named: bool,
    watch: &Option<vector<u8>>,
): vector<u8> {
    if (is_connect) return b"create";
    if (is_legacy_watch) return b"watch";
    if (method == &b"GET") {
        if (is_named) return b"get";
        return if (is_watch(watch)) b"watch" else b"list"
    };
    if (method == &b"POST") return b"create";
    if (method == &b"PUT") return b"update";
    if (method == &b"PATCH") return b"patch";
    if (is_named) b"delete" else b"deletecollection"
}

fun non_resource(method: &vector<u8>, path: &vector<u8>, is_get: bool): Target {
    Target {
        is_resource: false,
        api_group: b"".to_string(),
        api_version: b"".to_string(),
        namespace: b"".to_string(),
        resource: b"".to_string(),
        subresource: b"".to_string(),
        name: b"".to_string(),
        verb: lower_case(method).to_string(),
        is_read: is_get,
        is_connect: false,
        is_discovery: is_get && is_discovery_path(path),
        is_self_review: false,
    }
}

/// Pushes the decoded segments of `path`; false if it is malformed. One trailing slash counts for
/// nothing, `/` has no segments.
fun read_path(path: &vector<u8>, segments: &mut vector<String>): bool {
    let length = path.length();
    if (length == 0 || length > MAX_PATH_BYTES || path[0] != SLASH) return false;
    let text = string::try_utf8(*path);
    if (text.is_none()) return false;
    let text = text.destroy_some();
    let mut begin = 1;
    let mut at = 1;
    let mut is_escaped = false;
    while (at < length) {
        let byte = path[at];
        if ((PCHARS >> byte) & 1 == 1) {
            at = at + 1;
        } else if (byte == SLASH) {
            if (!read_segment(&text, begin, at, is_escaped, segments)) return false;
            at = at + 1;
            begin = at;
            is_escaped = false;
        } else {
            if (byte != PERCENT || !is_escape(path, at)) return false;
            if ((NEVER_ESCAPED >> escaped(path, at)) & 1 == 1) return false;
            at = at + 3;
            is_escaped = true;
        };
    };
    // Nothing after the last slash: `/` itself, or the one trailing slash.
    begin == length || read_segment(&text, begin, length, is_escaped, segments)
}

/// Pushes the segment of `path` in `begin..end`; false if it is empty, `.`, `..` or decodes to no UTF-8.
/// A dot is never escaped, so dots are looked for before decoding.
fun read_segment(
    path: &String,
    begin: u64,
    end: u64,
    is_escaped: bool,
    segments: &mut vector<String>,
): bool {
    let raw = path.substring(begin, end);
    if (raw.is_empty() || raw.as_bytes() == &b"." || raw.as_bytes() == &b"..") return false;
    if (!is_escaped) {
        segments.push_back(raw);
        return true
    };
    let text = string::try_utf8(unescape(raw.as_bytes(), 0, end - begin, PLUS));
    if (text.is_none()) return false;
    segments.push_back(text.destroy_some());
    true
}

/// Checks the form of the whole query and takes out the two parameters that matter, decoded; false if it
/// is malformed or one of them repeats.
///
/// Whoever may submit decides how long a query is and what stands in it, so each byte costs little: what is
/// nothing but itself takes one look into a table, and a key is compared only as far as it is the one.
fun read_query(
    query: &vector<u8>,
    watch: &mut Option<vector<u8>>,
    field_selector: &mut Option<vector<u8>>,
): bool {
    let length = query.length();
    if (length > MAX_QUERY_BYTES) return false;
    // With an `&` at the end, and a byte that is none after it, no look at the next byte asks whether there is one.
    let mut query = *query;
    query.push_back(AMPERSAND);
    query.push_back(SPACE);
    let kinds = QUERY_KINDS;
    let mut begin = 0;
    let mut at = 0;
    while (at < length) {
        while (kinds[query[at] as u64] <= PLAIN) at = at + 1;
        let byte = query[at];
        if (byte == AMPERSAND) {
            // A parameter ends; a shorter one has neither key. Between two `&` is nothing.
            if (at >= begin + MIN_PARAMETER_BYTES) {
                if (!read_parameter(&query, begin, at, watch, field_selector)) return false;
            };
            at = at + 1;
            while (query[at] == AMPERSAND) at = at + 1;
            begin = at;
        } else {
            let is_escape =
                byte == PERCENT && kinds[query[at + 1] as u64] == HEX_DIGIT &&
                kinds[query[at + 2] as u64] == HEX_DIGIT;
            if (!is_escape) return false;
            at = at + 3;
        };
    };
    // The last parameter, if its end was not met.
    begin >= length || read_parameter(&query, begin, length, watch, field_selector)
}

/// Takes out the parameter of `query` in `begin..end` if it is one of those that matter; false if that one repeats. Its
/// form was checked, and an `&` follows it.
fun read_parameter(
    query: &vector<u8>,
    begin: u64,
    end: u64,
    watch: &mut Option<vector<u8>>,
    field_selector: &mut Option<vector<u8>>,
): bool {
    let key_end = skip_key(query, begin, &b"watch");
    if (key_end > begin) return keep(watch, query, key_end, end);
    let key_end = skip_key(query, begin, &b"fieldSelector");
    if (key_end > begin) return keep(field_selector, query, key_end, end);
    true
}

/// Where the key of the parameter at `begin` ends if, decoded, it is `key`; else `begin`. Neither `&`, `=` nor `+` stands in `key`.
fun skip_key(query: &vector<u8>, begin: u64, key: &vector<u8>): u64 {
    let length = key.length();
    let mut at = begin;
    let mut index = 0;
    while (index < length) {
        let byte = query[at];
        if (byte == key[index]) {
            at = at + 1;
        } else {
            if (byte != PERCENT || escaped(query, at) != key[index]) return begin;
            at = at + 3;
        };
        index = index + 1;
    };
    if (query[at] == EQUALS || query[at] == AMPERSAND) at else begin
}

/// Fills `slot` with the value after the `=` at `key_end`, if there is one; false if it is full. A value too long to
/// be one of those that matter counts as an empty one, which is none of them either.
fun keep(slot: &mut Option<vector<u8>>, query: &vector<u8>, key_end: u64, end: u64): bool {
    if (slot.is_some()) return false;
    let is_short = key_end < end && end - key_end <= MAX_VALUE_BYTES;
    slot.fill(if (is_short) unescape(query, key_end + 1, end, SPACE)
    else vector[]);
    true
}

/// The bytes of `raw` in `begin..end`, every `%XX` decoded and `+` as `plus`; the escapes in it are
/// well-formed.
fun unescape(raw: &vector<u8>, begin: u64, end: u64, plus: u8): vector<u8> {
    let mut bytes = vector[];
    let mut at = begin;
    while (at < end) {
        let byte = raw[at];
        if (byte == PERCENT) {
            bytes.push_back(escaped(raw, at));
            at = at + 3;
        } else {
            bytes.push_back(if (byte == PLUS) plus else byte);
            at = at + 1;
        };
    };
    bytes
}

/// Whether two upper-case hex digits follow the `%` at `at`.
fun is_escape(raw: &vector<u8>, at: u64): bool {
    at + 2 < raw.length() && hex_value(raw[at + 1]) < 16 && hex_value(raw[at + 2]) < 16
}

/// The byte that the well-formed escape at `at` stands for.
fun escaped(raw: &vector<u8>, at: u64): u8 {
    hex_value(raw[at + 1]) * 16 + hex_value(raw[at + 2])
}

/// The value of an upper-case hex digit, 16 for every other byte.
fun hex_value(byte: u8): u8 {
    if (byte >= 0x30 && byte <= 0x39) byte - 0x30
    else if (byte >= 0x41 && byte <= 0x46) byte - 0x37
    else 16
}

fun part(segments: &vector<String>, at: u64): String {
    if (at < segments.length()) segments[at] else b"".to_string()
}

/// Whether the subresource opens a way into a container or through the API server.
fun is_connecting(subresource: &vector<u8>): bool {
    subresource == &b"exec" || subresource == &b"attach" || subresource == &b"portforward" ||
        subresource == &b"proxy"
}

/// Whether the parameter asks for a watch: present and neither `0` nor `false` in any case.
///
/// Kubernetes folds case as Go's `strings.EqualFold`, for which U+017F is an `s`: it lists what spells
/// `fal\u{17f}e`, so that is no watch here either.
fun is_watch(parameter: &Option<vector<u8>>): bool {
    if (parameter.is_none()) return false;
    let value = parameter.borrow();
    if (value == &b"0") return false;
    if (value.length() != 5 && value.length() != 6) return true;
    let folded = lower_case(value);
    folded != b"false" && folded != x"66616cc5bf65"
}

/// The name that a field selector asks for, if it is exactly `metadata.name=` and a name.
fun selected_name(field_selector: Option<vector<u8>>): String {
    let none = b"".to_string();
    if (field_selector.is_none()) return none;
    let selector = field_selector.destroy_some();
    let prefix = b"metadata.name=";
    let begin = prefix.length();
    let length = selector.length();
    if (length <= begin || length - begin > MAX_NAME_BYTES) return none;
    if (!starts_with(&selector, &prefix)) return none;
    let mut name = vector[];
    let mut at = begin;
    while (at < length) {
        let byte = selector[at];
        if ((NAME_CHARS >> byte) & 1 == 0) return none;
        name.push_back(byte);
        at = at + 1;
    };
    // ASCII, so it is text.
    name.to_string()
}

fun is_discovery_path(path: &vector<u8>): bool {
    path == &b"/api" || path == &b"/apis" || path == &b"/version" || path == &b"/livez" ||
        path == &b"/readyz" || path == &b"/healthz" || starts_with(path, &b"/api/") ||
        starts_with(path, &b"/apis/") || starts_with(path, &b"/openapi/")
}

fun is_review_of_self(api_group: &vector<u8>, resource: &vector<u8>): bool {
    if (api_group == &b"authorization.k8s.io") {
        resource == &b"selfsubjectaccessreviews" || resource == &b"selfsubjectrulesreviews"
    } else {
        api_group == &b"authentication.k8s.io" && resource == &b"selfsubjectreviews"
    }
}

fun starts_with(bytes: &vector<u8>, prefix: &vector<u8>): bool {
    let length = prefix.length();
    if (bytes.length() < length) return false;
    let mut at = 0;
    while (at < length) {
        if (bytes[at] != prefix[at]) return false;
        at = at + 1;
    };
    true
}

fun lower_case(bytes: &vector<u8>): vector<u8> {
    bytes.map_ref!(|byte| if (*byte >= 0x41 && *byte <= 0x5a) *byte + 0x20 else *byte)
}
