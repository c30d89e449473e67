#!/usr/bin/env python3
"""Cuts the kinds of the memory cluster out of Kubernetes' published API.

    go mod download k8s.io/kubernetes@v1.35.2     (any empty directory)
    ./generate.py "$(go env GOMODCACHE)/k8s.io/kubernetes@v1.35.2"

writes definitions.json (one OpenAPI v3 schema a line), discovery.json (aggregated
discovery of what is served) and bootstrap.json (the default ClusterRoles and their
bindings). Needs PyYAML.
"""

import json
import os
import sys

import yaml

SERVED = {
    ("", "v1"): "configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims "
    "persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services",
    ("apps", "v1"): "controllerrevisions daemonsets deployments replicasets statefulsets",
    ("batch", "v1"): "cronjobs jobs",
    ("networking.k8s.io", "v1"): "ingresses ingressclasses networkpolicies",
    ("rbac.authorization.k8s.io", "v1"): "clusterrolebindings clusterroles rolebindings roles",
    ("policy", "v1"): "poddisruptionbudgets",
    ("autoscaling", "v2"): "horizontalpodautoscalers",
    ("autoscaling", "v1"): "horizontalpodautoscalers",
    ("storage.k8s.io", "v1"): "storageclasses",
    ("coordination.k8s.io", "v1"): "leases",
    ("scheduling.k8s.io", "v1"): "priorityclasses",
    ("apiextensions.k8s.io", "v1"): "customresourcedefinitions",
    ("events.k8s.io", "v1"): "events",
    ("discovery.k8s.io", "v1"): "endpointslices",
    ("authentication.k8s.io", "v1"): "selfsubjectreviews",
    ("authorization.k8s.io", "v1"): "localsubjectaccessreviews selfsubjectaccessreviews "
    "selfsubjectrulesreviews subjectaccessreviews",
}
SUBRESOURCES = {"status", "scale", "finalize", "log", "exec", "attach", "portforward", "eviction", "binding"}
EXTRA = ["io.k8s.api.autoscaling.v1.Scale", "io.k8s.api.policy.v1.Eviction", "io.k8s.api.core.v1.Binding"]
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
EXTRA += [META + n for n in ("DeleteOptions", "Status", "APIResourceList")]


def main(root):
    out = os.path.dirname(os.path.abspath(__file__))
    discovery(root, out)
    definitions(root, out)
    bootstrap(root, out)


def discovery(root, out):
    served = []
    documents = [json.load(open(f"{root}/api/discovery/aggregated_v2.json"))]
    core = json.load(open(f"{root}/api/discovery/api__v1.json"))
    documents.insert(0, {"items": [{"metadata": {}, "versions": [core_version(core)]}]})
    for document in documents:
        for group in document["items"]:
            name = group["metadata"].get("name", "")
            versions = []
            for version in group["versions"]:
                wanted = SERVED.get((name, version["version"]), "").split()
                resources = [r for r in version["resources"] if r["resource"] in wanted]
                assert len(resources) == len(wanted), (name, version["version"], wanted)
                for resource in resources:
                    subresources = [s for s in resource.get("subresources", []) if s["subresource"] in SUBRESOURCES]
                    resource.pop("subresources", None)
                    if subresources:
                        resource["subresources"] = subresources
                if resources:
                    versions.append({"version": version["version"], "resources": resources})
            if versions:
                served.append({"group": name, "versions": versions})
    write_lines(f"{out}/discovery.json", served)


def core_version(document):
    resources = {}
    for r in document["resources"]:
        kind = {"group": r.get("group", ""), "version": r.get("version", ""), "kind": r["kind"]}
        name, _, sub = r["name"].partition("/")
        if sub:
            if name in resources and "/" not in sub:
                resources[name].setdefault("subresources", []).append(
                    {"subresource": sub, "responseKind": kind, "verbs": r["verbs"]}
                )
            continue
        resources[name] = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if r["namespaced"] else "Cluster",
            "singularResource": r["singularName"],
            "verbs": r["verbs"],
        }
        for key in ("shortNames", "categories"):
            if key in r:
                resources[name][key] = r[key]
    return {"version": "v1", "resources": list(resources.values())}


def definitions(root, out):
    schemas = {}
    wanted = list(EXTRA)
    for group, version in SERVED:
        path = f"apis__{group}__{version}" if group else f"api__{version}"
        document = json.load(open(f"{root}/api/openapi-spec/v3/{path}_openapi.json"))
        for name, schema in document["components"]["schemas"].items():
            schemas.setdefault(name, schema)
        for resource in SERVED[(group, version)].split():
            for item in document["paths"].values():
                for verb in ("get", "post"):
                    text = json.dumps(item.get(verb, {}))
                    action = item.get(verb, {}).get("x-kubernetes-action")
                    if action in ("list", "post", "get"):
                        for part in text.split('"#/components/schemas/')[1:]:
                            wanted.append(part.split('"')[0])
    kept = {}
    while wanted:
        name = wanted.pop()
        if name in kept:
            continue
        kept[name] = schemas[name]
        for part in json.dumps(schemas[name]).split('"#/components/schemas/')[1:]:
            wanted.append(part.split('"')[0])
    served_kinds = set(SERVED)
    for schema in kept.values():
        kinds = schema.get("x-kubernetes-group-version-kind")
        if kinds:
            schema["x-kubernetes-group-version-kind"] = [
                k for k in kinds if (k["group"], k["version"]) in served_kinds
            ]
    with open(f"{out}/definitions.json", "w") as file:
        file.write("{\n")
        rows = [f"{json.dumps(n)}:{json.dumps(kept[n], separators=(',', ':'), sort_keys=True)}" for n in sorted(kept)]
        file.write(",\n".join(rows))
        file.write("\n}\n")


def bootstrap(root, out):
    base = f"{root}/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata"
    keep = {"cluster-admin", "admin", "edit", "view", "system:discovery", "system:basic-user", "system:public-info-viewer"}
    keep |= {"system:aggregate-to-" + n for n in ("admin", "edit", "view")}
    objects = []
    for file in ("cluster-roles.yaml", "cluster-role-bindings.yaml"):
        for item in yaml.safe_load(open(f"{base}/{file}"))["items"]:
            if item["metadata"]["name"] in keep:
                item["metadata"].pop("creationTimestamp", None)
                objects.append(item)
    write_lines(f"{out}/bootstrap.json", objects)


def write_lines(path, rows):
    with open(path, "w") as file:
        file.write("[\n")
        file.write(",\n".join(json.dumps(r, separators=(",", ":"), sort_keys=True) for r in rows))
        file.write("\n]\n")


main(sys.argv[1])
