//! The wallet as the court's driver needs it: a script to sweep to, and a confirmed coin that pays a fee.
//!
//! [`SmallWallet`] holds P2WPKH coins under a fixed pool of [`POOL`] keys derived from a seed. Which key answers a
//! request is a hash of the request's id, so nothing has to be saved: after a restart the same request has the same
//! answer, and all scripts that were ever given away are known again. The price is that two requests may share a script,
//! which costs privacy and nothing else. Reservations live in memory only: a restart forgets them, and the court's
//! standing orders to hold coins bring them back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arb_core::bolt3::{INPUT_BASE_WEIGHT, Point, SIGNATURE_SIZE_MAX, Secret};
use arb_core::{ActionId, FeeInput};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{OutPoint, ScriptBuf, TxOut};

use crate::chain::{Block, Chain};
use crate::keys::{derived_secret, secp};
use crate::signer::p2wpkh;

/// How many keys a [`SmallWallet`] has.
pub const POOL: u32 = 256;

/// Largest weight of a P2WPKH input: base, item count, signature and key with their lengths.
pub const P2WPKH_INPUT_WEIGHT: u64 = INPUT_BASE_WEIGHT + 1 + (1 + SIGNATURE_SIZE_MAX) + (1 + 33);

/// What a wallet offers for one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The coin.
    pub input: FeeInput,
    /// Where change goes.
    pub change: ScriptBuf,
}

/// No single free coin is worth enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the best free coin is {missing_sat} sat too small")]
pub struct Missing {
    /// How much more the best free coin would have to be worth.
    pub missing_sat: u64,
}

/// The embedder's wallet, as far as the court needs one.
pub trait Wallet {
    /// A script for this request's sweeps; the same request gets the same script.
    fn fresh_script(&mut self, request: ActionId) -> ScriptBuf;

    /// Reserves one confirmed coin for `owner` that is worth `amount_sat` after paying for its own input. The same
    /// request gets the same coin for as long as that coin will do.
    fn offer(
        &mut self,
        request: ActionId,
        owner: OutPoint,
        amount_sat: u64,
        feerate_sat_per_kw: u32,
    ) -> Result<Offer, Missing>;

    /// Reserves these coins for `owner`, whoever had them: a live transaction spends them.
    fn hold(&mut self, owner: OutPoint, coins: &[OutPoint]);

    /// Frees those of these coins that `owner` has.
    fn release(&mut self, owner: OutPoint, coins: &[OutPoint]);

    /// A block joined the best chain.
    fn connect(&mut self, block: &Block);

    /// The tip left the best chain.
    fn disconnect(&mut self, block: &Block);

    /// Forgets all coins and finds them again on the chain. Reservations stay.
    fn rescan(&mut self, chain: &Chain);

    /// Every script that is ours.
    fn scripts(&self) -> BTreeSet<ScriptBuf>;
}

/// The keys of a [`SmallWallet`]: all that its signer needs. A clone shares them.
#[derive(Clone, Debug)]
pub struct WalletKeys {
    scripts: Arc<Vec<ScriptBuf>>,
    secrets: Arc<BTreeMap<ScriptBuf, Secret>>,
}

impl WalletKeys {
    /// The pool of this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pool = (0..POOL).map(|index| {
            let secret = derived_secret(seed, &[b"wallet", &index.to_le_bytes()]);
            let point = Point::from_secret(secp(), &secret).expect("derived secrets are private keys");
            (p2wpkh(&point), secret)
        });
        let pool: Vec<(ScriptBuf, Secret)> = pool.collect();
        let scripts = pool.iter().map(|(script, _)| script.clone()).collect();
        Self { scripts: Arc::new(scripts), secrets: Arc::new(pool.into_iter().collect()) }
    }

    /// The secret behind a script of the pool.
    pub fn secret_of(&self, script: &ScriptBuf) -> Option<Secret> {
        self.secrets.get(script).copied()
    }

    /// The script that a name leads to: the same for the same name.
    pub fn script_for(&self, name: &[u8]) -> ScriptBuf {
        let [a, b, ..] = sha256::Hash::hash(name).to_byte_array();
        let place = usize::from(u16::from_be_bytes([a, b])).checked_rem(self.scripts.len()).unwrap_or(0);
        self.scripts.get(place).cloned().unwrap_or_default()
    }
}

/// A deterministic wallet that knows its coins from the chain.
#[derive(Clone, Debug)]
pub struct SmallWallet {
    keys: WalletKeys,
    coins: BTreeMap<OutPoint, TxOut>,
    /// Coins that a connected block spent: a disconnected block brings them back.
    spent: BTreeMap<OutPoint, TxOut>,
    reserved: BTreeMap<OutPoint, OutPoint>,
    offered: BTreeMap<ActionId, OutPoint>,
}

impl SmallWallet {
    /// The wallet of this seed, without coins.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::new(WalletKeys::from_seed(seed))
    }

    /// The wallet of these keys, without coins.
    pub fn new(keys: WalletKeys) -> Self {
        Self {
            keys,
            coins: BTreeMap::new(),
            spent: BTreeMap::new(),
            reserved: BTreeMap::new(),
            offered: BTreeMap::new(),
        }
    }

    /// Its keys, for a signer.
    pub fn keys(&self) -> &WalletKeys {
        &self.keys
    }

    /// A script to send the first coins to.
    pub fn deposit_script(&self) -> ScriptBuf {
        self.keys.script_for(b"deposit")
    }

    /// Confirmed coins and their outputs.
    pub fn coins(&self) -> &BTreeMap<OutPoint, TxOut> {
        &self.coins
    }

    /// Which claim has reserved a coin.
    pub fn owner_of(&self, coin: &OutPoint) -> Option<OutPoint> {
        self.reserved.get(coin).copied()
    }

    /// What all confirmed coins are worth, reserved ones included.
    pub fn value_sat(&self) -> u64 {
        self.coins.values().fold(0, |sum, coin| sum.saturating_add(coin.value.to_sat()))
    }

    /// Reads the unspent coins from the chain, without those that a reorg could bring back.
    pub(crate) fn refresh(&mut self, chain: &Chain) {
        let ours = chain.utxos().iter().filter(|(_, coin)| self.is_ours(&coin.txout));
        self.coins = ours.map(|(outpoint, coin)| (*outpoint, coin.txout.clone())).collect();
    }

    /// Frees the coins of owners that `keep` does not know any more.
    pub(crate) fn keep_owners(&mut self, keep: impl Fn(&OutPoint) -> bool) {
        self.reserved.retain(|_, owner| keep(owner));
    }

    fn is_ours(&self, txout: &TxOut) -> bool {
        self.keys.secrets.contains_key(&txout.script_pubkey)
    }

    /// The coin that fits best: the one that this request had, then one that its owner has, then the smallest.
    fn choose(&self, request: &ActionId, owner: &OutPoint, needed_sat: u64) -> Result<(OutPoint, &TxOut), Missing> {
        let free = || {
            let owner_or_none = |coin: &OutPoint| self.reserved.get(coin).is_none_or(|by| by == owner);
            self.coins.iter().filter(move |(coin, _)| owner_or_none(coin))
        };
        let before = self.offered.get(request);
        let rank = |(coin, txout): &(&OutPoint, &TxOut)| {
            let again = before == Some(*coin);
            (!again, !self.reserved.contains_key(*coin), txout.value, **coin)
        };
        let enough = free().filter(|(_, txout)| txout.value.to_sat() >= needed_sat).min_by_key(rank);
        enough.map(|(coin, txout)| (*coin, txout)).ok_or_else(|| {
            let best = free().map(|(_, txout)| txout.value.to_sat()).max().unwrap_or(0);
            Missing { missing_sat: needed_sat.saturating_sub(best) }
        })
    }
}

impl Wallet for SmallWallet {
    fn fresh_script(&mut self, request: ActionId) -> ScriptBuf {
        self.keys.script_for(&[b"fresh", request.0.as_slice()].concat())
    }

    fn offer(
        &mut self,
        request: ActionId,
        owner: OutPoint,
        amount_sat: u64,
        feerate_sat_per_kw: u32,
    ) -> Result<Offer, Missing> {
        let own_fee = P2WPKH_INPUT_WEIGHT.saturating_mul(u64::from(feerate_sat_per_kw)).div_ceil(1000);
        let (outpoint, txout) = self.choose(&request, &owner, amount_sat.saturating_add(own_fee))?;
        let (value_sat, script) = (txout.value.to_sat(), txout.script_pubkey.clone());
        self.reserved.insert(outpoint, owner);
        self.offered.insert(request, outpoint);
        let change = self.keys.script_for(&[b"change", request.0.as_slice()].concat());
        Ok(Offer { input: FeeInput { outpoint, value_sat, script }, change })
    }

    fn hold(&mut self, owner: OutPoint, coins: &[OutPoint]) {
        self.reserved.extend(coins.iter().map(|coin| (*coin, owner)));
    }

    fn release(&mut self, owner: OutPoint, coins: &[OutPoint]) {
        for coin in coins {
            if self.reserved.get(coin) == Some(&owner) {
                self.reserved.remove(coin);
                self.offered.retain(|_, offered| offered != coin);
            }
        }
    }

    fn connect(&mut self, block: &Block) {
        for tx in &block.txs {
            for input in &tx.input {
                let taken = self.coins.remove(&input.previous_output);
                self.spent.extend(taken.map(|coin| (input.previous_output, coin)));
            }
            let txid = tx.compute_txid();
            for (vout, txout) in (0_u32..).zip(&tx.output) {
                if self.is_ours(txout) {
                    self.coins.insert(OutPoint::new(txid, vout), txout.clone());
                }
            }
        }
    }

    fn disconnect(&mut self, block: &Block) {
        // Backwards: a coin that was made and spent in this block must not come back.
        for tx in block.txs.iter().rev() {
            let txid = tx.compute_txid();
            for (vout, _) in (0_u32..).zip(&tx.output) {
                self.coins.remove(&OutPoint::new(txid, vout));
            }
            for input in &tx.input {
                let back = self.spent.remove(&input.previous_output);
                self.coins.extend(back.map(|coin| (input.previous_output, coin)));
            }
        }
    }

    fn rescan(&mut self, chain: &Chain) {
        self.refresh(chain);
        let below = (0..=chain.tip().0).rev().map_while(|height| chain.block_at(height));
        let inputs = below.flat_map(|block| &block.txs).flat_map(|tx| &tx.input);
        let spent = inputs.filter_map(|input| {
            let (_, parent) = chain.confirmed(&input.previous_output.txid)?;
            let txout = parent.output.get(usize::try_from(input.previous_output.vout).ok()?)?;
            self.is_ours(txout).then(|| (input.previous_output, txout.clone()))
        });
        self.spent = spent.collect();
    }

    fn scripts(&self) -> BTreeSet<ScriptBuf> {
        self.keys.scripts.iter().cloned().collect()
    }
}
