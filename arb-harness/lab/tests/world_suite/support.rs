//! The published channel of BOLT 3 on a chain, and a counterparty that acts before every block.

use arb_core::Side;
use arb_core::bolt3::ChannelType;
use arb_lab::chain::{Chain, ChainConfig, Submitted};
use arb_lab::fixture::ChannelFixture;
use arb_lab::peer::{Peer, PeerPlan};

pub const TYPES: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];
pub const NUMBER: u64 = ChannelFixture::BOLT3_NUMBER;
/// Height of a new chain's tip, below every expiry of the published HTLCs (500 to 504).
pub const START: u32 = 480;
/// Seed of the counterparty's wallet.
pub const PEER_SEED: [u8; 32] = [0xee; 32];
/// Height at which every HTLC has expired and every delay after that has passed.
pub const END: u32 = 680;

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

/// A counterparty with ten coins of 20,000 sat.
pub fn peer_with_coins(plan: PeerPlan, chain: &mut Chain) -> Peer {
    let peer = Peer::new(plan, &PEER_SEED);
    for _ in 0..10 {
        chain.mint(peer.wallet().deposit_script(), 20_000);
    }
    peer
}

/// The counterparty acts, then a block is mined. Panics if a transaction is refused, or if acting again gives another result.
pub fn block(peer: &mut Peer, fixture: &ChannelFixture, chain: &mut Chain) {
    let txs = peer.act(fixture, chain).unwrap();
    assert_eq!(peer.act(fixture, chain).unwrap(), txs, "asking again changes nothing");
    for tx in txs {
        let height = chain.tip().0;
        assert_eq!(chain.submit(tx.clone()), Ok(Submitted::Accepted), "at {height}: {tx:#?}");
    }
    assert_eq!(peer.act(fixture, chain).unwrap(), [], "a transaction in the mempool is given again");
    chain.mine();
}

/// Runs blocks until the tip has this height.
pub fn run(peer: &mut Peer, fixture: &ChannelFixture, chain: &mut Chain, until: u32) {
    while chain.tip().0 < until {
        block(peer, fixture, chain);
    }
}
