//! Assigned requests that wait for a place at the cluster, one token after the other.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::journal::Key;
use crate::limits::{Held, Limit};
use crate::types::TokenId;

/// A queue in which a token with many requests does not hold up one with few: tokens take turns, and the last
/// quarter of the places is for those that hold few, whatever others wait for at the cluster.
///
/// Bounded by the ledger, which lets a token have 1,024 unanswered requests, each in here once.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    queues: Mutex<Queues>,
    /// Something came, or a place was left.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    turns: VecDeque<TokenId>,
    by_token: HashMap<TokenId, VecDeque<Waiting>>,
    count: usize,
}

/// A place at the cluster, left by dropping it.
#[derive(Debug)]
pub(super) struct Slot {
    // In this order: who is told that it is left finds it left.
    _held: Held<TokenId>,
    _permit: OwnedSemaphorePermit,
    _left: Left,
}

#[derive(Debug)]
struct Left(Arc<FairQueue>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.changed.notify_one();
    }
}

/// So many places at the cluster.
pub(super) fn places(count: usize) -> Limit<TokenId> {
    Limit::new(count, count).with_few(|count| (count / 16).max(1))
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
        self.changed.notify_one();
    }

    /// The next one that may have this one of the places; waits until there is one. Nothing is lost if the future is
    /// dropped.
    pub(super) async fn pop(
        self: &Arc<Self>,
        places: &Limit<TokenId>,
        permit: OwnedSemaphorePermit,
    ) -> (Waiting, Slot) {
        loop {
            if let Some((waiting, held)) = self.try_take(places) {
                let slot = Slot {
                    _held: held,
                    _permit: permit,
                    _left: Left(Arc::clone(self)),
                };
                return (waiting, slot);
            }
            self.changed.notified().await;
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queues().count
    }

    /// The next one, which takes no place.
    pub(super) fn try_pop(&self) -> Option<Waiting> {
        self.queues().pop(0)
    }

    /// For who has one of the places.
    fn try_take(&self, places: &Limit<TokenId>) -> Option<(Waiting, Held<TokenId>)> {
        let mut queues = self.queues();
        let mut turns = queues.turns.iter().enumerate();
        let (turn, held) =
            turns.find_map(|(turn, token)| Some((turn, places.of(*token, None)?)))?;
        let waiting = queues.pop(turn)?;
        if queues.count > 0 {
            // One notice wakes one; who comes second finds its own here.
            self.changed.notify_one();
        }
        Some((waiting, held))
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// Takes out the first one of the token whose turn it is.
    fn pop(&mut self, turn: usize) -> Option<Waiting> {
        let token = self.turns.remove(turn)?;
        let queue = self.by_token.get_mut(&token)?;
        let waiting = queue.pop_front();
        let is_last = queue.is_empty();
        self.count -= usize::from(waiting.is_some());
        if is_last {
            self.by_token.remove(&token);
        } else {
            self.turns.push_back(token);
        }
        waiting
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::types::RequestId;

    #[tokio::test]
    async fn tokens_take_turns_and_each_keeps_its_order() {
        let queue = Arc::new(FairQueue::default());
        let places = places(64);
        let mut expected = HashMap::<TokenId, Vec<RequestId>>::new();
        for token in [1, 1, 1, 1, 2, 3, 2] {
            let key = (TokenId::new([token; 32]), RequestId::new());
            expected.entry(key.0).or_default().push(key.1);
            queue.push(key);
        }
        assert_eq!(queue.len(), 7);
        let mut order = Vec::new();
        for _ in 0..7 {
            let permit = places.any().unwrap();
            let (waiting, _left_at_once) = queue.pop(&places, permit).await;
            let (token, id) = waiting.key;
            order.push(token.as_bytes()[0]);
            assert_eq!(expected.get_mut(&token).unwrap().remove(0), id);
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
        assert!(queue.try_pop().is_none());
        assert_eq!(queue.len(), 0);
        assert_eq!(places.len(), 0);
    }

    #[tokio::test]
    async fn the_last_quarter_is_for_tokens_that_hold_few() {
        let key = |token| (TokenId::new([token; 32]), RequestId::new());
        for (count, expected) in [(1, [1, 0, 0]), (4, [3, 1, 0]), (64, [48, 4, 4])] {
            let queue = FairQueue::default();
            let places = places(count);
            let mut held = Vec::new();
            for (token, expected) in [1, 2, 3].into_iter().zip(expected) {
                for _ in 0..count {
                    queue.push(key(token));
                }
                let mut taken = 0;
                while let Some(permit) = places.any()
                    && let Some((waiting, one)) = queue.try_take(&places)
                {
                    // In the turns there are those, too, that may take no more.
                    assert_eq!(waiting.key.0, TokenId::new([token; 32]));
                    held.push((permit, one));
                    taken += 1;
                }
                assert_eq!(taken, expected, "token {token} of {count} places");
            }
            // Whoever leaves makes room, for all if there is enough.
            held.clear();
            let _permit = places.any().unwrap();
            let next = queue.try_take(&places);
            assert!(next.is_some());
            assert_eq!(places.len(), 1);
        }
    }

    #[tokio::test]
    async fn who_may_take_no_more_is_woken_when_it_may() {
        let queue = Arc::new(FairQueue::default());
        let places = places(4);
        let mut slots = Vec::new();
        for _ in 0..4 {
            queue.push((TokenId::new([1; 32]), RequestId::new()));
        }
        for _ in 0..3 {
            let permit = places.any().unwrap();
            slots.push(queue.pop(&places, permit).await.1);
        }
        let permit = places.any().unwrap();
        let mut next = std::pin::pin!(queue.pop(&places, permit));
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), &mut next).await;
        assert!(waited.is_err());
        slots.pop();
        next.await;
    }
}
