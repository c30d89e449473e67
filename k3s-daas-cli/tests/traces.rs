//! What the services tell a collector of traces, and what a collector can do to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use k3s_daas::types::{RequestId, TokenId};
use k3s_daas_cli::exit::Exit;
use k3s_daas_cli::settings::{self, Key};
use serde_json::Value;
use support::collector::{Collector, Got, Manner};
use support::https::Https;
use support::{GATEWAY, Run, Separate, command, daas, free_address, http};

#[test]
fn a_request_is_one_trace_of_both_services_and_goes_on_with_that_of_its_client() {
    let scratch = tempfile::tempdir().unwrap();
    let collector = Collector::start("127.0.0.1:0", Manner::Takes);
    let headers = scratch.path().join("headers");
    std::fs::write(&headers, "authorization: Basic marked\n").unwrap();
    std::fs::set_permissions(&headers, std::fs::Permissions::from_mode(0o600)).unwrap();
    let set = [
        (Key::OtlpEndpoint, collector.endpoint().into()),
        (Key::OtlpHeadersFile, headers.to_str().unwrap().into()),
    ];
    let mut world = World::start(&scratch.path().join("daas"), &set);

    let id = RequestId::new().to_string();
    assert_eq!(world.create("one", &[("daas-request-id", &id)]), 201);
    let own = id.replace('-', "");
    let spans = collector.spans_until(|spans| has_both(spans, &own));
    let of_it: Vec<_> = spans.iter().filter(|span| span.trace == own).collect();
    let of = |service: &str| -> Vec<&Got> {
        let spans = of_it.iter().filter(|span| span.service == service);
        spans.copied().collect()
    };
    let (of_gateway, of_nautilus) = (of("daas-gateway"), of("daas-nautilus"));
    let named = |name: &str| one(&of_gateway, name);
    let server = named("POST configmaps");
    assert_eq!((server.kind, server.parent.as_str()), (SERVER, ""));
    assert_eq!(server.service, "daas-gateway");
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("url.path", CONFIGMAPS),
        ("k8s.namespace.name", "default"),
        ("daas.request.id", &id),
        ("daas.verb", "create"),
        ("daas.resource", "configmaps"),
        ("daas.outcome", "answered"),
    ] {
        assert_eq!(
            server.attributes.get(name).map(String::as_str),
            Some(value),
            "{server:?}"
        );
    }
    let line = world.line(&id);
    for stage in ["authorize", "submit", "execute", "fetch"] {
        let span = named(stage);
        assert_eq!(span.parent, server.id, "{stage}");
        is_within(span, server);
        let logged = line[format!("{stage}_ms")].as_f64().unwrap();
        let traced = (span.end_ns - span.start_ns) as f64 / 1e6;
        assert!((logged - traced).abs() < 0.01, "{stage}: {logged} {traced}");
    }
    let token: TokenId = server.attributes["daas.token"].parse().unwrap();
    let known = k3s_daas::spans::of_execution(token, id.parse().unwrap());
    assert_eq!(named("execute").id, known.to_string());

    let executed = one(&of_nautilus, "execute create configmaps");
    assert_eq!(executed.service, "daas-nautilus");
    assert_eq!(
        (executed.kind, &executed.parent),
        (CONSUMER, &named("execute").id)
    );
    assert_eq!(executed.attributes["daas.outcome"], "executed");
    for stage in ["queue", "begin", "cluster", "store", "write", "submit"] {
        let span = one(&of_nautilus, stage);
        assert_eq!(
            (&span.parent, &*span.service),
            (&executed.id, "daas-nautilus"),
            "{stage}"
        );
        is_within(span, executed);
    }
    let cluster = one(&of_nautilus, "cluster");
    assert_eq!(cluster.kind, CLIENT);
    assert_eq!(cluster.attributes["http.response.status_code"], "201");
    assert_eq!(cluster.attributes["http.request.method"], "POST");
    // Both clocks are this machine's.
    assert!(executed.start_ns >= named("submit").start_ns);

    // A client that traces: its trace goes on, and leads to the request's own.
    let id = RequestId::new().to_string();
    let (theirs, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traceparent = format!("00-{theirs}-{parent}-00");
    let two = [("daas-request-id", &*id), ("traceparent", &traceparent)];
    assert_eq!(world.create("one", &two), 409, "it is there already");
    let own = id.replace('-', "");
    let spans = collector.spans_until(|spans| has_both(spans, &own));
    let in_trace = |trace: &str| -> Vec<&Got> {
        let spans = spans.iter().filter(|span| span.trace == trace);
        spans.collect()
    };
    let server = one(&in_trace(theirs), "POST configmaps");
    assert_eq!((server.kind, &*server.parent), (SERVER, parent));
    assert!(!server.is_error, "409 is the client's");
    let root = one(&in_trace(&own), "execute");
    assert_eq!(root.parent, "");
    assert_eq!(server.links, [(own.clone(), root.id.clone())]);
    let of_client = one(&in_trace(theirs), "execute");
    assert_eq!(of_client.parent, server.id);
    assert_eq!(root.links, [(theirs.to_owned(), of_client.id.clone())]);
    let executed = one(&in_trace(&own), "execute create configmaps");
    assert_eq!(executed.parent, root.id);
    let cluster = one(&in_trace(&own), "cluster");
    assert!(cluster.is_error && cluster.attributes["http.response.status_code"] == "409");

    for head in collector.heads() {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        for line in [
            "authorization: Basic marked\r\n",
            "content-type: application/x-protobuf\r\n",
        ] {
            assert!(head.to_lowercase().contains(&line.to_lowercase()), "{head}");
        }
    }
    let page = http(&world.metrics, "/metrics");
    assert!(
        !page.contains("daas_spans_total{result=\"exported\"} 0"),
        "{page}"
    );
    for log in ["gateway.log", "nautilus.log"] {
        let said = std::fs::read_to_string(world.dir().with_extension(log)).unwrap();
        assert!(!said.contains("marked"), "{said}");
    }
    // What is recorded last is sent before the end.
    let id = RequestId::new().to_string();
    assert_eq!(world.create("last", &[("daas-request-id", &id)]), 201);
    assert_eq!(world.services.gateway.take().unwrap().stop(), 0);
    assert_eq!(world.services.nautilus.take().unwrap().stop(), 0);
    assert!(has_both(&collector.spans(), &id.replace('-', "")));
}

#[test]
fn a_part_of_all_is_traced_by_both_or_by_none() {
    let scratch = tempfile::tempdir().unwrap();
    let collector = Collector::start("127.0.0.1:0", Manner::Takes);
    let set = [
        (Key::OtlpEndpoint, collector.endpoint().into()),
        (Key::OtlpServiceName, "ours".into()),
        (Key::OtlpSampleRatio, 0.5.into()),
    ];
    let mut world = World::start(&scratch.path().join("daas"), &set);
    let ids: Vec<_> = (0..40).map(|_| RequestId::new().to_string()).collect();
    for (number, id) in ids.iter().enumerate() {
        let one = [("daas-request-id", id.as_str())];
        assert_eq!(world.create(&format!("c-{number}"), &one), 201);
    }
    assert_eq!(world.services.gateway.take().unwrap().stop(), 0);
    assert_eq!(world.services.nautilus.take().unwrap().stop(), 0);
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.service == "ours"));
    let mut traced = 0;
    for id in &ids {
        let trace = id.replace('-', "");
        let any = spans.iter().any(|span| span.trace == trace);
        // Both or neither.
        assert_eq!(has_both(&spans, &trace), any, "{id}");
        traced += usize::from(any);
    }
    assert!(
        (5..=35).contains(&traced),
        "{traced} of {} spans",
        spans.len()
    );
}

#[test]
fn no_collector_does_any_harm() {
    let manners = [
        None,
        Some(Manner::Refuses(503)),
        Some(Manner::Refuses(401)),
        Some(Manner::Hangs),
        Some(Manner::Garbage),
        Some(Manner::Floods),
    ];
    std::thread::scope(|scope| {
        for manner in manners {
            scope.spawn(move || harmless(manner));
        }
    });
}

/// Runs with such a collector, or with none where it should be.
fn harmless(manner: Option<Manner>) {
    let scratch = tempfile::tempdir().unwrap();
    let address = free_address();
    let collector = manner.map(|manner| Collector::start(&address, manner));
    let set = [(Key::OtlpEndpoint, format!("http://{address}").into())];
    let mut world = World::start(&scratch.path().join("daas"), &set);
    let begun = Instant::now();
    for number in 0..20 {
        assert_eq!(world.create(&format!("c-{number}"), &[]), 201, "{manner:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{manner:?}: {:?}",
        begun.elapsed()
    );
    let said = |world: &World| world.services.gateway.as_ref().unwrap().said();
    let begun = Instant::now();
    while !said(&world).contains("takes no spans") {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{manner:?}: {}",
            said(&world)
        );
        assert_eq!(
            world.create(&format!("d-{}", begun.elapsed().as_nanos()), &[]),
            201
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    // Once, however often it fails after that.
    for number in 0..30 {
        assert_eq!(world.create(&format!("e-{number}"), &[]), 201);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(said(&world).matches("takes no spans").count(), 1);
    assert!(!said(&world).contains("hunter2"), "{}", said(&world));
    if let Some(collector) = &collector
        && matches!(manner, Some(Manner::Refuses(_)))
    {
        collector.set(Manner::Takes);
        let id = RequestId::new().to_string();
        assert_eq!(world.create("found", &[("daas-request-id", &id)]), 201);
        collector.spans_until(|spans| has_both(spans, &id.replace('-', "")));
        assert!(
            said(&world).contains("takes spans again"),
            "{}",
            said(&world)
        );
    }
    let begun = Instant::now();
    assert_eq!(world.services.gateway.take().unwrap().stop(), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{manner:?}: {:?}",
        begun.elapsed()
    );
}

#[test]
fn what_cannot_be_used_is_said_at_the_start() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    drop(Separate::provision(&dir));
    let headers = scratch.path().join("headers");
    let start = |name: &str, value: &str| {
        let mut command = command(GATEWAY);
        command.env("HOME", &dir).arg("--dir").arg(&dir);
        command.env("DAAS_OTLP_ENDPOINT", "http://127.0.0.1:9");
        command.env(name, value);
        command.args(["--listen", "127.0.0.1:0"]);
        Run::of(&mut command)
    };
    for (name, value) in [
        ("DAAS_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("DAAS_OTLP_ENDPOINT", "http://user:hunter2@collector:4318"),
        ("DAAS_OTLP_ENDPOINT", "http://collector:4318?key=hunter2"),
        ("DAAS_OTLP_SAMPLE_RATIO", "2"),
        ("DAAS_OTLP_SAMPLE_RATIO", "NaN"),
        ("DAAS_OTLP_SAMPLE_RATIO", "-0.1"),
    ] {
        let refused = start(name, value);
        assert_eq!(refused.code, Exit::Settings as i32, "{refused:?}");
        assert!(!refused.err.contains("hunter2"), "{refused:?}");
        assert!(refused.err.contains("otlp."), "{refused:?}");
    }
    std::fs::write(&headers, "hunter2").unwrap();
    let path = headers.to_str().unwrap();
    let mode = |mode| {
        std::fs::set_permissions(&headers, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    let open = start("DAAS_OTLP_HEADERS_FILE", path);
    assert_eq!(open.code, Exit::Key as i32, "{open:?}");
    mode(0o600);
    let malformed = start("DAAS_OTLP_HEADERS_FILE", path);
    assert_eq!(malformed.code, Exit::Settings as i32, "{malformed:?}");
    assert!(!malformed.err.contains("hunter2"), "{malformed:?}");
}

/// The three processes, and somebody who may do everything.
struct World {
    services: Separate,
    https: Https,
    bearer: String,
    metrics: String,
}

impl World {
    #[track_caller]
    fn start(dir: &Path, set: &[(Key, toml::Value)]) -> Self {
        let mut services = Separate::provision(dir);
        let metrics = free_address();
        let mut all = vec![
            (Key::GatewayMetricsListen, metrics.as_str().into()),
            (Key::LogFormat, "json".into()),
        ];
        all.extend_from_slice(set);
        settings::update(&dir.join("daas.toml"), &all).unwrap();
        services.start_cluster();
        services.start_nautilus();
        services.start_gateway();
        Self {
            https: Https::of_kubeconfig(&dir.join("kubeconfig")),
            bearer: daas(dir, &["credential", "--bearer"])
                .ok()
                .trim()
                .to_owned(),
            services,
            metrics,
        }
    }

    fn dir(&self) -> &Path {
        self.services.dir()
    }

    /// The status of creating a ConfigMap.
    fn create(&self, name: &str, headers: &[(&str, &str)]) -> u16 {
        let object =
            format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}"#);
        self.https
            .send_as(&self.bearer, "POST", CONFIGMAPS, headers, &object)
            .status
    }

    /// The gateway's log line of a request.
    fn line(&self, id: &str) -> Value {
        let said = self.services.gateway.as_ref().unwrap().said();
        let lines = said
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.map(|line| line["fields"].clone());
        lines
            .find(|line| line["request_id"] == id && line["message"] == "request")
            .unwrap()
    }
}

/// Whether both services have told of a request.
fn has_both(spans: &[Got], trace: &str) -> bool {
    let names = |name: &str| {
        spans
            .iter()
            .any(|span| span.trace == trace && span.name == name)
    };
    names("execute") && names("execute create configmaps")
}

#[track_caller]
fn one<'a>(spans: &[&'a Got], name: &str) -> &'a Got {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

#[track_caller]
fn is_within(part: &Got, whole: &Got) {
    // The wall clock is read anew for each.
    let slack = 2_000_000;
    let is = part.start_ns + slack >= whole.start_ns && part.end_ns <= whole.end_ns + slack;
    assert!(is && part.start_ns <= part.end_ns, "{part:?} {whole:?}");
}

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const CONSUMER: i32 = 5;
