//! An output of a revoked commitment, through the cheat's second level (BOLT 5 V3 to V8, V11): ours by the revocation key,
//! for as long as the cheat has to wait.
//!
//! ```text
//! ClaimWanted ──spent by us──► Spent ──irrevocable──► Done(Claimed)
//!      └──spent by a second-level transaction──► its output: ClaimWanted ──spent──► Spent ──► Done(Claimed | Lost)
//! ```
//!
//! A lost race is not a lost output: what the cheat's HTLC transaction leaves is under the revocation key again, and the
//! delay begins anew with its confirmation.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{SpendPath, htlc_script};
use crate::channel::SpendOf;
use crate::resolver::Next;
use crate::resolver::kit::{Claim, ClaimWay, ResolverKit, RevocationKey};
use bitcoin::{OutPoint, ScriptBuf, Sequence, TxOut};

/// Owns one output that a revoked commitment left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) outpoint: OutPoint,
    pub(crate) what: Revoked,
}

/// Which output it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// The cheat's main output.
    ToLocal,
    /// An HTLC of a commitment that we could rebuild.
    Htlc(HtlcRef),
    /// What an HTLC transaction left, of a commitment that we could not rebuild.
    SecondLevel {
        /// Where that transaction confirmed.
        confirmed: Height,
    },
}

impl Breach {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        let Some(spend) = kit.spend_of(&self.outpoint) else {
            return match self.claim(kit) {
                Some(claim) => kit.claim(claim),
                // Its keys are known and it was found by its script: it exists.
                None => Next::Done(ContractOutcome::Unclaimed),
            };
        };
        if spend.path.is_second_level() {
            return follow_second_level(kit, spend);
        }
        // On their commitment the direct paths are our own: a claim from before it was revoked.
        let ours = spend.path == SpendPath::Revocation || spend.path.is_direct();
        kit.follow(spend, if ours { ContractOutcome::Claimed } else { ContractOutcome::Lost })
    }

    fn claim(&self, kit: &ResolverKit<'_>) -> Option<Claim> {
        let penalty = kit.close.penalty.as_ref()?;
        let output = kit.output(&self.outpoint)?;
        let delay = kit.channel.facts.remote.delay_blocks;
        let key = RevocationKey { key: penalty.keys.revocation, secret: penalty.secret };
        let (way, script, since, deadline) = match self.what {
            Revoked::ToLocal => {
                let deadline = ResolverKit::matures(kit.close.height, delay);
                (ClaimWay::ToLocalPenalty(key), penalty.script.clone(), kit.close.height, deadline)
            }
            Revoked::SecondLevel { confirmed } => {
                let deadline = ResolverKit::matures(confirmed, delay);
                (ClaimWay::SecondLevelPenalty(key), penalty.script.clone(), confirmed, deadline)
            }
            Revoked::Htlc(htlc) => {
                let (script, expiry) = htlc_of(kit, htlc)?;
                // The soonest that the cheat can have its output: its own transaction first, then the delay.
                let second = expiry.max(kit.close.height).after(Blocks::new(1));
                let received = htlc.is_offered();
                let way = if received { ClaimWay::ReceivedPenalty(key) } else { ClaimWay::OfferedPenalty(key) };
                (way, script, kit.close.height, ResolverKit::matures(second, delay))
            }
        };
        Some(penalise(self.outpoint, output, way, script, since, deadline))
    }
}

/// The script of an HTLC output, and from when on its expiry lets the cheat spend it.
fn htlc_of(kit: &ResolverKit<'_>, htlc: HtlcRef) -> Option<(ScriptBuf, Height)> {
    let rebuilt = kit.close.rebuilt.as_ref()?;
    let terms = rebuilt.htlcs.get(kit.close.commitment(&kit.channel.set)?.position(htlc)?)?;
    // With the preimage it needs no expiry.
    let expiry = if terms.offered_by_owner { terms.cltv_expiry } else { 0 };
    Some((htlc_script(kit.channel.facts.channel_type, terms, &rebuilt.built.keys), Height::new(expiry)))
}

/// The cheat's HTLC transaction confirmed: what it left is ours for as long as the delay lasts.
fn follow_second_level(kit: &ResolverKit<'_>, spend: &SpendOf) -> Next {
    let found = kit.close.penalty.as_ref().zip(kit.stolen_second_level(spend));
    let Some((penalty, (outpoint, output))) = found else { return kit.follow(spend, ContractOutcome::Lost) };
    match kit.spend_of(&outpoint) {
        Some(last) if last.path == SpendPath::Revocation => kit.follow(last, ContractOutcome::Claimed),
        Some(last) => kit.follow(last, ContractOutcome::Lost),
        None => {
            let deadline = ResolverKit::matures(spend.height, kit.channel.facts.remote.delay_blocks);
            let key = RevocationKey { key: penalty.keys.revocation, secret: penalty.secret };
            let way = ClaimWay::SecondLevelPenalty(key);
            kit.claim(penalise(outpoint, output, way, penalty.script.clone(), spend.height, deadline))
        }
    }
}

fn penalise(
    outpoint: OutPoint,
    output: &TxOut,
    way: ClaimWay,
    script: ScriptBuf,
    since: Height,
    deadline: Height,
) -> Claim {
    Claim {
        outpoint,
        way,
        amount_sat: output.value.to_sat(),
        script_pubkey: output.script_pubkey.clone(),
        witness_script: Some(script),
        // Replaceable; the revocation key waits for nothing.
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        lock_time: Height::new(0),
        since,
        deadline: Some(deadline),
    }
}

impl ResolverKit<'_> {
    /// What the cheat's HTLC transaction left of an output of a revoked commitment: at the input's own index, because our
    /// signature ties the two together (B42), verified to be there and under the revoked keys.
    pub(crate) fn stolen_second_level(&self, spend: &SpendOf) -> Option<(OutPoint, &TxOut)> {
        let penalty = self.close.penalty.as_ref()?;
        let (outpoint, output) = self.child(spend.txid, spend.input)?;
        (output.script_pubkey == penalty.script_pubkey).then_some((outpoint, output))
    }
}
