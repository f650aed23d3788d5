//! The conditions of a run: its fee market, its mempool minimum, and whether an adversary fights over our claims. They have
//! a stream of numbers of their own, so the rest of a world does not depend on them.

use arb_core::bolt3::ChannelType;
use arb_core::{Event, Fees};

use super::economy::{Economy, Money};
use super::rng::Rng;
use super::{ChannelPlan, Plan, START};
use crate::adversary::{ActKind, Tactic};
use crate::chain::{Chain, flat_fees};
use crate::market::{Market, MarketKind, RELAY_FLOOR_SAT_PER_KW};

/// The coins of an adversary: how many, and of how many satoshi.
pub(crate) const ADVERSARY_COINS: (u32, u64) = (16, 500_000);

/// Blocks of the last phase after which the adversary stops and prices fall to the floor. What was offered at the end of
/// its curve waits for that, however long it takes (I12).
pub(crate) const BLOCKS_UNTIL_CALM: u32 = 200;

/// Blocks of calm after which estimates are as low as nodes relay.
const BLOCKS_UNTIL_CHEAP: u32 = 100;

/// The lowest feerate that the simulated nodes relay without a focus on money (sat per kw).
pub(crate) const RELAY_FLOOR: u32 = 250;

/// The confirmation target of what nobody contests, in blocks.
const LAZY_TARGET: u16 = 144;

/// The highest flat estimate without a market (sat per kw).
pub(crate) const FLAT_MOST: u32 = 1_500;

/// The fee market and the adversary of a run.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    market: Option<(MarketKind, Market)>,
    /// The block of the market that is the first of the run.
    offset: u32,
    /// From this height on every block takes what pays the floor.
    calm_from: Option<u32>,
    /// Prices of a world with a focus on money.
    money: Option<Money>,
    /// Which channel has the adversary as its counterparty, and its tactic.
    pub(crate) adversary: Option<(usize, Tactic)>,
}

impl Conditions {
    /// Draws the conditions of a seed, for a world with this many channels and this money.
    pub(crate) fn draw(seed: u64, channels: usize, economy: &Economy) -> Self {
        let mut rng = Rng::new(seed, 3);
        let kind = match rng.weighted(&[52, 16, 16, 12, 4]) {
            0 => None,
            1 => Some(MarketKind::Calm),
            2 => Some(MarketKind::DayNight),
            3 => Some(MarketKind::Spike),
            _ => Some(MarketKind::Flood),
        };
        let kind = economy.money.map_or(kind, |money| money.market);
        let market = kind.map(|kind| (kind, Market::new(kind, seed)));
        let offset = rng.blocks(0, 2_880);
        let channel = usize::from(channels > 1 && rng.percent(50));
        let tactics = [
            Tactic::Replace,
            Tactic::Cycle,
            Tactic::Stall,
            Tactic::Pin { descendants: rng.blocks(1, 8), outputs_each: rng.blocks(0, 20) },
            Tactic::Evict { up_to_sat_per_kvb: 40_000, blocks: rng.blocks(1, 6) },
            Tactic::Mine { percent: rng.blocks(10, 50) },
        ];
        let tactic = rng.pick(&tactics).filter(|_| rng.percent(30));
        let tactic = tactic.filter(|_| economy.money.is_none_or(|money| money.may_be_fought));
        let (money, adversary) = (economy.money, tactic.map(|tactic| (channel, tactic)));
        Self { market, offset, calm_from: None, money, adversary }
    }

    /// Flat fees and no adversary, for a world that is hard enough to believe.
    pub(crate) fn calmed(self) -> Self {
        Self { market: None, adversary: None, ..self }
    }

    /// Flat fees and no adversary.
    #[cfg(test)]
    pub(crate) fn fair() -> Self {
        Self { market: None, offset: 0, calm_from: None, money: None, adversary: None }
    }

    /// The name under which the market is counted.
    pub(crate) fn name(&self) -> &'static str {
        match self.market.map(|(kind, _)| kind) {
            None => "market/flat",
            Some(MarketKind::Calm) => "market/calm",
            Some(MarketKind::DayNight) => "market/day_night",
            Some(MarketKind::Spike) => "market/spike",
            Some(MarketKind::Flood) => "market/flood",
        }
    }

    /// Whether a claim confirms in the next block after it offers the end of its curve (the precondition of I14). Prices
    /// then stay below what the budgets of all but small HTLCs buy, and nothing keeps our transactions out.
    pub(crate) fn is_fair(&self) -> bool {
        let priced = matches!(self.market, Some((MarketKind::Spike | MarketKind::Flood, _)));
        !priced && self.adversary.is_none()
    }

    /// Whether every block takes every transaction that pays the relay floor.
    pub(crate) fn is_flat(&self) -> bool {
        self.market.is_none()
    }

    /// Outputs up to this many satoshi may cost more than their budget to claim, or to close for.
    pub(crate) fn small_sat(&self) -> u64 {
        match self.market.map(|(kind, _)| kind) {
            None if self.money.is_none() => 4_000,
            None | Some(MarketKind::Calm) => 12_000,
            Some(MarketKind::DayNight | MarketKind::Spike | MarketKind::Flood) => 60_000,
        }
    }

    /// Blocks that a run may take longer than one with flat fees and without an adversary.
    pub(crate) fn patience_blocks(&self) -> u32 {
        let is_slow = self.market.is_some() || self.adversary.is_some() || self.money.is_some();
        if is_slow { BLOCKS_UNTIL_CALM + 200 } else { 0 }
    }

    /// Adapts the commitment feerates of a plan to the market, since a commitment keeps the feerate that it was signed
    /// with. Channels get the feerate that nodes agree on in such a market if the counterparty's signature covers all of a
    /// transaction; so does half of the channels with anchors.
    pub(crate) fn adjust(&self, plan: &mut Plan) {
        if let Some((channel, _)) = self.adversary {
            plan.channels.iter_mut().skip(channel).take(1).for_each(|channel| channel.idle = false);
        }
        let Some((kind, _)) = self.market else { return };
        let usual = if kind == MarketKind::Calm { 2_500 } else { 12_000 };
        for (number, channel) in (self.offset..).zip(&mut plan.channels) {
            let ChannelPlan { channel_type, feerate_sat_per_kw, .. } = channel;
            let needs_child = *channel_type == ChannelType::AnchorsZeroFeeHtlcTx && number.is_multiple_of(2);
            if !needs_child {
                *feerate_sat_per_kw = usual;
            }
        }
    }

    /// The fee of a mutual close in satoshi.
    pub(crate) fn mutual_fee_sat(&self) -> u64 {
        let usual = if self.market.is_some() { 9_000 } else { 1_000 };
        // A mutual close weighs less than 1,000.
        usual.max(u64::from(self.least_sat_per_kw(u32::MAX)) * 2)
    }

    /// The least feerate (sat per kw) that nodes relay at this height, but for what a market asks.
    pub(crate) fn least_sat_per_kw(&self, height: u32) -> u32 {
        let Some(money) = self.money else { return RELAY_FLOOR };
        // The mempool is no longer full once the calm has lasted for a while.
        let is_empty = self.calm_from.is_some_and(|from| from.saturating_add(BLOCKS_UNTIL_CHEAP) <= height);
        let minimum = if height >= money.rises_at && !is_empty { money.minimum_sat_per_kw } else { 0 };
        money.floor_sat_per_kw.max(minimum)
    }

    /// What nodes relay at all (sat per kw).
    pub(crate) fn floor_sat_per_kw(&self) -> u32 {
        self.money.map_or(RELAY_FLOOR, |money| money.floor_sat_per_kw)
    }

    /// The minimum of the mempool in satoshi per thousand virtual bytes when no market and no adversary fills it; zero if it
    /// is not full.
    pub(crate) fn minimum_sat_per_kvb(&self, height: u32) -> u64 {
        let least = self.least_sat_per_kw(height);
        if least > self.floor_sat_per_kw() { u64::from(least) * 4 } else { 0 }
    }

    fn block(&self, height: u32) -> u32 {
        height.saturating_sub(START) + self.offset
    }

    /// Ends the market: from this height on every block takes what pays the floor.
    pub(crate) fn calm_down(&mut self, height: u32) {
        self.calm_from.get_or_insert(height);
    }

    fn market_at(&self, height: u32) -> Option<Market> {
        let is_over = self.calm_from.is_some_and(|from| from <= height);
        self.market.filter(|_| !is_over).map(|(_, market)| market)
    }

    /// The least feerate (sat per kw) in the block of this height; `None` if every transaction gets in.
    pub(crate) fn clearing(&self, height: u32) -> Option<u32> {
        self.market_at(height).map(|market| market.clearing(self.block(height)))
    }

    /// The lowest feerate that lasts (sat per kw): that of the calm at the end.
    pub(crate) fn lasting_sat_per_kw(&self) -> u32 {
        self.floor_sat_per_kw()
    }

    /// The most that was estimated at this height for what can wait a day (sat per kw).
    pub(crate) fn lazy_sat_per_kw(&self, height: u32) -> u32 {
        let estimated = match self.market_at(height) {
            Some(market) => {
                let fees = market.estimates(self.block(height));
                let fits = fees.by_target.iter().rev().find(|(target, _)| *target <= LAZY_TARGET);
                fits.map_or(u32::MAX, |(_, feerate)| *feerate)
            }
            None => FLAT_MOST,
        };
        estimated.max(self.least_sat_per_kw(height))
    }

    /// The most that was estimated at this height for the next block (sat per kw).
    pub(crate) fn next_sat_per_kw(&self, height: u32) -> u32 {
        let estimated = match self.market_at(height) {
            Some(market) => {
                market.estimates(self.block(height)).by_target.first().map_or(u32::MAX, |(_, feerate)| *feerate)
            }
            None => FLAT_MOST,
        };
        estimated.max(self.least_sat_per_kw(height))
    }

    /// What counterparties pay in the block of this height (sat per kw); `None` if they pay what they always pay.
    pub(crate) fn price_of_peers(&self, height: u32) -> Option<u32> {
        let price = self.clearing(height);
        let least = self.money.map(|_| self.least_sat_per_kw(height).max(500) + 10);
        price.max(least)
    }

    /// The estimate at the present tip; without a market `flat` for every target (sat per kw).
    pub(crate) fn estimate(&self, chain: &Chain, flat: u32) -> Event {
        let is_cheap = self.calm_from.is_some_and(|from| from + BLOCKS_UNTIL_CHEAP <= chain.tip().0);
        let floor = self.floor_sat_per_kw();
        let flat = if is_cheap { floor } else { flat.max(floor) };
        let event = match self.market_at(chain.tip().0) {
            Some(market) => Event::FeesEstimated(self.floored(market.estimates(self.block(chain.tip().0)))),
            None => flat_fees(flat, floor),
        };
        match (event, u32::try_from(chain.mempool_min_feerate().div_ceil(4))) {
            // A node with a full mempool never estimates below its minimum.
            (Event::FeesEstimated(fees), Ok(minimum)) if minimum > 0 => {
                let fees = at_least(fees, minimum);
                let mempool_min_sat_per_kw = fees.mempool_min_sat_per_kw.max(minimum);
                Event::FeesEstimated(Fees { mempool_min_sat_per_kw, ..fees })
            }
            (event, _) => event,
        }
    }

    /// A market's estimates for nodes with another relay floor than the market's.
    fn floored(&self, fees: Fees) -> Fees {
        let Some(money) = self.money else { return fees };
        at_least(Fees { relay_floor_sat_per_kw: money.floor_sat_per_kw, ..fees }, money.floor_sat_per_kw)
    }

    /// Sets the mempool minimum after a block: a full mempool asks for more than the relay floor. Not if the adversary
    /// fills the mempool, which then sets the minimum.
    pub(crate) fn fill(&self, chain: &mut Chain) {
        let height = chain.tip().0;
        let market = self.market_at(height);
        let is_filled = matches!(self.adversary, Some((_, Tactic::Evict { .. })));
        if is_filled || (market.is_none() && self.money.is_none()) {
            return;
        }
        let of_market = market.map_or(0, |market| market.mempool_floor(self.block(height)));
        let of_market = if of_market > RELAY_FLOOR_SAT_PER_KW { u64::from(of_market) * 4 } else { 0 };
        let minimum = of_market.max(self.minimum_sat_per_kvb(height));
        if minimum != chain.mempool_min_feerate() {
            chain.set_mempool_min_feerate(minimum);
            chain.trim();
        }
    }
}

/// These estimates, none of them below a feerate (sat per kw).
fn at_least(fees: Fees, least: u32) -> Fees {
    let by_target = fees.by_target.iter().map(|(target, rate)| (*target, (*rate).max(least))).collect();
    Fees { by_target, ..fees }
}

/// The name under which an adversary's act is counted.
pub(crate) fn act_name(kind: ActKind) -> &'static str {
    match kind {
        ActKind::Replaced => "adversary/replace",
        ActKind::CycleIn | ActKind::CycleOut => "adversary/cycle",
        ActKind::Stalled => "adversary/stall",
        ActKind::Pinned | ActKind::Junk => "adversary/pin",
        ActKind::Evicted => "adversary/evict",
        ActKind::Mined => "adversary/mine",
    }
}
