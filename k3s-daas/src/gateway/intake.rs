//! Bodies from clients: read within the room that there is for them.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::EXPECT;
use http::request::Parts;
use http_body_util::BodyExt as _;

use super::Inner;
use super::extract::{self, Asked};
use super::refusal::Refusal;
use super::room::Taken;
use super::submit::Caller;
use crate::contract::Code;
use crate::ledger::LedgerExt as _;
use crate::types::TokenId;

impl Inner {
    /// Reads the body into `asked`; its room is held for what is returned.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`], recorded; [`Refusal::TooMany`], [`Refusal::BodyTimeout`],
    /// [`Refusal::BodyBroken`].
    pub(super) async fn read_body<B>(
        &self,
        caller: &Caller,
        asked: &mut Asked,
        parts: &Parts,
        body: B,
    ) -> Result<Option<Taken>, Refusal>
    where
        B: http_body::Body + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.config().max_body_bytes;
        let mut body = pin!(body);
        let is_declared_too_large = body.size_hint().lower() > limit as u64;
        let read = async {
            if is_declared_too_large {
                Err(Refusal::BodyTooLarge(limit))
            } else {
                self.collect(caller.token, body.as_mut(), limit).await
            }
        };
        let read = tokio::time::timeout(self.config().body_timeout, read).await;
        let refusal = match read.unwrap_or(Err(Refusal::BodyTimeout)) {
            Ok((bytes, room)) => {
                asked.body = bytes;
                return Ok(room);
            }
            Err(refusal) => refusal,
        };
        if matches!(refusal, Refusal::BodyTooLarge(_)) {
            let message = extract::oversized(asked, self.deadline_ms(asked));
            let now_ms = self.ledger.now_ms();
            self.record(caller, Code::PayloadTooLarge, &message, now_ms);
        }
        // Who waits for a word before sending gets this one.
        let waits = is_declared_too_large
            && parts.version <= http::Version::HTTP_11
            && parts.headers.contains_key(EXPECT);
        if !waits && matches!(refusal, Refusal::BodyTooLarge(_) | Refusal::TooMany(_)) {
            discard(body).await;
        }
        Err(refusal)
    }

    /// The whole body; room is taken as it comes, not by what is announced.
    async fn collect<B>(
        &self,
        token: TokenId,
        mut body: Pin<&mut B>,
        limit: usize,
    ) -> Result<(Bytes, Option<Taken>), Refusal>
    where
        B: http_body::Body,
    {
        let mut bytes = BytesMut::new();
        let mut room = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::BodyBroken)?;
            // Trailers say nothing that counts.
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            let length = bytes.len() + data.remaining();
            if length > limit {
                return Err(Refusal::BodyTooLarge(limit));
            }
            if !self.buffers.grow(token, &mut room, length) {
                return Err(Refusal::TooMany("large bodies"));
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                bytes.extend_from_slice(chunk);
                let read = chunk.len();
                data.advance(read);
            }
        }
        Ok((bytes.freeze(), room))
    }
}

/// Reads what is left and forgets it, within bounds: most clients send all before they read an answer, and
/// a connection that is closed on them loses it.
async fn discard<B: http_body::Body>(mut body: Pin<&mut B>) {
    if body.size_hint().lower() > DISCARDED {
        return;
    }
    let rest = async {
        let mut left = DISCARDED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(DISCARD_TIME, rest).await.ok();
}

/// Bytes of a refused body that are read all the same.
const DISCARDED: u64 = 32 << 20;
/// For how long.
const DISCARD_TIME: Duration = Duration::from_secs(5);
