//! What a place in a block costs in a run, and whether somebody fights over our claims. Drawn from a stream of its own, so
//! that the rest of a world does not depend on it.

use arb_core::bolt3::ChannelType;
use arb_core::{Event, Fees};

use super::rng::Rng;
use super::{ChannelPlan, Plan, START};
use crate::adversary::{ActKind, Tactic};
use crate::chain::{Chain, flat_fees};
use crate::market::{Market, MarketKind, RELAY_FLOOR_SAT_PER_KW};

/// The coins of an adversary.
pub(crate) const ADVERSARY_COINS: (u32, u64) = (16, 500_000);

/// Blocks of the healing phase after which the chain is fair: an adversary gives up, and prices fall to the floor. What was
/// offered at the end of its curve waits for that, however long it takes (I12).
pub(crate) const CALMS_DOWN: u32 = 200;

/// What a run's fee market and adversary are.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    market: Option<(MarketKind, Market)>,
    /// The market's block in which the run begins.
    offset: u32,
    /// From which height on everything is cheap.
    calm_from: Option<u32>,
    /// Which channel's counterparty fights, and how.
    pub(crate) adversary: Option<(usize, Tactic)>,
}

impl Conditions {
    /// The conditions of a seed, for a world of this many channels.
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

    /// No market and no adversary.
    #[cfg(test)]
    pub(crate) fn fair() -> Self {
        Self { market: None, offset: 0, calm_from: None, adversary: None }
    }

    /// The name that the world is counted under.
    pub(crate) fn name(&self) -> &'static str {
        match self.market.map(|(kind, _)| kind) {
            None => "market/flat",
            Some(MarketKind::Calm) => "market/calm",
            Some(MarketKind::DayNight) => "market/day_night",
            Some(MarketKind::Spike) => "market/spike",
            Some(MarketKind::Flood) => "market/flood",
        }
    }

    /// Whether what is offered at the end of a curve confirms in the next block (the precondition of I14): prices stay below
    /// what the budgets of all but small HTLCs buy, and nobody keeps our transactions out.
    pub(crate) fn is_fair(&self) -> bool {
        let priced = matches!(self.market, Some((MarketKind::Spike | MarketKind::Flood, _)));
        !priced && self.adversary.is_none()
    }

    /// Whether a block takes whatever pays the relay floor.
    pub(crate) fn is_flat(&self) -> bool {
        self.market.is_none()
    }

    /// HTLCs up to here may cost more to claim, or to close for, than the part of them that is their budget.
    pub(crate) fn small_sat(&self) -> u64 {
        match self.market.map(|(kind, _)| kind) {
            None => 4_000,
            Some(MarketKind::Calm) => 12_000,
            Some(MarketKind::DayNight | MarketKind::Spike | MarketKind::Flood) => 60_000,
        }
    }

    /// The blocks that a run may take longer than with a flat market.
    pub(crate) fn patience_blocks(&self) -> u32 {
        if self.market.is_some() || self.adversary.is_some() { CALMS_DOWN + 200 } else { 0 }
    }

    /// Commitments have the fee that they were signed with. Where the counterparty's signature covers all of a transaction,
    /// and in half of the other channels, that is one for which nodes agree on in such a market.
    pub(crate) fn adjust(&self, plan: &mut Plan) {
        if let Some((channel, _)) = self.adversary {
            plan.channels.iter_mut().skip(channel).take(1).for_each(|channel| channel.dead = false);
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

    /// What a mutual close pays, in satoshi.
    pub(crate) fn mutual_fee_sat(&self) -> u64 {
        if self.market.is_some() { 9_000 } else { 1_000 }
    }

    fn block(&self, height: u32) -> u32 {
        height.saturating_sub(START) + self.offset
    }

    /// From now on everything is cheap.
    pub(crate) fn calm_down(&mut self, height: u32) {
        self.calm_from.get_or_insert(height);
    }

    fn market_at(&self, height: u32) -> Option<Market> {
        let is_over = self.calm_from.is_some_and(|from| from <= height);
        self.market.filter(|_| !is_over).map(|(_, market)| market)
    }

    /// What got into the block of this height; `None`: everything does.
    pub(crate) fn clearing(&self, height: u32) -> Option<u32> {
        self.market_at(height).map(|market| market.clearing(self.block(height)))
    }

    /// The estimate at this tip; a flat one is `flat`.
    pub(crate) fn estimate(&self, chain: &Chain, flat: u32) -> Event {
        let event = match self.market_at(chain.tip().0) {
            Some(market) => Event::FeesEstimated(market.estimates(self.block(chain.tip().0))),
            None => flat_fees(flat, 250),
        };
        match (event, u32::try_from(chain.mempool_min_feerate().div_ceil(4))) {
            // Who has a full mempool says so.
            (Event::FeesEstimated(fees), Ok(floor)) if floor > 0 => {
                let by_target = fees.by_target.iter().map(|(target, rate)| (*target, (*rate).max(floor))).collect();
                let relay_floor_sat_per_kw = fees.relay_floor_sat_per_kw.max(floor);
                Event::FeesEstimated(Fees { by_target, relay_floor_sat_per_kw })
            }
            (event, _) => event,
        }
    }

    /// After a block: a mempool that is full asks for more than the relay floor. An adversary that fills it sees to it alone.
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

/// The name that an adversary's act is counted under.
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
