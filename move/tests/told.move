/// What was emitted, as bytes: for whoever compares it with what another implementation says.
#[test_only]
module k3s_daas::told;

use k3s_daas::events;
use std::unit_test::assert_eq;
use sui::bcs;
use sui::event;

/// Of so many types.
const NUMBERS: u8 = 32;

/// All events of this transaction, by type in the order of `events` and within a type as they came: the type's number in
/// that order (the index of the variant of Rust's `Event`), then the BCS of the event.
public fun all(): vector<vector<u8>> {
    let mut told = vector[];
    NUMBERS.do!(|number| {
        of(number).do!(|event| {
            let mut bytes = vector[number];
            bytes.append(event);
            told.push_back(bytes);
        });
    });
    told
}

/// The BCS of all events of one type, by its number, as they came.
public fun of(number: u8): vector<vector<u8>> {
    if (number == 0) told<events::ClusterCreated>()
    else if (number == 1) told<events::ClusterPolicySet>()
    else if (number == 2) told<events::ClusterMigrated>()
    else if (number == 3) told<events::InsuranceWithdrawn>()
    else if (number == 4) told<events::SealTokenIssued>()
    else if (number == 5) told<events::SealTokenRevoked>()
    else if (number == 6) told<events::SealTokenRulesSet>()
    else if (number == 7) told<events::SealTokenMigrated>()
    else if (number == 8) told<events::DelegateAdded>()
    else if (number == 9) told<events::DelegateRemoved>()
    else if (number == 10) told<events::SessionKeyRegistered>()
    else if (number == 11) told<events::SessionKeyRemoved>()
    else if (number == 12) told<events::StakeDeposited>()
    else if (number == 13) told<events::StakeUnbonding>()
    else if (number == 14) told<events::StakeWithdrawn>()
    else if (number == 15) told<events::K8sAPIRequest>()
    else if (number == 16) told<events::K8sRequestRejected>()
    else if (number == 17) told<events::K8sRequestsRejected>()
    else if (number == 18) told<events::K8sRequestClaimed>()
    else if (number == 19) told<events::K8sRequestReleased>()
    else if (number == 20) told<events::K8sRequestProcessed>()
    else if (number == 21) told<events::ResponsesPruned>()
    else if (number == 22) told<events::SessionClosed>()
    else if (number == 23) told<events::ExecutorRegistered>()
    else if (number == 24) told<events::ExecutorActivated>()
    else if (number == 25) told<events::ExecutorDeactivated>()
    else if (number == 26) told<events::ExecutorRemoved>()
    else if (number == 27) told<events::ExecutorStakeDeposited>()
    else if (number == 28) told<events::ExecutorStakeUnbonding>()
    else if (number == 29) told<events::ExecutorStakeWithdrawn>()
    else if (number == 30) told<events::ExecutorSlashed>()
    else if (number == 31) told<events::ReadsAnchored>()
    else abort
}

fun told<E: copy + drop>(): vector<vector<u8>> {
    event::events_by_type<E>().map!(|event| bcs::to_bytes(&event))
}

#[test]
fun events_are_told_in_the_order_of_their_types() {
    events::seal_token_revoked(@0x1, @0x2);
    events::cluster_migrated(@0x3, 4);
    let mut migrated = x"02";
    migrated.append(bcs::to_bytes(&@0x3));
    migrated.append(x"0400000000000000");
    let mut revoked = x"05";
    revoked.append(bcs::to_bytes(&@0x1));
    revoked.append(bcs::to_bytes(&@0x2));
    assert_eq!(all(), vector[migrated, revoked]);
}
