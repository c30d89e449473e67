use super::*;
use crate::types::Digest;

const CHAIN: ChainId = ChainId::new([1; 32]);
const ME: ExecutorId = ExecutorId::new([2; 32]);

fn open(directory: &tempfile::TempDir) -> (Journal, Recovered) {
    for _ in 0..100 {
        match Journal::open(&directory.path().join("j"), CHAIN, ME) {
            // The last one's thread may still be closing it.
            Err(JournalError::InUse) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return other.unwrap(),
        }
    }
    panic!("in use")
}

fn key() -> Key {
    (TokenId::new([3; 32]), RequestId::new())
}

fn call(time_ms: u64) -> Call {
    Call::AnchorReads {
        cluster: crate::types::ClusterId::ZERO,
        executor: ME,
        message: wire::AnchorMessage {
            executor: ME,
            previous_root: Digest::ZERO,
            root: Digest::ZERO,
            first: time_ms,
            last: 0,
            count: 0,
        },
        signature: crate::types::HexBytes::default(),
    }
}

#[tokio::test]
async fn a_write_begins_once_in_whatever_epoch_and_run() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let key = key();
    assert!(!journal.recall(key, 0).await.unwrap().has_begun);
    assert_eq!(journal.begin(key, 0, false, 9).await.unwrap(), Begun::Now);
    assert_eq!(
        journal.begin(key, 0, false, 9).await.unwrap(),
        Begun::Before
    );
    assert_eq!(
        journal.begin(key, 1, false, 9).await.unwrap(),
        Begun::Before
    );
    drop(journal);
    let (journal, _) = open(&directory);
    assert!(journal.recall(key, 0).await.unwrap().has_begun);
    assert_eq!(
        journal.begin(key, 0, false, 9).await.unwrap(),
        Begun::Before
    );
    assert_eq!(
        journal.begin(key, 2, false, 9).await.unwrap(),
        Begun::Before
    );
}

#[tokio::test]
async fn a_read_begins_once_in_each_run_and_epoch_until_it_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let key = key();
    assert_eq!(journal.begin(key, 0, true, 9).await.unwrap(), Begun::Now);
    assert_eq!(journal.begin(key, 0, true, 9).await.unwrap(), Begun::Before);
    assert_eq!(journal.begin(key, 1, true, 9).await.unwrap(), Begun::Now);
    drop(journal);
    let (journal, _) = open(&directory);
    assert_eq!(journal.begin(key, 0, true, 9).await.unwrap(), Begun::Now);
    let unstored = Unstored {
        key,
        epoch: 1,
        call: call(5),
    };
    journal.answer(unstored, 9).await.unwrap();
    drop(journal);
    let (journal, _) = open(&directory);
    assert_eq!(journal.begin(key, 1, true, 9).await.unwrap(), Begun::Before);
}

#[tokio::test]
async fn what_was_not_sent_may_begin_again() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let key = key();
    journal.begin(key, 0, false, 9).await.unwrap();
    journal.not_sent(key, 0).await.unwrap();
    assert!(!journal.recall(key, 0).await.unwrap().has_begun);
    assert_eq!(journal.begin(key, 0, false, 9).await.unwrap(), Begun::Now);
    // But not once it has its answer.
    let unstored = Unstored {
        key,
        epoch: 0,
        call: call(5),
    };
    journal.answer(unstored, 9).await.unwrap();
    journal.not_sent(key, 0).await.unwrap();
    assert!(journal.recall(key, 0).await.unwrap().has_begun);
}

#[tokio::test]
async fn the_first_answer_stays_also_after_it_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let key = key();
    let unstored = |time_ms| Unstored {
        key,
        epoch: 0,
        call: call(time_ms),
    };
    assert_eq!(journal.answer(unstored(1), 9).await.unwrap().call, call(1));
    assert_eq!(journal.answer(unstored(2), 9).await.unwrap().call, call(1));
    drop(journal);
    let (journal, recovered) = open(&directory);
    assert_eq!(recovered.answers.len(), 1);
    assert_eq!(recovered.answers[0].call, call(1));
    journal.settled(key, 0, 50).await.unwrap();
    assert_eq!(journal.answer(unstored(3), 9).await.unwrap().call, call(1));
    assert_eq!(
        journal.recall(key, 0).await.unwrap().signed.unwrap().call,
        call(1)
    );
    drop(journal);
    let (journal, recovered) = open(&directory);
    assert!(recovered.answers.is_empty());
    journal.forget(49).await.unwrap();
    assert!(journal.recall(key, 0).await.unwrap().has_begun);
    journal.forget(50).await.unwrap();
    assert!(!journal.recall(key, 0).await.unwrap().has_begun);
}

#[tokio::test]
async fn what_has_no_settled_answer_is_forgotten_only_when_abandoned() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let (begun, answered, not_sent, later) = (key(), key(), key(), key());
    for key in [begun, answered, not_sent] {
        journal.begin(key, 0, false, 9).await.unwrap();
    }
    journal.begin(later, 0, false, 99).await.unwrap();
    let unstored = Unstored {
        key: answered,
        epoch: 0,
        call: call(5),
    };
    journal.answer(unstored, 9).await.unwrap();
    journal.not_sent(not_sent, 0).await.unwrap();
    assert!(journal.forget(8).await.unwrap().is_empty());
    let mut overdue = journal.forget(50).await.unwrap();
    overdue.sort();
    let mut expected = vec![begun, answered];
    expected.sort();
    assert_eq!(overdue, expected);
    drop(journal);

    let (journal, recovered) = open(&directory);
    assert_eq!(recovered.answers.len(), 1);
    assert!(journal.recall(begun, 0).await.unwrap().has_begun);
    assert_eq!(
        journal.begin(begun, 1, false, 99).await.unwrap(),
        Begun::Before
    );
    assert!(journal.recall(answered, 0).await.unwrap().signed.is_some());
    journal
        .abandon(vec![answered, later, not_sent], 50)
        .await
        .unwrap();
    assert!(!journal.recall(answered, 0).await.unwrap().has_begun);
    assert!(journal.recall(later, 0).await.unwrap().has_begun);
    assert_eq!(journal.forget(50).await.unwrap(), [begun]);
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("j");
    std::fs::write(&path, "something else entirely, longer than a header of SQLite is, of 100 bytes; and so on and so on").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Journal::open(&path, CHAIN, ME).unwrap_err();
    assert!(matches!(error, JournalError::Unreadable(_)), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let other = directory.path().join("other");
    let connection = Connection::open(&other).unwrap();
    connection.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(connection);
    let error = Journal::open(&other, CHAIN, ME).unwrap_err();
    assert!(matches!(error, JournalError::Unreadable(_)), "{error:?}");

    let newer = directory.path().join("newer");
    let connection = Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let error = Journal::open(&newer, CHAIN, ME).unwrap_err();
    assert!(matches!(error, JournalError::Unreadable(_)), "{error:?}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let _open = open(&directory);
    let files = std::fs::read_dir(directory.path()).unwrap();
    for file in files {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
