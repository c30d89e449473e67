//! A request built, signed by a session key and submitted by hand, and what the ledger makes of it.
//!
//! Whoever relays it cannot alter it: the signature covers every field.

#![allow(clippy::print_stdout)]

use anyhow::Result;
use k3s_daas::contract::Call;
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::ledger::{Ledger, LedgerExt};
use k3s_daas::types::{HexBytes, K8sApiRequest, Method, PolicyRule};
use k3s_daas::wire::{Event, IntentKind, RequestMessage};
use k3s_daas_examples::{Grant, call};

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let rule = PolicyRule::builder()
        .with_verbs(["get", "list"])
        .with_api_groups([""])
        .with_resources(["pods"])
        .with_namespaces(["default"])
        .build()?;
    let grant = Grant::new(directory.path(), vec![rule]).await?;
    let ledger = &grant.ledger;

    // The owner lets a key sign for the token, for a while.
    let session = Ed25519Signer::generate();
    let expires_at_ms = ledger.now_ms() + 600_000;
    let key = HexBytes(session.public_key().as_bytes().to_vec());
    call(
        ledger,
        Call::RegisterSessionKey {
            token: grant.token,
            key: key.clone(),
            expires_at_ms,
        },
    )
    .await?;

    // Anyone may relay what it signed; here a stranger, who holds nothing.
    let stranger = std::sync::Arc::new(Ed25519Signer::generate());
    let relay = ledger.with_signer(stranger);
    for path in [
        "/api/v1/namespaces/default/pods",
        "/api/v1/namespaces/default/secrets",
    ] {
        let request = K8sApiRequest::builder(Method::Get, path)
            .with_header("accept", "application/json")
            .with_deadline_ms(ledger.now_ms() + 60_000)
            .build()?;
        println!(
            "{} is {} of {}",
            request.id(),
            request.target().verb,
            request.target().path
        );

        let request = RequestMessage::from(&request);
        let intent = ledger
            .deployment()
            .intent(IntentKind::Request, grant.cluster, grant.token);
        let signature = session.sign_now(&intent.signed_bytes(&request));
        let receipt = relay
            .call(Call::TryExecuteSignedCommand {
                cluster: grant.cluster,
                token: grant.token,
                request,
                public_key: key.clone(),
                signature: HexBytes(signature.as_bytes().to_vec()),
            })
            .await?;
        for sequenced in receipt.events {
            match sequenced.event {
                Event::K8sApiRequest(event) => {
                    println!(
                        "  admitted as event {}, for executor {}",
                        sequenced.cursor, event.nautilus_endpoint
                    );
                }
                Event::K8sRequestRejected(event) => {
                    println!(
                        "  refused as event {}, code {}",
                        sequenced.cursor, event.code
                    );
                }
                other => println!("  {}", other.name()),
            }
        }
    }
    Ok(())
}
