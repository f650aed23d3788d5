//! An output of a revoked commitment, and what the cheating peer's HTLC transaction leaves of it (BOLT 5 V3 to V8, V11): ours
//! by the revocation key until the peer's delay ends.
//!
//! ```text
//! ClaimWanted ──spent by us──► Spent ──irrevocable──► Done(Claimed)
//!      └──spent by a second-level transaction──► its output: ClaimWanted ──spent──► Spent ──► Done(Claimed | Lost)
//! ```
//!
//! A lost race is not a lost output: the output of the peer's HTLC transaction is under the revocation key again, and the
//! delay starts anew with its confirmation.
//!
//! Tests: `arb-harness/lab/tests/court_suite/breach.rs`, `arb-harness/lab/tests/breach_suite/main.rs`.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{SpendPath, htlc_script};
use crate::channel::SpendOf;
use crate::resolver::Next;
use crate::resolver::kit::{Claim, ClaimWay, ResolverKit, RevocationKey};
use bitcoin::{OutPoint, ScriptBuf, Sequence, TxOut};

/// Owns one output of a revoked commitment, or of an HTLC transaction below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) outpoint: OutPoint,
    pub(crate) what: Revoked,
}

/// Which output it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// The counterparty's main output.
    ToLocal,
    /// An HTLC of a commitment that we could rebuild.
    Htlc(HtlcRef),
    /// The output of an HTLC transaction below a commitment that we could not rebuild.
    SecondLevel {
        /// The block in which that transaction confirmed.
        confirmed: Height,
    },
}

impl Breach {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        let Some(spend) = kit.spend_of(&self.outpoint) else {
            return match self.claim(kit) {
                Some(claim) => kit.claim(claim),
                // Not reached: the output exists, and a revoked close has its penalty's keys.
                None => Next::Done(ContractOutcome::Unclaimed),
            };
        };
        if spend.path.is_second_level() {
            return follow_second_level(kit, spend);
        }
        // On their commitment the direct paths are ours: a claim of ours from before the revocation.
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
                // The earliest block in which the peer's HTLC transaction can confirm; its delay starts there.
                let earliest = expiry.max(kit.close.height).after(Blocks::new(1));
                let received = htlc.is_offered();
                let way = if received { ClaimWay::ReceivedPenalty(key) } else { ClaimWay::OfferedPenalty(key) };
                (way, script, kit.close.height, ResolverKit::matures(earliest, delay))
            }
        };
        Some(penalise(self.outpoint, output, way, script, since, deadline))
    }
}

/// The script of an HTLC output, and the height from which on the counterparty can spend it: its expiry, or 0 if it takes the
/// preimage.
fn htlc_of(kit: &ResolverKit<'_>, htlc: HtlcRef) -> Option<(ScriptBuf, Height)> {
    let rebuilt = kit.close.rebuilt.as_ref()?;
    let terms = rebuilt.htlcs.get(kit.close.commitment(&kit.channel.set)?.position(htlc)?)?;
    // What it received it spends with the preimage at any height.
    let expiry = if terms.offered_by_owner { terms.cltv_expiry } else { 0 };
    Some((htlc_script(kit.channel.facts.channel_type, terms, &rebuilt.built.keys), Height::new(expiry)))
}

/// The cheating peer's HTLC transaction confirmed: its output is ours by the revocation key, before the delay ends.
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
        // Replaceable; the revocation branch has no lock.
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        lock_time: Height::new(0),
        since,
        deadline: Some(deadline),
    }
}

impl ResolverKit<'_> {
    /// The output of the cheating peer's HTLC transaction that this spend of a revoked commitment's output pays to. It has the
    /// index of the input, because our signature ties the two together (B42). `None` if it is missing or has another script.
    pub(crate) fn stolen_second_level(&self, spend: &SpendOf) -> Option<(OutPoint, &TxOut)> {
        let penalty = self.close.penalty.as_ref()?;
        let (outpoint, output) = self.child(spend.txid, spend.input)?;
        (output.script_pubkey == penalty.script_pubkey).then_some((outpoint, output))
    }
}
