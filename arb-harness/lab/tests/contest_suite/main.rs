//! Forty HTLCs on one close, and an adversary that acts before every block: what it takes, and what that costs it (B20, B21).
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

use arb_lab::adversary::Tactic;
use arb_lab::contest::{Contest, Ended, all, play};

/// Plays the contests that `chosen` accepts.
fn played(chosen: impl Fn(&str, &Contest) -> bool) -> Vec<(Contest, Ended)> {
    let all = all().into_iter().filter(|(coins, contest)| chosen(coins, contest));
    all.map(|(_, contest)| (contest, play(contest).unwrap())).collect()
}

fn lost(ended: &Ended) -> usize {
    ended.fates.iter().filter(|fate| fate.is_lost()).count()
}

fn late(ended: &Ended) -> usize {
    ended.fates.iter().filter(|fate| fate.is_late()).count()
}

#[test]
fn stalling_takes_nothing_from_us_with_many_coins_or_few() {
    let played = played(|_, contest| contest.tactic == Tactic::Stall);
    assert_eq!(played.len(), 5);
    for (contest, ended) in played {
        assert!(!ended.acts.is_empty(), "{contest:?}");
        assert_eq!((lost(&ended), late(&ended), ended.is_resolved), (0, 0, true), "{contest:?}");
    }
}

#[test]
fn a_cycle_that_is_seen_gives_the_preimage_away() {
    let played = played(|_, contest| contest.tactic == Tactic::Cycle && contest.sees_mempool);
    assert_eq!(played.len(), 2);
    for (contest, ended) in played {
        assert!(!ended.acts.is_empty(), "{contest:?}");
        assert_eq!((lost(&ended), late(&ended), ended.is_resolved), (0, 0, true), "{contest:?}");
    }
}

/// Replacement cycling that we do not see in the mempool takes HTLCs, but each costs at least five times its amount.
#[test]
fn a_cycle_that_nobody_sees_costs_more_than_it_wins() {
    let played = played(|coins, contest| coins == "ample" && contest.tactic == Tactic::Cycle && !contest.sees_mempool);
    assert_eq!(played.len(), 2);
    for (contest, ended) in played {
        for fate in ended.fates.iter().filter(|fate| fate.is_late()) {
            assert!(fate.spent_on_it_sat >= 5 * contest.amount_sat, "{contest:?}: {fate:?}");
        }
        let won_sat = u64::try_from(lost(&ended)).unwrap() * contest.amount_sat;
        assert!(ended.spend_sat >= 5 * won_sat, "{contest:?}: {} for {won_sat}", ended.spend_sat);
        assert!(ended.is_resolved, "{contest:?}");
    }
}
