//! Two Nautilus and two gateways over one ledger: releases, claims, and who stands still past lease and deadline.

use std::time::{Duration, Instant};

use k3s_daas::crash::Point;

use crate::load::{CONFIGMAPS, Load, Plan, clean, objects};
use crate::pair::{Pair, alone};
use crate::points::died_at;
use crate::support::daas;
use crate::trail;

/// Where one claims what another one had.
pub const CLAIMS: [Point; 2] = [Point::NautilusBeforeClaim, Point::NautilusClaimed];
/// Where one gives back what the cluster never got.
pub const GIVES_BACK: [Point; 4] = [
    Point::NautilusBeforeNotSent,
    Point::NautilusNotSent,
    Point::NautilusBeforeRelease,
    Point::NautilusReleased,
];
/// Where one has the ledger forget.
pub const PRUNES: [Point; 2] = [Point::NautilusBeforePrune, Point::NautilusPruned];

#[test]
fn one_that_stood_still_past_lease_and_deadline_does_nothing_twice() {
    let cases = [
        (Point::NautilusBegun, Some(CLAIMS[0])),
        (Point::NautilusBeforeSend, Some(CLAIMS[1])),
        (Point::NautilusClusterAnswered, None),
        (Point::NautilusAnswerWritten, None),
    ];
    at_once(cases, |(stops, dies)| {
        // One at a time, so that nothing else is at the cluster when it comes to the point.
        let mut pair = Pair::start(&["--lease", "1s"], "[nautilus]\nconcurrency = 1");
        pair.first.nautilus.take().unwrap().kill();
        let stop = format!("{}=1*return(stop)", stops.name());
        pair.first.start_nautilus_armed(&stop);
        if let Some(dies) = dies {
            pair.second.nautilus.take().unwrap().kill();
            let die = format!("{}=return", dies.name());
            pair.second.start_nautilus_armed(&die);
        }
        // At once, so that nobody waits behind one that waits.
        let plan = Plan::new("still", 16, 16).with_timeout("3s");
        let load = Load::begin(pair.dir(), &pair.servers(), plan);
        let first = pair.first.nautilus.as_ref().unwrap();
        wait_until("the first stands still", || first.is_stopped());
        if let Some(dies) = dies {
            died_at(pair.second.nautilus.take().unwrap(), dies);
            pair.second.start_nautilus();
        }
        // A read is executed by whoever claims it, once its lease is over.
        for _ in 0..4 {
            daas(pair.dir(), &["request", "GET", CONFIGMAPS]).ok();
        }
        load.wait_for(16);
        let before = trail::settled(pair.dir(), load.began_at());
        assert!(before.claims() > 0, "{before:?}");

        first.signal("CONT");
        let again = Load::begin(pair.dir(), &pair.servers(), Plan::new("again", 16, 4));
        let again = again.finish(pair.dir());
        assert_eq!(again.created, 16, "{again:?}");
        let outcome = load.finish(pair.dir());
        assert!(outcome.unknown > 0, "{outcome:?}");
        assert_eq!(outcome.trail.claims(), before.claims(), "{outcome:?}");
        let unknown = objects(pair.dir(), "still").len() - outcome.created;
        match stops {
            // When it woke, it saw that it was too late.
            Point::NautilusBegun => assert_eq!(unknown, 0, "{outcome:?}"),
            // It had looked, and may have sent it when it woke; once.
            Point::NautilusBeforeSend => assert!(unknown <= 1, "{outcome:?}"),
            // It was executed, and nobody could say so.
            _ => assert!(unknown >= 1, "{outcome:?}"),
        }
        clean(pair.dir());
    });
}

#[test]
fn one_that_stands_still_in_the_middle_of_a_commit_holds_up_all_and_nobody_is_told_what_is_not_so()
{
    let mut pair = Pair::start(&[], "");
    pair.first.nautilus.take().unwrap().kill();
    pair.first
        .start_nautilus_armed("ledger.before-commit=1*return(stop)");
    let plan = Plan::new("held-up", 16, 8).with_timeout("3s");
    let load = Load::begin(pair.dir(), &pair.servers(), plan);
    let first = pair.first.nautilus.as_ref().unwrap();
    wait_until("the first stands still", || first.is_stopped());
    let begun = Instant::now();
    // Every client is told, although nobody can write.
    load.wait_for(16);
    assert!(begun.elapsed() < Duration::from_secs(20), "{begun:?}");
    first.signal("CONT");
    let again = Load::begin(pair.dir(), &pair.servers(), Plan::new("again", 16, 4));
    let again = again.finish(pair.dir());
    assert_eq!(again.created, 16, "{again:?}");
    let outcome = load.finish(pair.dir());
    assert!(outcome.unknown > 0, "{outcome:?}");
    clean(pair.dir());
}

#[test]
fn one_dies_where_it_gives_back_what_the_cluster_never_got() {
    let mut pair = Pair::start(&[], "");
    for point in GIVES_BACK {
        pair.first.cluster.take().unwrap().kill();
        pair.first.nautilus.take().unwrap().kill();
        pair.first
            .start_nautilus_armed(&format!("{}=return", point.name()));
        let plan = Plan::new(point.name(), 24, 8);
        let load = Load::begin(pair.dir(), &pair.servers(), plan);
        died_at(pair.first.nautilus.take().unwrap(), point);
        pair.first.start_cluster();
        pair.first.start_nautilus();
        let outcome = load.finish(pair.dir());
        assert!(outcome.created > 0, "{point:?}: {outcome:?}");
        assert!(outcome.unknown <= 8, "{point:?}: {outcome:?}");
    }
    clean(pair.dir());
}

#[test]
fn one_dies_where_the_ledger_is_pruned() {
    at_once(PRUNES, |point| {
        let policy = ["--response-ttl", "2s", "2s", "2s", "2s"];
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let mut running = alone(&dir, &policy, "[nautilus]\nprune_interval = \"1s\"");
        running.nautilus.take().unwrap().kill();
        running.start_nautilus_armed(&format!("{}=return", point.name()));
        let plan = Plan::new("pruned", 8, 8).with_timeout("3s");
        let load = Load::begin(&dir, &[running.server()], plan);
        load.wait_for(8);
        died_at(running.nautilus.take().unwrap(), point);
        running.start_nautilus();
        let begin = load.began_at();
        load.finish(&dir);
        wait_until("all is pruned", || trail::is_pruned(&dir, begin));
        clean(&dir);
    });
}

#[test]
fn a_cluster_that_takes_longer_than_a_lease_is_waited_for_until_the_deadline() {
    let pair = Pair::start(&["--lease", "1s"], "");
    let cluster = pair.first.cluster.as_ref().unwrap();
    cluster.signal("STOP");
    let load = Load::begin(pair.dir(), &pair.servers(), Plan::new("long", 16, 16));
    // Three leases, during which others look for what they could claim.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(load.told(), 0);
    cluster.signal("CONT");
    let outcome = load.finish(pair.dir());
    assert_eq!(outcome.created, 16, "{outcome:?}");
    assert_eq!(outcome.trail.claims(), 0, "{outcome:?}");

    cluster.signal("STOP");
    let plan = Plan::new("too-long", 16, 16).with_timeout("2s");
    let load = Load::begin(pair.dir(), &pair.servers(), plan);
    load.wait_for(16);
    cluster.signal("CONT");
    let outcome = load.finish(pair.dir());
    assert_eq!(outcome.unknown, 16, "{outcome:?}");
    clean(pair.dir());
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs each case beside the others: most of the time they wait.
fn at_once<T: Copy + Send, const N: usize>(cases: [T; N], run: impl Fn(T) + Sync) {
    let run = &run;
    std::thread::scope(|scope| {
        let threads = cases.map(|case| scope.spawn(move || run(case)));
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

const PATIENCE: Duration = Duration::from_secs(30);
