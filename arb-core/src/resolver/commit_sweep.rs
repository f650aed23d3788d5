//! Our main output: `to_local` after its delay on our commitment, `to_remote` on theirs (BOLT 5 LC1, LC2, RC2).
//!
//! ```text
//! Waiting ──mature──► ClaimWanted ──spent──► Spent ──irrevocable──► Done(Claimed | Lost)
//! ```

use crate::api::facts::Side;
use crate::api::outcome::ContractOutcome;
use crate::api::plan::ClaimPath;
use crate::api::units::Height;
use crate::bolt3::{SpendPath, delayed_script, to_remote_script};
use crate::resolver::Next;
use crate::resolver::kit::{Claim, ResolverKit};
use bitcoin::OutPoint;

/// Owns our main output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitSweep {
    pub(crate) outpoint: OutPoint,
}

impl CommitSweep {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        if let Some(spend) = kit.spend_of(&self.outpoint) {
            let ours = [SpendPath::Delayed, SpendPath::ToRemote].contains(&spend.path);
            return kit.follow(spend, if ours { ContractOutcome::Claimed } else { ContractOutcome::Lost });
        }
        match self.claim(kit) {
            Some(claim) => kit.claim(claim),
            // The output was found by its script: it exists.
            None => Next::Done(ContractOutcome::Unclaimed),
        }
    }

    fn claim(&self, kit: &ResolverKit<'_>) -> Option<Claim> {
        let output = kit.output(&self.outpoint)?;
        let facts = &kit.channel.facts;
        let (path, witness_script, point, sequence, since) = match kit.owner() {
            Side::Local => {
                let keys = &kit.close.rebuilt.as_ref()?.built.keys;
                let delay = facts.local.delay_blocks;
                let script = delayed_script(&keys.revocation, delay, &keys.owner_delayed);
                let since = ResolverKit::matures(kit.close.height, delay);
                (ClaimPath::ToLocal, Some(script), keys.per_commitment_point, u32::from(delay), since)
            }
            Side::Remote => {
                let payment = facts.local.basepoints.payment;
                let script = to_remote_script(facts.channel_type, &payment);
                // The anchors form has a CSV of one block; P2WPKH only wants a replaceable transaction.
                let sequence = if script.is_some() { 1 } else { 0xffff_fffd };
                (ClaimPath::ToRemote, script, payment, sequence, kit.close.height)
            }
        };
        Some(Claim {
            outpoint: self.outpoint,
            path,
            amount_sat: output.value.to_sat(),
            script_pubkey: output.script_pubkey.clone(),
            witness_script,
            point,
            secret: None,
            preimage: None,
            peer_signature: None,
            sequence,
            lock_time: Height::new(0),
            since,
            deadline: None,
            htlc: None,
        })
    }
}
