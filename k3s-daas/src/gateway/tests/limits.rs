//! Limits, and what who comes over them hears.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fixture::{Act, PODS, World, editor};
use super::wire::{SHORT, Served, http2, read, serve};

async fn get(served: &Served, target: &str, headers: usize) -> (u16, http::HeaderMap, Bytes) {
    let mut sender = http2(served).await;
    let target = format!("https://localhost{target}");
    let mut request = served.world.request("GET", &target);
    for index in 0..headers {
        request = request.header(format!("x-{index}"), "y");
    }
    let request = request.body(Empty::new().boxed()).unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, body)
}

#[tokio::test]
async fn a_token_that_asks_too_fast_is_told_when_to_come_again() {
    let world = World::with(|config| {
        config.requests_per_second_per_token = 1;
        config.request_burst_per_token = 3;
    })
    .await;
    world.answer_json(200, "{}");
    for _ in 0..3 {
        assert_eq!(world.get(PODS).await.status, 200);
    }
    let got = world.get(PODS).await;
    let message = got.refused(429, "TooManyRequests");
    assert!(message.contains("faster"), "{message}");
    assert_eq!(got.headers["retry-after"], "1");
    assert_eq!(got.json()["details"]["retryAfterSeconds"], 1);
    // Also what costs the ledger nothing.
    world.get("/version").await.refused(429, "TooManyRequests");
    // Somebody else is not held up, and after that second nobody is.
    let other = world.issue(editor());
    let bearer = world.sign(&world.owner, world.credential(other));
    let request = http::Request::builder()
        .uri(PODS)
        .header("authorization", format!("Bearer {bearer}"));
    assert_eq!(world.send(request, "").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(world.get(PODS).await.status, 200);
    assert_eq!(world.admitted().len(), 5);
    assert_eq!(world.gateway.counts().overflowed, 2);
    assert!(world.recorded(0).await.is_empty());
}

#[tokio::test]
async fn http_2_has_the_same_limits_of_a_head() {
    let served = serve(|config| {
        config.max_headers = 20;
        config.max_header_bytes = 8 << 10;
    })
    .await;
    served.world.answer_json(200, "{}");
    assert_eq!(get(&served, PODS, 10).await.0, 200);
    let (status, headers, body) = get(&served, PODS, 30).await;
    assert_eq!(status, 431);
    assert_eq!(headers["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["kind"], "Status");
    assert_eq!(body["message"], "the request has more than 20 headers");
    // Each counts 32 bytes more than it has, so these are too many bytes as well.
    let (status, _, body) = get(&served, PODS, 250).await;
    assert_eq!((status, &body[..]), (431, &b""[..]));
    assert_eq!(served.world.admitted().len(), 1);
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let served = serve(|config| config.max_streams = 3).await;
    served
        .world
        .answer(|_| Act::After(Duration::from_millis(300), Box::new(Act::json(200, "{}"))));
    let sender = http2(&served).await;
    let send = || {
        let request = served
            .world
            .request("GET", &format!("https://localhost{PODS}"));
        let mut sender = sender.clone();
        async move {
            sender
                .send_request(request.body(Empty::new().boxed()).unwrap())
                .await
        }
    };
    // It has heard of the bound by then.
    assert_eq!(send().await.unwrap().status(), 200);
    let sent = (0..9).map(|_| send());
    let most = async {
        let mut most = 0;
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            most = most.max(served.world.gateway.counts().in_flight);
        }
        most
    };
    let (answers, most) = tokio::join!(futures_util::future::join_all(sent), most);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status() == 200)
    );
    assert_eq!(most, 3);
}

#[tokio::test]
async fn who_gives_up_too_much_is_disconnected() {
    let served = serve(|config| {
        config.resets_per_second = 1;
        config.reset_burst = 5;
    })
    .await;
    served.world.answer(|_| Act::Silent);
    let sender = http2(&served).await;
    let mut given_up = 0;
    while given_up < 20 && !sender.is_closed() {
        let request = served
            .world
            .request("GET", &format!("https://localhost{PODS}"));
        let mut sender = sender.clone();
        let sent = sender.send_request(request.body(Empty::new().boxed()).unwrap());
        tokio::time::timeout(Duration::from_millis(40), sent)
            .await
            .ok();
        given_up += 1;
    }
    assert!((6..=8).contains(&given_up), "{given_up}");
    let counts = served.world.gateway.counts();
    assert_eq!((counts.resets, counts.in_flight), (1, 0));
    // Who waits for answers may have as many as there are.
    served.world.answer_json(200, "{}");
    let sender = http2(&served).await;
    for _ in 0..20 {
        let request = served
            .world
            .request("GET", &format!("https://localhost{PODS}"));
        let sent = sender
            .clone()
            .send_request(request.body(Empty::new().boxed()).unwrap())
            .await;
        assert_eq!(sent.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn new_connections_of_an_address_are_bounded_by_rate() {
    let served = serve(|config| {
        config.connections_per_second_per_address = 10;
        config.connection_burst_per_address = 3;
    })
    .await;
    for _ in 0..3 {
        drop(served.connect(&[b"http/1.1"]).await.unwrap());
    }
    assert!(served.connect(&[b"http/1.1"]).await.is_err());
    assert_eq!(served.world.gateway.counts().connections_refused, 1);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(served.connect(&[b"http/1.1"]).await.is_ok());
}

#[tokio::test]
async fn who_sends_much_too_much_hears_so_too() {
    let served = serve(|_| {}).await;
    let body = vec![b'x'; 40 << 20];
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("POST {PODS} HTTP/1.1"));
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.expect("all of it is taken");
    let (got, ended) = read(&mut stream, Duration::from_secs(2)).await;
    assert!(got.starts_with("HTTP/1.1 413") && ended, "{got}");
    // In chunks.
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    let head = served.head(&format!("POST {PODS} HTTP/1.1"));
    let head = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.expect("all of it is taken");
    stream
        .write_all(b"\r\n0\r\n\r\n")
        .await
        .expect("and the end");
    let (got, ended) = read(&mut stream, Duration::from_secs(2)).await;
    assert!(got.starts_with("HTTP/1.1 413") && ended, "{got}");
    // A head that is too long.
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    stream
        .write_all(&body[..8 << 20])
        .await
        .expect("all of it is taken");
    let (got, ended) = read(&mut stream, Duration::from_secs(2)).await;
    assert!(got.starts_with("HTTP/1.1 431") && ended, "{got}");
    // HTTP/2 need not end the connection.
    let mut sender = http2(&served).await;
    let request = served
        .world
        .request("POST", &format!("https://localhost{PODS}"));
    let whole = Full::new(Bytes::from(body)).boxed();
    let response = sender.send_request(request.body(whole).unwrap()).await;
    assert_eq!(response.expect("an answer").status(), 413);
    assert!(served.world.admitted().is_empty());
}

#[tokio::test]
async fn what_is_still_sent_is_not_read_for_ever() {
    let served = serve(|config| {
        config.linger_timeout = Duration::from_millis(300);
        config.max_connections_per_address = 1;
    })
    .await;
    let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let (got, _) = read(&mut stream, SHORT).await;
    assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    let begun = std::time::Instant::now();
    let mut is_cut_off = false;
    while begun.elapsed() < Duration::from_secs(3) && !is_cut_off {
        is_cut_off = stream.write_all(b"more").await.is_err();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_cut_off);
    // Its place is free.
    assert!(served.connect(&[b"http/1.1"]).await.is_ok());
}

#[tokio::test]
async fn what_is_answered_and_not_read_counts_against_its_own_token_alone() {
    let served = serve(|config| {
        config.max_in_flight = 4;
        config.max_in_flight_per_token = 3;
    })
    .await;
    let mut unread = Vec::new();
    let open = |bearer: String| {
        let served = &served;
        async move {
            let mut stream = served.connect(&[b"http/1.1"]).await.unwrap();
            let request =
                format!("GET {PODS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.unwrap();
            (stream, String::from_utf8_lossy(&status[9..]).into_owned())
        }
    };
    // More than a socket holds, of whom each reads the beginning only.
    let world = &served.world;
    let big = "x".repeat(8 << 20);
    world.answer(move |_| Act::json(200, big.clone()));
    for token in (0..3).map(|_| world.issue(editor())) {
        for _ in 0..2 {
            let (stream, status) = open(world.sign(&world.owner, world.credential(token))).await;
            assert_eq!(status, "200");
            unread.push(stream);
        }
    }
    assert_eq!(world.gateway.counts().in_flight, 6);
    // A token's own places are taken all the same.
    for expected in ["200", "200", "200", "429"] {
        let (stream, status) = open(world.bearer()).await;
        assert_eq!(status, expected);
        unread.push(stream);
    }
}
