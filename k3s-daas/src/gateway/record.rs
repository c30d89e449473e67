//! Refusals on the ledger: one by one while they are few, as a count when they are many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::bucket::{Buckets, Rate};
use super::config::Config;
use super::metrics::Metrics;
use crate::contract::{Call, Code};
use crate::ledger::{Ledger, LedgerExt as _};
use crate::types::{ClusterId, TokenId};
use crate::wire::RequestMessage;

/// Takes refusals and records them behind the answer.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: mpsc::Sender<(TokenId, RequestMessage)>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ledger: Arc<dyn Ledger>,
    cluster: ClusterId,
    metrics: Arc<Metrics>,
    /// How many refusals of a token may be recorded now.
    rates: Buckets<TokenId>,
    overflow: Mutex<HashMap<(TokenId, Code), Overflow>>,
}

/// Refusals that were too many.
#[derive(Clone, Copy, Debug)]
struct Overflow {
    count: u64,
    from_ms: u64,
    to_ms: u64,
}

impl Recorder {
    /// Records until `stop`, then what is left.
    pub(super) fn spawn(
        ledger: Arc<dyn Ledger>,
        cluster: ClusterId,
        config: &Config,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            ledger,
            cluster,
            metrics,
            rates: Buckets::new(rate(config)),
            overflow: Mutex::default(),
        });
        let report = config.refusal_report;
        let task = shared.clone();
        tokio::spawn(async move { task.run(waiting, report, stop).await });
        Self { queue, shared }
    }

    /// Records so many one by one from now on.
    pub(super) fn change_rate(&self, config: &Config) {
        self.shared.rates.change(rate(config));
    }

    /// Records that `message` of `token` is refused with `code`, soon, unless there are too many.
    pub(super) fn record(&self, token: TokenId, code: Code, message: RequestMessage, now_ms: u64) {
        let may = self.shared.rates.take(token).is_ok();
        if !may || self.queue.try_send((token, message)).is_err() {
            self.shared.count(token, code, now_ms);
        }
    }
}

fn rate(config: &Config) -> Rate {
    Rate::new(config.refusals_per_second, config.refusal_burst)
}

impl Shared {
    async fn run(
        &self,
        mut waiting: mpsc::Receiver<(TokenId, RequestMessage)>,
        report: std::time::Duration,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(report);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.report().await,
                next = waiting.recv() => match next {
                    Some((token, message)) => self.record(token, message).await,
                    None => break,
                },
            }
        }
        while let Ok((token, message)) = waiting.try_recv() {
            self.record(token, message).await;
        }
        self.report().await;
    }

    async fn record(&self, token: TokenId, request: RequestMessage) {
        let call = Call::RecordRefusal {
            cluster: self.cluster,
            token,
            request,
        };
        crash_point!(GatewayBeforeRefusal);
        let recorded = self.ledger.call(call).await;
        crash_point!(GatewayRefusalRecorded);
        match recorded {
            Ok(receipt) if !receipt.events.is_empty() => self.metrics.refusals_recorded.add(1),
            // It would pass by now: there is nothing to record.
            Ok(_) => {}
            Err(error) => {
                self.metrics.refusals_lost.add(1);
                tracing::debug!(%error, %token, "a refusal was not recorded");
            }
        }
    }

    async fn report(&self) {
        let overflow = std::mem::take(&mut *self.overflow());
        for ((token, code), overflow) in overflow {
            let now_ms = self.ledger.now_ms();
            let call = Call::RecordRefusals {
                cluster: self.cluster,
                token,
                code: code.number(),
                count: overflow.count,
                from_ms: overflow.from_ms,
                to_ms: overflow.to_ms.min(now_ms),
            };
            match self.ledger.call(call).await {
                Ok(_) => self.metrics.refusals_counted.add(overflow.count),
                Err(error) if error.is_retryable() => self.keep(token, code, overflow),
                Err(error) => {
                    self.metrics.refusals_lost.add(overflow.count);
                    tracing::debug!(%error, %token, "a count of refusals was not recorded");
                }
            }
        }
    }

    fn count(&self, token: TokenId, code: Code, now_ms: u64) {
        self.keep(
            token,
            code,
            Overflow {
                count: 1,
                from_ms: now_ms,
                to_ms: now_ms,
            },
        );
    }

    fn keep(&self, token: TokenId, code: Code, more: Overflow) {
        let mut counted = self.overflow();
        let key = (token, code);
        if let Some(overflow) = counted.get_mut(&key) {
            overflow.count += more.count;
            overflow.from_ms = overflow.from_ms.min(more.from_ms);
            overflow.to_ms = overflow.to_ms.max(more.to_ms);
        } else if counted.len() < COUNTS {
            counted.insert(key, more);
        } else {
            self.metrics.refusals_lost.add(more.count);
        }
    }

    fn overflow(&self) -> MutexGuard<'_, HashMap<(TokenId, Code), Overflow>> {
        self.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refusals that wait to be recorded.
const QUEUE: usize = 1_024;
/// Counts that are kept apart, by token and code.
const COUNTS: usize = 4_096;
