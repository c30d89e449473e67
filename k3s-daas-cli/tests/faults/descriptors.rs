//! Processes that can open nothing more.

use std::time::Duration;

use k3s_daas::types::RequestId;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::Process;
use crate::table::{Fault, Seen, Test, each};
use crate::world::World;

#[test]
fn processes_that_can_open_nothing() {
    let mut world = World::start("[nautilus]\nblob_patience = \"300ms\"\n");
    each(&mut world, FAULTS);
}

pub const FAULTS: &[(Fault, Test)] = &[(
    Fault {
        name: "Nautilus has no file descriptors left",
        behaviour: "What it cannot fetch it does not execute, and says so once it can.",
        told: &[
            (504, "outcome unknown"),
            (503, "the blob store that has its payload does not answer"),
        ],
        seen: &[Seen::Nautilus("not fetched")],
    },
    |world, fault| {
        let arrived = world.upstream.arrived();
        let nautilus = world.running.nautilus.as_ref().unwrap();
        let before = limit(nautilus, 3);
        // A client whose deadline comes first.
        fault.is_told(0, &world.write());
        let asked = world.write_beside(RequestId::new(), "?timeout=20s");
        std::thread::sleep(Duration::from_secs(1));
        limit(nautilus, before);
        fault.is_told(1, &asked.join().unwrap());
        fault.is_seen(world);
        assert_eq!(world.upstream.arrived(), arrived);
    },
)];

/// Sets how many descriptors it may have; how many it might before.
fn limit(process: &Process, current: u64) -> u64 {
    let id = Pid::from_raw(i32::try_from(process.id()).unwrap());
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(current),
        maximum,
    };
    let before = prlimit(id, Resource::Nofile, limit).unwrap();
    before.current.unwrap()
}
