//! A confirmed spend of a funding output, as it was classified.

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
    /// Which of the channel's fundings it spends.
    pub(crate) funding: usize,
    /// The commitment number that the transaction shows.
    pub(crate) number: Option<u64>,
    /// Whose commitment it is; for the kinds that we did not build, the counterparty's.
    pub(crate) owner: Side,
    /// The commitment as we rebuilt it: from the set, or a revoked one from what was loaded.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// What a revoked one is punished with.
    pub(crate) penalty: Option<Penalty>,
    /// It is revoked, and what it was has not been loaded yet.
    pub(crate) loading: bool,
    /// Which of the set's remote commitments it is.
    pub(super) remote: Option<usize>,
    /// The commitment that was loaded and is this one.
    pub(super) past: Option<Commitment>,
}

/// The keys of a revoked commitment, and the script of everything on it that the cheat has to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Penalty {
    pub(crate) secret: Secret,
    pub(crate) keys: CommitmentKeys,
    pub(crate) script: ScriptBuf,
    pub(crate) script_pubkey: ScriptBuf,
}

impl Close {
    /// The commitment, for the kinds that are in the channel's set, and for a revoked one that we could rebuild.
    pub(crate) fn commitment<'a>(&'a self, set: &'a CommitmentSet) -> Option<&'a Commitment> {
        match self.kind {
            CloseKind::Local => set.local.as_ref().map(|local| &local.commitment),
            CloseKind::Remote | CloseKind::RemotePending => set.remotes.get(self.remote?),
            CloseKind::Revoked => self.past.as_ref(),
            CloseKind::Mutual | CloseKind::Unknown => None,
        }
    }

    /// Whether its HTLCs cannot be told from its outputs: any of them may be one, and its spend may show a preimage.
    pub(crate) fn is_foreign(&self) -> bool {
        self.kind == CloseKind::Unknown || self.kind == CloseKind::Revoked && self.rebuilt.is_none()
    }

    /// The funding output that was spent.
    pub(crate) fn funding<'a>(&self, facts: &'a ChannelFacts) -> Option<&'a Funding> {
        facts.fundings.get(self.funding)
    }
}
