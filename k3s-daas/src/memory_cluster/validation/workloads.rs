//! Pods, and what makes pods.

use serde_json::{Value, json};

use super::names::dns_label_problem;
use super::{labels, port_number};
use crate::memory_cluster::selector::LabelSelector;
use crate::memory_cluster::status::Cause;

pub(super) fn replicas(spec: &Value, causes: &mut Vec<Cause>) {
    if spec["replicas"].as_i64().is_some_and(|n| n < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &spec["replicas"],
            "must be greater than or equal to 0",
        ));
    }
}

pub(super) fn selects_its_template(spec: &Value, causes: &mut Vec<Cause>) {
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
    if !LabelSelector::from_object(selector).matches(labels) {
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

pub(super) fn pod_spec(spec: &Value, path: &str, policies: &[&str], causes: &mut Vec<Cause>) {
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

pub(super) fn pod_update(before: &Value, after: &Value, causes: &mut Vec<Cause>) {
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

/// Five fields, or one of the named schedules.
pub(super) fn is_schedule(text: &str) -> bool {
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
