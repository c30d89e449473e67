//! delete, deletecollection, eviction, and what follows from a deletion: finalizers, owned
//! objects, namespaces.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::{options_refusal, read_dry_run, success};
use crate::memory_cluster::clock;
use crate::memory_cluster::cluster::Cluster;
use crate::memory_cluster::crd;
use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::read::{Filter, object_key, render, write_object};
use crate::memory_cluster::request::{Request, ResourceTarget, decode};
use crate::memory_cluster::server::Reply;
use crate::memory_cluster::status::{Cause, Refusal};
use crate::memory_cluster::store::{Stored, Transaction, key};

impl Cluster {
    pub(in crate::memory_cluster) async fn delete(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
    ) -> Result<Reply, Refusal> {
        let options = DeleteOptions::read(&request)?;
        let (dry_run, deletes_kind) = (options.dry_run, &*resource.storage == crd::STORAGE);
        let kind = Arc::clone(&resource);
        let (removed, stored) = self
            .store
            .write(dry_run, move |t| {
                let place = object_key(&kind, &target, &name);
                let live = t
                    .get(&kind.storage, &place)
                    .ok_or_else(|| Refusal::not_found(&kind, &name))?;
                options.check(&kind, &live)?;
                check_protected(&kind, &name)?;
                Ok(delete_object(t, &kind.storage, &live, options.policy))
            })
            .await?;
        if deletes_kind && !dry_run {
            self.reload_custom_kinds();
        }
        if removed && !returns_object(&resource) {
            let mut details =
                json!({"name": stored.name(), "kind": resource.plural, "uid": stored.uid()});
            if !resource.group.is_empty() {
                details["group"] = resource.group.clone().into();
            }
            let accepted = request.accepted(|_| true)?;
            return Ok(Reply::encoded(
                StatusCode::OK,
                accepted.yaml,
                success(Some(details)).to_string().into_bytes(),
            ));
        }
        render(&request, &resource, StatusCode::OK, Ok(stored))
    }

    pub(in crate::memory_cluster) async fn delete_collection(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
    ) -> Result<Reply, Refusal> {
        let options = DeleteOptions::read(&request)?;
        let filter = Filter::of(&request, &resource, &target)?;
        let (dry_run, deletes_kinds) = (options.dry_run, &*resource.storage == crd::STORAGE);
        let kind = Arc::clone(&resource);
        let deleted = self
            .store
            .write(dry_run, move |t| {
                let mut deleted = Vec::new();
                for live in t.list(&kind.storage, filter.namespace()) {
                    // An earlier deletion may have taken it along.
                    let place = key(live.namespace(), live.name());
                    if filter.matches(&live.value) && t.get(&kind.storage, &place).is_some() {
                        delete_object(t, &kind.storage, &live, options.policy);
                        deleted.push(live);
                    }
                }
                Ok(deleted)
            })
            .await?;
        if deletes_kinds && !dry_run {
            self.reload_custom_kinds();
        }
        let version = self.store.resource_version().to_string();
        let mut body = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"items\":[",
            Value::from(resource.list_kind.as_str()),
            Value::from(resource.api_version())
        )
        .into_bytes();
        for (index, object) in deleted.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write_object(&mut body, &resource, object, resource.custom.is_some());
        }
        body.extend_from_slice(b"]}\n");
        let accepted = request.accepted(|_| true)?;
        Ok(Reply::encoded(StatusCode::OK, accepted.yaml, body))
    }

    pub(in crate::memory_cluster) async fn evict(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
    ) -> Result<Reply, Refusal> {
        let eviction = request.decode_body()?;
        if eviction["metadata"]["name"]
            .as_str()
            .is_some_and(|n| n != name)
        {
            return Err(Refusal::bad_request(
                "name in URL does not match name in Eviction object",
            ));
        }
        let dry_run = read_dry_run(&request.query.all("dryRun"))
            .map_err(|c| options_refusal("CreateOptions", &c))?;
        self.store
            .write(dry_run, move |t| {
                let place = object_key(&resource, &target, &name);
                let live = t
                    .get(&resource.storage, &place)
                    .ok_or_else(|| Refusal::not_found(&resource, &name))?;
                Ok(delete_object(
                    t,
                    &resource.storage,
                    &live,
                    Policy::Background,
                ))
            })
            .await?;
        Ok(Reply::json(StatusCode::CREATED, &success(None)))
    }
}

/// `propagationPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Background,
    Foreground,
    Orphan,
}

/// Deletes, or marks as being deleted while finalizers hold it. Says whether it is gone.
fn delete_object(
    t: &mut Transaction<'_>,
    storage: &Arc<str>,
    live: &Arc<Stored>,
    policy: Policy,
) -> (bool, Arc<Stored>) {
    let mut value = live.value.clone();
    let wanted = match policy {
        Policy::Background => None,
        Policy::Foreground => Some("foregroundDeletion"),
        Policy::Orphan => Some("orphan"),
    };
    if let Some(finalizer) = wanted
        && live.value["metadata"]["deletionTimestamp"].is_null()
        && !t.dependents(live.uid()).is_empty()
    {
        let mut finalizers = value["metadata"]["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        finalizers.push(finalizer.into());
        value["metadata"]["finalizers"] = finalizers.into();
    }
    let held = value["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|f| !f.is_empty());
    let is_namespace = &**storage == "namespaces";
    if !held && !is_namespace {
        return (true, remove(t, storage, live));
    }
    let mut marked = Arc::clone(live);
    if value["metadata"]["deletionTimestamp"].is_null() {
        value["metadata"]["deletionTimestamp"] = clock::now().into();
        value["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        if let Some(generation) = value["metadata"]["generation"].as_i64() {
            value["metadata"]["generation"] = (generation + 1).into();
        }
        if is_namespace {
            value["status"]["phase"] = "Terminating".into();
        }
        marked = t.put(storage, value);
    }
    if is_namespace {
        for (storage, object) in t.in_namespace(marked.name()) {
            if t.get(&storage, &key(object.namespace(), object.name()))
                .is_some()
            {
                delete_object(t, &storage, &object, Policy::Background);
            }
        }
        // Nothing may have been in it that would have taken it along.
        settle_namespace(t, marked.name());
    }
    collect(t, storage, &marked);
    let place = key(marked.namespace(), marked.name());
    // Kubernetes answers with the object as it was marked, also if it is gone right after.
    match (t.get(storage, &place), is_namespace) {
        (None, false) => (true, marked),
        (_, true) => (false, marked),
        (Some(now), false) => match settle(t, storage, &now) {
            Some(removed) => (true, removed),
            None => (false, now),
        },
    }
}

/// Goes on with namespaces whose deletion began before this start.
pub(in crate::memory_cluster) fn resume_namespaces(t: &mut Transaction<'_>) {
    let storage: Arc<str> = "namespaces".into();
    for namespace in t.list(&storage, None) {
        if namespace.value["metadata"]["deletionTimestamp"].is_string() {
            delete_object(t, &storage, &namespace, Policy::Background);
        }
    }
}

/// Removes an object whose deletion nothing holds up any more; returns its last state.
pub(super) fn settle(
    t: &mut Transaction<'_>,
    storage: &Arc<str>,
    stored: &Arc<Stored>,
) -> Option<Arc<Stored>> {
    let metadata = &stored.value["metadata"];
    let held = metadata["finalizers"]
        .as_array()
        .is_some_and(|f| !f.is_empty());
    if !metadata["deletionTimestamp"].is_string() || held {
        return None;
    }
    if &**storage == "namespaces" {
        settle_namespace(t, stored.name());
        return t
            .get(storage, stored.name())
            .is_none()
            .then(|| Arc::clone(stored));
    }
    Some(remove(t, storage, stored))
}

/// Removes an object and what hangs on it.
fn remove(t: &mut Transaction<'_>, storage: &Arc<str>, stored: &Arc<Stored>) -> Arc<Stored> {
    let place = key(stored.namespace(), stored.name());
    let Some(removed) = t.remove(storage, &place) else {
        return Arc::clone(stored);
    };
    for (storage, dependent) in t.dependents(removed.uid()) {
        release(t, &storage, &dependent, removed.uid());
    }
    for owner in removed.value["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
    {
        settle_owner(
            t,
            owner["uid"].as_str().unwrap_or_default(),
            removed.namespace(),
        );
    }
    if let Some(namespace) = removed.namespace() {
        settle_namespace(t, namespace);
    }
    if &**storage == crd::STORAGE {
        let instances: Arc<str> = removed.name().into();
        for object in t.list(&instances, None) {
            remove(t, &instances, &object);
        }
    }
    removed
}

/// An owner of `dependent` is gone: it goes too, unless another owner is left.
fn release(t: &mut Transaction<'_>, storage: &Arc<str>, dependent: &Arc<Stored>, owner: &str) {
    let owners = dependent.value["metadata"]["ownerReferences"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let left: Vec<Value> = owners.into_iter().filter(|o| o["uid"] != owner).collect();
    let alive = left
        .iter()
        .any(|o| t.uid_exists(o["uid"].as_str().unwrap_or_default()));
    if alive {
        let mut value = dependent.value.clone();
        value["metadata"]["ownerReferences"] = left.into();
        t.put(storage, value);
    } else {
        delete_object(t, storage, dependent, Policy::Background);
    }
}

/// Does what the garbage collector's finalizers ask for.
fn collect(t: &mut Transaction<'_>, storage: &Arc<str>, owner: &Arc<Stored>) {
    let has = |finalizer: &str| {
        owner.value["metadata"]["finalizers"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|f| f == finalizer)
    };
    if has("orphan") {
        for (storage, dependent) in t.dependents(owner.uid()) {
            let mut value = dependent.value.clone();
            let owners = value["metadata"]["ownerReferences"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let left: Vec<Value> = owners
                .into_iter()
                .filter(|o| o["uid"] != owner.uid())
                .collect();
            match left.is_empty() {
                true => drop(
                    value["metadata"]
                        .as_object_mut()
                        .and_then(|m| m.remove("ownerReferences")),
                ),
                false => value["metadata"]["ownerReferences"] = left.into(),
            }
            t.put(&storage, value);
        }
        drop_finalizer(t, storage, owner, "orphan");
    }
    if has("foregroundDeletion") {
        for (storage, dependent) in t.dependents(owner.uid()) {
            delete_object(t, &storage, &dependent, Policy::Foreground);
        }
        if t.dependents(owner.uid()).is_empty() {
            drop_finalizer(t, storage, owner, "foregroundDeletion");
        }
    }
}

fn drop_finalizer(
    t: &mut Transaction<'_>,
    storage: &Arc<str>,
    stored: &Arc<Stored>,
    finalizer: &str,
) {
    let Some(now) = t.get(storage, &key(stored.namespace(), stored.name())) else {
        return;
    };
    let mut value = now.value.clone();
    let finalizers = value["metadata"]["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let left: Vec<Value> = finalizers.into_iter().filter(|f| f != finalizer).collect();
    match left.is_empty() {
        true => drop(
            value["metadata"]
                .as_object_mut()
                .and_then(|m| m.remove("finalizers")),
        ),
        false => value["metadata"]["finalizers"] = left.into(),
    }
    let stored = t.put(storage, value);
    settle(t, storage, &stored);
}

/// An owner that waits in the foreground goes when its last dependent went.
fn settle_owner(t: &mut Transaction<'_>, uid: &str, namespace: Option<&str>) {
    if !t.uid_exists(uid) || !t.dependents(uid).is_empty() {
        return;
    }
    let Some((storage, owner)) = t.by_uid(uid, namespace) else {
        return;
    };
    let waits = owner.value["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|f| f == "foregroundDeletion");
    if waits && owner.value["metadata"]["deletionTimestamp"].is_string() {
        drop_finalizer(t, &storage, &owner, "foregroundDeletion");
    }
}

/// A namespace that is being deleted goes when it is empty.
fn settle_namespace(t: &mut Transaction<'_>, name: &str) {
    let Some(namespace) = t.get("namespaces", name) else {
        return;
    };
    let metadata = &namespace.value["metadata"];
    let held = metadata["finalizers"]
        .as_array()
        .is_some_and(|f| !f.is_empty());
    let foreign = namespace.value["spec"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|f| f != "kubernetes");
    if metadata["deletionTimestamp"].is_string()
        && !held
        && !foreign
        && t.in_namespace(name).is_empty()
    {
        remove(t, &"namespaces".into(), &namespace);
    }
}

/// `meta/v1` `DeleteOptions` from the body and the query.
#[derive(Debug)]
struct DeleteOptions {
    dry_run: bool,
    policy: Policy,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let body = if request.body.is_empty() {
            json!({})
        } else {
            decode(&request.body, &request.content_type())?
        };
        if !body["kind"].is_null() && body["kind"] != "DeleteOptions" {
            return Err(Refusal::bad_request(format!(
                "{} cannot be handled as a DeleteOptions",
                body["kind"]
            )));
        }
        let query = &request.query;
        let invalid = |cause: Cause| options_refusal("DeleteOptions", &cause);
        let in_body: Vec<&str> = body["dryRun"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let dry_run = read_dry_run(&[query.all("dryRun"), in_body].concat()).map_err(invalid)?;
        let policy = body["propagationPolicy"]
            .as_str()
            .or_else(|| query.one("propagationPolicy"));
        let orphan = body["orphanDependents"].as_bool().or_else(|| {
            query
                .one("orphanDependents")
                .map(|_| query.flag("orphanDependents"))
        });
        let policy = match (policy, orphan) {
            (Some(policy), Some(_)) => {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                return Err(invalid(Cause::invalid(
                    "propagationPolicy",
                    &json!(policy),
                    why,
                )));
            }
            (None, None | Some(false)) | (Some("Background"), _) => Policy::Background,
            (None, Some(true)) | (Some("Orphan"), _) => Policy::Orphan,
            (Some("Foreground"), _) => Policy::Foreground,
            (Some(other), _) => {
                let known = ["Background", "Foreground", "Orphan"];
                return Err(invalid(Cause::unsupported(
                    "propagationPolicy",
                    &json!(other),
                    &known,
                )));
            }
        };
        let precondition = |key: &str| body["preconditions"][key].as_str().map(str::to_owned);
        Ok(Self {
            dry_run,
            policy,
            uid: precondition("uid"),
            resource_version: precondition("resourceVersion"),
        })
    }

    fn check(&self, resource: &Resource, live: &Stored) -> Result<(), Refusal> {
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != live.uid()) {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
                 deleted and then recreated",
                live.uid()
            );
            return Err(Refusal::precondition(resource, live.name(), why));
        }
        let current = live.resource_version.to_string();
        if let Some(version) = self.resource_version.as_deref().filter(|v| *v != current) {
            let why = format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
                 ({current}). The object might have been modified"
            );
            return Err(Refusal::precondition(resource, live.name(), why));
        }
        Ok(())
    }
}

fn check_protected(resource: &Resource, name: &str) -> Result<(), Refusal> {
    if resource.is("", "namespaces") && matches!(name, "default" | "kube-system" | "kube-public") {
        return Err(Refusal::forbidden(
            resource,
            name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// Kinds whose deletion is answered with the object instead of a Status.
fn returns_object(resource: &Resource) -> bool {
    resource.is("storage.k8s.io", "storageclasses")
        || resource.group.is_empty()
            && matches!(
                resource.plural.as_str(),
                "resourcequotas"
                    | "persistentvolumes"
                    | "serviceaccounts"
                    | "persistentvolumeclaims"
                    | "namespaces"
                    | "pods"
                    | "services"
                    | "podtemplates"
            )
}
