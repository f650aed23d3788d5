//! The counterparty on chain: publishes a commitment, takes with preimages, takes back after expiry, sweeps.
//!
//! What it does follows from its plan and the confirmed chain alone, so it may be asked as often as one likes: it names
//! what is final in the next block and not yet in the mempool, whatever a reorg did in between. It keeps to the rules of
//! BOLT 5 with its own keys and knows no preimage that its plan does not give it. It does not punish: our revoked
//! commitments are treated like any other.

mod claims;

use std::collections::BTreeMap;

use arb_core::bolt3::{OutputKind, PaymentHash, Preimage};
use arb_core::{ActionId, Side};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::chain::{Chain, Coin};
use crate::fixture::{ChannelFixture, Commitment, FixtureError};
use crate::wallet::{SmallWallet, Wallet};

pub use claims::{Claimant, Rates};

/// A transaction that the counterparty publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Its own commitment of this number: the newest, a revoked one, or one that we never heard of.
    Commitment(u64),
    /// Anything else, such as a mutual close.
    Transaction(Transaction),
}

/// What the counterparty does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPlan {
    /// What it publishes while the funding is unspent, and from which tip height on.
    pub publishes: Option<(u32, Publish)>,
    /// The preimages that it knows, each from a tip height on.
    pub preimages: BTreeMap<Preimage, u32>,
    /// Whether it claims HTLCs at all.
    pub claims: bool,
    /// How many blocks it lets pass after an expiry before it takes an HTLC back.
    pub patience_blocks: u32,
    /// Whether it sweeps what is its own: the main output and what its second level left.
    pub sweeps: bool,
    /// What its transactions pay, as far as they can choose.
    pub feerate_sat_per_kw: u32,
}

impl Default for PeerPlan {
    /// Publishes nothing and knows no preimage; takes back what expires and sweeps, at once.
    fn default() -> Self {
        Self {
            publishes: None,
            preimages: BTreeMap::new(),
            claims: true,
            patience_blocks: 0,
            sweeps: true,
            feerate_sat_per_kw: 500,
        }
    }
}

/// The counterparty: a plan, and a wallet that receives its sweeps and pays its fees.
#[derive(Clone, Debug)]
pub struct Peer {
    plan: PeerPlan,
    wallet: SmallWallet,
}

/// One look at the chain.
#[derive(Clone, Copy)]
struct Sight<'a> {
    chain: &'a Chain,
    claimant: Claimant<'a>,
    next_height: u32,
}

impl Peer {
    /// A counterparty whose wallet has this seed. Zero-fee HTLC transactions need coins: send some to the wallet's
    /// [`deposit_script`](SmallWallet::deposit_script), one for each that shall be under way at a time.
    pub fn new(plan: PeerPlan, wallet_seed: &[u8; 32]) -> Self {
        Self { plan, wallet: SmallWallet::from_seed(wallet_seed) }
    }

    /// What it does.
    pub fn plan(&self) -> &PeerPlan {
        &self.plan
    }

    /// What it does, to be changed.
    pub fn plan_mut(&mut self) -> &mut PeerPlan {
        &mut self.plan
    }

    /// Its wallet.
    pub fn wallet(&self) -> &SmallWallet {
        &self.wallet
    }

    /// All that it would submit now, for the next block. To be called once a block, or more often.
    pub fn act(&mut self, fixture: &ChannelFixture, chain: &Chain) -> Result<Vec<Transaction>, FixtureError> {
        self.wallet.refresh(chain);
        self.wallet.keep_owners(|owner| chain.utxo(owner).is_some());
        let funding = fixture.setup().funding;
        let mut txs = match chain.spender_of(&funding).and_then(|(_, txid, _)| chain.confirmed(&txid)) {
            None => self.published(fixture, chain)?.into_iter().collect(),
            Some((_, tx)) => match fixture.recognise(tx)? {
                Some(commitment) => self.claims(fixture, chain, &commitment)?,
                None => Vec::new(),
            },
        };
        txs.retain(|tx| chain.in_mempool(&tx.compute_txid()).is_none());
        Ok(txs)
    }

    fn published(&self, fixture: &ChannelFixture, chain: &Chain) -> Result<Option<Transaction>, FixtureError> {
        match &self.plan.publishes {
            Some((from, what)) if *from <= chain.tip().0 => Ok(Some(match what {
                Publish::Commitment(number) => fixture.remote_commitment_tx(*number)?,
                Publish::Transaction(tx) => tx.clone(),
            })),
            Some(_) | None => Ok(None),
        }
    }

    fn claims(
        &mut self,
        fixture: &ChannelFixture,
        chain: &Chain,
        commitment: &Commitment,
    ) -> Result<Vec<Transaction>, FixtureError> {
        let rates = Rates {
            feerate_sat_per_kw: self.plan.feerate_sat_per_kw,
            floor_sat_per_kvb: chain.config().relay_floor_sat_per_kvb,
        };
        let claimant = Claimant { fixture, side: Side::Remote, commitment, rates };
        let sight = Sight { chain, claimant, next_height: chain.tip().0.saturating_add(1) };
        let mut txs = Vec::new();
        for (vout, kind) in (0_u32..).zip(&commitment.built.outputs) {
            let outpoint = commitment.outpoint(vout);
            let claim = match *kind {
                OutputKind::Htlc(index) => match chain.utxo(&outpoint) {
                    Some(coin) => self.claim_htlc(sight, index, outpoint, coin)?,
                    None => self.sweep_second_level(sight, outpoint)?,
                },
                OutputKind::ToOwner => self.sweep_main(sight, Side::Remote, vout)?,
                OutputKind::ToOther => self.sweep_main(sight, Side::Local, vout)?,
                // Worth less than its claim costs.
                OutputKind::OwnerAnchor | OutputKind::OtherAnchor => None,
            };
            txs.extend(claim);
        }
        Ok(txs)
    }

    /// Its balance, if this output is its own: `to_local` of its commitment, `to_remote` of ours.
    fn sweep_main(&self, sight: Sight<'_>, on: Side, vout: u32) -> Result<Option<Transaction>, FixtureError> {
        let outpoint = sight.claimant.commitment.outpoint(vout);
        let Some(coin) = sight.chain.utxo(&outpoint).filter(|_| self.plan.sweeps) else { return Ok(None) };
        if sight.claimant.commitment.owner != on || !sight.is_mature(coin, sight.claimant.main_delay()) {
            return Ok(None);
        }
        sight.claimant.main(vout, self.sweep_script(&outpoint))
    }

    /// An HTLC that is unspent: with a preimage if we offered it, after its expiry if the counterparty did.
    fn claim_htlc(
        &mut self,
        sight: Sight<'_>,
        index: usize,
        outpoint: OutPoint,
        coin: &Coin,
    ) -> Result<Option<Transaction>, FixtureError> {
        let Some(htlc) = sight.claimant.commitment.htlcs.get(index) else { return Ok(None) };
        let preimage = if htlc.key.is_offered() {
            let Some(preimage) = self.preimage_of(&htlc.payment_hash, sight.chain.tip().0) else { return Ok(None) };
            Some(preimage)
        } else {
            let expiry = htlc.cltv_expiry.get();
            if expiry.saturating_add(self.plan.patience_blocks) >= sight.next_height {
                return Ok(None);
            }
            None
        };
        if !self.plan.claims || !sight.is_mature(coin, sight.claimant.htlc_delay()) {
            return Ok(None);
        }
        if sight.claimant.commitment.owner != Side::Remote {
            return sight.claimant.direct(index, preimage, self.sweep_script(&outpoint));
        }
        let Some(amount_sat) = sight.claimant.second_level_needs(index)? else {
            return sight.claimant.second_level(index, preimage, None).map(Some);
        };
        let feerate = sight.claimant.rates.at_least_floor_sat_per_kw();
        let offer = self.wallet.offer(request_of(&outpoint), outpoint, amount_sat, feerate);
        let Ok(offer) = offer else { return Ok(None) };
        sight.claimant.second_level(index, preimage, Some((&offer, self.wallet.keys()))).map(Some)
    }

    /// What its second-level transaction left, if it was its transaction that spent this HTLC.
    fn sweep_second_level(&self, sight: Sight<'_>, htlc: OutPoint) -> Result<Option<Transaction>, FixtureError> {
        if !self.plan.sweeps || sight.claimant.commitment.owner != Side::Remote {
            return Ok(None);
        }
        let Some((_, txid, input)) = sight.chain.spender_of(&htlc) else { return Ok(None) };
        let Ok(vout) = u32::try_from(input) else { return Ok(None) };
        // The counterparty's signature ties input and output of one number together.
        let outpoint = OutPoint::new(txid, vout);
        match sight.chain.utxo(&outpoint) {
            Some(coin) if sight.is_mature(coin, sight.claimant.own_delay()) => {
                sight.claimant.second_level_output(outpoint, &coin.txout, self.sweep_script(&outpoint))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn preimage_of(&self, hash: &PaymentHash, tip: u32) -> Option<Preimage> {
        let known = self.plan.preimages.iter().filter(|(_, from)| **from <= tip);
        known.map(|(preimage, _)| *preimage).find(|preimage| preimage.hash() == *hash)
    }

    fn sweep_script(&self, outpoint: &OutPoint) -> ScriptBuf {
        self.wallet.keys().script_for(&outpoint_name(outpoint))
    }
}

impl Sight<'_> {
    /// Whether the next block may spend a coin with this relative lock.
    fn is_mature(&self, coin: &Coin, delay_blocks: u16) -> bool {
        coin.height.saturating_add(u32::from(delay_blocks)) <= self.next_height
    }
}

fn outpoint_name(outpoint: &OutPoint) -> Vec<u8> {
    [outpoint.txid.to_byte_array().as_slice(), &outpoint.vout.to_le_bytes()].concat()
}

fn request_of(outpoint: &OutPoint) -> ActionId {
    let hash = sha256::Hash::hash(&outpoint_name(outpoint)).to_byte_array();
    ActionId(hash.first_chunk().copied().unwrap_or_default())
}
