//! Kinds that are only asked, never stored: who am I, and what may I do.

use http::StatusCode;
use serde_json::{Value, json};

use super::clock;
use super::cluster::Cluster;
use super::kinds::Resource;
use super::rbac::{self, Attributes};
use super::request::{Request, ResourceTarget, User};
use super::server::Reply;
use super::status::{Cause, Refusal};
use super::write::schema_of;

/// Answers a posted review.
pub(super) fn answer(
    cluster: &Cluster,
    request: &Request,
    resource: &Resource,
    target: &ResourceTarget,
) -> Result<Reply, Refusal> {
    let mut review = request.decode_body()?;
    let version = resource.api_version();
    if !review.is_object()
        || review["kind"] != resource.kind.as_str()
        || review["apiVersion"] != version.as_str()
    {
        return Err(Refusal::bad_request(format!(
            "the body is not a {} of {version}",
            resource.kind
        )));
    }
    let findings = schema_of(resource).prune(&mut review);
    if let Some(mismatch) = findings.mismatch {
        return Err(Refusal::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {mismatch}",
            resource.kind, resource.version, resource.kind
        )));
    }
    let status = match resource.plural.as_str() {
        "selfsubjectreviews" => {
            review["metadata"]["creationTimestamp"] = clock::now().into();
            json!({"userInfo": user_info(&request.user)})
        }
        "selfsubjectaccessreviews" => access(cluster, resource, &request.user, &review["spec"])?,
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let spec = &review["spec"];
            let texts = |value: &Value| -> Vec<String> {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            };
            let user = User {
                name: spec["user"].as_str().unwrap_or_default().to_owned(),
                groups: texts(&spec["groups"]),
                ..User::default()
            };
            if user.name.is_empty() && user.groups.is_empty() {
                let cause = Cause::invalid(
                    "spec.user",
                    &json!(""),
                    "at least one of user or group must be specified",
                );
                return Err(Refusal::invalid(resource, "", &[cause]));
            }
            if let Some(namespace) = &target.namespace
                && spec["resourceAttributes"]["namespace"] != namespace.as_str()
            {
                let given = &spec["resourceAttributes"]["namespace"];
                let cause = Cause::invalid(
                    "spec.resourceAttributes.namespace",
                    given,
                    "must match metadata.namespace",
                );
                return Err(Refusal::invalid(resource, "", &[cause]));
            }
            access(cluster, resource, &user, spec)?
        }
        "selfsubjectrulesreviews" => {
            let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
            if namespace.is_empty() {
                return Err(Refusal::bad_request("no namespace on request"));
            }
            rules(cluster, &request.user, namespace)
        }
        _ => return Err(Refusal::no_such_resource()),
    };
    review["status"] = status;
    if review["metadata"].is_null() {
        review["metadata"] = json!({});
    }
    let accepted = request.accepted(|_| false)?;
    Ok(Reply::encoded(
        StatusCode::CREATED,
        accepted.yaml,
        review.to_string().into_bytes(),
    ))
}

fn access(
    cluster: &Cluster,
    resource: &Resource,
    user: &User,
    spec: &Value,
) -> Result<Value, Refusal> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (wanted, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let attributes = match (wanted.is_object(), path.is_object()) {
        (true, false) => Attributes {
            verb: text(&wanted["verb"]),
            group: text(&wanted["group"]),
            resource: text(&wanted["resource"]),
            subresource: text(&wanted["subresource"]),
            namespace: text(&wanted["namespace"]),
            name: text(&wanted["name"]),
            path: None,
        },
        (false, true) => Attributes {
            verb: text(&path["verb"]),
            path: Some(text(&path["path"])),
            ..Attributes::default()
        },
        _ => {
            let why =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let cause = Cause::invalid("spec.resourceAttributes", wanted, why);
            return Err(Refusal::invalid(resource, "", &[cause]));
        }
    };
    let decision = rbac::decide(cluster, user, &attributes);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    Ok(status)
}

fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Value {
    let (mut resource_rules, mut path_rules) = (Vec::new(), Vec::new());
    for rule in rbac::rules(cluster, user, namespace) {
        if rule["nonResourceURLs"].is_array() {
            path_rules
                .push(json!({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}));
            continue;
        }
        let mut row = json!({"verbs": rule["verbs"], "apiGroups": rule["apiGroups"], "resources": rule["resources"]});
        if rule["resourceNames"].is_array() {
            row["resourceNames"] = rule["resourceNames"].clone();
        }
        resource_rules.push(row);
    }
    json!({"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": false})
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    for (key, values) in &user.extra {
        info["extra"][key] = json!(values);
    }
    info
}
