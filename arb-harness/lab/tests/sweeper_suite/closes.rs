//! Whole closes on the embedded chain: every transaction that is sent is valid (I9), unconfirmed commitments get a child, and
//! coins, bumps and reserves follow the records (B14, B15, B18, B23, B34, B48, B58, L24).

use arb_core::bolt3::ChannelType;
use arb_core::{Action, Alert, BroadcastAnswer, Bump, Conclusion, Event, Height, HtlcRef, Link, Side};

use crate::world::{BEGIN, World, offered, received};

const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];

fn htlcs() -> Vec<arb_core::Htlc> {
    let out = [(0, 50_000), (1, 60_000), (2, 400_000), (3, 1_000)];
    let mut htlcs: Vec<_> = out.into_iter().map(|(id, sat)| offered(id, sat, 30, Link::Own)).collect();
    htlcs.extend([(0, 70_000), (1, 90_000), (2, 80_000)].map(|(id, sat)| received(id, sat, 60)));
    htlcs
}

#[test]
fn i9_every_transaction_of_every_close_is_accepted_by_the_chain() {
    for channel_type in [ChannelType::StaticRemotekey, ANCHORS] {
        for side in [Side::Local, Side::Remote] {
            let mut world = World::new(channel_type, &htlcs(), &COINS, 2_000);
            world.learn(HtlcRef::received(0));
            world.learn(HtlcRef::received(2));
            match side {
                Side::Local => world.close(),
                Side::Remote => world.confirm(world.commitment(Side::Remote)),
            }
            // None of our claims confirms for a while, so each is replaced several times.
            world.mine();
            world.mine_empty_to(25);
            world.mine_to(45);
            world.mine_to(250);
            // What is left waits for its price (A14).
            world.mine_cheaply_to(520);
            world.assert_all_valid();
            let docket = world.court.index_of(&world.id()).and_then(|index| world.court.docket(index));
            assert!(docket.is_none(), "{channel_type:?} {side:?}: not resolved: {docket:#?}");
            let sheet = world.node.sheets[&world.id()];
            assert!(sheet.balances() && sheet.lost_sat == 0, "{sheet:?}");
        }
    }
}

#[test]
fn b14_every_htlc_of_either_commitment_of_either_type_is_claimed() {
    for channel_type in [ChannelType::StaticRemotekey, ANCHORS] {
        for side in [Side::Local, Side::Remote] {
            let mut world = World::new(channel_type, &htlcs(), &COINS, 1_000);
            for id in 0..3 {
                world.learn(HtlcRef::received(id));
            }
            world.confirm(world.commitment(side));
            world.mine_to(45);
            for htlc in (0..3).flat_map(|id| [HtlcRef::offered(id), HtlcRef::received(id)]) {
                let output = world.output(side, htlc);
                assert!(world.last_spend(output).is_some(), "{channel_type:?} {side:?} {htlc}");
            }
        }
    }
}

#[test]
fn b23_our_commitment_below_the_mempools_minimum_gets_in_with_its_child() {
    let mut world = World::new(ANCHORS, &htlcs(), &COINS, 5_000);
    world.chain.set_mempool_min_feerate(8_000);
    let ours = world.commitment(Side::Local);
    assert!(world.chain.submit(ours.clone()).is_err());
    world.close();
    let (_, txs, answer) = world.packages().last().copied().expect("a package").clone();
    assert_eq!((txs[0].compute_txid(), answer), (ours.compute_txid(), BroadcastAnswer::Accepted));
    assert!(world.chain.in_mempool(&ours.compute_txid()).is_some());
    world.mine();
    assert!(world.chain.confirmed(&ours.compute_txid()).is_some());
}

#[test]
fn b23_their_commitment_seen_in_the_mempool_gets_our_child() {
    let mut world = World::new(ANCHORS, &htlcs(), &COINS, 5_000);
    let theirs = world.commitment(Side::Remote);
    world.chain.submit(theirs.clone()).unwrap();
    world.hear(&Event::MempoolSeen { tx: theirs.clone() });
    world.settle();
    let packages = world.packages();
    let of_theirs = |(_, txs, _): &&&(u32, Vec<bitcoin::Transaction>, BroadcastAnswer)| {
        txs[0].compute_txid() == theirs.compute_txid()
    };
    let (_, txs, answer) = packages.iter().rev().find(of_theirs).expect("a package");
    assert!(matches!(answer, BroadcastAnswer::Accepted | BroadcastAnswer::Known));
    let child = &txs[1];
    assert_eq!(child.input[0].previous_output.txid, theirs.compute_txid());
    assert!(world.chain.in_mempool(&child.compute_txid()).is_some());
    // Evicted, it is sent again with the next block; our own commitment may enter the mempool first.
    world.chain.clear_mempool();
    world.sent.clear();
    world.mine_empty();
    assert!(world.chain.mempool_spender(&world.fixture.setup().funding).is_some());
    assert!(world.sent.iter().any(|(_, txs, _)| txs.len() == 2 && txs[0].compute_txid() == theirs.compute_txid()));
}

#[test]
fn a_commitment_that_pays_enough_has_no_child() {
    // The commitment pays the estimate for itself and for a child of up to a quarter of its weight.
    let mut world = World::paying(1_000, ANCHORS, &htlcs(), &COINS, 600);
    world.close();
    assert!(world.packages().is_empty());
    let asked = |action: &Action| matches!(action, Action::RequestFeeInputs { .. });
    assert!(!world.done.iter().any(asked), "no coins are requested for it");
    // It gets a child once the estimate rises above what it pays.
    world.estimate(3_000);
    world.mine_empty();
    assert!(!world.packages().is_empty());
}

#[test]
fn l24_b48_a_child_is_raised_in_every_block_and_is_always_alone() {
    let mut world = World::new(ANCHORS, &htlcs(), &COINS, 3_000);
    world.close();
    let mut fees = Vec::new();
    for _ in 0..12 {
        world.mine_empty();
        let child = world.packages().last().unwrap().1[1].clone();
        let (_, fee) = world.chain.in_mempool(&child.compute_txid()).expect("the child is in the mempool");
        assert_eq!(child.output.len(), 1);
        fees.push(fee);
    }
    assert!(fees.windows(2).all(|pair| pair[0] <= pair[1]) && fees[0] < fees[11], "{fees:?}");
    world.assert_all_valid();
}

#[test]
fn b34_a_childs_budget_is_what_missing_a_deadline_loses() {
    // A half (`child_divisor`) of a half (`budget_divisor`) of 400,000 sat is 100,000.
    let mut world = World::new(ANCHORS, &[offered(0, 400_000, 30, Link::Own)], &COINS, 3_000);
    world.close();
    world.mine_empty_to(120);
    let child = world.packages().last().unwrap().1[1].clone();
    let (_, fee) = world.chain.in_mempool(&child.compute_txid()).unwrap();
    assert!((90_000..=100_000).contains(&fee), "{fee}");
    // Without an HTLC at stake: min(5 % of our main output, 10,000 sat).
    let mut world = World::new(ANCHORS, &[], &COINS, 200_000);
    world.close();
    let child = world.packages().last().unwrap().1[1].clone();
    let (_, fee) = world.chain.in_mempool(&child.compute_txid()).unwrap();
    assert!((9_700..=10_000).contains(&fee), "{fee}");
}

#[test]
fn a_bump_of_one_claim_raises_its_feerate_and_the_records_say_so() {
    let mut world = World::new(ANCHORS, &htlcs(), &COINS, 1_000);
    world.confirm(world.commitment(Side::Remote));
    world.mine_empty_to(31);
    let output = world.output(Side::Remote, HtlcRef::offered(2));
    let fee = |world: &World| {
        let tx = world.last_spend(output).unwrap();
        let inputs = world.chain.in_mempool(&tx.compute_txid()).map(|(_, fee)| fee).unwrap();
        inputs * 1_000 / tx.weight().to_wu()
    };
    let before = fee(&world);
    let bump = Bump { feerate_sat_per_kw: 40_000, ..Bump::default() };
    world.bump(Some(output), bump);
    assert!(before < 20_000 && fee(&world) >= 40_000, "{before} {}", fee(&world));
    let bumped = |what: &&Conclusion| {
        matches!(what, Conclusion::Bumped { outpoint, to_sat_per_kw: 40_000, from_sat_per_kw } if *outpoint == output
            && *from_sat_per_kw > 0)
    };
    assert_eq!(world.concluded().filter(bumped).count(), 1);
    world.assert_all_valid();
}

#[test]
fn a_bump_of_a_close_changes_deadline_and_budget_of_its_child() {
    let mut world = World::new(ANCHORS, &[], &COINS, 3_000);
    world.close();
    let fee = |world: &World| {
        let child = world.packages().last().unwrap().1[1].clone();
        world.chain.in_mempool(&child.compute_txid()).unwrap().1
    };
    assert!(fee(&world) <= 10_000);
    let deadline = Some(Height::new(BEGIN + 10));
    world.bump(None, Bump { deadline, budget_sat: Some(60_000), ..Bump::default() });
    world.mine_empty_to(9);
    assert!((55_000..=60_000).contains(&fee(&world)), "{}", fee(&world));
    world.assert_all_valid();
}

#[test]
fn a_wallet_that_has_nothing_is_asked_in_every_block_and_an_alert_says_so() {
    let mut world = World::new(ANCHORS, &htlcs(), &[], 3_000);
    world.close();
    assert!(world.packages().is_empty());
    let missing = |(_, alert): &(_, Alert)| matches!(alert, Alert::FeeInputsMissing { .. });
    assert!(world.node.alerts.iter().any(missing));
    world.done.clear();
    world.mine_empty();
    assert!(world.done.iter().any(|action| matches!(action, Action::RequestFeeInputs { .. })));
    // Once the wallet has a coin, the child is sent.
    let script = world.wallet.deposit_script();
    world.chain.mint(script, 50_000);
    world.mine_empty();
    assert!(!world.packages().is_empty());
    world.assert_all_valid();
}

#[test]
fn a_wallet_that_lost_its_memory_is_told_what_is_held_before_it_is_asked() {
    let mut world = World::new(ANCHORS, &htlcs(), &COINS, 3_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_empty_to(31);
    let held = |world: &World| {
        let hold = |action: &Action| match action {
            Action::HoldFeeInputs { coins, .. } => coins.clone(),
            _ => Vec::new(),
        };
        world.court.actions_due().iter().flat_map(hold).collect::<Vec<_>>()
    };
    let before = held(&world);
    assert!(!before.is_empty());
    let mut wallet = arb_lab::wallet::SmallWallet::new(world.wallet.keys().clone());
    wallet.rescan(&world.chain);
    world.wallet = wallet;
    let places = |is: fn(&Action) -> bool| {
        let due = world.court.actions_due();
        due.iter().enumerate().filter(|(_, action)| is(action)).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let holds = places(|action| matches!(action, Action::HoldFeeInputs { .. }));
    let asks = places(|action| matches!(action, Action::RequestFeeInputs { .. }));
    assert!(holds.iter().all(|hold| asks.iter().all(|ask| hold < ask)));
    world.mine_empty();
    for coin in &before {
        assert!(world.wallet.owner_of(coin).is_some(), "{coin}");
    }
    world.mine_to(320);
    world.assert_all_valid();
}

#[test]
fn the_reserve_is_a_coin_for_each_commitment_and_each_htlc_at_todays_feerate() {
    let world = World::new(ANCHORS, &htlcs(), &COINS, 2_000);
    let advice = world.court.reserve_advice();
    assert_eq!((advice.channels, advice.coins), (1, 1 + 7));
    let more = World::new(ANCHORS, &htlcs(), &COINS, 4_000).court.reserve_advice();
    let change = 330 * advice.coins;
    assert!((more.amount_sat - change).abs_diff(2 * (advice.amount_sat - change)) <= 1, "{advice:?} {more:?}");
    let none = World::new(ChannelType::StaticRemotekey, &htlcs(), &COINS, 2_000).court.reserve_advice();
    assert_eq!(none, arb_core::sweep::ReserveAdvice::default());
    let idle = World::new(ANCHORS, &[], &COINS, 1_000).court.reserve_advice();
    // Weights: commitment 1,124, frame 42, coin 273, change 172, and the anchor's input.
    assert_eq!((idle.channels, idle.coins), (1, 1));
    assert!((1_900..2_400).contains(&idle.amount_sat), "{idle:?}");
}

#[test]
fn b58_the_reserve_is_enough_for_the_close_at_that_feerate() {
    let advice = World::new(ANCHORS, &htlcs(), &COINS, 2_000).court.reserve_advice();
    let each = advice.amount_sat / advice.coins + 1;
    let coins: Vec<u64> = (0..advice.coins).map(|_| each + 400).collect();
    let mut world = World::new(ANCHORS, &htlcs(), &coins, 2_000);
    world.close();
    world.mine();
    world.mine_to(250);
    world.mine_cheaply_to(520);
    world.assert_all_valid();
    assert_eq!(world.node.sheets[&world.id()].lost_sat, 0);
}

#[test]
fn b15_b18_after_a_reorg_to_the_other_commitment_its_outputs_are_claimed() {
    let mut world = World::new(ANCHORS, &htlcs(), &COINS, 2_000);
    world.confirm(world.commitment(Side::Local));
    world.mine_empty_to(3);
    world.reorg(3);
    world.confirm(world.commitment(Side::Remote));
    // The preimage is learned only after the reorg.
    world.learn(HtlcRef::received(0));
    let claimed = |world: &World, output| world.last_spend(output).is_some();
    assert!(claimed(&world, world.output(Side::Remote, HtlcRef::received(0))));
    world.mine_to(40);
    assert!(claimed(&world, world.output(Side::Remote, HtlcRef::offered(2))));
    let main = world.commitment(Side::Remote).compute_txid();
    let mains = world.sent.iter().flat_map(|(_, txs, _)| txs).flat_map(|tx| &tx.input);
    let mains = mains.filter(|input| input.previous_output.txid == main && input.sequence.0 == 1);
    assert!(mains.count() >= 1, "to_remote, after one block");
    world.mine_to(320);
    assert_eq!(world.node.sheets[&world.id()].lost_sat, 0);
}
