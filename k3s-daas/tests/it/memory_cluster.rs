//! The memory cluster over HTTPS, as its clients see it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k3s_daas::memory_cluster::{Error, MemoryCluster};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

// ---- the usual day ----

#[tokio::test]
async fn objects_are_created_read_changed_listed_and_deleted() {
    let server = Server::start().await;
    let client = server.client();
    let created = client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(created["kind"], "ConfigMap");
    assert!(created["metadata"]["uid"].as_str().unwrap().len() == 36);
    let path = format!("{CONFIG_MAPS}/a");
    assert_eq!(client.get(&path).await.expect(StatusCode::OK), created);

    let mut changed = created.clone();
    changed["data"]["k"] = "2".into();
    let updated = client.put(&path, &changed).await.expect(StatusCode::OK);
    assert_ne!(
        updated["metadata"]["resourceVersion"],
        created["metadata"]["resourceVersion"]
    );
    // The same once more changes nothing, not even the version.
    assert_eq!(
        client.put(&path, &updated).await.expect(StatusCode::OK),
        updated
    );

    let list = client.get(CONFIG_MAPS).await.expect(StatusCode::OK);
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert!(list["items"][0].get("kind").is_none());

    let deleted = client.delete(&path).await.expect(StatusCode::OK);
    assert_eq!(deleted["status"], "Success");
    assert_eq!(deleted["details"]["uid"], created["metadata"]["uid"]);
    client
        .get(&path)
        .await
        .refused(404, "NotFound", "configmaps \"a\" not found");
}

#[tokio::test]
async fn both_http_versions_are_spoken() {
    let server = Server::start().await;
    for h2 in [false, true] {
        let client = Client {
            h2,
            ..server.client()
        };
        let version = client.get("/version").await.expect(StatusCode::OK);
        assert_eq!(version["minor"], "35");
    }
}

#[tokio::test]
async fn yaml_and_protobuf_bodies_are_read_and_yaml_is_written() {
    let server = Server::start().await;
    let client = server.client();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: b}\n";
    client
        .send(
            "POST",
            CONFIG_MAPS,
            &[("content-type", "application/yaml")],
            yaml,
        )
        .await
        .expect(StatusCode::CREATED);
    let protobuf = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x00".to_vec();
    let sent = [("content-type", "application/vnd.kubernetes.protobuf")];
    client
        .send("POST", CONFIG_MAPS, &sent, protobuf)
        .await
        .refused(422, "Invalid", "name or generateName is required");
    let protobuf = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01p".to_vec();
    client
        .send("POST", CONFIG_MAPS, &sent, protobuf)
        .await
        .expect(StatusCode::CREATED);
    let answer = client
        .send(
            "GET",
            &format!("{CONFIG_MAPS}/y"),
            &[("accept", "application/yaml")],
            "",
        )
        .await;
    assert_eq!(answer.headers["content-type"], "application/yaml");
    assert!(answer.text.contains("data:\n  a: b\n"));
}

#[tokio::test]
async fn lists_come_in_consistent_pages() {
    let server = Server::start().await;
    let client = server.client();
    for n in 0..5 {
        client
            .post(CONFIG_MAPS, &config_map(&format!("c{n}"), "1"))
            .await
            .expect(StatusCode::CREATED);
    }
    let first = client
        .get(&format!("{CONFIG_MAPS}?limit=2"))
        .await
        .expect(StatusCode::OK);
    assert_eq!(names(&first), ["c0", "c1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    client
        .delete(&format!("{CONFIG_MAPS}/c3"))
        .await
        .expect(StatusCode::OK);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = client
        .get(&format!("{CONFIG_MAPS}?limit=10&continue={token}"))
        .await
        .expect(StatusCode::OK);
    // The second page shows what the first one saw.
    assert_eq!(names(&rest), ["c2", "c3", "c4"]);
    assert_eq!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    client
        .get(&format!("{CONFIG_MAPS}?continue=garbled"))
        .await
        .refused(400, "BadRequest", "continue key is not valid");
}

#[tokio::test]
async fn every_patch_type_patches() {
    let server = Server::start().await;
    let client = server.client();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}});
    client.post(PODS, &pod).await.expect(StatusCode::CREATED);
    let path = format!("{PODS}/p");
    let patched = client
        .patch(
            &path,
            "strategic-merge-patch+json",
            &json!({"spec": {"containers": [{"name": "b", "image": "j"}]}}),
        )
        .await
        .expect(StatusCode::OK);
    assert_eq!(patched["spec"]["containers"][1]["image"], "j");
    assert_eq!(patched["spec"]["containers"].as_array().unwrap().len(), 2);
    let patched = client
        .patch(
            &path,
            "merge-patch+json",
            &json!({"metadata": {"labels": {"x": "y"}}}),
        )
        .await
        .expect(StatusCode::OK);
    assert_eq!(patched["metadata"]["labels"]["x"], "y");
    let patched = client
        .patch(
            &path,
            "json-patch+json",
            &json!([{"op": "remove", "path": "/metadata/labels/x"}]),
        )
        .await
        .expect(StatusCode::OK);
    assert!(patched["metadata"].get("labels").is_none());
    client
        .patch(
            &path,
            "json-patch+json",
            &json!([{"op": "test", "path": "/metadata/name", "value": "q"}]),
        )
        .await
        .refused(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        );
    client
        .patch(
            &path,
            "strategic-merge-patch+json",
            &json!({"spec": {"containers": [{"image": "j"}]}}),
        )
        .await
        .refused(
            400,
            "BadRequest",
            "does not contain declared merge key: name",
        );
}

#[tokio::test]
async fn server_side_apply_creates_conflicts_and_forces() {
    let server = Server::start().await;
    let client = server.client();
    let path = format!("{CONFIG_MAPS}/a");
    let apply = |manager: &str, force: bool, value: &str| {
        let path = format!("{path}?fieldManager={manager}&force={force}");
        let body = config_map("a", value);
        let client = client.clone();
        async move { client.patch(&path, "apply-patch+yaml", &body).await }
    };
    apply("one", false, "1").await.expect(StatusCode::CREATED);
    let unchanged = apply("one", false, "1").await.expect(StatusCode::OK);
    assert_eq!(
        apply("one", false, "1").await.expect(StatusCode::OK),
        unchanged
    );
    apply("two", false, "2").await.refused(
        409,
        "Conflict",
        "Apply failed with 1 conflict: conflict with \"one\": .data.k",
    );
    let forced = apply("two", true, "2").await.expect(StatusCode::OK);
    assert_eq!(forced["data"]["k"], "2");
    client
        .patch(&path, "apply-patch+yaml", &config_map("a", "1"))
        .await
        .refused(
            422,
            "Invalid",
            "fieldManager: Required value: is required for apply patch",
        );
}

#[tokio::test]
async fn status_and_scale_are_doors_of_their_own() {
    let server = Server::start().await;
    let client = server.client();
    let created = client
        .post(DEPLOYMENTS, &deployment("d"))
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(created["metadata"]["generation"], 1);
    let path = format!("{DEPLOYMENTS}/d");
    let mut changed = created.clone();
    changed["status"]["readyReplicas"] = 1.into();
    changed["spec"]["replicas"] = 7.into();
    let by_main = client.put(&path, &changed).await.expect(StatusCode::OK);
    assert_eq!(
        (
            &by_main["spec"]["replicas"],
            &by_main["metadata"]["generation"]
        ),
        (&json!(7), &json!(2))
    );
    assert!(by_main["status"].get("readyReplicas").is_none());
    let mut changed = by_main.clone();
    changed["status"]["readyReplicas"] = 1.into();
    changed["spec"]["replicas"] = 9.into();
    let by_status = client
        .put(&format!("{path}/status"), &changed)
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        (
            &by_status["spec"]["replicas"],
            &by_status["status"]["readyReplicas"]
        ),
        (&json!(7), &json!(1))
    );
    assert_eq!(by_status["metadata"]["generation"], 2);

    let scale = client
        .get(&format!("{path}/scale"))
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(7))
    );
    assert_eq!(scale["status"]["selector"], "a=b");
    let mut wanted = scale.clone();
    wanted["spec"]["replicas"] = 3.into();
    client
        .put(&format!("{path}/scale"), &wanted)
        .await
        .expect(StatusCode::OK);
    client.put(&format!("{path}/scale"), &wanted).await.refused(
        409,
        "Conflict",
        "the object has been modified",
    );
    let down = client
        .patch(
            &format!("{path}/scale"),
            "merge-patch+json",
            &json!({"spec": {"replicas": 0}}),
        )
        .await;
    assert_eq!(down.expect(StatusCode::OK)["spec"], json!({}));
    client
        .patch(
            &format!("{path}/scale"),
            "merge-patch+json",
            &json!({"spec": {"replicas": -1}}),
        )
        .await
        .refused(422, "Invalid", "must be greater than or equal to 0");
    client.get(&format!("{CONFIG_MAPS}/x/scale")).await.refused(
        404,
        "NotFound",
        "could not find the requested resource",
    );
}

// ---- watching ----

#[tokio::test]
async fn a_watch_tells_every_change_once_and_in_order() {
    let server = Server::start().await;
    let client = server.client();
    let before = client.get(CONFIG_MAPS).await.expect(StatusCode::OK);
    let version = before["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    let mut watch = client
        .watch(&format!(
            "{CONFIG_MAPS}?watch=1&resourceVersion={version}&labelSelector=l%3D1"
        ))
        .await;
    let label = |value: &str| json!({"metadata": {"labels": {"l": value}}});
    let path = format!("{CONFIG_MAPS}/a");
    for value in ["1", "1", "2", "1"] {
        client
            .patch(&path, "merge-patch+json", &label(value))
            .await
            .expect(StatusCode::OK);
    }
    client
        .patch(&path, "merge-patch+json", &json!({"data": {"k": "9"}}))
        .await
        .expect(StatusCode::OK);
    client.delete(&path).await.expect(StatusCode::OK);
    // Coming into view, leaving it, and back; the repeated label was no change.
    for expected in ["ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"] {
        assert_eq!(watch.next().await["type"], expected);
    }
}

#[tokio::test]
async fn watches_start_from_now_from_a_list_or_from_the_state() {
    let server = Server::start().await;
    let client = server.client();
    client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?watch=true")).await;
    assert_eq!(watch.next().await["object"]["metadata"]["name"], "a");
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(watch.next().await["type"], "ADDED");
    let bookmark = watch.next().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    client
        .post(CONFIG_MAPS, &config_map("b", "1"))
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(watch.next().await["object"]["metadata"]["name"], "b");
    // A watch ends when it was asked to.
    let mut watch = client
        .watch(&format!(
            "{CONFIG_MAPS}?watch=1&resourceVersion=0&timeoutSeconds=1"
        ))
        .await;
    watch.next().await;
    watch.next().await;
    assert!(watch.end().await);
    client
        .get(&format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true"))
        .await
        .refused(
            400,
            "BadRequest",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
}

#[tokio::test]
async fn what_is_forgotten_is_gone_and_what_is_to_come_is_not_here() {
    let server = Server::start().await;
    let client = server.client();
    client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    let mut watch = client
        .watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1"))
        .await;
    let error = watch.next().await;
    assert_eq!(
        (&error["type"], &error["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(
        error["object"]["message"]
            .as_str()
            .unwrap()
            .starts_with("too old resource version: 1 (")
    );
    assert!(watch.end().await);
    client
        .get(&format!(
            "{CONFIG_MAPS}?resourceVersion=1&resourceVersionMatch=Exact"
        ))
        .await
        .refused(410, "Expired", "too old resource version: 1");
    client
        .get(&format!("{CONFIG_MAPS}?resourceVersion=99999"))
        .await
        .refused(504, "Timeout", "Too large resource version");
}

#[tokio::test]
async fn watches_end_at_shutdown() {
    let server = Server::start().await;
    let mut watch = server
        .client()
        .watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=0"))
        .await;
    server.shutdown.cancel();
    assert!(watch.end().await);
}

#[tokio::test]
async fn tables_have_columns_also_in_a_watch() {
    let server = Server::start().await;
    let client = server.client();
    client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    client
        .post(CONFIG_MAPS, &config_map("b", "1"))
        .await
        .expect(StatusCode::CREATED);
    let accept = [(
        "accept",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    )];
    let table = client
        .send("GET", CONFIG_MAPS, &accept, "")
        .await
        .expect(StatusCode::OK);
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][1]["name"], "Data");
    assert_eq!(table["rows"][1]["cells"][0], "b");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let mut watch = client
        .watch_as(&format!("{CONFIG_MAPS}?watch=1"), &accept)
        .await;
    assert!(watch.next().await["object"]["columnDefinitions"].is_array());
    assert!(watch.next().await["object"]["columnDefinitions"].is_null());
}

// ---- refusals ----

#[tokio::test]
async fn who_is_not_known_is_refused() {
    let server = Server::start().await;
    for token in ["", "wrong", "Bearer", &server.cluster.admin_token()[1..]] {
        let client = Client {
            token: token.into(),
            ..server.client()
        };
        for path in ["/api", PODS, "/version", "/nowhere"] {
            client
                .get(path)
                .await
                .refused(401, "Unauthorized", "Unauthorized");
        }
    }
}

#[tokio::test]
async fn rbac_decides_about_the_impersonated() {
    let server = Server::start().await;
    let admin = server.client();
    let bob = Client {
        headers: vec![("impersonate-user".into(), "bob".into())],
        ..server.client()
    };
    let refusal = "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    bob.get(CONFIG_MAPS)
        .await
        .refused(403, "Forbidden", refusal);
    bob.get("/metrics").await.refused(
        403,
        "Forbidden",
        "forbidden: User \"bob\" cannot get path \"/metrics\"",
    );
    bob.get("/apis").await.expect(StatusCode::OK);
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let binding = |name: &str, role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"kind": "User", "name": "bob"}]})
    };
    admin
        .post(bindings, &binding("b", "edit"))
        .await
        .expect(StatusCode::CREATED);
    bob.post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    bob.get("/api/v1/namespaces/kube-system/configmaps")
        .await
        .refused(403, "Forbidden", "in the namespace \"kube-system\"");
    bob.get("/api/v1/configmaps")
        .await
        .refused(403, "Forbidden", "at the cluster scope");
    bob.get(bindings)
        .await
        .refused(403, "Forbidden", "cannot list resource \"rolebindings\"");
    // Nobody lifts themselves up: an admin of the namespace grants no more than they hold.
    let carol = Client {
        headers: vec![("impersonate-user".into(), "carol".into())],
        ..server.client()
    };
    let mut grant = binding("c", "admin");
    grant["subjects"][0]["name"] = "carol".into();
    admin
        .post(bindings, &grant)
        .await
        .expect(StatusCode::CREATED);
    carol
        .post(bindings, &binding("d", "view"))
        .await
        .expect(StatusCode::CREATED);
    carol
        .post(bindings, &binding("e", "cluster-admin"))
        .await
        .refused(
            403,
            "Forbidden",
            "is attempting to grant RBAC permissions not currently held",
        );
    // What the review says is what happens.
    let review = |verb: &str| {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": "default"}}})
    };
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, allowed) in [("create", true), ("bogus", false)] {
        assert_eq!(
            bob.post(reviews, &review(verb))
                .await
                .expect(StatusCode::CREATED)["status"]["allowed"],
            allowed
        );
    }
}

#[tokio::test]
async fn impersonation_shows_in_the_self_review() {
    let server = Server::start().await;
    let headers = [
        ("impersonate-user", "seal:x"),
        ("impersonate-group", "g1"),
        ("impersonate-group", "g2"),
        ("impersonate-extra-daas.io%2frequest", "r1"),
    ];
    let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let client = Client {
        headers,
        ..server.client()
    };
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = client
        .post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review)
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(
        answer["status"]["userInfo"],
        json!({"username": "seal:x", "groups": ["g1", "g2", "system:authenticated"], "extra": {"daas.io/request": ["r1"]}})
    );
    let nobody = Client {
        headers: vec![("impersonate-group".into(), "g".into())],
        ..server.client()
    };
    nobody
        .get(PODS)
        .await
        .refused(500, "InternalError", "without impersonating a user");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    let client = server.client();
    client
        .get(&format!("{PODS}/x"))
        .await
        .refused(404, "NotFound", "pods \"x\" not found");
    client.get(&format!("{DEPLOYMENTS}/x")).await.refused(
        404,
        "NotFound",
        "deployments.apps \"x\" not found",
    );
    client
        .delete(&format!("{PODS}/x"))
        .await
        .refused(404, "NotFound", "pods \"x\" not found");
    client
        .put(&format!("{CONFIG_MAPS}/x"), &config_map("x", "1"))
        .await
        .refused(404, "NotFound", "configmaps \"x\" not found");
    client
        .get("/api/v1/namespaces/default/bogus")
        .await
        .refused(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    client
        .post("/api/v1/namespaces/nope/configmaps", &config_map("x", "1"))
        .await
        .refused(404, "NotFound", "namespaces \"nope\" not found");
    for path in [
        "/bogus",
        "/apis/bogus.io",
        "/apis/bogus.io/v1/things",
        "/api/v1/pods/a%2fb",
    ] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (StatusCode::NOT_FOUND, "404 page not found\n"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn methods_and_media_types_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let client = server.client();
    let not_allowed = "the server does not allow this method on the requested resource";
    client.post(&format!("{PODS}/x"), &json!({})).await.refused(
        405,
        "MethodNotAllowed",
        not_allowed,
    );
    client
        .put(PODS, &json!({}))
        .await
        .refused(405, "MethodNotAllowed", not_allowed);
    client
        .post("/api/v1/pods", &json!({}))
        .await
        .refused(405, "MethodNotAllowed", not_allowed);
    client
        .delete("/api/v1/namespaces")
        .await
        .refused(405, "MethodNotAllowed", not_allowed);
    client
        .get("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .await
        .refused(405, "MethodNotAllowed", not_allowed);
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    client.send("GET", PODS, &protobuf, "").await.refused(
        406,
        "NotAcceptable",
        "only the following media types are accepted",
    );
    let v2 = [(
        "accept",
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    )];
    client.send("GET", "/openapi/v2", &v2, "").await.refused(
        406,
        "NotAcceptable",
        "only the following media types",
    );
    let text = [("content-type", "text/plain")];
    client.send("POST", CONFIG_MAPS, &text, "x").await.refused(
        415,
        "UnsupportedMediaType",
        "accepted media types include",
    );
    client
        .send("PATCH", &format!("{PODS}/x"), &text, "x")
        .await
        .refused(415, "UnsupportedMediaType", "application/json-patch+json");
}

#[tokio::test]
async fn conflicts_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let client = server.client();
    let first = client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    client
        .post(CONFIG_MAPS, &config_map("a", "2"))
        .await
        .refused(409, "AlreadyExists", "configmaps \"a\" already exists");
    let path = format!("{CONFIG_MAPS}/a");
    client
        .put(&path, &config_map("a", "2"))
        .await
        .expect(StatusCode::OK);
    let stale = "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again";
    client
        .put(&path, &first)
        .await
        .refused(409, "Conflict", stale);
    let precondition =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}});
    client
        .send("DELETE", &path, &[], precondition.to_string())
        .await
        .refused(
            409,
            "Conflict",
            "Precondition failed: UID in precondition: other, UID in object meta: ",
        );
    assert_eq!(
        client.get(&path).await.expect(StatusCode::OK)["data"]["k"],
        "2"
    );
}

#[tokio::test]
async fn bad_objects_are_refused_with_their_causes() {
    let server = Server::start().await;
    let client = server.client();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
    let refusal = client.post(PODS, &pod).await;
    assert_eq!(
        refusal.json()["details"]["causes"][0]["field"],
        "spec.containers[0].image"
    );
    refusal.refused(
        422,
        "Invalid",
        "Pod \"p\" is invalid: spec.containers[0].image: Required value",
    );
    client
        .post(DEPLOYMENTS, &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": "x"}}))
        .await
        .refused(400, "BadRequest", "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32");
    client.post(PODS, &config_map("a", "1")).await.refused(
        400,
        "BadRequest",
        "cannot be handled as a Pod",
    );
    client
        .post(
            DEPLOYMENTS,
            &json!({"apiVersion": "v1", "kind": "Deployment", "metadata": {"name": "d"}}),
        )
        .await
        .refused(
            400,
            "BadRequest",
            "the API version in the data (v1) does not match the expected API version (apps/v1)",
        );
    let mut elsewhere = config_map("a", "1");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    client.post(CONFIG_MAPS, &elsewhere).await.refused(
        400,
        "BadRequest",
        "the namespace of the provided object does not match",
    );
    client
        .put(&format!("{CONFIG_MAPS}/b"), &config_map("a", "1"))
        .await
        .refused(
            400,
            "BadRequest",
            "the name of the object (a) does not match the name on the URL (b)",
        );
    client
        .send("POST", CONFIG_MAPS, &[], "{")
        .await
        .refused(400, "BadRequest", "json parse error");
    client
        .get(&format!("{PODS}?fieldSelector=spec.bogus%3D1"))
        .await
        .refused(400, "BadRequest", "field label not supported: spec.bogus");
    client
        .get(&format!("{PODS}?labelSelector=a%3D%3D%3Db"))
        .await
        .refused(400, "BadRequest", "unable to parse requirement");
    client
        .get(&format!("{PODS}?limit=x"))
        .await
        .refused(400, "BadRequest", "strconv.ParseInt");
    let query = format!("{CONFIG_MAPS}?dryRun=Some");
    client.post(&query, &config_map("a", "1")).await.refused(
        422,
        "Invalid",
        "dryRun: Unsupported value: \"Some\": supported values: \"All\"",
    );
    assert_eq!(
        names(&client.get(CONFIG_MAPS).await.expect(StatusCode::OK)),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = Server::start().await;
    let client = server.client();
    let fits = config_map("a", &"x".repeat((3 << 20) - 400));
    client
        .post(CONFIG_MAPS, &fits)
        .await
        .expect(StatusCode::CREATED);
    let large = config_map("b", &"x".repeat(3 << 20));
    client.post(CONFIG_MAPS, &large).await.refused(
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    );
}

#[tokio::test]
async fn field_validation_warns_refuses_or_ignores() {
    let server = Server::start().await;
    let client = server.client();
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","bogus":1},"data":{"a":"1","a":"2"}}"#;
    let send = |mode: &str, dry: &str| {
        let (client, path) = (
            client.clone(),
            format!("{CONFIG_MAPS}?fieldValidation={mode}{dry}"),
        );
        async move { client.send("POST", &path, &[], text).await }
    };
    send("Strict", "").await.refused(
        400,
        "BadRequest",
        "strict decoding error: duplicate field \"data.a\", unknown field \"metadata.bogus\"",
    );
    let warned = send("Warn", "&dryRun=All").await;
    let warnings: Vec<&str> = warned
        .headers
        .get_all("warning")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert_eq!(
        warnings,
        [
            "299 - \"duplicate field \\\"data.a\\\"\"",
            "299 - \"unknown field \\\"metadata.bogus\\\"\""
        ]
    );
    assert!(
        warned.expect(StatusCode::CREATED)["metadata"]
            .get("bogus")
            .is_none()
    );
    let ignored = send("Ignore", "").await;
    assert!(ignored.headers.get("warning").is_none());
    ignored.expect(StatusCode::CREATED);
    send("Loud", "").await.refused(
        422,
        "Invalid",
        "fieldValidation: Unsupported value: \"Loud\"",
    );
}

// ---- deletion ----

#[tokio::test]
async fn finalizers_hold_and_owned_objects_follow() {
    let server = Server::start().await;
    let client = server.client();
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["example.com/x"]);
    client
        .post(CONFIG_MAPS, &held)
        .await
        .expect(StatusCode::CREATED);
    let path = format!("{CONFIG_MAPS}/held");
    let marked = client.delete(&path).await.expect(StatusCode::OK);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let more = json!({"metadata": {"finalizers": ["example.com/x", "example.com/y"]}});
    client
        .patch(&path, "merge-patch+json", &more)
        .await
        .refused(422, "Invalid", "no new finalizers can be added");
    client
        .patch(
            &path,
            "merge-patch+json",
            &json!({"metadata": {"finalizers": null}}),
        )
        .await
        .expect(StatusCode::OK);
    client
        .get(&path)
        .await
        .refused(404, "NotFound", "not found");

    for (policy, survives) in [
        ("Background", false),
        ("Foreground", false),
        ("Orphan", true),
    ] {
        let owner = client
            .post(CONFIG_MAPS, &config_map("owner", "1"))
            .await
            .expect(StatusCode::CREATED);
        let mut owned = config_map("owned", "1");
        owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
        client
            .post(CONFIG_MAPS, &owned)
            .await
            .expect(StatusCode::CREATED);
        client
            .delete(&format!("{CONFIG_MAPS}/owner?propagationPolicy={policy}"))
            .await
            .expect(StatusCode::OK);
        client
            .get(&format!("{CONFIG_MAPS}/owner"))
            .await
            .refused(404, "NotFound", "not found");
        let found = client.get(&format!("{CONFIG_MAPS}/owned")).await;
        if survives {
            assert!(
                found.expect(StatusCode::OK)["metadata"]
                    .get("ownerReferences")
                    .is_none()
            );
        } else {
            found.refused(404, "NotFound", "configmaps \"owned\" not found");
        }
    }
}

#[tokio::test]
async fn a_namespace_takes_its_contents_along() {
    let server = Server::start().await;
    let client = server.client();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    client
        .post("/api/v1/namespaces", &namespace)
        .await
        .expect(StatusCode::CREATED);
    let inside = "/api/v1/namespaces/n/configmaps";
    client
        .post(inside, &config_map("free", "1"))
        .await
        .expect(StatusCode::CREATED);
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["example.com/x"]);
    client.post(inside, &held).await.expect(StatusCode::CREATED);
    let deleted = client
        .delete("/api/v1/namespaces/n")
        .await
        .expect(StatusCode::OK);
    assert_eq!(deleted["status"]["phase"], "Terminating");
    assert_eq!(
        names(&client.get(inside).await.expect(StatusCode::OK)),
        ["held"]
    );
    let refusal = "configmaps \"late\" is forbidden: unable to create new content in namespace n because it is being terminated";
    client
        .post(inside, &config_map("late", "1"))
        .await
        .refused(403, "Forbidden", refusal);
    client
        .patch(
            &format!("{inside}/held"),
            "merge-patch+json",
            &json!({"metadata": {"finalizers": null}}),
        )
        .await
        .expect(StatusCode::OK);
    client
        .get("/api/v1/namespaces/n")
        .await
        .refused(404, "NotFound", "namespaces \"n\" not found");
    client.delete("/api/v1/namespaces/default").await.refused(
        403,
        "Forbidden",
        "namespaces \"default\" is forbidden: this namespace may not be deleted",
    );
}

#[tokio::test]
async fn collections_are_deleted_by_selector() {
    let server = Server::start().await;
    let client = server.client();
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = config_map(name, "1");
        object["metadata"]["labels"] = json!({ "l": label });
        client
            .post(CONFIG_MAPS, &object)
            .await
            .expect(StatusCode::CREATED);
    }
    let deleted = client
        .delete(&format!("{CONFIG_MAPS}?labelSelector=l%3Dx"))
        .await
        .expect(StatusCode::OK);
    assert_eq!(names(&deleted), ["a", "c"]);
    assert_eq!(
        names(&client.get(CONFIG_MAPS).await.expect(StatusCode::OK)),
        ["b"]
    );
}

// ---- custom kinds ----

#[tokio::test]
async fn a_custom_kind_is_served_pruned_and_gone_with_its_definition() {
    let server = Server::start().await;
    let client = server.client();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}});
    client
        .post(definitions, &definition)
        .await
        .expect(StatusCode::CREATED);
    let resources = client
        .get("/apis/example.com/v1")
        .await
        .expect(StatusCode::OK);
    assert_eq!(resources["resources"][0]["shortNames"], json!(["wd"]));
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3, "color": "red"}});
    let created = client
        .post(widgets, &widget)
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(created["spec"], json!({"size": 3}));
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = client
        .send("GET", widgets, &accept, "")
        .await
        .expect(StatusCode::OK);
    assert_eq!(table["rows"][0]["cells"], json!(["w", 3]));
    let document = client
        .get("/openapi/v3/apis/example.com/v1")
        .await
        .expect(StatusCode::OK);
    assert!(document["components"]["schemas"]["com.example.v1.Widget"].is_object());
    client
        .delete(&format!("{definitions}/widgets.example.com"))
        .await
        .expect(StatusCode::OK);
    assert_eq!(client.get(widgets).await.status, StatusCode::NOT_FOUND);
    client
        .post(definitions, &definition)
        .await
        .expect(StatusCode::CREATED);
    assert_eq!(
        names(&client.get(widgets).await.expect(StatusCode::OK)),
        Vec::<String>::new()
    );
}

// ---- aliases ----

#[tokio::test]
async fn one_object_in_two_shapes() {
    let server = Server::start().await;
    let client = server.client();
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m", "reason": "r", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
    client
        .post("/api/v1/namespaces/default/events", &event)
        .await
        .expect(StatusCode::CREATED);
    let other = client
        .get("/apis/events.k8s.io/v1/namespaces/default/events/e")
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        (
            &other["note"],
            &other["regarding"]["name"],
            &other["apiVersion"]
        ),
        (&json!("m"), &json!("p"), &json!("events.k8s.io/v1"))
    );
    let v1 = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}});
    client
        .post(
            "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
            &v1,
        )
        .await
        .expect(StatusCode::CREATED);
    let v2 = client
        .get("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h")
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        v2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        50
    );
}

// ---- durability ----

#[tokio::test]
async fn a_directory_keeps_objects_identity_and_clock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster");
    let (ca, token, version) = {
        let server = Server::start_in(&path).await;
        let client = server.client();
        client
            .post(CONFIG_MAPS, &config_map("a", "1"))
            .await
            .expect(StatusCode::CREATED);
        client
            .post(CONFIG_MAPS, &config_map("b", "1"))
            .await
            .expect(StatusCode::CREATED);
        client
            .delete(&format!("{CONFIG_MAPS}/b"))
            .await
            .expect(StatusCode::OK);
        let list = client.get(CONFIG_MAPS).await.expect(StatusCode::OK);
        // Another process cannot take the directory meanwhile.
        assert!(matches!(
            MemoryCluster::builder()
                .with_directory(path.clone())
                .build(),
            Err(Error::Journal(_))
        ));
        server.stop().await;
        (
            server.cluster.ca_pem().to_owned(),
            server.cluster.admin_token().to_owned(),
            list["metadata"]["resourceVersion"].clone(),
        )
    };
    let server = Server::start_in(&path).await;
    assert_eq!(
        (server.cluster.ca_pem(), server.cluster.admin_token()),
        (ca.as_str(), token.as_str())
    );
    let list = server
        .client()
        .get(CONFIG_MAPS)
        .await
        .expect(StatusCode::OK);
    assert_eq!(names(&list), ["a"]);
    assert_eq!(list["metadata"]["resourceVersion"], version);
    #[cfg(unix)]
    for file in ["ca.key", "server.key", "admin.token", "cluster.db"] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            std::fs::metadata(path.join(file))
                .unwrap()
                .permissions()
                .mode()
                & 0o077,
            0,
            "{file}"
        );
    }
}

#[tokio::test]
async fn a_directory_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("cluster.db");
    let foreign = rusqlite::Connection::open(&database).unwrap();
    foreign.execute_batch("CREATE TABLE other (x)").unwrap();
    drop(foreign);
    let open = || {
        MemoryCluster::builder()
            .with_directory(directory.path().to_owned())
            .build()
    };
    assert!(matches!(open(), Err(Error::Foreign { .. })));
    std::fs::write(
        &database,
        b"not a database at all, but long enough to be read as one",
    )
    .unwrap();
    assert!(matches!(open(), Err(Error::Journal(_))));
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let mut child = ServerProcess::start(&path);
        let client = child.client().await;
        let started = Instant::now();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for n in 0.. {
                        let name = format!("r{round}-w{writer}-n{n}");
                        match client
                            .try_send("POST", CONFIG_MAPS, &[], config_map(&name, "1").to_string())
                            .await
                        {
                            Some(answer) if answer.status == StatusCode::CREATED => done.push(name),
                            _ => break,
                        }
                    }
                    done
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(700)).await;
        child.process.kill().unwrap();
        child.process.wait().unwrap();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert!(
        acknowledged.len() > 20,
        "only {} writes",
        acknowledged.len()
    );
    let server = Server::start_in(&path).await;
    let stored = names(
        &server
            .client()
            .get(CONFIG_MAPS)
            .await
            .expect(StatusCode::OK),
    );
    for name in &acknowledged {
        assert!(stored.contains(name), "{name} was acknowledged and is lost");
    }
}

/// Not a test: the process that [`what_was_acknowledged_survives_kill_9`] kills.
#[tokio::test]
#[ignore = "run by another test"]
async fn serve_until_killed() {
    let Some(directory) = std::env::var_os("MEMORY_CLUSTER_TEST_DIR").map(PathBuf::from) else {
        return;
    };
    let server = Server::start_in(&directory).await;
    let address = directory.join("address.new");
    std::fs::write(&address, server.address.to_string()).unwrap();
    std::fs::rename(&address, directory.join("address")).unwrap();
    std::future::pending::<()>().await;
}

// ---- the means ----

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

struct Server {
    cluster: MemoryCluster,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Server {
    async fn start() -> Self {
        Self::serve(MemoryCluster::builder().build().unwrap()).await
    }

    async fn start_in(directory: &Path) -> Self {
        Self::serve(
            MemoryCluster::builder()
                .with_directory(directory.to_owned())
                .build()
                .unwrap(),
        )
        .await
    }

    async fn serve(cluster: MemoryCluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (served, token) = (cluster.clone(), shutdown.clone());
        let serving = tokio::spawn(async move { served.serve(listener, token).await.unwrap() });
        Self {
            cluster,
            address,
            shutdown,
            serving: Some(serving).into(),
        }
    }

    async fn stop(&self) {
        self.shutdown.cancel();
        if let Some(serving) = self.serving.lock().await.take() {
            serving.await.unwrap();
        }
    }

    fn client(&self) -> Client {
        Client::new(
            self.address,
            self.cluster.ca_pem(),
            self.cluster.admin_token(),
        )
    }
}

struct ServerProcess {
    process: Child,
    directory: PathBuf,
}

impl ServerProcess {
    fn start(directory: &Path) -> Self {
        let _ = std::fs::remove_file(directory.join("address"));
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["memory_cluster::serve_until_killed", "--exact", "--ignored"])
            .env("MEMORY_CLUSTER_TEST_DIR", directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            directory: directory.to_owned(),
        }
    }

    async fn client(&self) -> Client {
        for _ in 0..300 {
            if let Ok(address) = std::fs::read_to_string(self.directory.join("address")) {
                let read = |file: &str| std::fs::read_to_string(self.directory.join(file)).unwrap();
                return Client::new(
                    address.parse().unwrap(),
                    &read("ca.crt"),
                    &read("admin.token"),
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the process did not start");
    }
}

#[derive(Clone)]
struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: String,
    headers: Vec<(String, String)>,
    h2: bool,
}

impl Client {
    fn new(address: SocketAddr, ca: &str, token: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            tls: Arc::new(tls),
            token: token.into(),
            headers: Vec::new(),
            h2: false,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string()).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.send(
            "PATCH",
            path,
            &[("content-type", &format!("application/{kind}"))],
            body.to_string(),
        )
        .await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .expect("the server answers")
    }

    async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let response = self.open(method, path, headers, body.into()).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Some(Answer {
            status: head.status,
            headers: head.headers,
            text,
        })
    }

    async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, &[]).await
    }

    async fn watch_as(&self, path: &str, headers: &[(&str, &str)]) -> Watch {
        let response = self
            .open("GET", path, headers, Bytes::new())
            .await
            .expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        Watch {
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<http::Response<Incoming>> {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![if self.h2 {
            b"h2".to_vec()
        } else {
            b"http/1.1".to_vec()
        }];
        let stream = TcpStream::connect(self.address).await.ok()?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .ok()?;
        let mut request = Request::builder().method(method);
        request = if self.h2 {
            request.uri(format!("https://localhost{path}"))
        } else {
            request.uri(path).header("host", "localhost")
        };
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let own = self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        for (key, value) in headers.iter().copied().chain(own) {
            request = request.header(key, value);
        }
        let request = request.body(Full::new(body)).unwrap();
        if self.h2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .ok()?;
            tokio::spawn(connection);
            sender.send_request(request).await.ok()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .ok()?;
            tokio::spawn(connection);
            sender.send_request(request).await.ok()
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    #[track_caller]
    fn expect(self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The answer must be a Status of this code and reason that says this.
    #[track_caller]
    fn refused(&self, code: u16, reason: &str, message: &str) {
        assert_eq!(self.status.as_u16(), code, "{}", self.text);
        let status = self.json();
        assert_eq!(
            (&status["kind"], &status["apiVersion"], &status["status"]),
            (&json!("Status"), &json!("v1"), &json!("Failure"))
        );
        assert_eq!(
            (&status["code"], &status["reason"]),
            (&json!(code), &json!(reason)),
            "{status}"
        );
        let found = status["message"].as_str().unwrap();
        assert!(
            found.contains(message),
            "{found:?} does not say {message:?}"
        );
        assert!(self.headers.contains_key("audit-id"));
    }
}

struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    async fn next(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(10), self.line())
            .await
            .expect("an event comes")
            .expect("the watch goes on")
    }

    /// Whether nothing comes any more.
    async fn end(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(10), self.line())
            .await
            .expect("the watch ends")
            .is_none()
    }

    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref()?);
        }
    }
}
