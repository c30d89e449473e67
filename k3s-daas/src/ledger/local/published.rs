//! What this process knows to be final: read by everyone, written by the engine alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::cold::Cold;
use super::message::Head;
use super::replica::{Applied, Replica, Tip};
use crate::contract::{Object, State};
use crate::ledger::{Cursor, Error, SequencedEvent};
use crate::types::{Address, Digest, OtherVersion};
use crate::wire::Event;

/// The state as of the last commit that this process knows of.
#[derive(Debug)]
pub(super) struct Published {
    view: RwLock<View>,
}

#[derive(Debug)]
pub(super) struct View {
    pub(super) state: State,
    pub(super) balances: BTreeMap<Address, u64>,
    pub(super) tip: Tip,
    pub(super) heads: u64,
    pub(super) last_head: Digest,
    /// Answered requests that the state does not hold.
    pub(super) cold: Arc<Cold>,
    /// Why nothing newer comes, if that is so.
    pub(super) end: Option<End>,
    recent: VecDeque<(usize, SequencedEvent)>,
    recent_bytes: usize,
}

/// Why a process goes on with its ledger no more, however often it is asked.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The log is damaged.
    Damage(String),
    /// Another program made another version of it.
    Version(OtherVersion),
}

impl End {
    /// That of an error which is one.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Corrupt(damage) => Some(Self::Damage(damage.clone())),
            Error::Version(other) => Some(Self::Version(*other)),
            _ => None,
        }
    }

    pub(super) fn error(&self) -> Error {
        match self {
            Self::Damage(damage) => Error::Corrupt(damage.clone()),
            Self::Version(other) => Error::Version(*other),
        }
    }
}

impl Published {
    pub(super) fn new(replica: &Replica, cold: Cold, heads: u64, last_head: Digest) -> Self {
        let view = View {
            state: replica.state.clone(),
            balances: replica.balances.clone(),
            tip: replica.tip,
            heads,
            last_head,
            cold: Arc::new(cold),
            end: None,
            recent: VecDeque::new(),
            recent_bytes: 0,
        };
        Self {
            view: RwLock::new(view),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    pub(super) fn head(&self) -> Head {
        self.tip.head()
    }

    /// Takes over what calls did that are final now; `engine` has applied them.
    ///
    /// `events` are those of the calls, made before so that readers do not wait for it.
    pub(super) fn advance(
        &mut self,
        engine: &Replica,
        calls: &[Final],
        events: Vec<(usize, SequencedEvent)>,
    ) {
        for (bytes, event) in events {
            self.state.evolve(&event.event);
            self.take_sealed(engine, &event.event);
            self.remember(bytes, event);
        }
        for call in calls {
            for account in &call.applied.accounts {
                match engine.balances.get(account) {
                    Some(mist) => self.balances.insert(*account, *mist),
                    None => self.balances.remove(account),
                };
            }
        }
        // Only the engine's own state needs to know what changed.
        drop(self.state.take_touched());
        self.tip = engine.tip;
    }

    /// Takes over everything, after the engine had to read its state again.
    pub(super) fn replace(&mut self, engine: &Replica, cold: Cold) {
        self.state = engine.state.clone();
        self.cold = Arc::new(cold);
        self.balances.clone_from(&engine.balances);
        if self.tip != engine.tip {
            self.tip = engine.tip;
            self.recent.clear();
            self.recent_bytes = 0;
        }
    }

    /// Events after `sequence`, if they are all still remembered.
    pub(super) fn recent_after(&self, sequence: u64, limit: usize) -> Option<Vec<SequencedEvent>> {
        let (_, first) = self.recent.front()?;
        let skip = (sequence + 1).checked_sub(first.cursor.major)?;
        let skip = usize::try_from(skip).ok()?;
        let events = self.recent.iter().skip(skip).take(limit);
        Some(events.map(|(_, event)| event.clone()).collect())
    }

    /// Sealed bytes stand in no event: the object is taken as the engine has it.
    fn take_sealed(&mut self, engine: &Replica, event: &Event) {
        let Event::K8sRequestProcessed(event) = event else {
            return;
        };
        if event.sealed_hash.is_empty() {
            return;
        }
        let Ok(id) = crate::types::RequestId::from_bytes(&event.request_id) else {
            return;
        };
        // It may have been pruned later in the same batch.
        if let Some(request) = engine.state.request(event.token, id) {
            self.state
                .load(Object::Request(event.token, id, request.clone()));
        }
    }

    fn remember(&mut self, bytes: usize, event: SequencedEvent) {
        self.recent.push_back((bytes, event));
        self.recent_bytes += bytes;
        while self.recent_bytes > RECENT_BYTES || self.recent.len() > RECENT_EVENTS {
            let Some((bytes, _)) = self.recent.pop_front() else {
                break;
            };
            self.recent_bytes -= bytes;
        }
    }
}

/// A call that is final and what it did.
#[derive(Debug)]
pub(super) struct Final {
    pub(super) digest: Digest,
    pub(super) time_ms: u64,
    pub(super) applied: Applied,
}

impl Final {
    pub(super) fn events(&self) -> Vec<SequencedEvent> {
        (0..self.applied.events.len())
            .map(|index| self.event(index))
            .collect()
    }

    /// Each with the number of its bytes.
    pub(super) fn sized_events(&self) -> impl Iterator<Item = (usize, SequencedEvent)> {
        let events = self.applied.events.iter().enumerate();
        events.map(|(index, event)| (event.bytes.len(), self.event(index)))
    }

    fn event(&self, index: usize) -> SequencedEvent {
        let offset = u64::try_from(index).unwrap_or(u64::MAX);
        SequencedEvent {
            cursor: Cursor {
                major: self.applied.first_event + offset,
                minor: 0,
            },
            timestamp_ms: self.time_ms,
            call: self.digest,
            sender: self.applied.sender,
            event: self.applied.events[index].event.clone(),
        }
    }
}

/// Followers that are not further behind than this read from memory; events of ordinary size take about
/// twice their bytes.
const RECENT_EVENTS: usize = 1_024;
const RECENT_BYTES: usize = 2 << 20;
