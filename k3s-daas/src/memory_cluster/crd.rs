//! CustomResourceDefinitions: the kinds they add.

use serde_json::Value;

use super::kinds::{Resource, Subresource};
use super::schema::{self, Field};

/// What a definition says of its kind beyond the names.
#[derive(Debug)]
pub(super) struct CustomKind {
    /// The structural schema; everything if it has none.
    pub(super) schema: Field,
    /// The OpenAPI document of the schema, as written.
    pub(super) open_api: Value,
    pub(super) columns: Vec<CustomColumn>,
    pub(super) has_status: bool,
    pub(super) scale: Option<ScalePaths>,
}

/// `additionalPrinterColumns`.
#[derive(Debug)]
pub(super) struct CustomColumn {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i64,
    pub(super) path: String,
}

/// Where `/scale` finds its numbers.
#[derive(Debug)]
pub(super) struct ScalePaths {
    pub(super) spec: String,
    pub(super) status: String,
    pub(super) selector: Option<String>,
}

/// The served versions of one CustomResourceDefinition object, the storage version first.
pub(super) fn resources(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .map(|v| v.iter().map(text).collect())
            .unwrap_or_default()
    };
    let (group, plural, kind) = (
        text(&spec["group"]),
        text(&names["plural"]),
        text(&names["kind"]),
    );
    let mut versions: Vec<&Value> = spec["versions"]
        .as_array()
        .map(|v| v.iter().collect())
        .unwrap_or_default();
    versions.retain(|v| v["served"].as_bool() == Some(true));
    versions.sort_by_key(|v| v["storage"].as_bool() != Some(true));
    versions
        .into_iter()
        .map(|version| {
            let number = text(&version["name"]);
            let subresources = &version["subresources"];
            let scale = subresources.get("scale").map(|scale| ScalePaths {
                spec: text(&scale["specReplicasPath"]),
                status: text(&scale["statusReplicasPath"]),
                selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
            });
            let has_status = subresources.get("status").is_some();
            Resource {
                group: group.clone(),
                version: number.clone(),
                kind: kind.clone(),
                list_kind: names["listKind"]
                    .as_str()
                    .map_or_else(|| format!("{kind}List"), str::to_owned),
                plural: plural.clone(),
                singular: names["singular"]
                    .as_str()
                    .map_or_else(|| kind.to_lowercase(), str::to_owned),
                short_names: list(&names["shortNames"]),
                categories: list(&names["categories"]),
                namespaced: spec["scope"] == "Namespaced",
                verbs: VERBS.iter().map(|v| (*v).to_owned()).collect(),
                subresources: subresource_list(&group, &number, &kind, has_status, scale.is_some()),
                storage: format!("{plural}.{group}").into(),
                definition: None,
                custom: Some(CustomKind {
                    schema: custom_schema(&version["schema"]["openAPIV3Schema"], &kind),
                    open_api: version["schema"]["openAPIV3Schema"].clone(),
                    columns: columns(&version["additionalPrinterColumns"]),
                    has_status,
                    scale,
                }),
            }
        })
        .collect()
}

/// The value at a simple JSON path (`.spec.replicas`, `.metadata.labels['a.b/c']`, `.items[0].x`).
pub(super) fn at_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut current = object;
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']')?;
            current = match index.trim_matches(['\'', '"']) {
                key if key.len() != index.len() => current.get(key)?,
                number => current.get(number.parse::<usize>().ok()?)?,
            };
            rest = after.trim_start_matches('.');
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            current = current.get(&rest[..end])?;
            rest = rest[end..].trim_start_matches('.');
        }
    }
    Some(current)
}

/// Where the definitions themselves lie.
pub(super) const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";

const VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

fn subresource_list(
    group: &str,
    version: &str,
    kind: &str,
    status: bool,
    scale: bool,
) -> Vec<Subresource> {
    let verbs: Vec<String> = ["get", "patch", "update"].map(str::to_owned).into();
    let mut all = Vec::new();
    if status {
        all.push(Subresource {
            name: "status".into(),
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            verbs: verbs.clone(),
        });
    }
    if scale {
        all.push(Subresource {
            name: "scale".into(),
            group: "autoscaling".into(),
            version: "v1".into(),
            kind: "Scale".into(),
            verbs,
        });
    }
    all
}

/// The definition's schema with the fields every object has.
fn custom_schema(schema: &Value, kind: &str) -> Field {
    let mut schema = schema.clone();
    if schema.get("properties").is_none() {
        return Field::any().clone();
    }
    let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    schema["properties"]["apiVersion"] = serde_json::json!({"type": "string"});
    schema["properties"]["kind"] = serde_json::json!({"type": "string"});
    schema["properties"]["metadata"] = serde_json::json!({"$ref": meta});
    schema::parse_schema(&schema, kind)
}

fn columns(columns: &Value) -> Vec<CustomColumn> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parse = |column: &Value| CustomColumn {
        name: text(&column["name"]),
        kind: text(&column["type"]),
        format: text(&column["format"]),
        description: text(&column["description"]),
        priority: column["priority"].as_i64().unwrap_or(0),
        path: text(&column["jsonPath"]),
    };
    columns
        .as_array()
        .map(|c| c.iter().map(parse).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_into_maps_lists_and_quoted_keys() {
        let object = json!({"a": {"b.c/d": 1, "e": [{"f": 2}]}});
        assert_eq!(at_path(&object, ".a['b.c/d']"), Some(&json!(1)));
        assert_eq!(at_path(&object, ".a.e[0].f"), Some(&json!(2)));
        assert_eq!(at_path(&object, ".a.x"), None);
        assert_eq!(at_path(&object, ".a.e[7]"), None);
    }
}
