//! What comes round: unanswered requests, claims, pruning, sweeping, probing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Held, chance};
use super::journal::{JournalError, Key};
use crate::contract::{Bound, Call, Code};
use crate::ledger::Cursor;
use crate::types::{ByteString, HexBytes, TokenId};
use crate::wire::{AssignmentMessage, IntentKind};

/// Runs until the shutdown.
pub(super) async fn run(core: Arc<Core>) {
    let scanning = async {
        let mut claims = HashMap::new();
        loop {
            tokio::time::sleep(core.config().scan_interval).await;
            scan(&core, &mut claims).await;
        }
    };
    let pruning = async {
        loop {
            let interval = core.config().prune_interval;
            if interval.is_zero() {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            // Executors of one cluster must not all do it at once.
            tokio::time::sleep(interval + chance(interval / 2)).await;
            // However much there is: what comes in an interval goes in one.
            while prune(&core).await {
                tokio::time::sleep(PRUNE_PAUSE + chance(PRUNE_PAUSE)).await;
            }
        }
    };
    let upkeep = async {
        loop {
            upkeep(&core).await;
            tokio::time::sleep(core.config().upkeep_interval).await;
        }
    };
    tokio::select! {
        () = core.shutdown.cancelled() => {}
        ((), (), ()) = async { tokio::join!(scanning, pruning, upkeep) } => {}
    }
}

/// When each request whose lease is over is claimed: its epoch and a moment of ledger time.
type Claims = HashMap<Key, (u64, u64)>;

/// Looks through what is unanswered and in nobody's hands here.
async fn scan(core: &Arc<Core>, claims: &mut Claims) {
    let mut due = Vec::new();
    let mut seen = Claims::new();
    for key in core.idle() {
        let Some(held) = core.look(key) else {
            // A state that is behind its events is no reason to forget.
            continue;
        };
        let request = &held.request;
        if request.outcome.is_some() {
            core.drop_ended(&[key]);
            continue;
        }
        let now_ms = core.now_ms();
        let is_over = now_ms >= request.lease_ends_ms;
        let is_claimable = is_over
            && !request.session
            && request.claims < Bound::CLAIMS
            && (!request.is_read || now_ms < request.deadline_ms);
        let is_mine = request.executor == core.me;
        // A read of ours whose lease is over needs a new one; everything else of ours can be ended.
        let is_mine_to_end =
            is_mine && (!is_over || !request.is_read || now_ms >= request.deadline_ms);
        if is_mine_to_end {
            if !core.is_ignored(key, request.epoch) {
                core.enqueue(key);
            }
            continue;
        }
        if !is_claimable || core.is_ignored(key, request.epoch) {
            continue;
        }
        let known = claims
            .get(&key)
            .filter(|(epoch, _)| *epoch == request.epoch);
        let claim = known.copied().unwrap_or_else(|| {
            let delay = core.config().claim_delay + chance(core.config().claim_delay);
            let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            (
                request.epoch,
                request.lease_ends_ms.saturating_add(delay_ms),
            )
        });
        seen.insert(key, claim);
        if now_ms >= claim.1 && due.len() < CLAIMS_PER_SCAN {
            due.push((key, held));
        }
    }
    *claims = seen;
    for (key, held) in due {
        claim(core, key, &held).await;
    }
}

/// Takes on a request whose lease is over: a read to execute it, a write to say that nobody knows.
async fn claim(core: &Arc<Core>, key: Key, held: &Held) {
    let (token, id) = key;
    let request_id = ByteString(id.to_wire());
    let epoch = held.request.epoch.saturating_add(1);
    let message = AssignmentMessage {
        request_id: request_id.clone(),
        digest: held.request.digest,
        epoch,
    };
    let Some(signature) = core.sign(IntentKind::Claim, token, &message).await else {
        return;
    };
    let call = Call::ClaimRequest {
        cluster: core.cluster,
        token,
        request_id,
        executor: core.me,
        signature: HexBytes(signature.as_bytes().to_vec()),
    };
    crash_point!(NautilusBeforeClaim);
    match core.ledger.call(call).await {
        // Its event brings it here as an assignment.
        Ok(_) => {
            crash_point!(NautilusClaimed);
            core.status.claimed.add(1);
            tracing::info!(%token, request_id = %id, epoch, "claimed");
        }
        // Another executor was faster, or it has its answer.
        Err(error)
            if matches!(
                error.code(),
                Some(Code::AlreadyAnswered | Code::LeaseRunning | Code::InvalidSignature)
            ) =>
        {
            tracing::debug!(%token, request_id = %id, epoch, %error, "not claimed");
        }
        Err(error) => tracing::warn!(%token, request_id = %id, epoch, %error, "not claimed"),
    }
}

/// Removes from the ledger what may be removed, a bounded number at a time; whether there may be more.
async fn prune(core: &Arc<Core>) -> bool {
    let prunable = core.ledger.prunable(PRUNED_AT_ONCE);
    let is_full = prunable.len() == PRUNED_AT_ONCE;
    let by_token = core.view(|snapshot| {
        let mut by_token = BTreeMap::<TokenId, Vec<ByteString>>::new();
        for (token, id) in prunable {
            let held = snapshot.state.token(token);
            if held.is_some_and(|held| held.cluster == core.cluster) {
                let ids = by_token.entry(token).or_default();
                ids.push(ByteString(id.to_wire()));
            }
        }
        by_token
    });
    // What is another cluster's alone does not go by asking again.
    let mut is_more = is_full && !by_token.is_empty();
    for (token, ids) in by_token {
        for ids in ids.chunks(Bound::PRUNED) {
            let call = Call::PruneResponses {
                token,
                request_ids: ids.to_vec(),
            };
            crash_point!(NautilusBeforePrune);
            match core.ledger.call(call).await {
                Ok(_) => {
                    crash_point!(NautilusPruned);
                    core.status.pruned.add(ids.len() as u64);
                }
                Err(error) => {
                    tracing::warn!(%token, %error, "not pruned");
                    is_more = false;
                }
            }
        }
    }
    is_more
}

async fn upkeep(core: &Arc<Core>) {
    if let Err(error) = forget(core).await {
        core.fail(error.into());
        return;
    }
    match core.blobs.sweep().await {
        Ok(swept) => tracing::debug!(?swept, "blob store swept"),
        Err(error) => tracing::warn!(%error, "blob store not swept"),
    }
    let probe = tokio::time::timeout(PROBE_TIMEOUT, core.executor.probe()).await;
    core.status.set_cluster(match probe {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_elapsed) => Some("the cluster does not answer".to_owned()),
    });
}

/// Forgets what is over, and what began if the ledger does not ask for its answer any more.
async fn forget(core: &Arc<Core>) -> Result<(), JournalError> {
    let now_ms = core.now_ms();
    let mut overdue = core.journal.forget(now_ms).await?;
    // A state that is behind what was followed does not hold everything yet.
    let followed = core.status.cursor();
    let is_behind = followed == Cursor::default() || core.view(|s| s.cursor) < followed;
    if overdue.is_empty() || is_behind {
        return Ok(());
    }
    overdue.retain(|key| core.look(*key).is_none());
    core.journal.abandon(overdue, now_ms).await
}

/// Claims made in one scan; the rest comes a scan later.
const CLAIMS_PER_SCAN: usize = 64;
/// Requests pruned at once.
const PRUNED_AT_ONCE: usize = 4 * Bound::PRUNED;
/// Between one lot of them and the next, so that requests are not kept waiting.
const PRUNE_PAUSE: Duration = Duration::from_millis(50);
/// When to look whether pruning is wanted after all.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
