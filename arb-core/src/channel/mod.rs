//! One channel of the court: facts with heights, ratchets, outstanding requests (R9). Nothing derived is stored.
//!
//! `apply` is the only mutator and judges nothing; what follows from the state is worked out in [`crate::view`].

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
use alloc::boxed::Box;
pub(crate) use asked::{ask_id, commitment_id, scripts_id, sweep_id};
pub(crate) use chain::{KeptTx, Tier};
pub(crate) use close::Close;
pub(crate) use commitments::{Commitment, Rebuilt};
pub(crate) use deadlines::{chain_height, claim_deadline, forget_height, give_up_height, outgoing_deadline};
pub(crate) use requests::{ScriptsRequest, SignedTx, SweepState};
pub(crate) use spends::{SpendOf, spends};
pub use state::ChannelArbitrator;
pub(crate) use state::HtlcState;

use crate::api::event::Acknowledged;
use crate::api::facts::{ChannelFacts, Htlc};
use crate::api::ids::{ActionId, ChannelId, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::units::Height;
use crate::bolt3::Preimage;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};

impl ChannelArbitrator {
    /// The channel's identity outside the court.
    pub const fn id(&self) -> &ChannelId {
        &self.state.facts.id
    }

    /// What never changes about it.
    pub const fn facts(&self) -> &ChannelFacts {
        &self.state.facts
    }

    /// The short channel id, if one was signalled.
    pub const fn short_channel_id(&self) -> Option<u64> {
        self.state.short_channel_id
    }

    /// Whether it refuses new commitments for ever, and why.
    pub const fn frozen(&self) -> Option<FreezeReason> {
        self.state.ratchet.frozen
    }

    /// Whether the counterparty proved a newer state, or the channel came from a backup.
    pub const fn is_outdated(&self) -> bool {
        self.state.ratchet.outdated
    }

    /// The sequence of the frame that changed it last.
    pub const fn changed_at(&self) -> u64 {
        self.state.changed_at
    }

    /// What was raised for the outside and waits for `Performed`.
    pub fn outbox(&self) -> impl Iterator<Item = (&ActionId, &Notice)> {
        self.outbox.iter()
    }

    /// A notice as a conclusion, unless it was raised before: none is raised twice.
    pub(crate) fn raise(&self, notice: Notice) -> Option<Conclusion> {
        let new = !self.raised.contains(&notice.id(&self.facts.id));
        new.then(|| Conclusion::Noticed(Box::new(notice)))
    }

    /// The usable preimage of an HTLC.
    pub fn usable(&self, htlc: HtlcRef) -> Option<Preimage> {
        self.ratchet.usable.get(&htlc).map(|known| known.preimage)
    }

    /// The outcomes that were released for the origins of HTLCs that we sent, and what the node said to them.
    pub fn released(&self) -> impl Iterator<Item = (HtlcRef, Upstream, Option<Acknowledged>)> {
        self.ratchet.released.iter().map(|(htlc, state)| (*htlc, state.outcome, state.acknowledged))
    }

    /// The HTLCs of the union of the commitment set.
    pub fn htlcs(&self) -> impl Iterator<Item = &Htlc> {
        self.htlcs.values().map(|state| &state.htlc)
    }

    /// The numbers of the commitments that can confirm: ours, theirs, their pending ones.
    pub fn commitment_numbers(&self) -> (Option<u64>, Vec<u64>) {
        let local = self.set.local.as_ref().map(|local| local.commitment.number);
        (local, self.set.remotes.iter().map(|remote| remote.number).collect())
    }

    /// Whether a spend of this outpoint matters to this channel. Confirms what the outpoint index only suspects (R5).
    pub fn watches(&self, outpoint: &OutPoint) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint == *outpoint)
            || self.chain.kept.get(&outpoint.txid).is_some_and(|kept| {
                let output = usize::try_from(outpoint.vout).ok().and_then(|vout| kept.tx.output.get(vout));
                output.is_some_and(|output| self.watches_output(&outpoint.txid, kept, output))
            })
            || self.coins().any(|coin| coin == *outpoint)
    }

    /// Whether this transaction's mere confirmation matters: it carries a funding output.
    pub fn watches_parent(&self, txid: &Txid) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint.txid == *txid)
    }

    /// Every outpoint that [`watches`](Self::watches) answers yes to: what the index holds for this channel.
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

    /// Everything below a funding spend counts down to the second level, whether or not its meaning is known yet (R5).
    /// A second level is always P2WSH: other outputs down there are somebody's wallet.
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

    /// Whether this is a closing transaction that we signed. One that has a commitment's form is not trusted to be one,
    /// whatever we were told (B1): a revoked commitment's outputs are watched.
    pub(crate) fn is_closing(&self, txid: &Txid, tx: &Transaction) -> bool {
        self.ratchet.closings.contains_key(txid) && classify::commitment_number(&self.facts, tx).is_none()
    }

    /// How far below a funding output a transaction is, if it matters to this channel at all.
    pub(crate) fn tier_of(&self, tx: &Transaction) -> Option<Tier> {
        let level = |outpoint: &OutPoint| {
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
        tx.input.iter().filter_map(|input| level(&input.previous_output)).min()
    }

    /// Whether it knows something of this height or above, which a disconnected block takes away.
    pub(crate) fn knows_of(&self, height: Height) -> bool {
        self.heights().iter().any(|known| *known >= height)
    }

    /// The heights that it knows something of.
    pub(crate) fn heights(&self) -> Vec<Height> {
        let mut heights: Vec<Height> = self.chain.kept.values().map(|kept| kept.height).collect();
        heights.extend(self.chain.fundings.iter().filter_map(|funding| funding.confirmed));
        heights.push(self.seen);
        heights.sort_unstable();
        heights.dedup();
        heights
    }
}
