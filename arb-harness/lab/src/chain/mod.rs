//! An embedded Bitcoin chain with a mempool: the rules of Bitcoin Core, without a clock, randomness or a network.
//!
//! Blocks have no proof of work and no coinbase; coins are minted. Everything else is checked as a node checks it: inputs
//! exist and are spent once, locks have passed, and Bitcoin Core's own interpreter runs every script. Two chains that get
//! the same calls are equal to the byte. With a file, each block, disconnect and planted coin is synced to disk before the
//! call returns; the mempool is never saved. Not modelled: time, difficulty, peers, the miner's fees.

mod admit;
mod check;
mod file;
mod ledger;
mod limits;
mod mempool;
mod mine;
mod package;
mod query;
mod reject;
mod replace;
mod scripts;
mod source;

use std::path::Path;

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute,
    script, transaction,
};

use file::{ChainFile, Record};
use ledger::Ledger;
use mempool::Mempool;
use scripts::ScriptCache;

pub use file::ChainFileError;
pub use mine::BlockTemplate;
pub use query::Flow;
pub use reject::{PackageReject, Reject, Submitted};
pub use source::flat_fees;

/// The identity of a chain, and what its mempool and its miners accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// The network; it is part of the block hashes and of a file's identity.
    pub network: Network,
    /// The height of the chain's first block, which is there before anything is mined. A chain file cannot be opened with
    /// another start height than its own.
    pub start_height: u32,
    /// The relay floor (`minrelaytxfee`), in satoshi per thousand virtual bytes.
    pub relay_floor_sat_per_kvb: u64,
    /// What a replacement pays for its own relay, in addition to all that it evicts (`incrementalrelayfee`), in satoshi per
    /// thousand virtual bytes.
    pub incremental_relay_sat_per_kvb: u64,
    /// Whether a small child of a transaction whose descendants are full is accepted (the carve-out, gone from Core 31).
    pub carve_out: bool,
    /// The heaviest block, in weight units.
    pub max_block_weight: u64,
    /// How far below the highest tip ever reached a block may still be disconnected.
    pub reorg_limit: u32,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            network: Network::Regtest,
            start_height: 100,
            relay_floor_sat_per_kvb: 1000,
            incremental_relay_sat_per_kvb: 1000,
            carve_out: true,
            max_block_weight: 4_000_000,
            reorg_limit: 1000,
        }
    }
}

/// A block without a coinbase; its header is only the link to its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The height of the block.
    pub height: u32,
    /// The hash of the block; no other block of the same chain object ever has it, on any branch.
    pub hash: BlockHash,
    /// The hash of the block one height below.
    pub parent: BlockHash,
    /// The transactions, parents first.
    pub txs: Vec<Transaction>,
}

/// A confirmed output that no confirmed transaction spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// Value and script.
    pub txout: TxOut,
    /// The height at which it was confirmed or planted.
    pub height: u32,
}

/// The chain: blocks, coins, mempool, and optionally a file.
#[derive(Debug)]
pub struct Chain {
    config: ChainConfig,
    ledger: Ledger,
    mempool: Mempool,
    /// The least feerate that the mempool accepts while it is full, in satoshi per thousand virtual bytes; zero otherwise.
    mempool_min_sat_per_kvb: u64,
    scripts: ScriptCache,
    file: Option<ChainFile>,
    cut_on_open: u64,
}

impl Chain {
    /// A chain in memory whose tip is an empty block at the start height.
    pub fn new(config: ChainConfig) -> Self {
        let ledger = Ledger::new(config.network, config.start_height);
        Self {
            config,
            ledger,
            mempool: Mempool::default(),
            mempool_min_sat_per_kvb: 0,
            scripts: ScriptCache::default(),
            file: None,
            cut_on_open: 0,
        }
    }

    /// A new chain that is saved to a new file.
    pub fn create(path: impl AsRef<Path>, config: ChainConfig) -> Result<Self, ChainFileError> {
        let file = ChainFile::create(path.as_ref(), config.network.magic().to_bytes(), config.start_height)?;
        let mut chain = Self::new(config);
        chain.file = Some(file);
        Ok(chain)
    }

    /// Opens a saved chain; its mempool is empty. A torn last record is cut ([`cut_on_open`](Self::cut_on_open)).
    pub fn open(path: impl AsRef<Path>, config: ChainConfig) -> Result<Self, ChainFileError> {
        let recovered = ChainFile::open(path.as_ref(), config.network.magic().to_bytes(), config.start_height)?;
        let mut chain = Self::new(config);
        for (offset, record) in recovered.records {
            chain.replay(record).ok_or_else(|| recovered.file.unreplayable(offset))?;
        }
        chain.cut_on_open = recovered.cut;
        chain.file = Some(recovered.file);
        Ok(chain)
    }

    /// Opens the file if it is there, creates it if not.
    pub fn open_or_create(path: impl AsRef<Path>, config: ChainConfig) -> Result<Self, ChainFileError> {
        if path.as_ref().exists() { Self::open(path, config) } else { Self::create(path, config) }
    }

    /// Bytes of a torn write that opening cut off.
    pub fn cut_on_open(&self) -> u64 {
        self.cut_on_open
    }

    /// The first write that failed. From then on nothing is saved and the chain continues in memory alone: a caller that
    /// needs the file must check this and stop.
    pub fn disk_failure(&self) -> Option<&ChainFileError> {
        self.file.as_ref().and_then(ChainFile::failure)
    }

    /// The configuration.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// The minimum feerate of the mempool (`mempoolminfee`), in satoshi per thousand virtual bytes; zero if it is not full.
    pub fn mempool_min_feerate(&self) -> u64 {
        self.mempool_min_sat_per_kvb
    }

    /// Sets the minimum feerate of a full mempool; zero if it has room. Transactions that wait already stay until
    /// [`trim`](Self::trim).
    pub fn set_mempool_min_feerate(&mut self, sat_per_kvb: u64) {
        self.mempool_min_sat_per_kvb = sat_per_kvb;
    }

    /// Evicts what a mempool with the present minimum would have evicted, by Core's rank: a transaction stays if its own
    /// feerate, or that with all its descendants, reaches the minimum. Returns the evicted transactions, parents before
    /// children.
    pub fn trim(&mut self) -> Vec<Transaction> {
        self.mempool.trim(self.mempool_min_sat_per_kvb)
    }

    /// Plants a confirmed coin at the present height, as an output of a transaction like a coinbase. Planted coins and
    /// transactions belong to no block and stay through every reorg, with their height.
    pub fn mint(&mut self, script_pubkey: ScriptBuf, value_sat: u64) -> OutPoint {
        let serial = i64::try_from(self.ledger.planted_count()).unwrap_or(i64::MAX);
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: script::Builder::new().push_slice(b"arb mint").push_int(serial).into_script(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(value_sat), script_pubkey }],
        };
        let txid = self.mint_transaction(tx).expect("the serial number makes every minting transaction new");
        OutPoint::new(txid, 0)
    }

    /// Plants a whole transaction as confirmed at the present height. Its inputs need not exist; if one of them is a coin
    /// of this chain, the transaction is refused, because it can be mined.
    pub fn mint_transaction(&mut self, tx: Transaction) -> Result<Txid, Reject> {
        let record = Record::PlantTransaction(serialize(&tx));
        let txid = self.ledger.plant(tx.clone())?;
        self.save(&record);
        self.mempool.remove(&txid);
        self.evict_conflicts(&tx);
        Ok(txid)
    }

    /// Plants a coin at an outpoint whose transaction the chain never has.
    pub fn mint_at(&mut self, outpoint: OutPoint, txout: TxOut) -> Result<(), Reject> {
        let record = Record::PlantCoin { outpoint: serialize(&outpoint), txout: serialize(&txout) };
        self.ledger.plant_coin(outpoint, txout)?;
        self.save(&record);
        Ok(())
    }

    /// Disconnects the tip. Its transactions return to the mempool if they are still valid, whatever fee they pay;
    /// transactions that became invalid leave the mempool. `None` at the start height and at the reorg limit.
    pub fn disconnect_tip(&mut self) -> Option<Block> {
        let block = self.drop_tip()?;
        for tx in &block.txs {
            let _now_invalid = self.readmit(tx).err();
        }
        self.purge_mempool();
        Some(block)
    }

    /// Disconnects up to `depth` blocks, the tip first, and does *not* return their transactions to the mempool.
    /// Transactions that depend on them leave it.
    pub fn reorg_drop(&mut self, depth: u32) -> Vec<Block> {
        let dropped = (0..depth).map_while(|_| self.drop_tip()).collect();
        self.purge_mempool();
        dropped
    }

    /// Removes a transaction and all its descendants from the mempool; returns them, parents first.
    pub fn evict(&mut self, txid: &Txid) -> Vec<Transaction> {
        self.mempool.evict(txid)
    }

    /// Empties the mempool, as a restart of the node does.
    pub fn clear_mempool(&mut self) {
        self.mempool = Mempool::default();
    }

    fn connect(&mut self, txs: Vec<Transaction>) -> Block {
        let block = self.ledger.next_block(txs);
        let record = Record::Block { hash: block.hash.to_byte_array(), txs: block.txs.iter().map(serialize).collect() };
        self.ledger.connect(block.clone()).expect("the candidate was checked against this ledger");
        self.save(&record);
        for tx in &block.txs {
            self.mempool.remove(&tx.compute_txid());
            self.evict_conflicts(tx);
        }
        block
    }

    fn evict_conflicts(&mut self, tx: &Transaction) {
        for input in &tx.input {
            if let Some(rival) = self.mempool.spender(&input.previous_output) {
                self.mempool.evict(&rival);
            }
        }
    }

    fn drop_tip(&mut self) -> Option<Block> {
        if self.ledger.highest().saturating_sub(self.tip().0) >= self.config.reorg_limit {
            return None;
        }
        let block = self.ledger.disconnect()?;
        self.save(&Record::Disconnect { hash: block.hash.to_byte_array() });
        Some(block)
    }

    fn save(&mut self, record: &Record) {
        if let Some(file) = &mut self.file {
            file.append(record);
        }
    }

    /// Applies a saved record, which was checked before it was saved; `None` if it does not fit.
    fn replay(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Genesis { .. } => return None,
            Record::Block { hash, txs } => {
                let txs = txs.iter().map(|tx| deserialize(tx).ok()).collect::<Option<Vec<Transaction>>>()?;
                let block = self.ledger.next_block(txs);
                let is_same = block.hash.to_byte_array() == hash;
                self.ledger.connect(block).ok().filter(|()| is_same)?;
            }
            Record::Disconnect { hash } => {
                self.ledger.disconnect().filter(|block| block.hash.to_byte_array() == hash)?;
            }
            Record::PlantTransaction(tx) => {
                self.ledger.plant(deserialize(&tx).ok()?).ok()?;
            }
            Record::PlantCoin { outpoint, txout } => {
                self.ledger.plant_coin(deserialize(&outpoint).ok()?, deserialize(&txout).ok()?).ok()?;
            }
        }
        Some(())
    }
}
