//! Which kinds are served, under which names, with which verbs.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::crd::CustomKind;

/// One served resource of one version.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<String>,
    pub(super) subresources: Vec<Subresource>,
    /// Where its objects lie; versions and aliases of one resource share it.
    pub(super) storage: Arc<str>,
    /// Name of its OpenAPI definition; none for custom resources.
    pub(super) definition: Option<String>,
    /// What a CustomResourceDefinition says beyond the names.
    pub(super) custom: Option<CustomKind>,
}

/// A subresource as discovery names it.
#[derive(Debug, Clone)]
pub(super) struct Subresource {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) verbs: Vec<String>,
}

impl Resource {
    /// `pods`, `deployments.apps`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `v1`, `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    pub(super) fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    pub(super) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// A resource that is only ever posted: reviews.
    pub(super) fn is_virtual(&self) -> bool {
        !self.has_verb("get")
    }
}

/// `v1`, `apps/v1`.
pub(super) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// Everything that is served at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry {
    resources: Vec<Arc<Resource>>,
    by_path: HashMap<(String, String, String), Arc<Resource>>,
}

impl Registry {
    /// The built-in kinds followed by `custom`.
    pub(super) fn with_custom(custom: Vec<Resource>) -> Self {
        let mut registry = Self::default();
        for resource in BUILT_IN
            .iter()
            .cloned()
            .chain(custom.into_iter().map(Arc::new))
        {
            let key = (
                resource.group.clone(),
                resource.version.clone(),
                resource.plural.clone(),
            );
            if registry
                .by_path
                .insert(key, Arc::clone(&resource))
                .is_none()
            {
                registry.resources.push(resource);
            }
        }
        registry
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    pub(super) fn all(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// Groups in the order of discovery, each with its versions, the preferred one first.
    pub(super) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for resource in &self.resources {
            match groups.iter_mut().find(|(name, _)| *name == resource.group) {
                Some((_, versions)) => {
                    if !versions.contains(&resource.version) {
                        versions.push(resource.version.clone());
                    }
                }
                None => groups.push((resource.group.clone(), vec![resource.version.clone()])),
            }
        }
        groups
    }

    pub(super) fn of_version(&self, group: &str, version: &str) -> Vec<&Arc<Resource>> {
        self.resources
            .iter()
            .filter(|r| r.group == group && r.version == version)
            .collect()
    }
}

/// The kinds of Kubernetes itself, from its published discovery.
static BUILT_IN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(|| {
    let groups: Vec<GroupRow> = serde_json::from_str(include_str!("data/discovery.json"))
        .expect("the embedded discovery is well-formed");
    let mut resources = Vec::new();
    for group in groups {
        for version in group.versions {
            for row in version.resources {
                resources.push(Arc::new(built_in(&group.group, &version.version, row)));
            }
        }
    }
    resources
});

fn built_in(group: &str, version: &str, row: ResourceRow) -> Resource {
    let storage = match (group, row.resource.as_str()) {
        ("", plural) | ("events.k8s.io", plural) => plural.to_owned(),
        (group, plural) => format!("{plural}.{group}"),
    };
    let subresources = row
        .subresources
        .into_iter()
        .map(|s| Subresource {
            name: s.subresource,
            group: s.response_kind.group,
            version: s.response_kind.version,
            kind: s.response_kind.kind,
            verbs: s.verbs,
        })
        .collect();
    let kind = row.response_kind.kind;
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        list_kind: format!("{kind}List"),
        definition: Some(definition_name(group, version, &kind)),
        kind,
        plural: row.resource,
        singular: row.singular_resource,
        short_names: row.short_names,
        categories: row.categories,
        namespaced: row.scope == "Namespaced",
        verbs: row.verbs,
        subresources,
        storage: storage.into(),
        custom: None,
    }
}

/// The OpenAPI definition of a built-in kind.
pub(super) fn definition_name(group: &str, version: &str, kind: &str) -> String {
    match group {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        group => {
            let short = match group {
                "rbac.authorization.k8s.io" => "rbac",
                group => group.split('.').next().unwrap_or(group),
            };
            format!("io.k8s.api.{short}.{version}.{kind}")
        }
    }
}

#[derive(Deserialize)]
struct GroupRow {
    group: String,
    versions: Vec<VersionRow>,
}

#[derive(Deserialize)]
struct VersionRow {
    version: String,
    resources: Vec<ResourceRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRow {
    resource: String,
    response_kind: KindRow,
    scope: String,
    singular_resource: String,
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    subresources: Vec<SubresourceRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceRow {
    subresource: String,
    response_kind: KindRow,
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct KindRow {
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    kind: String,
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn every_built_in_kind_has_its_schema() {
        let registry = Registry::with_custom(Vec::new());
        assert!(registry.all().len() >= 42);
        for resource in registry.all() {
            let definition = resource.definition.as_deref().unwrap_or_default();
            assert!(schema::definition(definition).is_some(), "{definition}");
        }
    }

    #[test]
    fn aliases_share_their_storage() {
        let registry = Registry::with_custom(Vec::new());
        let storage = |g, v, r| registry.find(g, v, r).map(|r| Arc::clone(&r.storage));
        assert_eq!(
            storage("", "v1", "events"),
            storage("events.k8s.io", "v1", "events")
        );
        assert_eq!(
            storage("autoscaling", "v1", "horizontalpodautoscalers"),
            storage("autoscaling", "v2", "horizontalpodautoscalers")
        );
        assert!(storage("", "v1", "deployments").is_none());
    }
}
