//! I9 over drawn closes: every transaction that is sent is valid under Bitcoin Core's script rules, its locks and standardness;
//! below the mempool's minimum feerate it is sent in a package only.

use arb_core::bolt3::ChannelType;
use arb_core::{Action, BroadcastAnswer, BroadcastRejection, Bump, Event, Htlc, HtlcRef, Link, Side};
use bitcoin::{OutPoint, Transaction};
use proptest::collection::vec;
use proptest::prelude::*;

use std::collections::BTreeSet;

use crate::world::{BEGIN, World, offered, received};

/// Whose commitment confirms, and whether it was revoked before.
#[derive(Clone, Copy, Debug)]
enum Closer {
    Ours,
    Theirs,
    TheirsRevoked,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Turn {
    Mine,
    /// This many empty blocks.
    MineEmpty(u32),
    Estimate(u32),
    Reorg(u32),
    Learn(u64),
    Bump(u32),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::Mine),
        4 => (1..25_u32).prop_map(Turn::MineEmpty),
        3 => (253..60_000_u32).prop_map(Turn::Estimate),
        1 => (1..4_u32).prop_map(Turn::Reorg),
        2 => (0..4_u64).prop_map(Turn::Learn),
        1 => (253..90_000_u32).prop_map(Turn::Bump),
    ]
}

fn htlcs() -> impl Strategy<Value = Vec<Htlc>> {
    let one = (any::<bool>(), prop_oneof![1..3_000_u64, 3_000..60_000_u64, 60_000..500_000_u64], 2..90_u32);
    vec(one, 0..5).prop_map(|drawn| {
        let (mut ours, mut theirs) = (0.., 0..);
        let mut htlc = |(by_us, sat, due_in): (bool, u64, u32)| match by_us {
            true => ours.next().map(|id| offered(id, sat, due_in, Link::Own)),
            false => theirs.next().map(|id| received(id, sat, due_in)),
        };
        drawn.into_iter().filter_map(&mut htlc).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i9_whatever_is_sent_is_valid(
        anchors in any::<bool>(),
        closer in prop_oneof![Just(Closer::Ours), Just(Closer::Theirs), Just(Closer::TheirsRevoked)],
        htlcs in htlcs(),
        coins in vec(20_000..400_000_u64, 0..6),
        turns in vec(turn(), 1..14),
    ) {
        let channel_type = if anchors { ChannelType::AnchorsZeroFeeHtlcTx } else { ChannelType::StaticRemotekey };
        let mut world = World::new(channel_type, &htlcs, &coins, 1_000);
        match closer {
            Closer::Ours => world.close(),
            Closer::Theirs => world.confirm(world.commitment(Side::Remote)),
            Closer::TheirsRevoked => {
                world.revoke();
                world.confirm(world.commitment(Side::Remote));
            }
        }
        let reorged = turns.iter().any(|turn| matches!(turn, Turn::Reorg(_)));
        for turn in turns {
            match turn {
                Turn::Mine => world.mine(),
                Turn::MineEmpty(blocks) => (0..blocks).for_each(|_| world.mine_empty()),
                Turn::Estimate(feerate) => world.estimate(feerate),
                // Never below the block that has the channel's funding output.
                Turn::Reorg(depth) => world.reorg(depth.min(world.chain.tip().0 - BEGIN)),
                Turn::Learn(id) => {
                    let htlc = HtlcRef::received(id);
                    let channel = world.court.index_of(&world.id()).and_then(|index| world.court.channel(index));
                    if channel.is_some_and(|channel| channel.htlcs().any(|other| other.key == htlc)) {
                        world.learn(htlc);
                    }
                }
                Turn::Bump(feerate_sat_per_kw) => {
                    // Refused by name where the counterparty fixed every fee (A41).
                    let bump = Bump { feerate_sat_per_kw, ..Bump::default() };
                    let event = Event::BumpRequested { channel: world.id(), outpoint: None, bump };
                    if world.court.step().hear(&event).is_ok() {
                        world.bump(None, bump);
                    }
                }
            }
        }
        (0..30).for_each(|_| world.mine());
        for (tip, txs, answer) in &world.sent {
            let valid = is_valid(&world, reorged, txs, *answer);
            prop_assert!(valid, "{tip}: {answer:?} {txs:#?}");
        }
    }
}

/// Whether an answer leaves the transaction valid: it is accepted, or refused for its fee, for a conflict, or for a wallet
/// coin that a reorg removed. The court knows of coins only what the wallet said.
fn is_valid(world: &World, reorged: bool, txs: &[Transaction], answer: BroadcastAnswer) -> bool {
    let BroadcastAnswer::Rejected(why) = answer else { return true };
    let coins = world.done.iter().filter_map(|action| match action {
        Action::HoldFeeInputs { coins, .. } => Some(coins),
        _ => None,
    });
    let coins: BTreeSet<OutPoint> = coins.flatten().copied().collect();
    let has_coin = txs.iter().flat_map(|tx| &tx.input).any(|input| coins.contains(&input.previous_output));
    match why {
        BroadcastRejection::FeeTooLow | BroadcastRejection::ConflictInMempool => true,
        BroadcastRejection::MissingInputs => reorged && has_coin,
        BroadcastRejection::NonFinal
        | BroadcastRejection::TooLongChain
        | BroadcastRejection::ScriptFailure
        | BroadcastRejection::Unknown => false,
    }
}
