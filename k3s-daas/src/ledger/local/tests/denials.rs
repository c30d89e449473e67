//! What a ledger does not take, and what is no ledger.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use rusqlite::Connection;

use super::*;
use crate::audit;
use crate::ledger::local::{Head, LocalCall, MAX_VALIDITY_MS, SignedCall};
use crate::ledger::{Cursor, Error};
use crate::types::Digest;
use crate::wire::{Deployment, IntentKind};

#[tokio::test]
async fn the_same_bytes_are_applied_once() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let signed = ledger.sign(deposit(token)).await.unwrap();
    let first = ledger.submit(signed.clone()).await.unwrap();
    assert_eq!(first.call, signed.digest());
    let again = ledger.submit(signed.clone()).await.unwrap();
    assert_eq!(again, first);
    let other = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    assert_eq!(other.submit(signed.clone()).await.unwrap(), first);
    let (left, right) = tokio::join!(ledger.submit(signed.clone()), ledger.submit(signed.clone()));
    assert_eq!((left.unwrap(), right.unwrap()), (first.clone(), first));
    let balance = ledger.balance(ledger.account()).await.unwrap();
    assert_eq!(balance, 10 * MIST_PER_SUI - 1);
}

#[tokio::test]
async fn equal_calls_are_two_calls() {
    let (ledger, _, _dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let first = ledger.call(deposit(token)).await.unwrap();
    let second = ledger.call(deposit(token)).await.unwrap();
    assert_ne!(first.call, second.call);
    assert!(first.timestamp_ms <= second.timestamp_ms);
}

#[tokio::test]
async fn what_is_not_signed_for_it_is_refused() {
    let (ledger, key, _dir) = new_ledger().await;
    let (other, _, _other_dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let before = ledger.head();
    let good = ledger.sign(deposit(token)).await.unwrap();

    let mut flipped = good.clone();
    *flipped.bytes.last_mut().unwrap() ^= 1;
    refused(&ledger, flipped, "signature").await;

    let stranger = Ed25519Signer::generate();
    let stolen = SignedCall {
        key: stranger.public_key(),
        signature: stranger.sign_now(&good.bytes),
        bytes: good.bytes.clone(),
    };
    refused(&ledger, stolen, "sender").await;
    let forged = SignedCall {
        signature: stranger.sign_now(&good.bytes),
        ..good.clone()
    };
    refused(&ledger, forged, "signature").await;

    let elsewhere = other.with_signer(signer(&key)).sign(deposit(token)).await;
    refused(&ledger, elsewhere.unwrap(), "this ledger").await;
    let other_package = Deployment {
        package: Address::ZERO,
        ..ledger.deployment()
    };
    let soon = ledger.now_ms() + 1_000;
    let signed = SignedCall::sign(&other_package, deposit(token), soon, &key).await;
    refused(&ledger, signed.unwrap(), "this ledger").await;

    let message = LocalCall {
        sender: key.address(),
        call: deposit(token),
        nonce: [0; 16],
        not_after_ms: soon,
    };
    let intent = ledger
        .deployment()
        .intent(IntentKind::Request, ClusterId::ZERO, TokenId::ZERO);
    let bytes = intent.signed_bytes(&message);
    refused(&ledger, with_bytes(&key, bytes), "this ledger").await;

    let mut longer = good.bytes.clone();
    longer.push(0);
    refused(&ledger, with_bytes(&key, longer), "no call").await;
    refused(&ledger, with_bytes(&key, Vec::new()), "this ledger").await;
    refused(&ledger, with_bytes(&key, vec![0; 200_000]), "longer").await;

    assert_eq!(ledger.head(), before, "nothing of it is on the ledger");
    ledger.submit(good).await.unwrap();
}

#[tokio::test]
async fn a_call_has_its_time() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let (ledger, key, dir) = new_ledger_with(with_clock(&clock)).await;
    let (_, _, token) = new_token(&ledger).await;
    let sign = async |not_after_ms| {
        let deployment = ledger.deployment();
        SignedCall::sign(&deployment, deposit(token), not_after_ms, &key)
            .await
            .unwrap()
    };
    refused(&ledger, sign(1_000_000).await, "over").await;
    refused(&ledger, sign(0).await, "over").await;
    let too_long = sign(1_000_000 + MAX_VALIDITY_MS + 1).await;
    refused(&ledger, too_long, "10 minutes").await;
    ledger.submit(sign(1_000_001).await).await.unwrap();
    let waited = sign(1_030_000).await;
    clock.store(1_030_000, Ordering::SeqCst);
    refused(&ledger, waited, "over").await;

    // Known bytes are known for good, and a clock that goes back revives nothing.
    clock.store(1_040_000, Ordering::SeqCst);
    let late = ledger.call(deposit(token)).await.unwrap();
    assert_eq!(late.timestamp_ms, 1_040_000);
    let old = sign(1_035_000).await;
    clock.store(500, Ordering::SeqCst);
    assert_eq!(ledger.now_ms(), 1_040_000, "ledger time never goes back");
    assert_eq!(ledger.clock_behind_ms(), 1_039_500);
    refused(&ledger, old.clone(), "over").await;
    let reopened = LocalLedger::open_with(dir.path(), signer(&key), with_clock(&clock)).unwrap();
    refused(&reopened, old, "over").await;
    let next = reopened.call(deposit(token)).await.unwrap();
    assert_eq!(next.timestamp_ms, 1_040_000);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_loses_nothing() {
    let options = Options {
        queue: 8,
        ..Options::default()
    };
    let (ledger, _, dir) = new_ledger_with(options).await;
    let (_, _, token) = new_token(&ledger).await;
    let lock = File::options()
        .write(true)
        .open(dir.path().join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.call(deposit(token)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    lock.unlock().unwrap();
    let (mut done, mut busy) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => done += 1,
            Err(Error::Busy) => busy += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(busy > 0, "forty calls are more than eight");
    let bonded = ledger.view(|snapshot| snapshot.state.token(token).unwrap().bonded);
    assert_eq!(bonded, done, "what was refused was not begun");
}

#[tokio::test]
async fn below_the_reserve_only_answers_are_taken() {
    let options = Options {
        reserve_bytes: 0,
        ..Options::default()
    };
    let (ledger, key, dir) = new_ledger_with(options).await;
    let (cluster, cap, token) = new_token(&ledger).await;
    let options = Options {
        reserve_bytes: u64::MAX,
        ..Options::default()
    };
    let low = LocalLedger::open_with(dir.path(), signer(&key), options).unwrap();
    let refused = low.call(deposit(token)).await;
    assert!(matches!(refused, Err(Error::DiskReserve)), "{refused:?}");
    let revoke = Call::RevokeToken {
        cap,
        cluster,
        token,
    };
    low.call(revoke).await.unwrap();
}

#[tokio::test]
async fn a_cursor_past_the_end_is_refused() {
    let (ledger, _, _dir) = new_ledger().await;
    new_token(&ledger).await;
    let mut events = ledger.events(Cursor { major: 3, minor: 0 });
    let first = events.next().await.unwrap();
    assert!(matches!(first, Err(Error::Invalid(_))), "{first:?}");
    let end = ledger.sync().await.unwrap();
    assert_eq!(end, Cursor { major: 2, minor: 0 });
    assert_eq!(ledger.receipt(Digest::ZERO).await.unwrap(), None);
}

#[tokio::test]
async fn a_genesis_that_cannot_be_is_refused() {
    let key = Ed25519Signer::generate();
    let address = key.address();
    for funds in [
        vec![(address, 1), (address, 1)],
        vec![(address, u64::MAX)],
        vec![(address, i64::MAX as u64), (Address::ZERO, 1)],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let made = LocalLedger::create(dir.path(), Genesis::new(funds), signer(&key)).await;
        assert!(matches!(made, Err(Error::Invalid(_))), "{made:?}");
        assert!(!LocalLedger::exists(dir.path()), "nothing was begun");
    }
}

#[tokio::test]
async fn a_ledger_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/on/the/way");
    let key = Ed25519Signer::generate();
    let nothing = LocalLedger::open(&dir, signer(&key));
    assert!(matches!(nothing, Err(Error::NotFound(_))), "{nothing:?}");
    assert!(!dir.exists(), "opening makes nothing");
    let make = || LocalLedger::create(&dir, Genesis::new(Vec::new()), signer(&key));
    let made = futures_util::future::join_all((0..8).map(|_| make())).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    let chain = LocalLedger::open(&dir, signer(&key)).unwrap().deployment();
    for result in made {
        match result {
            Ok(made) => assert_eq!(made.deployment(), chain),
            Err(Error::AlreadyExists(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let _open = LocalLedger::open(&dir, signer(&key)).unwrap();
    let sockets: Vec<_> = fs::read_dir(dir.join("followers")).unwrap().collect();
    assert!(!sockets.is_empty());
    for entry in fs::read_dir(&dir).unwrap().chain(sockets) {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} is its owner's alone", entry.path());
        let name = entry.file_name().into_string().unwrap();
        assert!(!name.ends_with(".new"), "{name} was left behind");
    }
}

#[tokio::test]
async fn what_is_no_ledger_is_not_opened() {
    let (ledger, key, _dir) = new_ledger().await;
    new_token(&ledger).await;
    let whole = tempfile::tempdir().unwrap();
    copy(&ledger, whole.path()).await;
    LocalLedger::open(whole.path(), signer(&key)).unwrap();

    type Spoil<'a> = &'a dyn Fn(&Path);
    let spoil: [(&str, Spoil<'_>); 8] = [
        ("missing", &|db| fs::remove_file(db).unwrap()),
        ("empty", &|db| fs::write(db, b"").unwrap()),
        ("no database", &|db| {
            fs::write(
                db,
                b"This is not a database file, it is a letter.\n".repeat(90),
            )
            .unwrap();
        }),
        ("torn", &|db| {
            let file = File::options().write(true).open(db).unwrap();
            file.set_len(fs::metadata(db).unwrap().len() / 2).unwrap();
        }),
        ("application ID", &|db| {
            execute(db, "PRAGMA application_id = 7");
        }),
        ("schema", &|db| {
            execute(
                db,
                "CREATE TRIGGER t AFTER INSERT ON calls BEGIN SELECT 1; END",
            );
        }),
        ("schema", &|db| {
            execute(db, "CREATE TABLE notes (text TEXT)")
        }),
        ("fingerprint", &|db| {
            let connection = Connection::open(db).unwrap();
            let token = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
            let mut token = connection
                .query_row("SELECT object FROM tokens", [], token)
                .unwrap();
            // Its count of unanswered requests: still a token, but not the one that was written.
            *token.last_mut().unwrap() ^= 1;
            connection
                .execute("UPDATE tokens SET object = ?1", [token])
                .unwrap();
        }),
    ];
    for (word, spoil) in spoil {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ledger.db");
        fs::copy(whole.path().join("ledger.db"), &database).unwrap();
        File::create(dir.path().join("lock")).unwrap();
        spoil(&database);
        let before = fs::read(&database).ok();
        let opened = LocalLedger::open(dir.path(), signer(&key));
        let Err(Error::Corrupt(why)) = opened else {
            panic!("{word}: {opened:?}");
        };
        let named = if word == "torn" { "database" } else { word };
        assert!(why.contains(named), "{word}: {why}");
        assert_eq!(fs::read(&database).ok(), before, "{word}: it is left alone");
        let made = LocalLedger::create(dir.path(), Genesis::new(Vec::new()), signer(&key)).await;
        assert!(matches!(made, Err(Error::AlreadyExists(_))), "{made:?}");
        let report = audit::verify(dir.path(), &audit::Options::default()).unwrap();
        assert!(!report.verified && report.broken.is_some(), "{word}");
    }
}

#[tokio::test]
async fn a_live_process_finds_what_was_edited_under_it() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    ledger.call(deposit(token)).await.unwrap();
    let other = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    let mut events = other.events(Cursor::START);
    let database = dir.path().join("ledger.db");
    execute(
        &database,
        "UPDATE events SET event = zeroblob(40) WHERE sequence = 2",
    );
    assert!(events.next().await.unwrap().is_ok());
    let second = events.next().await.unwrap();
    let Err(Error::Corrupt(why)) = second else {
        panic!("an edited event was handed out: {second:?}");
    };
    assert!(why.contains("event 2"), "{why}");

    execute(&database, "DELETE FROM calls WHERE sequence = 3");
    execute(
        &database,
        "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'genesis') WHERE name = 'tip'",
    );
    let after = ledger.call(deposit(token)).await;
    assert!(matches!(after, Err(Error::Corrupt(_))), "{after:?}");
    let still = ledger.sync().await;
    assert!(matches!(still, Err(Error::Corrupt(_))), "{still:?}");
}

#[tokio::test]
async fn another_version_is_left_alone() {
    let (ledger, key, dir) = new_ledger().await;
    new_token(&ledger).await;
    let copied = tempfile::tempdir().unwrap();
    copy(&ledger, copied.path()).await;
    let database = copied.path().join("ledger.db");
    for version in [0, 1, 2, 3, 5, 6, 77] {
        execute(&database, &format!("PRAGMA user_version = {version}"));
        let before = fs::read(&database).unwrap();
        let opened = LocalLedger::open(copied.path(), signer(&key));
        let Err(Error::Version(other)) = opened else {
            panic!("{version}: {opened:?}");
        };
        assert_eq!((other.found, other.known), (version, 4));
        assert_eq!(other.is_newer(), version > 4);
        let verified = audit::verify(copied.path(), &audit::Options::default());
        assert!(matches!(verified, Err(Error::Version(_))), "{verified:?}");
        assert_eq!(fs::read(&database).unwrap(), before);
    }
    drop(dir);
}

#[tokio::test]
async fn a_live_process_writes_nothing_once_a_newer_one_was_there() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let other = LocalLedger::open(dir.path(), signer(&key)).unwrap();
    let end = other.sync().await.unwrap();
    let mut events = other.events(end);
    let database = dir.path().join("ledger.db");
    let rows = || -> i64 {
        let connection = Connection::open(&database).unwrap();
        let count = "SELECT count(*) FROM calls";
        connection.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let before = rows();
    execute(&database, "PRAGMA user_version = 5");
    for process in [&ledger, &other] {
        let called = process.call(deposit(token)).await;
        assert!(
            matches!(&called, Err(Error::Version(other)) if other.found == 5),
            "{called:?}"
        );
        let synced = process.sync().await;
        assert!(matches!(synced, Err(Error::Version(_))), "{synced:?}");
    }
    let heard = events.next().await.unwrap();
    assert!(matches!(heard, Err(Error::Version(_))), "{heard:?}");
    assert_eq!(rows(), before);
}

#[tokio::test]
async fn a_clock_that_steps_back_breaks_no_head() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let (ledger, key, dir) = new_ledger_with(with_clock(&clock)).await;
    let (_, _, token) = new_token(&ledger).await;
    clock.store(1_050_000, Ordering::SeqCst);
    let first = ledger.sign_head().await.unwrap();
    assert_eq!(first.message.time_ms, 1_050_000);
    clock.store(1_000_000, Ordering::SeqCst);
    ledger.call(deposit(token)).await.unwrap();
    let other = LocalLedger::open_with(dir.path(), signer(&key), with_clock(&clock)).unwrap();
    let second = other.sign_head().await.unwrap();
    assert_eq!(second.message.previous, first.digest());
    assert_eq!(second.message.time_ms, 1_050_000);
    let report = audit::verify(dir.path(), &audit::Options::default()).unwrap();
    assert_eq!((report.broken, report.heads), (None, 3));
}

#[tokio::test]
async fn heads_are_signed_and_chained() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let first = ledger.sign_head().await.unwrap();
    assert!(first.is_genuine(&ledger.deployment()));
    assert_eq!(ledger.sign_head().await.unwrap(), first, "nothing is new");
    let executor = Ed25519Signer::generate();
    let other = LocalLedger::open(dir.path(), signer(&executor)).unwrap();
    ledger.call(deposit(token)).await.unwrap();
    let (left, right) = tokio::join!(ledger.sign_head(), other.sign_head());
    let (left, right) = (left.unwrap(), right.unwrap());
    assert_eq!(left.message.head, right.message.head);
    assert_ne!(left.message.sequence, right.message.sequence);

    let options = audit::Options {
        head: Some(right.message.head),
        ..audit::Options::default()
    };
    let report = audit::verify(dir.path(), &options).unwrap();
    assert_eq!(report.broken, None);
    assert_eq!(report.heads, 4);
    assert_eq!(report.genesis_key, Some(key.public_key()));
    assert_eq!(report.head_keys, [key.public_key(), executor.public_key()]);
    assert_eq!(report.through, Some(right.message.head.to_string()));

    for head in [
        Head {
            link: Digest::new([3; 32]),
            ..right.message.head
        },
        Head {
            calls: right.message.head.calls + 1,
            ..right.message.head
        },
    ] {
        let options = audit::Options {
            head: Some(head),
            ..audit::Options::default()
        };
        let report = audit::verify(dir.path(), &options).unwrap();
        let broken = report.broken.unwrap();
        assert!(broken.what.contains("held elsewhere"), "{broken}");
    }
}

async fn refused(ledger: &LocalLedger, signed: SignedCall, word: &str) {
    match ledger.submit(signed).await {
        Err(Error::Invalid(why)) => assert!(why.contains(word), "{why} is not about `{word}`"),
        other => panic!("expected a refusal about `{word}`, got {other:?}"),
    }
}

fn with_bytes(key: &Ed25519Signer, bytes: Vec<u8>) -> SignedCall {
    SignedCall {
        key: key.public_key(),
        signature: key.sign_now(&bytes),
        bytes,
    }
}

fn with_clock(clock: &Arc<AtomicU64>) -> Options {
    let clock = clock.clone();
    Options {
        clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        ..Options::default()
    }
}

pub(super) fn execute(database: &Path, sql: &str) {
    Connection::open(database)
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[tokio::test]
async fn a_database_that_is_removed_while_open_takes_nothing_more() {
    for name in ["ledger.db", "ledger.db-wal"] {
        let (ledger, _key, dir) = new_ledger().await;
        let (_, _, token) = new_token(&ledger).await;
        let mut events = ledger.events(crate::ledger::Cursor::default());
        fs::remove_file(dir.path().join(name)).unwrap();
        let refused = ledger.call(deposit(token)).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Corrupt(why) if why.contains("removed")),
            "{refused}"
        );
        // Who follows hears of it, and not only who writes.
        let told = async { while events.next().await.unwrap().is_ok() {} };
        tokio::time::timeout(Duration::from_secs(5), told)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_older_copy_put_in_the_place_of_an_open_database_takes_nothing() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let database = dir.path().join("ledger.db");
    let copy = dir.path().join("copy");
    ledger.call(deposit(token)).await.unwrap();
    fs::copy(&database, &copy).unwrap();
    ledger.call(deposit(token)).await.unwrap();
    fs::rename(&copy, &database).unwrap();
    // Nobody asks, and still it is noticed.
    let noticed = async {
        while ledger.sync().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), noticed)
        .await
        .unwrap();
    let refused = ledger.call(deposit(token)).await.unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
    drop((ledger, key));
}

#[tokio::test]
async fn a_database_that_others_may_write_is_not_opened() {
    use std::os::unix::fs::PermissionsExt as _;

    let (ledger, key, dir) = new_ledger().await;
    drop(ledger);
    let database = dir.path().join("ledger.db");
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    for (path, lax, right) in [(&*database, 0o666, 0o600), (dir.path(), 0o777, 0o700)] {
        set(path, lax).unwrap();
        let refused = LocalLedger::open(dir.path(), signer(&key)).unwrap_err();
        assert!(
            matches!(&refused, Error::Corrupt(why) if why.contains("chmod")),
            "{refused}"
        );
        set(path, right).unwrap();
    }
    LocalLedger::open(dir.path(), signer(&key)).unwrap();
}
