//! The fields of a request, at their bounds and over them.

use k3s_daas::contract::{Call, Code};
use k3s_daas::types::{ByteString, HexBytes, MIST_PER_SUI, PolicyRule};
use k3s_daas::wire::{Content, RequestMessage};

use super::requests::signed;
use super::world::{EXPIRY, START, World, off_curve_key, request_id, signer};

#[test]
fn keys_and_signatures_that_are_none() {
    let mut w = World::new();
    let call = signed(&w, w.list_pods(1));
    let with = |key: Vec<u8>, sig: Option<Vec<u8>>| {
        let mut call = call.clone();
        if let Call::ExecuteSignedCommand {
            public_key,
            signature,
            ..
        } = &mut call
        {
            *public_key = HexBytes(key);
            if let Some(sig) = sig {
                *signature = HexBytes(sig);
            }
        }
        call
    };
    let key = w.session.public_key().as_ref().to_vec();
    for length in [0, 31, 33, 64] {
        w.refused(w.owner, with(vec![1; length], None), Code::NotTokenHolder);
    }
    for length in [0, 63, 65, 128] {
        let call = with(key.clone(), Some(vec![0; length]));
        w.refused(w.owner, call, Code::NotTokenHolder);
    }
    // A key that nobody registered, with a good signature of its own.
    let other = signer("other");
    let intent = w.intent(k3s_daas::wire::IntentKind::Request, w.token);
    let signature = other.sign_now(&intent.signed_bytes(&w.list_pods(1)));
    let call = with(
        other.public_key().as_ref().to_vec(),
        Some(signature.as_ref().to_vec()),
    );
    w.refused(w.owner, call, Code::NotTokenHolder);
    // One off the curve can be registered and verifies nothing.
    let call = Call::RegisterSessionKey {
        token: w.token,
        key: HexBytes(off_curve_key().to_vec()),
        expires_at_ms: EXPIRY,
    };
    w.ok(w.owner, call);
    let trivial = super::world::trivial_signature().as_ref().to_vec();
    let call = with(off_curve_key().to_vec(), Some(trivial));
    w.refused(w.owner, call, Code::NotTokenHolder);
    // A live key until its expiry, and not at it.
    w.edit_token(|t| {
        for expiry in t.session_keys.values_mut() {
            *expiry = START + 1_000;
        }
    });
    w.now = START + 1_000;
    let call = signed(&w, w.list_pods(3));
    w.refused(w.owner, call, Code::NotTokenHolder);
    w.now = START + 999;
    let call = signed(&w, w.list_pods(3));
    w.ok(w.stranger, call);
}

#[test]
fn methods() {
    let mut w = World::new();
    for method in [
        "",
        "get",
        "Get",
        "HEAD",
        "OPTIONS",
        "CONNECT",
        "TRACE",
        "GET ",
        "POSTPOST",
        "\u{ff27}ET",
    ] {
        let mut request = w.list_pods(1);
        request.method = method.into();
        let call = w.execute(request);
        w.refused(w.owner, call, Code::MethodNotAllowed);
    }
    for (n, method) in ["GET", "POST", "PUT", "PATCH", "DELETE"].iter().enumerate() {
        let mut request = w.list_pods(n as u64);
        request.method = (*method).into();
        request.path = "/api/v1/namespaces/default/pods/web".into();
        w.ok(w.owner, w.execute(request));
    }
}

#[test]
fn fields_that_are_not_of_their_form() {
    let mut w = World::new();
    w.edit_token(|t| {
        t.rules.push(PolicyRule {
            verbs: vec!["*".into()],
            api_groups: vec!["*".into()],
            resources: vec!["*".into()],
            non_resource_urls: vec!["*".into()],
            namespaces: vec!["*".into()],
            ..PolicyRule::default()
        });
    });
    type Edit = fn(&mut RequestMessage);
    let breaks: Vec<(&str, Edit)> = vec![
        ("no ID", |r| r.request_id = "".into()),
        ("version 4", |r| {
            r.request_id = "01a0b1c2-d3e4-4f05-8000-000000000001".into();
        }),
        ("upper case", |r| {
            r.request_id = "01A0b1c2-d3e4-7f05-8000-000000000001".into();
        }),
        ("wrong variant", |r| {
            r.request_id = "01a0b1c2-d3e4-7f05-c000-000000000001".into();
        }),
        ("37 characters", |r| r.request_id.0.push(b'0')),
        ("not UTF-8", |r| r.request_id = ByteString(vec![0xff; 36])),
        ("no path", |r| r.path = "".into()),
        ("relative", |r| r.path = "api/v1/pods".into()),
        ("empty segment", |r| r.path = "/api//v1/pods".into()),
        ("dot", |r| r.path = "/api/v1/./pods".into()),
        ("dot dot", |r| r.path = "/api/v1/../v1/pods".into()),
        ("escaped slash", |r| {
            r.path = "/api/v1/namespaces/default%2Fpods".into();
        }),
        ("escaped letter", |r| r.path = "/api/v1/%70ods".into()),
        ("lower-case escape", |r| {
            r.path = "/api/v1/pods/%c3%a9".into()
        }),
        ("NUL", |r| r.path = "/api/v1/pods/%00".into()),
        ("not ASCII", |r| r.path = "/api/v1/pods/é".into()),
        ("not UTF-8 path", |r| {
            r.path = ByteString(b"/api/v1/pods/\xff".to_vec());
        }),
        ("1,025 bytes of path", |r| {
            r.path = format!("/{}", "a".repeat(1_024)).into();
        }),
        ("query in the path", |r| {
            r.path = "/api/v1/pods?watch=1".into()
        }),
        ("watch alone", |r| r.path = "/api/v1/watch".into()),
        ("legacy proxy", |r| r.path = "/api/v1/proxy/nodes/a".into()),
        ("watch twice", |r| {
            r.query = Content::plain("watch=0&watch=1")
        }),
        ("semicolon", |r| r.query = Content::plain("a=1;watch=1")),
        ("8,193 bytes of query", |r| {
            r.query = Content::plain("a".repeat(8_193).into_bytes());
        }),
        ("hashed query of a list", |r| {
            r.query = Content::hashed([1; 32], 5);
        }),
        ("query of no kind", |r| r.query.kind = 4),
        ("sealed query", |r| r.query = Content::sealed(vec![1])),
        ("empty plain query", |r| r.query.kind = 1),
        ("bytes of no query", |r| r.query.bytes = "watch=1".into()),
        ("plain query with a hash", |r| {
            r.query = Content::plain("watch=1");
            r.query.hash = HexBytes(vec![0; 32]);
        }),
        ("plain query with a length", |r| {
            r.query = Content::plain("watch=1");
            r.query.length = 7;
        }),
        ("plain payload", |r| {
            r.payload = Content::plain("{}");
        }),
        ("payload of no kind", |r| r.payload.kind = 255),
        ("short hash", |r| {
            r.payload = Content::hashed([1; 32], 5);
            r.payload.hash.0.pop();
        }),
        ("hash of nothing", |r| {
            r.payload = Content::hashed([1; 32], 0)
        }),
        ("hash with bytes", |r| {
            r.payload = Content::hashed([1; 32], 5);
            r.payload.bytes = "x".into();
        }),
        ("sealed nothing", |r| {
            r.payload = Content::sealed(Vec::new())
        }),
        ("sealed with a length", |r| {
            r.payload = Content::sealed(vec![1]);
            r.payload.length = 1;
        }),
        ("sealed with a hash", |r| {
            r.payload = Content::sealed(vec![1]);
            r.payload.hash = HexBytes(vec![0; 32]);
        }),
        ("none with a length", |r| {
            r.payload = Content::none();
            r.payload.length = 1;
        }),
        ("a name without a value", |r| {
            r.header_names = vec!["accept".into()];
            r.header_values = Vec::new();
        }),
        ("a value without a name", |r| {
            r.header_names = Vec::new();
            r.header_values = vec!["*/*".into()];
        }),
        ("another header", |r| header(r, &[("authorization", "x")])),
        ("impersonation", |r| {
            header(r, &[("impersonate-user", "root")]);
        }),
        ("upper-case header", |r| header(r, &[("Accept", "x")])),
        ("a header twice", |r| {
            header(r, &[("accept", "x"), ("accept", "y")]);
        }),
        ("unsorted headers", |r| {
            header(r, &[("user-agent", "x"), ("accept", "y")]);
        }),
        ("line break", |r| header(r, &[("accept", "x\r\ny: z")])),
        ("2,049 bytes of headers", |r| {
            header(r, &[("accept", &"a".repeat(2_043))]);
        }),
        ("reply key of 31", |r| r.reply_key = HexBytes(vec![1; 31])),
        ("reply key of 33", |r| r.reply_key = HexBytes(vec![1; 33])),
        ("credential ID of 15", |r| {
            r.credential_id = HexBytes(vec![1; 15]);
        }),
        ("credential ID of 17", |r| {
            r.credential_id = HexBytes(vec![1; 17]);
        }),
    ];
    for (what, break_it) in breaks {
        let mut request = w.list_pods(1);
        break_it(&mut request);
        let code = w.code(w.owner, &w.execute(request));
        assert_eq!(code, Some(Code::MalformedRequest), "{what}");
    }
    // The same fields at their bounds.
    let good: Vec<Edit> = vec![
        |r| r.path = format!("/{}", "a".repeat(1_023)).into(),
        |r| r.query = Content::plain("a".repeat(8_192).into_bytes()),
        |r| {
            r.path = "/api/v1/namespaces/default/pods/web/exec".into();
            r.query = Content::hashed([1; 32], 8_192);
        },
        |r| header(r, &[("accept", &"a".repeat(2_042))]),
        |r| header(r, &[("accept", ""), ("user-agent", "kubectl/v1.35.2")]),
        |r| r.reply_key = HexBytes(vec![1; 32]),
        |r| r.credential_id = HexBytes(vec![1; 16]),
    ];
    for (n, edit) in good.into_iter().enumerate() {
        let mut request = w.list_pods(n as u64);
        edit(&mut request);
        w.ok(w.owner, w.execute(request));
    }
    let mut request = w.list_pods(50);
    request.path = "/api/v1/namespaces/default/pods/web/exec".into();
    request.query = Content::hashed([1; 32], 8_193);
    w.refused(w.owner, w.execute(request), Code::MalformedRequest);
}

fn header(request: &mut RequestMessage, headers: &[(&str, &str)]) {
    request.header_names = headers.iter().map(|(name, _)| (*name).into()).collect();
    request.header_values = headers.iter().map(|(_, value)| (*value).into()).collect();
}

#[test]
fn permission_is_of_the_path() {
    let mut w = World::new();
    for (method, path) in [
        ("GET", "/api/v1/namespaces/default/secrets"),
        ("GET", "/api/v1/namespaces/kube-system/pods"),
        ("GET", "/api/v1/pods"),
        ("GET", "/apis/apps/v1/namespaces/default/pods"),
        ("POST", "/api/v1/namespaces/default/pods/web/eviction"),
        ("GET", "/api/v1/namespaces/default"),
        ("GET", "/metrics"),
        ("POST", "/api"),
        ("GET", "/version/"),
    ] {
        let mut request = w.create_pod(1);
        request.method = method.into();
        request.path = path.into();
        let code = w.code(w.owner, &w.execute(request));
        assert_eq!(code, Some(Code::NoPermission), "{method} {path}");
    }
    // Without any rule: discovery and self-reviews.
    w.edit_token(|t| t.rules.clear());
    let call = w.execute(w.list_pods(1));
    w.refused(w.owner, call, Code::NoPermission);
    for (n, (method, path)) in [
        ("GET", "/api"),
        ("GET", "/apis/"),
        ("GET", "/openapi/v3"),
        ("GET", "/version"),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        ),
    ]
    .iter()
    .enumerate()
    {
        let mut request = w.list_pods(n as u64);
        request.method = (*method).into();
        request.path = (*path).into();
        w.ok(w.owner, w.execute(request));
    }
}

#[test]
fn stake_is_for_writes_and_ways_in() {
    let mut w = World::new();
    w.edit_token(|t| t.bonded = MIST_PER_SUI - 1);
    for (method, path) in [
        ("POST", "/api/v1/namespaces/default/pods"),
        ("PUT", "/api/v1/namespaces/default/pods/web"),
        ("PATCH", "/api/v1/namespaces/default/pods/web"),
        ("DELETE", "/api/v1/namespaces/default/pods/web"),
        ("DELETE", "/api/v1/namespaces/default/pods"),
        // A WebSocket begins with GET.
        ("GET", "/api/v1/namespaces/default/pods/web/exec"),
    ] {
        let mut request = w.list_pods(1);
        request.method = method.into();
        request.path = path.into();
        let code = w.code(w.owner, &w.execute(request));
        assert_eq!(code, Some(Code::InsufficientStake), "{method} {path}");
    }
    w.ok(w.owner, w.execute(w.list_pods(1)));
    w.edit_token(|t| t.bonded = MIST_PER_SUI);
    w.ok(w.owner, w.execute(w.create_pod(2)));
    // What is unbonding does not count.
    let call = Call::Unstake {
        cluster: w.cluster,
        token: w.token,
        amount: MIST_PER_SUI,
    };
    w.ok(w.owner, call);
    let call = w.execute(w.create_pod(3));
    w.refused(w.owner, call, Code::InsufficientStake);
    // Where nothing is asked for, nothing is needed.
    w.edit_cluster(|c| c.policy.min_write_stake = 0);
    w.ok(w.owner, w.execute(w.create_pod(4)));
}

#[test]
fn deadlines() {
    let mut w = World::new();
    for (deadline, passes) in [
        (0, false),
        (START - 1, false),
        (START, false),
        (START + 1, true),
        (START + 3_600_000, true),
        (START + 3_600_001, false),
        (u64::MAX, false),
    ] {
        let mut request = w.create_pod(deadline);
        request.deadline_ms = deadline;
        request.request_id = request_id(deadline & 0xffff_ffff);
        let code = w.code(w.owner, &w.execute(request));
        let expected = if passes {
            None
        } else {
            Some(Code::DeadlinePassed)
        };
        assert_eq!(code, expected, "{deadline}");
    }
}

#[test]
fn payloads_and_priorities() {
    let mut w = World::new();
    const MIB3: u64 = 3 * 1_024 * 1_024;
    for (n, (payload, code)) in [
        (Content::none(), None),
        (Content::sealed(vec![1; 16_000]), None),
        (
            Content::sealed(vec![1; 16_001]),
            Some(Code::PayloadTooLarge),
        ),
        (Content::hashed([1; 32], MIB3), None),
        (
            Content::hashed([1; 32], MIB3 + 1),
            Some(Code::PayloadTooLarge),
        ),
        (
            Content::hashed([1; 32], u64::MAX),
            Some(Code::PayloadTooLarge),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = w.create_pod(n as u64);
        request.payload = payload;
        assert_eq!(w.code(w.owner, &w.execute(request)), code, "{n}");
    }
    for priority in 0..=255 {
        let mut request = w.create_pod(1_000 + u64::from(priority));
        request.priority = priority;
        let code = w.code(w.owner, &w.execute(request));
        let expected = (!(1..=4).contains(&priority)).then_some(Code::InvalidPriority);
        assert_eq!(code, expected, "{priority}");
    }
}
