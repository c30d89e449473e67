//! What fields a kind has: decoding, pruning, merge keys and list types all read this.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

/// The place of a value in its parent and what may stand there.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) shape: Shape,
    pub(super) list: ListKind,
    /// `x-kubernetes-patch-merge-key`.
    pub(super) merge_key: Option<String>,
    /// `x-kubernetes-patch-strategy` contains `merge`.
    pub(super) merges: bool,
    /// `x-kubernetes-patch-strategy` contains `retainKeys`.
    pub(super) retains_keys: bool,
    /// Maps and structs that one owner holds as a whole.
    pub(super) atomic: bool,
    /// What a missing list-map key stands for.
    pub(super) default: Option<Value>,
    /// A struct that Go holds by value: it is there even when nobody wrote it.
    pub(super) by_value: bool,
}

/// What kind of value it is.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// Anything at all, kept as it is.
    Any,
    Struct(Arc<Struct>),
    /// A named definition, looked up when needed: definitions may be recursive.
    Ref(Arc<str>),
    Map(Box<Field>),
    List(Box<Field>),
    String,
    Bytes,
    Int32,
    Int64,
    Double,
    Bool,
    IntOrString,
    Quantity,
    Time,
}

/// An object with known fields.
#[derive(Debug)]
pub(super) struct Struct {
    /// Go's name of the type, for messages.
    pub(super) name: String,
    pub(super) fields: HashMap<String, Field>,
    pub(super) required: Vec<String>,
    pub(super) atomic: bool,
    /// Unknown fields stay (`x-kubernetes-preserve-unknown-fields`).
    pub(super) open: bool,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListKind {
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What decoding noticed besides the value.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Paths of fields that the schema does not know; they were dropped.
    pub(super) unknown: Vec<String>,
    /// The first value of a wrong type, in Go's words.
    pub(super) mismatch: Option<String>,
    /// Every value of a wrong type.
    pub(super) wrong: Vec<WrongType>,
}

/// A value of a wrong type, in OpenAPI's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongType {
    pub(super) path: String,
    pub(super) wanted: &'static str,
    pub(super) found: &'static str,
}

impl Field {
    fn of(shape: Shape) -> Self {
        Self {
            shape,
            list: ListKind::Atomic,
            merge_key: None,
            merges: false,
            retains_keys: false,
            atomic: false,
            default: None,
            by_value: false,
        }
    }

    /// A value nothing is known of.
    pub(super) fn any() -> &'static Self {
        static ANY: LazyLock<Field> = LazyLock::new(|| Field::of(Shape::Any));
        &ANY
    }

    /// The root of the named definition.
    pub(super) fn named(definition: &str) -> Self {
        Self::of(Shape::Ref(definition.into()))
    }

    /// The shape behind references.
    pub(super) fn shape(&self) -> &Shape {
        match &self.shape {
            Shape::Ref(name) => definition(name).map_or(&Shape::Any, |d| d.shape()),
            shape => shape,
        }
    }

    /// The field's own schema of `key`, if it is an object that may have it.
    pub(super) fn child(&self, key: &str) -> Option<&Field> {
        match self.shape() {
            Shape::Struct(fields) => fields.fields.get(key),
            Shape::Map(value) => Some(value),
            _ => None,
        }
    }

    /// As [`Field::child`], with [`Field::any`] for what is not known.
    pub(super) fn child_or_any(&self, key: &str) -> &Field {
        self.child(key).unwrap_or_else(|| Self::any())
    }

    /// The schema of a list's items.
    pub(super) fn items(&self) -> &Field {
        match self.shape() {
            Shape::List(items) => items,
            _ => Self::any(),
        }
    }

    /// Whether an object of this shape must have `key`.
    pub(super) fn requires(&self, key: &str) -> bool {
        matches!(self.shape(), Shape::Struct(fields) if fields.required.iter().any(|r| r == key))
    }

    /// Owned as a whole in server-side apply.
    pub(super) fn is_atomic(&self) -> bool {
        match self.shape() {
            Shape::Struct(fields) => self.atomic || fields.atomic,
            Shape::Map(_) => self.atomic,
            Shape::List(_) => self.list == ListKind::Atomic,
            _ => true,
        }
    }

    /// Drops what the schema does not know, and empties that Go would not write back.
    pub(super) fn prune(&self, value: &mut Value) -> Findings {
        let mut findings = Findings::default();
        let mut walk = Walk {
            findings: &mut findings,
            path: String::new(),
            go_path: String::new(),
        };
        walk.visit(self, value, "");
        findings
    }
}

struct Walk<'a> {
    findings: &'a mut Findings,
    path: String,
    go_path: String,
}

impl Walk<'_> {
    fn visit(&mut self, field: &Field, value: &mut Value, owner: &str) {
        let shape = field.shape();
        match (shape, &mut *value) {
            (Shape::Any, _) | (_, Value::Null) => {}
            (Shape::Struct(fields), Value::Object(map)) => self.visit_struct(fields, map),
            (Shape::Map(item), Value::Object(map)) => {
                for (key, value) in map.iter_mut() {
                    self.step(key, |walk| walk.visit(item, value, owner));
                }
            }
            (Shape::List(item), Value::Array(values)) => {
                for (index, value) in values.iter_mut().enumerate() {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    self.visit(item, value, owner);
                    self.path.truncate(length);
                }
            }
            (Shape::IntOrString, Value::Number(n)) if n.is_i64() => {}
            (Shape::Quantity, Value::Number(n)) => {
                let text = n.to_string();
                *value = Value::String(text);
            }
            (Shape::Quantity, Value::String(text)) => {
                if !is_quantity(text) {
                    let message =
                        format!("quantities must match the regular expression '{QUANTITY}'");
                    self.mismatch(message, shape, value);
                }
            }
            (Shape::Time, Value::String(text)) => {
                if super::clock::parse(text).is_none() {
                    let message = format!(
                        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                    );
                    self.mismatch(message, shape, value);
                }
            }
            (Shape::Bytes, Value::String(text)) => {
                use base64::Engine as _;
                if base64::engine::general_purpose::STANDARD
                    .decode(text.as_bytes())
                    .is_err()
                {
                    let message = "illegal base64 data at input byte 0".to_owned();
                    self.mismatch(message, shape, value);
                }
            }
            (Shape::String | Shape::IntOrString, Value::String(_))
            | (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Double, Value::Number(_)) => {}
            (Shape::Int32, Value::Number(n))
                if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            (Shape::Int64, Value::Number(n)) if n.is_i64() => {}
            (Shape::Int32 | Shape::Int64, Value::Number(n)) if whole(n).is_some() => {
                if let Some(n) = whole(n) {
                    *value = n.into();
                }
            }
            (shape, value) => {
                let message = format!(
                    "json: cannot unmarshal {} into Go {}of type {}",
                    json_kind(value, shape),
                    if owner.is_empty() {
                        "value ".to_owned()
                    } else {
                        format!("struct field {owner}.{} ", self.go_path)
                    },
                    go_type(field)
                );
                self.mismatch(message, shape, value);
            }
        }
    }

    fn visit_struct(&mut self, fields: &Struct, map: &mut Map<String, Value>) {
        if !fields.open {
            let unknown: Vec<String> = map
                .keys()
                .filter(|k| !fields.fields.contains_key(*k))
                .cloned()
                .collect();
            for key in unknown {
                map.remove(&key);
                let dot = if self.path.is_empty() { "" } else { "." };
                self.findings
                    .unknown
                    .push(format!("{}{dot}{key}", self.path));
            }
        }
        map.retain(|_, value| !value.is_null());
        for (key, value) in map.iter_mut() {
            if let Some(field) = fields.fields.get(key) {
                let go_length = self.go_path.len();
                if !self.go_path.is_empty() {
                    self.go_path.push('.');
                }
                self.go_path.push_str(key);
                self.step(key, |walk| walk.visit(field, value, &fields.name));
                self.go_path.truncate(go_length);
            }
        }
        map.retain(|key, value| {
            let empty = match value {
                Value::Object(map) => map.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            !empty
                || fields.required.contains(key)
                || !fields
                    .fields
                    .get(key)
                    .is_some_and(|field| matches!(field.shape(), Shape::Map(_) | Shape::List(_)))
        });
    }

    fn step(&mut self, key: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
        visit(self);
        self.path.truncate(length);
    }

    fn mismatch(&mut self, message: String, wanted: &Shape, found: &Value) {
        self.findings.mismatch.get_or_insert(message);
        self.findings.wrong.push(WrongType {
            path: self.path.clone(),
            wanted: open_api_type(wanted),
            found: open_api_type_of(found),
        });
    }
}

/// The named definition of Kubernetes' API.
pub(super) fn definition(name: &str) -> Option<&'static Field> {
    DEFINITIONS.fields.get(name)
}

/// The definitions as published, for the OpenAPI documents.
pub(super) fn raw_definitions() -> &'static BTreeMap<String, Value> {
    &DEFINITIONS.raw
}

/// Reads an OpenAPI v3 schema; `go_name` names objects in messages.
pub(super) fn parse_schema(schema: &Value, go_name: &str) -> Field {
    let mut field = Field::of(parse_shape(schema, go_name));
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    field.merge_key = text("x-kubernetes-patch-merge-key").map(str::to_owned);
    let strategy = text("x-kubernetes-patch-strategy").unwrap_or_default();
    field.merges = strategy.split(',').any(|s| s == "merge");
    field.retains_keys = strategy.split(',').any(|s| s == "retainKeys");
    field.atomic = text("x-kubernetes-map-type") == Some("atomic");
    field.default = schema.get("default").filter(|d| !d.is_object()).cloned();
    field.by_value = schema.get("default").is_some_and(Value::is_object);
    field.list = match text("x-kubernetes-list-type") {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(
            schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .map(|keys| {
                    keys.iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default(),
        ),
        _ => ListKind::Atomic,
    };
    field
}

fn parse_shape(schema: &Value, go_name: &str) -> Shape {
    if let Some(reference) = reference(schema) {
        return Shape::Ref(reference.into());
    }
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    if flag("x-kubernetes-int-or-string") {
        return Shape::IntOrString;
    }
    let kind = schema.get("type").and_then(Value::as_str);
    match (kind, schema.get("format").and_then(Value::as_str)) {
        (_, Some("int-or-string")) => Shape::IntOrString,
        (Some("string"), Some("byte")) => Shape::Bytes,
        (Some("string"), Some("date-time")) => Shape::Time,
        (Some("string"), _) => Shape::String,
        (Some("integer"), Some("int32")) => Shape::Int32,
        (Some("integer"), _) => Shape::Int64,
        (Some("number"), _) => Shape::Double,
        (Some("boolean"), _) => Shape::Bool,
        (Some("array"), _) => Shape::List(Box::new(
            schema
                .get("items")
                .map_or_else(|| Field::of(Shape::Any), |s| parse_schema(s, go_name)),
        )),
        (Some("object") | None, _) => parse_object(
            schema,
            go_name,
            flag("x-kubernetes-preserve-unknown-fields"),
        ),
        _ => Shape::Any,
    }
}

fn parse_object(schema: &Value, go_name: &str, open: bool) -> Shape {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let fields = properties
            .iter()
            .map(|(key, schema)| (key.clone(), parse_schema(schema, key)))
            .collect();
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| {
                names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default();
        let atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
        return Shape::Struct(Arc::new(Struct {
            name: go_name.to_owned(),
            fields,
            required,
            atomic,
            open,
        }));
    }
    match schema.get("additionalProperties") {
        Some(values) if values.is_object() => Shape::Map(Box::new(parse_schema(values, go_name))),
        _ => Shape::Any,
    }
}

fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").and_then(Value::as_str);
    let wrapped = || {
        schema
            .get("allOf")?
            .as_array()?
            .first()?
            .get("$ref")?
            .as_str()
    };
    direct
        .or_else(wrapped)?
        .strip_prefix("#/components/schemas/")
}

struct Definitions {
    raw: BTreeMap<String, Value>,
    fields: HashMap<String, Field>,
}

static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
    let raw: BTreeMap<String, Value> = serde_json::from_str(include_str!("data/definitions.json"))
        .expect("the embedded definitions are well-formed");
    let fields = raw
        .iter()
        .map(|(name, schema)| {
            let short = name.rsplit('.').next().unwrap_or(name);
            let field = match short {
                "Quantity" => Field::of(Shape::Quantity),
                "Time" | "MicroTime" => Field::of(Shape::Time),
                _ => parse_schema(schema, short),
            };
            (name.clone(), field)
        })
        .collect();
    Definitions { raw, fields }
});

const QUANTITY: &str = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";

fn is_quantity(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.')
        .count();
    let number = &unsigned[..digits];
    if digits == 0 || number == "." || number.matches('.').count() > 1 {
        return false;
    }
    let suffix = &unsigned[digits..];
    if [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ]
    .contains(&suffix)
    {
        return true;
    }
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .map(|s| s.strip_prefix(['+', '-']).unwrap_or(s));
    exponent.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Whole numbers that came as `1.0` or `1e3`.
#[allow(clippy::cast_possible_truncation)] // the range is checked
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64()?;
    (float.fract() == 0.0 && float.abs() < 2_147_483_648.0).then_some(float as i64)
}

fn json_kind(value: &Value, wanted: &Shape) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(n) if matches!(wanted, Shape::Int32 | Shape::Int64) => format!("number {n}"),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}

/// The type or format that an OpenAPI schema has for it.
fn open_api_type(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any | Shape::Ref(_) | Shape::Struct(_) | Shape::Map(_) => "object",
        Shape::List(_) => "array",
        Shape::String | Shape::Quantity => "string",
        Shape::Bytes => "byte",
        Shape::Time => "date-time",
        Shape::Int32 | Shape::Int64 => "integer",
        Shape::Double => "number",
        Shape::Bool => "boolean",
        Shape::IntOrString => "integer,string",
    }
}

fn open_api_type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type(field: &Field) -> String {
    match field.shape() {
        Shape::Any | Shape::Ref(_) => "interface {}".into(),
        Shape::Struct(fields) => {
            let package = match &field.shape {
                Shape::Ref(name) => name.rsplit('.').nth(1).unwrap_or("v1").to_owned(),
                _ => "v1".to_owned(),
            };
            format!("{package}.{}", fields.name)
        }
        Shape::Map(item) => format!("map[string]{}", go_type(item)),
        Shape::List(item) => format!("[]{}", go_type(item)),
        Shape::String | Shape::Time | Shape::Quantity => "string".into(),
        Shape::Bytes => "[]uint8".into(),
        Shape::Int32 => "int32".into(),
        Shape::Int64 => "int64".into(),
        Shape::Double => "float64".into(),
        Shape::Bool => "bool".into(),
        Shape::IntOrString => "intstr.IntOrString".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Field {
        Field::named("io.k8s.api.apps.v1.Deployment")
    }

    #[test]
    fn unknown_fields_go_and_are_named() {
        let mut value = json!({"kind": "Deployment", "bogus": 1, "spec": {"replicas": 2, "template": {"spec": {
            "containers": [{"name": "a", "imagee": "x"}], "nodeSelector": {}, "securityContext": {}}}}});
        let findings = deployment().prune(&mut value);
        assert_eq!(
            findings.unknown,
            ["bogus", "spec.template.spec.containers[0].imagee"]
        );
        assert!(findings.mismatch.is_none());
        assert_eq!(
            value["spec"]["template"]["spec"],
            json!({"containers": [{"name": "a"}], "securityContext": {}})
        );
    }

    #[test]
    fn wrong_types_read_as_go_says_them() {
        let mut value = json!({"spec": {"replicas": "two"}});
        let found = deployment().prune(&mut value).mismatch.unwrap_or_default();
        assert_eq!(
            found,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
        let mut value = json!({"spec": {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}}}});
        let found = deployment().prune(&mut value).mismatch.unwrap_or_default();
        assert_eq!(
            found,
            "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"
        );
    }

    #[test]
    fn quantities_are_told_from_other_words() {
        for good in ["1", "0.5", "100m", "1Gi", "12e6", "1E-3", "+5", ".5"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "1 Gi", "x", "1gi", "1.2.3", ".", "1e", "--1"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    #[test]
    fn the_merge_keys_are_kubernetes_own() {
        let pod = Field::named("io.k8s.api.core.v1.PodSpec");
        let volumes = pod.child_or_any("volumes");
        assert_eq!(volumes.merge_key.as_deref(), Some("name"));
        assert!(volumes.merges && volumes.retains_keys);
        let ports = pod.child_or_any("containers").items().child_or_any("ports");
        assert_eq!(
            ports.list,
            ListKind::Map(vec!["containerPort".into(), "protocol".into()])
        );
        assert!(pod.child_or_any("nodeSelector").is_atomic());
        assert!(!pod.child_or_any("containers").is_atomic());
    }
}
