//! Events from a cursor on, none left out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Inner;
use super::disk::Layout;
use super::failure::{BrokenLink, Failure};
use super::journal::Journal;
use super::tail::{self, Linked};
use crate::ledger::{Cursor, Error, Result, SequencedEvent};
use crate::wire::Event;

/// Where one follower stands.
pub(super) struct Follower {
    inner: Arc<Inner>,
    progress: watch::Receiver<u64>,
    /// The last event that was handed out.
    sequence: u64,
    waiting: VecDeque<SequencedEvent>,
    /// Whether the cursor it began at was found to be of this ledger.
    is_placed: bool,
    has_failed: bool,
}

impl Follower {
    pub(super) fn new(inner: Arc<Inner>, progress: watch::Receiver<u64>, cursor: Cursor) -> Self {
        Self {
            inner,
            progress,
            sequence: cursor.major,
            waiting: VecDeque::new(),
            is_placed: false,
            has_failed: false,
        }
    }

    /// The next event, whenever it comes.
    pub(super) async fn next(&mut self) -> Result<SequencedEvent> {
        if std::mem::take(&mut self.has_failed) {
            // Whoever goes on after an error should not do so in a tight loop.
            tokio::time::sleep(AFTER_ERROR).await;
        }
        let next = self.try_next().await;
        self.has_failed = next.is_err();
        next
    }

    async fn try_next(&mut self) -> Result<SequencedEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.sequence = event.cursor.major;
                return Ok(event);
            }
            self.place().await?;
            self.progress.borrow_and_update();
            let (events, end) = {
                let view = self.inner.published.read();
                let events = if view.tip.events <= self.sequence {
                    Some(Vec::new())
                } else {
                    view.recent_after(self.sequence, PAGE)
                };
                (events, view.end.clone())
            };
            self.waiting = match events {
                Some(events) if events.is_empty() => {
                    if let Some(end) = end {
                        return Err(end.error());
                    }
                    self.progress.changed().await.map_err(|_| ended())?;
                    continue;
                }
                Some(events) => events.into(),
                None => {
                    let after = self.sequence;
                    let readers = &self.inner.readers;
                    readers.with(move |journal| page(journal, after)).await?
                }
            };
            let first = self.waiting.front().map(|event| event.cursor.major);
            if first != Some(self.sequence + 1) {
                self.waiting.clear();
                let missing = BrokenLink::new("event", self.sequence + 1, "is missing");
                return Err(Failure::from(missing).into());
            }
        }
    }

    /// Refuses a cursor past the end: it is of another ledger, or of this one before it was put back.
    async fn place(&mut self) -> Result<()> {
        if self.is_placed {
            return Ok(());
        }
        if self.inner.published.read().tip.events < self.sequence {
            let end = self.inner.sync().await?;
            if end.major < self.sequence {
                let why = format!(
                    "cursor {} lies beyond the ledger's last event, which is {end}",
                    self.sequence
                );
                return Err(Error::Invalid(why));
            }
        }
        self.is_placed = true;
        Ok(())
    }
}

/// Connections that read, for work that must not wait for the engine.
#[derive(Debug)]
pub(super) struct Readers {
    layout: Layout,
    idle: Mutex<Vec<Journal>>,
}

impl Readers {
    pub(super) fn new(layout: Layout) -> Arc<Self> {
        let idle = Mutex::new(Vec::new());
        Arc::new(Self { layout, idle })
    }

    /// Runs `work` in a read transaction on a thread that may block.
    pub(super) async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Journal) -> std::result::Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let readers = self.clone();
        let read = move || -> std::result::Result<T, Failure> {
            let idle = readers.idle().pop();
            let journal = match idle {
                Some(journal) => journal,
                None => Journal::open_read_only(&readers.layout)?,
            };
            journal.begin_reading()?;
            let result = work(&journal);
            journal.roll_back();
            let mut idle = readers.idle();
            if idle.len() < IDLE_READERS {
                idle.push(journal);
            }
            result
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => result.map_err(Error::from),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Journal>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events after one sequence number, from disk, their links checked.
fn page(journal: &Journal, after: u64) -> std::result::Result<VecDeque<SequencedEvent>, Failure> {
    if let Some(checkpoint) = journal.checkpoint()?
        && after < checkpoint.message.events
    {
        let through = Cursor {
            major: checkpoint.message.events,
            minor: 0,
        };
        return Err(Error::Archived { through }.into());
    }
    let first = super::replay::number(after + 1);
    let Some(row) = journal.events_after(first - 1, 1)?.pop().transpose()? else {
        return Ok(VecDeque::new());
    };
    let mut events = VecDeque::new();
    let mut call = u64::try_from(row.call).unwrap_or_default();
    let last = journal.tip()?.calls;
    while events.len() < PAGE && call <= last {
        let of_call = match tail::linked_call(journal, call).and_then(|linked| sequenced(&linked)) {
            Ok(of_call) => of_call,
            // What holds before it is handed out first.
            Err(_) if !events.is_empty() => break,
            Err(failure) => return Err(failure),
        };
        events.extend(
            of_call
                .into_iter()
                .filter(|event| event.cursor.major > after),
        );
        call += 1;
    }
    Ok(events)
}

/// The events of a call as followers see them.
pub(super) fn sequenced(linked: &Linked) -> std::result::Result<Vec<SequencedEvent>, Failure> {
    let row = &linked.row;
    let events = (row.first_event..).zip(&linked.events);
    events
        .map(|(sequence, event)| {
            let event: Event = bcs::from_bytes(&event.event)
                .map_err(|_| BrokenLink::new("event", sequence, "its bytes are no event"))?;
            Ok(SequencedEvent {
                cursor: Cursor {
                    major: sequence,
                    minor: 0,
                },
                timestamp_ms: row.time_ms,
                call: row.digest,
                sender: row.sender,
                event,
            })
        })
        .collect()
}

pub(super) fn ended() -> Error {
    Error::Unavailable("its thread has ended".to_owned())
}

/// Events read at once.
const PAGE: usize = 256;

/// Connections kept open for the next reader.
const IDLE_READERS: usize = 4;

const AFTER_ERROR: Duration = Duration::from_secs(1);
