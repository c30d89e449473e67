//! A cluster that is not there, says nothing, or says what no cluster should.

use crate::support::free_address;
use crate::table::{Fault, Seen, Test, each};
use crate::upstream::Mode;
use crate::world::World;
use k3s_daas::types::RequestId;

#[test]
fn a_cluster_that_misbehaves() {
    let mut world = World::start("");
    each(&mut world, FAULTS);
}

pub const FAULTS: &[(Fault, Test)] = &[
    (
        Fault {
            name: "the cluster is not there",
            behaviour: "Nothing is sent, so nothing is begun.",
            told: &[
                (503, "the Kubernetes API cannot be reached"),
                (503, "cluster unreachable from executor"),
            ],
            seen: &[
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Ready("cluster"),
                Seen::Nautilus("nothing was sent to the cluster"),
            ],
        },
        |world, fault| {
            let address = world.upstream.address.clone();
            let arrived = world.upstream.arrived();
            world.move_to(&free_address());
            let told = [world.write(), world.read()];
            for answer in &told {
                // Once somebody was told, the gateway knows too.
                let number = usize::from(answer.message.contains("from executor"));
                fault.is_told(number, answer);
            }
            fault.is_seen(world);
            world.move_to(&address);
            assert_eq!(world.upstream.arrived(), arrived);
        },
    ),
    (
        Fault {
            name: "the cluster says nothing",
            behaviour: "At the deadline the request is dropped; it is never sent again.",
            told: &[
                (504, "the cluster did not answer before the deadline"),
                (504, "it is a read and may be repeated"),
            ],
            seen: &[
                Seen::Metric("daas_nautilus_unknown_total"),
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("refused"),
            ],
        },
        |world, fault| {
            misbehaves(world, fault, Mode::Hangs);
            // What it would say now is nobody's any more.
            let id = RequestId::new();
            world.upstream.set(Mode::Hangs);
            fault.is_told(0, &world.write_as(id, ""));
            let arrived = world.upstream.arrived();
            world.upstream.set(Mode::Answers);
            fault.is_told(0, &world.write_as(id, ""));
            assert_eq!(world.upstream.arrived(), arrived, "it is not asked again");
        },
    ),
    (
        Fault {
            name: "the cluster answers garbage",
            behaviour: "As a connection that broke off.",
            told: BROKEN_OFF,
            seen: &[
                Seen::Metric("daas_nautilus_unknown_total"),
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("the cluster's answer broke off"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::Garbage),
    ),
    (
        Fault {
            name: "half a head",
            behaviour: "A write may have been done, so its outcome is unknown.",
            told: BROKEN_OFF,
            seen: &[
                Seen::Metric("daas_nautilus_unknown_total"),
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("the cluster's answer broke off"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::HalfHead),
    ),
    (
        Fault {
            name: "half a body",
            behaviour: "Nothing of it goes to the client; what the cluster said of a write does.",
            told: &[
                (
                    504,
                    "the cluster answered 201, but the connection broke off",
                ),
                (503, "it is a read and may be repeated"),
            ],
            seen: &[
                Seen::Metric("daas_nautilus_unknown_total"),
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("the cluster's answer broke off"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::HalfBody),
    ),
    (
        Fault {
            name: "the cluster hangs up",
            behaviour: "A write may have been done; neither is sent again.",
            told: BROKEN_OFF,
            seen: &[
                Seen::Metric("daas_nautilus_unknown_total"),
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("the cluster's answer broke off"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::Closes),
    ),
    (
        Fault {
            name: "the cluster answers 503",
            behaviour: "That is its answer: passed on as it is, and not asked again.",
            told: &[
                (503, "etcdserver: no leader"),
                (503, "etcdserver: no leader"),
            ],
            seen: &[
                Seen::Metric("daas_gateway_responses_total{class=\"5xx\"}"),
                Seen::Nautilus("status=503"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::Unavailable),
    ),
    (
        Fault {
            name: "the cluster does not take the executor's credential",
            behaviour: "Nothing is done. It is not the client's credential, so the client is not told 401 and does not make another.",
            told: &[
                (
                    502,
                    "was not executed: the cluster does not take the executor's own credential",
                ),
                (
                    502,
                    "was not executed: the cluster does not take the executor's own credential",
                ),
            ],
            seen: &[
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("the cluster does not take this executor's credential"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::Unauthorized),
    ),
    (
        Fault {
            name: "a proxy before the cluster answers 502, no `Status`",
            behaviour: "Passed on as it is, and not asked again.",
            told: &[
                (502, "the proxy has no upstream"),
                (502, "the proxy has no upstream"),
            ],
            seen: &[
                Seen::Metric("daas_gateway_responses_total{class=\"5xx\"}"),
                Seen::Nautilus("status=502"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::BadGateway),
    ),
    (
        Fault {
            name: "an answer is compressed unasked",
            behaviour: "Nothing of it goes to the client, but what the cluster said does.",
            told: &[
                (502, "the cluster answered request"),
                (502, "encoded as \"gzip\""),
            ],
            seen: &[
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("refused"),
            ],
        },
        |world, fault| misbehaves(world, fault, Mode::Compressed),
    ),
];

/// A write and a read, each of which reaches the cluster once.
#[track_caller]
fn misbehaves(world: &mut World, fault: &Fault, mode: Mode) {
    world.upstream.set(mode);
    let arrived = world.upstream.arrived();
    fault.is_told(0, &world.write());
    assert_eq!(world.upstream.arrived(), arrived + 1, "{}", fault.name);
    fault.is_told(1, &world.read());
    assert_eq!(world.upstream.arrived(), arrived + 2, "{}", fault.name);
    fault.is_seen(world);
}

const BROKEN_OFF: &[(u16, &str)] = &[
    (504, "the connection to the cluster broke off"),
    (503, "it is a read and may be repeated"),
];
