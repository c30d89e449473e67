//! HTTP to what is asked: the only place that reads what a client sent.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;

use super::refusal::Refusal;
use crate::token::BEARER_PREFIX;
use crate::types::{
    ByteString, HexBytes, Method, REQUEST_HEADERS, RequestId, Target, Verb, canonical_path,
    canonical_query,
};
use crate::wire::{Content, RequestMessage};

/// What a client asks, in the contract's spelling.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) id: RequestId,
    /// Whether the client chose the ID, so that it may be a repetition.
    pub(super) id_given: bool,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    /// Of the five that reach Kubernetes, sorted.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) target: Target,
    pub(super) deadline: Option<Duration>,
    /// Whether it wants the connection to become something else.
    pub(super) is_upgrade: bool,
}

/// A request that is not of its form, and what of it the ledger can be told.
#[derive(Debug)]
pub(super) struct Unformed {
    pub(super) refusal: Refusal,
    /// What was asked, as far as it can be said; its check gives the same refusal.
    pub(super) message: Option<Box<RequestMessage>>,
}

/// The bearer credential of a request.
///
/// # Errors
/// [`Refusal::NoCredential`] also for two of them, and for anything that does not even begin like one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::NoCredential);
    };
    let text = value.to_str().map_err(|_| Refusal::NoCredential)?;
    let (scheme, credential) = text.split_once(' ').ok_or(Refusal::NoCredential)?;
    if !scheme.eq_ignore_ascii_case("bearer") || !credential.starts_with(BEARER_PREFIX) {
        return Err(Refusal::NoCredential);
    }
    Ok(credential)
}

/// The request ID that a client chose.
///
/// # Errors
/// [`Refusal::BadRequest`] if it is none.
pub(super) fn request_id(headers: &HeaderMap) -> Result<Option<RequestId>, Refusal> {
    let mut values = headers.get_all(REQUEST_ID_HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match RequestId::from_bytes(value.as_bytes()) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(Refusal::BadRequest(
                "Daas-Request-Id is not a lower-case UUID of version 7",
            )),
        },
        (Some(_), Some(_)) => Err(Refusal::BadRequest("Daas-Request-Id is there twice")),
    }
}

/// Whether the client's connection had better not be used again: its idea of where this request ends may
/// be another one than ours.
pub(super) fn is_framing_doubtful(parts: &Parts) -> bool {
    // hyper goes by Transfer-Encoding and hides a Content-Length beside it, so that both were there
    // cannot be seen; RFC 9112, section 6.3, has the connection closed then.
    parts.version <= http::Version::HTTP_11 && parts.headers.contains_key(TRANSFER_ENCODING)
}

/// What is asked, without its body.
pub(super) fn asked(parts: &Parts, id: Option<RequestId>) -> Result<Asked, Unformed> {
    let id_given = id.is_some();
    let id = id.unwrap_or_else(RequestId::new);
    let headers = &parts.headers;
    if headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(unrecorded(Refusal::BadRequest("Host is there twice")));
    }
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(unrecorded(Refusal::BadRequest(
            "the request has both Content-Length and Transfer-Encoding",
        )));
    }
    if headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
    {
        return Err(unrecorded(Refusal::Impersonation));
    }

    let raw_path = parts.uri.path();
    let raw_query = parts.uri.query().unwrap_or_default();
    let mut message = RequestMessage {
        request_id: ByteString(id.to_wire()),
        method: ByteString::from(parts.method.as_str()),
        path: ByteString::from(raw_path),
        priority: 2,
        ..RequestMessage::default()
    };
    let Some(method) = Method::from_bytes(parts.method.as_str().as_bytes()) else {
        return Err(recorded(Refusal::Method, message));
    };
    let path = match canonical_path(raw_path) {
        Ok(path) => path,
        Err(malformed) => return Err(recorded(malformed.into(), message)),
    };
    message.path = ByteString::from(path.as_str());
    let derived = canonical_query(raw_query).and_then(|query| {
        let target = Target::derive(method, path.as_bytes(), Some(query.as_bytes()))?;
        Ok((query, target))
    });
    let (query, target) = match derived {
        Ok(derived) => derived,
        Err(malformed) => {
            // The arguments of `exec` are secrets, so something else that is malformed stands for them.
            let is_connect = Target::derive(method, path.as_bytes(), Some(b""))
                .is_ok_and(|target| target.is_connect);
            let query = if is_connect { ";" } else { raw_query };
            message.query = Content::plain(query);
            return Err(recorded(malformed.into(), message));
        }
    };
    let headers = match forwarded(headers) {
        Ok(headers) => headers,
        Err(refusal) => {
            // As they came, one line each: of the wrong form on the ledger, too.
            for name in REQUEST_HEADERS {
                for value in parts.headers.get_all(name) {
                    message.header_names.push(ByteString::from(name));
                    message
                        .header_values
                        .push(ByteString::from(value.as_bytes()));
                }
            }
            return Err(recorded(refusal, message));
        }
    };
    Ok(Asked {
        id,
        id_given,
        method,
        deadline: parameter(&query, "timeout").and_then(|text| crate::types::parse_duration(&text)),
        is_upgrade: is_upgrade(&parts.headers),
        path,
        query,
        headers,
        body: Bytes::new(),
        target,
    })
}

/// What the ledger can be told of a request whose body was over every limit: the contract's own code.
pub(super) fn oversized(asked: &Asked, deadline_ms: u64) -> RequestMessage {
    let mut message = asked.message_without_body(deadline_ms);
    message.payload = Content::hashed([0; 32], u64::MAX);
    message
}

impl Asked {
    /// A `GET` of the gateway's own; `None` if `path` is none in canonical form.
    pub(super) fn get(path: &str) -> Option<Self> {
        let target = Target::derive(Method::Get, path.as_bytes(), Some(b"")).ok()?;
        Some(Self {
            id: RequestId::new(),
            id_given: false,
            method: Method::Get,
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            target,
            deadline: None,
            is_upgrade: false,
        })
    }

    /// The request, without body and credential.
    pub(super) fn message_without_body(&self, deadline_ms: u64) -> RequestMessage {
        let (header_names, header_values) = self
            .headers
            .iter()
            .map(|(name, value)| (ByteString::from(*name), ByteString::from(value.as_str())))
            .unzip();
        RequestMessage {
            request_id: ByteString(self.id.to_wire()),
            method: ByteString::from(self.method.as_str()),
            path: ByteString::from(self.path.as_str()),
            query: if self.target.is_connect {
                Content::none()
            } else {
                Content::plain(self.query.as_str())
            },
            header_names,
            header_values,
            payload: Content::none(),
            reply_key: HexBytes::default(),
            priority: 2,
            deadline_ms,
            credential_id: HexBytes::default(),
        }
    }

    /// What is to be said of it, if it is a stream, which nothing carries yet.
    pub(super) fn stream(&self) -> Option<&'static str> {
        let path = &self.target.path;
        match path.subresource.as_str() {
            "exec" | "attach" | "portforward" if path.is_resource => {
                Some("exec, attach and port-forward are not served yet: they need")
            }
            "log" if path.is_resource && self.is_followed() => {
                Some("a followed log is not served yet: it needs")
            }
            _ if self.is_upgrade => Some("an upgraded connection is not served yet: it needs"),
            _ => None,
        }
    }

    /// Whether it asks for a watch.
    pub(super) fn is_watch(&self) -> bool {
        self.target.verb == Verb::Watch
    }

    /// The value of a header that reaches Kubernetes.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Replaces a header, or adds it.
    pub(super) fn set_header(&mut self, name: &'static str, value: String) {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self.headers.sort();
    }

    fn is_followed(&self) -> bool {
        // As Go's ParseBool has it, and an empty value counts as given.
        parameter(&self.query, "follow").is_some_and(|value| {
            !matches!(
                value.as_str(),
                "0" | "f" | "F" | "false" | "False" | "FALSE"
            )
        })
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The first value of a query's parameter, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    parameters(query)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// The parameters of a query in canonical form, decoded.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The headers that reach Kubernetes; all others stay here.
fn forwarded(headers: &HeaderMap) -> Result<Vec<(&'static str, String)>, Refusal> {
    let mut kept = Vec::new();
    for name in REQUEST_HEADERS {
        let mut values = Vec::new();
        for value in headers.get_all(name) {
            let text = value.to_str().map_err(|_| {
                Refusal::BadRequest("a header that reaches Kubernetes is not visible ASCII")
            })?;
            values.push(text);
        }
        // A list may come in several lines; the others are one value each.
        let is_list = name != "content-type" && name != "user-agent";
        if values.len() > 1 && !is_list {
            return Err(Refusal::BadRequest(
                "Content-Type or User-Agent is there twice",
            ));
        }
        if !values.is_empty() {
            kept.push((name, values.join(", ")));
        }
    }
    let named = kept
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    crate::types::validate_headers(named)?;
    Ok(kept)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        || headers.get_all(CONNECTION).iter().any(|value| {
            value.to_str().is_ok_and(|text| {
                text.split(',')
                    .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
            })
        })
}

/// The JSON alternatives of an `Accept` header, in their order; `None` if it has none.
pub(super) fn json_alternatives(accept: &str) -> Option<String> {
    let is_json = |alternative: &&str| {
        let kind = alternative.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json") || kind == "application/*" || kind == "*/*"
    };
    let kept: Vec<&str> = accept.split(',').map(str::trim).filter(is_json).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

fn unrecorded(refusal: Refusal) -> Unformed {
    Unformed {
        refusal,
        message: None,
    }
}

fn recorded(refusal: Refusal, message: RequestMessage) -> Unformed {
    Unformed {
        refusal,
        message: Some(Box::new(message)),
    }
}

/// Where a client gives, and always finds, the request's ID.
pub(super) const REQUEST_ID_HEADER: &str = "daas-request-id";

/// The `Accept` of a request.
pub(super) fn accept(asked: &Asked) -> &str {
    asked.header(ACCEPT.as_str()).unwrap_or_default()
}
