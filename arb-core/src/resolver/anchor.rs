//! Our anchor. On its own it is worth less than its claim costs, so only the child that paid for the commitment claims it
//! (BOLT 5 F7). Once the commitment has confirmed, a child that did not confirm with it pays for nothing and is sent no more
//! (A37).
//!
//! ```text
//! Waiting ──close irrevocable──► Done(Uneconomic)
//!    └──spent──► Spent ──irrevocable──► Done(Lost | Claimed)
//! ```
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/closes.rs`, `arb-harness/lab/tests/closes/main.rs`.

use crate::api::facts::Funding;
use crate::api::outcome::ContractOutcome;
use crate::api::units::Height;
use crate::bolt3::{ANCHOR_SAT, SpendPath, anchor_script};
use crate::resolver::Next;
use crate::resolver::kit::{Claim, ClaimWay, ContractStage, ResolverKit};
use bitcoin::{OutPoint, Sequence};

/// Owns our anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) outpoint: OutPoint,
}

impl Anchor {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        if let Some(spend) = kit.spend_of(&self.outpoint) {
            let ours = spend.path == SpendPath::AnchorKey;
            return kit.follow(spend, if ours { ContractOutcome::Claimed } else { ContractOutcome::Lost });
        }
        let depth = kit.policy.irrevocable_depth;
        if kit.tip.buries(kit.close.height, depth) {
            return Next::Done(ContractOutcome::Uneconomic);
        }
        Next::Stay(ContractStage::Waiting { until: Height::buried_at(kit.close.height, depth) })
    }
}

/// The claim of our anchor on a commitment that spends this funding. Its deadline comes from the commitment's HTLCs.
pub(crate) fn anchor_claim(funding: &Funding, outpoint: OutPoint, since: Height) -> Claim {
    let script = anchor_script(&funding.local_key);
    Claim {
        outpoint,
        way: ClaimWay::Anchor { funding: funding.outpoint, key: funding.local_key },
        amount_sat: ANCHOR_SAT,
        script_pubkey: script.to_p2wsh(),
        witness_script: Some(script),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        lock_time: Height::new(0),
        since,
        deadline: None,
    }
}
