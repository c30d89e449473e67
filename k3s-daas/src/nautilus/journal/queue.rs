//! What waits to be written into the journal.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::thread::Order;

/// Orders on their way to the thread that writes, in the order in which they came.
///
/// Those that somebody waits for wake it; the others go with the next that do, or after a while.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Closed when nothing is taken any more.
    room: Semaphore,
    aborted: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    is_closed: bool,
}

/// Orders that are written in one commit.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) orders: Vec<Order>,
    pub(super) urgency: Urgency,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Nobody waits.
    #[default]
    None,
    /// That the process cannot take it with it any more.
    Written,
    /// Nor the machine.
    Synced,
}

impl Batch {
    fn is_due(&self) -> bool {
        self.urgency > Urgency::None || self.orders.len() >= ROOM / 2
    }
}

/// Nothing is written any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: Semaphore::new(ROOM),
            aborted: CancellationToken::new(),
        }
    }

    /// Adds an order; waits while there are too many.
    pub(super) async fn push(&self, order: Order, urgency: Urgency) -> Result<(), Closed> {
        // Given back by whoever takes the order.
        self.room.acquire().await.map_err(|_| Closed)?.forget();
        let mut waiting = self.waiting();
        // The thread may have ended since.
        if self.room.is_closed() {
            return Err(Closed);
        }
        let batch = &mut waiting.batch;
        let was_due = batch.is_due();
        batch.orders.push(order);
        batch.urgency = batch.urgency.max(urgency);
        let is_news = batch.orders.len() == 1 || (batch.is_due() && !was_due);
        drop(waiting);
        if is_news {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// All that waits, once somebody waits for it or it waited long enough; `None` at the end.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting();
        loop {
            let Waiting { batch, is_closed } = &mut *waiting;
            if batch.is_due() || (*is_closed && !batch.orders.is_empty()) {
                break;
            }
            if *is_closed {
                return None;
            }
            if batch.orders.is_empty() {
                waiting = self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (again, timeout) = self
                .wake
                .wait_timeout(waiting, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = again;
            if timeout.timed_out() {
                break;
            }
        }
        let batch = std::mem::take(&mut waiting.batch);
        drop(waiting);
        self.room.add_permits(batch.orders.len());
        Some(batch)
    }

    /// Ends [`Queue::take`] once all that waits is taken.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.wake.notify_one();
    }

    /// Takes nothing any more; whoever waits hears of it.
    pub(super) fn abort(&self) {
        self.room.close();
        self.aborted.cancel();
        let waiting = std::mem::take(&mut *self.waiting());
        drop(waiting);
    }

    /// Waits until nothing is taken any more.
    pub(super) async fn aborted(&self) {
        self.aborted.cancelled().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Orders that wait; who adds more waits for room.
const ROOM: usize = 1_024;
/// How long orders wait that nobody waits for.
const PATIENCE: Duration = Duration::from_millis(200);
