//! I9 over drawn closes: whatever is sent is valid under Core's script rules, and in the court's own view of the chain under
//! timelocks and standardness; one below the mempool's minimum only inside a package.

use arb_core::bolt3::ChannelType;
use arb_core::{Action, BroadcastAnswer, BroadcastRejection, Bump, Htlc, HtlcRef, Link, Side};
use bitcoin::{OutPoint, Transaction};
use proptest::collection::vec;
use proptest::prelude::*;

use std::collections::BTreeSet;

use crate::town::{BEGIN, Town, offered, received};

/// Whose commitment confirms, and whether it was revoked before.
#[derive(Clone, Copy, Debug)]
enum Closer {
    Ours,
    Theirs,
    Cheat,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Turn {
    Mine,
    /// Blocks that nothing of ours gets into.
    Starve(u32),
    Estimate(u32),
    Reorg(u32),
    Learn(u64),
    Bump(u32),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::Mine),
        4 => (1..25_u32).prop_map(Turn::Starve),
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
        closer in prop_oneof![Just(Closer::Ours), Just(Closer::Theirs), Just(Closer::Cheat)],
        htlcs in htlcs(),
        coins in vec(20_000..400_000_u64, 0..6),
        turns in vec(turn(), 1..14),
    ) {
        let channel_type = if anchors { ChannelType::AnchorsZeroFeeHtlcTx } else { ChannelType::StaticRemotekey };
        let mut town = Town::new(channel_type, &htlcs, &coins, 1_000);
        match closer {
            Closer::Ours => town.close(),
            Closer::Theirs => town.confirm(town.commitment(Side::Remote)),
            Closer::Cheat => {
                town.revoke();
                town.confirm(town.commitment(Side::Remote));
            }
        }
        let reorged = turns.iter().any(|turn| matches!(turn, Turn::Reorg(_)));
        for turn in turns {
            match turn {
                Turn::Mine => town.mine(),
                Turn::Starve(blocks) => (0..blocks).for_each(|_| town.starve()),
                Turn::Estimate(feerate) => town.estimate(feerate),
                // Not below the block in which the channel was planted.
                Turn::Reorg(depth) => town.reorg(depth.min(town.chain.tip().0 - BEGIN)),
                Turn::Learn(id) => {
                    let htlc = HtlcRef::received(id);
                    let channel = town.court.index_of(&town.id()).and_then(|index| town.court.channel(index));
                    if channel.is_some_and(|channel| channel.htlcs().any(|other| other.key == htlc)) {
                        town.learn(htlc);
                    }
                }
                Turn::Bump(feerate_sat_per_kw) => {
                    if town.court.index_of(&town.id()).is_some() {
                        town.bump(None, Bump { feerate_sat_per_kw, ..Bump::default() });
                    }
                }
            }
        }
        (0..30).for_each(|_| town.mine());
        for (tip, txs, answer) in &town.sent {
            let valid = is_valid(&town, reorged, txs, *answer);
            prop_assert!(valid, "{tip}: {answer:?} {txs:#?}");
        }
    }
}

/// Whether a refusal says nothing about the transaction itself: what others pay for the same place, or a coin of the wallet's
/// that a reorg has taken away (the court knows no more of coins than what the wallet said).
fn is_valid(town: &Town, reorged: bool, txs: &[Transaction], answer: BroadcastAnswer) -> bool {
    let BroadcastAnswer::Rejected(why) = answer else { return true };
    let coins = town.done.iter().filter_map(|action| match action {
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
