//! create, update, patch: from a body to a stored object.

mod allocate;
mod change;
mod delete;
mod duplicates;
mod options;
mod scale;

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use change::{Change, Written};
pub(super) use delete::resume_namespaces;
use options::{Options, decode_object, options_refusal, read_dry_run};

use super::cluster::Cluster;
use super::kinds::Resource;
use super::patch::Patch;
use super::read::{object_key, render};
use super::request::{Request, ResourceTarget};
use super::schema::Field;
use super::server::Reply;
use super::status::{Cause, Refusal};
use super::store::Transaction;
use super::{clock, crd, rbac};

impl Cluster {
    pub(super) async fn create(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
    ) -> Result<Reply, Refusal> {
        let (change, object, warnings) = self.decoded(&request, &resource, target)?;
        let dry_run = change.options.dry_run;
        let work = move |t: &mut Transaction<'_>| {
            let stored = change.create(t, object)?;
            Ok(Written::new(true, stored, warnings))
        };
        self.written(&request, &resource, dry_run, work).await
    }

    pub(super) async fn update(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
    ) -> Result<Reply, Refusal> {
        let (change, object, warnings) = self.decoded(&request, &resource, target)?;
        let dry_run = change.options.dry_run;
        check_url_name(&object, &name)?;
        let work = move |t: &mut Transaction<'_>| {
            let place = object_key(&change.resource, &change.target, &name);
            let (created, stored) = match t.get(&change.resource.storage, &place) {
                Some(live) => (false, change.finish(t, &live, object)?),
                None if change.may_create_by_update() => (true, change.create(t, object)?),
                None => return Err(Refusal::not_found(&change.resource, &name)),
            };
            Ok(Written::new(created, stored, warnings))
        };
        self.written(&request, &resource, dry_run, work).await
    }

    pub(super) async fn patch(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
    ) -> Result<Reply, Refusal> {
        let change = Change::new(&request, &resource, target)?;
        let dry_run = change.options.dry_run;
        let patch = Patch::parse(
            &request.content_type(),
            &request.body,
            resource.custom.is_none(),
        )?;
        if let Patch::Apply(configuration) = &patch {
            check_configuration(&request, &resource, configuration, &name)?;
        }
        let (cluster, user) = (Arc::clone(self), request.user.clone());
        let work = move |t: &mut Transaction<'_>| {
            let namespace = change.target.namespace.as_deref();
            let check = |object: &Value| {
                rbac::check_escalation(&cluster, &user, &change.resource, namespace, object)
            };
            change.patch(t, &patch, &name, &check)
        };
        self.written(&request, &resource, dry_run, work).await
    }

    /// The object in the body, which the user may write, and the change that it is.
    fn decoded(
        self: &Arc<Self>,
        request: &Request,
        resource: &Arc<Resource>,
        target: ResourceTarget,
    ) -> Result<(Change, Value, Vec<String>), Refusal> {
        let change = Change::new(request, resource, target)?;
        let mut warnings = Vec::new();
        let object = decode_object(request, resource, &change.options, &mut warnings)?;
        let namespace = change.target.namespace.as_deref();
        rbac::check_escalation(self, &request.user, resource, namespace, &object)?;
        Ok((change, object, warnings))
    }

    /// Does the work and answers with the object that it left.
    async fn written(
        &self,
        request: &Request,
        resource: &Resource,
        dry_run: bool,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<Written, Refusal> + Send + 'static,
    ) -> Result<Reply, Refusal> {
        let written = self.store.write(dry_run, work).await?;
        self.after_write(resource, dry_run);
        let status = match written.created {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        let mut reply = render(request, resource, status, Ok(written.stored))?;
        reply.warnings = written.warnings;
        Ok(reply)
    }

    pub(super) async fn bind(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
    ) -> Result<Reply, Refusal> {
        let options = Options::read(&request, &resource, &target)?;
        let binding = request.decode_body()?;
        let node = binding["target"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if node.is_empty() {
            let cause = Cause::required("target.name", "");
            return Err(Refusal::invalid(&resource, &name, &[cause]));
        }
        let dry_run = options.dry_run;
        self.store
            .write(dry_run, move |t| {
                let place = object_key(&resource, &target, &name);
                let live = t.get(&resource.storage, &place).ok_or_else(|| Refusal::not_found(&resource, &name))?;
                if live.value["spec"]["nodeName"].is_string() {
                    let assigned = live.value["spec"]["nodeName"].as_str().unwrap_or_default();
                    return Err(Refusal::conflict(&resource, &name, format!("pod {name} is already assigned to node {assigned:?}")));
                }
                let mut object = live.value.clone();
                object["spec"]["nodeName"] = node.into();
                let conditions = json!([{"type": "PodScheduled", "status": "True", "lastProbeTime": null,
                    "lastTransitionTime": clock::now()}]);
                object["status"]["conditions"] = conditions;
                Ok(t.put(&resource.storage, object))
            })
            .await?;
        Ok(Reply::json(StatusCode::CREATED, &success(None)))
    }

    /// What has to be done when an object of this kind was written.
    fn after_write(&self, resource: &Resource, dry_run: bool) {
        if !dry_run && &*resource.storage == crd::STORAGE {
            self.reload_custom_kinds();
        }
    }
}

/// The schema of a kind's objects.
pub(super) fn schema_of(resource: &Resource) -> Field {
    match (&resource.custom, &resource.definition) {
        (Some(custom), _) => custom.schema.clone(),
        (None, Some(definition)) => Field::named(definition),
        (None, None) => Field::any().clone(),
    }
}

/// What the server alone sets on a new object.
pub(super) fn stamp_new(object: &mut Value) {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
        "generation",
    ] {
        metadata.as_object_mut().map(|m| m.remove(key));
    }
    metadata["uid"] = uuid::Builder::from_random_bytes(random_bytes())
        .into_uuid()
        .to_string()
        .into();
    metadata["creationTimestamp"] = clock::now().into();
}

/// Sixteen random bytes.
pub(super) fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// A `v1` `Status` that says Success.
fn success(details: Option<Value>) -> Value {
    let mut status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if let Some(details) = details {
        status["details"] = details;
    } else {
        status["code"] = 201.into();
    }
    status
}

fn check_url_name(object: &Value, name: &str) -> Result<(), Refusal> {
    match object["metadata"]["name"].as_str() {
        Some(given) if given == name => Ok(()),
        None | Some("") => Err(Refusal::bad_request("name must be provided")),
        Some(given) => Err(Refusal::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

fn check_configuration(
    request: &Request,
    resource: &Resource,
    configuration: &Value,
    name: &str,
) -> Result<(), Refusal> {
    if request.query.one("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(options_refusal("PatchOptions", &cause));
    }
    let version = resource.api_version();
    let (given_version, given_kind) = (&configuration["apiVersion"], &configuration["kind"]);
    if given_kind.is_null() || given_version.is_null() {
        return Err(Refusal::bad_request(
            "error decoding YAML: Object 'Kind' is missing",
        ));
    }
    if given_version != version.as_str() || given_kind != resource.kind.as_str() {
        return Err(Refusal::bad_request(format!(
            "invalid object type: {}, Kind={}",
            given_version.as_str().unwrap_or_default(),
            given_kind.as_str().unwrap_or_default()
        )));
    }
    match configuration["metadata"]["name"].as_str() {
        Some(given) if given != name => Err(Refusal::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
        _ => Ok(()),
    }
}
