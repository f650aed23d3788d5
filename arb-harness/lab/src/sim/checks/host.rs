//! The host of a simulated process. It carries actions out like any host, and checks each of them first (I5, I7, I10).

use arb_core::{Action, Alert, BroadcastAnswer, ChannelId, Event, HtlcKey, Link, Policy, Rejected};
use arb_harness::driver::Outside;
use arb_harness::host::Host;

use super::{actions, outcomes};
use crate::chain::Chain;
use crate::sim::violation::Violation;
use crate::sim::world::channel::SimChannel;
use crate::sim::world::manners::{Manner, Manners};
use crate::sim::world::seen::SeenActions;
use crate::sim::world::short;

/// A host that checks every action before it carries it out.
pub(crate) struct CheckedHost<'a> {
    pub(crate) host: Host<'a, Chain>,
    pub(crate) channels: &'a [SimChannel],
    pub(crate) policy: &'a Policy,
    pub(crate) actions: &'a mut SeenActions,
    pub(crate) manners: &'a mut Manners,
    pub(crate) refusals: &'a mut Vec<(Event, Rejected)>,
    pub(crate) trace: Option<&'a mut Vec<String>>,
}

impl CheckedHost<'_> {
    fn inspect(&mut self, action: &Action) -> Result<(), Violation> {
        let channel_of = |id| self.channels.iter().find(|at| at.fixture.id() == id);
        match action {
            Action::Broadcast { channel, txs, .. } => {
                let Some(tx) = txs.first() else { return Ok(()) };
                // The court cannot know of a spend that a slow search will find.
                let is_searched = tx.input.iter().any(|input| self.manners.is_searched(&input.previous_output.txid));
                if !is_searched {
                    actions::invariant_i7_no_sweep_spends_the_spent(self.host.chain, self.host.heard.height.get(), tx)?;
                }
                let Some(at) = channel_of(*channel) else { return Ok(()) };
                // A remote commitment that was seen unconfirmed is sent again, together with our child.
                let theirs = txs.len() > 1 && at.is_remote(tx);
                if !theirs && tx.input.iter().any(|input| input.previous_output == at.fixture.setup().funding) {
                    self.actions.public.insert(tx.compute_txid());
                    actions::invariant_i10_only_our_newest_commitment(at, tx)?;
                }
            }
            Action::Sign(request) => {
                let Some(at) = channel_of(request.channel) else { return Ok(()) };
                let funding = at.fixture.setup().funding;
                if request.tx.input.iter().any(|input| input.previous_output == funding) {
                    actions::invariant_i10_only_our_newest_commitment(at, &request.tx)?;
                }
            }
            Action::FailUpstream { htlc, why, .. } => {
                let Some(at) = channel_of(htlc.channel) else { return Ok(()) };
                if !self.manners.was_asked(htlc) {
                    self.suspect_others(htlc);
                }
                // What was released stays due until it is acknowledged, also in a reorg.
                if !why.is_give_up() && !self.manners.was_asked(htlc) {
                    let heard = self.host.heard.height.get();
                    outcomes::invariant_i5_no_failure_while_it_can_be_claimed(
                        self.host.chain,
                        heard,
                        at,
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
            | Action::LoadPoint { .. }
            | Action::ReportOutcome { .. }
            | Action::ChannelResolved { .. } => {}
            Action::Alert { channel, alert, .. } => {
                if let Alert::Risk { htlc, .. } = alert {
                    self.actions.risks.insert(HtlcKey { channel: *channel, htlc: *htlc });
                }
            }
        }
        Ok(())
    }

    /// The upstream HTLC of this one is about to fail. The others that we sent for it must have failed, too, or were given up
    /// with a risk on record (I5, A9).
    fn suspect_others(&mut self, failed: &HtlcKey) {
        let heard = self.host.heard.height.get();
        let all = || self.channels.iter().flat_map(|at| at.htlcs().map(move |htlc| (at, htlc)));
        let link = all().find(|(at, htlc)| at.key(htlc.key) == *failed).map(|(_, htlc)| htlc.link);
        let Some(link @ Link::Forward(_)) = link else { return };
        for (at, other) in all().filter(|(at, htlc)| htlc.link == link && at.key(htlc.key) != *failed) {
            let (chain, policy) = (&*self.host.chain, self.policy);
            let judged = outcomes::invariant_i5_no_failure_while_it_can_be_claimed(chain, heard, at, policy, other.key);
            self.actions.suspected.extend(judged.err().map(|violation| (at.key(other.key), violation)));
        }
    }

    fn carry_out(&mut self, action: Action, answers: &mut Vec<Event>) {
        match self.manners.of(&action, self.host.heard.height.get(), self.host.node) {
            Manner::Prompt => self.host.perform(action, answers),
            Manner::Slow => self.host.perform(action, &mut self.manners.held),
            Manner::Later => {}
            Manner::Wrong(answer) => answers.push(answer),
        }
    }

    /// The answer of a node that refuses a batch of claims for a reason that nothing explains (A3).
    fn whim(&mut self, action: &Action) -> Option<Event> {
        let Action::Broadcast { channel, txs, .. } = action else { return None };
        let [tx] = txs.as_slice() else { return None };
        // A claim shows a script; a coin of the wallet does not.
        let claims = tx.input.iter().filter(|input| input.witness.len() > 2).count();
        let why = if claims > 1 { self.actions.whims.pop()? } else { return None };
        self.actions.refused_batches += 1;
        self.actions.refused_at.insert(self.host.heard.height.get());
        let (txid, answer) = (tx.compute_txid(), BroadcastAnswer::Rejected(why));
        Some(Event::BroadcastAnswered { channel: *channel, txid, answer })
    }
}

impl Outside for CheckedHost<'_> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        if let Some(trace) = &mut self.trace {
            let mut text = format!("{}: due {action:?}", self.host.heard.height);
            let end = text.char_indices().map(|(index, _)| index).nth(240).unwrap_or(text.len());
            text.truncate(end);
            trace.push(text);
        }
        if let Err(violation) = self.inspect(&action) {
            self.actions.violation.get_or_insert(violation);
        }
        match self.whim(&action) {
            Some(answer) => answers.push(answer),
            None => self.carry_out(action, answers),
        }
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
