//! Whose commitment is sent, and with which child: faults of this project by their ids (A…), on whole closes with the embedded
//! chain.

use arb_core::bolt3::ChannelType;
use arb_core::{Action, Event, Height, Htlc, Link, Side};
use arb_harness::source;
use bitcoin::{Transaction, Txid};

use crate::world::{BEGIN, CAPACITY_SAT, World, offered, received};

const STATIC: ChannelType = ChannelType::StaticRemotekey;
const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 4] = [400_000, 300_000, 200_000, 200_000];

impl World {
    fn sees(&mut self, tx: &Transaction) {
        self.chain.submit(tx.clone()).unwrap();
        self.hear(&Event::MempoolSeen { tx: tx.clone() });
        self.settle();
    }

    /// The tip when this transaction was first sent, counted from the beginning, and how many went with it.
    fn first_sent(&self, txid: Txid) -> Option<(u32, usize)> {
        let sent = self.sent.iter().find(|(_, txs, _)| txs.iter().any(|tx| tx.compute_txid() == txid));
        sent.map(|(tip, txs, _)| (tip - BEGIN, txs.len()))
    }

    fn ours(&self) -> Txid {
        self.commitment(Side::Local).compute_txid()
    }
}

fn htlcs(due_in: u32) -> [Htlc; 1] {
    [offered(0, 400_000, due_in, Link::Relay { deadline: Height::new(BEGIN + due_in + 46) })]
}

#[test]
fn a37_a_child_whose_commitment_confirmed_without_it_is_sent_no_more() {
    for side in [Side::Local, Side::Remote] {
        let mut world = World::new(ANCHORS, &htlcs(200), &COINS, 5_000);
        let commitment = world.commitment(side);
        match side {
            Side::Local => world.close(),
            Side::Remote => world.sees(&commitment),
        }
        let (_, txs, _) = world.packages().pop().expect("a child");
        let child = txs[1].clone();
        assert_eq!(txs[0].compute_txid(), commitment.compute_txid());
        world.chain.clear_mempool();
        world.confirm(commitment);
        world.sent.clear();
        world.mine_to(120);
        let anchor = child.input[0].previous_output;
        assert_eq!(world.last_spend(anchor), None, "{side:?}");
        assert!(world.chain.spender_of(&anchor).is_none());
        // Its coins are free.
        let held: Vec<_> = child.input[1..].iter().map(|input| input.previous_output).collect();
        let held_now = |action: &Action| match action {
            Action::HoldFeeInputs { coins, .. } => coins.iter().any(|coin| held.contains(coin)),
            _ => false,
        };
        assert!(!world.court.actions_due().iter().any(held_now), "{side:?}");
        // A reorg that takes the commitment out makes it worth a child again.
        world.reorg(world.chain.tip().0 - BEGIN);
        assert!(world.packages().iter().any(|(_, txs, _)| txs[1].input[0].previous_output == anchor), "{side:?}");
    }
}

#[test]
fn a38_ours_waits_for_a_commitment_of_theirs_that_serves_as_well() {
    for (channel_type, commitment_feerate) in [(ANCHORS, 253), (ANCHORS, 8_000), (STATIC, 8_000)] {
        let mut world = World::paying(commitment_feerate, channel_type, &htlcs(200), &COINS, 5_000);
        let (theirs, ours) = (world.commitment(Side::Remote), world.ours());
        world.sees(&theirs);
        world.mine_empty_to(5);
        assert_eq!(world.first_sent(ours), None, "{channel_type:?}");
        // Our child keeps theirs in.
        let with_child = world.packages().iter().any(|(_, txs, _)| txs[0].compute_txid() == theirs.compute_txid());
        assert_eq!(with_child, channel_type == ANCHORS && commitment_feerate < 5_000);
        // The mempool ends nothing.
        world.mine_empty_to(8);
        assert_eq!(world.first_sent(ours).map(|(tip, _)| tip), Some(6), "{channel_type:?}");
    }
}

#[test]
fn a38_near_a_deadline_ours_waits_less_and_at_last_not_at_all() {
    // Half of the blocks to the deadline, less six for the second stage.
    for (due_in, waits) in [(40, 6), (20, 4), (12, 0)] {
        // The deadline is six blocks before the upstream's expiry.
        let deadline = Link::Relay { deadline: Height::new(BEGIN + due_in + 6) };
        let mut world = World::new(ANCHORS, &[offered(0, 400_000, due_in, deadline)], &COINS, 5_000);
        let (theirs, ours) = (world.commitment(Side::Remote), world.ours());
        world.sees(&theirs);
        world.mine_empty_to(8);
        assert_eq!(world.first_sent(ours).map(|(tip, _)| tip), Some(waits), "due in {due_in}");
    }
}

#[test]
fn a38_theirs_is_not_preferred_where_it_serves_less() {
    // Theirs may pay too little, and cannot be hurried without an anchor or a coin. Theirs may trim an HTLC that ours has: without
    // anchors an HTLC-success costs more than an HTLC-timeout.
    let small = [offered(1, 400, 200, Link::Own), htlcs(200)[0].clone()];
    let relayed = Link::Relay { deadline: Height::new(BEGIN + 246) };
    let between = [offered(1, 6_000, 200, relayed), htlcs(200)[0].clone()];
    let cases: [(&str, World, bool); 4] = [
        ("theirs trims an HTLC", World::paying(8_000, STATIC, &between, &COINS, 5_000), true),
        ("cheap and without anchors", World::paying(1_000, STATIC, &htlcs(200), &COINS, 5_000), true),
        ("cheap, and no coin", World::new(ANCHORS, &htlcs(200), &[], 5_000), true),
        ("both trim an HTLC", World::new(ANCHORS, &small, &COINS, 5_000), false),
    ];
    for (name, mut world, is_sent) in cases {
        let (theirs, ours) = (world.commitment(Side::Remote), world.ours());
        world.sees(&theirs);
        world.mine_empty_to(2);
        assert_eq!(world.first_sent(ours).is_some(), is_sent, "{name}");
    }
}

#[test]
fn a61_a_commitment_that_needs_a_child_is_not_sent_alone_while_coins_may_come_at_once() {
    let mut world = World::new(ANCHORS, &htlcs(200), &COINS, 5_000);
    world.close();
    assert_eq!(world.first_sent(world.ours()), Some((0, 2)), "with its child");
    // The wallet is silent: one block and no more.
    let mut world = World::new(ANCHORS, &htlcs(200), &COINS, 5_000);
    world.is_wallet_silent = true;
    world.close();
    assert_eq!(world.first_sent(world.ours()), None);
    world.mine_empty_to(1);
    assert_eq!(world.first_sent(world.ours()), Some((1, 1)));
    // The wallet has none: at once.
    let mut world = World::new(ANCHORS, &htlcs(200), &[], 5_000);
    world.close();
    assert_eq!(world.first_sent(world.ours()), Some((0, 1)));
    // It needs none: at once, also without anchors.
    for channel_type in [ANCHORS, STATIC] {
        let mut world = World::paying(8_000, channel_type, &htlcs(200), &COINS, 5_000);
        world.close();
        assert_eq!(world.first_sent(world.ours()), Some((0, 1)), "{channel_type:?}");
    }
}

#[test]
fn a61_ours_has_its_child_from_the_first_also_after_a_wait() {
    // It waited for a revoked one, and for one of theirs.
    for revokes in [true, false] {
        let mut world = World::new(ANCHORS, &htlcs(200), &COINS, 5_000);
        let theirs = world.commitment(Side::Remote);
        let number = if revokes {
            world.revoke();
            1
        } else {
            0
        };
        world.sees(&theirs);
        world.mine_empty_to(7);
        let ours = world.fixture.commitment_tx(Side::Local, number).unwrap().compute_txid();
        assert_eq!(world.first_sent(ours), Some((6, 2)), "revoked: {revokes}");
    }
}

#[test]
fn a61_ours_is_not_sent_alone_while_blocks_are_missing() {
    let mut world = World::new(ANCHORS, &htlcs(200), &COINS, 5_000);
    world.chain.mine();
    world.chain.mine();
    let Ok(blocks) = source::next_blocks(&world.chain, world.court.tip(), 10);
    let [first, second] = blocks.as_slice() else { panic!("two blocks") };
    world.hear(first);
    world.close();
    assert_eq!(world.first_sent(world.ours()), None);
    world.hear(second);
    world.settle();
    assert_eq!(world.first_sent(world.ours()), Some((2, 2)));
}

#[test]
fn a62_nothing_of_ours_is_sent_against_a_revoked_commitment_that_is_in_mempools() {
    for channel_type in [ANCHORS, STATIC] {
        for confirms in [true, false] {
            let htlcs = [htlcs(200)[0].clone(), received(0, 300_000, 250)];
            let mut world = World::paying(6_000, channel_type, &htlcs, &COINS, 5_000);
            world.revoke();
            let cheat = world.commitment(Side::Remote);
            world.sees(&cheat);
            world.mine_empty_to(5);
            assert!(world.sent.is_empty(), "{channel_type:?}: {:?}", world.sent);
            if confirms {
                world.mine();
                world.mine_to(150);
                let swept = world.node.sheets[&world.id()].swept_sat;
                assert!(swept > CAPACITY_SAT - 50_000, "{channel_type:?}: {swept}");
            } else {
                world.mine_empty_to(6);
                let ours = world.fixture.commitment_tx(Side::Local, 1).unwrap().compute_txid();
                assert!(world.first_sent(ours).is_some(), "{channel_type:?}: the mempool ends nothing");
            }
        }
    }
}

#[test]
fn a62_a_number_that_ours_has_too_is_no_cheat() {
    // Theirs of number 0 is revoked, ours of number 0 is our newest.
    let mut world = World::paying(6_000, ANCHORS, &htlcs(200), &COINS, 5_000);
    world.revoke_theirs();
    let ours = world.commitment(Side::Local);
    world.sees(&ours);
    assert_eq!(world.first_sent(ours.compute_txid()).map(|(tip, _)| tip), Some(0));
}
