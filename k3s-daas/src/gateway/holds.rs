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
/// When the answer to a read is recorded, not when it is delivered: its caller may have gone.
#[derive(Debug)]
pub(super) struct Holds {
    queue: mpsc::Sender<(BlobHash, Holder)>,
    metrics: Arc<Metrics>,
}

impl Holds {
    /// Works until `stop`; each answer then stays for `keep`.
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
        let work = waiting.for_each_concurrent(AT_ONCE, move |(hash, holder)| {
            let blobs = blobs.clone();
            async move {
                // Gone, or not to be reached: it ends by itself then, only later.
                if let Err(error) = blobs.retain(&hash, &holder, keep).await {
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

    /// Lets the answer of a read stay for a little while from now only.
    pub(super) fn shorten(&self, token: TokenId, id: RequestId, hash: BlobHash) {
        let holder = Holder::for_request(token, id);
        if self.queue.try_send((hash, holder)).is_err() {
            self.metrics.holds_kept.add(1);
        }
    }
}

/// Holds that wait to be shortened.
const QUEUE: usize = 4_096;
const AT_ONCE: usize = 4;
