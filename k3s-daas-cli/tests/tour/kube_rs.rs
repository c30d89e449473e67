//! What people do with kube-rs, one part a run, in this process; says what came of it.

use std::fmt::{Debug, Write as _};
use std::path::Path;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent,
    WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Config, Error};
use serde_json::{Value, json};

use crate::support::Run;

/// Runs `part` in `namespace` of a kubeconfig's cluster.
pub fn run(part: &str, kubeconfig: &Path, namespace: &str) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut said = Said(String::new());
    let ended = runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = Client::try_from(config.unwrap())?;
        match part {
            "crud" => crud(&client, namespace, &mut said).await,
            "patch" => patch(&client, namespace, &mut said).await,
            "apply" => apply(&client, namespace, &mut said).await,
            "paging" => paging(&client, namespace, &mut said).await,
            "watching" => watching(&client, namespace, &mut said).await,
            "discovered" => discovered(&client, namespace, &mut said).await,
            _ => panic!("no part {part}"),
        }
    });
    Run {
        code: i32::from(ended.is_err()),
        out: said.0,
        err: ended.map_or_else(|error| error.to_string(), |()| String::new()),
    }
}

async fn crud(client: &Client, namespace: &str, said: &mut Said) -> Result<(), Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let post = PostParams::default();
    let body = config_map(
        json!({"metadata": {"name": "made", "labels": {"by": "rust"}}, "data": {"colour": "green"}}),
    );
    let made = maps.create(&post, &body).await?;
    said.show("created", &made.data);
    said.refused("created twice", maps.create(&post, &body).await);
    let mut changed = made.clone();
    changed.data = config_map(json!({"data": {"colour": "blue"}})).data;
    let replaced = maps.replace("made", &post, &changed).await?;
    said.show("replaced", &replaced.data);
    said.refused(
        "replaced what is stale",
        maps.replace("made", &post, &made).await,
    );
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = json!({"metadata": {"name": "secret"}, "data": {"bytes": "AP/+gA=="}});
    let secret = secrets
        .create(&post, &serde_json::from_value(secret).unwrap())
        .await?;
    said.show("secret", &secret.data);
    let selection = ListParams::default()
        .labels("by in (rust)")
        .fields("metadata.name=made");
    said.show("selected", &names(&maps.list(&selection).await?.items));
    said.refused("not there", maps.get("nobody").await);
    said.show("perhaps", &maps.get_opt("nobody").await?.is_some());
    let invalid = config_map(json!({"metadata": {"name": "Not Valid"}}));
    said.refused("not valid", maps.create(&post, &invalid).await);
    let nowhere: Api<ConfigMap> = Api::namespaced(client.clone(), "nowhere");
    said.refused("nowhere", nowhere.create(&post, &body).await);
    let roles: Api<ClusterRole> = Api::all(client.clone());
    said.show(
        "name with a colon",
        &roles.get("system:node").await?.metadata.name,
    );
    let only_this = DeleteParams::default().preconditions(Preconditions {
        uid: made.metadata.uid.clone(),
        ..Preconditions::default()
    });
    said.show(
        "deleted",
        &maps.delete("made", &only_this).await?.is_right(),
    );
    said.refused("deleted twice", maps.delete("made", &only_this).await);
    maps.create(&post, &body).await?;
    let all = ListParams::default().labels("by=rust");
    maps.delete_collection(&DeleteParams::default(), &all)
        .await?;
    said.show("left", &names(&maps.list(&all).await?.items));
    Ok(())
}

async fn patch(client: &Client, namespace: &str, said: &mut Said) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let body = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1"}]},
            },
        },
    });
    let body = serde_json::from_value(body).unwrap();
    deployments.create(&PostParams::default(), &body).await?;
    let params = PatchParams::default();
    let merge = json!({"metadata": {"annotations": {"note": "merged"}}});
    let merged = deployments
        .patch("web", &params, &Patch::Merge(merge))
        .await?;
    said.show("merged", &merged.metadata.annotations.unwrap()["note"]);
    let side = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox:1"}]}}}});
    let strategic = deployments
        .patch("web", &params, &Patch::Strategic(side))
        .await?;
    let template = strategic.spec.unwrap().template.spec.unwrap();
    let mut containers: Vec<String> = template.containers.into_iter().map(|c| c.name).collect();
    containers.sort();
    said.show("strategic", &containers);
    let scale = json!({"spec": {"replicas": 2}});
    let scaled = deployments
        .patch_scale("web", &params, &Patch::Merge(scale))
        .await?;
    said.show("scaled", &scaled.spec);
    let nothing = Patch::Merge(json!({}));
    said.refused(
        "not there",
        deployments.patch("nobody", &params, &nothing).await,
    );
    Ok(())
}

async fn apply(client: &Client, namespace: &str, said: &mut Said) -> Result<(), Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let body = |colour: &str| {
        Patch::Apply(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "applied"},
            "data": {"colour": colour},
        }))
    };
    let (first, second) = (PatchParams::apply("first"), PatchParams::apply("second"));
    let applied = maps.patch("applied", &first, &body("green")).await?;
    said.show("applied", &applied.data);
    said.refused(
        "conflict",
        maps.patch("applied", &second, &body("blue")).await,
    );
    let forced = maps
        .patch("applied", &second.force(), &body("blue"))
        .await?;
    said.show("forced", &forced.data);
    let managers = forced.metadata.managed_fields.into_iter().flatten();
    let managers: Vec<_> = managers.map(|one| (one.manager, one.operation)).collect();
    said.show("managers", &managers);
    Ok(())
}

async fn paging(client: &Client, namespace: &str, said: &mut Said) -> Result<(), Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    for number in 0..12 {
        let name = format!("page-{number:02}");
        let body = json!({"metadata": {"name": name, "labels": {"paged": "yes"}}});
        maps.create(&PostParams::default(), &config_map(body))
            .await?;
    }
    let mut params = ListParams::default().labels("paged").limit(5);
    loop {
        let page = maps.list(&params).await?;
        said.show("page", &names(&page.items));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let plain = maps.list(&ListParams::default().limit(5)).await?;
    said.show("remaining", &plain.metadata.remaining_item_count);
    let partial = maps
        .list_metadata(&ListParams::default().labels("paged"))
        .await?;
    said.show("metadata", &(partial.items.len(), &partial.types));
    let nonsense = ListParams::default().limit(5).continue_token("nonsense");
    said.refused("no token", maps.list(&nonsense).await);
    Ok(())
}

async fn watching(client: &Client, namespace: &str, said: &mut Said) -> Result<(), Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let since = maps.list(&ListParams::default()).await?.metadata;
    let body = config_map(json!({"metadata": {"name": "seen"}}));
    maps.create(&PostParams::default(), &body).await?;
    maps.delete("seen", &DeleteParams::default()).await?;
    let version = since.resource_version.unwrap();
    let events = maps
        .watch(&WatchParams::default().timeout(30), &version)
        .await?;
    let mut events = events.boxed();
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(one) => said.show("added", &one.metadata.name),
            WatchEvent::Deleted(one) => {
                said.show("deleted", &one.metadata.name);
                break;
            }
            other => said.show("other", &other),
        }
    }
    Ok(())
}

async fn discovered(client: &Client, namespace: &str, said: &mut Said) -> Result<(), Error> {
    let version = client.apiserver_version().await?;
    said.show("version", &(version.major, version.minor));
    let kind = GroupVersionKind::gvk("batch", "v1", "CronJob");
    let (resource, capabilities) = kube::discovery::pinned_kind(client, &kind).await?;
    said.show(
        "resource",
        &(&resource.plural, capabilities.supports_operation("patch")),
    );
    let jobs: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let spec = json!({
        "schedule": "0 3 * * *",
        "suspend": true,
        "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "busybox:1"}],
        }}}},
    });
    let job = DynamicObject::new("nightly", &resource).data(json!({"spec": spec}));
    let made = jobs.create(&PostParams::default(), &job).await?;
    said.show("created", &made.data["spec"]["schedule"]);
    jobs.delete("nightly", &DeleteParams::default()).await?;
    let nonsense = ApiResource::from_gvk(&GroupVersionKind::gvk("batch", "v1", "Nonsense"));
    let nonsense: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &nonsense);
    said.refused("no such kind", nonsense.list(&ListParams::default()).await);
    Ok(())
}

fn config_map(body: Value) -> ConfigMap {
    serde_json::from_value(body).unwrap()
}

fn names(items: &[ConfigMap]) -> Vec<&str> {
    let names = items.iter().map(|one| one.metadata.name.as_deref());
    names.flatten().collect()
}

/// What is said.
struct Said(String);

impl Said {
    fn show(&mut self, what: &str, value: &impl Debug) {
        writeln!(self.0, "{what}: {value:?}").unwrap();
    }

    fn refused<T>(&mut self, what: &str, outcome: Result<T, Error>) {
        match outcome {
            Err(Error::Api(status)) => self.show(what, &status),
            Err(error) => self.show(what, &format!("failed: {error}")),
            Ok(_) => self.show(what, &"not refused"),
        }
    }
}
