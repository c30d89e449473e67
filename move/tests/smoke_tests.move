#[test_only]
module k3s_daas::smoke_tests;

use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::world;
use sui::event;

#[test]
fun all() {
    world::in_world!(|cluster, _cap, token, executor, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::write().execute_signed(cluster, token, clock);
        fixtures::exec().open_signed(cluster, token, clock);
        fixtures::ok().store(cluster, token, clock);
        fixtures::ended().close(cluster, token, clock);
        fixtures::first_anchor().anchor_reads(cluster, executor, clock);
        assert!(event::events_by_type<events::K8sAPIRequest>().length() == 3);
    })
}
