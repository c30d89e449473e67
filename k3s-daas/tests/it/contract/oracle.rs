//! A second opinion on requests, written from the specification alone.
//!
//! Slow and plain on purpose. It shares nothing with the contract's own checks, with the derivation of
//! targets or with the matching of rules: only the state's fields, BLAKE2b and Ed25519.

use k3s_daas::contract::{Cluster, SealToken, State};
use k3s_daas::crypto::{PublicKey, Signature, blake2b256};
use k3s_daas::types::{Address, Digest, ExecutorId, PolicyRule, RequestId, TokenId};
use k3s_daas::wire::{Content, K8sRequestProcessed, RequestMessage};

pub(super) enum Asker<'a> {
    Sender(Address),
    Key(&'a [u8], &'a [u8]),
}

/// What a request shall get.
pub(super) struct Verdict {
    /// 0 if it is admitted, else the first code.
    pub(super) code: u8,
    pub(super) digest: Digest,
    pub(super) derived: Option<Derived>,
    pub(super) executor: Option<ExecutorId>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Derived {
    pub(super) is_resource: bool,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) name: String,
    pub(super) verb: String,
    pub(super) is_read: bool,
    free: bool,
}

/// Judges a request by the thirteen checks.
#[allow(clippy::too_many_arguments)]
pub(super) fn judge(
    state: &State,
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    asker: &Asker<'_>,
    kind: u8,
    package: Address,
    now: u64,
) -> Verdict {
    let bytes = signed_bytes(cluster, token, request, kind, package);
    let mut verdict = Verdict {
        code: 0,
        digest: blake2b256(&[&bytes]),
        derived: None,
        executor: None,
    };
    verdict.code = code(
        state,
        cluster,
        token,
        request,
        asker,
        &bytes,
        now,
        &mut verdict,
    );
    verdict
}

#[allow(clippy::too_many_arguments)]
fn code(
    state: &State,
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    asker: &Asker<'_>,
    bytes: &[u8],
    now: u64,
    verdict: &mut Verdict,
) -> u8 {
    if cluster.version != 1 || token.version != 1 {
        return 1;
    }
    if token.cluster != cluster.id
        || token.revoked
        || now < token.not_before_ms
        || now >= token.expires_at_ms
    {
        return 2;
    }
    let holds = match asker {
        Asker::Sender(sender) => {
            *sender == token.owner
                || token
                    .delegates
                    .iter()
                    .any(|(delegate, expiry)| delegate == sender && now < *expiry)
        }
        Asker::Key(key, signature) => {
            token
                .session_keys
                .iter()
                .any(|(known, expiry)| known.as_bytes()[..] == **key && now < *expiry)
                && is_signed(key, signature, bytes)
        }
    };
    if !holds {
        return 3;
    }
    if !["GET", "POST", "PUT", "PATCH", "DELETE"]
        .iter()
        .any(|method| method.as_bytes() == &request.method[..])
    {
        return 4;
    }
    let Some(derived) = derive(request) else {
        return 5;
    };
    if !fields_are_formed(request) {
        return 5;
    }
    let path = String::from_utf8(request.path.0.clone()).unwrap();
    let allowed = is_allowed(&token.rules, &derived, &path);
    let (is_read, staked) = (
        derived.is_read,
        token.bonded >= cluster.policy.min_write_stake,
    );
    verdict.derived = Some(derived);
    if !allowed {
        return 6;
    }
    if !is_read && !staked {
        return 7;
    }
    if request.deadline_ms <= now || request.deadline_ms - now > 3_600_000 {
        return 8;
    }
    if request.payload.bytes.len() > 16_000 || request.payload.length > 3 * 1_048_576 {
        return 9;
    }
    if request.priority < 1 || request.priority > 4 {
        return 10;
    }
    let id = RequestId::from_bytes(&request.request_id).unwrap();
    if state
        .all_requests()
        .any(|(of, held, _)| of == token.id && held == id)
    {
        return 11;
    }
    verdict.executor = best(cluster, token, &request.request_id);
    if verdict.executor.is_none() {
        return 12;
    }
    if token.unanswered >= 1_024 {
        return 13;
    }
    0
}

fn is_signed(key: &[u8], signature: &[u8], bytes: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (<[u8; 32]>::try_from(key), <[u8; 64]>::try_from(signature))
    else {
        return false;
    };
    PublicKey::new(key).verify(bytes, &Signature::new(signature))
}

/// Whether an executor may be assigned, claim, answer and anchor.
pub(super) fn eligible(cluster: &Cluster, id: ExecutorId) -> bool {
    cluster.executors.iter().any(|entry| {
        entry.id == id
            && entry.active
            && entry.stake >= cluster.policy.min_executor_stake
            && (!cluster.policy.require_attestation
                || (entry.pcrs.len() == 3 && entry.pcrs == cluster.policy.pcrs))
    })
}

fn best(cluster: &Cluster, token: &SealToken, id: &[u8]) -> Option<ExecutorId> {
    best_but(cluster, token, id, 0, None)
}

/// The highest hash among the eligible, leaving one out.
pub(super) fn best_but(
    cluster: &Cluster,
    token: &SealToken,
    id: &[u8],
    epoch: u64,
    not: Option<ExecutorId>,
) -> Option<ExecutorId> {
    let mut hashes: Vec<(Vec<u8>, ExecutorId)> = cluster
        .executors
        .iter()
        .filter(|entry| eligible(cluster, entry.id) && Some(entry.id) != not)
        .map(|entry| {
            let mut bytes = entry.id.as_bytes().to_vec();
            bytes.extend(token.id.as_bytes());
            bytes.extend(id);
            bytes.extend(epoch.to_le_bytes());
            (blake2b256(&[&bytes]).as_bytes().to_vec(), entry.id)
        })
        .collect();
    hashes.sort();
    hashes.last().map(|(_, id)| *id)
}

fn signed_bytes(
    cluster: &Cluster,
    token: &SealToken,
    request: &RequestMessage,
    kind: u8,
    package: Address,
) -> Vec<u8> {
    let mut out = intent(cluster, token.id, kind, package);
    vector(&mut out, &request.request_id);
    vector(&mut out, &request.method);
    vector(&mut out, &request.path);
    content(&mut out, &request.query);
    for list in [&request.header_names, &request.header_values] {
        length(&mut out, list.len());
        for item in list {
            vector(&mut out, item);
        }
    }
    content(&mut out, &request.payload);
    vector(&mut out, &request.reply_key);
    out.push(request.priority);
    out.extend(request.deadline_ms.to_le_bytes());
    vector(&mut out, &request.credential_id);
    out
}

fn intent(cluster: &Cluster, token: TokenId, kind: u8, package: Address) -> Vec<u8> {
    let mut out = Vec::new();
    vector(&mut out, b"k3s_daas");
    out.extend([kind, 1]);
    out.extend(cluster.chain.as_bytes());
    out.extend(package.as_bytes());
    out.extend(cluster.id.as_bytes());
    out.extend(token.as_bytes());
    out
}

/// Whether the executor of an answer signed what its event says.
pub(super) fn answer_is_signed(
    cluster: &Cluster,
    e: &K8sRequestProcessed,
    package: Address,
) -> bool {
    let mut bytes = intent(cluster, e.token, 2, package);
    vector(&mut bytes, &e.request_id);
    vector(&mut bytes, e.digest.as_bytes());
    bytes.extend(e.epoch.to_le_bytes());
    bytes.extend(e.status_code.to_le_bytes());
    vector(&mut bytes, &e.envelope_hash);
    bytes.extend(e.envelope_len.to_le_bytes());
    vector(&mut bytes, &e.sealed_hash);
    bytes.extend(e.time_ms.to_le_bytes());
    signing_key(cluster, e.executor)
        .is_some_and(|key| is_signed(key.as_bytes(), e.signature.as_bytes(), &bytes))
}

/// Whether an executor signed a claim (kind 3) or a release (kind 4).
pub(super) fn assignment_is_signed(
    cluster: &Cluster,
    token: TokenId,
    kind: u8,
    executor: ExecutorId,
    (id, digest, epoch): (&[u8], Digest, u64),
    signature: &[u8],
    package: Address,
) -> bool {
    let mut bytes = intent(cluster, token, kind, package);
    vector(&mut bytes, id);
    vector(&mut bytes, digest.as_bytes());
    bytes.extend(epoch.to_le_bytes());
    signing_key(cluster, executor).is_some_and(|key| is_signed(key.as_bytes(), signature, &bytes))
}

/// Whether an executor signed the end of a session (kind 7) or an anchor (kind 5), whose bytes are given.
pub(super) fn bytes_are_signed(
    cluster: &Cluster,
    token: TokenId,
    kind: u8,
    executor: ExecutorId,
    message: &[u8],
    signature: &[u8],
    package: Address,
) -> bool {
    let mut bytes = intent(cluster, token, kind, package);
    bytes.extend(message);
    signing_key(cluster, executor).is_some_and(|key| is_signed(key.as_bytes(), signature, &bytes))
}

/// Whether a key signed a message for a cluster and token, whoever has the key.
pub(super) fn is_signed_by(
    cluster: &Cluster,
    token: TokenId,
    kind: u8,
    key: &PublicKey,
    message: &[u8],
    signature: &Signature,
    package: Address,
) -> bool {
    let mut bytes = intent(cluster, token, kind, package);
    bytes.extend(message);
    is_signed(key.as_bytes(), signature.as_bytes(), &bytes)
}

fn signing_key(cluster: &Cluster, executor: ExecutorId) -> Option<PublicKey> {
    let mut entries = cluster.executors.iter();
    entries
        .find(|entry| entry.id == executor)
        .map(|entry| entry.signing_key)
}

fn content(out: &mut Vec<u8>, content: &Content) {
    out.push(content.kind);
    vector(out, &content.bytes);
    vector(out, &content.hash);
    out.extend(content.length.to_le_bytes());
}

fn vector(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend(bytes);
}

fn length(out: &mut Vec<u8>, mut value: usize) {
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() + 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

fn fields_are_formed(request: &RequestMessage) -> bool {
    let id: Vec<char> = match std::str::from_utf8(&request.request_id) {
        Ok(id) => id.chars().collect(),
        Err(_) => return false,
    };
    if id.len() != 36 {
        return false;
    }
    for (at, digit) in id.iter().enumerate() {
        let good = match at {
            8 | 13 | 18 | 23 => *digit == '-',
            14 => *digit == '7',
            19 => "89ab".contains(*digit),
            _ => "0123456789abcdef".contains(*digit),
        };
        if !good {
            return false;
        }
    }
    let known = [
        "accept",
        "content-type",
        "if-match",
        "if-none-match",
        "user-agent",
    ];
    if request.header_names.len() != request.header_values.len() {
        return false;
    }
    let names: Vec<String> = request.header_names.iter().map(|n| n.to_string()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    let total: usize = request
        .header_names
        .iter()
        .chain(&request.header_values)
        .map(|text| text.len())
        .sum();
    if sorted != names
        || names.iter().any(|name| !known.contains(&name.as_str()))
        || total > 2_048
        || request
            .header_values
            .iter()
            .any(|value| value.iter().any(|byte| *byte < b' ' || *byte > b'~'))
    {
        return false;
    }
    let q = &request.query;
    let query = match q.kind {
        0 => q.bytes.is_empty() && q.hash.is_empty() && q.length == 0,
        1 => !q.bytes.is_empty() && q.hash.is_empty() && q.length == 0,
        2 => q.bytes.is_empty() && q.hash.len() == 32 && (1..=8_192).contains(&q.length),
        _ => false,
    };
    let p = &request.payload;
    let payload = match p.kind {
        0 => p.bytes.is_empty() && p.hash.is_empty() && p.length == 0,
        2 => p.bytes.is_empty() && p.hash.len() == 32 && p.length > 0,
        3 => !p.bytes.is_empty() && p.hash.is_empty() && p.length == 0,
        _ => false,
    };
    query
        && payload
        && [0, 32].contains(&request.reply_key.len())
        && [0, 16].contains(&request.credential_id.len())
}

/// Whether `rules` allow a request that is well-formed, its query in the clear.
pub(super) fn allows(rules: &[PolicyRule], request: &RequestMessage) -> bool {
    let derived = derive(request).unwrap();
    let path = std::str::from_utf8(&request.path).unwrap();
    is_allowed(rules, &derived, path)
}

fn is_allowed(rules: &[PolicyRule], derived: &Derived, path: &str) -> bool {
    derived.free || rules.iter().any(|rule| rule_allows(rule, derived, path))
}

/// What path, method and query mean; nothing if one of path and query is malformed.
fn derive(request: &RequestMessage) -> Option<Derived> {
    let method = std::str::from_utf8(&request.method).ok()?;
    let path = std::str::from_utf8(&request.path).ok()?;
    if path.len() > 1_024 || !path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path[1..].split('/').collect();
    if parts.last() == Some(&"") {
        parts.pop();
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(decode_segment)
        .collect::<Option<_>>()?;
    let mut d = Derived::default();
    let mut rest: &[String] = &parts;
    let has = |rest: &[String], n: usize| rest.len() >= n;
    if has(rest, 3) && rest[0] == "api" {
        d.is_resource = true;
        d.version = rest[1].clone();
        rest = &rest[2..];
    } else if has(rest, 4) && rest[0] == "apis" {
        d.is_resource = true;
        d.group = rest[1].clone();
        d.version = rest[2].clone();
        rest = &rest[3..];
    }
    let mut legacy_watch = false;
    if d.is_resource {
        if rest[0] == "proxy" {
            return None;
        }
        if rest[0] == "watch" {
            if rest.len() < 2 || method != "GET" {
                return None;
            }
            legacy_watch = true;
            rest = &rest[1..];
        }
        if rest[0] == "namespaces" && rest.len() > 1 {
            d.namespace = rest[1].clone();
            if rest.len() > 2 && rest[2] != "status" && rest[2] != "finalize" {
                rest = &rest[2..];
            }
        }
        d.resource = rest[0].clone();
        d.name = rest.get(1).cloned().unwrap_or_default();
        d.subresource = rest.get(2).cloned().unwrap_or_default();
    }
    let connects =
        d.is_resource && ["exec", "attach", "portforward", "proxy"].contains(&&d.subresource[..]);
    let mut pairs = Vec::new();
    if request.query.kind == 2 {
        if !connects {
            return None;
        }
    } else {
        pairs = parameters(&request.query.bytes)?;
    }
    let find = |key: &str| pairs.iter().find(|(k, _)| k == key.as_bytes());
    for key in ["watch", "fieldSelector"] {
        if pairs.iter().filter(|(k, _)| k == key.as_bytes()).count() > 1 {
            return None;
        }
    }
    d.verb = if !d.is_resource {
        method.to_lowercase()
    } else if connects {
        "create".into()
    } else if legacy_watch {
        "watch".into()
    } else {
        let watches = find("watch").is_some_and(|(_, value)| {
            let value = String::from_utf8_lossy(value).to_lowercase();
            value != "0" && value != "false"
        });
        match (method, d.name.is_empty()) {
            ("GET", false) => "get",
            ("GET", true) if watches => "watch",
            ("GET", true) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", false) => "delete",
            _ => "deletecollection",
        }
        .into()
    };
    if (d.verb == "list" || d.verb == "watch")
        && d.name.is_empty()
        && let Some((_, value)) = find("fieldSelector")
        && let Ok(value) = std::str::from_utf8(value)
        && let Some(name) = value.strip_prefix("metadata.name=")
        && (1..=253).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-')
    {
        d.name = name.into();
    }
    let reviews = [
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
    ];
    let review = d.is_resource
        && method == "POST"
        && d.name.is_empty()
        && d.namespace.is_empty()
        && d.subresource.is_empty()
        && reviews.contains(&(&d.group[..], &d.resource[..]));
    let discovery = !d.is_resource
        && method == "GET"
        && (["/api", "/apis", "/version", "/livez", "/readyz", "/healthz"].contains(&path)
            || ["/api/", "/apis/", "/openapi/"]
                .iter()
                .any(|prefix| path.starts_with(prefix)));
    d.free = review || discovery;
    d.is_read = review || (!connects && ["get", "list", "watch"].contains(&&d.verb[..]));
    Some(d)
}

fn decode_segment(segment: &str) -> Option<String> {
    const STANDS: &str = "-._~!$&'()*+,;=:@";
    let stands = |c: char| c.is_ascii_alphanumeric() || STANDS.contains(c);
    let mut out = Vec::new();
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            let (high, low) = (chars.next()?, chars.next()?);
            let hex = "0123456789ABCDEF";
            let byte = u8::try_from(hex.find(high)? * 16 + hex.find(low)?).unwrap();
            if stands(byte as char) || byte < 0x20 || [b'/', b'%', 0x7f].contains(&byte) {
                return None;
            }
            out.push(byte);
        } else if stands(c) {
            out.push(c as u8);
        } else {
            return None;
        }
    }
    let out = String::from_utf8(out).ok()?;
    (!["", ".", ".."].contains(&&out[..])).then_some(out)
}

fn parameters(query: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if query.len() > 8_192 {
        return None;
    }
    let query = std::str::from_utf8(query).ok()?;
    const STANDS: &str = "-._~!$&'()*+,=:@/?%";
    if query
        .chars()
        .any(|c| !c.is_ascii_alphanumeric() && !STANDS.contains(c))
    {
        return None;
    }
    query
        .split('&')
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_parameter(key)?, decode_parameter(value)?))
        })
        .collect()
}

fn decode_parameter(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '+' => out.push(b' '),
            '%' => {
                let hex = "0123456789ABCDEF";
                let (high, low) = (chars.next()?, chars.next()?);
                out.push(u8::try_from(hex.find(high)? * 16 + hex.find(low)?).unwrap());
            }
            c => out.push(c as u8),
        }
    }
    Some(out)
}

fn rule_allows(rule: &PolicyRule, d: &Derived, path: &str) -> bool {
    let any = |list: &[String], wanted: &str| list.iter().any(|x| x == "*" || x == wanted);
    if !any(&rule.verbs, &d.verb) {
        return false;
    }
    if !d.is_resource {
        return rule.non_resource_urls.iter().any(|url| {
            if url.ends_with('*') {
                path.starts_with(&url[..url.len() - 1])
            } else {
                url == path
            }
        });
    }
    let resource = rule.resources.iter().any(|r| {
        if r == "*" {
            true
        } else if d.subresource.is_empty() {
            *r == d.resource
        } else {
            *r == format!("{}/{}", d.resource, d.subresource)
                || *r == format!("*/{}", d.subresource)
        }
    });
    let namespace = rule
        .namespaces
        .iter()
        .any(|n| n == "*" || (!d.namespace.is_empty() && *n == d.namespace));
    let name = rule.resource_names.is_empty()
        || (!d.name.is_empty() && rule.resource_names.contains(&d.name));
    any(&rule.api_groups, &d.group) && resource && namespace && name
}
