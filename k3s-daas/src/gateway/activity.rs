//! What goes on on a connection: responses under way, those that nobody reads, and requests that are given up.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

use super::Body;
use super::bucket::{Bucket, Rate};
use super::socket::Allowance;

/// Whether anything goes on on a connection.
pub(super) struct Activity {
    under_way: AtomicUsize,
    last_ms: AtomicU64,
    begun: Instant,
    /// Responses on their way.
    responses: Mutex<Vec<Weak<Sending>>>,
    /// Requests that their client may still give up before they are answered.
    resets: Mutex<Bucket>,
    too_many_resets: Notify,
    allowance: Arc<Allowance>,
}

impl Activity {
    /// Of a connection over which so many requests may be given up, and so much may come besides requests.
    pub(super) fn new(resets: Rate, allowance: Arc<Allowance>) -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            begun: Instant::now(),
            responses: Mutex::default(),
            resets: Mutex::new(Bucket::new(resets)),
            too_many_resets: Notify::new(),
            allowance,
        }
    }

    /// A response's body, which counts as activity until it is sent.
    pub(super) fn send(&self, body: Body, mut active: Active) -> Paced {
        active.is_answered = true;
        let sending = Arc::new(Sending {
            turn: Mutex::new(Turn {
                body: Some(body),
                waits_since: Some(Instant::now()),
            }),
            active,
        });
        let mut responses = lock(&self.responses);
        if responses.len() >= MANY && responses.len().is_power_of_two() {
            responses.retain(|sending| sending.strong_count() > 0);
        }
        responses.push(Arc::downgrade(&sending));
        Paced(sending)
    }

    /// Takes away the responses of which their client has read nothing for so long.
    pub(super) fn take_unread(&self, timeout: Duration) -> Unread {
        let mut responses = lock(&self.responses);
        responses.retain(|sending| sending.strong_count() > 0);
        let responses: Vec<_> = responses.iter().filter_map(Weak::upgrade).collect();
        let before = responses.iter().filter(|sending| sending.is_gone()).count();
        for sending in &responses {
            sending.take_unread(timeout);
        }
        let gone = responses.iter().filter(|sending| sending.is_gone()).count();
        let is_all = gone > 0 && gone >= self.under_way.load(Relaxed);
        Unread {
            taken: (gone.saturating_sub(before)) as u64,
            is_hopeless: is_all || gone > MAX_UNREAD,
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Active {
        self.under_way.fetch_add(1, Relaxed);
        self.allowance.add(REQUEST);
        Active {
            activity: self.clone(),
            is_answered: false,
        }
    }

    /// A request's body, whose bytes are none that come besides requests.
    pub(super) fn receive<B>(&self, body: B) -> Received<B> {
        Received {
            body,
            allowance: self.allowance.clone(),
        }
    }

    /// When so many requests were given up that their client means no good: each has cost as much as one that
    /// is waited for.
    pub(super) async fn too_many_resets(&self) {
        self.too_many_resets.notified().await;
    }

    /// How long nothing has been going on.
    pub(super) fn idle(&self) -> Duration {
        if self.under_way.load(Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last_ms.load(Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }
}

/// A request under way.
pub(super) struct Active {
    activity: Arc<Activity>,
    is_answered: bool,
}

impl Drop for Active {
    fn drop(&mut self) {
        let activity = &self.activity;
        if !self.is_answered && lock(&activity.resets).take().is_err() {
            activity.too_many_resets.notify_one();
        }
        let now_ms = activity.begun.elapsed().as_millis();
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        activity.last_ms.store(now_ms, Relaxed);
        activity.under_way.fetch_sub(1, Relaxed);
    }
}

/// What came of looking for clients that do not read.
pub(super) struct Unread {
    pub(super) taken: u64,
    /// Nothing else goes on there, or too much of that.
    pub(super) is_hopeless: bool,
}

/// A response's body, which is taken away from a client that does not read it: what it holds is bounded
/// for all.
///
/// HTTP/2 has a window for each stream, so a connection that is well may have streams that are stuck.
pub(super) struct Paced(Arc<Sending>);

struct Sending {
    turn: Mutex<Turn>,
    active: Active,
}

struct Turn {
    /// Until it is taken away.
    body: Option<Body>,
    /// Since when it is the client's turn: hyper asks for more as soon as that can be sent.
    waits_since: Option<Instant>,
}

impl Sending {
    fn is_gone(&self) -> bool {
        lock(&self.turn).body.is_none()
    }

    fn take_unread(&self, timeout: Duration) {
        let mut turn = lock(&self.turn);
        let is_unread = turn
            .waits_since
            .is_some_and(|since| since.elapsed() > timeout);
        let body = if is_unread { turn.body.take() } else { None };
        drop(turn);
        // Not while it is locked: it may be a watch, which has much to end.
        drop(body);
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = NotRead;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotRead>>> {
        let mut turn = lock(&self.0.turn);
        let Some(body) = &mut turn.body else {
            return Poll::Ready(Some(Err(NotRead)));
        };
        let polled = Pin::new(body).poll_frame(context);
        let is_frame = matches!(polled, Poll::Ready(Some(_)));
        turn.waits_since = is_frame.then(Instant::now);
        if is_frame {
            // It will be said that it was read.
            self.0.active.activity.allowance.add(FRAME);
        }
        polled.map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        let turn = lock(&self.0.turn);
        turn.body
            .as_ref()
            .is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let turn = lock(&self.0.turn);
        turn.body
            .as_ref()
            .map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// A request's body; see [`Activity::receive`].
pub(super) struct Received<B> {
    body: B,
    allowance: Arc<Allowance>,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.allowance.add(length.saturating_add(FRAME));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the client did not read the response")]
pub(super) struct NotRead;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Responses that were taken away and that their client keeps open all the same.
const MAX_UNREAD: usize = 8;
/// Fewer are not worth being looked through for those that have ended.
const MANY: usize = 64;
/// Bytes that a request may bring with it: its head, and what comes of a body that nobody reads.
const REQUEST: usize = 320 << 10;
/// Bytes that may come for each piece of a body besides it: how it is framed and encrypted, and what is said of its
/// having been read.
const FRAME: usize = 4 << 10;
