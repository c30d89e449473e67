//! What is done on a usual day.

use http::StatusCode;
use serde_json::json;

use super::means::*;

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
async fn a_dry_run_shows_the_outcome_and_stores_nothing() {
    let server = Server::start().await;
    let client = server.client();
    let dry = format!("{CONFIG_MAPS}?dryRun=All");
    let shown = client
        .post(&dry, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    assert!(shown["metadata"].get("resourceVersion").is_none());
    client
        .get(&format!("{CONFIG_MAPS}/a"))
        .await
        .refused(404, "NotFound", "not found");
    let stored = client
        .post(CONFIG_MAPS, &config_map("a", "1"))
        .await
        .expect(StatusCode::CREATED);
    let path = format!("{CONFIG_MAPS}/a");
    let shown = client
        .put(&format!("{path}?dryRun=All"), &config_map("a", "2"))
        .await
        .expect(StatusCode::OK);
    assert_eq!(shown["data"]["k"], "2");
    assert_eq!(
        shown["metadata"]["resourceVersion"],
        stored["metadata"]["resourceVersion"]
    );
    client
        .delete(&format!("{path}?dryRun=All"))
        .await
        .expect(StatusCode::OK);
    assert_eq!(client.get(&path).await.expect(StatusCode::OK), stored);
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

#[tokio::test]
async fn a_custom_kind_is_served_pruned_and_gone_with_its_definition() {
    let server = Server::start().await;
    let client = server.client();
    let (definitions, widgets) = (DEFINITIONS, WIDGETS);
    let definition = widget_definition();
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
