//! The one thread of a process that writes, and that follows what others write.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::cold::{self, Cold, Row};
use super::disk::{self, Growing, Layout};
use super::failure::{BrokenLink, Failure};
use super::journal::{CallRow, Journal, StoredTip};
use super::load::{Loaded, load, load_within};
use super::message::{LocalCall, SignedCall, SignedHead};
use super::notify::{Neighbours, Waker, Woken};
use super::objects::{self, Fingerprint, Sum, Table};
use super::published::{End, Final, Published};
use super::replay::{PAGE, Replay, number};
use super::replica::{Entry, Refusal, Replica};
use super::signatures::{Answered, Deferred, Question};
use super::{Options, tail};
use crate::contract::Call;
use crate::crypto::BatchVerifier;
use crate::ledger::{Cursor, Error, Receipt, Result};
use crate::types::{Digest, RequestId, TokenId};
use crate::wire::{Deployment, to_bcs};

/// What the engine is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Call(Box<Submission>),
    /// Answers whether it was the next one; if not, somebody else was faster.
    Head(Box<SignedHead>, Reply<bool>),
    Sync(Reply<Cursor>),
    /// Somebody else wrote something.
    Notice,
}

/// A signed call and who waits for what becomes of it.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) signed: SignedCall,
    pub(super) digest: Digest,
    /// Whether the signature is the key's.
    pub(super) is_genuine: bool,
    /// What was signed, or what it is instead of a call.
    pub(super) message: std::result::Result<LocalCall, &'static str>,
    /// What is known of the signatures within.
    pub(super) answered: Answered,
    pub(super) reply: Reply<Receipt>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

#[derive(Debug)]
pub(super) struct Engine {
    journal: Journal,
    /// The database and its write-ahead log, as SQLite has them open. Nothing ever leaves the database, and the
    /// log is written from its beginning again, never cut.
    files: [Growing; 2],
    layout: Layout,
    lock: Arc<File>,
    options: Options,
    /// Ahead of what is published while a batch is being written.
    replica: Replica,
    heads: u64,
    last_head: Digest,
    fingerprint: Fingerprint,
    /// Cold requests that the calls of this batch name, in `replica` meanwhile.
    warmed: HashMap<(TokenId, RequestId), Row>,
    /// Requests answered last, oldest first, in memory still.
    answered: VecDeque<(TokenId, RequestId)>,
    /// Whether `replica` may hold what is not on disk.
    is_stale: bool,
    published: Arc<Published>,
    progress: watch::Sender<u64>,
    neighbours: Option<Neighbours>,
}

/// What is written together.
#[derive(Debug, Default)]
struct Batch {
    calls: Vec<Submission>,
    heads: Vec<(Box<SignedHead>, Reply<bool>)>,
    syncs: Vec<Reply<Cursor>>,
}

/// What became of one submission of a batch.
enum Outcome {
    /// It is this one of the batch's final calls.
    Final(usize),
    /// It was final before.
    Known(Receipt),
    Refused(Error),
}

impl Engine {
    /// Reads what is on disk, and checks it as far as that is quick.
    pub(super) fn open(
        layout: Layout,
        options: Options,
    ) -> std::result::Result<(Self, Arc<Published>, watch::Receiver<u64>), Failure> {
        let journal = Journal::open(&layout)?;
        journal.check_pages_at_start()?;
        let loaded = load(&journal, &layout)?;
        // Reading has made the log, if it was not there.
        let files = [layout.database(), layout.log()].map(|path| Growing::at(&path));
        let [database, log] = files.map(|file| file.map_err(Failure::io("look at the database")));
        disk::create_directory(&layout.followers())
            .map_err(Failure::io("make the directory of followers"))?;
        let lock = disk::open_lock(&layout.lock()).map_err(Failure::io("open the lock file"))?;
        let neighbours = match Neighbours::join(&layout.followers(), RECHECK) {
            Ok(neighbours) => Some(neighbours),
            Err(error) => {
                // Slower, but nothing is lost: the re-check finds what was written.
                tracing::warn!(%error, "no notices from other processes");
                None
            }
        };
        let published = Published::new(
            &loaded.replica,
            loaded.cold,
            loaded.stored.heads,
            loaded.stored.last_head,
        );
        let published = Arc::new(published);
        let (progress, followed) = watch::channel(loaded.replica.tip.events);
        let engine = Self {
            journal,
            files: [database?, log?],
            layout,
            lock: Arc::new(lock),
            options,
            replica: loaded.replica,
            heads: loaded.stored.heads,
            last_head: loaded.stored.last_head,
            fingerprint: loaded.stored.fingerprint,
            warmed: HashMap::new(),
            answered: VecDeque::new(),
            is_stale: false,
            published: published.clone(),
            progress,
            neighbours,
        };
        Ok((engine, published, followed))
    }

    pub(super) fn deployment(&self) -> Deployment {
        self.replica.deployment
    }

    /// What wakes it after it was asked for something; nothing if asking does.
    pub(super) fn waker(&self) -> std::result::Result<Option<Waker>, Failure> {
        let waker = self.neighbours.as_ref().map(Neighbours::waker);
        waker
            .transpose()
            .map_err(Failure::io("reach the socket of this process"))
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        while let Some(first) = self.wait(commands) {
            let mut batch = Batch::default();
            batch.push(first);
            while batch.calls.len() < MAX_BATCH
                && let Ok(command) = commands.try_recv()
            {
                batch.push(command);
            }
            if batch.calls.is_empty() && batch.heads.is_empty() {
                let followed = self.follow();
                let followed = followed.map_err(|failure| self.fail(failure));
                batch.answer_syncs(&followed, self.cursor());
            } else {
                self.write(batch);
            }
        }
    }

    /// What is to be done next; nothing once nobody can ask any more.
    fn wait(&self, commands: &Receiver<Command>) -> Option<Command> {
        let Some(neighbours) = &self.neighbours else {
            return match commands.recv_timeout(RECHECK) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => Some(Command::Notice),
                Err(RecvTimeoutError::Disconnected) => None,
            };
        };
        let look = || match commands.try_recv() {
            Ok(command) => Some(Some(command)),
            Err(TryRecvError::Disconnected) => Some(None),
            Err(TryRecvError::Empty) => None,
        };
        loop {
            if let Some(command) = look() {
                return command;
            }
            match neighbours.wait(look) {
                Ok(command) => return command,
                Err(Woken::Notice) => return Some(Command::Notice),
                Err(Woken::Here) => {}
            }
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor {
            major: self.replica.tip.events,
            minor: 0,
        }
    }

    /// Applies what others wrote.
    pub(super) fn follow(&mut self) -> std::result::Result<(), Failure> {
        self.check_files()?;
        self.refresh()?;
        let stored = self.journal.tip()?;
        if stored.tip() == self.replica.tip && stored.heads == self.heads {
            return Ok(());
        }
        loop {
            self.journal.begin_reading()?;
            let followed = self.catch_up();
            // Nothing of it is kept open while waiting.
            self.journal.roll_back();
            if followed? {
                return Ok(());
            }
        }
    }

    /// Applies a page of what others wrote, within a transaction; whether it was the last.
    fn catch_up(&mut self) -> std::result::Result<bool, Failure> {
        let stored = self.journal.tip()?;
        let missing = stored.calls.checked_sub(self.replica.tip.calls);
        let Some(missing) = missing else {
            let why = format!(
                "it ends at call {}, but call {} was there",
                stored.calls, self.replica.tip.calls
            );
            return Err(BrokenLink::database(why).into());
        };
        if missing > 0 && self.is_behind_the_archive()? {
            // Nothing leads from here to there any more but the tables, as for one who is started.
            tracing::warn!("what this process had not followed yet was archived meanwhile");
            let loaded = load_within(&self.journal, &self.layout)?;
            self.take_loaded(loaded);
            return Ok(true);
        }
        if missing > 0 {
            self.is_stale = true;
            let (last_call, last_event) = (self.replica.tip.calls, self.replica.tip.events);
            let deferred = Deferred::default();
            let mut replay = Replay::after(
                &self.journal,
                &*self.options.attestation,
                &deferred,
                number(last_call),
                number(last_event),
            );
            let count = usize::try_from(missing).unwrap_or(PAGE).min(PAGE);
            let mut calls = Vec::with_capacity(count);
            let mut questions = Vec::new();
            while calls.len() < count {
                let (published, warmed) = (&self.published, &mut self.warmed);
                let journal = &self.journal;
                let warm = |call: &Call, replica: &mut Replica| {
                    cold::warm(journal, published, warmed, call, replica)
                };
                let Some(replayed) = replay.step_with(&mut self.replica, warm)? else {
                    let call = self.replica.tip.calls + 1;
                    return Err(BrokenLink::new("call", call, "is missing").into());
                };
                let asked = deferred.take().into_iter();
                questions.extend(asked.map(|question| (replayed.row.sequence, question)));
                calls.push(Final {
                    digest: replayed.row.digest,
                    time_ms: replayed.row.time_ms,
                    applied: replayed.applied,
                });
            }
            check(&questions)?;
            self.update_fingerprint(&calls);
            if self.replica.tip.calls == stored.calls {
                self.agree(&stored)?;
            }
            self.publish(&calls);
            self.is_stale = false;
        } else if self.replica.tip != stored.tip() {
            return Err(BrokenLink::new("meta", "tip", "it is not that of the last call").into());
        }
        let is_last = self.replica.tip.calls == stored.calls;
        if is_last {
            self.heads = stored.heads;
            self.last_head = stored.last_head;
            self.publish_heads();
        }
        Ok(is_last)
    }

    fn agree(&self, stored: &StoredTip) -> std::result::Result<(), Failure> {
        if self.replica.tip != stored.tip() {
            return Err(BrokenLink::new("meta", "tip", "it is not that of the last call").into());
        }
        if self.fingerprint != stored.fingerprint {
            let why = "its fingerprint is not that of the state after the last call";
            return Err(BrokenLink::new("meta", "tip", why).into());
        }
        Ok(())
    }

    /// Writes a batch and answers everyone in it.
    fn write(&mut self, mut batch: Batch) {
        let mut calls = Vec::new();
        match self.write_batch(&mut batch, &mut calls) {
            Ok((outcomes, heads)) => {
                let receipt = |call: &Final| Receipt {
                    call: call.digest,
                    timestamp_ms: call.time_ms,
                    events: call.events(),
                };
                for (submission, outcome) in batch.calls.into_iter().zip(outcomes) {
                    // Whoever has gone away does not need it.
                    let _ = submission.reply.send(match outcome {
                        Outcome::Final(index) => Ok(receipt(&calls[index])),
                        Outcome::Known(receipt) => Ok(receipt),
                        Outcome::Refused(error) => Err(error),
                    });
                }
                for ((_, reply), outcome) in batch.heads.into_iter().zip(heads) {
                    let _ = reply.send(outcome);
                }
                let cursor = self.cursor();
                for reply in batch.syncs {
                    let _ = reply.send(Ok(cursor));
                }
            }
            Err(failure) => {
                self.journal.roll_back();
                let error = self.fail(failure);
                for submission in batch.calls {
                    let _ = submission.reply.send(Err(repeat(&error)));
                }
                for (_, reply) in batch.heads {
                    let _ = reply.send(Err(repeat(&error)));
                }
                for reply in batch.syncs {
                    let _ = reply.send(Err(repeat(&error)));
                }
            }
        }
    }

    fn write_batch(
        &mut self,
        batch: &mut Batch,
        calls: &mut Vec<Final>,
    ) -> std::result::Result<(Vec<Outcome>, Vec<Result<bool>>), Failure> {
        self.refresh()?;
        let queue = Locked::wait(&self.lock)?;
        self.check_files()?;
        self.journal.begin()?;
        while !self.catch_up()? {}

        let is_low = self.is_disk_low()?;
        let time_ms = self.replica.tip.time_ms.max((self.options.clock)());
        let mut by_digest = HashMap::new();
        let mut outcomes = Vec::with_capacity(batch.calls.len());
        self.is_stale = true;
        for submission in &batch.calls {
            let signed = &submission.signed;
            let digest = submission.digest;
            let message = match Self::acceptable(submission, is_low) {
                Ok(message) => message,
                Err(error) => {
                    outcomes.push(Outcome::Refused(error));
                    continue;
                }
            };
            if let Some(index) = by_digest.get(&digest) {
                outcomes.push(Outcome::Final(*index));
                continue;
            }
            if let Some(row) = self.journal.call_until(message.not_after_ms, digest)? {
                let sequence = u64::try_from(row.sequence).unwrap_or_default();
                // One of this very batch would be in `by_digest`.
                outcomes.push(Outcome::Known(receipt(&self.journal, sequence)?));
                continue;
            }
            let entry = Entry {
                message,
                digest,
                key: &signed.key,
                signature: &signed.signature,
                time_ms,
            };
            cold::warm(
                &self.journal,
                &self.published,
                &mut self.warmed,
                &message.call,
                &mut self.replica,
            )?;
            match self
                .replica
                .apply(&entry, &*self.options.attestation, &submission.answered)
            {
                Ok(applied) => {
                    self.journal.insert_call(&CallRow {
                        sequence: number(applied.sequence),
                        time_ms,
                        sender: applied.sender,
                        key: signed.key,
                        signature: signed.signature,
                        digest,
                        first_event: applied.first_event,
                        event_count: u64::try_from(applied.events.len()).unwrap_or(u64::MAX),
                        link: applied.link,
                        signed: signed.bytes.clone(),
                    })?;
                    self.journal.insert_events(&applied)?;
                    by_digest.insert(digest, calls.len());
                    outcomes.push(Outcome::Final(calls.len()));
                    calls.push(Final {
                        digest,
                        time_ms,
                        applied,
                    });
                }
                Err(refusal) => outcomes.push(Outcome::Refused(refusal.into())),
            }
        }
        let mut stored_heads = Vec::with_capacity(batch.heads.len());
        let (mut heads, mut last_head) = (self.heads, self.last_head);
        for (head, _) in &batch.heads {
            let outcome = self.check_head(head, heads, last_head)?;
            if let Ok(true) = outcome {
                self.journal.insert_head(head)?;
                heads += 1;
                last_head = head.digest();
            }
            stored_heads.push(outcome);
        }

        if calls.is_empty() && heads == self.heads {
            self.journal.roll_back();
            self.cool();
            self.is_stale = false;
            return Ok((outcomes, stored_heads));
        }
        self.persist(calls, heads, last_head)?;
        crash_point!(LedgerBeforeCommit);
        self.journal.commit()?;
        crash_point!(LedgerCommitted);
        // What is acknowledged lies where the next one to open the ledger finds it.
        self.check_files()?;
        self.is_stale = false;
        drop(queue);
        self.heads = heads;
        self.last_head = last_head;
        self.publish(calls);
        self.publish_heads();
        crash_point!(LedgerPublished);
        if let Some(neighbours) = &self.neighbours {
            neighbours.notify();
        }
        crash_point!(LedgerNotified);
        Ok((outcomes, stored_heads))
    }

    /// What was signed, if it may be applied as far as that does not depend on the state.
    fn acceptable(submission: &Submission, is_low: bool) -> Result<&LocalCall> {
        let message = submission.message.as_ref();
        let message = message.map_err(|why| Error::Invalid((*why).to_owned()))?;
        if !submission.is_genuine {
            let why = "its signature is not its sender's";
            return Err(Error::Invalid(why.to_owned()));
        }
        if is_low && is_new_work(&message.call) {
            return Err(Error::DiskReserve);
        }
        Ok(message)
    }

    /// Whether a signed head is the next one, and true.
    fn check_head(
        &self,
        signed: &SignedHead,
        heads: u64,
        last_head: Digest,
    ) -> std::result::Result<Result<bool>, Failure> {
        let message = &signed.message;
        let invalid = |why: &str| Ok(Err(Error::Invalid(why.to_owned())));
        if message.sequence != heads || message.previous != last_head {
            return Ok(Ok(false));
        }
        if !signed.is_genuine(&self.replica.deployment) {
            return invalid("the head's signature is not its key's");
        }
        if message.head.calls > self.replica.tip.calls {
            return invalid("the head is ahead of the ledger");
        }
        let link = if message.head.calls == self.replica.tip.calls {
            self.replica.tip.link
        } else {
            self.journal.link_after(message.head.calls)?
        };
        if link != message.head.link {
            return invalid("the head is not of this ledger");
        }
        let last = self.journal.head_before(heads)?.message;
        if message.head.calls < last.head.calls {
            return invalid("the head stands for less than the head before it");
        }
        let is_tip = message.head.calls == self.replica.tip.calls;
        if message.time_ms < last.time_ms || is_tip && message.time_ms < self.replica.tip.time_ms {
            return invalid("the head's time lies before what it stands for");
        }
        Ok(Ok(true))
    }

    /// Writes what a batch amounts to beside its calls and events.
    fn persist(
        &mut self,
        calls: &[Final],
        heads: u64,
        last_head: Digest,
    ) -> std::result::Result<(), Failure> {
        for (table, id, bytes) in self.update_fingerprint(calls) {
            self.journal.put_object(table, &id, bytes.as_deref())?;
        }
        for call in calls {
            for account in &call.applied.accounts {
                let mist = self.replica.balances.get(account).copied();
                self.journal
                    .put_balance(*account, mist.unwrap_or_default())?;
            }
        }
        let tip = self.replica.tip;
        self.journal.put_tip(&StoredTip {
            calls: tip.calls,
            events: tip.events,
            time_ms: tip.time_ms,
            link: tip.link,
            heads,
            last_head,
            fingerprint: self.fingerprint,
        })
    }

    /// Brings the fingerprint from what is published to what the engine has; the rows that differ.
    fn update_fingerprint(
        &mut self,
        calls: &[Final],
    ) -> Vec<(objects::Table, Vec<u8>, Option<Vec<u8>>)> {
        let touched = self.replica.state.take_touched();
        let view = self.published.read();
        let mut rows = Vec::new();
        for (table, id) in objects::ids(&touched) {
            let key = match table {
                Table::Requests => objects::parse_request_row(&id),
                _ => None,
            };
            let warmed = key.and_then(|key| self.warmed.get(&key));
            if let Some(old) = warmed {
                self.fingerprint.toggle_sum(old.sum);
            } else if let Some(old) = objects::object_bytes(&view.state, table, &id) {
                self.fingerprint.toggle(table.singular(), &id, &old);
            }
            let new = objects::object_bytes(&self.replica.state, table, &id);
            if let Some(new) = &new {
                self.fingerprint.toggle(table.singular(), &id, new);
            }
            let is_answered = |(token, id): &(TokenId, RequestId)| {
                let request = self.replica.state.request(*token, *id);
                request.is_some_and(cold::is_cold)
            };
            self.answered.extend(key.filter(is_answered));
            rows.push((table, id, new));
        }
        let mut accounts: Vec<_> = calls
            .iter()
            .flat_map(|call| call.applied.accounts.iter().copied())
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            let mist = |balances: &std::collections::BTreeMap<_, u64>| {
                balances.get(&account).copied().unwrap_or_default()
            };
            self.fingerprint
                .toggle_balance(account, mist(&view.balances));
            self.fingerprint
                .toggle_balance(account, mist(&self.replica.balances));
        }
        rows
    }

    fn publish(&mut self, calls: &[Final]) {
        if !calls.is_empty() {
            let events = calls.iter().flat_map(Final::sized_events).collect();
            self.published.write().advance(&self.replica, calls, events);
            self.progress.send_replace(self.replica.tip.events);
        }
        self.cool();
    }

    /// Takes requests out of memory: those that were there for one batch, and those answered longest ago.
    fn cool(&mut self) {
        if self.warmed.is_empty() && self.answered.len() < HOT + COOLED_AT_ONCE {
            return;
        }
        let cold = self.published.read().cold.clone();
        if let Err(error) = self.unload(&cold) {
            // What is in the tables is read again before anything else is done.
            tracing::warn!(error = %Error::from(error), "answered requests are indexed anew");
        }
    }

    fn unload(&mut self, cold: &Cold) -> std::result::Result<(), Failure> {
        let state = &mut self.replica.state;
        let mut gone = Vec::new();
        let view = self.published.read();
        for (token, id) in std::mem::take(&mut self.warmed).into_keys() {
            // Pruned, and perhaps admitted anew; else it is as it was.
            match state.request(token, id) {
                Some(request)
                    if cold::is_cold(request) && view.state.request(token, id).is_none() =>
                {
                    state.unload_request(token, id);
                }
                _ => gone.push((token, id)),
            }
        }
        drop(view);
        cold.remove(&gone)?;
        if self.answered.len() < HOT + COOLED_AT_ONCE {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(COOLED_AT_ONCE);
        for (token, id) in self.answered.drain(..COOLED_AT_ONCE) {
            let row_id = objects::request_row(token, id);
            let Some(request) = state.request(token, id).filter(|r| cold::is_cold(r)) else {
                // Not answered yet, or pruned.
                continue;
            };
            let row = Row {
                prunable_at_ms: request.prunable_at_ms,
                sum: Sum::of(Table::Requests.singular(), &row_id, &to_bcs(request)),
            };
            rows.push((token, id, row));
        }
        // First, so that they are always found.
        cold.insert(&rows)?;
        let mut view = self.published.write();
        for (token, id, _) in rows {
            state.unload_request(token, id);
            view.state.unload_request(token, id);
        }
        Ok(())
    }

    fn publish_heads(&self) {
        let mut view = self.published.write();
        view.heads = self.heads;
        view.last_head = self.last_head;
    }

    /// Whether what is written here is what others read. Nothing may go on in a file that nobody finds.
    fn check_files(&mut self) -> std::result::Result<(), Failure> {
        for file in &mut self.files {
            let trouble = file.trouble();
            if let Some(why) = trouble.map_err(Failure::io("look at the database"))? {
                return Err(BrokenLink::database(why).into());
            }
        }
        Ok(())
    }

    fn is_disk_low(&self) -> std::result::Result<bool, Failure> {
        let free = disk::free_bytes(&self.layout.dir)
            .map_err(Failure::io("ask how much room is left on the disk"))?;
        Ok(free < self.options.reserve_bytes)
    }

    /// Reads the state from disk again if a batch failed and may have left something behind.
    fn refresh(&mut self) -> std::result::Result<(), Failure> {
        if !self.is_stale && !self.published.read().cold.is_broken() {
            return Ok(());
        }
        if let Some(end) = &self.published.read().end {
            return Err(end.error().into());
        }
        self.journal.roll_back();
        let loaded = load(&self.journal, &self.layout)?;
        self.take_loaded(loaded);
        Ok(())
    }

    fn is_behind_the_archive(&self) -> std::result::Result<bool, Failure> {
        let checkpoint = self.journal.checkpoint()?;
        Ok(checkpoint
            .is_some_and(|checkpoint| checkpoint.message.head.calls > self.replica.tip.calls))
    }

    fn take_loaded(&mut self, loaded: Loaded) {
        self.replica = loaded.replica;
        self.heads = loaded.stored.heads;
        self.last_head = loaded.stored.last_head;
        self.fingerprint = loaded.stored.fingerprint;
        self.warmed.clear();
        self.answered.clear();
        self.is_stale = false;
        self.published.write().replace(&self.replica, loaded.cold);
        self.publish_heads();
        self.progress.send_replace(self.replica.tip.events);
    }

    /// Remembers what no later attempt would change.
    fn fail(&mut self, failure: Failure) -> Error {
        let error = Error::from(failure);
        if let Some(end) = End::of(&error) {
            let mut view = self.published.write();
            if view.end.is_none() {
                tracing::error!(%error, "nothing more is done with the ledger");
                view.end = Some(end);
            }
            drop(view);
            self.is_stale = true;
            // Wakes those who wait for events, so that they hear of it.
            self.progress.send_replace(self.replica.tip.events);
        }
        error
    }
}

impl Batch {
    fn push(&mut self, command: Command) {
        match command {
            Command::Call(submission) => self.calls.push(*submission),
            Command::Head(head, reply) => self.heads.push((head, reply)),
            Command::Sync(reply) => self.syncs.push(reply),
            Command::Notice => {}
        }
    }

    fn answer_syncs(self, followed: &Result<()>, cursor: Cursor) {
        for reply in self.syncs {
            let _ = reply.send(match followed {
                Ok(()) => Ok(cursor),
                Err(error) => Err(repeat(error)),
            });
        }
    }
}

/// The lock file, held until dropped; the operating system drops it for a process that dies.
pub(super) struct Locked(Arc<File>);

impl Locked {
    pub(super) fn wait(lock: &Arc<File>) -> std::result::Result<Self, Failure> {
        lock.lock().map_err(Failure::io("queue on the lock file"))?;
        Ok(Self(lock.clone()))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::error!(%error, "the lock file cannot be unlocked");
        }
    }
}

/// The receipt of a call that is in the log.
pub(super) fn receipt(journal: &Journal, sequence: u64) -> std::result::Result<Receipt, Failure> {
    let linked = tail::linked_call(journal, sequence)?;
    Ok(Receipt {
        call: linked.row.digest,
        timestamp_ms: linked.row.time_ms,
        events: super::follow::sequenced(&linked)?,
    })
}

/// Verifies the signatures within calls that others wrote, by the calls' numbers.
fn check(questions: &[(i64, Question)]) -> std::result::Result<(), BrokenLink> {
    let mut batch = BatchVerifier::new();
    for (_, question) in questions {
        question.put_to(&mut batch);
    }
    batch.verify().map_err(|bad| {
        let (call, _) = questions[bad.indices()[0]];
        BrokenLink::new(
            "call",
            call,
            "it cannot have been applied: a signature in it is not genuine",
        )
    })
}

/// Whether a call may wait until there is room again. Answers may not, and neither may whatever
/// takes rights away or gives room back.
fn is_new_work(call: &Call) -> bool {
    !matches!(
        call,
        Call::StoreK8sResponse { .. }
            | Call::ReleaseRequest { .. }
            | Call::CloseSession { .. }
            | Call::PruneResponses { .. }
            | Call::RevokeToken { .. }
            | Call::RemoveDelegate { .. }
            | Call::RemoveSessionKey { .. }
            | Call::DeactivateExecutor { .. }
            | Call::SlashEquivocation { .. }
    )
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Refused(code) => Self::Refused(code),
            Refusal::Invalid(why) => Self::Invalid(why),
        }
    }
}

/// The same error for another caller of the same batch.
fn repeat(error: &Error) -> Error {
    match error {
        Error::Busy => Error::Busy,
        Error::DiskReserve => Error::DiskReserve,
        Error::Corrupt(why) => Error::Corrupt(why.clone()),
        Error::Archived { through } => Error::Archived { through: *through },
        Error::Version(other) => Error::Version(*other),
        Error::Unavailable(why) => Error::Unavailable(why.clone()),
        other => {
            let cause = std::error::Error::source(other);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            Error::Unavailable(format!("{other}{cause}"))
        }
    }
}

/// Calls of one transaction: some 10 ms of work, so that other processes get their turn.
const MAX_BATCH: usize = 512;

/// Answered requests in memory: whoever waits for an answer looks at it within moments.
const HOT: usize = if cfg!(test) { 4 } else { 512 };
const COOLED_AT_ONCE: usize = if cfg!(test) { 2 } else { 128 };

/// Catches a writer that died between its commit and its notice.
const RECHECK: Duration = Duration::from_millis(250);

#[cfg(test)]
#[path = "tests/engine.rs"]
mod tests;
