//! The money of a run: what HTLCs are worth and what block space costs, if the worlds are drawn for the sweeper's economy. It
//! has a stream of numbers of its own, so the worlds without it stay as they are.

use arb_core::bolt3::ChannelType;
use arb_core::CloseKind;

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
}

/// The smallest HTLC of a world with a focus on money, in satoshi.
const SMALLEST_SAT: u64 = 1_000;

/// The money of a run.
#[derive(Clone, Debug)]
pub(crate) struct Economy {
    /// Prices and amounts; `None` without a focus on money.
    pub(crate) money: Option<Money>,
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
        Self { money: focus.map(|Focus::Money| money) }
    }

    /// An economy without anything special.
    #[cfg(test)]
    pub(crate) fn fair() -> Self {
        Self { money: None }
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

    /// Adapts a plan: more HTLCs on channels with anchors, fewer revoked closes, and commitments that nodes relay.
    pub(crate) fn adjust(&self, seed: u64, plan: &mut Plan) {
        let Some(money) = &self.money else { return };
        let mut rng = Rng::new(seed, 5);
        plan.acts.0 += 20;
        for channel in &mut plan.channels {
            if rng.percent(70) {
                channel.channel_type = ChannelType::AnchorsZeroFeeHtlcTx;
            }
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
        let economy = Economy { money: Some(money) };
        let drawn: Vec<u64> = (0..2_000).filter_map(|_| economy.amount_sat(&mut rng)).collect();
        assert!(drawn.iter().all(|sat| (1_000..=400_000).contains(sat)));
        let count = |from: u64, to: u64| drawn.iter().filter(|sat| (from..to).contains(*sat)).count();
        assert!(count(1_000, 2_000) > 100 && count(128_000, 256_000) > 100 && count(256_000, 400_001) > 100);
        assert_eq!(Economy::fair().amount_sat(&mut rng), None);
    }
}
