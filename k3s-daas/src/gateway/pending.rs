//! Who waits for which answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::crypto::BlobHash;
use crate::types::{ExecutorId, RequestId, ResponseRecord, TokenId};
use crate::wire::K8sRequestProcessed;

/// The requests that somebody waits for. As many entries as requests in flight, which are bounded; an
/// entry goes with the last who waits for it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    slots: Mutex<HashMap<Key, Slot>>,
}

type Key = (TokenId, RequestId);

#[derive(Debug)]
struct Slot {
    answer: watch::Sender<Option<Answered>>,
    waiters: usize,
}

/// What the ledger says of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) hash: BlobHash,
    pub(super) length: u64,
    pub(super) executor: ExecutorId,
}

/// Waits for one answer; dropping it gives up.
#[derive(Debug)]
pub(super) struct Waiter {
    pending: Arc<Pending>,
    key: Key,
    answer: watch::Receiver<Option<Answered>>,
}

impl Pending {
    /// Begins to wait; before the request is submitted, or its answer could be missed.
    pub(super) fn wait(self: &Arc<Self>, token: TokenId, id: RequestId) -> Waiter {
        let key = (token, id);
        let mut slots = self.slots();
        let slot = slots.entry(key).or_insert_with(|| Slot {
            answer: watch::Sender::new(None),
            waiters: 0,
        });
        slot.waiters += 1;
        Waiter {
            pending: self.clone(),
            key,
            answer: slot.answer.subscribe(),
        }
    }

    /// Tells those who wait; whether anybody does.
    pub(super) fn answer(&self, event: &K8sRequestProcessed) -> bool {
        let Ok(id) = RequestId::from_bytes(&event.request_id) else {
            return false;
        };
        let slots = self.slots();
        let slot = slots.get(&(event.token, id));
        if let Some(slot) = slot {
            slot.answer.send_replace(Answered::from_event(event));
        }
        slot.is_some()
    }

    /// How many requests are waited for.
    pub(super) fn len(&self) -> usize {
        self.slots().len()
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The answer, when it comes.
    pub(super) async fn answered(&mut self) -> Answered {
        loop {
            if let Some(answered) = *self.answer.borrow_and_update() {
                return answered;
            }
            if self.answer.changed().await.is_err() {
                // Never: the sender lives in the table for as long as this waiter does.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut slots = self.pending.slots();
        if let Some(slot) = slots.get_mut(&self.key) {
            slot.waiters -= 1;
            if slot.waiters == 0 {
                slots.remove(&self.key);
            }
        }
    }
}

impl Answered {
    fn from_event(event: &K8sRequestProcessed) -> Option<Self> {
        Some(Self {
            status: event.status_code,
            hash: BlobHash(event.envelope_hash[..].try_into().ok()?),
            length: event.envelope_len,
            executor: event.executor,
        })
    }

    pub(super) fn from_record(record: &ResponseRecord) -> Option<Self> {
        Some(Self {
            status: record.status_code,
            hash: BlobHash(record.envelope_hash[..].try_into().ok()?),
            length: record.envelope_len,
            executor: record.executor,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::Signature;
    use crate::types::{ByteString, Digest, HexBytes};

    fn processed(token: TokenId, id: RequestId) -> K8sRequestProcessed {
        K8sRequestProcessed {
            cluster: [1; 32].into(),
            token,
            request_id: ByteString(id.to_wire()),
            digest: Digest::ZERO,
            requester: [2; 32].into(),
            executor: [3; 32].into(),
            epoch: 0,
            status_code: 201,
            envelope_hash: HexBytes(vec![4; 32]),
            envelope_len: 5,
            sealed_hash: HexBytes::default(),
            time_ms: 0,
            signature: Signature::new([0; 64]),
            processed_at_ms: 0,
            expires_at_ms: 0,
        }
    }

    #[tokio::test]
    async fn all_who_wait_are_told_and_entries_go_with_them() {
        let pending = Arc::new(Pending::default());
        let (token, id) = (TokenId::new([7; 32]), RequestId::new());
        let mut first = pending.wait(token, id);
        let mut second = pending.wait(token, id);
        let other = pending.wait(TokenId::new([8; 32]), id);
        assert_eq!(pending.len(), 2);
        pending.answer(&processed(token, id));
        assert_eq!(first.answered().await.status, 201);
        assert_eq!(second.answered().await.hash, BlobHash([4; 32]));
        assert!(
            other.answer.borrow().is_none(),
            "the same ID of another token"
        );
        drop(first);
        assert_eq!(pending.len(), 2);
        drop((second, other));
        assert_eq!(pending.len(), 0);
        // Nobody waits: nothing is kept.
        pending.answer(&processed(token, id));
        assert_eq!(pending.len(), 0);
    }
}
