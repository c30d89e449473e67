//! The protocol between ledger and executors, every interleaving of it within bounds: leases, claims, releases,
//! epochs, crashes, lost journals, calls that arrive late, twice or through others, clocks that differ.
//!
//! The ledger's side and the executor's own check are the code itself ([`ledger`]); the rest of the executor is a
//! model of `k3s-daas/src/nautilus` and of its journal ([`node`], [`machine`]). Change both together. That the
//! checker sees what it should is shown by taking each rule out: see [`Mutant`].

mod ledger;
mod machine;
mod node;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::ledger::Ledger;
use self::machine::Machine;
use super::random::{number, report};

/// What must hold in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rule {
    /// The ledger accepts at most one answer of a request.
    OneAnswer,
    /// No write reaches the cluster twice.
    OneExecution,
    /// Only what the ledger assigned to an executor is ever sent by it.
    OnlyAdmitted,
    /// Nothing is sent once its lease is over by the ledger's clock.
    WithinLease,
    /// A write that was claimed is never sent.
    NoClaimedWrite,
    /// A write that was claimed is answered "unknown", and nothing else is accepted.
    NoClaimedOutcome,
    /// Nothing is claimed while its lease runs.
    NoEarlyClaim,
    /// No answer is accepted but of the present assignment.
    PresentEpoch,
    /// No executor signs two answers of one assignment; of a write's, as long as it keeps its journal.
    NoEquivocation,
    /// While an executor lives, every request ends.
    Progress,
}

/// A rule that is taken out, of the executor or of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// That it begins is not in the journal before it is sent.
    BeginUnwritten,
    /// The answer is not in the journal before it leaves.
    AnswerUnwritten,
    /// A claimed write is executed.
    ClaimerExecutes,
    /// Requests of others are executed.
    AnyAssignment,
    /// The lease's end is not looked at.
    LeaseUnchecked,
    /// Clocks are taken to be the same.
    NoTolerance,
    /// What broke off on the way to the cluster is given back.
    DoubtGivenBack,
    /// That it is given back is not in the journal before the ledger is told.
    ReleaseUnwritten,
    /// A new journal does not know that there was another.
    LossForgotten,
    /// Nobody claims anything.
    NobodyClaims,
    /// The ledger takes a second answer.
    LedgerForgetsAnswers,
    /// The ledger takes answers of any assignment.
    LedgerIgnoresEpochs,
    /// The ledger lets leases be claimed that run.
    LedgerIgnoresLeases,
    /// The ledger takes any answer to a claimed write.
    LedgerBelievesClaimers,
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Faults {
    /// Ends of processes, violent or not.
    crashes: u8,
    /// Executors that never come back.
    deaths: u8,
    /// Journals that are lost.
    losses: u8,
    /// Bodies that are not there, clusters that do not answer, connections that break.
    failures: u8,
    /// Calls whose fate their executor does not learn.
    late: u8,
}

/// What is checked: some requests, some faults, perhaps a rule less.
struct Setting {
    is_read: Vec<bool>,
    faults: Faults,
    /// Ticks that each executor's clock is ahead of the ledger's; no more than the tolerance.
    skew: [i64; 2],
    /// The last tick.
    end: u64,
    /// Whether all there is to do is done by then.
    is_whole: bool,
    mutant: Option<Mutant>,
    ledger: Ledger,
}

impl Setting {
    fn new(is_read: &[bool], faults: Faults) -> Self {
        let ledger = Ledger::new(is_read, None);
        Self {
            is_read: is_read.to_vec(),
            faults,
            skew: [0, 0],
            // When the second claim can be answered.
            end: ledger.deadline + 2 * ledger.lease,
            is_whole: true,
            mutant: None,
            ledger,
        }
    }

    fn with_skew(mut self, skew: [i64; 2]) -> Self {
        self.skew = skew;
        // Who is slow must see the end too.
        self.end += u64::from(skew.contains(&-1));
        self
    }

    /// Ends before all is done, so that whether it is done is not looked at.
    fn until(mut self, end: u64) -> Self {
        (self.end, self.is_whole) = (end, false);
        self
    }

    fn without(mut self, mutant: Mutant) -> Self {
        self.ledger = Ledger::new(&self.is_read, Some(mutant));
        self.mutant = Some(mutant);
        self
    }

    /// Looks at every state, and shows how one comes to the first that breaks a rule.
    #[track_caller]
    fn holds(mut self, name: &str) {
        let extra = u8::try_from(number("DAAS_TEST_MODEL_FAULTS").unwrap_or(0)).unwrap();
        self.faults = self.faults.and(extra);
        let (begin, faults) = (Instant::now(), self.faults);
        let checker = self.checker().threads(THREADS).spawn_bfs().join();
        report(&format!(
            "{name}: {} states in {:.1} s, {faults:?}",
            checker.unique_state_count(),
            begin.elapsed().as_secs_f64()
        ));
        checker.assert_properties();
    }

    /// Whether a state is found that breaks the rule.
    fn breaks(self, rule: Rule) -> bool {
        let name = rule.name();
        let checker = self.checker().threads(THREADS);
        let checker = checker.finish_when(HasDiscoveries::AllOf([name].into()));
        checker.spawn_bfs().join().discovery(name).is_some()
    }
}

impl Faults {
    /// So many more of each kind that there is.
    fn and(self, extra: u8) -> Self {
        let more = |count: u8| if count > 0 { count + extra } else { 0 };
        Self {
            crashes: more(self.crashes),
            deaths: more(self.deaths),
            losses: more(self.losses),
            failures: more(self.failures),
            late: more(self.late),
        }
    }
}

impl Rule {
    fn name(self) -> &'static str {
        let found = RULES.iter().find(|(_, rule)| *rule == self);
        found.expect("every rule has a name").0
    }

    fn properties() -> Vec<Property<Setting>> {
        // The checker takes functions that know nothing but the state.
        fn property<const RULE: usize>() -> Property<Setting> {
            Property::always(RULES[RULE].0, |setting: &Setting, machine: &Machine| {
                !machine.breaks(setting, RULES[RULE].1)
            })
        }
        vec![
            property::<0>(),
            property::<1>(),
            property::<2>(),
            property::<3>(),
            property::<4>(),
            property::<5>(),
            property::<6>(),
            property::<7>(),
            property::<8>(),
            property::<9>(),
            // Rules hold easily where nothing happens.
            Property::sometimes("answered as executed", |setting, machine: &Machine| {
                machine.is_answered(setting)
            }),
        ]
    }
}

const RULES: [(&str, Rule); 10] = [
    ("one answer", Rule::OneAnswer),
    ("one execution", Rule::OneExecution),
    ("only what was admitted", Rule::OnlyAdmitted),
    ("within the lease", Rule::WithinLease),
    ("no claimed write is sent", Rule::NoClaimedWrite),
    ("a claimed write has no outcome", Rule::NoClaimedOutcome),
    ("no early claim", Rule::NoEarlyClaim),
    ("the present assignment", Rule::PresentEpoch),
    ("no equivocation", Rule::NoEquivocation),
    ("progress", Rule::Progress),
];

const WRITE: bool = false;
const READ: bool = true;

const NONE: Faults = Faults {
    crashes: 0,
    deaths: 0,
    losses: 0,
    failures: 0,
    late: 0,
};
/// Tests run side by side as it is.
const THREADS: usize = 1;

#[test]
fn a_write_keeps_every_rule_through_crashes() {
    let faults = Faults {
        crashes: 1,
        late: 1,
        ..NONE
    };
    Setting::new(&[WRITE], faults).holds("a write, crashes, late calls");
    let faults = Faults {
        crashes: 1,
        deaths: 1,
        ..NONE
    };
    Setting::new(&[WRITE], faults).holds("a write, crashes, deaths");
}

#[test]
fn a_write_keeps_every_rule_through_failures() {
    let faults = Faults {
        failures: 1,
        late: 1,
        ..NONE
    };
    Setting::new(&[WRITE], faults).holds("a write, failures, late calls");
    let faults = Faults {
        crashes: 1,
        losses: 1,
        ..NONE
    };
    Setting::new(&[WRITE], faults).holds("a write, crashes, lost journals");
}

#[test]
fn a_write_keeps_every_rule_by_clocks_that_differ() {
    for skew in [[-1, 0], [0, -1], [0, 1]] {
        let setting = Setting::new(
            &[WRITE],
            Faults {
                failures: 1,
                ..NONE
            },
        );
        setting
            .with_skew(skew)
            .holds(&format!("a write, failures, skew {skew:?}"));
    }
}

#[test]
fn a_read_keeps_every_rule() {
    let faults = Faults {
        crashes: 1,
        deaths: 1,
        ..NONE
    };
    Setting::new(&[READ], faults).holds("a read, crashes, deaths");
    let faults = Faults {
        failures: 1,
        ..NONE
    };
    Setting::new(&[READ], faults).holds("a read, failures");
    let faults = Faults {
        crashes: 1,
        losses: 1,
        ..NONE
    };
    Setting::new(&[READ], faults).holds("a read, crashes, lost journals");
}

#[test]
fn a_read_and_a_write_keep_every_rule_side_by_side() {
    let faults = Faults { crashes: 1, ..NONE };
    Setting::new(&[WRITE, READ], faults)
        .until(1)
        .holds("both, crashes");
}

#[test]
fn every_rule_that_is_taken_out_is_missed() {
    let crash = Faults { crashes: 1, ..NONE };
    let death = Faults {
        crashes: 1,
        deaths: 1,
        ..NONE
    };
    let loss = Faults {
        crashes: 1,
        losses: 1,
        ..NONE
    };
    let failure = Faults {
        failures: 1,
        ..NONE
    };
    let cases = [
        (Mutant::BeginUnwritten, crash, Rule::OneExecution),
        (Mutant::AnswerUnwritten, crash, Rule::NoEquivocation),
        (Mutant::ClaimerExecutes, NONE, Rule::NoClaimedWrite),
        (Mutant::AnyAssignment, NONE, Rule::OnlyAdmitted),
        (Mutant::LeaseUnchecked, NONE, Rule::WithinLease),
        (Mutant::NoTolerance, NONE, Rule::WithinLease),
        (Mutant::DoubtGivenBack, failure, Rule::OneExecution),
        (Mutant::ReleaseUnwritten, failure, Rule::OneExecution),
        (Mutant::LossForgotten, loss, Rule::OneExecution),
        (Mutant::LossForgotten, loss, Rule::NoEquivocation),
        (Mutant::NobodyClaims, death, Rule::Progress),
        (Mutant::LedgerForgetsAnswers, NONE, Rule::OneAnswer),
        (Mutant::LedgerIgnoresEpochs, NONE, Rule::PresentEpoch),
        (Mutant::LedgerIgnoresLeases, NONE, Rule::NoEarlyClaim),
        (Mutant::LedgerBelievesClaimers, NONE, Rule::NoClaimedOutcome),
    ];
    for (mutant, faults, rule) in cases {
        let begin = Instant::now();
        let skew = match mutant {
            Mutant::NoTolerance => [-1, 0],
            Mutant::LedgerIgnoresLeases => [0, 1],
            _ => [0, 0],
        };
        // That a write was answered is not all that a journal knows.
        let is_read = mutant == Mutant::LossForgotten && rule == Rule::NoEquivocation;
        let setting = Setting::new(&[is_read], faults).with_skew(skew);
        assert!(
            setting.without(mutant).breaks(rule),
            "{mutant:?} is not seen"
        );
        report(&format!(
            "{mutant:?}: {rule:?} broken, {:.1} s",
            begin.elapsed().as_secs_f64()
        ));
    }
    let missing = |(_, rule): &&(&str, Rule)| !cases.iter().any(|(_, _, broken)| broken == rule);
    assert_eq!(RULES.iter().find(missing), None);
}
