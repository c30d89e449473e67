//! Bodies beside the ledger that are missing, cut short, or in each other's place.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k3s_daas::types::RequestId;

use crate::table::{Fault, Seen, Test, each};
use crate::upstream::Mode;
use crate::world::{Answer, World};

#[test]
fn bodies_that_are_not_what_was_stored() {
    let mut world = World::start("[nautilus]\nblob_patience = \"300ms\"\n");
    each(&mut world, FAULTS);
}

pub const FAULTS: &[(Fault, Test)] = &[
    (
        Fault {
            name: "a request's body is missing",
            behaviour: "Asked for again for `nautilus.blob_patience`, then not executed.",
            told: &[(503, "its payload is not in the blob store")],
            seen: &[
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("BlobMissing"),
            ],
        },
        |world, fault| payload(world, fault, |body| fs::remove_file(body).unwrap()),
    ),
    (
        Fault {
            name: "a request's body is cut short",
            behaviour: "Not executed.",
            told: &[(502, "the payload in the blob store is not the one")],
            seen: &[
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("is corrupt"),
            ],
        },
        |world, fault| payload(world, fault, cut),
    ),
    (
        Fault {
            name: "another body is in a request's place",
            behaviour: "Not executed, neither the one nor the other: what is there is held by another request.",
            told: &[(503, "its payload is not in the blob store")],
            seen: &[
                Seen::Metric("daas_nautilus_refused_total"),
                Seen::Nautilus("BlobMissing"),
            ],
        },
        |world, fault| payload(world, fault, replace),
    ),
    (
        Fault {
            name: "an answer's body is missing before it is told",
            behaviour: "What was done is not done again, and the ledger says that it was.",
            told: &[(502, "the answer is recorded, but its bytes are missing")],
            seen: &[
                Seen::Metric("daas_gateway_wrong_bytes_total"),
                Seen::Gateway("an answer's bytes are no good"),
            ],
        },
        |world, fault| {
            let arrived = world.upstream.arrived();
            world.upstream.set(Mode::Hangs);
            let asked = world.write_beside(RequestId::new(), "?timeout=20s");
            world.upstream.wait_for(arrived + 1);
            let before = bodies(&world.dir());
            let gateway = world.running.gateway.as_ref().unwrap();
            gateway.signal("STOP");
            world.upstream.set(Mode::Answers);
            fs::remove_file(new_body(world, &before)).unwrap();
            gateway.signal("CONT");
            fault.is_told(0, &asked.join().unwrap());
            fault.is_seen(world);
            assert_eq!(world.upstream.arrived(), arrived + 1);
        },
    ),
    (
        Fault {
            name: "an answer's body is missing",
            behaviour: "The answer stands on the ledger, and is not made again.",
            told: &[(410, "the bytes to repeat its answer from are gone")],
            seen: &[Seen::Metric(
                "daas_gateway_refusals_by_reason_total{reason=\"body_gone\"}",
            )],
        },
        |world, fault| envelope(world, fault, |body| fs::remove_file(body).unwrap()),
    ),
    (
        Fault {
            name: "an answer's body is cut short",
            behaviour: "The answer stands on the ledger, and is not made again.",
            told: &[(502, "its bytes are not those that were recorded")],
            seen: &[
                Seen::Metric("daas_gateway_wrong_bytes_total"),
                Seen::Gateway("an answer's bytes are no good"),
            ],
        },
        |world, fault| envelope(world, fault, cut),
    ),
    (
        Fault {
            name: "another body is in an answer's place",
            behaviour: "The answer stands on the ledger, and is not made again.",
            told: &[(502, "its bytes are not those that were recorded")],
            seen: &[
                Seen::Metric("daas_gateway_wrong_bytes_total"),
                Seen::Gateway("an answer's bytes are no good"),
            ],
        },
        |world, fault| envelope(world, fault, replace),
    ),
    (
        Fault {
            name: "the blob store is away, as a disk that is not mounted",
            behaviour: "Nothing is begun, and nothing is taken for missing.",
            told: &[(503, "the blob store cannot be reached")],
            seen: &[
                Seen::Metric("daas_gateway_refusals_by_reason_total{reason=\"blobs_down\"}"),
                Seen::Ready("blobs"),
                Seen::Gateway("a request's body could not be stored"),
            ],
        },
        |world, fault| {
            let (blobs, away) = (world.dir().join("blobs"), world.dir().join("away"));
            fs::rename(&blobs, &away).unwrap();
            let arrived = world.upstream.arrived();
            fault.is_told(0, &world.write());
            fault.is_seen(world);
            assert_eq!(world.upstream.arrived(), arrived);
            fs::rename(&away, &blobs).unwrap();
        },
    ),
];

/// A write whose body is damaged between gateway and Nautilus: nothing of it reaches the cluster.
#[track_caller]
fn payload(world: &mut World, fault: &Fault, damage: fn(&Path)) {
    let before = bodies(&world.dir());
    let nautilus = world.running.nautilus.as_ref().unwrap();
    nautilus.signal("STOP");
    let arrived = world.upstream.arrived();
    let id = RequestId::new();
    let asked = world.write_beside(id, "?timeout=20s");
    let body = new_body(world, &before);
    damage(&body);
    nautilus.signal("CONT");
    let answer = asked.join().unwrap();
    fault.is_told(0, &answer);
    assert!(answer.message.contains("was not executed"), "{answer:?}");
    assert!(answer.took < Duration::from_secs(10), "{answer:?}");
    assert_eq!(world.upstream.arrived(), arrived, "{}", fault.name);
    fault.is_seen(world);
}

/// A write whose answer is damaged after it was told, and asked for once more.
#[track_caller]
fn envelope(world: &mut World, fault: &Fault, damage: fn(&Path)) {
    let id = RequestId::new();
    let path = "?timeout=20s";
    let arrived = world.upstream.arrived();
    let before = bodies(&world.dir());
    assert_eq!(world.write_as(id, path).status, 201);
    assert_eq!(world.write_as(id, path).status, 201, "it can be repeated");
    // Body and answer of this write; the gateway has the body by heart, and needs its salt.
    let new: Vec<PathBuf> = bodies(&world.dir())
        .into_iter()
        .filter(|body| !before.contains(body))
        .collect();
    assert_eq!(new.len(), 2);
    let longer = |body: &&PathBuf| fs::metadata(body).unwrap().len();
    let answer = new.iter().max_by_key(longer);
    damage(answer.unwrap());
    let told: Answer = world.write_as(id, path);
    fault.is_told(0, &told);
    fault.is_seen(world);
    assert_eq!(world.upstream.arrived(), arrived + 1, "it is done once");
}

/// The body that is there besides these, as soon as one is.
#[track_caller]
fn new_body(world: &World, before: &[PathBuf]) -> PathBuf {
    let begun = Instant::now();
    loop {
        let now = bodies(&world.dir());
        if let Some(new) = now.into_iter().find(|body| !before.contains(body)) {
            return new;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no body");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every sealed body in the store.
fn bodies(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("blobs/sealed")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn cut(body: &Path) {
    let file = fs::File::options().write(true).open(body).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / 2).unwrap();
}

/// A body that is whole, sealed with the right key, and another's.
fn replace(body: &Path) {
    let others = fs::read_dir(body.parent().unwrap()).unwrap();
    let others = others.map(|other| other.unwrap().path());
    // The longest: one that was cut short before is not whole.
    let other = others
        .filter(|other| other != body)
        .max_by_key(|other| fs::metadata(other).unwrap().len());
    let other = fs::read(other.unwrap()).unwrap();
    fs::write(body, other).unwrap();
}
