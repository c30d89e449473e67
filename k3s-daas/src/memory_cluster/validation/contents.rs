//! What the content of each kind must have.

use serde_json::{Value, json};

use super::port_number;
use super::workloads::{is_schedule, pod_spec, replicas, selects_its_template};
use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::status::Cause;

pub(super) fn contents(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
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
