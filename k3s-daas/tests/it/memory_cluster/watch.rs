//! Watches and tables.

use http::StatusCode;
use serde_json::json;

use super::means::*;

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
