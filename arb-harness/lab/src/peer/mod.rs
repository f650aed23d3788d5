//! The counterparty on chain: publishes a commitment, claims with preimages, takes back after expiry, sweeps.
//!
//! What it does follows from its plan and the confirmed chain alone, so it may be asked any number of times: it names what
//! is final in the next block and not in the mempool yet, also after a reorg. It follows BOLT 5 with its own keys, and
//! knows no preimage beyond its plan. It does not punish: it treats our revoked commitments like any other. Publishing a
//! revoked commitment of its own is cheating; afterwards it claims as always, and the race is decided by us and by the
//! miner ([`Peer::template`]).

mod aggregate;
mod claims;
mod miner;

use std::collections::BTreeMap;

use arb_core::bolt3::{OutputKind, PaymentHash, Preimage};
use arb_core::{ActionId, Side};
use arb_harness::wallet::Wallet;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::chain::{Chain, Coin};
use crate::fixture::{ChannelFixture, FixtureError};
use crate::wallet::SmallWallet;

pub use aggregate::{ASIDE_SAT, Piece, aggregate, aggregate_needs};
pub use claims::{Claimant, Rates};
pub use miner::Withheld;

/// A transaction that the counterparty publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Its own commitment of this number: the newest, a revoked one, or one that we never heard of.
    Commitment(u64),
    /// Anything else, such as a mutual close.
    Transaction(Transaction),
}

/// Which HTLCs it claims first. The others wait while one of these can be claimed in the next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every HTLC as soon as it can be claimed.
    AsTheyCome,
    /// Those that we offered, with their preimages.
    SuccessFirst,
    /// Those that it offered, after their expiry.
    TimeoutFirst,
}

/// What the counterparty does, and what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPlan {
    /// What it publishes while the funding is unspent, and from which tip height on.
    pub publishes: Option<(u32, Publish)>,
    /// The preimages that it knows, each from a tip height on.
    pub preimages: BTreeMap<Preimage, u32>,
    /// Whether it claims HTLCs at all.
    pub claims: bool,
    /// Which HTLCs it claims first.
    pub order: Order,
    /// Whether HTLCs on its own commitments share transactions, over all channels that it acts on, if their type and lock
    /// time allow it.
    pub together: bool,
    /// Blocks that it waits after an expiry before it takes an HTLC back.
    pub patience_blocks: u32,
    /// Whether it sweeps its balance and its second-level outputs.
    pub sweeps: bool,
    /// The feerate of its transactions, if they can choose one (sat per kw).
    pub feerate_sat_per_kw: u32,
}

impl Default for PeerPlan {
    /// Publishes nothing and knows no preimage; takes back what expires and sweeps at once.
    fn default() -> Self {
        Self {
            publishes: None,
            preimages: BTreeMap::new(),
            claims: true,
            order: Order::AsTheyCome,
            together: false,
            patience_blocks: 0,
            sweeps: true,
            feerate_sat_per_kw: 500,
        }
    }
}

/// A counterparty: a plan, and a wallet that receives its sweeps and pays its fees.
#[derive(Clone, Debug)]
pub struct Peer {
    plan: PeerPlan,
    wallet: SmallWallet,
}

/// One confirmed commitment, as the counterparty sees it.
#[derive(Clone, Copy)]
struct Sight<'a> {
    chain: &'a Chain,
    claimant: Claimant<'a>,
    next_height: u32,
}

impl Peer {
    /// A counterparty whose wallet has this seed. Zero-fee HTLC transactions need coins: send some to the wallet's
    /// [`deposit_script`](SmallWallet::deposit_script), one for each such transaction at a time.
    pub fn new(plan: PeerPlan, wallet_seed: &[u8; 32]) -> Self {
        Self { plan, wallet: SmallWallet::from_seed(wallet_seed) }
    }

    /// The plan.
    pub fn plan(&self) -> &PeerPlan {
        &self.plan
    }

    /// The plan, to be changed.
    pub fn plan_mut(&mut self) -> &mut PeerPlan {
        &mut self.plan
    }

    /// The wallet.
    pub fn wallet(&self) -> &SmallWallet {
        &self.wallet
    }

    /// Everything that it would submit now, for the next block. To be called once a block, or more often.
    pub fn act(&mut self, fixture: &ChannelFixture, chain: &Chain) -> Result<Vec<Transaction>, FixtureError> {
        self.act_on(&[fixture], chain)
    }

    /// The same for several channels with this counterparty; it publishes the commitment of its plan on each.
    pub fn act_on(&mut self, fixtures: &[&ChannelFixture], chain: &Chain) -> Result<Vec<Transaction>, FixtureError> {
        let mut txs = self.wishes(fixtures, chain)?;
        txs.retain(|tx| chain.in_mempool(&tx.compute_txid()).is_none());
        Ok(txs)
    }

    /// Everything that it wants in the next block, also what is in the mempool already.
    fn wishes(&mut self, fixtures: &[&ChannelFixture], chain: &Chain) -> Result<Vec<Transaction>, FixtureError> {
        self.wallet.refresh(chain);
        self.wallet.keep_owners(|owner| chain.utxo(owner).is_some());
        let (mut txs, mut commitments) = (Vec::new(), Vec::new());
        for fixture in fixtures {
            let funding = fixture.setup().funding;
            match chain.spender_of(&funding).and_then(|(_, txid, _)| chain.confirmed(&txid)) {
                None => txs.extend(self.published(fixture, chain)?),
                Some((_, tx)) => commitments.extend(fixture.recognise(tx)?.map(|commitment| (*fixture, commitment))),
            }
        }
        let rates = Rates {
            feerate_sat_per_kw: self.plan.feerate_sat_per_kw,
            floor_sat_per_kvb: chain.config().relay_floor_sat_per_kvb,
        };
        let next_height = chain.tip().0.saturating_add(1);
        let sight = |(fixture, commitment)| {
            let claimant = Claimant { fixture, side: Side::Remote, commitment, rates };
            Sight { chain, claimant, next_height }
        };
        let sights: Vec<Sight<'_>> =
            commitments.iter().map(|(fixture, commitment)| sight((fixture, commitment))).collect();
        txs.extend(self.claims(&sights)?);
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

    fn claims(&mut self, sights: &[Sight<'_>]) -> Result<Vec<Transaction>, FixtureError> {
        let mut takeable: Vec<Piece<'_>> = sights.iter().flat_map(|sight| self.takeable(sight)).collect();
        self.plan.order.keep_first(&mut takeable);
        let shares = |piece: &Piece<'_>| self.plan.together && piece.claimant.can_aggregate();
        let (together, alone): (Vec<_>, Vec<_>) = takeable.into_iter().partition(shares);
        let mut txs = Vec::new();
        for sight in sights {
            let commitment = sight.claimant.commitment;
            for (vout, kind) in (0_u32..).zip(&commitment.built.outputs) {
                let outpoint = commitment.outpoint(vout);
                txs.extend(match *kind {
                    OutputKind::Htlc(index) if sight.chain.utxo(&outpoint).is_some() => {
                        let is_this = |piece: &&Piece<'_>| {
                            piece.index == index && piece.claimant.commitment.built.txid == commitment.built.txid
                        };
                        match alone.iter().find(is_this) {
                            Some(piece) => self.claim_htlc(piece, outpoint)?,
                            None => None,
                        }
                    }
                    OutputKind::Htlc(_) => self.sweep_second_level(*sight, outpoint)?,
                    OutputKind::ToOwner => self.sweep_main(*sight, Side::Remote, vout)?,
                    OutputKind::ToOther => self.sweep_main(*sight, Side::Local, vout)?,
                    // Worth less than its claim costs.
                    OutputKind::OwnerAnchor | OutputKind::OtherAnchor => None,
                });
            }
        }
        txs.extend(self.claim_together(together)?);
        Ok(txs)
    }

    /// Sweeps its balance, if this output is it: `to_local` of its commitment, `to_remote` of ours.
    fn sweep_main(&self, sight: Sight<'_>, on: Side, vout: u32) -> Result<Option<Transaction>, FixtureError> {
        let outpoint = sight.claimant.commitment.outpoint(vout);
        let Some(coin) = sight.chain.utxo(&outpoint).filter(|_| self.plan.sweeps) else { return Ok(None) };
        if sight.claimant.commitment.owner != on || !sight.is_mature(coin, sight.claimant.main_delay()) {
            return Ok(None);
        }
        sight.claimant.main(vout, self.sweep_script(&outpoint))
    }

    /// The unspent HTLCs that it could claim in the next block: with a preimage if we offered them, after their expiry if
    /// it did.
    fn takeable<'a>(&self, sight: &Sight<'a>) -> Vec<Piece<'a>> {
        if !self.plan.claims {
            return Vec::new();
        }
        let piece = |(index, htlc): (usize, &arb_core::Htlc)| {
            let (outpoint, ..) = sight.claimant.commitment.htlc_output(index).ok()?;
            let coin = sight.chain.utxo(&outpoint)?;
            let preimage = if htlc.key.is_offered() {
                Some(self.preimage_of(&htlc.payment_hash, sight.chain.tip().0)?)
            } else {
                let expiry = htlc.cltv_expiry.get();
                if expiry.saturating_add(self.plan.patience_blocks) >= sight.next_height {
                    return None;
                }
                None
            };
            let mature = sight.is_mature(coin, sight.claimant.htlc_delay());
            mature.then_some(Piece { claimant: sight.claimant, index, preimage })
        };
        sight.claimant.commitment.htlcs.iter().enumerate().filter_map(piece).collect()
    }

    /// Claims an HTLC in a transaction of its own.
    fn claim_htlc(&mut self, piece: &Piece<'_>, outpoint: OutPoint) -> Result<Option<Transaction>, FixtureError> {
        let Piece { claimant, index, preimage } = *piece;
        if claimant.commitment.owner != Side::Remote {
            return claimant.direct(index, preimage, self.sweep_script(&outpoint));
        }
        let Some(amount_sat) = claimant.second_level_needs(index)? else {
            return claimant.second_level(index, preimage, None).map(Some);
        };
        let feerate = claimant.rates.at_least_floor_sat_per_kw();
        let offer = self.wallet.offer(request_of([outpoint]), outpoint, amount_sat, feerate, &[]);
        let Ok(offer) = offer else { return Ok(None) };
        claimant.second_level(index, preimage, Some((&offer, self.wallet.keys()))).map(Some)
    }

    /// Claims HTLCs in one transaction for each lock time; skips those for which no coin is large enough.
    fn claim_together(&mut self, pieces: Vec<Piece<'_>>) -> Result<Vec<Transaction>, FixtureError> {
        let mut groups: BTreeMap<u32, Vec<Piece<'_>>> = BTreeMap::new();
        for piece in pieces {
            groups.entry(piece.lock_time()?).or_default().push(piece);
        }
        let mut txs = Vec::new();
        for group in groups.into_values() {
            let outpoints = group.iter().map(Piece::outpoint).collect::<Result<Vec<_>, _>>()?;
            let Some((owner, rates)) = outpoints.first().copied().zip(group.first().map(|piece| piece.claimant.rates))
            else {
                continue;
            };
            let request = request_of(outpoints);
            let feerate = rates.at_least_floor_sat_per_kw();
            let Ok(offer) = self.wallet.offer(request, owner, aggregate_needs(&group)?, feerate, &[]) else { continue };
            txs.push(aggregate(&group, &offer, self.sweep_script(&owner), self.wallet.keys())?);
        }
        Ok(txs)
    }

    /// Sweeps its second-level output, if its own transaction spent this HTLC.
    fn sweep_second_level(&self, sight: Sight<'_>, htlc: OutPoint) -> Result<Option<Transaction>, FixtureError> {
        if !self.plan.sweeps || sight.claimant.commitment.owner != Side::Remote {
            return Ok(None);
        }
        let Some((_, txid, input)) = sight.chain.spender_of(&htlc) else { return Ok(None) };
        let Ok(vout) = u32::try_from(input) else { return Ok(None) };
        // Our signature ties the output to the input of the same number.
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

impl Order {
    /// Keeps only the HTLCs that come first, if there are any.
    fn keep_first(self, pieces: &mut Vec<Piece<'_>>) {
        let success = match self {
            Self::AsTheyCome => return,
            Self::SuccessFirst => true,
            Self::TimeoutFirst => false,
        };
        if pieces.iter().any(|piece| piece.preimage.is_some() == success) {
            pieces.retain(|piece| piece.preimage.is_some() == success);
        }
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

fn request_of(outpoints: impl IntoIterator<Item = OutPoint>) -> ActionId {
    let names: Vec<u8> = outpoints.into_iter().flat_map(|outpoint| outpoint_name(&outpoint)).collect();
    let hash = sha256::Hash::hash(&names).to_byte_array();
    ActionId(hash.first_chunk().copied().unwrap_or_default())
}
