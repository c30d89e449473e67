//! What may not change.

use serde_json::Value;

use super::created;
use super::workloads::pod_update;
use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::status::Cause;

/// What is wrong with a change.
pub(in crate::memory_cluster) fn updated(
    resource: &Resource,
    before: &Value,
    after: &Value,
) -> Vec<Cause> {
    let mut causes = created(resource, after);
    let mut fixed = |path: &str| {
        let (old, new) = (pointed(before, path), pointed(after, path));
        if old != new && !old.is_null() {
            causes.push(Cause::invalid(path, new, "field is immutable"));
        }
    };
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("apps", "deployments" | "replicasets" | "daemonsets") => fixed("spec.selector"),
        ("batch", "jobs") => {
            fixed("spec.selector");
            fixed("spec.template");
            fixed("spec.completionMode");
        }
        ("", "secrets") => fixed("type"),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings")
            if before["roleRef"] != after["roleRef"] =>
        {
            causes.push(Cause::invalid(
                "roleRef",
                &after["roleRef"],
                "cannot change roleRef",
            ));
        }
        ("scheduling.k8s.io", "priorityclasses") => fixed("value"),
        ("storage.k8s.io", "storageclasses") => {
            for field in [
                "provisioner",
                "parameters",
                "reclaimPolicy",
                "volumeBindingMode",
            ] {
                if before[field] != after[field] {
                    causes.push(Cause::forbidden(
                        field,
                        &format!("updates to {field} are forbidden."),
                    ));
                }
            }
        }
        ("", "pods") => pod_update(before, after, &mut causes),
        ("", "services") => {
            let kind = |o: &Value| o["spec"]["type"] == "ExternalName";
            if !kind(before) && !kind(after) {
                fixed("spec.clusterIP");
            }
        }
        ("", "persistentvolumeclaims") => {
            let bare = |o: &Value| {
                let mut spec = o["spec"].clone();
                if let Some(map) = spec.as_object_mut() {
                    for key in ["resources", "volumeName", "volumeAttributesClassName"] {
                        map.remove(key);
                    }
                }
                spec
            };
            if bare(before) != bare(after) {
                causes.push(Cause::forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
                ));
            }
        }
        ("apps", "statefulsets") => {
            let bare = |o: &Value| {
                let mut spec = o["spec"].clone();
                if let Some(map) = spec.as_object_mut() {
                    for key in STATEFUL_SET_MUTABLE {
                        map.remove(key);
                    }
                }
                spec
            };
            if bare(before) != bare(after) {
                causes.push(Cause::forbidden(
                    "spec",
                    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                     'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
                ));
            }
        }
        _ => {}
    }
    if before["immutable"] == true && resource.group.is_empty() {
        for field in ["data", "binaryData"] {
            if before[field] != after[field] {
                causes.push(Cause::forbidden(
                    field,
                    "field is immutable when `immutable` is set",
                ));
            }
        }
        if after["immutable"] != true {
            causes.push(Cause::forbidden(
                "immutable",
                "field is immutable when `immutable` is set",
            ));
        }
    }
    causes
}

fn pointed<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(object, |value, key| value.get(key).unwrap_or(&Value::Null))
}

const STATEFUL_SET_MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];
