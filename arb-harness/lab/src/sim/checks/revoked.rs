//! Revoked closes, read from the chain: what the cheating peer took, and what was seen of it.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::HtlcRef;
use bitcoin::{OutPoint, Transaction};

use super::stakes::{AtStake, penalty_outputs};
use crate::fixture::Commitment;
use crate::sim::plan::seeds::our_scripts;
use crate::sim::world::World;

impl World {
    /// The HTLCs of a revoked commitment that an HTLC transaction of the cheating peer has spent: position, transaction,
    /// input.
    fn second_levels(&self, commitment: &Commitment) -> Vec<(usize, &Transaction, usize)> {
        let htlcs =
            penalty_outputs(commitment).into_iter().filter_map(|(outpoint, position)| Some((outpoint, position?)));
        let taken = htlcs.filter_map(|(outpoint, position)| {
            let (_, txid, input) = self.chain.spender_of(&outpoint)?;
            let (_, tx) = self.chain.confirmed(&txid)?;
            (tx.input[input].witness.len() == 5).then_some((position, tx, input))
        });
        taken.collect()
    }

    /// Whether the cheating peer got an HTLC that we sent: with the preimage first, and then its second-level output.
    pub(crate) fn got_away(&self, channel: usize, htlc: HtlcRef) -> bool {
        let Some((_, commitment)) = self.revoked(channel) else { return false };
        let taken = self.second_levels(&commitment);
        let of = taken.into_iter().filter(|(position, ..)| commitment.htlcs[*position].key == htlc);
        of.into_iter().any(|(_, tx, input)| {
            let shown = tx.input[input].witness.iter().any(|item| item.len() == 32);
            shown && self.spender_of_paired(channel, tx, input).is_some_and(|by| !pays_us(by))
        })
    }

    /// The transaction that spent the output paired with this input of an HTLC transaction.
    fn spender_of_paired(&self, channel: usize, tx: &Transaction, input: usize) -> Option<&Transaction> {
        let below = OutPoint::new(tx.compute_txid(), u32::try_from(input).ok()?);
        let (height, txid, _) = self.chain.spender_of(&below)?;
        // Spends after the court was done with the channel do not count.
        self.channels[channel].measured.as_ref().filter(|measured| height <= measured.height)?;
        self.chain.confirmed(&txid).map(|(_, tx)| tx)
    }

    /// Counts what was seen of a revoked close.
    pub(crate) fn count_revoked(&mut self, channel: usize) {
        let Some((_, commitment)) = self.revoked(channel) else { return };
        let (at, mut seen) = (&self.channels[channel], BTreeMap::new());
        let mut count = |name: &'static str, more: usize| *seen.entry(name).or_insert(0) += more;
        count("revoked/idle", usize::from(at.plan.idle));
        count("revoked/own_number", usize::from(commitment.number == at.local));
        let is_old = commitment.number < at.plan.adopted.1;
        count("revoked/no_state", usize::from(is_old && self.has_no_record(channel)));
        count("revoked/told_by_node", usize::from(is_old && !self.has_no_record(channel)));
        let kept: BTreeSet<HtlcRef> = at.on_unrevoked().iter().map(|htlc| htlc.key).collect();
        let taken = self.second_levels(&commitment);
        for (outpoint, position) in penalty_outputs(&commitment) {
            let spender = self.chain.spender_of(&outpoint).and_then(|(_, txid, _)| self.chain.confirmed(&txid));
            let ours = spender.is_some_and(|(_, tx)| pays_us(tx));
            let is_second = position.is_some_and(|position| taken.iter().any(|(taken, ..)| *taken == position));
            count("revoked/taken", usize::from(ours));
            count("revoked/got_away", usize::from(spender.is_some() && !ours && !is_second));
            let forgotten = position.is_some_and(|position| !kept.contains(&commitment.htlcs[position].key));
            count("revoked/forgotten_htlc", usize::from(forgotten));
        }
        for (_, tx, input) in &taken {
            let shown = tx.input[*input].witness.iter().any(|item| item.len() == 32);
            count("revoked/second_level", 1);
            count(if shown { "revoked/second_level_success" } else { "revoked/second_level_timeout" }, 1);
            let others = tx.input.iter().filter(|input| input.witness.len() == 5).count();
            let here = taken.iter().filter(|(_, other, _)| other.compute_txid() == tx.compute_txid()).count();
            count("revoked/aggregated", usize::from(others > 1));
            count("revoked/two_channels", usize::from(others > here));
            match self.spender_of_paired(channel, tx, *input) {
                Some(by) if pays_us(by) => count("revoked/taken_from_second_level", 1),
                Some(_) => count("revoked/got_away", 1),
                None => {}
            }
        }
        for (name, more) in seen {
            self.counts.many(name, u64::try_from(more).unwrap_or(0));
        }
    }

    /// Counts the penalties among the claims of a sweep.
    pub(crate) fn count_penalties(&mut self, members: &[OutPoint], at_stake: &AtStake) {
        for member in members {
            let parent = self.chain.confirmed(&member.txid).map(|(_, tx)| tx);
            let input = parent.and_then(|tx| tx.input.get(usize::try_from(member.vout).ok()?));
            let below = input.is_some_and(|input| at_stake.penalties.contains_key(&input.previous_output));
            match at_stake.penalties.get(member) {
                Some(penalty) if penalty.htlc.is_some() => self.counts.one("class/penalty_raced"),
                Some(_) => self.counts.one("class/penalty_safe"),
                None if below => self.counts.one("class/penalty_safe"),
                None => {}
            }
        }
    }
}

fn pays_us(tx: &Transaction) -> bool {
    let ours = our_scripts();
    tx.output.iter().any(|output| ours.contains(&output.script_pubkey))
}
