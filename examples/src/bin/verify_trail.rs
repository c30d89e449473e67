//! A trail verified from the ledger alone, and once more after one byte of it was changed.

#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, ensure};
use k3s_daas::audit;
use k3s_daas::contract::Call;
use k3s_daas::ledger::{Ledger, LedgerExt};
use k3s_daas::types::{K8sApiRequest, Method, PolicyRule};
use k3s_daas::wire::RequestMessage;
use k3s_daas_examples::Grant;

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let ledger_dir = directory.path().join("ledger");
    let rule = PolicyRule::builder()
        .with_verbs(["get"])
        .with_api_groups([""])
        .with_resources(["configmaps"])
        .with_namespaces(["default"])
        .build()?;
    let grant = Grant::new(&ledger_dir, vec![rule]).await?;
    let request =
        K8sApiRequest::builder(Method::Get, "/api/v1/namespaces/default/configmaps/colours")
            .with_deadline_ms(grant.ledger.now_ms() + 60_000)
            .build()?;
    grant
        .ledger
        .call(Call::ExecuteKubectlCommandWithId {
            cluster: grant.cluster,
            token: grant.token,
            request: RequestMessage::from(&request),
        })
        .await?;
    // A consistent copy in one file, for whoever wants to look without disturbing anyone.
    let copy = directory.path().join("copy");
    grant.ledger.copy_to(&copy).await?;
    drop(grant);

    // Signatures, the contract's decisions, the chain, the tables: all of it again, from the files alone.
    let mut options = audit::Options::default();
    options.request = Some(request.id());
    let report = audit::verify(&ledger_dir, &options)?;
    ensure!(
        report.verified,
        "a fresh ledger must verify: {:?}",
        report.broken
    );
    println!(
        "verified {} calls and {} events",
        report.calls, report.events
    );
    for step in report.trails.iter().flat_map(|trail| &trail.steps) {
        println!(
            "  {:?} as event {} at {} ms",
            step.kind, step.cursor, step.time_ms
        );
    }

    // One byte of the request's path, as somebody with a hex editor would change it.
    let database = copy.join("ledger.db");
    let mut bytes = std::fs::read(&database)?;
    let place =
        find(&bytes, b"configmaps/colours").context("the path is not in the database's file")?;
    bytes[place] ^= 1;
    std::fs::write(&database, bytes)?;
    let report = audit::verify(&copy, &audit::Options::default())?;
    let broken = report.broken.filter(|_| !report.verified);
    let Some(broken) = broken else {
        anyhow::bail!("the change was not found")
    };
    println!("after one byte was changed: {broken}");
    Ok(())
}

/// The last occurrence: earlier ones may be what is left of rows on freed pages.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .rposition(|window| window == needle)
}
