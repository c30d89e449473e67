use std::sync::Arc;

use super::super::conformance::{self, Admission, RecordingServer, Reply};
use super::*;
use crate::types::Method;

fn config(url: &str) -> KubeConfig {
    KubeConfig::new(url.parse().unwrap())
}

#[tokio::test]
async fn conforms_over_http() {
    conformance::run_http(|url| async move {
        Arc::new(KubeExecutor::from_config(config(&url)).unwrap()) as Arc<dyn Executor>
    })
    .await;
}

#[tokio::test]
async fn without_impersonation_the_cluster_sees_the_account() {
    let server = RecordingServer::start(Reply::ok("{}")).await;
    let mut config = config(&server.url());
    config.auth_info.token = Some("own-token".to_owned().into());
    let executor = KubeExecutor::from_config(config)
        .unwrap()
        .with_impersonation(false);
    let request = K8sApiRequest::builder(Method::Get, "/api/v1/pods");
    let authorized = Admission::new(&["developers"]).admit(request, b"");
    executor.execute(authorized).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].header("authorization"), ["Bearer own-token"]);
    let mut headers = requests[0].headers.iter();
    assert!(headers.all(|(name, _)| !name.starts_with("impersonate")));
}

#[tokio::test]
async fn a_path_before_the_api_is_kept() {
    let server = RecordingServer::start(Reply::ok("{}")).await;
    let config = config(&format!("{}/k8s/clusters/c-1/", server.url()));
    let executor = KubeExecutor::from_config(config).unwrap();
    let request = K8sApiRequest::builder(Method::Get, "/api/v1/pods").with_query("limit=1");
    let authorized = Admission::new(&[]).admit(request, b"");
    executor.execute(authorized).await.unwrap();
    let line = &server.requests()[0].line;
    assert_eq!(line, "GET /k8s/clusters/c-1/api/v1/pods?limit=1 HTTP/1.1");
}

#[tokio::test]
async fn a_configuration_that_impersonates_is_refused() {
    let impersonating: [fn(&mut KubeConfig); 3] = [
        |config| config.auth_info.impersonate = Some("admin".into()),
        |config| config.auth_info.impersonate_groups = Some(vec!["system:masters".into()]),
        |config| {
            let value = HeaderValue::from_static("system:masters");
            config.headers.push((IMPERSONATE_GROUP, value));
        },
    ];
    for change in impersonating {
        let mut config = config("http://127.0.0.1:1");
        change(&mut config);
        let refused = KubeExecutor::from_config(config);
        assert!(
            matches!(refused, Err(ConfigError::Impersonates)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_when_connecting_gets_nothing() {
    // It accepts and never shakes hands.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut config = config(&format!("https://127.0.0.1:{port}"));
    config.connect_timeout = Some(Duration::from_millis(100));
    config.accept_invalid_certs = true;
    let executor = KubeExecutor::from_config(config).unwrap();
    let request = K8sApiRequest::builder(Method::Get, "/api/v1/pods");
    let authorized = Admission::new(&[]).admit(request, b"");
    let failed = executor.execute(authorized).await.unwrap_err();
    assert!(failed.is_not_sent(), "{failed}");
    assert!(failed.to_string().contains("too long"), "{failed}");
}

#[tokio::test]
async fn credentials_that_cannot_be_had_send_nothing() {
    let server = RecordingServer::start(Reply::ok("{}")).await;
    let mut config = config(&server.url());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "a").unwrap();
    config.auth_info.token_file = Some(file.to_string_lossy().into_owned());
    let executor = KubeExecutor::from_config(config).unwrap();
    let request = || K8sApiRequest::builder(Method::Get, "/api/v1/pods");
    let admission = Admission::new(&[]);
    executor
        .execute(admission.admit(request(), b""))
        .await
        .unwrap();
    assert_eq!(server.requests()[0].header("authorization"), ["Bearer a"]);
}

#[tokio::test]
async fn kubeconfigs_name_a_server_and_a_context() {
    let yaml = r#"
apiVersion: v1
kind: Config
clusters:
- {name: a, cluster: {server: "http://127.0.0.1:1"}}
- {name: b, cluster: {server: "http://127.0.0.1:2"}}
users:
- {name: u, user: {token: secret-token}}
contexts:
- {name: one, context: {cluster: a, user: u}}
- {name: two, context: {cluster: b, user: u}}
current-context: one
"#;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, yaml).unwrap();
    let current = KubeExecutor::from_kubeconfig(Some(&path), None)
        .await
        .unwrap();
    assert_eq!(current.server(), "http://127.0.0.1:1/");
    let two = KubeExecutor::from_kubeconfig(Some(&path), Some("two"))
        .await
        .unwrap();
    assert_eq!(two.server(), "http://127.0.0.1:2/");
    assert!(!format!("{two:?}").contains("secret-token"));
    for (path, context) in [
        (path.as_path(), Some("three")),
        (Path::new("/nowhere"), None),
    ] {
        let refused = KubeExecutor::from_kubeconfig(Some(path), context).await;
        assert!(
            matches!(refused, Err(ConfigError::Kubeconfig(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn no_group_of_the_system_gets_through_whatever_is_around_it() {
    for group in ["developers", "team:a", "a/b", "oidc:system:masters"] {
        assert!(is_group(group), "{group:?}");
    }
    for group in [
        "",
        "system:masters",
        "SYSTEM:masters",
        "system:",
        " system:masters",
        "\tsystem:masters",
        "a b",
        "a ",
        "a\n",
        "ä",
        "a\0",
    ] {
        assert!(!is_group(group), "{group:?}");
    }
}

#[cfg(feature = "memory-cluster")]
#[tokio::test]
async fn conforms_against_the_memory_cluster() {
    use crate::memory_cluster::MemoryCluster;
    let cluster = MemoryCluster::builder()
        .with_authorization(false)
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let kubeconfig = cluster.kubeconfig(&server);
    let shutdown = tokio_util::sync::CancellationToken::new();
    let serving = tokio::spawn(cluster.serve(listener, shutdown.clone()));
    let executor = KubeExecutor::from_kubeconfig_text(&kubeconfig, None)
        .await
        .unwrap();
    conformance::run(&executor, &["developers", "team:a"]).await;
    shutdown.cancel();
    drop(executor);
    serving.await.unwrap().unwrap();
}
