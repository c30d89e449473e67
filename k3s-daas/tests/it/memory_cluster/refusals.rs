//! What is refused, and in which words.

use http::StatusCode;
use serde_json::json;

use super::means::*;

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
    client
        .get("/apis/apps/v9/namespaces/default/deployments")
        .await
        .refused(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
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
    let v3 = [(
        "accept",
        "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    )];
    client
        .send("GET", "/openapi/v3/api/v1", &v3, "")
        .await
        .refused(406, "NotAcceptable", "only the following media types");
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
            "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (other) does not match the UID in record (",
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

/// In the words of kube-apiserver's validation of a structural schema.
#[tokio::test]
async fn custom_objects_of_a_wrong_type_are_invalid() {
    let server = Server::start().await;
    let client = server.client();
    client
        .post(DEFINITIONS, &widget_definition())
        .await
        .expect(StatusCode::CREATED);
    let widget = |spec: serde_json::Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    let size = "Widget.example.com \"w\" is invalid: spec.size: Invalid value: \"string\": spec.size in body must be of \
                type integer: \"string\"";
    let answer = client.post(WIDGETS, &widget(json!({"size": "big"}))).await;
    answer.refused(422, "Invalid", size);
    assert_eq!(
        answer.json()["details"]["causes"],
        json!([{"reason": "FieldValueTypeInvalid", "field": "spec.size",
            "message": "Invalid value: \"string\": spec.size in body must be of type integer: \"string\""}])
    );
    let both = json!({"size": 1.5, "tags": ["a", 2]});
    client.post(WIDGETS, &widget(both)).await.refused(
        422,
        "Invalid",
        "[spec.size: Invalid value: \"number\": spec.size in body must be of type integer: \"number\", \
         spec.tags[1]: Invalid value: \"integer\": spec.tags[1] in body must be of type string: \"integer\"]",
    );
    client
        .post(WIDGETS, &widget(json!({"size": 1})))
        .await
        .expect(StatusCode::CREATED);
    let path = format!("{WIDGETS}/w");
    client
        .patch(&path, "merge-patch+json", &json!({"spec": {"size": "big"}}))
        .await
        .refused(422, "Invalid", size);
    let applied = client
        .patch(
            &format!("{path}?fieldManager=me"),
            "apply-patch+yaml",
            &widget(json!({"size": "big"})),
        )
        .await;
    assert_eq!(applied.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        applied.json()["message"],
        "failed to create typed patch object (default/w; example.com/v1, Kind=Widget): .spec.size: expected integer, \
         got string"
    );
    let left = client.get(&path).await.expect(StatusCode::OK);
    assert_eq!(left["spec"], json!({"size": 1}));
    // Metadata is decoded before any schema is asked.
    let mut odd = widget(json!({"size": "big"}));
    odd["metadata"]["labels"] = json!({"a": 1});
    client.post(WIDGETS, &odd).await.refused(
        400,
        "BadRequest",
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    );
}
