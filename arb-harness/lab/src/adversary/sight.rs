//! What the adversary sees: the commitment, the HTLCs that it could take in the next block, and our transactions in the
//! mempool.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::Side;
use arb_core::bolt3::{OutputKind, PaymentHash, Preimage};
use arb_harness::keys::WalletKeys;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use super::batch::{Batch, Target};
use crate::chain::Chain;
use crate::fixture::{ChannelFixture, Commitment, FixtureError};

/// One commitment on one chain, as the counterparty sees it. Has copies, so that the adversary can change the chain
/// meanwhile.
pub(super) struct Sight<'f> {
    pub(super) fixture: &'f ChannelFixture,
    pub(super) commitment: Commitment,
    pub(super) keys: WalletKeys,
    /// The script for what is left in this act's transactions.
    pub(super) to: ScriptBuf,
    /// The adversary's own transactions, which it does not act against.
    pub(super) own: BTreeSet<Txid>,
}

/// The commitment that spends the funding output, confirmed or in the mempool, if the fixture knows it.
pub(super) fn commitment(fixture: &ChannelFixture, chain: &Chain) -> Result<Option<Commitment>, FixtureError> {
    let funding = fixture.setup().funding;
    let confirmed = chain.spender_of(&funding).and_then(|(_, txid, _)| chain.confirmed(&txid)).map(|(_, tx)| tx);
    match confirmed.or_else(|| chain.mempool_spender(&funding)) {
        Some(tx) => fixture.recognise(tx),
        None => Ok(None),
    }
}

impl Sight<'_> {
    /// A transaction of the adversary over these HTLCs and coins.
    pub(super) fn batch<'a>(&'a self, targets: &'a [Target], coins: &'a [(OutPoint, TxOut)]) -> Batch<'a> {
        let Self { fixture, commitment, keys, to, .. } = self;
        Batch { fixture, side: Side::Remote, commitment, targets, anchor: None, coins, keys, to, extra: (0, 0) }
    }

    /// The HTLCs that the adversary could take in the next block: ours with a preimage that it knows, its own after their
    /// expiry.
    pub(super) fn targets(&self, chain: &Chain, preimages: &BTreeMap<Preimage, u32>) -> Vec<Target> {
        let tip = chain.tip().0;
        let known = |hash: &PaymentHash| {
            let mut known = preimages.iter().filter(|(_, from)| **from <= tip).map(|(preimage, _)| *preimage);
            known.find(|preimage| preimage.hash() == *hash)
        };
        let target = |(index, htlc): (usize, &arb_core::Htlc)| {
            let (outpoint, ..) = self.commitment.htlc_output(index).ok()?;
            chain.utxo(&outpoint)?; // confirmed: the one block of delay that some types ask for has passed
            match htlc.key.is_offered() {
                true => known(&htlc.payment_hash).map(|preimage| Target { index, preimage: Some(preimage) }),
                false => (htlc.cltv_expiry.get() <= tip).then_some(Target { index, preimage: None }),
            }
        };
        let htlcs = self.commitment.htlcs.iter().enumerate();
        if self.batch(&[], &[]).can_claim() { htlcs.filter_map(target).collect() } else { Vec::new() }
    }

    /// The transaction in the mempool that spends a target's output.
    fn spender<'c>(&self, chain: &'c Chain, target: &Target) -> Option<&'c Transaction> {
        chain.mempool_spender(&self.commitment.htlc_output(target.index).ok()?.0)
    }

    /// Our transactions in the mempool, each with the targets that it spends.
    pub(super) fn contested(&self, chain: &Chain, targets: &[Target]) -> BTreeMap<Txid, Vec<Target>> {
        let mut contested: BTreeMap<Txid, Vec<Target>> = BTreeMap::new();
        for target in targets {
            let txid = self.spender(chain, target).map(Transaction::compute_txid);
            if let Some(txid) = txid.filter(|txid| !self.own.contains(txid)) {
                contested.entry(txid).or_default().push(*target);
            }
        }
        contested
    }

    /// The targets that no transaction of the adversary spends yet.
    pub(super) fn unclaimed(&self, chain: &Chain, targets: &[Target]) -> Vec<Target> {
        let is_own = |tx: &Transaction| self.own.contains(&tx.compute_txid());
        targets.iter().filter(|target| !self.spender(chain, target).is_some_and(is_own)).copied().collect()
    }

    /// The targets, split into those that can share a transaction; the largest group first.
    pub(super) fn groups(&self, targets: &[Target]) -> Vec<Vec<Target>> {
        let mut groups: BTreeMap<u32, Vec<Target>> = BTreeMap::new();
        for target in targets {
            let own_commitment = self.commitment.owner == Side::Remote;
            let lock_time = if own_commitment { self.batch(&[], &[]).lock_time(target) } else { 0 };
            groups.entry(lock_time).or_default().push(*target);
        }
        let mut groups: Vec<Vec<Target>> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        groups
    }

    /// Our transactions in the mempool that spend the funding or an output of the commitment.
    pub(super) fn ours(&self, chain: &Chain) -> BTreeSet<Txid> {
        let outputs = (0_u32..).zip(&self.commitment.built.outputs).map(|(vout, _)| self.commitment.outpoint(vout));
        let spenders = outputs.chain([self.fixture.setup().funding]).filter_map(|at| chain.mempool_spender(&at));
        spenders.map(Transaction::compute_txid).filter(|txid| !self.own.contains(txid)).collect()
    }

    /// The adversary's anchor, while nothing spends it.
    pub(super) fn anchor(&self, chain: &Chain) -> Option<u32> {
        let kind = match self.commitment.owner {
            Side::Remote => OutputKind::OwnerAnchor,
            Side::Local => OutputKind::OtherAnchor,
        };
        let mut outputs = (0_u32..).zip(&self.commitment.built.outputs);
        let (vout, _) = outputs.find(|(_, output)| **output == kind)?;
        chain.mempool_spender(&self.commitment.outpoint(vout)).is_none().then_some(vout)
    }
}
