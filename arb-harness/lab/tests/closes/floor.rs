//! The same closes where nodes relay nothing below 5 sat/vB, and every estimate is at that floor (A59): a fee that is one
//! satoshi short is refused for ever.

use arb_core::bolt3::ChannelType;
use arb_core::{BroadcastAnswer, BroadcastRejection, ContractKind, ContractOutcome, Event};
use arb_lab::chain::ChainConfig;
use arb_lab::demo::stage::chain_config;
use arb_lab::demo::{ClosedBy, Scenario};

use super::{judge, play};

/// 5 sat/vB.
const FLOOR_SAT_PER_KVB: u64 = 5_000;

/// What an output may be worth, in satoshi, and be out of reach at the floor: less than its claim costs and a dust limit.
fn out_of_reach_sat(kind: ContractKind) -> u64 {
    match kind {
        ContractKind::Anchor => 330,
        // HTLC transaction with a coin and its change, and the sweep of its output.
        ContractKind::Htlc => (1_151 + 533) * 5 / 4 + 330,
        ContractKind::ToLocal
        | ContractKind::ToRemote
        | ContractKind::RevokedToLocal
        | ContractKind::RevokedSecondLevel => 0,
    }
}

fn ends(scenario: Scenario) {
    let config = ChainConfig { relay_floor_sat_per_kvb: FLOOR_SAT_PER_KVB, ..chain_config() };
    let played = play(scenario, config);
    judge(scenario, &played, true);
    // No fee is a satoshi short. Only our commitment, which races a mutual close for the funding, is refused for its fee.
    let short = |event: &Event| {
        let answer = BroadcastAnswer::Rejected(BroadcastRejection::FeeTooLow);
        matches!(event, Event::BroadcastAnswered { answer: heard, .. } if *heard == answer)
    };
    let refused = played.frames.iter().flat_map(|frame| &frame.entries).find(|entry| short(&entry.heard));
    let races = scenario.closed_by == ClosedBy::Mutual;
    assert!(refused.is_none() || races, "{}: {refused:?}", scenario.name());
    // A miner that withholds claims, and an unknown commitment, cost us what they cost at any floor.
    if scenario.withheld || scenario.closed_by == ClosedBy::Unknown {
        return;
    }
    for report in &played.ending.reports {
        let got_away = matches!(report.outcome, ContractOutcome::Uneconomic | ContractOutcome::Lost);
        let most_sat = out_of_reach_sat(report.kind);
        assert!(!got_away || report.amount_sat <= most_sat, "{}: left behind: {report:?}", scenario.name());
    }
}

#[test]
fn a59_every_static_remotekey_close_ends_at_a_floor_of_five() {
    let all = Scenario::all().into_iter();
    all.filter(|scenario| scenario.channel_type == ChannelType::StaticRemotekey).for_each(ends);
}

#[test]
fn a59_every_anchors_close_ends_at_a_floor_of_five() {
    let all = Scenario::all().into_iter();
    all.filter(|scenario| scenario.channel_type == ChannelType::AnchorsZeroFeeHtlcTx).for_each(ends);
}
