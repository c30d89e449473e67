//! The two kinds that are served in two shapes.

use serde_json::{Map, Value, json};

use super::kinds::Resource;

/// The object in the shape of `resource`, if that differs from the stored one.
pub(super) fn to_served(resource: &Resource, stored: &Value) -> Option<Value> {
    match (
        resource.group.as_str(),
        resource.version.as_str(),
        resource.plural.as_str(),
    ) {
        ("events.k8s.io", _, "events") => Some(rename(stored, EVENT_FIELDS)),
        ("autoscaling", "v1", "horizontalpodautoscalers") => Some(autoscaler_v1(stored)),
        _ => None,
    }
}

/// The stored shape of an object given in the shape of `resource`; its `apiVersion` is the
/// one of the stored shape.
pub(super) fn to_stored(resource: &Resource, mut served: Value) -> Value {
    match (
        resource.group.as_str(),
        resource.version.as_str(),
        resource.plural.as_str(),
    ) {
        ("events.k8s.io", _, "events") => {
            let reversed: Vec<(&str, &str)> = EVENT_FIELDS.iter().map(|(a, b)| (*b, *a)).collect();
            served = rename(&served, &reversed);
            served["apiVersion"] = "v1".into();
        }
        ("autoscaling", "v1", "horizontalpodautoscalers") => served = autoscaler_v2(served),
        _ => {}
    }
    served
}

/// Core name, events.k8s.io name.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &Value, names: &[(&str, &str)]) -> Value {
    let mut renamed = Map::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        let key = names
            .iter()
            .find(|(from, _)| from == key)
            .map_or(key.as_str(), |(_, to)| to);
        renamed.insert(key.to_owned(), value.clone());
    }
    Value::Object(renamed)
}

fn autoscaler_v1(stored: &Value) -> Value {
    let mut served = stored.clone();
    let mut rest = Vec::new();
    let metrics = served["spec"]
        .as_object_mut()
        .and_then(|s| s.remove("metrics"));
    for metric in metrics
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let cpu = metric["resource"]["name"] == "cpu"
            && metric["resource"]["target"]["averageUtilization"].is_i64();
        if cpu
            && served["spec"]
                .get("targetCPUUtilizationPercentage")
                .is_none()
        {
            served["spec"]["targetCPUUtilizationPercentage"] =
                metric["resource"]["target"]["averageUtilization"].clone();
        } else {
            rest.push(metric.clone());
        }
    }
    let behavior = served["spec"]
        .as_object_mut()
        .and_then(|s| s.remove("behavior"));
    for (key, value) in [
        ("metrics", (!rest.is_empty()).then(|| json!(rest))),
        ("behavior", behavior),
    ] {
        if let Some(value) = value {
            served["metadata"]["annotations"][format!("autoscaling.alpha.kubernetes.io/{key}")] =
                value.to_string().into();
        }
    }
    served
}

fn autoscaler_v2(mut served: Value) -> Value {
    served["apiVersion"] = "autoscaling/v2".into();
    let mut metrics = Vec::new();
    if let Some(percent) = served["spec"]
        .as_object_mut()
        .and_then(|s| s.remove("targetCPUUtilizationPercentage"))
    {
        metrics.push(json!({"type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}));
    }
    let mut kept = |key: &str| -> Option<Value> {
        let annotations = served["metadata"].get_mut("annotations")?.as_object_mut()?;
        let text = annotations.remove(&format!("autoscaling.alpha.kubernetes.io/{key}"))?;
        serde_json::from_str(text.as_str()?).ok()
    };
    if let Some(Value::Array(rest)) = kept("metrics") {
        metrics.extend(rest);
    }
    let behavior = kept("behavior");
    if !metrics.is_empty() {
        served["spec"]["metrics"] = metrics.into();
    }
    if let Some(behavior) = behavior {
        served["spec"]["behavior"] = behavior;
    }
    served
}
