//! What the examples share: a fresh local ledger with a cluster, an executor and a staked token.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_daas::contract::Call;
use k3s_daas::crypto::{Ed25519Signer, Signer};
use k3s_daas::ledger::local::{Genesis, LocalLedger};
use k3s_daas::ledger::{Cursor, Ledger, LedgerExt, SequencedEvent};
use k3s_daas::types::{
    ByteString, ClusterId, ClusterPolicy, ExecutorId, HexBytes, MIST_PER_SUI, PolicyRule, TokenId,
};
use k3s_daas::wire::{Delegate, Event};

/// A ledger with everything a request needs.
#[derive(Debug)]
pub struct Grant {
    /// The ledger as the token's owner, who here is the cluster's admin too.
    pub ledger: LocalLedger,
    /// The owner's key.
    pub owner: Arc<Ed25519Signer>,
    /// The key of a gateway, a delegate on the token.
    pub gateway: Arc<Ed25519Signer>,
    /// The key that the executor signs answers with.
    pub executor_key: Arc<Ed25519Signer>,
    /// The cluster.
    pub cluster: ClusterId,
    /// The executor.
    pub executor: ExecutorId,
    /// Where the ledger says that it was registered.
    pub registered: Cursor,
    /// The token.
    pub token: TokenId,
}

impl Grant {
    /// Makes a ledger in `dir`, a cluster, an executor, and a token with `rules` and one SUI of stake.
    ///
    /// # Errors
    /// If the ledger or the contract refuses any of it.
    pub async fn new(dir: &Path, rules: Vec<PolicyRule>) -> Result<Self> {
        let [owner, gateway, executor_key] = [(); 3].map(|()| Arc::new(Ed25519Signer::generate()));
        let genesis = Genesis::new(vec![(owner.address(), 10 * MIST_PER_SUI)]);
        let ledger =
            LocalLedger::create(dir, genesis, Arc::clone(&owner) as Arc<dyn Signer>).await?;

        let created = call(
            &ledger,
            Call::CreateCluster {
                name: ByteString::from("example"),
                chain: ledger.deployment().chain,
                policy: ClusterPolicy::default(),
            },
        )
        .await?;
        let Event::ClusterCreated(created) = created.event else {
            anyhow::bail!("no cluster")
        };
        let (cap, cluster) = (created.admin_cap, created.cluster);

        let admitted = call(
            &ledger,
            Call::RegisterExecutor {
                cap,
                cluster,
                operator: owner.address(),
                signing_key: HexBytes(executor_key.public_key().as_bytes().to_vec()),
                encryption_key: HexBytes(vec![9; 32]),
                attestation: HexBytes::default(),
            },
        )
        .await?;
        let Event::ExecutorRegistered(registered) = admitted.event else {
            anyhow::bail!("no executor")
        };

        let expires_at_ms = ledger.now_ms() + 3_600_000;
        let issued = call(
            &ledger,
            Call::IssueToken {
                cap,
                cluster,
                owner: owner.address(),
                rules,
                groups: Vec::new(),
                not_before_ms: 0,
                expires_at_ms,
                delegates: vec![Delegate {
                    delegate: gateway.address(),
                    expires_at_ms,
                }],
            },
        )
        .await?;
        let Event::SealTokenIssued(issued) = issued.event else {
            anyhow::bail!("no token")
        };
        let token = issued.token;
        call(
            &ledger,
            Call::DepositStake {
                token,
                amount: MIST_PER_SUI,
            },
        )
        .await?;
        Ok(Self {
            ledger,
            owner,
            gateway,
            executor_key,
            cluster,
            executor: registered.executor,
            registered: admitted.cursor,
            token,
        })
    }
}

/// Makes a call and returns its first event.
///
/// # Errors
/// If the ledger refuses it.
pub async fn call(ledger: &LocalLedger, call: Call) -> Result<SequencedEvent> {
    let name = call.name();
    let receipt = ledger
        .call(call)
        .await
        .with_context(|| format!("call {name}"))?;
    let mut events = receipt.events.into_iter();
    events
        .next()
        .with_context(|| format!("{name} emitted nothing"))
}
