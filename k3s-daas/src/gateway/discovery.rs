//! Discovery, OpenAPI and the version: the same for everybody, so fetched once and served to all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{Response, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;

use super::extract::{Asked, accept, parameters};
use super::refusal::Refusal;
use super::reply;
use super::submit::{Caller, Timing};
use super::{Body, Inner};
use crate::types::{ByteString, RequestId};

/// What was fetched, by path and `Accept`, and by the hash of its contents where that is asked for.
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

/// Path, query, `Accept`.
type Key = (String, String, String);

/// One thing that is fetched by one and waited for by all who want it.
#[derive(Debug, Default)]
struct Entry {
    fetched: AsyncMutex<Option<Fetched>>,
}

#[derive(Clone, Debug)]
struct Fetched {
    /// The gateway's request on the ledger.
    id: RequestId,
    status: u16,
    headers: Arc<[(ByteString, ByteString)]>,
    body: Bytes,
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
    /// Discovery for whoever is allowed to ask at all, and the ID of the request it is from.
    ///
    /// `None` if the gateway has no token of its own, or if it is not one of the few things that clients ask in
    /// the same words: anybody could fill what is kept with others, and the gateway would ask for them.
    pub(super) async fn discover(
        &self,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Option<Result<(RequestId, Response<Body>), Refusal>> {
        let token = self.config().discovery_token?;
        // kubectl's own timeout is not part of what it asks.
        let mut parameters = parameters(&asked.query).filter(|(name, _)| name != "timeout");
        let hash = match (parameters.next(), parameters.next()) {
            (None, _) => None,
            (Some((name, hash)), None) if name == "hash" => Some(hash),
            _ => return None,
        };
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
        if !self.is_common(asked, hash.as_deref()).await {
            return None;
        }
        let mut question = asked.clone();
        question.query = hash.map(|hash| format!("hash={hash}")).unwrap_or_default();
        let fetched = self.discovered(&own, question, timing).await;
        Some(fetched.and_then(|fetched| Ok((fetched.id, serve(asked, fetched)?))))
    }

    /// Whether it is asked in words that clients use, and of something that is there.
    async fn is_common(&self, asked: &Asked, hash: Option<&str>) -> bool {
        if !ACCEPTS.contains(&accept(asked)) {
            return false;
        }
        let path = asked.path.as_str();
        if let Some(document) = path.strip_prefix("/openapi/v3/") {
            return self.has_document(document, hash).await;
        }
        if hash.is_some() {
            return false;
        }
        match path.strip_prefix("/apis/") {
            Some(group) => self.has_group(group).await,
            None => PATHS.contains(&path),
        }
    }

    /// Whether the cluster names this document of OpenAPI v3, and with this hash if one is asked for.
    async fn has_document(&self, path: &str, hash: Option<&str>) -> bool {
        if !hash.is_none_or(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return false;
        }
        let Some((200, found)) = self.discover_own(OPENAPI, JSON).await else {
            return false;
        };
        let listed = serde_json::from_slice::<Documents<'_>>(&found).unwrap_or_default();
        let document = listed.paths.get(path);
        document.is_some_and(|document| {
            hash.is_none_or(|hash| document.url == format!("{OPENAPI}/{path}?hash={hash}"))
        })
    }

    /// Whether the cluster has this group, or this version of a group.
    async fn has_group(&self, path: &str) -> bool {
        let Some((200, found)) = self.discover_own("/apis", JSON).await else {
            return false;
        };
        let listed = serde_json::from_slice::<Groups<'_>>(&found).unwrap_or_default();
        listed.groups.iter().any(|group| {
            let mut versions = group.versions.iter();
            group.name == path || versions.any(|version| version.group_version == path)
        })
    }

    /// What discovery says of `path`, for the gateway itself.
    pub(super) async fn discover_own(&self, path: &str, accept: &str) -> Option<(u16, Bytes)> {
        let token = self.config().discovery_token?;
        let own = Caller {
            token,
            credential: None,
        };
        let mut asked = Asked::get(path)?;
        asked.set_header("accept", accept.to_owned());
        let fetched = self
            .discovered(&own, asked, &mut Timing::default())
            .await
            .ok()?;
        Some((fetched.status, fetched.body))
    }

    async fn discovered(
        &self,
        own: &Caller,
        mut request: Asked,
        timing: &mut Timing,
    ) -> Result<Fetched, Refusal> {
        let key = (
            request.path.clone(),
            request.query.clone(),
            accept(&request).to_owned(),
        );
        let entry = self.discovery.entry(&key);
        // Whoever comes first fetches, the others wait for it here.
        let mut kept = entry.fetched.lock().await;
        if let Some(fetched) = kept.as_ref().filter(|kept| self.discovery.is_fresh(kept)) {
            self.metrics.discovery_hits.add(1);
            return Ok(fetched.clone());
        }
        self.metrics.discovery_misses.add(1);
        let generation = self.discovery.generation();
        request.body = Bytes::new();
        request.deadline = None;
        request.headers.retain(|(name, _)| *name == "accept");
        request.set_header("user-agent", USER_AGENT.to_owned());
        let answer = self.execute(own, &request, timing).await?;
        // From here on it is there once for all, and counts to what is kept here.
        let fetched = Fetched {
            id: request.id,
            status: answer.status,
            headers: answer.headers.into(),
            body: answer.body,
            at: Instant::now(),
            generation,
        };
        if matches!(fetched.status, 200 | 404 | 406) {
            self.discovery.account(fetched.body.len());
            *kept = Some(fetched.clone());
        }
        Ok(fetched)
    }
}

/// What was fetched, or that the client has it already.
fn serve(asked: &Asked, fetched: Fetched) -> Result<Response<Body>, Refusal> {
    let etag = fetched
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
    let status = if has_it && fetched.status == 200 {
        StatusCode::NOT_MODIFIED.as_u16()
    } else {
        fetched.status
    };
    reply::recorded(status, &fetched.headers, fetched.body, None).ok_or(Refusal::LedgerFault)
}

/// The root of OpenAPI v3: where each document is, with the hash of its contents.
#[derive(Default, Deserialize)]
struct Documents<'a> {
    #[serde(borrow)]
    paths: HashMap<Cow<'a, str>, Document<'a>>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, rename = "serverRelativeURL")]
    url: Cow<'a, str>,
}

/// The groups of a cluster.
#[derive(Default, Deserialize)]
struct Groups<'a> {
    #[serde(borrow)]
    groups: Vec<Group<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    versions: Vec<Version<'a>>,
}

#[derive(Deserialize)]
struct Version<'a> {
    #[serde(borrow, rename = "groupVersion")]
    group_version: Cow<'a, str>,
}

fn weak(tag: &str) -> &[u8] {
    weak_bytes(tag.trim().as_bytes())
}

fn weak_bytes(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

const OPENAPI: &str = "/openapi/v3";
const JSON: &str = "application/json";
/// What is there on every cluster.
const PATHS: [&str; 6] = [
    "/api",
    "/api/v1",
    "/apis",
    "/version",
    "/openapi/v2",
    OPENAPI,
];
/// What clients accept: client-go of several years (kubectl, Helm), kube-rs, the Python and the JavaScript
/// client, curl. Another text is served too, as a request of its asker's own.
const ACCEPTS: [&str; 13] = [
    "",
    "*/*",
    JSON,
    "application/json, */*",
    "application/json, text/plain, */*",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,\
     application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
];
pub(super) const USER_AGENT: &str = concat!("daas-gateway/", env!("CARGO_PKG_VERSION"));
/// Paths times encodings; a cluster with many API groups has a few hundred.
const MAX_ENTRIES: usize = 1_024;
/// OpenAPI alone is some megabytes.
const MAX_BYTES: usize = 64 << 20;
/// For how long after a change discovery may still be changing.
const SETTLING: Duration = Duration::from_secs(15);
const SETTLING_TTL: Duration = Duration::from_secs(1);
