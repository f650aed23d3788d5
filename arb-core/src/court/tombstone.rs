//! What stays of a channel that an irrevocable close resolved: enough to know it when the node tells it again (A52).
//!
//! A node that died before it noted the resolution tells the channel at its next start. Opened again, the channel would be a
//! second one whose funding is spent. A forgotten channel leaves no tombstone: its funding never confirmed, or nothing of it was
//! ours, so that it may be opened again.
//!
//! Tests: `arb-harness/lab/tests/court_suite/resolved_again.rs`, `arb-log/tests/tombstones.rs`

use crate::api::action::Action;
use crate::api::facts::ChannelFacts;
use crate::api::ids::{ActionId, ChannelIndex};
use crate::api::notice::Notice;
use crate::api::sheet::Sheet;
use serde::{Deserialize, Serialize};

/// A channel that an irrevocable close resolved. Kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The number that the channel had in the court.
    pub channel: ChannelIndex,
    /// The frame that heard that [`Action::ChannelResolved`] was carried out.
    pub sequence: u64,
    /// What the node said when it opened the channel.
    pub facts: ChannelFacts,
    /// The balance sheet.
    pub sheet: Sheet,
}

impl Tombstone {
    /// The channel's last action, as it was due before, under the same id (R4).
    pub(crate) fn resolved(&self) -> Action {
        Action::ChannelResolved { id: self.resolved_id(), channel: self.facts.id, sheet: self.sheet }
    }

    pub(crate) fn resolved_id(&self) -> ActionId {
        Notice::Resolved(self.sheet).id(&self.facts.id)
    }
}
