//! How long answers and bodies stay in the blob store once nobody needs them any more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::metrics::Metrics;
use crate::blob::{BlobStore, Holder};
use crate::crypto::BlobHash;
use crate::types::{RequestId, TokenId};

/// Shortens holds behind the answers: it only frees room.
///
/// The answer to a read stays for a while, for whoever asks again with its ID, but only while there is
/// room: nobody is to run out of it because of what was delivered. The body of a write that was answered
/// stays likewise, and at least for some moments: its salt tells a repetition from another request.
#[derive(Debug)]
pub(super) struct Holds {
    read_retention: Duration,
    payload_retention: Duration,
    queue: mpsc::Sender<Shorter>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Shorter {
    hash: BlobHash,
    holder: Holder,
    /// How long it stays when there is no room for more.
    least: Duration,
    /// How long it stays while there is.
    most: Duration,
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
    /// Works until `stop`, by the retentions of `config`.
    pub(super) fn spawn(
        blobs: Arc<dyn BlobStore>,
        config: &Config,
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
                    most,
                } = shorter;
                let least = least.min(most);
                // Gone, or not to be reached: it ends by itself then, only later.
                if let Err(error) = blobs.retain_answer(&hash, &holder, least, most).await {
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
        Self {
            read_retention: config.read_retention,
            payload_retention: config.payload_retention,
            queue,
            metrics,
        }
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
        self.shorten(token, id, hash, FETCHED_WITHIN, self.read_retention);
    }

    /// The write of which this is the body is answered.
    pub(super) fn settle(&self, token: TokenId, id: RequestId, hash: BlobHash) {
        let most = self.payload_retention;
        self.shorten(token, id, hash, most / PAYLOAD_LEAST, most);
    }

    fn shorten(
        &self,
        token: TokenId,
        id: RequestId,
        hash: BlobHash,
        least: Duration,
        most: Duration,
    ) {
        let holder = Holder::for_request(token, id);
        let shorter = Shorter {
            hash,
            holder,
            least,
            most,
        };
        if self.queue.try_send(shorter).is_err() {
            self.metrics.holds_kept.add(1);
        }
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        let most = self.holds.read_retention;
        self.holds
            .shorten(self.token, self.id, self.hash, Duration::ZERO, most);
    }
}

/// How long a gateway takes to fetch what it waits for.
const FETCHED_WITHIN: Duration = Duration::from_secs(10);
/// The part of its retention for which a body stays even if there is no room: of ten minutes, one.
const PAYLOAD_LEAST: u32 = 10;
/// Holds that wait to be shortened.
const QUEUE: usize = 4_096;
const AT_ONCE: usize = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::blob::{Limits, MemoryBlobStore};
    use crate::crypto::Blob;

    /// How many of so many bodies are there after a tenth of their retention, all of them answered.
    async fn kept(bodies: u64, room: u64) -> u64 {
        let limits = Limits::new(1 << 20, room, 1_000).with_share_percent(100);
        let blobs = MemoryBlobStore::new().with_limits(limits.with_answer_percent(0));
        let config = Config {
            payload_retention: Duration::from_secs(2),
            ..Config::default()
        };
        let holds = Holds::spawn(
            Arc::new(blobs.clone()),
            &config,
            Arc::default(),
            CancellationToken::new(),
        );
        let token = TokenId::new([1; 32]);
        for number in 0..bodies {
            let blob = Blob::seal(number.to_be_bytes());
            let id = RequestId::new();
            let holder = Holder::for_request(token, id);
            blobs
                .put(&blob, &holder, Duration::from_secs(60))
                .await
                .unwrap();
            holds.settle(token, id, blob.hash());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        blobs.sweep().await.unwrap();
        blobs.usage().await.unwrap().blobs
    }

    #[tokio::test]
    async fn the_bodies_of_answered_writes_leave_room_for_others() {
        assert_eq!(kept(8, 100).await, 8, "while there is room, they stay");
        let kept = kept(20, 24).await;
        assert!(
            (1..20).contains(&kept),
            "{kept} of 20, and half of 24 is to be free"
        );
    }
}
