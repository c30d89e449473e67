//! The named roles view, edit and admin.

use std::fmt;
use std::str::FromStr;

use super::policy::PolicyRule;

/// A named role with the rules of Kubernetes 1.35's default ClusterRole of that name.
///
/// Left out is what no request can derive to: `impersonate` of service accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Reads most objects, but neither secrets nor roles.
    View,
    /// Reads and writes most objects, secrets among them; runs commands in pods.
    Edit,
    /// What `edit` may, and grants rights through roles and role bindings.
    Admin,
}

/// Where a role holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// In all namespaces at once.
    Cluster,
    /// In these namespaces.
    Namespaces(Vec<String>),
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: [Self; 3] = [Self::View, Self::Edit, Self::Admin];

    /// The role's name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Admin => "admin",
        }
    }

    /// The rules that give this role within `scope`; those of an empty list of namespaces allow nothing.
    #[must_use]
    pub fn rules(&self, scope: &Scope) -> Vec<PolicyRule> {
        let namespaces = match scope {
            Scope::Cluster => vec!["*".to_owned()],
            Scope::Namespaces(namespaces) => namespaces.clone(),
        };
        let grants: &[&[Grant]] = match self {
            Self::View => &[VIEW],
            Self::Edit => &[VIEW, EDIT],
            Self::Admin => &[VIEW, EDIT, ADMIN],
        };
        grants
            .iter()
            .flat_map(|grants| grants.iter())
            .map(|grant| PolicyRule {
                verbs: owned(grant.verbs),
                api_groups: owned(grant.api_groups),
                resources: owned(grant.resources),
                namespaces: namespaces.clone(),
                ..PolicyRule::default()
            })
            .collect()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

/// A name that is no [`Role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role must be one of view, edit, admin")]
#[non_exhaustive]
pub struct UnknownRole;

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|&item| item.to_owned()).collect()
}

/// Verbs on resources.
struct Grant {
    api_groups: &'static [&'static str],
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const READ_WRITE: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];
const CREATE: &[&str] = &["create"];

/// `system:aggregate-to-view`.
const VIEW: &[Grant] = &[
    Grant {
        api_groups: &[""],
        resources: &[
            "bindings",
            "configmaps",
            "endpoints",
            "limitranges",
            "namespaces",
            "namespaces/status",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/log",
            "pods/status",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
            "serviceaccounts",
            "services",
            "services/status",
        ],
        verbs: READ,
    },
    Grant {
        api_groups: &["", "events.k8s.io"],
        resources: &["events"],
        verbs: READ,
    },
    Grant {
        api_groups: &["discovery.k8s.io"],
        resources: &["endpointslices"],
        verbs: READ,
    },
    Grant {
        api_groups: &["apps"],
        resources: &[
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ],
        verbs: READ,
    },
    Grant {
        api_groups: &["autoscaling"],
        resources: &[
            "horizontalpodautoscalers",
            "horizontalpodautoscalers/status",
        ],
        verbs: READ,
    },
    Grant {
        api_groups: &["batch"],
        resources: &["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
        verbs: READ,
    },
    Grant {
        api_groups: &["extensions"],
        resources: &[
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "ingresses",
            "ingresses/status",
            "networkpolicies",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "replicationcontrollers/scale",
        ],
        verbs: READ,
    },
    Grant {
        api_groups: &["policy"],
        resources: &["poddisruptionbudgets", "poddisruptionbudgets/status"],
        verbs: READ,
    },
    Grant {
        api_groups: &["networking.k8s.io"],
        resources: &["ingresses", "ingresses/status", "networkpolicies"],
        verbs: READ,
    },
    Grant {
        api_groups: &["resource.k8s.io"],
        resources: &[
            "resourceclaims",
            "resourceclaims/status",
            "resourceclaimtemplates",
        ],
        verbs: READ,
    },
];

/// `system:aggregate-to-edit`.
const EDIT: &[Grant] = &[
    Grant {
        api_groups: &[""],
        resources: &[
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "secrets",
            "services/proxy",
        ],
        verbs: READ,
    },
    Grant {
        api_groups: &[""],
        resources: &[
            "configmaps",
            "persistentvolumeclaims",
            "pods",
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "secrets",
            "serviceaccounts",
            "services",
            "services/proxy",
        ],
        verbs: WRITE,
    },
    Grant {
        api_groups: &[""],
        resources: &["pods/eviction", "serviceaccounts/token"],
        verbs: CREATE,
    },
    Grant {
        api_groups: &["", "events.k8s.io"],
        resources: &["events"],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["apps"],
        resources: &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["autoscaling"],
        resources: &["horizontalpodautoscalers"],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["batch"],
        resources: &["cronjobs", "jobs"],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["extensions"],
        resources: &[
            "daemonsets",
            "deployments",
            "deployments/rollback",
            "deployments/scale",
            "ingresses",
            "networkpolicies",
            "replicasets",
            "replicasets/scale",
            "replicationcontrollers/scale",
        ],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["policy"],
        resources: &["poddisruptionbudgets"],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["networking.k8s.io"],
        resources: &["ingresses", "networkpolicies"],
        verbs: WRITE,
    },
    Grant {
        api_groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: READ_WRITE,
    },
    Grant {
        api_groups: &["resource.k8s.io"],
        resources: &["resourceclaims", "resourceclaimtemplates"],
        verbs: WRITE,
    },
];

/// `system:aggregate-to-admin`.
const ADMIN: &[Grant] = &[
    Grant {
        api_groups: &["authorization.k8s.io"],
        resources: &["localsubjectaccessreviews"],
        verbs: CREATE,
    },
    Grant {
        api_groups: &["rbac.authorization.k8s.io"],
        resources: &["rolebindings", "roles"],
        verbs: READ_WRITE,
    },
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Method, Target, Verb, rules_allow};
    use super::*;

    /// (group, resource, verb) for each that Kubernetes' default ClusterRole of that name allows.
    fn kubernetes(role: Role) -> BTreeSet<(String, String, String)> {
        include_str!("../../tests/fixtures/default-cluster-roles.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|fields| fields[0] == role.as_str())
            .map(|fields| (fields[1].into(), fields[2].into(), fields[3].into()))
            .collect()
    }

    fn ours(role: Role) -> BTreeSet<(String, String, String)> {
        let mut allowed = BTreeSet::new();
        for rule in role.rules(&Scope::Cluster) {
            for group in &rule.api_groups {
                for resource in &rule.resources {
                    for verb in &rule.verbs {
                        allowed.insert((group.clone(), resource.clone(), verb.clone()));
                    }
                }
            }
        }
        allowed
    }

    #[test]
    fn roles_are_those_of_kubernetes() {
        for role in Role::ALL {
            let theirs = kubernetes(role);
            assert!(theirs.len() > 100);
            let ours = ours(role);
            let missing: Vec<_> = theirs.difference(&ours).collect();
            let impersonate = ("".into(), "serviceaccounts".into(), "impersonate".into());
            let left_out = if role == Role::View {
                vec![]
            } else {
                vec![&impersonate]
            };
            assert_eq!(missing, left_out, "{role} lacks these");
            let surplus: Vec<_> = ours.difference(&theirs).collect();
            assert!(surplus.is_empty(), "{role} has {surplus:?} too much");
        }
    }

    #[test]
    fn every_rule_is_valid() {
        for role in Role::ALL {
            for scope in [
                Scope::Cluster,
                Scope::Namespaces(vec!["a".into(), "b".into()]),
            ] {
                let rules = role.rules(&scope);
                for rule in &rules {
                    assert_eq!(rule.validate(), Ok(()), "{role} {rule:?}");
                    for verb in &rule.verbs {
                        verb.parse::<Verb>().unwrap();
                    }
                }
                // Well within what a token holds.
                assert!(bcs::to_bytes(&rules).unwrap().len() < 8_192);
            }
        }
    }

    #[test]
    fn a_role_allows_what_it_says_where_it_says() {
        let allows = |role: Role, scope: &Scope, method: Method, path: &str| {
            let target = Target::derive(method, path.as_bytes(), Some(b"")).unwrap();
            rules_allow(&role.rules(scope), &target, path.as_bytes())
        };
        let inside = Scope::Namespaces(vec!["a".into()]);
        let nowhere = Scope::Namespaces(Vec::new());
        let everyone = [true, true, true];
        let editors = [false, true, true];
        let admins = [false, false, true];
        let nobody = [false; 3];
        for (method, path, in_namespace, in_cluster) in [
            (Method::Get, "/api/v1/namespaces/a/pods", everyone, everyone),
            (Method::Get, "/api/v1/namespaces/a", everyone, everyone),
            (
                Method::Get,
                "/api/v1/namespaces/a/pods/x/log",
                everyone,
                everyone,
            ),
            (Method::Get, "/api/v1/namespaces/b/pods", nobody, everyone),
            (Method::Get, "/api/v1/pods", nobody, everyone),
            (Method::Get, "/api/v1/namespaces", nobody, everyone),
            (
                Method::Get,
                "/api/v1/namespaces/a/secrets/x",
                editors,
                editors,
            ),
            (Method::Post, "/api/v1/namespaces/a/pods", editors, editors),
            (Method::Post, "/api/v1/namespaces/b/pods", nobody, editors),
            (
                Method::Get,
                "/api/v1/namespaces/a/pods/x/exec",
                editors,
                editors,
            ),
            (
                Method::Post,
                "/api/v1/namespaces/a/pods/x/eviction",
                editors,
                editors,
            ),
            (
                Method::Delete,
                "/apis/apps/v1/namespaces/a/deployments",
                editors,
                editors,
            ),
            (
                Method::Patch,
                "/apis/apps/v1/namespaces/a/deployments/x/scale",
                editors,
                editors,
            ),
            (
                Method::Post,
                "/apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings",
                admins,
                admins,
            ),
            (
                Method::Get,
                "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles",
                admins,
                admins,
            ),
            (
                Method::Get,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                nobody,
                nobody,
            ),
            (
                Method::Put,
                "/api/v1/namespaces/a/pods/x/status",
                nobody,
                nobody,
            ),
            (Method::Post, "/api/v1/namespaces", nobody, nobody),
            (Method::Delete, "/api/v1/namespaces/a", nobody, nobody),
            (Method::Get, "/api/v1/nodes", nobody, nobody),
            (Method::Get, "/api/v1/nodes/n/proxy", nobody, nobody),
            (
                Method::Post,
                "/api/v1/namespaces/a/resourcequotas",
                nobody,
                nobody,
            ),
            (Method::Get, "/metrics", nobody, nobody),
        ] {
            for (index, role) in Role::ALL.into_iter().enumerate() {
                let allowed = allows(role, &inside, method, path);
                assert_eq!(allowed, in_namespace[index], "{role} in a: {method} {path}");
                let allowed = allows(role, &Scope::Cluster, method, path);
                assert_eq!(allowed, in_cluster[index], "{role}: {method} {path}");
                assert!(
                    !allows(role, &nowhere, method, path),
                    "{role}: {method} {path}"
                );
            }
        }
    }

    #[test]
    fn names_are_exact() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for text in ["", "View", "cluster-admin", "admin "] {
            assert_eq!(text.parse::<Role>(), Err(UnknownRole));
        }
    }
}
