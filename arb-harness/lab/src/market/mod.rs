//! The price of block space: four kinds of fee market, and an estimator that knows only their past.
//!
//! A [`Market`] is a pure function of its kind, its seed and a block's index: nothing is stored, any block can be asked for
//! first, and all arithmetic is in integers. Feerates are in sat per kw: 250 are one sat/vB. The price is modelled, not the
//! transactions that make it: a transaction of any size that pays [`clearing`](Market::clearing) is in that block.

pub(crate) mod noise;

use arb_core::Fees;

use noise::Noise;

/// The least feerate that is relayed: one sat/vB, rounded up as all implementations do.
pub const RELAY_FLOOR_SAT_PER_KW: u32 = 253;
/// How many blocks the fee market has before block 0: the first estimate needs their feerates.
const EARLIER: u64 = 4_032;
/// One sat/vB in sat per kw.
const SAT_PER_VB: u64 = 250;

/// For each confirmation target: how many of the last blocks are considered, and in which share of them (permille) the
/// estimate would have confirmed. Modelled on Bitcoin Core's estimator, which wants 85 % of a horizon's transactions
/// confirmed within the target, and whose horizons are about 26, 208 and 1,450 blocks. A rise shows after the target and
/// the other 15 % of the horizon (4, 34 or 235 blocks), and until it has left the horizon.
const TARGETS: [(u16, usize, usize); 11] = [
    (1, 24, 950),
    (2, 24, 850),
    (3, 36, 800),
    (6, 48, 800),
    (12, 72, 780),
    (24, 144, 600),
    (36, 144, 520),
    (72, 432, 300),
    (144, 504, 250),
    (504, 1_008, 200),
    (1_008, 1_008, 100),
];
/// The most blocks that any target considers.
const LOOK_BACK: usize = 1_008;
/// How many blocks a full mempool remembers.
const FLOOR_LOOK_BACK: u64 = 72;

/// The kind of a fee market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarketKind {
    /// One to eight sat/vB, with little noise.
    Calm,
    /// A period of 144 blocks: the most expensive hour costs five to ten times the cheapest.
    DayNight,
    /// Calm, and every few days a sudden 100 to 400 sat/vB for 10 to 60 blocks.
    Spike,
    /// Mass closes fill the blocks (the Flood & Loot attack): for hundreds of blocks the price rises faster than the
    /// estimate.
    Flood,
}

impl MarketKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Calm, Self::DayNight, Self::Spike, Self::Flood];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::DayNight => "day-night",
            Self::Spike => "spike",
            Self::Flood => "flood",
        }
    }
}

/// A fee market of one kind and seed.
#[derive(Clone, Copy, Debug)]
pub struct Market {
    kind: MarketKind,
    level: Noise,
    jitter: Noise,
    event: Noise,
}

impl Market {
    /// The market of this kind and seed.
    #[must_use]
    pub fn new(kind: MarketKind, seed: u64) -> Self {
        let name = |part: u64| 0x006d_6172_6b65_7400 + part; // "market", so that other uses of the seed draw other numbers
        Self {
            kind,
            level: Noise::new(seed, name(0)),
            jitter: Noise::new(seed, name(1)),
            event: Noise::new(seed, name(2)),
        }
    }

    /// The least feerate that got into this block.
    #[must_use]
    pub fn clearing(&self, block: u32) -> u32 {
        self.price(u64::from(block) + EARLIER)
    }

    /// The estimates after this block, from this block and those before it. Never below
    /// [`mempool_floor`](Self::mempool_floor), and never lower for a shorter target.
    #[must_use]
    pub fn estimates(&self, block: u32) -> Fees {
        let last = u64::from(block) + EARLIER;
        let newest_first: Vec<u32> = (0..LOOK_BACK as u64).map(|ago| self.price(last - ago)).collect();
        estimate(&newest_first, floor(&newest_first))
    }

    /// The minimum feerate of the mempool after this block: the relay floor, and more while the mempool is full.
    #[must_use]
    pub fn mempool_floor(&self, block: u32) -> u32 {
        let last = u64::from(block) + EARLIER;
        let newest_first: Vec<u32> = (0..FLOOR_LOOK_BACK).map(|ago| self.price(last - ago)).collect();
        floor(&newest_first)
    }

    fn price(&self, block: u64) -> u32 {
        let level = match self.kind {
            MarketKind::Calm => self.calm(block),
            MarketKind::DayNight => self.day_night(block),
            MarketKind::Spike => self.calm(block) + self.spike(block),
            MarketKind::Flood => self.calm(block) + self.flood(block),
        };
        // Noise, since blocks come at irregular times and a late block has more transactions to choose from.
        let price = permille(level, self.jitter.between(block, 800, 1_200));
        u32::try_from(price).unwrap_or(u32::MAX).max(RELAY_FLOOR_SAT_PER_KW)
    }

    /// Straight lines between random points; the lower of two draws makes low prices more common.
    fn calm(&self, block: u64) -> u64 {
        const SEGMENT: u64 = 36;
        let point = |index| {
            let draw = |half| self.level.between(index * 2 + half, 300, 1_650);
            draw(0).min(draw(1))
        };
        on_line(point(block / SEGMENT), point(block / SEGMENT + 1), block % SEGMENT, SEGMENT)
    }

    /// Up for half a day and down for the other half, smoothly at both ends.
    fn day_night(&self, block: u64) -> u64 {
        const DAY: u64 = 144;
        let trough = |day| self.level.between(day, 2 * SAT_PER_VB, 4 * SAT_PER_VB);
        let (day, hour) = (block / DAY, block % DAY);
        let peak = permille(trough(day), self.event.between(day, 5_500, 9_500));
        let (from, way) = if hour < DAY / 2 { (trough(day), hour) } else { (trough(day + 1), DAY - hour) };
        let way = way * 1_000 / (DAY / 2);
        // 3x² − 2x³ in permille.
        let soft = (3 * way * way * 1_000 - 2 * way * way * way) / 1_000_000;
        on_line(from, peak, soft, 1_000)
    }

    /// At most one spike in each window, at a random place.
    fn spike(&self, block: u64) -> u64 {
        const WINDOW: u64 = 360;
        let (window, into) = (block / WINDOW, block % WINDOW);
        let draw = |what, low, high| self.event.between(window * 4 + what, low, high);
        let long = draw(0, 10, 60);
        let Some(age) = into.checked_sub(draw(1, 0, WINDOW - long)).filter(|age| *age < long) else { return 0 };
        let height = draw(2, 120, 360) * SAT_PER_VB;
        if draw(3, 0, 99) < 15 {
            return 0; // a window without a spike
        }
        // The spike begins at its full height and falls in its last third.
        let left = long - age;
        if left * 3 >= long { height } else { height * left * 3 / long }
    }

    /// One flood in each cycle: a rise in waves, a long top, and a fall.
    fn flood(&self, block: u64) -> u64 {
        const CYCLE: u64 = 1_440;
        const WAVE: u64 = 12;
        let (cycle, into) = (block / CYCLE, block % CYCLE);
        let draw = |what, low, high| self.event.between(cycle * 4 + what, low, high);
        let long = draw(0, 400, 800);
        let Some(age) = into.checked_sub(draw(1, 0, CYCLE - long)).filter(|age| *age < long) else { return 0 };
        let peak = draw(2, 150, 400) * SAT_PER_VB;
        let (rise, fall) = (long / 2, long / 5);
        let (way, of) = if age < rise { (age + 1, rise) } else { ((long - age).min(fall), fall) };
        // Transactions that were left out raise their fees, so the price rises faster over time. Every wave is another mass
        // close, which no estimate can foresee.
        let level = peak * way * way / (of * of);
        permille(level, self.level.between(u64::MAX / 2 + block / WAVE, 600, 1_900))
    }
}

/// The blocks of a market from 0 on, computed once for many readers.
#[derive(Clone, Debug)]
pub struct Tape {
    clearing: Vec<u32>,
    estimates: Vec<Fees>,
}

impl Tape {
    /// The first `blocks` blocks.
    #[must_use]
    pub fn of(market: &Market, blocks: u32) -> Self {
        let end = EARLIER + u64::from(blocks);
        let newest_first: Vec<u32> = (0..end).rev().map(|block| market.price(block)).collect();
        let all = usize::try_from(blocks).unwrap_or(usize::MAX);
        let estimates = (0..all).rev().map(|ago| {
            let known = newest_first.get(ago..).unwrap_or_default();
            estimate(known, floor(known))
        });
        let estimates = estimates.collect();
        let clearing = newest_first.iter().take(all).rev().copied().collect();
        Self { clearing, estimates }
    }

    /// A market with given prices and estimates, for tests.
    #[must_use]
    pub fn by_hand(clearing: Vec<u32>, estimates: Vec<Fees>) -> Self {
        Self { clearing, estimates }
    }

    /// The number of blocks.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        u32::try_from(self.clearing.len().min(self.estimates.len())).unwrap_or(u32::MAX)
    }

    /// As [`Market::clearing`]; `None` past the end.
    #[must_use]
    pub fn clearing(&self, block: u32) -> Option<u32> {
        self.clearing.get(usize::try_from(block).ok()?).copied()
    }

    /// As [`Market::estimates`]; `None` past the end.
    #[must_use]
    pub fn estimates(&self, block: u32) -> Option<&Fees> {
        self.estimates.get(usize::try_from(block).ok()?)
    }
}

/// The estimates from these prices, of which the newest comes first.
fn estimate(newest_first: &[u32], floor: u32) -> Fees {
    let mut by_target: Vec<(u16, u32)> = Vec::with_capacity(TARGETS.len());
    let mut shorter = u32::MAX;
    for (target, look_back, share) in TARGETS {
        let mut seen: Vec<u32> = newest_first.iter().take(look_back).copied().collect();
        let nth = (seen.len().saturating_sub(1) * share).div_ceil(1_000);
        let price = if seen.is_empty() { floor } else { *seen.select_nth_unstable(nth).1 };
        shorter = price.max(floor).min(shorter);
        by_target.push((target, shorter));
    }
    let mempool_min_sat_per_kw = if floor > RELAY_FLOOR_SAT_PER_KW { floor } else { 0 };
    Fees { mempool_min_sat_per_kw, ..Fees::new(by_target, RELAY_FLOOR_SAT_PER_KW) }
}

/// A mempool that was not emptied for half a day is full. It then refuses what pays less than a third of the lowest price
/// in that time.
fn floor(newest_first: &[u32]) -> u32 {
    let look_back = usize::try_from(FLOOR_LOOK_BACK).unwrap_or(usize::MAX);
    let cheapest = newest_first.iter().take(look_back).min().copied().unwrap_or(0);
    (cheapest / 3).max(RELAY_FLOOR_SAT_PER_KW)
}

fn permille(value: u64, permille: u64) -> u64 {
    value * permille / 1_000
}

/// The value after `step` of `of` steps on a straight line.
fn on_line(from: u64, to: u64, step: u64, of: u64) -> u64 {
    (from * (of - step) + to * step) / of
}

#[cfg(test)]
mod tests;
