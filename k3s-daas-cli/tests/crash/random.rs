//! kill -9 of gateways and Nautilus at random moments during 2,000 creates by 16 clients, round after round.
//!
//! `DAAS_CHAOS_ROUNDS` says how many rounds, `DAAS_CHAOS_CREATES` how many creates in each (release builds are done
//! with 2,000 before much can die), `DAAS_CHAOS_SEED` repeats one that failed as far as processes do.

use std::time::{Duration, Instant};

use crate::load::{Load, Outcome, Plan, clean};
use crate::pair::Pair;
use crate::support::Separate;

#[test]
fn a_gateway_and_a_nautilus_die_at_random_moments() {
    rounds(|seed| {
        let scratch = scratch();
        let dir = scratch.path().join("daas");
        let mut running = Separate::start(&dir);
        let load = Load::begin(&dir, &[running.server()], plan());
        let deaths = deaths(seed, &load, |number| die(&mut running, number));
        let outcome = load.finish(&dir);
        drop(running);
        clean(&dir);
        (deaths, outcome)
    });
}

#[test]
fn two_gateways_and_two_nautilus_die_at_random_moments() {
    rounds(|seed| {
        let mut pair = Pair::start_in(scratch(), &["--lease", "1s"], "");
        let load = Load::begin(pair.dir(), &pair.servers(), plan());
        let deaths = deaths(seed, &load, |number| {
            let half = pair.half(number / 2);
            // Now and then one stands still for longer than a lease; some die of it.
            if number >= 12 {
                let service = [&half.gateway, &half.nautilus][number % 2];
                let service = service.as_ref().unwrap();
                service.signal("STOP");
                std::thread::sleep(Duration::from_millis(1_500));
                if number >= 14 {
                    return service.signal("CONT");
                }
            }
            die(half, number);
        });
        let outcome = load.finish(pair.dir());
        clean(pair.dir());
        (deaths, outcome)
    });
}

/// Kills a service and starts it again.
fn die(half: &mut Separate, number: usize) {
    if number.is_multiple_of(2) {
        half.gateway.take().unwrap().kill();
        half.start_gateway();
    } else {
        half.nautilus.take().unwrap().kill();
        half.start_nautilus();
    }
}

/// Has something happen to one of them until the load is over; how often.
fn deaths(seed: u64, load: &Load, mut die: impl FnMut(usize)) -> usize {
    let mut random = Random(seed);
    let mut deaths = 0;
    loop {
        std::thread::sleep(Duration::from_millis(300 + random.below(2_200)));
        if load.is_over() {
            return deaths;
        }
        die(usize::try_from(random.below(16)).unwrap());
        deaths += 1;
    }
}

fn rounds(round: impl Fn(u64) -> (usize, Outcome)) {
    let rounds = number("DAAS_CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let first = number("DAAS_CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20);
    for seed in (first..).take(usize::try_from(rounds).unwrap()) {
        println!("DAAS_CHAOS_SEED={seed}");
        let begun = Instant::now();
        let (deaths, outcome) = round(seed);
        let Outcome {
            created,
            unknown,
            not_executed,
            retried,
            trail,
        } = &outcome;
        println!(
            "{:.1} s: {deaths} deaths, {created} created, {unknown} unknown, {not_executed} not executed, \
             {retried} asked again, {} claimed, {} released",
            begun.elapsed().as_secs_f64(),
            trail.claims(),
            trail.releases(),
        );
        assert!(deaths > 0, "nothing died");
        // Each death leaves no more unknown than were at the cluster.
        assert!(
            *unknown <= deaths * CLIENTS,
            "{unknown} after {deaths} deaths"
        );
        assert_eq!(*not_executed, 0, "the cluster was there all the time");
    }
}

/// Memory, where there is a directory of it: what a process has written survives the process there as well, and a
/// disk takes longer to remove 4,000 bodies than all the rest of a round takes.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn plan() -> Plan {
    let creates =
        number("DAAS_CHAOS_CREATES").map_or(CREATES, |creates| creates.try_into().unwrap());
    Plan::new("random", creates, CLIENTS)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }
}

const CREATES: usize = 2_000;
const CLIENTS: usize = 16;
/// Of the gate.
const ROUNDS: u64 = 3;
