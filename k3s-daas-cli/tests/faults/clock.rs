//! A machine whose clock is set forward, and back.

use std::time::Duration;

use crate::machine::Order;
use crate::table::{Fault, Seen, Test, each};
use crate::upstream::Mode;
use crate::world::World;

#[test]
fn a_clock_that_jumps() {
    let mut world = World::start("");
    each(&mut world, FAULTS);
}

pub const FAULTS: &[(Fault, Test)] = &[
    (
        Fault {
            name: "the clock is set forward by 15 minutes",
            behaviour: "Time on the ledger goes with it: credentials from before are over, and new ones are good.",
            told: &[(401, "`daas credential` makes a new one"), (201, "")],
            seen: &[Seen::Metric(
                "daas_gateway_refusals_by_reason_total{reason=\"bad_credential\"}",
            )],
        },
        |world, fault| {
            world.on_machines(Order::Clock, FIFTEEN_MINUTES_MS);
            // Until somebody calls the ledger it has the time of before.
            fault.is_told(0, &world.write());
            world.renew_credential();
            fault.is_told(1, &world.write());
            fault.is_seen(world);
        },
    ),
    (
        Fault {
            name: "and then back, to what it was",
            behaviour: "Time on the ledger stands still until the clock has caught up: nothing that was over \
                        is good again, and new requests are answered.",
            told: &[(201, "")],
            seen: &[Seen::Ready("clock")],
        },
        |world, fault| {
            world.on_machines(Order::Clock, 0);
            fault.is_told(0, &world.write());
            fault.is_seen(world);
        },
    ),
    (
        Fault {
            name: "the clock jumps forward by 15 minutes while a write is at the cluster",
            behaviour: "Its lease and deadline are over, and the cluster's answer comes all the same.",
            told: &[(201, "")],
            seen: &[],
        },
        |world, fault| jumps_meanwhile(world, fault, 2 * FIFTEEN_MINUTES_MS),
    ),
    (
        Fault {
            name: "the clock jumps back by 15 minutes while a write is at the cluster",
            behaviour: "Nothing comes of it: time on the ledger does not go back.",
            told: &[(201, "")],
            seen: &[Seen::Ready("clock")],
        },
        |world, fault| jumps_meanwhile(world, fault, FIFTEEN_MINUTES_MS),
    ),
];

/// A write that is done once and told, whatever the clock does between its two ends.
#[track_caller]
fn jumps_meanwhile(world: &mut World, fault: &Fault, ms: i64) {
    let arrived = world.upstream.arrived();
    world.renew_credential();
    world.upstream.set(Mode::Hangs);
    let asked = world.write_beside(None, "?timeout=20s");
    world.upstream.wait_for(arrived + 1);
    world.on_machines(Order::Clock, ms);
    // Nautilus looks through what is unanswered each second.
    std::thread::sleep(Duration::from_millis(1_500));
    world.upstream.set(Mode::Answers);
    fault.is_told(0, &asked.join().unwrap());
    assert_eq!(world.upstream.arrived(), arrived + 1, "it is done once");
    fault.is_seen(world);
    world.renew_credential();
}

const FIFTEEN_MINUTES_MS: i64 = 15 * 60_000;
