//! What could have been claimed at all with knowledge of the whole market. It is the same for every policy: no policy loses
//! or gains by claims that none could make.

use super::claims::{Claim, Close, weight};
use super::policy::feerate;
use crate::market::Tape;

/// The highest feerate that any policy offers: 1,000 sat/vB.
pub const MAX_FEERATE_SAT_PER_KW: u64 = 250_000;
/// The least value of a P2WPKH output that nodes relay.
pub const DUST_SAT: u64 = 294;
/// Blocks to wait for a cheap block if a claim has no deadline.
const PATIENCE: u32 = 2_016;

/// Whether a claim is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be claimed in time at a cost below its value.
    Counted,
    /// Its whole budget does not buy a place in any block before its deadline.
    Hopeless,
    /// The claim would cost more than its value.
    Uneconomic,
}

/// The verdicts on a close's claims. A second-level output shares the verdict of its HTLC, and an HTLC whose second-level
/// output is not counted is not counted either.
#[must_use]
pub fn judge(close: &Close, tape: &Tape) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = close.claims.iter().map(|claim| alone(claim, tape)).collect();
    for claim in &close.claims {
        let Some((first, _)) = claim.after else { continue };
        let both = match (verdicts[first], verdicts[claim.id]) {
            (Verdict::Counted, second) => second,
            (first, _) => first,
        };
        (verdicts[first], verdicts[claim.id]) = (both, both);
    }
    verdicts
}

fn alone(claim: &Claim, tape: &Tape) -> Verdict {
    let weight = weight([claim].into_iter());
    match claim.deadline {
        Some(deadline) => {
            let most = feerate(weight, claim.budget_sat()).min(MAX_FEERATE_SAT_PER_KW);
            let found = cheapest(tape, claim.claimable, deadline).is_some_and(|price| u64::from(price) <= most);
            if found { Verdict::Counted } else { Verdict::Hopeless }
        }
        None => {
            let most = feerate(weight, claim.amount_sat.saturating_sub(DUST_SAT));
            let found = cheapest(tape, claim.claimable, claim.claimable.saturating_add(PATIENCE));
            if found.is_some_and(|price| u64::from(price) <= most) { Verdict::Counted } else { Verdict::Uneconomic }
        }
    }
}

/// The cheapest block after `after`, up to `last`.
fn cheapest(tape: &Tape, after: u32, last: u32) -> Option<u32> {
    (after.saturating_add(1)..=last).map_while(|block| tape.clearing(block)).min()
}
