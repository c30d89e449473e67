//! The faults, as the documentation has them: what each test looks at is what stands in the table.

use std::fmt::Write as _;
use std::path::Path;

use crate::world::{Answer, World};
use crate::{bodies, clock, cluster, descriptors, disk, ledger};

/// A fault and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub name: &'static str,
    pub behaviour: &'static str,
    /// Status and words of each answer that clients are given meanwhile.
    pub told: &'static [(u16, &'static str)],
    /// How whoever operates it sees it.
    pub seen: &'static [Seen],
}

/// A trace that a fault leaves.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// Words of a line that the gateway logs.
    Gateway(&'static str),
    /// Words of a line that Nautilus logs.
    Nautilus(&'static str),
    /// A check of `/readyz` that fails.
    Ready(&'static str),
    /// A counter of `/metrics` that goes up.
    Metric(&'static str),
    /// A program that ends with this exit code, and says this.
    Exit(&'static str, i32, &'static str),
}

/// How one is made to happen.
pub type Test = fn(&mut World, &Fault);

impl Fault {
    /// An answer must be one of those that the table has.
    #[track_caller]
    pub fn is_told(&self, number: usize, answer: &Answer) {
        let (status, words) = self.told[number];
        assert_eq!(answer.status, status, "{}: {answer:?}", self.name);
        assert!(answer.message.contains(words), "{}: {answer:?}", self.name);
        if status >= 400 && answer.is_status() {
            assert_eq!(answer.json()["code"], status, "{}", self.name);
        }
    }

    /// A program must have ended as the table has it.
    #[track_caller]
    pub fn ends(&self, program: &str, code: Option<i32>, said: &str) {
        let mut ends = self.seen.iter().filter_map(|seen| match seen {
            Seen::Exit(known, code, words) if *known == program => Some((*code, *words)),
            _ => None,
        });
        let (expected, words) = ends.next().unwrap();
        assert_eq!(code, Some(expected), "{}: {said}", self.name);
        assert!(
            said.contains(words),
            "{}: no {words:?} in {said}",
            self.name
        );
    }

    /// Every trace must be there.
    #[track_caller]
    pub fn is_seen(&self, world: &World) {
        for seen in self.seen {
            world.sees(self.name, *seen);
        }
    }
}

/// Makes each of these happen, one after another, in one world.
#[track_caller]
pub fn each(world: &mut World, faults: &[(Fault, Test)]) {
    for (fault, test) in faults {
        world.begin_fault();
        test(world, fault);
        world.is_whole(fault.name);
    }
}

#[test]
fn the_table_in_the_documentation_is_of_these_faults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    let document = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let of_now = format!("{before}{BEGIN}\n{}{END}{after}", table());
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &of_now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(
        kept == of_now,
        "docs/faults.md is not of these faults: run this test with DAAS_UPDATE_GOLDEN=1"
    );
}

fn table() -> String {
    let mut table = "| fault | what happens | what the client is told | how it shows | test |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for (file, faults) in [
        ("cluster", cluster::FAULTS),
        ("bodies", bodies::FAULTS),
        ("ledger", ledger::FAULTS),
        ("ledger", ledger::DAMAGES),
        ("disk", disk::FAULTS),
        ("clock", clock::FAULTS),
        ("descriptors", descriptors::FAULTS),
    ] {
        for (fault, _) in faults {
            let told: Vec<String> = fault.told.iter().map(told).collect();
            let seen: Vec<String> = fault.seen.iter().map(seen).collect();
            let row = [
                fault.name,
                fault.behaviour,
                &told.join("; "),
                &seen.join("; "),
            ];
            writeln!(table, "| {} | `{file}` |", row.join(" | ")).unwrap();
        }
    }
    table
}

fn told((status, words): &(u16, &str)) -> String {
    match *words {
        "" => status.to_string(),
        words => format!("{status} “{words}”"),
    }
}

fn seen(seen: &Seen) -> String {
    match seen {
        Seen::Gateway(words) => format!("the gateway logs “{words}”"),
        Seen::Nautilus(words) => format!("Nautilus logs “{words}”"),
        Seen::Ready(check) => format!("`/readyz`: {check}"),
        Seen::Metric(series) => format!("`{series}`"),
        Seen::Exit(program, code, words) => format!("`{program}` ends with {code}, “{words}”"),
    }
}

const BEGIN: &str =
    "<!-- faults: written by k3s-daas-cli/tests/faults with DAAS_UPDATE_GOLDEN=1 -->";
const END: &str = "<!-- end of faults -->";
