/// What a seal token allows: rules with the fields of a Kubernetes RBAC `PolicyRule` plus namespaces.
/// Nothing here aborts.
module k3s_daas::policy;

use k3s_daas::resource_path::Target;
use std::bcs;
use std::string::String;

// === Constants ===

const ASTERISK: u8 = 0x2a;

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
    if (!target.is_resource()) return rules.any!(|rule| rule.allows_url(target, path));

    // How rules may spell the resource, made once for all of them.
    let mut resource = *target.resource();
    let mut of_any_resource = resource;
    if (!target.subresource().is_empty()) {
        resource.append(b"/".to_string());
        resource.append(*target.subresource());
        of_any_resource = b"*/".to_string();
        of_any_resource.append(*target.subresource());
    };
    rules.any!(|rule| rule.allows_resource(target, &resource, &of_any_resource))
}

/// Bytes of all rules in BCS, which the bound of a token counts.
public(package) fun bcs_length(rules: &vector<PolicyRule>): u64 {
    bcs::to_bytes(rules).length()
}

// === Private functions ===

/// Whether one rule allows a target that is a resource, spelled as `resource` or `of_any_resource`. The
/// shortest lists are usually the first ones here.
fun allows_resource(
    self: &PolicyRule,
    target: &Target,
    resource: &String,
    of_any_resource: &String,
): bool {
    let any = b"*".to_string();
    self.covers_namespace(target.namespace(), &any) &&
    has_either(&self.api_groups, target.api_group(), &any) &&
    self.covers_name(target.name()) &&
    has_either(&self.verbs, target.verb(), &any) &&
    self.covers_resource(resource, of_any_resource, &any)
}

fun allows_url(self: &PolicyRule, target: &Target, path: &vector<u8>): bool {
    has_either(&self.verbs, target.verb(), &b"*".to_string()) &&
    self.non_resource_urls.any!(|url| covers_url(url.as_bytes(), path))
}

fun covers_resource(
    self: &PolicyRule,
    resource: &String,
    of_any_resource: &String,
    any: &String,
): bool {
    // Without a subresource both spellings are one.
    has_either(&self.resources, resource, any) ||
        resource != of_any_resource && has_either(&self.resources, of_any_resource, any)
}

fun covers_namespace(self: &PolicyRule, namespace: &String, any: &String): bool {
    // An empty entry is no namespace.
    has_either(&self.namespaces, if (namespace.is_empty()) any else namespace, any)
}

fun covers_name(self: &PolicyRule, name: &String): bool {
    self.resource_names.is_empty() ||
        (!name.is_empty() && has_either(&self.resource_names, name, name))
}

/// Whether `url` is `path`, or ends in `*` and `path` begins with the rest.
fun covers_url(url: &vector<u8>, path: &vector<u8>): bool {
    let length = url.length();
    if (length == 0 || url[length - 1] != ASTERISK) return url == path;
    let length = length - 1;
    if (path.length() < length) return false;
    let mut at = 0;
    while (at < length) {
        if (path[at] != url[at]) return false;
        at = at + 1;
    };
    true
}

/// Whether `list` has one of the two. A loop of its own: this is what a check of many rules does.
fun has_either(list: &vector<String>, one: &String, other: &String): bool {
    let mut at = list.length();
    while (at > 0) {
        at = at - 1;
        let entry = &list[at];
        if (entry == one || entry == other) return true;
    };
    false
}
