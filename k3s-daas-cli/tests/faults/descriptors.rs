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

pub const FAULTS: &[(Fault, Test)] = &[
    (
        Fault {
            name: "the gateway has no file descriptors left but that of a connection",
            behaviour: "Nothing is begun. Without that one nobody is connected, and waits until there is one \
                    (`k3s-daas-cli/tests/abuse/`).",
            told: &[(503, "the blob store cannot be reached")],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"blobs_down\"}"),
                Seen::Gateway("a request's body could not be stored"),
            ],
        },
        |world, fault| {
            let arrived = world.upstream.arrived();
            let gateway = world.running.gateway.as_ref().unwrap();
            let before = limit(gateway, one_more(gateway));
            let answer = world.write();
            limit(gateway, before);
            fault.is_told(0, &answer);
            fault.is_seen(world);
            assert_eq!(world.upstream.arrived(), arrived);
        },
    ),
    (
        Fault {
            name: "Nautilus has no file descriptors left",
            behaviour: "What it cannot fetch it does not execute, and says so once it can.",
            told: &[
                (504, "outcome unknown"),
                (503, "the blob store that has its payload does not answer"),
            ],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"unanswered\"}"),
                Seen::Nautilus("not fetched"),
            ],
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
    ),
];

/// The limit under which one descriptor is free.
fn one_more(process: &Process) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    let open = open.map(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .parse()
            .unwrap()
    });
    let open: Vec<u64> = open.collect();
    let free = |limit: &u64| (0..*limit).filter(|number| !open.contains(number)).count();
    (0..).find(|limit| free(limit) == 1).unwrap()
}

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
