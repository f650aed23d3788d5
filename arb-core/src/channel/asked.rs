//! Which request an answer is for, and what is asked for or in use.

use crate::api::facts::{Funding, Side};
use crate::api::ids::{ActionId, outpoint_bytes};
use crate::api::plan::{Ask, Sweep};
use crate::api::stage::CloseKind;
use crate::channel::commitments::Rebuilt;
use crate::channel::requests::SweepState;
use crate::channel::state::ChannelArbitrator;
use crate::sweep::Trouble;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{OutPoint, Txid};

/// The identity of the request for this close's script.
pub(crate) fn scripts_id(channel: &ChannelArbitrator) -> ActionId {
    ActionId::of("scripts", &channel.facts.id, &[])
}

/// The identity of a request for coins: asked again, or for another amount, it is another one.
pub(crate) fn ask_id(channel: &ChannelArbitrator, ask: &Ask) -> ActionId {
    let round = ask.at.get().to_le_bytes();
    ActionId::of("fee inputs", &channel.facts.id, &[&outpoint_bytes(&ask.owner), &ask.amount_sat.to_le_bytes(), &round])
}

/// The identity of the request to sign a sweep: the transaction names its outpoints, and those their keys, until their
/// commitment is revoked. An answer with our own key from before that is no answer for the revocation key.
pub(crate) fn sweep_id(channel: &ChannelArbitrator, txid: &Txid) -> ActionId {
    let revoked = channel.close.0.as_ref().is_some_and(|close| close.kind == CloseKind::Revoked);
    let tag = if revoked { "sign penalty" } else { "sign sweep" };
    ActionId::of(tag, &channel.facts.id, &[&txid.to_byte_array()])
}

/// The identity of the request to sign our commitment.
pub(crate) fn commitment_id(channel: &ChannelArbitrator, rebuilt: &Rebuilt) -> ActionId {
    ActionId::of("sign commitment", &channel.facts.id, &[&rebuilt.built.txid.to_byte_array()])
}

impl ChannelArbitrator {
    /// The funding and the commitment that a signing request is for.
    pub(crate) fn commitment_asked(&self, secp: &Secp256k1<All>, request: &ActionId) -> Option<(Funding, Rebuilt)> {
        let local = self.set.local.as_ref()?;
        self.facts.fundings.iter().find_map(|funding| {
            let rebuilt = self.rebuild(secp, Side::Local, &local.commitment, funding, &[])?;
            (commitment_id(self, &rebuilt) == *request).then(|| (funding.clone(), rebuilt))
        })
    }

    /// The group and the version whose signing request this is: the last one, or one that it replaced unsigned.
    pub(crate) fn sweep_asked(&self, request: &ActionId) -> Option<(u32, &SweepState, &Sweep)> {
        let versions = self.requests.sweeps.iter().flat_map(|(group, state)| {
            let all = state.unsigned.iter().chain([&state.sweep]);
            all.map(move |sweep| (*group, state, sweep))
        });
        let mut versions = versions;
        versions.find(|(_, state, sweep)| {
            let txid = if core::ptr::eq(*sweep, &state.sweep) { state.txid } else { sweep.tx.compute_txid() };
            sweep_id(self, &txid) == *request
        })
    }

    /// The value of a wallet coin that a sweep uses, or used before it was dropped: it may confirm all the same.
    pub(crate) fn coin_value_sat(&self, outpoint: &OutPoint) -> Option<u64> {
        self.requests.coins.get(outpoint).copied()
    }

    /// The wallet's coins that live sweeps use, or that were offered for one that waits.
    pub(crate) fn coins(&self) -> impl Iterator<Item = OutPoint> {
        let sweeper = &self.requests.sweeper;
        let unused = sweeper.groups.values().map(|group| &group.fee_inputs).chain(sweeper.unused.values());
        unused.flat_map(|fee_inputs| &fee_inputs.coins).map(|coin| coin.outpoint)
    }

    /// Whether a fall of the feerates could move something.
    pub(crate) fn waits_for_fees(&self) -> bool {
        let sweeper = &self.requests.sweeper;
        !sweeper.uneconomic.is_empty()
            || sweeper.asked.keys().any(|owner| sweeper.missing.contains_key(owner))
            || sweeper.groups.values().any(|group| group.trouble == Some(Trouble::TooCheap))
    }

    /// The request for coins that has this identity.
    pub(crate) fn coins_asked(&self, request: &ActionId) -> Option<&Ask> {
        self.requests.sweeper.asked.values().find(|ask| ask_id(self, ask) == *request)
    }
}
