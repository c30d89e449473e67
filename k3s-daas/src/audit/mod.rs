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

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::contract::{Attestation, NoAttestation};
use crate::crypto::PublicKey;
use crate::ledger::local::disk::Layout;
use crate::ledger::local::failure::Failure;
use crate::ledger::local::journal::Journal;
use crate::ledger::local::objects::Fingerprint;
use crate::ledger::local::replay::{Replay, Replayed};
use crate::ledger::local::replica::Replica;
use crate::ledger::local::{Head, SignedHead, expect_database};
use crate::ledger::{Error, Result};
use crate::types::{ChainId, Digest, RequestId};
use crate::wire::Event;

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
    /// Verifies attestation documents; the same as the ledger's own. Default: none is genuine.
    pub attestation: Arc<dyn Attestation>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            head: None,
            request: None,
            attestation: Arc::new(NoAttestation),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("head", &self.head)
            .field("request", &self.request)
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
    /// Calls that hold, each signed by its sender.
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

/// Verifies the ledger in `dir` from its genesis on, as of this moment. Others may go on writing.
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
    let mut heads = Heads::read(journal)?;
    let began_ms = heads.began_ms()?;
    let mut replica = Replica::at_genesis(&genesis, began_ms)
        .map_err(|why| BrokenLink::new("meta", "genesis", why))?;
    heads.pass(&replica, options, report)?;

    let mut replay = Replay::from_start(journal, &*options.attestation);
    while let Some(replayed) = replay.step(&mut replica)? {
        drop(replica.state.take_touched());
        count(&replayed, &replica, options, report)?;
        visit(&replayed, &replica);
        heads.pass(&replica, options, report)?;
    }
    replay.finish()?;
    heads.finish(&replica, options)?;
    tables::compare(journal, &replica)?;
    compare_tip(journal, &replica, &heads)?;
    journal.check_pages()
}

/// The signed heads, each looked at when the log is as far as it says.
struct Heads {
    all: std::vec::IntoIter<std::result::Result<SignedHead, BrokenLink>>,
    due: Option<SignedHead>,
    count: u64,
    last: Digest,
    last_time_ms: u64,
}

impl Heads {
    fn read(journal: &Journal) -> std::result::Result<Self, Failure> {
        let mut all = journal.heads_after(i64::MIN)?.into_iter();
        let due = all.next().transpose()?;
        Ok(Self {
            all,
            due,
            count: 0,
            last: Digest::ZERO,
            last_time_ms: 0,
        })
    }

    /// When the genesis was signed.
    fn began_ms(&self) -> std::result::Result<u64, BrokenLink> {
        let missing = || BrokenLink::new("head", 0, "is missing, which signs the genesis");
        let first = self.due.filter(|head| head.message.sequence == 0);
        Ok(first.ok_or_else(missing)?.message.time_ms)
    }

    /// Checks those that stand for the log as far as `replica` is.
    fn pass(
        &mut self,
        replica: &Replica,
        options: &Options,
        report: &mut Report,
    ) -> std::result::Result<(), Failure> {
        let tip = &replica.tip;
        if let Some(head) = options.head.filter(|head| head.calls == tip.calls) {
            if head.link != tip.link {
                let why = "the head held elsewhere has another link here: this is not the log that it stands for";
                return Err(BrokenLink::new("call", tip.calls, why).into());
            }
            report.through = Some(head.to_string());
        }
        while let Some(due) = self.due.filter(|due| due.message.head.calls <= tip.calls) {
            self.check(&due, replica)?;
            if self.count == 0 {
                report.genesis_key = Some(due.key);
            }
            if !report.head_keys.contains(&due.key) {
                report.head_keys.push(due.key);
            }
            self.count += 1;
            self.last = due.digest();
            self.last_time_ms = due.message.time_ms;
            self.due = self.all.next().transpose()?;
        }
        report.heads = self.count;
        report.calls = tip.calls;
        report.events = tip.events;
        report.time_ms = tip.time_ms;
        report.head = Some(tip.head().to_string());
        Ok(())
    }

    fn check(&self, due: &SignedHead, replica: &Replica) -> std::result::Result<(), BrokenLink> {
        let message = &due.message;
        let broken = |why: &str| Err(BrokenLink::new("head", message.sequence, why));
        if message.sequence != self.count {
            let why = format!("is missing, head {} follows", message.sequence);
            return Err(BrokenLink::new("head", self.count, why));
        }
        if message.previous != self.last {
            return broken("it does not continue the head before it");
        }
        if !due.is_genuine(&replica.deployment) {
            return broken("its signature is not its key's");
        }
        if message.head.calls < replica.tip.calls {
            return broken("it stands for less than the head before it");
        }
        if message.head.link != replica.tip.link {
            return broken("the log has another link there");
        }
        if message.time_ms < self.last_time_ms.max(replica.tip.time_ms) {
            return broken("its time lies before what it stands for");
        }
        Ok(())
    }

    /// That none is left which stands for more than there is.
    fn finish(&self, replica: &Replica, options: &Options) -> std::result::Result<(), Failure> {
        let last = replica.tip.calls;
        if let Some(due) = &self.due {
            let why = format!(
                "it stands for {} calls, and the log ends at call {last}",
                due.message.head.calls
            );
            return Err(BrokenLink::new("head", due.message.sequence, why).into());
        }
        if let Some(head) = options.head.filter(|head| head.calls > last) {
            let why = format!(
                "the head held elsewhere stands for {} calls, and the log ends at call {last}",
                head.calls
            );
            return Err(BrokenLink::database(why).into());
        }
        Ok(())
    }
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
    for name in journal.meta_names()? {
        if name != "genesis" && name != "tip" {
            return Err(BrokenLink::new("meta", name, "no ledger wrote it").into());
        }
    }
    Ok(())
}
