//! What a request names and what it wants, derived from its method, path and query.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::malformed::Malformed;
use super::path;
use super::query::Parameters;
use super::verb::{Method, Verb};

/// What a request names, as kube-apiserver's `RequestInfo`; empty strings mean absent.
///
/// All parts are percent-decoded. A path that names no resource leaves everything empty. BCS is the
/// fields in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ResourcePath {
    /// Whether the path names a resource: `/api/{version}/…` or `/apis/{group}/{version}/…`.
    pub is_resource: bool,
    /// The API group, empty for the core group.
    pub api_group: String,
    /// The version, such as `v1`.
    pub api_version: String,
    /// The namespace; that of `namespaces/{name}` is `{name}`.
    pub namespace: String,
    /// The resource in plural, such as `pods`.
    pub resource: String,
    /// The subresource, such as `exec`; what follows it is not part of it.
    pub subresource: String,
    /// The object's name.
    pub name: String,
}

impl ResourcePath {
    /// The resource with its subresource as rules spell it: `pods` or `pods/exec`.
    #[must_use]
    pub fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// `deployments.apps/scale "web" in namespace "default"`, or `a path that is no resource`.
impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_resource {
            return f.write_str("a path that is no resource");
        }
        f.write_str(&self.resource)?;
        if !self.api_group.is_empty() {
            write!(f, ".{}", self.api_group)?;
        }
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        if !self.name.is_empty() {
            write!(f, " {:?}", self.name)?;
        }
        if !self.namespace.is_empty() {
            write!(f, " in namespace {:?}", self.namespace)?;
        }
        Ok(())
    }
}

/// Everything derived from method, path and query.
///
/// Both sides of the ledger derive it for themselves; nobody's word is taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is named. For `list` and `watch` a field selector of exactly `metadata.name=N` gives the
    /// name, but not under the legacy `/watch/` prefix.
    pub path: ResourcePath,
    /// The verb that rules are asked for.
    pub verb: Verb,
    /// The verb that kube-apiserver's `RequestInfo` has: differs for `exec`, `attach`, `portforward` and
    /// `proxy`, where it follows the method.
    pub request_info_verb: String,
    /// Whether it changes nothing and so needs no stake.
    pub is_read: bool,
    /// Whether it is `exec`, `attach`, `portforward` or `proxy`: never a read, whatever the method, and its
    /// query may be kept as a hash.
    pub is_connect: bool,
    /// Whether it is a `GET` of discovery, version or health, which every valid token has.
    pub is_discovery: bool,
    /// Whether it asks what the asker itself may do, which every valid token has.
    pub is_self_review: bool,
}

impl Target {
    /// Derives what a request is from its wire bytes, which are validated in full.
    ///
    /// A `query` of `None` is one kept as a hash: it is not looked at, and only `exec`, `attach`,
    /// `portforward` and `proxy` may have it. No query at all is `Some(b"")`.
    ///
    /// Follows kube-apiserver's `RequestInfoFactory` (Kubernetes 1.35) except where
    /// `docs/message-formats.md` says otherwise (“What is derived”). Among its rules:
    /// - the legacy `/watch/` prefix has verb `watch`, also with a name, and no field selector gives it
    ///   one (kube-apiserver's `RequestInfo` does not look at it there);
    /// - a connecting subresource under the legacy `/watch/` prefix is connecting all the same;
    /// - discovery is compared with the path as it stands: `/version/` is none, `/api/` is;
    /// - `watch` or `fieldSelector` twice is malformed on any request, not only where it is read.
    ///
    /// # Errors
    /// Any `Path…`, `Legacy…` or `Query…` variant of [`Malformed`]. The path is judged before the query.
    pub fn derive(method: Method, path: &[u8], query: Option<&[u8]>) -> Result<Self, Malformed> {
        let segments = path::segments(path)?;
        let (mut resource_path, legacy_watch) = read_segments(&segments, method)?;
        let is_connect = resource_path.is_resource
            && CONNECT_SUBRESOURCES.contains(&resource_path.subresource.as_str());
        let parameters = match query {
            Some(query) => Parameters::parse(query)?,
            None if is_connect => Parameters::default(),
            None => return Err(Malformed::QueryHashed),
        };

        let plain_verb = plain_verb(method, &resource_path, legacy_watch, &parameters);
        let verb = if is_connect { Verb::Create } else { plain_verb };
        if matches!(verb, Verb::List | Verb::Watch)
            && !legacy_watch
            && resource_path.name.is_empty()
            && let Some(name) = parameters.selected_name()
        {
            resource_path.name = name;
        }
        let is_discovery =
            !resource_path.is_resource && method == Method::Get && is_discovery_path(path);
        let is_self_review = method == Method::Post && is_self_review_path(&resource_path);
        let is_read =
            is_self_review || (!is_connect && matches!(verb, Verb::Get | Verb::List | Verb::Watch));
        Ok(Self {
            path: resource_path,
            verb,
            request_info_verb: plain_verb.as_str().to_owned(),
            is_read,
            is_connect,
            is_discovery,
            is_self_review,
        })
    }
}

/// What the segments name, and whether the legacy `/watch/` prefix is among them.
fn read_segments(segments: &[String], method: Method) -> Result<(ResourcePath, bool), Malformed> {
    let not_a_resource = || Ok((ResourcePath::default(), false));
    let (api_group, rest) = match segments {
        [prefix, rest @ ..] if prefix == "api" => ("", rest),
        [prefix, group, rest @ ..] if prefix == "apis" => (group.as_str(), rest),
        _ => return not_a_resource(),
    };
    let [api_version, parts @ ..] = rest else {
        return not_a_resource();
    };
    let mut parts = parts;
    if parts.is_empty() {
        return not_a_resource();
    }

    let mut legacy_watch = false;
    if parts[0] == "watch" || parts[0] == "proxy" {
        if parts.len() < 2 {
            return Err(Malformed::LegacyPrefixAlone);
        }
        if parts[0] == "proxy" {
            return Err(Malformed::LegacyProxy);
        }
        if method != Method::Get {
            return Err(Malformed::LegacyWatchMethod);
        }
        legacy_watch = true;
        parts = &parts[1..];
    }

    let mut namespace = "";
    if parts[0] == "namespaces" && parts.len() > 1 {
        namespace = &parts[1];
        // `status` and `finalize` are subresources of the namespace, anything else lies in it.
        if parts.len() > 2 && parts[2] != "status" && parts[2] != "finalize" {
            parts = &parts[2..];
        }
    }
    let part = |index: usize| parts.get(index).cloned().unwrap_or_default();
    let resource_path = ResourcePath {
        is_resource: true,
        api_group: api_group.to_owned(),
        api_version: api_version.clone(),
        namespace: namespace.to_owned(),
        resource: part(0),
        name: part(1),
        subresource: part(2),
    };
    Ok((resource_path, legacy_watch))
}

/// The verb before the rule for connecting subresources: what `RequestInfo` has.
fn plain_verb(
    method: Method,
    path: &ResourcePath,
    legacy_watch: bool,
    parameters: &Parameters,
) -> Verb {
    if !path.is_resource {
        return method.non_resource_verb();
    }
    if legacy_watch {
        return Verb::Watch;
    }
    let has_name = !path.name.is_empty();
    match method {
        Method::Get if has_name => Verb::Get,
        Method::Get if parameters.is_watch() => Verb::Watch,
        Method::Get => Verb::List,
        Method::Post => Verb::Create,
        Method::Put => Verb::Update,
        Method::Patch => Verb::Patch,
        Method::Delete if has_name => Verb::Delete,
        Method::Delete => Verb::DeleteCollection,
    }
}

fn is_discovery_path(path: &[u8]) -> bool {
    const EXACT: [&[u8]; 6] = [
        b"/api",
        b"/apis",
        b"/version",
        b"/livez",
        b"/readyz",
        b"/healthz",
    ];
    const BELOW: [&[u8]; 3] = [b"/api/", b"/apis/", b"/openapi/"];
    EXACT.contains(&path) || BELOW.iter().any(|prefix| path.starts_with(prefix))
}

fn is_self_review_path(path: &ResourcePath) -> bool {
    path.is_resource
        && path.namespace.is_empty()
        && path.name.is_empty()
        && path.subresource.is_empty()
        && matches!(
            (path.api_group.as_str(), path.resource.as_str()),
            ("authorization.k8s.io", "selfsubjectaccessreviews")
                | ("authorization.k8s.io", "selfsubjectrulesreviews")
                | ("authentication.k8s.io", "selfsubjectreviews")
        )
}

/// The subresources that open a way into a container or through the API server.
const CONNECT_SUBRESOURCES: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
