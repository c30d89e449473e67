//! Points at which a process can be made to die or to stand still, so that tests see what a restart finds.
//!
//! They are compiled with the feature `crash-points` alone, which no build for use has. `FAILPOINTS` in a process's
//! environment arms them, in the language of the `fail` crate: `ledger.before-commit=7*off->return` dies there the
//! eighth time, as by `kill -9`; `1*return(stop)` stands still there once, as by `kill -STOP`, until it is continued.

use std::io::Write as _;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// Declares the points: their names and what is done and not done there.
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal;)+) => {
        /// Every point there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Point { $($(#[doc = $doc])+ $point,)+ }

        impl Point {
            /// All of them, in the order of a request's way.
            pub const ALL: &'static [Self] = &[$(Self::$point),+];

            /// Its name: the part of the program that it is in, and what it is.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }

            /// What is done and what is not when it is reached.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$point => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

points! {
    /// The contract would admit it; nothing is written yet.
    GatewayBeforePayload = "gateway.before-payload";
    /// The body is in the blob store, and the ledger does not know of it.
    GatewayPayloadStored = "gateway.payload-stored";
    /// The call is about to go to the ledger.
    GatewayBeforeSubmit = "gateway.before-submit";
    /// The ledger has admitted it, and nobody waits for the answer yet.
    GatewaySubmitted = "gateway.submitted";
    /// The answer was seen on the ledger, and its body is not fetched.
    GatewayAnswerSeen = "gateway.answer-seen";
    /// The whole answer is there, and nothing of it is sent to the client.
    GatewayBeforeReply = "gateway.before-reply";
    /// The client has its refusal, perhaps, and the ledger has no record of it.
    GatewayBeforeRefusal = "gateway.before-refusal";
    /// The refusal is recorded.
    GatewayRefusalRecorded = "gateway.refusal-recorded";
    /// A batch of calls is written, and not committed.
    LedgerBeforeCommit = "ledger.before-commit";
    /// The batch is durable, and neither this process nor another has heard of it.
    LedgerCommitted = "ledger.committed";
    /// This process's followers have it; other processes are not told, nor who made the calls.
    LedgerPublished = "ledger.published";
    /// Other processes are told, and who made the calls is not.
    LedgerNotified = "ledger.notified";
    /// A segment of the log is written whole, and not in its place.
    ArchiveSegmentWritten = "archive.segment-written";
    /// A segment is in its place for good, and the ledger has its calls too.
    ArchiveSegmentStored = "archive.segment-stored";
    /// All segments are there and the checkpoint is signed, and the ledger does not have it.
    ArchiveBeforeCheckpoint = "archive.before-checkpoint";
    /// The ledger begins at the checkpoint, and no row is removed.
    ArchiveCheckpointed = "archive.checkpointed";
    /// Some of the rows before the checkpoint are removed.
    ArchiveRemoved = "archive.removed";
    /// New events are read, and the journal does not have them.
    NautilusFollowed = "nautilus.followed";
    /// The journal has them, and nothing is done about them.
    NautilusAdvanced = "nautilus.advanced";
    /// The request may be executed, and the journal does not say that it begins.
    NautilusBeforeBegin = "nautilus.before-begin";
    /// The journal says that it began, and nothing is sent.
    NautilusBegun = "nautilus.begun";
    /// Whether it is still time was looked at, and nothing is sent.
    NautilusBeforeSend = "nautilus.before-send";
    /// The cluster has done it and answered in full, and nothing of that is written.
    NautilusClusterAnswered = "nautilus.cluster-answered";
    /// Certainly nothing reached the cluster, and the journal still says that it began.
    NautilusBeforeNotSent = "nautilus.before-not-sent";
    /// The journal says that nothing was sent, and the ledger still has the request assigned here.
    NautilusNotSent = "nautilus.not-sent";
    /// It is about to be given back to another executor.
    NautilusBeforeRelease = "nautilus.before-release";
    /// The ledger has assigned it to another executor.
    NautilusReleased = "nautilus.released";
    /// The answer is sealed, and not in the blob store.
    NautilusBeforeEnvelope = "nautilus.before-envelope";
    /// The answer's body is in the blob store, and nothing is signed.
    NautilusEnvelopeStored = "nautilus.envelope-stored";
    /// The answer is signed, and the journal does not have it.
    NautilusSigned = "nautilus.signed";
    /// The journal has the signed answer, and the ledger does not.
    NautilusAnswerWritten = "nautilus.answer-written";
    /// The ledger has the answer, and the journal says that it has not.
    NautilusStored = "nautilus.stored";
    /// The journal says that the ledger has the answer.
    NautilusSettled = "nautilus.settled";
    /// Orders are carried out in the journal, and not committed.
    NautilusBeforeJournalCommit = "nautilus.before-journal-commit";
    /// The journal is durable, and nobody who waits for it is told.
    NautilusJournalCommitted = "nautilus.journal-committed";
    /// A request whose lease is over is about to be claimed.
    NautilusBeforeClaim = "nautilus.before-claim";
    /// The ledger has assigned it here, and nothing is done about it.
    NautilusClaimed = "nautilus.claimed";
    /// What may be forgotten is about to be removed from the ledger.
    NautilusBeforePrune = "nautilus.before-prune";
    /// The ledger has forgotten it.
    NautilusPruned = "nautilus.pruned";
}

impl Point {
    /// Passes by, unless it is armed.
    #[allow(dead_code)] // without a service there is nobody who reaches any
    pub(crate) fn reach(self) {
        fail::fail_point!(self.name(), |how| if how.as_deref() == Some(STOP) {
            self.end(Signal::STOP);
            // Another thread may be the first that stops; this one goes no further meanwhile.
            std::thread::sleep(STANDING_STILL);
        } else {
            self.end(Signal::KILL);
            // Nobody survives that, except where signals need not be delivered at once.
            std::process::abort();
        });
    }

    fn end(self, signal: Signal) {
        // Best effort: whoever reads it looks at how the process ended too.
        let _ = writeln!(std::io::stderr(), "crash point {}", self.name());
        let _ = kill_process(getpid(), signal);
    }
}

/// Arms what `FAILPOINTS` names, for as long as the process lives.
///
/// # Errors
/// [`UnknownPoint`], so that no test waits for what never comes.
///
/// # Panics
/// If an action is none of the `fail` crate's.
pub fn arm() -> Result<(), UnknownPoint> {
    // Dropping it would disarm them.
    std::mem::forget(fail::FailScenario::setup());
    let is_known = |name: &str| Point::ALL.iter().any(|point| point.name() == name);
    let mut armed = fail::list().into_iter().map(|(name, _)| name);
    match armed.find(|name| !is_known(name)) {
        Some(name) => Err(UnknownPoint(name)),
        None => Ok(()),
    }
}

/// `FAILPOINTS` names a point that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no crash point `{0}`")]
pub struct UnknownPoint(String);

const STOP: &str = "stop";
/// Longer than a signal takes to reach every thread.
const STANDING_STILL: Duration = Duration::from_millis(100);
