//! A supervisor that restarts what works, about every second: what has begun finishes, what has not is given back or
//! picked up again, and no client hears of it but by asking again.

use std::time::Duration;

use crate::load::{Load, Plan, clean};
use crate::pair::Pair;
use crate::support::Separate;

#[test]
fn a_gateway_and_a_nautilus_that_are_restarted_all_the_time_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Separate::start(&dir);
    let load = Load::begin(&dir, &[running.server()], plan());
    again_and_again(&load, |number| restart(&mut running, number));
    let outcome = load.finish(&dir);
    assert_eq!(outcome.created, CREATES, "{outcome:?}");
    drop(running);
    clean(&dir);
}

#[test]
fn a_pair_that_is_restarted_all_the_time_gives_to_each_other_what_has_not_begun() {
    // Few at a time, so that others wait.
    let mut pair = Pair::start(&[], "[nautilus]\nconcurrency = 1");
    let load = Load::begin(pair.dir(), &pair.servers(), plan());
    again_and_again(&load, |number| restart(pair.half(number / 2), number));
    let outcome = load.finish(pair.dir());
    assert_eq!(outcome.created, CREATES, "{outcome:?}");
    assert!(outcome.trail.releases() > 0, "{outcome:?}");
    clean(pair.dir());
}

/// Restarts something until the load is over.
fn again_and_again(load: &Load, mut restart: impl FnMut(usize)) {
    for number in 0.. {
        std::thread::sleep(EVERY);
        if load.is_over() {
            assert!(number > 2, "hardly anything was restarted");
            return;
        }
        restart(number);
    }
}

/// Asks a service to stop, which it does in order, and starts it again.
fn restart(half: &mut Separate, number: usize) {
    if number.is_multiple_of(2) {
        assert_eq!(half.nautilus.take().unwrap().stop(), 0);
        half.start_nautilus();
    } else {
        assert_eq!(half.gateway.take().unwrap().stop(), 0);
        half.start_gateway();
    }
}

fn plan() -> Plan {
    Plan::new("restarts", CREATES, 16)
}

const CREATES: usize = 1_000;
/// Beside what stopping and starting takes.
const EVERY: Duration = Duration::from_millis(500);
