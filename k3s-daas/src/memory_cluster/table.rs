//! `as=Table`: the columns kubectl prints, by `pkg/printers/internalversion` of Kubernetes.

mod cells;
mod format;

use std::sync::Arc;

use serde_json::{Value, json};

use super::crd::{CustomColumn, at_path};
use super::kinds::Resource;
use super::read::partial;
use super::request::Query;
use super::status::Refusal;
use super::store::Stored;
use super::{clock, convert};

/// What a row carries besides its cells: `includeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    pub(super) fn parse(query: &Query) -> Result<Self, Refusal> {
        match query.one("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Refusal::bad_request(format!(
                "unrecognized includeObject value: {other:?}"
            ))),
        }
    }
}

/// A Table of `objects`; without columns for the later events of a watch.
pub(super) fn table(
    resource: &Resource,
    beta: bool,
    include: Include,
    objects: &[Arc<Stored>],
    columns: bool,
) -> Value {
    let version = if beta {
        "meta.k8s.io/v1beta1"
    } else {
        "meta.k8s.io/v1"
    };
    let definitions = match (&resource.custom, columns) {
        (_, false) => Value::Null,
        (Some(custom), true) => custom_columns(&custom.columns),
        (None, true) => cells::columns(resource)
            .iter()
            .map(|c| column(c, resource))
            .collect(),
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|stored| row(resource, version, include, stored))
        .collect();
    json!({"kind": "Table", "apiVersion": version, "columnDefinitions": definitions, "rows": rows})
}

fn row(resource: &Resource, version: &str, include: Include, stored: &Stored) -> Value {
    let object = &stored.value;
    let cells = match &resource.custom {
        Some(custom) => custom_cells(&custom.columns, object),
        None => cells::cells(resource, object),
    };
    let mut row = json!({ "cells": cells });
    match include {
        Include::None => {}
        Include::Metadata => {
            row["object"] = partial(object);
            row["object"]["apiVersion"] = version.into();
        }
        Include::Object => {
            row["object"] = convert::to_served(resource, object).unwrap_or_else(|| object.clone());
            row["object"]["kind"] = resource.kind.clone().into();
            row["object"]["apiVersion"] = resource.api_version().into();
        }
    }
    let phase = object["status"]["phase"].as_str();
    if resource.is("", "pods")
        && let Some(phase @ ("Succeeded" | "Failed")) = phase
    {
        let message = match phase {
            "Succeeded" => "The pod has completed successfully.",
            _ => "The pod failed.",
        };
        row["conditions"] =
            json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]);
    }
    row
}

fn column(column: &cells::Column, resource: &Resource) -> Value {
    let format = if column.name == "Name" { "name" } else { "" };
    let kind = match column.kind {
        'i' => "integer",
        'b' => "boolean",
        'd' => "date",
        _ => "string",
    };
    let description = format!("{} of the {}", column.name, resource.kind);
    json!({"name": column.name, "type": kind, "format": format, "description": description, "priority": column.priority})
}

fn custom_columns(columns: &[CustomColumn]) -> Value {
    let mut all = vec![
        json!({"name": "Name", "type": "string", "format": "name", "description": "Name", "priority": 0}),
    ];
    for c in columns {
        all.push(json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority}));
    }
    if columns.is_empty() {
        all.push(json!({"name": "Age", "type": "date", "format": "", "description": "Age", "priority": 0}));
    }
    all.into()
}

fn custom_cells(columns: &[CustomColumn], object: &Value) -> Vec<Value> {
    let mut cells = vec![object["metadata"]["name"].clone()];
    for column in columns {
        let value = at_path(object, &column.path).cloned().unwrap_or_default();
        cells.push(match (column.kind.as_str(), value) {
            ("date", Value::String(text)) => clock::age(Some(&text)).into(),
            (
                "string",
                value @ (Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_)),
            ) => value.to_string().into(),
            (_, value) => value,
        });
    }
    if columns.is_empty() {
        cells.push(clock::age(object["metadata"]["creationTimestamp"].as_str()).into());
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Registry;
    use super::*;

    #[test]
    fn every_kind_fills_all_its_columns() {
        let registry = Registry::with_custom(Vec::new());
        for resource in registry.all().iter().filter(|r| !r.is_virtual()) {
            let object = json!({"kind": resource.kind, "apiVersion": resource.api_version(),
                "metadata": {"name": "x", "creationTimestamp": clock::now()}});
            let stored = Arc::new(Stored::new(object, 1));
            let table = table(resource, false, Include::Metadata, &[stored], true);
            let columns = table["columnDefinitions"].as_array().map_or(0, Vec::len);
            let cells = table["rows"][0]["cells"].as_array().map_or(0, Vec::len);
            assert!(columns > 1, "{}", resource.kind);
            assert_eq!(columns, cells, "{}", resource.kind);
        }
    }
}
