//! Server-side apply and the bookkeeping of `metadata.managedFields`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::fields::{Difference, Set, item_key};
use crate::memory_cluster::clock;
use crate::memory_cluster::schema::{Field, ListKind, Shape};
use crate::memory_cluster::status::Refusal;

/// Who writes, and through which door.
#[derive(Debug, Clone)]
pub(in crate::memory_cluster) struct Writer {
    pub(in crate::memory_cluster) manager: String,
    pub(in crate::memory_cluster) api_version: String,
    pub(in crate::memory_cluster) subresource: String,
}

/// Writes into `after` who now holds which field.
pub(in crate::memory_cluster) fn track(
    before: Option<&Value>,
    after: &mut Value,
    schema: &Field,
    writer: &Writer,
) {
    let given = after["metadata"]
        .get("managedFields")
        .and_then(Value::as_array);
    let mut owners = match given {
        Some(list) if list.is_empty() || list == &[json!({})] => Vec::new(),
        Some(_) => Owner::read_all(after),
        None => before.map(Owner::read_all).unwrap_or_default(),
    };
    let (old, new) = (before.map(bare), bare(after));
    let difference = Difference::between(old.as_ref(), Some(&new), schema);
    let mine = |owner: &Owner| !owner.applied && owner.is(writer);
    for owner in owners.iter_mut().filter(|o| !mine(o)) {
        owner.set.subtract(&difference.changed);
        owner.set.subtract(&difference.removed);
    }
    if !owners.iter().any(mine) {
        owners.push(Owner::new(writer, false));
    }
    for owner in owners.iter_mut().filter(|o| mine(o)) {
        owner.set.union(&difference.changed);
        owner.set.subtract(&difference.removed);
        if !difference.changed.is_empty() || !difference.removed.is_empty() {
            owner.time = clock::now();
        }
    }
    write_owners(after, owners);
}

/// `live` after `writer` applied `configuration` to it.
///
/// # Errors
/// 409 with a cause per field that another manager holds, unless `force`.
pub(in crate::memory_cluster) fn apply(
    live: Option<&Value>,
    configuration: &Value,
    schema: &Field,
    writer: &Writer,
    force: bool,
) -> Result<Value, Refusal> {
    let wanted = bare(configuration);
    let wanted_set = Set::of(&wanted, schema);
    let current = live.map_or_else(|| json!({}), bare);
    let mut owners = live.map(Owner::read_all).unwrap_or_default();
    let mine = |owner: &Owner| owner.applied && owner.is(writer);
    let mut merged = merge(Some(&current), &wanted, schema);

    // What I held before and no longer ask for goes, unless somebody else holds it too.
    if let Some(last) = owners.iter().find(|o| mine(o)) {
        let mut gone = last.set.clone();
        gone.subtract(&wanted_set);
        let mut kept = wanted_set.clone();
        owners
            .iter()
            .filter(|o| !mine(o))
            .for_each(|o| kept.union(&o.set));
        remove(&mut merged, &gone, &kept, schema);
    }

    let difference = Difference::between(Some(&current), Some(&merged), schema);
    let mut conflicts = Vec::new();
    for owner in owners.iter_mut().filter(|o| !mine(o)) {
        let contested = owner.set.intersection(&difference.changed);
        if !contested.is_empty() {
            conflicts.extend(
                contested
                    .paths()
                    .into_iter()
                    .map(|path| (owner.shown(), path)),
            );
            owner.set.subtract(&contested);
        }
        owner.set.subtract_deep(&difference.removed);
    }
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }
    owners.retain(|o| !mine(o));
    let mut me = Owner::new(writer, true);
    me.set = wanted_set;
    if let Some(before) = live
        .map(Owner::read_all)
        .unwrap_or_default()
        .into_iter()
        .find(|o| mine(o))
        && before.set == me.set
        && difference.changed.is_empty()
        && difference.removed.is_empty()
    {
        me.time = before.time;
    }
    owners.push(me);

    restore_bare(live.unwrap_or(configuration), &mut merged);
    write_owners(&mut merged, owners);
    Ok(merged)
}

/// Whether two objects differ in more than the times of their managed fields.
pub(in crate::memory_cluster) fn same_but_for_times(a: &Value, b: &Value) -> bool {
    let without_times = |value: &Value| {
        let mut value = value.clone();
        for entry in value["metadata"]
            .get_mut("managedFields")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        // Times also decide the order.
        if let Some(list) = value["metadata"]
            .get_mut("managedFields")
            .and_then(Value::as_array_mut)
        {
            list.sort_by_key(Value::to_string);
        }
        value
    };
    a == b || without_times(a) == without_times(b)
}

/// One entry of `managedFields`.
#[derive(Debug)]
struct Owner {
    manager: String,
    applied: bool,
    api_version: String,
    subresource: String,
    time: String,
    set: Set,
}

impl Owner {
    fn new(writer: &Writer, applied: bool) -> Self {
        Self {
            manager: writer.manager.clone(),
            applied,
            api_version: writer.api_version.clone(),
            subresource: writer.subresource.clone(),
            time: clock::now(),
            set: Set::default(),
        }
    }

    fn is(&self, writer: &Writer) -> bool {
        self.manager == writer.manager
            && self.subresource == writer.subresource
            && (self.applied || self.api_version == writer.api_version)
    }

    fn read_all(object: &Value) -> Vec<Self> {
        let entries = object["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten();
        entries.filter_map(Self::read).collect()
    }

    fn read(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        Some(Self {
            manager: text("manager"),
            applied: text("operation") == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            set: Set::decode(&entry["fieldsV1"])?,
        })
    }

    fn write(&self) -> Value {
        let mut entry = json!({"manager": self.manager, "operation": if self.applied { "Apply" } else { "Update" },
            "apiVersion": self.api_version, "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": self.set.encode()});
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.clone().into();
        }
        entry
    }

    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.applied {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }
}

fn write_owners(object: &mut Value, mut owners: Vec<Owner>) {
    owners.retain(|o| !o.set.is_empty());
    owners.sort_by(|a, b| {
        let order = |o: &Owner| {
            (
                !o.applied,
                o.time.clone(),
                o.manager.clone(),
                o.api_version.clone(),
                o.subresource.clone(),
            )
        };
        order(a).cmp(&order(b))
    });
    // As Kubernetes, which folds the oldest updates together.
    while owners.iter().filter(|o| !o.applied).count() > MAX_UPDATERS {
        let Some(oldest) = owners.iter().position(|o| !o.applied) else {
            break;
        };
        let oldest = owners.remove(oldest);
        if let Some(heir) = owners.iter_mut().find(|o| !o.applied) {
            heir.set.union(&oldest.set);
            "ancient-changes".clone_into(&mut heir.manager);
        }
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if !owners.is_empty() {
            metadata.insert(
                "managedFields".into(),
                owners.iter().map(Owner::write).collect(),
            );
        }
    }
}

/// The object without what no manager can own.
fn bare(object: &Value) -> Value {
    let mut bare = object.clone();
    if let Some(map) = bare.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            SYSTEM_METADATA
                .iter()
                .for_each(|key| drop(metadata.remove(*key)));
            if metadata.is_empty() {
                map.remove("metadata");
            }
        }
    }
    bare
}

/// Puts back what [`bare`] took.
fn restore_bare(from: &Value, into: &mut Value) {
    for key in ["kind", "apiVersion"] {
        into[key] = from[key].clone();
    }
    if !into["metadata"].is_object() {
        into["metadata"] = json!({});
    }
    for key in SYSTEM_METADATA {
        if let Some(value) = from["metadata"].get(key) {
            into["metadata"][key] = value.clone();
        }
    }
}

fn merge(live: Option<&Value>, wanted: &Value, field: &Field) -> Value {
    match (live, wanted) {
        (Some(Value::Object(live)), Value::Object(wanted))
            if !field.is_atomic() || is_untyped(field) =>
        {
            let mut merged = live.clone();
            for (key, value) in wanted {
                let value = merge(live.get(key), value, field.child_or_any(key));
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (Some(Value::Array(live)), Value::Array(wanted)) if !field.is_atomic() => {
            merge_lists(live, wanted, field)
        }
        (_, wanted) => wanted.clone(),
    }
}

/// Objects nothing is known of merge by key, but are owned as a whole.
fn is_untyped(field: &Field) -> bool {
    matches!(field.shape(), Shape::Any) && !field.atomic
}

/// In the order wanted; what only `live` has keeps its place before what followed it.
fn merge_lists(live: &[Value], wanted: &[Value], field: &Field) -> Value {
    let keys: Vec<String> = live.iter().map(|item| item_key(item, field)).collect();
    let wanted_keys: Vec<String> = wanted.iter().map(|item| item_key(item, field)).collect();
    let mut merged: Vec<Value> = Vec::new();
    let mut next = 0;
    let mut copy_live_only = |until: usize, merged: &mut Vec<Value>| {
        while next < until {
            if !wanted_keys.contains(&keys[next]) {
                merged.push(live[next].clone());
            }
            next += 1;
        }
    };
    for (item, key) in wanted.iter().zip(&wanted_keys) {
        match keys.iter().position(|k| k == key) {
            Some(at) => {
                copy_live_only(at, &mut merged);
                merged.push(merge(Some(&live[at]), item, field.items()));
            }
            None => merged.push(item.clone()),
        }
    }
    copy_live_only(live.len(), &mut merged);
    Value::Array(merged)
}

/// Takes the fields of `gone` out of `value`, but for those of `kept`.
fn remove(value: &mut Value, gone: &Set, kept: &Set, field: &Field) {
    let none = Set::default();
    match value {
        Value::Object(map) => {
            for (key, gone) in &gone.children {
                let Some(name) = key.strip_prefix("f:") else {
                    continue;
                };
                match kept.children.get(key).filter(|k| !k.is_empty()) {
                    None if gone.member => {
                        map.remove(name);
                    }
                    kept => {
                        if let Some(child) = map.get_mut(name) {
                            remove(child, gone, kept.unwrap_or(&none), field.child_or_any(name));
                            let emptied = child.as_object().is_some_and(Map::is_empty)
                                || child.as_array().is_some_and(Vec::is_empty);
                            if emptied && kept.is_none() {
                                map.remove(name);
                            }
                        }
                    }
                }
            }
        }
        Value::Array(list) if field.list != ListKind::Atomic => {
            for (key, gone) in &gone.children {
                let Some(at) = list.iter().position(|item| item_key(item, field) == *key) else {
                    continue;
                };
                match kept.children.get(key).filter(|k| !k.is_empty()) {
                    None if gone.member => {
                        list.remove(at);
                    }
                    kept => remove(&mut list[at], gone, kept.unwrap_or(&none), field.items()),
                }
            }
        }
        _ => {}
    }
}

fn conflict(conflicts: &[(String, String)]) -> Refusal {
    let message = match conflicts {
        [(owner, path)] => format!("Apply failed with 1 conflict: conflict with {owner}: {path}"),
        many => {
            let mut lines: Vec<String> = Vec::new();
            let mut owners: Vec<&String> = many.iter().map(|(owner, _)| owner).collect();
            owners.sort();
            owners.dedup();
            for owner in owners {
                lines.push(format!("conflicts with {owner}:"));
                lines.extend(
                    many.iter()
                        .filter(|(o, _)| o == owner)
                        .map(|(_, path)| format!("- {path}")),
                );
            }
            format!(
                "Apply failed with {} conflicts: {}",
                many.len(),
                lines.join("\n")
            )
        }
    };
    let mut refusal = Refusal::new(StatusCode::CONFLICT, "Conflict", message);
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(owner, path)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {owner}"), "field": path})
        })
        .collect();
    refusal.details = Some(json!({ "causes": causes }));
    refusal
}

/// Set by the server; belongs to nobody.
const SYSTEM_METADATA: [&str; 11] = [
    "name",
    "namespace",
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];
const MAX_UPDATERS: usize = 10;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn writer(manager: &str) -> Writer {
        Writer {
            manager: manager.into(),
            api_version: "v1".into(),
            subresource: String::new(),
        }
    }

    fn config(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data})
    }

    fn schema() -> Field {
        Field::named("io.k8s.api.core.v1.ConfigMap")
    }

    fn applied(
        live: Option<&Value>,
        data: Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, Refusal> {
        apply(live, &config(data), &schema(), &writer(manager), force)
    }

    #[test]
    fn what_is_no_longer_asked_for_goes() {
        let one = applied(None, json!({"a": "1", "b": "1"}), "me", false).unwrap();
        let two = applied(Some(&one), json!({"a": "1"}), "me", false).unwrap();
        assert_eq!(two["data"], json!({"a": "1"}));
        assert_eq!(
            two["metadata"]["managedFields"].as_array().unwrap().len(),
            1
        );
    }

    #[test]
    fn shared_fields_stay_until_nobody_asks() {
        let one = applied(None, json!({"a": "1"}), "me", false).unwrap();
        let two = applied(Some(&one), json!({"a": "1", "b": "2"}), "you", false).unwrap();
        let three = applied(Some(&two), json!({}), "me", false).unwrap();
        assert_eq!(three["data"], json!({"a": "1", "b": "2"}));
        let four = applied(Some(&three), json!({"b": "2"}), "you", false).unwrap();
        assert_eq!(four["data"], json!({"b": "2"}));
    }

    #[test]
    fn anothers_field_is_a_conflict_until_forced() {
        let one = applied(None, json!({"a": "1", "b": "1"}), "me", false).unwrap();
        let refusal = applied(Some(&one), json!({"a": "2"}), "you", false).unwrap_err();
        assert_eq!(refusal.code, StatusCode::CONFLICT);
        assert_eq!(
            refusal.message,
            "Apply failed with 1 conflict: conflict with \"me\": .data.a"
        );
        let both = applied(Some(&one), json!({"a": "2", "b": "2"}), "you", false).unwrap_err();
        assert_eq!(
            both.message,
            "Apply failed with 2 conflicts: conflicts with \"me\":\n- .data.a\n- .data.b"
        );
        let forced = applied(Some(&one), json!({"a": "2"}), "you", true).unwrap();
        assert_eq!(forced["data"], json!({"a": "2", "b": "1"}));
        // I lost `a`: dropping it no longer removes it.
        let mine = applied(Some(&forced), json!({"b": "1"}), "me", false).unwrap();
        assert_eq!(mine["data"], json!({"a": "2", "b": "1"}));
    }

    #[test]
    fn updates_take_fields_over_and_are_named_with_their_version() {
        let one = applied(None, json!({"a": "1"}), "me", false).unwrap();
        let mut two = one.clone();
        two["data"]["a"] = "2".into();
        track(Some(&one), &mut two, &schema(), &writer("editor"));
        assert_eq!(
            two["metadata"]["managedFields"].as_array().unwrap().len(),
            1
        );
        let refusal = applied(Some(&two), json!({"a": "3"}), "me", false).unwrap_err();
        assert_eq!(
            refusal.message,
            "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.a"
        );
        let same = applied(Some(&two), json!({"a": "2"}), "me", false).unwrap();
        let again = applied(Some(&same), json!({"a": "2"}), "me", false).unwrap();
        assert!(same_but_for_times(&same, &again));
    }

    #[test]
    fn list_items_are_held_by_key() {
        let pod = Field::named("io.k8s.api.core.v1.Pod");
        let apply_pod = |live: Option<&Value>, containers: Value, manager: &str| {
            let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": containers}});
            apply(live, &object, &pod, &writer(manager), false).unwrap()
        };
        let one = apply_pod(None, json!([{"name": "a", "image": "1"}]), "me");
        let two = apply_pod(Some(&one), json!([{"name": "b", "image": "1"}]), "you");
        assert_eq!(two["spec"]["containers"].as_array().unwrap().len(), 2);
        let three = apply_pod(Some(&two), json!([{"name": "c", "image": "1"}]), "me");
        let names: Vec<&str> = three["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["c", "b"]);
    }
}
