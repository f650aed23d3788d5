//! Why the sweeper offers what it offers, and why it declines a claim, in words.

use arb_core::sweep::{Branch, Declined, Reason};

use super::outpoint;

/// Why a transaction offers what it offers.
pub(crate) fn reason(reason: &Reason) -> String {
    let claim = outpoint(&reason.outpoint);
    let deadline = match reason.deadline {
        Some(height) => format!("due at height {height}"),
        None => "without a deadline".to_owned(),
    };
    let (at_stake, budget, feerate) = (reason.at_stake_sat, reason.budget_sat, reason.estimate_sat_per_kw);
    let estimate = match reason.estimate_age.map(|age| age.get()) {
        None => format!("no estimate yet, so {feerate} sat/kw"),
        Some(0) => format!("estimate {feerate} sat/kw of this block"),
        Some(1) => format!("estimate {feerate} sat/kw, 1 block old"),
        Some(blocks) => format!("estimate {feerate} sat/kw, {blocks} blocks old"),
    };
    let why = branch(reason.branch);
    format!("{why} ({claim} {deadline}, {at_stake} sat at stake, up to {budget} sat for fees, {estimate})")
}

/// Why a claim is declined.
pub(crate) fn declined(why: &Declined) -> String {
    let Declined { least_sat_per_kw, cost_sat, budget_sat } = why;
    format!("{cost_sat} sat at {least_sat_per_kw} sat/kw, the least that is of use, and {budget_sat} sat are allowed")
}

const fn branch(branch: Branch) -> &'static str {
    match branch {
        Branch::Lazy => "nobody contests it, so the lazy estimate",
        Branch::Estimate => "the estimate for the blocks that it can wait",
        Branch::Pressing => "no time to wait for lower fees, so more than the next block's estimate",
        Branch::Curve => "the curve from the estimate to the whole budget",
        Branch::Tight => "the whole budget, which hardly buys the next block",
        Branch::Deadline => "the whole budget, because the deadline is here",
        Branch::Late => "wanted after its deadline, so the whole budget in six blocks",
        Branch::Pressed => "more than the last offer, which was refused for its fee",
        Branch::Bumped => "what the operator asked for",
        Branch::Kept => "what was wanted before, which never falls",
        Branch::Replaces => "the price of replacing what was sent before",
        Branch::Signed => "the fee that the peer's signature fixes",
    }
}

/// The same as a word for `--json`.
pub(crate) const fn branch_name(branch: Branch) -> &'static str {
    match branch {
        Branch::Lazy => "lazy",
        Branch::Estimate => "estimate",
        Branch::Pressing => "pressing",
        Branch::Curve => "curve",
        Branch::Tight => "tight",
        Branch::Deadline => "deadline",
        Branch::Late => "late",
        Branch::Pressed => "pressed",
        Branch::Bumped => "bumped",
        Branch::Kept => "kept",
        Branch::Replaces => "replaces",
        Branch::Signed => "signed",
    }
}
