//! The oldest part of the log moved out of the ledger, while it is used.
//!
//! What goes is verified once more on its way out, call by call, into [segments](segment). When these are durable, a
//! [checkpoint](SignedCheckpoint) takes the place of what they have; then the rows are removed, a few at a time. One
//! who is killed anywhere leaves either the rows or the segments and the checkpoint, and the next one goes on there.

mod checkpoint;
pub(crate) mod segment;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use self::checkpoint::deflate;
use self::segment::{ArchivedCall, Body, Header, SegmentFile};
use super::LocalLedger;
use super::disk;
use super::engine::Locked;
use super::failure::{BrokenLink, Failure};
use super::follow::sequenced;
use super::journal::{EventRow, Journal};
use super::message::{MAX_VALIDITY_MS, SignedHead};
use super::replay::{PAGE, Replay, number};
use super::replica::Replica;
use super::tail::Linked;
use crate::contract::{Attestation, OneByOne};
use crate::crypto::{blake2b256, sync_directory};
use crate::ledger::{Cursor, Error, Ledger as _, Result, SequencedEvent};
use crate::types::{Digest, RequestId, TokenId};
use crate::wire::Event;

pub use self::checkpoint::{CheckpointMessage, SignedCheckpoint};
pub(crate) use self::checkpoint::{inflate_state, restore, state_bytes};

/// What is archived.
#[derive(Clone)]
#[non_exhaustive]
pub struct ArchiveOptions {
    /// What happened before this moment, Unix milliseconds of ledger time. The last 10 minutes of the log always stay,
    /// and so does all from the admission of a request on that is not pruned.
    pub before_ms: u64,
    /// Only to say what would be archived.
    pub dry_run: bool,
    /// After so many bytes a segment is full. Default: 16 MiB, before compression.
    pub segment_bytes: usize,
    /// Hears of every segment: how many calls are archived, and how many will be.
    pub progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
}

impl ArchiveOptions {
    /// All that happened before a moment, Unix milliseconds of ledger time.
    #[must_use]
    pub fn before(before_ms: u64) -> Self {
        Self {
            before_ms,
            dry_run: false,
            segment_bytes: 16 << 20,
            progress: Arc::new(|_, _| {}),
        }
    }
}

impl fmt::Debug for ArchiveOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveOptions")
            .field("before_ms", &self.before_ms)
            .field("dry_run", &self.dry_run)
            .field("segment_bytes", &self.segment_bytes)
            .finish_non_exhaustive()
    }
}

/// What was archived, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Archived {
    /// Sequence number of the first call that was archived now; 0 if none was.
    pub first_call: u64,
    /// Of the last call that is archived; 0 if none is.
    pub last_call: u64,
    /// Of the last event that is archived.
    pub last_event: u64,
    /// Ledger time of that call, Unix milliseconds.
    pub to_ms: u64,
    /// Calls archived now.
    pub calls: u64,
    /// Files with them.
    pub segments: Vec<PathBuf>,
    /// Bytes of these.
    pub bytes: u64,
    /// The request that is not pruned whose admission ended it earlier than it was asked to.
    pub held_by: Option<RequestId>,
}

impl LocalLedger {
    /// Moves the oldest part of the log into segments in `directory`, which is made if it is not there. This and
    /// all other processes may go on using the ledger. The account must be the one that signed the genesis.
    ///
    /// Room that becomes free in the database is used for what comes; its file does not get shorter.
    ///
    /// # Errors
    /// - [`Error::Busy`]: somebody else archives this ledger, or into this directory.
    /// - [`Error::Invalid`]: this account did not sign the genesis; in the directory lies what is of another ledger or
    ///   another history of this one.
    /// - [`Error::Corrupt`]: what was to be archived does not verify. Nothing of it was removed.
    pub async fn archive(
        &self,
        directory: impl AsRef<Path>,
        options: ArchiveOptions,
    ) -> Result<Archived> {
        let directory = directory.as_ref().to_owned();
        self.sync().await?;
        let kept = self.requests()?;
        let attestation = self.inner.options.attestation.clone();
        let layout = self.inner.layout.clone();
        let key = self.signer.public_key();
        let plan_options = options.clone();
        let mut work = blocking(move || {
            let lock = try_lock(&layout.archive_lock())?;
            let journal = Journal::open(&layout)?;
            let mut work = Work {
                journal,
                layout,
                _locks: vec![lock],
                directory,
                options: plan_options,
                attestation,
                genesis_head: None,
                plan: Plan::default(),
                archived: Archived::default(),
            };
            work.finish_last(key)?;
            work.plan(&kept)?;
            Ok(work)
        })
        .await?;
        let plan = &work.plan;
        if plan.last <= plan.base || options.dry_run {
            return Ok(work.archived);
        }
        if plan.cover.is_none() {
            self.sign_head().await?;
        }
        let (message, work) = blocking(move || {
            let message = work.write_segments()?;
            Ok((message, work))
        })
        .await?;
        let Some((message, state)) = message else {
            return Ok(work.archived);
        };
        let signed = SignedCheckpoint::sign(&self.inner.deployment, message, &*self.signer)
            .await
            .map_err(Error::Signer)?;
        blocking(move || {
            work.commit(&signed, &state)?;
            work.remove(&signed)?;
            Ok(work.archived)
        })
        .await
    }

    /// Where the log begins, if its beginning was archived.
    ///
    /// # Errors
    /// Whatever disks do.
    pub async fn checkpoint(&self) -> Result<Option<SignedCheckpoint>> {
        self.inner
            .readers
            .with(|journal| journal.checkpoint())
            .await
    }

    /// All requests that are not pruned.
    fn requests(&self) -> Result<HashSet<(TokenId, RequestId)>> {
        let view = self.inner.published.read();
        let hot = view.state.all_requests().map(|(token, id, _)| (token, id));
        Ok(hot.chain(view.cold.all()?).collect())
    }
}

/// Events that were archived.
#[derive(Debug)]
pub struct ArchivedEvents {
    files: VecDeque<SegmentFile>,
    waiting: VecDeque<SequencedEvent>,
    after: u64,
    last: u64,
}

impl ArchivedEvents {
    /// Those after `cursor` in the segments of some directories, up to where the log in `ledger` begins now. Each segment is
    /// checked in itself; [`crate::audit`] verifies them.
    ///
    /// # Errors
    /// [`Error::NotFound`], and [`Error::Corrupt`] with the segment that is damaged, missing or of another ledger.
    pub fn open(ledger: impl AsRef<Path>, directories: &[PathBuf], cursor: Cursor) -> Result<Self> {
        let layout = disk::Layout::new(ledger.as_ref());
        super::expect_database(&layout)?;
        let open = || -> std::result::Result<Self, Failure> {
            let journal = Journal::open_read_only(&layout)?;
            let checkpoint = journal.checkpoint()?.map(|checkpoint| checkpoint.message);
            let last = checkpoint.map_or(0, |checkpoint| checkpoint.events);
            let mut files: VecDeque<_> = SegmentFile::all(directories, &journal.genesis()?)?.into();
            files.retain(|file| {
                let header = &file.header;
                let end = header.first_event + header.events;
                end > cursor.major + 1 && header.first_event <= last
            });
            Ok(Self {
                files,
                waiting: VecDeque::new(),
                after: cursor.major,
                last,
            })
        };
        Ok(open()?)
    }

    fn load(&mut self) -> std::result::Result<bool, Failure> {
        if self.after >= self.last {
            return Ok(false);
        }
        let missing = |next: u64| {
            let why = format!("no segment has event {next}, which was archived");
            Failure::from(BrokenLink::new("archive", "", why))
        };
        let next = self.after + 1;
        let Some(file) = self.files.pop_front() else {
            return Err(missing(next));
        };
        if file.header.first_event > next {
            return Err(missing(next));
        }
        for (row, events) in file.load()?.linked() {
            let events = sequenced(&Linked { row, events })?;
            let (after, last) = (self.after, self.last);
            let wanted = |event: &SequencedEvent| (after + 1..=last).contains(&event.cursor.major);
            self.waiting.extend(events.into_iter().filter(wanted));
        }
        Ok(true)
    }
}

impl Iterator for ArchivedEvents {
    type Item = Result<SequencedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.after = event.cursor.major;
                return Some(Ok(event));
            }
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(failure) => {
                    self.last = self.after;
                    return Some(Err(failure.into()));
                }
            }
        }
    }
}

/// An archiving under way.
struct Work {
    journal: Journal,
    layout: disk::Layout,
    _locks: Vec<File>,
    directory: PathBuf,
    options: ArchiveOptions,
    attestation: Arc<dyn Attestation>,
    genesis_head: Option<SignedHead>,
    plan: Plan,
    archived: Archived,
}

/// From where to where.
#[derive(Default)]
struct Plan {
    /// The last call that was archived before.
    base: u64,
    /// The last that is to be.
    last: u64,
    cover: Option<SignedHead>,
}

impl Work {
    /// Removes what an earlier one had archived and not removed; that this is who may archive.
    fn finish_last(&mut self, key: crate::crypto::PublicKey) -> std::result::Result<(), Failure> {
        let checkpoint = self.journal.checkpoint()?;
        let genesis = match &checkpoint {
            Some(checkpoint) => {
                checkpoint.check(&self.journal.genesis()?)?;
                checkpoint.message.genesis
            }
            None => self.journal.head_before(1)?,
        };
        if genesis.key != key && !self.options.dry_run {
            let why = "a ledger is archived by the account that signed its genesis";
            return Err(Error::Invalid(why.to_owned()).into());
        }
        self.genesis_head = Some(genesis);
        if let Some(checkpoint) = checkpoint {
            let message = &checkpoint.message;
            self.plan.base = message.head.calls;
            self.archived.last_call = message.head.calls;
            self.archived.last_event = message.events;
            self.archived.to_ms = message.time_ms;
            if !self.options.dry_run {
                self.remove(&checkpoint)?;
            }
        }
        Ok(())
    }

    /// Looks how far it can go.
    fn plan(&mut self, kept: &HashSet<(TokenId, RequestId)>) -> std::result::Result<(), Failure> {
        let base = self.plan.base;
        let tip = self.journal.tip()?;
        // A call that may still be submitted again must be found by its digest.
        let end_ms = tip.time_ms.saturating_sub(MAX_VALIDITY_MS);
        let before_ms = self.options.before_ms.min(end_ms);
        let (mut last, mut after) = (base, tip.calls + 1);
        while after - last > 1 {
            let middle = last + (after - last) / 2;
            if self.journal.time_of(middle)? < before_ms {
                last = middle;
            } else {
                after = middle;
            }
        }
        if last > base
            && let Some((call, request)) = self.first_admission(kept, last)?
        {
            last = call - 1;
            self.archived.held_by = Some(request);
        }
        self.plan.last = last;
        if last > base {
            self.plan.cover = self.journal.head_covering(last)?;
            if self.options.dry_run {
                let row = self.journal.call(number(last))?;
                self.archived.first_call = base + 1;
                self.archived.last_call = last;
                self.archived.last_event = row.first_event + row.event_count - 1;
                self.archived.to_ms = row.time_ms;
                self.archived.calls = last - base;
            }
        }
        Ok(())
    }

    /// The first call up to `last` that admitted a request which is not pruned.
    fn first_admission(
        &self,
        kept: &HashSet<(TokenId, RequestId)>,
        last: u64,
    ) -> std::result::Result<Option<(u64, RequestId)>, Failure> {
        if kept.is_empty() {
            return Ok(None);
        }
        let checkpoint = self.journal.checkpoint()?;
        let mut after = number(checkpoint.map_or(0, |checkpoint| checkpoint.message.events));
        loop {
            let rows = self.journal.events_after(after, PAGE)?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in rows {
                let EventRow {
                    sequence,
                    call,
                    event,
                    ..
                } = row?;
                if call > number(last) {
                    return Ok(None);
                }
                after = sequence;
                let Ok(Event::K8sApiRequest(event)) = bcs::from_bytes(&event) else {
                    continue;
                };
                let Ok(id) = RequestId::from_bytes(&event.request_id) else {
                    continue;
                };
                if kept.contains(&(event.seal_token_id, id)) {
                    return Ok(Some((u64::try_from(call).unwrap_or_default(), id)));
                }
            }
        }
    }

    /// Writes all segments; what the checkpoint says, and the state at it, compressed. Nothing if there is
    /// nothing to do.
    #[allow(clippy::type_complexity)] // said in one sentence
    fn write_segments(
        &mut self,
    ) -> std::result::Result<Option<(CheckpointMessage, Vec<u8>)>, Failure> {
        let genesis = self.journal.genesis()?;
        let missing = || BrokenLink::new("head", "", "none stands for what is to be archived");
        let cover = self.journal.head_covering(self.plan.last)?;
        let cover = cover.ok_or_else(missing)?;
        let genesis_head = self.genesis_head.ok_or_else(missing)?;
        self.prepare_directory()?;
        let stored = SegmentFile::all(std::slice::from_ref(&self.directory), &genesis)
            .map_err(|failure| self.foreign(failure))?;
        let checkpoint = self.journal.checkpoint()?;
        let mut replica = match &checkpoint {
            Some(checkpoint) => restore(&genesis, checkpoint, &self.journal.checkpoint_state()?)?,
            None => Replica::at_genesis(&genesis, genesis_head.message.time_ms)
                .map_err(|why| BrokenLink::new("meta", "genesis", why))?,
        };
        let mut heads = Heads::after(checkpoint.as_ref());
        let attestation = self.attestation.clone();
        let journal = Journal::open_read_only(&self.layout)?;
        let mut replay = Replay::after(
            &journal,
            &*attestation,
            &OneByOne,
            number(replica.tip.calls),
            number(replica.tip.events),
        );
        let total = self.plan.last - self.plan.base;
        while replica.tip.calls < self.plan.last {
            let before = replica.tip;
            let next = before.calls + 1;
            // One that ends before is of an earlier time.
            let mut later = stored.iter().filter(|file| file.header.last >= next);
            let later = later.next();
            if let Some(file) = later.filter(|file| file.header.first < next) {
                return Err(self.other_history(file).into());
            }
            let there = later.filter(|file| file.header.first == next);
            let end = later.map_or(self.plan.last, |file| match file.header.first == next {
                true => file.header.last,
                false => file.header.first - 1,
            });
            if there.is_some_and(|file| file.header.last > self.plan.last) {
                // Archived by one who was killed, and asked for more: it is left for one who is asked so again.
                break;
            }
            let first_head = heads.count;
            let mut body = Body::default();
            let mut size = 0;
            let mut from_ms = None;
            loop {
                heads.take(&journal, &replica, &mut body.heads)?;
                let replayed = replay.step(&mut replica)?;
                let Some(replayed) = replayed else {
                    let call = replica.tip.calls + 1;
                    return Err(BrokenLink::new("call", call, "is missing").into());
                };
                drop(replica.state.take_touched());
                from_ms.get_or_insert(replayed.row.time_ms);
                let events = replayed.applied.events.into_iter();
                let call = ArchivedCall {
                    time_ms: replayed.row.time_ms,
                    key: replayed.row.key,
                    signature: replayed.row.signature,
                    signed: replayed.row.signed,
                    events: events.map(|event| event.bytes).collect(),
                };
                size += call.size();
                body.calls.push(call);
                let last = replica.tip.calls;
                let is_full = there.is_none() && size >= self.options.segment_bytes;
                if is_full || last == end || last == self.plan.last {
                    break;
                }
            }
            let header = Header {
                genesis: genesis.clone(),
                first: before.calls + 1,
                last: replica.tip.calls,
                first_event: before.events + 1,
                events: replica.tip.events - before.events,
                from_ms: from_ms.unwrap_or(replica.tip.time_ms),
                to_ms: replica.tip.time_ms,
                previous: before.link,
                link: replica.tip.link,
                first_head,
                heads: body.heads.len() as u64,
                cover,
                body_len: 0,
                body: Digest::ZERO,
            };
            let (header, bytes) = segment::to_bytes(header, &body);
            drop(body);
            self.store(there, &header, &bytes)?;
            (self.options.progress)(replica.tip.calls - self.plan.base, total);
        }
        if replica.tip.calls == self.plan.base {
            return Ok(None);
        }
        let state = state_bytes(&replica);
        let message = CheckpointMessage {
            genesis: genesis_head,
            head: replica.tip.head(),
            events: replica.tip.events,
            time_ms: replica.tip.time_ms,
            heads: heads.count,
            last_head: heads.last,
            last_head_time_ms: heads.last_time_ms,
            state: blake2b256(&[&state]),
        };
        Ok(Some((message, deflate(&state))))
    }

    fn prepare_directory(&mut self) -> std::result::Result<(), Failure> {
        let failed = || Failure::io("make the archive's directory");
        disk::create_directory(&self.directory).map_err(failed())?;
        let absolute = std::path::absolute(&self.directory).map_err(failed())?;
        if let Some(parent) = absolute.parent() {
            sync_directory(parent).map_err(failed())?;
        }
        self._locks.push(try_lock(&self.directory.join("lock"))?);
        segment::remove_unfinished(&self.directory)
            .map_err(Failure::io("clear the archive's directory"))
    }

    /// Stores a segment, or finds that it is there already.
    fn store(
        &mut self,
        there: Option<&SegmentFile>,
        header: &Header,
        bytes: &[u8],
    ) -> std::result::Result<(), Failure> {
        let path = match there {
            None => segment::store(&self.directory, header, bytes)?,
            Some(there) => {
                let found = there.load()?.header;
                let of = |header: &Header| (header.previous, header.link, header.body);
                if of(&found) != of(header) {
                    return Err(self.other_history(there).into());
                }
                there.path.clone()
            }
        };
        let length = std::fs::metadata(&path).map_err(Failure::io("look at a segment"))?;
        let archived = &mut self.archived;
        archived.first_call = self.plan.base + 1;
        archived.last_call = header.last;
        archived.last_event = header.first_event + header.events - 1;
        archived.to_ms = header.to_ms;
        archived.calls = header.last - self.plan.base;
        archived.bytes += length.len();
        archived.segments.push(path);
        Ok(())
    }

    fn other_history(&self, there: &SegmentFile) -> Error {
        let Header { first, last, .. } = there.header;
        Error::Invalid(format!(
            "{} has calls {first} to {last} of another history: archive into another directory",
            there.path.display()
        ))
    }

    fn foreign(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Broken(broken) => {
                let why = format!(
                    "nothing is archived into {}: {broken}",
                    self.directory.display()
                );
                Error::Invalid(why).into()
            }
            failure => failure,
        }
    }

    /// Lets the ledger begin at the checkpoint.
    fn commit(
        &self,
        checkpoint: &SignedCheckpoint,
        state: &[u8],
    ) -> std::result::Result<(), Failure> {
        crash_point!(ArchiveBeforeCheckpoint);
        self.write(|journal| journal.put_checkpoint(checkpoint, state))?;
        crash_point!(ArchiveCheckpointed);
        Ok(())
    }

    /// Removes what lies before the checkpoint, a few rows at a time, so that others wait for moments only.
    fn remove(&self, checkpoint: &SignedCheckpoint) -> std::result::Result<(), Failure> {
        let message = &checkpoint.message;
        let (calls, events, heads) = (message.head.calls, message.events, message.heads);
        while self.write(|journal| journal.remove_before(calls, events, heads, REMOVED_AT_ONCE))? {
            crash_point!(ArchiveRemoved);
            // Whoever waits for the lock comes before the next ones.
            std::thread::sleep(BETWEEN_REMOVALS);
        }
        Ok(())
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&Journal) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let lock = disk::open_lock(&self.layout.lock());
        let lock = Arc::new(lock.map_err(Failure::io("open the lock file"))?);
        let _queue = Locked::wait(&lock)?;
        self.journal.begin()?;
        let written = write(&self.journal).and_then(|written| {
            self.journal.commit()?;
            Ok(written)
        });
        self.journal.roll_back();
        written
    }
}

/// The signed heads of the log, each checked when the log is as far as it says.
struct Heads {
    waiting: VecDeque<SignedHead>,
    count: u64,
    last: Digest,
    last_time_ms: u64,
}

impl Heads {
    fn after(checkpoint: Option<&SignedCheckpoint>) -> Self {
        let message = checkpoint.map(|checkpoint| &checkpoint.message);
        Self {
            waiting: VecDeque::new(),
            count: message.map_or(0, |message| message.heads),
            last: message.map_or(Digest::ZERO, |message| message.last_head),
            last_time_ms: message.map_or(0, |message| message.last_head_time_ms),
        }
    }

    /// Takes those that stand for the log as far as `replica` is.
    fn take(
        &mut self,
        journal: &Journal,
        replica: &Replica,
        to: &mut Vec<SignedHead>,
    ) -> std::result::Result<(), Failure> {
        loop {
            if self.waiting.is_empty() {
                let heads = journal.heads_after(number(self.count) - 1, PAGE)?;
                self.waiting = heads
                    .into_iter()
                    .collect::<std::result::Result<_, BrokenLink>>()?;
            }
            let Some(head) = self.waiting.front().copied() else {
                return Ok(());
            };
            let message = &head.message;
            if message.head.calls > replica.tip.calls {
                return Ok(());
            }
            let holds = message.sequence == self.count
                && message.previous == self.last
                && message.head == replica.tip.head()
                && head.is_genuine(&replica.deployment);
            if !holds {
                let why = "it does not stand for the log as it is there";
                return Err(BrokenLink::new("head", self.count, why).into());
            }
            self.count += 1;
            self.last = head.digest();
            self.last_time_ms = message.time_ms;
            to.push(head);
            self.waiting.pop_front();
        }
    }
}

fn try_lock(path: &Path) -> std::result::Result<File, Failure> {
    let lock = disk::open_lock(path).map_err(Failure::io("open the archive's lock file"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy.into()),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(Failure::io("lock the archive's lock file")(error))
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, Failure> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Error::from),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}

/// Calls of one transaction: some 10 ms of work.
const REMOVED_AT_ONCE: i64 = if cfg!(test) { 7 } else { 1_000 };
const BETWEEN_REMOVALS: Duration = Duration::from_millis(2);
