//! HTTP to the ledger: a whole gateway is asked, and what it had admitted is what was sent and nothing else.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use k3s_daas::blob::{BlobStore as _, MemoryBlobStore};
use k3s_daas::contract::Call;
use k3s_daas::crypto::{Blob, BlobHash, Ed25519Signer};
use k3s_daas::gateway::{Config, Gateway};
use k3s_daas::ledger::memory::MemoryLedger;
use k3s_daas::ledger::{Ledger as _, LedgerExt as _};
use k3s_daas::token::Authorized;
use k3s_daas::types::{
    ByteString, ClusterId, ClusterPolicy, ExecutorId, HexBytes, MIST_PER_SUI, PolicyRule, Target,
    TokenId, Verb, canonical_path, canonical_query,
};
use k3s_daas::wire::{
    Content, Credential, Delegate, Event, IntentKind, K8sApiRequest, SignedCredential,
};
use tokio::runtime::Runtime;

use super::PLANTED;
use super::path::decoded;

/// A request as text: its line without a version, headers, an empty line, and the body.
pub fn run(data: &[u8]) {
    let Some(asked) = Asked::parse(data) else {
        return;
    };
    WORLD.with_borrow_mut(|slot| {
        if slot
            .as_ref()
            .is_none_or(|world| world.requests >= RENEWED_AFTER)
        {
            *slot = None;
        }
        let world = slot.get_or_insert_with(World::new);
        world.requests += 1;
        world.ask(&asked);
    });
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Asked {
    fn parse(data: &[u8]) -> Option<Self> {
        let end = data.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(at) => (&data[..at], &data[at + 2..]),
            None => (data, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let line = lines.next()?;
        let at = line.iter().position(|byte| *byte == b' ')?;
        let method = Method::from_bytes(&line[..at]).ok()?;
        let uri = Uri::try_from(&line[at + 1..]).ok()?;
        let mut headers = HeaderMap::new();
        for line in lines.take(64) {
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..at]).ok()?;
            let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
            headers.append(name, value);
        }
        Some(Self {
            method,
            uri,
            headers,
            body: body.to_vec(),
        })
    }

    /// What it means, read here from what was sent; it was admitted, so it means something.
    fn target(&self) -> Target {
        let path = canonical_path(self.uri.path()).expect("it was admitted");
        let query = canonical_query(self.uri.query().unwrap_or_default());
        let query = query.expect("it was admitted");
        let method = self.method.as_str().parse().expect("it was admitted");
        let target = Target::derive(method, path.as_bytes(), Some(query.as_bytes()));
        target.expect("it was admitted")
    }

    fn request(&self, bearer: &str) -> Request<Full<std::io::Cursor<Vec<u8>>>> {
        let body = Full::new(std::io::Cursor::new(self.body.clone()));
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if !self.headers.contains_key("authorization") {
            let value = HeaderValue::try_from(format!("Bearer {bearer}"));
            let value = value.expect("it is base64");
            request.headers_mut().insert("authorization", value);
        }
        let text = self.uri.to_string();
        if PLANTED && text.starts_with('/') && text.contains("//") {
            // What some proxies do.
            if let Ok(uri) = text.replace("//", "/").parse() {
                *request.uri_mut() = uri;
            }
        }
        request
    }
}

struct World {
    runtime: Runtime,
    ledger: MemoryLedger,
    blobs: MemoryBlobStore,
    gateway: Gateway,
    cluster: ClusterId,
    token: TokenId,
    executor: ExecutorId,
    bearer: String,
    requests: u32,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime of one thread");
        let owner = Ed25519Signer::from_seed([1; 32]);
        let account = Ed25519Signer::from_seed([2; 32]).address();
        let ledger = MemoryLedger::new(owner.address());
        ledger.fund(owner.address(), 10 * MIST_PER_SUI);
        let Event::ClusterCreated(created) = only(
            &ledger,
            &Call::CreateCluster {
                name: "fuzz".into(),
                chain: ledger.deployment().chain,
                policy: ClusterPolicy::default(),
            },
        ) else {
            panic!("no cluster")
        };
        let (cluster, cap) = (created.cluster, created.admin_cap);
        let signing = Ed25519Signer::from_seed([3; 32]);
        let Event::ExecutorRegistered(registered) = only(
            &ledger,
            &Call::RegisterExecutor {
                cap,
                cluster,
                operator: owner.address(),
                signing_key: HexBytes(signing.public_key().as_bytes().to_vec()),
                encryption_key: HexBytes(vec![9; 32]),
                attestation: HexBytes::default(),
            },
        ) else {
            panic!("no executor")
        };
        let now_ms = ledger.now_ms();
        let until_ms = now_ms + 3_600_000;
        let rule = PolicyRule::builder()
            .with_verbs(["*"])
            .with_api_groups(["", "apps"])
            .with_resources(["*", "pods/proxy", "pods/log", "pods/status"])
            .with_namespaces(["a"])
            .build();
        let Event::SealTokenIssued(issued) = only(
            &ledger,
            &Call::IssueToken {
                cap,
                cluster,
                owner: owner.address(),
                rules: vec![rule.expect("a rule")],
                groups: Vec::new(),
                not_before_ms: now_ms,
                expires_at_ms: until_ms,
                delegates: vec![Delegate {
                    delegate: account,
                    expires_at_ms: until_ms,
                }],
            },
        ) else {
            panic!("no token")
        };
        let token = issued.token;
        let amount = 2 * MIST_PER_SUI;
        only(&ledger, &Call::DepositStake { token, amount });
        let credential = Credential {
            token,
            cluster,
            audience: AUDIENCE.into(),
            not_before_ms: now_ms,
            not_after_ms: until_ms,
            id: CREDENTIAL_ID,
        };
        let intent = ledger
            .deployment()
            .intent(IntentKind::Credential, cluster, token);
        let signed = SignedCredential {
            signature: owner.sign_now(&intent.signed_bytes(&credential)),
            credential,
            public_key: owner.public_key(),
        };
        let blobs = MemoryBlobStore::new();
        let gateway = {
            let _entered = runtime.enter();
            let ledger = Arc::new(ledger.as_account(account));
            Gateway::builder(ledger, Arc::new(blobs.clone()), cluster)
                .with_config(Config::new(AUDIENCE))
                .build()
                .expect("its settings are good")
        };
        Self {
            runtime,
            ledger,
            blobs,
            gateway,
            cluster,
            token,
            executor: registered.executor,
            bearer: signed.to_bearer(),
            requests: 0,
        }
    }

    fn ask(&mut self, asked: &Asked) {
        let before = self.ledger.view(|snapshot| snapshot.cursor);
        let request = asked.request(&self.bearer);
        let status = self.runtime.block_on(async {
            let mut handling = Box::pin(self.gateway.handle(request));
            // Nobody answers, so what is admitted would wait for long.
            for _ in 0..STEPS {
                tokio::select! {
                    biased;
                    response = &mut handling => return Some(response.status()),
                    () = tokio::task::yield_now() => {}
                }
                if self.ledger.view(|snapshot| snapshot.cursor) > before
                    && self.admitted_after(before.major).next().is_some()
                {
                    return None;
                }
            }
            // It waits for something else: a body, room, a lookup.
            tokio::time::timeout(Duration::from_millis(20), handling)
                .await
                .ok()
                .map(|response| response.status())
        });
        let admitted: Vec<_> = self.admitted_after(before.major).collect();
        if status.is_some_and(|status| status.is_client_error()) {
            assert!(admitted.is_empty(), "refused and admitted: {admitted:?}");
        }
        for event in admitted {
            self.judge(asked, &event);
        }
    }

    fn admitted_after(&self, cursor: u64) -> impl Iterator<Item = K8sApiRequest> {
        let events = self.ledger.all_events().into_iter();
        let later = events.filter(move |event| event.cursor.major > cursor);
        later.filter_map(|event| match event.event {
            Event::K8sApiRequest(event) => Some(event),
            _ => None,
        })
    }

    /// What was admitted is what was asked; the executor's own check agrees.
    fn judge(&self, asked: &Asked, event: &K8sApiRequest) {
        let bearer_given = asked.headers.contains_key("authorization");
        assert!(!bearer_given, "admitted with another credential");
        assert_eq!(event.seal_token_id, self.token);
        assert_eq!(event.cluster, self.cluster);
        assert_eq!(event.credential_id.0, CREDENTIAL_ID);
        let impersonates = |name: &HeaderName| name.as_str().starts_with("impersonate-");
        assert!(!asked.headers.keys().any(impersonates));

        let text = |bytes: &ByteString| String::from_utf8(bytes.to_vec()).expect("it is ASCII");
        let path = text(&event.path);
        assert_eq!(event.method[..], *asked.method.as_str().as_bytes());
        assert_eq!(decoded(asked.uri.path()), decoded(&path), "{:?}", asked.uri);
        let payload = self.blob(&event.payload);
        let query = self.blob(&event.query);
        let now_ms = self.ledger.now_ms();
        let authorized = self.ledger.view(|snapshot| {
            Authorized::admit(
                event,
                snapshot.state,
                &self.ledger.deployment(),
                self.executor,
                payload.as_ref(),
                query.as_ref(),
                now_ms,
            )
        });
        let authorized = authorized.expect("the executor takes what the ledger admitted");
        let target = authorized.request().target();
        assert!(is_allowed(&decoded(&path), target), "{path:?} {target:?}");
        assert!(authorized.path_and_query().starts_with(&path));
        let sent = asked.target();
        assert_eq!(sent.path.namespace, target.path.namespace);
        assert_eq!(sent.path.full_resource(), target.path.full_resource());
        assert_eq!(sent.path.name, target.path.name);
        assert_eq!(sent.is_read, target.is_read);
        // Watches are fed from lists and short watches, discovery and reviews are asked for in the gateway's way.
        if sent.verb == Verb::Watch || sent.is_discovery || sent.is_self_review {
            return;
        }
        assert_eq!(sent.verb, target.verb);
        let raw_query = asked.uri.query().unwrap_or_default();
        assert_eq!(decoded(authorized.query()), decoded(raw_query));
        assert_eq!(authorized.body()[..], asked.body[..]);
        for (name, value) in event.header_names.iter().zip(&event.header_values) {
            let name = text(name);
            assert!(FORWARDED.contains(&name.as_str()), "{name:?}");
            let sent: Vec<_> = asked.headers.get_all(&name).iter().collect();
            let sent: Vec<_> = sent.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(value[..], sent.join(&b", "[..]), "{name:?}");
        }
    }

    fn blob(&self, content: &Content) -> Option<Blob> {
        let hash = BlobHash(content.hash32()?);
        let fetched = self.runtime.block_on(self.blobs.fetch(&hash));
        Some(fetched.expect("it is there before the ledger knows of it"))
    }
}

/// Whether the one rule of the token, or what everybody has, allows a path: read from its bytes.
fn is_allowed(path: &[u8], target: &Target) -> bool {
    let path = String::from_utf8_lossy(path);
    let inner = path.trim_matches('/');
    let inner = inner
        .strip_prefix("api/v1/")
        .or_else(|| inner.strip_prefix("apis/apps/"))
        .or_else(|| inner.strip_prefix("api/"))
        .unwrap_or(inner);
    let is_in_namespace = inner
        .split('/')
        .collect::<Vec<_>>()
        .windows(2)
        .any(|pair| pair == ["namespaces", "a"]);
    (is_in_namespace && target.path.namespace == "a")
        || (target.is_discovery && target.is_read)
        || (target.is_self_review && target.is_read)
}

fn only(ledger: &MemoryLedger, call: &Call) -> Event {
    let receipt = ledger.apply(call).expect("it is allowed");
    receipt.events[0].event.clone()
}

const AUDIENCE: &str = "gateway.fuzz:6443";
const CREDENTIAL_ID: [u8; 16] = *b"0123456789abcdef";
const FORWARDED: [&str; 5] = [
    "accept",
    "content-type",
    "if-match",
    "if-none-match",
    "user-agent",
];
/// So often a future is looked at before it is given time.
const STEPS: u32 = 64;
/// What is never answered adds up.
const RENEWED_AFTER: u32 = 256;
