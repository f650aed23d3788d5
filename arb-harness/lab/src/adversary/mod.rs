//! An adversary that fights over our claims, in every block, with everything that the mempool's rules allow.
//!
//! It is the counterparty of a channel: it has that side's keys, the preimages of its plan and a wallet. Before each block
//! it looks at our transactions in the mempool and acts by its [`Tactic`]. The cost of its acts is counted, because an
//! attack that costs more than it can win is no attack. All its transactions pass the mempool's rules, at the least fee
//! that is accepted. It also publishes and sweeps like the [`Peer`] that it is made from, but claims HTLCs only by its
//! tactic.
//!
//! The same seed on the same chain gives the same acts. It knows nothing that a counterparty would not see. Not modelled:
//! several mempools that differ, and messages that arrive late.

mod batch;
mod pin;
mod sight;
mod tactics;

use std::collections::{BTreeMap, BTreeSet};

use arb_core::HtlcRef;
use arb_harness::keys::derived_bytes;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use crate::chain::{BlockTemplate, Chain};
use crate::fixture::{ChannelFixture, FixtureError};
use crate::peer::{Peer, PeerPlan};
use crate::wallet::SmallWallet;

pub use batch::{Batch, Target};
use sight::Sight;

/// What the adversary does about our transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tactic {
    /// Outbids each of our claims in the mempool for every HTLC of it that it can take, at the lowest price.
    Replace,
    /// Replacement cycling (CVE-2023-40231 and its successors): replaces our claims with a spend that shows a preimage and
    /// also spends a coin of its own, and at once replaces that spend by spending the coin elsewhere. Neither claim is left
    /// in the mempool.
    Cycle,
    /// Replacement stalling: in each block it takes exactly one HTLC of our largest transaction, so that we must build a
    /// transaction for the others again.
    Stall,
    /// Claims, and spends its anchor, at a low feerate with a chain of descendants, for all of which a replacement pays.
    Pin {
        /// How many descendants; the mempool's limit is 24.
        descendants: u32,
        /// How many further outputs each has: they add size that a replacement pays for.
        outputs_each: u32,
    },
    /// Fills the mempool with transactions that pay more, so that ours are evicted and refused.
    Evict {
        /// The highest mempool minimum that it would pay for, in satoshi per thousand virtual bytes.
        up_to_sat_per_kvb: u64,
        /// For how many blocks it holds the minimum.
        blocks: u32,
    },
    /// Does nothing in the mempool. It mines a part of the blocks, with its own claims and without ours
    /// ([`mines`](Adversary::mines)).
    Mine {
        /// How many of a hundred blocks it mines.
        percent: u32,
    },
}

/// A kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActKind {
    /// One of its claims replaced one of ours.
    Replaced,
    /// The first half of a cycle: our claims are replaced, and the preimage is in the mempool for a moment.
    CycleIn,
    /// The second half: the first half is replaced as well.
    CycleOut,
    /// It took one HTLC of a transaction of ours with several.
    Stalled,
    /// It submitted an HTLC claim or an anchor spend that is hard to replace.
    Pinned,
    /// It submitted a descendant of a pin.
    Junk,
    /// It raised the mempool's minimum, or held it for another block.
    Evicted,
    /// It mined a block.
    Mined,
}

/// One act of the adversary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The kind of the act.
    pub kind: ActKind,
    /// The transaction that it put into the mempool, even if its next act replaces it: an observer of the mempool has seen
    /// it.
    pub tx: Option<Transaction>,
    /// The HTLCs that the transaction spends.
    pub htlcs: Vec<HtlcRef>,
    /// What the act costs (sat): the transaction's fee, which is due only if this transaction confirms; or the cost of an
    /// act without a transaction.
    pub cost_sat: u64,
}

/// An adversary, with what it has done and spent so far.
#[derive(Clone, Debug)]
pub struct Adversary {
    peer: Peer,
    wallet: SmallWallet,
    tactic: Tactic,
    seed: u64,
    /// How many random numbers were drawn.
    drawn: u64,
    /// All its transactions, so that it does not act against them.
    own: BTreeSet<Txid>,
    /// The transactions of its acts, with their fees (sat).
    fees: BTreeMap<Txid, u64>,
    /// What its acts without a transaction cost (sat).
    other_sat: u64,
    spend_sat: u64,
    counts: BTreeMap<ActKind, u32>,
    /// Until which tip height it holds the mempool's minimum, and the minimum before.
    holding: Option<(u32, u64)>,
}

impl Adversary {
    /// An adversary with the preimages, the wallet and the plan of this peer. Most acts need confirmed coins: send some to
    /// [`deposit_script`](Self::deposit_script), at least one for each act of a block.
    pub fn new(mut peer: Peer, tactic: Tactic, seed: u64) -> Self {
        peer.plan_mut().claims = false;
        let wallet = peer.wallet().clone();
        Self {
            peer,
            wallet,
            tactic,
            seed,
            drawn: 0,
            own: BTreeSet::new(),
            fees: BTreeMap::new(),
            other_sat: 0,
            spend_sat: 0,
            counts: BTreeMap::new(),
            holding: None,
        }
    }

    /// What it publishes and which preimages it knows, to be changed; it never claims HTLCs by this plan.
    pub fn plan_mut(&mut self) -> &mut PeerPlan {
        self.peer.plan_mut()
    }

    /// The script that receives its coins.
    pub fn deposit_script(&self) -> ScriptBuf {
        self.wallet.deposit_script()
    }

    /// The wallet.
    pub fn wallet(&self) -> &SmallWallet {
        &self.wallet
    }

    /// What it has spent (sat): the fees of its transactions that are confirmed or in the mempool, at the last
    /// [`act`](Self::act) or [`settle`](Self::settle), and the cost of acts without a transaction. A replaced transaction
    /// cost nothing.
    pub fn spend_sat(&self) -> u64 {
        self.spend_sat
    }

    /// How often it did each kind of act.
    pub fn counts(&self) -> &BTreeMap<ActKind, u32> {
        &self.counts
    }

    /// Acts once, before a block is mined. It also submits what it publishes and sweeps like any counterparty; that is not
    /// among the acts.
    pub fn act(&mut self, fixture: &ChannelFixture, chain: &mut Chain) -> Result<Vec<Act>, FixtureError> {
        self.wallet.refresh(chain);
        for tx in self.peer.act(fixture, chain)? {
            let txid = tx.compute_txid();
            if chain.submit(tx).is_ok() {
                self.own.insert(txid);
            }
        }
        let acts = match self.tactic {
            Tactic::Replace => self.replace(fixture, chain)?,
            Tactic::Cycle => self.cycle(fixture, chain)?,
            Tactic::Stall => self.stall(fixture, chain)?,
            Tactic::Pin { descendants, outputs_each } => self.pin(fixture, chain, descendants, outputs_each)?,
            Tactic::Evict { up_to_sat_per_kvb, blocks } => self.evict(fixture, chain, up_to_sat_per_kvb, blocks)?,
            Tactic::Mine { .. } => Vec::new(),
        };
        self.settle(chain);
        Ok(acts)
    }

    /// The commitment that spends the funding, confirmed or in the mempool, as the adversary sees it.
    fn look<'f>(
        &self,
        fixture: &'f ChannelFixture,
        chain: &Chain,
        name: &[u8],
    ) -> Result<Option<Sight<'f>>, FixtureError> {
        let Some(commitment) = sight::commitment(fixture, chain)? else { return Ok(None) };
        let height = chain.tip().0.to_le_bytes();
        let to = self.wallet.keys().script_for(&[b"adversary".as_slice(), name, &height].concat());
        Ok(Some(Sight { fixture, commitment, keys: self.wallet.keys().clone(), to, own: self.own.clone() }))
    }

    /// The HTLCs that it could take in the next block.
    fn targets(&self, sight: &Sight<'_>, chain: &Chain) -> Vec<Target> {
        sight.targets(chain, &self.peer.plan().preimages)
    }

    /// Draws whether it mines the next block, and gives its template. The caller adds the clearing feerate and the room
    /// that is left.
    pub fn mines(&mut self, fixture: &ChannelFixture, chain: &Chain) -> Result<Option<BlockTemplate>, FixtureError> {
        let Tactic::Mine { percent } = self.tactic else { return Ok(None) };
        if self.draw(100) < u64::from(percent) { self.template(fixture, chain).map(Some) } else { Ok(None) }
    }

    /// Recalculates what it has spent.
    pub fn settle(&mut self, chain: &Chain) {
        let stands = |txid: &Txid| chain.confirmed(txid).is_some() || chain.in_mempool(txid).is_some();
        let fees = self.fees.iter().filter(|(txid, _)| stands(txid)).map(|(_, fee)| *fee);
        self.spend_sat = fees.fold(self.other_sat, u64::saturating_add);
    }

    /// Submits a transaction; returns an act if the mempool accepts it.
    fn submit(&mut self, chain: &mut Chain, tx: Transaction, kind: ActKind, htlcs: Vec<HtlcRef>) -> Option<Act> {
        let txid = tx.compute_txid();
        chain.submit(tx.clone()).ok()?;
        let cost_sat = chain.fee_of(&txid).unwrap_or(0);
        self.own.insert(txid);
        self.fees.insert(txid, cost_sat);
        self.count(kind);
        Some(Act { kind, tx: Some(tx), htlcs, cost_sat })
    }

    fn count(&mut self, kind: ActKind) {
        let count = self.counts.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// A number below `below`, which is not zero.
    fn draw(&mut self, below: u64) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let bytes = derived_bytes(&seed, &[b"adversary", &self.drawn.to_le_bytes()]);
        let number = bytes.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        number.checked_rem(below).unwrap_or(0)
    }

    /// Its confirmed coins: first the free ones, then those that only its own transactions spend; in each part the largest
    /// first.
    fn coins(&self, chain: &Chain) -> Vec<(OutPoint, TxOut)> {
        let rank = |outpoint: &OutPoint| match chain.mempool_spender(outpoint) {
            None => Some(0),
            Some(tx) => self.own.contains(&tx.compute_txid()).then_some(1),
        };
        let coins = self.wallet.coins().iter();
        let mut coins: Vec<_> = coins.filter_map(|(at, coin)| Some((rank(at)?, *at, coin.clone()))).collect();
        coins.sort_by_key(|(rank, outpoint, coin)| (*rank, std::cmp::Reverse(coin.value), *outpoint));
        coins.into_iter().map(|(_, outpoint, coin)| (outpoint, coin)).collect()
    }
}

/// The HTLCs of some targets.
fn refs(sight: &Sight<'_>, targets: &[Target]) -> Vec<HtlcRef> {
    let htlcs = &sight.commitment.htlcs;
    targets.iter().filter_map(|target| htlcs.get(target.index)).map(|htlc| htlc.key).collect()
}
