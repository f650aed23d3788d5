//! What an output is worth: faults of this project by their ids (A…), on whole closes with the embedded chain. Worth is what is
//! still to be gained, so nothing is paid for in vain, and nothing that pays for its own claim is left behind.

use arb_core::bolt3::{ChannelType, anchor_script};
use arb_core::{Action, Alert, BroadcastAnswer, Bump, Conclusion, Event, Height, HtlcRef, Link, Rejected, Side};
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
fn a1_what_the_first_stage_cost_is_no_argument_against_the_second() {
    for link in [Link::Own, relay(70)] {
        let mut world = World::new(ANCHORS, &[offered(0, 400_000, 30, link)], &COINS, 1_000);
        world.confirm(world.commitment(Side::Local));
        let output = world.output(Side::Local, HtlcRef::offered(0));
        // Nothing of ours gets in until everything that the budget bears is on offer.
        world.mine_empty_to(64);
        world.mine_to(66);
        let second = second_level(&world, output);
        world.mine_to(66 + 400);
        assert!(world.chain.spender_of(&second).is_some(), "{link:?}: the second stage pays for itself");
        let sheet = world.node.sheets[&world.id()];
        assert!(sheet.uneconomic_sat == 330 && sheet.lost_sat == 0, "{link:?}: all but the anchor: {sheet:?}");
    }
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

#[test]
fn a2_a_child_that_was_not_made_for_an_htlc_costs_it_nothing() {
    let mut world = World::new(ANCHORS, &[received(0, 18_000, 90)], &COINS, 20_000);
    world.close();
    world.mine();
    let ours = world.commitment(Side::Local).compute_txid();
    assert!(world.chain.confirmed(&ours).is_some() && !world.packages().is_empty(), "hurried by an idle child");
    world.estimate(1_000);
    world.learn(HtlcRef::received(0));
    world.mine_to(20);
    let output = world.output(Side::Local, HtlcRef::received(0));
    assert!(world.chain.spender_of(&output).is_some(), "claimed, whatever its commitment cost");
}

#[test]
fn a14_what_nobody_contests_waits_for_its_price() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &COINS, 1_000);
        world.confirm(world.commitment(side));
        world.mine_to(12);
        let output = world.output(side, HtlcRef::offered(0));
        let last = match side {
            Side::Local => second_level(&world, output),
            Side::Remote => return,
        };
        world.estimate(80_000);
        while world.chain.tip().0 < BEGIN + 500 {
            world.mine_empty();
            world.estimate(80_000);
        }
        assert!(world.court.index_of(&world.id()).is_some(), "{side:?}: the channel waits for it");
        world.estimate(1_000);
        world.mine_to(800);
        assert!(world.chain.spender_of(&last).is_some(), "{side:?}: swept once it pays");
        assert_eq!(world.node.sheets[&world.id()].uneconomic_sat, 330, "the anchor");
    }
}

#[test]
fn a14_an_operator_ends_the_waiting() {
    let mut world = World::new(ANCHORS, &[offered(0, 24_000, 10, Link::Own)], &COINS, 1_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_to(12);
    let last = second_level(&world, world.output(Side::Local, HtlcRef::offered(0)));
    while world.chain.tip().0 < BEGIN + 300 {
        world.mine();
        world.estimate(80_000);
    }
    world.hear(&Event::ClaimAbandoned { channel: world.id(), outpoint: last });
    world.settle();
    world.mine_to(310);
    assert_eq!(world.node.sheets[&world.id()].uneconomic_sat, 24_330, "given up by name, and the channel is resolved");
}

#[test]
fn a31_no_stage_is_paid_for_and_the_rest_left() {
    for amount_sat in [1_000, 3_000, 8_000, 20_000, 60_000, 160_000] {
        for feerate in [1_000, 5_000, 20_000, 50_000] {
            for out in [true, false] {
                let htlc = if out { offered(0, amount_sat, 20, relay(60)) } else { received(0, amount_sat, 60) };
                let key = htlc.key;
                let mut world = World::new(ANCHORS, &[htlc], &COINS, feerate);
                if !out {
                    world.learn(key);
                }
                world.confirm(world.commitment(Side::Local));
                world.mine_to(400);
                let output = world.output(Side::Local, key);
                let taken = world.chain.spender_of(&output);
                let both =
                    taken.as_ref().is_some_and(|_| world.chain.spender_of(&second_level(&world, output)).is_some());
                let case = format!("{amount_sat} sat at {feerate} sat/kw, offered: {out}");
                assert_eq!(taken.is_some(), both, "{case}: both stages or none");
                // HTLC transaction with a coin and change, and the sweep of its output: 1,560 WU.
                let cost_sat = 1_560 * u64::from(feerate) / 1_000;
                if amount_sat * 9 / 10 >= cost_sat {
                    assert!(both, "{case}: two stages leave a tenth of it");
                }
            }
        }
    }
}

#[test]
fn a30_the_idle_stake_is_one_more_stake() {
    let mut world = World::new(ANCHORS, &[offered(0, 1_000, 300, Link::Own)], &COINS, 5_000);
    world.chain.set_mempool_min_feerate(1_000);
    world.close();
    let answer = world.packages().last().expect("a child").2;
    assert_eq!(answer, BroadcastAnswer::Accepted);
}

#[test]
fn a16_a_bump_lowers_nothing() {
    let mut world = World::new(ANCHORS, &[received(0, 50_000, 60)], &COINS, 2_000);
    world.learn(HtlcRef::received(0));
    world.bump(None, Bump { budget_sat: Some(1), ..Bump::default() });
    world.close();
    world.mine();
    world.mine_to(5);
    let output = world.output(Side::Local, HtlcRef::received(0));
    assert!(world.chain.spender_of(&output).is_some());
}

#[test]
fn a26_a_bump_is_bounded_by_what_is_at_stake() {
    let mut world = World::holding(20_000, ANCHORS, &COINS, 2_000);
    world.close();
    let deadline = Some(Height::new(BEGIN + 2));
    world.bump(None, Bump { budget_sat: Some(1_000_000), deadline, ..Bump::default() });
    world.mine_empty();
    let fees = world.concluded().filter_map(|what| match what {
        Conclusion::SweepPlanned(sweep) => Some(sweep.plan.fee_sat),
        _ => None,
    });
    let most_sat = fees.max().expect("a child");
    assert!(most_sat <= 20_000, "our balance is 20,000 sat, and the child pays {most_sat}");
}

#[test]
fn a41_a_bump_that_can_raise_nothing_is_refused_by_name() {
    let mut world = World::new(STATIC, &[offered(0, 50_000, 30, Link::Own)], &[], 2_000);
    world.close();
    let bump = Bump { feerate_sat_per_kw: 10_000, ..Bump::default() };
    let event = Event::BumpRequested { channel: world.id(), outpoint: None, bump };
    assert_eq!(world.court.step().hear(&event), Err(Rejected::NothingToRaise(world.id())));
    // Once it is confirmed, our main output and second levels can be raised.
    world.confirm(world.commitment(Side::Local));
    assert!(world.court.step().hear(&event).is_ok());
}

#[test]
fn a45_an_anchor_that_anybody_sweeps_is_no_loss() {
    let mut world = World::new(ANCHORS, &[], &COINS, 1_000);
    let ours = world.commitment(Side::Local);
    world.confirm(ours.clone());
    world.mine_to(20);
    let script = anchor_script(&world.fixture.setup().local.funding_point());
    let vout = ours.output.iter().position(|output| output.script_pubkey == script.to_p2wsh()).unwrap();
    let sweep = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(ours.compute_txid(), u32::try_from(vout).unwrap()),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::from_height(16),
            witness: Witness::from_slice(&[&[][..], script.as_bytes()]),
        }],
        output: vec![TxOut { value: Amount::from_sat(300), script_pubkey: script.to_p2wsh() }],
    };
    world.confirm(sweep);
    world.mine_to(320);
    let lost = |action: &Action| matches!(action, Action::Alert { alert: Alert::OutputLost { .. }, .. });
    assert!(!world.done.iter().any(lost), "a report, not a loss");
}

#[test]
fn a39_the_best_that_a_small_coin_buys_is_sent() {
    let mut world = World::new(ANCHORS, &[offered(0, 400_000, 20, relay(60))], &[6_000], 20_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_to(25);
    let output = world.output(Side::Local, HtlcRef::offered(0));
    let claim = world.last_spend(output).expect("something is sent");
    assert_eq!(claim.input.len(), 2, "with the wallet's only coin");
}

#[test]
fn a36_a_coin_that_the_signer_refuses_is_exchanged() {
    let mut world = World::new(ANCHORS, &[offered(0, 400_000, 20, relay(60))], &[90_000, 95_000], 1_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_empty_to(21);
    let output = world.output(Side::Local, HtlcRef::offered(0));
    let coin_of = |world: &World| world.last_spend(output).expect("a claim").input[1].previous_output;
    let refused = coin_of(&world);
    let request = world.done.iter().rev().find_map(|action| match action {
        Action::Sign(request) if request.tx.input.iter().any(|input| input.previous_output == refused) => {
            Some(request.id)
        }
        _ => None,
    });
    let why = "this coin is locked".to_owned();
    world.hear(&Event::SigningRefused { channel: world.id(), request: request.unwrap(), why });
    world.settle();
    world.mine_empty();
    assert_ne!(coin_of(&world), refused, "the other coin pays");
    assert!(world.done.iter().any(|action| {
        matches!(action, Action::Alert { alert: Alert::CoinRefused { coin }, .. } if *coin == refused)
    }));
}
