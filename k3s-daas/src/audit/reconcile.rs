//! Holds a verified trail against what the Kubernetes cluster itself logged.
//!
//! Both logs have the same two names for a request: the token, which the cluster knows as the user
//! `seal:0x…` that was impersonated, and the request ID, which stands in that user's extra information. So
//! [`reconcile`] finds what reached the cluster without the ledger, and what the ledger claims and the cluster
//! never saw. It trusts neither for the other, and needs both whole: every file of every API server, and an
//! audit policy that logs Nautilus's requests at level `Metadata` at least.

mod event;
mod judge;
mod scratch;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use self::event::{ClusterEvent, Events, Stage};
use self::judge::{Admission, Key, judge};
use self::scratch::{Scratch, Who};
use super::{Options, Report, verify_each};
use crate::contract::Bound;
use crate::ledger;
use crate::ledger::local::replay::Replayed;
use crate::ledger::local::replica::Replica;
use crate::ledger::local::wall_clock_ms;
use crate::token::USER_PREFIX;
use crate::types::{ByteString, ClusterId, RequestId, TokenId};
use crate::wire::{Content, Event, K8sApiRequest};

/// The account of Nautilus in `deploy/kubernetes/`.
pub const NAUTILUS_ACCOUNT: &str = "system:serviceaccount:daas:nautilus";

/// What is held against what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReconcileOptions {
    /// What the ledger itself is held against first.
    pub ledger: Options,
    /// The names by which the cluster knows Nautilus. Default: [`NAUTILUS_ACCOUNT`].
    pub accounts: Vec<String>,
    /// The cluster whose log it is, if the ledger has several.
    pub cluster: Option<ClusterId>,
    /// By how much the clocks of ledger and cluster may differ. Default: 5 s.
    pub clock_skew: Duration,
    /// Whether reads that the cluster's log does not have are passed over, for audit policies that leave them
    /// out. Default: no.
    pub writes_only: bool,
    /// From when on the log is whole, Unix milliseconds. Default: from the beginning of the ledger.
    pub since_ms: Option<u64>,
    /// Up to when the log is whole, Unix milliseconds. Default: up to a minute ago.
    pub until_ms: Option<u64>,
    /// How many findings are kept; all are counted. Default: 1,000.
    pub max_findings: usize,
}

impl Default for ReconcileOptions {
    fn default() -> Self {
        Self {
            ledger: Options::default(),
            accounts: vec![NAUTILUS_ACCOUNT.to_owned()],
            cluster: None,
            clock_skew: Duration::from_secs(5),
            writes_only: false,
            since_ms: None,
            until_ms: None,
            max_findings: 1000,
        }
    }
}

/// A file of the cluster's audit log, or a part of it: JSON lines of `audit.k8s.io/v1` events.
pub struct ClusterLog {
    name: String,
    open: Box<dyn FnOnce() -> io::Result<Box<dyn BufRead>>>,
}

impl ClusterLog {
    /// A file, opened when its turn comes.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        Self {
            name: path.display().to_string(),
            open: Box::new(move || {
                let file = std::fs::File::open(path)?;
                Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
            }),
        }
    }

    /// What `reader` gives; errors call it `name`.
    pub fn new(name: impl Into<String>, reader: impl BufRead + 'static) -> Self {
        Self {
            name: name.into(),
            open: Box::new(move || Ok(Box::new(reader))),
        }
    }
}

impl fmt::Debug for ClusterLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterLog")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Whether the ledger verifies, nothing was found, and the log covers all that it should.
    pub clean: bool,
    /// The verification of the ledger; if it is broken, nothing was compared.
    pub ledger: Report,
    /// From the first to the last moment in the cluster's log.
    pub window: Window,
    /// Files whose last line was not whole, as one that is being written has it.
    pub truncated: Vec<String>,
    /// How much there was of everything.
    pub counts: Counts,
    /// How many findings there are of each kind.
    pub found: BTreeMap<FindingKind, u64>,
    /// The findings, oldest first; at most [`ReconcileOptions::max_findings`].
    pub findings: Vec<Finding>,
}

/// A span of time, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Window {
    /// Its first moment.
    pub from_ms: u64,
    /// Its last moment.
    pub to_ms: u64,
}

/// How much there was of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Events in the cluster's log, of whomever.
    pub events: u64,
    /// Requests that Nautilus's accounts made of the cluster.
    pub requests: u64,
    /// Of these, Nautilus asking for itself whether the cluster is ready.
    pub probes: u64,
    /// Requests that the ledger admitted for this cluster.
    pub admitted: u64,
    /// Of these, seen by the cluster as they were admitted, and with the status of the answer.
    pub matched: u64,
    /// Seen by the cluster, and not answered yet on the ledger.
    pub unanswered: u64,
    /// Answered 504, outcome unknown, and seen by the cluster; what it did stands in its log.
    pub unknown: u64,
    /// Seen by the cluster, whose answer could not be passed on: 406, 502, 507, or 503 of a read.
    pub not_passed_on: u64,
    /// Reads that were executed again by who took them on from an executor that did not answer.
    pub repeated_reads: u64,
    /// Not named in the cluster's log, and answered so, or not at all, that it need not be.
    pub without_cluster: u64,
    /// Not named in the cluster's log, which has a request of the same time and URI whose user it does not know:
    /// refused before the cluster knew whom Nautilus acts as, or under way when the API server died.
    pub by_likeness: u64,
    /// Not named in the cluster's log, which does not reach to their time, though it should be whole there: nothing
    /// can be said of them, nor of what the cluster did meanwhile.
    pub uncovered: u64,
    /// Not named in the cluster's log, and outside of the time for which it was said to be whole.
    pub outside: u64,
    /// Reads not named in the cluster's log, passed over by [`ReconcileOptions::writes_only`].
    pub reads_left_out: u64,
}

/// What is the matter with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// Nautilus's account asked the cluster for what the ledger did not admit.
    Unrecorded,
    /// Another account asked the cluster as a token.
    Foreign,
    /// Another method, path or query than was admitted.
    Altered,
    /// Other groups than the token's.
    Groups,
    /// More than once: a write, or a read more often than it was assigned.
    Repeated,
    /// Before it was admitted, after it was answered, or after its deadline.
    Untimely,
    /// The ledger has an answer of the cluster's, and the cluster never saw the request.
    Missing,
    /// The cluster gave another status than the ledger has.
    Status,
}

/// Something that one log has and the other does not, or has otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What is the matter.
    pub kind: FindingKind,
    /// When it reached the cluster; of what did not, when it was admitted. Unix milliseconds.
    pub time_ms: u64,
    /// Method, path and query.
    pub command: String,
    /// The request, if it names one.
    pub request_id: Option<RequestId>,
    /// The token, if it names one.
    pub token: Option<TokenId>,
    /// Who asked the cluster.
    pub account: Option<String>,
    /// Its ID in the cluster's log.
    pub audit_id: Option<String>,
    /// The cluster's status.
    pub status: Option<u16>,
    /// The status on the ledger.
    pub recorded: Option<u16>,
    /// In words.
    pub detail: String,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A file of the cluster's log cannot be read.
    #[error("{name} cannot be read")]
    Read {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no event of a cluster's log.
    #[error("{name}:{line}: {why}")]
    Line {
        /// The file.
        name: String,
        /// Counted from 1.
        line: u64,
        /// In words.
        why: String,
    },
    /// There is not one event, so nothing can be said.
    #[error("the cluster's log has no event")]
    Empty,
    /// The cluster's log begins before what the ledger can be asked for: what happened then is in the archive, which
    /// [`Options::archive`] names.
    #[error("the cluster's log begins in a time of which the ledger's events were archived")]
    Archived,
    /// The temporary database that both are sorted in cannot be used.
    #[error("the temporary database cannot be used")]
    Scratch(#[from] rusqlite::Error),
}

/// Holds the ledger in `dir` against the cluster's log. Both may be written meanwhile: the log is read first, and
/// what it has must be on the ledger by then.
///
/// Takes the time of a verification and under 50 µs for each event; memory for the ledger's state, the longest line
/// and under 100 MB, however long the log is; and a temporary file of some 500 bytes for each request (in
/// `SQLITE_TMPDIR` or `TMPDIR`).
///
/// # Errors
/// [`ReconcileError`]. That something is wrong is no error but a [`Finding`], or [`Report::broken`].
pub fn reconcile(
    dir: impl AsRef<Path>,
    logs: impl IntoIterator<Item = ClusterLog>,
    options: &ReconcileOptions,
) -> Result<Reconciliation, ReconcileError> {
    let late_ms = wall_clock_ms().saturating_sub(LATE_MS);
    let mut comparison = Comparison {
        options,
        whole: Window {
            from_ms: options.since_ms.unwrap_or_default(),
            to_ms: options.until_ms.unwrap_or(late_ms),
        },
        scratch: Scratch::new()?,
        window_us: None,
        groups: HashMap::new(),
        result: Reconciliation::default(),
    };
    for log in logs {
        comparison.read_log(log)?;
    }
    let Some((first_us, last_us)) = comparison.window_us else {
        return Err(ReconcileError::Empty);
    };
    comparison.result.window = Window {
        from_ms: ms(first_us),
        to_ms: ms(last_us),
    };
    comparison.scratch.index()?;
    comparison.read_ledger(dir.as_ref())?;
    if comparison.result.ledger.verified {
        comparison.compare()?;
    }
    Ok(comparison.finish())
}

/// One run.
struct Comparison<'a> {
    options: &'a ReconcileOptions,
    /// For which time the log should have everything.
    whole: Window,
    scratch: Scratch,
    /// From the first to the last moment in the cluster's log, Unix microseconds.
    window_us: Option<(i64, i64)>,
    /// Those of each token, sorted.
    groups: HashMap<TokenId, Vec<String>>,
    result: Reconciliation,
}

impl Comparison<'_> {
    fn read_log(&mut self, log: ClusterLog) -> Result<(), ReconcileError> {
        let ClusterLog { name, open } = log;
        let reader = open().map_err(|source| ReconcileError::Read {
            name: name.clone(),
            source,
        })?;
        let mut events = Events::new(name.clone(), reader);
        while let Some(event) = events.next()? {
            self.result.counts.events += 1;
            // By when it was written: what ends a long watch says when that began, and nothing of the time since.
            let written_us = event.stage_us;
            let (first, last) = self.window_us.unwrap_or((written_us, written_us));
            self.window_us = Some((first.min(written_us), last.max(written_us)));
            if let Some(who) = self.who(&event) {
                self.scratch.add_event(&event, who)?;
            }
        }
        if events.truncated {
            self.result.truncated.push(name);
        }
        Ok(())
    }

    /// Whose request it is, if it matters here.
    fn who(&self, event: &ClusterEvent) -> Option<Who> {
        if self.options.accounts.contains(&event.account) {
            return Some(Who::Nautilus);
        }
        let impersonated = event.impersonated.as_ref();
        let is_token = |user: &str| user.starts_with(USER_PREFIX);
        if is_token(&event.account) || impersonated.is_some_and(|user| is_token(&user.user)) {
            return Some(Who::Foreign);
        }
        // Whom the cluster refuses before it knows who asks may be Nautilus too.
        (event.account.is_empty() && event.stage > Stage::Received).then_some(Who::Nobody)
    }

    fn read_ledger(&mut self, dir: &Path) -> Result<(), ReconcileError> {
        let (mut failure, mut admitted) = (None, 0);
        let (scratch, groups, cluster) = (&self.scratch, &mut self.groups, self.options.cluster);
        let mut visit = |replayed: &Replayed, _: &Replica| {
            for (place, emitted) in (replayed.applied.first_event..).zip(&replayed.applied.events) {
                let event = &emitted.event;
                if failure.is_some() || cluster.is_some_and(|cluster| event.cluster() != cluster) {
                    continue;
                }
                admitted += u64::from(matches!(event, Event::K8sApiRequest(_)));
                failure = note(scratch, groups, place, event).err();
            }
        };
        self.result.ledger = verify_each(dir, &self.options.ledger, &mut visit)?;
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        if let Some(archived) = &self.result.ledger.archived
            && !archived.verified
            && self.result.window.from_ms <= archived.to_ms + Bound::DEADLINE_AHEAD_MS
        {
            return Err(ReconcileError::Archived);
        }
        self.result.counts.admitted = admitted;
        Ok(())
    }

    fn compare(&mut self) -> Result<(), ReconcileError> {
        self.result.counts.requests = self.scratch.count_requests()?;
        let (skew_ms, limit) = (self.skew_ms(), self.options.max_findings);
        let (scratch, groups, result) = (&self.scratch, &self.groups, &mut self.result);
        let no_groups = Vec::new();
        scratch.each_admitted(|key, admissions, seen| {
            let groups = groups.get(&key.0).unwrap_or(&no_groups);
            let verdict = judge(key, admissions, seen, groups, skew_ms, &mut result.counts);
            for finding in verdict.findings {
                result.add(finding, limit);
            }
            for index in verdict.unmatched {
                let admission = &admissions[index];
                scratch.add_unmatched(key, admission, admission.claims())?;
            }
            Ok::<_, ReconcileError>(())
        })?;
        scratch.each_unadmitted(|key, seen| {
            let detail = "the ledger admitted no such request of this token".to_owned();
            result.add(seen.finding(FindingKind::Unrecorded, key, detail), limit);
            Ok::<_, ReconcileError>(())
        })?;
        scratch.each_foreign(|user, seen| {
            let detail = match user {
                Some(user) => format!("as {user}, by an account that is not Nautilus's"),
                None => "by a credential of its own, without Nautilus".to_owned(),
            };
            result.add(seen.anonymous(FindingKind::Foreign, detail), limit);
            Ok::<_, ReconcileError>(())
        })?;
        self.compare_unmatched()?;
        self.compare_strays()
    }

    /// What was admitted and has no request in the log that names it.
    fn compare_unmatched(&mut self) -> Result<(), ReconcileError> {
        let (skew_ms, limit) = (self.skew_ms(), self.options.max_findings);
        let (scratch, window, result) = (&self.scratch, self.result.window, &mut self.result);
        let (whole, writes_only) = (self.whole, self.options.writes_only);
        scratch.each_unmatched(|key: Key, admission: &Admission, claims| {
            let from_ms = admission.admitted_ms.saturating_sub(skew_ms);
            let answered_ms = admission.answer.map(|answer| answer.time_ms);
            let to_ms = answered_ms.unwrap_or(u64::MAX).saturating_add(skew_ms);
            if scratch.take_stray(admission, us(from_ms), us(to_ms))? {
                result.counts.by_likeness += 1;
            } else if !claims {
                result.counts.without_cluster += 1;
            } else if admission.is_read && writes_only {
                result.counts.reads_left_out += 1;
            } else if from_ms < window.from_ms || to_ms > window.to_ms {
                if admission.admitted_ms < whole.from_ms || to_ms > whole.to_ms {
                    result.counts.outside += 1;
                } else {
                    result.counts.uncovered += 1;
                }
            } else {
                result.add(admission.missing(key), limit);
            }
            Ok::<_, ReconcileError>(())
        })
    }

    /// What Nautilus's accounts asked for without a token and a request ID.
    fn compare_strays(&mut self) -> Result<(), ReconcileError> {
        let (skew_ms, limit) = (self.skew_ms(), self.options.max_findings);
        let (scratch, result) = (&self.scratch, &mut self.result);
        scratch.each_stray(|stray| {
            let seen = &stray.seen;
            let is_plain = stray.user.is_none();
            if is_plain && seen.method == "GET" && seen.uri == PROBE {
                result.counts.probes += 1;
                return Ok(());
            }
            if is_plain && !stray.has_ended {
                let skew_ms = i64::try_from(skew_ms).unwrap_or(i64::MAX);
                if scratch.is_repeated_read(seen, skew_ms)? {
                    result.counts.repeated_reads += 1;
                    return Ok(());
                }
            }
            let detail = match stray.user {
                Some(user) if user.starts_with(USER_PREFIX) => {
                    format!("as {user}, without the ID of a request")
                }
                Some(user) => format!("as {user}, who is no token"),
                None if !stray.has_ended => {
                    "it began, and the log knows neither its user nor its end".to_owned()
                }
                None if seen.code == Some(403) => {
                    "as itself or as somebody that it may not act as, and refused".to_owned()
                }
                None => "as itself, which Nautilus does only to see whether the cluster is ready"
                    .to_owned(),
            };
            result.add(seen.anonymous(FindingKind::Unrecorded, detail), limit);
            Ok::<_, ReconcileError>(())
        })
    }

    fn skew_ms(&self) -> u64 {
        u64::try_from(self.options.clock_skew.as_millis()).unwrap_or(u64::MAX / 2)
    }

    fn finish(self) -> Reconciliation {
        let mut result = self.result;
        result.findings.sort_by_key(|finding| finding.time_ms);
        let is_covered = result.counts.uncovered == 0;
        result.clean = result.ledger.verified && result.found.is_empty() && is_covered;
        result
    }
}

impl Reconciliation {
    fn add(&mut self, finding: Finding, limit: usize) {
        *self.found.entry(finding.kind).or_default() += 1;
        if self.findings.len() < limit {
            self.findings.push(finding);
        }
    }
}

/// Keeps what an event says about a request, and about groups.
fn note(
    scratch: &Scratch,
    groups: &mut HashMap<TokenId, Vec<String>>,
    place: u64,
    event: &Event,
) -> rusqlite::Result<()> {
    let id = |text: &ByteString| RequestId::from_bytes(text).ok();
    match event {
        Event::SealTokenIssued(issued) => {
            // As the executor: what is of the system goes no further.
            let texts = issued.groups.iter().map(ToString::to_string);
            let mut texts: Vec<String> = texts
                .filter(|group| !group.starts_with("system:"))
                .collect();
            texts.sort_unstable();
            texts.dedup();
            groups.insert(issued.token, texts);
        }
        Event::K8sApiRequest(admitted) => {
            if let Some(id) = id(&admitted.request_id) {
                let key = (admitted.seal_token_id, id);
                scratch.add_admission(key, place, &admission_of(admitted))?;
            }
        }
        Event::K8sRequestClaimed(claimed) => {
            if let Some(id) = id(&claimed.request_id) {
                scratch.add_assignment((claimed.token, id))?;
            }
        }
        Event::K8sRequestReleased(released) => {
            if let Some(id) = id(&released.request_id) {
                scratch.add_assignment((released.token, id))?;
            }
        }
        Event::K8sRequestProcessed(answered) => {
            if let Some(id) = id(&answered.request_id) {
                let key = (answered.token, id);
                scratch.add_answer(key, answered.status_code, answered.processed_at_ms)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn admission_of(admitted: &K8sApiRequest) -> Admission {
    let uri = match admitted.query.kind {
        Content::PLAIN => format!("{}?{}", admitted.path, admitted.query.bytes),
        _ => admitted.path.to_string(),
    };
    Admission {
        method: admitted.method.to_string(),
        uri,
        is_query_hidden: admitted.query.kind == Content::HASHED,
        is_read: admitted.is_read,
        admitted_ms: admitted.timestamp_ms,
        deadline_ms: admitted.deadline_ms,
        assignments: 1,
        answer: None,
    }
}

fn ms(us: i64) -> u64 {
    u64::try_from(us.div_euclid(1000)).unwrap_or_default()
}

fn us(ms: u64) -> i64 {
    i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX)
}

/// By how much a log may be behind the ledger, whose end is read after it; milliseconds.
const LATE_MS: u64 = 60_000;
/// What Nautilus asks for as itself.
const PROBE: &str = "/readyz";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
