//! Pieces of cells: how ports, selectors, addresses and counts are written.

use serde_json::{Value, json};

pub(super) fn external_address(spec: &Value, status: &Value) -> String {
    let external = items(&spec["externalIPs"])
        .map(text)
        .collect::<Vec<_>>()
        .join(",");
    match text(&spec["type"]) {
        "ClusterIP" | "NodePort" => or(&external, "<none>").to_owned(),
        "LoadBalancer" => {
            let balanced = addresses(&status["loadBalancer"]);
            let all: Vec<&str> = [balanced.as_str(), &external]
                .into_iter()
                .filter(|a| !a.is_empty())
                .collect();
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        _ => "<unknown>".into(),
    }
}

pub(super) fn addresses(balancer: &Value) -> String {
    let mut all: Vec<&str> = items(&balancer["ingress"])
        .map(|i| or(text(&i["ip"]), text(&i["hostname"])))
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}

pub(super) fn service_ports(spec: &Value) -> String {
    let port = |p: &Value| match p["nodePort"].as_i64().filter(|n| *n > 0) {
        Some(node) => format!("{}:{node}/{}", number(&p["port"]), text(&p["protocol"])),
        None => format!("{}/{}", number(&p["port"]), text(&p["protocol"])),
    };
    items(&spec["ports"])
        .map(port)
        .collect::<Vec<_>>()
        .join(",")
}

pub(super) fn hosts(rules: &Value) -> String {
    let total = items(rules).count();
    let named: Vec<&str> = items(rules)
        .map(|r| text(&r["host"]))
        .filter(|h| !h.is_empty())
        .take(3)
        .collect();
    match (named.len(), total) {
        (0, _) => "*".into(),
        (3, more) if more > 3 => format!("{} + {} more...", named.join(","), more - 3),
        _ => named.join(","),
    }
}

pub(super) fn endpoints(subsets: &Value) -> String {
    let mut all = Vec::new();
    for subset in items(subsets) {
        if items(&subset["ports"]).next().is_none() {
            all.extend(items(&subset["addresses"]).map(|a| text(&a["ip"]).to_owned()));
        }
        for port in items(&subset["ports"]) {
            all.extend(
                items(&subset["addresses"])
                    .map(|a| format!("{}:{}", text(&a["ip"]), number(&port["port"]))),
            );
        }
    }
    some(all.into_iter(), "<none>")
}

/// At most three of them, and how many more there are.
pub(super) fn some(all: impl Iterator<Item = String>, none: &str) -> String {
    let all: Vec<String> = all.collect();
    match all.len() {
        0 => none.to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}

pub(super) fn phase(object: &Value) -> &str {
    if object["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else {
        text(&object["status"]["phase"])
    }
}

pub(super) fn access_modes(modes: &Value) -> String {
    let has = |mode: &str| items(modes).any(|m| m == mode);
    [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ]
    .into_iter()
    .filter(|(mode, _)| has(mode))
    .map(|(_, short)| short)
    .collect::<Vec<_>>()
    .join(",")
}

pub(super) fn containers(template: &Value) -> (String, String) {
    let column = |key: &str| {
        items(&template["spec"]["containers"])
            .map(|c| text(&c[key]))
            .collect::<Vec<_>>()
            .join(",")
    };
    (column("name"), column("image"))
}

pub(super) fn labels(map: &Value) -> String {
    let all: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", text(v)))
        .collect();
    or(&all.join(","), "<none>").to_owned()
}

/// `metav1.FormatLabelSelector`.
pub(super) fn selector(selector: &Value) -> String {
    if !selector.is_object() {
        return "<none>".into();
    }
    let mut all: Vec<String> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", text(v)))
        .collect();
    for expression in items(&selector["matchExpressions"]) {
        let key = text(&expression["key"]);
        let values = items(&expression["values"])
            .map(text)
            .collect::<Vec<_>>()
            .join(",");
        all.push(match text(&expression["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    all.sort();
    or(&all.join(","), "<none>").to_owned()
}

pub(super) fn items(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

pub(super) fn number(value: &Value) -> Value {
    json!(value.as_i64().unwrap_or(0))
}

pub(super) fn count(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

pub(super) fn shown_or(value: &Value, otherwise: &str) -> String {
    match value {
        Value::Null => otherwise.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn join_dot(kind: &str, group: &str) -> String {
    if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    }
}

pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| {
        c.to_lowercase().collect::<String>() + chars.as_str()
    })
}
