#!/usr/bin/env python3
"""Cuts the kinds of the memory cluster out of Kubernetes' published API.

    go mod download k8s.io/kubernetes@v1.35.2 k8s.io/api@v0.35.2 k8s.io/apimachinery@v0.35.2
    ./generate.py "$(go env GOMODCACHE)/k8s.io"

writes definitions.json (one OpenAPI v3 schema a line), discovery.json (aggregated
discovery of what is served), bootstrap.json (the default ClusterRoles and their
bindings) and protobuf.json (the fields of each message by number). Needs PyYAML.
"""

import json
import os
import re
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
EXTRA += [META + n for n in ("DeleteOptions", "Status", "APIResourceList", "Patch")]


def main(modules):
    out = os.path.dirname(os.path.abspath(__file__))
    root = f"{modules}/kubernetes@v1.35.2"
    discovery(root, out)
    kept = definitions(root, out)
    bootstrap(root, out)
    protobuf(modules, out, kept)


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
        prefix = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
        for path, item in document["paths"].items():
            if path.replace("namespaces/{namespace}/", "")[len(prefix):] not in SERVED[(group, version)].split():
                continue
            for verb in ("get", "post"):
                for part in json.dumps(item.get(verb, {})).split('"#/components/schemas/')[1:]:
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
    return kept


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


def protobuf(modules, out, kept):
    """One line a message: [number, JSON name ("" if inlined), type], see protobuf.rs."""
    packages = {}
    for root, name in ((f"{modules}/api@v0.35.2", "k8s.io/api"), (f"{modules}/apimachinery@v0.35.2", "k8s.io/apimachinery")):
        for folder, _, files in os.walk(root):
            for file in files:
                if file.endswith(".go") and not file.endswith(("_test.go", ".pb.go")) and not file.startswith("zz_"):
                    path = name + folder[len(root):]
                    packages.setdefault(path, []).append(open(f"{folder}/{file}").read())
    structs, aliases = {}, {}
    for path, files in packages.items():
        for text in files:
            imports = {}
            for alias, target in re.findall(r'^\s*(\w+)?\s*"(k8s\.io/[^"]+)"', text, re.M):
                imports[alias or target.rsplit("/", 1)[1]] = target
            for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
                fields = []
                for line in body.splitlines():
                    found = re.match(r'\s*(?:(\w+)\s+)?([\w.\[\]*]+)\s+`json:"([^"]*)".*\sprotobuf:"([^"]*)"', line)
                    if found:
                        _, kind, tag, wire = found.groups()
                        fields.append((int(wire.split(",")[1]), tag.split(","), kind))
                structs[(path, name)] = (fields, imports)
            for name, kind in re.findall(r"^type (\w+) ((?:map\[\w+\]|\[\])?[\w.]+)$", text, re.M):
                aliases[(path, name)] = (kind, imports)

    special = {"resource.Quantity": "Q", "v1.Time": "T", "v1.MicroTime": "M", "intstr.IntOrString": "I",
               "v1.FieldsV1": "F", "runtime.RawExtension": "R"}
    plain = {"string": "s", "bool": "b", "int32": "i", "int64": "i", "uint8": "i", "float64": "d"}

    def code(kind, path, imports):
        if kind == "[]byte":
            return "y"
        if kind.startswith("[]"):
            return "[" + code(kind[2:], path, imports)
        if kind.startswith("map["):
            return "{" + code(kind[kind.index("]") + 1:], path, imports)
        if kind in plain:
            return plain[kind]
        package, _, name = kind.rpartition(".")
        target = (imports[package] if package else path, name)
        short = f"{target[0].rsplit('/', 1)[1]}.{name}"
        if short in special and (short != "v1.Time" or "meta" in target[0]):
            return special[short]
        if target in aliases:
            alias, alias_imports = aliases[target]
            # A named list is a message of its own on the wire.
            return "L" if alias == "[]string" else code(alias, target[0], alias_imports)
        assert target in structs, (kind, target)
        return definition(target)

    def definition(target):
        return "io.k8s." + target[0][len("k8s.io/"):].replace("/", ".") + "." + target[1]

    names = {definition(target): target for target in structs}
    wanted = [n for n in kept if n in names] + [META + "Preconditions"]
    rows = {}
    while wanted:
        name = wanted.pop()
        if name in rows or name not in names:
            continue
        fields, imports = structs[names[name]]
        rows[name] = []
        for number, tag, kind in sorted(fields, key=lambda f: f[0]):
            bare = kind.lstrip("*")
            found = code(bare, names[name][0], imports)
            if found.lstrip("[{").startswith("io."):
                wanted.append(found.lstrip("[{"))
            keeps_zero = kind.startswith("*") or "omitempty" not in tag[1:]
            rows[name].append([number, tag[0], found + ("!" if keeps_zero else "")])
    with open(f"{out}/protobuf.json", "w") as file:
        lines = [f"{json.dumps(n)}:{json.dumps(rows[n], separators=(',', ':'))}" for n in sorted(rows)]
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


def write_lines(path, rows):
    with open(path, "w") as file:
        file.write("[\n")
        file.write(",\n".join(json.dumps(r, separators=(",", ":"), sort_keys=True) for r in rows))
        file.write("\n]\n")


main(sys.argv[1])
