//! `/api`, `/apis` and their versions, aggregated and legacy.

use http::StatusCode;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::kinds::{Registry, Resource, Subresource, group_version};
use super::request::{Request, View};
use super::server::Reply;
use super::status::Refusal;

/// Answers a path of discovery, or says that there is nothing.
pub(super) fn answer(cluster: &Cluster, request: &Request, path: &str) -> Result<Reply, Refusal> {
    let registry = cluster.registry();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let document = match segments.as_slice() {
        ["api"] | ["apis"] => {
            let accepted = request.accepted(|v| matches!(v, View::Discovery { .. }))?;
            let core = segments[0] == "api";
            if let View::Discovery { beta } = accepted.view {
                return Ok(aggregated(&registry, core, beta));
            }
            if core {
                core_versions()
            } else {
                groups(&registry)
            }
        }
        ["api", version] => match resources(&registry, "", version) {
            Some(document) => document,
            None => return Ok(nothing()),
        },
        ["apis", group] => match registry
            .groups()
            .into_iter()
            .find(|(name, _)| name == group && !name.is_empty())
        {
            Some((name, versions)) => headed("APIGroup", group_value(&name, &versions)),
            None => return Ok(nothing()),
        },
        ["apis", group, version] if !group.is_empty() => match resources(&registry, group, version)
        {
            Some(document) => document,
            None => return Ok(nothing()),
        },
        [""] => root(&registry),
        _ => return Ok(nothing()),
    };
    let accepted = request.accepted(|_| false)?;
    Ok(Reply::encoded(
        StatusCode::OK,
        accepted.yaml,
        document.to_string().into_bytes(),
    ))
}

fn nothing() -> Reply {
    Reply::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn root(registry: &Registry) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for (group, versions) in registry.groups().into_iter().filter(|(g, _)| !g.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|v| format!("/apis/{group}/{v}")));
    }
    paths.extend(
        [
            "/healthz",
            "/livez",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned),
    );
    json!({ "paths": paths })
}

fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_value(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group_value(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|v| json!({"groupVersion": group_version(name, v), "version": v}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn headed(kind: &str, mut value: Value) -> Value {
    value["kind"] = kind.into();
    value["apiVersion"] = "v1".into();
    value
}

fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let of_version = registry.of_version(group, version);
    if of_version.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for resource in of_version {
        let mut row = json!({"name": resource.plural, "singularName": resource.singular, "kind": resource.kind,
            "namespaced": resource.namespaced, "verbs": resource.verbs});
        if !resource.short_names.is_empty() {
            row["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            row["categories"] = json!(resource.categories);
        }
        rows.push(row);
        for subresource in &resource.subresources {
            let mut row = json!({"name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
                "kind": subresource.kind, "namespaced": resource.namespaced, "verbs": subresource.verbs});
            if !subresource.version.is_empty() && subresource.group != resource.group {
                row["group"] = subresource.group.clone().into();
                row["version"] = subresource.version.clone().into();
            }
            rows.push(row);
        }
    }
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version(group, version), "resources": rows}))
}

fn aggregated(registry: &Registry, core: bool, beta: bool) -> Reply {
    let version = if beta { "v2beta1" } else { "v2" };
    let mut items = Vec::new();
    for (group, versions) in registry
        .groups()
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
    {
        let versions: Vec<Value> = versions
            .iter()
            .map(|version| {
                let rows: Vec<Value> = registry
                    .of_version(&group, version)
                    .into_iter()
                    .map(|r| aggregated_resource(r))
                    .collect();
                json!({"version": version, "freshness": "Current", "resources": rows})
            })
            .collect();
        let metadata = if core {
            json!({"creationTimestamp": null})
        } else {
            json!({"name": group, "creationTimestamp": null})
        };
        items.push(json!({"metadata": metadata, "versions": versions}));
    }
    let document = json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items});
    let content_type = if beta {
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    } else {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    };
    let mut reply = Reply::json(StatusCode::OK, &document);
    reply.content_type = content_type;
    reply
        .headers
        .push((http::header::VARY, http::HeaderValue::from_static("Accept")));
    reply
}

fn aggregated_resource(resource: &Resource) -> Value {
    let mut row = json!({
        "resource": resource.plural, "singularResource": resource.singular, "verbs": resource.verbs,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
    });
    if !resource.short_names.is_empty() {
        row["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        row["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        row["subresources"] = resource
            .subresources
            .iter()
            .map(|s| aggregated_subresource(resource, s))
            .collect();
    }
    row
}

fn aggregated_subresource(resource: &Resource, subresource: &Subresource) -> Value {
    let (group, version) = if subresource.version.is_empty() {
        (&resource.group, &resource.version)
    } else {
        (&subresource.group, &subresource.version)
    };
    json!({"subresource": subresource.name, "verbs": subresource.verbs,
        "responseKind": {"group": group, "version": version, "kind": subresource.kind}})
}
