//! The money of a run: our wallet, if it is poor, and in worlds that are drawn for the sweeper's economy what HTLCs are worth
//! and what block space costs. It has a stream of numbers of its own, so the rest of a world does not depend on it.

use arb_core::bolt3::ChannelType;
use arb_core::{BroadcastRejection, CloseKind};

use super::act::ActWeights;
use super::conditions::RELAY_FLOOR;
use super::rng::Rng;
use super::{Plan, START};
use crate::market::MarketKind;

/// What worlds can be drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The sweeper's economy: many HTLCs of all sizes on channels with anchors, dear and cheap times, and poor wallets.
    Money,
    /// What the court believes: channels that join late, starts that tell everything again, backups, late answers.
    Belief,
}

/// The smallest HTLC of a world with a focus on money, in satoshi.
const SMALLEST_SAT: u64 = 1_000;

/// Of a hundred worlds of all kinds, so many have a poor wallet.
const POOR_PERCENT: u64 = 30;

/// The money of a run.
#[derive(Clone, Debug)]
pub(crate) struct Economy {
    /// Our wallet, if it is poor; `None`: it has more coins than it needs.
    pub(crate) poor: Option<PoorWallet>,
    /// Prices and amounts; `None` without a focus on money.
    pub(crate) money: Option<Money>,
    /// Claims that queue for the coins of a poor wallet.
    pub(crate) queue: Option<Queue>,
}

/// Many received HTLCs with one expiry on [`QUEUE_CHANNEL`], which closes with our commitment. The node learns their preimages
/// when that is on chain, so that all their claims ask a poor wallet for coins at once (A3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// How many HTLCs there are.
    pub(crate) htlcs: u64,
    /// What each of them is worth, in satoshi.
    pub(crate) amount_sat: u64,
    /// The blocks from the HTLCs' beginning until the node learns the preimages.
    pub(crate) learnt_after: u32,
    /// The blocks from then on until the expiry: fewer than there are HTLCs.
    pub(crate) left: u32,
}

/// The channel of a [`Queue`].
pub(crate) const QUEUE_CHANNEL: usize = 0;

/// Of a hundred worlds with a poor wallet, so many have a queue.
const QUEUE_PERCENT: u64 = 30;

/// A wallet with few coins, and what is wrong with it and with its node. Change is the next coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoorWallet {
    /// Its coins in satoshi: one to three.
    pub(crate) coins_sat: Vec<u64>,
    /// A coin that the wallet believes in and that is gone, in satoshi (A11).
    pub(crate) gone_sat: Option<u64>,
    /// Whether the signer refuses whatever spends the first coin (A36).
    pub(crate) is_refused: bool,
    /// Why the node refuses batches without an explanation, each reason once (A3).
    pub(crate) whims: Vec<BroadcastRejection>,
}

/// Prices and amounts of a world with a focus on money.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Money {
    /// The kind of its fee market; `None`: every block takes what pays the floor.
    pub(crate) market: Option<MarketKind>,
    /// Whether it may have an adversary.
    pub(crate) may_be_fought: bool,
    /// The lowest feerate that its nodes relay: 0.1 to 5 sat/vB (sat per kw).
    pub(crate) floor_sat_per_kw: u32,
    /// What the mempool asks from [`rises_at`](Self::rises_at) on, to the end (sat per kw); zero if it is never full.
    pub(crate) minimum_sat_per_kw: u32,
    pub(crate) rises_at: u32,
    /// The largest HTLC, in satoshi.
    pub(crate) largest_sat: u64,
    /// HTLCs expire at multiples of this height, so that some can share a transaction.
    pub(crate) expiry_step: u32,
}

impl Economy {
    /// The money of a seed.
    pub(crate) fn draw(seed: u64, focus: Option<Focus>) -> Self {
        let mut rng = Rng::new(seed, 4);
        let money = Money::draw(&mut rng);
        let is_poor = (rng.percent(POOR_PERCENT) || focus == Some(Focus::Money)) && focus != Some(Focus::Belief);
        let wallet = PoorWallet::draw(&mut rng);
        let queue = Some(Queue::draw(&mut rng)).filter(|_| rng.percent(QUEUE_PERCENT) && is_poor);
        Self { poor: is_poor.then_some(wallet), money: Some(money).filter(|_| focus == Some(Focus::Money)), queue }
    }

    /// An economy without anything special.
    #[cfg(test)]
    pub(crate) fn fair() -> Self {
        Self { poor: None, money: None, queue: None }
    }

    /// How often each act is drawn; `closing` once the first close has begun.
    pub(crate) fn act_weights(&self, closing: bool) -> ActWeights {
        let of = match (closing, self.money.is_some()) {
            (true, _) => [9, 2, 2, 3, 5, 2, 1, 3, 1, 3, 3],
            (false, false) => [3, 5, 3, 5, 9, 2, 1, 2, 1, 0, 0],
            (false, true) => [2, 8, 7, 4, 14, 1, 1, 2, 1, 0, 0],
        };
        ActWeights { of, most_blocks: if closing { 12 } else { 3 } }
    }

    /// Adapts a plan. With a poor wallet: more channels with anchors, whose HTLCs need coins, and a main output of ours that
    /// comes late, for it is the wallet's largest coin. With a queue: a channel for it. With a focus on money: more HTLCs, fewer revoked closes, and commitments
    /// that nodes relay.
    pub(crate) fn adjust(&self, seed: u64, plan: &mut Plan) {
        let mut rng = Rng::new(seed, 5);
        for channel in plan.channels.iter_mut().filter(|_| self.poor.is_some()) {
            if rng.percent(70) {
                channel.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
            }
            if rng.percent(70) {
                channel.delays.0 = u16::try_from(rng.between(60, 144)).unwrap_or(60);
            }
        }
        if let Some(channel) = plan.channels.get_mut(QUEUE_CHANNEL).filter(|_| self.queue.is_some() && !plan.one_peer) {
            channel.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
            channel.close = CloseKind::Local;
            channel.idle = false;
        }
        let Some(money) = &self.money else { return };
        plan.acts.0 += 20;
        for channel in &mut plan.channels {
            if channel.close == CloseKind::Revoked && !plan.one_peer && rng.percent(70) {
                channel.close = if rng.percent(70) { CloseKind::Local } else { CloseKind::Remote };
            }
            let least = if channel.channel_type.has_anchors() {
                // Its child lifts a commitment over a mempool's minimum, and never over the relay floor.
                money.floor_sat_per_kw
            } else {
                money.dearest_calm_sat_per_kw() * 2
            };
            channel.feerate_sat_per_kw = channel.feerate_sat_per_kw.max(least + SPARE_SAT_PER_KW);
        }
    }

    /// Draws the amount of an HTLC in satoshi, with a focus on money: as many between 1,000 and 2,000 as between 200,000 and
    /// 400,000.
    pub(crate) fn amount_sat(&self, rng: &mut Rng) -> Option<u64> {
        let largest_sat = self.money?.largest_sat;
        let doublings = u64::from((largest_sat / SMALLEST_SAT).max(1).ilog2());
        let low = SMALLEST_SAT << rng.between(0, doublings);
        Some(rng.between(low, (low * 2).min(largest_sat.max(low))))
    }

    /// The expiry of an HTLC: at a multiple of the world's step, not before the height that was drawn.
    pub(crate) fn expiry(&self, drawn: u32) -> u32 {
        self.money.map_or(drawn, |money| drawn.next_multiple_of(money.expiry_step))
    }
}

impl Queue {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            htlcs: rng.between(30, 44),
            amount_sat: rng.between(3_000, 6_000),
            learnt_after: rng.blocks(8, 20),
            left: rng.blocks(19, 22),
        }
    }
}

impl PoorWallet {
    fn draw(rng: &mut Rng) -> Self {
        let sizes = [800, 800, 800, 1_500, 1_500, 3_000, 6_000, 15_000, 100_000];
        let size = |rng: &mut Rng| rng.pick(&sizes).unwrap_or(5_000) + rng.between(0, 999);
        let count = [1, 2, 3][rng.weighted(&[3, 2, 1])];
        let coins_sat: Vec<u64> = (0..count).map(|_| size(rng)).collect();
        let gone_sat = Some(size(rng)).filter(|_| rng.percent(40));
        let is_refused = rng.percent(50);
        let all = [BroadcastRejection::MissingInputs, BroadcastRejection::ConflictInMempool];
        let whims = all.into_iter().filter(|_| rng.percent(60)).collect();
        Self { coins_sat, gone_sat, is_refused, whims }
    }
}

/// Above the floor, for sizes that are rounded up.
const SPARE_SAT_PER_KW: u32 = 10;

impl Money {
    fn draw(rng: &mut Rng) -> Self {
        let market = match rng.weighted(&[10, 10, 10, 35, 35]) {
            0 => None,
            1 => Some(MarketKind::Calm),
            2 => Some(MarketKind::DayNight),
            3 => Some(MarketKind::Spike),
            _ => Some(MarketKind::Flood),
        };
        let floor_sat_per_kw = rng.pick(&[25, 50, 125, RELAY_FLOOR, RELAY_FLOOR, 500, 1_250]).unwrap_or(RELAY_FLOOR);
        let minimum = rng.pick(&[300, 600, 1_250, 2_500]).unwrap_or(0);
        let minimum_sat_per_kw = if rng.percent(50) { minimum.max(floor_sat_per_kw) } else { 0 };
        Self {
            market,
            may_be_fought: rng.percent(33),
            floor_sat_per_kw,
            minimum_sat_per_kw,
            rises_at: START + rng.blocks(0, 200),
            largest_sat: rng.pick(&[2_000, 16_000, 64_000, 400_000, 400_000]).unwrap_or(400_000),
            expiry_step: rng.pick(&[1, 8, 24]).unwrap_or(1),
        }
    }

    /// What nodes ask in the calm at the end (sat per kw).
    pub(crate) fn dearest_calm_sat_per_kw(&self) -> u32 {
        self.floor_sat_per_kw.max(self.minimum_sat_per_kw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_of_all_sizes_and_within_bounds() {
        let mut rng = Rng::new(1, 0);
        let money = Money { largest_sat: 400_000, ..Money::draw(&mut rng) };
        let economy = Economy { money: Some(money), ..Economy::fair() };
        let drawn: Vec<u64> = (0..2_000).filter_map(|_| economy.amount_sat(&mut rng)).collect();
        assert!(drawn.iter().all(|sat| (1_000..=400_000).contains(sat)));
        let count = |from: u64, to: u64| drawn.iter().filter(|sat| (from..to).contains(*sat)).count();
        assert!(count(1_000, 2_000) > 100 && count(128_000, 256_000) > 100 && count(256_000, 400_001) > 100);
        assert_eq!(Economy::fair().amount_sat(&mut rng), None);
    }
}
