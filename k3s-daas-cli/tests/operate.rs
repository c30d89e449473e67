//! What who operates the services sees of them: metrics, probes, log lines, and the files that are made of these.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k3s_daas_cli::settings::{self, Key};
use regex::Regex;
use serde_json::Value;
use support::{Separate, daas, free_address};

#[test]
fn what_is_measured_is_documented_and_what_is_alerted_on_is_measured() {
    let scratch = tempfile::tempdir().unwrap();
    let world = World::start(&scratch.path().join("daas"));
    let all = world.gateway() + &world.nautilus();
    let families = families(&all);

    let file = root().join("docs/metrics.md");
    let document = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let now = format!("{before}{BEGIN}\n{}{END}{after}", table(&families, &all));
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap() == now,
        "docs/metrics.md is not of these metrics: run this test with DAAS_UPDATE_GOLDEN=1"
    );

    let text = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let alerts: Value = serde_yaml_ng::from_str(&text("deploy/prometheus/alerts.yaml")).unwrap();
    let mut expressions = Vec::new();
    for rule in alerts["groups"][0]["rules"].as_array().unwrap() {
        expressions.push(rule["expr"].as_str().unwrap().to_owned());
        assert!(rule["annotations"]["action"].is_string(), "{rule}");
    }
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/k3s-daas.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    assert!(expressions.len() > 30, "{expressions:?}");
    for expression in &expressions {
        if let Err(missing) = check(expression, &families, &all) {
            panic!("{missing} in `{expression}` is not measured");
        }
        // Grafana's own variables stand for durations.
        let expression = expression.replace("$__rate_interval", "5m");
        if let Err(why) = promql_parser::parser::parse(&expression) {
            panic!("`{expression}`: {why}");
        }
    }
    let wrong = "daas_disk_free_bytes < 4 * ignoring(at) group_left daas_disk_reserve_bytes";
    assert!(promql_parser::parser::parse(wrong).is_err());
    // And what is not would show.
    for wrong in [
        "rate(daas_gateway_request_total[5m])",
        "daas_gateway_outcomes_total{outcome=\"lost\"}",
        "daas_gateway_outcomes_total{result=\"unknown\"}",
        "daas_gateway_outcomes_total_bucket",
    ] {
        assert!(check(wrong, &families, &all).is_err(), "{wrong}");
    }
}

#[test]
fn what_happens_is_counted_and_logged_on_both_sides() {
    let scratch = tempfile::tempdir().unwrap();
    let mut world = World::start(&scratch.path().join("daas"));
    let dir = world.services.dir().to_owned();
    let object = dir.join("configmap.json");
    let text = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"a":"hunter2"}}"#;
    std::fs::write(&object, text).unwrap();
    let before = (world.gateway(), world.nautilus());
    let id = "0192d8f0-1111-7abc-8def-0123456789ab".replacen("0192d8f0-1111", &now_ms(), 1);
    let object = object.to_string_lossy().into_owned();
    daas(
        &dir,
        &[
            "request",
            "POST",
            CONFIGMAPS,
            "-f",
            &object,
            "--request-id",
            &id,
        ],
    )
    .ok();
    let list = format!("{CONFIGMAPS}?labelSelector=hunter2");
    daas(&dir, &["request", "GET", &list]).ok();

    let after = (world.gateway(), world.nautilus());
    let grew = |name: &str, (before, after): (&str, &str)| {
        value(after, name).unwrap() - value(before, name).unwrap()
    };
    let gateway = (before.0.as_str(), after.0.as_str());
    let nautilus = (before.1.as_str(), after.1.as_str());
    for (name, side, count) in [
        (
            "daas_gateway_outcomes_total{outcome=\"answered\"}",
            gateway,
            2.0,
        ),
        ("daas_gateway_responses_total{class=\"2xx\"}", gateway, 2.0),
        (
            "daas_gateway_stage_seconds_count{stage=\"submit\"}",
            gateway,
            2.0,
        ),
        (
            "daas_nautilus_stage_seconds_count{stage=\"begin\"}",
            nautilus,
            1.0,
        ),
    ] {
        assert!(
            (grew(name, side) - count).abs() < 0.5,
            "{name}: {}",
            grew(name, side)
        );
    }
    // Others ask too: the gateway itself, whether anybody answers.
    for (name, side) in [
        ("daas_nautilus_executed_total", nautilus),
        (
            "daas_nautilus_stage_seconds_count{stage=\"queue\"}",
            nautilus,
        ),
        (
            "daas_nautilus_stage_seconds_count{stage=\"cluster\"}",
            nautilus,
        ),
        (
            "daas_nautilus_stage_seconds_count{stage=\"store\"}",
            nautilus,
        ),
        (
            "daas_nautilus_stage_seconds_count{stage=\"write\"}",
            nautilus,
        ),
        (
            "daas_nautilus_stage_seconds_count{stage=\"submit\"}",
            nautilus,
        ),
        ("daas_gateway_request_bytes_total", gateway),
    ] {
        assert!(grew(name, side) >= 1.0, "{name}: {}", grew(name, side));
    }
    for (name, page) in [
        ("daas_nautilus_executor_eligible", &after.1),
        ("daas_nautilus_cluster_reachable", &after.1),
        ("daas_gateway_ready{check=\"cluster\"}", &after.0),
    ] {
        assert_eq!(value(page, name), Some(1.0), "{name}");
    }
    for page in [&after.0, &after.1] {
        assert!(value(page, "process_resident_memory_bytes").unwrap() > 1e6);
        assert!(value(page, "daas_disk_free_bytes{at=\"ledger\"}").unwrap() > 0.0);
        assert!(value(page, "daas_ledger_file_bytes{file=\"database\"}").unwrap() > 0.0);
    }
    let stake = value(&after.1, "daas_nautilus_executor_stake_mist").unwrap();
    assert!(stake >= value(&after.1, "daas_nautilus_executor_stake_required_mist").unwrap());

    let lines = |log: &str| -> Vec<Value> {
        let said = std::fs::read_to_string(dir.with_extension(log)).unwrap();
        assert!(!said.contains("hunter2"), "{said}");
        let lines = said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let of_it = lines.filter(|line: &Value| {
            line["fields"]["request_id"] == *id && line["fields"]["message"] == "request"
        });
        of_it.map(|line| line["fields"].clone()).collect()
    };
    for (log, outcome) in [("gateway.log", "answered"), ("nautilus.log", "executed")] {
        let [line] = &lines(log)[..] else {
            panic!("{log}: {:?}", lines(log));
        };
        assert_eq!(line["outcome"], outcome);
        assert_eq!(line["status"], 201);
        assert_eq!(line["verb"], "create");
        assert_eq!(line["resource"], "configmaps");
        assert_eq!(line["trace_id"], id.replace('-', ""));
    }

    // The cluster goes: Nautilus says so where it is asked.
    assert_eq!(http(&world.nautilus, "GET", "/readyz").0, 200);
    world.services.cluster.take().unwrap().kill();
    let begun = Instant::now();
    while http(&world.nautilus, "GET", "/readyz").0 != 503 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        http(&world.nautilus, "GET", "/readyz")
            .1
            .contains("[-]cluster failed")
    );
    assert_eq!(http(&world.nautilus, "GET", "/livez").0, 200);
    assert_eq!(
        value(&world.nautilus(), "daas_nautilus_cluster_reachable"),
        Some(0.0)
    );
}

#[test]
fn the_metrics_address_serves_nothing_else_and_withstands_the_idle() {
    let scratch = tempfile::tempdir().unwrap();
    let world = World::start(&scratch.path().join("daas"));
    for address in [&world.gateway, &world.nautilus] {
        for path in [
            "/",
            "/metrics/",
            "//metrics",
            "/api/v1/pods",
            "/debug/pprof/",
            "/..%2fmetrics",
        ] {
            assert_eq!(http(address, "GET", path).0, 404, "{path}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            assert_eq!(http(address, method, "/metrics").0, 405, "{method}");
        }
        assert_eq!(http(address, "HEAD", "/metrics"), (200, String::new()));
        // Who sends nothing is let go of, so a scrape comes through again.
        let idle: Vec<_> = (0..64)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let begun = Instant::now();
        while http(address, "GET", "/metrics").0 != 200 {
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "nobody is let go of"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(idle);
    }
}

/// Three processes, two of which tell what they measure.
struct World {
    services: Separate,
    gateway: String,
    nautilus: String,
}

impl World {
    #[track_caller]
    fn start(dir: &Path) -> Self {
        let mut services = Separate::provision(dir);
        let (gateway, nautilus) = (free_address(), free_address());
        let set = [
            (Key::GatewayMetricsListen, gateway.as_str()),
            (Key::NautilusMetricsListen, nautilus.as_str()),
            (Key::NautilusUpkeepInterval, "1s"),
            (Key::LogFormat, "json"),
        ];
        let set = set.map(|(key, value)| (key, value.into()));
        settings::update(&dir.join("daas.toml"), &set).unwrap();
        services.start_cluster();
        services.start_nautilus();
        services.start_gateway();
        Self {
            services,
            gateway,
            nautilus,
        }
    }

    fn gateway(&self) -> String {
        page(&self.gateway)
    }

    fn nautilus(&self) -> String {
        page(&self.nautilus)
    }
}

#[track_caller]
fn page(address: &str) -> String {
    let (status, page) = http(address, "GET", "/metrics");
    assert_eq!(status, 200);
    page
}

/// Status and body; status 0 if there is no answer.
fn http(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let sent = stream.write_all(head.as_bytes());
    if sent
        .and_then(|()| stream.read_to_string(&mut answer))
        .is_err()
    {
        return (0, answer);
    }
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status.unwrap_or(0), body.unwrap_or_default())
}

/// Name to kind and help.
fn families(page: &str) -> BTreeMap<String, (String, String)> {
    let mut families = BTreeMap::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let kind = lines.next().unwrap();
        let kind = kind.strip_prefix(&format!("# TYPE {name} ")).unwrap();
        let family = (kind.to_owned(), help.to_owned());
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        if let Some(other) = families.insert(name.to_owned(), family.clone()) {
            assert_eq!(other, family, "{name}");
        }
    }
    families
}

fn table(families: &BTreeMap<String, (String, String)>, page: &str) -> String {
    let labels = Regex::new(r#"([a-z]+)="([^"]*)""#).unwrap();
    let mut text = "| metric | kind | what |\n|---|---|---|\n".to_owned();
    for (name, (kind, help)) in families {
        let mut values = BTreeMap::<&str, BTreeSet<&str>>::new();
        let samples = page.lines().filter(|line| {
            let rest = line.strip_prefix(name.as_str());
            let suffix = rest.and_then(|rest| rest.split_once('{'));
            suffix.is_some_and(|(suffix, _)| matches!(suffix, "" | "_count"))
        });
        for found in samples.flat_map(|line| labels.captures_iter(line)) {
            let value = found.get(2).unwrap().as_str();
            values
                .entry(found.get(1).unwrap().as_str())
                .or_default()
                .insert(value);
        }
        let mut what = help.replace('|', "\\|");
        for (label, values) in values {
            let values: Vec<&str> = values.into_iter().collect();
            let shown = match label {
                // Of this build, or as many as there are reasons.
                "version" | "reason" => String::new(),
                _ => format!(": {}", values.join(", ")),
            };
            what += &format!(" `{label}`{shown}.");
        }
        text += &format!("| `{name}` | {kind} | {what} |\n");
    }
    text
}

/// That every metric and label that an expression names is on the page; else what is not.
fn check(
    expression: &str,
    families: &BTreeMap<String, (String, String)>,
    page: &str,
) -> Result<(), String> {
    let metric = Regex::new(r"\b((?:daas|process)_[a-z_]+)(?:\{([^}]*)\})?").unwrap();
    let label = Regex::new(r#"([a-z]+)="([^"]*)""#).unwrap();
    for found in metric.captures_iter(expression) {
        let name = found.get(1).unwrap().as_str();
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .is_some_and(|name| {
                families
                    .get(name)
                    .is_some_and(|known| known.0 == "histogram")
            });
        let is_plain = families
            .get(name)
            .is_some_and(|known| known.0 != "histogram");
        if !of_histogram && !is_plain {
            return Err(name.to_owned());
        }
        let selector = found.get(2).map_or("", |selector| selector.as_str());
        for wanted in label.captures_iter(selector) {
            let wanted = wanted.get(0).unwrap().as_str();
            let mut lines = page.lines();
            if !lines.any(|line| line.starts_with(&format!("{name}{{")) && line.contains(wanted)) {
                return Err(format!("{name}{{{wanted}}}"));
            }
        }
    }
    Ok(())
}

fn value(page: &str, sample: &str) -> Option<f64> {
    let mut lines = page.lines();
    lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

/// The beginning of a request ID of now.
fn now_ms() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let hex = format!("{:012x}", since.unwrap().as_millis());
    format!("{}-{}", &hex[..8], &hex[8..])
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const BEGIN: &str =
    "<!-- metrics: written by k3s-daas-cli/tests/operate.rs with DAAS_UPDATE_GOLDEN=1 -->";
const END: &str = "<!-- end of metrics -->";
const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
