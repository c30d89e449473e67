//! A list as the first events of a watch, made as they are read.
//!
//! What a list says of its items is found without taking it apart, and each item is copied from where it
//! stands: a list takes its own bytes and a piece more, however many items it has.

use std::borrow::Cow;

use bytes::{Buf as _, Bytes};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::body::PIECE;
use super::room::Taken;

/// The events that are left of a list.
#[derive(Debug)]
pub(super) struct Listed {
    /// From the next item on, or what stands before it, to the end of the list's items.
    items: Bytes,
    /// What is left of the item that was begun.
    item: Bytes,
    is_begun: bool,
    /// JSON text of what the list says of its items, beside its own kind.
    kind: String,
    api_version: Bytes,
    /// Of a `Table`; only its first event has them, as in Kubernetes.
    columns: Option<Bytes>,
    is_table: bool,
    resource_version: String,
    _room: Option<Taken>,
}

/// Something that stands among the items and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoItem;

impl Listed {
    /// `None` if `body` is no list, or does not say what comes after it.
    pub(super) fn new(body: Bytes, room: Option<Taken>) -> Option<Self> {
        let list: List<'_> = serde_json::from_slice(&body).ok()?;
        let resource_version = list.metadata.resource_version.into_owned();
        if resource_version.is_empty() {
            return None;
        }
        let is_table = list.kind == "Table";
        let kind = list.kind.strip_suffix("List").unwrap_or(&list.kind);
        let part = |raw: Option<&RawValue>, or| match raw {
            None => Bytes::from_static(or),
            Some(raw) => body.slice_ref(raw.get().as_bytes()),
        };
        let items = part(if is_table { list.rows } else { list.items }, b"[]");
        items.starts_with(b"[").then_some(())?;
        Some(Self {
            items: items.slice(1..),
            item: Bytes::new(),
            is_begun: false,
            kind: serde_json::to_string(kind).ok()?,
            api_version: part(list.api_version, b"null"),
            columns: Some(part(list.column_definitions, b"null")),
            is_table,
            resource_version,
            _room: room,
        })
    }

    /// Where a watch goes on after it.
    pub(super) fn resource_version(&self) -> &str {
        &self.resource_version
    }

    /// The next bytes of its events, each event a line; `None` after the last.
    ///
    /// # Errors
    /// [`NoItem`]: one of the items is no object.
    pub(super) fn piece(&mut self) -> Result<Option<Bytes>, NoItem> {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            if self.is_begun {
                let length = self.item.len().min(PIECE - piece.len());
                piece.extend_from_slice(&self.item.split_to(length));
                if self.item.is_empty() {
                    piece.extend_from_slice(if self.is_table { b"]}}\n" } else { b"}\n" });
                    self.is_begun = false;
                }
            } else {
                match self.begin(&mut piece) {
                    Ok(true) => {}
                    // What was made so far goes first.
                    Err(NoItem) if piece.is_empty() => return Err(NoItem),
                    Ok(false) | Err(NoItem) => break,
                }
            }
        }
        Ok(Some(piece)
            .filter(|piece| !piece.is_empty())
            .map(Bytes::from))
    }

    /// Begins the next item, if there is one.
    fn begin(&mut self, piece: &mut Vec<u8>) -> Result<bool, NoItem> {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
        let between = self
            .items
            .iter()
            .take_while(|byte| is_between(byte))
            .count();
        self.items.advance(between);
        match self.items.first() {
            Some(b']') => return Ok(false),
            Some(b'{') => {}
            _ => return Err(NoItem),
        }
        let mut values = serde_json::Deserializer::from_slice(&self.items).into_iter::<&RawValue>();
        let item = values.next().and_then(Result::ok).ok_or(NoItem)?.get();
        let end = values.byte_offset();
        let said: Said = serde_json::from_str(item).map_err(|_| NoItem)?;
        self.item = self.items.slice_ref(item.as_bytes());
        self.items.advance(end);
        self.is_begun = true;
        if self.is_table {
            piece.extend_from_slice(br#"{"type":"ADDED","object":{"kind":"Table","apiVersion":"#);
            piece.extend_from_slice(&self.api_version);
            piece.extend_from_slice(br#","metadata":{},"columnDefinitions":"#);
            piece.extend_from_slice(&self.columns.take().unwrap_or(Bytes::from_static(b"null")));
            piece.extend_from_slice(br#","rows":["#);
            return Ok(true);
        }
        // In a list only the list says what its items are.
        piece.extend_from_slice(br#"{"type":"ADDED","object":{"#);
        self.item.advance(1);
        for (is_said, name, value) in [
            (said.kind, "kind", self.kind.as_bytes()),
            (said.api_version, "apiVersion", &self.api_version[..]),
        ] {
            if !is_said {
                piece.extend_from_slice(format!("\"{name}\":").as_bytes());
                piece.extend_from_slice(value);
                piece.push(b',');
            }
        }
        if self.item.trim_ascii_start().starts_with(b"}") {
            // It has no field for the last comma to stand before.
            piece.pop();
        }
        Ok(true)
    }
}

/// What a list says of itself; its items are left as they are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    api_version: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: ListMetadata<'a>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(borrow)]
    rows: Option<&'a RawValue>,
    #[serde(borrow)]
    column_definitions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata<'a> {
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
}

/// Which of these an item says itself.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Said {
    #[serde(deserialize_with = "is_there")]
    kind: bool,
    #[serde(deserialize_with = "is_there")]
    api_version: bool,
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn events(list: &str) -> Result<Vec<Value>, NoItem> {
        let mut listed = Listed::new(Bytes::copy_from_slice(list.as_bytes()), None).unwrap();
        let mut text = Vec::new();
        while let Some(piece) = listed.piece()? {
            assert!(piece.len() < PIECE + 512, "{}", piece.len());
            text.extend_from_slice(&piece);
        }
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        Ok(lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect())
    }

    #[test]
    fn each_item_is_an_event_and_says_what_it_is() {
        let list = r#" {"apiVersion":"v1", "items" : [ {"metadata":{"name":"a"}} ,
            { }, {"kind":"Odd"},{"apiVersion":null,"x":"]},{"}], "kind":"PodList",
            "metadata":{"resourceVersion":"7","continue":""}} "#;
        let added = |object: Value| json!({"type": "ADDED", "object": object});
        assert_eq!(
            events(list).unwrap(),
            [
                added(json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}})),
                added(json!({"kind": "Pod", "apiVersion": "v1"})),
                added(json!({"kind": "Odd", "apiVersion": "v1"})),
                added(json!({"kind": "Pod", "apiVersion": null, "x": "]},{"})),
            ]
        );
        for none in [r#""items":null"#, r#""items":[]"#, r#""other":1"#] {
            let list = format!(r#"{{"kind":"List","metadata":{{"resourceVersion":"7"}},{none}}}"#);
            assert!(events(&list).unwrap().is_empty(), "{none}");
        }
    }

    #[test]
    fn a_table_names_its_columns_once() {
        let list = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},
            "columnDefinitions":[{"name":"Name"}],"rows":[{"cells":["a"]},{"cells":["b"]}]}"#;
        let table = |columns: Value, cell: &str| {
            json!({"type": "ADDED", "object": {
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
                "columnDefinitions": columns, "rows": [{"cells": [cell]}],
            }})
        };
        assert_eq!(
            events(list).unwrap(),
            [
                table(json!([{"name": "Name"}]), "a"),
                table(Value::Null, "b")
            ]
        );
    }

    #[test]
    fn what_is_no_list_is_refused_at_once() {
        for body in [
            "",
            "[]",
            r#"{"kind":"PodList","metadata":{"resourceVersion":""},"items":[]}"#,
            r#"{"kind":"PodList","metadata":{},"items":[]}"#,
            r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#,
            r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":{}}"#,
            r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[}"#,
            r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[]} x"#,
        ] {
            assert!(Listed::new(Bytes::from(body), None).is_none(), "{body}");
        }
    }

    #[test]
    fn what_is_no_item_ends_it() {
        for item in ["7", "null", "[]", "\"a\"", r#"{"kind":"A","kind":"B"}"#] {
            let list = format!(
                r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7"}},"items":[{{}},{item}]}}"#
            );
            assert_eq!(events(&list), Err(NoItem), "{item}");
        }
    }

    #[test]
    fn a_list_of_many_small_and_of_huge_items_comes_in_pieces() {
        let huge = json!({"metadata": {"name": "b"}, "data": "x".repeat(100_000)});
        let mut items = vec![json!({}); 10_000];
        items.push(huge.clone());
        items.push(json!({}));
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": items});
        let events = events(&list.to_string()).unwrap();
        assert_eq!(events.len(), items.len());
        assert_eq!(events[10_000]["object"]["data"], huge["data"]);
    }
}
