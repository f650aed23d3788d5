//! A confirmed spend of a funding output, as [`classify`](crate::channel::classify) sees it.

use crate::api::facts::{ChannelFacts, Funding, Side};
use crate::api::stage::CloseKind;
use crate::api::units::Height;
use crate::bolt3::{CommitmentKeys, Secret};
use crate::channel::commitments::{Commitment, CommitmentSet, Rebuilt};
use bitcoin::{ScriptBuf, Txid};

/// A confirmed spend of a funding output.
#[derive(Clone, Debug)]
pub(crate) struct Close {
    pub(crate) kind: CloseKind,
    pub(crate) height: Height,
    pub(crate) txid: Txid,
    /// The index in [`ChannelFacts::fundings`] of the funding that it spends.
    pub(crate) funding: usize,
    /// The commitment number that the transaction shows; `None` if it does not have the form of a commitment.
    pub(crate) number: Option<u64>,
    /// Whose commitment it is: ours for the kinds `Local` and `Superseded`, the counterparty's also for `Mutual` and `Unknown`.
    pub(crate) owner: Side,
    /// The commitment rebuilt: from the set, or for a revoked one from the candidate that was loaded.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// The keys that punish it; `Some` exactly for the kind `Revoked`.
    pub(crate) penalty: Option<Penalty>,
    /// Whether it may be revoked and its candidates have not been loaded from the log yet.
    pub(crate) loading: bool,
    /// Whether it is, or may be, another commitment of ours, and the node has not said what our point for its number is.
    pub(crate) asks_point: bool,
    /// Our keys for it; `Some` only for the kind `Superseded`, once the node has told the point that gives our main output.
    pub(crate) own: Option<Own>,
    /// Its index in [`CommitmentSet::remotes`]; `Some` exactly for the kinds `Remote` and `RemotePending`.
    pub(super) remote: Option<usize>,
    /// The loaded candidate that it is; `None` for other kinds, and for a revoked one that we cannot rebuild.
    pub(super) past: Option<Commitment>,
}

/// The keys of a revoked commitment, and the script of the outputs that the cheating peer can spend only after its delay:
/// `to_local`, and the outputs of its HTLC transactions (BOLT 3).
#[derive(Clone, Debug)]
pub(crate) struct Penalty {
    pub(crate) secret: Secret,
    pub(crate) keys: CommitmentKeys,
    pub(crate) script: ScriptBuf,
    pub(crate) script_pubkey: ScriptBuf,
}

/// The keys of a commitment of ours that we cannot rebuild, and the script of its `to_local`.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) keys: CommitmentKeys,
    pub(crate) script_pubkey: ScriptBuf,
}

impl Close {
    /// The keys of our commitment: of the set, or of another one whose point the node told.
    pub(crate) fn own_keys(&self) -> Option<&CommitmentKeys> {
        let rebuilt = self.rebuilt.as_ref().map(|rebuilt| &rebuilt.built.keys);
        rebuilt.or(self.own.as_ref().map(|own| &own.keys))
    }

    /// Whether log or node has not answered yet what it is.
    pub(crate) const fn is_asked(&self) -> bool {
        self.loading || self.asks_point
    }

    /// The commitment that confirmed; `None` if it is neither in the set nor a revoked one that we could rebuild.
    pub(crate) fn commitment<'a>(&'a self, set: &'a CommitmentSet) -> Option<&'a Commitment> {
        match self.kind {
            CloseKind::Local => set.local.as_ref().map(|local| &local.commitment),
            CloseKind::Remote | CloseKind::RemotePending => set.remotes.get(self.remote?),
            CloseKind::Revoked => self.past.as_ref(),
            CloseKind::Mutual | CloseKind::Unknown | CloseKind::Superseded => None,
        }
    }

    /// Whether we cannot tell which of its outputs are HTLCs: then any output may be one, and its spend may show a preimage.
    pub(crate) fn is_foreign(&self) -> bool {
        match self.kind {
            CloseKind::Unknown | CloseKind::Superseded => true,
            CloseKind::Revoked => self.rebuilt.is_none(),
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Mutual => false,
        }
    }

    /// The funding output that it spends.
    pub(crate) fn funding<'a>(&self, facts: &'a ChannelFacts) -> Option<&'a Funding> {
        facts.fundings.get(self.funding)
    }
}
