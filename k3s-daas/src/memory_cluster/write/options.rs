//! The options and the body of a write.

use http::StatusCode;
use serde_json::{Value, json};

use super::{duplicates, schema_of};
use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::patch::apply::Writer;
use crate::memory_cluster::request::{Request, ResourceTarget};
use crate::memory_cluster::schema::{Findings, WrongType};
use crate::memory_cluster::status::{Cause, Refusal};

/// `fieldValidation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options of a write.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) dry_run: bool,
    pub(super) force: bool,
    pub(super) validation: FieldValidation,
    pub(super) writer: Writer,
}

impl Options {
    pub(super) fn read(
        request: &Request,
        resource: &Resource,
        target: &ResourceTarget,
    ) -> Result<Self, Refusal> {
        let query = &request.query;
        let invalid = |cause: Cause| options_refusal("CreateOptions", &cause);
        let dry_run = read_dry_run(&query.all("dryRun")).map_err(invalid)?;
        let validation = match query.one("fieldValidation") {
            Some("Ignore") => FieldValidation::Ignore,
            None | Some("Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let known = ["Ignore", "Strict", "Warn"];
                return Err(invalid(Cause::unsupported(
                    "fieldValidation",
                    &json!(other),
                    &known,
                )));
            }
        };
        let manager = request.manager();
        if manager.len() > 128 {
            let cause = Cause {
                reason: "FieldValueTooLong",
                message: "Too long: may not be more than 128 bytes".into(),
                field: "fieldManager".into(),
            };
            return Err(invalid(cause));
        }
        let writer = Writer {
            manager,
            api_version: resource.api_version(),
            subresource: target.subresource.clone().unwrap_or_default(),
        };
        Ok(Self {
            dry_run,
            force: query.flag("force"),
            validation,
            writer,
        })
    }
}

/// Reads, checks and prunes the object in a body.
pub(super) fn decode_object(
    request: &Request,
    resource: &Resource,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<Value, Refusal> {
    let mut object = request.decode_body()?;
    if !object.is_object() {
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error",
            resource.kind
        )));
    }
    let version = resource.api_version();
    match (object["apiVersion"].as_str(), object["kind"].as_str()) {
        (Some(given), _) if !given.is_empty() && given != version => {
            return Err(Refusal::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version ({version})"
            )));
        }
        (_, Some(given)) if !given.is_empty() && given != resource.kind => {
            return Err(Refusal::bad_request(format!(
                "{given} in version {:?} cannot be handled as a {}: the kind does not match",
                resource.version, resource.kind
            )));
        }
        _ => {}
    }
    object["apiVersion"] = version.into();
    object["kind"] = resource.kind.clone().into();
    let mut problems = duplicate_fields(request);
    let findings = schema_of(resource).prune(&mut object);
    check_types(resource, &object, &findings, |mismatch| {
        cannot_be_handled(resource, mismatch)
    })?;
    problems.extend(
        findings
            .unknown
            .iter()
            .map(|path| format!("unknown field {path:?}")),
    );
    match options.validation {
        FieldValidation::Strict if !problems.is_empty() => Err(cannot_be_handled(
            resource,
            &format!("strict decoding error: {}", problems.join(", ")),
        )),
        FieldValidation::Warn => {
            warnings.extend(problems);
            Ok(object)
        }
        _ => Ok(object),
    }
}

/// Refuses values of a wrong type: 422 where the schema of a custom kind says so, else what `undecodable`
/// makes of Go's words, since a built-in kind is decoded into Go's types, and the metadata of every kind.
pub(super) fn check_types(
    resource: &Resource,
    object: &Value,
    findings: &Findings,
    undecodable: impl FnOnce(&str) -> Refusal,
) -> Result<(), Refusal> {
    let Some(mismatch) = &findings.mismatch else {
        return Ok(());
    };
    let is_decoded =
        |wrong: &WrongType| resource.custom.is_none() || wrong.path.starts_with("metadata");
    if findings.wrong.iter().any(is_decoded) {
        return Err(undecodable(mismatch));
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let causes: Vec<Cause> = findings.wrong.iter().map(Cause::type_invalid).collect();
    Err(Refusal::invalid(resource, name, &causes))
}

pub(super) fn cannot_be_handled(resource: &Resource, why: &str) -> Refusal {
    Refusal::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: {why}",
        resource.kind, resource.version, resource.kind
    ))
}

/// Keys that stand twice in one object of a JSON body.
fn duplicate_fields(request: &Request) -> Vec<String> {
    if request.content_type() != "application/json" {
        return Vec::new();
    }
    duplicates::find(&request.body)
}

pub(super) fn read_dry_run(values: &[&str]) -> Result<bool, Cause> {
    match values.iter().find(|v| **v != "All") {
        Some(other) => Err(Cause::unsupported("dryRun", &json!(other), &["All"])),
        None => Ok(!values.is_empty()),
    }
}

pub(super) fn options_refusal(kind: &str, cause: &Cause) -> Refusal {
    let mut refusal = Refusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        format!(
            "{kind}.meta.k8s.io \"\" is invalid: {}: {}",
            cause.field, cause.message
        ),
    );
    refusal.details = Some(json!({"group": "meta.k8s.io", "kind": kind,
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field}]}));
    refusal
}
