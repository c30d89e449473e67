//! `daas request show`: what became of a request, from the ledger and the answer beside it.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use k3s_daas::blob::{BlobStore, Holder};
use k3s_daas::contract::Code;
use k3s_daas::crypto::BlobHash;
use k3s_daas::ledger::{Cursor, Ledger as _, SequencedEvent};
use k3s_daas::types::{ByteString, ExecutorId, RequestId, TokenId};
use k3s_daas::wire::{Event, K8sApiRequest, K8sRequestProcessed, ResponseEnvelope};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::commands::events::archived as archived_events;
use crate::exit::{Exit, Failure};
use crate::printer::{Show, wrap};
use crate::services;
use crate::units::Moment;

/// Prints what became of the requests with this ID: one for each token that used it.
///
/// # Errors
/// [`Exit::NotFound`] if the ledger knows none.
pub(super) async fn show(app: &App, id: RequestId, archive: &[PathBuf]) -> anyhow::Result<()> {
    let ledger = app.reader().await?;
    let last = ledger.sync().await?;
    let mut found: Vec<Shown> = Vec::new();
    let mut seen = Cursor::START;
    let mut take = |event: &SequencedEvent| {
        let Some(token) = token_of(&event.event, id) else {
            return;
        };
        let at = found.iter().position(|shown| shown.token == token);
        let at = at.unwrap_or_else(|| {
            found.push(Shown::new(id, token));
            found.len() - 1
        });
        found[at].take(event.cursor, event.timestamp_ms, &event.event);
    };
    for event in app.archived_events(archive, seen)? {
        let event = event?;
        seen = event.cursor;
        take(&event);
    }
    // Of what was archived and not named only the rest can be told.
    let checkpoint = ledger
        .checkpoint()
        .await?
        .map(|checkpoint| checkpoint.message);
    let archived = checkpoint.filter(|checkpoint| checkpoint.events > seen.major);
    if let Some(checkpoint) = archived {
        seen.major = checkpoint.events;
    }
    let mut events = ledger.events(seen);
    while seen < last {
        let Some(event) = events.next().await else {
            break;
        };
        let event = event.map_err(archived_events)?;
        seen = event.cursor;
        take(&event);
    }
    let is_known = |shown: &Shown| shown.state.is_admitted || shown.state.refused.is_some();
    if let Some(checkpoint) = archived.filter(|_| !found.iter().any(is_known)) {
        return Err(Failure::new(
            Exit::NotFound,
            format!(
                "the ledger knows no request {id} that came after {}, and what came before was archived",
                Moment(checkpoint.time_ms)
            ),
        )
        .with_next("name the directory that `daas ledger archive` moved it to with --archive")
        .into());
    }
    if found.is_empty() {
        return Err(
            Failure::new(Exit::NotFound, format!("the ledger knows no request {id}"))
                .with_next(
                    "it was never admitted, so it was not executed and will not be under this ID",
                )
                .into(),
        );
    }
    // Without the blobs the trail still says most of it.
    let blobs = app
        .layout()
        .blob_key()
        .exists()
        .then(|| services::blobs(&app.layout()).ok())
        .flatten();
    for shown in &mut found {
        if let Some(blobs) = &blobs {
            shown.status_message = shown.message_in(blobs).await;
        }
        shown.conclude(Moment::now());
    }
    Ok(app.printer.blocks(&found)?)
}

/// The token whose request with this ID an event is about.
fn token_of(event: &Event, id: RequestId) -> Option<TokenId> {
    let id = id.to_wire();
    let of = |token: TokenId, request_id: &ByteString| (request_id[..] == id[..]).then_some(token);
    match event {
        Event::K8sApiRequest(event) => of(event.seal_token_id, &event.request_id),
        Event::K8sRequestRejected(event) => of(event.token, &event.request_id),
        Event::K8sRequestClaimed(event) => of(event.token, &event.request_id),
        Event::K8sRequestReleased(event) => of(event.token, &event.request_id),
        Event::K8sRequestProcessed(event) => of(event.token, &event.request_id),
        Event::SessionClosed(event) => of(event.token, &event.request_id),
        Event::ResponsesPruned(event) => {
            let mut ids = event.request_ids.iter();
            ids.any(|other| other[..] == id[..]).then_some(event.token)
        }
        _ => None,
    }
}

/// What became of one request of one token.
#[derive(Serialize)]
struct Shown {
    request_id: RequestId,
    token: TokenId,
    command: Option<String>,
    is_read: Option<bool>,
    outcome: Outcome,
    /// The same for people.
    meaning: String,
    /// What they can do.
    next: Option<&'static str>,
    http_status: Option<u16>,
    /// `message` of the `Status` that was the answer, while the blob store has it.
    status_message: Option<String>,
    executor: Option<ExecutorId>,
    deadline_ms: Option<u64>,
    steps: Vec<Step>,
    #[serde(skip)]
    state: State,
}

#[derive(Serialize)]
struct Step {
    cursor: Cursor,
    time_ms: u64,
    what: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// The contract did not admit it.
    Refused,
    /// Admitted, and its deadline is not over.
    Pending,
    /// Its deadline is over, and nobody has answered.
    Unanswered,
    /// The cluster answered.
    Answered,
    /// It never reached the cluster.
    NotExecuted,
    /// Nobody knows whether the cluster did it.
    Unknown,
    /// A read without an answer, which changed nothing.
    TimedOut,
    /// It was a stream, which is over.
    Closed,
}

/// What the events so far say.
#[derive(Default)]
struct State {
    is_admitted: bool,
    is_claimed: bool,
    is_pruned: bool,
    is_closed: bool,
    refused: Option<String>,
    answer: Option<K8sRequestProcessed>,
}

impl Shown {
    fn new(request_id: RequestId, token: TokenId) -> Self {
        Self {
            request_id,
            token,
            command: None,
            is_read: None,
            outcome: Outcome::Refused,
            meaning: String::new(),
            next: None,
            http_status: None,
            status_message: None,
            executor: None,
            deadline_ms: None,
            steps: Vec::new(),
            state: State::default(),
        }
    }

    /// Takes in an event about it.
    fn take(&mut self, cursor: Cursor, time_ms: u64, event: &Event) {
        let what = match event {
            Event::K8sApiRequest(event) => {
                self.admit(event);
                format!("admitted, executor {}", event.nautilus_endpoint)
            }
            Event::K8sRequestRejected(event) => {
                let code = Code::from_number(event.code);
                let why = code.map_or_else(|| event.code.to_string(), |code| code.to_string());
                // A repetition that was refused changes nothing about the first.
                let is_repetition = self.state.is_admitted;
                if !is_repetition {
                    self.state.refused = Some(why.clone());
                }
                let what = if is_repetition {
                    "a repetition was refused"
                } else {
                    "refused"
                };
                format!("{what}: {why}")
            }
            Event::K8sRequestClaimed(event) => {
                self.state.is_claimed = true;
                self.executor = Some(event.executor);
                format!(
                    "claimed by executor {} after the lease was over",
                    event.executor
                )
            }
            Event::K8sRequestReleased(event) => {
                self.executor = Some(event.executor);
                format!(
                    "given back, not begun, by executor {}; now executor {}",
                    event.released_by, event.executor
                )
            }
            Event::K8sRequestProcessed(event) => {
                self.http_status = Some(event.status_code);
                self.executor = Some(event.executor);
                self.state.answer = Some(event.clone());
                format!(
                    "answered {} by executor {}",
                    event.status_code, event.executor
                )
            }
            Event::SessionClosed(event) => {
                self.state.is_closed = true;
                self.executor = Some(event.executor);
                format!(
                    "closed by executor {}: {} bytes in, {} bytes out",
                    event.executor, event.bytes_in, event.bytes_out
                )
            }
            Event::ResponsesPruned(_) => {
                self.state.is_pruned = true;
                "pruned: only this trail is left".to_owned()
            }
            _ => return,
        };
        self.steps.push(Step {
            cursor,
            time_ms,
            what,
        });
    }

    fn admit(&mut self, event: &K8sApiRequest) {
        let query = match event.query.bytes.is_empty() {
            true => String::new(),
            false => format!("?{}", event.query.bytes),
        };
        self.command = Some(format!("{} {}{query}", event.method, event.path));
        self.is_read = Some(event.is_read);
        self.executor = Some(event.nautilus_endpoint);
        self.deadline_ms = Some(event.deadline_ms);
        self.http_status = None;
        self.state = State {
            is_admitted: true,
            ..State::default()
        };
    }

    /// What the answer says in words, if it is a Kubernetes `Status` and still beside the ledger.
    async fn message_in(&self, blobs: &Arc<dyn BlobStore>) -> Option<String> {
        let answer = self.state.answer.as_ref()?;
        let hash = BlobHash(answer.envelope_hash[..].try_into().ok()?);
        let holder = Holder::for_request(self.token, self.request_id);
        let blob = blobs.fetch_held(&hash, &holder).await.ok()?;
        let envelope: ResponseEnvelope = bcs::from_bytes(&blob.body()).ok()?;
        let status: Value = serde_json::from_slice(&envelope.body).ok()?;
        let message = status.get("message").filter(|_| status["kind"] == "Status");
        Some(message?.as_str()?.to_owned())
    }

    /// Says what became of it, as far as can be known.
    fn conclude(&mut self, now: Moment) {
        let state = &self.state;
        let is_read = self.is_read.unwrap_or(false);
        let is_over = self.deadline_ms.is_some_and(|ms| ms <= now.0);
        let said = self.status_message.as_deref().unwrap_or_default();
        let (outcome, meaning, next) = match (&state.answer, self.http_status) {
            _ if !state.is_admitted => (
                Outcome::Refused,
                format!(
                    "the contract did not admit it: {}; nothing was executed",
                    state.refused.as_deref().unwrap_or("no reason is recorded")
                ),
                Some(MEND),
            ),
            _ if state.is_closed => (Outcome::Closed, "the stream is over".to_owned(), None),
            (Some(answer), Some(OUTCOME_UNKNOWN)) => self.timed_out(answer, said, is_read),
            // An executor says so of everything that it did not pass on.
            (Some(_), Some(status)) if said.starts_with(&self.not_executed()) => (
                Outcome::NotExecuted,
                format!("it never reached the cluster ({status}), so nothing was changed"),
                Some(REPEAT),
            ),
            (Some(_), Some(status)) => answered(status, is_read),
            _ if !is_over => (
                Outcome::Pending,
                "it is admitted, and its executor has until the deadline to answer".to_owned(),
                Some("wait, and ask again"),
            ),
            _ if is_read => (
                Outcome::TimedOut,
                "nobody answered in time; it is a read, so nothing was changed".to_owned(),
                Some(REPEAT),
            ),
            _ if state.is_pruned => (
                Outcome::Unknown,
                "nobody ever answered, so it may or may not have happened".to_owned(),
                Some(LOOK),
            ),
            _ => (
                Outcome::Unanswered,
                "nobody has answered, so it may or may not have happened; an executor that comes back can \
                 still say"
                    .to_owned(),
                Some(LOOK),
            ),
        };
        self.outcome = outcome;
        self.meaning = meaning;
        self.next = next;
    }

    /// A 504 is said of three things: what never began, what nobody knows the outcome of, and what the
    /// cluster itself gave up.
    fn timed_out(
        &self,
        answer: &K8sRequestProcessed,
        said: &str,
        is_read: bool,
    ) -> (Outcome, String, Option<&'static str>) {
        if is_read {
            let meaning = "there was no answer in time; it is a read, so nothing was changed";
            return (Outcome::TimedOut, meaning.to_owned(), Some(REPEAT));
        }
        if said.starts_with(&self.not_executed()) {
            let meaning = "it was never begun, so nothing was changed";
            return (Outcome::NotExecuted, meaning.to_owned(), Some(REPEAT));
        }
        let why = if self.state.is_claimed {
            "the executor that had it never answered, and another one could only say so"
        } else if said.starts_with(&format!("the outcome of request {}", self.request_id)) {
            "it was begun, and its executor does not know how it ended"
        } else if !said.is_empty() {
            "the cluster itself gave up"
        } else if self.deadline_ms.is_some_and(|ms| answer.time_ms < ms) {
            // Before its deadline 504 is said only of what has begun.
            "it was begun, and there was no answer in time"
        } else {
            "there was no answer by its deadline, and whether it was begun is no longer known"
        };
        let meaning = format!("{why}: it may or may not have happened");
        (Outcome::Unknown, meaning, Some(LOOK))
    }

    /// How the message of a `Status` by an executor begins when nothing reached the cluster.
    fn not_executed(&self) -> String {
        format!("request {} was not executed", self.request_id)
    }
}

fn answered(status: u16, is_read: bool) -> (Outcome, String, Option<&'static str>) {
    let (meaning, next) = match status {
        _ if is_read => (format!("the answer was {status}"), None),
        200..=399 => (format!("the cluster did it and answered {status}"), None),
        400..=499 => (
            format!("the cluster refused it with {status}, so nothing was changed"),
            None,
        ),
        _ => (
            format!("the answer was {status}, which does not say whether it was done"),
            Some(LOOK),
        ),
    };
    (Outcome::Answered, meaning, next)
}

impl Show for Shown {
    const KIND: &'static str = "request";
    const COLUMNS: &'static [&'static str] = &[
        "REQUEST", "TOKEN", "COMMAND", "OUTCOME", "", "TO DO", "STATUS", "SAID", "EXECUTOR",
        "DEADLINE", "STEPS",
    ];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let wrapped = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            wrap(&words, " ", WIDTH)
        };
        let outcome = serde_json::to_value(self.outcome).ok();
        let outcome = outcome.as_ref().and_then(Value::as_str).unwrap_or("?");
        let steps = self
            .steps
            .iter()
            .map(|step| format!("{} {}", Moment(step.time_ms), step.what));
        vec![
            self.request_id.to_string(),
            self.token.to_string(),
            or_dash(self.command.clone()),
            outcome.replace('-', " "),
            wrapped(&self.meaning),
            or_dash(self.next.map(wrapped)),
            or_dash(self.http_status.map(|status| status.to_string())),
            or_dash(self.status_message.as_deref().map(wrapped)),
            or_dash(self.executor.map(|executor| executor.to_string())),
            or_dash(self.deadline_ms.map(|ms| Moment(ms).to_string())),
            steps.collect::<Vec<_>>().join("\n"),
        ]
    }

    fn name(&self) -> String {
        self.request_id.to_string()
    }
}

/// The contract's answer to a write that may or may not have happened; others than it say so too.
const OUTCOME_UNKNOWN: u16 = 504;
/// Characters of a line of explanation.
const WIDTH: usize = 80;

const REPEAT: &str = "it may be repeated, under a new ID";
const LOOK: &str =
    "look at the object in the cluster before repeating it; a repetition needs a new ID";
const MEND: &str = "mend what it says, and ask again under a new ID";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
