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
    /// Whose commitment it is: the counterparty's also for the kinds `Mutual` and `Unknown`.
    pub(crate) owner: Side,
    /// The commitment rebuilt: from the set, or for a revoked one from the candidate that was loaded.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// The keys that punish it; `Some` exactly for the kind `Revoked`.
    pub(crate) penalty: Option<Penalty>,
    /// Whether it is revoked and its candidates have not been loaded from the log yet.
    pub(crate) loading: bool,
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

impl Close {
    /// The commitment that confirmed; `None` if it is neither in the set nor a revoked one that we could rebuild.
    pub(crate) fn commitment<'a>(&'a self, set: &'a CommitmentSet) -> Option<&'a Commitment> {
        match self.kind {
            CloseKind::Local => set.local.as_ref().map(|local| &local.commitment),
            CloseKind::Remote | CloseKind::RemotePending => set.remotes.get(self.remote?),
            CloseKind::Revoked => self.past.as_ref(),
            CloseKind::Mutual | CloseKind::Unknown => None,
        }
    }

    /// Whether we cannot tell which of its outputs are HTLCs: then any output may be one, and its spend may show a preimage.
    pub(crate) fn is_foreign(&self) -> bool {
        self.kind == CloseKind::Unknown || self.kind == CloseKind::Revoked && self.rebuilt.is_none()
    }

    /// The funding output that it spends.
    pub(crate) fn funding<'a>(&self, facts: &'a ChannelFacts) -> Option<&'a Funding> {
        facts.fundings.get(self.funding)
    }
}
