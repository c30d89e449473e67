#[test_only]
module k3s_daas::audit_tests;

use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::world;
use std::unit_test::assert_eq;

#[test]
fun anchors_follow_one_another() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
        assert_eq!(*executor.anchored_root(), vector::tabulate!(32, |_| 0xa0));
        assert_eq!(executor.anchored_last(), 300);
        events::reads_anchored(
            cluster.id(),
            fixtures::alpha(),
            vector::tabulate!(32, |_| 0),
            vector::tabulate!(32, |_| 0xa0),
            1,
            300,
            300,
            fixtures::now_ms(),
        );
        world::check_told<events::ReadsAnchored>();
        fixtures::second_anchor().anchor_reads(cluster, executor, clock);
        assert_eq!(executor.anchored_last(), 301);
    })
}

#[test]
fun an_anchor_over_all_numbers_does_not_overflow() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_of_everything().anchor_reads(cluster, executor, clock);
        assert_eq!(executor.anchored_last(), world::max());
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun after_all_numbers_there_is_none() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_of_everything().anchor_reads(cluster, executor, clock);
        fixtures::second_anchor().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EWrongVersion)]
fun anchor_reads_wants_this_version() {
    world::in_world!(|cluster, _, _, executor, clock| {
        cluster.set_version_for_testing(0);
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_inactive_executor_anchors_nothing() {
    world::in_world!(|cluster, cap, _, executor, clock| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EExecutorNotEligible)]
fun an_executor_anchors_nothing_in_another_cluster() {
    world::in_world!(|_, _, _, executor, clock| {
        let (other, cap) = world::another_cluster();
        fixtures::first_anchor().anchor_reads(&other, executor, clock);
        world::drop(other);
        world::drop(cap);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_anchor_is_signed_by_its_executor() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_by_beta().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_anchor_names_its_executor() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_of_beta().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EInvalidSignature)]
fun an_anchor_is_not_altered() {
    world::in_world!(|cluster, _, _, executor, clock| {
        let root = vector::tabulate!(32, |_| 0xa1);
        fixtures::first_anchor().with_root(root).anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun an_anchor_names_the_last_root() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_of_other_root().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun a_root_has_32_bytes() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_of_short_root().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun an_anchor_leaves_no_gap() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_with_gap().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun an_anchor_does_not_begin_at_zero() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_from_zero().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun an_anchor_does_not_end_before_it_begins() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_backwards().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun an_anchor_counts_right() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::anchor_of_other_count().anchor_reads(cluster, executor, clock);
    })
}

#[test, expected_failure(abort_code = ::k3s_daas::errors::EAnchorGap)]
fun an_anchor_counts_once() {
    world::in_world!(|cluster, _, _, executor, clock| {
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
    })
}
