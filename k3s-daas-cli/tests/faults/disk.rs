//! Disks that are full, that nothing can be written to, that fail, and that take long.

use std::time::Duration;

use k3s_daas::types::RequestId;

use crate::machine::Order;
use crate::table::{Fault, Seen, Test, each};
use crate::upstream::Mode;
use crate::world::World;

#[test]
fn disks_that_do_not_take_what_is_written() {
    let mut world = World::start("");
    each(&mut world, FAULTS);
}

pub const FAULTS: &[(Fault, Test)] = &[
    (
        Fault {
            name: "the disk is full",
            behaviour: "Nothing is begun. Nautilus ends if it has something to write down, for its supervisor to \
                        start it again. Once there is room all goes on.",
            told: &[
                (
                    503,
                    "the blob store has no room for the body; nothing was begun",
                ),
                (
                    503,
                    "the ledger is below its reserve of disk and takes no new work; nothing was begun",
                ),
            ],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"blobs_full\"}"),
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"ledger_full\"}"),
                Seen::Gateway("a request's body could not be stored"),
                JOURNAL,
            ],
        },
        |world, fault| refuses(world, fault, Order::Write, ENOSPC),
    ),
    (
        Fault {
            name: "the disk has less left than `ledger.reserve_bytes`",
            behaviour: "Nothing is begun, but what was begun is answered, and the answer recorded.",
            told: &[
                (201, ""),
                (
                    503,
                    "the ledger is below its reserve of disk and takes no new work; nothing was begun",
                ),
            ],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"ledger_full\"}"),
                Seen::Ready("cluster"),
            ],
        },
        |world, fault| {
            world.set_and_restart("[ledger]\nreserve_bytes = 4611686018427387904\n", false);
            // The gateway has not heard of it, and Nautilus has.
            fault.is_told(0, &world.write());
            world.set_and_restart("", true);
            let arrived = world.upstream.arrived();
            fault.is_told(1, &world.write());
            fault.is_told(1, &world.read());
            fault.is_seen(world);
            assert_eq!(world.upstream.arrived(), arrived);
            world.unset_and_restart();
        },
    ),
    (
        Fault {
            name: "the disk is read-only",
            behaviour: "Nothing is begun; what has no body is tried again until its deadline. Nautilus as above.",
            told: &[
                (503, "the blob store cannot be reached"),
                (504, "the ledger did not say whether it has the request"),
            ],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"blobs_down\"}"),
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"unanswered\"}"),
                Seen::Gateway("a request's body could not be stored"),
                Seen::Gateway("the ledger did not answer a submission"),
                JOURNAL,
            ],
        },
        |world, fault| refuses(world, fault, Order::Write, EROFS),
    ),
    (
        Fault {
            name: "the disk fails when it is to keep what was written",
            behaviour: "What the ledger did not keep is tried again until the deadline, and never done twice. \
                        Nautilus as above.",
            told: &[
                (503, "the blob store cannot be reached"),
                (504, "the ledger did not say whether it has the request"),
            ],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"blobs_down\"}"),
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"unanswered\"}"),
                Seen::Gateway("the ledger did not answer a submission"),
                JOURNAL,
            ],
        },
        |world, fault| refuses(world, fault, Order::Sync, EIO),
    ),
    (
        Fault {
            name: "the disk of the log is full",
            behaviour: "What is logged meanwhile is lost, and nothing else.",
            told: &[(201, ""), (200, "")],
            seen: &[],
        },
        |world, fault| {
            world.restart_on_disk_of_the_log();
            world.on_machines(Order::Write, ENOSPC);
            fault.is_told(0, &world.write());
            fault.is_told(1, &world.read());
            world.on_machines(Order::Write, 0);
            world.restart_on_disk_of_the_directory();
        },
    ),
    (
        Fault {
            name: "the disk is slow (300 ms to keep something)",
            behaviour: "All of it takes longer, and is done once.",
            told: &[(201, ""), (200, "")],
            seen: &[],
        },
        |world, fault| {
            world.on_machines(Order::SyncTakes, 300);
            let answer = world.write_as(RequestId::new(), "?timeout=20s");
            fault.is_told(0, &answer);
            assert!(answer.took > Duration::from_millis(900), "{answer:?}");
            fault.is_told(
                1,
                &world.get(&format!("{}?timeout=20s", crate::world::CONFIGMAPS)),
            );
            world.on_machines(Order::SyncTakes, 0);
        },
    ),
    (
        Fault {
            name: "the disk is too slow for a deadline",
            behaviour: "What is not admitted by then never is.",
            told: &[(504, "it was not executed and never will be")],
            seen: &[Seen::Metric(
                "daas_gateway_refusals_by_reason_total{reason=\"EDeadlinePassed\"}",
            )],
        },
        |world, fault| {
            let arrived = world.upstream.arrived();
            world.on_machines(Order::SyncTakes, 1_500);
            let answer = world.write_as(RequestId::new(), "?timeout=2s");
            fault.is_told(0, &answer);
            assert!(answer.took < Duration::from_secs(8), "{answer:?}");
            fault.is_seen(world);
            world.on_machines(Order::SyncTakes, 0);
            assert_eq!(world.upstream.arrived(), arrived);
        },
    ),
    (
        Fault {
            name: "the disk of Nautilus is full while a write is at the cluster",
            behaviour: "Nautilus ends, since it can write nothing down. The next one answers, and does nothing again.",
            told: &[
                (504, "outcome unknown"),
                (504, "the executor was restarted"),
            ],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"unanswered\"}"),
                JOURNAL,
            ],
        },
        |world, fault| {
            let arrived = world.upstream.arrived();
            world.upstream.set(Mode::Hangs);
            let id = RequestId::new();
            let asked = world.write_beside(id, "?timeout=2s");
            world.upstream.wait_for(arrived + 1);
            world.nautilus_machine.set(Order::Write, ENOSPC);
            world.upstream.set(Mode::Answers);
            fault.is_told(0, &asked.join().unwrap());
            world.nautilus_ends(fault);
            world.nautilus_machine.set(Order::Write, 0);
            world.running.start_nautilus();
            // At first there may be no answer yet.
            let answer = world.asks_until(|world| world.write_as(id, "?timeout=2s"), "restarted");
            fault.is_told(1, &answer);
            fault.is_seen(world);
            assert_eq!(world.upstream.arrived(), arrived + 1);
        },
    ),
];

/// A write and a read while nothing can be written: neither reaches the cluster.
#[track_caller]
fn refuses(world: &mut World, fault: &Fault, order: Order, error: i64) {
    let arrived = world.upstream.arrived();
    world.on_machines(order, error);
    fault.is_told(0, &world.write());
    fault.is_told(1, &world.read());
    fault.is_seen(world);
    assert_eq!(world.upstream.arrived(), arrived, "{}", fault.name);
    world.on_machines(order, 0);
    world.start_again_if_ended(fault);
}

const JOURNAL: Seen = Seen::Exit("daas-nautilus", 1, "the journal failed");

const EIO: i64 = 5;
const ENOSPC: i64 = 28;
const EROFS: i64 = 30;
