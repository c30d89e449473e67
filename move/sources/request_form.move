/// The form of what callers send as bytes: request IDs, headers, names, groups. Nothing here aborts.
module k3s_daas::request_form;

use std::string;

// === Constants ===

/// The most bytes that names and values of all headers have together.
const MAX_HEADER_BYTES: u64 = 2_048;
/// The longest name of a cluster or group, in bytes, as of a Kubernetes name.
const MAX_NAME_BYTES: u64 = 253;
/// A UUID in text.
const REQUEST_ID_BYTES: u64 = 36;
/// Which characters of a UUID are its hyphens.
const HYPHENS: u64 = 0x842100;
/// Where its version and its variant stand.
const VERSION_AT: u64 = 14;
const VARIANT_AT: u64 = 19;

const HYPHEN: u8 = 0x2d;
const DIGIT_SEVEN: u8 = 0x37;

// Sets of bytes, as bits.

/// `0-9` and `a-f`.
const LOWER_HEX: u256 = 0x7e0000000003ff000000000000;
/// `8`, `9`, `a` and `b`.
const VARIANTS: u256 = 0x6000000000300000000000000;
/// Visible ASCII.
const GRAPHIC: u256 = 0x7ffffffffffffffffffffffe00000000;
/// Space and visible ASCII.
const HEADER_VALUES: u256 = 0x7fffffffffffffffffffffff00000000;

// === Package functions ===

/// Whether `text` is a request ID: `8-4-4-4-12` lower-case hexadecimal digits, version 7, RFC 9562
/// variant.
public(package) fun is_request_id(text: &vector<u8>): bool {
    if (text.length() != REQUEST_ID_BYTES) return false;
    let mut at = 0;
    while (at < REQUEST_ID_BYTES) {
        let byte = text[at];
        let is_allowed = if ((LOWER_HEX >> byte) & 1 == 1) {
            (HYPHENS >> (at as u8)) & 1 == 0
        } else {
            byte == HYPHEN && (HYPHENS >> (at as u8)) & 1 == 1
        };
        if (!is_allowed) return false;
        at = at + 1;
    };
    text[VERSION_AT] == DIGIT_SEVEN && (VARIANTS >> text[VARIANT_AT]) & 1 == 1
}

/// Whether these are headers of a request: as many values as names; names of the five that change what
/// Kubernetes answers or records, each at most once, sorted; values of space and visible ASCII; at most
/// 2,048 bytes together.
public(package) fun are_headers(names: &vector<vector<u8>>, values: &vector<vector<u8>>): bool {
    let count = names.length();
    if (values.length() != count) return false;
    let mut last = 0;
    let mut total = 0;
    let mut at = 0;
    while (at < count) {
        // Out of order, repeated and unknown (0) alike are not above the last.
        let rank = header_rank(&names[at]);
        let value = &values[at];
        if (rank <= last) return false;
        last = rank;
        total = total + names[at].length() + value.length();
        if (total > MAX_HEADER_BYTES || !is_all_of(value, HEADER_VALUES)) return false;
        at = at + 1;
    };
    true
}

/// Whether `text` is a group to impersonate: 1 to 253 bytes of visible ASCII, as it travels in a header,
/// and none of Kubernetes' own (`system:…`).
public(package) fun is_group(text: &vector<u8>): bool {
    has_length_of_name(text) && is_all_of(text, GRAPHIC) && !is_of_system(text)
}

/// Whether `text` is a name of a cluster: 1 to 253 bytes of UTF-8 without control characters.
public(package) fun is_cluster_name(text: &vector<u8>): bool {
    has_length_of_name(text) && string::try_utf8(*text).is_some() && !has_control_character(text)
}

// === Private functions ===

fun has_length_of_name(text: &vector<u8>): bool {
    !text.is_empty() && text.length() <= MAX_NAME_BYTES
}

/// The place of a header's name in the order of names, counted from 1; 0 if it is not passed on.
fun header_rank(name: &vector<u8>): u8 {
    if (name == &b"accept") 1
    else if (name == &b"content-type") 2
    else if (name == &b"if-match") 3
    else if (name == &b"if-none-match") 4
    else if (name == &b"user-agent") 5
    else 0
}

fun is_all_of(text: &vector<u8>, set: u256): bool {
    let length = text.length();
    let mut at = 0;
    while (at < length) {
        if ((set >> text[at]) & 1 == 0) return false;
        at = at + 1;
    };
    true
}

fun is_of_system(text: &vector<u8>): bool {
    let prefix = b"system:";
    let mut at = 0;
    while (at < prefix.length()) {
        if (at == text.length() || text[at] != prefix[at]) return false;
        at = at + 1;
    };
    true
}

/// Whether UTF-8 `text` has a character of Unicode's category `Cc`: U+0000 to U+001F, U+007F and U+0080 to
/// U+009F, which is 0xC2 and a byte below 0xA0.
fun has_control_character(text: &vector<u8>): bool {
    let mut before = 0;
    let length = text.length();
    let mut at = 0;
    while (at < length) {
        let byte = text[at];
        if (byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte < 0xa0)) return true;
        before = byte;
        at = at + 1;
    };
    false
}
