//! The host of a simulated process: carries actions out as any host does, and looks at each one first (I5, I7, I10).

use arb_core::{Action, ChannelId, Event, Policy, Rejected};
use arb_harness::driver::Outside;
use arb_harness::host::Host;

use super::{actions, outcomes};
use crate::chain::Chain;
use crate::sim::violation::Violation;
use crate::sim::world::lane::Lane;
use crate::sim::world::seen::Watchman;
use crate::sim::world::short;

/// A host with a watchman.
pub(crate) struct Street<'a> {
    pub(crate) host: Host<'a, Chain>,
    pub(crate) lanes: &'a [Lane],
    pub(crate) policy: &'a Policy,
    pub(crate) watchman: &'a mut Watchman,
    pub(crate) refusals: &'a mut Vec<(Event, Rejected)>,
    pub(crate) trace: Option<&'a mut Vec<String>>,
}

impl Street<'_> {
    fn inspect(&mut self, action: &Action) -> Result<(), Violation> {
        let lane_of = |id| self.lanes.iter().find(|lane| lane.fixture.id() == id);
        match action {
            Action::Broadcast { channel, txs, .. } => {
                let Some(tx) = txs.first() else { return Ok(()) };
                actions::invariant_i7_no_sweep_spends_the_spent(self.host.chain, self.host.heard.height.get(), tx)?;
                let Some(lane) = lane_of(*channel) else { return Ok(()) };
                // A commitment of theirs that was seen unconfirmed is sent again, with our child.
                let theirs = txs.len() > 1 && lane.is_remote(tx);
                if !theirs && tx.input.iter().any(|input| input.previous_output == lane.fixture.setup().funding) {
                    self.watchman.public.insert(tx.compute_txid());
                    actions::invariant_i10_only_our_newest_commitment(lane, tx)?;
                }
            }
            Action::Sign(request) => {
                let Some(lane) = lane_of(request.channel) else { return Ok(()) };
                let funding = lane.fixture.setup().funding;
                if request.tx.input.iter().any(|input| input.previous_output == funding) {
                    actions::invariant_i10_only_our_newest_commitment(lane, &request.tx)?;
                }
            }
            Action::FailUpstream { htlc, why, .. } => {
                let Some(lane) = lane_of(htlc.channel) else { return Ok(()) };
                if !why.is_give_up() {
                    let heard = self.host.heard.height.get();
                    outcomes::invariant_i5_no_failure_while_it_can_be_claimed(
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
