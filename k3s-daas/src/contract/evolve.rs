//! What an event does to the state: the only way it ever changes.

use super::apply::Effects;
use super::state::{
    AdminCap, Cluster, ExecutorEntry, ExecutorState, Outcome, Request, SealToken, State, Unbonding,
};
use crate::types::{ByteString, Digest, ExecutorId, RequestId, ResponseRecord, TokenId};
use crate::wire::{Event, K8sApiRequest, K8sRequestProcessed};

impl State {
    /// Changes the state by an event that was decided against it, or that a ledger emitted.
    ///
    /// Events about objects that this state does not know change nothing: a follower of one cluster may
    /// be given all events of a package. Never panics, whatever the events: one that no contract emits
    /// gives a state that no contract has, which is for those to find who verify the stream.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::ClusterCreated(e) => {
                let cap = AdminCap {
                    id: e.admin_cap,
                    cluster: e.cluster,
                    owner: e.admin,
                };
                self.caps.insert(cap.id, cap);
                let cluster = Cluster {
                    id: e.cluster,
                    version: e.version,
                    name: e.name.clone(),
                    chain: e.chain,
                    admin_cap: e.admin_cap,
                    registrations: 0,
                    policy: e.policy.clone(),
                    executors: Vec::new(),
                    slashed_keys: std::collections::BTreeSet::new(),
                    insurance: 0,
                };
                self.clusters.insert(e.cluster, cluster);
                self.touch(|touched| {
                    touched.clusters.insert(e.cluster);
                });
            }
            Event::ClusterPolicySet(e) => {
                self.change_cluster(e.cluster, |cluster| cluster.policy = e.policy.clone());
            }
            Event::ClusterMigrated(e) => {
                self.change_cluster(e.cluster, |cluster| cluster.version = e.version);
            }
            Event::InsuranceWithdrawn(e) => {
                self.change_cluster(e.cluster, |cluster| {
                    cluster.insurance = cluster.insurance.saturating_sub(e.amount);
                });
            }
            Event::SealTokenIssued(e) if self.clusters.contains_key(&e.cluster) => {
                let token = SealToken {
                    id: e.token,
                    version: e.version,
                    cluster: e.cluster,
                    owner: e.owner,
                    rules: e.rules.clone(),
                    groups: e.groups.clone(),
                    bonded: 0,
                    unbondings: Vec::new(),
                    delegates: e
                        .delegates
                        .iter()
                        .map(|d| (d.delegate, d.expires_at_ms))
                        .collect(),
                    session_keys: std::collections::BTreeMap::new(),
                    not_before_ms: e.not_before_ms,
                    expires_at_ms: e.expires_at_ms,
                    revoked: false,
                    sequence: 0,
                    unanswered: 0,
                };
                self.tokens.insert(e.token, token);
                self.touch(|touched| {
                    touched.tokens.insert(e.token);
                });
            }
            Event::SealTokenIssued(_) => {}
            Event::SealTokenRevoked(e) => self.change_token(e.token, |token| token.revoked = true),
            Event::SealTokenRulesSet(e) => {
                self.change_token(e.token, |token| token.rules = e.rules.clone());
            }
            Event::SealTokenMigrated(e) => {
                self.change_token(e.token, |token| token.version = e.version);
            }
            Event::DelegateAdded(e) => self.change_token(e.token, |token| {
                token.delegates.insert(e.delegate, e.expires_at_ms);
            }),
            Event::DelegateRemoved(e) => self.change_token(e.token, |token| {
                token.delegates.remove(&e.delegate);
            }),
            Event::SessionKeyRegistered(e) => self.change_token(e.token, |token| {
                token.session_keys.insert(e.key, e.expires_at_ms);
            }),
            Event::SessionKeyRemoved(e) => self.change_token(e.token, |token| {
                token.session_keys.remove(&e.key);
            }),
            Event::StakeDeposited(e) => {
                self.change_token(e.token, |token| token.bonded = e.bonded);
            }
            Event::StakeUnbonding(e) => self.change_token(e.token, |token| {
                token.bonded = token.bonded.saturating_sub(e.amount);
                token.unbondings.push(Unbonding {
                    amount: e.amount,
                    unlock_ms: e.unlock_ms,
                });
            }),
            Event::StakeWithdrawn(e) => self.change_token(e.token, |token| {
                token
                    .unbondings
                    .retain(|unbonding| e.timestamp_ms < unbonding.unlock_ms);
            }),

            Event::K8sApiRequest(e) => self.admit(e),
            Event::K8sRequestRejected(_) | Event::K8sRequestsRejected(_) => {}
            Event::K8sRequestClaimed(e) => {
                self.change_request(e.token, &e.request_id, |request| {
                    request.executor = e.executor;
                    request.epoch = e.epoch;
                    request.assigned_at_ms = e.timestamp_ms;
                    request.lease_ends_ms = e.lease_ends_ms;
                    request.claims = request.claims.saturating_add(1);
                });
            }
            Event::K8sRequestReleased(e) => {
                self.change_request(e.token, &e.request_id, |request| {
                    request.executor = e.executor;
                    request.epoch = e.epoch;
                    request.assigned_at_ms = e.timestamp_ms;
                    request.lease_ends_ms = e.lease_ends_ms;
                });
            }
            Event::K8sRequestProcessed(e) => {
                let outcome = answered(e);
                self.end_request(e.token, &e.request_id, outcome, e.expires_at_ms);
            }
            Event::SessionClosed(e) => {
                self.end_request(
                    e.token,
                    &e.request_id,
                    Some(Outcome::Closed),
                    e.expires_at_ms,
                );
            }
            Event::ResponsesPruned(e) => {
                for id in &e.request_ids {
                    self.prune_request(e.token, id);
                }
            }

            Event::ExecutorRegistered(e) if self.clusters.contains_key(&e.cluster) => {
                let entry = ExecutorEntry {
                    id: e.executor,
                    operator: e.operator,
                    signing_key: e.signing_key,
                    encryption_key: e.encryption_key.clone(),
                    pcrs: e.pcrs.clone(),
                    stake: 0,
                    active: true,
                };
                self.change_cluster(e.cluster, |cluster| {
                    cluster.registrations = e.registrations;
                    cluster.executors.push(entry);
                });
                let executor = ExecutorState {
                    id: e.executor,
                    cluster: e.cluster,
                    operator: e.operator,
                    signing_key: e.signing_key,
                    bonded: 0,
                    unbondings: Vec::new(),
                    anchored_root: Digest::ZERO,
                    anchored_last: 0,
                    slashed: false,
                };
                self.executors.insert(e.executor, executor);
                self.touch(|touched| {
                    touched.executors.insert(e.executor);
                });
            }
            Event::ExecutorRegistered(_) => {}
            Event::ExecutorActivated(e) => {
                self.change_entry(e.cluster, e.executor, |entry| entry.active = true);
            }
            Event::ExecutorDeactivated(e) => {
                self.change_entry(e.cluster, e.executor, |entry| entry.active = false);
            }
            Event::ExecutorRemoved(e) => self.change_cluster(e.cluster, |cluster| {
                cluster.executors.retain(|entry| entry.id != e.executor);
            }),
            Event::ExecutorStakeDeposited(e) => {
                self.change_executor(e.executor, |executor| executor.bonded = e.bonded);
                self.change_entry(e.cluster, e.executor, |entry| entry.stake = e.bonded);
            }
            Event::ExecutorStakeUnbonding(e) => {
                self.change_executor(e.executor, |executor| {
                    executor.bonded = executor.bonded.saturating_sub(e.amount);
                    let unbonding = Unbonding {
                        amount: e.amount,
                        unlock_ms: e.unlock_ms,
                    };
                    executor.unbondings.push(unbonding);
                });
                self.change_entry(e.cluster, e.executor, |entry| {
                    entry.stake = entry.stake.saturating_sub(e.amount);
                });
            }
            Event::ExecutorStakeWithdrawn(e) => self.change_executor(e.executor, |executor| {
                executor
                    .unbondings
                    .retain(|unbonding| e.timestamp_ms < unbonding.unlock_ms);
            }),
            Event::ExecutorSlashed(e) => {
                let mut key = None;
                self.change_executor(e.executor, |executor| {
                    executor.bonded = 0;
                    executor.unbondings.clear();
                    executor.slashed = true;
                    key = Some(executor.signing_key);
                });
                self.change_entry(e.cluster, e.executor, |entry| {
                    entry.stake = 0;
                    entry.active = false;
                });
                self.change_cluster(e.cluster, |cluster| {
                    cluster.insurance = cluster.insurance.saturating_add(e.insured);
                    cluster.slashed_keys.extend(key);
                    // A removed executor's key may have been registered again: it is no better there.
                    for entry in &mut cluster.executors {
                        entry.active &= Some(entry.signing_key) != key;
                    }
                });
            }
            Event::ReadsAnchored(e) => self.change_executor(e.executor, |executor| {
                executor.anchored_root = e.root;
                executor.anchored_last = e.last;
            }),
        }
    }

    /// Keeps the sealed bytes of the answer that was just recorded; its event has only their hash.
    pub(super) fn keep_sealed(&mut self, effects: &Effects) {
        for event in &effects.events {
            if let Event::K8sRequestProcessed(e) = event {
                self.change_request(e.token, &e.request_id, |request| {
                    if let Some(Outcome::Answered(record)) = &mut request.outcome {
                        record.sealed = effects.sealed.clone();
                    }
                });
            }
        }
    }

    fn admit(&mut self, e: &K8sApiRequest) {
        let Ok(id) = RequestId::from_bytes(&e.request_id) else {
            return;
        };
        let token = e.seal_token_id;
        if !self.tokens.contains_key(&token) {
            return;
        }
        self.change_token(token, |token| {
            token.sequence = e.sequence;
            token.unanswered = token.unanswered.saturating_add(1);
        });
        let request = Request {
            digest: e.digest,
            priority: e.priority,
            deadline_ms: e.deadline_ms,
            is_read: e.is_read,
            session: e.session,
            has_reply_key: !e.reply_key.is_empty(),
            executor: e.nautilus_endpoint,
            epoch: e.epoch,
            assigned_at_ms: e.timestamp_ms,
            lease_ends_ms: e.lease_ends_ms,
            claims: 0,
            prunable_at_ms: e.prunable_at_ms,
            outcome: None,
        };
        self.requests.insert((token, id), request);
        self.touch(|touched| {
            touched.requests.insert((token, id));
        });
    }

    fn end_request(
        &mut self,
        token: TokenId,
        id: &ByteString,
        outcome: Option<Outcome>,
        expires_at_ms: u64,
    ) {
        let mut ended = false;
        self.change_request(token, id, |request| {
            if let (None, Some(outcome)) = (&request.outcome, outcome) {
                request.end(outcome, expires_at_ms);
                ended = true;
            }
        });
        if ended {
            self.change_token(token, one_answered);
        }
    }

    fn prune_request(&mut self, token: TokenId, id: &ByteString) {
        let Ok(id) = RequestId::from_bytes(id) else {
            return;
        };
        let Some(request) = self.requests.remove(&(token, id)) else {
            return;
        };
        self.touch(|touched| {
            touched.requests.insert((token, id));
        });
        if request.outcome.is_none() {
            self.change_token(token, one_answered);
        }
    }

    fn change_cluster(&mut self, id: crate::types::ClusterId, change: impl FnOnce(&mut Cluster)) {
        if let Some(cluster) = self.clusters.get_mut(&id) {
            change(cluster);
            self.touch(|touched| {
                touched.clusters.insert(id);
            });
        }
    }

    fn change_entry(
        &mut self,
        cluster: crate::types::ClusterId,
        executor: ExecutorId,
        change: impl FnOnce(&mut ExecutorEntry),
    ) {
        self.change_cluster(cluster, |cluster| {
            if let Some(entry) = cluster
                .executors
                .iter_mut()
                .find(|entry| entry.id == executor)
            {
                change(entry);
            }
        });
    }

    fn change_token(&mut self, id: TokenId, change: impl FnOnce(&mut SealToken)) {
        if let Some(token) = self.tokens.get_mut(&id) {
            change(token);
            self.touch(|touched| {
                touched.tokens.insert(id);
            });
        }
    }

    fn change_executor(&mut self, id: ExecutorId, change: impl FnOnce(&mut ExecutorState)) {
        if let Some(executor) = self.executors.get_mut(&id) {
            change(executor);
            self.touch(|touched| {
                touched.executors.insert(id);
            });
        }
    }

    fn change_request(
        &mut self,
        token: TokenId,
        id: &ByteString,
        change: impl FnOnce(&mut Request),
    ) {
        let Ok(id) = RequestId::from_bytes(id) else {
            return;
        };
        if let Some(request) = self.requests.get_mut(&(token, id)) {
            change(request);
            self.touch(|touched| {
                touched.requests.insert((token, id));
            });
        }
    }
}

fn one_answered(token: &mut SealToken) {
    token.unanswered = token.unanswered.saturating_sub(1);
}

fn answered(e: &K8sRequestProcessed) -> Option<Outcome> {
    Some(Outcome::Answered(ResponseRecord {
        request_id: RequestId::from_bytes(&e.request_id).ok()?,
        status_code: e.status_code,
        envelope_hash: e.envelope_hash.clone(),
        envelope_len: e.envelope_len,
        sealed: ByteString::default(),
        executor: e.executor,
        epoch: e.epoch,
        processed_at_ms: e.processed_at_ms,
        expires_at_ms: e.expires_at_ms,
        requester: e.requester,
    }))
}
