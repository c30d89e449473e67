/// What is held, as bytes, in the order of the Rust twin's fields: for whoever compares the two.
#[test_only]
module k3s_daas::twin_tests;

use k3s_daas::cluster_policy;
use k3s_daas::executor;
use k3s_daas::fixtures;
use k3s_daas::people;
use k3s_daas::seal_token;
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::bcs;

#[test]
fun a_token_as_the_twin_has_it() {
    world::with_token!(|cluster, _, token, clock| {
        let ctx = &mut people::ctx(people::owner());
        token.add_delegate(@0x2, 5_000_000_000_000, clock, ctx);
        seal_token::unstake(cluster, token, 10_000_000, clock, ctx);
        fixtures::read().execute(cluster, token, clock);
        let hour_ms = bcs::to_bytes(&(fixtures::now_ms() + world::hour_ms()));
        let mut expected = bcs::to_bytes(&fixtures::token());
        expected.append(x"0100000000000000");
        expected.append(bcs::to_bytes(&fixtures::cluster()));
        expected.append(bcs::to_bytes(&people::owner()));
        expected.append(bcs::to_bytes(&world::rules()));
        expected.append(b"\x01\x0adevelopers");
        expected.append(bcs::to_bytes(&1_990_000_000u64));
        expected.append(x"01");
        expected.append(bcs::to_bytes(&10_000_000u64));
        expected.append(bcs::to_bytes(&(fixtures::now_ms() + 604_800_000)));
        // Sorted, not as they came.
        expected.append(x"02");
        expected.append(bcs::to_bytes(&@0x2));
        expected.append(bcs::to_bytes(&5_000_000_000_000u64));
        expected.append(bcs::to_bytes(&people::delegate()));
        expected.append(hour_ms);
        expected.append(x"01");
        expected.append(fixtures::session_key());
        expected.append(hour_ms);
        expected.append(bcs::to_bytes(&fixtures::now_ms()));
        expected.append(bcs::to_bytes(&(fixtures::now_ms() + world::day_ms())));
        expected.append(x"00");
        expected.append(x"0100000000000000");
        expected.append(x"0100000000000000");
        assert_eq!(token.as_twin_for_testing(), expected);
    })
}

#[test]
fun a_cluster_and_an_executor_as_the_twin_has_them() {
    world::in_world!(|cluster, _, _, executor, _| {
        let ctx = &mut people::ctx(people::operator());
        executor::deposit_executor_stake(cluster, executor, world::money(100), ctx);
        let (first, second) = (fixtures::ok().signed(), fixtures::not_found().signed());
        let token = fixtures::token();
        let paid = executor::slash_equivocation(cluster, executor, token, first, second, ctx);
        world::spend(paid);

        let mut expected = bcs::to_bytes(&fixtures::alpha());
        expected.append(bcs::to_bytes(&fixtures::cluster()));
        expected.append(bcs::to_bytes(&people::operator()));
        expected.append(fixtures::alpha_key());
        expected.append(x"000000000000000000");
        expected.append(x"20");
        expected.append(vector::tabulate!(32, |_| 0));
        expected.append(x"0000000000000000");
        expected.append(x"01");
        assert_eq!(executor.as_twin_for_testing(), expected);

        let mut expected = bcs::to_bytes(&fixtures::cluster());
        expected.append(x"0100000000000000");
        expected.append(b"\x0aproduction");
        expected.append(bcs::to_bytes(&fixtures::chain()));
        expected.append(bcs::to_bytes(&fixtures::cap()));
        expected.append(x"0100000000000000");
        expected.append(bcs::to_bytes(&cluster_policy::default()));
        expected.append(x"01");
        expected.append(bcs::to_bytes(&fixtures::alpha()));
        expected.append(bcs::to_bytes(&people::operator()));
        expected.append(fixtures::alpha_key());
        expected.append(x"20");
        expected.append(vector::tabulate!(32, |_| 0x25));
        expected.append(x"00");
        expected.append(x"0000000000000000");
        expected.append(x"00");
        expected.append(x"01");
        expected.append(fixtures::alpha_key());
        expected.append(bcs::to_bytes(&90u64));
        let keys = vector[fixtures::beta_key(), fixtures::alpha_key()];
        assert_eq!(cluster.as_twin_for_testing(keys), expected);
    })
}
