//! `daas demo`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Method;
use k3s_daas::audit;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Cursor, Ledger as _};
use k3s_daas::nautilus;
use k3s_daas::types::{MIST_PER_SUI, PolicyRule, RequestId, TokenId};
use k3s_daas::wire::{Event, SignedCredential};
use serde::Serialize;
use serde_json::{Value, json};

use super::dev;
use crate::app::Role;
use crate::args::Global;
use crate::binding;
use crate::client::{Client, Reply};
use crate::exit::{Exit, Failure};
use crate::layout::Layout;
use crate::logging;
use crate::printer::{Format, Printer};
use crate::provision::Ground;
use crate::services::{self, GatewayParts, NautilusParts, Services};
use crate::units::Moment;

/// How to show it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Everything runs in this process and a temporary directory: a small Kubernetes API server, a ledger, \
Nautilus, the gateway. The requests are real HTTPS requests. Exit code 0 only if all is as it should be.

Examples:
  daas demo
  daas demo -o json | jq .verified")]
pub struct Args {
    /// How to print.
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: DemoFormat,
}

/// How the demo is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum DemoFormat {
    /// As a story.
    Table,
    /// One JSON object at the end.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Shows the whole path.
///
/// # Errors
/// If anything is not as it should be.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let format = match args.output {
        DemoFormat::Table => Format::Table,
        DemoFormat::Json => Format::Json,
        DemoFormat::Yaml => Format::Yaml,
    };
    logging::start(global.log.as_deref().unwrap_or("error"), false)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let directory = tempfile::Builder::new().prefix("daas-demo-").tempdir()?;
    let mut story = Story::new(Printer::new(format));
    let told = runtime.block_on(tell(&mut story, directory.path()));
    runtime.shutdown_timeout(Duration::from_secs(2));
    story.finish(told)
}

async fn tell(story: &mut Story, directory: &Path) -> anyhow::Result<()> {
    let layout = Layout::new(directory);
    let mut services = Services::default();
    let stage = begin(story, &layout, &mut services).await;
    let stage = match stage {
        Ok(stage) => stage,
        Err(error) => {
            services.stop().await.ok();
            return Err(error);
        }
    };
    let played = play(story, &stage).await;
    let stopped = services.stop().await;
    let trail = played?;
    stopped?;
    drop(stage);
    verify(story, &layout, &trail)?;
    tamper(story, &layout, directory).await
}

/// What the requests are made with.
struct Stage {
    ground: Ground,
    client: Client,
    audience: String,
    staked: TokenId,
    unstaked: TokenId,
}

/// What the ledger must know in the end.
struct Trail {
    answered: Vec<(RequestId, u16)>,
    refused: Vec<(RequestId, &'static str)>,
}

async fn begin(
    story: &mut Story,
    layout: &Layout,
    services: &mut Services,
) -> anyhow::Result<Stage> {
    story.heading("Everything begins")?;
    let ground = story
        .stage(
            "ledger",
            "a ledger, a cluster on it, an executor",
            Ground::prepare(layout),
        )
        .await?;
    let rules = vec![
        PolicyRule::builder()
            .with_verbs(["*"])
            .with_api_groups([""])
            .with_resources(["pods"])
            .with_namespaces(["default"])
            .build()?,
    ];
    let staked = story
        .stage(
            "token",
            "a seal token: pods: * in namespace default, 1 SUI of stake",
            async { ground.grant(rules.clone(), MIST_PER_SUI).await },
        )
        .await?;
    let unstaked = story
        .stage(
            "token-unstaked",
            "another one with the same rules and no stake",
            async { ground.grant(rules, 0).await },
        )
        .await?;
    let kubeconfig = layout.cluster_kubeconfig();
    story
        .stage(
            "cluster",
            "a Kubernetes API server in memory, and both tokens' users bound in it",
            async {
                dev::begin_memory(services, &layout.cluster(), &kubeconfig).await?;
                for token in [staked, unstaked] {
                    binding::bind(Some(&kubeconfig), None, token, "cluster-admin").await?;
                }
                Ok(())
            },
        )
        .await?;
    let (client, audience) = story
        .stage(
            "services",
            "Nautilus, and the gateway with a CA of its own",
            async {
                let blobs = services::blobs(layout)?;
                let parts = NautilusParts {
                    ledger: ground.ledger_as(Role::Operator),
                    blobs: blobs.clone(),
                    signer: ground.signer(Role::Executor),
                    executor: ground.executor,
                    kube: services::kube(Some(&kubeconfig), None).await?,
                    config: nautilus::Config::new(layout.journal()),
                    measures: None,
                    spans: None,
                };
                parts.begin(services)?;
                let (listener, address) = services::listen(([127, 0, 0, 1], 0).into()).await?;
                let tls = services::own_certificate(layout, address)?;
                let ca = tls
                    .ca_pem()
                    .context("the gateway's own authority has a certificate")?;
                let client = Client::new(&format!("https://{address}"), Some(ca.as_bytes()))?;
                let gateway = GatewayParts {
                    ledger: ground.ledger_as(Role::Gateway),
                    blobs,
                    cluster: ground.cluster,
                    discovery: Some(ground.gateway_token),
                    audience: address.to_string(),
                    config: Default::default(),
                    tls,
                    spans: None,
                };
                let gateway = gateway.build()?;
                services::begin_gateway(services, gateway.clone(), listener);
                services::wait_until_ready(&gateway).await?;
                Ok((client, address.to_string()))
            },
        )
        .await?;
    Ok(Stage {
        ground,
        client,
        audience,
        staked,
        unstaked,
    })
}

async fn play(story: &mut Story, stage: &Stage) -> anyhow::Result<Trail> {
    let mut trail = Trail {
        answered: Vec::new(),
        refused: Vec::new(),
    };
    let good = stage.bearer(stage.staked, Moment::now().0).await?;
    let owner = stage.client.with_bearer(good.clone());

    story.heading("What the token allows is authorised, recorded, executed, answered")?;
    let created = story
        .request("create-pod", "create Pod demo", &owner, Ask::post(POD), 201)
        .await?;
    trail.answered.push((created.id, 201));
    let listed = story
        .request("list-pods", "list the Pods", &owner, Ask::get(PODS), 200)
        .await?;
    trail.answered.push((listed.id, 200));
    let items = listed
        .reply
        .json()
        .and_then(|list| list.get("items")?.as_array().cloned());
    let names: Vec<_> = items
        .unwrap_or_default()
        .iter()
        .map(|pod| pod["metadata"]["name"].clone())
        .collect();
    ensure!(
        names == ["demo"],
        "the list should hold Pod demo alone, and holds {names:?}"
    );
    let deleted = story
        .request(
            "delete-pod",
            "delete Pod demo",
            &owner,
            Ask::delete(&format!("{PODS}/demo")),
            200,
        )
        .await?;
    trail.answered.push((deleted.id, 200));

    story.heading("What it does not allow is refused, and the refusal recorded")?;
    let secret = Ask::get("/api/v1/namespaces/default/secrets/database");
    let secret = story
        .request("secret", "read a Secret", &owner, secret, 403)
        .await?;
    trail.refused.push((secret.id, "ENoPermission"));
    let other = Ask::get("/api/v1/namespaces/kube-system/pods");
    let other = story
        .request(
            "namespace",
            "list the Pods of another namespace",
            &owner,
            other,
            403,
        )
        .await?;
    trail.refused.push((other.id, "ENoPermission"));
    let poor = stage.bearer(stage.unstaked, Moment::now().0).await?;
    let poor = stage.client.with_bearer(poor);
    let write = story
        .request(
            "stake",
            "create a Pod with the token that has no stake",
            &poor,
            Ask::post(POD),
            403,
        )
        .await?;
    trail.refused.push((write.id, "EInsufficientStake"));

    story.heading(
        "Who does not prove who they are gets nothing, and leaves nothing on the ledger",
    )?;
    let hours_ago = Moment::now().0.saturating_sub(2 * 3_600_000);
    let expired = stage.bearer(stage.staked, hours_ago).await?;
    let expired = stage.client.with_bearer(expired);
    story
        .request(
            "expired",
            "list the Pods with an expired credential",
            &expired,
            Ask::get(PODS),
            401,
        )
        .await?;
    let forged = stage.client.with_bearer(stage.forged().await?);
    story
        .request(
            "forged",
            "list the Pods with a forged credential",
            &forged,
            Ask::get(PODS),
            401,
        )
        .await?;

    story
        .stage(
            "recorded",
            "the refusals have arrived on the ledger",
            stage.wait_for(&trail),
        )
        .await?;
    Ok(trail)
}

fn verify(story: &mut Story, layout: &Layout, trail: &Trail) -> anyhow::Result<()> {
    story.heading("All of it is verified from the ledger alone, with no service running")?;
    let begun = Instant::now();
    let mut options = audit::Options::default();
    let report = audit::verify(layout.ledger(), &options)?;
    if let Some(broken) = &report.broken {
        return Err(Failure::new(
            Exit::Unverified,
            format!("the ledger does not verify: {broken}"),
        )
        .into());
    }
    ensure!(report.verified, "the ledger does not verify");
    for (id, status) in &trail.answered {
        options.request = Some(*id);
        let found = audit::verify(layout.ledger(), &options)?.trails;
        let [found] = found.as_slice() else {
            anyhow::bail!("the ledger should hold one trail of request {id}");
        };
        let kinds: Vec<_> = found.steps.iter().map(|step| step.kind).collect();
        ensure!(
            kinds == [audit::StepKind::Admitted, audit::StepKind::Answered],
            "request {id} should be admitted and answered, and is {kinds:?}"
        );
        let answered = found.steps.last().and_then(|step| step.status);
        ensure!(
            answered == Some(*status),
            "request {id} should be answered {status}"
        );
    }
    for (id, code) in &trail.refused {
        options.request = Some(*id);
        let found = audit::verify(layout.ledger(), &options)?.trails;
        let codes: Vec<_> = found
            .iter()
            .flat_map(|trail| &trail.steps)
            .map(|step| step.code.map(|code| code.name()))
            .collect();
        ensure!(
            codes == [Some(*code)],
            "request {id} should be refused with {code}, and is {codes:?}"
        );
    }
    story.verified = true;
    story.passed(
        "verify",
        &format!(
            "{} calls, {} events and {} signed heads hold; {} requests admitted, {} answered, {} refused",
            report.calls, report.events, report.heads, report.admitted, report.answered, report.rejected
        ),
        begun.elapsed(),
    )
}

async fn tamper(story: &mut Story, layout: &Layout, directory: &Path) -> anyhow::Result<()> {
    story.heading("Then one byte of a copy is changed")?;
    let begun = Instant::now();
    let copy = directory.join("copy");
    let reader = std::sync::Arc::new(k3s_daas::crypto::Ed25519Signer::generate());
    let ledger = LocalLedger::open(layout.ledger(), reader)?;
    ledger.copy_to(&copy).await?;
    drop(ledger);
    ensure!(
        audit::verify(&copy, &audit::Options::default())?.verified,
        "the copy should verify before it is changed"
    );
    let changed = change_a_byte(&copy.join("ledger.db"))?;
    let report = audit::verify(&copy, &audit::Options::default())?;
    let Some(broken) = report.broken else {
        story.verified = false;
        return Err(Failure::new(Exit::Unverified, "a changed byte was not found").into());
    };
    ensure!(
        broken.table == "call" && broken.row == changed.to_string(),
        "call {changed} was changed, and {broken} was found"
    );
    story.passed("tampered", &format!("found: {broken}"), begun.elapsed())
}

/// Makes `pods` into `qods` in the first call for them that its sender signed; which call it is.
fn change_a_byte(database: &Path) -> anyhow::Result<i64> {
    let database = rusqlite::Connection::open(database)?;
    let mut calls = database.prepare("SELECT sequence, signed FROM calls ORDER BY sequence")?;
    let mut calls = calls.query([])?;
    while let Some(call) = calls.next()? {
        let (sequence, mut signed): (i64, Vec<u8>) = (call.get(0)?, call.get(1)?);
        let found = signed
            .windows(PODS.len())
            .position(|window| window == PODS.as_bytes());
        let Some(at) = found else {
            continue;
        };
        signed[at + PODS.len() - "pods".len()] ^= 1;
        database.execute(
            "UPDATE calls SET signed = ?1 WHERE sequence = ?2",
            (signed, sequence),
        )?;
        return Ok(sequence);
    }
    anyhow::bail!("the copy holds no request for Pods")
}

impl Stage {
    async fn bearer(&self, token: TokenId, from_ms: u64) -> anyhow::Result<String> {
        let signed = SignedCredential::issue(
            &self.ground.signer(Role::Owner),
            &self.ground.ledger.deployment(),
            token,
            self.ground.cluster,
            &self.audience,
            from_ms,
            Duration::from_secs(600),
        )
        .await?;
        Ok(signed.to_bearer())
    }

    /// What somebody would send who has seen everything but the owner's key.
    async fn forged(&self) -> anyhow::Result<String> {
        let owner = self.ground.signer(Role::Owner);
        let thief = k3s_daas::crypto::Ed25519Signer::generate();
        let mut signed = SignedCredential::issue(
            &thief,
            &self.ground.ledger.deployment(),
            self.staked,
            self.ground.cluster,
            &self.audience,
            Moment::now().0,
            Duration::from_secs(600),
        )
        .await?;
        signed.public_key = owner.public_key();
        Ok(signed.to_bearer())
    }

    async fn wait_for(&self, trail: &Trail) -> anyhow::Result<()> {
        let mut missing: Vec<Vec<u8>> = trail.refused.iter().map(|(id, _)| id.to_wire()).collect();
        let mut events = self.ground.ledger.events(Cursor::START);
        let waiting = async {
            while !missing.is_empty() {
                let event = events.next().await.context("the ledger ended")??;
                if let Event::K8sRequestRejected(event) = &event.event {
                    missing.retain(|id| event.request_id[..] != id[..]);
                }
            }
            Ok(())
        };
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, waiting)
            .await
            .context("not every refusal was recorded")?
    }
}

/// A request.
struct Ask {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Ask {
    fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            body: None,
        }
    }

    fn delete(path: &str) -> Self {
        Self {
            method: Method::DELETE,
            path: path.to_owned(),
            body: None,
        }
    }

    fn post(name: &str) -> Self {
        let body = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        });
        Self {
            method: Method::POST,
            path: PODS.to_owned(),
            body: Some(body),
        }
    }
}

struct Answered {
    id: RequestId,
    reply: Reply,
}

/// What has been told so far.
struct Story {
    printer: Printer,
    begun: Instant,
    verified: bool,
    requests: u32,
    rejected: u32,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    name: String,
    what: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct Told<'a> {
    verified: bool,
    requests: u32,
    rejected: u32,
    elapsed_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    steps: &'a [Step],
}

impl Story {
    fn new(printer: Printer) -> Self {
        Self {
            printer,
            begun: Instant::now(),
            verified: false,
            requests: 0,
            rejected: 0,
            steps: Vec::new(),
        }
    }

    fn heading(&self, text: &str) -> anyhow::Result<()> {
        self.tell(&format!("\n{text}"))
    }

    /// Does something that must succeed, and tells how long it took.
    async fn stage<T>(
        &mut self,
        name: &str,
        what: &str,
        doing: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let value = doing.await.with_context(|| format!("{what}: failed"))?;
        self.passed(name, what, begun.elapsed())?;
        Ok(value)
    }

    fn passed(&mut self, name: &str, what: &str, elapsed: Duration) -> anyhow::Result<()> {
        self.tell(&format!("  ok    {}  {what}", shown(elapsed)))?;
        self.steps.push(Step {
            name: name.to_owned(),
            what: what.to_owned(),
            ok: true,
            expected: None,
            status: None,
            request_id: None,
            message: None,
            elapsed_ms: ms(elapsed),
        });
        Ok(())
    }

    /// Makes a request that must be answered with `expected`.
    async fn request(
        &mut self,
        name: &str,
        what: &str,
        client: &Client,
        ask: Ask,
        expected: u16,
    ) -> anyhow::Result<Answered> {
        let id = RequestId::new();
        let id_text = id.to_string();
        let headers = [
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("daas-request-id", id_text.as_str()),
        ];
        let headers = if ask.body.is_some() {
            &headers[..]
        } else {
            &[headers[0], headers[2]][..]
        };
        let body = ask
            .body
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default();
        let begun = Instant::now();
        let reply = client.send(ask.method, &ask.path, headers, body).await?;
        let elapsed = begun.elapsed();
        let status = reply.status.as_u16();
        let ok = status == expected;
        let message = (status >= 400).then(|| reply.message());
        self.requests += 1;
        if status == 401 || status == 403 {
            self.rejected += 1;
        }
        let verdict = if ok { "ok  " } else { "WRONG" };
        self.tell(&format!(
            "  {verdict}  {}  {what} → {status}",
            shown(elapsed)
        ))?;
        if let Some(message) = &message {
            self.tell(&format!("                  {message}"))?;
        }
        self.steps.push(Step {
            name: name.to_owned(),
            what: what.to_owned(),
            ok,
            expected: Some(expected),
            status: Some(status),
            request_id: Some(id),
            message,
            elapsed_ms: ms(elapsed),
        });
        ensure!(
            ok,
            "{what}: {expected} was to be expected, and {status} came: {}",
            reply.message()
        );
        Ok(Answered { id, reply })
    }

    fn tell(&self, text: &str) -> anyhow::Result<()> {
        if self.printer.format() == Format::Table {
            self.printer.line(text)?;
        }
        Ok(())
    }

    fn finish(self, told: anyhow::Result<()>) -> anyhow::Result<()> {
        let verified = self.verified && told.is_ok();
        let summary = Told {
            verified,
            requests: self.requests,
            rejected: self.rejected,
            elapsed_ms: ms(self.begun.elapsed()),
            error: told.as_ref().err().map(|error| format!("{error:#}")),
            steps: &self.steps,
        };
        match self.printer.format() {
            Format::Json => self.printer.line(&serde_json::to_string_pretty(&summary)?)?,
            Format::Yaml => self.printer.raw(serde_yaml_ng::to_string(&summary)?.as_bytes())?,
            Format::Table | Format::Name if verified => self.printer.line(&format!(
                "\nAll is as it should be: {} requests, {} refused, every one of them accounted for ({}).\n\
                 Now `daas dev` runs the same for your kubectl.",
                self.requests,
                self.rejected,
                shown(self.begun.elapsed()).trim_start()
            ))?,
            Format::Table | Format::Name => {}
        }
        told
    }
}

fn ms(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

fn shown(elapsed: Duration) -> String {
    format!("{:>8.1} ms", elapsed.as_secs_f64() * 1e3)
}

const PODS: &str = "/api/v1/namespaces/default/pods";
const POD: &str = "demo";
