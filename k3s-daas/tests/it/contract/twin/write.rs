//! Sequences as Move tests.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use k3s_daas::types::{Address, Digest};

use super::sequence::{Deed, Facts, Outcome, Sequence, Step};

/// Writes the tests of a sequence, and the sequence itself so that it can be kept.
pub(super) fn write(directory: &Path, name: &str, sequence: &Sequence) {
    std::fs::create_dir_all(directory).unwrap();
    let path = directory.join(name);
    std::fs::write(path.with_extension("move"), module(name, sequence)).unwrap();
    let inputs: Vec<_> = sequence.inputs().collect();
    let json = serde_json::to_string(&inputs).unwrap();
    std::fs::write(path.with_extension("json"), json).unwrap();
}

/// The tests of one sequence: one of all that is admitted, one for each call that is refused after so many of
/// those.
fn module(name: &str, sequence: &Sequence) -> String {
    let mut text = format!("#[test_only]\nmodule k3s_daas::twin_{name};\n\nuse k3s_daas::twin;\n");
    let (admitted, refused): (Vec<_>, Vec<_>) = sequence
        .steps
        .iter()
        .partition(|step| matches!(step.outcome, Outcome::Done { .. }));
    let steps = admitted.iter().map(|step| (step.describe(), step.to_bcs()));
    let effects = admitted
        .iter()
        .map(|step| (String::new(), step.outcome.to_bcs()));
    let objects = sequence
        .objects
        .iter()
        .map(|object| (String::new(), object.clone()));
    write_list(&mut text, "steps", steps);
    write_list(&mut text, "effects", effects);
    write_list(&mut text, "objects", objects);
    text.push_str("\n#[test]\nfun admitted() { twin::run(steps(), effects(), objects()) }\n");
    let mut before = 0;
    for (at, step) in sequence.steps.iter().enumerate() {
        let Outcome::Refused(code) = &step.outcome else {
            before += 1;
            continue;
        };
        writeln!(
            text,
            "\n// {}\n#[test, expected_failure(abort_code = k3s_daas::errors::{})]\n\
             fun refused_{at}() {{\n    {}    twin::refuse(steps(), {before}, bytes)\n}}",
            step.describe(),
            code.name(),
            bytes_of(&step.to_bcs()),
        )
        .unwrap();
    }
    assert_eq!(before + refused.len(), sequence.steps.len());
    text
}

/// A function that gives all of them. One by one: a list of literals would be one constant, and those are
/// bounded.
fn write_list(text: &mut String, name: &str, items: impl Iterator<Item = (String, Vec<u8>)>) {
    writeln!(
        text,
        "\nfun {name}(): vector<vector<u8>> {{\n    let mut list = vector[];"
    )
    .unwrap();
    for (at, (what, bytes)) in items.enumerate() {
        let bytes = bytes_of(&bytes);
        writeln!(
            text,
            "    // {at} {what}\n    {bytes}    list.push_back(bytes);"
        )
        .unwrap();
    }
    text.push_str("    list\n}\n");
}

/// A statement that makes `bytes` be these.
fn bytes_of(bytes: &[u8]) -> String {
    let mut parts = bytes.chunks(CONSTANT_BYTES).map(hex::encode);
    let first = parts.next().unwrap_or_default();
    let rest: Vec<String> = parts.collect();
    let mutable = if rest.is_empty() { "" } else { "mut " };
    let mut text = format!("let {mutable}bytes = x\"{first}\";\n");
    for part in rest {
        writeln!(text, "    bytes.append(x\"{part}\");").unwrap();
    }
    text
}

/// Bytes of a constant: the bytecode has a bound of 65,535.
const CONSTANT_BYTES: usize = 60_000;

/// A step as `twin.move` reads it.
#[derive(Serialize)]
struct Wire<'a> {
    // Without the length that a digest has as a vector of bytes.
    digest: Address,
    sender: Address,
    now_ms: u64,
    facts: &'a Option<Facts>,
    deed: &'a Deed,
}

impl Outcome {
    /// What it pays out and emits, the event's variant and bytes, as `twin.move` reads it; nothing of what
    /// is refused.
    fn to_bcs(&self) -> Vec<u8> {
        let Self::Done { event, paid } = self else {
            return Vec::new();
        };
        let (kind, bytes) = event.as_ref().map_or_else(
            || (NO_EVENT, Vec::new()),
            |event| (bcs::to_bytes(event).unwrap()[0], event.to_move_bcs()),
        );
        let mut effects = bcs::to_bytes(&(*paid, kind)).unwrap();
        effects.extend(bytes);
        effects
    }
}

const NO_EVENT: u8 = 255;

impl Step {
    fn to_bcs(&self) -> Vec<u8> {
        let input = &self.input;
        let wire = Wire {
            digest: bare(input.digest),
            sender: input.sender,
            now_ms: input.now_ms,
            facts: &input.facts,
            deed: &input.deed,
        };
        bcs::to_bytes(&wire).unwrap()
    }

    /// In a line, for whoever looks for what differs.
    fn describe(&self) -> String {
        let input = &self.input;
        let mut said = match &input.deed {
            Deed::Call(call) => format!("{call:?}"),
            edit => format!("{edit:?}"),
        };
        if said.len() > SHOWN {
            said.truncate(
                (0..=SHOWN)
                    .rev()
                    .find(|at| said.is_char_boundary(*at))
                    .unwrap(),
            );
            said.push('…');
        }
        let outcome = match &self.outcome {
            Outcome::Refused(code) => code.to_string(),
            Outcome::Done { event: None, .. } => "nothing".to_owned(),
            Outcome::Done {
                event: Some(event), ..
            } => event.name().to_owned(),
        };
        // What Move's comments may have.
        let line = format!("{} at {}: {said} → {outcome}", input.sender, input.now_ms);
        line.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

/// Bytes of a call that a comment shows.
const SHOWN: usize = 600;

fn bare(digest: Digest) -> Address {
    Address::new(*digest.as_bytes())
}
