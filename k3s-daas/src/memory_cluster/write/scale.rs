//! `/scale`: the replicas of a workload as `autoscaling/v1` `Scale`.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Change;
use crate::memory_cluster::cluster::Cluster;
use crate::memory_cluster::crd::at_path;
use crate::memory_cluster::kinds::Resource;
use crate::memory_cluster::patch::Patch;
use crate::memory_cluster::read::object_key;
use crate::memory_cluster::request::{Request, ResourceTarget};
use crate::memory_cluster::schema::Field;
use crate::memory_cluster::server::Reply;
use crate::memory_cluster::status::{Cause, Refusal};
use crate::memory_cluster::store::Stored;

impl Cluster {
    pub(in crate::memory_cluster) fn scale(
        &self,
        request: &Request,
        resource: &Resource,
        target: &ResourceTarget,
        name: &str,
    ) -> Result<Reply, Refusal> {
        let stored = self.found(resource, target, name)?;
        let scale = scale_of(resource, &stored);
        reply(request, &scale)
    }

    pub(in crate::memory_cluster) async fn set_scale(
        self: &Arc<Self>,
        request: Request,
        resource: Arc<Resource>,
        target: ResourceTarget,
        name: String,
    ) -> Result<Reply, Refusal> {
        let mut change = Change::new(&request, &resource, target)?;
        "scale".clone_into(&mut change.options.writer.subresource);
        let wanted = if request.method == Method::PUT {
            Wanted::Whole(request.decode_body()?)
        } else {
            Wanted::Patched(Patch::parse(
                &request.content_type(),
                &request.body,
                resource.custom.is_none(),
            )?)
        };
        let scale = self
            .store
            .write(change.options.dry_run, move |t| {
                let resource = Arc::clone(&change.resource);
                let place = object_key(&resource, &change.target, &name);
                let live = t
                    .get(&resource.storage, &place)
                    .ok_or_else(|| Refusal::not_found(&resource, &name))?;
                let current = scale_of(&resource, &live);
                let scale = match &wanted {
                    Wanted::Whole(scale) => scale.clone(),
                    Wanted::Patched(Patch::Apply(configuration)) => {
                        let mut scale = current;
                        crate::memory_cluster::patch::merge(&mut scale, configuration);
                        scale
                    }
                    Wanted::Patched(patch) => patch.onto(&current, &Field::named(SCALE))?,
                };
                let mut object = change.served(&live);
                object["metadata"]
                    .as_object_mut()
                    .map(|m| m.remove("managedFields"));
                object["metadata"]["resourceVersion"] =
                    scale["metadata"]["resourceVersion"].clone();
                set_replicas(&resource, &name, &mut object, &scale)?;
                change
                    .finish(t, &live, object)
                    .map(|stored| scale_of(&resource, &stored))
            })
            .await?;
        reply(&request, &scale)
    }
}

enum Wanted {
    Whole(Value),
    Patched(Patch),
}

fn reply(request: &Request, scale: &Value) -> Result<Reply, Refusal> {
    let accepted = request.accepted(|_| false)?;
    Ok(Reply::encoded(
        StatusCode::OK,
        accepted.yaml,
        scale.to_string().into_bytes(),
    ))
}

fn set_replicas(
    resource: &Resource,
    name: &str,
    object: &mut Value,
    scale: &Value,
) -> Result<(), Refusal> {
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        number => number.as_i64().filter(|n| i32::try_from(*n).is_ok()).ok_or_else(|| {
            Refusal::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go struct field \
                 ScaleSpec.spec.replicas of type int32",
            )
        })?,
    };
    if replicas < 0 {
        let cause = Cause::invalid(
            "spec.replicas",
            &json!(replicas),
            "must be greater than or equal to 0",
        );
        return Err(Refusal::invalid(resource, name, &[cause]));
    }
    let path = match resource.custom.as_ref().and_then(|c| c.scale.as_ref()) {
        Some(paths) => paths.spec.clone(),
        None => ".spec.replicas".into(),
    };
    let mut place = object;
    for part in path.trim_start_matches('.').split('.') {
        place = &mut place[part];
    }
    *place = replicas.into();
    Ok(())
}

fn scale_of(resource: &Resource, stored: &Stored) -> Value {
    let object = &stored.value;
    let number = |path: &str| at_path(object, path).and_then(Value::as_i64).unwrap_or(0);
    let (replicas, current, selector) =
        match resource.custom.as_ref().and_then(|c| c.scale.as_ref()) {
            Some(paths) => {
                let selector = paths
                    .selector
                    .as_deref()
                    .and_then(|p| at_path(object, p))
                    .and_then(Value::as_str);
                (
                    number(&paths.spec),
                    number(&paths.status),
                    selector.unwrap_or_default().to_owned(),
                )
            }
            None => {
                let selector = &object["spec"]["selector"];
                let labels = if selector["matchLabels"].is_object() {
                    &selector["matchLabels"]
                } else {
                    selector
                };
                (
                    number(".spec.replicas"),
                    number(".status.replicas"),
                    selector_text(labels),
                )
            }
        };
    let mut metadata = json!({});
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object["metadata"].get(key) {
            metadata[key] = value.clone();
        }
    }
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": current}});
    if replicas != 0 {
        scale["spec"]["replicas"] = replicas.into();
    }
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

fn selector_text(labels: &Value) -> String {
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    pairs.join(",")
}

const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
