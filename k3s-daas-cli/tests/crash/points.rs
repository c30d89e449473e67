//! Every crash point under load: the process dies there, is started again, and nothing is lost or twice.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use k3s_daas::crash::Point;

use crate::load::{Load, Outcome, Plan, clean};
use crate::several::{CLAIMS, GIVES_BACK, PRUNES};
use crate::support::{Process, Separate};

/// Who reaches a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The gateway, under load.
    Gateway,
    /// Nautilus, under load.
    Nautilus,
    /// Both, under load.
    Both,
    /// Nautilus, once another one stands still past its lease.
    Claiming,
    /// Nautilus, where another one lives too and the cluster does not.
    GivingBack,
    /// Nautilus, once answers need not be kept any more.
    Pruning,
    /// `daas ledger archive`; the ledger's own tests kill it there.
    Archiving,
}

/// Who reaches `point`. One that is new is under load, and fails the test if nobody comes to it there.
pub fn reached(point: Point) -> Reached {
    match point {
        _ if CLAIMS.contains(&point) => Reached::Claiming,
        _ if GIVES_BACK.contains(&point) => Reached::GivingBack,
        _ if PRUNES.contains(&point) => Reached::Pruning,
        _ if point.name().starts_with("archive.") => Reached::Archiving,
        _ if point.name().starts_with("gateway.") => Reached::Gateway,
        _ if point.name().starts_with("ledger.") => Reached::Both,
        _ => Reached::Nautilus,
    }
}

#[test]
fn the_gateway_dies_at_each_of_its_points() {
    each(&[Reached::Gateway, Reached::Both], |running, point| {
        running.gateway.take().unwrap().kill();
        running.start_gateway_armed(&armed(point));
        let load = begin(running, point);
        died_at(running.gateway.take().unwrap(), point);
        running.start_gateway();
        let outcome = load.finish(running.dir());
        // Nautilus has lived all the time, so whoever asks again hears the end.
        assert_eq!(outcome.created, CREATES, "{point:?}: {outcome:?}");
        outcome
    });
}

#[test]
fn nautilus_dies_at_each_of_its_points() {
    each(&[Reached::Nautilus], nautilus_dies);
}

#[test]
fn nautilus_dies_at_each_point_of_the_ledger() {
    each(&[Reached::Both], nautilus_dies);
}

#[test]
fn the_table_in_the_documentation_is_of_these_points() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md");
    let document = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let document_of_now = format!("{before}{BEGIN}\n{}{END}{after}", table());
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &document_of_now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(
        kept == document_of_now,
        "docs/faults.md is not of these points: run this test with DAAS_UPDATE_GOLDEN=1"
    );
}

#[test]
fn a_point_that_does_not_exist_is_refused() {
    let mut command = crate::support::command(crate::support::GATEWAY);
    command.env("FAILPOINTS", "gateway.nowhere=return");
    let run = crate::support::Run::of(&mut command);
    assert_ne!(run.code, 0);
    assert!(
        run.err.contains("no crash point `gateway.nowhere`"),
        "{run:?}"
    );
}

fn nautilus_dies(running: &mut Separate, point: Point) -> Outcome {
    running.nautilus.take().unwrap().kill();
    running.start_nautilus_armed(&armed(point));
    let load = begin(running, point);
    died_at(running.nautilus.take().unwrap(), point);
    running.start_nautilus();
    let outcome = load.finish(running.dir());
    // Only what was at the cluster at that moment may be unknown.
    assert!(outcome.unknown <= CLIENTS, "{point:?}: {outcome:?}");
    assert_eq!(outcome.not_executed, 0, "{point:?}: {outcome:?}");
    outcome
}

/// Runs `crash` for each of these points, in one directory.
fn each(which: &[Reached], crash: impl Fn(&mut Separate, Point) -> Outcome) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut running = Separate::start(&dir);
    let points = Point::ALL.iter().copied();
    for point in points.filter(|point| which.contains(&reached(*point))) {
        crash(&mut running, point);
    }
    drop(running);
    clean(&dir);
}

fn begin(running: &Separate, point: Point) -> Load {
    let plan = Plan::new(point.name(), CREATES, CLIENTS);
    Load::begin(running.dir(), &[running.server()], plan)
}

/// A point after some requests have passed it.
fn armed(point: Point) -> String {
    format!("{}={PASSED}*off->return", point.name())
}

/// Waits for the end of a process, which must be that one.
#[track_caller]
pub fn died_at(mut process: Process, point: Point) {
    let ended = process.ends_within(PATIENCE);
    let said = process.said();
    let ended = ended.unwrap_or_else(|| panic!("{} is never reached:\n{said}", point.name()));
    assert_eq!(ended.signal(), Some(9), "{}: {ended}\n{said}", point.name());
    let last = format!("crash point {}", point.name());
    assert!(said.contains(&last), "{}:\n{said}", point.name());
}

fn table() -> String {
    let mut table =
        "| point | what is done there, and what is not | who dies | what clients are told |\n\
                     |---|---|---|---|\n"
            .to_owned();
    for point in Point::ALL {
        let (who, told) = match reached(*point) {
            Reached::Gateway => ("gateway", CREATED),
            Reached::Nautilus => ("Nautilus", CREATED_OR_UNKNOWN),
            Reached::Both => ("each in turn", CREATED_OR_UNKNOWN),
            Reached::Claiming => ("Nautilus, while another stands still", UNKNOWN),
            Reached::GivingBack => ("one of two Nautilus, without the cluster", NOT_EXECUTED),
            Reached::Pruning => ("Nautilus", "created, before"),
            Reached::Archiving => ("`daas ledger archive`", "nothing, they do not wait for it"),
        };
        let (name, about) = (point.name(), point.about());
        writeln!(table, "| `{name}` | {about} | {who} | {told} |").unwrap();
    }
    table
}

const CREATED: &str = "created";
const CREATED_OR_UNKNOWN: &str = "created; outcome unknown, if it was at the cluster";
const UNKNOWN: &str = "a write's outcome is unknown; a read is answered";
const NOT_EXECUTED: &str = "created, not executed, or outcome unknown";
const BEGIN: &str =
    "<!-- points: written by k3s-daas-cli/tests/crash with DAAS_UPDATE_GOLDEN=1 -->";
const END: &str = "<!-- end of points -->";
const CREATES: usize = 48;
const CLIENTS: usize = 8;
/// How often a point is passed before it is the end.
const PASSED: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
