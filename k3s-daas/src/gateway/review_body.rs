//! The bodies of self-reviews: JSON, or the protobuf that kubectl 1.35 sends.
//!
//! Field numbers: `k8s.io/api/authorization/v1/generated.proto` and
//! `k8s.io/apimachinery/pkg/runtime/generated.proto`, frozen by Kubernetes.

use prost::Message;
use serde_json::{Value, json};

/// The review as JSON; `None` if it is in neither encoding, or is no review of that kind.
pub(super) fn parse(content_type: Option<&str>, body: &[u8], kind: &str) -> Option<Value> {
    let media_type = content_type
        .unwrap_or("application/json")
        .split(';')
        .next()?
        .trim();
    match media_type {
        "application/json" => {
            let review = serde_json::from_slice::<Value>(body).ok()?;
            review.is_object().then_some(review)
        }
        "application/vnd.kubernetes.protobuf" => from_protobuf(body, kind),
        _ => None,
    }
}

fn from_protobuf(body: &[u8], kind: &str) -> Option<Value> {
    let unknown = Unknown::decode(body.strip_prefix(MAGIC)?).ok()?;
    let type_meta = unknown.type_meta.unwrap_or_default();
    if !type_meta.kind.is_empty() && type_meta.kind != kind {
        return None;
    }
    let spec = if kind == "SelfSubjectRulesReview" {
        let review = RulesReview::decode(&unknown.raw[..]).ok()?;
        json!({ "namespace": review.spec.unwrap_or_default().namespace })
    } else {
        let spec = AccessReview::decode(&unknown.raw[..])
            .ok()?
            .spec
            .unwrap_or_default();
        let mut json = json!({});
        if let Some(asked) = spec.resource_attributes {
            json["resourceAttributes"] = json!({
                "namespace": asked.namespace, "verb": asked.verb, "group": asked.group,
                "version": asked.version, "resource": asked.resource,
                "subresource": asked.subresource, "name": asked.name,
            });
        }
        if let Some(asked) = spec.non_resource_attributes {
            json["nonResourceAttributes"] = json!({ "path": asked.path, "verb": asked.verb });
        }
        json
    };
    Some(json!({ "apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec }))
}

/// What every protobuf body of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";

#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct AccessReview {
    #[prost(message, optional, tag = "2")]
    spec: Option<AccessReviewSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct AccessReviewSpec {
    #[prost(message, optional, tag = "1")]
    resource_attributes: Option<ResourceAttributes>,
    #[prost(message, optional, tag = "2")]
    non_resource_attributes: Option<NonResourceAttributes>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceAttributes {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    verb: String,
    #[prost(string, tag = "3")]
    group: String,
    #[prost(string, tag = "4")]
    version: String,
    #[prost(string, tag = "5")]
    resource: String,
    #[prost(string, tag = "6")]
    subresource: String,
    #[prost(string, tag = "7")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct NonResourceAttributes {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(string, tag = "2")]
    verb: String,
}

#[derive(Clone, PartialEq, Message)]
struct RulesReview {
    #[prost(message, optional, tag = "2")]
    spec: Option<RulesReviewSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct RulesReviewSpec {
    #[prost(string, tag = "1")]
    namespace: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PROTOBUF: Option<&str> = Some("application/vnd.kubernetes.protobuf");

    fn body(kind: &str, review: &impl Message) -> Vec<u8> {
        let unknown = Unknown {
            type_meta: Some(TypeMeta {
                api_version: "authorization.k8s.io/v1".into(),
                kind: kind.into(),
            }),
            raw: review.encode_to_vec(),
        };
        [MAGIC, &unknown.encode_to_vec()].concat()
    }

    /// What kubectl 1.35 sends for `auth can-i delete secrets`, by the field numbers, byte for byte.
    #[test]
    fn protobuf_reads_as_json_does() {
        let spec = b"\x0a\x16\x0a\x01a\x12\x06delete\x1a\x00\x2a\x07secrets";
        let review = [b"\x0a\x00\x12\x18".as_slice(), &spec[..]].concat();
        let type_meta = b"\x0a\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview";
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0x0a, u8::try_from(type_meta.len()).unwrap()]);
        bytes.extend(type_meta);
        bytes.extend([0x12, u8::try_from(review.len()).unwrap()]);
        bytes.extend(review);
        let read = parse(PROTOBUF, &bytes, "SelfSubjectAccessReview").unwrap();
        let asked = &read["spec"]["resourceAttributes"];
        assert_eq!(asked["verb"], "delete");
        assert_eq!(asked["resource"], "secrets");
        assert_eq!(asked["namespace"], "a");
        assert!(read["spec"].get("nonResourceAttributes").is_none());
    }

    #[test]
    fn rules_reviews_have_a_namespace() {
        let review = RulesReview {
            spec: Some(RulesReviewSpec {
                namespace: "b".into(),
            }),
        };
        let bytes = body("SelfSubjectRulesReview", &review);
        let read = parse(PROTOBUF, &bytes, "SelfSubjectRulesReview").unwrap();
        assert_eq!(read["spec"]["namespace"], "b");
    }

    #[test]
    fn what_is_no_such_review_is_refused() {
        let other = body("SelfSubjectRulesReview", &RulesReview::default());
        assert_eq!(parse(PROTOBUF, &other, "SelfSubjectAccessReview"), None);
        for bytes in [&b""[..], b"k8s\0\x0a\xff", b"k8s", b"{}"] {
            assert_eq!(parse(PROTOBUF, bytes, "SelfSubjectAccessReview"), None);
        }
        assert_eq!(
            parse(Some("application/yaml"), b"{}", "SelfSubjectAccessReview"),
            None
        );
        assert_eq!(parse(None, b"[]", "SelfSubjectAccessReview"), None);
    }
}
