//! What `kubectl auth can-i` says is what happens.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::{Act, Got, Seen, World, editor};
use crate::types::MIST_PER_SUI;

const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

async fn can_i(world: &World, attributes: Value) -> Got {
    let review = json!({
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": null},
        "spec": {"resourceAttributes": attributes},
    });
    world.post(ACCESS, review.to_string()).await
}

fn allowing(world: &World, allowed: bool) -> Seen {
    let seen = Seen::default();
    let asked = seen.clone();
    world.answer(move |request| {
        asked.push(request.path.to_string());
        let status = json!({"allowed": allowed, "reason": "the cluster says so"});
        Act::json(
            201,
            json!({"kind": "SelfSubjectAccessReview", "status": status}).to_string(),
        )
    });
    seen
}

#[tokio::test]
async fn the_tokens_rules_and_stake_come_first() {
    let world = World::new().await;
    let seen = allowing(&world, true);
    for (attributes, reason) in [
        (
            json!({"namespace": "a", "verb": "get", "resource": "secrets"}),
            "it lacks resource secrets",
        ),
        (
            json!({"namespace": "b", "verb": "get", "resource": "pods"}),
            "it lacks namespace b",
        ),
        (
            json!({"verb": "list", "resource": "pods"}),
            "namespace \"*\"",
        ),
        (
            json!({"namespace": "a", "verb": "create", "resource": "pods", "subresource": "exec"}),
            "does not serve streams",
        ),
        (
            json!({"namespace": "a", "verb": "get", "resource": "*"}),
            "it lacks resource *",
        ),
        (
            json!({"verb": "impersonate", "resource": "users"}),
            "no impersonation",
        ),
    ] {
        let got = can_i(&world, attributes.clone()).await;
        assert_eq!(got.status, 201);
        let answer = got.json();
        assert_eq!(answer["status"]["allowed"], false, "{attributes}");
        let said = answer["status"]["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{attributes}: {said}");
        if said.contains("it lacks") {
            let advice = format!("`daas token rules --token {}`", world.token);
            assert!(said.contains(&advice), "{said}");
        }
        assert_eq!(answer["kind"], "SelfSubjectAccessReview");
        assert_eq!(answer["spec"]["resourceAttributes"], attributes);
    }
    assert!(seen.all().is_empty(), "the cluster need not be asked");
    for attributes in [
        json!({"namespace": "a", "verb": "delete", "resource": "pods"}),
        json!({"namespace": "a", "verb": "*", "resource": "pods"}),
        json!({"namespace": "a", "verb": "get", "resource": "pods", "subresource": "log", "name": "x"}),
        json!({"namespace": "a", "verb": "patch", "group": "apps", "resource": "deployments"}),
    ] {
        assert_eq!(
            can_i(&world, attributes.clone()).await.json()["status"]["allowed"],
            true,
            "{attributes}"
        );
    }
    assert_eq!(seen.all().len(), 4);
    assert!(
        world.recorded(0).await.is_empty(),
        "a question is no refusal"
    );
}

#[tokio::test]
async fn without_stake_only_reads_are_allowed() {
    let world = World::new().await;
    allowing(&world, true);
    let world = World {
        token: world.issue(editor()),
        ..world
    };
    let pods = |verb: &str| json!({"namespace": "a", "verb": verb, "resource": "pods"});
    assert_eq!(
        can_i(&world, pods("get")).await.json()["status"]["allowed"],
        true
    );
    for verb in ["create", "delete", "*"] {
        let answer = can_i(&world, pods(verb)).await.json();
        assert_eq!(answer["status"]["allowed"], false, "{verb}");
        let reason = answer["status"]["reason"].as_str().unwrap();
        assert!(
            reason.contains("has 0 SUI of stake and needs 1 SUI"),
            "{reason}"
        );
        let advice = format!("`daas token stake 1SUI --token {}`", world.token);
        assert!(reason.contains(&advice), "{reason}");
    }
    world.stake(world.token, MIST_PER_SUI);
    assert_eq!(
        can_i(&world, pods("create")).await.json()["status"]["allowed"],
        true
    );
}

#[tokio::test]
async fn the_cluster_has_the_last_word() {
    let world = World::new().await;
    allowing(&world, false);
    let answer = can_i(
        &world,
        json!({"namespace": "a", "verb": "get", "resource": "pods"}),
    )
    .await
    .json();
    assert_eq!(answer["status"]["allowed"], false);
    let binding = format!(
        "; a RoleBinding or ClusterRoleBinding for the user seal:{}, or a group of its, is missing",
        world.token
    );
    assert_eq!(
        answer["status"]["reason"],
        format!(
            "the seal token allows it, but the cluster's own RBAC does not: the cluster says so{binding}"
        )
    );
    // Verbs that no request has are the cluster's alone.
    can_i(
        &world,
        json!({"verb": "bind", "group": "rbac.authorization.k8s.io", "resource": "clusterroles"}),
    )
    .await;
    assert_eq!(world.admitted().len(), 2);
}

/// RBAC itself gives no reason, and an express no is not undone by a binding.
#[tokio::test]
async fn a_no_of_the_clusters_says_whose_it_is() {
    for (status, reason) in [
        (
            json!({"allowed": false}),
            "the seal token allows it, but the cluster's own RBAC does not; a RoleBinding",
        ),
        (
            json!({"allowed": false, "denied": true, "reason": "policy 7"}),
            "the seal token allows it, but the cluster's own RBAC does not: policy 7",
        ),
    ] {
        let world = World::new().await;
        let body = json!({"kind": "SelfSubjectAccessReview", "status": status}).to_string();
        world.answer(move |request| {
            let accepted = format!("{:?}", request.header_names);
            assert!(accepted.contains("accept"), "{accepted}");
            Act::json(201, body.clone())
        });
        let pods = json!({"namespace": "a", "verb": "get", "resource": "pods"});
        let got = can_i(&world, pods).await;
        assert_eq!(got.status, 201);
        let said = got.json()["status"]["reason"].as_str().unwrap().to_owned();
        assert!(said.starts_with(reason), "{said}");
        assert_eq!(
            said.contains("RoleBinding"),
            status.get("denied").is_none(),
            "{said}"
        );
    }
}

#[tokio::test]
async fn paths_that_are_no_resources_are_answered_too() {
    let world = World::new().await;
    let seen = allowing(&world, true);
    let ask = async |path: &str, verb: &str| {
        let spec = json!({"nonResourceAttributes": {"path": path, "verb": verb}});
        let answer = world
            .post(ACCESS, json!({"spec": spec}).to_string())
            .await
            .json();
        answer["status"]["allowed"].clone()
    };
    assert_eq!(ask("/metrics", "get").await, false);
    assert_eq!(ask("/api", "post").await, false);
    assert_eq!(ask("/api", "get").await, true);
    assert_eq!(seen.all().len(), 1);
}

#[tokio::test]
async fn a_resource_without_namespaces_is_asked_for_without_one() {
    let world = World::new().await;
    let own = world.issue(Vec::new());
    let mut config = world.gateway.config().clone();
    config.discovery_token = Some(own);
    let gateway = crate::gateway::Gateway::builder(
        world.gateway.inner.ledger.clone(),
        world.gateway.inner.blobs.clone(),
        world.cluster,
    );
    let gateway = gateway.with_config(config).build().unwrap();
    let rule = crate::types::PolicyRule::builder()
        .with_verbs(["get"])
        .with_api_groups([""])
        .with_resources(["nodes", "pods"])
        .with_namespaces(["a"]);
    let token = world.issue(vec![rule.build().unwrap()]);
    let world = World {
        gateway,
        token,
        ..world
    };
    world.answer(|request| {
        if request.path.to_string() == "/api" {
            let resources = json!([
                {"resource": "nodes", "scope": "Cluster"},
                {"resource": "pods", "scope": "Namespaced"},
            ]);
            let core =
                json!({"metadata": {}, "versions": [{"version": "v1", "resources": resources}]});
            return Act::json(200, json!({"items": [core]}).to_string());
        }
        Act::json(201, json!({"status": {"allowed": true}}).to_string())
    });
    // kubectl sends the context's namespace whatever the resource.
    let ask = |resource: &str| {
        can_i(
            &world,
            json!({"namespace": "a", "verb": "get", "resource": resource}),
        )
    };
    assert_eq!(ask("nodes").await.json()["status"]["allowed"], false);
    assert_eq!(ask("pods").await.json()["status"]["allowed"], true);
}

#[tokio::test]
async fn the_list_is_what_both_allow() {
    let world = World::new().await;
    world.answer(|_| {
        let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods", "secrets"]});
        let reviews = json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"]});
        let urls = json!({"verbs": ["get"], "nonResourceURLs": ["/api", "/healthz", "/metrics"]});
        let status = json!({"resourceRules": [all, reviews], "nonResourceRules": [urls], "incomplete": false});
        Act::json(201, json!({"kind": "SelfSubjectRulesReview", "status": status}).to_string())
    });
    let ask = async |world: &World, namespace: &str| {
        let review = json!({"spec": {"namespace": namespace}}).to_string();
        world.post(RULES, review).await.json()["status"].clone()
    };
    let reviews = json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"]});
    let here = ask(&world, "a").await;
    assert_eq!(
        here["resourceRules"],
        json!([{"verbs": ["*"], "apiGroups": ["", "apps"], "resources": ["pods"]}, reviews])
    );
    assert_eq!(
        here["nonResourceRules"],
        json!([{"verbs": ["get"], "nonResourceURLs": ["/api", "/healthz"]}])
    );
    assert_eq!(ask(&world, "b").await["resourceRules"], json!([reviews]));
    let poor = World {
        token: world.issue(editor()),
        ..world
    };
    let pods = &ask(&poor, "a").await["resourceRules"][1];
    assert_eq!(pods["verbs"], json!(["get", "list", "watch"]));
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let world = World::new().await;
    for body in ["", "[]", "k8s\0\n", "{"] {
        world
            .post(ACCESS, body)
            .await
            .refused(415, "UnsupportedMediaType");
    }
    let protobuf = world
        .request("POST", ACCESS)
        .header("content-type", "application/vnd.kubernetes.protobuf");
    world
        .send(protobuf, "{}")
        .await
        .refused(415, "UnsupportedMediaType");
    world
        .post(ACCESS, "{\"spec\":[]}")
        .await
        .refused(400, "BadRequest");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(world.admitted().is_empty());
}

#[tokio::test]
async fn who_one_is_is_the_clusters_to_say() {
    let world = World::new().await;
    world.answer_json(
        201,
        "{\"status\":{\"userInfo\":{\"username\":\"seal:0x1\"}}}",
    );
    let got = world
        .post("/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}")
        .await;
    assert_eq!(got.json()["status"]["userInfo"]["username"], "seal:0x1");
}
