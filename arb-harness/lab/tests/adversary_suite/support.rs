//! A confirmed commitment with many HTLCs, our claims of them, and the adversary.

use std::collections::BTreeMap;

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{Height, Htlc, HtlcRef, Link, Side};
use arb_harness::keys::WalletKeys;
use arb_lab::adversary::{Adversary, Batch, Tactic, Target};
use arb_lab::chain::{Chain, ChainConfig, Submitted};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, Commitment, CommitmentState};
use arb_lab::peer::{Peer, PeerPlan};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};

pub const START: u32 = 480;
pub const EXPIRY: u32 = 500;
pub const HTLC_SAT: u64 = 50_000;
pub const COIN_SAT: u64 = 2_000_000;

/// A channel whose commitment is confirmed, our wallet, and the adversary.
pub struct ContestedClose {
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

/// A channel with `count` HTLCs that we offered, on both sides' commitment 1.
pub fn fixture(count: u64) -> ChannelFixture {
    fixture_of((0..count).map(|id| (HtlcRef::offered(id), EXPIRY)))
}

fn fixture_of(htlcs: impl Iterator<Item = (HtlcRef, u32)>) -> ChannelFixture {
    let setup = ChannelSetup::from_seed(&[7; 32], 1, ChannelType::AnchorsZeroFeeHtlcTx, 10_000_000);
    let mut fixture = ChannelFixture::new(setup);
    let htlc = |(key, expiry): (HtlcRef, u32)| Htlc {
        key,
        amount_msat: HTLC_SAT * 1000,
        payment_hash: preimage(key.id).hash(),
        cltv_expiry: Height::new(expiry),
        link: if key.is_offered() { Link::Own } else { Link::Received },
        tag: Vec::new(),
    };
    let htlcs: Vec<Htlc> = htlcs.map(htlc).collect();
    let sum = |offered| {
        let count = htlcs.iter().filter(|htlc| htlc.key.is_offered() == offered).count();
        u64::try_from(count).unwrap() * HTLC_SAT * 1000
    };
    let state = CommitmentState {
        local_msat: 7_000_000_000 - sum(true),
        remote_msat: 3_000_000_000 - sum(false),
        feerate_sat_per_kw: 1000,
        htlcs,
    };
    for side in [Side::Local, Side::Remote] {
        fixture.sign_unheard(side, 1, state.clone());
    }
    fixture
}

/// An adversary that knows the first `count` preimages and has so many coins.
pub fn adversary(count: u64, tactic: Tactic, coins: usize, chain: &mut Chain) -> Adversary {
    let preimages: BTreeMap<Preimage, u32> = (0..count).map(|id| (preimage(id), 0)).collect();
    let peer = Peer::new(PeerPlan { preimages, sweeps: false, ..PeerPlan::default() }, &[0xee; 32]);
    let adversary = Adversary::new(peer, tactic, 1);
    for _ in 0..coins {
        chain.mint(adversary.deposit_script(), COIN_SAT);
    }
    adversary
}

impl ContestedClose {
    /// We offered `count` HTLCs, all of which have expired; the adversary knows their preimages.
    pub fn new(owner: Side, count: u64, tactic: Tactic) -> Self {
        Self::of(owner, fixture(count), count, tactic, EXPIRY)
    }

    /// The counterparty offered the HTLCs and knows no preimage; every other one expires a block earlier.
    pub fn received(owner: Side, count: u64, tactic: Tactic, tip: u32) -> Self {
        let fixture = fixture_of((0..count).map(|id| (HtlcRef::received(id), EXPIRY - u32::from(id % 2 == 1))));
        Self::of(owner, fixture, 0, tactic, tip)
    }

    fn of(owner: Side, fixture: ChannelFixture, preimages: u64, tactic: Tactic, tip: u32) -> Self {
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        fixture.plant(&mut chain).unwrap();
        let adversary = adversary(preimages, tactic, 20, &mut chain);
        chain.mine_txs(vec![fixture.commitment_tx(owner, 1).unwrap()]).unwrap();
        while chain.tip().0 < tip {
            chain.mine();
        }
        let commitment = fixture.commitment(owner, 1).unwrap();
        let keys = WalletKeys::from_seed(&[3; 32]);
        let to = keys.script_for(b"ours");
        Self { fixture, chain, commitment, adversary, keys, to }
    }

    /// Our claim of these HTLCs with one wallet coin and this fee: by timeout of what we offered, by preimage of what we
    /// received.
    pub fn claim(&mut self, htlcs: impl IntoIterator<Item = usize>, fee_sat: u64) -> Transaction {
        self.try_claim(htlcs, fee_sat).unwrap()
    }

    /// [`claim`](Self::claim), or `None` if it would leave less than the dust limit.
    pub fn try_claim(&mut self, htlcs: impl IntoIterator<Item = usize>, fee_sat: u64) -> Option<Transaction> {
        let preimage = |index: usize| {
            let key = self.commitment.htlcs[index].key;
            (!key.is_offered()).then(|| preimage(key.id))
        };
        let htlcs = htlcs.into_iter();
        let targets: Vec<Target> = htlcs.map(|index| Target { index, preimage: preimage(index) }).collect();
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
        batch.pay(fee_sat).unwrap()
    }

    /// Panics unless the mempool accepts it.
    pub fn submit(&mut self, tx: &Transaction) {
        assert_eq!(self.chain.submit(tx.clone()), Ok(Submitted::Accepted));
    }

    /// Whether the transaction is in the mempool.
    pub fn waits(&self, tx: &Transaction) -> bool {
        self.chain.in_mempool(&tx.compute_txid()).is_some()
    }

    /// What the adversary does before the next block.
    pub fn act(&mut self) -> Vec<arb_lab::adversary::Act> {
        self.adversary.act(&self.fixture, &mut self.chain).unwrap()
    }

    /// Indexes of the HTLCs whose output is unspent on the chain.
    pub fn open(&self) -> Vec<usize> {
        let is_open = |index: &usize| self.chain.utxo(&self.commitment.htlc_output(*index).unwrap().0).is_some();
        (0..self.commitment.htlcs.len()).filter(is_open).collect()
    }
}
