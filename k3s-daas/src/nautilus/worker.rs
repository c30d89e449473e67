//! One assigned request, from the followed state to its signed answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::answer::{self, deliver};
use super::core::{Core, Held, InMemory, Pause};
use super::journal::{Begun, JournalError, Key, Past, Recalled};
use super::queue::Slot;
use super::reply::{Doubt, Refusal, Reply};
use super::room::Place;
use super::spans::{Done, EXECUTED};
use super::status::Stage;
use super::watch::{Frames, Framing, asks_initial_events, ends_initial_events};
use crate::blob::{self, Holder};
use crate::crypto::{Blob, BlobHash};
use crate::executor::{Error as Upstream, Response};
use crate::metrics::ms;
use crate::token::{Authorized, NotAuthorized};
use crate::types::{K8sApiRequest, Query, Target, TraceId, Verb};
use crate::wire::{self, Content, IntentKind, RequestMessage};

/// Does what is to be done about a request now: execute, answer, give back, or nothing.
///
/// # Errors
/// Only those of the journal, without which nothing may go on.
pub(super) async fn handle(core: &Arc<Core>, key: Key, slot: Slot) -> Result<(), JournalError> {
    let Some(held) = core.look(key) else {
        core.drop_ended(&[key]);
        return Ok(());
    };
    let request = &held.request;
    if request.outcome.is_some() {
        core.drop_ended(&[key]);
        return Ok(());
    }
    if request.executor != core.me || core.is_ignored(key, request.epoch) {
        return Ok(());
    }
    let memory = core.touch(key);
    let mut recalled = match memory {
        InMemory::New => Recalled::default(),
        _ => core.journal.recall(key, request.epoch).await?,
    };
    // Nothing is written down of a read that began.
    if memory == InMemory::Recovered && request.is_read && recalled.past == Past::Fresh {
        recalled.past = Past::Begun;
    }
    if let Some(signed) = recalled.signed {
        drop(slot);
        return deliver(core, signed).await;
    }
    if recalled.is_given_back && core.latest_ms() < request.deadline_ms {
        // It may still arrive that this was given back: nothing is begun, and the ledger is told once more.
        core.release(key, &held).await?;
        return Ok(());
    }
    // In its next epoch it may be answered whatever was signed in this one.
    if request.is_read && recalled.is_lost {
        return Ok(());
    }
    let Some(event) = core.admitted(key) else {
        return Ok(());
    };
    let mut place = Place::default();
    let (decision, target) = decide(core, key, &held, &event, recalled.past).await;
    let reply = match decision {
        Decision::Wait => return Ok(()),
        Decision::Distrust(why) => {
            tracing::error!(token = %key.0, request_id = %key.1, epoch = request.epoch, why,
                "an event is not what the ledger's state says; it is neither executed nor answered");
            core.status.distrusted.add(1);
            core.ignore(key, request.epoch);
            return Ok(());
        }
        Decision::GiveBack(refusal) if may_release(core, &held) => {
            if core.release(key, &held).await? {
                return Ok(());
            }
            Err(refusal)
        }
        Decision::GiveBack(refusal) | Decision::Refuse(refusal) => Err(refusal),
        Decision::Execute(authorized) => {
            if core.shutdown.is_cancelled() {
                drop(slot);
                return give_back(core, key).await;
            }
            match begin_and_execute(core, key, &held, *authorized, &mut place).await? {
                Executed::Reply(reply) => Ok(reply),
                Executed::Refused(refusal) => Err(refusal),
                Executed::NotBegun => return Ok(()),
                Executed::NotSent(refusal) => {
                    if may_release(core, &held) && core.release(key, &held).await? {
                        return Ok(());
                    }
                    Err(refusal)
                }
            }
        }
    };
    answer::answer(core, key, &held, reply, target.as_ref(), (slot, place)).await
}

/// Gives a request back that has not begun, if anybody else can take it; else it stays for the next run.
///
/// # Errors
/// Only those of the journal.
pub(super) async fn give_back(core: &Arc<Core>, key: Key) -> Result<(), JournalError> {
    let Some(held) = core.look(key) else {
        return Ok(());
    };
    let is_mine = held.request.executor == core.me && held.request.outcome.is_none();
    // What began in an earlier run is no one else's either.
    let recalled = core.journal.recall(key, held.request.epoch).await?;
    let is_fresh = recalled.past == Past::Fresh;
    if is_mine && is_fresh && held.has_others && !held.request.is_claimed_write() {
        core.release(key, &held).await?;
    }
    Ok(())
}

enum Decision {
    /// Nothing now; the scan comes back to it.
    Wait,
    /// What was followed is not what the ledger's state says.
    Distrust(&'static str),
    /// Another executor may manage; else this.
    GiveBack(Refusal),
    Refuse(Refusal),
    Execute(Box<Authorized<K8sApiRequest>>),
}

enum Executed {
    Reply(Reply),
    Refused(Refusal),
    /// Another run or another executor has it.
    NotBegun,
    /// Certainly nothing reached the cluster.
    NotSent(Refusal),
}

fn may_release(core: &Core, held: &Held) -> bool {
    let request = &held.request;
    // Two executors that both cannot reach the cluster must not hand it to each other for ever.
    held.has_others
        && request.epoch < core.config().max_releases
        && !request.is_claimed_write()
        && core.now_ms() < request.deadline_ms
}

/// What to do with a request that is assigned here and has no answer, and what it names.
async fn decide(
    core: &Arc<Core>,
    key: Key,
    held: &Held,
    event: &wire::K8sApiRequest,
    past: Past,
) -> (Decision, Option<Target>) {
    let request = &held.request;
    let message = RequestMessage::from(event);
    let kind = if request.session {
        IntentKind::SessionOpen
    } else {
        IntentKind::Request
    };
    let intent = core.deployment.intent(kind, core.cluster, key.0);
    if event.cluster != core.cluster
        || event.seal_token_id != key.0
        || event.session != request.session
        || intent.digest(&message) != request.digest
    {
        return (Decision::Distrust("digest"), None);
    }
    let parsed = match K8sApiRequest::try_from(&message) {
        Ok(parsed) => parsed,
        Err(error) => {
            let refusal = Refusal::NotAuthorized(NotAuthorized::Malformed(error));
            return (Decision::Refuse(refusal), None);
        }
    };
    let target = parsed.target().clone();
    let decision = decide_known(core, key, held, event, &parsed, past).await;
    (decision, Some(target))
}

async fn decide_known(
    core: &Arc<Core>,
    key: Key,
    held: &Held,
    event: &wire::K8sApiRequest,
    parsed: &K8sApiRequest,
    past: Past,
) -> Decision {
    let request = &held.request;
    let doubt = doubt(past);
    if request.is_claimed_write() {
        return Decision::Refuse(Refusal::Unknown(doubt.unwrap_or(Doubt::Claimed)));
    }
    if let Some(doubt) = doubt
        && !request.is_read
    {
        return Decision::Refuse(Refusal::Unknown(doubt));
    }
    if let Some(decision) = too_late(core, held, past) {
        return decision;
    }
    if request.session || is_stream(parsed) {
        return Decision::Refuse(Refusal::Stream);
    }
    let patience = core
        .until(request.lease_ends_ms)
        .min(core.config().blob_patience);
    let fetched = tokio::try_join!(
        fetch(core, key, &event.payload, "payload", patience),
        fetch(core, key, &event.query, "query", patience),
    );
    let (payload, query) = match fetched {
        Ok(fetched) => fetched,
        Err(refusal @ (Refusal::BlobStore(_) | Refusal::BlobMissing(_))) => {
            return Decision::GiveBack(refusal);
        }
        Err(refusal) => return Decision::Refuse(refusal),
    };
    let admitted = core.view(|snapshot| {
        Authorized::admit(
            event,
            snapshot.state,
            &core.deployment,
            core.me,
            payload.as_ref(),
            query.as_ref(),
            core.latest_of(snapshot.now_ms),
        )
    });
    match admitted {
        Ok(authorized) => Decision::Execute(Box::new(authorized)),
        // It moved on while the bytes were fetched: whoever has it now answers.
        Err(NotAuthorized::AlreadyAnswered | NotAuthorized::NotAssigned) => Decision::Wait,
        Err(NotAuthorized::LeaseOver) => too_late(core, held, past).unwrap_or(Decision::Wait),
        Err(NotAuthorized::ClaimedWrite) => Decision::Refuse(Refusal::Unknown(Doubt::Claimed)),
        // An answer would be about something that this executor has not seen.
        Err(NotAuthorized::Unknown(what)) => Decision::Distrust(what),
        Err(NotAuthorized::Foreign) => Decision::Distrust("chain or cluster"),
        Err(NotAuthorized::Digest) => Decision::Distrust("digest"),
        Err(NotAuthorized::Blob(what)) => Decision::Refuse(Refusal::BlobCorrupt(what)),
        Err(
            why @ (NotAuthorized::Malformed(_) | NotAuthorized::Target | NotAuthorized::Sealed),
        ) => Decision::Refuse(Refusal::NotAuthorized(why)),
    }
}

/// Why nobody knows what became of it, if it may have begun.
fn doubt(past: Past) -> Option<Doubt> {
    match past {
        Past::Fresh => None,
        Past::Begun => Some(Doubt::Restart),
        Past::Lost => Some(Doubt::NoJournal),
    }
}

/// What remains to be said once nothing may begin any more.
fn too_late(core: &Core, held: &Held, past: Past) -> Option<Decision> {
    let request = &held.request;
    let latest_ms = core.latest_ms();
    if latest_ms >= request.deadline_ms {
        Some(Decision::Refuse(match doubt(past) {
            None => Refusal::TooLate,
            Some(_) if request.is_read => Refusal::ReadTimeout,
            Some(doubt) => Refusal::Unknown(doubt),
        }))
    } else if latest_ms >= request.lease_ends_ms {
        Some(Decision::Wait)
    } else {
        None
    }
}

/// Whether only a stream between client and cluster can carry it.
fn is_stream(request: &K8sApiRequest) -> bool {
    let path = &request.target().path;
    match path.subresource.as_str() {
        "exec" | "attach" | "portforward" | "proxy" => true,
        "log" => match request.query() {
            Query::Plain(query) => query.split('&').any(is_follow),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a parameter of a log's query follows it, as Go's `strconv.ParseBool` reads it; what that
/// does not know may still be taken for true somewhere.
fn is_follow(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let is_false = matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False");
    // A name may be spelled with escapes; no parameter of a log has any other reason to.
    (name == "follow" || name.contains('%')) && !is_false
}

/// A blob beside the ledger; nothing if the ledger speaks of none.
async fn fetch(
    core: &Core,
    key: Key,
    content: &Content,
    what: &'static str,
    patience: Duration,
) -> Result<Option<Blob>, Refusal> {
    let Some(hash) = content.hash32() else {
        return Ok(None);
    };
    let hash = BlobHash(hash);
    let end = Instant::now() + patience;
    let mut pause = Pause::up_to(Duration::from_millis(500));
    loop {
        let refusal = match core.blobs.fetch_held(&hash, &holder(key)).await {
            Ok(blob) => return Ok(Some(blob)),
            Err(error @ blob::Error::Corrupt { .. }) => {
                tracing::warn!(token = %key.0, request_id = %key.1, what, %error, "damaged");
                return Err(Refusal::BlobCorrupt(what));
            }
            Err(blob::Error::NotFound { .. }) => Refusal::BlobMissing(what),
            Err(error) => {
                tracing::warn!(token = %key.0, request_id = %key.1, what, %error, "not fetched");
                Refusal::BlobStore(what)
            }
        };
        if Instant::now() >= end {
            return Err(refusal);
        }
        pause.wait().await;
    }
}

/// Writes down that a write begins, sends what was admitted, and makes what came back a reply.
async fn begin_and_execute(
    core: &Arc<Core>,
    key: Key,
    held: &Held,
    authorized: Authorized<K8sApiRequest>,
    place: &mut Place,
) -> Result<Executed, JournalError> {
    let (token, id) = key;
    let request = &held.request;
    let epoch = authorized.grant().epoch;
    let is_read = request.is_read;
    let is_watch = authorized.request().target().verb == Verb::Watch;
    let asks_initial = asks_initial_events(authorized.query());
    if !is_read {
        crash_point!(NautilusBeforeBegin);
        let keep_until_ms = request.prunable_at_ms;
        let started = Instant::now();
        let begun = core.journal.begin(key, epoch, keep_until_ms).await?;
        core.took(key, Stage::Begin, started.into_std());
        if begun == Begun::Before {
            return Ok(Executed::Refused(Refusal::Unknown(Doubt::Restart)));
        }
        crash_point!(NautilusBegun);
    }
    if core.latest_ms() >= request.lease_ends_ms {
        not_sent(core, key, epoch, is_read).await?;
        return Ok(Executed::NotBegun);
    }
    let target = authorized.request().target();
    let method = authorized.request().method();
    let (verb, resource) = (target.verb, target.path.full_resource());
    let namespace = target.path.namespace.clone();
    tracing::debug!(%token, request_id = %id, epoch, %verb, resource, "begins");
    let started = Instant::now();
    let deadline = started + core.until(request.deadline_ms);
    core.status.at_cluster.add(1);
    crash_point!(NautilusBeforeSend);
    let executed = tokio::time::timeout_at(deadline, async {
        let response = core.executor.execute(authorized).await?;
        if is_watch && (200..300).contains(&response.status) {
            let window = watch_window(core, request.lease_ends_ms);
            let window = started + window;
            return Ok(cut_watch(core, response, place, window, asks_initial, is_read).await);
        }
        Ok(read_whole(core, response, place, is_read).await)
    })
    .await;
    core.status.at_cluster.subtract(1);
    let elapsed = started.elapsed();
    core.took(key, Stage::Cluster, started.into_std());
    let executed = match executed {
        Ok(Ok(executed)) => executed,
        Ok(Err(Upstream::NotSent { reason })) => {
            tracing::warn!(%token, request_id = %id, epoch, reason, "nothing was sent to the cluster");
            core.status.set_cluster(Some(reason.clone()));
            not_sent(core, key, epoch, is_read).await?;
            return Ok(Executed::NotSent(Refusal::ClusterUnreachable(reason)));
        }
        Ok(Err(Upstream::Unsupported { reason })) => {
            not_sent(core, key, epoch, is_read).await?;
            return Ok(Executed::Refused(Refusal::Unsupported(reason)));
        }
        Ok(Err(Upstream::Interrupted { reason })) => {
            tracing::warn!(%token, request_id = %id, epoch, reason, "the cluster's answer broke off");
            Executed::Refused(if is_read {
                Refusal::Interrupted
            } else {
                Refusal::Unknown(Doubt::Interrupted)
            })
        }
        Err(_elapsed) => Executed::Refused(if is_read {
            Refusal::ReadTimeout
        } else {
            Refusal::Unknown(Doubt::Deadline)
        }),
    };
    if let Executed::Reply(reply) = &executed {
        crash_point!(NautilusClusterAnswered);
        core.status.executed.add(1);
        core.status.set_cluster(None);
        let elapsed_ms = ms(elapsed);
        tracing::info!(request_id = %id, trace_id = %TraceId::of_request(id), %token, epoch, %verb, resource,
            namespace, status = reply.status, outcome = EXECUTED, bytes_out = reply.body.len(), elapsed_ms,
            "request");
        core.spans.done(key, || Done {
            epoch,
            status: reply.status,
            outcome: EXECUTED,
            method: Some(method),
            verb: Some(verb),
            resource,
            namespace,
            bytes_out: Some(reply.body.len() as u64),
        });
        if reply.is_refused_impersonation() {
            tracing::warn!(%token, request_id = %id,
                "the cluster does not let this executor act as the token, so the refusal is not the token's: \
                 its message names the user, group or extra that this executor's role in the cluster lacks");
        }
    }
    Ok(executed)
}

/// Takes the beginning of a write back.
async fn not_sent(core: &Core, key: Key, epoch: u64, is_read: bool) -> Result<(), JournalError> {
    if is_read {
        return Ok(());
    }
    crash_point!(NautilusBeforeNotSent);
    core.journal.not_sent(key, epoch).await?;
    crash_point!(NautilusNotSent);
    Ok(())
}

/// How long a watch may wait for its first event: its answer must be stored before the lease ends, or
/// another executor claims it.
fn watch_window(core: &Core, lease_ends_ms: u64) -> Duration {
    let lease = core.until(lease_ends_ms);
    let share = lease.saturating_sub(lease / 4);
    core.config().watch_window.min(share)
}

/// The whole body, up to the bound.
async fn read_whole(core: &Core, response: Response, place: &mut Place, is_read: bool) -> Executed {
    let limit = core.config().max_response_bytes;
    let Response {
        status,
        headers,
        mut body,
    } = response;
    if let Some(refusal) = unfit(status, &headers, is_read) {
        return Executed::Refused(refusal);
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) if bytes.len() + piece.len() <= limit => {
                core.room.grow(place, bytes.len() + piece.len()).await;
                bytes.extend_from_slice(&piece);
            }
            Ok(_) => {
                return Executed::Refused(Refusal::TooLarge {
                    status,
                    limit,
                    is_read,
                });
            }
            Err(error) => {
                tracing::warn!(%error, status, "the cluster's answer broke off");
                return Executed::Refused(if is_read {
                    Refusal::Interrupted
                } else {
                    Refusal::Unknown(Doubt::Truncated(status))
                });
            }
        }
    }
    Executed::Reply(Reply {
        status,
        headers,
        body: bytes.freeze(),
    })
}

/// The first events of a watch: until a moment after the first one, or after the end of the initial ones if
/// they were asked for, or until the window closes.
async fn cut_watch(
    core: &Core,
    response: Response,
    place: &mut Place,
    window: Instant,
    mut awaits_initial: bool,
    is_read: bool,
) -> Executed {
    let limit = core.config().max_response_bytes;
    let Response {
        status,
        headers,
        mut body,
    } = response;
    if let Some(refusal) = unfit(status, &headers, is_read) {
        return Executed::Refused(refusal);
    }
    let content_type = header(&headers, "content-type");
    let Some(framing) = Framing::of(&content_type) else {
        return Executed::Refused(Refusal::Uncuttable(content_type));
    };
    let mut frames = Frames::new(framing);
    let mut bytes = BytesMut::new();
    let mut end = window;
    let mut is_settling = false;
    loop {
        // An event that has begun to arrive while none is whole yet is worth waiting for.
        let is_partial = frames.count() == 0 && !bytes.is_empty();
        let next = if is_partial {
            Ok(body.next().await)
        } else {
            tokio::time::timeout_at(end, body.next()).await
        };
        let piece = match next {
            Err(_closed) => break,
            Ok(None) => break,
            Ok(Some(Ok(piece))) => piece,
            // What arrived whole is true, and the client asks again from there.
            Ok(Some(Err(_))) if frames.count() > 0 => break,
            Ok(Some(Err(_))) => return Executed::Refused(Refusal::Interrupted),
        };
        if bytes.len() + piece.len() > limit {
            if frames.count() == 0 {
                return Executed::Refused(Refusal::TooLarge {
                    status,
                    limit,
                    is_read,
                });
            }
            break;
        }
        let whole_before = frames.whole();
        let grow = core.room.grow(place, bytes.len() + piece.len());
        if tokio::time::timeout_at(window, grow).await.is_err() {
            if frames.count() == 0 {
                return Executed::Refused(Refusal::NoRoom { status, is_read });
            }
            break;
        }
        frames.extend(&piece);
        bytes.extend_from_slice(&piece);
        // Cut before their end, they would all be asked for again.
        awaits_initial =
            awaits_initial && !ends_initial_events(&bytes[whole_before..frames.whole()]);
        if !is_settling && !awaits_initial && frames.count() > 0 {
            is_settling = true;
            end = end.min(Instant::now() + core.config().watch_settle);
        }
    }
    bytes.truncate(frames.whole());
    Executed::Reply(Reply {
        status,
        headers,
        body: bytes.freeze(),
    })
}

/// Why an answer of the cluster cannot go back as it is.
fn unfit(status: u16, headers: &[(String, Vec<u8>)], is_read: bool) -> Option<Refusal> {
    if !(200..=599).contains(&status) {
        return Some(if is_read {
            Refusal::NoFinalStatus(status)
        } else {
            Refusal::Unknown(Doubt::Truncated(status))
        });
    }
    if status == 401 {
        tracing::warn!(
            "the cluster does not take this executor's credential: renew the one in its kubeconfig"
        );
        return Some(Refusal::Unauthenticated);
    }
    let encoding = header(headers, "content-encoding");
    let is_plain = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
    (!is_plain).then_some(Refusal::Encoded { status, encoding })
}

fn header(headers: &[(String, Vec<u8>)], name: &str) -> String {
    let found = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or_else(String::new, |(_, value)| {
        String::from_utf8_lossy(value).into_owned()
    })
}

/// What a request's blobs are held for.
pub(super) fn holder(key: Key) -> Holder {
    Holder::for_request(key.0, key.1)
}
