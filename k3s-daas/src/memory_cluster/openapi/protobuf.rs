//! OpenAPI v2 in protobuf (gnostic's `openapi.v2.Document`), as far as kubectl still reads it.
//!
//! kubectl takes schemas from OpenAPI v3. From v2 it only learns whether PATCH of a kind
//! takes `fieldValidation`, when it meets a kind that v3 does not have. So this document
//! has the patch operations with their query parameters, and no definitions.

use crate::memory_cluster::kinds::{Registry, Resource};

/// The content type clients name in `Accept`, in its old and its new spelling.
pub(super) const MEDIA_TYPES: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

/// The encoded document.
pub(super) fn document(registry: &Registry) -> Vec<u8> {
    let mut paths = Vec::new();
    for resource in registry.all().iter().filter(|r| r.has_verb("patch")) {
        let item = [
            text(1, &path(resource)),
            field(2, &field(8, &patch(resource))),
        ]
        .concat();
        paths.extend(field(2, &item));
    }
    let info = [text(1, "Kubernetes"), text(2, super::VERSION)].concat();
    [text(1, "2.0"), field(2, &info), field(8, &paths)].concat()
}

fn path(resource: &Resource) -> String {
    let root = if resource.group.is_empty() {
        "/api"
    } else {
        "/apis"
    };
    let namespace = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!(
        "{root}/{}{namespace}/{}/{{name}}",
        resource.api_version(),
        resource.plural
    )
}

/// An `Operation`: its query parameters and the kind it is about.
fn patch(resource: &Resource) -> Vec<u8> {
    let mut operation = Vec::new();
    for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
        let query = [text(2, "query"), text(4, name), text(6, "string")].concat();
        // ParametersItem.parameter.non_body_parameter.query_parameter_sub_schema
        operation.extend(field(8, &field(1, &field(2, &field(3, &query)))));
    }
    let kind = format!(
        "group: {:?}\nkind: {:?}\nversion: {:?}\n",
        resource.group, resource.kind, resource.version
    );
    let extension = [
        text(1, "x-kubernetes-group-version-kind"),
        field(2, &text(2, &kind)),
    ]
    .concat();
    operation.extend(field(13, &extension));
    operation
}

fn text(number: u8, value: &str) -> Vec<u8> {
    field(number, value.as_bytes())
}

/// A length-delimited field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push((length % 0x80).to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_varints_and_every_kind_is_there() {
        assert_eq!(field(1, b"ab"), b"\x0a\x02ab");
        assert_eq!(field(2, &[0; 300])[..3], [0x12, 0xac, 0x02]);
        let document = document(&Registry::with_custom(Vec::new()));
        for needle in [
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
            "fieldValidation",
        ] {
            assert!(
                document
                    .windows(needle.len())
                    .any(|w| w == needle.as_bytes()),
                "{needle}"
            );
        }
    }
}
