//! What an output is worth: faults of this project by their ids (A…), on whole closes with the embedded chain. Worth is what is
//! still to be gained, so nothing is paid for in vain, and nothing that pays for its own claim is left behind.

use arb_core::bolt3::{ChannelType, OutputKind, anchor_script};
use arb_core::{
    Action, Alert, BroadcastAnswer, Bump, Conclusion, ContractKind, Event, Height, Htlc, HtlcRef, Link, Rejected, Side,
};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::world::{BEGIN, World, offered, received};

const STATIC: ChannelType = ChannelType::StaticRemotekey;
const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];

fn relay(due_in: u32) -> Link {
    Link::Relay { deadline: Height::new(BEGIN + due_in) }
}

/// The output of our second-level transaction that spends this HTLC output.
fn second_level(world: &World, output: OutPoint) -> OutPoint {
    let (_, txid, input) = world.chain.spender_of(&output).expect("our HTLC transaction confirmed");
    OutPoint::new(txid, u32::try_from(input).unwrap())
}

#[test]
fn a1_a_fee_that_the_counterparty_signed_long_ago_is_spent() {
    let htlcs = [offered(0, 60_000, 30, Link::Own), received(0, 60_000, 60)];
    let mut world = World::paying(50_000, STATIC, &htlcs, &[], 1_000);
    world.learn(HtlcRef::received(0));
    world.confirm(world.commitment(Side::Local));
    world.mine_to(40);
    let seconds =
        [HtlcRef::offered(0), HtlcRef::received(0)].map(|htlc| second_level(&world, world.output(Side::Local, htlc)));
    world.mine_to(300);
    for second in seconds {
        assert!(world.chain.spender_of(&second).is_some(), "the rest of it pays for itself");
    }
}

/// An HTLC of ours that is due `due_in` blocks after the close: offered, it expires then; received, its preimage is known.
fn htlc(is_offered: bool, amount_sat: u64, due_in: u32) -> Htlc {
    if is_offered { offered(0, amount_sat, due_in, relay(due_in + 40)) } else { received(0, amount_sat, due_in + 30) }
}

fn key(is_offered: bool) -> HtlcRef {
    if is_offered { HtlcRef::offered(0) } else { HtlcRef::received(0) }
}

fn learned(mut world: World, is_offered: bool) -> World {
    if !is_offered {
        world.learn(key(is_offered));
    }
    world
}

#[test]
fn a1_what_the_first_stage_cost_is_no_argument_against_the_second() {
    let own = offered(0, 400_000, 30, Link::Own);
    for (htlc, deadline) in [(own, 64), (htlc(true, 400_000, 30), 64), (htlc(false, 400_000, 30), 60)] {
        let is_offered = htlc.key.is_offered();
        let mut world = learned(World::new(ANCHORS, std::slice::from_ref(&htlc), &COINS, 1_000), is_offered);
        world.confirm(world.commitment(Side::Local));
        let output = world.output(Side::Local, htlc.key);
        // Nothing of ours gets in until everything that the budget bears is on offer.
        world.mine_empty_to(deadline);
        world.mine_to(66);
        let second = second_level(&world, output);
        let (_, first, _) = world.chain.spender_of(&output).unwrap();
        assert!(world.chain.fee_of(&first) > Some(150_000), "{htlc:?}: the first stage was dear");
        world.mine_to(66 + 400);
        assert!(world.chain.spender_of(&second).is_some(), "{htlc:?}: the second stage pays for itself");
        let sheet = world.node.sheets[&world.id()];
        assert!(sheet.uneconomic_sat == 330 && sheet.lost_sat == 0, "{htlc:?}: all but the anchor: {sheet:?}");
    }
}

/// Goes to chain, or sees theirs go there: the commitment, and the last child that was sent for it.
fn close_with_child(world: &mut World, side: Side) -> (Transaction, Transaction) {
    match side {
        Side::Local => world.close(),
        Side::Remote => drop(world.see_theirs()),
    }
    let commitment = world.commitment(side);
    let is_its =
        |(_, txs, _): &&&(u32, Vec<Transaction>, BroadcastAnswer)| txs[0].compute_txid() == commitment.compute_txid();
    let child = world.packages().iter().rev().find(is_its).expect("a child").1[1].clone();
    (commitment, child)
}

#[test]
fn a2_a_child_that_was_not_made_for_an_htlc_costs_it_nothing() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::new(ANCHORS, &[received(0, 18_000, 90)], &COINS, 20_000);
        let (commitment, child) = close_with_child(&mut world, side);
        world.confirm_all(vec![commitment, child]);
        world.estimate(1_000);
        world.learn(HtlcRef::received(0));
        let output = world.output(side, HtlcRef::received(0));
        assert!(world.has_sent(output), "{side:?}: claimed, whatever its commitment cost");
        // At its deadline half of it is on offer, less what its second stage costs.
        world.mine_empty_to(90);
        let claim = world.last_spend(output).unwrap().compute_txid();
        let offered_sat = world.chain.in_mempool(&claim).expect("nodes have it").1;
        assert!(offered_sat >= 7_500, "{side:?}: {offered_sat}");
        world.mine();
        assert!(world.chain.spender_of(&output).is_some(), "{side:?}");
    }
}

#[test]
fn a2_what_the_main_output_gave_a_child_is_not_taken_from_an_htlc() {
    for side in [Side::Local, Side::Remote] {
        // At this price the child takes all that its stakes give: 10,000 sat for the HTLC, and as much for our main output.
        let mut world = World::new(ANCHORS, &[received(0, 40_000, 90)], &COINS, 30_000);
        world.learn(HtlcRef::received(0));
        let (commitment, child) = close_with_child(&mut world, side);
        let fee_sat = world.chain.in_mempool(&child.compute_txid()).expect("nodes have it").1;
        assert!(fee_sat > 15_000, "{side:?}: {fee_sat}");
        world.confirm_all(vec![commitment, child]);
        world.estimate(300);
        let output = world.output(side, HtlcRef::received(0));
        world.mine_empty_to(90);
        let claim = world.last_spend(output).unwrap().compute_txid();
        let offered_sat = world.chain.in_mempool(&claim).expect("nodes have it").1;
        assert!(offered_sat >= 8_000, "{side:?}: {offered_sat}");
    }
}

/// Waits 500 blocks at 80,000 sat/kw with an output of ours that is worth less than that, then 300 at 1,000.
fn waits_for_its_price(mut world: World, output: OutPoint, case: &str) {
    world.estimate(80_000);
    while world.chain.tip().0 < BEGIN + 500 {
        world.mine_empty();
        world.estimate(80_000);
    }
    assert!(world.court.index_of(&world.id()).is_some(), "{case}: the channel waits for it");
    world.estimate(1_000);
    world.mine_to(800);
    assert!(world.chain.spender_of(&output).is_some(), "{case}: swept once it pays");
    let sheet = world.node.sheets[&world.id()];
    assert!(sheet.uneconomic_sat <= 330 && sheet.lost_sat == 0, "{case}: all but an anchor: {sheet:?}");
}

/// Our main output on a commitment.
fn main_output(world: &World, side: Side) -> OutPoint {
    let commitment = world.fixture.commitment(side, 0).unwrap();
    let kind = match side {
        Side::Local => OutputKind::ToOwner,
        Side::Remote => OutputKind::ToOther,
    };
    let vout = commitment.built.outputs.iter().position(|output| *output == kind).unwrap();
    commitment.outpoint(u32::try_from(vout).unwrap())
}

#[test]
fn a14_our_main_output_waits_for_its_price() {
    for channel_type in [STATIC, ANCHORS] {
        for side in [Side::Local, Side::Remote] {
            let mut world = World::holding(25_000, channel_type, &COINS, 80_000);
            world.confirm(world.commitment(side));
            let output = main_output(&world, side);
            waits_for_its_price(world, output, &format!("{channel_type:?} {side:?}"));
        }
    }
}

#[test]
fn a14_a_second_level_waits_for_its_price() {
    for channel_type in [STATIC, ANCHORS] {
        for is_offered in [true, false] {
            let mut world =
                learned(World::new(channel_type, &[htlc(is_offered, 24_000, 10)], &COINS, 1_000), is_offered);
            world.confirm(world.commitment(Side::Local));
            world.mine_to(12);
            let output = second_level(&world, world.output(Side::Local, key(is_offered)));
            waits_for_its_price(world, output, &format!("{channel_type:?} offered {is_offered}"));
        }
    }
}

#[test]
fn a14_an_operator_ends_the_waiting() {
    for channel_type in [STATIC, ANCHORS] {
        for side in [Side::Local, Side::Remote] {
            let mut world = World::holding(25_000, channel_type, &COINS, 80_000);
            world.confirm(world.commitment(side));
            let output = main_output(&world, side);
            while world.chain.tip().0 < BEGIN + 300 {
                world.mine();
                world.estimate(80_000);
            }
            assert!(world.node.sheets.is_empty(), "{channel_type:?} {side:?}: it waits");
            world.hear(&Event::ClaimAbandoned { channel: world.id(), outpoint: output });
            world.settle();
            world.mine_to(310);
            let sheet = world.node.sheets[&world.id()];
            assert!(sheet.uneconomic_sat > 24_000, "{channel_type:?} {side:?}: given up by name: {sheet:?}");
        }
    }
}

#[test]
fn a30_the_idle_stake_is_one_more_stake() {
    let stakes: [&[Htlc]; 4] =
        [&[], &[offered(0, 1_000, 300, Link::Own)], &[htlc(true, 1_000, 300)], &[htlc(false, 1_000, 300)]];
    for htlcs in stakes {
        let mut world = World::new(ANCHORS, htlcs, &COINS, 5_000);
        htlcs.iter().filter(|htlc| !htlc.key.is_offered()).for_each(|htlc| world.learn(htlc.key));
        // 4 sat/vB: the commitment alone is refused.
        world.chain.set_mempool_min_feerate(4_000);
        world.close();
        let answer = world.packages().last().expect("a child").2;
        assert_eq!(answer, BroadcastAnswer::Accepted, "{htlcs:?}");
    }
}

#[test]
fn a16_a_bump_lowers_nothing() {
    for (channel_type, side) in [(ANCHORS, Side::Local), (ANCHORS, Side::Remote), (STATIC, Side::Remote)] {
        for is_offered in [true, false] {
            let mut world =
                learned(World::new(channel_type, &[htlc(is_offered, 50_000, 10)], &COINS, 2_000), is_offered);
            // Nothing of an open channel without anchors has a fee that we set: bumped once it is confirmed.
            world.confirm(world.commitment(side));
            world.bump(None, Bump { budget_sat: Some(1), ..Bump::default() });
            world.mine_to(20);
            let output = world.output(side, key(is_offered));
            assert!(world.chain.spender_of(&output).is_some(), "{channel_type:?} {side:?} offered {is_offered}");
            assert!(world.has_sent(output), "{channel_type:?} {side:?} offered {is_offered}: by us");
        }
    }
}

#[test]
fn a16_a_bump_lowers_no_childs_budget() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::new(ANCHORS, &[htlc(false, 50_000, 30)], &COINS, 2_000);
        world.learn(HtlcRef::received(0));
        world.bump(None, Bump { budget_sat: Some(1), ..Bump::default() });
        match side {
            Side::Local => world.close(),
            Side::Remote => drop(world.see_theirs()),
        }
        assert!(!world.packages().is_empty(), "{side:?}: a child");
    }
}

/// The most that was planned as a fee, in satoshi.
fn most_sat(world: &World) -> u64 {
    let fees = world.concluded().filter_map(|what| match what {
        Conclusion::SweepPlanned(sweep) => Some(sweep.plan.fee_sat),
        _ => None,
    });
    fees.max().expect("a plan")
}

#[test]
fn a26_a_bump_of_a_close_is_bounded_by_what_is_at_stake() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::holding(20_000, ANCHORS, &COINS, 2_000);
        match side {
            Side::Local => world.close(),
            Side::Remote => drop(world.see_theirs()),
        }
        let deadline = Some(Height::new(BEGIN + 2));
        world.bump(None, Bump { budget_sat: Some(1_000_000), deadline, ..Bump::default() });
        world.mine_empty();
        let most_sat = most_sat(&world);
        assert!((10_001..=20_000).contains(&most_sat), "{side:?}: our balance is 20,000 sat, a child pays {most_sat}");
    }
}

#[test]
fn a26_a_bump_of_a_claim_is_bounded_by_what_is_at_stake() {
    for (channel_type, side) in [(ANCHORS, Side::Local), (ANCHORS, Side::Remote), (STATIC, Side::Remote)] {
        for is_offered in [true, false] {
            let mut world =
                learned(World::new(channel_type, &[htlc(is_offered, 50_000, 10)], &COINS, 2_000), is_offered);
            world.confirm(world.commitment(side));
            world.mine_empty_to(12);
            let output = world.output(side, key(is_offered));
            let deadline = Some(Height::new(BEGIN + 13));
            world.bump(Some(output), Bump { budget_sat: Some(1_000_000), deadline, ..Bump::default() });
            world.mine_empty_to(16);
            let most_sat = most_sat(&world);
            let case = format!("{channel_type:?} {side:?} offered {is_offered}");
            assert!((25_001..=50_000).contains(&most_sat), "{case}: 50,000 sat are at stake, {most_sat} are paid");
        }
    }
}

#[test]
fn a41_a_bump_that_can_raise_nothing_is_refused_by_name() {
    for is_offered in [true, false] {
        let mut world = learned(World::new(STATIC, &[htlc(is_offered, 50_000, 30)], &[], 2_000), is_offered);
        world.close();
        let bump = Bump { feerate_sat_per_kw: 10_000, ..Bump::default() };
        let event = Event::BumpRequested { channel: world.id(), outpoint: None, bump };
        assert_eq!(world.court.step().hear(&event), Err(Rejected::NothingToRaise(world.id())), "offered {is_offered}");
        // Once it is confirmed, our main output and second levels can be raised.
        world.confirm(world.commitment(Side::Local));
        assert!(world.court.step().hear(&event).is_ok());
        // What the counterparty signed as a whole cannot.
        world.mine_empty_to(31);
        let outpoint = Some(world.output(Side::Local, key(is_offered)));
        let event = Event::BumpRequested { channel: world.id(), outpoint, bump };
        assert_eq!(world.court.step().hear(&event), Err(Rejected::NothingToRaise(world.id())), "offered {is_offered}");
    }
}

#[test]
fn a45_an_anchor_that_anybody_sweeps_is_no_loss() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::new(ANCHORS, &[], &COINS, 1_000);
        let commitment = world.commitment(side);
        world.confirm(commitment.clone());
        world.mine_to(20);
        // Ours, on either commitment.
        let script = anchor_script(&world.fixture.setup().local.funding_point());
        let is_ours = |output: &TxOut| output.script_pubkey == script.to_p2wsh();
        let vout = commitment.output.iter().position(is_ours).unwrap();
        let sweep = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(commitment.compute_txid(), u32::try_from(vout).unwrap()),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::from_height(16),
                witness: Witness::from_slice(&[&[][..], script.as_bytes()]),
            }],
            output: vec![TxOut { value: Amount::from_sat(300), script_pubkey: script.to_p2wsh() }],
        };
        world.confirm(sweep);
        world.mine_to(320);
        let lost = |action: &Action| matches!(action, Action::Alert { alert: Alert::OutputLost { .. }, .. });
        assert!(!world.done.iter().any(lost), "{side:?}: no alert");
        let reported = |action: &Action| matches!(action, Action::ReportOutcome { report, .. } if report.kind == ContractKind::Anchor);
        assert!(world.done.iter().any(reported), "{side:?}: a report");
    }
}
