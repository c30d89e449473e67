//! How long answers stay in the blob store once nobody needs them any more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::blob::{BlobStore, Holder};
use crate::crypto::BlobHash;
use crate::types::{RequestId, TokenId};

/// Shortens holds behind the answers: it only frees room.
///
/// The answer to a read stays for a while, for whoever asks again with its ID, but only while there is
/// room: nobody is to run out of it because of what was delivered.
#[derive(Debug)]
pub(super) struct Holds {
    queue: mpsc::Sender<Shorter>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Shorter {
    hash: BlobHash,
    holder: Holder,
    /// How long it stays when there is no room for more.
    least: Duration,
}

/// The answer to a read on its way to the client; its hold is shortened when this is dropped, whether the
/// client has it then or has gone.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    holds: &'a Holds,
    token: TokenId,
    id: RequestId,
    hash: BlobHash,
}

impl Holds {
    /// Works until `stop`; each answer then stays for `keep` while there is room.
    pub(super) fn spawn(
        blobs: Arc<dyn BlobStore>,
        keep: Duration,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = futures_util::stream::unfold(waiting, |mut waiting| async move {
            Some((waiting.recv().await?, waiting))
        });
        let work = waiting.for_each_concurrent(AT_ONCE, move |shorter: Shorter| {
            let blobs = blobs.clone();
            async move {
                let Shorter {
                    hash,
                    holder,
                    least,
                } = shorter;
                let least = least.min(keep);
                // Gone, or not to be reached: it ends by itself then, only later.
                if let Err(error) = blobs.retain_answer(&hash, &holder, least, keep).await {
                    tracing::debug!(%error, "a hold was not shortened");
                }
            }
        });
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        Self { queue, metrics }
    }

    /// The answer is fetched now, and nobody needs it after that.
    pub(super) fn deliver(&self, token: TokenId, id: RequestId, hash: BlobHash) -> Delivery<'_> {
        Delivery {
            holds: self,
            token,
            id,
            hash,
        }
    }

    /// Nobody waits for the answer here; another gateway's client may.
    pub(super) fn abandon(&self, token: TokenId, id: RequestId, hash: BlobHash) {
        self.shorten(token, id, hash, FETCHED_WITHIN);
    }

    fn shorten(&self, token: TokenId, id: RequestId, hash: BlobHash, least: Duration) {
        let holder = Holder::for_request(token, id);
        let shorter = Shorter {
            hash,
            holder,
            least,
        };
        if self.queue.try_send(shorter).is_err() {
            self.metrics.holds_kept.add(1);
        }
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.holds
            .shorten(self.token, self.id, self.hash, Duration::ZERO);
    }
}

/// How long a gateway takes to fetch what it waits for.
const FETCHED_WITHIN: Duration = Duration::from_secs(10);
/// Holds that wait to be shortened.
const QUEUE: usize = 4_096;
const AT_ONCE: usize = 4;
