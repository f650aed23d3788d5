//! A notice that was raised and does not count any more: the end of a channel of which the chain shows something after all.
//!
//! Tests: `arb-harness/lab/tests/court_suite/never_funded.rs`.

use crate::api::notice::Notice;
use crate::api::sheet::Sheet;
use crate::channel::state::ChannelArbitrator;

impl ChannelArbitrator {
    /// Takes back the end of the channel, which was told and not carried out: it is judged again with what is known now.
    pub(crate) fn take_back_end(&mut self) {
        if self.state.outbox.is_empty() {
            return;
        }
        let id = Notice::Resolved(Sheet::default()).id(&self.state.facts.id);
        if self.state.outbox.remove(&id).is_some() {
            self.state.raised.remove(&id);
        }
    }

    /// A funding has confirmed, or its spend. The word that none can confirm (A19) was wrong: it counts no more, also after a
    /// reorg. Of a channel that has a close, only the end of the close counts.
    pub(super) fn shown_on_chain(&mut self) {
        self.state.ratchet.never_funded = false;
        if self.state.close.0.is_none() {
            self.take_back_end();
        }
    }
}
