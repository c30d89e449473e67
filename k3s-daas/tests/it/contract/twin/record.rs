//! What the other tests of the contract do, written down for the Move VM as well.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use k3s_daas::crypto::blake2b256;
use k3s_daas::types::Digest;

use super::sequence::{Input, Outcome, Sequence};
use super::write;

/// Where sequences are written, if they are.
pub(in super::super) fn directory() -> Option<PathBuf> {
    std::env::var_os("DAAS_TEST_TWIN_DIR").map(PathBuf::from)
}

/// The calls of a world from its beginning; written when the world ends, if anybody wants them.
pub(in super::super) struct Recording {
    inputs: Vec<Input>,
    is_on: bool,
}

impl Recording {
    /// Records if [`directory`] says where to.
    pub(in super::super) fn begin() -> Self {
        Self {
            inputs: Vec::new(),
            is_on: directory().is_some(),
        }
    }

    /// Records nothing.
    pub(in super::super) fn off() -> Self {
        Self {
            inputs: Vec::new(),
            is_on: false,
        }
    }

    pub(in super::super) fn is_on(&self) -> bool {
        self.is_on
    }

    pub(in super::super) fn push(&mut self, input: Input) {
        if self.is_on {
            self.inputs.push(input);
            if self.inputs.len() == LENGTH {
                self.stop();
            }
        }
    }

    /// Records no more: what comes next rests on what no Move test can bring about.
    pub(in super::super) fn stop(&mut self) {
        self.keep();
        self.is_on = false;
    }

    fn keep(&self) {
        if let (true, Some(directory)) = (self.is_on, directory()) {
            let sequence = Sequence::replayed(&self.inputs);
            if sequence.len() > 0 {
                keep(&directory, sequence);
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.keep();
        }
    }
}

/// Calls of a sequence: a Move test is one transaction to the VM, which bounds its events.
const LENGTH: usize = 250;

/// Sequences by what they do before the calls, refused, that end them: many tests differ in those alone.
static KEPT: LazyLock<Mutex<BTreeMap<Digest, (String, Sequence)>>> = LazyLock::new(Mutex::default);

fn keep(directory: &std::path::Path, sequence: Sequence) {
    let is_done = |at: &usize| matches!(sequence.steps[*at].outcome, Outcome::Done { .. });
    let begins = (0..sequence.len())
        .rev()
        .find(is_done)
        .map_or(0, |at| at + 1);
    let begin = serde_json::to_vec(&sequence.inputs().take(begins).collect::<Vec<_>>()).unwrap();
    let mut kept = KEPT.lock().unwrap();
    let mut is_new = false;
    let key = blake2b256(&[&begin]);
    let (name, whole) = kept.entry(key).or_insert_with(|| {
        is_new = true;
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("unnamed").replace("::", "_");
        // The same in each run, whatever ran beside it.
        let begins = hex::encode(&key.as_bytes()[..4]);
        (format!("{test}_{begins}"), sequence.clone())
    });
    for step in &sequence.steps[begins..] {
        if !whole.inputs().any(|input| *input == step.input) {
            whole.steps.push(step.clone());
            is_new = true;
        }
    }
    if is_new {
        write::write(directory, name, whole);
    }
}
