//! Replays a trail and checks every link of it.
//!
//! [`verify`] walks a local ledger from its genesis on: signatures, rules, events byte for byte, balances, chain,
//! signed heads, and the tables of the state. It needs nothing but the directory, changes nothing in it, and trusts
//! nobody: what it reports is what follows from the signed calls. Against a [`Head`] held elsewhere it also finds
//! that the whole log was replaced.
//!
//! [`reconcile`] holds a verified trail against what the Kubernetes cluster itself logged.

mod reconcile;
mod tables;
mod trail;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::contract::{Attestation, NoAttestation, OneByOne};
use crate::crypto::PublicKey;
use crate::ledger::local::archive::restore;
use crate::ledger::local::disk::Layout;
use crate::ledger::local::failure::Failure;
use crate::ledger::local::journal::{CHECKPOINT, CHECKPOINT_STATE, Journal};
use crate::ledger::local::objects::Fingerprint;
use crate::ledger::local::replay::{Replay, Replayed, number};
use crate::ledger::local::replica::Replica;
use crate::ledger::local::{Head, SignedCheckpoint, expect_database};
use crate::ledger::{Error, Result};
use crate::types::{ChainId, RequestId};
use crate::wire::Event;

use self::walk::{Heads, Walk, expect_head_after};

pub use self::reconcile::{
    ClusterLog, Counts, Finding, FindingKind, NAUTILUS_ACCOUNT, ReconcileError, ReconcileOptions,
    Reconciliation, Window, reconcile,
};
pub use self::trail::{RequestTrail, Step, StepKind};
pub use crate::ledger::local::BrokenLink;

/// What a verification is held against, and what it reports beside its result.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// A head that was kept elsewhere: the log must go through it.
    pub head: Option<Head>,
    /// A request whose trail is wanted.
    pub request: Option<RequestId>,
    /// Directories with the segments of the part that was archived. Without any, that part is not verified: the
    /// ledger is, from its checkpoint on.
    pub archive: Vec<PathBuf>,
    /// Who must have signed the genesis, and with it the checkpoint.
    pub genesis_key: Option<PublicKey>,
    /// Verifies attestation documents; the same as the ledger's own. Default: none is genuine.
    pub attestation: Arc<dyn Attestation>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            head: None,
            request: None,
            archive: Vec::new(),
            genesis_key: None,
            attestation: Arc::new(NoAttestation),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("head", &self.head)
            .field("request", &self.request)
            .field("archive", &self.archive)
            .field("genesis_key", &self.genesis_key)
            .finish_non_exhaustive()
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether everything holds.
    pub verified: bool,
    /// The first place that does not.
    pub broken: Option<BrokenLink>,
    /// The ledger's chain, if its genesis can be read.
    pub chain: Option<ChainId>,
    /// Who signed the genesis.
    pub genesis_key: Option<PublicKey>,
    /// How far everything holds: text for [`Options::head`] another time.
    pub head: Option<String>,
    /// The head of [`Options::head`], if the log goes through it.
    pub through: Option<String>,
    /// What was archived, if anything was.
    pub archived: Option<ArchivedPart>,
    /// Calls that hold, each signed by its sender. Without those that were archived, unless these were verified too.
    pub calls: u64,
    /// Events that hold.
    pub events: u64,
    /// Signed heads that hold.
    pub heads: u64,
    /// Who signed heads, in the order of their first.
    pub head_keys: Vec<PublicKey>,
    /// Ledger time of the last call that holds, Unix milliseconds.
    pub time_ms: u64,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests answered, each signed by the executor it was assigned to.
    pub answered: u64,
    /// Requests refused that were recorded, also those only counted.
    pub rejected: u64,
    /// Trails of [`Options::request`], one for each token that held it.
    pub trails: Vec<RequestTrail>,
}

/// The part of a ledger that was archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArchivedPart {
    /// Whether it was verified, from the genesis on and up to the checkpoint. If not, all that follows rests on who signed
    /// the checkpoint.
    pub verified: bool,
    /// Sequence number of its last call.
    pub last_call: u64,
    /// Of its last event.
    pub last_event: u64,
    /// Ledger time of its last call, Unix milliseconds.
    pub to_ms: u64,
    /// Who signed the checkpoint.
    pub key: PublicKey,
    /// Segments that hold.
    pub segments: u64,
}

impl ArchivedPart {
    fn of(checkpoint: &SignedCheckpoint) -> Self {
        let message = &checkpoint.message;
        Self {
            verified: false,
            last_call: message.head.calls,
            last_event: message.events,
            to_ms: message.time_ms,
            key: checkpoint.key,
            segments: 0,
        }
    }
}

/// Verifies the ledger in `dir` from its genesis on, as of this moment. Others may go on writing. What was archived is
/// verified with [`Options::archive`]; without it, verification begins at the checkpoint.
///
/// Takes some 20 µs for each call, and memory for the state.
///
/// # Errors
/// [`Error::NotFound`], and when the disk cannot be read. That something is wrong with the ledger is no error but
/// [`Report::broken`].
pub fn verify(dir: impl AsRef<Path>, options: &Options) -> Result<Report> {
    verify_each(dir.as_ref(), options, &mut |_, _| {})
}

/// What sees each call that holds, and the state after it.
type Visit<'a> = dyn FnMut(&Replayed, &Replica) + 'a;

/// [`verify`] that shows `visit` every call that holds, also those before one that does not.
fn verify_each(dir: &Path, options: &Options, visit: &mut Visit<'_>) -> Result<Report> {
    let layout = Layout::new(dir);
    let mut report = Report::default();
    let result = match expect_database(&layout) {
        Ok(()) => walk_database(&layout, options, &mut report, visit),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => {
            report.verified = true;
            Ok(report)
        }
        Err(Failure::Broken(broken)) => {
            report.broken = Some(broken);
            Ok(report)
        }
        Err(failure) => match Error::from(failure) {
            Error::Corrupt(what) => {
                report.broken = Some(BrokenLink::database(what));
                Ok(report)
            }
            error => Err(error),
        },
    }
}

/// What became of a request, from a ledger that was verified first.
///
/// # Errors
/// As [`verify`]; [`Error::Corrupt`] with the first broken link.
pub fn trail(dir: impl AsRef<Path>, request: RequestId) -> Result<Vec<RequestTrail>> {
    let options = Options {
        request: Some(request),
        ..Options::default()
    };
    let report = verify(dir, &options)?;
    match report.broken {
        Some(broken) => Err(Error::Corrupt(broken.to_string())),
        None => Ok(report.trails),
    }
}

fn walk_database(
    layout: &Layout,
    options: &Options,
    report: &mut Report,
    visit: &mut Visit<'_>,
) -> std::result::Result<(), Failure> {
    let journal = Journal::open_read_only(layout)?;
    journal.begin_reading()?;
    let result = walk(&journal, options, report, visit);
    journal.roll_back();
    result
}

fn walk(
    journal: &Journal,
    options: &Options,
    report: &mut Report,
    visit: &mut Visit<'_>,
) -> std::result::Result<(), Failure> {
    let genesis = journal.genesis()?;
    report.chain = Some(genesis.chain());
    let checkpoint = journal.checkpoint()?;
    let first_head = match &checkpoint {
        Some(checkpoint) => {
            checkpoint.check(&genesis)?;
            report.archived = Some(ArchivedPart::of(checkpoint));
            Some(checkpoint.message.genesis)
        }
        None => journal.heads_after(i64::MIN, 1)?.pop().transpose()?,
    };
    let first_head = first_head.filter(|head| head.message.sequence == 0);
    let first_head = first_head
        .ok_or_else(|| BrokenLink::new("head", 0, "is missing, which signs the genesis"))?;
    if let Some(expected) = options.genesis_key.filter(|key| *key != first_head.key) {
        let why = format!("{} signed it, and {expected} should have", first_head.key);
        return Err(BrokenLink::new("head", 0, why).into());
    }
    let mut replica = Replica::at_genesis(&genesis, first_head.message.time_ms)
        .map_err(|why| BrokenLink::new("meta", "genesis", why))?;
    let unverified = checkpoint.filter(|_| options.archive.is_empty());
    if let Some(checkpoint) = &unverified {
        expect_head_after(checkpoint, options)?;
        replica = restore(&genesis, checkpoint, &journal.checkpoint_state()?)?;
        report.genesis_key = Some(first_head.key);
    }
    let mut walk = Walk {
        options,
        report,
        visit,
        heads: Heads::after(unverified.as_ref()),
        first: replica.tip,
        replica,
    };
    if let Some(checkpoint) = checkpoint.filter(|_| !options.archive.is_empty()) {
        walk.archive(&genesis, &checkpoint)?;
        walk.expect(journal, &checkpoint)?;
    }
    let from_head = walk.heads.count;
    walk.heads.extend(journal.heads_after(
        // Before the first one nothing may be either.
        checkpoint.map_or(i64::MIN, |_| number(from_head) - 1),
        usize::MAX,
    )?)?;
    walk.follow(match checkpoint {
        // What was archived may be on its way out.
        Some(_) => {
            let tip = walk.replica.tip;
            let (calls, events) = (number(tip.calls), number(tip.events));
            Replay::after(journal, &*options.attestation, &OneByOne, calls, events)
        }
        None => Replay::from_start(journal, &*options.attestation),
    })?;
    walk.heads.finish(&walk.replica, options)?;
    tables::compare(journal, &walk.replica)?;
    compare_tip(journal, &walk.replica, &walk.heads)?;
    journal.check_pages()
}

/// Counts what a call did and adds it to the trail that is wanted.
fn count(
    replayed: &Replayed,
    replica: &Replica,
    options: &Options,
    report: &mut Report,
) -> std::result::Result<(), Failure> {
    for (index, event) in replayed.applied.events.iter().enumerate() {
        match &event.event {
            Event::K8sApiRequest(_) => report.admitted += 1,
            Event::K8sRequestRejected(_) => report.rejected += 1,
            Event::K8sRequestsRejected(rejected) => {
                report.rejected = report.rejected.saturating_add(rejected.count);
            }
            Event::K8sRequestProcessed(processed) => {
                if !trail::is_answer_genuine(replica, processed) {
                    let why = "its signature is not that of the executor's key";
                    let sequence = replayed.applied.first_event + index as u64;
                    return Err(BrokenLink::new("event", sequence, why).into());
                }
                report.answered += 1;
            }
            _ => {}
        }
        if let Some(request) = options.request {
            trail::add(&mut report.trails, request, replayed, index, replica);
        }
    }
    Ok(())
}

fn compare_tip(
    journal: &Journal,
    replica: &Replica,
    heads: &Heads,
) -> std::result::Result<(), Failure> {
    let broken = |why: &str| Err(BrokenLink::new("meta", "tip", why).into());
    let stored = journal.tip()?;
    if stored.tip() != replica.tip {
        return broken("it is not that of the last call");
    }
    if (stored.heads, stored.last_head) != (heads.count, heads.last) {
        return broken("its last signed head is not the last one");
    }
    if stored.fingerprint != Fingerprint::of(replica) {
        return broken("its fingerprint is not that of the state");
    }
    let is_archived = journal.checkpoint()?.is_some();
    for name in journal.meta_names()? {
        let of_archive = [CHECKPOINT, CHECKPOINT_STATE].contains(&&name[..]);
        if name != "genesis" && name != "tip" && !(is_archived && of_archive) {
            return Err(BrokenLink::new("meta", name, "no ledger wrote it").into());
        }
    }
    Ok(())
}
