//! Sequences as Move tests.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use k3s_daas::types::{Address, ByteString, Digest};

use super::parts::parts;
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
    let steps = admitted
        .iter()
        .map(|step| (step.describe(), step.to_parts()));
    let effects = admitted
        .iter()
        .map(|step| (String::new(), step.outcome.to_parts()));
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
             fun refused_{at}() {{\n    {}    twin::refuse(steps(), {before}, parts)\n}}",
            step.describe(),
            code.name(),
            parts_of(&step.to_parts()),
        )
        .unwrap();
    }
    assert_eq!(before + refused.len(), sequence.steps.len());
    text
}

/// A function that gives all of them. One by one: a list of literals would be one constant, and those are
/// bounded.
fn write_list(text: &mut String, name: &str, items: impl Iterator<Item = (String, Vec<Vec<u8>>)>) {
    let head =
        format!("\nfun {name}(): vector<vector<vector<u8>>> {{\n    let mut list = vector[];\n");
    text.push_str(&head);
    for (at, (what, parts)) in items.enumerate() {
        let parts = parts_of(&parts);
        writeln!(
            text,
            "    // {at} {what}\n    {parts}    list.push_back(parts);"
        )
        .unwrap();
    }
    text.push_str("    list\n}\n");
}

/// A statement that makes `parts` be these.
fn parts_of(parts: &[Vec<u8>]) -> String {
    let literal = |bytes: &[u8]| format!("x\"{}\"", hex::encode(bytes));
    if parts.iter().map(Vec::len).sum::<usize>() <= CONSTANT_BYTES {
        let parts: Vec<String> = parts.iter().map(|part| literal(part)).collect();
        return format!("let parts = vector[{}];\n", parts.join(", "));
    }
    let mut text = String::from("let mut parts = vector[];\n");
    for part in parts {
        let mut chunks = part.chunks(CONSTANT_BYTES).map(literal);
        let first = chunks.next().unwrap_or_else(|| literal(&[]));
        writeln!(text, "    let mut part = {first};").unwrap();
        for chunk in chunks {
            writeln!(text, "    part.append({chunk});").unwrap();
        }
        writeln!(text, "    parts.push_back(part);").unwrap();
    }
    text
}

/// Bytes of a constant: the bytecode has a bound of 65,535.
const CONSTANT_BYTES: usize = 50_000;

/// A step as `twin.move` reads it.
#[derive(Serialize)]
struct Wire<'a> {
    digest: Digest,
    sender: Address,
    now_ms: u64,
    facts: &'a Option<Facts>,
    deed: &'a Deed,
}

impl Outcome {
    /// What it pays out and emits, the event's variant and bytes, as `twin.move` reads it; nothing of what
    /// is refused.
    fn to_parts(&self) -> Vec<Vec<u8>> {
        let Self::Done { event, paid } = self else {
            return Vec::new();
        };
        let (kind, bytes) = event.as_ref().map_or_else(
            || (NO_EVENT, Vec::new()),
            |event| (bcs::to_bytes(&**event).unwrap()[0], event.to_move_bcs()),
        );
        parts(&(*paid, kind, ByteString(bytes)))
    }
}

const NO_EVENT: u8 = 255;

impl Step {
    fn to_parts(&self) -> Vec<Vec<u8>> {
        let input = &self.input;
        let wire = Wire {
            digest: input.digest,
            sender: input.sender,
            now_ms: input.now_ms,
            facts: &input.facts,
            deed: &input.deed,
        };
        parts(&wire)
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
