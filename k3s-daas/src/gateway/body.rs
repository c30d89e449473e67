//! Bodies on their way to a client: in pieces, and with what they keep until they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};

use super::room::Taken;

/// Bytes in pieces, each of which gives its room back when it is sent.
///
/// A server takes what a body has long before the client reads it. So pieces are small, and copies: a
/// piece that is never read keeps neither the rest of the bytes nor their room.
#[derive(Debug)]
pub(super) struct Pieces {
    bytes: Bytes,
    room: Option<Taken>,
}

impl Pieces {
    pub(super) fn new(bytes: Bytes, room: Option<Taken>) -> Self {
        Self { bytes, room }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let piece = piece(&this.bytes, &mut this.room);
        this.bytes.advance(piece.len());
        if this.bytes.is_empty() {
            this.bytes = Bytes::new();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// A copy of the first bytes, with the room that is for them.
pub(super) fn piece(bytes: &[u8], room: &mut Option<Taken>) -> Bytes {
    let length = bytes.len().min(PIECE);
    let part = if length == bytes.len() {
        room.take()
    } else {
        room.as_mut().and_then(|room| room.split(length))
    };
    let piece = bytes[..length].to_vec();
    match part {
        None => piece.into(),
        Some(room) => Bytes::from_owner(Kept { piece, _room: room }),
    }
}

struct Kept {
    piece: Vec<u8>,
    _room: Taken,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

/// A body that keeps something until it is sent or dropped.
#[derive(Debug)]
pub(super) struct Keeping<B, T> {
    body: B,
    _kept: T,
}

impl<B, T> Keeping<B, T> {
    pub(super) fn new(body: B, kept: T) -> Self {
        Self { body, _kept: kept }
    }
}

impl<B: http_body::Body + Unpin, T: Unpin> http_body::Body for Keeping<B, T> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that a connection may hold of each of its responses.
pub(super) const PIECE: usize = 16 << 10;
