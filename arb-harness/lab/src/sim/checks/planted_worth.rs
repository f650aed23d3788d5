//! Planted violations of I16 and I18, and of what excuses a loss: they prove that the checks can fail.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::{ChannelIndex, Conclusion, Entry, Event, Fees, Frame, HtlcRef, Policy, Record};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};

use super::costs::{self, Stages};
use super::queue::{missed, payable};
use super::stakes::AtStake;
use super::unclaimed::{
    Use, invariant_i14_nothing_promised_is_lost, invariant_i16_nothing_is_left_behind, is_given_up, is_out_of_reach,
};
use super::worth::invariant_i18_no_fee_exceeds_what_is_still_to_be_gained;
use crate::balance_oracle::{Unspent, UnspentKind};
use crate::sim::violation::Violation;
use crate::sim::world::seen::Purse;

const INDEX: ChannelIndex = ChannelIndex::new(0);

fn name<T>(verdict: Result<T, Violation>) -> Option<&'static str> {
    verdict.err().map(|violation| violation.invariant)
}

#[test]
fn i16_an_output_that_could_have_left_something() {
    let unspent = |what| Unspent { outpoint: OutPoint::null(), value_sat: 900, what };
    let htlc = unspent(UnspentKind::Htlc(HtlcRef::offered(0)));
    assert!(is_given_up(&htlc, 900) && !is_given_up(&htlc, 901));
    assert!(is_given_up(&unspent(UnspentKind::Own), 900));
    assert!(!is_given_up(&unspent(UnspentKind::Anchor), 1), "anchors have a sum of their own");
    assert_eq!(name(invariant_i16_nothing_is_left_behind(&[])), None);
    assert_eq!(name(invariant_i16_nothing_is_left_behind(&[(htlc, 900)])), Some("I16"));
    assert_eq!(name(invariant_i14_nothing_promised_is_lost(0)), None);
    assert_eq!(name(invariant_i14_nothing_promised_is_lost(1)), Some("I14"));
}

#[test]
fn i16_a_coin_that_was_there_is_no_excuse() {
    let other = OutPoint::new(Txid::all_zeros(), 7);
    let price_at = |height| if height == 11 { 500 } else { 5_000 };
    let sharer = OutPoint::new(Txid::all_zeros(), 8);
    let use_of = |owner: Option<OutPoint>| match owner {
        None => Use::Free,
        Some(owner) if owner == sharer => Use::Shared,
        Some(_) => Use::Held,
    };
    let stages = Stages { first: 1_000, second: 0, fixed_sat: None, from_wallet: true, contested: true };
    let reach = |purses: &[(u32, &Purse)]| is_out_of_reach(purses, &stages, price_at, use_of);
    let (none, small, enough, held) = (vec![], vec![(800, None)], vec![(830, None)], vec![(50_000, Some(other))]);
    assert!(reach(&[(10, &none), (11, &none)]));
    assert!(reach(&[(10, &small)]), "500 sat and change of 330 are needed in block 11");
    assert!(!reach(&[(10, &enough)]));
    assert!(reach(&[(11, &enough)]), "block 12 is ten times as dear");
    assert!(reach(&[(10, &held)]), "another claim has it");
    assert!(!reach(&[]), "nothing is known");
    let both_sat = costs::fee_sat(stages.first + stages.marginal(), 500) + costs::DUST_SAT;
    let shared = |value_sat| vec![(value_sat, Some(sharer))];
    assert!(reach(&[(10, &shared(both_sat - 1))]) && !reach(&[(10, &shared(both_sat))]), "it pays for both");
}

#[test]
fn i16_of_claims_that_queue_for_a_coin_those_it_pays_for_are_missed() {
    let stages = Stages { first: 1_000, second: 0, fixed_sat: None, from_wallet: true, contested: true };
    let (first_sat, more_sat) = (costs::fee_sat(1_000, 1_000), costs::fee_sat(stages.marginal(), 1_000));
    let coin_sat = |claims: u64| costs::DUST_SAT + first_sat + more_sat * (claims - 1);
    assert_eq!(payable(&[], &stages, 1_000), 0);
    assert_eq!(payable(&[coin_sat(1) - 1], &stages, 1_000), 0);
    assert_eq!(payable(&[coin_sat(5)], &stages, 1_000), 5);
    assert_eq!(payable(&[coin_sat(5) - 1], &stages, 1_000), 4);
    let price_at = |_| 1_000;
    let missed = |coins: &[(u32, Vec<u64>)], paid: &[u32]| missed(coins, &stages, price_at, paid);
    assert_eq!(missed(&[(10, vec![coin_sat(5)])], &[]), 5);
    assert_eq!(missed(&[(10, vec![coin_sat(5)])], &[11; 3]), 2);
    assert_eq!(missed(&[(10, vec![coin_sat(5)]), (11, vec![])], &[11; 5]), 0, "the wallet could not pay for more");
    assert_eq!(missed(&[(10, vec![coin_sat(5)]), (12, vec![coin_sat(4)])], &[11; 5]), 4, "a coin came later");
    assert_eq!(missed(&[], &[]), u64::MAX, "nothing is known");
}

/// A sweep of one output of 10,000 sat for this fee.
fn planned(member: OutPoint, fee_sat: u64) -> Conclusion {
    super::planted::planned(&[member], 500, fee_sat)
}

#[test]
fn i18_a_fee_that_leaves_nothing_for_the_second_stage() {
    let (first, only) = (OutPoint::new(Txid::all_zeros(), 1), OutPoint::new(Txid::all_zeros(), 2));
    let first_stages = BTreeSet::from([first]);
    let at_stake = AtStake { first_stages, second_weight: 400, commitments: BTreeMap::new(), ..AtStake::default() };
    let verdict = |lazy: u32, concluded: Vec<Conclusion>| {
        let fees = Fees::new(vec![(1, 4 * lazy), (144, lazy)], 25);
        let concluded = concluded.into_iter().map(|what| Record { channel: INDEX, what }).collect();
        let heard = Entry { heard: Event::FeesEstimated(fees), concluded: Vec::new() };
        let decided = Entry { heard: Event::ChannelForgotten { channel: arb_core::ChannelId([1; 32]) }, concluded };
        let frames = [Frame { sequence: 1, entries: vec![heard, decided] }];
        name(invariant_i18_no_fee_exceeds_what_is_still_to_be_gained(&frames, INDEX, &at_stake, &Policy::default()))
    };
    assert_eq!(costs::fee_sat(400, 10_000), 4_000);
    assert_eq!(verdict(10_000, vec![planned(first, 6_000)]), None);
    assert_eq!(verdict(10_000, vec![planned(first, 6_001)]), Some("I18"));
    assert_eq!(verdict(20_000, vec![planned(first, 6_000)]), Some("I18"), "the second stage got dearer before");
    assert_eq!(verdict(20_000, vec![planned(only, 9_500)]), None, "this one has no second stage");
    let (from_sat_per_kw, to_sat_per_kw) = (1, 2);
    let bumped = Conclusion::Bumped { outpoint: first, from_sat_per_kw, to_sat_per_kw };
    assert_eq!(verdict(20_000, vec![bumped, planned(first, 6_000)]), None, "the operator wanted it");
}
