//! The cluster's audit log: lines of `audit.k8s.io/v1` events, and what of them matters here.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use serde::Deserialize;

use super::ReconcileError;
use crate::executor::REQUEST_ID_KEY;
use crate::types::parse_timestamp_us;

/// One event of one stage of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClusterEvent {
    pub(super) audit_id: String,
    pub(super) stage: Stage,
    /// As it was sent: path and query.
    pub(super) uri: String,
    /// That of the verb, which is all that the log has.
    pub(super) method: String,
    /// Who authenticated; empty if nobody did.
    pub(super) account: String,
    pub(super) impersonated: Option<Impersonated>,
    pub(super) code: Option<u16>,
    pub(super) received_us: i64,
    pub(super) stage_us: i64,
}

/// How far a request was; a later stage knows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing but what was asked; not even whom it impersonates.
    Received = 0,
    /// Its status is sent, and its body goes on.
    Started = 1,
    /// It is over.
    Ended = 2,
}

/// Whom a request acted as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Impersonated {
    pub(super) user: String,
    /// Sorted, without `system:authenticated`, which the cluster itself adds.
    pub(super) groups: Vec<String>,
    /// The request ID, if it brought exactly one.
    pub(super) request_id: Option<String>,
}

/// The lines of a log, each an event.
pub(super) struct Events<R> {
    name: String,
    reader: R,
    line: Vec<u8>,
    number: u64,
    /// Whether the last line ended in the middle of an event.
    pub(super) truncated: bool,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(name: String, reader: R) -> Self {
        Self {
            name,
            reader,
            line: Vec::new(),
            number: 0,
            truncated: false,
        }
    }

    /// The next event; `None` at the end, or before a last line that is still being written.
    pub(super) fn next(&mut self) -> Result<Option<ClusterEvent>, ReconcileError> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            let is_whole = self.line.last() == Some(&b'\n');
            let text = self.line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if self.number == 1 && text.starts_with(&GZIP) {
                return Err(self
                    .garbage("it is compressed: give `-` and what `zcat` makes of it".to_owned()));
            }
            let event = match serde_json::from_slice::<Line>(text) {
                Ok(event) => event,
                Err(error) if error.is_eof() && !is_whole => {
                    self.truncated = true;
                    return Ok(None);
                }
                Err(error) => {
                    return Err(self.garbage(explain(text, &error)));
                }
            };
            return match event.read() {
                Ok(event) => Ok(Some(event)),
                Err(why) => Err(self.garbage(why)),
            };
        }
    }

    fn read_line(&mut self) -> Result<bool, ReconcileError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.reader)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut self.line);
        let read = read.map_err(|source| ReconcileError::Read {
            name: self.name.clone(),
            source,
        })?;
        if read as u64 == MAX_LINE_BYTES && self.line.last() != Some(&b'\n') {
            return Err(self.garbage(format!("it has more than {MAX_LINE_BYTES} bytes")));
        }
        // What is left of one of many is not worth keeping.
        if self.line.capacity() > KEPT_BYTES && read < KEPT_BYTES {
            self.line.shrink_to(KEPT_BYTES);
        }
        Ok(read > 0)
    }

    fn garbage(&self, why: String) -> ReconcileError {
        ReconcileError::Line {
            name: self.name.clone(),
            line: self.number,
            why,
        }
    }
}

/// What is read of a line; whatever else it has is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default, rename = "auditID")]
    audit_id: String,
    #[serde(default)]
    stage: String,
    #[serde(default, rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    verb: String,
    #[serde(default)]
    user: User,
    impersonated_user: Option<User>,
    response_status: Option<ResponseStatus>,
    #[serde(default)]
    request_received_timestamp: String,
    #[serde(default)]
    stage_timestamp: String,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    groups: Option<Vec<String>>,
    extra: Option<BTreeMap<String, Option<Vec<String>>>>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

impl Line {
    fn read(self) -> Result<ClusterEvent, String> {
        if (&*self.kind, &*self.api_version) != ("Event", "audit.k8s.io/v1") {
            return Err(format!(
                "it is `{}` of `{}`, not `Event` of `audit.k8s.io/v1`",
                cut(&self.kind),
                cut(&self.api_version)
            ));
        }
        let stage = match &*self.stage {
            "RequestReceived" => Stage::Received,
            "ResponseStarted" => Stage::Started,
            "ResponseComplete" | "Panic" => Stage::Ended,
            other => return Err(format!("its stage `{}` is none", cut(other))),
        };
        if self.audit_id.is_empty() {
            return Err("it has no auditID".to_owned());
        }
        let time = |name: &str, text: &str| {
            let time = parse_timestamp_us(text);
            time.ok_or_else(|| format!("its {name} `{}` is no time", cut(text)))
        };
        let received_us = time("requestReceivedTimestamp", &self.request_received_timestamp)?;
        let stage_us = time("stageTimestamp", &self.stage_timestamp)?;
        Ok(ClusterEvent {
            audit_id: self.audit_id,
            stage,
            uri: self.request_uri,
            method: method_of(&self.verb),
            account: self.user.username,
            impersonated: self.impersonated_user.map(Impersonated::from),
            code: self.response_status.and_then(|status| status.code),
            received_us,
            stage_us,
        })
    }
}

impl From<User> for Impersonated {
    fn from(user: User) -> Self {
        let mut groups = user.groups.unwrap_or_default();
        groups.retain(|group| group != "system:authenticated");
        groups.sort_unstable();
        groups.dedup();
        let mut extra = user.extra.unwrap_or_default();
        let ids = extra.remove(REQUEST_ID_KEY).flatten().unwrap_or_default();
        let request_id = match <[String; 1]>::try_from(ids) {
            Ok([id]) => Some(id),
            Err(_) => None,
        };
        Self {
            user: user.username,
            groups,
            request_id,
        }
    }
}

/// The method that `RequestInfo` gave this verb; of those that it gives several, the same URI has one.
fn method_of(verb: &str) -> String {
    match verb {
        "get" | "list" | "watch" => "GET".to_owned(),
        "create" | "post" => "POST".to_owned(),
        "update" | "put" => "PUT".to_owned(),
        "patch" => "PATCH".to_owned(),
        "delete" | "deletecollection" => "DELETE".to_owned(),
        other => other.to_ascii_uppercase(),
    }
}

fn explain(text: &[u8], error: &serde_json::Error) -> String {
    if !text.starts_with(b"{") || error.classify() != serde_json::error::Category::Data {
        return "it is no JSON object".to_owned();
    }
    // Its position is in this line alone; the line's own number is what helps.
    let why = error.to_string();
    let end = why.find(" at line ").unwrap_or(why.len());
    why[..end].to_owned()
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

/// An event of level `RequestResponse` holds whole lists.
const MAX_LINE_BYTES: u64 = 64 << 20;
const KEPT_BYTES: usize = 1 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use super::*;

    const WHOLE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/configmaps?limit=1","verb":"list","user":{"username":"system:serviceaccount:daas:nautilus","uid":"u","groups":["system:serviceaccounts"],"extra":{"authentication.kubernetes.io/pod-name":["p"]}},"impersonatedUser":{"username":"seal:0x1","groups":["team:b","team:a","system:authenticated"],"extra":{"daas.dev/request-id":["0192d8f0-1111-7abc-8def-0123456789ab"]}},"authenticationMetadata":{"impersonationConstraint":"x"},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl","objectRef":{"resource":"configmaps"},"responseStatus":{"metadata":{},"code":200},"requestObject":{"deep":[[[{}]]]},"requestReceivedTimestamp":"2026-01-01T00:00:00.000001Z","stageTimestamp":"2026-01-01T00:00:00.000003Z","annotations":{"authorization.k8s.io/decision":"allow"},"ofAnotherYear":{"a":[1,null,true]}}"#;

    fn read(text: &[u8]) -> (Vec<ClusterEvent>, Result<bool, String>) {
        let mut events = Events::new("audit.log".to_owned(), text);
        let mut all = Vec::new();
        loop {
            match events.next() {
                Ok(Some(event)) => all.push(event),
                Ok(None) => return (all, Ok(events.truncated)),
                Err(error) => return (all, Err(error.to_string())),
            }
        }
    }

    #[test]
    fn what_matters_is_read_and_the_rest_passed_over() {
        let (all, end) = read(format!("{WHOLE}\n\n").as_bytes());
        assert_eq!(end, Ok(false));
        let [event] = &all[..] else { panic!("{all:?}") };
        assert_eq!(
            (&*event.method, event.stage, event.code),
            ("GET", Stage::Ended, Some(200))
        );
        assert_eq!(event.uri, "/api/v1/namespaces/a/configmaps?limit=1");
        assert_eq!(event.stage_us - event.received_us, 2);
        let expected = Impersonated {
            user: "seal:0x1".to_owned(),
            groups: vec!["team:a".to_owned(), "team:b".to_owned()],
            request_id: Some("0192d8f0-1111-7abc-8def-0123456789ab".to_owned()),
        };
        assert_eq!(event.impersonated, Some(expected));
    }

    #[test]
    fn two_request_ids_are_none() {
        let doubled = WHOLE.replace("[\"0192d8f0", "[\"x\",\"0192d8f0");
        let (all, _) = read(doubled.as_bytes());
        assert_eq!(all[0].impersonated.as_ref().unwrap().request_id, None);
    }

    #[test]
    fn a_last_line_may_be_cut_anywhere_and_no_other() {
        let whole = format!("{WHOLE}\n");
        for at in 1..WHOLE.len() {
            let (all, end) = read(format!("{whole}{}", &whole[..at]).as_bytes());
            assert_eq!((all.len(), end), (1, Ok(true)), "cut at {at}");
        }
        let (all, end) = read(format!("{whole}{WHOLE}").as_bytes());
        assert_eq!(
            (all.len(), end),
            (2, Ok(false)),
            "only its line feed is missing"
        );
        let (all, end) = read(format!("{whole}{}\n{whole}", &WHOLE[..90]).as_bytes());
        assert_eq!(all.len(), 1);
        assert_eq!(end, Err("audit.log:2: it is no JSON object".to_owned()));
    }

    #[test]
    fn what_is_no_event_is_named_by_its_line() {
        for (text, why) in [
            ("hello", "1: it is no JSON object"),
            ("[]", "1: it is no JSON object"),
            ("{}", "1: it is `` of ``, not `Event` of `audit.k8s.io/v1`"),
            ("\n{\"kind\":\"EventList\"}", "2: it is `EventList`"),
            ("\u{1f}\u{8b}x", "1: it is no JSON object"),
            (&WHOLE.replace("a-1", ""), "has no auditID"),
            (
                &WHOLE.replace("ResponseComplete", "Later"),
                "its stage `Later` is none",
            ),
            (
                &WHOLE.replace("2026-01-01T00:00:00.000001Z", "noon"),
                "`noon` is no time",
            ),
            (
                &WHOLE.replace("\"code\":200", "\"code\":\"200\""),
                "1: invalid type",
            ),
            (
                &WHOLE.replace("\"code\":200", "\"code\":70000"),
                "1: invalid value",
            ),
            (
                "2026-01-01T00:00:00Z AUDIT: id=\"a\" stage=\"RequestReceived\"",
                "it is no JSON object",
            ),
        ] {
            let (all, end) = read(text.as_bytes());
            assert_eq!(all, [], "{text}");
            let error = end.unwrap_err();
            assert!(
                error.starts_with("audit.log:") && error.contains(why),
                "{error}"
            );
        }
        let (_, end) = read(&[0x1f, 0x8b, 8, 0]);
        assert!(end.unwrap_err().contains("zcat"));
        let (_, end) = read(b"{\"kind\":\"\xff\"}");
        assert!(end.is_err(), "what is no UTF-8 is no event");
    }

    #[test]
    fn a_reader_that_fails_is_no_end() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let mut events = Events::new("-".to_owned(), io::BufReader::new(Broken));
        assert!(matches!(events.next(), Err(ReconcileError::Read { .. })));
    }
}
