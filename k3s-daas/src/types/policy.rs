//! What a seal token allows.

use serde::{Deserialize, Serialize};

use super::malformed::MAX_ECHO_BYTES;
use super::path;
use super::resource::{ResourcePath, Target};
use super::verb::Verb;

/// A rule of a seal token: the fields of a Kubernetes RBAC `PolicyRule` plus `namespaces`.
///
/// Rules only allow; what no rule allows is refused. Everything is compared byte by byte. An empty list
/// matches nothing, except `resource_names`, where it matches all. BCS is the fields in this
/// order; JSON and YAML spell them as Kubernetes does (`apiGroups`, `nonResourceURLs`, …), lists may be
/// left out, unknown fields are refused.
///
/// ```
/// use k3s_daas::types::{Method, PolicyRule, Target, rules_allow};
///
/// let rules = [PolicyRule::builder()
///     .with_verbs(["get", "list"])
///     .with_api_groups([""])
///     .with_resources(["pods"])
///     .with_namespaces(["default"])
///     .build()?];
/// let path = b"/api/v1/namespaces/default/pods/web";
/// let read = Target::derive(Method::Get, path, Some(b""))?;
/// let removal = Target::derive(Method::Delete, path, Some(b""))?;
/// assert!(rules_allow(&rules, &read, path));
/// assert!(!rules_allow(&rules, &removal, path));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PolicyRule {
    /// Verbs as [`Verb`] spells them; `*` is any.
    pub verbs: Vec<String>,
    /// API groups, the core group being empty; `*` is any.
    pub api_groups: Vec<String>,
    /// Resources with or without subresource: `pods` (not `pods/exec`), `pods/exec`, `*/scale` (that
    /// subresource of any resource), `*` (all resources and subresources). `pods/*` is no wildcard.
    pub resources: Vec<String>,
    /// Names of objects, none for all. No wildcard; never matches a request without a name.
    pub resource_names: Vec<String>,
    /// Paths that are no resources, in canonical form, compared with the path as it stands; a trailing
    /// `*` matches what begins so, `*` alone is any.
    #[serde(rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
    /// Namespaces; `*` is any, and is needed for cluster-scoped resources and for all namespaces at once.
    pub namespaces: Vec<String>,
}

impl PolicyRule {
    /// Begins a rule without anything in it.
    pub fn builder() -> PolicyRuleBuilder {
        PolicyRuleBuilder::default()
    }

    /// Whether this rule allows `target`, whose path on the wire is `path`.
    ///
    /// Knows nothing of what every valid token has; [`rules_allow`] does.
    #[must_use]
    pub fn allows(&self, target: &Target, path: &[u8]) -> bool {
        self.misses(target, path) == Misses::default()
    }

    /// Checks that the rule can match something and says what its writer meant.
    ///
    /// The ledger takes rules that this refuses; they match less than they seem to, never more.
    ///
    /// # Errors
    /// [`InvalidRule`], for the first list or entry that is at fault.
    pub fn validate(&self) -> Result<(), InvalidRule> {
        if self.verbs.is_empty() {
            return Err(InvalidRule::Empty { field: "verbs" });
        }
        for verb in &self.verbs {
            if verb != "*" && verb.parse::<Verb>().is_err() {
                return Err(invalid("verbs", verb, "is no verb of a request"));
            }
        }
        if self.non_resource_urls.is_empty() {
            self.validate_resources()
        } else {
            self.validate_urls()
        }
    }

    fn validate_resources(&self) -> Result<(), InvalidRule> {
        for (field, list) in [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("namespaces", &self.namespaces),
        ] {
            if list.is_empty() {
                return Err(InvalidRule::Empty { field });
            }
        }
        for group in &self.api_groups {
            if !group.is_empty() && group != "*" {
                check_entry("apiGroups", group)?;
            }
        }
        for resource in &self.resources {
            if resource == "*" {
                continue;
            }
            let (name, subresource) = match resource.split_once('/') {
                Some((name, subresource)) => (name, Some(subresource)),
                None => (resource.as_str(), None),
            };
            if subresource == Some("*") {
                return Err(invalid(
                    "resources",
                    resource,
                    "is no wildcard, name each subresource",
                ));
            }
            if !(name == "*" && subresource.is_some()) {
                check_entry("resources", name)?;
            }
            if let Some(subresource) = subresource {
                check_entry("resources", subresource)?;
            }
        }
        for name in &self.resource_names {
            check_entry("resourceNames", name)?;
        }
        for namespace in &self.namespaces {
            if namespace != "*" {
                check_entry("namespaces", namespace)?;
            }
        }
        Ok(())
    }

    fn validate_urls(&self) -> Result<(), InvalidRule> {
        let resource_fields = [
            &self.api_groups,
            &self.resources,
            &self.resource_names,
            &self.namespaces,
        ];
        if resource_fields.iter().any(|list| !list.is_empty()) {
            return Err(InvalidRule::Mixed);
        }
        for url in &self.non_resource_urls {
            if url == "*" {
                continue;
            }
            let prefix = url.strip_suffix('*').unwrap_or(url);
            if prefix.contains('*') {
                return Err(invalid(
                    "nonResourceURLs",
                    url,
                    "has a \"*\" before its end",
                ));
            }
            if path::segments(prefix.as_bytes()).is_err() {
                return Err(invalid("nonResourceURLs", url, "is no canonical path"));
            }
        }
        Ok(())
    }

    /// What of `target` this rule does not cover.
    fn misses(&self, target: &Target, path: &[u8]) -> Misses {
        let mut misses = Misses {
            verb: !contains_or_any(&self.verbs, target.verb.as_str()),
            ..Misses::default()
        };
        if target.path.is_resource {
            misses.group = !contains_or_any(&self.api_groups, &target.path.api_group);
            misses.resource = !self.covers_resource(&target.path);
            misses.namespace = !self.covers_namespace(&target.path.namespace);
            misses.name = !self.covers_name(&target.path.name);
        } else {
            misses.url = !self.covers_url(path);
        }
        misses
    }

    fn covers_resource(&self, path: &ResourcePath) -> bool {
        self.resources.iter().any(|rule| {
            rule == "*"
                || if path.subresource.is_empty() {
                    *rule == path.resource
                } else {
                    rule.split_once('/').is_some_and(|(resource, subresource)| {
                        (resource == "*" || resource == path.resource)
                            && subresource == path.subresource
                    })
                }
        })
    }

    fn covers_namespace(&self, namespace: &str) -> bool {
        self.namespaces
            .iter()
            .any(|rule| rule == "*" || (!namespace.is_empty() && rule == namespace))
    }

    fn covers_name(&self, name: &str) -> bool {
        self.resource_names.is_empty()
            || (!name.is_empty() && self.resource_names.iter().any(|rule| rule == name))
    }

    fn covers_url(&self, path: &[u8]) -> bool {
        self.non_resource_urls.iter().any(|rule| {
            let rule = rule.as_bytes();
            match rule.strip_suffix(b"*") {
                Some(prefix) => path.starts_with(prefix),
                None => rule == path,
            }
        })
    }
}

/// Builds a [`PolicyRule`] that can match something.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PolicyRuleBuilder {
    rule: PolicyRule,
}

impl PolicyRuleBuilder {
    /// Sets the verbs.
    pub fn with_verbs<S: Into<String>>(mut self, verbs: impl IntoIterator<Item = S>) -> Self {
        self.rule.verbs = strings(verbs);
        self
    }

    /// Sets the API groups; the core group is the empty string.
    pub fn with_api_groups<S: Into<String>>(mut self, groups: impl IntoIterator<Item = S>) -> Self {
        self.rule.api_groups = strings(groups);
        self
    }

    /// Sets the resources and subresources.
    pub fn with_resources<S: Into<String>>(
        mut self,
        resources: impl IntoIterator<Item = S>,
    ) -> Self {
        self.rule.resources = strings(resources);
        self
    }

    /// Limits the rule to objects of these names.
    pub fn with_resource_names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Self {
        self.rule.resource_names = strings(names);
        self
    }

    /// Sets the paths that are no resources; goes with verbs alone.
    pub fn with_non_resource_urls<S: Into<String>>(
        mut self,
        urls: impl IntoIterator<Item = S>,
    ) -> Self {
        self.rule.non_resource_urls = strings(urls);
        self
    }

    /// Sets the namespaces; `*` is any and the whole cluster.
    pub fn with_namespaces<S: Into<String>>(
        mut self,
        namespaces: impl IntoIterator<Item = S>,
    ) -> Self {
        self.rule.namespaces = strings(namespaces);
        self
    }

    /// The rule.
    ///
    /// # Errors
    /// As [`PolicyRule::validate`].
    pub fn build(self) -> Result<PolicyRule, InvalidRule> {
        self.rule.validate()?;
        Ok(self.rule)
    }
}

/// Why a rule is not built. Fields are named as Kubernetes names them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// A list that must not be empty is, so the rule would match nothing.
    #[error("{field} is empty, so the rule matches nothing")]
    Empty {
        /// Which list.
        field: &'static str,
    },
    /// Paths stand together with resources or namespaces; make it two rules.
    #[error("nonResourceURLs go with verbs alone, use another rule for resources")]
    Mixed,
    /// An entry that would match nothing, or not what it seems to.
    #[error("{field} has {entry:?}, which {reason}")]
    Entry {
        /// In which list.
        field: &'static str,
        /// Its first 64 bytes.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Whether a valid token with these rules may do `target`, whose path on the wire is `path`.
///
/// Includes what every valid token has: `GET` of discovery and the self-reviews.
#[must_use]
pub fn rules_allow(rules: &[PolicyRule], target: &Target, path: &[u8]) -> bool {
    target.is_discovery
        || target.is_self_review
        || rules.iter().any(|rule| rule.allows(target, path))
}

/// Which rule came closest to allowing `target` and what it lacks, for a message to its user:
/// `rule 2 allows get, list on pods in namespace default; it lacks verb delete`.
///
/// Rules count from 1. None if no rule speaks of resources (or of other paths, as `target` does), or
/// if the request is allowed. At most about two kilobytes.
#[must_use]
pub fn nearest_rule(rules: &[PolicyRule], target: &Target, path: &[u8]) -> Option<String> {
    if rules_allow(rules, target, path) {
        return None;
    }
    let is_of_kind = |rule: &PolicyRule| {
        if target.path.is_resource {
            !rule.resources.is_empty()
        } else {
            !rule.non_resource_urls.is_empty()
        }
    };
    let (index, rule, misses) = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| is_of_kind(rule))
        .map(|(index, rule)| (index, rule, rule.misses(target, path)))
        .min_by_key(|(_, _, misses)| misses.distance())?;
    let allowed = if target.path.is_resource {
        let names = if rule.resource_names.is_empty() {
            String::new()
        } else {
            format!(" named {}", listed(&rule.resource_names))
        };
        format!(
            "{} on {}{names} in {}",
            listed(&rule.verbs),
            listed(&rule.resources),
            listed_namespaces(&rule.namespaces),
        )
    } else {
        format!(
            "{} on {}",
            listed(&rule.verbs),
            listed(&rule.non_resource_urls)
        )
    };
    Some(format!(
        "rule {} allows {allowed}; it lacks {}",
        index + 1,
        misses.describe(target, path)
    ))
}

/// The parts of a request that a rule does not cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Misses {
    group: bool,
    resource: bool,
    url: bool,
    namespace: bool,
    name: bool,
    verb: bool,
}

impl Misses {
    /// How far the rule is off: another resource is further than another namespace, and that
    /// further than another name or verb.
    fn distance(self) -> u8 {
        let weighted = [
            (self.resource, 16),
            (self.url, 16),
            (self.group, 8),
            (self.namespace, 4),
            (self.name, 2),
            (self.verb, 1),
        ];
        weighted
            .iter()
            .filter(|(misses, _)| *misses)
            .map(|(_, weight)| weight)
            .sum()
    }

    fn describe(self, target: &Target, path: &[u8]) -> String {
        let mut lacks = Vec::new();
        if self.verb {
            lacks.push(format!("verb {}", target.verb));
        }
        if self.group {
            lacks.push(if target.path.api_group.is_empty() {
                "the core API group (\"\")".to_owned()
            } else {
                format!("API group {}", clip(&target.path.api_group))
            });
        }
        if self.resource {
            lacks.push(format!("resource {}", clip(&target.path.full_resource())));
        }
        if self.url {
            lacks.push(format!("path {}", clip(&String::from_utf8_lossy(path))));
        }
        if self.namespace {
            lacks.push(if target.path.namespace.is_empty() {
                "namespace \"*\" (needed for cluster-scoped resources, and for all namespaces at once)"
                    .to_owned()
            } else {
                format!("namespace {}", clip(&target.path.namespace))
            });
        }
        if self.name {
            lacks.push(if target.path.name.is_empty() {
                "requests without an object's name".to_owned()
            } else {
                format!("name {}", clip(&target.path.name))
            });
        }
        match lacks.split_last() {
            Some((last, rest)) if !rest.is_empty() => {
                format!("{} and {last}", rest.join(", "))
            }
            _ => lacks.concat(),
        }
    }
}

fn contains_or_any(list: &[String], wanted: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == wanted)
}

fn check_entry(field: &'static str, entry: &str) -> Result<(), InvalidRule> {
    let reason = if entry.is_empty() {
        "is empty"
    } else if entry.len() > MAX_ENTRY_BYTES {
        "is longer than 253 bytes"
    } else if entry.contains('/') {
        "has a \"/\" too many"
    } else if entry.contains('*') {
        "has a \"*\" that is no wildcard there"
    } else if entry.chars().any(char::is_control) || entry.contains('%') {
        "has a character that no path can have"
    } else if entry == "." || entry == ".." {
        "is no segment of a path"
    } else {
        return Ok(());
    };
    Err(invalid(field, entry, reason))
}

fn invalid(field: &'static str, entry: &str, reason: &'static str) -> InvalidRule {
    InvalidRule::Entry {
        field,
        entry: clip(entry).to_owned(),
        reason,
    }
}

fn strings<S: Into<String>>(items: impl IntoIterator<Item = S>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}

fn listed(list: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = list
        .iter()
        .take(SHOWN)
        .map(|entry| clip(entry))
        .collect::<Vec<_>>()
        .join(", ");
    if list.is_empty() {
        text.push_str("nothing");
    }
    if list.len() > SHOWN {
        text.push_str(&format!(" and {} more", list.len() - SHOWN));
    }
    text
}

fn listed_namespaces(namespaces: &[String]) -> String {
    match namespaces {
        [] => "no namespace".to_owned(),
        list if list.iter().any(|namespace| namespace == "*") => "all namespaces".to_owned(),
        [namespace] => format!("namespace {}", clip(namespace)),
        list => format!("namespaces {}", listed(list)),
    }
}

/// At most the first 64 bytes of `text`.
fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ECHO_BYTES)]
}

/// The longest name that Kubernetes has.
const MAX_ENTRY_BYTES: usize = 253;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
