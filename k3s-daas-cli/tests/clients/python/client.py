"""What people do with the Python client, one part a run; prints what came of it.

    client.py PART NAMESPACE
"""

import sys

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

APPLY = "application/apply-patch+yaml"


def crud(core, namespace):
    body = {"metadata": {"name": "made", "labels": {"by": "python"}}, "data": {"colour": "green"}}
    show("created", core.create_namespaced_config_map(namespace, body).data)
    refused("created twice", lambda: core.create_namespaced_config_map(namespace, body))
    made = core.read_namespaced_config_map("made", namespace)
    stale = core.read_namespaced_config_map("made", namespace)
    made.data["colour"] = "blue"
    show("replaced", core.replace_namespaced_config_map("made", namespace, made).data)
    stale.data["colour"] = "red"
    refused("replaced what is stale", lambda: core.replace_namespaced_config_map("made", namespace, stale))
    secret = {"metadata": {"name": "secret"}, "data": {"bytes": "AP/+gA=="}}
    show("secret", core.create_namespaced_secret(namespace, secret).data)
    selected = core.list_namespaced_config_map(namespace, label_selector="by=python", field_selector="metadata.name=made")
    show("selected", [one.metadata.name for one in selected.items])
    show("dry", core.create_namespaced_config_map(namespace, {"metadata": {"name": "dry"}}, dry_run="All").metadata.name)
    refused("not there", lambda: core.read_namespaced_config_map("dry", namespace))
    refused("not valid", lambda: core.create_namespaced_config_map(namespace, {"metadata": {"name": "Not Valid"}}))
    refused("nowhere", lambda: core.create_namespaced_config_map("nowhere", body))
    # The client quotes the colon.
    role = client.RbacAuthorizationV1Api().read_cluster_role("system:node")
    show("name with a colon", [role.metadata.name, len(role.rules) > 3])
    options = client.V1DeleteOptions(propagation_policy="Background", preconditions={"uid": made.metadata.uid})
    core.delete_namespaced_config_map("made", namespace, body=options)
    refused("deleted twice", lambda: core.delete_namespaced_config_map("made", namespace))
    core.create_namespaced_config_map(namespace, body)
    gone = core.delete_collection_namespaced_config_map(namespace, label_selector="by=python")
    show("deleted all", type(gone).__name__)
    show("left", [one.metadata.name for one in core.list_namespaced_config_map(namespace, label_selector="by").items])


def patch(core, namespace):
    apps = client.AppsV1Api()
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx:1"}]},
    }
    apps.create_namespaced_deployment(
        namespace,
        {
            "metadata": {"name": "web"},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
    )

    def patched(kind, body):
        return apps.patch_namespaced_deployment("web", namespace, body, _content_type=kind)

    merged = patched("application/merge-patch+json", {"metadata": {"annotations": {"note": "merged"}}})
    show("merged", merged.metadata.annotations["note"])
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox:1"}]}}}}
    strategic = patched("application/strategic-merge-patch+json", side)
    show("strategic", sorted(one.name for one in strategic.spec.template.spec.containers))
    replaced = patched("application/json-patch+json", [{"op": "replace", "path": "/spec/replicas", "value": 1}])
    show("by json", replaced.spec.replicas)
    wrong = [{"op": "test", "path": "/spec/replicas", "value": 7}]
    refused("test failed", lambda: patched("application/json-patch+json", wrong))
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 0}})
    show("scaled", [scale.kind, scale.spec.replicas])
    status = apps.read_namespaced_deployment_status("web", namespace)
    show("status", [status.kind, status.spec.replicas])


def apply(core, namespace):
    def applied(colour, manager, force=None):
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "applied"},
            "data": {"colour": colour},
        }
        return core.patch_namespaced_config_map(
            "applied", namespace, body, field_manager=manager, force=force, _content_type=APPLY
        )

    show("applied", applied("green", "first").data)
    show("again", applied("green", "first").data)
    refused("conflict", lambda: applied("blue", "second"))
    forced = applied("blue", "second", force=True)
    show("forced", forced.data)
    show("managers", [[one.manager, one.operation] for one in forced.metadata.managed_fields])


def paging(core, namespace):
    for number in range(12):
        core.create_namespaced_config_map(
            namespace, {"metadata": {"name": f"page-{number:02}", "labels": {"paged": "yes"}}}
        )
    token = None
    while True:
        page = core.list_namespaced_config_map(namespace, label_selector="paged", limit=5, _continue=token)
        show("page", [one.metadata.name for one in page.items])
        token = page.metadata._continue
        if not token:
            break
    plain = core.list_namespaced_config_map(namespace, limit=5)
    show("remaining", plain.metadata.remaining_item_count)
    cached = core.list_namespaced_config_map(
        namespace, label_selector="paged", resource_version="0", resource_version_match="NotOlderThan"
    )
    show("cached", len(cached.items) <= 12)
    exact = core.list_namespaced_config_map(
        namespace,
        label_selector="paged",
        resource_version=plain.metadata.resource_version,
        resource_version_match="Exact",
    )
    show("exact", len(exact.items))
    refused("no token", lambda: core.list_namespaced_config_map(namespace, limit=5, _continue="nonsense"))
    refused("old version", lambda: core.list_namespaced_config_map(namespace, resource_version="1", resource_version_match="Exact"))


def watching(core, namespace):
    since = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "seen"}})
    core.patch_namespaced_config_map("seen", namespace, {"data": {"colour": "green"}})
    core.delete_namespaced_config_map("seen", namespace)
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, resource_version=since, timeout_seconds=30
    )
    for event in stream:
        show(event["type"], [event["object"].metadata.name, event["object"].data])
        if event["type"] == "DELETED":
            break


def discovered(_, namespace):
    found = dynamic.DynamicClient(client.ApiClient())
    jobs = found.resources.get(api_version="batch/v1", kind="CronJob")
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {
            "schedule": "0 3 * * *",
            "suspend": True,
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1"}]}
                    }
                }
            },
        },
    }
    show("created", jobs.create(body=job, namespace=namespace).spec.schedule)
    applied = jobs.server_side_apply(body=job, name="nightly", namespace=namespace, field_manager="python", force_conflicts=True)
    show("applied", applied.spec.suspend)
    show("listed", [one.metadata.name for one in jobs.get(namespace=namespace).items])
    show("deleted", jobs.delete(name="nightly", namespace=namespace).status)


def show(what, value):
    print(f"{what}: {value}")


def refused(what, call):
    try:
        call()
    except ApiException as error:
        status = error.body if isinstance(error.body, str) else ""
        print(f"{what}: {error.status} {error.reason} {status.strip()}")
    else:
        print(f"{what}: not refused")


if __name__ == "__main__":
    part, namespace = sys.argv[1:]
    config.load_kube_config()
    globals()[part](client.CoreV1Api(), namespace)
