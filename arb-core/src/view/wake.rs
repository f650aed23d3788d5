//! When a channel has to be looked at again: the next height at which anything could follow that does not follow now.
//!
//! A superset is fine (an alarm in vain concludes nothing); a height left out would be a missed deadline. The heights
//! come from the same expressions that judgement tests.

use super::{ChannelView, ContractState};
use crate::api::outcome::Upstream;
use crate::api::units::{Blocks, Height};
use crate::channel::{ScriptsRequest, chain_height, forget_height, give_up_height};
use crate::resolver::ContractStage;
use alloc::vec::Vec;

impl ChannelView<'_> {
    /// The next height at which this channel has to be judged.
    pub(crate) fn alarm(&self) -> Option<Height> {
        let mut heights = Vec::new();
        if self.channel.ratchet.frozen.is_none() {
            self.open_wakes(&mut heights);
        }
        self.outcome_wakes(&mut heights);
        self.closed_wakes(&mut heights);
        self.sweep_wakes(&mut heights);
        heights.into_iter().filter(|height| *height > self.tip).min()
    }

    fn open_wakes(&self, heights: &mut Vec<Height>) {
        for (key, state) in &self.channel.htlcs {
            let usable = self.channel.ratchet.usable.contains_key(key);
            if let Some(height) = chain_height(state, usable, self.policy) {
                heights.push(height);
                heights.push(height.after(self.policy.overdue_max));
                // Overdue, and worth less than a close so far: what a close costs changes with every estimate.
                let answered = usable && key.is_offered();
                if height <= self.tip && !answered && self.channel.has_output_somewhere(*key) {
                    heights.push(self.tip.next());
                }
            }
        }
    }

    fn outcome_wakes(&self, heights: &mut Vec<Height>) {
        for (key, state) in self.channel.htlcs.iter().filter(|(key, _)| key.is_offered()) {
            let settled = self.channel.ratchet.released.get(key).map(|released| released.outcome);
            if matches!(settled, None | Some(Upstream::Failed(_))) {
                heights.extend(give_up_height(state, self.policy));
                heights.push(forget_height(state, self.policy));
            }
        }
    }

    /// What the sweeper waits for: the next block while a refusal is to be answered or a commitment has a child, and now and
    /// then a new look at the estimate for what nobody contests.
    fn sweep_wakes(&self, heights: &mut Vec<Height>) {
        let requests = &self.channel.requests;
        let waiting =
            self.close.is_none() && (self.channel.ratchet.went_to_chain || !self.channel.ratchet.seen.is_empty());
        if waiting || !requests.bumps.is_empty() && self.close.is_some() {
            heights.push(self.tip.next());
        }
        heights.extend(requests.sweeper.paused.values().map(|rested| rested.next()));
        for group in requests.sweeper.groups.values() {
            let at = group.members.iter().filter_map(|member| requests.sweeper.price(member)).map(|price| price.at);
            // Again and again: one look in vain is not the last.
            let lazy = self.policy.lazy_target.get().max(1);
            heights.extend(at.map(|at| {
                let passed = self.tip.since(at).unwrap_or_default().get().checked_div(lazy).unwrap_or(0);
                at.after(Blocks::new(passed.saturating_add(1).saturating_mul(lazy)))
            }));
            heights.extend(group.trouble.map(|_| self.tip.next()));
        }
    }

    fn closed_wakes(&self, heights: &mut Vec<Height>) {
        let Some(close) = &self.close else { return };
        heights.push(Height::buried_at(close.height, self.fail_depth));
        heights.push(Height::buried_at(close.height, self.policy.irrevocable_depth));
        heights.extend(self.spends.values().map(|spend| Height::buried_at(spend.height, self.fail_depth)));
        heights
            .extend(self.spends.values().map(|spend| Height::buried_at(spend.height, self.policy.irrevocable_depth)));
        heights.extend(self.foreign_until(close));
        if close.loading {
            heights.push(self.tip.next());
        }
        if let ScriptsRequest::Asked { at } = self.channel.requests.scripts {
            heights.push(at.next());
        }
        for contract in &self.contracts {
            match &contract.state {
                ContractState::Live(
                    ContractStage::Waiting { until }
                    | ContractStage::Contested { until }
                    | ContractStage::Spent { until },
                ) => heights.push(*until),
                ContractState::Live(ContractStage::ClaimWanted(claim)) => {
                    heights.push(claim.worth_waiting_until(self.policy));
                    heights.extend(claim.deadline.map(Height::next));
                    // The feerate wanted rises with every block until it is spent.
                    heights.extend(claim.deadline.map(|_| self.tip.next()));
                }
                ContractState::Done(_) => {}
            }
        }
    }
}
