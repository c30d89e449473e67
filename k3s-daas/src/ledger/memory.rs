//! The contract in this process's memory, for tests of whoever stands on a ledger.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use tokio::sync::watch;

use super::{Cursor, Error, Ledger, Receipt, Result, SequencedEvent, Snapshot};
use crate::contract::{Abort, Call, Context, NoAttestation, OneByOne, State};
use crate::crypto::blake2b256;
use crate::types::{Address, ChainId, Digest};
use crate::wire::{Deployment, to_bcs};

/// A ledger that nobody signs for and that is gone with the process: the contract's rules, in order, and
/// nothing else. Never for anything but tests.
///
/// Cloning shares the state; [`MemoryLedger::as_account`] is the same ledger seen from another account.
#[derive(Clone)]
pub struct MemoryLedger {
    shared: Arc<Shared>,
    account: Address,
}

struct Shared {
    deployment: Deployment,
    inner: Mutex<Inner>,
    /// How many events there are, for those who wait for more.
    length: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    state: State,
    events: Vec<SequencedEvent>,
    receipts: HashMap<Digest, Receipt>,
    balances: BTreeMap<Address, u64>,
    calls: u64,
    last_ms: u64,
    /// Added to the wall clock.
    skew_ms: i64,
    outage: Option<Outage>,
}

/// A fault for tests to inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// Calls fail with [`Error::Unavailable`] and do not happen.
    Unavailable,
    /// Calls happen, but [`Error::Unavailable`] is all the caller hears.
    LostReceipts,
    /// Calls fail with [`Error::Busy`].
    Busy,
    /// Calls fail with [`Error::DiskReserve`].
    DiskReserve,
}

impl MemoryLedger {
    /// An empty ledger, seen from `account`.
    #[must_use]
    pub fn new(account: Address) -> Self {
        let deployment = Deployment {
            chain: ChainId::new([0xc4; 32]),
            package: Address::new([0xda; 32]),
        };
        let shared = Shared {
            deployment,
            inner: Mutex::default(),
            length: watch::Sender::new(0),
        };
        Self {
            shared: Arc::new(shared),
            account,
        }
    }

    /// The same ledger, seen from another account.
    #[must_use]
    pub fn as_account(&self, account: Address) -> Self {
        Self {
            shared: self.shared.clone(),
            account,
        }
    }

    /// Gives MIST to an account.
    pub fn fund(&self, account: Address, amount: u64) {
        *self.inner().balances.entry(account).or_default() += amount;
    }

    /// Sets how far the ledger's clock is ahead of the wall clock; it still never goes back.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.inner().skew_ms = skew_ms;
    }

    /// Begins or ends a fault.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.inner().outage = outage;
    }

    /// All events so far.
    #[must_use]
    pub fn all_events(&self) -> Vec<SequencedEvent> {
        self.inner().events.clone()
    }

    /// Applies a call at once.
    ///
    /// # Errors
    /// As [`Ledger::call`].
    pub fn apply(&self, call: &Call) -> Result<Receipt> {
        let mut inner = self.inner();
        match inner.outage {
            Some(Outage::Unavailable) => return Err(Error::Unavailable("an outage".into())),
            Some(Outage::Busy) => return Err(Error::Busy),
            Some(Outage::DiskReserve) => return Err(Error::DiskReserve),
            Some(Outage::LostReceipts) | None => {}
        }
        let inner = &mut *inner;
        let now_ms = inner.now_ms();
        let digest = blake2b256(&[&to_bcs(call), &inner.calls.to_le_bytes()]);
        let balance = inner.balances.get(&self.account).copied();
        if call.deposit() > balance.unwrap_or_default() {
            return Err(Error::Invalid("the account does not have as much".into()));
        }
        let mut objects = 0_u64;
        let mut fresh_id = || {
            objects += 1;
            Address::new(*blake2b256(&[digest.as_bytes(), &objects.to_le_bytes()]).as_bytes())
        };
        let mut context = Context {
            package: self.shared.deployment.package,
            sender: self.account,
            now_ms,
            fresh_id: &mut fresh_id,
            attestation: &NoAttestation,
            signatures: &OneByOne,
        };
        let effects = inner.state.apply(call, &mut context);
        let effects = effects.map_err(|abort| match abort {
            Abort::Refused(code) => Error::Refused(code),
            Abort::MissingObject(id) => Error::Invalid(format!("no object {id}")),
        })?;
        inner.calls += 1;
        inner.last_ms = now_ms;
        *inner.balances.entry(self.account).or_default() -= effects.debit;
        for (recipient, amount) in &effects.credits {
            *inner.balances.entry(*recipient).or_default() += amount;
        }
        let first = inner.events.len();
        for event in effects.events {
            inner.events.push(SequencedEvent {
                cursor: Cursor {
                    major: inner.events.len() as u64 + 1,
                    minor: 0,
                },
                timestamp_ms: now_ms,
                call: digest,
                sender: self.account,
                event,
            });
        }
        let receipt = Receipt {
            call: digest,
            timestamp_ms: now_ms,
            events: inner.events[first..].to_vec(),
        };
        inner.receipts.insert(digest, receipt.clone());
        self.shared.length.send_replace(inner.events.len());
        if inner.outage == Some(Outage::LostReceipts) {
            return Err(Error::Unavailable("a lost receipt".into()));
        }
        Ok(receipt)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn call(&self, call: Call) -> Result<Receipt> {
        self.apply(&call)
    }

    fn events(&self, cursor: Cursor) -> BoxStream<'static, Result<SequencedEvent>> {
        let start = (self.clone(), self.shared.length.subscribe(), cursor.major);
        Box::pin(futures_util::stream::unfold(
            start,
            |(ledger, mut length, seen)| async move {
                let index = usize::try_from(seen).ok()?;
                // The sender lives in `ledger`, so this waits and never ends.
                length.wait_for(|length| *length > index).await.ok()?;
                let event = ledger.inner().events[index].clone();
                Some((Ok(event), (ledger, length, seen + 1)))
            },
        ))
    }

    async fn before(&self, time_ms: u64) -> Result<Cursor> {
        let inner = self.inner();
        let earlier = inner
            .events
            .partition_point(|event| event.timestamp_ms < time_ms);
        Ok(Cursor {
            major: earlier as u64,
            minor: 0,
        })
    }

    fn read(&self, reader: &mut dyn FnMut(&Snapshot<'_>)) {
        let inner = self.inner();
        reader(&Snapshot {
            state: &inner.state,
            cursor: inner.cursor(),
            now_ms: inner.now_ms(),
        });
    }

    async fn sync(&self) -> Result<Cursor> {
        let inner = self.inner();
        match inner.outage {
            Some(Outage::Unavailable) => Err(Error::Unavailable("an outage".into())),
            _ => Ok(inner.cursor()),
        }
    }

    async fn receipt(&self, call: Digest) -> Result<Option<Receipt>> {
        Ok(self.inner().receipts.get(&call).cloned())
    }

    async fn balance(&self, account: Address) -> Result<u64> {
        Ok(self.inner().balances.get(&account).copied().unwrap_or(0))
    }

    fn deployment(&self) -> Deployment {
        self.shared.deployment
    }

    fn account(&self) -> Address {
        self.account
    }
}

impl Inner {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall_ms = since.map_or(0, |since| since.as_millis());
        let wall_ms = u64::try_from(wall_ms).unwrap_or(u64::MAX);
        self.last_ms
            .max(wall_ms.saturating_add_signed(self.skew_ms))
    }

    fn cursor(&self) -> Cursor {
        Cursor {
            major: self.events.len() as u64,
            minor: 0,
        }
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ledger in memory")
    }
}
