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
mod early;
mod raised;
mod rebuild;
mod replaced;
mod requests;
mod rows;
mod spends;
mod state;
mod whose;

use crate::api::record::Conclusion;
pub(crate) use age::Reading;
use alloc::boxed::Box;
pub(crate) use asked::{ask_id, commitment_id, scripts_id, sweep_id};
use chain::KeptInput;
pub(crate) use chain::{KeptTx, Tier};
pub(crate) use close::Close;
pub(crate) use commitments::{Commitment, LocalCommitment, Rebuilt};
pub(crate) use deadlines::{
    SECOND_STAGE_MIN, THEIRS_FIRST, chain_height, claim_deadline, forget_height, give_up_height, outgoing_deadline,
    theirs_first_until, told_deadline, untold_until,
};
pub(crate) use requests::{ScriptsRequest, SignedTx, SweepState};
pub(crate) use spends::{SpendOf, spends};
pub use state::ChannelArbitrator;
pub(crate) use state::{HtlcState, Ratchet, Seen, Shown};

use crate::api::event::Acknowledged;
use crate::api::facts::{ChannelFacts, Htlc, Link};
use crate::api::ids::{ActionId, ChannelId, HtlcKey, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::policy::Policy;
use crate::api::stage::CloseKind;
use crate::api::units::Height;
use crate::bolt3::{PaymentHash, Preimage};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::{OutPoint, Transaction, TxIn, Txid};

/// How many unconfirmed commitments are in view before only those count that can still confirm as the newest ones.
const IN_VIEW_MAX: usize = 16;

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

    /// Whether nothing is gained by going to chain for an HTLC that we sent, because its upstream HTLC is settled with its
    /// preimage: the node does that if it told the preimage. If a transaction showed it, the node has acknowledged it (A5).
    pub(crate) fn is_answered(&self, htlc: HtlcRef) -> bool {
        let released = self.ratchet.released.get(&htlc);
        let settled = || released.is_some_and(|released| released.acknowledged == Some(Acknowledged::Settled));
        htlc.is_offered() && self.ratchet.usable.get(&htlc).is_some_and(|known| !known.shown || settled())
    }

    /// A preimage for this hash among what is kept of confirmed spends.
    pub(crate) fn kept_preimage(&self, hash: &PaymentHash) -> Option<Preimage> {
        let inputs = self.chain.kept.values().flat_map(|kept| kept.inputs.values());
        let items = inputs.flat_map(|input| input.witness.iter());
        items.filter_map(|item| item.try_into().ok().map(Preimage)).find(|preimage| preimage.hash() == *hash)
    }

    /// The upstream HTLCs of the court that an HTLC was sent for here, and that no failure of it was released for. Several are sent
    /// for one after a retry, or for one payment in parts.
    pub(crate) fn unfailed_upstreams(&self) -> BTreeSet<HtlcKey> {
        let unfailed = self.htlcs.values().filter(|state| !self.is_failed(state.htlc.key));
        unfailed.filter_map(|state| if let Link::Forward(key) = state.htlc.link { Some(key) } else { None }).collect()
    }

    /// Whether a failure was released for the upstream of this HTLC.
    pub(crate) fn is_failed(&self, htlc: HtlcRef) -> bool {
        self.ratchet.released.get(&htlc).is_some_and(|released| matches!(released.outcome, Upstream::Failed(_)))
    }

    /// Whether a failure was released for the upstream HTLC of a forward.
    pub(crate) fn is_failing_forwards(&self) -> bool {
        let is_forward =
            |htlc: &HtlcRef| self.htlcs.get(htlc).is_some_and(|state| matches!(state.htlc.link, Link::Forward(_)));
        self.ratchet.released.keys().any(|htlc| self.is_failed(*htlc) && is_forward(htlc))
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
                kept.outputs.contains_key(&outpoint.vout) && self.watches_outputs(&outpoint.txid, kept)
            })
            || self.uses_coin(outpoint)
            || self.sees(outpoint)
    }

    /// Whether this is an output of an unconfirmed commitment that may be in mempools. Once a spend of the funding has
    /// confirmed, the outputs of that are watched.
    fn sees(&self, outpoint: &OutPoint) -> bool {
        self.ratchet.in_view.get(&outpoint.txid).is_some_and(|outputs| outpoint.vout < *outputs) && !self.is_spent()
    }

    /// The outputs that [`sees`](Self::sees) is true for.
    pub(crate) fn seen_outputs(&self) -> impl Iterator<Item = OutPoint> {
        let in_view = self.ratchet.in_view.iter().filter(|_| !self.is_spent());
        in_view.flat_map(|(txid, outputs)| (0..*outputs).map(|vout| OutPoint { txid: *txid, vout }))
    }

    fn is_spent(&self) -> bool {
        self.chain.kept.values().any(|kept| kept.tier == Tier::Funding)
    }

    /// Whether the node told a point of ours for a close of this number that gives no output of it, so that nothing is proven.
    pub(crate) fn told_no_output(&self, close: &Close) -> bool {
        let told = close.number.and_then(|number| self.points.get(&number).copied().flatten());
        let may_be_ours = matches!(close.kind, CloseKind::Unknown | CloseKind::Superseded);
        told.is_some() && may_be_ours && close.own.is_none()
    }

    /// Whether the chain was searched for spends of all fundings.
    pub(crate) fn is_searched(&self) -> bool {
        self.chain.fundings.iter().all(|funding| funding.scanned)
    }

    /// Whether a commitment that can confirm has a balance of ours, or an HTLC.
    pub(crate) fn holds_ours(&self) -> bool {
        !self.htlcs.is_empty() || self.set.all().any(|(_, commitment)| commitment.local_msat >= 1000)
    }

    /// Whether a funding is confirmed that holds something of ours: the counterparty can publish a commitment of it (A33).
    pub(crate) fn can_pay_us(&self) -> bool {
        self.is_funded() && self.holds_ours()
    }

    /// Whether the outputs of an unconfirmed spend of the funding are to be watched from now on. The number of watched
    /// commitments that are not current, such as revoked ones, is bounded.
    pub(crate) fn is_new_in_view(&self, txid: &Txid, tx: &Transaction) -> bool {
        let in_view = &self.ratchet.in_view;
        !in_view.contains_key(txid) && (in_view.len() < IN_VIEW_MAX || self.is_remote_of_set(tx))
    }

    /// Whether no funding can ever confirm, as the node said, and the chain never showed that it was wrong (A19).
    pub(crate) fn is_never_funded(&self) -> bool {
        self.ratchet.never_funded && !self.is_funded() && !self.is_spent()
    }

    /// Whether a funding is confirmed, as far as the court knows.
    pub(crate) fn is_funded(&self) -> bool {
        self.chain.fundings.iter().any(|funding| funding.confirmed.is_some())
    }

    /// Whether this transaction carries a funding output that is not confirmed: its confirmation alone matters.
    pub fn watches_parent(&self, txid: &Txid) -> bool {
        self.unconfirmed().any(|parent| parent == *txid)
    }

    /// The funding transactions that are not confirmed, as far as the court knows.
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = Txid> {
        let fundings = self.facts.fundings.iter().zip(&self.chain.fundings);
        fundings.filter(|(_, facts)| facts.confirmed.is_none()).map(|(funding, _)| funding.outpoint.txid)
    }

    /// Every outpoint for which [`watches`](Self::watches) is true: what the index holds for this channel.
    pub(crate) fn watched(&self) -> Vec<OutPoint> {
        let mut all: Vec<OutPoint> = self.facts.fundings.iter().map(|funding| funding.outpoint).collect();
        all.extend(self.chain.kept.keys().flat_map(|txid| self.watched_of(txid)));
        all.extend(self.coins());
        all.extend(self.seen_outputs());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The watched outputs of one kept transaction.
    pub(crate) fn watched_of(&self, txid: &Txid) -> impl Iterator<Item = OutPoint> {
        let kept = self.chain.kept.get(txid).filter(|kept| self.watches_outputs(txid, kept));
        let txid = *txid;
        kept.into_iter().flat_map(move |kept| kept.outputs.keys().map(move |vout| OutPoint { txid, vout: *vout }))
    }

    /// Whether the outputs that are kept of a transaction are watched, all or none, and there are any. Every output of a funding
    /// spend is watched, classified or not (R5), and what was kept of one level below.
    pub(crate) fn watches_outputs(&self, txid: &Txid, kept: &KeptTx) -> bool {
        let is_watched = match kept.tier {
            Tier::Funding => kept.number.is_some() || !self.ratchet.closings.contains_key(txid),
            Tier::Commitment => true,
            Tier::Second => false,
        };
        is_watched && !kept.outputs.is_empty()
    }

    /// Whether this is a closing transaction that we signed. A listed transaction in the form of a commitment does not count
    /// (B1): it may be a revoked one, whose outputs must be watched.
    pub(crate) fn is_closing(&self, txid: &Txid, tx: &Transaction) -> bool {
        self.ratchet.closings.contains_key(txid) && classify::commitment_number(&self.facts, tx).is_none()
    }

    /// Whether a transaction spends a funding output.
    pub(crate) fn is_funding_spend(&self, tx: &Transaction) -> bool {
        tx.input.iter().any(|input| self.is_funding(&input.previous_output))
    }

    fn is_funding(&self, outpoint: &OutPoint) -> bool {
        self.facts.fundings.iter().any(|funding| funding.outpoint == *outpoint)
    }

    /// How far below a funding output a transaction is that spends this outpoint; `None` if it is not watched.
    fn tier_below(&self, outpoint: &OutPoint) -> Option<Tier> {
        if self.is_funding(outpoint) {
            return Some(Tier::Funding);
        }
        if !self.watches(outpoint) || self.sees(outpoint) {
            return None;
        }
        match self.chain.kept.get(&outpoint.txid).map(|kept| kept.tier) {
            Some(Tier::Funding) => Some(Tier::Commitment),
            Some(Tier::Commitment | Tier::Second) | None => Some(Tier::Second),
        }
    }

    /// What is kept of a transaction that confirmed at `height`; `None` if it does not matter to this channel.
    pub(super) fn legible(&self, height: Height, tx: &Transaction) -> Option<KeptTx> {
        let tiers = || tx.input.iter().map(|input| self.tier_below(&input.previous_output));
        let tier = tiers().flatten().min()?;
        let matters = |(input, tier): (&TxIn, Option<Tier>)| {
            // A version of a sweep that was replaced or dropped may confirm: its fee is what its coins brought in as well.
            (tier.is_some() || self.coin_value_sat(&input.previous_output).is_some())
                .then(|| KeptInput::new(input, self.chain.output(&input.previous_output)))
        };
        let inputs: BTreeMap<u32, KeptInput> = (0..)
            .zip(tx.input.iter().zip(tiers()))
            .filter_map(|(index, input)| Some((index, matters(input)?)))
            .collect();
        let outputs = (0..).zip(&tx.output).filter(|(index, output)| match tier {
            Tier::Funding => true,
            Tier::Commitment => inputs.contains_key(index) && output.script_pubkey.is_p2wsh(),
            Tier::Second => false,
        });
        Some(KeptTx {
            height,
            tier,
            since: self.seen.max(height),
            scanned: false,
            number: classify::commitment_number(&self.facts, tx).filter(|_| tier == Tier::Funding),
            outputs: outputs.map(|(index, output)| (index, output.clone())).collect(),
            output_sat: tx.output.iter().fold(0, |sum: u64, output| sum.saturating_add(output.value.to_sat())),
            inputs,
        })
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
