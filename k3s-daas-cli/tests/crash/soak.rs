//! Work for a long time with restarts, pruning and archiving as in production: memory and disk stay what they were.
//!
//! `DAAS_SOAK_MINUTES` says how long; without it there are a few rounds, too few for anything to be pruned.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{CONFIGMAPS, Load, Plan};
use crate::support::{Separate, daas};

#[test]
fn memory_and_disk_stay_what_they_were() {
    let minutes: Option<u64> = std::env::var("DAAS_SOAK_MINUTES")
        .ok()
        .map(|text| text.parse().unwrap());
    let until = minutes.map(|minutes| Instant::now() + Duration::from_mins(minutes));
    let scratch = tempfile::tempdir().unwrap();
    let (dir, archive) = (scratch.path().join("daas"), scratch.path().join("archive"));
    let mut running = Separate::provision(&dir);
    // Before the first request: what is asked for under a longer one holds the archive as long.
    let ttl = ["1m"; 4];
    daas(
        &dir,
        &[&["cluster", "set", "--response-ttl"][..], &ttl].concat(),
    )
    .ok();
    // Nautilus is restarted more often than once in a minute.
    daas(&dir, &["config", "set", "nautilus.prune_interval", "2s"]).ok();
    running.start_cluster();
    running.start_nautilus();
    running.start_gateway();

    let mut measured = Vec::new();
    for round in 0.. {
        let is_last = until.map_or(round == ROUNDS, |until| Instant::now() >= until);
        if is_last {
            break;
        }
        let plan = Plan::new(format!("soak-{round}"), CREATES, CLIENTS);
        let load = Load::begin(&dir, &[running.server()], plan);
        load.wait_for(CREATES / 2);
        disturb(&mut running, round);
        let outcome = load.finish(&dir);
        assert_eq!(outcome.not_executed, 0, "round {round}");
        assert!(
            outcome.unknown <= CLIENTS,
            "round {round}: {}",
            outcome.unknown
        );
        // The cluster is in memory, and its memory is not what is looked at.
        let created = format!("{CONFIGMAPS}?labelSelector=run%3Dsoak-{round}");
        daas(&dir, &["request", "DELETE", &created]).ok();
        let archiving = ["ledger", "archive", text(&archive), "--keep", "10m"];
        let archived = daas(&dir, &[&archiving[..], &["-o", "json"]].concat()).ok();
        let archived: Value = serde_json::from_str(&archived).unwrap();
        let now = Measured::of(&running, &dir);
        println!("round {round}: {now:?}, archived {archived}");
        measured.push(now);
        if until.is_some() {
            std::thread::sleep(PAUSE);
        }
    }

    drop(running);
    // A few rounds leave nothing old enough to be moved.
    let mut verify = vec!["audit", "verify", "-o", "json"];
    if archive.exists() {
        verify.extend(["--archive", text(&archive)]);
    }
    let verified = daas(&dir, &verify).ok();
    assert!(verified.contains("\"verified\": true"), "{verified}");
    if until.is_some() {
        assert!(archive.exists(), "nothing was archived");
        check(&measured);
    }
}

/// Restarts one of the services in order, or kills it.
fn disturb(running: &mut Separate, round: usize) {
    match round % 8 {
        1 => assert_eq!(running.nautilus.take().unwrap().stop(), 0),
        3 => running.nautilus.take().unwrap().kill(),
        5 => assert_eq!(running.gateway.take().unwrap().stop(), 0),
        7 => running.gateway.take().unwrap().kill(),
        _ => return,
    }
    if running.nautilus.is_none() {
        running.start_nautilus();
    } else {
        running.start_gateway();
    }
}

/// Bytes.
#[derive(Clone, Copy, Debug)]
struct Measured {
    gateway: u64,
    nautilus: u64,
    ledger: u64,
    blobs: u64,
    journal: u64,
}

impl Measured {
    fn of(running: &Separate, dir: &Path) -> Self {
        let resident = |process: &crate::support::Process| {
            let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.unwrap().trim().trim_end_matches(" kB");
            kib.parse::<u64>().unwrap() * 1_024
        };
        Self {
            gateway: resident(running.gateway.as_ref().unwrap()),
            nautilus: resident(running.nautilus.as_ref().unwrap()),
            ledger: size(&dir.join("ledger")),
            blobs: size(&dir.join("blobs")),
            journal: size(&dir.join("nautilus")),
        }
    }

    fn parts(self) -> [(&'static str, u64); 5] {
        [
            ("gateway", self.gateway),
            ("nautilus", self.nautilus),
            ("ledger", self.ledger),
            ("blobs", self.blobs),
            ("journal", self.journal),
        ]
    }
}

/// Once pruning and archiving keep up, the second half of the time takes no more than the first did.
#[track_caller]
fn check(measured: &[Measured]) {
    let (first, second) = measured.split_at(measured.len() / 2);
    let most = |of: &[Measured], part: usize| of.iter().map(|now| now.parts()[part].1).max();
    for (part, (name, _)) in measured[0].parts().into_iter().enumerate() {
        let (Some(before), Some(after)) = (most(first, part), most(second, part)) else {
            panic!("too few rounds: {}", measured.len())
        };
        println!("{name}: at most {before} bytes in the first half, {after} in the second");
        let allowed = before + before / 4 + (4 << 20);
        assert!(after <= allowed, "{name}: {before} bytes became {after}");
    }
}

/// Of all files in it.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        // Some go while one looks.
        Err(_) => 0,
    });
    sizes.sum()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const ROUNDS: usize = 4;
const CREATES: usize = 200;
const CLIENTS: usize = 16;
/// What ten minutes leave on the ledger is some 100 MB then.
const PAUSE: Duration = Duration::from_secs(2);
