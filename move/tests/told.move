/// What was emitted, as bytes: for whoever compares it with what another implementation says.
#[test_only]
module k3s_daas::told;

use k3s_daas::events;
use std::unit_test::assert_eq;
use sui::bcs;
use sui::event;

/// All events of this transaction, by type in the order of `events` and within a type as they came: the type's number in
/// that order (the index of the variant of Rust's `Event`), then the BCS of the event.
public fun all(): vector<vector<u8>> {
    let mut told = vector[];
    add<events::ClusterCreated>(&mut told, 0);
    add<events::ClusterPolicySet>(&mut told, 1);
    add<events::ClusterMigrated>(&mut told, 2);
    add<events::InsuranceWithdrawn>(&mut told, 3);
    add<events::SealTokenIssued>(&mut told, 4);
    add<events::SealTokenRevoked>(&mut told, 5);
    add<events::SealTokenRulesSet>(&mut told, 6);
    add<events::SealTokenMigrated>(&mut told, 7);
    add<events::DelegateAdded>(&mut told, 8);
    add<events::DelegateRemoved>(&mut told, 9);
    add<events::SessionKeyRegistered>(&mut told, 10);
    add<events::SessionKeyRemoved>(&mut told, 11);
    add<events::StakeDeposited>(&mut told, 12);
    add<events::StakeUnbonding>(&mut told, 13);
    add<events::StakeWithdrawn>(&mut told, 14);
    add<events::K8sAPIRequest>(&mut told, 15);
    add<events::K8sRequestRejected>(&mut told, 16);
    add<events::K8sRequestsRejected>(&mut told, 17);
    add<events::K8sRequestClaimed>(&mut told, 18);
    add<events::K8sRequestReleased>(&mut told, 19);
    add<events::K8sRequestProcessed>(&mut told, 20);
    add<events::ResponsesPruned>(&mut told, 21);
    add<events::SessionClosed>(&mut told, 22);
    add<events::ExecutorRegistered>(&mut told, 23);
    add<events::ExecutorActivated>(&mut told, 24);
    add<events::ExecutorDeactivated>(&mut told, 25);
    add<events::ExecutorRemoved>(&mut told, 26);
    add<events::ExecutorStakeDeposited>(&mut told, 27);
    add<events::ExecutorStakeUnbonding>(&mut told, 28);
    add<events::ExecutorStakeWithdrawn>(&mut told, 29);
    add<events::ExecutorSlashed>(&mut told, 30);
    add<events::ReadsAnchored>(&mut told, 31);
    told
}

fun add<T: copy + drop>(told: &mut vector<vector<u8>>, number: u8) {
    event::events_by_type<T>().do!(|event| {
        let mut bytes = vector[number];
        bytes.append(bcs::to_bytes(&event));
        told.push_back(bytes);
    });
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
