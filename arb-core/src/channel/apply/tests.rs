use super::*;
use crate::api::event::FeeInput;
use crate::api::facts::{ChannelFacts, SideFacts, Standing};
use crate::api::ids::ChannelId;
use crate::api::plan::{Branch, Plan, Reason};
use crate::bolt3::{Basepoints, ChannelType, Point};
use alloc::vec;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;

fn channel() -> ChannelArbitrator {
    let point = Point([2; 33]);
    let basepoints = Basepoints { revocation: point, payment: point, delayed_payment: point, htlc: point };
    let side = SideFacts { basepoints, delay_blocks: 144, dust_limit_sat: 354 };
    let facts = ChannelFacts {
        id: ChannelId([1; 32]),
        channel_type: ChannelType::AnchorsZeroFeeHtlcTx,
        fundings: Vec::new(),
        local: side.clone(),
        remote: side,
        opener: Side::Local,
        fallback_script: ScriptBuf::new(),
        watch_from: Height::new(0),
    };
    ChannelArbitrator::new(facts, Standing::default(), Height::new(0))
}

fn outpoint(vout: u32) -> OutPoint {
    OutPoint::new(Txid::all_zeros(), vout)
}

/// A transaction that claims output 0 with this coin is planned, and its coin is refused if `refused`.
fn claim(channel: &mut ChannelArbitrator, coin: u32, tip: u32, refused: bool) {
    let coin = FeeInput { outpoint: outpoint(coin), value_sat: 9_000, script: ScriptBuf::new() };
    let plan = Plan {
        group: 0,
        members: vec![outpoint(0)],
        fee_inputs: FeeInputs { coins: vec![coin], change: ScriptBuf::new() },
        wanted_sat_per_kw: 500,
        feerate_sat_per_kw: 500,
        fee_sat: 400,
        limit: None,
        reason: Reason {
            outpoint: outpoint(0),
            branch: Branch::Lazy,
            deadline: None,
            budget_sat: 0,
            at_stake_sat: 0,
            estimate_sat_per_kw: 0,
            estimate_age: None,
        },
    };
    let tx = Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: Vec::new(), output: Vec::new() };
    let mut conclude = |what| channel.conclude(&what, Height::new(tip), Blocks::new(144)).expect("it can follow");
    conclude(Conclusion::SweepPlanned(Box::new(Sweep { plan, tx })));
    if refused {
        conclude(Conclusion::SweepDropped { group: 0, pauses: true });
    }
}

#[test]
fn a11_a_coin_that_was_refused_is_forgotten_once_it_may_be_offered_again() {
    let known = |channel: &ChannelArbitrator| {
        channel.requests.sweeper.bad_coins.keys().map(|coin| coin.vout).collect::<Vec<_>>()
    };
    let mut channel = channel();
    claim(&mut channel, 1, 100, true);
    claim(&mut channel, 2, 243, true);
    assert_eq!(known(&channel), [1, 2], "each for 144 blocks");
    let mut other = channel.clone();
    // The next refusal, or a plan, is the time to look.
    claim(&mut channel, 3, 244, true);
    assert_eq!(known(&channel), [2, 3]);
    claim(&mut other, 4, 387, false);
    assert_eq!(known(&other), [0; 0]);
}
