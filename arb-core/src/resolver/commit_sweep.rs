//! Our main output: `to_local` after its delay on our commitment, `to_remote` on theirs (BOLT 5 LC1, LC2, RC2).
//!
//! ```text
//! Waiting ──mature──► ClaimWanted ──spent──► Spent ──irrevocable──► Done(Claimed | Lost)
//! ```
//!
//! Tests: `arb-harness/lab/tests/court_suite/incidents_contracts.rs`, `arb-harness/lab/tests/closes/main.rs`.

use crate::api::facts::Side;
use crate::api::outcome::ContractOutcome;
use crate::api::units::Height;
use crate::bolt3::{SpendPath, delayed_script, to_remote_script};
use crate::resolver::Next;
use crate::resolver::kit::{Claim, ClaimWay, ResolverKit};
use bitcoin::{OutPoint, Sequence};

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
            // Not reached: the output was found on the commitment, with the keys that it needs.
            None => Next::Done(ContractOutcome::Unclaimed),
        }
    }

    fn claim(&self, kit: &ResolverKit<'_>) -> Option<Claim> {
        let output = kit.output(&self.outpoint)?;
        let facts = &kit.channel.facts;
        let (way, witness_script, sequence, since) = match kit.owner() {
            Side::Local => {
                let keys = kit.close.own_keys()?;
                let delay = facts.local.delay_blocks;
                let script = delayed_script(&keys.revocation, delay, &keys.owner_delayed);
                let since = ResolverKit::matures(kit.close.height, delay);
                let way = ClaimWay::ToLocal { point: keys.per_commitment_point };
                (way, Some(script), Sequence::from_height(delay), since)
            }
            Side::Remote => {
                let script = to_remote_script(facts.channel_type, &facts.local.basepoints.payment);
                // With anchors `to_remote` has a CSV of one block; as P2WPKH it has no lock, and the claim is only replaceable.
                let sequence =
                    if script.is_some() { Sequence::from_height(1) } else { Sequence::ENABLE_RBF_NO_LOCKTIME };
                (ClaimWay::ToRemote, script, sequence, kit.close.height)
            }
        };
        Some(Claim {
            outpoint: self.outpoint,
            way,
            amount_sat: output.value.to_sat(),
            script_pubkey: output.script_pubkey.clone(),
            witness_script,
            sequence,
            lock_time: Height::new(0),
            since,
            deadline: None,
        })
    }
}
