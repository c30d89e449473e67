//! The oldest part of the log leaves the ledger, and nothing is lost or believed that should not be.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rusqlite::Connection;

use super::*;
use crate::audit::{self, Report};
use crate::ledger::conformance::Fixture;
use crate::ledger::local::archive::segment::{self, Body, Segment};
use crate::ledger::local::archive::state_bytes;
use crate::ledger::local::journal::Journal;
use crate::ledger::local::{
    ArchiveOptions, Archived, ArchivedEvents, SignedCheckpoint, disk, wall_clock_ms,
};
use crate::ledger::{Cursor, Error};
use crate::types::RequestId;
use crate::wire::to_bcs;

/// A ledger whose clock the test moves, with its genesis' key, and requests on it.
struct World {
    fixture: Fixture,
    ledger: LocalLedger,
    key: Ed25519Signer,
    clock: Arc<AtomicU64>,
    dir: tempfile::TempDir,
    archive: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let backend = Timed::default();
        let (fixture, _) = Fixture::new(&backend).await;
        let made = backend.made.lock().unwrap().take().unwrap();
        let stake = fixture.deposit(MIST_PER_SUI);
        fixture.owner.call(stake).await.unwrap();
        let (ledger, key, dir) = made;
        Self {
            fixture,
            ledger,
            key,
            clock: backend.clock,
            dir,
            archive: tempfile::tempdir().unwrap(),
        }
    }

    /// One to whose log much has happened, all of it pruned, and then a day has gone by.
    async fn lived() -> (Self, RequestId) {
        let world = Self::new().await;
        let mut first = None;
        for round in 0..3 {
            let id = world.load(4).await;
            first.get_or_insert(id);
            world.pass(HOUR_MS);
            world.prune().await;
            if round == 1 {
                world.ledger.sign_head().await.unwrap();
            }
        }
        world.load(2).await;
        (world, first.unwrap())
    }

    fn pass(&self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    /// So many requests, all answered; one of them.
    async fn load(&self, requests: usize) -> RequestId {
        let mut last = None;
        for index in 0..requests {
            let mut request = self.fixture.request(["GET", "POST"][index % 2]);
            // Its answer is kept for ten minutes.
            request.priority = 1;
            let call = self.fixture.execute(&request);
            let receipt = self.fixture.gateway.call(call).await.unwrap();
            let Event::K8sApiRequest(admitted) = &receipt.events[0].event else {
                unreachable!()
            };
            let answer = self.fixture.answer(&request, admitted.digest, 200);
            self.fixture.operator.call(answer).await.unwrap();
            last = Some(RequestId::from_bytes(&request.request_id).unwrap());
        }
        last.unwrap()
    }

    async fn prune(&self) -> usize {
        prune(&self.ledger).await
    }

    fn path(&self) -> Vec<PathBuf> {
        vec![self.archive.path().to_owned()]
    }

    async fn archive(&self) -> Archived {
        self.archive_with(all()).await.unwrap()
    }

    async fn archive_with(&self, options: ArchiveOptions) -> crate::ledger::Result<Archived> {
        self.ledger.archive(self.archive.path(), options).await
    }

    fn verify(&self) -> Report {
        verify(self.dir.path(), &[])
    }

    fn verify_all(&self) -> Report {
        verify(self.dir.path(), &self.path())
    }

    fn segments(&self) -> Vec<PathBuf> {
        segments(self.archive.path())
    }
}

fn verify(dir: &Path, archive: &[PathBuf]) -> Report {
    let options = audit::Options {
        archive: archive.to_vec(),
        ..audit::Options::default()
    };
    audit::verify(dir, &options).unwrap()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
        .collect();
    paths.sort();
    paths
}

async fn prune(ledger: &LocalLedger) -> usize {
    let prunable = ledger.prunable(usize::MAX);
    for (token, id) in &prunable {
        let call = Call::PruneResponses {
            token: *token,
            request_ids: vec![id.to_wire().into()],
        };
        ledger.call(call).await.unwrap();
    }
    prunable.len()
}

/// All that may go, in small segments.
fn all() -> ArchiveOptions {
    ArchiveOptions {
        segment_bytes: 6_000,
        ..ArchiveOptions::before(u64::MAX)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_ledger_goes_on_and_verifies() {
    let (world, request) = World::lived().await;
    let before = world.verify();
    assert_eq!(before.broken, None);
    assert_eq!(before.archived, None);
    let trails = audit::trail(world.dir.path(), request).unwrap();
    let all_events = events(&world.ledger, Cursor::START).await.unwrap();
    // Another process that is there all the time, and one that looks on.
    let other = open(&world);
    let mut following = other.events(other.sync().await.unwrap());

    let dry = ArchiveOptions {
        dry_run: true,
        ..all()
    };
    let dry = world.archive_with(dry).await.unwrap();
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
    assert_eq!(world.verify(), before, "a rehearsal changes nothing");

    let archived = world.archive().await;
    assert_eq!(
        (
            dry.first_call,
            dry.last_call,
            dry.last_event,
            dry.to_ms,
            dry.calls
        ),
        (
            archived.first_call,
            archived.last_call,
            archived.last_event,
            archived.to_ms,
            archived.calls
        )
    );
    assert!(archived.segments.len() > 3, "{archived:?}");
    assert_eq!(archived.segments, world.segments());
    assert_eq!(archived.first_call, 1);
    let bytes = archived
        .segments
        .iter()
        .map(|path| fs::metadata(path).unwrap().len());
    assert_eq!(archived.bytes, bytes.sum::<u64>());

    // What is left verifies, and it is said what was not.
    let report = world.verify();
    assert_eq!(report.broken, None);
    let part = report.archived.clone().unwrap();
    assert!(!part.verified && report.verified);
    assert_eq!(part.last_call, archived.last_call);
    assert_eq!(report.calls + archived.last_call, before.calls);
    assert_eq!(report.events + archived.last_event, before.events);
    assert!(report.admitted < before.admitted && report.heads < before.heads + 1);
    assert_eq!(report.genesis_key, Some(world.key.public_key()));
    // With the archive all of it does.
    let report = world.verify_all();
    let part = report.archived.clone().unwrap();
    assert!(part.verified);
    assert_eq!(part.segments, archived.segments.len() as u64);
    let told = |report: &Report| {
        (
            (report.calls, report.events, report.head.clone()),
            (report.admitted, report.answered, report.broken.clone()),
        )
    };
    assert_eq!(told(&report), told(&before));

    // The request's trail is there with the archive alone.
    assert_eq!(audit::trail(world.dir.path(), request).unwrap(), []);
    let options = audit::Options {
        archive: world.path(),
        request: Some(request),
        ..audit::Options::default()
    };
    let found = audit::verify(world.dir.path(), &options).unwrap().trails;
    assert_eq!(found, trails);

    // Whoever follows from before is told, and both parts together are what was.
    let through = Cursor {
        major: archived.last_event,
        minor: 0,
    };
    for early in [0, 1, archived.last_event - 1] {
        let early = Cursor {
            major: early,
            minor: 0,
        };
        // One that is there already has the latest events in memory.
        let Err(refused) = events(&open(&world), early).await else {
            panic!("events after {early} are archived");
        };
        let is_told = matches!(refused, Error::Archived { through: at } if at == through);
        assert!(is_told, "{refused:?}");
    }
    let old = ArchivedEvents::open(world.dir.path(), &world.path(), Cursor::START).unwrap();
    let mut joined: Vec<_> = old.map(Result::unwrap).collect();
    assert_eq!(joined.len() as u64, archived.last_event);
    joined.extend(events(&world.ledger, through).await.unwrap());
    assert_eq!(joined, all_events);
    let five = Cursor { major: 5, minor: 0 };
    let old = ArchivedEvents::open(world.dir.path(), &world.path(), five).unwrap();
    assert_eq!(old.map(Result::unwrap).next(), Some(all_events[5].clone()));

    // All go on: this process, the other one, one that begins now; and it is archived again.
    world.load(1).await;
    other.call(world.fixture.deposit(1)).await.unwrap_err();
    following.next().await.unwrap().unwrap();
    let fresh = open(&world);
    assert_eq!(fresh.head(), world.ledger.head());
    assert_eq!(fresh.requests_at_rest() > 0, other.requests_at_rest() > 0);
    world.pass(HOUR_MS);
    world.prune().await;
    world.pass(HOUR_MS);
    world.load(1).await;
    let again = world.archive().await;
    assert_eq!(again.first_call, archived.last_call + 1);
    assert_eq!(world.verify().broken, None);
    assert_eq!(world.verify_all().broken, None);
    let last = world.archive().await;
    assert_eq!((last.calls, last.last_call), (0, again.last_call));
    drop(fresh);

    // A copy is a ledger whose beginning was archived.
    let copied = tempfile::tempdir().unwrap();
    copy(&world.ledger, copied.path()).await;
    assert_eq!(verify(copied.path(), &[]).broken, None);
    assert_eq!(verify(copied.path(), &world.path()).broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_from_before_the_archive_refuses_an_archived_ledger() {
    let (world, _) = World::lived().await;
    let version = || -> i32 {
        let database = Connection::open(world.dir.path().join("ledger.db")).unwrap();
        let version = database.pragma_query_value(None, "user_version", |row| row.get(0));
        version.unwrap()
    };
    assert_eq!(version(), 4);
    world.archive().await;
    assert_eq!(version(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_commit_looks_for_is_found_without_reading_the_state_at_the_checkpoint() {
    let (world, _) = World::lived().await;
    world.archive().await;
    let journal = Journal::open_read_only(&disk::Layout::new(world.dir.path())).unwrap();
    // SQLite compares with the second of four first, and with the last only for what comes after the third.
    let names = journal.meta_names().unwrap();
    assert_eq!(names, ["checkpoint", "genesis", "tip", "zlib-state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_stays() {
    let world = World::new().await;
    let old = world.ledger.sign(world.fixture.deposit(0)).await.unwrap();
    world.pass(MINUTE_MS);
    let made = world.ledger.sign(Call::CreateCluster {
        name: "another".into(),
        chain: world.ledger.deployment().chain,
        policy: ClusterPolicy::default(),
    });
    let made = made.await.unwrap();
    let receipt = world.ledger.submit(made.clone()).await.unwrap();
    // Nothing is older than what may be submitted again.
    assert_eq!(world.archive().await.calls, 0);
    assert_eq!(world.ledger.submit(made.clone()).await.unwrap(), receipt);

    let open = world.fixture.request("POST");
    let call = world.fixture.execute(&open);
    let admitted = world.fixture.gateway.call(call).await.unwrap();
    world.load(3).await;
    world.pass(11 * MINUTE_MS);
    world.load(1).await;
    // A request that nobody has answered holds its admission and all that came after it.
    let archived = world.archive().await;
    let held_by = RequestId::from_bytes(&open.request_id).unwrap();
    assert_eq!(archived.held_by, Some(held_by));
    assert_eq!(archived.last_event + 1, admitted.events[0].cursor.major);
    let rest = events(
        &world.ledger,
        Cursor {
            major: archived.last_event,
            minor: 0,
        },
    )
    .await;
    assert_eq!(rest.unwrap()[0], admitted.events[0]);

    // What was archived is not done again.
    let calls = world.ledger.head().calls;
    for signed in [made, old] {
        let again = world.ledger.submit(signed).await;
        assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
    }
    assert_eq!(world.ledger.head().calls, calls);
    assert_eq!(world.ledger.receipt(receipt.call).await.unwrap(), None);

    // Once all are pruned it goes on, up to the last ten minutes of the log.
    world.pass(30 * HOUR_MS);
    assert_eq!(world.prune().await, 5);
    world.pass(11 * MINUTE_MS);
    let last = world.ledger.call(Call::CreateCluster {
        name: "last".into(),
        chain: world.ledger.deployment().chain,
        policy: ClusterPolicy::default(),
    });
    let last = last.await.unwrap();
    let archived = world.archive().await;
    assert_eq!(archived.held_by, None);
    assert_eq!(archived.last_event + 1, last.events[0].cursor.major);
    assert_eq!(world.verify().broken, None);
    assert_eq!(world.verify_all().broken, None);

    // Of a moment that is named nothing later goes.
    let (world, _) = World::lived().await;
    let early = world.ledger.now_ms() - 2 * HOUR_MS;
    let archived = world
        .archive_with(ArchiveOptions::before(early))
        .await
        .unwrap();
    assert!(archived.calls > 0 && archived.to_ms < early, "{archived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_signed_the_genesis_archives_and_one_at_a_time() {
    let (world, _) = World::lived().await;
    let stranger = Ed25519Signer::generate();
    let theirs = world.ledger.with_signer(signer(&stranger));
    let refused = theirs.archive(world.archive.path(), all()).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(world.segments(), Vec::<PathBuf>::new());
    assert_eq!(world.verify().archived, None);

    for lock in [
        world.dir.path().join("archive-lock"),
        world.archive.path().join("lock"),
    ] {
        let held = disk::open_lock(&lock).unwrap();
        held.lock().unwrap();
        let refused = world.archive_with(all()).await;
        assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    }
    // A log that was edited is not archived, nor is anything of it removed.
    let database = Connection::open(world.dir.path().join("ledger.db")).unwrap();
    let edit = "UPDATE calls SET time_ms = time_ms + 1 WHERE sequence = 9";
    assert_eq!(database.execute(edit, []).unwrap(), 1);
    let refused = world.archive_with(all()).await;
    assert!(
        matches!(&refused, Err(Error::Corrupt(why)) if why.starts_with("call 9: ")),
        "{refused:?}"
    );
    let edit = "UPDATE calls SET time_ms = time_ms - 1 WHERE sequence = 9";
    assert_eq!(database.execute(edit, []).unwrap(), 1);
    assert_eq!(world.verify().broken, None);

    // Where another history lies nothing is added, and nothing replaced.
    let (other, _) = World::lived().await;
    other.archive().await;
    let there = other.segments();
    let kept: Vec<_> = there.iter().map(|path| fs::read(path).unwrap()).collect();
    let refused = world.ledger.archive(other.archive.path(), all()).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(why)) if why.contains("of another ledger")),
        "{refused:?}"
    );
    assert_eq!(other.segments(), there);
    for (path, bytes) in there.iter().zip(kept) {
        assert_eq!(fs::read(path).unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_put_back_does_not_archive_over_its_other_history() {
    let (world, _) = World::lived().await;
    let copied = tempfile::tempdir().unwrap();
    copy(&world.ledger, copied.path()).await;
    let options = Options {
        clock: clock(&world.clock),
        ..Options::default()
    };
    let back = LocalLedger::open_with(copied.path(), signer(&world.key), options).unwrap();
    // Both go on, each its own way.
    for ledger in [&back, &world.ledger] {
        new_token(ledger).await;
    }
    world.pass(HOUR_MS);
    for ledger in [&back, &world.ledger] {
        new_token(ledger).await;
        prune(ledger).await;
    }
    world.pass(HOUR_MS);
    for ledger in [&back, &world.ledger] {
        new_token(ledger).await;
    }
    world.archive().await;
    let there = world.segments();
    let refused = back.archive(world.archive.path(), all()).await;
    assert!(
        matches!(&refused, Err(Error::Invalid(why)) if why.contains("another history")),
        "{refused:?}"
    );
    assert_eq!(world.segments(), there);
    assert_eq!(verify(copied.path(), &[]).archived, None);
    let own = tempfile::tempdir().unwrap();
    back.archive(own.path(), all()).await.unwrap();
    assert_eq!(verify(copied.path(), &[own.path().to_owned()]).broken, None);
    let wrong = verify(copied.path(), &world.path()).broken.unwrap();
    assert_eq!(wrong.what, "the archive leads to another link", "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_segment_that_is_not_what_it_was_is_named() {
    let (world, _) = World::lived().await;
    world.archive().await;
    let segments = world.segments();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let named = |segment: &Path, what: &str| {
        let broken = world.verify_all().broken;
        let broken = broken.unwrap_or_else(|| panic!("not found: {what}"));
        assert_eq!(
            (broken.table, &broken.row),
            ("segment", &name(segment)),
            "{what}: {broken}"
        );
        broken.what
    };
    let middle = &segments[1];
    let whole = fs::read(middle).unwrap();

    // Every byte of it.
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 1 << (index % 8);
        assert!(Segment::from_bytes(&bytes).is_err(), "byte {index}");
        if index % 97 == 0 || index < 14 || index + 3 > whole.len() {
            fs::write(middle, &bytes).unwrap();
            named(middle, &format!("byte {index}"));
        }
    }
    for length in [0, 7, 8, 11, 12, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(middle, &whole[..length]).unwrap();
        named(middle, &format!("cut to {length}"));
        assert!(Segment::from_bytes(&whole[..length]).is_err());
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(middle, &longer).unwrap();
    named(middle, "something added");

    // By somebody who mends what can be mended without keys.
    let whole_segment = Segment::from_bytes(&whole).unwrap();
    type Edit = fn(&mut Body);
    let edits: [(&str, Edit); 8] = [
        ("a time", |body| body.calls[1].time_ms += 1),
        ("a signature", |body| {
            let mut bytes = *body.calls[1].signature.as_bytes();
            bytes[0] ^= 1;
            body.calls[1].signature = crate::crypto::Signature::new(bytes);
        }),
        ("what was called", |body| {
            *body.calls[1].signed.last_mut().unwrap() ^= 1
        }),
        ("who called", |body| {
            body.calls[1].key = Ed25519Signer::generate().public_key()
        }),
        ("an event", |body| {
            let call = body.calls.iter_mut().find(|call| !call.events.is_empty());
            *call.unwrap().events[0].last_mut().unwrap() ^= 1;
        }),
        ("an event less", |body| {
            let call = body.calls.iter_mut().find(|call| !call.events.is_empty());
            call.unwrap().events.pop();
        }),
        ("calls exchanged", |body| body.calls.swap(0, 1)),
        ("a head less", |body| {
            body.heads.pop();
        }),
    ];
    for (what, edit) in edits {
        // The one with a head of its own is the first.
        let at = if what == "a head less" {
            &segments[0]
        } else {
            middle
        };
        let was = if what == "a head less" {
            fs::read(at).unwrap()
        } else {
            whole.clone()
        };
        let mut edited = body_of(&was);
        edit(&mut edited);
        assert_ne!(edited, body_of(&was), "{what}");
        fs::write(at, mended(&was, &edited)).unwrap();
        fs::write(
            middle,
            if at == middle {
                mended(&was, &edited)
            } else {
                whole.clone()
            },
        )
        .unwrap();
        // Two segments are at odds over a head, and the second one is named.
        named(middle, what);
        fs::write(at, &was).unwrap();
    }
    fs::write(middle, &whole).unwrap();
    assert_eq!(world.verify_all().broken, None);

    // A signed head that does not cover it, and one that nobody signed.
    for (what, cover) in [
        ("a head before it", whole_segment.header.cover),
        ("a head by nobody", whole_segment.header.cover),
    ] {
        let mut header = whole_segment.header.clone();
        header.cover = cover;
        if what == "a head before it" {
            header.cover = Segment::from_bytes(&fs::read(&segments[0]).unwrap())
                .unwrap()
                .heads[0];
        } else {
            header.cover.message.time_ms += 1;
        }
        let (_, bytes) = segment::to_bytes(header, &body_of(&whole));
        fs::write(middle, bytes).unwrap();
        named(middle, what);
    }
    fs::write(middle, &whole).unwrap();

    // Two that changed places, one twice, one of another ledger.
    let aside = world.archive.path().join("aside");
    let swap = || {
        fs::rename(middle, &aside).unwrap();
        fs::rename(&segments[2], middle).unwrap();
        fs::rename(&aside, &segments[2]).unwrap();
    };
    swap();
    let broken = world.verify_all().broken.unwrap();
    assert_eq!(broken.table, "segment");
    assert!(broken.what.contains("not what its name says"), "{broken}");
    swap();
    let twice = world.archive.path().join("zz.segment");
    fs::copy(middle, &twice).unwrap();
    named(&twice, "under another name");
    fs::remove_file(&twice).unwrap();
    let other_directory = tempfile::tempdir().unwrap();
    fs::copy(middle, other_directory.path().join(name(middle))).unwrap();
    let both = [
        world.archive.path().to_owned(),
        other_directory.path().to_owned(),
    ];
    let broken = verify(world.dir.path(), &both).broken.unwrap();
    assert_eq!((broken.table, &broken.row), ("segment", &name(middle)));
    assert!(broken.what.contains("has too"), "{broken}");
    let (other, _) = World::lived().await;
    other.archive().await;
    let foreign = world.archive.path().join(name(&other.segments()[0]));
    let own = fs::read(&segments[0]).unwrap();
    fs::copy(&other.segments()[0], &foreign).unwrap();
    let what = named(&foreign, "of another ledger");
    assert!(what.contains("another ledger"), "{what}");
    if foreign != segments[0] {
        fs::remove_file(&foreign).unwrap();
    }
    fs::write(&segments[0], own).unwrap();

    // One that is missing: at the beginning, between, at the end.
    for missing in [&segments[0], middle, segments.last().unwrap()] {
        fs::rename(missing, &aside).unwrap();
        let broken = world.verify_all().broken.unwrap();
        assert_eq!(broken.table, "archive");
        let header = Segment::from_bytes(&fs::read(&aside).unwrap())
            .unwrap()
            .header;
        let calls = format!(
            "calls {} to {} are in no segment",
            header.first, header.last
        );
        assert_eq!(broken.what, calls);
        let events = ArchivedEvents::open(world.dir.path(), &world.path(), Cursor::START);
        let events: Vec<_> = events.unwrap().collect();
        let last = events.last().unwrap();
        assert!(matches!(last, Err(Error::Corrupt(_))), "{last:?}");
        fs::rename(&aside, missing).unwrap();
    }
    assert_eq!(world.verify_all().broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_key_shortens_a_history() {
    let (world, _) = World::lived().await;
    let early = world.ledger.sign_head().await.unwrap().message.head;
    world.pass(HOUR_MS);
    world.load(1).await;
    world.pass(HOUR_MS);
    world.prune().await;
    world.pass(HOUR_MS);
    world.load(1).await;
    let whole = tempfile::tempdir().unwrap();
    copy(&world.ledger, whole.path()).await;
    world.archive().await;
    let forged = tempfile::tempdir().unwrap();
    let database = forged.path().join("ledger.db");
    let harm = |edit: &dyn Fn(&Connection)| {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(forged.path().join(format!("ledger.db{suffix}")));
        }
        let source = Connection::open(world.dir.path().join("ledger.db")).unwrap();
        source
            .execute("VACUUM INTO ?1", [database.to_str().unwrap()])
            .unwrap();
        edit(&Connection::open(&database).unwrap());
        verify(forged.path(), &[])
    };
    let put = |database: &Connection, name: &str, value: &[u8]| {
        let update = "UPDATE meta SET value = ?2 WHERE name = ?1";
        let rows = database.execute(update, rusqlite::params![name, value]);
        assert_eq!(rows.unwrap(), 1);
    };
    let journal = Journal::open_read_only(&disk::Layout::new(world.dir.path())).unwrap();
    let genuine = journal.checkpoint().unwrap().unwrap();
    assert_eq!(harm(&|_| ()).broken, None);

    // The state that it begins with.
    let report = harm(&|database| {
        let state: Vec<u8> = database
            .query_row(
                "SELECT value FROM meta WHERE name = 'zlib-state'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        let mut flipped = state;
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        put(database, "zlib-state", &flipped);
    });
    assert_eq!(report.broken.unwrap().row, "zlib-state");
    // Without its checkpoint it is of a version that no program makes.
    harm(&|_| ());
    let rows = Connection::open(&database)
        .unwrap()
        .execute("DELETE FROM meta WHERE name = 'checkpoint'", []);
    assert_eq!(rows.unwrap(), 1);
    let refused = audit::verify(forged.path(), &audit::Options::default());
    assert!(matches!(refused, Err(Error::Version(_))), "{refused:?}");
    let report = harm(&|database| {
        let delete = "DELETE FROM meta WHERE name = 'zlib-state'";
        assert_eq!(database.execute(delete, []).unwrap(), 1);
    });
    assert!(report.broken.is_some(), "without its state");
    // Each thing that the checkpoint says, by nobody and by a stranger.
    let stranger = Ed25519Signer::generate();
    let edits: [fn(&mut SignedCheckpoint); 8] = [
        |it| it.message.head.calls += 1,
        |it| it.message.head.link = crate::types::Digest::ZERO,
        |it| it.message.events += 1,
        |it| it.message.time_ms += 1,
        |it| it.message.heads -= 1,
        |it| it.message.last_head = crate::types::Digest::ZERO,
        |it| it.message.state = crate::types::Digest::ZERO,
        |it| it.message.last_head_time_ms += 1,
    ];
    for (index, edit) in edits.iter().enumerate() {
        let mut edited = genuine;
        edit(&mut edited);
        let report = harm(&|database| put(database, "checkpoint", &to_bcs(&edited)));
        let broken = report.broken.unwrap();
        assert_eq!(broken.row, "checkpoint", "edit {index}: {broken}");
        assert!(LocalLedger::open(forged.path(), signer(&stranger)).is_err());
        let theirs = sign(&world, edited.message, &stranger).await;
        let report = harm(&|database| put(database, "checkpoint", &to_bcs(&theirs)));
        let broken = report.broken.unwrap();
        assert!(
            broken.what.contains("not the one that signed the genesis"),
            "{broken}"
        );
    }
    // A stranger who signs another genesis too is known by the key, which is reported and can be asked for.
    let mut message = genuine.message;
    message.genesis = crate::ledger::local::SignedHead::sign(
        &world.ledger.deployment(),
        message.genesis.message,
        &stranger,
    )
    .await
    .unwrap();
    let theirs = sign(&world, message, &stranger).await;
    let report = harm(&|database| put(database, "checkpoint", &to_bcs(&theirs)));
    assert_eq!(report.genesis_key, Some(stranger.public_key()));
    let options = audit::Options {
        genesis_key: Some(world.key.public_key()),
        ..audit::Options::default()
    };
    let broken = audit::verify(forged.path(), &options).unwrap().broken;
    assert_eq!(broken.unwrap().table, "head");
    let options = audit::Options {
        archive: world.path(),
        ..audit::Options::default()
    };
    let broken = audit::verify(forged.path(), &options).unwrap().broken;
    assert_eq!(broken.unwrap().row, "checkpoint", "the archive shows it");
    let options = audit::Options {
        genesis_key: Some(world.key.public_key()),
        ..audit::Options::default()
    };
    let report = audit::verify(world.dir.path(), &options).unwrap();
    assert_eq!(report.broken, None);

    // Whoever has the key and lies is shown by the archive.
    let mut message = genuine.message;
    let journal = Journal::open_read_only(&disk::Layout::new(world.dir.path())).unwrap();
    let mut replica = crate::ledger::local::archive::restore(
        &journal.genesis().unwrap(),
        &genuine,
        &journal.checkpoint_state().unwrap(),
    )
    .unwrap();
    replica.balances.insert(stranger.address(), 1);
    let state = state_bytes(&replica);
    message.state = crate::crypto::blake2b256(&[&state]);
    let lie = sign(&world, message, &world.key).await;
    harm(&|database| {
        put(database, "checkpoint", &to_bcs(&lie));
    });
    let broken = verify(forged.path(), &world.path()).broken.unwrap();
    assert_eq!(broken.row, "checkpoint", "{broken}");

    // A head that was kept from before needs the archive, and then counts as ever.
    let through = |head, archive: Vec<PathBuf>| {
        let options = audit::Options {
            head: Some(head),
            archive,
            ..audit::Options::default()
        };
        audit::verify(world.dir.path(), &options).unwrap()
    };
    let broken = through(early, Vec::new()).broken.unwrap();
    assert!(broken.what.contains("name the archive"), "{broken}");
    let report = through(early, world.path());
    assert_eq!(
        (report.broken, report.through),
        (None, Some(early.to_string()))
    );
    let other = crate::ledger::local::Head {
        link: crate::types::Digest::ZERO,
        ..early
    };
    assert!(through(other, world.path()).broken.is_some());
    let latest = world.ledger.head();
    let report = through(latest, Vec::new());
    assert_eq!(
        (report.broken, report.through),
        (None, Some(latest.to_string()))
    );

    // The archive next to the ledger as it was before holds too.
    assert_eq!(verify(whole.path(), &world.path()).broken, None);
}

async fn sign(
    world: &World,
    message: crate::ledger::local::CheckpointMessage,
    key: &Ed25519Signer,
) -> SignedCheckpoint {
    let deployment = world.ledger.deployment();
    let intent = deployment.intent(
        crate::wire::IntentKind::LocalCheckpoint,
        ClusterId::ZERO,
        TokenId::ZERO,
    );
    SignedCheckpoint {
        message,
        key: key.public_key(),
        signature: key.sign_now(&intent.signed_bytes(&message)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_is_flat_once_pruned_and_archived() {
    let world = World::new().await;
    let other = open(&world);
    let mut sizes = Vec::new();
    for _ in 0..8 {
        world.load(120).await;
        world.pass(HOUR_MS);
        assert!(world.prune().await >= 120);
        world.pass(HOUR_MS);
        world.load(1).await;
        world
            .archive_with(ArchiveOptions::before(u64::MAX))
            .await
            .unwrap();
        other.sync().await.unwrap();
        sizes.push(size_of(world.dir.path()));
    }
    let (second, last) = (sizes[1], sizes[7]);
    let log = world.dir.path().join("ledger.db-wal");
    let log = fs::metadata(log).unwrap().len();
    assert!(log < 32 << 20, "{log} bytes of write-ahead log");
    assert!(
        last <= second + second / 10,
        "the ledger grows: {sizes:?} bytes after each round"
    );
    assert_eq!(world.verify().broken, None);
    assert_eq!(world.verify_all().broken, None);
}

/// A segment as it must stay readable. `DAAS_UPDATE_GOLDEN=1` writes it anew.
#[tokio::test]
async fn segments_and_checkpoints_stay_readable() {
    use crate::crypto::blake2b256;
    use crate::ledger::local::message::{CallLink, HeadMessage, event_link};
    use crate::ledger::local::{CheckpointMessage, Head, SignedHead};
    use crate::types::Digest;
    let key = Ed25519Signer::from_seed([1; 32]);
    // The one of the message's own test.
    let genesis = format!("{}01{}0400000000000000", "02".repeat(32), "03".repeat(32));
    let genesis: Genesis = bcs::from_bytes(&hex::decode(genesis).unwrap()).unwrap();
    let signed = b"call".to_vec();
    let (digest, signature) = (blake2b256(&[&signed]), key.sign_now(&signed));
    let link = CallLink {
        sequence: 1,
        time_ms: 9,
        sender: key.address(),
        digest,
        key: &key.public_key(),
        signature: &signature,
    };
    let link = event_link(link.after(genesis.link()), 1, 1, b"event");
    let head = async |sequence, head, previous| {
        let message = HeadMessage {
            sequence,
            time_ms: 10 + sequence,
            head,
            previous,
        };
        SignedHead::sign(&genesis.deployment(), message, &key)
            .await
            .unwrap()
    };
    let begin = Head {
        calls: 0,
        link: genesis.link(),
    };
    let first = head(0, begin, Digest::ZERO).await;
    let end = Head { calls: 1, link };
    let cover = head(1, end, blake2b256(&[&to_bcs(&first)])).await;
    let body = Body {
        heads: vec![first],
        calls: vec![segment::ArchivedCall {
            time_ms: 9,
            key: key.public_key(),
            signature,
            signed,
            events: vec![b"event".to_vec()],
        }],
    };
    let header = segment::Header {
        genesis: genesis.clone(),
        first: 1,
        last: 1,
        first_event: 1,
        events: 1,
        from_ms: 9,
        to_ms: 9,
        previous: genesis.link(),
        link,
        first_head: 0,
        heads: 1,
        cover,
        body_len: 0,
        body: Digest::ZERO,
    };
    let (header, bytes) = segment::to_bytes(header, &body);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archive");
    let path = directory.join(segment::name_of(&header));
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&directory).unwrap();
        fs::write(&path, &bytes).unwrap();
    }
    let kept = fs::read(&path).unwrap();
    // What compresses may compress otherwise one day; all else is the same.
    let begin = 12 + to_bcs(&header).len();
    assert_eq!(kept[..begin], bytes[..begin]);
    assert_eq!(kept[..8], *b"k3sdseg\x01");
    assert_eq!(body_of(&kept), body);
    assert_eq!(Segment::from_bytes(&kept).unwrap().header, header);
    assert_eq!(begin, 442);

    let message = CheckpointMessage {
        genesis: first,
        head: end,
        events: 1,
        time_ms: 9,
        heads: 1,
        last_head: blake2b256(&[&to_bcs(&first)]),
        last_head_time_ms: 10,
        state: blake2b256(&[b"state"]),
    };
    let intent = genesis.deployment().intent(
        crate::wire::IntentKind::LocalCheckpoint,
        ClusterId::ZERO,
        TokenId::ZERO,
    );
    let signed = intent.signed_bytes(&message);
    assert_eq!(
        hex::encode(blake2b256(&[&signed]).as_bytes()),
        "17acbb1c75dfa765902105b6d0690dc54a5449bf6a2f39f6b5a98d0727cb95cd",
        "{}",
        hex::encode(&signed)
    );
    let empty = crate::ledger::local::replica::Replica::at_genesis(&genesis, 0).unwrap();
    let state = format!("0001{}0400000000000000", "03".repeat(32));
    assert_eq!(hex::encode(state_bytes(&empty)), state);
}

/// Bytes of all files there but the write-ahead log, which is as long as it once had to be while somebody read.
fn size_of(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let lasting = entries.filter(|entry| !entry.file_name().to_string_lossy().ends_with("-wal"));
    lasting.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Archives, or writes and prunes, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    #[cfg(feature = "crash-points")]
    crate::crash::arm().unwrap();
    let told = |name: &str| std::env::var(name).unwrap();
    let key = |name: &str| {
        let seed: [u8; 32] = hex::decode(told(name)).unwrap().try_into().unwrap();
        Ed25519Signer::from_seed(seed)
    };
    let began = Instant::now();
    let (from_ms, speed): (u64, u64) = (told(FROM).parse().unwrap(), told(SPEED).parse().unwrap());
    let options = Options {
        clock: Arc::new(move || {
            from_ms + u64::try_from(began.elapsed().as_millis()).unwrap() * speed
        }),
        ..Options::default()
    };
    let ledger = LocalLedger::open_with(told(DIR), signer(&key(SEED)), options).unwrap();
    let token: Option<TokenId> = told(TOKEN).parse().ok();
    let work = async {
        match &role[..] {
            "archive" => {
                ledger.archive(told(ARCHIVE), all()).await.unwrap();
            }
            "write" => {
                for number in 0_u64.. {
                    match ledger.call(deposit(token.unwrap())).await {
                        Ok(_) => {}
                        // Its time was over: minutes go by in no time here.
                        Err(Error::Invalid(_)) => continue,
                        Err(other) => panic!("{other}"),
                    }
                    // A line for each call, which whoever started it counts.
                    use std::io::Write as _;
                    let mut out = fs::OpenOptions::new()
                        .append(true)
                        .create(true)
                        .open(told(OUTPUT))
                        .unwrap();
                    writeln!(out, "{number}").unwrap();
                    if number % 16 == 0 {
                        // Another one may be faster all the time.
                        let signed = ledger.sign_head().await;
                        assert!(matches!(signed, Ok(_) | Err(Error::Busy)), "{signed:?}");
                    }
                }
            }
            // Writes once, and again when the file that says so is gone.
            "late" => {
                ledger.call(deposit(token.unwrap())).await.unwrap();
                let mut old = ledger.events(Cursor::START);
                old.next().await.unwrap().unwrap();
                fs::write(told(OUTPUT), "").unwrap();
                while Path::new(&told(OUTPUT)).exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                // Its clock stood still too: what it signs is good for the time that the ledger has.
                ledger.sync().await.unwrap();
                ledger.call(deposit(token.unwrap())).await.unwrap();
                let mut told = old;
                while let Some(event) = told.next().await {
                    match event {
                        Ok(_) => {}
                        Err(Error::Archived { .. }) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            other => panic!("no role `{other}`"),
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .unwrap();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(
    role: &str,
    dir: &Path,
    archive: &Path,
    key: &Ed25519Signer,
    more: &[(&str, String)],
) -> Killed {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", CHILD, "--nocapture"])
        .env(ROLE, role)
        .env(SEED, hex::encode(*key.seed()))
        .env(DIR, dir)
        .env(ARCHIVE, archive)
        .env(TOKEN, "")
        .env(FROM, "0")
        .env(SPEED, "0")
        .env(OUTPUT, "/dev/null")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in more {
        command.env(name, value);
    }
    Killed(command.spawn().unwrap())
}

#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_killed_at_any_point_loses_and_doubles_nothing() {
    use crate::crash::Point;
    let (world, _) = World::lived().await;
    let before = world.verify();
    let whole = events(&world.ledger, Cursor::START).await.unwrap();
    let points = Point::ALL
        .iter()
        .filter(|point| point.name().starts_with("archive."));
    let mut tried = 0;
    for point in points {
        for passed in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let archive = tempfile::tempdir().unwrap();
            copy(&world.ledger, dir.path()).await;
            let armed = format!("{}={passed}*off->return", point.name());
            let more = [("FAILPOINTS", armed.clone())];
            let mut child = start("archive", dir.path(), archive.path(), &world.key, &more);
            let status = child.0.wait().unwrap();
            let is_reached = !status.success();
            assert!(is_reached || passed > 0, "{armed} is never reached");
            if is_reached {
                use std::os::unix::process::ExitStatusExt as _;
                assert_eq!(status.signal(), Some(9), "{armed}: {status}");
                tried += 1;
            }
            let check = |when: &str| {
                let paths = [archive.path().to_owned()];
                let is_archived = verify(dir.path(), &[]).archived.is_some();
                assert_eq!(verify(dir.path(), &[]).broken, None, "{armed} {when}");
                let report = verify(dir.path(), &paths);
                assert_eq!(report.broken, None, "{armed} {when}");
                assert_eq!((report.calls, report.events), (before.calls, before.events));
                assert!(report.archived.is_none_or(|part| part.verified));
                let options = Options {
                    clock: clock(&world.clock),
                    ..Options::default()
                };
                let ledger =
                    LocalLedger::open_with(dir.path(), signer(&world.key), options).unwrap();
                (ledger, paths, is_archived)
            };
            let (ledger, ..) = check("after it was killed");
            ledger.archive(archive.path(), all()).await.unwrap();
            drop(ledger);
            let (ledger, paths, is_archived) = check("after another one");
            assert!(is_archived, "{armed}");
            let old = ArchivedEvents::open(dir.path(), &paths, Cursor::START).unwrap();
            let mut joined: Vec<_> = old.map(Result::unwrap).collect();
            let at = joined.last().unwrap().cursor;
            joined.extend(events(&ledger, at).await.unwrap());
            assert_eq!(joined, whole, "{armed}");
            // Nothing unfinished is left, and none of what was removed.
            let left = fs::read_dir(archive.path()).unwrap().count();
            assert_eq!(
                left,
                segments(archive.path()).len() + 1,
                "{armed}: the lock"
            );
            let database = Connection::open(dir.path().join("ledger.db")).unwrap();
            let first: i64 = database
                .query_row("SELECT min(sequence) FROM calls", [], |row| row.get(0))
                .unwrap();
            let checkpoint = ledger.checkpoint().await.unwrap().unwrap();
            assert_eq!(first as u64, checkpoint.message.head.calls + 1, "{armed}");
        }
    }
    assert!(tried >= 10, "only {tried} were killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_write_while_others_archive_and_are_killed() {
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let archive = tempfile::tempdir().unwrap();
    let outputs = tempfile::tempdir().unwrap();
    let from = ledger.now_ms().to_string();
    let told = |speed: u64, output: &Path| {
        vec![
            (TOKEN, token.to_string()),
            (FROM, from.clone()),
            (SPEED, speed.to_string()),
            (OUTPUT, output.display().to_string()),
        ]
    };
    let output = |index: usize| outputs.path().join(index.to_string());
    let mut writers: Vec<_> = (0..2)
        .map(|index| {
            // Ten minutes go by in half a second.
            let more = told(1_200, &output(index));
            start("write", dir.path(), archive.path(), &key, &more)
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(6);
    let (mut killed, mut ended) = (0_u64, 0);
    while Instant::now() < until {
        let mut archiving = start(
            "archive",
            dir.path(),
            archive.path(),
            &key,
            &told(0, Path::new("/dev/null")),
        );
        if killed % 3 == 2 {
            assert!(archiving.0.wait().unwrap().success());
            ended += 1;
        } else {
            let pause = 20 + killed * 13 % 90;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        drop(archiving);
        killed += 1;
    }
    for writer in &mut writers {
        assert_eq!(writer.0.try_wait().unwrap(), None, "it lives");
    }
    drop(writers);
    let paths = [archive.path().to_owned()];
    ledger.sync().await.unwrap();
    let acknowledged: u64 = (0..2)
        .map(|index| fs::read_to_string(output(index)).unwrap().lines().count() as u64)
        .sum();
    let report = verify(dir.path(), &paths);
    assert_eq!(report.broken, None);
    assert_eq!(report.head, Some(ledger.head().to_string()));
    let part = report.archived.unwrap();
    assert!(part.verified && part.segments > 1 && ended > 1, "{part:?}");
    // Two were killed between their last call and its line, perhaps.
    let calls = report.calls - 2;
    assert!(
        calls == acknowledged || calls <= acknowledged + 2,
        "{calls}, {acknowledged}"
    );
    assert!(calls >= acknowledged, "{calls}, {acknowledged}");
    assert_eq!(verify(dir.path(), &[]).broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_stood_still_meanwhile_goes_on() {
    use rustix::process::{Pid, Signal, kill_process};
    let (ledger, key, dir) = new_ledger().await;
    let (_, _, token) = new_token(&ledger).await;
    let archive = tempfile::tempdir().unwrap();
    let lines = archive.path().join("lines");
    let told = [
        (TOKEN, token.to_string()),
        (FROM, ledger.now_ms().to_string()),
        (OUTPUT, lines.display().to_string()),
    ];
    let mut late = start("late", dir.path(), archive.path(), &key, &told);
    let patience = Instant::now() + Duration::from_secs(30);
    while !lines.exists() {
        assert!(Instant::now() < patience);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pid = Pid::from_raw(i32::try_from(late.0.id()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();

    let ahead = wall_clock_ms() + 5 * HOUR_MS;
    let calls = Arc::new(AtomicU64::new(0));
    let options = Options {
        clock: {
            let calls = calls.clone();
            Arc::new(move || ahead + calls.load(Ordering::Relaxed) * HOUR_MS)
        },
        ..Options::default()
    };
    let later = LocalLedger::open_with(dir.path(), signer(&key), options).unwrap();
    for _ in 0..3 {
        later.call(deposit(token)).await.unwrap();
        calls.fetch_add(1, Ordering::Relaxed);
    }
    let archived = later.archive(archive.path(), all()).await.unwrap();
    assert_eq!(
        archived.last_call + 1,
        later.head().calls,
        "all but the last call"
    );
    kill_process(pid, Signal::CONT).unwrap();
    fs::remove_file(&lines).unwrap();
    assert!(late.0.wait().unwrap().success());
    assert_eq!(later.sync().await.unwrap().major, archived.last_event + 2);
    let report = verify(dir.path(), &[archive.path().to_owned()]);
    assert_eq!(report.broken, None);
    assert_eq!(verify(dir.path(), &[]).broken, None);
}

/// A ledger with a clock of the test's.
#[derive(Default)]
struct Timed {
    clock: Arc<AtomicU64>,
    made: Mutex<Option<(LocalLedger, Ed25519Signer, tempfile::TempDir)>>,
}

struct TimedInstance(LocalLedger);

#[async_trait]
impl Backend for Timed {
    async fn fresh(&self, funds: &[(Address, u64)]) -> Box<dyn Instance> {
        let dir = tempfile::tempdir().unwrap();
        let key = Ed25519Signer::generate();
        self.clock.store(wall_clock_ms(), Ordering::Relaxed);
        let options = Options {
            clock: clock(&self.clock),
            ..Options::default()
        };
        let genesis = Genesis::new(funds.to_vec());
        let made = LocalLedger::create_with(dir.path(), genesis, signer(&key), options);
        let ledger = made.await.unwrap();
        *self.made.lock().unwrap() = Some((ledger.clone(), key, dir));
        Box::new(TimedInstance(ledger))
    }
}

#[async_trait]
impl Instance for TimedInstance {
    async fn open(&self, signer: Arc<dyn Signer>) -> Arc<dyn Ledger> {
        Arc::new(self.0.with_signer(signer))
    }
}

fn clock(clock: &Arc<AtomicU64>) -> Arc<dyn Fn() -> u64 + Send + Sync> {
    let clock = clock.clone();
    Arc::new(move || clock.load(Ordering::Relaxed))
}

fn open(world: &World) -> LocalLedger {
    let options = Options {
        clock: clock(&world.clock),
        ..Options::default()
    };
    LocalLedger::open_with(world.dir.path(), signer(&world.key), options).unwrap()
}

/// All events after a cursor that there are.
async fn events(
    ledger: &LocalLedger,
    after: Cursor,
) -> crate::ledger::Result<Vec<crate::ledger::SequencedEvent>> {
    let last = ledger.sync().await.unwrap();
    let mut events = ledger.events(after);
    let mut found = Vec::new();
    let mut seen = after;
    while seen < last {
        let event = events.next().await.unwrap()?;
        seen = event.cursor;
        found.push(event);
    }
    Ok(found)
}

/// What lies in a segment.
fn body_of(bytes: &[u8]) -> Body {
    let segment = Segment::from_bytes(bytes).unwrap();
    let heads = segment.heads.clone();
    let calls = segment.linked().map(|(row, events)| segment::ArchivedCall {
        time_ms: row.time_ms,
        key: row.key,
        signature: row.signature,
        signed: row.signed,
        events: events.into_iter().map(|event| event.event).collect(),
    });
    Body {
        heads,
        calls: calls.collect(),
    }
}

/// A segment with another body, and all counts, hashes and links that follow from it.
fn mended(bytes: &[u8], body: &Body) -> Vec<u8> {
    use crate::ledger::local::message::{CallLink, event_link};
    let mut header = Segment::from_bytes(bytes).unwrap().header;
    let (mut link, mut next) = (header.previous, header.first_event);
    for (sequence, call) in (header.first..).zip(&body.calls) {
        link = CallLink {
            sequence,
            time_ms: call.time_ms,
            sender: call.key.address(),
            digest: crate::crypto::blake2b256(&[&call.signed]),
            key: &call.key,
            signature: &call.signature,
        }
        .after(link);
        for event in &call.events {
            link = event_link(link, next, sequence, event);
            next += 1;
        }
    }
    header.link = link;
    header.events = next - header.first_event;
    header.heads = body.heads.len() as u64;
    header.from_ms = body.calls[0].time_ms;
    header.to_ms = body.calls.last().unwrap().time_ms;
    let (_, bytes) = segment::to_bytes(header, body);
    assert!(Segment::from_bytes(&bytes).is_ok(), "it holds in itself");
    bytes
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

const CHILD: &str = "ledger::local::tests::archive::child";
const ROLE: &str = "DAAS_TEST_ROLE";
const SEED: &str = "DAAS_TEST_SEED";
const DIR: &str = "DAAS_TEST_DIR";
const ARCHIVE: &str = "DAAS_TEST_ARCHIVE";
const TOKEN: &str = "DAAS_TEST_TOKEN";
const FROM: &str = "DAAS_TEST_FROM";
const SPEED: &str = "DAAS_TEST_SPEED";
const OUTPUT: &str = "DAAS_TEST_OUTPUT";
