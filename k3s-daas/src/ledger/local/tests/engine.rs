#![allow(clippy::unwrap_used)]

use super::*;
use crate::crypto::{Ed25519Signer, Signer as _};
use crate::ledger::local::{Genesis, LocalLedger};
use crate::types::{MIST_PER_SUI, TokenId};

/// What a batch left in memory must go when the disk did not take it.
#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(Ed25519Signer::generate());
    let genesis = Genesis::new(vec![(key.address(), MIST_PER_SUI)]);
    let ledger = LocalLedger::create(dir.path(), genesis, key.clone())
        .await
        .unwrap();
    let (_, _, token) = super::super::tests::new_token(&ledger).await;
    let (mut engine, published, _progress) =
        Engine::open(Layout::new(dir.path()), Options::default()).unwrap();
    let write = async |engine: &mut Engine| {
        let call = Call::DepositStake { token, amount: 1 };
        let signed = ledger.sign(call).await.unwrap();
        let message = signed.message(&engine.deployment());
        let (reply, answer) = oneshot::channel();
        let mut batch = Batch::default();
        batch.push(Command::Call(Box::new(Submission {
            digest: signed.digest(),
            signed,
            is_genuine: true,
            message,
            answered: Answered::default(),
            reply,
        })));
        engine.write(batch);
        answer.await.unwrap()
    };
    write(&mut engine).await.unwrap();
    let limit = |engine: &Engine, pages: u32| {
        let connection = engine.journal.connection();
        let pragma = connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0));
        pragma.unwrap();
    };

    limit(&engine, 1);
    let mut done = 1;
    let mut refused = 0;
    for _ in 0..100 {
        let before = published.read().tip;
        match write(&mut engine).await {
            Ok(_) => done += 1,
            Err(Error::DiskReserve) => {
                refused += 1;
                assert_eq!(published.read().tip, before, "nothing of it is shown");
            }
            Err(other) => panic!("a full disk is said to be {other:?}"),
        }
    }
    assert!(refused > 0, "the limit never hurt");
    let bonded = |view: &super::super::published::View, token: TokenId| {
        view.state.token(token).unwrap().bonded
    };
    assert_eq!(bonded(&published.read(), token), done);

    limit(&engine, 1_000_000);
    write(&mut engine).await.unwrap();
    assert_eq!(bonded(&published.read(), token), done + 1);
    let report = crate::audit::verify(dir.path(), &crate::audit::Options::default()).unwrap();
    assert_eq!(report.broken, None);
    assert_eq!(report.calls, 2 + done + 1);
}

#[test]
fn answers_and_revocations_are_no_new_work() {
    let token = TokenId::ZERO;
    let delegate = crate::types::Address::ZERO;
    assert!(!is_new_work(&Call::RemoveDelegate { token, delegate }));
    assert!(!is_new_work(&Call::PruneResponses {
        token,
        request_ids: Vec::new(),
    }));
    assert!(is_new_work(&Call::DepositStake { token, amount: 1 }));
}
