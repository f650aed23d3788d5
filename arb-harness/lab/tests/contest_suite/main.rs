//! Forty HTLCs on one close, and an adversary that acts before every block: what it takes, and what that costs it (B20, B21).
//! At 2, 20 and 100 sat/vB, with many coins, with one, and with two that are worth too little for all claims.
#![allow(clippy::unwrap_used, reason = "clippy does not know the helpers of tests as test code")]

use arb_core::Side;
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

/// Whether the wallet can pay for the commitment alone, at this price: if it cannot, no policy saves an HTLC of ours.
fn is_within_reach(contest: &Contest) -> bool {
    let (count, each_sat) = contest.coins;
    let weight = 1_124 + 172 * contest.htlcs;
    contest.owner == Side::Remote
        || u64::from(count) * each_sat >= weight * u64::from(contest.feerate_sat_per_kw) / 1_000
}

#[test]
fn stalling_takes_nothing_from_us_if_the_wallet_can_pay_for_the_commitment() {
    let played = played(|_, contest| contest.tactic == Tactic::Stall && is_within_reach(contest));
    // All but the poor wallet at 100 sat/vB.
    assert_eq!(played.len(), 17);
    for (contest, ended) in played {
        assert!(!ended.acts.is_empty(), "{contest:?}");
        assert_eq!((lost(&ended), late(&ended), ended.is_resolved), (0, 0, true), "{contest:?}");
    }
}

#[test]
fn a_cycle_that_is_seen_gives_the_preimage_away() {
    let played = played(|_, contest| contest.tactic == Tactic::Cycle && contest.sees_mempool);
    assert_eq!(played.len(), 9);
    for (contest, ended) in played {
        // Each first half of a cycle shows a preimage, and that settles its upstream HTLC.
        let settled = ended.fates.iter().filter(|fate| fate.settled.is_some()).count();
        assert!(settled > 0, "{contest:?}");
        assert_eq!((lost(&ended), late(&ended), ended.is_resolved), (0, 0, true), "{contest:?}");
    }
}

/// Replacement cycling that we do not see in the mempool takes HTLCs, but each costs at least five times its amount.
#[test]
fn a_cycle_that_nobody_sees_costs_more_than_it_wins() {
    let played = played(|coins, contest| coins == "ample" && contest.tactic == Tactic::Cycle && !contest.sees_mempool);
    assert_eq!(played.len(), 6);
    for (contest, ended) in played {
        for fate in ended.fates.iter().filter(|fate| fate.is_late()) {
            assert!(fate.spent_on_it_sat >= 5 * contest.amount_sat, "{contest:?}: {fate:?}");
        }
        let won_sat = u64::try_from(lost(&ended)).unwrap() * contest.amount_sat;
        assert!(ended.spend_sat >= 5 * won_sat, "{contest:?}: {} for {won_sat}", ended.spend_sat);
        assert!(ended.is_resolved, "{contest:?}");
    }
}
