//! A channel on a chain.

use arb_core::Side;
use arb_core::bolt3::ChannelType;
use arb_harness::chain::{Chain, ChainConfig};
use arb_harness::fixture::ChannelFixture;

pub const TYPES: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];
pub const NUMBER: u64 = ChannelFixture::BOLT3_NUMBER;
/// Below every expiry of the published HTLCs, which are 500 to 504.
pub const START: u32 = 480;

/// The published channel with both sides' commitment 42 signed.
pub fn published(channel_type: ChannelType) -> ChannelFixture {
    let mut fixture = ChannelFixture::bolt3(channel_type);
    for side in [Side::Local, Side::Remote] {
        fixture.sign_unheard(side, NUMBER, ChannelFixture::bolt3_state(channel_type));
    }
    fixture
}

/// A new chain with the funding output on it.
pub fn chain_with(fixture: &ChannelFixture) -> Chain {
    let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
    fixture.plant(&mut chain).unwrap();
    chain
}
