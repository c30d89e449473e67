//! What an object must have to be stored: names, required fields, what may not change.

mod names;

use serde_json::{Value, json};

use super::kinds::Resource;
use super::status::Cause;
use names::{dns_label_problem, path_segment_problem, service_name_problem, subdomain_problem};

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

/// What is wrong with a change.
pub(super) fn updated(resource: &Resource, before: &Value, after: &Value) -> Vec<Cause> {
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

const STATEFUL_SET_MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

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

fn contents(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => pod_spec(spec, "spec", &["Always", "OnFailure", "Never"], causes),
        ("", "configmaps") => {
            for field in ["data", "binaryData"] {
                data_keys(&object[field], field, causes);
            }
        }
        ("", "secrets") => secret(object, causes),
        ("", "services") => service(spec, causes),
        ("", "replicationcontrollers") => {
            replicas(spec, causes);
            if spec["template"].is_null() {
                causes.push(Cause::required("spec.template", ""));
            } else {
                pod_spec(
                    &spec["template"]["spec"],
                    "spec.template.spec",
                    &["Always"],
                    causes,
                );
            }
        }
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => {
            replicas(spec, causes);
            selects_its_template(spec, causes);
            pod_spec(
                &spec["template"]["spec"],
                "spec.template.spec",
                &["Always"],
                causes,
            );
        }
        ("batch", "jobs") => {
            pod_spec(
                &spec["template"]["spec"],
                "spec.template.spec",
                &["OnFailure", "Never"],
                causes,
            );
        }
        ("batch", "cronjobs") => {
            let schedule = spec["schedule"].as_str().unwrap_or_default();
            if schedule.is_empty() {
                causes.push(Cause::required("spec.schedule", ""));
            } else if !is_schedule(schedule) {
                let found = schedule.split_whitespace().count();
                let why = format!("expected exactly 5 fields, found {found}: [{schedule}]");
                causes.push(Cause::invalid("spec.schedule", &spec["schedule"], why));
            }
            let template = &spec["jobTemplate"]["spec"]["template"]["spec"];
            pod_spec(
                template,
                "spec.jobTemplate.spec.template.spec",
                &["OnFailure", "Never"],
                causes,
            );
        }
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => {
            for (index, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
                rbac_rule(
                    rule,
                    &format!("rules[{index}]"),
                    resource.namespaced,
                    causes,
                );
            }
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            binding(resource, object, causes)
        }
        ("", "persistentvolumeclaims") => {
            if spec["accessModes"].as_array().is_none_or(Vec::is_empty) {
                causes.push(Cause::required(
                    "spec.accessModes",
                    "at least 1 access mode is required",
                ));
            }
            if spec["resources"]["requests"]["storage"].is_null() {
                causes.push(Cause::required("spec.resources[storage]", ""));
            }
        }
        ("", "persistentvolumes") => {
            if spec["accessModes"].as_array().is_none_or(Vec::is_empty) {
                causes.push(Cause::required("spec.accessModes", ""));
            }
            if spec["capacity"].is_null() {
                causes.push(Cause::required("spec.capacity", ""));
            }
        }
        ("networking.k8s.io", "ingresses")
            if spec["defaultBackend"].is_null()
                && spec["rules"].as_array().is_none_or(Vec::is_empty) =>
        {
            causes.push(Cause::invalid(
                "spec",
                &json!([]),
                "either `defaultBackend` or `rules` must be specified",
            ));
        }
        ("storage.k8s.io", "storageclasses")
            if object["provisioner"].as_str().is_none_or(str::is_empty) =>
        {
            causes.push(Cause::required("provisioner", ""));
        }
        ("autoscaling", "horizontalpodautoscalers") => {
            if spec["maxReplicas"].as_i64().unwrap_or(0) < 1 {
                let value = json!(spec["maxReplicas"].as_i64().unwrap_or(0));
                causes.push(Cause::invalid(
                    "spec.maxReplicas",
                    &value,
                    "must be greater than 0",
                ));
            }
            for field in ["kind", "name"] {
                if spec["scaleTargetRef"][field]
                    .as_str()
                    .is_none_or(str::is_empty)
                {
                    causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
                }
            }
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => custom_definition(object, causes),
        _ => {}
    }
}

fn replicas(spec: &Value, causes: &mut Vec<Cause>) {
    if spec["replicas"].as_i64().is_some_and(|n| n < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &spec["replicas"],
            "must be greater than or equal to 0",
        ));
    }
}

fn selects_its_template(spec: &Value, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    if !selector.is_object() {
        causes.push(Cause::required("spec.selector", ""));
        return;
    }
    let empty = |key: &str| match &selector[key] {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    if empty("matchLabels") && empty("matchExpressions") {
        causes.push(Cause::invalid(
            "spec.selector",
            &json!({}),
            "empty selector is invalid for deployment",
        ));
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if !super::selector::LabelSelector::from_object(selector).matches(labels) {
        let shown = if labels.is_null() {
            json!(null)
        } else {
            labels.clone()
        };
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &shown,
            "`selector` does not match template `labels`",
        ));
    }
}

fn pod_spec(spec: &Value, path: &str, policies: &[&str], causes: &mut Vec<Cause>) {
    let containers = spec["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                causes.push(Cause::required(format!("{path}.name"), ""));
            } else if let Some(problem) = dns_label_problem(name) {
                causes.push(Cause::invalid(
                    format!("{path}.name"),
                    &json!(name),
                    problem,
                ));
            } else if names.contains(&name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            } else {
                names.push(name);
            }
            if container["image"].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::required(format!("{path}.image"), ""));
            }
            for (at, port) in container["ports"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                port_number(
                    &port["containerPort"],
                    &format!("{path}.ports[{at}].containerPort"),
                    causes,
                );
            }
            volume_mounts(container, spec, &path, causes);
        }
    }
    let policy = spec["restartPolicy"].as_str().unwrap_or_default();
    if !policies.contains(&policy) {
        causes.push(match policy {
            "" => Cause::required(format!("{path}.restartPolicy"), ""),
            _ => Cause::unsupported(
                format!("{path}.restartPolicy"),
                &spec["restartPolicy"],
                policies,
            ),
        });
    }
    labels(
        &spec["nodeSelector"],
        &format!("{path}.nodeSelector"),
        causes,
    );
}

fn volume_mounts(container: &Value, spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (at, mount) in container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let known = spec["volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|v| v["name"] == mount["name"]);
        if !known {
            causes.push(Cause {
                reason: "FieldValueNotFound",
                message: format!("Not found: {}", mount["name"]),
                field: format!("{path}.volumeMounts[{at}].name"),
            });
        }
        if mount["mountPath"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(
                format!("{path}.volumeMounts[{at}].mountPath"),
                "",
            ));
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

fn pod_update(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
    let mut munged = after["spec"].clone();
    for list in ["containers", "initContainers"] {
        let old = before["spec"][list]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if let Some(new) = munged.get_mut(list).and_then(Value::as_array_mut) {
            for (new, old) in new.iter_mut().zip(old) {
                new["image"] = old["image"].clone();
            }
        }
    }
    for key in [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
    ] {
        match before["spec"].get(key) {
            Some(old) => munged[key] = old.clone(),
            None => drop(munged.as_object_mut().and_then(|m| m.remove(key))),
        }
    }
    if munged.as_object() != before["spec"].as_object() {
        causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
             tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}

fn data_keys(data: &Value, path: &str, causes: &mut Vec<Cause>) {
    for key in data.as_object().into_iter().flatten().map(|(key, _)| key) {
        let good = !key.is_empty()
            && key.len() <= 253
            && !matches!(key.as_str(), "." | "..")
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !good {
            causes.push(Cause::invalid(
                format!("{path}[{key}]"),
                &json!(key),
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            ));
        }
    }
}

fn secret(object: &Value, causes: &mut Vec<Cause>) {
    data_keys(&object["data"], "data", causes);
    let required: &[&str] = match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    };
    for key in required {
        if object["data"][*key].is_null() {
            causes.push(Cause::required(format!("data[{key}]"), ""));
        }
    }
}

fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let kind = spec["type"].as_str().unwrap_or_default();
    const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !TYPES.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", &spec["type"], &TYPES));
    }
    let ports = spec["ports"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if ports.is_empty() && kind != "ExternalName" && spec["clusterIP"] != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    if kind == "ExternalName" && spec["externalName"].as_str().is_none_or(str::is_empty) {
        causes.push(Cause::invalid(
            "spec.externalName",
            &json!(""),
            "may not be empty",
        ));
    }
    for (index, port) in ports.iter().enumerate() {
        port_number(&port["port"], &format!("spec.ports[{index}].port"), causes);
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
    }
}

fn rbac_rule(rule: &Value, path: &str, namespaced: bool, causes: &mut Vec<Cause>) {
    let empty = |key: &str| rule[key].as_array().is_none_or(Vec::is_empty);
    if empty("verbs") {
        causes.push(Cause::required(
            format!("{path}.verbs"),
            "verbs must contain at least one value",
        ));
    }
    if !empty("nonResourceURLs") {
        if namespaced {
            causes.push(Cause::invalid(
                format!("{path}.nonResourceURLs"),
                &rule["nonResourceURLs"],
                "namespaced rules cannot apply to non-resource URLs",
            ));
        }
        return;
    }
    if empty("apiGroups") {
        causes.push(Cause::required(
            format!("{path}.apiGroups"),
            "resource rules must supply at least one api group",
        ));
    }
    if empty("resources") {
        causes.push(Cause::required(
            format!("{path}.resources"),
            "resource rules must supply at least one resource",
        ));
    }
}

fn binding(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let reference = &object["roleRef"];
    let kinds: &[&str] = if resource.namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&reference["kind"].as_str().unwrap_or_default()) {
        causes.push(Cause::unsupported(
            "roleRef.kind",
            &json!(reference["kind"].as_str().unwrap_or_default()),
            kinds,
        ));
    }
    if reference["name"].as_str().is_none_or(str::is_empty) {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for (index, subject) in object["subjects"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let path = format!("subjects[{index}]");
        if subject["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        match subject["kind"].as_str() {
            Some("ServiceAccount") => {
                if subject["namespace"].as_str().is_none_or(str::is_empty) {
                    causes.push(Cause::required(format!("{path}.namespace"), ""));
                }
            }
            Some("User" | "Group") => {}
            _ => causes.push(Cause::unsupported(
                format!("{path}.kind"),
                &json!(subject["kind"].as_str().unwrap_or_default()),
                &["Group", "ServiceAccount", "User"],
            )),
        }
    }
}

fn custom_definition(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected = format!(
        "{}.{}",
        text(&spec["names"]["plural"]),
        text(&spec["group"])
    );
    if object["metadata"]["name"] != expected.as_str() {
        causes.push(Cause::invalid(
            "metadata.name",
            &object["metadata"]["name"],
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    for (path, value) in [
        ("spec.group", &spec["group"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.names.kind", &spec["names"]["kind"]),
    ] {
        if value.as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(path, ""));
        }
    }
    if !text(&spec["group"]).contains('.') {
        causes.push(Cause::invalid(
            "spec.group",
            &spec["group"],
            "should be a domain with at least one dot",
        ));
    }
    if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        causes.push(Cause::unsupported(
            "spec.scope",
            &json!(text(&spec["scope"])),
            &["Cluster", "Namespaced"],
        ));
    }
    let versions = spec["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if versions.iter().filter(|v| v["storage"] == true).count() != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            &spec["versions"],
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        if version["schema"]["openAPIV3Schema"].is_null() {
            causes.push(Cause::required(
                format!("spec.versions[{index}].schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
    }
}

/// Five fields, or one of the named schedules.
fn is_schedule(text: &str) -> bool {
    let text = text
        .strip_prefix("TZ=")
        .or_else(|| text.strip_prefix("CRON_TZ="))
        .map_or(text, |rest| {
            rest.split_once(' ').map_or("", |(_, rest)| rest)
        });
    if let Some(name) = text.strip_prefix('@') {
        return matches!(
            name,
            "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly"
        ) || name.starts_with("every ");
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-' | '?');
    fields.len() == 5 && fields.iter().all(|f| f.chars().all(allowed))
}

fn pointed<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(object, |value, key| value.get(key).unwrap_or(&Value::Null))
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
