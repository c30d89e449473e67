//! What the benchmarks share.

pub mod path;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k3s_daas::contract::{Call, Context, NoAttestation, OneByOne, State};
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::types::{
    Address, ChainId, ClusterId, ClusterPolicy, HexBytes, K8sApiRequest, MIST_PER_SUI, Method,
    Payload, Role, Scope, TokenId,
};
use k3s_daas::wire::{Event, RequestMessage};
use serde_json::{Value, json};

/// As the programs have it.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A cluster with one executor and one staked token that may do what `edit` may.
#[derive(Debug)]
pub struct World {
    /// The contract's state.
    pub state: State,
    /// The cluster.
    pub cluster: ClusterId,
    /// The token.
    pub token: TokenId,
    /// Owner of the token and admin of the cluster.
    pub owner: Address,
    counter: u64,
}

/// Ledger time at which everything happens, Unix milliseconds.
pub const NOW_MS: u64 = 1_767_225_600_000;

impl World {
    /// Makes it.
    ///
    /// # Panics
    /// If the contract refuses any of it.
    #[must_use]
    pub fn new() -> Self {
        let owner = Ed25519Signer::from_seed([1; 32]).address();
        let mut world = Self {
            state: State::default(),
            cluster: ClusterId::ZERO,
            token: TokenId::ZERO,
            owner,
            counter: 0,
        };
        let policy = ClusterPolicy::default();
        let create = Call::CreateCluster {
            name: "bench".into(),
            chain: ChainId::ZERO,
            policy,
        };
        let Event::ClusterCreated(created) = world.apply(&create) else {
            panic!("no cluster")
        };
        let (cap, cluster) = (created.admin_cap, created.cluster);
        world.apply(&Call::RegisterExecutor {
            cap,
            cluster,
            operator: owner,
            signing_key: HexBytes(
                Ed25519Signer::from_seed([2; 32])
                    .public_key()
                    .as_bytes()
                    .to_vec(),
            ),
            encryption_key: HexBytes(vec![3; 32]),
            attestation: HexBytes::default(),
        });
        let issue = Call::IssueToken {
            cap,
            cluster,
            owner,
            rules: Role::Edit.rules(&Scope::Cluster),
            groups: Vec::new(),
            not_before_ms: 0,
            expires_at_ms: u64::MAX,
            delegates: Vec::new(),
        };
        let Event::SealTokenIssued(issued) = world.apply(&issue) else {
            panic!("no token")
        };
        world.cluster = cluster;
        world.token = issued.token;
        world.apply(&Call::DepositStake {
            token: issued.token,
            amount: MIST_PER_SUI,
        });
        world
    }

    /// Applies a call as the owner and returns its first event.
    ///
    /// # Panics
    /// If the contract refuses it.
    pub fn apply(&mut self, call: &Call) -> Event {
        let counter = &mut self.counter;
        let mut fresh_id = || {
            *counter += 1;
            let mut id = [0; 32];
            id[24..].copy_from_slice(&counter.to_be_bytes());
            Address::new(id)
        };
        let mut context = Context {
            package: Address::ZERO,
            sender: self.owner,
            now_ms: NOW_MS,
            fresh_id: &mut fresh_id,
            attestation: &NoAttestation,
            signatures: &OneByOne,
        };
        let effects = self
            .state
            .apply(call, &mut context)
            .expect("the contract admits it");
        effects
            .events
            .into_iter()
            .next()
            .expect("every call here emits")
    }

    /// A typical `kubectl apply`: a path of about 60 bytes, a payload by hash.
    ///
    /// # Panics
    /// Never: the request is of its form.
    #[must_use]
    pub fn typical_request(&self) -> Call {
        Call::ExecuteKubectlCommandWithId {
            cluster: self.cluster,
            token: self.token,
            request: request(NOW_MS + 65_000),
        }
    }
}

/// A typical `kubectl apply` with an ID of its own: a path of about 60 bytes, a payload by hash.
///
/// # Panics
/// Never: the request is of its form.
#[must_use]
pub fn request(deadline_ms: u64) -> RequestMessage {
    let request = K8sApiRequest::builder(
        Method::Patch,
        "/apis/apps/v1/namespaces/production/deployments/web-frontend",
    )
    .with_query("fieldManager=kubectl-client-side-apply&fieldValidation=Strict")
    .with_header("accept", "application/json")
    .with_header("content-type", "application/strategic-merge-patch+json")
    .with_header(
        "user-agent",
        "kubectl/v1.35.2 (linux/amd64) kubernetes/fdc9d74",
    )
    .with_payload(Payload::Hashed {
        hash: [7; 32],
        length: 2_048,
    })
    .with_deadline_ms(deadline_ms)
    .build();
    RequestMessage::from(&request.expect("the request is of its form"))
}

/// A database with the same settings as the ledger's.
///
/// # Errors
/// If it cannot be made.
pub fn plain_database(path: &Path) -> anyhow::Result<rusqlite::Connection> {
    let database = rusqlite::Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch(
        "CREATE TABLE rows (sequence INTEGER NOT NULL PRIMARY KEY, bytes BLOB NOT NULL) STRICT",
    )?;
    Ok(database)
}

/// The median of commits of one row of 1 KiB.
///
/// # Errors
/// If it cannot be written.
pub fn durable_commit(path: &Path) -> anyhow::Result<Duration> {
    let database = plain_database(path)?;
    let row = vec![7_u8; 1_024];
    let mut times = Vec::new();
    for _ in 0..300 {
        let begin = Instant::now();
        database.execute("INSERT INTO rows (bytes) VALUES (?1)", [&row])?;
        times.push(begin.elapsed());
    }
    median(times)
}

/// The middle one.
///
/// # Errors
/// If there is none.
pub fn median(mut times: Vec<Duration>) -> anyhow::Result<Duration> {
    times.sort();
    times.get(times.len() / 2).copied().context("no times")
}

/// In milliseconds.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// What it runs on.
#[must_use]
pub fn machine() -> Value {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|model| model.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    json!({"cpu": model, "cores": cores})
}

/// Writes raw results into the target directory; where they are then.
///
/// # Errors
/// If they cannot be written.
pub fn save(name: &str, report: &Value) -> anyhow::Result<String> {
    let file = target_directory()?.join(name);
    fs::write(&file, serde_json::to_vec_pretty(report)?)?;
    Ok(file.display().to_string())
}

/// Where what runs was built.
///
/// # Errors
/// If it was moved away from there.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own
        .ancestors()
        .nth(3)
        .context("not in a target directory")?;
    Ok(directory.to_owned())
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
