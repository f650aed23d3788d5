//! I17: no deadline passes in silence. Asked once for each HTLC, when the process is idle for the first time at its deadline or
//! after it: the expiry of the upstream HTLC of one that we sent, the expiry of a received one with its preimage.

use arb_core::{
    Action, Alert, ChannelArbitrator, CloseKind, ContractId, Docket, Htlc, HtlcKey, Link, Stage, StageRecord,
};

use arb_core::bolt3::is_trimmed;

use super::{Verdict, violated};
use crate::sim::plan::ChannelPlan;
use crate::sim::world::World;

/// Blocks before its expiry by which a preimage must be known for the deadline to count: an alert comes a block before it.
const KNOWN_BLOCKS: u32 = 2;

/// What became of an HTLC by its deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// It has an outcome, or its output was spent, or has a claim that is no longer wanted.
    pub(crate) is_over: bool,
    /// A signed claim of its output is sent in every block.
    pub(crate) on_offer: bool,
    /// An alert about its channel told of it.
    pub(crate) is_told: bool,
}

/// I17: a deadline passes with an outcome, with a claim on offer, or after an alert.
pub(crate) fn invariant_i17_no_deadline_passes_in_silence(htlc: HtlcKey, deadline: u32, fate: Fate) -> Verdict {
    if fate.is_over || fate.on_offer || fate.is_told {
        return Ok(());
    }
    violated("I17", format!("the deadline {deadline} of {htlc} passed without an outcome, a claim or an alert"))
}

impl World {
    /// Looks at every HTLC whose deadline has come since the last time.
    pub(super) fn check_silence(&mut self) -> Verdict {
        let Some(court) = self.process.driver.as_ref().map(arb_harness::driver::Driver::court) else { return Ok(()) };
        let tip = court.tip().height.get();
        let (mut passed, due) = (Vec::new(), court.actions_due());
        for at in &self.channels {
            // What a slow search will find, the court cannot know; it is asked again.
            let id = at.fixture.id();
            if due.iter().any(|due| matches!(due, Action::SearchSpends { channel, .. } if *channel == id)) {
                continue;
            }
            let Some(index) = court.index_of(&at.fixture.id()) else { continue };
            let (Some(view), Some(docket)) = (court.channel(index), court.docket(index)) else { continue };
            let told = self.node.alerts.iter().any(|(id, alert)| *id == at.fixture.id() && tells_of_a_deadline(alert));
            let told = told || docket.alerts.iter().any(tells_of_a_deadline);
            for htlc in view.htlcs() {
                let key = at.key(htlc.key);
                let Some(deadline) = self.deadline(key, htlc).filter(|deadline| *deadline <= tip) else { continue };
                // One that joins late joins too late for some.
                let is_late = at.joined.is_none_or(|joined| joined.saturating_add(KNOWN_BLOCKS) > deadline);
                // Going to chain, one that no commitment has an output for is fee already: no block brings it back.
                let is_fee = docket.stage != Stage::Open && is_trimmed_everywhere(&at.plan, htlc);
                if !is_late && !is_fee && !self.seen.deadlines.contains(&key) {
                    passed.push((key, deadline, Fate { is_told: told, ..fate(view, &docket, htlc) }));
                }
            }
        }
        for (key, deadline, fate) in passed {
            self.seen.deadlines.insert(key);
            invariant_i17_no_deadline_passes_in_silence(key, deadline, fate)?;
        }
        Ok(())
    }

    /// The deadline of an HTLC; `None` for a payment of our own, for one whose upstream channel is itself closing, and for a
    /// received one whose preimage came late or never.
    fn deadline(&self, key: HtlcKey, htlc: &Htlc) -> Option<u32> {
        match htlc.link {
            Link::Own => None,
            Link::Relay { deadline } => Some(deadline.get()),
            Link::Forward(upstream) => {
                let at = self.channels.iter().find(|at| at.fixture.id() == upstream.channel)?;
                let expiry = at.htlcs().find(|other| other.key == upstream.htlc)?.cltv_expiry.get();
                (!at.frozen && !at.closing).then_some(expiry)
            }
            Link::Received => {
                let since = self.seen.usable_since.get(&key)?;
                let expiry = htlc.cltv_expiry.get();
                (since.saturating_add(KNOWN_BLOCKS) <= expiry).then_some(expiry)
            }
        }
    }
}

/// Whether an HTLC is trimmed on both sides' commitments: for one side it is offered, for the other received (BOLT 3).
fn is_trimmed_everywhere(plan: &ChannelPlan, htlc: &Htlc) -> bool {
    let (kind, feerate, dust_sat) = (plan.channel_type, plan.feerate_sat_per_kw, plan.dust_limit_sat);
    [true, false].into_iter().all(|offered| is_trimmed(kind, feerate, dust_sat, offered, htlc.amount_msat))
}

fn fate(view: &ChannelArbitrator, docket: &Docket, htlc: &Htlc) -> Fate {
    let contract = docket.contracts.iter().find(|contract| contract.htlc == Some(htlc.key));
    let released = view.released().any(|(key, ..)| key == htlc.key);
    let settled = htlc.key.is_offered() && view.usable(htlc.key).is_some();
    // A received HTLC on chain that has nothing to claim is spent, has ended, or is not ours.
    let passed = !htlc.key.is_offered() && contract.is_some_and(|contract| contract.stage != StageRecord::ClaimWanted);
    let next = contract.and_then(|contract| contract.next_output);
    // Of our own second stage, and of a revoked commitment, nothing is due by the HTLC's deadline.
    let first = contract.map(|contract| contract.id);
    let passed = passed || next.is_some_and(|next| first.is_some_and(|first| first != ContractId::Output(next)));
    let passed = passed || docket.stage == Stage::Resolving(CloseKind::Revoked);
    let on_offer =
        docket.sweeps.iter().any(|sweep| sweep.signed && next.is_some_and(|next| sweep.plan.members.contains(&next)));
    Fate { is_over: released || settled || passed, on_offer, is_told: false }
}

/// Whether an alert says that something waits that should not.
const fn tells_of_a_deadline(alert: &Alert) -> bool {
    match alert {
        Alert::UpstreamAtRisk { .. }
        | Alert::CommitmentWaits { .. }
        | Alert::ClaimWaits { .. }
        | Alert::SourceBehind { .. }
        | Alert::FundingUnconfirmed { .. }
        | Alert::AdoptionIncomplete { .. }
        | Alert::FeeInputsMissing { .. }
        | Alert::FeeTooLow { .. }
        | Alert::SigningRefused { .. }
        | Alert::UnknownCommitment { .. }
        | Alert::SupersededCommitment { .. }
        | Alert::RevokedStateMissing { .. }
        | Alert::UpstreamExpiresFirst { .. }
        | Alert::UpstreamOfOtherHash { .. }
        | Alert::Outdated => true,
        Alert::RevokedCommitment { .. }
        | Alert::Risk { .. }
        | Alert::Loss { .. }
        | Alert::OutputLost { .. }
        | Alert::DeadlineMissed { .. }
        | Alert::ScriptFailure { .. }
        | Alert::Stuck
        | Alert::CoinRefused { .. }
        | Alert::OutputWaits { .. }
        | Alert::PointGivesNoOutput { .. }
        | Alert::PeerClaimsNewer { .. }
        | Alert::DustExposure { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arb_core::{ChannelId, HtlcRef};

    #[test]
    fn i17_a_deadline_without_a_word() {
        let key = HtlcKey { channel: ChannelId([1; 32]), htlc: HtlcRef::offered(0) };
        let verdict = |fate| invariant_i17_no_deadline_passes_in_silence(key, 500, fate).err().map(|it| it.invariant);
        assert_eq!(verdict(Fate::default()), Some("I17"));
        assert_eq!(verdict(Fate { is_over: true, ..Fate::default() }), None);
        assert_eq!(verdict(Fate { on_offer: true, ..Fate::default() }), None);
        assert_eq!(verdict(Fate { is_told: true, ..Fate::default() }), None);
    }
}
