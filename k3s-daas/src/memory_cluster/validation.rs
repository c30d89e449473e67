//! What an object must have to be stored: names, required fields, what may not change.

mod changes;
mod contents;
mod names;
mod workloads;

use serde_json::{Value, json};

use super::kinds::Resource;
use super::status::Cause;
use contents::contents;
use names::{dns_label_problem, path_segment_problem, service_name_problem, subdomain_problem};

pub(super) use changes::updated;
pub(super) use names::{label_value_problem, qualified_name_problem};

/// What is wrong with a new object.
pub(super) fn created(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata(resource, object, &mut causes);
    if resource.custom.is_none() {
        contents(resource, object, &mut causes);
    }
    causes
}

fn metadata(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        let problem = match (resource.group.as_str(), resource.plural.as_str()) {
            ("", "namespaces") => dns_label_problem(name),
            ("", "services") => service_name_problem(name),
            ("rbac.authorization.k8s.io", _) => path_segment_problem(name),
            _ => subdomain_problem(name),
        };
        if let Some(problem) = problem {
            causes.push(Cause::invalid("metadata.name", &json!(name), problem));
        }
    }
    labels(&metadata["labels"], "metadata.labels", causes);
    for key in metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k)
    {
        if let Some(problem) = qualified_name_problem(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), problem));
        }
    }
    let total: usize = metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| k.len() + v.as_str().map_or(0, str::len))
        .sum();
    if total > MAX_ANNOTATIONS {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes"),
            field: "metadata.annotations".into(),
        });
    }
}

fn labels(map: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in map.as_object().into_iter().flatten() {
        if let Some(problem) = qualified_name_problem(key) {
            causes.push(Cause::invalid(path, &json!(key), problem));
        }
        if let Some(problem) = label_value_problem(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(path, value, problem));
        }
    }
}

fn port_number(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value.as_i64() {
        None => causes.push(Cause::required(path, "")),
        Some(1..=65_535) => {}
        Some(_) => causes.push(Cause::invalid(
            path,
            value,
            "must be between 1 and 65535, inclusive",
        )),
    }
}

/// kube-apiserver's limit on all annotations of an object together.
const MAX_ANNOTATIONS: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::super::kinds::Registry;
    use super::*;

    fn causes(group: &str, version: &str, plural: &str, object: &Value) -> Vec<String> {
        let registry = Registry::with_custom(Vec::new());
        let found = registry
            .find(group, version, plural)
            .map(|r| created(r, object))
            .unwrap_or_default();
        found
            .into_iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn a_pod_needs_a_name_and_an_image() {
        let pod = json!({"metadata": {"name": "X_"}, "spec": {"restartPolicy": "Sometimes", "containers": [{"name": "a"}, {"name": "a", "image": "i"}]}});
        let found = causes("", "v1", "pods", &pod);
        assert!(
            found[0].starts_with(
                "metadata.name: Invalid value: \"X_\": a lowercase RFC 1123 subdomain"
            )
        );
        assert!(found.contains(&"spec.containers[0].image: Required value".into()));
        assert!(found.contains(&"spec.containers[1].name: Duplicate value: \"a\"".into()));
        assert_eq!(found.len(), 4);
        assert_eq!(
            causes(
                "",
                "v1",
                "pods",
                &json!({"metadata": {"name": "x"}, "spec": {"restartPolicy": "Always"}})
            ),
            ["spec.containers: Required value"]
        );
    }

    #[test]
    fn a_deployment_must_select_its_pods() {
        let mut deployment = json!({"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "c"}}, "spec": {"restartPolicy": "Always", "containers": [{"name": "a", "image": "i"}]}}}});
        assert_eq!(
            causes("apps", "v1", "deployments", &deployment),
            [
                "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"
            ]
        );
        deployment["spec"]["template"]["metadata"]["labels"]["a"] = "b".into();
        assert!(causes("apps", "v1", "deployments", &deployment).is_empty());
    }

    #[test]
    fn names_follow_the_kind() {
        assert!(causes("", "v1", "services", &json!({"metadata": {"name": "1a"}, "spec": {"type": "ClusterIP", "ports": [{"port": 1}]}})).len() == 1);
        assert!(
            causes(
                "rbac.authorization.k8s.io",
                "v1",
                "roles",
                &json!({"metadata": {"name": "system:x"}})
            )
            .is_empty()
        );
        assert!(
            causes(
                "",
                "v1",
                "configmaps",
                &json!({"metadata": {"name": "a/b"}})
            )
            .len()
                == 1
        );
        assert!(
            causes(
                "",
                "v1",
                "configmaps",
                &json!({"metadata": {"name": "a", "labels": {"a b": "c"}}})
            )
            .len()
                == 1
        );
        assert!(
            causes(
                "",
                "v1",
                "configmaps",
                &json!({"metadata": {"name": "a"}, "data": {"a b": "c"}})
            )
            .len()
                == 1
        );
    }
}
