//! Questions about the chain, and the flow of value below an outpoint.
//!
//! Every answer is read from blocks and coins alone. So it is a second opinion: balance sheets are made from it
//! independently of the court that is tested. Answers are about the confirmed chain unless a name says mempool, and come in
//! a fixed order. A spend by a planted transaction counts as confirmed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use super::{Block, Chain, Coin, check};

/// An output that descends from an outpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The outpoint of the output.
    pub outpoint: OutPoint,
    /// Its value in satoshi.
    pub value_sat: u64,
    /// Its script.
    pub script_pubkey: ScriptBuf,
    /// How many transactions lie between it and the start: 1 for an output of the first spender.
    pub depth: u32,
    /// The height at which it was confirmed.
    pub height: u32,
    /// Height, transaction and input position of its confirmed spend.
    pub spender: Option<(u32, Txid, usize)>,
}

impl Chain {
    /// Height and hash of the last block.
    pub fn tip(&self) -> (u32, BlockHash) {
        self.ledger.tip()
    }

    /// The block at a height of the best chain; the first one is empty.
    pub fn block_at(&self, height: u32) -> Option<&Block> {
        self.ledger.block_at(height)
    }

    /// The greatest height that the best chain ever had.
    pub fn highest(&self) -> u32 {
        self.ledger.highest()
    }

    /// Height and parent of any block, also of one that left the best chain.
    pub fn header_of(&self, hash: &BlockHash) -> Option<(u32, BlockHash)> {
        self.ledger.header_of(hash)
    }

    /// A confirmed coin that is not spent by a confirmed transaction.
    pub fn utxo(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.ledger.coins().get(outpoint)
    }

    /// All confirmed coins that are not spent.
    pub fn utxos(&self) -> &BTreeMap<OutPoint, Coin> {
        self.ledger.coins()
    }

    /// Height, transaction and input position of the confirmed spend of an outpoint.
    pub fn spender_of(&self, outpoint: &OutPoint) -> Option<(u32, Txid, usize)> {
        self.ledger.spender_of(outpoint)
    }

    /// A confirmed or planted transaction and its height.
    pub fn confirmed(&self, txid: &Txid) -> Option<(u32, &Transaction)> {
        self.ledger.confirmed(txid)
    }

    /// The transactions in the mempool, ordered by id.
    pub fn mempool(&self) -> impl Iterator<Item = &Transaction> {
        self.mempool.entries().map(|(_, entry)| &entry.tx)
    }

    /// A transaction in the mempool and its fee in satoshi.
    pub fn in_mempool(&self, txid: &Txid) -> Option<(&Transaction, u64)> {
        self.mempool.get(txid).map(|entry| (&entry.tx, entry.fee))
    }

    /// The feerate by which a full mempool ranks a transaction, in satoshi per thousand virtual bytes: its own, or that
    /// with all its descendants if it is higher. Below the mempool's minimum, [`trim`](Self::trim) evicts it.
    pub fn mempool_rank(&self, txid: &Txid) -> Option<u64> {
        self.mempool.rank(txid)
    }

    /// The transaction in the mempool that spends an outpoint.
    pub fn mempool_spender(&self, outpoint: &OutPoint) -> Option<&Transaction> {
        Some(&self.mempool.get(&self.mempool.spender(outpoint)?)?.tx)
    }

    /// How many inputs the script interpreter has checked since the chain was made or opened.
    pub fn script_checks(&self) -> u64 {
        self.scripts.checks()
    }

    /// Every output below an outpoint, through confirmed spends, the nearest first; the outpoint itself is not among them.
    /// Other inputs of a spender are not followed upwards: its outputs count in full.
    pub fn descendants(&self, start: OutPoint) -> Vec<Flow> {
        self.descendants_until(start, &BTreeSet::new())
    }

    /// Like [`descendants`](Self::descendants), but without what follows outputs that pay a script in `stop`: a wallet's
    /// later spends do not concern the channel.
    pub fn descendants_until(&self, start: OutPoint, stop: &BTreeSet<ScriptBuf>) -> Vec<Flow> {
        let (mut flows, mut seen) = (Vec::new(), BTreeSet::new());
        let mut queue = VecDeque::from([(start, 1_u32)]);
        while let Some((outpoint, depth)) = queue.pop_front() {
            let Some((_, txid, _)) = self.spender_of(&outpoint) else { continue };
            let Some((height, tx)) = self.confirmed(&txid).filter(|_| seen.insert(txid)) else { continue };
            for (vout, txout) in (0_u32..).zip(&tx.output) {
                let flow = self.flow(OutPoint::new(txid, vout), txout, depth, height);
                if flow.spender.is_some() && !stop.contains(&flow.script_pubkey) {
                    queue.push_back((flow.outpoint, depth.saturating_add(1)));
                }
                flows.push(flow);
            }
        }
        flows
    }

    fn flow(&self, outpoint: OutPoint, txout: &TxOut, depth: u32, height: u32) -> Flow {
        let (value_sat, script_pubkey) = (txout.value.to_sat(), txout.script_pubkey.clone());
        Flow { outpoint, value_sat, script_pubkey, depth, height, spender: self.spender_of(&outpoint) }
    }

    /// The fee of a confirmed transaction or of one in the mempool, in satoshi; `None` if it is unknown, or planted on
    /// inputs that never existed.
    pub fn fee_of(&self, txid: &Txid) -> Option<u64> {
        if let Some(entry) = self.mempool.get(txid) {
            return Some(entry.fee);
        }
        let (_, tx) = self.confirmed(txid)?;
        let values = tx.input.iter().map(|input| Some(self.ledger.output(&input.previous_output)?.value.to_sat()));
        let value_in = check::sum(values.collect::<Option<Vec<u64>>>()?.into_iter());
        value_in.checked_sub(check::sum(tx.output.iter().map(|output| output.value.to_sat())))
    }

    /// The total value of the unspent coins with these scripts, in satoshi.
    pub fn value_of_unspent(&self, scripts: &BTreeSet<ScriptBuf>) -> u64 {
        let ours = self.utxos().values().filter(|coin| scripts.contains(&coin.txout.script_pubkey));
        check::sum(ours.map(|coin| coin.txout.value.to_sat()))
    }
}
