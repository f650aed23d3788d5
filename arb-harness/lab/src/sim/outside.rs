//! The host of a simulated process: carries actions out as any host does, and looks at each one first (I5, I7, I10).

use std::collections::BTreeSet;

use arb_core::{Action, ChannelId, Event, Policy, Rejected};
use arb_harness::driver::Outside;
use arb_harness::host::Host;
use bitcoin::Txid;

use super::Violation;
use super::invariants;
use super::lane::Lane;
use super::seeds::short;
use crate::chain::Chain;

/// What was seen of the court's actions.
#[derive(Debug, Default)]
pub(super) struct Watchman {
    violation: Option<Violation>,
    /// Commitments of ours that were given to the network: a miner may have kept them.
    pub(super) public: BTreeSet<Txid>,
}

impl Watchman {
    /// The first violation, if there was one.
    pub(super) fn verdict(&mut self) -> Result<(), Violation> {
        self.violation.take().map_or(Ok(()), Err)
    }
}

/// A host with a watchman.
pub(super) struct Street<'a> {
    pub(super) host: Host<'a, Chain>,
    pub(super) lanes: &'a [Lane],
    pub(super) policy: &'a Policy,
    pub(super) watchman: &'a mut Watchman,
    pub(super) refusals: &'a mut Vec<(Event, Rejected)>,
    pub(super) trace: Option<&'a mut Vec<String>>,
}

impl Street<'_> {
    fn inspect(&mut self, action: &Action) -> Result<(), Violation> {
        let lane_of = |id| self.lanes.iter().find(|lane| lane.fixture.id() == id);
        match action {
            Action::Broadcast { channel, txs, .. } => {
                let Some(tx) = txs.first() else { return Ok(()) };
                invariants::invariant_i7_no_sweep_spends_the_spent(self.host.chain, self.host.heard.height.get(), tx)?;
                let Some(lane) = lane_of(*channel) else { return Ok(()) };
                // A commitment of theirs that was seen unconfirmed is sent again, with our child.
                let theirs = txs.len() > 1 && lane.is_remote(tx);
                if !theirs && tx.input.iter().any(|input| input.previous_output == lane.fixture.setup().funding) {
                    self.watchman.public.insert(tx.compute_txid());
                    invariants::invariant_i10_only_our_newest_commitment(lane, tx)?;
                }
            }
            Action::Sign(request) => {
                let Some(lane) = lane_of(request.channel) else { return Ok(()) };
                let funding = lane.fixture.setup().funding;
                if request.tx.input.iter().any(|input| input.previous_output == funding) {
                    invariants::invariant_i10_only_our_newest_commitment(lane, &request.tx)?;
                }
            }
            Action::FailUpstream { htlc, why, .. } => {
                let Some(lane) = lane_of(htlc.channel) else { return Ok(()) };
                if !why.is_give_up() {
                    let heard = self.host.heard.height.get();
                    invariants::invariant_i5_no_failure_while_it_can_be_claimed(
                        self.host.chain,
                        heard,
                        lane,
                        self.policy,
                        htlc.htlc,
                    )?;
                }
            }
            Action::SearchSpends { .. }
            | Action::RequestScripts { .. }
            | Action::RequestFeeInputs { .. }
            | Action::HoldFeeInputs { .. }
            | Action::ReleaseFeeInputs { .. }
            | Action::FreezeChannel { .. }
            | Action::SettleUpstream { .. }
            | Action::AskForPreimage { .. }
            | Action::LoadRevoked { .. }
            | Action::Alert { .. }
            | Action::ReportOutcome { .. }
            | Action::ChannelResolved { .. } => {}
        }
        Ok(())
    }
}

impl Outside for Street<'_> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        if let Some(trace) = &mut self.trace {
            let mut text = format!("{}: due {action:?}", self.host.heard.height);
            let end = text.char_indices().map(|(index, _)| index).nth(240).unwrap_or(text.len());
            text.truncate(end);
            trace.push(text);
        }
        if let Err(violation) = self.inspect(&action) {
            self.watchman.violation.get_or_insert(violation);
        }
        self.host.perform(action, answers);
    }

    fn refused(&mut self, event: &Event, why: &Rejected) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{}: refused {why}: {}", self.host.heard.height, short(event)));
        }
        self.refusals.push((event.clone(), why.clone()));
    }

    fn damaged(&mut self, channel: ChannelId, why: &str) {
        self.host.damaged(channel, why);
    }
}
