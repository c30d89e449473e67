//! Strategic merge patch: lists merge by the keys the schema names.

use serde_json::{Map, Value};

use super::bad_patch;
use crate::memory_cluster::schema::Field;
use crate::memory_cluster::status::Refusal;

/// `live` with `patch` on it.
pub(super) fn patch(live: &Value, patch: &Value, schema: &Field) -> Result<Value, Refusal> {
    merge_value(Some(live), patch, schema)
}

fn merge_value(live: Option<&Value>, patch: &Value, field: &Field) -> Result<Value, Refusal> {
    match (live, patch) {
        (Some(Value::Object(live)), Value::Object(patch)) => merge_map(live, patch, field),
        // Directives of a value that is new have nothing to act on.
        (_, Value::Object(patch)) => merge_map(&Map::new(), patch, field),
        (live, Value::Array(patch)) => {
            let live = live
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            merge_list(live, patch, field)
        }
        (_, patch) => Ok(patch.clone()),
    }
}

fn merge_map(
    live: &Map<String, Value>,
    patch: &Map<String, Value>,
    field: &Field,
) -> Result<Value, Refusal> {
    match patch.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()) {
        Some("replace") => return Ok(Value::Object(without_directives(patch))),
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some("merge") | None => {}
        Some(other) => return Err(unknown_directive(other)),
    }
    let mut merged = live.clone();
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        let retained = retained
            .as_array()
            .ok_or_else(|| bad_patch(&"$retainKeys is not a list"))?;
        merged.retain(|key, _| retained.iter().any(|r| r == key));
    }
    let none = Vec::new();
    for (key, value) in patch {
        if key == DIRECTIVE
            || key == RETAIN_KEYS
            || key.starts_with(SET_ORDER)
            || key.starts_with(DELETE_PRIMITIVES)
        {
            continue;
        }
        let child = field.child_or_any(key);
        match value {
            Value::Null => {
                merged.remove(key);
            }
            Value::Object(inner) if inner.get(DIRECTIVE).is_some_and(|d| d == "delete") => {
                merged.remove(key);
            }
            value => {
                let value = merge_value(merged.get(key), value, child)?;
                merged.insert(key.clone(), value);
            }
        }
    }
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix(DELETE_PRIMITIVES) {
            let gone = value
                .as_array()
                .ok_or_else(|| bad_patch(&"$deleteFromPrimitiveList is not a list"))?;
            if let Some(Value::Array(list)) = merged.get_mut(name) {
                list.retain(|item| !gone.contains(item));
            }
        }
    }
    for (key, order) in patch {
        if let Some(name) = key.strip_prefix(SET_ORDER) {
            let order = order
                .as_array()
                .ok_or_else(|| bad_patch(&"$setElementOrder is not a list"))?;
            let patched = patch.get(name).and_then(Value::as_array).unwrap_or(&none);
            let child = field.child_or_any(name);
            check_order(order, patched, child, name)?;
            if let Some(Value::Array(list)) = merged.get_mut(name) {
                *list = reorder(std::mem::take(list), order, child);
            }
        }
    }
    Ok(Value::Object(merged))
}

fn merge_list(live: &[Value], patch: &[Value], field: &Field) -> Result<Value, Refusal> {
    let replace = patch
        .iter()
        .any(|item| item.get(DIRECTIVE).is_some_and(|d| d == "replace"));
    if !field.merges || replace {
        let kept = patch
            .iter()
            .filter(|item| !is_bare_directive(item))
            .map(cleaned);
        return Ok(Value::Array(kept.collect()));
    }
    let Some(merge_key) = &field.merge_key else {
        // A set of primitives.
        let mut merged = live.to_vec();
        for item in patch {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(Value::Array(merged));
    };
    let items = field.items();
    let mut merged = live.to_vec();
    for item in patch {
        let Value::Object(map) = item else {
            return Err(bad_patch(&"items of a merged list must be objects"));
        };
        let Some(key) = map.get(merge_key) else {
            return Err(Refusal::bad_request(format!(
                "map: {item} does not contain declared merge key: {merge_key}"
            )));
        };
        let at = merged.iter().position(|m| m.get(merge_key) == Some(key));
        match (
            map.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()),
            at,
        ) {
            (Some("delete"), _) => merged.retain(|m| m.get(merge_key) != Some(key)),
            (Some("replace"), Some(at)) => merged[at] = Value::Object(without_directives(map)),
            (Some(other), _) if !matches!(other, "merge" | "replace") => {
                return Err(unknown_directive(other));
            }
            (_, Some(at)) => merged[at] = merge_value(Some(&merged[at]), item, items)?,
            (_, None) => merged.push(merge_value(None, item, items)?),
        }
    }
    Ok(Value::Array(merged))
}

/// Items named by `order` come in that order; the others keep their place relative to the
/// item before them.
fn reorder(list: Vec<Value>, order: &[Value], field: &Field) -> Vec<Value> {
    let rank = |item: &Value| match &field.merge_key {
        Some(key) => order
            .iter()
            .position(|o| o.get(key).is_some() && o.get(key) == item.get(key)),
        None => order.iter().position(|o| o == item),
    };
    let mut ordered: Vec<(usize, Value)> = Vec::new();
    let mut others: Vec<(usize, Value)> = Vec::new();
    for (index, item) in list.into_iter().enumerate() {
        match rank(&item) {
            Some(rank) => ordered.push((rank, item)),
            None => others.push((index, item)),
        }
    }
    ordered.sort_by_key(|(rank, _)| *rank);
    let mut result: Vec<Value> = ordered.into_iter().map(|(_, item)| item).collect();
    for (index, item) in others {
        result.insert(index.min(result.len()), item);
    }
    result
}

fn check_order(
    order: &[Value],
    patched: &[Value],
    field: &Field,
    name: &str,
) -> Result<(), Refusal> {
    let named = |item: &Value| match &field.merge_key {
        Some(key) => {
            item.get(DIRECTIVE)
                .is_some_and(|d| d == "delete" || d == "replace")
                || order
                    .iter()
                    .any(|o| o.get(key).is_some() && o.get(key) == item.get(key))
        }
        None => order.contains(item),
    };
    if field.merges && !patched.iter().all(named) {
        return Err(Refusal::bad_request(format!(
            "The order in patch list:\n{}\n doesn't match {SET_ORDER}{name} list:\n{}",
            Value::from(patched.to_vec()),
            Value::from(order.to_vec())
        )));
    }
    Ok(())
}

fn is_bare_directive(item: &Value) -> bool {
    item.as_object()
        .is_some_and(|map| map.len() == 1 && map.contains_key(DIRECTIVE))
}

fn cleaned(item: &Value) -> Value {
    match item {
        Value::Object(map) => Value::Object(without_directives(map)),
        other => other.clone(),
    }
}

fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
        .map(|(key, value)| (key.clone(), cleaned(value)))
        .collect()
}

fn unknown_directive(directive: &str) -> Refusal {
    Refusal::bad_request(format!("Unknown patch type found: {directive}"))
}

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn on_pod(live: Value, change: Value) -> Result<Value, Refusal> {
        patch(&live, &change, &Field::named("io.k8s.api.core.v1.Pod"))
    }

    fn containers(names: &[&str]) -> Value {
        names
            .iter()
            .map(|n| json!({"name": n, "image": "old"}))
            .collect()
    }

    #[test]
    fn containers_merge_by_name() {
        let live = json!({"spec": {"containers": containers(&["a", "b"])}});
        let patched = on_pod(
            live,
            json!({"spec": {"containers": [{"name": "b", "image": "new"}, {"name": "c"}]}}),
        )
        .unwrap();
        assert_eq!(
            patched["spec"]["containers"],
            json!([{"name": "a", "image": "old"}, {"name": "b", "image": "new"}, {"name": "c"}])
        );
    }

    #[test]
    fn directives_delete_replace_and_retain() {
        let live = json!({"spec": {"containers": containers(&["a", "b"]), "nodeSelector": {"x": "y"},
            "volumes": [{"name": "v", "emptyDir": {}}]}, "metadata": {"finalizers": ["f", "g"]}});
        let patched = on_pod(
            live.clone(),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}], "nodeSelector": {"$patch": "replace", "z": "1"},
                "volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]},
                "metadata": {"$deleteFromPrimitiveList/finalizers": ["f"], "finalizers": ["h"]}}),
        )
        .unwrap();
        assert_eq!(patched["spec"]["containers"], containers(&["b"]));
        assert_eq!(patched["spec"]["nodeSelector"], json!({"z": "1"}));
        assert_eq!(
            patched["spec"]["volumes"],
            json!([{"name": "v", "hostPath": {"path": "/"}}])
        );
        assert_eq!(patched["metadata"]["finalizers"], json!(["g", "h"]));
        let replaced = on_pod(
            live,
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "z", "image": "i"}]}}),
        )
        .unwrap();
        assert_eq!(
            replaced["spec"]["containers"],
            json!([{"name": "z", "image": "i"}])
        );
    }

    #[test]
    fn element_order_is_set_and_checked() {
        let live = json!({"spec": {"containers": containers(&["a", "b", "c"])}});
        let patched = on_pod(
            live.clone(),
            json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]}}),
        )
        .unwrap();
        assert_eq!(patched["spec"]["containers"], containers(&["c", "a", "b"]));
        let wrong = on_pod(
            live,
            json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}}),
        );
        assert!(wrong.is_err());
    }

    #[test]
    fn patches_that_make_no_sense_are_refused() {
        for bad in [
            json!({"spec": {"containers": [{"image": "no key"}]}}),
            json!({"spec": {"containers": ["text"]}}),
            json!({"spec": {"$patch": "explode"}}),
            json!({"metadata": {"$retainKeys": "x"}}),
        ] {
            assert!(
                on_pod(
                    json!({"spec": {"containers": containers(&["a"])}}),
                    bad.clone()
                )
                .is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn null_removes_and_atomic_lists_are_replaced() {
        let live = json!({"spec": {"activeDeadlineSeconds": 5, "containers": [{"name": "a", "args": ["1", "2"]}]}});
        let patched = on_pod(
            live,
            json!({"spec": {"activeDeadlineSeconds": null, "containers": [{"name": "a", "args": ["3"]}]}}),
        )
        .unwrap();
        assert_eq!(
            patched,
            json!({"spec": {"containers": [{"name": "a", "args": ["3"]}]}})
        );
    }
}
