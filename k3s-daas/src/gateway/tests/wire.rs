//! Over TLS, byte by byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::fixture::{Act, PODS, World};
use crate::gateway::{Config, Gateway, Tls};

pub(super) struct Served {
    pub(super) world: World,
    address: std::net::SocketAddr,
    roots: Arc<rustls::RootCertStore>,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

pub(super) async fn serve(change: impl FnOnce(&mut Config)) -> Served {
    let world = World::with(change).await;
    let directory = tempfile::tempdir().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let tls = Tls::own_ca(directory.path(), &names).unwrap();
    let gateway = Gateway::builder(
        world.gateway.inner.ledger.clone(),
        world.gateway.inner.blobs.clone(),
        world.cluster,
    );
    let gateway = gateway
        .with_config(world.gateway.config().clone())
        .with_tls(tls)
        .build()
        .unwrap();
    let world = World { gateway, ..world };
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(world.gateway.ca_pem().unwrap().as_bytes());
    roots.add(ca.unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let (running, stop) = (world.gateway.clone(), shutdown.clone());
    let running = tokio::spawn(async move { running.run(listener, stop).await.unwrap() });
    Served {
        world,
        address,
        roots: Arc::new(roots),
        shutdown,
        running,
        _directory: directory,
    }
}

impl Served {
    pub(super) async fn connect(&self, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// Sends these bytes and reads until the end, or for so long.
    async fn exchange(&self, bytes: impl AsRef<[u8]>, patience: Duration) -> (String, bool) {
        let mut stream = self.connect(&[b"http/1.1"]).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        read(&mut stream, patience).await
    }

    pub(super) fn head(&self, line: &str) -> String {
        format!(
            "{line}\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n",
            self.world.bearer()
        )
    }
}

/// What came, and whether the other side ended it.
pub(super) async fn read(stream: &mut TlsStream<TcpStream>, patience: Duration) -> (String, bool) {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(patience, stream.read_to_end(&mut read)).await;
    (String::from_utf8_lossy(&read).into_owned(), ended.is_ok())
}

pub(super) const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn http_1_and_its_connection_stay() {
    let served = serve(|_| {}).await;
    served.world.answer_json(200, "{\"kind\":\"PodList\"}");
    let request = format!("{}\r\n", served.head(&format!("GET {PODS} HTTP/1.1")));
    let (got, ended) = served.exchange(request.repeat(2), SHORT).await;
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 2, "{got}");
    assert_eq!(got.matches("{\"kind\":\"PodList\"}").count(), 2);
    assert!(got.to_lowercase().contains("content-length: 18"), "{got}");
    assert!(!ended);
    assert_eq!(served.world.admitted().len(), 2);
}

#[tokio::test]
async fn plain_http_is_not_spoken() {
    let served = serve(|_| {}).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!("{}\r\n", served.head(&format!("GET {PODS} HTTP/1.1")));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut read)).await;
    assert!(ended.is_ok());
    assert!(!String::from_utf8_lossy(&read).contains("HTTP/1.1 2"));
    assert_eq!(served.world.gateway.counts().handshakes_failed, 1);
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = world.gateway.run(listener, CancellationToken::new()).await;
    assert!(matches!(refused, Err(crate::gateway::Error::NoTls)));
}

#[tokio::test]
async fn a_request_smuggled_behind_another_is_never_read() {
    let served = serve(|_| {}).await;
    served.world.answer_json(201, "{}");
    let smuggled = format!(
        "{}\r\n",
        served.head(&format!("DELETE {PODS}/web HTTP/1.1"))
    );
    let post = served.head(&format!("POST {PODS} HTTP/1.1"));
    for lengths in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            smuggled.len() + 5
        ),
        "Transfer-Encoding: identity\r\nContent-Length: 5\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n".to_owned(),
        "Content-Length: 0\r\nContent-Length: 5\r\n".to_owned(),
        "Content-Length: +0\r\n".to_owned(),
        "Content-Length: 0, 5\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
    ] {
        let before = served.world.admitted().len();
        let bytes = format!("{post}{lengths}\r\n0\r\n\r\n{smuggled}");
        let (got, ended) = served.exchange(bytes, Duration::from_secs(2)).await;
        assert!(ended, "{lengths:?}: {got}");
        assert!(got.matches("HTTP/1.1 ").count() <= 1, "{lengths:?}: {got}");
        let admitted = served.world.admitted();
        let new: Vec<String> = admitted[before..]
            .iter()
            .map(|r| r.method.to_string())
            .collect();
        assert!(
            new.iter().all(|method| method == "POST"),
            "{lengths:?}: {new:?}"
        );
    }
}

#[tokio::test]
async fn heads_that_are_not_http_are_refused() {
    let served = serve(|_| {}).await;
    let bearer = served.world.bearer();
    for head in [
        format!("GET {PODS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n {bearer}\r\n\r\n"),
        format!("GET {PODS} HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer {bearer}\r\n\r\n"),
        format!("GET  {PODS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"),
        format!("GET {PODS}\0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"),
        format!("GET {PODS}/a b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"),
        format!(
            "GET {PODS} HTTP/1.1\r\nHost: a\r\nX: a\0b\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        ),
        format!("GET {PODS} HTTP/9.9\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"),
        format!(
            "CONNECT localhost:443 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        ),
        "\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let (got, _) = served.exchange(&head, SHORT).await;
        let first = got.lines().next().unwrap_or_default();
        let is_refused = first.is_empty() || first.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{head:?}: {got}");
    }
    assert!(served.world.admitted().is_empty());
}

#[tokio::test]
async fn an_absolute_target_is_its_path() {
    let served = serve(|_| {}).await;
    served.world.answer_json(200, "{}");
    let head = served.head(&format!("GET https://other.example{PODS} HTTP/1.1"));
    let (got, _) = served.exchange(format!("{head}\r\n"), SHORT).await;
    assert!(got.starts_with("HTTP/1.1 200"), "{got}");
    assert_eq!(served.world.admitted()[0].path.to_string(), PODS);
}

#[tokio::test]
async fn heads_too_large_or_too_many_are_431() {
    let served = serve(|config| {
        config.max_headers = 20;
        config.max_header_bytes = 8 << 10;
    })
    .await;
    let head = served.head(&format!("GET {PODS} HTTP/1.1"));
    let (got, ended) = served
        .exchange(format!("{head}{}\r\n", "X: y\r\n".repeat(30)), SHORT)
        .await;
    assert!(got.starts_with("HTTP/1.1 431") && ended, "{got}");
    let (got, ended) = served
        .exchange(format!("{head}X: {}\r\n\r\n", "y".repeat(20_000)), SHORT)
        .await;
    assert!(got.starts_with("HTTP/1.1 431") && ended, "{got}");
    assert!(served.world.admitted().is_empty());
}

#[tokio::test]
async fn whoever_takes_too_long_is_cut_off() {
    let served = serve(|config| {
        config.handshake_timeout = Duration::from_millis(200);
        config.header_timeout = Duration::from_millis(300);
        config.body_timeout = Duration::from_millis(300);
    })
    .await;
    // A handshake that never comes.
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let ended =
        tokio::time::timeout(Duration::from_secs(2), idle.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok());
    // A head that never ends.
    let head = served.head(&format!("GET {PODS} HTTP/1.1"));
    let (_, ended) = served.exchange(head, Duration::from_secs(2)).await;
    assert!(ended);
    // A body that never ends.
    let head = served.head(&format!("POST {PODS} HTTP/1.1"));
    let (got, _) = served
        .exchange(
            format!("{head}Content-Length: 5\r\n\r\nabc"),
            Duration::from_secs(2),
        )
        .await;
    assert!(got.starts_with("HTTP/1.1 408"), "{got}");
    assert!(served.world.admitted().is_empty());
}

#[tokio::test]
async fn connections_are_bounded_by_address() {
    let served = serve(|config| config.max_connections_per_address = 2).await;
    let first = served.connect(&[b"http/1.1"]).await.unwrap();
    let _second = served.connect(&[b"http/1.1"]).await.unwrap();
    assert!(served.connect(&[b"http/1.1"]).await.is_err());
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(served.connect(&[b"http/1.1"]).await.is_ok());
    assert_eq!(served.world.gateway.counts().connections_refused, 1);
}

#[tokio::test]
async fn a_watch_comes_frame_by_frame_and_ends_with_the_gateway() {
    let served = serve(|_| {}).await;
    served.world.answer(|request| {
        if request
            .query
            .bytes
            .to_string()
            .contains("resourceVersion=1&")
        {
            return Act::Silent;
        }
        let event = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}";
        Act::json(200, event)
    });
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("GET {PODS}?watch=1&resourceVersion=5 HTTP/1.1"));
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    let (got, ended) = read(&mut stream, Duration::from_millis(500)).await;
    assert!(
        got.to_lowercase().contains("transfer-encoding: chunked"),
        "{got}"
    );
    assert!(got.contains("\"type\":\"ADDED\"") && !ended, "{got}");
    served.shutdown.cancel();
    let (got, ended) = read(&mut stream, Duration::from_secs(2)).await;
    assert!(ended && got.ends_with("0\r\n\r\n"), "a clean end: {got}");
    tokio::time::timeout(Duration::from_secs(2), served.running)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_end() {
    let served = serve(|_| {}).await;
    let act = Act::After(
        Duration::from_millis(400),
        Box::new(Act::json(200, "{\"late\":1}")),
    );
    served.world.answer(move |_| act.clone());
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("GET {PODS} HTTP/1.1"));
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    served.shutdown.cancel();
    let (got, ended) = read(&mut stream, Duration::from_secs(3)).await;
    assert!(got.contains("{\"late\":1}") && ended, "{got}");
    tokio::time::timeout(Duration::from_secs(2), served.running)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn who_hangs_on_does_not_keep_it_from_ending() {
    let served = serve(|config| config.drain_timeout = Duration::from_millis(300)).await;
    served.world.answer(|_| Act::Silent);
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("GET {PODS} HTTP/1.1"));
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(2), served.running)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_client_that_goes_gives_up_waiting() {
    let served = serve(|_| {}).await;
    served.world.answer(|_| Act::Silent);
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("GET {PODS} HTTP/1.1"));
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(served.world.gateway.counts().pending, 1);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let counts = served.world.gateway.counts();
    assert_eq!((counts.pending, counts.in_flight), (0, 0));
}

#[tokio::test]
async fn other_authorities_are_not_trusted() {
    let served = serve(|_| {}).await;
    let other = serve(|_| {}).await;
    let confused = Served {
        roots: other.roots.clone(),
        ..served
    };
    assert!(confused.connect(&[b"h2"]).await.is_err());
}

/// An HTTP/2 client on a connection of its own.
pub(super) async fn http2(
    served: &Served,
) -> hyper::client::conn::http2::SendRequest<
    http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>,
> {
    let stream = served.connect(&[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(async move { connection.await.ok() });
    sender
}

#[tokio::test]
async fn who_sends_too_much_hears_so_all_the_same() {
    let served = serve(|_| {}).await;
    let body = vec![b'x'; 8 << 20];
    // One that sends all before it reads.
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("POST {PODS} HTTP/1.1"));
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.expect("all of it is taken");
    let (got, _) = read(&mut stream, Duration::from_secs(2)).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    assert!(got.contains("RequestEntityTooLarge"), "{got}");
    // One that does not say how much comes.
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("POST {PODS} HTTP/1.1"));
    let head = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.expect("all of it is taken");
    stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let (got, _) = read(&mut stream, Duration::from_secs(2)).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    // One that waits for a word sends nothing.
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("POST {PODS} HTTP/1.1"));
    let head = format!(
        "{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (got, _) = read(&mut stream, Duration::from_secs(1)).await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    // HTTP/2.
    let mut sender = http2(&served).await;
    let request = served
        .world
        .request("POST", &format!("https://localhost{PODS}"));
    let whole = http_body_util::Full::new(Bytes::from(body)).boxed();
    let response = sender.send_request(request.body(whole).unwrap()).await;
    let response = response.expect("an answer, not a stream that is cut off");
    assert_eq!(response.status(), 413);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("RequestEntityTooLarge"));
    assert!(served.world.admitted().is_empty());
}

#[tokio::test]
async fn who_does_not_read_loses_the_rest() {
    let served = serve(|config| config.write_timeout = Duration::from_millis(400)).await;
    let body = "x".repeat(1 << 20);
    served.world.answer(move |request| {
        let answer = Act::json(200, body.clone());
        match request.name.to_string().as_str() {
            "slow" => Act::After(Duration::from_millis(1_500), Box::new(Act::json(200, "{}"))),
            _ => answer,
        }
    });
    // A window of its own for each stream, that nobody opens any further.
    let stream = served.connect(&[b"h2"]).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (sender, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(1 << 16)
            .initial_connection_window_size(1 << 24)
            .handshake(io)
            .await
            .unwrap();
    let connection = tokio::spawn(async move { connection.await.ok() });
    let send = |name: &str| {
        let target = format!("https://localhost{PODS}/{name}");
        let request = served.world.request("GET", &target);
        let body = http_body_util::Empty::<Bytes>::new();
        let mut sender = sender.clone();
        async move { sender.send_request(request.body(body).unwrap()).await }
    };
    let inner = &served.world.gateway.inner;
    let slow = send("slow");
    let stuck = async {
        let mut stuck = Vec::new();
        for _ in 0..3 {
            stuck.push(send("large").await.unwrap());
        }
        stuck
    };
    let (slow, stuck) = tokio::join!(slow, async {
        let stuck = stuck.await;
        assert!(!inner.answers.is_full(served.world.token));
        assert_eq!(served.world.gateway.counts().in_flight, 4);
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        let counts = served.world.gateway.counts();
        assert_eq!(
            (counts.unread, counts.in_flight),
            (3, 1),
            "what they held is free"
        );
        stuck
    });
    assert_eq!(slow.unwrap().status(), 200, "others go on");
    // Nothing goes on any more but what is not read: the connection ends.
    tokio::time::timeout(Duration::from_secs(3), connection)
        .await
        .expect("it is closed")
        .unwrap();
    for response in stuck {
        assert!(
            response.into_body().collect().await.is_err(),
            "not the whole"
        );
    }
}

#[tokio::test]
async fn http_1_clients_that_do_not_read_are_cut_off() {
    let served = serve(|config| config.write_timeout = Duration::from_millis(300)).await;
    let body = "x".repeat(16 << 20);
    served.world.answer(move |_| Act::json(200, body.clone()));
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let request = format!("{}\r\n", served.head(&format!("GET {PODS} HTTP/1.1")));
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let counts = served.world.gateway.counts();
    assert_eq!((counts.unread, counts.in_flight), (1, 0));
    let (got, ended) = read(&mut stream, Duration::from_secs(5)).await;
    assert!(ended && got.len() < 16 << 20, "{}", got.len());
}

#[tokio::test]
async fn http_2_carries_many_at_once() {
    let served = serve(|_| {}).await;
    let act = Act::After(Duration::from_millis(200), Box::new(Act::json(200, "{}")));
    served.world.answer(move |_| act.clone());
    let sender = http2(&served).await;
    let begun = std::time::Instant::now();
    let sent: Vec<_> = (0..20)
        .map(|index| {
            let target = format!("https://localhost{PODS}/p{index}");
            let request = served.world.request("GET", &target);
            let body = http_body_util::Empty::new().boxed();
            let mut sender = sender.clone();
            async move {
                sender
                    .send_request(request.body(body).unwrap())
                    .await
                    .unwrap()
            }
        })
        .collect();
    for response in futures_util::future::join_all(sent).await {
        assert_eq!(response.status(), 200);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "one after the other takes 4 s"
    );
    assert_eq!(served.world.admitted().len(), 20);
}

#[tokio::test]
async fn http_2_trailers_add_nothing() {
    let served = serve(|_| {}).await;
    served.world.answer_json(201, "{}");
    let mut sender = http2(&served).await;
    let mut trailers = http::HeaderMap::new();
    for name in [
        "impersonate-user",
        "x-remote-user",
        "authorization",
        "content-type",
    ] {
        trailers.insert(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static("admin"),
        );
    }
    let frames = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from("{}"))),
        Ok(http_body::Frame::trailers(trailers)),
    ]);
    let body = BodyExt::boxed(http_body_util::StreamBody::new(frames));
    let request = served
        .world
        .request("POST", &format!("https://localhost{PODS}"));
    let response = sender
        .send_request(request.body(body).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    let admitted = served.world.admitted().remove(0);
    assert!(
        admitted.header_names.is_empty(),
        "{:?}",
        admitted.header_names
    );
    assert_eq!(admitted.payload.length, 2);
}

#[tokio::test]
async fn http_2_clients_that_reset_leave_nothing_behind() {
    let served = serve(|_| {}).await;
    served.world.answer(|_| Act::Silent);
    let sender = http2(&served).await;
    for _ in 0..10 {
        let request = served
            .world
            .request("GET", &format!("https://localhost{PODS}"));
        let body = http_body_util::Empty::new().boxed();
        let mut sender = sender.clone();
        let sent = sender.send_request(request.body(body).unwrap());
        assert!(
            tokio::time::timeout(Duration::from_millis(50), sent)
                .await
                .is_err()
        );
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let counts = served.world.gateway.counts();
    assert_eq!((counts.pending, counts.in_flight), (0, 0));
}

#[tokio::test]
async fn idle_connections_do_not_stay_for_ever() {
    let served = serve(|config| {
        config.idle_timeout = Duration::from_millis(200);
        config.header_timeout = Duration::from_secs(60);
    })
    .await;
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let (_, ended) = read(&mut stream, Duration::from_secs(3)).await;
    assert!(ended);
    // One that speaks HTTP/2 and never says so.
    let mut stream = served.connect(&[b"h2"]).await.unwrap();
    let ended = read(&mut stream, Duration::from_secs(20)).await.1;
    assert!(ended);
}

/// A body there is a broken stream to an HTTP/2 client.
#[tokio::test]
async fn heads_are_answered_without_a_body() {
    let served = serve(|_| {}).await;
    let mut sender = http2(&served).await;
    let anybodys = |path: &str| {
        http::Request::builder()
            .method("HEAD")
            .uri(format!("https://localhost{path}"))
    };
    let owners = |path: &str| {
        let uri = format!("https://localhost{path}");
        served.world.request("HEAD", &uri)
    };
    for (request, status) in [
        (anybodys("/livez"), 200),
        (anybodys("/readyz"), 200),
        (anybodys("/readyz?verbose"), 200),
        (anybodys(PODS), 401),
        (anybodys("/version"), 401),
        (owners(PODS), 405),
        (owners("/version"), 405),
    ] {
        let request = request.body(http_body_util::Empty::new().boxed()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{body:?}");
    }
    // HTTP/1.1 goes on after it, too.
    let head = served.head(&format!("HEAD {PODS} HTTP/1.1"));
    let (got, _) = served
        .exchange(format!("{head}\r\n").repeat(2), SHORT)
        .await;
    assert_eq!(got.matches("HTTP/1.1 405").count(), 2, "{got}");
    assert!(!got.contains("Status"), "{got}");
}
