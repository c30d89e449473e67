//! The links of a stretch of the log, without deciding its calls again.
//!
//! Enough to find that a row was changed by itself: whoever changes one must change every link
//! after it, up to the tip that other processes remember.

use super::failure::{BrokenLink, Failure};
use super::journal::{CallRow, EventRow, Journal};
use super::message::{CallLink, event_link};
use super::replay::number;
use super::replica::Tip;
use crate::crypto::{BatchVerifier, blake2b256};
use crate::types::Digest;

/// A call of the log with its events, all of whose links hold.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) row: CallRow,
    pub(super) events: Vec<EventRow>,
}

/// Reads the call of a sequence number and checks its links to the call before it.
pub(super) fn linked_call(journal: &Journal, sequence: u64) -> Result<Linked, Failure> {
    let previous = journal.link_after(sequence.saturating_sub(1))?;
    follow(journal, journal.call(number(sequence))?, previous).map(|(linked, _)| linked)
}

/// Checks the last calls of the log: their signatures, their links, and that they end at `tip`.
pub(super) fn check(journal: &Journal, tip: &Tip) -> Result<(), Failure> {
    let checkpoint = journal.checkpoint()?.map(|checkpoint| checkpoint.message);
    let archived = checkpoint.map_or((0, 0), |checkpoint| {
        (checkpoint.head.calls, checkpoint.events)
    });
    let (last_call, last_event) = journal.last_rows()?;
    let last_call = last_call.max(number(archived.0));
    let last_event = last_event.max(number(archived.1));
    for (table, last, expected) in [
        ("call", last_call, number(tip.calls)),
        ("event", last_event, number(tip.events)),
    ] {
        if last != expected {
            let why = format!("it says that the last {table} is {expected}, which is {last}");
            return Err(BrokenLink::new("meta", "tip", why).into());
        }
    }
    let first = tip.calls.saturating_sub(TAIL).max(archived.0);
    let mut link = journal.link_after(first)?;
    let mut signatures = BatchVerifier::new();
    let mut sequence = first;
    for row in journal.calls_after(number(first), usize::MAX)? {
        let row = row?;
        sequence += 1;
        if row.sequence != number(sequence) {
            return Err(BrokenLink::new("call", sequence, "is missing").into());
        }
        signatures.push(&row.key, &row.signed, &row.signature);
        (_, link) = follow(journal, row, link)?;
    }
    if let Err(bad) = signatures.verify() {
        let offset = u64::try_from(bad.indices()[0]).unwrap_or(u64::MAX);
        let why = "its signature is not its sender's";
        return Err(BrokenLink::new("call", first.saturating_add(offset) + 1, why).into());
    }
    if link != tip.link {
        let why = "its link is not that of the last call";
        return Err(BrokenLink::new("meta", "tip", why).into());
    }
    Ok(())
}

/// Checks a call's links from the one before it on; also the link after it.
fn follow(journal: &Journal, row: CallRow, previous: Digest) -> Result<(Linked, Digest), Failure> {
    let broken = |what: &str| Err(BrokenLink::new("call", row.sequence, what).into());
    if blake2b256(&[&row.signed]) != row.digest {
        return broken("its digest is not that of its signed bytes");
    }
    if row.key.address() != row.sender {
        return broken("its sender is not the address of its key");
    }
    let sequence = u64::try_from(row.sequence).unwrap_or_default();
    let call_link = CallLink {
        sequence,
        time_ms: row.time_ms,
        sender: row.sender,
        digest: row.digest,
        key: &row.key,
        signature: &row.signature,
    };
    let mut link = call_link.after(previous);
    if link != row.link {
        return broken("its link does not continue the chain");
    }
    // A count that was changed must not make this read the whole table.
    let count = usize::try_from(row.event_count).unwrap_or(usize::MAX);
    let events = journal.events_after(number(row.first_event) - 1, count.min(EVENTS))?;
    let events: Vec<EventRow> = events.into_iter().collect::<Result<_, _>>()?;
    if events.len() != count {
        return broken("it does not have the events that it says");
    }
    for (expected, event) in (row.first_event..).zip(&events) {
        let broken = |what: &str| Err(BrokenLink::new("event", expected, what).into());
        if event.sequence != number(expected) {
            return broken("is missing");
        }
        if event.call != row.sequence {
            return broken("it names another call");
        }
        link = event_link(link, expected, sequence, &event.event);
        if link != event.link {
            return broken("its link does not continue the chain");
        }
    }
    Ok((Linked { row, events }, link))
}

/// Calls that are looked at whenever a ledger is opened.
const TAIL: u64 = 64;

/// More events than a call emits, as on Sui.
const EVENTS: usize = 1_024;
