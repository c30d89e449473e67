//! Paths and queries: the canonical form means what was sent, is read the same by everyone, and hides nothing.

use k3s_daas::types::{
    K8sApiRequest, MAX_PATH_BYTES, MAX_QUERY_BYTES, Malformed, Method, Target, canonical_query,
};
use k3s_daas::wire::RequestMessage;

use super::PLANTED;

/// A byte for the method, then a path and perhaps a query.
pub fn run(data: &[u8]) {
    let Some((method, rest)) = data.split_first() else {
        return;
    };
    let method = Method::ALL[usize::from(*method) % Method::ALL.len()];
    let Ok(text) = std::str::from_utf8(rest) else {
        // The ledger is given bytes by anyone.
        let cut = rest.iter().position(|byte| *byte == b'?');
        let (path, query) = rest.split_at(cut.unwrap_or(rest.len()));
        drop(Target::derive(method, path, Some(query)));
        return;
    };
    let (raw_path, raw_query) = text.split_once('?').unwrap_or((text, ""));
    let (Ok(path), Ok(query)) = (canonical_path(raw_path), canonical_query(raw_query)) else {
        return;
    };
    assert_eq!(decoded(raw_path), decoded(&path), "{raw_path:?} {path:?}");
    assert_eq!(canonical_path(&path).as_ref(), Ok(&path));
    assert!(path.is_ascii() && path.len() <= MAX_PATH_BYTES, "{path:?}");
    assert_eq!(decoded(raw_query), decoded(&query), "{raw_query:?}");
    assert_eq!(canonical_query(&query).as_ref(), Ok(&query));
    assert!(query.is_ascii() && query.len() <= MAX_QUERY_BYTES);

    let Ok(target) = Target::derive(method, path.as_bytes(), Some(query.as_bytes())) else {
        return;
    };
    let segments = segments(&path);
    for segment in &segments {
        assert!(!["", ".", ".."].contains(&segment.as_str()), "{path:?}");
        assert!(
            !segment.contains('/') && !segment.contains('\0'),
            "{path:?}"
        );
    }
    second_look(&segments, method, &target);

    // Whoever reads the message derives the same, and sends what was derived from.
    let request = K8sApiRequest::builder(method, path.clone())
        .with_query(query.clone())
        .build();
    if let Ok(request) = request {
        assert_eq!(request.target(), &target, "{path:?} {query:?}");
        let message = RequestMessage::from(&request);
        assert_eq!(message.path[..], *path.as_bytes());
        let read = K8sApiRequest::try_from(&message).expect("it was built");
        assert_eq!(read.target(), &target);
    }
}

fn canonical_path(raw: &str) -> Result<String, Malformed> {
    if PLANTED && raw.contains("%25") {
        // Decoded once too often.
        return k3s_daas::types::canonical_path(&raw.replace("%25", "%"));
    }
    k3s_daas::types::canonical_path(raw)
}

/// What a path names, as `RequestInfo` of kube-apiserver reads its segments, written down once more.
fn second_look(segments: &[String], method: Method, target: &Target) {
    let rest = match segments.first().map(String::as_str) {
        Some("api") if segments.len() >= 3 => &segments[2..],
        Some("apis") if segments.len() >= 4 => &segments[3..],
        _ => {
            assert!(!target.path.is_resource, "{segments:?}");
            assert!(target.path.namespace.is_empty(), "{segments:?}");
            return;
        }
    };
    let rest = match rest {
        [first, others @ ..] if first == "watch" => others,
        rest => rest,
    };
    let (namespace, rest) = match rest {
        [first, namespace, resource, ..]
            if first == "namespaces" && !["status", "finalize"].contains(&resource.as_str()) =>
        {
            (namespace.as_str(), &rest[2..])
        }
        [first, namespace, ..] if first == "namespaces" => (namespace.as_str(), rest),
        rest => ("", rest),
    };
    let part = |at: usize| rest.get(at).map_or("", String::as_str);
    assert!(target.path.is_resource, "{segments:?}");
    assert_eq!(target.path.namespace, namespace, "{segments:?}");
    assert_eq!(target.path.resource, part(0), "{segments:?}");
    assert_eq!(target.path.subresource, part(2), "{segments:?}");
    if !part(1).is_empty() {
        assert_eq!(target.path.name, part(1), "{segments:?}");
    }
    if method != Method::Get && !target.is_self_review {
        assert!(!target.is_read, "{segments:?}");
    }
}

fn segments(path: &str) -> Vec<String> {
    let inner = path.strip_prefix('/').expect("a path begins so");
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Vec::new();
    }
    let segment = |raw: &str| String::from_utf8(decoded(raw)).expect("it is UTF-8");
    inner.split('/').map(segment).collect()
}

/// Every `%XX` decoded, once.
pub(super) fn decoded(raw: &str) -> Vec<u8> {
    let mut bytes = raw.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let mut digit = || {
                let digit = char::from(bytes.next().expect("two digits"));
                let value = digit.to_digit(16).expect("two digits");
                u8::try_from(value).expect("below 16")
            };
            digit() * 16 + digit()
        } else {
            byte
        });
    }
    out
}
