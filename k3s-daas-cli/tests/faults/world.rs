//! A gateway and a Nautilus, each a process of its own, over a cluster that can misbehave.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use k3s_daas::types::RequestId;
use k3s_daas_cli::client::Client;
use serde_json::Value;

use crate::machine::{Machine, Order};
use crate::support::{DAAS, GATEWAY, NAUTILUS, Process, Run, Separate, certificate, command, daas};
use crate::support::{free_address, http};
use crate::table::{Fault, Seen};
use crate::upstream::{Mode, Upstream};

pub struct World {
    scratch: tempfile::TempDir,
    pub upstream: Upstream,
    pub running: Separate,
    pub gateway_machine: Machine,
    pub nautilus_machine: Machine,
    asker: Asker,
    /// How long the logs of gateway and Nautilus were when the present fault began.
    logged: [usize; 2],
    /// What they measured then.
    measured: [String; 2],
    metrics_at: [String; 2],
}

/// Who asks the gateway.
#[derive(Clone)]
pub struct Asker {
    server: String,
    authority: Vec<u8>,
    bearer: String,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// What a `Status` says, or the beginning of another body.
    pub message: String,
    pub body: Bytes,
    pub took: Duration,
}

impl World {
    /// Everything runs, and these lines are in the settings.
    #[track_caller]
    pub fn start(settings: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("daas");
        let mut running = Separate::provision(&dir);
        let file = dir.join("daas.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{text}\n{settings}\n")).unwrap();
        let upstream = Upstream::start();
        let kubeconfig = kubeconfig(
            &scratch.path().join("cluster.kubeconfig"),
            &upstream.address,
        );
        running.use_cluster(&kubeconfig);
        let machine = |name| Machine::new(scratch.path().join(name), &dir.join(""));
        let (gateway_machine, nautilus_machine) =
            (machine("gateway.orders"), machine("nautilus.orders"));
        running.set_environment(GATEWAY, &gateway_machine.environment());
        running.set_environment(NAUTILUS, &nautilus_machine.environment());
        let metrics_at = [free_address(), free_address()];
        for (program, variable, address) in [
            (GATEWAY, "DAAS_GATEWAY_METRICS_LISTEN", &metrics_at[0]),
            (NAUTILUS, "DAAS_NAUTILUS_METRICS_LISTEN", &metrics_at[1]),
        ] {
            running.set_environment(program, &[(variable, address.into())]);
        }
        running.start_nautilus();
        running.start_gateway();
        let server = running.server();
        let asker = Asker {
            authority: std::fs::read(dir.join("gateway/ca.crt")).unwrap(),
            bearer: String::new(),
            server,
        };
        let mut world = Self {
            scratch,
            upstream,
            running,
            gateway_machine,
            nautilus_machine,
            asker,
            logged: [0; 2],
            measured: Default::default(),
            metrics_at,
        };
        world.renew_credential();
        world.is_whole("the beginning");
        world
    }

    /// A credential of this moment, by the clock of the machine that the gateway is on.
    #[track_caller]
    pub fn renew_credential(&mut self) {
        let audience = self.asker.server.strip_prefix("https://").unwrap();
        let mut credential = command(DAAS);
        credential
            .args(["credential", "--bearer", "--audience", audience, "--dir"])
            .arg(self.dir())
            .env("HOME", self.dir())
            .envs(self.gateway_machine.environment());
        self.asker.bearer = Run::of(&mut credential).ok().trim().to_owned();
    }

    /// Adds lines to the settings, and starts Nautilus again with them, or the gateway.
    #[track_caller]
    pub fn set_and_restart(&mut self, lines: &str, is_gateway: bool) {
        let file = self.dir().join("daas.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{text}\n{lines}")).unwrap();
        match is_gateway {
            true => {
                self.running.gateway.take().unwrap().kill();
                self.running.start_gateway();
            }
            false => {
                self.running.nautilus.take().unwrap().kill();
                self.running.start_nautilus();
            }
        }
    }

    /// Takes the table of the ledger out of the settings, and starts both again.
    #[track_caller]
    pub fn unset_and_restart(&mut self) {
        let file = self.dir().join("daas.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, _) = text.split_once("[ledger]").unwrap();
        std::fs::write(file, before).unwrap();
        self.set_and_restart("", false);
        self.set_and_restart("", true);
    }

    /// Starts both again, on machines that have the disk of their logs and no other.
    #[track_caller]
    pub fn restart_on_disk_of_the_log(&mut self) {
        self.restart_on(self.scratch.path().join("daas."));
    }

    /// And back.
    #[track_caller]
    pub fn restart_on_disk_of_the_directory(&mut self) {
        self.restart_on(self.dir().join(""));
    }

    #[track_caller]
    fn restart_on(&mut self, disk: PathBuf) {
        for program in [GATEWAY, NAUTILUS] {
            let variable = (Machine::DISK, disk.clone());
            self.running.set_environment(program, &[variable]);
        }
        self.running.gateway.take().unwrap().kill();
        self.running.nautilus.take().unwrap().kill();
        self.running.start_nautilus();
        self.running.start_gateway();
    }

    /// Something goes wrong on the machines of both.
    pub fn on_machines(&self, order: Order, value: i64) {
        self.gateway_machine.set(order, value);
        self.nautilus_machine.set(order, value);
    }

    /// Waits until Nautilus has ended as the fault says.
    #[track_caller]
    pub fn nautilus_ends(&mut self, fault: &Fault) {
        let mut nautilus = self.running.nautilus.take().unwrap();
        let ended = nautilus.ends_within(PATIENCE).expect("an end");
        fault.ends("daas-nautilus", ended.code(), &nautilus.said());
    }

    /// What a supervisor does about Nautilus, which may have ended, and only as the fault says.
    #[track_caller]
    pub fn start_again_if_ended(&mut self, fault: &Fault) {
        let nautilus = self.running.nautilus.as_mut().unwrap();
        // What happened before may just be on its way there.
        if nautilus.ends_within(Duration::from_millis(300)).is_some() {
            self.nautilus_ends(fault);
            self.running.start_nautilus();
        }
    }

    /// Asks again until these words are in the answer.
    #[track_caller]
    pub fn asks_until(&self, ask: impl Fn(&Self) -> Answer, words: &str) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = ask(self);
            if answer.message.contains(words) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer:?}");
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.scratch.path().join("daas")
    }

    /// Puts another cluster under Nautilus, which is started again.
    #[track_caller]
    pub fn move_to(&mut self, address: &str) {
        kubeconfig(&self.scratch.path().join("cluster.kubeconfig"), address);
        self.running.nautilus.take().unwrap().kill();
        self.running.start_nautilus();
    }

    /// Reads ConfigMaps.
    #[track_caller]
    pub fn read(&self) -> Answer {
        self.asker.read()
    }

    /// Creates a ConfigMap.
    #[track_caller]
    pub fn write(&self) -> Answer {
        self.asker.write(None, "")
    }

    /// The same under an ID, with a query that begins with `?`.
    #[track_caller]
    pub fn write_as(&self, id: RequestId, query: &str) -> Answer {
        self.asker.write(Some(id), query)
    }

    /// The same meanwhile.
    pub fn write_beside(
        &self,
        id: impl Into<Option<RequestId>>,
        query: &'static str,
    ) -> JoinHandle<Answer> {
        let (asker, id) = (self.asker.clone(), id.into());
        std::thread::spawn(move || asker.write(id, query))
    }

    /// Any request without a body.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.asker.ask(Method::GET, path, None, "")
    }

    /// Nothing is broken any more: a write is done once, and the ledger is as it should be.
    #[track_caller]
    pub fn is_whole(&self, after: &str) {
        self.upstream.set(Mode::Answers);
        let begun = Instant::now();
        loop {
            let arrived = self.upstream.arrived();
            let answer = self.write();
            if answer.status == 201 {
                assert_eq!(self.upstream.arrived(), arrived + 1, "after {after}");
                break;
            }
            let is_patient = begun.elapsed() < PATIENCE;
            assert!(is_patient, "after {after}: {answer:?}\n{:#?}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
        let verified = daas(&self.dir(), &["audit", "verify", "-o", "json"]).ok();
        assert!(verified.contains("\"verified\": true"), "{verified}");
    }

    /// What is logged from here on belongs to the next fault.
    pub fn begin_fault(&mut self) {
        self.logged = [0; 2];
        self.logged = self.logs().map(|log| log.len());
        self.measured = self.metrics();
    }

    /// What gateway and Nautilus measure; nothing of one that does not run.
    fn metrics(&self) -> [String; 2] {
        self.metrics_at
            .each_ref()
            .map(|address| http(address, "/metrics"))
    }

    /// What gateway and Nautilus have logged since the fault began.
    fn logs(&self) -> [String; 2] {
        let processes = [&self.running.gateway, &self.running.nautilus];
        let logs = processes.map(|process| process.as_ref().map(Process::said).unwrap_or_default());
        let mut logged = self.logged.iter();
        logs.map(|log| {
            let before = *logged.next().unwrap();
            // One that was started again has a log of its own.
            log.get(before..).map(str::to_owned).unwrap_or(log)
        })
    }

    /// Waits until a trace of a fault is there.
    #[track_caller]
    pub fn sees(&self, fault: &str, seen: Seen) {
        let begun = Instant::now();
        loop {
            let said = match seen {
                Seen::Gateway(words) => contains(self.logs()[0].clone(), words),
                Seen::Nautilus(words) => contains(self.logs()[1].clone(), words),
                Seen::Ready(check) => {
                    let answer = self.get("/readyz");
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    contains(text, &format!("[-]{check} failed"))
                }
                Seen::Metric(series) => {
                    let before = self.measured.iter().find_map(|page| value(page, series));
                    let now = self.metrics();
                    let now_value = now.iter().find_map(|page| value(page, series));
                    // One that was started again counts from nothing.
                    match (before.unwrap_or(0.0), now_value.unwrap_or(0.0)) {
                        (before, now) if now > before || (now > 0.0 && now < before) => Ok(()),
                        _ => Err(now.concat()),
                    }
                }
                // Whoever saw it end looked at it.
                Seen::Exit(..) => Ok(()),
            };
            let Err(said) = said else { return };
            assert!(
                begun.elapsed() < PATIENCE,
                "{fault}: no {seen:?} in\n{said}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Asker {
    #[track_caller]
    fn read(&self) -> Answer {
        let path = format!("{CONFIGMAPS}?timeout=4s");
        self.ask(Method::GET, &path, None, "")
    }

    #[track_caller]
    fn write(&self, id: Option<RequestId>, query: &str) -> Answer {
        let path = match query {
            "" => format!("{CONFIGMAPS}?timeout=4s"),
            query => format!("{CONFIGMAPS}{query}"),
        };
        self.ask(Method::POST, &path, id, OBJECT)
    }

    #[track_caller]
    fn ask(&self, method: Method, path: &str, id: Option<RequestId>, body: &str) -> Answer {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let id = id.map(|id| id.to_string());
        let mut headers = vec![("accept", "application/json")];
        headers.extend(id.as_deref().map(|id| ("daas-request-id", id)));
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let body = Bytes::from(body.to_owned());
        let begun = Instant::now();
        let reply = runtime.block_on(async {
            let client = Client::new(&self.server, Some(&self.authority)).unwrap();
            let client = client.with_bearer(self.bearer.clone());
            client.send(method, path, &headers, body).await
        });
        let reply = reply.unwrap();
        Answer {
            status: reply.status.as_u16(),
            message: reply.message(),
            body: reply.body,
            took: begun.elapsed(),
        }
    }
}

impl Answer {
    /// The body, which must be JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn is_status(&self) -> bool {
        let body = serde_json::from_slice::<Value>(&self.body);
        body.is_ok_and(|body| body["kind"] == "Status")
    }
}

fn kubeconfig(path: &Path, address: &str) -> PathBuf {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters: [{{name: a, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: a, user: {{}}}}]\n\
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
    );
    let _ = std::fs::remove_file(path);
    certificate::write(path.to_owned(), &text);
    path.to_owned()
}

/// The value of a series on a page of metrics.
fn value(page: &str, series: &str) -> Option<f64> {
    let mut lines = page.lines();
    lines.find_map(|line| {
        line.strip_prefix(series)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

fn contains(text: String, words: &str) -> Result<(), String> {
    match text.contains(words) {
        true => Ok(()),
        false => Err(text),
    }
}

pub const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const OBJECT: &str = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
const PATIENCE: Duration = Duration::from_secs(20);
