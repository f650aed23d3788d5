//! Keys, channels and wallets that follow from a seed without a draw.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use arb_core::{ChannelId, Height};
use arb_harness::keys::{ChannelKeys, WalletKeys};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{OutPoint, ScriptBuf, Txid};

use super::{ChannelPlan, START};
use crate::fixture::ChannelSetup;
use crate::peer::{Peer, PeerPlan};
use crate::wallet::SmallWallet;

/// Our wallet keys, the same in every run: deriving 256 keys takes longer than a run.
pub(crate) static OUR_KEYS: LazyLock<WalletKeys> = LazyLock::new(|| WalletKeys::from_seed(&[0x71; 32]));

/// The counterparties, the same in every run for the same reason.
pub(crate) static PEERS: LazyLock<[Peer; 2]> =
    LazyLock::new(|| [[0x72; 32], [0x73; 32]].map(|seed| Peer::new(PeerPlan::default(), &seed)));

/// A hash of seed, name and number.
pub(crate) fn bytes_of(seed: u64, name: &str, number: u64) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    engine.input(&seed.to_le_bytes());
    engine.input(name.as_bytes());
    engine.input(&number.to_le_bytes());
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// The setup of channel `number` of a run, for this plan.
pub(crate) fn setup(seed: u64, number: u64, plan: &ChannelPlan) -> ChannelSetup {
    let name = |what: &str| bytes_of(seed, what, number);
    let funding = Txid::from_byte_array(name("funding"));
    ChannelSetup {
        id: ChannelId(name("channel")),
        channel_type: plan.channel_type,
        local: ChannelKeys::from_seed(&name("local"), "local"),
        remote: ChannelKeys::from_seed(&name("remote"), "remote"),
        funding: OutPoint::new(funding, 0),
        funding_value_sat: plan.capacity_sat,
        local_delay_blocks: plan.delays.0,
        remote_delay_blocks: plan.delays.1,
        dust_limit_sat: plan.dust_limit_sat,
        opener: plan.opener,
        fallback_script: OUR_KEYS.script_for(b"fallback"),
        watch_from: Height::new(START),
        funding_confirmed: Some(Height::new(START)),
    }
}

/// Every script of our wallet.
pub(crate) fn our_scripts() -> BTreeSet<ScriptBuf> {
    SmallWallet::new(OUR_KEYS.clone()).scripts()
}

/// The script of our wallet that a mutual close pays.
pub(crate) fn our_script() -> ScriptBuf {
    OUR_KEYS.script_for(b"mutual close")
}
