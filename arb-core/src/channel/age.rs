//! Whether our state is older than the counterparty's (F5): age is proved, not claimed (A4).
//!
//! Tests: `arb-harness/lab/tests/court_suite/age.rs`.

use crate::api::event::{CommitmentUpdate, PeerState, RemoteRevoked};
use crate::bolt3::point_of_secret;
use crate::channel::state::{ChannelArbitrator, Shown};
use bitcoin::secp256k1::Secp256k1;

/// What the counterparty's numbers say of our state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is the newest.
    Current,
    /// It is old: the counterparty has a revocation of ours that we do not know, and showed the secret.
    Newer,
    /// It is old, says the counterparty, and shows nothing.
    Claim,
    /// Nothing: the counterparty lost data, or not everything of the channel is told yet.
    Nothing,
}

impl ChannelArbitrator {
    /// Reads the counterparty's `channel_reestablish` (BOLT 2).
    pub(crate) fn reads(&self, peer: &PeerState) -> Reading {
        let (Some(local), Some(remote)) = (&self.set.local, self.set.newest_remote()) else { return Reading::Nothing };
        let (local, point) = (local.commitment.number, local.commitment.point);
        let (commitment, revocation) = (peer.next_commitment_number, peer.next_revocation_number);
        if revocation > local {
            // Of our later commitments the court knows no point: the node's word counts.
            let is_ours = if revocation.checked_sub(1) == Some(local) {
                point_of_secret(&Secp256k1::new(), &peer.last_secret).ok() == Some(point)
            } else {
                peer.secret_is_ours
            };
            return if is_ours { Reading::Newer } else { Reading::Claim };
        }
        if commitment > remote.saturating_add(1) {
            return Reading::Claim;
        }
        let is_lower = revocation.saturating_add(1) < local || commitment < remote;
        if is_lower { Reading::Nothing } else { Reading::Current }
    }

    /// What one of the node's own commitments of ours shows, if it is above the next one.
    pub(crate) fn newer_local(&self, update: &CommitmentUpdate) -> Option<Shown> {
        let is_newer = self.adopted.is_some() && update.number > self.set.next_local;
        is_newer.then_some(Shown { local: update.number, remote: 0 })
    }

    /// The same for one of theirs: the one before may not be revoked yet.
    pub(crate) fn newer_remote(&self, update: &CommitmentUpdate) -> Option<Shown> {
        let is_newer = self.adopted.is_some() && update.number > self.set.next_remote();
        is_newer.then_some(Shown { local: 0, remote: update.number.saturating_sub(1) })
    }

    /// The same for one of their revocations.
    pub(crate) fn newer_revoked(&self, heard: &RemoteRevoked) -> Option<Shown> {
        let is_newer = self.adopted.is_some() && heard.number > self.set.next_revoked;
        is_newer.then_some(Shown { local: 0, remote: heard.number.saturating_add(1) })
    }
}
