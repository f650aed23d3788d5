//! The confirmed chain: blocks, coins, spends, and how to disconnect a block.
//!
//! It checks nothing: [`BlockCandidate`] has checked a block that reaches `connect`. Planted coins and transactions belong
//! to no block. They stay through every reorg, at the height that they were given, since a chain without a genesis block
//! needs fixtures. Invariant: `disconnect` after `connect` leaves the coins exactly as they were.

use std::collections::BTreeMap;

use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{BlockHash, Network, OutPoint, Transaction, TxOut, Txid};

use super::check::{self, Spend};
use super::reject::Reject;
use super::{Block, Coin};

/// Height, transaction and input position of a confirmed spend.
type Spender = (u32, Txid, usize);

/// The confirmed part of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    network: Network,
    start_height: u32,
    blocks: Vec<Block>,
    undo: Vec<Vec<(OutPoint, Coin)>>,
    coins: BTreeMap<OutPoint, Coin>,
    spenders: BTreeMap<OutPoint, Spender>,
    confirmed: BTreeMap<Txid, (u32, usize)>,
    planted: BTreeMap<Txid, (u32, Transaction)>,
    planted_coins: BTreeMap<OutPoint, Coin>,
    /// How many blocks were ever connected: it makes the hashes of two branches differ.
    blocks_ever: u64,
    highest: u32,
    /// Height and parent of every block of every branch: a court on a stale branch needs them to find the fork.
    headers: BTreeMap<BlockHash, (u32, BlockHash)>,
}

impl Ledger {
    pub(super) fn new(network: Network, start_height: u32) -> Self {
        let parent = BlockHash::all_zeros();
        let hash = block_hash(network, parent, start_height, 0, &[]);
        Self {
            network,
            start_height,
            blocks: vec![Block { height: start_height, hash, parent, txs: Vec::new() }],
            undo: vec![Vec::new()],
            coins: BTreeMap::new(),
            spenders: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            planted: BTreeMap::new(),
            planted_coins: BTreeMap::new(),
            blocks_ever: 0,
            highest: start_height,
            headers: BTreeMap::from([(hash, (start_height, parent))]),
        }
    }

    pub(super) fn tip(&self) -> (u32, BlockHash) {
        let tip = self.blocks.last().expect("the first block is never disconnected");
        (tip.height, tip.hash)
    }

    pub(super) fn next_height(&self) -> u32 {
        self.tip().0.saturating_add(1)
    }

    pub(super) fn highest(&self) -> u32 {
        self.highest
    }

    pub(super) fn header_of(&self, hash: &BlockHash) -> Option<(u32, BlockHash)> {
        self.headers.get(hash).copied()
    }

    pub(super) fn block_at(&self, height: u32) -> Option<&Block> {
        self.blocks.get(usize::try_from(height.checked_sub(self.start_height)?).ok()?)
    }

    pub(super) fn coins(&self) -> &BTreeMap<OutPoint, Coin> {
        &self.coins
    }

    pub(super) fn planted_count(&self) -> usize {
        self.planted.len()
    }

    pub(super) fn spender_of(&self, outpoint: &OutPoint) -> Option<Spender> {
        self.spenders.get(outpoint).copied()
    }

    pub(super) fn confirmed(&self, txid: &Txid) -> Option<(u32, &Transaction)> {
        if let Some((height, tx)) = self.planted.get(txid) {
            return Some((*height, tx));
        }
        let (height, position) = self.confirmed.get(txid)?;
        Some((*height, self.block_at(*height)?.txs.get(*position)?))
    }

    /// The output at `outpoint`, whether it still exists or has been spent.
    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        if let Some(coin) = self.planted_coins.get(outpoint) {
            return Some(&coin.txout);
        }
        self.confirmed(&outpoint.txid)?.1.output.get(usize::try_from(outpoint.vout).ok()?)
    }

    /// The coin at `outpoint`, or the error with the transaction that spent it.
    pub(super) fn coin(&self, outpoint: &OutPoint) -> Result<Coin, Reject> {
        let spent_by = || self.spender_of(outpoint).map(|(_, txid, _)| txid);
        let missing = || Reject::MissingInputs { outpoint: *outpoint, spent_by: spent_by() };
        self.coins.get(outpoint).cloned().ok_or_else(missing)
    }

    /// Plants one coin at the present height.
    pub(super) fn plant_coin(&mut self, outpoint: OutPoint, txout: TxOut) -> Result<(), Reject> {
        if self.output(&outpoint).is_some() || self.spenders.contains_key(&outpoint) {
            return Err(Reject::OutputExists { outpoint });
        }
        let coin = Coin { txout, height: self.tip().0 };
        self.planted_coins.insert(outpoint, coin.clone());
        self.coins.insert(outpoint, coin);
        Ok(())
    }

    /// Plants a transaction, whose inputs need not exist, at the present height.
    pub(super) fn plant(&mut self, tx: Transaction) -> Result<Txid, Reject> {
        let txid = tx.compute_txid();
        let height = self.tip().0;
        self.is_new(&txid, &tx)?;
        for (position, input) in tx.input.iter().enumerate() {
            let outpoint = input.previous_output;
            if self.output(&outpoint).is_some() {
                return Err(Reject::InputExists { outpoint });
            }
            if !outpoint.is_null() {
                self.spenders.insert(outpoint, (height, txid, position));
            }
        }
        self.coins.extend(outputs(&txid, &tx, height));
        self.planted.insert(txid, (height, tx));
        Ok(txid)
    }

    /// Refuses a transaction that is confirmed already, or whose outputs have been planted.
    fn is_new(&self, txid: &Txid, tx: &Transaction) -> Result<(), Reject> {
        if let Some((height, _)) = self.confirmed(txid) {
            return Err(Reject::AlreadyConfirmed { height });
        }
        let taken = outputs(txid, tx, 0).map(|(outpoint, _)| outpoint).find(|at| self.planted_coins.contains_key(at));
        taken.map_or(Ok(()), |outpoint| Err(Reject::OutputExists { outpoint }))
    }

    /// The next block with these transactions, not connected yet.
    pub(super) fn next_block(&self, txs: Vec<Transaction>) -> Block {
        let (_, parent) = self.tip();
        let height = self.next_height();
        let txids: Vec<Txid> = txs.iter().map(Transaction::compute_txid).collect();
        let hash = block_hash(self.network, parent, height, self.blocks_ever.saturating_add(1), &txids);
        Block { height, hash, parent, txs }
    }

    /// Connects a checked block. An error names a coin that is missing: the block was not checked against this chain.
    pub(super) fn connect(&mut self, block: Block) -> Result<(), Reject> {
        let mut undo = Vec::new();
        for (position, tx) in block.txs.iter().enumerate() {
            let txid = tx.compute_txid();
            for (input, txin) in tx.input.iter().enumerate() {
                let outpoint = txin.previous_output;
                undo.push((outpoint, self.coin(&outpoint)?));
                self.coins.remove(&outpoint);
                self.spenders.insert(outpoint, (block.height, txid, input));
            }
            self.coins.extend(outputs(&txid, tx, block.height));
            self.confirmed.insert(txid, (block.height, position));
        }
        self.blocks_ever = self.blocks_ever.saturating_add(1);
        self.highest = self.highest.max(block.height);
        self.headers.insert(block.hash, (block.height, block.parent));
        self.blocks.push(block);
        self.undo.push(undo);
        Ok(())
    }

    /// Disconnects the last block; the first one always stays.
    pub(super) fn disconnect(&mut self) -> Option<Block> {
        if self.blocks.len() < 2 {
            return None;
        }
        let block = self.blocks.pop()?;
        let mut undo = self.undo.pop()?;
        for tx in block.txs.iter().rev() {
            let txid = tx.compute_txid();
            self.confirmed.remove(&txid);
            for (outpoint, _) in outputs(&txid, tx, block.height) {
                self.coins.remove(&outpoint);
            }
            for (outpoint, coin) in undo.split_off(undo.len().saturating_sub(tx.input.len())) {
                self.spenders.remove(&outpoint);
                self.coins.insert(outpoint, coin);
            }
        }
        Some(block)
    }
}

/// A block that is being put together; checks each transaction against the ledger and the transactions before it.
#[derive(Debug)]
pub(super) struct BlockCandidate<'a> {
    ledger: &'a Ledger,
    created: BTreeMap<OutPoint, Coin>,
    spent: BTreeMap<OutPoint, Txid>,
    weight: u64,
    max_weight: u64,
}

impl<'a> BlockCandidate<'a> {
    pub(super) fn new(ledger: &'a Ledger, max_weight: u64) -> Self {
        Self { ledger, created: BTreeMap::new(), spent: BTreeMap::new(), weight: 0, max_weight }
    }

    /// The weight of what was taken.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Checks all of consensus but scripts.
    pub(super) fn check(&self, txid: &Txid, tx: &Transaction) -> Result<Spend, Reject> {
        self.ledger.is_new(txid, tx)?;
        let weight = self.weight.saturating_add(tx.weight().to_wu());
        if weight > self.max_weight {
            return Err(Reject::BlockTooHeavy { weight, limit: self.max_weight });
        }
        check::consensus(tx, self.ledger.next_height(), |outpoint| match self.spent.get(outpoint) {
            Some(with) => Err(Reject::Conflict { with: *with }),
            None => self.created.get(outpoint).cloned().map_or_else(|| self.ledger.coin(outpoint), Ok),
        })
    }

    /// Takes a checked transaction into the block.
    pub(super) fn take(&mut self, txid: Txid, tx: &Transaction) {
        self.weight = self.weight.saturating_add(tx.weight().to_wu());
        self.spent.extend(tx.input.iter().map(|input| (input.previous_output, txid)));
        self.created.extend(outputs(&txid, tx, self.ledger.next_height()));
    }
}

/// The coins that a transaction makes: every output that can be spent at all.
fn outputs<'a>(txid: &Txid, tx: &'a Transaction, height: u32) -> impl Iterator<Item = (OutPoint, Coin)> + use<'a> {
    let txid = *txid;
    (0_u32..)
        .zip(&tx.output)
        .filter(|(_, txout)| !txout.script_pubkey.is_op_return())
        .map(move |(vout, txout)| (OutPoint::new(txid, vout), Coin { txout: txout.clone(), height }))
}

/// The hash of a block without proof of work; `nonce` makes equal blocks of two branches differ.
fn block_hash(network: Network, parent: BlockHash, height: u32, nonce: u64, txids: &[Txid]) -> BlockHash {
    let mut engine = sha256d::Hash::engine();
    engine.input(b"arb embedded chain");
    engine.input(&network.magic().to_bytes());
    engine.input(parent.as_byte_array());
    engine.input(&height.to_le_bytes());
    engine.input(&nonce.to_le_bytes());
    for txid in txids {
        engine.input(txid.as_byte_array());
    }
    BlockHash::from_raw_hash(sha256d::Hash::from_engine(engine))
}
