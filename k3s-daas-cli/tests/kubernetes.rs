//! Nautilus on a real control plane: its account and rights, what the cluster sees, what it refuses, and its audit log
//! held against the trail.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use k3s_daas::executor::Executor;
use k3s_daas::executor::conformance;
use k3s_daas::executor::kube::KubeExecutor;
use serde_json::{Value, json};
use support::https::{Answer, Https};
use support::kubernetes::{World, deploy, kubectl};
use support::{DAAS, Run, command};

/// One control plane for all of it, since each takes its time to start.
#[test]
fn nautilus_on_a_real_cluster() {
    let world = World::start();
    world.apply(SHOP);
    world.apply(&std::fs::read_to_string(deploy("examples/group.yaml")).unwrap());
    the_account_has_its_rights_and_no_others(&world);
    the_cluster_sees_the_token(&world);
    every_right_is_needed(&world);
    refusals_of_the_cluster_are_its_own(&world);
    what_one_log_alone_has_is_found(&world);
    // Last: it acts as tokens that no ledger knows.
    the_executor_conforms(&world);
}

fn the_account_has_its_rights_and_no_others(world: &World) {
    let account = world.account();
    let as_account = |args: &[&str]| {
        let mut kubectl = command(kubectl());
        Run::of(kubectl.arg("--kubeconfig").arg(&account).args(args))
    };
    assert_eq!(as_account(&["get", "--raw", "/readyz"]).ok(), "ok");
    for denied in [
        &["get", "pods", "-A"][..],
        &["get", "secrets", "-n", "daas"],
        &["get", "namespaces"],
        &["create", "configmap", "a", "-n", "shop"],
        &["create", "token", "nautilus", "-n", "daas"],
        &["get", "clusterrole", "daas-nautilus"],
        &["get", "--raw", "/metrics"],
    ] {
        let refused = as_account(denied);
        assert_eq!(refused.code, 1, "{denied:?}: {refused:?}");
        let who = "User \"system:serviceaccount:daas:nautilus\" cannot";
        assert!(refused.err.contains(who), "{denied:?}: {}", refused.err);
    }
    let seal = ["--as", "seal:0x1"];
    for (denied, what) in [
        (&["--as-group", "system:masters"][..], "groups"),
        (&["--as-group", "others"], "groups"),
        (&["--as-uid", "7"], "uids"),
    ] {
        let mut args = vec!["get", "pods"];
        args.extend(seal);
        args.extend(denied);
        let refused = as_account(&args);
        let why = format!("cannot impersonate resource \"{what}\"");
        assert!(refused.err.contains(&why), "{denied:?}: {refused:?}");
    }
    for other in [
        "system:serviceaccount:kube-system:default",
        "system:serviceaccount:daas:nautilus",
    ] {
        let refused = as_account(&["get", "pods", "--as", other]);
        let why = "cannot impersonate resource \"serviceaccounts\"";
        assert!(refused.err.contains(why), "{other}: {refused:?}");
    }
    // This one it may act as, and then it is RBAC that says no.
    let allowed = as_account(&[
        "get",
        "nodes",
        "--as",
        "seal:0x1",
        "--as-group",
        "shop-developers",
    ]);
    assert!(
        allowed.err.contains("User \"seal:0x1\" cannot list"),
        "{allowed:?}"
    );
}

fn the_cluster_sees_the_token(world: &World) {
    let begin = world.log_end();
    let token = world.token(EVERYTHING, &["--group", "shop-developers"]);
    let answer = token.send("GET", "/api/v1/namespaces/shop/configmaps?limit=7", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.header("daas-request-id").unwrap();
    let log = world.log_since(begin);
    let events = events(&log).filter(|event| event["impersonatedUser"]["username"] == token.user());
    let ended: Vec<Value> = events
        .filter(|event| event["stage"] == "ResponseComplete")
        .collect();
    let [event] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(
        event["user"]["username"],
        "system:serviceaccount:daas:nautilus"
    );
    let groups = json!(["shop-developers", "system:authenticated"]);
    assert_eq!(event["impersonatedUser"]["groups"], groups);
    assert_eq!(
        event["impersonatedUser"]["extra"],
        json!({"daas.dev/request-id": [id]})
    );
    assert_eq!(
        event["requestURI"],
        "/api/v1/namespaces/shop/configmaps?limit=7"
    );
    assert_eq!(event["responseStatus"]["code"], 200);

    // Without the group, and then by a binding of its own.
    let alone = world.token(EVERYTHING, &[]);
    let path = "/api/v1/namespaces/shop/configmaps";
    let refused = alone.send("GET", path, "");
    assert_eq!(refused.status, 403, "{}", refused.text());
    let example = std::fs::read_to_string(deploy("examples/token.yaml")).unwrap();
    world.apply(&example.replace("seal:TOKEN", &alone.user()));
    until(|| alone.send("GET", path, "").status == 200);
    world
        .admin(&["delete", "rolebinding", "daas-token", "-n", "shop"])
        .ok();
    until(|| alone.send("GET", path, "").status == 403);
    let log = world.log_since(begin);
    assert_clean(world, &log);
}

/// Each rule of the role taken away in its turn; what follows is a refusal of the cluster's that its log cannot
/// name.
fn every_right_is_needed(world: &World) {
    let begin = world.log_end();
    let token = world.token(EVERYTHING, &["--group", "shop-developers"]);
    let role = world
        .admin(&["get", "clusterrole", "daas-nautilus", "-o", "json"])
        .ok();
    let role: Value = serde_json::from_str(&role).unwrap();
    let rules = role["rules"].as_array().unwrap();
    let mut tried = 0;
    for (index, rule) in rules.iter().enumerate() {
        let Some(resource) = rule["resources"][0].as_str() else {
            continue;
        };
        let patch = format!("[{{\"op\": \"remove\", \"path\": \"/rules/{index}\"}}]");
        world
            .admin(&[
                "patch",
                "clusterrole",
                "daas-nautilus",
                "--type=json",
                "-p",
                &patch,
            ])
            .ok();
        let path = "/api/v1/namespaces/shop/configmaps";
        let why = format!("cannot impersonate resource \\\"{resource}\\\"");
        until(|| token.send("GET", path, "").text().contains(&why));
        let manifests = deploy("rights.yaml");
        world
            .admin(&["apply", "-f", &manifests.to_string_lossy()])
            .ok();
        until(|| token.send("GET", path, "").status == 200);
        tried += 1;
    }
    assert_eq!(tried, 3, "{rules:?}");
    let result = assert_clean(world, &world.log_since(begin));
    assert!(
        result["counts"]["by_likeness"].as_u64().unwrap() >= 3,
        "{result}"
    );
}

/// The same request to both: by the token, and by an account of the cluster that is bound alike.
fn refusals_of_the_cluster_are_its_own(world: &World) {
    let begin = world.log_end();
    let token = world.token(EVERYTHING, &["--group", "shop-developers"]);
    world.apply(RULES_OF_THE_CLUSTER);
    let direct = Direct::new(world);
    until(|| {
        direct
            .send("POST", CONFIG_MAPS, &[], &config_map("forbidden", "shop"))
            .status
            == 422
    });
    until(|| {
        direct
            .send("POST", SERVICES, &[], SERVICE)
            .text()
            .contains("exceeded quota")
    });
    let made = token.send("POST", CONFIG_MAPS, &config_map("kept", "shop"));
    assert_eq!(made.status, 201, "{}", made.text());
    let apply = &[("content-type", "application/apply-patch+yaml")][..];
    let kept = "/api/v1/namespaces/shop/configmaps/kept";
    let applied = format!("{kept}?fieldManager=one");
    let answer = token.send_with(
        "PATCH",
        &applied,
        apply,
        &config_map("kept", "shop").replace("\"v\"", "\"one\""),
    );
    assert_eq!(answer.status, 409, "POST owns the field: {}", answer.text());
    let stale =
        config_map("kept", "shop").replace("{\"name\"", "{\"resourceVersion\":\"1\",\"name\"");
    let merge = &[("content-type", "application/merge-patch+json")][..];
    let cases: &[(u16, &str, &str, &[(&str, &str)], &str)] = &[
        // RBAC.
        (403, "GET", "/api/v1/nodes", &[], ""),
        (403, "GET", "/api/v1/namespaces/daas/secrets", &[], ""),
        (403, "DELETE", "/api/v1/namespaces/shop", &[], ""),
        (403, "GET", "/metrics", &[], ""),
        (
            403,
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings",
            &[],
            ROLE_BINDING,
        ),
        // Admission, built in and by policy; quota.
        (403, "POST", "/api/v1/namespaces/shop/pods", &[], PRIVILEGED),
        (
            422,
            "POST",
            CONFIG_MAPS,
            &[],
            &config_map("forbidden", "shop"),
        ),
        (403, "POST", SERVICES, &[], SERVICE),
        // Validation and form.
        (
            422,
            "POST",
            CONFIG_MAPS,
            &[],
            &config_map("Not_A_Name", "shop"),
        ),
        (
            422,
            "POST",
            "/apis/apps/v1/namespaces/shop/deployments",
            &[],
            EMPTY_DEPLOYMENT,
        ),
        (400, "POST", CONFIG_MAPS, &[], "{\"kind\":"),
        (400, "POST", CONFIG_MAPS, &[], &config_map("a", "daas")),
        (400, "POST", CONFIG_MAPS, &[], SERVICE),
        (
            400,
            "POST",
            &format!("{CONFIG_MAPS}?fieldValidation=Strict"),
            &[],
            &config_map("a", "shop").replace("\"data\"", "\"dta\""),
        ),
        (415, "PATCH", kept, &[("content-type", "text/plain")], "x"),
        (406, "GET", kept, &[("accept", "text/x-other")], ""),
        (405, "POST", kept, &[], "{}"),
        (
            400,
            "GET",
            &format!("{CONFIG_MAPS}?continue=x&limit=1"),
            &[],
            "",
        ),
        // What is there or not, and since when.
        (
            404,
            "GET",
            "/api/v1/namespaces/shop/configmaps/none",
            &[],
            "",
        ),
        (
            404,
            "GET",
            "/apis/apps/v9/namespaces/shop/deployments",
            &[],
            "",
        ),
        (409, "POST", CONFIG_MAPS, &[], &config_map("kept", "shop")),
        (409, "PUT", kept, &[], &stale),
        (
            409,
            "PATCH",
            &applied,
            apply,
            &config_map("kept", "shop").replace("\"v\"", "\"two\""),
        ),
        (
            409,
            "DELETE",
            kept,
            &[],
            "{\"preconditions\":{\"uid\":\"0\"}}",
        ),
        (
            400,
            "PATCH",
            kept,
            merge,
            "{\"metadata\":{\"name\":\"other\"}}",
        ),
    ];
    for (code, method, target, headers, body) in cases {
        let through = token.send_with(method, target, headers, body);
        assert_eq!(
            through.status,
            *code,
            "{method} {target}: {}",
            through.text()
        );
        let same = direct.send(method, target, headers, body);
        assert_eq!(same.status, *code, "{method} {target}: {}", same.text());
        assert_eq!(
            through.header("content-type"),
            same.header("content-type"),
            "{target}"
        );
        let expected = same.text().replace(DIRECT, &token.user());
        assert_eq!(through.text(), expected, "{method} {target}");
        assert_eq!(recorded(world, &through), *code, "{method} {target}");
    }
    let read = token.send("GET", kept, "");
    assert_eq!(
        read.json()["data"]["k"],
        "v",
        "nothing of it has changed it"
    );
    assert_clean(world, &world.log_since(begin));
}

fn what_one_log_alone_has_is_found(world: &World) {
    let begin = world.log_end();
    let token = world.token(EVERYTHING, &["--group", "shop-developers"]);
    let made = token.send("POST", CONFIG_MAPS, &config_map("once", "shop"));
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.header("daas-request-id").unwrap().to_owned();
    token.kubectl(&["get", "configmaps", "-n", "shop"]).ok();
    let watched = token.kubectl(&[
        "wait",
        "--for=delete",
        "configmap/none",
        "-n",
        "shop",
        "--timeout=5s",
    ]);
    assert_eq!(watched.code, 0, "{watched:?}");
    token
        .kubectl(&["delete", "configmap", "once", "-n", "shop"])
        .ok();
    let log = world.log_since(begin);
    let result = assert_clean(world, &log);
    assert!(
        result["counts"]["matched"].as_u64().unwrap() >= 4,
        "{result}"
    );

    // A line that the ledger has an answer of, gone or changed.
    let is_made = |line: &&str| line.contains(&id);
    let without: String = log
        .lines()
        .filter(|line| !is_made(line))
        .map(|line| format!("{line}\n"))
        .collect();
    // The other stage has no name; with it gone too, nothing stands for the request.
    let begun =
        events(&log).find(|event| event["impersonatedUser"]["extra"].to_string().contains(&id));
    let audit_id = begun.unwrap()["auditID"].as_str().unwrap().to_owned();
    let gone: String = without
        .lines()
        .filter(|line| !line.contains(&audit_id))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(
        found(world, &without),
        json!({}),
        "its beginning stands for it"
    );
    assert_eq!(found(world, &gone), json!({"missing": 1}));
    let changed = log.replace("\"code\":201", "\"code\":409");
    assert_eq!(found(world, &changed), json!({"status": 1}));

    // A last line that is not whole is none, and one before it is garbage.
    let half = &log[..log.len() - 40];
    let (_, result) = world.reconcile(half, &[]);
    assert_eq!(result["truncated"], json!(["standard input"]));
    let mut reconcile = command(DAAS);
    reconcile
        .env("DAAS_DIR", world.dir())
        .env("HOME", world.dir());
    reconcile.args(["audit", "reconcile", "--cluster-audit", "-"]);
    let garbage = Run::with_input(&mut reconcile, &format!("{half}\n{log}"));
    let line = half.lines().count();
    assert_eq!(garbage.code, 1, "{garbage:?}");
    let place = format!("standard input:{line}: it is no JSON object");
    assert!(garbage.err.contains(&place), "{}", garbage.err);

    // Somebody else as the token; Nautilus's credential in other hands: without an ID, with one that was
    // used, as itself.
    let begin = world.log_end();
    let user = token.user();
    world
        .admin(&[
            "get",
            "configmaps",
            "-n",
            "shop",
            "--as",
            &user,
            "--as-group",
            "shop-developers",
        ])
        .ok();
    let stolen = Https::of_kubeconfig(&world.account());
    let credential = std::fs::read_to_string(world.account()).unwrap();
    let credential = credential
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "))
        .unwrap();
    let bearer = format!("Bearer {credential}");
    let as_token = [
        ("authorization", bearer.as_str()),
        ("impersonate-user", &user),
        ("impersonate-group", "shop-developers"),
    ];
    let mut with_id = as_token.to_vec();
    with_id.push(("impersonate-extra-daas.dev%2frequest-id", &id));
    with_id.push(("content-type", "application/json"));
    assert_eq!(stolen.send("GET", CONFIG_MAPS, &as_token, "").status, 200);
    let again = stolen.send("POST", CONFIG_MAPS, &with_id, &config_map("twice", "shop"));
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(
        stolen
            .send("DELETE", &format!("{CONFIG_MAPS}/twice"), &with_id, "")
            .status,
        200
    );
    assert_eq!(
        stolen.send("GET", "/version", &as_token[..1], "").status,
        200
    );
    let log = format!("{log}{}", world.log_since(begin));
    let expected =
        json!({"unrecorded": 2, "foreign": 1, "altered": 1, "repeated": 1, "untimely": 1});
    assert_eq!(found(world, &log), expected);
    // As somebody who keeps an eye on it sees it, for whom clocks may differ and nothing is untimely.
    let shown = Run::with_input(&mut reconcile, &log);
    assert_eq!(shown.code, 6, "{shown:?}");
    for part in [
        "CLEAN",
        "foreign",
        "repeated",
        "by an account that is not Nautilus's",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(shown.err.contains("differ in 5 places"), "{}", shown.err);
}

fn the_executor_conforms(world: &World) {
    // What the token may do in `default`, for the suite.
    world.apply(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: conformance, namespace: default}\n\
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\n\
         subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: shop-developers}]\n",
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let executor = KubeExecutor::from_kubeconfig(Some(&world.account()), None)
            .await
            .unwrap();
        let executor: Arc<dyn Executor> = Arc::new(executor);
        conformance::run(&*executor, &["shop-developers"]).await;
    });
    let left = world
        .admin(&["get", "configmaps", "-n", "default", "-o", "name"])
        .ok();
    assert_eq!(left, "configmap/kube-root-ca.crt\n", "the suite clears up");
}

/// An account of the cluster's own that is bound as the tokens are.
struct Direct {
    https: Https,
    bearer: String,
}

impl Direct {
    fn new(world: &World) -> Self {
        let token = world
            .admin(&["create", "token", "direct", "-n", "shop"])
            .ok();
        Self {
            https: Https::of_kubeconfig(world.cluster.kubeconfig()),
            bearer: token.trim().to_owned(),
        }
    }

    fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.https
            .send_as(&self.bearer, method, target, headers, body)
    }
}

/// The status that the ledger has of it.
fn recorded(world: &World, answer: &Answer) -> u16 {
    let id = answer.header("daas-request-id").unwrap();
    let shown = world.daas(&["request", "show", id, "-o", "json"]).ok();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    u16::try_from(shown[0]["http_status"].as_u64().unwrap()).unwrap()
}

#[track_caller]
fn assert_clean(world: &World, log: &str) -> Value {
    let (code, result) = world.reconcile(log, &[]);
    assert_eq!(
        code,
        0,
        "{}",
        serde_json::to_string_pretty(&result).unwrap()
    );
    assert_eq!(
        (&result["clean"], &result["found"]),
        (&json!(true), &json!({}))
    );
    result
}

/// How many of which kind.
fn found(world: &World, log: &str) -> Value {
    let (code, result) = world.reconcile(log, &[]);
    let is_clean = result["clean"] == json!(true);
    assert_eq!(code, if is_clean { 0 } else { 6 });
    result["found"].clone()
}

fn events(log: &str) -> impl Iterator<Item = Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// Rights and policies of a cluster come into force a moment later.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 30, "it does not come to be");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn config_map(name: &str, namespace: &str) -> String {
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"{namespace}\"}},\"data\":{{\"k\":\"v\"}}}}"
    )
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const SERVICES: &str = "/api/v1/namespaces/shop/services";
const DIRECT: &str = "system:serviceaccount:shop:direct";
const EVERYTHING: &str = "\
- {verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*']}
- {verbs: ['*'], nonResourceURLs: ['*']}
";
const SHOP: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
";
const SERVICE: &str = "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{\"port\":80}]}}";
const PRIVILEGED: &str = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},\"spec\":{\"hostNetwork\":true,\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"securityContext\":{\"privileged\":true}}]}}";
const EMPTY_DEPLOYMENT: &str = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{}}";
const ROLE_BINDING: &str = "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"cluster-admin\"},\"subjects\":[]}";
const RULES_OF_THE_CLUSTER: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: direct, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: direct, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: direct, namespace: shop}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: shop}
spec: {hard: {services: '0'}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: names}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: \"object.metadata.name != 'forbidden'\", message: no such name}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: names}
spec: {policyName: names, validationActions: [Deny]}
";
