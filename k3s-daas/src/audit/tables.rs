//! The state's tables, held against what the log gives.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;

use super::BrokenLink;
use crate::contract::{AdminCap, Cluster, ExecutorState, Request, SealToken};
use crate::ledger::local::failure::Failure;
use crate::ledger::local::journal::Journal;
use crate::ledger::local::objects::{Table, all_ids, object_bytes};
use crate::ledger::local::replica::Replica;
use crate::types::Address;

/// Every row of every table of the state, and every balance.
pub(super) fn compare(journal: &Journal, replica: &Replica) -> Result<(), Failure> {
    let mut expected: BTreeMap<(Table, Vec<u8>), ()> = all_ids(&replica.state)
        .into_iter()
        .map(|row| (row, ()))
        .collect();
    for table in Table::ALL {
        let broken = |id: &[u8], why: String| {
            Failure::from(BrokenLink::new(table.singular(), table.show_id(id), why))
        };
        journal.each_object(table, |id, bytes| {
            let given = object_bytes(&replica.state, table, id);
            let Some(given) = given.filter(|_| expected.remove(&(table, id.to_vec())).is_some())
            else {
                return Err(broken(
                    id,
                    "the table has it, the log does not give it".to_owned(),
                ));
            };
            if given == bytes {
                Ok(())
            } else {
                Err(broken(id, difference(table, bytes, &given)))
            }
        })?;
        if let Some(((missing, id), ())) = expected.first_key_value()
            && *missing == table
        {
            let why = "the log gives it, the table does not have it";
            return Err(broken(id, why.to_owned()));
        }
    }
    compare_balances(journal, replica)
}

fn compare_balances(journal: &Journal, replica: &Replica) -> Result<(), Failure> {
    let mut expected = replica.balances.clone();
    journal.each_balance(|account, mist| {
        let name = format!("0x{}", hex::encode(account));
        let given = Address::from_slice(account).and_then(|account| expected.remove(&account));
        let Some(given) = given else {
            let why = format!("the table gives it {mist} MIST, the log nothing");
            return Err(BrokenLink::new("balance", name, why).into());
        };
        if u64::try_from(mist) == Ok(given) {
            return Ok(());
        }
        let why = format!("the table gives it {mist} MIST, the log {given}");
        Err(BrokenLink::new("balance", name, why).into())
    })?;
    match expected.first_key_value() {
        None => Ok(()),
        Some((account, mist)) => {
            let why = format!("the log gives it {mist} MIST, the table nothing");
            Err(BrokenLink::new("balance", account, why).into())
        }
    }
}

/// Where two objects differ, for people.
fn difference(table: Table, found: &[u8], given: &[u8]) -> String {
    match table {
        Table::Clusters => difference_of::<(Cluster, AdminCap)>(found, given),
        Table::Tokens => difference_of::<SealToken>(found, given),
        Table::Executors => difference_of::<ExecutorState>(found, given),
        Table::Requests => difference_of::<Request>(found, given),
    }
}

fn difference_of<T: DeserializeOwned + Debug>(found: &[u8], given: &[u8]) -> String {
    let show = |bytes| bcs::from_bytes::<T>(bytes).map(|object| format!("{object:#?}"));
    let (Ok(found), Ok(given)) = (show(found), show(given)) else {
        return "its bytes in the table are no such object".to_owned();
    };
    let mut lines = found
        .lines()
        .map(str::trim)
        .zip(given.lines().map(str::trim));
    match lines.find(|(found, given)| found != given) {
        Some((found, given)) => {
            format!(
                "the table says `{}`, the log says `{}`",
                cut(found),
                cut(given)
            )
        }
        None => "the table has more or less of it than the log gives".to_owned(),
    }
}

/// The beginning of a line: a name or a rule can be long.
fn cut(line: &str) -> String {
    let line = line.trim_end_matches(',');
    let mut cut: String = line.chars().take(LINE).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

const LINE: usize = 120;
