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

/// The tests of one sequence.
fn module(name: &str, sequence: &Sequence) -> String {
    let mut text = format!("#[test_only]\nmodule k3s_daas::twin_{name};\n\nuse k3s_daas::twin;\n");
    text.push_str("\nfun steps(): vector<vector<u8>> {\n    vector[\n");
    for (at, step) in sequence.steps.iter().enumerate() {
        let bytes = hex::encode(step.to_bcs());
        writeln!(
            text,
            "        // {at}: {}\n        x\"{bytes}\",",
            step.describe()
        )
        .unwrap();
    }
    text.push_str("    ]\n}\n\n#[test]\nfun admitted() {\n    let effects = vector[\n");
    for step in &sequence.steps {
        let bytes = hex::encode(step.outcome.to_bcs());
        writeln!(text, "        x\"{bytes}\",").unwrap();
    }
    text.push_str("    ];\n    let objects = vector[\n");
    for (at, object) in sequence.objects.iter().enumerate() {
        writeln!(
            text,
            "        // {at}\n        x\"{}\",",
            hex::encode(object)
        )
        .unwrap();
    }
    text.push_str("    ];\n    twin::run(steps(), effects, objects);\n}\n");
    for (at, step) in sequence.steps.iter().enumerate() {
        let Outcome::Refused(code) = &step.outcome else {
            continue;
        };
        let error = code.name();
        writeln!(
            text,
            "\n#[test, expected_failure(abort_code = k3s_daas::errors::{error})]\n\
             fun step_{at}_refused() {{ twin::refuse(steps(), {at}) }}"
        )
        .unwrap();
    }
    text
}

/// A step as `twin.move` reads it.
#[derive(Serialize)]
struct Wire<'a> {
    /// 0 if it is admitted.
    code: u8,
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
        let code = match &self.outcome {
            Outcome::Refused(code) => code.number(),
            Outcome::Done { .. } => 0,
        };
        let wire = Wire {
            code,
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
