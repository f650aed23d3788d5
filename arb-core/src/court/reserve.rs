//! How much the wallet should keep: confirmed coins that all open channels would need if they went to chain (B58).
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/closes.rs`.

use crate::api::facts::Side;
use crate::api::plan::ReserveAdvice;
use crate::api::units::Blocks;
use crate::bolt3::{ClaimPath, HTLC_OUTPUT_WEIGHT, INPUT_BASE_WEIGHT, claim_witness_weight, commitment_weight};
use crate::channel::ChannelArbitrator;
use crate::court::ChainArbitrator;
use crate::sweep::price::{FRAME_WEIGHT, WALLET_INPUT_WEIGHT, WIDEST_OUTPUT_WEIGHT, fee_sat};
use crate::sweep::terms::CHANGE_MIN_SAT;

/// Blocks within which such a close should confirm.
const SOON: Blocks = Blocks::new(6);

impl ChainArbitrator {
    /// The confirmed coins that the wallet should keep for the channels that are open now, at the current estimate for six
    /// blocks. It looks at every channel, so ask for an operator or on a timer, not in every block.
    pub fn reserve_advice(&self) -> ReserveAdvice {
        let mut advice = ReserveAdvice::default();
        for (_, channel) in self.channels().filter(|(_, channel)| channel.chain.kept.is_empty()) {
            let (coins, weight) = needs(channel);
            if coins > 0 {
                let feerate = self.state.feerate(channel.policy_or(&self.state.policy), SOON);
                let change = coins.saturating_mul(CHANGE_MIN_SAT);
                advice.channels = advice.channels.saturating_add(1);
                advice.coins = advice.coins.saturating_add(coins);
                advice.amount_sat = advice.amount_sat.saturating_add(fee_sat(weight, feerate)).saturating_add(change);
            }
        }
        advice
    }
}

/// The coins that one open channel's close would need, and the weight that they would pay for, in weight units: the commitment
/// with its child, and the second level of every HTLC with an output on our commitment.
fn needs(channel: &ChannelArbitrator) -> (u64, u64) {
    let channel_type = channel.facts.channel_type;
    if !channel_type.has_anchors() {
        return (0, 0);
    }
    let Some(local) = &channel.set.local else { return (0, 0) };
    let dust_sat = channel.facts.side(Side::Local).dust_limit_sat;
    let coin = WALLET_INPUT_WEIGHT.saturating_add(WIDEST_OUTPUT_WEIGHT).saturating_add(FRAME_WEIGHT);
    let anchor = INPUT_BASE_WEIGHT.saturating_add(claim_witness_weight(ClaimPath::Anchor, channel_type, None));
    let mut weight = commitment_weight(channel_type).saturating_add(anchor).saturating_add(coin);
    let mut coins: u64 = 1;
    for htlc in &local.commitment.htlcs {
        let amount_sat = channel.htlcs.get(htlc).map_or(0, |state| state.htlc.amount_sat());
        if amount_sat < dust_sat {
            continue;
        }
        let kind = if htlc.is_offered() { ClaimPath::HtlcTimeout } else { ClaimPath::HtlcSuccess };
        let second = claim_witness_weight(kind, channel_type, None).saturating_add(INPUT_BASE_WEIGHT);
        // Its output on the commitment, the output and the input of its second level, and what that needs for its coin.
        weight = [HTLC_OUTPUT_WEIGHT, HTLC_OUTPUT_WEIGHT, second, coin].into_iter().fold(weight, u64::saturating_add);
        coins = coins.saturating_add(1);
    }
    (coins, weight)
}
