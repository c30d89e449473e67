//! One HTTP request, read as kube-apiserver reads it.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method};
use serde_json::Value;

use super::status::Refusal;

/// A request whose bearer is known.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) user: User,
    pub(super) target: Target,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) groups: Vec<String>,
    pub(super) extra: Vec<(String, Vec<String>)>,
}

impl User {
    pub(super) fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Resource(ResourceTarget),
    NonResource,
}

/// `RequestInfo` of kube-apiserver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ResourceTarget {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) resource: String,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl Target {
    /// Splits a percent-encoded path; nothing for paths no route could match.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for segment in path.trim_matches('/').split('/') {
            segments.push(percent_decode(segment, false)?);
        }
        let (group, version, rest) = match segments
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["api", version, _, ..] => (String::new(), (*version).to_owned(), 2),
            ["apis", group, version, _, ..] => ((*group).to_owned(), (*version).to_owned(), 3),
            _ => return Some(Self::NonResource),
        };
        if segments.iter().any(|s| s.is_empty() || s.contains('/')) {
            return None;
        }
        let mut target = ResourceTarget {
            group,
            version,
            ..ResourceTarget::default()
        };
        let mut rest = segments.drain(rest..).collect::<Vec<_>>();
        if rest[0] == "namespaces"
            && rest.len() > 2
            && !matches!(rest[2].as_str(), "status" | "finalize")
        {
            target.namespace = Some(rest[1].clone());
            rest.drain(..2);
        }
        let mut rest = rest.into_iter();
        target.resource = rest.next().unwrap_or_default();
        target.name = rest.next();
        target.subresource = rest.next();
        if rest.next().is_some() {
            return None;
        }
        if target.group.is_empty() && target.resource == "namespaces" {
            target.namespace.clone_from(&target.name);
        }
        Some(Self::Resource(target))
    }
}

/// The query string, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (percent_decode(key, true), percent_decode(value, true)) {
                (Some(key), Some(value)) => pairs.push((key, value)),
                _ => {
                    return Err(Refusal::bad_request(format!(
                        "invalid URL escape in query {pair:?}"
                    )));
                }
            }
        }
        Ok(Self(pairs))
    }

    /// The first non-empty value.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, v)| k == key && !v.is_empty())
            .map(|(_, v)| v.as_str())
    }

    pub(super) fn all(&self, key: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// Go's reading of a boolean option: present and not `0` or `false`.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .is_some_and(|(_, v)| !matches!(v.to_lowercase().as_str(), "0" | "false"))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.one(key) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Refusal::bad_request(format!(
                "strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
        })
    }
}

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) yaml: bool,
    pub(super) view: View,
}

/// The transformation of `;as=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Object,
    /// `as=Table`, of `meta.k8s.io/v1` or `v1beta1`.
    Table {
        beta: bool,
    },
    Partial,
    PartialList,
    /// Aggregated discovery, v2 or v2beta1.
    Discovery {
        beta: bool,
    },
}

impl Request {
    /// Picks the first clause of `Accept` that can be served; `views` says which
    /// transformations make sense here.
    pub(super) fn accepted(&self, views: fn(View) -> bool) -> Result<Accepted, Refusal> {
        let plain = Accepted {
            yaml: false,
            view: View::Object,
        };
        let header: Vec<&str> = self
            .headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .collect();
        let header = header.join(",");
        if header.trim().is_empty() {
            return Ok(plain);
        }
        header
            .split(',')
            .find_map(|clause| parse_clause(clause, views))
            .ok_or_else(|| Refusal::not_acceptable(&ANSWERS))
    }

    /// The media type of the body, without parameters; JSON if it is not named.
    pub(super) fn content_type(&self) -> String {
        let header = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        match header.split(';').next().unwrap_or_default().trim() {
            "" => "application/json".into(),
            media => media.to_ascii_lowercase(),
        }
    }

    /// The body as a value, by its content type.
    pub(super) fn decode_body(&self) -> Result<Value, Refusal> {
        decode(&self.body, &self.content_type())
    }

    /// The manager of written fields: `fieldManager`, or the program in `User-Agent`.
    pub(super) fn manager(&self) -> String {
        if let Some(manager) = self.query.one("fieldManager") {
            return manager.to_owned();
        }
        let agent = self
            .headers
            .get(USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let program: String = agent
            .split('/')
            .next()
            .unwrap_or_default()
            .chars()
            .take(128)
            .collect();
        if program.is_empty() {
            "unknown".into()
        } else {
            program
        }
    }
}

/// Reads a JSON, YAML or protobuf body.
pub(super) fn decode(body: &[u8], content_type: &str) -> Result<Value, Refusal> {
    match content_type {
        "application/json" => serde_json::from_slice(body).map_err(|e| {
            Refusal::bad_request(format!(
                "the object provided is unrecognized: json parse error: {e}"
            ))
        }),
        "application/yaml" => serde_yaml_ng::from_slice(body).map_err(|e| {
            Refusal::bad_request(format!("the object provided is unrecognized: yaml: {e}"))
        }),
        "application/vnd.kubernetes.protobuf" => super::protobuf::decode(body)
            .map_err(|e| Refusal::bad_request(format!("the object provided is unrecognized: {e}"))),
        _ => Err(Refusal::unsupported_media_type(&BODIES)),
    }
}

/// Media types of answers.
const ANSWERS: [&str; 2] = ["application/json", "application/yaml"];
/// Media types of bodies that are objects.
const BODIES: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

fn parse_clause(clause: &str, views: fn(View) -> bool) -> Option<Accepted> {
    let mut parts = clause.split(';').map(str::trim);
    let yaml = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" | "application/*" | "*/*" => false,
        "application/yaml" => true,
        _ => return None,
    };
    let (mut kind, mut group, mut version) = ("", "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => kind = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            Some(("q", value)) if value.trim_matches(['0', '.']).is_empty() => return None,
            _ => {}
        }
    }
    let view = match (kind, group, version) {
        ("", _, _) => View::Object,
        ("Table", "meta.k8s.io", "v1" | "v1beta1") => View::Table {
            beta: version == "v1beta1",
        },
        ("PartialObjectMetadata", "meta.k8s.io", "v1") => View::Partial,
        ("PartialObjectMetadataList", "meta.k8s.io", "v1") => View::PartialList,
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2" | "v2beta1") => View::Discovery {
            beta: version == "v2beta1",
        },
        _ => return None,
    };
    (view == View::Object || views(view)).then_some(Accepted { yaml, view })
}

/// Decodes `%41`; nothing for a broken escape or what is not UTF-8 then.
pub(super) fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                u8::try_from(value).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn target(path: &str) -> ResourceTarget {
        match Target::parse(path) {
            Some(Target::Resource(target)) => target,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_read_as_request_info() {
        let pod = target("/api/v1/namespaces/a/pods/x/log");
        assert_eq!(
            (
                pod.group.as_str(),
                pod.version.as_str(),
                pod.namespace.as_deref()
            ),
            ("", "v1", Some("a"))
        );
        assert_eq!(
            (
                pod.resource.as_str(),
                pod.name.as_deref(),
                pod.subresource.as_deref()
            ),
            ("pods", Some("x"), Some("log"))
        );
        let namespace = target("/api/v1/namespaces/a/finalize");
        assert_eq!(
            (
                namespace.resource.as_str(),
                namespace.subresource.as_deref()
            ),
            ("namespaces", Some("finalize"))
        );
        let list = target("/apis/apps/v1/deployments");
        assert_eq!(
            (list.group.as_str(), list.resource.as_str(), list.namespace),
            ("apps", "deployments", None)
        );
        assert_eq!(
            target("/api/v1/nodes/system%3Anode").name.as_deref(),
            Some("system:node")
        );
        assert_eq!(Target::parse("/apis/apps/v1"), Some(Target::NonResource));
        for bad in [
            "/api/v1/namespaces/a/pods/x/log/y",
            "/api/v1/pods/a%2fb",
            "/api/v1/pods/%ff",
            "/api/v1/pods/%4",
            "/api/v1//pods",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_acceptable_clause_wins() {
        let clause = |text: &str| parse_clause(text, |_| true);
        assert_eq!(clause("application/vnd.kubernetes.protobuf"), None);
        assert_eq!(
            clause(" application/json;as=Table;v=v1;g=meta.k8s.io")
                .unwrap()
                .view,
            View::Table { beta: false }
        );
        assert_eq!(clause("application/json;as=Table;v=v2;g=meta.k8s.io"), None);
        assert_eq!(clause("*/*").unwrap().view, View::Object);
        assert_eq!(
            parse_clause("application/json;as=Table;v=v1;g=meta.k8s.io", |_| false),
            None
        );
        assert!(clause("application/yaml").unwrap().yaml);
    }

    #[test]
    fn queries_decode_and_bad_escapes_are_refused() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch=true&limit=x&follow=0").unwrap();
        assert_eq!(query.one("labelSelector"), Some("a=b,c"));
        assert!(query.flag("watch") && !query.flag("follow") && !query.flag("absent"));
        assert!(query.number("limit").is_err());
        assert!(Query::parse("a=%zz").is_err());
    }
}
