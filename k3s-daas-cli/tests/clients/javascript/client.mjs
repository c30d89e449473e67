// What people do with the JavaScript client, one part a run; prints what came of it.
//
//   node client.mjs PART NAMESPACE
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Its packages lie outside the tree.
const require = createRequire(pathToFileURL(join(process.env.CLIENT_PACKAGES, "package.json")));
const k8s = require("@kubernetes/client-node");

const parts = { crud, patch, apply, paging, watching, discovered };
const [part, namespace] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
await parts[part]();

async function crud() {
  const body = { metadata: { name: "made", labels: { by: "javascript" } }, data: { colour: "green" } };
  show("created", (await core.createNamespacedConfigMap({ namespace, body })).data);
  await refused("created twice", () => core.createNamespacedConfigMap({ namespace, body }));
  const made = await core.readNamespacedConfigMap({ name: "made", namespace });
  const stale = await core.readNamespacedConfigMap({ name: "made", namespace });
  made.data.colour = "blue";
  show("replaced", (await core.replaceNamespacedConfigMap({ name: "made", namespace, body: made })).data);
  stale.data.colour = "red";
  await refused("replaced what is stale", () => core.replaceNamespacedConfigMap({ name: "made", namespace, body: stale }));
  const secret = { metadata: { name: "secret" }, data: { bytes: "AP/+gA==" } };
  show("secret", (await core.createNamespacedSecret({ namespace, body: secret })).data);
  const selected = await core.listNamespacedConfigMap({
    namespace,
    labelSelector: "by in (javascript)",
    fieldSelector: "metadata.name=made",
  });
  show("selected", names(selected));
  const dry = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "dry" } }, dryRun: "All" });
  show("dry", dry.metadata.name);
  await refused("not there", () => core.readNamespacedConfigMap({ name: "dry", namespace }));
  await refused("not valid", () => core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "Not Valid" } } }));
  await refused("nowhere", () => core.createNamespacedConfigMap({ namespace: "nowhere", body }));
  // The client quotes the colon.
  const role = await config.makeApiClient(k8s.RbacAuthorizationV1Api).readClusterRole({ name: "system:node" });
  show("name with a colon", [role.metadata.name, role.rules.length > 3]);
  const options = { propagationPolicy: "Background", preconditions: { uid: made.metadata.uid } };
  const gone = await core.deleteNamespacedConfigMap({ name: "made", namespace, body: options });
  show("deleted", gone.status);
  await refused("deleted twice", () => core.deleteNamespacedConfigMap({ name: "made", namespace }));
  await core.createNamespacedConfigMap({ namespace, body });
  await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: "by=javascript" });
  show("left", names(await core.listNamespacedConfigMap({ namespace, labelSelector: "by" })));
}

async function patch() {
  const apps = config.makeApiClient(k8s.AppsV1Api);
  const template = {
    metadata: { labels: { app: "web" } },
    spec: { containers: [{ name: "web", image: "nginx:1" }] },
  };
  const spec = { replicas: 0, selector: { matchLabels: { app: "web" } }, template };
  await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: "web" }, spec } });
  const patched = (kind, body) =>
    apps.patchNamespacedDeployment({ name: "web", namespace, body }, k8s.setHeaderOptions("Content-Type", kind));
  const { MergePatch, StrategicMergePatch, JsonPatch } = k8s.PatchStrategy;
  const merged = await patched(MergePatch, { metadata: { annotations: { note: "merged" } } });
  show("merged", merged.metadata.annotations.note);
  const side = { spec: { template: { spec: { containers: [{ name: "side", image: "busybox:1" }] } } } };
  const strategic = await patched(StrategicMergePatch, side);
  show("strategic", strategic.spec.template.spec.containers.map((one) => one.name).sort());
  const replaced = await patched(JsonPatch, [{ op: "replace", path: "/spec/replicas", value: 1 }]);
  show("by json", replaced.spec.replicas);
  await refused("test failed", () => patched(JsonPatch, [{ op: "test", path: "/spec/replicas", value: 7 }]));
  const scale = await apps.patchNamespacedDeploymentScale(
    { name: "web", namespace, body: { spec: { replicas: 2 } } },
    k8s.setHeaderOptions("Content-Type", MergePatch),
  );
  show("scaled", [scale.kind, scale.spec.replicas]);
  const status = await apps.readNamespacedDeploymentStatus({ name: "web", namespace });
  show("status", [status.kind, status.spec.replicas]);
}

async function apply() {
  const applied = (colour, fieldManager, force) =>
    core.patchNamespacedConfigMap(
      {
        name: "applied",
        namespace,
        body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" }, data: { colour } },
        fieldManager,
        force,
      },
      k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.ServerSideApply),
    );
  show("applied", (await applied("green", "first")).data);
  show("again", (await applied("green", "first")).data);
  await refused("conflict", () => applied("blue", "second"));
  const forced = await applied("blue", "second", true);
  show("forced", forced.data);
  show("managers", forced.metadata.managedFields.map((one) => [one.manager, one.operation]));
}

async function paging() {
  for (let number = 0; number < 12; number++) {
    const name = `page-${String(number).padStart(2, "0")}`;
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name, labels: { paged: "yes" } } } });
  }
  let _continue;
  do {
    const page = await core.listNamespacedConfigMap({ namespace, labelSelector: "paged", limit: 5, _continue });
    show("page", names(page));
    _continue = page.metadata._continue;
  } while (_continue);
  const plain = await core.listNamespacedConfigMap({ namespace, limit: 5 });
  show("remaining", plain.metadata.remainingItemCount);
  const exact = await core.listNamespacedConfigMap({
    namespace,
    labelSelector: "paged",
    resourceVersion: plain.metadata.resourceVersion,
    resourceVersionMatch: "Exact",
  });
  show("exact", exact.items.length);
  await refused("no token", () => core.listNamespacedConfigMap({ namespace, limit: 5, _continue: "nonsense" }));
}

async function watching() {
  const since = (await core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "seen" } } });
  await core.deleteNamespacedConfigMap({ name: "seen", namespace });
  await new Promise((resolve, reject) => {
    const seen = (type, object) => {
      show(type, object.metadata.name);
      if (type === "DELETED") resolve();
    };
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    new k8s.Watch(config).watch(path, { resourceVersion: since, timeoutSeconds: 30 }, seen, reject);
  });
  process.exit(0);
}

async function discovered() {
  const objects = k8s.KubernetesObjectApi.makeApiClient(config);
  const job = {
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "nightly", namespace },
    spec: {
      schedule: "0 3 * * *",
      suspend: true,
      jobTemplate: {
        spec: {
          template: { spec: { restartPolicy: "Never", containers: [{ name: "main", image: "busybox:1" }] } },
        },
      },
    },
  };
  show("created", (await objects.create(job)).spec.schedule);
  const read = await objects.read(job);
  read.spec.schedule = "0 4 * * *";
  show("replaced", (await objects.replace(read)).spec.schedule);
  show("listed", names(await objects.list("batch/v1", "CronJob", namespace)));
  show("deleted", (await objects.delete(job)).status);
  await refused("no such kind", () => objects.create({ ...job, kind: "Nonsense" }));
}

function names(list) {
  return list.items.map((one) => one.metadata.name);
}

function show(what, value) {
  console.log(`${what}: ${JSON.stringify(value)}`);
}

async function refused(what, call) {
  try {
    await call();
    console.log(`${what}: not refused`);
  } catch (error) {
    console.log(`${what}: ${error.code ?? ""} ${error.body ? JSON.stringify(error.body) : error.message}`);
  }
}
