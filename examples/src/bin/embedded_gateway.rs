//! A gateway inside an axum service: your own routes beside Kubernetes' API, one policy for both.
//!
//! Everything that axum has no route for goes to the gateway. A real service would serve this router over
//! TLS, since kubectl sends no credential without.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use k3s_daas::blob::{BlobStore, MemoryBlobStore};
use k3s_daas::executor::{FnExecutor, Response as Executed};
use k3s_daas::gateway::{Config, Gateway};
use k3s_daas::ledger::{Ledger, LedgerExt};
use k3s_daas::nautilus::{self, Nautilus};
use k3s_daas::types::PolicyRule;
use k3s_daas::wire::SignedCredential;
use k3s_daas_examples::Grant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const AUDIENCE: &str = "platform.example.com";

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let rule = PolicyRule::builder()
        .with_verbs(["get"])
        .with_api_groups([""])
        .with_resources(["configmaps"])
        .with_namespaces(["default"])
        .build()?;
    let grant = Grant::new(&directory.path().join("ledger"), vec![rule]).await?;
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new());

    // Stands for a cluster: everything is a ConfigMap.
    let executor = FnExecutor::new(|request| async move {
        let name = request.request().target().path.name.clone();
        let body = serde_json::json!({ "kind": "ConfigMap", "metadata": { "name": name } });
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        Ok(Executed::full(200, headers, body.to_string()))
    });
    let mut config = nautilus::Config::default();
    config.journal = directory.path().join("nautilus.sqlite");
    // Once, when the executor is registered: running makes none.
    nautilus::create_first_journal(
        &config.journal,
        &grant.ledger,
        grant.executor,
        grant.registered,
    )?;
    let nautilus = Nautilus::builder(
        Arc::new(grant.ledger.clone()),
        Arc::new(executor),
        Arc::clone(&blobs),
        Arc::clone(&grant.executor_key) as _,
        grant.executor,
    )
    .with_config(config)
    .build()?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(nautilus.run(shutdown.clone()));

    let ledger = grant.ledger.with_signer(Arc::clone(&grant.gateway) as _);
    let gateway = Gateway::builder(Arc::new(ledger), blobs, grant.cluster)
        .with_config(Config::new(AUDIENCE))
        .build()?;
    let app = Router::new()
        .route(
            "/company/motto",
            get(|| async { "recorded, or it did not happen" }),
        )
        .fallback(kubernetes)
        .with_state(gateway);

    let bearer = bearer(&grant).await?;
    for (path, expected) in [
        ("/company/motto", 200),
        ("/api/v1/namespaces/default/configmaps/colours", 200),
        ("/api/v1/namespaces/default/secrets/colours", 403),
    ] {
        let request = Request::get(path)
            .header("authorization", &bearer)
            .body(Body::empty())?;
        let response = app.clone().oneshot(request).await?;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await?;
        println!("GET {path}: {status} {}", String::from_utf8_lossy(&body));
        ensure!(status == expected, "expected {expected}");
    }
    shutdown.cancel();
    running.await??;
    Ok(())
}

async fn kubernetes(State(gateway): State<Gateway>, request: Request) -> Response {
    gateway.handle(request).await.map(Body::new)
}

/// What `daas credential` gives kubectl: signed by the token's owner, good here and for ten minutes.
async fn bearer(grant: &Grant) -> Result<String> {
    let signed = SignedCredential::issue(
        &*grant.owner,
        &grant.ledger.deployment(),
        grant.token,
        grant.cluster,
        AUDIENCE,
        grant.ledger.now_ms(),
        Duration::from_secs(600),
    )
    .await?;
    Ok(format!("Bearer {}", signed.to_bearer()))
}
