//! What a directory keeps.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http::StatusCode;
use k3s_daas::memory_cluster::{Error, MemoryCluster};
use serde_json::json;

use super::means::*;

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

#[cfg(unix)]
#[tokio::test]
async fn files_that_a_copy_opened_to_others_are_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        MemoryCluster::builder()
            .with_directory(directory.path().to_owned())
            .build()
    };
    drop(open().unwrap());
    let files = [
        "ca.crt",
        "ca.key",
        "server.key",
        "admin.token",
        "cluster.db",
    ];
    let mode = |file: &str| {
        let metadata = std::fs::metadata(directory.path().join(file)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    for file in files {
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(directory.path().join(file), open).unwrap();
    }
    // The commit thread of the first still holds the file for a moment.
    let begun = Instant::now();
    while open().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    for file in files {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_damaged_identity_is_refused_or_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let start = || async {
        let server = Server::start_in(directory.path()).await;
        let ca = server.cluster.ca_pem().to_owned();
        server.client().get("/version").await.expect(StatusCode::OK);
        server.stop().await;
        ca
    };
    let ca = start().await;
    for file in ["ca.crt", "ca.key", "admin.token"] {
        let path = directory.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        for damaged in [&b"hello"[..], b"", &whole[..whole.len() / 2]] {
            std::fs::write(&path, damaged).unwrap();
            let built = MemoryCluster::builder()
                .with_directory(directory.path().to_owned())
                .build();
            let Err(Error::Identity(why)) = built else {
                panic!("{file}: {built:?}");
            };
            assert!(why.contains(file), "{why}");
        }
        std::fs::write(&path, whole).unwrap();
    }
    // These the authority makes again, and its clients see no difference.
    for file in ["server.crt", "server.key"] {
        std::fs::write(directory.path().join(file), "hello").unwrap();
        assert_eq!(start().await, ca, "{file}");
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

#[tokio::test]
async fn a_namespace_goes_on_being_deleted_after_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster");
    let mut child = ServerProcess::start(&path);
    let client = child.client().await;
    for (name, holds) in [("held", true), ("stuck", false), ("active", false)] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let made = client.post("/api/v1/namespaces", &namespace).await;
        made.expect(StatusCode::CREATED);
        if holds {
            let mut object = config_map("a", "1");
            object["metadata"]["finalizers"] = json!(["example.com/x"]);
            let inside = format!("/api/v1/namespaces/{name}/configmaps");
            let made = client.post(&inside, &object).await;
            made.expect(StatusCode::CREATED);
            let deleted = client.delete(&format!("/api/v1/namespaces/{name}")).await;
            deleted.expect(StatusCode::OK);
        }
    }
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    // As a version that did not finalize has left it.
    let database = rusqlite::Connection::open(path.join("cluster.db")).unwrap();
    let marked = database.execute(
        "UPDATE object SET body = CAST(json_set(CAST(body AS TEXT), '$.metadata.deletionTimestamp', \
         '2026-01-01T00:00:00Z', '$.status.phase', 'Terminating') AS BLOB) \
         WHERE storage = 'namespaces' AND key = 'stuck'",
        [],
    );
    assert_eq!(marked.unwrap(), 1);
    drop(database);
    let server = Server::start_in(&path).await;
    let client = server.client();
    let stuck = client.get("/api/v1/namespaces/stuck").await;
    stuck.refused(404, "NotFound", "namespaces \"stuck\" not found");
    let phase = |found: serde_json::Value| found["status"]["phase"].clone();
    let active = client.get("/api/v1/namespaces/active").await;
    assert_eq!(phase(active.expect(StatusCode::OK)), "Active");
    let held = client.get("/api/v1/namespaces/held").await;
    assert_eq!(phase(held.expect(StatusCode::OK)), "Terminating");
    let release = json!({"metadata": {"finalizers": null}});
    let freed = client
        .patch(
            "/api/v1/namespaces/held/configmaps/a",
            "merge-patch+json",
            &release,
        )
        .await;
    freed.expect(StatusCode::OK);
    let held = client.get("/api/v1/namespaces/held").await;
    held.refused(404, "NotFound", "namespaces \"held\" not found");
}

/// Not a test: the process that [`what_was_acknowledged_survives_kill_9`] kills. Without its variable
/// it does nothing.
#[tokio::test]
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
