use super::*;

const BLOCKS: u32 = 6_000;

fn prices(kind: MarketKind, seed: u64) -> Vec<u32> {
    let market = Market::new(kind, seed);
    (0..BLOCKS).map(|block| market.clearing(block)).collect()
}

/// The longest stretch of blocks in which this holds.
fn longest(prices: &[u32], holds: impl Fn(u32) -> bool) -> usize {
    prices.split(|price| !holds(*price)).map(<[u32]>::len).max().unwrap_or(0)
}

fn for_target(fees: &Fees, target: u16) -> u32 {
    fees.by_target.iter().find(|(blocks, _)| *blocks == target).unwrap().1
}

#[test]
fn a_market_is_its_kind_its_seed_and_the_block() {
    for kind in MarketKind::ALL {
        assert_eq!(prices(kind, 3), prices(kind, 3));
        assert_ne!(prices(kind, 3), prices(kind, 4));
    }
    let pinned = MarketKind::ALL.map(|kind| Market::new(kind, 1).clearing(1_000));
    assert_eq!(pinned, [488, 824, 488, 12_428], "the same for ever, on every machine");
}

#[test]
fn the_past_alone_decides_an_estimate() {
    // The first tape ends with block 500, so nothing after it can have an effect.
    let market = Market::new(MarketKind::Spike, 9);
    let tape = Tape::of(&market, 501);
    let long = Tape::of(&market, 900);
    for block in 0..=500 {
        assert_eq!(tape.estimates(block), long.estimates(block));
    }
    assert_eq!((tape.blocks(), tape.estimates(501), tape.clearing(501)), (501, None, None));
}

#[test]
fn a_tape_says_what_the_market_says() {
    for kind in MarketKind::ALL {
        let market = Market::new(kind, 5);
        let tape = Tape::of(&market, 300);
        for block in (0..300).step_by(7) {
            assert_eq!(tape.clearing(block), Some(market.clearing(block)));
            assert_eq!(tape.estimates(block), Some(&market.estimates(block)));
            assert_eq!(market.estimates(block).least_sat_per_kw(), market.mempool_floor(block));
        }
    }
}

#[test]
fn estimates_fall_with_the_target_and_stay_above_the_floor() {
    for kind in MarketKind::ALL {
        let market = Market::new(kind, 2);
        for block in (0..BLOCKS).step_by(97) {
            let fees = market.estimates(block);
            assert_eq!(fees.by_target.len(), TARGETS.len());
            assert_eq!(fees.relay_floor_sat_per_kw, RELAY_FLOOR_SAT_PER_KW);
            assert!(fees.by_target.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 >= two[1].1), "{fees:?}");
            assert!(fees.by_target.iter().all(|(_, feerate)| *feerate >= fees.least_sat_per_kw()), "{fees:?}");
        }
    }
}

#[test]
fn a_calm_market_costs_one_to_eight() {
    for seed in 0..10 {
        let prices = prices(MarketKind::Calm, seed);
        assert!(prices.iter().all(|price| (253..=2_000).contains(price)));
        assert!(prices.iter().any(|price| *price < 500) && prices.iter().any(|price| *price > 1_200));
        assert_eq!(Market::new(MarketKind::Calm, seed).mempool_floor(100), 253);
    }
}

#[test]
fn a_day_costs_five_to_ten_nights() {
    for seed in 0..10 {
        let prices = prices(MarketKind::DayNight, seed);
        for day in prices.chunks_exact(144) {
            let mean = |blocks: &[u32]| blocks.iter().sum::<u32>() / u32::try_from(blocks.len()).unwrap();
            // The market's first block is the first of a day.
            let (night, noon) = (mean(&day[..12]), mean(&day[66..78]));
            assert!((3..=13).contains(&(noon / night)), "{night} and {noon}");
        }
        let dearest = |half: usize| (0..40).map(|day| prices[day * 144 + half]).sum::<u32>();
        assert!(dearest(72) > 5 * dearest(0) && dearest(72) < 10 * dearest(0));
    }
}

#[test]
fn spikes_are_sudden_high_and_short() {
    let mut longest_of_all = 0;
    for seed in 0..10 {
        let prices = prices(MarketKind::Spike, seed);
        let high = prices.iter().filter(|price| **price > 20_000).count();
        assert!((100..1_000).contains(&high), "{high} of {BLOCKS}");
        assert!(prices.iter().all(|price| *price <= 110_000));
        longest_of_all = longest_of_all.max(longest(&prices, |price| price > 20_000));
    }
    assert!((30..=60).contains(&longest_of_all), "{longest_of_all}");
}

#[test]
fn an_estimator_is_late_when_a_spike_begins_and_late_when_it_ends() {
    let market = Market::new(MarketKind::Spike, 1);
    let begins =
        |block: &u32| market.clearing(*block) < 2_001 && (1..=15).all(|on| market.clearing(block + on) > 25_000);
    let before = (0..BLOCKS).find(begins).unwrap();
    for target in [1, 6, 144] {
        assert!(for_target(&market.estimates(before), target) <= 2_000 || target == 1);
    }
    assert!(for_target(&market.estimates(before + 1), 2) < 2_001, "one block tells nothing");
    assert!(for_target(&market.estimates(before + 10), 2) > 25_000, "ten blocks do");
    assert!(for_target(&market.estimates(before + 10), 12) < 2_001, "but not for those who can wait");
    let over = (before + 16..BLOCKS).find(|block| market.clearing(*block) < 2_001).unwrap();
    assert!(for_target(&market.estimates(over), 2) > 20_000, "and it is remembered when it is over");
}

#[test]
fn a_flood_is_long_and_runs_away_from_the_estimator() {
    for seed in 0..10 {
        let market = Market::new(MarketKind::Flood, seed);
        let prices = prices(MarketKind::Flood, seed);
        assert!(longest(&prices, |price| price > 2_001) >= 200);
        assert!(prices.iter().any(|price| *price > 100_000) && prices.iter().all(|price| *price < 250_000));
        // In many blocks the six-block estimate does not confirm within six blocks.
        let late = (0..BLOCKS - 6).step_by(5).filter(|block| {
            let says = for_target(&market.estimates(*block), 6);
            (1..=6).all(|on| market.clearing(block + on) > says)
        });
        let late = late.count();
        assert!(late > 50, "{late}");
        assert!((0..BLOCKS).step_by(10).any(|block| market.mempool_floor(block) > 2_000), "the mempool is full");
    }
}
