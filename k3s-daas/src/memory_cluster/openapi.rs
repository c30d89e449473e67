//! OpenAPI v3 by group version, and v2 for those who read JSON.

mod protobuf;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::cluster::Cluster;
use super::kinds::{Registry, Resource};
use super::request::Request;
use super::schema::raw_definitions;
use super::server::Reply;
use super::status::Refusal;

/// The documents that were asked for, kept until kinds come or go.
#[derive(Debug, Default)]
pub(super) struct Documents(Mutex<HashMap<String, Arc<Document>>>);

#[derive(Debug)]
struct Document {
    body: Bytes,
    hash: String,
}

impl Documents {
    pub(super) fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn of(&self, key: &str, build: impl FnOnce() -> Value) -> Arc<Document> {
        if let Some(known) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
        {
            return Arc::clone(known);
        }
        let body = Bytes::from(build().to_string());
        let hash = hex::encode_upper(Sha256::digest(&body));
        let document = Arc::new(Document { body, hash });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.to_owned(), Arc::clone(&document));
        document
    }
}

/// Answers a path below `/openapi`.
pub(super) fn answer(cluster: &Cluster, request: &Request, path: &str) -> Result<Reply, Refusal> {
    let registry = cluster.registry();
    let document = match path {
        "/openapi/v2" if wants_protobuf(request) => {
            let body = protobuf::document(&registry);
            return Ok(Reply::bytes(StatusCode::OK, protobuf::MEDIA_TYPES[1], body));
        }
        "/openapi/v2" => {
            accept_json(request)?;
            cluster.documents.of(path, || version_2(&registry))
        }
        "/openapi/v3" => {
            let mut paths = Map::new();
            for (group, versions) in registry.groups() {
                for version in versions {
                    let relative = relative_path(&group, &version);
                    let url = format!(
                        "/openapi/v3/{relative}?hash={}",
                        index_hash(&registry, &group, &version)
                    );
                    paths.insert(relative, json!({"serverRelativeURL": url}));
                }
            }
            return Ok(Reply::json(StatusCode::OK, &json!({ "paths": paths })));
        }
        path => {
            let relative = path.trim_start_matches("/openapi/v3/");
            let (group, version) = match relative.split('/').collect::<Vec<_>>().as_slice() {
                ["api", version] => (String::new(), (*version).to_owned()),
                ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
                _ => return Ok(Reply::text(StatusCode::NOT_FOUND, "404 page not found\n")),
            };
            if registry.of_version(&group, &version).is_empty() {
                return Ok(Reply::text(StatusCode::NOT_FOUND, "404 page not found\n"));
            }
            accept_json(request)?;
            cluster
                .documents
                .of(relative, || version_3(&registry, &group, &version))
        }
    };
    let etag = format!("\"{}\"", document.hash);
    let known = request
        .headers
        .get("if-none-match")
        .and_then(|v| v.to_str().ok());
    let mut reply = if known == Some(etag.as_str()) {
        Reply::bytes(StatusCode::NOT_MODIFIED, "application/json", Bytes::new())
    } else {
        Reply::bytes(StatusCode::OK, "application/json", document.body.clone())
    };
    if let Ok(etag) = http::HeaderValue::from_str(&etag) {
        reply.headers.push((http::header::ETAG, etag));
    }
    reply
        .headers
        .push((http::header::VARY, http::HeaderValue::from_static("Accept")));
    Ok(reply)
}

fn wants_protobuf(request: &Request) -> bool {
    let accepted = request.headers.get_all(http::header::ACCEPT).iter();
    accepted
        .filter_map(|v| v.to_str().ok())
        .any(|v| protobuf::MEDIA_TYPES.iter().any(|t| v.contains(t)))
}

/// OpenAPI v3 is JSON only; clients that ask for protobuf alone fall back.
fn accept_json(request: &Request) -> Result<(), Refusal> {
    request.accepted(|_| false).map(drop)
}

fn relative_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// Names a version of a document without building it: it follows from its kinds.
fn index_hash(registry: &Registry, group: &str, version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    for resource in registry.of_version(group, version) {
        hash.update(format!("{}/{};", resource.plural, resource.kind));
        if let Some(custom) = &resource.custom {
            hash.update(custom.open_api.to_string());
        }
    }
    hex::encode_upper(hash.finalize())
}

fn version_3(registry: &Registry, group: &str, version: &str) -> Value {
    let resources = registry.of_version(group, version);
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    let mut wanted: Vec<String> = COMMON.iter().map(|n| (*n).to_owned()).collect();
    for resource in resources {
        wanted.extend(describe(resource, &mut schemas));
        add_paths(resource, &mut paths);
    }
    close_over(wanted, &mut schemas);
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths, "components": {"schemas": schemas}})
}

fn version_2(registry: &Registry) -> Value {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    let mut wanted: Vec<String> = COMMON.iter().map(|n| (*n).to_owned()).collect();
    for resource in registry.all() {
        wanted.extend(describe(resource, &mut schemas));
        add_paths(resource, &mut paths);
    }
    close_over(wanted, &mut schemas);
    let mut document = json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths, "definitions": schemas});
    downgrade(&mut document);
    document
}

/// The schemas a kind needs; those of custom kinds are added at once.
fn describe(resource: &Resource, schemas: &mut BTreeMap<String, Value>) -> Vec<String> {
    if let Some(custom) = &resource.custom {
        let mut schema = custom.open_api.clone();
        if !schema.is_object() {
            schema = json!({"type": "object"});
        }
        let meta = |kind: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/{META}.{kind}")}]});
        schema["properties"]["apiVersion"] = json!({"type": "string", "description": API_VERSION});
        schema["properties"]["kind"] = json!({"type": "string", "description": KIND});
        schema["properties"]["metadata"] = meta("ObjectMeta");
        let gvk = |kind: &str| json!([{"group": resource.group, "version": resource.version, "kind": kind}]);
        schema["x-kubernetes-group-version-kind"] = gvk(&resource.kind);
        let name = definition_of(resource);
        let list = json!({"type": "object", "required": ["items"], "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
            "properties": {"apiVersion": {"type": "string", "description": API_VERSION}, "kind": {"type": "string", "description": KIND},
                "metadata": meta("ListMeta"), "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{name}")}}},
            "x-kubernetes-group-version-kind": gvk(&resource.list_kind)});
        schemas.insert(format!("{name}List"), list);
        schemas.insert(name, schema);
        return vec![
            format!("{META}.ObjectMeta"),
            format!("{META}.ListMeta"),
            SCALE.to_owned(),
        ];
    }
    let definition = definition_of(resource);
    let mut wanted = vec![format!("{definition}List"), definition];
    if resource.subresource("scale").is_some() {
        wanted.push(SCALE.to_owned());
    }
    if resource.subresource("eviction").is_some() {
        wanted.push("io.k8s.api.policy.v1.Eviction".into());
        wanted.push("io.k8s.api.core.v1.Binding".into());
    }
    wanted
}

fn definition_of(resource: &Resource) -> String {
    resource.definition.clone().unwrap_or_else(|| {
        let reversed: Vec<&str> = resource.group.split('.').rev().collect();
        format!(
            "{}.{}.{}",
            reversed.join("."),
            resource.version,
            resource.kind
        )
    })
}

fn close_over(mut wanted: Vec<String>, schemas: &mut BTreeMap<String, Value>) {
    let definitions = raw_definitions();
    while let Some(name) = wanted.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        if let Some(schema) = definitions.get(&name) {
            references(schema, &mut wanted);
            schemas.insert(name, schema.clone());
        }
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value
                    .as_str()
                    .and_then(|v| v.strip_prefix("#/components/schemas/"))
                {
                    Some(name) if key == "$ref" => found.push(name.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn add_paths(resource: &Resource, paths: &mut Map<String, Value>) {
    let root = match resource.group.is_empty() {
        true => format!("/api/{}", resource.version),
        false => format!("/apis/{}/{}", resource.group, resource.version),
    };
    let namespaced = format!("{root}/namespaces/{{namespace}}/{}", resource.plural);
    let wide = format!("{root}/{}", resource.plural);
    let collection = if resource.namespaced {
        &namespaced
    } else {
        &wide
    };
    let name = definition_of(resource);
    let gvk = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let operation = |verb: &str, answer: &str| operation(verb, answer, &name, &gvk);
    let mut on_collection = json!({});
    let list = format!("{name}List");
    for (verb, method, answer) in [
        ("list", "get", &list),
        ("create", "post", &name),
        ("deletecollection", "delete", &list),
    ] {
        if resource.has_verb(verb) {
            on_collection[method] = operation(verb, answer);
        }
    }
    if resource.namespaced {
        on_collection["parameters"] = json!([path_parameter("namespace")]);
        if resource.has_verb("list") {
            paths.insert(wide.clone(), json!({"get": operation("list", &list)}));
        }
    }
    paths.insert(collection.clone(), on_collection);
    if resource.is_virtual() {
        return;
    }
    let parameters = || {
        let mut all = vec![path_parameter("name")];
        if resource.namespaced {
            all.push(path_parameter("namespace"));
        }
        all
    };
    let mut on_object = json!({ "parameters": parameters() });
    for (verb, method) in [
        ("get", "get"),
        ("update", "put"),
        ("patch", "patch"),
        ("delete", "delete"),
    ] {
        if resource.has_verb(verb) {
            on_object[method] = operation(verb, &name);
        }
    }
    paths.insert(format!("{collection}/{{name}}"), on_object);
    for subresource in &resource.subresources {
        let (definition, gvk) = match subresource.kind.as_str() {
            "Scale" => (
                SCALE.to_owned(),
                json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
            ),
            kind if kind == resource.kind => (name.clone(), gvk.clone()),
            _ => continue,
        };
        let mut item = json!({ "parameters": parameters() });
        for (verb, method) in [("get", "get"), ("update", "put"), ("patch", "patch")] {
            if subresource.verbs.iter().any(|v| v == verb) {
                item[method] = self::operation(verb, &definition, &definition, &gvk);
            }
        }
        paths.insert(format!("{collection}/{{name}}/{}", subresource.name), item);
    }
}

fn operation(verb: &str, answer: &str, body: &str, gvk: &Value) -> Value {
    let schema = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
    let action = match verb {
        "create" => "post",
        "update" => "put",
        verb => verb,
    };
    let mut operation = json!({
        "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk,
        "responses": {"200": {"description": "OK", "content": {"application/json": schema(answer), "application/yaml": schema(answer)}},
            "401": {"description": "Unauthorized"}},
    });
    let query = |names: &[&str]| -> Value {
        names.iter().map(|n| json!({"name": n, "in": "query", "schema": {"type": "string", "uniqueItems": true}})).collect()
    };
    match verb {
        "create" | "update" => {
            operation["requestBody"] = json!({"required": true, "content": {"*/*": schema(body)}});
            operation["parameters"] = query(&["dryRun", "fieldManager", "fieldValidation"]);
        }
        "patch" => {
            let patch = schema(&format!("{META}.Patch"));
            operation["requestBody"] = json!({"required": true, "content": {
                "application/json-patch+json": patch, "application/merge-patch+json": patch,
                "application/strategic-merge-patch+json": patch, "application/apply-patch+yaml": patch}});
            operation["parameters"] =
                query(&["dryRun", "fieldManager", "fieldValidation", "force"]);
        }
        "delete" | "deletecollection" => {
            operation["requestBody"] =
                json!({"content": {"*/*": schema(&format!("{META}.DeleteOptions"))}});
            operation["parameters"] = query(&[
                "dryRun",
                "gracePeriodSeconds",
                "orphanDependents",
                "propagationPolicy",
            ]);
        }
        "list" => {
            operation["parameters"] = query(&[
                "labelSelector",
                "fieldSelector",
                "limit",
                "continue",
                "resourceVersion",
                "watch",
            ]);
        }
        _ => {}
    }
    operation
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
}

/// Turns what differs between OpenAPI 3 and Swagger 2.
fn downgrade(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/definitions/");
            }
            if let Some(wrapped) = map
                .get("allOf")
                .and_then(|a| a[0]["$ref"].as_str())
                .map(str::to_owned)
            {
                map.remove("allOf");
                map.insert(
                    "$ref".into(),
                    wrapped
                        .replace("#/components/schemas/", "#/definitions/")
                        .into(),
                );
            }
            if map.get("format") == Some(&json!("int-or-string")) {
                map.remove("oneOf");
                map.insert("type".into(), "string".into());
            }
            if let Some(body) = map.remove("requestBody") {
                let schema = body["content"]
                    .as_object()
                    .and_then(|c| c.values().next())
                    .map(|c| c["schema"].clone());
                let parameter = json!({"name": "body", "in": "body", "schema": schema});
                if let Some(list) = map
                    .entry("parameters")
                    .or_insert_with(|| json!([]))
                    .as_array_mut()
                {
                    list.push(parameter);
                }
            }
            if let Some(content) = map.remove("content") {
                map.insert(
                    "schema".into(),
                    content["application/json"]["schema"].clone(),
                );
            }
            let in_query = map.get("in").is_some_and(|place| place != "body");
            if in_query && let Some(schema) = map.remove("schema") {
                map.insert("type".into(), schema["type"].clone());
            }
            map.values_mut().for_each(downgrade);
        }
        Value::Array(list) => list.iter_mut().for_each(downgrade),
        _ => {}
    }
}

/// What the documents say of themselves: the API they describe.
const VERSION: &str = "v1.35.2";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
const COMMON: [&str; 3] = [
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
];
const API_VERSION: &str =
    "APIVersion defines the versioned schema of this representation of an object.";
const KIND: &str = "Kind is a string value representing the REST resource this object represents.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_a_document_leads_somewhere() {
        let registry = Registry::with_custom(Vec::new());
        for (group, versions) in registry.groups() {
            for version in versions {
                let document = version_3(&registry, &group, &version);
                let mut found = Vec::new();
                references(&document, &mut found);
                assert!(!found.is_empty());
                for name in found {
                    assert!(
                        document["components"]["schemas"].get(&name).is_some(),
                        "{group}/{version}: {name}"
                    );
                }
            }
        }
    }
}
