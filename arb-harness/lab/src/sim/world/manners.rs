//! How a node and a chain source answer that are slow, or wrong at first.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::{Action, ChannelId, Event, HtlcKey, RevokedCommitment};
use arb_harness::node::Node;
use bitcoin::Txid;

use crate::sim::plan::belief::Belief;

/// What was held back, and what was answered once already.
#[derive(Debug, Default)]
pub(crate) struct Manners {
    /// `None`: every action is carried out at once.
    pub(crate) belief: Option<Belief>,
    /// Results of searches that are under way.
    pub(crate) held: Vec<Event>,
    /// The tip at which the outcome of an HTLC was first due.
    asked: BTreeMap<HtlcKey, u32>,
    /// Revoked commitments of which the node told something else first.
    misled: BTreeSet<(ChannelId, u64)>,
    /// Search results that were held back.
    pub(crate) slow: u64,
    /// Outcomes that were not acknowledged at once.
    pub(crate) late: BTreeSet<HtlcKey>,
}

/// What happens when an action is carried out.
pub(crate) enum Manner {
    /// It is answered at once.
    Prompt,
    /// Its answer is under way.
    Slow,
    /// Nothing happens now.
    Later,
    /// The answer is wrong.
    Wrong(Event),
}

impl Manners {
    /// What becomes of an action at this tip.
    pub(crate) fn of(&mut self, action: &Action, height: u32, node: &mut dyn Node) -> Manner {
        let Some(belief) = &self.belief else { return Manner::Prompt };
        if let Action::SearchSpends { .. } = action {
            let is_slow = belief.search_is_slow(height);
            self.slow += u64::from(is_slow);
            return if is_slow { Manner::Slow } else { Manner::Prompt };
        }
        if let Action::SettleUpstream { htlc, .. } | Action::FailUpstream { htlc, .. } = action {
            let since = *self.asked.entry(*htlc).or_insert(height);
            if height < since.saturating_add(belief.acknowledges_after(htlc)) {
                self.late.insert(*htlc);
                return Manner::Later;
            }
        } else if let Action::LoadRevoked { channel, number, .. } = action
            && belief.misremembers(*number)
            && let Some(known) = node.revoked(*channel, *number).pop()
            && self.misled.insert((*channel, *number))
        {
            let other = RevokedCommitment { local_msat: known.local_msat.saturating_sub(2_000), ..known };
            let (channel, number) = (*channel, *number);
            return Manner::Wrong(Event::RevokedLoaded { channel, number, candidates: vec![other] });
        }
        Manner::Prompt
    }

    /// Whether the court waits for a search for spends of this transaction's outputs.
    pub(crate) fn is_searched(&self, parent: &Txid) -> bool {
        self.held.iter().any(|event| matches!(event, Event::Scanned(scanned) if scanned.parent == *parent))
    }

    /// Whether the outcome of an HTLC was due before.
    pub(crate) fn was_asked(&self, htlc: &HtlcKey) -> bool {
        self.asked.contains_key(htlc)
    }

    /// How often the node told something else of a revoked commitment.
    pub(crate) fn wrong(&self) -> u64 {
        u64::try_from(self.misled.len()).unwrap_or(u64::MAX)
    }

    /// Whether the node has not acknowledged the outcome of this HTLC, which is due.
    pub(crate) fn is_late(&self, htlc: &HtlcKey) -> bool {
        self.late.contains(htlc)
    }
}
