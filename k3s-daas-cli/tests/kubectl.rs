//! Real kubectl through the gateway, each command compared with the same one against a cluster directly.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use support::{DAAS, Process, Run, Separate, command, daas, dev, free_address, kubectls};

#[test]
fn the_tour_against_dev() {
    for (version, kubectl) in kubectls() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let running = dev(&dir);
        tour(&version, &kubectl, &dir, scratch.path());
        refusals(&kubectl, &dir);
        assert_eq!(running.stop(), 0);
        clean(&dir);
    }
}

#[test]
fn the_tour_against_separate_processes() {
    for (version, kubectl) in kubectls() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let mut running = Separate::start(&dir);
        tour(&version, &kubectl, &dir, scratch.path());
        assert_eq!(running.gateway.take().unwrap().stop(), 0);
        assert_eq!(running.nautilus.take().unwrap().stop(), 0);
        assert_eq!(running.cluster.take().unwrap().stop(), 0);
        clean(&dir);
    }
}

#[test]
fn dev_goes_on_where_it_stopped() {
    for (_, kubectl) in kubectls().into_iter().skip(1) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let through = Kubectl::new(&kubectl, &dir.join("kubeconfig"), &dir);
        let running = dev(&dir);
        through
            .run(&["create", "configmap", "kept", "--from-literal=a=b"], "")
            .ok();
        let token = daas(&dir, &["token", "list", "-o", "name"]).ok();
        assert_eq!(running.stop(), 0);
        let running = dev(&dir);
        assert_eq!(
            through
                .run(&["get", "configmap", "kept", "-o", "name"], "")
                .ok(),
            "configmap/kept\n"
        );
        assert_eq!(
            daas(&dir, &["token", "list", "-o", "name"]).ok(),
            token,
            "no token is issued twice"
        );
        running.kill();
        let running = dev(&dir);
        assert_eq!(
            through
                .run(&["get", "configmap", "kept", "-o", "name"], "")
                .ok(),
            "configmap/kept\n"
        );
        assert_eq!(running.stop(), 0);
        clean(&dir);
    }
}

/// One kubectl with one kubeconfig.
struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    fn new(program: &Path, kubeconfig: &Path, home: &Path) -> Self {
        Self {
            program: program.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(&self.program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .env("KUBECTL_COMMAND_HEADERS", "false")
            .args(args);
        command
    }

    fn run(&self, args: &[&str], input: &str) -> Run {
        Run::with_input(&mut self.command(args), input)
    }
}

/// Every command once through the gateway and once against a cluster of its own, and both say the same.
fn tour(version: &str, kubectl: &Path, dir: &Path, scratch: &Path) {
    let home = scratch.join("home");
    std::fs::create_dir_all(&home).unwrap();
    let reference = scratch.join("reference");
    let mut cluster = command(DAAS);
    cluster
        .env("HOME", &home)
        .args(["memory-cluster", "--listen", &free_address(), "--dir"])
        .arg(&reference);
    let cluster = Process::start(
        cluster,
        &scratch.join("reference.log"),
        "export KUBECONFIG=",
    );
    let through = Kubectl::new(kubectl, &dir.join("kubeconfig"), &home.join("through"));
    let direct = Kubectl::new(kubectl, &reference.join("kubeconfig"), &home.join("direct"));
    let mut differences = Vec::new();
    for step in STEPS {
        let args: Vec<&str> = step.args.split(' ').collect();
        let (ours, theirs) = (
            through.run(&args, step.input),
            direct.run(&args, step.input),
        );
        let (ours_text, theirs_text) = (normal(&ours), normal(&theirs));
        if ours_text != theirs_text {
            differences.push(format!(
                "kubectl {}\n--- through the gateway\n{ours_text}\n--- directly\n{theirs_text}",
                step.args
            ));
        } else if !ours_text.contains(step.says) {
            differences.push(format!(
                "kubectl {}\n--- should say `{}`\n{ours_text}",
                step.args, step.says
            ));
        }
    }
    let watched = watch(&through);
    if !watched.contains("seen-by-watch") {
        differences.push(format!("kubectl get -w saw only:\n{watched}"));
    }
    assert!(
        differences.is_empty(),
        "kubectl {version}: {} of {} commands differ\n\n{}",
        differences.len(),
        STEPS.len() + 1,
        differences.join("\n\n")
    );
    assert_eq!(cluster.stop(), 0);
}

/// What `get -w` prints of an object that is made while it runs.
fn watch(through: &Kubectl) -> String {
    let mut watching = through.command(&["get", "configmaps", "-w", "-o", "name"]);
    let maker = Kubectl::new(&through.program, &through.kubeconfig, &through.home);
    let making = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(2));
        maker
            .run(&["create", "configmap", "seen-by-watch"], "")
            .ok();
    });
    let text = Process::read_until(&mut watching, |text| text.contains("seen-by-watch"));
    making.join().unwrap();
    text
}

/// What a user sees who may not.
fn refusals(kubectl: &Path, dir: &Path) {
    let mut held = vec![
        "token",
        "issue",
        "--role",
        "view",
        "--namespace",
        "default",
        "-o",
        "name",
        "--delegate",
    ];
    let gateway = daas(
        dir,
        &[
            "key",
            "show",
            &dir.join("keys/gateway.key").to_string_lossy(),
            "-o",
            "name",
        ],
    )
    .ok();
    let gateway = gateway.trim().strip_prefix("key/").unwrap().to_owned();
    held.push(&gateway);
    let token = daas(dir, &held).ok();
    let token = token.trim().strip_prefix("token/").unwrap();
    let home = dir.with_extension("viewer");
    std::fs::create_dir_all(&home).unwrap();
    let kubeconfig_of = |token: &str| {
        let file = home.join(format!("{token}.kubeconfig"));
        std::fs::write(&file, daas(dir, &["kubeconfig", "--token", token]).ok()).unwrap();
        file
    };
    let viewer = Kubectl::new(kubectl, &kubeconfig_of(token), &home);
    // The cluster has its own say, so it must know the token too.
    let user = format!("--user=seal:{token}");
    let admin = Kubectl::new(kubectl, &dir.join("kubeconfig"), &home);
    admin
        .run(
            &[
                "create",
                "clusterrolebinding",
                "viewer",
                "--clusterrole=view",
                &user,
            ],
            "",
        )
        .ok();
    let as_viewer = |args: &[&str]| viewer.run(args, "");
    for (args, says) in [
        (&["get", "secrets"][..], "it lacks resource secrets"),
        (
            &["get", "pods", "-n", "kube-system"],
            "it lacks namespace kube-system",
        ),
        (
            &["delete", "configmap", "kube-root-ca.crt"],
            "it lacks verb delete",
        ),
        (
            &["create", "configmap", "x"],
            "cannot create resource \"configmaps\"",
        ),
    ] {
        let run = as_viewer(args);
        assert_eq!(run.code, 1, "{args:?} {run:?}");
        assert!(
            run.err.contains("forbidden") && run.err.contains(says),
            "{args:?}: {}",
            run.err
        );
    }
    // What it says is what happens, above and here.
    for (args, says) in [
        (
            &["auth", "can-i", "get", "secrets"][..],
            "no - the seal token does not allow it: rule ",
        ),
        (
            &["auth", "can-i", "get", "pods", "-n", "kube-system"],
            "no - the seal token does not allow it: rule ",
        ),
        (
            &["auth", "can-i", "create", "configmaps"],
            "no - the seal token does not allow it: rule ",
        ),
        (&["auth", "can-i", "get", "pods"], "yes"),
        (&["auth", "can-i", "get", "/version"], "yes"),
    ] {
        let run = as_viewer(args);
        assert!(
            run.out.starts_with(says),
            "{args:?} should say {says}: {run:?}"
        );
    }
    assert_eq!(as_viewer(&["get", "pods"]).code, 0);
    let poor = daas(
        dir,
        &[
            "token",
            "issue",
            "--role",
            "edit",
            "-o",
            "name",
            "--delegate",
            &gateway,
        ],
    )
    .ok();
    let poor = poor.trim().strip_prefix("token/").unwrap();
    let write = Kubectl::new(kubectl, &kubeconfig_of(poor), &home);
    let write = write.run(&["create", "configmap", "x"], "");
    assert_eq!(write.code, 1);
    assert!(write.err.contains("needs 1 SUI"), "{}", write.err);
    daas(dir, &["token", "revoke", token]).ok();
    let revoked = as_viewer(&["get", "pods"]);
    assert_eq!(revoked.code, 1);
    assert!(revoked.err.contains("revoked"), "{}", revoked.err);
    for (bearer, says) in [
        ("seal_AAAA", "malformed"),
        ("garbage", "Missing or invalid Seal token"),
        ("", ""),
    ] {
        let mut get = viewer.command(&["get", "pods", "--kubeconfig=/dev/null", "--token", bearer]);
        let ca = dir.join("gateway/ca.crt");
        let server = server(dir);
        get.args(["--server", &server, "--certificate-authority"])
            .arg(&ca);
        let run = Run::of(&mut get);
        assert_ne!(run.code, 0, "{bearer}");
        assert!(run.err.contains(says), "{bearer}: {}", run.err);
    }
}

/// The gateway's URL, out of the kubeconfig.
fn server(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("kubeconfig")).unwrap();
    let server = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: "));
    server.unwrap().to_owned()
}

/// Whether the ledger verifies.
fn clean(dir: &Path) {
    let verified = daas(dir, &["audit", "verify", "-o", "json"]).ok();
    assert!(verified.contains("\"verified\": true"), "{verified}");
}

/// What a command said, without what differs from cluster to cluster.
fn normal(run: &Run) -> String {
    let text = format!("{}{}exit {}\n", run.out, run.err, run.code);
    let mut text = text;
    for (pattern, name) in [
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "UID",
        ),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [^\s]+( [A-Z]+)?",
            "TIME",
        ),
        (r#"("?resourceVersion"?: )"\d+""#, "$1RV"),
        (r"https://127\.0\.0\.1:\d+", "SERVER"),
        (r"/tmp/[^\s]*", "FILE"),
        (r"\b\d+(m\d+)?s\b", "AGE"),
        (r"[ \t]+", " "),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, name)
            .into_owned();
    }
    text
}

/// A command and something that both must say.
struct Step {
    args: &'static str,
    input: &'static str,
    says: &'static str,
}

const fn step(args: &'static str, says: &'static str) -> Step {
    Step {
        args,
        input: "",
        says,
    }
}

const fn fed(args: &'static str, input: &'static str, says: &'static str) -> Step {
    Step { args, input, says }
}

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

const CONFIG: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, namespace: shop}
data: {colour: green}
"#;

const CONFIG_CHANGED: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, namespace: shop}
data: {colour: blue}
"#;

const SHELF_KIND: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shelves.shop.example}
spec:
  group: shop.example
  scope: Namespaced
  names: {plural: shelves, singular: shelf, kind: Shelf, listKind: ShelfList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}
"#;

const SHELF: &str = r#"
apiVersion: shop.example/v1
kind: Shelf
metadata: {name: one, namespace: shop}
spec: {}
"#;

const STEPS: &[Step] = &[
    step("version", "Server Version: v1.35"),
    step("api-resources", "deployments"),
    step("api-versions", "apps/v1"),
    step("get namespaces", "kube-system"),
    step("create namespace shop", "namespace/shop created"),
    step("create namespace shop", "AlreadyExists"),
    step(
        "create deployment web --image=nginx --replicas=2 -n shop",
        "deployment.apps/web created",
    ),
    step("get deployments -n shop", "0/2"),
    step("get deployments -n shop -o wide", "nginx"),
    step("get deployment web -n shop -o yaml", "kind: Deployment"),
    step(
        "get deployment web -n shop -o json",
        "\"kind\": \"Deployment\"",
    ),
    step("get all -n shop", "deployment.apps/web"),
    step(
        "create configmap conf --from-literal=a=b -n shop",
        "configmap/conf created",
    ),
    step(
        "label configmap conf tier=front -n shop",
        "configmap/conf labeled",
    ),
    step(
        "annotate configmap conf note=text -n shop",
        "configmap/conf annotated",
    ),
    step("get configmaps -l tier=front -n shop", "conf"),
    step("get configmaps -l tier=back -n shop", "No resources found"),
    step(
        "get configmaps --field-selector metadata.name=conf -n shop",
        "conf",
    ),
    step("get configmaps -A -l tier=front -o name", "configmap/conf"),
    fed("apply -f -", SERVICE, "service/web created"),
    fed("apply -f -", SERVICE, "service/web unchanged"),
    fed("apply -f -", CONFIG, "configmap/applied created"),
    fed("diff -f -", CONFIG_CHANGED, "colour: blue"),
    fed("diff -f -", CONFIG, "exit 0"),
    fed("apply -f -", CONFIG_CHANGED, "configmap/applied configured"),
    fed(
        "apply --server-side --force-conflicts -f -",
        CONFIG,
        "configmap/applied serverside-applied",
    ),
    fed(
        "apply --server-side --force-conflicts -f -",
        CONFIG,
        "configmap/applied serverside-applied",
    ),
    step(
        "get configmap applied -n shop -o jsonpath={.data.colour}",
        "green",
    ),
    step(
        r#"patch deployment web -n shop --type=strategic -p {"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:2"}]}}}}"#,
        "patched",
    ),
    step(
        r#"patch deployment web -n shop --type=merge -p {"metadata":{"labels":{"a":"b"}}}"#,
        "patched",
    ),
    step(
        r#"patch deployment web -n shop --type=json -p [{"op":"replace","path":"/spec/replicas","value":4}]"#,
        "patched",
    ),
    step(
        "get deployment web -n shop -o jsonpath={.spec.replicas}/{.metadata.labels.a}/{.spec.template.spec.containers[0].image}",
        "4/b/nginx:2",
    ),
    step(
        "scale deployment web --replicas=3 -n shop",
        "deployment.apps/web scaled",
    ),
    step(
        "wait deployment/web -n shop --for=jsonpath={.spec.replicas}=3 --timeout=20s",
        "condition met",
    ),
    step("auth can-i create pods", "yes"),
    step("auth can-i delete secrets -n shop", "yes"),
    step("explain pods.spec.containers.image", "FIELD: image"),
    step("explain deployment.spec", "replicas"),
    step("run one --image=nginx -n shop", "pod/one created"),
    step("get pods -n shop", "Pending"),
    step("get pod one -n shop -o jsonpath={.status.phase}", "Pending"),
    step("delete pod one -n shop", "pod \"one\" deleted"),
    step("get pod one -n shop", "NotFound"),
    step(
        "get nonsense",
        "the server doesn't have a resource type \"nonsense\"",
    ),
    step(
        "delete configmap conf applied -n shop",
        "configmap \"applied\" deleted",
    ),
    step(
        "delete deployment web -n shop",
        "deployment.apps \"web\" deleted",
    ),
    step("delete service web -n shop", "service \"web\" deleted"),
    step(
        "create secret generic s --from-literal=password=x -n shop",
        "secret/s created",
    ),
    step("get secret s -n shop -o jsonpath={.data.password}", "eA=="),
    step("delete secret --all -n shop", "secret \"s\" deleted"),
    step("create namespace empty", "namespace/empty created"),
    step(
        "delete namespace empty --timeout=20s",
        "namespace \"empty\" deleted",
    ),
    fed("apply -f -", SHELF_KIND, "created"),
    step(
        "wait crd/shelves.shop.example --for=condition=Established --timeout=20s",
        "condition met",
    ),
    step(
        "create configmap inside --from-literal=a=b -n shop",
        "configmap/inside created",
    ),
    fed("create -f -", SHELF, "shelf.shop.example/one created"),
    step(
        "delete namespace shop --timeout=20s",
        "namespace \"shop\" deleted",
    ),
    step("get namespace shop", "NotFound"),
    step("create namespace shop", "namespace/shop created"),
    step(
        "get configmaps,shelves -n shop",
        "No resources found in shop namespace",
    ),
    fed("create -f -", SHELF, "shelf.shop.example/one created"),
    step(
        "delete namespace shop --timeout=20s",
        "namespace \"shop\" deleted",
    ),
];
