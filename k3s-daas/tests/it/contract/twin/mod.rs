//! The Rust contract and the Move package, held against each other.
//!
//! Random sequences of calls, valid and hostile, run here on the Rust twin, with package 0x0 and the IDs that
//! the VM gives. Each is written out as Move tests into the directory of `DAAS_TEST_TWIN_DIR`: one that makes
//! every call that was admitted and compares events, payments and at the end all objects, and one for each
//! call that was refused, which must abort with its code after the same calls. A refused call changes
//! nothing, so those before it need not be made again. `node ci/move.mjs twin` does both halves.
//!
//! All other tests of the contract are such sequences too: what they do in their worlds is written down as
//! well ([`Recording`]), so each of their denials is denied on the VM.
//!
//! `DAAS_TEST_SEED` repeats a run, `DAAS_TEST_TWIN_SEQUENCES` makes it longer or shorter. A sequence that
//! once failed is kept in `fixtures/twin-corpus/` and written first from then on.

mod parts;
mod record;
mod sequence;
mod write;

use std::ops::Range;

use k3s_daas::contract::Call;
use k3s_daas::types::Address;

use super::random::{DAY, Generator, Opening, Player, Seen, number, report, seed};
use super::world::{START, World};
pub(super) use record::Recording;
use sequence::Sequence;
pub(super) use sequence::{Deed, Facts, Input};

const SEQUENCES: u64 = 300;
/// Calls of a sequence, after those that open it.
const CALLS: usize = 20;

#[test]
fn sequences_are_written_for_the_move_vm() {
    let seed = seed();
    let count = number("DAAS_TEST_TWIN_SEQUENCES").unwrap_or(SEQUENCES);
    report(&format!(
        "DAAS_TEST_SEED={seed} DAAS_TEST_TWIN_SEQUENCES={count}"
    ));
    let mut seen = Seen::default();
    let directory = record::directory();
    for n in 0..count {
        let mut twin = Twin::new(seed.wrapping_add(n));
        twin.play(CALLS);
        seen.add(&twin.seen);
        if let Some(directory) = &directory {
            let name = format!("seed_{}", seed.wrapping_add(n));
            write::write(directory, &name, &twin.sequence);
        }
    }
    report(&seen.to_string());
    if count >= SEQUENCES {
        // Sequences are short: now and then one rare thing did not happen.
        let gaps = seen.gaps();
        assert!(gaps.len() <= 8, "never: {gaps:?}");
    }
}

/// Past failures, and what should never be one, read back from where they are kept.
#[test]
fn what_failed_once_is_written_again() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/twin-corpus");
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let inputs: Vec<Input> =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let sequence = Sequence::replayed(&inputs);
        assert_eq!(
            sequence.len(),
            inputs.len(),
            "{} breaks off",
            path.display()
        );
        if let Some(directory) = record::directory() {
            let name = format!("corpus_{}", path.file_stem().unwrap().to_str().unwrap());
            write::write(&directory, &name.replace('-', "_"), &sequence);
        }
        count += 1;
    }
    assert!(count > 0, "nothing in {corpus}");
}

/// What a sequence is mostly about, so that few calls get far: all alike, what follows a request, stake, who
/// holds a token, executors, their evidence.
const THEMES: [Option<Range<u64>>; 8] = [
    None,
    Some(0..650),
    Some(330..710),
    Some(330..650),
    Some(710..805),
    Some(795..868),
    Some(882..935),
    Some(904..968),
];

/// Plays calls and records them.
struct Twin {
    g: Generator,
    sequence: Sequence,
    seen: Seen,
}

impl Twin {
    fn new(seed: u64) -> Self {
        let mut w = World::unrecorded();
        w.package = Address::ZERO;
        let mut g = Generator::new(seed, w);
        // Mostly today, now and then at an edge of 64 bits.
        g.w.now = match g.rng.below(20) {
            0 => 0,
            1 => u64::MAX - g.rng.below(10_000),
            2 => u64::MAX - g.rng.below(40 * 24 * 3_600_000),
            _ => START,
        };
        g.hostility = *g.rng.pick(&[10, 25, 50]);
        g.horizon_ms = *g.rng.pick(&[2 * 3_600_000, 40 * DAY]);
        g.theme = g.rng.pick(&THEMES).clone();
        Self {
            g,
            sequence: Sequence::default(),
            seen: Seen::default(),
        }
    }

    fn play(&mut self, calls: usize) {
        let clusters = if self.g.rng.chance(30) { 2 } else { 1 };
        self.open(&Opening {
            clusters,
            executors: 2,
            tokens: 1,
        });
        let opened = self.sequence.len();
        while self.sequence.len() < opened + calls {
            if self.g.rng.chance(2) {
                self.edit();
            }
            self.step();
        }
        self.sequence.end(&self.g.w.state);
    }

    /// What no call can bring about: other versions, full tokens, insurance that is full.
    fn edit(&mut self) {
        if self.g.w.state.token(self.g.w.token).is_none() {
            return;
        }
        let (cluster, token) = (self.g.w.cluster, self.g.w.token);
        let version = *self.g.rng.pick(&[0, 1, 1, 2]);
        let deed = match self.g.rng.below(4) {
            0 => Deed::ClusterVersion(cluster, version),
            1 => Deed::TokenVersion(token, version),
            2 => {
                let requests = self.g.w.state.requests(token);
                let open = requests.filter(|(_, r)| r.outcome.is_none()).count() as u64;
                let unanswered = *self.g.rng.pick(&[open, 1_023.max(open), 1_024]);
                Deed::Unanswered(token, unanswered)
            }
            _ => Deed::Insurance(cluster, u64::MAX - self.g.rng.below(2_000_000_000)),
        };
        let migration = match deed {
            Deed::ClusterVersion(cluster, 0) => {
                let cap = self.g.w.cap;
                Some(Call::MigrateCluster { cap, cluster })
            }
            Deed::TokenVersion(token, 0) => Some(Call::MigrateToken { cluster, token }),
            _ => None,
        };
        self.sequence.edit(&mut self.g.w, deed);
        // After some calls of the older version, of the new one again.
        for _ in 0..self.g.rng.below(4) {
            self.step();
        }
        if let Some(call) = migration {
            let admin = self.g.w.admin;
            self.apply(admin, call);
        }
    }
}

impl Player for Twin {
    fn generator(&mut self) -> &mut Generator {
        &mut self.g
    }

    fn apply(&mut self, sender: Address, call: Call) {
        let Some(outcome) = self.sequence.call(&mut self.g.w, sender, &call) else {
            return;
        };
        let seen = outcome.as_ref().map(|effects| &effects.events[..]);
        self.seen.note(&call, seen.map_err(|abort| *abort));
        for event in outcome.iter().flat_map(|effects| &effects.events) {
            self.g.note(event);
        }
    }
}
