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
            let before = live.get(name).and_then(Value::as_array).unwrap_or(&none);
            if let Some(Value::Array(list)) = merged.get_mut(name) {
                *list = in_order(std::mem::take(list), order, before, child);
            }
        }
    }
    Ok(Value::Object(merged))
}

fn merge_list(live: &[Value], patch: &[Value], field: &Field) -> Result<Value, Refusal> {
    if !field.merges {
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
        return Ok(Value::Array(in_order(merged, patch, live, field)));
    };
    let mut live = live.to_vec();
    let mut merging = Vec::new();
    let mut replaces = false;
    for item in patch {
        let Value::Object(map) = item else {
            return Err(bad_patch(&"items of a merged list must be objects"));
        };
        match map.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()) {
            Some("replace") => replaces = true,
            Some("delete") => {
                let key = map
                    .get(merge_key)
                    .ok_or_else(|| no_merge_key(item, merge_key))?;
                live.retain(|m| m.get(merge_key) != Some(key));
            }
            Some("merge") => {
                return Err(Refusal::bad_request(
                    "merging lists cannot yet be specified in the patch",
                ));
            }
            Some(other) => return Err(unknown_directive(other)),
            None => merging.push(item),
        }
    }
    if replaces {
        return Ok(merging.into_iter().map(cleaned).collect());
    }
    let items = field.items();
    let mut merged = live.clone();
    for item in merging {
        let key = item
            .get(merge_key)
            .ok_or_else(|| no_merge_key(item, merge_key))?;
        match merged.iter().position(|m| m.get(merge_key) == Some(key)) {
            Some(at) => merged[at] = merge_value(Some(&merged[at]), item, items)?,
            None => merged.push(merge_value(None, item, items)?),
        }
    }
    Ok(Value::Array(in_order(merged, patch, &live, field)))
}

/// Orders a merged list as Kubernetes does: items named by `order` come as it has them, the others as `live`
/// has them, and where the two meet `live` decides. An item that is not in `live` comes before those that only
/// `live` has, so what a patch adds without an order of its own is at the front.
fn in_order(merged: Vec<Value>, order: &[Value], live: &[Value], field: &Field) -> Vec<Value> {
    let rank = |list: &[Value], item: &Value| list.iter().position(|o| is_same(o, item, field));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) = merged
        .into_iter()
        .partition(|item| rank(order, item).is_some());
    named.sort_by_key(|item| rank(order, item));
    others.sort_by_key(|item| rank(live, item));
    let mut others = others.into_iter().peekable();
    let mut result = Vec::with_capacity(named.len() + others.len());
    for item in named {
        if let Some(place) = rank(live, &item) {
            while let Some(other) =
                others.next_if(|other| rank(live, other).is_some_and(|at| at < place))
            {
                result.push(other);
            }
        }
        result.push(item);
    }
    result.extend(others);
    result
}

/// Whether two items of a merged list are the same one.
fn is_same(a: &Value, b: &Value, field: &Field) -> bool {
    match &field.merge_key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}

fn check_order(
    order: &[Value],
    patched: &[Value],
    field: &Field,
    name: &str,
) -> Result<(), Refusal> {
    // What is left of the order after the items before.
    let mut rest = order.iter();
    let mut in_sequence =
        |item: &Value| item.get(DIRECTIVE).is_some() || rest.any(|o| is_same(o, item, field));
    if field.merges && !order.is_empty() && !patched.iter().all(&mut in_sequence) {
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

fn no_merge_key(item: &Value, merge_key: &str) -> Refusal {
    Refusal::bad_request(format!(
        "map: {item} does not contain declared merge key: {merge_key}"
    ))
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

    /// As `strategicpatch` of apimachinery does it, see `mergeSortedSlice` and its tests.
    #[test]
    fn items_come_in_the_order_of_kubernetes() {
        let named = |names: &str| -> Value {
            names
                .chars()
                .map(|n| json!({"name": n.to_string()}))
                .collect()
        };
        // Live, patch, `$setElementOrder`, result.
        for (live, patched, order, result) in [
            ("ab", "c", None, "cab"),
            ("abc", "b", None, "abc"),
            ("abc", "ca", None, "bca"),
            ("abc", "dc", None, "dabc"),
            ("abc", "cd", None, "abcd"),
            ("abc", "xby", None, "xabyc"),
            ("", "ba", None, "ba"),
            ("ab", "c", Some("abc"), "abc"),
            ("ab", "c", Some("cab"), "cab"),
            ("abs", "c", Some("abc"), "abcs"),
            ("sab", "c", Some("abc"), "sabc"),
            ("asb", "", Some("ba"), "sba"),
            ("abcxy", "", Some("cb"), "acbxy"),
        ] {
            let mut change = json!({"spec": {"containers": named(patched)}, "metadata": {}});
            let finalizers = |names: &str| -> Value {
                names.chars().map(|n| Value::from(n.to_string())).collect()
            };
            change["metadata"]["finalizers"] = finalizers(patched);
            if let Some(order) = order {
                change["spec"]["$setElementOrder/containers"] = named(order);
                change["metadata"]["$setElementOrder/finalizers"] = finalizers(order);
            }
            let before = json!({"spec": {"containers": named(live)}, "metadata": {"finalizers": finalizers(live)}});
            let after = on_pod(before, change).unwrap();
            let row = format!("{live} {patched} {order:?}");
            assert_eq!(after["spec"]["containers"], named(result), "{row}");
            assert_eq!(after["metadata"]["finalizers"], finalizers(result), "{row}");
        }
        // What a patch deletes says nothing of the order, and one item that replaces replaces the list.
        let before = json!({"spec": {"containers": named("abc")}});
        let change =
            json!({"spec": {"containers": [{"name": "d"}, {"name": "a", "$patch": "delete"}]}});
        let after = on_pod(before.clone(), change).unwrap();
        assert_eq!(after["spec"]["containers"], named("dbc"));
        let change =
            json!({"spec": {"containers": [{"name": "b", "$patch": "replace"}, {"name": "d"}]}});
        let after = on_pod(before.clone(), change).unwrap();
        assert_eq!(after["spec"]["containers"], named("d"));
        // A patch that contradicts the order that it sets, and a directive that lists do not have.
        for bad in [
            json!({"spec": {"$setElementOrder/containers": named("ab"), "containers": named("ba")}}),
            json!({"spec": {"containers": [{"name": "a", "$patch": "merge"}]}}),
            json!({"spec": {"containers": [{"$patch": "delete"}]}}),
        ] {
            assert!(on_pod(before.clone(), bad.clone()).is_err(), "{bad}");
        }
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
        assert_eq!(patched["metadata"]["finalizers"], json!(["h", "g"]));
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
