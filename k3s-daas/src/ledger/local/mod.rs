//! The contract over a SQLite journal, for several processes of one machine.
//!
//! A call is what a transaction is on Sui: BCS bytes, the sender's key, its signature, verified when
//! applied and again by every process that follows. Calls and events form one chain of BLAKE2b-256
//! links, so a row that is changed by itself is found, and who holds a [`Head`] finds any change before it
//! ([`crate::audit`]).
//!
//! The oldest part of the log can be moved into files of its own ([`LocalLedger::archive`]).
//!
//! In the directory lie `ledger.db` (and what SQLite puts beside it), `lock`, which writers queue on, and
//! `archive-lock`, which who archives holds, and
//! `followers/`, where each process has a socket on which others tell it that they wrote something. All of it is
//! its owner's alone. Unix only, and not on network file systems.

pub(crate) mod archive;
mod cold;
pub(crate) mod disk;
mod engine;
pub(crate) mod failure;
mod follow;
pub(crate) mod journal;
mod load;
pub(crate) mod message;
mod notify;
pub(crate) mod objects;
mod published;
pub(crate) mod replay;
pub(crate) mod replica;
mod signatures;
mod tail;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use tokio::sync::{oneshot, watch};

use self::disk::Layout;
use self::engine::{Command, Engine, Reply};
use self::failure::Failure;
use self::follow::{Follower, Readers, ended};
use self::journal::{Journal, StoredTip};
use self::notify::Waker;
use self::objects::Fingerprint;
use self::published::Published;
use self::replica::Replica;
use self::verify::Verification;
use super::{Cursor, Error, Ledger, Receipt, Result, SequencedEvent, Snapshot};
use crate::contract::{Attestation, Call, NoAttestation, Request};
use crate::crypto::{Signer, check_not_writable, create_new_private, random_array, sync_directory};
use crate::types::{Address, Digest, RequestId, TokenId};
use crate::wire::Deployment;

pub use self::archive::{
    ArchiveOptions, Archived, ArchivedEvents, CheckpointMessage, SignedCheckpoint,
};
pub use self::failure::BrokenLink;
pub use self::message::{
    Genesis, Head, HeadMessage, InvalidHead, LocalCall, MAX_CALL_BYTES, MAX_VALIDITY_MS, PACKAGE,
    SignedCall, SignedHead,
};

/// A ledger in a directory of this machine, seen from one account.
///
/// Cloning shares the state, the thread that writes and the account; [`LocalLedger::with_signer`] all but
/// the account. Any number of processes may have the same directory open. Needs a tokio runtime where
/// it is awaited, none where it is opened. The thread ends when the last clone and the last event
/// stream are gone.
#[derive(Clone)]
pub struct LocalLedger {
    inner: Arc<Inner>,
    signer: Arc<dyn Signer>,
    account: Address,
}

/// How a process uses a local ledger.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Bytes that must stay free on the disk; below, only answers and revocations are taken. Default 64 MiB.
    pub reserve_bytes: u64,
    /// Calls that may wait at once until they are verified, and as many until they are written; more are refused as
    /// [`Error::Busy`]. Default 1,024.
    pub queue: usize,
    /// How long a call is good for after it was signed, at most 10 minutes. Default 1 minute.
    pub validity: Duration,
    /// The wall clock, Unix milliseconds. Default: the system's.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Verifies attestation documents; every process and every verification needs the same. Default:
    /// none is genuine.
    pub attestation: Arc<dyn Attestation>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reserve_bytes: 64 << 20,
            queue: 1_024,
            validity: Duration::from_secs(60),
            clock: Arc::new(wall_clock_ms),
            attestation: Arc::new(NoAttestation),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("reserve_bytes", &self.reserve_bytes)
            .field("queue", &self.queue)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// What all clones share.
struct Inner {
    layout: Layout,
    deployment: Deployment,
    options: Options,
    published: Arc<Published>,
    progress: watch::Receiver<u64>,
    commands: Arc<Commands>,
    verification: Verification,
    readers: Arc<Readers>,
    last_signed: Mutex<Option<SignedHead>>,
}

impl LocalLedger {
    /// Makes a new ledger in `dir`, which is created if it is not there, and opens it.
    ///
    /// `signer` signs the genesis and is the account of what is returned.
    ///
    /// # Errors
    /// - [`Error::AlreadyExists`]: there is a ledger, or a part of one.
    /// - [`Error::Invalid`]: the funds cannot be, or the directory is on a network file system.
    /// - [`Error::Signer`].
    pub async fn create(
        dir: impl AsRef<Path>,
        genesis: Genesis,
        signer: Arc<dyn Signer>,
    ) -> Result<Self> {
        Self::create_with(dir, genesis, signer, Options::default()).await
    }

    /// The same with other [`Options`].
    ///
    /// # Errors
    /// As [`LocalLedger::create`].
    pub async fn create_with(
        dir: impl AsRef<Path>,
        genesis: Genesis,
        signer: Arc<dyn Signer>,
        options: Options,
    ) -> Result<Self> {
        let layout = Layout::new(dir.as_ref());
        disk::create_directory(&layout.dir).map_err(Failure::io("make the ledger's directory"))?;
        refuse_network(&layout)?;
        if layout.has_traces() {
            return Err(already_exists(&layout));
        }
        let time_ms = (options.clock)();
        let replica = Replica::at_genesis(&genesis, time_ms).map_err(Error::Invalid)?;
        let message = HeadMessage {
            sequence: 0,
            time_ms,
            head: replica.tip.head(),
            previous: Digest::ZERO,
        };
        let head = SignedHead::sign(&replica.deployment, message, &*signer)
            .await
            .map_err(Error::Signer)?;
        let tip = StoredTip {
            calls: 0,
            events: 0,
            time_ms,
            link: replica.tip.link,
            heads: 1,
            last_head: head.digest(),
            fingerprint: Fingerprint::of(&replica),
        };
        write_new(&layout, &genesis, &head, &tip)?;
        Self::open_with(dir, signer, options)
    }

    /// Opens the ledger in `dir` as `signer`'s account. Reads its state, so it takes some
    /// milliseconds, and more the more requests there are.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: there is nothing of a ledger.
    /// - [`Error::Corrupt`]: its database is missing, torn, foreign or edited.
    /// - [`Error::Version`]: it is of another version.
    /// - [`Error::Invalid`]: it lies on a network file system.
    pub fn open(dir: impl AsRef<Path>, signer: Arc<dyn Signer>) -> Result<Self> {
        Self::open_with(dir, signer, Options::default())
    }

    /// The same with other [`Options`].
    ///
    /// # Errors
    /// As [`LocalLedger::open`].
    pub fn open_with(
        dir: impl AsRef<Path>,
        signer: Arc<dyn Signer>,
        options: Options,
    ) -> Result<Self> {
        let layout = Layout::new(dir.as_ref());
        expect_database(&layout)?;
        check_not_writable(&layout.database())
            .map_err(|error| Error::Corrupt(error.to_string()))?;
        refuse_network(&layout)?;
        let (engine, published, progress) = Engine::open(layout.clone(), options.clone())?;
        let waker = engine.waker()?;
        let deployment = engine.deployment();
        let queue = options.queue.max(1);
        let (commands, waiting) = mpsc::sync_channel(queue);
        let commands = Arc::new(Commands {
            sender: Some(commands),
            waker,
        });
        let verification =
            Verification::before(commands.clone(), queue, deployment, published.clone())?;
        let inner = Arc::new(Inner {
            readers: Readers::new(layout.clone()),
            layout,
            deployment,
            options,
            published,
            progress,
            verification,
            commands,
            last_signed: Mutex::new(None),
        });
        spawn("ledger", move || engine.run(&waiting))?;
        Ok(Self {
            inner,
            account: signer.address(),
            signer,
        })
    }

    /// Whether there is a ledger in `dir`, or a part of one that [`LocalLedger::open`] will refuse.
    #[must_use]
    pub fn exists(dir: impl AsRef<Path>) -> bool {
        Layout::new(dir.as_ref()).has_traces()
    }

    /// The same ledger seen from another account.
    #[must_use]
    pub fn with_signer(&self, signer: Arc<dyn Signer>) -> Self {
        Self {
            inner: self.inner.clone(),
            account: signer.address(),
            signer,
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.layout.dir
    }

    /// Signs a call without submitting it, so that its bytes can be kept first and submitted again.
    ///
    /// # Errors
    /// [`Error::Signer`].
    pub async fn sign(&self, call: Call) -> Result<SignedCall> {
        let validity = u64::try_from(self.inner.options.validity.as_millis()).unwrap_or(u64::MAX);
        let not_after_ms = self.inner.now_ms() + validity.min(MAX_VALIDITY_MS - CLOCK_SLACK_MS);
        SignedCall::sign(&self.inner.deployment, call, not_after_ms, &*self.signer)
            .await
            .map_err(Error::Signer)
    }

    /// Submits a signed call, whoever signed it; the same bytes again give the first receipt.
    ///
    /// # Errors
    /// As [`Ledger::call`]; [`Error::Invalid`] also for bytes signed for another ledger, a signature that
    /// is not the sender's, and a call whose time is over.
    pub async fn submit(&self, signed: SignedCall) -> Result<Receipt> {
        let (reply, answer) = oneshot::channel();
        self.inner.verification.submit(signed, reply)?;
        answer.await.map_err(|_| ended())?
    }

    /// How far this process has followed. Kept elsewhere, it proves all that came before.
    #[must_use]
    pub fn head(&self) -> Head {
        self.inner.published.read().head()
    }

    /// Signs the current head with this account's key and stores it beside the log; the last one again
    /// if nothing was written since.
    ///
    /// # Errors
    /// Those of [`Ledger::call`]; [`Error::Busy`] when other processes were always faster.
    pub async fn sign_head(&self) -> Result<SignedHead> {
        for _ in 0..HEAD_ATTEMPTS {
            self.inner.sync().await?;
            let mut message = {
                let view = self.inner.published.read();
                HeadMessage {
                    sequence: view.heads,
                    time_ms: self.inner.now_at_least(view.tip.time_ms),
                    head: view.head(),
                    previous: view.last_head,
                }
            };
            let last = *self.last_signed();
            if let Some(last) = last
                && last.message.head == message.head
                && last.key == self.signer.public_key()
            {
                return Ok(last);
            }
            let heads = message.sequence;
            let find = move |journal: &Journal| journal.head_before(heads);
            let before = self.inner.readers.with(find).await?.message;
            // Clocks step back, and heads that do would be no proof.
            message.time_ms = message.time_ms.max(before.time_ms);
            let signed = SignedHead::sign(&self.inner.deployment, message, &*self.signer)
                .await
                .map_err(Error::Signer)?;
            let command = |reply| Command::Head(Box::new(signed), reply);
            if self.inner.ask(command).await? {
                *self.last_signed() = Some(signed);
                return Ok(signed);
            }
        }
        Err(Error::Busy)
    }

    /// Signs heads for ever, one each `interval` in which something was written. Ends with the task it
    /// runs in; what goes wrong is logged and tried again.
    pub async fn keep_signing_heads(self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = self.sign_head().await {
                tracing::warn!(%error, "no head was signed");
            }
        }
    }

    /// Milliseconds by which ledger time is ahead of this machine's clock: more than a little means that a
    /// clock was wrong, here or when somebody wrote.
    #[must_use]
    pub fn clock_behind_ms(&self) -> u64 {
        let time_ms = self.inner.published.read().tip.time_ms;
        time_ms.saturating_sub((self.inner.options.clock)())
    }

    /// Writes a copy of the whole ledger, as of one moment, into a directory that is empty or not there.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], and whatever disks do.
    pub async fn copy_to(&self, dir: impl AsRef<Path>) -> Result<()> {
        let layout = Layout::new(dir.as_ref());
        disk::create_directory(&layout.dir).map_err(Failure::io("make the copy's directory"))?;
        if layout.has_traces() {
            return Err(already_exists(&layout));
        }
        let database = layout.database();
        create_new_private(&database).map_err(Failure::io("make the copy"))?;
        let copy = move |journal: &Journal| {
            // A vacuum runs in no transaction.
            journal.roll_back();
            journal.copy_to(&database)
        };
        self.inner.readers.with(copy).await
    }

    /// How many answered requests lie in the database alone: [`Ledger::request`] finds them, the state that
    /// [`Ledger::read`] shows does not have them.
    #[must_use]
    pub fn requests_at_rest(&self) -> usize {
        self.inner.published.read().cold.len()
    }

    fn last_signed(&self) -> std::sync::MutexGuard<'_, Option<SignedHead>> {
        let last = self.inner.last_signed.lock();
        last.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for LocalLedger {
    async fn call(&self, call: Call) -> Result<Receipt> {
        let signed = self.sign(call).await?;
        self.submit(signed).await
    }

    fn events(&self, cursor: Cursor) -> BoxStream<'static, Result<SequencedEvent>> {
        let inner = self.inner.clone();
        let follower = Follower::new(inner, self.inner.progress.clone(), cursor);
        Box::pin(futures_util::stream::unfold(
            follower,
            |mut follower| async move { Some((follower.next().await, follower)) },
        ))
    }

    async fn before(&self, time_ms: u64) -> Result<Cursor> {
        let find = move |journal: &Journal| journal.events_before(time_ms);
        let major = self.inner.readers.with(find).await?;
        Ok(Cursor { major, minor: 0 })
    }

    fn read(&self, reader: &mut dyn FnMut(&Snapshot<'_>)) {
        let view = self.inner.published.read();
        reader(&Snapshot {
            state: &view.state,
            cursor: Cursor {
                major: view.tip.events,
                minor: 0,
            },
            now_ms: self.inner.now_at_least(view.tip.time_ms),
        });
    }

    async fn sync(&self) -> Result<Cursor> {
        self.inner.sync().await
    }

    async fn receipt(&self, call: Digest) -> Result<Option<Receipt>> {
        let find = move |journal: &Journal| match journal.call_by_digest(call)? {
            Some(row) => {
                let sequence = u64::try_from(row.sequence).unwrap_or_default();
                engine::receipt(journal, sequence).map(Some)
            }
            None => Ok(None),
        };
        self.inner.readers.with(find).await
    }

    async fn request(&self, token: TokenId, id: RequestId) -> Result<Option<Request>> {
        let row = {
            let view = self.inner.published.read();
            if let Some(request) = view.state.request(token, id) {
                return Ok(Some(request.clone()));
            }
            view.cold.clone()
        };
        let row = row.get(token, id)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let find = move |journal: &Journal| cold::load(journal, token, id, row);
        self.inner.readers.with(find).await
    }

    fn prunable(&self, limit: usize) -> Vec<(TokenId, RequestId)> {
        let (cold, now_ms) = {
            let view = self.inner.published.read();
            let now_ms = self.inner.now_at_least(view.tip.time_ms);
            (view.cold.clone(), now_ms)
        };
        let mut prunable = cold.prunable(now_ms, limit).unwrap_or_else(|error| {
            tracing::warn!(%error, "what may be pruned is not known now");
            Vec::new()
        });
        let known: HashSet<_> = prunable.iter().copied().collect();
        let view = self.inner.published.read();
        let rest = view.state.prunable(now_ms);
        // Some may have gone from there to here meanwhile.
        prunable.extend(rest.filter(|request| !known.contains(request)));
        prunable.truncate(limit);
        prunable
    }

    async fn balance(&self, account: Address) -> Result<u64> {
        let view = self.inner.published.read();
        Ok(view.balances.get(&account).copied().unwrap_or_default())
    }

    fn deployment(&self) -> Deployment {
        self.inner.deployment
    }

    fn account(&self) -> Address {
        self.account
    }
}

impl fmt::Display for LocalLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local ledger in {}", self.dir().display())
    }
}

impl fmt::Debug for LocalLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalLedger")
            .field("dir", &self.dir())
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Inner {
    async fn sync(&self) -> Result<Cursor> {
        self.ask(Command::Sync).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply))?;
        answer.await.map_err(|_| ended())?
    }

    fn now_ms(&self) -> u64 {
        let time_ms = self.published.read().tip.time_ms;
        self.now_at_least(time_ms)
    }

    fn now_at_least(&self, time_ms: u64) -> u64 {
        time_ms.max((self.options.clock)())
    }
}

/// What the engine is asked, and what wakes it. The engine ends when this is dropped.
#[derive(Debug)]
struct Commands {
    sender: Option<SyncSender<Command>>,
    waker: Option<Waker>,
}

impl Commands {
    fn send(&self, command: Command) -> Result<()> {
        let sender = self.sender.as_ref().ok_or_else(ended)?;
        sender.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Disconnected(_) => ended(),
        })?;
        self.wake();
        Ok(())
    }

    /// The same, waiting for room. Whoever would hear that the engine has ended hears it by its dropped reply.
    fn send_waiting(&self, command: Command) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(command);
            self.wake();
        }
    }

    /// Whether it waits for something to do.
    fn is_idle(&self) -> bool {
        self.waker.as_ref().is_none_or(Waker::is_asleep)
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.sender = None;
        self.wake();
    }
}

/// Writes the database beside its place and then puts it there, unless somebody else was faster.
fn write_new(
    layout: &Layout,
    genesis: &Genesis,
    head: &SignedHead,
    tip: &StoredTip,
) -> std::result::Result<(), Error> {
    let suffix = hex::encode(random_array::<8>());
    let temporary = layout.dir.join(format!("ledger.db.{suffix}.new"));
    let written = (|| -> std::result::Result<(), Failure> {
        create_new_private(&temporary).map_err(Failure::io("make the database"))?;
        Journal::create(&temporary, genesis, head, tip)?;
        match std::fs::hard_link(&temporary, layout.database()) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(already_exists(layout).into())
            }
            linked => linked.map_err(Failure::io("put the database in its place")),
        }
    })();
    let removed = std::fs::remove_file(&temporary);
    written?;
    removed
        .and_then(|()| disk::create_directory(&layout.followers()))
        .and_then(|()| disk::open_lock(&layout.lock()).map(drop))
        .and_then(|()| sync_directory(&layout.dir))
        .map_err(Failure::io("complete the ledger's directory"))?;
    Ok(())
}

pub(crate) fn expect_database(layout: &Layout) -> Result<()> {
    let dir = layout.dir.display();
    if !layout.has_traces() {
        return Err(Error::NotFound(dir.to_string()));
    }
    match std::fs::metadata(layout.database()) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => Ok(()),
        Ok(_) => Err(Error::Corrupt(format!("ledger.db in {dir} is empty"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Corrupt(format!(
            "ledger.db is missing from {dir}, which was a ledger"
        ))),
        Err(error) => Err(Failure::io("look at the database")(error).into()),
    }
}

fn refuse_network(layout: &Layout) -> Result<()> {
    let file_system = disk::network_file_system(&layout.dir)
        .map_err(Failure::io("ask for the file system of the ledger"))?;
    match file_system {
        Some(name) => Err(Error::Invalid(format!(
            "{} lies on {name}, a network file system, where several processes would damage a ledger",
            layout.dir.display()
        ))),
        None => Ok(()),
    }
}

fn already_exists(layout: &Layout) -> Error {
    Error::AlreadyExists(layout.dir.display().to_string())
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread
        .spawn(work)
        .map(drop)
        .map_err(|source| Failure::io("start a thread")(source).into())
}

/// Unix milliseconds, by this machine's clock.
pub(crate) fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Another process' clock may be behind the one that signed by so much.
const CLOCK_SLACK_MS: u64 = 30_000;

/// Others sign heads too, but not all the time.
const HEAD_ATTEMPTS: usize = 16;
