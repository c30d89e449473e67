//! Finalizers, owners, namespaces.

use http::StatusCode;
use serde_json::json;

use super::means::*;

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
async fn an_empty_namespace_goes_at_once_and_watchers_see_it() {
    let server = Server::start().await;
    let client = server.client();
    let path = "/api/v1/namespaces/n";
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    for _ in 0..2 {
        let made = client.post("/api/v1/namespaces", &namespace).await;
        let made = made.expect(StatusCode::CREATED);
        let version = made["metadata"]["resourceVersion"].as_str().unwrap();
        let watched = format!(
            "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dn&resourceVersion={version}"
        );
        let mut watch = client.watch(&watched).await;
        let tried = client.delete(&format!("{path}?dryRun=All")).await;
        tried.expect(StatusCode::OK);
        let found = client.get(path).await.expect(StatusCode::OK);
        assert_eq!(found["status"]["phase"], "Active");
        let deleted = client.delete(path).await.expect(StatusCode::OK);
        assert_eq!(deleted["status"]["phase"], "Terminating");
        for kind in ["MODIFIED", "DELETED"] {
            let event = watch.next().await;
            assert_eq!(
                (&event["type"], &event["object"]["status"]["phase"]),
                (&json!(kind), &json!("Terminating"))
            );
        }
        for again in [client.get(path).await, client.delete(path).await] {
            again.refused(404, "NotFound", "namespaces \"n\" not found");
        }
    }
}

#[tokio::test]
async fn every_finalizer_holds_a_namespace() {
    let server = Server::start().await;
    let client = server.client();
    let path = "/api/v1/namespaces/n";
    let definition = client.post(DEFINITIONS, &widget_definition()).await;
    definition.expect(StatusCode::CREATED);
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    namespace["metadata"]["finalizers"] = json!(["example.com/own"]);
    let made = client.post("/api/v1/namespaces", &namespace).await;
    made.expect(StatusCode::CREATED);
    let widgets = "/apis/example.com/v1/namespaces/n/widgets";
    for name in ["held", "free"] {
        let mut widget =
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}});
        if name == "held" {
            widget["metadata"]["finalizers"] = json!(["example.com/x"]);
        }
        let made = client.post(widgets, &widget).await;
        made.expect(StatusCode::CREATED);
    }
    client.delete(path).await.expect(StatusCode::OK);
    let left = client.get(widgets).await.expect(StatusCode::OK);
    assert_eq!(names(&left), ["held"]);
    let release = json!({"metadata": {"finalizers": null}});
    // Asking again changes nothing.
    client.delete(path).await.expect(StatusCode::OK);
    let freed = client
        .patch(&format!("{widgets}/held"), "merge-patch+json", &release)
        .await;
    freed.expect(StatusCode::OK);
    let found = client.get(path).await.expect(StatusCode::OK);
    assert_eq!(found["status"]["phase"], "Terminating");
    let late =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "late"}});
    let why = "unable to create new content in namespace n because it is being terminated";
    let late = client.post(widgets, &late).await;
    late.refused(403, "Forbidden", why);
    assert_eq!(
        late.json()["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    let freed = client.patch(path, "merge-patch+json", &release).await;
    freed.expect(StatusCode::OK);
    let gone = client.get(path).await;
    gone.refused(404, "NotFound", "namespaces \"n\" not found");
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
