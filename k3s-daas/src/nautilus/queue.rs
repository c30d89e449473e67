//! Assigned requests that wait for a place at the cluster, one token after the other.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::journal::Key;
use crate::types::TokenId;

/// A queue in which a token with many requests does not hold up one with few.
///
/// Bounded by the ledger, which lets a token have 1,024 unanswered requests, each in here once.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    queues: Mutex<Queues>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    turns: VecDeque<TokenId>,
    by_token: HashMap<TokenId, VecDeque<Waiting>>,
    count: usize,
}

/// A request in a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) key: Key,
    pub(super) since: Instant,
}

impl FairQueue {
    pub(super) fn push(&self, key: Key) {
        let token = key.0;
        let mut queues = self.queues();
        queues.count += 1;
        let queue = queues.by_token.entry(token).or_default();
        queue.push_back(Waiting {
            key,
            since: Instant::now(),
        });
        if queue.len() == 1 {
            queues.turns.push_back(token);
        }
        drop(queues);
        self.arrived.notify_one();
    }

    /// The next one; waits until there is one. Nothing is lost if the future is dropped.
    pub(super) async fn pop(&self) -> Waiting {
        loop {
            if let Some(waiting) = self.try_pop() {
                return waiting;
            }
            self.arrived.notified().await;
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queues().count
    }

    pub(super) fn try_pop(&self) -> Option<Waiting> {
        let mut queues = self.queues();
        let token = queues.turns.pop_front()?;
        let queue = queues.by_token.get_mut(&token)?;
        let waiting = queue.pop_front();
        let is_last = queue.is_empty();
        queues.count -= usize::from(waiting.is_some());
        if is_last {
            queues.by_token.remove(&token);
        } else {
            queues.turns.push_back(token);
            // One notice wakes one; who comes second finds its own here.
            self.arrived.notify_one();
        }
        waiting
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::types::RequestId;

    #[tokio::test]
    async fn tokens_take_turns_and_each_keeps_its_order() {
        let queue = FairQueue::default();
        let mut expected = HashMap::<TokenId, Vec<RequestId>>::new();
        for token in [1, 1, 1, 1, 2, 3, 2] {
            let key = (TokenId::new([token; 32]), RequestId::new());
            expected.entry(key.0).or_default().push(key.1);
            queue.push(key);
        }
        assert_eq!(queue.len(), 7);
        let mut order = Vec::new();
        for _ in 0..7 {
            let (token, id) = queue.pop().await.key;
            order.push(token.as_bytes()[0]);
            assert_eq!(expected.get_mut(&token).unwrap().remove(0), id);
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
        assert!(queue.try_pop().is_none());
        assert_eq!(queue.len(), 0);
    }
}
