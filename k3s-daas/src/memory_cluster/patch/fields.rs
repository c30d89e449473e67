//! Sets of fields: `FieldsV1` and the arithmetic of structured merge.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::memory_cluster::schema::{Field, ListKind, Shape};

/// A set of paths, as a trie; its keys are those of `FieldsV1` (`f:name`, `k:{…}`, `v:…`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// The path that leads here is in the set.
    pub(super) member: bool,
    pub(super) children: BTreeMap<String, Set>,
}

/// What differs between two objects.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Added or changed.
    pub(super) changed: Set,
    pub(super) removed: Set,
}

impl Set {
    fn leaf() -> Self {
        Self {
            member: true,
            children: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Set::is_empty)
    }

    /// The fields that applying `value` claims.
    pub(super) fn of(value: &Value, field: &Field) -> Self {
        match value {
            Value::Object(map) if !field.is_atomic() => {
                let mut set = Self::default();
                let is_map = matches!(field.shape(), Shape::Map(_));
                for (key, value) in map {
                    let mut child = Self::of(value, field.child_or_any(key));
                    let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                    child.member |= is_map || empty;
                    set.children.insert(format!("f:{key}"), child);
                }
                set
            }
            Value::Array(list) if !field.is_atomic() => {
                let mut set = Self::default();
                for item in list {
                    let mut child = Self::of(item, field.items());
                    child.member = true;
                    set.children.insert(item_key(item, field), child);
                }
                set
            }
            _ => Self::leaf(),
        }
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.member |= other.member;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (key, child) in &other.children {
            if let Some(mine) = self.children.get_mut(key) {
                mine.subtract(child);
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    /// As [`Set::subtract`], and nothing stays below what is subtracted.
    pub(super) fn subtract_deep(&mut self, other: &Self) {
        if other.member {
            *self = Self::default();
            return;
        }
        for (key, child) in &other.children {
            if let Some(mine) = self.children.get_mut(key) {
                mine.subtract_deep(child);
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut set = Self {
            member: self.member && other.member,
            children: BTreeMap::new(),
        };
        for (key, child) in &self.children {
            if let Some(theirs) = other.children.get(key) {
                let both = child.intersection(theirs);
                if !both.is_empty() {
                    set.children.insert(key.clone(), both);
                }
            }
        }
        set
    }

    /// `FieldsV1`.
    pub(super) fn encode(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".into(), json!({}));
        }
        for (key, child) in &self.children {
            map.insert(key.clone(), child.encode());
        }
        Value::Object(map)
    }

    /// Reads `FieldsV1`.
    pub(super) fn decode(value: &Value) -> Option<Self> {
        let mut set = Self::decode_child(value)?;
        set.member = false;
        Some(set)
    }

    fn decode_child(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let mut set = Self {
            member: map.is_empty() || map.contains_key("."),
            children: BTreeMap::new(),
        };
        for (key, value) in map.iter().filter(|(key, _)| *key != ".") {
            if !["f:", "k:", "v:", "i:"]
                .iter()
                .any(|prefix| key.starts_with(prefix))
            {
                return None;
            }
            set.children.insert(key.clone(), Self::decode_child(value)?);
        }
        Some(set)
    }

    /// The members as kube-apiserver writes paths: `.spec.containers[name="x"].image`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(prefix.to_owned());
        }
        for (key, child) in &self.children {
            child.collect_paths(&format!("{prefix}{}", shown_element(key)), paths);
        }
    }
}

impl Difference {
    /// What happened from `before` to `after`.
    pub(super) fn between(before: Option<&Value>, after: Option<&Value>, field: &Field) -> Self {
        let mut difference = Self::default();
        let (changed, removed) = compare(before, after, field, true);
        difference.changed = Set {
            member: false,
            ..changed
        };
        difference.removed = Set {
            member: false,
            ..removed
        };
        difference
    }
}

/// The key of a list's item in a set.
pub(super) fn item_key(item: &Value, field: &Field) -> String {
    match &field.list {
        ListKind::Map(keys) => {
            let mut sorted: Vec<&String> = keys.iter().collect();
            sorted.sort();
            let pairs: Vec<String> = sorted
                .into_iter()
                .map(|key| {
                    let value = item.get(key).filter(|v| !v.is_null());
                    let default = || field.items().child(key).and_then(|f| f.default.clone());
                    let value = value.cloned().or_else(default).unwrap_or_default();
                    format!("{}:{value}", Value::from(key.as_str()))
                })
                .collect();
            format!("k:{{{}}}", pairs.join(","))
        }
        _ => format!("v:{item}"),
    }
}

/// Added-or-changed and removed paths. `implicit`: everything above exists by value, so an
/// object that is not there yet is not news by itself.
fn compare(
    before: Option<&Value>,
    after: Option<&Value>,
    field: &Field,
    implicit: bool,
) -> (Set, Set) {
    let (mut changed, mut removed) = (Set::default(), Set::default());
    let is_container = |v: &Value| v.is_object() || v.is_array();
    let is_empty = |v: Option<&Value>| match v {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
        None => true,
    };
    let containers = before.is_none_or(is_container) && after.is_none_or(is_container);
    if !containers || field.is_atomic() || (is_empty(before) && is_empty(after)) {
        match (before, after) {
            (Some(_), None) => removed.member = true,
            (None, Some(Value::Object(_))) if implicit && is_empty(after) => {}
            (before, after) => changed.member = before != after,
        }
        return (changed, removed);
    }
    for (key, name) in keys_of(before, after, field) {
        let (old, new) = (child_of(before, &key, field), child_of(after, &key, field));
        let (child, child_implicit) = match name {
            Some(name) => {
                let child = field.child_or_any(name);
                let by_value =
                    child.by_value || matches!(name, "metadata" | "spec" | "status") && implicit;
                (child, implicit && (by_value || field.requires(name)))
            }
            None => (field.items(), false),
        };
        let (child_changed, child_removed) = compare(old, new, child, child_implicit);
        if !child_changed.is_empty() {
            changed.children.insert(key.clone(), child_changed);
        }
        if !child_removed.is_empty() {
            removed.children.insert(key, child_removed);
        }
    }
    match (before, after) {
        (None, Some(_)) if !implicit => changed.member = true,
        (Some(_), None) => removed.member = true,
        _ => {}
    }
    (changed, removed)
}

/// The set keys of both values, with the field name for those of objects.
fn keys_of<'a>(
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    field: &Field,
) -> BTreeMap<String, Option<&'a str>> {
    let mut keys = BTreeMap::new();
    for value in [before, after].into_iter().flatten() {
        match value {
            Value::Object(map) => {
                keys.extend(map.keys().map(|k| (format!("f:{k}"), Some(k.as_str()))))
            }
            Value::Array(list) => {
                keys.extend(list.iter().map(|item| (item_key(item, field), None)))
            }
            _ => {}
        }
    }
    keys
}

fn child_of<'a>(value: Option<&'a Value>, key: &str, field: &Field) -> Option<&'a Value> {
    match value? {
        Value::Object(map) => map.get(key.strip_prefix("f:")?),
        Value::Array(list) => list.iter().find(|item| item_key(item, field) == key),
        _ => None,
    }
}

fn shown_element(key: &str) -> String {
    if let Some(name) = key.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = key.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let keys: Map<String, Value> = key
        .strip_prefix("k:")
        .and_then(|k| serde_json::from_str(k).ok())
        .unwrap_or_default();
    let mut pairs: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.sort();
    format!("[{}]", pairs.join(","))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pod() -> Field {
        Field::named("io.k8s.api.core.v1.Pod")
    }

    #[test]
    fn sets_are_written_as_kubernetes_writes_them() {
        let value = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "x", "image": "i", "ports": [{"containerPort": 80}], "args": ["1"]}]}});
        let set = Set::of(&value, &pod());
        assert_eq!(
            set.encode(),
            json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"x\"}": {
                ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}})
        );
        assert_eq!(Set::decode(&set.encode()).unwrap(), set);
        assert!(Set::decode(&json!({"bogus": {}})).is_none());
    }

    #[test]
    fn a_creation_claims_what_it_adds() {
        let value = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "x", "image": "i", "resources": {}}]}});
        let difference = Difference::between(None, Some(&value), &pod());
        assert_eq!(
            difference.changed.encode(),
            json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:containers": {
                "k:{\"name\":\"x\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {}}}}})
        );
    }

    #[test]
    fn a_struct_that_go_holds_by_value_is_no_news() {
        let job = Field::named("io.k8s.api.batch.v1.Job");
        let value =
            json!({"spec": {"template": {"metadata": {}, "spec": {"securityContext": {}}}}});
        let difference = Difference::between(None, Some(&value), &job);
        assert_eq!(
            difference.changed.paths(),
            [".spec.template.spec.securityContext"]
        );
    }

    #[test]
    fn sets_add_up_and_take_away() {
        let pod = pod();
        let a = Set::of(&json!({"metadata": {"labels": {"a": "1", "b": "1"}}}), &pod);
        let b = Set::of(&json!({"metadata": {"labels": {"b": "1", "c": "1"}}}), &pod);
        assert_eq!(a.intersection(&b).paths(), [".metadata.labels.b"]);
        let mut difference = a.clone();
        difference.subtract(&b);
        assert_eq!(difference.paths(), [".metadata.labels.a"]);
        let mut all = a;
        all.union(&b);
        assert_eq!(all.paths().len(), 3);
        let changes = Difference::between(
            Some(&json!({"spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y"}]}})),
            Some(&json!({"spec": {"containers": [{"name": "x", "image": "2"}]}})),
            &pod,
        );
        assert_eq!(
            changes.changed.paths(),
            [".spec.containers[name=\"x\"].image"]
        );
        assert_eq!(
            changes.removed.paths(),
            [
                ".spec.containers[name=\"y\"]",
                ".spec.containers[name=\"y\"].name"
            ]
        );
    }
}
