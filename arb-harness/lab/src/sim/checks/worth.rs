//! I18 over a journal: no claim is paid for beyond what it can still bring.

use std::collections::BTreeSet;

use arb_core::{ChannelIndex, Conclusion, Frame, Policy, Sweep};
use bitcoin::OutPoint;

use super::costs;
use super::estimates::Estimates;
use super::prices::{claimed_sat, is_child};
use super::stakes::AtStake;
use super::{Verdict, violated};

/// I18: no fee is offered that, with all still to be paid at the lazy estimate of its block, exceeds what is still to be
/// gained, unless an operator's bump raised it.
pub(crate) fn invariant_i18_no_fee_exceeds_what_is_still_to_be_gained(
    frames: &[Frame],
    index: ChannelIndex,
    at_stake: &AtStake,
    policy: &Policy,
) -> Verdict {
    let mut estimates = Estimates::new(policy);
    let mut bumped: BTreeSet<OutPoint> = BTreeSet::new();
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        estimates.hear(&entry.heard);
        for record in entry.concluded.iter().filter(|record| record.channel == index) {
            if let Conclusion::Bumped { outpoint, .. } = &record.what {
                bumped.insert(*outpoint);
            }
            let Conclusion::SweepPlanned(sweep) = &record.what else { continue };
            if sweep.plan.members.iter().all(|member| !bumped.contains(member)) {
                is_worth_it(sweep, at_stake, estimates.lazy(), estimates.tip)?;
            }
        }
    }
    Ok(())
}

fn is_worth_it(sweep: &Sweep, at_stake: &AtStake, lazy_sat_per_kw: u32, tip: u32) -> Verdict {
    let members = &sweep.plan.members;
    // The counterparty fixed its fee long ago.
    if members.iter().any(|member| at_stake.signed.contains(member)) {
        return Ok(());
    }
    let to_gain_sat = match members.first() {
        Some(anchor) if is_child(sweep) => at_stake.commitments.get(&anchor.txid).copied().unwrap_or(0),
        Some(_) | None => claimed_sat(sweep),
    };
    let first_stages = members.iter().filter(|member| at_stake.first_stages.contains(member)).count();
    let second_sat = costs::fee_sat(at_stake.second_weight, lazy_sat_per_kw);
    let second_sat = second_sat.saturating_mul(u64::try_from(first_stages).unwrap_or(u64::MAX));
    let fee_sat = sweep.plan.fee_sat;
    if fee_sat.saturating_add(second_sat) <= to_gain_sat {
        return Ok(());
    }
    violated(
        "I18",
        format!(
            "at {tip} {fee_sat} sat are offered for {members:?}, and {second_sat} sat are still to be paid at {lazy_sat_per_kw} \
             sat/kw; {to_gain_sat} sat are to be gained"
        ),
    )
}
