use super::*;
use crate::types::Digest;

const CHAIN: ChainId = ChainId::new([1; 32]);
const ME: ExecutorId = ExecutorId::new([2; 32]);

const BIRTH: Cursor = Cursor { major: 7, minor: 1 };

fn open(directory: &tempfile::TempDir) -> (Journal, Recovered) {
    let path = directory.path().join("j");
    if !path.exists() {
        create(&path, CHAIN, ME, BIRTH).unwrap();
    }
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
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Fresh);
    assert_eq!(journal.begin(key, 0, 9).await.unwrap(), Begun::Now);
    assert_eq!(journal.begin(key, 0, 9).await.unwrap(), Begun::Before);
    assert_eq!(journal.begin(key, 1, 9).await.unwrap(), Begun::Before);
    drop(journal);
    let (journal, _) = open(&directory);
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Begun);
    assert_eq!(journal.begin(key, 0, 9).await.unwrap(), Begun::Before);
    assert_eq!(journal.begin(key, 2, 9).await.unwrap(), Begun::Before);
}

#[tokio::test]
async fn what_was_not_sent_may_begin_again() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let key = key();
    journal.begin(key, 0, 9).await.unwrap();
    journal.not_sent(key, 0).await.unwrap();
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Fresh);
    assert_eq!(journal.begin(key, 0, 9).await.unwrap(), Begun::Now);
    // But not once it has its answer.
    let unstored = Unstored {
        key,
        epoch: 0,
        call: call(5),
    };
    journal.answer(unstored, false, 9).await.unwrap();
    journal.not_sent(key, 0).await.unwrap();
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Begun);
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
    assert_eq!(
        journal.answer(unstored(1), false, 9).await.unwrap().call,
        call(1)
    );
    assert_eq!(
        journal.answer(unstored(2), false, 9).await.unwrap().call,
        call(1)
    );
    drop(journal);
    let (journal, recovered) = open(&directory);
    assert_eq!(recovered.answers.len(), 1);
    assert_eq!(recovered.answers[0].call, call(1));
    let end = End::Settled { forget_at_ms: 50 };
    journal.ended(key, 0, end).await.unwrap();
    assert_eq!(
        journal.answer(unstored(3), false, 9).await.unwrap().call,
        call(1)
    );
    assert_eq!(
        journal.recall(key, 0).await.unwrap().signed.unwrap().call,
        call(1)
    );
    drop(journal);
    let (journal, recovered) = open(&directory);
    assert!(recovered.answers.is_empty());
    journal.forget(49).await.unwrap();
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Begun);
    journal.forget(50).await.unwrap();
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Fresh);
}

#[tokio::test]
async fn what_was_given_back_begins_in_another_assignment_only() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let (fresh, begun, not_sent, answered) = (key(), key(), key(), key());
    for key in [begun, not_sent] {
        journal.begin(key, 0, 9).await.unwrap();
    }
    journal.not_sent(not_sent, 0).await.unwrap();
    let unstored = Unstored {
        key: answered,
        epoch: 0,
        call: call(5),
    };
    journal.answer(unstored, false, 9).await.unwrap();
    for key in [begun, answered] {
        assert!(!journal.give_back(key, 0, 9).await.unwrap());
        assert!(!journal.recall(key, 0).await.unwrap().is_given_back);
    }
    for key in [fresh, not_sent] {
        assert!(journal.give_back(key, 0, 9).await.unwrap());
    }
    drop(journal);
    let (journal, _) = open(&directory);
    for key in [fresh, not_sent] {
        let recalled = journal.recall(key, 0).await.unwrap();
        assert!(recalled.is_given_back);
        assert_eq!(recalled.past, Past::Fresh);
        // It is told again as often as nobody knows what became of it.
        assert!(journal.give_back(key, 0, 9).await.unwrap());
        assert_eq!(journal.begin(key, 0, 9).await.unwrap(), Begun::Before);
        assert!(!journal.recall(key, 2).await.unwrap().is_given_back);
        assert_eq!(journal.begin(key, 2, 9).await.unwrap(), Begun::Now);
    }
    assert!(journal.forget(8).await.unwrap().is_empty());
    assert!(journal.recall(fresh, 0).await.unwrap().is_given_back);
    journal.forget(9).await.unwrap();
    assert!(!journal.recall(fresh, 0).await.unwrap().is_given_back);
}

#[tokio::test]
async fn what_has_no_settled_answer_is_forgotten_only_when_abandoned() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let (begun, answered, not_sent, later) = (key(), key(), key(), key());
    for key in [begun, answered, not_sent] {
        journal.begin(key, 0, 9).await.unwrap();
    }
    journal.begin(later, 0, 99).await.unwrap();
    let unstored = Unstored {
        key: answered,
        epoch: 0,
        call: call(5),
    };
    journal.answer(unstored, false, 9).await.unwrap();
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
    assert_eq!(journal.recall(begun, 0).await.unwrap().past, Past::Begun);
    assert_eq!(journal.begin(begun, 1, 99).await.unwrap(), Begun::Before);
    assert!(journal.recall(answered, 0).await.unwrap().signed.is_some());
    journal
        .abandon(vec![answered, later, not_sent], 50)
        .await
        .unwrap();
    assert_eq!(journal.recall(answered, 0).await.unwrap().past, Past::Fresh);
    assert_eq!(journal.recall(later, 0).await.unwrap().past, Past::Begun);
    assert_eq!(journal.forget(50).await.unwrap(), [begun]);
}

#[tokio::test]
async fn what_may_have_begun_earlier_never_begins_here() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, recovered) = open(&directory);
    assert_eq!(recovered.birth, BIRTH);
    let (key, answered) = (key(), key());
    let lost = |key| Lost {
        key,
        epoch: 0,
        forget_at_ms: 9,
    };
    journal.begin(answered, 0, 9).await.unwrap();
    let progress = Progress {
        lost: vec![lost(key), lost(answered)],
        ..Progress::default()
    };
    journal.advance(progress).await.unwrap();
    drop(journal);
    let (journal, _) = open(&directory);
    assert_eq!(journal.recall(key, 3).await.unwrap().past, Past::Lost);
    // What this journal knows itself counts more.
    assert_eq!(journal.recall(answered, 0).await.unwrap().past, Past::Begun);
    for epoch in [0, 1] {
        assert_eq!(journal.begin(key, epoch, 9).await.unwrap(), Begun::Before);
    }
    let mut overdue = journal.forget(50).await.unwrap();
    overdue.sort();
    let mut expected = vec![key, answered];
    expected.sort();
    assert_eq!(overdue, expected, "known until the ledger does not ask");
}

#[tokio::test]
async fn whatever_began_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let unstored = |key| Unstored {
        key,
        epoch: 0,
        call: call(5),
    };
    // An answer that the ledger never takes: known as long as the ledger may ask, and not sent again.
    let refused = key();
    journal.begin(refused, 0, 9).await.unwrap();
    journal.answer(unstored(refused), false, 9).await.unwrap();
    journal.ended(refused, 0, End::Refused).await.unwrap();
    // Answered by somebody else: forgotten without asking the ledger.
    let elsewhere = key();
    journal.begin(elsewhere, 0, 9).await.unwrap();
    // Answered here and on its way: whoever delivers it says how it ended.
    let under_way = key();
    journal.answer(unstored(under_way), false, 9).await.unwrap();
    let progress = Progress {
        ended: vec![elsewhere, under_way],
        ..Progress::default()
    };
    journal.advance(progress).await.unwrap();
    drop(journal);
    let (journal, recovered) = open(&directory);
    let [again] = &recovered.answers[..] else {
        panic!("{:?}", recovered.answers)
    };
    assert_eq!(again.key, under_way);
    let settled = End::Settled { forget_at_ms: 9 };
    journal.ended(under_way, 0, settled).await.unwrap();
    assert_eq!(journal.forget(50).await.unwrap(), [refused]);
    let recalled = journal.recall(refused, 0).await.unwrap();
    assert!(recalled.past == Past::Begun && recalled.signed.is_some());
    for over in [elsewhere, under_way] {
        assert_eq!(journal.recall(over, 0).await.unwrap().past, Past::Fresh);
    }
    let progress = Progress {
        ended: vec![refused],
        ..Progress::default()
    };
    journal.advance(progress).await.unwrap();
    assert!(journal.forget(50).await.unwrap().is_empty());
    assert_eq!(journal.recall(refused, 0).await.unwrap().past, Past::Fresh);
}

#[test]
fn running_makes_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("j");
    let error = Journal::open(&path, CHAIN, ME).unwrap_err();
    assert!(
        matches!(&error, JournalError::Missing(missing) if *missing == path),
        "{error:?}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn one_is_made_once_and_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("j");
    // As one leaves it that was removed, and a start that was killed.
    for left in [
        "j-wal",
        "j-shm",
        "j-journal",
        &format!("j.{}.new", std::process::id()),
    ] {
        std::fs::write(directory.path().join(left), "of another").unwrap();
    }
    create(&path, CHAIN, ME, BIRTH).unwrap();
    let names = || -> Vec<_> {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(), ["j"]);
    let before = std::fs::read(&path).unwrap();
    let error = create(&path, CHAIN, ME, BIRTH).unwrap_err();
    assert!(matches!(error, JournalError::Exists(_)), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(names(), ["j"]);
}

#[tokio::test]
async fn of_another_executor_or_chain_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("j");
    create(&path, CHAIN, ME, BIRTH).unwrap();
    for (chain, executor) in [
        (ChainId::new([9; 32]), ME),
        (CHAIN, ExecutorId::new([9; 32])),
    ] {
        let error = Journal::open(&path, chain, executor).unwrap_err();
        assert!(matches!(error, JournalError::Foreign), "{error:?}");
    }
    open(&directory);
}

/// Leaves the files as kill -9 does: copied while it is open.
fn killed(directory: &tempfile::TempDir) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["j", "j-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_machine_that_went_down_may_have_taken_answers_to_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, recovered) = open(&directory);
    assert!(recovered.is_synced, "it is new");
    let copy = killed(&directory);
    let connection = Connection::open(copy.path().join("j")).unwrap();
    let changed = connection.execute("UPDATE journal SET boot = 'another'", []);
    assert_eq!(changed.unwrap(), 1);
    let another_boot = killed(&copy);
    assert!(
        open(&killed(&directory)).1.is_synced,
        "only the process died"
    );
    let (again, recovered) = open(&another_boot);
    assert!(!recovered.is_synced);
    drop(again);
    assert!(open(&another_boot).1.is_synced, "closed since");
    drop(journal);
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_soon() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    let cursor = Cursor { major: 9, minor: 0 };
    let progress = Progress {
        cursor,
        ..Progress::default()
    };
    journal.advance(progress).await.unwrap();
    let reached = async {
        while open(&killed(&directory)).1.cursor != cursor {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, reached).await.unwrap();
    // And no order overtakes it.
    let key = key();
    let later = Cursor {
        major: 10,
        minor: 0,
    };
    let progress = Progress {
        cursor: later,
        ..Progress::default()
    };
    journal.advance(progress).await.unwrap();
    journal.begin(key, 0, 9).await.unwrap();
    assert_eq!(open(&killed(&directory)).1.cursor, later);
}

#[tokio::test]
async fn what_lost_its_last_commits_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&directory);
    // Right after the start, and with something in it.
    let early = killed(&directory);
    let key = key();
    journal.begin(key, 0, 9).await.unwrap();
    let whole = killed(&directory);
    assert!(open(&early).1.unanswered.is_empty());
    let (again, _) = open(&whole);
    assert_eq!(again.recall(key, 0).await.unwrap().past, Past::Begun);
    drop(again);
    for damage in [
        |wal: &Path| std::fs::remove_file(wal).unwrap(),
        |wal: &Path| std::fs::write(wal, "").unwrap(),
    ] {
        let broken = killed(&directory);
        damage(&broken.path().join("j-wal"));
        let error = Journal::open(&broken.path().join("j"), CHAIN, ME).unwrap_err();
        assert!(
            matches!(&error, JournalError::Unreadable(why) if why.contains("-wal")),
            "{error:?}"
        );
    }
    drop(journal);
    // Closed as it should be, nothing is beside it.
    let (journal, _) = open(&directory);
    assert_eq!(journal.recall(key, 0).await.unwrap().past, Past::Begun);
}

#[tokio::test]
async fn nothing_begins_once_the_file_is_gone() {
    for replace in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open(&directory);
        let path = directory.path().join("j");
        journal.begin(key(), 0, 9).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        if replace {
            create(&path, CHAIN, ME, BIRTH).unwrap();
        }
        for _ in 0..2 {
            let error = journal.begin(key(), 0, 9).await.unwrap_err();
            assert!(matches!(error, JournalError::Stopped), "{error:?}");
        }
    }
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("j");
    let refused = |says: &str| {
        let before = std::fs::read(&path).unwrap();
        let error = Journal::open(&path, CHAIN, ME).unwrap_err();
        assert!(
            matches!(&error, JournalError::Unreadable(why) if why.contains(says)),
            "{error:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    std::fs::write(&path, "").unwrap();
    refused("empty");
    std::fs::write(&path, "something else entirely, longer than a header of SQLite is, of 100 bytes; and so on and so on").unwrap();
    refused("not a database");

    let database = |statements: &str| {
        std::fs::remove_file(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(statements).unwrap();
    };
    database("CREATE TABLE t (a)");
    refused("no version");
    for version in [2, 4] {
        database(&format!("PRAGMA user_version = {version}"));
        let before = std::fs::read(&path).unwrap();
        let error = Journal::open(&path, CHAIN, ME).unwrap_err();
        assert!(
            matches!(&error, JournalError::Version(other)
                if other.found == version && other.known == 3 && other.is_newer() == (version == 4)),
            "{error:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    // Cut short, after any page.
    std::fs::remove_file(&path).unwrap();
    create(&path, CHAIN, ME, BIRTH).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for pages in 1..whole.len() / 4096 {
        std::fs::write(&path, &whole[..pages * 4096]).unwrap();
        let error = Journal::open(&path, CHAIN, ME).unwrap_err();
        assert!(
            matches!(error, JournalError::Unreadable(_)),
            "{pages}: {error:?}"
        );
    }
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
