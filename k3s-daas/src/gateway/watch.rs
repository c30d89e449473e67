//! A client's watch, fed from a chain of short ones: each an ordinary request on the ledger that begins
//! where the last one ended.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::piece;
use super::extract::{Asked, json_alternatives, parameter};
use super::listed::{Listed, NoItem};
use super::refusal::{Refusal, Why};
use super::reply;
use super::room::Taken;
use super::submit::{Answer, Caller, Timing};
use super::{Body, Inner};
use crate::contract::Code;
use crate::ledger::LedgerExt as _;
use crate::limits::Held;
use crate::token::CredentialError;
use crate::types::{RequestId, Target, TokenId, Verb};

impl Inner {
    /// Answers a watch. What the first short one is answered with decides: anything but a stream of JSON is
    /// the answer itself.
    pub(super) async fn watch(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &Asked,
        timing: &mut Timing,
    ) -> Result<Response<Body>, Refusal> {
        let held = self.watches.one(caller.token);
        let held = held.ok_or(Refusal::TooMany("watches"))?;
        let mut asked = asked.clone();
        if let Some(accept) = asked.header("accept") {
            // Frames of protobuf are not chained.
            let narrowed = json_alternatives(accept).ok_or(Refusal::WatchEncoding)?;
            asked.set_header("accept", narrowed);
        }
        let mut chain = Chain::new(self.clone(), caller.clone(), asked, held);
        let list = chain.list();
        let first = match &list {
            Some(list) => {
                // Whoever may not watch is told that, and not what a list says.
                let message = chain
                    .asked
                    .message_without_body(self.deadline_ms(&chain.asked));
                self.check(caller, &message, &chain.asked)?;
                list.clone()
            }
            None => chain.slice(),
        };
        let answer = match self.execute(caller, &first, timing).await {
            Err(Refusal::Contract(denial))
                if list.is_some() && denial.code == Code::NoPermission =>
            {
                return Err(Refusal::WatchWithoutList(denial));
            }
            answer => answer?,
        };
        let id = first.id;
        if answer.status != 200 || !is_json(&answer) {
            let what = "its status is none";
            return reply::answer(answer).ok_or(Refusal::WrongBytes { id, what });
        }
        // Headers are those of the first short watch; its length is not the whole one's.
        let response = reply::recorded(200, &answer.headers, Bytes::new(), None);
        let mut response = response.ok_or(Refusal::LedgerFault)?;
        if list.is_none() {
            chain.take(answer);
        } else if chain.take_list(answer).is_none() {
            let what = "it is no list";
            return Err(Refusal::WrongBytes { id, what });
        }
        let frames = futures_util::stream::unfold(chain, |mut chain| async move {
            let frame = chain.next().await?;
            Some((Ok(http_body::Frame::data(frame)), chain))
        });
        *response.body_mut() = StreamBody::new(frames).boxed_unsync();
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

/// One client's watch. Nothing goes on unless the client reads.
struct Chain {
    gateway: Arc<Inner>,
    caller: Caller,
    asked: Asked,
    _held: Held<TokenId>,
    /// When it ends whatever happens.
    end: Instant,
    /// The last that was seen, to begin after.
    resource_version: Option<String>,
    wants_bookmarks: bool,
    initial: Initial,
    /// Whether the client still waits for the head of its response.
    is_first: bool,
    /// What was there at the beginning, to be sent before all else.
    listed: Option<Listed>,
    /// Frames to be sent.
    ready: BytesMut,
    /// For those that an answer brought.
    room: Option<Taken>,
    is_over: bool,
}

/// What became of the initial events that a client asked for with `sendInitialEvents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initial {
    NotAsked,
    /// Their end has not come; how many short watches have asked for them.
    Asked(u32),
    Ended,
}

impl Chain {
    fn new(gateway: Arc<Inner>, caller: Caller, asked: Asked, held: Held<TokenId>) -> Self {
        let config = gateway.config();
        let seconds = parameter(&asked.query, "timeoutSeconds")
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|seconds| *seconds > 0);
        let lifetime = seconds.map_or(config.watch_lifetime, |seconds| {
            Duration::from_secs(seconds).min(config.watch_lifetime)
        });
        let credential = caller.credential.as_ref();
        let lifetime = credential.map_or(lifetime, |verified| {
            let left_ms = verified
                .not_after_ms
                .saturating_sub(gateway.ledger.now_ms());
            lifetime.min(Duration::from_millis(left_ms))
        });
        let wants = |name| parameter(&asked.query, name).is_some_and(|value| is_true(&value));
        Self {
            end: Instant::now() + lifetime,
            resource_version: None,
            wants_bookmarks: wants("allowWatchBookmarks"),
            initial: if wants("sendInitialEvents") {
                Initial::Asked(0)
            } else {
                Initial::NotAsked
            },
            is_first: true,
            listed: None,
            ready: BytesMut::new(),
            room: None,
            is_over: false,
            _held: held,
            gateway,
            caller,
            asked,
        }
    }

    /// The next frames; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut troubles = 0;
        loop {
            if let Some(listed) = &mut self.listed {
                match listed.piece() {
                    Ok(Some(piece)) => return Some(piece),
                    Ok(None) => {}
                    Err(NoItem) => self.fail(&Refusal::WrongBytes {
                        id: self.asked.id,
                        what: "it is no list of objects",
                    }),
                }
                self.listed = None;
            }
            if !self.ready.is_empty() {
                let piece = piece(&self.ready, &mut self.room);
                self.ready.advance(piece.len());
                if self.ready.is_empty() {
                    self.ready = BytesMut::new();
                }
                return Some(piece);
            }
            self.room = None;
            if self.is_over || Instant::now() >= self.end {
                return None;
            }
            if let Some(refusal) = self.revoked() {
                self.fail(&refusal);
                continue;
            }
            let begun = Instant::now();
            let slice = self.slice();
            let mut timing = Timing::default();
            let stop = self.gateway.stop_streams.clone();
            let outcome = tokio::select! {
                () = stop.cancelled() => return None,
                outcome = self.gateway.execute(&self.caller, &slice, &mut timing) => outcome,
            };
            self.gateway.metrics.watch_slices.add(1);
            match outcome {
                Ok(answer) if answer.status == 200 && is_json(&answer) => {
                    troubles = 0;
                    self.take(answer);
                    if self.ready.is_empty() && begun.elapsed() < PAUSE {
                        // Cut at once and empty: whatever the reason, not in a tight loop.
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                Ok(answer) => self.end_with(&answer),
                Err(refusal) if is_passing(&refusal) && troubles < TROUBLES => {
                    troubles += 1;
                    tokio::time::sleep(PAUSE * 2_u32.pow(troubles)).await;
                }
                Err(refusal) => self.fail(&refusal),
            }
        }
    }

    /// The list that a watch from the beginning starts with.
    ///
    /// Kubernetes sends what is there first, in any order, and a short watch may end in the middle of that:
    /// nothing says then where to go on. A list has them all and says what comes after.
    fn list(&mut self) -> Option<Asked> {
        let version = parameter(&self.asked.query, "resourceVersion");
        let is_from_beginning = version.is_none_or(|version| version.is_empty() || version == "0");
        if !is_from_beginning || parameter(&self.asked.query, "sendInitialEvents").is_some() {
            return None;
        }
        let mut list = self.asked.clone();
        list.query = without(&self.asked.query, &NOT_OF_LISTS);
        list.query.pop();
        let (path, query) = (list.path.as_bytes(), list.query.as_bytes());
        list.target = Target::derive(list.method, path, Some(query)).ok()?;
        if list.target.verb != Verb::List {
            return None;
        }
        list.deadline = None;
        // The client's own ID names the list.
        self.is_first = false;
        Some(list)
    }

    /// Takes a list: what is there as events, and where to go on. `None` if it is no list.
    fn take_list(&mut self, answer: Answer) -> Option<()> {
        let listed = Listed::new(answer.body, answer.room)?;
        self.resource_version = Some(listed.resource_version().to_owned());
        self.listed = Some(listed);
        Some(())
    }

    /// The next short watch.
    fn slice(&mut self) -> Asked {
        let left = self.end.saturating_duration_since(Instant::now());
        let asks_initial = match &mut self.initial {
            Initial::Asked(times) => {
                *times += 1;
                true
            }
            Initial::NotAsked | Initial::Ended => false,
        };
        // Kubernetes says at once whether it is a watch, but only an end brings that here.
        let length = if self.is_first && !asks_initial {
            FIRST_SLICE
        } else {
            self.gateway.config().watch_slice.min(left)
        };
        let seconds = length.as_secs().max(1);
        let mut slice = self.asked.clone();
        slice.query = slice_query(
            &self.asked.query,
            // Initial events are asked for from the beginning until they have all come.
            self.resource_version.as_deref().filter(|_| !asks_initial),
            seconds,
        );
        slice.deadline = None;
        if !std::mem::take(&mut self.is_first) {
            // The client's own ID names the first one only.
            slice.id = RequestId::new();
            slice.id_given = false;
        }
        slice
    }

    /// Takes the frames of a short watch's answer.
    fn take(&mut self, answer: Answer) {
        self.room = answer.room;
        let body = &answer.body[..];
        let mut frames = serde_json::Deserializer::from_slice(body).into_iter::<Frame<'_>>();
        let mut begin = 0;
        while let Some(frame) = frames.next() {
            let Ok(frame) = frame else {
                self.fail(&Refusal::WrongBytes {
                    id: self.asked.id,
                    what: "it is no stream of watch events",
                });
                return;
            };
            let end = frames.byte_offset();
            let bytes = body[begin..end].trim_ascii();
            begin = end;
            let is_bookmark = frame.kind == "BOOKMARK";
            if is_bookmark && frame.object.ends_initial_events() {
                self.initial = match self.initial {
                    Initial::Asked(_) => Initial::Ended,
                    other => other,
                };
            }
            if frame.kind == "ERROR" {
                self.is_over = true;
            } else if let Some(version) = frame.object.resource_version() {
                self.advance(version);
            }
            if !is_bookmark || self.wants_bookmarks {
                self.ready.put_slice(bytes);
                self.ready.put_u8(b'\n');
            }
        }
        if self.initial == Initial::Asked(INITIAL_TRIES) {
            self.fail(&Refusal::Unanswered {
                id: self.asked.id,
                is_read: true,
                why: Why::InitialEvents,
            });
        }
    }

    /// Remembers the latest; initial events come in any order.
    fn advance(&mut self, version: &str) {
        let number = |text: &str| text.parse::<u128>().ok();
        let is_older = self
            .resource_version
            .as_deref()
            .and_then(number)
            .zip(number(version))
            .is_some_and(|(held, new)| new < held);
        if !is_older {
            self.resource_version = Some(version.to_owned());
        }
    }

    /// Whether the credential has expired, or its key may no longer sign for the token.
    fn revoked(&self) -> Option<Refusal> {
        let verified = self.caller.credential.as_ref()?;
        let not_after_ms = verified.not_after_ms;
        let (is_live, now_ms) = self.gateway.ledger.view(|snapshot| {
            let is_live = verified.is_live(snapshot.state, snapshot.now_ms);
            (is_live, snapshot.now_ms)
        });
        let error = if now_ms < not_after_ms {
            CredentialError::NotTokenHolder
        } else {
            CredentialError::Expired { not_after_ms }
        };
        (!is_live).then_some(Refusal::Credential(error))
    }

    /// Ends with a frame that says why.
    fn fail(&mut self, refusal: &Refusal) {
        self.error_frame(refusal.told().status_object());
    }

    /// Ends with what Kubernetes said instead of a stream.
    fn end_with(&mut self, answer: &Answer) {
        let status = serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .filter(|object| object["kind"] == "Status");
        match status {
            Some(status) => self.error_frame(status),
            None => self.fail(&Refusal::WrongBytes {
                id: self.asked.id,
                what: "it is no stream of watch events",
            }),
        }
    }

    fn error_frame(&mut self, status: Value) {
        let frame = json!({"type": "ERROR", "object": status});
        // Writing to memory cannot fail.
        let _ = writeln!(self.ready, "{frame}");
        self.is_over = true;
    }
}

/// One event of a watch, as far as it matters here.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    object: Object<'a>,
}

/// An object, or a `Table` of such.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Row<'a> {
    #[serde(borrow)]
    object: Option<RowObject<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RowObject<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    annotations: Option<std::collections::BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
}

impl Object<'_> {
    fn metadatas(&self) -> impl Iterator<Item = &Metadata<'_>> {
        let rows = self.rows.iter().filter_map(|row| row.object.as_ref());
        std::iter::once(&self.metadata).chain(rows.map(|object| &object.metadata))
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadatas()
            .filter_map(|metadata| metadata.resource_version.as_deref())
            .find(|version| !version.is_empty())
    }

    fn ends_initial_events(&self) -> bool {
        self.metadatas().any(|metadata| {
            metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get("k8s.io/initial-events-end"))
                .is_some_and(|value| value == "true")
        })
    }
}

/// The client's query with the short watch's own end, and its beginning once there is one.
fn slice_query(query: &str, resource_version: Option<&str>, seconds: u64) -> String {
    let replaced: &[&str] = match resource_version {
        None => &["timeoutSeconds", "allowWatchBookmarks"],
        Some(_) => &[
            "timeoutSeconds",
            "allowWatchBookmarks",
            "resourceVersion",
            "resourceVersionMatch",
            "sendInitialEvents",
        ],
    };
    let mut rewritten = without(query, replaced);
    if let Some(version) = resource_version {
        rewritten.push_str("resourceVersion=");
        for byte in version.bytes() {
            let _ = match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(rewritten, "{}", char::from(byte))
                }
                _ => write!(rewritten, "%{byte:02X}"),
            };
        }
        rewritten.push('&');
    }
    // Bookmarks bring the beginning forward where nothing happens; who did not ask does not see them.
    let _ = write!(
        rewritten,
        "allowWatchBookmarks=true&timeoutSeconds={seconds}"
    );
    rewritten
}

/// A query without the parameters of these names; each one that is left is followed by `&`.
fn without(query: &str, names: &[&str]) -> String {
    let mut rewritten = String::with_capacity(query.len() + 64);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let is_named =
            super::extract::parameters(pair).any(|(name, _)| names.contains(&name.as_str()));
        if !is_named {
            rewritten.push_str(pair);
            rewritten.push('&');
        }
    }
    rewritten
}

/// As Go's ParseBool has it; an empty value counts as given.
fn is_true(value: &str) -> bool {
    matches!(value, "" | "1" | "t" | "T" | "true" | "True" | "TRUE")
}

fn is_json(answer: &Answer) -> bool {
    let content_type = answer
        .headers
        .iter()
        .find(|(name, _)| name[..] == *b"content-type");
    content_type.is_none_or(|(_, value)| value.starts_with(b"application/json"))
}

/// Whether the same may be answered in a moment.
fn is_passing(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::LedgerBusy
        | Refusal::LedgerDown
        | Refusal::BlobsDown
        | Refusal::TooMany(_)
        | Refusal::NobodyAnswers(_)
        | Refusal::NoRoom { .. } => true,
        Refusal::Contract(denial) => {
            matches!(denial.code, Code::TooManyRequests | Code::NoExecutor)
        }
        _ => false,
    }
}

/// The parameters of a watch that its list goes without; it is the whole list, so in one piece.
const NOT_OF_LISTS: [&str; 8] = [
    "watch",
    "timeoutSeconds",
    "allowWatchBookmarks",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "limit",
    "continue",
];
/// The first short watch of a watch: the shortest that Kubernetes knows, until which its client has no head.
const FIRST_SLICE: Duration = Duration::from_secs(1);
/// Between short watches that bring nothing, and doubled between those that fail.
const PAUSE: Duration = Duration::from_millis(200);
/// How often in a row something may be wrong that passes.
const TROUBLES: u32 = 5;
/// How many short watches may ask for the initial events before their end has come.
const INITIAL_TRIES: u32 = 4;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_short_watch_begins_after_the_last_and_ends_soon() {
        let asked = "watch=1&resourceVersion=5&timeoutSeconds=600&labelSelector=a%3Db&allowWatchBookmarks=false";
        assert_eq!(
            slice_query(asked, None, 5),
            "watch=1&resourceVersion=5&labelSelector=a%3Db&allowWatchBookmarks=true&timeoutSeconds=5"
        );
        assert_eq!(
            slice_query(asked, Some("17"), 3),
            "watch=1&labelSelector=a%3Db&resourceVersion=17&allowWatchBookmarks=true&timeoutSeconds=3"
        );
        let initial =
            "watch&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resource%56ersion=";
        assert_eq!(
            slice_query(initial, Some("a&b=c"), 1),
            "watch&resourceVersion=a%26b%3Dc&allowWatchBookmarks=true&timeoutSeconds=1"
        );
    }

    #[test]
    fn versions_are_found_in_objects_and_tables() {
        let version = |text: &str| {
            let frame: Frame<'_> = serde_json::from_str(text).unwrap();
            frame.object.resource_version().map(str::to_owned)
        };
        for (text, found) in [
            (
                r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"7"}}}"#,
                Some("7"),
            ),
            (
                r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"8","creationTimestamp":null}}}"#,
                Some("8"),
            ),
            (
                r#"{"type":"ADDED","object":{"kind":"Table","metadata":{},"rows":[{"cells":["a"],"object":{"metadata":{"resourceVersion":"9"}}}]}}"#,
                Some("9"),
            ),
            (
                r#"{"type":"ADDED","object":{"kind":"Table","metadata":{"resourceVersion":""},"rows":[{"cells":["a"],"object":{"metadata":{"resourceVersion":"9"}}}]}}"#,
                Some("9"),
            ),
            (
                r#"{"type":"ADDED","object":{"kind":"Table","rows":[{"cells":["a"],"object":null}]}}"#,
                None,
            ),
            (
                r#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"code":410}}"#,
                None,
            ),
            (r#"{"type":"ADDED"}"#, None),
        ] {
            assert_eq!(version(text).as_deref(), found, "{text}");
        }
    }
}
