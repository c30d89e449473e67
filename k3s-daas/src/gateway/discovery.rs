//! Discovery, OpenAPI and the version: the same for everybody, so fetched once and served to all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ETAG, IF_NONE_MATCH};
use http::{Response, StatusCode};
use tokio::sync::Mutex as AsyncMutex;

use super::extract::{Asked, accept, parameters};
use super::reply::{self, Refusal};
use super::submit::{Caller, Timing};
use super::{Body, Inner};
use crate::types::RequestId;
use crate::wire::ResponseEnvelope;

/// What was fetched, by path and `Accept`; what has a query is not kept.
#[derive(Debug)]
pub(super) struct Discovery {
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Arc<Entry>>,
    bytes: usize,
    /// Grows with each change of what discovery says; what was asked for before is not kept after.
    generation: u64,
    /// When that was: a new kind is served a moment later than its definition is stored.
    changed: Option<Instant>,
}

type Key = (String, String);

/// One thing that is fetched by one and waited for by all who want it.
#[derive(Debug, Default)]
struct Entry {
    fetched: AsyncMutex<Option<Fetched>>,
}

#[derive(Clone, Debug)]
struct Fetched {
    status: u16,
    envelope: Arc<ResponseEnvelope>,
    at: Instant,
    generation: u64,
}

impl Discovery {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            state: Mutex::default(),
        }
    }

    /// Forgets all: a kind came or went.
    pub(super) fn invalidate(&self) {
        let mut state = self.lock();
        state.entries.clear();
        state.bytes = 0;
        state.generation += 1;
        state.changed = Some(Instant::now());
    }

    fn entry(&self, key: &Key) -> Arc<Entry> {
        let mut state = self.lock();
        if state.entries.len() >= MAX_ENTRIES && !state.entries.contains_key(key) {
            state.entries.clear();
            state.bytes = 0;
        }
        state.entries.entry(key.clone()).or_default().clone()
    }

    /// Whether what was fetched is still good.
    fn is_fresh(&self, fetched: &Fetched) -> bool {
        let state = self.lock();
        let is_settling = state
            .changed
            .is_some_and(|changed| changed.elapsed() < SETTLING);
        let ttl = if is_settling {
            self.ttl.min(SETTLING_TTL)
        } else {
            self.ttl
        };
        fetched.generation == state.generation && fetched.at.elapsed() < ttl
    }

    fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Counts what is kept; all of it goes when it is too much.
    fn account(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes += bytes;
        if state.bytes > MAX_BYTES {
            state.entries.clear();
            state.bytes = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Discovery for whoever is allowed to ask at all; `None` if the gateway has no token of its own, or
    /// if there is a query: anybody could fill what is kept with it, and the gateway would ask for them.
    pub(super) async fn discover(
        &self,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Option<Result<Response<Body>, Refusal>> {
        let token = self.config.discovery_token?;
        // kubectl's own timeout is not part of what it asks.
        if parameters(&asked.query).any(|(name, _)| name != "timeout") {
            return None;
        }
        let started = Instant::now();
        let message = asked.message_without_body(self.deadline_ms(asked));
        let checked = self.check(caller, &message, asked);
        timing.authorize += started.elapsed();
        if let Err(refusal) = checked {
            return Some(Err(refusal));
        }
        let own = Caller {
            token,
            credential: None,
        };
        let fetched = self.discovered(&own, asked, timing).await;
        Some(fetched.and_then(|fetched| serve(asked, fetched)))
    }

    /// What discovery says of `path`, for the gateway itself.
    pub(super) async fn discover_own(
        &self,
        path: &str,
        accept: &str,
    ) -> Option<(u16, Arc<ResponseEnvelope>)> {
        let token = self.config.discovery_token?;
        let own = Caller {
            token,
            credential: None,
        };
        let mut asked = Asked::get(path)?;
        asked.set_header("accept", accept.to_owned());
        let fetched = self
            .discovered(&own, &asked, &mut Timing::default())
            .await
            .ok()?;
        Some((fetched.status, fetched.envelope))
    }

    async fn discovered(
        &self,
        own: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Result<Fetched, Refusal> {
        let key = (asked.path.clone(), accept(asked).to_owned());
        let entry = self.discovery.entry(&key);
        // Whoever comes first fetches, the others wait for it here.
        let mut kept = entry.fetched.lock().await;
        if let Some(fetched) = kept.as_ref().filter(|kept| self.discovery.is_fresh(kept)) {
            self.metrics.discovery_hits.add(1);
            return Ok(fetched.clone());
        }
        self.metrics.discovery_misses.add(1);
        let generation = self.discovery.generation();
        let mut request = asked.clone();
        request.id = RequestId::new();
        request.id_given = false;
        request.query.clear();
        request.body = bytes::Bytes::new();
        request.headers.retain(|(name, _)| *name == "accept");
        request.set_header("user-agent", USER_AGENT.to_owned());
        let answer = self.execute(own, &request, timing).await?;
        let fetched = Fetched {
            status: answer.status,
            envelope: Arc::new(answer.envelope),
            at: Instant::now(),
            generation,
        };
        if matches!(fetched.status, 200 | 404 | 406) {
            self.discovery.account(fetched.envelope.body.len());
            *kept = Some(fetched.clone());
        }
        Ok(fetched)
    }
}

/// What was fetched, or that the client has it already.
fn serve(asked: &Asked, fetched: Fetched) -> Result<Response<Body>, Refusal> {
    let etag = fetched
        .envelope
        .headers
        .iter()
        .find(|(name, _)| name[..] == *ETAG.as_str().as_bytes());
    let has_it = etag.is_some_and(|(_, etag)| {
        asked.header(IF_NONE_MATCH.as_str()).is_some_and(|known| {
            known
                .split(',')
                .any(|known| weak(known) == weak_bytes(etag))
        })
    });
    let envelope = ResponseEnvelope::clone(&fetched.envelope);
    let status = if has_it && fetched.status == 200 {
        StatusCode::NOT_MODIFIED.as_u16()
    } else {
        fetched.status
    };
    reply::answer(status, envelope).ok_or(Refusal::LedgerFault)
}

fn weak(tag: &str) -> &[u8] {
    weak_bytes(tag.trim().as_bytes())
}

fn weak_bytes(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

const USER_AGENT: &str = concat!("daas-gateway/", env!("CARGO_PKG_VERSION"));
/// Paths times encodings; a cluster with many API groups has a few hundred.
const MAX_ENTRIES: usize = 1_024;
/// OpenAPI alone is some megabytes.
const MAX_BYTES: usize = 64 << 20;
/// For how long after a change discovery may still be changing.
const SETTLING: Duration = Duration::from_secs(15);
const SETTLING_TTL: Duration = Duration::from_secs(1);
