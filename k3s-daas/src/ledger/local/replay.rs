//! The log read again: every call decided anew and held against what was written.

use std::collections::VecDeque;

use super::failure::{BrokenLink, Failure};
use super::journal::{CallRow, EventRow, Journal};
use super::message::LocalCall;
use super::replica::{Applied, AppliedEvent, Entry, Replica};
use crate::contract::{Attestation, Call, OneByOne, Signatures};
use crate::crypto::{BatchVerifier, blake2b256};

/// Where rows of a log are read from.
pub(crate) trait Log {
    /// Rows of calls after one sequence number, at most `limit`; those that are no calls say why.
    fn calls_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<CallRow, BrokenLink>>, Failure>;

    /// The same of events.
    fn events_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<EventRow, BrokenLink>>, Failure>;
}

impl Log for Journal {
    fn calls_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<CallRow, BrokenLink>>, Failure> {
        Self::calls_after(self, sequence, limit)
    }

    fn events_after(
        &self,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<Result<EventRow, BrokenLink>>, Failure> {
        Self::events_after(self, sequence, limit)
    }
}

/// Reads a log from one call on and checks that each follows from those before it.
pub(crate) struct Replay<'a> {
    log: &'a dyn Log,
    attestation: &'a dyn Attestation,
    signatures: &'a dyn Signatures,
    last_call: i64,
    calls: VecDeque<Verified>,
    last_event: i64,
    events: VecDeque<Result<EventRow, BrokenLink>>,
}

/// A row, and whether its signature holds.
type Verified = (Result<CallRow, BrokenLink>, bool);

/// A call that holds, and what it did.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) row: CallRow,
    pub(crate) applied: Applied,
}

impl<'a> Replay<'a> {
    /// From the very first row on, whatever its number.
    pub(crate) fn from_start(log: &'a dyn Log, attestation: &'a dyn Attestation) -> Self {
        Self::after(log, attestation, &OneByOne, i64::MIN, i64::MIN)
    }

    /// From the rows after a call and an event on.
    pub(crate) fn after(
        log: &'a dyn Log,
        attestation: &'a dyn Attestation,
        signatures: &'a dyn Signatures,
        last_call: i64,
        last_event: i64,
    ) -> Self {
        Self {
            log,
            attestation,
            signatures,
            last_call,
            calls: VecDeque::new(),
            last_event,
            events: VecDeque::new(),
        }
    }

    /// Applies the next call to `replica`; `None` after the last one.
    ///
    /// # Errors
    /// [`Failure::Broken`], and then `replica` is worth nothing any more.
    pub(crate) fn step(&mut self, replica: &mut Replica) -> Result<Option<Replayed>, Failure> {
        self.step_with(replica, |_, _| Ok(()))
    }

    /// The same, if `prepare` has to put into the replica what the call names.
    pub(super) fn step_with(
        &mut self,
        replica: &mut Replica,
        prepare: impl FnOnce(&Call, &mut Replica) -> Result<(), Failure>,
    ) -> Result<Option<Replayed>, Failure> {
        let Some((row, signature_holds)) = self.next_call()? else {
            return Ok(None);
        };
        let row = row?;
        let expected = number(replica.tip.calls + 1);
        let broken = |what: String| BrokenLink::new("call", row.sequence, what);
        if row.sequence < expected {
            return Err(broken("is no call of this log".to_owned()).into());
        }
        if row.sequence > expected {
            return Err(BrokenLink::new("call", expected, "is missing").into());
        }
        if blake2b256(&[&row.signed]) != row.digest {
            return Err(broken("its digest is not that of its signed bytes".to_owned()).into());
        }
        if row.key.address() != row.sender {
            return Err(broken("its sender is not the address of its key".to_owned()).into());
        }
        let message = row.message(replica)?;
        if !signature_holds {
            return Err(broken("its signature is not its sender's".to_owned()).into());
        }
        prepare(&message.call, replica)?;
        let previous_event = replica.tip.events;
        let entry = Entry {
            message: &message,
            digest: row.digest,
            key: &row.key,
            signature: &row.signature,
            time_ms: row.time_ms,
        };
        let applied = replica
            .apply(&entry, self.attestation, self.signatures)
            .map_err(|refusal| broken(format!("it cannot have been applied: {refusal}")))?;
        if applied.link != row.link {
            return Err(broken("its link does not continue the chain".to_owned()).into());
        }
        let count = u64::try_from(applied.events.len()).unwrap_or(u64::MAX);
        if row.first_event != applied.first_event || row.event_count != count {
            let why = format!(
                "it emitted {count} events from {} on, not {} from {} on",
                applied.first_event, row.event_count, row.first_event
            );
            return Err(broken(why).into());
        }
        for (sequence, event) in (previous_event + 1..).zip(&applied.events) {
            self.check_event(number(sequence), row.sequence, event)?;
        }
        Ok(Some(Replayed { row, applied }))
    }

    /// That no event is left which no call emitted.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        match self.next_event()? {
            None => Ok(()),
            Some(row) => {
                let sequence = row?.sequence;
                Err(BrokenLink::new("event", sequence, "no call emitted it").into())
            }
        }
    }

    fn check_event(
        &mut self,
        sequence: i64,
        call: i64,
        expected: &AppliedEvent,
    ) -> Result<(), Failure> {
        let broken = |what: &str| Err(BrokenLink::new("event", sequence, what).into());
        let Some(row) = self.next_event()? else {
            return broken("is missing");
        };
        let row = row?;
        if row.sequence < sequence {
            return Err(BrokenLink::new("event", row.sequence, "no call emitted it").into());
        }
        if row.sequence > sequence {
            return broken("is missing");
        }
        if row.call != call {
            return broken(&format!("call {call} emitted it, not call {}", row.call));
        }
        if row.event != expected.bytes {
            return broken(&format!("call {call} emitted another one"));
        }
        if row.link != expected.link {
            return broken("its link does not continue the chain");
        }
        Ok(())
    }

    fn next_call(&mut self) -> Result<Option<Verified>, Failure> {
        if self.calls.is_empty() {
            let rows = self.log.calls_after(self.last_call, PAGE)?;
            self.calls = verified(rows).into();
            self.last_call = match self.calls.back() {
                Some((Ok(row), _)) => row.sequence,
                // A row that cannot be read ends the replay, so nothing follows it.
                _ => self.last_call,
            };
        }
        Ok(self.calls.pop_front())
    }

    fn next_event(&mut self) -> Result<Option<Result<EventRow, BrokenLink>>, Failure> {
        if self.events.is_empty() {
            self.events = self.log.events_after(self.last_event, PAGE)?.into();
            if let Some(Ok(row)) = self.events.back() {
                self.last_event = row.sequence;
            }
        }
        Ok(self.events.pop_front())
    }
}

impl CallRow {
    /// What was signed.
    fn message(&self, replica: &Replica) -> Result<LocalCall, BrokenLink> {
        self.signed_call()
            .message(&replica.deployment)
            .map_err(|why| BrokenLink::new("call", self.sequence, why))
    }

    pub(super) fn signed_call(&self) -> super::SignedCall {
        super::SignedCall {
            bytes: self.signed.clone(),
            key: self.key,
            signature: self.signature,
        }
    }
}

/// Rows with whether their signatures hold, all verified in one batch.
fn verified(rows: Vec<Result<CallRow, BrokenLink>>) -> Vec<Verified> {
    let mut batch = BatchVerifier::new();
    let readable = rows.iter().filter_map(|row| row.as_ref().ok());
    readable.for_each(|row| batch.push(&row.key, &row.signed, &row.signature));
    let bad = batch.verify().err();
    let mut index = 0;
    rows.into_iter()
        .map(|row| {
            let holds = row.is_ok()
                && bad
                    .as_ref()
                    .is_none_or(|bad| !bad.indices().contains(&index));
            index += usize::from(row.is_ok());
            (row, holds)
        })
        .collect()
}

pub(crate) fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// Rows read and signatures verified at once.
pub(crate) const PAGE: usize = 256;
