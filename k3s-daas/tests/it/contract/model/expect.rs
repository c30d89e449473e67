//! Applying a call, and what must hold before and after.

use k3s_daas::contract::{Call, Code, Effects, Object, Outcome, State, Unbonding};
use k3s_daas::crypto::sha256;
use k3s_daas::types::{Address, ByteString, Digest, MIST_PER_SUI, RequestId, TokenId};
use k3s_daas::wire::Event;

use super::super::oracle::{self, Asker, Verdict};
use super::super::world::{signature_of, small_order_keys};
use super::{Kept, Model, Track};

impl Model {
    pub(super) fn apply_and_expect(&mut self, sender: Address, call: &Call) {
        let verdict = self.judged(sender, call);
        let sampled = self.g.rng.chance(12) || verdict.is_some() && self.g.rng.chance(20);
        let before = sampled.then(|| self.g.w.state.clone());
        let emitted = self.g.w.events.len();
        let outcome = self.g.w.call(sender, call);
        self.kept.keep(&mut self.g.w.state);
        let seen = outcome.as_ref().map(|effects| &effects.events[..]);
        self.seen.note(call, seen.map_err(|abort| *abort));
        match &outcome {
            Ok(effects) => {
                self.expect_verdict(call, verdict.as_ref(), effects);
                for event in &effects.events {
                    self.g.note(event);
                    self.expect_event(event, call);
                }
                self.expect_money(call, sender, effects);
                let changes = effects.events.iter().any(|event| {
                    !matches!(
                        event,
                        Event::K8sRequestRejected(_) | Event::K8sRequestsRejected(_)
                    )
                });
                if let (false, Some(before)) = (changes, &before) {
                    assert_eq!(self.g.w.state, *before, "{call:?}");
                }
            }
            Err(abort) => {
                assert_eq!(self.g.w.events.len(), emitted);
                if let Some(before) = &before {
                    assert_eq!(self.g.w.state, *before, "refused, and yet: {call:?}");
                }
                if let Some(verdict) = &verdict {
                    let code = abort.code().map(Code::number);
                    assert_eq!(code, Some(verdict.code), "{call:?}");
                }
            }
        }
        if self.g.w.events.len().is_multiple_of(64) {
            self.expect_conservation();
        }
        if self.g.rng.below(400) == 0 {
            self.expect_follower();
            self.expect_exits();
        }
    }

    /// What the oracle says of a request; nothing for other calls and where an object is missing.
    pub(super) fn judged(&self, sender: Address, call: &Call) -> Option<Verdict> {
        let none: &[u8] = &[];
        let (cluster, token, request, key, signature, kind) = match call {
            Call::ExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            }
            | Call::TryExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            }
            | Call::RecordRefusal {
                cluster,
                token,
                request,
            } => (cluster, token, request, none, none, 1),
            Call::OpenSession {
                cluster,
                token,
                request,
            } => (cluster, token, request, none, none, 6),
            Call::ExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            }
            | Call::TryExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => (cluster, token, request, &public_key[..], &signature[..], 1),
            Call::OpenSignedSession {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => (cluster, token, request, &public_key[..], &signature[..], 6),
            _ => return None,
        };
        let asker = match call {
            Call::ExecuteSignedCommand { .. }
            | Call::TryExecuteSignedCommand { .. }
            | Call::OpenSignedSession { .. } => Asker::Key(key, signature),
            _ => Asker::Sender(sender),
        };
        Some(oracle::judge(
            &self.g.w.state,
            self.g.w.state.cluster(*cluster)?,
            self.g.w.state.token(*token)?,
            request,
            &asker,
            kind,
            self.g.w.package,
            self.g.w.now,
        ))
    }

    /// Invariant 1, first half: what was admitted or rejected is what the oracle says.
    pub(super) fn expect_verdict(
        &mut self,
        call: &Call,
        verdict: Option<&Verdict>,
        effects: &Effects,
    ) {
        let Some(verdict) = verdict else {
            return;
        };
        let twin = matches!(
            call,
            Call::TryExecuteKubectlCommandWithId { .. } | Call::TryExecuteSignedCommand { .. }
        );
        let records = matches!(call, Call::RecordRefusal { .. });
        match &effects.events[..] {
            [] => assert!(records && verdict.code == 0, "{call:?}"),
            [Event::K8sRequestRejected(e)] => {
                assert!(twin || records);
                assert_eq!(e.code, verdict.code, "{call:?}");
                assert_eq!(e.digest, verdict.digest);
            }
            [Event::K8sApiRequest(e)] => {
                assert!(!records, "{call:?}");
                assert_eq!(verdict.code, 0, "{call:?}");
                assert_eq!(e.digest, verdict.digest);
                let derived = verdict.derived.as_ref().unwrap();
                let said = (
                    e.api_group.to_string(),
                    e.api_version.to_string(),
                    e.namespace.to_string(),
                    e.resource_type.to_string(),
                    e.subresource.to_string(),
                    e.name.to_string(),
                    e.verb.to_string(),
                    e.is_read,
                );
                let d = derived.clone();
                let expected = (
                    d.group,
                    d.version,
                    d.namespace,
                    d.resource,
                    d.subresource,
                    d.name,
                    d.verb,
                    d.is_read,
                );
                assert_eq!(said, expected, "{call:?}");
                assert_eq!(Some(e.nautilus_endpoint), verdict.executor);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Invariants 1 and 2 and the rules of leases, from the events and what was noted of earlier ones.
    pub(super) fn expect_event(&mut self, event: &Event, call: &Call) {
        let now = self.g.w.now;
        // No call that concerns a request changes the cluster, so it is as it was before the call.
        let cluster = self.g.w.state.cluster(event.cluster()).unwrap().clone();
        let policy = &cluster.policy;
        let key = |token: TokenId, id: &ByteString| (token, RequestId::from_bytes(id).unwrap());
        match event {
            Event::K8sApiRequest(e) => {
                assert!(self.admitted.insert(e.digest), "admitted twice: {call:?}");
                let lease_ends = if e.is_read {
                    now + policy.lease_ms
                } else {
                    e.deadline_ms
                };
                assert_eq!((e.epoch, e.timestamp_ms), (0, now));
                assert_eq!(e.lease_ends_ms, lease_ends);
                assert_eq!(
                    e.requester,
                    self.g.w.state.token(e.seal_token_id).unwrap().owner
                );
                let track = Track {
                    digest: e.digest,
                    is_read: e.is_read,
                    session: e.session,
                    priority: e.priority,
                    deadline: e.deadline_ms,
                    executor: e.nautilus_endpoint,
                    epoch: 0,
                    lease_ends,
                    claims: 0,
                    prunable: e.deadline_ms + policy.response_ttl_ms.iter().max().unwrap(),
                    ended: false,
                };
                assert_eq!(e.prunable_at_ms, track.prunable);
                let held = self
                    .tracks
                    .insert(key(e.seal_token_id, &e.request_id), track);
                assert!(held.is_none(), "an ID that is held: {call:?}");
            }
            Event::K8sRequestClaimed(e) => {
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended && !track.session && track.claims < 2);
                assert!(now >= track.lease_ends, "claimed during a lease: {call:?}");
                assert!(!track.is_read || now < track.deadline);
                assert_eq!(e.epoch, track.epoch + 1);
                assert!(oracle::eligible(&cluster, e.executor));
                let said = (&e.request_id[..], track.digest, e.epoch);
                let signature = signature_of(&mut call.clone()).unwrap().clone();
                assert!(oracle::assignment_is_signed(
                    &cluster,
                    e.token,
                    3,
                    e.executor,
                    said,
                    &signature,
                    self.g.w.package
                ));
                track.claims += 1;
                track.epoch = e.epoch;
                track.executor = e.executor;
                track.lease_ends = now + policy.lease_ms;
                assert_eq!(e.lease_ends_ms, track.lease_ends);
            }
            Event::K8sRequestReleased(e) => {
                let token = self.g.w.state.token(e.token).unwrap();
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended);
                assert!(
                    track.is_read || track.claims == 0,
                    "a claimed write released"
                );
                assert_eq!(e.released_by, track.executor);
                let said = (&e.request_id[..], track.digest, track.epoch);
                let signature = signature_of(&mut call.clone()).unwrap().clone();
                assert!(oracle::assignment_is_signed(
                    &cluster,
                    e.token,
                    4,
                    e.released_by,
                    said,
                    &signature,
                    self.g.w.package
                ));
                assert_eq!(e.epoch, track.epoch + 1);
                let next = oracle::best_but(
                    &cluster,
                    token,
                    &e.request_id,
                    e.epoch,
                    Some(track.executor),
                );
                assert_eq!(e.executor, next.unwrap_or(track.executor));
                track.epoch = e.epoch;
                track.executor = e.executor;
                track.lease_ends = if track.is_read {
                    now + policy.lease_ms
                } else {
                    track.deadline
                };
                assert_eq!(e.lease_ends_ms, track.lease_ends);
            }
            Event::K8sRequestProcessed(e) => {
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended, "answered twice: {call:?}");
                assert_eq!((e.executor, e.epoch), (track.executor, track.epoch));
                assert_eq!(e.digest, track.digest);
                assert!(
                    oracle::answer_is_signed(&cluster, e, self.g.w.package),
                    "{call:?}"
                );
                assert!(oracle::eligible(&cluster, e.executor));
                assert!(
                    track.is_read || track.claims == 0 || e.status_code == 504,
                    "a claimed write with an outcome: {call:?}"
                );
                assert!(self.answered.insert((e.token, e.digest)));
                self.sealed
                    .insert(key(e.token, &e.request_id), e.sealed_hash.clone());
                track.ended = true;
                let ttl = policy.response_ttl_ms[usize::from(track.priority) - 1];
                track.prunable = now.max(track.deadline) + ttl;
                assert_eq!(e.expires_at_ms, track.prunable);
            }
            Event::SessionClosed(e) => {
                let track = self.tracks.get_mut(&key(e.token, &e.request_id)).unwrap();
                assert!(!track.ended && track.session);
                let Call::CloseSession {
                    message, signature, ..
                } = call
                else {
                    panic!()
                };
                assert_eq!(message.digest, track.digest);
                let bytes = bcs::to_bytes(message).unwrap();
                assert!(oracle::bytes_are_signed(
                    &cluster,
                    e.token,
                    7,
                    e.executor,
                    &bytes,
                    signature,
                    self.g.w.package
                ));
                assert_eq!((e.executor, e.epoch), (track.executor, track.epoch));
                track.ended = true;
                let ttl = policy.response_ttl_ms[usize::from(track.priority) - 1];
                track.prunable = now.max(track.deadline) + ttl;
            }
            Event::ReadsAnchored(e) => {
                let Call::AnchorReads {
                    message, signature, ..
                } = call
                else {
                    panic!()
                };
                assert_eq!(e.count, e.last - e.first + 1);
                let before = self.anchors.insert(e.executor, (e.root, e.last));
                let before = before.unwrap_or((Digest::ZERO, 0));
                assert_eq!((e.previous_root, e.first), (before.0, before.1 + 1));
                // What the executor at hand would have signed.
                let mut message = message.clone();
                message.executor = e.executor;
                let bytes = bcs::to_bytes(&message).unwrap();
                let none = TokenId::ZERO;
                assert!(oracle::bytes_are_signed(
                    &cluster,
                    none,
                    5,
                    e.executor,
                    &bytes,
                    signature,
                    self.g.w.package
                ));
            }
            Event::ExecutorSlashed(e) => {
                let Call::SlashEquivocation { first, second, .. } = call else {
                    panic!()
                };
                let (a, b) = (&first.message, &second.message);
                let same =
                    a.request_id == b.request_id && a.digest == b.digest && a.epoch == b.epoch;
                let differ = a.status != b.status
                    || a.envelope_hash != b.envelope_hash
                    || a.envelope_len != b.envelope_len;
                let recordable = [a, b].iter().all(|m| {
                    (200..600).contains(&m.status)
                        && m.envelope_hash.len() == 32
                        && (1..=268_435_456).contains(&m.envelope_len)
                });
                assert!(same && differ && recordable, "no equivocation: {call:?}");
                let key = self.g.w.state.executor(e.executor).unwrap().signing_key;
                for answer in [first, second] {
                    let bytes = bcs::to_bytes(&answer.message).unwrap();
                    let signature = answer.signature;
                    assert!(oracle::is_signed_by(
                        &cluster,
                        e.token,
                        2,
                        &key,
                        &bytes,
                        &signature,
                        self.g.w.package
                    ));
                }
            }
            // Less than 0.01 SUI is only ever all that was left.
            Event::StakeUnbonding(e) => {
                let left = self.g.w.state.token(e.token).unwrap().bonded;
                assert!(e.amount >= MIST_PER_SUI / 100 || left == 0);
                assert_eq!(e.unlock_ms, now + policy.unbonding_ms);
            }
            Event::ExecutorStakeUnbonding(e) => {
                let left = self.g.w.state.executor(e.executor).unwrap().bonded;
                assert!(e.amount >= MIST_PER_SUI / 100 || left == 0);
                assert_eq!(e.unlock_ms, now + policy.unbonding_ms);
            }
            Event::ResponsesPruned(e) => {
                assert!(!e.request_ids.is_empty());
                for id in &e.request_ids {
                    let track = self.tracks.remove(&key(e.token, id)).unwrap();
                    assert!(now >= track.prunable, "pruned too early: {call:?}");
                    assert!(
                        now >= track.deadline,
                        "its bytes could pass again: {call:?}"
                    );
                    self.sealed.remove(&key(e.token, id));
                }
            }
            _ => {}
        }
    }

    /// Who pays and who is paid.
    pub(super) fn expect_money(&mut self, call: &Call, sender: Address, effects: &Effects) {
        assert_eq!(effects.debit, call.deposit());
        let credits = &effects.credits;
        match (&effects.events[..], call) {
            ([Event::StakeDeposited(e)], _) => {
                assert_eq!(effects.debit, e.amount);
                *self.balance.entry(e.token).or_default() += i128::from(e.amount);
            }
            ([Event::StakeWithdrawn(e)], _) => {
                let owner = self.g.w.state.token(e.token).unwrap().owner;
                assert_eq!(sender, owner);
                assert_eq!(*credits, vec![(owner, e.amount)]);
                assert!(e.amount > 0);
                *self.balance.entry(e.token).or_default() -= i128::from(e.amount);
            }
            ([Event::ExecutorStakeWithdrawn(e)], _) => {
                let operator = self.g.w.state.executor(e.executor).unwrap().operator;
                assert_eq!(sender, operator);
                assert_eq!(*credits, vec![(operator, e.amount)]);
            }
            ([Event::ExecutorSlashed(e)], _) => {
                let total = e.reward + e.insured;
                assert_eq!(e.reward, total / 10);
                let paid: u64 = credits.iter().map(|(_, amount)| amount).sum();
                assert_eq!(paid, e.reward);
                assert!(credits.iter().all(|(to, _)| *to == sender));
            }
            ([Event::InsuranceWithdrawn(e)], _) => {
                assert_eq!(*credits, vec![(self.g.w.admin_of(e.cluster), e.amount)]);
            }
            (_, Call::DepositExecutorStake { .. }) => {}
            _ => assert!(effects.debit == 0 && credits.is_empty(), "{call:?}"),
        }
    }

    /// Invariant 3: MIST in = MIST out.
    pub(super) fn expect_conservation(&self) {
        let sum = |bonded: u64, unbondings: &[Unbonding]| {
            unbondings
                .iter()
                .map(|u| u128::from(u.amount))
                .sum::<u128>()
                + u128::from(bonded)
        };
        let state = &self.g.w.state;
        let tokens: u128 = state.tokens().map(|t| sum(t.bonded, &t.unbondings)).sum();
        let executors: u128 = state
            .executors()
            .map(|e| sum(e.bonded, &e.unbondings))
            .sum();
        let insurance: u128 = state.clusters().map(|c| u128::from(c.insurance)).sum();
        assert_eq!(
            self.g.w.debits,
            self.g.w.credits + tokens + executors + insurance
        );
        // Nobody's stake but an equivocating executor's ever goes to anyone else.
        for token in state.tokens() {
            let balance = self.balance.get(&token.id).copied().unwrap_or_default();
            let held = sum(token.bonded, &token.unbondings);
            assert_eq!(balance, i128::try_from(held).unwrap());
        }
        for cluster in state.clusters() {
            for entry in &cluster.executors {
                let executor = state.executor(entry.id).unwrap();
                assert_eq!(entry.stake, executor.bonded, "the mirror shows the bond");
            }
        }
        self.expect_bounds();
        // The count of the unanswered is theirs.
        for token in state.tokens() {
            let open = state
                .requests(token.id)
                .filter(|(_, r)| r.outcome.is_none());
            assert_eq!(token.unanswered, open.count() as u64);
        }
    }

    fn expect_bounds(&self) {
        let small = small_order_keys();
        for token in self.g.w.state.tokens() {
            assert!(token.unbondings.len() <= 32 && token.delegates.len() <= 32);
            assert!(token.session_keys.len() <= 64 && token.unanswered <= 1_024);
            assert!(token.groups.iter().all(|g| !g.starts_with(b"system:")));
            let mut keys = token.session_keys.keys();
            assert!(keys.all(|key| !small.contains(key.as_bytes())));
        }
        for cluster in self.g.w.state.clusters() {
            assert!(cluster.executors.len() <= 64);
            for entry in &cluster.executors {
                assert!(!small.contains(entry.signing_key.as_bytes()));
                let slashed = cluster.slashed_keys.contains(&entry.signing_key);
                assert!(!(slashed && entry.active), "slashed and active");
            }
        }
    }

    /// Invariant 4: the events, as the chain has them, give the state but for the sealed bytes.
    pub(super) fn expect_follower(&mut self) {
        for event in &self.g.w.events[self.followed..] {
            let bytes = event.to_move_bcs();
            let read = Event::from_move_bcs(event.name(), &bytes).unwrap().unwrap();
            assert_eq!(read, *event);
            self.follower.evolve(&read);
        }
        self.followed = self.g.w.events.len();
        let mut state = self.g.w.state.clone();
        for ((token, id), hash) in &self.sealed {
            let mut request = state.request(*token, *id).unwrap().clone();
            let Some(Outcome::Answered(record)) = &mut request.outcome else {
                panic!()
            };
            let stored = if record.sealed.is_empty() {
                Vec::new()
            } else {
                sha256(&[&record.sealed]).to_vec()
            };
            assert_eq!(stored, hash[..]);
            record.sealed = ByteString::default();
            state.load(Object::Request(*token, *id, request));
        }
        assert_eq!(state, self.follower);
        assert_eq!(
            self.kept,
            Kept::all(&self.g.w.state),
            "something was not touched"
        );
    }

    /// Invariant 5, second half: from here, the owner gets all stake out.
    pub(super) fn expect_exits(&self) {
        for token in self.g.w.state.tokens() {
            super::super::exit::expect_exit(&self.g.w, token.id);
        }
    }

    pub(super) fn end(&mut self) {
        self.expect_conservation();
        self.expect_follower();
        self.expect_exits();
        // All at once, from nothing, as well as bit by bit.
        let mut again = State::untracked();
        for event in &self.g.w.events {
            again.evolve(event);
        }
        assert_eq!(again, self.follower);
    }
}
