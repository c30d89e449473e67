//! Whether this program knows the versions of what it works with, and what to do if it does not.

use k3s_daas::contract::{State, VERSION};
use k3s_daas::ledger::LedgerExt as _;
use k3s_daas::ledger::local::LocalLedger;
use k3s_daas::nautilus::JournalError;
use k3s_daas::types::{ClusterId, ExecutorId, OtherVersion, TokenId};
use k3s_daas::{blob, ledger, nautilus};

/// Refuses a cluster or a token of another contract version, with which nothing would be admitted or answered.
///
/// # Errors
/// [`OtherVersion`], which has an exit code of its own.
pub fn check_contract(
    ledger: &LocalLedger,
    cluster: Option<ClusterId>,
    token: Option<TokenId>,
) -> Result<(), OtherVersion> {
    ledger.view(|now| contract(now.state, cluster, token))
}

/// The same of the cluster that an executor is of.
///
/// # Errors
/// As [`check_contract`].
pub fn check_contract_of(ledger: &LocalLedger, executor: ExecutorId) -> Result<(), OtherVersion> {
    ledger.view(|now| {
        let cluster = now.state.executor(executor).map(|found| found.cluster);
        contract(now.state, cluster, None)
    })
}

fn contract(
    state: &State,
    cluster: Option<ClusterId>,
    token: Option<TokenId>,
) -> Result<(), OtherVersion> {
    // What is not there at all is found missing elsewhere.
    let cluster = cluster.and_then(|id| state.cluster(id));
    let token = token.and_then(|id| state.token(id));
    let found = [
        (CLUSTER, cluster.map(|cluster| cluster.version)),
        (TOKEN, token.map(|token| token.version)),
    ];
    found
        .into_iter()
        .filter_map(|(what, found)| Some((what, found?)))
        .try_for_each(|(what, found)| OtherVersion::check(what, found, VERSION))
}

/// The version that was not known, if that is what went wrong.
#[must_use]
pub fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<OtherVersion> {
    if let Some(other) = cause.downcast_ref::<OtherVersion>() {
        return Some(*other);
    }
    if let Some(ledger::Error::Version(other)) = cause.downcast_ref() {
        return Some(*other);
    }
    if let Some(blob::Error::Version(other)) = cause.downcast_ref() {
        return Some(*other);
    }
    match cause.downcast_ref::<nautilus::Error>()? {
        nautilus::Error::Journal(JournalError::Version(other)) => Some(*other),
        _ => None,
    }
}

/// What to do about it.
#[must_use]
pub fn advice(other: OtherVersion) -> String {
    let this = env!("CARGO_PKG_VERSION");
    if other.is_newer() {
        return format!(
            "a newer program has been here, and this is {this}: stop every process of this one, and run all of daas, \
             daas-gateway and daas-nautilus in the newer version"
        );
    }
    match other.what {
        "journal" => {
            "stop its Nautilus with the program that made it, move it away and run `daas executor journal`; writes \
             that wait for an answer are answered 504, outcome unknown"
        }
        CLUSTER | TOKEN => "have it migrated to this version of the contract by the cluster's administrator",
        _ => {
            "this version cannot take over what an earlier one made: go on with that one, or begin with a new \
             directory"
        }
    }
    .to_owned()
}

const CLUSTER: &str = "cluster's contract";
const TOKEN: &str = "token's contract";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k3s_daas::types::{Address, AdminCapId, ChainId, ClusterPolicy};
    use k3s_daas::wire::{ClusterCreated, ClusterMigrated, Event};

    use super::*;
    use crate::exit::{self, Exit};

    #[test]
    fn a_cluster_of_another_contract_version_is_refused() {
        let cluster = ClusterId::from([7; 32]);
        let mut state = State::default();
        contract(&state, Some(cluster), None).unwrap();
        state.evolve(&Event::from(ClusterCreated {
            cluster,
            version: VERSION,
            name: "c".into(),
            chain: ChainId::from([1; 32]),
            admin_cap: AdminCapId::from([2; 32]),
            admin: Address::from([3; 32]),
            policy: ClusterPolicy::default(),
        }));
        contract(&state, Some(cluster), None).unwrap();
        for version in [VERSION + 1, VERSION - 1] {
            state.evolve(&Event::from(ClusterMigrated { cluster, version }));
            let other = contract(&state, Some(cluster), None).unwrap_err();
            assert_eq!((other.what, other.found), (CLUSTER, version));
            contract(&state, None, None).unwrap();
        }
    }

    #[test]
    fn whatever_has_it_has_the_exit_code_and_says_what_to_do() {
        let other = OtherVersion::check("ledger", 3, 2).unwrap_err();
        let errors: [anyhow::Error; 5] = [
            other.into(),
            ledger::Error::Version(other).into(),
            blob::Error::Version(other).into(),
            nautilus::Error::Journal(JournalError::Version(other)).into(),
            nautilus::Error::Ledger(ledger::Error::Version(other)).into(),
        ];
        for error in errors {
            let error = error.context("cannot run");
            assert_eq!(Exit::of(&error), Exit::Version, "{error:?}");
            let next = exit::advice(&error).unwrap();
            assert!(next.contains("the newer version"), "{next}");
            assert!(format!("{error:#}").contains("is of version 3, and this program knows 2"));
        }
        for what in ["ledger", "journal", CLUSTER] {
            let older = OtherVersion::check(what, 1, 2).unwrap_err();
            assert!(!advice(older).contains("the newer version"), "{what}");
        }
        OtherVersion::check("ledger", 2, 2).unwrap();
    }
}
