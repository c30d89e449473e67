//! Services that read their settings again while they run.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k3s_daas_cli::settings::{self, Key};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConnection, StreamOwned};
use support::certificate::Given;
use support::https::Https;
use support::{Process, Separate, daas, free_address, http};

#[test]
fn a_limit_holds_from_the_reload_on_and_nothing_of_what_is_wrong_does() {
    let scratch = tempfile::tempdir().unwrap();
    let world = World::start(&scratch.path().join("daas"), &[]);
    let gateway = || world.services.gateway.as_ref().unwrap();
    let mut watch = world.open(&format!("{CONFIGMAPS}?watch=true"));
    assert_eq!(read_until(&mut watch, "\r\n\r\n").get(9..12), Some("200"));
    assert_eq!(world.create("one", 2_000), 201);

    world.set(&[
        (Key::GatewayMaxBodyBytes, 1_000.into()),
        (Key::Log, "debug".into()),
    ]);
    assert_eq!(world.create("two", 2_000), 201, "nobody has told it yet");
    world.reload(gateway(), APPLIED);
    assert_eq!(world.create("three", 2_000), 413);
    assert_eq!(world.create("four", 10), 201);
    assert!(gateway().said().contains("DEBUG"), "{}", gateway().said());
    let told = "setting=\"gateway.max_body_bytes\" was=\"3145728\" is=\"1000\"";
    assert!(
        plain(&gateway().said()).contains(told),
        "{}",
        gateway().said()
    );

    // One good change and one that is none: neither is applied.
    let good = std::fs::read(world.file()).unwrap();
    world.set(&[
        (Key::GatewayMaxBodyBytes, 100_000.into()),
        (Key::GatewayMaxInFlight, "many".into()),
    ]);
    world.reload(gateway(), REFUSED);
    assert!(
        gateway().said().contains("`gateway.max_in_flight`"),
        "{}",
        gateway().said()
    );
    for broken in [
        "= nonsense",
        "nonsense = 1",
        "[gateway]\nmax_body_bytes = 99999999\n",
        "log = \"bogus\"",
    ] {
        std::fs::write(world.file(), broken).unwrap();
        world.reload(gateway(), REFUSED);
        assert_eq!(world.create("five", 2_000), 413, "{broken}");
    }
    std::fs::write(world.file(), &good).unwrap();
    let page = http(&world.metrics, "/metrics");
    for line in [
        "daas_config_reloads_total{result=\"applied\"} 1",
        "daas_config_reloads_total{result=\"refused\"} 5",
        "daas_config_restart_settings 0",
    ] {
        assert!(page.contains(line), "no {line}: {page}");
    }

    // What needs a restart is named, until it is so or taken back.
    world.set(&[
        (Key::GatewayMaxBodyBytes, 100_000.into()),
        (Key::GatewayReadRetention, "5s".into()),
        (Key::GatewayListen, "127.0.0.1:1".into()),
    ]);
    world.reload(gateway(), APPLIED);
    assert_eq!(world.create("six", 2_000), 201);
    let said = plain(&gateway().said());
    assert!(
        said.contains("setting=\"gateway.read_retention\" running=\"1m\" set=\"5s\""),
        "{said}"
    );
    // Its flag says where it listens, whatever the file has.
    assert!(!said.contains("setting=\"gateway.listen\""), "{said}");
    assert!(http(&world.metrics, "/metrics").contains("daas_config_restart_settings 1"));
    world.reload(gateway(), APPLIED);
    assert!(http(&world.metrics, "/metrics").contains("daas_config_restart_settings 1"));
    std::fs::write(world.file(), &good).unwrap();
    world.reload(gateway(), APPLIED);
    assert!(http(&world.metrics, "/metrics").contains("daas_config_restart_settings 0"));

    // All that time somebody watched over one connection.
    assert_eq!(world.create("seen", 10), 201);
    read_until(&mut watch, "\"seen\"");
}

#[test]
fn requests_at_once_and_by_rate_are_bounded_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let world = World::start(&scratch.path().join("daas"), &[]);
    let gateway = || world.services.gateway.as_ref().unwrap();
    let watch = |world: &World| {
        let mut watch = world.open(&format!("{CONFIGMAPS}?watch=true"));
        let head = read_until(&mut watch, "\r\n\r\n");
        (head[9..12].to_owned(), watch)
    };
    let first = watch(&world);
    let second = watch(&world);
    assert_eq!((&*first.0, &*second.0), ("200", "200"));
    world.set(&[(Key::GatewayMaxWatches, 1.into())]);
    world.reload(gateway(), APPLIED);
    assert_eq!(watch(&world).0, "429", "two there are, of one that may be");
    world.set(&[(Key::GatewayMaxWatches, 3.into())]);
    world.reload(gateway(), APPLIED);
    let third = watch(&world);
    assert_eq!(third.0, "200");
    assert_eq!(watch(&world).0, "429");

    world.set(&[
        (Key::GatewayRequestsPerSecondPerToken, 1.into()),
        (Key::GatewayRequestBurstPerToken, 1.into()),
    ]);
    world.reload(gateway(), APPLIED);
    let get = || {
        world
            .https
            .send_as(&world.bearer, "GET", CONFIGMAPS, &[], "")
            .status
    };
    let answers = [get(), get(), get()];
    assert!(answers.contains(&429), "{answers:?}");
}

#[test]
fn a_new_certificate_is_shown_to_who_comes_and_nobody_is_cut_off() {
    let scratch = tempfile::tempdir().unwrap();
    let given = |name: &str| {
        let dir = scratch.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        Given::make(&dir)
    };
    let (first, second) = (given("first"), given("second"));
    let path = |path: &Path| toml::Value::from(path.to_str().unwrap());
    let at = |name: &str| scratch.path().join(name);
    for name in ["gateway.crt", "gateway.key"] {
        std::fs::copy(at("first").join(name), at(name)).unwrap();
    }
    let authorities = [&first, &second].map(|given| std::fs::read(&given.authority).unwrap());
    std::fs::write(at("ca.crt"), authorities.concat()).unwrap();
    let settings = [
        (Key::GatewayCertificate, path(&at("gateway.crt"))),
        (Key::GatewayPrivateKey, path(&at("gateway.key"))),
        (Key::GatewayCa, path(&at("ca.crt"))),
    ];
    let world = World::start(&at("daas"), &settings);
    let gateway = || world.services.gateway.as_ref().unwrap();
    let shown = || -> Vec<u8> {
        let mut stream = world.https.connect().unwrap();
        stream.conn.complete_io(&mut stream.sock).unwrap();
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown();
    let mut open = world.open(CONFIGMAPS);
    assert_eq!(
        read_until(&mut open, "ConfigMapList").get(9..12),
        Some("200")
    );

    // A key that is not the certificate's, or no key at all: the old one stays.
    std::fs::copy(&second.certificate, at("gateway.crt")).unwrap();
    world.reload(gateway(), REFUSED);
    assert_eq!(shown(), before);
    std::fs::write(at("gateway.key"), "nothing").unwrap();
    world.reload(gateway(), REFUSED);
    assert_eq!(shown(), before);

    std::fs::copy(&second.key, at("gateway.key")).unwrap();
    world.reload(gateway(), APPLIED);
    let after = shown();
    assert_ne!(after, before);
    let pem = std::fs::read(&second.certificate).unwrap();
    assert_eq!(
        after,
        CertificateDer::from_pem_slice(&pem).unwrap().to_vec()
    );
    // Over the connection of before everything goes on.
    ask(&mut open, &world.bearer, CONFIGMAPS);
    read_until(&mut open, "ConfigMapList");
}

#[test]
fn nautilus_takes_other_credentials_and_no_other_cluster() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let world = World::start(&dir, &[]);
    let nautilus = || world.services.nautilus.as_ref().unwrap();
    let get = || {
        world
            .https
            .send_as(&world.bearer, "GET", CONFIGMAPS, &[], "")
            .status
    };
    assert_eq!(get(), 200);
    let kubeconfig = dir.join("cluster/kubeconfig");
    let good = std::fs::read_to_string(&kubeconfig).unwrap();
    let (_, token) = good.split_once("token: ").unwrap();
    let token = token.lines().next().unwrap();
    let write = |text: &str| std::fs::write(&kubeconfig, text).unwrap();

    write(&good.replace(token, "another"));
    assert_eq!(get(), 200, "nobody has told it yet");
    world.reload(nautilus(), APPLIED);
    assert_ne!(get(), 200, "the cluster does not know it any more");
    for broken in [
        "nonsense: [".to_owned(),
        good.replace("127.0.0.1", "127.0.0.9"),
    ] {
        write(&broken);
        world.set(&[(Key::NautilusConcurrency, 0.into())]);
        world.reload(nautilus(), REFUSED);
    }
    write(&good);
    world.reload(nautilus(), REFUSED);
    assert!(
        nautilus().said().contains("concurrency must not be 0"),
        "{}",
        nautilus().said()
    );
    assert_ne!(get(), 200, "nothing of it was applied");
    world.set(&[(Key::NautilusConcurrency, 1.into())]);
    world.reload(nautilus(), APPLIED);
    assert_eq!(get(), 200);
    assert_eq!(get(), 200);
    assert!(!nautilus().said().contains(token), "a credential is logged");
}

/// All three processes, somebody who may do everything, and where the gateway's metrics are.
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
        let mut all = vec![(Key::GatewayMetricsListen, metrics.as_str().into())];
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

    fn file(&self) -> PathBuf {
        self.services.dir().join("daas.toml")
    }

    fn set(&self, changes: &[(Key, toml::Value)]) {
        settings::update(&self.file(), changes).unwrap();
    }

    /// Has a service read its settings again, and waits until it says so in these words.
    #[track_caller]
    fn reload(&self, service: &Process, says: &str) {
        let count = || service.said().matches(says).count();
        let before = count();
        service.signal("HUP");
        let begun = Instant::now();
        while count() == before {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{}",
                service.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The status of creating a ConfigMap with so many bytes in it.
    fn create(&self, name: &str, bytes: usize) -> u16 {
        let text = "x".repeat(bytes);
        let object = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"a":"{text}"}}}}"#
        );
        self.https
            .send_as(&self.bearer, "POST", CONFIGMAPS, &[], &object)
            .status
    }

    /// A connection on which this was asked for.
    fn open(&self, target: &str) -> Connection {
        let mut connection = self.https.connect().unwrap();
        ask(&mut connection, &self.bearer, target);
        connection
    }
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn ask(connection: &mut Connection, bearer: &str, target: &str) {
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\nauthorization: Bearer {bearer}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.flush().unwrap();
}

/// What comes, until this is in it.
#[track_caller]
fn read_until(connection: &mut Connection, text: &str) -> String {
    let timeout = Some(Duration::from_secs(20));
    connection.sock.set_read_timeout(timeout).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let read = connection.read(&mut buffer).unwrap();
        let so_far = String::from_utf8_lossy(&all).into_owned();
        assert!(read > 0, "it ended: {so_far}");
        all.extend_from_slice(&buffer[..read]);
        let so_far = String::from_utf8_lossy(&all).into_owned();
        if so_far.contains(text) {
            return so_far;
        }
    }
}

/// Without the colours.
fn plain(log: &str) -> String {
    let colour = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    colour.replace_all(log, "").into_owned()
}

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
const APPLIED: &str = "the settings were read again";
const REFUSED: &str = "the settings were not read again";
