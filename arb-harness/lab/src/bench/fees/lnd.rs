//! lnd's sweeper (0.19): inputs clustered by deadline and lock time, and a fee that rises on a straight line from the
//! estimate to the budget, reached in the block before the deadline.
//!
//! Taken over: the clusters and their bound (`BudgetAggregator`), the line (`LinearFeeFunction`), budgets and caps
//! (`contractcourt.DefaultBudgetConfig`, `sweep.DefaultMaxFeeRate`), the deadline of inputs without one
//! (`DefaultDeadlineDelta`), a replacement in every block (`TxPublisher`). Not modelled: aggregation across channels, and a
//! wallet without coins. An outgoing HTLC is due at the measurement's deadline, six blocks before lnd's own, so every
//! policy has the same margin. If the estimate is above the budget, the line is flat at the budget.

use std::collections::BTreeMap;

use super::claims::{Claim, weight};
use super::policy::{FeePolicy, Now, Offered, OpenClaim, fee_sat, feerate};
use super::verdict::MAX_FEERATE_SAT_PER_KW;

/// The deadline of an input without one, in blocks from now.
const DEFAULT_DEADLINE_DELTA: u32 = 1_008;
/// The most inputs of one transaction.
const MAX_INPUTS: usize = 100;

/// The fee policy of lnd.
#[derive(Debug, Default)]
pub struct Lnd {
    sets: Vec<Set>,
}

/// Inputs that are swept together.
#[derive(Debug)]
struct Set {
    claims: Vec<usize>,
    weight: u64,
    budget_sat: u64,
    since: u32,
    line: Line,
}

/// A feerate that rises by the same amount every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    start: u64,
    end: u64,
    /// After how many blocks it reaches the end.
    width: u32,
}

impl Line {
    /// A line from the estimate for this target to the highest feerate that is allowed.
    fn new(target: u32, estimate: u64, most: u64) -> Self {
        // With one block left, or none, the line is its end.
        let width = target.saturating_sub(1);
        Self { start: if width == 0 { most } else { estimate.min(most) }, end: most, width }
    }

    fn at(&self, position: u32) -> u64 {
        if position >= self.width {
            return self.end;
        }
        // In thousandths, because the increment of a long line is small.
        let step = (self.end - self.start) * 1_000 / u64::from(self.width);
        self.start + step * u64::from(position) / 1_000
    }
}

impl Set {
    fn new(claims: &[&Claim], deadline: u32, now: &Now<'_>) -> Self {
        let weight = weight(claims.iter().copied());
        let budget_sat = claims.iter().map(|claim| claim.budget_sat()).sum();
        let target = deadline.saturating_sub(now.tip);
        let most = feerate(weight, budget_sat).min(MAX_FEERATE_SAT_PER_KW);
        let line = Line::new(target, now.feerate(target).into(), most);
        Self { claims: claims.iter().map(|claim| claim.id).collect(), weight, budget_sat, since: now.tip, line }
    }
}

impl FeePolicy for Lnd {
    fn name(&self) -> &'static str {
        "lnd"
    }

    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered> {
        // A set is dropped as soon as one of its claims is no longer open: its members share transaction and deadline.
        self.sets.retain(|set| set.claims.iter().all(|id| open.iter().any(|open| open.claim.id == *id)));
        let mut clusters: BTreeMap<(u32, u32), Vec<&Claim>> = BTreeMap::new();
        for claim in open.iter().map(|open| open.claim) {
            if !self.sets.iter().any(|set| set.claims.contains(&claim.id)) {
                let deadline = claim.deadline.unwrap_or(now.tip + DEFAULT_DEADLINE_DELTA);
                clusters.entry((deadline, claim.lock_time)).or_default().push(claim);
            }
        }
        for ((deadline, _), claims) in &clusters {
            self.sets.extend(claims.chunks(MAX_INPUTS).map(|claims| Set::new(claims, *deadline, now)));
        }
        let offer = |set: &Set| {
            let feerate = set.line.at(now.tip - set.since);
            let fee_sat = fee_sat(set.weight, feerate).min(set.budget_sat);
            Offered { claims: set.claims.clone(), weight: set.weight, fee_sat }
        };
        self.sets.iter().map(offer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::{direct, fees, offers};
    use super::*;

    #[test]
    fn the_line_goes_from_the_estimate_to_the_budget_one_block_before_the_deadline() {
        // LinearFeeFunction: width = confTarget − 1, and the ending feerate at that position.
        let line = Line::new(11, 1_000, 11_000);
        assert_eq!(line.width, 10);
        assert_eq!([0, 1, 5, 9, 10, 11].map(|at| line.at(at)), [1_000, 2_000, 6_000, 10_000, 11_000, 11_000]);
        // Increments are kept in thousandths of a satoshi: 747 / 1007 a block.
        let slow = Line::new(1_008, 253, 1_000);
        assert_eq!([0, 1, 2, 500, 1_006, 1_007].map(|at| slow.at(at)), [253, 253, 254, 623, 998, 1_000]);
        // NewLinearFeeFunction: a target of one block, or none, is the maximum at once.
        assert_eq!([Line::new(1, 253, 9_000).at(0), Line::new(0, 253, 9_000).at(0)], [9_000, 9_000]);
        // estimateFeeRate never goes above the ending feerate.
        assert_eq!(Line::new(20, 5_000, 800).at(0), 800);
    }

    #[test]
    fn the_budget_is_half_and_the_feerate_capped() {
        // DefaultBudgetConfig: half of the value for every kind. A target of one block shows the end of the line.
        let small = direct(0, 20_000, 99, Some(100));
        let offered = offers(&mut Lnd::default(), 99, &fees(500), &[small]);
        assert_eq!(offered[0].fee_sat, 10_000);
        // DefaultMaxFeeRate: 1,000 sat/vB.
        let large = direct(0, 5_000_000, 99, Some(100));
        let offered = offers(&mut Lnd::default(), 99, &fees(500), &[large]);
        assert_eq!(offered[0].fee_sat, offered[0].weight * 250);
    }

    #[test]
    fn clusters_share_deadline_and_lock_time_and_have_a_hundred_inputs() {
        // BudgetAggregator.ClusterInputs and DefaultMaxInputsPerTx.
        let claims = [
            direct(0, 90_000, 0, Some(300)),
            direct(1, 90_000, 0, Some(300)),
            direct(2, 90_000, 0, Some(301)),
            Claim { lock_time: 90, ..direct(3, 90_000, 0, Some(300)) },
        ];
        let sets: Vec<Vec<usize>> =
            offers(&mut Lnd::default(), 100, &fees(500), &claims).into_iter().map(|set| set.claims).collect();
        assert_eq!(sets, [vec![0, 1], vec![3], vec![2]]);
        let many: Vec<Claim> = (0..201).map(|id| direct(id, 90_000, 0, Some(300))).collect();
        let sizes: Vec<usize> =
            offers(&mut Lnd::default(), 100, &fees(500), &many).iter().map(|set| set.claims.len()).collect();
        assert_eq!(sizes, [100, 100, 1]);
    }

    #[test]
    fn what_has_no_deadline_gets_a_week() {
        // DefaultDeadlineDelta = 1008: the last block before it pays the whole budget.
        let lazy = direct(0, 20_000, 0, None);
        let mut lnd = Lnd::default();
        let at = |lnd: &mut Lnd, tip| offers(lnd, tip, &fees(500), &[lazy])[0].fee_sat;
        let (first, middle) = (at(&mut lnd, 100), at(&mut lnd, 100 + 503));
        let (before, last) = (at(&mut lnd, 100 + 1_006), at(&mut lnd, 100 + 1_007));
        assert!(
            first < middle && middle < before && before < last && last == 10_000,
            "{first} {middle} {before} {last}"
        );
    }
}
