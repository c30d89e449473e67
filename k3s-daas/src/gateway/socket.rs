//! A socket that outlives what is spoken over it, so that its last words are heard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that, when it is dropped, is left with its [`Remains`].
#[derive(Debug)]
pub(super) struct Socket {
    stream: Option<TcpStream>,
    remains: Remains,
    allowance: Option<Arc<Allowance>>,
}

/// Bytes that may still come over a connection although they are no part of a request.
///
/// HTTP/2 has frames that cost their sender nothing and are answered all the same: pings, settings,
/// priorities, frames of streams that are over. Bytes are counted as they come and made up for by what is
/// done for them.
#[derive(Debug)]
pub(super) struct Allowance {
    left: AtomicI64,
    most: i64,
}

impl Allowance {
    pub(super) fn new(bytes: usize) -> Self {
        let most = i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            left: AtomicI64::new(most),
            most,
        }
    }

    /// Makes up for bytes that have come or will.
    pub(super) fn add(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let more = |left: i64| Some(left.saturating_add(bytes).min(self.most));
        self.left.fetch_update(Relaxed, Relaxed, more).ok();
    }

    /// Counts bytes that have come; `false` if they are too many.
    fn take(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left.fetch_sub(bytes, Relaxed) >= bytes
    }
}

/// Where a [`Socket`] is found once nothing is spoken over it any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Remains(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> (Self, Remains) {
        let remains = Remains::default();
        let socket = Self {
            stream: Some(stream),
            remains: remains.clone(),
            allowance: None,
        };
        (socket, remains)
    }

    /// From now on reading fails once more has come than is allowed.
    pub(super) fn restrict(&mut self, allowance: Arc<Allowance>) {
        self.allowance = Some(allowance);
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.get_mut().stream.as_mut();
        stream
            .map(Pin::new)
            .ok_or(io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut remains = self
            .remains
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *remains = self.stream.take();
    }
}

impl Remains {
    /// Ends our side, and reads and forgets what still comes until the other side ends too: for so long, and
    /// so much, at most.
    ///
    /// Who is still sending when a socket is closed gets a reset, which on its way overtakes what was
    /// answered: a client that sends all before it reads would never know why.
    pub(super) async fn linger(self, patience: Duration) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut stream) = stream else { return };
        let rest = async {
            stream.shutdown().await?;
            let mut rest = stream.take(LINGERED);
            let mut forgotten = vec![0; CHUNK];
            while rest.read(&mut forgotten).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::time::timeout(patience, rest).await.ok();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.as_mut().stream()?.poll_read(context, buffer))?;
        let length = buffer.filled().len() - before;
        match &self.allowance {
            Some(allowance) if !allowance.take(length) => {
                Poll::Ready(Err(io::Error::other("too much came that is no request")))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

/// Bytes that are forgotten at most, which are many times those of a body.
const LINGERED: u64 = 64 << 20;
const CHUNK: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_makes_up_for_what_comes_and_no_more() {
        let allowance = Allowance::new(100);
        allowance.add(1_000);
        assert!(allowance.take(60));
        assert!(!allowance.take(41), "no more than there ever may be");
        allowance.add(50);
        assert!(allowance.take(49));
        assert!(!allowance.take(1));
    }
}
