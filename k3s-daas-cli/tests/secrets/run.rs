//! The run, and where each secret may be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k3s_daas::crypto::Ed25519Signer;

use crate::search::Search;
use crate::support::certificate::write;
use crate::support::collector::{Collector, Manner};
use crate::support::https::Https;
use crate::support::{
    DAAS, GATEWAY, NAUTILUS, Run, Separate, command, free_address, http, kubectls,
};

#[test]
fn no_secret_is_anywhere_but_where_it_must_be() {
    // Whatever is made is private by itself, not by the habits of whoever runs it.
    rustix::process::umask(rustix::fs::Mode::empty());
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let watched = Watched::start(scratch.path());
    let mut told = Told::new(&dir);
    let mut running = Separate::provision(&dir);
    for program in [DAAS, GATEWAY, NAUTILUS] {
        running.set_environment(program, &[("DAAS_LOG", "trace".into())]);
    }
    let metrics = [free_address(), free_address()];
    for (program, variable, address) in [
        (GATEWAY, "DAAS_GATEWAY_METRICS_LISTEN", &metrics[0]),
        (NAUTILUS, "DAAS_NAUTILUS_METRICS_LISTEN", &metrics[1]),
    ] {
        running.set_environment(program, &[(variable, address.into())]);
    }
    let mut secrets = Secrets::default();
    let collector = Collector::start("127.0.0.1:0", Manner::Takes);
    let credential = secrets.mark("what the collector is told", &["otlp.headers"]);
    let headers = dir.join("otlp.headers");
    write(
        headers.clone(),
        &format!("authorization: Bearer {credential}\n"),
    );
    for program in [GATEWAY, NAUTILUS] {
        let variables = [
            ("DAAS_OTLP_ENDPOINT", collector.endpoint().into()),
            ("DAAS_OTLP_HEADERS_FILE", headers.clone()),
        ];
        running.set_environment(program, &variables);
    }
    running.start_cluster();
    running.start_nautilus();
    running.start_gateway();

    whole_run(&mut told, &mut secrets, &running.server());
    broken_run(&mut told, &mut secrets, &mut running);
    for address in &metrics {
        let page = http(address, "/metrics");
        assert!(page.contains("daas_"), "{page}");
        told.say("metrics", page.as_bytes());
    }
    secrets.of_directory(&dir);
    let search = Search::new(&secrets.all);

    // While everything runs there are write-ahead logs.
    let processes: Vec<_> = [&running.cluster, &running.nautilus, &running.gateway]
        .map(|process| process.as_ref().unwrap().id())
        .into();
    for id in processes {
        for name in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{id}/{name}")).unwrap();
            assert!(!bytes.is_empty());
            nothing(&search, &format!("/proc/{id}/{name}"), &bytes);
        }
    }
    let mut there = BTreeSet::new();
    files(&search, &secrets, &dir, &mut there);
    assert_eq!(running.gateway.take().unwrap().stop(), 0);
    assert_eq!(running.nautilus.take().unwrap().stop(), 0);
    assert_eq!(running.cluster.take().unwrap().stop(), 0);
    for name in ["cluster", "nautilus", "gateway"] {
        let path = dir.with_extension(format!("{name}.log"));
        let log = fs::read(&path).unwrap();
        println!("{} bytes of {}", log.len(), path.display());
        // What is at no other level is there.
        let is_traced = log.windows(5).any(|word| word == b"TRACE");
        assert!(is_traced || name == "cluster", "{name}");
        nothing(&search, &path.to_string_lossy(), &log);
    }
    files(&search, &secrets, &dir, &mut there);
    modes(&dir);
    let (traced, told_of) = (collector.bodies(), collector.heads());
    assert!(told_of.iter().all(|head| head.contains(&credential)));
    let services = collector.spans().into_iter().map(|span| span.service);
    assert_eq!(
        services.collect::<BTreeSet<_>>().len(),
        2,
        "of both services"
    );
    for batch in traced {
        nothing(&search, "what is traced", &batch);
    }
    for (what, said) in &told.said {
        nothing(&search, what, said);
    }
    let seen = watched.stop();
    assert!(seen.len() > 5, "{}", seen.len());
    for line in seen {
        nothing(&search, "a command line or environment", &line);
    }
    // The search knows them: each is found where it must be.
    for (name, _) in &secrets.all {
        let is_there = there
            .iter()
            .any(|found| found.starts_with(&format!("{name} (")));
        assert_eq!(
            is_there,
            !secrets.nowhere.contains(name),
            "{name}: {there:?}"
        );
    }
}

/// Everything that users do, and much that they should not.
fn whole_run(told: &mut Told, secrets: &mut Secrets, server: &str) {
    let dir = told.dir.clone();
    let scratch = dir.parent().unwrap().to_owned();
    let audience = server.strip_prefix("https://").unwrap();

    let login = told.daas(&["login"]);
    assert_eq!(login.code, 0, "{login:?}");
    told.say_all("daas login", &login);

    // Secrets of Kubernetes, by kubectl and by us.
    let (_, kubectl) = kubectls().pop().unwrap();
    let home = scratch.join("home");
    fs::create_dir(&home).unwrap();
    let kubectl = |arguments: &[&str]| {
        let mut command = command(&kubectl);
        command
            .env("KUBECONFIG", dir.join("kubeconfig"))
            .env("HOME", &home)
            .env("DAAS_LOG", "trace")
            .args(arguments);
        Run::of(&mut command)
    };
    let by_kubectl = secrets.mark("a Secret that kubectl made", &["cluster"]);
    let file = scratch.join("of-kubectl");
    fs::write(&file, &by_kubectl).unwrap();
    let from_file = format!("--from-file=key={}", file.display());
    let made = kubectl(&["create", "secret", "generic", "one", &from_file]);
    told.say("kubectl create", made.err.as_bytes());
    assert_eq!(made.code, 0, "{made:?}");
    let read = kubectl(&["get", "secret", "one", "-o", "jsonpath={.data.key}"]);
    assert_eq!(read.out, STANDARD.encode(&by_kubectl), "{read:?}");
    told.say("kubectl get", read.err.as_bytes());

    let by_us = secrets.mark("a Secret that daas made", &["cluster"]);
    let manifest = scratch.join("secret.yaml");
    let text = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: two}}\nstringData: {{key: {by_us}}}\n"
    );
    fs::write(&manifest, text).unwrap();
    let manifest = manifest.to_string_lossy();
    let path = "/api/v1/namespaces/default/secrets";
    let made = told.daas(&["request", "POST", path, "-f", &manifest]);
    assert_eq!(made.code, 0, "{made:?}");
    told.say("daas request", made.err.as_bytes());
    let read = told.daas(&["request", "GET", &format!("{path}/two")]);
    assert!(read.out.contains(&STANDARD.encode(&by_us)), "{read:?}");
    told.say("daas request", read.err.as_bytes());

    // What is refused: by a rule, by the cluster, for its form.
    let refused = secrets.mark("a Secret that was refused", &[]);
    let body = format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"a"}},"stringData":{{"a":"{refused}"}}}}"#
    );
    let https = Https::of_kubeconfig(&dir.join("kubeconfig"));
    let bearer = told.daas(&["credential", "--bearer"]);
    let bearer = bearer.out.trim().to_owned();
    told.say_answer(https.send_as(
        &bearer,
        "POST",
        "/api/v1/namespaces/nowhere/secrets",
        &[],
        &body,
    ));
    told.say_answer(https.send_as(
        &bearer,
        "POST",
        "/api/v1/namespaces/default/nothing",
        &[],
        &body,
    ));
    let broken = secrets.mark("a Secret that is no JSON", &[]);
    told.say_answer(https.send_as(&bearer, "OPTIONS", path, &[], &broken));
    let argument = secrets.mark("an argument of exec", &[]);
    for target in ["exec", "attach"] {
        let target = format!("/api/v1/namespaces/default/pods/a/{target}?command={argument}");
        told.say_answer(https.send_as(&bearer, "GET", &target, &[], ""));
    }

    // Credentials that are good for nothing.
    for (name, scheme) in [
        ("a bearer that is none", "Bearer seal_"),
        ("another bearer that is none", "Bearer "),
        ("a password", "Basic "),
    ] {
        let mark = secrets.mark(name, &[]);
        let value = format!("{scheme}{mark}");
        told.say_answer(https.send("GET", path, &[("authorization", &value)], ""));
    }
    let cookie = secrets.mark("a cookie", &[]);
    told.say_answer(
        https
            .send_as(&bearer, "GET", path, &[("cookie", &cookie)], "")
            .without_body(),
    );
    let impersonated = secrets.mark("a header that is refused", &[]);
    told.say_answer(https.send_as(
        &bearer,
        "GET",
        path,
        &[("impersonate-extra-a", &impersonated)],
        "",
    ));
    secrets.replaced("a bearer", end_of(&bearer), &dir.join("sessions"));
    let other = told.daas(&["credential", "--bearer", "--audience", "elsewhere:1"]);
    let other = other.out.trim().to_owned();
    told.say_answer(https.send_as(&other, "GET", path, &[], ""));
    let mut bent = bearer.clone();
    bent.truncate(bent.len() - 3);
    told.say_answer(https.send_as(&bent, "GET", path, &[], ""));
    secrets.replaced(
        "a bearer for elsewhere",
        end_of(&other),
        &dir.join("sessions"),
    );
    assert_ne!(end_of(&bearer), end_of(&other));

    // Passphrases, right and wrong.
    let right = secrets.mark("a passphrase", &[]);
    let wrong = secrets.mark("a wrong passphrase", &[]);
    let passphrase = |name: &str, text: &str| {
        let file = scratch.join(name);
        fs::write(&file, format!("{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file.to_string_lossy().into_owned()
    };
    let (right, wrong) = (passphrase("right", &right), passphrase("wrong", &wrong));
    let key = dir.join("keys/under-passphrase.key");
    let key = key.to_string_lossy();
    let made = told.daas(&["key", "new", &key, "--passphrase-file", &right]);
    assert_eq!(made.code, 0, "{made:?}");
    told.say_all("daas key new", &made);
    let shown = told.daas(&["key", "show", &key]);
    told.say_all("daas key show", &shown);
    let refused = Run::of(
        told.command(&["login", "--passphrase-file", &wrong])
            .env("DAAS_OWNER_KEY", &*key),
    );
    assert_ne!(refused.code, 0);
    told.say_all("daas login", &refused);

    // The last login makes another session.
    secrets.of_session("the key of an earlier session", &dir);
    secrets
        .nowhere
        .insert("the key of an earlier session".to_owned());

    // What is to be read of all of it.
    let id = "0192d8f0-1111-7abc-8def-0123456789ab";
    for arguments in [
        &["events", "-o", "json"][..],
        &["events"],
        &["audit", "verify", "-o", "json"],
        &["config", "show"],
        &["token", "list", "-o", "json"],
        &["executor", "list", "-o", "json"],
        &["whoami", "-o", "json"],
        &["kubeconfig"],
        &["request", "show", id],
        &["request", "GET", "/api/v1/namespaces/nowhere/secrets"],
        &["login"],
        &["whoami"],
    ] {
        let run = told.daas(arguments);
        told.say_all(&arguments.join(" "), &run);
    }
    let events = told.daas(&["events", "-o", "json"]).out;
    assert!(
        events.contains("secrets") && events.contains("K8sRequestRejected"),
        "{events}"
    );
    for path in [
        "/readyz?verbose",
        "/livez",
        "/metrics",
        "/version",
        "/openapi/v2",
    ] {
        told.say_answer(https.send("GET", path, &[], ""));
    }
    assert!(audience.starts_with("127."));
}

/// The same while what it needs is gone, so that all is logged that has to do with that.
fn broken_run(told: &mut Told, secrets: &mut Secrets, running: &mut Separate) {
    let path = "/api/v1/namespaces/default/secrets";
    let dir = told.dir.clone();
    // Who is started again begins a new log.
    for name in ["nautilus", "cluster"] {
        let log = fs::read(dir.with_extension(format!("{name}.log"))).unwrap();
        told.say(name, &log);
    }
    let https = Https::of_kubeconfig(&dir.join("kubeconfig"));
    let bearer = told.daas(&["credential", "--bearer"]).out.trim().to_owned();
    let mut write = |name: &str, allowed: &[&str]| {
        let mark = secrets.mark(name, allowed);
        let body = format!(
            r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"generateName":"a"}},"stringData":{{"a":"{mark}"}}}}"#
        );
        let target = format!("{path}?timeout=1s");
        let answer = https.send_as(&bearer, "POST", &target, &[], &body);
        let status = answer.status;
        // Whoever made it is told of it.
        told.say_answer(match status {
            201 => answer.without_body(),
            _ => answer,
        });
        status
    };
    // Nobody executes it, and then somebody may not any more.
    running.nautilus.take().unwrap().kill();
    assert_eq!(write("a Secret that nobody executed", &[]), 504);
    running.start_nautilus();
    // Nautilus may be asked before it is known to be back.
    assert_eq!(
        write("a Secret that was executed after that", &["cluster"]),
        201
    );
    running.cluster.take().unwrap().kill();
    assert_eq!(write("a Secret without a cluster", &[]), 503);
    running.start_cluster();
    // A store that is gone.
    let (blobs, away) = (dir.join("blobs"), dir.join("away"));
    fs::rename(&blobs, &away).unwrap();
    assert_eq!(write("a Secret without a blob store", &[]), 503);
    fs::rename(&away, &blobs).unwrap();
}

/// What was printed, logged by commands, or answered.
struct Told {
    dir: PathBuf,
    said: Vec<(String, Vec<u8>)>,
}

impl Told {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            said: Vec::new(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(DAAS);
        command
            .env("DAAS_DIR", &self.dir)
            .env("HOME", &self.dir)
            .env("DAAS_LOG", "trace")
            .args(arguments);
        command
    }

    fn daas(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    fn say(&mut self, what: &str, said: &[u8]) {
        self.said.push((what.to_owned(), said.to_vec()));
    }

    fn say_all(&mut self, what: &str, run: &Run) {
        self.say(what, run.out.as_bytes());
        self.say(what, run.err.as_bytes());
    }

    fn say_answer(&mut self, answer: crate::support::https::Answer) {
        self.say("an answer", format!("{:?}", answer.headers).as_bytes());
        self.say("an answer", &answer.body);
    }
}

impl crate::support::https::Answer {
    /// What was rightly asked for is no leak.
    fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }
}

/// All secrets, and below which paths of the directory each may be.
#[derive(Default)]
struct Secrets {
    all: Vec<(String, Vec<u8>)>,
    allowed: Vec<(String, String)>,
    /// Those that nothing of ours has in the end.
    nowhere: BTreeSet<String>,
}

impl Secrets {
    fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>, allowed: &[&str]) {
        self.all.push((name.to_owned(), bytes.into()));
        let places = allowed
            .iter()
            .map(|place| (name.to_owned(), (*place).to_owned()));
        self.allowed.extend(places);
        if allowed.is_empty() {
            self.nowhere.insert(name.to_owned());
        }
    }

    /// A text that nobody else has.
    fn mark(&mut self, name: &str, allowed: &[&str]) -> String {
        let mark =
            hex::encode(&Ed25519Signer::generate().seed()[..12]).replace(['0', '1', '2', '3'], "x");
        let mark = format!("marked{mark}");
        self.add(name, mark.clone(), allowed);
        mark
    }

    /// The keys that lie in the directory, each allowed in its own file.
    fn of_directory(&mut self, dir: &Path) {
        for role in [
            "admin",
            "owner",
            "gateway",
            "operator",
            "executor",
            "encryption",
        ] {
            let place = format!("keys/{role}.key");
            let file: serde_json::Value =
                serde_json::from_slice(&fs::read(dir.join(&place)).unwrap()).unwrap();
            let seed = hex::decode(file["seed"].as_str().unwrap()).unwrap();
            self.add(&format!("the key of {role}"), seed, &[&place]);
        }
        let text = fs::read_to_string(dir.join("blob.key")).unwrap();
        let key = text
            .split_ascii_whitespace()
            .filter_map(|word| hex::decode(word).ok());
        let key = key.max_by_key(Vec::len).unwrap();
        assert_eq!(key.len(), 32, "{text}");
        self.add("the key of the blobs", key, &["blob.key"]);
        self.of_session("the key of a session", dir);
        let token = fs::read_to_string(dir.join("cluster/admin.token")).unwrap();
        self.add("the cluster's administrator", token.trim(), &["cluster"]);
        for place in ["gateway", "cluster"] {
            for entry in fs::read_dir(dir.join(place)).unwrap() {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap_or_default();
                if let Some((_, rest)) = text.split_once("PRIVATE KEY-----") {
                    let (pem, _) = rest.split_once("-----END").unwrap();
                    let pem: String = pem.split_ascii_whitespace().collect();
                    let der = STANDARD.decode(pem).unwrap();
                    // The number itself, without what is around it in every key.
                    let at = der.windows(2).position(|bytes| bytes == [4, 32]).unwrap();
                    let name = format!("{place}/{}", path.file_name().unwrap().display());
                    self.add(&name, &der[at + 2..at + 34], &[&name]);
                }
            }
        }
        for kind in ["the key of a session", "gateway/ca.key", "cluster/ca.key"] {
            assert!(self.all.iter().any(|(name, _)| name == kind), "{kind}");
        }
    }

    /// The key of the session that there is.
    fn of_session(&mut self, name: &str, dir: &Path) {
        let mut found = 0;
        for entry in fs::read_dir(dir.join("sessions")).unwrap() {
            let text = fs::read(entry.unwrap().path()).unwrap();
            let session = serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default();
            if let Some(seed) = session["seed"].as_str() {
                self.add(name, hex::decode(seed).unwrap(), &["sessions"]);
                found += 1;
            }
        }
        assert_eq!(found, 1);
    }

    /// One that lies in this directory now, and will not when all is over.
    fn replaced(&mut self, name: &str, secret: &str, dir: &Path) {
        self.add(name, secret, &["sessions"]);
        self.nowhere.insert(name.to_owned());
        let search = Search::new(&[(name.to_owned(), secret.into())]);
        let mut files = below(dir).map(|file| fs::read(file).unwrap());
        assert!(files.any(|bytes| !search.find(&bytes).is_empty()), "{name}");
    }

    fn may_be(&self, name: &str, place: &str) -> bool {
        let mut allowed = self.allowed.iter();
        allowed.any(|(known, below)| {
            name.starts_with(&format!("{known} (")) && Path::new(place).starts_with(below)
        })
    }
}

/// Looks into every file below `dir`; what was found where it may be goes to `there`.
#[track_caller]
fn files(search: &Search, secrets: &Secrets, dir: &Path, there: &mut BTreeSet<String>) {
    let mut bytes_of_ledger = 0;
    for path in below(dir) {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if !kind.is_file() {
            continue;
        }
        let place = path
            .strip_prefix(dir)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let bytes = fs::read(&path).unwrap();
        if place.starts_with("ledger/ledger.db") {
            bytes_of_ledger += bytes.len();
        }
        for found in search.find(&bytes) {
            assert!(secrets.may_be(found, &place), "{found} is in {place}");
            there.insert(found.to_owned());
        }
    }
    assert!(bytes_of_ledger > 20_000);
    let sealed = fs::read_dir(dir.join("blobs/sealed")).unwrap().count();
    assert!(sealed > 0, "bodies to look into");
}

/// Nobody but the owner can do anything with anything.
#[track_caller]
fn modes(dir: &Path) {
    let mut looked = 0;
    for path in below(dir).chain([dir.to_owned()]) {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let kind = metadata.file_type();
        let is_right = match () {
            () if kind.is_dir() => mode == 0o700,
            () if kind.is_socket() => mode & 0o077 == 0,
            () => mode == 0o600,
        };
        assert!(is_right, "{} has mode {mode:04o}", path.display());
        looked += 1;
    }
    assert!(looked > 30, "{looked}");
}

fn below(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                open.push(path.clone());
            }
            all.push(path);
        }
    }
    all.into_iter()
}

#[track_caller]
fn nothing(search: &Search, what: &str, bytes: &[u8]) {
    let found = search.find(bytes);
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]);
    assert!(found.is_empty(), "{found:?} in {what}: {text}");
}

/// The last characters, in which there is the end of the signature: what is before it only says whose it is.
fn end_of(bearer: &str) -> &str {
    &bearer[bearer.len() - 40..]
}

/// Collects command line and environment of every process that has something to do with a directory.
struct Watched {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    thread: JoinHandle<()>,
}

impl Watched {
    fn start(scratch: &Path) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mark = scratch.to_string_lossy().into_owned().into_bytes();
        let thread = std::thread::spawn({
            let (stop, seen) = (stop.clone(), Arc::clone(&seen));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    look(&mark, &seen);
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self { stop, seen, thread }
    }

    fn stop(self) -> BTreeSet<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let mut seen = self.seen.lock().unwrap();
        std::mem::take(&mut seen)
    }
}

fn look(mark: &[u8], seen: &Mutex<BTreeSet<Vec<u8>>>) {
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy() == own
            || !name
                .to_string_lossy()
                .starts_with(|c: char| c.is_ascii_digit())
        {
            continue;
        }
        for part in ["cmdline", "environ"] {
            // It may have ended meanwhile, or be somebody else's.
            let bytes = fs::read(entry.path().join(part)).unwrap_or_default();
            if bytes.windows(mark.len()).any(|window| window == mark) {
                seen.lock().unwrap().insert(bytes);
            }
        }
    }
}
