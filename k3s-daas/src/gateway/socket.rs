//! A socket that outlives what is spoken over it, so that its last words are heard.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that, when it is dropped, is left with its [`Remains`].
#[derive(Debug)]
pub(super) struct Socket {
    stream: Option<TcpStream>,
    remains: Remains,
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
        };
        (socket, remains)
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
    /// Ends our side, and reads and forgets what still comes until the other side ends too, for so long at
    /// most.
    ///
    /// Who is still sending when a socket is closed gets a reset, which on its way overtakes what was
    /// answered: a client that sends all before it reads would never know why.
    pub(super) async fn linger(self, patience: Duration) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut stream) = stream else { return };
        let rest = async {
            stream.shutdown().await?;
            let mut forgotten = vec![0; CHUNK];
            while stream.read(&mut forgotten).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::time::timeout(patience, rest).await.ok();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, buffer)
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

const CHUNK: usize = 16 << 10;
