//! Ids of requests, the request that an answer belongs to, and the wallet's coins in use.
//!
//! An id is made of what the answer depends on, so an answer to another request matches nothing (R14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_answers.rs`, `arb-harness/lab/tests/thief_suite/sweeper.rs`.

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

/// The id of the request for the script that sweeps of this channel pay to.
pub(crate) fn scripts_id(channel: &ChannelArbitrator) -> ActionId {
    ActionId::of("scripts", &channel.facts.id, &[])
}

/// The id of a request for coins. A request at another tip or for another amount has another id.
pub(crate) fn ask_id(channel: &ChannelArbitrator, ask: &Ask) -> ActionId {
    let at = ask.at.get().to_le_bytes();
    ActionId::of("fee inputs", &channel.facts.id, &[&outpoint_bytes(&ask.owner), &ask.amount_sat.to_le_bytes(), &at])
}

/// The id of the request to sign a sweep. The txid fixes the outpoints, and they fix the keys until their commitment is
/// revoked. Then the revocation key signs, so the tag differs: a signature with our own key from before does not answer it.
pub(crate) fn sweep_id(channel: &ChannelArbitrator, txid: &Txid) -> ActionId {
    let revoked = channel.close.0.as_ref().is_some_and(|close| close.kind == CloseKind::Revoked);
    let tag = if revoked { "sign penalty" } else { "sign sweep" };
    ActionId::of(tag, &channel.facts.id, &[&txid.to_byte_array()])
}

/// The id of the request to sign our commitment of one funding.
pub(crate) fn commitment_id(channel: &ChannelArbitrator, rebuilt: &Rebuilt) -> ActionId {
    ActionId::of("sign commitment", &channel.facts.id, &[&rebuilt.built.txid.to_byte_array()])
}

impl ChannelArbitrator {
    /// The funding and our commitment that this signing request is for; `None` if it is for neither.
    pub(crate) fn commitment_asked(&self, secp: &Secp256k1<All>, request: &ActionId) -> Option<(Funding, Rebuilt)> {
        let local = self.set.local.as_ref()?;
        self.facts.fundings.iter().find_map(|funding| {
            let rebuilt = self.rebuild(secp, Side::Local, &local.commitment, funding, &[])?;
            (commitment_id(self, &rebuilt) == *request).then(|| (funding.clone(), rebuilt))
        })
    }

    /// The group and version that this signing request is for: the latest version, or an unsigned one that it replaced.
    pub(crate) fn sweep_asked(&self, request: &ActionId) -> Option<(u32, &SweepState, &Sweep)> {
        let mut versions = self.requests.sweeps.iter().flat_map(|(group, state)| {
            let all = state.unsigned.iter().chain([&state.sweep]);
            all.map(move |sweep| (*group, state, sweep))
        });
        versions.find(|(_, state, sweep)| {
            // The latest version's txid is kept: hashing is for replaced versions only.
            let txid = if core::ptr::eq(*sweep, &state.sweep) { state.txid } else { sweep.tx.compute_txid() };
            sweep_id(self, &txid) == *request
        })
    }

    /// The value in sat of a wallet coin that a sweep uses or once used: a dropped sweep may still confirm.
    pub(crate) fn coin_value_sat(&self, outpoint: &OutPoint) -> Option<u64> {
        self.requests.coins.get(outpoint).copied()
    }

    /// The wallet's coins that live sweeps use, and those that were offered and that no sweep uses yet.
    pub(crate) fn coins(&self) -> impl Iterator<Item = OutPoint> {
        let sweeper = &self.requests.sweeper;
        let in_use = sweeper.groups.values().map(|group| &group.fee_inputs);
        in_use.chain(sweeper.unused.values()).flat_map(|fee_inputs| &fee_inputs.coins).map(|coin| coin.outpoint)
    }

    /// Whether [`coins`](Self::coins) has this outpoint.
    pub(crate) fn uses_coin(&self, outpoint: &OutPoint) -> bool {
        // Cheap for what is no coin: a transaction may have thousands of inputs.
        let may_be = self.coin_value_sat(outpoint).is_some() || !self.requests.sweeper.unused.is_empty();
        may_be && self.coins().any(|coin| coin == *outpoint)
    }

    /// Whether lower feerates could change what the sweeper does: something is uneconomic, short of coins, or too cheap.
    pub(crate) fn waits_for_fees(&self) -> bool {
        let sweeper = &self.requests.sweeper;
        !sweeper.uneconomic.is_empty()
            || sweeper.asked.keys().any(|owner| sweeper.missing.contains_key(owner))
            || sweeper.groups.values().any(|group| group.trouble == Some(Trouble::TooCheap))
    }

    /// The unanswered request for coins with this id.
    pub(crate) fn coins_asked(&self, request: &ActionId) -> Option<&Ask> {
        self.requests.sweeper.asked.values().find(|ask| ask_id(self, ask) == *request)
    }
}
