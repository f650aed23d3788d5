//! What did not come back, and why (I16): outputs of ours that nobody spent, and HTLCs that the counterparty took.
//!
//! | sum | what it may hold |
//! |---|---|
//! | `uneconomic_sat` | outputs that could leave nothing in any block of their window, all stages counted |
//! | `anchors_sat` | anchors that no child spent |
//! | `priced_out_sat` | HTLCs that the counterparty took while the price was above every sane budget |
//! | `out_of_reach_sat` | HTLCs that the counterparty took, and for which the wallet had no usable coin in their window |
//! | `given_up_sat` | all else that nobody spent: a loss |
//! | `lost_sat` | all else that the counterparty took: a loss |
//!
//! An output that nobody spent can be claimed until prices are at their lowest: every world ends in a calm.

use arb_core::{CloseKind, Htlc, Side};
use bitcoin::OutPoint;

use super::costs::{self, Stages};
use super::{Verdict, violated};
use crate::balance_oracle::{Taken, Unspent, UnspentKind};
use crate::fixture::Commitment;
use crate::sim::world::World;
use crate::sim::world::process::Process;
use crate::sim::world::seen::Purse;

/// Blocks before a deadline in which a claim at the end of its curve should find a place.
const LAST_BLOCKS: u32 = 6;

/// Blocks that a commitment must be confirmed before a deadline, so that the deadline can be met.
const IN_TIME_BLOCKS: u32 = 12;

/// Sums over the channels of a run, in satoshi.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) lost: u64,
    pub(crate) uneconomic: u64,
    pub(crate) anchors: u64,
    pub(crate) priced_out: u64,
    pub(crate) out_of_reach: u64,
    pub(crate) given_up: u64,
    /// What our claims paid in fees.
    pub(crate) paid: u64,
    /// What they brought, before fees.
    pub(crate) gained: u64,
    /// What single claims paid above what they brought.
    pub(crate) overpaid: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.uneconomic += other.uneconomic;
        self.anchors += other.anchors;
        self.priced_out += other.priced_out;
        self.out_of_reach += other.out_of_reach;
        self.given_up += other.given_up;
        self.paid += other.paid;
        self.gained += other.gained;
        self.overpaid += other.overpaid;
    }
}

/// I16: of what nobody spent, only what could never leave anything is uneconomic. `least_sat` is the least value that leaves
/// something at the lowest lasting price; returns whether the output is given up.
pub(crate) fn is_given_up(unspent: &Unspent, least_sat: u64) -> bool {
    unspent.what != UnspentKind::Anchor && unspent.value_sat >= least_sat
}

/// I16: nothing is given up that could have left something.
pub(crate) fn invariant_i16_nothing_is_left_behind(given_up: &[(Unspent, u64)]) -> Verdict {
    match given_up.first() {
        None => Ok(()),
        Some((unspent, least_sat)) => {
            let Unspent { outpoint, value_sat, what } = unspent;
            violated(
                "I16",
                format!("{outpoint} ({what:?}, {value_sat} sat) was left; {least_sat} sat would have paid for it"),
            )
        }
    }
}

/// I14: nothing that is promised is lost.
pub(crate) fn invariant_i14_nothing_promised_is_lost(lost_sat: u64) -> Verdict {
    if lost_sat == 0 {
        Ok(())
    } else {
        violated("I14", format!("{lost_sat} sat are lost although they could be claimed"))
    }
}

/// What a coin could do for a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Pay for it.
    Free,
    /// Pay for it together with a claim that has the coin.
    Shared,
    /// Nothing: a claim that can share no transaction with this one has it.
    Held,
}

/// Whether no coins that the wallet had could have paid for a claim in any of these blocks. `price_at` is the least feerate
/// (sat per kw) that confirmed in a block; `use_of` says what a coin with this owner could do.
pub(crate) fn is_out_of_reach(
    purses: &[(u32, &Purse)],
    stages: &Stages,
    price_at: impl Fn(u32) -> u32,
    use_of: impl Fn(Option<OutPoint>) -> Use,
) -> bool {
    let affordable = |(height, purse): &(u32, &Purse)| {
        let price = price_at(height + 1);
        let coins = |uses: &[Use]| -> Vec<u64> {
            let coins = purse.iter().filter(|(_, owner)| uses.contains(&use_of(*owner)));
            coins.map(|(value, _)| *value).collect()
        };
        let alone = costs::room_sat(&coins(&[Use::Free]), price) >= costs::fee_sat(stages.first, price);
        let both = stages.first + stages.marginal();
        alone || costs::room_sat(&coins(&[Use::Free, Use::Shared]), price) >= costs::fee_sat(both, price)
    };
    !purses.is_empty() && !purses.iter().any(affordable)
}

impl World {
    /// Sorts what did not come back of a channel into the sums.
    pub(super) fn count_unclaimed(&mut self, channel: usize) -> Verdict {
        let Some(measured) = self.channels[channel].measured.clone() else { return Ok(()) };
        let Some((closed, commitment)) = self.closed_by(channel) else { return Ok(()) };
        let mut given_up = Vec::new();
        for unspent in &measured.unclaimed.unspent {
            let stages = self.stages(channel, &commitment, unspent.what);
            let least_sat = stages.least_value_sat(self.conditions.lasting_sat_per_kw());
            let sum = match unspent.what {
                UnspentKind::Anchor => &mut self.sums.anchors,
                UnspentKind::Own | UnspentKind::Htlc(_) if is_given_up(unspent, least_sat) => {
                    given_up.push((*unspent, least_sat));
                    &mut self.sums.given_up
                }
                UnspentKind::Own | UnspentKind::Htlc(_) => &mut self.sums.uneconomic,
            };
            *sum += unspent.value_sat;
        }
        // Of an unknown commitment only our main output can be claimed.
        let is_known = measured.kind != CloseKind::Unknown;
        let taken = measured.unclaimed.taken.iter().filter(|_| is_known);
        let taken: Vec<(Taken, Why)> =
            taken.map(|taken| (*taken, self.why_taken(channel, (closed, &commitment), taken))).collect();
        let lost = taken.iter().filter(|(_, why)| *why == Why::Lost).map(|(taken, _)| *taken).collect();
        let behind = self.behind_in_the_queue(channel, (closed, &commitment), lost);
        for (taken, why) in taken {
            let why = if behind.contains(&taken) { Why::OutOfReach } else { why };
            self.note(|| format!("channel {channel}: {taken:?} was taken: {why:?}"));
            if self.trace.is_some() {
                self.note_prices(&taken);
            }
            match why {
                Why::Late => self.counts.many("not_promised/late_sat", taken.value_sat),
                Why::Adversary => self.counts.many("not_promised/adversary_sat", taken.value_sat),
                Why::Market => self.counts.many("not_promised/market_sat", taken.value_sat),
                Why::PricedOut => self.sums.priced_out += taken.value_sat,
                Why::OutOfReach => self.sums.out_of_reach += taken.value_sat,
                Why::Lost => self.sums.lost += taken.value_sat,
            }
        }
        invariant_i16_nothing_is_left_behind(&given_up)
    }

    /// The least value in satoshi of an output of a closed channel that leaves something at the prices that last.
    pub(crate) fn least_value_sat(&self, channel: usize, what: UnspentKind) -> Option<u64> {
        let (_, commitment) = self.closed_by(channel)?;
        Some(self.stages(channel, &commitment, what).least_value_sat(self.conditions.lasting_sat_per_kw()))
    }

    pub(super) fn stages(&self, channel: usize, commitment: &Commitment, what: UnspentKind) -> Stages {
        let plan = &self.channels[channel].plan;
        Stages::of(commitment.owner, what, plan.channel_type, plan.feerate_sat_per_kw)
    }

    /// Notes prices and purses before the counterparty took an HTLC.
    fn note_prices(&mut self, taken: &Taken) {
        for height in taken.height.saturating_sub(30)..taken.height {
            let (price, lazy) = (self.price(height + 1), self.conditions.lazy_sat_per_kw(height));
            let purse = self.seen.purses.get(&height).cloned();
            self.note(|| format!("after block {height}: next price {price}, lazy {lazy}, coins {purse:?}"));
        }
    }

    /// Why the counterparty could take an HTLC that we could claim.
    fn why_taken(&self, channel: usize, (closed, commitment): (u32, &Commitment), taken: &Taken) -> Why {
        let at = &self.channels[channel];
        let Some(htlc) = at.htlcs().find(|htlc| htlc.key == taken.htlc) else { return Why::Lost };
        let deadline = htlc.cltv_expiry.get();
        let since = self.seen.usable_since.get(&at.key(taken.htlc)).copied().unwrap_or(u32::MAX);
        let margin = self.plan.policy.incoming_margin.get();
        let stages = self.stages(channel, commitment, UnspentKind::Htlc(taken.htlc));
        if since.saturating_add(margin) > deadline {
            return Why::Late;
        }
        if self.conditions.adversary.is_some() {
            return Why::Adversary;
        }
        let is_late = closed + IN_TIME_BLOCKS > deadline;
        let purses = self.window(channel, closed, taken, htlc);
        let use_of = |owner| self.use_of(commitment, owner, taken, htlc);
        if stages.from_wallet && is_out_of_reach(&purses, &stages, |height| self.price(height), use_of) {
            return Why::OutOfReach;
        }
        if is_late && !self.conditions.is_fair() {
            return Why::Market;
        }
        let divisor = self.plan.policy.budget_divisor;
        let affordable = |height: u32| {
            let lazy = self.conditions.lazy_sat_per_kw(height);
            stages.is_affordable(taken.value_sat, divisor, self.price(height), lazy)
        };
        let last = deadline.saturating_sub(LAST_BLOCKS - 1)..=deadline;
        if last.into_iter().all(affordable) { Why::Lost } else { Why::PricedOut }
    }

    /// The wallet's usable coins after each block in which the claim of an HTLC could be sent.
    pub(super) fn window(&self, channel: usize, closed: u32, taken: &Taken, htlc: &Htlc) -> Vec<(u32, &Purse)> {
        let at = &self.channels[channel];
        let since = self.seen.usable_since.get(&at.key(taken.htlc)).copied().unwrap_or(u32::MAX);
        let is_late = closed + IN_TIME_BLOCKS > htlc.cltv_expiry.get();
        let begun = if is_late { at.frozen_at.unwrap_or(closed) } else { closed };
        let blocks = begun.max(since)..taken.height.max(begun + 1);
        // A preimage that was learnt after the output was taken has no block.
        let purses = Some(blocks).filter(|blocks| !blocks.is_empty()).map(|blocks| self.seen.purses.range(blocks));
        purses.into_iter().flatten().map(|(height, purse)| (*height, purse)).collect()
    }

    /// What a coin with this owner could do for the claim of an HTLC.
    pub(super) fn use_of(&self, commitment: &Commitment, owner: Option<OutPoint>, taken: &Taken, htlc: &Htlc) -> Use {
        match owner {
            None => Use::Free,
            Some(owner) if owner == taken.outpoint => Use::Free,
            Some(owner) if self.shares(commitment, &owner, htlc) => Use::Shared,
            Some(_) => Use::Held,
        }
    }

    /// Notes what a poor wallet has now.
    pub(super) fn note_purse(&mut self) {
        if self.economy.poor.is_none() {
            return;
        }
        let purse = self.purse();
        self.seen.purses.insert(self.chain.tip().0, purse);
    }

    fn purse(&self) -> Purse {
        let Process { wallet, gone, signer, .. } = &self.process;
        let usable =
            wallet.coins().iter().filter(|(coin, _)| !gone.contains_key(coin) && signer.refuses != Some(**coin));
        usable.map(|(coin, txout)| (txout.value.to_sat(), wallet.owner_of(coin))).collect()
    }

    /// The value of all usable coins of our wallet, in satoshi.
    pub(crate) fn usable_sat(&self) -> u64 {
        self.purse().iter().map(|(value, _)| value).sum()
    }

    /// Whether a claim of this output can share a transaction with the claim of an HTLC: both have preimages, or wait for one
    /// height.
    fn shares(&self, commitment: &Commitment, other: &OutPoint, htlc: &Htlc) -> bool {
        if commitment.owner != Side::Local {
            return false;
        }
        let mut outputs = (0..commitment.htlcs.len()).filter_map(|position| {
            let (outpoint, _, _) = commitment.htlc_output(position).ok()?;
            commitment.htlcs.get(position).filter(|_| outpoint == *other)
        });
        outputs.next().is_some_and(|other| {
            let both = other.key.is_offered() == htlc.key.is_offered();
            both && (!htlc.key.is_offered() || other.cltv_expiry == htlc.cltv_expiry)
        })
    }

    /// The least feerate (sat per kw) that confirms in the block of this height.
    pub(super) fn price(&self, height: u32) -> u32 {
        self.conditions.clearing(height).unwrap_or(0).max(self.conditions.least_sat_per_kw(height))
    }
}

/// Why the counterparty could take an HTLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The preimage came too late.
    Late,
    /// The adversary kept our claim out.
    Adversary,
    /// The market kept our commitment out for too long.
    Market,
    /// No sane budget bought a place in its last blocks.
    PricedOut,
    /// The wallet had no usable coin.
    OutOfReach,
    /// Nothing excuses it.
    Lost,
}
