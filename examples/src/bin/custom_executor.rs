//! An executor of your own: what the ledger admits is carried out by an in-house control plane.
//!
//! Nautilus follows the ledger, proves each request ([`Authorized`]), runs it once, signs the answer
//! and stores it. The executor never sees anything that was not admitted.

#![allow(clippy::print_stdout)]

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::StreamExt;
use k3s_daas::blob::{BlobStore, MemoryBlobStore};
use k3s_daas::contract::Call;
use k3s_daas::crypto::BlobHash;
use k3s_daas::executor::{Error, Executor, Response};
use k3s_daas::ledger::{Cursor, Ledger, LedgerExt};
use k3s_daas::nautilus::{Config, Nautilus, create_first_journal};
use k3s_daas::token::Authorized;
use k3s_daas::types::{K8sApiRequest, Method, Payload, PolicyRule, Verb};
use k3s_daas::wire::{Event, RequestMessage, ResponseEnvelope};
use k3s_daas_examples::Grant;
use tokio_util::sync::CancellationToken;

/// A control plane that knows widgets and nothing else.
#[derive(Debug, Default)]
struct Widgets {
    names: Mutex<Vec<String>>,
}

#[async_trait]
impl Executor for Widgets {
    async fn execute(&self, request: Authorized<K8sApiRequest>) -> Result<Response, Error> {
        let target = request.request().target();
        let mut names = self
            .names
            .lock()
            .expect("nothing panics while it holds the names");
        let (status, body) = match target.verb {
            Verb::List => (
                200,
                serde_json::json!({ "kind": "WidgetList", "items": *names }),
            ),
            Verb::Create => {
                let widget: serde_json::Value =
                    serde_json::from_slice(request.body()).unwrap_or_default();
                let name = widget["metadata"]["name"]
                    .as_str()
                    .unwrap_or("unnamed")
                    .to_owned();
                names.push(name);
                (201, widget)
            }
            _ => (405, serde_json::json!({ "kind": "Status", "code": 405 })),
        };
        println!(
            "  executed {} for {}: {status}",
            target.verb,
            request.grant().identity.user
        );
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        Ok(Response::full(status, headers, body.to_string()))
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let rule = PolicyRule::builder()
        .with_verbs(["list", "create"])
        .with_api_groups(["example.com"])
        .with_resources(["widgets"])
        .with_namespaces(["factory"])
        .build()?;
    let grant = Grant::new(&directory.path().join("ledger"), vec![rule]).await?;

    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobStore::new());
    let mut config = Config::default();
    config.journal = directory.path().join("nautilus.sqlite");
    // Once, when the executor is registered: running makes none.
    create_first_journal(
        &config.journal,
        &grant.ledger,
        grant.executor,
        grant.registered,
    )?;
    let nautilus = Nautilus::builder(
        Arc::new(grant.ledger.clone()),
        Arc::new(Widgets::default()),
        Arc::clone(&blobs),
        Arc::clone(&grant.executor_key) as _,
        grant.executor,
    )
    .with_config(config)
    .build()?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(nautilus.run(shutdown.clone()));

    let path = "/apis/example.com/v1/namespaces/factory/widgets";
    let widget = r#"{"kind":"Widget","metadata":{"name":"sprocket"}}"#;
    for (method, body) in [(Method::Post, Some(widget)), (Method::Get, None)] {
        println!("{method} {path}");
        let (status, envelope) = ask(&grant, &*blobs, method, path, body).await?;
        println!("  answered {status}: {}", envelope.body);
    }
    shutdown.cancel();
    running.await??;
    Ok(())
}

/// Submits a request as the token's owner and waits for its answer.
async fn ask(
    grant: &Grant,
    blobs: &dyn BlobStore,
    method: Method,
    path: &str,
    body: Option<&str>,
) -> Result<(u16, ResponseEnvelope)> {
    let ledger = &grant.ledger;
    let mut builder =
        K8sApiRequest::builder(method, path).with_deadline_ms(ledger.now_ms() + 30_000);
    let blob = body.map(k3s_daas::crypto::Blob::seal);
    if let Some(blob) = &blob {
        let hash = *blob.hash().as_bytes();
        builder = builder.with_payload(Payload::Hashed {
            hash,
            length: blob.body_len() as u64,
        });
    }
    let request = builder.build()?;
    if let Some(blob) = &blob {
        let keep = std::time::Duration::from_secs(60);
        let holder = k3s_daas::blob::Holder::for_request(grant.token, request.id());
        blobs.put(blob, &holder, keep).await?;
    }
    let receipt = ledger
        .call(Call::ExecuteKubectlCommandWithId {
            cluster: grant.cluster,
            token: grant.token,
            request: RequestMessage::from(&request),
        })
        .await?;
    let admitted = receipt
        .events
        .first()
        .map_or(Cursor::START, |event| event.cursor);
    let mut events = ledger.events(admitted);
    while let Some(event) = events.next().await {
        let Event::K8sRequestProcessed(answer) = event?.event else {
            continue;
        };
        if answer.request_id.to_string() != request.id().to_string() {
            continue;
        }
        let hash: [u8; 32] = answer.envelope_hash[..].try_into()?;
        // A blob store's word is worth nothing: `fetch` checks the bytes against the ledger's hash.
        let blob = blobs.fetch(&BlobHash(hash)).await?;
        return Ok((answer.status_code, bcs::from_bytes(&blob.body())?));
    }
    None.context("the ledger's events ended")
}
