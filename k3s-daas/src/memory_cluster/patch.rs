//! The four kinds of patch.

pub(super) mod apply;
mod fields;
mod json;
mod merge;
mod strategic;

use serde_json::Value;

use super::schema::Field;
use super::status::Refusal;

pub(super) use merge::merge;

/// A patch whose body was understood.
#[derive(Debug, Clone)]
pub(super) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

impl Patch {
    /// Reads a patch of the given media type.
    pub(super) fn parse(content_type: &str, body: &[u8], builtin: bool) -> Result<Self, Refusal> {
        let object = |body: &[u8]| -> Result<Value, Refusal> {
            let value: Value = serde_json::from_slice(body).map_err(|e| bad_patch(&e))?;
            if value.is_object() {
                Ok(value)
            } else {
                Err(bad_patch(&"the patch is not an object"))
            }
        };
        match content_type {
            "application/json-patch+json" => json::parse(body).map(Self::Json),
            "application/merge-patch+json" => object(body).map(Self::Merge),
            "application/strategic-merge-patch+json" if builtin => {
                object(body).map(Self::Strategic)
            }
            "application/apply-patch+yaml" => {
                let value: Value = serde_yaml_ng::from_slice(body)
                    .map_err(|e| Refusal::bad_request(format!("error decoding YAML: {e}")))?;
                if value.is_object() {
                    Ok(Self::Apply(value))
                } else {
                    Err(bad_patch(&"the patch is not an object"))
                }
            }
            _ if builtin => Err(Refusal::unsupported_media_type(&TYPES)),
            _ => Err(Refusal::unsupported_media_type(&[
                TYPES[0], TYPES[1], TYPES[3],
            ])),
        }
    }

    /// `live` with the patch on it; not for [`Patch::Apply`].
    pub(super) fn onto(&self, live: &Value, schema: &Field) -> Result<Value, Refusal> {
        match self {
            Self::Json(operations) => json::patch(live, operations),
            Self::Merge(patch) => {
                let mut patched = live.clone();
                merge(&mut patched, patch);
                Ok(patched)
            }
            Self::Strategic(patch) => strategic::patch(live, patch, schema),
            Self::Apply(_) => Err(Refusal::internal("apply is not a plain patch")),
        }
    }
}

fn bad_patch(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::bad_request(format!("error decoding patch: {why}"))
}

const TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
