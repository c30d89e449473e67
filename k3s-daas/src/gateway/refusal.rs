//! What a client hears instead of an answer: a Kubernetes `Status`. The gateway's own HTTP status codes are chosen
//! here and nowhere else.

use std::time::Duration;

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::Body;
use super::reply::json_response;
use crate::contract::Code;
use crate::token::CredentialError;
use crate::types::{
    Address, InvalidRequest, MIST_PER_SUI, Malformed, RequestId, ResourcePath, Target, TokenId,
};

/// Why a request gets no answer of the cluster.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No bearer credential at all, or something else in its place.
    NoCredential,
    /// A credential that is not good here.
    Credential(CredentialError),
    /// The contract says no, or would.
    Contract(Box<Denial>),
    /// Path, query or header not of its form.
    Malformed(Malformed),
    /// Another part of the request not of its form.
    BadRequest(&'static str),
    /// Not one of the five methods.
    Method,
    /// `kubectl --as`.
    Impersonation,
    /// Over the limit; bytes.
    BodyTooLarge(usize),
    /// The body did not come in time.
    BodyTimeout,
    /// The body broke off.
    BodyBroken,
    /// A stream or upgrade, which there is nothing to carry for yet: the first part of what is said.
    Stream(&'static str),
    /// An ID of the client's own that is too old to be known if it was used.
    ExpiredId(RequestId),
    /// No executor answers, or none reaches the cluster; why.
    NobodyAnswers(String),
    /// There is an answer, but no room for it.
    NoRoom { id: RequestId, is_read: bool },
    /// The executor had no room for the answer, nor for saying so.
    AnswerLost { id: RequestId, is_read: bool },
    /// A watch of which no JSON is accepted.
    WatchEncoding,
    /// A watch from the beginning by a token that may not list.
    WatchWithoutList(Box<Denial>),
    /// A review of which no JSON was sent.
    ReviewEncoding,
    /// More headers than there may be.
    TooManyHeaders(usize),
    /// A limit of the gateway's own; waiting helps.
    TooMany(&'static str),
    /// A token's requests come faster than they may; how long until the next may.
    TooFast(Duration),
    /// The same ID, another request.
    OtherRequest(RequestId),
    /// The same ID, but what it was answered with is gone.
    BodyGone(RequestId),
    /// The same ID, for a stream.
    IsSession(RequestId),
    /// The deadline came without an answer, or it cannot be said what became of the request.
    Unanswered {
        id: RequestId,
        is_read: bool,
        why: Why,
    },
    /// The ledger has too much to do.
    LedgerBusy,
    /// The ledger is short of disk.
    LedgerFull,
    /// The ledger cannot be reached; nothing was begun.
    LedgerDown,
    /// The ledger is not what it should be, or the gateway's account cannot use it.
    LedgerFault,
    /// The blob store cannot take the body.
    BlobsFull,
    /// The blob store cannot be reached.
    BlobsDown,
    /// The answer's bytes are missing, or not those that the ledger has the hash of.
    WrongBytes { id: RequestId, what: &'static str },
}

/// Why a deadline's answer is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody answered; what is known of the reason.
    Deadline(Option<String>),
    /// The initial events of a watch did not end in time.
    InitialEvents,
    /// The ledger did not say whether it has the request.
    Ledger,
}

/// A refusal of the contract, with what its message is made of.
#[derive(Clone, Debug)]
pub(super) struct Denial {
    pub(super) code: Code,
    pub(super) token: TokenId,
    pub(super) target: Option<Target>,
    pub(super) path: String,
    /// Which rule came closest.
    pub(super) nearest: Option<String>,
    /// MIST.
    pub(super) bonded: u64,
    /// MIST.
    pub(super) min_stake: u64,
    /// What is wrong with the token or the gateway's standing, in words.
    pub(super) standing: Option<&'static str>,
    /// The account of this gateway, which is to be a delegate.
    pub(super) gateway: Address,
    /// What is malformed, in words.
    pub(super) malformed: Option<String>,
}

/// A refusal as it is told: the parts of a `Status`.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    reason: &'static str,
    message: String,
    details: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// The parts of its `Status`.
    pub(super) fn told(&self) -> Told {
        match self {
            Self::NoCredential => told(
                StatusCode::UNAUTHORIZED,
                "Missing or invalid Seal token: send `Authorization: Bearer seal_…`; `daas kubeconfig` \
                 writes a kubeconfig whose exec plugin does, after `daas login`",
            ),
            Self::Credential(error) => told(
                StatusCode::UNAUTHORIZED,
                format!(
                    "Missing or invalid Seal token: {error}; {}",
                    credential_advice(error)
                ),
            ),
            Self::Contract(denial) => denial.told(),
            Self::Malformed(malformed) => told(StatusCode::BAD_REQUEST, malformed.to_string()),
            Self::BadRequest(what) => told(StatusCode::BAD_REQUEST, *what),
            Self::Method => told(
                StatusCode::METHOD_NOT_ALLOWED,
                "the method is none of GET, POST, PUT, PATCH, DELETE",
            ),
            Self::Impersonation => told(
                StatusCode::FORBIDDEN,
                "impersonation is not passed on: the seal token decides who Kubernetes sees, so leave out \
                 --as, --as-group and --as-uid, and use that identity's own seal token instead",
            ),
            Self::BodyTooLarge(limit) => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the body is over the limit of {limit} bytes (the gateway's setting `gateway.max_body_bytes`; \
                     the ledger admits at most 3 MiB)"
                ),
            ),
            Self::BodyTimeout => told(
                StatusCode::REQUEST_TIMEOUT,
                "the body did not come in time; nothing was begun",
            ),
            Self::BodyBroken => told(StatusCode::BAD_REQUEST, "the body broke off"),
            Self::Stream(what) => told(
                StatusCode::NOT_IMPLEMENTED,
                format!("{what} the link between gateway and cluster"),
            ),
            Self::ExpiredId(id) => told(
                StatusCode::GONE,
                format!(
                    "the ID {id} is too old: whether it was used before may not be known any more, and nothing \
                     was begun; if `daas request show {id}` knows nothing of it, use a new one"
                ),
            ),
            Self::NobodyAnswers(why) => told(StatusCode::SERVICE_UNAVAILABLE, why.as_str()),
            Self::NoRoom { id, is_read: true } => told(
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "too many large answers at once: that to request {id} found no room, try again, or read \
                     the others"
                ),
            )
            .retry_after(1),
            Self::NoRoom { id, .. } => told(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "request {id} was answered and the answer is recorded, but too many large answers are \
                     under way to bring this one; the same request with Daas-Request-Id: {id} fetches it, \
                     `daas request show {id}` says what became of it"
                ),
            ),
            Self::AnswerLost { id, is_read: true } => told(
                StatusCode::INSUFFICIENT_STORAGE,
                format!(
                    "the cluster answered request {id}, but the blob store has no room for the answer; ask \
                     again in a minute or two"
                ),
            ),
            Self::AnswerLost { id, .. } => told(
                StatusCode::INSUFFICIENT_STORAGE,
                format!(
                    "request {id} was executed, but the blob store had no room for the answer, which is lost; \
                     look at the object before you repeat it"
                ),
            ),
            Self::WatchEncoding => told(
                StatusCode::NOT_ACCEPTABLE,
                "watches are served as JSON only: accept application/json",
            ),
            Self::WatchWithoutList(denial) => {
                let mut told = denial.told();
                told.message = format!(
                    "a watch without resourceVersion begins with a list, so the seal token needs the verb \
                     \"list\" for it, too: {}",
                    told.message
                );
                told
            }
            Self::ReviewEncoding => told(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "self-reviews are read as JSON or Kubernetes' protobuf, and this body is neither",
            ),
            Self::TooMany(what) => told(
                StatusCode::TOO_MANY_REQUESTS,
                format!("too many {what} at once, try again"),
            )
            .retry_after(1),
            Self::TooManyHeaders(limit) => told(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("the request has more than {limit} headers"),
            ),
            Self::TooFast(wait) => told(
                StatusCode::TOO_MANY_REQUESTS,
                "the requests of this seal token come faster than they may, try again later",
            )
            .retry_after(wait.as_secs() + 1),
            Self::OtherRequest(id) => told(
                StatusCode::CONFLICT,
                format!(
                    "the seal token holds another request under the ID {id}; an ID is for one request and \
                     its repetition, byte for byte"
                ),
            ),
            Self::BodyGone(id) => told(
                StatusCode::GONE,
                format!(
                    "request {id} was made before and is recorded, but the bytes to repeat its answer from \
                     are gone; `daas request show {id}` says what became of it"
                ),
            ),
            Self::IsSession(id) => told(
                StatusCode::CONFLICT,
                format!("request {id} opened a stream, which cannot be repeated"),
            ),
            Self::Unanswered { id, is_read, why } => {
                let what = match why {
                    Why::Deadline(None) => "the deadline passed without an answer".to_owned(),
                    Why::Deadline(Some(why)) => {
                        format!("the deadline passed without an answer: {why}")
                    }
                    Why::InitialEvents => "the initial events did not end in time".to_owned(),
                    Why::Ledger => "the ledger did not say whether it has the request".to_owned(),
                };
                let outcome = if *is_read {
                    "nothing was to be changed"
                } else {
                    "outcome unknown, it may have happened or may still"
                };
                told(
                    StatusCode::GATEWAY_TIMEOUT,
                    format!("{what} ({outcome}): `daas request show {id}`"),
                )
            }
            Self::LedgerBusy => told(
                StatusCode::TOO_MANY_REQUESTS,
                "the ledger has too much to do, try again; nothing was begun",
            )
            .retry_after(1),
            Self::LedgerFull => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "the ledger is below its reserve of disk and takes no new work; nothing was begun",
            ),
            Self::LedgerDown => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "the ledger cannot be reached; nothing was begun",
            ),
            Self::LedgerFault => told(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the ledger refused the gateway's call; nothing was begun, and the gateway's log says why",
            ),
            Self::BlobsFull => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "the blob store has no room for the body; nothing was begun",
            ),
            Self::BlobsDown => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "the blob store cannot be reached",
            ),
            Self::WrongBytes { id, what } => told(
                StatusCode::BAD_GATEWAY,
                format!(
                    "request {id} was answered and the answer is recorded, but {what}; \
                     `daas request show {id}` says what became of it"
                ),
            ),
        }
    }

    /// The whole response.
    pub(super) fn response(&self) -> Response<Body> {
        self.told().response()
    }

    /// A short name for logs and metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::Credential(_) => "bad_credential",
            Self::Contract(denial) | Self::WatchWithoutList(denial) => denial.code.name(),
            Self::Malformed(_) | Self::BadRequest(_) => "bad_request",
            Self::Method => "method",
            Self::Impersonation => "impersonation",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::Stream(_) => "stream",
            Self::WatchEncoding | Self::ReviewEncoding => "encoding",
            Self::TooMany(_) => "too_many",
            Self::TooManyHeaders(_) => "too_many_headers",
            Self::TooFast(_) => "too_fast",
            Self::OtherRequest(_) | Self::IsSession(_) => "other_request",
            Self::BodyGone(_) => "body_gone",
            Self::ExpiredId(_) => "expired_id",
            Self::NobodyAnswers(_) => "nobody_answers",
            Self::NoRoom { .. } => "no_room",
            Self::AnswerLost { .. } => "answer_lost",
            Self::Unanswered { .. } => "unanswered",
            Self::LedgerBusy => "ledger_busy",
            Self::LedgerFull => "ledger_full",
            Self::LedgerDown => "ledger_down",
            Self::LedgerFault => "ledger_fault",
            Self::BlobsFull => "blobs_full",
            Self::BlobsDown => "blobs_down",
            Self::WrongBytes { .. } => "wrong_bytes",
        }
    }

    /// Whether it came before anybody was known to have asked.
    pub(super) fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::NoCredential | Self::Credential(_))
    }
}

impl Denial {
    fn told(&self) -> Told {
        let mut told = match self.code {
            Code::NoPermission => self.forbidden(&no_rule(self.token, self.nearest.as_deref())),
            Code::InsufficientStake => {
                self.forbidden(&too_little_stake(self.token, self.bonded, self.min_stake))
            }
            Code::InvalidSealToken => told(
                StatusCode::UNAUTHORIZED,
                format!(
                    "Missing or invalid Seal token: {}; `daas token show {}` says more",
                    self.standing.unwrap_or(self.code.text()),
                    self.token
                ),
            ),
            Code::NotTokenHolder => told(
                StatusCode::UNAUTHORIZED,
                format!(
                    "Missing or invalid Seal token: {}; its owner runs `daas token delegate {} --token {}`",
                    self.standing.unwrap_or(self.code.text()),
                    self.gateway,
                    self.token
                ),
            ),
            Code::MethodNotAllowed => Refusal::Method.told(),
            Code::MalformedRequest => told(
                StatusCode::BAD_REQUEST,
                self.malformed.as_deref().unwrap_or(self.code.text()),
            ),
            Code::InvalidPriority => told(StatusCode::BAD_REQUEST, self.code.text()),
            Code::DeadlinePassed => told(
                StatusCode::GATEWAY_TIMEOUT,
                "the deadline passed before the request was admitted; it was not executed and never will be",
            ),
            Code::PayloadTooLarge => told(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 3 MiB"),
            Code::DuplicateRequest => told(StatusCode::CONFLICT, self.code.text()),
            Code::NoExecutor => told(
                StatusCode::SERVICE_UNAVAILABLE,
                "no executor is eligible for this cluster: is a daas-nautilus registered, active and staked? \
                 `daas executor list`",
            ),
            Code::TooManyRequests => told(
                StatusCode::TOO_MANY_REQUESTS,
                "1024 requests of this seal token are unanswered, try again",
            )
            .retry_after(1),
            _ => told(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "the ledger does not serve this gateway: {}",
                    self.code.text()
                ),
            ),
        };
        told.reason = match self.code {
            Code::DuplicateRequest => "AlreadyExists",
            _ => told.reason,
        };
        if let Some(target) = self
            .target
            .as_ref()
            .filter(|target| target.path.is_resource)
        {
            told.name_resource(&target.path);
        }
        told.details.insert(
            "causes".into(),
            json!([{"reason": self.code.name(), "message": self.code.text()}]),
        );
        told
    }

    /// The message as kube-apiserver's RBAC words it.
    fn forbidden(&self, why: &str) -> Told {
        let Some(target) = &self.target else {
            return told(StatusCode::FORBIDDEN, format!("forbidden: {why}"));
        };
        let (path, verb, user) = (&target.path, target.verb, self.token);
        let message = if path.is_resource {
            let name = match path.name.as_str() {
                "" => String::new(),
                name => format!(" {name:?}"),
            };
            let scope = match path.namespace.as_str() {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            format!(
                "{}{name} is forbidden: User \"seal:{user}\" cannot {verb} resource {:?} in API group {:?} \
                 {scope}: {why}",
                qualified(path),
                path.full_resource(),
                path.api_group,
            )
        } else {
            format!(
                "forbidden: User \"seal:{user}\" cannot {verb} path {:?}: {why}",
                self.path
            )
        };
        told(StatusCode::FORBIDDEN, message)
    }
}

impl Told {
    /// The `Status` object.
    pub(super) fn status_object(&self) -> Value {
        let mut details = self.details.clone();
        if let Some(wait) = self.retry_after {
            details.insert("retryAfterSeconds".into(), wait.as_secs().into());
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.status.as_u16(),
        });
        if !details.is_empty() {
            status["details"] = Value::Object(details);
        }
        status
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = json_response(self.status, &self.status_object());
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, wait.as_secs().into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"k3s-daas\""),
            );
        }
        response
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(Duration::from_secs(seconds));
        self
    }

    fn name_resource(&mut self, path: &ResourcePath) {
        for (key, value) in [
            ("name", &path.name),
            ("group", &path.api_group),
            ("kind", &path.resource),
        ] {
            if !value.is_empty() {
                self.details.insert(key.into(), value.as_str().into());
            }
        }
    }
}

fn told(status: StatusCode, message: impl Into<String>) -> Told {
    Told {
        status,
        reason: reason(status),
        message: message.into(),
        details: Map::new(),
        retry_after: None,
    }
}

/// The `metav1.StatusReason` of a status.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        405 => "MethodNotAllowed",
        406 => "NotAcceptable",
        408 | 504 => "Timeout",
        409 => "Conflict",
        410 => "Expired",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        431 => "RequestHeaderFieldsTooLarge",
        501 => "NotImplemented",
        502 => "BadGateway",
        503 => "ServiceUnavailable",
        507 => "InsufficientStorage",
        _ => "InternalError",
    }
}

fn credential_advice(error: &CredentialError) -> &'static str {
    match error {
        CredentialError::Malformed => "`daas credential` makes a good one",
        CredentialError::OtherAudience => {
            "log in to this gateway, or use the kubeconfig of the other one"
        }
        CredentialError::OtherCluster => "use the kubeconfig of that cluster",
        CredentialError::NotYet { .. } => {
            "if it was made just now, the clocks of the two machines differ"
        }
        CredentialError::Expired { .. } => "`daas credential` makes a new one",
        CredentialError::UnknownToken => {
            "`daas token list` shows the tokens that this ledger knows"
        }
        CredentialError::NotTokenHolder => "`daas login` registers a new session key",
        _ => "`daas login` begins anew",
    }
}

/// `deployments.apps` or `pods`; with its subresource if it has one.
fn qualified(path: &ResourcePath) -> String {
    let mut text = path.resource.clone();
    if !path.api_group.is_empty() {
        text = format!("{text}.{}", path.api_group);
    }
    if !path.subresource.is_empty() {
        text = format!("{text}/{}", path.subresource);
    }
    text
}

/// That no rule of a token allows something, the nearest of them, and the command that shows them all.
pub(super) fn no_rule(token: TokenId, nearest: Option<&str>) -> String {
    let nearest = nearest.unwrap_or("no rule of the seal token speaks of it");
    format!("{nearest}. `daas token rules --token {token}` shows what it allows")
}

/// That a token has too little stake, both in MIST, and the command that adds what is missing.
pub(super) fn too_little_stake(token: TokenId, bonded: u64, needed: u64) -> String {
    // One word, so that it can be pasted into a shell.
    let missing = sui(needed.saturating_sub(bonded)).replace(' ', "");
    format!(
        "the seal token has {} of stake and needs {} to change anything: \
         `daas token stake {missing} --token {token}` adds what is missing",
        sui(bonded),
        sui(needed)
    )
}

/// MIST as people read it.
fn sui(mist: u64) -> String {
    let (whole, part) = (mist / MIST_PER_SUI, mist % MIST_PER_SUI);
    if part == 0 {
        return format!("{whole} SUI");
    }
    let part = format!("{part:09}");
    format!("{whole}.{} SUI", part.trim_end_matches('0'))
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<InvalidRequest> for Refusal {
    fn from(invalid: InvalidRequest) -> Self {
        match invalid {
            InvalidRequest::Malformed(malformed) => Self::Malformed(malformed),
            InvalidRequest::PayloadTooLarge => Self::BodyTooLarge(3 << 20),
            _ => Self::BadRequest("a field of the request is not of its form"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::types::Method;

    fn denial(code: Code, method: Method, path: &str) -> Denial {
        Denial {
            code,
            token: TokenId::new([7; 32]),
            target: Target::derive(method, path.as_bytes(), Some(b"")).ok(),
            path: path.into(),
            nearest: None,
            bonded: 250_000_000,
            min_stake: MIST_PER_SUI,
            standing: None,
            gateway: Address::new([8; 32]),
            malformed: None,
        }
    }

    #[test]
    fn every_code_of_a_request_has_its_status_and_reason() {
        for (code, status, reason) in [
            (Code::WrongVersion, 503, "ServiceUnavailable"),
            (Code::InvalidSealToken, 401, "Unauthorized"),
            (Code::NotTokenHolder, 401, "Unauthorized"),
            (Code::MethodNotAllowed, 405, "MethodNotAllowed"),
            (Code::MalformedRequest, 400, "BadRequest"),
            (Code::NoPermission, 403, "Forbidden"),
            (Code::InsufficientStake, 403, "Forbidden"),
            (Code::DeadlinePassed, 504, "Timeout"),
            (Code::PayloadTooLarge, 413, "RequestEntityTooLarge"),
            (Code::InvalidPriority, 400, "BadRequest"),
            (Code::DuplicateRequest, 409, "AlreadyExists"),
            (Code::NoExecutor, 503, "ServiceUnavailable"),
            (Code::TooManyRequests, 429, "TooManyRequests"),
        ] {
            let told = denial(code, Method::Get, "/api/v1/pods").told();
            assert_eq!(
                (told.status.as_u16(), told.reason),
                (status, reason),
                "{code}"
            );
            let object = told.status_object();
            assert_eq!(object["code"], status);
            assert_eq!(object["details"]["causes"][0]["reason"], code.name());
            assert_eq!(told.retry_after.is_some(), status == 429, "{code}");
        }
    }

    #[test]
    fn forbidden_is_worded_as_kubernetes_words_it() {
        let mut lacks = denial(
            Code::NoPermission,
            Method::Delete,
            "/apis/apps/v1/namespaces/a/deployments/web",
        );
        lacks.nearest = Some("rule 1 allows get on deployments in namespace a".into());
        let token = TokenId::new([7; 32]);
        let object = lacks.told().status_object();
        assert_eq!(
            object["message"],
            format!(
                "deployments.apps \"web\" is forbidden: User \"seal:{token}\" cannot delete resource \
                 \"deployments\" in API group \"apps\" in the namespace \"a\": rule 1 allows get on deployments \
                 in namespace a. `daas token rules --token {token}` shows what it allows"
            )
        );
        assert_eq!(object["details"]["name"], "web");
        assert_eq!(object["details"]["group"], "apps");
        assert_eq!(object["details"]["kind"], "deployments");

        let message = |denial: Denial| denial.told().message;
        let exec = denial(
            Code::NoPermission,
            Method::Get,
            "/api/v1/namespaces/a/pods/web/exec",
        );
        assert!(message(exec).starts_with(
            "pods/exec \"web\" is forbidden: User \"seal:0x0707070707070707070707070707070707070707070707070\
             707070707070707\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"a\": "
        ));
        let nodes = denial(Code::NoPermission, Method::Get, "/api/v1/nodes");
        assert!(message(nodes).contains(
            " cannot list resource \"nodes\" in API group \"\" at the cluster scope: no rule"
        ));
        let metrics = denial(Code::NoPermission, Method::Get, "/metrics");
        assert!(message(metrics).contains(" cannot get path \"/metrics\": "));
        let stake = denial(
            Code::InsufficientStake,
            Method::Post,
            "/api/v1/namespaces/a/pods",
        );
        let stake = message(stake);
        assert!(
            stake.contains("the seal token has 0.25 SUI of stake and needs 1 SUI"),
            "{stake}"
        );
        assert!(
            stake.contains(&format!("`daas token stake 0.75SUI --token {token}` ")),
            "{stake}"
        );
    }

    #[test]
    fn an_unknown_outcome_names_its_request_and_invites_no_retry() {
        let id = RequestId::new();
        let refusal = Refusal::Unanswered {
            id,
            is_read: false,
            why: Why::Deadline(Some("is daas-nautilus running?".into())),
        };
        let response = refusal.response();
        assert_eq!(response.status(), 504);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        let message = refusal.told().message;
        assert!(message.contains("outcome unknown"), "{message}");
        assert!(message.contains("is daas-nautilus running?"), "{message}");
        assert!(
            message.contains(&format!("daas request show {id}")),
            "{message}"
        );
    }

    #[test]
    fn what_was_done_is_never_to_be_retried() {
        let id = RequestId::new();
        for (refusal, status, retries) in [
            (Refusal::NoRoom { id, is_read: true }, 429, true),
            (Refusal::NoRoom { id, is_read: false }, 503, false),
            (Refusal::AnswerLost { id, is_read: true }, 507, false),
            (Refusal::AnswerLost { id, is_read: false }, 507, false),
            (Refusal::NobodyAnswers("why".into()), 503, false),
            (Refusal::ExpiredId(id), 410, false),
        ] {
            let response = refusal.response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), retries);
        }
    }

    #[test]
    fn amounts_are_read_as_sui() {
        for (mist, text) in [
            (0, "0 SUI"),
            (1, "0.000000001 SUI"),
            (MIST_PER_SUI, "1 SUI"),
            (1_500_000_000, "1.5 SUI"),
            (u64::MAX, "18446744073.709551615 SUI"),
        ] {
            assert_eq!(sui(mist), text);
        }
    }
}
