//! The conditions of a run: its fee market, its mempool minimum, and whether an adversary fights over our claims. They have
//! a stream of numbers of their own, so the rest of a world does not depend on them.

use arb_core::bolt3::ChannelType;
use arb_core::{Event, Fees};

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

/// The lowest feerate that the simulated nodes relay (sat per kw).
const RELAY_FLOOR: u32 = 250;

/// The fee market and the adversary of a run.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    market: Option<(MarketKind, Market)>,
    /// The block of the market that is the first of the run.
    offset: u32,
    /// From this height on every block takes what pays the floor.
    calm_from: Option<u32>,
    /// Which channel has the adversary as its counterparty, and its tactic.
    pub(crate) adversary: Option<(usize, Tactic)>,
}

impl Conditions {
    /// Draws the conditions of a seed, for a world with this many channels.
    pub(crate) fn draw(seed: u64, channels: usize) -> Self {
        let mut rng = Rng::new(seed, 3);
        let kind = match rng.weighted(&[52, 16, 16, 12, 4]) {
            0 => None,
            1 => Some(MarketKind::Calm),
            2 => Some(MarketKind::DayNight),
            3 => Some(MarketKind::Spike),
            _ => Some(MarketKind::Flood),
        };
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
        Self { market, offset, calm_from: None, adversary: tactic.map(|tactic| (channel, tactic)) }
    }

    /// Flat fees and no adversary.
    #[cfg(test)]
    pub(crate) fn fair() -> Self {
        Self { market: None, offset: 0, calm_from: None, adversary: None }
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
            None => 4_000,
            Some(MarketKind::Calm) => 12_000,
            Some(MarketKind::DayNight | MarketKind::Spike | MarketKind::Flood) => 60_000,
        }
    }

    /// Blocks that a run may take longer than one with flat fees and without an adversary.
    pub(crate) fn patience_blocks(&self) -> u32 {
        if self.market.is_some() || self.adversary.is_some() { BLOCKS_UNTIL_CALM + 200 } else { 0 }
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
        if self.market.is_some() { 9_000 } else { 1_000 }
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

    /// The estimate at the present tip; without a market `flat` for every target (sat per kw).
    pub(crate) fn estimate(&self, chain: &Chain, flat: u32) -> Event {
        let is_cheap = self.calm_from.is_some_and(|from| from + BLOCKS_UNTIL_CHEAP <= chain.tip().0);
        let flat = if is_cheap { RELAY_FLOOR } else { flat };
        let event = match self.market_at(chain.tip().0) {
            Some(market) => Event::FeesEstimated(market.estimates(self.block(chain.tip().0))),
            None => flat_fees(flat, RELAY_FLOOR),
        };
        match (event, u32::try_from(chain.mempool_min_feerate().div_ceil(4))) {
            // A node with a full mempool never estimates below its minimum.
            (Event::FeesEstimated(fees), Ok(floor)) if floor > 0 => {
                let by_target = fees.by_target.iter().map(|(target, rate)| (*target, (*rate).max(floor))).collect();
                let relay_floor_sat_per_kw = fees.relay_floor_sat_per_kw.max(floor);
                Event::FeesEstimated(Fees { by_target, relay_floor_sat_per_kw })
            }
            (event, _) => event,
        }
    }

    /// Sets the mempool minimum after a block: a full mempool asks for more than the relay floor. Not if the adversary
    /// fills the mempool, which then sets the minimum.
    pub(crate) fn fill(&self, chain: &mut Chain) {
        let Some(market) = self.market_at(chain.tip().0) else { return };
        if matches!(self.adversary, Some((_, Tactic::Evict { .. }))) {
            return;
        }
        let floor = market.mempool_floor(self.block(chain.tip().0));
        let minimum = if floor > RELAY_FLOOR_SAT_PER_KW { u64::from(floor) * 4 } else { 0 };
        if minimum != chain.mempool_min_feerate() {
            chain.set_mempool_min_feerate(minimum);
            chain.trim();
        }
    }
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
