//! A machine whose clock is set forward, and back.

use crate::machine::Order;
use crate::table::{Fault, Seen, Test, each};
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
            seen: &[],
        },
        |world, fault| {
            world.on_machines(Order::Clock, FIFTEEN_MINUTES_MS);
            // Until somebody calls the ledger it has the time of before.
            fault.is_told(0, &world.write());
            world.renew_credential();
            fault.is_told(1, &world.write());
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
];

const FIFTEEN_MINUTES_MS: i64 = 15 * 60_000;
