//! The local ledger: submits by many writers beside plain SQLite inserts of the same bytes, and how long an
//! answer takes to be seen, in durable commits of the same run.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use k3s_daas::contract::Call;
use k3s_daas::crypto::{Ed25519Signer, sha256};
use k3s_daas::ledger::local::{Genesis, LocalLedger, SignedCall};
use k3s_daas::ledger::{Cursor, Ledger as _, LedgerExt as _};
use k3s_daas::types::{
    ByteString, ClusterId, ClusterPolicy, ExecutorId, HexBytes, MIST_PER_SUI, Role, Scope, TokenId,
};
use k3s_daas::wire::{AnswerMessage, Event, IntentKind, to_bcs};
use k3s_daas_benches::{durable_commit, machine, median, millis, plain_database, request, save};
use serde_json::json;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let stage = Arc::new(Stage::new(&scratch.path().join("ledger")).await?);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let submitted = submits(&stage).await?;
        let path = scratch.path().join(format!("plain-{round}.db"));
        let plain = plain_inserts(&path, &submitted.rows)?;
        let ratio = submitted.rate / plain;
        println!(
            "{WRITERS} writers: {:.0} submits/s; plain SQLite, {PLAIN_BATCH} a commit: {plain:.0} rows/s; ratio {ratio:.2}",
            submitted.rate
        );
        rounds.push(json!({"submits": submitted.rate, "plain": plain, "ratio": ratio}));
    }
    let commit = durable_commit(&scratch.path().join("commit.db"))?;
    let seen = until_seen(&stage).await?;
    let (commit_ms, seen_ms) = (millis(commit), millis(seen));
    let bound = 4.0 * commit_ms + 0.5;
    println!(
        "submit to answer seen: p50 {seen_ms:.2} ms; a durable commit: {commit_ms:.2} ms; 4 commits + 0.5 ms: {bound:.2} ms"
    );
    let report = json!({
        "machine": machine(),
        "writers": WRITERS,
        "plain_batch": PLAIN_BATCH,
        "rounds": rounds,
        "until_seen_ms": seen_ms,
        "durable_commit_ms": commit_ms,
    });
    println!("raw results: {}", save("ledger-bench.json", &report)?);
    Ok(())
}

/// A ledger with an executor and tokens enough for all writers.
struct Stage {
    ledger: LocalLedger,
    executor_key: Ed25519Signer,
    cluster: ClusterId,
    executor: ExecutorId,
    tokens: Vec<TokenId>,
}

impl Stage {
    async fn new(dir: &Path) -> Result<Self> {
        let key = Ed25519Signer::generate();
        let executor_key = Ed25519Signer::generate();
        let funds = vec![(key.address(), 10_000 * MIST_PER_SUI)];
        let ledger = LocalLedger::create(dir, Genesis::new(funds), Arc::new(key)).await?;
        let create = Call::CreateCluster {
            name: "bench".into(),
            chain: ledger.deployment().chain,
            policy: ClusterPolicy::default(),
        };
        let created = ledger.call(create).await?;
        let Event::ClusterCreated(created) = &created.events[0].event else {
            anyhow::bail!("no cluster")
        };
        let (cluster, cap) = (created.cluster, created.admin_cap);
        let register = Call::RegisterExecutor {
            cap,
            cluster,
            operator: ledger.account(),
            signing_key: HexBytes(executor_key.public_key().as_bytes().to_vec()),
            encryption_key: HexBytes(vec![3; 32]),
            attestation: HexBytes::default(),
        };
        let registered = ledger.call(register).await?;
        let Event::ExecutorRegistered(registered) = &registered.events[0].event else {
            anyhow::bail!("no executor")
        };
        let mut tokens = Vec::new();
        for _ in 0..TOKENS {
            let issue = Call::IssueToken {
                cap,
                cluster,
                owner: ledger.account(),
                rules: Role::Edit.rules(&Scope::Cluster),
                groups: Vec::new(),
                not_before_ms: 0,
                expires_at_ms: u64::MAX,
                delegates: Vec::new(),
            };
            let issued = ledger.call(issue).await?;
            let Event::SealTokenIssued(issued) = &issued.events[0].event else {
                anyhow::bail!("no token")
            };
            let token = issued.token;
            let amount = MIST_PER_SUI;
            ledger.call(Call::DepositStake { token, amount }).await?;
            tokens.push(token);
        }
        Ok(Self {
            executor: registered.executor,
            ledger,
            executor_key,
            cluster,
            tokens,
        })
    }

    /// A typical `kubectl apply` by one of the tokens.
    fn request(&self, index: usize) -> Call {
        Call::ExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.tokens[index % TOKENS],
            request: request(self.ledger.now_ms() + 60_000),
        }
    }
}

struct Submitted {
    /// A second.
    rate: f64,
    /// What the ledger keeps of each: the signed call, and its event.
    rows: Vec<Vec<u8>>,
}

/// Calls that are signed already, each writer one after the other, and all writers' in about the order in which
/// they were signed, as calls come.
async fn submits(stage: &Arc<Stage>) -> Result<Submitted> {
    let mut signed: Vec<Vec<_>> = Vec::new();
    signed.resize_with(WRITERS, Vec::new);
    for index in 0..WRITERS * EACH {
        let call = stage.ledger.sign(stage.request(index)).await?;
        signed[index % WRITERS].push(call);
    }
    let begin = Instant::now();
    let writers = signed.into_iter().map(|calls| {
        let stage = stage.clone();
        tokio::spawn(async move { write(&stage, calls).await })
    });
    let mut rows = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        rows.extend(writer.await??);
    }
    let rate = rows.len() as f64 / begin.elapsed().as_secs_f64();
    // The tokens have room for the next round again.
    for event in &rows {
        ensure!(!event.is_empty());
    }
    answer_all(stage).await?;
    Ok(Submitted { rate, rows })
}

async fn write(stage: &Stage, calls: Vec<SignedCall>) -> Result<Vec<Vec<u8>>> {
    let mut rows = Vec::with_capacity(calls.len());
    for call in calls {
        let kept = to_bcs(&call);
        let receipt = stage.ledger.submit(call).await?;
        let event = to_bcs(&receipt.events[0].event);
        rows.push([kept, event].concat());
    }
    Ok(rows)
}

/// Answers whatever is not answered yet, many at a time.
async fn answer_all(stage: &Stage) -> Result<()> {
    let end = stage.ledger.sync().await?;
    let mut answered = std::collections::HashSet::new();
    let mut requests = Vec::new();
    let mut events = stage.ledger.events(Cursor::START);
    while let Some(event) = events.next().await {
        let event = event?;
        match &event.event {
            Event::K8sApiRequest(request) => {
                requests.push((
                    request.seal_token_id,
                    request.request_id.clone(),
                    request.digest,
                ));
            }
            Event::K8sRequestProcessed(processed) => {
                answered.insert((processed.token, processed.request_id.clone()));
            }
            _ => {}
        }
        if event.cursor >= end {
            break;
        }
    }
    requests.retain(|(token, id, _)| !answered.contains(&(*token, id.clone())));
    for part in requests.chunks(WRITERS) {
        let calls = part
            .iter()
            .map(|(token, id, digest)| stage.ledger.call(answer(stage, *token, id, *digest)));
        for stored in futures_util::future::join_all(calls).await {
            stored?;
        }
    }
    Ok(())
}

fn answer(stage: &Stage, token: TokenId, id: &ByteString, digest: k3s_daas::types::Digest) -> Call {
    let message = AnswerMessage {
        request_id: id.clone(),
        digest,
        epoch: 0,
        status: 200,
        envelope_hash: HexBytes(sha256(&[id]).to_vec()),
        envelope_len: 1_000,
        sealed_hash: AnswerMessage::hash_of_sealed(&[]),
        time_ms: stage.ledger.now_ms(),
    };
    let deployment = stage.ledger.deployment();
    let intent = deployment.intent(IntentKind::Answer, stage.cluster, token);
    let signature = stage.executor_key.sign_now(&intent.signed_bytes(&message));
    Call::StoreK8sResponse {
        cluster: stage.cluster,
        token,
        request_id: message.request_id,
        executor: stage.executor,
        epoch: message.epoch,
        status: message.status,
        envelope_hash: message.envelope_hash,
        envelope_len: message.envelope_len,
        sealed: ByteString::default(),
        time_ms: message.time_ms,
        signature: HexBytes(signature.as_bytes().to_vec()),
    }
}

/// Rows a second of the same bytes, in a database with the same settings.
fn plain_inserts(path: &Path, rows: &[Vec<u8>]) -> Result<f64> {
    let mut database = plain_database(path)?;
    let begin = Instant::now();
    for batch in rows.chunks(PLAIN_BATCH) {
        let transaction = database.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO rows (bytes) VALUES (?1)")?;
            for row in batch {
                insert.execute([row])?;
            }
        }
        transaction.commit()?;
    }
    Ok(rows.len() as f64 / begin.elapsed().as_secs_f64())
}

/// From a submit to when another handle of the ledger, as the gateway's, sees the answer of an executor that
/// needs no time.
async fn until_seen(stage: &Arc<Stage>) -> Result<Duration> {
    let executor = stage.clone();
    let mut events = stage.ledger.events(stage.ledger.sync().await?);
    let answering = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Event::K8sApiRequest(request) = event?.event {
                let (token, id) = (request.seal_token_id, request.request_id);
                let call = answer(&executor, token, &id, request.digest);
                executor.ledger.call(call).await?;
            }
        }
        anyhow::Ok(())
    });
    let mut seen = stage.ledger.events(stage.ledger.sync().await?);
    let mut times = Vec::new();
    for index in 0..300 {
        let call = stage.request(index);
        let begin = Instant::now();
        stage.ledger.call(call).await?;
        loop {
            let event = seen.next().await.context("the events ended")??;
            if matches!(event.event, Event::K8sRequestProcessed(_)) {
                break;
            }
        }
        times.push(begin.elapsed());
    }
    answering.abort();
    median(times)
}

const WRITERS: usize = 256;
/// Calls of one writer in a round.
const EACH: usize = 100;
const ROUNDS: usize = 3;
/// A token may have about a thousand that are not answered.
const TOKENS: usize = 64;
/// As many as the ledger writes at a time when so many write.
const PLAIN_BATCH: usize = 128;
