//! The local ledger against its suite, against tampering, and against its own death.
#![allow(clippy::unwrap_used)]

mod archive;
mod denials;
mod processes;
mod signatures;
mod state;
mod tamper;

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Genesis, LocalLedger, Options};
use crate::contract::Call;
use crate::crypto::{Ed25519Signer, Signer};
use crate::ledger::conformance::{self, Backend, Instance};
use crate::ledger::{Ledger, LedgerExt as _};
use crate::types::{Address, AdminCapId, ClusterId, ClusterPolicy, MIST_PER_SUI, TokenId};
use crate::wire::Event;

/// Each view is opened anew: as far as the ledger can tell, by another process.
struct Local;

struct LocalInstance {
    dir: tempfile::TempDir,
}

/// A ledger in a temporary directory, as the account of a key that holds 10 SUI.
async fn new_ledger() -> (LocalLedger, Ed25519Signer, tempfile::TempDir) {
    new_ledger_with(Options::default()).await
}

async fn new_ledger_with(options: Options) -> (LocalLedger, Ed25519Signer, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let key = Ed25519Signer::generate();
    let genesis = Genesis::new(vec![(key.address(), 10 * MIST_PER_SUI)]);
    let signer = Arc::new(key.clone());
    let ledger = LocalLedger::create_with(dir.path(), genesis, signer, options)
        .await
        .unwrap();
    (ledger, key, dir)
}

/// A cluster and a token that the ledger's own account owns.
pub(super) async fn new_token(ledger: &LocalLedger) -> (ClusterId, AdminCapId, TokenId) {
    let create = Call::CreateCluster {
        name: "test".into(),
        chain: ledger.deployment().chain,
        policy: ClusterPolicy::default(),
    };
    let receipt = ledger.call(create).await.unwrap();
    let Event::ClusterCreated(created) = &receipt.events[0].event else {
        unreachable!()
    };
    let (cluster, cap) = (created.cluster, created.admin_cap);
    let issue = Call::IssueToken {
        cap,
        cluster,
        owner: ledger.account(),
        rules: Vec::new(),
        groups: Vec::new(),
        not_before_ms: 0,
        expires_at_ms: ledger.now_ms() + 1_000_000_000,
        delegates: Vec::new(),
    };
    let receipt = ledger.call(issue).await.unwrap();
    let Event::SealTokenIssued(issued) = &receipt.events[0].event else {
        unreachable!()
    };
    (cluster, cap, issued.token)
}

fn deposit(token: TokenId) -> Call {
    Call::DepositStake { token, amount: 1 }
}

fn signer(key: &Ed25519Signer) -> Arc<dyn Signer> {
    Arc::new(key.clone())
}

/// The whole of a ledger is one file once nobody has it open.
async fn copy(ledger: &LocalLedger, to: &Path) {
    ledger.copy_to(to).await.unwrap();
}

#[async_trait]
impl Backend for Local {
    async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance> {
        let dir = tempfile::tempdir().unwrap();
        let signer = Arc::new(Ed25519Signer::generate());
        LocalLedger::create(dir.path(), Genesis::new(funds.to_vec()), signer)
            .await
            .unwrap();
        Box::new(LocalInstance { dir })
    }
}

#[async_trait]
impl Instance for LocalInstance {
    async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger> {
        Arc::new(LocalLedger::open(self.dir.path(), signer).unwrap())
    }
}

#[tokio::test]
async fn conforms_as_several_processes() {
    conformance::run(&Local).await;
}

/// One opened ledger, many accounts.
#[derive(Default)]
struct Shared {
    /// The last one that was made.
    ledger: Mutex<Option<LocalLedger>>,
}

struct SharedInstance {
    ledger: LocalLedger,
    _dir: tempfile::TempDir,
}

#[async_trait]
impl Backend for Shared {
    async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance> {
        let dir = tempfile::tempdir().unwrap();
        let signer = Arc::new(Ed25519Signer::generate());
        let genesis = Genesis::new(funds.to_vec());
        let ledger = LocalLedger::create(dir.path(), genesis, signer)
            .await
            .unwrap();
        *self.ledger.lock().unwrap() = Some(ledger.clone());
        Box::new(SharedInstance { ledger, _dir: dir })
    }
}

#[async_trait]
impl Instance for SharedInstance {
    async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.with_signer(signer))
    }
}

#[tokio::test]
async fn conforms_as_one_process() {
    conformance::run(&Shared::default()).await;
}
