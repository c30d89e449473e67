//! The state as rows: one per object, its BCS under its ID.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cold::{self, Cold, Row};
use super::failure::{BrokenLink, Failure};
use super::journal::Journal;
use super::replica::Replica;
use crate::contract::{Object, State, Touched};
use crate::crypto::blake2b256;
use crate::types::{Address, RequestId, TokenId};
use crate::wire::to_bcs;

/// A table of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// BCS of the cluster and its capability.
    Clusters,
    Tokens,
    Executors,
    /// The ID is the token's and the 36 characters of the request's.
    Requests,
}

impl Table {
    pub(crate) const ALL: [Self; 4] = [
        Self::Clusters,
        Self::Tokens,
        Self::Executors,
        Self::Requests,
    ];

    /// What one row of it is.
    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Tokens => "token",
            Self::Executors => "executor",
            Self::Requests => "request",
        }
    }

    pub(super) fn put_sql(self) -> &'static str {
        match self {
            Self::Clusters => {
                "INSERT INTO clusters (id, object) VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET object = excluded.object"
            }
            Self::Tokens => {
                "INSERT INTO tokens (id, object) VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET object = excluded.object"
            }
            Self::Executors => {
                "INSERT INTO executors (id, object) VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET object = excluded.object"
            }
            Self::Requests => {
                "INSERT INTO requests (id, object) VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET object = excluded.object"
            }
        }
    }

    pub(super) fn delete_sql(self) -> &'static str {
        match self {
            Self::Clusters => "DELETE FROM clusters WHERE id = ?1",
            Self::Tokens => "DELETE FROM tokens WHERE id = ?1",
            Self::Executors => "DELETE FROM executors WHERE id = ?1",
            Self::Requests => "DELETE FROM requests WHERE id = ?1",
        }
    }

    pub(super) fn select_sql(self) -> &'static str {
        match self {
            Self::Clusters => "SELECT id, object FROM clusters ORDER BY id",
            Self::Tokens => "SELECT id, object FROM tokens ORDER BY id",
            Self::Executors => "SELECT id, object FROM executors ORDER BY id",
            Self::Requests => "SELECT id, object FROM requests ORDER BY id",
        }
    }

    pub(super) fn find_sql(self) -> &'static str {
        match self {
            Self::Clusters => "SELECT object FROM clusters WHERE id = ?1",
            Self::Tokens => "SELECT object FROM tokens WHERE id = ?1",
            Self::Executors => "SELECT object FROM executors WHERE id = ?1",
            Self::Requests => "SELECT object FROM requests WHERE id = ?1",
        }
    }

    /// The ID of a row for people.
    pub(crate) fn show_id(self, id: &[u8]) -> String {
        match (self, id.split_at_checked(32)) {
            (Self::Requests, Some((token, request))) => {
                let request = String::from_utf8_lossy(request);
                format!("{request} of token 0x{}", hex::encode(token))
            }
            _ => format!("0x{}", hex::encode(id)),
        }
    }
}

/// The rows that a set of objects has.
pub(crate) fn ids(touched: &Touched) -> Vec<(Table, Vec<u8>)> {
    let clusters = touched
        .clusters
        .iter()
        .map(|id| (Table::Clusters, id.as_bytes().to_vec()));
    let tokens = touched
        .tokens
        .iter()
        .map(|id| (Table::Tokens, id.as_bytes().to_vec()));
    let executors = touched
        .executors
        .iter()
        .map(|id| (Table::Executors, id.as_bytes().to_vec()));
    let requests = touched
        .requests
        .iter()
        .map(|(token, id)| (Table::Requests, request_row(*token, *id)));
    clusters
        .chain(tokens)
        .chain(executors)
        .chain(requests)
        .collect()
}

/// All rows that a state has.
pub(crate) fn all_ids(state: &State) -> Vec<(Table, Vec<u8>)> {
    let all = Touched {
        clusters: state.clusters().map(|cluster| cluster.id).collect(),
        tokens: state.tokens().map(|token| token.id).collect(),
        executors: state.executors().map(|executor| executor.id).collect(),
        requests: state
            .all_requests()
            .map(|(token, id, _)| (token, id))
            .collect(),
    };
    ids(&all)
}

/// The bytes of one row, `None` if the state has no such object.
pub(crate) fn object_bytes(state: &State, table: Table, id: &[u8]) -> Option<Vec<u8>> {
    let address = || Address::from_slice(id);
    match table {
        Table::Clusters => {
            let cluster = state.cluster(address()?.into())?;
            let cap = state.admin_cap(cluster.admin_cap)?;
            Some(to_bcs(&(cluster, cap)))
        }
        Table::Tokens => state.token(address()?.into()).map(to_bcs),
        Table::Executors => state.executor(address()?.into()).map(to_bcs),
        Table::Requests => {
            let (token, id) = parse_request_row(id)?;
            state.request(token, id).map(to_bcs)
        }
    }
}

/// An object from its row.
pub(super) fn object(table: Table, id: &[u8], bytes: &[u8]) -> Option<Object> {
    Some(match table {
        Table::Clusters => {
            let (cluster, cap) = bcs::from_bytes(bytes).ok()?;
            Object::Cluster(cluster, cap)
        }
        Table::Tokens => Object::Token(bcs::from_bytes(bytes).ok()?),
        Table::Executors => Object::Executor(bcs::from_bytes(bytes).ok()?),
        Table::Requests => {
            let (token, id) = parse_request_row(id)?;
            Object::Request(token, id, bcs::from_bytes(bytes).ok()?)
        }
    })
}

pub(super) fn request_row(token: TokenId, id: RequestId) -> Vec<u8> {
    let mut row = token.as_bytes().to_vec();
    row.extend(id.to_wire());
    row
}

pub(super) fn parse_request_row(row: &[u8]) -> Option<(TokenId, RequestId)> {
    let (token, id) = row.split_at_checked(32)?;
    Some((TokenId::from_slice(token)?, RequestId::from_bytes(id).ok()?))
}

/// Over all rows of the state's tables, whatever their order: the exclusive or of their hashes, cut to half.
///
/// Finds at the start what a slip or a database tool did to a row. It is no proof against one who
/// computes it anew; that is what replaying the log is for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Fingerprint([u8; 16]);

/// What one row adds to the fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum([u8; 16]);

impl Sum {
    pub(super) fn of(table: &str, id: &[u8], bytes: &[u8]) -> Self {
        let id_len = u64::try_from(id.len()).unwrap_or(u64::MAX).to_le_bytes();
        let digest = blake2b256(&[table.as_bytes(), &[0], &id_len, id, bytes]);
        let mut sum = [0; 16];
        sum.copy_from_slice(&digest.as_bytes()[..16]);
        Self(sum)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From those that [`Sum::as_bytes`] gave.
    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl Fingerprint {
    /// Adds a row that was not in it, or takes one out that was.
    pub(crate) fn toggle(&mut self, table: &str, id: &[u8], bytes: &[u8]) {
        self.toggle_sum(Sum::of(table, id, bytes));
    }

    pub(super) fn toggle_sum(&mut self, sum: Sum) {
        for (whole, byte) in self.0.iter_mut().zip(sum.0) {
            *whole ^= byte;
        }
    }

    /// Of a whole replica.
    pub(crate) fn of(replica: &Replica) -> Self {
        let mut fingerprint = Self::default();
        for (table, id) in all_ids(&replica.state) {
            let bytes = object_bytes(&replica.state, table, &id).unwrap_or_default();
            fingerprint.toggle(table.singular(), &id, &bytes);
        }
        for (account, mist) in &replica.balances {
            fingerprint.toggle_balance(*account, *mist);
        }
        fingerprint
    }

    pub(crate) fn toggle_balance(&mut self, account: Address, mist: u64) {
        if mist > 0 {
            self.toggle("balance", account.as_bytes(), &mist.to_le_bytes());
        }
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(self.0))
    }
}

/// Reads the state's tables into `replica` and `cold`, which have none yet; their fingerprint.
pub(super) fn load(
    journal: &Journal,
    replica: &mut Replica,
    cold: &Cold,
) -> Result<Fingerprint, Failure> {
    let mut fingerprint = Fingerprint::default();
    let mut answered = Vec::new();
    for table in Table::ALL {
        journal.each_object(table, |id, bytes| {
            let sum = Sum::of(table.singular(), id, bytes);
            fingerprint.toggle_sum(sum);
            let object = object(table, id, bytes).ok_or_else(|| {
                BrokenLink::new(
                    table.singular(),
                    table.show_id(id),
                    "its bytes are no such object",
                )
            })?;
            match object {
                Object::Request(token, id, request) if cold::is_cold(&request) => {
                    let prunable_at_ms = request.prunable_at_ms;
                    let row = Row {
                        prunable_at_ms,
                        sum,
                    };
                    answered.push((token, id, row));
                    if answered.len() == INSERTED_AT_ONCE {
                        cold.insert(&answered)?;
                        answered.clear();
                    }
                }
                object => replica.state.load(object),
            }
            Ok(())
        })?;
    }
    cold.insert(&answered)?;
    journal.each_balance(|account, mist| {
        let broken = |why| BrokenLink::new("balance", format!("0x{}", hex::encode(account)), why);
        let mist = u64::try_from(mist)
            .ok()
            .filter(|mist| *mist > 0)
            .ok_or_else(|| broken("it is not positive"))?;
        let account =
            Address::from_slice(account).ok_or_else(|| broken("its account is not 32 bytes"))?;
        fingerprint.toggle_balance(account, mist);
        replica.balances.insert(account, mist);
        Ok(())
    })?;
    Ok(fingerprint)
}

const INSERTED_AT_ONCE: usize = 1_024;
