//! A ledger whose files somebody else has, cuts or writes in.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use k3s_daas::types::RequestId;
use rusqlite::Connection;

use crate::support::{Process, Separate, daas};
use crate::table::{Fault, Seen, Test, each};
use crate::world::World;

#[test]
fn a_database_that_somebody_else_has() {
    let mut world = World::start("");
    each(&mut world, FAULTS);
}

pub const FAULTS: &[(Fault, Test)] = &[
    (
        Fault {
            name: "the database is locked for a moment",
            behaviour: "Everybody waits.",
            told: &[(201, "")],
            seen: &[],
        },
        |world, fault| {
            let lock = Connection::open(database(&world.dir())).unwrap();
            lock.execute_batch("BEGIN IMMEDIATE").unwrap();
            let asked = world.write_beside(RequestId::new(), "?timeout=20s");
            std::thread::sleep(Duration::from_millis(700));
            lock.execute_batch("ROLLBACK").unwrap();
            fault.is_told(0, &asked.join().unwrap());
        },
    ),
    (
        Fault {
            name: "the database is locked past a deadline, by another program",
            behaviour: "Tried again until then. What was not admitted by then never is.",
            told: &[(504, "the ledger did not say whether it has the request")],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"unanswered\"}"),
                Seen::Gateway("the ledger did not answer a submission"),
            ],
        },
        |world, fault| {
            let arrived = world.upstream.arrived();
            let lock = Connection::open(database(&world.dir())).unwrap();
            lock.execute_batch("BEGIN IMMEDIATE").unwrap();
            locked(world, fault);
            lock.execute_batch("ROLLBACK").unwrap();
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(world.upstream.arrived(), arrived);
        },
    ),
    (
        Fault {
            name: "the writers' lock is held past a deadline",
            behaviour: "Tried again until then. What was not admitted by then never is.",
            told: &[(504, "the ledger did not say whether it has the request")],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"unanswered\"}"),
                Seen::Gateway("the ledger did not answer a submission"),
            ],
        },
        |world, fault| {
            let arrived = world.upstream.arrived();
            let lock = File::open(world.dir().join("ledger/lock")).unwrap();
            lock.lock().unwrap();
            locked(world, fault);
            lock.unlock().unwrap();
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(world.upstream.arrived(), arrived);
        },
    ),
];

/// A write whose deadline comes.
#[track_caller]
fn locked(world: &mut World, fault: &Fault) {
    let answer = world.write();
    fault.is_told(0, &answer);
    assert!(answer.took < Duration::from_secs(6), "{answer:?}");
    fault.is_seen(world);
}

/// Each of these in a world of its own, which cannot be mended.
#[test]
fn a_database_that_is_damaged() {
    for (fault, test) in DAMAGES {
        let mut world = World::start("");
        world.begin_fault();
        test(&mut world, fault);
    }
}

pub const DAMAGES: &[(Fault, Test)] = &[
    (
        Fault {
            name: "the database is cut short",
            behaviour: "Nothing is begun any more, and no program starts over it.",
            told: &[(
                500,
                "the ledger refused the gateway's call; nothing was begun",
            )],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"ledger_fault\"}"),
                Seen::Ready("ledger"),
                Seen::Gateway("the ledger is damaged"),
                Seen::Exit("daas-gateway", 6, "the ledger is damaged"),
            ],
        },
        |world, fault| {
            let mut options = File::options();
            let file = options.write(true).open(database(&world.dir())).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length / 2).unwrap();
            damaged(world, fault);
        },
    ),
    (
        Fault {
            name: "the database's write-ahead log is cut short",
            behaviour: "Nothing is begun any more. What was in it is gone: `daas audit verify --head` shows that.",
            told: &[(
                500,
                "the ledger refused the gateway's call; nothing was begun",
            )],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"ledger_fault\"}"),
                Seen::Ready("ledger"),
                Seen::Gateway("the ledger is damaged"),
            ],
        },
        |world, fault| {
            let head = daas(&world.dir(), &["audit", "verify", "-o", "json"]).ok();
            let head: serde_json::Value = serde_json::from_str(&head).unwrap();
            let log = database(&world.dir()).with_extension("db-wal");
            let log = File::options().write(true).open(log).unwrap();
            log.set_len(log.metadata().unwrap().len() / 2).unwrap();
            refuses(world, fault);
            world.running.gateway.take().unwrap().kill();
            world.running.nautilus.take().unwrap().kill();
            let head = head["head"].as_str().unwrap();
            let verified = daas(&world.dir(), &["audit", "verify", "--head", head]);
            assert_eq!(verified.code, 6, "{verified:?}");
        },
    ),
    (
        Fault {
            name: "the database is removed",
            behaviour: "Nothing is begun any more, and no program starts without it.",
            told: &[(
                500,
                "the ledger refused the gateway's call; nothing was begun",
            )],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"ledger_fault\"}"),
                Seen::Ready("ledger"),
                Seen::Gateway("the ledger is damaged"),
                Seen::Exit("daas-gateway", 6, "the ledger is damaged"),
            ],
        },
        |world, fault| {
            std::fs::remove_file(database(&world.dir())).unwrap();
            damaged(world, fault);
        },
    ),
    (
        Fault {
            name: "a row is edited: where the ledger ends",
            behaviour: "Nothing is begun any more, and no program starts over it.",
            told: &[(
                500,
                "the ledger refused the gateway's call; nothing was begun",
            )],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"ledger_fault\"}"),
                Seen::Ready("ledger"),
                Seen::Gateway("the ledger is damaged"),
                Seen::Exit("daas-gateway", 6, "meta tip"),
            ],
        },
        |world, fault| {
            let connection = Connection::open(database(&world.dir())).unwrap();
            let changed = connection.execute(
                "UPDATE meta SET value = CAST(substr(value, 1, 40) || x'ff' || substr(value, 42) AS BLOB) WHERE name = 'tip'",
                [],
            );
            assert_eq!(changed.unwrap(), 1);
            damaged(world, fault);
        },
    ),
    (
        Fault {
            name: "rows are edited: a token's",
            behaviour: "Who runs goes on with what it knows; no program starts over it.",
            told: &[(201, "")],
            seen: &[Seen::Exit("daas-gateway", 6, "token")],
        },
        |world, fault| {
            let connection = Connection::open(database(&world.dir())).unwrap();
            connection
                .execute("UPDATE tokens SET object = zeroblob(9)", [])
                .unwrap();
            drop(connection);
            fault.is_told(0, &world.write());
            starts_no_more(&mut world.running, fault);
        },
    ),
];

/// A write that is told so and goes nowhere.
#[track_caller]
fn refuses(world: &mut World, fault: &Fault) {
    let arrived = world.upstream.arrived();
    let answer = world.write();
    fault.is_told(0, &answer);
    assert_eq!(world.upstream.arrived(), arrived, "{}", fault.name);
    fault.is_seen(world);
}

/// The same, and a gateway that does not start any more.
#[track_caller]
fn damaged(world: &mut World, fault: &Fault) {
    refuses(world, fault);
    starts_no_more(&mut world.running, fault);
}

#[track_caller]
fn starts_no_more(running: &mut Separate, fault: &Fault) {
    running.gateway.take().unwrap().kill();
    running.start_gateway_armed("");
    let mut gateway = running.gateway.take().unwrap();
    let ended = gateway.ends_within(Duration::from_secs(10));
    fault.ends(
        "daas-gateway",
        ended.unwrap().code(),
        &Process::said(&gateway),
    );
}

fn database(dir: &Path) -> std::path::PathBuf {
    dir.join("ledger/ledger.db")
}
