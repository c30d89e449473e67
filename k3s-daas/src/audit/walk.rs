//! The way through a log: calls, signed heads, and what was archived of both.

use std::collections::BTreeMap;

use super::{BrokenLink, Options, Report, Visit, count};
use crate::contract::OneByOne;
use crate::crypto::blake2b256;
use crate::ledger::local::archive::segment::SegmentFile;
use crate::ledger::local::archive::state_bytes;
use crate::ledger::local::failure::Failure;
use crate::ledger::local::journal::{CHECKPOINT, CHECKPOINT_STATE, Journal};
use crate::ledger::local::message::Genesis;
use crate::ledger::local::replay::{Replay, number};
use crate::ledger::local::replica::{Replica, Tip};
use crate::ledger::local::{SignedCheckpoint, SignedHead};
use crate::types::Digest;

/// How far it has come.
pub(super) struct Walk<'a, 'v> {
    pub(super) options: &'a Options,
    pub(super) report: &'a mut Report,
    pub(super) visit: &'a mut Visit<'v>,
    pub(super) replica: Replica,
    pub(super) heads: Heads,
    /// Where it began.
    pub(super) first: Tip,
}

impl Walk<'_, '_> {
    /// Goes to the end of a log.
    pub(super) fn follow(&mut self, mut replay: Replay<'_>) -> Result<(), Failure> {
        self.pass()?;
        while let Some(replayed) = replay.step(&mut self.replica)? {
            drop(self.replica.state.take_touched());
            count(&replayed, &self.replica, self.options, self.report)?;
            (self.visit)(&replayed, &self.replica);
            self.pass()?;
        }
        replay.finish()
    }

    /// Goes through the segments up to the checkpoint, with one of them at a time in memory.
    pub(super) fn archive(
        &mut self,
        genesis: &Genesis,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), Failure> {
        let last = checkpoint.message.head.calls;
        for file in SegmentFile::all(&self.options.archive, genesis)? {
            let tip = self.replica.tip;
            if file.header.first > last {
                // Written by one who was killed, and what is in it is in the ledger too.
                break;
            }
            if file.header.first > tip.calls + 1 {
                return Err(missing(tip.calls + 1, file.header.first - 1).into());
            }
            if file.header.last > last {
                return Err(file.broken("it has calls that were not archived").into());
            }
            let segment = file.load()?;
            let begin = (segment.header.previous, segment.header.first_event);
            if begin != (tip.link, tip.events + 1) {
                return Err(file.broken("it does not continue what is before it").into());
            }
            let cover = segment.header.cover;
            if !cover.is_genuine(&self.replica.deployment)
                || cover.message.head.calls < segment.header.last
            {
                return Err(file.broken("its signed head does not stand for it").into());
            }
            self.heads.cover(&file, &cover)?;
            if segment.header.first_head != self.heads.count {
                return Err(file
                    .broken("its signed heads do not continue those before")
                    .into());
            }
            let heads = segment.heads.iter().copied().map(Ok).collect();
            let (calls, events) = (number(tip.calls), number(tip.events));
            let replay = Replay::after(
                &segment,
                &*self.options.attestation,
                &OneByOne,
                calls,
                events,
            );
            let walked = self.heads.extend(heads).map_err(Failure::from);
            walked
                .and_then(|()| self.follow(replay))
                .map_err(|failure| match failure {
                    Failure::Broken(broken) => file.broken(broken.to_string()).into(),
                    failure => failure,
                })?;
            if let Some(archived) = &mut self.report.archived {
                archived.segments += 1;
            }
        }
        let calls = self.replica.tip.calls;
        if calls < last {
            return Err(missing(calls + 1, last).into());
        }
        Ok(())
    }

    /// That a checkpoint says what the archive has shown.
    pub(super) fn expect(
        &mut self,
        journal: &Journal,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), Failure> {
        let broken = |row, why: &str| Err(BrokenLink::new("meta", row, why).into());
        let message = &checkpoint.message;
        let heads = (message.heads, message.last_head, message.last_head_time_ms);
        if checkpoint.tip() != self.replica.tip {
            return broken(CHECKPOINT, "the archive leads to another link");
        }
        if heads != (self.heads.count, self.heads.last, self.heads.last_time_ms) {
            return broken(CHECKPOINT, "the archive has other signed heads");
        }
        if self.heads.first != Some(message.genesis) {
            return broken(CHECKPOINT, "its signed genesis is not that of the archive");
        }
        let state = state_bytes(&self.replica);
        if blake2b256(&[&state]) != message.state {
            return broken(CHECKPOINT, "the archive leads to another state");
        }
        let stored = crate::ledger::local::archive::inflate_state(&journal.checkpoint_state()?);
        if stored.as_deref() != Some(&state[..]) {
            return broken(
                CHECKPOINT_STATE,
                "it is not the state that the archive leads to",
            );
        }
        if let Some(archived) = &mut self.report.archived {
            archived.verified = true;
        }
        Ok(())
    }

    /// Looks at what stands for the log as far as it was followed.
    fn pass(&mut self) -> Result<(), Failure> {
        let tip = &self.replica.tip;
        if let Some(head) = self.options.head.filter(|head| head.calls == tip.calls) {
            if head.link != tip.link {
                let why = "the head held elsewhere has another link here: this is not the log that it stands for";
                return Err(BrokenLink::new("call", tip.calls, why).into());
            }
            self.report.through = Some(head.to_string());
        }
        self.heads.pass(&self.replica, self.report)?;
        self.report.calls = tip.calls - self.first.calls;
        self.report.events = tip.events - self.first.events;
        self.report.time_ms = tip.time_ms;
        self.report.head = Some(tip.head().to_string());
        Ok(())
    }
}

/// That a head held elsewhere is not of the part that was archived, if this is not verified.
pub(super) fn expect_head_after(
    checkpoint: &SignedCheckpoint,
    options: &Options,
) -> Result<(), BrokenLink> {
    let last = checkpoint.message.head.calls;
    match options.head.filter(|head| head.calls < last) {
        Some(head) => {
            let why = format!(
                "the head held elsewhere stands for {} calls, and {last} were archived: name the archive",
                head.calls
            );
            Err(BrokenLink::new("archive", "", why))
        }
        None => Ok(()),
    }
}

/// The signed heads, each looked at when the log is as far as it says.
#[derive(Default)]
pub(super) struct Heads {
    all: std::vec::IntoIter<Result<SignedHead, BrokenLink>>,
    due: Option<SignedHead>,
    /// Of segments, what signed heads say that the log will come through.
    covers: BTreeMap<u64, (String, Digest)>,
    first: Option<SignedHead>,
    pub(super) count: u64,
    seen: u64,
    pub(super) last: Digest,
    last_time_ms: u64,
}

impl Heads {
    /// None yet, or those before a checkpoint.
    pub(super) fn after(checkpoint: Option<&SignedCheckpoint>) -> Self {
        let Some(checkpoint) = checkpoint else {
            return Self::default();
        };
        let message = &checkpoint.message;
        Self {
            count: message.heads,
            last: message.last_head,
            last_time_ms: message.last_head_time_ms,
            ..Self::default()
        }
    }

    /// Adds those that come next.
    pub(super) fn extend(
        &mut self,
        more: Vec<Result<SignedHead, BrokenLink>>,
    ) -> Result<(), BrokenLink> {
        if let Some(due) = &self.due {
            let why = "it stands for calls that come later";
            return Err(BrokenLink::new("head", due.message.sequence, why));
        }
        self.all = more.into_iter();
        self.due = self.all.next().transpose()?;
        Ok(())
    }

    /// Remembers what a segment says that the log comes through.
    fn cover(&mut self, file: &SegmentFile, cover: &SignedHead) -> Result<(), BrokenLink> {
        let head = cover.message.head;
        let known = self.covers.entry(head.calls);
        let (_, link) = known.or_insert_with(|| (file.name(), head.link));
        match *link == head.link {
            true => Ok(()),
            false => Err(file.broken("its signed head is of another history")),
        }
    }

    /// Checks those that stand for the log as far as `replica` is.
    fn pass(&mut self, replica: &Replica, report: &mut Report) -> Result<(), Failure> {
        let tip = &replica.tip;
        if let Some((segment, link)) = self.covers.remove(&tip.calls)
            && link != tip.link
        {
            let why = "its signed head has another link than the log";
            return Err(BrokenLink::new("segment", segment, why).into());
        }
        while let Some(due) = self.due.filter(|due| due.message.head.calls <= tip.calls) {
            self.check(&due, replica)?;
            if self.count == 0 {
                self.first = Some(due);
                report.genesis_key = Some(due.key);
            }
            if !report.head_keys.contains(&due.key) {
                report.head_keys.push(due.key);
            }
            self.count += 1;
            self.seen += 1;
            self.last = due.digest();
            self.last_time_ms = due.message.time_ms;
            self.due = self.all.next().transpose()?;
        }
        report.heads = self.seen;
        Ok(())
    }

    fn check(&self, due: &SignedHead, replica: &Replica) -> Result<(), BrokenLink> {
        let message = &due.message;
        let broken = |why: &str| Err(BrokenLink::new("head", message.sequence, why));
        if message.sequence != self.count {
            let why = format!("is missing, head {} follows", message.sequence);
            return Err(BrokenLink::new("head", self.count, why));
        }
        if message.previous != self.last {
            return broken("it does not continue the head before it");
        }
        if !due.is_genuine(&replica.deployment) {
            return broken("its signature is not its key's");
        }
        if message.head.calls < replica.tip.calls {
            return broken("it stands for less than the head before it");
        }
        if message.head.link != replica.tip.link {
            return broken("the log has another link there");
        }
        if message.time_ms < self.last_time_ms.max(replica.tip.time_ms) {
            return broken("its time lies before what it stands for");
        }
        Ok(())
    }

    /// That none is left which stands for more than there is.
    pub(super) fn finish(&self, replica: &Replica, options: &Options) -> Result<(), Failure> {
        let last = replica.tip.calls;
        if let Some(due) = &self.due {
            let why = format!(
                "it stands for {} calls, and the log ends at call {last}",
                due.message.head.calls
            );
            return Err(BrokenLink::new("head", due.message.sequence, why).into());
        }
        if let Some((calls, (segment, _))) = self.covers.first_key_value() {
            let why = format!(
                "its signed head stands for {calls} calls, and the log ends at call {last}"
            );
            return Err(BrokenLink::new("segment", segment, why).into());
        }
        if let Some(head) = options.head.filter(|head| head.calls > last) {
            let why = format!(
                "the head held elsewhere stands for {} calls, and the log ends at call {last}",
                head.calls
            );
            return Err(BrokenLink::database(why).into());
        }
        Ok(())
    }
}

fn missing(first: u64, last: u64) -> BrokenLink {
    let why = format!("calls {first} to {last} are in no segment");
    BrokenLink::new("archive", "", why)
}
