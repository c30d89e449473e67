//! Answered requests, which lie in the database and not in memory.
//!
//! A token's request is looked at until it is answered, and for a moment after; then it waits to be pruned.
//! Of those in between only this is kept: that they are there, from when they may go, and what their row adds
//! to the fingerprint.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::failure::{BrokenLink, Failure};
use super::journal::Journal;
use super::objects::{Sum, Table, object, request_row};
use super::published::Published;
use super::replica::Replica;
use crate::contract::{Call, Object, Outcome, Request, State};
use crate::types::{Digest, ExecutorId, RequestId, TokenId};

/// The answered requests that no state holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Cold {
    /// By ID, so roughly by age: they come at one end and go at the other.
    tokens: BTreeMap<TokenId, VecDeque<(RequestId, Row)>>,
}

/// What is kept of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) prunable_at_ms: u64,
    pub(super) sum: Sum,
}

impl Cold {
    pub(super) fn len(&self) -> usize {
        self.tokens.values().map(VecDeque::len).sum()
    }

    pub(super) fn get(&self, token: TokenId, id: RequestId) -> Option<Row> {
        let rows = self.tokens.get(&token)?;
        let index = rows.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        rows.get(index).map(|(_, row)| *row)
    }

    pub(super) fn insert(&mut self, token: TokenId, id: RequestId, row: Row) {
        let rows = self.tokens.entry(token).or_default();
        match rows.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => rows[index] = (id, row),
            Err(index) => rows.insert(index, (id, row)),
        }
    }

    pub(super) fn remove(&mut self, token: TokenId, id: RequestId) {
        let Some(rows) = self.tokens.get_mut(&token) else {
            return;
        };
        if let Ok(index) = rows.binary_search_by_key(&id, |(id, _)| *id) {
            rows.remove(index);
        }
        if rows.is_empty() {
            self.tokens.remove(&token);
        } else if rows.len() < rows.capacity() / 4 {
            rows.shrink_to(rows.len() * 2);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (TokenId, RequestId)> {
        let rows = self.tokens.iter();
        rows.flat_map(|(token, rows)| rows.iter().map(|(id, _)| (*token, *id)))
    }

    /// Those that may be pruned at a time.
    pub(super) fn prunable(&self, now_ms: u64) -> impl Iterator<Item = (TokenId, RequestId)> {
        let rows = self
            .tokens
            .iter()
            .flat_map(|(token, rows)| rows.iter().map(move |(id, row)| (*token, *id, row)));
        rows.filter(move |(_, _, row)| now_ms >= row.prunable_at_ms)
            .map(|(token, id, _)| (token, id))
    }
}

/// Whether a request is of those that need not be in memory.
pub(super) fn is_cold(request: &Request) -> bool {
    request.outcome.is_some()
}

/// Puts the cold requests that a call names into the replica for the length of a batch.
pub(super) fn warm(
    journal: &Journal,
    published: &Published,
    warmed: &mut HashMap<(TokenId, RequestId), Row>,
    call: &Call,
    replica: &mut Replica,
) -> Result<(), Failure> {
    let is_pruning = matches!(call, Call::PruneResponses { .. });
    for (token, id) in call.requests() {
        if warmed.contains_key(&(token, id)) || replica.state.request(token, id).is_some() {
            continue;
        }
        let Some(row) = published.read().cold.get(token, id) else {
            continue;
        };
        let request = if is_pruning {
            None
        } else {
            load(journal, token, id, row)?
        };
        match request {
            Some(request) => replica.state.load(Object::Request(token, id, request)),
            // Another process may have pruned it since the call that is followed now.
            None => put_prunable(&mut replica.state, token, id, row),
        }
        warmed.insert((token, id), row);
    }
    Ok(())
}

/// The request of a row, from the database; `None` if it is gone from there.
pub(super) fn load(
    journal: &Journal,
    token: TokenId,
    id: RequestId,
    row: Row,
) -> Result<Option<Request>, Failure> {
    let row_id = request_row(token, id);
    let Some(bytes) = journal.object(Table::Requests, &row_id)? else {
        return Ok(None);
    };
    let broken = |why| {
        let shown = Table::Requests.show_id(&row_id);
        BrokenLink::new(Table::Requests.singular(), shown, why)
    };
    if Sum::of(Table::Requests.singular(), &row_id, &bytes) != row.sum {
        return Err(broken("it was changed while the ledger was open").into());
    }
    match object(Table::Requests, &row_id, &bytes) {
        Some(Object::Request(_, _, request)) => Ok(Some(request)),
        _ => Err(broken("its bytes are no such object").into()),
    }
}

/// Puts into `state` what pruning looks at of a request whose row may be gone: that it is answered, and
/// from when it may go.
fn put_prunable(state: &mut State, token: TokenId, id: RequestId, row: Row) {
    let request = Request {
        digest: Digest::ZERO,
        priority: 0,
        deadline_ms: 0,
        is_read: false,
        session: false,
        has_reply_key: false,
        executor: ExecutorId::ZERO,
        epoch: 0,
        assigned_at_ms: 0,
        lease_ends_ms: 0,
        claims: 0,
        prunable_at_ms: row.prunable_at_ms,
        outcome: Some(Outcome::Closed),
    };
    state.load(Object::Request(token, id, request));
}
