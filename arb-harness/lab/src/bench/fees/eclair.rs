//! eclair's transaction publisher (0.13): one transaction for one output, at the estimate for the blocks that are left.
//!
//! Taken over from `channel/publish`: no aggregation, the four speeds and when each is taken, when and how far a feerate
//! goes up (`ReplaceableTxPublisher`), its caps (`ReplaceableTxFunder`), and that a sweep of an output that only we can
//! claim is final (`PublishFinalTx`) at the slow feerate, at most `max-closing-feerate` (`getClosingFeerate`). The target
//! of an HTLC is its own expiry, so an outgoing one is late from its first block. Not modelled: random delays, and that a
//! wallet with few coins publishes earlier. A bump that BIP 125 refuses is tried again from the same feerate, because a
//! fifth of a low feerate is less than the increment. The policy keeps no state: it reads the mempool.

use super::claims::weight;
use super::policy::{FeePolicy, Now, Offered, OpenClaim, fee_sat};
use super::verdict::DUST_SAT;

/// The highest feerate for an output that only we can claim: 10 sat/vB.
const MAX_CLOSING_FEERATE_SAT_PER_KW: u64 = 2_500;
/// From this many blocks before the target on, every block bumps.
const HURRY: u32 = 6;

/// The fee policy of eclair.
#[derive(Debug, Default)]
pub struct Eclair;

/// The confirmation target for this many blocks left: slow, medium, fast, fastest.
const fn target(blocks_left: u32) -> u32 {
    match blocks_left {
        36.. => 36,
        12..=35 => 12,
        2..=11 => 2,
        0..=1 => 1,
    }
}

/// The feerate after this block, without caps; `previous` is that of the transaction in the mempool.
const fn wanted(blocks_left: u32, estimate: u64, previous: Option<u64>) -> u64 {
    match previous {
        None => estimate,
        Some(previous) => {
            let more = previous + previous / 5;
            if blocks_left <= HURRY {
                if estimate > more { estimate } else { more }
            } else if estimate >= more {
                estimate
            } else {
                previous
            }
        }
    }
}

/// The cap: a quarter more than the fastest estimate.
const fn most(fastest: u64) -> u64 {
    fastest + fastest / 4
}

fn offer(now: &Now<'_>, open: &OpenClaim<'_>) -> Option<Offered> {
    let claim = open.claim;
    let weight = weight([claim].into_iter());
    let estimate = |target| u64::from(now.feerate(target));
    let Some(expiry) = claim.expiry else {
        let feerate = estimate(target(u32::MAX)).min(MAX_CLOSING_FEERATE_SAT_PER_KW);
        let once = open.standing.is_none();
        return once.then(|| Offered { claims: vec![claim.id], weight, fee_sat: fee_sat(weight, feerate) });
    };
    let left = expiry.saturating_sub(now.tip);
    let previous = open.standing.map(|standing| standing.feerate());
    let feerate = wanted(left, estimate(target(left)), previous).min(most(estimate(target(0))));
    if previous.is_some_and(|previous| feerate <= previous) {
        return None;
    }
    // The fee may take all that is at risk, but the value must leave an output above dust.
    let at_risk = if claim.pays_from_value() { claim.amount_sat.saturating_sub(DUST_SAT) } else { claim.amount_sat };
    Some(Offered { claims: vec![claim.id], weight, fee_sat: fee_sat(weight, feerate).min(at_risk) })
}

impl FeePolicy for Eclair {
    fn name(&self) -> &'static str {
        "eclair"
    }

    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered> {
        open.iter().filter_map(|open| offer(now, open)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::Claim;
    use super::super::policy::Standing;
    use super::super::support::{direct, fees_by, offers, second_level};
    use super::*;

    #[test]
    fn the_speed_follows_the_blocks_left() {
        // ReplaceableTxPublisher: ≥ 36 slow, ≥ 12 medium, ≥ 2 fast, otherwise fastest.
        assert_eq!([500, 36, 35, 12, 11, 2, 1, 0].map(target), [36, 36, 12, 12, 2, 2, 1, 1]);
    }

    #[test]
    fn a_fifth_more_every_block_in_a_hurry_and_otherwise_only_with_the_estimate() {
        // ReplaceableTxPublisher: within six blocks of the target max(target's feerate, previous × 1.2).
        assert_eq!([wanted(6, 500, Some(1_000)), wanted(0, 5_000, Some(1_000))], [1_200, 5_000]);
        // Before that only if the estimate is that much higher.
        assert_eq!([wanted(7, 1_199, Some(1_000)), wanted(7, 1_200, Some(1_000))], [1_000, 1_200]);
        assert_eq!(wanted(7, 700, None), 700, "the first one pays the estimate");
        // ReplaceableTxFunder: 1.25 × fastest.
        assert_eq!(most(4_000), 5_000);
    }

    #[test]
    fn one_transaction_an_output_and_an_outgoing_htlc_is_late_at_once() {
        let fees = fees_by(&[(1, 4_000), (2, 3_000), (12, 2_000), (36, 1_000)]);
        let incoming = Claim { expiry: Some(140), ..direct(0, 900_000, 100, Some(140)) };
        let outgoing = Claim { expiry: Some(100), lock_time: 100, ..direct(1, 900_000, 100, Some(180)) };
        let offered = offers(&mut Eclair, 100, &fees, &[incoming, outgoing]);
        let sums: Vec<(usize, u64)> =
            offered.iter().map(|offered| (offered.claims[0], offered.fee_sat / offered.weight)).collect();
        assert_eq!(sums, [(0, 1), (1, 4)]);
    }

    #[test]
    fn fees_stay_below_what_is_at_risk_and_below_a_quarter_more_than_the_fastest() {
        let fees = fees_by(&[(1, 4_000), (36, 1_000)]);
        let small = Claim { expiry: Some(101), ..second_level(0, 1_000, 100, 101) };
        assert_eq!(offers(&mut Eclair, 100, &fees, &[small])[0].fee_sat, 1_000);
        let large = Claim { amount_sat: 900_000, ..small };
        let weight = weight([&large].into_iter());
        let standing = |feerate| Some(Standing { weight, fee_sat: fee_sat(weight, feerate) });
        let now = Now { tip: 100, fees: &fees };
        let next = |feerate| offer(&now, &OpenClaim { claim: &large, standing: standing(feerate) });
        assert_eq!(next(4_000).unwrap().fee_sat, fee_sat(weight, 4_800));
        assert_eq!(next(4_800).unwrap().fee_sat, fee_sat(weight, 5_000), "the cap");
        assert_eq!(next(5_000), None, "and there it stays");
    }

    #[test]
    fn what_nobody_contests_is_final_at_ten_sat_per_vbyte() {
        // getClosingFeerate with max-closing-feerate, and PublishFinalTx.
        let lazy = direct(0, 90_000, 0, None);
        let fee = |feerate| offers(&mut Eclair, 100, &fees_by(&[(1, 90_000), (36, feerate)]), &[lazy])[0].fee_sat;
        let weight = weight([&lazy].into_iter());
        assert_eq!([fee(1_000), fee(40_000)], [fee_sat(weight, 1_000), fee_sat(weight, 2_500)]);
        let fees = fees_by(&[(1, 90_000), (36, 40_000)]);
        let standing = Some(Standing { weight, fee_sat: 300 });
        assert_eq!(offer(&Now { tip: 100, fees: &fees }, &OpenClaim { claim: &lazy, standing }), None);
    }
}
