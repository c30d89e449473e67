//! An executor, as `k3s-daas/src/nautilus` is one: what it follows, what its journal has, and how far each
//! request has come in its hands. A crash takes all but the journal.

use std::collections::BTreeMap;

use super::ledger::{Answer, Book};

/// One executor.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Node {
    pub(super) life: Life,
    /// The ledger's state as far as it was followed.
    pub(super) view: Book,
    pub(super) journal: BTreeMap<(usize, u64), Entry>,
    pub(super) tasks: Vec<Task>,
    /// The last assignment of each request that is never looked at again.
    pub(super) ignored: Vec<Option<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Up,
    Down,
    /// For good.
    Dead,
}

/// What is done about a request now: `nautilus/worker.rs` and `answer.rs`, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Task {
    Idle,
    /// Looked at in the followed state.
    Looked(Held),
    /// The journal has that it begins, for this epoch.
    Begun(Held, u64),
    /// It was sent to the cluster.
    Sent(Held),
    /// The answer is in the journal.
    Delivering(Answer),
}

/// A request as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) epoch: u64,
    pub(super) lease_ends_ms: u64,
    pub(super) is_claimed: bool,
}

/// What the journal has of an assignment: `nautilus/journal/thread.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) phase: Phase,
    pub(super) answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Begun,
    Answered,
    /// Settled, or refused by the ledger: the answer stays either way.
    Over,
    NotSent,
    Lost,
    /// It was given back, as far as this executor is concerned.
    GivenBack,
}

/// Whether a request may have reached the cluster earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    Fresh,
    Begun,
    Lost,
}

impl Node {
    pub(super) fn new(view: Book, requests: usize) -> Self {
        Self {
            life: Life::Up,
            view,
            journal: BTreeMap::new(),
            tasks: vec![Task::Idle; requests],
            ignored: vec![None; requests],
        }
    }

    /// What a crash leaves.
    pub(super) fn forget(&mut self, genesis: &Book) {
        self.tasks.fill(Task::Idle);
        self.ignored.fill(None);
        self.view = genesis.clone();
    }

    pub(super) fn is_ignored(&self, request: usize, epoch: u64) -> bool {
        self.ignored[request].is_some_and(|last| epoch <= last)
    }

    // The journal.

    pub(super) fn past(&self, request: usize) -> Past {
        let entries = self.journal.iter().filter(|((of, _), _)| *of == request);
        let phases = entries.map(|(_, entry)| entry.phase);
        let never = [Phase::NotSent, Phase::GivenBack];
        let began: Vec<_> = phases.filter(|phase| !never.contains(phase)).collect();
        match &began[..] {
            [] => Past::Fresh,
            began if began.iter().all(|phase| *phase == Phase::Lost) => Past::Lost,
            _ => Past::Begun,
        }
    }

    pub(super) fn signed(&self, request: usize, epoch: u64) -> Option<Answer> {
        self.journal
            .get(&(request, epoch))
            .and_then(|entry| entry.answer)
    }

    /// Whether a write may begin: whoever is told so is the only one. Of reads nothing is written down.
    pub(super) fn begin(&mut self, request: usize, epoch: u64) -> bool {
        let entry = self.journal.get(&(request, epoch));
        let may = self.past(request) == Past::Fresh
            && entry.is_none_or(|entry| entry.phase == Phase::NotSent);
        if may {
            self.write(request, epoch, Phase::Begun);
        }
        may
    }

    /// What the journal has of an assignment.
    pub(super) fn phase(&self, request: usize, epoch: u64) -> Option<Phase> {
        self.journal.get(&(request, epoch)).map(|entry| entry.phase)
    }

    /// Whether it may be given back: never what began, unless it certainly did not reach the cluster.
    pub(super) fn give_back(&mut self, request: usize, epoch: u64) {
        let entry = self.journal.get(&(request, epoch));
        if entry.is_none_or(|entry| entry.phase == Phase::NotSent) {
            self.write(request, epoch, Phase::GivenBack);
        }
    }

    pub(super) fn not_sent(&mut self, request: usize, epoch: u64) {
        if let Some(entry) = self.journal.get_mut(&(request, epoch))
            && entry.phase == Phase::Begun
        {
            entry.phase = Phase::NotSent;
        }
    }

    /// Records an answer; the first one stays, and is the one that leaves.
    pub(super) fn answer(&mut self, answer: Answer) -> Answer {
        if let Some(earlier) = self.signed(answer.request, answer.epoch) {
            return earlier;
        }
        let entry = self.write(answer.request, answer.epoch, Phase::Answered);
        entry.answer = Some(answer);
        answer
    }

    /// It may have begun, or have been answered, under an earlier journal.
    pub(super) fn lost(&mut self, request: usize, epoch: u64) {
        self.write(request, epoch, Phase::Lost);
    }

    pub(super) fn over(&mut self, answer: Answer) {
        if let Some(entry) = self.journal.get_mut(&(answer.request, answer.epoch)) {
            entry.phase = Phase::Over;
        }
    }

    fn write(&mut self, request: usize, epoch: u64, phase: Phase) -> &mut Entry {
        let entry = self.journal.entry((request, epoch)).or_insert(Entry {
            phase,
            answer: None,
        });
        entry.phase = phase;
        entry
    }
}
