//! What the client hears: a recorded answer, or an object of the gateway's own.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WARNING};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use super::Body;
use super::body::Pieces;
use super::room::Taken;
use super::submit::Answer;
use crate::types::ByteString;
use crate::wire::ResponseEnvelope;

/// The recorded answer, header by header and byte for byte.
///
/// `None` for a status that is no answer; the contract admits none.
pub(super) fn answer(answer: Answer) -> Option<Response<Body>> {
    recorded(answer.status, &answer.headers, answer.body, answer.room)
}

/// The same of its parts; the room is given back as the body is sent.
pub(super) fn recorded(
    status: u16,
    headers: &[(ByteString, ByteString)],
    body: Bytes,
    room: Option<Taken>,
) -> Option<Response<Body>> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| (200..=599).contains(&status.as_u16()))?;
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = if has_body {
        Pieces::new(body, room).boxed_unsync()
    } else {
        full(Bytes::new())
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        // Only those that an envelope may have, whoever made it.
        let known = ResponseEnvelope::HEADERS
            .iter()
            .find(|known| known.as_bytes() == &name[..]);
        let Some(known) = known else { continue };
        let headers = response.headers_mut();
        if let Some(value) = presentable(known, value) {
            headers.append(HeaderName::from_static(known), value);
        } else if *known == "location" {
            headers.append(WARNING, HeaderValue::from_static(ELSEWHERE));
        }
    }
    Some(response)
}

/// The value of a recorded header if it is fit for a client, whatever the cluster sent.
fn presentable(name: &str, value: &[u8]) -> Option<HeaderValue> {
    let text = std::str::from_utf8(value).ok()?;
    let is_fit = match name {
        // For people, in any language, and often shown in a terminal.
        "warning" => !text.chars().any(char::is_control),
        // Who follows it takes the credential along, so it leads back to here.
        "location" => {
            let is_path = text.starts_with('/') && !text.starts_with("//");
            is_path
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        }
        _ => text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
    };
    if !is_fit {
        return None;
    }
    HeaderValue::from_bytes(value).ok()
}

/// A JSON object as a response.
pub(super) fn json_response(status: StatusCode, object: &Value) -> Response<Body> {
    let body = Bytes::from(object.to_string());
    let mut response = Response::new(full(body.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    response
}

/// A body that is all there.
pub(super) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// What stands in place of a `Location` that may lead away from the gateway.
const ELSEWHERE: &str =
    "299 - \"the cluster's Location header was left out: it is no path of this server\"";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_of_an_envelope_reach_the_client() {
        let headers: [(ByteString, ByteString); 6] = [
            ("content-type".into(), "application/json".into()),
            ("set-cookie".into(), "a=b".into()),
            ("transfer-encoding".into(), "chunked".into()),
            ("warning".into(), "299 - \"one\"".into()),
            ("warning".into(), "299 - \"two\"".into()),
            ("etag".into(), "a\r\nset-cookie: b".into()),
        ];
        let answer = |status| {
            super::answer(Answer {
                status,
                headers: headers.to_vec(),
                body: Bytes::from_static(b"{}"),
                room: None,
            })
        };
        let response = answer(200).unwrap();
        let names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "warning"]);
        assert_eq!(response.headers().get_all("warning").iter().count(), 2);
        for status in [0, 100, 101, 199, 600, 65_535] {
            assert!(answer(status).is_none(), "{status}");
        }
    }

    #[test]
    fn a_hostile_header_of_the_cluster_does_not_pass() {
        let passes = |name: &str, value: &[u8]| {
            let headers = [(ByteString::from(name), ByteString::from(value))];
            let response = recorded(302, &headers, Bytes::new(), None).unwrap();
            let value = response.headers().get(name)?;
            (value != ELSEWHERE).then(|| value.as_bytes().to_vec())
        };
        for (name, fit) in [
            ("content-type", "application/json;stream=watch"),
            ("etag", "\"a b\""),
            ("warning", "299 - \"schöne Grüße\""),
            ("location", "/api/v1/namespaces/a/pods/web?x=1%2F2#here"),
        ] {
            assert_eq!(
                passes(name, fit.as_bytes()).as_deref(),
                Some(fit.as_bytes())
            );
        }
        for (name, unfit) in [
            ("content-type", &b"text/html\x80"[..]),
            ("content-type", "text/é".as_bytes()),
            ("etag", b"a\tb"),
            ("etag", b"\xff"),
            ("warning", b"299 - \"\xc3\""),
            // What a terminal takes for the beginning of a command.
            ("warning", "299 - \"\u{9b}2J\"".as_bytes()),
            ("warning", b"299 - \"\x1b[2J\""),
            ("location", b""),
            ("location", b"https://elsewhere.example/api"),
            ("location", b"//elsewhere.example/api"),
            ("location", b"/\\elsewhere.example"),
            ("location", b"\\\\elsewhere.example"),
            ("location", b" /api"),
            ("location", b"api/v1"),
            ("location", b"javascript:alert(1)"),
            ("location", "/é".as_bytes()),
            ("location", b"/a\tb"),
        ] {
            assert_eq!(passes(name, unfit), None, "{name}: {unfit:?}");
        }
        let headers = [("location".into(), "https://elsewhere.example".into())];
        let response = recorded(302, &headers, Bytes::new(), None).unwrap();
        assert_eq!(response.headers()["warning"], ELSEWHERE, "and it says so");
    }
}
