//! What the harness warns of, because it needs a clock or the wallet: a silent source, and a wallet with too little (I17).

use core::time::Duration;

use arb_core::bolt3::ChannelType;
use arb_harness::watch::{Warning, Watch};

use crate::world::{World, offered, received};

const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn i17_a_source_that_says_nothing_is_told_once_until_a_block_comes() {
    let mut world = World::new(ANCHORS, &[], &[100_000], 1_000);
    let mut watch = Watch::new(Watch::PATIENCE);
    let tip = world.court.tip().height;
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_000)), [], "the clock may begin anywhere");
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_089)), []);
    let silent = Warning::SourceSilent { tip, silent: minutes(90) };
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_090)), [silent]);
    assert_eq!(silent.to_string(), format!("no block came for 90 minutes after block {tip}: is the source cut off?"));
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_500)), [], "once");
    world.mine_empty();
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_501)), []);
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_590)), [], "counted from the block on");
    assert_eq!(watch.look(&world.court, 100_000, minutes(1_591)).len(), 1);
}

#[test]
fn i17_an_open_channel_whose_wallet_has_too_little_is_told_once_until_it_has_enough() {
    let htlcs = [offered(0, 50_000, 40, arb_core::Link::Own), received(0, 60_000, 60)];
    let world = World::new(ANCHORS, &htlcs, &[100_000], 2_000);
    let advice = world.court.reserve_advice();
    assert_eq!((advice.channels, advice.coins), (1, 3));
    let mut watch = Watch::new(Watch::PATIENCE);
    assert_eq!(watch.look(&world.court, advice.amount_sat, minutes(0)), []);
    let has_sat = advice.amount_sat - 1;
    assert_eq!(watch.look(&world.court, has_sat, minutes(1)), [Warning::WalletLow { advice, has_sat }]);
    assert_eq!(watch.look(&world.court, 0, minutes(2)), [], "once");
    assert_eq!(watch.look(&world.court, advice.amount_sat, minutes(3)), []);
    assert_eq!(watch.look(&world.court, 0, minutes(4)).len(), 1, "again");
    // A channel without anchors needs no coins.
    let none = World::new(ChannelType::StaticRemotekey, &htlcs, &[], 2_000);
    assert_eq!(Watch::new(Watch::PATIENCE).look(&none.court, 0, minutes(0)), []);
}
