//! Self-reviews: what `kubectl auth can-i` says is what happens, by the token's rules and stake and by the
//! cluster's own rules, both.

use std::collections::{BTreeMap, BTreeSet};

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::extract::Asked;
use super::refusal::{self, Refusal};
use super::reply::{self, json_response};
use super::submit::{Caller, Timing};
use super::{Body, Inner, review_body};
use crate::ledger::LedgerExt as _;
use crate::types::{PolicyRule, ResourcePath, Target, TokenId, Verb, nearest_rule, rules_allow};

/// Whether it asks what its asker may do, and not only who that is.
pub(super) fn is_about_access(asked: &Asked) -> bool {
    asked.target.path.api_group == "authorization.k8s.io"
}

impl Inner {
    /// Answers a `SelfSubjectAccessReview` or `SelfSubjectRulesReview`.
    pub(super) async fn review(
        &self,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Result<Response<Body>, Refusal> {
        let is_rules = asked.target.path.resource == "selfsubjectrulesreviews";
        let message = asked.message_without_body(self.deadline_ms(asked));
        self.check(caller, &message, asked)?;
        let kind = if is_rules {
            "SelfSubjectRulesReview"
        } else {
            "SelfSubjectAccessReview"
        };
        let review = review_body::parse(asked.header("content-type"), &asked.body, kind);
        let review = review.ok_or(Refusal::ReviewEncoding)?;
        self.metrics.reviews.add(1);
        if is_rules {
            return self.rules_review(caller, asked, &review, timing).await;
        }
        // Serde takes a list for a struct; Kubernetes does not.
        let spec = Some(&review["spec"])
            .filter(|spec| spec.is_object())
            .and_then(|spec| Spec::deserialize(spec).ok())
            .ok_or(Refusal::BadRequest("the review's spec is not of its form"))?;
        let why_not = self.denied(caller.token, &spec).await;
        if let Some(reason) = why_not {
            let mut answer = review;
            answer["status"] = json!({"allowed": false, "reason": reason});
            if answer["metadata"].is_null() {
                answer["metadata"] = json!({"creationTimestamp": null});
            }
            return Ok(json_response(StatusCode::CREATED, &answer));
        }
        // Everything that holds here allows it: the cluster has the last word.
        let mut asked = asked.clone();
        asked.set_header("accept", "application/json".to_owned());
        let answer = self.execute(caller, &asked, timing).await?;
        if answer.status == 201
            && let Some(explained) = explained(caller.token, &answer.body)
        {
            return Ok(json_response(StatusCode::CREATED, &explained));
        }
        reply::answer(answer).ok_or(Refusal::LedgerFault)
    }

    /// Why the token does not allow what a review asks for, if it does not.
    async fn denied(&self, token: TokenId, spec: &Spec) -> Option<String> {
        if let Some(attributes) = &spec.resource_attributes {
            if attributes.verb == "impersonate" {
                return Some("the gateway passes no impersonation on".into());
            }
            let mut attributes = attributes.clone();
            if !attributes.namespace.is_empty()
                && attributes.resource != "*"
                && self.is_cluster_scoped(&attributes).await
            {
                // There is no such request in a namespace; the one there is has none.
                attributes.namespace.clear();
            }
            if matches!(
                attributes.subresource.as_str(),
                "exec" | "attach" | "portforward"
            ) {
                return Some("the gateway does not serve streams yet".into());
            }
            return attributes
                .targets()
                .into_iter()
                .find_map(|target| self.denied_target(token, &target, ""));
        }
        let attributes = spec.non_resource_attributes.as_ref()?;
        let target = attributes.target()?;
        self.denied_target(token, &target, &attributes.path)
    }

    /// Why the token does not allow `target`: no rule, or no stake.
    fn denied_target(&self, token: TokenId, target: &Target, path: &str) -> Option<String> {
        self.ledger.view(|snapshot| {
            let held = snapshot.state.token(token)?;
            if !rules_allow(&held.rules, target, path.as_bytes()) {
                let nearest = nearest_rule(&held.rules, target, path.as_bytes());
                return Some(format!(
                    "the seal token does not allow it: {}",
                    refusal::no_rule(token, nearest.as_deref())
                ));
            }
            let needs = snapshot.state.cluster(self.cluster)?.policy.min_write_stake;
            (!target.is_read && held.bonded < needs)
                .then(|| refusal::too_little_stake(token, held.bonded, needs))
        })
    }

    /// Whether discovery says that a resource lies in no namespace; not if it cannot be asked.
    async fn is_cluster_scoped(&self, attributes: &ResourceAttributes) -> bool {
        let path = if attributes.group.is_empty() {
            "/api"
        } else {
            "/apis"
        };
        let Some((200, found)) = self.discover_own(path, AGGREGATED).await else {
            return false;
        };
        let Ok(groups) = serde_json::from_slice::<GroupList>(&found) else {
            return false;
        };
        groups
            .items
            .iter()
            .filter(|group| group.metadata.name == attributes.group)
            .flat_map(|group| &group.versions)
            .flat_map(|version| &version.resources)
            .find(|resource| resource.resource == attributes.resource)
            .is_some_and(|resource| resource.scope == "Cluster")
    }

    /// The rules that both the token and the cluster have.
    async fn rules_review(
        &self,
        caller: &Caller,
        asked: &Asked,
        review: &Value,
        timing: &mut Timing,
    ) -> Result<Response<Body>, Refusal> {
        let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
        let mut asked = asked.clone();
        asked.set_header("accept", "application/json".to_owned());
        let answer = self.execute(caller, &asked, timing).await?;
        let parsed = serde_json::from_slice::<Value>(&answer.body).ok();
        let status = parsed
            .as_ref()
            .and_then(|answer| RulesStatus::deserialize(&answer["status"]).ok());
        let (Some(mut parsed), Some(theirs)) = (parsed, status) else {
            return reply::answer(answer).ok_or(Refusal::LedgerFault);
        };
        if answer.status != 201 {
            return reply::answer(answer).ok_or(Refusal::LedgerFault);
        }
        let ours = self.own_rules(caller.token, namespace);
        let both = RulesStatus {
            resource_rules: merged(
                pairs(&ours.resource_rules, &theirs.resource_rules).filter_map(|(a, b)| a.and(b)),
            ),
            non_resource_rules: merged_urls(
                pairs(&ours.non_resource_rules, &theirs.non_resource_rules)
                    .filter_map(|(a, b)| a.and(b)),
            ),
            incomplete: theirs.incomplete,
            evaluation_error: theirs.evaluation_error,
        };
        parsed["status"] = serde_json::to_value(both).unwrap_or_default();
        Ok(json_response(StatusCode::CREATED, &parsed))
    }

    /// What the token allows in a namespace, with what its stake allows.
    fn own_rules(&self, token: TokenId, namespace: &str) -> RulesStatus {
        self.ledger.view(|snapshot| {
            let state = snapshot.state;
            let (Some(held), Some(cluster)) = (state.token(token), state.cluster(self.cluster))
            else {
                return RulesStatus::default();
            };
            let can_write = held.bonded >= cluster.policy.min_write_stake;
            let mut rules = RulesStatus::of_every_token();
            for rule in &held.rules {
                rules.add(rule, namespace, can_write);
            }
            rules
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    resource_attributes: Option<ResourceAttributes>,
    non_resource_attributes: Option<NonResourceAttributes>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NonResourceAttributes {
    path: String,
    verb: String,
}

impl ResourceAttributes {
    /// The requests that it stands for, as the contract would derive them. None for a verb that no request
    /// has (`use`, `bind`, …): only the cluster knows of those.
    fn targets(&self) -> Vec<Target> {
        let is_connect = matches!(
            self.subresource.as_str(),
            "exec" | "attach" | "portforward" | "proxy"
        );
        let verbs = match self.verb.as_str() {
            "*" => RESOURCE_VERBS.to_vec(),
            verb => verb
                .parse::<Verb>()
                .ok()
                .filter(|verb| RESOURCE_VERBS.contains(verb))
                .into_iter()
                .collect(),
        };
        let path = ResourcePath {
            is_resource: true,
            api_group: self.group.clone(),
            api_version: self.version.clone(),
            namespace: self.namespace.clone(),
            resource: self.resource.clone(),
            subresource: self.subresource.clone(),
            name: self.name.clone(),
        };
        let is_self_review = self.namespace.is_empty()
            && self.name.is_empty()
            && self.subresource.is_empty()
            && self.verb == "create"
            && SELF_REVIEWS.contains(&(self.group.as_str(), self.resource.as_str()));
        verbs
            .into_iter()
            .map(|verb| Target {
                path: path.clone(),
                verb: if is_connect { Verb::Create } else { verb },
                request_info_verb: verb.as_str().to_owned(),
                is_read: is_self_review
                    || (!is_connect && matches!(verb, Verb::Get | Verb::List | Verb::Watch)),
                is_connect,
                is_discovery: false,
                is_self_review,
            })
            .collect()
    }
}

impl NonResourceAttributes {
    fn target(&self) -> Option<Target> {
        let method = match self.verb.as_str() {
            "get" => crate::types::Method::Get,
            "post" => crate::types::Method::Post,
            "put" => crate::types::Method::Put,
            "patch" => crate::types::Method::Patch,
            "delete" => crate::types::Method::Delete,
            _ => return None,
        };
        Target::derive(method, self.path.as_bytes(), Some(b""))
            .ok()
            .filter(|target| !target.path.is_resource)
    }
}

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Group {
    metadata: GroupName,
    versions: Vec<GroupVersion>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupName {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupVersion {
    resources: Vec<GroupResource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupResource {
    resource: String,
    scope: String,
}

/// `SubjectRulesReviewStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RulesStatus {
    resource_rules: Vec<ResourceRule>,
    non_resource_rules: Vec<NonResourceRule>,
    incomplete: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    evaluation_error: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResourceRule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_names: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct NonResourceRule {
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
}

impl RulesStatus {
    /// Discovery and the self-reviews.
    fn of_every_token() -> Self {
        let strings = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let reviews = |group: &str, resources: &[&str]| ResourceRule {
            verbs: strings(&["create"]),
            api_groups: strings(&[group]),
            resources: strings(resources),
            resource_names: Vec::new(),
        };
        Self {
            resource_rules: vec![
                reviews(
                    "authorization.k8s.io",
                    &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                ),
                reviews("authentication.k8s.io", &["selfsubjectreviews"]),
            ],
            non_resource_rules: vec![NonResourceRule {
                verbs: strings(&["get"]),
                non_resource_urls: strings(&[
                    "/api",
                    "/api/*",
                    "/apis",
                    "/apis/*",
                    "/healthz",
                    "/livez",
                    "/openapi/*",
                    "/readyz",
                    "/version",
                ]),
            }],
            ..Self::default()
        }
    }

    fn add(&mut self, rule: &PolicyRule, namespace: &str, can_write: bool) {
        let verbs: Vec<String> = if can_write {
            rule.verbs.clone()
        } else {
            let reads = ["get", "list", "watch"];
            let has = |verb: &str| rule.verbs.iter().any(|held| held == "*" || held == verb);
            reads
                .into_iter()
                .filter(|verb| has(verb))
                .map(str::to_owned)
                .collect()
        };
        if verbs.is_empty() {
            return;
        }
        let is_here = rule
            .namespaces
            .iter()
            .any(|held| held == "*" || (!namespace.is_empty() && held == namespace));
        if is_here && !rule.resources.is_empty() {
            self.resource_rules.push(ResourceRule {
                verbs: verbs.clone(),
                api_groups: rule.api_groups.clone(),
                resources: rule.resources.clone(),
                resource_names: rule.resource_names.clone(),
            });
        }
        if !rule.non_resource_urls.is_empty() {
            let verbs = if can_write {
                rule.verbs.clone()
            } else {
                vec!["get".to_owned()]
            };
            self.non_resource_rules.push(NonResourceRule {
                verbs,
                non_resource_urls: rule.non_resource_urls.clone(),
            });
        }
    }
}

impl ResourceRule {
    /// What both allow; each is a product of its lists, and so is that.
    fn and(&self, other: &Self) -> Option<Self> {
        let resource_names = match (
            self.resource_names.is_empty(),
            other.resource_names.is_empty(),
        ) {
            (true, _) => other.resource_names.clone(),
            (_, true) => self.resource_names.clone(),
            _ => both(&self.resource_names, &other.resource_names, same)?,
        };
        Some(Self {
            verbs: both(&self.verbs, &other.verbs, same_or_any)?,
            api_groups: both(&self.api_groups, &other.api_groups, same_or_any)?,
            resources: both(&self.resources, &other.resources, same_resource)?,
            resource_names,
        })
    }
}

impl NonResourceRule {
    fn and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            verbs: both(&self.verbs, &other.verbs, same_or_any)?,
            non_resource_urls: both(&self.non_resource_urls, &other.non_resource_urls, same_url)?,
        })
    }
}

/// The cluster's review with the words that its no lacks: whose no it is, and what would change it.
///
/// None unless it is a no.
fn explained(token: TokenId, body: &[u8]) -> Option<Value> {
    let mut review: Value = serde_json::from_slice(body).ok()?;
    let status = review.get_mut("status")?.as_object_mut()?;
    if status.get("allowed")?.as_bool()? {
        return None;
    }
    let mut reason = "the seal token allows it, but the cluster's own RBAC does not".to_owned();
    match status.get("reason").and_then(Value::as_str) {
        None | Some("") => {}
        Some(said) => {
            reason.push_str(": ");
            reason.push_str(said);
        }
    }
    // A no that was said expressly is not undone by a binding.
    if status.get("denied").and_then(Value::as_bool) != Some(true) {
        reason.push_str(&format!(
            "; a RoleBinding or ClusterRoleBinding for the user seal:{token}, or a group of its, is missing"
        ));
    }
    status.insert("reason".into(), reason.into());
    Some(review)
}

/// The same rules with each thing said once.
fn merged(rules: impl Iterator<Item = ResourceRule>) -> Vec<ResourceRule> {
    type Place = (String, String, Vec<String>);
    let mut verbs: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
    for rule in rules {
        for (group, resource) in pairs(&rule.api_groups, &rule.resources) {
            let mut names = rule.resource_names.clone();
            names.sort();
            let place = (group.clone(), resource.clone(), names);
            verbs.entry(place).or_default().extend(rule.verbs.clone());
        }
    }
    let covers = |wide: &Place, narrow: &Place| {
        same_or_any(&wide.0, &narrow.0).as_ref() == Some(&narrow.0)
            && same_resource(&wide.1, &narrow.1).as_ref() == Some(&narrow.1)
            && (wide.2.is_empty()
                || (!narrow.2.is_empty() && narrow.2.iter().all(|name| wide.2.contains(name))))
    };
    let mut by_group: BTreeMap<(Vec<String>, String, Vec<String>), Vec<String>> = BTreeMap::new();
    for ((group, resource, names), verbs) in uncovered(verbs, covers) {
        by_group
            .entry((verbs, group, names))
            .or_default()
            .push(resource);
    }
    type Said = (Vec<String>, Vec<String>, Vec<String>);
    let mut by_resources: BTreeMap<Said, Vec<String>> = BTreeMap::new();
    for ((verbs, group, names), resources) in by_group {
        by_resources
            .entry((verbs, resources, names))
            .or_default()
            .push(group);
    }
    by_resources
        .into_iter()
        .map(
            |((verbs, resources, resource_names), api_groups)| ResourceRule {
                verbs,
                api_groups,
                resources,
                resource_names,
            },
        )
        .collect()
}

/// The same for paths.
fn merged_urls(rules: impl Iterator<Item = NonResourceRule>) -> Vec<NonResourceRule> {
    let mut verbs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules {
        for url in rule.non_resource_urls {
            verbs.entry(url).or_default().extend(rule.verbs.clone());
        }
    }
    let covers = |wide: &String, narrow: &String| same_url(wide, narrow).as_ref() == Some(narrow);
    let mut kept: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (url, verbs) in uncovered(verbs, covers) {
        kept.entry(verbs).or_default().push(url);
    }
    kept.into_iter()
        .map(|(verbs, non_resource_urls)| NonResourceRule {
            verbs,
            non_resource_urls,
        })
        .collect()
}

/// The places with their verbs, without those of which a wider place says the same; `*` alone if that is
/// among the verbs.
fn uncovered<P: Ord + Clone>(
    verbs: BTreeMap<P, BTreeSet<String>>,
    covers: impl Fn(&P, &P) -> bool,
) -> Vec<(P, Vec<String>)> {
    let says = |wide: &BTreeSet<String>, narrow: &BTreeSet<String>| {
        wide.contains("*") || narrow.is_subset(wide)
    };
    let is_covered = |place: &P, held: &BTreeSet<String>| {
        let mut others = verbs.iter().filter(|(other, _)| *other != place);
        others.any(|(other, theirs)| covers(other, place) && says(theirs, held))
    };
    verbs
        .iter()
        .filter(|(place, held)| !is_covered(place, held))
        .map(|(place, held)| {
            let verbs = if held.contains("*") {
                vec!["*".to_owned()]
            } else {
                held.iter().cloned().collect()
            };
            (place.clone(), verbs)
        })
        .collect()
}

fn pairs<'a, T>(ours: &'a [T], theirs: &'a [T]) -> impl Iterator<Item = (&'a T, &'a T)> {
    ours.iter()
        .flat_map(move |a| theirs.iter().map(move |b| (a, b)))
}

/// What two lists have in common; none if nothing.
fn both(
    ours: &[String],
    theirs: &[String],
    meet: fn(&str, &str) -> Option<String>,
) -> Option<Vec<String>> {
    let mut common: Vec<String> = pairs(ours, theirs)
        .filter_map(|(a, b)| meet(a, b))
        .collect();
    common.sort();
    common.dedup();
    (!common.is_empty()).then_some(common)
}

fn same(a: &str, b: &str) -> Option<String> {
    (a == b).then(|| a.to_owned())
}

fn same_or_any(a: &str, b: &str) -> Option<String> {
    match (a, b) {
        ("*", other) | (other, "*") => Some(other.to_owned()),
        _ => same(a, b),
    }
}

/// `*` is all, `*/scale` that subresource of all.
fn same_resource(a: &str, b: &str) -> Option<String> {
    let covers = |wide: &str, narrow: &str| {
        wide.strip_prefix("*/").is_some_and(|wide| {
            narrow
                .split_once('/')
                .is_some_and(|(_, narrow)| narrow == wide)
        })
    };
    if covers(a, b) {
        Some(b.to_owned())
    } else if covers(b, a) {
        Some(a.to_owned())
    } else {
        same_or_any(a, b)
    }
}

/// A trailing `*` is all that begins so.
fn same_url(a: &str, b: &str) -> Option<String> {
    let covers = |wide: &str, narrow: &str| {
        wide.strip_suffix('*')
            .is_some_and(|prefix| narrow.starts_with(prefix))
    };
    if a == b || covers(b, a) {
        Some(a.to_owned())
    } else if covers(a, b) {
        Some(b.to_owned())
    } else {
        None
    }
}

const RESOURCE_VERBS: [Verb; 8] = [
    Verb::Get,
    Verb::List,
    Verb::Watch,
    Verb::Create,
    Verb::Update,
    Verb::Patch,
    Verb::Delete,
    Verb::DeleteCollection,
];
const SELF_REVIEWS: [(&str, &str); 3] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
];
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> ResourceRule {
        let strings = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        ResourceRule {
            verbs: strings(verbs),
            api_groups: strings(groups),
            resources: strings(resources),
            resource_names: strings(names),
        }
    }

    #[test]
    fn what_two_rules_have_in_common_is_a_rule() {
        let all = rule(&["*"], &["*"], &["*"], &[]);
        let pods = rule(&["get", "list"], &[""], &["pods", "pods/log"], &["a", "b"]);
        assert_eq!(all.and(&pods).unwrap(), pods);
        assert_eq!(pods.and(&all).unwrap(), pods);
        let scale = rule(&["*"], &["apps"], &["*/scale"], &[]);
        let deployments = rule(
            &["get", "update"],
            &["apps"],
            &["deployments", "deployments/scale"],
            &[],
        );
        assert_eq!(
            scale.and(&deployments).unwrap(),
            rule(&["get", "update"], &["apps"], &["deployments/scale"], &[])
        );
        assert_eq!(scale.and(&all).unwrap().resources, ["*/scale"]);
        assert_eq!(pods.and(&deployments), None);
        let other_name = rule(&["*"], &["*"], &["*"], &["c"]);
        assert_eq!(pods.and(&other_name), None);
        // An empty list matches nothing.
        assert_eq!(all.and(&rule(&["get"], &[], &["pods"], &[])), None);
    }

    #[test]
    fn nothing_is_said_twice() {
        let said = [
            rule(&["get"], &["", "apps"], &["pods"], &[]),
            rule(&["list", "get"], &[""], &["pods"], &[]),
            rule(&["get"], &[""], &["pods"], &["a"]),
            rule(&["get"], &[""], &["pods", "secrets"], &[]),
            rule(&["get", "patch"], &[""], &["secrets"], &["b", "a"]),
            rule(&["*", "get"], &["batch"], &["*"], &[]),
            rule(&["create"], &["batch"], &["jobs"], &[]),
        ];
        assert_eq!(
            merged(said.into_iter()),
            [
                rule(&["*"], &["batch"], &["*"], &[]),
                rule(&["get"], &["apps"], &["pods"], &[]),
                rule(&["get"], &[""], &["secrets"], &[]),
                rule(&["get", "list"], &[""], &["pods"], &[]),
                rule(&["get", "patch"], &[""], &["secrets"], &["a", "b"]),
            ]
        );
        let urls = |verbs: &[&str], urls: &[&str]| NonResourceRule {
            verbs: verbs.iter().map(|&verb| verb.into()).collect(),
            non_resource_urls: urls.iter().map(|&url| url.into()).collect(),
        };
        let said = [
            urls(&["get"], &["/api", "/api/*", "/healthz", "/version"]),
            urls(&["get"], &["/healthz", "/version", "/api/v1"]),
            urls(&["post"], &["/version"]),
        ];
        assert_eq!(
            merged_urls(said.into_iter()),
            [
                urls(&["get"], &["/api", "/api/*", "/healthz"]),
                urls(&["get", "post"], &["/version"]),
            ]
        );
    }

    #[test]
    fn urls_meet_at_the_narrower() {
        assert_eq!(same_url("/api/*", "/api/v1").as_deref(), Some("/api/v1"));
        assert_eq!(same_url("*", "/metrics").as_deref(), Some("/metrics"));
        assert_eq!(same_url("/a*", "/ab*").as_deref(), Some("/ab*"));
        assert_eq!(same_url("/a", "/b"), None);
        assert_eq!(same_url("/api/*", "/api"), None);
    }

    #[test]
    fn attributes_become_what_the_contract_would_derive() {
        let attributes = |verb: &str, subresource: &str| ResourceAttributes {
            namespace: "a".into(),
            verb: verb.into(),
            resource: "pods".into(),
            subresource: subresource.into(),
            ..ResourceAttributes::default()
        };
        let one = |verb, subresource| attributes(verb, subresource).targets().remove(0);
        assert!(one("get", "").is_read);
        assert!(!one("delete", "").is_read);
        let proxy = one("get", "proxy");
        assert_eq!((proxy.verb, proxy.is_read), (Verb::Create, false));
        assert_eq!(attributes("*", "").targets().len(), 8);
        for verb in ["use", "bind", "post", "", "GET"] {
            assert!(attributes(verb, "").targets().is_empty(), "{verb}");
        }
    }
}
