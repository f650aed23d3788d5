//! What a claim costs: the weights of its transactions, each alone, and the fees that a node asks for them. Counted with the
//! widest outputs and signatures, so that a claim of the court is not dearer.

use arb_core::Side;
use arb_core::bolt3::{
    ChannelType, ClaimPath, HTLC_OUTPUT_WEIGHT, INPUT_BASE_WEIGHT, claim_witness_weight, second_level_fee_sat,
};
use arb_core::sweep::WALLET_INPUT_WEIGHT;

use crate::balance_oracle::UnspentKind;

/// Version, lock time, counts and the two bytes that mark a segwit transaction.
const FRAME_WEIGHT: u64 = 42;

/// The weight of the narrowest output of a wallet.
const P2WPKH_OUTPUT_WEIGHT: u64 = 124;

/// The dust limit of the widest output of a wallet, in satoshi.
pub(crate) const DUST_SAT: u64 = 330;

/// The lowest feerate of a claim with a deadline (sat per kw).
const LEAST_CONTESTED: u32 = 253;

/// The stages of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stages {
    /// The weight of the first transaction.
    pub(crate) first: u64,
    /// The weight of the second one; zero if there is none.
    pub(crate) second: u64,
    /// The fee of the first transaction, in satoshi, if the counterparty's signature fixes it.
    pub(crate) fixed_sat: Option<u64>,
    /// Whether the wallet pays for the first one.
    pub(crate) from_wallet: bool,
    /// Whether somebody else can spend the output, too.
    pub(crate) contested: bool,
}

/// The fee of a weight at a feerate, in satoshi: for whole virtual bytes, as nodes charge it.
pub(crate) fn fee_sat(weight: u64, feerate_sat_per_kw: u32) -> u64 {
    (weight.div_ceil(4) * 4 * u64::from(feerate_sat_per_kw)).div_ceil(1000)
}

/// The weight of a transaction with one claim and one output.
fn single(path: ClaimPath, channel_type: ChannelType) -> u64 {
    FRAME_WEIGHT + INPUT_BASE_WEIGHT + claim_witness_weight(path, channel_type, None) + HTLC_OUTPUT_WEIGHT
}

impl Stages {
    /// The stages of a claim of an output of `owner`'s commitment. `feerate_sat_per_kw` is the commitment's.
    pub(crate) fn of(owner: Side, what: UnspentKind, channel_type: ChannelType, feerate_sat_per_kw: u32) -> Self {
        let alone = |path| {
            let first = single(path, channel_type);
            Self { first, second: 0, fixed_sat: None, from_wallet: false, contested: false }
        };
        let (htlc, path) = match what {
            UnspentKind::Anchor => return Self { from_wallet: true, ..alone(ClaimPath::ToLocal) },
            // The heaviest of what only we can claim.
            UnspentKind::Own => return alone(ClaimPath::ReceivedPenalty),
            UnspentKind::Htlc(htlc) if owner == Side::Remote => {
                let path = if htlc.is_offered() { ClaimPath::DirectTimeout } else { ClaimPath::DirectPreimage };
                return Self { contested: true, ..alone(path) };
            }
            UnspentKind::Htlc(htlc) if htlc.is_offered() => (htlc, ClaimPath::HtlcTimeout),
            UnspentKind::Htlc(htlc) => (htlc, ClaimPath::HtlcSuccess),
        };
        let second = single(ClaimPath::SecondLevelOutput, channel_type);
        if channel_type.has_anchors() {
            let first = single(path, channel_type) + WALLET_INPUT_WEIGHT + HTLC_OUTPUT_WEIGHT;
            return Self { first, second, fixed_sat: None, from_wallet: true, contested: true };
        }
        let fixed_sat = Some(second_level_fee_sat(channel_type, feerate_sat_per_kw, htlc.is_offered()));
        Self { first: single(path, channel_type), second, fixed_sat, from_wallet: false, contested: true }
    }

    /// What a claim adds to the first transaction of another one, which has coin and change already.
    pub(crate) fn marginal(&self) -> u64 {
        self.first.saturating_sub(FRAME_WEIGHT + WALLET_INPUT_WEIGHT + HTLC_OUTPUT_WEIGHT)
    }

    /// The least value of an output of which something is left, with all stages paid at a feerate that lasts (sat per kw):
    /// for a claim with a deadline a fifth more, and never the lowest feerates (A43).
    pub(crate) fn least_value_sat(&self, lasting_sat_per_kw: u32) -> u64 {
        let first = if self.contested { pressing(lasting_sat_per_kw.max(LEAST_CONTESTED)) } else { lasting_sat_per_kw };
        let first_sat = self.fixed_sat.unwrap_or(fee_sat(self.first, first));
        first_sat + fee_sat(self.second, lasting_sat_per_kw) + DUST_SAT
    }

    /// Whether the part of the value that a policy puts at risk buys a place in a block at this price, with the second
    /// stage at the lazy estimate (sat per kw).
    pub(crate) fn is_affordable(&self, value_sat: u64, divisor: u32, price: u32, lazy: u32) -> bool {
        let budget_sat = (value_sat / u64::from(divisor.max(1))).saturating_sub(fee_sat(self.second, lazy));
        fee_sat(self.first, price) <= self.fixed_sat.unwrap_or(budget_sat)
    }
}

/// The weight of the second stage of a claim, with the narrowest output of a wallet (P2WPKH).
pub(crate) fn second_weight(channel_type: ChannelType) -> u64 {
    single(ClaimPath::SecondLevelOutput, channel_type) - HTLC_OUTPUT_WEIGHT + P2WPKH_OUTPUT_WEIGHT
}

fn pressing(feerate: u32) -> u32 {
    feerate.saturating_mul(6).div_ceil(5)
}

/// The most that coins can pay in fees for one claim at a price, in sat. The inputs after the first one and the least change
/// that nodes relay are taken out of their sum.
pub(crate) fn room_sat(coins: &[u64], price: u32) -> u64 {
    let mut sorted = coins.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let input_sat = fee_sat(WALLET_INPUT_WEIGHT, price);
    let more = sorted.iter().skip(1).map(|value| value.saturating_sub(input_sat)).sum::<u64>();
    (sorted.first().copied().unwrap_or(0) + more).saturating_sub(DUST_SAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arb_core::HtlcRef;

    #[test]
    fn two_stages_cost_both_and_a_fixed_one_what_was_signed() {
        let of = |owner, offered: bool, kind| {
            let htlc = if offered { HtlcRef::offered(0) } else { HtlcRef::received(0) };
            Stages::of(owner, UnspentKind::Htlc(htlc), kind, 1_000)
        };
        let (anchors, old) = (ChannelType::AnchorsZeroFeeHtlcTx, ChannelType::StaticRemotekey);
        let ours = of(Side::Local, true, anchors);
        assert!(ours.from_wallet && ours.first > 1_000 && ours.second > 400, "{ours:?}");
        assert_eq!(ours.least_value_sat(1_000), fee_sat(ours.first, 1_200) + fee_sat(ours.second, 1_000) + 330);
        let signed = of(Side::Local, true, old);
        assert_eq!((signed.fixed_sat, signed.from_wallet), (Some(663), false));
        assert!(signed.is_affordable(10_000, 2, 900, 250) && !signed.is_affordable(10_000, 2, 1_100, 250));
        let direct = of(Side::Remote, false, anchors);
        assert!(direct.second == 0 && !direct.from_wallet, "{direct:?}");
        assert!(direct.is_affordable(10_000, 2, 8_000, 1_000) && !direct.is_affordable(10_000, 2, 12_000, 1_000));
        assert!(!ours.is_affordable(4_000, 2, 1_000, 2_000), "the second stage counts");
    }

    #[test]
    fn coins_pay_for_their_own_inputs_but_the_first() {
        let input_sat = fee_sat(WALLET_INPUT_WEIGHT, 1_000);
        assert_eq!(room_sat(&[], 1_000), 0);
        assert_eq!(room_sat(&[5_000], 1_000), 4_670);
        assert_eq!(room_sat(&[100, 5_000, 2_000], 1_000), 4_670 + 2_000 - input_sat);
    }
}
