//! When a channel is judged again: the next height at which something could follow that does not follow now (R5).
//!
//! Too many heights are harmless, because a needless alarm concludes nothing. A missing one is a missed deadline. The heights
//! come from the same expressions that `decide` and the resolvers test.
//!
//! Tests: `arb-harness/lab/tests/thief_suite/heights.rs`, `arb-harness/lab/tests/thief_suite/sweeper.rs`.

use super::{ChannelView, ContractState};
use crate::api::outcome::Upstream;
use crate::api::units::{Blocks, Height};
use crate::channel::{SECOND_STAGE_MIN, ScriptsRequest, chain_height, forget_height, give_up_height, told_deadline};
use crate::resolver::ContractStage;
use alloc::vec::Vec;

impl ChannelView<'_> {
    /// The next height at which this channel must be judged; `None` if no block alone changes anything.
    pub(crate) fn alarm(&self) -> Option<Height> {
        let mut heights = Vec::new();
        if self.channel.ratchet.frozen.is_none() {
            self.open_wakes(&mut heights);
        }
        self.outcome_wakes(&mut heights);
        self.held_wakes(&mut heights);
        self.closed_wakes(&mut heights);
        self.sweep_wakes(&mut heights);
        heights.into_iter().filter(|height| *height > self.tip).min()
    }

    /// Heights at which an open channel's HTLCs may call for going to chain.
    fn open_wakes(&self, heights: &mut Vec<Height>) {
        for (key, state) in &self.channel.htlcs {
            let usable = self.channel.ratchet.usable.contains_key(key);
            if let Some(height) = chain_height(state, usable, self.policy) {
                heights.push(height);
                heights.push(height.after(self.policy.overdue_max));
                // Overdue but not worth a close yet: the cost of a close changes with every estimate.
                let answered = self.channel.is_answered(*key);
                if height <= self.tip && !answered && self.channel.has_output_somewhere(*key) {
                    heights.push(self.tip.next());
                }
            }
        }
    }

    /// Heights at which a person is told that a deadline is near and no commitment is confirmed (I17).
    fn held_wakes(&self, heights: &mut Vec<Height>) {
        if self.close.is_some() {
            return;
        }
        let htlcs = self.channel.htlcs.keys();
        let deadlines = htlcs.filter_map(|htlc| told_deadline(self.channel, *htlc, self.policy));
        heights.extend(deadlines.map(|deadline| deadline.before(SECOND_STAGE_MIN)));
    }

    /// Heights at which an HTLC that we sent is given up, or its waiting ends.
    fn outcome_wakes(&self, heights: &mut Vec<Height>) {
        for (key, state) in self.channel.htlcs.iter().filter(|(key, _)| key.is_offered()) {
            let released = self.channel.ratchet.released.get(key).map(|released| released.outcome);
            if matches!(released, None | Some(Upstream::Failed(_))) {
                heights.extend(give_up_height(state, self.policy));
                heights.push(forget_height(state, self.policy));
            }
        }
    }

    /// Heights for the sweeper: the next block while a refusal is to be answered, a bump is in force, or a commitment may need
    /// a child; and every `lazy_target` blocks a look at the estimate, which is all that uncontested claims follow.
    fn sweep_wakes(&self, heights: &mut Vec<Height>) {
        let requests = &self.channel.requests;
        let waiting =
            self.close.is_none() && (self.channel.ratchet.went_to_chain || !self.channel.ratchet.seen.is_empty());
        // Until a funding confirms nothing of it can be sent, so it costs nothing in a block (A19).
        let waiting = waiting && self.channel.is_funded();
        if waiting || !requests.bumps.is_empty() && self.close.is_some() {
            heights.push(self.tip.next());
        }
        heights.extend(requests.sweeper.paused.values().map(|paused_at| paused_at.next()));
        for group in requests.sweeper.groups.values() {
            let at = group.members.iter().filter_map(|member| requests.sweeper.price(member)).map(|price| price.at);
            // Repeats every `lazy_target` blocks, also after a look that changed nothing.
            let lazy = self.policy.lazy_target.get().max(1);
            heights.extend(at.map(|at| {
                let passed = self.tip.since(at).unwrap_or_default().get().checked_div(lazy).unwrap_or(0);
                at.after(Blocks::new(passed.saturating_add(1).saturating_mul(lazy)))
            }));
            heights.extend(group.trouble.map(|_| self.tip.next()));
        }
    }

    /// Heights at which a close, its spends and its contracts mature, become irrevocable or are given up.
    fn closed_wakes(&self, heights: &mut Vec<Height>) {
        let Some(close) = &self.close else { return };
        heights.push(Height::buried_at(close.height, self.fail_depth));
        heights.push(Height::buried_at(close.height, self.policy.irrevocable_depth));
        heights.extend(self.spends.values().map(|spend| Height::buried_at(spend.height, self.fail_depth)));
        heights
            .extend(self.spends.values().map(|spend| Height::buried_at(spend.height, self.policy.irrevocable_depth)));
        heights.extend(self.foreign_until(close));
        if close.is_asked() {
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
                    heights.push(self.waits_too_long_at(claim));
                    heights.extend(claim.deadline.map(Height::next));
                    // The wanted feerate of a contested claim rises in every block.
                    heights.extend(claim.deadline.map(|_| self.tip.next()));
                }
                ContractState::Done(_) => {}
            }
        }
    }
}
