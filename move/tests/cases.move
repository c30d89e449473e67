/// One way to be refused by each check of a request, for every function that checks one.
#[test_only]
module k3s_daas::cases;

use k3s_daas::calls::Command;
use k3s_daas::cluster::Cluster;
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::seal_token::{Self, SealToken};
use k3s_daas::world;
use sui::clock::{Self, Clock};

use fun world::wait as Clock.wait;

// === Ways ===

public macro fun execute(): u8 { 0 }

public macro fun execute_signed(): u8 { 1 }

public macro fun open(): u8 { 2 }

public macro fun open_signed(): u8 { 3 }

public macro fun try_execute(): u8 { 4 }

public macro fun try_execute_signed(): u8 { 5 }

public macro fun record_refusal(): u8 { 6 }

/// Sends a command one way or another.
public fun send(
    command: Command,
    way: u8,
    cluster: &Cluster,
    token: &mut SealToken,
    clock: &Clock,
) {
    match (way) {
        0 => command.execute(cluster, token, clock),
        1 => command.execute_signed(cluster, token, clock),
        2 => command.open(cluster, token, clock),
        3 => command.open_signed(cluster, token, clock),
        4 => command.try_execute(cluster, token, clock),
        5 => command.try_execute_signed(cluster, token, clock),
        _ => command.record_refusal(cluster, token, clock),
    }
}

// === Refusals, by code ===

public fun wrong_cluster_version(way: u8) {
    world::with_requests!(|cluster, token, clock| {
        cluster.set_version_for_testing(0);
        fixtures::read().send(way, cluster, token, clock);
    })
}

public fun wrong_token_version(way: u8) {
    world::with_token!(|cluster, cap, token, clock| {
        // Before its validity.
        seal_token::revoke_token(cluster, cap, token);
        token.set_version_for_testing(2);
        fixtures::read().send(way, cluster, token, clock);
    })
}

public fun other_cluster(way: u8) {
    world::with_requests!(|_, token, clock| {
        let (other, cap) = world::another_cluster();
        fixtures::read().send(way, &other, token, clock);
        world::drop(other);
        world::drop(cap);
    })
}

public fun revoked(way: u8) {
    world::with_token!(|cluster, cap, token, clock| {
        seal_token::revoke_token(cluster, cap, token);
        fixtures::read().send(way, cluster, token, clock);
    })
}

public fun not_yet_valid(way: u8) {
    world::with_requests!(|cluster, token, _| {
        // No clock goes back.
        let mut earlier = clock::create_for_testing(&mut people::ctx_of(people::admin(), 91));
        earlier.set_for_testing(fixtures::now_ms() - 1);
        fixtures::read().send(way, cluster, token, &earlier);
        earlier.destroy_for_testing();
    })
}

public fun expired(way: u8) {
    world::with_requests!(|cluster, token, clock| {
        clock.wait(world::day_ms());
        fixtures::read().send(way, cluster, token, clock);
    })
}

/// The session key is registered no more, and who sends without one is a stranger.
public fun not_holder(way: u8) {
    world::with_requests!(|cluster, token, clock| {
        token.remove_session_key(fixtures::session_key(), &mut people::ctx(people::owner()));
        let stranger = people::stranger();
        // Before the method.
        let command = fixtures::of_bad_method();
        match (way) {
            0 => command.execute_as(stranger, cluster, token, clock),
            2 => command.open_as(stranger, cluster, token, clock),
            4 => command.try_execute_as(stranger, cluster, token, clock),
            6 => command.record_refusal_as(stranger, cluster, token, clock),
            _ => command.send(way, cluster, token, clock),
        }
    })
}

public fun bad_method(way: u8) { refused(fixtures::of_bad_method(), way) }

public fun malformed(way: u8) { refused(fixtures::of_bad_path(), way) }

public fun no_permission(way: u8) { refused(fixtures::of_other_namespace(), way) }

public fun insufficient_stake(way: u8) {
    world::with_token!(|cluster, cap, token, clock| {
        cluster.set_policy(cap, world::policy_of_stakes(world::sui(2) + 1, 0));
        fixtures::write().send(way, cluster, token, clock);
    })
}

public fun past_deadline(way: u8) { refused(fixtures::of_past_deadline(), way) }

public fun far_deadline(way: u8) { refused(fixtures::of_far_deadline(), way) }

public fun payload_too_large(way: u8) { refused(fixtures::of_large_payload(), way) }

public fun invalid_priority(way: u8) { refused(fixtures::of_priority_5(), way) }

public fun duplicate(way: u8) {
    world::with_requests!(|cluster, token, clock| {
        fixtures::read().execute(cluster, token, clock);
        fixtures::read().send(way, cluster, token, clock);
    })
}

public fun no_executor(way: u8) {
    world::with_token!(|cluster, cap, token, clock| {
        cluster.deactivate_executor(cap, fixtures::alpha());
        // Before the count.
        token.set_unanswered_for_testing(1_024);
        fixtures::read().send(way, cluster, token, clock);
    })
}

public fun too_many(way: u8) {
    world::with_requests!(|cluster, token, clock| {
        token.set_unanswered_for_testing(1_024);
        fixtures::read().send(way, cluster, token, clock);
    })
}

fun refused(command: Command, way: u8) {
    world::with_requests!(|cluster, token, clock| command.send(way, cluster, token, clock))
}

use fun send as Command.send;
