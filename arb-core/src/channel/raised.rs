//! Notices that were raised and do not count any more: the end of a channel of which the chain shows something after all, and
//! alerts about HTLCs that are gone (R15).
//!
//! Tests: `arb-harness/lab/tests/court_suite/never_funded.rs`, `arb-harness/lab/tests/court_suite/silence.rs`.

use crate::api::notice::{Alert, Held, Notice};
use crate::api::sheet::Sheet;
use crate::api::units::Height;
use crate::channel::state::{ChannelArbitrator, HtlcState};
use alloc::collections::BTreeSet;

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

    /// HTLCs of an open channel are gone for good. What was raised about one of them is never raised again; what was raised about
    /// all that share a height may be, once another one with that height comes.
    pub(super) fn forget_raised(&mut self, gone: &[HtlcState]) {
        if gone.is_empty() || self.state.raised.is_empty() {
            return;
        }
        let (id, htlcs) = (self.state.facts.id, &self.state.htlcs);
        let upstream: BTreeSet<Height> = htlcs.values().filter_map(|state| state.upstream_expiry).collect();
        let received = htlcs.values().filter(|state| !state.htlc.key.is_offered());
        let received: BTreeSet<Height> = received.map(|state| state.htlc.cltv_expiry).collect();
        for HtlcState { htlc, upstream_expiry, .. } in gone {
            let (key, htlcs, amount_sat) = (htlc.key, 0, 0);
            let shared = if key.is_offered() {
                let last = upstream_expiry.filter(|expiry| !upstream.contains(expiry));
                last.map(|upstream_expiry| Alert::UpstreamAtRisk { htlc: key, htlcs, amount_sat, upstream_expiry })
            } else {
                let deadline = Some(htlc.cltv_expiry).filter(|expiry| !received.contains(expiry));
                let why = Held::TooSmall;
                deadline.map(|_| Alert::CommitmentWaits { number: 0, why, deadline, htlcs, amount_sat })
            };
            for raised in Alert::of_htlc(&id, key).chain(shared.map(|alert| Notice::Alert(alert).id(&id))) {
                self.state.raised.remove(&raised);
            }
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
