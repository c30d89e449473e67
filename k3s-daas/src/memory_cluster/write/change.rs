//! One write inside the store's transaction: from a decoded object to a stored one.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::allocate::{allocate, keep_allocated};
use super::options::{FieldValidation, Options, cannot_be_handled, check_types};
use super::{delete, random_bytes, schema_of, stamp_new};
use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::patch::{Patch, apply};
use crate::memory_cluster::read::object_key;
use crate::memory_cluster::request::{Request, ResourceTarget};
use crate::memory_cluster::schema::{Field, WrongType};
use crate::memory_cluster::status::{Cause, Refusal};
use crate::memory_cluster::store::{self, Stored, Transaction};
use crate::memory_cluster::{clock, convert, crd, defaults, validation};

/// One write on its way.
pub(super) struct Change {
    pub(super) resource: Arc<Resource>,
    pub(super) target: ResourceTarget,
    pub(super) options: Options,
    pub(super) user: String,
}

/// What a write left.
pub(super) struct Written {
    pub(super) created: bool,
    pub(super) stored: Arc<Stored>,
    pub(super) warnings: Vec<String>,
}

impl Written {
    pub(super) fn new(created: bool, stored: Arc<Stored>, warnings: Vec<String>) -> Self {
        Self {
            created,
            stored,
            warnings,
        }
    }
}

impl Change {
    /// As a request asks for it.
    pub(super) fn new(
        request: &Request,
        resource: &Arc<Resource>,
        target: ResourceTarget,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            options: Options::read(request, resource, &target)?,
            resource: Arc::clone(resource),
            target,
            user: request.user.name.clone(),
        })
    }

    /// Stores a new object, given in the served shape.
    pub(super) fn create(
        &self,
        t: &mut Transaction<'_>,
        object: Value,
    ) -> Result<Arc<Stored>, Refusal> {
        let resource = &*self.resource;
        let mut object = object;
        self.check_namespace(t, &mut object)?;
        if let Some(name) = &self.target.name
            && object["metadata"]["name"].is_null()
        {
            object["metadata"]["name"] = name.clone().into();
        }
        let wanted_version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        if !matches!(wanted_version, "" | "0") {
            return Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if object["metadata"]["name"]
            .as_str()
            .is_none_or(str::is_empty)
        {
            let prefix = object["metadata"]["generateName"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if !prefix.is_empty() {
                let namespace = self.target.namespace.as_deref();
                let is_taken = |name: &str| {
                    let place = store::key(namespace, name);
                    t.get(&resource.storage, &place).is_some()
                };
                object["metadata"]["name"] = generated_name(&prefix, is_taken).into();
            }
        }
        let tracked = object["metadata"].get("managedFields").cloned();
        let mut object = convert::to_stored(resource, object);
        stamp_new(&mut object);
        if has_generation(resource) {
            object["metadata"]["generation"] = 1.into();
        }
        let key = (resource.group.as_str(), resource.plural.as_str());
        let resets_status = match &resource.custom {
            Some(custom) => custom.has_status,
            None => resource.subresource("status").is_some() && !resource.is("", "nodes"),
        };
        if resets_status {
            object.as_object_mut().map(|o| o.remove("status"));
        }
        if resource.custom.is_none() {
            defaults::for_any(key, &mut object);
            defaults::drop_nulls(&mut object);
        }
        match tracked {
            // Server-side apply has kept the books already.
            Some(fields) if self.options.writer.subresource == APPLYING => {
                object["metadata"]["managedFields"] = fields
            }
            _ => {
                object["metadata"]
                    .as_object_mut()
                    .map(|m| m.remove("managedFields"));
                apply::track(None, &mut object, &self.schema(), &self.options.writer);
            }
        }
        // What comes from here on belongs to nobody.
        if resource.custom.is_none() {
            defaults::for_create(key, &mut object);
            allocate(t, resource, &mut object);
            crd_status(resource, &mut object);
            defaults::drop_nulls(&mut object);
        }
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let causes = validation::created(resource, &object);
        if !causes.is_empty() {
            return Err(Refusal::invalid(resource, &name, &causes));
        }
        let place = store::key(object["metadata"]["namespace"].as_str(), &name);
        if t.get(&resource.storage, &place).is_some() {
            return Err(Refusal::already_exists(resource, &name));
        }
        tracing::debug!(user = %self.user, resource = %resource.plural, "created");
        Ok(t.put(&resource.storage, object))
    }

    pub(super) fn patch(
        &self,
        t: &mut Transaction<'_>,
        patch: &Patch,
        name: &str,
        check: &dyn Fn(&Value) -> Result<(), Refusal>,
    ) -> Result<Written, Refusal> {
        let resource = &*self.resource;
        let mut warnings = Vec::new();
        let place = object_key(resource, &self.target, name);
        let live = t.get(&resource.storage, &place);
        let schema = self.schema();
        if let Patch::Apply(configuration) = patch {
            return self.apply(t, live, configuration, name, check);
        }
        let live = live.ok_or_else(|| Refusal::not_found(resource, name))?;
        let served = self.served(&live);
        let mut object = patch.onto(&served, &schema)?;
        self.check_decoded(&mut object, &mut warnings)?;
        if object["metadata"]["name"] != name {
            let given = object["metadata"]["name"].as_str().unwrap_or_default();
            return Err(Refusal::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({name})"
            )));
        }
        check(&object)?;
        self.finish(t, &live, object)
            .map(|stored| Written::new(false, stored, warnings))
    }

    fn apply(
        &self,
        t: &mut Transaction<'_>,
        live: Option<Arc<Stored>>,
        configuration: &Value,
        name: &str,
        check: &dyn Fn(&Value) -> Result<(), Refusal>,
    ) -> Result<Written, Refusal> {
        let resource = &*self.resource;
        let schema = self.schema();
        let mut configuration = configuration.clone();
        configuration["metadata"]["name"] = name.into();
        if configuration["metadata"]
            .get("managedFields")
            .is_some_and(|m| !m.as_array().is_some_and(Vec::is_empty))
        {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        let findings = schema.prune(&mut configuration);
        if let Some(unknown) = findings.unknown.first() {
            let why = format!(".{unknown}: field not declared in schema");
            return Err(self.untyped(name, &why));
        }
        let is_custom = resource.custom.is_some();
        if let Some(wrong) = findings.wrong.first().filter(|_| is_custom) {
            let WrongType {
                path,
                wanted,
                found,
            } = wrong;
            let why = format!(".{path}: expected {wanted}, got {found}");
            return Err(self.untyped(name, &why));
        }
        if let Some(mismatch) = findings.mismatch {
            return Err(cannot_be_handled(resource, &mismatch));
        }
        let served = live.as_deref().map(|live| self.served(live));
        let merged = apply::apply(
            served.as_ref(),
            &configuration,
            &schema,
            &self.options.writer,
            self.options.force,
        )?;
        check(&merged)?;
        match live {
            Some(live) => {
                let mut merged = merged;
                if let Some(version) = configuration["metadata"].get("resourceVersion") {
                    merged["metadata"]["resourceVersion"] = version.clone();
                }
                if let Some(uid) = configuration["metadata"].get("uid") {
                    merged["metadata"]["uid"] = uid.clone();
                }
                self.finish_tracked(t, &live, merged, true)
                    .map(|stored| Written::new(false, stored, Vec::new()))
            }
            None if !self.options.writer.subresource.is_empty() => {
                Err(Refusal::not_found(resource, name))
            }
            None => {
                let mut creation = Change {
                    resource: Arc::clone(&self.resource),
                    target: self.target.clone(),
                    options: self.options.clone(),
                    user: self.user.clone(),
                };
                creation.options.writer.subresource = APPLYING.into();
                if configuration["metadata"]["uid"].is_string() {
                    return Err(Refusal::conflict(
                        resource,
                        name,
                        "uid mismatch: the provided object specified uid, and no existing object was found",
                    ));
                }
                creation
                    .create(t, merged)
                    .map(|stored| Written::new(true, stored, Vec::new()))
            }
        }
    }

    /// What server-side apply says of a configuration that does not fit the schema.
    fn untyped(&self, name: &str, why: &str) -> Refusal {
        let namespace = self.target.namespace.as_deref();
        let namespace = namespace.map_or(String::new(), |n| format!("{n}/"));
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "",
            format!(
                "failed to create typed patch object ({namespace}{name}; {}, Kind={}): {why}",
                gvk_version(&self.resource),
                self.resource.kind
            ),
        )
    }

    /// Replaces `live` by `object`, given in the served shape.
    pub(super) fn finish(
        &self,
        t: &mut Transaction<'_>,
        live: &Arc<Stored>,
        object: Value,
    ) -> Result<Arc<Stored>, Refusal> {
        self.finish_tracked(t, live, object, false)
    }

    fn finish_tracked(
        &self,
        t: &mut Transaction<'_>,
        live: &Arc<Stored>,
        object: Value,
        tracked: bool,
    ) -> Result<Arc<Stored>, Refusal> {
        let resource = &*self.resource;
        let mut object = object;
        self.check_identity(live, &mut object)?;
        let mut object = convert::to_stored(resource, object);
        object["apiVersion"] = live.value["apiVersion"].clone();
        object["kind"] = live.value["kind"].clone();
        for key in KEPT_METADATA {
            match live.value["metadata"].get(key) {
                Some(value) => object["metadata"][key] = value.clone(),
                None => drop(
                    object["metadata"]
                        .as_object_mut()
                        .and_then(|m| m.remove(key)),
                ),
            }
        }
        let mut object = self.confine(live, object);
        let key = (resource.group.as_str(), resource.plural.as_str());
        if resource.custom.is_none() {
            defaults::for_any(key, &mut object);
            keep_allocated(resource, &live.value, &mut object);
            allocate(t, resource, &mut object);
            defaults::drop_nulls(&mut object);
        }
        if live.value["metadata"]["deletionTimestamp"].is_string() {
            let names = |o: &Value| {
                o["metadata"]["finalizers"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            };
            let before = names(&live.value);
            if names(&object).iter().any(|f| !before.contains(f)) {
                let cause = Cause::forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted",
                );
                return Err(Refusal::invalid(resource, live.name(), &[cause]));
            }
        }
        if !tracked {
            apply::track(
                Some(&live.value),
                &mut object,
                &self.schema(),
                &self.options.writer,
            );
        }
        if resource.custom.is_none() {
            defaults::admit(key, &mut object);
        }
        if has_generation(resource) && differs_in_content(&live.value, &object) {
            let generation = live.value["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = (generation + 1).into();
        }
        let causes = validation::updated(resource, &live.value, &object);
        if !causes.is_empty() {
            return Err(Refusal::invalid(resource, live.name(), &causes));
        }
        object["metadata"]["resourceVersion"] = live.value["metadata"]["resourceVersion"].clone();
        if apply::same_but_for_times(&live.value, &object) {
            return Ok(Arc::clone(live));
        }
        let stored = t.put(&resource.storage, object);
        if let Some(removed) = delete::settle(t, &resource.storage, &stored) {
            return Ok(removed);
        }
        Ok(stored)
    }

    /// What this door lets through: `/status` the status, the main one all but the status.
    fn confine(&self, live: &Stored, object: Value) -> Value {
        let resource = &*self.resource;
        let has_status = match &resource.custom {
            Some(custom) => custom.has_status,
            None => resource.subresource("status").is_some(),
        };
        match self.options.writer.subresource.as_str() {
            "status" => {
                let mut confined = live.value.clone();
                match object.get("status") {
                    Some(status) => confined["status"] = status.clone(),
                    None => drop(confined.as_object_mut().and_then(|o| o.remove("status"))),
                }
                match object["metadata"].get("managedFields") {
                    Some(fields) => confined["metadata"]["managedFields"] = fields.clone(),
                    None => drop(
                        confined["metadata"]
                            .as_object_mut()
                            .and_then(|m| m.remove("managedFields")),
                    ),
                }
                confined
            }
            "finalize" => {
                let mut confined = live.value.clone();
                confined["spec"] = object["spec"].clone();
                confined
            }
            _ if has_status && !resource.is("", "nodes") => {
                let mut confined = object;
                match live.value.get("status") {
                    Some(status) => confined["status"] = status.clone(),
                    None => drop(confined.as_object_mut().and_then(|o| o.remove("status"))),
                }
                if resource.is("", "namespaces") {
                    confined["spec"] = live.value["spec"].clone();
                }
                confined
            }
            _ => object,
        }
    }

    fn check_identity(&self, live: &Stored, object: &mut Value) -> Result<(), Refusal> {
        let resource = &*self.resource;
        let metadata = &object["metadata"];
        if let Some(version) = metadata["resourceVersion"]
            .as_str()
            .filter(|v| !matches!(*v, "" | "0"))
        {
            if version != live.resource_version.to_string() {
                return Err(Refusal::modified(resource, live.name()));
            }
        } else if is_conditional(resource)
            && self.options.writer.subresource.is_empty()
            && metadata["resourceVersion"].is_null()
        {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            return Err(Refusal::invalid(resource, live.name(), &[cause]));
        }
        if let Some(uid) = metadata["uid"]
            .as_str()
            .filter(|u| !u.is_empty() && *u != live.uid())
        {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                live.uid()
            );
            return Err(Refusal::conflict(resource, live.name(), why));
        }
        if let (Some(given), Some(namespace)) = (metadata["namespace"].as_str(), live.namespace())
            && given != namespace
        {
            return Err(Refusal::bad_request(NAMESPACE_MISMATCH));
        }
        Ok(())
    }

    fn check_namespace(&self, t: &Transaction<'_>, object: &mut Value) -> Result<(), Refusal> {
        let resource = &*self.resource;
        if !resource.namespaced {
            object["metadata"]
                .as_object_mut()
                .map(|m| m.remove("namespace"));
            return Ok(());
        }
        let namespace = self.target.namespace.clone().unwrap_or_default();
        match object["metadata"]["namespace"].as_str() {
            Some(given) if !given.is_empty() && given != namespace => {
                return Err(Refusal::bad_request(NAMESPACE_MISMATCH));
            }
            _ => object["metadata"]["namespace"] = namespace.clone().into(),
        }
        let Some(found) = t.get("namespaces", &namespace) else {
            return Err(Refusal::namespace_not_found(&namespace));
        };
        if found.value["metadata"]["deletionTimestamp"].is_string() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let mut refusal = Refusal::forbidden(resource, name, why);
            if let Some(details) = &mut refusal.details {
                details["causes"] = json!([{"reason": "NamespaceTerminating",
                    "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace"}]);
            }
            return Err(refusal);
        }
        Ok(())
    }

    fn check_decoded(&self, object: &mut Value, warnings: &mut Vec<String>) -> Result<(), Refusal> {
        let findings = self.schema().prune(object);
        check_types(&self.resource, object, &findings, |mismatch| {
            Refusal::bad_request(format!("error decoding patch: {mismatch}"))
        })?;
        let unknown: Vec<String> = findings
            .unknown
            .iter()
            .map(|path| format!("unknown field {path:?}"))
            .collect();
        match self.options.validation {
            FieldValidation::Strict if !unknown.is_empty() => Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                format!(
                    " {:?} is invalid: patch: Invalid value: strict decoding error: {}",
                    "",
                    unknown.join(", ")
                ),
            )),
            FieldValidation::Warn => {
                warnings.extend(unknown);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn may_create_by_update(&self) -> bool {
        let resource = &*self.resource;
        self.options.writer.subresource.is_empty()
            && (resource.group == "rbac.authorization.k8s.io"
                || resource.is("coordination.k8s.io", "leases")
                || resource.group.is_empty()
                    && matches!(
                        resource.plural.as_str(),
                        "limitranges" | "events" | "services" | "endpoints"
                    ))
    }

    pub(super) fn served(&self, stored: &Stored) -> Value {
        let mut served = convert::to_served(&self.resource, &stored.value)
            .unwrap_or_else(|| stored.value.clone());
        served["apiVersion"] = self.resource.api_version().into();
        served["kind"] = self.resource.kind.clone().into();
        served
    }

    fn schema(&self) -> Field {
        schema_of(&self.resource)
    }
}

/// Whether the kind counts changes of its spec.
fn has_generation(resource: &Resource) -> bool {
    resource.custom.is_some()
        || matches!(
            (resource.group.as_str(), resource.plural.as_str()),
            ("", "pods" | "podtemplates" | "replicationcontrollers")
                | (
                    "apps",
                    "deployments" | "replicasets" | "statefulsets" | "daemonsets"
                )
                | ("batch" | "networking.k8s.io", _)
                | ("policy", "poddisruptionbudgets")
                | ("scheduling.k8s.io", "priorityclasses")
                | ("discovery.k8s.io", "endpointslices")
                | ("apiextensions.k8s.io", _)
        )
}

/// Kinds that may not be replaced without naming a resource version.
fn is_conditional(resource: &Resource) -> bool {
    resource.is("coordination.k8s.io", "leases")
        || resource.is("policy", "poddisruptionbudgets")
        || resource.custom.is_some()
}

fn differs_in_content(before: &Value, after: &Value) -> bool {
    let content = |value: &Value| {
        let mut value = value.clone();
        if let Some(map) = value.as_object_mut() {
            map.remove("metadata");
            map.remove("status");
        }
        value
    };
    content(before) != content(after)
}

/// A definition is established at once: its kind is served from now on.
fn crd_status(resource: &Resource, object: &mut Value) {
    if &*resource.storage != crd::STORAGE {
        return;
    }
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": clock::now(), "reason": reason, "message": message});
    let versions = object["spec"]["versions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let stored: Vec<&Value> = versions
        .iter()
        .filter(|v| v["storage"] == true)
        .map(|v| &v["name"])
        .collect();
    object["status"] = json!({
        "acceptedNames": object["spec"]["names"], "storedVersions": stored,
        "conditions": [condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted")],
    });
}

fn gvk_version(resource: &Resource) -> String {
    format!("{}/{}", resource.group, resource.version)
}

/// A name that begins with `prefix`, and that is not taken unless each of several is, as in kube-apiserver.
fn generated_name(prefix: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let kept: String = prefix.chars().take(MAX_GENERATED_PREFIX).collect();
    let name = || format!("{kept}{}", random_suffix());
    let mut names = std::iter::repeat_with(name).take(GENERATED_NAMES - 1);
    names.find(|name| !is_taken(name)).unwrap_or_else(name)
}

fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    random_bytes()[..5]
        .iter()
        .map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()]))
        .collect()
}

/// A writer that creates by server-side apply: `managedFields` are there already.
const APPLYING: &str = "\0apply";
const MAX_GENERATED_PREFIX: usize = 63 - 5;
const GENERATED_NAMES: usize = 8;
const NAMESPACE_MISMATCH: &str =
    "the namespace of the provided object does not match the namespace sent on the request";
const KEPT_METADATA: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_generated_name_that_is_taken_is_generated_again_a_few_times() {
        let tried = RefCell::new(Vec::new());
        let taken_times = |times: usize| {
            tried.borrow_mut().clear();
            let name = generated_name("web-", |name| {
                tried.borrow_mut().push(name.to_owned());
                tried.borrow().len() <= times
            });
            (name, tried.borrow().clone())
        };
        let (name, tried) = taken_times(6);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(tried.len(), 7);
        assert!(!tried[..6].contains(&name), "{name} is taken: {tried:?}");
        // Then it is said to exist.
        let (_, tried) = taken_times(usize::MAX);
        assert_eq!(tried.len(), 7);
    }
}
