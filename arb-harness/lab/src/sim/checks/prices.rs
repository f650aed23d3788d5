//! I8 over a journal: the feerate wanted for an output never falls, no fee exceeds its budget, and one block before its
//! deadline a claim offers all that it may cost.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::sweep::{Limit, Plan};
use arb_core::{ChannelIndex, Conclusion, Event, Frame, Policy, Sweep};
use bitcoin::{OutPoint, Transaction, Txid};

use super::Verdict;
use super::estimates::Estimates;
use super::stakes::AtStake;
use crate::sim::violation::Violation;

fn violated(what: impl Into<String>) -> Verdict {
    Err(Violation::new("I8", what))
}

/// What a sweep claims in satoshi: its outputs and its fee, less the wallet's coins.
pub(crate) fn claimed_sat(sweep: &Sweep) -> u64 {
    let outputs: u64 = sweep.tx.output.iter().map(|output| output.value.to_sat()).sum();
    (outputs + sweep.plan.fee_sat).saturating_sub(sweep.plan.fee_inputs.value_sat())
}

/// Whether a sweep is a child of a commitment.
pub(crate) fn is_child(sweep: &Sweep) -> bool {
    claimed_sat(sweep) == arb_core::bolt3::ANCHOR_SAT
}

/// What the journal has said of a channel's sweeps so far.
struct OfferHistory<'a> {
    at_stake: &'a AtStake,
    policy: &'a Policy,
    /// The feerate last wanted for an output (sat per kw).
    wanted: BTreeMap<OutPoint, u32>,
    /// The last sweep that was planned for an output.
    last: BTreeMap<OutPoint, &'a Sweep>,
    /// Commitments that had a child: part of their HTLCs' budgets may be spent on it.
    children: BTreeSet<Txid>,
    /// The transactions of the best chain, by height. The sweeps of a commitment that a reorg removed are kept with their
    /// prices, but nothing is due for them until it is back.
    confirmed: Vec<(u32, Txid)>,
    spent: Vec<(u32, OutPoint)>,
    /// The outputs that a penalty claims: the value in satoshi, and the height by which the claim should confirm.
    penalties: BTreeMap<OutPoint, (u64, u32)>,
    /// The height at which an output was planned for the first time.
    first: BTreeMap<OutPoint, u32>,
    estimates: Estimates<'a>,
}

/// Blocks in which a claim that was first wanted after its deadline reaches its whole budget (A40).
const LATE_BLOCKS: u32 = 6;

/// More than the weight of a transaction that sweeps the output of one HTLC transaction.
const SECOND_STAGE_WEIGHT: u64 = 600;

/// What a budget counts and a transaction may not have: the widest output in place of the narrowest, and whole vbytes.
const UNKNOWN_WEIGHT: u64 = 52;

/// The smallest dust limit of a wallet's script (P2WPKH), in satoshi.
const LEAST_DUST_SAT: u64 = 294;

/// I8: wanted feerates never fall, budgets hold, and one block before a deadline everything is on offer that budget, cap,
/// BIP 125 and the wallet's coins allow.
pub(crate) fn invariant_i8_prices_rise_and_budgets_hold(
    frames: &[Frame],
    index: ChannelIndex,
    at_stake: &AtStake,
    policy: &Policy,
) -> Verdict {
    let mut history = OfferHistory {
        at_stake,
        policy,
        wanted: BTreeMap::new(),
        last: BTreeMap::new(),
        children: BTreeSet::new(),
        confirmed: Vec::new(),
        spent: Vec::new(),
        penalties: BTreeMap::new(),
        first: BTreeMap::new(),
        estimates: Estimates::new(policy),
    };
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        if matches!(entry.heard, Event::BlockConnected(_)) {
            history.all_is_on_offer()?;
        }
        history.estimates.hear(&entry.heard);
        if let Event::BlockConnected(block) = &entry.heard {
            block.txs.iter().for_each(|tx| history.confirms(tx, block.height.get()));
        } else if let Event::Scanned(scanned) = &entry.heard {
            scanned.spends.iter().for_each(|found| history.confirms(&found.tx, found.height.get()));
        } else if let Event::BlockDisconnected(block) = &entry.heard {
            history.confirmed.retain(|(height, _)| *height < block.height.get());
            history.spent.retain(|(height, _)| *height < block.height.get());
        }
        for record in entry.concluded.iter().filter(|record| record.channel == index) {
            if let Conclusion::SweepPlanned(sweep) = &record.what {
                history.planned(sweep)?;
            } else if let Conclusion::SweepDropped { group, .. } = &record.what {
                history.last.retain(|_, sweep| sweep.plan.group != *group);
            }
        }
    }
    Ok(())
}

impl<'a> OfferHistory<'a> {
    fn planned(&mut self, sweep: &'a Sweep) -> Verdict {
        let Plan { members, wanted_sat_per_kw, feerate_sat_per_kw, fee_sat, .. } = &sweep.plan;
        if feerate_sat_per_kw > wanted_sat_per_kw {
            return violated(format!(
                "{feerate_sat_per_kw} sat/kw offered, {wanted_sat_per_kw} wanted for {members:?}"
            ));
        }
        for member in members {
            let before = self.wanted.insert(*member, *wanted_sat_per_kw).unwrap_or(0);
            if before > *wanted_sat_per_kw {
                return violated(format!("{before} sat/kw was wanted for {member}, then {wanted_sat_per_kw}"));
            }
            self.last.insert(*member, sweep);
            self.first.entry(*member).or_insert(self.estimates.tip);
        }
        if members.iter().any(|member| self.at_stake.signed.contains(member)) {
            return Ok(());
        }
        let penalties = members.iter().filter_map(|member| self.penalties.get(member));
        let penalty_sat: u64 = penalties.map(|(amount_sat, deadline)| self.penalty_sat(*amount_sat, *deadline)).sum();
        let budget_sat = if penalty_sat > 0 {
            penalty_sat
        } else if is_child(sweep) {
            self.children.extend(members.iter().map(|member| member.txid));
            self.at_stake.child_sat
        } else {
            self.value_sat(sweep)
        };
        if *fee_sat > budget_sat {
            let next = self.estimates.estimate(1);
            return violated(format!(
                "{fee_sat} sat of fee for {members:?} at {feerate_sat_per_kw} sat/kw; the budget is {budget_sat} sat, and the \
                 next block's estimate {next} sat/kw"
            ));
        }
        Ok(())
    }

    /// The most that a claim may pay: half of its value. It may pay all but a dust limit for the next block, if it is
    /// contested, and at the lowest feerate there is, if it is not.
    fn value_sat(&self, sweep: &Sweep) -> u64 {
        let claimed_sat = claimed_sat(sweep);
        let contested = sweep.plan.members.iter().any(|member| self.at_stake.htlcs.contains_key(member));
        let (lazy, floor) = (self.estimates.lazy(), self.estimates.floor());
        // A transaction that takes more claims offers a hundredth more than the one that it replaces.
        let next = u64::from(self.estimates.estimate(1)) * u64::from(self.policy.pressing_permille) * 101 / 100;
        let Plan { fee_sat, feerate_sat_per_kw, .. } = sweep.plan;
        let weight = fee_sat * 1000 / u64::from(feerate_sat_per_kw).max(1);
        let may_pay_all = if contested {
            fee_sat <= next.div_ceil(1000).saturating_mul(weight + UNKNOWN_WEIGHT).div_ceil(1000)
        } else {
            lazy <= floor
        };
        if may_pay_all {
            claimed_sat.saturating_sub(LEAST_DUST_SAT)
        } else {
            claimed_sat / u64::from(self.policy.budget_divisor)
        }
    }

    /// The most that a penalty may pay: half of its value, and all of it near the deadline.
    fn penalty_sat(&self, amount_sat: u64, deadline: u32) -> u64 {
        let is_near = self.estimates.tip.saturating_add(self.policy.penalty_split.get()) >= deadline;
        if is_near { amount_sat } else { amount_sat / u64::from(self.policy.budget_divisor) }
    }

    fn confirms(&mut self, tx: &Transaction, height: u32) {
        self.confirmed.push((height, tx.compute_txid()));
        self.spent.extend(tx.input.iter().map(|input| (height, input.previous_output)));
        self.add_penalties(tx, height);
    }

    /// Adds the penalty outputs of a transaction: of a revoked commitment, or of an HTLC transaction that spends one, at
    /// the input's own index.
    fn add_penalties(&mut self, tx: &Transaction, tip: u32) {
        let (txid, delay) = (tx.compute_txid(), self.at_stake.delay_blocks);
        for (outpoint, output) in self.at_stake.penalties.iter().filter(|(outpoint, _)| outpoint.txid == txid) {
            let deadline = match output.htlc {
                Some(expiry) => expiry.max(tip).saturating_add(delay),
                None => tip.saturating_add(delay).saturating_sub(1),
            };
            self.penalties.insert(*outpoint, (output.amount_sat, deadline));
        }
        for (index, (input, output)) in (0..).zip(tx.input.iter().zip(&tx.output)) {
            let is_htlc = self.at_stake.penalties.get(&input.previous_output).is_some_and(|spent| spent.htlc.is_some());
            if is_htlc && input.witness.len() == 5 {
                let deadline = tip.saturating_add(delay).saturating_sub(1);
                self.penalties.insert(OutPoint::new(txid, index), (output.value.to_sat(), deadline));
            }
        }
    }

    /// The height by which a claim of this output should confirm.
    fn deadline(&self, outpoint: &OutPoint) -> Option<u32> {
        let penalty = self.penalties.get(outpoint).map(|(_, deadline)| *deadline);
        penalty.or_else(|| self.at_stake.htlcs.get(outpoint).and_then(|(_, deadline)| *deadline))
    }

    /// Asked before each block: every claim that is due in it offers all that it may cost, or its plan records why not.
    fn all_is_on_offer(&self) -> Verdict {
        let tip = self.estimates.tip;
        for (outpoint, sweep) in &self.last {
            let Some(deadline) = self.deadline(outpoint) else { continue };
            let is_there = self.confirmed.iter().any(|(_, txid)| *txid == outpoint.txid);
            let is_spent = self.spent.iter().any(|(_, spent)| spent == outpoint);
            let is_due = deadline <= tip.saturating_add(1);
            let first = self.first.get(outpoint).copied().unwrap_or(0);
            let came_late = first >= deadline && tip < first.saturating_add(LATE_BLOCKS);
            if !is_due || came_late || !is_there || is_spent || self.at_stake.signed.contains(outpoint) {
                continue;
            }
            let Plan { members, feerate_sat_per_kw, fee_sat, limit, .. } = &sweep.plan;
            let excused = *limit == Some(Limit::Coins) || (members.len() > 1 && limit.is_some());
            let capped = *feerate_sat_per_kw >= self.policy.max_feerate_sat_per_kw;
            let least = members.iter().filter_map(|member| self.least_budget_sat(member)).min().unwrap_or(0);
            // A replacement pays for its own relay (BIP 125), so no smaller raise is possible. While the wallet has named
            // no change script, the widest output is assumed, so up to a sixteenth of the budget is not offered.
            let weight = fee_sat.saturating_mul(1000) / u64::from(*feerate_sat_per_kw).max(1);
            let step = (weight + 4) * u64::from(self.policy.incremental_sat_per_kw) / 1000 + least / 16;
            if !excused && !capped && fee_sat + step < least {
                return violated(format!(
                    "{outpoint} is due at {deadline}; at {tip} {fee_sat} sat of {least} are on offer ({limit:?}, {members:?})"
                ));
            }
        }
        Ok(())
    }

    /// The least budget of an HTLC's claim: its part of the amount, less what a child of its commitment may have had, and less
    /// what its second stage costs (A31).
    fn least_budget_sat(&self, outpoint: &OutPoint) -> Option<u64> {
        if let Some((amount_sat, deadline)) = self.penalties.get(outpoint) {
            return Some(self.penalty_sat(*amount_sat, *deadline).min(amount_sat.saturating_sub(330)));
        }
        let (amount_sat, _) = self.at_stake.htlcs.get(outpoint)?;
        let whole = amount_sat / u64::from(self.policy.budget_divisor);
        let child =
            if self.children.contains(&outpoint.txid) { whole / u64::from(self.policy.child_divisor) } else { 0 };
        let is_first_stage = self.at_stake.first_stages.contains(outpoint);
        let lazy = if is_first_stage { u64::from(self.estimates.lazy()) } else { 0 };
        let second = (SECOND_STAGE_WEIGHT * lazy).div_ceil(1000);
        Some((whole - child).min(amount_sat.saturating_sub(330)).saturating_sub(second))
    }
}
