//! Our anchor: worth less than it costs on its own, so it is claimed only by the child that paid for the commitment (BOLT 5
//! F7): that one is sent until it confirms, for its change.
//!
//! ```text
//! Waiting | ClaimWanted ──close irrevocable──► Done(Uneconomic)
//!    └──spent──► Spent ──irrevocable──► Done(Lost | Claimed)
//! ```

use super::{Next, ResolverKit, Stage};
use crate::bolt3::SpendPath;
use crate::outcome::ContractOutcome;
use crate::sweep::anchor_claim;
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
            return Next::Done(ContractOutcome::Uneconomic);
        }
        let mut groups = kit.channel.requests.desk.groups.values();
        let has_child = groups.any(|group| group.members.contains(&self.outpoint));
        match kit.close.funding(&kit.channel.facts).filter(|_| has_child) {
            Some(funding) => kit.claim(anchor_claim(funding, self.outpoint, kit.close.height)),
            None => Next::Stay(Stage::Waiting { until: Height::buried_at(kit.close.height, depth) }),
        }
    }
}
