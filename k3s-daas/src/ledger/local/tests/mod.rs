//! The local ledger against its suite, against tampering, and against its own death.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;

use super::{Genesis, LocalLedger};
use crate::crypto::{Ed25519Signer, Signer};
use crate::ledger::Ledger;
use crate::ledger::conformance::{self, Backend, Instance};
use crate::types::Address;

/// Each view is opened anew: as far as the ledger can tell, by another process.
struct Local;

struct LocalInstance {
    dir: tempfile::TempDir,
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
struct Shared;

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
    conformance::run(&Shared).await;
}
