//! What the two logs must have in common, for the requests of one ID.

use super::{Counts, Finding, FindingKind};
use crate::types::{RequestId, TokenId};

/// What names a request in both logs.
pub(super) type Key = (TokenId, RequestId);

/// A request as the ledger admitted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) method: String,
    /// Path and query; the path alone if the ledger has only the query's hash.
    pub(super) uri: String,
    pub(super) is_query_hidden: bool,
    pub(super) is_read: bool,
    pub(super) admitted_ms: u64,
    /// Nothing may begin from then on.
    pub(super) deadline_ms: u64,
    /// How many times it was given to an executor.
    pub(super) assignments: u64,
    pub(super) answer: Option<Answer>,
}

/// Its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) time_ms: u64,
}

/// A request as the cluster saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) audit_id: String,
    pub(super) account: String,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) received_us: i64,
    pub(super) code: Option<u16>,
    /// Whom it impersonated, sorted.
    pub(super) groups: Vec<String>,
}

/// What is found out about the requests of one ID.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) findings: Vec<Finding>,
    /// Admissions, by their place, that nothing in the log names.
    pub(super) unmatched: Vec<usize>,
}

/// Holds what was admitted under an ID against what the cluster saw of it; both in order of time.
///
/// `groups` are those of the token, sorted.
pub(super) fn judge(
    key: Key,
    admissions: &[Admission],
    seen: &[Seen],
    groups: &[String],
    skew_ms: u64,
    counts: &mut Counts,
) -> Verdict {
    let mut verdict = Verdict::default();
    let mut of_each: Vec<Vec<&Seen>> = vec![Vec::new(); admissions.len()];
    for one in seen {
        // An ID is free again once it was pruned, so it is the last admission before it.
        let begun = |admission: &&Admission| admission.admitted_ms <= one.at_ms() + skew_ms;
        let count = admissions.iter().take_while(begun).count();
        match count.checked_sub(1) {
            Some(index) => of_each[index].push(one),
            None => {
                let first = admissions.first();
                let early_ms = first.map_or(0, |first| first.admitted_ms - one.at_ms());
                let detail = format!("it reached the cluster {early_ms} ms before it was admitted");
                verdict
                    .findings
                    .push(one.finding(FindingKind::Untimely, key, detail));
            }
        }
    }
    for (index, (admission, seen)) in admissions.iter().zip(&of_each).enumerate() {
        if seen.is_empty() {
            verdict.unmatched.push(index);
        } else {
            judge_one(key, admission, seen, groups, skew_ms, counts, &mut verdict);
        }
    }
    verdict
}

fn judge_one(
    key: Key,
    admission: &Admission,
    seen: &[&Seen],
    groups: &[String],
    skew_ms: u64,
    counts: &mut Counts,
    verdict: &mut Verdict,
) {
    let found = verdict.findings.len();
    let mut same: Vec<&Seen> = Vec::new();
    for one in seen {
        let mut finding = |kind, detail| {
            let mut finding = one.finding(kind, key, detail);
            finding.recorded = admission.answer.map(|answer| answer.status);
            verdict.findings.push(finding);
        };
        if !admission.is_same(one) {
            let detail = format!("admitted was {}", shown(&admission.method, &admission.uri));
            finding(FindingKind::Altered, detail);
            continue;
        }
        if one.groups != groups {
            let detail = format!(
                "as {}, and the token has {}",
                listed(&one.groups),
                listed(groups)
            );
            finding(FindingKind::Groups, detail);
        }
        if let Some(answer) = admission.answer
            && one.at_ms() > answer.time_ms.saturating_add(skew_ms)
        {
            let late_ms = one.at_ms() - answer.time_ms;
            let detail = format!("it reached the cluster {late_ms} ms after it was answered");
            finding(FindingKind::Untimely, detail);
        } else if one.at_ms() > admission.deadline_ms.saturating_add(skew_ms) {
            let late_ms = one.at_ms() - admission.deadline_ms;
            let detail = format!("it reached the cluster {late_ms} ms after its deadline");
            finding(FindingKind::Untimely, detail);
        }
        same.push(one);
    }
    let allowed = if admission.is_read {
        usize::try_from(admission.assignments).unwrap_or(usize::MAX)
    } else {
        1
    };
    if same.len() > allowed {
        let ids: Vec<&str> = same.iter().map(|one| one.audit_id.as_str()).collect();
        let times = same.len();
        let detail = format!(
            "{times} times, where {allowed} could be: {}",
            ids.join(", ")
        );
        let mut finding = same[same.len() - 1].finding(FindingKind::Repeated, key, detail);
        finding.recorded = admission.answer.map(|answer| answer.status);
        verdict.findings.push(finding);
    } else if same.len() > 1 {
        counts.repeated_reads += same.len() as u64 - 1;
    }
    let Some(last) = same.last() else { return };
    let Some(answer) = admission.answer else {
        counts.unanswered += 1;
        return;
    };
    let is_status = |one: &&&Seen| one.code.is_none_or(|code| code == answer.status);
    if same.iter().any(|one| is_status(&one)) {
        // Whatever else is wrong with it was counted where it was found.
        counts.matched += u64::from(verdict.findings.len() == found);
    } else if answer.status == OUTCOME_UNKNOWN {
        counts.unknown += 1;
    } else if answer.is_for_another(admission.is_read) {
        counts.not_passed_on += 1;
    } else {
        let mut finding = last.finding(
            FindingKind::Status,
            key,
            "the answer on the ledger is another".to_owned(),
        );
        finding.recorded = Some(answer.status);
        verdict.findings.push(finding);
    }
}

impl Admission {
    fn is_same(&self, seen: &Seen) -> bool {
        let uri = match self.is_query_hidden {
            true => seen.uri.split('?').next().unwrap_or_default(),
            false => &seen.uri,
        };
        self.method == seen.method && self.uri == uri
    }

    /// Whether its answer says that the cluster has answered.
    pub(super) fn claims(&self) -> bool {
        self.answer
            .is_some_and(|answer| !CLAIM_NOTHING.contains(&answer.status))
    }

    /// The finding that the cluster never saw it.
    pub(super) fn missing(&self, (token, request_id): Key) -> Finding {
        Finding {
            kind: FindingKind::Missing,
            time_ms: self.admitted_ms,
            command: shown(&self.method, &self.uri),
            request_id: Some(request_id),
            token: Some(token),
            account: None,
            audit_id: None,
            status: None,
            recorded: self.answer.map(|answer| answer.status),
            detail: "the ledger has an answer of the cluster's, and the cluster's log has no such request"
                .to_owned(),
        }
    }
}

impl Answer {
    /// Whether an executor says so although the cluster answered otherwise: the cluster's answer could not be
    /// passed on, or a read's broke off.
    fn is_for_another(self, is_read: bool) -> bool {
        NOT_PASSED_ON.contains(&self.status) || is_read && self.status == 503
    }
}

impl Seen {
    /// When it reached the cluster, Unix milliseconds.
    pub(super) fn at_ms(&self) -> u64 {
        u64::try_from(self.received_us.div_euclid(1000)).unwrap_or_default()
    }

    pub(super) fn finding(&self, kind: FindingKind, key: Key, detail: String) -> Finding {
        Finding {
            token: Some(key.0),
            request_id: Some(key.1),
            ..self.anonymous(kind, detail)
        }
    }

    /// A finding of a request that names no token and ID.
    pub(super) fn anonymous(&self, kind: FindingKind, detail: String) -> Finding {
        Finding {
            kind,
            time_ms: self.at_ms(),
            command: shown(&self.method, &self.uri),
            request_id: None,
            token: None,
            account: Some(self.account.clone()),
            audit_id: Some(self.audit_id.clone()),
            status: self.code,
            recorded: None,
            detail,
        }
    }
}

/// Method and URI; without the query where arguments of commands stand in it.
fn shown(method: &str, uri: &str) -> String {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let is_secret = path.split('/').any(|segment| CONNECTING.contains(&segment));
    if query.is_empty() || is_secret {
        return format!("{method} {path}");
    }
    format!("{method} {path}?{query}")
}

fn listed(groups: &[String]) -> String {
    match groups {
        [] => "no group".to_owned(),
        groups => format!("group {}", groups.join(", ")),
    }
}

/// The answer to what may or may not have happened.
const OUTCOME_UNKNOWN: u16 = 504;
/// What an executor answers after the cluster has: the form of a watch that cannot be cut, an encoding or a
/// status that cannot be, more bytes than there is room for.
const NOT_PASSED_ON: [u16; 3] = [406, 502, 507];
/// What an executor may answer without having asked the cluster.
const CLAIM_NOTHING: [u16; 7] = [400, 422, 500, 501, 502, 503, 504];
const CONNECTING: [&str; 4] = ["exec", "attach", "portforward", "proxy"];
