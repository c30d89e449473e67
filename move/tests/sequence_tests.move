/// Many calls in a row, and what holds after each of them.
#[test_only]
module k3s_daas::sequence_tests;

use k3s_daas::events;
use k3s_daas::fixtures;
use k3s_daas::k8s_gateway;
use k3s_daas::people;
use k3s_daas::policy;
use k3s_daas::seal_token;
use k3s_daas::world;
use std::unit_test::assert_eq;
use sui::clock::Clock;
use sui::test_scenario;

use fun world::wait as Clock.wait;

const UNBONDING_MS: u64 = 604_800_000;
const SMALLEST: u64 = 10_000_000;
/// All of these come again and again: more would only be slower.
const NUMBERS: u64 = 8;
const MAX_STEPS: u64 = 50;

/// Any sequence of requests, stakes, waits and prunings: MIST in is MIST out, what is held is what was told, and nobody but
/// a holder was admitted.
#[random_test]
fun any_sequence_keeps_the_books(steps: vector<u8>) {
    world::with_token!(|cluster, cap, token, clock| {
        let mut given = world::sui(2);
        let mut received = 0;
        let mut revoked = false;
        let mut now_ms = fixtures::now_ms();
        let ids = vector::tabulate!(NUMBERS, |number| fixtures::write().with_number(number).id());
        // Longer ones are only slower.
        let count = steps.length().min(MAX_STEPS);
        vector::tabulate!(count, |at| steps[at]).do!(|step| {
            let number = ((step / 16) as u64) % NUMBERS;
            let id = ids[number];
            let amount = SMALLEST * (1 + (step as u64));
            let ctx = &mut people::ctx(people::owner());
            let admitted = token.sequence_for_testing();
            match (step % 16) {
                0 | 1 | 2 | 3 => {
                    let deadline_ms = now_ms + 1 + (step as u64);
                    let command = if (step < 128) fixtures::write() else fixtures::read();
                    let command = command.with_number(number).with_deadline_ms(deadline_ms);
                    let is_new = !token.holds(id);
                    let can_pay = step >= 128 || token.bonded() >= world::sui(1);
                    command.try_execute(cluster, token, clock);
                    let passed = token.sequence_for_testing() > admitted;
                    assert_eq!(passed, is_new && can_pay && token.is_valid(now_ms));
                    assert_eq!(token.holds(id), passed || !is_new);
                },
                4 => {
                    let command = fixtures::read().with_number(number);
                    command.try_execute_as(people::stranger(), cluster, token, clock);
                    assert_eq!(token.sequence_for_testing(), admitted);
                },
                5 | 6 => {
                    token.deposit_stake(world::money(amount), ctx);
                    given = given + amount;
                },
                7 | 8 => {
                    let stake = token.stake_for_testing();
                    if (amount <= stake.bonded() && stake.unbondings_for_testing() < 32) {
                        seal_token::unstake(cluster, token, amount, clock, ctx);
                    }
                },
                9 => {
                    let unlocked = token.stake_for_testing().unlocked_for_testing(now_ms);
                    if (unlocked > 0) {
                        let paid = world::spend(token.withdraw_stake(clock, ctx));
                        assert_eq!(paid, unlocked);
                        received = received + paid;
                    }
                },
                10 | 11 => {
                    now_ms = now_ms + UNBONDING_MS / 64 * (number + 1);
                    clock.set_for_testing(now_ms);
                },
                12 | 13 => {
                    if (token.holds(id) && token.request(id).prunable_at_ms() <= now_ms) {
                        k8s_gateway::prune_responses(token, vector[id], clock, ctx);
                        assert!(!token.holds(id));
                    }
                },
                14 => if (step > 200 && !revoked) {
                    seal_token::revoke_token(cluster, cap, token);
                    revoked = true;
                },
                _ => {
                    if (token.is_holder(@0xd1, now_ms)) token.remove_delegate(@0xd1, ctx)
                    else if (token.is_valid(now_ms)) {
                        token.add_delegate(@0xd1, world::max(), clock, ctx);
                    }
                },
            };
            assert_eq!(given, received + token.stake_for_testing().total());
            assert_eq!(token.unanswered(), ids.count!(|id| token.holds(*id)));
        });
        // In the end the owner gets all of it, whatever happened.
        let ctx = &mut people::ctx(people::owner());
        clock.wait(UNBONDING_MS);
        if (token.stake_for_testing().unlocked_for_testing(clock.timestamp_ms()) > 0) {
            received = received + world::spend(token.withdraw_stake(clock, ctx));
        };
        if (token.bonded() > 0) {
            let all = token.bonded();
            seal_token::unstake(cluster, token, all, clock, ctx);
            clock.wait(UNBONDING_MS);
            received = received + world::spend(token.withdraw_stake(clock, ctx));
        };
        assert_eq!(given, received);
        assert_eq!(world::count_told<events::K8sAPIRequest>(), token.sequence_for_testing());
    })
}

/// A token at every bound at once still works, and its owner still gets its stake.
#[test]
fun a_token_at_every_bound_works() {
    let mut scenario = test_scenario::begin(people::owner());
    let (mut cluster, cap, mut token, executor, mut clock) = world::new();
    let ctx = &mut people::ctx(people::owner());
    31u64.do!(|n| token.add_delegate(nth(n), world::max(), &clock, ctx));
    63u64.do!(|n| {
        let key = vector::tabulate!(32, |_| 0x40 + (n as u8));
        token.register_session_key(key, world::max(), &clock, ctx);
    });
    31u64.do!(|_| seal_token::unstake(&cluster, &mut token, SMALLEST, &clock, ctx));
    1_024u64.do!(|n| {
        // A transaction has room for so many events.
        if (n % 128 == 0) {
            scenario.next_tx(people::owner());
        };
        let sender = if (n % 2 == 0) people::owner() else nth(30);
        // Rules at their bound make each check slow: the last ones are enough.
        if (n == 1_008) seal_token::set_rules(&cluster, &cap, &mut token, largest_rules());
        fixtures::write().with_number(n).execute_as(sender, &cluster, &mut token, &clock);
    });

    scenario.next_tx(people::owner());
    assert_eq!(token.unanswered(), 1_024);
    let ctx = &mut people::ctx(people::owner());
    let all = token.bonded();
    seal_token::unstake(&cluster, &mut token, all, &clock, ctx);
    clock.wait(UNBONDING_MS);
    assert_eq!(world::spend(token.withdraw_stake(&clock, ctx)), world::sui(2));
    2u64.do!(|half| {
        let ids = vector::tabulate!(512, |n| fixtures::write().with_number(half * 512 + n).id());
        k8s_gateway::prune_responses(&mut token, ids, &clock, ctx);
    });
    assert_eq!(token.unanswered(), 0);
    world::end(cluster, cap, token, executor, clock);
    scenario.end();
}

/// Rules of 32,768 bytes and 2,048 entries of which the last allows what the tests ask for.
fun largest_rules(): vector<policy::PolicyRule> {
    let mut rules = vector[];
    let mut allowing = world::rules();
    let names = vector::tabulate!(30, |n| {
        vector::tabulate!(32, |_| 0x61 + ((n % 26) as u8)).to_string()
    });
    let none = vector[b"none".to_string()];
    let filler = policy::new_rule(none, none, none, names, vector[], none);
    while (policy::bcs_length(&rules) + policy::bcs_length(&allowing) < 30_000) {
        rules.push_back(filler);
    };
    rules.append(allowing);
    // And a rule with as many verbs as are left, one of them as long as what is left.
    let mut verbs = vector::tabulate!(2_048 - 2 - 1 - policy::entries(&rules), |_| b"".to_string());
    let left = 32_768 - policy::bcs_length(&rules) - verbs.length();
    verbs.push_back(vector::tabulate!(left - 5 - 2 - 2, |_| 0x61).to_string());
    allowing = vector[policy::new_rule(verbs, vector[], vector[], vector[], vector[], vector[])];
    allowing.append(rules);
    assert_eq!(policy::bcs_length(&allowing), 32_768);
    assert_eq!(policy::entries(&allowing), 2_048);
    allowing
}

fun nth(n: u64): address { sui::address::from_u256(0xd000 + (n as u256)) }
