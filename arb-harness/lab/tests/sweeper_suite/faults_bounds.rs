//! What is refused, and what has an upper bound: faults of this project by their ids (A…), on whole closes.

use arb_core::bolt3::ChannelType;
use arb_core::sweep::wallet_input_fee_sat;
use arb_core::{
    Action, Bump, ChainArbitrator, ClosingSigned, Conclusion, Event, FailReason, FeeInput, FeeInputsOffered, Heard,
    Height, HtlcRef, JournalIdentity, Link, Policy, Rejected, Side, Tip, Upstream,
};
use bitcoin::hashes::Hash;
use bitcoin::{Network, OutPoint, Txid};

use crate::world::{BEGIN, World, offered, received};

const STATIC: ChannelType = ChannelType::StaticRemotekey;
const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];

#[test]
fn a23_a_policy_whose_replacements_pay_nothing_more_is_refused() {
    let policy = Policy { incremental_sat_per_kw: 0, ..Policy::default() };
    let mut world = World::new(ANCHORS, &[], &COINS, 1_000);
    let event = Event::PolicySet(policy.clone());
    assert_eq!(world.court.step().hear(&event), Err(Rejected::UnsoundPolicy));
    let (height, hash) = world.chain.tip();
    let tip = Tip { height: Height::new(height), hash };
    let first = Event::JournalOpened(JournalIdentity { network: Network::Regtest, journal: [1; 32], tip, policy });
    assert_eq!(ChainArbitrator::new().step().hear(&first), Err(Rejected::UnsoundPolicy));
}

#[test]
fn a28_closing_transactions_beyond_a_thousand_are_refused() {
    for channel_type in [STATIC, ANCHORS] {
        let mut world = World::new(channel_type, &[], &[], 1_000);
        let mut tx = world.commitment(Side::Local);
        tx.output.truncate(1);
        let mut closing = |number: u32| {
            tx.output[0].value = bitcoin::Amount::from_sat(10_000 + u64::from(number));
            let channel = world.id();
            Event::ClosingSigned(Box::new(ClosingSigned { channel, tx: tx.clone(), local_output: Some(0) }))
        };
        let (variants, beyond) = ((0..1_000).map(&mut closing).collect::<Vec<_>>(), closing(1_000));
        variants.iter().for_each(|event| world.hear(event));
        let refusal = Rejected::TooMany { what: "closing transactions", got: 1_000, max: 1_000 };
        assert_eq!(world.court.step().hear(&beyond), Err(refusal));
        // What is known is no news, at the bound as below it.
        assert_eq!(world.court.step().hear(&variants[7]), Ok(Heard::Duplicate));
    }
}

/// A request for coins, and coins that together are worth what it asks for.
fn asked(world: &World, count: u64) -> Option<FeeInputsOffered> {
    let due = world.court.actions_due();
    let (request, amount_sat, feerate) = due.iter().find_map(|action| match action {
        Action::RequestFeeInputs { id, amount_sat, feerate_sat_per_kw, .. } => {
            Some((*id, *amount_sat, *feerate_sat_per_kw))
        }
        _ => None,
    })?;
    let script = world.wallet.deposit_script();
    let value_sat = amount_sat.div_ceil(count) + wallet_input_fee_sat(feerate);
    let coin = |vout: u64| FeeInput {
        outpoint: OutPoint::new(
            Txid::from_byte_array(request.0.repeat(2).try_into().unwrap()),
            u32::try_from(vout).unwrap(),
        ),
        value_sat,
        script: script.clone(),
    };
    let inputs = (0..count).map(coin).collect();
    Some(FeeInputsOffered { channel: world.id(), request, inputs, change: script.clone() })
}

fn heaviest_plan(world: &World) -> u64 {
    let weights = world.concluded().map(|what| match what {
        Conclusion::SweepPlanned(sweep) => {
            // The signatures are still missing: 108 weight units a coin.
            sweep.tx.weight().to_wu() + 110 * u64::try_from(sweep.plan.fee_inputs.coins.len()).unwrap()
        }
        _ => 0,
    });
    weights.max().unwrap_or(0)
}

#[test]
fn a29_an_answer_of_more_than_a_hundred_coins_is_refused_and_no_plan_is_too_heavy() {
    for is_offered in [true, false] {
        let htlc = if is_offered { offered(0, 4_900_000, 1, Link::Own) } else { received(0, 4_900_000, 40) };
        let mut world = World::new(ANCHORS, &[htlc], &[], 1_000);
        if !is_offered {
            world.learn(HtlcRef::received(0));
        }
        world.confirm(world.commitment(Side::Local));
        let hear = |world: &mut World, offer: FeeInputsOffered| world.hear(&Event::FeeInputsOffered(Box::new(offer)));
        let many = asked(&world, 101).expect("coins are asked for");
        let refusal = Rejected::TooMany { what: "offered coins", got: 101, max: 100 };
        assert_eq!(world.court.step().hear(&Event::FeeInputsOffered(Box::new(many))), Err(refusal));
        let first = asked(&world, 100).unwrap();
        hear(&mut world, first);
        // Whatever more is asked for later is answered with a hundred coins, too.
        for _ in 0..60 {
            world.mine_empty();
            world.bump(None, Bump { feerate_sat_per_kw: 60_000, budget_sat: Some(4_000_000), ..Bump::default() });
            if let Some(more) = asked(&world, 100) {
                hear(&mut world, more);
            }
        }
        assert!(heaviest_plan(&world) > 25_000, "a hundred coins are in it");
        assert!(heaviest_plan(&world) <= 400_000, "nodes relay it: {}", heaviest_plan(&world));
    }
}

#[test]
fn a48_no_flood_of_fees_raises_what_is_given_up() {
    for channel_type in [STATIC, ANCHORS] {
        // The least amount that is not given up, and the greatest that is.
        for (amount_sat, given_up) in [(100_001, false), (100_000, true)] {
            let relay = Link::Relay { deadline: Height::new(BEGIN + 60) };
            let mut world = World::new(channel_type, &[offered(0, amount_sat, 10, relay)], &COINS, 1_000);
            // 500 sat/vB: going to chain costs more than the HTLC is worth.
            world.estimate(125_000);
            while world.chain.tip().0 < BEGIN + 58 {
                world.mine_empty();
                world.estimate(125_000);
            }
            let failed = |what: &Conclusion| {
                let why = Upstream::Failed(FailReason::GivenUpForUpstream);
                matches!(what, Conclusion::Released { outcome, .. } if *outcome == why)
            };
            assert_eq!(world.concluded().any(failed), given_up, "{channel_type:?} {amount_sat}");
        }
    }
}

#[test]
fn a60_a_package_allows_the_feerate_of_its_dearest_transaction() {
    for side in [Side::Local, Side::Remote] {
        // The commitment pays 4 sat/vB, and its child, which hurries both a little, less than that.
        let mut world = World::paying(1_000, ANCHORS, &[], &COINS, 800);
        match side {
            Side::Local => world.close(),
            Side::Remote => drop(world.see_theirs()),
        }
        world.mine_empty();
        let parent = world.commitment(side).compute_txid();
        let mut packages = 0;
        for action in &world.done {
            let Action::Broadcast { txs, max_feerate_sat_per_kw, .. } = action else { continue };
            if txs.len() < 2 || txs[0].compute_txid() != parent {
                continue;
            }
            packages += 1;
            for tx in txs {
                let fee_sat = world.chain.fee_of(&tx.compute_txid()).unwrap();
                let feerate = fee_sat * 1_000 / tx.weight().to_wu();
                assert!(feerate <= u64::from(*max_feerate_sat_per_kw), "{side:?}: {feerate} {max_feerate_sat_per_kw}");
            }
        }
        assert!(packages > 0, "{side:?}: a child");
    }
}
