//! Role-based access control over the cluster's own roles and bindings.

use serde_json::Value;

use super::cluster::Cluster;
use super::kinds::Resource;
use super::request::{Request, ResourceTarget, Target, User};
use super::selector::LabelSelector;
use super::status::Refusal;

/// What somebody wants to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// A path outside of the API's resources; the fields above are empty then.
    pub(super) path: Option<String>,
}

/// An answer with its grounds.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) allowed: bool,
    pub(super) reason: String,
}

/// Refuses what RBAC does not allow.
pub(super) fn check(cluster: &Cluster, request: &Request) -> Result<(), Refusal> {
    let attributes = Attributes::of(request);
    let decision = decide(cluster, &request.user, &attributes);
    if decision.allowed {
        Ok(())
    } else {
        Err(refusal(&request.user, &attributes))
    }
}

/// Whether `user` may do what `attributes` say.
pub(super) fn decide(cluster: &Cluster, user: &User, attributes: &Attributes) -> Decision {
    if !cluster.authorization || user.in_group(MASTERS) {
        return Decision {
            allowed: true,
            reason: String::new(),
        };
    }
    let mut grounds = None;
    visit_rules(cluster, user, &attributes.namespace, &mut |grant, rule| {
        if allows(rule, attributes) {
            grounds = Some(grant.to_owned());
        }
        grounds.is_none()
    });
    Decision {
        allowed: grounds.is_some(),
        reason: grounds.unwrap_or_default(),
    }
}

/// Every rule that applies to `user` in `namespace` (all of the cluster when it is empty).
pub(super) fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Vec<Value> {
    if !cluster.authorization || user.in_group(MASTERS) {
        return vec![
            serde_json::json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
            serde_json::json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
        ];
    }
    let mut rules = Vec::new();
    visit_rules(cluster, user, namespace, &mut |_, rule| {
        rules.push(rule.clone());
        true
    });
    rules
}

/// Nobody grants by a role what they may not do themselves.
pub(super) fn check_escalation(
    cluster: &Cluster,
    user: &User,
    resource: &Resource,
    namespace: Option<&str>,
    object: &Value,
) -> Result<(), Refusal> {
    if resource.group != GROUP || !cluster.authorization || user.in_group(MASTERS) {
        return Ok(());
    }
    let namespace = namespace.unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let may = |verb: &str, resource: &str, name: &str| {
        let wanted = Attributes {
            verb: verb.into(),
            group: GROUP.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Attributes::default()
        };
        decide(cluster, user, &wanted).allowed
    };
    let granted: Vec<Value> = match resource.plural.as_str() {
        "roles" | "clusterroles" => {
            if may("escalate", &resource.plural, name) {
                return Ok(());
            }
            object["rules"].as_array().cloned().unwrap_or_default()
        }
        _ => {
            let reference = &object["roleRef"];
            let (kind, role) = (
                reference["kind"].as_str().unwrap_or_default(),
                reference["name"].as_str().unwrap_or_default(),
            );
            let plural = if kind == "ClusterRole" {
                "clusterroles"
            } else {
                "roles"
            };
            if may("bind", plural, role) {
                return Ok(());
            }
            role_rules(cluster, kind, role, namespace)
        }
    };
    let held = rules(cluster, user, namespace);
    let missing: Vec<String> = granted
        .iter()
        .filter(|rule| !covered(rule, &held))
        .map(compact)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::forbidden(
        resource,
        name,
        format!(
            "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            user.groups,
            missing.join("\n")
        ),
    ))
}

/// The default ClusterRoles and their bindings.
pub(super) fn bootstrap_objects() -> Vec<Value> {
    let mut objects: Vec<Value> = serde_json::from_str(include_str!("data/bootstrap.json"))
        .expect("the embedded roles are well-formed");
    // Kubernetes has a controller that fills aggregated roles; here they are computed when
    // they are asked about, and stored filled so that they read the same.
    let filled: Vec<Option<Vec<Value>>> = objects
        .iter()
        .map(|role| aggregated(role, objects.iter()))
        .collect();
    for (object, rules) in objects.iter_mut().zip(filled) {
        if let Some(rules) = rules {
            object["rules"] = rules.into();
        }
    }
    objects
}

impl Attributes {
    fn of(request: &Request) -> Self {
        let method = request.method.as_str();
        let Target::Resource(target) = &request.target else {
            let verb = if method == "HEAD" {
                "get".to_owned()
            } else {
                method.to_lowercase()
            };
            return Self {
                verb,
                path: Some(request.path.clone()),
                ..Self::default()
            };
        };
        let watch = request.query.flag("watch");
        let verb = match (method, target.name.is_some()) {
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ if watch => "watch",
            (_, true) => "get",
            (_, false) => "list",
        };
        let named = request
            .query
            .one("fieldSelector")
            .and_then(|f| f.strip_prefix("metadata.name="));
        let ResourceTarget {
            group,
            namespace,
            resource,
            name,
            subresource,
            ..
        } = target.clone();
        Self {
            verb: verb.into(),
            group,
            resource,
            subresource: subresource.unwrap_or_default(),
            namespace: namespace.unwrap_or_default(),
            name: name
                .or_else(|| named.filter(|n| !n.contains(',')).map(str::to_owned))
                .unwrap_or_default(),
            path: None,
        }
    }
}

fn refusal(user: &User, attributes: &Attributes) -> Refusal {
    let Attributes {
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        path,
    } = attributes;
    let who = &user.name;
    if let Some(path) = path {
        return Refusal::forbidden_named(
            "",
            "",
            "",
            format!("User {who:?} cannot {verb} path {path:?}"),
        );
    }
    let full = if subresource.is_empty() {
        resource.clone()
    } else {
        format!("{resource}/{subresource}")
    };
    let scope = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let why =
        format!("User {who:?} cannot {verb} resource {full:?} in API group {group:?} {scope}");
    Refusal::forbidden_named(group, resource, name, why)
}

/// Calls `visit` with each rule and what grants it, until it says stop.
fn visit_rules(
    cluster: &Cluster,
    user: &User,
    namespace: &str,
    visit: &mut dyn FnMut(&str, &Value) -> bool,
) {
    let (_, cluster_bindings) = cluster
        .store
        .all("clusterrolebindings.rbac.authorization.k8s.io", None);
    for binding in &cluster_bindings {
        let Some(subject) = subject_of(&binding.value, user, "") else {
            continue;
        };
        let role = binding.value["roleRef"]["name"]
            .as_str()
            .unwrap_or_default();
        let grant = format!(
            "RBAC: allowed by ClusterRoleBinding {:?} of ClusterRole {role:?} to {subject}",
            binding.name()
        );
        for rule in role_rules(cluster, "ClusterRole", role, "") {
            if !visit(&grant, &rule) {
                return;
            }
        }
    }
    if namespace.is_empty() {
        return;
    }
    let (_, bindings) = cluster
        .store
        .all("rolebindings.rbac.authorization.k8s.io", Some(namespace));
    for binding in &bindings {
        let Some(subject) = subject_of(&binding.value, user, namespace) else {
            continue;
        };
        let reference = &binding.value["roleRef"];
        let (kind, role) = (
            reference["kind"].as_str().unwrap_or_default(),
            reference["name"].as_str().unwrap_or_default(),
        );
        let place = format!("{}/{namespace}", binding.name());
        let grant =
            format!("RBAC: allowed by RoleBinding {place:?} of {kind} {role:?} to {subject}");
        for rule in role_rules(cluster, kind, role, namespace) {
            if !visit(&grant, &rule) {
                return;
            }
        }
    }
}

fn role_rules(cluster: &Cluster, kind: &str, name: &str, namespace: &str) -> Vec<Value> {
    if kind == "Role" {
        let role = cluster.store.one(
            "roles.rbac.authorization.k8s.io",
            &format!("{namespace}/{name}"),
        );
        return role
            .and_then(|r| r.value["rules"].as_array().cloned())
            .unwrap_or_default();
    }
    let Some(role) = cluster.store.one(CLUSTER_ROLES, name) else {
        return Vec::new();
    };
    if role.value["aggregationRule"].is_object() {
        let (_, roles) = cluster.store.all(CLUSTER_ROLES, None);
        return aggregated(&role.value, roles.iter().map(|r| &r.value)).unwrap_or_default();
    }
    role.value["rules"].as_array().cloned().unwrap_or_default()
}

/// The rules an aggregated role collects, also through other aggregated roles.
fn aggregated<'a>(
    role: &Value,
    roles: impl Iterator<Item = &'a Value> + Clone,
) -> Option<Vec<Value>> {
    let mut rules = Vec::new();
    let mut seen: Vec<&str> = vec![role["metadata"]["name"].as_str().unwrap_or_default()];
    let mut open: Vec<LabelSelector> = selectors(role)?;
    while let Some(selector) = open.pop() {
        for candidate in roles.clone() {
            let name = candidate["metadata"]["name"].as_str().unwrap_or_default();
            if seen.contains(&name) || !selector.matches(&candidate["metadata"]["labels"]) {
                continue;
            }
            seen.push(name);
            match selectors(candidate) {
                Some(more) => open.extend(more),
                None => rules.extend(candidate["rules"].as_array().cloned().unwrap_or_default()),
            }
        }
    }
    Some(rules)
}

fn selectors(role: &Value) -> Option<Vec<LabelSelector>> {
    let list = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    Some(list.iter().map(LabelSelector::from_object).collect())
}

/// The subject of a binding that is this user, as Kubernetes names it.
fn subject_of(binding: &Value, user: &User, namespace: &str) -> Option<String> {
    for subject in binding["subjects"].as_array().into_iter().flatten() {
        let name = subject["name"].as_str().unwrap_or_default();
        let found = match subject["kind"].as_str() {
            Some("User") => name == user.name,
            Some("Group") => user.in_group(name),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or(namespace);
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        };
        if found {
            return Some(format!(
                "{} {name:?}",
                subject["kind"].as_str().unwrap_or_default()
            ));
        }
    }
    None
}

fn allows(rule: &Value, wanted: &Attributes) -> bool {
    if !has(rule, "verbs", &wanted.verb) {
        return false;
    }
    if let Some(path) = &wanted.path {
        return list(rule, "nonResourceURLs").any(|url| match url.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => url == path,
        });
    }
    let full = match wanted.subresource.is_empty() {
        true => wanted.resource.clone(),
        false => format!("{}/{}", wanted.resource, wanted.subresource),
    };
    let any_of_subresource = format!("*/{}", wanted.subresource);
    let resource = list(rule, "resources").any(|r| {
        r == "*" || r == full || (!wanted.subresource.is_empty() && r == any_of_subresource)
    });
    let named = list(rule, "resourceNames").next().is_none()
        || list(rule, "resourceNames").any(|n| n == wanted.name);
    resource && named && has(rule, "apiGroups", &wanted.group)
}

/// Whether the held rules allow everything `rule` does.
fn covered(rule: &Value, held: &[Value]) -> bool {
    let verbs: Vec<&str> = list(rule, "verbs").collect();
    if list(rule, "nonResourceURLs").next().is_some() {
        return list(rule, "nonResourceURLs").all(|url| {
            verbs.iter().all(|verb| {
                held.iter().any(|h| {
                    has(h, "verbs", verb)
                        && list(h, "nonResourceURLs").any(|u| {
                            u == url || u.strip_suffix('*').is_some_and(|p| url.starts_with(p))
                        })
                })
            })
        });
    }
    let names: Vec<&str> = list(rule, "resourceNames").collect();
    list(rule, "apiGroups").all(|group| {
        list(rule, "resources").all(|resource| {
            verbs.iter().all(|verb| {
                held.iter().any(|h| {
                    let subresource = resource.split_once('/').map(|(_, s)| format!("*/{s}"));
                    has(h, "verbs", verb)
                        && has(h, "apiGroups", group)
                        && list(h, "resources")
                            .any(|r| r == "*" || r == resource || Some(r) == subresource.as_deref())
                        && (list(h, "resourceNames").next().is_none()
                            || (!names.is_empty()
                                && names
                                    .iter()
                                    .all(|n| list(h, "resourceNames").any(|x| x == *n))))
                })
            })
        })
    })
}

fn compact(rule: &Value) -> String {
    let quoted = |key: &str| {
        list(rule, key)
            .map(|v| format!("{v:?}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut parts = Vec::new();
    for (label, key) in [
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    ] {
        if list(rule, key).next().is_some() {
            parts.push(format!("{label}:[{}]", quoted(key)));
        }
    }
    format!("{{{}}}", parts.join(", "))
}

fn has(rule: &Value, key: &str, wanted: &str) -> bool {
    list(rule, key).any(|v| v == "*" || v == wanted)
}

fn list<'a>(rule: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    rule[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

const MASTERS: &str = "system:masters";
const GROUP: &str = "rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wants(verb: &str, group: &str, resource: &str, subresource: &str, name: &str) -> Attributes {
        Attributes {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn rules_match_as_kubernetes_matches_them() {
        let rule = json!({"apiGroups": [""], "resources": ["pods", "*/status"], "verbs": ["get"], "resourceNames": ["a"]});
        for (wanted, expected) in [
            (wants("get", "", "pods", "", "a"), true),
            (wants("get", "", "pods", "", "b"), false),
            (wants("get", "", "pods", "", ""), false),
            (wants("get", "", "pods", "log", "a"), false),
            (wants("get", "", "services", "status", "a"), true),
            (wants("list", "", "pods", "", "a"), false),
            (wants("get", "apps", "pods", "", "a"), false),
        ] {
            assert_eq!(allows(&rule, &wanted), expected, "{wanted:?}");
        }
        let urls = json!({"nonResourceURLs": ["/healthz", "/api/*"], "verbs": ["get"]});
        for (path, expected) in [
            ("/healthz", true),
            ("/healthz/x", false),
            ("/api/v1", true),
            ("/apis", false),
        ] {
            let wanted = Attributes {
                verb: "get".into(),
                path: Some(path.into()),
                ..Attributes::default()
            };
            assert_eq!(allows(&urls, &wanted), expected, "{path}");
        }
        assert!(!allows(
            &json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}),
            &Attributes {
                verb: "get".into(),
                path: Some("/".into()),
                ..Attributes::default()
            }
        ));
    }

    #[test]
    fn the_default_roles_are_filled() {
        let roles = bootstrap_objects();
        let rules = |name: &str| {
            let role = roles
                .iter()
                .find(|r| r["kind"] == "ClusterRole" && r["metadata"]["name"] == name);
            role.and_then(|r| r["rules"].as_array().cloned())
                .unwrap_or_default()
        };
        let can =
            |role: &str, wanted: &Attributes| rules(role).iter().any(|rule| allows(rule, wanted));
        assert!(can("view", &wants("list", "", "pods", "", "")));
        assert!(!can("view", &wants("get", "", "secrets", "", "x")));
        assert!(!can("view", &wants("create", "", "pods", "", "")));
        assert!(can("edit", &wants("create", "apps", "deployments", "", "")));
        assert!(can("edit", &wants("get", "", "secrets", "", "x")));
        assert!(!can("edit", &wants("create", GROUP, "roles", "", "")));
        assert!(can("admin", &wants("create", GROUP, "roles", "", "")));
        assert!(can("cluster-admin", &wants("delete", "", "nodes", "", "x")));
    }

    #[test]
    fn grants_are_measured_against_what_is_held() {
        let held = [json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]})];
        assert!(covered(
            &json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}),
            &held
        ));
        assert!(!covered(
            &json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}),
            &held
        ));
        assert!(!covered(
            &json!({"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}),
            &held
        ));
        assert!(!covered(
            &json!({"nonResourceURLs": ["/"], "verbs": ["get"]}),
            &held
        ));
    }
}
