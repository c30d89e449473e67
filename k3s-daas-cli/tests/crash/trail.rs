//! What the ledger has of requests: each admitted once, and answered once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use k3s_daas::crypto::Ed25519Signer;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::ledger::{Cursor, Ledger as _, LedgerExt as _};
use k3s_daas::types::{ByteString, RequestId};
use k3s_daas::wire::Event;

use crate::load::{Asked, Told};

/// What became of requests, by ID.
#[derive(Default)]
pub struct Trail {
    requests: BTreeMap<RequestId, Traces>,
}

/// What the ledger has of one.
#[derive(Debug, Default)]
pub struct Traces {
    /// How often it was admitted.
    pub admitted: usize,
    pub is_read: bool,
    /// Ledger time, Unix milliseconds.
    pub deadline_ms: u64,
    /// Status of each answer.
    pub answers: Vec<u16>,
    pub claims: usize,
    pub releases: usize,
    /// How often it was forgotten.
    pub prunings: usize,
}

impl Trail {
    pub fn is_admitted(&self, id: RequestId) -> bool {
        self.requests.contains_key(&id)
    }

    pub fn claims(&self) -> usize {
        self.requests.values().map(|traces| traces.claims).sum()
    }

    pub fn releases(&self) -> usize {
        self.requests.values().map(|traces| traces.releases).sum()
    }

    /// Holds what clients were told against it.
    #[track_caller]
    pub fn check(&self, asked: &[Asked]) {
        for (id, traces) in &self.requests {
            assert_eq!(traces.admitted, 1, "request {id}: {traces:?}");
            // A read that nobody could answer in time changes nothing.
            let may_lack = traces.is_read && traces.answers.is_empty();
            assert!(
                may_lack || traces.answers.len() == 1,
                "request {id}: {traces:?}"
            );
        }
        for Asked { id, told, .. } in asked {
            let Some(traces) = self.requests.get(id) else {
                // The ledger did not say in time whether it would.
                assert_eq!(*told, Told::Unknown, "request {id} was not admitted");
                continue;
            };
            let fits = match (told, &traces.answers[..]) {
                (Told::Created(_), [201]) => true,
                // An answer that came too late for the client is no other answer; 507 is one that was executed and
                // whose body found no place in time.
                (Told::Unknown, [201 | 503 | 504 | 507]) => true,
                (Told::NotExecuted, [503 | 504]) => true,
                _ => false,
            };
            assert!(fits, "request {id}: {told:?}, {traces:?}");
        }
    }

    fn is_settled(&self, now_ms: u64) -> bool {
        let mut requests = self.requests.values();
        let is_over = |traces: &Traces| traces.is_read && traces.deadline_ms <= now_ms;
        requests.all(|traces| !traces.answers.is_empty() || is_over(traces))
    }

    fn take(&mut self, event: &Event) {
        let mut of = |id: &ByteString, note: &dyn Fn(&mut Traces)| {
            let id = RequestId::from_bytes(id).unwrap();
            note(self.requests.entry(id).or_default());
        };
        match event {
            Event::K8sApiRequest(event) => of(&event.request_id, &|traces| {
                traces.admitted += 1;
                traces.is_read = event.is_read;
                traces.deadline_ms = event.deadline_ms;
            }),
            Event::K8sRequestProcessed(event) => of(&event.request_id, &|traces| {
                traces.answers.push(event.status_code);
            }),
            Event::K8sRequestClaimed(event) => of(&event.request_id, &|traces| traces.claims += 1),
            Event::K8sRequestReleased(event) => {
                of(&event.request_id, &|traces| traces.releases += 1);
            }
            Event::ResponsesPruned(event) => {
                for id in &event.request_ids {
                    of(id, &|traces| traces.prunings += 1);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Trail {
    /// Only what is out of the ordinary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let odd = self
            .requests
            .iter()
            .filter(|(_, traces)| !traces.is_plain());
        f.debug_map().entries(odd).finish()
    }
}

impl Traces {
    fn is_plain(&self) -> bool {
        matches!(self.answers[..], [200 | 201]) && self.claims + self.releases == 0
    }
}

/// Where the ledger ends now.
pub fn end(dir: &Path) -> Cursor {
    with_ledger(dir, |ledger| ledger.view(|snapshot| snapshot.cursor))
}

/// Whether everything that was admitted after `begin` is forgotten, once.
#[track_caller]
pub fn is_pruned(dir: &Path, begin: Cursor) -> bool {
    let (trail, _) = read(dir, begin);
    let mut requests = trail.requests.values();
    assert!(requests.len() > 0, "nothing was admitted");
    assert!(requests.clone().all(|traces| traces.prunings <= 1));
    requests.all(|traces| traces.prunings == 1)
}

/// Waits until everything that was admitted after `begin` is answered; what became of it.
#[track_caller]
pub fn settled(dir: &Path, begin: Cursor) -> Trail {
    let begun = Instant::now();
    loop {
        let (trail, now_ms) = read(dir, begin);
        if trail.is_settled(now_ms) {
            return trail;
        }
        assert!(begun.elapsed() < PATIENCE, "not answered: {trail:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What became of what was admitted after `begin`, and what was done about it since; and the time then.
fn read(dir: &Path, begin: Cursor) -> (Trail, u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut trail = Trail::default();
    let now_ms = with_ledger(dir, |ledger| {
        let (end, now_ms) = ledger.view(|snapshot| (snapshot.cursor, snapshot.now_ms));
        let mut events = ledger.events(begin);
        let mut cursor = begin;
        while cursor < end {
            let event = runtime.block_on(events.next()).unwrap().unwrap();
            cursor = event.cursor;
            trail.take(&event.event);
        }
        now_ms
    });
    // Answers to what was asked before are no part of it.
    trail.requests.retain(|_, traces| traces.admitted > 0);
    (trail, now_ms)
}

fn with_ledger<T>(dir: &Path, work: impl FnOnce(&LocalLedger) -> T) -> T {
    // Whoever only reads needs no account.
    let nobody = Arc::new(Ed25519Signer::generate());
    let ledger = LocalLedger::open(dir.join("ledger"), nobody).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(ledger.sync()).unwrap();
    work(&ledger)
}

const PATIENCE: Duration = Duration::from_secs(60);
