//! Refusals in kube-apiserver's own words.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::kinds::Resource;
use super::schema::WrongType;

/// A request that was refused: what becomes a `v1` `Status`.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: StatusCode,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// `metadata.continue` of the Status: an expired list says where to go on.
    pub(super) resume: Option<String>,
}

/// One field that is wrong: `metav1.StatusCause`.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) field: String,
}

impl Refusal {
    pub(super) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            resume: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(super) fn internal(message: impl std::fmt::Display) -> Self {
        let text = message.to_string();
        let mut refusal = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {text}"),
        );
        refusal.details = Some(json!({"causes": [{"message": text}]}));
        refusal
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::about(StatusCode::NOT_FOUND, "NotFound", message, resource, name)
    }

    pub(super) fn namespace_not_found(name: &str) -> Self {
        let mut refusal = Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("namespaces {name:?} not found"),
        );
        refusal.details = Some(json!({"name": name, "kind": "namespaces"}));
        refusal
    }

    /// A path of a known group that leads nowhere.
    pub(super) fn no_such_resource() -> Self {
        let mut refusal = Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        );
        refusal.details = Some(json!({}));
        refusal
    }

    pub(super) fn method_not_allowed() -> Self {
        let mut refusal = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        refusal.details = Some(json!({}));
        refusal
    }

    pub(super) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::about(
            StatusCode::CONFLICT,
            "AlreadyExists",
            message,
            resource,
            name,
        )
    }

    pub(super) fn conflict(resource: &Resource, name: &str, why: impl std::fmt::Display) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            resource.qualified()
        );
        Self::about(StatusCode::CONFLICT, "Conflict", message, resource, name)
    }

    /// A conflict with the preconditions of a deletion, which is about the kind.
    pub(super) fn precondition(
        resource: &Resource,
        name: &str,
        why: impl std::fmt::Display,
    ) -> Self {
        let qualified = qualified_kind(resource);
        let message = format!("Operation cannot be fulfilled on {qualified} {name:?}: {why}");
        let mut refusal = Self::new(StatusCode::CONFLICT, "Conflict", message);
        refusal.details = Some(details(&resource.group, &resource.kind, name));
        refusal
    }

    pub(super) fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(resource, name, OPTIMISTIC_LOCK)
    }

    pub(super) fn forbidden(resource: &Resource, name: &str, why: impl std::fmt::Display) -> Self {
        Self::forbidden_named(&resource.group, &resource.plural, name, why)
    }

    /// As [`Refusal::forbidden`] for a resource that may not exist.
    pub(super) fn forbidden_named(
        group: &str,
        resource: &str,
        name: &str,
        why: impl std::fmt::Display,
    ) -> Self {
        let qualified = if group.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}.{group}")
        };
        let message = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{qualified} is forbidden: {why}"),
            (false, false) => format!("{qualified} {name:?} is forbidden: {why}"),
        };
        let mut refusal = Self::new(StatusCode::FORBIDDEN, "Forbidden", message);
        refusal.details = Some(details(group, resource, name));
        refusal
    }

    /// 422 with a cause per wrong field.
    pub(super) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(Cause::text).collect();
        let all = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = qualified_kind(resource);
        let mut refusal = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("{qualified} {name:?} is invalid: {all}"),
        );
        let mut about = details(&resource.group, &resource.kind, name);
        about["causes"] = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        refusal.details = Some(about);
        refusal
    }

    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    pub(super) fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    pub(super) fn not_acceptable(accepted: &[&str]) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            format!(
                "only the following media types are accepted: {}",
                accepted.join(", ")
            ),
        )
    }

    fn about(
        code: StatusCode,
        reason: &'static str,
        message: String,
        resource: &Resource,
        name: &str,
    ) -> Self {
        let mut refusal = Self::new(code, reason, message);
        refusal.details = Some(details(&resource.group, &resource.plural, name));
        refusal
    }

    /// The `v1` `Status` object.
    pub(super) fn to_value(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(resume) = &self.resume {
            metadata.insert("continue".into(), resume.clone().into());
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": self.message, "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

impl Cause {
    pub(super) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    pub(super) fn invalid(
        field: impl Into<String>,
        value: &Value,
        detail: impl std::fmt::Display,
    ) -> Self {
        let message = format!("Invalid value: {}: {detail}", shown(value));
        Self {
            reason: "FieldValueInvalid",
            message,
            field: field.into(),
        }
    }

    /// A value of a wrong type in a custom object, as the validation of its schema says it.
    pub(super) fn type_invalid(wrong: &WrongType) -> Self {
        let WrongType {
            path,
            wanted,
            found,
        } = wrong;
        Self {
            reason: "FieldValueTypeInvalid",
            message: format!(
                "Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}"
            ),
            field: path.clone(),
        }
    }

    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {}", shown(value)),
            field: field.into(),
        }
    }

    pub(super) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {detail}"),
            field: field.into(),
        }
    }

    pub(super) fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        Self {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {}: supported values: {}",
                shown(value),
                quoted.join(", ")
            ),
            field: field.into(),
        }
    }

    fn text(&self) -> String {
        if self.field.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }
}

/// The reason text of every stale write.
pub(super) const OPTIMISTIC_LOCK: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

fn qualified_kind(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.kind.clone()
    } else {
        format!("{}.{}", resource.kind, resource.group)
    }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut details = Map::new();
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(key.into(), value.into());
        }
    }
    Value::Object(details)
}

fn shown(value: &Value) -> String {
    value.to_string()
}
