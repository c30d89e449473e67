//! Floods: a gateway under each has bounded memory, others are still answered, and it is as before afterwards.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::{
    self, Answer, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, HEADERS,
    INITIAL_WINDOW_SIZE, PING, RST_STREAM, SETTINGS, Tls, ask, block, frame, frame_until,
};
use crate::world::World;

#[test]
fn memory_is_bounded_and_others_are_answered_under_each_flood() {
    let world = World::on_memory_cluster(SETTINGS_OF_FLOODS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let attackers = (0..4).map(|_| world.bearer("default")).collect();
    let floods = Floods {
        client: world.client(),
        bystander: world.bearer("default"),
        attackers,
        world: &world,
        runtime,
    };
    floods.make_large_object();
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>6}",
        "flood", "before", "peak", "after", "p50 ms", "max ms", "cpu ms", "asked"
    );
    floods.under("nothing", 8 * MIB, |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    floods.under("heads over the limit", 32 * MIB, |flood| {
        flood.large_heads()
    });
    floods.under("rapid reset", 16 * MIB, |flood| flood.rapid_reset());
    floods.under("resets of what has begun", 16 * MIB, |flood| {
        flood.resets_of_begun()
    });
    floods.under("continuation", 16 * MIB, |flood| flood.continuations());
    floods.under("pings", 16 * MIB, |flood| {
        flood.control(frame(PING, 0, 0, &[0; 8]))
    });
    floods.under("settings", 16 * MIB, |flood| {
        let settings = [0, 3, 0, 0, 0, 100].repeat(10);
        flood.control(frame(SETTINGS, 0, 0, &settings))
    });
    floods.under("empty data", 16 * MIB, |flood| flood.empty_data());
    floods.under("churn", 32 * MIB, |flood| flood.churn());
    // What an open connection takes; how much of it goes back to the system is the allocator's to say.
    let each = 32 << 10;
    floods.under("idle, HTTP/2", 1_000 * each, |flood| async move {
        let mut held = Vec::new();
        for _ in 0..1_000 {
            held.push(flood.client.http2(&[]).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    floods.under("960 streams, none read", 96 * MIB, |flood| flood.unread());
    // Each byte is there up to three times, while its body grows and while it is sealed.
    let bodies = 3 * 32 * MIB;
    floods.under("bodies that never end", bodies + 16 * MIB, |flood| {
        flood.slow_bodies()
    });
    floods.under("3 MiB bodies at once", bodies + 16 * MIB, |flood| {
        flood.large_bodies()
    });
    let count = idle_connections();
    floods.under("idle", count * each, |flood| async move {
        let held = flood.connections(count).await;
        assert_eq!(held.len(), count);
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    let head = 32 << 10;
    floods.under("slow heads", 1_000 * (each + head), |flood| async move {
        let mut held = flood.connections(1_000).await;
        let head = format!("GET /x HTTP/1.1\r\nX: {}", "y".repeat(30_000));
        for stream in &mut held {
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        for _ in 0..10 {
            for stream in &mut held {
                stream.write_all(b"y").await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

/// A gateway that may open no more files says so seldom, burns no time over it, and goes on when it may again.
#[test]
fn without_descriptors_it_waits_for_some() {
    let world = World::on_memory_cluster("");
    let bearer = world.bearer("default");
    let client = world.client();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let request = get(&bearer, "small");
        let mut first = client.http1().await.unwrap();
        assert_eq!(
            ask(&mut first, request.as_bytes()).await.unwrap().status,
            404
        );
        let limit = world.limit_descriptors(Some(world.descriptors() as u64 + 20));
        let patience = Duration::from_millis(500);
        let mut held = Vec::new();
        for _ in 0..60 {
            // The system takes connections until somebody fetches them.
            let stream = TcpStream::connect(client.address).await.unwrap();
            held.push(stream);
        }
        assert!(
            tokio::time::timeout(patience, client.http1())
                .await
                .is_err()
        );
        let before = world.processor_time();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let burnt = world.processor_time() - before;
        assert!(burnt < Duration::from_millis(500), "{burnt:?} of 2 s");
        let log = world.log();
        let complaints = log.matches("a connection was not accepted").count();
        assert!((1..=5).contains(&complaints), "{log}");
        drop(held);
        let again = async {
            loop {
                if let Ok(mut stream) = client.http1().await {
                    break ask(&mut stream, request.as_bytes()).await.unwrap();
                }
            }
        };
        let again = tokio::time::timeout(PATIENCE, again)
            .await
            .expect("room again");
        assert_eq!(again.status, 404, "{again:?}");
        assert_eq!(
            ask(&mut first, request.as_bytes()).await.unwrap().status,
            404
        );
        world.limit_descriptors(limit);
    });
}

struct Floods<'a> {
    client: Client,
    bystander: String,
    attackers: Vec<String>,
    world: &'a World,
    runtime: tokio::runtime::Runtime,
}

/// What a flood has at hand.
struct Flood {
    client: Client,
    attackers: Vec<String>,
    /// From when it counts how long others wait: before, there may be work to be done for all.
    counts_from: Arc<OnceLock<Instant>>,
}

impl Floods<'_> {
    /// Makes an object that takes long to be sent.
    fn make_large_object(&self) {
        let data = "x".repeat(24 << 10);
        let body = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"large\"}},\"data\":{{\"a\":\"{data}\"}}}}"
        );
        let made = self.runtime.block_on(async {
            let mut stream = self.client.http1().await.unwrap();
            let request = format!(
                "POST {CONFIG_MAPS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                self.bystander,
                body.len()
            );
            ask(&mut stream, request.as_bytes()).await.unwrap()
        });
        assert_eq!(made.status, 201, "{made:?}");
    }

    /// Runs a flood while a bystander asks, and holds its memory against what it may take in `bytes` over what there
    /// was at first.
    fn under<F: Future<Output = ()>>(
        &self,
        name: &str,
        bytes: usize,
        flood: impl FnOnce(Flood) -> F,
    ) {
        let before = self.world.resident();
        let processor_before = self.world.processor_time();
        let stop = AtomicBool::new(false);
        let peak = AtomicUsize::new(0);
        let counts_from = Arc::new(OnceLock::new());
        let taken = std::thread::scope(|scope| {
            let bystander = scope.spawn(|| self.ask_until(&stop));
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    peak.fetch_max(self.world.resident(), Relaxed);
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
            let flood = flood(Flood {
                client: self.client.clone(),
                attackers: self.attackers.clone(),
                counts_from: counts_from.clone(),
            });
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.runtime.block_on(flood);
            }));
            stop.store(true, Relaxed);
            let taken = bystander.join();
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
            taken.unwrap()
        });
        let cpu = self.world.processor_time().saturating_sub(processor_before);
        // A connection of its own is answered at once.
        let begun = Instant::now();
        let fresh = self.runtime.block_on(async {
            let mut stream = self.client.http1().await.unwrap();
            ask(&mut stream, get(&self.bystander, "small").as_bytes())
                .await
                .unwrap()
        });
        assert_eq!(fresh.status, 404, "{name}: {fresh:?}");
        let prompt = begun.elapsed();
        std::thread::sleep(Duration::from_millis(300));
        let after = self.world.resident();
        let peak = peak.load(Relaxed).max(after);
        let from = counts_from.get();
        let counts = taken
            .iter()
            .filter(|(begun, _)| from.is_none_or(|from| begun > from));
        let mut taken: Vec<u128> = counts.map(|(_, taken)| taken.as_millis()).collect();
        taken.sort_unstable();
        let (middle, last) = (taken[taken.len() / 2], taken[taken.len() - 1]);
        println!(
            "{name:<28} {:>9} {:>9} {:>9} {middle:>7} {last:>7} {:>7} {:>6}",
            before >> 10,
            peak >> 10,
            after >> 10,
            cpu.as_millis(),
            taken.len(),
        );
        assert!(
            peak < before.max(BASE) + bytes,
            "{name}: {} MiB",
            peak / MIB
        );
        assert!(
            prompt < PROMPT,
            "{name}: {prompt:?} for an answer afterwards"
        );
        assert!(middle < MIDDLE_MS, "{name}: others wait {middle} ms");
    }

    /// Asks as somebody who has nothing to do with it, over three connections, until told to stop; when, and how long
    /// each took.
    fn ask_until(&self, stop: &AtomicBool) -> Vec<(Instant, Duration)> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let bystander = || async {
            let mut stream = self.client.http1().await.unwrap();
            let mut taken = Vec::new();
            while taken.is_empty() || !stop.load(Relaxed) {
                let begun = Instant::now();
                let answer = ask(&mut stream, get(&self.bystander, "small").as_bytes()).await;
                let answer = answer.expect("a bystander is not cut off");
                assert_eq!(answer.status, 404, "a bystander is answered: {answer:?}");
                taken.push((begun, begun.elapsed()));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            taken
        };
        let all = futures_util::future::join_all((0..3).map(|_| bystander()));
        runtime.block_on(all).concat()
    }
}

impl Flood {
    /// So many connections, a few at a time; as many as came about.
    async fn connections(&self, count: usize) -> Vec<Tls> {
        let connect = || self.client.http1();
        let mut opening: FuturesUnordered<_> = (0..count.min(64)).map(|_| connect()).collect();
        let (mut begun, mut held) = (opening.len(), Vec::with_capacity(count));
        while let Some(stream) = opening.next().await {
            held.extend(stream.ok());
            if begun < count {
                begun += 1;
                opening.push(connect());
            }
        }
        held
    }

    async fn large_heads(self) {
        let bearer = &self.attackers[0];
        for _ in 0..50 {
            let head = format!(
                "GET {CONFIG_MAPS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n{}\r\n",
                format!("X: {}\r\n", "y".repeat(1_000)).repeat(200)
            );
            let heard = self.client.exchange(head.as_bytes(), PATIENCE).await;
            assert_eq!(wire::answer(&heard).status, 431);
        }
        // As many as there may be, as large as there may be.
        let mut stream = self.client.http2(&[]).await.unwrap();
        let filler = "y".repeat(900);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend((0..30).map(|_| ("x", filler.as_str())));
        let block = block("GET", "/api/v1/namespaces/b/pods", &headers);
        for id in 0..250 {
            let (first, rest) = block.split_at(16_000);
            let frames = [
                frame(HEADERS, END_STREAM, 2 * id + 1, first),
                frame(CONTINUATION, END_HEADERS, 2 * id + 1, rest),
            ];
            if stream.write_all(&frames.concat()).await.is_err() {
                return;
            }
        }
        // What comes too far ahead of being looked at is disconnected, and nothing of it waits for ever.
        let begun = Instant::now();
        let seen = std::cell::RefCell::new(std::collections::BTreeMap::new());
        let ended = |kind, stream, _: &[u8]| {
            seen.borrow_mut()
                .entry(kind)
                .or_insert_with(Vec::new)
                .push(stream);
            [HEADERS, RST_STREAM].contains(&kind) && stream == 499
        };
        let ended = frame_until(&mut stream, ended, PATIENCE).await;
        assert!(
            ended.is_some() || begun.elapsed() < PATIENCE,
            "by kind of frame, of which streams: {seen:?}"
        );
    }

    async fn slow_bodies(self) {
        let mut held = self.connections(200).await;
        let begun = vec![b'x'; 1 << 20];
        let sent = held.iter_mut().enumerate().map(|(index, stream)| {
            let bearer = &self.attackers[index % self.attackers.len()];
            let head = post(bearer, 3 << 20);
            let begun = &begun;
            async move {
                stream.write_all(head.as_bytes()).await.ok();
                let sent = tokio::time::timeout(Duration::from_secs(1), stream.write_all(begun));
                sent.await.ok();
                tokio::time::timeout(PATIENCE, read(stream)).await
            }
        });
        let answers = futures_util::future::join_all(sent).await;
        let status = |status| {
            let answers = answers.iter().flatten().flatten();
            answers.filter(|answer| answer.status == status).count()
        };
        println!(
            "    {} too many, {} too slow of 200",
            status(429),
            status(408)
        );
        assert_eq!((status(429), status(408)), (168, 32));
    }

    /// Some of which are stored and sent on, and others refused once they are there.
    async fn large_bodies(self) {
        let mut held = self.connections(BODIES).await;
        let body = vec![b'x'; 3 << 20];
        let sent = held.iter_mut().enumerate().map(|(index, stream)| {
            let bearer = &self.attackers[index % self.attackers.len()];
            let head = post(bearer, body.len());
            let head = match index < self.attackers.len() {
                true => head,
                false => head.replace("/default/", "/forbidden/"),
            };
            let body = &body;
            async move {
                stream.write_all(head.as_bytes()).await.ok();
                stream.write_all(body).await.ok();
                let answer = tokio::time::timeout(PATIENCE, read(stream)).await;
                answer.ok().flatten().map_or(0, |answer| answer.status)
            }
        });
        let statuses = futures_util::future::join_all(sent).await;
        println!("    {statuses:?}");
        // No object, says the cluster; no room or no right, says the gateway; on a busy machine it takes too long.
        let are_answers = statuses
            .iter()
            .all(|status| matches!(status, 400 | 403 | 408 | 429));
        assert!(are_answers && statuses.contains(&403), "{statuses:?}");
    }

    /// Requests that are begun and given up in the same breath.
    async fn rapid_reset(self) {
        let bearer = format!("Bearer {}", self.attackers[0]);
        let block = block("GET", CONFIG_MAPS, &[("authorization", &bearer)]);
        for _ in 0..20 {
            let mut stream = self.client.http2(&[]).await.unwrap();
            let mut sent = 0;
            for batch in 0..200 {
                let frames = (0..100).flat_map(|index| {
                    let id = 2 * (batch * 100 + index) + 1;
                    let mut both = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
                    both.extend(frame(RST_STREAM, 0, id, &[0, 0, 0, 8]));
                    both
                });
                let frames: Vec<u8> = frames.collect();
                if stream.write_all(&frames).await.is_err() {
                    break;
                }
                sent += 100;
            }
            assert!(sent < 20_000, "nobody stopped it");
        }
    }

    /// Requests that are given up once they are surely begun.
    async fn resets_of_begun(self) {
        let bearer = format!("Bearer {}", self.attackers[0]);
        let target = format!("{CONFIG_MAPS}?watch=1");
        let block = block("GET", &target, &[("authorization", &bearer)]);
        let mut stream = self.client.http2(&[]).await.unwrap();
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < Duration::from_secs(8) {
            let id = 2 * sent + 1;
            let request = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
            if stream.write_all(&request).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            let reset = frame(RST_STREAM, 0, id, &[0, 0, 0, 8]);
            if stream.write_all(&reset).await.is_err() {
                break;
            }
            sent += 1;
        }
        println!("    {sent} until it was stopped");
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "nobody stopped it: {sent}"
        );
    }

    /// A head that goes on and on.
    async fn continuations(self) {
        for _ in 0..20 {
            let mut stream = self.client.http2(&[]).await.unwrap();
            let begun = frame(HEADERS, END_STREAM, 1, &block("GET", "/", &[]));
            stream.write_all(&begun).await.unwrap();
            let more = frame(CONTINUATION, 0, 1, &wire::field("x", &"y".repeat(1_000)));
            let mut sent = 0;
            while sent < 100_000 && stream.write_all(&more).await.is_ok() {
                sent += 1;
            }
            assert!(sent < 100_000, "nobody stopped it");
        }
    }

    /// The same frame again and again over a few connections; what is answered is not read.
    async fn control(self, frame: Vec<u8>) {
        let frames = Arc::new(frame.repeat(1_000));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (client, frames) = (self.client.clone(), frames.clone());
                tokio::spawn(async move {
                    let mut stream = client.http2(&[]).await.unwrap();
                    let flood = async {
                        let mut sent = 0;
                        while stream.write_all(&frames).await.is_ok() {
                            sent += 1_000;
                        }
                        sent
                    };
                    tokio::time::timeout(PATIENCE, flood).await
                })
            })
            .collect();
        let sent = futures_util::future::join_all(tasks).await;
        let sent = sent
            .into_iter()
            .map(|sent| sent.unwrap().expect("nobody stopped it"));
        println!("    {} frames were taken", sent.sum::<usize>());
    }

    async fn empty_data(self) {
        let bearer = format!("Bearer {}", self.attackers[0]);
        let mut stream = self.client.http2(&[]).await.unwrap();
        let begun = block("POST", CONFIG_MAPS, &[("authorization", &bearer)]);
        stream
            .write_all(&frame(HEADERS, END_HEADERS, 1, &begun))
            .await
            .unwrap();
        let data = frame(DATA, 0, 1, &[]).repeat(1_000);
        let mut sent = 0;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && stream.write_all(&data).await.is_ok() {
            sent += 1_000;
        }
        println!("    {sent} frames were taken");
    }

    /// Connections that end as soon as they are there, with TLS and without.
    async fn churn(self) {
        for _ in 0..20 {
            let held = self.connections(100).await;
            drop(held);
            for _ in 0..100 {
                drop(TcpStream::connect(self.client.address).await.unwrap());
            }
        }
    }

    /// Large answers that nobody reads, as many as there may be of four tokens.
    async fn unread(self) {
        let mut held = Vec::new();
        for bearer in &self.attackers {
            let bearer = format!("Bearer {bearer}");
            let target = format!("{CONFIG_MAPS}/large");
            let block = block("GET", &target, &[("authorization", &bearer)]);
            let mut stream = self
                .client
                .http2(&[(INITIAL_WINDOW_SIZE, 0)])
                .await
                .unwrap();
            let requests: Vec<u8> = (0..240)
                .flat_map(|id| frame(HEADERS, END_HEADERS | END_STREAM, 2 * id + 1, &block))
                .collect();
            stream.write_all(&requests).await.unwrap();
            held.push(stream);
        }
        let counts = held.iter_mut().map(|stream| async {
            let answered = Mutex::new((0, 0));
            let counts = |kind, _: u32, block: &[u8]| {
                let mut counts = answered.lock().unwrap();
                counts.0 += usize::from(kind == HEADERS && block[0] == 0x88);
                counts.1 += usize::from(kind == HEADERS && block[0] != 0x88);
                counts.0 + counts.1 == 240
            };
            frame_until(stream, counts, PATIENCE)
                .await
                .expect("all are answered");
            answered.into_inner().unwrap()
        });
        let counts = futures_util::future::join_all(counts).await;
        println!("    answered, and told to come again: {counts:?}");
        assert!(counts.iter().all(|(answered, _)| *answered > 10));
        self.counts_from.set(Instant::now()).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn get(bearer: &str, name: &str) -> String {
    format!(
        "GET {CONFIG_MAPS}/{name} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
}

fn post(bearer: &str, length: usize) -> String {
    format!(
        "POST {CONFIG_MAPS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// What is heard without having asked.
async fn read(stream: &mut Tls) -> Option<Answer> {
    let mut heard = vec![0; 4_096];
    let length = stream.read(&mut heard).await.ok()?;
    heard.truncate(length);
    (length > 0).then(|| wire::answer(&heard))
}

/// 10,000, or as many as this process may have open.
fn idle_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let count = limit.saturating_sub(500).min(10_000);
    if count < 10_000 {
        println!("    only {count} idle connections: more files may not be open here");
    }
    count
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MIB: usize = 1 << 20;
/// Of 3 MiB, several times as many as there is room for.
const BODIES: usize = 40;
/// What a gateway takes without a flood; what one before has left behind may be more.
const BASE: usize = 32 * MIB;
/// Of the times that others wait; 20 to 100 ms where nothing else goes on.
const MIDDLE_MS: u128 = 4_000;
const PROMPT: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(40);
/// All from one address, and so many that it is they that are measured and not the limits before them.
const SETTINGS_OF_FLOODS: &str = "\
max_connections = 14000
max_connections_per_address = 12000
connections_per_second_per_address = 20000
connection_burst_per_address = 20000
max_buffered_bytes = 33554432
max_buffered_bytes_per_token = 9437184
body_timeout = \"3s\"
";
