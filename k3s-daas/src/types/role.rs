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
                api_groups: vec![grant.api_group.to_owned()],
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

/// Verbs on resources of one API group.
struct Grant {
    api_group: &'static str,
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
        api_group: "",
        resources: &[
            "bindings",
            "configmaps",
            "endpoints",
            "events",
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
        api_group: "discovery.k8s.io",
        resources: &["endpointslices"],
        verbs: READ,
    },
    Grant {
        api_group: "apps",
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
        api_group: "autoscaling",
        resources: &[
            "horizontalpodautoscalers",
            "horizontalpodautoscalers/status",
        ],
        verbs: READ,
    },
    Grant {
        api_group: "batch",
        resources: &["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
        verbs: READ,
    },
    Grant {
        api_group: "extensions",
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
        api_group: "policy",
        resources: &["poddisruptionbudgets", "poddisruptionbudgets/status"],
        verbs: READ,
    },
    Grant {
        api_group: "networking.k8s.io",
        resources: &["ingresses", "ingresses/status", "networkpolicies"],
        verbs: READ,
    },
];

/// `system:aggregate-to-edit`.
const EDIT: &[Grant] = &[
    Grant {
        api_group: "",
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
        api_group: "",
        resources: &[
            "configmaps",
            "events",
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
        api_group: "",
        resources: &["pods/eviction", "serviceaccounts/token"],
        verbs: CREATE,
    },
    Grant {
        api_group: "apps",
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
        api_group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: WRITE,
    },
    Grant {
        api_group: "batch",
        resources: &["cronjobs", "jobs"],
        verbs: WRITE,
    },
    Grant {
        api_group: "extensions",
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
        api_group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: WRITE,
    },
    Grant {
        api_group: "networking.k8s.io",
        resources: &["ingresses", "networkpolicies"],
        verbs: WRITE,
    },
    Grant {
        api_group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: READ_WRITE,
    },
];

/// `system:aggregate-to-admin`.
const ADMIN: &[Grant] = &[
    Grant {
        api_group: "authorization.k8s.io",
        resources: &["localsubjectaccessreviews"],
        verbs: CREATE,
    },
    Grant {
        api_group: "rbac.authorization.k8s.io",
        resources: &["rolebindings", "roles"],
        verbs: READ_WRITE,
    },
];
