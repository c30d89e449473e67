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
use support::{DAAS, Process, Run, command};

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
    // Last: they act as tokens that no ledger knows, and change rights.
    the_executor_conforms(&world);
    the_memory_cluster_refuses_alike(&world);
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

    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    let answer = token.send_with("GET", CONFIG_MAPS, &protobuf, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.body.starts_with(b"k8s\0"),
        "the suite lets others go without"
    );

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
        let said = world.nautilus.as_ref().unwrap().said();
        let warned = said.matches("does not let this executor act as the token");
        assert!(warned.count() > tried, "{said}");
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
    let forbidden = case(
        422,
        "POST",
        CONFIG_MAPS,
        &[],
        &config_map("forbidden", "shop"),
    );
    until(|| direct.send(&forbidden).status == 422);
    let service = case(403, "POST", SERVICES, &[], SERVICE);
    until(|| direct.send(&service).text().contains("exceeded quota"));
    let made = token.send("POST", CONFIG_MAPS, &config_map("kept", "shop"));
    assert_eq!(made.status, 201, "{}", made.text());
    let owned = token.send_with("PATCH", APPLIED, APPLY, &kept_with("one"));
    assert_eq!(owned.status, 409, "POST owns the field: {}", owned.text());
    for case in cases() {
        let through = token.send_with(case.method, &case.target, case.headers, &case.body);
        assert_eq!(through.status, case.code, "{case:?}: {}", through.text());
        let same = direct.send(&case);
        assert_eq!(same.status, case.code, "{case:?}: {}", same.text());
        let content_type = through.header("content-type");
        assert_eq!(content_type, same.header("content-type"), "{case:?}");
        let expected = same.text().replace(DIRECT, &token.user());
        assert_eq!(through.text(), expected, "{case:?}");
        assert_eq!(recorded(world, &through), case.code, "{case:?}");
    }
    let read = token.send("GET", KEPT, "");
    assert_eq!(read.json()["data"]["k"], "v", "nothing has changed it");
    assert_clean(world, &world.log_since(begin));
}

/// The same requests to the memory cluster, without what a cluster's own rules refuse: it has none.
fn the_memory_cluster_refuses_alike(world: &World) {
    let bind =
        "create clusterrolebinding direct --clusterrole=cluster-admin --serviceaccount=shop:direct";
    world.admin(&bind.split(' ').collect::<Vec<_>>()).ok();
    let direct = Direct::new(world);
    let kubeconfig = world.path("memory.kubeconfig");
    let mut command = command(DAAS);
    command.args([
        "memory-cluster",
        "--no-authorization",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.arg("--kubeconfig").arg(&kubeconfig);
    let _memory = Process::start(command, &world.path("memory.log"), "export KUBECONFIG=");
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let token = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "));
    let memory = Direct {
        https: Https::of_kubeconfig(&kubeconfig),
        bearer: token.unwrap().to_owned(),
    };
    for (target, body) in [
        (
            "/api/v1/namespaces",
            "{\"metadata\":{\"name\":\"shop\"}}".to_owned(),
        ),
        (CONFIG_MAPS, config_map("kept", "shop")),
    ] {
        let made = memory.send(&case(201, "POST", target, &[], &body));
        assert_eq!(made.status, 201, "{}", made.text());
    }
    // Each has a UID of its own.
    let uid = |from: &Direct| {
        let kept = from.send(&case(200, "GET", KEPT, &[], ""));
        kept.json()["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let (their_uid, our_uid) = (uid(&direct), uid(&memory));
    let mut differ = Vec::new();
    for case in cases().iter().filter(|case| !case.is_by_rules) {
        let (theirs, ours) = (direct.send(case), memory.send(case));
        assert_eq!(theirs.status, case.code, "{case:?}: {}", theirs.text());
        let (mut theirs, mut ours) = (theirs.json(), ours.json());
        for field in ["code", "reason"] {
            assert_eq!(theirs[field], ours[field], "{case:?}");
        }
        if case.has_words_of_its_own {
            // What its documentation lists is still so.
            assert_ne!(theirs["message"], ours["message"], "{case:?}");
            for status in [&mut theirs, &mut ours] {
                status
                    .as_object_mut()
                    .unwrap()
                    .retain(|name, _| name != "message" && name != "details");
            }
        }
        let (theirs, ours) = (theirs.to_string(), ours.to_string());
        let theirs = theirs.replace(&their_uid, &our_uid);
        if theirs != ours {
            differ.push(format!("{case:?}\n  {theirs}\n  {ours}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
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

    fn send(&self, case: &Case) -> Answer {
        let Case {
            method,
            target,
            headers,
            body,
            ..
        } = case;
        self.https
            .send_as(&self.bearer, method, target, headers, body)
    }
}

/// A request that a cluster refuses with this status.
#[derive(Debug)]
struct Case {
    code: u16,
    method: &'static str,
    target: String,
    headers: &'static [(&'static str, &'static str)],
    body: String,
    /// Whether it is RBAC, admission or quota that refuses it.
    is_by_rules: bool,
    /// Whether the memory cluster says so otherwise, as its documentation lists.
    has_words_of_its_own: bool,
}

impl Case {
    fn in_words_of_its_own(self) -> Self {
        Self {
            has_words_of_its_own: true,
            ..self
        }
    }
}

fn case(
    code: u16,
    method: &'static str,
    target: &str,
    headers: &'static [(&'static str, &'static str)],
    body: &str,
) -> Case {
    Case {
        code,
        method,
        target: target.to_owned(),
        headers,
        body: body.to_owned(),
        is_by_rules: false,
        has_words_of_its_own: false,
    }
}

fn cases() -> Vec<Case> {
    let by_rules = [
        case(403, "GET", "/api/v1/nodes", &[], ""),
        case(403, "GET", "/api/v1/namespaces/daas/secrets", &[], ""),
        case(403, "DELETE", "/api/v1/namespaces/shop", &[], ""),
        case(403, "GET", "/metrics", &[], ""),
        case(403, "POST", ROLE_BINDINGS, &[], ROLE_BINDING),
        case(403, "POST", PODS, &[], PRIVILEGED),
        case(
            422,
            "POST",
            CONFIG_MAPS,
            &[],
            &config_map("forbidden", "shop"),
        ),
        case(403, "POST", SERVICES, &[], SERVICE),
    ]
    .map(|case| Case {
        is_by_rules: true,
        ..case
    });
    let strict = format!("{CONFIG_MAPS}?fieldValidation=Strict");
    let misspelt = config_map("a", "shop").replace("\"data\"", "\"dta\"");
    let stale = kept_with("v").replace("{\"name\"", "{\"resourceVersion\":\"1\",\"name\"");
    let uid = "{\"preconditions\":{\"uid\":\"0\"}}";
    let renamed = "{\"metadata\":{\"name\":\"other\"}}";
    let others = [
        // Validation and form.
        case(
            422,
            "POST",
            CONFIG_MAPS,
            &[],
            &config_map("Not_A_Name", "shop"),
        ),
        case(422, "POST", DEPLOYMENTS, &[], EMPTY_DEPLOYMENT).in_words_of_its_own(),
        case(400, "POST", CONFIG_MAPS, &[], "{\"kind\":").in_words_of_its_own(),
        case(400, "POST", CONFIG_MAPS, &[], &config_map("a", "daas")),
        case(400, "POST", CONFIG_MAPS, &[], SERVICE).in_words_of_its_own(),
        case(400, "POST", &strict, &[], &misspelt),
        case(415, "PATCH", KEPT, &[("content-type", "text/plain")], "x").in_words_of_its_own(),
        case(406, "GET", KEPT, &[("accept", "text/x-other")], "").in_words_of_its_own(),
        case(405, "POST", KEPT, &[], "{}"),
        case(
            400,
            "GET",
            &format!("{CONFIG_MAPS}?continue=x&limit=1"),
            &[],
            "",
        )
        .in_words_of_its_own(),
        case(400, "PATCH", KEPT, MERGE, renamed),
        // What is there or not, and since when.
        case(404, "GET", &format!("{CONFIG_MAPS}/none"), &[], ""),
        case(
            404,
            "GET",
            "/apis/apps/v9/namespaces/shop/deployments",
            &[],
            "",
        ),
        case(409, "POST", CONFIG_MAPS, &[], &config_map("kept", "shop")),
        case(409, "PUT", KEPT, &[], &stale),
        case(409, "PATCH", APPLIED, APPLY, &kept_with("two")),
        case(409, "DELETE", KEPT, &[], uid),
    ];
    by_rules.into_iter().chain(others).collect()
}

fn kept_with(value: &str) -> String {
    config_map("kept", "shop").replace("\"v\"", &format!("\"{value}\""))
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
const KEPT: &str = "/api/v1/namespaces/shop/configmaps/kept";
const APPLIED: &str = "/api/v1/namespaces/shop/configmaps/kept?fieldManager=one";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";
const ROLE_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings";
const APPLY: &[(&str, &str)] = &[("content-type", "application/apply-patch+yaml")];
const MERGE: &[(&str, &str)] = &[("content-type", "application/merge-patch+json")];
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
