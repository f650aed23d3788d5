//! One channel of the court: facts with heights, ratchets, outstanding requests (R9). Nothing derived is stored.
//!
//! `apply` is the only mutator and judges nothing (R1); [`crate::view`] derives what follows from the state.
//!
//! Tests: `arb-harness/lab/tests/court_suite/properties.rs`, `arb-harness/lab/tests/court_suite/ratchets.rs`.

mod age;
mod apply;
mod asked;
mod chain;
mod classify;
mod close;
mod commitments;
mod deadlines;
mod rebuild;
mod requests;
mod rows;
mod spends;
mod state;

use crate::api::record::Conclusion;
pub(crate) use age::Reading;
use alloc::boxed::Box;
pub(crate) use asked::{ask_id, commitment_id, scripts_id, sweep_id};
pub(crate) use chain::{KeptTx, Tier};
pub(crate) use close::Close;
pub(crate) use commitments::{Commitment, Rebuilt};
pub(crate) use deadlines::{
    SECOND_STAGE_MIN, THEIRS_FIRST, chain_height, claim_deadline, forget_height, give_up_height, outgoing_deadline,
    theirs_first_until,
};
pub(crate) use requests::{ScriptsRequest, SignedTx, SweepState};
pub(crate) use spends::{SpendOf, spends};
pub use state::ChannelArbitrator;
pub(crate) use state::{HtlcState, Ratchet, Seen, Shown};

use crate::api::event::Acknowledged;
use crate::api::facts::{ChannelFacts, Htlc};
use crate::api::ids::{ActionId, ChannelId, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::policy::Policy;
use crate::api::units::Height;
use crate::bolt3::Preimage;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};

impl ChannelArbitrator {
    /// The channel's identity outside the court.
    pub const fn id(&self) -> &ChannelId {
        &self.state.facts.id
    }

    /// What the node told about the channel when it was opened; never changes.
    pub const fn facts(&self) -> &ChannelFacts {
        &self.state.facts
    }

    /// The short channel id (BOLT 7); `None` until the node signals one.
    pub const fn short_channel_id(&self) -> Option<u64> {
        self.state.short_channel_id
    }

    /// The channel's own policy; `None` while it follows the court's.
    pub fn own_policy(&self) -> Option<&Policy> {
        self.state.policy.as_deref()
    }

    /// The policy that binds the channel where the court has this one.
    pub(crate) fn policy_or<'a>(&'a self, court: &'a Policy) -> &'a Policy {
        self.own_policy().unwrap_or(court)
    }

    /// Why the channel refuses new commitments for ever (R10); `None` while it accepts them.
    pub const fn frozen(&self) -> Option<FreezeReason> {
        self.state.ratchet.frozen
    }

    /// Whether our state is older than the counterparty's: it proved a newer one, the node told one, or the channel came from a
    /// backup. Nothing of ours is signed or sent then (BOLT 5 F5), until [`Event::ChannelAdoptedAnew`].
    ///
    /// [`Event::ChannelAdoptedAnew`]: crate::Event::ChannelAdoptedAnew
    pub const fn is_outdated(&self) -> bool {
        self.state.ratchet.outdated
    }

    /// The sequence of the last frame that changed the channel.
    pub const fn changed_at(&self) -> u64 {
        self.state.changed_at
    }

    /// The notices that were raised and that no `Performed` event has acknowledged.
    pub fn outbox(&self) -> impl Iterator<Item = (&ActionId, &Notice)> {
        self.outbox.iter()
    }

    /// The conclusion that raises a notice; `None` if it was raised before.
    pub(crate) fn raise(&self, notice: Notice) -> Option<Conclusion> {
        let new = !self.raised.contains(&notice.id(&self.facts.id));
        new.then(|| Conclusion::Noticed(Box::new(notice)))
    }

    /// The preimage that this HTLC may be claimed with, or its upstream HTLC settled with.
    pub fn usable(&self, htlc: HtlcRef) -> Option<Preimage> {
        self.ratchet.usable.get(&htlc).map(|known| known.preimage)
    }

    /// For each HTLC that we sent: the outcome that was released upstream, and the node's acknowledgement if there is one.
    pub fn released(&self) -> impl Iterator<Item = (HtlcRef, Upstream, Option<Acknowledged>)> {
        self.ratchet.released.iter().map(|(htlc, state)| (*htlc, state.outcome, state.acknowledged))
    }

    /// The HTLCs that are on at least one commitment of the set, and those whose released outcome the node has not
    /// acknowledged. Once the channel is frozen, none leaves.
    pub fn htlcs(&self) -> impl Iterator<Item = &Htlc> {
        self.htlcs.values().map(|state| &state.htlc)
    }

    /// The numbers of the commitments that can confirm: ours (`None` before the first), and theirs, oldest first.
    pub fn commitment_numbers(&self) -> (Option<u64>, Vec<u64>) {
        let local = self.set.local.as_ref().map(|local| local.commitment.number);
        (local, self.set.remotes.iter().map(|remote| remote.number).collect())
    }

    /// Whether a spend of this outpoint matters to this channel. The outpoint index proposes channels; this confirms (R5).
    pub fn watches(&self, outpoint: &OutPoint) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint == *outpoint)
            || self.chain.kept.get(&outpoint.txid).is_some_and(|kept| {
                let output = usize::try_from(outpoint.vout).ok().and_then(|vout| kept.tx.output.get(vout));
                output.is_some_and(|output| self.watches_output(&outpoint.txid, kept, output))
            })
            || self.coins().any(|coin| coin == *outpoint)
    }

    /// Whether this transaction carries a funding output: its confirmation alone matters.
    pub fn watches_parent(&self, txid: &Txid) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint.txid == *txid)
    }

    /// Every outpoint for which [`watches`](Self::watches) is true: what the index holds for this channel.
    pub(crate) fn watched(&self) -> Vec<OutPoint> {
        let mut all: Vec<OutPoint> = self.facts.fundings.iter().map(|funding| funding.outpoint).collect();
        for (txid, kept) in &self.chain.kept {
            let outputs = (0..).zip(&kept.tx.output).filter(|(_, output)| self.watches_output(txid, kept, output));
            all.extend(outputs.map(|(vout, _)| OutPoint { txid: *txid, vout }));
        }
        all.extend(self.coins());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Every output of a funding spend, and every P2WSH output one level below, is watched, classified or not (R5).
    /// Second-level outputs are always P2WSH (BOLT 3); other scripts at that level belong to a wallet.
    fn watches_output(&self, txid: &Txid, kept: &KeptTx, output: &TxOut) -> bool {
        match kept.tier {
            Tier::Funding => !self.is_closing(txid, &kept.tx),
            Tier::Commitment => output.script_pubkey.is_p2wsh(),
            Tier::Second => false,
        }
    }

    /// Whether any output of a kept transaction is watched.
    pub(crate) fn watches_outputs(&self, txid: &Txid, kept: &KeptTx) -> bool {
        kept.tx.output.iter().any(|output| self.watches_output(txid, kept, output))
    }

    /// Whether this is a closing transaction that we signed. A listed transaction in the form of a commitment does not count
    /// (B1): it may be a revoked one, whose outputs must be watched.
    pub(crate) fn is_closing(&self, txid: &Txid, tx: &Transaction) -> bool {
        self.ratchet.closings.contains_key(txid) && classify::commitment_number(&self.facts, tx).is_none()
    }

    /// How far below a funding output a transaction is; `None` if it does not matter to this channel.
    pub(crate) fn tier_of(&self, tx: &Transaction) -> Option<Tier> {
        let tier = |outpoint: &OutPoint| {
            if self.facts.fundings.iter().any(|funding| funding.outpoint == *outpoint) {
                return Some(Tier::Funding);
            }
            if !self.watches(outpoint) {
                return None;
            }
            match self.chain.kept.get(&outpoint.txid).map(|kept| kept.tier) {
                Some(Tier::Funding) => Some(Tier::Commitment),
                Some(Tier::Commitment | Tier::Second) | None => Some(Tier::Second),
            }
        };
        tx.input.iter().filter_map(|input| tier(&input.previous_output)).min()
    }

    /// Whether the channel holds a fact of this height or above, which a disconnected block removes.
    pub(crate) fn knows_of(&self, height: Height) -> bool {
        self.heights().iter().any(|known| *known >= height)
    }

    /// The heights of its facts, and the tip when it was last judged.
    pub(crate) fn heights(&self) -> Vec<Height> {
        let mut heights: Vec<Height> = self.chain.kept.values().map(|kept| kept.height).collect();
        heights.extend(self.chain.fundings.iter().filter_map(|funding| funding.confirmed));
        heights.push(self.seen);
        heights.sort_unstable();
        heights.dedup();
        heights
    }
}
