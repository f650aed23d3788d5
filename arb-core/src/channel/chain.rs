//! What the chain said about one channel, with heights: a disconnected block removes the facts at its height and
//! nothing else (R9).
//!
//! Tests: `arb-harness/lab/tests/court_suite/properties.rs`, `arb-harness/lab/tests/court_suite/ratchets.rs`.

use crate::api::facts::ChannelFacts;
use crate::api::units::Height;
use crate::bolt3::legible_witness;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::{OutPoint, TxIn, TxOut, Txid, Witness};
use serde::{Deserialize, Serialize};

/// How far below the funding output a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Tier {
    /// Spends a funding output.
    Funding,
    /// Spends a watched output of a funding spend.
    Commitment,
    /// Spends a watched output of such a transaction, or only a wallet coin that a sweep of ours uses.
    Second,
}

/// What is kept of a confirmed transaction that matters to the channel. Others may write most of it, so only what a question of
/// ours reads is kept (A22): inputs that spend something watched, and outputs that can matter further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptTx {
    pub(crate) height: Height,
    pub(crate) tier: Tier,
    /// The tip when it was kept. Blocks above reported spends of its outputs when they were heard; a search covers the rest.
    pub(crate) since: Height,
    /// Whether the chain was searched for spends of its outputs up to `since`.
    pub(crate) scanned: bool,
    /// The commitment number that it shows (BOLT 3); `None` if it does not have the form of a commitment.
    pub(crate) number: Option<u64>,
    /// By index: the inputs that spend something watched, or a coin of the wallet that a sweep of ours used.
    pub(crate) inputs: BTreeMap<u32, KeptInput>,
    /// By index. [`Tier::Funding`]: all, because we signed them. [`Tier::Commitment`]: the P2WSH outputs at the indexes of its
    /// inputs, where a second level has its output (BOLT 3). [`Tier::Second`]: none.
    pub(crate) outputs: BTreeMap<u32, TxOut>,
    /// The sum of all its outputs, in satoshi.
    pub(crate) output_sat: u64,
}

/// An input of a kept transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptInput {
    pub(crate) previous_output: OutPoint,
    /// Its weight in the transaction, witness included.
    pub(crate) weight: u64,
    /// What can be read of its witness: see [`legible_witness`].
    pub(crate) witness: Witness,
}

impl KeptTx {
    /// Whether it spends this outpoint, as far as the channel watches that.
    pub(crate) fn spends(&self, outpoint: &OutPoint) -> bool {
        self.inputs.values().any(|input| input.previous_output == *outpoint)
    }
}

impl KeptInput {
    /// `spent`: the output that it spends; `None` for a coin of the wallet, whose witness tells nothing.
    pub(crate) fn new(input: &TxIn, spent: Option<&TxOut>) -> Self {
        let witness = spent.map(|output| legible_witness(&output.script_pubkey, &input.witness));
        Self {
            previous_output: input.previous_output,
            weight: input.segwit_weight().to_wu(),
            witness: witness.unwrap_or_default(),
        }
    }
}

/// The chain's facts about one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChainFacts {
    /// In the order of [`ChannelFacts::fundings`].
    pub(crate) fundings: Vec<FundingFacts>,
    /// Confirmed transactions that matter to the channel.
    pub(crate) kept: BTreeMap<Txid, KeptTx>,
}

/// The chain's facts about one funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FundingFacts {
    pub(crate) confirmed: Option<Height>,
    /// The tip when the court heard of the channel. Blocks above reported spends when they were heard.
    pub(crate) since: Height,
    /// Whether the chain was searched for spends of the funding up to `since`.
    pub(crate) scanned: bool,
}

impl ChainFacts {
    pub(crate) fn new(facts: &ChannelFacts, since: Height) -> Self {
        let fundings =
            facts.fundings.iter().map(|funding| FundingFacts { confirmed: funding.confirmed, since, scanned: false });
        Self { fundings: fundings.collect(), kept: BTreeMap::new() }
    }

    /// The output at an outpoint; `None` if it is not kept, or does not exist (R6).
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        self.kept.get(&outpoint.txid)?.outputs.get(&outpoint.vout)
    }

    /// Keeps a confirmed transaction. If it matters at several tiers, the one nearest to the funding counts. Heard again, it may
    /// have more that matters: what it spends was not known the first time.
    pub(crate) fn keep(&mut self, txid: Txid, new: KeptTx) {
        match self.kept.get_mut(&txid) {
            Some(kept) => {
                kept.tier = kept.tier.min(new.tier);
                kept.height = new.height;
                kept.inputs.extend(new.inputs);
                kept.outputs.extend(new.outputs);
            }
            None => {
                self.kept.insert(txid, new);
            }
        }
    }

    /// Removes every fact of this height and above.
    pub(crate) fn disconnect(&mut self, height: Height) {
        self.kept.retain(|_, kept| kept.height < height);
        for funding in &mut self.fundings {
            if funding.confirmed.is_some_and(|confirmed| confirmed >= height) {
                funding.confirmed = None;
            }
        }
    }
}
