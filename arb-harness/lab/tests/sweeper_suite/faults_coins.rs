//! The wallet's coins and the network's refusals: faults of this project by their ids (A…), on whole closes. A small wallet is
//! the normal one: its coin is exchanged, reused and let go.

use arb_core::bolt3::ChannelType;
use arb_core::{
    Action, Alert, BroadcastAnswer, BroadcastRejection, Event, Freshness, Height, Htlc, HtlcRef, Link, Side, Started,
};
use bitcoin::{OutPoint, Transaction};

use crate::world::{BEGIN, World, offered, received};

const STATIC: ChannelType = ChannelType::StaticRemotekey;
const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
/// Confirmations at which the test channel gives rights up: 4 for 10,000,000 sat.
const FAIL_DEPTH: u32 = 4;

fn relay(due_in: u32) -> Link {
    Link::Relay { deadline: Height::new(BEGIN + due_in) }
}

/// Who needs the wallet's coins on our side: an HTLC-timeout, an HTLC-success, or the child of our commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payer {
    Timeout,
    Success,
    Child,
}

const PAYERS: [Payer; 3] = [Payer::Timeout, Payer::Success, Payer::Child];

impl Payer {
    /// A world in which it has just become due; nothing of ours confirmed yet.
    fn due(self, coins: &[u64], estimate: u32) -> World {
        let htlc = match self {
            Self::Timeout | Self::Child => offered(0, 400_000, 20, relay(60)),
            Self::Success => received(0, 400_000, 60),
        };
        let mut world = World::new(ANCHORS, &[htlc], coins, estimate);
        match self {
            Self::Timeout => {
                world.confirm(world.commitment(Side::Local));
                world.mine_empty_to(21);
            }
            Self::Success => {
                world.learn(HtlcRef::received(0));
                world.confirm(world.commitment(Side::Local));
            }
            Self::Child => world.close(),
        }
        world
    }

    /// The output that its transaction spends.
    fn output(self, world: &World) -> OutPoint {
        match self {
            Self::Timeout => world.output(Side::Local, HtlcRef::offered(0)),
            Self::Success => world.output(Side::Local, HtlcRef::received(0)),
            Self::Child => {
                let (_, txs, _) = world.packages().last().copied().expect("a child");
                txs[1].input[0].previous_output
            }
        }
    }

    fn last(self, world: &World) -> &Transaction {
        world.last_spend(self.output(world)).expect("a claim")
    }
}

fn coins_of(tx: &Transaction) -> Vec<OutPoint> {
    tx.input.iter().skip(1).map(|input| input.previous_output).collect()
}

fn refused(world: &World, coin: OutPoint) -> bool {
    let alert = |action: &Action| matches!(action, Action::Alert { alert: Alert::CoinRefused { coin: named }, .. } if *named == coin);
    world.done.iter().any(alert)
}

#[test]
fn a11_a_coin_that_the_network_does_not_know_is_exchanged_named_and_not_taken_again() {
    for payer in PAYERS {
        let mut world = payer.due(&[90_000, 95_000], 1_000);
        let first = payer.last(&world).clone();
        let bad = coins_of(&first)[0];
        let (channel, txid) = (world.id(), first.compute_txid());
        let answer = BroadcastAnswer::Rejected(BroadcastRejection::MissingInputs);
        world.hear(&Event::BroadcastAnswered { channel, txid, answer });
        world.settle();
        assert!(refused(&world, bad), "{payer:?}: an alert names it");
        world.sent.clear();
        for _ in 0..10 {
            world.mine_empty();
            assert!(!world.has_sent(bad), "{payer:?}: not taken again");
        }
        assert!(!coins_of(payer.last(&world)).is_empty(), "{payer:?}: the other coin pays");
    }
}

#[test]
fn a36_a_coin_that_the_signer_refuses_is_exchanged() {
    for payer in PAYERS {
        let mut world = payer.due(&[90_000, 95_000], 1_000);
        let bad = coins_of(payer.last(&world))[0];
        let asked = world.done.iter().rev().find_map(|action| match action {
            Action::Sign(request) if request.tx.input.iter().any(|input| input.previous_output == bad) => {
                Some(request.id)
            }
            _ => None,
        });
        let why = "this coin is locked".to_owned();
        world.hear(&Event::SigningRefused { channel: world.id(), request: asked.unwrap(), why });
        world.settle();
        world.mine_empty();
        assert!(!coins_of(payer.last(&world)).contains(&bad), "{payer:?}: the other coin pays");
        assert!(refused(&world, bad), "{payer:?}");
    }
}

#[test]
fn a39_the_best_that_a_small_coin_buys_is_sent() {
    for payer in PAYERS {
        let world = payer.due(&[6_000], 20_000);
        let (tx, small) = (payer.last(&world), world.wallet.coins().keys().next().copied());
        assert_eq!(coins_of(tx), small.into_iter().collect::<Vec<_>>(), "{payer:?}: with the wallet's only coin");
        assert!(world.chain.in_mempool(&tx.compute_txid()).is_some(), "{payer:?}: nodes take it");
    }
}

#[test]
fn a27_coins_that_the_confirmed_version_did_not_need_are_free_at_fail_depth() {
    for payer in PAYERS {
        let mut world = payer.due(&[6_000; 8], 1_000);
        let first = payer.last(&world).clone();
        world.mine_empty_to(58);
        let last = payer.last(&world).clone();
        let left: Vec<OutPoint> = coins_of(&last).into_iter().filter(|coin| !coins_of(&first).contains(coin)).collect();
        assert!(left.len() >= 2, "{payer:?}: later versions have more coins: {left:?}");
        match payer {
            Payer::Child => world.confirm_all(vec![world.commitment(Side::Local), first]),
            Payer::Timeout | Payer::Success => world.confirm(first),
        }
        for _ in 1..FAIL_DEPTH {
            assert_eq!(world.released(), [], "{payer:?}: a reorg may want them");
            world.mine_empty();
        }
        let mut released = world.released();
        released.retain(|coin| left.contains(coin));
        assert_eq!(released.len(), left.len(), "{payer:?}: {released:?}");
    }
}

/// Ten HTLCs of ours on this commitment that share one transaction, and the height from which on they are due.
fn batch(channel_type: ChannelType, side: Side, is_offered: bool) -> World {
    let htlc = |id| if is_offered { offered(id, 40_000, 20, relay(70)) } else { received(id, 40_000, 40) };
    let htlcs: Vec<Htlc> = (0..10).map(htlc).collect();
    let mut world = World::new(channel_type, &htlcs, &[2_000_000], 1_000);
    if !is_offered {
        htlcs.iter().for_each(|htlc| world.learn(htlc.key));
    }
    world.confirm(world.commitment(side));
    world.mine_empty_to(if is_offered { 21 } else { 2 });
    let size = largest(&world, side, is_offered);
    assert_eq!(size, 10, "{channel_type:?} {side:?} offered {is_offered}: one transaction for all");
    world
}

fn key(is_offered: bool, id: u64) -> HtlcRef {
    if is_offered { HtlcRef::offered(id) } else { HtlcRef::received(id) }
}

/// How many HTLCs the last transaction that claims the first HTLC claims.
fn largest(world: &World, side: Side, is_offered: bool) -> usize {
    let outputs: Vec<OutPoint> = (0..10).map(|id| world.output(side, key(is_offered, id))).collect();
    let tx = world.last_spend(outputs[0]).expect("a claim");
    tx.input.iter().filter(|input| outputs.contains(&input.previous_output)).count()
}

#[test]
fn a3_a_refusal_while_blocks_are_missing_marks_nobody() {
    // What the counterparty signed as a whole (STATIC, ours) never shares a transaction.
    for (channel_type, side) in [(ANCHORS, Side::Local), (ANCHORS, Side::Remote), (STATIC, Side::Remote)] {
        for is_offered in [true, false] {
            let mut world = batch(channel_type, side, is_offered);
            let txid = world.last_spend(world.output(side, key(is_offered, 0))).unwrap().compute_txid();
            let sent = world.sent.len();
            // After a restart a block is still to be heard. It may be the reason for what the network says meanwhile.
            let best_height = Height::new(world.chain.tip().0 + 1);
            world.hear(&Event::Started(Started {
                build: "again".into(),
                freshness: Freshness::Trusted,
                best_height,
                run: 1,
            }));
            world.hear(&arb_lab::process::all_told());
            world.settle();
            assert_eq!(world.sent.len(), sent, "nothing is sent while it is behind");
            let (channel, answer) = (world.id(), BroadcastAnswer::Rejected(BroadcastRejection::MissingInputs));
            world.hear(&Event::BroadcastAnswered { channel, txid, answer });
            world.sent.clear();
            world.mine_empty();
            assert_eq!(largest(&world, side, is_offered), 10, "{channel_type:?} {side:?} offered {is_offered}");
        }
    }
}

#[test]
fn a3_the_nine_that_nobody_pins_are_claimed_in_time_with_one_coin() {
    for culprit in [0, 4, 9] {
        let mut world = batch(ANCHORS, Side::Local, true);
        // The counterparty's claim stands in every mempool, pays more than our whole budget for it, and is not mined.
        let pin = world.theirs_at(60_000, key(true, culprit));
        let pin_txid = pin.compute_txid();
        world.chain.submit(pin).unwrap();
        while world.chain.tip().0 < BEGIN + 64 {
            world.chain.mine_with(|tx| tx.compute_txid() != pin_txid);
            world.heard();
        }
        let confirmed = |id: &u64| {
            let spend = world.chain.spender_of(&world.output(Side::Local, key(true, *id)));
            spend.is_some_and(|(_, txid, _)| txid != pin_txid)
        };
        let claimed: Vec<u64> = (0..10).filter(confirmed).collect();
        let others: Vec<u64> = (0..10).filter(|id| *id != culprit).collect();
        assert_eq!(claimed, others, "all but the culprit {culprit}");
    }
}

#[test]
fn a3_a_coin_that_pays_for_a_few_of_many_claims_pays_for_them() {
    for is_offered in [true, false] {
        for coin_sat in [1_600_u64, 3_000, 12_000, 30_000] {
            let htlc = |id| match is_offered {
                true => offered(id, 10_000, 20, relay(60)),
                false => received(id, 10_000, 60),
            };
            let htlcs: Vec<Htlc> = (0..24).map(htlc).collect();
            let mut world = World::new(ANCHORS, &htlcs, &[coin_sat], 1_000);
            world.confirm(world.commitment(Side::Local));
            if !is_offered {
                world.mine_empty_to(41);
                (0..24).for_each(|id| world.learn(HtlcRef::received(id)));
            }
            world.mine_to(59);
            let is_claimed =
                |id: &u64| world.chain.spender_of(&world.output(Side::Local, key(is_offered, *id))).is_some();
            let claimed = (0..24).filter(is_claimed).count();
            // At 4,000 sat per kw, the estimate for the next block: 4,400 sat for the first one with coin and change, and 2,800
            // for each further one; 330 of change are left. A coin that buys no place in the next block buys a cheaper one.
            let least = usize::try_from((coin_sat.max(4_730) - 4_730) / 2_800 + 1).unwrap();
            assert!(claimed >= least, "{claimed} of {least}, offered {is_offered}, {coin_sat} sat");
        }
    }
}

/// A11 with an HTLC that loses: the wallet has one coin. HTLC 0 has it, HTLC 1 needs one, and the counterparty takes HTLC 0.
fn one_coin(is_offered: bool) -> (World, OutPoint, [OutPoint; 2]) {
    let htlcs = match is_offered {
        true => [offered(0, 400_000, 20, relay(60)), offered(1, 300_000, 24, relay(64))],
        false => [received(0, 400_000, 28), received(1, 300_000, 48)],
    };
    let mut world = World::new(ANCHORS, &htlcs, &[150_000], 1_000);
    let coin = *world.wallet.coins().keys().next().unwrap();
    if !is_offered {
        world.learn(HtlcRef::received(0));
    }
    world.confirm(world.commitment(Side::Local));
    world.mine_empty_to(22);
    if !is_offered {
        world.learn(HtlcRef::received(1));
    }
    world.mine_empty_to(29);
    let outputs = [0, 1].map(|id| world.output(Side::Local, key(is_offered, id)));
    assert_eq!(coins_of(world.last_spend(outputs[0]).unwrap()), [coin]);
    assert!(!world.has_sent(outputs[1]), "there is no coin for the second");
    (world, coin, outputs)
}

#[test]
fn a11_the_coin_of_an_htlc_that_lost_pays_for_the_next_one_at_once() {
    for is_offered in [true, false] {
        let (mut world, coin, outputs) = one_coin(is_offered);
        world.confirm(world.theirs(key(is_offered, 0)));
        let second = world.last_spend(outputs[1]).expect("sent in the same block");
        assert_eq!(coins_of(second), [coin], "offered {is_offered}");
        let txid = second.compute_txid();
        assert!(world.chain.in_mempool(&txid).is_some(), "offered {is_offered}: nodes take it");
        assert_eq!(world.released(), [], "offered {is_offered}: the channel keeps it");
        assert_eq!(world.wallet.owner_of(&coin), Some(outputs[1]), "offered {is_offered}");
        world.mine();
        assert!(world.chain.confirmed(&txid).is_some());
        world.mine_to(400);
        // With its preimage the upstream HTLC is settled; one that we could have claimed is lost.
        let lost_sat = if is_offered { 0 } else { 400_000 };
        assert_eq!(world.node.sheets[&world.id()].lost_sat, lost_sat, "offered {is_offered}");
    }
}

#[test]
fn a11_after_a_reorg_the_revived_claim_is_planned_anew_without_the_coin() {
    for is_offered in [true, false] {
        let (mut world, coin, outputs) = one_coin(is_offered);
        world.confirm(world.theirs(key(is_offered, 0)));
        world.sent.clear();
        // The counterparty's claim leaves the chain: HTLC 0 is ours to claim again, and the coin is where it was.
        world.reorg(1);
        world.mine_empty();
        assert!(!world.has_sent(outputs[0]), "offered {is_offered}: not with the coin of the other");
        assert!(world.has_sent(outputs[1]));
        let script = world.wallet.deposit_script();
        world.chain.mint(script, 120_000);
        world.mine_empty();
        let again = world.last_spend(outputs[0]).expect("planned anew");
        assert!(!coins_of(again).contains(&coin), "offered {is_offered}");
        world.assert_all_valid();
    }
}

#[test]
fn a11_the_coin_of_a_child_whose_commitment_lost_pays_for_an_htlc_at_once() {
    for is_offered in [true, false] {
        let htlc = if is_offered { offered(0, 400_000, 1, Link::Own) } else { received(0, 400_000, 60) };
        let mut world = World::new(ANCHORS, &[htlc], &[150_000], 2_000);
        if !is_offered {
            world.learn(HtlcRef::received(0));
        }
        let coin = *world.wallet.coins().keys().next().unwrap();
        world.mine_empty_to(2);
        let theirs = world.see_theirs().compute_txid();
        let child = world.packages().last().expect("a child").1.clone();
        assert_eq!((child[0].compute_txid(), coins_of(&child[1])), (theirs, vec![coin]));
        // Ours confirms.
        world.confirm(world.commitment(Side::Local));
        let output = world.output(Side::Local, key(is_offered, 0));
        let claim = world.last_spend(output).expect("sent in the same block");
        assert_eq!(coins_of(claim), [coin], "offered {is_offered}");
        assert_eq!(world.released(), [], "offered {is_offered}");
    }
}

/// The height of the block in which the coin's claim lost, with nothing else that needs the coin, and the coin.
fn lost(payer: Payer) -> (World, OutPoint) {
    let mut world = payer.due(&[150_000], 1_000);
    let coin = *world.wallet.coins().keys().next().unwrap();
    assert_eq!(coins_of(payer.last(&world)), [coin]);
    match payer {
        Payer::Timeout => world.confirm(world.theirs(HtlcRef::offered(0))),
        Payer::Success => {
            world.mine_empty_to(60);
            world.confirm(world.theirs(HtlcRef::received(0)));
        }
        Payer::Child => world.confirm(world.commitment(Side::Remote)),
    }
    (world, coin)
}

#[test]
fn a11_the_coin_of_what_lost_is_free_at_fail_depth_and_not_before() {
    for payer in PAYERS {
        let (mut world, coin) = lost(payer);
        for _ in 1..FAIL_DEPTH {
            assert!(!world.released().contains(&coin), "{payer:?}: a reorg may want it");
            assert!(world.wallet.owner_of(&coin).is_some());
            world.mine_empty();
        }
        assert!(world.released().contains(&coin), "{payer:?}");
        assert_eq!(world.wallet.owner_of(&coin), None, "{payer:?}");
    }
}

#[test]
fn a11_no_version_with_a_released_coin_is_ever_sent_whatever_a_reorg_does() {
    for payer in PAYERS {
        let (mut world, coin) = lost(payer);
        for _ in 0..FAIL_DEPTH {
            world.mine_empty();
        }
        assert!(world.released().contains(&coin), "{payer:?}");
        // The wallet gives it to somebody else, and has another one.
        arb_harness::wallet::Wallet::hold(&mut world.wallet, OutPoint::null(), &[coin]);
        let script = world.wallet.deposit_script();
        world.chain.mint(script, 120_000);
        world.sent.clear();
        world.reorg(FAIL_DEPTH + 1);
        for _ in 0..8 {
            world.mine_empty();
            assert!(!world.has_sent(coin), "{payer:?}: it is not ours any more");
        }
        let again = payer.last(&world);
        assert!(!coins_of(again).is_empty(), "{payer:?}: planned anew, with the other coin");
    }
}
