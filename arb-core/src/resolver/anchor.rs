//! Our anchor: worth less than it costs on its own, so it is not claimed (BOLT 5 F7 needs it only to raise a fee).
//!
//! ```text
//! Waiting ──close irrevocable──► Done(Uneconomic)
//!    └──spent──► Spent ──irrevocable──► Done(Lost | Claimed)
//! ```

use super::{Next, ResolverKit, Stage};
use crate::bolt3::SpendPath;
use crate::outcome::ContractOutcome;
use crate::units::Height;
use bitcoin::OutPoint;

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
        let depth = kit.policy.forget_depth;
        if kit.tip.buries(kit.close.height, depth) {
            Next::Done(ContractOutcome::Uneconomic)
        } else {
            Next::Stay(Stage::Waiting { until: Height::buried_at(kit.close.height, depth) })
        }
    }
}
