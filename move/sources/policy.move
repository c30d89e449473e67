/// What a seal token allows: rules with the fields of a Kubernetes RBAC `PolicyRule` plus namespaces.
/// Nothing here aborts.
module k3s_daas::policy;

use k3s_daas::resource_path::Target;
use std::bcs;
use std::string::String;

// === Constants ===

const ASTERISK: u8 = 0x2a;
/// What a rule itself and one of its URLs count for.
const RULE_ENTRIES: u64 = 2;
const URL_ENTRIES: u64 = 8;

// === Structs ===

/// A rule of a seal token. It only allows, and compares byte by byte; an empty list matches nothing,
/// except `resource_names`, where it matches all.
public struct PolicyRule has copy, drop, store {
    /// Verbs as the contract derives them; `*` is any.
    verbs: vector<String>,
    /// API groups, the core group being empty; `*` is any.
    api_groups: vector<String>,
    /// `pods` (not `pods/exec`), `pods/exec`, `*/scale` (that subresource of any resource), `*` (all).
    /// `pods/*` is no wildcard.
    resources: vector<String>,
    /// Names of objects, none for all; never matches a request without a name.
    resource_names: vector<String>,
    /// Paths that are no resources; a trailing `*` matches what begins so.
    non_resource_urls: vector<String>,
    /// Namespaces; `*` is any, and is needed for cluster-scoped resources and for all namespaces at once.
    namespaces: vector<String>,
}

// === Public functions ===

/// A rule with these fields, for a transaction to build: a struct is no pure argument. Aborts never;
/// text that is no UTF-8 is no argument of this type.
public fun new_rule(
    verbs: vector<String>,
    api_groups: vector<String>,
    resources: vector<String>,
    resource_names: vector<String>,
    non_resource_urls: vector<String>,
    namespaces: vector<String>,
): PolicyRule {
    PolicyRule { verbs, api_groups, resources, resource_names, non_resource_urls, namespaces }
}

// === Package functions ===

/// Whether a valid token with these rules may do `target`, whose path on the wire is `path`. Includes
/// what every valid token has: `GET` of discovery and the self-reviews.
public(package) fun allows(rules: &vector<PolicyRule>, target: &Target, path: &vector<u8>): bool {
    if (target.is_discovery() || target.is_self_review()) return true;
    // Made once for all rules, as is what they may call the resource.
    let any = b"*".to_string();
    if (!target.is_resource()) {
        // The path was derived from, so it is ASCII.
        let path = (*path).to_string();
        return rules.any!(|rule| {
            !rule.non_resource_urls.is_empty() && rule.allows_url(target, &path, &any)
        })
    };
    let mut resource = *target.resource();
    let mut of_any_resource = resource;
    if (!target.subresource().is_empty()) {
        resource.append(b"/".to_string());
        resource.append(*target.subresource());
        of_any_resource = b"*/".to_string();
        of_any_resource.append(*target.subresource());
    };
    // A cluster-scoped resource, or all namespaces at once: an empty entry is no namespace.
    let namespace = target.namespace();
    let namespace = if (namespace.is_empty()) &any else namespace;
    let (api_group, name, verb) = (target.api_group(), target.name(), target.verb());
    // The shortest lists are usually the first ones here.
    let count = rules.length();
    let mut at = 0;
    while (at < count) {
        let rule = &rules[at];
        if (
            has_either!(&rule.namespaces, namespace, &any) &&
            has_either!(&rule.api_groups, api_group, &any) &&
            has_either!(&rule.verbs, verb, &any) &&
            rule.covers_name(name) &&
            has_one_of(&rule.resources, &resource, &of_any_resource, &any)
        ) return true;
        at = at + 1;
    };
    false
}

/// Bytes of all rules in BCS, which a bound of a token counts.
public(package) fun bcs_length(rules: &vector<PolicyRule>): u64 {
    bcs::to_bytes(rules).length()
}

/// What the other bound of a token counts: what a check may have to look at. Each entry of a list counts for one, a rule itself for
/// two, one of its URLs for eight, about as they cost.
public(package) fun entries(rules: &vector<PolicyRule>): u64 {
    let mut count = rules.length() * RULE_ENTRIES;
    rules.do_ref!(|rule| {
        count =
            count + rule.verbs.length() + rule.api_groups.length() + rule.resources.length() +
            rule.resource_names.length() + rule.namespaces.length() +
            rule.non_resource_urls.length() * URL_ENTRIES;
    });
    count
}

// === Private functions ===

fun allows_url(self: &PolicyRule, target: &Target, path: &String, any: &String): bool {
    has_either!(&self.verbs, target.verb(), any) &&
    self.non_resource_urls.any!(|url| covers_url(url, path))
}

fun covers_name(self: &PolicyRule, name: &String): bool {
    self.resource_names.is_empty() ||
        (!name.is_empty() && self.resource_names.contains(name))
}

/// Whether `url` is `path`, or ends in `*` and `path` begins with the rest.
fun covers_url(url: &String, path: &String): bool {
    let length = url.length();
    if (length == 0 || url.as_bytes()[length - 1] != ASTERISK) return url == path;
    if (path.length() < length - 1) return false;
    let mut begin = path.substring(0, length - 1).into_bytes();
    begin.push_back(ASTERISK);
    &begin == url.as_bytes()
}

/// Whether `list` has one of the three; the same as `has_either` where a look costs more than a call.
fun has_one_of(list: &vector<String>, one: &String, other: &String, third: &String): bool {
    let mut at = list.length();
    while (at > 0) {
        at = at - 1;
        let entry = &list[at];
        if (entry == one || entry == other || entry == third) return true;
    };
    false
}

/// Whether `$list` has one of the two. This is what a check of many rules does, so it is no call.
macro fun has_either($list: &vector<String>, $one: &String, $other: &String): bool {
    let list = $list;
    let mut at = list.length();
    'search: {
        while (at > 0) {
            at = at - 1;
            let entry = &list[at];
            if (entry == $one || entry == $other) return 'search true;
        };
        false
    }
}
