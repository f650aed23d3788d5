//! A small wallet, which finds its coins on the embedded chain.
//!
//! [`SmallWallet`] holds P2WPKH coins under a fixed [`POOL`](arb_harness::keys::POOL) of keys derived from a seed. A hash
//! of the request's id selects the key, so nothing needs to be saved: after a restart the same request gets the same
//! answer, and all scripts that were ever given out are known. Two requests may share a script, which costs only privacy.
//! Reservations are in memory only. A restart forgets them, and the court's
//! [`HoldFeeInputs`](arb_core::Action::HoldFeeInputs) actions restore them.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::sweep::wallet_input_fee_sat;
use arb_core::{ActionId, FeeInput};
use arb_harness::keys::WalletKeys;
use arb_harness::wallet::{Missing, Offer, Wallet};
use bitcoin::{OutPoint, ScriptBuf, TxOut};

use crate::chain::{Block, Chain};

/// The most coins that one request gets; further coins would cost more than they add.
const MAX_COINS: usize = 20;

/// A deterministic wallet that knows its coins from the chain.
#[derive(Clone, Debug)]
pub struct SmallWallet {
    keys: WalletKeys,
    coins: BTreeMap<OutPoint, TxOut>,
    /// Coins that it has whatever the chain says: it is wrong about them.
    believed: BTreeMap<OutPoint, TxOut>,
    /// Coins that a connected block spent: a disconnected block restores them.
    spent: BTreeMap<OutPoint, TxOut>,
    /// Reserved coins, each with the claim that it is reserved for.
    reserved: BTreeMap<OutPoint, OutPoint>,
    /// Reserved coins that the court has asked to hold.
    held: BTreeSet<OutPoint>,
    /// What each request was offered, for the same answer again.
    offered: BTreeMap<ActionId, Vec<OutPoint>>,
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
            believed: BTreeMap::new(),
            spent: BTreeMap::new(),
            reserved: BTreeMap::new(),
            held: BTreeSet::new(),
            offered: BTreeMap::new(),
        }
    }

    /// The keys, for a signer.
    pub fn keys(&self) -> &WalletKeys {
        &self.keys
    }

    /// A script that receives the first coins.
    pub fn deposit_script(&self) -> ScriptBuf {
        self.keys.script_for(b"deposit")
    }

    /// The confirmed coins and their outputs.
    pub fn coins(&self) -> &BTreeMap<OutPoint, TxOut> {
        &self.coins
    }

    /// The claim that has reserved a coin, by its outpoint.
    pub fn owner_of(&self, coin: &OutPoint) -> Option<OutPoint> {
        self.reserved.get(coin).copied()
    }

    /// The value of all confirmed coins in satoshi, reserved ones included.
    pub fn value_sat(&self) -> u64 {
        self.coins.values().fold(0, |sum, coin| sum.saturating_add(coin.value.to_sat()))
    }

    /// Reads the unspent coins from the chain. Does not remember spent coins for a reorg.
    pub(crate) fn refresh(&mut self, chain: &Chain) {
        let ours = chain.utxos().iter().filter(|(_, coin)| self.is_ours(&coin.txout));
        self.coins = ours.map(|(outpoint, coin)| (*outpoint, coin.txout.clone())).collect();
        self.coins.extend(self.believed.clone());
    }

    /// Makes the wallet believe in coins that the chain does not have: they are gone, and it did not notice (A11).
    pub(crate) fn believe(&mut self, gone: &BTreeMap<OutPoint, TxOut>) {
        self.believed.clone_from(gone);
    }

    /// Frees the coins that are reserved for claims that `keep` does not accept.
    pub(crate) fn keep_owners(&mut self, keep: impl Fn(&OutPoint) -> bool) {
        self.reserved.retain(|_, owner| keep(owner));
        self.held.retain(|coin| self.reserved.contains_key(coin));
    }

    /// Follows a block that joined the best chain.
    pub fn connect(&mut self, block: &Block) {
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

    /// Follows the tip that left the best chain.
    pub fn disconnect(&mut self, block: &Block) {
        // Backwards, so a coin that was made and spent in this block does not come back.
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

    /// Finds all coins and spent coins again on the chain. Reservations stay.
    pub fn rescan(&mut self, chain: &Chain) {
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

    /// Every script of the wallet.
    pub fn scripts(&self) -> BTreeSet<ScriptBuf> {
        self.keys.scripts().iter().cloned().collect()
    }

    fn is_ours(&self, txout: &TxOut) -> bool {
        self.keys.secret_of(&txout.script_pubkey).is_some()
    }

    /// Chooses coins: those that the request had before; else the smallest that is enough; else the fewest that are enough
    /// together.
    fn choose(
        &self,
        request: &ActionId,
        owner: &OutPoint,
        amount_sat: u64,
        own_fee_sat: u64,
        exclude: &[OutPoint],
    ) -> Result<Vec<FeeInput>, Missing> {
        let net = |txout: &TxOut| txout.value.to_sat().saturating_sub(own_fee_sat);
        let free: Vec<(&OutPoint, &TxOut)> = self
            .coins
            .iter()
            .filter(|(coin, _)| !exclude.contains(coin))
            .filter(|(coin, _)| self.reserved.get(*coin).is_none_or(|by| by == owner && !self.held.contains(*coin)))
            .collect();
        let input = |(coin, txout): &(&OutPoint, &TxOut)| FeeInput {
            outpoint: **coin,
            value_sat: txout.value.to_sat(),
            script: txout.script_pubkey.clone(),
        };
        let before = self.offered.get(request);
        let again: Vec<_> = free.iter().filter(|(coin, _)| before.is_some_and(|had| had.contains(coin))).collect();
        if !again.is_empty() && again.iter().map(|(_, txout)| net(txout)).sum::<u64>() >= amount_sat {
            return Ok(again.into_iter().map(input).collect());
        }
        let rank = |(coin, txout): &&(&OutPoint, &TxOut)| (!self.reserved.contains_key(*coin), txout.value, **coin);
        if let Some(one) = free.iter().filter(|(_, txout)| net(txout) >= amount_sat).min_by_key(rank) {
            return Ok(vec![input(one)]);
        }
        let mut large = free.clone();
        large.sort_by_key(|(coin, txout)| (std::cmp::Reverse(txout.value), **coin));
        let (mut sum_sat, mut chosen) = (0_u64, Vec::new());
        for coin in large.iter().filter(|(_, txout)| net(txout) > 0).take(MAX_COINS) {
            chosen.push(input(coin));
            sum_sat = sum_sat.saturating_add(net(coin.1));
            if sum_sat >= amount_sat {
                return Ok(chosen);
            }
        }
        Err(Missing { missing_sat: amount_sat.saturating_sub(sum_sat) })
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
        exclude: &[OutPoint],
    ) -> Result<Offer, Missing> {
        let own_fee = wallet_input_fee_sat(feerate_sat_per_kw);
        let inputs = self.choose(&request, &owner, amount_sat, own_fee, exclude)?;
        self.reserved.extend(inputs.iter().map(|coin| (coin.outpoint, owner)));
        self.offered.insert(request, inputs.iter().map(|coin| coin.outpoint).collect());
        let change = self.keys.script_for(&[b"change", request.0.as_slice()].concat());
        Ok(Offer { inputs, change })
    }

    fn hold(&mut self, owner: OutPoint, coins: &[OutPoint]) {
        self.reserved.extend(coins.iter().map(|coin| (*coin, owner)));
        self.held.extend(coins);
    }

    fn release(&mut self, owner: OutPoint, coins: &[OutPoint]) {
        for coin in coins {
            if self.reserved.get(coin) == Some(&owner) {
                self.reserved.remove(coin);
                self.held.remove(coin);
                self.offered.retain(|_, offered| !offered.contains(coin));
            }
        }
    }
}
