/// Reads that executors serve beside the ledger, anchored on it: what was served cannot be changed afterwards.
module k3s_daas::audit;

use k3s_daas::cluster::Cluster;
use k3s_daas::errors;
use k3s_daas::events;
use k3s_daas::executor::ExecutorState;
use k3s_daas::intent;
use k3s_daas::message;
use sui::clock::Clock;

// === Constants ===

const ROOT_BYTES: u64 = 32;

// === Public functions ===

/// Anchors the Merkle root over the reads that an executor served since its last anchor: those from `first` to `last`, `count`
/// of them. Signed by the executor, relayed by anyone.
///
/// Aborts:
/// - `EWrongVersion`: the cluster is of another version;
/// - `EExecutorNotEligible`: the executor is not on the cluster's list or not eligible;
/// - `EInvalidSignature`;
/// - `EAnchorGap`: it does not begin where the last anchor ended, the count is another, or the root is not 32 bytes.
public fun anchor_reads(
    cluster: &Cluster,
    executor: &mut ExecutorState,
    previous_root: vector<u8>,
    root: vector<u8>,
    first: u64,
    last: u64,
    count: u64,
    signature: vector<u8>,
    clock: &Clock,
) {
    cluster.check_version();
    cluster.eligible(executor.id());
    let signed = intent::signed_bytes(
        intent::anchor!(),
        cluster.chain(),
        cluster.id(),
        @0x0,
        message::anchor(executor.id(), previous_root, root, first, last, count),
    );
    let is_valid = intent::verify(&signed, executor.signing_key(), &signature);
    errors::require(is_valid, errors::invalid_signature!());
    errors::require(previous_root == executor.anchored_root(), errors::anchor_gap!());
    errors::require(root.length() == ROOT_BYTES, errors::anchor_gap!());
    errors::require(first > 0 && first - 1 == executor.anchored_last(), errors::anchor_gap!());
    errors::require(last >= first, errors::anchor_gap!());
    // No sum overflows: `first` is at least 1.
    errors::require(count == last - first + 1, errors::anchor_gap!());
    executor.set_anchored(root, last);
    events::reads_anchored(
        cluster.id(),
        executor.id(),
        previous_root,
        root,
        first,
        last,
        count,
        clock.timestamp_ms(),
    );
}
