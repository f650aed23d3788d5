//! What an operator says of a close: outputs that are given up, and bounds for fees.

use arb_core::bolt3::ChannelType;
use arb_core::{Bump, Conclusion, ContractId, ContractStatus, Event, Heard, Height, HtlcRef, Link, Rejected, Side};
use bitcoin::OutPoint;

use crate::world::{BEGIN, World, offered};

const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];
/// A feerate at which nothing of 24,000 sat pays for its claim, in satoshi per kiloweight.
const DEAR: u32 = 80_000;

fn abandoned(world: &World, outpoint: OutPoint) -> Event {
    Event::ClaimAbandoned { channel: world.id(), outpoint }
}

/// What the court would answer to this event.
fn answer(world: &mut World, event: &Event) -> Result<Heard, Rejected> {
    world.court.step().hear(event)
}

fn status(world: &World, output: OutPoint) -> ContractStatus {
    let docket = world.court.docket(world.court.index_of(&world.id()).unwrap()).unwrap();
    docket.contracts.into_iter().find(|contract| contract.id == ContractId::Output(output)).unwrap()
}

/// Mines up to this many blocks after the beginning, at a feerate at which small outputs wait.
fn wait_dearly_to(world: &mut World, after: u32) {
    while world.chain.tip().0 < BEGIN + after {
        world.mine();
        world.estimate(DEAR);
    }
}

/// Our HTLC transaction confirmed, and its output waits for a lower feerate: the HTLC's output, and that one.
fn waiting_below_an_htlc() -> (World, OutPoint, OutPoint) {
    let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &COINS, 1_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_to(12);
    let own = world.output(Side::Local, HtlcRef::offered(0));
    let (_, txid, input) = world.chain.spender_of(&own).expect("our HTLC transaction confirmed");
    wait_dearly_to(&mut world, 300);
    (world, own, OutPoint::new(txid, u32::try_from(input).unwrap()))
}

#[test]
fn a14_a_contract_is_given_up_by_its_own_output_or_by_the_one_that_is_claimed_next() {
    for by_its_own in [false, true] {
        let (mut world, own, second) = waiting_below_an_htlc();
        assert_eq!(status(&world, own).next_output, Some(second));
        let event = abandoned(&world, if by_its_own { own } else { second });
        world.hear(&event);
        for outpoint in [own, second] {
            let again = abandoned(&world, outpoint);
            assert_eq!(answer(&mut world, &again), Ok(Heard::Duplicate), "by its own: {by_its_own}");
        }
        assert_eq!(status(&world, own).next_output, None, "it is over");
        world.settle();
        world.mine_to(310);
        assert_eq!(world.node.sheets[&world.id()].uneconomic_sat, 24_330, "by its own: {by_its_own}");
    }
}

#[test]
fn a14_a_repetition_gives_up_no_later_stage() {
    let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &COINS, 1_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_empty_to(10);
    let own = world.output(Side::Local, HtlcRef::offered(0));
    assert!(world.last_spend(own).is_some(), "the first stage is in the mempool");
    assert_eq!(status(&world, own).next_output, Some(own));
    let event = abandoned(&world, own);
    world.hear(&event);
    world.settle();
    assert_eq!(status(&world, own).next_output, None);
    world.mine();
    let (_, txid, _) = world.chain.spender_of(&own).expect("what was sent before may still confirm");
    assert_eq!(status(&world, own).next_output.map(|next| next.txid), Some(txid), "and what it left is ours");
    assert_eq!(answer(&mut world, &event), Ok(Heard::Duplicate));
    world.mine_to(400);
    assert_eq!(world.node.sheets[&world.id()].uneconomic_sat, 330, "all but the anchor was swept");
}

#[test]
fn a14_only_what_is_claimed_of_a_confirmed_close_is_given_up() {
    let mut world = World::new(ANCHORS, &[offered(0, 24_000, 100, Link::Own)], &COINS, 1_000);
    world.close();
    world.mine_empty();
    let child = &world.packages().last().expect("our commitment with its child").1[1];
    let anchor = child.input[0].previous_output;
    let event = abandoned(&world, anchor);
    assert_eq!(answer(&mut world, &event), Err(Rejected::NothingToAbandon(anchor)), "nothing waits for it");
    world.mine();
    let own = world.output(Side::Local, HtlcRef::offered(0));
    let event = abandoned(&world, own);
    assert_eq!(answer(&mut world, &event), Err(Rejected::NothingToAbandon(own)), "it has not expired");
}

/// The highest fee and the highest feerate that were planned, in satoshi and in satoshi per kiloweight.
fn most_planned(world: &World) -> (u64, u32) {
    let plans = world.concluded().filter_map(|what| match what {
        Conclusion::SweepPlanned(sweep) => Some(&sweep.plan),
        _ => None,
    });
    plans.fold((0, 0), |(fee, feerate), plan| (fee.max(plan.fee_sat), feerate.max(plan.feerate_sat_per_kw)))
}

#[test]
fn a26_an_operator_may_name_a_bound_beyond_what_is_at_stake_for_a_child() {
    let most = |bump: Bump| {
        let mut world = World::holding(20_000, ANCHORS, &COINS, 2_000);
        world.close();
        world.bump(None, Bump { deadline: Some(Height::new(BEGIN + 2)), ..bump });
        world.mine_empty();
        most_planned(&world)
    };
    let budget = Bump { budget_sat: Some(1_000_000), ..Bump::default() };
    assert!((10_001..=20_000).contains(&most(budget).0), "our balance is at stake");
    let (fee_sat, _) = most(Bump { bound_sat: Some(100_000), ..Bump::default() });
    assert!((90_000..=100_000).contains(&fee_sat), "as much as the operator named: {fee_sat}");
    assert_eq!(most(Bump { bound_sat: Some(100_000), ..budget }).0, fee_sat, "the budget adds nothing to it");
    let (fee_sat, feerate) = most(Bump { bound_sat: Some(1_000_000), ..Bump::default() });
    assert!(feerate == 250_000 && fee_sat < 700_000, "the highest feerate bounds it: {fee_sat} sat, {feerate} sat/kw");
}

#[test]
fn a26_an_operator_may_name_a_bound_beyond_what_is_at_stake_for_an_htlc() {
    let most = |bump: Bump| {
        let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &COINS, 1_000);
        world.confirm(world.commitment(Side::Local));
        world.mine_empty_to(10);
        let output = world.output(Side::Local, HtlcRef::offered(0));
        world.bump(Some(output), Bump { deadline: Some(Height::new(BEGIN + 11)), ..bump });
        world.mine_empty();
        most_planned(&world).0
    };
    let within = most(Bump { budget_sat: Some(60_000), ..Bump::default() });
    assert!((12_001..=24_000).contains(&within), "its value is at stake: {within}");
    let fee_sat = most(Bump { bound_sat: Some(60_000), ..Bump::default() });
    assert!((55_000..=60_000).contains(&fee_sat), "as much as the operator named: {fee_sat}");
}

#[test]
fn a26_a_fee_from_a_claims_value_stays_within_it_whatever_the_bound() {
    let mut world = World::holding(20_000, ANCHORS, &COINS, 2_000);
    world.confirm(world.commitment(Side::Remote));
    let deadline = Some(Height::new(BEGIN + 2));
    world.bump(None, Bump { deadline, bound_sat: Some(1_000_000), ..Bump::default() });
    world.mine_empty();
    let (fee_sat, _) = most_planned(&world);
    assert!((15_000..20_000).contains(&fee_sat), "{fee_sat}");
    world.assert_all_valid();
}
