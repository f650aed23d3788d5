//! A close with many HTLCs that we offered and that have expired, and our claims.

use std::collections::BTreeMap;

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{Height, Htlc, HtlcRef, Link, Side};
use arb_harness::adversary::{Adversary, Batch, Tactic, Target};
use arb_harness::chain::{Chain, ChainConfig, Submitted};
use arb_harness::fixture::{ChannelFixture, ChannelSetup, Commitment, CommitmentState};
use arb_harness::peer::{Peer, PeerPlan};
use arb_harness::wallet::WalletKeys;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};

pub const START: u32 = 480;
pub const EXPIRY: u32 = 500;
pub const HTLC_SAT: u64 = 50_000;
const COIN_SAT: u64 = 2_000_000;

/// A channel whose commitment is confirmed, all HTLCs expired, and the opponent with all preimages.
pub struct Scene {
    pub fixture: ChannelFixture,
    pub chain: Chain,
    pub commitment: Commitment,
    pub adversary: Adversary,
    keys: WalletKeys,
    to: ScriptBuf,
}

pub fn preimage(id: u64) -> Preimage {
    Preimage([u8::try_from(id).unwrap() + 1; 32])
}

/// `count` HTLCs that we offered.
pub fn fixture(count: u64) -> ChannelFixture {
    let setup = ChannelSetup::from_seed(&[7; 32], 1, ChannelType::AnchorsZeroFeeHtlcTx, 10_000_000);
    let mut fixture = ChannelFixture::new(setup);
    let htlc = |id| Htlc {
        key: HtlcRef::offered(id),
        amount_msat: HTLC_SAT * 1000,
        payment_hash: preimage(id).hash(),
        cltv_expiry: Height::new(EXPIRY),
        link: Link::Own,
        tag: Vec::new(),
    };
    let htlcs: Vec<Htlc> = (0..count).map(htlc).collect();
    let state = CommitmentState {
        local_msat: 7_000_000_000 - count * HTLC_SAT * 1000,
        remote_msat: 3_000_000_000,
        feerate_sat_per_kw: 1000,
        htlcs,
    };
    for side in [Side::Local, Side::Remote] {
        fixture.sign_unheard(side, 1, state.clone());
    }
    fixture
}

pub fn adversary(count: u64, tactic: Tactic, coins: usize, chain: &mut Chain) -> Adversary {
    let preimages: BTreeMap<Preimage, u32> = (0..count).map(|id| (preimage(id), 0)).collect();
    let peer = Peer::new(PeerPlan { preimages, sweeps: false, ..PeerPlan::default() }, &[0xee; 32]);
    let adversary = Adversary::new(peer, tactic, 1);
    for _ in 0..coins {
        chain.mint(adversary.deposit_script(), COIN_SAT);
    }
    adversary
}

impl Scene {
    pub fn new(owner: Side, count: u64, tactic: Tactic) -> Self {
        let fixture = fixture(count);
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        fixture.plant(&mut chain).unwrap();
        let adversary = adversary(count, tactic, 20, &mut chain);
        chain.mine_txs(vec![fixture.commitment_tx(owner, 1).unwrap()]).unwrap();
        while chain.tip().0 < EXPIRY {
            chain.mine();
        }
        let commitment = fixture.commitment(owner, 1).unwrap();
        let keys = WalletKeys::from_seed(&[3; 32]);
        let to = keys.script_for(b"ours");
        Self { fixture, chain, commitment, adversary, keys, to }
    }

    /// Our claim of these HTLCs after their expiry, with a coin of ours, which pays this fee.
    pub fn claim(&mut self, htlcs: impl IntoIterator<Item = usize>, fee_sat: u64) -> Transaction {
        let targets: Vec<Target> = htlcs.into_iter().map(|index| Target { index, preimage: None }).collect();
        let coin = self.chain.mint(self.to.clone(), COIN_SAT);
        let coin: [(OutPoint, TxOut); 1] =
            [(coin, TxOut { value: Amount::from_sat(COIN_SAT), script_pubkey: self.to.clone() })];
        let batch = Batch {
            fixture: &self.fixture,
            side: Side::Local,
            commitment: &self.commitment,
            targets: &targets,
            anchor: None,
            coins: &coin,
            keys: &self.keys,
            to: &self.to,
            extra: (0, 0),
        };
        batch.pay(fee_sat).unwrap().unwrap()
    }

    pub fn submit(&mut self, tx: &Transaction) {
        assert_eq!(self.chain.submit(tx.clone()), Ok(Submitted::Accepted));
    }

    pub fn waits(&self, tx: &Transaction) -> bool {
        self.chain.in_mempool(&tx.compute_txid()).is_some()
    }

    pub fn act(&mut self) -> Vec<arb_harness::adversary::Act> {
        self.adversary.act(&self.fixture, &mut self.chain).unwrap()
    }

    /// HTLC outputs that nothing confirmed spends.
    pub fn open(&self) -> Vec<usize> {
        let is_open = |index: &usize| self.chain.utxo(&self.commitment.htlc_output(*index).unwrap().0).is_some();
        (0..self.commitment.htlcs.len()).filter(is_open).collect()
    }
}
