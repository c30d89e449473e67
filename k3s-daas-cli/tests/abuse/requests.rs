//! Requests that two readers could read differently, over TLS to a gateway and on to an API server that keeps
//! every byte: what is not refused arrives as the ledger recorded it, and as nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::upstream::Upstream;
use crate::wire::{
    self, Answer, Client, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, ask, block, find,
    frame, frame_until,
};
use crate::world::World;

#[test]
fn what_arrives_is_what_the_ledger_recorded() {
    let upstream = Upstream::start(|line| match line.contains("/hostile-") {
        true => hostile_answer(line),
        false => json_answer("{\"kind\":\"Status\"}"),
    });
    let world = World::on(&upstream.address);
    let bearer = world.bearer("a");
    let client = world.client();
    let runtime = runtime();
    let test = Test {
        client,
        bearer,
        upstream,
    };
    runtime.block_on(async {
        test.paths().await;
        test.queries().await;
        test.targets().await;
        test.heads().await;
        test.framing().await;
        test.chunks().await;
        test.trailers().await;
        test.http2().await;
        test.credentials(&world).await;
        test.hostile_answers().await;
    });
    test.nothing_else_arrived(&world.events());
}

struct Test {
    client: Client,
    bearer: String,
    upstream: Upstream,
}

impl Test {
    fn arrived(&self) -> usize {
        self.upstream.arrived().len()
    }

    /// Methods and targets that arrived since.
    fn lines_since(&self, begin: usize) -> Vec<String> {
        let arrived = self.upstream.arrived();
        arrived[begin..]
            .iter()
            .map(|request| request.line.clone())
            .collect()
    }

    fn head(&self, line: &str) -> Vec<u8> {
        self.head_of(line.as_bytes())
    }

    fn head_of(&self, line: &[u8]) -> Vec<u8> {
        let mut head = line.to_vec();
        let rest = format!(
            " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            self.bearer
        );
        head.extend(rest.bytes());
        head
    }

    async fn get(&self, target: &[u8], headers: &str) -> Answer {
        let mut request = self.head_of(&[b"GET ", target].concat());
        request.extend_from_slice(headers.as_bytes());
        request.extend_from_slice(b"Connection: close\r\n\r\n");
        wire::answer(&self.client.exchange(&request, PATIENCE).await)
    }

    /// Every spelling of dots, slashes, percent signs and NUL, where a segment or a part of one is expected.
    async fn paths(&self) {
        let mut taken = Vec::new();
        let mut refused = 0;
        for spelling in spellings() {
            for (before, after) in [
                ("/api/v1/namespaces/a/", "/b/configmaps"),
                ("/api/v1/namespaces/a", "b/configmaps"),
                ("/api/v1/namespaces/a/configmaps/x", ""),
                ("/api/v1/namespaces/", "/configmaps"),
                ("", "/api/v1/namespaces/a/configmaps"),
            ] {
                let target = [before.as_bytes(), &spelling, after.as_bytes()].concat();
                let shown = target.escape_ascii().to_string();
                let begin = self.arrived();
                let answer = self.get(&target, "").await;
                let arrived = self.lines_since(begin);
                if arrived.is_empty() {
                    let is_refused = matches!(answer.status, 0 | 400 | 403);
                    assert!(is_refused, "{shown}: {answer:?}");
                    refused += 1;
                    continue;
                }
                assert_eq!((answer.status, arrived.len()), (200, 1), "{shown}");
                let line = arrived[0].strip_prefix("GET ").unwrap();
                // It is in the namespace by any reading, and has nothing in it to be read once more.
                assert!(line.starts_with("/api/v1/namespaces/a/"), "{shown}: {line}");
                let lower = line.to_lowercase();
                for unwanted in ["/../", "/./", "//", "%2e", "%2f", "%25", "%00", "%c0", "\\"] {
                    assert!(!lower.contains(unwanted), "{shown}: {line}");
                }
                taken.push(line.to_owned());
            }
        }
        // Other characters that look alike are names like any others, spelled in one way.
        taken.sort();
        taken.dedup();
        let expected = [
            "/api/v1/namespaces/a/%5C..%5C/b/configmaps",
            "/api/v1/namespaces/a/%E2%88%95/b/configmaps",
            "/api/v1/namespaces/a/%EF%BC%8E%EF%BC%8E/b/configmaps",
            "/api/v1/namespaces/a/..;/b/configmaps",
            "/api/v1/namespaces/a/.../b/configmaps",
        ];
        for line in expected {
            assert!(
                taken.iter().any(|taken| taken == line),
                "{line}: {taken:#?}"
            );
        }
        assert!(refused > 100, "{refused}");
    }

    async fn queries(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        let long = format!("x={}", "y".repeat(8_300));
        let many = vec!["x"; 5_000].join("&");
        for query in [
            "watch=1&watch=0",
            "watch=0&watch=1",
            "a;b",
            "limit=1;watch=1",
            "x=%zz",
            "x=%",
            "x=%2",
            &long,
            &many,
        ] {
            let begin = self.arrived();
            let answer = self.get(format!("{path}?{query}").as_bytes(), "").await;
            assert!(
                matches!(answer.status, 400 | 431),
                "{query:.40}: {answer:?}"
            );
            assert_eq!(self.lines_since(begin), [""; 0], "{query:.40}");
        }
        // What is no text stays escaped, and only what may not stand is escaped anew.
        for (query, arrives) in [
            ("", ""),
            ("?limit=%31", "?limit=%31"),
            // Nothing that is decided by; the cluster takes the first.
            ("?limit=1&limit=2", "?limit=1&limit=2"),
            (
                "?fieldSelector=metadata.name%3dx",
                "?fieldSelector=metadata.name%3Dx",
            ),
            ("?labelSelector=a+b", "?labelSelector=a+b"),
            ("?labelSelector=a%2bb", "?labelSelector=a%2Bb"),
            ("?x=%00%0a%c0%af%ff", "?x=%00%0A%C0%AF%FF"),
            // The second `?` is part of a value, and what follows `#` is not asked for.
            ("?labelSelector=a?b", "?labelSelector=a?b"),
            ("?limit=1#/../../b", "?limit=1"),
        ] {
            let begin = self.arrived();
            let answer = self.get(format!("{path}{query}").as_bytes(), "").await;
            assert_eq!(answer.status, 200, "{query}: {answer:?}");
            let arrived = self.lines_since(begin);
            assert_eq!(arrived, [format!("GET {path}{arrives}")], "{query}");
        }
    }

    /// Forms of a target other than a path.
    async fn targets(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        for line in [
            "GET localhost:443",
            "GET localhost",
            "GET *",
            "OPTIONS *",
            "CONNECT localhost:443",
            "CONNECT 10.0.0.1:6443",
            "GET api/v1/namespaces/a/configmaps",
            "GET https://",
            "GET https://localhost/api/v1/namespaces/a/../b/configmaps",
            "GET http:/api/v1/namespaces/a/configmaps",
            "GET ?watch=1",
        ] {
            let begin = self.arrived();
            let request = [self.head(line), b"Connection: close\r\n\r\n".to_vec()].concat();
            let answer = wire::answer(&self.client.exchange(&request, PATIENCE).await);
            assert!(matches!(answer.status, 0 | 400..=499), "{line}: {answer:?}");
            assert_eq!(self.lines_since(begin), [""; 0], "{line}");
        }
        // The server in a target is not where it goes.
        for server in ["https://kubernetes.default.svc", "http://u:p@10.0.0.1:1"] {
            let begin = self.arrived();
            let answer = self.get(format!("{server}{path}").as_bytes(), "").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(self.lines_since(begin), [format!("GET {path}")]);
        }
    }

    /// Headers that name another caller, another method or another target.
    async fn heads(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        for headers in [
            "Host: elsewhere\r\n",
            "Impersonate-User: admin\r\n",
            "impersonate-group: system:masters\r\n",
            "IMPERSONATE-UID: 1\r\n",
            "Impersonate-Extra-Daas.dev%2frequest-Id: x\r\n",
            "Connection: impersonate-user\r\nImpersonate-User: admin\r\n",
            "Authorization: Bearer x\r\n",
            // A header that goes on in the next line.
            "Accept: a\r\n b\r\n",
            "X: a\r\n\tImpersonate-User: admin\r\n",
            "Impersonate-User : admin\r\n",
            " Impersonate-User: admin\r\n",
            "X\0: a\r\n",
            "X: a\0b\r\n",
            "X: a\rImpersonate-User: admin\r\n",
            "X: a\nImpersonate-User: admin\r\n",
            ": a\r\n",
            "X\r\n",
            "X Y: a\r\n",
        ] {
            let begin = self.arrived();
            let answer = self.get(path.as_bytes(), headers).await;
            assert!(
                matches!(answer.status, 0 | 400 | 401 | 403),
                "{headers:?}: {answer:?}"
            );
            assert_eq!(self.lines_since(begin), [""; 0], "{headers:?}");
        }
        for headers in [
            "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nX-Remote-Extra-A: b\r\n",
            "X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n",
            "Forwarded: for=127.0.0.1;host=elsewhere;proto=https\r\n",
            "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: elsewhere\r\nX-Forwarded-Uri: /api/v1/secrets\r\n",
            "X-Original-URL: /api/v1/secrets\r\nX-Rewrite-URL: /api/v1/secrets\r\n",
            "Cookie: a=b\r\nProxy-Authorization: Basic YTpi\r\nTE: trailers\r\nX-Real-IP: 127.0.0.1\r\n",
            // Nothing that is told to be of this connection alone stays or goes for it.
            "Connection: x-remote-user, authorization, accept\r\nX-Remote-User: admin\r\nAccept: application/json\r\n",
            "Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n",
        ] {
            let begin = self.arrived();
            let answer = self.get(path.as_bytes(), headers).await;
            assert_eq!(answer.status, 200, "{headers:?}: {answer:?}");
            assert_eq!(
                self.lines_since(begin),
                [format!("GET {path}")],
                "{headers:?}"
            );
        }
    }

    /// Two requests where somebody else sees one, or one where somebody else sees two.
    async fn framing(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        let post = self.head(&format!("POST {path}"));
        let smuggled = self.head(&format!("DELETE {path}/smuggled"));
        let smuggled = [smuggled, b"\r\n".to_vec()].concat();
        let length = smuggled.len();
        for framing in [
            format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                length + 5
            ),
            format!(
                "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
                length + 5
            ),
            "Content-Length: 5\r\nContent-Length: 0\r\n".to_owned(),
            format!("Content-Length: 5\r\nContent-Length: {}\r\n", length + 5),
            "Content-Length: 5, 0\r\n".to_owned(),
            "Content-Length: -1\r\n".to_owned(),
            "Content-Length: 0x5\r\n".to_owned(),
            "Content-Length: 5 5\r\n".to_owned(),
            "Content-Length: 18446744073709551621\r\n".to_owned(),
            "Content-Length:\r\n".to_owned(),
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
            "Transfer-Encoding: identity, chunked\r\nContent-Length: 3\r\n".to_owned(),
            "Transfer-Encoding: \x0bchunked\r\n".to_owned(),
            "Transfer-Encoding: chunked\x0b\r\n".to_owned(),
            "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
            "Transfer-Encoding: chun\r\n ked\r\n".to_owned(),
            "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
            "X: a\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
            "Transfer-Encoding: \"chunked\"\r\n".to_owned(),
        ] {
            let begin = self.arrived();
            let request = [&post, framing.as_bytes(), b"\r\n0\r\n\r\n", &smuggled].concat();
            let heard = self.client.exchange(&request, SHORT).await;
            let arrived = self.lines_since(begin);
            let heard = String::from_utf8_lossy(&heard);
            // One with a length of its own is really followed by another; it says five bytes and has them.
            if framing.starts_with("Transfer_Encoding") {
                assert_eq!(arrived.len(), 2, "{framing:?}: {heard}");
                continue;
            }
            assert!(
                arrived.is_empty() || arrived == [format!("POST {path}")],
                "{framing:?}: {arrived:?} {heard}"
            );
            assert!(
                heard.matches("HTTP/1.1 ").count() <= 1,
                "{framing:?}: {heard}"
            );
        }
        // A message of the old protocol has no chunks.
        let old = String::from_utf8(
            [
                &post[..],
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                &smuggled,
            ]
            .concat(),
        );
        let old = old.unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
        let begin = self.arrived();
        self.client.exchange(old.as_bytes(), SHORT).await;
        let arrived = self.lines_since(begin);
        assert!(
            arrived.iter().all(|line| !line.contains("smuggled")),
            "{arrived:?}"
        );
    }

    /// Chunks whose length two readers could read differently.
    async fn chunks(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        let post = self.head(&format!("POST {path}"));
        let post = [&post[..], b"Transfer-Encoding: chunked\r\n\r\n"].concat();
        for chunks in [
            "0x2\r\n{}\r\n0\r\n\r\n",
            "+2\r\n{}\r\n0\r\n\r\n",
            "-2\r\n{}\r\n0\r\n\r\n",
            "2\n{}\r\n0\r\n\r\n",
            "2\r{}\r\n0\r\n\r\n",
            "2\r\n{}0\r\n\r\n",
            "2\r\n{}\n0\r\n\r\n",
            "3\r\n{}\r\n0\r\n\r\n",
            "1\r\n{}\r\n0\r\n\r\n",
            "\r\n{}\r\n0\r\n\r\n",
            "ffffffffffffffff2\r\n{}\r\n0\r\n\r\n",
            "10000000000000002\r\n{}\r\n0\r\n\r\n",
            "2;a\nb\r\n{}\r\n0\r\n\r\n",
            "zz\r\n{}\r\n0\r\n\r\n",
        ] {
            let begin = self.arrived();
            let request = [&post[..], chunks.as_bytes()].concat();
            let answer = wire::answer(&self.client.exchange(&request, PATIENCE).await);
            assert!(
                matches!(answer.status, 0 | 400 | 408),
                "{chunks:?}: {answer:?}"
            );
            assert_eq!(self.lines_since(begin), [""; 0], "{chunks:?}");
        }
        for chunks in [
            "2\r\n{}\r\n0\r\n\r\n",
            "02\r\n{}\r\n00\r\n\r\n",
            "2;a=b\r\n{}\r\n0\r\n\r\n",
        ] {
            let begin = self.arrived();
            let request = [&post[..], chunks.as_bytes()].concat();
            self.client.exchange(&request, SHORT).await;
            let arrived = self.upstream.arrived();
            assert_eq!(arrived.len(), begin + 1, "{chunks:?}");
            assert_eq!(arrived[begin].body, b"{}", "{chunks:?}");
        }
    }

    /// What comes after a body says nothing.
    async fn trailers(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        let post = self.head(&format!("POST {path}"));
        let names: Vec<String> = TRAILERS
            .iter()
            .map(|name| format!("{name}: admin\r\n"))
            .collect();
        let head = "Trailer: Impersonate-User, X-Remote-User\r\nTransfer-Encoding: chunked\r\n\r\n";
        let rest = format!("{head}2\r\n{{}}\r\n0\r\n{}\r\n", names.concat());
        let begin = self.arrived();
        let heard = self
            .client
            .exchange(&[&post[..], rest.as_bytes()].concat(), SHORT)
            .await;
        let answer = wire::answer(&heard);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(self.lines_since(begin), [format!("POST {path}")]);
    }

    async fn http2(&self) {
        let path = "/api/v1/namespaces/a/configmaps";
        let bearer = format!("Bearer {}", self.bearer);
        let authorization = ("authorization", bearer.as_str());
        // What its own protocol forbids, or what the other one would read as something else.
        let bad: &[(&str, &[(&str, &str)])] = &[
            ("/api/v1/namespaces/a/../b/configmaps", &[]),
            ("/api/v1/namespaces/a/%2e%2e/b/configmaps", &[]),
            ("api/v1/namespaces/a/configmaps", &[]),
            ("*", &[]),
            ("", &[]),
            (path, &[("impersonate-user", "admin")]),
            (path, &[("Impersonate-User", "admin")]),
            (path, &[("connection", "impersonate-user")]),
            (path, &[("transfer-encoding", "chunked")]),
            (path, &[("x", "a\r\nimpersonate-user: admin")]),
            (path, &[("x", "a\nb")]),
            (path, &[("x", "a\0b")]),
            (path, &[("x\r\nimpersonate-user", "admin")]),
            (path, &[(":path", "/api/v1/namespaces/b/configmaps")]),
            (path, &[(":method", "DELETE")]),
            (path, &[("host", "a"), ("host", "b")]),
            (path, &[("content-length", "5")]),
        ];
        for (path, headers) in bad {
            let begin = self.arrived();
            let mut all = vec![authorization];
            all.extend_from_slice(headers);
            let mut stream = self.client.http2(&[]).await.unwrap();
            let block = block("GET", path, &all);
            let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
            stream.write_all(&request).await.unwrap();
            let is_over = |kind, stream, _: &[u8]| {
                matches!(kind, HEADERS | RST_STREAM | wire::GOAWAY) && stream <= 1
            };
            let heard = frame_until(&mut stream, is_over, PATIENCE).await;
            // 200 is one byte, by its number in the table that everybody knows.
            let is_ok =
                heard.is_some_and(|(kind, _, block)| kind == HEADERS && block.starts_with(&[0x88]));
            assert!(!is_ok, "{path} {headers:?}");
            assert_eq!(self.lines_since(begin), [""; 0], "{path} {headers:?}");
        }
        // Trailers.
        let begin = self.arrived();
        let mut stream = self.client.http2(&[]).await.unwrap();
        let trailers: Vec<u8> = TRAILERS
            .iter()
            .flat_map(|name| wire::field(&name.to_lowercase(), "admin"))
            .collect();
        let request = [
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &block("POST", path, &[authorization]),
            ),
            frame(DATA, 0, 1, b"{}"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers),
        ];
        stream.write_all(&request.concat()).await.unwrap();
        let answered = |kind, stream, _: &[u8]| kind == HEADERS && stream == 1;
        let (.., heard) = frame_until(&mut stream, answered, PATIENCE).await.unwrap();
        assert!(heard.starts_with(&[0x88]), "{heard:?}");
        assert_eq!(self.lines_since(begin), [format!("POST {path}")]);
    }

    /// What is a credential elsewhere, or was nearly one.
    async fn credentials(&self, world: &World) {
        let path = "/api/v1/namespaces/a/configmaps";
        let begin = self.arrived();
        let elsewhere = world.bearer_for("elsewhere.example:6443", "a");
        let (text, _) = self.bearer.split_at(self.bearer.len() - 4);
        for bearer in [
            elsewhere,
            format!("{}AAAA", self.bearer),
            format!("{}=", self.bearer),
            format!("{} ", self.bearer),
            format!("{text}AAAA"),
            text.to_owned(),
            self.bearer.replacen("seal_", "SEAL_", 1),
            self.bearer.replacen("seal_", "seal_seal_", 1),
            format!("{},{}", self.bearer, self.bearer),
            "seal_".to_owned(),
            format!("seal_{}", "A".repeat(20_000)),
        ] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n\r\n"
            );
            let answer = wire::answer(&self.client.exchange(request.as_bytes(), PATIENCE).await);
            // A space at the end of a value is none.
            let expected = if bearer.ends_with(' ') { 200 } else { 401 };
            assert_eq!(answer.status, expected, "{bearer:.60}: {answer:?}");
        }
        assert_eq!(self.arrived(), begin + 1);
        // A head of a megabyte is not even looked at, and its sender hears why.
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer seal_{}\r\n\r\n",
            "A".repeat(1 << 20)
        );
        let answer = wire::answer(&self.client.exchange(request.as_bytes(), PATIENCE).await);
        assert_eq!(answer.status, 431, "{answer:?}");
    }

    /// A cluster's answers are its own word, but not what a terminal or a client makes of them.
    async fn hostile_answers(&self) {
        let mut stream = self.client.http1().await.unwrap();
        for (name, status, kept) in [
            ("hostile-location", 302, &["warning"][..]),
            ("hostile-network", 307, &["warning"]),
            ("hostile-own", 301, &["location"]),
            ("hostile-bytes", 200, &[]),
            ("hostile-warning", 200, &[]),
            // Not even Nautilus takes that for an answer.
            ("hostile-control", 503, &[]),
            ("hostile-words", 200, &["warning"]),
            ("hostile-others", 200, &["etag", "warning"]),
        ] {
            let head = self.head(&format!("GET /api/v1/namespaces/a/configmaps/{name}"));
            let answer = ask(&mut stream, &[&head[..], b"\r\n"].concat())
                .await
                .unwrap();
            assert_eq!(answer.status, status, "{name}: {answer:?}");
            for header in [
                "location",
                "warning",
                "etag",
                "content-type",
                "set-cookie",
                "x-kubernetes-pf-flowschema-uid",
            ] {
                let is_there = answer.header(header).is_some();
                let is_kept =
                    kept.contains(&header) || (header == "content-type" && name != "hostile-bytes");
                assert_eq!(
                    is_there,
                    is_kept,
                    "{name}: {header} {}",
                    answer.head.escape_ascii()
                );
            }
            assert!(find(&answer.head, b"elsewhere.example").is_none(), "{name}");
            assert!(
                !answer.head.contains(&0x1b) && !answer.head.contains(&0xff),
                "{name}"
            );
        }
    }

    /// What arrived is, target by target, what the ledger admitted, and has no header of the client's but those that
    /// the ledger recorded.
    fn nothing_else_arrived(&self, events: &[Value]) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut recorded: BTreeMap<String, usize> = BTreeMap::new();
        for event in events {
            let event = &event["event"];
            let Some(request) = event.get("K8sAPIRequest").or(event.get("K8sApiRequest")) else {
                continue;
            };
            let (path, query) = (text(&request["path"]), text(&request["query"]["bytes"]));
            let question = if query.is_empty() { "" } else { "?" };
            let line = format!("{} {path}{question}{query}", text(&request["method"]));
            *recorded.entry(line).or_default() += 1;
        }
        let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
        for request in self.upstream.arrived() {
            *arrived.entry(request.line.clone()).or_default() += 1;
            for (name, value) in &request.headers {
                let is_known = matches!(
                    name.as_str(),
                    "host"
                        | "accept"
                        | "accept-encoding"
                        | "content-type"
                        | "content-length"
                        | "user-agent"
                ) || (name == "impersonate-user" && value.starts_with("seal:0x"))
                    || name.starts_with("impersonate-extra-")
                    || name == "impersonate-group";
                assert!(
                    is_known && !value.contains("admin"),
                    "{name}: {value} {request:?}"
                );
            }
        }
        recorded.retain(|line, _| arrived.contains_key(line) || line.contains("/namespaces/"));
        assert_eq!(arrived, recorded);
        assert!(arrived.len() > 20, "{arrived:#?}");
    }
}

/// Of `..`, `.`, `/`, `%` and NUL.
fn spellings() -> Vec<Vec<u8>> {
    let mut spellings: Vec<Vec<u8>> = Vec::new();
    for dot in [
        ".",
        "%2e",
        "%2E",
        "%252e",
        "%25%32%65",
        "%c0%ae",
        "%C0%2E",
        "%e0%80%ae",
        "%f0%80%80%ae",
        "%u002e",
        "%uff0e",
        "\u{ff0e}",
        "%ef%bc%8e",
        "%00.",
        ".%00",
        ".;",
        ".%09",
        "%20.",
    ] {
        spellings.push(dot.repeat(2).into_bytes());
        spellings.push(format!(".{dot}").into_bytes());
        spellings.push(format!("{dot}.").into_bytes());
        spellings.push(dot.as_bytes().to_vec());
    }
    for slash in [
        "/",
        "%2f",
        "%2F",
        "%252f",
        "%25%32%46",
        "%5c",
        "%5C",
        "\\",
        "%c0%af",
        "%c1%9c",
        "%e0%80%af",
        "%u2215",
        "\u{2215}",
        "%e2%88%95",
        "\u{ff0f}",
        "/./",
        "//",
        "/;/",
    ] {
        spellings.push(slash.as_bytes().to_vec());
        spellings.push(format!("{slash}..{slash}").into_bytes());
    }
    for other in [
        "%",
        "%%",
        "%2",
        "%zz",
        "%25",
        "%2525",
        "%+2",
        "% 2",
        "%00",
        "%c0%80",
        "%e0%80%80",
        "%0d%0a",
        "%7f",
        "%80",
        "%ff",
        "%ed%a0%80",
        "..;",
        "...",
        "..%3b",
    ] {
        spellings.push(other.as_bytes().to_vec());
    }
    for bytes in [
        &b"\0"[..],
        b"..\0",
        b"\x01",
        b"\x7f",
        b"\t",
        b"\x80",
        b"\xc0\xaf",
        b"\xc0\xae\xc0\xae",
        b"\xff",
        b"\xed\xa0\x80",
        b"\\..\\",
    ] {
        spellings.push(bytes.to_vec());
    }
    spellings
}

fn json_answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn hostile_answer(line: &str) -> Vec<u8> {
    let (status, headers): (_, &[u8]) = match line.rsplit("/hostile-").next().unwrap() {
        "location" => ("302 Found", b"location: https://elsewhere.example/steal"),
        "network" => ("307 Temporary Redirect", b"location: //elsewhere.example/steal"),
        "own" => ("301 Moved Permanently", b"location: /api/v1/namespaces/a/configmaps/x"),
        "bytes" => ("200 OK", b"content-type: text/\xff\r\netag: \"\xff\xfe\""),
        "warning" => ("200 OK", b"warning: 299 - \"\xff\"\r\nwarning: 299 - \"\xc2\x9b2J\""),
        "control" => ("200 OK", b"warning: 299 - \"\x1b[2J\""),
        "words" => ("200 OK", "warning: 299 - \"schöne Grüße\"".as_bytes()),
        _ => ("200 OK", b"set-cookie: a=b\r\ntransfer-encoding-x: chunked\r\nwww-authenticate: Basic\r\nx-forwarded-for: a\r\netag: \"1\"\r\nlocation: \xff"),
    };
    // The first content type counts, so that of the bytes is the hostile one.
    let content_type: &[u8] = if headers.starts_with(b"content-type") {
        b""
    } else {
        b"content-type: application/json\r\n"
    };
    let status = format!("HTTP/1.1 {status}\r\n");
    [
        status.as_bytes(),
        content_type,
        headers,
        b"\r\ncontent-length: 2\r\n\r\n{}",
    ]
    .concat()
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

const TRAILERS: [&str; 8] = [
    "Impersonate-User",
    "Impersonate-Group",
    "X-Remote-User",
    "X-Remote-Group",
    "Forwarded",
    "X-HTTP-Method-Override",
    "Authorization",
    "Content-Type",
];
const PATIENCE: Duration = Duration::from_secs(10);
/// For connections that stay.
const SHORT: Duration = Duration::from_millis(500);
